"""Batch and layer normalisation, and dropout."""

import math

import numpy as np

from tinydx.arguments import NOT_NEGATIVE, SHARE_BELOW_1
from tinydx.op import backward_of, literal_of, op, samples_of

NORMALISE = r"y = \gamma \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta"


def _normalise(x, gamma, beta, axes, eps, statistics=None, share=None):
    def mean(a):
        return a.mean(axis=axes, keepdims=True) if share is None else (share * a).sum(axis=axes, keepdims=True)

    mu = mean(x)
    centred = x - mu
    variance = mean(centred**2)
    if statistics is not None:
        statistics[...] = mu.ravel(), variance.ravel()
    inverse = 1 / np.sqrt(variance + eps)
    normal = centred * inverse
    return gamma * normal + beta, (normal, inverse, gamma, axes if share is None else share)


def _literal_rows(rows, eps):
    """Normalise each row of a matrix, number by number."""
    y = np.empty(rows.shape)
    for r in range(len(rows)):
        mean = variance = 0.0
        for value in rows[r]:
            mean += value / len(rows[r])
        for value in rows[r]:
            variance += (value - mean) ** 2 / len(rows[r])
        for i, value in enumerate(rows[r]):
            y[r, i] = (value - mean) / math.sqrt(variance + eps)
    return y


@op(
    NORMALISE + r", \quad \mu, \sigma \text{ over the batch}",
    shapes="x (...,C), gamma (C,), beta (C,), statistics (2,C) -> y (...,C)",
    source="Ioffe and Szegedy 2015",
    constants={"eps": NOT_NEGATIVE},
)
def batch_normalization(x, gamma, beta, *, eps=1e-3, statistics=None):
    """Batch normalisation in training: each channel gets mean 0 and variance 1 over the batch and all positions.

    The variance is the biased one (divided by n).

    Arguments: x (...,C); gamma, beta (C,), scale and shift; eps, added to the variance; statistics, an array (2,C) that mean
    and variance are written into, or None.
    Returns: y (...,C).

    >>> batch_normalization(np.array([[1.0], [3.0]]), np.ones(1), np.zeros(1), eps=0.0).ravel()
    array([-1.,  1.])
    """
    return _normalise(x, gamma, beta, tuple(range(x.ndim - 1)), eps, statistics)


@backward_of(batch_normalization)
def normalization_backward(dy, saved):
    """mu and sigma moved with every x, so dx loses what a common shift and a common stretch would have changed."""
    normal, inverse, gamma, axes = saved
    dn = dy * gamma
    common = dn.mean(axis=axes, keepdims=True)
    common = common + normal * (dn * normal).mean(axis=axes, keepdims=True)
    dx = inverse * (dn - common)
    rest = tuple(range(dy.ndim - 1))
    return dx, (dy * normal).sum(axis=rest), dy.sum(axis=rest)


@literal_of(batch_normalization)
def batch_normalization_literal(x, gamma, beta, *, eps=1e-3, statistics=None):
    columns = x.reshape(-1, x.shape[-1]).T
    return _literal_rows(columns, eps).T.reshape(x.shape) * gamma + beta


@samples_of(batch_normalization)
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


# ---- batch normalisation of padded sequences -----------------------------------------------------------------------


@op(
    NORMALISE + r", \quad \mu = \sum_i s_i x_i, \; \sigma^2 = \sum_i s_i (x_i - \mu)^2, \; s_i = \frac{m_i}{\sum_j m_j}",
    shapes="x (...,C), gamma (C,), beta (C,), mask bool (...,C), statistics (2,C) -> y (...,C)",
    source="Ioffe and Szegedy 2015, with Keras's mask",
    constants={"eps": NOT_NEGATIVE},
)
def masked_batch_normalization(x, gamma, beta, *, mask, eps=1e-3, statistics=None):
    """Batch normalisation in training where some numbers are padding: they are normalised, too, but do not count.

    Arguments: x (...,C); gamma, beta (C,), scale and shift; mask (...,C), bool, which numbers count; eps, added to the variance;
    statistics, an array (2,C) that mean and variance are written into, or None.
    Returns: y (...,C).

    >>> x, mask = np.array([[1.0], [3.0], [6.0]]), np.array([[True], [True], [False]])
    >>> masked_batch_normalization(x, np.ones(1), np.zeros(1), mask=mask, eps=0.0).ravel()
    array([-1.,  1.,  4.])
    """
    axes = tuple(range(x.ndim - 1))
    share = mask.astype(x.real.dtype) / np.maximum(mask.sum(axis=axes, keepdims=True), 1).astype(x.real.dtype)
    return _normalise(x, gamma, beta, axes, eps, statistics, share)  # a share is 1/n for the n that the mask keeps, else 0


@backward_of(masked_batch_normalization)
def masked_batch_normalization_backward(dy, saved):
    """As without a mask, where each x moved mu and sigma by its share: padding by nothing."""
    normal, inverse, gamma, share = saved
    axes, dn = tuple(range(dy.ndim - 1)), dy * gamma
    common = dn.sum(axis=axes, keepdims=True) + normal * (dn * normal).sum(axis=axes, keepdims=True)
    return inverse * (dn - share * common), (dy * normal).sum(axis=axes), dy.sum(axis=axes)


@literal_of(masked_batch_normalization)
def masked_batch_normalization_literal(x, gamma, beta, *, mask, eps=1e-3, statistics=None):
    y = np.empty(x.shape)
    for c in range(x.shape[-1]):
        values = [x[i][c] for i in np.ndindex(x.shape[:-1]) if mask[i][c]]
        mean = math.fsum(values) / len(values)
        variance = math.fsum((value - mean) ** 2 for value in values) / len(values)
        for i in np.ndindex(x.shape[:-1]):
            y[i][c] = gamma[c] * (x[i][c] - mean) / math.sqrt(variance + eps) + beta[c]
    return y


@samples_of(masked_batch_normalization)
def masked_batch_normalization_samples(draw):
    arrays, constants = normalization_samples(draw)
    places = np.indices(arrays[0].shape)[:-1].sum(axis=0)  # padding at every second or third place, alike for all channels
    return arrays, {**constants, "mask": places % draw.choice([2, 3]) != 0}


# ---- normalisation by known statistics, in the weights of the layer before it ------------------------------------------


@op(
    r"w' = \frac{\gamma}{\sqrt{\sigma^2 + \epsilon}} w, \quad b' = \beta + \frac{\gamma}{\sqrt{\sigma^2 + \epsilon}} (b - \mu)",
    shapes="w (...,C), b (C,), gamma (C,), beta (C,), mean (C,), variance (C,) -> w' (...,C), b' (C,)",
    source="Ioffe and Szegedy 2015, inference",
    constants={"eps": NOT_NEGATIVE},
)
def fold_normalization(w, b, gamma, beta, mean, variance, *, eps=1e-3):
    """The weights with which x w' + b' is x w + b after batch normalisation by known statistics.

    Arguments: w (...,C), b (C,), kernel and bias; gamma, beta, mean, variance (C,); eps, added to the variance.
    Returns: w' (...,C) and b' (C,).

    >>> [new.tolist() for new in fold_normalization(*np.array([[1.0], [0.0], [2.0], [1.0], [3.0], [4.0]]), eps=0.0)]
    [[1.0], [-2.0]]
    """
    inverse = 1 / np.sqrt(variance + eps)
    factor, centred = gamma * inverse, b - mean
    return (w * factor, beta + centred * factor), (w, gamma, inverse, centred)


@backward_of(fold_normalization)
def fold_normalization_backward(dy, saved):
    (dw, db), (w, gamma, inverse, centred) = dy, saved
    factor, dfactor = gamma * inverse, (dw * w).sum(axis=tuple(range(w.ndim - 1))) + db * centred
    return dw * factor, db * factor, dfactor * inverse, db, -db * factor, dfactor * gamma * -0.5 * inverse**3


@literal_of(fold_normalization)
def fold_normalization_literal(w, b, gamma, beta, mean, variance, *, eps=1e-3):
    w_new, b_new = np.empty(w.shape), np.empty(b.shape)
    for *i, c in np.ndindex(w.shape):
        factor = gamma[c] / math.sqrt(variance[c] + eps)
        w_new[(*i, c)], b_new[c] = w[(*i, c)] * factor, beta[c] + (b[c] - mean[c]) * factor
    return w_new, b_new


@samples_of(fold_normalization)
def fold_normalization_samples(draw):
    shape = draw.choice([(3,), (2, 3), (2, 1, 2)])
    b, gamma, beta, mean, deviation = (draw.array(shape[-1]) for _ in range(5))
    return (draw.array(*shape), b, gamma, beta, mean, 0.5 + deviation**2), {"eps": draw.choice([1e-3, 0.1])}


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
