"""Max pooling: the gradient · 最大池化

Every output is the largest pixel of its window, which begins at (si, sj): s is the stride. Only this pixel affects y, so
it alone gets the gradient. Where several pixels tie, the first in row order gets it. Windows overlap where the stride is
smaller than the size; then a pixel can be the largest of several windows. Pixels at the right and lower border that fill
no whole window are ignored.
"""

import numpy as np

from tinydx import ops
from tinydx.exercises import Bug, Exercise, Gradients


def max_pool_backward(dy, x, size, stride):
    """dy (N,OH,OW,C), x (N,H,W,C), windows of size x size pixels that begin every stride pixels -> dx (N,H,W,C)"""
    # solution
    dx = np.zeros_like(x)
    for n, i, j, c in np.ndindex(dy.shape):
        rows, columns = slice(i * stride, i * stride + size), slice(j * stride, j * stride + size)
        window = x[n, rows, columns, c]
        p, q = divmod(np.argmax(window), size)
        dx[n, i * stride + p, j * stride + q, c] += dy[n, i, j, c]
    return dx


# ---- the runner's part ---------------------------------------------------------------------------------------------


def pooling_samples(draw):
    x = draw.array(draw.integer(2, 3), draw.integer(5, 7), draw.integer(4, 6), draw.integer(1, 2))
    size, stride = draw.choice([(2, 2), (3, 2), (3, 1), (2, 1)])
    return (x,), {"size": size, "stride": stride}


WRITE = "dx[n, i * stride + p, j * stride + q, c] += dy[n, i, j, c]"

EXERCISE = Exercise(
    checks=[Gradients(max_pool_backward, of=ops.max_pool2d, samples=pooling_samples)],
    hints=(
        "Loop over the elements of dy. Which pixels of x belong to y[n, i, j, c], and which of them is the largest?",
        "The window begins at row i * stride and column j * stride. np.argmax counts in row order and returns the first of equal values.",
        "divmod(np.argmax(window), size) gives the row and the column in the window. Add dy[n, i, j, c] there with +=.",
    ),
    bugs=[
        Bug("= instead of +=", "c] += dy", "c] = dy"),
        Bug("every pixel of the window gets it", WRITE, "dx[n, rows, columns, c] += dy[n, i, j, c]"),
        Bug("every tied pixel gets all of it", WRITE, "dx[n, rows, columns, c] += dy[n, i, j, c] * (window == window.max())"),
        Bug("shared out over the window", WRITE, "dx[n, rows, columns, c] += dy[n, i, j, c] / size**2"),
        Bug("stride ignored", WRITE, "dx[n, i + p, j + q, c] += dy[n, i, j, c]"),
        Bug(
            "place of the window forgotten",
            "dx[n, i * stride + p, j * stride + q, c] += dy[n, i, j, c]",
            "dx[n, p, q, c] += dy[n, i, j, c]",
            "p and q count within the window: add where the window begins, i * stride and j * stride.",
        ),
    ],
)
