"""Any data for `tinydx diagnose` as one thing: images of train, val and test, with their classes.

    None             synthetic chest phantoms, made once in the data folder
    FOLDER           class folders, or train/ val/ test/ of them
    FILE.npz         a MedMNIST set

What has no test (or validation) part gets one from its training part, patient by patient where files tell patients
apart. The images are read once, resized and kept as bytes: a file that cannot be read is named before any training.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

SPLITS = ("train", "val", "test")
DEFAULT_SIZE = 150


class Images(NamedTuple):
    """Images (N,H,W,3) as bytes, their class numbers (N,), and their files, where they have any."""

    x: np.ndarray
    y: np.ndarray
    files: list[str] | None = None


@dataclass
class Study:
    """The three splits of some data, and what must be said about it."""

    source: str
    class_names: list[str]
    train: Images
    val: Images
    test: Images
    synthetic: bool
    notes: list[str]
    preprocessing: dict[str, Any]

    def describe(self) -> str:
        """Some lines for the terminal: what data this is, and how it was split."""
        size = f"{self.train.x.shape[1]}x{self.train.x.shape[2]}"
        lines = [f"Data: {self.source} ({size}, classes {', '.join(self.class_names)})"]
        lines += [f"  {name:<6}{self._counts(getattr(self, name))}" for name in SPLITS]
        return "\n".join(lines + [f"  {note}" for note in self.notes])

    def _counts(self, images: Images) -> str:
        each = np.bincount(images.y, minlength=len(self.class_names))
        return f"{len(images.y):>5} images: " + ", ".join(f"{n} {name}" for n, name in zip(each, self.class_names, strict=True))

    def facts(self) -> dict[str, Any]:
        """The same for metrics.json."""
        counts = {
            name: {c: int((getattr(self, name).y == k).sum()) for k, c in enumerate(self.class_names)} for name in SPLITS
        }
        return {"source": self.source, "synthetic": self.synthetic, "images": counts, "notes": self.notes}


def open_study(path: str | Path | None, *, size: int | None = None, limit: int | None = None, seed: int = 0) -> Study:
    """Open data of any kind; see the module.

    Arguments: path, or None for phantoms; size in pixels (None: 150, or an npz file's own); limit, at most so many
    images of each class and split; seed of the splits. Raises FileNotFoundError naming the nearest folder that
    exists, and ValueError for data that cannot be used, each in one line.
    """
    if path is None:
        return _phantoms(size or DEFAULT_SIZE, limit, seed)
    path = Path(path)
    if path.is_dir() and len(found := sorted(path.glob("*.npz"))) == 1:
        path = found[0]
    if path.suffix == ".npz":
        return _medmnist(path, size, limit, seed)
    if path.is_file():
        raise ValueError(f"{path} is neither a folder nor an .npz file: give a folder with one folder of images for each class")
    return _folders(path, size or DEFAULT_SIZE, limit, seed)


# ---- the three kinds -----------------------------------------------------------------------------------------------


SYNTHETIC = "Synthetic: drawn by a program, no patient. What a model learns here says nothing about real X-rays."


def _phantoms(size: int, limit: int | None, seed: int) -> Study:
    from tinydx.datasets.download import data_home
    from tinydx.datasets.phantom import VERSION, write_phantom_folders

    folder = data_home() / f"chest-phantoms-{size}-v{VERSION}"
    if not folder.exists():
        print(f"Making synthetic chest phantoms in {folder}, once ...", flush=True)
    write_phantom_folders(folder, size=size)
    return _folders(folder, size, limit, seed)


def _folders(path: Path, size: int, limit: int | None, seed: int) -> Study:
    from tinydx.datasets.folders import open_folders
    from tinydx.datasets.phantom import MARKER

    names, splits, notes = open_folders(path, seed=seed, limit=limit)
    how = {"target_size": [size, size], "color_mode": "rgb", "interpolation": "bilinear", "rescale": 1 / 255}
    with _progress("Reading images", sum(len(v) for v in splits.values())) as advance:
        read = {k: _read_images(splits[k], how, advance) for k in SPLITS}
    synthetic = (path / MARKER).exists()
    source = "synthetic chest phantoms" if synthetic else path.name or str(path)
    notes = [SYNTHETIC, *notes] if synthetic else notes
    return Study(source, names, read["train"], read["val"], read["test"], synthetic, notes, how)


def _read_images(files: Sequence[tuple[str, int]], how: dict[str, Any], advance: Any) -> Images:
    """All files of a split as bytes, read by several threads."""
    from tinydx.preprocessing.image import load_images

    x = np.empty((len(files), *how["target_size"], 3), np.uint8)

    def read(i: int) -> None:
        x[i] = np.rint(load_images([files[i][0]], {**how, "rescale": None})[0])
        advance()

    with ThreadPoolExecutor() as pool:
        list(pool.map(read, range(len(files))))  # list: raises what a thread raised
    return Images(x, np.array([k for _, k in files], np.int64), [f for f, _ in files])


def _progress(title: str, total: int) -> Any:
    """A bar on a terminal, nothing elsewhere."""
    import contextlib
    import sys

    if not sys.stdout.isatty():
        return contextlib.nullcontext(lambda: None)
    from rich.progress import Progress

    @contextlib.contextmanager
    def bar() -> Any:
        with Progress(transient=True) as progress:
            task = progress.add_task(title, total=total)
            yield lambda: progress.advance(task)

    return bar()


def _medmnist(path: Path, size: int | None, limit: int | None, seed: int) -> Study:
    from tinydx.datasets.medmnist import MedMNIST

    data = MedMNIST(path)
    size = size or data.size
    notes = []
    splits = {k: data.load(k) for k in SPLITS if k in data.splits or k == "train"}
    if "test" not in splits and "val" in splits:
        splits["test"] = splits.pop("val")
        notes.append("no test images in the file: its val images are the test")
    for split, share in (("test", 0.2), ("val", 0.1)):
        if split not in splits:
            splits["train"], splits[split] = _cut(*splits["train"], share, seed)
            notes.append(f"no {split} images in the file: {len(splits[split][1])} set aside from train (patients are not known)")
    images = {k: _as_images(*_first_of_each(*v, limit), size) for k, v in splits.items()}
    how = {"target_size": [size, size], "color_mode": "rgb", "interpolation": "bilinear", "rescale": 1 / 255}
    return Study(data.name, data.class_names, images["train"], images["val"], images["test"], False, notes, how)


def _cut(x: np.ndarray, y: np.ndarray, share: float, seed: int) -> tuple[tuple, tuple]:
    """(the rest, about `share` of the examples of each class)."""
    rng = np.random.default_rng(seed)
    aside = np.zeros(len(y), bool)
    for k in np.unique(y):
        mine = rng.permutation(np.flatnonzero(y == k))
        aside[mine[: max(1, round(share * len(mine)))]] = True
    return (x[~aside], y[~aside]), (x[aside], y[aside])


def _first_of_each(x: np.ndarray, y: np.ndarray, limit: int | None) -> tuple[np.ndarray, np.ndarray]:
    if limit is None:
        return x, y
    rows = np.sort(np.concatenate([np.flatnonzero(y == k)[:limit] for k in np.unique(y)]))
    return x[rows], y[rows]


def _as_images(x: np.ndarray, y: np.ndarray, size: int) -> Images:
    """Grey as three equal channels, resized where another size was asked for."""
    x = np.repeat(x[..., None], 3, axis=-1) if x.ndim == 3 else x
    if x.shape[1:3] != (size, size):
        from PIL import Image

        resized = [Image.fromarray(v).resize((size, size), Image.Resampling.BILINEAR) for v in x]
        x = np.array([np.asarray(v) for v in resized], np.uint8).reshape(-1, size, size, 3)
    return Images(x, y)
