r"""The ROC area over folds, and an interval that respects patients and folds.

Within a fold of m positives and n negatives, example i has a share of the area A (`delong.py` has V10 and V01):

    s_i   = (V10_i - A) / m   or   (V01_i - A) / n         by how much the example moves the area
    var A = P / (P - 1) sum_p (sum_{i of p} s_i)^2         over the P patients p of the fold, whose examples move it together

Areas of different folds come from different models, so that scores are never ranked across folds: A is the mean of K areas. If
the folds were independent, its variance would be the mean of the K variances divided by K. They are not: any two models share
most of their training patients, and a patient who is tested in one fold has trained the others. Nadeau and Bengio's correction
stands for that, with the share of tested to training patients:

    var mean = (1 / K + n_test / n_train) mean_k var A_k = (1 / K + 1 / (K - 1)) mean_k var A_k

The interval is that of the log odds, log A - log(1 - A) +- z sqrt(var mean) / (A (1 - A)), which stays between 0 and 1.

Why so: without the correction ("pooled" or a bootstrap over patients within folds) the interval is too narrow, and with the
variance of the K areas in place of the patients' ("corrected resampled t") it has only K - 1 degrees of freedom, is wider, and
fails where areas are near 1. On simulated patients (40 to 400, one to four examples of each, areas .5 to .98, 3, 5 and 10
folds) the nominal 95 % interval holds the expected area in 81 to 98 % without the correction, 86 to 99 % with the resampled t
and 95 to 99.6 % here. tests/test_folds.py repeats a part of this.

For sites the question is another one: what a site holds that was never seen. The sites are then the sample, and the interval
is Student's of the S areas, which is wide for few sites, as it should be.

Source: LeDell, Petersen and van der Laan 2015 for the area over folds; Obuchowski 1997 for examples of the same patient; Nadeau
and Bengio 2003 for the correction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tinydx.evaluation import midranks, wilson_interval


class Area(NamedTuple):
    """The ROC area of a fold: its value, and of each of the fold's patients the sum of its examples' shares."""

    value: float
    shares: np.ndarray  # (P,)
    pairs: int  # pairs of a positive and a negative that share no patient, at most

    @property
    def variance(self) -> float:
        """P / (P - 1) times the sum of squares of the patients' shares."""
        return float((self.shares**2).sum() * len(self.shares) / max(1, len(self.shares) - 1))


def area_of(y: ArrayLike, scores: ArrayLike, patients: ArrayLike) -> Area | None:
    """The ROC area of one fold, of several classes the mean area of each against the rest.

    Arguments: y (N,), 0..K-1; scores (N,) for class 1 of two, or (N,K); patients (N,), a number for each example's patient.
    Returns: the area; None where a class is missing.
    Raises: ValueError for scores that are not finite.

    >>> area = area_of([0, 1, 0, 1], [0.1, 0.4, 0.4, 0.8], [0, 1, 2, 3])
    >>> area.value, area.shares
    (0.875, array([ 0.0625, -0.0625, -0.0625,  0.0625]))
    """
    y, scores, patients = np.asarray(y), np.asarray(scores, np.float64), np.asarray(patients)
    if not np.isfinite(scores).all():
        raise ValueError("the scores of a fold have NaN or infinite values: its training has failed")
    columns = [(1, scores)] if scores.ndim == 1 else list(enumerate(scores.T))
    people = np.unique(patients, return_inverse=True)[1]
    value, shares, pairs = 0.0, np.zeros(len(y)), len(y)
    for k, score in columns:
        true = y == k
        m, n = int(true.sum()), int((~true).sum())
        if not m or not n:
            return None
        rank = midranks(score)
        positive = (rank[true] - midranks(score[true])) / n
        negative = 1 - (rank[~true] - midranks(score[~true])) / m
        area = float(positive.mean())
        shares[true] += (positive - area) / m / len(columns)
        shares[~true] += (negative - area) / n / len(columns)
        value += area / len(columns)
        pairs = min(pairs, len(np.unique(people[true])), len(np.unique(people[~true])))
    return Area(value, np.bincount(people, shares), pairs)


def over_folds(areas: Sequence[Area], level: float = 0.95) -> tuple[float, list[float]]:
    """The mean area of folds, and its interval by this module's equations.

    Where no share of any patient differs, such as for an area of 1, the variance is 0, which claims too much: the interval is
    then Wilson's of as many successes as there are disjoint pairs. A constant score has the area 1/2 on any data, no width.

    Arguments: areas, two or more, of folds that were left out in turn (one: no correction, the interval of that fold); level.
    Returns: (area, [low, high]).

    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(40) % 2
    >>> mean, (low, high) = over_folds([area_of(y, y + rng.normal(size=40), np.arange(40)) for _ in range(5)])
    >>> low < mean < high
    True
    """
    count, mean = len(areas), float(np.mean([area.value for area in areas]))
    factor = 1 / count + (1 / (count - 1) if count > 1 else 0)
    variance = factor * float(np.mean([area.variance for area in areas]))
    if mean in (0.0, 1.0):
        pairs = sum(area.pairs for area in areas)
        return mean, list(wilson_interval(round(mean) * pairs, pairs, level))
    half = NormalDist().inv_cdf((1 + level) / 2) * math.sqrt(variance) / (mean * (1 - mean))
    odds = math.log(mean / (1 - mean))
    return mean, [1 / (1 + math.exp(-x)) for x in (odds - half, odds + half)]


def difference_over_folds(a: Sequence[Area], b: Sequence[Area], level: float = 0.95) -> tuple[float, list[float]]:
    """The difference of the mean areas of two models on the same folds, and its interval.

    Arguments: a, b, areas of the same folds and patients; level.
    Returns: (a minus b, [low, high]); a difference is shown where the interval does not hold 0.

    >>> y, patients = np.arange(20) % 2, np.arange(20)
    >>> one = [area_of(y, np.sin(patients + f), patients) for f in range(3)]
    >>> difference_over_folds(one, one)
    (0.0, [0.0, 0.0])
    """
    gaps = [Area(x.value - y.value, x.shares - y.shares, 0) for x, y in zip(a, b, strict=True)]
    count, mean = len(gaps), float(np.mean([gap.value for gap in gaps]))
    variance = (1 / count + 1 / max(1, count - 1)) * float(np.mean([gap.variance for gap in gaps]))
    half = NormalDist().inv_cdf((1 + level) / 2) * math.sqrt(variance)
    return mean, [mean - half, mean + half]


def over_sites(values: Sequence[float], level: float = 0.95, least: float = 0.0) -> tuple[float, list[float] | None]:
    """The mean over sites, and Student's interval, whose sample are the sites.

    Arguments: values, areas of sites that were left out in turn, or differences of areas; level; least that a value can be: 0 for
    areas, -1 for differences.
    Returns: (mean, [low, high], cut at least and at 1); None in place of the interval for a single site.

    >>> mean, (low, high) = over_sites([0.7, 0.8, 0.9])
    >>> round(mean, 3), round(low, 3), round(high, 3)
    (0.8, 0.552, 1.0)
    """
    mean, count = float(np.mean(values)), len(values)
    if count < 2:
        return mean, None
    from scipy.special import stdtrit  # comes with scikit-learn

    half = float(stdtrit(count - 1, (1 + level) / 2)) * float(np.std(values, ddof=1)) / math.sqrt(count)
    return mean, [max(least, mean - half), min(1.0, mean + half)]
