"""Layers for any network: dense, activation, dropout, reshaping, merging, normalisation."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinydx import activations, ops, random, regularizers
from tinydx.device import random_beside
from tinydx.layers.base import Layer, Shape, count, expect_last_axis, expect_mask, expect_rank
from tinydx.layers.quantized import QuantizedKernel
from tinydx.noting import made
from tinydx.settings import number
from tinydx.tensor import Tensor


class Dense(Layer):
    """The fully connected layer y = activation(x w + b), along the last axis.

    Arguments: units, the size of the output; activation, a name or None; use_bias; kernel_initializer, bias_initializer,
    names or functions; kernel_regularizer, bias_regularizer, penalties (`tinydx.regularizers`), names, objects or None; the rest
    as Layer.
    Weights: kernel (D,units), bias (units,).
    Returns: (N,...,units) for x (N,...,D).
    Raises: ValueError where D is not that of the first input.

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
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        **common: Any,
    ):
        super().__init__(**common)
        self.units, self.activation, self.use_bias = count(self, "units", units), activations.get(activation), use_bias
        self.initializers = kernel_initializer, bias_initializer
        self.regularizers = regularizers.get(kernel_regularizer), regularizers.get(bias_regularizer)

    supports_masking = True

    def build(self, input_shape: Shape) -> None:
        features = known_axis(self, input_shape, -1)
        kernel, bias = self.regularizers
        self.kernel = self.add_weight("kernel", (features, self.units), self.initializers[0], regularizer=kernel)
        self.bias = self.add_weight("bias", (self.units,), self.initializers[1], regularizer=bias) if self.use_bias else None

    def check_input(self, input_shape: Shape) -> None:
        if len(input_shape) < 2 or isinstance(input_shape, list):
            expect_rank(self, input_shape, 2, "(N, features)")
        if self.built:
            expect_last_axis(self, input_shape, self.kernel.shape[0])

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        if isinstance(self.kernel, QuantizedKernel):
            return apply(self.activation, self.kernel.dense(x, self.bias))
        return apply(self.activation, ops.dense(x, self.kernel, self.bias))

    def output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self.units)

    def take(self, kernel: QuantizedKernel) -> None:
        """Put a quantized kernel in the place of its own; its regularizer ends, since the kernel trains no more."""
        self._penalties = [(w, penalty) for w, penalty in self._penalties if w is not self.kernel]
        self._own = [(kernel, False) if w is self.kernel else (w, can_train) for w, can_train in self._own]
        self.kernel = kernel


def quantizable(model: Layer) -> list[Dense]:
    """The layers whose kernel may be quantized: each Dense inside, unless its class computes something else."""
    found = dict.fromkeys(v for v in model.all_layers() if isinstance(v, Dense) and type(v).call is Dense.call)
    return [layer for layer in found if isinstance(layer, Dense)]


def apply(activation: Any, x: Tensor) -> Tensor:
    """activation(x), or x where there is none."""
    return x if activation is None else activation(x)


class Activation(Layer):
    """An activation as a layer.

    Arguments: activation, a name (see `tinydx.activations.get`) or a function of Tensors; the rest as Layer.
    Returns: an output of the input's shape.

    >>> Activation("relu")(np.array([[-1.0, 2.0]])).numpy()
    array([[0., 2.]])
    """

    supports_masking = True

    def __init__(self, activation: Any, **common: Any):
        super().__init__(**common)
        self.activation = activations.get(activation)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return apply(self.activation, x)

    def output_shape(self, input_shape: Shape) -> Shape:
        return input_shape


class ReLU(Layer):
    """The rectifier as a layer, with Keras's three settings: max_value for x >= max_value, slope (x - threshold) below threshold.

    Arguments: max_value, the largest output, or None for no limit; negative_slope, 0 or more; threshold, 0 or more, below which
    negative_slope counts; the rest as Layer.
    Returns: an output of the input's shape.
    Raises: ValueError for negative settings, and a max_value below the threshold.

    >>> ReLU(max_value=6.0)(np.array([-1.0, 2.0, 9.0])[None]).numpy()
    array([[0., 2., 6.]])
    """

    supports_masking = True

    def __init__(self, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0, **common: Any):
        super().__init__(**common)
        self.slope = number(f"{self.name}: negative_slope", negative_slope, at_least=0)
        self.threshold = number(f"{self.name}: threshold", threshold, at_least=0)
        limit = None if max_value is None else number(f"{self.name}: max_value", max_value, at_least=self.threshold)
        self.limit = limit

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        if self.limit is None and self.slope == self.threshold == 0:
            return ops.relu(x)
        above = np.zeros_like(x.data, bool) if self.limit is None else x.data >= self.limit
        passed = ((x.data >= self.threshold) & ~above).astype(x.dtype)
        y = x * passed + above.astype(x.dtype) * (self.limit or 0.0)
        below = (x.data < self.threshold).astype(x.dtype)
        return y + (x - self.threshold) * (below * self.slope) if self.slope else y

    def output_shape(self, input_shape: Shape) -> Shape:
        return input_shape


class Flatten(Layer):
    """All axes but the batch's in one, in C order.

    Returns: (N, H*W*C) for x (N,H,W,C).

    >>> Flatten()(np.ones((2, 3, 4, 5), "float32")).shape
    (2, 60)
    """

    supports_masking = False

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return x.reshape(x.shape[0], math.prod(x.shape[1:]))

    def output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], _product(input_shape[1:]))


class Reshape(Layer):
    """Another shape for each example.

    Arguments: target_shape, without the batch axis; one size may be -1; the rest as Layer.
    Returns: (N, *target_shape).
    Raises: ValueError where the numbers of elements differ.

    >>> Reshape((-1, 2))(np.ones((3, 4), "float32")).shape
    (3, 2, 2)
    """

    supports_masking = False

    def __init__(self, target_shape: tuple[int, ...], **common: Any):
        super().__init__(**common)
        self.target_shape = tuple(target_shape)
        if self.target_shape.count(-1) > 1 or any(n < 1 and n != -1 for n in self.target_shape):
            raise ValueError(f"{self.name}: target_shape is {self.target_shape}, expected sizes, with at most one -1")

    def check_input(self, input_shape: Shape) -> None:
        size, known = _product(input_shape[1:]), math.prod(n for n in self.target_shape if n != -1)
        if size is not None and (size % known if -1 in self.target_shape else size != known):
            raise ValueError(f"{self.name}: {tuple(input_shape[1:])} does not reshape to {self.target_shape}")

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return x.reshape(*self.output_shape(x.shape))

    def output_shape(self, input_shape: Shape) -> Shape:
        size, known = _product(input_shape[1:]), math.prod(n for n in self.target_shape if n != -1)
        free = None if size is None else size // known
        return (input_shape[0], *(free if n == -1 else n for n in self.target_shape))


def _product(sizes: Shape) -> int | None:
    """The product of the sizes; None where one of them is unknown."""
    known = [n for n in sizes if n is not None]
    return math.prod(known) if len(known) == len(sizes) else None


class Dropout(Layer):
    """Inverted dropout, in training only: each number becomes 0 with probability rate, the rest grow by 1/(1-rate).

    Arguments: rate, 0 <= rate < 1; noise_shape, 1 for an axis along which all numbers share one choice, None for the others:
    (None, None, 1) drops whole words of (N,T,D); the rest as Layer.
    Returns: an output of the input's shape.
    Raises: ValueError for another rate.

    >>> float(Dropout(0.5)(np.ones((1, 3), "float32"), training=False).numpy().sum())
    3.0
    """

    supports_masking = True

    def __init__(self, rate: float, noise_shape: tuple[int | None, ...] | None = None, **common: Any):
        super().__init__(**common)
        self.rate, self.noise_shape = expect_rate(self, "rate", rate), noise_shape

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        if not training or self.rate == 0:
            return x
        draws = tuple(n or size for n, size in zip(self.noise_shape or x.shape, x.shape, strict=True))
        return ops.dropout(x, mask=kept(x, draws, self.rate), rate=self.rate)

    def output_shape(self, input_shape: Shape) -> Shape:
        return input_shape


def kept(x: Tensor, draws: tuple[int, ...], rate: float) -> Any:
    """Which numbers of x dropout keeps: a mask of its shape, by random choices of the shape `draws`, which fits it."""

    def draw(x: Any) -> Any:
        mask = random_beside(x, lambda: random.generator().random(draws, np.float32) >= rate)
        return mask if mask.shape == x.shape else np.broadcast_to(mask, x.shape)

    return made(draw, x)


def expect_rate(layer: Layer, name: str, rate: float) -> float:
    """The argument, a share that dropout drops; ValueError unless 0 <= rate < 1."""
    return number(f"{layer.name}: {name}", rate, at_least=0, below=1)


class Add(Layer):
    """The sum of several inputs of one shape, as in residual networks.

    A time step of the output is real where that of any input is; an input without a mask takes it away.

    Returns: an output of that shape.
    Raises: ValueError for a single input, and where shapes differ.

    >>> Add()([np.ones((1, 2), "float32"), np.ones((1, 2), "float32")]).numpy()
    array([[2., 2.]], dtype=float32)
    """

    def check_input(self, input_shape: list[Shape]) -> None:
        expect_several(self, input_shape)
        if any(not _same(s, input_shape[0]) for s in input_shape):
            raise ValueError(f"{self.name}: inputs have shapes {', '.join(map(str, input_shape))}, expected equal ones")

    def call(self, x: list[Tensor], training: bool = False) -> Tensor:
        return functools.reduce(ops.add, x)

    def compute_mask(self, x: list[Tensor], mask: list[Any]) -> Any:
        return None if any(m is None for m in mask) else functools.reduce(np.logical_or, mask)

    def output_shape(self, input_shape: list[Shape]) -> Shape:
        return input_shape[0]


class Average(Add):
    """The mean of several inputs of one shape, as of the outputs of several models.

    Returns: an output of that shape.
    Raises: ValueError for a single input, and where shapes differ.

    >>> Average()([np.zeros((1, 2), "float32"), np.ones((1, 2), "float32")]).numpy()
    array([[0.5, 0.5]], dtype=float32)
    """

    def call(self, x: list[Tensor], training: bool = False) -> Tensor:
        return super().call(x) / float(len(x))


class Multiply(Add):
    """The product of several inputs of as many axes; an axis of size 1 fits any: Multiply()([features, gate]) with gate (N,1).

    A masked time step of an input counts as 1. Where all inputs have masks, a step that all of them mask is 0, and masked.

    Returns: an output of the largest sizes.
    Raises: ValueError for a single input, and where shapes do not fit.

    >>> Multiply()([np.array([[2.0, 3.0], [4.0, 5.0]]), np.array([[1.0], [0.0]])]).numpy()
    array([[2., 3.],
           [0., 0.]])
    """

    def check_input(self, input_shape: list[Shape]) -> None:
        expect_several(self, input_shape)
        if any(len({n for n in sizes if n not in (None, 1)}) > 1 for sizes in _axes(self, input_shape)):
            raise ValueError(f"{self.name}: inputs have shapes {', '.join(map(str, input_shape))}, expected equal sizes, or 1")

    def call(self, x: list[Tensor], training: bool = False) -> Tensor:
        y = functools.reduce(ops.multiply, [v if v.mask is None else self._only(v, v.mask, otherwise=1) for v in x])
        real = self.compute_mask(x, [v.mask for v in x])
        return y if real is None else self._only(y, real, otherwise=0)

    @staticmethod
    def _only(x: Tensor, real: Any, otherwise: int) -> Tensor:
        """x at its real time steps (N,T), another number at the others."""
        real = np.asarray(real, dtype=x.dtype, like=x.data).reshape(*real.shape, *(1,) * (x.ndim - real.ndim))
        return x * real + otherwise * (1 - real)

    def output_shape(self, input_shape: list[Shape]) -> Shape:
        return tuple(next((n for n in sizes if n != 1), 1) for sizes in _axes(self, input_shape))


class Concatenate(Layer):
    """Several inputs joined along an axis: Concatenate()([image_features, patient_features]).

    Along the time axis masks are joined, too; otherwise a time step is real where that of any input is. All time steps of an
    input without a mask count as real.

    Arguments: axis, the last one by default; the rest as Layer.
    Returns: the inputs one after the other along that axis.
    Raises: ValueError for a single input, and where other axes differ.

    >>> Concatenate()([np.ones((1, 2), "float32"), np.ones((1, 3), "float32")]).shape
    (1, 5)
    """

    def __init__(self, axis: int = -1, **common: Any):
        super().__init__(**common)
        self.axis = axis

    def check_input(self, input_shape: list[Shape]) -> None:
        expect_several(self, input_shape)
        rests = [list(s) for s in input_shape]
        for rest in rests:
            if not -len(rest) <= self.axis < len(rest):
                raise ValueError(f"{self.name}: there is no axis {self.axis} in an input of shape {tuple(rest)}")
            rest[self.axis] = None
        if any(not _same(r, rests[0]) for r in rests):
            shapes = ", ".join(map(str, input_shape))
            raise ValueError(f"{self.name}: inputs have shapes {shapes}, expected equal ones but for axis {self.axis}")

    def call(self, x: list[Tensor], training: bool = False) -> Tensor:
        return ops.concatenate(*x, axis=self.axis)

    def compute_mask(self, x: list[Tensor], mask: list[Any]) -> Any:
        rank = max(m.ndim for m in mask if m is not None)
        masks = [np.ones(v.shape[:rank], bool, like=v.data) if m is None else m for v, m in zip(x, mask, strict=True)]
        axis = self.axis % x[0].ndim
        return np.concatenate(masks, axis=axis) if axis < rank else functools.reduce(np.logical_or, masks)

    def output_shape(self, input_shape: list[Shape]) -> Shape:
        sizes = [s[self.axis] for s in input_shape]
        joined = list(input_shape[0])
        joined[self.axis] = None if None in sizes else sum(n for n in sizes if n is not None)
        return tuple(joined)


def expect_several(layer: Layer, input_shape: Any) -> None:
    """ValueError unless the input is a list of two or more."""
    if not isinstance(input_shape, list) or len(input_shape) < 2:
        raise ValueError(f"{layer.name}: expected a list of two or more inputs, got one of shape {input_shape}")


def _axes(layer: Layer, shapes: list[Shape]) -> list[tuple[int | None, ...]]:
    """The sizes of all inputs along each axis; ValueError where they do not have as many axes."""
    if len({len(shape) for shape in shapes}) > 1:
        raise ValueError(f"{layer.name}: inputs have shapes {', '.join(map(str, shapes))}, expected as many axes of each")
    return list(zip(*shapes, strict=True))


def _same(a: Any, b: Any) -> bool:
    """Whether two shapes agree where both are known."""
    return len(a) == len(b) and all(m == n or m is None or n is None for m, n in zip(a, b, strict=True))


class _Normalization(Layer):
    """What both normalisations share: gamma, the scale, if `scale`, and beta, the shift, if `center`."""

    gamma: Tensor | None = None
    beta: Tensor | None = None
    supports_masking = True

    def __init__(self, epsilon: float, center: bool, scale: bool, **common: Any):
        super().__init__(**common)
        self.epsilon = number(f"{self.name}: epsilon", epsilon, above=0)
        self.center, self.scale = center, scale

    def add_scale_and_shift(self, shape: tuple[int, ...]) -> None:
        """Make the weights gamma and beta, where the layer has them."""
        self.weight_shape = shape
        self.gamma = self.add_weight("gamma", shape, "ones") if self.scale else None
        self.beta = self.add_weight("beta", shape, "zeros") if self.center else None

    def scale_and_shift(self, x: Tensor) -> tuple[Any, Any]:
        """gamma and beta in one axis, or ones and zeros in their place, on the device of x."""
        size = (math.prod(self.weight_shape),)
        gamma = filled(1, size, self.dtype, x) if self.gamma is None else flattened(self.gamma, 0)
        return gamma, filled(0, size, self.dtype, x) if self.beta is None else flattened(self.beta, 0)

    def output_shape(self, input_shape: Shape) -> Shape:
        return input_shape


def filled(number: float, shape: tuple[int, ...], dtype: Any, beside: Tensor) -> Any:
    """An array of that shape and dtype, filled with the number, on the device of a Tensor."""
    return made(lambda: np.full(shape, number, dtype, like=beside.data))


def flattened(x: Tensor, first: int) -> Tensor:
    """x with its axes from `first` on as one; itself if that is one already."""
    return x if x.ndim == first + 1 else x.reshape(*x.shape[:first], math.prod(x.shape[first:]))


class BatchNormalization(_Normalization):
    """Batch normalisation of each channel.

    In training it uses the batch's mean and biased variance and moves its own towards them; otherwise, and where
    trainable=False, it uses its own. Masked time steps count neither for the batch's statistics nor for its own.

    Arguments: axis, that of the channels; momentum, the share of the moving statistics that is kept at each step; epsilon,
    added to the variance; center, scale, whether there are beta and gamma; the rest as Layer. A call takes mask (N,T) of
    bool, instead of the input's own.
    Weights: gamma, beta, moving_mean, moving_variance, each (C,).
    Returns: an output of the input's shape.
    Raises: ValueError for another number of channels than at first.

    >>> BatchNormalization()(np.array([[1.0], [3.0]]), training=True).numpy().round(2)
    array([[-1.], [ 1.]])
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        **common: Any,
    ):
        super().__init__(epsilon, center, scale, **common)
        self.axis, self.momentum = axis, number(f"{self.name}: momentum", momentum, at_least=0, below=1)

    def build(self, input_shape: Shape) -> None:
        shape = (known_axis(self, input_shape, self.axis),)
        self.add_scale_and_shift(shape)
        self.moving_mean = self.add_weight("moving_mean", shape, "zeros", trainable=False)
        self.moving_variance = self.add_weight("moving_variance", shape, "ones", trainable=False)

    def check_input(self, input_shape: Shape) -> None:
        if self.built and known_axis(self, input_shape, self.axis) != self.weight_shape[0]:
            expected = f"{self.weight_shape[0]} channels on axis {self.axis}"
            raise ValueError(f"{self.name}: expected {expected}, got input shape {input_shape}")

    def call(self, x: Tensor, training: bool = False, mask: Any = None) -> Tensor:
        seen = x.mask if mask is None else mask
        real = expect_mask(self, seen, x.shape[: min(np.ndim(seen), x.ndim - 1)])
        order = [i for i in range(x.ndim) if i != self.axis % x.ndim] + [self.axis % x.ndim]
        if real is not None:  # one for each number, as a view
            rest = (1,) * (x.ndim - real.ndim)
            real = made(lambda real, x: np.broadcast_to(real.reshape(*real.shape, *rest), x.shape).transpose(order), real, x)
        if self.is_along_last(x):
            y = self._normalize(x, training, real)
        else:
            y = self._normalize(x.transpose(*order), training, real).transpose(*map(int, np.argsort(order)))
        y.mask = seen if mask is None else np.asarray(mask, bool)
        return y

    def _normalize(self, x: Tensor, training: bool, real: Any) -> Tensor:
        if not self.uses_batch(training):
            one, zero = (filled(v, x.shape[-1:], x.dtype, x) for v in (1, 0))
            factor, shift = self.folded_into(one, zero)
            return x * factor + shift
        if real is None:
            return self.normalize_batch(x, ops.batch_normalization)
        return self.normalize_batch(x, functools.partial(ops.masked_batch_normalization, mask=real))

    def is_along_last(self, x: Tensor) -> bool:
        """Whether the channels of x are its last axis."""
        return self.axis in (-1, x.ndim - 1)

    def uses_batch(self, training: bool) -> bool:
        """Whether the statistics are the batch's, not the layer's own."""
        return training and self.trainable

    def folded_into(self, kernel: Any, bias: Any) -> tuple[Tensor, Tensor]:
        """Kernel (...,C) and bias (C,) of a layer before this one, changed so that it normalises, too, by the own statistics."""
        own = *self.scale_and_shift(self.moving_mean), self.moving_mean, self.moving_variance
        return ops.fold_normalization(kernel, bias, *own, eps=self.epsilon)

    def normalize_batch(self, x: Tensor, run: Callable[..., Tensor]) -> Tensor:
        """run(x, gamma, beta, eps, statistics), which uses the batch's statistics; the layer's own move towards them."""
        of_batch = filled(0, (2, x.shape[-1]), x.dtype, x)  # the op writes mean and variance into it
        y = run(x, *self.scale_and_shift(x), eps=self.epsilon, statistics=of_batch)
        for k, moving in enumerate((self.moving_mean, self.moving_variance)):
            moving.data = made(functools.partial(self._moved, k), moving, of_batch, y)
        return y

    def _moved(self, k: int, moving: Any, of_batch: Any, y: Any) -> Any:
        """Mean (k = 0) or variance (1) of its own, moved towards those of a batch, which are known once y is computed."""
        return (moving * self.momentum + of_batch[k] * (1 - self.momentum)).astype(moving.dtype)


class LayerNormalization(_Normalization):
    """Layer normalisation: each example's features get mean 0 and variance 1, then gamma and beta.

    Arguments: axis, the last axis or the last several, as in axis=(1, 2) of (N,T,D); epsilon, added to the variance; center,
    scale, whether there are beta and gamma; the rest as Layer.
    Weights: gamma, beta, of those axes' shape.
    Returns: an output of the input's shape.
    Raises: ValueError for other than the last axes, or other sizes than at first.

    >>> LayerNormalization(epsilon=1e-6)(np.array([[1.0, 3.0]])).numpy().round(2)
    array([[-1.,  1.]])
    """

    def __init__(
        self,
        axis: int | tuple[int, ...] = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        **common: Any,
    ):
        super().__init__(epsilon, center, scale, **common)
        self.axis = (axis,) if isinstance(axis, int) else tuple(axis)

    def build(self, input_shape: Shape) -> None:
        axes = sorted(a % len(input_shape) for a in self.axis)
        if axes != list(range(len(input_shape) - len(axes), len(input_shape))):
            raise ValueError(f"{self.name}: axis is {self.axis}, expected the last axes of {tuple(input_shape)}")
        self.add_scale_and_shift(tuple(known_axis(self, input_shape, a) for a in axes))

    def check_input(self, input_shape: Shape) -> None:
        if self.built and tuple(input_shape[-len(self.weight_shape) :]) != self.weight_shape:
            raise ValueError(f"{self.name}: expected last axes {self.weight_shape}, got shape {tuple(input_shape)}")

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        rows = flattened(x, x.ndim - len(self.weight_shape))
        y = ops.layer_normalization(rows, *self.scale_and_shift(x), eps=self.epsilon)
        return y if rows is x else y.reshape(*x.shape)


def known_axis(layer: Layer, shape: Any, axis: int) -> int:
    """The size of that axis of an input; ValueError where there is no such axis, or its size is unknown."""
    if isinstance(shape, list) or not -len(shape) <= axis < len(shape) or shape[axis] is None:
        raise ValueError(f"{layer.name}: expected one input whose axis {axis} is known, got {shape}")
    return shape[axis]
