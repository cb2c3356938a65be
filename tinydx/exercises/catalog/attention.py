"""Attention: the gradients · 注意力机制

In a sequence-to-sequence model, every word that is written attends to all words that were read. Its query is compared
with their keys, softmax turns the scores into weights, and the result is the weighted sum of their values.
"""

import numpy as np

from tinydx.exercises import Bug, Exercise, Gradients
from tinydx.op import Op


def weights(q, k):
    """Given: q (N,T,D), k (N,S,D) -> p (N,T,S), how much query t attends to key s; each row adds up to 1"""
    scores = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[2])
    e = np.exp(scores - scores.max(axis=2, keepdims=True))
    return e / e.sum(axis=2, keepdims=True)


def attention(q, k, v):
    """Given: q (N,T,D) queries, k (N,S,D) keys, v (N,S,E) values -> y (N,T,E)"""
    return weights(q, k) @ v


def attention_backward(dy, q, k, v):
    """dy (N,T,E), q (N,T,D), k (N,S,D), v (N,S,E) -> dq, dk, dv"""
    # solution
    p = weights(q, k)
    dv = p.transpose(0, 2, 1) @ dy
    dp = dy @ v.transpose(0, 2, 1)
    dscores = p * (dp - (dp * p).sum(axis=2, keepdims=True)) / np.sqrt(q.shape[2])
    return dscores @ k, dscores.transpose(0, 2, 1) @ q, dv


# ---- the runner's part ---------------------------------------------------------------------------------------------


def attention_samples(draw):
    n, t, s, d, e = draw.integer(2, 2), draw.integer(2, 3), draw.integer(4, 5), draw.integer(2, 3), draw.integer(2, 3)
    return (draw.array(n, t, d), draw.array(n, s, d), draw.array(n, s, e)), {}


ATTENTION = Op(
    name="attention",
    equation=r"y = \mathrm{softmax}(\frac{q k^T}{\sqrt{D}}) v",
    shapes="q (N,T,D), k (N,S,D), v (N,S,E) -> y (N,T,E)",
    source="document, 3.1, sequence to sequence; Vaswani et al. 2017",
    forward=lambda q, k, v: (attention(q, k, v), None),
    samples=attention_samples,
)

DP = "p * (dp - (dp * p).sum(axis=2, keepdims=True))"

EXERCISE = Exercise(
    checks=[Gradients(attention_backward, of=ATTENTION)],
    hints=(
        "Go back through p @ v to dp and dv, then through the softmax to the scores, then through q @ k.T to dq and dk.",
        "p @ v is one matrix product for each example: dv = p.T @ dy and dp = dy @ v.T, where T swaps the last two axes.",
        "q @ k.T gets dscores = p (dp - sum(dp p)) / sqrt(D), with the sum over the keys. Then dq = dscores @ k and dk = dscores.T @ q.",
    ),
    bugs=[
        Bug(
            "scale forgotten",
            "keepdims=True)) / np.sqrt(q.shape[2])\n    return",
            "keepdims=True))\n    return",
            "Forward divides the scores by sqrt(D), so backward must divide by it, too.",
        ),
        Bug(
            "common sum forgotten",
            DP,
            "p * dp",
            "The weights of a row add up to 1: if one grows, the others shrink. Subtract sum(dp p) before you multiply by p.",
        ),
        Bug(
            "diagonal only",
            DP,
            "p * (1 - p) * dp",
            "Every score affects every weight of its row, not only its own: p (dp - sum(dp p)).",
        ),
        Bug("softmax skipped", DP, "dp", "Between scores and weights there is the softmax: go back through it, too."),
        Bug(
            "sum over the wrong axis",
            "(dp * p).sum(axis=2",
            "(dp * p).sum(axis=1",
            "Softmax runs over the keys, the last axis, and so does the sum in its gradient.",
        ),
    ],
)
