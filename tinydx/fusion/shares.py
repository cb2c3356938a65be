r"""What each modality contributed to a patient's answer, and what the answers are worth without some of them.

The modalities are the players of a game whose score is the log-odds of a class, s(S) = \ln P(c | S) / (1 - P(c | S)), with the
modalities S present and the others missing: the model knows what to do without, so that no baseline image or sound is made up.
\phi_m is modality m's Shapley value in it (`tinydx.explain.shapley_values`):

    \sum_m \phi_m = s(all) - s(none)

A modality that the patient does not have changes nothing, and has 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import NamedTuple

import numpy as np

from tinydx.explain.shapley import MOST, shares

LEAST = 1e-7  # probability: float32 knows no smaller distance from 1
Answers = Callable[[np.ndarray], np.ndarray]  # which modalities may be used, bool (N,M) -> probabilities (N,K)


class Shares(NamedTuple):
    """Log-odds of the explained class: values (N,M) of the modalities; score (N,) with all, baseline (N,) with none."""

    names: list[str]
    values: np.ndarray
    score: np.ndarray
    baseline: np.ndarray

    def strongest(self) -> list[str]:
        """For each patient the modality with the largest share, for or against the class."""
        return [self.names[m] for m in np.abs(self.values).argmax(axis=1)]


def modality_shares(answers: Answers, names: list[str], present: np.ndarray, classes: np.ndarray) -> Shares:
    """Exact Shapley values over the modalities, for each patient.

    Arguments: answers, the model's probabilities with the modalities of a mask; names of the M modalities, at most 12; present,
    bool (N,M), which each patient has; classes (N,), the class explained of each.
    Returns: `Shares`, whose values sum to score - baseline.
    Raises: ValueError for more modalities.

    >>> def answers(mask):
    ...     p = 1 / (1 + np.exp(-(mask @ np.array([2.0, -1.0]))))
    ...     return np.stack([1 - p, p], axis=1)
    >>> modality_shares(answers, ["image", "sound"], np.ones((1, 2), bool), np.array([1])).values.round(6)
    array([[ 2., -1.]])
    """
    count = len(names)
    if count > MOST:
        raise ValueError(f"{count} modalities need {2**count} answers: give at most {MOST}")
    known: dict[bytes, np.ndarray] = {}
    scores = []
    for s in range(1 << count):
        mask = present & (s >> np.arange(count) & 1).astype(bool)
        key = mask.tobytes()
        if key not in known:
            known[key] = _log_odds(answers(mask), classes)
        scores.append(known[key])
    found = np.array(scores)
    return Shares(list(names), shares(found), found[-1], found[0])


def subsets(names: list[str]) -> Iterator[tuple[str, ...]]:
    """All sets of modalities but the empty one, the largest first.

    >>> [" + ".join(names) for names in subsets(["image", "sound"])]
    ['image + sound', 'image', 'sound']
    """
    for size in range(len(names), 0, -1):
        yield from combinations(names, size)


def _log_odds(table: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The log-odds (N,) of each example's class, float64."""
    p = np.clip(np.asarray(table, np.float64)[np.arange(len(classes)), classes], LEAST, 1 - LEAST)
    return np.log(p / (1 - p))
