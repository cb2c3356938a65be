"""Max and average pooling: any window, stride and padding."""

from __future__ import annotations

import math

import numpy as np

from tinydx.op import kernel_of
from tinydx.ops.convolution import output_size, padding_2d, pair
from tinydx.ops.pooling import average_pool2d, max_pool2d
from tinydx_kernels.cuda.backend import contiguous, each, is_float32, xp
from tinydx_kernels.cuda.programs import PLAIN

POOLING = PLAIN["pooling"]


def geometry(x, size, stride, padding):
    """(shape of y, the numbers that the kernels take)."""
    size = pair(size)
    stride = size if stride is None else pair(stride)
    border = padding_2d(padding, x.shape[1:3], size, stride)
    axes = zip(x.shape[1:3], size, stride, border, strict=True)
    out = tuple(output_size(n, k, s, 1, *ends) for n, k, s, ends in axes)
    return (len(x), *out, x.shape[3]), (*x.shape, *out, *size, *stride, border[0][0], border[1][0])


def max_pool2d_forward(x, *, size=2, stride=None, padding="valid"):
    shape, numbers = geometry(x, size, stride, padding)
    y, winner = xp(x).empty(shape, x.dtype), xp(x).empty(shape, np.uint8)
    each(POOLING, "max_pool", y.size, contiguous(x), y, winner, *numbers)
    return y, (winner, numbers)


def max_pool2d_backward(dy, saved):
    winner, numbers = saved
    dx = xp(dy).empty(numbers[:4], dy.dtype)
    each(POOLING, "max_pool_backward", dx.size, contiguous(dy), winner, dx, *numbers)
    return (dx,)


def average_pool2d_forward(x, *, size=2, stride=None, padding="valid"):
    shape, numbers = geometry(x, size, stride, padding)
    y = xp(x).empty(shape, x.dtype)
    each(POOLING, "average_pool", y.size, contiguous(x), y, *numbers)
    return y, numbers


def average_pool2d_backward(dy, numbers):
    dx = xp(dy).empty(numbers[:4], dy.dtype)
    each(POOLING, "average_pool_backward", dx.size, contiguous(dy), dx, *numbers)
    return (dx,)


def supports(x, *, size=2, **constants):
    return is_float32(x) and math.prod(pair(size)) <= 255  # the winner is one byte


kernel_of(max_pool2d, "cuda", max_pool2d_forward, max_pool2d_backward, supports)
kernel_of(average_pool2d, "cuda", average_pool2d_forward, average_pool2d_backward, supports)
