"""Depthwise convolution: every channel has a kernel of its own (groups = channels), so vectors run over channels.

    y[out[m], c] = b[c] + sum over taps t of  x[at[m] + tap[t] + c] * w[t, c]
    dw[t, c]     = sum over pixels m of       x[at[m] + tap[t] + c] * dy[m, c]

A register block is ROW_BLOCK pixels (forward, dX) or taps (dW) times one vector of channels. The bands, their borders
and the addresses `at`, `out`, `tap` are those of convolution.py, which calls the functions here.
"""

from tinydx_kernels.cpu.simd import LANES, WIDTH, inline, jit, load, load_rows, multiply_at, repeat_rows, store, store_at

ROW_BLOCK = 9  # the taps of a 3x3 kernel


@inline
def pixels_plain(x, at, m, taps, w, channels, bias, c, width, y, out, rows, edge):
    """ROW_BLOCK pixels of `width` channels, as plain loops."""
    for r in range(rows):
        row = y[out[m + r] + c : out[m + r] + c + width]
        row[:] = bias[c : c + width]
        for t in range(len(taps)):
            pixel, weight = x[at[m + r] + taps[t] + c :], w[t * channels + c :]
            for lane in range(width):
                row[lane] += pixel[lane] * weight[lane]


@inline
def pixels_simd(x, at, m, taps, w, channels, bias, c, width, y, out, rows, edge):
    """The same in registers."""
    block = repeat_rows(load(bias, c), ROW_BLOCK)
    for t in range(len(taps)):
        block = multiply_at(block, x, at, m, taps[t] + c, w, t * channels + c)
    if rows == ROW_BLOCK and width == WIDTH:
        store_at(block, ROW_BLOCK, y, out, m, c)
    else:
        store(block, ROW_BLOCK, edge, 0, WIDTH)
        for r in range(rows):
            for lane in range(width):
                y[out[m + r] + c + lane] = edge[r * WIDTH + lane]


pixels_tile = pixels_simd if LANES else pixels_plain


@jit
def depthwise_band(x, at, pixels, taps, w, channels, bias, y, out, edge):
    """All pixels and channels of a band."""
    for c in range(0, channels, WIDTH):
        for m in range(0, pixels, ROW_BLOCK):
            width, rows = min(WIDTH, channels - c), min(ROW_BLOCK, pixels - m)
            pixels_tile(x, at, m, taps, w, channels, bias, c, width, y, out, rows, edge)


@inline
def taps_plain(x, base, a_step, dy, b, b_step, size, taps, t, total):
    """total[t + r] += sum over the pixels of a band of x dy, for ROW_BLOCK taps, as plain loops."""
    for i in range(size[0]):
        for j in range(size[1]):
            for r in range(ROW_BLOCK):
                pixel, slope = x[base + i * a_step[0] + j * a_step[1] + taps[t + r] :], dy[b + i * b_step[0] + j * b_step[1] :]
                sums = total[(t + r) * WIDTH :]
                for lane in range(WIDTH):
                    sums[lane] += pixel[lane] * slope[lane]


@inline
def taps_simd(x, base, a_step, dy, b, b_step, size, taps, t, total):
    """The same in registers."""
    block = load_rows(ROW_BLOCK, ROW_BLOCK, total, t * WIDTH, WIDTH)
    for i in range(size[0]):
        for j in range(size[1]):
            block = multiply_at(block, x, taps, t, base + i * a_step[0] + j * a_step[1], dy, b + i * b_step[0] + j * b_step[1])
    store(block, ROW_BLOCK, total, t * WIDTH, WIDTH)


taps_tile = taps_simd if LANES else taps_plain


@jit
def depthwise_collect(x, base, a_step, dy, b, b_step, size, taps, channels, total, bias_total):
    """Add a band to total[channel block, tap, lane] and bias_total; taps are padded to whole blocks."""
    for c in range(0, channels, WIDTH):
        part = total[c * len(taps) :]
        for t in range(0, len(taps), ROW_BLOCK):
            taps_tile(x, base + c, a_step, dy, b + c, b_step, size, taps, t, part)
    for i in range(size[0]):
        for j in range(size[1]):
            row = dy[b + i * b_step[0] + j * b_step[1] :]
            for c in range(channels):
                bias_total[c] += row[c]
