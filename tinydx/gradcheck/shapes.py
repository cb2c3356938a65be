"""Patterns of gradients that have the wrong shape."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from tinydx.gradcheck.evidence import Evidence, Pattern
from tinydx.gradcheck.report import Diagnosis
from tinydx.language import sentence

KEPT_TOO_MANY = "{label} has shape {got}, expected {true}: sum without keepdims=True."
KEPT_TOO_FEW = "{label} has shape {got}, expected {true}: sum with keepdims=True."


def not_transposed_back(e: Evidence) -> Iterator[Diagnosis]:
    """The right gradient with its axes in another order."""
    for axes in itertools.permutations(range(e.true.ndim)):
        if axes != tuple(range(e.true.ndim)) and e.looks_like(e.true.transpose(axes)):
            yield Diagnosis(
                "transposed",
                sentence(
                    "{label} has shape {got}: it is the right gradient with its axes in the order {axes}.",
                    label=e.label,
                    got=e.got.shape,
                    axes=axes,
                ),
            )
            return


def another_argument(e: Evidence) -> Iterator[Diagnosis]:
    """The right gradient of another argument."""
    for k, (name, true) in enumerate(zip(e.subject.names, e.trues, strict=True)):
        if true is not e.true and k not in e.right and e.looks_like(true):
            yield Diagnosis(
                "gradients in the wrong order",
                sentence(
                    "What stands for {label} is the gradient of {name}: return them in forward's order.", label=e.label, name=name
                ),
            )


def sum_forgotten(e: Evidence) -> Iterator[Diagnosis]:
    """Summed over some axes, the gradient is right."""
    for count in range(1, e.got.ndim + 1):
        for axes in itertools.combinations(range(e.got.ndim), count):
            for keep in (False, True):
                total = e.got.sum(axis=axes, keepdims=keep)
                if e.same(total, e.true):
                    which = sentence("axis {axis}", axis=axes[0]) if count == 1 else sentence("axes {axes}", axes=axes)
                    of_batch = axes[0] == 0 and (e.dys[0].shape[:1] == e.got.shape[:1] or count > 1)
                    name = "batch sum forgotten" if of_batch else "sum forgotten (axis 0)" if axes[0] == 0 else "sum forgotten"
                    yield Diagnosis(
                        name,
                        sentence(
                            "{label} has shape {got}, expected {true}: sum over {which}, everything there was made"
                            " with the same {array}.",
                            label=e.label,
                            got=e.got.shape,
                            true=e.true.shape,
                            which=which,
                            array=e.subject.names[e.k],
                        ),
                    )
                    return


def summed_too_much(e: Evidence) -> Iterator[Diagnosis]:
    """The right gradient, summed over axes that it should keep."""
    for count in range(1, e.true.ndim + 1):
        for axes in itertools.combinations(range(e.true.ndim), count):
            for keep in (False, True):
                if e.looks_like(e.true.sum(axis=axes, keepdims=keep)):
                    yield Diagnosis(
                        "summed too much",
                        sentence(
                            "{label} was summed over axes {axes} that {array} still has.",
                            label=e.label,
                            axes=axes,
                            array=e.subject.names[e.k],
                        ),
                    )
                    return


def keepdims(e: Evidence) -> Iterator[Diagnosis]:
    """The right numbers with an axis of size 1 too many, or too few."""
    without = [tuple(n for n in shape if n != 1) for shape in (e.got.shape, e.true.shape)]
    if e.got.size == e.true.size and without[0] == without[1] and e.same(e.got.reshape(e.true.shape), e.true):
        more = e.got.ndim > e.true.ndim
        yield Diagnosis(
            "keepdims too many" if more else "keepdims forgotten",
            sentence(KEPT_TOO_MANY if more else KEPT_TOO_FEW, label=e.label, got=e.got.shape, true=e.true.shape),
        )


def reshape_forgotten(e: Evidence) -> Iterator[Diagnosis]:
    """The right numbers in another shape."""
    if e.got.size == e.true.size and e.same(e.got.reshape(e.true.shape), e.true):
        yield Diagnosis(
            "reshape forgotten",
            sentence(
                "The numbers are right, the shape {got} is not: reshape {label} to {true}.",
                got=e.got.shape,
                label=e.label,
                true=e.true.shape,
            ),
        )


def border_not_removed(e: Evidence) -> Iterator[Diagnosis]:
    """A larger array that contains the right gradient."""
    if e.got.ndim != e.true.ndim or not e.got.size or any(g < t for g, t in zip(e.got.shape, e.true.shape, strict=True)):
        return
    ranges = [range(g - t + 1) for g, t in zip(e.got.shape, e.true.shape, strict=True)]
    for start in itertools.islice(itertools.product(*ranges), 500):
        inner = e.got[tuple(slice(s, s + t) for s, t in zip(start, e.true.shape, strict=True))]
        if e.same(inner, e.true):
            told = "{label} has shape {got}, the right gradient lies inside, from {start}: cut the padding off again."
            yield Diagnosis("border not removed", sentence(told, label=e.label, got=e.got.shape, start=start))
            return


SHAPE_PATTERNS: tuple[Pattern, ...] = (
    keepdims,
    not_transposed_back,
    another_argument,
    sum_forgotten,
    summed_too_much,
    reshape_forgotten,
    border_not_removed,
)
