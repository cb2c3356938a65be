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
    return _folders(path, size or DEFAULT_SIZE, limit, seed)
