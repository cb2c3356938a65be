"""Layer normalisation: its three gradients · 层归一化

Like batch normalisation, but along the other axis: each example gets mean 0 and variance 1 over its own features. gamma
and beta still belong to the features, and all examples share them.
"""

import numpy as np

from tinydx import ops
from tinydx.exercises import Bug, Exercise, Gradients


def normalise(x, eps):
    """Given: x (N,D) -> (x normalised, 1 / deviation of each example (N,1))"""
    centred = x - x.mean(axis=1, keepdims=True)
    inverse = 1 / np.sqrt((centred**2).mean(axis=1, keepdims=True) + eps)
    return centred * inverse, inverse


def layer_norm(x, gamma, beta, eps):
    """Given: x (N,D), gamma (D,), beta (D,) -> y (N,D)"""
    normal, _ = normalise(x, eps)
    return gamma * normal + beta


def layer_norm_backward(dy, x, gamma, eps):
    """dy (N,D), x (N,D), gamma (D,) -> dx (N,D), dgamma (D,), dbeta (D,)"""
    # solution
    normal, inverse = normalise(x, eps)
    dn = dy * gamma
    common = dn.mean(axis=1, keepdims=True) + normal * (dn * normal).mean(axis=1, keepdims=True)
    return inverse * (dn - common), (dy * normal).sum(axis=0), dy.sum(axis=0)


# ---- the runner's part ---------------------------------------------------------------------------------------------


def layer_norm_samples(draw):
    n, d = draw.integer(2, 4), draw.integer(5, 6)
    return (2 + 3 * draw.array(n, d), draw.array(d), draw.array(d)), {"eps": draw.choice([1e-3, 0.1])}


COMMON = "dn.mean(axis=1, keepdims=True) + normal * (dn * normal).mean(axis=1, keepdims=True)"

EXERCISE = Exercise(
    checks=[Gradients(layer_norm_backward, of=ops.layer_normalization, samples=layer_norm_samples)],
    shapes="x (N,D), gamma (D,), beta (D,) -> y (N,D)",
    hints=(
        "Begin with your batch normalisation. For every sum and mean ask: is it over the examples or over the features?",
        "The statistics are over the features of one example: axis 1, with keepdims=True. gamma and beta are shared by the examples, so their gradients are sums over axis 0.",
        "dx = (dn - mean(dn) - normal * mean(dn * normal)) / deviation, with both means over axis 1.",
    ),
    bugs=[
        Bug("statistics held constant", "(dn - common)", "dn"),
        Bug("mean held constant", COMMON, "normal * (dn * normal).mean(axis=1, keepdims=True)"),
        Bug("sums instead of means", COMMON, COMMON.replace("mean", "sum")),
        Bug("statistics over the wrong axis", COMMON, COMMON.replace("axis=1", "axis=0")),
        Bug(
            "averaged over the batch", "(dy * normal).sum(axis=0), dy.sum(axis=0)", "(dy * normal).mean(axis=0), dy.mean(axis=0)"
        ),
        Bug(
            "gamma outside of the means",
            "return inverse * (dn - common)",
            "return gamma * inverse * (dy - dy.mean(axis=1, keepdims=True) - normal * (dy * normal).mean(axis=1, keepdims=True))",
            "gamma differs from feature to feature, so it belongs inside the means: begin with dn = dy * gamma. It can stay outside in batch normalisation only.",
        ),
    ],
)
