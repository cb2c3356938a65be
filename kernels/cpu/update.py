"""The optimizers' updates: (parameter, memory ..., gradient) -> new parameter, new memory ..., in one pass over memory.

NumPy makes one pass per operation of the formula, a dozen for an update; in one pass, memory bandwidth is the only limit.
Operations come in the order of the reference. The kernels write in place: the compiler cannot vectorise a loop whose
results might overlap inputs that are still to be read. Adam also takes a gradient that is a `FactoredGradient`.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numba import prange

from tinydx.factored import FactoredGradient
from tinydx.op import kernel_of
from tinydx.ops.update import adagrad_update, adam_update, average_update, momentum_update, rmsprop_update, sgd_update
from tinydx_kernels.cpu.dense import AdamRates, adam_of_product, suits
from tinydx_kernels.cpu.memory import aligned_empty, flat, is_float32
from tinydx_kernels.cpu.simd import jit, parallel

f32 = np.float32
SMALL = 100_000  # one thread updates this many numbers before a second one is awake


class Pass(NamedTuple):
    """One pass over arrays, compiled for one thread and for several; each when it is first called."""

    alone: Callable
    shared: Callable


def one_pass(function):
    """The passes of a function with a loop over `prange`, which for one thread is `range`."""
    return Pass(jit(function), parallel(function))


class RmspropRates(NamedTuple):
    """The constants of RMSprop, float32: learning rate, rho, 1 - rho, momentum, epsilon; and whether it is centered."""

    rate: np.float32
    rho: np.float32
    rest: np.float32
    momentum: np.float32
    epsilon: np.float32
    centered: bool


# ---- one pass each: parameter p, its memory and the gradient g are all (K,) ------------------------------------------


@one_pass
def sgd_pass(p, g, rate):
    """p, g (K,); overwrites p."""
    for i in prange(len(p)):
        p[i] -= rate * g[i]


@one_pass
def momentum_pass(p, m, g, rate, mu, nesterov):
    """p, m, g (K,); overwrites p and m."""
    for i in prange(len(p)):
        step = rate * g[i]
        velocity = mu * m[i] - step
        p[i] = p[i] + mu * velocity - step if nesterov else p[i] + velocity
        m[i] = velocity


@one_pass
def rmsprop_pass(p, v, a, m, g, rates):
    """p, v, a, m, g (K,), rates RmspropRates; overwrites p, v, a, m."""
    rate, rho, rest, mu, epsilon, centered = rates
    for i in prange(len(p)):
        square = rho * v[i] + rest * g[i] * g[i]
        average = rho * a[i] + rest * g[i] if centered else a[i]
        variance = square - average * average if centered else square
        velocity = mu * m[i] + rate * g[i] / np.sqrt(variance + epsilon)
        p[i] -= velocity
        v[i] = square
        a[i] = average
        m[i] = velocity


@one_pass
def adagrad_pass(p, v, g, rate, epsilon):
    """p, v, g (K,); overwrites p and v."""
    for i in prange(len(p)):
        square = v[i] + g[i] * g[i]
        p[i] -= rate * g[i] / np.sqrt(square + epsilon)
        v[i] = square


@one_pass
def adam_pass(p, m, v, g, rates):
    """p, m, v, g (K,), rates those of AdamRates in a plain tuple, which takes a microsecond less; overwrites p, m, v."""
    alpha, rest_1, rest_2, epsilon = rates
    for i in prange(len(p)):
        mean = m[i] + (g[i] - m[i]) * rest_1
        square = v[i] + (g[i] * g[i] - v[i]) * rest_2
        p[i] -= alpha * mean / (np.sqrt(square) + epsilon)
        m[i] = mean
        v[i] = square


@one_pass
def average_pass(a, p, mu):
    """a, p (K,); overwrites a."""
    rest = f32(1) - mu
    for i in prange(len(a)):
        a[i] = mu * a[i] + rest * p[i]


# ---- update rules: all arrays of one shape (...), contiguous but for g; p and its memory are overwritten ---------------


def run(kernel, arrays, *constants):
    """Call a pass on arrays (...), flattened: a parameter and its memory, which it overwrites, and last the gradient."""
    chosen = kernel.alone if arrays[0].size < SMALL else kernel.shared
    chosen(*[a.reshape(-1) for a in arrays[:-1]], flat(arrays[-1]), *constants)


def sgd(p, g, *, learning_rate):
    """Overwrites p (...)."""
    run(sgd_pass, (p, g), f32(learning_rate))


def momentum(p, m, g, *, learning_rate, momentum, nesterov=False):
    """Overwrites p and m (...)."""
    run(momentum_pass, (p, m, g), f32(learning_rate), f32(momentum), bool(nesterov))


def rmsprop(p, v, a, m, g, *, learning_rate, rho, momentum, epsilon, centered):
    """Overwrites p, v, a and m (...)."""
    rates = RmspropRates(f32(learning_rate), f32(rho), f32(1 - rho), f32(momentum), f32(epsilon), bool(centered))
    run(rmsprop_pass, (p, v, a, m, g), rates)


def adagrad(p, v, g, *, learning_rate, epsilon):
    """Overwrites p and v (...)."""
    run(adagrad_pass, (p, v, g), f32(learning_rate), f32(epsilon))


def average(a, p, *, momentum):
    """Overwrites a (...)."""
    run(average_pass, (a, p), f32(momentum))


@functools.lru_cache(1)  # all weights of a step have the same
def adam_rates(learning_rate, beta_1, beta_2, epsilon, step):
    """The constants of a step, with its bias correction, in the order of AdamRates."""
    alpha = learning_rate * math.sqrt(1 - beta_2**step) / (1 - beta_1**step)
    return f32(alpha), f32(1 - beta_1), f32(1 - beta_2), f32(epsilon)


def adam(p, m, v, g, *, learning_rate, beta_1, beta_2, epsilon, step):
    """Overwrites p, m and v (...); g is an array (...) or a FactoredGradient of a weight (D,F)."""
    rates = adam_rates(learning_rate, beta_1, beta_2, epsilon, step)
    if isinstance(g, FactoredGradient):
        adam_of_product(g.x, g.dy, p, m, v, AdamRates(*rates))
    else:
        run(adam_pass, (p, m, v, g), rates)


# ---- the ops ---------------------------------------------------------------------------------------------------------


def forward_of(in_place):
    """The same update into new arrays: forward(p, memory ..., g) -> (new p, new memory ...), all (...)."""

    def forward(*arrays, **constants):
        new = tuple(aligned_empty(a.shape) for a in arrays[:-1])
        for copy, a in zip(new, arrays, strict=False):
            copy[...] = a
        in_place(*new, arrays[-1], **constants)
        return new, None

    return forward


def supports(*arrays, **constants):
    """Whether all arrays are float32 and of one shape."""
    return is_float32(*arrays) and all(a.shape == arrays[0].shape for a in arrays)


def adam_supports(p, m, v, g, **constants):
    """The same; and a factored gradient of a weight (D,F) that `dense` streams."""
    if isinstance(g, FactoredGradient):
        return supports(p, m, v) and is_float32(g.x, g.dy) and g.shape == p.shape and suits(len(g.x), p)
    return supports(p, m, v, g)


def samples(memory, **choices):
    """samples(draw) of a rule: arrays (p, memory ..., g) of one shape, the last ones shared by several threads.

    Arguments: memory, one letter per array: "m" any mean, "v" a mean of squares, "a" a mean whose square is less than v;
    choices, the values to draw each constant from.
    """
    domain = {"m": lambda x: x, "v": lambda x: x**2 + 1, "a": lambda x: 0.1 * x}

    def draw_update(draw):
        shape = draw.choice([(1,), (17,), (4, 33), (120_001,)])
        kept = [domain[kind](draw.array(*shape)) for kind in memory]
        return (draw.array(*shape), *kept, draw.array(*shape)), {name: draw.choice(values) for name, values in choices.items()}

    return draw_update


RATES = [0.1, 0.001]
EPSILON = [1e-7]


def _register(op, in_place, supports, samples, constants):
    """Register the kernel of an update rule; `constants` are those of its warming."""
    warm = tuple((((size,),) * len(op.arrays), constants) for size in (120_000, 8))  # shared by threads, and alone
    kernel_of(op, "numba", forward_of(in_place), None, supports, in_place=in_place, samples=samples, warm=warm)


_register(sgd_update, sgd, supports, samples("", learning_rate=RATES), {"learning_rate": 0.1})
_register(average_update, average, supports, samples("", momentum=[0.0, 0.99]), {"momentum": 0.99})
_register(
    momentum_update, momentum, supports,
    samples("m", learning_rate=RATES, momentum=[0.9], nesterov=[False, True]),
    {"learning_rate": 0.1, "momentum": 0.9, "nesterov": False},
)  # fmt: skip
_register(
    rmsprop_update, rmsprop, supports,
    samples("vam", learning_rate=RATES, rho=[0.9], momentum=[0.0, 0.9], epsilon=EPSILON, centered=[False, True]),
    {"learning_rate": 0.1, "rho": 0.9, "momentum": 0.0, "epsilon": 1e-7, "centered": False},
)  # fmt: skip
_register(
    adagrad_update, adagrad, supports,
    samples("v", learning_rate=RATES, epsilon=EPSILON),
    {"learning_rate": 0.1, "epsilon": 1e-7},
)  # fmt: skip
_register(
    adam_update, adam, adam_supports,
    samples("mv", learning_rate=RATES, beta_1=[0.9], beta_2=[0.999], epsilon=EPSILON, step=[1, 50]),
    {"learning_rate": 0.1, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7, "step": 1},
)  # fmt: skip
