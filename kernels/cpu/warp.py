"""Augmentation of one image: the affine warp, one row of the output at a time, and the channel shift.

The reference makes arrays of all coordinates, neighbours and weights. These kernels make them for one row, in loops that
the compiler vectorises, and then mix each pixel from its four neighbours, all channels in one vector:

    a row      j -> r, s -> where above and left meet, weights down and right
    a pixel    y = mix(mix(above left, above after, right), mix(below left, below after, right), down)

The image is copied with its last row and column repeated, so that every pixel has a neighbour below and after, always at
the same distance. A vector has more lanes than most pixels have channels: the next pixel overwrites what a vector writes
behind its own pixel, and behind the last pixel there is room. Coordinates are float64, the order of operations is the
reference's, and no multiply-add is fused, so results are equal bit by bit. One call warps one image, on one thread and
without the GIL.
"""

from typing import NamedTuple

import numpy as np

from tinydx.op import kernel_of
from tinydx.ops.image import FILL_MODES, affine_warp, channel_shift, channel_shift_backward
from tinydx_kernels.cpu.geometry import COUNTS
from tinydx_kernels.cpu.memory import aligned_empty, flat, is_float32
from tinydx_kernels.cpu.simd import LANES, broadcast, exact, exact_inline, load, mix, store

NEAREST, CONSTANT, REFLECT, WRAP = range(len(FILL_MODES))

# ---- where a row comes from ----------------------------------------------------------------------------------------


class Warp(NamedTuple):
    """Output pixel p comes from the image at matrix p + offset."""

    matrix: np.ndarray  # float64 (2,2)
    offset: np.ndarray  # float64 (2,)
    mode: int  # how a coordinate outside of the image is brought inside
    flip: tuple  # whether rows, and columns, of the output are reversed


class Row(NamedTuple):
    """Memory for one output row of W pixels; axis 0 is down, axis 1 along the row."""

    slope: np.ndarray  # float64 (2,W): what each column adds to the coordinates, the same for every row
    x: np.ndarray  # float64 (2,W): coordinates
    start: np.ndarray  # int32 (W): address of the neighbour above left
    weight: np.ndarray  # float32 (2,W): weight of the neighbours below, and after


@exact_inline
def fold(x, n, mode):
    """Bring a coordinate onto an axis of n pixels as the fill mode says, up to rounding."""
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
    """From the coordinates x on an axis of n pixels: add the pixel before to `start`, and set the weight of the next."""
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
def look_up(i, shape, warp, memory):
    """Fill the coordinates, addresses and weights of output row i."""
    slope, x, start, weight = memory
    row = shape[0] - 1 - i if warp.flip[0] else i
    start[:] = 0
    for axis in range(2):
        base, shift = warp.matrix[axis, 0] * row, warp.offset[axis]
        for k in range(shape[1]):
            x[axis, k] = base + slope[axis, k] + shift
        stride = shape[2] if axis else (shape[1] + 1) * shape[2]
        along(x[axis], shape[axis], stride, warp.mode, start, weight[axis])


@exact_inline
def memory_of(width, warp):
    """Memory for a row of `width` pixels, its slope filled."""
    slope = np.empty((2, width))
    for axis in range(2):
        for k in range(width):
            slope[axis, k] = warp.matrix[axis, 1] * (width - 1 - k if warp.flip[1] else k)
    return Row(slope, np.empty((2, width)), np.empty(width, np.int32), np.empty((2, width), np.float32))


@exact_inline
def outside(x, k, shape):
    """Whether pixel k of a row comes from outside of the image."""
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
def warp_image(image, shape, warp, cval, x, y):
    """y = the image (H,W,C), warped, both flat; x: memory for the image as `extend` makes it."""
    height, width, channels = shape
    extend(image, shape, x)
    memory = memory_of(width, warp)
    for i in range(height):
        look_up(i, shape, warp, memory)
        at = i * width * channels
        mixed_row(x, memory.start, memory.weight, (width + 1) * channels, y, at, channels)
        if warp.mode == CONSTANT:
            for k in range(width):
                if outside(memory.x, k, shape):
                    y[at + k * channels : at + (k + 1) * channels] = cval


@exact
def scatter(dy, shape, warp, dx):
    """dx (H+1,W+1,C) = dy (H,W,C), each pixel divided among its four neighbours by the weights of the warp; both flat."""
    height, width, channels = shape
    memory = memory_of(width, warp)
    start, weight = memory.start, memory.weight
    dx[:] = 0
    for i in range(height):
        look_up(i, shape, warp, memory)
        for k in range(width):
            if warp.mode == CONSTANT and outside(memory.x, k, shape):
                continue
            down, right = weight[0, k], weight[1, k]
            for c in range(channels):
                slope = dy[(i * width + k) * channels + c]
                upper, lower = start[k] + c, start[k] + (width + 1) * channels + c
                dx[upper] += slope * (1 - down) * (1 - right)
                dx[upper + channels] += slope * (1 - down) * right
                dx[lower] += slope * down * (1 - right)
                dx[lower + channels] += slope * down * right


def affine_warp_forward(image, *, matrix, offset, fill_mode="nearest", cval=0.0, flip=(False, False)):
    """image (H,W,C), matrix (2,2), offset (2,) -> the warped image (H,W,C), saved."""
    (height, width, channels), mode = image.shape, FILL_MODES.index(fill_mode)
    warp = Warp(np.array(matrix, np.float64), np.array(offset, np.float64), mode, (bool(flip[0]), bool(flip[1])))
    x, y = aligned_empty((height + 1) * (width + 1) * channels + LANES), aligned_empty(image.size + LANES)
    warp_image(flat(image), image.shape, warp, np.float32(cval), x, y)
    return y[: image.size].reshape(image.shape), (image.shape, warp)


def affine_warp_backward(dy, saved):
    """dy (H,W,C) -> the gradient of the image (H,W,C)."""
    shape, warp = saved
    height, width, channels = shape
    dx = np.empty((height + 1, width + 1, channels), np.float32)
    scatter(flat(dy), shape, warp, dx.reshape(-1))
    dx[-2] += dx[-1]  # the repeated row and column are the last ones
    dx[:, -2] += dx[:, -1]
    return (dx[:-1, :-1].copy(),)


def supports(image, **constants):
    """float32, and small enough for int32 addresses."""
    return is_float32(image) and image.size < 2**30


def warp_samples(draw):
    """Images with turned, stretched and shifted warps."""
    constants = {
        "matrix": np.array(draw.choice([[[0.8, 0.6], [-0.6, 0.8]], [[1.4, 0.1], [-0.2, 0.7]]])),
        "offset": np.array(draw.choice([[0.3, -0.4], [-3.3, 2.6], [5.1, 1.7]])),
        "fill_mode": draw.choice(FILL_MODES),
        "cval": draw.choice([0.0, 7.0]),
        "flip": (draw.choice([False, True]), draw.choice([False, True])),
    }
    return (draw.array(draw.integer(1, 20), draw.integer(1, 20), draw.choice(COUNTS)),), constants


kernel_of(
    affine_warp,
    "numba",
    affine_warp_forward,
    affine_warp_backward,
    supports,
    samples=warp_samples,
    warm=[(((9, 9, 3),), {"matrix": np.eye(2), "offset": np.zeros(2)})],
)

# ---- the channel shift ---------------------------------------------------------------------------------------------


@exact
def shift(x, intensity, lowest, highest, y):
    """y = x + intensity, clipped to the limits; these are NaN if a pixel is, and then so is all of y, as with np.clip."""
    for k in range(len(x)):
        moved = x[k] + intensity
        moved = moved if moved >= lowest else lowest
        y[k] = moved if moved <= highest else highest


def channel_shift_forward(image, *, intensity):
    """image (H,W,C) -> the shifted image (H,W,C), saved."""
    y, lowest, highest = aligned_empty(image.shape), image.min(), image.max()
    shift(flat(image), np.float32(intensity), lowest, highest, y.reshape(-1))
    return y, (image, intensity, lowest, highest)


def shift_samples(draw):
    """Small images, shifted up or down."""
    image = draw.array(draw.integer(1, 9), draw.integer(1, 9), draw.choice(COUNTS))
    return (image,), {"intensity": draw.choice([0.7, -1.3])}


kernel_of(
    channel_shift,
    "numba",
    channel_shift_forward,
    channel_shift_backward,
    supports,
    samples=shift_samples,
    warm=[(((9, 9, 3),), {"intensity": 1.0})],
)
