"""Convolution + bias + ReLU + 2x2 max pooling as one kernel: the full-size activation never exists.

Forward writes the pooled image and, for each of its numbers, the winner of its window (0..3, one byte).
Backward exploits that only the winners of windows with y > 0 have a gradient, at most one pixel of four:

* dW walks over those winners only: winners.py
* dX restores the gradient to full size, tile by tile, where Winograd reads it; without Winograd, all of it first.
"""

from typing import NamedTuple

import numpy as np
from numba import get_num_threads, prange

from tinydx.op import kernel_of
from tinydx.ops.convolution import padding_2d, pair
from tinydx.ops.fused import conv2d_relu_max_pool2d, correlate2d_relu_max_pool2d
from tinydx_kernels.cpu import convolution, winograd
from tinydx_kernels.cpu.bands import BAND, SLACK, Part, Pooled, columns_of_band, copy_band, reads_inside, unpool_band
from tinydx_kernels.cpu.convolution import Panel, Source, Terms, Weights, pack_weights, taps_of, terms_of
from tinydx_kernels.cpu.geometry import Geometry, geometry_of
from tinydx_kernels.cpu.memory import aligned_empty, contiguous, is_float32
from tinydx_kernels.cpu.simd import (
    COLUMNS,
    LANES,
    WIDTH,
    broadcast,
    inline,
    jit,
    load_rows,
    maximum,
    outer_at,
    parallel,
    repeat_rows,
    rows_of,
    store,
    store_at,
    store_bytes,
    where_larger,
    zeros,
)
from tinydx_kernels.cpu.winners import gradient_of_w

f32 = np.float32
PANEL = COLUMNS * WIDTH
CELLS = 1 if LANES == 8 else 3  # windows of a register block, four pixels each
PIXELS = 4 * CELLS
POOLED = CELLS * COLUMNS  # vectors of a block after pooling

# ---- forward -------------------------------------------------------------------------------------------------------


class Target(NamedTuple):
    """What a band writes."""

    y: np.ndarray  # flat
    winner: np.ndarray  # uint8, as y: which pixel of the window was the maximum
    at: np.ndarray  # int64, address of each window in both
    edge: np.ndarray  # room for a block, and for its winners


class Scratch(NamedTuple):
    """Each worker's memory, a row each."""

    at: np.ndarray  # int64 (workers, 4 * windows of a band): addresses in x, the four pixels of a window one after the other
    out: np.ndarray  # int64 (workers, windows of a band): addresses in y
    edge: np.ndarray  # (workers, 2 * CELLS * PANEL)
    buffer: np.ndarray  # (workers, floats of a band with its border, or 0)


@inline
def pooled_plain(source, terms, weights, target, m, panel, cells):
    """`cells` windows, pixels from m on, times the filters of a panel, as plain loops: each begins with ReLU's zero."""
    (x, at), (packed, bias), (y, winner, out, edge), (j, f, width) = source, weights, target, panel
    for cell in range(cells):
        to = out[m // 4 + cell] + f
        row, best, pixel = y[to : to + width], winner[to : to + width], edge[:width]
        row[:] = 0
        best[:] = 0
        for r in range(4):
            for lane in range(width):
                pixel[lane] = bias[f + lane]
            k = j
            for tap in terms.taps:
                for c in range(terms.run):
                    factor, numbers = x[at[m + 4 * cell + r] + tap + c], packed[k : k + PANEL]
                    for lane in range(width):
                        pixel[lane] += factor * numbers[lane]
                    k += PANEL
            for lane in range(width):
                if pixel[lane] > row[lane]:
                    best[lane] = r
                if pixel[lane] > row[lane] or pixel[lane] != pixel[lane]:
                    row[lane] = pixel[lane]


@inline
def pooled_simd(source, terms, weights, target, m, panel, cells):
    """CELLS windows in registers: the four pixels of a window are rows next to each other."""
    (x, at), (packed, bias), (y, winner, out, edge), (j, f, width) = source, weights, target, panel
    block = repeat_rows(load_rows(COLUMNS, 1, bias, f, 0), PIXELS)
    for tap in terms.taps:
        for c in range(terms.run):
            block = outer_at(block, PIXELS, x, at, m, tap + c, packed, j)
            j += PANEL
    p0, p1, p2, p3 = (
        rows_of(block, PIXELS, 0, 4),
        rows_of(block, PIXELS, 1, 4),
        rows_of(block, PIXELS, 2, 4),
        rows_of(block, PIXELS, 3, 4),
    )
    zero, one = zeros(POOLED), repeat_rows(broadcast(f32(1)), POOLED)
    two, three = one + one, one + one + one
    top, low = maximum(p0, p1), maximum(p2, p3)
    best = where_larger(low, top, where_larger(p3, p2, three, two), where_larger(p1, p0, one, zero))
    value = maximum(maximum(top, low), zero)
    if cells == CELLS and width == PANEL:
        store_at(value, CELLS, y, out, m // 4, f)
        store(best, CELLS, edge, 0, PANEL)
        for cell in range(CELLS):
            store_bytes(load_rows(COLUMNS, 1, edge, cell * PANEL, 0), winner, out[m // 4 + cell] + f)
    else:
        store(value, CELLS, edge, 0, PANEL)
        store(best, CELLS, edge, CELLS * PANEL, PANEL)
        for cell in range(cells):
            for c in range(width):
                y[out[m // 4 + cell] + f + c] = edge[cell * PANEL + c]
                winner[out[m // 4 + cell] + f + c] = np.uint8(edge[(CELLS + cell) * PANEL + c])


pooled_tile = pooled_simd if LANES else pooled_plain


@inline
def addresses(geometry, filters, place, band, lines, at, out):
    """Addresses of the windows of `band` pooled rows of an image; place: (image, first row).

    at[4 * window + pixel]: in x, whose band has lines (address of the first, floats of one); out[window]: in y.
    A last, incomplete block repeats a window.
    """
    g, (image, i), (start, line) = geometry, place, lines
    columns, pooled_rows, cells = g.out_w // 2, g.out_h // 2, band * (g.out_w // 2)
    for cell in range(cells + CELLS):
        row, column = min(cell, cells - 1) // columns, min(cell, cells - 1) % columns
        out[cell] = ((image * pooled_rows + i + row) * columns + column) * filters
        for k in range(4):
            down, right = (2 * row + k // 2) * g.stride_h, (2 * column + k % 2) * g.stride_w
            at[4 * cell + k] = start + down * line + right * g.channels


@jit
def pooled_bands(worker, x, geometry, terms, weights, result, rows, scratch):
    """Every `workers`-th band of `rows` pooled rows; result: (y, winner)."""
    at, out, buffer, g = scratch.at[worker], scratch.out[worker], scratch.buffer[worker], geometry
    target = Target(result[0], result[1], out, scratch.edge[worker])
    source = Source(buffer if buffer.size else x, at)
    pooled_rows, columns, filters = g.out_h // 2, g.out_w // 2, terms.filters
    bands, reads = (pooled_rows + rows - 1) // rows, (g.out_w - 1) * g.stride_w + g.reach_w
    images = len(x) // (g.height * g.width * g.channels)
    for item in range(worker, images * bands, len(scratch.at)):
        image, i = item // bands, item % bands * rows
        band, top = min(rows, pooled_rows - i), 2 * i * g.stride_h
        start, line = (image * g.height + top) * g.width * g.channels, g.width * g.channels
        if buffer.size:
            area = Part(image, top - g.top, -g.left, (2 * band - 1) * g.stride_h + g.reach_h, reads)
            copy_band(x, (g.height, g.width, g.channels), area, buffer)
            start, line = 0, reads * g.channels
        addresses(g, filters, (image, i), band, (start, line), at, out)
        cells = band * columns
        for k in range((filters + PANEL - 1) // PANEL):
            panel = Panel(k * len(terms.taps) * terms.run * PANEL, k * PANEL, min(PANEL, filters - k * PANEL))
            for cell in range(0, cells, CELLS):
                pooled_tile(source, terms, weights, target, 4 * cell, panel, min(CELLS, cells - cell))


@parallel
def pooled_forward(x, geometry, terms, weights, result, rows, scratch):
    """`pooled_bands` for all workers: x (N,H,W,C) -> y and winner (N,PH,PW,F), all flat."""
    for worker in prange(len(scratch.at)):
        pooled_bands(np.int64(worker), x, geometry, terms, weights, result, rows, scratch)


@jit
def pooled_alone(x, geometry, terms, weights, result, rows, scratch):
    """`pooled_forward` on one thread. It takes plain tuples: Numba needs a microsecond more for each named one."""
    pooled_bands(0, x, Geometry(*geometry), Terms(*terms), Weights(*weights), result, rows, Scratch(*scratch))


def direct_forward(x, w, b, geometry):
    """Without Winograd: x (N,H,W,C), w (kh,kw,C,F), b (F,) or None -> y and winner (N,OH//2,OW//2,F)."""
    g = geometry._replace(out_h=geometry.out_h // 2 * 2, out_w=geometry.out_w // 2 * 2)  # pixels that are pooled
    pooled_rows, columns, copied = g.out_h // 2, g.out_w // 2, not reads_inside(g)
    positions, order = taps_of(w.shape, g, 1)
    rows = min(pooled_rows, max(1, round(BAND / (4 * columns))))
    threads = get_num_threads() if len(x) * g.out_h * g.out_w * w.size >= convolution.SMALL else 1
    workers = max(1, min(threads, len(x) * -(-pooled_rows // rows)))
    cells, high = rows * columns + CELLS, (2 * rows - 1) * g.stride_h + g.reach_h
    scratch = Scratch(
        at=np.empty((workers, 4 * cells), np.int64),
        out=np.empty((workers, cells), np.int64),
        edge=aligned_empty((workers, 2 * CELLS * PANEL)),
        buffer=aligned_empty((workers, high * columns_of_band(g) * g.channels + SLACK if copied else 0)),
    )
    y = aligned_empty((len(x), pooled_rows, columns, w.shape[3]))
    winner = aligned_empty(y.shape, np.uint8)
    terms, weights = terms_of(positions, order, g, copied), pack_weights(w.reshape(-1), b, order)
    result = y.reshape(-1), winner.reshape(-1)
    if workers == 1:
        pooled_alone(x.reshape(-1), tuple(g), tuple(terms), tuple(weights), result, rows, tuple(scratch))
    else:
        pooled_forward(x.reshape(-1), g, terms, weights, result, rows, scratch)
    return y, winner


# ---- dX ------------------------------------------------------------------------------------------------------------


@parallel
def unpool(pooled, shape, full, size):
    """full (N, *size, C) = the gradient before ReLU and pooling; pooled: images of `shape` (PH,PW,C). All flat."""
    pixels = size[0] * size[1] * shape[2]
    for image in prange(len(full) // pixels):
        area = Part(np.int64(image), 0, 0, size[0], size[1])
        unpool_band(pooled, shape, area, full[image * pixels : (image + 1) * pixels])


def gradient_of_x(dy, y, winner, w, geometry):
    """dX (N,H,W,C) of dy, y and winner (N,PH,PW,F) and w (kh,kw,C,F)."""
    kh, kw, c, f = w.shape
    if convolution.suits_winograd((kh, kw, f, c), len(dy), geometry):
        dx = winograd.gradient_of_x(dy, w, geometry, (y, winner))
        if dx is not None:
            return dx
    size = geometry.out_h, geometry.out_w
    full = aligned_empty((len(dy), *size, f))
    unpool(Pooled(dy.reshape(-1), y.reshape(-1), winner.reshape(-1)), y.shape[1:], full.reshape(-1), size)
    return convolution.gradient_of_x(full, w, geometry, 1)


# ---- the fused op --------------------------------------------------------------------------------------------------


def correlate2d_relu_max_pool2d_forward(x, w, b=None, *, stride=1, padding="valid", dilation=1, groups=1, size=2):
    """x (N,H,W,C), w (kh,kw,C,F), b (F,) or None -> max_pool2d(relu(correlate2d(x, w, b))) (N,PH,PW,F), saved."""
    x, w = contiguous(x), contiguous(w)
    geometry = geometry_of(x.shape, w.shape[:2], stride, padding, dilation)
    fast = convolution.suits_winograd(w.shape, len(x), geometry)
    result = winograd.forward_pooled(x, w, b, geometry) if fast else None
    y, winner = direct_forward(x, w, b, geometry) if result is None else result
    return y, (x, w, y, winner, geometry)


def correlate2d_relu_max_pool2d_backward(dy, saved, needs=(True, True, True)):
    """dy (N,PH,PW,F) -> dx, dw, db, each of its array's shape."""
    x, w, y, winner, geometry = saved
    dy = contiguous(dy)
    dx = gradient_of_x(dy, y, winner, w, geometry) if needs[0] else None
    if not any(needs[1:]):
        return dx, None, None
    return dx, *gradient_of_w(x, dy, y, winner, w.shape, geometry)


def conv2d_relu_max_pool2d_forward(x, w, b=None, **constants):
    """`correlate2d_relu_max_pool2d_forward` with the kernel mirrored."""
    return correlate2d_relu_max_pool2d_forward(x, w[::-1, ::-1], b, **constants)


def conv2d_relu_max_pool2d_backward(dy, saved, needs=(True, True, True)):
    """`correlate2d_relu_max_pool2d_backward`, dW mirrored back."""
    dx, dw, db = correlate2d_relu_max_pool2d_backward(dy, saved, needs)
    return dx, None if dw is None else dw[::-1, ::-1], db


def supports(x, w, b=None, *, stride=1, padding="valid", dilation=1, groups=1, size=2):
    """float32, one group, pooling windows 2x2 side by side, and an output of at least one window."""
    if not is_float32(x, w, b) or groups != 1 or pair(size) != (2, 2):
        return False
    kernel, stride, dilation = w.shape[:2], pair(stride), pair(dilation)
    border = padding_2d(padding, x.shape[1:3], kernel, stride, dilation)
    axes = zip(x.shape[1:3], kernel, stride, dilation, border, strict=True)
    return all((n + sum(ends) - (k - 1) * d - 1) // s + 1 >= 2 for n, k, s, d, ends in axes)


def samples(draw):
    """Convolutions of one group with an output of at least one pooling window."""
    return convolution.draw_convolution(draw, groups=1, windows=2)


def _register(op, forward, backward):
    """The kernel of one of the two ops."""
    warm = [(shapes, constants) for shapes, constants in convolution.WARM if "groups" not in constants]
    kernel_of(op, "numba", forward, backward, supports, samples=samples, warm=warm)


_register(correlate2d_relu_max_pool2d, correlate2d_relu_max_pool2d_forward, correlate2d_relu_max_pool2d_backward)
_register(conv2d_relu_max_pool2d, conv2d_relu_max_pool2d_forward, conv2d_relu_max_pool2d_backward)
