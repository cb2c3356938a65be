"""The convolution sum, in loops · 卷积

Write the sum for one grey image, index by index. The kernel runs backwards over the image: as p grows, the row i-p+1
falls. In the equation i, j, p and q count from 1. The sum needs no padding for i = kh..H and j = kw..W; your y holds
these results, so y[0, 0] is y(kh, kw).
"""

import numpy as np

from tinydx import ops
from tinydx.exercises import Bug, Exercise, Values


def conv_sum(x, w, b):
    """x (H,W) image, w (kh,kw) kernel, b a number -> y (H-kh+1,W-kw+1)"""
    # solution
    kh, kw = w.shape
    y = np.zeros((x.shape[0] - kh + 1, x.shape[1] - kw + 1))
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            for p in range(kh):
                for q in range(kw):
                    y[i, j] += x[i + kh - 1 - p, j + kw - 1 - q] * w[p, q]
            y[i, j] += b
    return y


# ---- the runner's part ---------------------------------------------------------------------------------------------


def of_the_table(x, w, b):
    return ops.conv2d(x[None, :, :, None], w[:, :, None, None], np.array([b]))[0, :, :, 0]


def samples(draw):
    kernel = draw.choice([(2, 3), (3, 2), (3, 3)])
    return draw.array(draw.integer(4, 6), draw.integer(5, 7)), draw.array(*kernel), float(draw.array(1)[0])


EXERCISE = Exercise(
    checks=[Values(conv_sum, like=of_the_table, samples=samples)],
    equation=ops.conv2d.equation,
    shapes="x (H,W), w (kh,kw), b () -> y (H-kh+1,W-kw+1)",
    source=ops.conv2d.source,
    hints=(
        "Write four loops: two over the elements of y and two over the elements of w. How many rows and columns does y have?",
        "With indices from 0, y[i, j] is the document's y(i + kh, j + kw), and w[p, q] is its w(p + 1, q + 1). Insert these into i - p + 1, and subtract 1 for x's own index.",
        "y[i, j] is the sum of x[i + kh - 1 - p, j + kw - 1 - q] * w[p, q] over p and q, plus b once.",
    ),
    bugs=[
        Bug(
            "kernel not flipped",
            "x[i + kh - 1 - p, j + kw - 1 - q]",
            "x[i + p, j + q]",
            "This is the correlation, which libraries call convolution. In the document's sum, the row i-p+1 falls as p grows.",
        ),
        Bug(
            "flipped along one axis only",
            "j + kw - 1 - q",
            "j + q",
            "The rows run backwards, but the columns do not. Both indices fall: i-p+1 as p grows, j-q+1 as q grows.",
        ),
        Bug("bias forgotten", "            y[i, j] += b\n", "", "Add b to every element of y."),
        Bug(
            "bias added for every weight",
            "            y[i, j] += b\n",
            "                    y[i, j] += b\n",
            "b is outside the sum: add it once, not for every p and q.",
        ),
        Bug("= instead of +=", "y[i, j] += x", "y[i, j] = x", "A sum accumulates: with = only the last product remains."),
        Bug(
            "indices below zero",
            "x[i + kh - 1 - p, j + kw - 1 - q]",
            "x[i - p, j - q]",
            "In Python an index below 0 counts from the end: x[-1] is the last row. y[0, 0] is the document's y(kh, kw), so add kh - 1 and kw - 1.",
        ),
    ],
)
