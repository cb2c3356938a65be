"""Evidence from values alone, where a backward's source cannot be read: what does it lack, and what is there too many?

Which term makes the gradient right, which factor, and which factor of dy: one that the learner's backward would need, or one that
the right backward would need to give the learner's numbers? The answers are formulas of what a backward can see. An answer
counts if it holds at all other sizes, too, and names the mistake only if no other answer is as simple.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import itertools
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinydx.gradcheck.evidence import Evidence
from tinydx.gradcheck.formulas import UNKNOWN, Formula, Table, table
from tinydx.gradcheck.limits import silent
from tinydx.gradcheck.needed import NUMBERS, along, parallel, written
from tinydx.gradcheck.report import Diagnosis
from tinydx.gradcheck.rules import as_list
from tinydx.gradcheck.seen import is_float
from tinydx.gradcheck.sizes import Resized, outside
from tinydx.gradcheck.source import definition
from tinydx.gradcheck.subject import Subject

LARGEST = 100  # numbers of an array
NAME = r"saved\[[^]]*\]|[\w.]+|\S"
MOST = 40  # answers that are tried at other sizes


class Answer(NamedTuple):
    """A mistake: its rank, its name, a sentence, and whether it explains another check, given what is visible there."""

    rank: int
    name: str
    advice: str
    holds: Callable[[dict[str, Any], Resized], bool]


def names_from_values(evidence: Sequence[Evidence], seconds: float) -> dict[int, Diagnosis]:
    """For each wrong gradient (its argument's index) the one simplest mistake that explains its values.

    Arguments: evidence, of the wrong gradients of one check; seconds of computing, after which no other gradient is looked at.
    """
    found: dict[int, Diagnosis] = {}
    fit = [e for e in evidence if _can_be_told(e)]
    if not fit or definition(fit[0].subject.backward) is not None:
        return found
    with silent(), warnings.catch_warnings(), np.errstate(all="ignore"), contextlib.suppress(Exception):
        warnings.simplefilter("ignore")
        deadline, seen = time.thread_time() + seconds, _Seen(fit[0])
        for e in fit:
            if time.thread_time() < deadline and (name := _simplest(e, seen)):
                found[e.k] = name
    return found


def _can_be_told(e: Evidence) -> bool:
    """Whether everything is known, and small."""
    known = e.complete and e.rows is not None and len(e.dys) == 1 and np.shape(e.got) == e.true.shape
    small = max([e.true.size, *(dy.size for dy in e.dys)]) <= LARGEST
    return bool(known and small and e.resized and e.subject.pulled is not None and e.subject.backward is not None)


class _Seen:
    """What the backward can see, here and at other sizes, and the tables of formulas that are made of it."""

    def __init__(self, e: Evidence):
        self.given = visible(e.subject, e.dys[0])
        self.others = [(_by_name(visible(r.subject, r.dys[0])), r) for r in e.resized]
        self.tables: dict[tuple[int, ...], Table] = {}

    def table(self, shape: tuple[int, ...]) -> Table:
        if shape not in self.tables:
            self.tables[shape] = table(self.given, [], shape)
        return self.tables[shape]


def _simplest(e: Evidence, seen: _Seen) -> Diagnosis | None:
    """The simplest answer that holds at all sizes; None if there is none, or if two are as simple."""
    found: list[Answer] = []
    for answer in sorted(_answers(e, seen), key=lambda a: a.rank)[:MOST]:
        if found and answer.rank > found[0].rank:
            break
        if all(_holds(answer, *other) for other in seen.others):
            found.append(answer)
    return Diagnosis(found[0].name, found[0].advice) if len({a.name for a in found}) == 1 else None


def _holds(answer: Answer, seen: dict[str, Any], other: Resized) -> bool:
    try:
        return answer.holds(seen, other)
    except Exception:  # the formula does not apply to these sizes
        return False


def visible(subject: Subject, dy: np.ndarray) -> list[Formula]:
    """What a backward can see, as formulas: dy, inputs, constants, the result, what forward saved, and its own variables."""
    seen: dict[str, Any] = {}

    def spy(dy: Any, saved: Any, y: Any) -> None:
        seen["saved"], seen["y"] = saved, y

    assert subject.pulled is not None and subject.backward is not None
    pull = subject.pulled(subject.arrays)
    pull(spy, [dy])
    own, twice = (_variables(subject.backward, functools.partial(pull, subject.backward, [f * dy])) for f in (1, 2))
    for function in subject.functions:
        seen = outside(function) | seen
    seen |= dict(subject.constants) | dict(zip(subject.names, subject.arrays, strict=True))
    named = [Formula(n, v, 0, _degree(v, twice.get(n)), frozenset([n])) for n, v in own.items() if is_float(v)]
    others = [Formula(n, v, 0, 0, frozenset([n])) for n, v in [*seen.items(), *_parts("saved", seen["saved"])] if is_float(v)]
    found: dict[bytes, Formula] = {}
    for f in [Formula("dy", dy, 0, 1, frozenset(["dy"])), *named, *others]:
        a = np.asarray(f.value, float)
        found.setdefault(str(a.shape).encode() + a.tobytes(), f._replace(value=a))
    return list(found.values())


def _variables(function: Any, call: Callable[[], Any]) -> dict[str, Any]:
    """The local variables of a function when it returns."""
    found: dict[str, Any] = {}
    code = getattr(function, "__code__", None)

    def watch(frame: Any, event: str, _: Any) -> None:
        if event == "return" and frame.f_code is code:
            found.update({n: v.copy() if isinstance(v, np.ndarray) else v for n, v in frame.f_locals.items()})

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        call()
    finally:
        sys.setprofile(before)
    return found


def _degree(once: Any, twice: Any) -> int:
    if np.shape(once) != np.shape(twice):
        return UNKNOWN
    return 0 if np.allclose(once, twice) else 1 if np.allclose(np.multiply(once, 2), twice) else UNKNOWN


def _parts(name: str, saved: Any) -> Iterator[tuple[str, Any]]:
    pairs = saved.items() if isinstance(saved, dict) else enumerate(saved) if isinstance(saved, tuple | list) else ()
    for key, value in pairs:
        yield f"{name}[{key!r}]", value


def _by_name(seen: Sequence[Formula]) -> dict[str, Any]:
    saved = {ast.literal_eval(f.source[6:-1]): f.value for f in seen if f.source.startswith("saved[")}
    return {f.source: f.value for f in seen} | ({"saved": saved} if saved else {})


def _answers(e: Evidence, seen: _Seen) -> Iterator[Answer]:
    whole, of_dy = _without(seen.table(e.true.shape), e), _without(seen.table(e.dys[0].shape), e)
    got, true, dy = np.ravel(e.got), e.true.ravel(), e.dys[0].ravel()
    one = np.eye(got.size)
    assert e.rows is not None
    learners = _learners(e)
    for rank, code, told in _found(whole, one, true - got, 1):
        name = _term_name(told)
        yield Answer(rank, name, f"Your {e.label} plus {told} is right.", _with_term(e.k, code))
    for rank, code, told in _found(whole, np.diag(got), true, 0):
        yield Answer(rank, _factor_name(told, missing=True), f"Your {e.label} times {told} is right.", _with_factor(e.k, code))
    if learners is not None:
        for rank, code, told in _found(of_dy, learners * dy, true, 0):
            advice = f"{e.label} is right if dy is multiplied by {told}."
            yield Answer(rank, _factor_name(told, missing=True), advice, _with_dy(e.k, code))
    for rank, code, told in _found(of_dy, e.rows * dy, got, 0):
        yield Answer(rank, _factor_name(told, missing=False), f"Your {e.label} has a factor {told} too many.", _for_dy(e.k, code))
    yield from _other_name(e, whole, one)
    for slope in [f for f in of_dy.parts if f.rank <= 1 and f.degree == 0 and f.value.shape == e.dys[0].shape]:
        if np.abs(slope.value).min(initial=1) > 1e-6:
            for rank, code, told in _found(of_dy, e.rows * (dy / slope.value.ravel()), got, 0):
                name, advice = f"{told} instead of {slope.text}", f"In {e.label} stands {told} where {slope.text} belongs."
                yield Answer(rank + slope.rank + 1, name, advice, _for_dy(e.k, f"({code}) / ({slope.source})"))


def _term_name(told: str) -> str:
    """A term with its sign; twice a term is what a wrong sign leaves."""
    if re.match(r"-?2 \* ", told):
        return f"sign of the term {told.split(' * ', 1)[1]}"
    return f"term {told[1:]} too many" if told.startswith("-") else f"term {told} forgotten"


def _factor_name(told: str, missing: bool) -> str:
    """A factor that is missing or too many; a quotient is one thing in place of another."""
    if quotient := re.fullmatch(r"(.+) \* \(1 / ([^/]+)\)|\((\w+) / (\w+)\)\[:, None\]", told):
        a, b = (g for g in quotient.groups() if g)
        return f"{b} instead of {a}" if missing else f"{a} instead of {b}"
    if told.startswith("1 / "):
        return f"factor {told[4:]} {'too many' if missing else 'forgotten'}"
    return f"factor {told} {'forgotten' if missing else 'too many'}"


def _other_name(e: Evidence, whole: Table, one: np.ndarray) -> Iterator[Answer]:
    """The learner's gradient and the right one, as formulas that differ in one name."""
    pairs = itertools.product(_found(whole, one, np.ravel(e.got), 1), _found(whole, one, e.true.ravel(), 1))
    for (rank, mine, _), (other_rank, right, _) in pairs:
        a, b = re.findall(NAME, mine), re.findall(NAME, right)
        differ = {(s, t) for s, t in zip(a, b, strict=False) if s != t}
        if len(a) == len(b) and len(differ) == 1:
            (old, new), *_ = differ
            turned = " (not transposed)" if old.removesuffix(".T") == new.removesuffix(".T") else ""
            name, advice = f"{old} instead of {new}{turned}", f"Your {e.label} is {mine}; right is {right}."
            yield Answer(rank + other_rank, name, advice, _as_written(e.k, mine, right))


def _as_written(k: int, mine: str, right: str) -> Callable[[dict[str, Any], Resized], bool]:
    def holds(seen: dict[str, Any], other: Resized) -> bool:
        return np.allclose(other.claimed[k], _value(mine, seen)) and other.agrees(k, _value(right, seen))

    return holds


def _without(formulas: Table, e: Evidence) -> Table:
    """The table without what is made of the gradient itself, times a number."""
    gradient = frozenset[str]().union(*(f.names for f in formulas.parts if len(f.names) == 1 and _is_gradient(f, e)))
    return formulas.without(gradient)


def _is_gradient(f: Formula, e: Evidence) -> bool:
    row = f.value.reshape(1, -1)
    return f.value.shape == e.true.shape and any(parallel(row, np.ravel(g))[0][0] for g in (e.got, e.true))


def _found(formulas: Table, slope: np.ndarray, target: np.ndarray, degree: int) -> Iterator[tuple[int, str, str]]:
    """Formulas with which a target is reached: rank, formula, source, text."""
    for row, number in along(formulas.values, slope, target, list(NUMBERS)):
        if formulas.degrees[row] in (degree, UNKNOWN):
            f = formulas.formula(row)
            yield f.rank + (number != 1), *written(f, NUMBERS[number])


def _learners(e: Evidence) -> np.ndarray | None:
    """The learner's backward as a matrix (numbers of the gradient, numbers of dy)."""
    dy, k = e.dys[0], e.k
    assert e.subject.pulled is not None and e.subject.backward is not None
    pull = e.subject.pulled(e.subject.arrays)
    try:
        columns = [as_list(pull(e.subject.backward, [u]))[k].ravel() for u in np.eye(dy.size).reshape(-1, *dy.shape)]
    except Exception:  # it returns something else for another dy
        return None
    matrix = np.array(columns, float).T
    return matrix if np.allclose(matrix @ dy.ravel(), np.ravel(e.got)) else None


def _value(code: str, seen: dict[str, Any]) -> Any:
    return eval(code, {"np": np, **seen})


def _with_term(k: int, code: str) -> Callable[[dict[str, Any], Resized], bool]:
    return lambda seen, other: other.agrees(k, other.claimed[k] + _value(code, seen))


def _with_factor(k: int, code: str) -> Callable[[dict[str, Any], Resized], bool]:
    return lambda seen, other: other.agrees(k, other.claimed[k] * _value(code, seen))


def _for_dy(k: int, code: str) -> Callable[[dict[str, Any], Resized], bool]:
    return lambda seen, other: other.agrees(k, other.claimed[k], [other.dys[0] * _value(code, seen)])


def _with_dy(k: int, code: str) -> Callable[[dict[str, Any], Resized], bool]:
    def holds(seen: dict[str, Any], other: Resized) -> bool:
        assert other.subject.pulled is not None and other.subject.backward is not None
        raw = other.subject.pulled(other.subject.arrays)(other.subject.backward, [other.dys[0] * _value(code, seen)])
        return other.agrees(k, as_list(raw)[k])

    return holds
