"""An LSTM step: the gradients · 长短期记忆网络

The LSTM keeps a second state c, which a gate f lets fade and a gate i fills: along c a gradient can travel many steps
without vanishing. The gates i and f, the candidate g and the gate o stand side by side in one matrix, in this order,
which is Keras's. Both new states go on to the next step, so two gradients come in.
"""

import numpy as np

from tinydx.exercises import Bug, Exercise, Gradients
from tinydx.op import Op


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


def step_samples(draw):
    n, d, u = draw.integer(2, 3), draw.integer(2, 3), draw.integer(3, 4)
    arrays = draw.array(n, d), draw.array(n, u), draw.array(n, u), draw.array(d, 4 * u), draw.array(u, 4 * u) / 2, draw.array(4 * u)
    return arrays, {}


LSTM_STEP = Op(
    name="lstm_step",
    equation=r"i, f, o = \sigma(W x + U h + b), \quad g = \tanh(W x + U h + b), \quad c' = f \cdot c + i \cdot g, \quad h' = o \cdot \tanh(c')",
    shapes="x (N,D), h (N,U), c (N,U), w (D,4U), u (U,4U), b (4U,) -> h' (N,U), c' (N,U)",
    source="document, 3.1, LSTM; Hochreiter and Schmidhuber 1997, Gers et al. 2000",
    forward=lambda x, h, c, w, u, b: (lstm_step(x, h, c, w, u, b), None),
    samples=step_samples,
)

EXERCISE = Exercise(
    checks=[Gradients(lstm_step_backward, of=LSTM_STEP)],
    hints=(
        "Backwards through the last line first: h' = o tanh(c'). Then c' has two gradients: dc_new, and what came through tanh.",
        "Call their sum dc. c' = f c + i g is three products: each factor gets dc times its partner. Then each gate's own slope.",
        "dz is the four gates' gradients side by side, in the order i, f, g, o: sigmoid's slope s (1 - s) for three, 1 - g**2 for g. The rest is dense.",
    ),
    bugs=[
        Bug(
            "path through the output forgotten",
            "dc_new + dh_new * o * (1 - y**2)",
            "dc_new",
            "h' = o tanh(c') moves with c', too: dc = dc_new + dh_new o (1 - tanh(c')**2).",
        ),
        Bug(
            "gradient of the cell state forgotten",
            "dc_new + dh_new * o * (1 - y**2)",
            "dh_new * o * (1 - y**2)",
            "c' goes on to the next step: its gradient dc_new comes in, too.",
        ),
        Bug("forget gate forgotten", "dc * f, x.T", "dc, x.T", "The old c entered as f c, so its gradient is multiplied by f."),
        Bug(
            "gates in the wrong order",
            "[di, df, dg, do]",
            "[df, di, dg, do]",
            "Side by side they must stand as forward split them: i, f, g, o.",
        ),
        Bug("slope of the candidate", "i * (1 - g**2)", "i * g * (1 - g)", "The candidate g is a tanh: its slope is 1 - g**2."),
    ],
)
