r"""The threshold for a wanted sensitivity, to be chosen on validation examples and judged on others.

    sensitivity(t) = share of the positives with p >= t             falls as t rises
    t*             = max { t : sensitivity(t) >= wanted }           the r-th largest p of the m positives, r = ceil(wanted m)

It is always the probability of a positive, and all examples that share it are called alike. On new examples the sensitivity is
the wanted one only on average, and chance in m positives is large: for it see Wilson's interval.

Source: Fawcett 2006, "An introduction to ROC analysis".
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from tinydx.evaluation import both_classes


def threshold_for_sensitivity(y: ArrayLike, p: ArrayLike, sensitivity: float) -> float:
    """The highest threshold that finds the wanted share of the positives, if examples with p >= threshold are called positive.

    Arguments: y (N,) of 0 and 1; p (N,), higher means more likely 1; sensitivity, above 0 and at most 1.
    Returns: the threshold, one of the p.
    Raises: ValueError unless both classes occur, for NaN, where lengths differ, and for a sensitivity that no threshold has.

    >>> threshold_for_sensitivity([0, 0, 1, 1, 1, 1], [0.1, 0.7, 0.4, 0.6, 0.8, 0.9], sensitivity=0.75)
    0.6
    """
    true, score = both_classes(y, p, "threshold_for_sensitivity")
    if not 0 < sensitivity <= 1:
        raise ValueError(f"no threshold has a sensitivity of {sensitivity}: ask for a share above 0 and at most 1")
    found = np.sort(score[true])[::-1]
    return float(found[max(1, math.ceil(sensitivity * len(found) - 1e-9)) - 1])
