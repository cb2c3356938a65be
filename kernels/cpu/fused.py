"""Convolution + bias + ReLU + 2x2 max pooling as one kernel: the full-size activation never exists.

Forward writes the pooled image and, for each of its numbers, the winner of its window (0..3, one byte).
Backward uses that only the winners of windows with y > 0 have a gradient, one pixel of four at most:

* dW walks over those winners only. For a filter f all of dw[:, :, :, f] is in registers (or a part of it), and a
  winner adds its gradient times the patch of the image that it was made from:

      dw[p, q, c, f] += g * x[patch + p * line + q * C + c]        over a list of the winners of f

* dX gives the gradient back to full size in a small buffer, band by band, where Winograd reads it.
"""

import numpy as np
from numba import get_num_threads, prange
from tinydx_kernels.cpu import convolution, winograd
from tinydx_kernels.cpu.bands import SLACK, copy_band, unpool_band
from tinydx_kernels.cpu.memory import CACHE_LINE, aligned_empty, contiguous, is_float32
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
    scaled_rows,
    store,
    store_at,
    store_bytes,
    where_larger,
    zeros,
)

from tinydx.op import kernel_of
from tinydx.ops.convolution import output_size, padding_2d, pair
from tinydx.ops.fused import conv2d_relu_max_pool2d, correlate2d_relu_max_pool2d

f32 = np.float32
PANEL = COLUMNS * WIDTH
CELLS = 1 if LANES == 8 else 3  # windows of a register block, four pixels each
PIXELS = 4 * CELLS
L1 = 40 << 10  # bytes of x that stay in the L1 cache beside the rest
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
        pooled_bands(worker, x, shape, border, step, taps, run, window, w, bias, y, winner, size, filters, rows, work)


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


# ---- dW ------------------------------------------------------------------------------------------------------------

CHUNK = 4 if LANES == 8 else 6  # vectors of a run at a time
WIDE = 3 * CHUNK
SPAN = CHUNK * WIDTH


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
    """The same in registers: 3 rows of the kernel x CHUNK vectors, or 3 rows x 1, or one vector."""
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
    else:
        for k in range(0, span, WIDTH):
            one = load_rows(1, 1, total, t + k, 0)
            for e in range(first, last):
                one = scaled_rows(one, 1, g[e], x, at[e] + start + k, 0)
            store(one, 1, total, t + k, 0)


collect_winners = winners_simd if LANES else winners_plain


@jit
def list_winners(dy, y, winner, first, size, band, steps, g, at, end):
    """For each filter the winners of a band: their gradients, and where in x their patches begin.

    The lists have room for all windows; `end` tells where each stops. A gradient of zero is not listed.
    """
    right, down, filters = steps[1], steps[2], size[2]
    for f in range(filters):
        end[f] = f * band * size[1]
    for i in range(band):
        for j in range(size[1]):
            window, corner = first + (i * size[1] + j) * filters, steps[0] + 2 * (i * down + j * right)
            slopes, values = dy[window : window + filters], y[window : window + filters]
            best = winner[window : window + filters]
            for f in range(filters):
                k, slope = np.int64(best[f]), slopes[f] if values[f] > 0 else f32(0)
                e = end[f]
                g[e] = slope
                at[e] = corner + (k & 1) * right + (k >> 1) * down
                end[f] = e + (slope != 0)  # a zero is overwritten by the next


@jit
def add_winners(x, dy, y, winner, at, size, band, steps, line, total):
    """For short runs: dw of a filter is three vectors, which come from and go to the L1 cache; window after window."""
    right, down = steps[1], steps[2]
    for i in range(band):
        for j in range(size[1]):
            window, corner = at + (i * size[1] + j) * size[2], steps[0] + 2 * (i * down + j * right)
            slopes, values = dy[window : window + size[2]], y[window : window + size[2]]
            best = winner[window : window + size[2]]
            for f in range(size[2]):
                k, g = np.int64(best[f]), slopes[f] if values[f] > 0 else f32(0)
                patch = corner + (k & 1) * right + (k >> 1) * down
                block = scaled_rows(load_rows(3, 3, total, f * 3 * WIDTH, WIDTH), 3, g, x, patch, line)
                store(block, 3, total, f * 3 * WIDTH, WIDTH)


@jit
def winners_of_worker(worker, x, shape, border, step, window, taps, runs, dy, y, winner, size, rows, totals, bias_totals, work):
    """totals[worker]: for each filter, tap and span of a run the sums over every so-many-th band."""
    total, bias_total = totals[worker], bias_totals[worker]
    g, places, end, buffer = work[0][worker], work[1][worker], work[2][worker], work[3][worker]
    kernel_rows, run = runs
    total[:] = 0
    bias_total[:] = 0
    bands, channels = (size[0] + rows - 1) // rows, shape[2]
    columns = (2 * size[1] - 1) * step[1] + window[1]
    for item in range(worker, len(y) // (size[0] * size[1] * size[2]) * bands, len(totals)):
        image, i = item // bands, item % bands * rows
        band = min(rows, size[0] - i)
        at = (image * size[0] + i) * size[1] * size[2]
        source, line, base = x, shape[1] * channels, (image * shape[0] + 2 * i * step[0]) * shape[1] * channels
        if buffer.size:
            top = 2 * i * step[0] - border[0]
            copy_band(x, shape, image, top, -border[1], (2 * band - 1) * step[0] + window[0], columns, buffer)
            source, line, base = buffer, columns * channels, 0
        for cell in range(band * size[1]):
            row = slice(at + cell * size[2], at + (cell + 1) * size[2])
            slopes, values = dy[row], y[row]
            for f in range(size[2]):
                bias_total[f] += slopes[f] if values[f] > 0 else f32(0)
        steps = base, step[1] * channels, step[0] * line
        if LANES and kernel_rows == 3 and len(taps) == 1 and run <= WIDTH and window[2] == 1:
            add_winners(source, dy, y, winner, at, size, band, steps, line, total)
            continue
        list_winners(dy, y, winner, at, size, band, steps, g, places, end)
        t = 0
        for f in range(size[2]):
            for tap in taps:
                k = 0
                while k < run:
                    span = SPAN if run - k >= SPAN else WIDTH
                    first = f * band * size[1]
                    collect_winners(source, g, places, first, end[f], tap + k, kernel_rows, line * window[2], total, t, span)
                    t += kernel_rows * span
                    k += span


@parallel
def all_winners(x, shape, border, step, window, taps, runs, dy, y, winner, size, rows, totals, bias_totals, work):
    for worker in prange(len(totals)):
        winners_of_worker(
            worker, x, shape, border, step, window, taps, runs, dy, y, winner, size, rows, totals, bias_totals, work
        )


def gradient_of_w(x, dy, y, winner, w_shape, border, stride, dilation):
    """dW and db from the winners alone."""
    (n, height, width, channels), (kh, kw, c, f), (dh, dw) = x.shape, w_shape, dilation
    size = y.shape[1:]
    positions = np.zeros((1, 2), int) if dw == 1 else np.array([(0, q) for q in range(kw)])
    run, kernel_rows = (kw * c, kh) if dw == 1 else (c, kh)
    if kh != 3:  # registers hold 3 rows of a kernel, or one
        positions, kernel_rows = np.array([(p, q) for p in range(kh) for q in positions[:, 1]]), 1
    window = (kh - 1) * dh + 1, (kw - 1) * dw + 1, dh
    corner, columns = (border[0][0], border[1][0]), (2 * size[1] - 1) * stride[1] + window[1]
    fits = corner == (0, 0) and (2 * size[0] - 1) * stride[0] + window[0] <= height and columns <= width
    fits = fits and run % WIDTH == 0 and x.ctypes.data % CACHE_LINE == 0  # vectors across two cache lines take twice as long
    line = (width if fits else columns) * channels
    taps = np.array([p * dh * line + q * dw * channels for p, q in positions], np.int64)
    spans = [SPAN] * (run // SPAN) + [WIDTH] * -(-(run % SPAN) // WIDTH)

    # A filter's list walks over the whole band, for every filter again: the band should fit into L1.
    rows = min(size[0], max(1, (L1 // (4 * line) - window[0] + stride[0]) // (2 * stride[0])))
    workers = max(1, min(get_num_threads(), n * -(-size[0] // rows)))
    high = (2 * rows - 1) * stride[0] + window[0]
    room = f * rows * size[1] + 1
    work = (
        aligned_empty((workers, room)),
        np.empty((workers, room), np.int64),
        np.empty((workers, f), np.int64),
        aligned_empty((workers, 0 if fits else -(-(high * line + SLACK) // 16) * 16)),
    )
    totals = aligned_empty((workers, f * len(taps) * kernel_rows * sum(spans)))
    bias_totals = aligned_empty((workers, f))
    all_winners(
        x.reshape(-1), x.shape[1:], corner, stride, window, taps, (kernel_rows, run), dy.reshape(-1), y.reshape(-1),
        winner.reshape(-1), size, rows, totals, bias_totals, work,
    )  # fmt: skip
    dw_ = totals.sum(axis=0).reshape(f, len(taps), -1)
    parts, at = [], 0  # of each span: (f, taps, kernel rows, span)
    for span in spans:
        parts.append(dw_[:, :, at : at + kernel_rows * span].reshape(f, len(taps), kernel_rows, span))
        at += kernel_rows * span
    rowwise = np.concatenate(parts, axis=-1)[..., :run]  # (f, taps, kernel rows, run)
    ordered = rowwise.transpose(2, 1, 3, 0) if kernel_rows > 1 else rowwise.transpose(1, 2, 3, 0)
    return np.ascontiguousarray(ordered).reshape(w_shape), bias_totals.sum(axis=0)


# ---- dX ------------------------------------------------------------------------------------------------------------


@parallel
def unpool(dy, y, winner, shape, size, full):
    """full: the gradient before ReLU and pooling, of size (rows, columns) an image."""
    for image in prange(len(dy) // (shape[0] * shape[1] * shape[2])):
        pixels = size[0] * size[1] * shape[2]
        unpool_band(dy, y, winner, shape, image, 0, 0, size[0], size[1], full[image * pixels : (image + 1) * pixels])


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
