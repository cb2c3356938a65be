"""A learner's folder: one file for each exercise, and `exercises.json`, which records what passed.

The files belong to the learner. A newer tinydx adds its new exercises and changes no existing file.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tinydx.exercises.exercise import Exercise, all_exercises
from tinydx.files import atomic_write
from tinydx.language import LANGUAGES, said

PROGRESS = "exercises.json"


@dataclass
class Progress:
    """Which exercises passed their last check, how many hints were given for each, and which milestones were reached."""

    passed: set[str] = field(default_factory=set)
    hints: dict[str, int] = field(default_factory=dict)
    milestones: set[str] = field(default_factory=set)

    def as_text(self) -> str:
        reached = {"milestones": sorted(self.milestones)} if self.milestones else {}
        return json.dumps({"passed": sorted(self.passed), "hints": self.hints, **reached}, indent=1) + "\n"

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The inverse of as_text; for any other text one of the errors that `progress` catches."""
        data = json.loads(text)
        milestones = data.get("milestones", [])
        if not all(isinstance(name, str) for name in (*data["passed"], *milestones)):
            raise TypeError("passed and milestones: names")
        return cls(set(data["passed"]), {str(name): int(level) for name, level in data["hints"].items()}, set(milestones))


class Folder:
    """The folder of one learner.

    >>> import tempfile
    >>> folder = Folder(Path(tempfile.mkdtemp()))
    >>> new = folder.start()
    >>> new[0], folder.current().name, folder.start()
    ('01_conv_sum.py', 'conv_sum', [])
    """

    def __init__(self, path: Path):
        self.path = path

    @classmethod
    def find(cls, start: str | os.PathLike | None = None) -> Self:
        """The first folder with exercises at or above `start` (default: the working directory), or the folder `exercises` in it.

        Raises: FileNotFoundError where there is none.
        """
        here = Path(start or ".").resolve()
        for path in (here, *here.parents, here / "exercises"):
            if (path / PROGRESS).is_file() or any((path / e.file).is_file() for e in all_exercises()):
                return cls(path)
        told = "no exercises in {folder} or above it: tinydx exercise start exercises creates them"
        raise FileNotFoundError(said(told, folder=here))

    def start(self) -> list[str]:
        """Write the starters that are missing; returns their names. Nothing is overwritten."""
        self.path.mkdir(parents=True, exist_ok=True)
        new = [e for e in all_exercises() if not self.file(e).exists()]
        for exercise in new:
            atomic_write(self.file(exercise), exercise.starter)
        if not (self.path / PROGRESS).exists():
            atomic_write(self.path / PROGRESS, Progress().as_text())
        return [e.file for e in new]

    def file(self, exercise: Exercise) -> Path:
        """The learner's file for this exercise, whatever number it had when it was created."""
        file = self.path / exercise.file
        return file if file.exists() else next(iter(sorted(self.path.glob(f"[0-9][0-9]_{exercise.name}.py"))), file)

    def reset(self, exercise: Exercise) -> Path | None:
        """Restore the starter; returns where the learner's work was moved, or None if there was none."""
        file, kept = self.file(exercise), None
        if file.exists() and file.read_bytes() not in [exercise.starter_in(code).encode() for code in LANGUAGES]:
            names = (file.with_name(f"{file.name}.old{n or ''}") for n in range(1_000_000))
            kept = next(name for name in names if not name.exists())
            os.replace(file, kept)
        atomic_write(file, exercise.starter)
        return kept

    # ---- progress ----

    def progress(self) -> Progress:
        """The content of the progress file. A damaged file is renamed, and the progress starts again."""
        file = self.path / PROGRESS
        try:
            return Progress.from_text(file.read_text("utf-8"))
        except FileNotFoundError:
            return Progress()
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            damaged = file.with_name(PROGRESS + ".damaged")
            os.replace(file, damaged)
            told = "{file} was damaged: it is now {damaged}; tinydx exercise check --all restores the progress"
            print(said(told, file=PROGRESS, damaged=damaged.name), file=sys.stderr)
            return Progress()

    def save(self, progress: Progress) -> None:
        atomic_write(self.path / PROGRESS, progress.as_text())

    def mark(self, exercise: Exercise, passed: bool) -> None:
        """Record the result of a check."""
        progress = self.progress()
        if passed != (exercise.name in progress.passed):
            (progress.passed.add if passed else progress.passed.discard)(exercise.name)
            self.save(progress)

    def reached(self, milestone: str, done: bool) -> None:
        """Record whether a milestone was reached."""
        progress = self.progress()
        if done != (milestone in progress.milestones):
            (progress.milestones.add if done else progress.milestones.discard)(milestone)
            self.save(progress)

    def current(self, after: Exercise | None = None) -> Exercise | None:
        """The next exercise that has not passed: after the given one, then from the first on; None where all passed."""
        passed, exercises = self.progress().passed, list(all_exercises())
        first = exercises.index(after) + 1 if after else 0
        return next((e for e in exercises[first:] + exercises[:first] if e.name not in passed), None)

    def count(self) -> str:
        """How many exercises passed, as "3/35"."""
        passed = self.progress().passed
        return f"{sum(e.name in passed for e in all_exercises())}/{len(all_exercises())}"

    def next_hints(self, exercise: Exercise) -> list[str]:
        """The hints given so far and one more, which is recorded as given."""
        progress = self.progress()
        level = min(max(progress.hints.get(exercise.name, 0), 0) + 1, len(exercise.hints))
        progress.hints[exercise.name] = level
        self.save(progress)
        return list(exercise.hints[:level])
