r"""Patients of two made-up modalities, each a few numbers, for whom the best possible answer is known.

    two_signals     independent signals of d' = 1: each has ROC AUC \Phi(1 / \sqrt 2) = .760, both \Phi(1) = .841
    exclusive_or    the class is whether exactly one of two findings is there: each modality alone knows nothing
    one_noise       the signal of d' = 1, and noise: both together are worth .760, as the first alone

    age_and_sex     a table for patients whose classes come from elsewhere, such as real images

A signal of d' = 1 is normal with deviation 1 in both classes, its means 1 apart. The best answer is Bayes's: the log-odds of
the class given both modalities, computed from the densities.

Source: Green and Swets 1966 (the area is \Phi(d' / \sqrt 2); of independent signals d'^2 adds up).
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

APART = 6.0  # of the two findings of `exclusive_or`, in deviations


class Several(NamedTuple):
    """Made-up patients: x, each modality (N,1) float32; y (N,), 0 or 1; best (N,), the log-odds of class 1 by Bayes's rule."""

    x: dict[str, np.ndarray]
    y: np.ndarray
    best: np.ndarray


def two_signals(count: int, seed: int = 0) -> Several:
    """Two independent signals of d' = 1, "first" and "second".

    Arguments: count of patients; seed.

    >>> found = two_signals(4)
    >>> found.x["first"].shape, bool(np.allclose(found.best, found.x["first"][:, 0] + found.x["second"][:, 0] - 1))
    ((4, 1), True)
    """
    y, noise = _draw(count, seed)
    x = noise + y[:, None]
    return _several(x, y, (x - 0.5).sum(axis=1))


def exclusive_or(count: int, seed: int = 0) -> Several:
    """The class is 1 where exactly one of two findings is there; each modality shows one finding.

    Arguments, Returns: as `two_signals`.

    >>> exclusive_or(4).y.shape
    (4,)
    """
    y, noise = _draw(count, seed)
    first = np.random.default_rng([seed, 1]).integers(2, size=count)
    x = noise + APART * np.stack([first, first ^ y], axis=1)
    there = 1 / (1 + np.exp(-APART * (x - APART / 2)))  # the probability of each finding
    p = there[:, 0] * (1 - there[:, 1]) + (1 - there[:, 0]) * there[:, 1]
    p = np.clip(p, 1e-12, 1 - 1e-12)
    return _several(x, y, np.log(p / (1 - p)))


def one_noise(count: int, seed: int = 0) -> Several:
    """A signal of d' = 1, and noise that knows nothing of the class.

    Arguments, Returns: as `two_signals`.

    >>> found = one_noise(4)
    >>> bool(np.allclose(found.best, found.x["first"][:, 0] - 0.5))
    True
    """
    y, noise = _draw(count, seed)
    x = noise + np.stack([y, np.zeros_like(y)], axis=1)
    return _several(x, y, x[:, 0] - 0.5)


GENERATORS: dict[str, Callable[[int, int], Several]] = {
    "two signals": two_signals,
    "exclusive or": exclusive_or,
    "one is noise": one_noise,
}


def age_and_sex(y: np.ndarray, seed: int = 0) -> dict[str, np.ndarray]:
    """A made-up age and sex for each patient of these classes: the ill are 10 years older on average, sex says nothing.

    Age is normal with deviation 15 years in both classes, mean 50 and 60: d' = 2/3, which is worth an ROC AUC of .681 at best.

    Arguments: y (N,), 1 of the ill; seed.
    Returns: "age" in years, "sex" 0 or 1, (N,) each.

    >>> made = age_and_sex(np.array([0, 1]))
    >>> sorted(made), round(area_of_signals(10 / 15), 3)
    (['age', 'sex'], 0.681)
    """
    rng = np.random.default_rng([seed, 2])
    return {"age": 50 + 10.0 * y + 15 * rng.normal(size=len(y)), "sex": rng.integers(2, size=len(y))}


def area_of_signals(*d: float) -> float:
    """The ROC AUC of the best answer from independent signals of these d'.

    >>> round(area_of_signals(1.0), 3), round(area_of_signals(1.0, 1.0), 3)
    (0.76, 0.841)
    """
    return NormalDist().cdf(float(np.hypot.reduce(d)) / 2**0.5)


def _draw(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Classes, as many of each, and noise (N,2)."""
    rng = np.random.default_rng(seed)
    return rng.permutation(np.arange(count) % 2), rng.normal(size=(count, 2))


def _several(x: np.ndarray, y: np.ndarray, best: np.ndarray) -> Several:
    x = x.astype(np.float32)
    return Several({"first": x[:, :1], "second": x[:, 1:]}, y, best)
