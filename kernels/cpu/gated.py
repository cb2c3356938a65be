"""LSTM and GRU over a whole sequence, and their backpropagation through time, built like the tanh recurrence in recurrence.py.

    forward     scores = x W of all steps             one matrix product beforehand
                per step: h U                         on U packed once for all steps
                          gates, new states           row by row, while they are in L1; the gates overwrite the scores
    backward    per step: dz_t from dh, dc            row by row
                          dh = dz_t U^T
                dW = x^T dz, dU = h^T dz, dx = dz W^T of all steps afterwards: they feed nothing that comes before

An LSTM's product begins as its scores, a GRU's as its biases, since r multiplies what the state says to the candidate.
"""

import numpy as np
from numba import prange

from tinydx.op import kernel_of
from tinydx.ops.gru import gru, gru_step
from tinydx.ops.lstm import lstm, lstm_step
from tinydx_kernels.cpu.elementwise import SIGMOID, TANH, activate
from tinydx_kernels.cpu.matmul import matrix_product
from tinydx_kernels.cpu.memory import aligned_empty, contiguous, flat, is_float32
from tinydx_kernels.cpu.recurrence import (
    add_product,
    add_row,
    as_bools,
    before,
    by_steps,
    gradient_of_x,
    is_masked,
    pack_weights,
    padded,
    states_from,
    turned,
    work_space,
)
from tinydx_kernels.cpu.simd import jit, parallel

f32 = np.float32

# ---- LSTM ----------------------------------------------------------------------------------------------------------


@jit
def lstm_row(z, gates, before, c, squashed, y, units):
    """One example, one step: gates i, f, g, o from z, then c = f before + i g and y = o tanh(c)."""
    activate(SIGMOID, z[: 2 * units], gates[: 2 * units])
    activate(TANH, z[2 * units : 3 * units], gates[2 * units : 3 * units])
    activate(SIGMOID, z[3 * units : 4 * units], gates[3 * units :])
    i, f, g, o = gates[:units], gates[units : 2 * units], gates[2 * units : 3 * units], gates[3 * units :]
    for k in range(units):
        c[k] = f[k] * before[k] + i[k] * g[k]
    activate(TANH, c, squashed)
    for k in range(units):
        y[k] = o[k] * squashed[k]


@jit
def lstm_through_time(first, last, b, mask, gates, h, c, squashed, y, n, steps, units, packed, product):
    """Examples first to last. gates (T,N,4U) are the scores at first; h, c (T+1,N,U) begin with the initial states."""
    rows, wide, columns = last - first, 4 * units, padded(4 * units)
    for t in range(steps):
        top = t * n + first
        for r in range(rows):
            z, scores = product[r * columns : r * columns + wide], gates[(top + r) * wide : (top + r + 1) * wide]
            for k in range(wide):
                z[k] = scores[k] + b[k]
        add_product(h[top * units :], rows, units, packed, product, columns)
        for r in range(rows):
            at, to = (top + r) * units, (top + r + n) * units
            if is_masked(mask, first + r, t):
                h[to : to + units], c[to : to + units] = h[at : at + units], c[at : at + units]
            else:
                lstm_row(product[r * columns :], gates[4 * at : 4 * at + wide], c[at : at + units], c[to : to + units],
                         squashed[at : at + units], h[to : to + units], units)  # fmt: skip
            out = ((first + r) * steps + t) * units
            y[out : out + units] = h[to : to + units]


@parallel
def lstm_forward_kernel(u, b, mask, gates, h, c, squashed, y, n, steps, units, packed, products):
    workers = len(products)
    pack_weights(u, 4 * units, 1, units, 4 * units, packed)
    for part in prange(workers):
        worker = np.int64(part)
        first, last = n * worker // workers, n * (worker + 1) // workers
        lstm_through_time(first, last, b, mask, gates, h, c, squashed, y, n, steps, units, packed, products[worker])


@jit
def lstm_row_backward(dh, dc, gates, before, squashed, dz, units):
    """dz of one example and step, and dc of the step before in the place of dc; dh is left at zero."""
    i, f, g, o = gates[:units], gates[units : 2 * units], gates[2 * units : 3 * units], gates[3 * units :]
    di, df, dg, do = dz[:units], dz[units : 2 * units], dz[2 * units : 3 * units], dz[3 * units :]
    for k in range(units):
        dc[k] += dh[k] * o[k] * (f32(1) - squashed[k] * squashed[k])
    for k in range(units):
        do[k] = dh[k] * squashed[k] * o[k] * (f32(1) - o[k])
        dh[k] = 0
    for k in range(units):
        di[k] = dc[k] * g[k] * i[k] * (f32(1) - i[k])
        dg[k] = dc[k] * i[k] * (f32(1) - g[k] * g[k])
    for k in range(units):
        df[k] = dc[k] * before[k] * f[k] * (f32(1) - f[k])
        dc[k] *= f[k]


@jit
def lstm_back_through_time(first, last, dy, mask, gates, c, squashed, dz, dh0, dc, db, n, steps, units, packed, product):
    """Examples first to last; dc (N,U) is that of the last states at first, of the initial ones in the end."""
    rows, wide, columns = last - first, 4 * units, padded(units)
    for t in range(steps - 1, -1, -1):
        top = t * n + first
        for r in range(rows):
            at, row = (top + r) * units, first + r
            out, dh = dz[4 * at : 4 * at + wide], product[r * columns : r * columns + units]
            add_row(dh, dy[(row * steps + t) * units : (row * steps + t + 1) * units])
            if is_masked(mask, row, t):
                out[:] = 0
            else:
                lstm_row_backward(dh, dc[row * units : (row + 1) * units], gates[4 * at : 4 * at + wide],
                                  c[at : at + units], squashed[at : at + units], out, units)  # fmt: skip
            add_row(db, out)
        add_product(dz[4 * top * units :], rows, wide, packed, product, columns)
    for r in range(rows):
        dh0[(first + r) * units : (first + r + 1) * units] = product[r * columns : r * columns + units]


@parallel
def lstm_backward_kernel(dy, u, mask, gates, c, squashed, dz, dh0, dc, db, n, steps, units, packed, products):
    workers = len(products)
    pack_weights(u, 1, 4 * units, 4 * units, units, packed)  # transposed
    for part in prange(workers):
        worker = np.int64(part)
        first, last = n * worker // workers, n * (worker + 1) // workers
        lstm_back_through_time(first, last, dy, mask, gates, c, squashed, dz, dh0, dc, db[worker], n, steps, units, packed,
                               products[worker])  # fmt: skip


def lstm_forward(x, h0, c0, w, u, b=None, *, mask=None):
    (n, steps, _), units = x.shape, len(u)
    b, x = np.zeros(4 * units, np.float32) if b is None else contiguous(b), turned(x)
    gates, bools = matrix_product(x, w), as_bools(mask)
    h, c = states_from(h0, steps), states_from(c0, steps)
    squashed, y = aligned_empty(n * steps * units), aligned_empty((n, steps, units))
    lstm_forward_kernel(
        flat(u), b, bools, gates.reshape(-1), h, c, squashed, y.reshape(-1), n, steps, units,
        *work_space(n, units, 4 * units),
    )  # fmt: skip
    last = c[steps * n * units : (steps + 1) * n * units].reshape(n, units).copy()
    return (y, last), (x, w, u, gates, h, c, squashed, bools)


def lstm_backward(dy, saved, needs=(True,) * 6):
    x, w, u, gates, h, c, squashed, bools = saved
    (n, steps, units), dc = dy[0].shape, np.array(dy[1], order="C")
    dz, dh0, space = by_steps(n, steps, 4 * units), aligned_empty((n, units)), work_space(n, 4 * units, units)
    db = np.zeros((len(space[1]), 4 * units), np.float32)
    lstm_backward_kernel(
        flat(dy[0]), flat(u), bools, gates.reshape(-1), c, squashed, dz, dh0.reshape(-1), dc.reshape(-1), db,
        n, steps, units, *space,
    )  # fmt: skip
    dz = dz[: gates.size].reshape(gates.shape)
    dx = gradient_of_x(dz, w, n) if needs[0] else None
    if not any(needs[3:]):
        return dx, dh0, dc, None, None, None
    return dx, dh0, dc, matrix_product(x.T, dz), matrix_product(before(h, dz, units).T, dz), db.sum(axis=0)


# ---- GRU -----------------------------------------------------------------------------------------------------------


@jit
def gru_row(gates, b, product, said, before, h, units):
    """One example, one step: gates z, r, g in the place of the scores; `said` is what the state says to g.

    The product of z and r has both biases in it, that of g the second one, which r multiplies. (The product becomes what
    the gates are of, not the scores: the compiler vectorises no loop whose input and output are one array.)
    """
    z, r, g, s = gates[:units], gates[units : 2 * units], gates[2 * units :], product[2 * units : 3 * units]
    add_row(product, gates[: 2 * units])
    activate(SIGMOID, product[: 2 * units], gates[: 2 * units])
    said[:] = s
    for k in range(units):
        s[k] = g[k] + b[2 * units + k] + r[k] * said[k]
    activate(TANH, s, g)
    for k in range(units):
        h[k] = z[k] * before[k] + (f32(1) - z[k]) * g[k]


@jit
def gru_through_time(first, last, b, start, mask, gates, said, h, y, n, steps, units, packed, product):
    """Examples first to last. gates (T,N,3U) are the scores at first; h (T+1,N,U) begins with the initial states."""
    rows, wide, columns = last - first, 3 * units, padded(3 * units)
    for t in range(steps):
        top = t * n + first
        for r in range(rows):
            product[r * columns : r * columns + wide] = start
        add_product(h[top * units :], rows, units, packed, product, columns)
        for r in range(rows):
            at, to = (top + r) * units, (top + r + n) * units
            if is_masked(mask, first + r, t):
                h[to : to + units] = h[at : at + units]
            else:
                gru_row(gates[3 * at : 3 * at + wide], b, product[r * columns :], said[at : at + units], h[at : at + units],
                        h[to : to + units], units)  # fmt: skip
            out = ((first + r) * steps + t) * units
            y[out : out + units] = h[to : to + units]


@parallel
def gru_forward_kernel(u, b, start, mask, gates, said, h, y, n, steps, units, packed, products):
    workers = len(products)
    pack_weights(u, 3 * units, 1, units, 3 * units, packed)
    for part in prange(workers):
        worker = np.int64(part)
        first, last = n * worker // workers, n * (worker + 1) // workers
        gru_through_time(first, last, b, start, mask, gates, said, h, y, n, steps, units, packed, products[worker])


@jit
def gru_row_backward(dh, gates, before, said, from_x, from_h, units):
    """What the gates of one example and step get from x and from h; dh becomes what h gets directly."""
    z, r, g = gates[:units], gates[units : 2 * units], gates[2 * units :]
    dz, dr, dg = from_x[:units], from_x[units : 2 * units], from_x[2 * units :]
    for k in range(units):
        dz[k] = dh[k] * (before[k] - g[k]) * z[k] * (f32(1) - z[k])
    for k in range(units):
        dg[k] = dh[k] * (f32(1) - z[k]) * (f32(1) - g[k] * g[k])
        dh[k] *= z[k]
    for k in range(units):
        dr[k] = dg[k] * said[k] * r[k] * (f32(1) - r[k])
    from_h[: 2 * units] = from_x[: 2 * units]
    ds = from_h[2 * units :]
    for k in range(units):
        ds[k] = dg[k] * r[k]


@jit
def gru_back_through_time(first, last, dy, mask, gates, said, h, from_x, from_h, dh0, db, n, steps, units, packed, product):
    """Examples first to last; db (6U,) gets the sums of from_x and of from_h."""
    rows, wide, columns = last - first, 3 * units, padded(units)
    for t in range(steps - 1, -1, -1):
        top = t * n + first
        for r in range(rows):
            at, row = (top + r) * units, first + r
            to_x, to_h, dh = from_x[3 * at : 3 * at + wide], from_h[3 * at : 3 * at + wide], product[r * columns :][:units]
            add_row(dh, dy[(row * steps + t) * units : (row * steps + t + 1) * units])
            if is_masked(mask, row, t):
                to_x[:] = 0
                to_h[:] = 0
            else:
                gru_row_backward(dh, gates[3 * at : 3 * at + wide], h[at : at + units], said[at : at + units], to_x, to_h, units)
            add_row(db, to_x)
            add_row(db[wide:], to_h)
        add_product(from_h[3 * top * units :], rows, wide, packed, product, columns)
    for r in range(rows):
        dh0[(first + r) * units : (first + r + 1) * units] = product[r * columns : r * columns + units]


@parallel
def gru_backward_kernel(dy, u, mask, gates, said, h, from_x, from_h, dh0, db, n, steps, units, packed, products):
    workers = len(products)
    pack_weights(u, 1, 3 * units, 3 * units, units, packed)  # transposed
    for part in prange(workers):
        worker = np.int64(part)
        first, last = n * worker // workers, n * (worker + 1) // workers
        gru_back_through_time(first, last, dy, mask, gates, said, h, from_x, from_h, dh0, db[worker], n, steps, units, packed,
                              products[worker])  # fmt: skip


def gru_forward(x, h0, w, u, b=None, *, mask=None):
    (n, steps, _), units = x.shape, len(u)
    b, x = np.zeros((2, 3 * units), np.float32) if b is None else contiguous(b), turned(x)
    start = b[1].copy()  # of the product: what r multiplies has the second bias alone
    start[: 2 * units] += b[0, : 2 * units]
    gates, bools = matrix_product(x, w), as_bools(mask)
    said, h, y = aligned_empty(n * steps * units), states_from(h0, steps), aligned_empty((n, steps, units))
    gru_forward_kernel(
        flat(u), b[0], start, bools, gates.reshape(-1), said, h, y.reshape(-1), n, steps, units,
        *work_space(n, units, 3 * units),
    )  # fmt: skip
    return y, (x, w, u, gates, said, h, bools)


def gru_backward(dy, saved, needs=(True,) * 5):
    x, w, u, gates, said, h, bools = saved
    n, steps, units = dy.shape
    from_x, from_h = by_steps(n, steps, 3 * units), by_steps(n, steps, 3 * units)
    dh0, space = aligned_empty((n, units)), work_space(n, 3 * units, units)
    db = np.zeros((len(space[1]), 6 * units), np.float32)
    gru_backward_kernel(
        flat(dy), flat(u), bools, gates.reshape(-1), said, h, from_x, from_h, dh0.reshape(-1), db, n, steps, units, *space
    )
    from_x, from_h = (d[: gates.size].reshape(gates.shape) for d in (from_x, from_h))
    dx = gradient_of_x(from_x, w, n) if needs[0] else None
    if not any(needs[2:]):
        return dx, dh0, None, None, None
    du = matrix_product(before(h, from_h, units).T, from_h)
    return dx, dh0, matrix_product(x.T, from_x), du, db.sum(axis=0).reshape(2, 3 * units)


# ---- one step: a sequence of one -----------------------------------------------------------------------------------


def lstm_step_forward(x, h, c, w, u, b):
    (y, new_c), saved = lstm_forward(x[:, None], h, c, w, u, b)
    return (y[:, 0], new_c), saved


def lstm_step_backward(dy, saved):
    dh, dc = dy
    dx, *others = lstm_backward((dh[:, None], dc), saved)
    return dx[:, 0], *others


def gru_step_forward(x, h, w, u, b):
    y, saved = gru_forward(x[:, None], h, w, u, b)
    return y[:, 0], saved


def gru_step_backward(dy, saved):
    dx, *others = gru_backward(dy[:, None], saved)
    return dx[:, 0], *others


# ---- the ops -------------------------------------------------------------------------------------------------------


def lstm_supports(x, h0, c0, w, u, b=None, **constants):
    return is_float32(x, h0, c0, w, u, b)


def gru_supports(x, h0, w, u, b=None, **constants):
    return is_float32(x, h0, w, u, b)


kernel_of(lstm, "numba", lstm_forward, lstm_backward, lstm_supports)
kernel_of(lstm_step, "numba", lstm_step_forward, lstm_step_backward, lstm_supports)
kernel_of(gru, "numba", gru_forward, gru_backward, gru_supports)
kernel_of(gru_step, "numba", gru_step_forward, gru_step_backward, gru_supports)
