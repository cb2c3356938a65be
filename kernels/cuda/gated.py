"""LSTM and GRU: two products, then all gates in one launch; backward the gates first, then the products.

A sequence takes the reference's way through time with these cells in it, and the products that all steps share at once.
"""

from __future__ import annotations

import numpy as np

from tinydx.op import kernel_of
from tinydx.ops.gated import backward_through_time, forward_through_time, states_before
from tinydx.ops.gru import gru, gru_reset_before, gru_step
from tinydx.ops.lstm import lstm, lstm_step
from tinydx_kernels.cuda.backend import LARGEST, contiguous, each, is_float32, xp
from tinydx_kernels.cuda.matmul import product
from tinydx_kernels.cuda.programs import PLAIN
from tinydx_kernels.cuda.sums import sum_rows

GATED = PLAIN["gated"]


def _launch(kernel, h, *arguments):
    """One thread a unit of an example, for states like h (N,U)."""
    each(GATED, kernel, h.size, *arguments, *h.shape)


def _empties(like, number, width=1):
    """Arrays for that many numbers of each unit."""
    n, units = like.shape
    return [xp(like).empty((n, width * units), like.dtype) for _ in range(number)]


def _rows(a):
    """All time steps as examples: (N,T,K) -> (N T,K)."""
    return a.reshape(-1, a.shape[-1])


def _scores(x, w, b):
    """x W + b of every step (N,T,K)."""
    return product(_rows(x), w, b).reshape(*x.shape[:2], -1)


def _there(mask, x):
    """The mask where x is."""
    return None if mask is None else xp(x).asarray(mask)


# ---- the cells: kernels with the signatures of the reference's -----------------------------------------------------


def lstm_cell(scores, states, u):
    h, c = states[0], contiguous(states[1])
    (gates,), (y, new_h, new_c) = _empties(h, 1, 4), _empties(h, 3)
    _launch("lstm", h, contiguous(scores), product(h, u), c, gates, y, new_h, new_c)
    return [new_h, new_c], (c, gates, y)


def lstm_cell_backward(dh, dc, step):
    c, gates, y = step
    (dz,), (dc_old,) = _empties(c, 1, 4), _empties(c, 1)
    _launch("lstm_backward", c, contiguous(dh), contiguous(dc), c, gates, y, dz, dc_old)
    return dz, dc_old


def gru_cell(scores, states, u, b):
    h, zh = contiguous(states[0]), product(states[0], u, b)
    (gates,), (new_h,) = _empties(h, 1, 3), _empties(h, 1)
    _launch("gru", h, contiguous(scores), zh, h, gates, new_h)
    return [new_h], (h, zh, gates)


def gru_cell_backward(dy, step, u):
    h, zh, gates = step
    (from_x, from_h), (direct,) = _empties(h, 2, 3), _empties(h, 1)
    _launch("gru_backward", h, contiguous(dy), zh, h, gates, from_x, from_h, direct)
    return [from_x, from_h], [direct + product(from_h, u.T)]


def gru_before_cell(scores, states, u_gates, u_g):
    """The reset gate before the product; u_gates (U,2U) are the weights of z and r, u_g (U,U) the candidate's."""
    h, scores = contiguous(states[0]), contiguous(scores)
    (gates,), (kept, new_h) = _empties(h, 1, 3), _empties(h, 2)
    _launch("gru_reset", h, scores, product(h, u_gates), h, gates, kept)
    _launch("gru_candidate", h, scores, product(kept, u_g), h, gates, new_h)
    return [new_h], (h, gates, kept)


def gru_before_cell_backward(dy, step, u_gates, u_g):
    h, gates, _ = step
    (dz,), (ds, direct, dh) = _empties(h, 1, 3), _empties(h, 3)
    _launch("gru_candidate_backward", h, contiguous(dy), h, gates, dz, ds, direct)
    _launch("gru_reset_backward", h, product(ds, u_g.T), h, gates, direct, dz, dh)
    return [dz], [dh + product(dz[:, : 2 * h.shape[1]], u_gates.T)]


# ---- one step ------------------------------------------------------------------------------------------------------


def lstm_step_forward(x, h, c, w, u, b):
    new, step = lstm_cell(product(x, w, b), (h, c), u)
    return tuple(new), (x, h, w, u, step)


def lstm_step_backward(dy, saved):
    x, h, w, u, step = saved
    dz, dc = lstm_cell_backward(*dy, step)
    return product(dz, w.T), product(dz, u.T), dc, product(x.T, dz), product(h.T, dz), sum_rows(dz)


def gru_step_forward(x, h, w, u, b):
    (new_h,), step = gru_cell(product(x, w, b[0]), (h,), u, b[1])
    return new_h, (x, h, w, u, step)


def gru_step_backward(dy, saved):
    x, h, w, u, step = saved
    (from_x, from_h), (dh,) = gru_cell_backward(dy, step, u)
    db = xp(h).stack([sum_rows(from_x), sum_rows(from_h)])
    return product(from_x, w.T), dh, product(x.T, from_x), product(h.T, from_h), db


# ---- a sequence ----------------------------------------------------------------------------------------------------


def lstm_forward(x, h0, c0, w, u, b=None, *, mask=None):
    mask = _there(mask, x)
    y, (_, c), steps = forward_through_time(lambda z, states: lstm_cell(z, states, u), _scores(x, w, b), [h0, c0], mask)
    return (y, c), (x, w, u, states_before(h0, y), steps, mask)


def lstm_backward(dy, saved):
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
    (b_0, b_1), mask = (None, None) if b is None else b, _there(mask, x)
    y, _, steps = forward_through_time(lambda z, states: gru_cell(z, states, u, b_1), _scores(x, w, b_0), [h0], mask)
    return y, (x, w, u, states_before(h0, y), steps, mask)


def gru_backward(dy, saved):
    x, w, u, before, steps, mask = saved
    one_step = lambda dstates, step: gru_cell_backward(*dstates, step, u)  # noqa: E731
    (from_x, from_h), (dh0,) = backward_through_time(one_step, dy, [np.zeros_like(dy[:, 0])], steps, mask)
    from_x, from_h = _rows(from_x), _rows(from_h)
    dx, db = product(from_x, w.T).reshape(x.shape), xp(x).stack([sum_rows(from_x), sum_rows(from_h)])
    return dx, dh0, product(_rows(x).T, from_x), product(_rows(before).T, from_h), db


def gru_reset_before_forward(x, h0, w, u, b=None, *, mask=None):
    parts, mask = (contiguous(u[:, : 2 * len(u)]), contiguous(u[:, 2 * len(u) :])), _there(mask, x)
    cell = lambda z, states: gru_before_cell(z, states, *parts)  # noqa: E731
    y, _, steps = forward_through_time(cell, _scores(x, w, b), [h0], mask)
    return y, (x, w, parts, states_before(h0, y), steps, mask)


def gru_reset_before_backward(dy, saved):
    x, w, parts, before, steps, mask = saved
    one_step = lambda dstates, step: gru_before_cell_backward(*dstates, step, *parts)  # noqa: E731
    [dz], (dh0,) = backward_through_time(one_step, dy, [np.zeros_like(dy[:, 0])], steps, mask)
    dz, gates = _rows(dz), 2 * before.shape[-1]
    kept = xp(x).stack([step[2] for step in steps], axis=1)
    du = product(_rows(before).T, dz[:, :gates]), product(_rows(kept).T, dz[:, gates:])
    dx = product(dz, w.T).reshape(x.shape)
    return dx, dh0, product(_rows(x).T, dz), xp(x).concatenate(du, axis=1), sum_rows(dz)


def supports(x, h, *arrays, **constants):
    """The kernels count the gates of all steps, up to four a unit, in 32 bits."""
    steps = x.shape[1] if x.ndim == 3 else 1
    return is_float32(x, h, *arrays) and 4 * h.size * steps <= LARGEST


kernel_of(lstm_step, "cuda", lstm_step_forward, lstm_step_backward, supports)
kernel_of(gru_step, "cuda", gru_step_forward, gru_step_backward, supports)
kernel_of(lstm, "cuda", lstm_forward, lstm_backward, supports)
kernel_of(gru, "cuda", gru_forward, gru_backward, supports)
kernel_of(gru_reset_before, "cuda", gru_reset_before_forward, gru_reset_before_backward, supports)
