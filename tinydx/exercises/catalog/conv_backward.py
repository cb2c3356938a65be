"""The convolution: its three gradients · 卷积的反向传播

The document's sum for a batch of colour images and several kernels: every output is a sum over p, q and the channels.
As in the equation, the kernel runs backwards over the image. Return the gradients of image, kernel and bias.
"""

import numpy as np

from tinydx import ops
from tinydx.exercises import Bug, Exercise, Gradients


def conv(x, w, b):
    """Given: x (N,H,W,C), w (kh,kw,C,F), b (F,) -> y (N,OH,OW,F), with OH = H-kh+1 and OW = W-kw+1"""
    kh, kw = w.shape[:2]
    rows, columns = x.shape[1] - kh + 1, x.shape[2] - kw + 1
    y = np.zeros((len(x), rows, columns, w.shape[3])) + b
    for p in range(kh):
        for q in range(kw):
            i, j = kh - 1 - p, kw - 1 - q  # the first pixel that w[p, q] multiplies
            y += x[:, i : i + rows, j : j + columns] @ w[p, q]
    return y


def conv_backward(dy, x, w):
    """dy (N,OH,OW,F), x (N,H,W,C), w (kh,kw,C,F) -> dx, dw, db, of the shapes of x, w and b"""
    # solution
    kh, kw = w.shape[:2]
    rows, columns = dy.shape[1:3]
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for p in range(kh):
        for q in range(kw):
            i, j = kh - 1 - p, kw - 1 - q
            seen = x[:, i : i + rows, j : j + columns]
            dx[:, i : i + rows, j : j + columns] += dy @ w[p, q].T
            dw[p, q] = np.einsum("nijc,nijf->cf", seen, dy)
    return dx, dw, dy.sum(axis=(0, 1, 2))


# ---- the runner's part ---------------------------------------------------------------------------------------------


def conv_samples(draw):
    kernel = draw.choice([(2, 3), (3, 2), (3, 3)])
    c, f = draw.integer(1, 2), draw.integer(2, 3)
    x = draw.array(draw.integer(2, 3), draw.integer(4, 5), draw.integer(5, 6), c)
    return (x, draw.array(*kernel, c, f), draw.array(f)), {}


EXERCISE = Exercise(
    checks=[Gradients(conv_backward, of=ops.conv2d, samples=conv_samples)],
    shapes="x (N,H,W,C), w (kh,kw,C,F), b (F,) -> y (N,OH,OW,F)",
    hints=(
        "Begin with db: b[f] was added to every output of every image. Then use forward's loops over p and q again.",
        "In forward, y += seen @ w[p, q] is a dense layer at every pixel, where seen is a part of x. So this part of dx gets dy @ w[p, q].T.",
        "dw[p, q] is the sum of seen.T @ dy over images, rows and columns: np.einsum('nijc,nijf->cf', seen, dy). Windows overlap, so dx needs +=.",
    ),
    bugs=[
        Bug("kernel rotated by 180 degrees", "i, j = kh - 1 - p, kw - 1 - q\n            seen", "i, j = p, q\n            seen"),
        Bug("averaged over the batch", "dw, dy.sum(axis=(0, 1, 2))", "dw / len(dy), dy.sum(axis=(0, 1, 2)) / len(dy)"),
        Bug("= instead of +=", "j : j + columns] += dy", "j : j + columns] = dy"),
        Bug("first image only", "seen, dy)", "seen[:1], dy[:1])"),
    ],
)
