"""The files themselves: bytes <-> the configuration as JSON, and the weights as an HDF5 tree.

x.keras         a zip: config.json (layers, compilation), metadata.json, model.weights.h5; tinydx.json, which Keras does not read
x.h5, x.hdf5    HDF5: attributes model_config and training_config, group model_weights
x.weights.h5    HDF5: weights only, of Keras 3 (layers/NAME/vars/0) or older (attributes layer_names, weight_names)
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any, NamedTuple

from tinydx.names import line
from tinydx.saving.header import check_facts, parse, short
from tinydx.saving.keras import hdf5

VERSION = "3.15.1"  # of Keras, whose way of writing files this is
FACTS = "tinydx.json"  # in a .keras file, what only tinydx has: class_names, preprocessing, input_range
WEIGHTS, CONFIG, METADATA = "model.weights.h5", "config.json", "metadata.json"
LARGEST_RATIO = 100  # of an unpacked part to the zip: Keras itself does not compress
LARGEST_TEXT = 2**26  # bytes of a JSON text


class Contents(NamedTuple):
    """A file's parts: the model's configuration and how it was compiled (JSON of Keras), tinydx's own facts, and the weights."""

    config: dict[str, Any]
    training: Any
    facts: dict[str, Any] | None
    tree: hdf5.Tree


def read(path: str | Path) -> Contents:
    """The parts of a model's file; ValueError and others where it is none, or holds what no Keras model has."""
    data = Path(path).read_bytes()
    if data.startswith(b"PK"):
        return _read_zip(data)
    tree = _tree(data)
    texts = tree.attributes[""]
    if "model_config" not in texts:
        raise ValueError("it has weights, but no model: build the model, then model.load_weights(path)")
    training = parse(_short_enough(texts["training_config"]), "training_config") if "training_config" in texts else None
    return Contents(parse(_short_enough(texts["model_config"]), "model_config"), training, None, tree)


def read_weights(path: str | Path) -> hdf5.Tree:
    """The weights of a file of weights, or of a model's file."""
    data = Path(path).read_bytes()
    return _read_zip(data).tree if data.startswith(b"PK") else _tree(data)


def _tree(data: bytes) -> hdf5.Tree:
    """`hdf5.read`, whose errors are those of a C library, in one line."""
    hdf5.library()
    try:
        return hdf5.read(data)
    except (OSError, RuntimeError, KeyError) as error:
        raise ValueError(f"its weights are no HDF5 file that can be read ({line(error, 200)})") from None


def _short_enough(text: str) -> str:
    if len(text) > LARGEST_TEXT:
        raise ValueError(f"its configuration is longer than {LARGEST_TEXT:,} characters")
    return text


def _read_zip(data: bytes) -> Contents:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check_names(archive)
            limit = LARGEST_RATIO * len(data) + hdf5.ROOM
            config = parse(_unpacked(archive, CONFIG, LARGEST_TEXT), CONFIG)
            facts = parse(_unpacked(archive, FACTS, LARGEST_TEXT), FACTS) if FACTS in archive.namelist() else None
            weights = _unpacked(archive, WEIGHTS, limit)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise ValueError(f"it is no zip that can be read ({line(error, 200)})") from None
    if facts is not None:
        check_facts(facts)
    return Contents(config, config.get("compile_config"), facts, _tree(weights))


def _check_names(archive: zipfile.ZipFile) -> None:
    """ValueError for parts that no Keras model has, that point out of the file, occur twice, or are packed unusually."""
    names = [info.filename for info in archive.infolist()]
    for info in archive.infolist():
        if info.filename not in (WEIGHTS, CONFIG, METADATA, FACTS) and info.filename != "assets/":
            raise ValueError(f"it holds {short(info.filename)}, which no layer that tinydx has needs")
        if names.count(info.filename) > 1:
            raise ValueError(f"it holds {short(info.filename)} twice")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{short(info.filename)} is packed in a way that Keras does not use")
    for name in (WEIGHTS, CONFIG):
        if name not in names:
            raise ValueError(f"it is a zip without {name}: no Keras model")


def _unpacked(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """One part; ValueError where it unpacks to more bytes than the limit, whatever the zip says of its size."""
    with archive.open(name) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"{name} unpacks to more than {limit:,} bytes")
    return data


def keras_bytes(config: dict[str, Any], facts: dict[str, Any], tree: hdf5.Tree) -> bytes:
    """A .keras file. The same model gives the same bytes: no date stands in it."""
    file = io.BytesIO()
    texts = {METADATA: {"keras_version": VERSION}, CONFIG: config, FACTS: facts}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, value in texts.items():
            archive.writestr(zipfile.ZipInfo(name), json.dumps(value, ensure_ascii=False))
        archive.writestr(zipfile.ZipInfo(WEIGHTS), hdf5.write(tree))
    return file.getvalue()


def h5_tree(config: dict[str, Any], training: Any, weights: hdf5.Tree) -> hdf5.Tree:
    """An .h5 file of the older kind, from its configuration and the tree under model_weights."""
    versions = {"keras_version": VERSION, "backend": "numpy"}
    top = {
        **versions,
        "model_config": json.dumps(config),
        **({} if training is None else {"training_config": json.dumps(training)}),
    }
    below = {f"model_weights/{k}" if k else "model_weights": v for k, v in weights.attributes.items()}
    below["model_weights"] = below["model_weights"] | versions
    return hdf5.Tree({f"model_weights/{k}": v for k, v in weights.arrays.items()}, {"": top, **below})


def facts_from(model: Any) -> dict[str, Any]:
    """What tinydx.json says of a model."""
    names = None if model.class_names is None else [str(name) for name in model.class_names]
    return {"class_names": names, "preprocessing": model.preprocessing, "input_range": model.input_range}
