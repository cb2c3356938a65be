"""Quantized kernels in a model's file.

weights/00006/dense/kernel    uint16 (the upper halves of floats: bfloat16), or int8
scales/00006/dense/kernel     of int8: the scale of each column, float32 or float64
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinydx.layers.core import quantizable
from tinydx.layers.quantized import QuantizedKernel

KINDS = {"uint16": "bf16", "int8": "int8"}  # by the dtype in the file
INFINITE = 0x7F80  # the bits of an infinite bfloat16; those of NaN lie above


def arrays_of(weight: Any, place: str) -> dict[str, Any]:
    """The arrays that a file holds for a weight, by their names; place, "00006/dense/kernel"."""
    if not isinstance(weight, QuantizedKernel):
        return {f"weights/{place}": weight.numpy()}
    found = {f"weights/{place}": weight.codes}
    return found | ({f"scales/{place}": weight.stored["scale"]} if weight.kind == "int8" else {})


def scale_of(name: str) -> str:
    """The name of the scale that belongs to a weight's."""
    return "scales/" + name.removeprefix("weights/")


def kernel_from(arrays: dict[str, np.ndarray], name: str) -> QuantizedKernel | None:
    """The quantized kernel of that name; None for a weight of another kind.

    Raises: ValueError where its numbers, or its scale, are none that `model.quantize` makes.
    """
    codes = arrays[name]
    kind = KINDS.get(codes.dtype.name)
    if kind is None:
        return None
    if codes.ndim != 2:
        raise ValueError(f"{name} is {codes.dtype} {codes.shape}, expected a kernel (D,F)")
    if kind == "bf16":
        if ((codes & INFINITE) == INFINITE).any():
            raise ValueError(f"{name} holds NaN or infinite weights")
        return QuantizedKernel(kind, {"bits": codes}, np.float32, name)
    scale = arrays.get(scale_of(name))
    if scale is None or scale.dtype.name not in ("float32", "float64") or scale.shape != codes.shape[1:]:
        found = "is missing" if scale is None else f"is {scale.dtype} {scale.shape}"
        raise ValueError(f"{scale_of(name)} {found}, expected the scale of each of {codes.shape[1]} columns as float32")
    if not (np.isfinite(scale) & (scale > 0)).all() or (codes == -128).any():
        raise ValueError(f"{name} or its scale is damaged: expected -127 to 127, and scales above 0")
    return QuantizedKernel(kind, {"q": codes, "scale": scale}, scale.dtype, name)


def put(model: Any, weights: list[Any]) -> None:
    """Put the quantized kernels among the file's weights into a model, in the places of its own.

    Raises: ValueError for one that stands in the place of another weight, or has another shape.
    """
    owners = {id(layer.kernel): layer for layer in quantizable(model) if layer.built}
    for own, given in zip(model.weights, weights, strict=True):
        if isinstance(given, QuantizedKernel):
            if id(own) not in owners or own.shape != given.shape:
                raise ValueError(f"{given.name} {given.shape} is quantized, but {own.name} {own.shape} is no such kernel")
            floats = own.dtype if given.kind == "bf16" else given.floats
            owners[id(own)].take(QuantizedKernel(given.kind, given.stored, floats, own.name))
