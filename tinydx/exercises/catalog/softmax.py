"""Softmax: the gradient · 归一化指数函数

Each row of x becomes probabilities that add up to 1. The common denominator ties a row together: a score that grows lowers
all other probabilities of its row. dy is the gradient with respect to y. Return the gradient with respect to x.
"""

import numpy as np

from tinydx import ops
from tinydx.exercises import Bug, Exercise, Gradients


def softmax(x):
    """Given: x (N,K) -> y (N,K), rows that add up to 1"""
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def softmax_backward(dy, y):
    """dy (N,K), y (N,K) softmax's result -> dx (N,K)"""
    # solution
    return y * (dy - (dy * y).sum(axis=1, keepdims=True))


# ---- the runner's part ---------------------------------------------------------------------------------------------


def rows(draw):
    return (draw.array(draw.integer(2, 4), draw.choice([3, 5])),), {}


EXERCISE = Exercise(
    checks=[Gradients(softmax_backward, of=ops.softmax, samples=rows)],
    shapes="x (N,K) -> y (N,K)",
    hints=(
        "Write the Jacobian of one row: how does y_l move with x_k, for k = l and for the others?",
        "dy_l / dx_k is y_l (1 - y_l) on the diagonal and -y_l y_k elsewhere. Multiply by dy and sum over l.",
        "dx = y * (dy - s), where s is the sum of dy * y over each row, kept as a column.",
    ),
    bugs=[
        Bug("diagonal only", "y * (dy - (dy * y).sum(axis=1, keepdims=True))", "dy * y * (1 - y)"),
        Bug("common sum forgotten", "(dy - (dy * y).sum(axis=1, keepdims=True))", "dy"),
        Bug("sum over the wrong axis", "(dy * y).sum(axis=1", "(dy * y).sum(axis=0"),
        Bug("p missing in the sum", "(dy * y).sum(axis=1, keepdims=True))", "dy.sum(axis=1, keepdims=True))"),
        Bug("factor p forgotten", "y * (dy - ", "(dy - "),
    ],
)
