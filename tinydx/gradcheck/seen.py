"""What a learner's backward computes on its way: the value of every expression in one run.

The tree gets a call around each expression, runs once, and is put back. Later changes are tried only where shapes fit.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinydx.gradcheck.edits import Place, parsed
from tinydx.gradcheck.source import Definition, Remade

UNSEEN = ast.Slice, ast.Starred, ast.Constant, ast.keyword, ast.comprehension


@dataclass
class Seen:
    """Values of one run: of expressions by their node's id, the first time, and of the function's names at its end.

    A gradient is linear in dy, so each part of a backward has a degree in dy, 0 or 1: `doubled` is a run with twice the dy.
    """

    at: dict[int, Any] = field(default_factory=dict)
    count: Counter[int] = field(default_factory=Counter)  # how often each expression was computed
    into: dict[int, tuple[int, ...]] = field(default_factory=dict)  # the shape of what a value is assigned to, as in a[i] = 0
    names: dict[str, Any] = field(default_factory=dict)
    doubled: Seen | None = None
    degrees: dict[Any, int | None] = field(default_factory=dict)  # those that were asked for

    def shape(self, node: ast.AST) -> tuple[int, ...] | None:
        """The shape of an expression's numbers; None for one that never ran, or that is no array of floats."""
        value: Any = self.at.get(id(node))
        return np.shape(value) if is_float(value) else None

    def degree(self, node: ast.AST) -> int | None:
        """The degree in dy of an expression; None where it cannot be told."""
        if id(node) not in self.degrees:
            twice = self.doubled.at.get(id(node)) if self.doubled else None
            self.degrees[id(node)] = _degree(self.at.get(id(node)), twice)
        return self.degrees[id(node)]

    def degree_of(self, name: str) -> int | None:
        """The degree in dy of a name's value at the end: 0 for one that the function did not make."""
        if name not in self.names or self.doubled is None:
            return 0
        if name not in self.degrees:
            self.degrees[name] = _degree(self.names[name], self.doubled.names.get(name))
        return self.degrees[name]


def _degree(once: Any, twice: Any) -> int | None:
    if not is_float(once) or not is_float(twice) or np.shape(once) != np.shape(twice) or not np.any(once):
        return None
    return 0 if np.allclose(once, twice) else 1 if np.allclose(np.multiply(once, 2), twice) else None


def is_float(value: Any) -> bool:
    """Whether this is an array of floats, or such a number."""
    return isinstance(value, float | np.floating) or (isinstance(value, np.ndarray) and value.dtype.kind == "f")


def is_whole(value: Any) -> bool:
    """Whether this is a whole number, such as an index or a size."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def watched(function: Any, node: Definition, places: Sequence[Place], run: Callable[[Callable, float], Any]) -> Seen:
    """Values of a run of the function, and of one with twice the dy.

    Arguments: function; node, its tree; places in it; run(backward, factor), calls that backward with factor times dy.
    """
    seen = _run(function, node, places, lambda f: run(f, 1.0))
    seen.doubled = _run(function, node, places, lambda f: run(f, 2.0))
    return seen


def _run(function: Any, node: Definition, places: Sequence[Place], run: Callable[[Callable], Any]) -> Seen:
    seen, put = Seen(), [p for p in places if _can_be_wrapped(p)]

    def first(i: int, value: Any, into: Any = None) -> Any:
        if is_float(into):
            seen.into[i] = np.shape(into)
        if i not in seen.at:  # a copy of what may change later
            seen.at[i] = value.copy() if isinstance(value, np.ndarray) else value
        seen.count[i] += 1
        return value

    try:
        for p in put:
            p.put(_call("_seen", ast.Constant(id(p.node)), _at_end(p), *_into(p)))
        run(Remade(function, node, {"_seen": first, "_end": seen.names.update})())
    except Exception:  # then nothing is known, and no change is tried
        return Seen()
    finally:
        for p in put:
            p.put(p.node)
    return seen


def _at_end(p: Place) -> ast.expr:
    """The expression; where it is returned, the names are taken down behind it."""
    if not isinstance(p.parent, ast.Return | ast.Lambda):
        return p.node
    names = _call("_end", _call("locals"))
    return ast.Subscript(ast.Tuple([p.node, names], ast.Load()), ast.Constant(0), ast.Load())


def _into(p: Place) -> list[ast.expr]:
    """What stands where this value is assigned to: a part of an array."""
    is_part = isinstance(p.parent, ast.Assign) and p.field == "value" and isinstance(p.parent.targets[0], ast.Subscript)
    return [parsed(ast.unparse(p.parent.targets[0]))] if is_part else []  # type: ignore[attr-defined]


def _can_be_wrapped(p: Place) -> bool:
    loaded = isinstance(getattr(p.node, "ctx", ast.Load()), ast.Load)
    if not isinstance(p.node, ast.expr) or isinstance(p.node, UNSEEN) or not loaded:
        return False
    if isinstance(p.node, ast.Tuple) and any(isinstance(e, ast.Slice | ast.Starred) for e in p.node.elts):
        return False
    return not (isinstance(p.parent, ast.Call) and p.field == "func") and not isinstance(p.parent, ast.JoinedStr)


def _call(name: str, *arguments: ast.expr) -> ast.expr:
    return ast.Call(ast.Name(name, ast.Load()), list(arguments), [])
