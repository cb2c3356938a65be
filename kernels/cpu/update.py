"""The optimizers' updates: (parameter, memory ..., gradient) -> new parameter, new memory ..., in one pass over memory.

NumPy makes a pass for every operation of the formula; an update has a dozen and no arithmetic to speak of, so it is
as fast as memory. Operations come in the order of the reference. New arrays may be the old ones (update in place).
"""

import math

import numpy as np
from numba import prange
from tinydx_kernels.cpu.memory import aligned_empty, flat, is_float32
from tinydx_kernels.cpu.simd import parallel

from tinydx.op import kernel_of
from tinydx.ops.update import adagrad_update, adam_update, momentum_update, rmsprop_update, sgd_update

f32 = np.float32


@parallel
def sgd_pass(p, g, new_p, rate):
    for i in prange(len(p)):
        new_p[i] = p[i] - rate * g[i]


@parallel
def momentum_pass(p, m, g, new_p, new_m, rate, mu, nesterov):
    for i in prange(len(p)):
        step = rate * g[i]
        velocity = mu * m[i] - step
        new_p[i] = p[i] + mu * velocity - step if nesterov else p[i] + velocity
        new_m[i] = velocity


@parallel
def rmsprop_pass(p, v, a, m, g, new_p, new_v, new_a, new_m, rate, rho, rest, mu, epsilon, centered):
    for i in prange(len(p)):
        square = rho * v[i] + rest * g[i] * g[i]
        average = rho * a[i] + rest * g[i] if centered else a[i]
        variance = square - average * average if centered else square
        velocity = mu * m[i] + rate * g[i] / np.sqrt(variance + epsilon)
        new_p[i] = p[i] - velocity
        new_v[i] = square
        new_a[i] = average
        new_m[i] = velocity


@parallel
def adagrad_pass(p, v, g, new_p, new_v, rate, epsilon):
    for i in prange(len(p)):
        square = v[i] + g[i] * g[i]
        new_p[i] = p[i] - rate * g[i] / np.sqrt(square + epsilon)
        new_v[i] = square


@parallel
def adam_pass(p, m, v, g, new_p, new_m, new_v, alpha, rest_1, rest_2, epsilon):
    for i in prange(len(p)):
        mean = m[i] + (g[i] - m[i]) * rest_1
        square = v[i] + (g[i] * g[i] - v[i]) * rest_2
        new_p[i] = p[i] - alpha * mean / (np.sqrt(square) + epsilon)
        new_m[i] = mean
        new_v[i] = square


def run(kernel, arrays, outputs, *constants):
    """Call a kernel on flat arrays, with `outputs` new arrays like the first ones."""
    new = tuple(aligned_empty(arrays[0].shape) for _ in range(outputs))
    kernel(*(flat(a) for a in arrays), *(a.reshape(-1) for a in new), *constants)
    return new, None


def sgd_forward(p, g, *, learning_rate):
    return run(sgd_pass, (p, g), 1, f32(learning_rate))


def momentum_forward(p, m, g, *, learning_rate, momentum, nesterov=False):
    return run(momentum_pass, (p, m, g), 2, f32(learning_rate), f32(momentum), bool(nesterov))


def rmsprop_forward(p, v, a, m, g, *, learning_rate, rho, momentum, epsilon, centered):
    constants = f32(learning_rate), f32(rho), f32(1 - rho), f32(momentum), f32(epsilon), bool(centered)
    return run(rmsprop_pass, (p, v, a, m, g), 4, *constants)


def adagrad_forward(p, v, g, *, learning_rate, epsilon):
    return run(adagrad_pass, (p, v, g), 2, f32(learning_rate), f32(epsilon))


def adam_constants(learning_rate, beta_1, beta_2, epsilon, step):
    """alpha (the step size with its bias correction), 1 - beta_1, 1 - beta_2, epsilon."""
    alpha = learning_rate * math.sqrt(1 - beta_2**step) / (1 - beta_1**step)
    return f32(alpha), f32(1 - beta_1), f32(1 - beta_2), f32(epsilon)


def adam_forward(p, m, v, g, *, learning_rate, beta_1, beta_2, epsilon, step):
    return run(adam_pass, (p, m, v, g), 3, *adam_constants(learning_rate, beta_1, beta_2, epsilon, step))


def supports(*arrays, **constants):
    return is_float32(*arrays) and all(a.shape == arrays[0].shape for a in arrays)


kernel_of(sgd_update, "numba", sgd_forward, None, supports)
kernel_of(momentum_update, "numba", momentum_forward, None, supports)
kernel_of(rmsprop_update, "numba", rmsprop_forward, None, supports)
kernel_of(adagrad_update, "numba", adagrad_forward, None, supports)
kernel_of(adam_update, "numba", adam_forward, None, supports)
