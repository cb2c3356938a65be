"""Through time: why gradients vanish, and what a gate does about it · 沿时间反向传播

Minutes: 30
Exercises: bptt, lstm_step, gru_step
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(app_title="Through time", css_file="lesson.css")

with app.setup:
    import marimo as mo
    import numpy as np

    import tinydx
    from tinydx import Tensor, ops

    tinydx.use("numpy")  # the code that the cards show, which needs no compilation

    from tinydx.lessons.page import BLUE, GREY, RED, canvas, card, code, foot, head, show, term
    from tinydx.ops.gru import cell as gru_cell
    from tinydx.ops.gru import cell_backward as gru_cell_backward
    from tinydx.ops.lstm import cell as lstm_cell
    from tinydx.ops.lstm import cell_backward as lstm_cell_backward


@app.cell(hide_code=True)
def _():
    head(8)
    return


@app.cell(hide_code=True)
def _():
    mo.md(rf"""
    After this lesson you can

    - write {term("backpropagation through time")}, and say what it multiplies at every step;
    - explain the {term("vanishing gradient")}, and measure it;
    - say which part of an LSTM and of a GRU keeps a gradient from vanishing.

    ## The equation

    The loss depends on the last state $h_T$. How much does it depend on an input $k$ steps earlier? On its way back, the gradient
    passes every state in between, and the {term("chain rule")} multiplies it each time by the same matrix and by a slope of tanh:

    $$dh_{{t-1}} = W_{{hh}}^\top \left( (1 - h_t^2) \odot dh_t \right)$$

    After $k$ steps this is a product of $k$ factors. If they are smaller than 1, the gradient vanishes; if they are larger, it explodes.
    """)
    return


@app.cell
def _():
    scale = mo.ui.slider(0.5, 2.0, step=0.1, value=1.0, label="size of the recurrent weights", show_value=True, full_width=True)
    keep = mo.ui.slider(-1, 5, step=0.5, value=3, label="bias of the gate that keeps: f, z", show_value=True, full_width=True)
    mo.vstack([mo.md("## See it: how much gradient reaches each step"), scale, keep])
    return keep, scale


@app.cell
def _():
    STEPS, UNITS = 60, 24
    rng = np.random.default_rng(0)
    sequence = rng.normal(size=(STEPS, 8, 4))  # (T,N,D)
    w_xh = rng.normal(size=(4, UNITS)) / 2
    orthogonal = np.linalg.qr(rng.normal(size=(UNITS, UNITS)))[0]  # rotates a vector and keeps its length
    direction = rng.normal(size=(8, UNITS))
    w, u = rng.normal(size=(4, 4 * UNITS)) / 2, 0.3 * rng.normal(size=(UNITS, 4 * UNITS)) / np.sqrt(UNITS)  # weights of all gates

    def by_step(inputs):
        """The length of the gradient with respect to the input of each step, relative to the last step's."""
        lengths = np.array([np.sqrt((x.grad**2).sum()) for x in inputs])
        return lengths / lengths[-1]

    def of_tanh(scale):
        inputs = [Tensor(x, requires_grad=True) for x in sequence]
        h = np.zeros((8, UNITS))
        for x in inputs:
            h = ops.simple_rnn_step(x, h, w_xh, scale * orthogonal, np.zeros(UNITS))
        (h * direction).sum().backward()
        return by_step(inputs)

    def of_lstm(keep):
        inputs = [Tensor(x, requires_grad=True) for x in sequence]
        bias = np.zeros(4 * UNITS)
        bias[UNITS : 2 * UNITS] = keep  # the order is i, f, g, o
        h = c = np.zeros((8, UNITS))
        for x in inputs:
            h, c = ops.lstm_step(x, h, c, w, u, bias)
        (h * direction).sum().backward()
        return by_step(inputs)

    def of_gru(keep):
        inputs = [Tensor(x, requires_grad=True) for x in sequence]
        bias = np.zeros((2, 3 * UNITS))
        bias[0, :UNITS] = keep  # the order is z, r, g
        h = np.zeros((8, UNITS))
        for x in inputs:
            h = ops.gru_step(x, h, w[:, : 3 * UNITS], u[:, : 3 * UNITS], bias)
        (h * direction).sum().backward()
        return by_step(inputs)

    return STEPS, of_gru, of_lstm, of_tanh


@app.cell
def _(keep, of_gru, of_lstm, of_tanh, scale):
    tanh_gradient, lstm_gradient, gru_gradient = of_tanh(scale.value), of_lstm(keep.value), of_gru(keep.value)

    left_of_tanh, left_of_lstm, left_of_gru = of_tanh(1.0)[0], of_lstm(3.0)[0], of_gru(3.0)[0]
    larger, exploded = of_tanh(1.5)[0], of_tanh(2.0)[0]
    assert left_of_tanh < 1e-3 < min(left_of_lstm, left_of_gru)
    return exploded, gru_gradient, larger, left_of_gru, left_of_lstm, left_of_tanh, lstm_gradient, tanh_gradient


@app.cell(hide_code=True)
def _(gru_gradient, lstm_gradient, tanh_gradient):
    _back = np.arange(len(tanh_gradient))[::-1]
    _figure, _axis = canvas(height=2.8)
    _axis.semilogy(_back, np.maximum(tanh_gradient, 1e-30), color=RED, label="tanh recurrence")
    _axis.semilogy(_back, np.maximum(lstm_gradient, 1e-30), color=BLUE, label="LSTM")
    _axis.semilogy(_back, np.maximum(gru_gradient, 1e-30), color=BLUE, linestyle="--", label="GRU")
    _axis.axhline(np.finfo(np.float32).eps, color=GREY, linewidth=0.8)
    _axis.text(59, 2e-7, "a digit of float32", color=GREY, ha="right")
    _axis.set(xlabel="steps before the end", ylabel="gradient (share of last)", ylim=(1e-20, 1e4))
    _axis.legend(loc="lower left", frameon=False)
    show(
        _figure,
        "How much gradient reaches an input, against how many steps it lies before the end, on a logarithmic scale: a straight "
        "fall for the tanh recurrence, much slower ones for the LSTM and the GRU.",
    )
    return


@app.cell(hide_code=True)
def _(STEPS, exploded, gru_gradient, larger, left_of_gru, left_of_lstm, left_of_tanh, lstm_gradient, scale, tanh_gradient):
    _kept = 1 / (1 + np.exp(-3))
    _at_two = f"the gradient has **grown** {exploded:.0f}-fold" if exploded > 1 else f"it is {exploded:.1g}"
    mo.md(f"""
    With weights of size {scale.value:g}, {tanh_gradient[0]:.1g} of the gradient reaches the first of {STEPS} steps in the tanh recurrence,
    {lstm_gradient[0]:.1g} in the LSTM and {gru_gradient[0]:.1g} in the GRU. A straight line on this scale *is* a product of equal factors.

    At a size of exactly 1, the matrix only rotates the gradient and keeps its length. That only {left_of_tanh:.1g} is left is then
    due to the slopes $1 - h^2$ alone, which are at most 1. Larger weights compensate for them, and soon too much: at 1.5 a share of
    {larger:.1g} is left, and at 2 {_at_two}. No size is right for every sequence, and training changes it.

    ## A gate

    The {term("long short-term memory")} (LSTM) has a second state, the {term("cell state")} $c$. Each {term("gate")} is a number between 0 and 1:
    $f$ controls how much of $c$ is kept, $i$ how much of a candidate $g$ is added, and $o$ how much of $c$ is shown. All four are
    computed from the input and the last state, each with weights of its own; $\\sigma$ is the sigmoid:

    $$f = \\sigma(W_f x_t + U_f h_{{t-1}} + b_f)$$

    $$i = \\sigma(W_i x_t + U_i h_{{t-1}} + b_i)$$

    $$o = \\sigma(W_o x_t + U_o h_{{t-1}} + b_o)$$

    $$g = \\tanh(W_g x_t + U_g h_{{t-1}} + b_g)$$

    $$c_t = f \\odot c_{{t-1}} + i \\odot g$$

    $$h_t = o \\odot \\tanh(c_t)$$

    On its way back along $c$ itself, the gradient is multiplied by $f$ only, not by a matrix or a slope of tanh. (A second way leads
    through the gates, which read $h_{{t-1}}$: there the matrices $U$ and slopes are, and it vanishes as before.) With f near 1 it travels
    far: with a bias of 3, f is about {_kept:.2f}, {_kept:.2f} to the power of {STEPS} is {_kept**STEPS:.1g}, and {left_of_lstm:.1g} of the gradient
    arrives. This is why Keras starts the bias of $f$ at 1, not 0. Move the slider of this bias.

    The {term("gated recurrent unit")} (GRU) needs no second state. The gate $z$ mixes the old state with a candidate $g$, and the gate
    $r$ controls how much of the old state enters the candidate:

    $$z = \\sigma(W_z x_t + U_z h_{{t-1}} + b_z)$$

    $$r = \\sigma(W_r x_t + U_r h_{{t-1}} + b_r)$$

    $$g = \\tanh(W_g x_t + b_0 + r \\odot s)$$

    $$s = U_g h_{{t-1}} + b_1$$

    $$h_t = z \\odot h_{{t-1}} + (1 - z) \\odot g$$

    Along the first term, the gradient is multiplied by $z$ only: with the same bias, {left_of_gru:.1g} of it arrives. The GRU has three
    matrices instead of four, and one state.

    ## The engine's code
    """)
    return


@app.cell(hide_code=True)
def _():
    card("simple_rnn", "backward")
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    Its loop is the equation above, from the last step to the first. The LSTM's step, where `h, c` are the states, and its backward:
    """)
    return


@app.cell(hide_code=True)
def _():
    code(lstm_cell, lstm_cell_backward)
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    And the GRU's:
    """)
    return


@app.cell(hide_code=True)
def _():
    code(gru_cell, gru_cell_backward)
    return


@app.cell(hide_code=True)
def _(STEPS):
    mo.md(f"""
    ## A question

    A recurrence without tanh, $h_t = W h_{{t-1}} + x_t$, has no slopes below 1. Does it solve the problem?

    /// details | Answer
    No, it replaces one problem by another. With eigenvalues of 0.9, {0.9**STEPS:.1g} of a gradient is left after {STEPS} steps; with 1.1, it has
    grown {1.1**STEPS:.0f}-fold. Only eigenvalues of exactly 1 preserve it, and training changes the weights. A gate *chooses* its factor at
    every step from its input. Attention, in lesson 12, has no chain of factors at all.
    ///
    """)
    return


@app.cell(hide_code=True)
def _():
    foot(8)
    return


if __name__ == "__main__":
    app.run()
