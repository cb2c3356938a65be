"""What a submission may not do instead of the exercise: other libraries, hidden warnings, differences in place of a gradient.

This reads the source before it runs; `worker.py` stops at run time what a source can hide.
"""

from __future__ import annotations

import ast
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

from tinydx.exercises.checks import Gradients, Values
from tinydx.exercises.exercise import Exercise

LARGEST = 200_000  # bytes of a file: a parser takes hundreds of times its size in memory
SILENCERS = {"errstate", "seterr", "seterrcall", "simplefilter", "filterwarnings", "catch_warnings"}
COMPLEX = {"imag"}  # the part of a complex step's result


def refused(exercise: Exercise, path: Path) -> str:
    """Why this file is not judged, in one sentence; "" if it may run, or is no Python, which running it will say."""
    try:
        size = path.stat().st_size
        if size > LARGEST:
            return f"the file has {size} bytes, at most {LARGEST} are read: does it hold data?"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    found = [*_imports(tree), *(_silenced(tree) if any(isinstance(c, Values) and c.quiet for c in exercise.checks) else ())]
    if any(isinstance(c, Gradients) for c in exercise.checks):
        found += [*_complex(tree), *_differences(tree)]
    line, why = min(found, default=(0, ""))
    return f"line {line}: {why}" if why else ""


def allowed(module: str) -> bool:
    """Whether an exercise may import this module: NumPy and Python's standard library."""
    return module.split(".")[0] in sys.stdlib_module_names | {"numpy", "tinydx"}  # the worker says why tinydx is not


def _imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        for name in names:
            if not allowed(name):
                yield (
                    getattr(node, "lineno", 0),
                    f"an exercise is solved with NumPy and Python's standard library, without {name.split('.')[0]}",
                )


def _name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _silenced(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        name = _name(node)
        if name in SILENCERS:
            yield getattr(node, "lineno", 0), f"{name} only hides the warning: write a formula that causes none"


def _complex(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        name = _name(node)
        if name in COMPLEX:
            yield getattr(node, "lineno", 0), "complex numbers check a gradient, they do not write it: derive the formula"


def _differences(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """A division by a small step h, or 2 h, which is also added to something: (f(x + h) - f(x - h)) / (2 h)."""
    small = {t.id for t, v in _assigned(tree) if isinstance(t, ast.Name) and _is_small(v)}
    moved = [n for n in ast.walk(tree) if isinstance(n, ast.BinOp | ast.AugAssign) and isinstance(n.op, ast.Add | ast.Sub)]
    steps = {_key(part) for n in moved for part in _parts(n)}
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            divisor = node.right if isinstance(node, ast.BinOp) else node.value
            doubled = isinstance(divisor, ast.BinOp) and isinstance(divisor.op, ast.Mult)
            for part in (divisor, *(_parts(divisor) if doubled else ())):
                is_step = _is_small(part) or (isinstance(part, ast.Name) and part.id in small)
                if is_step and _key(part) in steps:
                    yield getattr(node, "lineno", 0), "differences check a gradient, they do not write it: derive the formula"


def _assigned(tree: ast.AST) -> Iterator[tuple[ast.expr | ast.Name, ast.expr]]:
    """Names with the values that they are given, also as defaults of parameters."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    yield from zip(target.elts, node.value.elts, strict=False)
                else:
                    yield target, node.value
        if isinstance(node, ast.arguments):
            for parameter, default in zip(node.args[::-1], node.defaults[::-1], strict=False):
                yield ast.Name(parameter.arg), default


def _parts(node: ast.AST) -> list[ast.expr]:
    return [node.left, node.right] if isinstance(node, ast.BinOp) else [node.value] if isinstance(node, ast.AugAssign) else []


def _is_small(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, float) and 0 < node.value <= 1e-2


def _key(node: ast.expr) -> str:
    return ast.dump(node)
