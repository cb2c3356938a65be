"""Convolution + ReLU, and convolution + ReLU + 2x2 max pooling: the epilogue works on sums that are still in registers.

Backward of the latter: the gradient goes back to full size, each number to its window's winner, then on as ever.
"""

from __future__ import annotations

from tinydx.op import kernel_of
from tinydx.ops import fused
from tinydx.ops.convolution import pair
from tinydx_kernels.cuda import convolution
from tinydx_kernels.cuda.backend import contiguous, each, xp
from tinydx_kernels.cuda.elementwise import relu_backward, relu_forward
from tinydx_kernels.cuda.pooling import POOLING


def correlate2d_relu_forward(x, w, b=None, *, stride=1, padding="valid", dilation=1, groups=1):
    numbers = convolution.geometry(x, w, stride, padding, dilation)
    y = convolution.forward(x, w, b, numbers, groups, relu=True)
    if groups > 1:
        y, _ = relu_forward(y)
    return y, (y, (x, w, numbers, groups))


def correlate2d_relu_backward(dy, saved, needs=(True, True, True)):
    y, saved = saved
    return convolution.gradients(*relu_backward(dy, y), *saved, needs)


def pooled_forward(x, w, b=None, *, stride=1, padding="valid", dilation=1, groups=1, size=2):
    numbers = convolution.geometry(x, w, stride, padding, dilation)
    y, winner = convolution.forward_product(x, w, b, numbers, relu=True, pool=True)
    return y, (winner, (x, w, numbers, groups))


def pooled_backward(dy, saved, needs=(True, True, True)):
    winner, saved = saved
    dz = xp(dy).empty(convolution.shape_of_y(saved[2]), dy.dtype)
    each(POOLING, "unpool", dz.size, contiguous(dy), winner, dz, *dz.shape)
    return convolution.gradients(dz, *saved, needs)


def pooled_supports(x, w, b=None, *, groups=1, size=2, **constants):
    """One group, windows of 2x2, and at least one of them."""
    if groups != 1 or pair(size) != (2, 2) or not convolution.supports(x, w, b, groups=groups, **constants):
        return False
    defaults = {"stride": 1, "padding": "valid", "dilation": 1, **constants}
    return min(convolution.shape_of_y(convolution.geometry(x, w, **defaults))[1:3]) >= 2


conv2d_relu_forward, conv2d_relu_backward = convolution.flipped(correlate2d_relu_forward, correlate2d_relu_backward)
flipped_pooled_forward, flipped_pooled_backward = convolution.flipped(pooled_forward, pooled_backward)

kernel_of(fused.correlate2d_relu, "cuda", correlate2d_relu_forward, correlate2d_relu_backward, convolution.supports)
kernel_of(fused.conv2d_relu, "cuda", conv2d_relu_forward, conv2d_relu_backward, convolution.supports)
kernel_of(fused.correlate2d_relu_max_pool2d, "cuda", pooled_forward, pooled_backward, pooled_supports)
kernel_of(fused.conv2d_relu_max_pool2d, "cuda", flipped_pooled_forward, flipped_pooled_backward, pooled_supports)
