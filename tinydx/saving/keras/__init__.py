"""Keras's files, both ways: x.keras, x.h5 and x.weights.h5, of Keras 3 and of the versions before it.

As safe as tinydx's own files: classes are looked up by name among those that both have (configs.py), or are the caller's;
nothing is imported or run that a file names; its layers are compared with the weights that it holds before a weight is made; a
file loads as a whole or not at all, and what is wrong with it is one line.

    container.py   zip and HDF5 <-> JSON and arrays         hdf5.py       HDF5, read with limits
    configs.py     one layer and its arguments              nodes.py      the calls in a graph of layers
    making.py      descriptions -> models                   describing.py models -> descriptions
    weights.py     names and order of the weights           compiled.py   optimizer, loss, metrics
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from tinydx.files import atomic_write
from tinydx.layers import declared
from tinydx.saving import entries_of, refusing
from tinydx.saving.compiled import Known, compile_as
from tinydx.saving.entries import MOST_ENTRIES, unknown
from tinydx.saving.header import expect_bool
from tinydx.saving.keras import compiled, container, hdf5, weights
from tinydx.saving.keras.configs import LAYERS, Unknown, config_of, is_graph, is_sequential
from tinydx.saving.keras.describing import describe_layer
from tinydx.saving.keras.making import Maker

__all__ = ["load_model", "load_weights", "save_model", "save_weights"]


def load_model(path: str | Path, custom_objects: Known | None = None) -> Any:
    """The model of a .keras or .h5 file: see `tinydx.models.load_model`."""
    custom = custom_objects or {}
    hdf5.library()
    with refusing(path):
        contents = container.read(path)
        model = _made(contents, custom)
        if contents.facts is not None:
            for name in ("class_names", "preprocessing", "input_range"):
                setattr(model, name, contents.facts[name])
        training = compiled.from_keras(contents.training, custom)
    if training is not None:
        _compile(model, training, custom)
    return model


def _made(contents: container.Contents, custom: Known) -> Any:
    """The model with its weights, not compiled yet."""
    config, arrays = contents.config, contents.tree.arrays
    entries = entries_of(config)
    if entries > MOST_ENTRIES:
        raise ValueError(f"its configuration has {entries:,} parts, more than {MOST_ENTRIES:,}")
    with declared.making_from([a.shape for a in arrays.values()], entries + len(arrays)):
        try:
            model = Maker(custom).make(config)
        except Unknown as error:
            raise unknown(str(error.args[0]), LAYERS) from None
    if not hasattr(model, "compile"):
        raise ValueError(f"it holds a {type(model).__name__}, which is a layer and no model")
    if not model.built and arrays:
        raise ValueError("it does not say for which inputs it was built: make the model, build it, then model.load_weights(path)")
    _check_sizes(model)
    _freeze(model, config_of(config))
    weights.fill(weights.arrays_for(model, contents.tree, config_of(config)))
    return model


def _check_sizes(model: Any) -> None:
    """ValueError where one example would have more numbers, somewhere in a chain, than any training had."""
    for layer in model.all_layers():
        if is_sequential(layer) and layer.built:
            shape = layer.input_shape
            for one in layer.layers:
                shape = one.output_shape(shape)
                declared.expect_output(one.name, shape)


def _freeze(layer: Any, config: Any) -> None:
    """Set trainable=False where the configuration says so."""
    if isinstance(config, dict) and not expect_bool(config.get("trainable", True), f"{layer.name}: trainable"):
        layer.trainable = False
    for _, child, inside in weights.children(layer, config):
        _freeze(child, inside)


def _compile(model: Any, training: dict[str, Any], custom: Known) -> None:
    """Compile the model; where tinydx has an argument not, or not with that value, warn and leave it uncompiled."""
    try:
        compile_as(model, training, custom)
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        warnings.warn(f"the model can predict, but is not compiled: {error}", stacklevel=4)


def save_model(model: Any, path: str | Path) -> None:
    """Write a model as a .keras or .h5 file: see `Model.save`."""
    if str(path).endswith(".weights.h5"):
        raise ValueError(f"{path} is the name of a file of weights: model.save_weights(path) writes one")
    if not model.built:
        raise ValueError(f"{model.name} is not built yet: give its first layer an input_shape, or fit it, then save")
    hdf5.library()
    if not (is_sequential(model) or is_graph(model)):
        raise ValueError(f"{model.name} is a {type(model).__name__}, which Keras does not have: save it as .safetensors")
    config, training = describe_layer(model), compiled.to_keras(model)
    if str(path).endswith(".keras"):
        config |= {"build_config": {"input_shape": None}, "compile_config": training or {}}
        data = container.keras_bytes(config, container.facts_from(model), weights.tree_of(model))
    else:
        data = hdf5.write(container.h5_tree(config, compiled.to_old(training), weights.rows_of(model)))
    atomic_write(path, data)


def load_weights(model: Any, path: str | Path) -> None:
    """Give a built model the weights of a file: see `Model.load_weights`."""
    if not model.built:
        raise ValueError(
            f"{model.name} is not built yet: give its first layer an input_shape, or call it once, then load weights"
        )
    if not Path(path).is_file():
        raise FileNotFoundError(f"no file of weights at {path}")
    hdf5.library()
    with refusing(path):
        pairs = weights.arrays_for(model, container.read_weights(path))
    weights.fill(pairs)


def save_weights(model: Any, path: str | Path) -> None:
    """Write the weights of a built model: see `Model.save_weights`."""
    if not str(path).endswith(".weights.h5"):
        raise ValueError(f"{path} does not end with .weights.h5, as Keras wants it; model.save(path) writes the whole model")
    if not model.built:
        raise ValueError(f"{model.name} is not built yet: give its first layer an input_shape, or fit it, then save its weights")
    atomic_write(path, hdf5.write(weights.tree_of(model)))
