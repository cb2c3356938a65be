"""Layers and models as Keras describes them, and the order in which it keeps the layers of a graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinydx.layers.base import Call, Layer, Symbol, map_symbols
from tinydx.saving.keras import configs
from tinydx.saving.keras.configs import Config, is_graph, is_sequential
from tinydx.saving.keras.hdf5 import expect_name
from tinydx.saving.keras.nodes import TENSOR


def describe_layer(layer: Layer, seen: set[Layer] | None = None) -> Config:
    """Keras's entry of a layer or model; ValueError for what Keras does not have, and for a layer in two models."""
    seen = set() if seen is None else seen
    if layer in seen:
        raise ValueError(f"{layer.name} stands in two places: a Keras file would make two layers of it; save it as .safetensors")
    seen.add(layer)
    if not is_sequential(layer) and not is_graph(layer):
        return configs.to_config(layer, describe_layer)
    names = [v.name for v in layer.layers]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two layers are named {name!r}: a Keras file needs different names")
    return _describe_chain(layer, seen) if is_sequential(layer) else _describe_graph(layer, seen)


def _input_entry(shape: Any, dtype: Any, name: str) -> Config:
    config = {"batch_shape": list(shape), "dtype": np.dtype(dtype or "float32").name, "sparse": False, "name": name}
    return configs.entry("keras.layers", "InputLayer", config)


def _free(name: str, taken: set[str]) -> str:
    """The name, or the first of name_1, name_2 ... that is free; then it is taken, too."""
    found, i = name, 0
    while found in taken:
        i += 1
        found = f"{name}_{i}"
    taken.add(found)
    return found


def _describe_chain(model: Any, seen: set[Layer]) -> Config:
    first = _input_entry(model.input_shape, model.dtype, _free("input", {v.name for v in model.layers}))
    layers = [first, *(describe_layer(v, seen) for v in model.layers)]
    return configs.entry("keras", "Sequential", {**configs.own_config(model), "layers": layers})


def _describe_graph(model: Any, seen: set[Layer]) -> Config:
    taken, at, inputs = {v.name for v in model.layers}, dict[Symbol, list[Any]](), []
    for symbol in _as_list(model.inputs):
        name = _free(expect_name(symbol.name, "an input"), taken)
        at[symbol] = [name, 0, 0]
        inputs.append({**_input_entry(symbol.shape, symbol.dtype, name), "name": name, "inbound_nodes": []})
    calls: dict[Layer, list[Call]] = {}
    for call in model.graph:
        node = calls.setdefault(call.layer, [])
        at |= {symbol: [call.layer.name, len(node), i] for i, symbol in enumerate(call.outputs)}
        node.append(call)
    layers = []
    for layer in keras_order(model):
        nodes = [_describe_node(call, at) for call in calls[layer]]
        layers.append({**describe_layer(layer, seen), "name": layer.name, "inbound_nodes": nodes})
    ends = {"input_layers": _end(model.inputs, at), "output_layers": _end(model.outputs, at)}
    config = {"name": configs.own_config(model)["name"], "trainable": model.trainable, "layers": [*inputs, *layers], **ends}
    return configs.entry("keras.src.models.functional", "Functional", config)


def _describe_node(call: Call, at: dict[Symbol, list[Any]]) -> Config:
    def tensor(symbol: Symbol) -> Config:
        config = {"shape": list(symbol.shape), "dtype": symbol.dtype.name, "keras_history": at[symbol]}
        return {"class_name": TENSOR, "config": config}

    return {"args": [map_symbols(tensor, call.x)], "kwargs": map_symbols(tensor, call.keywords)}


def _end(symbols: Any, at: dict[Symbol, list[Any]]) -> Any:
    return [at[s] for s in symbols] if isinstance(symbols, list | tuple) else at[symbols]


def _as_list(x: Any) -> list[Any]:
    return list(x) if isinstance(x, list | tuple) else [x]


def keras_order(model: Any) -> list[Layer]:
    """The layers of a functional model in the order in which Keras keeps them, on which the names of weights in its files depend.

    Layers farther from the outputs come first; among those equally far, the one that a walk from the outputs meets first.
    """
    met, depth, of_node = _walk(model), dict[Layer, int](), dict[Call, int]()
    for call in reversed(model.graph):
        here = of_node[call] = max(of_node.get(call, 0), depth.get(call.layer, 0))
        depth[call.layer] = here
        for symbol in call.inputs:
            if symbol.call is not None and symbol not in _as_list(model.inputs):
                of_node[symbol.call] = max(here + 1, of_node.get(symbol.call, 0))
    return sorted(depth, key=lambda layer: (-depth[layer], met[layer]))


def _walk(model: Any) -> dict[Layer, int]:
    """For each layer when a walk from the outputs to the inputs, depth first, meets it first."""
    met: dict[Layer, int] = {}
    waiting, seen = list(reversed(_as_list(model.outputs))), set(_as_list(model.inputs))
    while waiting:
        symbol = waiting.pop()
        if symbol not in seen and symbol.call is not None:
            seen |= set(symbol.call.outputs)
            met.setdefault(symbol.call.layer, len(met))
            waiting += reversed(symbol.call.inputs)
    return met
