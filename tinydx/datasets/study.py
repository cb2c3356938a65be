"""The data of one diagnosis, of any kind: train, validation and test examples with their classes.

The files in `tinydx/diagnosis/kinds/` open data of their kind as such a study. Everything is read once, before training, so
that a file that cannot be read is reported first.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tinydx.datasets.classes import check_class_names, printable
from tinydx.names import line, shown

SPLITS = ("train", "val", "test")


class Examples(NamedTuple):
    """Examples (N,...) as they were read, their class numbers (N,), and their files, if they come from files.

    `patient` and `site` (N,) say whose each example is and where it was recorded, in words; None where nobody knows.
    """

    x: np.ndarray
    y: np.ndarray
    files: list[str] | None = None
    patient: np.ndarray | None = None
    site: np.ndarray | None = None

    def take(self, rows: Any) -> Examples:
        """The examples of these rows: their numbers, a mask, or a slice.

        >>> Examples(np.arange(3.0), np.array([0, 1, 0]), ["a", "b", "c"]).take([2, 0]).files
        ['c', 'a']
        """
        rows = np.arange(len(self.y))[rows]
        files = None if self.files is None else [self.files[i] for i in rows]
        return Examples(self.x[rows], self.y[rows], files, *(v if v is None else v[rows] for v in (self.patient, self.site)))


def joined(parts: Sequence[Examples]) -> Examples:
    """Examples one after the other; what one part does not know is unknown of all.

    >>> a, b = Examples(np.zeros(2), np.array([0, 1]), ["a", "b"]), Examples(np.ones(1), np.array([1]))
    >>> joined([a, a]).files, joined([a, b]).files, joined([a, b]).y
    (['a', 'b', 'a', 'b'], None, array([0, 1, 1]))
    """
    x, y = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    patient, site = (None if any(part[i] is None for part in parts) else np.concatenate([part[i] for part in parts])
                     for i in (3, 4))  # fmt: skip
    files = None if any(part.files is None for part in parts) else [file for part in parts for file in part.files or []]
    return Examples(x, y, files, patient, site)


@dataclass
class Study:
    """The three splits of some data, and how they came about.

    Raises: ValueError for a class name that is no UTF-8 text.

    >>> part = Examples(np.zeros((2, 4)), np.array([0, 1]))
    >>> study = Study("numbers", ["a", "b"], part, part, part, False, [], {}, "rows", "4")
    >>> print(study.describe().splitlines()[1])
      train     2 rows: 1 a, 1 b
    """

    source: str
    class_names: list[str]
    train: Examples
    val: Examples
    test: Examples
    synthetic: bool
    notes: list[str]
    preprocessing: dict[str, Any]  # how examples were read, so that `tinydx predict` reads inputs the same way
    noun: str  # a word for the examples, in the plural: "images"
    form: str  # the size of one example: "150x150"

    def __post_init__(self) -> None:
        self.source, self.notes = printable(self.source), [printable(note) for note in self.notes]

    def describe(self) -> str:
        """A few lines for the terminal: the source of the data, and the number of examples of each class and split."""
        lines = [f"Data: {shown(self.source)} ({self.form}, classes {', '.join(map(shown, self.class_names))})"]
        lines += [f"  {name:<6}{self._counts(getattr(self, name))}" for name in SPLITS]
        return "\n".join(lines + [f"  {line(note)}" for note in self.notes])

    def name(self, split: str, i: int) -> str:
        """An example's file below the folder that all files share; else its text, shortened; else its split and number.

        >>> part = Examples(np.zeros((2, 4)), np.array([0, 1]), ["/data/test/a/1.png", "/data/test/b/1.png"])
        >>> Study("images", ["a", "b"], part, part, part, False, [], {}, "images", "4").name("test", 1)
        'b/1.png'
        """
        part = getattr(self, split)
        if part.files:
            return os.path.relpath(part.files[i], self._folder)
        text = part.x[i]
        return (text if len(text) <= 80 else text[:77] + "...") if isinstance(text, str) else f"{split} {i}"

    @functools.cached_property
    def _folder(self) -> str:
        """The deepest folder that holds every file."""
        return os.path.commonpath([os.path.dirname(file) for split in SPLITS for file in getattr(self, split).files or ()])

    def _counts(self, part: Examples) -> str:
        each = np.bincount(part.y, minlength=len(self.class_names))
        counts = ", ".join(f"{n} {shown(name)}" for n, name in zip(each, self.class_names, strict=True))
        return f"{len(part.y):>5} {self.noun}: {counts}"

    def facts(self) -> dict[str, Any]:
        """The same as a dict, for metrics.json."""
        counts = {name: {c: int((getattr(self, name).y == k).sum()) for k, c in enumerate(self.class_names)} for name in SPLITS}
        return {"source": self.source, "synthetic": self.synthetic, self.noun: counts, "notes": self.notes}


def check_trainable(study: Study) -> None:
    """Raise an error where a diagnosis of these classes could not be learnt, tested or shown.

    Raises: ValueError for names that `check_class_names` refuses, fewer than two classes, an empty split, and a class without a
    training example.

    >>> part = Examples(np.zeros((2, 4)), np.array([0, 0]))
    >>> check_trainable(Study("numbers", ["a", "b"], part, part, part, False, [], {}, "rows", "4"))
    Traceback (most recent call last):
    ValueError: numbers has no training rows of class b: add some, or leave it out
    """
    source, names, noun = study.source, study.class_names, study.noun
    check_class_names(names, source)
    if len(names) < 2:
        raise ValueError(f"{source} has one class only, {', '.join(names)}: a diagnosis needs at least two")
    for split in SPLITS:
        if not len(getattr(study, split).y):
            raise ValueError(f"{source} has no {noun} in its {split} part: add some, or leave that part out")
    counts = np.bincount(study.train.y, minlength=len(names))
    if missing := [name for name, n in zip(names, counts, strict=True) if n == 0]:
        raise ValueError(f"{source} has no training {noun} of class {missing[0]}: add some, or leave it out")


def hold_out(x: np.ndarray, y: np.ndarray, share: float, seed: int) -> tuple[tuple, tuple]:
    """Set aside about `share` of the examples of each class, at least one.

    Arguments: x (N,...); y (N,), class numbers; share, 0 to 1; seed of the choice.
    Returns: ((x, y) of the rest, (x, y) of those set aside), both in the original order.

    >>> (_, rest), (_, aside) = hold_out(np.arange(10), np.arange(10) % 2, 0.2, seed=0)
    >>> len(rest), sorted(aside.tolist())
    (8, [0, 1])
    """
    rng = np.random.default_rng(seed)
    aside = np.zeros(len(y), bool)
    for k in np.unique(y):
        mine = rng.permutation(np.flatnonzero(y == k))
        aside[mine[: max(1, round(share * len(mine)))]] = True
    return (x[~aside], y[~aside]), (x[aside], y[aside])


def first_of_each(x: np.ndarray, y: np.ndarray, limit: int | None) -> tuple[np.ndarray, np.ndarray]:
    """At most `limit` examples of each class, in their order.

    Arguments: x (N,...); y (N,), class numbers; limit, None for all.
    Returns: (x, y).

    >>> first_of_each(np.array([5, 6, 7]), np.array([0, 0, 1]), limit=1)[0]
    array([5, 7])
    """
    if limit is None:
        return x, y
    rows = np.sort(np.concatenate([np.flatnonzero(y == k)[:limit] for k in np.unique(y)]))
    return x[rows], y[rows]


@contextlib.contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[], None]]:
    """Show a progress bar on a terminal, nothing elsewhere; yields a function to call after each of the `total` items."""
    if not sys.stdout.isatty():
        yield lambda: None
        return
    from rich.progress import Progress

    with Progress(transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda: bar.advance(task)
