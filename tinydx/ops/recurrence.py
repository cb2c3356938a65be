"""The document's recurrence: one step, a whole sequence with backpropagation through time, and its output layer.

Vectors are rows, as everywhere in the engine: x_t W_xh stands for the document's W_xh x_t.
"""

import math

import numpy as np

from tinydx.op import backward_of, literal_of, op, samples_of
from tinydx.ops.dense import dense, dense_backward, dense_literal, dense_samples
from tinydx.ops.gated import over_all_steps, states_before, where_real

STEP = r"h_t = \tanh(W_{hh} h_{t-1} + W_{xh} x_t + b_h)"


@op(STEP, shapes="x (N,D), h (N,U), w_xh (D,U), w_hh (U,U), b (U,) -> y (N,U)", source="document, 2.2")
def simple_rnn_step(x, h, w_xh, w_hh, b):
    """One step of the tanh recurrence: the new hidden state from the input and the old one.

    Arguments: x (N,D), input; h (N,U), the state before; w_xh (D,U), w_hh (U,U), b (U,).
    Returns: the new state (N,U).

    >>> simple_rnn_step(np.ones((2, 3)), np.zeros((2, 4)), np.ones((3, 4)), np.eye(4), np.zeros(4)).shape
    (2, 4)
    """
    y = np.tanh(x @ w_xh + h @ w_hh + b)
    return y, (x, h, w_xh, w_hh, y)


@backward_of(simple_rnn_step)
def simple_rnn_step_backward(dy, saved):
    x, h, w_xh, w_hh, y = saved
    dz = dy * (1 - y**2)
    return dz @ w_xh.T, dz @ w_hh.T, x.T @ dz, h.T @ dz, dz.sum(axis=0)


@literal_of(simple_rnn_step)
def simple_rnn_step_literal(x, h, w_xh, w_hh, b):
    y = np.zeros(h.shape)
    for n, u in np.ndindex(y.shape):
        z = b[u]
        for d in range(x.shape[1]):
            z += w_xh[d, u] * x[n, d]
        for k in range(h.shape[1]):
            z += w_hh[k, u] * h[n, k]
        y[n, u] = math.tanh(z)
    return y


@samples_of(simple_rnn_step)
def simple_rnn_step_samples(draw):
    n, d, u = draw.integer(2, 3), draw.integer(1, 4), draw.integer(2, 4)
    return (draw.array(n, d), draw.array(n, u), draw.array(d, u), draw.array(u, u), draw.array(u)), {}


@op(
    STEP + r", \quad t = 1 \dots T",
    shapes="x (N,T,D), h0 (N,U), w_xh (D,U), w_hh (U,U), b (U,), mask bool (N,T) -> y (N,T,U)",
    source="document, 2.2",
)
def simple_rnn(x, h0, w_xh, w_hh, b=None, *, mask=None):
    """The tanh recurrence over a whole sequence: every hidden state h_1 .. h_T.

    Arguments: x (N,T,D), inputs; h0 (N,U), initial state; w_xh (D,U), w_hh (U,U), b (U,) or None; mask (N,T) of bool or
    None: where it is False, the step copies the state before it.
    Returns: y (N,T,U).

    >>> simple_rnn(np.ones((2, 5, 3)), np.zeros((2, 4)), np.ones((3, 4)), np.eye(4), np.zeros(4)).shape
    (2, 5, 4)
    """
    inputs = x @ w_xh if b is None else x @ w_xh + b  # all time steps in one product: they do not depend on h
    y = np.empty((*x.shape[:2], h0.shape[1]), np.result_type(inputs, h0, w_hh), like=x)
    h = h0
    for t in range(x.shape[1]):
        h = where_real(mask, t, np.tanh(inputs[:, t] + h @ w_hh), h)
        y[:, t] = h
    return y, (x, h0, w_xh, w_hh, y, mask)


@backward_of(simple_rnn)
def simple_rnn_backward(dy, saved, needs=(True,) * 5):
    x, h0, w_xh, w_hh, y, mask = saved
    dz, dh = np.empty_like(dy), np.zeros_like(dy[:, 0])  # dh: from later steps
    for t in reversed(range(dy.shape[1])):
        dh = dh + dy[:, t]
        dz[:, t] = where_real(mask, t, dh * (1 - y[:, t] ** 2), 0)
        dh = where_real(mask, t, dz[:, t] @ w_hh.T, dh)  # masked: handed on
    dx = dz @ w_xh.T if needs[0] else None
    if not any(needs[2:]):
        return dx, dh, None, None, None
    dw_xh, dw_hh = over_all_steps(x, dz), over_all_steps(states_before(h0, y), dz)
    return dx, dh, dw_xh, dw_hh, dz.sum(axis=(0, 1))


@literal_of(simple_rnn)
def simple_rnn_literal(x, h0, w_xh, w_hh, b=None, *, mask=None):
    y, h = np.zeros((*x.shape[:2], h0.shape[1])), h0
    for t in range(x.shape[1]):
        new = simple_rnn_step_literal(x[:, t], h, w_xh, w_hh, np.zeros(h0.shape[1]) if b is None else b)
        for n in range(len(x)):
            y[n, t] = new[n] if mask is None or mask[n, t] else h[n]
        h = y[:, t]
    return y


@samples_of(simple_rnn)
def simple_rnn_samples(draw):
    n, t, d, u = draw.integer(2, 3), draw.integer(2, 5), draw.integer(1, 3), draw.integer(2, 3)
    mask = draw.choice([None, np.arange(t) < np.array([t] + [t - 1] * (n - 1))[:, None]])
    arrays = draw.array(n, t, d), draw.array(n, u), draw.array(d, u), draw.array(u, u), draw.array(u)
    return arrays, {"mask": mask}


# ---- the output layer ----------------------------------------------------------------------------------------------


@op(
    r"y_t = W_{hy} h_t + b_y",
    shapes="h (...,U), w_hy (U,K), b_y (K,) -> y (...,K)",
    source="document, 2.2, output layer",
)
def rnn_output(h, w_hy, b_y=None):
    """The output layer of the recurrence: the dense layer at every time step.

    Arguments: h (...,U), hidden states; w_hy (U,K); b_y (K,) or None.
    Returns: y (...,K).

    >>> rnn_output(np.ones((2, 5, 4)), np.ones((4, 3))).shape
    (2, 5, 3)
    """
    return dense.forward(h, w_hy, b_y)


backward_of(rnn_output)(dense_backward)
literal_of(rnn_output)(dense_literal)
samples_of(rnn_output)(dense_samples)
