"""Layers for any network: dense, activation, dropout, reshaping, merging, normalisation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinydx import activations, ops, random
from tinydx.layers.base import Layer, Shape, expect_last_axis, expect_rank
from tinydx.tensor import Tensor


class Dense(Layer):
    """The fully connected layer y = activation(x w + b), along the last axis.

    Arguments: units, outputs; activation, a name or None; use_bias. Weights: kernel (D, units), bias (units,).
    Shapes: (N, ..., D) -> (N, ..., units). Raises ValueError where D is not what it was built for.

    >>> Dense(2)(np.ones((4, 3), "float32")).shape
    (4, 2)
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **common: Any,
    ):
        super().__init__(**common)
        self.units, self.activation, self.use_bias = units, activations.get(activation), use_bias
        self.initializers = kernel_initializer, bias_initializer

    def build(self, input_shape: Shape) -> None:
        if input_shape[-1] is None:
            raise ValueError(f"{self.name}: the last axis of its input must be known, got {tuple(input_shape)}")
        self.kernel = self.add_weight("kernel", (input_shape[-1], self.units), self.initializers[0])
        self.bias = self.add_weight("bias", (self.units,), self.initializers[1]) if self.use_bias else None

    def check_input(self, input_shape: Shape) -> None:
        if len(input_shape) < 2:
            expect_rank(self, input_shape, 2, "(N, features)")
        if self.built:
            expect_last_axis(self, input_shape, self.kernel.shape[0])

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return apply(self.activation, ops.dense(x, self.kernel, self.bias))

    def output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self.units)


def apply(activation: Any, x: Tensor) -> Tensor:
    """activation(x), or x where there is none."""
    return x if activation is None else activation(x)


class Activation(Layer):
    """An activation as a layer: Activation("relu").

    >>> Activation("relu")(np.array([[-1.0, 2.0]])).numpy()
    array([[0., 2.]])
    """

    def __init__(self, activation: Any, **common: Any):
        super().__init__(**common)
        self.activation = activations.get(activation)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return apply(self.activation, x)


class Flatten(Layer):
    """All axes but the batch's in one, in C order: (N,H,W,C) -> (N, H*W*C)."""

    passes_mask = False

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return x.reshape(x.shape[0], -1) if x.size else x.reshape(x.shape[0], math.prod(x.shape[1:]))

    def output_shape(self, input_shape: Shape) -> Shape:
        rest = input_shape[1:]
        return (input_shape[0], None if None in rest else math.prod(rest))  # type: ignore[arg-type]


class Reshape(Layer):
    """Another shape for each example: target_shape without the batch axis, one entry may be -1."""

    passes_mask = False

    def __init__(self, target_shape: tuple[int, ...], **common: Any):
        super().__init__(**common)
        self.target_shape = tuple(target_shape)

    def check_input(self, input_shape: Shape) -> None:
        if None not in input_shape[1:] and not self._fits(math.prod(input_shape[1:])):  # type: ignore[arg-type]
            raise ValueError(f"{self.name}: cannot reshape {tuple(input_shape[1:])} to {self.target_shape}, the sizes differ")

    def _fits(self, size: int) -> bool:
        known = math.prod(n for n in self.target_shape if n != -1)
        return size % known == 0 if -1 in self.target_shape else size == known

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return x.reshape(x.shape[0], *self.target_shape)

    def output_shape(self, input_shape: Shape) -> Shape:
        if -1 not in self.target_shape:
            return (input_shape[0], *self.target_shape)
        known = math.prod(n for n in self.target_shape if n != -1)
        free = None if None in input_shape[1:] else math.prod(input_shape[1:]) // known  # type: ignore[arg-type]
        return (input_shape[0], *(free if n == -1 else n for n in self.target_shape))


class Dropout(Layer):
    """Inverted dropout, in training only: each number becomes 0 with probability rate, the rest grow by 1/(1-rate)."""

    def __init__(self, rate: float, **common: Any):
        super().__init__(**common)
        if not 0 <= rate < 1:
            raise ValueError(f"{self.name}: rate is {rate}, expected 0 <= rate < 1")
        self.rate = rate

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        if not training or self.rate == 0:
            return x
        return ops.dropout(x, mask=random.generator().random(x.shape) >= self.rate, rate=self.rate)


class Add(Layer):
    """The sum of several inputs, as in residual networks: Add()([a, b])."""

    def call(self, x: list[Tensor], training: bool = False) -> Tensor:
        total = x[0]
        for other in x[1:]:
            total = total + other
        return total

    def output_shape(self, input_shape: list[Shape]) -> Shape:
        return input_shape[0]


class Concatenate(Layer):
    """Several inputs joined along an axis: Concatenate()([image_features, patient_features])."""

    def __init__(self, axis: int = -1, **common: Any):
        super().__init__(**common)
        self.axis = axis

    def call(self, x: list[Tensor], training: bool = False) -> Tensor:
        return ops.concatenate(*x, axis=self.axis)

    def output_shape(self, input_shape: list[Shape]) -> Shape:
        sizes = [s[self.axis] for s in input_shape]
        joined = list(input_shape[0])
        joined[self.axis] = None if None in sizes else sum(sizes)  # type: ignore[arg-type]
        return tuple(joined)


class BatchNormalization(Layer):
    """Batch normalisation over the last axis.

    In training it uses the batch's mean and biased variance and moves its own towards them; else it uses its own.
    Weights: gamma, beta, moving_mean, moving_variance, each (C,).
    """

    def __init__(self, momentum: float = 0.99, epsilon: float = 1e-3, **common: Any):
        super().__init__(**common)
        self.momentum, self.epsilon = momentum, epsilon

    def build(self, input_shape: Shape) -> None:
        shape = (input_shape[-1],)
        self.gamma = self.add_weight("gamma", shape, "ones")  # type: ignore[arg-type]
        self.beta = self.add_weight("beta", shape, "zeros")  # type: ignore[arg-type]
        self.moving_mean = self.add_weight("moving_mean", shape, "zeros", trainable=False)  # type: ignore[arg-type]
        self.moving_variance = self.add_weight("moving_variance", shape, "ones", trainable=False)  # type: ignore[arg-type]

    def check_input(self, input_shape: Shape) -> None:
        if self.built:
            expect_last_axis(self, input_shape, self.gamma.shape[0])

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        if not training:
            scale = self.gamma / (self.moving_variance + self.epsilon) ** 0.5
            return x * scale + (self.beta - self.moving_mean * scale)
        axes = tuple(range(x.ndim - 1))
        for moving, now in ((self.moving_mean, x.data.mean(axis=axes)), (self.moving_variance, x.data.var(axis=axes))):
            moving.data = (moving.data * self.momentum + now * (1 - self.momentum)).astype(moving.dtype)
        return ops.batch_normalization(x, self.gamma, self.beta, eps=self.epsilon)


class LayerNormalization(Layer):
    """Layer normalisation: each example's features (last axis) get mean 0 and variance 1, then gamma and beta."""

    def __init__(self, epsilon: float = 1e-3, **common: Any):
        super().__init__(**common)
        self.epsilon = epsilon

    def build(self, input_shape: Shape) -> None:
        self.gamma = self.add_weight("gamma", (input_shape[-1],), "ones")  # type: ignore[arg-type]
        self.beta = self.add_weight("beta", (input_shape[-1],), "zeros")  # type: ignore[arg-type]

    def check_input(self, input_shape: Shape) -> None:
        if self.built:
            expect_last_axis(self, input_shape, self.gamma.shape[0])

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return ops.layer_normalization(x, self.gamma, self.beta, eps=self.epsilon)
