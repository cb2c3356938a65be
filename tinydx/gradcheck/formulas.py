"""Formulas of what a backward can see, all at once: a table of expressions with their values, for one shape.

The search looks a needed value up in it, instead of running the backward again for each expression. The atoms are names, what
activations, powers and sums make of them, and differences; the others are products of two, with a sum, and matrix products.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

MOST = 220  # atoms that are multiplied with one another
SIMPLE = 1  # the last rank of atoms that are multiplied with one another
UNARY = (  # how it is written, how likely, its value
    ("1 - {0}", 1, lambda a: 1 - a),
    ("{0} ** 2", 1, lambda a: a**2),
    ("1 / {0}", 1, lambda a: 1 / a),
    ("{0} * (1 - {0})", 1, lambda a: a * (1 - a)),
    ("1 - {0} ** 2", 1, lambda a: 1 - a**2),
    ("({0} > 0)", 1, lambda a: (a > 0) * 1.0),
    ("{0} ** 3", 2, lambda a: a**3),
    ("1 / {0} ** 2", 2, lambda a: a**-2.0),
    ("1 / {0} ** 3", 2, lambda a: a**-3.0),
    ("np.exp({0})", 2, np.exp),
    ("np.exp(-{0})", 2, lambda a: np.exp(-a)),
    ("np.log({0})", 2, np.log),
    ("np.sqrt({0})", 2, np.sqrt),
    ("np.tanh({0})", 2, np.tanh),
    ("np.cos({0})", 2, np.cos),
    ("np.sin({0})", 2, np.sin),
    ("np.sign({0})", 2, np.sign),
    ("1 / (1 + np.exp(-{0}))", 2, lambda a: 1 / (1 + np.exp(-a))),
)


class Formula(NamedTuple):
    """An expression: its source, its value, its rank (how unlikely it is), its degree in dy (None: unknown), its names."""

    source: str
    value: Any
    rank: int
    degree: int | None
    names: tuple[str, ...]


@dataclass
class Table:
    """Formulas that broadcast to one shape: their values in rows (formulas, numbers), and all else by the row's number."""

    formulas: list[Formula]
    values: np.ndarray


def table(given: Sequence[Formula], shape: tuple[int, ...]) -> Table:
    """All formulas of these names that broadcast to the shape.

    Arguments: given, the names as formulas; shape.
    """
    with np.errstate(all="ignore"):
        base = [f for f in given if f.value.ndim]
        atoms = list(_atoms(given))
        fitting = _fitting([*atoms, *_sums(base), *_columns(given, shape)], shape)
        full = [f for f in fitting if f.rank <= SIMPLE][:MOST]
        found = [*fitting, *_fitting(_matrix_products(base, shape), shape)]
        rows = np.array([np.broadcast_to(f.value, shape).ravel() for f in found]).reshape(len(found), -1)
        some = np.array([np.broadcast_to(f.value, shape).ravel() for f in full]).reshape(len(full), -1)
        first, second = np.triu_indices(len(full))
        pairs = [_product(full[i], full[j]) for i, j in zip(first, second, strict=True)]
        values = np.concatenate([rows, some[first] * some[second]])
    good = np.isfinite(values).all(axis=1) & values.any(axis=1)
    return Table([f for f, ok in zip([*found, *pairs], good, strict=True) if ok], values[good])


def degree(*parts: Formula) -> int | None:
    """The degree in dy of a product."""
    known = [f.degree for f in parts]
    return None if None in known else sum(known)  # type: ignore[arg-type]


def _fitting(formulas: Iterable[Formula], shape: tuple[int, ...]) -> list[Formula]:
    """Those that broadcast to the shape, each value once, the likeliest first."""
    found: dict[bytes, Formula] = {}
    for f in sorted(formulas, key=lambda f: f.rank):
        padded = (1,) * (len(shape) - f.value.ndim) + f.value.shape
        if f.value.ndim <= len(shape) and all(a in (1, b) for a, b in zip(padded, shape, strict=True)):
            found.setdefault(np.round(np.broadcast_to(f.value, shape), 12).tobytes(), f)
    return list(found.values())


def _made(source: str, value: Any, rank: int, of_degree: int | None, *parts: Formula) -> Formula:
    return Formula(source, np.asarray(value, float), rank, of_degree, tuple(n for f in parts for n in f.names))


def _product(a: Formula, b: Formula) -> Formula:
    """A product, without its value, which the table has."""
    return Formula(f"{_in(a)} * {_in(b)}", None, a.rank + b.rank + 1, degree(a, b), a.names + b.names)


def _in(f: Formula) -> str:
    """The source as an operand."""
    return f.source if f.source.isidentifier() or f.source.endswith("]") else f"({f.source})"


def _atoms(given: Sequence[Formula]) -> Iterator[Formula]:
    for f in given:
        yield f
        for how, rank, function in UNARY:
            of_degree = 0 if f.degree == 0 else None
            yield _made(how.format(f.source), function(f.value), f.rank + rank, of_degree, f)
        if f.value.ndim > 1:
            yield _made(f"{f.source}.swapaxes(-1, -2)", f.value.swapaxes(-1, -2), f.rank + 1, f.degree, f)
        for axis, how in itertools.product(range(f.value.ndim), ("sum", "mean", "max")):
            made = getattr(f.value, how)(axis=axis, keepdims=True)
            of_degree = f.degree if how != "max" else None
            yield _made(f"{f.source}.{how}(axis={axis}, keepdims=True)", made, f.rank + 1, of_degree, f)
    for a, b in itertools.permutations(given, 2):
        if a.value.shape == b.value.shape and a.degree == b.degree:
            yield _made(f"{a.source} - {b.source}", a.value - b.value, a.rank + b.rank + 1, a.degree, a, b)
            if a.source < b.source:
                yield _made(f"{a.source} + {b.source}", a.value + b.value, a.rank + b.rank + 1, a.degree, a, b)


def _columns(given: Sequence[Formula], shape: tuple[int, ...]) -> Iterator[Formula]:
    """Vectors that may multiply the rows of a matrix."""
    for f in given:
        if len(shape) == 2 and f.value.ndim == 1 and f.value.shape == shape[:1]:
            yield _made(f"{f.source}[:, None]", f.value[:, None], f.rank + 1, f.degree, f)


def _sums(base: Sequence[Formula]) -> Iterator[Formula]:
    """Products of two arrays summed along an axis, alone and times one of both: the second term of a normalisation."""
    for a, b in itertools.combinations_with_replacement(base, 2):
        if a.value.shape == b.value.shape and (d := degree(a, b)) in (0, 1, None):
            for axis, how in itertools.product([*range(a.value.ndim), None], ("sum", "mean")):
                total = getattr(a.value * b.value, how)(axis=axis, keepdims=True)
                at = "" if axis is None else f"axis={axis}, keepdims=True"
                source, rank = f"({a.source} * {b.source}).{how}({at})", a.rank + b.rank + 2
                yield _made(source, total, rank, d, a, b)
                for f in dict.fromkeys((a.source, b.source)):
                    again = a if f == a.source else b
                    yield _made(f"{f} * {source}", again.value * total, rank + 1, degree(again, a, b), a, b)


def _matrix_products(base: Sequence[Formula], shape: tuple[int, ...]) -> Iterator[Formula]:
    """Products of two matrices, either transposed, and outer products, if they have this shape."""
    for a, b in itertools.product(base, repeat=2):
        rank, d = a.rank + b.rank + 1, degree(a, b)
        if d == 2 or max(a.value.ndim, b.value.ndim) > len(shape) + 1:
            continue
        for (s, u), (t, w) in itertools.product(_turned(a), _turned(b)):
            if u.ndim and w.ndim and u.shape[-1] == w.shape[-2 if w.ndim > 1 else 0] and u.shape[:-2] == w.shape[:-2]:
                if (u.shape[:-1] + w.shape[-1:] if w.ndim > 1 else u.shape[:-1]) == shape:
                    yield _made(f"{s} @ {t}", u @ w, rank, d, a, b)
        if a.value.ndim == b.value.ndim == 1 and a.value.shape + b.value.shape == shape:
            yield _made(f"{a.source}[:, None] * {b.source}", np.outer(a.value, b.value), rank, d, a, b)


def _turned(f: Formula) -> list[tuple[str, np.ndarray]]:
    """A matrix or stack as it stands and transposed."""
    turned = [(f.source, f.value)]
    if f.value.ndim > 1:
        turned.append((f"{f.source}.T" if f.value.ndim == 2 else f"{f.source}.swapaxes(-1, -2)", f.value.swapaxes(-1, -2)))
    return turned
