"""Matrix product y = a b.

The result is cut into register blocks of ROWS x COLUMNS vectors (12 x 32 floats with AVX-512). Each is computed by
`tile`: for every k, a column of 12 numbers of a times a row of 32 numbers of b, added up in 24 registers.

              b:  K x N, packed panel by panel (a panel is 32 columns wide)
                       +----+----+----+
                       |    |    |    |  DEPTH rows at a time: one panel (24 or 64 KB) stays in L1 or L2,
                       |    |    |    |  BREADTH columns of them in L3
                       +----+----+----+
    a:  M x K    +---+ +----+----+----+
    packed in    |   | |tile|    |    |  12 rows
    12-row       +---+ +----+----+----+
    panels       |   | |    |    |    |
                 +---+ +----+----+----+  <- HEIGHT rows of a are packed (288 KB, L2) and used for all panels

If b has few columns, contiguous rows of a are not packed: a register block reads them in place. (Not with 16 lanes:
reading twelve rows at once runs at half the speed, and even for one panel packing costs less.)

The workers cut y into rectangles. Each does all of its own work, packing included: packing some rows and columns twice
costs less than waiting for each other.
"""

from typing import NamedTuple

import numpy as np
from numba import get_num_threads, prange

from tinydx.op import kernel_of
from tinydx.ops.arithmetic import matmul, unbroadcast
from tinydx_kernels.cpu.matvec import times_vector
from tinydx_kernels.cpu.memory import CACHE_LINE, Matrix, aligned_empty, flat_matrix, is_float32
from tinydx_kernels.cpu.simd import (
    COLUMNS,
    LANES,
    ROWS,
    SIZES,
    TILE,
    WIDTH,
    add,
    inline,
    jit,
    load,
    load_part,
    load_rows,
    outer,
    parallel,
    prefetch,
    store,
    store_part,
    transpose,
    zeros,
)

PANEL = COLUMNS * WIDTH  # columns of a register block
HALF = ROWS // 2  # rows of the block for the last few rows
GROUP = 4  # panels of b that are packed together
DEPTH, HEIGHT = {16: (512, 144), 8: (384, 96), 0: (256, 144)}[LANES]  # rows of b, and of a, at a time
BREADTH = 2048  # columns of b at a time
REUSE = 0 if LANES == 16 else 512  # up to this many columns of b, packed rows of a are used too seldom to pay for packing
CONFLICT = 512  # rows a multiple of this many floats apart compete for the same lines of L1: always packed
SMALL = 1 << 21  # one thread does this many multiplications before a second one is awake
TINY = (2 << 18) - 1  # up to this many, NumPy's BLAS computes on one thread, and sooner than blocks are packed


class Rows(NamedTuple):
    """Rows of a, in blocks of ROWS: element (r, k) of block i is numbers[start + i * ROWS * block + r * row + k * column]."""

    numbers: np.ndarray  # flat: packed, or a itself
    start: int
    block: int
    row: int
    column: int


class Panels(NamedTuple):
    """A packed matrix of `depth` rows: its panels one after the other, each row by row."""

    numbers: np.ndarray  # flat
    depth: int


class Lines(NamedTuple):
    """Some rows or columns of a matrix: element k of line c is numbers[start + c * line + k * step]."""

    numbers: np.ndarray  # flat
    start: int
    line: int
    step: int
    lines: int  # how many


class Rectangle(NamedTuple):
    """Rows top to bottom and columns left to right of y, ends excluded."""

    top: int
    bottom: int
    left: int
    right: int


# ---- the register block ---------------------------------------------------------------------------------------------


@inline
def tile_plain(a, i, b, j, y, at, first):
    """y (ROWS,PANEL) at `at` (+)= a (ROWS,K) at i times a packed panel of b (K,PANEL) at j, as plain loops.

    The compiler vectorises the innermost one. `first`: y is set instead of added to.
    """
    if first:
        for r in range(ROWS):
            for c in range(PANEL):
                y.numbers[at + r * y.row + c] = 0
    for k in range(b.depth):
        for r in range(ROWS):
            factor = a.numbers[i + r * a.row + k * a.column]
            for c in range(PANEL):
                y.numbers[at + r * y.row + c] += factor * b.numbers[j + k * PANEL + c]


def _tile_in_registers(rows):
    """The same for the first `rows` rows."""
    count = rows * COLUMNS

    @inline
    def tile(a, i, b, j, y, at, first):
        """In registers: y is fetched meanwhile, and written once, at the end."""
        for r in range(rows):
            prefetch(y.numbers, at + r * y.row)
        block = zeros(count)
        for k in range(b.depth):
            block = outer(block, rows, a.numbers, i + k * a.column, a.row, b.numbers, j + k * PANEL)
        if not first:
            block = add(block, load_rows(count, rows, y.numbers, at, y.row))
        store(block, rows, y.numbers, at, y.row)

    return tile


tile, half_tile = (_tile_in_registers(ROWS), _tile_in_registers(HALF)) if LANES else (tile_plain, tile_plain)


@inline
def copy_edge_plain(edge, y, at, rows, columns, first):
    """y (rows,columns) at `at` (+)= the upper left corner of a whole tile, edge (ROWS,PANEL)."""
    for r in range(rows):
        for c in range(columns):
            before = np.float32(0) if first else y.numbers[at + r * y.row + c]
            y.numbers[at + r * y.row + c] = before + edge[r * PANEL + c]


@inline
def copy_edge_simd(edge, y, at, rows, columns, first):
    """The same by vectors, of which only lanes that exist are read and written."""
    for c in range(0, columns, LANES):
        block = load_part(edge, c, PANEL, rows, columns - c)
        if not first:
            block = add(block, load_part(y.numbers, at + c, y.row, rows, columns - c))
        store_part(block, y.numbers, at + c, y.row, rows, columns - c)


copy_edge = copy_edge_simd if LANES else copy_edge_plain


# ---- packing: the order in which tile reads ------------------------------------------------------------------------


@inline
def panel_plain(x, width, first, last, packed, at):
    """packed[at + k * width + c] = element k of line c of x (Lines), for k from first to last: a panel of `width` lines.

    Missing lines repeat the last one; those results are discarded.
    """
    for k in range(first, last):
        for c in range(width):
            packed[at + k * width + c] = x.numbers[x.start + min(c, x.lines - 1) * x.line + k * x.step]


@inline
def panel_simd(x, width, first, last, packed, at):
    """The same by vectors, of lines or elements that lie side by side; missing lines are zeros.

    Up to LANES - 1 numbers past the end of the panel are overwritten: pack panels in order.
    """
    k = first
    if x.lines == width and x.line == 1:
        while k < last and x.start + k * x.step + width + LANES <= len(x.numbers):
            for c in range(0, width, LANES):
                store(load(x.numbers, x.start + k * x.step + c), 1, packed, at + k * width + c, 0)
            k += 1
    elif x.lines == width and x.step == 1:
        while k + LANES <= last:
            if width == ROWS:
                block = transpose(load_rows(ROWS, ROWS, x.numbers, x.start + k, x.line))
                store(block, LANES, packed, at + k * ROWS, ROWS)
            else:
                for c in range(0, width, LANES):
                    block = transpose(load_rows(LANES, LANES, x.numbers, x.start + c * x.line + k, x.line))
                    store(block, LANES, packed, at + k * width + c, width)
            k += LANES
    while k < last:  # of missing lines and of a last few elements, zeros
        for c in range(0, width, LANES):
            if x.step == 1:
                block = transpose(load_part(x.numbers, x.start + c * x.line + k, x.line, x.lines - c, last - k))
            else:
                block = load_part(x.numbers, x.start + k * x.step + c, x.step, last - k, x.lines - c)
            store_part(block, packed, at + k * width + c, width, last - k, width - c)
        k += LANES


pack_panel = panel_simd if LANES else panel_plain


@jit
def pack_rows(a, row, rows, k0, depth, packed):
    """a[row : row + rows, k0 : k0 + depth] in panels of ROWS: packed[panel * depth * ROWS + k * ROWS + r].

    `packed` has room for whole panels and WIDTH numbers more.
    """
    for r in range(0, rows, ROWS):
        lines = Lines(a.numbers, (row + r) * a.row + k0 * a.column, a.row, a.column, min(ROWS, rows - r))
        pack_panel(lines, ROWS, 0, depth, packed, r * depth)


@inline
def pack_group(b, start, depth, packed, at):
    """GROUP whole panels at once: each row of b may lie in another page, so more of each row is read at a time."""
    for k in range(depth):
        for panel in range(GROUP):
            row = load_rows(COLUMNS, 1, b.numbers, start + k * b.row + panel * PANEL, 0)
            store(row, 1, packed, at + (panel * depth + k) * PANEL, 0)


@jit
def pack_columns(b, k0, depth, column, columns, packed):
    """b[k0 : k0 + depth, column : column + columns] in panels of PANEL: packed[panel * depth * PANEL + k * PANEL + c]."""
    grouped = columns // (GROUP * PANEL) * GROUP * PANEL if LANES and b.column == 1 else 0
    for c in range(0, grouped, GROUP * PANEL):
        pack_group(b, k0 * b.row + column + c, depth, packed, c * depth)
    for c in range(grouped, columns, PANEL):
        lines = Lines(b.numbers, k0 * b.row + (column + c) * b.column, b.column, b.row, min(PANEL, columns - c))
        pack_panel(lines, PANEL, 0, depth, packed, c * depth)


# ---- the product ---------------------------------------------------------------------------------------------------


@inline
def multiply_panels(a, b, y, part, first, edge):
    """y[part] (+)= a b, with a as Rows and b as Panels, panel by panel."""
    rows, columns = part.bottom - part.top, part.right - part.left
    for c in range(0, columns, PANEL):
        width = min(PANEL, columns - c)
        for r in range(0, rows, ROWS):
            i, j, at = a.start + r * a.block, c * b.depth, (part.top + r) * y.row + part.left + c
            if rows - r >= ROWS and width == PANEL:
                tile(a, i, b, j, y, at, first)
            else:
                if rows - r > HALF:
                    tile(a, i, b, j, Matrix(edge, PANEL, 1), 0, True)
                else:
                    half_tile(a, i, b, j, Matrix(edge, PANEL, 1), 0, True)
                copy_edge(edge, y, at, min(ROWS, rows - r), width, first)


@jit
def multiply_packed_rows(packed, b, y, part, first, edge):
    """y[part] (+)= packed rows of a times packed columns of b (Panels)."""
    multiply_panels(Rows(packed, 0, b.depth, 1, ROWS), b, y, part, first, edge)


@jit
def multiply_rows_in_place(a, k0, b, y, part, first, edge):
    """y[part] (+)= the same rows of a (Matrix) from column k0 on, whole blocks of ROWS, times packed columns of b (Panels)."""
    multiply_panels(Rows(a.numbers, part.top * a.row + k0, a.row, a.row, 1), b, y, part, first, edge)


@jit
def multiply(a, b, y, part, k_total, space):
    """y[part] = a (M,K) b (K,N), all of them a Matrix, on one thread; `space` from `work_space`."""
    pieces = (k_total + DEPTH - 1) // DEPTH
    depth_of_all = (k_total + pieces - 1) // pieces
    in_place = a.column == 1 and part.right - part.left <= REUSE and a.row % CONFLICT != 0
    edge, packed = space[: TILE * WIDTH], space[TILE * WIDTH :]
    for column in range(part.left, part.right, BREADTH):
        columns = min(BREADTH, part.right - column)
        whole_panels = (columns + PANEL - 1) // PANEL * PANEL
        for k0 in range(0, k_total, depth_of_all):
            depth = min(depth_of_all, k_total - k0)
            packed_b, packed_a = Panels(packed[: whole_panels * depth], depth), packed[whole_panels * depth :]
            pack_columns(b, k0, depth, column, columns, packed_b.numbers)
            for top in range(part.top, part.bottom, HEIGHT):
                bottom = min(top + HEIGHT, part.bottom)
                middle = top + (bottom - top) // ROWS * ROWS if in_place else top
                multiply_rows_in_place(a, k0, packed_b, y, Rectangle(top, middle, column, column + columns), k0 == 0, edge)
                pack_rows(a, middle, bottom - middle, k0, depth, packed_a)
                packed_part = Rectangle(middle, bottom, column, column + columns)
                multiply_packed_rows(packed_a, packed_b, y, packed_part, k0 == 0, edge)


@jit
def multiply_alone(a, b, y, k_total, space):
    """y (M,N) = a (M,K) b (K,N), both from `flat_matrix`, on one thread."""
    m, n = y.shape
    multiply(Matrix(*a), Matrix(*b), Matrix(y.reshape(-1), n, 1), Rectangle(0, m, 0, n), k_total, space)


@inline
def share(size, unit, part, parts):
    """Where share `part` of `parts` begins, if `size` is shared out in whole units."""
    return min(size, (size + unit - 1) // unit * part // parts * unit)


@parallel
def product(a, b, y, k_total, down, across, space):
    """y (M,N) = a (M,K) b (K,N), both from `flat_matrix`, cut into down x across rectangles; space (workers, size)."""
    m, n = y.shape
    left, right, whole = Matrix(*a), Matrix(*b), Matrix(y.reshape(-1), n, 1)
    for worker in prange(down * across):
        i, j = np.int64(worker) // across, np.int64(worker) % across
        part = Rectangle(share(m, ROWS, i, down), share(m, ROWS, i + 1, down),
                         share(n, PANEL, j, across), share(n, PANEL, j + 1, across))  # fmt: skip
        multiply(left, right, whole, part, k_total, space[worker])


def work_space(m, n, k, workers):
    """(workers, size): memory for an edge, packed b and packed a of each worker, whose rectangle is at most m x n."""
    rows, columns = min(HEIGHT, -(-m // ROWS) * ROWS), min(BREADTH, -(-n // PANEL) * PANEL)
    size = TILE * WIDTH + min(k, DEPTH) * (rows + columns) + WIDTH
    return aligned_empty((workers, -(-size // CACHE_LINE) * CACHE_LINE))


def cut(m, n, workers):
    """(down, across), down * across = workers: the cut of y (m,n) whose rectangles have the shortest sides."""
    ways = [(d, workers // d) for d in range(1, workers + 1) if workers % d == 0]
    return min(ways, key=lambda way: m / way[0] + n / way[1])


def multiply_into(y, a, b):
    """y (M,N), contiguous, = a (M,K) b (K,N), float32."""
    (m, k), n = a.shape, b.shape[1]
    if n == 1 and min(m, k) >= WIDTH:
        y[:, 0] = times_vector(a, b[:, 0])
    elif n <= ROWS < m:  # y^T = b^T a^T: a few columns are better the rows of a register block than lanes of a panel
        y[...] = matrix_product(b.T, a.T).T
    elif m * n * k < SMALL or get_num_threads() == 1:
        multiply_alone(flat_matrix(a), flat_matrix(b), y, k, work_space(m, n, k, 1)[0])
    else:
        down, across = cut(m, n, get_num_threads())
        product(flat_matrix(a), flat_matrix(b), y, k, down, across, work_space(m, n, k, down * across))


def matrix_product(a, b):
    """a (M,K) b (K,N) -> (M,N), float32; a transposed view of a contiguous array is read in place.

    >>> matrix_product(np.ones((2, 3), np.float32), np.ones((3, 1), np.float32)).ravel()
    array([3., 3.], dtype=float32)
    """
    if a.shape[1] == 1:  # NumPy's product is slower
        return a * b
    if a.size * b.shape[1] <= TINY:
        return np.matmul(a, b)
    y = aligned_empty((a.shape[0], b.shape[1]))
    multiply_into(y, a, b)
    return y


# ---- the op -------------------------------------------------------------------------------------------------------


def matmul_forward(a, b):
    """a (...,M,K), b (...,K,N) -> y (...,M,N); saved: a, b."""
    if b.ndim == 2:
        return matrix_product(a.reshape(-1, a.shape[-1]), b).reshape(*a.shape[:-1], b.shape[1]), (a, b)
    if a.shape[-1] == 1:  # NumPy's stacked product is slower
        return a * b, (a, b)
    if a.shape[-2] * a.shape[-1] * b.shape[-1] <= TINY:
        return np.matmul(a, b), (a, b)
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    left, right = np.broadcast_to(a, batch + a.shape[-2:]), np.broadcast_to(b, batch + b.shape[-2:])
    y = aligned_empty((*batch, a.shape[-2], b.shape[-1]))
    for i in np.ndindex(batch):
        multiply_into(y[i], left[i], right[i])
    return y, (a, b)


def matmul_backward(dy, saved, needs=(True, True)):
    """dy (...,M,N) -> da (...,M,K), db (...,K,N), summed over axes that were broadcast."""
    a, b = saved
    da = unbroadcast(matmul_forward(dy, b.swapaxes(-1, -2))[0], a.shape) if needs[0] else None
    if not needs[1]:
        return da, None
    if b.ndim == 2:  # one product over all matrices of a
        return da, matrix_product(a.reshape(-1, a.shape[-1]).T, dy.reshape(-1, dy.shape[-1]))
    return da, unbroadcast(matmul_forward(a.swapaxes(-1, -2), dy)[0], b.shape)


def supports(*arrays):
    """Whether all arrays are float32."""
    return is_float32(*arrays)


def samples(draw):
    """Matrices around the sizes of vectors, register blocks and DEPTH, single and in batches that broadcast."""
    a, b = draw.choice([((), ()), ((2,), (2,)), ((3,), ()), ((), (2,)), ((2, 1), (3,))])
    m, k, n = draw.choice(SIZES), draw.choice([*SIZES, 255, 257, 600]), draw.choice(SIZES)
    return (draw.array(*a, m, k), draw.array(*b, k, n)), {}


WARM: tuple = (
    (((90, 90), (90, 90)), {}),  # on one thread
    (((140, 140), (140, 140)), {}),  # on all threads
    (((600, 600), (600, 1)), {}),  # a vector, on all threads
)
kernel_of(matmul, "numba", matmul_forward, matmul_backward, supports, samples=samples, warm=WARM)
