"""dW of a convolution with a quarter of the multiplications: winograd.py's algorithm, differentiated.

    y  = A^T [ (G g G^T) . (B^T d B) ] A
    dg = G^T [ sum over tiles of  (B^T d B) . (A dy A^T) ] G          d: a tile of the image, dy: its 4x4 gradients

For all channels and filters at once the sum is 36 matrix products (C x tiles) (tiles x F):

      image          V                 dy             S                     N                     dW
    +--+--+--+    36 x tiles x C     +--+--+--+    36 x tiles x F        36 x C x F            3 x 3 x C x F
    |6x6 tile|    -- B^T d B -->     |4x4 tile|    -- A dy A^T -->   V^T S, added up    -- G^T n G -->

A thread takes `block` tiles at a time. With that many, V and S are as large as N: each block reads and writes all three once.
At the point (1,1) a tile of S is the sum of its gradients: the bias's gradient is the sum of those.

Larger kernels are sums of 3x3 parts, as in winograd.py, whose errors dW shares: 1e-6, relative rms.
"""

from typing import NamedTuple

import numpy as np
from numba import get_num_threads, prange

from tinydx_kernels.cpu.bands import Pooled, copy_piece
from tinydx_kernels.cpu.memory import APART, aligned_empty, aligned_zeros
from tinydx_kernels.cpu.simd import (
    COLUMNS,
    LANES,
    ROWS,
    WIDTH,
    add,
    inline,
    jit,
    join,
    load,
    load_rows,
    outer,
    parallel,
    part,
    store,
    zeros,
)
from tinydx_kernels.cpu.winograd import LINE, NOTHING, PAD, TILES, Tiling, copy_tile, part_to_points, place, whole_vectors

PANEL = COLUMNS * WIDTH
HALF = ROWS // 2  # channels of a block for the last few
ONES = 7  # the number of the point (1,1)
f32 = np.float32


class Memory(NamedTuple):
    """Memory of the workers, a row each, or of one of them; n, sums: a row for each share of the tiles."""

    v: np.ndarray  # [point, tile, part of the kernel, channel]: tiles of the image at the points
    s: np.ndarray  # [point, panel, tile, lane]: tiles of dy at the points
    patch: np.ndarray  # a tile with a border
    temporary: np.ndarray  # a tile halfway: transformed in one direction
    n: np.ndarray  # [point, panel, part, channel in whole ROWS, PANEL]: sums of products
    sums: np.ndarray  # [filter in whole panels]: the sum of dy


class Sizes(NamedTuple):
    """Distances in memory, in floats."""

    filters: int  # of a group
    panels: int  # of a group
    tile: int  # of v, from a tile to the next
    s_step: int  # of s, from a point to the next
    room: int  # of n, from a part of the kernel to the next
    n_step: int  # of n, from a point to the next


# ---- the transforms ------------------------------------------------------------------------------------------------


@inline
def slopes_to_points(d):
    """A d: four gradients -> six values."""
    even, odd = part(d, 0) + part(d, 2), part(d, 1) + part(d, 3)
    half = part(d, 0) + f32(0.5) * part(d, 1) + f32(0.25) * part(d, 2) + f32(0.125) * part(d, 3)
    two = part(d, 0) - f32(2) * part(d, 1) + f32(4) * part(d, 2) - f32(8) * part(d, 3)
    return join((part(d, 0), even + odd, even - odd, half, two, part(d, 3)))


@inline
def points_to_kernel(n):
    """G^T n: six values -> the gradients of the three numbers of a kernel's row or column."""
    third = f32(1 / 3)
    odd, half, two = third * (part(n, 1) - part(n, 2)), f32(-16 / 15) * part(n, 3), f32(1 / 15) * part(n, 4)
    return join(
        (
            part(n, 0) + odd + (half + two),
            third * (part(n, 1) + part(n, 2)) + (f32(0.5) * half - f32(2) * two),
            odd + (f32(0.25) * half + f32(4) * two) + part(n, 5),
        )
    )


@inline
def tile_of_slopes(dy, corner, line, step, s, at, point, temporary):
    """s[point] at `at` = A dy A^T for the 4x4 tile of dy at `corner`, of one vector of filters."""
    for j in range(4):
        column = load_rows(4, 4, dy, corner + j * step, line)
        store(slopes_to_points(column), 6, temporary, j * LANES, 4 * LANES)
    for i in range(6):
        row = load_rows(4, 1, temporary, i * 4 * LANES, 0)
        store(slopes_to_points(row), 6, s, at + i * 6 * point, point)


@inline
def lanes_of(sizes, panel):
    """Lanes of a panel in s: of both its vectors, or of one, if the last one has no more filters."""
    return PANEL if sizes.filters - panel * PANEL > WIDTH else WIDTH


@jit
def slopes_of_tile(dy, tiling, sizes, tile, t, part_of, memory):
    """memory.s of tile number `tile`, the block's tile t; part_of: (group, first panel of it, last). An edge is first copied."""
    (image, i, j), f, room, (group, first, last) = place(tile, tiling), sizes.filters, tiling.block * PANEL, part_of
    height, width, step = tiling.out_h, tiling.out_w, tiling.groups * f
    source, line = dy, width * step
    corner = ((image * height + 4 * i) * width + 4 * j) * step + group * f
    if 4 * i + 4 > height or 4 * j + 4 > width or corner + 3 * (line + step) + last * PANEL > len(dy):
        copy_tile(dy, (height, width, step), (image, 4 * i, 4 * j, group * f), 4, f, memory.patch)
        source, line, step, corner = memory.patch, 4 * f, f, 0
    for panel in range(first, last):
        lanes = lanes_of(sizes, panel)
        for lane in range(0, min(lanes, f - panel * PANEL), LANES):
            at = panel * room + t * lanes + lane
            tile_of_slopes(source, corner + panel * PANEL + lane, line, step, memory.s, at, sizes.s_step, memory.temporary)


# ---- the products --------------------------------------------------------------------------------------------------


def _sum_of(rows, columns):
    """A kernel for a register block of `rows` channels and `columns` vectors of filters."""
    count = rows * columns

    @inline
    def sum_of_tiles(v, i, step, s, j, tiles, target):
        """n[at + r * PANEL + c] (+)= sum over the tiles t of v[i + t * step + r] s[j + t * lanes + c]; target: (n, at, first)."""
        n, at, first = target
        block = zeros(count)
        for t in range(tiles):
            block = outer(block, rows, v, i + t * step, 1, s, j + t * (columns * WIDTH))
        if not first:
            block = add(block, load_rows(count, rows, n, at, PANEL))
        store(block, rows, n, at, PANEL)

    return sum_of_tiles


if LANES:
    whole_wide, half_wide, whole_narrow, half_narrow = [_sum_of(r, c) for c in (COLUMNS, 1) for r in (ROWS, HALF)]


@jit
def multiply_tiles(tiling, sizes, count, part_of, new, memory):
    """memory.n (+)= V^T S over the block's tiles, point by point, so that V and S of a point stay in the cache."""
    group, first, last = part_of
    v, s, n, parts, depth = memory.v, memory.s, memory.n, tiling.parts_h * tiling.parts_w, whole_vectors(tiling.channels)
    for point in range(36):
        for panel in range(first, last):
            j, narrow = point * sizes.s_step + panel * tiling.block * PANEL, lanes_of(sizes, panel) == WIDTH
            to = point * sizes.n_step + (group * sizes.panels + panel) * parts * sizes.room
            for k in range(parts):
                i, at = point * tiling.step + k * depth, to + k * sizes.room
                for c in range(0, tiling.channels, ROWS):
                    few = tiling.channels - c <= HALF
                    if narrow and few:
                        half_narrow(v, i + c, sizes.tile, s, j, count, (n, at + c * PANEL, new))
                    elif narrow:
                        whole_narrow(v, i + c, sizes.tile, s, j, count, (n, at + c * PANEL, new))
                    elif few:
                        half_wide(v, i + c, sizes.tile, s, j, count, (n, at + c * PANEL, new))
                    else:
                        whole_wide(v, i + c, sizes.tile, s, j, count, (n, at + c * PANEL, new))


@jit
def clear_gaps(tiling, sizes, used, v):
    """Zeros behind the last channel of each tile, which register blocks may read: slow, if tiny numbers."""
    for point in range(36):
        start = point * tiling.step
        for t in range(tiling.block):
            v[start + t * sizes.tile + used : start + (t + 1) * sizes.tile] = 0
        v[start + tiling.block * sizes.tile : start + tiling.step] = 0


@jit
def group_to_points(source, dy, tiling, sizes, start, count, part_of, memory):
    """memory.v and s of `count` tiles from number `start` on, for panels of a group; memory.sums += the sum of dy."""
    (group, first, last), channels = part_of, whole_vectors(tiling.channels)
    for t in range(count):
        image, row, column = place(start + t, tiling)
        for k in range(tiling.parts_h * tiling.parts_w):
            p, q = k // tiling.parts_w, k % tiling.parts_w
            corner = image, 4 * row + 3 * p - tiling.top, 4 * column + 3 * q - tiling.left, group * tiling.channels
            part_to_points(source, tiling, corner, t * sizes.tile + k * channels, memory)
        slopes_of_tile(dy, tiling, sizes, start + t, t, part_of, memory)
    for panel in range(first, last):
        lanes, at = lanes_of(sizes, panel), ONES * sizes.s_step + panel * tiling.block * PANEL
        for lane in range(0, min(lanes, sizes.filters - panel * PANEL), LANES):
            to = (group * sizes.panels + panel) * PANEL + lane
            total = load(memory.sums, to)
            for t in range(count):
                total = total + load(memory.s, at + t * lanes + lane)
            store(total, 1, memory.sums, to, 0)


@jit
def tiles_of_worker(worker, across, source, dy, tiling, sizes, memory):
    """A share of the tiles, for a share of the panels: workers are counted through `across` shares of panels."""
    down, of_group = len(memory.n), sizes.panels
    i, j, channels, parts = worker // across, worker % across, whole_vectors(tiling.channels), tiling.parts_h * tiling.parts_w
    panels, first, last = tiling.groups * of_group, tiling.total * i // down, tiling.total * (i + 1) // down
    own = Memory(
        memory.v[worker], memory.s[worker], memory.patch[worker], memory.temporary[worker], memory.n[i], memory.sums[i]
    )  # fmt: skip
    own.patch[:] = 0  # behind its last pixel it is transformed, and ignored
    clear_gaps(tiling, sizes, parts * channels, own.v)
    from_panel, to_panel = panels * j // across, panels * (j + 1) // across
    own.sums[from_panel * PANEL : to_panel * PANEL] = 0
    for start in range(first, last, tiling.block):
        count = min(tiling.block, last - start)
        for group in range(from_panel // of_group, (to_panel + of_group - 1) // of_group):
            part_of = group, max(0, from_panel - group * of_group), min(of_group, to_panel - group * of_group)
            group_to_points(source, dy, tiling, sizes, start, count, part_of, own)
            multiply_tiles(tiling, sizes, count, part_of, start == first, own)


@jit
def kernels_of_worker(worker, workers, tiling, sizes, kernel, memory, dw):
    """dw (kh,kw,C,G*F), flat, = G^T n G for a share of the channels of all parts; kernel: (kh, kw)."""
    (height, width), channels, filters, n = kernel, tiling.channels, sizes.filters, memory.n
    temporary, edge, parts = memory.temporary[worker], memory.v[worker], tiling.parts_h * tiling.parts_w
    items = tiling.groups * parts * channels
    for item in range(items * worker // workers, items * (worker + 1) // workers):
        group, k, c = item // (parts * channels), item // channels % parts, item % channels
        top, left = k // tiling.parts_w * 3, k % tiling.parts_w * 3
        for f in range(0, filters, LANES):
            panel, lane, lanes = group * sizes.panels + f // PANEL, f % PANEL, min(LANES, filters - f)
            at = (panel * parts + k) * sizes.room + c * PANEL + lane
            for j in range(6):
                column = load_rows(6, 6, n[0], at + j * sizes.n_step, 6 * sizes.n_step)
                for share in range(1, len(n)):
                    column = column + load_rows(6, 6, n[share], at + j * sizes.n_step, 6 * sizes.n_step)
                store(points_to_kernel(column), 3, temporary, j * LANES, 6 * LANES)
            for p in range(min(3, height - top)):
                store(points_to_kernel(load_rows(6, 1, temporary, p * 6 * LANES, 0)), 3, edge, 0, LANES)
                for q in range(min(3, width - left)):
                    to = ((((top + p) * width + left + q) * channels + c) * tiling.groups + group) * filters + f
                    copy_piece(edge, q * LANES, dw, to, lanes)


@parallel
def all_tiles(across, source, dy, tiling, sizes, kernel, memory, dw):
    """First N of each share of the tiles, then dW of all."""
    workers = len(memory.v)
    for worker in prange(workers):
        tiles_of_worker(np.int64(worker), across, source, dy, tiling, sizes, memory)
    for worker in prange(workers):
        kernels_of_worker(np.int64(worker), workers, tiling, sizes, kernel, memory, dw)


# ---- the launcher --------------------------------------------------------------------------------------------------


def gradient_of_w(x, dy, w_shape, geometry, groups=1):
    """dW (kh,kw,C,G*F), `w_shape`, and db of x (N,H,W,G*C) and dy (N,OH,OW,G*F), contiguous; None if dW is not finite."""
    (kh, kw, c, filters), g = w_shape, geometry
    f = filters // groups
    down, across, parts = -(-g.out_h // 4), -(-g.out_w // 4), (-(-kh // 3), -(-kw // 3))
    depth, panels, total = -(-c // LANES) * LANES, -(-f // PANEL), len(x) * down * across
    several, sets = parts[0] * parts[1], min(groups, get_num_threads())
    threads = get_num_threads() // sets  # for each set of groups
    block = min(total, max(TILES, several * c * f // (several * c + f)))
    shares = max(1, min(threads, total // block))
    sets *= max(1, min(groups * panels // sets, threads // shares))
    tile = (-(-several * depth // LINE) | 1) * LINE  # an odd number of cache lines: others compete for the same places in L1
    room = -(-c // ROWS) * ROWS * PANEL
    sizes = Sizes(f, panels, tile, block * panels * PANEL + PAD, room, groups * panels * several * room + PAD)
    places = g.top, g.left, g.out_h, g.out_w, down, across, total, block
    tiling = Tiling(g.height, g.width, c, groups, *parts, *places, block * tile + PAD, 0, 1, False)
    memory = Memory(
        v=aligned_empty((shares * sets, 36 * tiling.step)),
        s=aligned_empty((shares * sets, 36 * sizes.s_step)),
        patch=aligned_empty((shares * sets, 36 * max(depth, panels * PANEL))),
        temporary=aligned_empty((shares * sets, 36 * WIDTH)),
        n=aligned_empty((shares, 36 * sizes.n_step)),
        sums=aligned_empty((shares, groups * panels * PANEL + APART)),
    )
    dw = aligned_zeros(w_shape)  # a rehearsal, which runs no kernel, takes this way, too
    source = Pooled(x.reshape(-1), *NOTHING)
    all_tiles(sets, source, dy.reshape(-1), tiling, sizes, (kh, kw), memory, dw.reshape(-1))
    if not np.isfinite(dw).all():
        return None
    return dw, memory.sums[:, : groups * panels * PANEL].sum(axis=0).reshape(groups, -1)[:, :f].reshape(-1)
