"""What the kinds of changes know of a learner's function: its places, its names with their values, which of them fit where."""

from __future__ import annotations

import ast
import copy
import itertools
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinydx.gradcheck.edits import Place, parsed, text
from tinydx.gradcheck.seen import Seen, is_float, is_whole

REDUCTIONS = ("sum", "mean", "max", "min", "prod")
SIDES = ("where", "maximum", "minimum", "abs", "absolute", "fabs", "clip", "sign", "heaviside", "relu", "argmax", "argmin")
NEW = 2  # how much less likely a name is that the learner did not have


@dataclass
class Scene:
    """A function's places, and what is known of its names.

    Arguments: places; seen, the values of one run; own, names of the function with their values; offered, names that it could
    have used, such as "y"; dy, the name of the gradient that comes in; frozen, sizes of inputs that could not be made larger;
    numbers, those that stand in forward; forward, its nodes.
    """

    places: list[Place]
    seen: Seen
    own: dict[str, Any]
    offered: dict[str, Any]
    dy: str
    frozen: Collection[int]
    numbers: Collection[float]
    forward: Collection[ast.AST]

    def __post_init__(self) -> None:
        stores = [p.node for p in self.places if isinstance(p.node, ast.Name) and isinstance(p.node.ctx, ast.Store)]
        targets = [p.node.target for p in self.places if isinstance(p.node, ast.For)]
        self.divisions = [n for p in self.places if isinstance(n := p.node, ast.BinOp) and isinstance(n.op, ast.Div)]
        self.loops = [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)]
        self.found: list[Place] | None = None  # its values, once they are looked for
        self.used: dict[int, set[str]] = {}  # the names that each statement uses
        self.unused = {*self.own} - {p.node.id for p in self.loads()} - set(self.loops)
        inside = {id(n) for p in self.places if isinstance(p.node, ast.For) for n in ast.walk(p.node)}
        first = {n.id for n in stores if id(n) not in inside}  # and then again in a loop: what a step hands to the next
        self.carried = first & {n.id for n in stores if id(n) in inside} - set(self.loops)
        nodes = [*self.forward, *(p.node for p in self.places)]
        self.has_sides = any(isinstance(n, ast.Compare) or is_call(n, *SIDES) for n in nodes)
        self.between = dict(_factors_between(self.places))
        self.made_at: dict[str, int] = {}
        for n in stores:
            self.made_at[n.id] = min(n.lineno, self.made_at.get(n.id, n.lineno))

    def known(self, name: str, node: ast.AST) -> bool:
        """Whether a name has its value already where this stands."""
        return self.made_at.get(name, 0) < getattr(node, "lineno", 0) or name not in self.made_at

    def names(self) -> Iterator[tuple[str, Any, int]]:
        """All names with their values, and how much less likely they are."""
        yield from ((n, v, 0) for n, v in self.own.items())
        yield from ((n, v, NEW) for n, v in self.offered.items() if n not in self.own)

    def scalars(self) -> list[str]:
        """Names of numbers that do not depend on dy."""
        own = [n for n, v in self.own.items() if (is_whole(v) or (is_float(v) and np.ndim(v) == 0)) and n not in self.loops]
        return [n for n in own if self.seen.degree_of(n) == 0]

    def stands_in(self, name: str, home: int) -> bool:
        """Whether a statement uses the name."""
        if not self.used:
            for p in self.loads():
                self.used.setdefault(p.home, set()).add(p.node.id)
        return name in self.used.get(home, ())

    def is_unused(self, name: str) -> bool:
        """Whether the function could use what it unpacks, computes or finds outside, and does not: a hint."""
        return name.split("[")[0] in self.unused

    def fitting(self, node: ast.AST) -> list[tuple[str, int]]:
        """Names of arrays with which an expression can be multiplied without a change of its shape, or of its degree in dy."""
        return [(n, extra) for n, extra in self.alike(node) if self.seen.degree_of(n) != 1]

    def alike(self, node: ast.AST) -> list[tuple[str, int]]:
        """Names of arrays that broadcast to an expression's shape."""
        shape = self.seen.shape(node)
        if shape is None:
            return []
        fit = [(n, e) for n, v, e in self.names() if is_float(v) and np.ndim(v) and broadcasts(np.shape(v), shape)]
        elements = [(n, 0) for n, v in self.elements() if broadcasts(np.shape(v), shape)]
        return [(n, e) for n, e in fit if self.known(n, node)] + elements

    def elements(self) -> list[tuple[str, Any]]:
        """Elements of lists that were unpacked, at the indices that stand somewhere in a loop."""
        used = [p.node.slice for p in self.places if isinstance(p.node, ast.Subscript)]
        made = [n for n in used if isinstance(n, ast.Name | ast.BinOp)]
        indices = dict.fromkeys(
            ast.unparse(n) for n in made if any(isinstance(m, ast.Name) and m.id in self.loops for m in ast.walk(n))
        )
        lists = [(n, v[0]) for n, v in self.own.items() if isinstance(v, list) and v and is_float(v[0])]
        return [(f"{n}[{i}]", v) for n, v in lists for i in indices]

    def near(self, suspects: Callable[[int], bool]) -> Scene:
        """The same scene with the places in these statements only."""
        other = copy.copy(self)
        other.places = [p for p in self.places if suspects(p.home)]
        other.found = None
        return other

    def loads(self) -> list[Place]:
        """The places where a name is used, other than as a function."""
        return [p for p in self.places if isinstance(p.node, ast.Name) and isinstance(p.node.ctx, ast.Load) and not is_func(p)]

    def values(self) -> list[Place]:
        """What is assigned, added or returned: whole values, where a factor or a term may be missing."""
        self.found = self._values() if self.found is None else self.found
        return self.found

    def _values(self) -> list[Place]:
        whole = {id(p.node) for p in self.places if isinstance(p.parent, ast.Return | ast.Lambda | ast.Assign)}
        found = []
        for p in self.places:
            is_value = isinstance(p.parent, ast.Assign | ast.AugAssign) and p.field == "value"
            of_tuple = isinstance(p.parent, ast.Tuple) and p.field == "elts" and id(p.parent) in whole
            returned = isinstance(p.parent, ast.Return | ast.Lambda) and p.field in ("value", "body")
            stored = isinstance(getattr(p.node, "ctx", None), ast.Store)
            if (is_value or of_tuple or returned) and not stored and not isinstance(p.node, ast.Tuple | ast.Starred):
                found.append(p)
        return found

    def terms(self) -> list[Place]:
        """Whole values, and the terms and operands of which they are made."""
        found = [*self.values()]
        for p in self.places:
            sums = [n for n in (p.parent, p.node) if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Add | ast.Sub)]
            of_sum = bool(sums)
            operand = isinstance(p.parent, ast.BinOp) and isinstance(p.parent.op, ast.MatMult)
            passed = isinstance(p.parent, ast.Call) and p.field == "args"
            base = isinstance(p.parent, ast.Attribute) and not isinstance(p.parent.value, ast.Attribute)
            simple = isinstance(p.node, ast.Name | ast.BinOp | ast.Subscript) or is_call(p.node)
            minus = isinstance(p.node, ast.UnaryOp) and isinstance(p.node.op, ast.USub)
            if isinstance(p.node, ast.expr) and (of_sum or minus or ((operand or passed or base) and simple)):
                found.append(p)
        return list({id(p.node): p for p in found}.values())

    def sizes(self) -> list[tuple[int, list[str]]]:
        """Whole numbers that count something, each with the ways to write it."""
        written: dict[int, list[str]] = {}
        for n, v, _ in self.names():
            if is_whole(v) and v > 1:
                written.setdefault(int(v), []).insert(0, n)
        # what a loop gives before what came in, and that before what was made
        for n, v, _ in sorted(self.names(), key=lambda name: (name[0] not in self.loops, name[0] in self.made_at)):
            if isinstance(v, np.ndarray) and v.ndim:
                counts = [
                    (v.shape[0], f"len({n})"),
                    *((v.shape[i], f"{n}.shape[{i}]") for i in range(1, v.ndim)),
                    (v.size, f"{n}.size"),
                    *((v.size // v.shape[i], f"({n}.size // {n}.shape[{i}])") for i in (1, -1) if v.ndim > 2 and v.size),
                ]
                for count, how in counts:
                    if count > 1:
                        written.setdefault(count, []).append(how)
        return [(count, ways[:6]) for count, ways in written.items()]

    def spans(self) -> list[str]:
        """Differences of two whole numbers that loops make: how long a window is."""
        made = [n for n, v in self.own.items() if is_whole(v) and (n in self.made_at or n in self.loops)]
        return [f"({a} - {b})" for a, b in itertools.permutations(made, 2) if self.own[a] > self.own[b]]

    def counts(self) -> Iterator[tuple[int, list[str]]]:
        """As `sizes`, also products of two whole numbers; a size that could not be varied is given as its number."""
        own = {n: int(v) for n, v in self.own.items() if is_whole(v) and v > 1 and n not in self.loops}
        areas: dict[int, list[str]] = {}
        for (a, n), (b, m) in itertools.combinations(own.items(), 2):
            areas.setdefault(n * m, []).append(f"{a} * {b}")
        written = dict(self.sizes())
        for count in dict.fromkeys([*written, *areas]):
            known = written.get(count, [])
            ways = [str(count), *(w for w in known if self.loops)] if count in self.frozen else known
            yield count, [*(f"({way})" for way in areas.get(count, [])), *ways]


def _factors_between(places: list[Place]) -> Iterator[tuple[tuple[str, str], str]]:
    """For dz = da * (1 - a**2) what lies between da and dz: the factor."""
    for p in places:
        n = p.node
        if isinstance(n, ast.Assign) and isinstance(n.targets[0], ast.Name) and isinstance(n.value, ast.BinOp):
            left, right = n.value.left, n.value.right
            if isinstance(n.value.op, ast.Mult | ast.MatMult | ast.Div):
                for one, other in ((left, right), (right, left)):
                    if isinstance(one, ast.Name):
                        yield (one.id, n.targets[0].id), f"factor {text(other)}"


def broadcasts(shape: tuple[int, ...], into: tuple[int, ...]) -> bool:
    """Whether an array of this shape broadcasts to the other shape."""
    padded = (1,) * (len(into) - len(shape)) + shape
    return len(shape) <= len(into) and all(a in (1, b) for a, b in zip(padded, into, strict=True))


def is_func(p: Place) -> bool:
    """Whether what stands there is called."""
    return isinstance(p.parent, ast.Call) and p.field == "func"


def is_call(node: Any, *names: str) -> bool:
    """Whether the node calls a function or method (of one of these names, if any)."""
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id if isinstance(node.func, ast.Name) else ""
    return not names or name in names


def times(node: Any, factor: ast.expr) -> ast.BinOp:
    """The source `node * factor`."""
    return ast.BinOp(node, ast.Mult(), factor)


def with_factor(factor: ast.expr) -> Callable[[Any], ast.BinOp]:
    """Multiplies what stands in a place by this."""
    return lambda node: times(node, factor)


def joined_to(op: ast.operator, source: str) -> Callable[[Any], ast.BinOp]:
    """Adds, subtracts or divides what stands in a place by this."""
    return lambda node: ast.BinOp(node, op, parsed(source))
