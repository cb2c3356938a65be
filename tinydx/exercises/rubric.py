"""A rubric: what each exercise is worth, and what a wrong solution still earns by its mistake.

It is a CSV file with the columns exercise, mistake, points, in any order of rows; docs/teaching/rubric.csv is one.

    dense,,6                           it passes
    dense,*,3                          what is wrong in it has a name in the catalogue: the mistake is a known one
    dense,operand transposed,2         this mistake, whether the catalogue has it or not

An exercise that the file leaves out does not count. One with its first row alone is all or nothing. Of others, each right
result counts its share of the full points, and the rest earns what its mistake does; of several mistakes, the one that earns
least; of a mistake without a name, nothing:

    points = full · right/of + mistake · (1 - right/of)
"""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import NamedTuple

from tinydx.exercises.cell import SEPARATOR
from tinydx.exercises.checks import Gradients
from tinydx.exercises.exercise import Exercise, all_exercises, find

COLUMNS = ["exercise", "mistake", "points"]
PASSES, NAMED = "", "*"  # in the column mistake: none, any of the catalogue
EACH = 2  # points of the default rubric for each result that a check judges


class Rubric(NamedTuple):
    """The points of (exercise, mistake)."""

    points: dict[tuple[str, str], float]

    @property
    def full(self) -> float:
        """The points of a student whose exercises all pass."""
        return sum(points for (_, mistake), points in self.points.items() if mistake == PASSES)

    def earned(self, exercise: str, word: str, why: str) -> float:
        """The points of a cell of the table.

        Arguments: exercise, its name; word, such as "ok" or "wrong 1/3"; why, the names of the mistakes.
        """
        full = self.points.get((exercise, PASSES), 0.0)
        if word == "ok":
            return full
        partial = any(name == exercise and mistake != PASSES for name, mistake in self.points)
        counted = re.fullmatch(r"wrong (\d+)/(\d+)", word)
        if not (partial and counted):
            return 0.0
        right = int(counted[1]) / int(counted[2])
        least = min(self._mistake(exercise, mistake) for mistake in why.split(SEPARATOR))
        return full * right + least * (1 - right)

    def _mistake(self, exercise: str, mistake: str) -> float:
        known = self.points.get((exercise, NAMED), 0.0) if mistake in catalogued(find(exercise)) else 0.0
        return self.points.get((exercise, mistake), known)


def catalogued(exercise: Exercise) -> set[str]:
    """The names of the mistakes that people make in an exercise: its own, and those in its op's gradient."""
    slips = [slip for check in exercise.checks if isinstance(check, Gradients) for slip in check.of.slips]
    return {bug.name for bug in exercise.bugs} | {slip.name for slip in slips}


def read(path: Path) -> Rubric:
    """The rubric in a file; ValueError with the line for one that is none."""
    try:
        return parse(path.read_text("utf-8-sig"), str(path))  # a spreadsheet may put a mark in front
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8: save it as CSV UTF-8") from None


def parse(text: str, name: str) -> Rubric:
    """The rubric in a text; errors call it by this name."""
    points: dict[tuple[str, str], float] = {}
    rows = csv.DictReader(io.StringIO(text))
    if set(COLUMNS) - set(rows.fieldnames or ()):
        raise ValueError(f"{name}, line 1: a rubric has the columns {', '.join(COLUMNS)}")
    for row in rows:
        try:
            key, worth = _row(row)
            if key in points:
                raise ValueError(f"{key[0]} has this row already")
        except ValueError as error:
            raise ValueError(f"{name}, line {rows.line_num}: {error}") from None
        points[key] = worth
    for (exercise, mistake), worth in points.items():
        if worth > points.get((exercise, PASSES), 0.0):
            raise ValueError(f"{name}: {exercise} earns more with the mistake {mistake!r} than when it passes")
    return Rubric(points)


def _row(row: dict[str, str | None]) -> tuple[tuple[str, str], float]:
    """(exercise, mistake) and the points of a row; ValueError for what is none."""
    exercise, mistake, points = ((row[column] or "").strip() for column in COLUMNS)
    worth = float(points) if re.fullmatch(r"\d+(\.\d*)?", points) else -1.0
    if worth < 0:
        raise ValueError(f"points {points!r} is no number from 0 on, such as 2 or 1.5")
    return (find(exercise).name, mistake), worth


def default() -> str:
    """The text of docs/teaching/rubric.csv: two points a result, one where its mistake is a known one."""
    lines = [",".join(COLUMNS)]
    for exercise in all_exercises():
        full = EACH * sum(len(check.names) for check in exercise.checks)
        lines.append(f"{exercise.name},{PASSES},{full}")
        if not exercise.planted:  # its starter is nearly right, so that a part of it is no work
            lines.append(f"{exercise.name},{NAMED},{full // 2}")
    return "\n".join(lines) + "\n"
