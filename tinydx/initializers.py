"""Initial values of weights, by Keras's names and formulas. Each is a function shape -> array."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinydx import random
from tinydx.suggestions import did_you_mean

Initializer = Callable[[tuple[int, ...]], np.ndarray]


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(fan_in, fan_out) of a kernel (..., in, out); a convolution's area counts into both."""
    if len(shape) < 2:
        return (shape[0], shape[0]) if shape else (1, 1)
    area = math.prod(shape[:-2])
    return shape[-2] * area, shape[-1] * area


def zeros(shape: tuple[int, ...]) -> np.ndarray:
    """All 0."""
    return np.zeros(shape)


def ones(shape: tuple[int, ...]) -> np.ndarray:
    """All 1."""
    return np.ones(shape)


def glorot_uniform(shape: tuple[int, ...]) -> np.ndarray:
    """Uniform within +-sqrt(6 / (fan_in + fan_out)): keeps the scale of signals both ways. Source: Glorot 2010.

    >>> bool(np.abs(glorot_uniform((3, 3, 3, 32))).max() <= np.sqrt(6 / (9 * 35)))
    True
    """
    limit = math.sqrt(6 / sum(fans(shape)))
    return random.generator().uniform(-limit, limit, shape)


def glorot_normal(shape: tuple[int, ...]) -> np.ndarray:
    """Truncated normal with deviation sqrt(2 / (fan_in + fan_out))."""
    return _truncated_normal(shape, math.sqrt(2 / sum(fans(shape))))


def he_uniform(shape: tuple[int, ...]) -> np.ndarray:
    """Uniform within +-sqrt(6 / fan_in): for ReLU. Source: He 2015."""
    limit = math.sqrt(6 / fans(shape)[0])
    return random.generator().uniform(-limit, limit, shape)


def he_normal(shape: tuple[int, ...]) -> np.ndarray:
    """Truncated normal with deviation sqrt(2 / fan_in): for ReLU."""
    return _truncated_normal(shape, math.sqrt(2 / fans(shape)[0]))


def uniform(shape: tuple[int, ...]) -> np.ndarray:
    """Uniform within +-0.05: Keras's default for embeddings."""
    return random.generator().uniform(-0.05, 0.05, shape)


def normal(shape: tuple[int, ...]) -> np.ndarray:
    """Normal with deviation 0.05."""
    return random.generator().normal(0, 0.05, shape)


def orthogonal(shape: tuple[int, ...]) -> np.ndarray:
    """A matrix with orthogonal columns (or rows, if there are fewer): keeps recurrent signals from fading.

    Source: Saxe 2013.
    """
    rows, columns = math.prod(shape[:-1]), shape[-1]
    q, r = np.linalg.qr(random.generator().normal(size=(max(rows, columns), min(rows, columns))))
    q = q * np.sign(np.diag(r))
    return (q if rows >= columns else q.T).reshape(shape)


def _truncated_normal(shape: tuple[int, ...], deviation: float) -> np.ndarray:
    """Normal, drawn again beyond two deviations, then scaled back to the deviation that was asked for."""
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


def get(name: Any) -> Initializer:
    """The initializer of that name, or the function itself; ValueError with close matches."""
    if callable(name):
        return name
    if name not in _KNOWN:
        raise ValueError(f"unknown initializer {name!r}{did_you_mean(name, _KNOWN)}")
    return _KNOWN[name]
