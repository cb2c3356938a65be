"""Winograd: two outputs for four products · Winograd 算法

Three weights g slide over four pixels d and give two outputs, y(i) = g0 d(i) + g1 d(i+1) + g2 d(i+2), with six products.
Four are enough: Winograd's algorithm transforms both, and multiplies the results number by number. The weights become the
values of their polynomial at the points 0, 1, -1 and infinity; the transform of the pixels is given (lesson winograd derives it). The
weights, which are transformed only once, carry the factors 1/2.
"""

import numpy as np

from tinydx.exercises import Bug, Exercise, Values


def pixels_at_points(d):
    """Given: d (4,) -> values (4,)"""
    return np.array([d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]])


def weights_at_points(g):
    """g (3,) -> values (4,): the polynomial g at 0, at 1 and at -1 (both halved), and at infinity"""
    # solution
    return np.array([g[0], (g[0] + g[1] + g[2]) / 2, (g[0] - g[1] + g[2]) / 2, g[2]])


def outputs(m):
    """m (4,), the four products -> y (2,)"""
    # solution
    return np.array([m[0] + m[1] + m[2], m[1] - m[2] - m[3]])


def winograd(d, g):
    """Given: d (4,), g (3,) -> y (2,)"""
    return outputs(weights_at_points(g) * pixels_at_points(d))


# ---- the runner's part ---------------------------------------------------------------------------------------------

TO_POINTS = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
FROM_POINTS = np.array([[1, 1, 1, 0], [0, 1, -1, -1]])

EXERCISE = Exercise(
    checks=[
        Values(weights_at_points, like=lambda g: TO_POINTS @ g, samples=lambda draw: (draw.array(3),), names=("values",)),
        Values(outputs, like=lambda m: FROM_POINTS @ m, samples=lambda draw: (draw.array(4),)),
    ],
    equation=r"y = A^T ((G g) \cdot (B^T d))",
    shapes="g (3,), d (4,) -> y (2,)",
    source="lesson winograd",
    hints=(
        "The polynomial of the weights is g0 + g1 t + g2 t^2. Insert t = 0, 1 and -1. Its value at infinity is the coefficient of the highest power.",
        "With d = (1, 0, 0, 0) only the first product is nonzero, and y is (g0, 0). So m0 is part of y0 and not of y1.",
        "Try d = (0, 1, 0, 0): the products m1, m2 and m3 must give y0 = g1 and y1 = g0. Which signs do this?",
    ),
    bugs=[
        Bug(
            "halves forgotten",
            "(g[0] + g[1] + g[2]) / 2, (g[0] - g[1] + g[2]) / 2",
            "g[0] + g[1] + g[2], g[0] - g[1] + g[2]",
            "y0 contains both m1 and m2, so each carries half: divide the values at 1 and -1 by 2.",
        ),
        Bug(
            "the points 1 and -1 swapped",
            "(g[0] + g[1] + g[2]) / 2, (g[0] - g[1] + g[2]) / 2",
            "(g[0] - g[1] + g[2]) / 2, (g[0] + g[1] + g[2]) / 2",
            "The second pixel value, d1 + d2, belongs to the point 1, where all weights are added.",
        ),
        Bug(
            "infinity is not the sum",
            "g[2]])",
            "g[0] + g[1] + g[2]])",
            "At infinity only the coefficient of the highest power counts: g2.",
        ),
        Bug(
            "sign of infinity",
            "m[1] - m[2] - m[3]",
            "m[1] - m[2] + m[3]",
            "The fourth pixel value is d1 - d3, so m3 contains -g2 d3. y1 must subtract m3.",
        ),
        Bug(
            "the same sign for 1 and -1",
            "m[1] - m[2] - m[3]",
            "m[1] + m[2] - m[3]",
            "y1 collects the odd powers, which change their sign at -1.",
        ),
    ],
)
