"""Average pooling: the gradient · 平均池化

Every output is the mean of its window, which begins at (si, sj): s is the stride, and |p,q| the number of its pixels.
Windows overlap where the stride is smaller than the size. Pixels at the right and lower border that fill no whole window
are ignored.
"""

import numpy as np

from tinydx import ops
from tinydx.exercises import Bug, Exercise, Gradients


def average_pool_backward(dy, x, size, stride):
    """dy (N,OH,OW,C), x (N,H,W,C), windows of size x size pixels that begin every stride pixels -> dx (N,H,W,C)"""
    # solution
    dx = np.zeros_like(x)
    for n, i, j, c in np.ndindex(dy.shape):
        rows, columns = slice(i * stride, i * stride + size), slice(j * stride, j * stride + size)
        dx[n, rows, columns, c] += dy[n, i, j, c] / size**2
    return dx


# ---- the runner's part ---------------------------------------------------------------------------------------------


def pooling_samples(draw):
    x = draw.array(draw.integer(2, 3), draw.integer(5, 7), draw.integer(4, 6), draw.integer(1, 2))
    size, stride = draw.choice([(2, 2), (3, 2), (3, 1), (2, 1)])
    return (x,), {"size": size, "stride": stride}


EXERCISE = Exercise(
    checks=[Gradients(average_pool_backward, of=ops.average_pool2d, samples=pooling_samples)],
    hints=(
        "If one pixel of the window increases by 1, by how much does the mean increase?",
        "Loop over the elements of dy, as for max pooling. Here every pixel of the window gets a share.",
        "The share is dy[n, i, j, c] / size**2. Where windows overlap, the shares add up, so use +=.",
    ),
    bugs=[
        Bug("not divided by the window", " / size**2", ""),
        Bug("= instead of +=", "+=", "="),
        Bug(
            "only one pixel of the window gets it",
            "dx[n, rows, columns, c] += dy[n, i, j, c] / size**2",
            "dx[n, i * stride, j * stride, c] += dy[n, i, j, c]",
        ),
        Bug(
            "stride ignored",
            "slice(i * stride, i * stride + size), slice(j * stride, j * stride + size)",
            "slice(i, i + size), slice(j, j + size)",
        ),
    ],
)
