"""Convolution + ReLU and dense + ReLU: ReLU overwrites the result that the layer has just written.

The separate ops write z to memory and y = max(z, 0) to other memory. Backward needs y alone, since y > 0 where z > 0.
"""

from tinydx.op import kernel_of
from tinydx.ops import fused
from tinydx_kernels.cpu import convolution, dense  # noqa: F401  (they register the layers' kernels)
from tinydx_kernels.cpu.elementwise import relu_gradient, relu_in_place


def with_relu(op):
    """Register the kernel of a layer followed by ReLU: arrays, shapes and constants are the layer's."""
    layer = op.parts[0].kernels["numba"]

    def forward(*arrays, **constants):
        y, saved = layer.forward(*arrays, **constants)
        return relu_in_place(y), (y, saved)

    def backward(dy, saved, needs=(True, True, True)):
        y, saved = saved
        return layer.backward(relu_gradient(dy, y), saved, needs)

    kernel_of(op, "numba", forward, backward, layer.supports, samples=layer.samples, warm=layer.warm)


with_relu(fused.correlate2d_relu)
with_relu(fused.conv2d_relu)
with_relu(fused.dense_relu)
