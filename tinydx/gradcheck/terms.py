"""Terms that a backward lacks: the label's 1, a name, a product of two, a penalty, a normalisation's second term.

Each kind gives `Edit`s for a `Scene`, as in changes.py.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator

import numpy as np

from tinydx.gradcheck.edits import Edit, parsed, text
from tinydx.gradcheck.scene import Scene, broadcasts, is_call, joined_to
from tinydx.gradcheck.seen import is_float, is_whole


def labels(s: Scene) -> Iterator[Edit]:
    """The 1 at the target's class that a softmax's loss subtracts."""
    for p in s.terms():
        shape = s.seen.shape(p.node)
        for name, value, extra in s.names():
            if not shape or not (is_whole(value) or (isinstance(value, np.ndarray) and value.dtype.kind in "iu")):
                continue
            if np.shape(value) == shape[:-1] and np.ndim(value) < 2 and np.max(value, initial=0) < shape[-1]:
                one_hot = f"__import__('numpy').eye(({ast.unparse(p.node)}).shape[-1])[{name}]"
                yield Edit(
                    "the label's 1 not subtracted",
                    [p],
                    joined_to(ast.Sub(), one_hot),
                    1 + extra,
                    f"subtract 1 at the class `{name}`",
                )


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
                yield Edit(f"term {source} forgotten", [p], joined_to(op, source), base + rank)


def added(s: Scene) -> Iterator[Edit]:
    """Something that one factor lacks: h for h - n, a penalty, eps in a root."""
    for p in s.loads():  # one factor of a product: h for h - n
        if isinstance(p.parent, ast.BinOp) and isinstance(p.parent.op, ast.Mult | ast.Div | ast.MatMult):
            degree = s.seen.degree(p.node)
            for name, extra in s.alike(p.node):
                for op in (ast.Add(), ast.Sub()) if name != p.node.id and s.seen.degree_of(name) in (degree, None) else ():
                    yield Edit(f"term {name} forgotten", [p], joined_to(op, name), 2 + extra)
            for source, rank in _penalties(s, p.node):
                yield Edit(f"term {source} forgotten", [p], joined_to(ast.Add(), source), 1 + rank)
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
    fitting = [(n, extra) for n, v, extra in arrays if np.ndim(v) and broadcasts(np.shape(v), shape)]
    for (a, i), (b, j) in itertools.combinations(fitting, 2):
        if fits(a, b) and any(a == n or b == n for n, _ in same):
            yield f"{a} * {b}", 1 + i + j
    yield from _penalties(s, node)
    yield from ((f"1 / {n}", 1 + extra) for n, extra in same if fits(n) and degrees[n] != 1)
    stacks = [(n, np.shape(v), extra) for n, v, extra in arrays if np.ndim(v)]
    for (a, u, i), (b, w, j) in itertools.product(stacks, repeat=2):
        if fits(a, b):
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
    if len(u) == 2 and len(w) == len(shape) == 1:
        yield from [f"{a} @ {b}"] * (u == shape + w) + [f"{a}.T @ {b}"] * (u == w + shape)
    if len(u) == len(w) == 1 and len(shape) == 2 and u + w == shape:
        yield f"{a}[:, None] * {b}"
    if not len(u) == len(w) == len(shape) or len(shape) < 2 or not u[:-2] == w[:-2] == shape[:-2]:
        return
    t = "{}.T" if len(shape) == 2 else "{}.swapaxes(-1, -2)"
    if u[-1] == w[-2] and (u[-2], w[-1]) == shape[-2:]:
        yield f"{a} @ {b}"
    if u[-1] == w[-1] and (u[-2], w[-2]) == shape[-2:]:
        yield f"{a} @ {t.format(b)}"
    if u[-2] == w[-2] and (u[-1], w[-1]) == shape[-2:]:
        yield f"{t.format(a)} @ {b}"


def products(s: Scene) -> Iterator[Edit]:
    """A whole value that should be a product of two names."""
    for p in s.values():
        shape, degree = s.seen.shape(p.node), s.seen.degree(p.node)
        arrays = [(n, np.shape(v), extra) for n, v, extra in s.names() if is_float(v) and np.ndim(v) and s.known(n, p.node)]
        for (a, u, i), (b, w, j) in itertools.product(arrays, repeat=2) if shape else ():
            degrees = [d for d in (s.seen.degree_of(a), s.seen.degree_of(b)) if d is not None]
            if degree is None or len(degrees) < 2 or sum(degrees) == degree:
                for source in _matmuls(a, u, b, w, shape or ()):
                    yield Edit(f"{text(p.node)} instead of {source}", [p], parsed(source), 2 + i + j)


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


SMALL, TERMS = (labels, added, matrices), (sums, products)
