"""The tanh recurrence over a whole sequence, and its backpropagation through time; gated.py builds on the same parts.

Time steps follow each other, examples are independent: each thread takes its share of the examples through all of time.

    forward     h_t = tanh(x_t W_xh + b + h_{t-1} W_hh)       x W_xh of all steps is one matrix product beforehand
    backward    dz_t = dh_t (1 - h_t^2),  dh_{t-1} = dz_t W_hh^T + dy_{t-1}    and the weights' gradients afterwards

The product of every step, `add_product`, uses weights that are packed once for all steps, and adds to what its rows hold.
Forward, the rows begin as scores x_t W_xh + b. Backward, the product is dh: its rows begin as zero, or, where the step is
masked, as the dh that passes through unchanged.

Work arrays are (T,N,...), not (N,T,...): the rows of one step are contiguous, and form the left factor of its product in
place. The last block of EXAMPLES rows reads whatever follows; the results of those extra rows are discarded.
"""

from typing import NamedTuple

import numpy as np
from numba import get_num_threads, prange

from tinydx.op import kernel_of
from tinydx.ops.recurrence import simple_rnn, simple_rnn_step
from tinydx_kernels.cpu.dense import BLOCK, BREADTH, EXAMPLES, VECTORS
from tinydx_kernels.cpu.elementwise import TANH, activate
from tinydx_kernels.cpu.layer import in_shares
from tinydx_kernels.cpu.matmul import Lines, Panels, matrix_product, pack_panel, share
from tinydx_kernels.cpu.memory import Matrix, aligned_empty, aligned_zeros, contiguous, flat_matrix, is_float32
from tinydx_kernels.cpu.simd import LANES, SIZES, WIDTH, inline, jit, load_rows, outer, parallel, store

f32 = np.float32
SMALL = 1 << 21  # multiplications that one thread has done, functions included, before a second one is awake
PIECE, GROUP = 32, 256  # rows that a block adds up at a time, and those of which all products are made before the next ones
SHORT = 1024  # rows of all steps up to which matrix products are done sooner than those in place have begun
LARGE = 1 << 18  # numbers of both weights' gradients up to which they stay in L2, and no factor needs packing
DEPTH = 256  # rows of packed weights at a time: 24 or 32 KB of a panel stay in L1


class Scratch(NamedTuple):
    """Packed weights for all workers, and each worker's product: rows of `padded` columns, flat."""

    packed: np.ndarray  # (depth * padded columns + WIDTH,)
    products: np.ndarray  # (workers, rows * padded columns)


# ---- the product of every step -------------------------------------------------------------------------------------


@jit
def pack_weights(w, depth, columns, packed):
    """packed[c * depth + k * BREADTH + j] = w[k, c + j], w a Matrix (depth,columns); WIDTH numbers more may be written."""
    for c in range(0, columns, BREADTH):
        lines = Lines(w.numbers, c * w.column, w.column, w.row, min(BREADTH, columns - c))
        pack_panel(lines, BREADTH, 0, depth, packed, c * depth)


@inline
def add_block_simd(a, at, w, start, steps, product, to, columns):
    """A block of EXAMPLES rows and BREADTH columns of `add_product` from a at `at` and w at `start`, in registers."""
    block = load_rows(BLOCK, EXAMPLES, product, to, columns)
    for k in range(steps):
        block = outer(block, EXAMPLES, a, at + k, w.depth, w.numbers, start + k * BREADTH)
    store(block, EXAMPLES, product, to, columns)


@inline
def add_block_plain(a, at, w, start, steps, product, to, columns):
    """The same as plain loops: the compiler vectorises the innermost one."""
    for r in range(EXAMPLES):
        for k in range(steps):
            factor = a[at + r * w.depth + k]
            for j in range(BREADTH):
                product[to + r * columns + j] += factor * w.numbers[start + k * BREADTH + j]


@inline
def add_last_simd(a, at, w, start, steps, product, to, columns):
    """The same for one row: an LSTM of 64 units predicts one example in half the time."""
    block = load_rows(VECTORS, 1, product, to, 0)
    for k in range(steps):
        block = outer(block, 1, a, at + k, 0, w.numbers, start + k * BREADTH)
    store(block, 1, product, to, 0)


add_block, add_last = (add_block_simd, add_last_simd) if LANES else (add_block_plain, add_block_plain)


@jit
def add_product(a, rows, w, product, columns):
    """product (rows,columns) += a (rows,depth) times the packed weights (Panels), in whole blocks of EXAMPLES x BREADTH."""
    for c in range(0, columns, BREADTH):
        for k0 in range(0, w.depth, DEPTH):
            steps, start = min(DEPTH, w.depth - k0), c * w.depth + k0 * BREADTH
            for r in range(0, rows, EXAMPLES):
                if r == rows - 1:
                    add_last(a, r * w.depth + k0, w, start, steps, product, r * columns + c, columns)
                else:
                    add_block(a, r * w.depth + k0, w, start, steps, product, r * columns + c, columns)


@inline
def padded(columns):
    """Columns of a product, in whole panels."""
    return (columns + BREADTH - 1) // BREADTH * BREADTH


@inline
def add_row(total, row):
    """total (K,) += row (K,)"""
    for k in range(len(row)):
        total[k] += row[k]


@inline
def is_masked(mask, r, t):
    """Whether step t of example r is masked; mask (N,T), or (0,0) for none."""
    return mask.size > 0 and not mask[r, t]


# ---- work arrays, and products for all steps at once -----------------------------------------------------------------


def whole(size, unit):
    """The size, rounded up to whole units."""
    return -(-size // unit) * unit


def by_steps(n, steps, width):
    """A work array (T,N,width), flat, with room for the rows and columns that a block reads beyond its end."""
    rows = aligned_empty(steps * n * width + max(EXAMPLES * width, BREADTH))
    rows[steps * n * width :] = 0
    return rows


def work_space(n, steps, depth, columns):
    """Scratch for packed weights (depth,columns) and products of n examples; the products begin as zero."""
    workers = min(get_num_threads(), n) if n * steps * depth * columns >= SMALL else 1
    products = aligned_empty((workers, whole(-(-n // workers), EXAMPLES) * whole(columns, BREADTH)))
    products[...] = 0
    return Scratch(aligned_empty(depth * whole(columns, BREADTH) + WIDTH), products)


def as_bools(mask):
    """The mask (N,T) as kernels read it: (0,0) for None."""
    return np.zeros((0, 0), np.bool_) if mask is None else np.array(mask, np.bool_)


def step_major(x):
    """x (N,T,D) -> `by_steps`, and the same as (T N, D)."""
    n, steps, width = x.shape
    rows = by_steps(n, steps, width)
    whole_rows = rows[: x.size].reshape(-1, width)
    whole_rows.reshape(steps, n, width)[...] = x.transpose(1, 0, 2)
    return rows, whole_rows


def states_from(h0, steps):
    """h0 (N,U) -> (T+1,N,U), flat: the initial states, and room for those after each step."""
    states = by_steps(len(h0), steps + 1, h0.shape[1])
    states[: h0.size] = h0.reshape(-1)
    if len(h0) % (EXAMPLES * get_num_threads()):  # a last block reads states before they are written: slow, if tiny numbers
        states[h0.size :] = 0
    return states


# ---- the gradients of x and of the weights, once those of all steps are known ----------------------------------------


class Rows(NamedTuple):
    """Rows of all steps, flat, `by_steps`."""

    numbers: np.ndarray
    width: int


class Factors(NamedTuple):
    """The rows of all steps whose products are the gradients, flat, `by_steps`."""

    x: np.ndarray  # (T N, D)
    h: np.ndarray  # (T N, U): the states before each step
    from_x: np.ndarray  # (T N, K): the gradients of x W
    from_h: np.ndarray  # (T N, K): the gradients of h U


class Gradients(NamedTuple):
    """What `gradients_kernel` adds to; each begins as zeros, and is empty where nobody needs it. Rows and columns are whole."""

    x: np.ndarray  # (T N, D), flat
    w: np.ndarray  # (D, K), flat
    u: np.ndarray  # (U, K), flat


@inline
def add_outer_simd(a, at, dz, start, rows, y, to):
    """y (EXAMPLES,BREADTH), columns of it at `to`, += the transpose of `rows` rows of a at `at`, times those of dz at `start`."""
    columns = padded(dz.width)
    block = load_rows(BLOCK, EXAMPLES, y, to, columns)
    for k in range(rows):
        block = outer(block, EXAMPLES, a.numbers, at + k * a.width, 1, dz.numbers, start + k * dz.width)
    store(block, EXAMPLES, y, to, columns)


@inline
def add_outer_plain(a, at, dz, start, rows, y, to):
    """The same as plain loops."""
    for k in range(rows):
        for r in range(EXAMPLES):
            factor = a.numbers[at + k * a.width + r]
            for j in range(BREADTH):
                y[to + r * padded(dz.width) + j] += factor * dz.numbers[start + k * dz.width + j]


add_outer = add_outer_simd if LANES else add_outer_plain


@jit
def add_gradient(a, dz, first, last, columns, y):
    """y (a.width, dz.width) += a^T dz of rows first to last; columns, where a worker's share of them begins and ends."""
    for c in range(columns[0], columns[1], BREADTH):
        for k in range(first, last, PIECE):
            for r in range(0, a.width, EXAMPLES):
                to = r * padded(dz.width) + c
                add_outer(a, k * a.width + r, dz, k * dz.width + c, min(PIECE, last - k), y, to)


@jit
def share_of_gradients(worker, workers, sizes, factors, packed, gradients):
    """What one worker adds, in columns and rows of its own; sizes: T N, D, U, K.

    GROUP rows after the other, so that all products read them from a cache.
    """
    rows, d, units, wide = sizes
    x, h, from_x, from_h = Rows(factors.x, d), Rows(factors.h, units), Rows(factors.from_x, wide), Rows(factors.from_h, wide)
    own = share(wide, BREADTH, worker, workers), share(wide, BREADTH, worker + 1, workers)
    for top in range(0, rows, GROUP):
        bottom = min(top + GROUP, rows)
        if gradients.w.size:
            add_gradient(x, from_x, top, bottom, own, gradients.w)
            add_gradient(h, from_h, top, bottom, own, gradients.u)
        if gradients.x.size:
            first = top + share(bottom - top, EXAMPLES, worker, workers)
            last = top + share(bottom - top, EXAMPLES, worker + 1, workers)
            slopes, dx = factors.from_x[first * wide :], gradients.x[first * padded(d) :]
            add_product(slopes, last - first, Panels(packed, wide), dx, padded(d))


@parallel
def gradients_kernel(sizes, factors, w, packed, gradients, workers):
    """gradients += x^T from_x, h^T from_h and from_x W^T; w, the transpose (K,D) from `flat_matrix`, is packed for it."""
    if gradients.x.size:
        pack_weights(Matrix(*w), sizes[3], sizes[1], packed)
    for worker in prange(workers):
        share_of_gradients(np.int64(worker), workers, sizes, factors, packed, gradients)


def gradients_in_place(sizes, factors, w, needs):
    """dx (T N, D), dw (D,K), du (U,K). needs: whether x's gradient, and the weights', are asked for; the others are empty."""
    rows, d, units, wide = sizes
    shapes = (rows, d, needs[0]), (d, wide, needs[1]), (units, wide, needs[1])
    zeros = [aligned_zeros((whole(m, EXAMPLES) * needed, whole(n, BREADTH))) for m, n, needed in shapes]
    workers = min(get_num_threads(), -(-wide // BREADTH)) if rows * (d + units) * wide >= SMALL else 1
    packed = aligned_empty(wide * whole(d, BREADTH) + WIDTH)
    gradients = Gradients(*(a.reshape(-1) for a in zeros))
    in_shares(workers, gradients_kernel, sizes, factors, flat_matrix(w.T), packed, gradients, workers)
    return [a[:m, :n] for a, (m, n, _) in zip(zeros, shapes, strict=True)]


def gradients_by_products(sizes, factors, w, needs):
    """The same by `matrix_product`."""
    rows, widths = sizes[0], (*sizes[1:], sizes[3])
    x, h, from_x, from_h = (a[: rows * width].reshape(rows, width) for a, width in zip(factors, widths, strict=True))
    dx = matrix_product(from_x, w.T) if needs[0] else None
    return [dx, *([matrix_product(x.T, from_x), matrix_product(h.T, from_h)] if needs[1] else [None, None])]


def gradients_of_steps(shape, factors, w, needs):
    """The gradients of x and of the weights, from those of all steps.

    Arguments: shape (N,T,U) of y; factors; w (D,K); needs, whether the gradients of x, and of the weights, are asked for.
    Returns: dx (N,T,D), dw (D,K), du (U,K); None where not asked for.
    """
    (n, steps, units), (d, wide) = shape, w.shape
    way = gradients_in_place if n * steps > SHORT and (d + units) * wide <= LARGE else gradients_by_products
    dx, dw, du = way((n * steps, d, units, wide), factors, w, needs)
    dx = dx.reshape(steps, n, d).transpose(1, 0, 2) if needs[0] else None
    return dx, *((contiguous(dw), contiguous(du)) if needs[1] else (None, None))


# ---- the tanh recurrence -------------------------------------------------------------------------------------------


class Forward(NamedTuple):
    """What the steps of the tanh recurrence read and write."""

    b: np.ndarray  # (U,)
    mask: np.ndarray  # (N,T) or (0,0)
    scores: np.ndarray  # (T,N,U), flat: x W_xh
    h: np.ndarray  # (T+1,N,U), flat: begins with the initial states
    y: np.ndarray  # (N,T,U)


class Backward(NamedTuple):
    """What backpropagation through the tanh recurrence reads and writes."""

    dy: np.ndarray  # (N,T,U)
    mask: np.ndarray  # (N,T) or (0,0)
    h: np.ndarray  # (T+1,N,U), flat
    dz: np.ndarray  # (T,N,U), flat: the gradients before tanh
    dh0: np.ndarray  # (N,U)
    db: np.ndarray  # (workers, U): each worker's sum of dz


@jit
def forward_through_time(first, last, arrays, w, product):
    """Examples first to last; arrays, Forward; w, W_hh in Panels; product, flat, of one worker."""
    b, mask, scores, h, y = arrays
    n, steps, units = y.shape
    rows, columns = last - first, padded(units)
    for t in range(steps):
        top = t * n + first
        for r in range(rows):
            z, score = product[r * columns : r * columns + units], scores[(top + r) * units : (top + r + 1) * units]
            for k in range(units):
                z[k] = score[k] + b[k]
        add_product(h[top * units :], rows, w, product, columns)
        for r in range(rows):
            at, to = (top + r) * units, (top + r + n) * units
            if is_masked(mask, first + r, t):
                h[to : to + units] = h[at : at + units]
            else:
                activate(TANH, product[r * columns : r * columns + units], h[to : to + units])
            y[first + r, t] = h[to : to + units]


@parallel
def forward_kernel(w, arrays, scratch):
    """All examples; w, W_hh (U,U) from `flat_matrix`; arrays, Forward."""
    n, _, units = arrays.y.shape
    workers = len(scratch.products)
    pack_weights(Matrix(*w), units, units, scratch.packed)
    for part in prange(workers):
        worker = np.int64(part)
        first, last = n * worker // workers, n * (worker + 1) // workers
        forward_through_time(first, last, arrays, Panels(scratch.packed, units), scratch.products[worker])


@jit
def back_through_time(first, last, arrays, db, w, product):
    """Examples first to last; arrays, Backward; db (U,), the worker's; w, W_hh^T in Panels; product, flat."""
    dy, mask, h, dz, dh0, _ = arrays
    n, steps, units = dy.shape
    rows, columns = last - first, padded(units)
    for t in range(steps - 1, -1, -1):
        top = t * n + first
        for r in range(rows):
            at, after, row = (top + r) * units, (top + r + n) * units, first + r
            state, out, dh = h[after : after + units], dz[at : at + units], product[r * columns : r * columns + units]
            add_row(dh, dy[row, t])
            if is_masked(mask, row, t):
                out[:] = 0
            else:
                for k in range(units):
                    out[k] = dh[k] * (f32(1) - state[k] * state[k])
                dh[:] = 0
            add_row(db, out)
        add_product(dz[top * units :], rows, w, product, columns)
    for r in range(rows):
        dh0[first + r] = product[r * columns : r * columns + units]


@parallel
def backward_kernel(w, arrays, scratch):
    """All examples; w, W_hh^T (U,U) from `flat_matrix`; arrays, Backward."""
    n, _, units = arrays.dy.shape
    workers = len(scratch.products)
    pack_weights(Matrix(*w), units, units, scratch.packed)
    for part in prange(workers):
        worker = np.int64(part)
        first, last = n * worker // workers, n * (worker + 1) // workers
        panels = Panels(scratch.packed, units)
        back_through_time(first, last, arrays, arrays.db[worker], panels, scratch.products[worker])


def simple_rnn_forward(x, h0, w_xh, w_hh, b=None, *, mask=None):
    """x (N,T,D), h0 (N,U), w_xh (D,U), w_hh (U,U), b (U,) or None, mask (N,T) or None -> y (N,T,U)."""
    (n, steps, _), units, (rows, x) = x.shape, len(w_hh), step_major(x)
    b = np.zeros(units, np.float32) if b is None else contiguous(b)
    y = aligned_empty((n, steps, units))
    arrays = Forward(b, as_bools(mask), matrix_product(x, w_xh).reshape(-1), states_from(h0, steps), y)
    scratch = work_space(n, steps, units, units)
    in_shares(len(scratch.products), forward_kernel, flat_matrix(w_hh), arrays, scratch)
    return y, (rows, w_xh, w_hh, arrays.h, arrays.mask)


def simple_rnn_backward(dy, saved, needs=(True,) * 5):
    """dy (N,T,U) -> dx (N,T,D), dh0 (N,U), dw_xh (D,U), dw_hh (U,U), db (U,)."""
    x, w_xh, w_hh, h, bools = saved
    n, steps, units = dy.shape
    scratch = work_space(n, steps, units, units)
    db = np.zeros((len(scratch.products), units), np.float32)
    arrays = Backward(contiguous(dy), bools, h, by_steps(n, steps, units), aligned_empty((n, units)), db)
    in_shares(len(scratch.products), backward_kernel, flat_matrix(w_hh.T), arrays, scratch)
    factors = Factors(x, h, arrays.dz, arrays.dz)
    dx, dw, du = gradients_of_steps(dy.shape, factors, w_xh, (needs[0], any(needs[2:])))
    return dx, arrays.dh0, dw, du, db.sum(axis=0) if any(needs[2:]) else None


def step_forward(x, h, w_xh, w_hh, b):
    """x (N,D), h (N,U), weights as above -> the next h (N,U): a sequence of one step."""
    y, saved = simple_rnn_forward(x[:, None], h, w_xh, w_hh, b)
    return y[:, 0], saved


def step_backward(dy, saved, needs=(True,) * 5):
    """dy (N,U) -> dx (N,D), dh (N,U), and the weights' gradients as above."""
    dx, dh, *weights = simple_rnn_backward(dy[:, None], saved, needs)
    return None if dx is None else dx[:, 0], dh, *weights


def supports(x, h0, w_xh, w_hh, b=None, **constants):
    """Whether all arrays are float32."""
    return is_float32(x, h0, w_xh, w_hh, b)


# ---- shapes to try ---------------------------------------------------------------------------------------------------


def sequence_samples(gates=1, states=1, biases=(), steps=True):
    """samples(draw) of a recurrence: sizes around those of register blocks; weights of a size at which no state saturates.

    Arguments: gates, states of the cell; biases, leading axes of b; steps=False, inputs of a single step.
    """

    def samples(draw):
        n, t, d, u = draw.choice([1, 2, 5, 13, 25]), draw.integer(1, 9), draw.integer(1, 20), draw.choice(SIZES)
        x = draw.array(n, t, d) if steps else draw.array(n, d)
        w, b = draw.array(d, gates * u) / d**0.5, draw.array(*biases, gates * u)
        arrays = (x, *(draw.array(n, u) for _ in range(states)), w, draw.array(u, gates * u) / u**0.5)
        if not steps:
            return (*arrays, b), {}
        return (*arrays, draw.choice([b, None])), {"mask": draw.choice([None, draw.array(n, t) < 0.5])}

    return samples


MASKS = (None, np.array([[True, True, False], [True, False, False]]))
WARM: tuple = tuple((((2, 3, 4), (2, 8), (4, 8), (8, 8), (8,)), {"mask": mask}) for mask in MASKS)
STEP_WARM: tuple = ((((2, 4), (2, 8), (4, 8), (8, 8), (8,)), {}),)
kernel_of(simple_rnn, "numba", simple_rnn_forward, simple_rnn_backward, supports, samples=sequence_samples(), warm=WARM)
kernel_of(simple_rnn_step, "numba", step_forward, step_backward, supports, samples=sequence_samples(steps=False), warm=STEP_WARM)
