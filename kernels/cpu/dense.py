"""The dense layer: a matrix product, and kernels of its own for what is usual, a small batch and large weights.

Such a layer is as fast as memory, so its kernels stream through the weights once, as they lie there.

    forward    y (N,F) += x[:, slab] w[slab]              a slab of w (SLAB rows, contiguous) after the other
    narrow     y (N,F) += x[:, k] w[k]                    the same for one row of x, or up to EXAMPLES; k: STREAMS rows of w
    backward   dx[:, k] = dy w[k]^T                       STREAMS rows of w after the others
    Adam       dw = x[:, k]^T dy in registers, then w, m, v of these rows in place: they are read and written once

So backward leaves dw factored (a `FactoredGradient`), and the optimizer multiplies it out where it is consumed.

One core reads one place after the other at 17 GB/s, but six places at once at 25: the hardware looks ahead in each of
them. So the rows k that are used together are not neighbours, they lie d / STREAMS rows apart:

    w   row 0     ------------------>  row 1, 2, ... follow
        row d/6   ------------------>
        row 2d/6  ------------------>  and so on: STREAMS streams, each from the first to the last of its d/6 rows

Only the forward of a larger batch wants a whole slab at once, too many rows for that: it asks for the next slab itself.
"""

import numpy as np
from numba import get_num_threads, prange

from tinydx.factored import FactoredGradient
from tinydx.op import kernel_of
from tinydx.ops.dense import dense
from tinydx.ops.recurrence import rnn_output
from tinydx_kernels.cpu.matmul import matrix_product, pack_columns, panel_plain
from tinydx_kernels.cpu.memory import aligned_empty, contiguous, is_float32
from tinydx_kernels.cpu.simd import (
    COLUMNS,
    LANES,
    WIDTH,
    broadcast,
    inline,
    jit,
    load,
    load_rows,
    outer,
    parallel,
    prefetch,
    prefetch_l2,
    square_root,
    store,
    transpose,
    zeros,
)

f32 = np.float32
PANEL = COLUMNS * WIDTH
STREAMS = 6  # rows of w at a time
TILE = STREAMS * COLUMNS
LINE = 16  # floats of a cache line
AHEAD = 2 * PANEL  # how far Adam's streams are fetched ahead

# The register block of forward has fewer rows than a matrix product's: they divide the usual batches.
EXAMPLES, VECTORS = {16: (8, 2), 8: (4, 3), 0: (4, 2)}[LANES]
BREADTH = VECTORS * WIDTH
BLOCK = EXAMPLES * VECTORS
SLAB = 64  # rows of w


def suits(n, w):
    """Whether these kernels take a batch of n rows and weights w: few rows, many weights, whole panels of columns."""
    return LANES > 0 and n <= 96 and w.shape[1] % PANEL == 0 and w.shape[1] >= BREADTH and w.size >= 1 << 16


# ---- forward -------------------------------------------------------------------------------------------------------
#
# While it grows, y is kept block by block: y[(panel * rows + row) * BREADTH + c]. If F is no multiple of BREADTH, the last
# panel begins earlier, and some columns are computed twice.


@jit
def pack_examples(x, d, n, k0, depth, packed):
    """packed[row * depth + k * EXAMPLES + r] = x[row + r, k0 + k]; WIDTH numbers more may be written."""
    for row in range(0, n, EXAMPLES):
        k, start, at = 0, row * d + k0, row * depth
        if row + EXAMPLES <= n:
            while k + LANES <= depth:
                block = transpose(load_rows(EXAMPLES, EXAMPLES, x, start + k, d))
                store(block, LANES, packed, at + k * EXAMPLES, EXAMPLES)
                k += LANES
        panel_plain(x, start, d, 1, min(EXAMPLES, n - row), EXAMPLES, k, depth, packed, at)


@jit
def add_slab(packed, w, k0, depth, n, f, y, panel):
    """y += x w[k0 : k0 + depth]. The first block of a panel copies it, out of lines that would drive each other out of L1.

    Meanwhile the next slab is fetched into L2, at such a pace that both are done together.
    """
    ahead, at = (k0 + SLAB) * f, 0
    pace = LINE // WIDTH * ((n + EXAMPLES - 1) // EXAMPLES)
    for column in range(0, f, BREADTH):
        start = k0 * f + min(column, f - BREADTH)
        for row in range(0, n, EXAMPLES):
            block = load_rows(BLOCK, EXAMPLES, y, at, BREADTH)
            for piece in range(0, depth, pace):
                for _ in range(VECTORS):
                    prefetch_l2(w, ahead)
                    ahead += LINE
                for k in range(piece, min(piece + pace, depth)):
                    if row == 0:
                        store(load_rows(VECTORS, 1, w, start + k * f, 0), 1, panel, k * BREADTH, 0)
                    block = outer(block, EXAMPLES, packed, row * depth + k * EXAMPLES, 1, panel, k * BREADTH)
            store(block, EXAMPLES, y, at, BREADTH)
            at += BLOCK * WIDTH


@inline
def add_streams(x, w, k0, apart, count, n, d, f, y, packed, rows, vectors):
    """y += x[:, k] w[k] for `count` rows k0, k0 + apart ...; a block has so many rows, at least n, and vectors."""
    panel_plain(x, k0, d, apart, n, rows, 0, count, packed, 0)
    at = 0
    for column in range(0, f, BREADTH):
        start = k0 * f + min(column, f - BREADTH)
        block = load_rows(vectors, rows, y, at, BREADTH)
        for k in range(count):
            block = outer(block, rows, packed, k * rows, 1, w, start + k * apart * f)
        store(block, rows, y, at, BREADTH)
        at += rows * BREADTH


@inline
def narrow_forward(x, w, n, d, f, first, last, y, packed, rows, vectors):
    """y += x[:, first:last] w[first:last] for at most `rows` examples."""
    apart = (last - first) // STREAMS
    for k in range(first, first + apart):
        add_streams(x, w, k, apart, STREAMS, n, d, f, y, packed, rows, vectors)
    for k in range(first + apart * STREAMS, last):
        add_streams(x, w, k, 1, 1, n, d, f, y, packed, rows, vectors)


@jit
def forward_of_worker(x, w, n, d, f, first, last, y, packed, panel):
    """y = x[:, first:last] w[first:last], block by block"""
    y[:] = 0
    if n == 1:  # three rows of zeros less to work out: 0.87 of the time
        narrow_forward(x, w, n, d, f, first, last, y, packed, 1, VECTORS)
    elif n <= EXAMPLES:
        narrow_forward(x, w, n, d, f, first, last, y, packed, EXAMPLES, BLOCK)
    else:
        for k0 in range(first, last, SLAB):
            depth = min(SLAB, last - k0)
            pack_examples(x, d, n, k0, depth, packed)
            add_slab(packed, w, k0, depth, n, f, y, panel)


@jit
def gather(totals, n, f, y):
    """y = the sum of the workers' results, row by row again. (In `forward` each slice would become a parallel loop.)"""
    rows = len(totals[0]) // ((f + BREADTH - 1) // BREADTH * BREADTH)
    for worker in range(1, len(totals)):
        totals[0] += totals[worker]
    for column in range(0, f, BREADTH):
        left = min(column, f - BREADTH)
        for row in range(n):
            at = column * rows + row * BREADTH
            y[row, left : left + BREADTH] = totals[0, at : at + BREADTH]


@parallel
def forward(x, w, n, d, f, y, totals, packed, panel):
    workers = len(totals)
    for worker in prange(workers):
        first, last = d * worker // workers, d * (worker + 1) // workers
        forward_of_worker(x, w, n, d, f, first, last, totals[worker], packed[worker], panel[worker])
    gather(totals, n, f, y)


def stream_forward(x, w):
    """x (N,D) w (D,F) -> (N,F): the rows of w are shared out to the threads, whose results are added up."""
    (n, d), f = x.shape, w.shape[1]
    workers = max(1, min(get_num_threads(), d // SLAB))
    rows, panels = 1 if n == 1 else -(-n // EXAMPLES) * EXAMPLES, -(-f // BREADTH)
    y, totals = aligned_empty((n, f)), aligned_empty((workers, panels * rows * BREADTH))
    packed, panel = aligned_empty((workers, rows * SLAB + WIDTH)), aligned_empty((workers, SLAB * BREADTH))
    forward(contiguous(x).reshape(-1), contiguous(w).reshape(-1), n, d, f, y, totals, packed, panel)
    return y


# ---- backward ------------------------------------------------------------------------------------------------------


@inline
def streams_of_dx(w, k0, apart, f, dy, n, dx, d, edge):
    """dx[:, k] = dy w[k]^T for the STREAMS rows k0, k0 + apart ... of w."""
    for column in range(0, n, PANEL):
        block = zeros(TILE)
        for k in range(f):
            block = outer(block, STREAMS, w, k0 * f + k, apart * f, dy, column * f + k * PANEL)
        store(block, STREAMS, edge, 0, PANEL)
        for example in range(column, min(n, column + PANEL)):
            for r in range(STREAMS):
                dx[example * d + k0 + r * apart] = edge[r * PANEL + example - column]


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
    workers, apart = len(edge), d // STREAMS
    pack_columns(dy, 1, f, 0, f, 0, n, packed)  # dy^T, in panels of 32 examples
    for worker in prange(workers):
        for k in range(apart * worker // workers, apart * (worker + 1) // workers):
            streams_of_dx(w, k, apart, f, packed, n, dx, d, edge[worker])
    rows_of_dx(apart * STREAMS, d, w, f, dy, n, dx, d)


def stream_dx(dy, w):
    """dx (N,D) = dy (N,F) w^T"""
    n, (d, f) = len(dy), w.shape
    dx, packed = aligned_empty((n, d)), aligned_empty(-(-n // PANEL) * PANEL * f)
    edge = aligned_empty((max(1, min(get_num_threads(), d // STREAMS)), TILE * WIDTH))
    backward_dx(contiguous(dy).reshape(-1), contiguous(w).reshape(-1), n, d, f, dx.reshape(-1), packed, edge)
    return dx


@jit
def streams_of_adam(x, dy, n, w, m, v, at, step, f, constants, edge):
    """dw = x^T dy for STREAMS rows of w, which begin at `at`, at + step ..., and their update; x and dy are packed."""
    alpha, rest_1, rest_2 = broadcast(constants[0]), broadcast(constants[1]), broadcast(constants[2])
    epsilon = broadcast(constants[3])
    for column in range(0, f, PANEL):
        block = zeros(TILE)
        for example in range(n):
            block = outer(block, STREAMS, x, example * STREAMS, 1, dy, column * n + example * PANEL)
        store(block, STREAMS, edge, 0, PANEL)
        for r in range(STREAMS):
            for lane in range(0, PANEL, WIDTH):
                i = at + r * step + column + lane
                if lane % LINE == 0:
                    prefetch(w, i + AHEAD)
                    prefetch(m, i + AHEAD)
                    prefetch(v, i + AHEAD)
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
    workers, apart = len(edge), d // STREAMS
    pack_columns(dy, f, 1, 0, n, 0, f, packed_dy)
    for worker in prange(workers):
        for k in range(apart * worker // workers, apart * (worker + 1) // workers):
            panel_plain(x, k, apart, d, STREAMS, STREAMS, 0, n, packed_x[worker], 0)
            streams_of_adam(packed_x[worker], packed_dy, n, w, m, v, k * f, apart * f, f, constants, edge[worker])
    rows_of_adam(x, apart * STREAMS, d, d, dy, n, w, m, v, f, constants)


def adam_of_product(x, dy, w, m, v, alpha, rest_1, rest_2, epsilon):
    """One Adam step of w, m, v (D,F) in place with the gradient x^T dy, which is never written; x (N,D), dy (N,F).

    alpha ... epsilon from `update.adam_constants`; w, m, v must be C-contiguous, and `suits(len(x), w)`.
    """
    (n, d), f = x.shape, w.shape[1]
    workers = max(1, min(get_num_threads(), d // STREAMS))
    packed_x, packed_dy = aligned_empty((workers, n * STREAMS)), aligned_empty(n * f + WIDTH)
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
        dw = FactoredGradient(rows, dys) if suits(len(rows), w) else matrix_product(rows.T, dys)
    return dx, dw, dys.sum(axis=0)


def supports(x, w, b=None):
    return is_float32(x, w, b)


kernel_of(dense, "numba", dense_forward, dense_backward, supports)
kernel_of(rnn_output, "numba", dense_forward, dense_backward, supports)
