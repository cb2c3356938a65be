"""Winograd: two outputs for four products · Winograd 算法

Three weights g slide over four pixels d and give two outputs, y(i) = g0 d(i) + g1 d(i+1) + g2 d(i+2): six products.
Four are enough. Weights and pixels are read as polynomials, and their values at the points 0, 1, -1 and infinity are
multiplied. The pixels' part is given. The halves belong to the weights, which are transformed only once.
"""

import numpy as np

from tinydx.exercises import Bug, Exercise, Values


def pixels_at_points(d):
    """Given: d (4,) -> values (4,)"""
    return np.array([d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]])


def weights_at_points(g):
    """g (3,) -> values (4,): at 0 as they are, at 1 and -1 halved, at infinity as they are"""
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
    source="lesson 19",
    hints=(
        "The polynomial of the weights is g0 + g1 t + g2 t^2. Put in t = 0, 1 and -1; at infinity the highest power alone is left.",
        "With d = (1, 0, 0, 0) only the first product is not zero, and y is (g0, 0). So outputs begins with m0 in y0 and not in y1.",
        "Try d = (0, 1, 0, 0): the products 1, 2 and 3 must add up to y0 = g1 and y1 = g0. Which signs do that?",
    ),
    bugs=[
        Bug(
            "halves forgotten",
            "(g[0] + g[1] + g[2]) / 2, (g[0] - g[1] + g[2]) / 2",
            "g[0] + g[1] + g[2], g[0] - g[1] + g[2]",
            "Two products add up in y0, so each carries half: divide the values at 1 and -1 by 2.",
        ),
        Bug(
            "the points 1 and -1 swapped",
            "(g[0] + g[1] + g[2]) / 2, (g[0] - g[1] + g[2]) / 2",
            "(g[0] - g[1] + g[2]) / 2, (g[0] + g[1] + g[2]) / 2",
            "The second pixel value is d1 + d2, which belongs to the point 1: there all weights are added.",
        ),
        Bug("infinity is not the sum", "g[2]])", "g[0] + g[1] + g[2]])", "At infinity only the highest power counts: g2."),
        Bug(
            "sign of infinity",
            "m[1] - m[2] - m[3]",
            "m[1] - m[2] + m[3]",
            "The fourth pixel value is d1 - d3, so g2 d3 comes with a minus, which y1 must take back.",
        ),
        Bug(
            "the same sign for 1 and -1",
            "m[1] - m[2] - m[3]",
            "m[1] + m[2] - m[3]",
            "In y1 odd powers count, which change their sign at -1.",
        ),
    ],
)
