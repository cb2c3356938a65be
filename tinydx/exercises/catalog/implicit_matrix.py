"""A convolution as a matrix product, without the matrix · 隐式矩阵乘法

Take a matrix whose row m contains the window of output pixel m; column k is then one number of every window. Its product
with the weights, w.reshape(kh * kw * C, F), is the correlation. The matrix would be about kh * kw times as large as the
image, so a GPU never stores it: each thread computes where in the image its number is. Write this computation.
"""

import numpy as np

from tinydx.exercises import Bug, Exercise, Values


def element(x, kh, kw, m, k):
    """x (N,H,W,C), a kernel of kh x kw; row m, column k -> the number of x at this place

    m counts images, then rows, then columns of y (H-kh+1 rows, W-kw+1 columns), the last fastest. k counts p, q, channels.
    """
    # solution
    rows, columns, channels = x.shape[1] - kh + 1, x.shape[2] - kw + 1, x.shape[3]
    n, i, j = m // (rows * columns), m // columns % rows, m % columns
    p, q, c = k // (kw * channels), k // channels % kw, k % channels
    return x[n, i + p, j + q, c]


def correlation(x, w):
    """Given: x (N,H,W,C), w (kh,kw,C,F) -> y (N,H-kh+1,W-kw+1,F)"""
    kh, kw, channels, filters = w.shape
    shape = x.shape[0], x.shape[1] - kh + 1, x.shape[2] - kw + 1
    rows, columns = range(shape[0] * shape[1] * shape[2]), range(kh * kw * channels)
    matrix = np.array([[element(x, kh, kw, m, k) for k in columns] for m in rows])
    return (matrix @ w.reshape(len(columns), filters)).reshape(*shape, filters)


# ---- the runner's part ---------------------------------------------------------------------------------------------


def directly(x, w):
    kh, kw = w.shape[:2]
    rows, columns = x.shape[1] - kh + 1, x.shape[2] - kw + 1
    return sum(x[:, p : p + rows, q : q + columns] @ w[p, q] for p, q in np.ndindex(kh, kw))


def images(draw):
    kh, kw = draw.choice([(2, 3), (3, 2)])
    return draw.array(2, draw.integer(4, 5), draw.integer(6, 7), 3), draw.array(kh, kw, 3, 2)


EXERCISE = Exercise(
    checks=[Values(correlation, like=directly, samples=images)],
    equation=r"y(i,j,f) = \sum_{p,q,c} x(i+p, j+q, c) \cdot w(p,q,c,f)",
    shapes="x (N,H,W,C), w (kh,kw,C,F) -> y (N,H-kh+1,W-kw+1,F)",
    source="lesson cuda_convolution",
    hints=(
        "In a table that is counted row by row, element m is in row m // width and column m % width. Here m and k each count through three sizes.",
        "The last index runs fastest: j = m % columns, and c = k % C. Divide what remains, m // columns, by the next size.",
        "n, i, j = m // (rows * columns), m // columns % rows, m % columns, and p, q, c in the same way; the number is x[n, i + p, j + q, c].",
    ),
    bugs=[
        Bug(
            "channels counted first",
            "k // (kw * channels), k // channels % kw, k % channels",
            "k // kw % kh, k % kw, k // (kh * kw)",
            "This counts channels, p, q, the order of PyTorch's weights. Here the channels are innermost, as in w (kh,kw,C,F).",
        ),
        Bug(
            "p and q swapped",
            "k // (kw * channels), k // channels % kw, k % channels",
            "k // channels % kh, k // (kh * channels), k % channels",
            "This counts q before p. In w (kh,kw,C,F) the columns q run faster than the rows p.",
        ),
        Bug(
            "the first image only",
            "n, i, j = m // (rows * columns),",
            "n, i, j = 0,",
            "After the last pixel of an image, m continues in the next image: n = m // (rows * columns).",
        ),
        Bug(
            "kernel flipped",
            "x[n, i + p, j + q, c]",
            "x[n, i + kh - 1 - p, j + kw - 1 - q, c]",
            "This is the document's true convolution. GPU kernels compute the correlation, with weights that were flipped beforehand.",
        ),
    ],
)
