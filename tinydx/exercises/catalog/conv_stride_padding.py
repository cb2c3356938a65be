"""Stride and padding: the gradients · 步幅与填充

What Keras and PyTorch call convolution does not flip the kernel. The image first gets a border of zeros, `padding`
pixels wide on every side. Then the kernel moves s = `stride` pixels at a time. Return the gradients of image, kernel and bias.
"""

import numpy as np

from tinydx import ops
from tinydx.exercises import Bug, Exercise, Gradients


def correlate(x, w, b, stride, padding):
    """Given: x (N,H,W,C), w (kh,kw,C,F), b (F,) -> y (N,OH,OW,F)"""
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    rows, columns = (x.shape[1] - w.shape[0]) // stride + 1, (x.shape[2] - w.shape[1]) // stride + 1
    y = np.zeros((len(x), rows, columns, w.shape[3])) + b
    for p in range(w.shape[0]):
        for q in range(w.shape[1]):
            y += x[:, p : p + stride * rows : stride, q : q + stride * columns : stride] @ w[p, q]
    return y


def correlate_backward(dy, x, w, stride, padding):
    """dy (N,OH,OW,F), x (N,H,W,C), w (kh,kw,C,F) -> dx, dw, db, of the shapes of x, w and b"""
    # solution
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    dpadded, dw = np.zeros_like(padded), np.zeros_like(w)
    rows, columns = dy.shape[1:3]
    for p in range(w.shape[0]):
        for q in range(w.shape[1]):
            seen = (slice(None), slice(p, p + stride * rows, stride), slice(q, q + stride * columns, stride))
            dpadded[seen] += dy @ w[p, q].T
            dw[p, q] = np.einsum("nijc,nijf->cf", padded[seen], dy)
    dx = dpadded[:, padding : padding + x.shape[1], padding : padding + x.shape[2]]
    return dx, dw, dy.sum(axis=(0, 1, 2))


# ---- the runner's part ---------------------------------------------------------------------------------------------


def strided_samples(draw):
    kernel = draw.choice([(2, 3), (3, 2), (3, 3)])
    c, f = draw.integer(1, 2), draw.integer(2, 3)
    x = draw.array(draw.integer(2, 3), draw.integer(4, 5), draw.integer(5, 6), c)
    return (x, draw.array(*kernel, c, f), draw.array(f)), {"stride": draw.choice([2, 1, 3]), "padding": draw.choice([1, 0, 2])}


EXERCISE = Exercise(
    checks=[Gradients(correlate_backward, of=ops.correlate2d, samples=strided_samples)],
    shapes="x (N,H,W,C), w (kh,kw,C,F), b (F,) -> y (N,OH,OW,F)",
    equation=r"y(i,j) = \sum_p \sum_q x(si + p, sj + q) \cdot w(p,q) + b",
    hints=(
        "Follow forward: pad x, and make an array of zeros in the shape of the padded x for its gradient. Remove the border at the end.",
        "For each p and q, forward used x[:, p : p + stride*rows : stride, q : q + stride*columns : stride]. The same slice of dx gets dy @ w[p, q].T.",
        "dx is the gradient of the padded image without its border: [:, padding : padding + H, padding : padding + W]. With padding 0 a slice padding:-padding is empty.",
    ),
    bugs=[
        Bug("= instead of +=", "dpadded[seen] += dy", "dpadded[seen] = dy"),
        Bug("averaged over the batch", "dw, dy.sum(axis=(0, 1, 2))", "dw / len(dy), dy.sum(axis=(0, 1, 2)) / len(dy)"),
        Bug(
            "border not removed",
            "dpadded[:, padding : padding + x.shape[1], padding : padding + x.shape[2]]",
            "dpadded",
            "dx has the shape of x: cut off the border that forward added.",
        ),
        Bug(
            "padding forgotten",
            "dpadded[:, padding : padding + x.shape[1], padding : padding + x.shape[2]]",
            "dpadded[:, : x.shape[1], : x.shape[2]]",
        ),
    ],
)
