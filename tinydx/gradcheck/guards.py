"""The guard of a logarithm, 1e-7 in log(p + 1e-7): a backward may leave it out, as most textbooks do, and is right."""

from __future__ import annotations

import ast
import copy
import inspect
from collections.abc import Mapping
from typing import Any

from tinydx.gradcheck.source import Remade, definition
from tinydx.gradcheck.subject import Subject
from tinydx.language import sentence

LARGEST = 1e-6  # a guard is no larger


def without_guards(subject: Subject) -> tuple[Subject, str] | None:
    """The subject without guards in the logarithms of its forward, and a note that says so; None where it has none."""
    forward, again = subject.forward, subject.again
    node = definition(forward) if forward is not None else None
    if forward is None or node is None or again is None:
        return None
    defaults = {n: p.default for n, p in inspect.signature(forward).parameters.items()}
    removed = _Removed({**forward.__globals__, **defaults, **subject.constants})
    changed = removed.visit(copy.deepcopy(node))
    if not removed.lines:
        return None
    made = Remade(forward, changed, {})()
    other = again(subject.arrays, subject.constants, lambda function: made if function is forward else function)
    where = ", ".join(map(str, dict.fromkeys(removed.lines)))
    told = "right for forward without the guard of its logarithm (line {where}), which this gradient leaves out"
    return other, sentence(told, where=where)


class _Removed(ast.NodeTransformer):
    """log(p + 1e-7) becomes log(p)."""

    def __init__(self, known: Mapping[str, Any]):
        self.known, self.lines = known, list[int]()

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if name in ("log", "log2", "log10") and node.args and isinstance(inside := node.args[0], ast.BinOp):
            for guard, rest in ((inside.right, inside.left), (inside.left, inside.right)):
                if isinstance(inside.op, ast.Add) and self._is_small(guard):
                    self.lines.append(node.lineno)
                    node.args[0] = rest
                    break
        return node

    def _is_small(self, node: ast.expr) -> bool:
        value = node.value if isinstance(node, ast.Constant) else self.known.get(node.id) if isinstance(node, ast.Name) else None
        return isinstance(value, float) and 0 < value <= LARGEST
