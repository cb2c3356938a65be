"""Tanh: the gradient · 双曲正切函数

Tanh maps every number into (-1, 1). It is the activation of the document's recurrence. As with the sigmoid, its slope
can be computed from its own result. Return the gradient with respect to x, from dy and y.
"""

import numpy as np

from tinydx import ops
from tinydx.exercises import Bug, Exercise, Gradients


def tanh(x):
    """Given: x (...) -> y (...)"""
    return np.tanh(x)


def tanh_backward(dy, y):
    """dy (...), y (...) the tanh of x -> dx (...)"""
    # solution
    return dy * (1 - y**2)


# ---- the runner's part ---------------------------------------------------------------------------------------------

EXERCISE = Exercise(
    checks=[Gradients(tanh_backward, of=ops.tanh)],
    hints=(
        "Tanh is a quotient: use the quotient rule. What are the derivatives of e^x + e^-x and of e^x - e^-x?",
        "The quotient rule gives (v^2 - u^2) / v^2, with u the numerator and v the denominator of tanh. Divide both terms by v^2.",
        "u / v is y, so the slope is 1 - y^2.",
    ),
    bugs=[
        Bug("square forgotten", "1 - y**2", "1 - y"),
        Bug("y used as x", "1 - y**2", "1 - np.tanh(y) ** 2"),
        Bug("derivative of the sigmoid", "(1 - y**2)", "y * (1 - y)"),
        Bug("sign", "1 - y**2", "y**2 - 1", "The slope 1 - y**2 is never negative, so dx has the sign of dy."),
    ],
)
