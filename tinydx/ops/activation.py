"""Activation functions: the document's ReLU, sigmoid and tanh, and their usual relatives.

Forward saves the output wherever the derivative can be written with it: the next layer keeps that array anyway, so
the tape needs no further memory.
"""

import math

import numpy as np

from tinydx.arguments import NOT_NEGATIVE, SHARE
from tinydx.op import backward_of, literal_of, op, samples_of
from tinydx.ops.arithmetic import loop, one_array

ELEMENTWISE = "x (...) -> y (...)"

# ---- ReLU ----------------------------------------------------------------------------------------------------------


@op(r"f(x) = \max(0, x)", shapes=ELEMENTWISE, source="document, 1.2, ReLU")
def relu(x):
    """ReLU: negative values become zero. relu'(0) = 0, relu(NaN) = NaN.

    Arguments: x (...).
    Returns: y (...).

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


@op(r"f(x) = \max(x, \alpha x)", shapes=ELEMENTWISE, source="Maas et al. 2013; Keras's slope 0.2", constants={"slope": SHARE})
def leaky_relu(x, *, slope=0.2):
    """Leaky ReLU: negative values are scaled by a small slope.

    Arguments: x (...); slope, between 0 and 1.
    Returns: y (...).

    >>> leaky_relu(np.array([-1.0, 2.0]))
    array([-0.2,  2. ])
    """
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


# ---- Sigmoid -------------------------------------------------------------------------------------------------------


@op(r"f(x) = \frac{1}{1 + e^{-x}}", shapes=ELEMENTWISE, source="document, 1.2, Sigmoid")
def sigmoid(x):
    """Sigmoid: squeezes into (0, 1). The exponent is never positive, so nothing overflows.

    Arguments: x (...).
    Returns: y (...).

    >>> sigmoid(np.array([0.0, 800.0]))
    array([0.5, 1. ])
    """
    e = np.exp(-np.maximum(x, -x))  # e^-|x|, without abs: complex numbers pass
    y = np.where(x >= 0, 1, e) / (1 + e)
    return y, y


@backward_of(sigmoid)
def sigmoid_backward(dy, y):
    return (dy * y * (1 - y),)


@literal_of(sigmoid)
def sigmoid_literal(x):
    return loop(lambda x: 1 / (1 + math.exp(-x)), x)


samples_of(sigmoid)(one_array)


# ---- Tanh ----------------------------------------------------------------------------------------------------------


@op(r"f(x) = \frac{e^x - e^{-x}}{e^x + e^{-x}}", shapes=ELEMENTWISE, source="document, 1.2, Tanh")
def tanh(x):
    """Tanh: squeezes into (-1, 1). np.tanh, because the formula as written overflows to NaN at large |x|.

    Arguments: x (...).
    Returns: y (...).

    >>> tanh(np.array([0.0, 800.0]))
    array([0., 1.])
    """
    y = np.tanh(x)
    return y, y


@backward_of(tanh)
def tanh_backward(dy, y):
    return (dy * (1 - y**2),)


@literal_of(tanh)
def tanh_literal(x):
    return loop(lambda x: (math.e**x - math.e**-x) / (math.e**x + math.e**-x), x)


samples_of(tanh)(one_array)


# ---- relatives -----------------------------------------------------------------------------------------------------


@op(
    r"f(x) = x \text{ if } x > 0, \; \alpha (e^x - 1) \text{ otherwise}",
    shapes=ELEMENTWISE,
    source="Clevert et al. 2015",
    constants={"alpha": NOT_NEGATIVE},
)
def elu(x, *, alpha=1.0):
    """ELU: like ReLU, but smooth below zero, where it approaches -alpha.

    Arguments: x (...); alpha, above 0.
    Returns: y (...).

    >>> elu(np.array([-800.0, 2.0]))
    array([-1.,  2.])
    """
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


@op(r"f(x) = \ln(1 + e^x)", shapes=ELEMENTWISE, source="Dugas et al. 2001")
def softplus(x):
    """Softplus: a smooth ReLU whose derivative is the sigmoid.

    Arguments: x (...).
    Returns: y (...).

    >>> softplus(np.array([-800.0, 0.0, 5.0])).round(3)
    array([0.   , 0.693, 5.007])
    """
    return np.maximum(x, 0) + np.log1p(np.exp(-np.maximum(x, -x))), x


@backward_of(softplus)
def softplus_backward(dy, x):
    return (dy * sigmoid.forward(x)[0],)


@literal_of(softplus)
def softplus_literal(x):
    return loop(lambda x: math.log(1 + math.exp(x)), x)


samples_of(softplus)(one_array)


@op(r"f(x) = x \, \sigma(x)", shapes=ELEMENTWISE, source="Ramachandran et al. 2017 (SiLU, swish)")
def silu(x):
    """SiLU, also called swish: x multiplied by its own sigmoid.

    Arguments: x (...).
    Returns: y (...).

    >>> silu(np.array([0.0, 2.0])).round(3)
    array([0.   , 1.762])
    """
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
