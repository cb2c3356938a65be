"""A sigmoid that never overflows · 数值稳定性

Coded as written, the equation computes e^800 at x = -800, which overflows, and NumPy warns. Write a sigmoid that is
right for every x and causes no warning. Then write the loss as a function of the score z. At z = 40 and target 0 the
model is certain and wrong, and the loss is 40. The logarithm of a rounded probability would be infinite; with a clipped
probability the loss would be 16.
"""

import numpy as np

from tinydx import ops
from tinydx.exercises import Bug, Exercise, Values


def sigmoid(x):
    """x (...) any numbers -> y (...)"""
    # solution
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def loss_of_score(z, t):
    """z (...) scores, t (...) targets 0 or 1 -> (...) -t ln sigmoid(z) - (1 - t) ln(1 - sigmoid(z))"""
    # solution
    return np.maximum(z, 0) - z * t + np.log1p(np.exp(-np.abs(z)))


# ---- the runner's part ---------------------------------------------------------------------------------------------


def reference_loss(z, t):
    return np.logaddexp(0, z) - z * t


def numbers(draw):
    far = np.array([-1000.0, -745.0, -40.0, 40.0, 709.0, 1000.0])
    return (np.concatenate([far, 3 * draw.array(draw.integer(5, 9))]),)


def scores_and_targets(draw):
    (z,) = numbers(draw)
    return z, (draw.array(len(z)) > 0).astype(float)


EXERCISE = Exercise(
    checks=[
        Values(sigmoid, like=lambda x: ops.sigmoid.forward(x)[0], samples=numbers, quiet=True),
        Values(loss_of_score, like=reference_loss, samples=scores_and_targets, names=("loss",), quiet=True),
    ],
    equation=ops.sigmoid.equation,
    shapes=ops.sigmoid.shapes,
    source=ops.sigmoid.source,
    hints=(
        "An exponential overflows only where its exponent is large and positive. Can you use e^-|x| for both signs of x?",
        "For negative x, multiply numerator and denominator by e^x: e^x / (1 + e^x). Note that np.where computes both of its branches for every x.",
        "With e = e^-|x| the sigmoid is 1 / (1 + e) or e / (1 + e); the loss is max(z, 0) - z t + log1p(e^-|z|).",
    ),
    bugs=[
        Bug(
            "overflow",
            "np.where(x >= 0, 1, e) / (1 + e)",
            "1 / (1 + np.exp(-x))",
            "e^-x overflows where x is far below 0. e^-|x| never does.",
        ),
        Bug(
            "NaN",
            "np.where(x >= 0, 1, e) / (1 + e)",
            "np.exp(x) / (1 + np.exp(x))",
            "Where x is large, e^x / (1 + e^x) is infinity divided by infinity. e^-|x| is never more than 1.",
        ),
        Bug(
            "sign of x ignored",
            "np.where(x >= 0, 1, e)",
            "1",
            "1 / (1 + e^-|x|) is never below 0.5, so it is right for positive x only.",
        ),
        Bug(
            "probability clipped",
            "np.maximum(z, 0) - z * t + np.log1p(np.exp(-np.abs(z)))",
            "-np.log(np.clip(np.where(t > 0, sigmoid(z), sigmoid(-z)), 1e-7, 1))",
            "With a clipped probability the loss cannot exceed 16, and its gradient there is 0, so the model never learns from this example. Compute the loss from the score.",
        ),
        Bug(
            "probability clipped at both ends",
            "np.maximum(z, 0) - z * t + np.log1p(np.exp(-np.abs(z)))",
            "-t * np.log(np.clip(sigmoid(z), 1e-7, 1 - 1e-7)) - (1 - t) * np.log(1 - np.clip(sigmoid(z), 1e-7, 1 - 1e-7))",
            "With a clipped probability the loss cannot exceed 16, and where the model is right it is not 0 either. Compute the loss from the score.",
        ),
        Bug("sign of z t", "- z * t", "+ z * t", "With t = 1 the loss is ln(1 + e^-z), which falls as z grows: subtract z t."),
    ],
)
