"""Activation functions: the document's ReLU, Sigmoid and Tanh, and their usual relatives.

What backward saves is the output wherever the derivative can be written with it: the next layer keeps that array
anyway, so the tape costs no further memory.
"""

import math

import numpy as np

from tinydx.op import backward_of, literal_of, op, samples_of, slip_of
from tinydx.ops.arithmetic import loop, one_array

ELEMENTWISE = "x (...) -> y (...)"

# ---- ReLU ----------------------------------------------------------------------------------------------------------


@op(r"f(x) = \max(0, x)", shapes=ELEMENTWISE, source="document, 1.2, ReLU")
def relu(x):
    """ReLU: what is negative becomes zero. relu'(0) = 0, relu(NaN) = NaN.

    >>> relu(np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])
    """
    y = np.maximum(x, 0)
    return y, y


@backward_of(relu)
def relu_backward(dy, y):
    return (dy * (y > 0),)


@literal_of(relu)
def relu_literal(x):
    return loop(lambda x: max(0, x), x)


samples_of(relu)(one_array)


@slip_of(relu, "gate forgotten", "Where x was negative, y did not move: those positions get zero gradient.")
def relu_ungated(dy, y):
    return (dy,)


@slip_of(relu, "gate on the gradient", "The gate is the sign of x, not the sign of dy.")
def relu_gates_dy(dy, y):
    return (np.maximum(dy, 0),)


@slip_of(relu, "output used as gate", "The gate is 1 or 0: multiply dy by (y > 0), not by y.")
def relu_times_y(dy, y):
    return (dy * y,)


@slip_of(relu, "gate inverted", "The gradient passes where x was positive, not where it was negative.")
def relu_inverted(dy, y):
    return (dy * (y <= 0),)


@op(r"f(x) = \max(x, \alpha x)", shapes=ELEMENTWISE, source="Maas et al. 2013; Keras's slope 0.2")
def leaky_relu(x, *, slope=0.2):
    """Leaky ReLU: what is negative is scaled by a small slope (between 0 and 1)."""
    return np.maximum(x, slope * x), (x, slope)


@backward_of(leaky_relu)
def leaky_relu_backward(dy, saved):
    x, slope = saved
    return (np.where(x > 0, dy, slope * dy),)


@literal_of(leaky_relu)
def leaky_relu_literal(x, *, slope=0.2):
    return loop(lambda x: x if x > 0 else slope * x, x)


@samples_of(leaky_relu)
def leaky_relu_samples(draw):
    arrays, _ = one_array(draw)
    return arrays, {"slope": draw.choice([0.2, 0.01])}


@slip_of(leaky_relu, "slope forgotten", "Below zero the derivative is the slope, not zero: that would be plain ReLU.")
def leaky_relu_no_slope(dy, saved):
    x, _ = saved
    return (dy * (x > 0),)


@slip_of(leaky_relu, "slope on the wrong side", "The slope belongs to the negative side; above zero the derivative is 1.")
def leaky_relu_wrong_side(dy, saved):
    x, slope = saved
    return (np.where(x > 0, slope * dy, dy),)


@slip_of(leaky_relu, "gate forgotten", "Where x was negative, y moved only by the slope: multiply dy by it there.")
def leaky_relu_ungated(dy, saved):
    return (dy,)


@slip_of(leaky_relu, "gate on the gradient", "The gate is the sign of x, not the sign of dy.")
def leaky_relu_gates_dy(dy, saved):
    _, slope = saved
    return (np.where(dy > 0, dy, slope * dy),)


# ---- Sigmoid -------------------------------------------------------------------------------------------------------


@op(r"f(x) = \frac{1}{1 + e^{-x}}", shapes=ELEMENTWISE, source="document, 1.2, Sigmoid")
def sigmoid(x):
    """Sigmoid: squeezes into (0, 1). The exponent is never positive, so nothing overflows.

    >>> sigmoid(np.array([0.0, 800.0]))
    array([0.5, 1. ])
    """
    e = np.exp(-np.maximum(x, -x))  # e^-|x|, written without abs so that complex numbers pass
    y = np.where(x >= 0, 1, e) / (1 + e)
    return y, y


@backward_of(sigmoid)
def sigmoid_backward(dy, y):
    return (dy * y * (1 - y),)


@literal_of(sigmoid)
def sigmoid_literal(x):
    return loop(lambda x: 1 / (1 + math.exp(-x)), x)


samples_of(sigmoid)(one_array)


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


# ---- Tanh ----------------------------------------------------------------------------------------------------------


@op(r"f(x) = \frac{e^x - e^{-x}}{e^x + e^{-x}}", shapes=ELEMENTWISE, source="document, 1.2, Tanh")
def tanh(x):
    """Tanh: squeezes into (-1, 1). np.tanh, because the formula as written overflows to NaN at large |x|."""
    y = np.tanh(x)
    return y, y


@backward_of(tanh)
def tanh_backward(dy, y):
    return (dy * (1 - y**2),)


@literal_of(tanh)
def tanh_literal(x):
    return loop(lambda x: (math.exp(x) - math.exp(-x)) / (math.exp(x) + math.exp(-x)), x)


samples_of(tanh)(one_array)


@slip_of(tanh, "square forgotten", "The derivative of tanh is 1 - y**2: y is squared.")
def tanh_not_squared(dy, y):
    return (dy * (1 - y),)


@slip_of(tanh, "y used as x", "y is already tanh(x): the derivative is 1 - y**2; do not apply tanh twice.")
def tanh_twice(dy, y):
    return (dy * (1 - np.tanh(y) ** 2),)


@slip_of(tanh, "derivative of the sigmoid", "y (1 - y) belongs to the sigmoid; tanh's derivative is 1 - y**2.")
def tanh_as_sigmoid(dy, y):
    return (dy * y * (1 - y),)


# ---- relatives -----------------------------------------------------------------------------------------------------


@op(
    r"f(x) = x \text{ if } x > 0, \; \alpha (e^x - 1) \text{ otherwise}",
    shapes=ELEMENTWISE,
    source="Clevert et al. 2015",
)
def elu(x, *, alpha=1.0):
    """ELU: like ReLU, but smooth below zero, where it settles at -alpha."""
    negative = alpha * np.expm1(np.minimum(x, 0))
    return np.where(x > 0, x, negative), (x, negative, alpha)


@backward_of(elu)
def elu_backward(dy, saved):
    x, negative, alpha = saved
    return (np.where(x > 0, dy, dy * (negative + alpha)),)


@literal_of(elu)
def elu_literal(x, *, alpha=1.0):
    return loop(lambda x: x if x > 0 else alpha * (math.exp(x) - 1), x)


@samples_of(elu)
def elu_samples(draw):
    arrays, _ = one_array(draw)
    return arrays, {"alpha": draw.choice([1.0, 0.5])}


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


@op(r"f(x) = \ln(1 + e^x)", shapes=ELEMENTWISE, source="Dugas et al. 2001")
def softplus(x):
    """Softplus: a smooth ReLU whose derivative is the sigmoid."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.maximum(x, -x))), x


@backward_of(softplus)
def softplus_backward(dy, x):
    return (dy * sigmoid.forward(x)[0],)


@literal_of(softplus)
def softplus_literal(x):
    return loop(lambda x: math.log(1 + math.exp(x)), x)


samples_of(softplus)(one_array)


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


@op(r"f(x) = x \, \sigma(x)", shapes=ELEMENTWISE, source="Ramachandran et al. 2017 (SiLU, swish)")
def silu(x):
    """SiLU, also called swish: x gated by its own sigmoid."""
    s = sigmoid.forward(x)[0]
    return x * s, (x, s)


@backward_of(silu)
def silu_backward(dy, saved):
    x, s = saved
    return (dy * (s + x * s * (1 - s)),)


@literal_of(silu)
def silu_literal(x):
    return loop(lambda x: x / (1 + math.exp(-x)), x)


samples_of(silu)(one_array)


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
