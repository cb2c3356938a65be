"""Check one file: run the learner's code, judge its answers, and return the result as text or data."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinydx import random
from tinydx.exercises.checks import Check, Gradients, WrongType
from tinydx.exercises.exercise import Exercise
from tinydx.exercises.honest import refused
from tinydx.exercises.learner import Learner, LearnerError
from tinydx.gradcheck import Diagnosis, Report
from tinydx.language import LANGUAGES, said, sentence

SECONDS = 10.0  # of computing, for the learner's code in one check
PRINTS = 20  # lines of the learner's own output that are shown


@dataclass
class Result:
    """The result of checking one file.

    status is "ok", "wrong", "not written", "missing" (no such file), "error", "timeout" or "crash"; message, one sentence
    where there is no answer to judge; reports, one for each check that was judged, and functions, what they are about;
    right and of, how many gradients or values are right, and how many there are; output, what the learner's code printed.
    """

    exercise: Exercise
    path: Path
    status: str = "ok"
    message: str = ""
    reports: list[Report] = field(default_factory=list)
    functions: list[str] = field(default_factory=list)
    right: int = 0
    of: int = 0
    warnings: list[str] = field(default_factory=list)
    output: str = ""
    milliseconds: float = 0.0

    @property
    def ok(self) -> bool:
        return self.status == "ok"

    @property
    def mistakes(self) -> list[str | None]:
        """The names of the mistakes; None for a mistake that no pattern matches."""
        return [m for r in self.reports for m in r.mistakes.values() or [p.name for p in r.problems]]

    def text(self, unicode: bool = True) -> str:
        """The result as text for a learner; unicode=False for outputs that cannot show ✗ and block characters."""
        lines = [f"{self.exercise.number:02d} {said(self.exercise.title)}  {self.path.name}"]
        for function, report in zip(self.functions, map(self._without_names, self.reports), strict=True):
            lines += [f"  {function}"] * (len(self.exercise.checks) > 1)  # several results may have one name, such as dx
            lines += report.text(unicode, said).splitlines()[1:]  # without its own head line
        if self.message:
            lines.append(f"  {'✗' if unicode else 'x'}    {said(self.message)}")
        if not self.ok and not any(r.problems for r in self.reports):
            lines += ["       " + said("NumPy warned: {warning}", warning=w) for w in self.warnings]
        if self.output:
            groups = [(line, len(list(same))) for line, same in itertools.groupby(self.output.splitlines())]
            printed = [line + (said("  ({n} times)", n=n) if n > 1 else "") for line, n in groups[:PRINTS]]
            printed += ["..."] * (len(groups) > PRINTS)
            lines += ["  " + said("your output"), *(f"    | {line}" for line in printed)]
        gradients = all(isinstance(c, Gradients) for c in self.exercise.checks)
        told = "{right}/{of} gradients · " if gradients else "{right}/{of} values · "
        counted = said(told, right=self.right, of=self.of) if self.reports else ""
        return "\n".join([*lines, "  " + counted + said("{n:.0f} ms", n=self.milliseconds)])

    def _without_names(self, report: Report) -> Report:
        """The report; of an exercise whose starter has a bug to be found, without its name until the learner changes the file."""
        if not self.exercise.planted or self.ok or not self.untouched:
            return report
        advice = sentence("The numbers show where to look: which values get too little, or too much?")
        told = Diagnosis(sentence("find it"), advice)
        hidden = [dataclasses.replace(a, mistakes=[told] if a.mistakes else []) for a in report.arguments]
        return dataclasses.replace(report, arguments=hidden)

    @property
    def untouched(self) -> bool:
        """Whether the file is still the starter, in whatever language."""
        try:
            words = self.path.read_text("utf-8").split()
        except (OSError, ValueError):
            return False
        return words in [self.exercise.starter_in(code).split() for code in LANGUAGES]

    def as_dict(self) -> dict[str, Any]:
        """The result as data for JSON."""
        return {
            "name": self.exercise.name,
            "number": self.exercise.number,
            "title": self.exercise.title,
            "file": str(self.path),
            "ok": self.ok,
            "status": self.status,
            "message": self.message,
            "right": self.right,
            "of": self.of,
            "reports": [self._without_names(r).as_dict() for r in self.reports],
            "warnings": self.warnings,
            "output": self.output,
            "milliseconds": round(self.milliseconds, 1),
        }


def check_file(
    exercise: Exercise, path: Path, seconds: float = SECONDS, seed: int | None = None, fence: Sequence[str] = ()
) -> Result:
    """Check a learner's file.

    Arguments: exercise; path of the file; seconds of computing for the learner's code; seed of the data (None: new ones);
    fence, words that go before the command of the learner's process (`sandbox.py`).
    Returns: the result, which also reports every error in the learner's code: none is raised.
    """
    start = time.perf_counter()
    result = Result(exercise, path)
    if not path.is_file():
        told = sentence("{path} does not exist: tinydx exercise reset {name} creates it", path=path, name=exercise.name)
        result.status, result.message = "missing", told
        return result
    if why := refused(exercise, path):
        result.status, result.message = "error", why
        return result
    seed = random.new_seed() if seed is None else seed
    learner = Learner(path, seconds, fence)
    try:
        with learner:
            for check in exercise.checks:
                _judge(exercise, check, learner, result, seed)
    except LearnerError as error:  # the file could not be loaded
        result.status, result.message = error.status, error.args[0]
    result.warnings, result.output = learner.warnings, learner.output.strip("\n")
    result.milliseconds = 1000 * (time.perf_counter() - start)
    return result


def check_all(exercises: Sequence[Exercise], file: Callable[[Exercise], Path], seconds: float) -> Iterator[Result]:
    """Check two exercises at a time (one starts its process while the other computes); yields the results in order."""
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(check_file, e, file(e), seconds) for e in exercises]
        try:
            for future in waiting:
                yield future.result()
        finally:
            for future in waiting:
                future.cancel()


def _judge(exercise: Exercise, check: Check, learner: Learner, result: Result, seed: int) -> None:
    """Add the outcome of one check to the result."""
    result.of += len(check.names)
    try:
        report = check.judge(learner, exercise.slips(check), seed)
    except (LearnerError, WrongType) as error:
        if not result.message:  # the first sentence is enough
            result.status, result.message = getattr(error, "status", "wrong"), error.args[0]
        return
    result.reports.append(report)
    result.functions.append(check.function.__name__)
    result.right += sum(a.ok for a in report.arguments)
    if not report.ok and result.ok:
        result.status = "wrong"
