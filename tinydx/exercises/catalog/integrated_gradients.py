"""Integrated gradients: shares that add up · 积分梯度

A map of shares is complete when its sum is the score of the image minus the score of the baseline. Walk from the baseline to
the image in equal steps, take the slope in the middle of each step, and multiply the mean slope by the way.
"""

import numpy as np

from tinydx.exercises import Bug, Exercise, Values


def slope(x, w):
    """Given: x (D,), w (D,) -> the gradient (D,) of the score sum(w * x**2)"""
    return 2 * w * x


def integrated_gradients(x, baseline, w, steps):
    """x (D,), baseline (D,), w (D,) for slope, steps an int -> the share of each number (D,)"""
    # solution
    total = np.zeros_like(x)
    for k in range(steps):
        share = (k + 0.5) / steps
        total = total + slope(baseline + share * (x - baseline), w)
    return (x - baseline) * total / steps


# ---- the runner's part ---------------------------------------------------------------------------------------------


def by_score(x, baseline, w, steps):
    """The middle of each step is exact for squares."""
    return w * (x**2 - baseline**2)


def ways(draw):
    d = draw.integer(3, 5)
    return draw.array(d), 0.5 * draw.array(d), draw.array(d), draw.integer(3, 6)


EXERCISE = Exercise(
    checks=[Values(integrated_gradients, like=by_score, samples=ways, names=("shares",))],
    equation=r"M = (x - b) \cdot \frac{1}{n} \sum_{k=1}^{n} slope(b + \frac{k - 0.5}{n} (x - b))",
    shapes="x (D,), baseline b (D,), w (D,), steps n -> shares M (D,)",
    source="Sundararajan, Taly and Yan 2017",
    hints=(
        "Every point of the straight way is baseline + share * (x - baseline). Which shares are the middles of n equal steps?",
        "The middles are (k + 0.5) / steps for k = 0, 1, ... steps - 1. Add up slope(point, w) at each of them.",
        "The result is the way x - baseline, times the sum of the slopes, divided by steps.",
    ),
    bugs=[
        Bug(
            "gradient times input",
            "slope(baseline + share * (x - baseline), w)",
            "slope(x, w)",
            "This is the slope at the image only. Take it at every point of the way.",
        ),
        Bug(
            "the way forgotten",
            "(x - baseline) * total",
            "total",
            "The mean slope is not yet a share: multiply it by the way x - baseline.",
        ),
        Bug(
            "times the image, not the way",
            "(x - baseline) * total",
            "x * total",
            "The way begins at the baseline: multiply by x - baseline.",
        ),
        Bug("sum instead of mean", "total / steps", "total", "Divide by the number of steps: the integral is the mean slope."),
        Bug(
            "ends of the steps",
            "(k + 0.5) / steps",
            "(k + 1) / steps",
            "Take the slope in the middle of each step; its end makes the sum miss the score.",
        ),
        Bug(
            "the way begins at zero",
            "baseline + share * (x - baseline)",
            "share * x",
            "The straight way leads from the baseline to x: baseline + share * (x - baseline).",
        ),
        Bug(
            "beginnings of the steps",
            "(k + 0.5) / steps",
            "k / steps",
            "Take the slope in the middle of each step; its beginning makes the sum miss the score.",
        ),
        Bug(
            "baseline forgotten",
            "slope(baseline + share * (x - baseline), w)\n    return (x - baseline)",
            "slope(share * x, w)\n    return x",
            "This walks from zero to x. Both the points of the way and its length begin at the baseline.",
        ),
    ],
)
