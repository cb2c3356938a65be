"""Depthwise convolution: every channel has a kernel of its own (groups = channels), so vectors run over channels.

    y[m, c]  = b[c] + sum over taps t of  x[pixel m moved by tap t, c] * w[t, c]
    dx       the same sum: dy, moved by the taps that reach a pixel
    dw[t, c] = sum over pixels m of       x[pixel m moved by tap t, c] * dy[m, c]

There is little to compute for every number read, so nothing is copied, not even a border. Work goes line by line of the
result. A line knows its taps, those of kernel rows that lie in the image, and between which pixels all of them do:

    pixels of a line   | . |     |     |     | . .|      .  one pixel, its own list of taps
                         low  blocks      high           |  PIXELS neighbours times one vector in registers

A last block that would reach over the end, of blocks or of channels, is moved back: it computes some numbers twice.
"""

from typing import NamedTuple

import numpy as np
from numba import get_num_threads, prange

from tinydx_kernels.cpu.columns import sum_rows
from tinydx_kernels.cpu.layer import WORTH_WAKING
from tinydx_kernels.cpu.memory import APART, aligned_empty, contiguous
from tinydx_kernels.cpu.simd import (
    LANES,
    WIDTH,
    inline,
    lean,
    load,
    load_rows,
    multiply_at,
    multiply_rows,
    parallel,
    prefetch,
    repeat_rows,
    store,
)
from tinydx_kernels.cpu.simd import add as add_blocks
from tinydx_kernels.cpu.simd import multiply as multiply_blocks

PIXELS = 6
MANY, SOME = 9, 3  # taps of a vector of channels at a time in dW
VECTORS = 4  # or vectors of a tap
SPAN = VECTORS * WIDTH

# ---- forward and dX ------------------------------------------------------------------------------------------------


class Arrays(NamedTuple):
    """What a sum reads and writes, flat: x (N,H,W,C), w (kh,kw,C), bias (C), y (N,OH,OW,C); for dX: dy, w, zeros, dx."""

    x: np.ndarray
    w: np.ndarray
    bias: np.ndarray
    y: np.ndarray


class Taps(NamedTuple):
    """The taps of a line, int64; of all workers (workers, kh*kw), or of one (kh*kw)."""

    at: np.ndarray  # address in x for the line's first pixel
    begin: np.ndarray  # the first pixel of the line that the tap reaches
    end: np.ndarray  # and the one behind the last
    weight: np.ndarray  # address in w
    own_at: np.ndarray  # the same for the taps of one pixel
    own_weight: np.ndarray


class Line(NamedTuple):
    """Pixels of y that have the same taps, and where they meet x."""

    step: int  # columns of x from one pixel to the next
    out: int  # address in y of the first pixel
    out_step: int  # floats of y from one pixel to the next
    pixels: int


class Place(NamedTuple):
    """Where a block of pixels begins, added to the addresses of taps, and its distance from pixel to pixel in x and y."""

    at: int
    step: int
    out: int
    out_step: int


@inline
def pixels_plain(arrays, place, n, taps, weights, c, rows, width):
    """`rows` pixels of `width` channels from c on, the sum over n taps, as plain loops."""
    x, w, bias, y = arrays
    at, step, out, out_step = place
    for r in range(rows):
        row = y[out + r * out_step + c : out + r * out_step + c + width]
        for lane in range(width):
            row[lane] = bias[c + lane]
        for t in range(n):
            pixel, weight = x[at + r * step + taps[t] + c :], w[weights[t] + c :]
            for lane in range(width):
                row[lane] += pixel[lane] * weight[lane]


@inline
def pixels_simd(arrays, place, n, taps, weights, c, rows, width):
    """PIXELS pixels of WIDTH channels in registers."""
    x, w, bias, y = arrays
    block = repeat_rows(load(bias, c), PIXELS)
    for t in range(n):
        block = multiply_rows(block, PIXELS, x, place.at + taps[t] + c, place.step, w, weights[t] + c)
    store(block, PIXELS, y, place.out + c, place.out_step)


@inline
def pixels_wide(arrays, place, n, taps, weights, c, rows, width):
    """PIXELS pixels of two vectors: addresses are computed once for both."""
    x, w, bias, y = arrays
    for r in range(PIXELS):  # where the block will be stored
        prefetch(y, place.out + c + r * place.out_step)
        prefetch(y, place.out + c + WIDTH + r * place.out_step)
    block = repeat_rows(load_rows(2, 1, bias, c, 0), PIXELS)
    for t in range(n):
        block = multiply_rows(block, PIXELS, x, place.at + taps[t] + c, place.step, w, weights[t] + c)
    store(block, PIXELS, y, place.out + c, place.out_step)


@inline
def pixel_simd(arrays, place, n, taps, weights, c, rows, width):
    """One pixel of WIDTH channels."""
    x, w, bias, y = arrays
    block = load(bias, c)
    for t in range(n):
        block = multiply_rows(block, 1, x, place.at + taps[t] + c, 0, w, weights[t] + c)
    store(block, 1, y, place.out + c, 0)


block_of_pixels, wide_block, one_pixel = (pixels_simd, pixels_wide, pixel_simd) if LANES else (pixels_plain,) * 3


@inline
def reached_by_all(taps, n, pixels):
    """The first of `pixels` pixels that all n taps reach, and the one behind the last."""
    low, high = 0, pixels
    for t in range(n):
        low, high = max(low, taps.begin[t]), min(high, taps.end[t])
    return low, max(low, high)


@lean
def pixels_of_line(arrays, taps, n, line, channels):
    """The sums of all pixels of a line over its n taps."""
    low, high = reached_by_all(taps, n, line.pixels)
    k, span, whole = 0, min(WIDTH, channels), high - low >= PIXELS and channels >= WIDTH
    while k < line.pixels:
        if whole and low <= k < high:
            k = min(k, high - PIXELS)
            place = Place(k * line.step * channels, line.step * channels, line.out + k * line.out_step, line.out_step)
            for c in range(0, channels, 2 * WIDTH):
                lane = min(c, channels - 2 * WIDTH)
                if lane >= 0:
                    wide_block(arrays, place, n, taps.at, taps.weight, lane, PIXELS, 2 * WIDTH)
                else:
                    for lane in range(0, channels, WIDTH):
                        lane = min(lane, channels - WIDTH)
                        block_of_pixels(arrays, place, n, taps.at, taps.weight, lane, PIXELS, WIDTH)
            k += PIXELS
            continue
        valid = 0
        for t in range(n):
            if taps.begin[t] <= k < taps.end[t]:
                taps.own_at[valid], taps.own_weight[valid] = taps.at[t], taps.weight[t]
                valid += 1
        place = Place(k * line.step * channels, 0, line.out + k * line.out_step, 0)
        for c in range(0, channels, WIDTH):
            lane = min(c, channels - span)
            if span == WIDTH:
                one_pixel(arrays, place, valid, taps.own_at, taps.own_weight, lane, 1, WIDTH)
            else:
                pixels_plain(arrays, place, valid, taps.own_at, taps.own_weight, lane, 1, span)
        k += 1


@inline
def taps_of_row(geometry, row, taps):
    """The taps of an output row, counted through all images, that lie in the image; returns how many there are."""
    g, image, i, n = geometry, row // geometry.out_h, row % geometry.out_h, 0
    for p in range(g.kernel_h):
        h = i * g.stride_h - g.top + p * g.dilation_h
        for q in range(g.kernel_w if 0 <= h < g.height else 0):
            column = q * g.dilation_w - g.left
            taps.at[n] = ((image * g.height + h) * g.width + column) * g.channels
            taps.weight[n] = (p * g.kernel_w + q) * g.channels
            if n < g.kernel_w:
                taps.begin[n] = max(0, -(column // g.stride_w))
                taps.end[n] = min(g.out_w, (g.width - 1 - column) // g.stride_w + 1)
            else:  # as in the kernel row before: a division takes as long as 40 multiply-adds
                taps.begin[n], taps.end[n] = taps.begin[n - g.kernel_w], taps.end[n - g.kernel_w]
            n += 1
    return n


@lean
def forward_rows(arrays, geometry, taps, first, last):
    """Output rows `first` to `last`, counted through all images."""
    g = geometry
    for row in range(first, last):
        n = taps_of_row(g, row, taps)
        line = Line(g.stride_w, row * g.out_w * g.channels, g.channels, g.out_w)
        pixels_of_line(arrays, taps, n, line, g.channels)


@lean
def backward_rows(arrays, geometry, taps, first, last):
    """Rows `first` to `last` of dX. Pixels a stride apart have the same taps: they form a line of their own."""
    g = geometry
    for row in range(first, last):
        image, h = row // g.height, row % g.height
        for a in range(min(g.stride_w, g.width)):
            n, count = 0, (g.width - a + g.stride_w - 1) // g.stride_w
            for p in range(g.kernel_h):
                down = h + g.top - p * g.dilation_h
                i = down // g.stride_h
                for q in range(g.kernel_w if down % g.stride_h == 0 and 0 <= i < g.out_h else 0):
                    across = a + g.left - q * g.dilation_w
                    if across % g.stride_w == 0:
                        column = across // g.stride_w
                        taps.at[n] = ((image * g.out_h + i) * g.out_w + column) * g.channels
                        taps.begin[n], taps.end[n] = max(0, -column), min(count, g.out_w - column)
                        taps.weight[n] = (p * g.kernel_w + q) * g.channels
                        n += 1
            line = Line(1, (row * g.width + a) * g.channels, g.stride_w * g.channels, count)
            pixels_of_line(arrays, taps, n, line, g.channels)


@inline
def taps_of_worker(taps, worker):
    """A worker's own memory for Taps."""
    at, begin, end, weight, own_at, own_weight = taps
    return Taps(at[worker], begin[worker], end[worker], weight[worker], own_at[worker], own_weight[worker])


@lean
def rows_of_worker(backward, arrays, geometry, taps, worker, rows):
    """A worker's share of `rows` rows, of dX if `backward`, else of y."""
    workers = len(taps.at)
    first, last = rows * worker // workers, rows * (worker + 1) // workers
    own = taps_of_worker(taps, worker)
    if backward:
        backward_rows(arrays, geometry, own, first, last)
    else:
        forward_rows(arrays, geometry, own, first, last)


@parallel
def rows_in_parallel(backward, arrays, geometry, taps, rows):
    """`rows_of_worker` for all workers."""
    for worker in prange(len(taps.at)):
        rows_of_worker(backward, arrays, geometry, taps, np.int64(worker), rows)


def workers_for(pixels, w, rows):
    """How many threads are worth waking."""
    return min(rows, get_num_threads()) if pixels * w.size >= WORTH_WAKING else 1


def room_for_taps(workers, geometry):
    """Memory for the Taps of all workers."""
    return Taps(*np.empty((6, workers, geometry.kernel_h * geometry.kernel_w + APART), np.int64))


def run_rows(backward, arrays, geometry, images):
    """Compute arrays.y, of y (N,OH,OW,C) or dX (N,H,W,C)."""
    g, rows = geometry, images * (geometry.height if backward else geometry.out_h)
    workers = workers_for(images * g.out_h * g.out_w, arrays.w, rows)
    taps = room_for_taps(workers, g)
    if workers == 1:
        rows_of_worker(backward, arrays, g, taps, 0, rows)
    else:
        rows_in_parallel(backward, arrays, g, taps, rows)


def forward(x, w, b, geometry):
    """Correlation of x (N,H,W,C) and w (kh,kw,1,C), plus b (C,) or None: y (N,OH,OW,C)."""
    g = geometry
    y = aligned_empty((len(x), g.out_h, g.out_w, g.channels))
    bias = np.zeros(g.channels, np.float32) if b is None else contiguous(b)
    run_rows(False, Arrays(x.reshape(-1), w.reshape(-1), bias, y.reshape(-1)), g, len(x))
    return y


def gradient_of_x(dy, w, geometry):
    """dX (N,H,W,C) of dy (N,OH,OW,C) and w (kh,kw,1,C)."""
    g = geometry
    dx = aligned_empty((len(dy), g.height, g.width, g.channels))
    run_rows(True, Arrays(dy.reshape(-1), w.reshape(-1), np.zeros(g.channels, np.float32), dx.reshape(-1)), g, len(dy))
    return dx


# ---- dW ------------------------------------------------------------------------------------------------------------


class Walk(NamedTuple):
    """Pixels of a line: where they begin, behind a tap's address in x, and in dy, and the distance from one to the next."""

    x: int
    x_step: int
    dy: int
    dy_step: int
    pixels: int


@inline
def products_plain(x, dy, walk, taps, k, c, width, total):
    """total[tap k, c + lane] += sum over the pixels of a walk of x dy, for `width` channels from c on, as plain loops."""
    a, b, t = taps.at[k] + walk.x + c, walk.dy + c, taps.weight[k] + c
    for j in range(walk.pixels):
        for lane in range(width):
            total[t + lane] += x[a + j * walk.x_step + lane] * dy[b + j * walk.dy_step + lane]


def _products_in_registers(count):
    """The same for one vector of channels and `count` taps from k on."""

    @inline
    def products(x, dy, walk, taps, k, c, channels, total):
        t = taps.weight[k] + c
        block = load_rows(count, count, total, t, channels)
        for j in range(walk.pixels):
            block = multiply_at(block, x, taps.at, k, walk.x + c + j * walk.x_step, dy, walk.dy + c + j * walk.dy_step)
        store(block, count, total, t, channels)

    return products


@inline
def products_in_span(x, dy, walk, taps, k, c, channels, total):
    """The same for one tap and VECTORS vectors."""
    a, b, t = taps.at[k] + walk.x + c, walk.dy + c, taps.weight[k] + c
    block = load_rows(VECTORS, 1, total, t, 0)
    for j in range(walk.pixels):
        pixel, slope = load_rows(VECTORS, 1, x, a + j * walk.x_step, 0), load_rows(VECTORS, 1, dy, b + j * walk.dy_step, 0)
        block = add_blocks(block, multiply_blocks(pixel, slope))
    store(block, 1, total, t, 0)


products_of_span = products_in_span if LANES else products_plain
if LANES:
    products_of_many, products_of_some, products_of_one = [_products_in_registers(count) for count in (MANY, SOME, 1)]
else:
    products_of_many = products_of_some = products_of_one = products_plain  # never called


@inline
def products_of_all(x, dy, walk, taps, n, vectors, channels, total):
    """Add the pixels of a walk, which all n taps reach, to the totals of the first `vectors` channels."""
    for c in range(0, vectors, WIDTH):
        k = 0
        while n - k >= MANY:
            products_of_many(x, dy, walk, taps, k, c, channels, total)
            k += MANY
        while n - k >= SOME:
            products_of_some(x, dy, walk, taps, k, c, channels, total)
            k += SOME
        while k < n:
            products_of_one(x, dy, walk, taps, k, c, channels, total)
            k += 1


@lean
def collect_rows(x, dy, geometry, taps, total, bias_total, first, last):
    """total (kh,kw,C) and bias_total (C) of output rows `first` to `last`."""
    g = geometry
    total[:] = 0
    bias_total[:] = 0
    channels, step, vectors = g.channels, g.stride_w * g.channels, g.channels // WIDTH * WIDTH if LANES else 0
    for row in range(first, last):
        start, n = row * g.out_w * channels, taps_of_row(g, row, taps)
        sum_rows(dy[start : start + g.out_w * channels], channels, bias_total)
        low, high = reached_by_all(taps, n, g.out_w)
        if g.stride_w > 1 and vectors >= SPAN:  # what several taps read of x would overflow L1
            low = high = g.out_w  # tap by tap, all of its pixels at once
        walk = Walk(low * step, step, start + low * channels, channels, high - low)
        products_of_all(x, dy, walk, taps, n, vectors, channels, total)
        for k in range(n):  # those that only some reach, tap by tap; and the channels of a last, incomplete vector
            begin, end = taps.begin[k], taps.end[k]
            for left, right in ((begin, min(low, end)), (max(high, begin), end)):
                walk = Walk(left * step, step, start + left * channels, channels, right - left)
                c = 0 if left < right else vectors
                while c + SPAN <= vectors:
                    products_of_span(x, dy, walk, taps, k, c, channels, total)
                    c += SPAN
                while c < vectors:
                    products_of_one(x, dy, walk, taps, k, c, channels, total)
                    c += WIDTH
            if vectors < channels:
                walk = Walk(begin * step, step, start + begin * channels, channels, end - begin)
                products_plain(x, dy, walk, taps, k, vectors, channels - vectors, total)


@parallel
def collect_in_parallel(x, dy, geometry, taps, totals, bias_totals, rows):
    """`collect_rows` for all workers: totals (workers, kh*kw*C), bias_totals (workers, C)."""
    workers = len(totals)
    for worker in prange(workers):
        k = np.int64(worker)
        first, last = rows * k // workers, rows * (k + 1) // workers
        collect_rows(x, dy, geometry, taps_of_worker(taps, k), totals[worker], bias_totals[worker], first, last)


def gradient_of_w(x, dy, w_shape, geometry):
    """dW (kh,kw,1,C), `w_shape`, and db (C,) of x (N,H,W,C) and dy (N,OH,OW,C)."""
    dw, rows = aligned_empty(w_shape), len(dy) * geometry.out_h
    workers = workers_for(rows * geometry.out_w, dw, rows)
    taps = room_for_taps(workers, geometry)
    arguments = x.reshape(-1), dy.reshape(-1), geometry
    if workers == 1:
        db = np.empty(geometry.channels, np.float32)
        collect_rows(*arguments, Taps(*[own[0] for own in taps]), dw.reshape(-1), db, 0, rows)
        return dw, db
    totals, bias_totals = (aligned_empty((workers, size + APART)) for size in (dw.size, geometry.channels))
    collect_in_parallel(*arguments, taps, totals, bias_totals, rows)
    db = bias_totals[:, : geometry.channels].sum(axis=0)
    return np.add.reduce(totals[:, : dw.size], out=dw.reshape(-1)).reshape(w_shape), db
