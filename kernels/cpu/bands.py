"""Copying a band of an image together with its border, so that kernels need not ask where the image ends."""

import numpy as np

from tinydx_kernels.cpu.simd import (
    LANES,
    WIDTH,
    broadcast,
    inline,
    jit,
    join,
    load,
    load_bytes,
    part,
    store,
    where_equal,
    where_larger,
)

SLACK = 64  # floats behind a buffer that a register block may read (and then ignores)
BAND = 192  # about so many output pixels make a band


def rows_of_band(rows, columns, threads, pixels=BAND):
    """Rows of a band, of `rows` in all images together: about `pixels` pixels, and as many bands for every thread."""
    bands = -(-max(1, round(rows * columns / pixels)) // threads) * threads
    return -(-rows // bands)


@inline
def copy_plain(x, i, y, j, count):
    """y[j:] = x[i:], `count` numbers."""
    for k in range(count):
        y[j + k] = x[i + k]


@inline
def copy_simd(x, i, y, j, count):
    """The same by vectors: of an assignment between slices Numba makes a loop over single numbers."""
    whole = count // LANES * LANES
    for k in range(0, whole, LANES):
        store(load(x, i + k), 1, y, j + k, 0)
    for k in range(whole, count):
        y[j + k] = x[i + k]


copy_piece = copy_simd if LANES else copy_plain


@jit
def copy_band(x, shape, image, top, left, rows, columns, buffer):
    """Rows `top` to top + rows and columns `left` to left + columns of an image; what is outside becomes zero."""
    height, width, channels = shape
    line = columns * channels
    first, last = max(0, -left), min(columns, width - left)  # the columns that exist
    for r in range(rows):
        row = buffer[r * line : (r + 1) * line]
        if not 0 <= top + r < height or first >= last:
            row[:] = 0
            continue
        start = ((image * height + top + r) * width + left) * channels
        row[: first * channels] = 0
        copy_piece(x, start + first * channels, buffer, r * line + first * channels, (last - first) * channels)
        row[last * channels :] = 0


@jit
def lay_out(x, shape, border, step, window, grid, row, rows, buffer, at):
    """at[m]: the address of the window of every pixel of output rows `row` to row + rows of a grid (N, rows, columns).

    Rows are counted through all images, so that a band may hold the end of one image and the beginning of the next.
    If there is a buffer, the band and its border are copied there, and addresses are meant in it; else in x.
    """
    columns, used, m = (grid[2] - 1) * step[1] + window[1], 0, 0
    while rows > 0:
        image, i = row // grid[1], row % grid[1]
        count = min(rows, grid[1] - i)
        start, line = (image * shape[0] + i * step[0]) * shape[1] * shape[2], shape[1] * shape[2]
        if buffer.size:
            high = (count - 1) * step[0] + window[0]
            copy_band(x, shape, image, i * step[0] - border[0], -border[1], high, columns, buffer[used:])
            start, line = used, columns * shape[2]
            used += high * line
        for r in range(count):
            for j in range(grid[2]):
                at[m] = start + r * step[0] * line + j * step[1] * shape[2]
                m += 1
        row, rows = row + count, rows - count


def size_of_buffer(rows, images, step, window, line):
    """Floats that `lay_out` needs for a band of so many rows of at most so many images, their lines `line` long."""
    return (rows * step[0] + images * max(0, window[0] - step[0])) * line + SLACK


@inline
def unpool_pixel(dy, y, winner, at, k, channels, buffer, to):
    """Pixel k of a window: the window's gradient where it was the winner and y > 0."""
    slope, pooled, best = dy[at : at + channels], y[at : at + channels], winner[at : at + channels]
    pixel = buffer[to : to + channels]
    for c in range(channels):
        pixel[c] = slope[c] if (best[c] == k) & (pooled[c] > 0) else np.float32(0)


@inline
def unpooled(dy, y, winner, at):
    """The four pixels of a window at once, a vector of channels from `at` on: each the window's gradient or zero."""
    zero = broadcast(np.float32(0))
    slope, best = where_larger(load(y, at), zero, load(dy, at), zero), load_bytes(winner, at)
    return join(
        (
            where_equal(best, zero, slope, zero),
            where_equal(best, broadcast(np.float32(1)), slope, zero),
            where_equal(best, broadcast(np.float32(2)), slope, zero),
            where_equal(best, broadcast(np.float32(3)), slope, zero),
        )
    )


@inline
def unpool_window(dy, y, winner, at, channels, buffer, to, line):
    """All channels of a window, written to the upper and lower line of a buffer."""
    for c in range(0, channels, LANES):
        pixels = unpooled(dy, y, winner, at + c)
        store(join((part(pixels, 0), part(pixels, 1))), 2, buffer, to + c, channels)
        store(join((part(pixels, 2), part(pixels, 3))), 2, buffer, to + line + c, channels)


@jit
def unpool_band(dy, y, winner, shape, image, top, left, rows, columns, buffer):
    """The same for an image that exists only after ReLU and 2x2 max pooling: its gradient before both.

    dy, y, winner: pooled, shape (rows, columns, channels). A pixel has its window's gradient where it was the winner
    and y > 0, else zero; so has every pixel outside.
    """
    height, width, channels = shape
    if top < 0 or left < 0 or top + rows > 2 * height or left + columns > 2 * width:
        buffer[: rows * columns * channels] = 0
    for i in range(max(0, top >> 1), min(height, (top + rows + 1) >> 1)):
        for j in range(max(0, left >> 1), min(width, (left + columns + 1) >> 1)):
            at, r, q = ((image * height + i) * width + j) * channels, 2 * i - top, 2 * j - left
            if LANES and channels % WIDTH == 0 and r >= 0 and q >= 0 and r + 2 <= rows and q + 2 <= columns:
                unpool_window(dy, y, winner, at, channels, buffer, (r * columns + q) * channels, columns * channels)
                continue
            for k in range(4):
                row, column = r + (k >> 1), q + (k & 1)
                if 0 <= row < rows and 0 <= column < columns:
                    unpool_pixel(dy, y, winner, at, k, channels, buffer, (row * columns + column) * channels)
