r"""Calibration of one modality's log-odds: how much they are worth, on examples that training has not seen.

    q_k(x) = \mathrm{softmax}_k (a z(x) + b),    b_1 = 0,  a >= 0

a and b have the lowest log loss on validation examples, against Platt's targets: (n_k + 1) / (n_k + K) for the true class k of
n_k examples, 1 / (n_k + K) for each other one. So a and b stay finite where all examples are called right. The loss is
convex, and Newton's method finds its minimum.

A modality has a say only where these examples show that it knows something: a > 0, and with it the deviance, 2 N times the loss,
is lower by more than 2 than without (Akaike's rule). Otherwise a is 0, and its evidence is none. Of noise, 92 % is so silenced.
Of fewer than 50 examples all this would be noise: then the log-odds count as they are, a = 1 and b = 0.

b repairs a model that was trained with other shares of the classes than there are, such as equal ones.

Source: Platt 1999; with a common slope and an offset for each class, Alexandari, Kundaje and Shrikumar 2020.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

LEAST = 50  # validation examples, of which a and b can be found
STEPS = 50  # of Newton's method, which needs about ten
DEVIANCE = 2.0  # by which a model must be better than the classes' shares alone, to have a say
RIDGE = 1e-6  # on a and b, so that a solution is unique


class Calibration(NamedTuple):
    """What `calibrate` found: slope a; offsets b (K,); shares (K,) of the classes among the examples on which it was found."""

    slope: float
    offsets: np.ndarray
    shares: np.ndarray

    @property
    def evidence_offsets(self) -> np.ndarray:
        """b_k - ln pi_k (K,): what is added to a z_k so that it is evidence, the prior taken out."""
        return self.offsets - np.log(self.shares)


def calibrate(z: ArrayLike, y: ArrayLike) -> Calibration:
    """How the log-odds of a model become as sure as they are right.

    Arguments: z (N,1) log-odds of the second of two classes, or (N,K); y (N,), class numbers of examples not used in training.
    Returns: a `Calibration`; its shares count one example more of each class, so that none is 0.
    Raises: ValueError for other shapes and for numbers that are not finite.
    Source: Platt 1999; Alexandari et al. 2020.

    >>> found = calibrate([[-2.0], [-2.0], [-2.0], [2.0], [2.0], [2.0]] * 9, [0, 0, 1, 0, 1, 1] * 9)
    >>> round(found.slope, 3), abs(found.offsets).round(3).tolist(), found.shares.tolist()
    (0.321, [0.0, 0.0], [0.5, 0.5])
    """
    values, true = np.asarray(z, np.float64), np.asarray(y)
    if values.ndim != 2 or len(values) != len(true) or not len(values) or not np.isfinite(values).all():
        raise ValueError(f"calibrate: expected finite log-odds (N,1) or (N,K) and (N,) classes, got {values.shape}, {true.shape}")
    values = np.hstack([np.zeros_like(values), values]) if values.shape[1] == 1 else values
    count = values.shape[1]
    numbers = np.bincount(true, minlength=count)
    wanted = np.full(values.shape, 1 / (numbers[true] + count)[:, None])
    wanted[np.arange(len(true)), true] = (numbers[true] + 1) / (numbers[true] + count)
    shares = (numbers + 1) / (len(true) + count)
    if len(true) < LEAST:
        return Calibration(1.0, np.zeros(count), shares)
    free = _newton(values, wanted, np.r_[1.0, np.zeros(count - 1)])
    mute = _newton(np.zeros_like(values), wanted, np.zeros(count))
    gain = _loss(np.zeros_like(values), wanted, mute) - _loss(values, wanted, free)
    if free[0] <= 0 or 2 * len(true) * gain <= DEVIANCE:
        return Calibration(0.0, np.log(shares), shares)
    return Calibration(float(free[0]), np.r_[0.0, free[1:]], shares)


def _loss(z: np.ndarray, wanted: np.ndarray, free: np.ndarray) -> float:
    """The mean log loss of a z + b for free = (a, b_2, ..., b_K), with the ridge."""
    s = free[0] * z + np.r_[0.0, free[1:]]
    top = s.max(axis=1)
    return float(np.mean(top + np.log(np.exp(s - top[:, None]).sum(axis=1)) - (wanted * s).sum(axis=1)) + RIDGE * free @ free)


def _newton(z: np.ndarray, wanted: np.ndarray, free: np.ndarray) -> np.ndarray:
    """(a, b_2, ..., b_K) with the lowest loss; each step is halved until the loss falls."""
    count = z.shape[1]
    parts = np.zeros((len(z), count, count))  # d(a z + b)_k / d free_j
    parts[:, :, 0] = z
    parts[:, np.arange(1, count), np.arange(1, count)] = 1

    for _ in range(STEPS):
        s = parts @ free
        p = np.exp(s - s.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        slope = np.einsum("nk,nkj->j", p - wanted, parts) / len(z) + 2 * RIDGE * free
        mean = np.einsum("nk,nkj->nj", p, parts)
        curvature = np.einsum("nk,nki,nkj->ij", p, parts, parts) - mean.T @ mean
        step = np.linalg.solve(curvature / len(z) + 2 * RIDGE * np.eye(count), slope)
        before, size = _loss(z, wanted, free), 1.0
        while _loss(z, wanted, free - size * step) > before and size > 1e-6:
            size /= 2
        free = free - size * step
        if np.abs(step).max() < 1e-10:
            break
    return free
