"""Milestone 5: heart sounds, read by four recurrences."""

import functools

import numpy as np

from tinydx import ops
from tinydx.datasets.heart import make_heart_sounds
from tinydx.exercises.milestones.engine import Engine
from tinydx.exercises.milestones.milestone import Milestone
from tinydx.exercises.milestones.training import AREA, Examples, Run, adam, batches, descend, drawn, of_two
from tinydx.language import sentence
from tinydx.tensor import Tensor, no_grad

FRAME, HOP = 400, 200  # samples at 2000 Hz: a fifth of a second, moved by a tenth
BANDS, INPUTS, UNITS = 10, 8, 6


@functools.cache
def sounds() -> Examples:
    """Synthetic heart sounds of 2 seconds; classes 1 abnormal (a murmur between the beats), 0 normal."""
    x, labels = make_heart_sounds(160, seed=20, seconds=2.0)
    x = x.astype(float)
    return Examples(x[:112], 1 - labels[:112], x[112:], 1 - labels[112:], list(x[112:]))


def train(engine: Engine) -> Run:
    """x (N,T,10) bands -> tanh (N,T,8) -> four recurrences, their last states side by side (N,24), a gate -> a score."""
    data, rng = sounds(), np.random.default_rng(7)
    x, x_test = (np.array([bands(engine, sound) for sound in some]) for some in (data.x, data.x_test))
    x, x_test = (x - x.mean(axis=(0, 1))) / x.std(axis=(0, 1)), (x_test - x.mean(axis=(0, 1))) / x.std(axis=(0, 1))
    d, u = INPUTS, UNITS
    w = drawn(rng, w0=(BANDS, d), b0=(d,), wx=(d, u), wh=(u, u), b=(u,), vx=(d, u), vh=(u, u), c=(u,))
    w |= drawn(rng, lw=(d, 4 * u), lu=(u, 4 * u), lb=(4 * u,), gw=(d, 3 * u), gu=(u, 3 * u))
    w |= drawn(rng, w1=(4 * u, 4 * u), b1=(4 * u,), w2=(4 * u, 1), b2=(1,))
    w["gb"] = Tensor(np.zeros((2, 3 * u)), requires_grad=True)
    affine, tanh, sigmoid, rnn = (engine.op(name) for name in ("broadcasting", "tanh", "sigmoid", "bptt"))
    rnn_step, lstm_step, gru_step = (engine.op(name) for name in ("rnn_step", "lstm_step", "gru_step"))
    dense, loss = engine.op("dense"), engine.op("sigmoid_bce")

    def scores(x: np.ndarray) -> Tensor:
        steps, nothing = x.shape[1], Tensor(np.zeros((len(x), u)))
        inputs = tanh(affine(Tensor(x), w["w0"], w["b0"]))
        forwards = rnn(inputs, nothing, w["wx"], w["wh"], w["b"])[:, -1]
        backwards, h, c, g = nothing, nothing, nothing, nothing
        for t in range(steps):
            backwards = rnn_step(inputs[:, steps - 1 - t], backwards, w["vx"], w["vh"], w["c"])
            h, c = lstm_step(inputs[:, t], h, c, w["lw"], w["lu"], w["lb"])
            g = gru_step(inputs[:, t], g, w["gw"], w["gu"], w["gb"])
        states = ops.concatenate(forwards, backwards, h, g)
        return dense(states * sigmoid(dense(states, w["w1"], w["b1"])), w["w2"], w["b2"])

    def loss_of(rows: np.ndarray) -> Tensor:
        return loss(scores(x[rows]), target=data.y[rows, None].astype(float))

    losses = descend(w, loss_of, adam(engine, 0.02), batches(rng, len(x), 28, 40))
    with no_grad():
        abnormal = 1 / (1 + np.exp(-scores(x_test).data[:, 0]))
    return Run(losses, of_two(abnormal), data.y_test, {AREA: float(engine.call("roc_area", data.y_test == 1, abnormal))})


def bands(engine: Engine, sound: np.ndarray) -> np.ndarray:
    """A recording (L,) -> (T,10): the mean of the spectrum, in dB, in ten bands up to 500 Hz."""
    spectrum = engine.call("spectrum", sound, FRAME, HOP)
    return spectrum[:, :100].reshape(len(spectrum), BANDS, 10).mean(axis=2)


MILESTONE = Milestone(
    title="Heart sounds, read four times",
    chinese="心音：四种循环网络",
    about=sentence(
        "Synthetic heart sounds, with or without a murmur. spectrum turns each into frames of ten bands, and broadcasting "
        "with tanh gives every frame 8 numbers. Four recurrences read them: bptt forwards, rnn_step backwards from the end, "
        "lstm_step and gru_step. Their last states stand side by side, a gate of dense and sigmoid weighs them, and a dense "
        "layer gives the score."
    ),
    names=(
        *("dense", "sigmoid", "tanh", "sigmoid_bce", "adam", "roc_area", "broadcasting", "bptt"),
        *("rnn_step", "lstm_step", "gru_step", "spectrum"),
    ),
    train=train,
    examples=sounds,
)
