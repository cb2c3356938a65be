"""Grade many students: every exercise in each student's folder is checked, and a CSV file gets one row for each student.

Each file is checked in a process of its own, in a copy of its student's folder (`sandbox.py`), as many at a time as there are
cores. The data are drawn from a secret seed. All students get the same, so files that are the same program (`fingerprint`) are
checked only once and share the result.
"""

from __future__ import annotations

import ast
import contextlib
import csv
import hashlib
import io
import os
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from tinydx import random
from tinydx.exercises.exercise import all_exercises
from tinydx.exercises.honest import LARGEST
from tinydx.exercises.sandbox import run_cell
from tinydx.files import atomic_write, check_writable, visible, visible_files
from tinydx.names import in_cell, shown

SECONDS = 5.0  # time limit for the code of one file


@dataclass
class Score:
    """A student's results: for each exercise "ok", "wrong 1/3", "not written", "missing", "error", "timeout", "crash"."""

    student: str
    cells: dict[str, str]

    @property
    def passed(self) -> int:
        return sum(cell == "ok" for cell in self.cells.values())

    @property
    def percent(self) -> float:
        return round(100 * self.passed / len(self.cells), 1)


def grade(
    folder: Path, table: Path, seconds: float = SECONDS, jobs: int | None = None, junit: Path | None = None
) -> list[Score]:
    """Check every exercise of every student and write the table.

    Arguments: folder, which contains a folder for each student with the files in it or below (hidden ones do not count); table,
    the CSV file to write, with the columns student, passed, of, percent and one for each exercise; seconds, the time limit for
    each file; jobs, the number of processes (default: one for each core); junit, a second file to write, in JUnit's format.
    Returns: the students' scores, sorted by name.
    Raises: NotADirectoryError or ValueError where there are no students; OSError where the table cannot be written.
    """
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is no folder: give one that contains a folder for each student")
    for path in (table, junit):
        if path is not None:
            check_writable(path)  # now, not after an hour of work
    students = [path for path in visible(folder) if path.is_dir()]
    if not students:
        raise ValueError(f"{folder} has no folders in it: give one that contains a folder for each student")
    files = {student: _files(student) for student in students}
    prints = {path: (name, fingerprint(path)) for of_one in files.values() for name, path in of_one.items()}
    of = {path: student for student, of_one in files.items() for path in of_one.values()}
    work = {key: path for path, key in prints.items()}
    seed = random.new_seed()
    pieces = [(name, of[path], path, seconds, seed) for (name, _), path in work.items()]
    cells = dict(zip(work, _check_all(pieces, jobs), strict=True))
    scores = []
    for student, of_one in files.items():
        found = {name: cells[prints[path]] for name, path in of_one.items()}
        scores.append(Score(student.name, {e.name: found.get(e.name, "missing") for e in all_exercises()}))
    atomic_write(table, as_csv(scores))
    if junit:
        atomic_write(junit, as_junit(scores))
    return scores


def _files(student: Path) -> dict[str, Path]:
    """Exercise name -> file, also in folders below the student's; of several, the one nearest the top counts."""
    names = {e.name for e in all_exercises()}
    found: dict[str, Path] = {}
    for path in sorted(visible_files(student), key=lambda p: (len(p.parts), p)):
        fits = path.match("[0-9][0-9]_*.py") and path.stem[3:] in names
        if fits and path.is_file() and not path.is_symlink():
            found.setdefault(path.stem[3:], path)
    return found


def fingerprint(path: Path) -> str:
    """A hash that is equal for equal programs: comments and spaces do not count."""
    try:
        data = path.read_bytes()
    except OSError:
        return str(path)  # checked by itself: its result says why it cannot be read
    not_python = contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError)  # then the bytes are hashed
    with not_python, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if len(data) <= LARGEST:  # the parser takes hundreds of times as much memory
            data = ast.dump(ast.parse(data)).encode("utf-8", "backslashreplace")
    return hashlib.sha256(data).hexdigest()


def _check_all(work: list[tuple[str, Path, Path, float, int]], jobs: int | None) -> list[str]:
    """The table cell of each (exercise name, student's folder, file, seconds, seed)."""
    cells = []
    with ThreadPoolExecutor(min(jobs or os.cpu_count() or 1, max(len(work), 1), 60)) as pool:
        waiting = [pool.submit(cell, *piece) for piece in work]
        try:
            for future in waiting:
                cells.append(future.result())
                if sys.stderr.isatty():
                    print(f"\r{len(cells)}/{len(work)} files", end="\n" * (len(cells) == len(work)), file=sys.stderr, flush=True)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return cells


def cell(name: str, student: Path, path: Path, seconds: float, seed: int) -> str:
    """The table cell of one file."""
    try:
        return run_cell(name, student, path, seconds, seed)
    except Exception as error:  # whatever one file does, the others must be graded
        return f"error in the checker: {type(error).__name__}"


def as_csv(scores: list[Score]) -> str:
    """The table as text."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["student", "passed", "of", "percent", *(e.name for e in all_exercises())])
    for s in scores:
        writer.writerow([in_cell(s.student), s.passed, len(s.cells), s.percent, *map(in_cell, s.cells.values())])
    return text.getvalue()


def as_junit(scores: list[Score]) -> str:
    """The scores in JUnit's format, one suite a student, which nbgrader's and GitHub's tools read."""
    suites = ElementTree.Element("testsuites")
    for s in scores:
        failed = sum(c != "ok" for c in s.cells.values())
        suite = ElementTree.SubElement(suites, "testsuite", name=shown(s.student), tests=str(len(s.cells)), failures=str(failed))
        for name, told in s.cells.items():
            case = ElementTree.SubElement(suite, "testcase", classname=shown(s.student), name=name)
            if told != "ok":
                ElementTree.SubElement(case, "failure", message=shown(told))
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"
