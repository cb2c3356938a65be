"""Ops made of ops: `compose` puts f(g(x)) into the table as one row, so that one kernel can compute it in one go.

A convolution writes its activation to memory, ReLU reads and writes it, pooling reads it again: a fused kernel does
the three while the numbers are in registers. It is a kernel like every other, tested against the reference of its row,
and that reference is nothing but the parts, one after the other:

    dense_relu = compose("dense_relu", dense, relu, y="(...,F)")      dense_relu(x, w, b) = relu(dense(x, w, b))

Literal and gradient of the row are made of its parts', too; its slips stand in tinydx/gradcheck/slips/fused.py. Only its
samples must be given (`samples_of`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

from tinydx.op import TABLE, Op


class PartRun(NamedTuple):
    """How one part of a composed op ran: what a backward (and a slip) needs of it."""

    arrays: tuple
    constants: dict[str, Any]
    y: Any
    saved: Any


def compose(name: str, *parts: Op, y: str) -> Op:
    """Put the composition of ops into the table under `name`; y is the shape of what comes out, as "(N,F)".

    The first part takes all arrays, each of the others the one array that the part before it gave. A constant belongs
    to the first part that knows it: in convolution + pooling `stride` is the convolution's, and pooling has its default.
    Literal and backward are found in the parts whenever they are asked for.

    >>> import numpy as np
    >>> from tinydx import ops
    >>> ops.dense_relu(np.array([[1.0, 2.0]]), np.array([[3.0, 0.0], [0.0, -1.0]]))
    array([[3., 0.]])
    """

    def constants_of(part: Op, constants: dict[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in constants.items() if next(p for p in parts if k in p.signature.parameters) is part}

    def forward(*arrays: Any, **constants: Any) -> tuple[Any, list[PartRun]]:
        ran = []
        for part in parts:
            own = constants_of(part, constants)
            y, saved = part.forward(*arrays, **own)
            ran.append(PartRun(arrays, own, y, saved))
            arrays = (y,)
        return y, ran

    def literal(*arrays: Any, **constants: Any) -> Any:
        for part in parts:
            assert part.literal is not None
            arrays = (part.literal(*arrays, **constants_of(part, constants)),)
        return arrays[0]

    called = ", ".join(parts[0].arrays)
    for part in parts:
        called = f"{part.name}({called})"
    forward.__name__, forward.__signature__ = name, _signature(parts)  # type: ignore[attr-defined]
    forward.__doc__ = f"{called} in one go; arrays and constants as there."
    equation = r"y = \mathrm{" + called.replace("_", r"\_") + "}"
    shapes = f"{parts[0].shapes.split('->')[0]}-> y {y}"
    op = Op(name, equation, shapes, " + ".join(p.name for p in parts), forward, parts=parts)
    op.literal, op.backward = literal, _backward(parts)
    TABLE[name] = op
    return op


def _signature(parts: tuple[Op, ...]) -> inspect.Signature:
    """The arrays of the first part, and the constants of all."""
    parameters = dict(parts[0].signature.parameters)
    for part in parts[1:]:
        for name, parameter in part.signature.parameters.items():
            if parameter.kind is parameter.KEYWORD_ONLY:
                parameters.setdefault(name, parameter)
    return inspect.Signature(list(parameters.values()))


def _backward(parts: tuple[Op, ...]) -> Callable[..., tuple]:
    """The chain rule: each part's backward, the last part first."""

    def backward(dy: Any, ran: list[PartRun]) -> tuple:
        gradients: tuple = (dy,)
        for part, run in zip(reversed(parts), reversed(ran), strict=True):
            assert part.backward is not None
            gradients = part.backward(gradients[0], run.saved)
        return gradients

    return backward
