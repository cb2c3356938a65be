"""What a backward could be made of: its names, labels as zeros with a one, and expressions that stand in forward or backward.

Names that forward makes for itself are written out, since a backward does not know them: e becomes np.exp(x - x.max()).
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tinydx.gradcheck.edits import parsed, text
from tinydx.gradcheck.formulas import UNKNOWN, Formula
from tinydx.gradcheck.scene import Scene
from tinydx.gradcheck.seen import is_float, is_whole
from tinydx.gradcheck.source import definition

RESULT = "the result"  # of forward: that its derivative is needed tells no cause
LONGEST = 70  # characters of an expression
MOST = 24  # expressions
SMALL = 48  # numbers of an array with respect to which a number is derived


def names(scene: Scene, shape: tuple[int, ...]) -> list[Formula]:
    """The scene's names as formulas, and its labels as rows of zeros with a one, if they fit the shape."""
    found = []
    for name, value, extra in scene.names():
        own, rank = frozenset([name]), extra // 2 - scene.is_unused(name)
        if is_float(value) or (isinstance(value, np.ndarray) and value.dtype.kind == "b"):
            known = scene.seen.degree_of(name)
            found.append(Formula(name, np.asarray(value, float), rank, UNKNOWN if known is None else known, own))
        elif isinstance(value, np.ndarray) and value.dtype.kind in "iu" and value.ndim == 1:
            for of, v, _ in scene.names():
                if is_float(v) and np.ndim(v) == 1 and np.min(value, initial=0) >= 0 and np.max(value, initial=0) < len(v):
                    known = 0 if scene.seen.degree_of(of) == 0 else UNKNOWN
                    found.append(Formula(f"{of}[{name}]", np.asarray(v[value], float), 1, known, own | {of}))
        if _is_label(value, shape) and name not in scene.loops:
            one = np.eye(shape[-1])[value]
            found.append(Formula(f"np.eye(np.shape(_old_)[-1])[{name}]", one, rank, 0, own, f"1 at the class `{name}`"))
    if len(shape) == 2 and shape[0] == shape[1] > 1:
        found.append(Formula("np.eye(len(_old_))", np.eye(shape[0]), 1, 0, frozenset(), "np.eye, the identity's diagonal"))
    return found


def _is_label(value: Any, shape: tuple[int, ...]) -> bool:
    """Whether this is a class for each row of such an array."""
    whole = is_whole(value) or (isinstance(value, np.ndarray) and value.dtype.kind in "iu")
    return bool(whole and shape and np.shape(value) == shape[:-1] and np.min(value) >= 0 and np.max(value) < shape[-1])


def expressions(scene: Scene, function: Any, forward: Any) -> list[Formula]:
    """Expressions of forward and backward that are arrays and do not depend on dy, the shortest first."""
    known = {n: v for n, v, _ in scene.names()}
    space = {**getattr(function, "__globals__", {}), **known, "np": np}
    found: dict[str, Formula] = {}
    result = ast.unparse(_result(forward))
    for node in sorted(_written(scene, forward, known), key=lambda n: len(ast.unparse(n))):
        source = ast.unparse(node)
        if len(source) > LONGEST or source in found or len(found) == MOST:
            continue
        try:
            value = eval(compile(ast.Expression(ast.fix_missing_locations(copy.deepcopy(node))), "<part>", "eval"), space)
        except Exception:  # it needs what is known elsewhere only
            continue
        read = frozenset(n.id for n in ast.walk(node) if isinstance(n, ast.Name) and n.id in known)
        if read and np.ndim(value) == 0 and is_float(value):
            found |= {slope.source: slope for slope in _slopes_of_number(node, space, read)}
        array = is_float(value) or (isinstance(value, np.ndarray) and value.dtype.kind == "b")
        if array and np.ndim(value) and read and all(scene.seen.degree_of(n) == 0 for n in read):
            found[source] = Formula(source, np.asarray(value, float), 1, 0, read, text(node))
            for slope in _slopes(node, np.shape(value), space, read, RESULT if source == result else text(node)):
                found[slope.source] = slope
    return list(found.values())


def _slopes(node: ast.expr, shape: tuple[int, ...], space: dict[str, Any], read: frozenset[str], what: str) -> Iterator[Formula]:
    """The derivative of an expression, called `what`, with respect to an array of its shape, number by number."""
    for name in read if isinstance(node, ast.Call | ast.BinOp) else ():
        if np.shape(space[name]) == shape:
            moved = ast.unparse(_inlined(node, {name: parsed(f"({name} + 1e-20j)")}))
            source = f"(np.imag({moved}) * 1e20)"
            try:
                value = eval(source, space)
            except Exception:  # it takes no complex numbers
                continue
            told = f"derivative of {what} with respect to {name}"
            yield Formula(source, np.asarray(value, float), 3, 0, read, told + _rule(node, name))


def _rule(node: ast.AST, name: str) -> str:
    """The rule by which a product is derived, if both of its factors depend on the name."""
    factors = (node.left, node.right) if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult) else ()
    return " (product rule)" if factors and all(_reads(n, [name]) for n in factors) else ""


def _slopes_of_number(node: ast.expr, space: dict[str, Any], read: frozenset[str]) -> Iterator[Formula]:
    """The derivatives of a number, such as a penalty, with respect to each small array that it reads."""
    for name in sorted(read) if isinstance(node, ast.BinOp) else ():
        if not is_float(space[name]) or not 1 < np.size(space[name]) <= SMALL:
            continue
        moved = ast.unparse(_inlined(node, {name: parsed(f"({name} + 1e-20j * _unit.reshape({name}.shape))")}))
        source = f"np.array([np.imag({moved}) * 1e20 for _unit in np.eye({name}.size)]).reshape({name}.shape)"
        try:
            value = np.asarray(eval(source, space), float)
        except Exception:  # it takes no complex numbers
            continue
        if value.any():
            yield Formula(source, value, 3, 0, read, f"derivative of the number {text(node)} with respect to {name}")


def _written(scene: Scene, forward: Any, known: Mapping[str, Any]) -> Iterator[ast.expr]:
    """Operations that stand in the backward, and in forward with its own names written out."""
    inner = (ast.BinOp, ast.Call, ast.Compare, ast.Attribute)
    yield from (p.node for p in scene.places if isinstance(p.node, inner) and not _reads(p.node, scene.loops))
    made = definition(forward)
    if made is None:
        return
    yield _result(forward)
    values: dict[str, ast.expr] = {}
    for n in ast.walk(made):
        target = n.targets[0] if isinstance(n, ast.Assign) and len(n.targets) == 1 else None
        if isinstance(target, ast.Name) and target.id not in known:
            values[target.id] = _inlined(n.value, values)  # type: ignore[attr-defined]
    for n in ast.walk(made):
        if isinstance(n, inner):
            yield _inlined(n, values)


def _result(forward: Any) -> ast.expr:
    """What forward returns, with all of its names written out, down to its inputs."""
    values: dict[str, ast.expr] = {}
    for n in ast.walk(definition(forward) or ast.Pass()):
        if isinstance(n, ast.Assign) and len(n.targets) == 1 and isinstance(target := n.targets[0], ast.Name):
            values[target.id] = _inlined(n.value, values)
        if isinstance(n, ast.Return) and n.value is not None:
            return _inlined(n.value.elts[0] if isinstance(n.value, ast.Tuple) and n.value.elts else n.value, values)
    return ast.Constant(None)


def _reads(node: ast.AST, loops: list[str]) -> bool:
    return any(isinstance(n, ast.Name) and n.id in loops for n in ast.walk(node))


def _inlined(node: ast.expr, values: Mapping[str, ast.expr]) -> ast.expr:
    """The expression with these names written out."""

    class Written(ast.NodeTransformer):
        def visit_Name(self, n: ast.Name) -> ast.expr:
            return copy.deepcopy(values[n.id]) if n.id in values and isinstance(n.ctx, ast.Load) else n

    return Written().visit(copy.deepcopy(node))
