"""The kinds of data that `tinydx diagnose` learns from: images, sounds, texts, tables, each in a file of this folder.

Every file of this folder is a kind: it holds `KIND`, an object of a class derived from `Kind` (kind.py, one folder up), and its
name is what `--kind` takes. The model's file stores the name, so that `tinydx predict` reads inputs as the training did.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections import Counter
from pathlib import Path

from tinydx.datasets.table import modalities_at
from tinydx.datasets.table_files import is_table
from tinydx.diagnosis.kind import Kind
from tinydx.files import visible_files

SIDE = 10  # times as many texts as other files make a folder one of texts: some lie beside images


def names() -> list[str]:
    """The names of all kinds, for `--kind`.

    >>> "image" in names()
    True
    """
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def get(name: str) -> Kind:
    """The kind of that name.

    Raises: ValueError for an unknown name.

    >>> get("image").noun
    'images'
    """
    if name not in names():
        raise ValueError(f"no kind {name!r}: known are {', '.join(names())}")
    return importlib.import_module(f"tinydx.diagnosis.kinds.{name}").KIND


def guess(path: str | Path | None) -> str:
    """The name of the kind to which most files at a path belong; "image" for ties and without a path.

    A table is of the kind of its columns: "fused" for columns of several kinds, such as images and numbers.

    Texts and tables count only where there are more than `SIDE` of them for each image or recording: beside these they are notes,
    tables of patients, or the labels of a detector. Hidden files and folders do not count.

    >>> guess("recordings.npz"), guess(None)
    ('image', 'image')
    """
    if path is None:
        return "image"
    root = Path(path)
    if is_table(root) and root.is_file():
        held = modalities_at(root)
        return "fused" if len(held) > 1 else held[0] if held else "table"
    files = [file.name.lower() for file in (visible_files(root) if root.is_dir() else [root])]
    found = Counter({name: sum(file.endswith(get(name).endings) for file in files) for name in names()})
    found["text"] = found["text"] if found["text"] > SIDE * (found.total() - found["text"]) else 0
    return max(found, key=lambda name: (found[name], name == "image"))
