"""Initial values of weights, by Keras's names and formulas: each is a function, shape -> array.

fan_in and fan_out count the inputs and outputs that one number of a weight connects. All random values come from the
engine's generator, so `tinydx.set_seed` repeats them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinydx import random
from tinydx.suggestions import did_you_mean, snake_case

Initializer = Callable[[tuple[int, ...]], np.ndarray]


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(fan_in, fan_out) of a kernel (..., in, out); a convolution's area multiplies both.

    >>> fans((3, 3, 16, 32))
    (144, 288)
    """
    if len(shape) < 2:
        return (shape[0], shape[0]) if shape else (1, 1)
    area = math.prod(shape[:-2])
    return shape[-2] * area, shape[-1] * area


def zeros(shape: tuple[int, ...]) -> np.ndarray:
    """All 0, of that shape."""
    return np.zeros(shape)


def ones(shape: tuple[int, ...]) -> np.ndarray:
    """All 1, of that shape."""
    return np.ones(shape)


def glorot_uniform(shape: tuple[int, ...]) -> np.ndarray:
    """Uniform within +-sqrt(6 / (fan_in + fan_out)): keeps the scale of signals forwards and backwards.

    Arguments: shape, (..., in, out).
    Returns: an array of that shape.
    Source: Glorot and Bengio 2010.

    >>> bool(np.abs(glorot_uniform((3, 3, 3, 32))).max() <= np.sqrt(6 / (9 * 35)))
    True
    """
    limit = math.sqrt(6 / sum(fans(shape)))
    return random.generator().uniform(-limit, limit, shape)


def glorot_normal(shape: tuple[int, ...]) -> np.ndarray:
    """Truncated normal with standard deviation sqrt(2 / (fan_in + fan_out)).

    Arguments: shape, (..., in, out).
    Returns: an array of that shape.
    Source: Glorot and Bengio 2010.
    """
    return _truncated_normal(shape, math.sqrt(2 / sum(fans(shape))))


def he_uniform(shape: tuple[int, ...]) -> np.ndarray:
    """Uniform within +-sqrt(6 / fan_in), for layers before a ReLU.

    Arguments: shape, (..., in, out).
    Returns: an array of that shape.
    Source: He et al. 2015.
    """
    limit = math.sqrt(6 / fans(shape)[0])
    return random.generator().uniform(-limit, limit, shape)


def he_normal(shape: tuple[int, ...]) -> np.ndarray:
    """Truncated normal with standard deviation sqrt(2 / fan_in), for layers before a ReLU.

    Arguments: shape, (..., in, out).
    Returns: an array of that shape.
    Source: He et al. 2015.
    """
    return _truncated_normal(shape, math.sqrt(2 / fans(shape)[0]))


def uniform(shape: tuple[int, ...]) -> np.ndarray:
    """Uniform within +-0.05, of that shape: Keras's default for embeddings."""
    return random.generator().uniform(-0.05, 0.05, shape)


def normal(shape: tuple[int, ...]) -> np.ndarray:
    """Normal with standard deviation 0.05, of that shape."""
    return random.generator().normal(0, 0.05, shape)


def orthogonal(shape: tuple[int, ...]) -> np.ndarray:
    """A matrix with orthogonal columns (or rows, where there are fewer): keeps recurrent signals from fading.

    Arguments: shape, (..., columns); all axes but the last count as rows.
    Returns: an array of that shape.
    Source: Saxe et al. 2013.

    >>> q = orthogonal((4, 2))
    >>> bool(np.allclose(q.T @ q, np.eye(2)))
    True
    """
    rows, columns = math.prod(shape[:-1]), shape[-1]
    q, r = np.linalg.qr(random.generator().normal(size=(max(rows, columns), min(rows, columns))))
    q = q * np.sign(np.diag(r))
    return (q if rows >= columns else q.T).reshape(shape)


def _truncated_normal(shape: tuple[int, ...], deviation: float) -> np.ndarray:
    """Normal values, drawn again beyond two deviations, then scaled back to the wanted deviation."""
    x = random.generator().normal(size=shape)
    while (far := np.abs(x) > 2).any():
        x[far] = random.generator().normal(size=int(far.sum()))
    return x * (deviation / 0.87962566103423978)


_KNOWN: dict[str, Initializer] = {
    "zeros": zeros,
    "ones": ones,
    "glorot_uniform": glorot_uniform,
    "glorot_normal": glorot_normal,
    "he_uniform": he_uniform,
    "he_normal": he_normal,
    "uniform": uniform,
    "random_uniform": uniform,
    "normal": normal,
    "random_normal": normal,
    "orthogonal": orthogonal,
}


def __getattr__(name: str) -> object:
    key = snake_case(name)
    cure = f": write the name {key!r} instead" if key in _KNOWN else did_you_mean(key, _KNOWN)
    raise AttributeError(f"tinydx.initializers has no {name!r}{cure}")


def get(name: Any) -> Initializer:
    """The initializer of that name.

    Arguments: name, as "he_normal" or "HeNormal", or a function shape -> array, which is returned as it is.
    Returns: the function.
    Raises: ValueError for an unknown name, with close matches.

    >>> get("zeros")((2,))
    array([0., 0.])
    """
    if callable(name):
        return name
    key = snake_case(str(name))
    if key not in _KNOWN:
        raise ValueError(f"unknown initializer {name!r}{did_you_mean(key, _KNOWN)}")
    return _KNOWN[key]
