r"""Fine-tuning a last layer on few recordings, shrunk towards the population's weights.

    w_patient = argmin_v  sum_i loss(y_i, x_i v) + lambda |v - w|^2

One number decides between two answers: lambda to infinity gives w, all patients' weights; lambda to 0 the patient's own fit.
Only directions in which the recordings differ from 0 can move: v - w lies in the span of the rows x_i, whatever the loss.

For the squared loss the minimum has a closed form, by the singular values X = U diag(s) V^T:

    v = w + V diag(s / (s^2 + lambda)) U^T (y - X w)

It is the best linear unbiased prediction of the mixed model

    y_i = x_i (w + b) + e_i,      b ~ N(0, tau^2 I) of each patient,  e ~ N(0, sigma^2),      lambda = sigma^2 / tau^2

where w is the generalised least squares estimate: patients who differ little (tau small) are shrunk much. For the log loss of a
classifier, Newton's method finds the minimum: the mode of the same model with a sigmoid or softmax, lambda = 1 / (2 tau^2).

Source: Henderson 1975, "Best linear unbiased estimation and prediction under a selection model"; Robinson 1991, "That BLUP is a
good thing".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

ITERATIONS = 200  # of Newton's method, at most; about ten are enough
CLOSE = 1e-12  # of a step, against the size of the weights' change


def shrunken_least_squares(
    x: ArrayLike, y: ArrayLike, w: ArrayLike, penalty: float
) -> np.ndarray:
    """The weights with the least sum of squared errors and `penalty` times the squared distance from w.

    Arguments: x (k,D), the last layer's inputs, with a column of ones for its bias; y (k,) or (k,C), the targets; w (D,) or
    (D,C), the population's weights; penalty, lambda of 0 or more, also infinite. With 0 it is the own fit; of many, the nearest
    to w.
    Returns: like w, float64; for k = 0 and for an infinite penalty w itself, bit for bit.
    Raises: ValueError for shapes that do not fit, NaN, and a penalty below 0.
    Source: Henderson 1975.

    >>> x, y, w = np.array([[1.0], [1.0]]), np.array([3.0, 5.0]), np.array([0.0])
    >>> [shrunken_least_squares(x, y, w, penalty).round(2).tolist() for penalty in (0.0, 2.0, np.inf)]
    [[4.0], [2.0], [0.0]]
    """
    x, y, w = _checked(x, y, w, penalty)
    if len(x) == 0 or penalty == np.inf:
        return w.copy()
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    known = s > s.max(initial=0) * max(x.shape) * np.finfo(float).eps
    gain = np.where(known, s, 0) / np.where(known, s**2 + penalty, 1)
    return w + vt.T @ (gain.reshape(-1, *[1] * (w.ndim - 1)) * (u.T @ (y - x @ w)))


def shrunken_log_loss(x: ArrayLike, y: ArrayLike, w: ArrayLike, penalty: float) -> np.ndarray:
    r"""The weights with the least sum of log losses and `penalty` times the squared distance from w.

        L(V) = - sum_i log p_i(y_i) + lambda |V - W|^2,    p_i = softmax(x_i V); of one column: sigmoid, of class 1

    Arguments: x (k,D), the last layer's inputs, with a column of ones for its bias; y (k,), class numbers; w (D,1) of a sigmoid
    or (D,C) of a softmax; penalty, lambda above 0, also infinite.
    Returns: (D,1) or (D,C), float64; for k = 0 and for an infinite penalty w itself, bit for bit.
    Raises: ValueError for shapes that do not fit, NaN, unknown class numbers, and a penalty of 0, with which recordings that can
    be separated have no finite fit.
    Source: Newton's method on a convex loss.

    >>> x, y, w = np.ones((4, 1)), np.array([0, 1, 1, 1]), np.zeros((1, 1))
    >>> shrunken_log_loss(x, y, w, 1e-9).round(3), round(float(np.log(3)), 3)
    (array([[1.099]]), 1.099)
    """
    x, y, w = _checked(x, y, w, penalty)
    classes = max(2, w.shape[-1])
    if w.ndim != 2 or y.ndim != 1 or (y != np.floor(y)).any() or ((y < 0) | (y >= classes)).any():
        raise ValueError(f"shrunken_log_loss: expected weights (D,C) and class numbers from 0 to {classes - 1}, got w {w.shape}")
    if penalty == 0:
        raise ValueError("shrunken_log_loss: a penalty of 0 has no finite fit where classes can be separated: take one above 0")
    if len(x) == 0 or penalty == np.inf:
        return w.copy()
    span = np.linalg.qr(x.T)[0]  # (D,r): what lies outside of it stays at w
    return w + span @ _newton(x @ span, x @ w, _targets(y, w.shape[1]), penalty)


def _newton(x: np.ndarray, start: np.ndarray, target: np.ndarray, penalty: float) -> np.ndarray:
    """The change (r,C) that minimises the loss: x (k,r), logits before the change start (k,C), target (k,C)."""
    change = np.zeros((x.shape[1], start.shape[1]))
    for _ in range(ITERATIONS):
        p = probabilities(start + x @ change)
        slope = x.T @ (p - target) + 2 * penalty * change
        blocks = np.einsum("ic,cd->icd", p, np.eye(p.shape[1])) - p[:, :, None] * p[:, None, :]
        curvature = np.einsum("icd,ia,ib->acbd", blocks, x, x, optimize=True).reshape(change.size, -1)
        step = np.linalg.solve(curvature + 2 * penalty * np.eye(change.size), slope.ravel()).reshape(change.shape)
        scale = _step_length(x, start, target, change, step, penalty)
        change = change - scale * step
        if np.abs(step).max() <= CLOSE * (1 + np.abs(change).max()):
            break
    return change


def _step_length(
    x: np.ndarray, start: np.ndarray, target: np.ndarray, change: np.ndarray, step: np.ndarray, penalty: float
) -> float:
    """The largest of 1, 1/2, 1/4, ... with which the loss does not rise: a full step may go too far where p is near 0 or 1."""
    before, scale = _loss(start + x @ change, target) + penalty * np.sum(change**2), 1.0
    while scale > 1e-9:
        moved = change - scale * step
        if _loss(start + x @ moved, target) + penalty * np.sum(moved**2) <= before * (1 + 1e-14):
            return scale
        scale /= 2
    return 0.0


def probabilities(z: np.ndarray) -> np.ndarray:
    """Of logits (k,1) the sigmoid, of (k,C) the softmax.

    >>> probabilities(np.zeros((1, 1))), probabilities(np.zeros((1, 2)))
    (array([[0.5]]), array([[0.5, 0.5]]))
    """
    both = np.hstack([np.zeros_like(z), z]) if z.shape[1] == 1 else z
    powers = np.exp(both - both.max(axis=1, keepdims=True))
    table = powers / powers.sum(axis=1, keepdims=True)
    return table[:, 1:] if z.shape[1] == 1 else table


def _loss(z: np.ndarray, target: np.ndarray) -> float:
    """The sum of log losses of logits (k,C)."""
    both = np.hstack([np.zeros_like(z), z]) if z.shape[1] == 1 else z
    return float((np.logaddexp.reduce(both, axis=1) - (z * target).sum(axis=1)).sum())


def _targets(y: np.ndarray, columns: int) -> np.ndarray:
    """Class numbers (k,) as (k,1) for a sigmoid, or as rows with a single 1 for a softmax."""
    return y[:, None] if columns == 1 else np.eye(columns)[y.astype(int)]


def _checked(x: ArrayLike, y: ArrayLike, w: ArrayLike, penalty: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All as float64, once their shapes fit each other and every number is finite."""
    a, b, c = (np.asarray(v, np.float64) for v in (x, y, w))
    if a.ndim != 2 or a.shape[1] != len(c) or len(b) != len(a):
        raise ValueError(f"expected x (k,D), y (k,...) and w (D,...), got {a.shape}, {b.shape} and {c.shape}")
    if not (np.isfinite(a).all() and np.isfinite(b).all() and np.isfinite(c).all()):
        raise ValueError("x, y or w holds NaN or infinite numbers, from which no weights can be fitted")
    if not penalty >= 0:
        raise ValueError(f"the penalty is a number of 0 or more, not {penalty}")
    return a, b, c
