"""The tanh recurrence over a whole sequence, and its backpropagation through time.

Time steps must follow each other, examples need not: each thread takes some examples through all of time.

    forward   h_t = tanh(x_t W_xh + b + h_{t-1} W_hh)         x W_xh of all steps is one matrix product beforehand
    backward  dz_t = dh_t (1 - h_t^2),  dh_{t-1} = dz_t W_hh^T + dy_{t-1}    and weights' gradients afterwards

The recurrent product is the register block of matmul.py on W_hh, which is packed once for all steps.
"""

import numpy as np
from numba import get_num_threads, prange
from tinydx_kernels.cpu.elementwise import tanh32
from tinydx_kernels.cpu.matmul import PANEL, matrix_product, multiply_block, pack_columns, pack_rows
from tinydx_kernels.cpu.memory import aligned_empty, contiguous, is_float32
from tinydx_kernels.cpu.simd import ROWS, WIDTH, jit, parallel

from tinydx.op import kernel_of
from tinydx.ops.gated import states_before
from tinydx.ops.recurrence import simple_rnn, simple_rnn_step

f32 = np.float32


@jit
def times_weights(h, at, step, rows, units, packed_w, packed_h, product, edge):
    """product (rows,U) = h W for the rows h[at + n * step : + U]."""
    pack_rows(h[at:], step, 1, 0, rows, 0, units, packed_h)
    multiply_block(packed_h, packed_w, product, units, 0, rows, 0, units, units, True, edge)


@parallel
def forward_through_time(inputs, h0, w, mask, y, n, steps, units, packed_w, packed_h, products, edge):
    """y (N,T,U) from inputs (N,T,U) = x W_xh + b, all flat."""
    workers = len(products)
    pack_columns(w, units, 1, 0, units, 0, units, packed_w)
    for worker in prange(workers):
        first, last = n * worker // workers, n * (worker + 1) // workers
        product = products[worker]
        for t in range(steps):
            h, at, step = h0, first * units, units
            if t > 0:
                h, at, step = y, (first * steps + t - 1) * units, steps * units
            times_weights(h, at, step, last - first, units, packed_w, packed_h[worker], product, edge[worker])
            for r in range(first, last):
                to, new = (r * steps + t) * units, product[(r - first) * units : (r - first + 1) * units]
                row, before = y[to : to + units], h0[r * units : (r + 1) * units] if t == 0 else y[to - units : to]
                if mask.size and not mask[r, t]:
                    row[:] = before
                else:
                    z = inputs[to : to + units]
                    for u in range(units):
                        row[u] = tanh32(z[u] + new[u])


@parallel
def backward_through_time(dy, y, w, mask, dz, dh0, n, steps, units, packed_w, packed_dz, products, edge):
    """dz (N,T,U), the gradient before tanh, and dh0 (N,U), all flat."""
    workers = len(products)
    pack_columns(w, 1, units, 0, units, 0, units, packed_w)  # transposed
    for worker in prange(workers):
        first, last = n * worker // workers, n * (worker + 1) // workers
        product = products[worker]
        dh0[first * units : last * units] = 0
        for t in range(steps - 1, -1, -1):
            for r in range(first, last):
                at, dh = (r * steps + t) * units, dh0[r * units : (r + 1) * units]
                state, slope, out = y[at : at + units], dy[at : at + units], dz[at : at + units]
                active = f32(0 if mask.size and not mask[r, t] else 1)
                for u in range(units):
                    future = dh[u] + slope[u]
                    out[u] = active * future * (f32(1) - state[u] * state[u])
                    dh[u] = future - active * future  # a masked step hands its gradient on untouched
            at = (first * steps + t) * units
            times_weights(dz, at, steps * units, last - first, units, packed_w, packed_dz[worker], product, edge[worker])
            for r in range(first, last):
                back, dh = product[(r - first) * units :], dh0[r * units : (r + 1) * units]
                for u in range(units):
                    dh[u] += back[u]


def _work(n, units):
    """Work space: packed weights; packed rows, products and an edge for each worker."""
    workers = max(1, min(get_num_threads(), n))
    rows = -(-n // workers)
    return (
        aligned_empty(units * (-(-units // PANEL) * PANEL)),
        aligned_empty((workers, -(-rows // ROWS) * ROWS * units + WIDTH)),
        aligned_empty((workers, rows * units)),
        aligned_empty((workers, ROWS * PANEL)),
    )


def simple_rnn_forward(x, h0, w_xh, w_hh, b=None, *, mask=None):
    (n, steps, d), units = x.shape, w_hh.shape[0]
    inputs = matrix_product(x.reshape(-1, d), w_xh)
    if b is not None:
        inputs += b
    y = aligned_empty((n, steps, units))
    bools = np.zeros((0, 0), np.bool_) if mask is None else np.array(mask, np.bool_)
    h0, w_hh = contiguous(h0), contiguous(w_hh)
    forward_through_time(
        inputs.reshape(-1), h0.reshape(-1), w_hh.reshape(-1), bools, y.reshape(-1), n, steps, units, *_work(n, units)
    )
    return y, (x, h0, w_xh, w_hh, y, bools)


def simple_rnn_backward(dy, saved, needs=(True,) * 5):
    x, h0, w_xh, w_hh, y, bools = saved
    (n, steps, d), units = x.shape, w_hh.shape[0]
    dz, dh0 = aligned_empty(y.shape), aligned_empty(h0.shape)
    backward_through_time(
        contiguous(dy).reshape(-1), y.reshape(-1), w_hh.reshape(-1), bools, dz.reshape(-1), dh0.reshape(-1),
        n, steps, units, *_work(n, units),
    )  # fmt: skip
    rows, before = dz.reshape(-1, units), states_before(h0, y)
    dx = matrix_product(rows, w_xh.T).reshape(x.shape) if needs[0] else None
    if not any(needs[2:]):
        return dx, dh0, None, None, None
    dw_xh, dw_hh = matrix_product(x.reshape(-1, d).T, rows), matrix_product(before.reshape(-1, units).T, rows)
    return dx, dh0, dw_xh, dw_hh, rows.sum(axis=0)


def step_forward(x, h, w_xh, w_hh, b):
    y, saved = simple_rnn_forward(x[:, None], h, w_xh, w_hh, b)
    return y[:, 0], saved


def step_backward(dy, saved, needs=(True,) * 5):
    dx, dh, *weights = simple_rnn_backward(dy[:, None], saved, needs)
    return None if dx is None else dx[:, 0], dh, *weights


def supports(x, h0, w_xh, w_hh, b=None, **constants):
    return is_float32(x, h0, w_xh, w_hh, b)


kernel_of(simple_rnn, "numba", simple_rnn_forward, simple_rnn_backward, supports)
kernel_of(simple_rnn_step, "numba", step_forward, step_backward, supports)
