"""One step of the recurrence: the gradients · 循环神经网络

The document's recurrence computes the new hidden state from the input and the old state. Vectors are rows here, so the
document's W_xh x_t is x @ w_xh. y is the new state and h the old one. Return the gradients of the five arrays.
"""

import numpy as np

from tinydx import ops
from tinydx.exercises import Bug, Exercise, Gradients


def rnn_step(x, h, w_xh, w_hh, b):
    """Given: x (N,D), h (N,U), w_xh (D,U), w_hh (U,U), b (U,) -> y (N,U)"""
    return np.tanh(x @ w_xh + h @ w_hh + b)


def rnn_step_backward(dy, x, h, w_xh, w_hh, y):
    """dy (N,U), the inputs and the result of rnn_step -> dx, dh, dw_xh, dw_hh, db"""
    # solution
    dz = dy * (1 - y**2)
    return dz @ w_xh.T, dz @ w_hh.T, x.T @ dz, h.T @ dz, dz.sum(axis=0)


# ---- the runner's part ---------------------------------------------------------------------------------------------


def step_samples(draw):
    n, d, u = draw.integer(2, 3), draw.integer(2, 3), draw.integer(4, 5)
    return (draw.array(n, d), draw.array(n, u), draw.array(d, u), draw.array(u, u) / 2, draw.array(u)), {}


EXERCISE = Exercise(
    checks=[Gradients(rnn_step_backward, of=ops.simple_rnn_step, samples=step_samples)],
    hints=(
        "Call the argument of tanh z. First compute dz from dy, as in your tanh exercise. z is the sum of two dense layers.",
        "x @ w_xh and h @ w_hh are dense layers, and both get the same dz. b was added to every example.",
        "dx = dz @ w_xh.T and dw_xh = x.T @ dz; the same with h and w_hh; and db is dz summed over the batch.",
    ),
    bugs=[
        Bug("derivative of tanh forgotten", "dy * (1 - y**2)", "dy"),
        Bug("recurrent weights not transposed", "dz @ w_hh.T", "dz @ w_hh"),
        Bug("first example only", "x.T @ dz, h.T @ dz, dz.sum(axis=0)", "x[:1].T @ dz[:1], h[:1].T @ dz[:1], dz[0]"),
    ],
)
