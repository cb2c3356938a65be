"""Changes in where a backward puts and takes its numbers: transposes, axes, orders.

Each kind gives `Edit`s for a `Scene`, as in changes.py.
"""

from __future__ import annotations

import ast
import copy
import io
import itertools
import tokenize
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np

from tinydx.gradcheck.edits import Edit, Place, parsed, text
from tinydx.gradcheck.scene import REDUCTIONS, Scene, is_call
from tinydx.gradcheck.seen import is_float

MOST_TOKENS = 36  # of an expression in which brackets are put elsewhere
AXES = (0, 1, -1, 2, None, (0, 1), (1, 2), (0, 2), (0, 1, 2), (0, 2, 3), (2, 3))


def transposes(s: Scene) -> Iterator[Edit]:
    """A matrix transposed or not, and the order of a product's operands."""
    for p in s.places:
        n = p.node
        if isinstance(n, ast.Attribute) and n.attr == "T":
            yield Edit("transposed one matrix too many", [p], n.value, 0)
            yield Edit(".T on a stack", [p], parsed(f"({ast.unparse(n.value)}).swapaxes(-1, -2)"), 0)
        if isinstance(n, ast.BinOp) and isinstance(n.op, ast.MatMult):
            if min(len(s.seen.shape(part) or ()) for part in (n.left, n.right)) > 1:  # of a vector it is a transpose
                yield Edit("operands in the wrong order", [p], ast.BinOp(n.right, n.op, n.left), 0)
            yield from _outer(s, p)
            for left, right in ((1, 0), (0, 1), (1, 1)):
                a, b = (_turned(s, part) if turn else part for part, turn in ((n.left, left), (n.right, right)))
                new = ast.BinOp(a, n.op, b)
                yield Edit("not transposed", [p], new, 0)
        if is_call(n, "dot", "matmul", "outer") and len(n.args) == 2:
            for i in (0, 1):
                yield Edit("not transposed", [p], ast.Call(n.func, [_t(a) if j == i else a for j, a in enumerate(n.args)], []), 0)
            yield Edit("operands in the wrong order", [p], ast.Call(n.func, n.args[::-1], []), 0)
        shape = s.seen.shape(n) if isinstance(n, ast.expr) else None
        if shape is not None and len(shape) > 2 and isinstance(p.parent, ast.Attribute):
            for i, j in itertools.combinations(range(len(shape)), 2):
                yield Edit("not transposed", [p], parsed(f"({ast.unparse(n)}).swapaxes({i}, {j})"), 1)
    for name in dict.fromkeys(p.node.id for p in s.loads()):
        uses = [p for p in s.loads() if p.node.id == name and len(s.seen.shape(p.node) or ()) == 2]
        if len(uses) > 1:
            yield Edit(f"{name} not transposed", uses, parsed(f"{name}.T"), 1, f"each `{name}` should be `{name}.T`")
        turned = [p for p in s.places if isinstance(p.node, ast.Attribute) and ast.unparse(p.node) == f"{name}.T"]
        if len(turned) > 1:
            yield Edit(f"{name} transposed", turned, parsed(name), 1, f"each `{name}.T` should be `{name}`")
    for p in s.values():
        shape = s.seen.shape(p.node) or ()
        if len(shape) == 2:
            yield Edit("not transposed", [p], _t(p.node), 0)
        if len(shape) > 2:
            yield Edit("not transposed", [p], parsed(f"({ast.unparse(p.node)}).swapaxes(-1, -2)"), 1)


def _outer(s: Scene, p: Place) -> Iterator[Edit]:
    """The product of two vectors, which is a number, whatever is transposed: the outer product."""
    n: Any = p.node
    left, right = (part.value if isinstance(part, ast.Attribute) and part.attr == "T" else part for part in (n.left, n.right))
    if len(s.seen.shape(left) or ()) == len(s.seen.shape(right) or ()) == 1:
        a, b = ast.unparse(left), ast.unparse(right)
        for source in (f"({a})[:, None] * ({b})", f"({b})[:, None] * ({a})"):
            yield Edit("a number instead of the outer product", [p], parsed(source), 0)


def _turned(s: Scene, node: ast.expr) -> ast.expr:
    """The matrix, or each matrix of a stack, transposed."""
    return _t(node) if len(s.seen.shape(node) or ()) < 3 else parsed(f"({ast.unparse(node)}).swapaxes(-1, -2)")


def _t(node: ast.expr) -> ast.expr:
    return node.value if isinstance(node, ast.Attribute) and node.attr == "T" else ast.Attribute(node, "T", ast.Load())


def axes(s: Scene) -> Iterator[Edit]:
    """Another axis, keepdims, a mean for a sum, a sum that is missing."""
    for p in s.places:
        n: Any = p.node.value if isinstance(p.node, ast.Subscript) and "None" in ast.unparse(p.node.slice) else p.node
        if not is_call(n, *REDUCTIONS) or not isinstance(n.func, ast.Attribute):
            continue
        of_module = isinstance(n.func.value, ast.Name) and n.func.value.id in ("np", "numpy")
        first = n.args[:1] if of_module else []
        base = len(s.seen.shape(first[0] if first else n.func.value) or ())
        keywords = {k.arg: k.value for k in n.keywords}
        given: Any = keywords.get("axis", n.args[len(first)] if len(n.args) > len(first) else ast.Constant(None))
        rest = [k for k in n.keywords if k.arg not in ("axis", "keepdims")]
        choices = [a for a in AXES if a is None or max(np.atleast_1d(a)) < base]
        for keep in (True, False):
            for new in (given, *map(_constant, choices)):
                made = [*rest, ast.keyword("axis", new), *([ast.keyword("keepdims", ast.Constant(True))] if keep else [])]
                name = "sum over the wrong axis" if new is not given else "keepdims"
                yield Edit(name, [p], ast.Call(n.func, first, made), 0 if new is not given else 1)
        other = {"sum": "mean", "mean": "sum", "max": "sum"}.get(n.func.attr)
        if other:
            made_call = ast.Call(ast.Attribute(n.func.value, other, ast.Load()), n.args, n.keywords)
            yield Edit(f"{n.func.attr} instead of {other}", [p], made_call, 0)
    for p in s.terms():
        shape = s.seen.shape(p.node) or ()
        for axis in [a for a in (-1, 0, 1, (0, 1), (0, 1, 2)) if shape and max(np.atleast_1d(a)) < len(shape)]:
            for kept in (", keepdims=True", ""):
                summed = parsed(f"({ast.unparse(p.node)}).sum({axis!r}{kept})")
                yield Edit("sum forgotten", [p], summed, 1 if p in s.values() else 2)


def _constant(value: Any) -> ast.expr:
    return parsed(repr(value))


def orders(s: Scene) -> Iterator[Edit]:
    """Axes of a transpose, parts of a concatenation, gradients of a return in another order."""
    for p in s.places:
        n = p.node
        joined = is_call(p.parent, "concatenate", "hstack", "vstack", "stack", "column_stack", "transpose", "tensordot", "sum")
        assigned = isinstance(p.parent, ast.Assign) and p.field == "value"
        ordered = joined or assigned or isinstance(p.parent, ast.Return | ast.Lambda | ast.keyword)
        if ordered and isinstance(n, ast.Tuple | ast.List) and 2 <= len(n.elts) <= 4:
            numbers = all(isinstance(e, ast.Constant) for e in n.elts)
            for order in itertools.permutations(n.elts):
                if list(order) != n.elts:
                    moved = [text(a) for a, b in zip(n.elts, order, strict=True) if a is not b]
                    which = f": {' and '.join(moved)} exchanged" if len(moved) == 2 else ""
                    name = "axes in another order" if numbers else f"parts in the wrong order{which}"
                    yield Edit(name, [p], type(n)(list(order), n.ctx), 0)
        if is_call(n, "transpose") and 2 <= len(n.args) <= 4:
            for order in itertools.permutations(n.args):
                if list(order) != n.args:
                    yield Edit("axes in another order", [p], ast.Call(n.func, list(order), []), 0)
        if isinstance(n, ast.Constant) and isinstance(n.value, bool):
            yield Edit(f"{n.value} instead of {not n.value}", [p], ast.Constant(not n.value), 1)
        if is_call(n, "tile") and len(n.args) == 2 and isinstance(n.args[1], ast.Tuple):
            made = ast.unparse(n.args[0])
            for axis, count in enumerate(n.args[1].elts):
                made = f"__import__('numpy').repeat({made}, {text(count)}, axis={axis})"
            yield Edit("tile instead of repeat", [p], parsed(made), 1, "repeat each number, np.repeat; np.tile repeats the whole")


def einsums(s: Scene) -> Iterator[Edit]:
    """Other letters of an einsum: two exchanged in one array, or one in place of another."""
    for p in s.places:
        n = p.node
        if not (is_call(p.parent, "einsum") and p.at == 0 and isinstance(n, ast.Constant) and isinstance(n.value, str)):
            continue
        parts = n.value.replace(" ", "").replace("->", ",").split(",")
        for i, part in enumerate(parts):
            turned = {_exchanged(part, a, b): "axes in another order, not transposed" for a, b in itertools.combinations(part, 2)}
            letters = sorted({c for c in n.value if c.isalpha()} - set(part))
            turned |= {part.replace(a, b): f"index {a} instead of {b}, summed apart" for a in part for b in letters}
            for new, how in turned.items():
                made = [*parts[:i], new, *parts[i + 1 :]]
                source = ",".join(made[:-1]) + "->" + made[-1] if "->" in n.value else ",".join(made)
                yield Edit(f"einsum: {how}: {part} instead of {new}", [p], ast.Constant(source), 0)


def _exchanged(part: str, a: str, b: str) -> str:
    return part.translate(str.maketrans(a + b, b + a))


def along(s: Scene) -> Iterator[Edit]:
    """Another axis of a function, a running sum from the other end, a diagonal for a sum; what is split, in another order."""
    for p in s.places:
        n = p.node
        if isinstance(n, ast.keyword) and n.arg in ("axis", "shift") and not is_call(p.parent, *REDUCTIONS):
            for new in (0, 1, 2, -1):
                yield Edit(f"wrong {n.arg}", [p], ast.keyword(n.arg, ast.Constant(new)), 0)
        if is_call(n, "cumsum", "cumprod") and n.args:
            axis = ast.unparse(n.keywords[0].value if n.keywords else n.args[1] if len(n.args) > 1 else ast.Constant(0))
            call = ast.Call(n.func, [_flipped(n.args[0], axis), *n.args[1:]], n.keywords)
            yield Edit("running sum from the wrong end: not reversed", [p], _flipped(call, axis), 0)
        if is_call(n, "flip", "cumsum", "sort") and n.args:
            yield Edit(f"{text(n.func)} too many", [p], n.args[0], 0)
        if is_call(n, "diag", "diagonal") and n.args:
            for axis in ("0", "1"):
                yield Edit("diagonal instead of sum", [p], parsed(f"({ast.unparse(n.args[0])}).sum(axis={axis})"), 0)
        split = isinstance(n, ast.Tuple) and isinstance(n.ctx, ast.Store) and 1 < len(n.elts) < 5 and p.field == "targets"
        if split and not isinstance(p.parent.value, ast.Tuple) and s.seen.degree(p.parent.value) != 0:  # type: ignore[attr-defined]
            for order in itertools.permutations(n.elts):
                if list(order) != n.elts:
                    yield Edit("parts in the wrong order", [p], ast.Tuple(list(order), n.ctx), 1)


def _flipped(node: ast.expr, axis: str) -> ast.expr:
    return parsed(f"__import__('numpy').flip({ast.unparse(node)}, {axis})")


def reshapes(s: Scene) -> Iterator[Edit]:
    """A reshape where axes should have been transposed, or before they are."""
    for p in s.places:
        n = p.node
        if is_call(n, "swapaxes", "transpose") and isinstance(n.func, ast.Attribute) and is_call(n.func.value, "reshape"):
            inner: Any = n.func.value
            if s.seen.shape(n) and isinstance(inner.func, ast.Attribute) and len(inner.args) > 1:
                for order in itertools.permutations(inner.args):
                    without = ast.Call(inner.func, list(order), [])
                    yield Edit("axes in another order: reshape splits them otherwise, without transposing", [p], without, 1)
        after = s.seen.shape(n) if is_call(n, "reshape") and isinstance(n.func, ast.Attribute) else None
        if not after:
            continue
        old = f"({ast.unparse(n.func.value)})"
        given = [ast.unparse(a) for a in n.args]
        sizes = given if len(given) > 1 else [f"({given[0]})[{i}]" for i in range(len(after))]
        for axes in itertools.permutations(range(len(after))) if 1 < len(after) == len(sizes) < 5 else ():
            if axes != tuple(range(len(after))):
                before = ", ".join(sizes[int(a)] for a in np.argsort(axes))
                made = parsed(f"{old}.reshape({before}).transpose({axes})")
                yield Edit("reshape instead of transpose: not transposed", [p], made, 2)
        for i in range(len(n.args) - 1):  # (n, k, t) for (n, t, k), and then a sum over k
            args = [*n.args[:i], n.args[i + 1], n.args[i], *n.args[i + 2 :]]
            of_sum = p.parent if isinstance(p.parent, ast.Attribute) else None
            for q in s.places if of_sum is not None else ():
                if is_call(q.node, *REDUCTIONS) and q.node.func is of_sum:
                    for axis in (i, i + 1):
                        made = parsed(f"{ast.unparse(ast.Call(n.func, args, []))}.{of_sum.attr}(axis={axis})")
                        yield Edit("axes of the reshape in another order: tile instead of repeat", [q], made, 0)
        for i, j in itertools.combinations(range(len(s.seen.shape(n.func.value) or ())), 2):
            first = parsed(f"{old}.swapaxes({i}, {j})")
            made = ast.Call(ast.Attribute(first, "reshape", ast.Load()), n.args, [])
            yield Edit("axes not transposed before the reshape", [p], made, 1)


def exchanged(s: Scene) -> Iterator[Edit]:
    """Two names of an expression, each where the other belongs: n ** (x - 1) for x ** (n - 1)."""
    for p in s.places:
        if not isinstance(p.node, ast.BinOp | ast.Call) or s.seen.shape(p.node) is None:
            continue
        names = sorted({q.id for q in ast.walk(p.node) if isinstance(q, ast.Name) and is_float(s.own.get(q.id))})
        for a, b in itertools.combinations(names, 2):
            new = _Exchange({a: b, b: a}).visit(copy.deepcopy(p.node))
            yield Edit(f"{a} and {b} exchanged", [p], new, 1)


class _Exchange(ast.NodeTransformer):
    def __init__(self, other: dict[str, str]):
        self.other = other

    def visit_Name(self, n: ast.Name) -> ast.expr:
        return ast.Name(self.other.get(n.id, n.id), n.ctx)


def as_in_forward(s: Scene) -> Iterator[Edit]:
    """An index, a condition or a divisor that forward has, in place of another one."""
    known = {*s.own, *s.offered, "np"}
    relus = [n for n in s.forward if is_call(n, "maximum") and ast.unparse(n.args[-1]) == "0"]  # type: ignore[attr-defined]
    gates = [parsed(f"gate({ast.unparse(n.args[0])} > 0)") for n in relus]  # type: ignore[attr-defined]
    of_forward = {kind: _of_kind([*s.forward, *gates], kind, known) for kind in ("index", "condition", "divisor")}
    for p in s.places:
        for new in of_forward.get(_kind(p.parent, p.field, p.node), {}).values():
            if (source := ast.unparse(new)) != ast.unparse(p.node):
                old, there = (t[1:-1] if t.startswith("(") and t.endswith(")") else t for t in (text(p.node), source))
                kind = _kind(p.parent, p.field, p.node)
                place = ": wrong position" if kind == "index" else ""
                name = f"{kind} {old} instead of {there}, as in forward{place}"
                yield Edit(name, [p], copy.deepcopy(new), 1)


def _of_kind(nodes: Collection[ast.AST], kind: str, known: set[str]) -> dict[str, Any]:
    """Indices, conditions or divisors of forward that the backward can write, too."""
    found: dict[str, Any] = {}
    for parent in nodes:
        for field in ("slice", "test", "right", "args"):
            value: Any = getattr(parent, field, None)
            for node in value if isinstance(value, list) else [value]:
                of_kind = isinstance(node, ast.AST) and _kind(parent, field, node) == kind
                if of_kind and {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} <= known:
                    found.setdefault(ast.unparse(node), node)
    return found


def _kind(parent: Any, field: str, node: Any) -> str:
    if isinstance(parent, ast.Subscript) and field == "slice" and not isinstance(node, ast.Constant):
        return "index"
    if isinstance(node, ast.Compare):
        return "condition"
    return "divisor" if isinstance(getattr(parent, "op", None), ast.Div) and field == "right" else ""


def parentheses(s: Scene) -> Iterator[Edit]:
    """A pair of brackets more around some of the operands, or one less."""
    for p in s.places:
        outermost = isinstance(p.node, ast.BinOp | ast.UnaryOp) and not isinstance(p.parent, ast.BinOp | ast.UnaryOp)
        if outermost and s.seen.shape(p.node) is not None:
            for made in _rebracketed(ast.unparse(p.node)):
                yield Edit("brackets in the wrong place", [p], made, 2)


def _rebracketed(source: str) -> Iterator[ast.expr]:
    """The expression with another pair of brackets, or without one of its own."""
    tokens = [t for t in tokenize.generate_tokens(io.StringIO(source).readline) if t.string]
    found: dict[str, ast.expr] = {}
    pairs, opened = [], list[int]()
    for i, t in enumerate(tokens):
        if t.string == "(":
            opened.append(i)
        elif t.string == ")":
            pairs.append((opened.pop(), i))
    written = [t.string for t in tokens]
    made = [[*written[:i], *written[i + 1 : j], *written[j + 1 :]] for i, j in pairs]
    starts, ends = range(len(written)), range(1, len(written) + 1)
    some = ((i, j) for i in starts for j in ends if j - i > 2 and len(written) <= MOST_TOKENS)
    made += [[*written[:i], "(", *written[i:j], ")", *written[j:]] for i, j in some]
    for parts in made:
        try:
            new = parsed(" ".join(parts))
        except SyntaxError:
            continue
        if (short := ast.unparse(new)) != source:
            found.setdefault(short, new)
    yield from found.values()


MOVES = exchanged, as_in_forward, parentheses, transposes, axes, orders, einsums, along, reshapes
