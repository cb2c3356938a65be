"""Weights in a few bits · 量化

With b bits a weight becomes a whole number from -m to m, where m = 2^(b-1) - 1, times the scale of its column: the largest
number of the column, without its sign, becomes m. A column of zeros has the scale 1. Write the rounding, and the dense layer
that computes with whole numbers and takes the scale out of the sum.
"""

import numpy as np

from tinydx.exercises import Bug, Exercise, Values


def quantise(w, bits):
    """w (D,F), bits -> q (D,F) whole numbers, scale (F,)"""
    # solution
    largest = np.abs(w).max(axis=0)
    scale = np.where(largest > 0, largest / (2 ** (bits - 1) - 1), 1.0)
    return np.rint(w / scale), scale


def dense(x, q, scale):
    """x (N,D), q (D,F), scale (F,) -> y (N,F)"""
    # solution
    return (x @ q) * scale


# ---- the runner's part ---------------------------------------------------------------------------------------------


def rounded(w, bits):
    q, scale = np.zeros(w.shape), np.ones(w.shape[1])
    for f in range(w.shape[1]):
        if w[:, f].any():
            scale[f] = max(abs(w[:, f])) / (2 ** (bits - 1) - 1)
            q[:, f] = np.round(w[:, f] / scale[f])
    return q, scale


def weights(draw):
    bits = draw.choice([8, 4, 3])
    w = draw.array(draw.integer(5, 7), draw.integer(3, 4)) + 0.0
    w[0] = -2 * np.abs(w).max() * (1 + np.arange(w.shape[1]))  # the largest of each column is negative
    w[:, -1] = 0
    return w, bits


def dense_arrays(draw):
    d, f = draw.integer(3, 4), draw.integer(5, 6)
    return draw.array(2, d), np.rint(50 * draw.array(d, f)), 0.1 + np.abs(draw.array(f))


EXERCISE = Exercise(
    checks=[
        Values(quantise, like=rounded, samples=weights, names=("q", "scale")),
        Values(dense, like=lambda x, q, scale: x @ (q * scale), samples=dense_arrays, names=("y",)),
    ],
    equation=r"w_df = s_f q_df, \quad y_f = s_f \sum x_d q_df",
    shapes="w (D,F), bits -> q (D,F), scale (F,); x (N,D), q, scale -> y (N,F)",
    source="Jacob et al. 2018, for weights alone",
    hints=(
        "Which whole numbers can b bits hold, as many above 0 as below? The largest weight of a column must become the largest one.",
        "scale = max over the rows of |w| / (2^(bits-1) - 1), one for each column; where that is 0, it is 1. Then round w / scale.",
        "np.rint(w / scale) rounds to the nearest whole number. y = (x @ q) * scale: the scale belongs to the column, not to the sum.",
    ),
    bugs=[
        Bug(
            "one scale for all columns",
            "np.abs(w).max(axis=0)",
            "np.full(w.shape[1], np.abs(w).max())",
            "Each column has its own scale: the maximum runs over the rows, axis 0.",
        ),
        Bug(
            "sign not removed",
            "np.abs(w).max(axis=0)",
            "w.max(axis=0)",
            "The largest number may be negative: take the maximum of |w|.",
        ),
        Bug(
            "cut off instead of rounded",
            "np.rint(w / scale)",
            "np.trunc(w / scale)",
            "Cutting off errs by up to a whole step; the nearest whole number by half a step.",
        ),
        Bug(
            "one number too many",
            "(2 ** (bits - 1) - 1)",
            "2 ** (bits - 1)",
            "With b bits the largest number is 2^(b-1) - 1: 127 for 8 bits.",
        ),
        Bug(
            "column of zeros divided by zero",
            "np.where(largest > 0, largest / (2 ** (bits - 1) - 1), 1.0)",
            "largest / (2 ** (bits - 1) - 1)",
            "The scale of a column of zeros would be 0: it is 1.",
        ),
        Bug("scale forgotten", "(x @ q) * scale", "x @ q", "q are whole numbers: multiply each column's sum by its scale."),
        Bug(
            "divided by the scale",
            "(x @ q) * scale",
            "(x @ q) / scale",
            "w = scale times q: the sum is multiplied by the scale.",
        ),
    ],
)
