"""Formulas of what a backward can see, all at once: a table of expressions with their values, for one shape.

The search looks a needed value up in it, instead of running the backward again for each expression. The atoms are names and parts
of forward and backward, what activations, powers and sums make of them, and differences; the others are products of two, with a
sum, and matrix products.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinydx.gradcheck.scene import broadcasts

MOST = 400  # atoms that are multiplied with one another
SEVERAL = 12  # names of which longer formulas are made
TOGETHER = 3  # the largest rank of two of them together
CONDITIONS = 6  # under which a formula may hold
UNKNOWN = -9  # a degree
UNARY = (  # how it is written, how likely, its value
    ("1 - {0}", 1, lambda a: 1 - a),
    ("{0} ** 2", 1, lambda a: a**2),
    ("1 / {0}", 1, lambda a: 1 / a),
    ("{0} * (1 - {0})", 1, lambda a: a * (1 - a)),
    ("1 - {0} ** 2", 1, lambda a: 1 - a**2),
    ("({0} > 0)", 1, lambda a: (a > 0) * 1.0),
    ("1 / {0} ** 2", 2, lambda a: a**-2.0),
    ("1 / {0} ** 3", 2, lambda a: a**-3.0),
    ("{0} ** 3", 2, lambda a: a**3),
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
INVERSE = (("1 / {0}", 1, 1), ("1 / {0} ** 2", 2, 2), ("1 / {0} ** 3", 2, 3))  # how it is written, rank, power


class Formula(NamedTuple):
    """An expression: its source, its value, its rank (how unlikely it is), its degree in dy, what it reads, what it is called."""

    source: str
    value: Any
    rank: int
    degree: int
    names: frozenset[str]
    told: str = ""

    @property
    def text(self) -> str:
        """What it is called in a report."""
        return self.told or self.source


class Table:
    """Formulas that broadcast to one shape.

    Arguments: parts, formulas; products, pairs of numbers of parts (P, 2), of which the second is -1 for a part alone; values
    (P, numbers).
    """

    def __init__(self, parts: Sequence[Formula], products: np.ndarray, values: np.ndarray):
        good = np.isfinite(values).all(axis=1) & values.any(axis=1)
        self.parts, self.products, self.values = parts, products[good], values[good]
        degrees = np.array([*(f.degree for f in parts), 0])[self.products].sum(axis=1)
        self.degrees = np.where(degrees < 0, UNKNOWN, degrees)
        self.chosen: dict[frozenset[int | None], tuple[np.ndarray, np.ndarray]] = {}
        self.conditions = [f for f in parts if np.isin(f.value, (0, 1)).all() and 0 < f.value.mean() < 1][:CONDITIONS]

    def of_degrees(self, degrees: frozenset[int | None]) -> tuple[np.ndarray, np.ndarray]:
        """The rows that have one of these degrees, and their values."""
        if degrees not in self.chosen:
            rows = np.flatnonzero(np.isin(self.degrees, [d for d in degrees if d is not None]))
            self.chosen[degrees] = rows, self.values[rows]
        return self.chosen[degrees]

    def without(self, names: frozenset[str]) -> Table:
        """The formulas that read none of these names."""
        keep = np.array([not f.names & names for f in self.parts] + [True])[self.products].all(axis=1)
        return Table(self.parts, self.products[keep], self.values[keep])

    def formula(self, row: int) -> Formula:
        """The formula of one row, without its value."""
        a, b = (self.parts[i] for i in self.products[row])
        return a if self.products[row, 1] < 0 else product(a, b)


def table(given: Sequence[Formula], parts: Sequence[Formula], shape: tuple[int, ...]) -> Table:
    """All formulas that broadcast to the shape.

    Arguments: given, names; parts, other expressions whose products, sums and powers may occur; shape.
    """
    with np.errstate(all="ignore"):
        arrays = [f for f in given if f.value.ndim][: 2 * SEVERAL]
        base = arrays[:SEVERAL]
        atoms = [*_atoms([*given, *parts]), *_differences(given[: 2 * SEVERAL])]
        full = _fitting([*atoms, *_columns(given, shape)], shape)
        whole = _fitting([*full, *_sums(base, shape), *_total_sums(base, shape), *_matrix_products(arrays, base, shape)], shape)
        values = np.array([np.broadcast_to(f.value, shape).ravel() for f in whole]).reshape(len(whole), int(np.prod(shape)))
        ranks = np.array([f.rank for f in whole])
        some = np.flatnonzero(ranks <= TOGETHER)[:MOST]
        first, second = np.triu_indices(len(some))
        pairs = np.stack([some[first], some[second]], axis=1).reshape(-1, 2)
        pairs = pairs[ranks[pairs].sum(axis=1) <= TOGETHER]
        alone = np.stack([np.arange(len(whole)), np.full(len(whole), -1)], axis=1)
        return Table(whole, np.concatenate([alone, pairs]), np.concatenate([values, values[pairs[:, 0]] * values[pairs[:, 1]]]))


def product(*parts: Formula) -> Formula:
    """A product, without its value."""
    names, rank = frozenset().union(*(f.names for f in parts)), sum(f.rank for f in parts) + len(parts) - 1
    return Formula(
        " * ".join(map(operand, parts)), None, rank, degree(*parts), names, " * ".join(bracketed(f.text) for f in parts)
    )


def operand(f: Formula) -> str:
    """The source as an operand."""
    return bracketed(f.source)


def bracketed(source: str) -> str:
    """The source in brackets, if it needs them."""
    has_them = source.startswith("(") and source.endswith(")") and "(" not in source[1:-1]
    return source if has_them or source.replace("[", "").replace("]", "").isidentifier() else f"({source})"


def degree(*parts: Formula) -> int:
    """The degree in dy of a product."""
    total = sum(f.degree for f in parts)
    return UNKNOWN if total < 0 else total


def _fitting(formulas: Iterable[Formula], shape: tuple[int, ...]) -> list[Formula]:
    """Those that broadcast to the shape, each value once, the likeliest first."""
    found: dict[bytes, Formula] = {}
    for f in sorted(formulas, key=lambda f: f.rank):
        if broadcasts(f.value.shape, shape):
            found.setdefault(np.round(np.broadcast_to(f.value, shape), 12).tobytes(), f)
    return list(found.values())


def _made(how: str, value: Any, rank: int, *parts: Formula, powers: int = 1) -> Formula:
    """A formula of others: `how` has a {} for each of them."""
    names = frozenset().union(*(f.names for f in parts))
    of_degree = degree(*parts) if powers == 1 else 0 if degree(*parts) == 0 else UNKNOWN
    source, told = (how.format(*map(bracketed, t)) for t in ([f.source for f in parts], [f.text for f in parts]))
    return Formula(source, np.asarray(value, float), rank + sum(f.rank for f in parts), of_degree, names, told)


def _atoms(given: Sequence[Formula]) -> Iterator[Formula]:
    for f in given:
        yield f
        for how, rank, function in UNARY:
            made = np.asarray(function(f.value))
            if made.size == 1 or (made != made.flat[0]).any():  # g > 0 of a sigmoid tells nothing
                yield _made(how, made, rank, f, powers=2)
        if f.value.ndim > 1:
            yield _made("{0}.swapaxes(-1, -2)", f.value.swapaxes(-1, -2), 1, f)
        for axis, how in itertools.product(range(f.value.ndim), ("sum", "mean", "max")):
            made = getattr(f.value, how)(axis=axis, keepdims=True)
            reduced = _made(f"{{0}}.{how}(axis={axis}, keepdims=True)", made, 1, f, powers=1 + (how == "max"))
            yield reduced
            if f.degree == 0:
                yield _made("1 / {0}", 1 / made, 1, reduced, powers=2)
                if how == "sum":
                    yield _made(f"{{0}} / {{0}}.sum(axis={axis}, keepdims=True)", f.value / made, 1, f)


def _differences(given: Sequence[Formula]) -> Iterator[Formula]:
    for a, b in itertools.permutations(given, 2):
        if a.value.shape == b.value.shape and a.degree == b.degree:
            yield _made("{} - {}", a.value - b.value, 1, a, b)._replace(degree=a.degree)
            if a.source < b.source:
                yield _made("{} + {}", a.value + b.value, 1, a, b)._replace(degree=a.degree)


def _columns(given: Sequence[Formula], shape: tuple[int, ...]) -> Iterator[Formula]:
    """Vectors that may multiply the rows of a matrix: one, or one with a power of another."""
    vectors = [f for f in given if len(shape) == 2 and f.value.shape == shape[:1]]
    for f in vectors:
        yield _made("{}[:, None]", f.value[:, None], 1, f)
        for how, rank, function in UNARY:
            yield _made(f"({how})[:, None]", function(f.value)[:, None], rank, f, powers=2)
    for a, b in itertools.product(vectors, repeat=2):
        yield _made("({} * {})[:, None]", (a.value * b.value)[:, None], 2, a, b)
        for _, rank, power in INVERSE[:2] if b.degree == 0 and a is not b else ():
            how = "({} / {})[:, None]" if power == 1 else f"({{}} / {{}} ** {power})[:, None]"
            yield _made(how, (a.value / b.value**power)[:, None], rank, a, b)


def _sums(base: Sequence[Formula], shape: tuple[int, ...]) -> Iterator[Formula]:
    """Products of two arrays summed along an axis, times one of both, over a power: the second term of a normalisation."""
    lengths = [f for f in base if f.degree == 0 and len(f.value.shape) == len(shape) and 1 in f.value.shape]
    for a, b in itertools.combinations_with_replacement(base, 2):
        if a.value.shape != b.value.shape or degree(a, b) > 1:
            continue
        for axis, how in itertools.product([*range(a.value.ndim), None], ("sum", "mean")):
            total = getattr(a.value * b.value, how)(axis=axis, keepdims=True)
            at = "keepdims=True" if axis is None else f"axis={axis}, keepdims=True"
            yield _made(f"({{}} * {{}}).{how}({at})", total, 2, a, b)
            for f, g in [(a, b), (b, a)] if a is not b and axis is not None else []:
                if g.degree == 0:
                    yield _made(f"{{0}} - ({{0}} * {{1}}).{how}({at})", f.value - total, 3, f, g)._replace(degree=f.degree)
                    without = _made(f"{{0}} - {{1}} * ({{0}} * {{1}}).{how}({at})", f.value - g.value * total, 4, f, g)
                    yield without._replace(degree=f.degree)
                    for n in lengths:
                        if broadcasts(n.value.shape, f.value.shape):
                            made = _made("{} / {}", without.value / n.value, 1, without, n)
                            yield made._replace(degree=f.degree)
            for f in [a, b] if a is not b else [a]:
                again = _made(f"{{0}} * ({{1}} * {{2}}).{how}({at})", f.value * total, 3, f, a, b)
                yield again
                for n, (_, rank, power) in itertools.product(lengths, INVERSE):
                    if broadcasts(n.value.shape, f.value.shape):
                        written = "{} / {}" if power == 1 else f"{{}} / {{}} ** {power}"
                        yield _made(written, again.value / n.value**power, rank, again, n)


def _total_sums(base: Sequence[Formula], shape: tuple[int, ...]) -> Iterator[Formula]:
    """Products of two arrays summed over several axes, and products of two stacks of rows summed over all rows."""
    for a, b in itertools.combinations_with_replacement(base, 2):
        dims = range(a.value.ndim)
        if degree(a, b) > 1 or a.value.ndim <= len(shape):
            continue
        if a.value.shape == b.value.shape:
            for axes in itertools.combinations(dims, a.value.ndim - len(shape)):
                if tuple(n for i, n in enumerate(a.value.shape) if i not in axes) == shape:
                    yield _made(f"({{}} * {{}}).sum(axis={axes})", (a.value * b.value).sum(axis=axes), 1, a, b)
        if a.value.ndim == b.value.ndim > 2 and a.value.shape[:-1] == b.value.shape[:-1]:
            axes = tuple(dims)[:-1]
            for u, w in ((a, b), (b, a)):
                if (u.value.shape[-1], w.value.shape[-1]) == shape:
                    total = np.tensordot(u.value, w.value, (axes, axes))
                    yield _made(f"np.tensordot({{}}, {{}}, ({axes}, {axes}))", total, 1, u, w)


def _matrix_products(arrays: Sequence[Formula], base: Sequence[Formula], shape: tuple[int, ...]) -> Iterator[Formula]:
    """Products of two matrices, either transposed, and outer products, if they have this shape; the left may be a product."""
    scaled = [f for f in _scaled(base) if len(shape) > 1]
    for a, b in itertools.chain(itertools.product(arrays, repeat=2), itertools.product(scaled, base)):
        if degree(a, b) > 1 or max(a.value.ndim, b.value.ndim) > len(shape) + 1:
            continue
        for (s, u), (t, w) in itertools.product(_turned(a.value), _turned(b.value)):
            fit = u.ndim and w.ndim and u.shape[-1] == w.shape[-2 if w.ndim > 1 else 0] and u.shape[:-2] == w.shape[:-2]
            if fit and (u.shape[:-1] + w.shape[-1:] if w.ndim > 1 else u.shape[:-1]) == shape:
                yield _made(f"{{}}{s} @ {{}}{t}", u @ w, 1, a, b)
        if a.value.ndim == b.value.ndim == 1 and a.value.shape + b.value.shape == shape:
            yield _made("{}[:, None] * {}", np.outer(a.value, b.value), 1, a, b)


def _scaled(base: Sequence[Formula]) -> Iterator[Formula]:
    """Matrices times another, or with a factor for each row."""
    for a, b in itertools.permutations(base, 2):
        if a.value.ndim == 2 and b.value.shape == a.value.shape[:1]:
            yield _made("({} * {}[:, None])", a.value * b.value[:, None], 1, a, b)
        elif a.value.ndim > 1 and a.value.shape == b.value.shape and a.source < b.source:
            yield _made("({} * {})", a.value * b.value, 1, a, b)


def _turned(a: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """A matrix or stack as it stands and transposed."""
    return [("", a), (".T" if a.ndim == 2 else ".swapaxes(-1, -2)", a.swapaxes(-1, -2))] if a.ndim > 1 else [("", a)]
