"""Batch normalisation: its three gradients · 批归一化

Each feature gets mean 0 and variance 1 over the batch, and is then scaled by gamma and shifted by beta. Mean and
variance depend on x, too: a change in one example changes them, and with them the results of all other examples.
"""

import numpy as np

from tinydx import ops
from tinydx.exercises import Bug, Exercise, Gradients


def normalise(x, eps):
    """Given: x (N,C) -> (x normalised, 1 / deviation of each feature)"""
    centred = x - x.mean(axis=0)
    inverse = 1 / np.sqrt((centred**2).mean(axis=0) + eps)
    return centred * inverse, inverse


def batch_norm(x, gamma, beta, eps):
    """Given: x (N,C), gamma (C,), beta (C,) -> y (N,C)"""
    normal, _ = normalise(x, eps)
    return gamma * normal + beta


def batch_norm_backward(dy, x, gamma, eps):
    """dy (N,C), x (N,C), gamma (C,) -> dx (N,C), dgamma (C,), dbeta (C,)"""
    # solution
    normal, inverse = normalise(x, eps)
    dn = dy * gamma
    dx = inverse * (dn - dn.mean(axis=0) - normal * (dn * normal).mean(axis=0))
    return dx, (dy * normal).sum(axis=0), dy.sum(axis=0)


# ---- the runner's part ---------------------------------------------------------------------------------------------


def batch_norm_samples(draw):
    n, c = draw.integer(4, 6), draw.integer(2, 3)
    return (2 + 3 * draw.array(n, c), draw.array(c), draw.array(c)), {"eps": draw.choice([1e-3, 0.1])}


EXERCISE = Exercise(
    checks=[Gradients(batch_norm_backward, of=ops.batch_normalization, samples=batch_norm_samples)],
    shapes="x (N,C), gamma (C,), beta (C,) -> y (N,C)",
    hints=(
        "dgamma and dbeta are the gradients of y = gamma * normal + beta, summed over the batch. For dx, begin with dn = dy * gamma.",
        "normal is centred / deviation. The direct path from x contributes dn / deviation. The path through the mean subtracts mean(dn).",
        "The path through the deviation subtracts normal * mean(dn * normal): dx = (dn - mean(dn) - normal * mean(dn * normal)) / deviation.",
    ),
    bugs=[
        Bug("statistics held constant", "(dn - dn.mean(axis=0) - normal * (dn * normal).mean(axis=0))", "dn"),
        Bug("deviation held constant", " - normal * (dn * normal).mean(axis=0)", ""),
        Bug("mean held constant", " - dn.mean(axis=0)", ""),
        Bug("gamma forgotten in dx", "dn = dy * gamma", "dn = dy"),
        Bug(
            "averaged over the batch", "(dy * normal).sum(axis=0), dy.sum(axis=0)", "(dy * normal).mean(axis=0), dy.mean(axis=0)"
        ),
    ],
)
