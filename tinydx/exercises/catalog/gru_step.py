"""A GRU step: the gradients · 门控循环单元

The GRU has one state. The gate z decides how much of it is kept, and the gate r how much of it enters the candidate g. As
in Keras, z, r and g are side by side in this order, and there are two biases: b[0] for the input and b[1] for the state.
"""

import numpy as np

from tinydx import ops
from tinydx.exercises import Bug, Exercise, Gradients


def sigmoid(z):
    """Given."""
    return 1 / (1 + np.exp(-z))


def gates(x, h, w, u, b):
    """Given: update gate z, reset gate r, candidate g, and s, the state's part of the candidate; each (N,U)"""
    xz, xr, xg = np.split(x @ w + b[0], 3, axis=1)
    hz, hr, s = np.split(h @ u + b[1], 3, axis=1)
    z, r = sigmoid(xz + hz), sigmoid(xr + hr)
    return z, r, np.tanh(xg + r * s), s


def gru_step(x, h, w, u, b):
    """Given: x (N,D), h (N,U), w (D,3U), u (U,3U), b (2,3U) -> new h (N,U)"""
    z, _, g, _ = gates(x, h, w, u, b)
    return z * h + (1 - z) * g


def gru_step_backward(dh_new, x, h, w, u, b):
    """dh_new (N,U), the inputs of gru_step -> dx, dh, dw, du, db"""
    # solution
    z, r, g, s = gates(x, h, w, u, b)
    dz = dh_new * (h - g) * z * (1 - z)
    dg = dh_new * (1 - z) * (1 - g**2)
    dr = dg * s * r * (1 - r)
    from_x = np.concatenate([dz, dr, dg], axis=1)
    from_h = np.concatenate([dz, dr, dg * r], axis=1)
    dh = dh_new * z + from_h @ u.T
    return from_x @ w.T, dh, x.T @ from_x, h.T @ from_h, np.stack([from_x.sum(axis=0), from_h.sum(axis=0)])


# ---- the runner's part ---------------------------------------------------------------------------------------------


EXERCISE = Exercise(
    checks=[Gradients(gru_step_backward, of=ops.gru_step)],
    hints=(
        "Begin with the last line, h' = z h + (1 - z) g. It depends on z, h and g. The gradient of z is dh_new (h - g).",
        "g is the tanh of xg + r s. Let dg be the gradient of the argument of this tanh: r gets dg s, and s gets dg r.",
        "The product with x gets [dz, dr, dg] side by side, and the product with h gets [dz, dr, dg r]. dh also has a direct part, dh_new z.",
    ),
    bugs=[
        Bug("direct path forgotten", "dh_new * z + from_h", "from_h"),
        Bug("reset gate forgotten", "dg * r], axis=1", "dg], axis=1"),
        Bug("update gate the wrong way round", "(h - g)", "(g - h)"),
        Bug(
            "one bias for both",
            "np.stack([from_x.sum(axis=0), from_h.sum(axis=0)])",
            "np.stack([from_h.sum(axis=0), from_h.sum(axis=0)])",
        ),
    ],
)
