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

    from tinydx.lessons.page import BLUE, GREY, RED, both, canvas, card, code, foot, head, number, short, show, term, text
    from tinydx.ops.gru import cell as gru_cell
    from tinydx.ops.gru import cell_backward as gru_cell_backward
    from tinydx.ops.lstm import cell as lstm_cell
    from tinydx.ops.lstm import cell_backward as lstm_cell_backward


@app.cell(hide_code=True)
def _():
    head("through_time")
    return


@app.cell(hide_code=True)
def _():
    text(
        rf"""
    After this lesson you can

    - write {term("backpropagation through time")}, and say what it multiplies at every step;
    - explain the {term("vanishing gradient")}, and measure it;
    - say which part of an LSTM and of a GRU keeps a gradient from vanishing.

    ## The equation

    The loss depends on the last state $h_T$. How much does it depend on an input $k$ steps earlier? On its way back, the gradient
    passes every state in between, and the {term("chain rule")} multiplies it each time by the same matrix and by a slope of tanh:

    $$dh_{{t-1}} = W_{{hh}}^\top \left( (1 - h_t^2) \odot dh_t \right)$$

    After $k$ steps this is a product of $k$ factors. If they are smaller than 1, the gradient vanishes; if they are larger, it explodes.
    """,
        rf"""
    学完这一课，你能够

    - 写出{term("backpropagation through time")}，并说出它每一步乘以什么；
    - 解释{term("vanishing gradient")}，并把它量出来；
    - 说出 LSTM 和 GRU 的哪一部分使梯度不消失。

    ## 公式

    损失取决于最后的状态 $h_T$。它在多大程度上取决于 $k$ 步之前的输入？梯度在返回的路上经过中间的每个状态，
    {term("chain rule")}每次都乘以同一个矩阵，再乘以双曲正切的斜率：

    $$dh_{{t-1}} = W_{{hh}}^\top \left( (1 - h_t^2) \odot dh_t \right)$$

    $k$ 步之后，它是 $k$ 个因子的乘积。因子小于 1，梯度消失；因子大于 1，梯度爆炸。
    """,
    )
    return


@app.cell
def _():
    scale = mo.ui.slider(
        0.5, 2.0, step=0.1, value=1.0, label="size of the recurrent weights · 循环权重的大小", show_value=True, full_width=True
    )
    keep = mo.ui.slider(
        -1, 5, step=0.5, value=3, label="bias of the gate that keeps · 保留门控的偏置: f, z", show_value=True, full_width=True
    )
    _about = text(
        """
    ## See it: how much gradient reaches each step
    """,
        """
    ## 看一看：有多少梯度到达每一步
    """,
    )
    mo.vstack([_about, scale, keep])
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
        "有多少梯度到达某个输入，随它离末尾的步数变化，对数坐标：循环网络直线下降，LSTM 和 GRU 慢得多。",
    )
    return


@app.cell(hide_code=True)
def _(STEPS, exploded, gru_gradient, larger, left_of_gru, left_of_lstm, left_of_tanh, lstm_gradient, scale, tanh_gradient):
    _kept = 1 / (1 + np.exp(-3))
    _at_two = both(f"it is {exploded:.1g}", f"是 {exploded:.1g}")
    if exploded > 1:
        _at_two = both(f"the gradient has **grown** {exploded:.0f}-fold", f"梯度**增大**到 {exploded:.0f} 倍")
    text(
        f"""
    With weights of size {scale.value:g}, {tanh_gradient[0]:.1g} of the gradient reaches the first of {STEPS} steps in the tanh recurrence,
    {lstm_gradient[0]:.1g} in the LSTM and {gru_gradient[0]:.1g} in the GRU. A straight line on this scale *is* a product of equal factors.

    At a size of exactly 1, the matrix only rotates the gradient and keeps its length. That only {left_of_tanh:.1g} is left is then
    due to the slopes $1 - h^2$ alone, which are at most 1. Larger weights compensate for them, and soon too much: at 1.5 a share of
    {larger:.1g} is left, and at 2 {_at_two.en}. No size is right for every sequence, and training changes it.

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

    ## The code

    The equation above, from the last step to the first, is a loop.
    """,
        f"""
    权重大小为 {scale.value:g} 时，在 {STEPS} 步中，到达第一步的梯度在双曲正切循环中是 {tanh_gradient[0]:.1g}，
    在 LSTM 中是 {lstm_gradient[0]:.1g}，在 GRU 中是 {gru_gradient[0]:.1g}。这种坐标上的直线*就是*相同因子的乘积。

    大小正好为 1 时，矩阵只旋转梯度而不改变它的长度。只剩下 {left_of_tanh:.1g}，那就完全是
    斜率 $1 - h^2$ 造成的，它们最多是 1。更大的权重能补偿，但很快就过头了：1.5 时剩下
    {larger:.1g}，2 时{_at_two.zh}。没有哪个大小适合所有序列，而且训练会改变它。

    ## 门控

    {term("long short-term memory")}（LSTM）有第二个状态，即{term("cell state")} $c$。每个{term("gate")}是 0 与 1 之间的数：
    $f$ 控制保留多少 $c$，$i$ 控制加入多少候选值 $g$，$o$ 控制显示多少 $c$。四者都由输入和上一个状态算出，
    各有自己的权重；$\\sigma$ 是 S 形函数：

    $$f = \\sigma(W_f x_t + U_f h_{{t-1}} + b_f)$$

    $$i = \\sigma(W_i x_t + U_i h_{{t-1}} + b_i)$$

    $$o = \\sigma(W_o x_t + U_o h_{{t-1}} + b_o)$$

    $$g = \\tanh(W_g x_t + U_g h_{{t-1}} + b_g)$$

    $$c_t = f \\odot c_{{t-1}} + i \\odot g$$

    $$h_t = o \\odot \\tanh(c_t)$$

    沿着 $c$ 本身返回时，梯度只乘以 $f$，不乘矩阵，也不乘双曲正切的斜率。（另一条路经过读入 $h_{{t-1}}$ 的门控：
    那里有矩阵 $U$ 和斜率，梯度照样消失。）f 接近 1 时它传得很远：偏置为 3 时 f 约为 {_kept:.2f}，
    {_kept:.2f} 的 {STEPS} 次方是 {_kept**STEPS:.1g}，而到达的梯度是 {left_of_lstm:.1g}。
    所以 Keras 让 $f$ 的偏置从 1 开始，而不是 0。移动这个偏置的滑块。

    {term("gated recurrent unit")}（GRU）不需要第二个状态。门控 $z$ 把旧状态与候选值 $g$ 混合，门控 $r$
    控制旧状态有多少进入候选值：

    $$z = \\sigma(W_z x_t + U_z h_{{t-1}} + b_z)$$

    $$r = \\sigma(W_r x_t + U_r h_{{t-1}} + b_r)$$

    $$g = \\tanh(W_g x_t + b_0 + r \\odot s)$$

    $$s = U_g h_{{t-1}} + b_1$$

    $$h_t = z \\odot h_{{t-1}} + (1 - z) \\odot g$$

    沿着第一项，梯度只乘以 $z$：偏置相同时，到达 {left_of_gru:.1g}。GRU 有三组矩阵而不是四组，只有一个状态。

    ## 代码

    上面的公式，从最后一步到第一步，只是一个循环。
    """,
    )
    return


@app.cell
def _():
    def through_time(dh, states, w_hh):
        gradients = []
        for h in reversed(states):
            dz = (1 - h**2) * dh
            gradients.insert(0, dz)  # of what tanh was given
            dh = dz @ w_hh.T
        return gradients

    return (through_time,)


@app.cell(hide_code=True)
def _(through_time):
    _rng = np.random.default_rng(0)
    _x, _w, _u = _rng.normal(size=(2, 5, 3)), _rng.normal(size=(3, 4)), _rng.normal(size=(4, 4))
    _y, _saved = ops.simple_rnn.forward(_x, np.zeros((2, 4)), _w, _u, np.zeros(4))
    _dy = np.zeros_like(_y)
    _dy[:, -1] = _rng.normal(size=(2, 4))  # the loss depends on the last state
    _dz = through_time(_dy[:, -1], [_y[:, t] for t in range(5)], _u)
    np.testing.assert_allclose(np.stack(_dz, axis=1) @ _w.T, ops.simple_rnn.backward(_dy, _saved)[0])
    short(through_time)
    return


@app.cell(hide_code=True)
def _():
    text(
        """
    The engine's loop also handles masks, and a gradient of its own at each step:
    """,
        """
    引擎中的循环还处理掩码和每一步自己的梯度：
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    card("simple_rnn", "backward")
    return


@app.cell(hide_code=True)
def _():
    text(
        """
    The LSTM's step, where `h, c` are the states, and its backward:
    """,
        """
    LSTM 的一步，其中 `h, c` 是状态，以及它的反向函数：
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    code(lstm_cell, lstm_cell_backward)
    return


@app.cell(hide_code=True)
def _():
    text(
        """
    And the GRU's:
    """,
        """
    GRU 的：
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    code(gru_cell, gru_cell_backward)
    return


@app.cell(hide_code=True)
def _(STEPS):
    text(
        f"""
    ## A question

    A recurrence without tanh, $h_t = W h_{{t-1}} + x_t$, has no slopes below 1. Does it solve the problem?

    /// details | Answer
    No, it replaces one problem by another. With eigenvalues of 0.9, {0.9**STEPS:.1g} of a gradient is left after {STEPS} steps; with 1.1, it has
    grown {1.1**STEPS:.0f}-fold. Only eigenvalues of exactly 1 preserve it, and training changes the weights. A gate *chooses* its factor at
    every step from its input. Attention, in lesson {number("translation")}, has no chain of factors at all.
    ///
    """,
        f"""
    ## 一个问题

    没有双曲正切的循环 $h_t = W h_{{t-1}} + x_t$，没有小于 1 的斜率。它解决问题了吗？

    /// details | 答案
    没有，它用一个问题换了另一个问题。特征值为 0.9 时，{STEPS} 步之后梯度剩下 {0.9**STEPS:.1g}；为 1.1 时，它增大到
    {1.1**STEPS:.0f} 倍。只有特征值正好为 1 才能保持梯度，而训练会改变权重。门控则在每一步根据输入*选择*它的因子。
    第 {number("translation")} 课的注意力机制，根本没有因子的连乘。
    ///
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    foot("through_time")
    return


if __name__ == "__main__":
    app.run()
