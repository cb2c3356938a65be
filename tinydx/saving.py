"""Models in files: one safetensors file, numbers in its body, everything else as JSON in its header. No pickle.

The header also holds a digest of all that is in the file, so that a truncated, foreign or changed file is recognised
before anything is loaded. Files are written at once or not at all.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from tinydx import losses, optimizers
from tinydx.files import atomic_write
from tinydx.layers import base
from tinydx.layers.base import Layer, Symbol
from tinydx.op import Op, did_you_mean

FORMAT = 1

Arrays = dict[str, np.ndarray]

# ---- what a model is, as JSON --------------------------------------------------------------------------------------


def to_config(layer: Any) -> dict[str, Any]:
    """What is needed to make this layer or model again: class, name, arguments; for models their layers, too."""
    entry: dict[str, Any] = {"class": type(layer).__name__, "name": layer.name}
    if hasattr(layer, "chain"):
        return {**entry, "layers": [to_config(v) for v in layer.chain], "input_shape": layer.shape}
    if getattr(layer, "inputs", None) is not None:
        return {**entry, **_graph_config(layer)}
    return {**entry, "config": {k: _plain(layer, k, v) for k, v in layer.config.items()}}


def _plain(layer: Layer, name: str, value: Any) -> Any:
    """An argument as JSON can hold it; TypeError naming layer and argument where it cannot."""
    if isinstance(value, Op):
        return value.name
    if isinstance(value, np.dtype | type):
        return np.dtype(value).name
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, list | tuple):
        return [_plain(layer, name, v) for v in value]
    raise TypeError(f"{layer.name}: {name}={value!r} cannot be saved: give it by name")


def _graph_config(model: Any) -> dict[str, Any]:
    number = {id(s): i for i, s in enumerate(model.graph)}
    layers = model.layers
    nodes = [
        {
            "shape": s.shape,
            "layer": None if s.layer is None else layers.index(s.layer),
            "inputs": [number[id(i)] for i in s.inputs],
            "index": s.index,
        }
        for s in model.graph
    ]
    ends = {
        key: [number[id(s)] for s in v] if isinstance(v, list | tuple) else number[id(v)]
        for key, v in (("inputs", model.inputs), ("outputs", model.outputs))
    }
    return {"layers": [to_config(v) for v in layers], "nodes": nodes, **ends}


def from_config(entry: dict[str, Any], custom: dict[str, type]) -> Any:
    """The layer or model that `to_config` described."""
    kinds = {**base.REGISTRY, **custom}
    if entry["class"] not in kinds:
        raise ValueError(
            f"the model uses {entry['class']!r}, which is not known here: load_model(path, custom_objects={{{entry['class']!r}: ...}})"
            + did_you_mean(entry["class"], kinds)
        )
    kind = kinds[entry["class"]]
    if "nodes" in entry:
        return _graph_from(kind, entry, custom)
    if "layers" in entry:
        model = kind([from_config(v, custom) for v in entry["layers"]], name=entry["name"])
        if entry["input_shape"] and not model.built:
            model.build(tuple(entry["input_shape"]))
        return model
    config = {k: tuple(v) if isinstance(v, list) else v for k, v in entry["config"].items()}
    return kind(**{**config, "name": entry["name"]})


def _graph_from(kind: Any, entry: dict[str, Any], custom: dict[str, type]) -> Any:
    layers = [from_config(v, custom) for v in entry["layers"]]
    symbols: list[Symbol] = []
    for node in entry["nodes"]:
        sources = tuple(symbols[i] for i in node["inputs"])
        layer = None if node["layer"] is None else layers[node["layer"]]
        symbols.append(Symbol(tuple(node["shape"]), layer, sources, node["index"]))
        if layer is not None:
            layer.ensure_built([s.shape for s in sources] if len(sources) > 1 else sources[0].shape)
    pick = lambda ends: [symbols[i] for i in ends] if isinstance(ends, list) else symbols[ends]  # noqa: E731
    return kind(pick(entry["inputs"]), pick(entry["outputs"]), name=entry["name"])


# ---- models --------------------------------------------------------------------------------------------------------


def save_model(model: Any, path: str | Path, include_optimizer: bool = True) -> None:
    """Write a model to one file, atomically: see `Model.save`."""
    header, arrays = _describe(model, include_optimizer)
    _write(path, header, arrays)


def load_model(path: str | Path, custom_objects: dict[str, type] | None = None) -> Any:
    """The model that `model.save(path)` wrote, compiled as it was.

    Arguments: custom_objects, {"MyLayer": MyLayer} for classes that tinydx does not know.
    Raises FileNotFoundError, or ValueError for a file that is truncated, changed, or no tinydx model.
    """
    header, arrays = _read(path)
    model = from_config(header["model"], custom_objects or {})
    _fill(model, header, arrays, path)
    return model


def _describe(model: Any, include_optimizer: bool) -> tuple[dict[str, Any], Arrays]:
    if not model.weights:
        raise ValueError(f"{model.name} has no weights yet: give its first layer an input_shape, or fit it, before saving")
    arrays = {f"weights/{i:03d}/{w.name}": w.data for i, w in enumerate(model.weights)}
    header: dict[str, Any] = {
        "model": to_config(model),
        "class_names": model.class_names,
        "preprocessing": model.preprocessing,
        "input_range": model.input_range,
    }
    optimizer, loss = model.optimizer, model.loss
    if optimizer is not None and loss is not None and not isinstance(loss, losses._Function):
        header["optimizer"] = {"class": type(optimizer).__name__, "config": optimizer.config}
        header["loss"] = {"class": type(loss).__name__, "config": loss.config}
        header["metrics"] = [m.name for m in model.metrics]
        header["iterations"] = optimizer.iterations
        if include_optimizer:
            for i, slots in enumerate(optimizer.slots):
                arrays |= {f"optimizer/{i:03d}/{n}": a for n, a in zip(optimizer.memory, slots, strict=True)}
    return header, arrays


def _fill(model: Any, header: dict[str, Any], arrays: Arrays, path: str | Path) -> None:
    """Give a model the file's weights and training state."""
    weights = [arrays[k] for k in sorted(arrays) if k.startswith("weights/")]
    _build_for(model, weights)
    try:
        model.set_weights(weights)
    except ValueError as error:
        raise ValueError(f"{path} does not fit this model: {error}") from None
    model.class_names, model.preprocessing = header["class_names"], header["preprocessing"]
    model.input_range = header["input_range"]
    if "optimizer" in header:
        optimizer = optimizers.from_config(header["optimizer"]["class"], header["optimizer"]["config"])
        model.compile(optimizer, losses.from_config(header["loss"]["class"], header["loss"]["config"]), header["metrics"])
        _fill_optimizer(optimizer, header, arrays)


def _build_for(model: Any, weights: list[np.ndarray]) -> None:
    """A subclassed model has no weights before its first call, so its layers' weights are taken as they come."""
    if model.weights or not weights:
        return
    raise ValueError(f"{model.name}: call the subclassed model once, or build it in __init__, before loading its weights")


def _fill_optimizer(optimizer: Any, header: dict[str, Any], arrays: Arrays) -> None:
    optimizer.iterations = header["iterations"]
    slots: dict[str, list[np.ndarray]] = {}
    for key in sorted(k for k in arrays if k.startswith("optimizer/")):
        slots.setdefault(key.split("/")[1], []).append(np.array(arrays[key]))
    by_name = {k: {n: arrays[f"optimizer/{k}/{n}"].copy() for n in optimizer.memory} for k in slots}
    optimizer.slots = [[by_name[k][n] for n in optimizer.memory] for k in sorted(by_name)]


# ---- runs (fit(resume=...)) ----------------------------------------------------------------------------------------


def save_run(model: Any, state: dict[str, Any], path: str | Path) -> None:
    """A model, its optimizer and the state of its training run, in one file."""
    header, arrays = _describe(model, include_optimizer=True)
    header["run"] = _extract(state, "run", arrays)
    _write(path, header, arrays)


def load_run(model: Any, path: str | Path) -> dict[str, Any]:
    """Put a saved run's weights and optimizer into the model; returns the state. ValueError where it is another model's."""
    header, arrays = _read(path)
    if "run" not in header:
        raise ValueError(f"{path} is a saved model, not a run: load it with load_model, and resume to another file")
    if _structure(header["model"]) != _structure(json.loads(json.dumps(to_config(model)))):
        raise ValueError(f"{path} is the run of another model: resume with the model it was made with, or delete the file")
    if type(model.optimizer).__name__ != header["optimizer"]["class"]:
        raise ValueError(f"{path} was trained with {header['optimizer']['class']}: compile with it, or delete the file")
    model.set_weights([arrays[k] for k in sorted(arrays) if k.startswith("weights/")])
    model.class_names, model.input_range = header["class_names"], header["input_range"]
    model.optimizer.learning_rate = header["optimizer"]["config"]["learning_rate"]
    _fill_optimizer(model.optimizer, header, arrays)
    return _restore(header["run"], arrays)


def _structure(entry: Any) -> Any:
    """A configuration without the names, which count up within a process."""
    if isinstance(entry, dict):
        return {k: _structure(v) for k, v in entry.items() if k != "name"}
    return [_structure(v) for v in entry] if isinstance(entry, list) else entry


def _extract(value: Any, where: str, arrays: Arrays) -> Any:
    """The value as JSON, with its arrays moved to `arrays` and replaced by their names."""
    if isinstance(value, np.ndarray):
        arrays[where] = value
        return {"array": where}
    if isinstance(value, dict):
        return {str(k): _extract(v, f"{where}/{k}", arrays) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_extract(v, f"{where}/{i:03d}", arrays) for i, v in enumerate(value)]
    return value.item() if isinstance(value, np.generic) else value


def _restore(value: Any, arrays: Arrays) -> Any:
    if isinstance(value, dict):
        return arrays[value["array"]] if set(value) == {"array"} else {k: _restore(v, arrays) for k, v in value.items()}
    return [_restore(v, arrays) for v in value] if isinstance(value, list) else value


# ---- bytes ---------------------------------------------------------------------------------------------------------


def _write(path: str | Path, header: dict[str, Any], arrays: Arrays) -> None:
    from safetensors.numpy import save

    text = json.dumps({"format": FORMAT, **header}, ensure_ascii=False)
    arrays = {k: np.ascontiguousarray(a) for k, a in arrays.items()}
    atomic_write(path, save(arrays, metadata={"tinydx": text, "digest": _digest(text, arrays)}))


def _read(path: str | Path) -> tuple[dict[str, Any], Arrays]:
    """Header and arrays of a file whose digest is right; ValueError otherwise, before anything is used."""
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise FileNotFoundError(f"no model file at {path}")
    try:
        with safe_open(str(path), framework="np") as file:
            metadata = file.metadata() or {}
            arrays = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 (a safetensors file is no dict)
    except (SafetensorError, OSError, ValueError) as error:
        raise ValueError(f"{path} is not a whole model file ({error}): it is truncated, damaged, or something else") from None
    if "tinydx" not in metadata:
        raise ValueError(f"{path} is a safetensors file, but not of tinydx: its header has no tinydx entry")
    if metadata.get("digest") != _digest(metadata["tinydx"], arrays):
        raise ValueError(f"{path} was changed after it was written (its digest is wrong): it is not loaded")
    header = json.loads(metadata["tinydx"])
    if header["format"] > FORMAT:
        raise ValueError(f"{path} has format {header['format']}, this tinydx reads up to {FORMAT}: pip install -U tinydx")
    return header, arrays


def _digest(text: str, arrays: Arrays) -> str:
    total = hashlib.sha256(text.encode())
    for key in sorted(arrays):
        total.update(f"{key} {arrays[key].dtype.str} {arrays[key].shape}".encode())
        total.update(memoryview(np.ascontiguousarray(arrays[key])).cast("B") if arrays[key].size else b"")
    return total.hexdigest()
