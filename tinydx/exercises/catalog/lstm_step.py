"""An LSTM step: the gradients · 长短期记忆网络

The LSTM has a second state c. The forget gate f decides how much of c is kept, and the input gate i how much is added, so
that a gradient can travel along c over many steps without vanishing. The gates i and f, the candidate g and the gate o are
side by side in one matrix, in Keras's order. Both new states go on to the next step, so two gradients come back.
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
        "Begin with the last line, h' = o tanh(c'). c' gets two gradients: dc_new, and the one that comes back through tanh.",
        "Call their sum dc. In c' = f c + i g, each factor gets dc times its partner. Then multiply by the slope of each gate's activation.",
        "dz has the four gradients side by side, in the order i, f, g, o. The sigmoid's slope is s (1 - s), for i, f and o; for g the slope is 1 - g**2. The rest is a dense layer.",
    ),
    bugs=[
        Bug("path through the output forgotten", "dc_new + dh_new * o * (1 - y**2)", "dc_new"),
        Bug("gradient of the cell state forgotten", "dc_new + dh_new * o * (1 - y**2)", "dh_new * o * (1 - y**2)"),
        Bug("forget gate forgotten", "dc * f, x.T", "dc, x.T"),
        Bug("gates in the wrong order", "[di, df, dg, do]", "[df, di, dg, do]"),
        Bug("slope of the candidate", "i * (1 - g**2)", "i * g * (1 - g)"),
    ],
)
