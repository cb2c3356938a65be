"""dW of convolution + ReLU + 2x2 max pooling, from the winners alone.

One pixel of a window at most has a gradient: its winner, if y > 0. So dW is a sum over windows, a quarter of the pixels:

    dw[p, q, c, f] += slope[m, f] * x[place[m, f] + p * line + q * C + c]        over windows m

Work is cut into blocks of windows that the L1 cache can hold, because every filter walks over the whole block again:

    dy, y, winner  -- mark -->  slope, place of each window and filter
                                   |
       small patches: copy_patches - sum_patches      all of dw of some filters in registers, window after window
       larger ones:   list_winners - sum_winners      a span of dw, 3 rows of the kernel x CHUNK vectors, winner after winner

A small patch (at most PATCH numbers, as 3x3 of a colour image) is copied to a row of its own, so that it is whole vectors.
Many channels are copied chunk by chunk, so that numbers that are read repeatedly lie close together.
While the sums run, memory is idle: it fetches the next block's part of x into L2.
Lists leave out slopes of zero, of which a trained network has many.
"""

import os
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numba import get_num_threads, prange

from tinydx_kernels.cpu.bands import SLACK, Part, Pooled, copy_band, copy_piece
from tinydx_kernels.cpu.memory import aligned_empty, aligned_zeros
from tinydx_kernels.cpu.simd import (
    LANES,
    WIDTH,
    add_scaled,
    append_simd,
    broadcast,
    inline,
    jit,
    load,
    load_bytes,
    load_rows,
    parallel,
    prefetch,
    prefetch_l2,
    scaled_rows,
    store,
    store_ints,
    where_larger,
)

f32 = np.float32
L1_SIZE = "SC_LEVEL1_DCACHE_SIZE"  # not every system knows it; every CPU has at least 32 KB
L1 = max(32 << 10, os.sysconf(L1_SIZE) if L1_SIZE in getattr(os, "sysconf_names", ()) else 0)  # bytes
BUDGET = L1 * 7 // 8 // 4  # numbers of a block
PATCH = 32
VECTORS = PATCH // WIDTH
FILTERS = 8 // VECTORS  # so that 8 sums run at a time: a multiply-add takes 4 cycles, and two begin in each
CHUNK = 4 if LANES == 8 else 6  # vectors of a run at a time
WIDE = 3 * CHUNK
SPAN = CHUNK * WIDTH
LINE = 16  # floats of a cache line
OF_LINE = LINE // WIDTH  # vectors


class Cut(NamedTuple):
    """How dW is cut into sums, and the windows into blocks."""

    taps: np.ndarray  # int64, displacement of each tap
    spans: np.ndarray  # int64, floats of each piece of a run
    rows: int  # kernel rows of a sum: 3 or 1
    run: int  # floats from a tap on
    chunk: int  # channels at a time
    block_h: int  # windows of a block
    block_w: int
    pooled_h: int  # windows of an image
    pooled_w: int
    filters: int


class Marks(NamedTuple):
    """The gradients of a block, [window, filter] in rows of whole FILTERS."""

    slope: np.ndarray  # the window's gradient, zero where y is
    place: np.ndarray  # int32, address of the winner
    bias_total: np.ndarray  # (F): the slopes' sum


class Lists(NamedTuple):
    """For each filter its slopes other than zero and their places: a list from filter * windows to end[filter]."""

    slope: np.ndarray
    place: np.ndarray  # int32
    end: np.ndarray  # int64


class Scratch(NamedTuple):
    """Each worker's memory, a row each."""

    end: np.ndarray  # of Lists
    slope: np.ndarray  # of Marks
    place: np.ndarray  # int32, of Marks
    listed_slope: np.ndarray  # of Lists
    listed_place: np.ndarray  # int32, of Lists
    buffer: np.ndarray  # the block's part of x with its border
    patches: np.ndarray  # a row of PATCH for each pixel, if patches are small


# ---- slopes and places ---------------------------------------------------------------------------------------------


class Window(NamedTuple):
    """Addresses of a pooling window."""

    at: int  # of its gradients
    ahead: int  # of the gradients of the next block, to be prefetched
    to: int  # of its row of Marks
    corner: int  # of its first pixel, as places count
    down: int  # from there to the pixel below
    right: int  # and to the next pixel of the row


@inline
def mark_plain(pooled, marks, window, f, filters):
    """slope and place of a window, filter after filter from f on."""
    (dy, y, winner), (slope, place, bias_total) = pooled, marks
    at, _, to, corner, down, right = window
    for k in range(f, filters):
        g, best = dy[at + k] if y[at + k] > 0 else f32(0), np.int64(winner[at + k])
        slope[to + k] = g
        place[to + k] = corner + (best & 1) * right + (best >> 1) * down
        bias_total[k] += g


@inline
def mark_simd(pooled, marks, window, f, filters):
    """The same by vectors; places are computed as float32, which is exact for numbers as small as theirs."""
    (dy, y, winner), (slope, place, bias_total) = pooled, marks
    at, ahead, to, corner, down, right = window
    zero, one = broadcast(f32(0)), broadcast(f32(1))
    start, across, turn = broadcast(f32(corner)), broadcast(f32(right)), broadcast(f32(down - 2 * right))
    while f + LANES <= filters:
        prefetch(dy, ahead + f)
        prefetch(y, ahead + f)
        prefetch(winner, ahead + f)
        g, best = where_larger(load(y, at + f), zero, load(dy, at + f), zero), load_bytes(winner, at + f)
        store(g, 1, slope, to + f, 0)
        store_ints(start + best * across + where_larger(best, one, turn, zero), place, to + f)
        store(load(bias_total, f) + g, 1, bias_total, f, 0)
        f += LANES
    mark_plain(pooled, marks, window, f, filters)


mark_window = mark_simd if LANES else mark_plain


@jit
def mark(pooled, marks, first, block, steps, cut):
    """Marks of a block (rows, columns) of windows that begins at address `first` of the gradients.

    steps: floats from a pixel to the one below and to the next, as places count.
    """
    (down, right), filters, room = steps, cut.filters, whole_filters(cut.filters)
    for i in range(block[0]):
        for j in range(block[1]):
            at, to = first + (i * cut.pooled_w + j) * filters, (i * block[1] + j) * room
            window = Window(at, at + block[1] * filters, to, 2 * (i * down + j * right), down, right)
            mark_window(pooled, marks, window, 0, filters)


@inline
def whole_filters(filters):
    """Filters, rounded up to whole FILTERS."""
    return (filters + FILTERS - 1) // FILTERS * FILTERS


class Fetch(NamedTuple):
    """A part of x (N,H,W,C) to be fetched into L2."""

    x: np.ndarray  # flat
    shape: tuple  # (H,W,C)
    area: Part


@inline
def prefetch_part(fetch, share, shares):
    """Every `shares`-th cache line of the part."""
    x, (height, width, channels), (image, top, left, rows, columns) = fetch
    lines = (columns * channels + LINE - 1) // LINE
    for k in range(share, rows * lines, shares):
        prefetch_l2(x, ((image * height + top + k // lines) * width + left) * channels + k % lines * LINE)


# ---- small patches -------------------------------------------------------------------------------------------------


@inline
def copy_patch_plain(x, at, taps, run, patches, to):
    """patches[to : to + PATCH] = the runs of x that begin at at + tap, one after the other; what follows is arbitrary."""
    for tap in taps:
        for c in range(run):
            patches[to + c] = x[at + tap + c]
        to += run


@inline
def copy_patch_simd(x, at, taps, run, patches, to):
    """The same, a cache line at a time: the next run overwrites what is too much."""
    for tap in taps:
        for c in range(0, run, LINE):
            store(load_rows(OF_LINE, 1, x, at + tap + c, 0), 1, patches, to + c, 0)
        to += run


@inline
def patches_plain(patches, slope, place, windows, room, f, total):
    """total[f] += sum over windows of slope * patch, for FILTERS filters from f on, as plain loops."""
    for m in range(windows):
        for r in range(FILTERS):
            patch, sums = patches[place[m * room + f + r] :], total[(f + r) * PATCH :]
            for lane in range(PATCH):
                sums[lane] += slope[m * room + f + r] * patch[lane]


@inline
def patches_simd(patches, slope, place, windows, room, f, total):
    """The same in registers."""
    block = load_rows(8, FILTERS, total, f * PATCH, PATCH)
    for m in range(windows):
        block = add_scaled(block, FILTERS, slope, place, m * room + f, patches)
    store(block, FILTERS, total, f * PATCH, PATCH)


copy_patch, add_patches = (copy_patch_simd, patches_simd) if LANES else (copy_patch_plain, patches_plain)


@jit
def copy_patches(x, step, size, taps, run, patches):
    """patches[pixel] of a block of pixels (rows, columns); step: floats of x from one to the one below, and to the next."""
    to = 0
    for i in range(size[0]):
        for j in range(size[1]):
            copy_patch(x, i * step[0] + j * step[1], taps, run, patches, to)
            to += PATCH


@jit
def sum_patches(patches, marks, windows, filters, total, fetch):
    """total[filter, PATCH] += what a block of `windows` windows adds."""
    room = whole_filters(filters)
    for f in range(0, room, FILTERS):
        prefetch_part(fetch, f // FILTERS, room // FILTERS)
        add_patches(patches, marks.slope, marks.place, windows, room, f, total)


# ---- larger patches ------------------------------------------------------------------------------------------------


@jit
def copy_chunk(x, shape, area, first, buffer):
    """`copy_band` for SPAN channels from `first` on."""
    height, width, channels = shape
    image, top, left, rows, columns = area
    for r in range(rows):
        for j in range(columns):
            to, inside = (r * columns + j) * SPAN, 0 <= top + r < height and 0 <= left + j < width
            at = ((image * height + top + r) * width + left + j) * channels + first
            if inside:
                copy_piece(x, at, buffer, to, SPAN)
            else:
                buffer[to : to + SPAN] = 0


@inline
def append_plain(slope, place, k, g, at, e):
    """g[e], at[e] = slope[k], place[k]; returns the next free e: the same if the slope is zero."""
    g[e], at[e] = slope[k], place[k]
    return e + (slope[k] != 0)


append = append_simd if LANES else append_plain


@jit
def list_winners(marks, windows, filters, lists):
    """Fill the Lists of a block of `windows` windows from its Marks."""
    room = whole_filters(filters)
    for f in range(filters):
        e = f * windows
        for m in range(windows):
            e = append(marks.slope, marks.place, m * room + f, lists.slope, lists.place, e)
        lists.end[f] = e


class Span(NamedTuple):
    """A piece of dW that one sum computes."""

    start: int  # from a winner to its first number
    rows: int  # kernel rows
    line: int  # from a kernel row to the next
    width: int  # floats of a row


@inline
def winners_plain(x, lists, first, last, span, total, t):
    """total[t + ..., p, lane] += slope * x[place + start + p * line + lane] over a list of winners, as plain loops."""
    g, at, _ = lists
    start, rows, line, width = span
    for e in range(first, last):
        for p in range(rows):
            source, sums = x[at[e] + start + p * line :], total[t + p * width : t + (p + 1) * width]
            for lane in range(width):
                sums[lane] += g[e] * source[lane]


@inline
def winners_simd(x, lists, first, last, span, total, t):
    """The same in registers: 3 rows of the kernel x CHUNK vectors, or 3 rows x 1, or one row x WIDE or 1."""
    g, at, _ = lists
    start, rows, line, width = span
    if rows == 3 and width == SPAN:
        block = load_rows(WIDE, 3, total, t, SPAN)
        for e in range(first, last):
            block = scaled_rows(block, 3, g[e], x, at[e] + start, line)
        store(block, 3, total, t, SPAN)
    elif rows == 3:
        three = load_rows(3, 3, total, t, WIDTH)
        for e in range(first, last):
            three = scaled_rows(three, 3, g[e], x, at[e] + start, line)
        store(three, 3, total, t, WIDTH)
    elif width == 3 * SPAN:
        wide = load_rows(WIDE, 1, total, t, 0)
        for e in range(first, last):
            wide = scaled_rows(wide, 1, g[e], x, at[e] + start, 0)
        store(wide, 1, total, t, 0)
    else:
        one = load_rows(1, 1, total, t, 0)
        for e in range(first, last):
            one = scaled_rows(one, 1, g[e], x, at[e] + start, 0)
        store(one, 1, total, t, 0)


add_winners = winners_simd if LANES else winners_plain


@jit
def sum_winners(buffer, line, cut, lists, windows, total, fetch, chunk):
    """Add a chunk of channels to total[chunk, tap, span, filter, kernel row, lane]; `line` from a kernel row to the next."""
    chunks = fetch.shape[2] // cut.chunk
    sums = len(cut.taps) * len(cut.spans) * cut.filters
    done, t = chunk * sums, chunk * (len(total) // chunks)
    for tap in cut.taps:
        start = tap
        for width in cut.spans:
            span = Span(start, cut.rows, line, width)
            for f in range(cut.filters):
                prefetch_part(fetch, done, chunks * sums)
                done += 1
                add_winners(buffer, lists, f * windows, lists.end[f], span, total, t)
                t += cut.rows * width
            start += width


# ---- all blocks ----------------------------------------------------------------------------------------------------


@inline
def blocks_of_image(cut):
    """(down, across): blocks of an image."""
    return (cut.pooled_h + cut.block_h - 1) // cut.block_h, (cut.pooled_w + cut.block_w - 1) // cut.block_w


@inline
def place_of_block(item, cut):
    """(image, row, column) of the first window of a block, counted through all images."""
    down, across = blocks_of_image(cut)
    return item // (down * across), item // across % down * cut.block_h, item % across * cut.block_w


@inline
def part_of_block(place, high, geometry, cut):
    """The Part of x that a block reads, `high` rows of it."""
    (image, i, j), g = place, geometry
    columns = (2 * cut.block_w - 1) * g.stride_w + g.reach_w
    return Part(image, 2 * i * g.stride_h - g.top, 2 * j * g.stride_w - g.left, high, columns)


@jit
def blocks_of_worker(worker, x, geometry, cut, pooled, totals, bias_totals, scratch):
    """totals[worker] and bias_totals[worker]: the sums over every `workers`-th block."""
    g, shape, filters = geometry, (geometry.height, geometry.width, geometry.channels), cut.filters
    total, buffer, patches = totals[worker], scratch.buffer[worker], scratch.patches[worker]
    marks = Marks(scratch.slope[worker], scratch.place[worker], bias_totals[worker])
    lists = Lists(scratch.listed_slope[worker], scratch.listed_place[worker], scratch.end[worker])
    total[:] = 0
    marks.bias_total[:] = 0
    down, across = blocks_of_image(cut)
    images = len(pooled.y) // (cut.pooled_h * cut.pooled_w * filters)
    for item in range(worker, images * down * across, len(totals)):
        image, i, j = place_of_block(item, cut)
        block = min(cut.block_h, cut.pooled_h - i), min(cut.block_w, cut.pooled_w - j)
        first, windows = ((image * cut.pooled_h + i) * cut.pooled_w + j) * filters, block[0] * block[1]
        high = (2 * block[0] - 1) * g.stride_h + g.reach_h
        area = part_of_block((image, i, j), high, g, cut)
        fetch = Fetch(x, shape, part_of_block(place_of_block(item + len(totals), cut), high, g, cut))
        steps = g.stride_h * area.columns * cut.chunk, g.stride_w * cut.chunk
        if patches.size:
            copy_band(x, shape, area, buffer)
            copy_patches(buffer, steps, (2 * block[0], 2 * block[1]), cut.taps, cut.run, patches)
            mark(pooled, marks, first, block, (2 * block[1] * PATCH, PATCH), cut)
            sum_patches(patches, marks, windows, filters, total, fetch)
            continue
        mark(pooled, marks, first, block, steps, cut)
        list_winners(marks, windows, filters, lists)
        for chunk in range(g.channels // cut.chunk):
            if cut.chunk == g.channels:
                copy_band(x, shape, area, buffer)
            else:
                copy_chunk(x, shape, area, chunk * cut.chunk, buffer)
            sum_winners(buffer, area.columns * cut.chunk * g.dilation_h, cut, lists, windows, total, fetch, chunk)


@parallel
def all_blocks(x, geometry, cut, pooled, totals, bias_totals, scratch):
    """`blocks_of_worker` for all workers: x (N,H,W,C), flat, totals (workers, floats of all sums), bias_totals (workers, F)."""
    for worker in prange(len(totals)):
        blocks_of_worker(np.int64(worker), x, geometry, cut, pooled, totals, bias_totals, scratch)


# ---- launcher ------------------------------------------------------------------------------------------------------


@lru_cache
def block_of_windows(size, step, window, numbers, cell):
    """(rows, columns) of a block that fits into BUDGET, for as few blocks as possible.

    Arguments: size, windows of an image; step and window, from one to the next and pixels of one, (rows, columns) each;
    numbers, floats of a pixel; cell, further floats of a window.
    """

    def cost(rows, columns):
        """Floats of a block."""
        pixels = ((2 * rows - 1) * step[0] + window[0]) * ((2 * columns - 1) * step[1] + window[1])
        return pixels * numbers + rows * columns * cell

    even = [tuple(dict.fromkeys(-(-n // parts) for parts in range(1, n + 1))) for n in size]
    fitting = [(r, c) for r in even[0] for c in even[1] if cost(r, c) <= BUDGET]
    return min(fitting, key=lambda block: (-(-size[0] // block[0]) * -(-size[1] // block[1]), block[0]), default=(1, 1))


def spans_of(run, rows):
    """A run in pieces for which winners_simd has a block; the last may reach behind the run."""
    spans, wide = [], SPAN if rows == 3 else 3 * SPAN
    while run > 0:
        spans.append(wide if run >= wide else WIDTH)
        run -= spans[-1]
    return spans


def gradient_of_w(x, dy, y, winner, w_shape, geometry):
    """dW (kh,kw,C,F), `w_shape`, and db (F,) of y = max_pool2d(relu(correlate2d(x, w, b))).

    Arguments: x (N,H,W,C); dy, y and winner (0..3) (N,PH,PW,F); all contiguous.
    """
    (kh, kw, c, f), size, g = w_shape, y.shape[1:3], geometry
    small, merged = kh * kw * c <= PATCH, g.dilation_w == 1  # merged: neighbouring taps of a row are one run
    chunk = SPAN if c % SPAN == 0 and not small else c
    rows, run = 3 if kh == 3 and not small else 1, kw * chunk if merged else chunk
    positions = [(p, q) for p in range(kh if rows == 1 else 1) for q in range(1 if merged else kw)]
    spans, room = spans_of(run, rows), -(-f // FILTERS) * FILTERS
    if small:
        block = block_of_windows(size, (1, 1), (1, 1), PATCH, 2 * room)
    else:
        block = block_of_windows(size, (g.stride_h, g.stride_w), (g.reach_h, g.reach_w), min(chunk, SPAN), 0)
    columns, high = (2 * block[1] - 1) * g.stride_w + g.reach_w, (2 * block[0] - 1) * g.stride_h + g.reach_h
    taps = np.array([(p * g.dilation_h * columns + q * g.dilation_w) * chunk for p, q in positions], np.int64)
    cut = Cut(taps, np.array(spans, np.int64), rows, run, chunk, *block, *size, f)

    items = len(x) * -(-size[0] // block[0]) * -(-size[1] // block[1])
    workers, windows = min(get_num_threads(), items), block[0] * block[1]
    listed = 0 if small else windows * f
    scratch = Scratch(
        end=np.empty((workers, f), np.int64),
        slope=aligned_zeros((workers, windows * room)),
        place=aligned_zeros((workers, windows * room), np.int32),
        listed_slope=aligned_empty((workers, -(-listed // LINE) * LINE)),
        listed_place=np.empty((workers, listed), np.int32),
        buffer=aligned_zeros((workers, -(-(high * columns * chunk + SLACK) // LINE) * LINE)),  # vectors read past its end
        patches=aligned_zeros((workers, 4 * windows * PATCH + SLACK if small else 0)),
    )
    totals = aligned_empty((workers, room * PATCH if small else c // chunk * len(taps) * sum(spans) * f * rows))
    bias_totals = aligned_empty((workers, f))
    pooled = Pooled(dy.reshape(-1), y.reshape(-1), winner.reshape(-1))
    all_blocks(x.reshape(-1), g, cut, pooled, totals, bias_totals, scratch)
    total, db = totals.sum(axis=0), bias_totals.sum(axis=0)
    if small:
        return np.ascontiguousarray(total.reshape(room, PATCH)[:f, : kh * kw * c].T).reshape(w_shape), db
    by_chunk = ordered(total.reshape(-1, sum(spans) * f * rows), spans, rows, run, f)
    by_chunk = by_chunk.reshape(rows, c // chunk, kh // rows, kw, chunk, f)
    return np.ascontiguousarray(by_chunk.transpose(0, 2, 3, 1, 4, 5)).reshape(w_shape), db


def ordered(total, spans, rows, run, filters):
    """Totals (taps, spans x filters x kernel rows x lanes) -> (kernel rows, taps, run, filters)."""
    dw, k, at = np.empty((rows, len(total), run, filters), np.float32), 0, 0
    for span in spans:
        part = total[:, at : at + filters * rows * span].reshape(-1, filters, rows, span)
        dw[:, :, k : k + span] = part.transpose(2, 0, 3, 1)[:, :, : run - k]
        k, at = k + span, at + filters * rows * span
    return dw
