"""The dense layer: a matrix product, and kernels of its own for what is usual, a small batch and large weights.

Such a layer is as fast as memory, so its kernels stream through the weights once, as they lie there.

    forward    y (N,F) += x[:, slab] w[slab]              a slab of w (SLAB rows, contiguous) after the other
    backward   dx[:, block] = dy w[block]^T               a block of ROWS rows of w after the other
    Adam       dw = x[:, block]^T dy in registers, then w, m, v of the block in place: they are read and written once

So backward leaves dw factored (a `Product`), and the optimizer multiplies it out where it is consumed.
Nothing is packed but x and dy, which are small. While one piece is computed, the next one is prefetched: rows of w
are too short and too far apart for the hardware to see where the loop is going.
"""

import numpy as np
from numba import get_num_threads, prange
from tinydx_kernels.cpu.matmul import matrix_product, pack_columns, pack_rows
from tinydx_kernels.cpu.memory import aligned_empty, contiguous, is_float32
from tinydx_kernels.cpu.simd import (
    COLUMNS,
    LANES,
    ROWS,
    TILE,
    WIDTH,
    broadcast,
    inline,
    jit,
    load,
    load_rows,
    outer,
    parallel,
    prefetch,
    square_root,
    store,
    zeros,
)

from tinydx.op import kernel_of
from tinydx.ops.dense import dense
from tinydx.ops.recurrence import rnn_output
from tinydx.product import Product

f32 = np.float32
PANEL = COLUMNS * WIDTH
SLAB = 64
LINE = 16  # floats of a cache line


def suits(n, w):
    """Whether these kernels take a batch of n rows and weights w: few rows, many weights, whole panels of columns."""
    return LANES > 0 and n <= 96 and w.shape[1] % PANEL == 0 and w.size >= 1 << 16


# ---- forward -------------------------------------------------------------------------------------------------------


@jit
def forward_of_worker(x, w, n, d, f, first, last, y, packed):
    """y (n rounded up to ROWS, f) = x[:, first:last] w[first:last]"""
    y[:] = 0
    for k0 in range(first, last, SLAB):
        depth = min(SLAB, last - k0)
        pack_rows(x, d, 1, 0, n, k0, depth, packed)
        ahead = (k0 + SLAB) * f
        for column in range(0, f, PANEL):
            for row in range(0, n, ROWS):
                block = load_rows(TILE, ROWS, y, row * f + column, f)
                for k in range(depth):
                    block = outer(block, ROWS, packed, (row * depth) + k * ROWS, 1, w, (k0 + k) * f + column)
                    prefetch(w, ahead)
                    ahead += LINE
                store(block, ROWS, y, row * f + column, f)


@parallel
def forward(x, w, n, d, f, totals, packed):
    workers = len(totals)
    for worker in prange(workers):
        first, last = d * worker // workers, d * (worker + 1) // workers
        forward_of_worker(x, w, n, d, f, first, last, totals[worker], packed[worker])


def stream_forward(x, w):
    """x (N,D) w (D,F) -> (N,F): the rows of w are shared out to the threads, which add up their results."""
    (n, d), f = x.shape, w.shape[1]
    workers, rows = max(1, min(get_num_threads(), d // SLAB)), -(-n // ROWS) * ROWS
    totals, packed = aligned_empty((workers, rows * f)), aligned_empty((workers, rows * SLAB + WIDTH))
    forward(contiguous(x).reshape(-1), contiguous(w).reshape(-1), n, d, f, totals, packed)
    y = totals[0] if workers == 1 else totals.sum(axis=0)
    return y.reshape(rows, f)[:n]


# ---- backward ------------------------------------------------------------------------------------------------------


@inline
def block_of_dx(w, at, f, dy, n, row, dx, d, edge):
    """dx[:, row : row + ROWS] = dy w^T for ROWS rows of w, which come into the L1 cache by it."""
    ahead = at + ROWS * f
    for column in range(0, n, PANEL):
        block = zeros(TILE)
        for k in range(f):
            block = outer(block, ROWS, w, at + k, f, dy, (column * f) + k * PANEL)
            prefetch(w, ahead)
            ahead += LINE
        store(block, ROWS, edge, 0, PANEL)
        for example in range(column, min(n, column + PANEL)):
            for r in range(ROWS):
                dx[example * d + row + r] = edge[r * PANEL + example - column]


@jit
def rows_of_dx(first, last, w, f, dy, n, dx, d):
    """dx of the rows left over."""
    for row in range(first, last):
        for example in range(n):
            total = f32(0)
            for k in range(f):
                total += dy[example * f + k] * w[row * f + k]
            dx[example * d + row] = total


@parallel
def backward_dx(dy, w, n, d, f, dx, packed, edge):
    workers = len(edge)
    pack_columns(dy, 1, f, 0, f, 0, n, packed)  # dy^T, in panels of 32 examples
    for worker in prange(workers):
        blocks = d // ROWS
        for item in range(blocks * worker // workers, blocks * (worker + 1) // workers):
            block_of_dx(w, item * ROWS * f, f, packed, n, item * ROWS, dx, d, edge[worker])
    rows_of_dx(d // ROWS * ROWS, d, w, f, dy, n, dx, d)


def stream_dx(dy, w):
    """dx (N,D) = dy (N,F) w^T"""
    n, (d, f) = len(dy), w.shape
    dx, packed = aligned_empty((n, d)), aligned_empty(-(-n // PANEL) * PANEL * f)
    edge = aligned_empty((max(1, min(get_num_threads(), d // ROWS)), TILE * WIDTH))
    backward_dx(contiguous(dy).reshape(-1), contiguous(w).reshape(-1), n, d, f, dx.reshape(-1), packed, edge)
    return dx


@jit
def block_of_adam(x, dy, n, w, m, v, at, f, constants, edge):
    """dw = x^T dy for ROWS rows and all columns of w, and their update; x and dy are packed."""
    alpha, rest_1, rest_2 = broadcast(constants[0]), broadcast(constants[1]), broadcast(constants[2])
    epsilon = broadcast(constants[3])
    for column in range(0, f, PANEL):
        block = zeros(TILE)
        for example in range(n):
            block = outer(block, ROWS, x, example * ROWS, 1, dy, (column * n) + example * PANEL)
        store(block, ROWS, edge, 0, PANEL)
        for r in range(ROWS):
            for lane in range(0, PANEL, WIDTH):
                i = at + r * f + column + lane
                if lane % LINE == 0:
                    prefetch(w, i + ROWS * f)
                    prefetch(m, i + ROWS * f)
                    prefetch(v, i + ROWS * f)
                g, mean, square = load(edge, r * PANEL + lane), load(m, i), load(v, i)
                mean = mean + (g - mean) * rest_1
                square = square + (g * g - square) * rest_2
                store(mean, 1, m, i, 0)
                store(square, 1, v, i, 0)
                store(load(w, i) - alpha * mean / (square_root(square) + epsilon), 1, w, i, 0)


@jit
def rows_of_adam(x, first, last, d, dy, n, w, m, v, f, constants):
    """The same for rows first to last as plain loops: the rows left over."""
    alpha, rest_1, rest_2, epsilon = constants
    for row in range(first, last):
        for k in range(f):
            i, g = row * f + k, f32(0)
            for example in range(n):
                g += x[example * d + row] * dy[example * f + k]
            m[i] += (g - m[i]) * rest_1
            v[i] += (g * g - v[i]) * rest_2
            w[i] -= alpha * m[i] / (np.sqrt(v[i]) + epsilon)


@parallel
def product_and_adam(x, dy, w, m, v, n, d, f, constants, packed_x, packed_dy, edge):
    workers = len(edge)
    pack_columns(dy, f, 1, 0, n, 0, f, packed_dy)
    for worker in prange(workers):
        blocks = d // ROWS
        for item in range(blocks * worker // workers, blocks * (worker + 1) // workers):
            row = item * ROWS
            pack_rows(x, 1, d, row, ROWS, 0, n, packed_x[worker])
            block_of_adam(packed_x[worker], packed_dy, n, w, m, v, row * f, f, constants, edge[worker])
    rows_of_adam(x, d // ROWS * ROWS, d, d, dy, n, w, m, v, f, constants)


def adam_of_product(x, dy, w, m, v, alpha, rest_1, rest_2, epsilon):
    """One Adam step of w, m, v (D,F) in place with the gradient x^T dy, which is never written; x (N,D), dy (N,F).

    alpha ... epsilon from `update.adam_constants`; w, m, v must be C-contiguous, and `suits(len(x), w)`.
    """
    (n, d), f = x.shape, w.shape[1]
    workers = max(1, min(get_num_threads(), d // ROWS))
    packed_x, packed_dy = aligned_empty((workers, n * ROWS + WIDTH)), aligned_empty(n * f + WIDTH)
    constants = f32(alpha), f32(rest_1), f32(rest_2), f32(epsilon)
    product_and_adam(
        contiguous(x).reshape(-1), contiguous(dy).reshape(-1), w.reshape(-1), m.reshape(-1), v.reshape(-1),
        n, d, f, constants, packed_x, packed_dy, aligned_empty((workers, TILE * WIDTH)),
    )  # fmt: skip


# ---- the op --------------------------------------------------------------------------------------------------------


def dense_forward(x, w, b=None):
    rows = x.reshape(-1, x.shape[-1])
    y = stream_forward(rows, w) if suits(len(rows), w) else matrix_product(rows, w)
    if b is not None:
        y += b
    return y.reshape(*x.shape[:-1], w.shape[1]), (x, w)


def dense_backward(dy, saved, needs=(True, True, True)):
    x, w = saved
    rows, dys = x.reshape(-1, x.shape[-1]), dy.reshape(-1, dy.shape[-1])
    dx = None
    if needs[0]:
        dx = (stream_dx(dys, w) if suits(len(dys), w) else matrix_product(dys, w.T)).reshape(x.shape)
    dw = None
    if needs[1]:
        dw = Product(rows, dys) if suits(len(rows), w) else matrix_product(rows.T, dys)
    return dx, dw, dys.sum(axis=0)


def supports(x, w, b=None):
    return is_float32(x, w, b)


kernel_of(dense, "numba", dense_forward, dense_backward, supports)
kernel_of(rnn_output, "numba", dense_forward, dense_backward, supports)
