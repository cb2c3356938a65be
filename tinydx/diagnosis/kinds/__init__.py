"""What `tinydx diagnose` can learn from: images, sounds, texts, each in a file of this folder.

`diagnose.py` holds the one flow. A kind says what differs in it:

    diagnose                                   Kind
    open the data  -> train, val, test         open_study
    make a network                             build
    fit                                        training_batches, schedule
    test                                       plain_batches
    write the report                           draw, and the words of its page
    predict                                    read

A file of this folder is a kind: it holds `KIND`, an object of a class derived from `Kind`, and its name is what
`--kind` takes. The model's file remembers it, so that `tinydx predict` reads its inputs as the training did.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from tinydx.datasets.study import Examples, Study


class Kind:
    """A kind of data: its words, and the steps of a diagnosis that differ from kind to kind."""

    noun: str  # of several examples, in sentences: "images"
    endings: tuple[str, ...]  # of the files that this kind reads, in lower case
    network: str  # what `build` makes, in a few words, for the page
    synthetic_title: str  # of the page, for the data that a program made
    synthetic_notice: str  # the sentence on the page that says so
    schedule: tuple[int, int | None] = (10, None)  # epochs, and batches in each (None: one pass)
    synthetic_schedule: tuple[int, int | None] = (10, None)  # the same for the data that a program made
    batch: int = 32  # examples in a batch
    columns: int  # of the page's grid of examples
    panel_height: float  # of one of them with its caption, in inches

    def open_study(self, path: str | Path | None, *, size: int | None, limit: int | None, seed: int) -> Study:
        """The data at the path as splits, whole and in memory; without a path, data that a program made.

        Arguments: size, how much of an example is kept, in the unit of this kind (None: its default); limit, at most so
        many examples of each class and split; seed of the splits. Raises one-line errors for data that cannot be used.
        """
        raise NotImplementedError

    def build(self, study: Study) -> Any:
        """A compiled model for these examples and classes."""
        raise NotImplementedError

    def training_batches(self, study: Study, batch: int, augment: str, seed: int) -> Any:
        """Endless shuffled batches (x, y) of the training examples, with a state; augmented unless augment is "none"."""
        raise NotImplementedError

    def plain_batches(self, study: Study, part: Examples, batch: int) -> Any:
        """Batches (x, y) of some examples in their order, as the model is to see them outside of training."""
        raise NotImplementedError

    def read(self, entry: str, preprocessing: dict[str, Any]) -> np.ndarray:
        """One entry of `tinydx predict` (a file's path, or a text) as a batch (1, ...) for the model.

        Arguments: preprocessing, as the study had it. Raises OSError or ValueError, in one line that names the entry.
        """
        raise NotImplementedError

    def draw(self, axes: Any, example: Any) -> None:
        """Draw an example of `Examples.x` on matplotlib's axes, which have neither ticks nor grid."""
        raise NotImplementedError


def names() -> list[str]:
    """The names of all kinds, for `--kind`.

    >>> "image" in names()
    True
    """
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def get(name: str) -> Kind:
    """The kind of that name; ValueError where there is none."""
    if name not in names():
        raise ValueError(f"no kind {name!r}: known are {', '.join(names())}")
    return importlib.import_module(f"tinydx.diagnosis.kinds.{name}").KIND


def guess(path: str | Path | None) -> str:
    """The name of the kind that most files at the path are of; "image" where they tell nothing, or there is no path.

    >>> guess("recordings.npz"), guess(None)
    ('image', 'image')
    """
    if path is None:
        return "image"
    root = Path(path)
    files = (file.name for file in root.rglob("*")) if root.is_dir() else [root.name]
    endings = Counter(Path(file).suffix.lower() for file in files)
    return max(names(), key=lambda name: (sum(endings[e] for e in get(name).endings), name == "image"))
