"""An LSTM step: the gradients · 长短期记忆网络

The LSTM keeps a second state c, which a gate f lets fade and a gate i fills: along c a gradient can travel many steps
without vanishing. The gates i and f, the candidate g and the gate o stand side by side in one matrix, in this order,
which is Keras's. Both new states go on to the next step, so two gradients come in.
"""

import numpy as np

from tinydx import ops
from tinydx.exercises import Bug, Exercise, Gradients


def sigmoid(z):
    """Given."""
    return 1 / (1 + np.exp(-z))


def gates(x, h, w, u, b):
    """Given: the input gate i, the forget gate f, the candidate g and the output gate o, each (N,U)"""
    i, f, g, o = np.split(x @ w + h @ u + b, 4, axis=1)
    return sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)


def lstm_step(x, h, c, w, u, b):
    """Given: x (N,D), h (N,U), c (N,U), w (D,4U), u (U,4U), b (4U,) -> new h (N,U), new c (N,U)"""
    i, f, g, o = gates(x, h, w, u, b)
    c = f * c + i * g
    return o * np.tanh(c), c


def lstm_step_backward(dh_new, dc_new, x, h, c, w, u, b):
    """dh_new (N,U), dc_new (N,U), the inputs of lstm_step -> dx, dh, dc, dw, du, db"""
    # solution
    i, f, g, o = gates(x, h, w, u, b)
    y = np.tanh(f * c + i * g)
    dc = dc_new + dh_new * o * (1 - y**2)
    di = dc * g * i * (1 - i)
    df = dc * c * f * (1 - f)
    dg = dc * i * (1 - g**2)
    do = dh_new * y * o * (1 - o)
    dz = np.concatenate([di, df, dg, do], axis=1)
    return dz @ w.T, dz @ u.T, dc * f, x.T @ dz, h.T @ dz, dz.sum(axis=0)


# ---- the runner's part ---------------------------------------------------------------------------------------------


EXERCISE = Exercise(
    checks=[Gradients(lstm_step_backward, of=ops.lstm_step)],
    hints=(
        "Backwards through the last line first: h' = o tanh(c'). Then c' has two gradients: dc_new, and what came through tanh.",
        "Call their sum dc. c' = f c + i g is three products: each factor gets dc times its partner. Then each gate's own slope.",
        "dz is the four gates' gradients side by side, in the order i, f, g, o: sigmoid's slope s (1 - s) for three, 1 - g**2 for g. The rest is dense.",
    ),
    bugs=[
        Bug("path through the output forgotten", "dc_new + dh_new * o * (1 - y**2)", "dc_new"),
        Bug("gradient of the cell state forgotten", "dc_new + dh_new * o * (1 - y**2)", "dh_new * o * (1 - y**2)"),
        Bug("forget gate forgotten", "dc * f, x.T", "dc, x.T"),
        Bug("gates in the wrong order", "[di, df, dg, do]", "[df, di, dg, do]"),
        Bug("slope of the candidate", "i * (1 - g**2)", "i * g * (1 - g)"),
    ],
)
