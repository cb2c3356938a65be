"""Find the bug: a tape · 计算图与梯度带

Another way to build an engine: every operation writes an entry on a tape, with its inputs, its result, and how a gradient
goes back. `gradients` reads the tape from the end. It has one bug, which shows only where a result is used in certain
ways. Find it and fix it. The check builds a network with these functions, so keep their names.
"""

import numpy as np

from tinydx.exercises import Bug, Exercise, Gradients
from tinydx.op import Op

tape: list = []  # (numbers of the inputs, number of the result, pull)
values: list = []  # all values, by number


def new(value):
    """Add a value; returns its number."""
    values.append(value)
    return len(values) - 1


def write(inputs, value, pull):
    """Add a value that was computed from others, with an entry on the tape; returns its number."""
    result = new(value)
    tape.append((inputs, result, pull))
    return result


def add(a, b):
    return write((a, b), values[a] + values[b], lambda dy: (dy, dy))


def subtract(a, b):
    return write((a, b), values[a] - values[b], lambda dy: (dy, -dy))


def matmul(a, b):
    return write((a, b), values[a] @ values[b], lambda dy: (dy @ values[b].T, values[a].T @ dy))


def tanh(a):
    return write((a,), np.tanh(values[a]), lambda dy: (dy * (1 - np.tanh(values[a]) ** 2),))


def gradients(result, dy, wanted):
    """The gradients of the values with the numbers `wanted`, where dy is the gradient of result."""
    grads = {result: dy}
    for inputs, made, pull in reversed(tape):
        if made in grads:
            for number, dx in zip(inputs, pull(grads[made]), strict=True):
                if number in grads:
                    grads[number] = grads[number] + dx
                else:
                    grads[number] = dx
    return tuple(grads[number] for number in wanted)


# ---- the runner's part ---------------------------------------------------------------------------------------------


def tape_gradients(dy, x, w, v):
    tape.clear()
    values.clear()
    x, w, v = new(x), new(w), new(v)
    z = matmul(x, w)
    h = tanh(z)
    g = tanh(h)
    s = add(h, z)  # passes one gradient to both h and z; then h gets a second one, from g
    y = subtract(matmul(s, v), matmul(g, v))
    return gradients(y, dy, (x, w, v))


def network(x, w, v):
    z = x @ w
    h = np.tanh(z)
    return (h + z) @ v - np.tanh(h) @ v, None


def network_samples(draw):
    n, d, u, k = draw.integer(2, 3), draw.integer(2, 3), draw.integer(4, 5), draw.integer(2, 3)
    return (draw.array(n, d), draw.array(d, u), draw.array(u, k)), {}


NETWORK = Op(
    name="network",
    equation=r"z = x w, \quad h = \tanh(z), \quad g = \tanh(h), \quad y = (h + z) v - g v",
    shapes="x (N,D), w (D,U), v (U,K) -> y (N,K)",
    source="the network that the check builds",
    forward=network,
    samples=network_samples,
)

EXERCISE = Exercise(
    checks=[Gradients(tape_gradients, of=NETWORK, driver=True)],
    planted=True,
    hints=(
        "The check uses s = h + z, and uses h a second time. Follow the gradient of s along the tape: which values get it, and what changes it later?",
        "The pull of add returns (dy, dy): the same array twice, not two arrays. Where is an array changed in place?",
        "grads[number] += dx changes the array itself, and so every other gradient that shares it. Make a new array.",
    ),
    bugs=[
        Bug(
            "a shared array changed in place",
            "grads[number] = grads[number] + dx",
            "grads[number] += dx",
            "A gradient is changed in place although another value shares the same array: make a new array.",
        ),
        Bug(
            "one use only",
            "grads[number] + dx",
            "dx",
            "A value that is used several times keeps the gradient of only one use. The gradients of all uses add up.",
        ),
        Bug(
            "slope at the wrong place",
            "1 - np.tanh(values[a]) ** 2",
            "1 - values[a] ** 2",
            "1 - y**2 is the slope of tanh where y is its result, not its input.",
        ),
        Bug(
            "sign of the difference",
            "lambda dy: (dy, -dy)",
            "lambda dy: (dy, dy)",
            "y = a - b falls as b grows: the gradient of b is -dy.",
        ),
    ],
)
