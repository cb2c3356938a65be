"""Convolution with a quarter of the multiplications: Winograd's F(4x4, 3x3), and larger kernels as sums of it.

A 6x6 tile of the image gives 4x4 outputs with 36 products instead of 16 * 9 = 144. The product of two polynomials, of
3 and of 4 coefficients, follows from its values at the points 0, 1, -1, 1/2, -2 and infinity; the sliding sum is the
transposed of that product, in both directions of the image (the lesson `winograd` derives it):

    y = A^T [ (G g G^T) . (B^T d B) ] A      G: values of the weights at the points, B^T: transposed interpolation,
                                             A^T: transposed evaluation

For all tiles, channels and filters at once the dot in the middle is 36 matrix products (tiles x C) (C x F):

      image          V                 U (weights, once)        M                      y
    +--+--+--+    36 x tiles x C      36 x C x 32 filters    36 x tiles x 32        +--+--+
    |6x6 tile|    -- B^T d B -->   x                     =                -- A^T m A -->|4x4 |
    +--+--+--+     (over c)                                                (over f)

TILES tiles at a time, 32 filters at a time, so that V, M and U stay in the L2 cache. Where weights are many and tiles few,
U would not: then the 32 filters' part of U is made when it is needed, and V streams past it, for all tiles at a time. Bias,
ReLU and 2x2 max pooling are applied to the outputs while they are in registers: a 4x4 output is 2x2 windows. The pixels of a
tile are scattered in memory and take time to arrive, so those of the next tiles are prefetched during the products, when
memory is idle. Groups are panels of filters that read other channels.

A larger kernel is a sum of 3x3 parts, each of the image moved by 3 pixels: 5x5 is 2x2 parts, with zeros around. To all that
follows, the moved images are further channels of a tile, so M is still added up and transformed once:

    5x5   | p0  | p1 |     V  [ tile | tile moved by (0,3) | by (3,0) | by (3,3) ]    4C channels
          |-----+----|     9 products instead of 25 for an output, channel and filter
          | p2  | p3 |

Error against float64, relative rms, 64 channels: 1e-6 with these points, 1.4e-6 with the usual 0, 1, -1, 2, -2; the
direct sum has 4e-7. It grows with the root of channels and parts: 2e-6 for 256 channels, or for 5x5. An infinity or NaN would
spread over its whole tile: `check` finds it and the caller falls back.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numba import get_num_threads, prange

from tinydx_kernels.cpu.bands import Part, Pooled, copy_piece, unpool_band, unpooled
from tinydx_kernels.cpu.layer import in_shares
from tinydx_kernels.cpu.memory import APART, CACHE_LINE, aligned_empty, aligned_zeros, contiguous
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
    load_part,
    load_rows,
    outer,
    outer_chunk,
    parallel,
    part,
    prefetch,
    prefetch_l2,
    repeat_rows,
    store,
    store_bytes,
    transpose,
    where_larger,
    zeros,
)

PANEL = COLUMNS * WIDTH
TILES = (2 if LANES == 16 else 3) * ROWS  # v, m and a panel of u in an L2 cache of 512 KB, or 1 MB with 16 lanes
MANY = 1 << 13  # weights of a position, of all parts, from which on those of all points leave the L2 cache
BLOCK = 132  # tiles, about, for which weights are made afresh
WEIGHTS, IMAGE = 130, 40  # multiply-adds of a vector that take as long as transforming a vector of weights, and of an image
LINE = 16  # floats of a cache line
PAD = 16  # floats between the points of v: at distances of 4 KB they would compete for the same lines of L1
SMALL = 1 << 22  # products at the points that one thread has done, transforms included, before a second one is awake
f32 = np.float32


class Tiling(NamedTuple):
    """How images and outputs are cut into tiles."""

    height: int  # of an image; of the pooled one, where a pooling is undone
    width: int
    channels: int  # of a group
    groups: int
    parts_h: int  # 3x3 parts of the kernel, down and across
    parts_w: int
    top: int  # rows of padding above the image (before pooling)
    left: int  # columns of padding before it
    out_h: int  # of y
    out_w: int
    down: int  # tiles of an image
    across: int
    total: int  # tiles of all images
    block: int  # tiles at a time
    step: int  # floats of v from a point to the next
    rows: int  # and from ROWS tiles to the next
    apart: int  # and from a vector of channels to the next, in vectors
    fresh: bool  # whether weights are transformed when they are needed, a panel at a time, or all of them before


class Target(NamedTuple):
    """What is written, flat, and what is added before."""

    y: np.ndarray  # (N,OH,OW,F), or pooled (N,PH,PW,F)
    winner: np.ndarray  # uint8, as y: which pixel of the window was the maximum; empty without pooling
    bias: np.ndarray  # (groups, F in whole panels)
    filters: int  # F, of a group


class Scratch(NamedTuple):
    """Memory of the workers, a row each, or of one of them."""

    v: np.ndarray  # [point, tile // ROWS, c // LANES, tile % ROWS, c % LANES]: tiles at the points, c: channels of all parts
    m: np.ndarray  # [tile, point, 32 filters]: products
    patch: np.ndarray  # a tile with a border, 6 x 6 x C
    temporary: np.ndarray  # a tile halfway: transformed in one direction
    edge: np.ndarray  # outputs of which not all exist
    check: np.ndarray  # NaN if a result was not finite


# ---- the transforms ------------------------------------------------------------------------------------------------


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


# ---- image -> values at the points ---------------------------------------------------------------------------------


@inline
def place(tile, tiling):
    """(image, row, column) of a tile, counted through all images."""
    of_image = tiling.down * tiling.across
    image, rest = tile // of_image, tile % of_image
    return image, rest // tiling.across, rest % tiling.across


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
def tile_to_points(x, corner, line, pixel, tiling, v, at, temporary):
    """v[point, c] = B^T d B for a tile of x whose upper left pixel is at `corner`; `pixel` floats from one to the next."""
    for c in range(0, tiling.channels, LANES):
        for j in range(6):
            column = load_rows(6, 6, x, corner + j * pixel + c, line)
            store(to_points(column), 6, temporary, j * LANES, 6 * LANES)
        rows_to_points(temporary, v, at + c * tiling.apart, tiling.step)


@jit
def windows_to_points(pooled, corner, line, tiling, v, at, temporary):
    """The same for a tile of 3x3 windows of a pooling, the first at `corner`: it is undone in registers."""
    channels = tiling.channels
    for c in range(0, channels, LANES):
        for j in range(3):
            k = corner + j * channels + c
            p, q, r = unpooled(pooled, k), unpooled(pooled, k + line), unpooled(pooled, k + 2 * line)
            left = join((part(p, 0), part(p, 2), part(q, 0), part(q, 2), part(r, 0), part(r, 2)))
            right = join((part(p, 1), part(p, 3), part(q, 1), part(q, 3), part(r, 1), part(r, 3)))
            store(to_points(left), 6, temporary, 2 * j * LANES, 6 * LANES)
            store(to_points(right), 6, temporary, (2 * j + 1) * LANES, 6 * LANES)
        rows_to_points(temporary, v, at + c * tiling.apart, tiling.step)


@jit
def copy_tile(x, shape, corner, size, channels, patch):
    """patch (size, size, channels) = the tile of x (N,H,W,C), `shape` (H,W,C), at a corner; pixels outside are zero."""
    (height, width, pixel), (image, top, left, channel) = shape, corner
    first, last = max(0, -left), min(size, width - left)  # the columns that exist
    run = max(1, last - first) if pixel == channels else 1  # pixels that are neighbours in memory
    for r in range(size):
        at, to = ((image * height + top + r) * width + left) * pixel + channel, r * size * channels
        inside = 0 <= top + r < height and first < last
        before, after = (first, last) if inside else (size, size)
        patch[to : to + before * channels] = 0
        for q in range(before, after, run):
            copy_piece(x, at + q * pixel, patch, to + q * channels, run * channels)
        patch[to + after * channels : to + size * channels] = 0


@jit
def part_to_points(source, tiling, corner, at, scratch):
    """scratch.v from `at` on: the tile at a corner of a Pooled, or of an image as its dy, the others empty.

    A corner is (image, row, column, channel): the first channel of a group, 0 where a pooling is undone.

    A tile that reaches into the border, or cuts the windows of a pooling, is first written to `patch`. If channels are not
    whole vectors, what lies behind them in memory is transformed, too, and ignored.
    """
    x, v, patch, temporary = source.dy, scratch.v, scratch.patch, scratch.temporary
    shape, (image, top, left, group) = (tiling.height, tiling.width, tiling.groups * tiling.channels), corner
    height, width, pixel = shape
    channels, depth = tiling.channels, whole_vectors(tiling.channels)
    pooled = source.winner.size > 0
    if pooled:
        height, width = 2 * height, 2 * width
    inside = top >= 0 and left >= 0 and top + 6 <= height and left + 6 <= width
    if pooled and inside and top % 2 == left % 2 == 0 and depth == channels:
        first = ((image * shape[0] + top // 2) * shape[1] + left // 2) * channels
        windows_to_points(source, first, shape[1] * channels, tiling, v, at, temporary)
    elif inside and not pooled and ((image * height + top + 5) * width + left + 5) * pixel + group + depth <= len(x):
        first = ((image * height + top) * width + left) * pixel + group
        tile_to_points(x, first, width * pixel, pixel, tiling, v, at, temporary)
    else:
        if pooled:
            unpool_band(source, shape, Part(image, top, left, 6, 6), patch)
        else:
            copy_tile(x, shape, corner, 6, channels, patch)
        tile_to_points(patch, 0, 6 * channels, channels, tiling, v, at, temporary)


@jit
def tiles_to_points(source, tiling, group, first, count, scratch):
    """scratch.v of `count` tiles from number `first` on, of a group and all parts of the kernel, and zeros up to whole ROWS."""
    if count % ROWS:  # they are multiplied, too: slow, if tiny numbers
        for point in range(36):
            last = point * tiling.step + count // ROWS * tiling.rows
            scratch.v[last : last + tiling.rows] = 0
    for t in range(count):
        image, i, j = place(first + t, tiling)
        for p in range(tiling.parts_h):
            for q in range(tiling.parts_w):
                at = t // ROWS * tiling.rows + t % ROWS * LANES
                at += (p * tiling.parts_w + q) * ROWS * whole_vectors(tiling.channels)
                corner = image, 4 * i + 3 * p - tiling.top, 4 * j + 3 * q - tiling.left, group * tiling.channels
                part_to_points(source, tiling, corner, at, scratch)


# ---- the products --------------------------------------------------------------------------------------------------


@inline
def prefetch_tiles(streams, wanted, share, shares):
    """Prefetch every `shares`-th cache line of the bytes that tiles wanted[0] to wanted[1] of wanted[2] will read and write.

    The tiles move through an array at an almost even rate, so the bytes of a tile lie about where its number says.
    """
    for stream in streams:
        rate = len(stream) / wanted[2]
        for k in range(int(rate * wanted[0]) + share * CACHE_LINE, int(rate * wanted[1]), shares * CACHE_LINE):
            prefetch(stream, k)


@inline
def floats_of_point(tiling):
    """Floats of u from a point to the next: all channels, times a panel of filters."""
    return tiling.parts_h * tiling.parts_w * tiling.channels * PANEL + PAD


@jit
def multiply_points(scratch, u, at, turn, tiling, count, streams, wanted):
    """m[tile, point, f] = sum over c of v[tile, point, c] u[point, c, f], for a panel of filters whose u begins at `at`.

    Memory is idle meanwhile, and fetches what the next tiles want, a share of it at each point; turn: (panel, panels).
    """
    v, m, channels, (panel, panels) = scratch.v, scratch.m, tiling.parts_h * tiling.parts_w * tiling.channels, turn
    whole, ahead = channels // LANES * LANES, 2 * tiling.rows
    for point in range(36):
        prefetch_tiles(streams, wanted, panel * 36 + point, panels * 36)
        for t in range(0, count, ROWS):
            block = zeros(TILE)
            i, j = point * tiling.step + t // ROWS * tiling.rows, at + point * floats_of_point(tiling)
            for c in range(0, whole, LANES):
                if tiling.fresh:
                    for line in range(0, ROWS * LANES, LINE):
                        prefetch_l2(v, i + ahead + c * ROWS + line)
                for k in range(0, LANES, UNROLLED):
                    block = outer_chunk(block, ROWS, v, i + c * ROWS + k, u, j + (c + k) * PANEL)
            for c in range(channels - whole):
                block = outer(block, ROWS, v, i + whole * ROWS + c, LANES, u, j + (whole + c) * PANEL)
            store(block, ROWS, m, (t * 36 + point) * PANEL, 36 * PANEL)


# ---- products -> outputs -------------------------------------------------------------------------------------------


@inline
def outputs_of_tile(m, t, lane, temporary):
    """The first half of A^T m A, of one tile and vector of filters: temporary[output row, point, lane]."""
    for j in range(6):
        column = load_rows(6, 6, m, (t * 36 + j) * PANEL + lane, 6 * PANEL)
        store(from_points(column), 4, temporary, j * LANES, 6 * LANES)


@inline
def output_row(temporary, r):
    """The second half for one output row: four outputs."""
    return from_points(load_rows(6, 1, temporary, r * 6 * LANES, 0))


@inline
def not_finite(row):
    """0, or NaN if a value at the points was not finite: output 0 contains the first five values, output 3 the last."""
    total = part(row, 0) + part(row, 3)
    return total - total


@jit
def tiles_to_outputs(target, tiling, group, f, first, count, scratch):
    """Write the 4x4 outputs of `count` tiles from number `first` on, of a panel of a group's filters from f on."""
    y, filters, bias, m = target.y, target.filters, target.bias[group], scratch.m
    pixel = tiling.groups * filters
    temporary, edge, check = scratch.temporary, scratch.edge, scratch.check
    found = load(check, 0)
    for t in range(count):
        image, i, j = place(first + t, tiling)
        rows, columns = min(4, tiling.out_h - 4 * i), min(4, tiling.out_w - 4 * j)
        for lane in range(0, min(PANEL, filters - f), LANES):
            outputs_of_tile(m, t, lane, temporary)
            width = min(LANES, filters - f - lane)
            b = repeat_rows(load(bias, f + lane), 4)
            for r in range(rows):
                row = output_row(temporary, r) + b
                found = found + not_finite(row)
                at = (((image * tiling.out_h + 4 * i + r) * tiling.out_w) + 4 * j) * pixel + group * filters + f + lane
                if width == LANES and columns == 4:
                    store(row, 4, y, at, pixel)
                else:
                    store(row, 4, edge, 0, LANES)
                    for q in range(columns):
                        for k in range(width):
                            y[at + q * pixel + k] = edge[q * LANES + k]
    store(found, 1, check, 0, 0)


@inline
def store_window(window, b, target, at, width, edge):
    """The largest of four finite vectors, the first of equal ones: with bias and ReLU to y, and its number to winner."""
    p0, p1, p2, p3 = part(window, 0), part(window, 1), part(window, 2), part(window, 3)
    zero, one, two, three = broadcast(f32(0)), broadcast(f32(1)), broadcast(f32(2)), broadcast(f32(3))
    top, low = larger(p0, p1), larger(p2, p3)
    best = where_larger(low, top, where_larger(p3, p2, three, two), where_larger(p1, p0, one, zero))
    value = larger(larger(top, low) + b, zero)
    y, winner = target.y, target.winner
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
def tiles_to_pooled(target, tiling, f, first, count, scratch):
    """`tiles_to_outputs` of one group with ReLU and 2x2 max pooling on top."""
    filters, bias, m = target.filters, target.bias[0], scratch.m
    temporary, edge, check = scratch.temporary, scratch.edge, scratch.check
    for t in range(count):
        image, i, j = place(first + t, tiling)
        rows, columns = min(2, tiling.out_h - 2 * i), min(2, tiling.out_w - 2 * j)
        for lane in range(0, min(PANEL, filters - f), LANES):
            outputs_of_tile(m, t, lane, temporary)
            width, b, found = filters - f - lane, load(bias, f + lane), load(check, 0)
            for r in range(rows):
                upper, lower = output_row(temporary, 2 * r), output_row(temporary, 2 * r + 1)
                found = found + not_finite(upper) + not_finite(lower)
                at = ((image * tiling.out_h + 2 * i + r) * tiling.out_w + 2 * j) * filters + f + lane
                left = join((part(upper, 0), part(upper, 1), part(lower, 0), part(lower, 1)))
                store_window(left, b, target, at, width, edge)
                if columns == 2:
                    right = join((part(upper, 2), part(upper, 3), part(lower, 2), part(lower, 3)))
                    store_window(right, b, target, at + filters, width, edge)
            store(found, 1, check, 0, 0)


# ---- weights -> values at the points -------------------------------------------------------------------------------


class Order(NamedTuple):
    """Where weights lie in the flat w: start + p * down + q * across + c * channel + f * filter, at position (p,q)."""

    kernel_h: int
    kernel_w: int
    channels: int  # of a group
    filters: int  # of a group
    groups: int
    start: int
    down: int
    across: int
    channel: int  # it or filter is 1
    filter: int
    group: int


@jit
def square_of_weights(w, at, order, channels, filters, square, to):
    """square[to + c * LANES + f] = the weight of channel c and filter f behind `at`, zero from these numbers of them on."""
    if order.filter == 1:
        block = load_part(w, at, order.channel, channels, filters)
    else:
        block = transpose(load_part(w, at, order.filter, filters, channels))
    store(block, LANES, square, to, LANES)


@jit
def weights_to_points(w, order, tiling, filters, items, u, at, temporary):
    """u[panel, point, c, lane] = G g G^T from `at` on, zeros for filters that do not exist.

    items: the first and the last (panel of a group, part of the kernel, LANES channels), counted through all of them.
    """
    channels, squares, panels = tiling.channels, whole_vectors(tiling.channels) // LANES, (filters + PANEL - 1) // PANEL
    parts, step = tiling.parts_h * tiling.parts_w, floats_of_point(tiling)
    halfway = 9 * LANES * LANES  # in temporary, behind the squares of 3x3 positions
    for item in range(items[0], items[1]):
        panel, part_of, c0 = item // (parts * squares), item // squares % parts, item % squares * LANES
        top, left = part_of // tiling.parts_w * 3, part_of % tiling.parts_w * 3
        start = order.start + panel // panels * order.group + c0 * order.channel
        for lane in range(0, PANEL, LANES):
            f = panel % panels * PANEL + lane
            for k in range(9):
                p, q = top + k // 3, left + k % 3
                exists = p < order.kernel_h and q < order.kernel_w
                place = start + p * order.down + q * order.across + f * order.filter
                square_of_weights(w, place, order, channels - c0 if exists else 0, filters - f, temporary, k * LANES * LANES)
            for c in range(min(LANES, channels - c0)):
                for j in range(3):
                    column = load_rows(3, 3, temporary, (j * LANES + c) * LANES, 3 * LANES * LANES)
                    store(kernel_to_points(column), 6, temporary, halfway + j * LANES, 3 * LANES)
                for i in range(6):
                    row = kernel_to_points(load_rows(3, 1, temporary, halfway + i * 3 * LANES, 0))
                    to = at + (panel * 36 + i * 6) * step + (part_of * channels + c0 + c) * PANEL + lane
                    store(row, 6, u, to, step)


# ---- all tiles -----------------------------------------------------------------------------------------------------


@jit
def tiles_of_worker(team, source, tiling, w, order, u, target, scratch):
    """A share of the tiles of all images, `block` of them at a time, for a share of the panels of filters.

    team: (worker, across), workers are counted through `across` shares of panels. If `u` has no room for all panels, a worker
    has its own row of it, for one.
    """
    (worker, across), block, total, filters = team, tiling.block, tiling.total, target.filters
    i, j, down = worker // across, worker % across, len(scratch.v) // across
    own = Scratch(
        scratch.v[worker], scratch.m[worker], scratch.patch[worker],
        scratch.temporary[worker], scratch.edge[worker], scratch.check[worker],
    )  # fmt: skip
    own.check[:] = 0
    own.patch[:] = 0  # behind its last pixel it is transformed, and ignored
    blocks, of_group = (total + block - 1) // block, (filters + PANEL - 1) // PANEL
    panels, room = tiling.groups * of_group, 36 * floats_of_point(tiling)
    pieces = tiling.parts_h * tiling.parts_w * whole_vectors(tiling.channels) // LANES
    pool, fresh = target.winner.size > 0, tiling.fresh
    winners = target.winner if pool else source.winner
    streams = source.dy.view(np.uint8), source.y.view(np.uint8), target.y.view(np.uint8), winners
    for item in range(blocks * i // down, blocks * (i + 1) // down):
        first, count = item * block, min(block, total - item * block)
        after = min(total, first + block + tiling.across)  # a row ahead: a row's first tile reads lines of its whole height
        wanted = after, min(total, after + block), total
        for panel in range(panels * j // across, panels * (j + 1) // across):
            group, f = panel // of_group, panel % of_group * PANEL
            if f == 0 or panel == panels * j // across:
                tiles_to_points(source, tiling, group, first, count, own)
            if fresh:
                at = (worker - panel) * room
                weights_to_points(w, order, tiling, filters, (panel * pieces, (panel + 1) * pieces), u, at, own.temporary)
            multiply_points(own, u, (worker if fresh else panel) * room, (panel, panels), tiling, count, streams, wanted)
            if pool:
                tiles_to_pooled(target, tiling, f, first, count, own)
            else:
                tiles_to_outputs(target, tiling, group, f, first, count, own)


@parallel
def all_tiles(across, source, tiling, w, order, u, target, scratch):
    """First the weights at the points, w -> u, if it has room for them all, then the tiles."""
    workers, filters = len(scratch.v), target.filters
    pieces = tiling.parts_h * tiling.parts_w * whole_vectors(tiling.channels) // LANES
    items = 0 if tiling.fresh else tiling.groups * ((filters + PANEL - 1) // PANEL) * pieces
    for worker in prange(workers):
        share = items * np.int64(worker) // workers, items * (np.int64(worker) + 1) // workers
        weights_to_points(w, order, tiling, filters, share, u, 0, scratch.temporary[worker])
    for worker in prange(workers):
        tiles_of_worker((np.int64(worker), across), source, tiling, w, order, u, target, scratch)


# ---- launchers -----------------------------------------------------------------------------------------------------

NOTHING = np.empty(0, np.float32), np.empty(0, np.uint8)  # no pooled image and no winners


def correlate(source, shape, w, order, b, corner, out, pool=False):
    """Correlation of images of `shape` (N,H,W,G*C) with weights in an Order, plus b (G*F,) or None; None if it is not finite.

    Arguments: source, the image flat as Pooled(x, *NOTHING), or a Pooled whose pooling is undone while reading (then H and W
    are the pooled image's); corner, (rows, columns) of padding; out, (OH, OW) of the correlation; pool, whether ReLU and
    2x2 max pooling follow. With a pooling, there is one group.
    Returns: (y, winner), y (N,OH,OW,G*F), or pooled (N,PH,PW,F) and winner uint8 of that shape.
    """
    if b is not None and not np.isfinite(b).all():
        return None
    (n, height, width, _), c, f, groups = shape, order.channels, order.filters, order.groups
    size, side = ((out[0] // 2, out[1] // 2), 2) if pool else (out, 4)
    tiles = -(-size[0] // side), -(-size[1] // side)
    total, panels, parts = n * tiles[0] * tiles[1], -(-f // PANEL), (-(-order.kernel_h // 3), -(-order.kernel_w // 3))
    depth, several = -(-c // LANES) * LANES, parts[0] * parts[1]
    threads = get_num_threads() if total * 36 * c * f * groups >= SMALL else 1
    fresh = several * c * f >= MANY and total <= f
    block, down, across = shares_of(total, groups * panels, fresh, threads)
    y = aligned_empty((n, *size, groups * f))
    winner = aligned_empty(y.shape if pool else 0, np.uint8)
    bias = np.zeros((groups, panels * PANEL), np.float32)
    if b is not None:
        bias[:, :f] = b.reshape(groups, f)
    rows = ROWS * several * depth
    places = *corner, *size, *tiles, total, block, block // ROWS * rows + PAD, rows, ROWS, fresh
    tiling = Tiling(height, width, c, groups, *parts, *places)
    scratch, target = scratch_for(down * across, tiling), Target(y.reshape(-1), winner.reshape(-1), bias, f)
    u = aligned_empty((down * across if fresh else groups * panels) * 36 * (several * c * PANEL + PAD))
    in_shares(down * across, all_tiles, across, source, tiling, contiguous(w).reshape(-1), order, u, target, scratch)
    return None if np.isnan(scratch.check).any() else (y, winner)


@lru_cache  # a model asks the same in every step
def shares_of(tiles, panels, fresh, threads):
    """(tiles of a block, shares of the tiles, shares of the panels), for the least work of a worker.

    If all weights are kept, a block of the image is kept near the core, too, and the tiles are shared out. If they are made
    afresh, a block is large, so that each of them serves many tiles, and the panels may be shared out as well.
    """
    if not fresh:
        block = min(TILES, -(-tiles // (threads * ROWS)) * ROWS)
        return block, min(threads, -(-tiles // block)), 1

    def share(across):
        down = min(threads // across, -(-tiles // ROWS))
        blocks = -(-tiles // (down * BLOCK))
        block = -(-tiles // (down * blocks * ROWS)) * ROWS
        own = -(-panels // across)
        return blocks * (own * (36 * block + WEIGHTS) + IMAGE * block), block, down, across

    return min(share(across) for across in range(1, min(threads, panels) + 1))[1:]


@lru_cache  # a model asks the same in every step
def order_of(w_shape, groups=1, backward=False):
    """The Order of weights (kh,kw,C,G*F), or, if `backward`, mirrored and with a group's channels as filters."""
    kh, kw, c, depth = w_shape
    down, across, f = kw * c * depth, c * depth, depth // groups
    if backward:
        return Order(kh, kw, f, c, groups, (kh * kw - 1) * c * depth, -down, -across, 1, depth, f)
    return Order(kh, kw, c, f, groups, 0, down, across, depth, 1, f)


def scratch_for(workers, tiling):
    """Scratch for a number of workers."""
    depth = -(-tiling.channels // LANES) * LANES
    return Scratch(
        v=aligned_empty((workers, 36 * tiling.step)),
        m=aligned_empty((workers, tiling.block * 36 * PANEL)),
        patch=aligned_empty((workers, 36 * depth)),
        temporary=aligned_empty((workers, (9 * LANES + 36) * WIDTH)),
        edge=aligned_empty((workers, 4 * WIDTH)),
        check=aligned_zeros((workers, APART)),
    )


def forward(x, w, b, geometry, groups=1):
    """Correlation of x (N,H,W,G*C), contiguous, with w (kh,kw,C,G*F), plus b or None: y (N,OH,OW,G*F), None if not finite."""
    g, source = geometry, Pooled(x.reshape(-1), *NOTHING)
    result = correlate(source, x.shape, w, order_of(w.shape, groups), b, (g.top, g.left), (g.out_h, g.out_w))
    return None if result is None else result[0]


def forward_pooled(x, w, b, geometry):
    """`forward`, ReLU and 2x2 max pooling: (y, winner), both (N,OH//2,OW//2,F); None if not finite."""
    g, source = geometry, Pooled(x.reshape(-1), *NOTHING)
    return correlate(source, x.shape, w, order_of(w.shape), b, (g.top, g.left), (g.out_h, g.out_w), pool=True)


def gradient_of_x(dy, w, geometry, pooled=NOTHING, groups=1):
    """dX (N,H,W,G*C) of dy (N,OH,OW,G*F), contiguous, and w (kh,kw,C,G*F): the correlation with the mirrored kernel.

    After `forward_pooled`, pooled is its (y, winner), and dy is of their shape. Returns None if dX is not finite.
    """
    g, source = geometry, Pooled(dy.reshape(-1), *(a.reshape(-1) for a in pooled))
    corner = g.kernel_h - 1 - g.top, g.kernel_w - 1 - g.left
    result = correlate(source, dy.shape, w, order_of(w.shape, groups, True), None, corner, (g.height, g.width))
    return None if result is None else result[0]
