"""A learner's forward with complex numbers in it, so that one run tells how y follows any value on the way.

The module `np` that it calls gives complex arrays where it gave floats, and an `abs` that keeps the imaginary part: most forwards
that are written for floats can then be derived in the middle, too, by the complex step.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinydx.gradcheck.calling import call_with
from tinydx.gradcheck.source import Definition, Remade, definition, helpers
from tinydx.gradcheck.subject import Subject, as_outputs
from tinydx.gradcheck.truth import STEP


def _made_complex(function: Any) -> Any:
    """The function, giving complex numbers where it gave floats."""

    def make(*arguments: Any, **named: Any) -> Any:
        a = function(*arguments, **named)
        return a.astype(complex) if a.dtype.kind == "f" else a

    return make


def _of_real(function: Any) -> Any:
    """A function whose slope is zero."""
    return lambda x, *more, **named: function(np.real(x), *more, **named)


def _abs(x: Any) -> Any:
    return np.where(np.real(x) < 0, -x, x)


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    if ord not in (None, 2):
        raise NotImplementedError
    return np.sqrt((x * x).sum(axis=axis, keepdims=keepdims))


def _logaddexp(a: Any, b: Any) -> Any:
    top = np.maximum(np.real(a), np.real(b))
    return top + np.log(np.exp(a - top) + np.exp(b - top))


def _var(x: Any, axis: Any = None, keepdims: bool = False, **named: Any) -> Any:
    if named:
        raise NotImplementedError
    centred = x - x.mean(axis=axis, keepdims=True)
    return (centred * centred).mean(axis=axis, keepdims=keepdims)


def _std(x: Any, **named: Any) -> Any:
    return np.sqrt(_var(x, **named))


METHODS = {"var": _var, "std": _std}  # of an array, that forget an imaginary part


class _Space:
    """A module of which some functions are others."""

    def __init__(self, module: Any, others: Mapping[str, Any]):
        self.__dict__.update(others)
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


_MADE = ("zeros", "ones", "empty", "full", "zeros_like", "ones_like", "empty_like", "full_like", "eye")
_STEPS = ("sign", "floor", "ceil", "round", "rint", "heaviside", "isnan", "isfinite")
_NUMPY = _Space(
    np,
    {n: _made_complex(getattr(np, n)) for n in _MADE}
    | {n: _of_real(getattr(np, n)) for n in _STEPS}
    | {"abs": _abs, "absolute": _abs, "fabs": _abs, "logaddexp": _logaddexp, "linalg": _Space(np.linalg, {"norm": _norm})}
    | METHODS,
)


class _Methods(ast.NodeTransformer):
    """x.var(axis=0) as _var(x, axis=0)."""

    def visit_Call(self, node: ast.Call) -> Any:
        self.generic_visit(node)
        f = node.func
        is_method = isinstance(f, ast.Attribute) and f.attr in METHODS and ast.unparse(f.value) not in ("np", "numpy")
        if isinstance(f, ast.Attribute) and is_method:
            return ast.Call(ast.Name(f"_{f.attr}", ast.Load()), [f.value, *node.args], node.keywords)
        return node


def with_complex_numbers(function: Any, node: Definition, hooks: Mapping[str, Any]) -> Any:
    """The function made from this tree, with names of its own, for complex numbers; the helpers that it calls, too."""
    known = {n: _NUMPY for n, v in function.__globals__.items() if v is np} | {"abs": _abs, "_var": _var, "_std": _std}
    other = dict(known)
    for name, helper in helpers(function):
        inner = definition(helper)
        if inner is not None:
            other[name] = Remade(helper, _Methods().visit(copy.deepcopy(inner)), known)()
    return Remade(function, _Methods().visit(copy.deepcopy(node)), {**other, **hooks})()


def slope(function: Any, subject: Subject, dys: Sequence[np.ndarray], arrays: Sequence[np.ndarray]) -> float:
    """How <dy, y> follows what has an imaginary part, in these arrays or inside."""
    y = call_with(function, arrays, subject.constants)
    outputs = as_outputs(y[0] if isinstance(y, tuple) else y)
    return float(sum(np.sum(dy * np.imag(out)) for dy, out in zip(dys, outputs, strict=True)) / STEP)
