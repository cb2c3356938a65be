"""Convolution with ReLU, and with ReLU and 2x2 max pooling, applied while the sums are still in registers.

Backward with pooling: each element of the gradient goes to the pixel that won its window; then convolution's backward.
"""

from __future__ import annotations

from functools import partial

from tinydx.op import kernel_of
from tinydx.ops import fused
from tinydx.ops.convolution import pair
from tinydx_kernels.cuda import convolution
from tinydx_kernels.cuda.backend import contiguous, each, xp
from tinydx_kernels.cuda.elementwise import relu_backward, relu_forward
from tinydx_kernels.cuda.pooling import POOLING


def correlate2d_relu_forward(x, w, b=None, *, stride=1, padding="valid", dilation=1, groups=1):
    """x (N,H,W,C), w (KH,KW,C/groups,F), b (F,) or None -> y (N,OH,OW,F)."""
    g = convolution.geometry(x, w, stride, padding, dilation)
    y = convolution.forward(x, w, b, g, groups, relu=True)
    if groups > 1:
        y, _ = relu_forward(y)
    return y, (y, (x, w, g, groups))


def correlate2d_relu_backward(dy, saved, needs=(True, True, True)):
    """dy (N,OH,OW,F) -> dx (N,H,W,C), dw (KH,KW,C/groups,F), db (F,)."""
    y, saved = saved
    return convolution.gradients(*relu_backward(dy, y), *saved, needs)


def pooled_forward(x, w, b=None, *, stride=1, padding="valid", dilation=1, groups=1, size=2):
    """x (N,H,W,C), w (KH,KW,C,F), b (F,) or None -> y (N,OH//2,OW//2,F)."""
    g = convolution.geometry(x, w, stride, padding, dilation)
    y, winner = convolution.forward_product(x, w, b, g, relu=True, pool=True)
    return y, (winner, (x, w, g, groups))


def pooled_backward(dy, saved, needs=(True, True, True)):
    """dy (N,OH//2,OW//2,F) -> dx (N,H,W,C), dw (KH,KW,C,F), db (F,)."""
    winner, (x, w, g, groups) = saved
    dz = xp(dy).empty(g.shape_of_y, dy.dtype)
    each(POOLING, "unpool", dz.size, contiguous(dy), winner, dz, *dz.shape)
    return convolution.gradients(dz, x, w, g, groups, needs)


def pooled_supports(x, w, b=None, *, groups=1, size=2, **constants):
    """x (N,H,W,C), w (KH,KW,C,F), b (F,) or None: one group, and at least one window, of 2x2."""
    if groups != 1 or pair(size) != (2, 2) or not convolution.supports(x, w, b, groups=groups, **constants):
        return False
    defaults = {"stride": 1, "padding": "valid", "dilation": 1, **constants}
    return min(convolution.geometry(x, w, **defaults).shape_of_y[1:3]) >= 2


conv2d_relu_forward, conv2d_relu_backward = convolution.flipped(correlate2d_relu_forward, correlate2d_relu_backward)
flipped_pooled_forward, flipped_pooled_backward = convolution.flipped(pooled_forward, pooled_backward)

for _op, _forward, _backward in (
    (fused.correlate2d_relu, correlate2d_relu_forward, correlate2d_relu_backward),
    (fused.conv2d_relu, conv2d_relu_forward, conv2d_relu_backward),
):
    kernel_of(_op, "cuda", _forward, _backward, convolution.supports, samples=convolution.samples)
for _op, _forward, _backward in (
    (fused.correlate2d_relu_max_pool2d, pooled_forward, pooled_backward),
    (fused.conv2d_relu_max_pool2d, flipped_pooled_forward, flipped_pooled_backward),
):
    kernel_of(_op, "cuda", _forward, _backward, pooled_supports, samples=partial(convolution.samples, pooled=True))
