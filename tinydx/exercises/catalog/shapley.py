"""Shapley values: a fair share for each modality · 沙普利值

A model answers with any set of three modalities. Bit m of the number s says whether modality m is in set s, so that scores[5]
is the answer with modalities 0 and 2. A modality's share is what it adds to the score, as the mean over all orders in which the
three can join.
"""

from itertools import permutations

import numpy as np

from tinydx.exercises import Bug, Exercise, Values


def shapley(scores):
    """scores (8,), one of each set of the modalities 0, 1, 2 -> shares (3,)"""
    # solution
    shares = np.zeros(3)
    for order in permutations(range(3)):
        joined = 0
        for m in order:
            shares[m] += scores[joined | 1 << m] - scores[joined]
            joined = joined | 1 << m
    return shares / 6


# ---- the runner's part ---------------------------------------------------------------------------------------------


def by_weights(scores):
    """The sum over sets: weight 1/3 for the empty set and the pair of others, 1/6 for each single other."""
    shares = np.zeros(3)
    for m in range(3):
        for s in range(8):
            if not s >> m & 1:
                weight = (1 / 3, 1 / 6, 1 / 3)[bin(s).count("1")]
                shares[m] += weight * (scores[s + (1 << m)] - scores[s])
    return shares


def answers(draw):
    return (draw.array(8),)


EXERCISE = Exercise(
    checks=[Values(shapley, like=by_weights, samples=answers, names=("shares",))],
    equation=r"share_m = \frac{1}{6} \sum_{orders} (s(before, m) - s(before))",
    shapes="scores (8,) -> shares (3,)",
    source="Shapley 1953",
    hints=(
        "In how many orders can three modalities join? For each, who is there already when modality m comes?",
        "permutations(range(3)) gives the orders. Keep the set of those who are there as a number: joined | 1 << m adds modality m.",
        "Add scores[joined | 1 << m] - scores[joined] to the share of m, then let m join; divide by the six orders at the end.",
    ),
    bugs=[
        Bug(
            "one order only",
            "        joined = 0\n",
            "        joined, order = 0, range(3)\n",
            "In one order the modality that comes first gets what both know. Take the mean over all orders.",
        ),
        Bug(
            "what it adds alone",
            "scores[joined | 1 << m] - scores[joined]",
            "scores[1 << m] - scores[0]",
            "This is what m adds to nothing. It may add more or less to those who are there already.",
        ),
        Bug(
            "what is lost without it",
            "scores[joined | 1 << m] - scores[joined]",
            "scores[7] - scores[7 ^ 1 << m]",
            "This is what is lost when m leaves all. Modalities that know the same would both get nothing.",
        ),
        Bug(
            "mean forgotten",
            "shares / 6",
            "shares",
            "Divide by the number of orders, so that the shares add up to scores[7] - scores[0].",
        ),
        Bug(
            "the score, not what is added",
            "scores[joined | 1 << m] - scores[joined]",
            "scores[joined | 1 << m]",
            "Subtract the score before m came: a share is a difference.",
        ),
    ],
)
