"""Ops composed of other ops, because one kernel can compute them together (see tinydx.compose).

Models use them where such a kernel exists: tinydx/training/lowering.py.
"""

from tinydx.compose import compose
from tinydx.op import samples_of
from tinydx.ops.activation import relu
from tinydx.ops.arithmetic import add, broadcast_samples
from tinydx.ops.convolution import conv2d, correlate2d, correlate2d_samples
from tinydx.ops.dense import dense, dense_samples
from tinydx.ops.normalization import batch_normalization, normalization_samples
from tinydx.ops.pooling import max_pool2d

add_relu = compose("add_relu", add, relu, y="(...)")
dense_relu = compose("dense_relu", dense, relu, y="(...,F)")
correlate2d_relu = compose("correlate2d_relu", correlate2d, relu, y="(N,OH,OW,F)")
conv2d_relu = compose("conv2d_relu", conv2d, relu, y="(N,OH,OW,F)")
correlate2d_relu_max_pool2d = compose("correlate2d_relu_max_pool2d", correlate2d, relu, max_pool2d, y="(N,PH,PW,F)")
conv2d_relu_max_pool2d = compose("conv2d_relu_max_pool2d", conv2d, relu, max_pool2d, y="(N,PH,PW,F)")
batch_normalization_relu = compose("batch_normalization_relu", batch_normalization, relu, y="(...,C)")

samples_of(add_relu)(broadcast_samples)
samples_of(dense_relu)(dense_samples)
samples_of(batch_normalization_relu)(normalization_samples)
samples_of(correlate2d_relu)(correlate2d_samples)
samples_of(conv2d_relu)(correlate2d_samples)


@samples_of(correlate2d_relu_max_pool2d)
@samples_of(conv2d_relu_max_pool2d)
def convolution_and_pooling_samples(draw):
    stride, dilation, groups = draw.choice([1, 1, 2]), draw.choice([1, 1, 2]), draw.choice([1, 1, 2])
    padding, size = draw.choice(["valid", "same", 1]), draw.choice([2, 2, (1, 2)])
    kh, kw, c, f = draw.integer(1, 3), draw.integer(1, 3), draw.integer(1, 2), draw.integer(1, 2) * groups
    reach = 2 * stride + (max(kh, kw) - 1) * dilation  # gives an output of at least two rows and columns
    x = draw.array(draw.integer(1, 2), reach + draw.integer(0, 3), reach + draw.integer(0, 3), c * groups)
    constants = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "size": size}
    return (x, draw.array(kh, kw, c, f), draw.array(f)), constants
