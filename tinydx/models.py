"""Models, layers made of layers: `Sequential` is a chain, `Model(inputs, outputs)` a graph, a subclass any code.

`tinydx.training` trains them, `tinydx.saving` writes them to files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from tinydx.layers import places
from tinydx.layers.base import Call, Input, Layer, Symbol, any_batch, map_symbols
from tinydx.layers.core import quantizable
from tinydx.layers.quantized import KINDS, QuantizedKernel, quantized_kernels
from tinydx.names import shown
from tinydx.saving import keras_files, load_model, save_model
from tinydx.settings import checked, one_of
from tinydx.suggestions import did_you_mean
from tinydx.training.lowering import Lowered, lower, lower_graph
from tinydx.training.trainer import Trainer

__all__ = ["Model", "Sequential", "load_model"]


class Model(Trainer):
    """A trainable graph of layers, functional or subclassed.

    `Model(inputs, outputs)` takes Symbols, which start at `Input(shape)`. A subclass makes layers in `__init__`, after
    `super().__init__()`, and uses them in `call(x, training)`.

    Arguments: inputs, outputs, a Symbol each or a list of them; name.
    Raises: TypeError for anything but Symbols, ValueError where the outputs need an input that is not listed.

    >>> import numpy as np
    >>> from tinydx.layers import Add, Dense, Input
    >>> x = Input((4,))
    >>> h = Dense(8, activation="relu")(x)
    >>> model = Model(x, Dense(1)(Add()([h, Dense(8)(x)])))
    >>> model.predict(np.ones((2, 4), "float32")).shape
    (2, 1)
    """

    def __init__(self, inputs: Any = None, outputs: Any = None, name: str | None = None, **common: Any):
        ends = [] if inputs is None and outputs is None else [*_as_list(inputs), *_as_list(outputs)]
        for s in ends:
            if not isinstance(s, Symbol):
                raise TypeError(f"Model(inputs, outputs): expected Input(...) and outputs of layers, got {s!r}")
        self.inputs, self.outputs = inputs, outputs
        self.graph = [] if inputs is None else calls_between(_as_list(inputs), _as_list(outputs))
        self._lowered = Lowered()
        super().__init__(name=name, **common)
        if inputs is not None:
            self.built, self.input_shape = True, _shapes(inputs)

    # ---- its layers ----

    @property
    def layers(self) -> list[Layer]:
        """The layers, in the graph's order, or for a subclass in the order of its attributes."""
        return super().layers if self.inputs is None else list(dict.fromkeys(call.layer for call in self.graph))

    @checked
    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """One of its layers.

        Arguments: name of a layer, or index, its number in `layers`.
        Raises: ValueError where there is none, with close names, and unless one of both is given.

        >>> from tinydx.layers import Dense
        >>> model = Sequential([Dense(8, input_shape=(4,), name="hidden"), Dense(1)])
        >>> Model(model.input, model.get_layer("hidden").output).output_shape((None, 4))
        (None, 8)
        """
        if (name is None) == (index is None):
            raise ValueError(f"{self.name}.get_layer: give a name or an index, such as get_layer(index=0)")
        if index is not None:
            if not -len(self.layers) <= index < len(self.layers):
                raise ValueError(f"{self.name}.get_layer: index is {index}, there are {len(self.layers)} layers")
            return self.layers[index]
        names = [layer.name for layer in self.layers]
        if name not in names:
            raise ValueError(f"{self.name} has no layer {name!r}{did_you_mean(name, names)}")
        return self.layers[names.index(name)]

    def ends(self) -> tuple[Any, Any]:
        """Its own inputs and outputs, for another model that shares its layers."""
        if self.inputs is None:
            raise ValueError(f"{self.name} is a subclass of Model, which has no graph: its layers have no input and output")
        return self.inputs, self.outputs

    # ---- calling ----

    def build(self, input_shape: Any) -> None:
        """Build all layers inside for inputs of that shape (batch axis first), by a run on zeros."""
        self.built = True  # so that the run does not build again
        try:
            self.run_on_zeros(input_shape)
        finally:
            self.built = False  # until the input shape is recorded, too

    def call(self, x: Any, training: bool = False) -> Any:
        if self.inputs is None:
            raise NotImplementedError(f"{type(self).__name__} must define call(x, training), or get inputs and outputs")
        given = x if isinstance(x, list) else [x]
        values: dict[Symbol, Any] = dict(zip(_as_list(self.inputs), given, strict=True))
        layers = [call.layer for call in self.graph]
        for call in self._lowered.calls(layers, lambda: lower_graph(self.graph, _as_list(self.outputs))):
            arguments, keywords = map_symbols(values.__getitem__, [call.x, call.keywords])
            values.update(zip(call.outputs, _as_list(call.layer(arguments, **keywords)), strict=True))
        return map_symbols(values.__getitem__, self.outputs)

    def compute_mask(self, x: Any, mask: Any) -> None:
        return None  # the layers inside give the output its mask

    def check_input(self, input_shape: Any) -> None:
        if self.inputs is not None:
            check_against(self, input_shape, self.input_shape, [s.name for s in _as_list(self.inputs)])

    def output_shape(self, input_shape: Any) -> Any:
        return super().output_shape(input_shape) if self.inputs is None else _shapes(self.outputs)

    # ---- pickle and copy ----

    def __getstate__(self) -> dict[str, Any]:
        """All attributes, but what a GPU computes with. Symbols go by numbers: a chain of them would recurse."""
        state = {**vars(self), "_lowered": Lowered(), "_known": None, "gpu_steps": {}}
        state.pop("_trace", None)
        if self.inputs is not None:
            symbols, numbered = self._numbered_symbols()
            state["symbols"] = [(s.shape, s.dtype, s.name) for s in symbols]
            state["graph"] = [(c.layer, numbered(c.x), numbered(c.keywords), len(c.outputs)) for c in self.graph]
            state |= {end: numbered(getattr(self, end)) for end in ("inputs", "outputs")}
            state["config"] = {k: numbered(v) if k in ("inputs", "outputs") else v for k, v in self.config.items()}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        symbols = [Symbol(shape, dtype, name=name) for shape, dtype, name in state.pop("symbols", [])]
        vars(self).update(state)
        if symbols:
            self.inputs, self.outputs = _with_symbols(symbols, [self.inputs, self.outputs])
            self.config = {k: _with_symbols(symbols, v) for k, v in self.config.items()}
            self.graph, at = [], len(_as_list(self.inputs))
            for layer, x, keywords, count in state["graph"]:
                outputs = symbols[at : at + count]
                call = Call(layer, _with_symbols(symbols, x), _with_symbols(symbols, keywords), outputs)
                for s in outputs:
                    s.call = call
                places.remember(layer, call)
                self.graph.append(call)
                at += count

    # ---- quantizing, printing and saving ----

    @checked
    def quantize(self, kind: str) -> None:
        """Store the kernels of its Dense layers in fewer bits, in place; docs/eightbits.md says what it gains and costs.

        Biases, convolutions, embeddings, recurrent layers and statistics stay as they are. A quantized model predicts, explains
        and is saved as before, but does not train: the optimizer's memory is dropped.

        Arguments: kind, "bf16" (16 bits, with half the bytes) or "int8" (8 bits and a scale for each column, a quarter).
        Raises: ValueError where the model is not built, has no Dense layer, is quantized already, or has weights that are NaN,
        infinite or too large for it; then nothing is changed.

        >>> from tinydx.layers import Dense
        >>> model = Sequential([Dense(8, input_shape=(4,)), Dense(1)])
        >>> model.quantize("int8")
        >>> model.predict(np.ones((2, 4), "float32")).shape
        (2, 1)
        """
        one_of("kind", kind, tuple(KINDS))
        layers = quantizable(self)
        if not layers or not all(layer.built for layer in layers):
            why = "is not built yet: give its first layer an input_shape, or call it once" if layers else "has no Dense layer"
            raise ValueError(f"{self.name}.quantize: the model {why}")
        if found := quantized_kernels(self):
            raise ValueError(f"{self.name}.quantize: {found[0].name} is stored as {found[0].kind} already")
        kernels = [QuantizedKernel.of(kind, layer.kernel) for layer in layers]  # all of them, before any layer changes
        for layer, kernel in zip(layers, kernels, strict=True):
            layer.take(kernel)
        if self.optimizer is not None:
            self.optimizer.slots = []

    def summary(self) -> None:
        """Print the layers with their output shapes and numbers of parameters."""
        print("\n".join(_summary_lines(self)))

    def save(self, path: Any, include_optimizer: bool = True) -> None:
        """Write the model to one file, which `load_model` reads; a path that ends with .keras or .h5 becomes a file of Keras.

        Arguments: path; include_optimizer, whether the file holds the optimizer's memory beside weights, structure and
        class names (Keras's files never do).
        Raises: ValueError where the model is not built, or has what Keras does not have; TypeError where an argument of a layer
        cannot be saved; ImportError for a file of Keras without h5py.
        """
        save_model(self, path, include_optimizer)

    def save_weights(self, path: Any) -> None:
        """Write the weights as Keras does, to a file whose name ends with .weights.h5.

        Raises: ValueError for another name, or a model that is not built; ImportError without h5py.
        """
        keras_files().save_weights(self, path)

    def load_weights(self, path: Any) -> None:
        """Take all weights from a file of Keras: .weights.h5, or a model's .keras or .h5; a subclass's go by its attributes.

        Raises: FileNotFoundError; ValueError where the model is not built, a weight is missing, one is too many, or has another
        shape: then no weight is changed; ImportError without h5py.
        """
        keras_files().load_weights(self, path)

    def to_entry(self, nested: Callable[[Layer], dict[str, Any]]) -> dict[str, Any]:
        """See `Layer.to_entry`. For a functional model: its inputs, its layers, and the calls that connect them."""
        if type(self) is not Model:
            return super().to_entry(nested)
        _, numbered = self._numbered_symbols()
        return {
            "layers": [nested(v) for v in self.layers],
            "given": [{"shape": s.shape[1:], "name": s.name, "dtype": s.dtype.name} for s in _as_list(self.inputs)],
            "calls": [[self.layers.index(c.layer), numbered(c.x), numbered(c.keywords)] for c in self.graph],
            "ends": [numbered(self.inputs), numbered(self.outputs)],
        }

    def _numbered_symbols(self) -> tuple[list[Symbol], Callable[[Any], Any]]:
        """The symbols, inputs first and then in the order of the calls, and a function that replaces them by their numbers."""
        symbols = [*_as_list(self.inputs), *(s for call in self.graph for s in call.outputs)]
        number = {s: {"symbol": i} for i, s in enumerate(symbols)}
        return symbols, lambda value: map_symbols(number.__getitem__, value)

    @classmethod
    def from_entry(cls, entry: dict[str, Any], nested: Callable[[dict[str, Any]], Any]) -> Any:
        """See `Layer.from_entry`. A functional model is made again call by call."""
        if cls is not Model:
            return super().from_entry(entry, nested)
        layers = [nested(v) for v in entry["layers"]]
        symbols = [_input(s["shape"], s["name"], s["dtype"]) for s in entry["given"]]
        for number, x, keywords in entry["calls"]:
            symbols += _as_list(_one_of(layers, number)(_with_symbols(symbols, x), **_with_symbols(symbols, keywords)))
        inputs, outputs = _with_symbols(symbols, entry["ends"])
        return cls(inputs, outputs)


def _with_symbols(symbols: list[Symbol], value: Any) -> Any:
    """The value with symbols in the places of their numbers."""
    if isinstance(value, dict):
        if set(value) == {"symbol"}:
            return _one_of(symbols, value["symbol"])
        return {k: _with_symbols(symbols, v) for k, v in value.items()}
    return [_with_symbols(symbols, v) for v in value] if isinstance(value, list) else value


def _input(shape: Any, name: Any, dtype: Any) -> Symbol:
    """The Input of a file; ValueError unless it has sizes above 0 or None, a name, and a dtype of numbers."""
    sizes = all(n is None or (isinstance(n, int) and not isinstance(n, bool) and n > 0) for n in shape)
    if not (sizes and isinstance(name, str) and isinstance(dtype, str) and np.dtype(dtype).kind in "biuf"):
        raise ValueError(f"an input has shape {shape}, name {name!r} and dtype {dtype!r}: expected sizes, a text, and numbers")
    return Input(tuple(shape), name, dtype)


def _one_of(made: list[Any], number: Any) -> Any:
    """The layer or symbol of that number; IndexError for one that is not made yet."""
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < len(made):
        raise IndexError(f"a call names number {number!r} of {len(made)} layers or values that come before it")
    return made[number]


class Trace(NamedTuple):
    """A chain of layers that was called on an Input: its ends, and the first call of each layer."""

    chain: list[Layer]
    input: Symbol
    output: Symbol
    calls: dict[Layer, Call]


class Sequential(Model):
    """A chain of layers.

    Arguments: layers, the first of which may be an Input; name.
    Raises: as `add`.

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
        self.fixed_shape = self.input_shape is not None  # given by an Input or the first layer, not taken from data
        self._trace: Trace | None = None
        for layer in layers or []:
            self.add(layer)

    @property
    def layers(self) -> list[Layer]:
        return getattr(self, "chain", [])

    def add(self, layer: Any) -> None:
        """Append a layer, or an Input as the first element; a layer is built at once where its input shape is known.

        Raises: TypeError for anything else, ValueError where shapes do not fit; then the model is unchanged.
        """
        if isinstance(layer, Symbol) and not self.chain and layer.call is None:
            self.input_shape, self.dtype = layer.shape, layer.dtype if layer.dtype.kind == "f" else self.dtype
            self.fixed_shape = True
            return
        if not isinstance(layer, Layer):
            raise TypeError(f"{self.name}.add: expected a layer such as Dense(10), got {layer!r}")
        shape = layer.input_shape if not self.chain and self.input_shape is None else self.input_shape
        if shape is not None:
            shape_before = self.output_shape(shape)
            layer.ensure_built(shape_before, self.dtype)
            layer.check_input(shape_before)
        self.fixed_shape = self.fixed_shape or (not self.chain and shape is not None)
        self.chain.append(layer)
        places.remember(layer, self)
        self.input_shape, self.built = shape, shape is not None

    def pop(self) -> None:
        """Remove the last layer."""
        self.chain = self.chain[:-1]  # a new list: the model has changed (`tinydx.layers.base.revision`)

    def ends(self) -> tuple[Any, Any]:
        """Its own input and output, for another model that shares its layers."""
        trace = self.traced()
        return trace.input, trace.output

    def traced(self) -> Trace:
        """The chain called on symbols, once; ValueError where its shape is not known."""
        if not self.built:
            raise ValueError(f"{self.name} is not built yet: give its first layer an input_shape, or fit it")
        if self._trace is None or self._trace.chain != self.chain:
            y = x = Input(self.input_shape[1:], dtype="int32" if self.takes_ids else self.compute_dtype)
            calls: dict[Layer, Call] = {}
            for layer in self.chain:
                y = layer(y)
                calls.setdefault(layer, y.call)
            self._trace = Trace(list(self.chain), x, y, calls)
        return self._trace

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._trace = None
        for layer in self.chain:
            places.remember(layer, self)

    def build(self, input_shape: Any) -> None:
        """Build every layer for inputs of that shape (batch axis first)."""
        shape = any_batch(input_shape)
        for layer in self.chain:
            layer.ensure_built(shape, self.dtype)
            shape = layer.output_shape(shape)

    def check_input(self, input_shape: Any) -> None:
        if self.fixed_shape:
            check_against(self, input_shape, self.input_shape)

    def call(self, x: Any, training: bool = False) -> Any:
        for layer in self._lowered.calls(self.chain, lambda: lower(self.chain)):
            x = layer(x)
        return x

    def output_shape(self, input_shape: Any) -> Any:
        for layer in self.chain:
            input_shape = layer.output_shape(input_shape)
        return input_shape

    def to_entry(self, nested: Callable[[Layer], dict[str, Any]]) -> dict[str, Any]:
        """See `Layer.to_entry`."""
        if type(self) is not Sequential:
            return super().to_entry(nested)
        return {"layers": [nested(v) for v in self.layers], "fixed_shape": self.fixed_shape}

    @classmethod
    def from_entry(cls, entry: dict[str, Any], nested: Callable[[dict[str, Any]], Any]) -> Any:
        """See `Layer.from_entry`."""
        if cls is not Sequential:
            return super().from_entry(entry, nested)
        model = cls([nested(v) for v in entry["layers"]])
        if not isinstance(entry["fixed_shape"], bool):
            raise TypeError(f"fixed_shape is {entry['fixed_shape']!r}, expected true or false")
        model.fixed_shape = entry["fixed_shape"]
        return model


def check_against(model: Model, got: Any, expected: Any, names: list[str] | None = None) -> None:
    """ValueError, with the model's name and both shapes, where an input does not have the shape the model was built for."""
    several, wanted = got if isinstance(got, list) else [got], expected if isinstance(expected, list) else [expected]
    if len(several) != len(wanted):
        raise ValueError(f"{model.name}: expected {len(wanted)} inputs, got {len(several)}; np.stack(x) makes one")
    for g, e, name in zip(several, wanted, names or ["input"], strict=True):
        if len(g) != len(e) or any(n not in (None, m) for m, n in zip(g[1:], e[1:], strict=True)):
            shape = "(" + ", ".join(["N", *("any" if n is None else str(n) for n in e[1:])]) + ")"
            raise ValueError(f"{model.name}: expected {name} {shape}, got {tuple(g)}{_missing(tuple(g), tuple(e))}")


def _missing(got: Any, expected: Any) -> str:
    """What to do about an input that has one axis less than expected: the first or the last one."""
    if len(got) != len(expected) - 1:
        return ""
    last = expected[-1] == 1 and all(n in (None, m) for m, n in zip(got[1:], expected[1:-1], strict=True))
    return "; is the last axis missing? x[..., None] adds it" if last else "; is the batch axis missing? x[None] adds it"


def calls_between(inputs: list[Symbol], outputs: list[Symbol]) -> list[Call]:
    """The calls that compute the outputs from the inputs, each after the calls whose results it uses."""
    order: list[Call] = []
    seen = {id(s) for s in inputs}
    stack: list[tuple[Symbol, bool]] = [(s, False) for s in reversed(outputs)]
    while stack:
        symbol, ready = stack.pop()
        if ready and symbol.call is not None:
            order.append(symbol.call)
        elif id(symbol) not in seen:
            if symbol.call is None:
                raise ValueError(f"Model: the outputs depend on {symbol}, which is not among the inputs")
            seen |= {id(s) for s in symbol.call.outputs}
            stack.append((symbol, True))
            stack.extend((s, False) for s in reversed(symbol.call.inputs))
    return order


def _shapes(symbols: Any) -> Any:
    return [s.shape for s in symbols] if isinstance(symbols, list | tuple) else symbols.shape


def _as_list(x: Any) -> list[Any]:
    return list(x) if isinstance(x, list | tuple) else [x]


def _summary_lines(model: Model) -> list[str]:
    rows = [("Layer (type)", "Output shape", "Param #")]
    shapes: dict[Any, Any] = {call.layer: _shapes(call.outputs) for call in model.graph}
    shape: Any = model.input_shape if isinstance(model, Sequential) else None
    for layer in model.layers:
        if shape is not None:
            shape = shapes[layer] = layer.output_shape(shape)
        params = f"{layer.count_params():,}" if layer.built else "not built"
        out = shapes.get(layer, "?")
        out = out[0] if isinstance(out, list) and len(out) == 1 else out
        stored = {w.kind for w in quantized_kernels(layer)}
        rows.append((f"{shown(layer.name)} ({', '.join([type(layer).__name__, *stored])})", str(out), params))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = [f"{a:<{widths[0]}}   {b:<{widths[1]}}   {c:>{widths[2]}}" for a, b, c in rows]
    rule = "─" * len(lines[0])
    total, trainable = (sum(w.size for w in weights) for weights in (model.weights, model.trainable_weights))
    sums = {"Total": total, "Trainable": trainable, "Non-trainable": total - trainable}
    ends = [f"{kind} params: {number:,}" for kind, number in sums.items()]
    if found := quantized_kernels(model):
        floats = sum(w.size * w.dtype.itemsize for w in model.weights)
        less = sum(w.size * w.dtype.itemsize - w.nbytes for w in found)
        ends.append(f"Stored as {found[0].kind}: {len(found)} kernels; {floats - less:,} bytes of weights instead of {floats:,}")
    return [f'Model "{shown(model.name)}"', rule, lines[0], rule, *lines[1:], rule, *ends]
