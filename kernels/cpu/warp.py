"""Augmentation of one image: the affine warp, one row of the output at a time, and the channel shift.

NumPy makes arrays of all coordinates, neighbours and weights. Here they are made for one row, in loops that the compiler
vectorises, and then each pixel is mixed from its four neighbours, all channels in one vector:

    a row      j -> r, s -> addresses above + left, steps to `below` and `after`, weights down and right
    a pixel    y = mix(mix(above left, above after, right), mix(below left, below after, right), down)

A vector has more lanes than most pixels have channels. What it writes behind its pixel, the next pixel overwrites; behind
the last one there is room, for which the image is copied. Coordinates are float64, the order of operations is the
reference's and no multiply-add is fused, so results are equal bit by bit. One image is one call, on one thread and
without the GIL: whoever has many images calls from several threads.
"""

import numpy as np
from tinydx_kernels.cpu.memory import aligned_empty, flat, is_float32
from tinydx_kernels.cpu.simd import LANES, broadcast, exact, exact_inline, load, mix, store

from tinydx.op import kernel_of
from tinydx.ops.image import FILL_MODES, affine_warp, channel_shift, channel_shift_backward

NEAREST, CONSTANT, REFLECT, WRAP = range(len(FILL_MODES))

# ---- where a row comes from ----------------------------------------------------------------------------------------


@exact_inline
def fold(x, n, mode):
    """A coordinate brought to an axis of n pixels as the fill mode says, to rounding."""
    last = float(n - 1)
    if mode == REFLECT:
        return n - abs((x + 0.5) % (2 * n) - n) - 0.5
    if x < 0 and n > 1:
        x = x + last * (np.floor(-x / last) + 1)
    if x > last and n > 1:
        x = x - last * np.floor(x / last)
    return x


@exact_inline
def along(x, n, stride, mode, start, step, weight):
    """From the coordinates x on an axis of n pixels: address of the pixel before, step to the next one, its weight."""
    if mode in (REFLECT, WRAP):
        for k in range(len(x)):
            x[k] = fold(x[k], n, mode)
    last = float(n - 1)
    for k in range(len(x)):
        inside = x[k] if x[k] > 0.0 else 0.0  # NaN too: no address is ever outside
        inside = inside if inside < last else last
        pixel = np.int32(inside)
        start[k] = pixel * np.int32(stride)
        step[k] = np.int32(stride) if pixel < np.int32(n - 1) else np.int32(0)
        weight[k] = inside - pixel


@exact_inline
def look_up(i, shape, matrix, offset, mode, flip, x, start, step, weight):
    """All that is known of the pixels of output row i, in rows [vertical, horizontal] of the arrays."""
    height, width, channels = shape
    row = height - 1 - i if flip[0] else i
    for axis in range(2):
        base, slope, shift = matrix[axis, 0] * row, matrix[axis, 1], offset[axis]
        for k in range(width):
            column = width - 1 - k if flip[1] else k
            x[axis, k] = base + slope * np.int32(column) + shift
        stride = channels if axis else width * channels
        along(x[axis], shape[axis], stride, mode, start[axis], step[axis], weight[axis])


@exact_inline
def outside(x, k, shape):
    return x[0, k] < 0 or x[0, k] > shape[0] - 1 or x[1, k] < 0 or x[1, k] > shape[1] - 1


# ---- the warp ------------------------------------------------------------------------------------------------------


@exact_inline
def row_plain(x, start, step, weight, y, at, channels):
    """One row of the output, y[at:], pixel by pixel and channel by channel."""
    for k in range(start.shape[1]):
        for c in range(channels):
            upper, below, after = start[0, k] + start[1, k] + c, step[0, k], step[1, k]
            over = (x[upper + after] - x[upper]) * weight[1, k] + x[upper]
            under = (x[upper + below + after] - x[upper + below]) * weight[1, k] + x[upper + below]
            y[at + k * channels + c] = (under - over) * weight[0, k] + over


@exact_inline
def row_simd(x, start, step, weight, y, at, channels):
    """The same, LANES channels at a time; of many channels, the last LANES end where the pixel ends."""
    for first in range(0, channels, LANES):
        c = max(0, min(first, channels - LANES))
        for k in range(start.shape[1]):
            upper, below, after = start[0, k] + start[1, k] + c, step[0, k], step[1, k]
            right, lower = broadcast(weight[1, k]), upper + below
            over = mix(load(x, upper), load(x, upper + after), right)
            under = mix(load(x, lower), load(x, lower + after), right)
            store(mix(over, under, broadcast(weight[0, k])), 1, y, at + k * channels + c, 0)


mixed_row = row_simd if LANES else row_plain


@exact_inline
def scratch(width):
    """Memory of `look_up` for one row."""
    two = (2, width)
    return np.empty(two), np.empty(two, np.int32), np.empty(two, np.int32), np.empty(two, np.float32)


@exact
def warp(image, shape, matrix, offset, mode, flip, cval, y):
    height, width, channels = shape
    x, start, step, weight = scratch(width)
    for i in range(height):
        look_up(i, shape, matrix, offset, mode, flip, x, start, step, weight)
        at = i * width * channels
        mixed_row(image, start, step, weight, y, at, channels)
        if mode == CONSTANT:
            for k in range(width):
                if outside(x, k, shape):
                    y[at + k * channels : at + (k + 1) * channels] = cval


@exact
def scatter(dy, shape, matrix, offset, mode, flip, dx):
    """dy shared out to the four neighbours of each pixel, by the weights of the warp."""
    height, width, channels = shape
    x, start, step, weight = scratch(width)
    dx[:] = 0
    for i in range(height):
        look_up(i, shape, matrix, offset, mode, flip, x, start, step, weight)
        for k in range(width):
            if mode == CONSTANT and outside(x, k, shape):
                continue
            down, right = weight[0, k], weight[1, k]
            for c in range(channels):
                slope = dy[(i * width + k) * channels + c]
                upper = start[0, k] + start[1, k] + c
                lower, after = upper + step[0, k], step[1, k]
                dx[upper] += slope * (1 - down) * (1 - right)
                dx[upper + after] += slope * (1 - down) * right
                dx[lower] += slope * down * (1 - right)
                dx[lower + after] += slope * down * right


def affine_warp_forward(image, *, matrix, offset, fill_mode="nearest", cval=0.0, flip=(False, False)):
    matrix, offset = np.array(matrix, np.float64), np.array(offset, np.float64)
    where = image.shape, matrix, offset, FILL_MODES.index(fill_mode), (bool(flip[0]), bool(flip[1]))
    x, y = aligned_empty(image.size + LANES), aligned_empty(image.size + LANES)
    x[: image.size], x[image.size :] = image.reshape(-1), 0
    warp(x, *where, np.float32(cval), y)
    return y[: image.size].reshape(image.shape), where


def affine_warp_backward(dy, saved):
    dx = aligned_empty(dy.shape)
    scatter(flat(dy), *saved, dx.reshape(-1))
    return (dx,)


def supports(image, **constants):
    return is_float32(image) and image.size < 2**31  # addresses are int32


kernel_of(affine_warp, "numba", affine_warp_forward, affine_warp_backward, supports)

# ---- the channel shift ---------------------------------------------------------------------------------------------


@exact
def shift(x, intensity, lowest, highest, y):
    """Both limits are NaN where a pixel is: then so is all of y, as with np.clip."""
    for k in range(len(x)):
        moved = x[k] + intensity
        moved = moved if moved >= lowest else lowest
        y[k] = moved if moved <= highest else highest


def channel_shift_forward(image, *, intensity):
    y, lowest, highest = aligned_empty(image.shape), image.min(), image.max()
    shift(flat(image), np.float32(intensity), lowest, highest, y.reshape(-1))
    return y, (image, intensity, lowest, highest)


kernel_of(channel_shift, "numba", channel_shift_forward, channel_shift_backward, supports)
