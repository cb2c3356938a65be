"""How strongly to shrink: chosen on patients who are no part of the population's model, nor of the test.

    each such patient:  the first k recordings --strength--> the patient's model --log loss--> the patient's other recordings

The strength with the lowest mean loss over patients and over several k is taken; a patient counts once, whatever the number of
recordings. Nothing of the patients on whom the methods are compared has a part in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Personal = Callable[[np.ndarray, np.ndarray, float], Callable[[np.ndarray], np.ndarray]]  # (x, y, strength) -> (x -> p)


def choose_strength(
    personal: Personal,
    x: np.ndarray,
    y: np.ndarray,
    patient: np.ndarray,
    strengths: Sequence[float],
    counts: Sequence[int] = (1, 2, 4, 8),
) -> float:
    """The strength of shrinking that suits other patients best.

    Arguments: personal(x, y, strength), which makes a patient's model of k labelled recordings, a function from features (N,D) to
    probabilities, as `log_loss` takes them; x (N,D), y (N,), patient (N,), recordings of the patients to choose on; strengths to
    choose from; counts, values of k.
    Returns: the strength with the lowest mean log loss; of equal ones the largest.
    Raises: ValueError where no patient has more recordings than some k.

    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(0, 2, 400)
    >>> def personal(x, y, strength):
    ...     mean = (y.sum() + strength / 2) / (len(y) + strength)
    ...     return lambda new: np.full(len(new), mean)
    >>> choose_strength(personal, np.zeros((400, 1)), y, np.arange(400) // 10, [1.0, 1e9])
    1000000000.0
    """
    losses: dict[float, list[float]] = {strength: [] for strength in strengths}
    for rows in (np.flatnonzero(patient == name) for name in np.unique(patient)):
        for k in (count for count in counts if count < len(rows)):
            known, new = rows[:k], rows[k:]
            for strength in strengths:
                losses[strength].append(log_loss(y[new], personal(x[known], y[known], strength)(x[new])))
    if not all(losses.values()):
        raise ValueError(f"choose_strength: no patient has more than {min(counts)} recordings to choose on")
    return min(sorted(losses, reverse=True), key=lambda strength: np.mean(losses[strength]))


def log_loss(y: np.ndarray, p: np.ndarray) -> float:
    """The mean log loss of probabilities; one below 1e-7 counts as 1e-7.

    Arguments: y (N,), class numbers; p (N,) or (N,1) of class 1, or (N,C) of each class.

    >>> round(log_loss(np.array([0, 1]), np.array([0.5, 0.5])), 3)
    0.693
    """
    table = p.reshape(len(y), -1)
    table = np.hstack([1 - table, table]) if table.shape[1] == 1 else table
    return float(-np.log(np.maximum(table[np.arange(len(y)), y], 1e-7)).mean())
