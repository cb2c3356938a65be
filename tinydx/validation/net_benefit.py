r"""Net benefit: what a model's decisions are worth, in true positives, if harm and good are weighed.

Whoever treats from a probability t on says that a missed patient is as bad as (1 - t) / t needless treatments. With that
exchange rate, of N patients

    model(t)     = TP(t) / N - FP(t) / N * t / (1 - t)          treated where p >= t
    treat all(t) = prevalence - (1 - prevalence) t / (1 - t)    0 at t = prevalence
    treat none   = 0

A model is of use at the thresholds where it lies above both; an area under the ROC curve cannot tell that, since it knows no t.

Source: Vickers and Elkin 2006, "Decision curve analysis".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tinydx.evaluation import outcome_and_probability


def net_benefit(y: ArrayLike, p: ArrayLike, thresholds: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """The net benefit of treating by the model, and of treating all.

    Arguments: y (N,) of 0 and 1; p (N,), probabilities of 1; thresholds (M,), from 0 to below 1.
    Returns: (model (M,), treat all (M,)), in true positives per patient.
    Raises: ValueError for other labels, what is no probability, and thresholds outside of 0 to 1.
    Source: Vickers and Elkin 2006.

    >>> model, everybody = net_benefit([0, 0, 0, 1], [0.1, 0.2, 0.6, 0.7], [0.25, 0.5])
    >>> model.round(3), everybody.round(3)
    (array([0.167, 0.   ]), array([ 0. , -0.5]))
    """
    ill, p = outcome_and_probability(y, p, "net_benefit")
    t = np.atleast_1d(np.asarray(thresholds, np.float64))
    if t.ndim != 1 or not ((t >= 0) & (t < 1)).all():
        raise ValueError("net_benefit needs thresholds (M,) from 0 to below 1: at 1 a needless treatment is infinitely bad")
    price = t / (1 - t)
    treated = p >= t[:, None]
    model = (treated & ill).mean(axis=1) - (treated & ~ill).mean(axis=1) * price
    return model, ill.mean() - (~ill).mean() * price
