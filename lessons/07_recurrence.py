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
    from tinydx.lessons.page import BLUE, GREY, RED, canvas, card, foot, head, show, term
    from tinydx.models import Sequential
    from tinydx.optimizers import Adam


@app.cell(hide_code=True)
def _():
    head(7)
    return


@app.cell(hide_code=True)
def _():
    mo.md(rf"""
    After this lesson you can

    - read the document's recurrence, and say what its {term("hidden state")} is for;
    - predict from one weight how long it remembers;
    - train it to distinguish a regular heart rhythm from an irregular one with the same average.

    ## The equation

    A {term("recurrent neural network")} reads a sequence step by step. The state $h$ represents what it has read so far:

    $$h_t = \tanh(W_{{hh}} h_{{t-1}} + W_{{xh}} x_t + b_h)$$

    $$y_t = W_{{hy}} h_t + b_y$$

    The same three matrices are used at every {term("time step")}, so a sequence may have any length.
    """)
    return


@app.cell
def _():
    weight = mo.ui.slider(-1.2, 1.5, step=0.05, value=0.9, label="recurrent weight", show_value=True, full_width=True)
    mo.vstack([mo.md("## See it\n\nOne unit, and one short pulse at step 5. How long does the unit remember?"), weight])
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
    show(_figure, f"The state of one unit after a pulse, with a recurrent weight of {weight.value}.")
    return


@app.cell(hide_code=True)
def _(remembered, weight):
    _more = ", and longer than the figure shows" if remembered > 50 else ""
    mo.md(f"""
    With a weight of {weight.value:g} the state keeps more than a tenth of its peak for **{remembered} steps**{_more}.
    When h is small, tanh is almost linear, and every step multiplies h by the weight: with 0.5 the unit forgets quickly, with 0.95
    slowly, and with a negative weight h changes its sign at every step. With a weight above 1, h grows until tanh limits it: the
    unit has two stable states and remembers for ever, like a switch. Lesson 8 shows what this means for the gradient.

    ## The engine's code
    """)
    return


@app.cell(hide_code=True)
def _():
    card("simple_rnn_step", "literal", "forward", "backward")
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Regular or irregular?

    The data are generated, not measured: 24 intervals between heartbeats, in seconds. In a regular rhythm they rise and fall
    slowly, as with breathing. An irregular rhythm is a regular one with **its intervals in random order**, so that mean and spread
    contain no information. Only a model that reads the order of the beats can distinguish them.
    """)
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
    _learned = "has learned to use it" if auc > max(auc_of_mean, auc_of_spread) + 0.1 else "has **not** learned to use it in this training"
    mo.md(f"""
    The network has {units} units and {parameters} parameters and was trained for {epochs} epochs. The area under the ROC curve, on
    {len(y_test)} rhythms that were not used in training:

    | based on | area |
    |---|---|
    | the mean interval | {auc_of_mean:.3f} |
    | the spread of the intervals | {auc_of_spread:.3f} |
    | the recurrence | **{auc:.3f}** |

    One half is guessing. Only the order of the beats contains information, and the recurrence {_learned}.

    ## A question

    Could the document's CNN, with kernels of 3 beats and a mean over all places, do the same?

    /// details | Answer
    Yes: "this interval differs from its two neighbours" needs a window of 3 beats and no memory. A recurrence is needed where the
    distance is not known in advance: "the first beat after the last pause". The next lesson shows how far back it can learn to look.
    ///
    """)
    return


@app.cell(hide_code=True)
def _():
    foot(7)
    return


if __name__ == "__main__":
    app.run()
