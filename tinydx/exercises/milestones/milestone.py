"""What a milestone is, and how they are found: one file each in this folder, `1_dense.py`, with MILESTONE."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

from tinydx.exercises.exercise import Exercise, find
from tinydx.exercises.milestones.engine import Engine
from tinydx.exercises.milestones.training import Examples, Run
from tinydx.language import chosen, said, sentence
from tinydx.suggestions import did_you_mean


@dataclass(frozen=True, eq=False)
class Milestone:
    """One milestone.

    Arguments: title; chinese, the title in Chinese; about, one paragraph: the network, its data, what each exercise does in it;
    names of the exercises, in the order in which their code goes in; train, the training; examples, its data; classes, the
    names of the classes.
    """

    title: str
    chinese: str
    about: str
    names: tuple[str, ...]
    train: Callable[[Engine], Run]
    examples: Callable[[], Examples]
    classes: tuple[str, ...] = (sentence("normal"), sentence("abnormal"))

    number: int = 0
    name: str = ""

    @property
    def exercises(self) -> list[Exercise]:
        return [find(name) for name in self.names]

    def needs(self, passed: Collection[str]) -> list[Exercise]:
        """The exercises that are not among those that passed."""
        return [e for e in self.exercises if e.name not in passed]

    @property
    def shown_title(self) -> str:
        """The title in the chosen language."""
        return self.chinese if chosen() == "zh" else self.title


@functools.cache
def all_milestones() -> tuple[Milestone, ...]:
    """All milestones in order."""
    files = sorted(Path(__file__).parent.glob("[0-9]_*.py"))
    return tuple(
        replace(
            importlib.import_module(f"tinydx.exercises.milestones.{file.stem}").MILESTONE,
            number=int(file.stem[0]),
            name=file.stem[2:],
        )
        for file in files
    )


def find_milestone(name: str) -> Milestone:
    """The milestone called 1 or dense; ValueError with close matches where there is none."""
    for milestone in all_milestones():
        if name.removeprefix("0") in (milestone.name, str(milestone.number)):
            return milestone
    close = did_you_mean(name, [m.name for m in all_milestones()])
    told = "no milestone {name!r}{close} (there are 1 to {last})"
    raise ValueError(said(told, name=name, close=close, last=len(all_milestones())))
