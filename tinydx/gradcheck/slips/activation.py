"""Mistakes that people make in the gradients of tinydx/ops/activation.py.

Forgotten or inverted gates, derivatives of another function, y taken for x, a term of the product rule left out.
"""

import numpy as np

from tinydx.gradcheck.slips import slip_of
from tinydx.ops.activation import elu, leaky_relu, relu, sigmoid, silu, softplus, tanh


@slip_of(relu, "gate forgotten", "Where x was negative, y did not move: those positions get zero gradient.")
def relu_without_gate(dy, y):
    return (dy,)


@slip_of(relu, "gate on the gradient", "The gate is the sign of x, not the sign of dy.")
def relu_gate_of_dy(dy, y):
    return (np.maximum(dy, 0),)


@slip_of(relu, "output used as gate", "The gate is 1 or 0: multiply dy by (y > 0), not by y.")
def relu_times_y(dy, y):
    return (dy * y,)


@slip_of(relu, "gate inverted", "The gradient passes where x was positive, not where it was negative.")
def relu_inverted(dy, y):
    return (dy * (y <= 0),)


@slip_of(leaky_relu, "slope forgotten", "Below zero the derivative is the slope, not zero: that would be plain ReLU.")
def leaky_relu_no_slope(dy, saved):
    x, _ = saved
    return (dy * (x > 0),)


@slip_of(leaky_relu, "slope on the wrong side", "The slope belongs to the negative side; above zero the derivative is 1.")
def leaky_relu_wrong_side(dy, saved):
    x, slope = saved
    return (np.where(x > 0, slope * dy, dy),)


@slip_of(leaky_relu, "gate forgotten", "Where x was negative, y moved only by the slope: multiply dy by it there.")
def leaky_relu_without_gate(dy, saved):
    return (dy,)


@slip_of(leaky_relu, "gate on the gradient", "The gate is the sign of x, not the sign of dy.")
def leaky_relu_gate_of_dy(dy, saved):
    _, slope = saved
    return (np.where(dy > 0, dy, slope * dy),)


@slip_of(sigmoid, "y used as x", "y is already the sigmoid: the derivative is y (1 - y); do not apply sigmoid twice.")
def sigmoid_twice(dy, y):
    s = 1 / (1 + np.exp(-y))
    return (dy * s * (1 - s),)


@slip_of(sigmoid, "factor (1 - y) forgotten", "The derivative of the sigmoid is y (1 - y), both factors.")
def sigmoid_half(dy, y):
    return (dy * y,)


@slip_of(sigmoid, "derivative of tanh", "1 - y**2 belongs to tanh; the sigmoid's derivative is y (1 - y).")
def sigmoid_as_tanh(dy, y):
    return (dy * (1 - y**2),)


@slip_of(tanh, "square forgotten", "The derivative of tanh is 1 - y**2: y is squared.")
def tanh_not_squared(dy, y):
    return (dy * (1 - y),)


@slip_of(tanh, "y used as x", "y is already tanh(x): the derivative is 1 - y**2; do not apply tanh twice.")
def tanh_twice(dy, y):
    return (dy * (1 - np.tanh(y) ** 2),)


@slip_of(tanh, "derivative of the sigmoid", "y (1 - y) belongs to the sigmoid; tanh's derivative is 1 - y**2.")
def tanh_as_sigmoid(dy, y):
    return (dy * y * (1 - y),)


@slip_of(elu, "alpha not added back", "Below zero f(x) = alpha e^x - alpha, so f'(x) = alpha e^x = f(x) + alpha.")
def elu_without_alpha(dy, saved):
    x, negative, _ = saved
    return (np.where(x > 0, dy, dy * negative),)


@slip_of(elu, "treated as ReLU", "Below zero ELU still moves: its derivative there is alpha e^x, not zero.")
def elu_as_relu(dy, saved):
    x, _, _ = saved
    return (dy * (x > 0),)


@slip_of(elu, "alpha forgotten", "Below zero the derivative is alpha e^x, with its alpha.")
def elu_alpha_forgotten(dy, saved):
    x, negative, alpha = saved
    return (np.where(x > 0, dy, dy * (negative + alpha) / alpha),)


@slip_of(softplus, "treated as ReLU", "Softplus has no kink: its derivative is the sigmoid of x, not a step.")
def softplus_as_relu(dy, x):
    return (dy * (x > 0),)


@slip_of(softplus, "sigmoid of -x", "The derivative of ln(1 + e^x) is e^x / (1 + e^x), which is sigmoid(+x).")
def softplus_mirrored(dy, x):
    return (dy * sigmoid.forward(-x)[0],)


@slip_of(softplus, "derivative of the sigmoid", "The derivative of softplus is the sigmoid itself, not s (1 - s).")
def softplus_as_sigmoid(dy, x):
    s = sigmoid.forward(x)[0]
    return (dy * s * (1 - s),)


@slip_of(softplus, "inner derivative forgotten", "The chain rule for ln(1 + e^x): 1 / (1 + e^x) times e^x.")
def softplus_without_inner(dy, x):
    return (dy / (1 + np.exp(x)) ** 2,)


@slip_of(silu, "gate held constant", "x moves both factors of x * sigmoid(x): the product rule adds x s (1 - s).")
def silu_constant_gate(dy, saved):
    _, s = saved
    return (dy * s,)


@slip_of(silu, "factor held constant", "The product rule has two terms: s itself is missing.")
def silu_constant_factor(dy, saved):
    x, s = saved
    return (dy * x * s * (1 - s),)


@slip_of(silu, "x forgotten in the second term", "The product rule gives s + x s (1 - s): the second term carries x.")
def silu_without_x(dy, saved):
    _, s = saved
    return (dy * (s + s * (1 - s)),)
