"""Convolution + bias + ReLU + 2x2 max pooling as one kernel: the full-size activation never exists.

Forward writes the pooled image and, for each of its numbers, the winner of its window (0..3, one byte).
Backward uses that only the winners of windows with y > 0 have a gradient, one pixel of four at most:

* dW walks over those winners only: winners.py
* dX gives the gradient back to full size in a small buffer, band by band, where Winograd reads it.
"""

import numpy as np
from numba import get_num_threads, prange

from tinydx.op import kernel_of
from tinydx.ops.convolution import output_size, padding_2d, pair
from tinydx.ops.fused import conv2d_relu_max_pool2d, correlate2d_relu_max_pool2d
from tinydx_kernels.cpu import convolution, winograd
from tinydx_kernels.cpu.bands import SLACK, copy_band, unpool_band
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


@inline
def pooled_plain(x, at, m, taps, run, w, j, bias, f, width, y, winner, out, cells, edge):
    """CELLS windows times `width` filters, as plain loops: pixel by pixel, beginning with ReLU's zero."""
    for cell in range(cells):
        to = out[m // 4 + cell] + f
        row, best, pixel = y[to : to + width], winner[to : to + width], edge[:width]
        row[:] = 0
        best[:] = 0
        for r in range(4):
            pixel[:] = bias[f : f + width]
            k = j
            for tap in taps:
                for c in range(run):
                    factor, weights = x[at[m + 4 * cell + r] + tap + c], w[k : k + PANEL]
                    for lane in range(width):
                        pixel[lane] += factor * weights[lane]
                    k += PANEL
            for lane in range(width):
                if pixel[lane] > row[lane]:
                    best[lane] = r
                if pixel[lane] > row[lane] or pixel[lane] != pixel[lane]:
                    row[lane] = pixel[lane]


@inline
def pooled_simd(x, at, m, taps, run, w, j, bias, f, width, y, winner, out, cells, edge):
    """The same in registers: the four pixels of a window are rows next to each other."""
    block = repeat_rows(load_rows(COLUMNS, 1, bias, f, 0), PIXELS)
    for tap in taps:
        for c in range(run):
            block = outer_at(block, PIXELS, x, at, m, tap + c, w, j)
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


@jit
def pooled_bands(worker, x, shape, border, step, taps, run, window, w, bias, y, winner, size, filters, rows, work):
    """Every so-many-th band of `rows` pooled rows."""
    at, out, edge, buffer = work[0][worker], work[1][worker], work[2][worker], work[3][worker]
    bands = (size[0] + rows - 1) // rows
    columns = (2 * size[1] - 1) * step[1] + window[1]
    for item in range(worker, len(y) // (size[0] * size[1] * filters) * bands, len(work[0])):
        image, i = item // bands, item % bands * rows
        band = min(rows, size[0] - i)
        source, line, base = x, shape[1] * shape[2], (image * shape[0] + 2 * i * step[0]) * shape[1] * shape[2]
        if buffer.size:
            top = 2 * i * step[0] - border[0]
            copy_band(x, shape, image, top, -border[1], (2 * band - 1) * step[0] + window[0], columns, buffer)
            source, line, base = buffer, columns * shape[2], 0
        cells = band * size[1]
        for cell in range(cells + CELLS):  # the last, incomplete block does some window twice
            row, column = min(cell, cells - 1) // size[1], min(cell, cells - 1) % size[1]
            out[cell] = ((image * size[0] + i + row) * size[1] + column) * filters
            for k in range(4):
                down, right = (2 * row + k // 2) * step[0], (2 * column + k % 2) * step[1]
                at[4 * cell + k] = base + down * line + right * shape[2]
        for panel in range((filters + PANEL - 1) // PANEL):
            width, j = min(PANEL, filters - panel * PANEL), panel * len(taps) * run * PANEL
            for cell in range(0, cells, CELLS):
                pooled_tile(
                    source, at, 4 * cell, taps, run, w, j, bias, panel * PANEL, width, y, winner, out,
                    min(CELLS, cells - cell), edge,
                )  # fmt: skip


@parallel
def pooled_forward(x, shape, border, step, taps, run, window, w, bias, y, winner, size, filters, rows, work):
    for worker in prange(len(work[0])):
        pooled_bands(
            np.int64(worker), x, shape, border, step, taps, run, window, w, bias, y, winner, size, filters, rows, work
        )  # fmt: skip


def direct_forward(x, w, b, border, stride, dilation, size):
    """(y, winner) without Winograd."""
    (n, height, width, channels), (kh, kw, _, f), (dh, dw) = x.shape, w.shape, dilation
    positions = [(p, 0) for p in range(kh)] if dw == 1 else list(np.ndindex(kh, kw))
    run = kw * channels if dw == 1 else channels
    window = (kh - 1) * dh + 1, (kw - 1) * dw + 1
    corner, columns = (border[0][0], border[1][0]), (2 * size[1] - 1) * stride[1] + window[1]
    fits = corner == (0, 0) and (2 * size[0] - 1) * stride[0] + window[0] <= height and columns <= width
    line = (width if fits else columns) * channels
    taps = np.array([p * dh * line + q * dw * channels for p, q in positions], np.int64)
    w_taps = np.array([(p * kw + q) * channels * f for p, q in positions], np.int64)
    packed = aligned_empty(-(-f // PANEL) * len(taps) * run * PANEL)
    convolution.pack_weights(w.reshape(-1), w_taps, run, f, f, 1, 1, 0, packed)
    bias = np.zeros(f + PANEL, np.float32)
    if b is not None:
        bias[:f] = b
    rows = min(size[0], max(1, round(convolution.BAND / (4 * size[1]))))
    workers = max(1, min(get_num_threads(), n * -(-size[0] // rows)))
    cells, high = rows * size[1] + CELLS, (2 * rows - 1) * stride[0] + window[0]
    work = (
        np.empty((workers, 4 * cells), np.int64),
        np.empty((workers, cells), np.int64),
        aligned_empty((workers, 2 * CELLS * PANEL)),
        aligned_empty((workers, 0 if fits else high * line + SLACK)),
    )
    y, winner = aligned_empty((n, *size, f)), aligned_empty((n, *size, f), np.uint8)
    pooled_forward(
        x.reshape(-1), x.shape[1:], corner, stride, taps, run, window, packed, bias, y.reshape(-1), winner.reshape(-1),
        size, f, rows, work,
    )  # fmt: skip
    return y, winner


# ---- dX ------------------------------------------------------------------------------------------------------------


@parallel
def unpool(dy, y, winner, shape, size, full):
    """full: the gradient before ReLU and pooling, of size (rows, columns) an image."""
    for image in prange(len(dy) // (shape[0] * shape[1] * shape[2])):
        pixels = size[0] * size[1] * shape[2]
        unpool_band(dy, y, winner, shape, np.int64(image), 0, 0, size[0], size[1], full[image * pixels : (image + 1) * pixels])


def gradient_of_x(dy, y, winner, w, x_shape, border, stride, dilation, out):
    kh, kw, c, f = w.shape
    if convolution.suits_winograd((kh, kw, f, c), stride, dilation, 1):
        mirrored = contiguous(w[::-1, ::-1].transpose(0, 1, 3, 2))
        turned = tuple((2 - before, 2 - after) for before, after in border)
        dx = winograd.correlate(dy, mirrored, None, turned, x_shape[1:3], gates=(y, winner))
        if dx is not None:
            return dx
    full = aligned_empty((len(dy), *out, f))
    unpool(dy.reshape(-1), y.reshape(-1), winner.reshape(-1), y.shape[1:], out, full.reshape(-1))
    return convolution.gradient_of_x(full, w, x_shape, border, stride, dilation, 1)


# ---- the fused op --------------------------------------------------------------------------------------------------


def correlate2d_relu_max_pool2d_forward(x, w, b=None, *, stride=1, padding="valid", dilation=1, groups=1, size=2):
    """max_pool2d(relu(correlate2d(x, w, b)), size=2): y (N,PH,PW,F), saved."""
    stride, dilation = pair(stride), pair(dilation)
    x, w = contiguous(x), contiguous(w)
    border = tuple(map(tuple, padding_2d(padding, x.shape[1:3], w.shape[:2], stride, dilation)))
    axes = zip(x.shape[1:3], w.shape[:2], stride, dilation, border, strict=True)
    out = tuple(output_size(n, k, s, d, *ends) for n, k, s, d, ends in axes)
    pooled = out[0] // 2, out[1] // 2
    result = None
    if convolution.suits_winograd(w.shape, stride, dilation, 1):
        result = winograd.correlate(x, w, b, border, out, pool=True)
    y, winner = direct_forward(x, w, b, border, stride, dilation, pooled) if result is None else result
    return y, (x, w, y, winner, border, stride, dilation, out)


def correlate2d_relu_max_pool2d_backward(dy, saved, needs=(True, True, True)):
    x, w, y, winner, border, stride, dilation, out = saved
    dy = contiguous(dy)
    dx = gradient_of_x(dy, y, winner, w, x.shape, border, stride, dilation, out) if needs[0] else None
    if not any(needs[1:]):
        return dx, None, None
    return dx, *gradient_of_w(x, dy, y, winner, w.shape, border, stride, dilation)


def conv2d_relu_max_pool2d_forward(x, w, b=None, **constants):
    """max_pool2d(relu(conv2d(x, w, b)), size=2), the true convolution."""
    return correlate2d_relu_max_pool2d_forward(x, w[::-1, ::-1], b, **constants)


def conv2d_relu_max_pool2d_backward(dy, saved, needs=(True, True, True)):
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


kernel_of(
    correlate2d_relu_max_pool2d,
    "numba",
    correlate2d_relu_max_pool2d_forward,
    correlate2d_relu_max_pool2d_backward,
    supports,
)
kernel_of(conv2d_relu_max_pool2d, "numba", conv2d_relu_max_pool2d_forward, conv2d_relu_max_pool2d_backward, supports)
