"""The sections that a diagnosis adds to the figures of its test, a file each; every file with `SECTION` is found by itself.

    Run ─ find ─> JSON-able findings, metrics[key] ┬─ words ─> lines on the terminal
                                                   └─ bands ─> a part of the report's page

A section sees the finished model and the data, and changes neither.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tinydx.datasets.study import Study
from tinydx.diagnosis.kind import Kind, Plan
from tinydx.diagnosis.page import Band, Page


class Run(NamedTuple):
    """What a section knows of a diagnosis."""

    model: Any
    kind: Kind
    study: Study
    plan: Plan
    seed: int
    table: np.ndarray  # the model's probabilities of the test examples (N, classes)
    metrics: dict[str, Any]  # found so far: of `evaluation.evaluate_diagnosis`, and of the sections before


class Section(NamedTuple):
    """One section: its findings, and how they are told and shown; no section is shown whose findings are None."""

    key: str  # of metrics.json
    order: int  # of the sections: the lowest is found and shown first
    find: Callable[[Run], Any]  # -> what JSON can express; None where the section does not apply
    words: Callable[[Any], list[str]]  # findings -> lines for the terminal
    bands: Callable[[Page, Any], list[Band]]  # the page's facts and the findings -> bands


@functools.cache
def sections() -> tuple[Section, ...]:
    """All sections, in their order.

    >>> "copies" in [section.key for section in sections()]
    True
    """
    files = [importlib.import_module(f"{__name__}.{file.name}") for file in pkgutil.iter_modules(__path__)]
    return tuple(sorted((file.SECTION for file in files), key=lambda section: section.order))


def find_all(run: Run) -> None:
    """Put the findings of all sections into the run's metrics."""
    for section in sections():
        run.metrics[section.key] = section.find(run)


def all_words(metrics: dict[str, Any]) -> list[str]:
    """The lines of all sections for the terminal."""
    return [line for s in sections() if metrics.get(s.key) is not None for line in s.words(metrics[s.key])]


def all_bands(page: Page) -> list[Band]:
    """The bands of all sections for the report's page."""
    return [band for s in sections() if page.metrics.get(s.key) is not None for band in s.bands(page, page.metrics[s.key])]
