"""Changes in what a backward computes: another name, sign, factor, power or term.

Each kind gives `Edit`s for a `Scene`. Ranks: 0 for slips of the pen, 1 for what is forgotten of the formula, 2 for numbers and
sizes, 3 for what the learner has not written anywhere.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinydx.gradcheck.edits import Edit, Place, parsed, text
from tinydx.gradcheck.seen import Seen, is_float, is_whole

SLOPES = (  # what may be forgotten or be too many, in a name that stands for an activation's output (or input)
    ("slope of tanh, 1 - {0}**2,", "1 - {0} ** 2"),
    ("slope of sigmoid, {0} (1 - {0}),", "{0} * (1 - {0})"),
    ("factor {0}", "{0}"),
    ("factor 1 - {0}", "1 - {0}"),
    ("gate {0} > 0", "{0} > 0"),
)
REDUCTIONS = ("sum", "mean", "max", "min", "prod")
NEW = 2  # how much less likely a name is that the learner did not have


@dataclass
class Scene:
    """A function's places, and what is known of its names.

    Arguments: places; seen, the values of one run; own, names of the function with their values; offered, names that it could
    have used, such as "y"; dy, the name of the gradient that comes in; varied, whether other sizes can be tried.
    """

    places: list[Place]
    seen: Seen
    own: dict[str, Any]
    offered: dict[str, Any]
    dy: str
    varied: bool

    def __post_init__(self) -> None:
        stores = [p.node for p in self.places if isinstance(p.node, ast.Name) and isinstance(p.node.ctx, ast.Store)]
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

    def fitting(self, node: ast.AST) -> list[tuple[str, int]]:
        """Names of arrays with which an expression can be multiplied without a change of its shape, or of its degree in dy."""
        return [(n, extra) for n, extra in self.alike(node) if self.seen.degree_of(n) != 1]

    def alike(self, node: ast.AST) -> list[tuple[str, int]]:
        """Names of arrays that broadcast to an expression's shape."""
        shape = self.seen.shape(node)
        if shape is None:
            return []
        fit = [(n, e) for n, v, e in self.names() if is_float(v) and np.ndim(v) and _broadcasts(np.shape(v), shape)]
        return [(n, e) for n, e in fit if self.known(n, node)]

    def loops(self) -> list[str]:
        """The variables of loops."""
        targets = [p.node.target for p in self.places if isinstance(p.node, ast.For)]
        return [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)]

    def loads(self) -> list[Place]:
        """The places where a name is used, other than as a function."""
        return [p for p in self.places if isinstance(p.node, ast.Name) and isinstance(p.node.ctx, ast.Load) and not _is_func(p)]

    def values(self) -> list[Place]:
        """What is assigned, added or returned: whole values, where a factor or a term may be missing."""
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
        found = self.values()
        for p in self.places:
            sums = [n for n in (p.parent, p.node) if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Add | ast.Sub)]
            of_sum = bool(sums)
            operand = isinstance(p.parent, ast.BinOp) and isinstance(p.parent.op, ast.MatMult)
            passed = isinstance(p.parent, ast.Call) and p.field == "args"
            base = isinstance(p.parent, ast.Attribute) and not isinstance(p.parent.value, ast.Attribute)
            simple = isinstance(p.node, ast.Name | ast.BinOp | ast.Subscript) or is_call(p.node)
            if isinstance(p.node, ast.expr) and (of_sum or ((operand or passed or base) and simple)):
                found.append(p)
        return list({id(p.node): p for p in found}.values())

    def sizes(self) -> list[tuple[int, list[str]]]:
        """Whole numbers that count something, each with the ways to write it."""
        written: dict[int, list[str]] = {}
        for n, v, _ in self.names():
            if is_whole(v) and v > 1:
                written.setdefault(int(v), []).insert(0, n)
        for n, v, _ in sorted(self.names(), key=lambda name: name[0] in self.made_at):  # what came in before what was made
            if isinstance(v, np.ndarray) and v.ndim:
                counts = [(v.shape[0], f"len({n})"), *((v.shape[i], f"{n}.shape[{i}]") for i in range(1, v.ndim)), (v.size, f"{n}.size")]
                for count, how in counts:
                    if count > 1:
                        written.setdefault(count, []).append(how)
        return [(count, ways[:6]) for count, ways in written.items()]


def _broadcasts(shape: tuple[int, ...], into: tuple[int, ...]) -> bool:
    padded = (1,) * (len(into) - len(shape)) + shape
    return len(shape) <= len(into) and all(a in (1, b) for a, b in zip(padded, into, strict=True))


def _is_func(p: Place) -> bool:
    return isinstance(p.parent, ast.Call) and p.field == "func"


def is_call(node: Any, *names: str) -> bool:
    """Whether the node calls a function or method (of one of these names, if any)."""
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id if isinstance(node.func, ast.Name) else ""
    return not names or name in names


def times(node: Any, factor: ast.expr) -> ast.BinOp:
    return ast.BinOp(node, ast.Mult(), factor)


# ---- slips of the pen ----------------------------------------------------------------------------------------------


def comparisons(s: Scene) -> Iterator[Edit]:
    """`dy * x > 0` compares the product; and comparisons the wrong way round, or with something else."""
    for p in s.places:
        n = p.node
        if not isinstance(n, ast.Compare) or len(n.ops) != 1:
            continue
        if isinstance(n.left, ast.BinOp) and isinstance(n.left.op, ast.Mult):
            inner = ast.Compare(n.left.right, n.ops, n.comparators)
            yield Edit("parentheses of the comparison", [p], times(n.left.left, inner), 0)
        for op in (ast.Gt(), ast.Lt(), ast.GtE(), ast.LtE()):
            if type(op) is not type(n.ops[0]):
                yield Edit("comparison the wrong way round", [p], ast.Compare(n.left, [op], n.comparators), 0)
        yield Edit("not the mask of the largest", [p], parsed(f"({ast.unparse(n.left)}) == ({ast.unparse(n.left)}).max()"), 2)


def signs(s: Scene) -> Iterator[Edit]:
    """A plus for a minus."""
    for p in s.places:
        n = p.node
        if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Add | ast.Sub) and not is_whole(s.seen.at.get(id(n))):
            other = ast.Sub() if isinstance(n.op, ast.Add) else ast.Add()
            yield Edit("sign of one term", [p], ast.BinOp(n.left, other, n.right), 0)
        if isinstance(n, ast.AugAssign) and isinstance(n.op, ast.Add | ast.Sub):
            other = ast.Sub() if isinstance(n.op, ast.Add) else ast.Add()
            yield Edit("sign of one term", [p], ast.AugAssign(n.target, other, n.value), 0)
        if isinstance(n, ast.UnaryOp) and isinstance(n.op, ast.USub) and not isinstance(n.operand, ast.Constant):
            yield Edit("sign", [p], n.operand, 0)
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load) and is_call(p.parent, "exp") and s.seen.shape(n) is not None:
            yield Edit("sign of the exponent", [p], ast.UnaryOp(ast.USub(), n), 1)
    for p in s.values():
        yield Edit("sign", [p], ast.UnaryOp(ast.USub(), p.node), 0)


def other_names(s: Scene) -> Iterator[Edit]:
    """Another array or index in this place: once, in one statement, or throughout."""
    uses = [p for p in s.loads() if p.node.id in s.own or p.node.id in s.offered]
    blocks = [(p.node.id, [p]) for p in uses]
    for old in dict.fromkeys(p.node.id for p in uses):
        together = [p for p in uses if p.node.id == old]
        for home in dict.fromkeys(p.home for p in together):
            here = [p for p in together if p.home == home]
            blocks += [(old, here)] if 1 < len(here) < len(together) else []
            blocks += [(old, list(pair)) for pair in itertools.combinations(here, 2)] if len(here) > 2 else []
        blocks += [(old, together)] if len(together) > 1 else []
    for old, block in blocks:
        before = s.seen.at.get(id(block[0].node), s.own.get(old))
        for new, value, extra in s.names():
            if new != old and _alike(before, value) and s.known(new, block[0].node):
                rank = extra if np.shape(before) == np.shape(value) else 2
                rank += 2 * (None not in (d := (s.seen.degree(block[0].node), s.seen.degree_of(new))) and d[0] != d[1])
                if is_whole(before) and not {old, new} <= set(s.loops()):
                    rank = 2  # sizes have many names
                yield Edit(f"{old} instead of {new}", block, ast.Name(new, ast.Load()), rank, f"`{old}` should be `{new}`")
    for p in s.places:
        if isinstance(p.node, ast.Call | ast.Attribute) and isinstance(value := s.seen.at.get(id(p.node)), np.ndarray):
            for new, v, extra in s.names():
                whole = value.dtype.kind in "iu" and isinstance(v, np.ndarray) and v.dtype.kind in "iu"
                same = is_float(value) and is_float(v) and value.ndim > 1 and not isinstance(p.node, ast.Attribute)
                if (whole or same) and np.shape(v) == value.shape and not (isinstance(p.node, ast.Call) and _mentions(p.node, new)):
                    yield Edit(f"{text(p.node)} instead of {new}", [p], ast.Name(new, ast.Load()), extra + whole * 0 + same * 2)


def _mentions(node: ast.AST, name: str) -> bool:
    return any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(node))


def _alike(old: Any, new: Any) -> bool:
    """Whether one may stand for the other: both arrays of floats, both of whole numbers, or both an index."""
    if is_float(old) and is_float(new):
        return np.ndim(old) == np.ndim(new) or np.shape(old)[-1:] == np.shape(new)[-1:]
    if isinstance(old, np.ndarray) and isinstance(new, np.ndarray):
        return old.dtype.kind == new.dtype.kind and old.shape == new.shape
    return is_whole(old) and is_whole(new)


def dropped(s: Scene) -> Iterator[Edit]:
    """A factor, a divisor, a term or a function that should not be there."""
    for p in s.places:
        n = p.node
        if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Mult):
            yield Edit(f"factor {text(n.right)} too many", [p], n.left, 0)
            yield Edit(f"factor {text(n.left)} too many", [p], n.right, 0)
            if isinstance(n.left, ast.BinOp) and isinstance(n.left.op, ast.Mult):
                yield Edit(f"factor {text(n.left.right)} * {text(n.right)} too many", [p], n.left.left, 0)
            yield Edit(f"multiplied by {text(n.right)} instead of divided", [p], ast.BinOp(n.left, ast.Div(), n.right), 1)
        elif isinstance(n, ast.BinOp) and isinstance(n.op, ast.Div):
            yield Edit(f"division by {text(n.right)} too many", [p], n.left, 0)
            yield Edit(f"divided by {text(n.right)} instead of multiplied", [p], times(n.left, n.right), 1)
        elif isinstance(n, ast.BinOp) and isinstance(n.op, ast.Add | ast.Sub) and s.seen.shape(n) is not None:
            yield Edit(f"term {text(n.right)} too many", [p], n.left, 0)
            yield Edit(f"term {text(n.left)} too many", [p], n.right, 0)
        if isinstance(n, ast.Call) and len(n.args) == 1 and not n.keywords and s.seen.shape(n) is not None:
            yield Edit(f"{text(n.func)} too many", [p], n.args[0], 0)
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) and is_call(n, *REDUCTIONS, "copy", "clip"):
            yield Edit(f"{n.func.attr} too many", [p], n.func.value, 0)
        if isinstance(n, ast.AugAssign):
            yield Edit(f"`{text(n)}` too many", [p], ast.Pass(), 1)


# ---- what is forgotten of the formula ------------------------------------------------------------------------------


def factors(s: Scene) -> Iterator[Edit]:
    """A factor or slope that was forgotten, in a value, in a term, or wherever dy is used."""
    groups = [[p] for p in s.terms()]
    of_dy = [p for p in s.loads() if p.node.id == s.dy and s.seen.shape(p.node) is not None]
    groups += [[p] for p in of_dy if p not in s.terms()] + ([of_dy] if len(of_dy) > 1 else [])
    values = {id(p.node) for p in s.values()} | {id(p.node) for p in of_dy}
    for group in groups:
        old = group[0].node
        for name, extra in s.fitting(old):
            for told, source in SLOPES:
                factor = parsed(f"({source.format(name)})")
                line = f"multiply `{text(old)}` by `{text(factor)}`"
                rank = 1 + extra + (id(old) not in values)
                yield Edit(told.format(name) + " forgotten", group, lambda n, f=factor: times(n, f), rank, line)
            if id(old) in values:
                for f in ("log", "exp"):
                    factor = parsed(f"__import__('numpy').{f}({name})")
                    told = f"multiply `{text(old)}` by {f}({name})"
                    yield Edit(f"factor {f}({name}) forgotten", group, lambda n, f=factor: times(n, f), 2 + extra, told)
            line = f"divide `{text(old)}` by `{name}`"
            yield Edit(f"division by {name} forgotten", group, lambda n, d=name: ast.BinOp(n, ast.Div(), parsed(d)), 2 + extra, line)


def other_slopes(s: Scene) -> Iterator[Edit]:
    """Another slope: in a product, all that follows the first factor."""
    for p in s.values():
        first = p.node
        while isinstance(first, ast.BinOp) and isinstance(first.op, ast.Mult):
            first = first.left
        if first is not p.node:
            for name, extra in s.fitting(p.node):
                for told, source in SLOPES:
                    made = times(first, parsed(f"({source.format(name)})"))
                    yield Edit(f"another factor instead of the {told.format(name).rstrip(',')}", [p], made, 2 + extra)


def divisions(s: Scene) -> Iterator[Edit]:
    """A divisor that stands elsewhere, or a size."""
    divisors = {text(p.node.right): p.node.right for p in s.places if isinstance(p.node, ast.BinOp) and isinstance(p.node.op, ast.Div)}
    for p in s.terms():
        if s.seen.shape(p.node) is None:
            continue
        for written, divisor in divisors.items():
            yield Edit(f"division by {written} forgotten", [p], ast.BinOp(p.node, ast.Div(), divisor), 1)
        for count, ways in s.sizes() if p in s.values() else ():
            for way in ways if s.varied else ways[:1]:
                if way not in divisors and s.known(way.split(".")[0].removeprefix("len(").rstrip(")"), p.node):
                    name = f"division by {way} forgotten" if s.varied or len(ways) == 1 else f"division by a size of {count} forgotten"
                    yield Edit(name, [p], lambda n, w=way: ast.BinOp(n, ast.Div(), parsed(w)), 2)
    for p in s.places:  # another size than this
        count = s.seen.at.get(id(p.node))
        if is_whole(count) and isinstance(p.node, ast.Name | ast.Attribute | ast.Call | ast.Subscript) and _divides(p):
            yield Edit(f"{text(p.node)} instead of {text(p.node)} - 1", [p], parsed(f"({text(p.node)} - 1)"), 2)
            for other, ways in s.sizes():
                for way in ways if other != count else ():
                    yield Edit(f"{text(p.node)} instead of {way}", [p], parsed(way), 1)


def _divides(p: Place) -> bool:
    """Whether a whole number stands where it counts: as a divisor or a factor, or is assigned."""
    if isinstance(p.parent, ast.BinOp):
        return isinstance(p.parent.op, ast.Div | ast.Mult | ast.Sub | ast.Add)
    return isinstance(p.parent, ast.Assign | ast.AugAssign) and p.field == "value"


def powers(s: Scene) -> Iterator[Edit]:
    """A square, root or function that is forgotten or too many, and other numbers."""
    for p in s.places:
        n = p.node
        if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Pow):
            yield Edit("wrong power", [p], n.left, 0)
            for power in (2, 3, -1, -2, 0.5, -0.5, 1.5, -1.5):
                yield Edit("wrong power", [p], ast.BinOp(n.left, n.op, parsed(repr(power))), 0)
            if not isinstance(n.right, ast.Constant):
                for step in ("- 1", "+ 1"):
                    yield Edit("wrong power", [p], parsed(f"({ast.unparse(n.left)}) ** ({ast.unparse(n.right)} {step})"), 0)
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load) and not _is_func(p) and s.seen.shape(n) is not None:
            yield Edit("square forgotten", [p], parsed(f"{n.id} ** 2"), 1)
            for f in ("exp", "tanh", "log", "sqrt", "cos", "sin", "sign"):
                yield Edit(f"{f} forgotten", [p], parsed(f"__import__('numpy').{f}({n.id})"), 2, f"take {f}({n.id})")
            sigmoid = parsed(f"(1 / (1 + __import__('numpy').exp(-{n.id})))")
            yield Edit("sigmoid forgotten", [p], sigmoid, 2, "take the sigmoid first")
            yield Edit(f"{n.id} instead of 1 - {n.id}", [p], parsed(f"(1 - {n.id})"), 1)
        if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Sub) and isinstance(n.left, ast.Constant) and n.left.value == 1:
            yield Edit(f"{text(n)} instead of {text(n.right)}", [p], n.right, 1)
        if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Div):
            yield Edit("wrong power", [p], ast.BinOp(n.left, n.op, ast.BinOp(n.right, ast.Pow(), ast.Constant(2))), 1)
            yield Edit("wrong power", [p], ast.BinOp(n.left, n.op, ast.BinOp(n.right, ast.Pow(), ast.Constant(3))), 2)
            yield Edit("root forgotten", [p], ast.BinOp(n.left, n.op, ast.BinOp(n.right, ast.Pow(), ast.Constant(0.5))), 1)


def numbers(s: Scene) -> Iterator[Edit]:
    """A factor of 2, and other numbers."""
    for p in s.terms():
        if s.seen.shape(p.node) is not None:
            for factor, name in (("2", "factor 2 forgotten"), ("0.5", "factor 2 too many")):
                yield Edit(name, [p], lambda n, f=factor: times(n, parsed(f)), 1 if p in s.values() else 2)
    for p in s.places:
        n = p.node
        value: Any = n.value if isinstance(n, ast.Constant) else None
        if type(value) in (int, float) and not isinstance(p.parent, ast.Subscript | ast.Slice | ast.keyword):
            for new in dict.fromkeys((0, 1, 2, 0.5, 3, value * 2, value / 2, value * 3)):
                if new != value:
                    yield Edit(f"{value} instead of {new:g}", [p], ast.Constant(new), 2)
            for new, v, extra in s.names():  # a choice such as np.where(x > 0, 1, 0)
                if is_call(p.parent, "where") and is_float(v):
                    for how in ("{0}", "__import__('numpy').exp({0})", "__import__('numpy').sign({0})"):
                        told = f"`{value}` should be `{how.format(new).replace('__import__(' + repr('numpy') + ')', 'np')}`"
                        yield Edit(f"{value} instead of {told.split('`')[3]}", [p], parsed(how.format(new)), 2 + extra, told)
        if is_call(p.parent, "where") and p.field == "args" and p.at:
            for new, extra in s.fitting(p.parent):
                yield Edit(f"sign({new}) forgotten", [p], times(n, parsed(f"__import__('numpy').sign({new})")), 2 + extra)
        if isinstance(n, ast.expr) and is_call(p.parent, "where") and p.field == "args" and p.at and s.seen.at.get(id(n)) is not None:
            for new in (0, 1):
                yield Edit(f"{text(n)} instead of {new}", [p], ast.Constant(new), 1)


# ---- terms ---------------------------------------------------------------------------------------------------------


def labels(s: Scene) -> Iterator[Edit]:
    """The 1 at the target's class that a softmax's loss subtracts."""
    for p in s.terms():
        shape = s.seen.shape(p.node)
        for name, value, extra in s.names():
            if not shape or not (is_whole(value) or (isinstance(value, np.ndarray) and value.dtype.kind in "iu")):
                continue
            if np.shape(value) == shape[:-1] and np.ndim(value) < 2 and np.max(value, initial=0) < shape[-1]:
                one_hot = f"__import__('numpy').eye(({ast.unparse(p.node)}).shape[-1])[{name}]"
                new = lambda n, t=one_hot: ast.BinOp(n, ast.Sub(), parsed(t))  # noqa: E731
                yield Edit("the label's 1 not subtracted", [p], new, 1 + extra, f"subtract 1 at the class `{name}`")


def sums(s: Scene) -> Iterator[Edit]:
    """A term that is missing: a name, a product of two, or a product with a sum."""
    for p in s.terms():
        shape = s.seen.shape(p.node)
        if shape is None or is_call(p.parent):
            continue
        base = 1 if p in s.values() else 2
        inside = isinstance(p.parent, ast.BinOp) and isinstance(p.parent.op, ast.MatMult)
        for source, rank in _products(s, shape, p.node):
            for op in (ast.Add(), ast.Sub()) if not inside else ():
                yield Edit(f"term {source} forgotten", [p], lambda n, t=source, o=op: ast.BinOp(n, o, parsed(t)), base + rank)
    for p in s.loads():  # one factor of a product: h for h - n
        if isinstance(p.parent, ast.BinOp) and isinstance(p.parent.op, ast.Mult | ast.Div | ast.MatMult):
            degree = s.seen.degree(p.node)
            for name, extra in s.alike(p.node):
                for op in (ast.Add(), ast.Sub()) if name != p.node.id and s.seen.degree_of(name) in (degree, None) else ():
                    new = lambda n, t=name, o=op: ast.BinOp(n, o, parsed(t))  # noqa: E731
                    yield Edit(f"term {name} forgotten", [p], new, 2 + extra)
            for source, rank in _penalties(s, p.node):
                new = lambda n, t=source: ast.BinOp(n, ast.Add(), parsed(t))  # noqa: E731
                yield Edit(f"term {source} forgotten", [p], new, 1 + rank)
    for p in s.places:  # eps in the root
        if isinstance(p.parent, ast.Call) and p.field == "args" and isinstance(p.node, ast.Name):
            for name, value, _ in s.names():
                if is_float(value) and np.ndim(value) == 0 and s.seen.shape(p.node) is not None:
                    yield Edit(f"{name} forgotten", [p], lambda n, t=name: ast.BinOp(n, ast.Add(), parsed(t)), 1)
        if isinstance(p.node, ast.BinOp) and isinstance(p.node.op, ast.Mult) and getattr(p.node.left, "value", 0) == 2:
            right = ast.unparse(p.node.right)  # 2 A for A + A transposed
            if len(s.seen.shape(p.node) or ()) > 1:
                turned = parsed(f"({right} + ({right}).swapaxes(-1, -2))")
                yield Edit(f"2 {right} instead of {right} plus its transpose", [p], turned, 2)


def _products(s: Scene, shape: tuple[int, ...], node: ast.AST) -> Iterator[tuple[str, int]]:
    """Products of one or two names that have this shape and this expression's degree in dy, with their ranks."""
    arrays = [(n, v, extra) for n, v, extra in s.names() if is_float(v) and s.known(n, node)]
    degrees = {n: s.seen.degree_of(n) for n, _, _ in arrays}
    wanted = s.seen.degree(node)

    def fits(*names: str) -> bool:
        """Whether the product of these is of the degree of the whole."""
        known = [degrees[n] for n in names]
        return wanted is None or None in known or sum(d or 0 for d in known) == wanted

    same = [(n, extra) for n, v, extra in arrays if np.shape(v) == shape]
    yield from ((n, extra) for n, extra in same if fits(n))
    fitting = [(n, extra) for n, v, extra in arrays if np.ndim(v) and _broadcasts(np.shape(v), shape)]
    for (a, i), (b, j) in itertools.combinations(fitting, 2):
        if fits(a, b) and any(a == n or b == n for n, _ in same):
            yield f"{a} * {b}", 1 + i + j
    yield from _penalties(s, node)
    stacks = [(n, np.shape(v), extra) for n, v, extra in arrays if np.ndim(v) > 1]
    for (a, u, i), (b, w, j) in itertools.product(stacks, repeat=2):
        if len(u) == len(w) == len(shape) and u[:-2] == w[:-2] == shape[:-2] and fits(a, b):
            yield from ((source, 1 + i + j) for source in _matmuls(a, u, b, w, shape))
    for (a, i), (b, j) in itertools.product(same, repeat=2) if len(shape) > 1 else ():  # a normalisation's second term
        if degrees[a] in (0, None) and fits(b):
            for axis, f in itertools.product(range(len(shape)), ("mean", "sum")):
                yield f"{a} * ({a} * {b}).{f}(axis={axis}, keepdims=True)", 2 + i + j


def _penalties(s: Scene, node: ast.AST) -> Iterator[tuple[str, int]]:
    """Weights times a number, of an expression's shape."""
    rates = [n for n, v, extra in s.names() if is_float(v) and np.ndim(v) == 0 and not extra and s.seen.degree_of(n) == 0]
    for name, extra in s.fitting(node):
        yield from ((f"{how}{rate} * {name}", 1 + extra) for rate in rates for how in ("", "2 * "))


def _matmuls(a: str, u: tuple[int, ...], b: str, w: tuple[int, ...], shape: tuple[int, ...]) -> Iterator[str]:
    """Matrix products of two arrays that have this shape."""
    t = "{}.T" if len(shape) == 2 else "{}.swapaxes(-1, -2)"
    if u[-1] == w[-2] and (u[-2], w[-1]) == shape[-2:]:
        yield f"{a} @ {b}"
    if u[-1] == w[-1] and (u[-2], w[-2]) == shape[-2:]:
        yield f"{a} @ {t.format(b)}"
    if u[-2] == w[-2] and (u[-1], w[-1]) == shape[-2:]:
        yield f"{t.format(a)} @ {b}"


CHANGES = comparisons, signs, other_names, dropped, factors, other_slopes, divisions, powers, numbers, labels, sums
