"""What a finished model decides with: calibrated probabilities, a threshold, and when it leaves the answer to a doctor.

    outputs on the validation part -- settle --> model.preprocessing: "temperature", "threshold", "conformal_scores"
    outputs on any example ---- probabilities -> calibrated (N,K), the only ones that tinydx shows
                            |-- called --------> the class of each, by the threshold
                            `-- sets ----------> the classes that cannot be ruled out

The equations are those of `tinydx.validation`. The temperature moves probabilities and leaves the class called alone. Conformal
scores are of the outputs as they are, before the temperature, because nothing may be fitted on the examples that they come from.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tinydx import validation
from tinydx.datasets.study import Study
from tinydx.evaluation import called_class, positive_class, probability_table

LEAST = 50  # validation examples from which a temperature is fitted; of fewer it would be noise
MOST = 500  # conformal scores that are stored
DIGITS = 6  # of a stored score, which is rounded up: sets get larger, not smaller


def check(study: Study, sensitivity: float | None) -> None:
    """ValueError, before anything is trained, where no threshold of the validation part can have the sensitivity asked for."""
    if sensitivity is None:
        return
    if not 0 < sensitivity <= 1:
        raise ValueError(f"--sensitivity {sensitivity} is not a share, above 0 and at most 1")
    if len(study.class_names) != 2:
        raise ValueError(f"--sensitivity is for two classes, here are {len(study.class_names)}")
    if len(np.unique(study.val.y)) < 2:
        raise ValueError(f"--sensitivity needs {study.noun} of both classes in the validation part: all are of one")


def settle(model: Any, outputs: ArrayLike, y: np.ndarray, sensitivity: float | None = None) -> None:
    """Put temperature, conformal scores and, for a sensitivity, the threshold into `model.preprocessing`.

    Arguments: model, with class_names and preprocessing; outputs of `model.predict` on the validation examples; y (N,), their
    class numbers; sensitivity wanted of the positive class on them (None: the threshold stays).
    """
    names = list(model.class_names)
    table = probability_table(outputs, names)
    enough = len(y) >= LEAST and len(np.unique(y)) > 1
    temperature = validation.fit_temperature(validation.logits_of(table), y) if enough else 1.0
    chosen = np.random.default_rng(0).permutation(len(y))[:MOST]
    found = np.ceil(validation.conformal_scores(table[chosen], y[chosen]) * 10**DIGITS) / 10**DIGITS
    how = {**model.preprocessing, "temperature": temperature, "conformal_scores": sorted(found.tolist())}
    if sensitivity is not None:
        positive = positive_class(names)
        how["threshold"] = threshold_for(validation.with_temperature(table, temperature)[:, positive], y == positive, sensitivity)
    model.preprocessing = how


def threshold_for(p: np.ndarray, y: np.ndarray, sensitivity: float) -> float:
    """The threshold of `validation.threshold_for_sensitivity`, moved halfway to the next lower p.

    So the examples above it and those at least at it are the same ones, but for those with p = 0.

    Arguments: p (N,) of the positive class; y (N,), true for it; sensitivity wanted.

    >>> threshold_for(np.array([0.25, 0.5, 0.75]), np.array([0, 1, 1]), sensitivity=0.5)
    0.625
    """
    threshold = validation.threshold_for_sensitivity(y, p, sensitivity)
    lower = p[p < threshold]
    return float((threshold + (lower.max() if lower.size else 0.0)) / 2)


def probabilities(model: Any, outputs: ArrayLike) -> np.ndarray:
    """The calibrated probabilities (N,K) of a model's outputs: those of `with_temperature`; of an older model, as they are."""
    return validation.with_temperature(
        probability_table(outputs, list(model.class_names)), model.preprocessing.get("temperature", 1.0)
    )


def called(model: Any, table: np.ndarray) -> np.ndarray:
    """The class number (N,) that a model calls, of calibrated probabilities (N,K)."""
    names = list(model.class_names)
    positive = positive_class(names) if len(names) == 2 else None
    return called_class(table, positive, model.preprocessing.get("threshold", 0.5))


def threshold_of_outputs(model: Any) -> float:
    """The threshold as it applies to the outputs themselves, before the temperature."""
    t = model.preprocessing["threshold"]
    return float(validation.with_temperature([[1 - t, t]], 1 / model.preprocessing["temperature"])[0, 1])


def sets(model: Any, outputs: ArrayLike, alpha: float) -> np.ndarray:
    """Which classes cannot be ruled out: bool (N,K), whose rows miss the true class at most in a share alpha, on average.

    Raises: as `scores`; ValueError for an alpha outside of 0 to 1.
    """
    table = probability_table(outputs, list(model.class_names))
    return 1 - table <= validation.conformal_quantile(scores(model), alpha)


def scores(model: Any) -> list[float]:
    """The conformal scores of the validation examples; ValueError for a model without them."""
    found = model.preprocessing.get("conformal_scores")
    if found is None:
        raise ValueError("the model's file has no conformal scores, which say when to refer: train again with `tinydx diagnose`")
    return found
