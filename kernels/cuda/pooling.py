"""Max and average pooling: any window, stride and padding."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tinydx.op import kernel_of
from tinydx.ops.convolution import output_size, padding_2d, pair
from tinydx.ops.pooling import average_pool2d, max_pool2d
from tinydx_kernels.cuda.backend import contiguous, each, is_float32, xp
from tinydx_kernels.cuda.programs import AROUND_TILES, Program

POOLING = Program("pooling.cu")
PROGRAMS = [POOLING]


class Windows(NamedTuple):
    """The struct Windows of pooling.cu: the shapes of x and y, and the size, the stride and the padding of the windows."""

    images: int
    height: int
    width: int
    channels: int
    out_height: int
    out_width: int
    size_y: int
    size_x: int
    stride_y: int
    stride_x: int
    top: int
    left: int

    @property
    def shape_of_x(self) -> tuple[int, ...]:
        """(N,H,W,C)."""
        return self[:4]

    @property
    def shape_of_y(self) -> tuple[int, ...]:
        """(N,OH,OW,C)."""
        return self.images, self.out_height, self.out_width, self.channels


def windows(x, size, stride, padding):
    """x (N,H,W,C) -> the Windows of a pooling."""
    size = pair(size)
    stride = size if stride is None else pair(stride)
    border = padding_2d(padding, x.shape[1:3], size, stride)
    axes = zip(x.shape[1:3], size, stride, border, strict=True)
    out = (output_size(n, k, s, 1, *ends) for n, k, s, ends in axes)
    return Windows._make((*x.shape, *out, *size, *stride, border[0][0], border[1][0]))


def max_pool2d_forward(x, *, size=2, stride=None, padding="valid"):
    """x (N,H,W,C) -> y (N,OH,OW,C); saves the number of each window's first maximum, one byte."""
    w = windows(x, size, stride, padding)
    y, winner = xp(x).empty(w.shape_of_y, x.dtype), xp(x).empty(w.shape_of_y, np.uint8)
    each(POOLING, "max_pool", y.size, contiguous(x), y, winner, w)
    return y, (winner, w)


def max_pool2d_backward(dy, saved):
    """dy (N,OH,OW,C) -> dx (N,H,W,C)."""
    winner, w = saved
    dx = xp(dy).empty(w.shape_of_x, dy.dtype)
    each(POOLING, "max_pool_backward", dx.size, contiguous(dy), winner, dx, w)
    return (dx,)


def average_pool2d_forward(x, *, size=2, stride=None, padding="valid"):
    """x (N,H,W,C) -> y (N,OH,OW,C)."""
    w = windows(x, size, stride, padding)
    y = xp(x).empty(w.shape_of_y, x.dtype)
    each(POOLING, "average_pool", y.size, contiguous(x), y, w)
    return y, w


def average_pool2d_backward(dy, w):
    """dy (N,OH,OW,C) -> dx (N,H,W,C)."""
    dx = xp(dy).empty(w.shape_of_x, dy.dtype)
    each(POOLING, "average_pool_backward", dx.size, contiguous(dy), dx, w)
    return (dx,)


def supports(x, *, size=2, **constants):
    """x (N,H,W,C): windows of at most 255 pixels, since the winner is stored in one byte."""
    return is_float32(x) and math.prod(pair(size)) <= 255


def samples(draw):
    """Windows that overlap, that leave gaps, and that are larger than their stride."""
    constants = {
        "size": draw.choice([1, 2, 2, 3, (2, 3), (5, 1)]),
        "stride": draw.choice([None, 1, 2, 3, (2, 1)]),
        "padding": draw.choice(["valid", "same"]),
    }
    shape = draw.integer(1, 3), draw.integer(5, 9), draw.integer(5, 9), draw.choice(AROUND_TILES)
    return (draw.array(*shape),), constants


kernel_of(max_pool2d, "cuda", max_pool2d_forward, max_pool2d_backward, supports, samples=samples)
kernel_of(average_pool2d, "cuda", average_pool2d_forward, average_pool2d_backward, supports, samples=samples)
