"""HDF5 files as Keras writes them: arrays and attributes by their paths, read with limits.

Nothing that points out of the file is followed (soft and external links, virtual and external data), nothing is made that the
file does not hold (data that was never stored, compressed data of absurd ratios), and no group is entered twice.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from tinydx.saving.header import AXES, FLOATS, LONGEST_NAME, expect_text, short

MOST_PARTS = 50_000  # groups and arrays of a file
DEEPEST = 100  # groups inside each other
LARGEST_RATIO = 100  # of the arrays' bytes to those of the file, which may be compressed
ROOM = 2**20  # bytes that are always allowed
LONGEST_ATTRIBUTE = 60_000  # bytes of an attribute that holds names; HDF5 takes no more than 64 KiB
FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32"}
NOT_READ = ("optimizer", "optimizer_weights", "metrics")  # what they remember does not travel
TEXTS = ("model_config", "training_config")  # attributes that are one text
NAMES = ("layer_names", "weight_names")  # attributes that are lists of names, perhaps in pieces: weight_names0, weight_names1


class Tree(NamedTuple):
    """What is read of an HDF5 file: arrays by path, and for groups by path their attributes: texts, and lists of names."""

    arrays: dict[str, np.ndarray]
    attributes: dict[str, dict[str, Any]]


def library() -> Any:
    """h5py; ImportError with the command that brings it."""
    try:
        import h5py
    except ImportError as error:
        raise ImportError(f"Keras's files need h5py ({error}): pip install 'tinydx[keras]'") from error
    return h5py


# ---- reading -------------------------------------------------------------------------------------------------------


def read(data: bytes) -> Tree:
    """The arrays and attributes of an HDF5 file.

    Arguments: data, the bytes of the file.
    Returns: a Tree.
    Raises: ImportError without h5py; ValueError and others for a file that is damaged, too large, or points elsewhere.
    """
    h5py, tree, room = library(), Tree({}, {}), LARGEST_RATIO * len(data) + ROOM
    try:
        image = h5py.h5f.open_file_image(data)  # no file object, where what lies beyond the end is left to chance
    except ValueError:
        raise OSError("it does not begin and end as one") from None
    with h5py.File(image) as file:
        for path, item in _parts(file):
            if not isinstance(item, h5py.Dataset):
                tree.attributes[path] = _attributes(item, path)
            elif "seed_generator" not in path:
                room -= _size(item, path)
                if room < 0:
                    raise ValueError(f"its arrays are more than {LARGEST_RATIO} times as large as the file")
                tree.arrays[path] = np.asarray(item[()], item.dtype.newbyteorder("="))
    return tree


def _parts(file: Any) -> Iterator[tuple[str, Any]]:
    """Groups and arrays with their paths, outer before inner; ValueError for links, and a group that occurs twice."""
    h5py = library()
    yield "", file
    waiting, seen = [("", file, 0)], {_place(file)}
    while waiting:
        above, group, depth = waiting.pop()
        for name in group:
            path = f"{above}/{name}" if above else expect_text(name, "a name in it")
            if path in NOT_READ:
                continue
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"{short(path)} is a link to another place: its arrays must be in the file itself")
            item = group[name]
            if not isinstance(item, h5py.Group | h5py.Dataset):
                raise ValueError(f"{short(path)} is neither a group nor an array")
            if _place(item) in seen or depth >= DEEPEST or len(seen) >= MOST_PARTS:
                raise ValueError(f"{short(path)} occurs twice, is too deep, or one of too many parts")
            seen.add(_place(item))
            yield expect_text(path, "a name in it"), item
            if isinstance(item, h5py.Group):
                waiting.append((path, item, depth + 1))


def _place(item: Any) -> Any:
    return library().h5o.get_info(item.id).addr


def _size(item: Any, path: str) -> int:
    """The bytes of an array; ValueError unless it holds floating-point numbers, all of them stored in the file."""
    if item.dtype.name not in FLOATS or item.shape is None or len(item.shape) > AXES:
        raise ValueError(f"{short(path)} holds {item.dtype} of shape {item.shape}, expected {' or '.join(FLOATS)}")
    plist, size = item.id.get_create_plist(), item.size * item.dtype.itemsize
    if item.is_virtual or plist.get_external_count():
        raise ValueError(f"{short(path)} takes its numbers from another file")
    filters = {plist.get_filter(i)[0] for i in range(plist.get_nfilters())}
    if filters - set(FILTERS):
        raise ValueError(
            f"{short(path)} is packed by filter {min(filters - set(FILTERS))}, expected {', '.join(FILTERS.values())}"
        )
    stored = item.id.get_storage_size()
    if size and (stored < size if not filters else stored == 0):
        raise ValueError(f"{short(path)} has shape {item.shape}, but its numbers are not in the file")
    return size


def _attributes(group: Any, path: str) -> dict[str, Any]:
    """Those that Keras's files need: the configurations as texts, lists of names in one piece."""
    found: dict[str, Any] = {}
    for name in TEXTS:
        if not path and name in group.attrs:
            found[name] = _text(group.attrs[name], name)
    for name in NAMES:
        pieces = [name] if name in group.attrs else []
        while f"{name}{len(pieces)}" in group.attrs:
            pieces.append(f"{name}{len(pieces)}")
        if pieces:
            found[name] = [expect_text(_text(v, name), name) for p in pieces for v in np.ravel(group.attrs[p]).tolist()]
    return found


def _text(value: Any, what: str) -> str:
    value = value.decode("utf-8") if isinstance(value, bytes) else value
    if not isinstance(value, str):
        raise TypeError(f"{what} is {short(value)}, expected a text")
    return value


# ---- writing -------------------------------------------------------------------------------------------------------


def write(tree: Tree) -> bytes:
    """The bytes of an HDF5 file with these arrays and attributes."""
    h5py, file = library(), io.BytesIO()
    with h5py.File(file, "w") as h5:
        for path, attributes in tree.attributes.items():
            group = h5.require_group(path) if path else h5
            for name, value in attributes.items():
                for key, piece in _pieces(name, value) if isinstance(value, list) else [(name, value)]:
                    group.attrs[key] = piece
        for path, array in tree.arrays.items():
            h5[path] = array
    return file.getvalue()


def _pieces(name: str, texts: list[str]) -> Iterator[tuple[str, Any]]:
    """A list of names as one attribute, or as several where one would be too long."""
    array = np.array([t.encode() for t in texts]) if texts else np.zeros(0)
    many = -(-array.nbytes // LONGEST_ATTRIBUTE)
    if many <= 1:
        yield name, array
    else:
        yield from ((f"{name}{i}", piece) for i, piece in enumerate(np.array_split(array, many)))


def expect_name(name: str, where: str) -> str:
    """The name of a layer, which becomes a part of a path; ValueError where it cannot be one."""
    if not name or "/" in name or "\0" in name or name in (".", "..") or len(name) > LONGEST_NAME:
        raise ValueError(
            f"{where} is named {short(name)}, which cannot stand in a Keras file: give it a name of letters and digits"
        )
    return name
