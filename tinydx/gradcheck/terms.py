"""Terms that a backward lacks: the label's 1, a name beside one factor, a penalty; and matrices that it lacks.

Each kind gives `Edit`s for a `Scene`, as in changes.py.
"""

from __future__ import annotations

import ast
import functools
import itertools
import re
from collections.abc import Iterator

import numpy as np

from tinydx.gradcheck.edits import Edit, parsed, text
from tinydx.gradcheck.scene import Scene, is_call, joined_to
from tinydx.gradcheck.seen import is_float, is_whole


def labels(s: Scene) -> Iterator[Edit]:
    """The 1 at the target's class that a softmax's loss subtracts."""
    for p in s.places:
        of_class = isinstance(p.parent, ast.AugAssign) and isinstance(p.parent.op, ast.Sub) and p.field == "value"
        if of_class and isinstance(p.parent.target, ast.Subscript):  # type: ignore[attr-defined]
            yield Edit(f"{text(p.node)} instead of 1, the label's", [p], ast.Constant(1), 0)
    for p in s.terms():
        shape = s.seen.shape(p.node)
        for name, value, extra in s.names():
            if shape is None or not (is_whole(value) or (isinstance(value, np.ndarray) and value.dtype.kind in "iu")):
                continue
            if shape and np.shape(value) == shape[:-1] and np.ndim(value) < 2 and np.max(value, initial=0) < shape[-1]:
                one_hot = f"__import__('numpy').eye(({ast.unparse(p.node)}).shape[-1])[{name}]"
                yield Edit(
                    "the label's 1 not subtracted",
                    [p],
                    joined_to(ast.Sub(), one_hot),
                    1 + extra,
                    f"subtract 1 at the class `{name}`",
                )
            if np.ndim(value) == 1 and shape == () and len(s.loops) > 1:  # in loops over examples and classes
                for i, j in itertools.permutations(s.loops[-2:]):
                    yield Edit("the label's 1 not subtracted", [p], joined_to(ast.Sub(), f"({j} == {name}[{i}])"), 1 + extra)


def added(s: Scene) -> Iterator[Edit]:
    """Something that one factor lacks: h for h - n, a penalty, eps in a root."""
    for p in s.loads():  # one factor of a product: h for h - n
        if isinstance(p.parent, ast.BinOp) and isinstance(p.parent.op, ast.Mult | ast.Div | ast.MatMult):
            degree = s.seen.degree(p.node)
            for name, extra in s.alike(p.node):
                for op in (ast.Add(), ast.Sub()) if name != p.node.id and s.seen.degree_of(name) in (degree, None) else ():
                    yield Edit(f"term {name} forgotten{_carried(s, name)}", [p], joined_to(op, name), 2 + extra)
            for source, rank in _penalties(s, p.node):
                yield Edit(f"term {source} forgotten", [p], joined_to(ast.Add(), source), 1 + rank)
    for p in s.values() if s.loops else ():  # a way past the gate, such as dh * (1 - m)
        carries = any(isinstance(t, ast.Name) and t.id in s.carried for t in getattr(p.parent, "targets", ()))
        for d, extra in s.alike(p.node) if s.seen.degree(p.node) == 1 else ():
            for m, _ in s.fitting(p.node) if s.seen.degree_of(d) == 1 and not extra else ():
                for how in (f"{d} * {m}", f"{d} * (1 - {m})"):
                    yield Edit(f"term {how} forgotten: another path", [p], joined_to(ast.Add(), how), 2 - carries)
    for p in s.places:  # what a later time step hands back
        if isinstance(p.node, ast.Subscript) and s.loops and s.seen.degree(p.node) == 1 and isinstance(p.node.ctx, ast.Load):
            for name, extra in s.alike(p.node):
                if name in s.made_at and s.seen.degree_of(name) in (1, None):
                    yield Edit(f"term {name} forgotten{_carried(s, name)}", [p], joined_to(ast.Add(), name), 1 + extra)
    for p in s.places:  # eps in the root
        if isinstance(p.parent, ast.Call) and p.field == "args" and isinstance(p.node, ast.Name):
            for name, value, _ in s.names():
                if is_float(value) and np.ndim(value) == 0 and s.seen.shape(p.node) is not None:
                    yield Edit(f"{name} forgotten", [p], joined_to(ast.Add(), name), 1)
        if isinstance(p.node, ast.BinOp) and isinstance(p.node.op, ast.Mult) and getattr(p.node.left, "value", 0) == 2:
            right = ast.unparse(p.node.right)  # 2 A for A + A transposed
            if len(s.seen.shape(p.node) or ()) > 1:
                turned = parsed(f"({right} + ({right}).swapaxes(-1, -2))")
                yield Edit(f"2 {right} instead of {right} plus its transpose", [p], turned, 2)


def _carried(s: Scene, name: str) -> str:
    return ": what a later step carries back" if name in s.carried else ""


def _penalties(s: Scene, node: ast.AST) -> Iterator[tuple[str, int]]:
    """Weights times a number, of an expression's shape."""
    rates = [n for n, v, extra in s.names() if is_float(v) and np.ndim(v) == 0 and not extra and s.seen.degree_of(n) == 0]
    for name, extra in s.fitting(node):
        yield from ((f"{how}{rate} * {name}", 1 + extra) for rate in rates for how in ("", "2 * "))


def matrices(s: Scene) -> Iterator[Edit]:
    """A matrix by which a value should be multiplied."""
    for p in s.values():
        shape = s.seen.shape(p.node)
        arrays = [(n, np.shape(v), extra) for n, v, extra in s.names() if is_float(v) and np.ndim(v) == 2 and s.known(n, p.node)]
        for name, _, extra in arrays if shape and len(shape) == 2 else ():
            old = f"({ast.unparse(p.node)})"
            made = {f"{name}.T": f"{old} @ {name}.T", name: f"{old} @ {name}"}
            made |= {f"{name}.T on the left": f"{name}.T @ {old}"}
            for how, source in made.items():
                if s.seen.degree_of(name) != 1:
                    yield Edit(f"matrix {how} forgotten", [p], parsed(source), 1 + extra)


def idle(s: Scene) -> Iterator[Edit]:
    """What is unpacked and then not used may belong into a term, or into a second line like one that is there."""
    for name in sorted(s.unused):
        for p in s.values() if is_float(s.own[name]) else ():
            for d, _ in s.alike(p.node):
                if s.seen.degree_of(d) == 1 and s.seen.degree(p.node) == 1:
                    for how in (f"{d} * {name}", f"{d} @ {name}.T", f"{d} @ {name}", f"{name}.T @ {d}"):
                        yield Edit(f"term {how} forgotten: another path", [p], joined_to(ast.Add(), how), 1)
        for p in s.places:
            adds = isinstance(p.node, ast.AugAssign) or (isinstance(p.node, ast.Expr) and is_call(p.node.value, "at"))
            for old in {n.id for n in ast.walk(p.node) if isinstance(n, ast.Name)} if adds else ():
                if old in s.own and np.shape(s.own[old]) == np.shape(s.own[name]):
                    for again in _like(p.node, old, name):
                        told = f"a line like `{text(p.node)}` for {name}"
                        yield Edit(f"path of {name} forgotten", [p], functools.partial(_followed, again), 1, told)


def _like(statement: ast.stmt, old: str, new: str) -> Iterator[ast.stmt]:
    """The statement with another name; with the slices as they are, or with the other part."""
    source = re.sub(rf"\b{old}\b", new, ast.unparse(statement))
    other = re.sub(r"(?<=[\[ ]):(\w+)(?=\])|(?<=[\[ ])(\w+):(?=\])", lambda m: f"{m[1]}:" if m[1] else f":{m[2]}", source)
    for made in dict.fromkeys((source, other)):
        yield ast.parse(made).body[0]


def _followed(again: ast.stmt, node: ast.stmt) -> ast.stmt:
    return ast.If(ast.Constant(True), [node, again], [])


TERMS = labels, added, matrices, idle
