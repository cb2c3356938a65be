"""Patterns of gradients that are the right one times something: a number, an array, the slope of an activation.

A number has many possible reasons (batch, time, heads, temperature), so it is explained only if the explanation holds at other
sizes, too; else it is called a constant factor, with its value.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from tinydx.gradcheck.evidence import Evidence
from tinydx.gradcheck.report import Diagnosis
from tinydx.language import sentence


def ratio(e: Evidence) -> float:
    """The number c with which the gradient is c times the true one, everywhere; NaN if there is none."""
    if e.got.shape != e.true.shape:
        return float("nan")
    true, got = e.true.flat[e.at], e.got.flat[e.at]
    c = float(got @ true / (true @ true)) if true.any() else float("nan")
    return c if abs(c) > 1e-9 and e.looks_like(c * e.true) else float("nan")


def factor(e: Evidence) -> Iterator[Diagnosis]:
    """The right gradient times one number, with the reason if one holds at all sizes."""
    c, known = ratio(e), _known(e)
    number = sentence("Your {label} is exactly {c:.6g} times the true gradient, everywhere.", label=e.label, c=c)
    if len(known) > 1 and _same_everywhere(known):
        yield from _constant(e, c, number)
    elif len(known) > 1:
        yield from _of_sizes(known, number)


def same_factor(e: Evidence) -> Iterator[Diagnosis]:
    """A number that is the same at other sizes, and has no known reason."""
    known = _known(e)
    if len(known) > 1 and _same_everywhere(known):
        yield from constant_factor(e)


def constant_factor(e: Evidence) -> Iterator[Diagnosis]:
    """The right gradient times one number without a known reason: the number itself."""
    c, known = ratio(e), _known(e)
    if not known or (np.count_nonzero(e.true.flat[e.at]) < 2 and not (len(known) > 1 and _same_everywhere(known))):
        return
    number = sentence("Your {label} is exactly {c:.6g} times the true gradient, everywhere.", label=e.label, c=c)
    more = sentence(" At other sizes, too.") if _same_everywhere(known) else sentence(" At other sizes it differs.")
    told = "{number}{more} A number is missing, or one too many."
    yield Diagnosis("constant factor", sentence(told, number=number, more=more if len(known) > 1 else ""))


Counted = tuple[float, list[tuple[int, str, str]]]  # a factor, and the counts that might explain it


def _known(e: Evidence) -> list[Counted]:
    """The factor here and at other sizes, each with the counts of examples, positions and others; empty if there is none."""
    c = ratio(e)
    if not np.isfinite(c) or abs(c + 1) < 1e-9:
        return []
    others = [(r.ratio(e.k), list(_divisors(r.dys, r.subject.arrays))) for r in e.resized]
    return [(c, list(_divisors(e.dys, e.subject.arrays))), *(o for o in others if np.isfinite(o[0]))]


def _same_everywhere(known: list[Counted]) -> bool:
    return all(abs(c / known[0][0] - 1) < 1e-6 for c, _ in known)


def _constant(e: Evidence, c: float, number: str) -> Iterator[Diagnosis]:
    """Reasons for a factor that is the same at all sizes."""
    for name, value in _scalars(e):
        if any(abs(c - f) < 1e-9 for f in (value, 1 / value, 1 - value, 1 / (1 - value))):
            yield Diagnosis(
                sentence("factor of {name}", name=name),
                sentence(
                    "{number} {name} is {value:g}: is its factor missing, or there twice?", number=number, name=name, value=value
                ),
            )
    if abs(c - 2) < 1e-7:
        yield Diagnosis(
            "counted twice, or a half forgotten",
            sentence("{number} Is something added twice, a half missing, or a 2 there that does not belong?", number=number),
        )
    if abs(c - 0.5) < 1e-7:
        yield Diagnosis(
            "factor 2 forgotten",
            sentence("{number} The derivative of a square brings a 2; a sum of two uses has two terms.", number=number),
        )


def _of_sizes(known: list[Counted], number: str) -> Iterator[Diagnosis]:
    """The one count of examples, positions or others that explains the factor at every size."""
    for i, (n, name, story) in enumerate(known[0][1]):
        if n > 1 and all(len(counts) > i and abs(c * counts[i][0] - 1) < 1e-7 for c, counts in known):
            yield Diagnosis(sentence("averaged over {name}", name=name), sentence("{number} {story}", number=number, story=story))
            return
    for i, (n, name, _) in enumerate(known[0][1]):
        if n > 1 and all(len(counts) > i and abs(c / counts[i][0] - 1) < 1e-7 for c, counts in known):
            advice = sentence("{number} {n} is the size of {name}: is there a mean in forward?", number=number, n=n, name=name)
            yield Diagnosis(sentence("1/{n} forgotten", n=n), advice)
            yield Diagnosis("sum instead of mean", advice)
            return


def _divisors(dys: Sequence[np.ndarray], arrays: Sequence[np.ndarray]) -> Iterator[tuple[int, str, str]]:
    """Numbers by which people divide, with what they count and the advice."""
    shapes = {dy.shape: None for dy in dys} if dys[0].ndim else {a.shape: None for a in arrays[:1]}
    carries = sentence("dy already carries the 1/N of the loss.")
    whose = sentence("dy") if dys[0].ndim else sentence("the input")
    for shape in filter(None, shapes):
        axes = range(len(shape))
        batch = sentence("the batch")
        choices = [(batch, (0,)), (sentence("the batch and positions"), axes[:-1]), (sentence("everything"), axes)]
        some = [c for n in range(1, len(shape)) for c in itertools.combinations(axes, n)]
        for name, chosen in [
            *choices,
            *((sentence("axes {axes} of {whose}", axes=c, whose=whose), c) for c in some if c != (0,)),
        ]:
            n = int(np.prod([shape[a] for a in chosen]))
            if n > 0:
                question = sentence("With a batch of {n}, did you average over the batch?", n=n)
                other = sentence("Did you take a mean over {name}, {n} numbers?", name=name, n=n)
                yield n, name, sentence("{question} {carries}", question=question if name == batch else other, carries=carries)


def _scalars(e: Evidence) -> Iterator[tuple[str, float]]:
    """Constants that are one number, such as dropout's rate, but not 0 or 1."""
    for name, c in e.subject.constants.items():
        if isinstance(c, int | float) and not isinstance(c, bool) and c not in (0, 1):
            yield name, float(c)


def another_factor(e: Evidence) -> Iterator[Diagnosis]:
    """The gradient lacks an array as a factor, or has one too many."""
    for name, a in _factors(e):
        if a.ndim > e.true.ndim or not np.isfinite(a).all() or a.size < 2 or (a == a.flat[0]).all():
            continue
        try:
            a = np.broadcast_to(a, e.true.shape)
        except ValueError:
            continue
        if e.same(e.got * a, e.true):
            yield Diagnosis(
                sentence("factor {name} forgotten", name=name),
                sentence("{label} times {name} is the right gradient: multiply by {name}.", label=e.label, name=name),
            )
        elif e.looks_like(e.true * a):
            yield Diagnosis(
                sentence("factor {name} too many", name=name),
                sentence("{label} is the right gradient times {name}: it should not be there.", label=e.label, name=name),
            )


def _factors(e: Evidence) -> Iterator[tuple[str, np.ndarray]]:
    """Arrays that may be a factor, with their names."""
    yield from (("dy", dy) for dy in e.dys)
    for name, a in [*zip(e.subject.names, e.subject.arrays, strict=True), *e.subject.constants.items()]:
        if isinstance(a, np.ndarray) and a.dtype.kind in "bf":
            yield name, a.astype(float)
    y = np.asarray(e.subject.value(e.subject.arrays)[0])
    yield "y", y
    yield "1 - y", 1 - y
    yield "1 - y**2", 1 - y**2


def slope_of_output(e: Evidence) -> Iterator[Diagnosis]:
    """The slope of the last activation is missing, or multiplied in twice: dy / slope or dy * slope gives this gradient."""
    if e.rows is None or len(e.dys) > 1:
        return
    y, dy = np.asarray(e.subject.value(e.subject.arrays)[0]), e.dys[0]
    for name, slope in _slopes(y):
        if (slope == slope.flat[0]).all() if slope.size else True:
            continue
        if np.all(np.abs(slope) > 1e-9) and e.looks_like(e.with_dy(0, dy / slope)):
            yield Diagnosis(
                sentence("{name} forgotten", name=name),
                sentence("{label} lacks the activation's slope: go back through it first.", label=e.label),
            )
            return
        if e.looks_like(e.with_dy(0, dy * slope)):
            yield Diagnosis(
                sentence("{name} too many", name=name),
                sentence("{label} has the factor twice, or one that does not belong here.", label=e.label),
            )
            return


def _slopes(y: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Slopes of activations by their output."""
    yield sentence("slope of tanh, 1 - y**2,"), 1 - y**2
    yield sentence("slope of sigmoid, y (1 - y),"), y * (1 - y)
    yield sentence("gate y > 0"), (y > 0).astype(float)
    yield sentence("factor y"), y
    yield sentence("factor 1 - y"), 1 - y


def elementwise(e: Evidence) -> Iterator[Diagnosis]:
    """For y = f(x), number by number: what the learner's slope is, and what it should be."""
    got, true = _own_slopes(e)
    if got and true:
        yield Diagnosis(
            sentence("{got} instead of {true}", got=got[0], true=true[0]),
            sentence("Your slope is {got}; here it is {true}.", got=got[0], true=true[0]),
        )


def only_slope(e: Evidence) -> Iterator[Diagnosis]:
    """What the learner's slope is, where the right one has no short formula."""
    got, true = _own_slopes(e)
    if got and not true:
        yield Diagnosis(
            sentence("slope {got}", got=got[0]),
            sentence("Your slope is {got}, which is not the derivative of this function.", got=got[0]),
        )


def _own_slopes(e: Evidence) -> tuple[list[str], list[str]]:
    """For y = f(x), number by number: formulas of the learner's slope and of the right one, the shortest first."""
    x, dy = e.subject.arrays[e.k], e.dys[0]
    if e.rows is None or len(e.dys) > 1 or not e.complete or x.shape != dy.shape or x.size < 2:
        return [], []
    if np.count_nonzero(e.rows) > x.size or not np.array_equal(np.count_nonzero(e.rows, axis=1), np.diag(e.rows) != 0):
        return [], []
    y = np.asarray(e.subject.value(e.subject.arrays)[0])
    table = {n: v for n, v in _expressions(e.subject.names[e.k], x, y) if np.isfinite(v).all()}
    got = [n for n, v in table.items() if e.looks_like(dy * v)]
    true = [n for n, v in table.items() if e.same(e.true, dy * v)]
    return sorted(got, key=len), sorted(true, key=len)


def _expressions(name: str, x: np.ndarray, y: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Expressions that slopes are made of, in x and in y."""
    for n, v in ((name, x), ("y", y)):
        yield n, v
        yield f"1 - {n}", 1 - v
        yield f"{n} * (1 - {n})", v * (1 - v)
        yield f"1 - {n}**2", 1 - v**2
        yield f"{n}**2", v**2
        yield f"1 / {n}", 1 / v
        yield f"1 / {n}**2", 1 / v**2
        yield f"-1 / {n}**2", -1 / v**2
        yield f"1 / (2 * {n})", 0.5 / v
        yield f"({n} > 0)", (v > 0).astype(float)
        yield f"exp({n})", np.exp(v)
        yield f"log({n})", np.log(v)
        yield f"exp(-{n})", np.exp(-v)
        yield f"-exp(-{n})", -np.exp(-v)
        yield f"1 / (1 + {n}**2)", 1 / (1 + v**2)
        yield f"sin({n})", np.sin(v)
        yield f"cos({n})", np.cos(v)
        yield f"tanh({n})", np.tanh(v)
        yield f"sigmoid({n})", 1 / (1 + np.exp(-v))
        yield f"2 * {n}", 2 * v
        yield f"3 * {n}**2", 3 * v**2
    yield f"{name} * y", x * y
    yield f"y * (1 - {name})", y * (1 - x)
