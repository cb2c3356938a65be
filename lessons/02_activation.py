"""Activations, and numbers that overflow · 激活函数与溢出

Minutes: 25
Exercises: relu, sigmoid, tanh, stable_sigmoid
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(app_title="Activations", css_file="lesson.css")

with app.setup:
    import marimo as mo
    import numpy as np

    import tinydx

    tinydx.use("numpy")  # the code that the cards show, which needs no compilation

    from tinydx import ops
    from tinydx.lessons.page import BLUE, GREY, RED, canvas, card, foot, head, short, show, term, text


@app.cell(hide_code=True)
def _():
    head("activation")
    return


@app.cell(hide_code=True)
def _():
    text(
        rf"""
    After this lesson you can

    - write the document's three {term("activation function")} formulas and their slopes;
    - explain why the formulas, coded as written, give NaN, and write them so that they do not;
    - explain why a deep network of sigmoids hardly learns.

    ## The equations

    {term("ReLU")}, {term("sigmoid")} and {term("tanh")}:

    $$f(x) = \max(0, x)$$

    $$f(x) = \frac{{1}}{{1 + e^{{-x}}}}$$

    $$f(x) = \frac{{e^x - e^{{-x}}}}{{e^x + e^{{-x}}}}$$

    Without such a function between its layers, a network of any depth is only one weighted sum.
    """,
        rf"""
    学完这一课，你能够

    - 写出文中三个{term("activation function")}的公式和它们的斜率；
    - 解释为什么照公式直接写出的代码会给出 NaN，并写出不会这样的代码；
    - 解释为什么由 S 形函数叠成的深层网络几乎学不到东西。

    ## 公式

    {term("ReLU")}、{term("sigmoid")}和{term("tanh")}：

    $$f(x) = \max(0, x)$$

    $$f(x) = \frac{{1}}{{1 + e^{{-x}}}}$$

    $$f(x) = \frac{{e^x - e^{{-x}}}}{{e^x + e^{{-x}}}}$$

    如果各层之间没有这样的函数，无论网络多深，它也只是一次加权求和。
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    at = mo.ui.slider(-6, 6, step=0.25, value=1, label="x", show_value=True, full_width=True)
    at
    return (at,)


@app.cell
def _(at):
    def slope(function, x):
        """What the op's own backward gives for a cotangent of ones."""
        y, saved = function.forward(x)
        return function.backward(np.ones_like(y), saved)[0]

    here = np.array([float(at.value)])
    slopes = {op.name: slope(op, here).item() for op in (ops.relu, ops.sigmoid, ops.tanh)}
    return slope, slopes


@app.cell(hide_code=True)
def _(at, slope):
    _x = np.linspace(-6, 6, 481)
    _figure, (_left, _right) = canvas(1, 2, height=2.4, sharex=True)
    for _op, _colour in ((ops.relu, GREY), (ops.sigmoid, BLUE), (ops.tanh, RED)):
        _left.plot(_x, _op(_x), color=_colour, label=_op.name)
        _right.plot(_x, slope(_op, _x), color=_colour)
        _at = np.array([float(at.value)])
        _left.plot(_at, _op(_at), "o", color=_colour)
        _right.plot(_at, slope(_op, _at), "o", color=_colour)
    _left.set(ylabel="f(x) (no unit)", xlabel="x (no unit)", ylim=(-1.3, 2.6), xticks=[-6, -3, 0, 3, 6])
    _right.set(ylabel="slope of f (no unit)", xlabel="x (no unit)", ylim=(-0.05, 1.1))
    _left.legend(loc="upper left", handlelength=1, frameon=False)
    show(
        _figure,
        "ReLU, sigmoid and tanh, and their slopes. The slope of the sigmoid is never more than a quarter.",
        "ReLU、S 形函数和双曲正切函数，以及它们的斜率。S 形函数的斜率从不超过四分之一。",
    )
    return


@app.cell(hide_code=True)
def _(at, slope, slopes):
    steepest = slope(ops.sigmoid, np.linspace(-6, 6, 481)).max()
    assert steepest == 0.25
    text(
        f"""
    At x = {at.value:g} the slopes are {slopes["relu"]:.3f} (ReLU), {slopes["sigmoid"]:.3f} (sigmoid), {slopes["tanh"]:.3f} (tanh).

    On its way back, a gradient is multiplied by the slope of every layer. The sigmoid's slope is never more than {steepest:g},
    so ten sigmoid layers leave at most {steepest**10:.1e} of a gradient. ReLU's slope is 1 wherever its input is positive.
    This is why the document's convolutions use ReLU; the sigmoid is used only at the end, where it gives a probability.
    """,
        f"""
    在 x = {at.value:g} 处，斜率是 {slopes["relu"]:.3f}（ReLU）、{slopes["sigmoid"]:.3f}（S 形函数）、{slopes["tanh"]:.3f}（双曲正切）。

    梯度在返回的路上要乘以每一层的斜率。S 形函数的斜率从不超过 {steepest:g}，
    所以十层 S 形函数之后，梯度最多剩下 {steepest**10:.1e}。ReLU 的输入为正时，斜率就是 1。
    因此文中的卷积层用 ReLU；S 形函数只用在最后，在那里给出概率。
    """,
    )
    return (steepest,)


@app.cell(hide_code=True)
def _():
    text(
        f"""
    ## Where the formulas break

    Code tanh as it is written, and let NumPy compute it. For large x, its exponentials exceed the range of the number format,
    which is called {term("overflow")}, and infinity divided by infinity is NaN, "not a number". For small x, two almost equal numbers
    are subtracted, and the digits that remain are rounding noise.
    """,
        f"""
    ## 公式在哪里失灵

    把双曲正切照公式写成代码，让 NumPy 去算。x 大时，指数函数的值超出数的格式所能表示的范围，
    这叫作{term("overflow")}；无穷大除以无穷大得到 NaN，即“不是数”。x 小时，两个几乎相等的数相减，
    剩下的有效数字只是舍入噪声。
    """,
    )
    return


@app.cell
def _():
    @np.errstate(over="ignore", invalid="ignore")
    def literal_tanh(x):
        return (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x))

    @np.errstate(over="ignore")
    def literal_sigmoid(x):
        return 1 / (1 + np.exp(-x))

    x = np.logspace(-10, 4, 600)
    errors, first_nan = {}, {}
    for precision in (np.float32, np.float64):
        typed = literal_tanh(x.astype(precision)).astype(np.float64)
        right = np.tanh(x.astype(precision).astype(np.float64))
        errors[precision.__name__] = np.abs(typed / right - 1)
        whole = np.arange(1, 1000, dtype=precision)
        first_nan[precision.__name__] = int(whole[np.isnan(literal_tanh(whole))][0])

    assert first_nan == {"float32": 89, "float64": 710}
    assert np.isfinite(ops.tanh(x)).all() and np.isfinite(ops.sigmoid(-x)).all()
    return errors, first_nan, literal_sigmoid, x


@app.cell(hide_code=True)
def _(errors, first_nan, x):
    _figure, _axis = canvas(height=2.8)
    for _name, _colour in (("float32", RED), ("float64", BLUE)):
        _axis.loglog(x, np.maximum(errors[_name], 1e-17), color=_colour, label=_name)
        _axis.axvspan(first_nan[_name], 1e4, color=_colour, alpha=0.15, linewidth=0)
    _axis.text(3500, 1e-14, "NaN", ha="center", rotation=90)
    _axis.set(
        title="tanh as written: its error",
        xlabel="x (no unit)",
        ylabel="relative error (no unit)",
        ylim=(1e-17, 3),
        xlim=(1e-10, 1e4),
    )
    _axis.legend(loc="lower left", frameon=False)
    show(
        _figure,
        "The relative error of tanh as written against x, for float32 and float64: large at small x by cancellation, "
        "near rounding in the middle, and NaN from 89 (float32) or 710 (float64) on.",
        "照公式写的双曲正切的相对误差随 x 的变化，float32 和 float64 各一条曲线：x 小时因相减抵消而误差大，中间接近舍入误差，从 89（float32）或 710（float64）起为 NaN。",
    )
    return


@app.cell(hide_code=True)
def _(errors, first_nan, literal_sigmoid, x):
    small = errors["float32"][x < 1e-8].max()
    tiny = float(literal_sigmoid(np.float32(-100.0)))
    true = float(ops.sigmoid(np.array([-100.0])).item())
    assert small == 1 and tiny == 0 < true
    text(
        f"""
    In float32, which networks use, tanh as written is NaN from x = {first_nan["float32"]} on, and in float64 from
    x = {first_nan["float64"]} on. One NaN in one pixel reaches every weight in the next training step.
    Below x = 1e-8 its error in float32 is {small:.0%}: the result is 0. The sigmoid as written gives no NaN: at x = -100 in float32 its
    exponential overflows, NumPy warns, and the result is {tiny:g}; the true value is {true:.1e}.

    ## The code

    Written another way, nothing can overflow: compute only $e^{{-|x|}}$, which is never more than 1.
    """,
        f"""
    网络使用的是 float32。在这种格式中，照公式写的双曲正切从 x = {first_nan["float32"]} 起就是 NaN，在 float64 中从
    x = {first_nan["float64"]} 起是 NaN。一个像素里的一个 NaN，在下一个训练步就会传到每个权重。
    x 小于 1e-8 时，它在 float32 中的误差是 {small:.0%}：结果是 0。照公式写的 S 形函数不会给出 NaN：float32 中 x = -100 时，
    指数函数溢出，NumPy 发出警告，结果是 {tiny:g}；真值是 {true:.1e}。

    ## 代码

    换一种写法就没有东西会溢出：只计算 $e^{{-|x|}}$，它从不超过 1。
    """,
    )
    return small, tiny


@app.cell
def _():
    def stable_sigmoid(x):
        e = np.exp(-np.abs(x))
        return np.where(x >= 0, 1, e) / (1 + e)

    return (stable_sigmoid,)


@app.cell(hide_code=True)
def _(stable_sigmoid, x):
    np.testing.assert_allclose(stable_sigmoid(np.append(x, -x)), ops.sigmoid(np.append(x, -x)), rtol=1e-14)
    short(stable_sigmoid)
    return


@app.cell(hide_code=True)
def _():
    text(
        """
    The engine's sigmoid does the same, without the absolute value, so that complex numbers pass; tanh is NumPy's own function,
    which is right for large and for small x.
    """,
        """
    引擎中的 S 形函数也是这样算的，但不用绝对值，使复数也能通过；双曲正切交给 NumPy 自己的函数，它在 x 大和 x 小时都算得对。
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    card("sigmoid", "forward", "backward")
    return


@app.cell(hide_code=True)
def _():
    card("tanh", "literal", "forward", "backward")
    return


@app.cell(hide_code=True)
def _():
    z, target = np.array([[40.0]]), np.array([[0.0]])
    fused = ops.sigmoid_binary_crossentropy(z, target=target).item()
    clipped = -np.log(1 - np.clip(ops.sigmoid(z), 1e-7, 1 - 1e-7)).item()
    assert fused == 40
    text(
        f"""
    ## A question

    A model gives the score z = 40 before the sigmoid, so it is certain of "normal", but the patient is ill (target 0).
    How large is the loss $-\\ln(1 - f(z))$ if the sigmoid is computed first? How large should it be?

    /// details | Answer
    $f(40)$ is rounded to 1, and $\\ln 0$ is minus infinity. Libraries clip the probability, which gives {clipped:.2f} and a
    gradient of zero: the model never learns from its worst mistake. Computed as one equation from z, the loss is {fused:g}.
    tinydx fuses sigmoid and loss (`tinydx card sigmoid_binary_crossentropy`), as you do in the last exercise below.
    ///
    """,
        f"""
    ## 一个问题

    模型在 S 形函数之前给出得分 z = 40，也就是它确信“正常”，但病人患病（目标值 0）。
    如果先算 S 形函数，损失 $-\\ln(1 - f(z))$ 是多大？它应该是多大？

    /// details | 答案
    $f(40)$ 舍入成 1，而 $\\ln 0$ 是负无穷大。各种软件库会截断概率，得到 {clipped:.2f}，而梯度为零：
    模型永远无法从自己最严重的错误中学习。如果从 z 出发作为一个公式来算，损失就是 {fused:g}。
    tinydx 把 S 形函数与损失合并成一个运算（`tinydx card sigmoid_binary_crossentropy`），正如你在下面最后一个练习中要做的。
    ///
    """,
    )
    return clipped, fused


@app.cell(hide_code=True)
def _():
    foot("activation")
    return


if __name__ == "__main__":
    app.run()
