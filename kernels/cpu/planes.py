"""Convolution of few channels or few filters: vectors run over pixels.

The vectors of convolution.py run over filters, or in dX over channels: 6 of them would leave 10 of 16 lanes empty. Here the
image is first split into planes, one for each channel, with its border. Then every lane has a pixel, whatever the counts:

    x (H,W,C)         --- split --->   plane c: a row of numbers, row after row of the image
    sums[f][v]        = b[f] + sum over k of  w[k, f] * planes[v + tap[k]]        k: a channel and a tap
    sums              --- merge --->   y (OH,OW,F)
    dw[k, f]          = sum over v of  planes[v + tap[k]] * slopes[f][v]          slopes: dy, split; lanes are added up at the end

A plane's rows follow each other without a gap, so pixel v + 1 is the next one, and at the end of an output row come a few pixels
whose windows reach into the next row: their sums are not merged, their slopes are zero.

        a plane's row   | . . . . . . . . |     out_w = 6, 3 taps
        pixels          | v v v v v v - - |     -  computed and not used

With a stride a plane becomes several: a window's first tap meets only every second column, its second tap the others.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numba import get_num_threads, prange

from tinydx_kernels.cpu.bands import copy_piece
from tinydx_kernels.cpu.memory import APART, aligned_empty, aligned_zeros
from tinydx_kernels.cpu.simd import (
    LANES,
    WIDTH,
    inline,
    lean,
    load_part,
    load_rows,
    outer,
    parallel,
    prefetch_l2,
    products_at,
    store,
    store_part,
    transpose,
    zeros,
)

# Register blocks, in filters x vectors of pixels: the usual one, and one for the last few filters.
MANY, VECTORS = (8, 3) if LANES == 16 else (4, 3)
REST, LONG = (4, 6) if LANES == 16 else (2, 3)
SPAN, WIDE = VECTORS * WIDTH, LONG * WIDTH  # pixels of each
BLOCK, REST_BLOCK = MANY * VECTORS, REST * LONG
TAPS, SLOPES = (6, 4) if LANES == 16 else (3, 4)  # the register block of dW: its numbers are vectors
PRODUCTS = TAPS * SLOPES
BUDGET = 1 << 16  # floats of a band, in L2
IN_L1 = 768  # pixels of a band of dW, approximately: its register block walks over SLOPES planes of y and a few of x
SMALL = 1 << 22  # multiplications that one thread has almost done before another one is awake
LINE = 16  # floats of a cache line


class Layout(NamedTuple):
    """How a band of output rows lies in planes: the image's, with stride_h * stride_w at most for each channel, and y's."""

    line: int  # floats from a row of a plane to the next
    high: int  # rows that a plane has more than y
    phases_h: int  # planes of a channel: rows, and columns, a stride apart lie together
    phases_w: int
    size: int  # floats from a plane to the next
    y_size: int  # and from a plane of y to the next
    rows: int  # output rows of a band
    bands: int  # of an image
    images: int  # of a band, if an image is one band: each has its own part of every plane
    part: int  # floats from such a part to the next
    y_part: int


class Sum(NamedTuple):
    """What a sum runs over, in each of `groups` groups."""

    taps: np.ndarray  # int64 (channels * taps in whole TAPS): displacement from the address of a pixel
    length: int  # how many of them there are
    channels: int  # of a group
    filters: int  # of a group
    groups: int


# ---- split and merge -----------------------------------------------------------------------------------------------


@inline
def turn_plain(x, i, step, rows, columns, y, j, apart):
    """y[j + c * apart + r] = x[i + r * step + c]: a transposed copy of (rows, columns)."""
    for r in range(rows):
        for c in range(columns):
            y[j + c * apart + r] = x[i + r * step + c]


@lean
def turn_simd(x, i, step, rows, columns, y, j, apart):
    """The same by squares of LANES x LANES."""
    if columns == step == 1:
        copy_piece(x, i, y, j, rows)
    elif rows == apart == 1:
        copy_piece(x, i, y, j, columns)
    else:
        for r in range(0, rows, LANES):
            for c in range(0, columns, LANES):
                square = transpose(load_part(x, i + r * step + c, step, rows - r, columns - c))
                store_part(square, y, j + c * apart + r, apart, columns - c, rows - r)


turn = turn_simd if LANES else turn_plain


@lean
def split(x, geometry, layout, image, row, rows, planes):
    """The planes of output rows `row` to row + rows of an image of x (N,H,W,C), flat, with zeros around the image."""
    g, line, high, size = geometry, layout.line, layout.high, layout.size
    phases_h, phases_w = layout.phases_h, layout.phases_w
    apart = phases_h * phases_w * size
    for a in range(phases_h):
        for b in range(phases_w):
            before = max(0, -((b - g.left) // g.stride_w))  # the columns of the plane that lie in the image: from there
            after = max(before, min(line, (g.width - 1 + g.left - b) // g.stride_w + 1))  # to here
            for r in range(rows + high):
                h, to = (row + r) * g.stride_h + a - g.top, (a * phases_w + b) * size + r * line
                inside = 0 <= h < g.height
                first, last = (before, after) if inside else (line, line)
                for c in range(g.channels if first > 0 or last < line else 0):
                    planes[to + c * apart : to + c * apart + first] = 0
                    planes[to + c * apart + last : to + c * apart + line] = 0
                if inside:
                    at = ((image * g.height + h) * g.width + before * g.stride_w + b - g.left) * g.channels
                    turn(x, at, g.stride_w * g.channels, after - before, g.channels, planes, to + before, apart)


@inline
def fetch(x, share, shares):
    """Fetch a share of all of x into L2."""
    for k in range(len(x) * share // shares // LINE * LINE, len(x) * (share + 1) // shares, LINE):
        prefetch_l2(x, k)


@inline
def next_rows(geometry, layout, item):
    """The part of x (N,H,W,C), flat, that the band beginning with number `item` is the first to read: (start, end)."""
    g = geometry
    start = (item // layout.bands * g.height + item % layout.bands * layout.rows * g.stride_h) * g.width * g.channels
    return start, start + layout.images * layout.rows * g.stride_h * g.width * g.channels


# ---- forward and dX ------------------------------------------------------------------------------------------------


def whole(filters):
    """Planes of `filters` filters in whole register blocks."""
    rest = filters % MANY
    return filters - rest + (0 if rest == 0 else REST if rest <= REST else MANY)


room_for = inline(whole)


@lean
def pack(w, order, packed):
    """packed[group, register block, channel, tap, filter]: weights in the order in which they are read, then zeros."""
    k, room = 0, room_for(order.filters)
    for g in range(order.groups):
        f = 0
        while f < room:
            width = MANY if room - f >= MANY else REST
            for c in range(order.run):
                for tap in order.taps:
                    start = tap + c * order.run_step + g * order.group_step
                    for lane in range(f, f + width):
                        packed[k] = w[start + lane * order.filter_step] if lane < order.filters else np.float32(0)
                        k += 1
            f += width


@lean
def sum_band(planes, terms, layout, weights, pixels, sums, following):
    """sums[filter][pixel] of a band, for all groups. Memory is idle meanwhile, and fetches what follows, of x and of y."""
    (packed, bias, ones), (x, y) = weights, following
    room, y_size = room_for(terms.filters), layout.y_size
    group = terms.channels * layout.phases_h * layout.phases_w * layout.size
    shares = (pixels + WIDE - 1) // WIDE
    for v in range(0, pixels, WIDE):
        fetch(x, v // WIDE, shares)
        fetch(y, v // WIDE, shares)
        for g in range(terms.groups):
            f, at = 0, g * group
            while f < room:
                plane = g * room + f
                own, b = packed[plane * terms.length :], bias[plane:]
                if room - f >= MANY:
                    for u in range(v, min(v + WIDE, pixels), SPAN):
                        block = outer(zeros(BLOCK), MANY, b, 0, 1, ones, 0)
                        for k in range(terms.length):
                            block = outer(block, MANY, own, k * MANY, 1, planes, at + u + terms.taps[k])
                        store(block, MANY, sums, plane * y_size + u, y_size)
                    f += MANY
                else:
                    few = outer(zeros(REST_BLOCK), REST, b, 0, 1, ones, 0)
                    for k in range(terms.length):
                        few = outer(few, REST, own, k * REST, 1, planes, at + v + terms.taps[k])
                    store(few, REST, sums, plane * y_size + v, y_size)
                    f += REST


@lean
def merge(sums, terms, layout, geometry, grid, image, row, rows):
    """Write output rows `row` to row + rows of an image to the pixels of a Grid."""
    g, room = geometry, room_for(terms.filters)
    groups, filters = (1, terms.groups * terms.filters) if room == terms.filters else (terms.groups, terms.filters)
    for r in range(rows):
        line = (image * grid.height + grid.first_h + (row + r) * grid.step_h) * grid.width + grid.first_w
        for k in range(groups):
            at, out = k * room * layout.y_size + r * layout.line, line * grid.channels + k * filters
            turn(sums, at, layout.y_size, filters, g.out_w, grid.y, out, grid.step_w * grid.channels)


@lean
def correlate_of_worker(team, x, geometry, terms, layout, weights, grid, memory):
    """Every `workers`-th band.

    Arguments: team: (worker, workers); weights: (packed, bias, ones); memory: (planes, sums), a row of each for each worker.
    """
    g, (all_planes, all_sums), (worker, workers) = geometry, memory, team
    planes, sums = all_planes[worker], all_sums[worker]
    images, used = len(x) // (g.height * g.width * g.channels), (layout.rows + layout.high) * layout.line
    for plane in range(0, len(planes), layout.size):
        planes[plane + used : plane + layout.size] = 0  # read, but not used: slow, if tiny numbers
    for item in range(worker, images * layout.bands, workers):
        image, row = item // layout.bands, item % layout.bands * layout.rows
        rows = min(layout.rows, g.out_h - row)
        split(x, g, layout, image, row, rows, planes)
        line = grid.width * grid.channels
        first = (image * grid.height + grid.first_h + row * grid.step_h) * line
        ahead = grid.y[first : first + rows * grid.step_h * line]
        start, end = next_rows(g, layout, item + workers)
        sum_band(planes, terms, layout, weights, rows * layout.line, sums, (x[start:end], ahead))
        merge(sums, terms, layout, g, grid, image, row, rows)


@parallel
def correlate_in_parallel(workers, x, geometry, terms, layout, weights, grid, memory):
    """`correlate_of_worker` for all workers."""
    for worker in prange(workers):
        correlate_of_worker((np.int64(worker), workers), x, geometry, terms, layout, weights, grid, memory)


# ---- dW ------------------------------------------------------------------------------------------------------------


@lean
def split_slopes(dy, geometry, layout, filters, image, row, rows, slopes):
    """The planes of rows of dy (N,OH,OW,F), flat, with zeros where a plane has pixels that y lacks."""
    g, (line, size) = geometry, (layout.line, layout.y_size)
    for r in range(rows):
        at = (image * g.out_h + row + r) * g.out_w * filters
        turn(dy, at, filters, g.out_w, filters, slopes, r * line, size)
    for f in range(filters):
        for r in range(rows):
            slopes[f * size + r * line + g.out_w : f * size + (r + 1) * line] = 0
        slopes[f * size + rows * line : f * size + rows * line + WIDTH] = 0


@lean
def collect_band(planes, terms, layout, slopes, size_of_band, totals, following):
    """Add a band, `pixels` pixels of each of its images, to the totals; meanwhile what follows, of x and of dy, is fetched.

    total[group, block of filters, block of taps, TAPS, SLOPES, lane], bias_total[filter, lane]
    """
    (images, pixels), (total, bias_total), (x, dy) = size_of_band, totals, following
    t, size = 0, layout.y_size
    group = terms.channels * layout.phases_h * layout.phases_w * layout.size
    for g in range(terms.groups):
        for f in range(0, terms.filters, SLOPES):
            for k in range(0, terms.length, TAPS):
                fetch(x, t // (PRODUCTS * WIDTH), len(total) // (PRODUCTS * WIDTH))
                fetch(dy, t // (PRODUCTS * WIDTH), len(total) // (PRODUCTS * WIDTH))
                at, taps = (g * terms.filters + f) * size, terms.taps[k:]
                block = load_rows(PRODUCTS, 1, total, t, 0)
                for m in range(images):
                    first, slope = g * group + m * layout.part, at + m * layout.y_part
                    for v in range(0, pixels, WIDTH):
                        block = products_at(block, TAPS, planes, taps, first + v, slopes, slope + v, size)
                store(block, 1, total, t, 0)
                t += PRODUCTS * WIDTH
    for f in range(0, terms.groups * terms.filters, SLOPES):
        several = load_rows(SLOPES, 1, bias_total, f * WIDTH, 0)
        for m in range(images):
            for v in range(m * layout.y_part, m * layout.y_part + pixels, WIDTH):
                several = several + load_rows(SLOPES, SLOPES, slopes, f * size + v, size)
        store(several, 1, bias_total, f * WIDTH, 0)


@lean
def collect_of_worker(worker, workers, x, dy, geometry, terms, layout, memory):
    """The totals over every `workers`-th band; memory: (planes, slopes, totals, bias_totals), a row for each worker."""
    g, (all_planes, all_slopes, totals, bias_totals) = geometry, memory
    planes, slopes = all_planes[worker], all_slopes[worker]
    images, filters = len(x) // (g.height * g.width * g.channels), terms.groups * terms.filters
    step = workers * layout.images
    for item in range(worker * layout.images, images * layout.bands, step):
        several, row = min(layout.images, images * layout.bands - item), item % layout.bands * layout.rows
        rows = min(layout.rows, g.out_h - row)
        for m in range(several):
            image = (item + m) // layout.bands
            split(x, g, layout, image, row, rows, planes[m * layout.part :])
            split_slopes(dy, g, layout, filters, image, row, rows, slopes[m * layout.y_part :])
        first = ((item + step) // layout.bands * g.out_h + (item + step) % layout.bands * layout.rows) * g.out_w * filters
        start, end = next_rows(g, layout, item + step)
        next_x, next_dy = x[start:end], dy[first : first + layout.images * layout.rows * g.out_w * filters]
        pixels = rows * layout.line
        own = totals[worker], bias_totals[worker]
        collect_band(planes, terms, layout, slopes, (several, pixels), own, (next_x, next_dy))


@parallel
def collect_in_parallel(workers, x, dy, geometry, terms, layout, memory):
    """`collect_of_worker` for all workers."""
    for worker in prange(workers):
        collect_of_worker(np.int64(worker), workers, x, dy, geometry, terms, layout, memory)


@lean
def unpack_totals(totals, order, dw):
    """dw, flat, in the weights' own order: totals (workers, ...) summed over workers and lanes."""
    t, taps = 0, len(order.taps)
    for g in range(order.groups):
        for f in range(0, order.filters, SLOPES):
            for k in range(0, order.run * taps, TAPS):
                for r in range(TAPS):
                    for s in range(SLOPES):
                        if k + r < order.run * taps and f + s < order.filters:
                            value = np.float32(0)
                            for worker in range(len(totals)):
                                for lane in range(WIDTH):
                                    value += totals[worker, t + lane]
                            c, tap = (k + r) // taps, (k + r) % taps
                            dw[order.taps[tap] + c * order.run_step + (f + s) * order.filter_step + g * order.group_step] = value
                        t += WIDTH


# ---- launchers -----------------------------------------------------------------------------------------------------


@lru_cache
def layout_of(geometry, positions, filters, threads, images, floats, pixels, stacked):
    """The Layout for windows with taps at `positions` and `filters` planes of y.

    A band has at most `floats` floats and `pixels` pixels, but at least one row. If `stacked`, it takes several small images.
    """
    g = geometry
    phases_h, phases_w = min(g.stride_h, g.reach_h), min(g.stride_w, g.reach_w)
    planes = g.channels * phases_h * phases_w
    high = max((p // g.stride_h for p, _ in positions), default=0)
    line = g.out_w + max((q // g.stride_w for _, q in positions), default=0)
    rows = (floats // line - high * planes) // (planes + filters)
    rows = max(1, min(rows, pixels // line, g.out_h // -(-threads // images)))  # a band for each thread
    rows = -(-g.out_h // -(-g.out_h // rows))
    bands = -(-g.out_h // rows)
    several = max(1, min(pixels // (rows * line), images // threads)) if bands == 1 and stacked else 1
    part, y_part = (rows + high) * line + WIDTH, rows * line + WIDTH
    size, y_size = odd_lines(several * part + line + WIDE), odd_lines(several * y_part + WIDE)
    return Layout(line, high, phases_h, phases_w, size, y_size, rows, bands, several, part, y_part)


def odd_lines(floats):
    """Floats of a plane, rounded up to an odd number of cache lines: others would compete for the same places in L1."""
    return (-(-floats // LINE) | 1) * LINE


@lru_cache  # a model asks the same in every step
def sum_of(positions, run, filters, groups, geometry, layout):
    """The Sum over `run` channels and taps at `positions`, (row, column) in the window."""
    g, (line, _, phases_h, phases_w, size, *_) = geometry, layout
    taps = [
        ((c * phases_h + p % g.stride_h) * phases_w + q % g.stride_w) * size + p // g.stride_h * line + q // g.stride_w
        for c in range(run)
        for p, q in positions
    ]
    padded = np.array(taps + taps[-1:] * (-len(taps) % TAPS), np.int64)
    return Sum(padded, len(taps), run, filters, groups)


def correlate(x, w, b, geometry, positions, order, grid):
    """Write the pixels of a Grid, as `run_gather` of convolution.py does, whose arguments these are; taps are not merged."""
    g, images = geometry, len(x)
    filters = order.groups * whole(order.filters)
    work = images * g.out_h * g.out_w * order.run * len(positions) * filters
    threads = get_num_threads() if work >= SMALL else 1
    layout = layout_of(g, positions, filters, threads, images, BUDGET, BUDGET, False)
    terms = sum_of(positions, order.run, order.filters, order.groups, g, layout)
    workers = min(threads, images * layout.bands)
    packed = aligned_empty(terms.length * filters)
    pack(w.reshape(-1), order, packed)
    bias = np.zeros((order.groups, whole(order.filters)), np.float32)
    if b is not None:
        bias[:, : order.filters] = b.reshape(order.groups, -1)
    memory = (
        aligned_empty((workers, (g.channels * layout.phases_h * layout.phases_w) * layout.size + WIDE)),
        aligned_empty((workers, filters * layout.y_size)),
    )
    weights = packed, bias.reshape(-1), np.ones(WIDE, np.float32)
    arguments = x.reshape(-1), g, terms, layout, weights, grid, memory
    if workers == 1:
        correlate_of_worker((0, 1), *arguments)
    else:
        correlate_in_parallel(workers, *arguments)


def gradient_of_w(x, dy, w_shape, geometry, positions, order):
    """dW (kh,kw,C,F), `w_shape`, and db (F,) of x (N,H,W,G*C) and dy (N,OH,OW,F); None where dW is not finite.

    (Slopes of pixels that do not exist are zero, but zero times infinity is NaN.)
    """
    g, images, filters = geometry, len(x), w_shape[3]
    work = images * g.out_h * g.out_w * len(positions) * order.run * filters
    threads = get_num_threads() if work >= SMALL else 1
    layout = layout_of(g, positions, filters, threads, images, BUDGET, IN_L1, True)
    terms = sum_of(positions, order.run, order.filters, order.groups, g, layout)
    workers = min(threads, -(-images * layout.bands // layout.images))
    blocks = order.groups * (len(terms.taps) // TAPS) * -(-order.filters // SLOPES)
    memory = (
        aligned_zeros((workers, (g.channels * layout.phases_h * layout.phases_w) * layout.size + WIDE)),
        aligned_zeros((workers, (filters + SLOPES) * layout.y_size)),
        aligned_zeros((workers, blocks * PRODUCTS * WIDTH)),
        np.zeros((workers, (filters + SLOPES) * WIDTH + APART), np.float32),
    )
    arguments = workers, x.reshape(-1), dy.reshape(-1), g, terms, layout, memory
    if workers == 1:
        collect_of_worker(0, *arguments)
    else:
        collect_in_parallel(*arguments)
    dw = aligned_empty(w_shape)
    unpack_totals(memory[2], order, dw.reshape(-1))
    db = memory[3][:, : filters * WIDTH].reshape(workers, filters, WIDTH).sum(axis=(0, 2))
    return (dw, db) if np.isfinite(dw).all() else None
