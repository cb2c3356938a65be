"""The tanh recurrence: a network with a memory · 循环神经网络

Minutes: 25
Exercises: rnn_step
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(app_title="The tanh recurrence", css_file="lesson.css")

with app.setup:
    import marimo as mo
    import numpy as np

    import tinydx
    from tinydx import ops

    tinydx.use("numpy")  # the code that the cards show, which needs no compilation

    from tinydx.evaluation import roc_auc
    from tinydx.layers import Dense, SimpleRNN
    from tinydx.lessons.page import BLUE, GREY, RED, both, canvas, card, foot, head, number, short, show, term, text
    from tinydx.models import Sequential
    from tinydx.optimizers import Adam


@app.cell(hide_code=True)
def _():
    head("recurrence")
    return


@app.cell(hide_code=True)
def _():
    text(
        rf"""
    After this lesson you can

    - read the document's recurrence, and say what its {term("hidden state")} is for;
    - predict from one weight how long it remembers;
    - train it to distinguish a regular heart rhythm from an irregular one with the same average.

    ## The equation

    A {term("recurrent neural network")} reads a sequence step by step. The state $h$ represents what it has read so far:

    $$h_t = \tanh(W_{{hh}} h_{{t-1}} + W_{{xh}} x_t + b_h)$$

    $$y_t = W_{{hy}} h_t + b_y$$

    The same three matrices are used at every {term("time step")}, so a sequence may have any length.
    """,
        rf"""
    学完这一课，你能够

    - 读懂文中的循环公式，并说出{term("hidden state")}的用处；
    - 由一个权重预测它能记多久；
    - 训练它区分平均值相同的规则心律与不规则心律。

    ## 公式

    {term("recurrent neural network")}逐步读入一个序列。状态 $h$ 代表它到目前为止读过的内容：

    $$h_t = \tanh(W_{{hh}} h_{{t-1}} + W_{{xh}} x_t + b_h)$$

    $$y_t = W_{{hy}} h_t + b_y$$

    每个{term("time step")}用的都是同样三个矩阵，所以序列可以是任何长度。
    """,
    )
    return


@app.cell
def _():
    weight = mo.ui.slider(-1.2, 1.5, step=0.05, value=0.9, label="recurrent weight · 循环权重", show_value=True, full_width=True)
    _about = text(
        """
    ## See it

    One unit, and one short pulse at step 5. How long does the unit remember?
    """,
        """
    ## 看一看

    一个单元，在第 5 步有一个短脉冲。这个单元能记多久？
    """,
    )
    mo.vstack([_about, weight])
    return (weight,)


@app.cell
def _(weight):
    pulse = np.zeros((1, 60, 1))
    pulse[0, 4] = 1.0  # step 5

    def states(w):
        """h_1 ... h_T of one unit whose input weight is 1/2."""
        return ops.simple_rnn(pulse, np.zeros((1, 1)), np.full((1, 1), 0.5), np.full((1, 1), float(w)))[0, :, 0]

    h = states(weight.value)
    peak = np.abs(h).max()
    remembered = int((np.abs(h) > peak / 10).sum())
    known = states(0.5)
    assert np.allclose(known[40:] / known[39:-1], 0.5)  # once h is small, each step multiplies it by the weight
    return h, pulse, remembered, states


@app.cell(hide_code=True)
def _(h, pulse, weight):
    _steps = np.arange(1, len(h) + 1)
    _figure, (_above, _below) = canvas(2, 1, height=2.8, sharex=True, height_ratios=(1, 2.5))
    _above.bar(_steps, pulse[0, :, 0], color=GREY)
    _above.set(ylabel="x", yticks=[0, 1])
    _below.plot(_steps, h, ".-", color=BLUE)
    _below.axhline(0, color=GREY, linewidth=0.8)
    _below.set(xlabel="time (steps)", ylabel="state h (no unit)", ylim=(-1, 1))
    show(
        _figure,
        f"The state of one unit after a pulse, with a recurrent weight of {weight.value}.",
        f"一个单元在脉冲之后的状态，循环权重为 {weight.value}。",
    )
    return


@app.cell(hide_code=True)
def _(remembered, weight):
    _more = both(", and longer than the figure shows", "，比图中显示的还要久") if remembered > 50 else both("", "")
    text(
        f"""
    With a weight of {weight.value:g} the state keeps more than a tenth of its peak for **{remembered} steps**{_more.en}.
    When h is small, tanh is almost linear, and every step multiplies h by the weight: with 0.5 the unit forgets quickly, with 0.95
    slowly, and with a negative weight h changes its sign at every step. With a weight above 1, h grows until tanh limits it: the
    unit has two stable states and remembers for ever, like a switch. Lesson {number("through_time")} shows what this means for the
    gradient.

    ## The code

    Reading a whole sequence is a loop; the matrices stand on the right because a row is a sequence.
    """,
        f"""
    权重为 {weight.value:g} 时，状态在 **{remembered} 步**内保持在峰值的十分之一以上{_more.zh}。
    h 小的时候，双曲正切几乎是线性的，每一步都把 h 乘以权重：0.5 忘得快，0.95 忘得慢，
    权重为负则 h 每一步变号。权重大于 1 时，h 不断增大，直到被双曲正切限制住：
    这个单元有两个稳定状态，像开关一样永远记住。第 {number("through_time")} 课说明这对梯度意味着什么。

    ## 代码

    读完整个序列，只是一个循环；矩阵写在右边，因为一行是一个序列。
    """,
    )
    return


@app.cell
def _():
    def read(x, h, w_xh, w_hh, b):
        for t in range(x.shape[1]):
            h = np.tanh(x[:, t] @ w_xh + h @ w_hh + b)
        return h

    return (read,)


@app.cell(hide_code=True)
def _(read):
    _rng = np.random.default_rng(0)
    _x, _h = _rng.normal(size=(2, 5, 3)), np.zeros((2, 4))
    _weights = _rng.normal(size=(3, 4)), _rng.normal(size=(4, 4)), _rng.normal(size=4)
    np.testing.assert_allclose(read(_x, _h, *_weights), ops.simple_rnn(_x, _h, *_weights)[:, -1])
    short(read)
    return


@app.cell(hide_code=True)
def _():
    text(
        """
    One step in the engine, index by index, and its gradient:
    """,
        """
    引擎中的一步，它的逐项写法和它的梯度：
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    card("simple_rnn_step", "literal", "forward", "backward")
    return


@app.cell(hide_code=True)
def _():
    text(
        """
    ## Regular or irregular?

    The data are generated, not measured: 24 intervals between heartbeats, in seconds. In a regular rhythm they rise and fall
    slowly, as with breathing. An irregular rhythm is a regular one with **its intervals in random order**, so that mean and spread
    contain no information. Only a model that reads the order of the beats can distinguish them.
    """,
        """
    ## 规则还是不规则？

    数据是生成的，不是测量的：心跳之间的 24 个间隔，单位是秒。规则心律的间隔缓慢起伏，如同随呼吸变化。
    不规则心律是把规则心律的**间隔随机打乱**，所以平均值和离散程度不含任何信息。
    只有读懂心跳顺序的模型才能区分它们。
    """,
    )
    return


@app.cell
def _():
    def rhythms(n, seed, beats=24):
        """RR intervals (N,T,1) in seconds, and labels, 1 for irregular: every second rhythm is shuffled."""
        rng = np.random.default_rng(seed)
        start, period, depth = rng.uniform(0, 6.3, (n, 1)), rng.uniform(6, 12, (n, 1)), rng.uniform(0.05, 0.15, (n, 1))
        beat = np.arange(beats)
        intervals = rng.uniform(0.7, 0.9, (n, 1)) + depth * np.sin(start + 6.2832 * beat / period)
        intervals += rng.normal(0, 0.01, intervals.shape)
        irregular = np.arange(n) % 2
        shuffled = np.array([rng.permutation(row) if odd else row for row, odd in zip(intervals, irregular, strict=True)])
        return shuffled[..., None].astype("float32"), irregular

    x_train, y_train = rhythms(600, seed=0)
    x_test, y_test = rhythms(300, seed=1)
    return x_test, x_train, y_test, y_train


@app.cell(hide_code=True)
def _(x_test):
    _figure, _axes = canvas(1, 2, height=2.0, sharey=True)
    for _axis, _k, _title, _colour in ((_axes[0], 0, "regular", BLUE), (_axes[1], 1, "irregular", RED)):
        for _row in x_test[_k:6:2]:
            _axis.plot(np.arange(1, 25), _row[:, 0], color=_colour, alpha=0.7)
        _axis.set(title=f"{_title} (generated)", xlabel="beat (number)")
    _axes[0].set_ylabel("interval (s)")
    show(
        _figure,
        "Three regular and three irregular generated heart rhythms: the interval between beats against the number of the beat.",
        "三个规则和三个不规则的生成心律：心跳间隔随心跳序号的变化。",
    )
    return


@app.cell
def _(x_test, x_train, y_test, y_train):
    tinydx.set_seed(0)
    tinydx.set_threads(1)  # such small matrices are fastest on one core
    middle, spread = x_train.mean(), x_train.std()
    model = Sequential([SimpleRNN(16, input_shape=(24, 1)), Dense(1, activation="sigmoid")])
    model.compile(optimizer=Adam(0.01), loss="binary_crossentropy", metrics=["accuracy"])
    epochs = 25
    model.fit((x_train - middle) / spread, y_train, batch_size=30, epochs=epochs, verbose=0)
    p = model.predict((x_test - middle) / spread)[:, 0]

    auc = roc_auc(y_test, p)
    auc_of_mean = roc_auc(y_test, x_test.mean(axis=(1, 2)))
    auc_of_spread = roc_auc(y_test, x_test.std(axis=(1, 2)))
    units, parameters = model.layers[0].units, model.count_params()
    return auc, auc_of_mean, auc_of_spread, epochs, p, parameters, units


@app.cell(hide_code=True)
def _(auc, auc_of_mean, auc_of_spread, epochs, parameters, units, y_test):
    _learned = both("has learned to use it", "学会了利用它")
    if auc <= max(auc_of_mean, auc_of_spread) + 0.1:
        _learned = both("has **not** learned to use it in this training", "在这次训练中**没有**学会利用它")
    text(
        f"""
    The network has {units} units and {parameters} parameters and was trained for {epochs} epochs. The area under the ROC curve, on
    {len(y_test)} rhythms that were not used in training:

    | based on | area |
    |---|---|
    | the mean interval | {auc_of_mean:.3f} |
    | the spread of the intervals | {auc_of_spread:.3f} |
    | the recurrence | **{auc:.3f}** |

    One half is guessing. Only the order of the beats contains information, and the recurrence {_learned.en}.

    ## A question

    Could the document's CNN, with kernels of 3 beats and a mean over all places, do the same?

    /// details | Answer
    Yes: "this interval differs from its two neighbours" needs a window of 3 beats and no memory. A recurrence is needed where the
    distance is not known in advance: "the first beat after the last pause". The next lesson shows how far back it can learn to look.
    ///
    """,
        f"""
    网络有 {units} 个单元、{parameters} 个参数，训练了 {epochs} 个轮次。在没有用于训练的 {len(y_test)} 个心律上，
    ROC 曲线下的面积是：

    | 依据 | 面积 |
    |---|---|
    | 平均间隔 | {auc_of_mean:.3f} |
    | 间隔的离散程度 | {auc_of_spread:.3f} |
    | 循环网络 | **{auc:.3f}** |

    一半就是瞎猜。只有心跳的顺序含有信息，循环网络{_learned.zh}。

    ## 一个问题

    文中的卷积网络，用跨 3 次心跳的卷积核并对所有位置取平均，能做到同样的事吗？

    /// details | 答案
    能：“这个间隔与左右两个不同”只需要 3 次心跳的窗口，不需要记忆。如果距离事先不知道，就需要循环：
    “上一次停顿之后的第一次心跳”。下一课说明它能学会往回看多远。
    ///
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    foot("recurrence")
    return


if __name__ == "__main__":
    app.run()
