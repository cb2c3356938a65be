"""Layer: weights and a function of Tensors, which builds its weights when it first sees an input shape.

A subclass says three things: `build(input_shape)` makes the weights, `call(x, training)` is the function, and
`output_shape(input_shape)` tells what comes out. What it was made with is remembered here, once for all layers, so
that models can be saved. Calling a layer on a `Symbol` computes nothing: it draws an edge of a functional model.
"""

from __future__ import annotations

import inspect
import math
import re
from typing import Any, ClassVar, Self

import numpy as np

from tinydx import initializers
from tinydx.tensor import Tensor, as_array

Shape = tuple[int | None, ...]

REGISTRY: dict[str, type[Layer]] = {}
_used_names: dict[str, int] = {}


class Symbol:
    """A value that a functional model will have: its shape, and the layer and symbols it comes from."""

    def __init__(self, shape: Shape, layer: Layer | None = None, inputs: tuple[Symbol, ...] = (), index: int | None = None):
        self.shape, self.layer, self.inputs, self.index = shape, layer, inputs, index

    def __repr__(self) -> str:
        return f"<Symbol {self.shape} of {self.layer.name if self.layer else 'Input'}>"


def Input(shape: tuple[int | None, ...], name: str | None = None, dtype: str | None = None) -> Symbol:
    """The entrance of a functional model: shape without the batch axis.

    >>> Input((150, 150, 3)).shape
    (None, 150, 150, 3)
    """
    return Symbol((None, *shape))


class Layer:
    """Base of all layers.

    Arguments that every layer takes: name; dtype "float32" or "float64" of its weights (default: that of its first
    input); input_shape without the batch axis, for the first layer of a Sequential; trainable.
    """

    config: dict[str, Any]
    integer_input: ClassVar[bool] = False  # ids instead of numbers
    passes_mask: ClassVar[bool] = True  # time steps go in and come out one by one, so a mask stays valid

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        REGISTRY[cls.__name__] = cls

    def __new__(cls, *args: Any, **keywords: Any) -> Self:
        layer = super().__new__(cls)
        given = inspect.signature(cls.__init__).bind(layer, *args, **keywords).arguments
        common = given.pop("common", {})
        layer.config = {name: value for name, value in (given | common).items() if value is not layer}
        return layer

    def __init__(
        self,
        name: str | None = None,
        dtype: Any = None,
        input_shape: tuple[int | None, ...] | None = None,
        trainable: bool = True,
    ):
        self.name = name or unique_name(type(self).__name__)
        self.dtype = None if dtype is None else np.dtype(dtype)
        self.given_input_shape = None if input_shape is None else (None, *input_shape)
        self.trainable = trainable
        self.weights: list[Tensor] = []
        self.built = False

    # ---- what a subclass says ----

    def build(self, input_shape: Any) -> None:
        """Make the weights for inputs of that shape (batch axis first, None where it may vary)."""

    def call(self, x: Any, training: bool = False) -> Any:
        """The layer's function, Tensors to Tensors."""
        raise NotImplementedError(f"{type(self).__name__} must define call(x, training)")

    def output_shape(self, input_shape: Any) -> Any:
        """The output's shape for an input's."""
        return input_shape

    def check_input(self, input_shape: Shape) -> None:
        """ValueError naming the layer, what it expects and what it got."""

    # ---- calling ----

    def __call__(self, x: Any, training: bool = False, **keywords: Any) -> Any:
        if _holds_symbols(x):
            return self._draw(x, keywords)
        x = [self._as_input(v) for v in x] if isinstance(x, list | tuple) else self._as_input(x)
        shape = [v.shape for v in x] if isinstance(x, list) else x.shape
        self.ensure_built(shape, (x[0] if isinstance(x, list) else x).dtype)
        self._check(shape)
        y = self.call(x, training=training, **keywords)
        self._pass_mask(x, y)
        return y

    def _draw(self, x: Any, keywords: dict[str, Any]) -> Any:
        several = isinstance(x, list | tuple)
        symbols = (*x,) if several else (x,)
        shape = [s.shape for s in symbols] if several else symbols[0].shape
        self.ensure_built(shape)
        self._check(shape)
        out = self.output_shape(shape)
        if isinstance(out, list):
            return [Symbol(s, self, symbols, i) for i, s in enumerate(out)]
        return Symbol(out, self, symbols)

    def _as_input(self, x: Any) -> Any:
        if isinstance(x, Tensor):
            return x
        if self.integer_input:
            return np.asarray(x)
        try:
            return Tensor(as_array(x))
        except TypeError as error:
            raise TypeError(f"{self.name}: input is {np.asarray(x).dtype}: convert it, x.astype('float32')") from error

    def _pass_mask(self, x: Any, y: Any) -> None:
        """A mask over time steps goes on with the values, if the layer keeps the steps apart."""
        first = x[0] if isinstance(x, list) else x
        mask = getattr(first, "mask", None)
        if mask is not None and isinstance(y, Tensor) and y.mask is None and self.passes_mask and y.shape[:2] == mask.shape:
            y.mask = mask

    def _check(self, shape: Any) -> None:
        if not isinstance(shape, list):
            self.check_input(shape)

    def ensure_built(self, input_shape: Any, input_dtype: Any = None) -> None:
        """Build once, in the dtype asked for, or else in the first input's."""
        if not self.built:
            if self.dtype is None:
                floating = input_dtype is not None and np.dtype(input_dtype).kind == "f"
                self.dtype = np.dtype(input_dtype) if floating else np.dtype("float32")
            self._check(input_shape)
            self.build(input_shape)
            self.built = True

    # ---- weights ----

    def add_weight(self, name: str, shape: tuple[int, ...], initializer: Any, trainable: bool = True) -> Tensor:
        """A new weight of that shape, appended to `weights`."""
        values = np.ascontiguousarray(initializers.get(initializer)(shape), self.dtype)
        weight = Tensor(values, requires_grad=trainable and self.trainable, name=f"{self.name}/{name}")
        self.weights.append(weight)
        return weight

    @property
    def trainable_weights(self) -> list[Tensor]:
        """The weights that training changes."""
        return [w for w in self.weights if w.requires_grad]

    def get_weights(self) -> list[np.ndarray]:
        """Copies of the weights, in Keras's order and layouts."""
        return [w.data.copy() for w in self.weights]

    def set_weights(self, arrays: Any) -> None:
        """Set all weights, in the order of get_weights; float64 arrays stay float64. Nothing changes if one does not fit."""
        arrays = [np.asarray(a) for a in arrays]
        if len(arrays) != len(self.weights):
            hint = "" if self.built else " (not built yet: give input_shape, or call it once)"
            raise ValueError(f"{self.name}.set_weights: expected {len(self.weights)} arrays, got {len(arrays)}{hint}")
        for w, a in zip(self.weights, arrays, strict=True):
            if a.shape != w.shape:
                raise ValueError(f"{self.name}.set_weights: {w.name} has shape {w.shape}, got {a.shape}")
        for w, a in zip(self.weights, arrays, strict=True):
            w.data = np.array(a, dtype=a.dtype if a.dtype.kind == "f" and a.itemsize >= 4 else w.dtype, order="C")

    def count_params(self) -> int:
        """How many numbers the weights hold."""
        return sum(math.prod(w.shape) for w in self.weights)

    def state(self) -> dict[str, Any]:
        """What besides the weights must be saved to go on later: nothing, for most layers."""
        return {}

    def __repr__(self) -> str:
        settings = ", ".join(f"{k}={v!r}" for k, v in self.config.items())
        return f"{type(self).__name__}({settings})"


def unique_name(class_name: str) -> str:
    """Conv2D -> conv2d, conv2d_1, conv2d_2 ..."""
    base = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[0-9]D)(?=[A-Z])", "_", class_name).lower()
    count = _used_names.get(base, 0)
    _used_names[base] = count + 1
    return f"{base}_{count}" if count else base


def reset_names() -> None:
    """Number automatic layer names from the start again."""
    _used_names.clear()


def expect_rank(layer: Layer, shape: Shape, rank: int, axes: str) -> None:
    """ValueError unless the input has that many axes; says so if the batch axis is missing."""
    if len(shape) != rank:
        missing = "; is the batch axis missing? x[None] adds it" if len(shape) == rank - 1 else ""
        raise ValueError(f"{layer.name}: expected input {axes}, got shape {tuple(shape)}{missing}")


def expect_last_axis(layer: Layer, shape: Shape, size: int) -> None:
    """ValueError unless the last axis has the size that the layer was built for."""
    if shape[-1] != size:
        raise ValueError(f"{layer.name}: expected {size} values on the last axis, got {shape[-1]} (input shape {tuple(shape)})")


def _holds_symbols(x: Any) -> bool:
    return isinstance(x, Symbol) or (isinstance(x, list | tuple) and len(x) > 0 and isinstance(x[0], Symbol))
