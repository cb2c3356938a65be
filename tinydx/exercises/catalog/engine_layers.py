"""Find the bug: layers that remember · 权重共享

A third way to build an engine: every layer saves what its backward needs. backward undoes the calls in reverse order, the
last one first. Here a dense layer and a tanh are called three times in a row, as in a recurrence. There is one bug. Find it
and fix it. The check calls these classes, so keep their names.
"""

import numpy as np

from tinydx.exercises import Bug, Exercise, Gradients
from tinydx.op import Op


class Dense:
    """y = x @ w + b; dw and db are summed over all calls."""

    def __init__(self, w, b):
        self.w, self.b = w, b
        self.dw, self.db = np.zeros_like(w), np.zeros_like(b)
        self.saved = []

    def forward(self, x):
        self.saved.append(x)
        return x @ self.w + self.b

    def backward(self, dy):
        x = self.saved.pop()
        self.dw += x.T @ dy
        self.db += dy.sum(axis=0)
        return dy @ self.w.T


class Tanh:
    """y = tanh(x)"""

    def __init__(self):
        self.saved = []

    def forward(self, x):
        self.saved.append(np.tanh(x))
        return self.saved[-1]

    def backward(self, dy):
        y = self.saved.pop()
        return dy * (1 - y**2)


# ---- the runner's part ---------------------------------------------------------------------------------------------


def layers_gradients(dy, x, w, b):
    dense, tanh = Dense(w.copy(), b.copy()), Tanh()
    h = x
    for _ in range(3):
        h = tanh.forward(dense.forward(h))
    dh = dy
    for _ in range(3):
        dh = dense.backward(tanh.backward(dh))
    return dh, dense.dw, dense.db


def network(x, w, b):
    h = x
    for _ in range(3):
        h = np.tanh(h @ w + b)
    return h, None


def network_samples(draw):
    n, d = draw.integer(2, 3), draw.integer(3, 4)
    return (draw.array(n, d), draw.array(d, d), draw.array(d)), {}


NETWORK = Op(
    name="network",
    equation=r"h_t = \tanh(h_{t-1} w + b), \quad t = 1 \dots 3, \quad h_0 = x",
    shapes="x (N,D), w (D,D), b (D,) -> h (N,D)",
    source="the network that the check builds",
    forward=network,
    samples=network_samples,
)

EXERCISE = Exercise(
    checks=[Gradients(layers_gradients, of=NETWORK, driver=True)],
    planted=True,
    hints=(
        "With one call the layers are right. What does the second call do to the array that the first one saved?",
        "Which of the two layers saves all its calls, and which only the last one?",
        "Dense needs a list, as in Tanh: append in forward, pop in backward.",
    ),
    bugs=[
        Bug(
            "only the last call remembered",
            "        self.saved.append(x)\n        return x @ self.w + self.b\n\n    def backward(self, dy):\n        x = self.saved.pop()",
            "        self.saved = x\n        return x @ self.w + self.b\n\n    def backward(self, dy):\n        x = self.saved",
            "With one call this is right. With several, dw combines every dy with the same input.",
        ),
        Bug(
            "undone in the wrong order",
            "x = self.saved.pop()",
            "x = self.saved.pop(0)",
            "The last call is undone first: take the input that was saved last.",
        ),
        Bug(
            "one call only",
            "self.dw += x.T @ dy\n        self.db +=",
            "self.dw = x.T @ dy\n        self.db =",
            "All calls share the weights: dw and db must add up.",
        ),
    ],
)
