"""3x3 convolution with a quarter of the multiplications: Winograd's F(4x4, 3x3).

A 6x6 tile of the image gives 4x4 outputs. Tile and kernel are polynomials; their product is taken at the points
0, 1, -1, 1/2, -2 and infinity in both directions, where it is 36 plain products instead of 16 * 9 = 144:

    y = A^T [ (G g G^T) . (B^T d B) ] A          B^T: tile -> values at the points, A^T: back to outputs

For all tiles, channels and filters at once the dot in the middle is 36 matrix products (tiles x C) (C x F):

      image          V                 U (weights, once)        M                      y
    +--+--+--+    36 x tiles x C      36 x C x 32 filters    36 x tiles x 32        +--+--+
    |6x6 tile|    -- B^T d B -->   x                     =                -- A^T m A -->|4x4 |
    +--+--+--+     (over c)                                                (over f)

TILES tiles at a time, 32 filters at a time, so that V, M and U stay in the L2 cache. Bias, ReLU and 2x2 max pooling
are applied to the outputs while they are in registers: a 4x4 output is 2x2 windows.

Error against float64, relative rms, 64 channels: 9e-7 with these points, 1.4e-6 with the usual 0, 1, -1, 2, -2; the
direct sum has 3e-7. An infinity or NaN would spread over its whole tile: `check` finds it and the caller falls back.
"""

import numpy as np
from numba import get_num_threads, prange
from tinydx_kernels.cpu.bands import SLACK, copy_band, unpool_band
from tinydx_kernels.cpu.matmul import matrix_product
from tinydx_kernels.cpu.memory import aligned_empty
from tinydx_kernels.cpu.simd import (
    COLUMNS,
    LANES,
    ROWS,
    TILE,
    WIDTH,
    broadcast,
    inline,
    jit,
    join,
    load,
    load_rows,
    maximum,
    outer,
    parallel,
    part,
    repeat_rows,
    store,
    store_bytes,
    where_larger,
    zeros,
)

PANEL = COLUMNS * WIDTH
TILES = 48
PAD = 16  # floats between the points of v and m: at distances of 4 KB they would fight for the same lines of L1
M_STEP = TILES * PANEL + PAD
f32 = np.float32

POINTS = (0, 1, -1, 1 / 2, -2)
G = np.array([[p**k / np.prod([p - q for q in POINTS if q != p]) for k in range(3)] for p in POINTS] + [[0, 0, 1]])


@inline
def to_points(d):
    """B^T d: six rows of a tile -> its values at the points (14 operations; as a matrix it would be 24)."""
    a = part(d, 4) - part(d, 2)
    b = part(d, 3) - part(d, 1)
    e = a + f32(1.5) * part(d, 3)
    f = b + f32(1.5) * part(d, 2)
    return join(
        (
            a + f32(1.5) * b + (part(d, 0) - part(d, 2)),
            e + f,
            e - f,
            a + f32(2) * b,
            a - f32(0.5) * b,
            (part(d, 5) - part(d, 3)) + f32(1.5) * a - b,
        )
    )


@inline
def from_points(m):
    """A^T m: values of the product at the points -> four outputs."""
    s = part(m, 1) + part(m, 2)
    t = part(m, 1) - part(m, 2)
    half, two = part(m, 3), part(m, 4)
    return join(
        (
            part(m, 0) + s + (half + two),
            t + f32(0.5) * half - f32(2) * two,
            s + f32(0.25) * half + f32(4) * two,
            t + f32(0.125) * half - f32(8) * two + part(m, 5),
        )
    )


@jit
def tiles_to_points(x, line, base, channels, first, count, tile_columns, v, temporary):
    """v[point, tile, c] = B^T d B for `count` tiles of a band, starting with tile `first`."""
    step = TILES * channels + PAD
    for t in range(count):
        corner = base + (first + t) // tile_columns * 4 * line + (first + t) % tile_columns * 4 * channels
        for c in range(0, channels, LANES):
            for j in range(6):
                column = load_rows(6, 6, x, corner + j * channels + c, line)
                store(to_points(column), 6, temporary, j * LANES, 6 * LANES)
            for i in range(6):
                row = load_rows(6, 1, temporary, i * 6 * LANES, 0)
                store(to_points(row), 6, v, i * 6 * step + t * channels + c, step)


@jit
def multiply_points(v, u, at, channels, count, m):
    """m[point, tile, f] = sum over c of v[point, tile, c] u[point, c, f], for one panel of 32 filters."""
    for point in range(36):
        for t in range(0, count, ROWS):
            block = zeros(TILE)
            i, j = point * (TILES * channels + PAD) + t * channels, at + point * channels * PANEL
            for c in range(channels):
                block = outer(block, ROWS, v, i + c, channels, u, j + c * PANEL)
            store(block, ROWS, m, point * M_STEP + t * PANEL, PANEL)


@inline
def outputs_of_tile(m, t, lane, temporary):
    """A^T m A of one tile and vector of filters: temporary[4 i + j] from `OUTPUTS` on."""
    for j in range(6):
        column = load_rows(6, 6, m, j * M_STEP + t * PANEL + lane, 6 * M_STEP)
        store(from_points(column), 4, temporary, j * LANES, 6 * LANES)


@jit
def tiles_to_outputs(m, f, filters, bias, relu, first, count, tile_columns, y, y_base, size, temporary, edge, check):
    """Write the 4x4 outputs of `count` tiles: y[y_base + (row * columns + column) * filters + f], size (rows, columns)."""
    zero = broadcast(f32(0))
    for t in range(count):
        i, j = (first + t) // tile_columns * 4, (first + t) % tile_columns * 4
        for lane in range(0, min(PANEL, filters - f), LANES):
            outputs_of_tile(m, t, lane, temporary)
            width = min(LANES, filters - f - lane)
            found = zero
            for r in range(min(4, size[0] - i)):
                row = from_points(load_rows(6, 1, temporary, r * 6 * LANES, 0)) + repeat_rows(load(bias, f + lane), 4)
                total = (part(row, 0) + part(row, 1)) + (part(row, 2) + part(row, 3))
                found = found + (total - total)  # 0, or NaN where something is not finite
                if relu:
                    row = maximum(row, repeat_rows(zero, 4))
                at = y_base + ((i + r) * size[1] + j) * filters + f + lane
                if width == LANES and size[1] - j >= 4:
                    store(row, 4, y, at, filters)
                else:
                    store(row, 4, edge, 0, LANES)
                    for q in range(min(4, size[1] - j)):
                        for k in range(width):
                            y[at + q * filters + k] = edge[q * LANES + k]
            store(load(check, 0) + found, 1, check, 0, 0)


@jit
def tiles_to_pooled(m, f, filters, bias, first, count, tile_columns, y, winner, y_base, size, temporary, edge, check):
    """Bias, ReLU and 2x2 max pooling on top: y and winner (0..3) of size (rows, columns) of the pooled image."""
    zero, one, two, three = broadcast(f32(0)), broadcast(f32(1)), broadcast(f32(2)), broadcast(f32(3))
    for t in range(count):
        i, j = (first + t) // tile_columns * 2, (first + t) % tile_columns * 2
        for lane in range(0, min(PANEL, filters - f), LANES):
            outputs_of_tile(m, t, lane, temporary)
            found, b = zero, load(bias, f + lane)
            for r in range(min(2, size[0] - i)):
                upper = from_points(load_rows(6, 1, temporary, 2 * r * 6 * LANES, 0))
                lower = from_points(load_rows(6, 1, temporary, (2 * r + 1) * 6 * LANES, 0))
                for q in range(min(2, size[1] - j)):
                    p0, p1 = part(upper, 0), part(upper, 1)
                    p2, p3 = part(lower, 0), part(lower, 1)
                    if q == 1:
                        p0, p1 = part(upper, 2), part(upper, 3)
                        p2, p3 = part(lower, 2), part(lower, 3)
                    top, low = maximum(p0, p1), maximum(p2, p3)
                    best = where_larger(low, top, where_larger(p3, p2, three, two), where_larger(p1, p0, one, zero))
                    value = maximum(top, low) + b
                    found = found + (value - value)
                    at = y_base + ((i + r) * size[1] + j + q) * filters + f + lane
                    if filters - f - lane >= LANES:
                        store(maximum(value, zero), 1, y, at, 0)
                        store_bytes(best, winner, at)
                    else:
                        store(maximum(value, zero), 1, edge, 0, 0)
                        store(best, 1, edge, LANES, 0)
                        for k in range(filters - f - lane):
                            y[at + k] = edge[k]
                            winner[at + k] = np.uint8(edge[LANES + k])
            store(load(check, 0) + found, 1, check, 0, 0)


@jit
def winograd_band(x, line, base, channels, tile_rows, tile_columns, u, bias, relu, pool, y, winner, y_base, size, filters, work):
    """All tiles of a band of tile rows. pool: write the pooled image and the winners, else the image."""
    v, m, temporary, edge, check = work
    tiles = tile_rows * tile_columns
    for first in range(0, tiles, TILES):
        count = min(TILES, tiles - first)
        tiles_to_points(x, line, base, channels, first, count, tile_columns, v, temporary)
        for f in range(0, filters, PANEL):
            multiply_points(v, u, f * 36 * channels, channels, count, m)
            if pool:
                tiles_to_pooled(
                    m, f, filters, bias, first, count, tile_columns, y, winner, y_base, size, temporary, edge, check
                )
            else:
                tiles_to_outputs(
                    m, f, filters, bias, relu, first, count, tile_columns, y, y_base, size, temporary, edge, check
                )


@jit
def bands_of_worker(
    worker, x, gates, shape, border, tiles, rows, u, bias, relu, pool, y, winner, size, filters, work, buffer
):
    """Every so-many-th band of `rows` tile rows; tiles, size: (rows, columns) of an image in tiles, and of y."""
    v, m, temporary, edge, check = work
    workers, bands = len(v), (tiles[0] + rows - 1) // rows
    pixels = 2 if pool else 4
    check[worker, :] = 0
    for item in range(worker, len(y) // (size[0] * size[1] * filters) * bands, workers):
        image, i = item // bands, item % bands * rows
        band = min(rows, tiles[0] - i)
        y_base = (image * size[0] + i * pixels) * size[1] * filters
        left = size[0] - i * pixels, size[1]
        source, line, base = x, shape[1] * shape[2], (image * shape[0] + 4 * i) * shape[1] * shape[2]
        if buffer.size:
            columns, top = 4 * tiles[1] + 2, 4 * i - border[0]
            if gates[1].size:
                pooled, winners = gates
                unpool_band(x, pooled, winners, shape, image, top, -border[1], 4 * band + 2, columns, buffer[worker])
            else:
                copy_band(x, shape, image, top, -border[1], 4 * band + 2, columns, buffer[worker])
            source, line, base = buffer[worker], columns * shape[2], 0
        space = v[worker], m[worker], temporary[worker], edge[worker], check[worker]
        winograd_band(
            source, line, base, shape[2], band, tiles[1], u, bias, relu, pool, y, winner, y_base, left, filters, space
        )


@parallel
def all_bands(x, gates, shape, border, tiles, rows, u, bias, relu, pool, y, winner, size, filters, work, buffer):
    for worker in prange(len(buffer)):
        bands_of_worker(
            worker, x, gates, shape, border, tiles, rows, u, bias, relu, pool, y, winner, size, filters, work, buffer
        )


def correlate(x, w, b, border, out, relu=False, pool=False, gates=None):
    """Correlation of x (N,H,W,C) with w (3,3,C,F), C a multiple of LANES; None if the result is not finite.

    pool: returns (y, winner) of the 2x2 max pooling of relu(correlation + b), winner 0..3 in row-major order.
    gates: (y, winner) of such a pooling, if x is the gradient that comes to it: then x before the pooling is meant.
    """
    (n, height, width, c), f = x.shape, w.shape[3]
    size = (out[0] // 2, out[1] // 2) if pool else out
    tiles = (-(-size[0] // 2), -(-size[1] // 2)) if pool else (-(-out[0] // 4), -(-out[1] // 4))
    corner = border[0][0], border[1][0]
    fits = gates is None and corner == (0, 0) and 4 * tiles[0] + 2 <= height and 4 * tiles[1] + 2 <= width
    threads = get_num_threads()
    # Whole images where there are enough of them, else bands: each thread should get several.
    rows = tiles[0] if n >= 2 * threads or threads == 1 else max(1, min(tiles[0], tiles[0] * n // (2 * threads)))
    workers = min(threads, n * -(-tiles[0] // rows))
    y = aligned_empty((n, *size, f))
    winner = aligned_empty(y.shape if pool else 0, np.uint8)
    bias = np.zeros(-(-f // PANEL) * PANEL, np.float32)
    if b is not None:
        bias[:f] = b
    work = workspace(workers, c)
    gates = (np.empty(0, np.float32), np.empty(0, np.uint8)) if gates is None else tuple(a.reshape(-1) for a in gates)
    buffer = aligned_empty((workers, 0 if fits else (4 * rows + 2) * (4 * tiles[1] + 2) * c + SLACK))
    all_bands(
        x.reshape(-1), gates, x.shape[1:], corner, tiles, rows, weights_at_points(w).reshape(-1), bias, relu, pool,
        y.reshape(-1), winner.reshape(-1), size, f, work, buffer,
    )  # fmt: skip
    if np.isnan(work[-1]).any():
        return None
    return (y, winner) if pool else y


def workspace(workers, channels):
    """v, m, temporary, edge, check, each with a row for every worker."""
    return (
        aligned_empty((workers, 36 * (TILES * channels + PAD))),
        aligned_empty((workers, 36 * M_STEP)),
        aligned_empty((workers, 36 * WIDTH)),
        aligned_empty((workers, 4 * WIDTH)),
        np.zeros((workers, WIDTH), np.float32),
    )


def weights_at_points(w):
    """w (3,3,C,F) -> G w G^T, (panel, 36, C, 32): filters that do not exist are zeros."""
    c, f = w.shape[2:]
    both = np.einsum("ip,jq->ijpq", G, G).reshape(36, 9).astype(np.float32)
    u = matrix_product(both, w.reshape(9, c * f)).reshape(36, c, f)
    panels = -(-f // PANEL)
    if f % PANEL:
        u = np.pad(u, ((0, 0), (0, 0), (0, panels * PANEL - f)))
    packed = aligned_empty((panels, 36, c, PANEL))
    packed[...] = u.reshape(36, c, panels, PANEL).transpose(2, 0, 1, 3)
    return packed
