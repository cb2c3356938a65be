"""Models in files: one safetensors file, numbers in its body, everything else as JSON in its header. No pickle.

The header also holds a digest of the file's contents, so that a truncated, foreign or changed file is recognised before
anything is loaded. Files are written atomically.

A layer's entry in the header is its class name and what its method `to_entry` returns: the arguments it was made with, or for
Sequential and functional models their layers and connections. The registry (tinydx/layers/registry.py) finds the class, its
`from_entry` makes the layer, `build` its weights, which then take the values of the file.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinydx import activations, initializers, losses, metrics, optimizers, regularizers
from tinydx.device import to_host
from tinydx.files import atomic_write
from tinydx.layers.base import Layer
from tinydx.layers.registry import known_classes
from tinydx.op import Op
from tinydx.optimizers.schedules import LearningRateSchedule
from tinydx.suggestions import did_you_mean

FORMAT = 1

Arrays = dict[str, np.ndarray]
Known = dict[str, Any]  # custom_objects: a user's own classes and functions, by name

# ---- a model as JSON --------------------------------------------------------------------------------------


def to_config(layer: Layer, seen: dict[Layer, int] | None = None) -> dict[str, Any]:
    """The entry of a layer or model; a layer that was `seen` before is given by its number."""
    seen = {} if seen is None else seen
    if layer in seen:
        return {"again": seen[layer]}
    entry = {"class": type(layer).__name__, "name": layer.name, **layer.to_entry(lambda inner: to_config(inner, seen))}
    if "config" in entry:
        entry["config"] = {k: _plain(layer, k, v, seen) for k, v in entry["config"].items()}
    entry |= {"input_shape": layer.input_shape, "dtype": None if layer.dtype is None else layer.dtype.name}
    seen[layer] = len(seen)
    return entry


def _plain(layer: Layer, name: str, value: Any, seen: dict[Layer, int]) -> Any:
    """An argument as JSON can hold it; TypeError, with the names of layer and argument, where it cannot."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list | tuple):
        return [_plain(layer, name, v, seen) for v in value]
    if isinstance(value, Layer):
        return {"layer": to_config(value, seen)}
    if isinstance(value, type) and issubclass(value, regularizers.Regularizer):
        value = value()
    if isinstance(value, regularizers.Regularizer):
        return {"regularizer": _describe(value)}
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


def from_config(entry: dict[str, Any], custom: Known, made: list[Layer] | None = None) -> Any:
    """The layer or model of an entry, built, with new weights."""
    made = [] if made is None else made
    if "again" in entry:
        return made[entry["again"]]
    known = known_classes() | custom
    if entry["class"] not in known:
        raise _unknown(entry["class"], known)
    if "config" in entry:
        entry = {**entry, "config": {k: _argument_from(v, custom, made) for k, v in entry["config"].items()}}
    layer = known[entry["class"]].from_entry(entry, lambda inner: from_config(inner, custom, made))
    layer.name, layer.dtype = entry["name"], None if entry["dtype"] is None else np.dtype(entry["dtype"])
    if entry["input_shape"] is not None:
        layer.build(_shape_from(entry["input_shape"]))
    made.append(layer)
    return layer


def _unknown(name: str, known: Iterable[str]) -> ValueError:
    """The error for a class that only the user has."""
    hint = f"load_model(path, custom_objects={{{name!r}: {name}}}){did_you_mean(name, known)}"
    return ValueError(f"the model uses {name!r}, which tinydx does not know: {hint}")


def _argument_from(value: Any, custom: Known, made: list[Layer]) -> Any:
    """An argument from its JSON: a layer for an entry, a tuple for a list."""
    if isinstance(value, dict) and "regularizer" in value:
        try:
            return _recall(value["regularizer"], regularizers, regularizers.Regularizer, custom)
        except LookupError as error:
            raise _unknown(error.args[0], ("L1", "L2", "L1L2")) from None
    if isinstance(value, dict):
        return from_config(value["layer"], custom, made)
    return tuple(_argument_from(v, custom, made) for v in value) if isinstance(value, list) else value


def _shape_from(shape: list[Any]) -> Any:
    """A shape from its JSON, in which tuples became lists."""
    return [tuple(s) for s in shape] if isinstance(shape[0], list) else tuple(shape)


# ---- how it was compiled -------------------------------------------------------------------------------------------


_DESCRIBED = optimizers.Optimizer | LearningRateSchedule | regularizers.Regularizer | losses.Loss | metrics.Metric


def _describe(thing: Any) -> Any:
    """An optimizer, schedule, regularizer, loss or metric as JSON: its name, a function's name, or class and arguments."""
    thing = thing._fn if type(thing) is metrics.MeanMetricWrapper else getattr(thing, "function", thing)
    if isinstance(thing, str):
        return thing
    if not isinstance(thing, _DESCRIBED):
        return {"function": getattr(thing, "__name__", type(thing).__name__)}
    known = {**getattr(thing, "_keywords", {}), **vars(thing)}
    if isinstance(thing, optimizers.Optimizer):
        known["learning_rate"] = thing.learning_rate if thing.schedule is None else _describe(thing.schedule)
    names = [p for c in type(thing).__mro__[:-1] for p in inspect.signature(c.__init__).parameters]  # type: ignore[misc]
    return {"class": type(thing).__name__, "config": {n: known[n] for n in dict.fromkeys(names) if n in known}}


def _recall(entry: Any, module: Any, base: type, custom: Known) -> Any:
    """The object that `_describe` described; LookupError with its name where it is unknown."""
    if isinstance(entry, str):
        return entry
    name = entry.get("function") or entry["class"]
    kind = {**vars(module), **custom}.get(name)
    if "function" in entry and callable(kind):
        return kind
    if "class" in entry and isinstance(kind, type) and issubclass(kind, base):
        config = dict(entry["config"])
        if isinstance(config.get("learning_rate"), dict):
            config["learning_rate"] = _recall(config["learning_rate"], optimizers.schedules, LearningRateSchedule, custom)
        if config.get("learning_rate") != 0:
            return kind(**config)
        optimizer: Any = kind(**config | {"learning_rate": 1.0})  # a callback had set it to 0, with which no optimizer is made
        optimizer.learning_rate = 0.0
        return optimizer
    raise LookupError(name)


def _compile(model: Any, training: dict[str, Any], custom: Known) -> None:
    """Compile the model as it was compiled; where a part is unknown, warn and leave it uncompiled."""
    try:
        optimizer = _recall(training["optimizer"], optimizers, optimizers.Optimizer, custom)
        loss = _recall(training["loss"], losses, losses.Loss, custom)
        watched, weighted = (
            [_recall(m, metrics, metrics.Metric, custom) for m in training[k]] for k in ("metrics", "weighted_metrics")
        )
    except LookupError as error:
        warnings.warn(
            f"the model was trained with {error.args[0]}, which tinydx does not know: it can predict, but is not compiled;"
            f" load_model(path, custom_objects={{{error.args[0]!r}: ...}})",
            stacklevel=3,
        )
        return
    model.compile(optimizer, loss, watched, weighted)


# ---- models --------------------------------------------------------------------------------------------------------


def save_model(model: Any, path: str | Path, include_optimizer: bool = True) -> None:
    """Write a model to one file: see `Model.save`."""
    _write(path, *_contents(model, include_optimizer))


def load_model(path: str | Path, custom_objects: Known | None = None) -> Any:
    """The model that `model.save(path)` wrote, compiled as it was.

    Where the loss or a metric is unknown, it warns and leaves the model uncompiled.

    Arguments: path; custom_objects, {"MyLayer": MyLayer} for a user's own classes and functions.
    Raises: FileNotFoundError; ValueError for a file that is truncated, changed, or no tinydx model.
    """
    header, arrays = _read(path)
    try:
        model = from_config(header["model"], custom_objects or {})
        _fill(model, header, arrays)
        if header["training"]:
            _compile(model, header["training"], custom_objects or {})
        if model.optimizer is not None:
            _fill_optimizer(model.optimizer, header, arrays)
    except (KeyError, IndexError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{path} cannot be loaded: {error}") from error
    return model


def _contents(model: Any, include_optimizer: bool) -> tuple[dict[str, Any], Arrays]:
    """Header and arrays of a model's file."""
    if not model.built:
        raise ValueError(f"{model.name} is not built yet: give its first layer an input_shape, or fit it, then save")
    arrays = {f"weights/{i:05d}/{w.name}": w.numpy() for i, w in enumerate(model.weights)}
    optimizer, training = model.optimizer, None
    if optimizer is not None:
        training = {
            "optimizer": _describe(optimizer),
            "loss": _describe(model.loss),
            "metrics": [_describe(m) for m in model.asked_metrics[0]],
            "weighted_metrics": [_describe(m) for m in model.asked_metrics[1]],
            "iterations": optimizer.iterations if include_optimizer else 0,
        }
        for i, slots in enumerate(optimizer.slots if include_optimizer else []):
            arrays |= {f"optimizer/{i:05d}/{n}": to_host(a) for n, a in zip(optimizer.slot_names, slots, strict=True)}
    header = {
        "model": to_config(model),
        "frozen": [i for i, layer in enumerate(model.all_layers()) if not layer.trainable],
        "class_names": None if model.class_names is None else [str(name) for name in model.class_names],
        "preprocessing": model.preprocessing,
        "input_range": model.input_range,
        "training": training,
    }
    return header, arrays


def _fill(model: Any, header: dict[str, Any], arrays: Arrays) -> None:
    """Give a model the file's weights, and what the file says of its training data."""
    model.set_weights([arrays[k] for k in sorted(arrays) if k.startswith("weights/")])
    for i, layer in enumerate(model.all_layers()):
        layer.trainable = i not in header["frozen"]
    model.class_names, model.preprocessing = header["class_names"], header["preprocessing"]
    model.input_range = header["input_range"]


def _fill_optimizer(optimizer: Any, header: dict[str, Any], arrays: Arrays) -> None:
    optimizer.iterations = header["training"]["iterations"]
    weights = sorted({k.split("/")[1] for k in arrays if k.startswith("optimizer/")})
    optimizer.slots = [[arrays[f"optimizer/{i}/{n}"].copy() for n in optimizer.slot_names] for i in weights]


# ---- runs (fit(resume=...)) ----------------------------------------------------------------------------------------


@dataclass
class SavedRun:
    """A saved run that fits the model: its `state`, and `load_model()` for the weights and the optimizer."""

    model: Any
    header: dict[str, Any]
    arrays: Arrays
    state: dict[str, Any]

    def learning_rate(self) -> Any:
        """The learning rate when the run was saved; a description where it follows a schedule."""
        return self.header["training"]["optimizer"]["config"]["learning_rate"]

    def load_model(self) -> None:
        """Put the saved weights, statistics and optimizer memory into the model."""
        if not self.model.built:
            self.model.build(_shape_from(self.header["model"]["input_shape"]))
        optimizer = self.model.optimizer
        _fill(self.model, self.header, self.arrays)
        _fill_optimizer(optimizer, self.header, self.arrays)
        if optimizer.schedule is None:
            optimizer.learning_rate = self.learning_rate()


def save_run(model: Any, state: dict[str, Any], path: str | Path) -> None:
    """Write a model, its optimizer and the state of its training run to one file."""
    header, arrays = _contents(model, include_optimizer=True)
    header["run"] = _extract(state, "run", arrays)
    _write(path, header, arrays)


def read_run(model: Any, path: str | Path) -> SavedRun:
    """The run at `path`; the model is not changed yet.

    Raises: ValueError where the file holds no run, or the run of another model, optimizer or loss.
    """
    header, arrays = _read(path)
    if "run" not in header:
        raise ValueError(f"{path} is a saved model, not a run: load it with load_model, and resume to another file")
    shapes = [arrays[k].shape for k in sorted(arrays) if k.startswith("weights/")]
    same_shapes = not model.built or shapes == [w.shape for w in model.weights]
    if not same_shapes or _structure(header["model"]) != _structure(json.loads(_json(to_config(model)))):
        raise ValueError(f"{path} is the run of another model: resume with the model it was made with, or delete it")
    for part in ("optimizer", "loss"):
        was, now = header["training"][part], json.loads(_json(_describe(getattr(model, part))))
        if _structure(was) != _structure(now):
            raise ValueError(f"{path}: the run had the {part} {was}, now it is {now}: compile as before, or delete it")
    return SavedRun(model, header, arrays, _restore(header["run"], arrays))


def _structure(entry: Any) -> Any:
    """An entry without what may differ when the same run starts: names, a learning rate that is a number, unknown shapes."""
    may_differ = ("name", "input_shape", "fixed_shape", "dtype")
    if isinstance(entry, dict):
        number = isinstance(entry.get("learning_rate"), float)
        return {k: _structure(v) for k, v in entry.items() if k not in may_differ and not (number and k == "learning_rate")}
    return [_structure(v) for v in entry] if isinstance(entry, list) else entry


def _extract(value: Any, where: str, arrays: Arrays) -> Any:
    """The value as JSON, its arrays moved to `arrays` and replaced by their names."""
    if isinstance(value, np.ndarray):
        arrays[where] = value
        return {"array": where}
    if isinstance(value, dict):
        return {str(k): _extract(v, f"{where}/{k}", arrays) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_extract(v, f"{where}/{i:05d}", arrays) for i, v in enumerate(value)]
    return value


def _restore(value: Any, arrays: Arrays) -> Any:
    if isinstance(value, dict):
        return arrays[value["array"]] if set(value) == {"array"} else {k: _restore(v, arrays) for k, v in value.items()}
    return [_restore(v, arrays) for v in value] if isinstance(value, list) else value


# ---- bytes ---------------------------------------------------------------------------------------------------------


def _json(value: Any) -> str:
    """The value as JSON text; NumPy numbers as numbers."""

    def number(v: Any) -> Any:
        if isinstance(v, np.generic):
            return v.item()
        raise TypeError(f"cannot save {v!r}: a model file holds numbers, texts, lists and dicts")

    return json.dumps(value, ensure_ascii=False, default=number)


def _write(path: str | Path, header: dict[str, Any], arrays: Arrays) -> None:
    from safetensors.numpy import save

    text = _json({"format": FORMAT, **header})
    arrays = {k: np.asarray(a, order="C") for k, a in arrays.items()}
    atomic_write(path, save(arrays, metadata={"tinydx": text, "digest": _digest(text, arrays)}))


def _read(path: str | Path) -> tuple[dict[str, Any], Arrays]:
    """Header and arrays of a file whose digest is right; ValueError for any other."""
    from safetensors import safe_open

    if not Path(path).is_file():
        raise FileNotFoundError(f"no model file at {path}{' (it is a folder)' if Path(path).is_dir() else ''}")
    try:
        with safe_open(str(path), framework="np") as file:
            metadata = file.metadata() or {}
            arrays = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 (a safetensors file is no dict)
    except Exception as error:  # a damaged file can raise anything in the reader
        raise ValueError(f"{path} is not a whole model file, but truncated, damaged or foreign ({error})") from None
    if "tinydx" not in metadata:
        raise ValueError(f"{path} is a safetensors file, but not of tinydx: its header has no tinydx entry")
    if metadata.get("digest") != _digest(metadata["tinydx"], arrays):
        raise ValueError(f"{path} was changed after it was written (its digest is wrong): it is not loaded")
    header = json.loads(metadata["tinydx"])
    if header["format"] > FORMAT:
        raise ValueError(f"{path} has format {header['format']}, this tinydx reads {FORMAT}: pip install -U tinydx")
    return header, arrays


def _digest(text: str, arrays: Arrays) -> str:
    total = hashlib.sha256(text.encode())
    for key in sorted(arrays):
        total.update(f"{key} {arrays[key].dtype.str} {arrays[key].shape}".encode())
        total.update(np.ascontiguousarray(arrays[key]).reshape(-1).view(np.uint8).data)
    return total.hexdigest()
