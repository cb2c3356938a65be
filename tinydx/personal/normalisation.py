r"""Normalisation by the patient's own statistics, shrunk towards the population's: no labels are needed.

    m = m_pop + k / (k + kappa) (mean of the k recordings - m_pop)
    v = (kappa v_pop + sum_i (x_i - m)^2) / (kappa + k)
    x' = (x - m) / sqrt(v)

kappa is the number of recordings that the population counts for. A recorder that is louder in some band than others, or a patient
whose heart is faster, is centred: the classifier sees what differs from this patient's usual. But k recordings of which most are
abnormal move the mean towards the abnormal; kappa is there for that, too.

Source: the mean and variance of a normal distribution with a conjugate prior; Efron and Morris 1975 on shrinking means.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

LEAST = 1e-6  # of a spread: a number that never varied is left as it is


class Statistics(NamedTuple):
    """Mean and standard deviation (D,) of features."""

    mean: np.ndarray
    spread: np.ndarray

    def scaled(self, x: np.ndarray) -> np.ndarray:
        """Features (N,D) with this mean and spread, moved to mean 0 and spread 1.

        >>> Statistics(np.array([1.0]), np.array([2.0])).scaled(np.array([[3.0]]))
        array([[1.]])
        """
        return (x - self.mean) / self.spread


def statistics_of(x: ArrayLike) -> Statistics:
    """The population's statistics.

    Arguments: x (N,D), features of recordings of all patients.
    Returns: means and standard deviations (D,); 1 for a feature that never varies.
    Raises: ValueError unless x has two axes and at least one row of finite numbers.

    >>> statistics_of([[1.0, 5.0], [3.0, 5.0]])
    Statistics(mean=array([2., 5.]), spread=array([1., 1.]))
    """
    rows = _rows(x, "statistics_of")
    if len(rows) == 0:
        raise ValueError("statistics_of: there are no recordings")
    spread = rows.std(axis=0)
    return Statistics(rows.mean(axis=0), np.where(spread > LEAST, spread, 1.0))


def patient_statistics(x: ArrayLike, population: Statistics, strength: float) -> Statistics:
    """A patient's statistics: those of the recordings, shrunk towards the population's.

    Arguments: x (k,D), features of the patient's recordings; population; strength, kappa above 0, also infinite: how many
    recordings the population counts for.
    Returns: means and spreads (D,); for k = 0 and an infinite strength the population's, bit for bit.
    Raises: ValueError for shapes that do not fit, NaN, and a strength of 0 or less.

    >>> patient_statistics([[4.0], [6.0]], Statistics(np.array([0.0]), np.array([1.0])), 2.0).mean
    array([2.5])
    """
    rows, k = _rows(x, "patient_statistics"), len(x)  # type: ignore[arg-type]
    if rows.shape[1] != len(population.mean):
        raise ValueError(f"patient_statistics: {rows.shape[1]} features, but the population has {len(population.mean)}")
    if not strength > 0:
        raise ValueError(f"patient_statistics: strength is a number above 0, not {strength}")
    if k == 0 or strength == np.inf:
        return population
    mean = population.mean + k / (k + strength) * (rows.mean(axis=0) - population.mean)
    variance = (strength * population.spread**2 + ((rows - mean) ** 2).sum(axis=0)) / (strength + k)
    return Statistics(mean, np.maximum(np.sqrt(variance), LEAST))


def _rows(x: ArrayLike, who: str) -> np.ndarray:
    rows = np.asarray(x, np.float64)
    if rows.ndim != 2 or not np.isfinite(rows).all():
        raise ValueError(f"{who}: expected features (k,D) of finite numbers, got {rows.shape}")
    return rows
