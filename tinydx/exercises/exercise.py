"""What an exercise is, and how one file of the catalog is read.

A file of `catalog/` is an exercise. Above the line that begins with `# ---- the runner's part` stands what a learner
gets: a docstring (title · Chinese term, then what to do) and the code, complete. Starter and solution are both made
from it, so nothing is written twice: in the starter everything below a `# solution` comment, to the end of its block,
is `raise NotImplementedError`. Below the line stands `EXERCISE`: what is checked, three hints, and the wrong
solutions (`Bug`) that the checker must be able to name.

The equation comes from the op that the exercise is about: a row of the op table, or one that the file brings itself.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tinydx.gradcheck import Argument, Diagnosis, Report, gradcheck
from tinydx.exercises.worker import Other
from tinydx.gradcheck.report import Worst
from tinydx.op import Draw, Op, RandomDraw, Slip, did_you_mean

MARKER = "# ---- the runner's part"
NOT_WRITTEN = 'raise NotImplementedError("not written yet")'
SEED = 1  # always the same data: who prints numbers to find a mistake must see the same numbers again
DRAWS = 6  # of the arguments of a function whose values are checked
CLOSE = 1e-9  # relative gap up to which two values are equal



class Caller(Protocol):
    """Runs the learner's functions; `Learner` does."""

    warnings: list[str]

    def call(self, name: str, arguments: Sequence[Any], source: str = "") -> Any: ...


class WrongType(Exception):
    """The learner's function returned something that cannot be compared: the message says what."""


@dataclass(frozen=True)
class Bug:
    """A wrong solution that people write: the right one with one text replaced, and the name that it must get.

    With advice the checker learns the name from here; without, the op's slips or the general patterns must know it.
    """

    name: str
    right: str
    wrong: str
    advice: str = ""


class Check(Protocol):
    """Something that is checked about a learner's file."""

    function: Callable

    def judge(self, learner: Caller, wrong: Sequence[tuple[Bug, Callable]]) -> Report: ...


@dataclass(frozen=True)
class Gradients:
    """The function is a backward of the op `of`: its gradients must be the true ones, on draws from its samples.

    The function's parameters are the cotangents, and then arrays and constants of the op by name, or `y`, its result.
    samples: other draws than the op's own. driver: the function is not the learner's but runs the learner's code: its
    source is run in the learner's file.
    """

    function: Callable
    of: Op
    samples: Callable[[Draw], tuple[tuple, dict]] | None = None
    wrt: tuple[str, ...] | None = None
    driver: bool = False

    def judge(self, learner: Caller, wrong: Sequence[tuple[Bug, Callable]]) -> Report:
        slips = [Slip(bug.name, bug.advice, self._as_backward(function)) for bug, function in wrong]
        record = replace(self.of, samples=self.samples or self.of.samples, slips=[*slips, *self.of.slips])
        backward = self._as_backward(functools.partial(self._learners, learner))
        return gradcheck(record, seed=SEED, backward=backward, wrt=self.wrt)

    def _learners(self, learner: Caller, *arguments: Any) -> Any:
        name = self.function.__name__
        wanted = [f"d{a}" for a in self.wrt or self.of.arrays]
        return _as_arrays(learner.call(name, arguments, source_of(self) if self.driver else ""), wanted, name)

    def _as_backward(self, function: Callable) -> Callable:
        """The function in the form of the table's backwards: the cotangent, `saved`, and by name what else it takes."""
        names = [n for n in inspect.signature(self.function).parameters if n in self.of.signature.parameters or n == "y"]

        def backward(dy: Any, saved: Any, **given: Any) -> Any:
            return function(*(dy if isinstance(dy, tuple) else (dy,)), *(given[n] for n in names))

        parameters = list(inspect.signature(backward).parameters.values())[:2]
        parameters += [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY) for n in names]
        backward.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return backward


class Value(Argument):
    """What was found about a result: like an `Argument`, which is about a gradient, but under its own name."""

    @property
    def label(self) -> str:
        return self.name


@dataclass(frozen=True)
class Values:
    """The function must return what `like` returns, for arguments drawn by `samples`.

    outputs: names of the results. quiet: a warning of NumPy, such as an overflow, is a mistake.
    """

    function: Callable
    like: Callable
    samples: Callable[[Draw], tuple]
    outputs: tuple[str, ...] = ("y",)
    quiet: bool = False

    def judge(self, learner: Caller, wrong: Sequence[tuple[Bug, Callable]]) -> Report:
        """One report: of each result the draw that tells most."""
        before = len(learner.warnings)
        drawn = [self._judge_draw(RandomDraw(SEED + i), learner, wrong) for i in range(DRAWS)]
        results = [max(of_one, key=lambda v: (not v.ok, bool(v.mistakes))) for of_one in zip(*drawn, strict=True)]
        report = Report(self.function.__name__, list(results), method="compared with the reference", seed=SEED, draws=DRAWS)
        for warning in learner.warnings[before:] if self.quiet else ():
            report.problems.append(Diagnosis("overflow" if "overflow" in warning else "warning", f"NumPy warned: {warning}.", "rule"))
        return report

    def _judge_draw(self, draw: Draw, learner: Caller, wrong: Sequence[tuple[Bug, Callable]]) -> list[Value]:
        arguments = self.samples(draw)
        expected = _as_tuple(self.like(*_copies(arguments)))
        name = self.function.__name__
        got = _as_tuple(_as_arrays(learner.call(name, _copies(arguments)), self.outputs, name))
        if len(got) != len(expected):
            raise WrongType(f"{name} returned {len(got)} arrays, expected {len(expected)}: ({', '.join(self.outputs)})")
        values = [_compare(*pair) for pair in zip(self.outputs, got, expected, strict=True)]
        if not all(v.ok for v in values):
            for bug, function in wrong:
                self._recognise(bug, function, arguments, values)
        return values

    def _recognise(self, bug: Bug, function: Callable, arguments: tuple, values: list[Value]) -> None:
        """Name the mistake if the learner's wrong results are those of this bug."""
        with np.errstate(all="ignore"):
            try:
                others = _as_tuple(function(*_copies(arguments)))
            except Exception:  # a bug that cannot run on these arguments
                return
        for v, other in zip(values, others, strict=False):
            if not v.ok and v.got is not None and _same(v.got, np.asarray(other)):
                v.mistakes.insert(0, Diagnosis(bug.name, bug.advice, "slip"))


@dataclass
class Exercise:
    """One exercise. The first fields stand in its file, the others are read off it (`catalog`).

    checks; hints, three, each telling more; bugs, wrong solutions with the name each must get; equation, shapes and
    source if they are not those of the first check's op; planted, whether the starter is the solution with the first bug.
    """

    checks: Sequence[Check]
    hints: tuple[str, str, str]
    bugs: Sequence[Bug]
    equation: str = ""
    shapes: str = ""
    source: str = ""
    planted: bool = False

    number: int = field(default=0, init=False)
    name: str = field(default="", init=False)  # conv_backward
    title: str = field(default="", init=False)
    chinese: str = field(default="", init=False)
    task: str = field(default="", init=False)
    code: str = field(default="", init=False)  # the learner's part, complete

    def __post_init__(self) -> None:
        of = next((check.of for check in self.checks if isinstance(check, Gradients)), None)
        if of is not None:
            self.equation, self.shapes = self.equation or of.equation, self.shapes or of.shapes
            self.source = self.source or of.source

    @property
    def file(self) -> str:
        """03_conv_backward.py"""
        return f"{self.number:02d}_{self.name}.py"

    @property
    def starter(self) -> str:
        """What the learner begins with."""
        return self.header + (self._planted(self.bugs[0]) if self.planted else cut(self.code))

    @property
    def solution(self) -> str:
        """The learner's file as it should become."""
        return self.header + without_marks(self.code)

    def with_bug(self, bug: Bug) -> str:
        """The solution with this mistake in it."""
        return self.header + self._planted(bug)

    def _planted(self, bug: Bug) -> str:
        code = without_marks(self.code)
        assert code.count(bug.right) == 1, f"{self.file}: {bug.right!r} stands there {code.count(bug.right)} times"
        return code.replace(bug.right, bug.wrong)

    @property
    def header(self) -> str:
        """The first lines of the learner's file: what it is about, the equation, what to do."""
        about = [*map(plain, re.split(r",? *\\quad", self.equation)), self.shapes, f"({self.source})"]
        lines = [f'"""{self.number:02d} {self.title} · {self.chinese}', "", *(f"    {a}" for a in about), "", self.task, ""]
        return "\n".join([*lines, f"    tinydx exercise check {self.name}", '"""', "", ""])

    def known_bugs(self, check: Check) -> list[tuple[Bug, Callable]]:
        """The wrong functions that this exercise gives names to."""
        found = []
        for bug in self.bugs:
            if bug.advice:
                module: dict[str, Any] = {"__name__": self.name}
                exec(self.with_bug(bug), module)
                if check.function.__name__ not in module:
                    exec(source_of(check), module)
                found.append((bug, module[check.function.__name__]))
        return found


def source_of(check: Check) -> str:
    """The code of a check's function."""
    return inspect.getsource(check.function)


# ---- the catalog ---------------------------------------------------------------------------------------------------


@functools.cache
def catalog() -> tuple[Exercise, ...]:
    """All exercises in their order."""
    files = sorted((Path(__file__).parent / "catalog").glob("[0-9][0-9]_*.py"))
    return tuple(_read(file) for file in files)


def _read(file: Path) -> Exercise:
    module = importlib.import_module(f"tinydx.exercises.catalog.{file.stem}")
    number, name = file.stem.split("_", 1)
    code = file.read_text("utf-8").split(MARKER)[0].rstrip() + "\n"
    _, docstring, code = code.split('"""', 2)
    exercise: Exercise = module.EXERCISE
    first, _, task = docstring.partition("\n")
    exercise.number, exercise.name, exercise.task = int(number), name, task.strip()
    exercise.title, exercise.chinese = (part.strip() for part in first.split(" · "))
    exercise.code = re.sub(r"^from tinydx.*\n", "", code, flags=re.MULTILINE).strip() + "\n"
    exercise.code = re.sub(r"\n{3,}", "\n\n\n", exercise.code)
    return exercise


def find(name: str) -> Exercise:
    """The exercise called so: relu, 2, 02, 02_relu or 02_relu.py; ValueError with close matches if there is none."""
    wanted = Path(name).name.removesuffix(".py")
    for exercise in catalog():
        if wanted in (exercise.name, exercise.file.removesuffix(".py")) or wanted.lstrip("0") == str(exercise.number):
            return exercise
    raise ValueError(f"no exercise named {name!r}{did_you_mean(wanted, [e.name for e in catalog()])}")


def cut(code: str) -> str:
    """The code without what stands below `# solution` comments.

    >>> print(cut("def f(x):\\n    # solution\\n    y = 2 * x\\n    return y\\n\\n\\nz = 1"))
    def f(x):
        raise NotImplementedError("not written yet")
    <BLANKLINE>
    <BLANKLINE>
    z = 1
    """
    kept: list[str] = []
    indent, blank = -1, 0  # of the block that is left out, and how many empty lines end it
    for line in code.splitlines():
        depth = len(line) - len(line.lstrip())
        if line.strip() and depth < indent:
            kept += [""] * blank
            indent = -1
        if line.strip() == "# solution":
            indent = depth
            kept.append(" " * depth + NOT_WRITTEN)
        elif indent < 0:
            kept.append(line)
        blank = 0 if line.strip() else blank + 1
    return "\n".join(kept) + "\n" * code.endswith("\n")


def without_marks(code: str) -> str:
    """The complete code, without the comments that say where the learner's part begins."""
    return re.sub(r"^ *# solution\n", "", code, flags=re.MULTILINE)


WORDS = {r"\cdot": "·", r"\max": "max", r"\tanh": "tanh", r"\ln": "ln", r"\sum": " sum", r"\in": "in", r"\dots": "...", r"\odot": "*"}
GREEK = dict(zip("alpha beta gamma epsilon eta theta mu rho sigma lambda".split(), "αβγεηθμρσλ", strict=True))


def plain(latex: str) -> str:
    r"""An equation for reading in a file: LaTeX's commands replaced by what they show.

    >>> plain(r"f(x) = \frac{1}{1 + e^{-x}}"), plain(r"\sum_{p=1}^{k} x(i-p+1) \cdot w(p)")
    ('f(x) = 1 / (1 + e^(-x))', 'sum_{p=1..k} x(i-p+1) · w(p)')
    """
    text = re.sub(r"\\sum_\{(\w+=\w+)\}\^\{?(\w+)\}?", r" sum_{\1..\2}", latex)
    text = re.sub(r"\\(?:text|mathrm|vec)\{([^{}]*)\}", r"\1", text)
    text = re.sub(r"_\{(\w+)\}", r"_\1", text)
    for _ in range(3):  # fractions and roots stand in one another
        text = re.sub(r"\\sqrt\{((?:[^{}]|\{[^{}]*\})*)\}", r"sqrt(\1)", text)
        text = re.sub(r"\\frac\{((?:[^{}]|\{[^{}]*\})*)\}\{((?:[^{}]|\{[^{}]*\})*)\}", _fraction, text)
    text = re.sub(r"\^\{([^{}]*)\}", r"^(\1)", text)
    for command, word in {**WORDS, **{"\\" + name: letter for name, letter in GREEK.items()}}.items():
        text = re.sub(re.escape(command) + r"(?![a-z])", word, text)
    text = text.replace(r"\{", "{").replace(r"\}", "}")
    return " ".join(re.sub(r"\\quad|\\[,;! ]", " ", text).split())


def _fraction(match: re.Match) -> str:
    above, below = match.groups()
    if re.fullmatch(r"\w+", above) and re.fullmatch(r"\w+|\|.*\|", below):
        return f"{above}/{below}"
    above, below = (part if re.fullmatch(r"[\w']+|sqrt\([^()]*\)", part) else f"({part})" for part in (above, below))
    return f"{above} / {below}"


# ---- comparing values ----------------------------------------------------------------------------------------------


def _compare(name: str, got: np.ndarray, expected: Any) -> Value:
    """How a result differs from the one expected."""
    true = np.asarray(expected, float)
    value = Value(name, true.shape, checked=true.size)
    if got.shape != true.shape:
        value.wrong = true.size
        value.mistakes.append(Diagnosis("wrong shape", f"{name} has shape {got.shape}, expected {true.shape}."))
        value.got = got
        return value
    scale = max(float(np.max(np.abs(true), initial=0)), 1e-300)
    with np.errstate(all="ignore"):
        gap = np.nan_to_num(np.abs(got - true), nan=np.inf) / scale
    value.got, value.true, value.wrong_at = got, true, gap > CLOSE
    value.wrong, value.gap = int(value.wrong_at.sum()), float(np.max(gap, initial=0))
    if value.wrong:
        index = tuple(int(i) for i in np.unravel_index(int(np.argmax(gap)), gap.shape))
        value.worst = Worst(index, float(got[index]), float(true[index]))
        for kind, bad in (("NaN", np.isnan(got)), ("infinite", np.isinf(got))):
            if bad.any():
                value.mistakes.append(Diagnosis(kind, f"{bad.sum()} of {bad.size} numbers of {name} are {kind}."))
    return value


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and np.allclose(a, b, rtol=0, atol=CLOSE * np.max(np.abs(b), initial=0), equal_nan=True)


def _as_arrays(value: Any, names: Sequence[str], function: str) -> Any:
    """What a function returned, as an array or a tuple of arrays (None stays); WrongType if it is neither."""
    wanted = f"a tuple of {len(names)} arrays ({', '.join(names)})" if len(names) > 1 else f"one array ({names[0]})"
    if value is None:
        raise WrongType(f"{function} returned None, expected {wanted}: is `return` missing?")
    for part in value if isinstance(value, tuple | list) else (value,):
        if not isinstance(part, np.ndarray | int | float | None):
            raise WrongType(f"{function} returned {_kind(value)}, expected {wanted}")
    if isinstance(value, tuple | list):
        return tuple(None if part is None else np.asarray(part) for part in value)
    return np.asarray(value)


def _kind(value: Any) -> str:
    """What a value is, in words: a list of float, str ..."""
    if isinstance(value, tuple | list):
        inside = [str(part) if isinstance(part, Other) else type(part).__name__ for part in value[:4]]
        return f"a {type(value).__name__} of {', '.join(inside)}" + " ..." * (len(value) > 4)
    return f"an object of type {value if isinstance(value, Other) else type(value).__name__}"


def _as_tuple(value: Any) -> tuple:
    return value if isinstance(value, tuple) else (value,)


def _copies(arguments: Sequence[Any]) -> list[Any]:
    return [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
