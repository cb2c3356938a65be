"""Sigmoid: the gradient · S 形函数

The sigmoid maps every number into (0, 1). Its slope can be computed from its own result, so forward saves y, and
backward does not need x. Return the gradient with respect to x, from dy and y.
"""

import numpy as np

from tinydx import ops
from tinydx.exercises import Bug, Exercise, Gradients


def sigmoid(x):
    """Given: x (...) -> y (...)"""
    return 1 / (1 + np.exp(-x))


def sigmoid_backward(dy, y):
    """dy (...), y (...) the sigmoid of x -> dx (...)"""
    # solution
    return dy * y * (1 - y)


# ---- the runner's part ---------------------------------------------------------------------------------------------

EXERCISE = Exercise(
    checks=[Gradients(sigmoid_backward, of=ops.sigmoid)],
    hints=(
        "Differentiate 1 / (1 + e^-x) with the rule for 1/u: the result has e^-x in the numerator and a square in the denominator.",
        "e^-x / (1 + e^-x)^2 is a product of two factors, one of which is y. What is the other, in terms of y?",
        "The slope is y (1 - y), and the chain rule multiplies it by dy.",
    ),
    bugs=[
        Bug("y used as x", "y * (1 - y)", "sigmoid(y) * (1 - sigmoid(y))"),
        Bug("factor (1 - y) forgotten", "y * (1 - y)", "y"),
        Bug("derivative of tanh", "y * (1 - y)", "(1 - y**2)"),
    ],
)
