"""The dense layer: a matrix product, and kernels of its own for the usual case, a small batch and large weights.

Such a layer is limited by memory bandwidth, so its kernels stream through the weights once, in the order they are stored.

    forward    y (N,F) += x[:, slab] w[slab]              one slab of w (SLAB rows, contiguous) after the other
    narrow     y (N,F) += x[:, k] w[k]                    the same for up to EXAMPLES rows of x; k: STREAMS rows of w
    backward   dx[:, k] = dy w[k]^T                       STREAMS rows of w at a time
    Adam       dw = x[:, k]^T dy in registers, then w, m, v of these rows in place: they are read and written once

So backward leaves dw factored (a `FactoredGradient`), and the optimizer multiplies it out where it is consumed.

One core reads a single contiguous range at 17 GB/s, but six ranges at once at 25: the hardware prefetches each of them.
So the rows k that are used together are not neighbours, they lie d / STREAMS rows apart:

    w   row 0     ------------------>  row 1, 2, ... follow
        row d/6   ------------------>
        row 2d/6  ------------------>  and so on: STREAMS streams, each from the first to the last of its d/6 rows

Only the forward of a larger batch uses a whole slab at once, too many rows for hardware prefetching: it prefetches the
next slab itself.
"""

from typing import NamedTuple

import numpy as np
from numba import get_num_threads, prange

from tinydx.factored import FactoredGradient
from tinydx.op import kernel_of
from tinydx.ops.dense import dense
from tinydx.ops.recurrence import rnn_output
from tinydx_kernels.cpu.matmul import TINY, Lines, matrix_product, pack_columns, panel_plain
from tinydx_kernels.cpu.memory import Matrix, aligned_empty, flat, is_float32
from tinydx_kernels.cpu.simd import (
    COLUMNS,
    LANES,
    SIZES,
    WIDTH,
    broadcast,
    inline,
    jit,
    load_rows,
    outer,
    parallel,
    prefetch,
    prefetch_l2,
    repeat_rows,
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
AHEAD = 2 * PANEL  # how far ahead Adam's streams are prefetched

# The register block of forward has fewer rows than a matrix product's: they divide the usual batches.
EXAMPLES, VECTORS = {16: (8, 2), 8: (4, 3), 0: (4, 2)}[LANES]
BREADTH = VECTORS * WIDTH
BLOCK = EXAMPLES * VECTORS
SLAB = 64  # rows of w


def suits(n, w):
    """Whether these kernels take n rows of x and weights w (D,F): few rows, many weights, whole panels of columns."""
    return LANES > 0 and n <= 96 and w.shape[1] % PANEL == 0 and w.shape[1] >= BREADTH and w.size >= 1 << 16


class Layer(NamedTuple):
    """Flat arrays of a dense layer: x (n,d), or in backward its gradient, and w (d,f)."""

    x: np.ndarray
    w: np.ndarray
    n: int
    d: int
    f: int


# ---- forward -------------------------------------------------------------------------------------------------------
#
# While it grows, y is kept block by block: y[(panel * rows + row) * BREADTH + c]. If F is no multiple of BREADTH, the last
# panel begins earlier, and some columns are computed twice.


class ForwardScratch(NamedTuple):
    """Memory of each worker: its y, block by block, the packed examples, and a panel of a slab of w."""

    totals: np.ndarray  # (workers, panels * rows * BREADTH)
    packed: np.ndarray  # (workers, rows * SLAB + WIDTH)
    panel: np.ndarray  # (workers, SLAB * BREADTH)


@jit
def pack_examples(layer, k0, depth, packed):
    """packed[row * depth + k * EXAMPLES + r] = x[row + r, k0 + k]; WIDTH numbers more may be written."""
    x, n, d = layer.x, layer.n, layer.d
    for row in range(0, n, EXAMPLES):
        k, start, at = 0, row * d + k0, row * depth
        if row + EXAMPLES <= n:
            while k + LANES <= depth:
                block = transpose(load_rows(EXAMPLES, EXAMPLES, x, start + k, d))
                store(block, LANES, packed, at + k * EXAMPLES, EXAMPLES)
                k += LANES
        panel_plain(Lines(x, start, d, 1, min(EXAMPLES, n - row)), EXAMPLES, k, depth, packed, at)


@jit
def add_slab(layer, k0, depth, y, packed, panel):
    """y (blocks) += x w[k0 : k0 + depth]. The first block of a panel copies it to lines that do not collide in L1.

    Meanwhile the next slab is fetched into L2, at a pace at which both finish together.
    """
    w, n, f = layer.w, layer.n, layer.f
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
def add_streams(layer, k0, apart, count, y, packed, rows, vectors):
    """y (blocks) += x[:, k] w[k] for `count` rows k0, k0 + apart ...; a block has `rows` >= n rows and `vectors` vectors."""
    w, d, f = layer.w, layer.d, layer.f
    panel_plain(Lines(layer.x, k0, d, apart, layer.n), rows, 0, count, packed, 0)
    at = 0
    for column in range(0, f, BREADTH):
        start = k0 * f + min(column, f - BREADTH)
        block = load_rows(vectors, rows, y, at, BREADTH)
        for k in range(count):
            block = outer(block, rows, packed, k * rows, 1, w, start + k * apart * f)
        store(block, rows, y, at, BREADTH)
        at += rows * BREADTH


@inline
def narrow_forward(layer, first, last, y, packed, rows, vectors):
    """y (blocks) += x[:, first:last] w[first:last] for at most `rows` examples."""
    apart = (last - first) // STREAMS
    for k in range(first, first + apart):
        add_streams(layer, k, apart, STREAMS, y, packed, rows, vectors)
    for k in range(first + apart * STREAMS, last):
        add_streams(layer, k, 1, 1, y, packed, rows, vectors)


@jit
def forward_of_worker(layer, first, last, y, packed, panel):
    """y (blocks) = x[:, first:last] w[first:last]"""
    y[:] = 0
    if layer.n == 1:  # saves computing three rows of zeros: 0.87 of the time
        narrow_forward(layer, first, last, y, packed, 1, VECTORS)
    elif layer.n <= EXAMPLES:
        narrow_forward(layer, first, last, y, packed, EXAMPLES, BLOCK)
    else:
        for k0 in range(first, last, SLAB):
            depth = min(SLAB, last - k0)
            pack_examples(layer, k0, depth, packed)
            add_slab(layer, k0, depth, y, packed, panel)


@jit
def gather(totals, y):
    """y (N,F) = the sum of the workers' results, row by row again. (In `forward` each slice would be a parallel loop.)"""
    n, f = y.shape
    rows = len(totals[0]) // ((f + BREADTH - 1) // BREADTH * BREADTH)
    total = totals[0]
    for worker in range(1, len(totals)):
        for k in range(len(total)):
            total[k] += totals[worker, k]
    for column in range(0, f, BREADTH):
        left = min(column, f - BREADTH)
        for row in range(n):
            at = column * rows + row * BREADTH
            for k in range(BREADTH):  # slices would take Numba two seconds to compile
                y[row, left + k] = total[at + k]


@parallel
def forward(layer, y, scratch):
    """y (N,F) = x (N,D) w (D,F); each worker takes some rows of w."""
    workers = len(scratch.totals)
    for part in prange(workers):
        worker = np.int64(part)
        first, last = layer.d * worker // workers, layer.d * (worker + 1) // workers
        forward_of_worker(layer, first, last, scratch.totals[worker], scratch.packed[worker], scratch.panel[worker])
    gather(scratch.totals, y)


@jit
def forward_alone(layer, y, scratch):
    """`forward` on one thread. It takes plain tuples: Numba needs a microsecond more for each named one."""
    totals, packed, panel = scratch
    forward_of_worker(Layer(*layer), 0, layer[3], totals[0], packed[0], panel[0])
    gather(totals, y)


def stream_forward(x, w):
    """x (N,D), w (D,F) -> y (N,F): the rows of w are shared out to the threads, whose results are added up."""
    (n, d), f = x.shape, w.shape[1]
    workers = max(1, min(get_num_threads(), d // SLAB))
    rows, panels = 1 if n == 1 else -(-n // EXAMPLES) * EXAMPLES, -(-f // BREADTH)
    y, totals = aligned_empty((n, f)), aligned_empty((workers, panels * rows * BREADTH))
    packed, panel = aligned_empty((workers, rows * SLAB + WIDTH)), aligned_empty((workers, SLAB * BREADTH))
    layer, scratch = (flat(x), flat(w), n, d, f), (totals, packed, panel)
    if workers == 1:
        forward_alone(layer, y, scratch)
    else:
        forward(Layer(*layer), y, ForwardScratch(*scratch))
    return y


# ---- backward ------------------------------------------------------------------------------------------------------


@inline
def streams_of_dx(layer, k0, apart, dy, edge):
    """dx[:, k] = dy w[k]^T for the STREAMS rows k0, k0 + apart ... of w; dy^T in panels of PANEL examples."""
    dx, w, n, d, f = layer
    for column in range(0, n, PANEL):
        block = zeros(TILE)
        for k in range(f):
            block = outer(block, STREAMS, w, k0 * f + k, apart * f, dy, column * f + k * PANEL)
        store(block, STREAMS, edge, 0, PANEL)
        for example in range(column, min(n, column + PANEL)):
            for r in range(STREAMS):
                dx[example * d + k0 + r * apart] = edge[r * PANEL + example - column]


@jit
def rows_of_dx(layer, first, step, count, dy):
    """dx[:, k] = dy (N,F), flat, times w[k]^T for `count` rows k = first, first + step ...; vectors run along w[k]."""
    dx, w, n, d, f = layer
    for row in range(first, first + count * step, step):
        weights = w[row * f : (row + 1) * f]
        for example in range(n):
            slopes, total = dy[example * f : (example + 1) * f], f32(0)
            for k in range(f):
                total += slopes[k] * weights[k]
            dx[example * d + row] = total


@parallel
def backward_dx(layer, dy, packed, edge):
    """layer.x (N,D) = dy (N,F), flat, times w^T; packed, room for dy^T in panels; edge (workers, TILE * WIDTH)."""
    n, d, f = layer.n, layer.d, layer.f
    workers, apart = len(edge), d // STREAMS
    few = n <= EXAMPLES  # they would leave most lanes of a panel of examples empty
    if not few:
        pack_columns(Matrix(dy, 1, f), 0, f, 0, n, packed)  # dy^T, in panels of PANEL examples
    for part in prange(workers):
        worker = np.int64(part)
        for k in range(apart * worker // workers, apart * (worker + 1) // workers):
            if few:
                rows_of_dx(layer, k, apart, STREAMS, dy)
            else:
                streams_of_dx(layer, k, apart, packed, edge[worker])
    rows_of_dx(layer, apart * STREAMS, 1, d - apart * STREAMS, dy)


def stream_dx(dy, w):
    """dy (N,F), w (D,F) -> dx (N,D) = dy w^T."""
    n, (d, f) = len(dy), w.shape
    dx, packed = aligned_empty((n, d)), aligned_empty(-(-n // PANEL) * PANEL * f)
    edge = aligned_empty((max(1, min(get_num_threads(), d // STREAMS)), TILE * WIDTH))
    backward_dx(Layer(dx.reshape(-1), flat(w), n, d, f), flat(dy), packed, edge)
    return dx


# ---- Adam with a factored gradient ---------------------------------------------------------------------------------


class AdamRates(NamedTuple):
    """alpha, the step size with its bias correction; rest_1 = 1 - beta_1; rest_2 = 1 - beta_2; epsilon: all float32."""

    alpha: np.float32
    rest_1: np.float32
    rest_2: np.float32
    epsilon: np.float32


class AdamState(NamedTuple):
    """Flat arrays (d,f) that Adam overwrites: the weights, the mean gradient, the mean squared gradient."""

    w: np.ndarray
    m: np.ndarray
    v: np.ndarray
    d: int
    f: int


class AdamScratch(NamedTuple):
    """Memory of each worker: the columns of x for its STREAMS rows of w, and the gradient of a panel of those rows."""

    packed_x: np.ndarray  # (workers, N * STREAMS)
    edge: np.ndarray  # (workers, TILE * WIDTH)


@jit
def streams_of_adam(x, dy, n, state, row, apart, rates, edge):
    """dw = x^T dy for the STREAMS rows row, row + apart ... of w, and their update; x and dy are packed."""
    w, m, v, _, f = state
    at, step = row * f, apart * f
    alpha, rest_1 = repeat_rows(broadcast(rates.alpha), STREAMS), repeat_rows(broadcast(rates.rest_1), STREAMS)
    rest_2, epsilon = repeat_rows(broadcast(rates.rest_2), STREAMS), repeat_rows(broadcast(rates.epsilon), STREAMS)
    for column in range(0, f, PANEL):
        block = zeros(TILE)
        for example in range(n):
            block = outer(block, STREAMS, x, example * STREAMS, 1, dy, column * n + example * PANEL)
        store(block, STREAMS, edge, 0, PANEL)
        for lane in range(0, PANEL, WIDTH):
            i = at + column + lane
            if lane % LINE == 0:
                for r in range(STREAMS):
                    prefetch(w, i + r * step + AHEAD)
                    prefetch(m, i + r * step + AHEAD)
                    prefetch(v, i + r * step + AHEAD)
            g = load_rows(STREAMS, STREAMS, edge, lane, PANEL)
            mean, square = load_rows(STREAMS, STREAMS, m, i, step), load_rows(STREAMS, STREAMS, v, i, step)
            mean = mean + (g - mean) * rest_1
            square = square + (g * g - square) * rest_2
            store(mean, STREAMS, m, i, step)
            store(square, STREAMS, v, i, step)
            change = alpha * mean / (square_root(square) + epsilon)
            store(load_rows(STREAMS, STREAMS, w, i, step) - change, STREAMS, w, i, step)


@jit
def rows_of_adam(x, dy, n, state, first, rates):
    """The same for the rows of w from `first` on, as plain loops: the rows left over; x (N,D) and dy (N,F) are flat."""
    w, m, v, d, f = state
    alpha, rest_1, rest_2, epsilon = rates
    for row in range(first, d):
        for k in range(f):
            i, g = row * f + k, f32(0)
            for example in range(n):
                g += x[example * d + row] * dy[example * f + k]
            m[i] += (g - m[i]) * rest_1
            v[i] += (g * g - v[i]) * rest_2
            w[i] -= alpha * m[i] / (np.sqrt(v[i]) + epsilon)


@parallel
def product_and_adam(x, dy, n, state, rates, packed_dy, scratch):
    """Adam's update of `state` with the gradient x^T dy; x (N,D) and dy (N,F) are flat, packed_dy has room for dy."""
    d, f = state.d, state.f
    workers, apart = len(scratch.edge), d // STREAMS
    pack_columns(Matrix(dy, f, 1), 0, n, 0, f, packed_dy)
    for part in prange(workers):
        worker = np.int64(part)
        packed_x, edge = scratch.packed_x[worker], scratch.edge[worker]
        for k in range(apart * worker // workers, apart * (worker + 1) // workers):
            panel_plain(Lines(x, k, apart, d, STREAMS), STREAMS, 0, n, packed_x, 0)
            streams_of_adam(packed_x, packed_dy, n, state, k, apart, rates, edge)
    rows_of_adam(x, dy, n, state, apart * STREAMS, rates)


def adam_of_product(x, dy, w, m, v, rates):
    """One Adam step of w, m, v (D,F) in place with the gradient x^T dy, which is never written; x (N,D), dy (N,F).

    rates, AdamRates; w, m, v must be C-contiguous, and `suits(len(x), w)`.
    """
    (n, d), f = x.shape, w.shape[1]
    workers = max(1, min(get_num_threads(), d // STREAMS))
    state = AdamState(w.reshape(-1), m.reshape(-1), v.reshape(-1), d, f)
    scratch = AdamScratch(aligned_empty((workers, n * STREAMS)), aligned_empty((workers, TILE * WIDTH)))
    product_and_adam(flat(x), flat(dy), n, state, rates, aligned_empty(n * f + WIDTH), scratch)


# ---- the op --------------------------------------------------------------------------------------------------------


LARGE = 1 << 18  # weights, or more, that are read in streams; fewer stay in L2, and a matrix product is done sooner


def streams(n, w):
    """Whether w is read in streams: NumPy's BLAS is done with one row and TINY weights or fewer before."""
    return n * w.size > TINY and w.size >= LARGE and suits(n, w)


def dense_forward(x, w, b=None):
    """x (...,D), w (D,F), b (F,) or None -> y (...,F); saved: x, w."""
    rows = x.reshape(-1, x.shape[-1])
    y = stream_forward(rows, w) if streams(len(rows), w) else matrix_product(rows, w)
    if b is not None:
        y += b
    return y.reshape(*x.shape[:-1], w.shape[1]), (x, w)


FACTORED = 1 << 20  # weights of a gradient that stays factored, or more; the optimizer finds a smaller one in the cache


def dense_backward(dy, saved, needs=(True, True, True)):
    """dy (...,F) -> dx (...,D), dw (D,F), factored where the weights are large, db (F,)."""
    x, w = saved
    rows, dys = x.reshape(-1, x.shape[-1]), dy.reshape(-1, dy.shape[-1])
    dx = None
    if needs[0]:
        dx = (stream_dx(dys, w) if streams(len(dys), w) else matrix_product(dys, w.T)).reshape(x.shape)
    dw = None
    if needs[1]:
        factored = w.size >= FACTORED and suits(len(rows), w)
        dw = FactoredGradient(rows, dys) if factored else matrix_product(rows.T, dys)
    return dx, dw, dys.sum(axis=0)


def supports(x, w, b=None):
    """Whether all arrays are float32."""
    return is_float32(x, w, b)


def samples(draw):
    """Batches and weights around the sizes of register blocks, with and without a bias; half of the weights are streamed."""
    batch = draw.choice([(1,), (2,), (12,), (13,), (33,), (96,), (97,), (3, 5)])
    d, f = draw.choice([*SIZES, 255, 257, 600]), draw.choice(SIZES)
    if draw.choice([False, True]):
        d, f = draw.choice([2101, 4200]), draw.choice([64, 96, 100, 160])
    return (draw.array(*batch, d), draw.array(d, f), draw.choice([draw.array(f), None])), {}


WARM: tuple = (
    (((4, 9), (9, 5), (5,)), {}),
    (((8, 4200), (4200, 64), (64,)), {}),  # large weights, a small batch: streamed, on several threads and on one
    (((8, 100), (100, 2624), (2624,)), {}),
)
kernel_of(dense, "numba", dense_forward, dense_backward, supports, samples=samples, warm=WARM)
kernel_of(rnn_output, "numba", dense_forward, dense_backward, supports, samples=samples, warm=WARM)
