"""The area under the ROC curve · 受试者工作特征曲线下面积

The area is a probability: that a randomly drawn ill patient has a higher score than a randomly drawn healthy one. A pair
with equal scores counts half. Compute it from all pairs of an ill and a healthy patient.
"""

import numpy as np

from tinydx.exercises import Bug, Exercise, Values


def roc_area(ill, score):
    """ill (N,) of bool, score (N,) -> a number between 0 and 1"""
    # solution
    a, b = score[ill][:, None], score[~ill][None, :]
    return np.mean((a > b) + 0.5 * (a == b))


# ---- the runner's part ---------------------------------------------------------------------------------------------


def by_ranks(ill, score):
    ranks = np.array([(score < s).sum() + ((score == s).sum() + 1) / 2 for s in score])
    positives = ill.sum()
    return (ranks[ill].sum() - positives * (positives + 1) / 2) / (positives * (len(ill) - positives))


def patients(draw):
    n = draw.integer(12, 16)
    ill = np.arange(n) % 3 == 0
    return ill, np.round(2 * draw.array(n) + ill) / 4  # rounded, so that some are equal


EXERCISE = Exercise(
    checks=[Values(roc_area, like=by_ranks, samples=patients, names=("area",))],
    equation=r"AUC = P(s_a > s_b) + \frac{1}{2} P(s_a = s_b), \quad a \text{ ill}, b \text{ healthy}",
    shapes="ill (N,), score (N,)",
    source="document, evaluation of the model",
    hints=(
        "First make two arrays: the scores of the ill and the scores of the healthy. How many pairs are there?",
        "a[:, None] > b[None, :] compares every a with every b at once.",
        "Every pair counts 1, 0.5 or 0, and the area is the mean over all pairs.",
    ),
    bugs=[
        Bug(
            "ties count nothing",
            " + 0.5 * (a == b)",
            "",
            "A pair with equal scores counts half, so that a model with equal scores for all has an area of one half.",
        ),
        Bug("ties count whole", "(a > b) + 0.5 * (a == b)", "a >= b", "A pair with equal scores counts half, not whole."),
        Bug("the wrong way round", "(a > b)", "(a < b)", "This is large where the healthy have the higher scores."),
        Bug(
            "mean of the scores",
            "np.mean((a > b) + 0.5 * (a == b))",
            "a.mean() - b.mean()",
            "The area depends only on which of two scores is higher, not on the difference.",
        ),
        Bug(
            "accuracy at zero",
            "np.mean((a > b) + 0.5 * (a == b))",
            "np.mean((score > 0) == ill)",
            "This is the accuracy at one threshold. The area compares pairs and needs no threshold.",
        ),
        Bug(
            "divided by all pairs",
            "np.mean((a > b) + 0.5 * (a == b))",
            "np.sum((a > b) + 0.5 * (a == b)) / len(score) ** 2",
            "Divide by the number of pairs of an ill and a healthy patient, not by that of all pairs.",
        ),
    ],
)
