"""Losses: the mean and its gradient in one pass, where NumPy makes a dozen and each costs a microsecond even for one number.

All return the weighted mean of a term for each number, or for each row of classes, and save the gradient: slope · weight / n.
Weights are those of the first axes: each of M weights is that of n / M terms one after the other. Sums are taken in float64.

Cross-entropies of probabilities stay with NumPy: models whose last activation joins the loss never compute them.
"""

import math

import numpy as np
from numba import prange

from tinydx.op import kernel_of
from tinydx.ops.loss import (
    huber,
    mean_absolute_error,
    mean_squared_error,
    sigmoid_binary_crossentropy,
    softmax_crossentropy,
    sparse_softmax_crossentropy,
)
from tinydx_kernels.cpu.elementwise import exp32, largest32, sigmoid32, workers_for
from tinydx_kernels.cpu.memory import aligned_empty, flat, is_float32
from tinydx_kernels.cpu.simd import SIZES, inline, jit, parallel

f32, f64 = np.float32, np.float64
NO_WEIGHT, NO_TARGET, NO_LABELS = np.ones(1, np.float32), np.zeros((0, 0), np.float32), np.zeros(0, np.int64)

# ---- a term for each number ------------------------------------------------------------------------------------------

SIGMOID_BINARY, SQUARED, ABSOLUTE, HUBER = range(4)


@inline
def sigmoid_binary_term(z, t):
    """Term and slope of binary cross-entropy with a score z and a target t."""
    positive = f32(0) if z < 0 else z
    return positive + f32(math.log1p(exp32(-abs(z)))) - z * t, sigmoid32(z) - t


@inline
def huber_term(e, delta):
    """Term and slope of Huber's loss of an error e."""
    size = abs(e)
    term = f32(0.5) * e * e if size <= delta else delta * (size - f32(0.5) * delta)
    return term, -delta if e < -delta else delta if e > delta else e


@inline
def sign(e):
    """-1, 0 or 1; NaN of NaN."""
    return e if e != e else f32(e > 0) - f32(e < 0)


@jit
def mean_of_numbers(kind, y, t, weight, delta, gradient):
    """The mean of y, t (n,), weighted by weight (M,); overwrites gradient (n,)."""
    total, each = f64(0), len(y) // len(weight)
    for k in range(len(weight)):
        w = weight[k] / f32(len(y))
        for i in range(k * each, (k + 1) * each):
            e = y[i] - t[i]
            if kind == SIGMOID_BINARY:
                term, slope = sigmoid_binary_term(y[i], t[i])
            elif kind == SQUARED:
                term, slope = e * e, f32(2) * e
            elif kind == ABSOLUTE:
                term, slope = abs(e), sign(e)
            else:
                term, slope = huber_term(e, delta)
            total += f64(term) * weight[k]
            gradient[i] = slope * w
    return total / len(y)


# ---- a term for each row of classes ----------------------------------------------------------------------------------


@inline
def mean(terms):
    """The mean of terms (n,), added up from the first to the last."""
    total = f64(0)
    for n in range(len(terms)):
        total += terms[n]
    return total / len(terms)


@jit
def terms_of_rows(first, last, z, target, labels, weight, gradient, terms):
    """Rows first to last of `mean_alone`, each with a term (n,) of its own."""
    rows, classes = z.shape
    each = rows // len(weight)
    for n in range(first, last):
        row, slope, w = z[n], gradient[n], weight[n // each] / f32(rows)
        largest, exponentials = largest32(row), f32(0)
        for k in range(classes):
            slope[k] = exp32(row[k] - largest)
        for k in range(classes):
            exponentials += slope[k]
        logarithm, term, whole = f32(math.log(exponentials)), f64(0), f32(1)
        if target.size:
            whole = f32(0)
            for k in range(classes):
                term -= target[n, k] * (row[k] - largest - logarithm)
                whole += target[n, k]
        else:
            term -= row[labels[n]] - largest - logarithm
        share = whole * w / exponentials
        for k in range(classes):
            slope[k] *= share
        if target.size:
            for k in range(classes):
                slope[k] -= target[n, k] * w
        else:
            slope[labels[n]] -= w
        terms[n] = term * weight[n // each]


@jit
def mean_alone(z, target, labels, weight, gradient, terms):
    """Cross-entropy of the scores z (n,K) with target (n,K) or, where that is empty, labels (n,).

    Overwrites gradient (n,K), and terms (n,), float64.
    """
    terms_of_rows(0, len(z), z, target, labels, weight, gradient, terms)
    return mean(terms)


@parallel
def mean_in_shares(z, target, labels, weight, gradient, terms, workers):
    """The same on several threads, and the same number."""
    for part in prange(workers):
        worker = np.int64(part)
        first, last = len(z) * worker // workers, len(z) * (worker + 1) // workers
        terms_of_rows(first, last, z, target, labels, weight, gradient, terms)
    return mean(terms)


# ---- the ops ---------------------------------------------------------------------------------------------------------


def weights_of(weight):
    """The weights (M,) as kernels take them."""
    return NO_WEIGHT if weight is None else flat(np.asarray(weight, np.float32))


def backward(dy, gradient):
    """dy () -> the gradient of the predictions (...)."""
    return (dy * gradient,)


def _register_numbers(op, kind):
    """Register the kernel of a loss with a term for each number."""

    def forward(y, *, target, weight=None, delta=1.0):
        """y, target (...) -> L ()."""
        gradient = aligned_empty(y.shape)
        t = flat(np.asarray(target, np.float32))
        return f32(mean_of_numbers(kind, flat(y), t, weights_of(weight), f32(delta), gradient.reshape(-1))), gradient

    warm = ((((2, 3),), {"target": np.ones((2, 3), np.float32)}),)
    kernel_of(op, "numba", forward, backward, supports, samples=numbers_of(op), warm=warm)


def mean_of_rows(z, target, labels, weight):
    """L (), and its gradient, of z (...,K) with target (n,K) or labels (n,)."""
    gradient, k, workers = aligned_empty(z.shape), z.shape[-1], workers_for(z.size)
    arrays = flat(z).reshape(-1, k), target, labels, weights_of(weight), gradient.reshape(-1, k), np.empty(z.size // k)
    return f32(mean_alone(*arrays) if workers == 1 else mean_in_shares(*arrays, workers)), gradient


def softmax_forward(z, *, target, weight=None):
    """z, target (...,K) -> L ()."""
    return mean_of_rows(z, flat(np.asarray(target, np.float32)).reshape(-1, z.shape[-1]), NO_LABELS, weight)


def sparse_forward(z, *, labels, weight=None):
    """z (...,K), labels (...) -> L ()."""
    return mean_of_rows(z, NO_TARGET, flat(np.asarray(labels, np.int64)), weight)


def supports(y, **constants):
    """Whether the predictions are float32."""
    return is_float32(y)


def rows_of(op):
    """samples(draw): the op's own, for more and wider rows."""

    def samples(draw):
        shape = draw.choice([(300, 400), (*draw.choice([(1,), (5,), (3, 7)]), draw.choice(SIZES))])  # the first on all threads
        weight = draw.choice([None, draw.array(shape[0]) ** 2, draw.array(*shape[:-1]) ** 2])
        target = np.eye(shape[-1])[draw.array(*shape).argmax(axis=-1)]
        chosen = {"target": target} if "target" in op.signature.parameters else {"labels": target.argmax(axis=-1)}
        return (draw.array(*shape),), {**chosen, "weight": weight}

    return samples


def numbers_of(op):
    """samples(draw): the op's own, for more numbers."""

    def samples(draw):
        shape = draw.choice([(1,), (7, 1), (40, 3), (2, 5, 65)])
        weight = draw.choice([None, draw.array(shape[0]) ** 2, draw.array(*shape) ** 2])
        y, t = draw.array(*shape), draw.array(*shape) + 0.25
        if op is sigmoid_binary_crossentropy:
            t = (t > 0).astype(np.uint8)
        constants = {"delta": draw.choice([0.5, 1.0])} if op is huber else {}
        return (y,), {"target": t, "weight": weight, **constants}

    return samples


_register_numbers(sigmoid_binary_crossentropy, SIGMOID_BINARY)
_register_numbers(mean_squared_error, SQUARED)
_register_numbers(mean_absolute_error, ABSOLUTE)
_register_numbers(huber, HUBER)
# On one thread, and on all:
WARM_TARGET: tuple = tuple((((n, 400),), {"target": np.ones((n, 400), np.float32)}) for n in (2, 300))
WARM_LABELS: tuple = tuple((((n, 400),), {"labels": np.zeros(n, np.int64)}) for n in (2, 300))
kernel_of(
    softmax_crossentropy, "numba", softmax_forward, backward, supports, samples=rows_of(softmax_crossentropy), warm=WARM_TARGET
)
kernel_of(
    sparse_softmax_crossentropy, "numba", sparse_forward, backward, supports,
    samples=rows_of(sparse_softmax_crossentropy), warm=WARM_LABELS,
)  # fmt: skip
