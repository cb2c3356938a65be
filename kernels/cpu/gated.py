"""LSTM and GRU over a whole sequence, and their backpropagation through time, built like the tanh recurrence in recurrence.py.

    forward     scores = x W of all steps             one matrix product beforehand
                per step: h U                         on U packed once for all steps
                          gates, new states           row by row, while they are in L1; the gates overwrite the scores
    backward    per step: dz_t from dh, dc            row by row
                          dh = dz_t U^T
                dW = x^T dz, dU = h^T dz, dx = dz W^T of all steps afterwards: no earlier step depends on them

An LSTM's product begins as its scores, a GRU's as its biases, since r multiplies the recurrent part of the candidate's score.
"""

from typing import NamedTuple

import numpy as np
from numba import prange

from tinydx.op import kernel_of
from tinydx.ops.gru import gru, gru_step
from tinydx.ops.lstm import lstm, lstm_step
from tinydx_kernels.cpu.elementwise import SIGMOID, TANH, activate, sigmoid_parts32, tanh_parts32
from tinydx_kernels.cpu.layer import in_shares
from tinydx_kernels.cpu.matmul import Panels, matrix_product
from tinydx_kernels.cpu.memory import Matrix, aligned_empty, contiguous, flat_matrix, is_float32
from tinydx_kernels.cpu.recurrence import (
    MASKS,
    Factors,
    add_product,
    add_row,
    as_bools,
    by_steps,
    gradients_of_steps,
    is_masked,
    pack_weights,
    padded,
    sequence_samples,
    states_from,
    step_major,
    work_space,
)
from tinydx_kernels.cpu.simd import apart, jit, parallel

f32 = np.float32

# ---- LSTM ----------------------------------------------------------------------------------------------------------


class LstmForward(NamedTuple):
    """What the steps of an LSTM read and write."""

    b: np.ndarray  # (4U,)
    mask: np.ndarray  # (N,T) or (0,0)
    gates: np.ndarray  # (T,N,4U), flat: begins as the scores x W
    h: np.ndarray  # (T+1,N,U), flat: begins with the initial states
    c: np.ndarray  # (T+1,N,U), flat: begins with the initial states
    tanh_c: np.ndarray  # (T,N,U), flat
    y: np.ndarray  # (N,T,U)


class LstmBackward(NamedTuple):
    """What backpropagation through an LSTM reads and writes."""

    dy: np.ndarray  # (N,T,U)
    mask: np.ndarray  # (N,T) or (0,0)
    gates: np.ndarray  # (T,N,4U), flat
    c: np.ndarray  # (T+1,N,U), flat
    tanh_c: np.ndarray  # (T,N,U), flat
    dz: np.ndarray  # (T,N,4U), flat: the gradients before the gates' functions
    dh0: np.ndarray  # (N,U)
    dc: np.ndarray  # (N,U): begins as the gradient of the last c, ends as that of the first
    db: np.ndarray  # (workers, 4U): each worker's sum of dz


@jit
def quarters(row, units):
    """The numbers of gates i, f, g, o (U,) in a row (4U,) or longer."""
    return row[:units], row[units : 2 * units], row[2 * units : 3 * units], row[3 * units : 4 * units]


@apart
def lstm_row(scores, gates, before, c, tanh_c, y):
    """One example, one step: gates i, f, g, o (U,) from their scores, then c = f before + i g and y = o tanh(c), all (U,).

    Quotients that meet in one number share a division, which takes as long as twenty products; so one that is NaN makes the
    others NaN, and with them what they meet in, which is NaN without that as well.
    """
    i, f, g, o = gates
    for k in range(len(c)):
        i_above, i_below = sigmoid_parts32(scores[0][k])
        f_above, f_below = sigmoid_parts32(scores[1][k])
        g_above, g_below = tanh_parts32(scores[2][k])
        share = f32(1) / (i_below * f_below * g_below)
        i[k] = i_above * f_below * g_below * share
        f[k] = f_above * i_below * g_below * share
        g[k] = g_above * i_below * f_below * share
        c[k] = f[k] * before[k] + i[k] * g[k]
        o_above, o_below = sigmoid_parts32(scores[3][k])
        c_above, c_below = tanh_parts32(c[k])
        share = f32(1) / (o_below * c_below)
        o[k] = o_above * c_below * share
        tanh_c[k] = c_above * o_below * share
        y[k] = o[k] * tanh_c[k]


@jit
def lstm_through_time(first, last, arrays, u, product):
    """Examples first to last; arrays, LstmForward; u (U,4U) in Panels; product, flat, of one worker."""
    b, mask, gates, h, c, tanh_c, y = arrays
    n, steps, units = y.shape
    rows, wide, columns = last - first, 4 * units, padded(4 * units)
    for t in range(steps):
        top = t * n + first
        for r in range(rows):
            z, scores = product[r * columns : r * columns + wide], gates[(top + r) * wide : (top + r + 1) * wide]
            for k in range(wide):
                z[k] = scores[k] + b[k]
        add_product(h[top * units :], rows, u, product, columns)
        for r in range(rows):
            at, to = (top + r) * units, (top + r + n) * units
            if is_masked(mask, first + r, t):
                h[to : to + units], c[to : to + units] = h[at : at + units], c[at : at + units]
            else:
                lstm_row(quarters(product[r * columns :], units), quarters(gates[4 * at :], units), c[at : at + units],
                         c[to : to + units], tanh_c[at : at + units], h[to : to + units])  # fmt: skip
            y[first + r, t] = h[to : to + units]


@parallel
def lstm_forward_kernel(u, arrays, scratch):
    """All examples; u (U,4U) from `flat_matrix`; arrays, LstmForward."""
    n, _, units = arrays.y.shape
    workers = len(scratch.products)
    pack_weights(Matrix(*u), units, 4 * units, scratch.packed)
    for part in prange(workers):
        worker = np.int64(part)
        first, last = n * worker // workers, n * (worker + 1) // workers
        lstm_through_time(first, last, arrays, Panels(scratch.packed, units), scratch.products[worker])


@apart
def lstm_row_backward(dh, dc, gates, before, tanh_c, dz):
    """The slopes dz of the scores of gates i, f, g, o; dc becomes that of the step before, and dh zero; all (U,)."""
    i, f, g, o = gates
    di, df, dg, do = dz
    for k in range(len(dh)):
        slope = dc[k] + dh[k] * o[k] * (f32(1) - tanh_c[k] * tanh_c[k])
        do[k] = dh[k] * tanh_c[k] * o[k] * (f32(1) - o[k])
        di[k] = slope * g[k] * i[k] * (f32(1) - i[k])
        dg[k] = slope * i[k] * (f32(1) - g[k] * g[k])
        df[k] = slope * before[k] * f[k] * (f32(1) - f[k])
        dc[k] = slope * f[k]
        dh[k] = 0


@jit
def lstm_back_through_time(first, last, arrays, db, u, product):
    """Examples first to last; arrays, LstmBackward; db (4U,), the worker's; u^T (4U,U) in Panels; product, flat."""
    dy, mask, gates, c, tanh_c, dz, dh0, dc, _ = arrays
    n, steps, units = dy.shape
    rows, wide, columns = last - first, 4 * units, padded(units)
    for t in range(steps - 1, -1, -1):
        top = t * n + first
        for r in range(rows):
            at, row = (top + r) * units, first + r
            out, dh = dz[4 * at : 4 * at + wide], product[r * columns : r * columns + units]
            add_row(dh, dy[row, t])
            if is_masked(mask, row, t):
                out[:] = 0
            else:
                lstm_row_backward(dh, dc[row], quarters(gates[4 * at :], units), c[at : at + units], tanh_c[at : at + units],
                                  quarters(out, units))  # fmt: skip
            add_row(db, out)
        add_product(dz[4 * top * units :], rows, u, product, columns)
    for r in range(rows):
        dh0[first + r] = product[r * columns : r * columns + units]


@parallel
def lstm_backward_kernel(u, arrays, scratch):
    """All examples; u^T (4U,U) from `flat_matrix`; arrays, LstmBackward."""
    n, _, units = arrays.dy.shape
    workers = len(scratch.products)
    pack_weights(Matrix(*u), 4 * units, units, scratch.packed)
    for part in prange(workers):
        worker = np.int64(part)
        first, last = n * worker // workers, n * (worker + 1) // workers
        panels = Panels(scratch.packed, 4 * units)
        lstm_back_through_time(first, last, arrays, arrays.db[worker], panels, scratch.products[worker])


def lstm_forward(x, h0, c0, w, u, b=None, *, mask=None):
    """x (N,T,D), h0, c0 (N,U), w (D,4U), u (U,4U), b (4U,) or None, mask (N,T) or None -> y (N,T,U), the last c (N,U)."""
    (n, steps, _), units, (rows, x) = x.shape, len(u), step_major(x)
    arrays = LstmForward(
        b=np.zeros(4 * units, np.float32) if b is None else contiguous(b),
        mask=as_bools(mask),
        gates=matrix_product(x, w).reshape(-1),
        h=states_from(h0, steps),
        c=states_from(c0, steps),
        tanh_c=aligned_empty(n * steps * units),
        y=aligned_empty((n, steps, units)),
    )
    scratch = work_space(n, steps, units, 4 * units)
    in_shares(len(scratch.products), lstm_forward_kernel, flat_matrix(u), arrays, scratch)
    last = arrays.c[steps * n * units : (steps + 1) * n * units].reshape(n, units).copy()
    return (arrays.y, last), (rows, w, u, arrays.gates, arrays.h, arrays.c, arrays.tanh_c, arrays.mask)


def lstm_backward(dy, saved, needs=(True,) * 6):
    """dy (N,T,U) and dc of the last step (N,U) -> dx (N,T,D), dh0, dc0 (N,U), dw (D,4U), du (U,4U), db (4U,)."""
    x, w, u, gates, h, c, tanh_c, bools = saved
    n, steps, units = dy[0].shape
    scratch = work_space(n, steps, 4 * units, units)
    arrays = LstmBackward(
        dy=contiguous(dy[0]),
        mask=bools,
        gates=gates,
        c=c,
        tanh_c=tanh_c,
        dz=by_steps(n, steps, 4 * units),
        dh0=aligned_empty((n, units)),
        dc=np.array(dy[1], order="C"),
        db=np.zeros((len(scratch.products), 4 * units), np.float32),
    )
    in_shares(len(scratch.products), lstm_backward_kernel, flat_matrix(u.T), arrays, scratch)
    factors = Factors(x, h, arrays.dz, arrays.dz)
    dx, dw, du = gradients_of_steps(dy[0].shape, factors, w, (needs[0], any(needs[3:])))
    return dx, arrays.dh0, arrays.dc, dw, du, arrays.db.sum(axis=0) if any(needs[3:]) else None


# ---- GRU -----------------------------------------------------------------------------------------------------------


class GruForward(NamedTuple):
    """What the steps of a GRU read and write."""

    b: np.ndarray  # (3U,), the bias of x W
    start: np.ndarray  # (3U,): the product h U begins with it
    mask: np.ndarray  # (N,T) or (0,0)
    gates: np.ndarray  # (T,N,3U), flat: begins as the scores x W
    recurrent: np.ndarray  # (T,N,U), flat: the recurrent part of the candidate's score, which r multiplies
    h: np.ndarray  # (T+1,N,U), flat: begins with the initial states
    y: np.ndarray  # (N,T,U)


class GruBackward(NamedTuple):
    """What backpropagation through a GRU reads and writes."""

    dy: np.ndarray  # (N,T,U)
    mask: np.ndarray  # (N,T) or (0,0)
    gates: np.ndarray  # (T,N,3U), flat
    recurrent: np.ndarray  # (T,N,U), flat
    h: np.ndarray  # (T+1,N,U), flat
    from_x: np.ndarray  # (T,N,3U), flat: the gradients of x W
    from_h: np.ndarray  # (T,N,3U), flat: the gradients of h U
    dh0: np.ndarray  # (N,U)
    db: np.ndarray  # (workers, 6U): each worker's sums of from_x and of from_h


@jit
def gru_row(gates, b, product, recurrent, before, h, units):
    """One example, one step: gates z, r, g (3U,) overwrite the scores; product (3U,), recurrent, before and h (U,).

    The product of z and r has both biases in it, that of g the second one, which r multiplies. (The functions of the gates
    read the product, not the scores: the compiler vectorises no loop whose input and output are one array.)
    """
    z, r, g, s = gates[:units], gates[units : 2 * units], gates[2 * units :], product[2 * units : 3 * units]
    add_row(product, gates[: 2 * units])
    activate(SIGMOID, product[: 2 * units], gates[: 2 * units])
    recurrent[:] = s
    for k in range(units):
        s[k] = g[k] + b[2 * units + k] + r[k] * recurrent[k]
    activate(TANH, s, g)
    for k in range(units):
        h[k] = z[k] * before[k] + (f32(1) - z[k]) * g[k]


@jit
def gru_through_time(first, last, arrays, u, product):
    """Examples first to last; arrays, GruForward; u (U,3U) in Panels; product, flat, of one worker."""
    b, start, mask, gates, recurrent, h, y = arrays
    n, steps, units = y.shape
    rows, wide, columns = last - first, 3 * units, padded(3 * units)
    for t in range(steps):
        top = t * n + first
        for r in range(rows):
            product[r * columns : r * columns + wide] = start
        add_product(h[top * units :], rows, u, product, columns)
        for r in range(rows):
            at, to = (top + r) * units, (top + r + n) * units
            if is_masked(mask, first + r, t):
                h[to : to + units] = h[at : at + units]
            else:
                gru_row(gates[3 * at : 3 * at + wide], b, product[r * columns :], recurrent[at : at + units],
                        h[at : at + units], h[to : to + units], units)  # fmt: skip
            y[first + r, t] = h[to : to + units]


@parallel
def gru_forward_kernel(u, arrays, scratch):
    """All examples; u (U,3U) from `flat_matrix`; arrays, GruForward."""
    n, _, units = arrays.y.shape
    workers = len(scratch.products)
    pack_weights(Matrix(*u), units, 3 * units, scratch.packed)
    for part in prange(workers):
        worker = np.int64(part)
        first, last = n * worker // workers, n * (worker + 1) // workers
        gru_through_time(first, last, arrays, Panels(scratch.packed, units), scratch.products[worker])


@jit
def gru_row_backward(dh, gates, before, recurrent, from_x, from_h, units):
    """The gradients of x W and h U (3U,) of one example and step; dh (U,) becomes the part that skips the gates."""
    z, r, g = gates[:units], gates[units : 2 * units], gates[2 * units :]
    dz, dr, dg = from_x[:units], from_x[units : 2 * units], from_x[2 * units :]
    for k in range(units):
        dz[k] = dh[k] * (before[k] - g[k]) * z[k] * (f32(1) - z[k])
    for k in range(units):
        dg[k] = dh[k] * (f32(1) - z[k]) * (f32(1) - g[k] * g[k])
        dh[k] *= z[k]
    for k in range(units):
        dr[k] = dg[k] * recurrent[k] * r[k] * (f32(1) - r[k])
    from_h[: 2 * units] = from_x[: 2 * units]
    ds = from_h[2 * units :]
    for k in range(units):
        ds[k] = dg[k] * r[k]


@jit
def gru_back_through_time(first, last, arrays, db, u, product):
    """Examples first to last; arrays, GruBackward; db (6U,), the worker's; u^T (3U,U) in Panels; product, flat."""
    dy, mask, gates, recurrent, h, from_x, from_h, dh0, _ = arrays
    n, steps, units = dy.shape
    rows, wide, columns = last - first, 3 * units, padded(units)
    for t in range(steps - 1, -1, -1):
        top = t * n + first
        for r in range(rows):
            at, row = (top + r) * units, first + r
            to_x, to_h, dh = from_x[3 * at : 3 * at + wide], from_h[3 * at : 3 * at + wide], product[r * columns :][:units]
            add_row(dh, dy[row, t])
            if is_masked(mask, row, t):
                to_x[:] = 0
                to_h[:] = 0
            else:
                gru_row_backward(dh, gates[3 * at : 3 * at + wide], h[at : at + units], recurrent[at : at + units],
                                 to_x, to_h, units)  # fmt: skip
            add_row(db, to_x)
            add_row(db[wide:], to_h)
        add_product(from_h[3 * top * units :], rows, u, product, columns)
    for r in range(rows):
        dh0[first + r] = product[r * columns : r * columns + units]


@parallel
def gru_backward_kernel(u, arrays, scratch):
    """All examples; u^T (3U,U) from `flat_matrix`; arrays, GruBackward."""
    n, _, units = arrays.dy.shape
    workers = len(scratch.products)
    pack_weights(Matrix(*u), 3 * units, units, scratch.packed)
    for part in prange(workers):
        worker = np.int64(part)
        first, last = n * worker // workers, n * (worker + 1) // workers
        panels = Panels(scratch.packed, 3 * units)
        gru_back_through_time(first, last, arrays, arrays.db[worker], panels, scratch.products[worker])


def gru_forward(x, h0, w, u, b=None, *, mask=None):
    """x (N,T,D), h0 (N,U), w (D,3U), u (U,3U), b (2,3U) or None, mask (N,T) or None -> y (N,T,U)."""
    (n, steps, _), units, (rows, x) = x.shape, len(u), step_major(x)
    b = np.zeros((2, 3 * units), np.float32) if b is None else contiguous(b)
    start = b[1].copy()  # r multiplies the second bias alone
    start[: 2 * units] += b[0, : 2 * units]
    arrays = GruForward(
        b=b[0],
        start=start,
        mask=as_bools(mask),
        gates=matrix_product(x, w).reshape(-1),
        recurrent=aligned_empty(n * steps * units),
        h=states_from(h0, steps),
        y=aligned_empty((n, steps, units)),
    )
    scratch = work_space(n, steps, units, 3 * units)
    in_shares(len(scratch.products), gru_forward_kernel, flat_matrix(u), arrays, scratch)
    return arrays.y, (rows, w, u, arrays.gates, arrays.recurrent, arrays.h, arrays.mask)


def gru_backward(dy, saved, needs=(True,) * 5):
    """dy (N,T,U) -> dx (N,T,D), dh0 (N,U), dw (D,3U), du (U,3U), db (2,3U)."""
    x, w, u, gates, recurrent, h, bools = saved
    n, steps, units = dy.shape
    scratch = work_space(n, steps, 3 * units, units)
    arrays = GruBackward(
        dy=contiguous(dy),
        mask=bools,
        gates=gates,
        recurrent=recurrent,
        h=h,
        from_x=by_steps(n, steps, 3 * units),
        from_h=by_steps(n, steps, 3 * units),
        dh0=aligned_empty((n, units)),
        db=np.zeros((len(scratch.products), 6 * units), np.float32),
    )
    in_shares(len(scratch.products), gru_backward_kernel, flat_matrix(u.T), arrays, scratch)
    factors = Factors(x, h, arrays.from_x, arrays.from_h)
    dx, dw, du = gradients_of_steps(dy.shape, factors, w, (needs[0], any(needs[2:])))
    return dx, arrays.dh0, dw, du, arrays.db.sum(axis=0).reshape(2, 3 * units) if any(needs[2:]) else None


# ---- one step: a sequence of one -----------------------------------------------------------------------------------


def lstm_step_forward(x, h, c, w, u, b):
    """x (N,D), h, c (N,U), weights as above -> the next h and c (N,U)."""
    (y, new_c), saved = lstm_forward(x[:, None], h, c, w, u, b)
    return (y[:, 0], new_c), saved


def lstm_step_backward(dy, saved):
    """The gradients of the next h and c (N,U) -> dx (N,D), dh, dc (N,U), and the weights' gradients as above."""
    dh, dc = dy
    dx, *others = lstm_backward((dh[:, None], dc), saved)
    return dx[:, 0], *others


def gru_step_forward(x, h, w, u, b):
    """x (N,D), h (N,U), weights as above -> the next h (N,U)."""
    y, saved = gru_forward(x[:, None], h, w, u, b)
    return y[:, 0], saved


def gru_step_backward(dy, saved):
    """dy (N,U) -> dx (N,D), dh (N,U), and the weights' gradients as above."""
    dx, *others = gru_backward(dy[:, None], saved)
    return dx[:, 0], *others


# ---- the ops -------------------------------------------------------------------------------------------------------


def lstm_supports(x, h0, c0, w, u, b=None, **constants):
    """Whether all arrays are float32."""
    return is_float32(x, h0, c0, w, u, b)


def gru_supports(x, h0, w, u, b=None, **constants):
    """Whether all arrays are float32."""
    return is_float32(x, h0, w, u, b)


LSTM_WEIGHTS, GRU_WEIGHTS = ((4, 32), (8, 32), (32,)), ((4, 24), (8, 24), (2, 24))
LSTM_WARM: tuple = tuple((((2, 3, 4), (2, 8), (2, 8), *LSTM_WEIGHTS), {"mask": mask}) for mask in MASKS)
GRU_WARM: tuple = tuple((((2, 3, 4), (2, 8), *GRU_WEIGHTS), {"mask": mask}) for mask in MASKS)
LSTM_STEP_WARM: tuple = ((((2, 4), (2, 8), (2, 8), *LSTM_WEIGHTS), {}),)
GRU_STEP_WARM: tuple = ((((2, 4), (2, 8), *GRU_WEIGHTS), {}),)
LSTM_CELL, GRU_CELL = {"gates": 4, "states": 2}, {"gates": 3, "biases": (2,)}

kernel_of(lstm, "numba", lstm_forward, lstm_backward, lstm_supports, samples=sequence_samples(**LSTM_CELL), warm=LSTM_WARM)
kernel_of(
    lstm_step, "numba", lstm_step_forward, lstm_step_backward, lstm_supports,
    samples=sequence_samples(**LSTM_CELL, steps=False), warm=LSTM_STEP_WARM,
)  # fmt: skip
kernel_of(gru, "numba", gru_forward, gru_backward, gru_supports, samples=sequence_samples(**GRU_CELL), warm=GRU_WARM)
kernel_of(
    gru_step, "numba", gru_step_forward, gru_step_backward, gru_supports,
    samples=sequence_samples(**GRU_CELL, steps=False), warm=GRU_STEP_WARM,
)  # fmt: skip
