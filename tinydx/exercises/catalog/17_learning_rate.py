"""The largest stable learning rate · 学习率

Near its minimum every loss looks like this bowl. Its gradient is A theta, so one step of gradient descent makes
theta' = theta - rate * A theta. If the rate is too large, every step makes theta longer, and training explodes. Return
the limit: below it theta goes to zero from every start, above it there are starts from which it explodes.
"""

import numpy as np

from tinydx.exercises import Bug, Exercise, Values


def largest_stable_rate(a):
    """a (D,D) symmetric, all its eigenvalues positive -> a number"""
    # solution
    return 2 / np.linalg.eigvalsh(a).max()


# ---- the runner's part ---------------------------------------------------------------------------------------------


def limit(a):
    return 2 / np.linalg.norm(a, 2)


def bowls(draw):
    d = draw.integer(2, 5)
    b = draw.array(d, d)
    return (b @ b.T + 0.1 * np.eye(d),)


EXERCISE = Exercise(
    checks=[Values(largest_stable_rate, like=limit, samples=bowls, names=("rate",))],
    equation=r"L(\theta) = \frac{1}{2} \theta^T A \theta",
    shapes="theta (D,), A (D,D) -> L ()",
    source="document, 1.1, gradient descent",
    hints=(
        "Begin with one dimension: theta' = (1 - rate * a) theta. For which rates does theta get shorter?",
        "In one dimension |1 - rate * a| < 1, so rate < 2 / a. In more dimensions each eigenvector of A behaves so, with its own eigenvalue.",
        "All directions must shrink, so the largest eigenvalue decides. np.linalg.eigvalsh(a) gives the eigenvalues of a symmetric matrix.",
    ),
    bugs=[
        Bug(
            "flattest direction",
            ".max()",
            ".min()",
            "The steepest direction explodes first: the largest eigenvalue decides, not the smallest.",
        ),
        Bug(
            "half of the limit",
            "2 / np",
            "1 / np",
            "1 / eigenvalue jumps right into the minimum; stable is all up to twice that.",
        ),
        Bug(
            "sum of the eigenvalues",
            "np.linalg.eigvalsh(a).max()",
            "np.trace(a)",
            "The trace is the sum of all eigenvalues; each direction moves by itself, so only the largest counts.",
        ),
        Bug(
            "largest entry",
            "np.linalg.eigvalsh(a).max()",
            "np.abs(a).max()",
            "The entries of A depend on the axes chosen, the steepest direction may lie between them: take eigenvalues.",
        ),
    ],
)
