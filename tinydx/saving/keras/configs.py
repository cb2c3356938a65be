"""A layer as Keras describes it, JSON <-> layers of tinydx, by lists of the names that both have.

A name in a file is looked up here, or among the caller's custom_objects, and nowhere else: no module that a file names is
imported, and no code that it holds (Lambda, pickled functions) is run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinydx import regularizers
from tinydx.layers.base import Layer
from tinydx.layers.registry import known_classes
from tinydx.saving.arguments import check_arguments
from tinydx.saving.entries import plain
from tinydx.saving.header import expect_dict, expect_dtype, expect_list, expect_text, part, short
from tinydx.saving.keras.hdf5 import expect_name
from tinydx.settings import arguments_of

Config = dict[str, Any]

MERGING = ("Add", "Average", "Concatenate", "Multiply")
IMAGES = (
    *("AveragePooling2D", "Conv2D", "DepthwiseConv2D", "GlobalAveragePooling2D", "GlobalMaxPooling2D", "MaxPooling2D"),
    *("SeparableConv2D", "ZeroPadding2D"),
)
SEQUENCES = (
    *("AdditiveAttention", "Attention", "Bidirectional", "Embedding", "GRU", "GlobalAveragePooling1D", "LSTM", "Masking"),
    *("SimpleRNN", "TimeDistributed"),
)
ANY = ("Activation", "BatchNormalization", "Dense", "Dropout", "Flatten", "LayerNormalization", "ReLU", "Reshape")
LAYERS = frozenset((*MERGING, *IMAGES, *SEQUENCES, *ANY))  # the layers that both have, with one meaning
MODELS = {"Sequential": "Sequential", "Functional": "Model", "Model": "Model"}  # Keras's names, and tinydx's
ACTIVATIONS = ("elu", "leaky_relu", "linear", "relu", "sigmoid", "silu", "softmax", "softplus", "swish", "tanh")
INITIALIZERS = {
    **{"Zeros": "zeros", "Ones": "ones", "GlorotUniform": "glorot_uniform", "GlorotNormal": "glorot_normal"},
    **{"HeUniform": "he_uniform", "HeNormal": "he_normal", "Orthogonal": "orthogonal", "OrthogonalInitializer": "orthogonal"},
}
REGULARIZERS = ("L1", "L2", "L1L2")
OWN = ("name", "trainable", "dtype", "batch_input_shape", "batch_shape", "input_shape")  # of every layer, handled elsewhere
SILENT = ("seed", "implementation", "autocast", "use_cudnn", "build_input_shape", "renorm_momentum")  # change no prediction
OFF = {"rms_scaling": False, "keepdims": False, "score_mode": "dot", "zero_output_for_mask": False, "time_major": False}
OFF |= {"sparse": False, "ragged": False, "optional": False, "groups": 1}
CODE = ("Lambda", "TFOpLambda", "SlicingOpLambda", "__lambda__", "function")


class Unknown(LookupError):
    """A class or function that Keras's file names, and that neither tinydx nor custom_objects has."""


# ---- models ----------------------------------------------------------------------------------------------------------


def is_sequential(layer: Layer) -> bool:
    """Whether it is a chain of layers, no subclass of the user's."""
    return type(layer).__name__ == "Sequential" and type(layer).__module__ == "tinydx.models"


def is_graph(layer: Layer) -> bool:
    """Whether it is a functional model."""
    return (
        type(layer).__name__ == "Model"
        and type(layer).__module__ == "tinydx.models"
        and getattr(layer, "inputs", None) is not None
    )


def inner(config: Config) -> list[Config]:
    """The entries of a model's layers, without inputs. Old chains are a list, and no dict."""
    found = config if isinstance(config, list) else expect_list(part(config, "layers", "a model"), "layers")
    return [e for e in found if expect_dict(e, "a layer").get("class_name") != "InputLayer"]


def config_of(entry: Config) -> Any:
    """The configuration in an entry."""
    return part(expect_dict(entry, "a layer"), "config", "a layer")


# ---- reading -------------------------------------------------------------------------------------------------------


def class_name(entry: Config, where: str) -> str:
    """The class that an entry names; ValueError for an operation that only shares its name with a layer, and for code."""
    name = expect_text(part(expect_dict(entry, where), "class_name", where), f"{where}: class_name")
    if name in CODE:
        raise ValueError(f"it holds a {name}, which is code: tinydx runs no code of a file; make the layer, then load_weights")
    home = entry.get("module")
    if home is not None and not (isinstance(home, str) and home.split(".")[0] in ("keras", "tf_keras", "tensorflow", "builtins")):
        raise Unknown(name)
    if home is not None and ".ops" in home:
        raise ValueError(f"it uses the operation {name}, which is no layer: tinydx has Add, Concatenate and Average as layers")
    return name


def layer_class(entry: Config, custom: dict[str, Any], where: str) -> Any:
    """The class of a layer: one of custom_objects, by the name that the file has registered it under, or one of `LAYERS`."""
    names = [entry.get("registered_name"), entry.get("class_name")]
    names += [str(n).rsplit(">", 1)[-1] for n in names]
    for name in names:
        if isinstance(name, str) and name in custom:
            return custom[name]
    name = class_name(entry, where)
    if name not in LAYERS:
        raise Unknown(name)
    return known_classes()[name]


def arguments(cls: type, config: Config, custom: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a layer's class from Keras's configuration; layers inside it stay entries.

    Options that the class does not have stay in, unless they ask for nothing: the class answers them in one line.
    """
    ours, found = arguments_of(cls), dict[str, Any]()
    for name, value in config.items():
        if name in OWN or name in SILENT or (name not in ours and _is_off(name, value)):
            continue
        found[name] = _argument(name, value, custom)
    found = {k: v for k, v in found.items() if not (k.endswith("_initializer") and (v is None or k not in ours))}
    if cls.__name__ == "GRU":
        found.setdefault("reset_after", False)  # files from before there was a choice
    if cls.__name__ == "BatchNormalization" and isinstance(found.get("axis"), tuple) and len(found["axis"]) == 1:
        found["axis"] = found["axis"][0]
    return found | {"name": expect_name(expect_text(part(config, "name", "a layer"), "a name"), "a layer")} | dtype_of(config)


def _is_off(name: str, value: Any) -> bool:
    """Whether an option asks for nothing."""
    return value is None or (name in OFF and type(value) is type(OFF[name]) and value == OFF[name])


def _argument(name: str, value: Any, custom: dict[str, Any]) -> Any:
    """One argument: names for activations and initial values, tuples for lists, objects for regularizers."""
    if name.endswith("activation"):
        return _activation(value, custom)
    if name.endswith("initializer"):
        return _initializer(value)
    if name.endswith("regularizer"):
        return _regularizer(value)
    return tuple(_argument("", v, custom) for v in value) if isinstance(value, list) else value


def _activation(value: Any, custom: dict[str, Any]) -> Any:
    """The name of an activation, which some files write as {"class_name": "function", "config": name}."""
    if isinstance(value, dict):
        name = part(value, "class_name", "an activation")
        value = expect_text(part(value, "config", "an activation") if name == "function" else name, "an activation")
    if value is None or value in (ACTIVATIONS if isinstance(value, str) else ()):
        return value
    if isinstance(value, str) and callable(custom.get(value)):
        return custom[value]
    raise Unknown(value if isinstance(value, str) else short(value))


def _initializer(value: Any) -> str | None:
    """The name of initial values that tinydx has, or None: the layer's own; the file's weights take their place in any case."""
    if isinstance(value, str):
        return value if value in INITIALIZERS.values() else None
    if value is None:
        return None
    how, settings = expect_dict(value, "an initializer").get("class_name"), value.get("config")
    if how == "VarianceScaling" and isinstance(settings, dict):
        kind = [settings.get(k) for k in ("scale", "mode", "distribution")]
        return {(1.0, "fan_avg", "uniform"): "glorot_uniform", (2.0, "fan_in", "truncated_normal"): "he_normal"}.get(
            tuple(k if isinstance(k, str | int | float) else None for k in kind)  # type: ignore[arg-type]
        )
    return INITIALIZERS.get(how) if isinstance(how, str) else None


def _regularizer(value: Any) -> Any:
    """A penalty of tinydx; ValueError for another."""
    if value is None:
        return None
    if isinstance(value, str) and value.lower() in ("l1", "l2", "l1_l2"):
        return regularizers.get(value)
    name = class_name(expect_dict(value, "a regularizer"), "a regularizer")
    if name not in REGULARIZERS:
        raise Unknown(name)
    kind, settings = getattr(regularizers, name), expect_dict(config_of(value), name)
    check_arguments(kind, settings)
    return kind(**settings)


def dtype_of(config: Config) -> dict[str, str]:
    """{"dtype": name} where a layer is not of float32, {} where it is; TypeError for what tinydx does not compute in."""
    value = config.get("dtype")
    if isinstance(value, dict):
        value = part(expect_dict(config_of(value), "dtype"), "name", "dtype")
    name = "float32" if value is None else expect_dtype(value, "dtype", ("float32", "float64"))
    return {} if name == "float32" else {"dtype": name}


# ---- writing -------------------------------------------------------------------------------------------------------


def to_config(layer: Layer, nested: Callable[[Layer], Config]) -> Config:
    """Keras's entry of a layer (no model); nested describes a layer inside it. ValueError for one that Keras does not have."""
    name = type(layer).__name__
    if known_classes().get(name) is not type(layer) or name not in LAYERS:
        raise ValueError(f"{layer.name} is a {name}, which is no layer of Keras: save the model as .safetensors")
    given = {k: v for k, v in layer.config.items() if k not in OWN}
    given = {k: nested(v) if isinstance(v, Layer) else _to_json(layer, k, v) for k, v in given.items()}
    if name == "GRU":
        given.setdefault("reset_after", True)  # readers take a file that does not say so for an old one
    return entry("keras.layers", name, own_config(layer) | given)


def entry(module: str, name: str, config: Config) -> Config:
    """An object in a file of Keras 3."""
    return {"module": module, "class_name": name, "config": config, "registered_name": None}


def own_config(layer: Layer) -> Config:
    """What Keras's description of every layer has."""
    dtype = "float32" if layer.dtype is None else np.dtype(layer.dtype).name
    expect_name(layer.name, f"a {type(layer).__name__}")
    return {"name": layer.name, "trainable": layer.trainable, "dtype": dtype}


def _to_json(layer: Layer, name: str, value: Any) -> Any:
    value = plain(layer, name, value, {})
    if isinstance(value, dict):
        described = value["regularizer"]
        if "class" not in described or described["class"] not in REGULARIZERS:
            raise ValueError(f"{layer.name}: {name} is no penalty of Keras: save the model as .safetensors")
        return entry("keras.regularizers", described["class"], described["config"])
    if name.endswith("activation") and value is not None and value not in ACTIVATIONS:
        raise ValueError(f"{layer.name}: Keras has no activation {value!r}: save the model as .safetensors")
    return value
