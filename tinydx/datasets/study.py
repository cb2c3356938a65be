"""Data for `tinydx diagnose`, whatever its kind: the examples of train, val and test, with their classes.

`tinydx/kinds/` opens data of each kind as such a study. What has no test (or validation) part gets one from its training
part, patient by patient where files tell patients apart. Everything is read once, before any training: a file that cannot
be read is named then.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

SPLITS = ("train", "val", "test")


class Examples(NamedTuple):
    """Examples (N,...) as they were read, their class numbers (N,), and their files, where they have any."""

    x: np.ndarray
    y: np.ndarray
    files: list[str] | None = None


@dataclass
class Study:
    """The three splits of some data, and what must be said about it."""

    source: str
    class_names: list[str]
    train: Examples
    val: Examples
    test: Examples
    synthetic: bool
    notes: list[str]
    preprocessing: dict[str, Any]  # how an example was read, for those to predict
    noun: str  # of several examples: "images"
    form: str  # of each: "150x150"

    def describe(self) -> str:
        """Some lines for the terminal: what data this is, and how it was split."""
        lines = [f"Data: {self.source} ({self.form}, classes {', '.join(self.class_names)})"]
        lines += [f"  {name:<6}{self._counts(getattr(self, name))}" for name in SPLITS]
        return "\n".join(lines + [f"  {note}" for note in self.notes])

    def _counts(self, part: Examples) -> str:
        each = np.bincount(part.y, minlength=len(self.class_names))
        counts = ", ".join(f"{n} {name}" for n, name in zip(each, self.class_names, strict=True))
        return f"{len(part.y):>5} {self.noun}: {counts}"

    def facts(self) -> dict[str, Any]:
        """The same for metrics.json."""
        counts = {name: {c: int((getattr(self, name).y == k).sum()) for k, c in enumerate(self.class_names)} for name in SPLITS}
        return {"source": self.source, "synthetic": self.synthetic, self.noun: counts, "notes": self.notes}


def cut(x: np.ndarray, y: np.ndarray, share: float, seed: int) -> tuple[tuple, tuple]:
    """(the rest, about `share` of the examples of each class)."""
    rng = np.random.default_rng(seed)
    aside = np.zeros(len(y), bool)
    for k in np.unique(y):
        mine = rng.permutation(np.flatnonzero(y == k))
        aside[mine[: max(1, round(share * len(mine)))]] = True
    return (x[~aside], y[~aside]), (x[aside], y[aside])


def first_of_each(x: np.ndarray, y: np.ndarray, limit: int | None) -> tuple[np.ndarray, np.ndarray]:
    """At most `limit` examples of each class, in their order."""
    if limit is None:
        return x, y
    rows = np.sort(np.concatenate([np.flatnonzero(y == k)[:limit] for k in np.unique(y)]))
    return x[rows], y[rows]


@contextlib.contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar on a terminal, nothing elsewhere; call what it gives once for each of the `total` things."""
    if not sys.stdout.isatty():
        yield lambda: None
        return
    from rich.progress import Progress

    with Progress(transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda: bar.advance(task)
