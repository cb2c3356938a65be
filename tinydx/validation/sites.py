"""How well the site is recognised from a model's features: a shortcut that a model may take, beside the disease's figure.

    features of the training fold, sites --logistic regression--> the sites that it calls on the fold that was left out

Where sites are recognised well above the largest site's share, and the classes are not equally frequent at all sites, part of a
random split's ROC area may be the site's. Leaving whole sites out shows how much.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tinydx.evaluation import wilson_interval
from tinydx.validation.splits import sklearn


class Recognised(NamedTuple):
    """How often the site of an example is called rightly, and the baseline, which always calls the largest site."""

    accuracy: float
    accuracy_interval: list[float]
    majority: float  # the accuracy of the baseline
    balanced: float  # mean accuracy over the sites; the baseline's is 1 / sites
    sites: list[str]

    @classmethod
    def of(cls, site: np.ndarray, called: np.ndarray, names: list[str]) -> Recognised:
        """The figures of calls (N,) for sites (N,), numbers of the names.

        >>> Recognised.of(np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0]), ["a", "b"])[:4:2]
        (0.75, 0.75)
        """
        right = site == called
        each = [float(right[site == k].mean()) for k in np.unique(site)]
        interval = wilson_interval(int(right.sum()), len(site))
        return cls(float(right.mean()), list(interval), float(np.bincount(site).max() / len(site)), float(np.mean(each)), names)


def recognise(train: np.ndarray, test: np.ndarray, site: np.ndarray) -> np.ndarray:
    """The sites that logistic regression calls.

    Arguments: train (N,D), features; test (M,D); site (N,), numbers.
    Returns: (M,), numbers.

    >>> recognise(np.array([[0.0], [0.1], [1.0], [1.1]]), np.array([[0.2], [2.0]]), np.array([0, 0, 1, 1]))
    array([0, 1])
    """
    mean, spread = train.mean(axis=0), train.std(axis=0)
    varies = spread > 1e-6 * np.abs(train).max(initial=1e-30)
    if not varies.any():
        return np.full(len(test), np.bincount(site).argmax())
    x, z = (np.clip((v[:, varies] - mean[varies]) / spread[varies], -10, 10) for v in (train, test))
    model = sklearn("linear_model").LogisticRegression(max_iter=1000)
    return model.fit(x, site).predict(z)
