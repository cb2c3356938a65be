"""Dropout: the gradient · 随机失活

In training, dropout sets a share `rate` of the numbers to zero, those where mask is False, and makes the others
larger, so that the sum stays the same on average. The mask was drawn in forward, and backward gets the same one.
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
        "Every y depends on one x alone. If that x moves by 1, by how much does y move, kept or dropped?",
        "A dropped number did not move y at all; a kept one moved it by more than 1.",
        "dx = dy * mask / (1 - rate).",
    ),
    bugs=[
        Bug("scale forgotten", "dy * mask / (1 - rate)", "dy * mask"),
        Bug("mask forgotten", " * mask", ""),
        Bug("mask inverted", "* mask", "* ~mask"),
    ],
)
