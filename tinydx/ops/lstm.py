"""The LSTM: one step, and a whole sequence with backpropagation through time.

Gates i, f, g, o side by side, as in Keras. Two states go on to the next step, so two gradients come back from it: dh, and
dc along the cell states, which f alone lets fade. Each gate's gradient dz is taken before its sigmoid or tanh; from there
on it is the dense layer twice, once for x and once for h.
"""

import math

import numpy as np

from tinydx.op import backward_of, literal_of, op, samples_of
from tinydx.ops import gated
from tinydx.ops.gated import over_all_steps, side_by_side, sigma

LSTM = (
    r"i, f, o = \sigma(W x + U h + b), \quad g = \tanh(W x + U h + b), \quad"
    r" c' = f \cdot c + i \cdot g, \quad h' = o \cdot \tanh(c')"
)
SOURCE = "document, 3.1, LSTM; Hochreiter and Schmidhuber 1997, Gers et al. 2000"

# ---- the cell ------------------------------------------------------------------------------------------------------


def cell(scores, states, u):
    """The new h and c, where scores (N,4U) = x W + b; and what backward needs."""
    h, c = states
    i, f, g, o = np.split(scores + h @ u, 4, axis=1)
    i, f, g, o = sigma(i), sigma(f), np.tanh(g), sigma(o)
    new_c = f * c + i * g
    y = np.tanh(new_c)
    return [o * y, new_c], (c, i, f, g, o, y)


def cell_backward(dstates, step, u):
    """dz (N,4U), the gradients of the gates before their sigmoid and tanh, and those of the old h and c."""
    (dh, dc), (c, i, f, g, o, y) = dstates, step
    dc = dc + dh * o * (1 - y**2)  # h' = o y moves with c', too
    di, df, dg, do = dc * g, dc * c, dc * i, dh * y
    di, df, do = di * i * (1 - i), df * f * (1 - f), do * o * (1 - o)
    dz = side_by_side(di, df, dg * (1 - g**2), do)
    return [dz], [dz @ u.T, dc * f]


# ---- one step ------------------------------------------------------------------------------------------------------


@op(LSTM, shapes="x (N,D), h (N,U), c (N,U), w (D,4U), u (U,4U), b (4U,) -> h' (N,U), c' (N,U)", source=SOURCE)
def lstm_step(x, h, c, w, u, b):
    """One step of the LSTM: the new hidden state and the new cell state.

    Arguments: x (N,D), input; h, c (N,U), the states before; w (D,4U), u (U,4U), b (4U,), with the gates i, f, g, o side
    by side.
    Returns: h' and c', both (N,U).

    >>> h, c = lstm_step(np.ones((2, 3)), np.zeros((2, 4)), np.zeros((2, 4)), np.ones((3, 16)), np.ones((4, 16)), np.ones(16))
    >>> h.shape, c.shape
    ((2, 4), (2, 4))
    """
    new, step = cell(x @ w + b, (h, c), u)
    return tuple(new), (x, h, w, u, step)


@backward_of(lstm_step)
def lstm_step_backward(dy, saved):
    x, h, w, u, step = saved
    [dz], (dh, dc) = cell_backward(dy, step, u)
    return dz @ w.T, dh, dc, x.T @ dz, h.T @ dz, dz.sum(axis=0)


@literal_of(lstm_step)
def lstm_step_literal(x, h, c, w, u, b):
    z, units = gated.literal_scores(x, w, b) + gated.literal_scores(h, u, np.zeros(len(b))), h.shape[1]
    new_h, new_c = np.zeros(h.shape), np.zeros(h.shape)
    for n, k in np.ndindex(h.shape):
        i, f = gated.literal_sigma(z[n, k]), gated.literal_sigma(z[n, units + k])
        g, o = math.tanh(z[n, 2 * units + k]), gated.literal_sigma(z[n, 3 * units + k])
        new_c[n, k] = f * c[n, k] + i * g
        new_h[n, k] = o * math.tanh(new_c[n, k])
    return new_h, new_c


@samples_of(lstm_step)
def lstm_step_samples(draw):
    n, d, u = draw.integer(2, 3), draw.integer(2, 3), draw.integer(3, 4)
    x, h, c = draw.array(n, d), draw.array(n, u), draw.array(n, u)
    return (x, h, c, draw.array(d, 4 * u), draw.array(u, 4 * u) / 2, draw.array(4 * u)), {}


# ---- a whole sequence ----------------------------------------------------------------------------------------------


@op(
    LSTM + r", \quad t = 1 \dots T",
    shapes="x (N,T,D), h0 (N,U), c0 (N,U), w (D,4U), u (U,4U), b (4U,), mask bool (N,T) -> y (N,T,U), c_T (N,U)",
    source=SOURCE,
)
def lstm(x, h0, c0, w, u, b=None, *, mask=None):
    """The LSTM over a whole sequence: every hidden state h_1 .. h_T, and the last cell state.

    Arguments: x (N,T,D), inputs; h0, c0 (N,U), initial states; w (D,4U), u (U,4U), b (4U,) or None, with the gates i, f, g, o
    side by side; mask (N,T) of bool or None: where it is False, the step copies the states before it.
    Returns: y (N,T,U), whose last step is h_T, and c_T (N,U).

    >>> y, c = lstm(np.ones((2, 5, 3)), np.zeros((2, 4)), np.zeros((2, 4)), np.ones((3, 16)), np.ones((4, 16)))
    >>> y.shape, c.shape
    ((2, 5, 4), (2, 4))
    """
    scores = x @ w if b is None else x @ w + b
    y, (_, c), steps = gated.forward_through_time(lambda z, states: cell(z, states, u), scores, [h0, c0], mask)
    return (y, c), (x, w, u, gated.states_before(h0, y), steps, mask)


@backward_of(lstm)
def lstm_backward(dy, saved, needs=(True,) * 6):
    (dy, dc), (x, w, u, before, steps, mask) = dy, saved
    dstates = [np.zeros_like(dc), dc]
    [dz], (dh0, dc0) = gated.backward_through_time(lambda d, step: cell_backward(d, step, u), dy, dstates, steps, mask)
    dx = dz @ w.T if needs[0] else None
    if not any(needs[3:]):
        return dx, dh0, dc0, None, None, None
    return dx, dh0, dc0, over_all_steps(x, dz), over_all_steps(before, dz), dz.sum(axis=(0, 1))


@literal_of(lstm)
def lstm_literal(x, h0, c0, w, u, b=None, *, mask=None):
    b = np.zeros(w.shape[1]) if b is None else b
    y, (_, c) = gated.literal_through_time(lambda x, h, c: lstm_step_literal(x, h, c, w, u, b), x, (h0, c0), mask)
    return y, c


@samples_of(lstm)
def lstm_samples(draw):
    arrays, mask = gated.draw_sequences(draw, states=2, gates=4)
    return (*arrays, draw.array(arrays[-1].shape[1])), {"mask": mask}
