"""GELU: the gradient · 高斯误差线性单元

The activation of most transformers: x times about the probability that a normal number is below x. This is the usual
approximation by tanh. It is a product of two functions of x, so its derivative has two terms. Return the gradient with
respect to x.
"""

import numpy as np

from tinydx.exercises import Bug, Exercise, Gradients
from tinydx.op import Op

C = 0.7978845608028654  # the root of 2 / pi


def gelu(x):
    """Given: x (...) -> y (...)"""
    return 0.5 * x * (1 + np.tanh(C * (x + 0.044715 * x**3)))


def gelu_backward(dy, x):
    """dy (...), x (...) -> dx (...)"""
    # solution
    t = np.tanh(C * (x + 0.044715 * x**3))
    inner = C * (1 + 3 * 0.044715 * x**2)
    return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t**2) * inner)


# ---- the runner's part ---------------------------------------------------------------------------------------------

GELU = Op(
    name="gelu",
    equation=r"f(x) = \frac{x}{2} (1 + \tanh(\sqrt{\frac{2}{\pi}} (x + 0.044715 x^3)))",
    shapes="x (...) -> y (...)",
    source="Hendrycks and Gimpel 2016",
    forward=lambda x: (gelu(x), x),
    samples=lambda draw: ((draw.array(draw.integer(2, 3), draw.integer(4, 5)),), {}),
)

EXERCISE = Exercise(
    checks=[Gradients(gelu_backward, of=GELU)],
    hints=(
        "Name the tanh t. Then y = x (1 + t) / 2, a product: what is the derivative of each factor?",
        "The derivative of t is (1 - t^2) times the derivative of what stands inside the tanh.",
        "dx = dy ((1 + t) / 2 + x (1 - t^2) inner / 2), where inner = C (1 + 3 * 0.044715 x^2).",
    ),
    bugs=[
        Bug(
            "x held constant",
            "0.5 * (1 + t) + 0.5 * x",
            "0.5 * x",
            "A product has two terms: the derivative of x itself leaves (1 + t) / 2.",
        ),
        Bug(
            "tanh held constant",
            " + 0.5 * x * (1 - t**2) * inner",
            "",
            "A product has two terms: t moves with x, too.",
        ),
        Bug(
            "inner derivative forgotten",
            " * inner)",
            ")",
            "The chain rule: multiply by the derivative of what is inside the tanh.",
        ),
        Bug("square forgotten", "(1 - t**2)", "(1 - t)", "The derivative of tanh is 1 - t^2."),
        Bug("factor 3 forgotten", "1 + 3 * 0.044715", "1 + 0.044715", "The derivative of x^3 is 3 x^2."),
        Bug(
            "derivative of x^3 forgotten",
            "C * (1 + 3 * 0.044715 * x**2)",
            "C",
            "The inside of the tanh contains x^3, too, whose derivative is 3 x^2.",
        ),
    ],
)
