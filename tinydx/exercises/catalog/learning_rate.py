"""The largest stable learning rate · 学习率

Near its minimum a smooth loss looks like this bowl. Its gradient is A theta, so a step of gradient descent gives
theta' = theta - rate * A theta. If the rate is too large, theta grows at every step, and training diverges. Return the
limit: below it theta converges to zero from every start; above it theta diverges from some starts.
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
        "Begin with one dimension: theta' = (1 - rate * a) theta. For which rates does theta shrink?",
        "In one dimension |1 - rate * a| < 1, so rate < 2 / a. In several dimensions the same holds along each eigenvector of A, with its eigenvalue as a.",
        "theta must shrink along every eigenvector, so the largest eigenvalue decides. np.linalg.eigvalsh(a) gives the eigenvalues of a symmetric matrix.",
    ),
    bugs=[
        Bug(
            "flattest direction",
            ".max()",
            ".min()",
            "The steepest direction diverges first: the largest eigenvalue decides, not the smallest.",
        ),
        Bug(
            "half of the limit",
            "2 / np",
            "1 / np",
            "A rate of 1 / eigenvalue reaches the minimum in one step; every rate below twice that is stable.",
        ),
        Bug(
            "sum of the eigenvalues",
            "np.linalg.eigvalsh(a).max()",
            "np.trace(a)",
            "The trace is the sum of all eigenvalues. The directions are independent of each other, so only the largest eigenvalue counts.",
        ),
        Bug(
            "largest entry",
            "np.linalg.eigvalsh(a).max()",
            "np.abs(a).max()",
            "The steepest direction may lie between the axes, where no entry of A shows it: use the eigenvalues.",
        ),
    ],
)
