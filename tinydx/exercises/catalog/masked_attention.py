"""Attention with a mask: the gradients · 掩码注意力

A decoder must not look ahead: query t sees only the keys 0 to t. The scores of the others are set to minus infinity, so their
weights are 0. What has no influence gets no gradient. Return the gradients of queries, keys and values.
"""

import numpy as np

from tinydx.exercises import Bug, Exercise, Gradients
from tinydx.op import Op


def weights(q, k):
    """Given: q (N,T,D), k (N,T,D) -> p (N,T,T), 0 where the key comes after the query"""
    scores = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[2])
    scores = np.where(np.tri(q.shape[1], dtype=bool), scores, -1e30)
    e = np.exp(scores - scores.max(axis=2, keepdims=True))
    return e / e.sum(axis=2, keepdims=True)


def attention(q, k, v):
    """Given: q (N,T,D), k (N,T,D), v (N,T,E) -> y (N,T,E)"""
    return weights(q, k) @ v


def attention_backward(dy, q, k, v):
    """dy (N,T,E), q (N,T,D), k (N,T,D), v (N,T,E) -> dq, dk, dv"""
    # solution
    p = weights(q, k)
    dp = dy @ v.transpose(0, 2, 1)
    dscores = p * (dp - (dp * p).sum(axis=2, keepdims=True)) / np.sqrt(q.shape[2])
    return dscores @ k, dscores.transpose(0, 2, 1) @ q, p.transpose(0, 2, 1) @ dy


# ---- the runner's part ---------------------------------------------------------------------------------------------


def attention_samples(draw):
    n, t, d, e = draw.integer(2, 3), draw.integer(3, 4), draw.integer(2, 3), draw.integer(4, 5)
    return (draw.array(n, t, d), draw.array(n, t, d), draw.array(n, t, e)), {}


ATTENTION = Op(
    name="masked_attention",
    equation=r"p = \mathrm{softmax}(\frac{q k^T}{\sqrt{D}}), \quad p_{ts} = 0 \text{ for } s > t, \quad y = p v",
    shapes="q (N,T,D), k (N,T,D), v (N,T,E) -> y (N,T,E)",
    source="Vaswani et al. 2017",
    forward=lambda q, k, v: (attention(q, k, v), None),
    samples=attention_samples,
)

EXERCISE = Exercise(
    checks=[Gradients(attention_backward, of=ATTENTION)],
    hints=(
        "The mask changes forward. What is p where a key is hidden, and which factor of the softmax's gradient is p?",
        "Recompute p with weights(q, k), which knows the mask. Where p is 0, dscores is 0: no second mask is needed.",
        "dscores = p (dp - sum(dp p)) / sqrt(D); dq = dscores k, dk = dscores^T q, dv = p^T dy.",
    ),
    bugs=[
        Bug(
            "mask ignored",
            "p = weights(q, k)",
            "s = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[2])\n    p = np.exp(s - s.max(axis=2, keepdims=True))\n    p = p / p.sum(axis=2, keepdims=True)",
            "Forward hid the keys that come later: in backward, their weights are 0, too.",
        ),
        Bug(
            "scale forgotten",
            "keepdims=True)) / np.sqrt(q.shape[2])\n    return",
            "keepdims=True))\n    return",
            "Forward divides the scores by sqrt(D), so backward must divide by it, too.",
        ),
        Bug(
            "dq and dk exchanged",
            "dscores @ k, dscores.transpose(0, 2, 1) @ q",
            "dscores @ q, dscores.transpose(0, 2, 1) @ k",
            "The queries were multiplied by the keys: dq = dscores k, dk = dscores^T q.",
        ),
        Bug(
            "scores not transposed",
            "dscores.transpose(0, 2, 1) @ q",
            "dscores @ q",
            "Row t of the scores belongs to query t, column s to key s: dk needs the transpose.",
        ),
        Bug(
            "weights not transposed",
            "p.transpose(0, 2, 1) @ dy",
            "p @ dy",
            "Value s was used by every query t: dv sums over the queries, p^T dy.",
        ),
    ],
)
