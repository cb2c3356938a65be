"""A model as JSON: an entry for each layer.

A layer's entry is its class name and what its method `to_entry` returns: the arguments it was made with, or for Sequential and
functional models their layers and connections. The registry (tinydx/layers/registry.py) finds the class, its `from_entry` makes
the layer, `build` its weights, which then take the values of the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np

from tinydx import activations, initializers, regularizers
from tinydx.layers import declared
from tinydx.layers.base import Layer
from tinydx.layers.registry import known_classes
from tinydx.op import Op
from tinydx.saving.arguments import check_arguments
from tinydx.saving.compiled import Known, UnknownName, describe, recall
from tinydx.saving.header import FLOATS, expect_count, expect_dict, expect_dtype, expect_text, part, shape_from
from tinydx.suggestions import did_you_mean

MOST_ENTRIES = 50_000  # of layers and arrays in a file: making a chain takes time quadratic in its length
MOST_VISITS = 1_000_000  # of layers, where a layer inside several models counts for each of them


def to_config(layer: Layer, seen: dict[Layer, int] | None = None) -> dict[str, Any]:
    """The entry of a layer or model; a layer that was `seen` before is given by its number."""
    seen = {} if seen is None else seen
    if layer in seen:
        return {"again": seen[layer]}
    entry = {"class": type(layer).__name__, "name": layer.name, **layer.to_entry(lambda inner: to_config(inner, seen))}
    if "config" in entry:
        entry["config"] = {k: plain(layer, k, v, seen) for k, v in entry["config"].items()}
    entry |= {"input_shape": layer.input_shape, "dtype": None if layer.dtype is None else layer.dtype.name}
    seen[layer] = len(seen)
    return entry


def plain(layer: Layer, name: str, value: Any, seen: dict[Layer, int]) -> Any:
    """An argument as JSON can hold it; TypeError, with the names of layer and argument, where it cannot."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list | tuple):
        return [plain(layer, name, v, seen) for v in value]
    if isinstance(value, Layer):
        return {"layer": to_config(value, seen)}
    if isinstance(value, type) and issubclass(value, regularizers.Regularizer):
        value = value()
    if isinstance(value, regularizers.Regularizer):
        return {"regularizer": describe(value)}
    if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
        return np.dtype(value).name
    called = value.name if isinstance(value, Op) else getattr(value, "__name__", None)
    for get in (activations.get, initializers.get):
        try:
            if get(called) is value:
                return called
        except ValueError:
            continue
    raise TypeError(f"{layer.name}: {name}={value!r} cannot be saved: give it by name")


def from_config(entry: Any, custom: Known, weights: Iterable[Any], entries: int) -> Any:
    """The model of an entry, built, with weights of 0.

    Arguments: entry; custom, the user's own classes; weights of the file, whose shapes those of the layers must be; entries, how
    many layers the file describes or can hold.
    Raises: ValueError, TypeError and others for an entry that `to_config` did not make; nothing large is made before.
    """
    if entries > MOST_ENTRIES:
        raise ValueError(f"it has {entries:,} layers and arrays, more than {MOST_ENTRIES:,}")
    with declared.making_from([w.shape for w in weights], entries):
        model = _Maker(custom).make(entry)
        if not hasattr(model, "compile"):
            raise ValueError(f"it holds a {type(model).__name__}, which is a layer and no model")
        if _facts(json.loads(json.dumps(to_config(model)))) != _facts(entry):
            raise ValueError(
                "its layers contradict each other: names, shapes or connections are not those of the model they make"
            )
    return model


def _facts(entry: Any) -> Any:
    """An entry without arguments but layers, for the constructors have checked the others."""
    if isinstance(entry, dict):
        return {k: _layers_among(v) if k == "config" else _facts(v) for k, v in entry.items()}
    return [_facts(v) for v in entry] if isinstance(entry, list | tuple) else entry


def _layers_among(arguments: Any) -> Any:
    if isinstance(arguments, dict) and "layer" in arguments:
        return _facts(arguments)
    inner = arguments.values() if isinstance(arguments, dict) else arguments if isinstance(arguments, list | tuple) else ()
    return [found for found in map(_layers_among, inner) if found]


class _Maker:
    """Makes layers from their entries; `made` holds those that are complete, and how many layers each of them visits."""

    def __init__(self, custom: Known):
        self.custom, self.known = custom, known_classes() | custom
        self.made: list[tuple[Any, int]] = []
        self.visits = 0  # of the layer that is being made

    def make(self, entry: Any) -> Any:
        """The layer or model of an entry, built where the entry has an input shape."""
        if "again" in expect_dict(entry, "a layer"):
            layer, visits = self.made[expect_count(entry["again"], "a layer that occurs again", below=len(self.made))]
            self._visit(visits)
            return layer
        before, self.visits = self.visits, 1
        layer = self._new(entry)
        self.made.append((layer, self.visits))
        self._visit(before)
        return layer

    def _visit(self, more: int) -> None:
        self.visits += more
        if self.visits > MOST_VISITS:
            raise ValueError(f"its layers are inside each other more than {MOST_VISITS:,} times")

    def _new(self, entry: dict[str, Any]) -> Any:
        name = expect_text(part(entry, "name", "a layer"), "the name of a layer")
        cls = self._class(expect_text(part(entry, "class", name), f"{name}: class"))
        if "config" in entry:
            config = {k: self._argument(v) for k, v in expect_dict(entry["config"], f"{name}: config").items()}
            check_arguments(cls, config)
            entry = {**entry, "config": config}
        layer = cls.from_entry(entry, self.make)
        if not isinstance(layer, Layer):
            raise TypeError(f"{name}: {cls.__name__} makes no layer")
        dtype, shape = part(entry, "dtype", name), part(entry, "input_shape", name)
        layer.name = name
        layer.dtype = None if dtype is None else np.dtype(expect_dtype(dtype, f"{name}: dtype", FLOATS))
        if shape is not None:
            self._build(layer, shape_from(shape, f"{name}: input_shape"))
        return layer

    def _build(self, layer: Layer, shape: Any) -> None:
        layer.build(shape)
        layer.check_input(shape)
        declared.expect_output(layer.name, shape)
        if type(layer).__module__.startswith("tinydx."):  # a user's own class may compute to find its shape
            declared.expect_output(layer.name, layer.output_shape(shape))

    def _class(self, name: str) -> Any:
        if name in self.known:
            return self.known[name]
        raise unknown(name, self.known)

    def _argument(self, value: Any) -> Any:
        """An argument from its JSON: a layer for an entry, a tuple for a list."""
        if isinstance(value, list):
            return tuple(self._argument(v) for v in value)
        if not isinstance(value, dict):
            return value
        if "regularizer" in value:
            try:
                return recall(value["regularizer"], regularizers, regularizers.Regularizer, self.custom)
            except UnknownName as error:
                raise unknown(error.args[0], ("L1", "L2", "L1L2")) from None
        return self.make(part(value, "layer", "an argument"))


def unknown(name: str, known: Iterable[str]) -> ValueError:
    """The error for a class that only the user has."""
    hint = f"load_model(path, custom_objects={{{name!r}: {name}}}){did_you_mean(name, known)}"
    return ValueError(f"the model uses {name!r}, which tinydx does not know: {hint}")
