"""Models in files: one safetensors file, numbers in its body, everything else as JSON in its header. No pickle.

The header also holds a digest of all that is in the file, so that a truncated, foreign or changed file is recognised
before anything is loaded. Files are written at once or not at all.

A layer is described by its class and the arguments it was made with; Sequential and functional models by their layers
and how these are connected. From that, and the shape of its input, it is made again, and then given its weights.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinydx import activations, initializers, layers, losses, metrics, optimizers
from tinydx.device import to_host
from tinydx.files import atomic_write
from tinydx.layers.base import Input, Layer, Symbol, map_symbols
from tinydx.op import Op
from tinydx.suggestions import did_you_mean

FORMAT = 1

Arrays = dict[str, np.ndarray]
Known = dict[str, Any]  # custom_objects: classes and functions that tinydx does not know, by name

# ---- what a model is, as JSON --------------------------------------------------------------------------------------


def to_config(layer: Layer, seen: dict[Layer, int] | None = None) -> dict[str, Any]:
    """What is needed to make this layer or model again; a layer that was `seen` before is named by its number."""
    from tinydx.models import Model, Sequential

    seen = {} if seen is None else seen
    if layer in seen:
        return {"again": seen[layer]}
    entry: dict[str, Any] = {"class": type(layer).__name__, "name": layer.name}
    if type(layer) is Sequential:
        entry |= {"layers": [to_config(v, seen) for v in layer.layers], "fixed_shape": layer.fixed_shape}
    elif type(layer) is Model:
        entry |= _graph_config(layer, seen)
    else:
        entry["config"] = {k: _plain(layer, k, v, seen) for k, v in layer.config.items()}
    entry |= {"input_shape": layer.input_shape, "dtype": None if layer.dtype is None else layer.dtype.name}
    seen[layer] = len(seen)
    return entry


def _plain(layer: Layer, name: str, value: Any, seen: dict[Layer, int]) -> Any:
    """An argument as JSON can hold it; TypeError naming layer and argument where it cannot."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list | tuple):
        return [_plain(layer, name, v, seen) for v in value]
    if isinstance(value, Layer):
        return {"layer": to_config(value, seen)}
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


def _graph_config(model: Any, seen: dict[Layer, int]) -> dict[str, Any]:
    """A functional model: its inputs, its layers, and the calls that connect them; values are numbered as they come."""
    inputs = model.inputs if isinstance(model.inputs, list | tuple) else [model.inputs]
    symbols = [*inputs, *(s for call in model.graph for s in call.outputs)]
    number = {id(s): {"symbol": i} for i, s in enumerate(symbols)}
    numbered = lambda value: map_symbols(lambda s: number[id(s)], value)  # noqa: E731
    return {
        "layers": [to_config(v, seen) for v in model.layers],
        "given": [{"shape": s.shape[1:], "name": s.name, "dtype": s.dtype.name} for s in inputs],
        "calls": [[model.layers.index(c.layer), numbered(c.x), numbered(c.keywords)] for c in model.graph],
        "ends": [numbered(model.inputs), numbered(model.outputs)],
    }


def from_config(entry: dict[str, Any], custom: Known, made: list[Layer] | None = None) -> Any:
    """The layer or model that `to_config` described, built but with new weights."""
    from tinydx.models import Model, Sequential
    from tinydx.text.sequences import LanguageModel, Seq2Seq

    made = [] if made is None else made
    if "again" in entry:
        return made[entry["again"]]
    models = {kind.__name__: kind for kind in (Model, Sequential, LanguageModel, Seq2Seq)}
    known = {n: getattr(layers, n) for n in layers.__all__} | models | custom
    if entry["class"] not in known:
        name = entry["class"]
        hint = f"load_model(path, custom_objects={{{name!r}: {name}}}){did_you_mean(name, known)}"
        raise ValueError(f"the model uses {name!r}, which is not known here: {hint}")
    kind = known[entry["class"]]
    if "calls" in entry:
        layer = _graph_from(entry, custom, made)
    elif "layers" in entry:
        layer = Sequential([from_config(v, custom, made) for v in entry["layers"]])
        layer.fixed_shape = entry["fixed_shape"]
    else:
        layer = kind(**{k: _argument_from(v, custom, made) for k, v in entry["config"].items()})
    layer.name, layer.dtype = entry["name"], None if entry["dtype"] is None else np.dtype(entry["dtype"])
    if entry["input_shape"] is not None:
        layer.build(_shape_from(entry["input_shape"]))
    made.append(layer)
    return layer


def _argument_from(value: Any, custom: Known, made: list[Layer]) -> Any:
    if isinstance(value, dict):
        return from_config(value["layer"], custom, made)
    return tuple(_argument_from(v, custom, made) for v in value) if isinstance(value, list) else value


def _graph_from(entry: dict[str, Any], custom: Known, made: list[Layer]) -> Any:
    """Draw a functional model again, call by call."""
    from tinydx.models import Model

    parts = [from_config(v, custom, made) for v in entry["layers"]]
    symbols: list[Symbol] = [Input(tuple(s["shape"]), s["name"], s["dtype"]) for s in entry["given"]]

    def put_back(value: Any) -> Any:
        if isinstance(value, dict):
            return symbols[value["symbol"]] if set(value) == {"symbol"} else {k: put_back(v) for k, v in value.items()}
        return [put_back(v) for v in value] if isinstance(value, list) else value

    for layer, x, keywords in entry["calls"]:
        out = parts[layer](put_back(x), **put_back(keywords))
        symbols += out if isinstance(out, list) else [out]
    return Model(*put_back(entry["ends"]))


def _shape_from(shape: list[Any]) -> Any:
    """JSON turned tuples into lists: back."""
    return [tuple(s) for s in shape] if isinstance(shape[0], list) else tuple(shape)


# ---- how it was compiled -------------------------------------------------------------------------------------------


def _describe(thing: Any) -> Any:
    """An optimizer, loss or metric: a name, a function's name, or class and arguments."""
    thing = thing._fn if type(thing) is metrics.MeanMetricWrapper else getattr(thing, "function", thing)
    if isinstance(thing, str):
        return thing
    if not isinstance(thing, optimizers.Optimizer | losses.Loss | metrics.Metric):
        return {"function": getattr(thing, "__name__", type(thing).__name__)}
    known = {**getattr(thing, "_keywords", {}), **vars(thing)}
    names = [p for c in type(thing).__mro__[:-1] for p in inspect.signature(c.__init__).parameters]  # type: ignore[misc]
    return {"class": type(thing).__name__, "config": {n: known[n] for n in dict.fromkeys(names) if n in known}}


def _recall(entry: Any, module: Any, base: type, custom: Known) -> Any:
    """What `_describe` described; LookupError with its name where it is not known here."""
    if isinstance(entry, str):
        return entry
    name = entry.get("function") or entry["class"]
    kind = {**vars(module), **custom}.get(name)
    if "function" in entry and callable(kind):
        return kind
    if "class" in entry and isinstance(kind, type) and issubclass(kind, base):
        return kind(**entry["config"])
    raise LookupError(name)


def _compile(model: Any, training: dict[str, Any], custom: Known) -> None:
    """Compile as it was; where something of it is not known here, leave the model uncompiled, and warn."""
    try:
        optimizer = _recall(training["optimizer"], optimizers, optimizers.Optimizer, custom)
        loss = _recall(training["loss"], losses, losses.Loss, custom)
        watched, weighted = (
            [_recall(m, metrics, metrics.Metric, custom) for m in training[k]] for k in ("metrics", "weighted_metrics")
        )
    except LookupError as error:
        warnings.warn(
            f"the model was trained with {error.args[0]}, which is not known here: it can predict, but is not compiled;"
            f" load_model(path, custom_objects={{{error.args[0]!r}: ...}})",
            stacklevel=3,
        )
        return
    model.compile(optimizer, loss, watched, weighted)


# ---- models --------------------------------------------------------------------------------------------------------


def save_model(model: Any, path: str | Path, include_optimizer: bool = True) -> None:
    """Write a model to one file, atomically: see `Model.save`."""
    _write(path, *_contents(model, include_optimizer))


def load_model(path: str | Path, custom_objects: Known | None = None) -> Any:
    """The model that `model.save(path)` wrote, compiled as it was.

    Arguments: custom_objects, {"MyLayer": MyLayer} for classes (and functions) that tinydx does not know.
    Raises FileNotFoundError, or ValueError for a file that is truncated, changed, or no tinydx model. Warns where the
    loss or a metric is not known: then the model is not compiled.
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
            arrays |= {f"optimizer/{i:05d}/{n}": to_host(a) for n, a in zip(optimizer.memory, slots, strict=True)}
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
    """Give a model the file's weights, and what it knows of its training data; all of it or nothing."""
    model.set_weights([arrays[k] for k in sorted(arrays) if k.startswith("weights/")])
    for i, layer in enumerate(model.all_layers()):
        layer.trainable = i not in header["frozen"]
    model.class_names, model.preprocessing = header["class_names"], header["preprocessing"]
    model.input_range = header["input_range"]


def _fill_optimizer(optimizer: Any, header: dict[str, Any], arrays: Arrays) -> None:
    optimizer.iterations = header["training"]["iterations"]
    weights = sorted({k.split("/")[1] for k in arrays if k.startswith("optimizer/")})
    optimizer.slots = [[arrays[f"optimizer/{i}/{n}"].copy() for n in optimizer.memory] for i in weights]


# ---- runs (fit(resume=...)) ----------------------------------------------------------------------------------------


@dataclass
class SavedRun:
    """A run that was saved and fits the model: its `state`, and `load_model()` for the weights and the optimizer."""

    model: Any
    header: dict[str, Any]
    arrays: Arrays
    state: dict[str, Any]

    def load_model(self) -> None:
        """Put the saved weights, statistics and optimizer memory into the model."""
        if not self.model.built:
            self.model.build(_shape_from(self.header["model"]["input_shape"]))
        optimizer = self.model.optimizer
        _fill(self.model, self.header, self.arrays)
        _fill_optimizer(optimizer, self.header, self.arrays)
        optimizer.learning_rate = self.header["training"]["optimizer"]["config"]["learning_rate"]


def save_run(model: Any, state: dict[str, Any], path: str | Path) -> None:
    """A model, its optimizer and the state of its training run, in one file."""
    header, arrays = _contents(model, include_optimizer=True)
    header["run"] = _extract(state, "run", arrays)
    _write(path, header, arrays)


def read_run(model: Any, path: str | Path) -> SavedRun:
    """The run at `path`; nothing is changed yet. ValueError where it is not of this model, compiled as it is now."""
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
    """A description without what may differ at the start of the same run: names, learning rate, shapes known later."""
    passing = ("name", "learning_rate", "input_shape", "fixed_shape", "dtype")
    if isinstance(entry, dict):
        return {k: _structure(v) for k, v in entry.items() if k not in passing}
    return [_structure(v) for v in entry] if isinstance(entry, list) else entry


def _extract(value: Any, where: str, arrays: Arrays) -> Any:
    """The value as JSON, with its arrays moved to `arrays` and replaced by their names."""
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
    """Header and arrays of a file whose digest is right; ValueError otherwise, before anything is used."""
    from safetensors import safe_open

    if not Path(path).is_file():
        raise FileNotFoundError(f"no model file at {path}{' (it is a folder)' if Path(path).is_dir() else ''}")
    try:
        with safe_open(str(path), framework="np") as file:
            metadata = file.metadata() or {}
            arrays = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 (a safetensors file is no dict)
    except Exception as error:  # whatever a damaged file makes the reader raise
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
