"""Layer: weights and a function of Tensors; the weights are built for the first input shape that the layer gets.

A subclass defines three methods: `build(input_shape)` makes the weights, `call(x, training)` is the function, and
`output_shape(input_shape)` gives the output's shape (by default found by a run on zeros). Layers that are attributes of a
layer belong to it, with their weights. The base class records the arguments that a layer was made with, so that models can
be saved. Calling a layer on a `Symbol` computes nothing: the call becomes a part of a functional model.
"""

from __future__ import annotations

import functools
import inspect
import math
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar, Self

import numpy as np

from tinydx import initializers, regularizers
from tinydx.device import to_host
from tinydx.layers import declared, places
from tinydx.layers.quantized import QuantizedKernel
from tinydx.layers.registry import register
from tinydx.settings import Checked, sizes, unknown_argument, whole
from tinydx.suggestions import did_you_mean
from tinydx.tensor import Tensor, as_array, no_grad

Shape = tuple[int | None, ...]

_used_names: dict[str, int] = {}
_revision = object()  # another one after each attribute that is set on any layer
_training = ContextVar("training", default=False)  # of the layer call that is running; calls inside it inherit it


def in_training() -> bool:
    """Whether the layer call that is running belongs to a training step."""
    return _training.get()


_taps: ContextVar[Mapping[Layer, Callable[[Tensor], Tensor]] | None] = ContextVar("taps", default=None)


def revision() -> object:
    """The same object as long as nobody sets an attribute of any layer: so long plans hold (`tinydx.training.planned`)."""
    return _revision


def is_training() -> bool:
    """Whether a layer call is running that is part of a training step."""
    return _training.get()


def is_tapped() -> bool:
    """Whether what layers return passes through functions of `tapped`."""
    return bool(_taps.get())


@contextmanager
def tapped(taps: Mapping[Layer, Callable[[Tensor], Tensor]]) -> Iterator[None]:
    """Within it, what a layer returns passes through a function, which may look at it or put another Tensor in its place.

    Arguments: taps, a function y -> y for each layer of interest. Fused models run their layers one by one only under
    `use(..., fused=False)`.

    >>> from tinydx.layers import Dense
    >>> layer, seen = Dense(2), []
    >>> with tapped({layer: lambda y: seen.append(y.shape) or y}):
    ...     _ = layer(np.ones((4, 3), "float32"))
    >>> seen
    [(4, 2)]
    """
    token = _taps.set({**(_taps.get() or {}), **taps})
    try:
        yield
    finally:
        _taps.reset(token)


class Symbol:
    """A value in a functional model.

    Arguments: shape, batch axis first; dtype; call, the `Call` that computes it (None for an Input); name, for messages.
    """

    def __init__(self, shape: Shape, dtype: Any = None, call: Call | None = None, name: str = "input"):
        self.shape, self.dtype, self.call, self.name = shape, np.dtype(dtype or "float32"), call, name

    def __repr__(self) -> str:
        return f"<Symbol {self.name} {self.shape} {self.dtype}>"


class Call:
    """One call of a layer in a functional model: the layer, its arguments with symbols in them, and its output symbols."""

    def __init__(self, layer: Any, x: Any, keywords: dict[str, Any] | None = None, outputs: list[Symbol] | None = None):
        self.layer, self.x, self.keywords = layer, x, keywords or {}
        self.outputs: list[Symbol] = outputs or []

    @property
    def inputs(self) -> list[Symbol]:
        """The symbols among the arguments."""
        found: list[Symbol] = []
        map_symbols(found.append, [self.x, self.keywords])
        return found


def map_symbols(function: Callable[[Symbol], Any], value: Any) -> Any:
    """The value with each symbol s replaced by function(s), inside lists and dicts, too."""
    if isinstance(value, Symbol):
        return function(value)
    if isinstance(value, list | tuple):
        return [map_symbols(function, v) for v in value]
    if isinstance(value, dict):
        return {k: map_symbols(function, v) for k, v in value.items()}
    return value


def Input(shape: tuple[int | None, ...], name: str = "input", dtype: Any = "float32") -> Symbol:
    """An input of a functional model.

    Arguments: shape without the batch axis (None where an axis may vary); name, for messages; dtype, of the values and of
    the layers that follow.
    Returns: a Symbol.

    >>> Input((150, 150, 3)).shape
    (None, 150, 150, 3)
    """
    return Symbol((None, *sizes("Input: shape", shape)), dtype, name=name)


def _once(build: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """Wraps every `build`: checks the shape, builds only once, and remembers the shape."""

    @functools.wraps(build)
    def build_once(self: Layer, input_shape: Any) -> None:
        if not self.built:
            self.check_input(input_shape)
            self.dtype = self.dtype or np.dtype("float32")
            build(self, input_shape)
            self.input_shape, self.built = any_batch(input_shape), True

    return build_once


class Layer(metaclass=Checked):
    """Base of all layers.

    Arguments (of every layer): name; dtype "float32" or "float64" of its weights (default: that of its first input);
    input_shape without the batch axis, for the first layer of a Sequential; trainable, whether training changes its weights.
    Raises: TypeError for an argument that the layer does not have, with close matches.
    """

    config: dict[str, Any]  # the arguments it was made with
    integer_input: ClassVar[bool] = False  # takes integer ids instead of numbers
    supports_masking: bool | None = None  # what becomes of the input's mask: see `compute_mask`
    input = places.End(0, "What it takes in its first place, a Symbol or a list; ValueError where it stands in no model.")
    output = places.End(1, "What it gives in its first place, a Symbol or a list; ValueError where it stands in no model.")
    _takes_training: ClassVar[bool] = True

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        register(cls)
        cls._takes_training = "training" in inspect.signature(cls.call).parameters
        if "compute_mask" in vars(cls):
            cls.supports_masking = vars(cls).get("supports_masking", True)
        if "build" in vars(cls):
            cls.build = _once(cls.build)  # type: ignore[method-assign]

    def __new__(cls, *args: Any, **keywords: Any) -> Self:
        declared.expect_layer(cls.__name__)
        layer = super().__new__(cls)
        signature = inspect.signature(cls.__init__)
        try:
            given = signature.bind(layer, *args, **keywords).arguments
        except TypeError as error:
            hint = "".join(did_you_mean(k, _arguments_of(cls)) for k in keywords if k not in _arguments_of(cls))
            raise TypeError(f"{cls.__name__}: {error}{hint}") from None
        layer.config = {}
        for name, value in list(given.items())[1:]:
            layer.config |= value if signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD else {name: value}
        return layer

    def __init__(
        self,
        name: str | None = None,
        dtype: Any = None,
        input_shape: tuple[int | None, ...] | None = None,
        trainable: bool = True,
        **unknown: Any,
    ):
        for k in unknown:
            raise unknown_argument(type(self).__name__, k, _arguments_of(type(self)))
        if name is not None and not isinstance(name, str):
            raise TypeError(f"{type(self).__name__}: name is {name!r}, expected a text")
        self.name = name or unique_name(type(self).__name__)
        self.dtype = None if dtype is None else dtype_of_weights(self.name, dtype)
        self.input_shape: Any = None if input_shape is None else (None, *sizes(f"{self.name}: input_shape", input_shape))
        self.built = False
        self._own: list[tuple[Tensor, bool]] = []  # weights, and whether training may change them
        self._penalties: list[tuple[Tensor, Callable[[Tensor], Tensor]]] = []  # weights that have a regularizer, and it
        self._trainable = True  # leaves frozen layers of a graph as they are
        if not trainable:
            self.trainable = False

    def __setattr__(self, name: str, value: Any) -> None:
        global _revision
        super().__setattr__(name, value)
        _revision = object()

    # ---- what a subclass defines ----

    @_once
    def build(self, input_shape: Any) -> None:
        """Make the weights for inputs of that shape (batch axis first, None where an axis may vary); runs only once."""

    def call(self, x: Any, training: bool = False) -> Any:
        """The layer's function, from Tensors to Tensors."""
        raise NotImplementedError(f"{type(self).__name__} must define call(x, training)")

    def output_shape(self, input_shape: Any) -> Any:
        """The output's shape for an input's; by default from a run on zeros, in which axes of unknown size have size 1."""
        y = self.run_on_zeros(input_shape)
        batch = (input_shape[0] if isinstance(input_shape, list) else input_shape)[0]
        shapes = [(batch, *v.shape[1:]) for v in (y if isinstance(y, list | tuple) else [y])]
        return shapes if isinstance(y, list | tuple) else shapes[0]

    def symbolic_shape(self, input_shape: Any, keywords: dict[str, Any]) -> Any:
        """The output's shape for a call with these keywords, one of which may ask for more outputs."""
        return self.output_shape(input_shape)

    def check_input(self, input_shape: Any) -> None:
        """Raises ValueError, with the layer's name and both shapes, where an input of that shape does not fit."""

    def compute_mask(self, x: Any, mask: Any) -> Any:
        """Which time steps of the output are real. Each layer states what it does with a mask, in one of three ways, as in Keras:

            supports_masking = True     the output has the input's time steps: the mask goes on    Dense, Dropout
            supports_masking = False    time steps are mixed or moved: the mask ends               Flatten, Conv2D
            compute_mask                the layer says itself                                      Add, LSTM, Attention

        Where a class states nothing, the mask ends with a warning. A layer that makes a mask (Embedding, Masking), or is called
        with one, gives it to its output in `call`.

        Arguments: x, the input; mask (N,T) of bool, the input's. For several inputs both are lists, and some masks may be None.
        Returns: the output's mask, None where it has none; for several outputs a list.
        """
        return mask

    def to_entry(self, nested: Callable[[Layer], dict[str, Any]]) -> dict[str, Any]:
        """What `from_entry` needs to make this layer again: the arguments it was made with.

        nested describes a layer inside this one (see `tinydx.saving`).
        """
        return {"config": self.config}

    @classmethod
    def from_entry(cls, entry: dict[str, Any], nested: Callable[[dict[str, Any]], Any]) -> Any:
        """The layer that `to_entry` described, not built yet; nested makes a layer inside this one."""
        return cls(**entry["config"])

    def __reduce__(self) -> tuple[Any, ...]:
        """For pickle and copy: all attributes, and no call of `__init__`, which would ask for its arguments."""
        return object.__new__, (type(self),), self.__getstate__()

    # ---- calling ----

    def __call__(self, x: Any, training: bool | None = None, **keywords: Any) -> Any:
        """Build the layer where necessary, and compute its function.

        Arguments: x, a Tensor or array, a list of them, or Symbols; training, whether this is a training step (default: as
        in the layer call around this one, or else False); keywords, passed to `call`.
        Returns: a Tensor, or a list of them; Symbols for Symbols.
        """
        x = x[0] if _several(x) and len(x) == 1 else x
        if isinstance(x[0] if _several(x) else x, Symbol):
            return self.call_on_symbols(x, keywords if training is None else {"training": training, **keywords})
        x = [self._as_input(v) for v in x] if _several(x) else self._as_input(x)
        shape = [v.shape for v in x] if isinstance(x, list) else x.shape
        self.ensure_built(shape, (x[0] if isinstance(x, list) else x).dtype)
        self.check_input(shape)
        now = _training.get() if training is None else bool(training)
        before = _training.set(now)
        try:
            y = self.call(x, **({"training": now} if self._takes_training else {}), **keywords)
        finally:
            _training.reset(before)
        self.pass_mask(x, y)
        taps = _taps.get()
        return taps[self](y) if taps and self in taps else y

    def call_on_symbols(self, x: Any, keywords: dict[str, Any]) -> Any:
        """Symbols for the outputs; the call becomes a part of a functional model's graph."""
        _check_keywords(self, keywords)
        shape, first = ([s.shape for s in x], x[0]) if isinstance(x, list | tuple) else (x.shape, x)
        self.ensure_built(shape, first.dtype)
        self.check_input(shape)
        call, out = Call(self, x, keywords), self.symbolic_shape(shape, keywords)
        dtype = self.dtype if first.dtype.kind != "f" else first.dtype
        call.outputs = [Symbol(s, dtype, call, self.name) for s in (out if isinstance(out, list) else [out])]
        places.remember(self, call)
        return call.outputs if isinstance(out, list) else call.outputs[0]

    def _as_input(self, x: Any) -> Any:
        if isinstance(x, Tensor):
            return x
        array = x if hasattr(x, "dtype") else np.asarray(x)
        if array.dtype.kind in "iu" and self.takes_ids:
            return array
        try:
            return Tensor(as_array(x))
        except TypeError as error:
            raise TypeError(f"{self.name}: input is {array.dtype}: convert it, x.astype('float32')") from error

    def pass_mask(self, x: Any, y: Any) -> None:
        """Give the outputs the masks that `compute_mask` says, unless `call` has given them some."""
        if isinstance(x, Tensor) and x.mask is None:
            return
        masks = [getattr(v, "mask", None) for v in (x if isinstance(x, list) else [x])]
        outputs = [v for v in (y if isinstance(y, list | tuple) else [y]) if isinstance(v, Tensor)]
        if all(m is None for m in masks) or all(v.mask is not None for v in outputs):
            return
        if self.supports_masking:
            given = self.compute_mask(x, masks if isinstance(x, list) else masks[0])
            for v, mask in zip(outputs, given if isinstance(given, list | tuple) else [given], strict=False):
                v.mask = mask if v.mask is None else v.mask
        elif self.supports_masking is None:
            cure = "if its output has the input's time steps, set supports_masking = True in the class"
            warnings.warn(f"{self.name}: the mask of its input ends at {type(self).__name__}; {cure}", stacklevel=3)

    def ensure_built(self, input_shape: Any, input_dtype: Any = None) -> None:
        """Build the layer unless it is built, in its own dtype or else in the input's."""
        if self.built:
            return
        if self.dtype is None and input_dtype is not None and np.dtype(input_dtype).kind == "f":
            self.dtype = np.dtype(input_dtype)
        self.build(input_shape)

    def ends(self) -> tuple[Any, Any]:
        """Its input and output in the first model in which it stands (`tinydx.layers.places`)."""
        call = places.first_call(self)
        return call.x, call.outputs if len(call.outputs) > 1 else call.outputs[0]

    def run_on_zeros(self, input_shape: Any) -> Any:
        """The output for zeros of that shape; the call builds all layers inside."""
        if declared.making():
            declared.expect_run(f"the input of {self.name}", input_shape)
        several = isinstance(input_shape, list)
        dtype = np.dtype("int64") if self.takes_ids else self.dtype or np.dtype("float32")
        zeros = [np.zeros([n or 1 for n in s], dtype) for s in (input_shape if several else [input_shape])]
        with no_grad():
            return self(zeros if several else zeros[0], training=False)

    # ---- its weights and inner layers ----

    @property
    def layers(self) -> list[Layer]:
        """The layers inside: attributes, alone or in lists and dicts, in the order in which they were set."""
        found: list[Layer] = []
        for name, value in vars(self).items():
            if isinstance(value, Layer):
                found.append(value)
            elif isinstance(value, (list, tuple, dict)) and name != "config":
                found += [v for v in (value.values() if isinstance(value, dict) else value) if isinstance(v, Layer)]
        return list(dict.fromkeys(found))

    def all_layers(self) -> Iterator[Layer]:
        """This layer and all inside it, outer before inner."""
        yield self
        for layer in self.layers:
            yield from layer.all_layers()

    @property
    def takes_ids(self) -> bool:
        """Whether it, or a layer inside, takes integers (word ids) as input."""
        return self.integer_input or any(v.takes_ids for v in self.layers)

    def add_weight(
        self, name: str, shape: tuple[int, ...], initializer: Any, trainable: bool = True, regularizer: Any = None
    ) -> Tensor:
        """A new weight of that shape, appended to `weights`.

        Arguments: name; shape; initializer, a name or a function of the shape; trainable, whether training may change it;
        regularizer, a name or a function of the weight (`tinydx.regularizers`), or None.
        """
        declared.expect_weight(f"{self.name}/{name}", tuple(shape))
        initial = initializers.get(initializer)
        values = np.zeros(shape, self.dtype) if declared.making() else initial(shape)
        values = np.asarray(values, self.dtype, order="C")
        weight = Tensor(values, requires_grad=trainable and self.trainable, name=f"{self.name}/{name}")
        self._own.append((weight, trainable))
        if (penalty := regularizers.get(regularizer)) is not None:
            self._penalties.append((weight, penalty))
        return weight

    @property
    def weights(self) -> list[Tensor]:
        """Its weights, then those of the layers inside, each once."""
        inner = [w for layer in self.layers for w in layer.weights]
        return list({id(w): w for w in [*(w for w, _ in self._own), *inner]}.values())

    @property
    def trainable_weights(self) -> list[Tensor]:
        """The weights that training changes; none where it is frozen itself, as in Keras, whatever its inner layers say."""
        return [w for w in self.weights if w.requires_grad] if self.trainable else []

    @property
    def non_trainable_weights(self) -> list[Tensor]:
        """The weights that training leaves to others: frozen ones, and statistics such as moving averages."""
        trained = {id(w) for w in self.trainable_weights}
        return [w for w in self.weights if id(w) not in trained]

    @property
    def losses(self) -> list[Tensor]:
        """The penalties of its regularizers and of those inside, each a Tensor of one number, on the tape.

        Weights that training does not change have none.
        """
        penalties = {id(w): (w, penalty) for layer in self.all_layers() for w, penalty in layer._penalties}
        return [penalty(w) for w, penalty in penalties.values() if w.requires_grad]

    @property
    def trainable(self) -> bool:
        """Whether training changes its weights. Setting it sets the layers inside, too; compile the model afterwards."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for weight, can_train in self._own:
            weight.requires_grad = self._trainable and can_train
        for layer in self.layers:
            layer.trainable = value

    def get_weights(self) -> list[np.ndarray]:
        """Copies of the weights, in Keras's order and layouts."""
        return [w.numpy().copy() for w in self.weights]

    def set_weights(self, arrays: Any) -> None:
        """Set all weights, in the order of get_weights; float64 arrays stay float64, quantized kernels are rounded.

        Raises: ValueError where an array is missing or has another shape, or cannot be rounded; then no weight is changed.
        """
        arrays, weights = [np.asarray(to_host(a)) for a in arrays], self.weights
        if len(arrays) != len(weights):
            hint = "" if weights else " (not built yet: give input_shape, or call it once)"
            raise ValueError(f"{self.name}.set_weights: expected {len(weights)} arrays, got {len(arrays)}{hint}")
        assign(f"{self.name}.set_weights", list(zip(weights, arrays, strict=True)))

    def count_params(self) -> int:
        """The number of parameters in the weights. Raises ValueError where the layer is not built."""
        if not self.built:
            raise ValueError(f"{self.name}.count_params: not built yet: give input_shape, or call it once")
        return sum(math.prod(w.shape) for w in self.weights)

    def __repr__(self) -> str:
        settings = ", ".join(f"{k}={v!r}" for k, v in self.config.items())
        return f"{type(self).__name__}({settings})"


def assign(where: str, pairs: list[tuple[Tensor, np.ndarray]]) -> None:
    """Give weights their arrays; ValueError, and no weight is changed, where one does not fit."""
    for w, a in pairs:
        if a.shape != w.shape:
            raise ValueError(f"{where}: {w.name} has shape {w.shape}, got {a.shape}")
        if isinstance(w, QuantizedKernel):
            w.round(a)  # raises before anything is changed
    for w, a in pairs:
        w.data = np.array(a, dtype=a.dtype if a.dtype in ("float32", "float64") else w.dtype, order="C")


def unique_name(class_name: str) -> str:
    """Conv2D -> conv2d, conv2d_1, conv2d_2 ..."""
    base = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[0-9]D)(?=[A-Z])", "_", class_name).lower()
    count = _used_names.get(base, 0)
    _used_names[base] = count + 1
    return f"{base}_{count}" if count else base


def count(layer: Layer, name: str, value: Any) -> int:
    """The argument as an int; ValueError unless it is a whole number above 0."""
    return whole(f"{layer.name}: {name}", value)


def dtype_of_weights(name: str, dtype: Any) -> np.dtype:
    """The dtype, float32 or float64; ValueError for any other, in which weights would be cut or lose their digits."""
    try:
        known = np.dtype(dtype)
    except TypeError:
        known = None
    if known is None or known not in (np.dtype("float32"), np.dtype("float64")):
        raise ValueError(f"{name}: dtype is {dtype!r}, expected 'float32' or 'float64'")
    return known


def expect_rank(layer: Layer, shape: Any, rank: int, axes: str) -> None:
    """ValueError unless this is one input with that many axes; says which axis seems to be missing."""
    if isinstance(shape, list):
        raise ValueError(f"{layer.name}: expected one input {axes}, got {len(shape)}: x[0], or Concatenate()(x)")
    if len(shape) != rank:
        advice = f"; {missing_axis(tuple(shape), axes)}" if len(shape) == rank - 1 else ""
        raise ValueError(f"{layer.name}: expected input {axes}, got shape {tuple(shape)}{advice}")


NO_SEQUENCE = "a recurrent layer before it needs return_sequences=True"


def missing_axis(shape: Shape, axes: str) -> str:
    """What to do about an input that has one axis less than a layer takes: its batch axis may be unknown, but not missing."""
    if "time" in axes:
        return NO_SEQUENCE if shape[0] is None else f"is the batch axis missing? x[None] adds it; {NO_SEQUENCE}"
    if shape[0] is None:
        lost = "is the axis of the channels missing? input_shape=(height, width, 1)"
        return lost if "channels" in axes else "Reshape adds axes"
    channels = "; or the axis of the channels? x[..., None] adds it" if "channels" in axes else ""
    return f"is the batch axis missing? x[None] adds it{channels}"


def expect_last_axis(layer: Layer, shape: Shape, size: int) -> None:
    """ValueError unless the last axis has the size that the layer was built for."""
    if shape[-1] != size:
        raise ValueError(f"{layer.name}: expected {size} values on the last axis, got {shape[-1]} (of {tuple(shape)})")


def expect_mask(layer: Layer, mask: Any, shape: Shape) -> Any:
    """The mask as bools, or None; ValueError unless it has that shape: an entry for every time step of every example."""
    if mask is None:
        return None
    mask = mask if hasattr(mask, "dtype") and mask.dtype.kind == "b" else np.asarray(mask, bool)
    if mask.shape != tuple(shape):
        wanted = f"{tuple(shape)}, an entry for every time step of every example"
        raise ValueError(f"{layer.name}: mask has shape {mask.shape}, expected {wanted}")
    return mask


def _arguments_of(cls: type) -> list[str]:
    """The names of all arguments: the class's own and those of its base classes."""
    names = [n for c in cls.__mro__[:-1] for n in inspect.signature(c.__init__).parameters]  # type: ignore[misc]
    return [n for n in dict.fromkeys(names) if n not in ("self", "common", "unknown")]


def _check_keywords(layer: Layer, keywords: dict[str, Any]) -> None:
    """TypeError for an argument that the layer's `call` does not have, which would else appear at the first batch."""
    taken = inspect.signature(layer.call).parameters
    if any(p.kind is p.VAR_KEYWORD for p in taken.values()):
        return
    known = ["training", *list(taken)[1:]]
    for name in keywords:
        if name not in known:
            raise TypeError(f"{layer.name}: a call has no argument {name!r}{did_you_mean(name, known)}")


def any_batch(shape: Any) -> Any:
    """The shape, or each of several, with None as its batch axis."""
    return [any_batch(s) for s in shape] if isinstance(shape, list) else (None, *tuple(shape)[1:])


def _several(x: Any) -> bool:
    """Whether x is several inputs: a list of arrays, Tensors or symbols, not a list of numbers."""
    return isinstance(x, list | tuple) and len(x) > 0 and all(hasattr(v, "shape") for v in x)
