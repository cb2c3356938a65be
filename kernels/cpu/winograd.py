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
are applied to the outputs while they are in registers: a 4x4 output is 2x2 windows. The pixels of a tile lie here and
there in memory, each a wait: so the next tiles' are prefetched during the products, when memory has nothing to do.

Error against float64, relative rms, 64 channels: 9e-7 with these points, 1.4e-6 with the usual 0, 1, -1, 2, -2; the
direct sum has 3e-7. An infinity or NaN would spread over its whole tile: `check` finds it and the caller falls back.
"""

import numpy as np
from numba import get_num_threads, prange

from tinydx_kernels.cpu.bands import copy_band, unpool_band, unpooled
from tinydx_kernels.cpu.memory import CACHE_LINE, aligned_empty, aligned_zeros
from tinydx_kernels.cpu.simd import (
    COLUMNS,
    LANES,
    ROWS,
    TILE,
    UNROLLED,
    WIDTH,
    broadcast,
    inline,
    jit,
    join,
    larger,
    load,
    load_rows,
    maximum,
    outer,
    outer_chunk,
    parallel,
    part,
    prefetch,
    repeat_rows,
    store,
    store_bytes,
    where_larger,
    zeros,
)

PANEL = COLUMNS * WIDTH
TILES = (2 if LANES == 16 else 3) * ROWS  # v, m and a panel of u in an L2 cache of 512 KB, or 1 MB with 16 lanes
PAD = 16  # floats between the points of v: at distances of 4 KB they would fight for the same lines of L1
APART = 2 * CACHE_LINE // 4  # floats: workers that write into one line, or a pair of lines, wait for each other
f32 = np.float32


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


@inline
def place(tile, tiles):
    """(image, row, column) of a tile, counted through all images; tiles: (rows, columns) of an image."""
    image, rest = tile // (tiles[0] * tiles[1]), tile % (tiles[0] * tiles[1])
    return image, rest // tiles[1], rest % tiles[1]


@inline
def whole_vectors(channels):
    """Channels, rounded up to whole vectors."""
    return (channels + LANES - 1) // LANES * LANES


@inline
def rows_to_points(temporary, v, at, step):
    """The second half of B^T d B: from temporary[point, column, lane] of the first to v[point, lane]."""
    for i in range(6):
        row = load_rows(6, 1, temporary, i * 6 * LANES, 0)
        store(to_points(row), 6, v, at + i * 6 * step, step)


@jit
def tile_to_points(x, corner, line, channels, v, at, step, temporary):
    """v[point, c] = B^T d B for a tile of x whose upper left pixel is at `corner`."""
    for c in range(0, channels, LANES):
        for j in range(6):
            column = load_rows(6, 6, x, corner + j * channels + c, line)
            store(to_points(column), 6, temporary, j * LANES, 6 * LANES)
        rows_to_points(temporary, v, at + c * ROWS, step)


@jit
def windows_to_points(x, gates, corner, line, channels, v, at, step, temporary):
    """The same for a tile of 3x3 windows of a pooling, the first at `corner`: it is undone in registers."""
    for c in range(0, channels, LANES):
        for j in range(3):
            k = corner + j * channels + c
            p = unpooled(x, gates[0], gates[1], k)
            q = unpooled(x, gates[0], gates[1], k + line)
            r = unpooled(x, gates[0], gates[1], k + 2 * line)
            left = join((part(p, 0), part(p, 2), part(q, 0), part(q, 2), part(r, 0), part(r, 2)))
            right = join((part(p, 1), part(p, 3), part(q, 1), part(q, 3), part(r, 1), part(r, 3)))
            store(to_points(left), 6, temporary, 2 * j * LANES, 6 * LANES)
            store(to_points(right), 6, temporary, (2 * j + 1) * LANES, 6 * LANES)
        rows_to_points(temporary, v, at + c * ROWS, step)


@jit
def tiles_to_points(x, gates, shape, border, first, count, tiles, v, patch, temporary):
    """v[tile // ROWS, point, c // LANES, tile % ROWS, c % LANES] of `count` tiles from number `first` on.

    A tile that reaches into the border, or cuts the windows of a pooling, is first written to `patch`. If channels are no
    whole vectors, what lies behind them in memory is computed, too, and not used.
    """
    height, width, channels = shape
    depth = whole_vectors(channels)
    pooled, step = gates[1].size > 0, ROWS * depth + PAD
    if pooled:
        height, width = 2 * height, 2 * width
    for t in range(count):
        image, i, j = place(first + t, tiles)
        top, left, at = 4 * i - border[0], 4 * j - border[1], t // ROWS * 36 * step + t % ROWS * LANES
        inside = top >= 0 and left >= 0 and top + 6 <= height and left + 6 <= width
        if pooled and inside and top % 2 == left % 2 == 0 and depth == channels:
            corner = ((image * shape[0] + top // 2) * shape[1] + left // 2) * channels
            windows_to_points(x, gates, corner, shape[1] * channels, channels, v, at, step, temporary)
        elif inside and not pooled and ((image * height + top + 5) * width + left + 5) * channels + depth <= len(x):
            corner = ((image * height + top) * width + left) * channels
            tile_to_points(x, corner, width * channels, channels, v, at, step, temporary)
        else:
            if pooled:
                unpool_band(x, gates[0], gates[1], shape, image, top, left, 6, 6, patch)
            else:
                copy_band(x, shape, image, top, left, 6, 6, patch)
            tile_to_points(patch, 0, 6 * channels, channels, v, at, step, temporary)


@inline
def prefetch_tiles(streams, wanted, share, shares):
    """Every `shares`-th cache line of the bytes that tiles wanted[0] to wanted[1] of wanted[2] will read and write.

    The tiles walk through an array about evenly, so those of a tile lie about where its number says.
    """
    for stream in streams:
        rate = len(stream) / wanted[2]
        for k in range(int(rate * wanted[0]) + share * CACHE_LINE, int(rate * wanted[1]), shares * CACHE_LINE):
            prefetch(stream, k)


@jit
def multiply_points(v, u, panel, panels, channels, count, m, streams, wanted):
    """m[tile, point, f] = sum over c of v[tile, point, c] u[point, c, f], for one of the panels of filters.

    Meanwhile memory has nothing to do: it fetches what the next tiles want, a share of it at each point.
    """
    whole, step = channels // LANES * LANES, ROWS * whole_vectors(channels) + PAD
    for point in range(36):
        prefetch_tiles(streams, wanted, panel * 36 + point, panels * 36)
        for t in range(0, count, ROWS):
            block = zeros(TILE)
            i, j = (t // ROWS * 36 + point) * step, (panel * 36 + point) * channels * PANEL
            for c in range(0, whole, LANES):
                for k in range(0, LANES, UNROLLED):
                    block = outer_chunk(block, ROWS, v, i + c * ROWS + k, u, j + (c + k) * PANEL)
            for c in range(channels - whole):
                block = outer(block, ROWS, v, i + whole * ROWS + c, LANES, u, j + (whole + c) * PANEL)
            store(block, ROWS, m, (t * 36 + point) * PANEL, 36 * PANEL)


@inline
def outputs_of_tile(m, t, lane, temporary):
    """The first half of A^T m A, of one tile and vector of filters: temporary[output row, point, lane]."""
    for j in range(6):
        column = load_rows(6, 6, m, (t * 36 + j) * PANEL + lane, 6 * PANEL)
        store(from_points(column), 4, temporary, j * LANES, 6 * LANES)


@inline
def output_row(temporary, r):
    """The other half, of one row: four outputs."""
    return from_points(load_rows(6, 1, temporary, r * 6 * LANES, 0))


@inline
def not_finite(row):
    """0, or NaN if a value at the points was not finite: one of the first five comes to output 0, the last to output 3."""
    total = part(row, 0) + part(row, 3)
    return total - total


@jit
def tiles_to_outputs(m, f, filters, bias, relu, first, count, tiles, y, size, temporary, edge, check):
    """Write the 4x4 outputs of `count` tiles: y (N, *size, filters)."""
    zero = broadcast(f32(0))
    for t in range(count):
        image, i, j = place(first + t, tiles)
        rows, columns = min(4, size[0] - 4 * i), min(4, size[1] - 4 * j)
        for lane in range(0, min(PANEL, filters - f), LANES):
            outputs_of_tile(m, t, lane, temporary)
            width = min(LANES, filters - f - lane)
            found, b = zero, repeat_rows(load(bias, f + lane), 4)
            for r in range(rows):
                row = output_row(temporary, r) + b
                found = found + not_finite(row)
                if relu:
                    row = maximum(row, repeat_rows(zero, 4))
                at = (((image * size[0] + 4 * i + r) * size[1]) + 4 * j) * filters + f + lane
                if width == LANES and columns == 4:
                    store(row, 4, y, at, filters)
                else:
                    store(row, 4, edge, 0, LANES)
                    for q in range(columns):
                        for k in range(width):
                            y[at + q * filters + k] = edge[q * LANES + k]
            store(load(check, 0) + found, 1, check, 0, 0)


@inline
def store_window(p0, p1, p2, p3, b, y, winner, at, width, edge):
    """The largest of four finite vectors, the first where several are: bias and ReLU on top, and who it was."""
    zero, one, two, three = broadcast(f32(0)), broadcast(f32(1)), broadcast(f32(2)), broadcast(f32(3))
    top, low = larger(p0, p1), larger(p2, p3)
    best = where_larger(low, top, where_larger(p3, p2, three, two), where_larger(p1, p0, one, zero))
    value = larger(larger(top, low) + b, zero)
    if width >= LANES:
        store(value, 1, y, at, 0)
        store_bytes(best, winner, at)
    else:
        store(value, 1, edge, 0, 0)
        store(best, 1, edge, LANES, 0)
        for k in range(width):
            y[at + k] = edge[k]
            winner[at + k] = np.uint8(edge[LANES + k])


@jit
def tiles_to_pooled(m, f, filters, bias, first, count, tiles, y, winner, size, temporary, edge, check):
    """Bias, ReLU and 2x2 max pooling on top: y and winner (0..3), both (N, *size, filters)."""
    for t in range(count):
        image, i, j = place(first + t, tiles)
        rows, columns = min(2, size[0] - 2 * i), min(2, size[1] - 2 * j)
        for lane in range(0, min(PANEL, filters - f), LANES):
            outputs_of_tile(m, t, lane, temporary)
            width, b, found = filters - f - lane, load(bias, f + lane), load(check, 0)
            for r in range(rows):
                upper, lower = output_row(temporary, 2 * r), output_row(temporary, 2 * r + 1)
                found = found + not_finite(upper) + not_finite(lower)
                at = ((image * size[0] + 2 * i + r) * size[1] + 2 * j) * filters + f + lane
                store_window(part(upper, 0), part(upper, 1), part(lower, 0), part(lower, 1), b, y, winner, at, width, edge)
                if columns == 2:
                    at += filters
                    store_window(part(upper, 2), part(upper, 3), part(lower, 2), part(lower, 3), b, y, winner, at, width, edge)
            store(found, 1, check, 0, 0)


@jit
def tiles_of_worker(
    worker, x, gates, shape, border, tiles, total, block, u, bias, relu, pool, y, winner, size, filters, work
):  # fmt: skip
    """A share of the `total` tiles of all images, `block` of them at a time."""
    v, m, patch, temporary, edge, check = work
    workers, blocks = len(v), (total + block - 1) // block
    v, m, patch, temporary, edge, check = v[worker], m[worker], patch[worker], temporary[worker], edge[worker], check[worker]
    check[:] = 0
    panels, winners = (filters + PANEL - 1) // PANEL, winner if pool else gates[1]
    streams = x.view(np.uint8), gates[0].view(np.uint8), y.view(np.uint8), winners
    for item in range(blocks * worker // workers, blocks * (worker + 1) // workers):
        first, count = item * block, min(block, total - item * block)
        tiles_to_points(x, gates, shape, border, first, count, tiles, v, patch, temporary)
        after = first + block + tiles[1]  # a row of tiles further on: the first tile of a row wants lines of all its height
        wanted = after, after + block, total
        for panel in range(panels):
            f = panel * PANEL
            multiply_points(v, u, panel, panels, shape[2], count, m, streams, wanted)
            if pool:
                tiles_to_pooled(m, f, filters, bias, first, count, tiles, y, winner, size, temporary, edge, check)
            else:
                tiles_to_outputs(m, f, filters, bias, relu, first, count, tiles, y, size, temporary, edge, check)


@inline
def kernel_to_points(g):
    """G g: the three numbers of a kernel's row or column -> its values at the points."""
    even, third = part(g, 0) + part(g, 2), f32(1 / 3)
    return join(
        (
            part(g, 0),
            third * (even + part(g, 1)),
            third * (part(g, 1) - even),
            f32(-16 / 15) * (part(g, 0) + f32(0.5) * part(g, 1) + f32(0.25) * part(g, 2)),
            f32(1 / 15) * (part(g, 0) - f32(2) * part(g, 1) + f32(4) * part(g, 2)),
            part(g, 2),
        )
    )


@jit
def weights_of_worker(worker, workers, w, channels, filters, u, temporary):
    """u[panel, point, c, lane] = G g G^T for a share of the channels of w (3, 3, channels, filters)."""
    for c in range(channels * worker // workers, channels * (worker + 1) // workers):
        for f in range(0, filters, LANES):
            for j in range(3):
                column = load_rows(3, 3, w, (j * channels + c) * filters + f, 3 * channels * filters)
                store(kernel_to_points(column), 6, temporary, j * LANES, 3 * LANES)
            for i in range(6):
                row = kernel_to_points(load_rows(3, 1, temporary, i * 3 * LANES, 0))
                at = ((f // PANEL * 36 + i * 6) * channels + c) * PANEL + f % PANEL
                store(row, 6, u, at, channels * PANEL)


@parallel
def all_tiles(
    x, gates, shape, border, tiles, total, block, w, u, bias, relu, pool, y, winner, size, filters, work
):  # fmt: skip
    """First the weights at the points, then the tiles."""
    workers = len(work[0])
    for worker in prange(workers):
        weights_of_worker(np.int64(worker), workers, w, shape[2], len(bias), u, work[3][worker])
    for worker in prange(workers):
        tiles_of_worker(
            np.int64(worker), x, gates, shape, border, tiles, total, block, u, bias, relu, pool, y, winner, size, filters, work
        )  # fmt: skip


def correlate(x, w, b, border, out, relu=False, pool=False, gates=None):
    """Correlation of x (N,H,W,C) with w (3,3,C,F); None if the result is not finite.

    pool: returns (y, winner) of the 2x2 max pooling of relu(correlation + b), winner 0..3 in row-major order.
    gates: (y, winner) of such a pooling, if x is the gradient that comes to it: then x before the pooling is meant.
    """
    if b is not None and not np.isfinite(b).all():
        return None
    n, c, f = len(x), x.shape[3], w.shape[3]
    size = (out[0] // 2, out[1] // 2) if pool else out
    tiles = (-(-size[0] // 2), -(-size[1] // 2)) if pool else (-(-out[0] // 4), -(-out[1] // 4))
    total, threads = n * tiles[0] * tiles[1], get_num_threads()
    block = min(TILES, -(-total // (threads * ROWS)) * ROWS)
    workers = min(threads, -(-total // block))
    y = aligned_empty((n, *size, f))
    winner = aligned_empty(y.shape if pool else 0, np.uint8)
    panels = -(-f // PANEL)
    if f % PANEL:  # filters that do not exist are zeros
        w = np.pad(w, ((0, 0), (0, 0), (0, 0), (0, panels * PANEL - f)))
    bias = np.zeros(panels * PANEL, np.float32)
    if b is not None:
        bias[:f] = b
    work = workspace(workers, c)
    gates = (np.empty(0, np.float32), np.empty(0, np.uint8)) if gates is None else tuple(a.reshape(-1) for a in gates)
    all_tiles(
        x.reshape(-1), gates, x.shape[1:], (border[0][0], border[1][0]), tiles, total, block, w.reshape(-1),
        aligned_empty(panels * 36 * c * PANEL), bias, relu, pool, y.reshape(-1), winner.reshape(-1), size, f, work,
    )  # fmt: skip
    if np.isnan(work[-1]).any():
        return None
    return (y, winner) if pool else y


def workspace(workers, channels):
    """v, m, patch, temporary, edge, check, each with a row for every worker."""
    depth = -(-channels // LANES) * LANES
    return (
        aligned_empty((workers, TILES // ROWS * 36 * (ROWS * depth + PAD))),
        aligned_empty((workers, TILES * 36 * PANEL)),
        aligned_empty((workers, 36 * depth)),
        aligned_empty((workers, 36 * WIDTH)),
        aligned_empty((workers, 4 * WIDTH)),
        aligned_zeros((workers, APART)),
    )
