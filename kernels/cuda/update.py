"""The optimizers' updates: each reads and writes memory once."""

from __future__ import annotations

import math
from typing import NamedTuple

from tinydx.factored import FactoredGradient
from tinydx.op import kernel_of
from tinydx.ops.update import adagrad_update, adam_update, momentum_update, rmsprop_update, sgd_update
from tinydx_kernels.cuda.backend import contiguous, each, is_float32
from tinydx_kernels.cuda.programs import Program

UPDATE = Program("update.cu")
PROGRAMS = [UPDATE]


class RMSprop(NamedTuple):
    """The struct RMSprop of update.cu; rest is 1 - rho."""

    rate: float
    rho: float
    rest: float
    mu: float
    epsilon: float
    centered: int


class Adam(NamedTuple):
    """The struct Adam of update.cu: alpha is the rate with its bias correction, rest_1 is 1 - beta_1, rest_2 1 - beta_2."""

    alpha: float
    rest_1: float
    rest_2: float
    epsilon: float


def run(kernel, arrays, *constants):
    """Run a kernel on arrays of one shape (...), all contiguous but the last, the gradient. It writes into the others."""
    each(UPDATE, kernel, arrays[0].size, *arrays[:-1], contiguous(arrays[-1]), arrays[0].size, *constants)


def sgd(p, g, *, learning_rate):
    """p (...), g (...): p changes."""
    run("sgd", (p, g), float(learning_rate))


def momentum(p, m, g, *, learning_rate, momentum, nesterov=False):
    """p (...), m (...), g (...): p and m change."""
    run("momentum", (p, m, g), float(learning_rate), float(momentum), bool(nesterov))


def rmsprop(p, v, a, m, g, *, learning_rate, rho, momentum, epsilon, centered):
    """p (...), v (...), a (...), m (...), g (...): all but g change."""
    run("rmsprop", (p, v, a, m, g), RMSprop(learning_rate, rho, 1 - rho, momentum, epsilon, centered))


def adagrad(p, v, g, *, learning_rate, epsilon):
    """p (...), v (...), g (...): p and v change."""
    run("adagrad", (p, v, g), float(learning_rate), float(epsilon))


def adam(p, m, v, g, *, learning_rate, beta_1, beta_2, epsilon, step):
    """p (...), m (...), v (...), g (...): all but g change."""
    alpha = learning_rate * math.sqrt(1 - beta_2**step) / (1 - beta_1**step)
    run("adam", (p, m, v, g), Adam(alpha, 1 - beta_1, 1 - beta_2, epsilon))


def forward_of(in_place):
    """The same update into new arrays: arrays (...) -> (new arrays without the gradient, None)."""

    def forward(*arrays, **constants):
        new = tuple(a.copy(order="C") for a in arrays[:-1])
        in_place(*new, arrays[-1], **constants)
        return new, None

    return forward


def supports(*arrays, **constants):
    """Arrays (...) of one shape; a factored gradient is left to the reference."""
    if any(isinstance(a, FactoredGradient) for a in arrays):
        return False
    return is_float32(*arrays) and all(a.shape == arrays[0].shape for a in arrays)


# ---- samples ---------------------------------------------------------------------------------------------------------


def _arrays(draw, number):
    """Arrays of one shape, of sizes around a block."""
    shape = draw.choice([(1,), (17,), (4, 33), (257,), (31, 33)])
    return [draw.array(*shape) for _ in range(number)]


def _rate(draw):
    return {"learning_rate": draw.choice([0.1, 0.001])}


def _epsilon(draw):
    return {"epsilon": draw.choice([1e-7, 0.1])}


def sgd_samples(draw):
    """p, g."""
    return tuple(_arrays(draw, 2)), _rate(draw)


def momentum_samples(draw):
    """p, m, g."""
    return tuple(_arrays(draw, 3)), {**_rate(draw), "momentum": 0.9, "nesterov": draw.choice([False, True])}


def rmsprop_samples(draw):
    """p, v, a, m, g: v is positive, and |a| less than the root of v."""
    p, v, a, m, g = _arrays(draw, 5)
    constants = {"rho": 0.9, "momentum": draw.choice([0.0, 0.9]), "centered": draw.choice([False, True])}
    return (p, v**2 + 1, 0.1 * a, m, g), {**_rate(draw), **_epsilon(draw), **constants}


def adagrad_samples(draw):
    """p, v, g: v is positive."""
    p, v, g = _arrays(draw, 3)
    return (p, v**2 + 1, g), {**_rate(draw), **_epsilon(draw)}


def adam_samples(draw):
    """p, m, v, g: v is positive; the first step and a later one."""
    p, m, v, g = _arrays(draw, 4)
    constants = {"beta_1": 0.9, "beta_2": 0.999, "step": draw.choice([1, 50])}
    return (p, m, v**2 + 1, g), {**_rate(draw), **_epsilon(draw), **constants}


for _op, _in_place, _samples in (
    (sgd_update, sgd, sgd_samples),
    (momentum_update, momentum, momentum_samples),
    (rmsprop_update, rmsprop, rmsprop_samples),
    (adagrad_update, adagrad, adagrad_samples),
    (adam_update, adam, adam_samples),
):
    kernel_of(_op, "cuda", forward_of(_in_place), None, supports, in_place=_in_place, samples=_samples)
