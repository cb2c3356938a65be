"""Augmentation of one image: the affine warp, one row of the output at a time, and the channel shift.

NumPy makes arrays of all coordinates, neighbours and weights. Here they are made for one row, in loops that the compiler
vectorises, and then each pixel is mixed from its four neighbours, all channels in one vector:

    a row      j -> r, s -> where above and left meet, weights down and right
    a pixel    y = mix(mix(above left, above after, right), mix(below left, below after, right), down)

The image is copied with its last row and column repeated, so that every pixel has a neighbour below and after, always at
the same distance. A vector has more lanes than most pixels have channels: what it writes behind its pixel, the next pixel
overwrites, and behind the last one there is room. Coordinates are float64, the order of operations is the reference's and
no multiply-add is fused, so results are equal bit by bit. One image is one call, on one thread and without the GIL.
"""

import numpy as np

from tinydx.op import kernel_of
from tinydx.ops.image import FILL_MODES, affine_warp, channel_shift, channel_shift_backward
from tinydx_kernels.cpu.memory import aligned_empty, flat, is_float32
from tinydx_kernels.cpu.simd import LANES, broadcast, exact, exact_inline, load, mix, store

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
def along(x, n, stride, mode, start, weight):
    """From the coordinates x on an axis of n pixels: the pixel before, added to the address, and the weight of the next."""
    if mode in (REFLECT, WRAP):
        for k in range(len(x)):
            x[k] = fold(x[k], n, mode)
    last = float(n - 1)
    for k in range(len(x)):
        inside = x[k] if x[k] > 0.0 else 0.0  # NaN too: no address is ever outside
        inside = inside if inside < last else last
        pixel = np.int32(inside)
        start[k] += pixel * np.int32(stride)
        weight[k] = inside - pixel


@exact_inline
def look_up(i, shape, where, memory):
    """All that is known of the pixels of output row i: coordinates, address above left, weights [down, right]."""
    matrix, offset, mode, flip = where
    slope, x, start, weight = memory
    row = shape[0] - 1 - i if flip[0] else i
    start[:] = 0
    for axis in range(2):
        base, shift = matrix[axis, 0] * row, offset[axis]
        for k in range(shape[1]):
            x[axis, k] = base + slope[axis, k] + shift
        stride = shape[2] if axis else (shape[1] + 1) * shape[2]
        along(x[axis], shape[axis], stride, mode, start, weight[axis])
    return x, start, weight


@exact_inline
def memory_of(width, where):
    """Memory for one row, of which the first part stays: what each column adds to the coordinates."""
    matrix, _, _, flip = where
    slope = np.empty((2, width))
    for axis in range(2):
        for k in range(width):
            slope[axis, k] = matrix[axis, 1] * (width - 1 - k if flip[1] else k)
    return slope, np.empty((2, width)), np.empty(width, np.int32), np.empty((2, width), np.float32)


@exact_inline
def outside(x, k, shape):
    return x[0, k] < 0 or x[0, k] > shape[0] - 1 or x[1, k] < 0 or x[1, k] > shape[1] - 1


# ---- the warp ------------------------------------------------------------------------------------------------------


@exact_inline
def row_plain(x, start, weight, below, y, at, channels):
    """One row of the output, y[at:], pixel by pixel and channel by channel; x[... + below] lies one row below."""
    for k in range(len(start)):
        for c in range(channels):
            upper, lower = start[k] + c, start[k] + below + c
            over = (x[upper + channels] - x[upper]) * weight[1, k] + x[upper]
            under = (x[lower + channels] - x[lower]) * weight[1, k] + x[lower]
            y[at + k * channels + c] = (under - over) * weight[0, k] + over


@exact_inline
def row_simd(x, start, weight, below, y, at, channels):
    """The same, LANES channels at a time; of many channels, the last LANES end where the pixel ends."""
    for first in range(0, channels, LANES):
        c = max(0, min(first, channels - LANES))
        for k in range(len(start)):
            upper, lower, right = start[k] + c, start[k] + below + c, broadcast(weight[1, k])
            over = mix(load(x, upper), load(x, upper + channels), right)
            under = mix(load(x, lower), load(x, lower + channels), right)
            store(mix(over, under, broadcast(weight[0, k])), 1, y, at + k * channels + c, 0)


mixed_row = row_simd if LANES else row_plain


@exact_inline
def extend(image, shape, x):
    """Copy the image into x, its last column and row once more, and zeros behind."""
    height, width, channels = shape
    line, wide = width * channels, (width + 1) * channels
    for i in range(height + 1):
        row, source = x[i * wide : (i + 1) * wide], image[min(i, height - 1) * line :]
        for k in range(line):
            row[k] = source[k]
        for c in range(channels):
            row[line + c] = source[line - channels + c]
    x[(height + 1) * wide :] = 0


@exact
def warp(image, shape, where, cval, x, y):
    """y = the image warped; x is memory for the image as `extend` makes it."""
    height, width, channels = shape
    extend(image, shape, x)
    memory = memory_of(width, where)
    for i in range(height):
        points, start, weight = look_up(i, shape, where, memory)
        at = i * width * channels
        mixed_row(x, start, weight, (width + 1) * channels, y, at, channels)
        if where[2] == CONSTANT:
            for k in range(width):
                if outside(points, k, shape):
                    y[at + k * channels : at + (k + 1) * channels] = cval


@exact
def scatter(dy, shape, where, dx):
    """dy shared out to the four neighbours of each pixel, by the weights of the warp."""
    height, width, channels = shape
    memory = memory_of(width, where)
    dx[:] = 0
    for i in range(height):
        points, start, weight = look_up(i, shape, where, memory)
        for k in range(width):
            if where[2] == CONSTANT and outside(points, k, shape):
                continue
            down, right = weight[0, k], weight[1, k]
            for c in range(channels):
                slope = dy[(i * width + k) * channels + c]
                upper, lower = start[k] + c, start[k] + (width + 1) * channels + c
                dx[upper] += slope * (1 - down) * (1 - right)
                dx[upper + channels] += slope * (1 - down) * right
                dx[lower] += slope * down * (1 - right)
                dx[lower + channels] += slope * down * right


def extended_size(height, width, channels):
    return (height + 1) * (width + 1) * channels


def affine_warp_forward(image, *, matrix, offset, fill_mode="nearest", cval=0.0, flip=(False, False)):
    matrix, offset = np.array(matrix, np.float64), np.array(offset, np.float64)
    where = matrix, offset, FILL_MODES.index(fill_mode), (bool(flip[0]), bool(flip[1]))
    x, y = aligned_empty(extended_size(*image.shape) + LANES), aligned_empty(image.size + LANES)
    warp(flat(image), image.shape, where, np.float32(cval), x, y)
    return y[: image.size].reshape(image.shape), (image.shape, where)


def affine_warp_backward(dy, saved):
    shape, where = saved
    height, width, channels = shape
    dx = np.empty((height + 1, width + 1, channels), np.float32)
    scatter(flat(dy), shape, where, dx.reshape(-1))
    dx[-2] += dx[-1]  # the repeated row and column are the last ones
    dx[:, -2] += dx[:, -1]
    return (dx[:-1, :-1].copy(),)


def supports(image, **constants):
    return is_float32(image) and image.size < 2**30  # addresses are int32


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
