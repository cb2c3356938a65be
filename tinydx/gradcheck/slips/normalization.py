"""Mistakes that people make in the gradients of tinydx/ops/normalization.py."""

import numpy as np

from tinydx.gradcheck.slips import slip_of
from tinydx.ops.normalization import (
    _normalise,
    batch_normalization,
    dropout,
    fold_normalization,
    fold_normalization_backward,
    layer_normalization,
    masked_batch_normalization,
    masked_batch_normalization_backward,
    normalization_backward,
)


def _mean(a, axes):
    return a.mean(axis=axes, keepdims=True)


def _sum(a, axes):
    return a.sum(axis=axes, keepdims=True)


def _others(a, axes):
    """The axes over which no statistics are taken."""
    return tuple(i for i in range(a.ndim) if i not in axes)


def _add_slips(op):
    """The slips of a normalisation: both have the same formulas, over different axes."""

    def in_dx(name, advice, *commons):
        """Slips in what dx loses: common(dn, n, axes) replaces mean(dn) + n * mean(dn * n), where n is the normalised x."""
        for common in commons:

            @slip_of(op, name, advice)
            def backward(dy, saved, common=common):
                normal, inverse, gamma, axes = saved
                dn = dy * gamma
                return inverse * (dn - common(dn, normal, axes)), None, None

    in_dx(
        "statistics held constant",
        "The mean and the deviation move with x, too: dx has three terms, not one.",
        lambda dn, n, axes: 0,
    )
    in_dx(
        "deviation held constant",
        "sigma moves with x, too: the term normal * mean(dn * normal) is missing.",
        lambda dn, n, axes: _mean(dn, axes),
    )
    in_dx(
        "mean held constant",
        "mu moves with x, too: the term mean(dn) is missing.",
        lambda dn, n, axes: n * _mean(dn * n, axes),
    )
    in_dx(
        "sums instead of means",
        "The mean of x moves by 1/n of each x: take means of dn and dn * normal, not sums.",
        lambda dn, n, axes: _sum(dn, axes) + n * _sum(dn * n, axes),
        lambda dn, n, axes: _sum(dn, axes) + n * _mean(dn * n, axes),
        lambda dn, n, axes: _mean(dn, axes) + n * _sum(dn * n, axes),
    )
    in_dx(
        "wrong sign in dx",
        "Both terms are subtracted: dn - mean(dn) - normal * mean(dn * normal).",
        lambda dn, n, axes: -_mean(dn, axes) + n * _mean(dn * n, axes),
        lambda dn, n, axes: _mean(dn, axes) - n * _mean(dn * n, axes),
        lambda dn, n, axes: -_mean(dn, axes) - n * _mean(dn * n, axes),
    )
    in_dx(
        "factor normal forgotten in dx",
        "normal stands in the last term twice: normal * mean(dn * normal).",
        lambda dn, n, axes: _mean(dn, axes) + n * _mean(dn, axes),
        lambda dn, n, axes: _mean(dn, axes) + _mean(dn * n, axes),
    )
    in_dx(
        "statistics over the wrong axis",
        "Take the means in backward over the same axes as in forward.",
        lambda dn, n, axes: _mean(dn, _others(n, axes)) + n * _mean(dn * n, _others(n, axes)),
        lambda dn, n, axes: _mean(dn, _others(n, axes)) + n * _mean(dn * n, axes),
        lambda dn, n, axes: _mean(dn, axes) + n * _mean(dn * n, _others(n, axes)),
    )
    in_dx(
        "n - 1 instead of n",
        "The variance of forward divides by n: so does its derivative.",
        lambda dn, n, axes: _mean(dn, axes) + n * _sum(dn * n, axes) / (np.prod([n.shape[a] for a in axes]) - 1),
    )

    @slip_of(op, "statistics over the wrong axis", "Take the means in backward over the same axes as in forward.")
    def wrong_axis(dy, saved, x, eps=1e-3):
        _, _, gamma, axes = saved
        _, turned = _normalise(x, gamma, 0, _others(x, axes), eps)
        return normalization_backward(dy, turned)[0], None, None

    @slip_of(op, "gamma forgotten in dx", "gamma stands between x and y: start with dn = dy * gamma.")
    def without_gamma(dy, saved):
        normal, inverse, gamma, axes = saved
        dx, _, _ = normalization_backward(dy, (normal, inverse, np.ones_like(gamma), axes))
        return dx, None, None

    @slip_of(op, "not divided by the deviation", "y was divided by sigma, so dx is, too.")
    def without_inverse(dy, saved):
        return normalization_backward(dy, saved)[0] / saved[1], None, None

    @slip_of(op, "variance instead of deviation", "Divide by sigma, the root of the variance, once: not by the variance.")
    def by_variance(dy, saved):
        return normalization_backward(dy, saved)[0] * saved[1], None, None

    @slip_of(op, "epsilon forgotten", "Forward divided by sqrt(variance + eps): use the same root in backward.")
    def without_epsilon(dy, saved, eps=1e-3):
        normal, inverse, gamma, axes = saved
        ratio = 1 / np.sqrt(1 - eps * inverse**2)  # of the deviation with epsilon to that without
        dx, _, _ = normalization_backward(dy, (normal * ratio, inverse * ratio, gamma, axes))
        return dx, None, None

    @slip_of(op, "x not normalised in dgamma", "gamma multiplied the normalised x: dgamma = sum(dy * normal).")
    def raw_x(dy, saved, x):
        return None, (dy * x).sum(axis=tuple(range(dy.ndim - 1))), None

    @slip_of(op, "one example only", "gamma and beta served every example: sum their gradients over all of them.")
    def first_example(dy, saved):
        rest = tuple(range(dy.ndim - 2))
        return None, (dy * saved[0])[0].sum(axis=rest), dy[0].sum(axis=rest)

    @slip_of(op, "averaged over the batch", "gamma and beta served every example: sum their gradients, do not average.")
    def averaged(dy, saved):
        _, dgamma, dbeta = normalization_backward(dy, saved)
        rows = dy.size // dy.shape[-1]
        return None, dgamma / rows, dbeta / rows


_add_slips(batch_normalization)
_add_slips(layer_normalization)


@slip_of(masked_batch_normalization, "statistics held constant", "mu and sigma move with each x that counts: dx has three terms.")
def masked_constant(dy, saved):
    _, inverse, gamma, _ = saved
    return inverse * dy * gamma, None, None


@slip_of(masked_batch_normalization, "padding counted", "Only what the mask keeps moved mu and sigma: share among those alone.")
def padding_counted(dy, saved):
    normal, inverse, gamma, share = saved
    everything = np.full_like(share, share.shape[-1] / share.size)
    return masked_batch_normalization_backward(dy, (normal, inverse, gamma, everything))[0], None, None


@slip_of(masked_batch_normalization, "padding without gradient", "Padding was normalised, too: its dx is dy * gamma / sigma.")
def padding_dropped(dy, saved):
    return masked_batch_normalization_backward(dy, saved)[0] * (saved[3] > 0), None, None


@slip_of(masked_batch_normalization, "padding ignored in dx", "Padding's y depends on mu and sigma, too: sum over all of dy.")
def padding_ignored(dy, saved):
    normal, inverse, gamma, share = saved
    axes, dn, kept = tuple(range(dy.ndim - 1)), dy * gamma, dy * gamma * (share > 0)
    common = kept.sum(axis=axes, keepdims=True) + normal * (kept * normal).sum(axis=axes, keepdims=True)
    return inverse * (dn - share * common), None, None


@slip_of(fold_normalization, "bias forgotten in dgamma", "gamma scaled the bias, too: add db (b - mean) / sigma.")
def fold_without_bias(dy, saved):
    (dw, _), (w, _, inverse, _) = dy, saved
    return None, None, (dw * w).sum(axis=tuple(range(w.ndim - 1))) * inverse, None, None, None


@slip_of(fold_normalization, "gamma forgotten in dw", "w was multiplied by gamma / sigma: so is dw.")
def fold_without_gamma(dy, saved):
    return dy[0] * saved[2], None, None, None, None, None


@slip_of(fold_normalization, "wrong sign in dmean", "The mean is subtracted: its gradient is -db gamma / sigma.")
def fold_mean_added(dy, saved):
    return None, None, None, None, -fold_normalization_backward(dy, saved)[4], None


@slip_of(fold_normalization, "half forgotten", "The derivative of the variance to the power -1/2 is -1/2 times its power -3/2.")
def fold_without_half(dy, saved):
    return None, None, None, None, None, 2 * fold_normalization_backward(dy, saved)[5]


@slip_of(dropout, "scale forgotten", "Forward divided by 1 - rate: so must backward.")
def dropout_unscaled(dy, saved):
    mask, _ = saved
    return (dy * mask,)


@slip_of(dropout, "mask forgotten", "What was dropped did not move y: multiply dy by the mask.")
def dropout_unmasked(dy, saved):
    _, rate = saved
    return (dy / (1 - rate),)


@slip_of(dropout, "mask inverted", "The kept elements get the gradient, the dropped ones none.")
def dropout_inverted(dy, saved):
    mask, rate = saved
    return (dy * ~mask / (1 - rate),)
