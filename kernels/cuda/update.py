"""The optimizers' updates, in one pass over memory each."""

from __future__ import annotations

import math

from tinydx.factored import FactoredGradient
from tinydx.op import kernel_of
from tinydx.ops.update import adagrad_update, adam_update, momentum_update, rmsprop_update, sgd_update
from tinydx_kernels.cuda.backend import contiguous, each, is_float32
from tinydx_kernels.cuda.programs import PLAIN

UPDATE = PLAIN["update"]


def run(kernel, arrays, *constants):
    """Call a kernel on a parameter and its memory, contiguous, which it writes into, and the gradient, the last array."""
    each(UPDATE, kernel, arrays[0].size, *arrays[:-1], contiguous(arrays[-1]), arrays[0].size, *constants)


def sgd(p, g, *, learning_rate):
    run("sgd", (p, g), float(learning_rate))


def momentum(p, m, g, *, learning_rate, momentum, nesterov=False):
    run("momentum", (p, m, g), float(learning_rate), float(momentum), bool(nesterov))


def rmsprop(p, v, a, m, g, *, learning_rate, rho, momentum, epsilon, centered):
    constants = (float(c) for c in (learning_rate, rho, 1 - rho, momentum, epsilon))
    run("rmsprop", (p, v, a, m, g), *constants, bool(centered))


def adagrad(p, v, g, *, learning_rate, epsilon):
    run("adagrad", (p, v, g), float(learning_rate), float(epsilon))


def adam(p, m, v, g, *, learning_rate, beta_1, beta_2, epsilon, step):
    alpha = learning_rate * math.sqrt(1 - beta_2**step) / (1 - beta_1**step)
    run("adam", (p, m, v, g), float(alpha), float(1 - beta_1), float(1 - beta_2), float(epsilon))


def forward_of(in_place):
    """The same update, into new arrays."""

    def forward(*arrays, **constants):
        new = tuple(a.copy(order="C") for a in arrays[:-1])
        in_place(*new, arrays[-1], **constants)
        return new, None

    return forward


def supports(*arrays, **constants):
    if any(isinstance(a, FactoredGradient) for a in arrays):
        return False
    return is_float32(*arrays) and all(a.shape == arrays[0].shape for a in arrays)


for _record, _in_place in (
    (sgd_update, sgd),
    (momentum_update, momentum),
    (rmsprop_update, rmsprop),
    (adagrad_update, adagrad),
    (adam_update, adam),
):
    kernel_of(_record, "cuda", forward_of(_in_place), None, supports, in_place=_in_place)
