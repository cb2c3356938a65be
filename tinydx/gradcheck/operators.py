"""Slips of the pen: another sign, operator or comparison, brackets elsewhere, a factor or term that should not be there.

Each kind gives `Edit`s for a `Scene`, as in changes.py.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinydx.gradcheck.edits import Edit, parsed, text
from tinydx.gradcheck.scene import REDUCTIONS, Scene, is_call, is_func, times
from tinydx.gradcheck.seen import is_whole

BELOW, ABOVE = {ast.Lt, ast.LtE}, {ast.Gt, ast.GtE}
PAIRS = ("argmax", "argmin"), ("max", "min"), ("maximum", "minimum"), ("cos", "sin"), ("exp", "log"), ("floor", "ceil")
FUNCTIONS = ("exp", "log", "tanh", "sinh", "cosh", "sqrt", "square", "sign", "abs", "sin", "cos", "arctan")
OTHER = {
    ast.BitAnd: (ast.BitOr, "& instead of |: and instead of or"),
    ast.BitOr: (ast.BitAnd, "| instead of &: or instead of and in the condition"),
    ast.Mult: (ast.Add, "product instead of sum"),
    ast.Add: (ast.Mult, "sum instead of product"),
}
OPPOSITE = dict(PAIRS) | {b: a for a, b in PAIRS}


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
            for other_end in (f"-{right}", *s.scalars(), *map(str, s.numbers), *(f"-{v}" for v in s.numbers)):
                limit = f"{left} {other} {other_end}"
                told = f"{end} limit of the mask forgotten: {text(parsed(limit))}"
                yield Edit(told, [p], parsed(f"({ast.unparse(n)}) & ({limit})"), 1)
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
            whole = is_whole(s.seen.at.get(id(n)))  # a shift, or an index
            yield Edit(f"wrong direction: {text(n)} instead of {text(n.operand)}" if whole else "sign", [p], n.operand, 0)
        if isinstance(n, ast.expr) and is_call(p.parent, "exp") and p.field == "args" and s.seen.shape(n) is not None:
            yield Edit("sign of the exponent", [p], ast.UnaryOp(ast.USub(), n), 1)
    for p in s.values():
        yield Edit("sign", [p], ast.UnaryOp(ast.USub(), p.node), 0)


def dropped(s: Scene) -> Iterator[Edit]:
    """A factor, a divisor, a term or a function that should not be there."""
    for p in s.places:
        n = p.node
        if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Mult):
            for part, rest in ((n.right, n.left), (n.left, n.right)):
                count = "wrong size: " if is_whole(s.seen.at.get(id(part))) and not isinstance(part, ast.Constant) else ""
                if isinstance(part, ast.UnaryOp) and isinstance(part.op, ast.USub):  # the minus may belong there
                    yield Edit(f"factor {text(part.operand)} too many", [p], ast.UnaryOp(ast.USub(), rest), 0)
                yield Edit(f"{count}factor {text(part)} too many", [p], rest, 0)
            if isinstance(n.left, ast.BinOp) and isinstance(n.left.op, ast.Mult):
                yield Edit(f"factor {text(n.left.right)} * {text(n.right)} too many", [p], n.left.left, 0)
            yield Edit(f"multiplied by {text(n.right)} instead of divided", [p], ast.BinOp(n.left, ast.Div(), n.right), 1)
        elif isinstance(n, ast.BinOp) and isinstance(n.op, ast.Div):
            mean = "averaged: " if is_whole(s.seen.at.get(id(n.right))) else ""
            yield Edit(f"{mean}division by {text(n.right)} too many", [p], n.left, 0)
            yield Edit(f"divided by {text(n.right)} instead of multiplied", [p], times(n.left, n.right), 1)
        elif isinstance(n, ast.BinOp) and isinstance(n.op, ast.Add | ast.Sub) and s.seen.shape(n) is not None:
            yield Edit(f"term {text(n.right)} too many", [p], n.left, 0)
            rest = n.right if isinstance(n.op, ast.Add) else ast.UnaryOp(ast.USub(), n.right)
            yield Edit(f"term {text(n.left)} too many", [p], rest, 0)
        if isinstance(n, ast.Call) and len(n.args) == 1 and not n.keywords and s.seen.shape(n) is not None:
            filled = is_call(n, "ones_like", "zeros_like", "full_like")
            name = f"{text(n)} instead of {text(n.args[0])}" if filled else f"{text(n.func)} too many"
            yield Edit(name, [p], n.args[0], 0)
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) and is_call(n, *REDUCTIONS, "copy", "clip"):
            yield Edit(f"{n.func.attr} too many", [p], n.func.value, 0)
        if isinstance(n, ast.AugAssign):
            sign = "sign: " if isinstance(n.op, ast.Mult) and ast.unparse(n.value) == "-1" else ""
            yield Edit(f"{sign}`{text(n)}` too many", [p], ast.Pass(), 1)


def opposites(s: Scene) -> Iterator[Edit]:
    """The smallest for the largest, a cosine for a sine; a product of numbers for a matrix product."""
    compared = {id(n) for p in s.places if isinstance(p.node, ast.Compare) for n in ast.walk(p.node)}
    for p in s.places:
        n = p.node
        name = n.attr if isinstance(n, ast.Attribute) else n.id if isinstance(n, ast.Name) and is_func(p) else ""
        if other := OPPOSITE.get(name):
            new = ast.Attribute(n.value, other, ast.Load()) if isinstance(n, ast.Attribute) else ast.Name(other, ast.Load())
            yield Edit(f"{name} instead of {other}", [p], new, 0)
        if isinstance(n, ast.Attribute) and name in FUNCTIONS and is_func(p) and id(n) not in compared:
            for f in FUNCTIONS:
                if f not in (name, OPPOSITE.get(name)):
                    yield Edit(f"{name} instead of {f}", [p], ast.Attribute(n.value, f, ast.Load()), 1)
        if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Mult | ast.MatMult):
            new_op = ast.MatMult() if isinstance(n.op, ast.Mult) else ast.Mult()
            told = ("elementwise", "matrix") if isinstance(n.op, ast.Mult) else ("matrix", "elementwise")
            yield Edit(f"{told[0]} product instead of {told[1]} product", [p], _with_op(n, type(n.op), new_op), 0)


def _with_op(node: ast.expr, old: type, new: ast.operator) -> ast.expr:
    """The chain of products with another operator throughout."""
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, old):
        return node
    return ast.BinOp(_with_op(node.left, old, new), new, _with_op(node.right, old, new))


def operators(s: Scene) -> Iterator[Edit]:
    """And for or, a product for a sum; conditions whose sides are exchanged."""
    for p in s.places:
        n = p.node
        if isinstance(n, ast.BinOp) and (pair := OTHER.get(type(n.op))) and not is_whole(s.seen.at.get(id(n))):
            new, told = pair
            yield Edit(told, [p], ast.BinOp(n.left, new(), n.right), 1)
        if isinstance(n, ast.UnaryOp) and isinstance(n.op, ast.Invert):
            yield Edit(f"mask inverted: {text(n)} instead of {text(n.operand)}", [p], n.operand, 0)
        if is_call(n, "where") and len(n.args) == 3:
            exchanged = ast.Call(n.func, [n.args[0], n.args[2], n.args[1]], [])
            yield Edit("branches of the condition exchanged", [p], exchanged, 0)
        if isinstance(n, ast.IfExp):
            yield Edit("branches of the condition exchanged", [p], ast.IfExp(n.test, n.orelse, n.body), 0)
    for p in s.loads():
        if _is_mask(s.seen.at.get(id(p.node))):
            other = f"1 - {p.node.id}"
            yield Edit(f"mask inverted: {p.node.id} instead of {other}", [p], parsed(f"({other})"), 1)


def _is_mask(value: Any) -> bool:
    """Whether these numbers are zeros and ones."""
    return isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.size > 1 and bool(np.isin(value, (0, 1)).all())


OPERATORS = comparisons, signs, opposites, operators, dropped
