"""Models in files: one safetensors file, numbers in its body, everything else as JSON in its header. No pickle.

The header also holds a digest of the file's contents, so that a truncated, foreign or changed file is recognised before
anything is loaded. A digest can be forged: every part of a header is checked, and its layers are compared with the weights that
the file holds before a weight is made. A file is loaded as a whole or not at all. Files are written atomically.

    entries.py      layers <-> JSON                         header.py       text -> checked facts
    compiled.py     optimizer, loss and metrics <-> JSON    arguments.py    arguments beside the annotations of their class
    quantized.py    kernels of 16 and 8 bits <-> arrays
    keras/          files of Keras, both ways
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinydx.device import to_host
from tinydx.files import atomic_write
from tinydx.layers.base import assign
from tinydx.layers.declared import making_from
from tinydx.layers.quantized import QuantizedKernel
from tinydx.names import line
from tinydx.saving.compiled import Known, compile_as, describe
from tinydx.saving.entries import from_config, to_config
from tinydx.saving.header import (
    FLOATS,
    check_facts,
    expect_count,
    expect_dict,
    expect_list,
    expect_number,
    expect_text,
    parse,
    part,
    shape_from,
)
from tinydx.saving.quantized import arrays_of, kernel_from, put, scale_of

FORMAT = 1
KERAS = (".keras", ".h5", ".hdf5")  # how the names of Keras's files end
STARTS = (b"PK\x03\x04", b"\x89HDF\r\n\x1a\n")  # how Keras's files begin: zip and HDF5
LONGEST_REASON = 400  # characters of a message that may repeat what a file says
TYPES = {"bool": "BOOL", "float16": "F16", "float32": "F32", "float64": "F64", "complex64": "C64"}  # as the format names them
TYPES |= {f"{sign}int{bits}": f"{sign or 'i'}{bits}".upper() for sign in ("", "u") for bits in (8, 16, 32, 64)}
ARRAY = re.compile(r"(weights|scales|optimizer)/\d{5,}/.*", re.DOTALL)  # the names of a model's arrays

Arrays = dict[str, np.ndarray]

# ---- models --------------------------------------------------------------------------------------------------------


def save_model(model: Any, path: str | Path, include_optimizer: bool = True) -> None:
    """Write a model to one file: see `Model.save`."""
    if str(path).endswith(KERAS):
        return keras_files().save_model(model, path)
    return _write(path, *_contents(model, include_optimizer))


def load_model(path: str | Path, custom_objects: Known | None = None) -> Any:
    """The model that `model.save(path)` wrote, or that Keras wrote as .keras or .h5, compiled as it was.

    Where the loss or a metric is unknown, it warns and leaves the model uncompiled. docs/keras.md says what travels.

    Arguments: path; custom_objects, {"MyLayer": MyLayer} for a user's own classes and functions.
    Raises: FileNotFoundError; ValueError for a file that is truncated, changed, forged, or no model; ImportError for a file of
    Keras without h5py.
    """
    if _is_keras(path):
        return keras_files().load_model(path, custom_objects)
    header, arrays = _read(path)
    custom = custom_objects or {}
    with refusing(path):
        weights = _weights(arrays)
        model = from_config(part(header, "model", "its header"), custom, weights, entries_of(header["model"]) + len(arrays))
        _fill(model, header, arrays)
        if header["training"] is not None:
            compile_as(model, header["training"], custom)
        if model.optimizer is not None:
            _fill_optimizer(model.optimizer, header, _slots(arrays, model.optimizer, weights))
    return model


def keras_files() -> Any:
    """The package that reads and writes Keras's files: loaded when it is needed."""
    from tinydx.saving import keras

    return keras


def _is_keras(path: str | Path) -> bool:
    """Whether the file is one of Keras, by how it begins, whatever its name."""
    if not Path(path).is_file():
        return False
    with open(path, "rb") as file:
        return file.read(8).startswith(STARTS)


@contextmanager
def refusing(path: str | Path) -> Iterator[None]:
    """Whatever a forged header makes a constructor raise becomes the one error that names the file."""
    try:
        yield
    except Warning:  # a warning that the caller has turned into an error
        raise
    except Exception as error:
        if isinstance(error, RecursionError):
            why = "its header is nested too deeply"
        elif isinstance(error, MemoryError):
            why = "it needs more memory than there is"
        else:
            why = (f"there is no {error}" if isinstance(error, KeyError) else str(error)) or type(error).__name__
        raise ValueError(f"{path} cannot be loaded: {line(why, LONGEST_REASON)}") from error


def entries_of(config: Any) -> int:
    """How many dicts a header's entry consists of: at least as many as it has layers."""
    inner = config.values() if isinstance(config, dict) else config if isinstance(config, list) else ()
    return isinstance(config, dict) + sum(map(entries_of, inner))


def _contents(model: Any, include_optimizer: bool) -> tuple[dict[str, Any], Arrays]:
    """Header and arrays of a model's file."""
    if not model.built:
        raise ValueError(f"{model.name} is not built yet: give its first layer an input_shape, or fit it, then save")
    arrays: Arrays = {}
    for i, w in enumerate(model.weights):
        arrays |= arrays_of(w, f"{i:05d}/{w.name}")
    optimizer, training = model.optimizer, None
    if optimizer is not None:
        training = {
            "optimizer": describe(optimizer),
            "loss": describe(model.loss),
            "metrics": [describe(m) for m in model.asked_metrics[0]],
            "weighted_metrics": [describe(m) for m in model.asked_metrics[1]],
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
    layers = list(model.all_layers())
    frozen = {expect_count(i, "frozen", below=len(layers)) for i in expect_list(part(header, "frozen", "its header"), "frozen")}
    weights = _weights(arrays)
    if len(weights) != len(model.weights):
        raise ValueError(f"it holds {len(weights)} weights, its layers have {len(model.weights)}")
    put(model, weights)
    floats = [(w, a) for w, a in zip(model.weights, weights, strict=True) if isinstance(a, np.ndarray)]
    assign("its weights", floats)
    for i, layer in enumerate(layers):
        layer.trainable = i not in frozen
    model.class_names, model.preprocessing = header["class_names"], header["preprocessing"]
    model.input_range = header["input_range"]


def _fill_optimizer(optimizer: Any, header: dict[str, Any], slots: list[list[np.ndarray]]) -> None:
    optimizer.iterations, optimizer.slots = header["training"]["iterations"], slots


def _weights(arrays: Arrays) -> list[np.ndarray | QuantizedKernel]:
    """The weights in their order; ValueError where one is missing or holds no numbers of a network."""
    names = [k for k in sorted(arrays) if k.startswith("weights/")]
    found: list[np.ndarray | QuantizedKernel] = []
    scales = {k for k in arrays if k.startswith("scales/")}
    for i, name in enumerate(names):
        if not name.startswith(f"weights/{i:05d}/"):
            raise ValueError(f"weight {i} is missing, there is {name!r}")
        kernel = kernel_from(arrays, name)
        if kernel is None and arrays[name].dtype.name not in FLOATS:
            raise TypeError(f"{name} holds {arrays[name].dtype}, expected {' or '.join(FLOATS)}")
        found.append(arrays[name] if kernel is None else kernel)
        scales -= {scale_of(name)} if kernel is not None and "scale" in kernel.stored else set()
    if scales:
        raise ValueError(f"{min(scales)} is the scale of no weight of 8 bits")
    return found


def _slots(arrays: Arrays, optimizer: Any, weights: list[Any]) -> list[list[np.ndarray]]:
    """The optimizer's memory for each weight; ValueError where it is not one of this optimizer and these weights."""
    shapes, of_weight = {w.shape for w in weights}, dict[str, Arrays]()
    for key in sorted(arrays):
        if key.startswith("optimizer/"):
            _, number, name = key.split("/", 2)
            of_weight.setdefault(number, {})[name] = arrays[key]
    for number, found in of_weight.items():
        if sorted(found) != sorted(optimizer.slot_names):
            wanted = ", ".join(optimizer.slot_names) or "nothing"
            raise ValueError(f"{type(optimizer).__name__} remembers {wanted} for each weight, the file has {', '.join(found)}")
        for name, array in found.items():
            if array.dtype.name not in FLOATS or array.shape not in shapes:
                raise ValueError(f"optimizer/{number}/{name} is {array.dtype} {array.shape}, which belongs to no weight")
    return [[found[name].copy() for name in optimizer.slot_names] for found in of_weight.values()]


# ---- runs (fit(resume=...)) ----------------------------------------------------------------------------------------


@dataclass
class SavedRun:
    """A saved run that fits the model: its `state`, and `load_model()` for the weights and the optimizer."""

    model: Any
    header: dict[str, Any]
    arrays: Arrays
    state: dict[str, Any]

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Those of the saved weights."""
        return [w.shape for w in _weights(self.arrays)]

    def learning_rate(self) -> Any:
        """The learning rate when the run was saved; a description where it follows a schedule."""
        return self.header["training"]["optimizer"]["config"].get("learning_rate")

    def load_model(self) -> None:
        """Put the saved weights, statistics and optimizer memory into the model."""
        if not self.model.built:
            with making_from(self.shapes, entries_of(self.header["model"])):
                self.model.build(shape_from(self.header["model"]["input_shape"], "input_shape"))
        optimizer = self.model.optimizer
        _fill(self.model, self.header, self.arrays)
        _fill_optimizer(optimizer, self.header, _slots(self.arrays, optimizer, _weights(self.arrays)))
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
    with refusing(path):
        _check_run(model, header, arrays)
        state = _restore(header["run"], arrays)
    shapes = [arrays[k].shape for k in sorted(arrays) if k.startswith("weights/")]
    same_shapes = not model.built or shapes == [w.shape for w in model.weights]
    if not same_shapes or _structure(header["model"]) != _structure(json.loads(_json(to_config(model)))):
        raise ValueError(f"{path} is the run of another model: resume with the model it was made with, or delete it")
    for name in ("optimizer", "loss"):
        was, now = header["training"][name], json.loads(_json(describe(getattr(model, name))))
        if _structure(was) != _structure(now):
            words = f"the run had the {name} {line(was, LONGEST_REASON)}, now it is {line(now, LONGEST_REASON)}"
            raise ValueError(f"{path}: {words}: compile as before, or delete it")
    return SavedRun(model, header, arrays, state)


def _check_run(model: Any, header: dict[str, Any], arrays: Arrays) -> None:
    """What `load_model` checks of a file, as far as it can be checked before the model is compared."""
    if any(isinstance(w, QuantizedKernel) for w in _weights(arrays)):
        raise ValueError("it holds quantized kernels, which no training has")
    expect_dict(part(header, "model", "its header"), "model")
    training = expect_dict(part(header, "training", "its header"), "training")
    expect_count(part(training, "iterations", "training"), "iterations")
    optimizer = part(training, "optimizer", "training")
    part(training, "loss", "training")
    if model.optimizer.schedule is None and isinstance(optimizer, dict):
        config = expect_dict(part(optimizer, "config", "the optimizer"), "the optimizer's arguments")
        rate = part(config, "learning_rate", "the optimizer")
        if not isinstance(rate, dict) and expect_number(rate, "learning_rate") < 0:
            raise ValueError(f"learning_rate is {rate}, expected 0 or more")


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
        whole = {k: _restore(v, arrays) for k, v in value.items()}
        return part(arrays, expect_text(value["array"], "an array"), "the run") if set(value) == {"array"} else whole
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
    text = _json({"format": FORMAT, **header})
    arrays = {k: np.asarray(a, a.dtype.newbyteorder("<"), order="C") for k, a in arrays.items()}
    atomic_write(path, _pieces({"tinydx": text, "digest": _digest(text, arrays)}, arrays))


def _pieces(metadata: dict[str, str], arrays: Arrays) -> Iterator[bytes | memoryview]:
    """A safetensors file: its header, then the memory of the arrays, of which no copy is made; the widest numbers come first."""
    names = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    entries: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name in names:
        a, begin = arrays[name], end
        end += a.nbytes
        entries[name] = {"dtype": TYPES[a.dtype.name], "shape": a.shape, "data_offsets": (begin, end)}
    head = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)  # so that the numbers are aligned
    yield len(head).to_bytes(8, "little") + head
    for name in names:
        yield arrays[name].reshape(-1).view(np.uint8).data


def _read(path: str | Path) -> tuple[dict[str, Any], Arrays]:
    """Header and arrays of a file whose digest is right; ValueError for any other."""
    from safetensors import safe_open

    if not Path(path).is_file():
        folder = " (it is a folder): name the model first, such as diagnosis/model.safetensors" if Path(path).is_dir() else ""
        raise FileNotFoundError(f"no model file at {path}{folder}")
    try:
        with safe_open(str(path), framework="np") as file:
            metadata = file.metadata() or {}
            arrays = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 (a safetensors file is no dict)
    except Exception as error:  # a damaged file can raise anything in the reader
        why = line(error, LONGEST_REASON)
        raise ValueError(f"{path} is not a whole model file, but truncated, damaged or foreign ({why})") from None
    if "tinydx" not in metadata:
        raise ValueError(f"{path} is a safetensors file, but not of tinydx: its header has no tinydx entry")
    if metadata.get("digest") != _digest(metadata["tinydx"], arrays):
        raise ValueError(f"{path} was changed after it was written (its digest is wrong): it is not loaded")
    with refusing(path):
        header = parse(metadata["tinydx"])
        written = expect_count(part(header, "format", "its header"), "format")
    if written > FORMAT:
        raise ValueError(f"{path} has format {written}, this tinydx reads {FORMAT}: pip install -U tinydx")
    with refusing(path):
        check_facts(header)
        part(header, "training", "its header")
        for name in arrays:
            if not (ARRAY.fullmatch(name) or ("run" in header and name.startswith("run/"))):
                raise ValueError(f"it holds an array {name!r}, which no part of a model has")
    return header, arrays


def _digest(text: str, arrays: Arrays) -> str:
    total = hashlib.sha256(text.encode())
    for key in sorted(arrays):
        total.update(f"{key} {arrays[key].dtype.str} {arrays[key].shape}".encode())
        total.update(np.ascontiguousarray(arrays[key]).reshape(-1).view(np.uint8).data)
    return total.hexdigest()
