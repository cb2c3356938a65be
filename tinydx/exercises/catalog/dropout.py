"""Dropout: the gradient · 随机失活

In training, dropout sets a share `rate` of the elements to zero, those where mask is False. It scales the others up, so
that the expected sum does not change. Forward draws the mask, and backward gets the same mask.
"""

import numpy as np

from tinydx import ops
from tinydx.exercises import Bug, Exercise, Gradients


def dropout(x, mask, rate):
    """Given: x (...), mask (...) of bool, rate a number -> y (...)"""
    return np.where(mask, x / (1 - rate), 0)


def dropout_backward(dy, mask, rate):
    """dy (...), mask (...) of bool, rate a number -> dx (...)"""
    # solution
    return dy * mask / (1 - rate)


# ---- the runner's part ---------------------------------------------------------------------------------------------


def dropout_samples(draw):
    shape = draw.integer(2, 4), draw.integer(5, 7)
    rate = draw.choice([0.2, 0.4, 0.7])
    return (draw.array(*shape),), {"mask": draw.array(*shape) > 0, "rate": rate}


EXERCISE = Exercise(
    checks=[Gradients(dropout_backward, of=ops.dropout, samples=dropout_samples)],
    hints=(
        "Every element of y depends on one element of x. What is the derivative where the element was kept, and where it was dropped?",
        "The derivative is 0 for a dropped element and larger than 1 for a kept one.",
        "dx = dy * mask / (1 - rate).",
    ),
    bugs=[
        Bug("scale forgotten", "dy * mask / (1 - rate)", "dy * mask"),
        Bug("mask forgotten", " * mask", ""),
        Bug("mask inverted", "* mask", "* ~mask"),
        Bug(
            "divided by the rate",
            "mask / (1 - rate)\n",
            "mask / rate\n",
            "Forward divided by 1 - rate, the share that is kept: so must backward.",
        ),
        Bug(
            "multiplied by the kept share",
            "mask / (1 - rate)\n",
            "mask * (1 - rate)\n",
            "Forward divided by 1 - rate: backward divides by it, too, and does not multiply.",
        ),
    ],
)
