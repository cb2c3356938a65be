"""dW of convolution + ReLU + 2x2 max pooling, from the winners alone.

One pixel of a window at most has a gradient: its winner, if y > 0. So dW is a sum over windows, a quarter of the pixels:

    dw[p, q, c, f] += slope[m, f] * x[place[m, f] + p * line + q * C + c]        over windows m

Work is cut into blocks of windows that the L1 cache can hold, because every filter walks over the whole block again:

    dy, y, winner  -- mark -->  slope, place of each window and filter
                                   |
       small patches: lay_out ---- sum_patches        all of dw of some filters in registers, window after window
       larger ones:   list_winners - sum_winners      a span of it, 3 rows of the kernel x CHUNK vectors, winner after winner

A small patch (at most PATCH numbers, as 3x3 of a colour image) is copied into a row of its own: then it is whole vectors.
Of many channels a chunk is copied at a time, so that what is read again and again lies close together.
Sums leave memory idle: meanwhile the next block's part of x is fetched into L2.
Lists leave out slopes of zero, of which a trained network has many.
"""

import os
from functools import lru_cache

import numpy as np
from numba import get_num_threads, prange

from tinydx_kernels.cpu.bands import SLACK, copy_band, copy_piece
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
ASKED = "SC_LEVEL1_DCACHE_SIZE"  # not every system knows it: 32 KB are the least
L1 = max(32 << 10, os.sysconf(ASKED) if ASKED in getattr(os, "sysconf_names", ()) else 0)  # bytes
BUDGET = L1 * 7 // 8 // 4  # numbers of a block
PATCH = 32
VECTORS = PATCH // WIDTH
FILTERS = 8 // VECTORS  # so that 8 sums run at a time: a multiply-add takes 4 cycles, and two begin in each
CHUNK = 4 if LANES == 8 else 6  # vectors of a run at a time
WIDE = 3 * CHUNK
SPAN = CHUNK * WIDTH
LINE = 16  # floats of a cache line
OF_LINE = LINE // WIDTH  # vectors

# ---- slopes and places ---------------------------------------------------------------------------------------------


@inline
def mark_plain(dy, y, winner, at, ahead, f, filters, corner, down, right, slope, place, to, bias_total):
    """slope[to + f] and place[to + f] of a window, filter after filter from f on."""
    for k in range(f, filters):
        g, best = dy[at + k] if y[at + k] > 0 else f32(0), np.int64(winner[at + k])
        slope[to + k] = g
        place[to + k] = corner + (best & 1) * right + (best >> 1) * down
        bias_total[k] += g


@inline
def mark_simd(dy, y, winner, at, ahead, f, filters, corner, down, right, slope, place, to, bias_total):
    """The same by vectors; places are small enough to be float32 for a moment."""
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
    mark_plain(dy, y, winner, at, ahead, f, filters, corner, down, right, slope, place, to, bias_total)


mark_window = mark_simd if LANES else mark_plain


@jit
def mark(dy, y, winner, first, line, block, steps, filters, room, slope, place, bias_total):
    """slope and place [window, filter] of a block (rows, columns) of windows, and the slopes' sum for the bias.

    first, line: where the block begins in dy, and how long a row of windows is there; steps: from a pixel to the next
    (down, right) in what `place` is an index of; room: filters of a row of slope.
    """
    down, right = steps
    for i in range(block[0]):
        for j in range(block[1]):
            at, to, corner = first + i * line + j * filters, (i * block[1] + j) * room, 2 * (i * down + j * right)
            ahead = at + block[1] * filters  # of the next block
            mark_window(dy, y, winner, at, ahead, 0, filters, corner, down, right, slope, place, to, bias_total)


@inline
def prefetch_part(x, shape, part, share, shares):
    """Every `shares`-th cache line of a part (image, top, left, rows, columns) of x."""
    height, width, channels = shape
    image, top, left, rows, columns = part
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
    """The same, a cache line at a time: what is too much the next run overwrites."""
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
def lay_out(x, base, step, size, taps, run, patches):
    """patches[pixel] of a block of pixels (rows, columns)."""
    to = 0
    for i in range(size[0]):
        for j in range(size[1]):
            copy_patch(x, base + i * step[0] + j * step[1], taps, run, patches, to)
            to += PATCH


@jit
def sum_patches(patches, slope, place, windows, room, total, x, shape, wanted):
    """total[filter, PATCH] += what a block adds; wanted: the part of x to fetch meanwhile."""
    for f in range(0, room, FILTERS):
        prefetch_part(x, shape, wanted, f // FILTERS, room // FILTERS)
        add_patches(patches, slope, place, windows, room, f, total)


# ---- larger patches ------------------------------------------------------------------------------------------------


@jit
def copy_chunk(x, shape, image, top, left, rows, columns, first, buffer):
    """SPAN channels from `first` on of a part of an image, pixel after pixel; what is outside becomes zero."""
    height, width, channels = shape
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
    """g[e], at[e] = slope[k], place[k]; the next free e: if the slope is zero, the same."""
    g[e], at[e] = slope[k], place[k]
    return e + (slope[k] != 0)


append = append_simd if LANES else append_plain


@jit
def list_winners(slope, place, windows, room, filters, g, at, end):
    """For each filter its slopes other than zero and their places: a list from f * windows to end[f]."""
    for f in range(filters):
        e = f * windows
        for m in range(windows):
            e = append(slope, place, m * room + f, g, at, e)
        end[f] = e


@inline
def winners_plain(x, g, at, first, last, start, rows, line, total, t, span):
    """total[p, lane] += g * x[at + p * line + start + lane] over a list of winners, as plain loops."""
    for e in range(first, last):
        for p in range(rows):
            source, sums = x[at[e] + start + p * line :], total[t + p * span : t + (p + 1) * span]
            for lane in range(span):
                sums[lane] += g[e] * source[lane]


@inline
def winners_simd(x, g, at, first, last, start, rows, line, total, t, span):
    """The same in registers: 3 rows of the kernel x CHUNK vectors, or 3 rows x 1, or one row x WIDE or 1."""
    if rows == 3 and span == SPAN:
        block = load_rows(WIDE, 3, total, t, SPAN)
        for e in range(first, last):
            block = scaled_rows(block, 3, g[e], x, at[e] + start, line)
        store(block, 3, total, t, SPAN)
    elif rows == 3:
        three = load_rows(3, 3, total, t, WIDTH)
        for e in range(first, last):
            three = scaled_rows(three, 3, g[e], x, at[e] + start, line)
        store(three, 3, total, t, WIDTH)
    elif span == 3 * SPAN:
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
def sum_winners(buffer, line, taps, spans, rows, g, at, windows, end, total, t, x, shape, wanted, done, sums):
    """total[t + ...] of shape (tap, span, filter, kernel row, lane); `line` from a kernel row to the next.

    wanted: the part of x to fetch meanwhile, a share for each of `sums` sums, of which so many are done.
    """
    for tap in taps:
        start = tap
        for span in spans:
            for f in range(len(end)):
                prefetch_part(x, shape, wanted, done, sums)
                done += 1
                add_winners(buffer, g, at, f * windows, end[f], start, rows, line, total, t, span)
                t += rows * span
            start += span
    return t, done


# ---- all blocks ----------------------------------------------------------------------------------------------------


@inline
def place_of_block(item, down, across, block):
    """(image, row, column) of the first window of a block, counted through all images."""
    return item // (down * across), item // across % down * block[0], item % across * block[1]


@jit
def blocks_of_worker(
    worker, x, shape, border, step, window, taps, rows, run, spans, chunk, dy, y, winner, size, block, totals, bias_totals, work
):  # fmt: skip
    """totals[worker] and bias_totals[worker]: the sums over every so-many-th block."""
    total, bias_total, end = totals[worker], bias_totals[worker], work[0][worker]
    slope, place, g, at = work[1][worker], work[2][worker], work[3][worker], work[4][worker]
    buffer, patches = work[5][worker], work[6][worker]
    total[:] = 0
    bias_total[:] = 0
    filters = size[2]
    room = (filters + FILTERS - 1) // FILTERS * FILTERS
    down, across = (size[0] + block[0] - 1) // block[0], (size[1] + block[1] - 1) // block[1]
    columns, sums = (2 * block[1] - 1) * step[1] + window[1], shape[2] // chunk * len(taps) * len(spans) * filters
    for item in range(worker, len(y) // (size[0] * size[1] * filters) * down * across, len(totals)):
        image, i, j = place_of_block(item, down, across, block)
        part = min(block[0], size[0] - i), min(block[1], size[1] - j)
        first, windows = ((image * size[0] + i) * size[1] + j) * filters, part[0] * part[1]
        top, left, high = 2 * i * step[0] - border[0], 2 * j * step[1] - border[1], (2 * part[0] - 1) * step[0] + window[0]
        next_image, next_i, next_j = place_of_block(item + len(totals), down, across, block)
        wanted = next_image, 2 * next_i * step[0] - border[0], 2 * next_j * step[1] - border[1], high, columns
        steps = step[0] * columns * chunk, step[1] * chunk
        if patches.size:
            copy_band(x, shape, image, top, left, high, columns, buffer)
            lay_out(buffer, 0, steps, (2 * part[0], 2 * part[1]), taps, run, patches)
            steps = 2 * part[1] * PATCH, PATCH
        mark(dy, y, winner, first, size[1] * filters, part, steps, filters, room, slope, place, bias_total)
        if patches.size:
            sum_patches(patches, slope, place, windows, room, total, x, shape, wanted)
            continue
        list_winners(slope, place, windows, room, filters, g, at, end)
        t = done = 0
        for c in range(0, shape[2], chunk):
            if chunk == shape[2]:
                copy_band(x, shape, image, top, left, high, columns, buffer)
            else:
                copy_chunk(x, shape, image, top, left, high, columns, c, buffer)
            line = columns * chunk * window[2]
            t, done = sum_winners(
                buffer, line, taps, spans, rows, g, at, windows, end, total, t, x, shape, wanted, done, sums
            )  # fmt: skip


@parallel
def all_blocks(
    x, shape, border, step, window, taps, rows, run, spans, chunk, dy, y, winner, size, block, totals, bias_totals, work
):  # fmt: skip
    for worker in prange(len(totals)):
        blocks_of_worker(
            np.int64(worker), x, shape, border, step, window, taps, rows, run, spans, chunk, dy, y, winner, size, block,
            totals, bias_totals, work,
        )  # fmt: skip


@lru_cache
def block_of_windows(size, step, window, numbers, cell):
    """(rows, columns) of a block in the BUDGET of L1, for as few blocks as possible: `numbers` a pixel, `cell` more a window."""

    def cost(rows, columns):
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


def gradient_of_w(x, dy, y, winner, w_shape, border, stride, dilation):
    """dW and db of y = max_pool2d(relu(correlate2d(x, w, b))) from dy, and the winner 0..3 of each window."""
    (kh, kw, c, f), (dh, dw), size = w_shape, dilation, y.shape[1:]
    small, merged = kh * kw * c <= PATCH, dw == 1  # merged: neighbouring taps of a row are one run
    chunk = SPAN if c % SPAN == 0 and not small else c
    rows, run = 3 if kh == 3 and not small else 1, kw * chunk if merged else chunk
    positions = [(p, q) for p in range(kh if rows == 1 else 1) for q in range(1 if merged else kw)]
    spans, room = spans_of(run, rows), -(-f // FILTERS) * FILTERS
    window = (kh - 1) * dh + 1, (kw - 1) * dw + 1, dh
    if small:
        block = block_of_windows(size[:2], (1, 1), (1, 1), PATCH, 2 * room)
    else:
        block = block_of_windows(size[:2], stride, window[:2], min(chunk, SPAN), 0)
    columns, high = (2 * block[1] - 1) * stride[1] + window[1], (2 * block[0] - 1) * stride[0] + window[0]
    taps = np.array([(p * dh * columns + q * dw) * chunk for p, q in positions], np.int64)

    items = len(x) * -(-size[0] // block[0]) * -(-size[1] // block[1])
    workers, windows = min(get_num_threads(), items), block[0] * block[1]
    listed = 0 if small else windows * f
    work = (
        np.empty((workers, f), np.int64),
        aligned_zeros((workers, windows * room)),
        aligned_zeros((workers, windows * room), np.int32),
        aligned_empty((workers, -(-listed // LINE) * LINE)),
        np.empty((workers, listed), np.int32),
        aligned_empty((workers, -(-(high * columns * chunk + SLACK) // LINE) * LINE)),
        aligned_zeros((workers, 4 * windows * PATCH + SLACK if small else 0)),
    )
    totals = aligned_empty((workers, room * PATCH if small else c // chunk * len(taps) * sum(spans) * f * rows))
    bias_totals = aligned_empty((workers, f))
    all_blocks(
        x.reshape(-1), x.shape[1:], (border[0][0], border[1][0]), stride, window, taps, rows, run, np.array(spans), chunk,
        dy.reshape(-1), y.reshape(-1), winner.reshape(-1), size, block, totals, bias_totals, work,
    )  # fmt: skip
    total, db = totals.sum(axis=0), bias_totals.sum(axis=0)
    if small:
        return np.ascontiguousarray(total.reshape(room, PATCH)[:f, : kh * kw * c].T).reshape(w_shape), db
    by_chunk = ordered(total.reshape(-1, sum(spans) * f * rows), spans, rows, run, f)
    by_chunk = by_chunk.reshape(rows, c // chunk, kh // rows, kw, chunk, f)
    return np.ascontiguousarray(by_chunk.transpose(0, 2, 3, 1, 4, 5)).reshape(w_shape), db


def ordered(total, spans, rows, run, filters):
    """(taps, spans x filters x kernel rows x lanes) -> (kernel rows, taps, run, filters)"""
    dw, k, at = np.empty((rows, len(total), run, filters), np.float32), 0, 0
    for span in spans:
        part = total[:, at : at + filters * rows * span].reshape(-1, filters, rows, span)
        dw[:, :, k : k + span] = part.transpose(2, 0, 3, 1)[:, :, : run - k]
        k, at = k + span, at + filters * rows * span
    return dw
