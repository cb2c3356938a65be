"""LSTM and GRU: two matrix products, then all gates in one launch; backward the gates first, then the products.

A sequence runs the reference's loop over time with these cells. The products that all time steps share are computed at once.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from tinydx.op import kernel_of
from tinydx.ops.gated import backward_through_time, forward_through_time, over_time, states_before
from tinydx.ops.gru import gru, gru_reset_before, gru_step
from tinydx.ops.lstm import lstm, lstm_step
from tinydx_kernels.cuda.backend import LARGEST, contiguous, each, is_float32, xp
from tinydx_kernels.cuda.matmul import product
from tinydx_kernels.cuda.programs import AROUND_TILES, Program
from tinydx_kernels.cuda.sums import sum_rows

GATED = Program("gated.cu")
PROGRAMS = [GATED]


class Shape(NamedTuple):
    """The struct Shape of gated.cu: N examples, U units."""

    N: int
    U: int


def _launch(kernel, h, *arguments):
    """Run a kernel with one thread for each unit of each example of h (N,U)."""
    each(GATED, kernel, h.size, *arguments, Shape(*h.shape))


def _empties(like, number, width=1):
    """`number` new arrays (N, width * U) for `like` (N,U)."""
    n, units = like.shape
    return [xp(like).empty((n, width * units), like.dtype) for _ in range(number)]


def _rows(a):
    """a (N,T,K) -> (N*T,K): all time steps as examples."""
    return a.reshape(-1, a.shape[-1])


def _scores(x, w, b):
    """x (N,T,D), w (D,K), b (K,) or None -> x w + b of every time step (N,T,K)."""
    return product(_rows(x), w, b).reshape(*x.shape[:2], -1)


def _beside(mask, x):
    """mask (N,T) or None, on the device of x."""
    return None if mask is None else xp(x).asarray(mask)


# ---- the cells: gates of one time step -------------------------------------------------------------------------------


def lstm_cell(scores, states, u):
    """scores (N,4U), states h and c (N,U), u (U,4U) -> [h', c'] (N,U)."""
    h, c = states[0], contiguous(states[1])
    (gates,), (y, new_h, new_c) = _empties(h, 1, 4), _empties(h, 3)
    _launch("lstm", h, contiguous(scores), product(h, u), c, gates, y, new_h, new_c)
    return [new_h, new_c], (c, gates, y)


def lstm_cell_backward(dh, dc, step):
    """dh, dc (N,U) -> dz (N,4U), dc of the old state (N,U)."""
    c, gates, y = step
    (dz,), (dc_old,) = _empties(c, 1, 4), _empties(c, 1)
    _launch("lstm_backward", c, contiguous(dh), contiguous(dc), c, gates, y, dz, dc_old)
    return dz, dc_old


def gru_cell(scores, states, u, b):
    """scores (N,3U), state h (N,U), u (U,3U), b (3U,) or None -> [h'] (N,U)."""
    h, zh = contiguous(states[0]), product(states[0], u, b)
    (gates,), (new_h,) = _empties(h, 1, 3), _empties(h, 1)
    _launch("gru", h, contiguous(scores), zh, h, gates, new_h)
    return [new_h], (h, zh, gates)


def gru_cell_backward(dy, step, u):
    """dy (N,U), u (U,3U) -> [dz of x w, dz of h u] (N,3U), [dh] (N,U)."""
    h, zh, gates = step
    (from_x, from_h), (direct,) = _empties(h, 2, 3), _empties(h, 1)
    _launch("gru_backward", h, contiguous(dy), zh, h, gates, from_x, from_h, direct)
    return [from_x, from_h], [direct + product(from_h, u.T)]


def gru_before_cell(scores, states, u_gates, u_g):
    """scores (N,3U), state h (N,U), u_gates (U,2U) of z and r, u_g (U,U) of the candidate -> [h'] (N,U)."""
    h, scores = contiguous(states[0]), contiguous(scores)
    (gates,), (kept, new_h) = _empties(h, 1, 3), _empties(h, 2)
    _launch("gru_reset", h, scores, product(h, u_gates), h, gates, kept)
    _launch("gru_candidate", h, scores, product(kept, u_g), h, gates, new_h)
    return [new_h], (h, gates, kept)


def gru_before_cell_backward(dy, step, u_gates, u_g):
    """dy (N,U) -> [dz] (N,3U), [dh] (N,U)."""
    h, gates, _ = step
    (dz,), (ds, direct, dh) = _empties(h, 1, 3), _empties(h, 3)
    _launch("gru_candidate_backward", h, contiguous(dy), h, gates, dz, ds, direct)
    _launch("gru_reset_backward", h, product(ds, u_g.T), h, gates, direct, dz, dh)
    return [dz], [dh + product(dz[:, : 2 * h.shape[1]], u_gates.T)]


# ---- one time step ---------------------------------------------------------------------------------------------------


def lstm_step_forward(x, h, c, w, u, b):
    """x (N,D), h and c (N,U), w (D,4U), u (U,4U), b (4U,) -> (h', c') (N,U)."""
    new, step = lstm_cell(product(x, w, b), (h, c), u)
    return tuple(new), (x, h, w, u, step)


def lstm_step_backward(dy, saved):
    """(dh', dc') (N,U) -> dx, dh, dc, dw, du, db, of the shapes of forward's arrays."""
    x, h, w, u, step = saved
    dz, dc = lstm_cell_backward(*dy, step)
    return product(dz, w.T), product(dz, u.T), dc, product(x.T, dz), product(h.T, dz), sum_rows(dz)


def gru_step_forward(x, h, w, u, b):
    """x (N,D), h (N,U), w (D,3U), u (U,3U), b (2,3U) -> h' (N,U)."""
    (new_h,), step = gru_cell(product(x, w, b[0]), (h,), u, b[1])
    return new_h, (x, h, w, u, step)


def gru_step_backward(dy, saved):
    """dy (N,U) -> dx, dh, dw, du, db, of the shapes of forward's arrays."""
    x, h, w, u, step = saved
    (from_x, from_h), (dh,) = gru_cell_backward(dy, step, u)
    db = xp(h).stack([sum_rows(from_x), sum_rows(from_h)])
    return product(from_x, w.T), dh, product(x.T, from_x), product(h.T, from_h), db


# ---- a sequence ------------------------------------------------------------------------------------------------------


def lstm_forward(x, h0, c0, w, u, b=None, *, mask=None):
    """x (N,T,D), h0 and c0 (N,U), w (D,4U), u (U,4U), b (4U,) or None, mask (N,T) or None -> y (N,T,U), the last c (N,U)."""
    mask = _beside(mask, x)
    y, (_, c), steps = forward_through_time(lambda z, states: lstm_cell(z, states, u), _scores(x, w, b), [h0, c0], mask)
    return (y, c), (x, w, u, states_before(h0, y), steps, mask)


def lstm_backward(dy, saved):
    """dy (N,T,U) and dc (N,U) -> dx, dh0, dc0, dw, du, db, of the shapes of forward's arrays."""
    x, w, u, before, steps, mask = saved

    def one_step(dstates, step):
        dz, dc = lstm_cell_backward(*dstates, step)
        return [dz], [product(dz, u.T), dc]

    dy, dc = dy
    [dz], (dh0, dc0) = backward_through_time(one_step, dy, [np.zeros_like(dc), dc], steps, mask)
    dz = _rows(dz)
    dx = product(dz, w.T).reshape(x.shape)
    return dx, dh0, dc0, product(_rows(x).T, dz), product(_rows(before).T, dz), sum_rows(dz)


def gru_forward(x, h0, w, u, b=None, *, mask=None):
    """x (N,T,D), h0 (N,U), w (D,3U), u (U,3U), b (2,3U) or None, mask (N,T) or None -> y (N,T,U)."""
    (b_0, b_1), mask = (None, None) if b is None else b, _beside(mask, x)
    y, _, steps = forward_through_time(lambda z, states: gru_cell(z, states, u, b_1), _scores(x, w, b_0), [h0], mask)
    return y, (x, w, u, states_before(h0, y), steps, mask)


def gru_backward(dy, saved):
    """dy (N,T,U) -> dx, dh0, dw, du, db, of the shapes of forward's arrays."""
    x, w, u, before, steps, mask = saved
    one_step = lambda dstates, step: gru_cell_backward(*dstates, step, u)  # noqa: E731
    (from_x, from_h), (dh0,) = backward_through_time(one_step, dy, [np.zeros_like(dy[:, 0])], steps, mask)
    from_x, from_h = _rows(from_x), _rows(from_h)
    dx, db = product(from_x, w.T).reshape(x.shape), xp(x).stack([sum_rows(from_x), sum_rows(from_h)])
    return dx, dh0, product(_rows(x).T, from_x), product(_rows(before).T, from_h), db


def gru_reset_before_forward(x, h0, w, u, b=None, *, mask=None):
    """x (N,T,D), h0 (N,U), w (D,3U), u (U,3U), b (3U,) or None, mask (N,T) or None -> y (N,T,U)."""
    parts, mask = (contiguous(u[:, : 2 * len(u)]), contiguous(u[:, 2 * len(u) :])), _beside(mask, x)
    cell = lambda z, states: gru_before_cell(z, states, *parts)  # noqa: E731
    y, _, steps = forward_through_time(cell, _scores(x, w, b), [h0], mask)
    return y, (x, w, parts, states_before(h0, y), steps, mask)


def gru_reset_before_backward(dy, saved):
    """dy (N,T,U) -> dx, dh0, dw, du, db, of the shapes of forward's arrays."""
    x, w, parts, before, steps, mask = saved
    one_step = lambda dstates, step: gru_before_cell_backward(*dstates, step, *parts)  # noqa: E731
    [dz], (dh0,) = backward_through_time(one_step, dy, [np.zeros_like(dy[:, 0])], steps, mask)
    dz, gates = _rows(dz), 2 * before.shape[-1]
    kept = over_time([step[2] for step in steps])
    du = product(_rows(before).T, dz[:, :gates]), product(_rows(kept).T, dz[:, gates:])
    dx = product(dz, w.T).reshape(x.shape)
    return dx, dh0, product(_rows(x).T, dz), xp(x).concatenate(du, axis=1), sum_rows(dz)


def supports(x, h, *arrays, **constants):
    """x (N,T,D) or (N,D), h (N,U). The kernels index the gates of all time steps, up to four for each unit, with 32 bits."""
    steps = x.shape[1] if x.ndim == 3 else 1
    return is_float32(x, h, *arrays) and 4 * h.size * steps <= LARGEST


# ---- samples ---------------------------------------------------------------------------------------------------------


def samples_of_a_step(draw, gates, states):
    """Units around the tiles; weights so small that states do not saturate."""
    n, d, u = draw.choice([1, 2, 5, 17]), draw.integer(1, 9), draw.choice(AROUND_TILES)
    weights = draw.array(d, gates * u) / d**0.5, draw.array(u, gates * u) / u**0.5
    bias = draw.array(gates * u) if states == 2 else draw.array(2, gates * u)
    return (draw.array(n, d), *(draw.array(n, u) for _ in range(states)), *weights, bias), {}


def samples(draw, gates, states):
    """The same for sequences, padded and unpadded."""
    (x, *_, w, u, bias), _ = samples_of_a_step(draw, gates, states)
    n, t = len(x), draw.integer(1, 5)
    h = [draw.array(n, len(u)) for _ in range(states)]
    mask = draw.choice([None, draw.array(n, t) > -0.5])
    return (draw.array(n, t, x.shape[1]), *h, w, u, draw.choice([bias, None])), {"mask": mask}


def reset_before_samples(draw):
    """The same for the form whose bias is (3U,)."""
    (*arrays, bias), constants = samples(draw, 3, 1)
    return (*arrays, None if bias is None else bias[0]), constants


for _op, _forward, _backward, _samples in (
    (lstm_step, lstm_step_forward, lstm_step_backward, partial(samples_of_a_step, gates=4, states=2)),
    (gru_step, gru_step_forward, gru_step_backward, partial(samples_of_a_step, gates=3, states=1)),
    (lstm, lstm_forward, lstm_backward, partial(samples, gates=4, states=2)),
    (gru, gru_forward, gru_backward, partial(samples, gates=3, states=1)),
    (gru_reset_before, gru_reset_before_forward, gru_reset_before_backward, reset_before_samples),
):
    kernel_of(_op, "cuda", _forward, _backward, supports, samples=_samples)
