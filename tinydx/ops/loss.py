"""Losses, each a single number: the weighted mean of one term per element, or per row for the categorical ones.

    L = 1/n sum_i weight_i term_i          dL/dprediction_i = dL · slope_i · weight_i / n

so they all share one backward, and forward saves the slope of its term. `weight` holds one number an example (or a
time step); the mean still divides by the number of terms, as Keras does.

Losses never broadcast: (N,) against (N,1) would silently compare everything with everything. The fused ones take
scores, not probabilities: the sigmoid or softmax and the logarithm cancel, and a confident mistake keeps its gradient.
"""

import functools
import math

import numpy as np

from tinydx.arguments import NOT_NEGATIVE
from tinydx.op import backward_of, literal_of, op, samples_of
from tinydx.ops.activation import sigmoid, softplus
from tinydx.ops.softmax import log_softmax

NUMBERS = "(...), target number (...), weight number (first of ...) -> L ()"
ROWS = "(...,K), target number (...,K), weight number (first of ...) -> L ()"
LABELLED_ROWS = "(...,K), labels int<K (...), weight number (first of ...) -> L ()"
EPSILON = 1e-7  # probabilities are clipped to [EPSILON, 1 - EPSILON] before their logarithm is taken


def _target(prediction, target):
    """The target in the prediction's dtype."""
    return np.asarray(target, prediction.real.dtype, like=prediction[...])  # [...]: an array even if it is one number


def _weight(prediction, weight):
    """The weights of the prediction's first axes, in a shape that multiplies it."""
    weight = np.asarray(1 if weight is None else weight, prediction.real.dtype, like=prediction[...])
    return weight.reshape(weight.shape + (1,) * (prediction.ndim - weight.ndim)) if weight.ndim else weight


def _clipped(p):
    """Probabilities within [EPSILON, 1 - EPSILON]."""
    return np.minimum(np.maximum(p, p.dtype.type(EPSILON)), p.dtype.type(1 - EPSILON))


def _mean(terms, weight):
    """The weighted mean, which divides by the number of terms."""
    return (terms * weight).sum() / terms.dtype.type(terms.size)


def loss_backward(dy, saved):
    """The gradient of every loss: dL · slope · weight / n."""
    slope, weight, n = saved
    return (dy * slope * weight / slope.dtype.type(n),)


def mean_of_terms(term, rank=0):
    """The literal of a loss: the weighted mean of term(prediction, target) over all numbers; rank 1: over all rows."""

    @functools.wraps(term)
    def literal(prediction, *, target=None, labels=None, weight=None, **constants):
        target = labels if target is None else target
        places, total = list(np.ndindex(prediction.shape[: prediction.ndim - rank])), 0.0
        for i in places:
            w = 1.0 if weight is None else weight[i[: weight.ndim]]
            total += w * term(prediction[i], target[i], **constants) / len(places)
        return np.asarray(total)

    return literal


mean_of_rows = functools.partial(mean_of_terms, rank=1)


def _draw_weight(draw, shape):
    return draw.choice([None, 0.5 + draw.array(*shape[:1]) ** 2, 0.5 + draw.array(*shape[:-1]) ** 2])


def _scores_and_targets(draw):
    shape = draw.choice([(3, 1), (2, 4), (2, 3, 2)])
    target = (draw.array(*shape) > 0).astype(float)
    return (draw.array(*shape),), {"target": target, "weight": _draw_weight(draw, shape)}


def _scores_and_one_hot(draw):
    shape = draw.choice([(3, 2), (2, 4), (2, 3, 3)])
    target = np.eye(shape[-1])[draw.array(*shape).argmax(axis=-1)]
    return (draw.array(*shape),), {"target": target, "weight": _draw_weight(draw, shape)}


def _numbers_and_targets(draw):
    shape = draw.choice([(3, 1), (2, 4), (2, 3, 2)])
    return (draw.array(*shape),), {"target": draw.array(*shape) + 0.25, "weight": _draw_weight(draw, shape)}


def _as_probabilities(samples):
    """The same samples with probabilities in place of scores."""

    def probabilities(draw):
        (z,), constants = samples(draw)
        return (sigmoid.forward(z)[0],), constants

    return probabilities


def _as_labels(samples):
    """The same samples with class numbers in place of one-hot rows."""

    def labelled(draw):
        arrays, constants = samples(draw)
        return arrays, {"labels": constants["target"].argmax(axis=-1), "weight": constants["weight"]}

    return labelled


# ---- two classes ---------------------------------------------------------------------------------------------------

BCE = r"L = -\frac{1}{n} \sum_i [ t_i \ln p_i + (1 - t_i) \ln (1 - p_i) ]"


@op(BCE, shapes="p " + NUMBERS, source="document, 4.3, binary_crossentropy")
def binary_crossentropy(p, *, target, weight=None):
    """Binary cross-entropy on probabilities, which are clipped to [1e-7, 1 - 1e-7] (no gradient beyond).

    Arguments: p (...), probabilities; target, of p's shape, 0 to 1; weight, one number an example, or None.
    Returns: L, one number.
    Raises: ValueError where the shapes of p and target differ, or weight does not fit.

    >>> round(float(binary_crossentropy(np.array([[0.5]]), target=np.array([[1.0]]))), 4)
    0.6931
    """
    t = _target(p, target)
    weight = _weight(p, weight)
    q = _clipped(p)
    slope = np.where(q == p, (q - t) / (q * (1 - q)), 0)
    return _mean(-(t * np.log(q) + (1 - t) * np.log(1 - q)), weight), (slope, weight, p.size)


@literal_of(binary_crossentropy)
@mean_of_terms
def binary_crossentropy_term(p, t):
    p = min(max(p, EPSILON), 1 - EPSILON)
    return -(t * math.log(p) + (1 - t) * math.log(1 - p))


backward_of(binary_crossentropy)(loss_backward)
samples_of(binary_crossentropy)(_as_probabilities(_scores_and_targets))


@op(BCE + r", \quad p_i = \sigma(z_i)", shapes="z " + NUMBERS, source="document, 4.3, sigmoid with binary_crossentropy")
def sigmoid_binary_crossentropy(z, *, target, weight=None):
    """Binary cross-entropy fused with its sigmoid: exact however wrong the score is.

    Arguments: z (...), scores; target, of z's shape, 0 to 1; weight, one number an example, or None.
    Returns: L, one number.
    Raises: ValueError where the shapes of z and target differ, or weight does not fit.

    >>> float(sigmoid_binary_crossentropy(np.array([[40.0]]), target=np.array([[0.0]])))
    40.0
    """
    t = _target(z, target)
    weight = _weight(z, weight)
    return _mean(softplus.forward(z)[0] - z * t, weight), (sigmoid.forward(z)[0] - t, weight, z.size)


@literal_of(sigmoid_binary_crossentropy)
@mean_of_terms
def sigmoid_binary_crossentropy_term(z, t):
    p = 1 / (1 + math.exp(-z))
    return -(t * math.log(p) + (1 - t) * math.log(1 - p))


backward_of(sigmoid_binary_crossentropy)(loss_backward)
samples_of(sigmoid_binary_crossentropy)(_scores_and_targets)


# ---- several classes -----------------------------------------------------------------------------------------------

CCE = r"L = -\frac{1}{n} \sum_i \sum_k t_{ik} \ln p_{ik}"


@op(CCE, shapes="p " + ROWS, source="cross-entropy of document, 3.2, softmax")
def categorical_crossentropy(p, *, target, weight=None):
    """Cross-entropy on probabilities, which are made to add up to 1 and clipped to [1e-7, 1 - 1e-7].

    Arguments: p (...,K); target, of p's shape, rows that add up to 1; weight, one number a row or example, or None.
    Returns: L, one number.
    Raises: ValueError where the shapes of p and target differ, or weight does not fit.

    >>> round(float(categorical_crossentropy(np.array([[0.5, 0.5]]), target=np.array([[0.0, 1.0]]))), 4)
    0.6931
    """
    t = _target(p, target)
    weight = _weight(p[..., 0], weight)
    total = p.sum(axis=-1, keepdims=True)
    share = p / total
    q = _clipped(share)
    dq = np.where(q == share, -t / q, 0)
    slope = (dq - (dq * share).sum(axis=-1, keepdims=True)) / total
    terms = -(t * np.log(q)).sum(axis=-1)
    return _mean(terms, weight), (slope, weight[..., None], terms.size)


@literal_of(categorical_crossentropy)
@mean_of_rows
def categorical_crossentropy_term(p, t):
    loss = 0.0
    for k in range(len(p)):
        loss -= t[k] * math.log(min(max(p[k] / math.fsum(p), EPSILON), 1 - EPSILON))
    return loss


backward_of(categorical_crossentropy)(loss_backward)
samples_of(categorical_crossentropy)(_as_probabilities(_scores_and_one_hot))


@op(r"L = -\frac{1}{n} \sum_i \ln p_{i c_i}", shapes="p " + LABELLED_ROWS, source="cross-entropy of document, 3.2, softmax")
def sparse_categorical_crossentropy(p, *, labels, weight=None):
    """Cross-entropy on probabilities, as `categorical_crossentropy`, for class numbers in place of one-hot rows.

    Arguments: p (...,K); labels (...), integers 0..K-1; weight, one number a row or example, or None.
    Returns: L, one number.
    Raises: ValueError where labels or weight do not fit.

    >>> round(float(sparse_categorical_crossentropy(np.array([[0.5, 0.5]]), labels=np.array([1]))), 4)
    0.6931
    """
    labels = np.asarray(labels, like=p)
    weight = _weight(p[..., 0], weight)
    total = p.sum(axis=-1)
    share = np.take_along_axis(p, labels[..., None], axis=-1)[..., 0] / total
    q = _clipped(share)
    dq = np.where(q == share, -1 / q, 0) / total
    slope = np.repeat((-dq * share)[..., None], p.shape[-1], axis=-1)
    np.put_along_axis(slope, labels[..., None], (dq * (1 - share))[..., None], axis=-1)
    return _mean(-np.log(q), weight), (slope, weight[..., None], labels.size)


@literal_of(sparse_categorical_crossentropy)
@mean_of_rows
def sparse_categorical_crossentropy_term(p, c):
    return -math.log(min(max(p[c] / math.fsum(p), EPSILON), 1 - EPSILON))


backward_of(sparse_categorical_crossentropy)(loss_backward)
samples_of(sparse_categorical_crossentropy)(_as_labels(_as_probabilities(_scores_and_one_hot)))


@op(CCE + r", \quad p_i = \mathrm{softmax}(z_i)", shapes="z " + ROWS, source="document, 3.2, softmax with cross-entropy")
def softmax_crossentropy(z, *, target, weight=None):
    """Cross-entropy fused with its softmax: exact however wrong the scores are.

    Arguments: z (...,K), scores; target, of z's shape, rows that add up to 1; weight, one number a row or example, or None.
    Returns: L, one number.
    Raises: ValueError where the shapes of z and target differ, or weight does not fit.

    >>> float(softmax_crossentropy(np.array([[100.0, 0.0]]), target=np.array([[0.0, 1.0]])))
    100.0
    """
    t = _target(z, target)
    weight = _weight(z[..., 0], weight)
    logp, (p, _) = log_softmax.forward(z)
    terms = -(t * logp).sum(axis=-1)
    slope = p * t.sum(axis=-1, keepdims=True) - t
    return _mean(terms, weight), (slope, weight[..., None], terms.size)


@literal_of(softmax_crossentropy)
@mean_of_rows
def softmax_crossentropy_term(z, t):
    total, loss = 0.0, 0.0
    for score in z:
        total += math.exp(score)
    for k in range(len(z)):
        loss -= t[k] * math.log(math.exp(z[k]) / total)
    return loss


backward_of(softmax_crossentropy)(loss_backward)
samples_of(softmax_crossentropy)(_scores_and_one_hot)


@op(
    r"L = -\frac{1}{n} \sum_i \ln \mathrm{softmax}(z_i)_{c_i}",
    shapes="z " + LABELLED_ROWS,
    source="document, 3.2, softmax with cross-entropy",
)
def sparse_softmax_crossentropy(z, *, labels, weight=None):
    """Cross-entropy fused with its softmax, for class numbers in place of one-hot rows.

    Arguments: z (...,K), scores; labels (...), integers 0..K-1; weight, one number a row or example, or None.
    Returns: L, one number.
    Raises: ValueError where labels or weight do not fit.

    >>> float(sparse_softmax_crossentropy(np.array([[100.0, 0.0]]), labels=np.array([1])))
    100.0
    """
    labels = np.asarray(labels, like=z)
    weight = _weight(z[..., 0], weight)
    logp, (p, _) = log_softmax.forward(z)
    terms = -np.take_along_axis(logp, labels[..., None], axis=-1)[..., 0]
    slope = p.copy()
    np.put_along_axis(slope, labels[..., None], np.take_along_axis(p, labels[..., None], axis=-1) - 1, axis=-1)
    return _mean(terms, weight), (slope, weight[..., None], terms.size)


@literal_of(sparse_softmax_crossentropy)
@mean_of_rows
def sparse_softmax_crossentropy_term(z, c):
    total = 0.0
    for score in z:
        total += math.exp(score)
    return -math.log(math.exp(z[c]) / total)


backward_of(sparse_softmax_crossentropy)(loss_backward)
samples_of(sparse_softmax_crossentropy)(_as_labels(_scores_and_one_hot))


# ---- numbers -------------------------------------------------------------------------------------------------------


@op(r"L = \frac{1}{n} \sum_i (y_i - t_i)^2", shapes="y " + NUMBERS, source="mean squared error")
def mean_squared_error(y, *, target, weight=None):
    """Mean squared error.

    Arguments: y (...), predictions; target, of y's shape; weight, one number an example, or None.
    Returns: L, one number, in the squared unit of y.
    Raises: ValueError where the shapes of y and target differ, or weight does not fit.

    >>> float(mean_squared_error(np.array([1.0, 2.0]), target=np.array([1.0, 4.0])))
    2.0
    """
    difference = y - _target(y, target)
    weight = _weight(y, weight)
    return _mean(difference**2, weight), (2 * difference, weight, y.size)


@literal_of(mean_squared_error)
@mean_of_terms
def mean_squared_error_term(y, t):
    return (y - t) ** 2


backward_of(mean_squared_error)(loss_backward)
samples_of(mean_squared_error)(_numbers_and_targets)


@op(r"L = \frac{1}{n} \sum_i |y_i - t_i|", shapes="y " + NUMBERS, source="mean absolute error")
def mean_absolute_error(y, *, target, weight=None):
    """Mean absolute error; where prediction and target are equal, the gradient is 0.

    Arguments: y (...), predictions; target, of y's shape; weight, one number an example, or None.
    Returns: L, one number, in y's unit.
    Raises: ValueError where the shapes of y and target differ, or weight does not fit.

    >>> float(mean_absolute_error(np.array([1.0, 2.0]), target=np.array([1.0, 4.0])))
    1.0
    """
    difference = y - _target(y, target)
    weight = _weight(y, weight)
    terms = np.maximum(difference, -difference)  # |difference|, written so that complex numbers pass
    return _mean(terms, weight), (np.sign(difference.real), weight, y.size)


@literal_of(mean_absolute_error)
@mean_of_terms
def mean_absolute_error_term(y, t):
    return abs(y - t)


backward_of(mean_absolute_error)(loss_backward)
samples_of(mean_absolute_error)(_numbers_and_targets)


@op(
    r"L = \frac{1}{n} \sum_i h(y_i - t_i), \quad h(e) = \tfrac{1}{2} e^2 \text{ if } |e| \le \delta,"
    r" \; \delta (|e| - \tfrac{\delta}{2})",
    shapes="y " + NUMBERS,
    source="Huber 1964",
    constants={"delta": NOT_NEGATIVE},
)
def huber(y, *, target, weight=None, delta=1.0):
    """Huber loss: squared for small errors, absolute for large ones.

    Arguments: y (...), predictions; target, of y's shape; weight, one number an example, or None; delta, the error, in
    y's unit, at which one becomes the other.
    Returns: L, one number.
    Raises: ValueError where the shapes of y and target differ, or weight does not fit.

    >>> float(huber(np.array([0.0, 3.0]), target=np.array([1.0, 3.0])))
    0.25
    """
    e = y - _target(y, target)
    weight = _weight(y, weight)
    size = np.maximum(e, -e)
    terms = np.where(size <= delta, 0.5 * e**2, delta * (size - 0.5 * delta))
    return _mean(terms, weight), (np.minimum(np.maximum(e.real, -delta), delta), weight, y.size)


@literal_of(huber)
@mean_of_terms
def huber_term(y, t, delta=1.0):
    e = abs(y - t)
    return e**2 / 2 if e <= delta else delta * (e - delta / 2)


backward_of(huber)(loss_backward)
samples_of(huber)(_numbers_and_targets)
