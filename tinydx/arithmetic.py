"""What a Tensor has in common with an array: operators, comparisons, indices, reductions, NumPy's functions.

Each of them runs an op of the table, so that the tape records it. What has no gradient (comparisons, `in`, `if`) gives arrays
and bools, as NumPy does. `x += y` makes a new Tensor where the tape records it, and else changes the numbers of x.
"""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Real
from typing import Any

import numpy as np

from tinydx.device import to_host
from tinydx.numpy_calls import call_function, call_ufunc, numbers
from tinydx.op import TABLE


class Arithmetic:
    """The operators of a Tensor; Tensor adds what they rest on: `data`, and `replaced_by` for those that change it."""

    __slots__ = ()
    __array_priority__ = 100  # CuPy's array + Tensor is a Tensor; NumPy asks __array_ufunc__
    data: Any

    def replaced_by(self, y: Any) -> Any:
        raise NotImplementedError

    # ---- operators ----

    def __add__(self, other: Any) -> Any:
        return TABLE["add"](self, other)

    def __sub__(self, other: Any) -> Any:
        return TABLE["subtract"](self, other)

    def __rsub__(self, other: Any) -> Any:
        return TABLE["subtract"](other, self)

    def __mul__(self, other: Any) -> Any:
        return TABLE["multiply"](self, other)

    def __truediv__(self, other: Any) -> Any:
        return TABLE["divide"](self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return TABLE["divide"](other, self)

    def __matmul__(self, other: Any) -> Any:
        return TABLE["matmul"](self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return TABLE["matmul"](other, self)

    def __neg__(self) -> Any:
        return TABLE["multiply"](self, -1.0)

    def __pow__(self, exponent: float) -> Any:
        if not isinstance(exponent, Real):
            raise TypeError("x ** c: expected a number as c; for a Tensor c it is ops.exp(c * ops.log(x)), where x is above 0")
        return TABLE["power"](self, exponent=exponent)

    __radd__ = __add__
    __rmul__ = __mul__

    def __iadd__(self, other: Any) -> Any:
        return self.replaced_by(self + other)

    def __isub__(self, other: Any) -> Any:
        return self.replaced_by(self - other)

    def __imul__(self, other: Any) -> Any:
        return self.replaced_by(self * other)

    def __itruediv__(self, other: Any) -> Any:
        return self.replaced_by(self / other)

    def __imatmul__(self, other: Any) -> Any:
        return self.replaced_by(self @ other)

    def __ipow__(self, exponent: float) -> Any:
        return self.replaced_by(self**exponent)

    # ---- comparisons: arrays of bool, which have no gradient ----

    def __eq__(self, other: Any) -> Any:
        return self.data == numbers(other)

    def __ne__(self, other: Any) -> Any:
        return self.data != numbers(other)

    def __lt__(self, other: Any) -> Any:
        return self.data < numbers(other)

    def __le__(self, other: Any) -> Any:
        return self.data <= numbers(other)

    def __gt__(self, other: Any) -> Any:
        return self.data > numbers(other)

    def __ge__(self, other: Any) -> Any:
        return self.data >= numbers(other)

    __hash__ = object.__hash__  # a Tensor is a key by what it is, not by its numbers

    def __bool__(self) -> bool:
        """Whether the one number is not 0; ValueError for several, as with arrays: `(x > 0).any()` asks for one of them."""
        return bool(to_host(self.data))

    def __contains__(self, value: Any) -> bool:
        return bool((self.data == numbers(value)).any())

    # ---- indices, reductions, shapes ----

    def __getitem__(self, key: Any) -> Any:
        return TABLE["getitem"](self, key=key)

    def __iter__(self) -> Iterator[Any]:
        if not self.ndim:
            raise TypeError("a Tensor with one number and no axis has no parts: float(x) is the number")
        return (self[i] for i in range(len(self.data)))

    def sum(self, axis: Any = None, keepdims: bool = False) -> Any:
        return TABLE["sum"](self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Any:
        return TABLE["mean"](self, axis=axis, keepdims=keepdims)

    def reshape(self, *shape: Any) -> Any:
        return TABLE["reshape"](self, shape=shape[0] if len(shape) == 1 and isinstance(shape[0], tuple) else shape)

    def transpose(self, *axes: int) -> Any:
        return TABLE["transpose"](self, axes=axes or None)

    @property
    def T(self) -> Any:
        return self.transpose()

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def dtype(self) -> np.dtype:
        return self.data.dtype

    @property
    def ndim(self) -> int:
        return self.data.ndim

    @property
    def size(self) -> int:
        return self.data.size

    def __len__(self) -> int:
        return len(self.data)

    # ---- NumPy ----

    def numpy(self) -> np.ndarray:
        """The array itself; a copy on the CPU if it is on a GPU."""
        return to_host(self.data)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **keywords: Any) -> Any:
        return call_ufunc(ufunc, method, inputs, keywords)

    def __array_function__(self, function: Any, types: Any, inputs: tuple, keywords: dict[str, Any]) -> Any:
        return call_function(function, inputs, keywords)

    def __float__(self) -> float:
        if self.size != 1:
            raise TypeError(f"float: a Tensor of shape {self.shape} is not one number")
        return float(self.data.reshape(()))
