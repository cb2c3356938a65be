"""Grade many students: every exercise in each student's folder is checked, and a CSV file gets one row for each student.

Each file is checked in a process of its own, in a copy of its student's folder (`sandbox.py`), as many at a time as there are
cores. The data are drawn from a secret seed. All students get the same, so files that are the same program (`fingerprint`) are
checked only once and share the result. This process reads submissions as bytes, and neither parses nor runs them.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import os
import sys
import tokenize
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from tinydx import random
from tinydx.exercises.exercise import all_exercises
from tinydx.exercises.rubric import Rubric
from tinydx.exercises.sandbox import Cell, run_cell, unreadable
from tinydx.files import atomic_write, check_writable, is_hidden, visible
from tinydx.names import in_cell, line

SECONDS = 5.0  # of computing, for the code of one file
UNSEEN = (tokenize.COMMENT, tokenize.NL)  # words of Python that change nothing


@dataclass
class Score:
    """A student's results: for each exercise "ok", "wrong 1/3", "not written", "missing", "error", "timeout", "crash".

    why has a sentence for those that are not ok.
    """

    student: str
    cells: dict[str, str]
    why: dict[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> int:
        return sum(cell == "ok" for cell in self.cells.values())

    @property
    def percent(self) -> float:
        return round(100 * self.passed / len(self.cells), 1)

    def points(self, rubric: Rubric) -> float:
        """The points that a rubric gives for the cells."""
        return round(sum(rubric.earned(name, word, self.why.get(name, "")) for name, word in self.cells.items()), 2)


def grade(
    folder: Path,
    table: Path,
    seconds: float = SECONDS,
    jobs: int | None = None,
    junit: Path | None = None,
    rubric: Rubric | None = None,
) -> list[Score]:
    """Check every exercise of every student and write the table.

    Arguments: folder, which contains a folder for each student with the files in it or below (hidden ones do not count); table,
    the CSV file to write, with the columns student, passed, of, percent and one for each exercise; seconds of computing for
    each file; jobs, the number of processes (default: one for each core); junit, a second file to write, in JUnit's format;
    rubric, which adds the columns points and points_of behind percent.
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
    of = {path: student for student, of_one in files.items() for path in of_one.values()}
    alone = {path for path, student in of.items() if unreadable(student, path)}  # not opened; its cell says why
    prints = {p: (name, str(p) if p in alone else fingerprint(p)) for one in files.values() for name, p in one.items()}
    work = {key: path for path, key in prints.items()}
    seed = random.new_seed()
    pieces = [(name, of[path], path, seconds, seed) for (name, _), path in work.items()]
    cells = dict(zip(work, _check_all(pieces, jobs), strict=True))
    scores = []
    for student, of_one in files.items():
        found = {name: cells[prints[path]] for name, path in of_one.items()}
        every = {e.name: found.get(e.name, Cell("missing", "there is no such file")) for e in all_exercises()}
        scores.append(Score(student.name, {n: c.word for n, c in every.items()}, {n: c.why for n, c in every.items()}))
    atomic_write(table, as_csv(scores, rubric))
    if junit:
        atomic_write(junit, as_junit(scores))
    return scores


def _files(student: Path) -> dict[str, Path]:
    """Exercise name -> file, also in folders below the student's; of several, the one nearest the top counts.

    Whatever has the name of an exercise counts: a link, a folder or a pipe gets its own cell, too. A folder that may not be
    read holds nothing.
    """
    names = {e.name for e in all_exercises()}
    found: list[Path] = []
    for place, folders, files in os.walk(student):
        folders[:] = [name for name in folders if not is_hidden(name)]
        found += (Path(place, name) for name in (*folders, *files) if not is_hidden(name))
    chosen: dict[str, Path] = {}
    for path in sorted(found, key=lambda p: (len(p.parts), p)):
        if path.match("[0-9][0-9]_*.py") and path.stem[3:] in names:
            chosen.setdefault(path.stem[3:], path)
    return chosen


def fingerprint(path: Path) -> str:
    """A hash that is equal for equal programs: comments and spaces do not count."""
    data = path.read_bytes()
    not_python = contextlib.suppress(SyntaxError, ValueError, tokenize.TokenError)  # then the bytes are hashed
    with not_python:
        words = [(t.type, t.string) for t in tokenize.tokenize(io.BytesIO(data).readline) if t.type not in UNSEEN]
        data = repr(words).encode("utf-8", "backslashreplace")
    return hashlib.sha256(data).hexdigest()


def _check_all(work: list[tuple[str, Path, Path, float, int]], jobs: int | None) -> list[Cell]:
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


def cell(name: str, student: Path, path: Path, seconds: float, seed: int) -> Cell:
    """The table cell of one file."""
    try:
        return run_cell(name, student, path, seconds, seed)
    except Exception as error:  # whatever one file does, the others must be graded
        return Cell("error", f"in the checker: {type(error).__name__}: {error}")


def as_csv(scores: list[Score], rubric: Rubric | None = None) -> str:
    """The table as text."""
    text = io.StringIO()
    writer = csv.writer(text)
    points = ["points", "points_of"] if rubric else []
    writer.writerow(["student", "passed", "of", "percent", *points, *(e.name for e in all_exercises())])
    for s in scores:
        earned = [s.points(rubric), rubric.full] if rubric else []
        writer.writerow([in_cell(s.student), s.passed, len(s.cells), s.percent, *earned, *map(in_cell, s.cells.values())])
    return text.getvalue()


def as_junit(scores: list[Score]) -> str:
    """The scores in JUnit's format, one suite a student, which nbgrader's and GitHub's tools read."""
    suites = ElementTree.Element("testsuites")
    for s in scores:
        failed, student = sum(c != "ok" for c in s.cells.values()), _in_xml(s.student)
        suite = ElementTree.SubElement(suites, "testsuite", name=student, tests=str(len(s.cells)), failures=str(failed))
        for name, told in s.cells.items():
            case = ElementTree.SubElement(suite, "testcase", classname=student, name=name)
            if told != "ok":
                why = s.why.get(name, "")
                ElementTree.SubElement(case, "failure", message=_in_xml(f"{told}: {why}" if why else told))
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _in_xml(text: str) -> str:
    """The text on one line, without the two characters that are neither controls nor allowed in XML."""
    return line(text).replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")
