"""Changes in what a backward computes: another name, factor, power or number.

Each kind gives `Edit`s for a `Scene`. Ranks: 0 for slips of the pen, 1 for what is forgotten of the formula, 2 for numbers and
sizes, 3 for what the learner has not written anywhere.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinydx.gradcheck.edits import Edit, Place, parsed, text
from tinydx.gradcheck.scene import Scene, is_call, is_func, joined_to, times, with_factor
from tinydx.gradcheck.seen import is_float, is_whole

SLOPES = (  # what may be forgotten or be too many, in a name that stands for an activation's output (or input)
    ("slope of tanh, 1 - {0}**2,", "1 - {0} ** 2"),
    ("slope of sigmoid, {0} (1 - {0}),", "{0} * (1 - {0})"),
    ("factor {0}", "{0}"),
    ("factor 1 - {0}", "1 - {0}"),
    ("mask of ReLU, gate {0} > 0,", "{0} > 0"),
)


# ---- slips of the pen ----------------------------------------------------------------------------------------------


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
                rank += 2 * any(isinstance(p.parent, ast.Subscript) and isinstance(p.parent.ctx, ast.Store) for p in block)
                between = f": {_slope(s.between[old, new])} forgotten" if (old, new) in s.between else where
                told = f"`{old}` should be `{new}`{where}"
                yield Edit(f"{old} instead of {new}{between}", block, ast.Name(new, ast.Load()), rank, told)
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


def _slope(factor: str) -> str:
    """The factor, called by the activation whose slope it is, if any."""
    names = re.findall(r"\w+", factor)
    return next((t.format(n).rstrip(",") for t, how in SLOPES[:2] for n in names if factor == f"factor {how.format(n)}"), factor)


def _says_more(node: ast.AST) -> bool:
    """Whether an expression computes something of what it reads."""
    return isinstance(node, ast.Call | ast.BinOp)


def _mentions(node: ast.AST, name: str) -> bool:
    return any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(node))


def _alike(old: Any, new: Any) -> bool:
    """Whether one may stand for the other: both arrays of floats, both of whole numbers, or both an index."""
    if is_float(old) and is_float(new):
        return np.ndim(old) == np.ndim(new) or np.shape(old)[-1:] == np.shape(new)[-1:]
    if is_float(old) and isinstance(new, np.ndarray) and new.dtype.kind == "b":  # its values for a mask
        return np.shape(old) == new.shape
    if isinstance(old, np.ndarray) and isinstance(new, np.ndarray):
        return old.dtype.kind == new.dtype.kind and old.shape == new.shape
    return is_whole(old) and is_whole(new)


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


# ---- what is forgotten of the formula ------------------------------------------------------------------------------


def factors(s: Scene) -> Iterator[Edit]:
    """A factor or slope that was forgotten, in a value, in a term, or wherever dy is used."""
    groups = [[p] for p in s.terms() if not isinstance(p.node, ast.Constant)]
    of_dy = [p for p in s.loads() if p.node.id == s.dy and s.seen.shape(p.node) is not None]
    groups += [[p] for p in of_dy if p not in s.terms()] + ([of_dy] if len(of_dy) > 1 else [])
    values = {id(p.node) for p in s.values()} | {id(p.node) for p in of_dy}
    for group in groups:
        old, multiply = group[0].node, f"multiply `{text(group[0].node)}` by "
        for name, new, extra in _columns(s, group[0]):
            yield Edit(f"factor {name} forgotten", group, joined_to(ast.Mult(), new), 2 + extra, f"{multiply}`{new}`")
        inside = group[0].parent if isinstance(group[0].parent, ast.BinOp) and not is_whole(s.seen.at.get(id(old))) else old
        whole = inside if isinstance(getattr(inside, "op", None), ast.Add | ast.Sub) and s.seen.shape(inside) else old
        for name, extra in s.fitting(whole):
            extra -= 2 * s.is_unused(name)
            for told, source in SLOPES:
                far = source != "{0}" and bool(s.loops) and not s.stands_in(name, group[0].home)
                rank, how = 1 + extra + (id(old) not in values) + far, source.format(name)
                square = "square forgotten: " if how == text(old) else ""
                name_of = f"{square}{told.format(name)} forgotten"
                yield Edit(name_of, group, joined_to(ast.Mult(), how), rank, f"{multiply}`{how}`")
            for f in ("log", "exp") if id(old) in values else ():
                made = joined_to(ast.Mult(), f"__import__('numpy').{f}({name})")
                yield Edit(f"factor {f}({name}) forgotten", group, made, 2 + extra, f"{multiply}{f}({name})")
            line = f"divide `{text(old)}` by `{name}`"
            yield Edit(f"division by {name} forgotten", group, joined_to(ast.Div(), name), 2 + extra, line)


def _columns(s: Scene, p: Place) -> list[tuple[str, str, int]]:
    """Names of arrays that may multiply the rows of a matrix, or of a stack; how they are written there."""
    scaled = isinstance(p.parent, ast.AugAssign) and p.field == "value" and isinstance(p.parent.op, ast.Mult | ast.Div)
    target = getattr(p.parent.target, "id", "") if scaled else ""  # type: ignore[attr-defined]
    shape = np.shape(s.own[target]) if target in s.own else s.seen.shape(p.node) or ()
    rows = [(n, np.ndim(v), e) for n, v, e in s.names() if len(shape) > 1 and is_float(v) and np.shape(v) == shape[:-1]]
    return [(n, f"{n}[:, None]" if axes == 1 else f"{n}[..., None]", e) for n, axes, e in rows if s.known(n, p.node)]


def divisions(s: Scene) -> Iterator[Edit]:
    """A divisor that stands elsewhere, or a size."""
    divisors = {text(n.right): n.right for n in s.divisions}
    for p in s.terms():
        if s.seen.shape(p.node) is None:
            continue
        for written, divisor in divisors.items():
            if not (isinstance(p.parent, ast.BinOp) and text(p.parent.right) == written):  # then its power is wrong
                again = (isinstance(p.node, ast.BinOp) and text(p.node.right) == written) or _is_divided(s, p, written)
                told = f"wrong power: {written} not squared" if again else f"division by {written} forgotten"
                yield Edit(told, [p], ast.BinOp(p.node, ast.Div(), divisor), 1)
        spans = s.spans() if s.loops and p in s.values() else []
        for way in spans:
            yield Edit(f"division by {way} forgotten: sum instead of mean", [p], joined_to(ast.Div(), way), 1)
        for _, ways in s.counts() if p in s.values() else ():
            for way in ways:
                if way not in divisors and s.known(way.split(".")[0].removeprefix("len(").rstrip(")"), p.node):
                    yield Edit(f"division by {way} forgotten: sum instead of mean", [p], joined_to(ast.Div(), way), 2)
    for p in s.places:  # another size than this
        here = s.seen.at.get(id(p.node))
        if isinstance(p.node, ast.Constant) and isinstance(p.node.value, int) and p.field == "right" and _divides(p):
            for way in s.spans() if s.loops else []:
                yield Edit(f"wrong size: {text(p.node)} instead of {text(parsed(way))}", [p], parsed(way), 1)
        if is_whole(here) and isinstance(p.node, ast.BinOp | ast.Call | ast.Name | ast.Attribute | ast.Subscript) and _divides(p):
            for way in s.spans() if s.loops else []:
                yield Edit(f"{text(p.node)} instead of {text(parsed(way))}", [p], parsed(way), 1)
            if isinstance(p.node, ast.BinOp) and isinstance(p.node.op, ast.Add | ast.Sub):
                yield Edit(f"wrong size: {text(p.node)} instead of {text(p.node.left)}", [p], p.node.left, 1)
            if here not in s.frozen:
                yield Edit(f"{text(p.node)} instead of {text(p.node)} - 1", [p], parsed(f"({text(p.node)} - 1)"), 2)
            for count, ways in s.counts():
                for way in ways if count != here else ():
                    yield Edit(f"{text(p.node)} instead of {text(parsed(way))}", [p], parsed(way), 1)


def _is_divided(s: Scene, p: Place, written: str) -> bool:
    """Whether the name that gets this value is divided by the same thing later."""
    targets = getattr(p.parent, "targets", [])
    names = [t.id for t in targets if isinstance(t, ast.Name)]
    return any(
        text(n.right) == written and any(isinstance(part, ast.Name) and part.id in names for part in ast.walk(n.left))
        for n in s.divisions
    )


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
            of = f"wrong power of {text(n.left)}"
            yield Edit(of, [p], n.left, 0)
            for power in (2, 3, -1, -2, 0.5, -0.5, 1.5, -1.5):
                yield Edit(of, [p], ast.BinOp(n.left, n.op, parsed(repr(power))), 0)
            for name in s.scalars():
                for how in ("{}", "{} - 1", "{} + 1", "-{}", "-{} - 1", "1 / {}", "1 / {} - 1"):
                    made = ast.BinOp(n.left, n.op, parsed(how.format(name)))
                    yield Edit(f"{of}: {text(n.right)} instead of {how.format(name)}", [p], made, 1)
            if not isinstance(n.right, ast.Constant):
                for step in ("- 1", "+ 1"):
                    yield Edit(of, [p], parsed(f"({ast.unparse(n.left)}) ** ({ast.unparse(n.right)} {step})"), 0)
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load) and not is_func(p) and s.seen.shape(n) is not None:
            yield Edit("square forgotten", [p], parsed(f"{n.id} ** 2"), 1)
            for f in ("exp", "tanh", "log", "sqrt", "cos", "sin", "sign", "abs"):
                is_mask = f == "sign" and np.min(s.seen.at[id(n)]) >= 0
                name = f"mask {n.id} > 0 forgotten: its values stand for it" if is_mask else f"{f} forgotten"
                told = f"take {n.id} > 0" if is_mask else f"take {f}({n.id})"
                yield Edit(name, [p], parsed(f"__import__('numpy').{f}({n.id})"), 2, told)
            sigmoid = parsed(f"(1 / (1 + __import__('numpy').exp(-{n.id})))")
            yield Edit("sigmoid forgotten", [p], sigmoid, 2, "take the sigmoid first")
            yield Edit(f"{n.id} instead of 1 - {n.id}", [p], parsed(f"(1 - {n.id})"), 1)
        if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Sub) and isinstance(n.left, ast.Constant) and n.left.value == 1:
            too_many = "" if isinstance(n.right, ast.Name) else ": term 1 too many"
            yield Edit(f"{text(n)} instead of {text(n.right)}{too_many}", [p], n.right, 0)
        if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Div):
            of = text(n.right)
            for power, told, rank in ((2, "not squared", 1), (3, "not to the third", 2), (0.5, "root forgotten", 1)):
                made = ast.BinOp(n.left, n.op, ast.BinOp(n.right, ast.Pow(), ast.Constant(power)))
                yield Edit(f"wrong power of the divisor: {of} {told}", [p], made, rank)


def numbers(s: Scene) -> Iterator[Edit]:
    """A factor of 2, and other numbers."""
    for p in s.terms():
        if s.seen.shape(p.node) is not None:
            has_two = any(isinstance(n, ast.Constant) and n.value == 2 for n in ast.walk(p.node))
            half = "factor 2 too many" if has_two else "factor 0.5 forgotten, a factor 2 apart"
            for factor, name in (("2", "factor 2 forgotten"), ("0.5", half), ("3", "factor 3 forgotten")):
                yield Edit(name, [p], with_factor(parsed(factor)), 1 if p in s.values() else 2)
            for number in [v for v in s.numbers if v != 2]:
                yield Edit(f"factor {number} forgotten", [p], with_factor(ast.Constant(number)), 2)
                yield Edit(f"division by {number} forgotten", [p], joined_to(ast.Div(), repr(number)), 2)
                yield Edit(f"term {number} forgotten", [p], joined_to(ast.Add(), repr(number)), 3)
    for p in s.places:
        n = p.node
        value: Any = n.value if isinstance(n, ast.Constant) else None
        if type(value) in (int, float) and not isinstance(p.parent, ast.Subscript | ast.Slice | ast.keyword):
            rest = [round(1 - v, 12) for v in s.numbers if 0 < v < 1]  # what a rate leaves
            for new in dict.fromkeys((0, 1, 2, 0.5, 3, value * 2, value / 2, value * 3, -value, *s.numbers, *rest)):
                if new != value:
                    sign = "sign: " if new == -value else ""
                    yield Edit(f"{sign}{value} instead of {new:g}", [p], ast.Constant(new), 2)
            for new, v, extra in s.names():
                number = is_float(v) and np.ndim(v) == 0 and s.seen.degree_of(new) == 0 and not extra
                if number or (new == s.dy and isinstance(p.parent, ast.Assign | ast.AugAssign)):
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


CHANGES = slopes, other_names, factors, divisions, powers, numbers
