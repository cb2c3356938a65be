"""Patterns of gradients that have the wrong shape."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from tinydx.gradcheck.evidence import Evidence, Pattern
from tinydx.gradcheck.report import Diagnosis


def not_transposed_back(e: Evidence) -> Iterator[Diagnosis]:
    """The right gradient with its axes in another order."""
    for axes in itertools.permutations(range(e.true.ndim)):
        if axes != tuple(range(e.true.ndim)) and e.looks_like(e.true.transpose(axes)):
            yield Diagnosis(
                "transposed",
                f"{e.label} has shape {e.got.shape}: it is the right gradient with its axes in the order {axes}.",
            )
            return


def another_argument(e: Evidence) -> Iterator[Diagnosis]:
    """The right gradient of another argument."""
    for k, (name, true) in enumerate(zip(e.subject.names, e.trues, strict=True)):
        if true is not e.true and k not in e.right and e.looks_like(true):
            yield Diagnosis(
                "gradients in the wrong order",
                f"What stands for {e.label} is the gradient of {name}: return them in forward's order.",
            )


def sum_forgotten(e: Evidence) -> Iterator[Diagnosis]:
    """Summed over some axes, the gradient is right."""
    for count in range(1, e.got.ndim + 1):
        for axes in itertools.combinations(range(e.got.ndim), count):
            for keep in (False, True):
                total = e.got.sum(axis=axes, keepdims=keep)
                if e.same(total, e.true):
                    which = f"axis {axes[0]}" if count == 1 else f"axes {axes}"
                    of_batch = axes[0] == 0 and (e.dys[0].shape[:1] == e.got.shape[:1] or count > 1)
                    name = "batch sum forgotten" if of_batch else "sum forgotten (axis 0)" if axes[0] == 0 else "sum forgotten"
                    yield Diagnosis(
                        name,
                        f"{e.label} has shape {e.got.shape}, expected {e.true.shape}: sum over {which},"
                        f" everything there was made with the same {e.subject.names[e.k]}.",
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
                        f"{e.label} was summed over axes {axes} that {e.subject.names[e.k]} still has.",
                    )
                    return


def keepdims(e: Evidence) -> Iterator[Diagnosis]:
    """The right numbers with an axis of size 1 too many, or too few."""
    without = [tuple(n for n in shape if n != 1) for shape in (e.got.shape, e.true.shape)]
    if e.got.size == e.true.size and without[0] == without[1] and e.same(e.got.reshape(e.true.shape), e.true):
        more = e.got.ndim > e.true.ndim
        yield Diagnosis(
            "keepdims too many" if more else "keepdims forgotten",
            f"{e.label} has shape {e.got.shape}, expected {e.true.shape}: sum {'without' if more else 'with'} keepdims=True.",
        )


def reshape_forgotten(e: Evidence) -> Iterator[Diagnosis]:
    """The right numbers in another shape."""
    if e.got.size == e.true.size and e.same(e.got.reshape(e.true.shape), e.true):
        yield Diagnosis(
            "reshape forgotten",
            f"The numbers are right, the shape {e.got.shape} is not: reshape {e.label} to {e.true.shape}.",
        )


def border_not_removed(e: Evidence) -> Iterator[Diagnosis]:
    """A larger array that contains the right gradient."""
    if e.got.ndim != e.true.ndim or not e.got.size or any(g < t for g, t in zip(e.got.shape, e.true.shape, strict=True)):
        return
    ranges = [range(g - t + 1) for g, t in zip(e.got.shape, e.true.shape, strict=True)]
    for start in itertools.islice(itertools.product(*ranges), 500):
        inner = e.got[tuple(slice(s, s + t) for s, t in zip(start, e.true.shape, strict=True))]
        if e.same(inner, e.true):
            where = f"{e.label} has shape {e.got.shape}, the right gradient lies inside, from {start}"
            yield Diagnosis("border not removed", f"{where}: cut the padding off again.")
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
