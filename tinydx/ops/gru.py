"""The GRU: one step, and a whole sequence with backpropagation through time, in both of its forms.

Gates z, r, g side by side, as in Keras. The forms differ in where the reset gate r stands:

    gru                 g = tanh(W x + b_0 + r (U h + b_1))      after the product: one product for all gates (Keras's default)
    gru_reset_before    g = tanh(W x + b + U (r h))              before it: Cho et al. 2014
"""

import math

import numpy as np

from tinydx.op import backward_of, literal_of, op, samples_of
from tinydx.ops import gated
from tinydx.ops.gated import over_all_steps, side_by_side, sigma

GRU = (
    r"z, r = \sigma(W x + b_0 + U h + b_1), \quad g = \tanh(W x + b_0 + r \cdot (U h + b_1)), \quad"
    r" h' = z \cdot h + (1 - z) \cdot g"
)
RESET_BEFORE = r"z, r = \sigma(W x + b + U h), \quad g = \tanh(W x + b + U (r \cdot h)), \quad h' = z \cdot h + (1 - z) \cdot g"
SOURCE = "document, 3.1, GRU; Cho et al. 2014, as in Keras (reset_after)"

# ---- the cells -----------------------------------------------------------------------------------------------------


def cell(scores, states, u, b):
    """The new h, where scores (N,3U) = x W + b_0 and b = b_1; and what backward needs. s is what the state says to g."""
    (h,) = states
    xz, xr, xg = np.split(scores, 3, axis=1)
    hz, hr, s = np.split(h @ u + b, 3, axis=1)
    z, r = sigma(xz + hz), sigma(xr + hr)
    g = np.tanh(xg + r * s)
    return [z * h + (1 - z) * g], (h, z, r, g, s)


def cell_backward(dstates, step, u):
    """What the gates get from x and from h, both (N,3U) and before sigmoid and tanh, and the gradient of the old h."""
    (dh,), (h, z, r, g, s) = dstates, step
    dz, dg = dh * (h - g) * z * (1 - z), dh * (1 - z) * (1 - g**2)
    dr, ds = dg * s * r * (1 - r), dg * r
    from_x, from_h = side_by_side(dz, dr, dg), side_by_side(dz, dr, ds)
    return [from_x, from_h], [dh * z + from_h @ u.T]


def cell_before(scores, states, u):
    """The new h with the reset gate before the product, and what backward needs."""
    (h,), units = states, len(u)
    xz, xr, xg = np.split(scores, 3, axis=1)
    hz, hr = np.split(h @ u[:, : 2 * units], 2, axis=1)
    z, r = sigma(xz + hz), sigma(xr + hr)
    g = np.tanh(xg + (r * h) @ u[:, 2 * units :])
    return [z * h + (1 - z) * g], (h, z, r, g)


def cell_before_backward(dstates, step, u):
    """What the gates get (N,3U), before sigmoid and tanh, and the gradient of the old h."""
    (dh,), (h, z, r, g), units = dstates, step, len(u)
    dz, dg = dh * (h - g) * z * (1 - z), dh * (1 - z) * (1 - g**2)
    drh = dg @ u[:, 2 * units :].T  # the gradient of r h
    dr = drh * h * r * (1 - r)
    return [side_by_side(dz, dr, dg)], [dh * z + drh * r + side_by_side(dz, dr) @ u[:, : 2 * units].T]


# ---- one step ------------------------------------------------------------------------------------------------------


@op(GRU, shapes="x (N,D), h (N,U), w (D,3U), u (U,3U), b (2,3U) -> h' (N,U)", source=SOURCE)
def gru_step(x, h, w, u, b):
    """One step of the GRU: the new hidden state.

    Arguments: x (N,D), input; h (N,U), the state before; w (D,3U), u (U,3U), with the gates z, r, g side by side; b (2,3U),
    b[0] added to what comes from x, b[1] to what comes from h, before r multiplies it.
    Returns: h' (N,U).

    >>> gru_step(np.ones((2, 3)), np.zeros((2, 4)), np.ones((3, 12)), np.ones((4, 12)), np.zeros((2, 12))).shape
    (2, 4)
    """
    (y,), step = cell(x @ w + b[0], [h], u, b[1])
    return y, (x, h, w, u, step)


@backward_of(gru_step)
def gru_step_backward(dy, saved):
    x, h, w, u, step = saved
    (from_x, from_h), (dh,) = cell_backward([dy], step, u)
    return from_x @ w.T, dh, x.T @ from_x, h.T @ from_h, np.stack([from_x.sum(axis=0), from_h.sum(axis=0)])


@literal_of(gru_step)
def gru_step_literal(x, h, w, u, b):
    from_x, from_h, units = gated.literal_scores(x, w, b[0]), gated.literal_scores(h, u, b[1]), h.shape[1]
    y = np.zeros(h.shape)
    for n, k in np.ndindex(h.shape):
        z = gated.literal_sigma(from_x[n, k] + from_h[n, k])
        r = gated.literal_sigma(from_x[n, units + k] + from_h[n, units + k])
        g = math.tanh(from_x[n, 2 * units + k] + r * from_h[n, 2 * units + k])
        y[n, k] = z * h[n, k] + (1 - z) * g
    return y


@samples_of(gru_step)
def gru_step_samples(draw):
    n, d, u = draw.integer(2, 3), draw.integer(2, 3), draw.integer(3, 4)
    return (draw.array(n, d), draw.array(n, u), draw.array(d, 3 * u), draw.array(u, 3 * u) / 2, draw.array(2, 3 * u)), {}


# ---- a whole sequence ----------------------------------------------------------------------------------------------


@op(
    GRU + r", \quad t = 1 \dots T",
    shapes="x (N,T,D), h0 (N,U), w (D,3U), u (U,3U), b (2,3U), mask bool (N,T) -> y (N,T,U)",
    source=SOURCE,
)
def gru(x, h0, w, u, b=None, *, mask=None):
    """The GRU over a whole sequence: every hidden state h_1 .. h_T.

    Arguments: x (N,T,D), inputs; h0 (N,U), initial state; w (D,3U), u (U,3U), b (2,3U) or None, as in gru_step; mask (N,T) of
    bool or None: where it is False, the step copies the state before it.
    Returns: y (N,T,U).

    >>> gru(np.ones((2, 5, 3)), np.zeros((2, 4)), np.ones((3, 12)), np.ones((4, 12)), np.zeros((2, 12))).shape
    (2, 5, 4)
    """
    b = np.zeros((2, w.shape[1]), w.dtype) if b is None else b
    y, _, steps = gated.forward_through_time(lambda z, states: cell(z, states, u, b[1]), x @ w + b[0], [h0], mask)
    return y, (x, w, u, gated.states_before(h0, y), steps, mask)


@backward_of(gru)
def gru_backward(dy, saved, needs=(True,) * 5):
    x, w, u, before, steps, mask = saved
    dstates = [np.zeros_like(dy[:, 0])]
    (from_x, from_h), (dh0,) = gated.backward_through_time(lambda d, step: cell_backward(d, step, u), dy, dstates, steps, mask)
    dx = from_x @ w.T if needs[0] else None
    if not any(needs[2:]):
        return dx, dh0, None, None, None
    db = np.stack([from_x.sum(axis=(0, 1)), from_h.sum(axis=(0, 1))])
    return dx, dh0, over_all_steps(x, from_x), over_all_steps(before, from_h), db


@literal_of(gru)
def gru_literal(x, h0, w, u, b=None, *, mask=None):
    b = np.zeros((2, w.shape[1])) if b is None else b
    return gated.literal_through_time(lambda x, h: (gru_step_literal(x, h, w, u, b),), x, (h0,), mask)[0]


@samples_of(gru)
def gru_samples(draw):
    arrays, mask = gated.draw_sequences(draw, states=1, gates=3)
    return (*arrays, draw.array(2, arrays[-1].shape[1])), {"mask": mask}


# ---- a whole sequence, the reset gate before the product -----------------------------------------------------------


@op(
    RESET_BEFORE + r", \quad t = 1 \dots T",
    shapes="x (N,T,D), h0 (N,U), w (D,3U), u (U,3U), b (3U,), mask bool (N,T) -> y (N,T,U)",
    source="document, 3.1, GRU; Cho et al. 2014",
)
def gru_reset_before(x, h0, w, u, b=None, *, mask=None):
    """The GRU of Cho et al. over a whole sequence, where r multiplies h before the product: every h_1 .. h_T.

    Arguments: x (N,T,D), inputs; h0 (N,U), initial state; w (D,3U), u (U,3U), b (3U,) or None, with the gates z, r, g side by
    side; mask (N,T) of bool or None, as in gru.
    Returns: y (N,T,U).

    >>> gru_reset_before(np.ones((2, 5, 3)), np.zeros((2, 4)), np.ones((3, 12)), np.ones((4, 12)), np.zeros(12)).shape
    (2, 5, 4)
    """
    scores = x @ w if b is None else x @ w + b
    y, _, steps = gated.forward_through_time(lambda z, states: cell_before(z, states, u), scores, [h0], mask)
    return y, (x, w, u, gated.states_before(h0, y), steps, mask)


@backward_of(gru_reset_before)
def gru_reset_before_backward(dy, saved, needs=(True,) * 5):
    x, w, u, before, steps, mask = saved
    dstates = [np.zeros_like(dy[:, 0])]
    [dz], (dh0,) = gated.backward_through_time(lambda d, step: cell_before_backward(d, step, u), dy, dstates, steps, mask)
    dx = dz @ w.T if needs[0] else None
    if not any(needs[2:]):
        return dx, dh0, None, None, None
    units, r = len(u), np.stack([step[2] for step in steps], axis=1)
    du = side_by_side(over_all_steps(before, dz[..., : 2 * units]), over_all_steps(r * before, dz[..., 2 * units :]))
    return dx, dh0, over_all_steps(x, dz), du, dz.sum(axis=(0, 1))


@literal_of(gru_reset_before)
def gru_reset_before_literal(x, h0, w, u, b=None, *, mask=None):
    b = np.zeros(w.shape[1]) if b is None else b
    return gated.literal_through_time(lambda x, h: (_reset_before_step_literal(x, h, w, u, b),), x, (h0,), mask)[0]


def _reset_before_step_literal(x, h, w, u, b):
    units, nothing = h.shape[1], np.zeros(u.shape[1])
    from_x, from_h = gated.literal_scores(x, w, b), gated.literal_scores(h, u, nothing)
    z, reset, y = np.zeros(h.shape), np.zeros(h.shape), np.zeros(h.shape)
    for n, k in np.ndindex(h.shape):
        z[n, k] = gated.literal_sigma(from_x[n, k] + from_h[n, k])
        reset[n, k] = gated.literal_sigma(from_x[n, units + k] + from_h[n, units + k]) * h[n, k]
    from_reset = gated.literal_scores(reset, u, nothing)
    for n, k in np.ndindex(h.shape):
        g = math.tanh(from_x[n, 2 * units + k] + from_reset[n, 2 * units + k])
        y[n, k] = z[n, k] * h[n, k] + (1 - z[n, k]) * g
    return y


@samples_of(gru_reset_before)
def gru_reset_before_samples(draw):
    arrays, mask = gated.draw_sequences(draw, states=1, gates=3)
    return (*arrays, draw.array(arrays[-1].shape[1])), {"mask": mask}
