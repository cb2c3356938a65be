"""Layers and models from Keras's descriptions, built where these say for which inputs."""

from __future__ import annotations

import re
from typing import Any

from tinydx.layers import Bidirectional, Input
from tinydx.layers.base import Layer, Symbol
from tinydx.layers.registry import known_classes
from tinydx.saving.arguments import check_arguments
from tinydx.saving.header import FLOATS, expect_dict, expect_dtype, expect_list, expect_text, part, shape_from, short
from tinydx.saving.keras import configs
from tinydx.saving.keras.configs import MODELS, Config, config_of
from tinydx.saving.keras.hdf5 import expect_name
from tinydx.saving.keras.nodes import Key, numbered, read_ends, run_nodes, with_values

NUMBERS = (*FLOATS, "bool", *(f"{kind}int{bits}" for kind in ("", "u") for bits in (8, 16, 32, 64)))  # that inputs may be


class Maker:
    """Makes layers and models from Keras's entries, built where the file says for which inputs.

    Arguments: custom, the caller's own classes and functions by name.
    """

    def __init__(self, custom: dict[str, Any]):
        self.custom = custom

    def make(self, entry: Config) -> Any:
        """The layer or model of an entry.

        Raises: configs.Unknown; ValueError, TypeError and others where it makes no sense.
        """
        name = expect_dict(entry, "a layer").get("class_name")
        if name not in MODELS or name in self.custom:
            return self._layer(entry)
        configs.class_name(entry, "a model")
        config = config_of(entry)
        if name == "Sequential" or isinstance(config, list) or "input_layers" not in config:
            return self._chain(config, entry)
        return self._graph(config)

    def _layer(self, entry: Config) -> Layer:
        config = expect_dict(config_of(entry), "the arguments of a layer")
        where = short(config.get("name"))
        cls = configs.layer_class(entry, self.custom, where)
        given = configs.arguments(cls, config, self.custom)
        if cls is Bidirectional:
            given = self._two_ways(given)
        elif isinstance(given.get("layer"), dict):
            given["layer"] = self.make(given["layer"])
        check_arguments(cls, given)
        layer = cls(**given)
        if not isinstance(layer, Layer):
            raise TypeError(f"{where}: {cls.__name__} makes no layer")
        return layer

    def _two_ways(self, given: Config) -> Config:
        """The arguments of Bidirectional: the file has the two layers that Keras made of one, with changed names and settings."""
        twins = {k: expect_dict(given[k], k) for k in ("layer", "backward_layer") if given.get(k) is not None}
        plain = {k: {**v, "config": dict(expect_dict(config_of(v), k))} for k, v in twins.items()}
        for twin in plain.values():
            twin["config"].pop("zero_output_for_mask", None)
            twin["config"]["name"] = re.sub("^(forward|backward)_", "", expect_text(twin["config"].get("name"), "a name"))
        forward, backward = plain.get("layer"), plain.get("backward_layer")
        if forward is None:
            raise ValueError("a Bidirectional has no layer")
        mirrored = {**forward["config"], "go_backwards": not forward["config"].get("go_backwards", False)}
        same = backward is None or _settings(backward["config"]) == _settings(mirrored)
        return {**given, "layer": self.make(forward), "backward_layer": None if same or backward is None else self.make(backward)}

    def _chain(self, config: Any, entry: Config) -> Any:
        whole = config if isinstance(config, dict) else {"name": entry.get("name"), "layers": config}
        entries = expect_list(part(whole, "layers", "a model"), "layers")
        model = known_classes()["Sequential"](name=_name_of_model(whole))
        first = expect_dict(entries[0], "a layer") if entries else {}
        given = expect_dict(config_of(first), "the arguments of a layer") if entries else {}
        if first.get("class_name") == "InputLayer" or _batch_shape(given) is not None:
            model.add(input_of(given))
        for one in entries[first.get("class_name") == "InputLayer" :]:
            model.add(self.make(one))
        built = (entry.get("build_config") or {}) if isinstance(entry.get("build_config"), dict | None) else {}
        shape = whole.get("build_input_shape") or built.get("input_shape")
        if not model.built and shape is not None and model.layers:
            model.build(shape_from(shape, "build_input_shape"))
        return model

    def _graph(self, config: Config) -> Any:
        layers, values, nodes = dict[str, Any](), dict[Key, list[Symbol]](), dict[str, list[Any]]()
        for entry in expect_list(part(config, "layers", "a model"), "layers"):
            name = _name_of(entry)
            if name in layers or (name, 0) in values:
                raise ValueError(f"two layers are named {short(name)}")
            if entry.get("class_name") == "InputLayer":
                values[name, 0] = [input_of(expect_dict(config_of(entry), "the arguments of a layer"))]
                continue
            layers[name] = self.make(entry)
            nodes[name] = expect_list(part(entry, "inbound_nodes", short(name)), "inbound_nodes")
        ends = [read_ends(part(config, k, "a model")) for k in ("input_layers", "output_layers")]
        run_nodes(layers, values, numbered(nodes, layers, ends))
        model = known_classes()["Model"](*(with_values(end, values) for end in ends), _name_of_model(config))
        if len(model.graph) != sum(map(len, nodes.values())):
            raise ValueError("it has calls of layers whose values no output needs")
        return model


def _settings(config: Config) -> Config:
    """What makes two layers of Bidirectional different: not names, nor where their initial values come from."""
    return {k: v for k, v in config.items() if k not in ("name", "seed", "trainable") and not k.endswith("initializer")}


def _name_of(entry: Any) -> str:
    """The name of a layer in a graph; ValueError where the entry and its arguments do not say the same."""
    config = config_of(entry)
    own = config.get("name") if isinstance(config, dict) else entry.get("name")
    if entry.get("name", own) != own:
        raise ValueError(f"a layer is named {short(entry['name'])}, and {short(own)} in its arguments")
    return expect_name(expect_text(own, "the name of a layer"), "a layer")


def _name_of_model(config: Config) -> str | None:
    """The name of a model, which old chains do not have; its dtype is checked, too."""
    name, _ = config.get("name"), configs.dtype_of(config)
    return None if name is None else expect_name(expect_text(name, "a name"), "a model")


def _batch_shape(config: Config) -> Any:
    return config.get("batch_shape", config.get("batch_input_shape"))


def input_of(config: Config) -> Symbol:
    """The Input of an InputLayer's arguments, or of those of a chain's first layer."""
    for name in ("sparse", "ragged", "optional"):
        if config.get(name):
            raise ValueError(f"an input is {name}: tinydx takes arrays")
    shape, dtype = shape_from(_batch_shape(config), "batch_shape"), config.get("dtype")
    dtype = part(expect_dict(config_of(dtype), "dtype"), "name", "dtype") if isinstance(dtype, dict) else dtype
    if isinstance(shape, list):
        raise TypeError("an input has several shapes, expected one")
    dtype = expect_dtype("float32" if dtype is None else dtype, "the dtype of an input", NUMBERS)
    return Input(shape[1:], expect_text(config.get("name") or "input", "the name of an input"), dtype)
