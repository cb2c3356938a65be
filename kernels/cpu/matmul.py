"""Matrix product y = a b.

The result is cut into register blocks of ROWS x COLUMNS vectors (12 x 32 floats with AVX-512). Each is computed by
`tile`: for every k, a column of 12 numbers of a times a row of 32 numbers of b, added up in 24 registers.

              b:  K x N, packed panel by panel (a panel is 32 columns wide)
                       +----+----+----+
                       |    |    |    |  DEPTH rows at a time: one panel (32 KB) stays in the L1 cache,
                       |    |    |    |  all of them in L2
                       +----+----+----+
    a:  M x K    +---+ +----+----+----+
    packed in    |   | |tile|    |    |  12 rows
    12-row       +---+ +----+----+----+
    panels       |   | |    |    |    |
                 +---+ +----+----+----+  <- HEIGHT rows of a are packed (72 KB, L2) and used for all panels
"""

import numpy as np
from numba import get_num_threads, prange
from tinydx_kernels.cpu.memory import aligned_empty, flat_matrix, is_float32
from tinydx_kernels.cpu.simd import (
    COLUMNS,
    LANES,
    ROWS,
    TILE,
    WIDTH,
    add,
    inline,
    jit,
    load_rows,
    outer,
    parallel,
    store,
    zeros,
)

from tinydx.op import kernel_of
from tinydx.ops.arithmetic import matmul, unbroadcast

PANEL = COLUMNS * WIDTH  # columns of a register block
DEPTH = 256  # rows of b at a time
HEIGHT = 6 * ROWS  # rows of a at a time
BREADTH = 1024  # columns of b at a time

# ---- the register block ---------------------------------------------------------------------------------------------


@inline
def tile_plain(a, i, b, j, depth, y, at, step, first):
    """y[r, c] (+)= sum over k of a[k, r] b[k, c], as plain loops: the compiler vectorises the innermost one."""
    if first:
        for r in range(ROWS):
            for c in range(PANEL):
                y[at + r * step + c] = 0
    for k in range(depth):
        for r in range(ROWS):
            factor = a[i + k * ROWS + r]
            for c in range(PANEL):
                y[at + r * step + c] += factor * b[j + k * PANEL + c]


@inline
def tile_simd(a, i, b, j, depth, y, at, step, first):
    """The same in registers: y is touched once, at the end."""
    block = zeros(TILE)
    for k in range(depth):
        block = outer(block, ROWS, a, i + k * ROWS, 1, b, j + k * PANEL)
    if not first:
        block = add(block, load_rows(TILE, ROWS, y, at, step))
    store(block, ROWS, y, at, step)


tile = tile_simd if LANES else tile_plain


@inline
def tile_at_edge(a, i, b, j, depth, y, at, step, first, rows, columns, edge):
    """A tile of which only some rows and columns exist: computed beside y, in `edge`, then copied."""
    tile(a, i, b, j, depth, edge, 0, PANEL, True)
    for r in range(rows):
        for c in range(columns):
            before = np.float32(0) if first else y[at + r * step + c]
            y[at + r * step + c] = before + edge[r * PANEL + c]


# ---- packing: the order in which tile reads ------------------------------------------------------------------------


@jit
def pack_rows(a, row_step, column_step, row, rows, k0, depth, packed):
    """ROWS rows of a, from k0 to k0 + depth: packed[k * ROWS + r]; rows that do not exist are zeros."""
    for first in range(0, rows, ROWS):
        panel = packed[first * depth : (first + ROWS) * depth]
        real = min(ROWS, rows - first)
        if real < ROWS:
            panel[:] = 0
        start = (row + first) * row_step + k0 * column_step
        if real == ROWS and row_step == 1:
            for k in range(depth):
                for r in range(ROWS):
                    panel[k * ROWS + r] = a[start + k * column_step + r]
        else:
            for r in range(real):
                for k in range(depth):
                    panel[k * ROWS + r] = a[start + r * row_step + k * column_step]


@jit
def pack_columns(b, row_step, column_step, k0, depth, column, columns, k_first, k_last, packed):
    """Rows k_first to k_last of a block of b: packed[panel * depth * PANEL + k * PANEL + c].

    Columns that do not exist are zeros. Memory is read in the order in which it lies.
    """
    width = (columns + PANEL - 1) // PANEL * PANEL
    for k in range(k_first, k_last):
        start, at = (k0 + k) * row_step + column * column_step, k * PANEL
        if column_step == 1:
            for c in range(0, columns - PANEL + 1, PANEL):
                for lane in range(PANEL):
                    packed[c * depth + at + lane] = b[start + c + lane]
            for c in range(columns // PANEL * PANEL, columns):
                packed[c // PANEL * PANEL * depth + at + c % PANEL] = b[start + c]
        for c in range(columns, width):
            packed[c // PANEL * PANEL * depth + at + c % PANEL] = 0
    if column_step != 1:
        for c in range(columns):
            start, at = k0 * row_step + (column + c) * column_step, c // PANEL * PANEL * depth + c % PANEL
            for k in range(k_first, k_last):
                packed[at + k * PANEL] = b[start + k * row_step]


# ---- the product ---------------------------------------------------------------------------------------------------


@jit
def multiply_block(packed_a, b, y, y_step, row, rows, column, first_panel, last_panel, columns, depth, first, edge):
    """Packed rows of a times packed panels of b, panel by panel."""
    for panel in range(first_panel, last_panel):
        width = min(PANEL, columns - panel * PANEL)
        for r in range(0, rows, ROWS):
            i, j, at = r * depth, panel * PANEL * depth, (row + r) * y_step + column + panel * PANEL
            if rows - r >= ROWS and width == PANEL:
                tile(packed_a, i, b, j, depth, y, at, y_step, first)
            else:
                tile_at_edge(packed_a, i, b, j, depth, y, at, y_step, first, min(ROWS, rows - r), width, edge)


@parallel
def product(a, a_row, a_column, b, b_row, b_column, y, m, n, k_total, packed_b, packed_a, edge):
    """y (m,n) = a (m,K) b (K,n); packed_b, packed_a and edge are work space (a row of it for each worker)."""
    workers = len(packed_a)
    for column in range(0, n, BREADTH):
        columns = min(BREADTH, n - column)
        panels = (columns + PANEL - 1) // PANEL
        blocks = (m + HEIGHT - 1) // HEIGHT
        pieces = min(panels, max(1, (2 * workers + blocks - 1) // blocks))  # few rows: share out the columns, too
        for k0 in range(0, k_total, DEPTH):
            depth = min(DEPTH, k_total - k0)
            for worker in prange(workers):
                ks = depth * worker // workers, depth * (worker + 1) // workers
                pack_columns(b, b_row, b_column, k0, depth, column, columns, ks[0], ks[1], packed_b)
            for worker in prange(workers):
                for item in range(worker, blocks * pieces, workers):
                    row, piece = item // pieces * HEIGHT, item % pieces
                    rows = min(HEIGHT, m - row)
                    pack_rows(a, a_row, a_column, row, rows, k0, depth, packed_a[worker])
                    first, last = panels * piece // pieces, panels * (piece + 1) // pieces
                    multiply_block(
                        packed_a[worker], packed_b, y, n, row, rows, column, first, last, columns, depth, k0 == 0, edge[worker]
                    )


def matrix_product(a, b):
    """a (M,K) b (K,N) -> (M,N), float32; a transposed view of a contiguous array is read as it lies.

    >>> matrix_product(np.ones((2, 3), np.float32), np.ones((3, 1), np.float32)).ravel()
    array([3., 3.], dtype=float32)
    """
    (m, k), n = a.shape, b.shape[1]
    y = aligned_empty((m, n))
    workers = get_num_threads() if m * n * k > 50_000 else 1
    packed_b = aligned_empty(min(k, DEPTH) * (-(-min(n, BREADTH) // PANEL) * PANEL))
    packed_a = aligned_empty((workers, HEIGHT * min(k, DEPTH)))
    edge = aligned_empty((workers, ROWS * PANEL))
    product(*flat_matrix(a), *flat_matrix(b), y.reshape(-1), m, n, k, packed_b, packed_a, edge)
    return y


# ---- the op -------------------------------------------------------------------------------------------------------


def matmul_forward(a, b):
    if b.ndim == 2:
        return matrix_product(a.reshape(-1, a.shape[-1]), b).reshape(*a.shape[:-1], b.shape[1]), (a, b)
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    left, right = np.broadcast_to(a, batch + a.shape[-2:]), np.broadcast_to(b, batch + b.shape[-2:])
    y = aligned_empty((*batch, a.shape[-2], b.shape[-1]))
    for i in np.ndindex(batch):
        y[i] = matrix_product(left[i], right[i])
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
