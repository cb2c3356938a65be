"""A gradient that is not multiplied out yet: of a weight w (D,F) it is x^T dy, with x (N,D) and dy (N,F).

The document's dense layer has 19 million weights and a batch of 32: its gradient as an array is 76 MB that are written,
and read again by the optimizer, where the two factors are 5 MB. So a kernel may return the factors, an optimizer's
kernel may multiply them while it passes over the weights, and whoever else looks gets an array.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinydx.op import TABLE


class FactoredGradient:
    """x^T dy as its factors: x (N,D), dy (N,F).

    >>> g = FactoredGradient(np.array([[1.0, 2.0]]), np.array([[3.0]]))
    >>> g.shape, g.array().tolist(), (g + 1.0).tolist()
    ((2, 1), [[3.0], [6.0]], [[4.0], [7.0]])
    """

    __slots__ = ("dy", "x")
    __array_ufunc__ = None  # array + FactoredGradient asks FactoredGradient

    def __init__(self, x: Any, dy: Any):
        self.x, self.dy = x, dy

    @property
    def shape(self) -> tuple[int, int]:
        return self.x.shape[1], self.dy.shape[1]

    @property
    def dtype(self) -> np.dtype:
        return self.dy.dtype

    def array(self) -> Any:
        """Multiplied out: (D,F)."""
        return TABLE["matmul"](self.x.T, self.dy)

    def surely_finite(self) -> bool:
        """Whether no sum can overflow, since |x^T dy| <= ‖x‖ ‖dy‖ (Cauchy-Schwarz): False also where it cannot be told."""
        squares = [float(np.vdot(a, a)) for a in (self.x, self.dy)]
        return math.sqrt(squares[0]) * math.sqrt(squares[1]) < float(np.finfo(self.dtype).max)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.array(), dtype)

    def __add__(self, other: Any) -> Any:
        return self.array() + multiplied_out(other)

    __radd__ = __add__


def multiplied_out(g: Any) -> Any:
    """The gradient as an array, whatever it was."""
    return g.array() if isinstance(g, FactoredGradient) else g
