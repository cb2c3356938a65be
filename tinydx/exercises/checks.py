"""What is checked about a learner's file: gradients against the true ones, or values against a reference.

The learner's functions run in a process of their own (`Learner`). A check sends them random arrays and judges the arrays
that they return. The numbers are drawn anew at every check, so that no table of results can pass.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from tinydx.exercises.values import value_patterns
from tinydx.exercises.worker import Other
from tinydx.gradcheck import Argument, Diagnosis, Report, gradcheck
from tinydx.gradcheck.calling import Stop
from tinydx.gradcheck.report import Worst
from tinydx.language import sentence
from tinydx.op import Draw, Op, RandomDraw, Slip

SEED = 1  # of a check whose caller gives no other
DRAWS = 6  # sets of random arguments for a function whose values are checked
CLOSE = 1e-9  # relative gap up to which two values are equal


class Caller(Protocol):
    """Calls the learner's functions, as `Learner` does, and collects NumPy's warnings."""

    warnings: list[str]

    def call(self, name: str, arguments: Sequence[Any], source: str = "") -> Any: ...


class Check(Protocol):
    """One thing to check about a function; slips are wrong versions of it, each with a name and advice."""

    @property
    def function(self) -> Callable: ...

    @property
    def names(self) -> Sequence[str]: ...  # of the arrays that the function returns

    def judge(self, learner: Caller, slips: Sequence[Slip], seed: int = SEED) -> Report: ...


class WrongType(Stop):
    """The learner's function returned something that cannot be compared; the message names it."""


# ---- gradients -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Gradients:
    """Checks that a function is a correct backward of an op.

    Arguments: function, whose parameters are the cotangents, then the op's arrays and constants by name, or `y` for the
    op's result; of, the op; samples, draws inputs in place of the op's own samples; driver, True for a function of the
    exercise that calls the learner's code: its source is executed in the learner's file.
    """

    function: Callable
    of: Op
    samples: Callable[[Draw], tuple[tuple, dict]] | None = None
    driver: bool = False

    @property
    def names(self) -> list[str]:
        return [f"d{a}" for a in self.of.arrays]

    def judge(self, learner: Caller, slips: Sequence[Slip], seed: int = SEED) -> Report:
        """The gradient checker's report; both the exercise's slips and the op's name mistakes."""
        own = [slip._replace(backward=self.as_backward(slip.backward)) for slip in slips]
        samples = self.samples or self.of.samples
        op = replace(self.of, samples=samples, registered_slips=[*own, *self.of.slips])
        return gradcheck(op, seed=seed, backward=self.as_backward(functools.partial(self.run, learner)), every_form=True)

    def run(self, learner: Caller, *arguments: Any) -> Any:
        """The learner's gradients, an array or a tuple of them."""
        source = inspect.getsource(self.function) if self.driver else ""
        name = self.function.__name__
        return as_arrays(learner.call(name, arguments, source), self.names, name)

    def as_backward(self, function: Callable) -> Callable:
        """The function in the form of the op table's backwards: (dy, saved, and the other arguments by name)."""
        names = [n for n in inspect.signature(self.function).parameters if n in self.of.signature.parameters or n == "y"]

        def backward(dy: Any, saved: Any, **given: Any) -> Any:
            return function(*(dy if isinstance(dy, tuple) else (dy,)), *(given[n] for n in names))

        parameters = list(inspect.signature(backward).parameters.values())[:2]
        parameters += [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY) for n in names]
        backward.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return backward


# ---- values --------------------------------------------------------------------------------------------------------


class Value(Argument):
    """What was found about a result. An `Argument` is labelled as a gradient (dx), a value by its own name (x)."""

    @property
    def label(self) -> str:
        return self.name


@dataclass(frozen=True)
class Values:
    """Checks that a function returns what a reference returns.

    Arguments: function, the learner's; like, the reference; samples, draws the arguments of both; names of the results;
    quiet, True if a NumPy warning, such as an overflow, counts as a mistake.
    """

    function: Callable
    like: Callable
    samples: Callable[[Draw], tuple]
    names: tuple[str, ...] = ("y",)
    quiet: bool = False

    def judge(self, learner: Caller, slips: Sequence[Slip], seed: int = SEED) -> Report:
        """One report, with the most informative draw of each result."""
        before = len(learner.warnings)
        drawn = [self._judge_draw(_Turn(seed, i), learner, slips) for i in range(DRAWS)]
        results = [max(of_one, key=lambda v: (not v.ok, bool(v.mistakes))) for of_one in zip(*drawn, strict=True)]
        report = Report(
            self.function.__name__, list(results), method=sentence("compared with the reference"), seed=seed, draws=DRAWS
        )
        for warning in learner.warnings[before:] if self.quiet else ():
            name = "overflow" if "overflow" in warning else "warning"
            report.problems.append(Diagnosis(name, sentence("NumPy warned: {warning}.", warning=warning), "rule"))
        return report

    def run(self, learner: Caller, *arguments: Any) -> Any:
        """The learner's result, an array or a tuple of them."""
        name = self.function.__name__
        return as_arrays(learner.call(name, copies(arguments)), self.names, name)

    def _judge_draw(self, draw: Draw, learner: Caller, slips: Sequence[Slip]) -> list[Value]:
        arguments, name = self.samples(draw), self.function.__name__
        expected = _as_tuple(self.like(*copies(arguments)))
        got = _as_tuple(self.run(learner, *arguments))
        if len(got) != len(expected):
            told = "{name} returned {got} arrays, expected {expected}: ({names})"
            names = ", ".join(self.names)
            raise WrongType(sentence(told, name=name, got=len(got), expected=len(expected), names=names))
        values = [_compare(*parts) for parts in zip(self.names, got, expected, strict=True)]
        if not all(v.ok for v in values):
            for v in values:
                v.mistakes += value_patterns(v.name, v.got, v.true, arguments) if v.wrong and v.true is not None else []
            for slip in slips[::-1]:
                _recognise(slip, arguments, values)
        return values


class _Turn(RandomDraw):
    """The i-th set of arguments from a seed. The first choice takes its options in turn, so that none is left out by chance."""

    def __init__(self, seed: int, i: int):
        super().__init__(seed + i)
        self.turn: int | None = seed + i

    def choice(self, options: Any) -> Any:
        turn, self.turn = self.turn, None
        return super().choice(options) if turn is None else options[turn % len(options)]


def _recognise(slip: Slip, arguments: tuple, values: list[Value]) -> None:
    """Name the mistake where a wrong result equals that of this slip."""
    with np.errstate(all="ignore"):
        try:
            others = _as_tuple(slip.backward(*copies(arguments)))
        except Exception:  # this slip cannot run on these arguments
            return
    for v, other in zip(values, others, strict=False):
        if not v.ok and v.got is not None and _same(v.got, np.asarray(other)):
            v.mistakes.insert(0, Diagnosis(slip.name, slip.advice, "slip"))


def _compare(name: str, got: np.ndarray | None, expected: Any) -> Value:
    """How a result differs from the expected one."""
    true = np.asarray(expected, float)
    value = Value(name, true.shape, checked=true.size, got=got)
    if got is None or got.shape != true.shape:
        value.wrong = true.size
        if got is None:
            told = sentence("{name} is None, expected shape {true}.", name=name, true=true.shape)
        else:
            told = sentence("{name} has shape {got}, expected shape {true}.", name=name, got=got.shape, true=true.shape)
        value.mistakes.append(Diagnosis("None" if got is None else "wrong shape", told))
        return value
    with np.errstate(all="ignore"):
        gap = np.nan_to_num(np.abs(got - true), nan=np.inf) / max(float(np.max(np.abs(true), initial=0)), 1e-300)
    value.true, value.wrong_at = true, gap > CLOSE
    value.wrong, value.gap = int(value.wrong_at.sum()), float(np.max(gap, initial=0))
    if value.wrong:
        index = tuple(int(i) for i in np.unravel_index(int(np.argmax(gap)), gap.shape))
        value.worst = Worst(index, float(got[index]), float(true[index]))
        for kind, bad in (("NaN", np.isnan(got)), ("infinite", np.isinf(got))):
            if bad.any():
                counted = "{bad} of {size} numbers of {name} are {kind}."
                advice = sentence(counted, bad=bad.sum(), size=bad.size, name=name, kind=sentence(kind))
                value.mistakes.append(Diagnosis(kind, advice))
    return value


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    top = np.max(np.abs(b), initial=0, where=np.isfinite(b))
    return a.shape == b.shape and np.allclose(a, b, rtol=0, atol=CLOSE * top, equal_nan=True)


# ---- what functions take and return --------------------------------------------------------------------------------


def as_arrays(value: Any, names: Sequence[str], function: str) -> Any:
    """A function's result as an array or a tuple of arrays, where None stays None.

    Arguments: value, the result; names of the arrays that are expected; function, its name for the message.
    Raises: WrongType where the result is neither.
    """
    several = sentence("a tuple of {n} arrays ({names})", n=len(names), names=", ".join(names))
    wanted = several if len(names) > 1 else sentence("one array ({name})", name=names[0])
    if value is None:
        told = "{function} returned None, expected {wanted}: is `return` missing?"
        raise WrongType(sentence(told, function=function, wanted=wanted))
    is_several = isinstance(value, tuple | list)
    for part in value if is_several else (value,):
        if not isinstance(part, np.ndarray | int | float | None):
            told = "{function} returned {kind}, expected {wanted}"
            raise WrongType(sentence(told, function=function, kind=_kind(value), wanted=wanted))
        if isinstance(part, np.ndarray) and part.dtype.kind == "c":
            told = "{function} returned complex numbers, expected {wanted}"
            raise WrongType(sentence(told, function=function, wanted=wanted))
    return tuple(None if part is None else np.asarray(part) for part in value) if is_several else np.asarray(value)


def _kind(value: Any) -> str:
    """A value's type in words, such as "a list of float, str"."""
    if isinstance(value, tuple | list):
        parts = ", ".join(map(_type, value[:4])) + " ..." * (len(value) > 4)
        return sentence("a {kind} of {parts}", kind=type(value).__name__, parts=parts)
    return sentence("an object of type {kind}", kind=_type(value))


def _type(value: Any) -> str:
    return str(value) if isinstance(value, Other) else type(value).__name__


def _as_tuple(value: Any) -> tuple:
    return value if isinstance(value, tuple) else (value,)


def copies(arguments: Sequence[Any]) -> list[Any]:
    """The arguments for a function that may change them."""
    return [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
