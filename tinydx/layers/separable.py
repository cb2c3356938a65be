"""Convolution layers that look at each channel by itself: depthwise, and depthwise followed by a mixing of channels.

    DepthwiseConv2D     y[i,j,c*m+k] = sum over p,q of w[p,q,c,k] x[i+p,j+q,c]            m filters for each channel
    SeparableConv2D     the same, then Z = Y V + b with V (C*m, filters) at every pixel    Chollet 2017

Both are `correlate2d`: the first with as many groups as channels, the second besides with a kernel of one pixel.
"""

from __future__ import annotations

from typing import Any

from tinydx import activations, ops, regularizers
from tinydx.layers.base import Layer, Shape, count, expect_last_axis
from tinydx.layers.convolution import check_images, check_padding, counts, size_after
from tinydx.layers.core import apply, known_axis
from tinydx.tensor import Tensor


class DepthwiseConv2D(Layer):
    """Convolution (as Keras calls it) of each channel with filters of its own: channels do not mix.

    Arguments: kernel_size, strides, dilation_rate, a number of pixels or (rows, columns); padding "valid" or "same";
    depth_multiplier, the number m of filters for each channel; activation, a name or None; use_bias; depthwise_initializer,
    bias_initializer, names or functions; depthwise_regularizer, bias_regularizer, penalties (`tinydx.regularizers`), names,
    objects or None; the rest as Layer.
    Weights: kernel (kh,kw,C,m), bias (C*m,).
    Returns: (N,OH,OW,C*m) for images (N,H,W,C).
    Raises: ValueError for images that are smaller than the kernel, or have other channels than the first ones.

    >>> import numpy as np
    >>> DepthwiseConv2D(3, depth_multiplier=2)(np.ones((2, 10, 10, 3), "float32")).shape
    (2, 8, 8, 6)
    """

    supports_masking = False

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        strides: int | tuple[int, int] = (1, 1),
        padding: str = "valid",
        depth_multiplier: int = 1,
        dilation_rate: int | tuple[int, int] = (1, 1),
        activation: Any = None,
        use_bias: bool = True,
        *,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        **common: Any,
    ):
        super().__init__(**common)
        self.kernel_size, self.strides = counts(self, "kernel_size", kernel_size), counts(self, "strides", strides)
        self.dilation = counts(self, "dilation_rate", dilation_rate)
        self.depth_multiplier = count(self, "depth_multiplier", depth_multiplier)
        self.padding = check_padding(self, padding)
        self.activation, self.use_bias = activations.get(activation), use_bias
        self.initializers = depthwise_initializer, bias_initializer
        self.regularizers = regularizers.get(depthwise_regularizer), regularizers.get(bias_regularizer)

    def build(self, input_shape: Shape) -> None:
        self.channels = known_axis(self, input_shape, 3)
        shape = (*self.kernel_size, self.channels, self.depth_multiplier)
        self.kernel = self.add_weight("kernel", shape, self.initializers[0], regularizer=self.regularizers[0])
        self.add_bias(self.channels * self.depth_multiplier)

    def add_bias(self, size: int) -> None:
        """Make the weight bias, where the layer has one."""
        initializer, penalty = self.initializers[1], self.regularizers[1]
        self.bias = self.add_weight("bias", (size,), initializer, regularizer=penalty) if self.use_bias else None

    def check_input(self, input_shape: Shape) -> None:
        check_images(self, input_shape, self.kernel_size, self.strides, self.padding, self.dilation)
        if self.built:
            expect_last_axis(self, input_shape, self.channels)

    def by_channel(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """The depthwise part: each channel a group of its own."""
        kernel = self.kernel.reshape(*self.kernel_size, 1, self.channels * self.depth_multiplier)
        move = {"stride": self.strides, "padding": self.padding, "dilation": self.dilation}
        return ops.correlate2d(x, kernel, bias, groups=self.channels, **move)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return apply(self.activation, self.by_channel(x, self.bias))

    def output_shape(self, input_shape: Shape) -> Shape:
        size = size_after(input_shape, self.kernel_size, self.strides, self.padding, self.dilation)
        return (input_shape[0], *size, self.channels * self.depth_multiplier)


class SeparableConv2D(DepthwiseConv2D):
    """A depthwise convolution, then a mixing of its channels at every pixel: fewer weights than Conv2D (Xception, MobileNet).

    Arguments: filters, the number of output channels; pointwise_initializer, pointwise_regularizer, of the kernel that mixes
    channels; the rest as DepthwiseConv2D.
    Weights: kernel (kh,kw,C,m), pointwise_kernel (1,1,C*m,filters), bias (filters,).
    Returns: (N,OH,OW,filters) for images (N,H,W,C).
    Raises: as DepthwiseConv2D.
    Source: Chollet 2017.

    >>> import numpy as np
    >>> SeparableConv2D(8, 3, activation="relu")(np.ones((2, 10, 10, 3), "float32")).shape
    (2, 8, 8, 8)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        strides: int | tuple[int, int] = (1, 1),
        padding: str = "valid",
        dilation_rate: int | tuple[int, int] = (1, 1),
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        *,
        pointwise_initializer: Any = "glorot_uniform",
        pointwise_regularizer: Any = None,
        **common: Any,
    ):
        super().__init__(kernel_size, strides, padding, depth_multiplier, dilation_rate, activation, use_bias, **common)
        self.filters = count(self, "filters", filters)
        self.mixing = pointwise_initializer, regularizers.get(pointwise_regularizer)

    def build(self, input_shape: Shape) -> None:
        self.channels = known_axis(self, input_shape, 3)
        (initializer, penalty), many = self.mixing, self.channels * self.depth_multiplier
        shape = (*self.kernel_size, self.channels, self.depth_multiplier)
        self.kernel = self.add_weight("kernel", shape, self.initializers[0], regularizer=self.regularizers[0])
        shape = (1, 1, many, self.filters)
        self.pointwise_kernel = self.add_weight("pointwise_kernel", shape, initializer, regularizer=penalty)
        self.add_bias(self.filters)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return apply(self.activation, ops.correlate2d(self.by_channel(x, None), self.pointwise_kernel, self.bias))

    def output_shape(self, input_shape: Shape) -> Shape:
        return (*super().output_shape(input_shape)[:3], self.filters)
