"""Activations."""

from __future__ import annotations

from tinydx_kernels.cuda.backend import contiguous, each, is_float32, xp
from tinydx_kernels.cuda.programs import PLAIN

from tinydx.op import kernel_of
from tinydx.ops.activation import relu, sigmoid, tanh

ELEMENTWISE = PLAIN["elementwise"]


def _pair(forward_kernel, backward_kernel):
    """Forward and backward of an activation, by the names of their kernels."""

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

kernel_of(relu, "cuda", relu_forward, relu_backward, is_float32)
kernel_of(sigmoid, "cuda", sigmoid_forward, sigmoid_backward, is_float32)
kernel_of(tanh, "cuda", tanh_forward, tanh_backward, is_float32)
