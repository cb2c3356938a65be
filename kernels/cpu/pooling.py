"""Max and average pooling, any window, stride and padding: one pass over memory, row by row.

Forward computes one output row at a time. Backward computes one input row at a time, from every output row whose windows
reach it, so that rows are independent of each other and threads never add to the same pixel:

    output row i, window row p  <->  input row h = i * stride + p - top

Both poolings are the same loops. Where they differ, a kernel asks whether there are winners: None for the average, and
then Numba compiles the kernel without the branch.
"""

import math

import numpy as np
from numba import prange

from tinydx.op import kernel_of
from tinydx.ops.convolution import pair
from tinydx.ops.pooling import average_pool2d, max_pool2d
from tinydx_kernels.cpu.geometry import COUNTS, geometry_of
from tinydx_kernels.cpu.memory import aligned_empty, contiguous, is_float32
from tinydx_kernels.cpu.simd import jit, parallel

# ---- compiled ------------------------------------------------------------------------------------------------------


@jit
def larger(y, winner, x, k):
    """Put x into y where it is larger, and k into winner: the first maximum wins, NaN stays (as np.maximum)."""
    for c in range(len(y)):
        bigger = x[c] > y[c]
        winner[c] = k if bigger else winner[c]
        y[c] = x[c] if bigger or x[c] != x[c] else y[c]


@jit
def give(dx, dy, winner, k):
    """dx += dy where k was the winner."""
    for c in range(len(dx)):
        dx[c] += dy[c] * np.float32(winner[c] == k)


@jit
def add_scaled(y, x, factor):
    """y += factor * x"""
    for c in range(len(y)):
        y[c] += factor * x[c]


@jit
def covered(i, size, stride, before, extent):
    """How many of the `size` pixels of window i along an axis lie in the image."""
    start = i * stride - before
    return min(start + size, extent) - max(start, 0)


@parallel
def forward_rows(x, geometry, y, winner):
    """x (N,H,W,C) -> y and winner (N,OH,OW,C), all flat: the maximum, or, if winner is None, the average of each window."""
    g, channels = geometry, geometry.channels
    for line in prange(len(y) // (g.out_w * channels)):
        image, i = line // g.out_h, line % g.out_h
        rows = covered(i, g.kernel_h, g.stride_h, g.top, g.height)
        for j in range(g.out_w):
            at = (line * g.out_w + j) * channels
            row = y[at : at + channels]
            if winner is not None:
                best = winner[at : at + channels]
                row[:] = -np.inf
                best[:] = 0
            else:
                row[:] = 0
            for p in range(g.kernel_h):
                for q in range(g.kernel_w):
                    h, w = i * g.stride_h + p - g.top, j * g.stride_w + q - g.left
                    if 0 <= h < g.height and 0 <= w < g.width:
                        start = ((image * g.height + h) * g.width + w) * channels
                        if winner is not None:
                            larger(row, best, x[start : start + channels], p * g.kernel_w + q)
                        else:
                            add_scaled(row, x[start : start + channels], np.float32(1))
            if winner is None:
                row /= np.float32(rows * covered(j, g.kernel_w, g.stride_w, g.left, g.width))


@parallel
def backward_rows(dy, winner, geometry, dx):
    """dy and winner (N,OH,OW,C) -> dx (N,H,W,C), all flat; winner None: of the average."""
    g, channels = geometry, geometry.channels
    for line in prange(len(dx) // (g.width * channels)):
        image, h = line // g.height, line % g.height
        dx[line * g.width * channels : (line + 1) * g.width * channels] = 0
        for p in range(g.kernel_h):
            i = (h + g.top - p) // g.stride_h
            if i * g.stride_h + p - g.top == h and 0 <= i < g.out_h:
                rows = covered(i, g.kernel_h, g.stride_h, g.top, g.height)
                for j in range(g.out_w):
                    at = ((image * g.out_h + i) * g.out_w + j) * channels
                    if winner is None:
                        share = np.float32(1) / np.float32(rows * covered(j, g.kernel_w, g.stride_w, g.left, g.width))
                    for q in range(g.kernel_w):
                        w = j * g.stride_w + q - g.left
                        if 0 <= w < g.width:
                            to = (line * g.width + w) * channels
                            if winner is not None:
                                k = p * g.kernel_w + q
                                give(dx[to : to + channels], dy[at : at + channels], winner[at : at + channels], k)
                            else:
                                add_scaled(dx[to : to + channels], dy[at : at + channels], share)


# ---- the ops -------------------------------------------------------------------------------------------------------


def pool_forward(x, winners, size, stride, padding):
    """x (N,H,W,C) -> y (N,OH,OW,C), saved: the maximum of each window if `winners`, else the average."""
    g = geometry_of(x.shape, size, size if stride is None else stride, padding)
    y = aligned_empty((len(x), g.out_h, g.out_w, g.channels))
    winner = aligned_empty(y.size, np.uint8) if winners else None
    forward_rows(contiguous(x).reshape(-1), g, y.reshape(-1), winner)
    return y, (winner, g)


def max_pool2d_forward(x, *, size=2, stride=None, padding="valid"):
    """x (N,H,W,C) -> y (N,OH,OW,C), saved."""
    return pool_forward(x, True, size, stride, padding)


def average_pool2d_forward(x, *, size=2, stride=None, padding="valid"):
    """x (N,H,W,C) -> y (N,OH,OW,C), saved."""
    return pool_forward(x, False, size, stride, padding)


def pool_backward(dy, saved):
    """dy (N,OH,OW,C) -> dx (N,H,W,C), for both poolings."""
    winner, g = saved
    dx = aligned_empty((len(dy), g.height, g.width, g.channels))
    backward_rows(contiguous(dy).reshape(-1), winner, g, dx.reshape(-1))
    return (dx,)


def supports(x, *, size=2, **constants):
    """float32, and windows of at most 255 pixels: the winner is one byte."""
    return is_float32(x) and math.prod(pair(size)) <= 255


def samples(draw):
    """Images of at least one window."""
    size, stride = draw.choice([1, 2, 2, 3, (2, 3), (5, 1)]), draw.choice([None, 1, 2, 3, (2, 1)])
    x = draw.array(draw.integer(1, 3), draw.integer(5, 12), draw.integer(5, 12), draw.choice(COUNTS))
    return (x,), {"size": size, "stride": stride, "padding": draw.choice(["valid", "same"])}


WARM: tuple = ((((2, 9, 9, 8),), {}),)
kernel_of(max_pool2d, "numba", max_pool2d_forward, pool_backward, supports, samples=samples, warm=WARM)
kernel_of(average_pool2d, "numba", average_pool2d_forward, pool_backward, supports, samples=samples, warm=WARM)
