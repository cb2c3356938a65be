"""The optimizers' update rules: (parameter, memory ..., gradient) -> (new parameter, new memory ...).

They are rows of the table like all equations, but nothing is differentiated through them, so they have no backward.
All are elementwise: every array has the parameter's shape (...). `tinydx.optimizers` keeps the memory and calls them.
"""

import functools
import math

import numpy as np

from tinydx.arguments import COUNT, FLAG, NOT_NEGATIVE, NUMBER, SHARE, SHARE_BELOW_1, one_shape
from tinydx.op import literal_of, op, requirement_of, samples_of
from tinydx.ops.arithmetic import loop

STEP = {"learning_rate": NUMBER}


def elementwise(rule):
    """A rule for numbers, (p, memory ..., g) -> (new p, new memory ...), applied to each element of arrays."""

    @functools.wraps(rule)
    def literal(*arrays, **constants):
        results = range(len(arrays) - 1)  # all but the gradient are renewed
        return tuple(loop(lambda *numbers, k=k: rule(*numbers, **constants)[k], *arrays) for k in results)

    return literal


@op(r"\theta' = \theta - \eta g", shapes="p (...), g (...) -> p' (...)", source="document, 1.1, gradient descent", constants=STEP)
def sgd_update(p, g, *, learning_rate):
    """Gradient descent: one step against the gradient.

    Arguments: p (...), the parameter; g (...), its gradient; learning_rate.
    Returns: (p',).

    >>> sgd_update(np.array([1.0]), np.array([2.0]), learning_rate=0.1)
    (array([0.8]),)
    """
    return (p - p.dtype.type(learning_rate) * g,), None


@literal_of(sgd_update)
@elementwise
def sgd_update_literal(p, g, *, learning_rate):
    return (p - learning_rate * g,)


@samples_of(sgd_update)
def sgd_update_samples(draw):
    n = draw.integer(1, 9)
    return (draw.array(n), draw.array(n)), {"learning_rate": draw.choice([0.1, 0.01])}


@op(
    r"m' = \mu m - \eta g, \quad \theta' = \theta + m' \;\; (\text{Nesterov: } \theta + \mu m' - \eta g)",
    shapes="p (...), m (...), g (...) -> p' (...), m' (...)",
    source="Polyak 1964; Sutskever et al. 2013",
    constants={**STEP, "momentum": SHARE, "nesterov": FLAG},
)
def momentum_update(p, m, g, *, learning_rate, momentum, nesterov=False):
    """Gradient descent with momentum: the velocity m remembers earlier gradients.

    Arguments: p, m, g (...), parameter, velocity, gradient; learning_rate; momentum, the share of the velocity that
    stays; nesterov, whether the gradient counts as if taken after the next move.
    Returns: (p', m').

    >>> momentum_update(np.array([1.0]), np.array([0.5]), np.array([2.0]), learning_rate=0.1, momentum=0.8)
    (array([1.2]), array([0.2]))
    """
    step, mu = p.dtype.type(learning_rate) * g, p.dtype.type(momentum)
    m = mu * m - step
    return (p + mu * m - step if nesterov else p + m, m), None


@literal_of(momentum_update)
@elementwise
def momentum_update_literal(p, m, g, *, learning_rate, momentum, nesterov=False):
    m = momentum * m - learning_rate * g
    return (p + momentum * m - learning_rate * g if nesterov else p + m), m


@samples_of(momentum_update)
def momentum_update_samples(draw):
    n = draw.integer(1, 9)
    constants = {"learning_rate": 0.1, "momentum": draw.choice([0.9, 0.5]), "nesterov": draw.choice([False, True])}
    return (draw.array(n), draw.array(n), draw.array(n)), constants


@op(
    r"v' = \rho v + (1 - \rho) g^2, \quad a' = \rho a + (1 - \rho) g, \quad"
    r" m' = \mu m + \eta \frac{g}{\sqrt{v' - c \, a'^2 + \epsilon}}, \quad \theta' = \theta - m'",
    shapes="p (...), v (...), a (...), m (...), g (...) -> p' (...), v' (...), a' (...), m' (...)",
    source="Tieleman and Hinton 2012",
    constants={**STEP, "rho": SHARE, "momentum": SHARE, "epsilon": NOT_NEGATIVE, "centered": FLAG},
)
def rmsprop_update(p, v, a, m, g, *, learning_rate, rho, momentum, epsilon, centered):
    """RMSprop: the gradient divided by its running root mean square.

    Arguments: p, v, a, m, g (...), parameter, mean square, mean (used if centered), velocity, gradient; learning_rate;
    rho, the share of the means that stays; momentum, that of the velocity; epsilon; centered, whether to divide by the
    gradient's standard deviation instead.
    Returns: (p', v', a', m').

    >>> zero, settings = np.zeros(1), {"momentum": 0.0, "epsilon": 0.0, "centered": False}
    >>> rmsprop_update(zero, zero, zero, zero, np.ones(1), learning_rate=0.1, rho=0.75, **settings)[0]
    array([-0.2])
    """
    rho_, rest = p.dtype.type(rho), p.dtype.type(1 - rho)
    v = rho_ * v + rest * g * g
    a = rho_ * a + rest * g if centered else a
    variance = v - a * a if centered else v
    m = p.dtype.type(momentum) * m + p.dtype.type(learning_rate) * g / np.sqrt(variance + p.dtype.type(epsilon))
    return (p - m, v, a, m), None


@literal_of(rmsprop_update)
@elementwise
def rmsprop_update_literal(p, v, a, m, g, *, learning_rate, rho, momentum, epsilon, centered):
    v = rho * v + (1 - rho) * g**2
    a = rho * a + (1 - rho) * g if centered else a
    variance = v - a**2 if centered else v
    m = momentum * m + learning_rate * g / math.sqrt(variance + epsilon)
    return p - m, v, a, m


@samples_of(rmsprop_update)
def rmsprop_update_samples(draw):
    p, a, m, g = (draw.array(draw.integer(5, 5)) for _ in range(4))
    constants = {"learning_rate": 0.01, "rho": 0.9, "momentum": draw.choice([0.0, 0.9]), "epsilon": 1e-7}
    return (p, a**2 + 1, a, m, g), {**constants, "centered": draw.choice([False, True])}


@op(
    r"a' = \mu a + (1 - \mu) \theta",
    shapes="a (...), p (...) -> a' (...)",
    source="Polyak and Juditsky 1992; its exponential form, as in Keras",
    constants={"momentum": SHARE},
)
def average_update(a, p, *, momentum):
    """Weight averaging: the average a follows the parameter p, which it does not change.

    Arguments: a, p (...), average, parameter; momentum, the share of the average that stays.
    Returns: (a',).

    >>> average_update(np.array([1.0]), np.array([3.0]), momentum=0.75)
    (array([1.5]),)
    """
    mu = a.dtype.type(momentum)
    return (mu * a + (1 - mu) * p,), None


@literal_of(average_update)
@elementwise
def average_update_literal(a, p, *, momentum):
    return (momentum * a + (1 - momentum) * p,)


@samples_of(average_update)
def average_update_samples(draw):
    n = draw.integer(1, 9)
    return (draw.array(n), draw.array(n)), {"momentum": draw.choice([0.0, 0.9, 0.99])}


@op(
    r"v' = v + g^2, \quad \theta' = \theta - \eta \frac{g}{\sqrt{v' + \epsilon}}",
    shapes="p (...), v (...), g (...) -> p' (...), v' (...)",
    source="Duchi et al. 2011",
    constants={**STEP, "epsilon": NOT_NEGATIVE},
)
def adagrad_update(p, v, g, *, learning_rate, epsilon):
    """Adagrad: steps shrink with the sum of all squared gradients so far.

    Arguments: p, v, g (...), parameter, sum of squares, gradient; learning_rate; epsilon.
    Returns: (p', v').

    >>> adagrad_update(np.array([1.0]), np.array([3.0]), np.array([1.0]), learning_rate=0.5, epsilon=0.0)
    (array([0.75]), array([4.]))
    """
    v = v + g * g
    return (p - p.dtype.type(learning_rate) * g / np.sqrt(v + p.dtype.type(epsilon)), v), None


@literal_of(adagrad_update)
@elementwise
def adagrad_update_literal(p, v, g, *, learning_rate, epsilon):
    v = v + g**2
    return p - learning_rate * g / math.sqrt(v + epsilon), v


@samples_of(adagrad_update)
def adagrad_update_samples(draw):
    n = draw.integer(1, 9)
    return (draw.array(n), draw.array(n) ** 2, draw.array(n)), {"learning_rate": 0.1, "epsilon": 1e-7}


@op(
    r"m' = \beta_1 m + (1 - \beta_1) g, \quad v' = \beta_2 v + (1 - \beta_2) g^2, \quad"
    r" \theta' = \theta - \eta \frac{\sqrt{1 - \beta_2^t}}{1 - \beta_1^t} \frac{m'}{\sqrt{v'} + \epsilon}",
    shapes="p (...), m (...), v (...), g (...) -> p' (...), m' (...), v' (...)",
    source="document, 4.3, adam; Kingma and Ba 2014, with Keras's place for epsilon",
    constants={**STEP, "beta_1": SHARE_BELOW_1, "beta_2": SHARE_BELOW_1, "epsilon": NOT_NEGATIVE, "step": COUNT},
)
def adam_update(p, m, v, g, *, learning_rate, beta_1, beta_2, epsilon, step):
    """Adam: the mean gradient divided by its root mean square; epsilon stands outside the bias correction.

    Arguments: p, m, v, g (...), parameter, mean, mean square, gradient; learning_rate; beta_1 and beta_2, the shares of
    m and v that stay; epsilon; step, the number of this step, from 1.
    Returns: (p', m', v').

    >>> zero, constants = np.zeros(1), {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 0.0}
    >>> adam_update(zero, zero, zero, np.ones(1), learning_rate=0.1, step=1, **constants)[0].round(6)
    array([-0.1])
    """
    number = p.dtype.type
    alpha = number(learning_rate * math.sqrt(1 - beta_2**step) / (1 - beta_1**step))
    m = m + (g - m) * number(1 - beta_1)
    v = v + (g * g - v) * number(1 - beta_2)
    return (p - alpha * m / (np.sqrt(v) + number(epsilon)), m, v), None


@literal_of(adam_update)
@elementwise
def adam_update_literal(p, m, v, g, *, learning_rate, beta_1, beta_2, epsilon, step):
    m = beta_1 * m + (1 - beta_1) * g
    v = beta_2 * v + (1 - beta_2) * g**2
    alpha = learning_rate * math.sqrt(1 - beta_2**step) / (1 - beta_1**step)
    return p - alpha * m / (math.sqrt(v) + epsilon), m, v


@samples_of(adam_update)
def adam_update_samples(draw):
    n = draw.integer(1, 9)
    constants = {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7, "step": draw.integer(1, 50)}
    return (draw.array(n), draw.array(n), draw.array(n) ** 2, draw.array(n)), constants


for rule in (sgd_update, momentum_update, rmsprop_update, average_update, adagrad_update, adam_update):
    requirement_of(rule)(one_shape)
