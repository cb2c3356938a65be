r"""Temperature scaling: one number that makes a model's probabilities as sure as they are right.

    logits z --/ T--> softmax --> p(T)          T > 1: less sure than the model, T < 1: surer

    p_k(T)  = exp(a z_k) / sum_j exp(a z_j),    a = 1 / T
    L(a)    = mean_i [ log sum_k exp(a z_ik) - a z_iy ]         the log loss
    dL/da   = mean_i [ sum_k p_ik z_ik - z_iy ]
    d2L/da2 = mean_i [ variance of z_i under p_i ] >= 0

The loss is convex in a, so its minimum is where the slope is 0, and bisection finds it. Every z of an example is divided by the
same number: the order of its classes stays, and with it the class that is called. Of two classes the order of the examples
stays, too, and with it the ROC area; of more classes the areas of class against rest may move a little.

Source: Guo, Pleiss, Sun and Weinberger 2017, "On calibration of modern neural networks".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

LEAST = 1e-7  # probability: float32 knows no smaller distance from 1
FLATTEST = 1e3  # times the widest logits: probabilities within a thousandth of 1/K


def fit_temperature(logits: ArrayLike, y: ArrayLike) -> float:
    """The temperature with the lowest log loss on these examples, which training must not have seen.

    The loss has no minimum where every class is called right (it falls with T to 0): then nothing is known of the probabilities'
    errors, and T is 1. Where the logits are no better than none (it falls with T to infinity), T is 1,000 times the widest
    logits, which leaves almost equal probabilities in their order.

    Arguments: logits (N,) or (N,1) of a sigmoid, for the second of two classes, or (N,K); y (N,), class numbers.
    Returns: T > 0. The log loss of logits / T on these examples is at most that of the logits.
    Raises: ValueError for NaN or infinite logits, other shapes, class numbers that do not fit, and examples of one class only.
    Source: Guo et al. 2017.

    >>> z, y = np.array([-4.0, -4.0, 4.0, 4.0]), [0, 1, 1, 1]
    >>> t = fit_temperature(z, y)
    >>> round(t, 3), round(log_loss(z, y), 3), round(log_loss(z / t, y), 3)
    (3.641, 1.018, 0.562)
    """
    z, true = _checked(logits, y, "fit_temperature")
    if len(np.unique(true)) < 2:
        raise ValueError(f"fit_temperature needs examples of two classes or more, but all {len(true)} are of class {true[0]}")
    z = z - z.max(axis=1, keepdims=True)
    if not (z[np.arange(len(z)), true] < 0).any():
        return 1.0
    if _slope(z, true, 0.0) >= 0:
        return max(1.0, FLATTEST * float(-z.min()))
    low, high = 0.0, 1.0
    while _slope(z, true, high) < 0:
        low, high = high, 2 * high
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _slope(z, true, middle) < 0 else (low, middle)
    return 1 / high


def log_loss(logits: ArrayLike, y: ArrayLike) -> float:
    """The mean of -log p of the true class; log K knows nothing, 0 is best.

    Arguments, Raises: as `fit_temperature`, but one class is enough.

    >>> round(log_loss([0.0, 0.0], [0, 1]), 3)
    0.693
    """
    z, true = _checked(logits, y, "log_loss")
    top = z.max(axis=1)
    return float(np.mean(top + np.log(np.exp(z - top[:, None]).sum(axis=1)) - z[np.arange(len(z)), true]))


def with_temperature(probabilities: ArrayLike, temperature: float) -> np.ndarray:
    """Probabilities as the logits divided by T would give them: p_k^(1/T), scaled to the sum 1.

    Arguments: probabilities (N,K), K >= 2; temperature, T > 0. With 1 they stay as they are, bit for bit.
    Returns: (N,K) float64.
    Raises: ValueError for a temperature that is not above 0, or infinite.

    >>> with_temperature([[0.2, 0.8]], 2.0).round(3)
    array([[0.333, 0.667]])
    """
    if not 0 < temperature < np.inf:
        raise ValueError(f"a temperature is a number above 0, not {temperature}")
    p = np.asarray(probabilities, np.float64)
    if temperature == 1:
        return p
    powers = (p / p.max(axis=1, keepdims=True)) ** (1 / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


def logits_of(probabilities: ArrayLike) -> np.ndarray:
    """Logits (N,K) that a softmax turns into these probabilities (N,K): their logarithms; one below 1e-7 counts as 1e-7.

    >>> logits_of([[0.5, 0.5]]).round(3)
    array([[-0.693, -0.693]])
    """
    return np.log(np.maximum(np.asarray(probabilities, np.float64), LEAST))


def _slope(z: np.ndarray, true: np.ndarray, a: float) -> float:
    """dL/da at a; z (N,K) has the maximum 0 in each row."""
    powers = np.exp(a * z)
    p = powers / powers.sum(axis=1, keepdims=True)
    return float(np.mean((p * z).sum(axis=1) - z[np.arange(len(z)), true]))


def _checked(logits: ArrayLike, y: ArrayLike, who: str) -> tuple[np.ndarray, np.ndarray]:
    """Logits (N,K) float64, those of a sigmoid beside a 0 for the first class; class numbers (N,)."""
    z, true = np.asarray(logits, np.float64), np.asarray(y)
    z = z[:, None] if z.ndim == 1 else z
    true = true[:, 0] if true.ndim == 2 and true.shape[1] == 1 else true
    if z.ndim != 2 or z.size == 0:
        raise ValueError(f"{who} needs logits (N,), (N,1) or (N,K), not {np.shape(logits)}")
    if true.shape != (len(z),):
        raise ValueError(f"{who} needs one class number for each of {len(z)} examples, not {np.shape(y)}")
    if not np.isfinite(z).all():
        raise ValueError(f"{who}: the logits of {np.sum(~np.isfinite(z).all(axis=1))} examples are NaN or infinite")
    z = np.hstack([np.zeros_like(z), z]) if z.shape[1] == 1 else z
    wrong = true[~np.isin(true, np.arange(z.shape[1]))]
    if wrong.size:
        raise ValueError(f"{who}: class numbers are 0 to {z.shape[1] - 1}, but one is {wrong[0]}")
    return z, true.astype(np.int64)
