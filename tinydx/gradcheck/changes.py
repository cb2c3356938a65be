"""Changes in what a backward computes: another name, sign, factor, power or number.

Each kind gives `Edit`s for a `Scene`. Ranks: 0 for slips of the pen, 1 for what is forgotten of the formula, 2 for numbers and
sizes, 3 for what the learner has not written anywhere.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinydx.gradcheck.edits import Edit, Place, parsed, text
from tinydx.gradcheck.scene import REDUCTIONS, Scene, is_call, is_func, joined_to, times, with_factor
from tinydx.gradcheck.seen import is_float, is_whole

SLOPES = (  # what may be forgotten or be too many, in a name that stands for an activation's output (or input)
    ("slope of tanh, 1 - {0}**2,", "1 - {0} ** 2"),
    ("slope of sigmoid, {0} (1 - {0}),", "{0} * (1 - {0})"),
    ("factor {0}", "{0}"),
    ("factor 1 - {0}", "1 - {0}"),
    ("gate {0} > 0", "{0} > 0"),
)

BELOW, ABOVE = {ast.Lt, ast.LtE}, {ast.Gt, ast.GtE}
PAIRS = ("argmax", "argmin"), ("max", "min"), ("maximum", "minimum"), ("cos", "sin"), ("exp", "log"), ("floor", "ceil")
OPPOSITE = dict(PAIRS) | {b: a for a, b in PAIRS}


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
        if type(n.ops[0]) in BELOW | ABOVE:
            other, end = ("<", "upper") if type(n.ops[0]) in ABOVE else (">", "lower")
            left, right = (f"({ast.unparse(part)})" for part in (n.left, n.comparators[0]))
            limit = f"{left} {other} -{right}"
            both = parsed(f"({ast.unparse(n)}) & ({limit})")
            told = f"{end} limit of the mask forgotten: {text(parsed(limit))}"
            yield Edit(told, [p], both, 1)
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
            kinds = [(type(p.parent), type(getattr(p.parent, "op", None)), p.field) for p in here]
            for kind in set(kinds):  # the same role, such as all factors of an index
                alike = [p for p, k in zip(here, kinds, strict=True) if k == kind]
                blocks += [(old, alike)] if 2 < len(alike) < len(here) else []
        blocks += [(old, together)] if len(together) > 1 else []
    for old, block in blocks:
        before: Any = s.seen.at.get(id(block[0].node), s.own.get(old))
        for new, value, extra in s.names():
            if new != old and _alike(before, value) and s.known(new, block[0].node):
                rank = extra if np.shape(before) == np.shape(value) else 2
                rank += 2 * (None not in (d := (s.seen.degree(block[0].node), s.seen.degree_of(new))) and d[0] != d[1])
                if is_whole(before) and not {old, new} <= set(s.loops):
                    rank = 2  # sizes have many names
                where = " in the condition" if isinstance(block[0].parent, ast.Compare) else ""
                told = f"`{old}` should be `{new}`{where}"
                yield Edit(f"{old} instead of {new}{where}", block, ast.Name(new, ast.Load()), rank, told)
    for p in s.places:
        if isinstance(p.node, ast.Call | ast.Attribute | ast.Subscript | ast.BinOp) and isinstance(
            value := s.seen.at.get(id(p.node)), np.ndarray
        ):
            for new, v, extra in s.names():
                is_sum = isinstance(p.node, ast.BinOp)  # of indices: they are off by something
                whole = not is_sum and value.dtype.kind in "iu" and isinstance(v, np.ndarray) and v.dtype.kind in "iu"
                same = is_float(value) and is_float(v) and value.ndim > 1 and not isinstance(p.node, ast.Attribute)
                if (whole or same) and np.shape(v) == value.shape and not (_says_more(p.node) and _mentions(p.node, new)):
                    yield Edit(f"{text(p.node)} instead of {new}", [p], ast.Name(new, ast.Load()), extra + 2 * same)


def _says_more(node: ast.AST) -> bool:
    """Whether an expression computes something of what it reads."""
    return isinstance(node, ast.Call | ast.BinOp)


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
            rest = n.right if isinstance(n.op, ast.Add) else ast.UnaryOp(ast.USub(), n.right)
            yield Edit(f"term {text(n.left)} too many", [p], rest, 0)
        if isinstance(n, ast.Call) and len(n.args) == 1 and not n.keywords and s.seen.shape(n) is not None:
            yield Edit(f"{text(n.func)} too many", [p], n.args[0], 0)
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) and is_call(n, *REDUCTIONS, "copy", "clip"):
            yield Edit(f"{n.func.attr} too many", [p], n.func.value, 0)
        if isinstance(n, ast.AugAssign):
            yield Edit(f"`{text(n)}` too many", [p], ast.Pass(), 1)


def opposites(s: Scene) -> Iterator[Edit]:
    """The smallest for the largest, a cosine for a sine; a product of numbers for a matrix product."""
    for p in s.places:
        n = p.node
        name = n.attr if isinstance(n, ast.Attribute) else n.id if isinstance(n, ast.Name) and is_func(p) else ""
        if other := OPPOSITE.get(name):
            new = ast.Attribute(n.value, other, ast.Load()) if isinstance(n, ast.Attribute) else ast.Name(other, ast.Load())
            yield Edit(f"{name} instead of {other}", [p], new, 0)
        if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Mult | ast.MatMult):
            new_op = ast.MatMult() if isinstance(n.op, ast.Mult) else ast.Mult()
            told = ("elementwise", "matrix") if isinstance(n.op, ast.Mult) else ("matrix", "elementwise")
            yield Edit(f"{told[0]} product instead of {told[1]} product", [p], _with_op(n, type(n.op), new_op), 0)


def slopes(s: Scene) -> Iterator[Edit]:
    """The slope of tanh for that of the sigmoid, and the other way round."""
    for p in s.places:
        n: Any = p.node
        if not isinstance(n, ast.BinOp):
            continue
        left: Any = n.left
        written, rest = ast.unparse(n), left.left if _is_factor(left) else None
        for y in {m.id for m in ast.walk(n) if isinstance(m, ast.Name)}:
            tanh, sigmoid = f"1 - {y} ** 2", f"{y} * (1 - {y})"
            if written == tanh:
                yield Edit(f"slope of tanh, {tanh}, instead of slope of sigmoid, {sigmoid}", [p], parsed(sigmoid), 0)
            if written == sigmoid or (rest is not None and written == f"{ast.unparse(rest)} * {sigmoid}"):
                whole = parsed(f"({tanh})")
                new = whole if rest is None or written == sigmoid else times(rest, whole)
                yield Edit(f"slope of sigmoid, {sigmoid}, instead of slope of tanh, {tanh}", [p], new, 0)


def _is_factor(node: Any) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult)


def _with_op(node: ast.expr, old: type, new: ast.operator) -> ast.expr:
    """The chain of products with another operator throughout."""
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, old):
        return node
    return ast.BinOp(_with_op(node.left, old, new), new, _with_op(node.right, old, new))


# ---- what is forgotten of the formula ------------------------------------------------------------------------------


def factors(s: Scene) -> Iterator[Edit]:
    """A factor or slope that was forgotten, in a value, in a term, or wherever dy is used."""
    groups = [[p] for p in s.terms() if not isinstance(p.node, ast.Constant)]
    of_dy = [p for p in s.loads() if p.node.id == s.dy and s.seen.shape(p.node) is not None]
    groups += [[p] for p in of_dy if p not in s.terms()] + ([of_dy] if len(of_dy) > 1 else [])
    values = {id(p.node) for p in s.values()} | {id(p.node) for p in of_dy}
    for group in groups:
        old = group[0].node
        for name, extra in _columns(s, old):
            line = f"multiply `{text(old)}` by `{name}[:, None]`"
            yield Edit(f"factor {name} forgotten", group, with_factor(parsed(f"{name}[:, None]")), 2 + extra, line)
        inside = group[0].parent if isinstance(group[0].parent, ast.BinOp) and not is_whole(s.seen.at.get(id(old))) else old
        whole = inside if isinstance(getattr(inside, "op", None), ast.Add | ast.Sub) and s.seen.shape(inside) else old
        for name, extra in s.fitting(whole):
            for told, source in SLOPES:
                factor = parsed(f"({source.format(name)})")
                line = f"multiply `{text(old)}` by `{text(factor)}`"
                rank = 1 + extra + (id(old) not in values)
                yield Edit(told.format(name) + " forgotten", group, with_factor(factor), rank, line)
            if id(old) in values:
                for f in ("log", "exp"):
                    factor = parsed(f"__import__('numpy').{f}({name})")
                    told = f"multiply `{text(old)}` by {f}({name})"
                    yield Edit(f"factor {f}({name}) forgotten", group, with_factor(factor), 2 + extra, told)
            line = f"divide `{text(old)}` by `{name}`"
            yield Edit(f"division by {name} forgotten", group, joined_to(ast.Div(), name), 2 + extra, line)


def _columns(s: Scene, node: ast.AST) -> list[tuple[str, int]]:
    """Names of vectors that may multiply the rows of a matrix."""
    shape = s.seen.shape(node) or ()
    vectors = [(n, e) for n, v, e in s.names() if len(shape) == 2 and is_float(v) and np.shape(v) == shape[:1]]
    return [(n, e) for n, e in vectors if s.known(n, node)]


def divisions(s: Scene) -> Iterator[Edit]:
    """A divisor that stands elsewhere, or a size."""
    divisors = {text(n.right): n.right for n in s.divisions}
    for p in s.terms():
        if s.seen.shape(p.node) is None:
            continue
        for written, divisor in divisors.items():
            yield Edit(f"division by {written} forgotten", [p], ast.BinOp(p.node, ast.Div(), divisor), 1)
        for _, ways in s.counts() if p in s.values() else ():
            for way in ways:
                if way not in divisors and s.known(way.split(".")[0].removeprefix("len(").rstrip(")"), p.node):
                    yield Edit(f"division by {way} forgotten", [p], joined_to(ast.Div(), way), 2)
    for p in s.places:  # another size than this
        here = s.seen.at.get(id(p.node))
        if is_whole(here) and isinstance(p.node, ast.Name | ast.Attribute | ast.Call | ast.Subscript) and _divides(p):
            yield Edit(f"{text(p.node)} instead of {text(p.node)} - 1", [p], parsed(f"({text(p.node)} - 1)"), 2)
            for count, ways in s.counts():
                for way in ways if count != here else ():
                    yield Edit(f"{text(p.node)} instead of {text(parsed(way))}", [p], parsed(way), 1)


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
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load) and not is_func(p) and s.seen.shape(n) is not None:
            yield Edit("square forgotten", [p], parsed(f"{n.id} ** 2"), 1)
            for f in ("exp", "tanh", "log", "sqrt", "cos", "sin", "sign", "abs"):
                yield Edit(f"{f} forgotten", [p], parsed(f"__import__('numpy').{f}({n.id})"), 2, f"take {f}({n.id})")
            sigmoid = parsed(f"(1 / (1 + __import__('numpy').exp(-{n.id})))")
            yield Edit("sigmoid forgotten", [p], sigmoid, 2, "take the sigmoid first")
            yield Edit(f"{n.id} instead of 1 - {n.id}", [p], parsed(f"(1 - {n.id})"), 1)
        if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Sub) and isinstance(n.left, ast.Constant) and n.left.value == 1:
            too_many = "" if isinstance(n.right, ast.Name) else ": term 1 too many"
            yield Edit(f"{text(n)} instead of {text(n.right)}{too_many}", [p], n.right, 0)
        if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Div):
            yield Edit("wrong power", [p], ast.BinOp(n.left, n.op, ast.BinOp(n.right, ast.Pow(), ast.Constant(2))), 1)
            yield Edit("wrong power", [p], ast.BinOp(n.left, n.op, ast.BinOp(n.right, ast.Pow(), ast.Constant(3))), 2)
            yield Edit("root forgotten", [p], ast.BinOp(n.left, n.op, ast.BinOp(n.right, ast.Pow(), ast.Constant(0.5))), 1)


def numbers(s: Scene) -> Iterator[Edit]:
    """A factor of 2, and other numbers."""
    for p in s.terms():
        if s.seen.shape(p.node) is not None:
            for factor, name in (("2", "factor 2 forgotten"), ("0.5", "factor 2 too many"), ("3", "factor 3 forgotten")):
                yield Edit(name, [p], with_factor(parsed(factor)), 1 if p in s.values() else 2)
    for p in s.places:
        n = p.node
        value: Any = n.value if isinstance(n, ast.Constant) else None
        if type(value) in (int, float) and not isinstance(p.parent, ast.Subscript | ast.Slice | ast.keyword):
            for new in dict.fromkeys((0, 1, 2, 0.5, 3, value * 2, value / 2, value * 3)):
                if new != value:
                    yield Edit(f"{value} instead of {new:g}", [p], ast.Constant(new), 2)
            for new, v, extra in s.names():
                if is_float(v) and np.ndim(v) == 0 and s.seen.degree_of(new) == 0 and not extra:
                    yield Edit(f"{value} instead of {new}", [p], ast.Name(new, ast.Load()), 1)
            for new, v, extra in s.names():  # a choice such as np.where(x > 0, 1, 0)
                if is_call(p.parent, "where") and is_float(v):
                    for how in ("{0}", "__import__('numpy').exp({0})", "__import__('numpy').sign({0})"):
                        told = f"`{value}` should be `{how.format(new).replace('__import__(' + repr('numpy') + ')', 'np')}`"
                        yield Edit(f"{value} instead of {told.split('`')[3]}", [p], parsed(how.format(new)), 2 + extra, told)
        if is_call(p.parent, "where") and p.field == "args" and p.at:
            for new, extra in s.fitting(p.parent):
                yield Edit(f"sign({new}) forgotten", [p], times(n, parsed(f"__import__('numpy').sign({new})")), 2 + extra)
        if (
            isinstance(n, ast.expr)
            and is_call(p.parent, "where")
            and p.field == "args"
            and p.at
            and s.seen.at.get(id(n)) is not None
        ):
            for new in (0, 1):
                yield Edit(f"{text(n)} instead of {new}", [p], ast.Constant(new), 1)


CHANGES = comparisons, signs, opposites, slopes, other_names, dropped, factors, divisions, powers, numbers
