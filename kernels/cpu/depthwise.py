"""Depthwise convolution: every channel has a kernel of its own (groups = channels), so vectors run over channels.

    y[m, c]  = b[c] + sum over taps t of  x[pixel m moved by tap t, c] * w[t, c]
    dx       the same sum: dy, by the taps that can have made a pixel
    dw[t, c] = sum over pixels m of       x[pixel m moved by tap t, c] * dy[m, c]

There is little to compute for every number read, so nothing is copied, no border either. Work goes line by line of the
result; a line knows its taps, those of kernel rows that lie in the image, and how far from its ends all of them do:

    pixels of a line   | . |     |     |     | . .|      .  one pixel, its own list of taps
                         low  blocks      high           |  PIXELS neighbours times one vector in registers

A last block that would reach over the end, of blocks or of channels, is moved back: it computes some numbers twice.
"""

import numpy as np
from numba import get_num_threads, prange

from tinydx_kernels.cpu.columns import sum_rows
from tinydx_kernels.cpu.memory import aligned_empty, contiguous
from tinydx_kernels.cpu.simd import (
    LANES,
    WIDTH,
    inline,
    jit,
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
WORTH_WAKING = 1 << 19  # multiplications from which on a second thread is woken

# ---- forward and dX ------------------------------------------------------------------------------------------------


@inline
def pixels_plain(x, at, step, n, taps, weights, w, bias, c, y, out, out_step, rows, width):
    """`rows` pixels of `width` channels, as plain loops."""
    for r in range(rows):
        row = y[out + r * out_step + c : out + r * out_step + c + width]
        row[:] = bias[c : c + width]
        for t in range(n):
            pixel, weight = x[at + r * step + taps[t] + c :], w[weights[t] + c :]
            for lane in range(width):
                row[lane] += pixel[lane] * weight[lane]


@inline
def pixels_simd(x, at, step, n, taps, weights, w, bias, c, y, out, out_step, rows, width):
    """PIXELS pixels of WIDTH channels in registers."""
    block = repeat_rows(load(bias, c), PIXELS)
    for t in range(n):
        block = multiply_rows(block, PIXELS, x, at + taps[t] + c, step, w, weights[t] + c)
    store(block, PIXELS, y, out + c, out_step)


@inline
def pixels_wide(x, at, step, n, taps, weights, w, bias, c, y, out, out_step, rows, width):
    """PIXELS pixels of two vectors: addresses are computed once for both."""
    block = repeat_rows(load_rows(2, 1, bias, c, 0), PIXELS)
    for t in range(n):
        block = multiply_rows(block, PIXELS, x, at + taps[t] + c, step, w, weights[t] + c)
    store(block, PIXELS, y, out + c, out_step)


@inline
def pixel_simd(x, at, step, n, taps, weights, w, bias, c, y, out, out_step, rows, width):
    """One pixel of WIDTH channels."""
    block = load(bias, c)
    for t in range(n):
        block = multiply_rows(block, 1, x, at + taps[t] + c, 0, w, weights[t] + c)
    store(block, 1, y, out + c, 0)


block_of_pixels, wide_block, one_pixel = (pixels_simd, pixels_wide, pixel_simd) if LANES else (pixels_plain,) * 3


@jit
def pixels_of_line(x, width, step, n, taps, columns, weights, own, w, channels, bias, y, out, out_step, count):
    """`count` pixels of a line. taps: address of each of the n taps for pixel 0, columns: the column in x where that is.

    own: space for two lists, the taps of one pixel. width: columns of x, step: of them from one pixel to the next.
    """
    low, high = 0, count
    for t in range(n):
        low = max(low, -(columns[t] // step))
        high = min(high, (width - 1 - columns[t]) // step + 1)
    k, span, whole = 0, min(WIDTH, channels), high - low >= PIXELS and channels >= WIDTH
    while k < count:
        if whole and low <= k < high:
            k = min(k, high - PIXELS)
            at, to = k * step * channels, out + k * out_step
            for c in range(0, channels, 2 * WIDTH):
                lane = min(c, channels - 2 * WIDTH)
                if lane >= 0:
                    wide_block(x, at, step * channels, n, taps, weights, w, bias, lane, y, to, out_step, PIXELS, 2 * WIDTH)
                else:
                    for lane in (0, channels - WIDTH):
                        block_of_pixels(x, at, step * channels, n, taps, weights, w, bias, lane, y, to, out_step, PIXELS, WIDTH)
            k += PIXELS
            continue
        valid = 0
        for t in range(n):
            if 0 <= columns[t] + k * step < width:
                own[0, valid], own[1, valid] = taps[t], weights[t]
                valid += 1
        at, to = k * step * channels, out + k * out_step
        for c in range(0, channels, WIDTH):
            lane = min(c, channels - span)
            if span == WIDTH:
                one_pixel(x, at, 0, valid, own[0], own[1], w, bias, lane, y, to, 0, 1, WIDTH)
            else:
                pixels_plain(x, at, 0, valid, own[0], own[1], w, bias, lane, y, to, 0, 1, span)
        k += 1


@jit
def forward_rows(x, shape, w, kernel, bias, y, out, border, stride, dilation, lists, first, last):
    """Output rows `first` to `last`, counted through all images."""
    (height, width, channels), (taps, columns, weights) = shape, (lists[0], lists[1], lists[2])
    for row in range(first, last):
        image, i, n = row // out[0], row % out[0], 0
        for p in range(kernel[0]):
            h = i * stride[0] - border[0] + p * dilation[0]
            for q in range(kernel[1] if 0 <= h < height else 0):
                columns[n] = q * dilation[1] - border[1]
                taps[n] = ((image * height + h) * width + columns[n]) * channels
                weights[n] = (p * kernel[1] + q) * channels
                n += 1
        pixels_of_line(
            x, width, stride[1], n, taps, columns, weights, lists[3:], w, channels, bias,
            y, row * out[1] * channels, channels, out[1],
        )  # fmt: skip


@jit
def backward_rows(dy, out, w, kernel, zeros, dx, shape, border, stride, dilation, lists, first, last):
    """Rows `first` to `last` of dX. Pixels that are a stride apart have the same taps: they are a line for themselves."""
    (height, width, channels), (taps, columns, weights) = shape, (lists[0], lists[1], lists[2])
    for row in range(first, last):
        image, h = row // height, row % height
        for a in range(min(stride[1], width)):
            n = 0
            for p in range(kernel[0]):
                i, rest = (h + border[0] - p * dilation[0]) // stride[0], (h + border[0] - p * dilation[0]) % stride[0]
                for q in range(kernel[1] if rest == 0 and 0 <= i < out[0] else 0):
                    if (a + border[1] - q * dilation[1]) % stride[1] == 0:
                        columns[n] = (a + border[1] - q * dilation[1]) // stride[1]
                        taps[n] = ((image * out[0] + i) * out[1] + columns[n]) * channels
                        weights[n] = (p * kernel[1] + q) * channels
                        n += 1
            pixels_of_line(
                dy, out[1], 1, n, taps, columns, weights, lists[3:], w, channels, zeros,
                dx, (row * width + a) * channels, stride[1] * channels, (width - a + stride[1] - 1) // stride[1],
            )  # fmt: skip


@parallel
def forward_in_parallel(x, shape, w, kernel, bias, y, out, border, stride, dilation, lists, rows):
    for worker in prange(len(lists)):
        first, last = rows * worker // len(lists), rows * (worker + 1) // len(lists)
        forward_rows(x, shape, w, kernel, bias, y, out, border, stride, dilation, lists[worker], first, last)


@parallel
def backward_in_parallel(dy, out, w, kernel, zeros, dx, shape, border, stride, dilation, lists, rows):
    for worker in prange(len(lists)):
        first, last = rows * worker // len(lists), rows * (worker + 1) // len(lists)
        backward_rows(dy, out, w, kernel, zeros, dx, shape, border, stride, dilation, lists[worker], first, last)


def workers_for(pixels, w, rows):
    """How many threads are worth waking."""
    return min(rows, get_num_threads()) if pixels * w.size >= WORTH_WAKING else 1


def forward(x, w, b, border, stride, dilation, out):
    """y = correlation of x (N,H,W,C) and w (kh,kw,1,C), plus b; border: (top, left)."""
    y, rows, channels = aligned_empty((len(x), *out, x.shape[3])), len(x) * out[0], x.shape[3]
    bias = np.zeros(channels, np.float32) if b is None else contiguous(b)
    lists = np.empty((workers_for(rows * out[1], w, rows), 5, w.size // channels), np.int64)
    arguments = x.reshape(-1), x.shape[1:], w.reshape(-1), w.shape[:2], bias, y.reshape(-1), out, border, stride, dilation
    if len(lists) == 1:
        forward_rows(*arguments, lists[0], 0, rows)
    else:
        forward_in_parallel(*arguments, lists, rows)
    return y


def gradient_of_x(dy, w, shape, border, stride, dilation):
    """dX, of the given shape."""
    dx, rows, channels = aligned_empty(shape), shape[0] * shape[1], shape[3]
    zeros, out = np.zeros(channels, np.float32), dy.shape[1:3]
    lists = np.empty((workers_for(len(dy) * out[0] * out[1], w, rows), 5, w.size // channels), np.int64)
    arguments = dy.reshape(-1), out, w.reshape(-1), w.shape[:2], zeros, dx.reshape(-1), shape[1:], border, stride, dilation
    if len(lists) == 1:
        backward_rows(*arguments, lists[0], 0, rows)
    else:
        backward_in_parallel(*arguments, lists, rows)
    return dx


# ---- dW ------------------------------------------------------------------------------------------------------------


@inline
def products_plain(x, a, a_step, dy, b, b_step, count, total, t, width):
    """total[t + lane] += sum over `count` pixels of x dy, as plain loops."""
    for j in range(count):
        for lane in range(width):
            total[t + lane] += x[a + j * a_step + lane] * dy[b + j * b_step + lane]


@inline
def products_simd(x, a, a_step, dy, b, b_step, count, total, t, width):
    """VECTORS vectors of it in registers."""
    block = load_rows(VECTORS, 1, total, t, 0)
    for j in range(count):
        pixel, slope = load_rows(VECTORS, 1, x, a + j * a_step, 0), load_rows(VECTORS, 1, dy, b + j * b_step, 0)
        block = add_blocks(block, multiply_blocks(pixel, slope))
    store(block, 1, total, t, 0)


@inline
def products_narrow(x, a, a_step, dy, b, b_step, count, total, t, width):
    """One vector of it."""
    block = load(total, t)
    for j in range(count):
        block = multiply_rows(block, 1, x, a + j * a_step, 0, dy, b + j * b_step)
    store(block, 1, total, t, 0)


products_of_span, products_of_vector = (products_simd, products_narrow) if LANES else (products_plain, products_plain)


@jit
def collect_rows(x, shape, kernel, dy, out, border, stride, dilation, total, bias_total, first, last):
    """Add output rows `first` to `last` to total[tap, channel] and bias_total. Every tap has its own share of a line."""
    height, width, channels = shape
    total[:] = 0
    bias_total[:] = 0
    step = stride[1] * channels
    for row in range(first, last):
        image, i, line = row // out[0], row % out[0], row * out[1]
        sum_rows(dy[line * channels : (line + out[1]) * channels], channels, bias_total)
        for p in range(kernel[0]):
            h = i * stride[0] - border[0] + p * dilation[0]
            for q in range(kernel[1] if 0 <= h < height else 0):
                column, t = q * dilation[1] - border[1], (p * kernel[1] + q) * channels
                low, high = max(0, -(column // stride[1])), min(out[1], (width - 1 - column) // stride[1] + 1)
                a, b = ((image * height + h) * width + column) * channels + low * step, (line + low) * channels
                c = 0
                while c + SPAN <= channels:
                    products_of_span(x, a + c, step, dy, b + c, channels, high - low, total, t + c, SPAN)
                    c += SPAN
                while c + WIDTH <= channels:
                    products_of_vector(x, a + c, step, dy, b + c, channels, high - low, total, t + c, WIDTH)
                    c += WIDTH
                products_plain(x, a + c, step, dy, b + c, channels, high - low, total, t + c, channels - c)


@parallel
def collect_in_parallel(x, shape, kernel, dy, out, border, stride, dilation, totals, bias_totals, rows):
    for worker in prange(len(totals)):
        first, last = rows * worker // len(totals), rows * (worker + 1) // len(totals)
        collect_rows(x, shape, kernel, dy, out, border, stride, dilation, totals[worker], bias_totals[worker], first, last)


def gradient_of_w(x, dy, w_shape, border, stride, dilation):
    """dW and db."""
    out, channels, rows = dy.shape[1:3], x.shape[3], len(dy) * dy.shape[1]
    dw = aligned_empty(w_shape)
    workers = workers_for(rows * out[1], dw, rows)
    arguments = x.reshape(-1), x.shape[1:], w_shape[:2], dy.reshape(-1), out, border, stride, dilation
    if workers == 1:
        db = np.empty(channels, np.float32)
        collect_rows(*arguments, dw.reshape(-1), db, 0, rows)
        return dw, db
    totals, bias_totals = aligned_empty((workers, dw.size)), aligned_empty((workers, channels))
    collect_in_parallel(*arguments, totals, bias_totals, rows)
    return np.add.reduce(totals, out=dw.reshape(-1)).reshape(w_shape), bias_totals.sum(axis=0)
