"""ReLU: the gradient · 线性整流函数

ReLU keeps positive numbers and replaces the others by zero. dy is the gradient of the loss with respect to y, and x is
the input. Return the gradient with respect to x, in x's shape. At x = 0 it is 0.
"""

import numpy as np

from tinydx import ops
from tinydx.exercises import Bug, Exercise, Gradients


def relu(x):
    """Given: x (...) -> y (...)"""
    return np.maximum(x, 0)


def relu_backward(dy, x):
    """dy (...), x (...) -> dx (...)"""
    # solution
    return dy * (x > 0)


# ---- the runner's part ---------------------------------------------------------------------------------------------

EXERCISE = Exercise(
    checks=[Gradients(relu_backward, of=ops.relu)],
    hints=(
        "Sketch the graph of ReLU. What is its slope left of zero, and what is it right of zero?",
        "The chain rule: dx is dy times the slope at x. The slope is 1 where x is positive, else 0.",
        "The comparison (x > 0) gives an array of True and False, which multiply like 1 and 0.",
    ),
    bugs=[
        Bug("gate forgotten", "dy * (x > 0)", "dy"),
        Bug("gate on the gradient", "dy * (x > 0)", "np.maximum(dy, 0)"),
        Bug("gate inverted", "x > 0", "x <= 0"),
        Bug(
            "dy forgotten",
            "dy * (x > 0)",
            "(x > 0) * 1.0",
            "The slope alone is not dx: multiply it by dy, the gradient that comes in.",
        ),
    ],
)
