r"""Split conformal sets: answers that hold the true class as often as promised, whatever the model is.

On n examples that training did not see, the score of each says how far its true class was from certain. A new example's set
holds every class whose score would not be unusual among them:

    s_i  = 1 - p_i(y_i)
    q    = the r-th smallest of s_1 ... s_n,    r = ceil((n + 1)(1 - alpha));    infinite where r > n
    C(x) = { k : 1 - p_k(x) <= q }

Where calibration and new examples are exchangeable, the new score's rank among all n + 1 is uniform, so that

    1 - alpha <= P(y in C(x)) <= 1 - alpha + 1 / (n + 1)        (the second, where scores have no ties)

on average over calibration sets and new examples; not for each class, nor for patients of another kind. A set of one class is
an answer. A set of several says "I cannot tell these apart", an empty one "this looks like nothing I know".

Source: Vovk, Gammerman and Shafer 2005; Sadinle, Lei and Wasserman 2019 for this score.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from tinydx.evaluation import probability_table


def conformal_quantile(scores: ArrayLike, alpha: float) -> float:
    """The score that a new example exceeds with a chance of at most alpha.

    Ties count as if the calibration scores came first, which makes sets larger, never smaller. Infinity with too few scores:
    n must be at least 1 / alpha - 1.

    Arguments: scores (n,), the larger the less the example fits its class; alpha, the share of misses, between 0 and 1.
    Returns: q, one of the scores, or infinity.
    Raises: ValueError for NaN, other shapes, and alpha outside of 0 to 1.
    Source: Vovk, Gammerman and Shafer 2005.

    >>> scores = np.arange(1, 20) / 20
    >>> conformal_quantile(scores, 0.1), conformal_quantile(scores, 0.05), conformal_quantile(scores, 0.01)
    (0.9, 0.95, inf)
    """
    s = np.asarray(scores, np.float64)
    if s.ndim != 1 or np.isnan(s).any():
        raise ValueError(f"conformal_quantile needs scores (n,) without NaN, not {s.shape} with {np.isnan(s).sum()} NaN")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is the share of misses, between 0 and 1, not {alpha}")
    misses = math.floor((len(s) + 1) * alpha + 1e-9)  # of n + 1 ranks; 700 * 0.01 must not become 6.999...
    return float(np.sort(s)[len(s) - misses]) if misses else math.inf


def conformal_scores(p: ArrayLike, y: ArrayLike) -> np.ndarray:
    """The scores 1 - p(y) of calibration examples.

    Arguments: p (n,) or (n,1), of the second of two classes, or (n,K), probabilities; y (n,), class numbers.
    Returns: (n,).
    Raises: ValueError where these are no probabilities, or a class number does not fit.

    >>> conformal_scores([[0.75, 0.25], [0.5, 0.5]], [0, 1])
    array([0.25, 0.5 ])
    """
    table, true = _table(p), np.asarray(y).reshape(-1)
    if len(true) != len(table) or not np.isin(true, np.arange(table.shape[1])).all():
        raise ValueError(f"conformal sets need a class number from 0 to {table.shape[1] - 1} for each of {len(table)} examples")
    return 1 - table[np.arange(len(table)), true.astype(np.int64)]


def conformal_sets(p_calibration: ArrayLike, y: ArrayLike, p: ArrayLike, alpha: float) -> np.ndarray:
    """Which classes are in the set of each new example.

    Arguments: p_calibration (n,), (n,1) or (n,K), probabilities of examples that training did not see; y (n,), their class
    numbers; p, the same of N new examples; alpha, the share of sets that may miss the true class.
    Returns: bool (N,K).
    Raises: ValueError where these are no probabilities, numbers of classes differ, and as `conformal_quantile`.
    Source: Sadinle, Lei and Wasserman 2019.

    >>> p, y = np.linspace(0.6, 0.95, 19), np.ones(19, int)
    >>> conformal_sets(p, y, [0.9, 0.5, 0.1], alpha=0.1)
    array([[False,  True],
           [False, False],
           [ True, False]])
    """
    scores, new = conformal_scores(p_calibration, y), _table(p)
    if new.shape[1] != _table(p_calibration).shape[1]:
        raise ValueError(f"the calibration has {_table(p_calibration).shape[1]} classes, the new examples have {new.shape[1]}")
    return 1 - new <= conformal_quantile(scores, alpha)


def _table(p: ArrayLike) -> np.ndarray:
    """Probabilities (N,K), K >= 2."""
    shape = np.shape(p)
    return probability_table(p, range(2 if len(shape) < 2 else max(2, shape[1])))  # type: ignore[arg-type]
