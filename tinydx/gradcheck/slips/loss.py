"""Mistakes that people make in the gradients of tinydx/ops/loss.py.

Those in the weighted mean, which all losses share, and those in the slope of one loss's term.
"""

import numpy as np

from tinydx.gradcheck.slips import slip_of
from tinydx.ops.loss import (
    binary_crossentropy,
    categorical_crossentropy,
    huber,
    loss_backward,
    mean_absolute_error,
    mean_squared_error,
    sigmoid_binary_crossentropy,
    softmax_crossentropy,
    sparse_categorical_crossentropy,
    sparse_softmax_crossentropy,
)


def slips_in_the_mean(op):
    """Register the mistakes in the weighted mean of the terms, which all losses share."""

    @slip_of(op, "1/n forgotten", "The loss is a mean: its gradient carries 1/n.")
    def without_mean(dy, saved):
        slope, weight, _ = saved
        return loss_backward(dy, (slope, weight, 1))

    @slip_of(op, "weights forgotten", "Each example's gradient is multiplied by its weight, as its loss is.")
    def without_weight(dy, saved):
        slope, _, n = saved
        return loss_backward(dy, (slope, np.ones_like(slope), n))

    @slip_of(op, "sign", "The loss falls towards the target: check the sign (prediction - target, not the reverse).")
    def wrong_sign(dy, saved):
        return loss_backward(-dy, saved)

    @slip_of(op, "weights' sum as divisor", "The mean divides by the number of terms, also where they are weighted.")
    def divided_by_weights(dy, saved):
        slope, weight, n = saved
        return loss_backward(dy, (slope, weight, n * np.mean(weight)))

    @slip_of(op, "dL forgotten", "A loss can be part of a larger one: multiply by the gradient dL that comes in.")
    def without_dy(dy, saved):
        return loss_backward(np.ones_like(dy), saved)


def slips_in_the_mean_of_rows(op):
    """Register the mistake in losses with one term a row: the mean is over rows, not over numbers."""

    @slip_of(
        op,
        "averaged over the classes, too",
        "One term a row: the mean divides by the number of rows, not of numbers.",
    )
    def averaged_over_classes(dy, saved):
        slope, weight, n = saved
        return loss_backward(dy, (slope, weight, slope.size))


for _loss in (
    binary_crossentropy,
    sigmoid_binary_crossentropy,
    categorical_crossentropy,
    sparse_categorical_crossentropy,
    softmax_crossentropy,
    sparse_softmax_crossentropy,
    mean_squared_error,
    mean_absolute_error,
    huber,
):
    slips_in_the_mean(_loss)
for _loss in (
    categorical_crossentropy,
    sparse_categorical_crossentropy,
    softmax_crossentropy,
    sparse_softmax_crossentropy,
):
    slips_in_the_mean_of_rows(_loss)


@slip_of(
    binary_crossentropy,
    "gradient of the fused loss",
    "p - t is the gradient of the score before the sigmoid; of p it is (p - t) / (p (1 - p)).",
)
def binary_crossentropy_as_fused(dy, saved, p, target):
    _, weight, n = saved
    return loss_backward(dy, (p - target, weight, n))


@slip_of(
    binary_crossentropy,
    "term of the other class forgotten",
    "Both terms count: t / p for the one class, (1 - t) / (1 - p) for the other.",
)
def binary_crossentropy_one_term(dy, saved, p, target):
    _, weight, n = saved
    return loss_backward(dy, (-target / p, weight, n))


@slip_of(
    sigmoid_binary_crossentropy,
    "sigmoid's slope multiplied in",
    "In the fused loss p (1 - p) has cancelled already: the gradient is just p - t.",
)
def sigmoid_binary_crossentropy_slope_twice(dy, saved, target):
    slope, weight, n = saved
    p = slope + target
    return loss_backward(dy, (slope * p * (1 - p), weight, n))


@slip_of(
    sigmoid_binary_crossentropy,
    "score instead of probability",
    "The gradient is sigmoid(z) - t: take the sigmoid before subtracting.",
)
def sigmoid_binary_crossentropy_score(dy, saved, z, target):
    _, weight, n = saved
    return loss_backward(dy, (z - target, weight, n))


@slip_of(sigmoid_binary_crossentropy, "target forgotten", "The gradient is sigmoid(z) - t: subtract the target.")
def sigmoid_binary_crossentropy_no_target(dy, saved, target):
    slope, weight, n = saved
    return loss_backward(dy, (slope + target, weight, n))


@slip_of(
    categorical_crossentropy,
    "row's sum held constant",
    "p is divided by the sum of its row, which moves with every p of it.",
)
def categorical_crossentropy_constant_sum(dy, saved, p, target):
    _, weight, n = saved
    return loss_backward(dy, (-target / p, weight, n))


@slip_of(
    categorical_crossentropy,
    "gradient of the fused loss",
    "p - t is the gradient of the scores before the softmax, not of p.",
)
def categorical_crossentropy_as_fused(dy, saved, p, target):
    _, weight, n = saved
    return loss_backward(dy, (p - target, weight, n))


@slip_of(
    sparse_categorical_crossentropy,
    "row's sum held constant",
    "p is divided by the sum of its row, which moves with every p of it.",
)
def sparse_categorical_crossentropy_constant_sum(dy, saved, p, labels):
    _, weight, n = saved
    return loss_backward(dy, (-np.eye(p.shape[-1])[labels] / p, weight, n))


@slip_of(
    sparse_categorical_crossentropy,
    "gradient of the fused loss",
    "p with 1 subtracted at the label is the gradient of the scores before the softmax, not of p.",
)
def sparse_categorical_crossentropy_as_fused(dy, saved, p, labels):
    _, weight, n = saved
    return loss_backward(dy, (p - np.eye(p.shape[-1])[labels], weight, n))


@slip_of(
    softmax_crossentropy,
    "softmax's slope multiplied in",
    "In the fused loss the softmax has cancelled already: the gradient is just p - t.",
)
def softmax_crossentropy_slope_twice(dy, saved, target):
    slope, weight, n = saved
    p = slope + target
    return loss_backward(dy, (slope * p * (1 - p), weight, n))


@slip_of(
    softmax_crossentropy,
    "score instead of probability",
    "The gradient is softmax(z) - t: take the softmax before subtracting.",
)
def softmax_crossentropy_score(dy, saved, z, target):
    _, weight, n = saved
    return loss_backward(dy, (z - target, weight, n))


@slip_of(softmax_crossentropy, "target forgotten", "The gradient is softmax(z) - t: subtract the target.")
def softmax_crossentropy_no_target(dy, saved, target):
    slope, weight, n = saved
    return loss_backward(dy, (slope + target, weight, n))


@slip_of(
    softmax_crossentropy,
    "right class only",
    "The scores of all classes move the loss, through the softmax's common sum.",
)
def softmax_crossentropy_right_class(dy, saved, target):
    slope, weight, n = saved
    return loss_backward(dy, (slope * target, weight, n))


@slip_of(sparse_softmax_crossentropy, "1 not subtracted", "The gradient is p with 1 subtracted at each row's label.")
def sparse_softmax_crossentropy_no_label(dy, saved, labels):
    slope, weight, n = saved
    return loss_backward(dy, (slope + np.eye(slope.shape[-1])[labels], weight, n))


@slip_of(
    sparse_softmax_crossentropy,
    "right class only",
    "The scores of all classes move the loss, through the softmax's common sum.",
)
def sparse_softmax_crossentropy_right_class(dy, saved, labels):
    slope, weight, n = saved
    return loss_backward(dy, (slope * np.eye(slope.shape[-1])[labels], weight, n))


@slip_of(mean_squared_error, "factor 2 forgotten", "The derivative of a square is twice its base.")
def mean_squared_error_without_two(dy, saved):
    slope, weight, n = saved
    return loss_backward(dy, (slope / 2, weight, n))


@slip_of(mean_absolute_error, "difference instead of its sign", "The derivative of |e| is the sign of e, however large e is.")
def mean_absolute_error_as_squared(dy, saved, y, target):
    _, weight, n = saved
    return loss_backward(dy, (y - target, weight, n))


@slip_of(huber, "treated as squared error", "Beyond delta the loss is straight: its slope stops growing at delta.")
def huber_as_squared(dy, saved, y, target):
    _, weight, n = saved
    return loss_backward(dy, (y - target, weight, n))


@slip_of(
    huber,
    "treated as absolute error",
    "Within delta the loss is squared: its slope is the error itself, not delta times the sign.",
)
def huber_as_absolute(dy, saved, y, target, delta=1.0):
    _, weight, n = saved
    return loss_backward(dy, (delta * np.sign(y - target), weight, n))
