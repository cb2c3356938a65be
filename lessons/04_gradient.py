"""The chain rule, and how to check it · 链式法则与梯度检验

Minutes: 30
Exercises: conv_backward, engine_used_twice, engine_tape, engine_layers
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(app_title="The chain rule", css_file="lesson.css")

with app.setup:
    import marimo as mo
    import numpy as np

    import tinydx

    tinydx.use("numpy")  # the code that the cards show, which needs no compilation

    from tinydx import Tensor, ops
    from tinydx.language import in_chinese
    from tinydx.lessons.page import BLUE, GREY, RED, both, canvas, card, foot, head, number, short, show, term, text


@app.cell(hide_code=True)
def _():
    head("gradient")
    return


@app.cell(hide_code=True)
def _():
    text(
        rf"""
    After this lesson you can

    - derive the {term("gradient")} of a layer from the {term("cotangent")} of its result;
    - check a gradient that you wrote, and know how far to trust the check;
    - infer a mistake from *where* a gradient is wrong.

    ## A small graph, by hand

    Begin with one example, one weight and one unit. From left to right, each step computes a number from the one before; the last
    is the {term("loss")} $L$.

    $$z = w x + b$$

    $$h = \max(0, z)$$

    $$L = (h - 4)^2$$

    Training asks how $L$ changes when a weight changes a little. The {term("chain rule")} answers from right to left: each step takes
    the number that the next one hands back, and multiplies it by its own slope.

    $$dh = 2 (h - 4)$$

    $$dz = dh \cdot [z > 0]$$

    $$dw = dz \cdot x, \quad dx = dz \cdot w, \quad db = dz$$

    $[z > 0]$ is ReLU's slope: 1 where $z > 0$, else 0.
    """,
        rf"""
    学完这一课，你能够

    - 由某一层结果的{term("cotangent")}推导这一层的{term("gradient")}；
    - 检验自己写的梯度，并知道检验结果有多可信；
    - 从梯度*在哪里*出错推断错误是什么。

    ## 手算一个小图

    从一个样本、一个权重、一个单元开始。从左到右，每一步由前一步的结果算出一个数；最后是{term("loss")} $L$。

    $$z = w x + b$$

    $$h = \max(0, z)$$

    $$L = (h - 4)^2$$

    训练要问：每个权重变一点，$L$ 怎样变？{term("chain rule")}从右往左回答：每一步用后一步传来的数，乘以自己的斜率。

    $$dh = 2 (h - 4)$$

    $$dz = dh \cdot [z > 0]$$

    $$dw = dz \cdot x, \quad dx = dz \cdot w, \quad db = dz$$

    $[z > 0]$ 是 ReLU 的斜率：$z > 0$ 时为 1，否则为 0。
    """,
    )
    return


@app.cell
def _():
    weight = mo.ui.slider(1, 5, step=0.5, value=3, label="w", show_value=True, full_width=True)
    weight
    return (weight,)


@app.cell
def _(weight):
    at_w = float(weight.value)

    def loss_of(w, x=2.0, b=-5.0):
        return (max(0.0, w * x + b) - 4) ** 2

    values = {"z": at_w * 2 - 5, "h": max(0.0, at_w * 2 - 5), "L": loss_of(at_w)}
    values |= {"dh": 2 * (values["h"] - 4), "gate": float(values["z"] > 0)}
    values |= {"dz": values["dh"] * values["gate"], "moved": loss_of(at_w + 0.001) - loss_of(at_w)}
    values |= {"dw": values["dz"] * 2, "dx": values["dz"] * at_w, "db": values["dz"]}

    _w = Tensor(np.array([[at_w]]), requires_grad=True)
    _x = Tensor(np.array([[2.0]]), requires_grad=True)
    ((ops.relu(_x @ _w - 5.0) - 4.0) ** 2).sum().backward()
    assert (_w.grad.item(), _x.grad.item()) == (values["dw"], values["dx"])
    return at_w, values


@app.cell(hide_code=True)
def _(at_w, values):
    _figure, _axis = canvas(height=2.2)
    _places = {"x": (0, 2), "w": (0, 1), "b": (0, 0), "z": (1, 1), "h": (2, 1), "L": (3, 1)}
    _numbers = {"x": 2, "w": at_w, "b": -5} | values | {"dL": 1}
    for _from, _to in (("x", "z"), ("w", "z"), ("b", "z"), ("z", "h"), ("h", "L")):
        _arrow = {"arrowstyle": "->", "color": GREY, "shrinkA": 14, "shrinkB": 14}
        _axis.annotate("", _places[_to], _places[_from], arrowprops=_arrow)
    for _name, (_right, _up) in _places.items():
        _axis.text(_right, _up, _name, ha="center", va="center", fontstyle="italic", fontsize=11)
        _axis.text(_right, _up + 0.28, f"{_numbers[_name]:g}", ha="center", va="center", color=BLUE)
        _axis.text(_right, _up - 0.28, f"{_numbers['d' + _name]:g}", ha="center", va="center", color=RED)
    _axis.set(xlim=(-0.4, 3.4), ylim=(-0.5, 2.5), xticks=[], yticks=[])
    _axis.spines[:].set_visible(False)
    show(
        _figure,
        "A small graph from x, w and b to z, h and L: above each node the number going forward, below it the gradient coming back.",
        "一个由 x、w、b 到 z、h、L 的小图：每个节点上方是向前算出的数，下方是返回的梯度。",
    )
    return


@app.cell(hide_code=True)
def _(at_w, values):
    _closed = both("", "")
    if not values["gate"]:
        _closed = both(
            "ReLU is closed: nothing gets back, and no step will open it.", "ReLU 关闭了：什么也传不回来，走多少步也打不开。"
        )
    text(
        f"""
    With $x = 2$, $w = {at_w:g}$ and $b = -5$, by hand. {_closed.en}

    | step | number forward | number back |
    |---|---|---|
    | $z$ | {at_w:g} · 2 - 5 = {values["z"]:g} | $dz$ = {values["dh"]:g} · {values["gate"]:g} = {values["dz"]:g} |
    | $h$ | max(0, {values["z"]:g}) = {values["h"]:g} | $dh$ = 2 · ({values["h"]:g} - 4) = {values["dh"]:g} |
    | $L$ | ({values["h"]:g} - 4)² = {values["L"]:g} | $dL$ = 1 |

    So $dw$ = {values["dz"]:g} · 2 = {values["dw"]:g}. Try it: with 0.001 added to $w$, $L$ changes by {values["moved"]:.6f}, and divided
    by 0.001 that is {values["moved"] / 0.001:.3f}.
    """,
        f"""
    取 $x = 2$、$w = {at_w:g}$、$b = -5$，手算如下。{_closed.zh}

    | 步骤 | 前向算出的数 | 反向传回的数 |
    |---|---|---|
    | $z$ | {at_w:g} · 2 - 5 = {values["z"]:g} | $dz$ = {values["dh"]:g} · {values["gate"]:g} = {values["dz"]:g} |
    | $h$ | max(0, {values["z"]:g}) = {values["h"]:g} | $dh$ = 2 · ({values["h"]:g} - 4) = {values["dh"]:g} |
    | $L$ | ({values["h"]:g} - 4)² = {values["L"]:g} | $dL$ = 1 |

    所以 $dw$ = {values["dz"]:g} · 2 = {values["dw"]:g}。试一试：把 $w$ 加上 0.001，$L$ 变化 {values["moved"]:.6f}，除以 0.001
    是 {values["moved"] / 0.001:.3f}。
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    text(
        rf"""
    ## The equation of a layer

    A network is many such steps, with arrays in place of numbers. The chain rule treats one layer at a time: a layer $y = f(x, w)$ gets
    $dy = \partial L / \partial y$ from the next layer and computes

    $$dw_k = \sum_{{i}} dy_i\, \frac{{\partial y_i}}{{\partial w_k}}$$

    and likewise $dx$, which it passes to the previous layer. This is {term("backpropagation")}. In the convolution of lesson
    {number("convolution")}, the weight $w(p,q)$ is multiplied by $x(i-p+1, j-q+1)$ at every place, so its gradient is the sum

    $$dw(p,q) = \sum_{{i,j}} dy(i,j) \cdot x_{{pq}}(i,j)$$

    with $x_{{pq}}(i,j) = x(i-p+1,\, j-q+1)$, the pixels that this weight multiplies.
    """,
        rf"""
    ## 层的公式

    网络就是许多这样的步骤，只是其中的数变成了数组。链式法则每次只处理一层：层 $y = f(x, w)$ 从后一层得到 $dy = \partial L / \partial y$，并计算

    $$dw_k = \sum_{{i}} dy_i\, \frac{{\partial y_i}}{{\partial w_k}}$$

    $dx$ 也一样算，再传给前一层。这就是{term("backpropagation")}。在第 {number("convolution")} 课的卷积中，
    权重 $w(p,q)$ 在每个位置都乘以 $x(i-p+1, j-q+1)$，所以它的梯度是

    $$dw(p,q) = \sum_{{i,j}} dy(i,j) \cdot x_{{pq}}(i,j)$$

    其中 $x_{{pq}}(i,j) = x(i-p+1,\, j-q+1)$，即这个权重所乘的像素。
    """,
    )
    return


@app.cell
def _():
    rng = np.random.default_rng(0)
    x = Tensor(rng.normal(size=(2, 8, 8, 3)), requires_grad=True)
    w = Tensor(rng.normal(size=(3, 3, 3, 4)), requires_grad=True)
    loss = ops.relu(ops.conv2d(x, w)).mean()
    loss.backward()
    assert w.grad.shape == w.data.shape
    return loss, rng, w, x


@app.cell(hide_code=True)
def _(loss, w):
    step = 0.1 * w.grad
    text(
        f"""
    When ops run on Tensors, a {term("tape")} records them; `loss.backward()` processes it in reverse order:

    ```python
    loss = ops.relu(ops.conv2d(x, w)).mean()
    loss.backward()
    ```

    Here the loss is {loss.data:.4f}, and w.grad has {w.grad.size} numbers, one for each weight. A step against the gradient
    with a learning rate of 0.1 should lower the loss by about {float((step * w.grad).sum()):.4f}.

    Written by yourself, dw takes a few lines: for each p and q, dy times the pixels that this weight multiplies, summed.
    """,
        f"""
    运算作用在 Tensor 上时，{term("tape")}把它们记下来；`loss.backward()` 按相反的顺序处理：

    ```python
    loss = ops.relu(ops.conv2d(x, w)).mean()
    loss.backward()
    ```

    这里的损失是 {loss.data:.4f}，w.grad 有 {w.grad.size} 个数，每个权重一个。沿梯度反方向、以 0.1 的学习率走一步，
    损失应当降低约 {float((step * w.grad).sum()):.4f}。

    自己写，dw 也只要几行：对每个 p 和 q，把 dy 与这个权重所乘的像素相乘再求和。
    """,
    )
    return (step,)


@app.cell
def _():
    def weight_gradient(dy, x, k=3):
        dw = np.zeros((k, k))
        rows, columns = dy.shape
        for p in range(k):
            for q in range(k):
                i, j = k - 1 - p, k - 1 - q
                seen = x[i : i + rows, j : j + columns]
                dw[p, q] = (dy * seen).sum()
        return dw

    return (weight_gradient,)


@app.cell(hide_code=True)
def _(rng, weight_gradient, x):
    _image, _dy = x.data[0, :, :, 0], rng.normal(size=(6, 6))
    _, _saved = ops.conv2d.forward(_image[None, :, :, None], np.zeros((3, 3, 1, 1)))
    _true = ops.conv2d.backward(_dy[None, :, :, None], _saved)[1]
    np.testing.assert_allclose(weight_gradient(_dy, _image), _true[:, :, 0, 0], atol=1e-12)
    short(weight_gradient)
    return


@app.cell(hide_code=True)
def _():
    card("conv2d", "backward")
    return


@app.cell(hide_code=True)
def _():
    text(
        """
    ## See it: a wrong gradient has a pattern

    Each entry below is a mistake that people really make in this backward. Choose one. The colours show the error of each
    element of dw; below them is the checker's report.
    """,
        """
    ## 看一看：错误的梯度有自己的图样

    下面每一项都是人们写这个反向函数时真会犯的错误。选一个。颜色表示 dw 每个元素的误差；下面是检验器的报告。
    """,
    )
    return


@app.cell
def _():
    named = {slip.name: slip for slip in ops.conv2d.slips}
    names = ("kernel rotated by 180 degrees", "averaged over the batch", "rows and columns swapped", "first image only")
    slip = mo.ui.dropdown({name: name for name in names}, value=names[0], label="mistake · 错误", full_width=True)
    slip
    return named, names, slip


@app.cell
def _(named, names, w, x):
    def wrong_backward(dy, saved, name):
        """The gradients with this mistake; those that it does not affect are the right ones."""
        wrong = named[name].backward(dy, saved)
        right = ops.conv2d.backward(dy, saved)
        return tuple(r if g is None else g for g, r in zip(wrong, right, strict=True))[:2]

    def check(name):
        forward, arrays = ops.conv2d.forward, (x.data, w.data)
        return tinydx.gradcheck(ops.conv2d, *arrays, backward=lambda dy, x, w: wrong_backward(dy, forward(x, w)[1], name), seed=0)

    reports = {name: check(name) for name in names}
    for _name, _report in reports.items():
        assert _report.mistakes["w"] == _name
    assert tinydx.gradcheck(ops.conv2d, x.data, w.data, seed=0)
    return (reports,)


@app.cell(hide_code=True)
def _(reports, slip):
    _dw = next(a for a in reports[slip.value].arguments if a.name == "w")
    _gap = np.abs(_dw.got - _dw.true)
    _figure, _axes = canvas(3, 4, height=3.6, sharex=True, sharey=True)
    for (_c, _f), _axis in np.ndenumerate(_axes):
        _image = _axis.imshow(_gap[:, :, _c, _f], cmap="Reds", vmin=0, vmax=_gap.max())
        _axis.set(xticks=[0, 1, 2], yticks=[0, 1, 2], xticklabels=[1, 2, 3], yticklabels=[1, 2, 3])
        _axis.set_title(f"channel {_c}, kernel {_f}" if _c == _f == 0 else f"c {_c}, f {_f}", fontsize=8)
    _figure.supxlabel("q", fontsize=9)
    _figure.supylabel("p", fontsize=9)
    _figure.colorbar(_image, ax=_axes, label="|dw - true| (no unit)", shrink=0.8)
    show(
        _figure,
        f"How wrong each weight's gradient is under the mistake: {slip.value}.",
        f"在所选错误下，每个权重的梯度错得多厉害：{slip.value}。",
    )
    return


@app.cell(hide_code=True)
def _(reports, slip):
    _arguments = reports[slip.value].arguments
    text(
        "\n".join(
            f"- **{a.label}**: {a.wrong} of {a.checked} numbers are wrong: *{a.mistake.name}*. {a.mistake.advice}"
            if a.wrong
            else f"- **{a.label}**: all {a.checked} numbers are right."
            for a in _arguments
        ),
        "\n".join(
            f"- **{a.label}**：{a.checked} 个数中有 {a.wrong} 个错：*{in_chinese(a.mistake.name)}*。{in_chinese(a.mistake.advice)}"
            if a.wrong
            else f"- **{a.label}**：全部 {a.checked} 个数都对。"
            for a in _arguments
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    text(
        rf"""
    With the kernel rotated by 180 degrees, only its centre is right, which is white in every square. With rows and columns
    swapped, the diagonal is right. A gradient that is too small by the same factor everywhere is an average in place of a sum.

    ## How is the truth known?

    The usual {term("gradient check")} changes a number slightly up and down and divides: $(f(x+h) - f(x-h)) / 2h$. With a large h this is
    inexact; with a small h it subtracts two almost equal numbers. The {term("complex step")} needs no subtraction:

    $$\frac{{df}}{{dx}} \approx \mathrm{{Im}}\, f(x + ih) / h$$
    """,
        rf"""
    卷积核旋转 180 度时，只有中心是对的，每个方格的中心都是白的。行列互换时，对角线是对的。
    如果梯度处处按同一比例偏小，那就是该求和的地方取了平均。

    ## 怎样知道真值？

    通常的{term("gradient check")}把一个数略微增大、减小，再相除：$(f(x+h) - f(x-h)) / 2h$。h 大了
    不精确；h 小了，是两个几乎相等的数相减。{term("complex step")}不需要减法：

    $$\frac{{df}}{{dx}} \approx \mathrm{{Im}}\, f(x + ih) / h$$
    """,
    )
    return


@app.cell
def _():
    h = 10.0 ** np.arange(-15, 0)
    at = 0.7
    true = 1 - np.tanh(at) ** 2
    differences = np.array([(np.tanh(at + d) - np.tanh(at - d)) / (2 * d) for d in h])
    complex_steps = np.array([np.tanh(at + 1j * d).imag / d for d in h])
    gap_differences, gap_complex = (np.abs(g / true - 1) for g in (differences, complex_steps))
    best, exact = gap_differences.min(), gap_complex[h <= 1e-8].max()
    assert exact < 1e-14 and exact < best
    return best, exact, gap_complex, gap_differences, h


@app.cell(hide_code=True)
def _(gap_complex, gap_differences, h):
    _figure, _axis = canvas(height=2.6)
    _axis.loglog(h, np.maximum(gap_differences, 1e-17), "o-", color=RED, label="differences")
    _axis.loglog(h, np.maximum(gap_complex, 1e-17), "o-", color=BLUE, label="complex step")
    _axis.axhline(np.finfo(float).eps, color=GREY, linewidth=0.8)
    _axis.text(2e-2, 3e-16, "rounding", color=GREY, ha="center")
    _axis.set(title="slope of tanh at 0.7", xlabel="step h (no unit)", ylabel="relative error (no unit)", ylim=(3e-18, 10))
    _axis.legend(loc="upper center", frameon=False)
    show(
        _figure,
        "The error of a slope against the step. Differences have a best step in the middle and grow on both sides; "
        "the complex step reaches rounding and stays there.",
        "斜率的误差随步长的变化。差分在中间有一个最佳步长，往两边误差都增大；复数步长达到舍入误差后就一直保持。",
    )
    return


@app.cell(hide_code=True)
def _(best, exact):
    text(
        f"""
    The best difference has an error of {best:.0e}, and its h must be found first. The error of the complex step is at most
    {exact:.0e} for every h up to 1e-8, which is rounding. So tinydx can detect even small errors in a gradient with certainty.

    ## A question

    A checker uses dy = 1 everywhere and tests a softmax, whose outputs always sum to 1. Which wrong backward would pass?

    /// details | Answer
    A backward that returns zero. With dy = 1, the "loss" is the sum of the outputs, which is always 1, so the true gradient
    *is* zero. A random dy, which `tinydx.gradcheck` always uses, finds the mistake at once.
    ///
    """,
        f"""
    最好的差分误差是 {best:.0e}，而且必须先找到它的 h。复数步长对每个不超过 1e-8 的 h，误差最多是
    {exact:.0e}，这就是舍入误差。所以 tinydx 能确定地查出梯度中很小的错误。

    ## 一个问题

    一个检验器处处取 dy = 1，去检验一个输出总和恒为 1 的 softmax。怎样的错误反向函数会通过？

    /// details | 答案
    返回零的反向函数。dy = 1 时，“损失”是输出之和，恒为 1，所以真正的梯度
    *就是*零。`tinydx.gradcheck` 总是用随机的 dy，立刻就能发现这个错误。
    ///
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    foot("gradient")
    return


if __name__ == "__main__":
    app.run()
