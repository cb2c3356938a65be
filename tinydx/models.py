"""Models: a layer made of layers. `Sequential` is a chain, `Model(inputs, outputs)` any graph, a subclass any code.

How they are trained is in `tinydx.training`, how they are saved in `tinydx.saving`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tinydx.layers.base import Layer, Shape, Symbol
from tinydx.saving import load_model
from tinydx.tensor import Tensor
from tinydx.training import Trainer

__all__ = ["Model", "Sequential", "load_model"]


class Model(Trainer, Layer):
    """A trainable graph of layers.

    Either functional, `Model(inputs, outputs)` of Symbols that start at `Input(shape)`; or subclassed: make layers in
    `__init__` (after `super().__init__()`), use them in `call(x, training)`.

    >>> from tinydx.layers import Add, Dense, Input
    >>> x = Input((4,))
    >>> h = Dense(8, activation="relu")(x)
    >>> model = Model(x, Dense(1)(Add()([h, Dense(8)(x)])))
    >>> model.predict(np.ones((2, 4), "float32")).shape
    (2, 1)
    """

    def __init__(self, inputs: Any = None, outputs: Any = None, name: str | None = None, **common: Any):
        super().__init__(name=name, **common)
        self.metrics = []
        self.inputs, self.outputs = inputs, outputs
        if inputs is not None:
            self.graph = _topological(_as_list(inputs), _as_list(outputs))
            self.built = True

    # ---- what it is made of ----

    @property
    def layers(self) -> list[Layer]:
        """The layers: in the graph's order, or for a subclass in the order of its attributes."""
        if self.inputs is not None:
            return list(dict.fromkeys(s.layer for s in self.graph if s.layer is not None))
        found: list[Layer] = []
        for value in vars(self).values():
            found += [v for v in (value if isinstance(value, list | tuple) else [value]) if isinstance(v, Layer)]
        return list(dict.fromkeys(found))

    @property
    def weights(self) -> list[Tensor]:  # type: ignore[override]
        """The weights of all layers, in order, each once."""
        return list({id(w): w for layer in self.layers for w in layer.weights}.values())

    @weights.setter
    def weights(self, value: list[Tensor]) -> None:
        pass  # a model owns none besides its layers'

    @property
    def compute_dtype(self) -> np.dtype:
        """The dtype that input is brought to: the weights', or float32 before there are any."""
        return next((w.dtype for w in self.weights), self.dtype or np.dtype("float32"))

    @property
    def takes_ids(self) -> bool:
        """Whether some layer takes integers (word ids) as input."""
        return any(isinstance(v, Model) and v.takes_ids or v.integer_input for v in self.layers)

    # ---- calling ----

    def call(self, x: Any, training: bool = False) -> Any:
        if self.inputs is None:
            raise NotImplementedError(f"{type(self).__name__} must define call(x, training), or be given inputs and outputs")
        given = x if isinstance(x, list) else [x]
        entrances = _as_list(self.inputs)
        if len(given) != len(entrances):
            raise ValueError(f"{self.name}: expected {len(entrances)} inputs, got {len(given)}")
        values: dict[int, Any] = {id(s): v for s, v in zip(entrances, given, strict=True)}
        for symbol in self.graph:
            if symbol.layer is not None and id(symbol) not in values:
                arguments = [values[id(s)] for s in symbol.inputs]
                y = symbol.layer(arguments if len(arguments) > 1 else arguments[0], training=training)
                values[id(symbol)] = y if symbol.index is None else y[symbol.index]
        out = [values[id(s)] for s in _as_list(self.outputs)]
        return out if isinstance(self.outputs, list | tuple) else out[0]

    def _as_input(self, x: Any) -> Any:
        return x if isinstance(x, Tensor) or (self.takes_ids and np.asarray(x).dtype.kind in "iu") else super()._as_input(x)

    def check_input(self, input_shape: Shape) -> None:
        if isinstance(self.inputs, Symbol):
            _check_against(self, input_shape, self.inputs.shape)

    def output_shape(self, input_shape: Any) -> Any:
        if self.outputs is None:
            zeros = np.zeros([n or 1 for n in input_shape], self.compute_dtype)
            return (input_shape[0], *self(zeros).shape[1:])
        return [s.shape for s in self.outputs] if isinstance(self.outputs, list | tuple) else self.outputs.shape

    # ---- telling ----

    def summary(self) -> None:
        """Print the layers with their output shapes and numbers of parameters."""
        print("\n".join(_summary_lines(self)))

    def save(self, path: Any, include_optimizer: bool = True) -> None:
        """Write the model to one file: weights, structure, class names, and the optimizer's memory if asked for."""
        from tinydx import saving

        saving.save_model(self, path, include_optimizer)


class Sequential(Model):
    """A chain of layers.

    >>> from tinydx.layers import Dense
    >>> model = Sequential()
    >>> model.add(Dense(2, activation="relu", input_shape=(3,)))
    >>> model.add(Dense(1, activation="sigmoid"))
    >>> model.count_params()
    11
    """

    def __init__(self, layers: Iterable[Any] | None = None, name: str | None = None, **common: Any):
        super().__init__(name=name, **common)
        self.chain: list[Layer] = []
        self.shape: Any = None  # of the chain's input, once known
        for layer in layers or []:
            self.add(layer)

    @property
    def layers(self) -> list[Layer]:
        return self.chain

    def add(self, layer: Any) -> None:
        """Put a layer (or an Input) at the end. Raises TypeError for anything else, ValueError where shapes do not fit."""
        if isinstance(layer, Symbol):
            self.build(layer.shape)
            return
        if not isinstance(layer, Layer):
            raise TypeError(f"{self.name}.add: expected a layer such as Dense(10), got {layer!r}")
        self.chain.append(layer)
        if self.shape is not None:
            layer.ensure_built(self._shape_before_last(), self.dtype)
        elif layer.given_input_shape is not None and len(self.chain) == 1:
            self.build(layer.given_input_shape)

    def _shape_before_last(self) -> Any:
        shape = self.shape
        for layer in self.chain[:-1]:
            shape = layer.output_shape(shape)
        return shape

    def pop(self) -> None:
        """Take the last layer off."""
        self.chain.pop()

    def build(self, input_shape: Any) -> None:
        """Build every layer for inputs of that shape (batch axis first)."""
        shape = self.shape = (None, *tuple(input_shape)[1:])
        for layer in self.chain:
            layer.ensure_built(shape, self.dtype)
            shape = layer.output_shape(shape)
        self.built = True

    def check_input(self, input_shape: Shape) -> None:
        if self.shape is not None:
            _check_against(self, input_shape, self.shape)

    def call(self, x: Any, training: bool = False) -> Any:
        for layer in self.chain:
            x = layer(x, training=training)
        return x

    def output_shape(self, input_shape: Any) -> Any:
        for layer in self.chain:
            input_shape = layer.output_shape(input_shape)
        return input_shape


def _check_against(model: Model, got: Shape, expected: Shape) -> None:
    """ValueError naming model, expected and got, where an input cannot be what the model was built for."""
    wanted = "(" + ", ".join(["N", *("any" if n is None else str(n) for n in expected[1:])]) + ")"
    if len(got) == len(expected) - 1:
        raise ValueError(f"{model.name}: expected input {wanted}, got {tuple(got)}; is the batch axis missing? x[None] adds it")
    if len(got) != len(expected) or any(e not in (None, g) for g, e in zip(got[1:], expected[1:], strict=False)):
        raise ValueError(f"{model.name}: expected input {wanted}, got {tuple(got)}")


def _as_list(x: Any) -> list[Any]:
    return list(x) if isinstance(x, list | tuple) else [x]


def _topological(inputs: list[Symbol], outputs: list[Symbol]) -> list[Symbol]:
    """All symbols between inputs and outputs, each after those that it needs."""
    order: list[Symbol] = []
    seen = {id(s) for s in inputs}
    stack = [(s, False) for s in reversed(outputs)]
    while stack:
        symbol, ready = stack.pop()
        if ready:
            order.append(symbol)
        elif id(symbol) not in seen:
            if symbol.layer is None:
                raise ValueError("Model: the outputs depend on an Input that is not among the inputs")
            seen.add(id(symbol))
            stack.append((symbol, True))
            stack.extend((s, False) for s in reversed(symbol.inputs))
    return [*inputs, *order]


def _summary_lines(model: Model) -> list[str]:
    rows = [("Layer (type)", "Output shape", "Param #")]
    shape: Any = getattr(model, "shape", None)
    shapes = {} if model.inputs is None else {id(s.layer): s.shape for s in model.graph}
    for layer in model.layers:
        if shape is not None:
            shape = layer.output_shape(shape)
        out = shape if shape is not None else shapes.get(id(layer), "?")
        rows.append((f"{layer.name} ({type(layer).__name__})", str(out), f"{layer.count_params():,}"))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = [f"{a:<{widths[0]}}   {b:<{widths[1]}}   {c:>{widths[2]}}" for a, b, c in rows]
    rule = "─" * len(lines[0])
    total, fixed = model.count_params(), sum(w.size for w in model.weights if not w.requires_grad)
    ends = [f"Total params: {total:,}", f"Trainable params: {total - fixed:,}", f"Non-trainable params: {fixed:,}"]
    return [f'Model "{model.name}"', rule, lines[0], rule, *lines[1:], rule, *ends]
