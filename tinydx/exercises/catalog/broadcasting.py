"""Broadcasting and matrix products · 广播机制

A bias of shape (F,) is added to every row of (N,T,F), and one matrix multiplies every example of a batch. Both serve many
times, so their gradients are sums. Write a function that sums a gradient back to the shape of what was broadcast, and use
it in the gradients of y = x w + b.
"""

import numpy as np

from tinydx.exercises import Bug, Exercise, Gradients, Values
from tinydx.op import Op


def sum_to(dy, shape):
    """dy (...) -> (shape), summed over the axes that NumPy added in front, and over those of size 1 that it stretched"""
    # solution
    dy = dy.sum(axis=tuple(range(dy.ndim - len(shape))))
    stretched = tuple(i for i, n in enumerate(shape) if n == 1)
    return dy.sum(axis=stretched, keepdims=True)


def affine_backward(dy, x, w, b):
    """dy (N,T,F), x (N,T,D), w (D,F), b (F,) -> dx, dw, db"""
    # solution
    dw = np.einsum("ntd,ntf->df", x, dy)
    return dy @ w.T, dw, sum_to(dy, b.shape)


# ---- the runner's part ---------------------------------------------------------------------------------------------


def reference(dy, shape):
    shape = tuple(shape)
    extra = tuple(range(dy.ndim - len(shape)))
    return dy.sum(axis=extra).sum(axis=tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)


def broadcast_arrays(draw):
    n, t, f = draw.integer(2, 3), draw.integer(4, 5), draw.integer(2, 3)
    return draw.array(n, t, f), draw.choice([(f,), (t, f), (1, f), (t, 1), (n, 1, f), (1, 1)])


def affine_samples(draw):
    n, t, d, f = draw.integer(2, 3), draw.integer(4, 5), draw.integer(2, 3), draw.integer(4, 6)
    return (draw.array(n, t, d), draw.array(d, f), draw.array(f)), {}


AFFINE = Op(
    name="affine",
    equation=r"y = x w + b",
    shapes="x (N,T,D), w (D,F), b (F,) -> y (N,T,F)",
    source="document, 1.1, fully connected layer",
    forward=lambda x, w, b: (x @ w + b, None),
    samples=affine_samples,
)

EXERCISE = Exercise(
    checks=[
        Values(sum_to, like=reference, samples=broadcast_arrays, names=("dx",)),
        Gradients(affine_backward, of=AFFINE),
    ],
    hints=(
        "What was copied N times in forward gets N gradients in backward. Which axes of dy does the bias not have?",
        "NumPy aligns shapes at the end: axes that the shape lacks come first. An axis of size 1 was stretched: sum it, and keep it.",
        "dw sums x^T dy over all N examples and all T steps; dx = dy @ w.T; db = sum_to(dy, b.shape).",
    ),
    bugs=[
        Bug(
            "stretched axis forgotten",
            "return dy.sum(axis=stretched, keepdims=True)",
            "return dy",
            "An axis of size 1 was stretched, too: sum over it, and keep it with size 1.",
        ),
        Bug(
            "averaged instead of summed",
            "dy = dy.sum(axis=tuple(range(dy.ndim - len(shape))))",
            "dy = dy.mean(axis=tuple(range(dy.ndim - len(shape))))",
            "Every copy adds its gradient: sum, do not average.",
        ),
        Bug(
            "first example only",
            'np.einsum("ntd,ntf->df", x, dy)',
            "x[0].T @ dy[0]",
            "The matrix served every example of the batch: sum its gradient over all of them.",
        ),
        Bug(
            "operands exchanged",
            'np.einsum("ntd,ntf->df", x, dy)',
            'np.einsum("ntd,ntf->fd", x, dy)',
            "dw has the shape of w, (D,F): x^T dy, not dy^T x.",
        ),
    ],
)
