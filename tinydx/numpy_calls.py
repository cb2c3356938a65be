"""NumPy's functions of Tensors: np.exp(x) runs the table's op, so that the gradient flows; what has no op is refused.

NumPy hands every call of a ufunc (np.exp, np.add, array + x) and of a function (np.sum) that gets a Tensor to the Tensor, and
this file answers. Otherwise NumPy would take the Tensor's numbers: a right value, whose gradient is lost without a word.

    UFUNCS, FUNCTIONS      run an op of the table, or a few
    OF_NUMBERS             have no gradient, since they return bools, whole numbers or shapes: they get the Tensor's array
    every other one        TypeError

What asks a Tensor for its numbers gets them, as np.asarray(x) and float(x) do. So do two things that NumPy does not tell of: a
list in a function of one array, np.mean([x, y]), where np.stack([x, y]) is recorded; and array.dot(x), where array @ x is.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np

from tinydx.op import TABLE


def _op(name: str) -> Callable[..., Any]:
    return lambda *arrays: TABLE[name](*arrays)


def _power(x: Any, c: Any) -> Any:
    if not isinstance(c, Real):
        raise TypeError("np.power of a Tensor: expected a number as exponent; x ** c is ops.exp(c * ops.log(x)) for x above 0")
    return TABLE["power"](x, exponent=c)


def _maximum(a: Any, b: Any) -> Any:
    for x, zero in ((a, b), (b, a)):
        if isinstance(zero, Real) and zero == 0:
            return TABLE["relu"](x)
    raise _no_op("np.maximum")


UFUNCS: dict[str, Callable[..., Any]] = {
    **{name: _op(name) for name in ("add", "subtract", "multiply", "divide", "matmul", "exp", "log", "sqrt", "tanh")},
    "negative": lambda x: TABLE["multiply"](x, -1.0),
    "positive": lambda x: x,
    "square": lambda x: TABLE["power"](x, exponent=2),
    "reciprocal": lambda x: TABLE["power"](x, exponent=-1),
    "power": _power,
    "maximum": _maximum,
    "expit": _op("sigmoid"),  # SciPy's
}


def _axes_of(x: Any, axis: Any) -> Any:
    return tuple(range(x.ndim)) if axis is None else axis


def _sum(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return TABLE["sum"](a, axis=axis, keepdims=keepdims)


def _mean(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return TABLE["mean"](a, axis=axis, keepdims=keepdims)


def _max(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return TABLE["max"](a, axis=_axes_of(a, axis), keepdims=keepdims)


def _reshape(a: Any, shape: Any) -> Any:
    return TABLE["reshape"](a, shape=shape)


def _transpose(a: Any, axes: Any = None) -> Any:
    return TABLE["transpose"](a, axes=axes)


def _swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    axes = list(range(a.ndim))
    axes[axis1], axes[axis2] = axes[axis2], axes[axis1]
    return TABLE["transpose"](a, axes=tuple(axes))


def _expand_dims(a: Any, axis: int) -> Any:
    at = range(a.ndim + 1)[axis]
    return TABLE["reshape"](a, shape=(*a.shape[:at], 1, *a.shape[at:]))


def _squeeze(a: Any, axis: int | None = None) -> Any:
    gone = {i for i, n in enumerate(a.shape) if n == 1} if axis is None else {range(a.ndim)[axis]}
    if any(a.shape[i] != 1 for i in gone):
        raise ValueError(f"np.squeeze: axis {axis} of a Tensor of shape {a.shape} has not size 1")
    return TABLE["reshape"](a, shape=tuple(n for i, n in enumerate(a.shape) if i not in gone))


def _concatenate(arrays: Any, axis: int | None = 0) -> Any:
    if axis is None:
        return TABLE["concatenate"](*(TABLE["reshape"](a, shape=(-1,)) for a in arrays), axis=0)
    return TABLE["concatenate"](*arrays, axis=axis)


def _stack(arrays: Any, axis: int = 0) -> Any:
    return TABLE["concatenate"](*(_expand_dims(a, axis) for a in arrays), axis=axis)


def _dot(a: Any, b: Any) -> Any:
    if a.ndim != 2 or b.ndim != 2:
        raise TypeError(f"np.dot of Tensors takes matrices, got shapes {a.shape} and {b.shape}: use a @ b, or (a * b).sum()")
    return TABLE["matmul"](a, b)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sum": _sum,
    "mean": _mean,
    "max": _max,
    "amax": _max,
    "reshape": _reshape,
    "ravel": lambda a: TABLE["reshape"](a, shape=(-1,)),
    "transpose": _transpose,
    "swapaxes": _swapaxes,
    "expand_dims": _expand_dims,
    "squeeze": _squeeze,
    "concatenate": _concatenate,
    "stack": _stack,
    "dot": _dot,
}

OF_NUMBERS = {
    *("greater", "greater_equal", "less", "less_equal", "equal", "not_equal", "isnan", "isfinite", "isinf", "signbit"),
    *("logical_and", "logical_or", "logical_not", "logical_xor", "isclose", "allclose", "array_equal", "array_equiv"),
    *("any", "all", "argmax", "argmin", "argsort", "argwhere", "nonzero", "flatnonzero", "count_nonzero"),
    *("shape", "ndim", "size", "zeros_like", "ones_like", "full_like", "empty_like", "result_type", "can_cast"),
    *("shares_memory", "may_share_memory", "iscomplexobj", "isrealobj", "array_repr", "array_str", "array2string"),
}


def call_ufunc(ufunc: Any, method: str, inputs: tuple, keywords: dict[str, Any]) -> Any:
    """What a ufunc gives for inputs with Tensors among them: a Tensor on the tape, or an array where there is no gradient.

    Arguments: ufunc; method, "__call__" or that of `np.add.reduce`; inputs; keywords, as NumPy got them.
    Raises: TypeError for a ufunc without an op, for another method, and for keywords.
    """
    name = ufunc.__name__
    called = f"np.{name}" if hasattr(np, name) else name  # SciPy's ufuncs do not say where they are from
    if "out" in keywords:
        raise TypeError(f"{called} cannot write a Tensor into an array, which has no gradient: write y = ... instead of out=, +=")
    if method != "__call__":
        raise _no_op(f"{called}.{method}")
    if name in OF_NUMBERS:
        return ufunc(*numbers(inputs), **keywords)
    return _run(called, UFUNCS.get(name), inputs, keywords)


def call_function(function: Any, inputs: tuple, keywords: dict[str, Any]) -> Any:
    """What a function of NumPy gives for inputs with Tensors among them; arguments and errors as `call_ufunc`."""
    name = function.__name__
    if name in OF_NUMBERS:
        return function(*numbers(inputs), **{k: numbers(v) for k, v in keywords.items()})
    called = f"{function.__module__.replace('numpy', 'np')}.{name}"
    return _run(called, FUNCTIONS.get(name) if called == f"np.{name}" else None, inputs, keywords)


def _run(called: str, ours: Callable[..., Any] | None, inputs: tuple, keywords: dict[str, Any]) -> Any:
    if ours is None:
        raise _no_op(called)
    try:
        inspect.signature(ours).bind(*inputs, **keywords)
    except TypeError as error:
        raise TypeError(f"{called} of a Tensor: {error}; tinydx.ops has the arguments that its ops take") from None
    return ours(*inputs, **keywords)


def _no_op(called: str) -> TypeError:
    return TypeError(
        f"{called}: tinydx has no op for it, so the gradient of a Tensor would be lost: write it with tinydx.ops,"
        " or take x.numpy() where no gradient is needed"
    )


def numbers(value: Any) -> Any:
    """The value with the array of each Tensor in its place, in lists and tuples, too."""
    if isinstance(value, list | tuple):
        return type(value)(numbers(v) for v in value)
    return value.data if hasattr(value, "record") else value
