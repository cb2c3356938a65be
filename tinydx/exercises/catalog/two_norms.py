"""Batch or layer normalisation · 批归一化与层归一化

Both subtract a mean and divide by a deviation. Batch normalisation takes them over the examples, for each feature; layer
normalisation over the features, for each example. Their gradients differ by one axis. Write both, here without gamma and
beta; eps is 0.001.
"""

import numpy as np

from tinydx.exercises import Bug, Exercise, Gradients
from tinydx.op import Op


def normalise(x, axis):
    """Given: x (N,D), axis -> the normalised x, and the root that it was divided by"""
    root = np.sqrt(x.var(axis=axis, keepdims=True) + 0.001)
    return (x - x.mean(axis=axis, keepdims=True)) / root, root


def batch_norm_backward(dy, x):
    """dy (N,D), x (N,D) -> dx (N,D)"""
    # solution
    n, root = normalise(x, 0)
    return (dy - dy.mean(axis=0) - n * (dy * n).mean(axis=0)) / root


def layer_norm_backward(dy, x):
    """dy (N,D), x (N,D) -> dx (N,D)"""
    # solution
    n, root = normalise(x, 1)
    return (dy - dy.mean(axis=1, keepdims=True) - n * (dy * n).mean(axis=1, keepdims=True)) / root


# ---- the runner's part ---------------------------------------------------------------------------------------------


def over(axis):
    def forward(x):
        centred = x - x.mean(axis=axis, keepdims=True)
        return centred / np.sqrt((centred**2).mean(axis=axis, keepdims=True) + 0.001), None

    return forward


def table(draw):
    return (draw.array(draw.choice([4, 6]), draw.choice([3, 5])),), {}


BATCH = Op(
    name="batch_norm",
    equation=r"y = \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}}",
    shapes="x (N,D) -> y (N,D)",
    source="Ioffe and Szegedy 2015; Ba et al. 2016",
    forward=over(0),
    samples=table,
)
LAYER = Op("layer_norm", BATCH.equation, BATCH.shapes, BATCH.source, over(1), samples=table)

EXERCISE = Exercise(
    checks=[Gradients(batch_norm_backward, of=BATCH), Gradients(layer_norm_backward, of=LAYER)],
    hints=(
        "x reaches y by three ways: directly, through the mean, and through the deviation. Which axis do mean and deviation run over?",
        "Through the mean, dy loses its mean along that axis. Through the deviation, it loses n times the mean of dy n.",
        "dx = (dy - mean(dy) - n mean(dy n)) / root, with means along axis 0 for batch, along axis 1 (keepdims) for layer.",
    ),
    bugs=[
        Bug(
            "deviation held constant",
            "(dy - dy.mean(axis=0) - n * (dy * n).mean(axis=0))",
            "(dy - dy.mean(axis=0))",
            "The deviation moves with x, too: subtract n times the mean of dy n.",
        ),
        Bug(
            "mean held constant",
            "(dy - dy.mean(axis=0) - n",
            "(dy - n",
            "The mean moves with x, too: subtract the mean of dy.",
        ),
        Bug(
            "layer's axis for the batch",
            "n, root = normalise(x, 0)\n    return (dy - dy.mean(axis=0) - n * (dy * n).mean(axis=0)) / root",
            "n, root = normalise(x, 1)\n    return (dy - dy.mean(axis=1, keepdims=True) - n * (dy * n).mean(axis=1, keepdims=True)) / root",
            "This is layer normalisation: for the batch, mean and deviation run over the examples, axis 0.",
        ),
        Bug(
            "batch's axis for the layer",
            "n, root = normalise(x, 1)\n    return (dy - dy.mean(axis=1, keepdims=True) - n * (dy * n).mean(axis=1, keepdims=True)) / root",
            "n, root = normalise(x, 0)\n    return (dy - dy.mean(axis=0, keepdims=True) - n * (dy * n).mean(axis=0, keepdims=True)) / root",
            "This is batch normalisation: for the layer, mean and deviation run over the features, axis 1.",
        ),
        Bug(
            "sums instead of means",
            "dy.mean(axis=0) - n * (dy * n).mean(axis=0)",
            "dy.sum(axis=0) - n * (dy * n).sum(axis=0)",
            "Each number makes up one N-th of the mean: means, not sums.",
        ),
        Bug(
            "statistics held constant",
            "(dy - dy.mean(axis=0) - n * (dy * n).mean(axis=0)) / root",
            "dy / root",
            "Mean and deviation move with x, too: dx has three terms, not one.",
        ),
        Bug(
            "the layer's statistics held constant",
            "(dy - dy.mean(axis=1, keepdims=True) - n * (dy * n).mean(axis=1, keepdims=True)) / root",
            "dy / root",
            "Mean and deviation of an example move with its x, too: dx has three terms, not one.",
        ),
    ],
)
