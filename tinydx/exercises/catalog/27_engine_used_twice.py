"""Find the bug: a small engine · 自动微分

This is a whole engine in one class: every result remembers what it was made from (inputs) and how a gradient goes back
(pull). `backward` walks from the result to the leaves. It runs, and simple networks get the right gradients. Yet
there is one bug in it: find and mend it. The check builds networks with this class, so keep its names.
"""

import numpy as np

from tinydx.exercises import Bug, Exercise, Gradients
from tinydx.op import Op


class Tensor:
    """An array that remembers how it was made."""

    def __init__(self, data, inputs=(), pull=None):
        self.data, self.inputs, self.pull = data, inputs, pull
        self.grad = np.zeros_like(data)

    def __add__(self, other):
        return Tensor(self.data + other.data, (self, other), lambda dy: (dy, dy))

    def __mul__(self, other):
        return Tensor(self.data * other.data, (self, other), lambda dy: (dy * other.data, dy * self.data))

    def __matmul__(self, other):
        return Tensor(self.data @ other.data, (self, other), lambda dy: (dy @ other.data.T, self.data.T @ dy))

    def tanh(self):
        y = np.tanh(self.data)
        return Tensor(y, (self,), lambda dy: (dy * (1 - y**2),))

    def backward(self, dy):
        """Fill .grad of everything that this tensor was made from."""
        self.grad = dy
        for tensor in reversed(in_order(self)):
            if tensor.pull is not None:
                for x, dx in zip(tensor.inputs, tensor.pull(tensor.grad), strict=True):
                    x.grad = x.grad + dx


def in_order(result):
    """All tensors that result was made from, each after its inputs."""
    order = []

    def visit(tensor):
        if tensor not in order:
            for x in tensor.inputs:
                visit(x)
            order.append(tensor)

    visit(result)
    return order


# ---- the runner's part ---------------------------------------------------------------------------------------------


def network_gradients(dy, x, w, v):
    x, w, v = Tensor(x), Tensor(w), Tensor(v)
    h = (x @ w).tanh()
    y = (h * h + h) @ v + h @ v
    y.backward(dy)
    return x.grad, w.grad, v.grad


def network(x, w, v):
    h = np.tanh(x @ w)
    return (h * h + h) @ v + h @ v, None


def network_samples(draw):
    n, d, u, k = draw.integer(2, 3), draw.integer(2, 3), draw.integer(4, 5), draw.integer(2, 3)
    return (draw.array(n, d), draw.array(d, u), draw.array(u, k)), {}


NETWORK = Op(
    name="network",
    equation=r"h = \tanh(x w), \quad y = (h \cdot h + h) v + h v",
    shapes="x (N,D), w (D,U), v (U,K) -> y (N,K)",
    source="what the check builds",
    forward=network,
    samples=network_samples,
)

EXERCISE = Exercise(
    checks=[Gradients(network_gradients, of=NETWORK, driver=True)],
    planted=True,
    hints=(
        "A network without loops and branches gets the right gradients. What is different in the one that the check builds?",
        "h is used four times there. Each use moves y, so each sends a gradient back. What happens to them in backward?",
        "x.grad = dx keeps the last gradient that arrives. They must add up.",
    ),
    bugs=[
        Bug(
            "one use only",
            "x.grad = x.grad + dx",
            "x.grad = dx",
            "What is used several times keeps the gradient of one use only.",
        ),
        Bug(
            "walked in the wrong order",
            "            for x in tensor.inputs:\n                visit(x)\n            order.append(tensor)",
            "            order.insert(0, tensor)\n            for x in tensor.inputs:\n                visit(x)",
            "A tensor may hand its gradient on only when all gradients of its uses have arrived: inputs come before it in the order.",
        ),
        Bug(
            "visited again for every use",
            "if tensor not in order:",
            "if True:",
            "What is used twice is walked twice, and hands its gradient on twice: visit each tensor once.",
        ),
    ],
)
