"""Softmax decoding: the gradients · 解码器

The document's decoder: a dense layer gives every word of the vocabulary a score, and softmax turns the scores into
probabilities. They add up to 1, so every score affects every probability. y is the result p of decode.
"""

import numpy as np

from tinydx import ops
from tinydx.exercises import Bug, Exercise, Gradients


def softmax(z):
    """Given: z (N,V) -> p (N,V), each row adds up to 1"""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def decode(h, w, b):
    """Given: h (N,U), w (U,V), b (V,) -> p (N,V)"""
    return softmax(h @ w + b)


def decode_backward(dy, h, w, y):
    """dy (N,V), h (N,U), w (U,V), y (N,V) the probabilities -> dh, dw, db"""
    # solution
    dz = y * (dy - (dy * y).sum(axis=1, keepdims=True))
    return dz @ w.T, h.T @ dz, dz.sum(axis=0)


# ---- the runner's part ---------------------------------------------------------------------------------------------


def decoder_samples(draw):
    n, u, v = draw.integer(2, 4), draw.integer(2, 3), draw.integer(4, 5)
    return (draw.array(n, u), draw.array(u, v), draw.array(v)), {}


DZ = "y * (dy - (dy * y).sum(axis=1, keepdims=True))"

EXERCISE = Exercise(
    checks=[Gradients(decode_backward, of=ops.softmax_decoding, samples=decoder_samples)],
    hints=(
        "Go back through softmax from dy to dz, then back through the dense layer, which you know.",
        "The derivative of p_k with respect to z_l is p_k (1 - p_k) for k = l, and -p_k p_l otherwise. Multiply by dy_k, sum over k, and factor out p_l.",
        "dz = p (dy - sum(dy p)), with the sum over the words of each row.",
    ),
    bugs=[
        Bug("softmax skipped", DZ, "dy"),
        Bug("diagonal only", DZ, "dy * y * (1 - y)"),
        Bug("common sum forgotten", DZ, "dy * y"),
        Bug("averaged over the steps", "h.T @ dz, dz.sum(axis=0)", "h.T @ dz / len(dz), dz.mean(axis=0)"),
    ],
)
