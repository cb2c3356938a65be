"""The rules that every backward keeps, whatever it computes.

It returns one gradient for each array, changes none of its inputs, gives the same result when it is called again, and is
linear in dy: zero in gives zero out, and the gradient of a sum is the sum of the gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinydx.gradcheck.calling import Failed, shape
from tinydx.gradcheck.report import Diagnosis
from tinydx.gradcheck.subject import Subject
from tinydx.language import sentence

Pulled = Sequence[np.ndarray | None]


def called(subject: Subject, pull: Callable, dys: list[np.ndarray], indices: list[int]) -> tuple[list[Any], list[Diagnosis]]:
    """The gradients that the backward returns, one for each chosen argument; and a diagnosis if their number is wrong."""
    try:
        raw = pull([dy.copy() for dy in dys])
    except Failed as error:
        return [], [Diagnosis("backward raised", str(error), "rule")]
    wanted = _wanted(subject, indices)
    if raw is None or isinstance(raw, bool | np.bool_ | dict | str | set):
        missing = sentence(": is `return` missing?") if raw is None else "."
        kind = sentence("None") if raw is None else sentence("a {kind}", kind=type(raw).__name__)
        return [], [
            Diagnosis(
                sentence("backward returned {kind}", kind=kind),
                sentence("backward returned {kind}, expected {wanted}{missing}", kind=kind, wanted=wanted, missing=missing),
                "rule",
            )
        ]
    gradients = [g.copy() if isinstance(g, np.ndarray) else g for g in as_list(raw)]
    while len(gradients) > len(subject.names) and gradients[-1] is None and subject.constants:
        gradients.pop()  # None for labels, which have no gradient
    optional = max((len(op.arrays) for op in subject.ops), default=0)  # a bias that was not given may have a gradient
    if len(gradients) in (len(subject.names), optional) and len(gradients) >= len(indices):
        return [gradients[i] for i in indices], []
    if len(gradients) == len(indices):
        return gradients, []
    got = sentence("{n} gradients", n=len(gradients)) if isinstance(raw, tuple | list) else sentence("one array")
    first = shape(gradients[0] if gradients else None)
    advice = sentence(
        "backward returned {got}, expected {wanted}; the first has shape {first}.", got=got, wanted=wanted, first=first
    )
    found = [*gradients, *[None] * len(indices)][: len(indices)]
    return found, [Diagnosis("wrong number of gradients", advice, "rule")]


def _wanted(subject: Subject, indices: list[int]) -> str:
    """What a backward returns, such as "a tuple of 2: (dx, dw)", with the shapes."""
    parts = ", ".join("d" + subject.names[i] for i in indices)
    shapes = ", ".join(str(subject.arrays[i].shape) for i in indices)
    parts += "," * (len(indices) == 1)
    return sentence("a tuple of {n}: ({parts}) of shapes {shapes}", n=len(indices), parts=parts, shapes=shapes)


def broken_rules(
    subject: Subject, arrays: list[np.ndarray], pull: Callable, dys: list[np.ndarray], rng: np.random.Generator
) -> list[Diagnosis]:
    """The rules that this backward breaks; `arrays` are the copies on which it ran."""
    try:
        return _broken(subject, arrays, pull, dys, rng)
    except Failed as error:  # at the second call, or for a dy of zeros
        return [Diagnosis("backward raised", str(error), "rule")]


def _broken(
    subject: Subject, arrays: list[np.ndarray], pull: Callable, dys: list[np.ndarray], rng: np.random.Generator
) -> list[Diagnosis]:
    first = _numbers(pull(given := [dy.copy() for dy in dys]))
    noise = 1e-3 * max((np.max(np.abs(dy), initial=0) for dy in dys), default=0)  # rounding that a gradient of zero may leave
    found = []
    if not _close(_numbers(pull([dy.copy() for dy in dys])), first, noise):
        advice = "Two calls with the same dy differ: it changes what forward saved, or keeps sums from the call before."
        found.append(Diagnosis("not the same twice", advice, "rule"))
    names = [*subject.names, *["dy"] * len(dys)]
    pairs = zip(names, [*arrays, *given], [*subject.arrays, *dys], strict=True)
    if changed := [n for n, now, before in pairs if not np.array_equal(now, before, equal_nan=True)]:
        advice = sentence(
            "{changed} changed during the call: work on a copy instead of +=, out= or [...] =.", changed=", ".join(changed)
        )
        found.append(Diagnosis("inputs changed", advice, "rule"))
    return found or _not_linear(pull, dys, first, noise, rng)


def _not_linear(pull: Callable, dys: list[np.ndarray], first: Pulled, noise: float, rng: np.random.Generator) -> list[Diagnosis]:
    """Whether zero gives zero, and 2 a - 3 b gives twice the gradients of a minus three times those of b."""
    if any(g is not None and np.nan_to_num(g).any() for g in _numbers(pull([np.zeros_like(dy) for dy in dys]))):
        return [Diagnosis("zero in, not zero out", "For dy = 0 all gradients are 0: every term carries dy.", "rule")]
    others = [np.asarray(rng.normal(size=dy.shape)) for dy in dys]
    second = _numbers(pull([dy.copy() for dy in others]))
    mixed = _numbers(pull([2 * a - 3 * b for a, b in zip(dys, others, strict=True)]))
    expected = [None if a is None or b is None else 2 * a - 3 * b for a, b in zip(first, second, strict=False)]
    if _close(mixed, expected, noise):
        return []
    return [Diagnosis("not linear in dy", "Twice the dy must give twice the gradient, and sums must give sums.", "rule")]


def as_list(raw: Any) -> list[Any]:
    """What a backward returned, as a list of gradients."""
    return list(raw) if isinstance(raw, tuple | list) else [raw]


def _numbers(raw: Any) -> list[np.ndarray | None]:
    """The gradients as float arrays; None for what is no array of numbers, which `Judge` reports."""
    arrays = [np.asarray(g) for g in as_list(raw)]  # astype makes a copy of what may be a view of dy
    return [a.astype(float) if a.dtype.kind in "biuf" else None for a in arrays]


def _close(some: Pulled, others: Pulled, noise: float) -> bool:
    """Whether the gradients are equal up to rounding, wherever both are finite arrays of one shape."""
    for a, b in zip(some, others, strict=False):
        if a is not None and b is not None and a.shape == b.shape and np.isfinite(b).all():
            size = max(np.max(np.abs(b), initial=0), noise)
            if not np.max(np.abs(a - b), initial=0) <= 1e-9 * size:  # true for NaN, too
                return False
    return True
