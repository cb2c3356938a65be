"""The tanh recurrence over a whole sequence, and its backpropagation through time; and what gated.py needs of it, too.

Time steps must follow each other, examples need not: each thread takes some examples through all of time.

    forward     h_t = tanh(x_t W_xh + b + h_{t-1} W_hh)       x W_xh of all steps is one matrix product beforehand
    backward    dz_t = dh_t (1 - h_t^2),  dh_{t-1} = dz_t W_hh^T + dy_{t-1}    and weights' gradients afterwards

The product of every step, `add_product`, has weights that are packed once for all steps, and adds to what is there. So
forward, its rows begin as scores x_t W_xh + b; and backward, dh is its own product: rows begin as zero, or, where the step is
masked, as the dh that they hand on untouched.

Work arrays are (T,N,...), not (N,T,...): the rows of one step lie together, and are the left factor of its product as they
lie. Rows that do not fill a block of EXAMPLES are multiplied with whatever comes after them, and nobody looks at the result.
"""

import numpy as np
from numba import get_num_threads, prange

from tinydx.op import kernel_of
from tinydx.ops.recurrence import simple_rnn, simple_rnn_step
from tinydx_kernels.cpu.dense import BLOCK, BREADTH, EXAMPLES
from tinydx_kernels.cpu.elementwise import TANH, activate
from tinydx_kernels.cpu.matmul import matrix_product, pack_panel
from tinydx_kernels.cpu.memory import aligned_empty, contiguous, flat, is_float32
from tinydx_kernels.cpu.simd import LANES, WIDTH, inline, jit, load_rows, outer, parallel, store

f32 = np.float32
DEPTH = 256  # rows of packed weights at a time: 24 or 32 KB of a panel stay in L1

# ---- the product of every step -------------------------------------------------------------------------------------


@jit
def pack_weights(w, row_step, column_step, depth, columns, packed):
    """packed[c * depth + k * BREADTH + j] = w[k, c + j]: panels of BREADTH columns; WIDTH numbers more may be written."""
    for c in range(0, columns, BREADTH):
        width = min(BREADTH, columns - c)
        pack_panel(w, c * column_step, column_step, row_step, width, BREADTH, 0, depth, packed, c * depth)


@inline
def add_block_simd(a, at, depth, k0, k1, packed, start, product, to, columns):
    """A block of EXAMPLES rows and BREADTH columns of `add_product`, in registers."""
    block = load_rows(BLOCK, EXAMPLES, product, to, columns)
    for k in range(k0, k1):
        block = outer(block, EXAMPLES, a, at + k, depth, packed, start + k * BREADTH)
    store(block, EXAMPLES, product, to, columns)


@inline
def add_block_plain(a, at, depth, k0, k1, packed, start, product, to, columns):
    """The same as plain loops: the compiler vectorises the innermost one."""
    for r in range(EXAMPLES):
        for k in range(k0, k1):
            factor = a[at + r * depth + k]
            for j in range(BREADTH):
                product[to + r * columns + j] += factor * packed[start + k * BREADTH + j]


add_block = add_block_simd if LANES else add_block_plain


@jit
def add_product(a, rows, depth, packed, product, columns):
    """product (rows,columns) += a (rows,depth) times the packed weights, in whole blocks of EXAMPLES x BREADTH."""
    for c in range(0, columns, BREADTH):
        for k0 in range(0, depth, DEPTH):
            k1 = min(k0 + DEPTH, depth)
            for r in range(0, rows, EXAMPLES):
                add_block(a, r * depth, depth, k0, k1, packed, c * depth, product, r * columns + c, columns)


@inline
def padded(columns):
    """Columns of a product, in whole panels."""
    return (columns + BREADTH - 1) // BREADTH * BREADTH


@inline
def add_row(total, row):
    """total += row"""
    for k in range(len(row)):
        total[k] += row[k]


@inline
def is_masked(mask, r, t):
    return mask.size > 0 and not mask[r, t]


# ---- work arrays, and what is done for all steps at once -------------------------------------------------------------


def whole(size, unit):
    """The size, rounded up to whole units."""
    return -(-size // unit) * unit


def by_steps(n, steps, width):
    """A work array (T,N,width), flat, with room for the rows that a block of EXAMPLES reads beyond its end."""
    rows = aligned_empty((steps * n + EXAMPLES) * width)
    rows[steps * n * width :] = 0
    return rows


def work_space(n, depth, columns):
    """Packed weights (depth, columns), and a product of each worker."""
    workers = max(1, min(get_num_threads(), n))
    products = aligned_empty((workers, whole(-(-n // workers), EXAMPLES) * whole(columns, BREADTH)))
    products[...] = 0
    return aligned_empty(depth * whole(columns, BREADTH) + WIDTH), products


def as_bools(mask):
    """The mask as kernels read it: empty where there is none."""
    return np.zeros((0, 0), np.bool_) if mask is None else np.array(mask, np.bool_)


def turned(x):
    """(N,T,D) -> (T N, D), step after step."""
    return np.ascontiguousarray(x.transpose(1, 0, 2)).reshape(-1, x.shape[2])


def states_from(h0, steps):
    """(T+1,N,U), flat: the initial states, and room for those after each step."""
    states = by_steps(len(h0), steps + 1, h0.shape[1])
    states[: h0.size] = h0.reshape(-1)
    return states


def gradient_of_x(dz, w, n):
    """dx (N,T,D) = dz W^T of all steps."""
    return matrix_product(dz, w.T).reshape(-1, n, len(w)).transpose(1, 0, 2)


def before(h, dz, units):
    """The states before each row of dz."""
    return h[: len(dz) * units].reshape(-1, units)


# ---- the tanh recurrence -------------------------------------------------------------------------------------------


@jit
def forward_through_time(first, last, b, mask, scores, h, y, n, steps, units, packed, product):
    """Examples first to last. scores (T,N,U) = x W_xh; h (T+1,N,U) begins with the initial states. All arrays are flat."""
    rows, columns = last - first, padded(units)
    for t in range(steps):
        top = t * n + first
        for r in range(rows):
            z, score = product[r * columns : r * columns + units], scores[(top + r) * units : (top + r + 1) * units]
            for k in range(units):
                z[k] = score[k] + b[k]
        add_product(h[top * units :], rows, units, packed, product, columns)
        for r in range(rows):
            at, to, out = (top + r) * units, (top + r + n) * units, ((first + r) * steps + t) * units
            if is_masked(mask, first + r, t):
                h[to : to + units] = h[at : at + units]
            else:
                activate(TANH, product[r * columns : r * columns + units], h[to : to + units])
            y[out : out + units] = h[to : to + units]


@parallel
def forward_kernel(w, b, mask, scores, h, y, n, steps, units, packed, products):
    workers = len(products)
    pack_weights(w, units, 1, units, units, packed)
    for part in prange(workers):
        worker = np.int64(part)
        first, last = n * worker // workers, n * (worker + 1) // workers
        forward_through_time(first, last, b, mask, scores, h, y, n, steps, units, packed, products[worker])


@jit
def back_through_time(first, last, dy, mask, h, dz, dh0, db, n, steps, units, packed, product):
    """Examples first to last; db (U,) gets the sum of dz, the gradients before tanh."""
    rows, columns = last - first, padded(units)
    for t in range(steps - 1, -1, -1):
        top = t * n + first
        for r in range(rows):
            at, after, row = (top + r) * units, (top + r + n) * units, first + r
            state, out, dh = h[after : after + units], dz[at : at + units], product[r * columns : r * columns + units]
            add_row(dh, dy[(row * steps + t) * units : (row * steps + t + 1) * units])
            if is_masked(mask, row, t):
                out[:] = 0
            else:
                for k in range(units):
                    out[k] = dh[k] * (f32(1) - state[k] * state[k])
                dh[:] = 0
            add_row(db, out)
        add_product(dz[top * units :], rows, units, packed, product, columns)
    for r in range(rows):
        dh0[(first + r) * units : (first + r + 1) * units] = product[r * columns : r * columns + units]


@parallel
def backward_kernel(dy, w, mask, h, dz, dh0, db, n, steps, units, packed, products):
    workers = len(products)
    pack_weights(w, 1, units, units, units, packed)  # transposed
    for part in prange(workers):
        worker = np.int64(part)
        first, last = n * worker // workers, n * (worker + 1) // workers
        back_through_time(first, last, dy, mask, h, dz, dh0, db[worker], n, steps, units, packed, products[worker])


def simple_rnn_forward(x, h0, w_xh, w_hh, b=None, *, mask=None):
    (n, steps, _), units, x = x.shape, len(w_hh), turned(x)
    b = np.zeros(units, np.float32) if b is None else contiguous(b)
    scores, bools, h, y = matrix_product(x, w_xh), as_bools(mask), states_from(h0, steps), aligned_empty((n, steps, units))
    forward_kernel(flat(w_hh), b, bools, scores.reshape(-1), h, y.reshape(-1), n, steps, units, *work_space(n, units, units))
    return y, (x, w_xh, w_hh, h, bools)


def simple_rnn_backward(dy, saved, needs=(True,) * 5):
    x, w_xh, w_hh, h, bools = saved
    n, steps, units = dy.shape
    dz, dh0, space = by_steps(n, steps, units), aligned_empty((n, units)), work_space(n, units, units)
    db = np.zeros((len(space[1]), units), np.float32)
    backward_kernel(flat(dy), flat(w_hh), bools, h, dz, dh0.reshape(-1), db, n, steps, units, *space)
    dz = dz[: n * steps * units].reshape(-1, units)
    dx = gradient_of_x(dz, w_xh, n) if needs[0] else None
    if not any(needs[2:]):
        return dx, dh0, None, None, None
    return dx, dh0, matrix_product(x.T, dz), matrix_product(before(h, dz, units).T, dz), db.sum(axis=0)


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
