"""The chain rule, and how to check it · 链式法则与梯度检验

Minutes: 30
Exercises: conv_backward
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
    from tinydx.lessons.page import BLUE, GREY, RED, canvas, card, foot, head, show, term


@app.cell(hide_code=True)
def _():
    head(4)
    return


@app.cell(hide_code=True)
def _():
    mo.md(rf"""
    After this lesson you can

    - derive the {term("gradient")} of a layer from the {term("cotangent")} of its result;
    - check a gradient that you wrote, and know how far to trust the check;
    - infer a mistake from *where* a gradient is wrong.

    ## The equation

    Training asks how the {term("loss")} $L$ changes with every weight. A network is a composition of functions, and the
    {term("chain rule")} treats one at a time: a layer $y = f(x, w)$ gets $dy = \partial L / \partial y$ from the next layer and computes

    $$dw_k = \sum_{{i}} dy_i\, \frac{{\partial y_i}}{{\partial w_k}}$$

    and likewise $dx$, which it passes to the previous layer. This is {term("backpropagation")}. In the convolution of lesson 1, the
    weight $w(p,q)$ is multiplied by $x(i-p+1, j-q+1)$ at every place, so its gradient is the sum

    $$dw(p,q) = \sum_{{i,j}} dy(i,j) \cdot x_{{pq}}(i,j)$$

    with $x_{{pq}}(i,j) = x(i-p+1,\, j-q+1)$, the pixels that this weight multiplies.
    """)
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
    mo.md(f"""
    When ops run on Tensors, a {term("tape")} records them; `loss.backward()` processes it in reverse order:

    ```python
    loss = ops.relu(ops.conv2d(x, w)).mean()
    loss.backward()
    ```

    Here the loss is {loss.data:.4f}, and w.grad has {w.grad.size} numbers, one for each weight. A step against the gradient
    with a learning rate of 0.1 should lower the loss by about {float((step * w.grad).sum()):.4f}.
    """)
    return (step,)


@app.cell(hide_code=True)
def _():
    card("conv2d", "backward")
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## See it: a wrong gradient has a pattern

    Each entry below is a mistake that people really make in this backward. Choose one. The colours show the error of each
    element of dw; below them is the checker's report.
    """)
    return


@app.cell
def _():
    named = {slip.name: slip for slip in ops.conv2d.slips}
    names = ("kernel rotated by 180 degrees", "averaged over the batch", "rows and columns swapped", "first image only")
    slip = mo.ui.dropdown({name: name for name in names}, value=names[0], label="mistake", full_width=True)
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
    show(_figure, f"How wrong each weight's gradient is under the mistake: {slip.value}.")
    return


@app.cell(hide_code=True)
def _(reports, slip):
    mo.md(
        "\n".join(
            f"- **{_a.label}**: {_a.wrong} of {_a.checked} numbers are wrong: *{_a.mistake.name}*. {_a.mistake.advice}"
            if _a.wrong
            else f"- **{_a.label}**: all {_a.checked} numbers are right."
            for _a in reports[slip.value].arguments
        )
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md(
        """
    With the kernel rotated by 180 degrees, only its centre is right, which is white in every square. With rows and columns
    swapped, the diagonal is right. A gradient that is too small by the same factor everywhere is an average in place of a sum.

    ## How is the truth known?

    The usual {} changes a number slightly up and down and divides: $(f(x+h) - f(x-h)) / 2h$. With a large h this is
    inexact; with a small h it subtracts two almost equal numbers. The {} needs no subtraction:

    $$\\frac{{df}}{{dx}} \\approx \\mathrm{{Im}}\\, f(x + ih) / h$$
    """.format(term("gradient check"), term("complex step"))
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
    )
    return


@app.cell(hide_code=True)
def _(best, exact):
    mo.md(f"""
    The best difference has an error of {best:.0e}, and its h must be found first. The error of the complex step is at most
    {exact:.0e} for every h up to 1e-8, which is rounding. So tinydx can detect even small errors in a gradient with certainty.

    ## A question

    A checker uses dy = 1 everywhere and tests a softmax, whose outputs always sum to 1. Which wrong backward would pass?

    /// details | Answer
    A backward that returns zero. With dy = 1, the "loss" is the sum of the outputs, which is always 1, so the true gradient
    *is* zero. A random dy, which `tinydx.gradcheck` always uses, finds the mistake at once.
    ///
    """)
    return


@app.cell(hide_code=True)
def _():
    foot(4)
    return


if __name__ == "__main__":
    app.run()
