"""Chains of elementwise steps in one pass over memory: activations of several steps, and a sum with its ReLU.

NumPy runs one step at a time, and each step reads and writes all numbers: nine passes for SiLU, where one is enough.
"""

import numpy as np
from numba import prange

from tinydx.op import kernel_of
from tinydx.ops.activation import elu, leaky_relu, silu, softplus
from tinydx.ops.fused import add_relu
from tinydx_kernels.cpu.elementwise import exp32, relu_gradient, sigmoid32, tanh32, workers_for
from tinydx_kernels.cpu.memory import aligned_empty, flat, is_float32
from tinydx_kernels.cpu.simd import inline, jit, parallel

f32 = np.float32


@inline
def exp_minus_one32(x):
    """e^x - 1 of x <= 0, exact near zero as well: 2 t / (1 - t) with t = tanh(x / 2)."""
    t = tanh32(x * f32(0.5))
    return f32(2) * t / (f32(1) - t)


@inline
def log_one_plus32(e):
    """ln(1 + e) of 0 <= e <= 1, as 2 artanh(e / (2 + e)), whose series ends early: its argument is at most 1/3."""
    z = e / (f32(2) + e)
    q = z * z
    p = ((q * f32(1 / 15) + f32(1 / 13)) * q + f32(1 / 11)) * q + f32(1 / 9)
    p = ((p * q + f32(1 / 7)) * q + f32(1 / 5)) * q + f32(1 / 3)
    return f32(2) * z * (p * q + f32(1))


# ---- activations ---------------------------------------------------------------------------------------------------

LEAKY_RELU, ELU, SOFTPLUS, SILU = range(4)


@jit
def activate(kind, x, slope, y):
    """y (K,) = the activation of x (K,), below zero with this slope."""
    if kind == LEAKY_RELU:
        for i in range(len(x)):
            y[i] = x[i] if x[i] > slope * x[i] else slope * x[i]
    elif kind == ELU:
        for i in range(len(x)):
            negative = slope * exp_minus_one32(f32(0) if x[i] > 0 else x[i])
            y[i] = x[i] if x[i] > 0 else negative
    elif kind == SOFTPLUS:
        for i in range(len(x)):
            y[i] = (f32(0) if x[i] <= 0 else x[i]) + log_one_plus32(exp32(-abs(x[i])))
    else:
        for i in range(len(x)):
            y[i] = x[i] * sigmoid32(x[i])


@jit
def activate_backward(kind, dy, x, slope, dx):
    """dx (K,) = dy (K,) times the slope of the activation at x (K,)."""
    if kind == LEAKY_RELU:
        for i in range(len(x)):
            dx[i] = dy[i] if x[i] > 0 else slope * dy[i]
    elif kind == ELU:
        for i in range(len(x)):
            negative = dy[i] * (slope * exp32(f32(0) if x[i] > 0 else x[i]))
            dx[i] = dy[i] if x[i] > 0 else negative
    elif kind == SOFTPLUS:
        for i in range(len(x)):
            dx[i] = dy[i] * sigmoid32(x[i])
    else:
        for i in range(len(x)):
            s = sigmoid32(x[i])
            dx[i] = dy[i] * (s + x[i] * s * (f32(1) - s))


@parallel
def forward_chunks(kind, x, slope, y, workers):
    """`activate` of x (K,) into y (K,), a piece per worker."""
    for worker in prange(workers):
        first, last = len(x) * worker // workers, len(x) * (worker + 1) // workers
        activate(kind, x[first:last], slope, y[first:last])


@parallel
def backward_chunks(kind, dy, x, slope, dx, workers):
    """`activate_backward` of dy, x (K,) into dx (K,), a piece per worker."""
    for worker in prange(workers):
        first, last = len(x) * worker // workers, len(x) * (worker + 1) // workers
        activate_backward(kind, dy[first:last], x[first:last], slope, dx[first:last])


def supports(x, **constants):
    """Whether x is float32."""
    return is_float32(x)


def _register(op, kind, constant=None):
    """Register the kernel of an activation, whose slope below zero is the value of that constant."""

    def forward(x, **constants):
        """x (...) -> y (...); saved: x and the slope."""
        rows, y = flat(x), aligned_empty(x.shape)
        slope, workers = f32(constants.get(constant, default)), workers_for(x.size)
        if workers == 1:
            activate(kind, rows, slope, y.reshape(-1))
        else:
            forward_chunks(kind, rows, slope, y.reshape(-1), workers)
        return y, (rows, slope)

    def backward(dy, saved):
        """dy (...) -> dx (...)."""
        rows, slope = saved
        dx, workers = aligned_empty(dy.shape), workers_for(dy.size)
        if workers == 1:
            activate_backward(kind, flat(dy), rows, slope, dx.reshape(-1))
        else:
            backward_chunks(kind, flat(dy), rows, slope, dx.reshape(-1), workers)
        return (dx,)

    def samples(draw):
        """Arrays of one to three axes, and two sizes that several threads share."""
        shape = draw.choice([(1,), (7,), (3, 5), (2, 3, 4), (120_000,), (33, 1025)])
        return (draw.array(*shape),), {constant: draw.choice([default, 0.5])} if constant else {}

    default = op.signature.parameters[constant].default if constant else 0.0
    kernel_of(op, "numba", forward, backward, supports, samples=samples, warm=((((3, 5),), {}), (((3, 40_000),), {})))


_register(leaky_relu, LEAKY_RELU, "slope")
_register(elu, ELU, "alpha")
_register(softplus, SOFTPLUS)
_register(silu, SILU)


# ---- a + b, ReLU: where the branches of a residual network meet ----------------------------------------------------


@jit
def add_rectified(a, b, y):
    """y (K,) = ReLU of a + b (K,)."""
    for i in range(len(a)):
        total = a[i] + b[i]
        y[i] = f32(0) if total <= 0 else total  # not "total if total > 0": NaN stays NaN


@parallel
def add_rectified_chunks(a, b, y, workers):
    """`add_rectified` of a, b (K,) into y (K,), a piece per worker."""
    for worker in prange(workers):
        first, last = len(a) * worker // workers, len(a) * (worker + 1) // workers
        add_rectified(a[first:last], b[first:last], y[first:last])


def add_relu_forward(a, b):
    """a, b (...) of one shape -> y (...); saved: y."""
    y, workers = aligned_empty(a.shape), workers_for(a.size)
    rows = flat(a), flat(b), y.reshape(-1)
    add_rectified(*rows) if workers == 1 else add_rectified_chunks(*rows, workers)
    return y, y


def add_relu_backward(dy, y):
    """dy (...) -> the same gradient for a and b (...)."""
    dz = relu_gradient(dy, y)
    return dz, dz


def add_relu_supports(a, b):
    """Whether a and b are float32 of one shape."""
    return is_float32(a, b) and a.shape == b.shape


def add_relu_samples(draw):
    """Two arrays of one shape, on one thread and on several."""
    shape = draw.choice([(1,), (7,), (3, 5), (2, 3, 4), (120_000,), (33, 1025)])
    return (draw.array(*shape), draw.array(*shape)), {}


ADD_RELU_WARM: tuple = ((((3, 5), (3, 5)), {}), (((3, 40_000), (3, 40_000)), {}))
kernel_of(add_relu, "numba", add_relu_forward, add_relu_backward, add_relu_supports, samples=add_relu_samples, warm=ADD_RELU_WARM)
