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

If b has few columns, rows of a that lie one after the other are not packed: a register block reads them where they are.
(Not with 16 lanes: twelve rows at once come at half the speed, and even for one panel packing costs less.)

The workers cut y into rectangles. Each does all the work of its own, packing included: that some of it is done twice
costs less than to wait for each other.
"""

import numpy as np
from numba import get_num_threads, prange

from tinydx.op import kernel_of
from tinydx.ops.arithmetic import matmul, unbroadcast
from tinydx_kernels.cpu.memory import CACHE_LINE, aligned_empty, flat_matrix, is_float32
from tinydx_kernels.cpu.simd import (
    COLUMNS,
    LANES,
    ROWS,
    TILE,
    WIDTH,
    add,
    inline,
    jit,
    load,
    load_rows,
    outer,
    parallel,
    prefetch,
    store,
    transpose,
    zeros,
)

PANEL = COLUMNS * WIDTH  # columns of a register block
GROUP = 4  # panels of b that are packed together
DEPTH, HEIGHT = {16: (512, 144), 8: (384, 96), 0: (256, 144)}[LANES]  # rows of b, and of a, at a time
BREADTH = 2048  # columns of b at a time
REUSE = 0 if LANES == 16 else 512  # columns of b up to which rows of a are used too seldom to pay for packing them
CONFLICT = 512  # rows that lie a multiple of so many floats apart compete for the same lines of L1: packed in any case
SMALL = 1 << 21  # multiplications that one thread has done before another one is awake

# ---- the register block ---------------------------------------------------------------------------------------------


@inline
def tile_plain(a, i, a_row, a_column, b, j, depth, y, at, step, first):
    """y[r, c] (+)= sum over k of a[r, k] b[k, c], as plain loops: the compiler vectorises the innermost one."""
    if first:
        for r in range(ROWS):
            for c in range(PANEL):
                y[at + r * step + c] = 0
    for k in range(depth):
        for r in range(ROWS):
            factor = a[i + r * a_row + k * a_column]
            for c in range(PANEL):
                y[at + r * step + c] += factor * b[j + k * PANEL + c]


@inline
def tile_simd(a, i, a_row, a_column, b, j, depth, y, at, step, first):
    """The same in registers: y is touched once, at the end, and fetched meanwhile."""
    for r in range(ROWS):
        prefetch(y, at + r * step)
    block = zeros(TILE)
    for k in range(depth):
        block = outer(block, ROWS, a, i + k * a_column, a_row, b, j + k * PANEL)
    if not first:
        block = add(block, load_rows(TILE, ROWS, y, at, step))
    store(block, ROWS, y, at, step)


tile = tile_simd if LANES else tile_plain


@inline
def tile_at_edge(a, i, a_row, a_column, b, j, depth, y, at, step, first, rows, columns, edge):
    """A tile of which only some rows and columns exist: computed beside y, in `edge`, then copied."""
    tile(a, i, a_row, a_column, b, j, depth, edge, 0, PANEL, True)
    for r in range(rows):
        for c in range(columns):
            before = np.float32(0) if first else y[at + r * step + c]
            y[at + r * step + c] = before + edge[r * PANEL + c]


# ---- packing: the order in which tile reads ------------------------------------------------------------------------


@inline
def panel_plain(x, start, line_step, step, lines, width, first, last, packed, at):
    """packed[at + k * width + c] = x[start + c * line_step + k * step] for k from first to last.

    A panel of `width` lines. Of those that do not exist the last one takes the place: nobody looks at what comes of it.
    """
    for k in range(first, last):
        for c in range(width):
            packed[at + k * width + c] = x[start + min(c, lines - 1) * line_step + k * step]


@inline
def panel_simd(x, start, line_step, step, lines, width, first, last, packed, at):
    """The same by vectors; up to LANES - 1 numbers are written past the end of the panel: pack panels in their order."""
    k = first
    if lines == width and line_step == 1:
        while k < last and start + k * step + width + LANES <= len(x):
            for c in range(0, width, LANES):
                store(load(x, start + k * step + c), 1, packed, at + k * width + c, 0)
            k += 1
    elif lines == width and step == 1:
        while k + LANES <= last:
            if width == ROWS:
                block = transpose(load_rows(ROWS, ROWS, x, start + k, line_step))
                store(block, LANES, packed, at + k * ROWS, ROWS)
            else:
                for c in range(0, width, LANES):
                    block = transpose(load_rows(LANES, LANES, x, start + c * line_step + k, line_step))
                    store(block, LANES, packed, at + k * width + c, width)
            k += LANES
    panel_plain(x, start, line_step, step, lines, width, k, last, packed, at)


pack_panel = panel_simd if LANES else panel_plain


@jit
def pack_rows(a, row_step, column_step, row, rows, k0, depth, packed):
    """Rows of a, from k0 to k0 + depth, in panels of ROWS: packed[panel * depth * ROWS + k * ROWS + r].

    `packed` has place for whole panels and WIDTH numbers more.
    """
    for r in range(0, rows, ROWS):
        start = (row + r) * row_step + k0 * column_step
        pack_panel(a, start, row_step, column_step, min(ROWS, rows - r), ROWS, 0, depth, packed, r * depth)


@inline
def pack_group(b, start, row_step, depth, packed, at):
    """GROUP whole panels at once: the rows of b may lie in as many pages, so more of each is read at a time."""
    for k in range(depth):
        for panel in range(GROUP):
            row = load_rows(COLUMNS, 1, b, start + k * row_step + panel * PANEL, 0)
            store(row, 1, packed, at + (panel * depth + k) * PANEL, 0)


@jit
def pack_columns(b, row_step, column_step, k0, depth, column, columns, packed):
    """Columns of b, from row k0 to k0 + depth, in panels of PANEL: packed[panel * depth * PANEL + k * PANEL + c]."""
    grouped = columns // (GROUP * PANEL) * GROUP * PANEL if LANES and column_step == 1 else 0
    for c in range(0, grouped, GROUP * PANEL):
        pack_group(b, k0 * row_step + column + c, row_step, depth, packed, c * depth)
    for c in range(grouped, columns, PANEL):
        start = k0 * row_step + (column + c) * column_step
        pack_panel(b, start, column_step, row_step, min(PANEL, columns - c), PANEL, 0, depth, packed, c * depth)


# ---- the product ---------------------------------------------------------------------------------------------------


@inline
def multiply_panels(a, start, step, a_row, a_column, b, y, y_step, row, rows, column, columns, depth, first, edge):
    """y[row:, column:] (+)= rows of a times packed panels of b, panel by panel; a block of rows begins at start + r * step."""
    for c in range(0, columns, PANEL):
        width = min(PANEL, columns - c)
        for r in range(0, rows, ROWS):
            i, j, at = start + r * step, c * depth, (row + r) * y_step + column + c
            if rows - r >= ROWS and width == PANEL:
                tile(a, i, a_row, a_column, b, j, depth, y, at, y_step, first)
            else:
                height = min(ROWS, rows - r)
                tile_at_edge(a, i, a_row, a_column, b, j, depth, y, at, y_step, first, height, width, edge)


@jit
def multiply_block(packed_a, b, y, y_step, row, rows, column, columns, depth, first, edge):
    """`multiply_panels` of packed rows of a."""
    multiply_panels(packed_a, 0, depth, 1, ROWS, b, y, y_step, row, rows, column, columns, depth, first, edge)


@jit
def multiply_rows(a, a_row, k0, b, y, y_step, row, rows, column, columns, depth, first, edge):
    """`multiply_panels` of rows of a as they lie, whole blocks of them."""
    start = row * a_row + k0
    multiply_panels(a, start, a_row, a_row, 1, b, y, y_step, row, rows, column, columns, depth, first, edge)


@jit
def multiply(a, a_row, a_column, b, b_row, b_column, y, y_step, top, bottom, left, right, k_total, space):
    """y[top:bottom, left:right] = a b of one worker; `space` from `work_space`."""
    pieces = (k_total + DEPTH - 1) // DEPTH
    depth_of_all = (k_total + pieces - 1) // pieces
    as_it_lies = a_column == 1 and right - left <= REUSE and a_row % CONFLICT != 0
    edge, packed = space[: TILE * WIDTH], space[TILE * WIDTH :]
    for column in range(left, right, BREADTH):
        columns = min(BREADTH, right - column)
        panels = (columns + PANEL - 1) // PANEL * PANEL
        for k0 in range(0, k_total, depth_of_all):
            depth = min(depth_of_all, k_total - k0)
            packed_b, packed_a = packed[: panels * depth], packed[panels * depth :]
            pack_columns(b, b_row, b_column, k0, depth, column, columns, packed_b)
            for row in range(top, bottom, HEIGHT):
                rows = min(HEIGHT, bottom - row)
                ready = rows // ROWS * ROWS if as_it_lies else 0
                multiply_rows(a, a_row, k0, packed_b, y, y_step, row, ready, column, columns, depth, k0 == 0, edge)
                row, rows = row + ready, rows - ready
                pack_rows(a, a_row, a_column, row, rows, k0, depth, packed_a)
                multiply_block(packed_a, packed_b, y, y_step, row, rows, column, columns, depth, k0 == 0, edge)


@inline
def share(size, unit, part, parts):
    """Where share `part` of `parts` begins, if `size` is shared out in whole units."""
    return min(size, (size + unit - 1) // unit * part // parts * unit)


@parallel
def product(a, a_row, a_column, b, b_row, b_column, y, m, n, k_total, down, across, space):
    """y (m,n) = a (m,K) b (K,n), cut into down x across rectangles."""
    for worker in prange(down * across):
        i, j = worker // across, worker % across
        top, bottom = share(m, ROWS, i, down), share(m, ROWS, i + 1, down)
        left, right = share(n, PANEL, j, across), share(n, PANEL, j + 1, across)
        multiply(a, a_row, a_column, b, b_row, b_column, y, n, top, bottom, left, right, k_total, space[worker])


def work_space(m, n, k, workers):
    """Memory for an edge, packed b and packed a of each worker, whose rectangle is at most m x n."""
    rows, columns = min(HEIGHT, -(-m // ROWS) * ROWS), min(BREADTH, -(-n // PANEL) * PANEL)
    size = TILE * WIDTH + min(k, DEPTH) * (rows + columns) + WIDTH
    return aligned_empty((workers, -(-size // CACHE_LINE) * CACHE_LINE))


def cut(m, n, workers):
    """(down, across), down * across = workers: the cut of y (m,n) whose rectangles have the shortest sides."""
    ways = [(d, workers // d) for d in range(1, workers + 1) if workers % d == 0]
    return min(ways, key=lambda way: m / way[0] + n / way[1])


def multiply_into(y, a, b):
    """y (M,N), contiguous, = a (M,K) b (K,N)"""
    (m, k), n = a.shape, b.shape[1]
    left, right = flat_matrix(a), flat_matrix(b)
    if m * n * k < SMALL or get_num_threads() == 1:
        multiply(*left, *right, y.reshape(-1), n, 0, m, 0, n, k, work_space(m, n, k, 1)[0])
    else:
        down, across = cut(m, n, get_num_threads())
        product(*left, *right, y.reshape(-1), m, n, k, down, across, work_space(m, n, k, down * across))


def matrix_product(a, b):
    """a (M,K) b (K,N) -> (M,N), float32; a transposed view of a contiguous array is read as it lies.

    >>> matrix_product(np.ones((2, 3), np.float32), np.ones((3, 1), np.float32)).ravel()
    array([3., 3.], dtype=float32)
    """
    y = aligned_empty((a.shape[0], b.shape[1]))
    multiply_into(y, a, b)
    return y


# ---- the op -------------------------------------------------------------------------------------------------------


def matmul_forward(a, b):
    if b.ndim == 2:
        return matrix_product(a.reshape(-1, a.shape[-1]), b).reshape(*a.shape[:-1], b.shape[1]), (a, b)
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    left, right = np.broadcast_to(a, batch + a.shape[-2:]), np.broadcast_to(b, batch + b.shape[-2:])
    y = aligned_empty((*batch, a.shape[-2], b.shape[-1]))
    for i in np.ndindex(batch):
        multiply_into(y[i], left[i], right[i])
    return y, (a, b)


def matmul_backward(dy, saved, needs=(True, True)):
    a, b = saved
    da = unbroadcast(matmul_forward(dy, b.swapaxes(-1, -2))[0], a.shape) if needs[0] else None
    if not needs[1]:
        return da, None
    if b.ndim == 2:  # one product over all matrices of a
        return da, matrix_product(a.reshape(-1, a.shape[-1]).T, dy.reshape(-1, dy.shape[-1]))
    return da, unbroadcast(matmul_forward(a.swapaxes(-1, -2), dy)[0], b.shape)


def supports(*arrays):
    return is_float32(*arrays)


kernel_of(matmul, "numba", matmul_forward, matmul_backward, supports)
