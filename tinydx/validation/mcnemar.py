r"""McNemar's exact test of two accuracies on the same examples.

Examples that both classifiers call rightly, or both wrongly, say nothing about the difference. Of the d = b + c others, b are
right by the first one only. Where both are equally accurate, each is as likely as the other, so that b is binomial:

    p = min(1, 2 P(B <= min(b, c))),    P(B <= k) = 2^-d sum_(i <= k) C(d, i)

Source: McNemar 1947; the exact form, Edwards 1948.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike


def mcnemar_test(right_a: ArrayLike, right_b: ArrayLike) -> float:
    """Whether two classifiers differ in accuracy on the same examples.

    Arguments: right_a, right_b (N,), true where the classifier's answer is right.
    Returns: the two-sided p-value; 1 where the two never differ.
    Raises: ValueError where lengths differ.
    Source: McNemar 1947.

    >>> mcnemar_test([1, 1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0, 0])
    0.03125
    """
    a, b = np.asarray(right_a, bool), np.asarray(right_b, bool)
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"mcnemar_test needs one answer of both for each example, not {a.shape} and {b.shape}")
    only_a, only_b = int(np.sum(a & ~b)), int(np.sum(b & ~a))
    d, term, total = only_a + only_b, 1, 0
    for i in range(min(only_a, only_b) + 1):
        total += term  # C(d, i), exact: Python's integers have no end
        term = term * (d - i) // (i + 1)
    return float(min(Fraction(1), Fraction(2 * total, 2**d)))
