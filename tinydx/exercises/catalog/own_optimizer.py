"""An optimizer of your own · 优化器

An optimizer remembers something between its steps. Write a class with momentum and decoupled weight decay: its velocity
begins at zero, becomes momentum times itself minus rate times gradient, and moves the parameter; then the parameter
shrinks by rate times decay of what it was before the step. Every parameter has its own velocity. The function `train`, which
is given, runs your class.
"""

import numpy as np

from tinydx.exercises import Bug, Exercise, Values


class Optimizer:
    """Momentum with decoupled weight decay."""

    def __init__(self, rate, momentum, decay):
        self.rate, self.momentum, self.decay = rate, momentum, decay
        self.velocities = {}

    def step(self, name, p, g):
        """name of the parameter, p (...), its gradient g (...) -> the new p (...)"""
        # solution
        velocity = self.velocities.get(name, np.zeros_like(p))
        velocity = self.momentum * velocity - self.rate * g
        self.velocities[name] = velocity
        return p + velocity - self.rate * self.decay * p


def train(w, b, gradients_w, gradients_b, rate, momentum, decay):
    """Given: some steps of two parameters, w (D,F) and b (F,) -> the last w and b"""
    optimizer = Optimizer(rate, momentum, decay)
    for gw, gb in zip(gradients_w, gradients_b, strict=True):
        w, b = optimizer.step("w", w, gw), optimizer.step("b", b, gb)
    return w, b


# ---- the runner's part ---------------------------------------------------------------------------------------------


def reference(w, b, gradients_w, gradients_b, rate, momentum, decay):
    results = []
    for p, gradients in ((w, gradients_w), (b, gradients_b)):
        v = 0 * p
        for g in gradients:
            v = momentum * v - rate * g
            p = (1 - rate * decay) * p + v
        results.append(p)
    return tuple(results)


def runs(draw):
    d, f, steps = draw.integer(2, 3), draw.integer(2, 3), draw.integer(3, 5)
    constants = draw.choice([0.1, 0.03]), draw.choice([0.9, 0.6]), draw.choice([0.1, 0.5])
    return draw.array(d, f), draw.array(f), draw.array(steps, d, f), draw.array(steps, f), *constants


EXERCISE = Exercise(
    checks=[Values(train, like=reference, samples=runs, names=("w", "b"))],
    equation=r"v' = \mu v - \eta g, \quad \theta' = \theta + v' - \eta \cdot decay \cdot \theta",
    shapes="w (D,F), b (F,), gradients (S,D,F), (S,F) -> w, b",
    source="Loshchilov and Hutter 2017",
    hints=(
        "What must the optimizer still know when it is called the next time, and for which parameter?",
        "self.velocities maps a parameter's name to its velocity; where the name is new, the velocity is an array of zeros.",
        "velocity = momentum * velocity - rate * g; store it; return p + velocity - rate * decay * p.",
    ),
    bugs=[
        Bug(
            "velocity never stored",
            "        self.velocities[name] = velocity\n",
            "",
            "The next step needs this velocity: store it under the parameter's name.",
        ),
        Bug(
            "uphill",
            "- self.rate * g",
            "+ self.rate * g",
            "This increases the loss: the velocity points against the gradient.",
        ),
        Bug("decay forgotten", " - self.rate * self.decay * p", "", "Each step also shrinks the parameter by rate * decay * p."),
        Bug(
            "decay inside the velocity",
            "- self.rate * g\n        self.velocities[name] = velocity\n        return p + velocity - self.rate * self.decay * p",
            "- self.rate * (g + self.decay * p)\n        self.velocities[name] = velocity\n        return p + velocity",
            "Decoupled decay acts on the parameter alone; in the velocity it would add up over the steps.",
        ),
        Bug(
            "rate forgotten in the decay",
            "self.rate * self.decay * p",
            "self.decay * p",
            "The decay is multiplied by the learning rate, too.",
        ),
        Bug(
            "decay after the step",
            "p + velocity - self.rate * self.decay * p",
            "(p + velocity) * (1 - self.rate * self.decay)",
            "The decay takes its share of the parameter before the step, not of the moved one.",
        ),
    ],
)
