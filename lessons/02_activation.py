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
    from tinydx.lessons.page import BLUE, GREY, RED, canvas, card, foot, head, show, term


@app.cell(hide_code=True)
def _():
    head(2)
    return


@app.cell(hide_code=True)
def _():
    mo.md(rf"""
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
    """)
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
    show(_figure, "ReLU, sigmoid and tanh, and their slopes. The slope of the sigmoid is never more than a quarter.")
    return


@app.cell(hide_code=True)
def _(at, slope, slopes):
    steepest = slope(ops.sigmoid, np.linspace(-6, 6, 481)).max()
    assert steepest == 0.25
    mo.md(f"""
    At x = {at.value:g} the slopes are {slopes["relu"]:.3f} (ReLU), {slopes["sigmoid"]:.3f} (sigmoid), {slopes["tanh"]:.3f} (tanh).

    On its way back, a gradient is multiplied by the slope of every layer. The sigmoid's slope is never more than {steepest:g},
    so ten sigmoid layers leave at most {steepest**10:.1e} of a gradient. ReLU's slope is 1 wherever its input is positive.
    This is why the document's convolutions use ReLU; the sigmoid is used only at the end, where it gives a probability.
    """)
    return (steepest,)


@app.cell(hide_code=True)
def _():
    mo.md(
        """
    ## Where the formulas break

    Code tanh as it is written, and let NumPy compute it. For large x, its exponentials exceed the range of the number format,
    which is called {}, and infinity divided by infinity is NaN, "not a number". For small x, two almost equal numbers are
    subtracted, and the digits that remain are rounding noise.
    """.format(term("overflow"))
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
    )
    return


@app.cell(hide_code=True)
def _(errors, first_nan, literal_sigmoid, x):
    small = errors["float32"][x < 1e-8].max()
    tiny = float(literal_sigmoid(np.float32(-100.0)))
    true = float(ops.sigmoid(np.array([-100.0])).item())
    assert small == 1 and tiny == 0 < true
    mo.md(f"""
    In float32, which networks use, tanh as written is NaN from x = {first_nan["float32"]} on, and in float64 from
    x = {first_nan["float64"]} on. One NaN in one pixel reaches every weight in the next training step.
    Below x = 1e-8 its error in float32 is {small:.0%}: the result is 0. The sigmoid as written gives no NaN: at x = -100 in float32 its
    exponential overflows, NumPy warns, and the result is {tiny:g}; the true value is {true:.1e}.

    ## The engine's code

    The engine's sigmoid computes only $e^{{-|x|}}$, which is never more than 1, so nothing can overflow.
    For tanh, NumPy's own function handles large and small x.
    """)
    return small, tiny


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
    mo.md(f"""
    ## A question

    A model gives the score z = 40 before the sigmoid, so it is certain of "normal", but the patient is ill (target 0).
    How large is the loss $-\\ln(1 - f(z))$ if the sigmoid is computed first? How large should it be?

    /// details | Answer
    $f(40)$ is rounded to 1, and $\\ln 0$ is minus infinity. Libraries clip the probability, which gives {clipped:.2f} and a
    gradient of zero: the model never learns from its worst mistake. Computed as one equation from z, the loss is {fused:g}.
    tinydx fuses sigmoid and loss (`tinydx card sigmoid_binary_crossentropy`), as you do in the last exercise below.
    ///
    """)
    return clipped, fused


@app.cell(hide_code=True)
def _():
    foot(2)
    return


if __name__ == "__main__":
    app.run()
