"""Copying part of an image together with its border, so that kernels need not check where the image ends.

A band is a few output rows, counted through all images of a batch, and the pixels that their windows read.
"""

from typing import NamedTuple

import numpy as np

from tinydx_kernels.cpu.simd import (
    LANES,
    WIDTH,
    broadcast,
    inline,
    jit,
    join,
    lean,
    load,
    load_bytes,
    part,
    store,
    where_equal,
    where_larger,
)

SLACK = 64  # floats behind a buffer that a register block may read (and then ignores)
BAND = 192  # output pixels of a band, approximately


class Part(NamedTuple):
    """A rectangle of one image; it may reach beyond the image, where pixels are zero."""

    image: int
    top: int  # its first row
    left: int  # its first column
    rows: int
    columns: int


class Pooled(NamedTuple):
    """A gradient after ReLU and 2x2 max pooling, and what undoes both; all flat, (N,PH,PW,C)."""

    dy: np.ndarray
    y: np.ndarray  # the pooled image
    winner: np.ndarray  # uint8: which pixel of the window was the maximum, 0..3 in row-major order


# ---- how bands are cut ---------------------------------------------------------------------------------------------


def rows_of_band(rows, columns, threads):
    """Output rows of a band, of `rows` in all images together: about BAND pixels, and equally many bands for each thread."""
    bands = -(-max(1, round(rows * columns / BAND)) // threads) * threads
    return -(-rows // bands)


def reads_inside(geometry):
    """Whether every window lies inside the image: then nothing is copied."""
    g = geometry
    inside = (g.out_h - 1) * g.stride_h + g.reach_h <= g.height and columns_of_band(g) <= g.width
    return g.top == g.left == 0 and inside


def columns_of_band(geometry):
    """Columns that the windows of an output row cover."""
    return (geometry.out_w - 1) * geometry.stride_w + geometry.reach_w


def size_of_buffer(rows, geometry):
    """Floats that `lay_out` needs for a band of `rows` output rows."""
    images = 1 + -(-rows // geometry.out_h)  # at most
    lines = rows * geometry.stride_h + images * max(0, geometry.reach_h - geometry.stride_h)
    return lines * columns_of_band(geometry) * geometry.channels + SLACK


# ---- copying -------------------------------------------------------------------------------------------------------


@inline
def copy_plain(x, i, y, j, count):
    """y[j:] = x[i:], `count` numbers."""
    for k in range(count):
        y[j + k] = x[i + k]


@inline
def copy_simd(x, i, y, j, count):
    """The same by vectors: Numba compiles an assignment between slices to a loop over single numbers."""
    whole = count // LANES * LANES
    for k in range(0, whole, LANES):
        store(load(x, i + k), 1, y, j + k, 0)
    for k in range(whole, count):
        y[j + k] = x[i + k]


copy_piece = copy_simd if LANES else copy_plain


@lean
def copy_band(x, shape, area, buffer):
    """buffer (rows, columns, C) = the Part `area` of x, flat images of `shape` (H,W,C); pixels outside are zero."""
    height, width, channels = shape
    image, top, left, rows, columns = area
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


@lean
def lay_out(x, geometry, row, rows, buffer, at):
    """at[m]: the address of the window of each pixel of output rows `row` to row + rows; x (N,H,W,C), flat.

    Rows are counted through all images, so that a band may hold the end of one image and the beginning of the next.
    If the buffer is not empty, the band is copied to it with its border, and addresses point into it; else into x.
    """
    g = geometry
    columns, used, m = (g.out_w - 1) * g.stride_w + g.reach_w, 0, 0
    while rows > 0:
        image, i = row // g.out_h, row % g.out_h
        count = min(rows, g.out_h - i)
        start, line = (image * g.height + i * g.stride_h) * g.width * g.channels, g.width * g.channels
        if buffer.size:
            high = (count - 1) * g.stride_h + g.reach_h
            area = Part(image, i * g.stride_h - g.top, -g.left, high, columns)
            copy_band(x, (g.height, g.width, g.channels), area, buffer[used:])
            start, line = used, columns * g.channels
            used += high * line
        for r in range(count):
            for j in range(g.out_w):
                at[m] = start + r * g.stride_h * line + j * g.stride_w * g.channels
                m += 1
        row, rows = row + count, rows - count


# ---- the gradient before ReLU and 2x2 max pooling ------------------------------------------------------------------


@inline
def unpool_pixel(pooled, at, k, channels, buffer, to):
    """buffer[to:] = pixel k of a window: the window's gradient where k was the winner and y > 0, else zero."""
    dy, y, winner = pooled
    slope, value, best = dy[at : at + channels], y[at : at + channels], winner[at : at + channels]
    pixel = buffer[to : to + channels]
    for c in range(channels):
        pixel[c] = slope[c] if (best[c] == k) & (value[c] > 0) else np.float32(0)


@inline
def unpooled(pooled, at):
    """The four pixels of a window at once, a vector of channels from `at` on: each the window's gradient or zero."""
    dy, y, winner = pooled
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
def unpool_window(pooled, at, channels, buffer, to, line):
    """All channels of a window, written to two lines of a buffer."""
    for c in range(0, channels, LANES):
        pixels = unpooled(pooled, at + c)
        store(join((part(pixels, 0), part(pixels, 1))), 2, buffer, to + c, channels)
        store(join((part(pixels, 2), part(pixels, 3))), 2, buffer, to + line + c, channels)


@jit
def unpool_band(pooled, shape, area, buffer):
    """`copy_band` for the gradient before ReLU and pooling; shape: (PH,PW,C), area: a Part of the image before pooling."""
    height, width, channels = shape
    image, top, left, rows, columns = area
    if top < 0 or left < 0 or top + rows > 2 * height or left + columns > 2 * width:
        buffer[: rows * columns * channels] = 0
    for i in range(max(0, top >> 1), min(height, (top + rows + 1) >> 1)):
        for j in range(max(0, left >> 1), min(width, (left + columns + 1) >> 1)):
            at, r, q = ((image * height + i) * width + j) * channels, 2 * i - top, 2 * j - left
            if LANES and channels % WIDTH == 0 and r >= 0 and q >= 0 and r + 2 <= rows and q + 2 <= columns:
                unpool_window(pooled, at, channels, buffer, (r * columns + q) * channels, columns * channels)
                continue
            for k in range(4):
                row, column = r + (k >> 1), q + (k & 1)
                if 0 <= row < rows and 0 <= column < columns:
                    unpool_pixel(pooled, at, k, channels, buffer, (row * columns + column) * channels)
