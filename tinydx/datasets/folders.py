"""Class folders as splits: existing splits are used, missing ones are set aside from the training files.

`layout.py` says which folders are splits and which are classes. Each patient belongs to one split only: with images of one
patient on both sides, the test would ask for what training has seen. `patients.py` says whose each file is; files with the same
content count as one patient, too, and are noted where their labels contradict each other (`copies.py`).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from tinydx.datasets.classes import class_key
from tinydx.datasets.copies import Copy, check_copies
from tinydx.datasets.layout import EXPECTED, Find, Layout, read_layout
from tinydx.datasets.patients import Patients, content, describe, joined, patient, same_patient, shared
from tinydx.preprocessing.files import check_images, find_images

__all__ = ["Files", "labelled_files", "match_classes", "open_folders", "patient", "same_patient", "set_aside"]

SHARES = {"val": 0.15, "test": 0.2}  # of the training files, where a folder has no such split

Files = list[tuple[str, int]]  # (path, class number)


def open_folders(
    directory: str | Path,
    *,
    seed: int = 0,
    limit: int | None = None,
    noun: str = "images",
    find: Find = find_images,
    check: Callable[[Sequence[str]], None] = check_images,
    patient: str | None = None,
) -> tuple[list[str], dict[str, Files], list[str]]:
    """The files of DIRECTORY/train[, val, test]/CLASS, DIRECTORY/CLASS/train[, val, test], or DIRECTORY/CLASS, as splits.

    Arguments: directory; seed of the splits made here; limit, at most how many files of each class and split (None: all); for
    files that are not images: noun, the notes' word for them, find and check, their counterparts of `find_images` and
    `check_images`; patient, a regular expression on the path below the directory, whose only group is the patient (None: by
    the table of `naming.py`).
    Returns: (class names, {"train", "val", "test"}: [(path, class number)], notes on what was done and what is doubtful).
    Raises: the errors of find and check; ValueError for folders that are neither splits nor classes, for class names that cannot
    be shown, a single class, too few files of a class, a split with other classes than train, labels that contradict each other
    in more than half of a class, and a pattern that does not fit every file.
    """
    root = Path(directory)
    layout = read_layout(root, find, noun)
    train = "train" if "train" in layout.splits else "all"
    names = list(layout.splits[train])
    if len(names) < 2:
        where = layout.folders[train]
        raise ValueError(f"{where} holds one class only, {names[0]!r}: a diagnosis needs at least two; {EXPECTED}")
    given = {split: _numbered(layout, split, names) for split in layout.splits if split not in (train, "all")}
    splits: dict[str, Files] = {"train": _numbered(layout, train, names), "val": [], "test": [], **given}
    files = [path for part in splits.values() for path, _ in part]
    owner = dict(zip(files, Patients(str(root), patient).owners(files), strict=True))
    digest = {path: content(path) for path in files}
    group = dict(zip(files, joined([(owner[path].key, digest[path]) for path in files]), strict=True))
    notes = layout.notes + shared({split: {path: owner[path] for path, _ in part} for split, part in splits.items()}, noun)
    notes += check_copies(
        [Copy(digest[p], names[k], split, os.path.relpath(p, root)) for split, part in splits.items() for p, k in part], noun
    )
    paths = [path for path, _ in splits["train"]]
    how = describe([owner[path] for path in paths], paths, noun)
    for split in ("test", "val"):
        if split not in given:
            splits["train"], splits[split] = set_aside(splits["train"], SHARES[split], seed, group, names)
            notes.append(f"no {noun} in a {split} folder: {len(splits[split])} {noun} set aside from training, {how}")
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
    Raises: the errors of find; ValueError for folders that are neither splits nor classes, for a split that does not exist, and
    where the classes are not the model's.
    """
    layout = read_layout(Path(directory), find)
    if split is not None and split not in layout.splits:
        having = ", ".join(s for s in layout.splits if s != "all") or "none of train, val and test"
        raise ValueError(f"{directory} has no {split} folder: it has {having}")
    taken = [layout.splits[split]] if split else list(layout.splits.values())
    found = [(path, name) for classes in taken for name, paths in classes.items() for path in paths]
    numbers = match_classes([name for _, name in found], names, str(directory))
    return [(found[i][0], k) for i, k in enumerate(numbers)]


def match_classes(given: Sequence[str], names: Sequence[str], where: str) -> list[int]:
    """The class number of each given name, in any case, with "_" and "-" as spaces.

    Arguments: given, the class name of each example; names, the model's classes; where, the data's name for the error.
    Raises: ValueError that lists both where a given name is not among the model's, or one of the model's is not given.

    >>> match_classes(["PNEUMONIA", "Normal"], ["normal", "pneumonia"], "elsewhere")
    [1, 0]
    """
    number = {class_key(name): k for k, name in enumerate(names)}
    if {class_key(g) for g in given} != set(number):
        found = ", ".join(sorted(set(given)))
        raise ValueError(
            f"{where} has the classes {found}, but the model knows {', '.join(names)}: classes must have the same names"
        )
    return [number[class_key(g)] for g in given]


def _numbered(layout: Layout, split: str, names: Sequence[str]) -> Files:
    """The files of one split, whose classes must be those of training."""
    found = layout.splits[split]
    if {class_key(name) for name in found} != {class_key(name) for name in names}:
        where = layout.folders[split] if len(set(layout.folders.values())) > 1 else f"{layout.folders[split]}/*/{split}"
        raise ValueError(f"{where} has the classes {', '.join(found)}, but training has {', '.join(names)}")
    number = {class_key(name): k for k, name in enumerate(names)}
    return sorted(((path, number[class_key(name)]) for name, paths in found.items() for path in paths), key=lambda f: f[1])


def set_aside(
    files: Files, share: float, seed: int, group: Mapping[str, int] | None = None, names: Sequence[str] | None = None
) -> tuple[Files, Files]:
    """Set aside about `share` of the files of each class; all files of a patient stay together.

    Arguments: files, (path, class number) each; share, 0 to 1; seed of the choice; group, a number for each path, equal for files
    that stay together (None: by `same_patient`); names of the classes, for the error.
    Returns: (the rest, those set aside), both in their order.
    Raises: ValueError where a class would have no file left.

    >>> rest, aside = set_aside([(f"person{i // 2}_{i}.png", i % 2) for i in range(40)], 0.25, seed=0)
    >>> len(aside) >= 8 and not {patient(p) for p, _ in rest} & {patient(p) for p, _ in aside}
    True
    """
    paths = [path for path, _ in files]
    groups = same_patient(paths) if group is None else [group[path] for path in paths]
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
    if lost := sorted({k for _, k in files} - {k for _, k in rest}):
        mine = {g for g, (_, k) in zip(groups, files, strict=True) if k == lost[0]}
        raise ValueError(
            f"too few images or patients to set some aside: {len(files)} files, and of class "
            f"{names[lost[0]] if names else lost[0]} {len(mine)} patients or files that are not known to be of one patient; "
            "add more of each class, or say by --patient whose each file is"
        )
    return rest, aside


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
