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
from tinydx_kernels.cpu.memory import aligned_empty, contiguous
from tinydx_kernels.cpu.simd import (
    LANES,
    WIDTH,
    inline,
    lean,
    load,
    load_rows,
    multiply_rows,
    parallel,
    repeat_rows,
    store,
)
from tinydx_kernels.cpu.simd import add as add_blocks
from tinydx_kernels.cpu.simd import multiply as multiply_blocks

PIXELS = 6
VECTORS = 4  # of channels at a time in dW
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
    column: np.ndarray  # column of x where that is
    weight: np.ndarray  # address in w
    own_at: np.ndarray  # the same for the taps of one pixel
    own_weight: np.ndarray


class Line(NamedTuple):
    """Pixels of y that have the same taps, and where they meet x."""

    width: int  # columns of x
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


@lean
def pixels_of_line(arrays, taps, n, line, channels):
    """The sums of all pixels of a line over its n taps."""
    low, high = 0, line.pixels
    for t in range(n):
        low = max(low, -(taps.column[t] // line.step))
        high = min(high, (line.width - 1 - taps.column[t]) // line.step + 1)
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
                    for lane in (0, channels - WIDTH):
                        block_of_pixels(arrays, place, n, taps.at, taps.weight, lane, PIXELS, WIDTH)
            k += PIXELS
            continue
        valid = 0
        for t in range(n):
            if 0 <= taps.column[t] + k * line.step < line.width:
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


@lean
def forward_rows(arrays, geometry, taps, first, last):
    """Output rows `first` to `last`, counted through all images."""
    g = geometry
    for row in range(first, last):
        image, i, n = row // g.out_h, row % g.out_h, 0
        for p in range(g.kernel_h):
            h = i * g.stride_h - g.top + p * g.dilation_h
            for q in range(g.kernel_w if 0 <= h < g.height else 0):
                taps.column[n] = q * g.dilation_w - g.left
                taps.at[n] = ((image * g.height + h) * g.width + taps.column[n]) * g.channels
                taps.weight[n] = (p * g.kernel_w + q) * g.channels
                n += 1
        line = Line(g.width, g.stride_w, row * g.out_w * g.channels, g.channels, g.out_w)
        pixels_of_line(arrays, taps, n, line, g.channels)


@lean
def backward_rows(arrays, geometry, taps, first, last):
    """Rows `first` to `last` of dX. Pixels a stride apart have the same taps: they form a line of their own."""
    g = geometry
    for row in range(first, last):
        image, h = row // g.height, row % g.height
        for a in range(min(g.stride_w, g.width)):
            n = 0
            for p in range(g.kernel_h):
                down = h + g.top - p * g.dilation_h
                i = down // g.stride_h
                for q in range(g.kernel_w if down % g.stride_h == 0 and 0 <= i < g.out_h else 0):
                    across = a + g.left - q * g.dilation_w
                    if across % g.stride_w == 0:
                        taps.column[n] = across // g.stride_w
                        taps.at[n] = ((image * g.out_h + i) * g.out_w + taps.column[n]) * g.channels
                        taps.weight[n] = (p * g.kernel_w + q) * g.channels
                        n += 1
            count = (g.width - a + g.stride_w - 1) // g.stride_w
            line = Line(g.out_w, 1, (row * g.width + a) * g.channels, g.stride_w * g.channels, count)
            pixels_of_line(arrays, taps, n, line, g.channels)


@lean
def rows_of_worker(backward, arrays, geometry, taps, worker, rows):
    """A worker's share of `rows` rows, of dX if `backward`, else of y."""
    workers = len(taps.at)
    first, last = rows * worker // workers, rows * (worker + 1) // workers
    own = Taps(taps.at[worker], taps.column[worker], taps.weight[worker], taps.own_at[worker], taps.own_weight[worker])
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


def run_rows(backward, arrays, geometry, images):
    """Compute arrays.y, of y (N,OH,OW,C) or dX (N,H,W,C)."""
    g, rows = geometry, images * (geometry.height if backward else geometry.out_h)
    workers = workers_for(images * g.out_h * g.out_w, arrays.w, rows)
    taps = Taps(*np.empty((5, workers, g.kernel_h * g.kernel_w), np.int64))
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
    """Pixels of a line: where they begin in x and dy, and the distance from one to the next."""

    x: int
    x_step: int
    dy: int
    dy_step: int
    pixels: int


@inline
def products_plain(x, dy, walk, c, total, t, width):
    """total[t + lane] += sum over the pixels of a walk of x dy, for `width` channels from c on, as plain loops."""
    a, a_step, b, b_step, pixels = walk
    for j in range(pixels):
        for lane in range(width):
            total[t + lane] += x[a + c + j * a_step + lane] * dy[b + c + j * b_step + lane]


@inline
def products_simd(x, dy, walk, c, total, t, width):
    """VECTORS vectors of it in registers."""
    a, a_step, b, b_step, pixels = walk
    block = load_rows(VECTORS, 1, total, t, 0)
    for j in range(pixels):
        pixel, slope = load_rows(VECTORS, 1, x, a + c + j * a_step, 0), load_rows(VECTORS, 1, dy, b + c + j * b_step, 0)
        block = add_blocks(block, multiply_blocks(pixel, slope))
    store(block, 1, total, t, 0)


@inline
def products_narrow(x, dy, walk, c, total, t, width):
    """One vector of it."""
    a, a_step, b, b_step, pixels = walk
    block = load(total, t)
    for j in range(pixels):
        block = multiply_rows(block, 1, x, a + c + j * a_step, 0, dy, b + c + j * b_step)
    store(block, 1, total, t, 0)


products_of_span, products_of_vector = (products_simd, products_narrow) if LANES else (products_plain, products_plain)


@lean
def collect_rows(x, dy, geometry, total, bias_total, first, last):
    """total (kh,kw,C) and bias_total (C) of output rows `first` to `last`. Every tap has its own share of a line."""
    g = geometry
    total[:] = 0
    bias_total[:] = 0
    step = g.stride_w * g.channels
    for row in range(first, last):
        image, i, line = row // g.out_h, row % g.out_h, row * g.out_w
        sum_rows(dy[line * g.channels : (line + g.out_w) * g.channels], g.channels, bias_total)
        for p in range(g.kernel_h):
            h = i * g.stride_h - g.top + p * g.dilation_h
            for q in range(g.kernel_w if 0 <= h < g.height else 0):
                column, t = q * g.dilation_w - g.left, (p * g.kernel_w + q) * g.channels
                low, high = max(0, -(column // g.stride_w)), min(g.out_w, (g.width - 1 - column) // g.stride_w + 1)
                a = ((image * g.height + h) * g.width + column) * g.channels + low * step
                walk, c = Walk(a, step, (line + low) * g.channels, g.channels, high - low), 0
                while c + SPAN <= g.channels:
                    products_of_span(x, dy, walk, c, total, t + c, SPAN)
                    c += SPAN
                while c + WIDTH <= g.channels:
                    products_of_vector(x, dy, walk, c, total, t + c, WIDTH)
                    c += WIDTH
                products_plain(x, dy, walk, c, total, t + c, g.channels - c)


@parallel
def collect_in_parallel(x, dy, geometry, totals, bias_totals, rows):
    """`collect_rows` for all workers: totals (workers, kh*kw*C), bias_totals (workers, C)."""
    workers = len(totals)
    for worker in prange(workers):
        k = np.int64(worker)
        first, last = rows * k // workers, rows * (k + 1) // workers
        collect_rows(x, dy, geometry, totals[worker], bias_totals[worker], first, last)


def gradient_of_w(x, dy, w_shape, geometry):
    """dW (kh,kw,1,C), `w_shape`, and db (C,) of x (N,H,W,C) and dy (N,OH,OW,C)."""
    dw, rows = aligned_empty(w_shape), len(dy) * geometry.out_h
    workers = workers_for(rows * geometry.out_w, dw, rows)
    arguments = x.reshape(-1), dy.reshape(-1), geometry
    if workers == 1:
        db = np.empty(geometry.channels, np.float32)
        collect_rows(*arguments, dw.reshape(-1), db, 0, rows)
        return dw, db
    totals, bias_totals = aligned_empty((workers, dw.size)), aligned_empty((workers, geometry.channels))
    collect_in_parallel(*arguments, totals, bias_totals, rows)
    return np.add.reduce(totals, out=dw.reshape(-1)).reshape(w_shape), bias_totals.sum(axis=0)
