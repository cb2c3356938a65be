"""Batch and layer normalisation, and dropout."""

import math

import numpy as np

from tinydx.arguments import NOT_NEGATIVE, SHARE_BELOW_1
from tinydx.op import backward_of, literal_of, op, samples_of

NORMALISE = r"y = \gamma \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta"


def share_of(mask, axes, dtype):
    """What each number counts in a mean along the axes: 1/n where the mask is true, n times; all 0 for an empty mask."""
    return mask.astype(dtype) / np.maximum(mask.sum(axis=axes, keepdims=True), 1).astype(dtype)


def _mean(x, axes, share):
    return x.mean(axis=axes, keepdims=True) if share is None else (x * share).sum(axis=axes, keepdims=True)


def _normalise(x, gamma, beta, axes, eps, share=None):
    centred = x - _mean(x, axes, share)
    inverse = 1 / np.sqrt(_mean(centred**2, axes, share) + eps)
    normal = centred * inverse
    return gamma * normal + beta, (normal, inverse, gamma, axes, share)


def _literal_rows(rows, eps, mask=None):
    """Normalise each row of a matrix, number by number; only those that the mask keeps count."""
    y = np.empty(rows.shape)
    for r in range(len(rows)):
        counted = [value for i, value in enumerate(rows[r]) if mask is None or mask[r, i]]
        mean = variance = 0.0
        for value in counted:
            mean += value / len(counted)
        for value in counted:
            variance += (value - mean) ** 2 / len(counted)
        for i, value in enumerate(rows[r]):
            y[r, i] = (value - mean) / math.sqrt(variance + eps)
    return y


@op(
    NORMALISE + r", \quad \mu, \sigma \text{ over the batch}",
    shapes="x (...,C), gamma (C,), beta (C,), mask bool (...,C) -> y (...,C)",
    source="Ioffe and Szegedy 2015",
    constants={"eps": NOT_NEGATIVE},
)
def batch_normalization(x, gamma, beta, *, eps=1e-3, mask=None):
    """Batch normalisation in training: each channel gets mean 0 and variance 1 over the batch and all positions.

    The variance is the biased one (divided by n).

    Arguments: x (...,C); gamma, beta (C,), scale and shift; eps, added to the variance; mask (...,C), bool, which numbers
    count for mean and variance, or None: all.
    Returns: y (...,C).

    >>> batch_normalization(np.array([[1.0], [3.0]]), np.ones(1), np.zeros(1), eps=0.0).ravel()
    array([-1.,  1.])
    """
    axes = tuple(range(x.ndim - 1))
    return _normalise(x, gamma, beta, axes, eps, None if mask is None else share_of(mask, axes, x.real.dtype))


@backward_of(batch_normalization)
def normalization_backward(dy, saved):
    """mu and sigma moved with every x that counts, so dx loses what a common shift and a common stretch would have changed."""
    normal, inverse, gamma, axes, share = saved
    dn = dy * gamma
    if share is None:
        shift, stretch = _mean(dn, axes, None), _mean(dn * normal, axes, None)
    else:
        shift, stretch = (share * v.sum(axis=axes, keepdims=True) for v in (dn, dn * normal))
    dx = inverse * (dn - shift - normal * stretch)
    rest = tuple(range(dy.ndim - 1))
    return dx, (dy * normal).sum(axis=rest), dy.sum(axis=rest)


@literal_of(batch_normalization)
def batch_normalization_literal(x, gamma, beta, *, eps=1e-3, mask=None):
    columns, counted = (None if a is None else a.reshape(-1, x.shape[-1]).T for a in (x, mask))
    return _literal_rows(columns, eps, counted).T.reshape(x.shape) * gamma + beta


@samples_of(batch_normalization)
def batch_normalization_samples(draw):
    (x, gamma, beta), constants = normalization_samples(draw)
    steps = np.indices(x.shape[:-1]).sum(axis=0) % 3 != draw.integer(0, 2)
    return (x, gamma, beta), {**constants, "mask": draw.choice([None, np.repeat(steps[..., None], x.shape[-1], axis=-1)])}


def normalization_samples(draw):
    c = draw.integer(2, 4)
    x = draw.array(*draw.choice([(4, c), (2, 3, c), (2, 2, 3, c)]))
    return (x, draw.array(c), draw.array(c)), {"eps": draw.choice([1e-3, 0.1])}


@op(
    NORMALISE + r", \quad \mu, \sigma \text{ over the features}",
    shapes="x (...,D), gamma (D,), beta (D,) -> y (...,D)",
    source="Ba et al. 2016",
    constants={"eps": NOT_NEGATIVE},
)
def layer_normalization(x, gamma, beta, *, eps=1e-3):
    """Layer normalisation: each example gets mean 0 and variance 1 over its features (the last axis).

    Arguments: x (...,D); gamma, beta (D,), scale and shift; eps, added to the variance.
    Returns: y (...,D).

    >>> layer_normalization(np.array([[1.0, 3.0]]), np.ones(2), np.zeros(2), eps=0.0)
    array([[-1.,  1.]])
    """
    return _normalise(x, gamma, beta, (x.ndim - 1,), eps)


backward_of(layer_normalization)(normalization_backward)


@literal_of(layer_normalization)
def layer_normalization_literal(x, gamma, beta, *, eps=1e-3):
    return _literal_rows(x.reshape(-1, x.shape[-1]), eps).reshape(x.shape) * gamma + beta


samples_of(layer_normalization)(normalization_samples)


# ---- dropout -------------------------------------------------------------------------------------------------------


@op(
    r"y = \frac{m \, x}{1 - r}, \quad m \in \{0, 1\}",
    shapes="x (...), mask bool (...) -> y (...)",
    source="Srivastava et al. 2014",
    constants={"rate": SHARE_BELOW_1},
)
def dropout(x, *, mask, rate):
    """Inverted dropout: keep x where mask is true, and scale it up so that the expectation stays.

    Arguments: x (...); mask, bool, of x's shape; rate in [0, 1), the share that is dropped.
    Returns: y (...).

    >>> dropout(np.array([1.0, 2.0]), mask=np.array([True, False]), rate=0.5)
    array([2., 0.])
    """
    return x * mask * x.real.dtype.type(1 / (1 - rate)), (mask, rate)


@backward_of(dropout)
def dropout_backward(dy, saved):
    mask, rate = saved
    return (dy * mask * dy.dtype.type(1 / (1 - rate)),)


@literal_of(dropout)
def dropout_literal(x, *, mask, rate):
    y = np.empty(x.shape)
    for i in np.ndindex(x.shape):
        y[i] = x[i] / (1 - rate) if mask[i] else 0.0
    return y


@samples_of(dropout)
def dropout_samples(draw):
    x = draw.array(draw.integer(2, 4), 6)
    return (x,), {"mask": np.indices(x.shape).sum(axis=0) % draw.choice([2, 3]) != 0, "rate": draw.choice([0.5, 0.2])}
