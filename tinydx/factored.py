"""A weight's gradient kept as its factors: for w (D,F) it is x^T dy, with x (N,D) and dy (N,F).

The document's dense layer has 19 million weights. As an array its gradient is 76 MB, written by backward and read again by
the optimizer; for a batch of 32 the two factors are 5 MB. So a kernel may return the factors, an optimizer's kernel may
multiply them while it passes over the weights, and every other use gets the array.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinydx.op import TABLE


class FactoredGradient:
    """x^T dy, kept as its factors.

    Arguments: x (N,D), the layer's input; dy (N,F), the gradient of its output.

    >>> g = FactoredGradient(np.array([[1.0, 2.0]]), np.array([[3.0]]))
    >>> g.shape, g.array().tolist(), (g + 1.0).tolist()
    ((2, 1), [[3.0], [6.0]], [[4.0], [7.0]])
    """

    __slots__ = ("dy", "x")
    __array_ufunc__ = None  # so that array + FactoredGradient calls __radd__

    def __init__(self, x: Any, dy: Any):
        self.x, self.dy = x, dy

    @property
    def shape(self) -> tuple[int, int]:
        return self.x.shape[1], self.dy.shape[1]

    @property
    def dtype(self) -> np.dtype:
        return self.dy.dtype

    def array(self) -> Any:
        """The product, an array (D,F)."""
        return TABLE["matmul"](self.x.T, self.dy)

    def surely_finite(self) -> bool:
        """Whether the product is finite for certain, by Cauchy-Schwarz: |x^T dy| <= ‖x‖ ‖dy‖ <= max(‖x‖², ‖dy‖²).

        False also where only these squares overflow.
        """
        return all(np.isfinite(np.vdot(a, a)) for a in (self.x, self.dy))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.array(), dtype)

    def __add__(self, other: Any) -> Any:
        return self.array() + multiplied_out(other)

    __radd__ = __add__


def multiplied_out(g: Any) -> Any:
    """The gradient as an array; an array, and None, are returned unchanged."""
    return g.array() if isinstance(g, FactoredGradient) else g


def checksum(g: Any) -> Any:
    """A number that is finite where the whole gradient is: 0 where its squares have a finite sum, otherwise its sum.

    >>> float(checksum(np.array([1.0, np.inf]))), checksum(FactoredGradient(np.ones((1, 2)), np.ones((1, 3))))
    (inf, 0.0)
    """
    if g.surely_finite() if isinstance(g, FactoredGradient) else type(g) is np.ndarray and math.isfinite(np.vdot(g, g)):
        return 0.0
    return multiplied_out(g).sum()


def checksums(gradients: Sequence[Any], beside: Any) -> Any:
    """The checksums of gradients, 0 for None: an array of the dtype of the array `beside`, on its device."""
    sums = np.zeros(len(gradients), beside.dtype, like=beside)
    for k, g in enumerate(gradients):
        sums[k] = 0 if g is None else checksum(g)
    return sums
