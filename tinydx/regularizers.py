"""Regularizers, by Keras's names and formulas: penalties of a layer's weights, which training and evaluation add to the loss.

Layers take them as kernel_regularizer, bias_regularizer and so on: a name, an object, or a function of the weight that returns
one number, a Tensor. Weights that training does not change have no penalty.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinydx import ops
from tinydx.settings import Checked, number
from tinydx.suggestions import did_you_mean


class Regularizer(metaclass=Checked):
    """Base of all regularizers: a subclass defines `__call__(w)`, the penalty of a weight, a Tensor of one number.

    A subclass keeps each argument of its __init__ as the attribute of that name, so that it can be saved with the layer.
    """

    def __call__(self, w: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define __call__(w)")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in vars(self).items())})"


class L1L2(Regularizer):
    """The penalty l1 * sum(|w|) + l2 * sum(w ** 2).

    Arguments: l1, l2, the factors.
    Raises: ValueError for a factor below 0.

    >>> from tinydx import Tensor
    >>> float(L1L2(l1=1.0, l2=0.5)(Tensor([-2.0, 2.0])))
    8.0
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0):
        self.l1, self.l2 = _factor(self, "l1", l1), _factor(self, "l2", l2)

    def __call__(self, w: Any) -> Any:
        return _absolute(w) * self.l1 + _squared(w) * self.l2


class L1(Regularizer):
    """The penalty l1 * sum(|w|), which drives weights to exactly 0. Its gradient at 0 is 0.

    Arguments: l1, the factor.
    Raises: ValueError for a factor below 0.

    >>> L1(0.5)
    L1(l1=0.5)
    """

    def __init__(self, l1: float = 0.01):
        self.l1 = _factor(self, "l1", l1)

    def __call__(self, w: Any) -> Any:
        return _absolute(w) * self.l1


class L2(Regularizer):
    """The penalty l2 * sum(w ** 2), which keeps weights small.

    Arguments: l2, the factor.
    Raises: ValueError for a factor below 0.

    >>> from tinydx import Tensor
    >>> float(L2(0.5)(Tensor([-2.0, 2.0])))
    4.0
    """

    def __init__(self, l2: float = 0.01):
        self.l2 = _factor(self, "l2", l2)

    def __call__(self, w: Any) -> Any:
        return _squared(w) * self.l2


def _absolute(w: Any) -> Any:
    """sum(|w|); |w| is relu(w) + relu(-w), since relu has a gradient."""
    return (ops.relu(w) + ops.relu(-w)).sum()


def _squared(w: Any) -> Any:
    """sum(w ** 2)"""
    return (w * w).sum()


def _factor(regularizer: Regularizer, name: str, value: Any) -> float:
    """The argument as a float; ValueError unless it is a finite number of 0 or more."""
    return number(f"{type(regularizer).__name__}: {name}", value, at_least=0)


l1, l2, l1_l2 = L1, L2, L1L2  # Keras's second names

_KNOWN: dict[str, type[Regularizer]] = {"l1": L1, "l2": L2, "l1_l2": L1L2, "l1l2": L1L2}


def get(regularizer: Any) -> Callable[[Any], Any] | None:
    """The regularizer of that name, with its defaults.

    Arguments: regularizer, a name in any case, a Regularizer or its class, a function of a weight, or None.
    Returns: a function of a weight, or None.
    Raises: ValueError for an unknown name, with close matches.

    >>> get("l2"), get(None)
    (L2(l2=0.01), None)
    """
    if isinstance(regularizer, type) and issubclass(regularizer, Regularizer):
        return regularizer()
    if regularizer is None or callable(regularizer):
        return regularizer
    if str(regularizer).lower() not in _KNOWN:
        raise ValueError(f"unknown regularizer {regularizer!r}{did_you_mean(str(regularizer).lower(), _KNOWN)}")
    return _KNOWN[str(regularizer).lower()]()
