"""Ops made of ops: `compose` puts f(g(x)) into the table as one op, so that one kernel can compute it.

Run one by one, a convolution writes its activation to memory, ReLU reads and writes it, and pooling reads it again. A fused
kernel does all three while the numbers are in registers. It is a kernel like any other, tested against the reference of
the composed op, which runs the parts one after the other:

    dense_relu = compose("dense_relu", dense, relu, y="(...,F)")      dense_relu(x, w, b) = relu(dense(x, w, b))

Literal and gradient are composed of the parts' as well. Only samples must be given (`samples_of`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

from tinydx.op import TABLE, Op
from tinydx.suggestions import did_you_mean


class PartRun(NamedTuple):
    """One run of a part: what its backward needs, and the arguments that its slips may ask for."""

    arrays: tuple
    constants: dict[str, Any]
    y: Any
    saved: Any


def compose(name: str, *parts: Op, y: str) -> Op:
    """Put the composition of ops into the table.

    The first part takes all arrays; each later part takes the result of the part before it. A constant goes to the first
    part that has it: in convolution + pooling, `stride` is the convolution's, and pooling keeps its default.

    Arguments: name of the new op; parts, in the order in which they run; y, the shape of the result, as "(N,F)".
    Returns: the op. It raises TypeError for a constant that no part has.

    >>> import numpy as np
    >>> from tinydx import ops
    >>> ops.dense_relu(np.array([[1.0, 2.0]]), np.array([[3.0, 0.0], [0.0, -1.0]]))
    array([[3., 0.]])
    """

    def forward(*arrays: Any, **constants: Any) -> tuple[Any, list[PartRun]]:
        ran = []
        for part, own in zip(parts, _constants_of_parts(name, parts, constants), strict=True):
            y, saved = part.forward(*arrays, **own)
            ran.append(PartRun(arrays, own, y, saved))
            arrays = (y,)
        return y, ran

    def literal(*arrays: Any, **constants: Any) -> Any:
        for part, own in zip(parts, _constants_of_parts(name, parts, constants), strict=True):
            assert part.literal is not None
            arrays = (part.literal(*arrays, **own),)
        return arrays[0]

    called = ", ".join(parts[0].arrays)
    for part in parts:
        called = f"{part.name}({called})"
    forward.__name__, forward.__signature__ = name, _signature(parts)  # type: ignore[attr-defined]
    forward.__doc__ = f"{called} as one op, with their arrays and constants."
    equation = r"y = \mathrm{" + called.replace("_", r"\_") + "}"
    shapes = f"{parts[0].shapes.split('->')[0]}-> y {y}"
    kinds = {key: kind for part in reversed(parts) for key, kind in part.constants.items()}  # of the first part that has it
    op = Op(name, equation, shapes, " + ".join(p.name for p in parts), forward, parts=parts, constants=kinds)
    op.literal, op.backward, op.requirement = literal, _backward(parts), _requirement(parts[0])
    TABLE[name] = op
    return op


def _constants_of_parts(name: str, parts: tuple[Op, ...], constants: dict[str, Any]) -> list[dict[str, Any]]:
    """The constants of each part; TypeError for one that no part has."""
    own: list[dict[str, Any]] = [{} for _ in parts]
    for key, value in constants.items():
        owners = [k for k, part in enumerate(parts) if key in part.signature.parameters]
        if not owners:
            raise TypeError(f"{name} has no argument {key!r}{did_you_mean(key, _signature(parts).parameters)}")
        own[owners[0]][key] = value
    return own


def _signature(parts: tuple[Op, ...]) -> inspect.Signature:
    """The arrays of the first part and the constants of all parts."""
    parameters = dict(parts[0].signature.parameters)
    for part in parts[1:]:
        for name, parameter in part.signature.parameters.items():
            if parameter.kind is parameter.KEYWORD_ONLY:
                parameters.setdefault(name, parameter)
    return inspect.Signature(list(parameters.values()))


def _requirement(first: Op) -> Callable[..., None] | None:
    """That of the first part, for its own constants; the later ones get what the parts before them made."""
    if first.requirement is None:
        return None
    own, require = set(first.signature.parameters), first.requirement
    return lambda *arrays, **constants: require(*arrays, **{k: v for k, v in constants.items() if k in own})


def _backward(parts: tuple[Op, ...]) -> Callable[..., tuple]:
    """The chain rule: each part's backward, the last part first."""

    def backward(dy: Any, ran: list[PartRun]) -> tuple:
        gradients: tuple = (dy,)
        for part, run in zip(reversed(parts), reversed(ran), strict=True):
            assert part.backward is not None
            gradients = part.backward(gradients[0], run.saved)
        return gradients

    return backward
