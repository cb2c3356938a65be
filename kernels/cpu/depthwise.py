"""Depthwise convolution: every channel has a kernel of its own (groups = channels), so vectors run over channels.

    y[m, c]  = b[c] + sum over taps t of  x[pixel m moved by tap t, c] * w[t, c]
    dw[t, c] = sum over pixels m of       x[pixel m moved by tap t, c] * dy[m, c]

A register block is PIXELS neighbours of a row (forward, dX) or TAPS kernel positions (dW) times one vector of channels.
Channels are the inner loop: they lie next to each other in memory, which is then read and written from end to end.

             channels ->
    pixel 0  [ vector 0 | vector 1 | ...      A last block that would reach over the end of the row or of the channels
    pixel 1  [ vector 0 | ...                 is moved back: it computes some numbers twice, and needs no special case.
"""

import numpy as np
from numba import get_num_threads, prange
from tinydx_kernels.cpu.bands import copy_band, rows_of_band
from tinydx_kernels.cpu.memory import aligned_empty, contiguous
from tinydx_kernels.cpu.simd import (
    LANES,
    WIDTH,
    inline,
    jit,
    load,
    load_rows,
    multiply_at,
    multiply_rows,
    parallel,
    repeat_rows,
    store,
)

PIXELS = 4
TAPS = 9  # of a 3x3 kernel
BUFFER = 1 << 15  # floats of a band: with a border around it, it stays in the L2 cache

# ---- forward and dX ------------------------------------------------------------------------------------------------


@inline
def pixels_plain(x, at, step, taps, w, channels, bias, c, y, out, out_step, rows, width):
    """`rows` pixels of `width` channels, as plain loops."""
    for r in range(rows):
        row = y[out + r * out_step + c : out + r * out_step + c + width]
        row[:] = bias[c : c + width]
        for t in range(len(taps)):
            pixel, weight = x[at + r * step + taps[t] + c :], w[t * channels + c :]
            for lane in range(width):
                row[lane] += pixel[lane] * weight[lane]


@inline
def pixels_simd(x, at, step, taps, w, channels, bias, c, y, out, out_step, rows, width):
    """PIXELS pixels of WIDTH channels in registers."""
    block = repeat_rows(load(bias, c), PIXELS)
    for t in range(len(taps)):
        block = multiply_rows(block, PIXELS, x, at + taps[t] + c, step, w, t * channels + c)
    store(block, PIXELS, y, out + c, out_step)


pixels_tile = pixels_simd if LANES else pixels_plain


@jit
def pixels_of_band(x, line, base, step, taps, w, channels, bias, y, out_base, out_step, size):
    """One band of size (rows, columns)."""
    rows, width = min(PIXELS, size[1]), min(WIDTH, channels)
    for i in range(size[0]):
        for j in range(0, size[1], PIXELS):
            first = min(j, size[1] - rows)
            at, out = base + i * step[0] * line + first * step[1], out_base + i * out_step[0] + first * out_step[1]
            for c in range(0, channels, WIDTH):
                lane = min(c, channels - width)
                if rows == PIXELS and width == WIDTH:
                    pixels_tile(x, at, step[1], taps, w, channels, bias, lane, y, out, out_step[1], rows, width)
                else:
                    pixels_plain(x, at, step[1], taps, w, channels, bias, lane, y, out, out_step[1], rows, width)


@parallel
def gather(x, shape, border, step, taps, window, w, bias, y, y_shape, y_start, y_step, grid, rows, buffers):
    """y at the pixels of a grid (N, rows, columns), band by band; arguments as convolution.gather."""
    bands = (grid[1] + rows - 1) // rows
    columns = (grid[2] - 1) * step[1] + window[1]
    for worker in prange(len(buffers)):
        buffer = buffers[worker]
        for item in range(worker, grid[0] * bands, len(buffers)):
            image, i = item // bands, item % bands * rows
            size = min(rows, grid[1] - i), grid[2]
            out = ((image * y_shape[0] + y_start[0] + i * y_step[0]) * y_shape[1] + y_start[1]) * y_shape[2]
            source, line, base = x, shape[1] * shape[2], (image * shape[0] + i * step[0]) * shape[1] * shape[2]
            if buffer.size:
                high = (size[0] - 1) * step[0] + window[0]
                copy_band(x, shape, image, i * step[0] - border[0], -border[1], high, columns, buffer)
                source, line, base = buffer, columns * shape[2], 0
            out_step = y_step[0] * y_shape[1] * y_shape[2], y_step[1] * y_shape[2]
            in_step = step[0], step[1] * shape[2]
            pixels_of_band(source, line, base, in_step, taps, w, shape[2], bias, y, out, out_step, size)


def run_gather(x, border, step, taps, w, w_taps, bias, y, y_start, y_step, grid):
    """convolution.run_gather for one channel a group."""
    n, height, width, channels = x.shape
    window = 1 + max((p for p, _ in taps), default=0), 1 + max((q for _, q in taps), default=0)
    columns = (grid[2] - 1) * step[1] + window[1]
    fits = border == (0, 0) and (grid[1] - 1) * step[0] + window[0] <= height and columns <= width
    line = (width if fits else columns) * channels
    rows = rows_of_band(*grid, BUFFER // (step[0] * step[1] * channels))
    high = (rows - 1) * step[0] + window[0]
    workers = min(get_num_threads(), grid[0] * -(-grid[1] // rows))
    gather(
        x.reshape(-1), x.shape[1:], border, step, np.array([p * line + q * channels for p, q in taps], np.int64), window,
        w.reshape(-1, channels)[[offset // channels for offset in w_taps]].reshape(-1),
        np.zeros(channels, np.float32) if bias is None else contiguous(bias), y.reshape(-1), y.shape[1:],
        y_start, y_step, grid, rows, aligned_empty((workers, 0 if fits else high * line)),
    )  # fmt: skip


# ---- dW ------------------------------------------------------------------------------------------------------------


@inline
def taps_plain(x, base, a_step, dy, b, b_step, size, taps, t, total):
    """total[t + r] += sum over the pixels of a band of x dy, for TAPS taps, as plain loops."""
    for i in range(size[0]):
        for j in range(size[1]):
            for r in range(TAPS):
                pixel, slope = x[base + i * a_step[0] + j * a_step[1] + taps[t + r] :], dy[b + i * b_step[0] + j * b_step[1] :]
                sums = total[(t + r) * WIDTH :]
                for lane in range(WIDTH):
                    sums[lane] += pixel[lane] * slope[lane]


@inline
def taps_simd(x, base, a_step, dy, b, b_step, size, taps, t, total):
    """The same in registers."""
    block = load_rows(TAPS, TAPS, total, t * WIDTH, WIDTH)
    for i in range(size[0]):
        for j in range(size[1]):
            block = multiply_at(block, x, taps, t, base + i * a_step[0] + j * a_step[1], dy, b + i * b_step[0] + j * b_step[1])
    store(block, TAPS, total, t * WIDTH, WIDTH)


taps_tile = taps_simd if LANES else taps_plain


@jit
def collect_band(x, base, a_step, dy, b, b_step, size, taps, channels, total, bias_total):
    """Add a band to total[channel block, tap, lane] and bias_total; taps are padded to whole blocks."""
    for c in range(0, channels, WIDTH):
        part = total[c * len(taps) :]
        for t in range(0, len(taps), TAPS):
            taps_tile(x, base + c, a_step, dy, b + c, b_step, size, taps, t, part)
    for i in range(size[0]):
        for j in range(size[1]):
            row = dy[b + i * b_step[0] + j * b_step[1] :]
            for c in range(channels):
                bias_total[c] += row[c]
