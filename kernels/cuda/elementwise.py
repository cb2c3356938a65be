"""Activations and dropout: one thread for each element."""

from __future__ import annotations

import numpy as np

from tinydx.op import kernel_of
from tinydx.ops.activation import relu, sigmoid, tanh
from tinydx.ops.normalization import dropout
from tinydx_kernels.cuda.backend import contiguous, each, is_float32, xp
from tinydx_kernels.cuda.programs import Program

ELEMENTWISE = Program("elementwise.cu")
PROGRAMS = [ELEMENTWISE]


def _pair(forward_kernel, backward_kernel):
    """Forward x (...) -> y (...) and backward dy (...) -> dx (...) of an activation, by the names of their kernels."""

    def forward(x):
        y = xp(x).empty(x.shape, x.dtype)
        each(ELEMENTWISE, forward_kernel, x.size, contiguous(x), y, x.size)
        return y, y

    def backward(dy, y):
        dx = xp(y).empty(y.shape, y.dtype)
        each(ELEMENTWISE, backward_kernel, y.size, contiguous(dy), contiguous(y), dx, y.size)
        return (dx,)

    return forward, backward


relu_forward, relu_backward = _pair("relu", "relu_backward")
sigmoid_forward, sigmoid_backward = _pair("sigmoid", "sigmoid_backward")
tanh_forward, tanh_backward = _pair("tanh_forward", "tanh_backward")


def _masked(x, mask, rate):
    """x (...), mask (...), bool -> y (...): x where the mask is true, scaled by 1 / (1 - rate); 0 elsewhere."""
    y = xp(x).empty(x.shape, x.dtype)
    each(ELEMENTWISE, "dropout", x.size, contiguous(x), mask, y, x.size, 1 / (1 - rate))
    return y


def dropout_forward(x, *, mask, rate):
    """x (...), mask (...), bool -> y (...)."""
    mask = contiguous(xp(x).asarray(mask))
    return _masked(x, mask, rate), (mask, rate)


def dropout_backward(dy, saved):
    """dy (...) -> dx (...)."""
    return (_masked(dy, *saved),)


def supports_dropout(x, *, mask, rate):
    """x (...), mask (...), bool."""
    return is_float32(x) and getattr(mask, "dtype", None) == np.bool_ and mask.shape == x.shape


def samples(draw):
    """Sizes around a block."""
    return (draw.array(*draw.choice([(1,), (7,), (3, 5), (2, 3, 4), (255,), (256,), (33, 65)])),), {}


def samples_of_dropout(draw):
    """Masks that keep about 7 of 10 elements."""
    (x,), _ = samples(draw)
    return (x,), {"mask": draw.array(*x.shape) > -0.5, "rate": draw.choice([0.3, 0.5])}


kernel_of(relu, "cuda", relu_forward, relu_backward, is_float32, samples=samples)
kernel_of(sigmoid, "cuda", sigmoid_forward, sigmoid_backward, is_float32, samples=samples)
kernel_of(tanh, "cuda", tanh_forward, tanh_backward, is_float32, samples=samples)
kernel_of(dropout, "cuda", dropout_forward, dropout_backward, supports_dropout, samples=samples_of_dropout)
