"""Convolution + ReLU and dense + ReLU: the activation is applied where the result lies, before it leaves the cache.

The unfused ops write z, read it, and write y = max(z, 0) to other memory; backward reads y alone, since y > 0 where z > 0.
"""

from tinydx_kernels.cpu import convolution, dense
from tinydx_kernels.cpu.elementwise import gated, relu_in_place

from tinydx.op import kernel_of
from tinydx.ops.fused import conv2d_relu, correlate2d_relu, dense_relu


def correlate2d_relu_forward(x, w, b=None, **constants):
    y, saved = convolution.correlate2d_forward(x, w, b, **constants)
    return relu_in_place(y), (y, saved)


def correlate2d_relu_backward(dy, saved, needs=(True, True, True)):
    y, saved = saved
    return convolution.correlate2d_backward(gated(dy, y), saved, needs)


def conv2d_relu_forward(x, w, b=None, **constants):
    y, saved = convolution.conv2d_forward(x, w, b, **constants)
    return relu_in_place(y), (y, saved)


def conv2d_relu_backward(dy, saved, needs=(True, True, True)):
    y, saved = saved
    return convolution.conv2d_backward(gated(dy, y), saved, needs)


def dense_relu_forward(x, w, b=None):
    y, saved = dense.dense_forward(x, w, b)
    return relu_in_place(y), (y, saved)


def dense_relu_backward(dy, saved, needs=(True, True, True)):
    y, saved = saved
    return dense.dense_backward(gated(dy, y), saved, needs)


kernel_of(correlate2d_relu, "numba", correlate2d_relu_forward, correlate2d_relu_backward, convolution.supports)
kernel_of(conv2d_relu, "numba", conv2d_relu_forward, conv2d_relu_backward, convolution.supports)
kernel_of(dense_relu, "numba", dense_relu_forward, dense_relu_backward, dense.supports)
