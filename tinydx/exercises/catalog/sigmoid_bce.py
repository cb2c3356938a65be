"""Sigmoid and binary cross-entropy: the gradient · 二元交叉熵

The loss of the document's program, computed from the scores z before the sigmoid. Sigmoid and logarithm together have a
much simpler gradient than either alone. L is the mean over all n elements; dL, a number, is the incoming gradient.
"""

import numpy as np

from tinydx import ops
from tinydx.exercises import Bug, Exercise, Gradients


def sigmoid(z):
    """Given: z (...) -> p (...)"""
    return 1 / (1 + np.exp(-z))


def sigmoid_bce(z, target):
    """Given: z (...) scores, target (...) 0 or 1 -> L ()"""
    p = sigmoid(z)
    return -(target * np.log(p) + (1 - target) * np.log(1 - p)).mean()


def sigmoid_bce_backward(dL, z, target):
    """dL (), z (...), target (...) -> dz (...)"""
    # solution
    return dL * (sigmoid(z) - target) / z.size


# ---- the runner's part ---------------------------------------------------------------------------------------------


def scores_and_targets(draw):
    shape = draw.choice([(3, 1), (2, 4), (5, 3)])
    return (draw.array(*shape),), {"target": (draw.array(*shape) > 0).astype(float)}


EXERCISE = Exercise(
    checks=[Gradients(sigmoid_bce_backward, of=ops.sigmoid_binary_crossentropy, samples=scores_and_targets)],
    shapes="z (...), target (...) -> L ()",
    hints=(
        "The gradient with respect to p is -t/p + (1 - t)/(1 - p). Multiply it by the sigmoid's slope p (1 - p). What cancels?",
        "What remains is p - t. L is a mean: which factor does that add?",
        "dz = dL * (sigmoid(z) - target) / n, where n is the number of elements, z.size.",
    ),
    bugs=[
        Bug("1/n forgotten", " / z.size", ""),
        Bug("sigmoid's slope multiplied in", "(sigmoid(z) - target)", "(sigmoid(z) - target) * sigmoid(z) * (1 - sigmoid(z))"),
        Bug("score instead of probability", "sigmoid(z) - target", "z - target"),
        Bug("sign", "sigmoid(z) - target", "target - sigmoid(z)"),
        Bug("dL forgotten", "dL * (", "("),
        Bug(
            "sigmoid's slope forgotten",
            "(sigmoid(z) - target)",
            "((1 - target) / (1 - sigmoid(z)) - target / sigmoid(z))",
            "This is the gradient with respect to p. z reaches L through p: multiply by the sigmoid's slope p (1 - p).",
        ),
    ],
)
