"""Copying a band of an image together with its border, so that kernels need not ask where the image ends."""

import math

import numpy as np
from numba import get_num_threads
from tinydx_kernels.cpu.simd import jit

SLACK = 64  # floats behind a buffer that a register block may read (and then ignores)
BAND = 192  # about so many output pixels make a band


def rows_of_band(images, rows, columns, pixels=BAND):
    """Rows of a band: about `pixels` of them, and so many bands that every thread gets as many as the others."""
    threads = get_num_threads()
    share = threads // math.gcd(images, threads)  # the bands of an image must be a multiple of it
    bands = -(-max(1, round(rows * columns / pixels)) // share) * share
    return -(-rows // bands)


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
        row[first * channels : last * channels] = x[start + first * channels : start + last * channels]
        row[last * channels :] = 0


@jit
def unpool_band(dy, y, winner, shape, image, top, left, rows, columns, buffer):
    """The same for an image that exists only after ReLU and 2x2 max pooling: its gradient before both.

    dy, y, winner: pooled, shape (rows, columns, channels). A pixel has its window's gradient where it was the winner
    and y > 0, else zero; so has every pixel outside.
    """
    height, width, channels = shape
    buffer[: rows * columns * channels] = 0
    for r in range(rows):
        i, half = (top + r) >> 1, (top + r) & 1
        if not 0 <= i < height:
            continue
        for j in range(max(0, left >> 1), min(width, (left + columns + 1) >> 1)):
            at = ((image * height + i) * width + j) * channels
            slope, pooled, best = dy[at : at + channels], y[at : at + channels], winner[at : at + channels]
            for side in range(2):
                column = 2 * j + side - left
                if 0 <= column < columns:
                    to = (r * columns + column) * channels
                    pixel, k = buffer[to : to + channels], 2 * half + side
                    for c in range(channels):
                        pixel[c] = slope[c] * np.float32((best[c] == k) & (pooled[c] > 0))
