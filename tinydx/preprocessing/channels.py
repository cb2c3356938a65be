"""The few channels of pictures, one after the other: NumPy takes six times as long to reduce an axis of three numbers."""

from __future__ import annotations

import functools

import numpy as np


def over_channels(function: np.ufunc, x: np.ndarray) -> np.ndarray:
    """The same numbers as function.reduce(x, axis=-1).

    Arguments: function of two arrays; x (...,C).
    Returns: (...).

    >>> over_channels(np.maximum, np.array([[1, 5, 2], [7, 0, 3]]))
    array([5, 7])
    """
    return functools.reduce(function, np.moveaxis(x, -1, 0))


def mean_of_channels(x: np.ndarray) -> np.ndarray:
    """The same numbers as x.mean(axis=-1).

    Arguments: x (...,C), floats.
    Returns: (...).

    >>> mean_of_channels(np.array([[1.0, 5.0], [7.0, 0.0]]))
    array([3. , 3.5])
    """
    return over_channels(np.add, x) / x.shape[-1]
