"""`tinydx predict --refer 0.05`: an answer where the model is sure enough, and otherwise "a doctor should look".

    outputs -> deciding.sets -> which classes cannot be ruled out
                  {normal}               one class: the answer
                  both, {a, b, c}        several: a doctor should look
                  none                   unlike the examples of every class: a doctor should look
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tinydx.diagnosis import deciding
from tinydx.names import shown
from tinydx.validation import conformal_quantile


class Referral(NamedTuple):
    """What is said of one input."""

    classes: str  # which cannot be ruled out: "{normal}", "both", "{a, b}" or "none"
    answer: str  # these words; where they are not one class, a doctor should look
    figures: str  # the calibrated probabilities of these classes, the largest first (of none: the largest one)


def answer(names: Sequence[str], inside: ArrayLike) -> tuple[str, str]:
    """A set in words, shorter and longer: a class alone is an answer, anything else is for a doctor.

    Arguments: names of the K classes; inside (K,), which of them are in the set.

    >>> [answer(["normal", "ill"], row) for row in ([1, 0], [1, 1])]
    [('{normal}', '{normal}'), ('both', 'both: a doctor should look')]
    >>> answer(["a", "b", "c"], [0, 1, 1])[1]
    '{b, c}: a doctor should look'
    """
    kept = [shown(name) for name, there in zip(names, np.asarray(inside), strict=True) if there]
    if not kept:
        return "none", "none: unlike the examples of every class; a doctor should look"
    classes = "both" if len(kept) == len(names) == 2 else f"{{{', '.join(kept)}}}"
    return classes, classes if len(kept) == 1 else f"{classes}: a doctor should look"


def refer(model: Any, outputs: ArrayLike, alpha: float) -> Referral:
    """What is said of one input.

    Arguments: model; outputs (1,...) of it; alpha, the share of inputs whose true class may be left out.
    Raises: as `deciding.sets`.
    """
    p = deciding.probabilities(model, outputs)[0]
    order = np.argsort(-p, kind="stable")
    names, p, inside = [model.class_names[k] for k in order], p[order], deciding.sets(model, outputs, alpha)[0, order]
    told = np.flatnonzero(inside) if inside.any() else [0]
    return Referral(*answer(names, inside), ", ".join(f"{shown(names[k])} {p[k]:.3f}" for k in told))


def promise(model: Any, noun: str, alpha: float) -> str:
    """What an answer promises, or why every input is referred.

    Arguments: model; noun for the examples; alpha, the share of inputs whose true class may be left out.
    Raises: as `deciding.sets`.
    """
    scores = deciding.scores(model)
    if conformal_quantile(scores, alpha) == np.inf:
        return (
            f"Every input is referred: {len(scores)} validation {noun} are too few for {alpha:g}, which needs "
            f"{int(np.ceil(1 / alpha - 1 - 1e-9))}."
        )
    return (
        f"For at most {100 * alpha:.3g} % of inputs the true class is left out, on average over inputs like the {noun} of the "
        f"validation part. Of others nothing is promised."
    )
