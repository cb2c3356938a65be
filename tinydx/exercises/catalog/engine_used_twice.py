"""Find the bug: a small engine · 自动微分

This is a whole engine in one class. Every result remembers what it was computed from (inputs) and how a gradient goes
back (pull). `backward` goes from the result to the leaves. Simple networks get the right gradients, but the engine has one
bug. Find it and fix it. The check builds a network with this class, so keep its names.
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
        """Fill .grad of everything that this tensor was computed from."""
        self.grad = dy
        for tensor in reversed(in_order(self)):
            if tensor.pull is not None:
                for x, dx in zip(tensor.inputs, tensor.pull(tensor.grad), strict=True):
                    x.grad = x.grad + dx


def in_order(result):
    """All tensors that result was computed from, each after its inputs."""
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
    source="the network that the check builds",
    forward=network,
    samples=network_samples,
)

EXERCISE = Exercise(
    checks=[Gradients(network_gradients, of=NETWORK, driver=True)],
    planted=True,
    hints=(
        "A simple chain of operations gets the right gradients. What is different in the network that the check builds?",
        "There h is used four times. Each use affects y, so each sends a gradient back. What does backward do with the four?",
        "x.grad = dx keeps only the gradient that arrives last. The gradients must add up.",
    ),
    bugs=[
        Bug(
            "one use only",
            "x.grad = x.grad + dx",
            "x.grad = dx",
            "A value that is used several times keeps the gradient of only one use. The gradients of all uses add up.",
        ),
        Bug(
            "walked in the wrong order",
            "            for x in tensor.inputs:\n                visit(x)\n            order.append(tensor)",
            "            order.insert(0, tensor)\n            for x in tensor.inputs:\n                visit(x)",
            "A tensor may pass its gradient on only after the gradients of all its uses have arrived: in the order, inputs come first.",
        ),
        Bug(
            "visited again for every use",
            "if tensor not in order:",
            "if True:",
            "A tensor that is used twice is visited twice and passes its gradient on twice: visit each tensor once.",
        ),
    ],
)
