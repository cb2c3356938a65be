"""Which folders below a data folder are splits, which are classes, and which are neither: by the rules below, or one error.

    ROOT/SPLIT/CLASS/...      ROOT/CLASS/SPLIT/...      ROOT/CLASS/...

- A folder is a split where its name says so, by the rule of `folder_names.py`: Train, TESTING, val_images, chest_xray_train.
- Every other folder that holds examples at any depth is a class, or the data are refused: beside splits, as a fold of a
  cross-validation, with "train" and other words in its name or a misspelt one, as one of many patients, or where sites hold the
  classes.
- A folder around everything is skipped where it is called as the one around it or says nothing, or where splits lie in it.
- A folder that holds notes or labels only (SIDE) is no class; one that is empty, or holds files that cannot be read, is refused.
  Masks are no examples: files of folders with such a name (ANNOTATION), and `NAME_mask.png` beside `NAME.png`.
- The same classes must be in every split; names are compared in any case, with "_" and "-" as spaces.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tinydx.datasets.classes import check_class_names, class_key
from tinydx.datasets.folder_names import NEUTRAL, SPLIT_WORDS, says_nothing, split_names, words_of
from tinydx.files import visible, visible_files

ANNOTATION = {
    "mask", "masks", "annotation", "annotations", "label", "labels", "segmentation", "segmentations", "groundtruth", "gt", "bbox",
    "bboxes",
}  # fmt: skip
SIDE = {
    ".txt", ".csv", ".tsv", ".json", ".xml", ".md", ".rst", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".log", ".html", ".py",
    ".ipynb", ".m", ".mat", ".pdf", ".xls", ".xlsx",
}  # fmt: skip
CERTAIN = SPLIT_WORDS["train"] | {"validation"}  # words that no class has in its name
FOLDS = {"fold", "folds", "kfold", "cv"}
HEALTHY = {"normal", "healthy", "negative", "benign", "control", "controls", "abnormal", "positive", "malignant"}
PEOPLE = {"patient", "patients", "pat", "subject", "subj", "sub", "person", "participant", "volunteer"}
MANY, FEW = 50, 5  # more classes than MANY with fewer than FEW files each on average are no classes
EXPECTED = "expected a folder for each class, or train, val and test folders that hold such folders"

MASK_FILE = re.compile(r"(.+?)[-_ ](?:mask|masks|seg|segmentation|gt|annotation)(?:[-_ ]?\d+)?", re.IGNORECASE)

Find = Callable[..., dict[str, list[str]]]  # (folder, class folders) -> class folder: paths in it, as `find_images`


class Layout(NamedTuple):
    """The files of each split and class, below a root; the folder of each split; and notes on what was left out.

    The only split of ROOT/CLASS is "all".
    """

    splits: dict[str, dict[str, list[str]]]
    folders: dict[str, str]
    notes: list[str]


@dataclass
class Folder:
    """A folder that holds examples: those directly in it, and its folders that hold some."""

    path: str
    files: list[str] = field(default_factory=list)
    folders: dict[str, Folder] = field(default_factory=dict)

    def below(self) -> list[str]:
        """All files: its own, then those of its folders."""
        return self.files + [file for folder in self.folders.values() for file in folder.below()]


def read_layout(root: Path, find: Find, noun: str = "images") -> Layout:
    """The layout of a folder on disk.

    Arguments: root; find, as `find_images`; noun for the files, in the plural.
    Returns: the layout; its files are paths that begin with the root.
    Raises: the errors of find; ValueError that says what was found where the rules do not say what is what.
    """
    if not root.is_dir():
        find(root)  # its error names the nearest folder that exists
    found = _examples(root, find)
    if not found:
        raise ValueError(f"{root} holds no {noun}, nor do its folders: {EXPECTED}")
    layout = arrange(str(root), found, noun)
    bare = [note for folder in sorted(set(layout.folders.values())) for note in _without_examples(folder, layout, noun)]
    return layout._replace(notes=layout.notes + bare)


def arrange(root: str, paths: Sequence[str], noun: str = "images") -> Layout:
    """The layout of paths relative to a root.

    >>> arrange("x", ["Train/ill/1.png", "Train/well/2.png", "Test/ill/3.png", "Test/well/4.png"]).splits["test"]
    {'ill': ['x/Test/ill/3.png'], 'well': ['x/Test/well/4.png']}
    """
    kept, notes = _without_masks(paths, noun)
    top = _unwrapped(_tree(root, kept))
    names = split_names(top.folders)
    if names:
        return _of_splits(top, names, notes, noun)
    inner = {name: split_names(folder.folders) for name, folder in top.folders.items()}
    if top.folders and any(inner.values()):
        return _of_classes_with_splits(top, inner, notes, noun)
    classes = _classes(top, noun)
    return Layout({"all": classes}, {"all": _unwrapped(top, neutral=True).path}, notes)


# ---- the tree ------------------------------------------------------------------------------------------------------


def _tree(root: str, paths: Sequence[str]) -> Folder:
    top = Folder(root)
    for path in paths:
        folder = top
        *parents, _ = Path(path).parts
        for name in parents:
            folder = folder.folders.setdefault(name, Folder(os.path.join(folder.path, name)))
        folder.files.append(os.path.join(root, path))
    return top


def _unwrapped(folder: Folder, neutral: bool = False) -> Folder:
    """The folder, or the first one below that is not only wrapped around another; neutral: by names that say nothing only."""
    while not folder.files and len(folder.folders) == 1:
        ((name, inner),) = folder.folders.items()
        same = class_key(name) == class_key(os.path.basename(os.path.abspath(folder.path)))
        around = says_nothing(name) or (not neutral and (same or _leads_to_splits(inner)))
        if inner.files or split_names([name]) or not around:
            break
        folder = inner
    return folder


def _leads_to_splits(folder: Folder) -> bool:
    only = next(iter(folder.folders.values())) if len(folder.folders) == 1 else None
    return bool(split_names(folder.folders)) or (only is not None and _leads_to_splits(only))


def _without_masks(paths: Sequence[str], noun: str) -> tuple[list[str], list[str]]:
    """Paths without masks and annotations of other files, and a note on those left out."""
    stems = {path: os.path.splitext(path)[0] for path in paths}
    beside = set(stems.values())
    masks = {path for path, stem in stems.items() if (m := MASK_FILE.fullmatch(stem)) and m.group(1) in beside}
    folders: dict[str, list[str]] = {}
    for path in paths:
        parts = Path(path).parts[:-1]
        for i, part in enumerate(parts):
            if (words := words_of(part)) & ANNOTATION and words <= ANNOTATION | NEUTRAL:
                folders.setdefault(os.path.join(*parts[: i + 1]), []).append(path)
                break
    annotated = {path for files in folders.values() for path in files}
    named = {os.path.basename(stems[path]) for path in paths if path not in annotated}
    for files in folders.values():
        names = [os.path.basename(stems[path]) for path in files]
        known = sum(n in named or bool((m := MASK_FILE.fullmatch(n)) and m.group(1) in named) for n in names)
        if 2 * known >= len(files):
            masks.update(files)
    note = f"{len(masks)} {noun} left out: masks or annotations of others, such as {min(masks)}" if masks else ""
    return [path for path in paths if path not in masks], [note] if note else []


def _without_examples(path: str, layout: Layout, noun: str) -> list[str]:
    """Notes on folders directly in a folder of classes that hold side files only; ValueError for others that hold no examples."""
    files = [file for classes in layout.splits.values() for found in classes.values() for file in found]
    known = {Path(os.path.relpath(file, path)).parts[0] for file in files}
    side = set() if any(file.lower().endswith(".txt") for file in files) else SIDE  # beside texts, documents may be examples
    notes = []
    for folder in visible(path):
        if not folder.is_dir() or folder.name in known:
            continue
        endings = {file.suffix.lower() for file in visible_files(folder)}
        if not endings:
            raise ValueError(f"class folder {folder} holds no {noun}, it is empty: fill it, or delete it")
        if other := sorted(endings - side - {""}):
            raise ValueError(f"class folder {folder} holds no {noun} that can be read: its files end in {_listed(other)}")
        notes.append(f"{folder} holds no {noun}: left out")
    return notes


def _examples(root: Path, find: Find) -> list[str]:
    """The files that `find` finds at any depth, relative to the root; links to folders are followed, each folder once."""
    found, seen, waiting = [], set[str](), [str(root)]
    for folder in waiting:
        real = os.path.realpath(folder)
        if real in seen:
            continue
        seen.add(real)
        name, below = os.path.basename(real), os.path.relpath(folder, root)
        with contextlib.suppress(ValueError):  # no files there
            files = find(os.path.dirname(real), [name])[name]
            found += [os.path.normpath(os.path.join(below, os.path.relpath(file, name))) for file in files]
        for place, folders, _ in os.walk(folder):
            waiting += sorted(os.path.join(place, link) for link in folders if os.path.islink(os.path.join(place, link)))
    return found


# ---- splits and classes --------------------------------------------------------------------------------------------


def _of_splits(top: Folder, names: dict[str, str], notes: list[str], noun: str) -> Layout:
    """ROOT/SPLIT/CLASS."""
    if top.files:
        raise ValueError(f"{len(top.files)} {noun} directly in {top.path}, as {os.path.basename(top.files[0])}: {EXPECTED}")
    for name in [name for name in top.folders if name not in names]:
        other = top.folders.pop(name)
        if not _leads_to_splits(other):
            raise ValueError(
                f"{top.path} holds the splits {_listed(names)} and the folder {name!r} with {len(other.below())} {noun}, "
                f"which is no split: move it elsewhere, or rename it; {EXPECTED}"
            )
        notes.append(f"{len(other.below())} {noun} in {other.path} left out: splits of its own")
    folders: dict[str, Folder] = {}
    for name, split in names.items():
        if split in folders:
            raise ValueError(f"{folders[split].path} and {top.folders[name].path} both are {split} folders: put them together")
        folders[split] = top.folders[name]
    if "train" not in folders:
        raise ValueError(f"{top.path} holds {_listed(names)} but no training folder: {EXPECTED}")
    folders = {split: folders[split] for split in ("train", "val", "test") if split in folders}
    splits = {split: _classes(folder, noun) for split, folder in folders.items()}
    return Layout(splits, {split: _unwrapped(f, neutral=True).path for split, f in folders.items()}, notes)


def _of_classes_with_splits(top: Folder, inner: dict[str, dict[str, str]], notes: list[str], noun: str) -> Layout:
    """ROOT/CLASS/SPLIT, where all classes have splits."""
    for name, folder in top.folders.items():
        if folder.files or set(inner[name]) != set(folder.folders):
            others = sorted(set(folder.folders) - set(inner[name])) or [f"{len(folder.files)} {noun}"]
            having = next(name for name, found in inner.items() if found)
            raise ValueError(f"{top.path}/{having} holds splits, but {folder.path} holds {_listed(others)}: {EXPECTED}")
    _check_names(top)
    _check_inside(top.path, {f"{c}/{part}": f for c, found in top.folders.items() for part, f in found.folders.items()}, noun)
    names = sorted(top.folders)
    check_class_names([clean_name(name) for name in names], top.path, folders=names)
    splits: dict[str, dict[str, list[str]]] = {}
    for name, folder in top.folders.items():
        for part, split in inner[name].items():
            splits.setdefault(split, {}).setdefault(clean_name(name), []).extend(folder.folders[part].below())
    if "train" not in splits:
        raise ValueError(f"the folders of {top.path} hold {_listed(splits)} but no training folder: {EXPECTED}")
    return Layout({k: splits[k] for k in ("train", "val", "test") if k in splits}, dict.fromkeys(splits, top.path), notes)


def _classes(folder: Folder, noun: str) -> dict[str, list[str]]:
    """The files of each class folder, by its name."""
    folder = _unwrapped(folder, neutral=True)
    if folder.files:
        beside = f" beside the folders {_listed(folder.folders)}" if folder.folders else ""
        raise ValueError(
            f"{len(folder.files)} {noun} directly in {folder.path}, as {os.path.basename(folder.files[0])}{beside}: "
            "make a folder per class"
        )
    if inner := split_names(folder.folders):
        raise ValueError(f"{folder.path} holds {_listed(inner)} among its classes: splits within a split; {EXPECTED}")
    _check_names(folder)
    _check_inside(folder.path, folder.folders, noun)
    names = sorted(folder.folders)
    check_class_names([clean_name(name) for name in names], folder.path, folders=names)
    return {clean_name(name): folder.folders[name].below() for name in names}


def _check_names(folder: Folder) -> None:
    """ValueError where the names of folders speak against their being classes."""
    names = list(folder.folders)
    words = {name: words_of(name) for name in names}
    if len(names) > 1 and all(w & FOLDS for w in words.values()):
        raise ValueError(f"{folder.path} holds the folds {_listed(names)}: choose which train, validate and test; {EXPECTED}")
    misspelt = len(names) > 1 and all(len(w) == 1 and _nearly_split(*w) for w in words.values())
    if unclear := names if misspelt else [name for name in names if words[name] & CERTAIN]:
        raise ValueError(f"{folder.path} holds {_listed(unclear)}: neither the name of a split nor of a class; {EXPECTED}")
    people = [name for name in names if words[name] & PEOPLE and any(w.isdigit() for w in words[name])]
    if len(people) > len(names) / 2 or (len(names) > MANY and len(folder.below()) < FEW * len(names)):
        raise ValueError(
            f"{folder.path} holds {len(names)} folders such as {_listed(sorted(names)[:3])}: these are patients or studies, "
            f"not classes; {EXPECTED}"
        )


def _nearly_split(word: str) -> bool:
    return bool(difflib.get_close_matches(word, set().union(*SPLIT_WORDS.values()), cutoff=0.8))


def _check_inside(where: str, folders: Mapping[str, Folder], noun: str) -> None:
    """ValueError where each of some folders, such as those of sites, holds the same folders, which may be the classes."""
    names, inside = list(folders), [{class_key(name) for name in folder.folders} for folder in folders.values()]
    if len(inside) < 2 or len(inside[0]) < 2 or any(f.files for f in folders.values()) or any(i != inside[0] for i in inside):
        return
    numbered = len({re.sub(r"\d+|\b[a-z]\b", "", class_key(name.split("/")[0])) for name in names}) == 1
    told = HEALTHY & {w for name in inside[0] for w in name.split()} - {w for name in names for w in words_of(name)}
    patients = len(inside[0]) > len(names) and all(re.search(r"\d", name) for name in inside[0])
    if (numbered and not patients) or told:
        raise ValueError(
            f"each of {_listed(names)} in {where} holds the folders {_listed(sorted(inside[0]))}: if these are the classes, put "
            f"the {noun} of each class into one folder; {EXPECTED}"
        )


def clean_name(name: str) -> str:
    """A class's name as it is shown: composed characters, single spaces, none around."""
    return " ".join(unicodedata.normalize("NFC", name).split(" ")).strip(" ")


def _listed(names: Iterable[Any], most: int = 6) -> str:
    found = list(names)
    more = f", ... ({len(found)} in all)" if len(found) > most else ""
    return ", ".join(map(str, found[:most])) + more
