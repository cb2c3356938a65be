"""Softmax, and the document's softmax decoding of the next word."""

import math

import numpy as np

from tinydx.arguments import AXIS
from tinydx.op import backward_of, literal_of, op, samples_of
from tinydx.ops.dense import dense_backward, dense_literal, dense_samples

ALONG = {"axis": AXIS}


def _shifted_exp(x, axis):
    """e^(x - max): gives the same softmax without overflow. Rows of only -inf become NaN, as 0/0 must."""
    return np.exp(x - x.max(axis=axis, keepdims=True))


def _softmax_samples(draw):
    shape = draw.choice([(2, 3), (1, 5), (2, 3, 4)])
    return (draw.array(*shape),), {"axis": draw.choice([-1, 0])}


@op(r"p_k = \frac{e^{x_k}}{\sum_l e^{x_l}}", shapes="x (...) -> p (...)", source="document, 3.2, softmax", constants=ALONG)
def softmax(x, *, axis=-1):
    """Softmax along an axis: positive numbers that add up to 1.

    Arguments: x (...), scores; axis, along which they compete, the last one by default.
    Returns: p (...), probabilities.

    >>> softmax(np.array([0.0, 0.0, 1000.0]))
    array([0., 0., 1.])
    """
    e = _shifted_exp(x, axis)
    p = e / e.sum(axis=axis, keepdims=True)
    return p, (p, axis)


@backward_of(softmax)
def softmax_backward(dp, saved):
    p, axis = saved
    return (p * (dp - (dp * p).sum(axis=axis, keepdims=True)),)


@literal_of(softmax)
def softmax_literal(x, *, axis=-1):
    rows = np.moveaxis(x, axis, -1)
    p = np.empty(rows.shape)
    for i in np.ndindex(rows.shape):
        total = 0.0
        for other in rows[i[:-1]]:
            total += math.exp(other)
        p[i] = math.exp(rows[i]) / total
    return np.moveaxis(p, -1, axis)


samples_of(softmax)(_softmax_samples)


@op(r"y_k = x_k - \ln \sum_l e^{x_l}", shapes="x (...) -> y (...)", source="logarithm of document, 3.2, softmax", constants=ALONG)
def log_softmax(x, *, axis=-1):
    """Logarithm of the softmax, computed without the logarithm of zero.

    Arguments: x (...), scores; axis, along which they compete, the last one by default.
    Returns: y (...), logarithms of probabilities.

    >>> log_softmax(np.array([0.0, -1000.0]))
    array([    0., -1000.])
    """
    e = _shifted_exp(x, axis)
    total = e.sum(axis=axis, keepdims=True)
    return x - x.max(axis=axis, keepdims=True) - np.log(total), (e / total, axis)


@backward_of(log_softmax)
def log_softmax_backward(dy, saved):
    p, axis = saved
    return (dy - p * dy.sum(axis=axis, keepdims=True),)


@literal_of(log_softmax)
def log_softmax_literal(x, *, axis=-1):
    p = softmax_literal(x, axis=axis)
    y = np.empty(p.shape)
    for i in np.ndindex(p.shape):
        y[i] = math.log(p[i])
    return y


samples_of(log_softmax)(_softmax_samples)


@op(
    r"p(y_t | y_{<t}, x) = \mathrm{softmax}(W_{yx} h_t + b_y)",
    shapes="h (...,U), w (U,V), b (V,) -> p (...,V)",
    source="document, 3.2, decoder",
)
def softmax_decoding(h, w, b=None):
    """The document's decoder: the probability of every next word, from the hidden state.

    Arguments: h (...,U), hidden states; w (U,V), weights; b (V,), bias or None.
    Returns: p (...,V), probabilities of the V words.

    >>> softmax_decoding(np.zeros((1, 3)), np.zeros((3, 4)), np.zeros(4))
    array([[0.25, 0.25, 0.25, 0.25]])
    """
    p, _ = softmax.forward(h @ w if b is None else h @ w + b)
    return p, (h, w, p)


@backward_of(softmax_decoding)
def softmax_decoding_backward(dp, saved):
    h, w, p = saved
    (dz,) = softmax_backward(dp, (p, -1))
    return dense_backward(dz, (h, w))


@literal_of(softmax_decoding)
def softmax_decoding_literal(h, w, b=None):
    return softmax_literal(dense_literal(h, w, b))


samples_of(softmax_decoding)(dense_samples)
