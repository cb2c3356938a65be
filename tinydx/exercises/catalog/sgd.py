"""Gradient descent, with and without momentum · 梯度下降

One training step moves every parameter p a little against its gradient g. With momentum, the velocity m remembers
earlier steps: it is multiplied by `momentum`, and the new step is added. Return the new values.
"""

from tinydx import ops
from tinydx.exercises import Bug, Exercise, Values


def sgd(p, g, learning_rate):
    """p (...), g (...), learning_rate a number -> new p (...)"""
    # solution
    return p - learning_rate * g


def sgd_with_momentum(p, m, g, learning_rate, momentum):
    """p (...), m (...), g (...), learning_rate and momentum numbers -> new p (...), new m (...)"""
    # solution
    m = momentum * m - learning_rate * g
    return p + m, m


# ---- the runner's part ---------------------------------------------------------------------------------------------


def plain_step(p, g, learning_rate):
    return ops.sgd_update.forward(p, g, learning_rate=learning_rate)[0][0]


def momentum_step(p, m, g, learning_rate, momentum):
    return ops.momentum_update.forward(p, m, g, learning_rate=learning_rate, momentum=momentum)[0]


def plain_samples(draw):
    shape = draw.integer(2, 3), draw.integer(4, 5)
    return draw.array(*shape), draw.array(*shape), draw.choice([0.1, 0.03])


def momentum_samples(draw):
    p, g, rate = plain_samples(draw)
    return p, draw.array(*p.shape), g, rate, draw.choice([0.9, 0.6])


EXERCISE = Exercise(
    checks=[
        Values(sgd, like=plain_step, samples=plain_samples, names=("p",)),
        Values(sgd_with_momentum, like=momentum_step, samples=momentum_samples, names=("p", "m")),
    ],
    equation=ops.sgd_update.equation + r", \quad m' = \mu m - \eta g, \quad \theta' = \theta + m'",
    shapes=ops.momentum_update.shapes,
    source=ops.sgd_update.source,
    hints=(
        "The gradient points in the direction in which the loss grows. Which way must p move?",
        "The learning rate determines how far. With momentum, first compute the new velocity, then move by it.",
        "m' = momentum * m - learning_rate * g, and p' = p + m'. Return both.",
    ),
    bugs=[
        Bug("uphill", "p - learning_rate * g", "p + learning_rate * g", "This increases the loss: subtract the gradient."),
        Bug(
            "learning rate forgotten",
            "p - learning_rate * g",
            "p - g",
            "The gradient gives the direction, the learning rate the size of the step: multiply them.",
        ),
        Bug(
            "old velocity used",
            "return p + m, m",
            "return p + (m + learning_rate * g) / momentum, m",
            "Move by the new velocity, which includes this step's gradient.",
        ),
        Bug(
            "momentum not multiplied",
            "momentum * m - ",
            "m - ",
            "Multiply the old velocity by `momentum`: only this share of it is kept.",
        ),
        Bug(
            "velocity uphill",
            "- learning_rate * g\n    return p",
            "+ learning_rate * g\n    return p",
            "The velocity must point against the gradient: subtract learning_rate * g.",
        ),
        Bug(
            "velocity without the learning rate",
            "m = momentum * m - learning_rate * g\n    return p + m, m",
            "m = momentum * m + g\n    return p - learning_rate * m, m",
            "This is PyTorch's form, whose velocity is a sum of gradients. Here the velocity is a step: it contains -learning_rate * g.",
        ),
        Bug(
            "gradient times 1 - momentum",
            "m - learning_rate * g\n    return p",
            "m - (1 - momentum) * learning_rate * g\n    return p",
            "The velocity is a sum, not a mean: the new gradient counts whole, without 1 - momentum.",
        ),
    ],
)
