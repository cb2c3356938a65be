"""Softmax and cross-entropy: the gradient · 交叉熵

The loss for several classes, computed from the scores z before the softmax. Each row of target is 1 for the right class
and 0 elsewhere. L is the mean over the n rows; dL, a number, is the incoming gradient.
"""

import numpy as np

from tinydx import ops
from tinydx.exercises import Bug, Exercise, Gradients


def softmax(z):
    """Given: z (N,K) -> p (N,K), each row adds up to 1"""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def softmax_crossentropy(z, target):
    """Given: z (N,K), target (N,K) -> L ()"""
    return -(target * np.log(softmax(z))).sum(axis=1).mean()


def softmax_crossentropy_backward(dL, z, target):
    """dL (), z (N,K), target (N,K) -> dz (N,K)"""
    # solution
    return dL * (softmax(z) - target) / len(z)


# ---- the runner's part ---------------------------------------------------------------------------------------------


def class_samples(draw):
    n, k = draw.integer(2, 5), draw.integer(3, 4)
    return (draw.array(n, k),), {"target": np.eye(k)[draw.array(n, k).argmax(axis=1)]}


EXERCISE = Exercise(
    checks=[Gradients(softmax_crossentropy_backward, of=ops.softmax_crossentropy, samples=class_samples)],
    shapes="z (N,K), target (N,K) -> L ()",
    hints=(
        "ln p of the right class is its score minus ln(sum of e^z). Differentiate this with respect to the right class's score and to another score.",
        "The derivative of ln(sum of e^z) with respect to z_k is e^z_k / sum, which is p_k. So the gradient of -ln p is p, minus 1 at the right class.",
        "dz = dL * (softmax(z) - target) / n, where n is the number of rows.",
    ),
    bugs=[
        Bug("1/n forgotten", " / len(z)", ""),
        Bug("averaged over the classes, too", "len(z)", "z.size"),
        Bug("softmax's slope multiplied in", "(softmax(z) - target)", "(softmax(z) - target) * softmax(z) * (1 - softmax(z))"),
        Bug("target forgotten", "(softmax(z) - target)", "softmax(z)"),
        Bug("right class only", "(softmax(z) - target)", "(softmax(z) - target) * target"),
    ],
)
