"""Adam: one step · Adam 优化器

The optimizer of the document's program. m is the running mean of the gradient, and v that of its square. Both began at
zero, which the factor with the powers of t corrects; t is the argument step, counted from 1. Return the new p, m and v.
"""

import numpy as np

from tinydx import ops
from tinydx.exercises import Bug, Exercise, Values


def adam(p, m, v, g, learning_rate, betas, epsilon, step):
    """p, m, v, g (...), betas a pair, the others numbers, step counted from 1 -> new p, new m, new v, each (...)"""
    beta_1, beta_2 = betas
    # solution
    m = beta_1 * m + (1 - beta_1) * g
    v = beta_2 * v + (1 - beta_2) * g**2
    rate = learning_rate * np.sqrt(1 - beta_2**step) / (1 - beta_1**step)
    return p - rate * m / (np.sqrt(v) + epsilon), m, v


# ---- the runner's part ---------------------------------------------------------------------------------------------


def of_the_table(p, m, v, g, learning_rate, betas, epsilon, step):
    constants = {"learning_rate": learning_rate, "beta_1": betas[0], "beta_2": betas[1], "epsilon": epsilon, "step": step}
    return ops.adam_update.forward(p, m, v, g, **constants)[0]


def samples(draw):
    shape = draw.integer(2, 3), draw.integer(4, 5)
    p, m, v, g = (draw.array(*shape) for _ in range(4))
    return p, m, v**2, g, 0.1, (0.8, 0.95), 0.05, draw.integer(1, 5)


EXERCISE = Exercise(
    checks=[Values(adam, like=of_the_table, samples=samples, names=("p", "m", "v"))],
    equation=ops.adam_update.equation,
    shapes=ops.adam_update.shapes,
    source=ops.adam_update.source,
    hints=(
        "Write three lines, one for each equation. Compute the new m and v first: the new p uses them, not the old ones.",
        "The learning rate times the fraction with the betas and t is one number, the learning rate of this step: compute it separately.",
        "p' = p - learning_rate * sqrt(1 - beta_2**step) / (1 - beta_1**step) * m' / (sqrt(v') + epsilon).",
    ),
    bugs=[
        Bug(
            "bias correction forgotten",
            "learning_rate * np.sqrt(1 - beta_2**step) / (1 - beta_1**step)",
            "learning_rate",
            "m and v began at zero, so they are too small in the first steps. Multiply the learning rate by sqrt(1 - beta_2**t) / (1 - beta_1**t).",
        ),
        Bug("epsilon inside the root", "np.sqrt(v) + epsilon", "np.sqrt(v + epsilon)", "Add epsilon to the root, not to v."),
        Bug(
            "root forgotten",
            "(np.sqrt(v) + epsilon)",
            "(v + epsilon)",
            "v is a mean of squares: divide by its root, which has the same unit as g.",
        ),
        Bug(
            "step counted from 0",
            "1 - beta_1**step",
            "1 - beta_1 ** (step + 1)",
            "`step` is already 1 in the first step: use it unchanged.",
        ),
        Bug(
            "betas swapped",
            "m = beta_1 * m + (1 - beta_1) * g\n    v = beta_2 * v + (1 - beta_2) * g**2",
            "m = beta_2 * m + (1 - beta_2) * g\n    v = beta_1 * v + (1 - beta_1) * g**2",
            "beta_1 belongs to m, beta_2 to v.",
        ),
        Bug(
            "epsilon beside the corrected root",
            "rate * m / (np.sqrt(v) + epsilon)",
            "rate * m / (np.sqrt(v) + epsilon * np.sqrt(1 - beta_2**step))",
            "This is the paper's place for epsilon, beside the root that was corrected already. Keras adds it to sqrt(v').",
        ),
    ],
)
