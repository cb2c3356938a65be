"""Kernels of Dense layers that are stored in 16 or 8 bits: what `model.quantize` puts in their place.

A `QuantizedKernel` stands where the kernel stood, in `layer.kernel` and in `model.weights`, with the same name and shape. Its
`data` are the numbers that it stands for, as floats, made anew each time; its own bytes are `stored`, and `dense` computes with
them. Numbers that it is given are rounded to what it can hold. It does not train.

    kind     stored                                 op
    bf16     bits uint16 (D,F)                      dense_bf16
    int8     q int8 (D,F), scale (F,) of floats     dense_int8
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tinydx import ops
from tinydx.device import to_host
from tinydx.op import Op
from tinydx.ops.quantized import from_bf16, to_bf16, to_int8
from tinydx.tensor import Tensor

Stored = dict[str, Any]  # the arrays of a kernel, by the names of the op's constants; that of the kernel's shape comes first


class Kind(NamedTuple):
    """How weights are stored: the op that computes with them, weights -> stored, and stored -> numbers."""

    op: Op
    store: Callable[[Any], Stored]
    numbers: Callable[..., Any]


KINDS = {
    "bf16": Kind(ops.dense_bf16, lambda w: {"bits": to_bf16(w)}, from_bf16),
    "int8": Kind(ops.dense_int8, lambda w: dict(zip(("q", "scale"), to_int8(w), strict=True)), lambda q, scale: q * scale),
}


class QuantizedKernel(Tensor):
    """A kernel that is stored in 16 or 8 bits.

    Arguments: kind, "bf16" or "int8"; stored, its arrays, as `KINDS` says; dtype of the floats that it stands for; name.

    >>> kernel = QuantizedKernel.of("int8", Tensor([[1.0, 2.0], [0.5, -1.0]]))
    >>> kernel.stored["q"]
    array([[127, 127],
           [ 64, -64]], dtype=int8)
    """

    __slots__ = ("floats", "kind", "stored")

    def __init__(self, kind: str, stored: Stored, dtype: Any, name: str = ""):
        self.kind, self.stored, self.floats = kind, stored, np.dtype(dtype)
        self.requires_grad, self.name = False, name
        self.gradient, self.node, self.index, self.mask = None, None, 0, None

    @classmethod
    def of(cls, kind: str, kernel: Tensor) -> QuantizedKernel:
        """The kernel, rounded. Raises ValueError, with its name, for weights that are NaN, infinite or too large."""
        try:
            return cls(kind, KINDS[kind].store(to_host(kernel.data)), kernel.dtype, kernel.name)
        except ValueError as error:
            raise ValueError(f"{kernel.name}: {error}: it cannot be stored as {kind}") from None

    @property
    def data(self) -> Any:
        """The numbers that it stands for, made anew; they cannot be written to, which would change nothing."""
        numbers = KINDS[self.kind].numbers(**self.stored).astype(self.floats, copy=False)
        if isinstance(numbers, np.ndarray):
            numbers.flags.writeable = False
        return numbers

    @data.setter
    def data(self, array: Any) -> None:
        if not np.array_equal(to_host(array), to_host(self.data)):  # else a scale could change by its last bit
            self.stored = self.round(array)

    def round(self, array: Any) -> Stored:
        """Numbers as it would store them. Raises ValueError where they are NaN, infinite or too large."""
        return self.of(self.kind, Tensor(to_host(array).astype(self.floats), name=self.name)).stored

    def dense(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """x (...,D) times the kernel, plus the bias (F,): (...,F)."""
        return KINDS[self.kind].op(x, bias, **self.stored)

    @property
    def codes(self) -> Any:
        """The stored array that has its shape."""
        return next(iter(self.stored.values()))

    @property
    def nbytes(self) -> int:
        """The bytes that it takes."""
        return sum(a.nbytes for a in self.stored.values())

    @property
    def shape(self) -> tuple[int, ...]:
        return self.codes.shape

    @property
    def dtype(self) -> np.dtype:
        return self.floats

    @property
    def ndim(self) -> int:
        return self.codes.ndim

    @property
    def size(self) -> int:
        return self.codes.size

    def __len__(self) -> int:
        return len(self.codes)

    def __reduce__(self) -> tuple[Any, ...]:
        return QuantizedKernel, (self.kind, self.stored, self.floats, self.name)


def quantized_kernels(model: Any) -> list[QuantizedKernel]:
    """Its kernels that are stored in 16 or 8 bits."""
    return [w for w in model.weights if isinstance(w, QuantizedKernel)]


def expect_floats(model: Any, name: str) -> None:
    """ValueError where a model that is to be trained has quantized kernels.

    Arguments: model; name of it or of its file, for the message.
    """
    if found := quantized_kernels(model):
        cure = "train first, quantize afterwards: take the model, or the file, that it was made from"
        raise ValueError(f"{name} holds kernels that are stored as {found[0].kind} and do not train: {cure}")
