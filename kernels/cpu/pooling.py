"""Max and average pooling, any window, stride and padding: one pass over memory, row by row.

Forward makes one output row at a time. Backward makes one input row at a time, from every output row whose windows
reach it, so that rows are independent of each other and threads never add to the same pixel:

    output row i, window row p  <->  input row h = i * stride + p - top
"""

import math

import numpy as np
from numba import prange

from tinydx.op import kernel_of
from tinydx.ops.convolution import output_size, padding_2d, pair
from tinydx.ops.pooling import average_pool2d, max_pool2d
from tinydx_kernels.cpu.memory import aligned_empty, contiguous, is_float32
from tinydx_kernels.cpu.simd import jit, parallel


@jit
def larger(y, winner, x, k):
    """Put x into y where it is larger, and remember k: the first maximum wins, NaN stays (as np.maximum)."""
    for c in range(len(y)):
        bigger = x[c] > y[c]
        winner[c] = k if bigger else winner[c]
        y[c] = x[c] if bigger or x[c] != x[c] else y[c]


@parallel
def max_forward(x, shape, size, stride, corner, y, winner, out):
    height, width, channels = shape
    for line in prange(len(y) // (out[1] * channels)):
        image, i = line // out[0], line % out[0]
        for j in range(out[1]):
            at = (line * out[1] + j) * channels
            row, best = y[at : at + channels], winner[at : at + channels]
            row[:] = -np.inf
            best[:] = 0
            for p in range(size[0]):
                for q in range(size[1]):
                    h, w = i * stride[0] + p - corner[0], j * stride[1] + q - corner[1]
                    if 0 <= h < height and 0 <= w < width:
                        start = ((image * height + h) * width + w) * channels
                        larger(row, best, x[start : start + channels], p * size[1] + q)


@jit
def give(dx, dy, winner, k):
    """dx += dy where k was the winner."""
    for c in range(len(dx)):
        dx[c] += dy[c] * np.float32(winner[c] == k)


@parallel
def max_backward(dy, winner, out, size, stride, corner, dx, shape):
    height, width, channels = shape
    for line in prange(len(dx) // (width * channels)):
        image, h = line // height, line % height
        dx[line * width * channels : (line + 1) * width * channels] = 0
        for p in range(size[0]):
            i = (h + corner[0] - p) // stride[0]
            if i * stride[0] + p - corner[0] == h and 0 <= i < out[0]:
                for j in range(out[1]):
                    at = ((image * out[0] + i) * out[1] + j) * channels
                    for q in range(size[1]):
                        w = j * stride[1] + q - corner[1]
                        if 0 <= w < width:
                            to = (line * width + w) * channels
                            k = p * size[1] + q
                            give(dx[to : to + channels], dy[at : at + channels], winner[at : at + channels], k)


@jit
def add_scaled(y, x, factor):
    """y += factor * x"""
    for c in range(len(y)):
        y[c] += factor * x[c]


@jit
def covered(i, size, stride, before, extent):
    """How many of a window's `size` pixels along an axis are real."""
    start = i * stride - before
    return min(start + size, extent) - max(start, 0)


@parallel
def average_forward(x, shape, size, stride, corner, y, out):
    height, width, channels = shape
    for line in prange(len(y) // (out[1] * channels)):
        image, i = line // out[0], line % out[0]
        rows = covered(i, size[0], stride[0], corner[0], height)
        for j in range(out[1]):
            at = (line * out[1] + j) * channels
            row = y[at : at + channels]
            row[:] = 0
            for p in range(size[0]):
                for q in range(size[1]):
                    h, w = i * stride[0] + p - corner[0], j * stride[1] + q - corner[1]
                    if 0 <= h < height and 0 <= w < width:
                        start = ((image * height + h) * width + w) * channels
                        add_scaled(row, x[start : start + channels], np.float32(1))
            row /= np.float32(rows * covered(j, size[1], stride[1], corner[1], width))


@parallel
def average_backward(dy, out, size, stride, corner, dx, shape):
    height, width, channels = shape
    for line in prange(len(dx) // (width * channels)):
        image, h = line // height, line % height
        dx[line * width * channels : (line + 1) * width * channels] = 0
        for p in range(size[0]):
            i = (h + corner[0] - p) // stride[0]
            if i * stride[0] + p - corner[0] == h and 0 <= i < out[0]:
                rows = covered(i, size[0], stride[0], corner[0], height)
                for j in range(out[1]):
                    at = ((image * out[0] + i) * out[1] + j) * channels
                    share = np.float32(1) / np.float32(rows * covered(j, size[1], stride[1], corner[1], width))
                    for q in range(size[1]):
                        w = j * stride[1] + q - corner[1]
                        if 0 <= w < width:
                            to = (line * width + w) * channels
                            add_scaled(dx[to : to + channels], dy[at : at + channels], share)


# ---- the ops -------------------------------------------------------------------------------------------------------


def geometry(x, size, stride, padding):
    """(size, stride, corner), output size."""
    size = pair(size)
    stride = size if stride is None else pair(stride)
    border = padding_2d(padding, x.shape[1:3], size, stride)
    axes = zip(x.shape[1:3], size, stride, border, strict=True)
    return (size, stride, (border[0][0], border[1][0])), tuple(output_size(n, k, s, 1, *ends) for n, k, s, ends in axes)


def max_pool2d_forward(x, *, size=2, stride=None, padding="valid"):
    window, out = geometry(x, size, stride, padding)
    y = aligned_empty((len(x), *out, x.shape[3]))
    winner = aligned_empty(y.shape, np.uint8)
    max_forward(contiguous(x).reshape(-1), x.shape[1:], *window, y.reshape(-1), winner.reshape(-1), out)
    return y, (x.shape, winner, window)


def max_pool2d_backward(dy, saved):
    shape, winner, window = saved
    dx = aligned_empty(shape)
    max_backward(contiguous(dy).reshape(-1), winner.reshape(-1), dy.shape[1:3], *window, dx.reshape(-1), shape[1:])
    return (dx,)


def average_pool2d_forward(x, *, size=2, stride=None, padding="valid"):
    window, out = geometry(x, size, stride, padding)
    y = aligned_empty((len(x), *out, x.shape[3]))
    average_forward(contiguous(x).reshape(-1), x.shape[1:], *window, y.reshape(-1), out)
    return y, (x.shape, window)


def average_pool2d_backward(dy, saved):
    shape, window = saved
    dx = aligned_empty(shape)
    average_backward(contiguous(dy).reshape(-1), dy.shape[1:3], *window, dx.reshape(-1), shape[1:])
    return (dx,)


def supports(x, *, size=2, **constants):
    return is_float32(x) and math.prod(pair(size)) <= 255  # the winner is one byte


kernel_of(max_pool2d, "numba", max_pool2d_forward, max_pool2d_backward, supports)
kernel_of(average_pool2d, "numba", average_pool2d_forward, average_pool2d_backward, supports)
