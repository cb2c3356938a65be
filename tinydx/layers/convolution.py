"""Convolution and pooling layers for images (N,H,W,C)."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinydx import activations, ops, regularizers
from tinydx.layers.base import Layer, Shape, count, expect_last_axis, expect_rank
from tinydx.layers.core import apply, known_axis
from tinydx.ops.convolution import output_size, padding_2d
from tinydx.tensor import Tensor

IMAGES = "(N, height, width, channels)"


def size_after(shape: Shape, kernel: Any, stride: Any, padding: str, dilation: Any = (1, 1)) -> tuple[int | None, ...]:
    """Height and width after a kernel has moved over them; None where they are unknown."""
    border = padding_2d(padding, [n or 1 for n in shape[1:3]], kernel, stride, dilation)
    axes = zip(shape[1:3], kernel, stride, dilation, border, strict=True)
    return tuple(None if n is None else output_size(n, k, s, d, *ends) for n, k, s, d, ends in axes)


class Conv2D(Layer):
    """What Keras calls convolution: cross-correlation, bias and activation (see ops.conv2d for the true one).

    Arguments: filters, the number of output channels; kernel_size, strides, dilation_rate, a number of pixels or (rows,
    columns); padding "valid" or "same"; groups, into which the channels are split; activation, a name or None; use_bias;
    kernel_initializer, bias_initializer, names or functions; kernel_regularizer, bias_regularizer, penalties
    (`tinydx.regularizers`), names, objects or None; the rest as Layer.
    Weights: kernel (kh,kw,C/groups,filters), bias (filters,).
    Returns: (N,OH,OW,filters) for images (N,H,W,C).
    Raises: ValueError for images that are smaller than the kernel, or have other channels than the first ones.

    >>> Conv2D(8, 3, activation="relu")(np.ones((2, 10, 10, 3), "float32")).shape
    (2, 8, 8, 8)
    """

    supports_masking = False

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        strides: int | tuple[int, int] = (1, 1),
        padding: str = "valid",
        dilation_rate: int | tuple[int, int] = (1, 1),
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        *,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        **common: Any,
    ):
        super().__init__(**common)
        self.filters, self.groups = count(self, "filters", filters), count(self, "groups", groups)
        self.kernel_size, self.strides = counts(self, "kernel_size", kernel_size), counts(self, "strides", strides)
        self.dilation = counts(self, "dilation_rate", dilation_rate)
        self.padding = check_padding(self, padding)
        self.activation, self.use_bias = activations.get(activation), use_bias
        self.initializers = kernel_initializer, bias_initializer
        self.regularizers = regularizers.get(kernel_regularizer), regularizers.get(bias_regularizer)

    def build(self, input_shape: Shape) -> None:
        channels = known_axis(self, input_shape, 3)
        if channels % self.groups or self.filters % self.groups:
            numbers = f"{channels} channels and {self.filters} filters"
            raise ValueError(f"{self.name}: {numbers} must be multiples of groups={self.groups}")
        self.channels = channels
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        kernel, bias = self.regularizers
        self.kernel = self.add_weight("kernel", shape, self.initializers[0], regularizer=kernel)
        self.bias = self.add_weight("bias", (self.filters,), self.initializers[1], regularizer=bias) if self.use_bias else None

    def check_input(self, input_shape: Shape) -> None:
        check_images(self, input_shape, self.kernel_size, self.strides, self.padding, self.dilation)
        if self.built:
            expect_last_axis(self, input_shape, self.channels)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        y = ops.correlate2d(
            x,
            self.kernel,
            self.bias,
            stride=self.strides,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )
        return apply(self.activation, y)

    def output_shape(self, input_shape: Shape) -> Shape:
        size = size_after(input_shape, self.kernel_size, self.strides, self.padding, self.dilation)
        return (input_shape[0], *size, self.filters)


class ZeroPadding2D(Layer):
    """A border of zeros around each image.

    Arguments: padding, the width of the border in pixels: a number, (rows, columns), or ((top, bottom), (left, right)); the rest
    as Layer.
    Returns: (N,top+H+bottom,left+W+right,C) for images (N,H,W,C).
    Raises: ValueError for another padding.

    >>> ZeroPadding2D((1, 2))(np.ones((2, 4, 5, 3), "float32")).shape
    (2, 6, 9, 3)
    """

    supports_masking = False

    def __init__(self, padding: Any = (1, 1), **common: Any):
        super().__init__(**common)
        sides = padding if isinstance(padding, list | tuple) else (padding, padding)
        ends = tuple(tuple(s) if isinstance(s, list | tuple) else (s, s) for s in sides)
        whole = all(isinstance(n, int) and n >= 0 for pair in ends for n in pair)
        if len(ends) != 2 or any(len(pair) != 2 for pair in ends) or not whole:
            wanted = "a number, (rows, columns) or ((top, bottom), (left, right)), of pixels"
            raise ValueError(f"{self.name}: padding is {padding!r}, expected {wanted}")
        self.padding = ends

    def check_input(self, input_shape: Shape) -> None:
        expect_rank(self, input_shape, 4, IMAGES)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        for axis, ends in enumerate(self.padding, start=1):
            before, after = (np.zeros((*x.shape[:axis], n, *x.shape[axis + 1 :]), x.dtype, like=x.data) for n in ends)
            parts = [part for part in (before, x, after) if part.shape[axis]]
            x = ops.concatenate(*parts, axis=axis) if len(parts) > 1 else x
        return x

    def output_shape(self, input_shape: Shape) -> Shape:
        sizes = (None if n is None else n + sum(ends) for n, ends in zip(input_shape[1:3], self.padding, strict=True))
        return (input_shape[0], *sizes, input_shape[3])


class MaxPooling2D(Layer):
    """The largest pixel of each window.

    Arguments: pool_size, a number of pixels or (rows, columns); strides, the same, by default pool_size; padding "valid" or
    "same"; the rest as Layer.
    Returns: (N,OH,OW,C) for images (N,H,W,C); (N,H//2,W//2,C) by default.
    Raises: ValueError for images that are smaller than the window.

    >>> MaxPooling2D()(np.ones((2, 7, 6, 3), "float32")).shape
    (2, 3, 3, 3)
    """

    supports_masking = False

    pool = ops.max_pool2d

    def __init__(
        self,
        pool_size: int | tuple[int, int] = (2, 2),
        strides: int | tuple[int, int] | None = None,
        padding: str = "valid",
        **common: Any,
    ):
        super().__init__(**common)
        self.pool_size = counts(self, "pool_size", pool_size)
        self.strides = self.pool_size if strides is None else counts(self, "strides", strides)
        self.padding = check_padding(self, padding)

    def check_input(self, input_shape: Shape) -> None:
        check_images(self, input_shape, self.pool_size, self.strides, self.padding)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return type(self).pool(x, size=self.pool_size, stride=self.strides, padding=self.padding)

    def output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], *size_after(input_shape, self.pool_size, self.strides, self.padding), input_shape[3])


class AveragePooling2D(MaxPooling2D):
    """The mean of each window; padding does not count. Arguments and shapes as MaxPooling2D.

    >>> float(AveragePooling2D()(np.arange(4.0).reshape(1, 2, 2, 1)).numpy().sum())
    1.5
    """

    pool = ops.average_pool2d


class GlobalAveragePooling2D(Layer):
    """The mean of each channel over the whole image.

    Arguments: keepdims, whether height and width stay with size 1; the rest as Layer.
    Returns: (N,C), or (N,1,1,C) with keepdims, for images (N,H,W,C).

    >>> GlobalAveragePooling2D()(np.ones((2, 4, 5, 3), "float32")).shape
    (2, 3)
    """

    supports_masking = False

    def __init__(self, keepdims: bool = False, **common: Any):
        super().__init__(**common)
        self.keepdims = keepdims

    def check_input(self, input_shape: Shape) -> None:
        expect_rank(self, input_shape, 4, IMAGES)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return x.mean(axis=(1, 2), keepdims=self.keepdims)

    def output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], *((1, 1) if self.keepdims else ()), input_shape[3])


class GlobalMaxPooling2D(GlobalAveragePooling2D):
    """The largest value of each channel over the whole image. Arguments and shapes as GlobalAveragePooling2D.

    >>> GlobalMaxPooling2D()(np.arange(4.0).reshape(1, 2, 2, 1)).numpy()
    array([[3.]])
    """

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return ops.max(x, axis=(1, 2), keepdims=self.keepdims)


def counts(layer: Layer, name: str, value: Any) -> tuple[int, int]:
    """(rows, columns) of a size or stride: 3 is (3, 3); ValueError unless both are whole numbers above 0."""
    values = value if isinstance(value, list | tuple) else (value, value)
    if len(values) != 2:
        raise ValueError(f"{layer.name}: {name} is {value!r}, expected a number or (rows, columns)")
    return count(layer, name, values[0]), count(layer, name, values[1])


def check_padding(layer: Layer, padding: str) -> str:
    """ "valid" or "same" from any case, else ValueError."""
    if str(padding).lower() not in ("valid", "same"):
        raise ValueError(f"{layer.name}: padding is {padding!r}, expected 'valid' or 'same'")
    return padding.lower()


def check_images(layer: Layer, shape: Shape, kernel: Any, stride: Any, padding: str, dilation: Any = (1, 1)) -> None:
    """ValueError unless these are images at least as large as the kernel."""
    expect_rank(layer, shape, 4, IMAGES)
    try:
        size_after(shape, kernel, stride, padding, dilation)
    except ValueError as error:
        raise ValueError(f"{layer.name}: {error} (input shape {tuple(shape)})") from error
