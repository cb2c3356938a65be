"""Convolution + ReLU and dense + ReLU: ReLU overwrites the result that the layer has just written.

The unfused ops write z to memory and y = max(z, 0) to other memory. Backward needs y alone, since y > 0 where z > 0.
"""

from tinydx.op import kernel_of
from tinydx.ops import fused
from tinydx_kernels.cpu import convolution, dense
from tinydx_kernels.cpu.elementwise import relu_gradient, relu_in_place


def _with_relu(record, layer_forward, layer_backward, supports):
    """Register the kernel of a layer's op followed by ReLU."""

    def forward(*arrays, **constants):
        y, saved = layer_forward(*arrays, **constants)
        return relu_in_place(y), (y, saved)

    def backward(dy, saved, needs=(True, True, True)):
        y, saved = saved
        return layer_backward(relu_gradient(dy, y), saved, needs)

    kernel_of(record, "numba", forward, backward, supports)


_with_relu(fused.correlate2d_relu, convolution.correlate2d_forward, convolution.correlate2d_backward, convolution.supports)
_with_relu(fused.conv2d_relu, convolution.conv2d_forward, convolution.conv2d_backward, convolution.supports)
_with_relu(fused.dense_relu, dense.dense_forward, dense.dense_backward, dense.supports)
