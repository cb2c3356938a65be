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

Contiguous rows of b are packed by the first tile of a panel, while it computes: stores are free there. So little is packed
that a product of 64 x 784 x 128 runs at 165 to 178 GFLOP/s of 203 (AVX-512), at 150 when b was packed before.

If b has few columns, contiguous rows of a are not packed: a register block reads them in place. (Not with 16 lanes, unless
all of a stays in L1: reading twelve rows at once runs at half the speed, and even for one panel packing costs less.)

The workers cut y into rectangles, or share out the matrices of a stack. Each does all of its own work, packing included:
packing some rows and columns twice costs less than waiting for each other.
"""

import functools
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
    lean,
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
SHORT = {16: 4, 8: 3, 0: 4}[LANES]  # rows of the blocks for the last few rows
GROUP = 4  # panels of b that are packed together
DEPTH, HEIGHT = {16: (512, 144), 8: (384, 96), 0: (256, 144)}[LANES]  # rows of b, and of a, at a time
BREADTH = 2048  # columns of b at a time
REUSE = 0 if LANES == 16 else 512  # up to this many columns of b, packed rows of a are used too seldom to pay for packing
CHEAP = 4  # how much cheaper columns are packed by the first tiles that use them
AHEAD = 16  # rows of b that are fetched before they are packed
FEW = 1 << 12  # numbers of a that L1 holds: they are read in place
CONFLICT = 512  # rows a multiple of this many floats apart compete for the same lines of L1: always packed
SMALL = 1 << 21  # one thread does this many multiplications before a second one is awake
SINGLE = 1 << 14  # numbers of a product with K = 1, up to which NumPy is done sooner
STACKED = 1 << 15  # multiplications of each product of a stack, up to which NumPy is done before two threads
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


class Origin(NamedTuple):
    """Columns of b that are not packed yet, the first `columns` of its panels: element (k, c) is numbers[start + k * row + c]."""

    numbers: np.ndarray  # flat
    start: int
    row: int
    columns: int
    last: bool  # whether no rows of a follow, so that a panel may overwrite the one before


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


@inline
def packing_tile_simd(a, i, b, j, y, at, first, x):
    """`tile` of a panel that is not packed yet: it reads the columns x (Lines, rows contiguous), and writes the panel."""
    block = zeros(TILE)
    for k in range(b.depth):
        for c in range(COLUMNS):
            prefetch(x.numbers, x.start + (k + AHEAD) * x.step + c * WIDTH)
        block = outer(block, ROWS, a.numbers, i + k * a.column, a.row, x.numbers, x.start + k * x.step)
        store(load_rows(COLUMNS, 1, x.numbers, x.start + k * x.step, 0), 1, b.numbers, j + k * PANEL, 0)
    if not first:
        block = add(block, load_rows(TILE, ROWS, y.numbers, at, y.row))
    store(block, ROWS, y.numbers, at, y.row)


@inline
def packing_tile_plain(a, i, b, j, y, at, first, x):
    """The same as plain loops."""
    for k in range(b.depth):
        for c in range(PANEL):
            b.numbers[j + k * PANEL + c] = x.numbers[x.start + k * x.step + c]
    tile_plain(a, i, b, j, y, at, first)


if LANES:
    tile, short_tile, packing_tile = _tile_in_registers(ROWS), _tile_in_registers(SHORT), packing_tile_simd
else:
    tile, short_tile, packing_tile = tile_plain, tile_plain, packing_tile_plain


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
                store(transpose(load_rows(ROWS, ROWS, x.numbers, x.start + k, x.line)), LANES, packed, at + k * ROWS, ROWS)
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


@lean
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


@lean
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
def multiply_panels(a, b, origin, y, part, first, edge):
    """y[part] (+)= a b, with a as Rows and b as Panels, panel by panel; the first block of rows packs what is not packed yet."""
    rows, columns = part.bottom - part.top, part.right - part.left
    for c in range(0, columns, PANEL):
        width, j, r = min(PANEL, columns - c), 0 if origin.last and c < origin.columns else c * b.depth, 0
        while r < rows:
            i, at = a.start + r // ROWS * ROWS * a.block + r % ROWS * a.row, (part.top + r) * y.row + part.left + c
            height = ROWS if rows - r > ROWS - SHORT else SHORT
            whole = rows - r >= height and width == PANEL
            target, place, fresh = (y, at, first) if whole else (Matrix(edge, PANEL, 1), 0, True)
            if height < ROWS:
                short_tile(a, i, b, j, target, place, fresh)
            elif r == 0 and c < origin.columns:
                source = Lines(origin.numbers, origin.start + c, 1, origin.row, PANEL)
                packing_tile(a, i, b, j, target, place, fresh, source)
            else:
                tile(a, i, b, j, target, place, fresh)
            if not whole:
                copy_edge(edge, y, at, min(height, rows - r), width, first)
            r += height


@lean
def multiply_packed_rows(packed, b, origin, y, part, first, edge):
    """y[part] (+)= packed rows of a times columns of b (Panels)."""
    multiply_panels(Rows(packed, 0, b.depth, 1, ROWS), b, origin, y, part, first, edge)


@lean
def multiply_rows_in_place(a, k0, b, origin, y, part, first, edge):
    """y[part] (+)= the same rows of a (Matrix) from column k0 on, whole register blocks, times columns of b (Panels)."""
    multiply_panels(Rows(a.numbers, part.top * a.row + k0 * a.column, a.row, a.row, a.column), b, origin, y, part, first, edge)


@lean
def multiply(a, b, y, part, k_total, space):
    """y[part] = a (M,K) b (K,N), all of them a Matrix, on one thread; `space` from `work_space`."""
    pieces = (k_total + DEPTH - 1) // DEPTH
    depth_of_all = (k_total + pieces - 1) // pieces
    in_place = a.column == 1 and part.right - part.left <= REUSE and a.row % CONFLICT != 0
    in_place = in_place or (part.bottom - part.top) * k_total <= FEW
    edge, packed = space[: TILE * WIDTH], space[TILE * WIDTH :]
    for column in range(part.left, part.right, BREADTH):
        columns = min(BREADTH, part.right - column)
        whole_panels = (columns + PANEL - 1) // PANEL * PANEL
        later = columns // PANEL * PANEL if b.column == 1 and part.bottom - part.top >= ROWS else 0  # packed by the first tiles
        for k0 in range(0, k_total, depth_of_all):
            depth = min(depth_of_all, k_total - k0)
            packed_b, packed_a = Panels(packed[: whole_panels * depth], depth), packed[whole_panels * depth :]
            pack_columns(b, k0, depth, column + later, columns - later, packed_b.numbers[later * depth :])
            for top in range(part.top, part.bottom, HEIGHT):
                bottom = min(top + HEIGHT, part.bottom)
                middle = top + (bottom - top) // SHORT * SHORT if in_place else top
                fresh = later if top == part.top else 0
                origin = Origin(b.numbers, k0 * b.row + column, b.row, fresh, middle == part.bottom)
                packed_part = Rectangle(top, middle, column, column + columns)
                multiply_rows_in_place(a, k0, packed_b, origin, y, packed_part, k0 == 0, edge)
                pack_rows(a, middle, bottom - middle, k0, depth, packed_a)
                fresh = 0 if in_place else fresh
                origin = Origin(b.numbers, k0 * b.row + column, b.row, fresh, bottom == part.bottom)
                packed_part = Rectangle(middle, bottom, column, column + columns)
                multiply_packed_rows(packed_a, packed_b, origin, y, packed_part, k0 == 0, edge)


@inline
def matrix_of(stack, i, size):
    """Matrix i of a stack of matrices of `size` numbers, which lie one after the other."""
    return Matrix(stack.numbers[i * size : (i + 1) * size], stack.row, stack.column)


@inline
def multiply_stack(a, b, y, sizes, first, last, part, space):
    """`part` of the products first to last of a stack, on one thread; y is flat, sizes (count, M, K, N)."""
    _, m, k, n = sizes
    for i in range(first, last):
        multiply(matrix_of(a, i, m * k), matrix_of(b, i, k * n), matrix_of(Matrix(y, n, 1), i, m * n), part, k, space)


@lean
def multiply_alone(a, b, y, sizes, space):
    """y (count,M,N), flat, = a (count,M,K) b (count,K,N), both from `flat_matrix`, on one thread."""
    count, m, _, n = sizes
    multiply_stack(Matrix(*a), Matrix(*b), y, sizes, 0, count, Rectangle(0, m, 0, n), space)


@inline
def share(size, unit, part, parts):
    """Where share `part` of `parts` begins, if `size` is shared out in whole units."""
    return min(size, (size + unit - 1) // unit * part // parts * unit)


@parallel
def product(a, b, y, sizes, cut, space):
    """The same, cut into along x down x across pieces of the stack, of rows and of columns; space (pieces, size)."""
    (count, m, _, n), (along, down, across) = sizes, cut
    left, right = Matrix(*a), Matrix(*b)
    for piece in prange(along * down * across):
        worker = np.int64(piece)
        i, j, k = worker // across // down, worker // across % down, worker % across
        part = Rectangle(share(m, SHORT, j, down), share(m, SHORT, j + 1, down),
                         share(n, PANEL, k, across), share(n, PANEL, k + 1, across))  # fmt: skip
        multiply_stack(left, right, y, sizes, count * i // along, count * (i + 1) // along, part, space[worker])


def work_space(m, n, k, workers):
    """(workers, size): memory for an edge, packed b and packed a of each worker, whose rectangle is at most m x n."""
    return aligned_empty((workers, _size_of_space(m, n, k)))


@functools.lru_cache(1 << 10)
def _size_of_space(m, n, k):
    rows, columns = min(HEIGHT, -(-m // ROWS) * ROWS), min(BREADTH, -(-n // PANEL) * PANEL)
    size = TILE * WIDTH + min(k, DEPTH) * (rows + columns) + WIDTH
    return -(-size // CACHE_LINE) * CACHE_LINE


@functools.lru_cache(1 << 10)
def cut_of(count, m, n, workers):
    """(along, down, across), whose product is `workers`: along a stack, else y is cut so that the least is packed twice.

    To pack columns costs little where the first tiles do it.
    """
    if count >= workers:
        return workers, 1, 1
    ways = [(1, workers // across, across) for across in range(1, workers + 1) if workers % across == 0]
    return min(ways, key=lambda way: m / way[1] + n / way[2])


def products_into(y, a, b):
    """y (...,M,N), contiguous, = a (...,M,K) b (...,K,N), float32, of the same stack."""
    (m, n), k = y.shape[-2:], a.shape[-1]
    count, left, right = y.size // (m * n), flat_matrix(a), flat_matrix(b)
    workers = get_num_threads() if y.size * k >= SMALL else 1
    space = work_space(m, n, k, workers)
    if workers == 1:
        multiply_alone(left, right, y.reshape(-1), (count, m, k, n), space[0])
    else:
        cut = cut_of(count, m, n if right[1] == 1 else n / CHEAP, workers)
        product(left, right, y.reshape(-1), (count, m, k, n), cut, space)


def multiply_into(y, a, b):
    """y (M,N), contiguous, = a (M,K) b (K,N), float32."""
    (m, k), n = a.shape, b.shape[1]
    if n == 1 and min(m, k) >= WIDTH:
        y[:, 0] = times_vector(a, b[:, 0])
    elif n <= ROWS < m:  # y^T = b^T a^T: a few columns are better the rows of a register block than lanes of a panel
        y[...] = matrix_product(b.T, a.T).T
    else:
        products_into(y, a, b)


def matrix_product(a, b):
    """a (M,K) b (K,N) -> (M,N), float32; a transposed view of a contiguous array is read in place.

    >>> matrix_product(np.ones((2, 3), np.float32), np.ones((3, 1), np.float32)).ravel()
    array([3., 3.], dtype=float32)
    """
    if a.shape[1] == 1 and len(a) * b.shape[1] < SINGLE:  # NumPy's product is slower
        return a * b
    if a.shape[1] > 1 and a.size * b.shape[1] <= TINY:
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
    each = a.shape[-2] * a.shape[-1] * b.shape[-1]
    alike = a.shape[:-2] == b.shape[:-2] and min(a.shape[-2], b.shape[-1]) > ROWS
    if each <= TINY and not (alike and each > STACKED and a.size * b.shape[-1] >= SMALL):
        return np.matmul(a, b), (a, b)
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    y = aligned_empty((*batch, a.shape[-2], b.shape[-1]))
    if alike:
        products_into(y, a, b)
        return y, (a, b)
    left, right = np.broadcast_to(a, batch + a.shape[-2:]), np.broadcast_to(b, batch + b.shape[-2:])
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
    """Matrices around the sizes of vectors, register blocks and DEPTH, single, in batches that broadcast, and in stacks."""
    a, b = draw.choice([((), ()), ((2,), (2,)), ((3,), ()), ((), (2,)), ((2, 1), (3,))])
    m, k, n = draw.choice(SIZES), draw.choice([*SIZES, 255, 257, 600]), draw.choice(SIZES)
    if draw.choice([False, False, True]):  # one that threads share out, and a single column times a single row
        a, m, k, n = draw.choice([((33,), 32, 64, 33), ((2, 9), 47, 65, 49), ((), 300, 1, 130)])
        b = a
    return (draw.array(*a, m, k), draw.array(*b, k, n)), {}


WARM: tuple = (
    (((90, 90), (90, 90)), {}),  # on one thread
    (((140, 140), (140, 140)), {}),  # on all threads
    (((600, 600), (600, 1)), {}),  # a vector, on all threads
)
kernel_of(matmul, "numba", matmul_forward, matmul_backward, supports, samples=samples, warm=WARM)
