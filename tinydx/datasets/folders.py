"""Class folders as splits: existing splits are used, missing ones are set aside from the training files.

Each patient belongs to one split only: with images of one patient on both sides, the test would ask for what training has
seen. File names identify patients in some known ways; files with the same content count as one patient, too.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinydx.preprocessing.dicom import patient_of
from tinydx.preprocessing.files import check_images, find_images

SPLIT_FOLDERS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
SHARES = {"val": 0.15, "test": 0.2}  # of the training files, where a folder has no such split

# person1_bacteria_2.jpeg, patient00012_study1.png, IM-0115-0001.jpeg, NORMAL2-IM-0501-0001.jpeg, 00000013_005.png
PATIENT = re.compile(r"((?:person|patient|subject)[-_]?\d+|IM-\d+|^\d{6,})(?=[-_]|$)", re.IGNORECASE)

Files = list[tuple[str, int]]  # (path, class number)
Find = Callable[[Any], dict[str, list[str]]]  # a folder -> class name: paths in it


def open_folders(
    directory: str | Path,
    *,
    seed: int = 0,
    limit: int | None = None,
    noun: str = "images",
    find: Find = find_images,
    check: Callable[[Sequence[str]], None] = check_images,
) -> tuple[list[str], dict[str, Files], list[str]]:
    """The files of DIRECTORY/train[, val, test]/CLASS, or of DIRECTORY/CLASS, as splits.

    Arguments: directory; seed of the splits made here; limit, at most how many files of each class and split (None: all); and for
    files that are not images: noun, the notes' word for them, find and check, their counterparts of `find_images` and
    `check_images`.
    Returns: (class names, {"train", "val", "test"}: [(path, class number)], notes on what was done).
    Raises: the errors of find and check; ValueError for a single class, and where a split has other classes than train.
    """
    root = Path(directory)
    folders = _split_folders(root)
    train = folders.get("train", root)
    names = list(find(train))
    if len(names) < 2:
        raise ValueError(f"{train} holds one class only, {names[0]!r}: a diagnosis needs at least two class folders")
    splits: dict[str, Files] = {"train": _scan(train, names, find), "val": [], "test": []}
    notes = []
    for split in ("test", "val"):
        if "train" in folders and split in folders:
            splits[split] = _scan(folders[split], names, find)
        else:
            splits["train"], splits[split] = set_aside(splits["train"], SHARES[split], seed)
            how = _how(splits["train"] + splits[split], noun)
            notes.append(f"no {split} folder: {len(splits[split])} {noun} set aside from training, {how}")
    splits = {k: _limited(v, limit, seed) for k, v in splits.items()}
    check([path for files in splits.values() for path, _ in files])
    return names, splits, notes


def labelled_files(
    directory: str | Path, names: Sequence[str], split: str | None = None, find: Find = find_images
) -> list[tuple[str, int]]:
    """The files of class folders that a finished model is to be tested on; folders are matched to its classes in any case.

    Arguments: directory, of class folders, or of train, val and test with such folders; names, the model's classes; split, which
    of the three to take (None: all that there are); find, as for `open_folders`.
    Returns: (path, class number) of each file.
    Raises: the errors of find; ValueError for a split that does not exist, and where the classes are not the model's.
    """
    root = Path(directory)
    folders = _split_folders(root)
    if split is not None and split not in folders:
        raise ValueError(f"{root} has no {split} folder: it has {', '.join(folders) or 'none of train, val and test'}")
    taken = [folders[split]] if split else list(folders.values()) or [root]
    found = [(os.path.join(folder, file), name) for folder in taken for name, files in find(folder).items() for file in files]
    numbers = match_classes([name for _, name in found], names, str(directory))
    return [(found[i][0], k) for i, k in enumerate(numbers)]


def match_classes(given: Sequence[str], names: Sequence[str], where: str) -> list[int]:
    """The class number of each given name, in any case.

    Arguments: given, the class name of each example; names, the model's classes; where, the data's name for the error.
    Raises: ValueError that lists both where a given name is not among the model's, or one of the model's is not given.

    >>> match_classes(["PNEUMONIA", "Normal"], ["normal", "pneumonia"], "elsewhere")
    [1, 0]
    """
    number = {name.strip().casefold(): k for k, name in enumerate(names)}
    if {g.strip().casefold() for g in given} != set(number):
        found = ", ".join(sorted(set(given)))
        raise ValueError(
            f"{where} has the classes {found}, but the model knows {', '.join(names)}: classes must have the same names"
        )
    return [number[g.strip().casefold()] for g in given]


def _split_folders(root: Path) -> dict[str, Path]:
    """The folders of train, val and test below root, those that exist."""
    found = {split: [root / name for name in names if (root / name).is_dir()] for split, names in SPLIT_FOLDERS.items()}
    return {split: folders[0] for split, folders in found.items() if folders}


def _scan(folder: Path, names: Sequence[str], find: Find) -> Files:
    """The files of one split, whose class folders must be those of training."""
    found = find(folder)
    if list(found) != list(names):
        raise ValueError(f"{folder} has the classes {', '.join(found)}, but training has {', '.join(names)}")
    return [(os.path.join(folder, file), k) for k, files in enumerate(found.values()) for file in files]


def patient(path: str) -> str | None:
    """The patient that a DICOM file or a file's name identifies, or None.

    >>> patient("train/pneumonia/person12_bacteria_3.jpeg"), patient("a/NORMAL2-IM-0501-0001.jpeg"), patient("a/b.png")
    ('person12', 'im-0501', None)
    """
    if by_file := patient_of(path):
        return by_file
    found = PATIENT.search(Path(path).stem)
    return found.group(1).lower() if found else None


def set_aside(files: Files, share: float, seed: int) -> tuple[Files, Files]:
    """Set aside about `share` of the files of each class; all files of a patient stay together.

    Arguments: files, (path, class number) each; share, 0 to 1; seed of the choice.
    Returns: (the rest, those set aside), both in their order.
    Raises: ValueError where a class would have no file left.

    >>> rest, aside = set_aside([(f"person{i // 2}_{i}.png", i % 2) for i in range(40)], 0.25, seed=0)
    >>> len(aside) >= 8 and not {patient(p) for p, _ in rest} & {patient(p) for p, _ in aside}
    True
    """
    groups = same_patient([path for path, _ in files])
    rng = np.random.default_rng(seed)
    chosen: set[int] = set()
    for k in sorted({k for _, k in files}):
        size = Counter(g for g, (_, c) in zip(groups, files, strict=True) if c == k)
        wanted = max(1, round(share * size.total()))
        have = sum(n for g, n in size.items() if g in chosen)  # a patient may have files of several classes
        for g in map(int, rng.permutation(sorted(size))):
            if g not in chosen and have + size[g] <= wanted:
                chosen.add(g)
                have += size[g]
        if have == 0:  # every patient has more files than wanted
            chosen.add(min(size, key=lambda g: size[g]))
    aside = [f for g, f in zip(groups, files, strict=True) if g in chosen]
    rest = [f for g, f in zip(groups, files, strict=True) if g not in chosen]
    lost = {k for _, k in files} - {k for _, k in rest}
    if lost:
        raise ValueError(f"too few images or patients to set some aside: {len(files)} files; add more of each class")
    return rest, aside


def same_patient(files: Sequence[str]) -> list[int]:
    """A number for each file, which files of one patient, or of the same bytes, share.

    >>> same_patient([("ill/person1_bacteria_1.jpeg"), ("ill/person2_virus_9.jpeg"), ("well/person1_virus_2.jpeg")])
    [0, 1, 0]
    """
    parent = list(range(len(files)))

    def top(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[str, int] = {}
    for i, path in enumerate(files):
        for key in filter(None, (patient(path), _content(path))):
            parent[top(i)] = top(first.setdefault(key, i))
    return [top(i) for i in range(len(files))]


def _content(path: str) -> str | None:
    """A digest of the file's bytes; None if the file does not exist."""
    if not os.path.isfile(path):
        return None
    with open(path, "rb") as file:
        return "bytes:" + hashlib.file_digest(file, "blake2b").hexdigest()


def _limited(files: Files, limit: int | None, seed: int) -> Files:
    """At most `limit` files of each class, chosen by the seed, in their original order."""
    if limit is None:
        return files
    rng = np.random.default_rng(seed)
    keep: set[int] = set()
    for k in sorted({k for _, k in files}):
        mine = [i for i, (_, c) in enumerate(files) if c == k]
        keep |= {int(i) for i in rng.permutation(mine)[:limit]}
    return [f for i, f in enumerate(files) if i in keep]


def _how(files: Files, noun: str) -> str:
    """How files were set aside: by patient, or file by file."""
    known = sum(patient(path) is not None for path, _ in files)
    if known == 0:
        return f"{noun.removesuffix('s')} by {noun.removesuffix('s')} (file names do not tell patients apart)"
    whom = "" if known == len(files) else f" for {known} of {len(files)} files, by their names"
    return f"patient by patient{whom}"
