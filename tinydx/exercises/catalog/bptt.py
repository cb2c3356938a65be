"""Backpropagation through time · 沿时间反向传播

The recurrence over a whole sequence: y[:, t] is the state after time step t, and the loss depends on every state. Each
state is also an input of the next step, so a gradient comes back from that step, too. Go from the last step to the first.
"""

import numpy as np

from tinydx import ops
from tinydx.exercises import Bug, Exercise, Gradients


def rnn(x, h0, w_xh, w_hh, b):
    """Given: x (N,T,D), h0 (N,U), w_xh (D,U), w_hh (U,U), b (U,) -> y (N,T,U), all states"""
    y, h = np.zeros((len(x), x.shape[1], len(b))), h0
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ w_xh + h @ w_hh + b)
        y[:, t] = h
    return y


def rnn_backward(dy, x, h0, w_xh, w_hh, y):
    """dy (N,T,U), the inputs and the result of rnn -> dx, dh0, dw_xh, dw_hh, db"""
    # solution
    dx, dw_xh, dw_hh, db = np.zeros_like(x), np.zeros_like(w_xh), np.zeros_like(w_hh), np.zeros(len(w_hh))
    dh = np.zeros_like(h0)  # the gradient that comes back from step t + 1
    for t in reversed(range(x.shape[1])):
        before = y[:, t - 1] if t > 0 else h0
        dz = (dy[:, t] + dh) * (1 - y[:, t] ** 2)
        dx[:, t] = dz @ w_xh.T
        dw_xh += x[:, t].T @ dz
        dw_hh += before.T @ dz
        db += dz.sum(axis=0)
        dh = dz @ w_hh.T
    return dx, dh, dw_xh, dw_hh, db


# ---- the runner's part ---------------------------------------------------------------------------------------------


def sequence_samples(draw):
    n, t, d, u = draw.integer(2, 3), draw.integer(3, 5), draw.integer(1, 2), draw.integer(3, 4)
    return (draw.array(n, t, d), draw.array(n, u), draw.array(d, u), draw.array(u, u) / 2, draw.array(u)), {}


EXERCISE = Exercise(
    checks=[Gradients(rnn_backward, of=ops.simple_rnn, samples=sequence_samples)],
    shapes="x (N,T,D), h0 (N,U), w_xh (D,U), w_hh (U,U), b (U,) -> y (N,T,U)",
    hints=(
        "The backward of one time step is your exercise rnn_step. What is its dy at step t? It is the loss's dy[:, t] plus one more term.",
        "Keep dh, the gradient that comes back from step t + 1; for the last step it is zero. Step t - 1 gets dz @ w_hh.T. The gradients of the weights add up over t (+=).",
        "dz = (dy[:, t] + dh) * (1 - y[:, t]**2). w_hh multiplied the state BEFORE the step: y[:, t-1], or h0 at t = 0. At the end, dh is dh0.",
    ),
    bugs=[
        Bug("carry through time dropped", "(dy[:, t] + dh)", "dy[:, t]"),
        Bug("state shifted by one step", "before.T @ dz", "y[:, t].T @ dz"),
        Bug("derivative of tanh forgotten", " * (1 - y[:, t] ** 2)", ""),
        Bug("recurrent weights not transposed", "dh = dz @ w_hh.T", "dh = dz @ w_hh"),
        Bug(
            "last state before the first step",
            "before = y[:, t - 1] if t > 0 else h0",
            "before = y[:, t - 1]",
            "At t = 0 the index t - 1 is -1, which is the last state. The state before the first step is h0.",
        ),
    ],
)
