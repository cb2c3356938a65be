"""The optimizers' updates: (parameter, memory ..., gradient) -> new parameter, new memory ..., in one pass over memory.

NumPy makes a pass for every operation of the formula; an update has a dozen and no arithmetic to speak of, so it is
as fast as memory. Operations come in the order of the reference. The kernels write in place: the compiler could not
vectorise a loop whose results might overlap what it still has to read. Adam also takes a gradient that is a `FactoredGradient`.
"""

import math

import numpy as np
from numba import get_num_threads, prange, set_num_threads

from tinydx.factored import FactoredGradient
from tinydx.op import kernel_of
from tinydx.ops.update import adagrad_update, adam_update, momentum_update, rmsprop_update, sgd_update
from tinydx_kernels.cpu.dense import adam_of_product, suits
from tinydx_kernels.cpu.memory import aligned_empty, flat, is_float32
from tinydx_kernels.cpu.simd import parallel

f32 = np.float32
SMALL = 1 << 15  # numbers that one thread has updated before another one is awake


@parallel
def sgd_pass(p, g, rate):
    for i in prange(len(p)):
        p[i] -= rate * g[i]


@parallel
def momentum_pass(p, m, g, rate, mu, nesterov):
    for i in prange(len(p)):
        step = rate * g[i]
        velocity = mu * m[i] - step
        p[i] = p[i] + mu * velocity - step if nesterov else p[i] + velocity
        m[i] = velocity


@parallel
def rmsprop_pass(p, v, a, m, g, rate, rho, rest, mu, epsilon, centered):
    for i in prange(len(p)):
        square = rho * v[i] + rest * g[i] * g[i]
        average = rho * a[i] + rest * g[i] if centered else a[i]
        variance = square - average * average if centered else square
        velocity = mu * m[i] + rate * g[i] / np.sqrt(variance + epsilon)
        p[i] -= velocity
        v[i] = square
        a[i] = average
        m[i] = velocity


@parallel
def adagrad_pass(p, v, g, rate, epsilon):
    for i in prange(len(p)):
        square = v[i] + g[i] * g[i]
        p[i] -= rate * g[i] / np.sqrt(square + epsilon)
        v[i] = square


@parallel
def adam_pass(p, m, v, g, alpha, rest_1, rest_2, epsilon):
    for i in prange(len(p)):
        mean = m[i] + (g[i] - m[i]) * rest_1
        square = v[i] + (g[i] * g[i] - v[i]) * rest_2
        p[i] -= alpha * mean / (np.sqrt(square) + epsilon)
        m[i] = mean
        v[i] = square


def run(kernel, arrays, *constants):
    """Call a kernel on a parameter and its memory, contiguous, which it writes into, and the gradient, the last array."""
    threads = get_num_threads()
    set_num_threads(1 if arrays[0].size < SMALL else threads)
    try:
        kernel(*(a.reshape(-1) for a in arrays[:-1]), flat(arrays[-1]), *constants)
    finally:
        set_num_threads(threads)


def sgd(p, g, *, learning_rate):
    run(sgd_pass, (p, g), f32(learning_rate))


def momentum(p, m, g, *, learning_rate, momentum, nesterov=False):
    run(momentum_pass, (p, m, g), f32(learning_rate), f32(momentum), bool(nesterov))


def rmsprop(p, v, a, m, g, *, learning_rate, rho, momentum, epsilon, centered):
    constants = f32(learning_rate), f32(rho), f32(1 - rho), f32(momentum), f32(epsilon), bool(centered)
    run(rmsprop_pass, (p, v, a, m, g), *constants)


def adagrad(p, v, g, *, learning_rate, epsilon):
    run(adagrad_pass, (p, v, g), f32(learning_rate), f32(epsilon))


def adam_constants(learning_rate, beta_1, beta_2, epsilon, step):
    """alpha (the step size with its bias correction), 1 - beta_1, 1 - beta_2, epsilon."""
    alpha = learning_rate * math.sqrt(1 - beta_2**step) / (1 - beta_1**step)
    return f32(alpha), f32(1 - beta_1), f32(1 - beta_2), f32(epsilon)


def adam(p, m, v, g, *, learning_rate, beta_1, beta_2, epsilon, step):
    constants = adam_constants(learning_rate, beta_1, beta_2, epsilon, step)
    if isinstance(g, FactoredGradient):
        adam_of_product(g.x, g.dy, p, m, v, *constants)
    else:
        run(adam_pass, (p, m, v, g), *constants)


def forward_of(in_place):
    """The same update, into new arrays."""

    def forward(*arrays, **constants):
        new = tuple(aligned_empty(a.shape) for a in arrays[:-1])
        for copy, a in zip(new, arrays, strict=False):
            copy[...] = a
        in_place(*new, arrays[-1], **constants)
        return new, None

    return forward


def supports(*arrays, **constants):
    return is_float32(*arrays) and all(a.shape == arrays[0].shape for a in arrays)


def adam_supports(p, m, v, g, **constants):
    if isinstance(g, FactoredGradient):
        return supports(p, m, v) and is_float32(g.x, g.dy) and g.shape == p.shape and suits(len(g.x), p)
    return supports(p, m, v, g)


kernel_of(sgd_update, "numba", forward_of(sgd), None, supports, in_place=sgd)
kernel_of(momentum_update, "numba", forward_of(momentum), None, supports, in_place=momentum)
kernel_of(rmsprop_update, "numba", forward_of(rmsprop), None, supports, in_place=rmsprop)
kernel_of(adagrad_update, "numba", forward_of(adagrad), None, supports, in_place=adagrad)
kernel_of(adam_update, "numba", forward_of(adam), None, adam_supports, in_place=adam)
