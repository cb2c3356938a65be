"""Activations, dropout and softmax: one pass over memory each, divided among the threads.

Numba has no vectorised exp of its own, so `exp32` is written out: e^x = 2^n e^r with |r| <= ln(2)/2, where e^r is a
polynomial (fitted at Chebyshev points; 7e-8 relative error, one ulp of float32) and 2^n is built from its bits.
"""

import numpy as np
from numba import get_num_threads, prange

from tinydx.op import kernel_of
from tinydx.ops.activation import relu, sigmoid, tanh
from tinydx.ops.normalization import dropout
from tinydx.ops.softmax import softmax
from tinydx_kernels.cpu.memory import aligned_empty, contiguous, flat, is_float32
from tinydx_kernels.cpu.simd import SIZES, inline, jit, parallel

f32 = np.float32
SMALL = 100_000  # elements that one thread is done with before a second one is awake

# ---- functions that the compiler can vectorise ---------------------------------------------------------------------


@inline
def exp32(x):
    """e^x of a float32: 0 below -103, inf above 88.3, NaN of NaN."""
    z = f32(-104) if x < f32(-104) else f32(89) if x > f32(89) else x
    n = np.floor(z * f32(1.44269504) + f32(0.5))
    whole = np.int32(n if n == n else f32(0))
    half = whole >> np.int32(1)  # 2^n as two factors: a single one would underflow too early
    return (_exp_minus_one(z, n) + f32(1)) * _power_of_two(half) * _power_of_two(whole - half)


@inline
def _exp_minus_one(x, n):
    """e^r - 1 of r = x - n ln(2) between -ln(2)/2 and ln(2)/2."""
    r = (x - n * f32(0.693359375)) + n * f32(2.12194440e-4)  # n ln(2) in two parts: the first is exact
    p = (f32(1.39336489e-3) * r + f32(8.36318154e-3)) * r + f32(4.16664649e-2)
    p = (p * r + f32(1.6666577e-1)) * r + f32(5.00000001e-1)
    return p * r * r + r


@inline
def _power_of_two(n):
    """2^n as float32, n from -126 to 127."""
    return np.int32((n + np.int32(127)) << np.int32(23)).view(np.float32)


@inline
def split32(x):
    """(e^r - 1, 2^n) of x = n ln(2) + r <= 0: e^x = 2^n (e^r - 1) + 2^n, and 2^n = 0 below -87.7.

    One power of two is enough, since no exponent is positive; and e^x - 1 is exact near zero as well.
    """
    z = f32(-88) if x < f32(-88) else x
    n = np.floor(z * f32(1.44269504) + f32(0.5))
    return _exp_minus_one(z, n), _power_of_two(np.int32(n if n == n else f32(0)))


@inline
def sigmoid_parts32(x):
    """Numerator and denominator of 1 / (1 + e^-x), with an exponent that is never positive: the latter is from 1 to 2."""
    q, power = split32(-abs(x))
    e = q * power + power
    return f32(1) if x >= 0 else e, f32(1) + e


@inline
def tanh_parts32(x):
    """Numerator and denominator of tanh, -E / (E + 2) with E = e^-2|x| - 1: the latter is from 1 to 2."""
    q, power = split32(f32(-2) * abs(x))
    e = q * power + (power - f32(1))
    return np.copysign(e, x), e + f32(2)


@inline
def sigmoid32(x):
    """1 / (1 + e^-x)"""
    above, below = sigmoid_parts32(x)
    return above / below


@inline
def tanh32(x):
    """tanh"""
    above, below = tanh_parts32(x)
    return above / below


@inline
def largest32(row):
    """The largest number of row (K,); NaN, or the largest of the others, where one is NaN.

    Found as the largest integer: bits of floats are in the order of floats, if those of negative ones are turned around. The
    compiler makes vectors of a maximum of integers, but not of one whose numbers may be NaN.
    """
    largest = np.int32(-(2**31))
    for k in range(len(row)):
        bits = f32(row[k]).view(np.int32)
        largest = max(largest, np.int32(bits ^ ((bits >> np.int32(31)) & np.int32(0x7FFFFFFF))))
    return np.int32(largest ^ ((largest >> np.int32(31)) & np.int32(0x7FFFFFFF))).view(np.float32)


# ---- activations ---------------------------------------------------------------------------------------------------

RELU, SIGMOID, TANH = 0, 1, 2


@jit
def activate(kind, x, y):
    """y (K,) = the activation of x (K,)."""
    if kind == RELU:
        for i in range(len(x)):
            y[i] = f32(0) if x[i] <= 0 else x[i]  # not "x if x > 0": NaN stays NaN
    elif kind == SIGMOID:
        for i in range(len(x)):
            y[i] = sigmoid32(x[i])
    else:
        for i in range(len(x)):
            y[i] = tanh32(x[i])


@jit
def activate_backward(kind, dy, y, dx):
    """dx (K,) = dy (K,) times the slope of the activation whose output is y (K,)."""
    if kind == RELU:
        for i in range(len(y)):
            dx[i] = dy[i] * f32(y[i] > 0)
    elif kind == SIGMOID:
        for i in range(len(y)):
            dx[i] = dy[i] * y[i] * (f32(1) - y[i])
    else:
        for i in range(len(y)):
            dx[i] = dy[i] * (f32(1) - y[i] * y[i])


@parallel
def forward_chunks(kind, x, y, workers):
    """`activate` of x (K,) into y (K,), a piece per worker."""
    for worker in prange(workers):
        first, last = len(x) * worker // workers, len(x) * (worker + 1) // workers
        activate(kind, x[first:last], y[first:last])


@parallel
def backward_chunks(kind, dy, y, dx, workers):
    """`activate_backward` of dy, y (K,) into dx (K,), a piece per worker."""
    for worker in prange(workers):
        first, last = len(y) * worker // workers, len(y) * (worker + 1) // workers
        activate_backward(kind, dy[first:last], y[first:last], dx[first:last])


def workers_for(size):
    """How many threads `size` elements keep busy."""
    return 1 if size < SMALL else min(get_num_threads(), -(-size // 16384))  # asking for the number takes a microsecond


def _forward(kind, x, y):
    """y (K,) = the activation of x (K,). A small array takes less time than starting threads: it runs without them."""
    workers = workers_for(len(x))
    if workers == 1:
        activate(kind, x, y)
    else:
        forward_chunks(kind, x, y, workers)


def _backward(kind, dy, y, dx):
    """dx (K,) from dy, y (K,), as `_forward` chooses threads."""
    workers = workers_for(len(y))
    if workers == 1:
        activate_backward(kind, dy, y, dx)
    else:
        backward_chunks(kind, dy, y, dx, workers)


def samples(draw):
    """Arrays of one to three axes, and two sizes that several threads share."""
    return (draw.array(*draw.choice([(1,), (7,), (3, 5), (2, 3, 4), (120_000,), (33, 1025)])),), {}


WARM: tuple = ((((3, 5),), {}), (((3, 40_000),), {}))  # on one thread, and on all


def _register(op, kind):
    """Register the kernel of an activation."""

    def forward(x):
        """x (...) -> y (...); saved: y."""
        y = aligned_empty(x.shape)
        _forward(kind, flat(x), y.reshape(-1))
        return y, y

    def backward(dy, y):
        """dy (...) -> dx (...)."""
        dx = aligned_empty(y.shape)
        _backward(kind, flat(dy), y.reshape(-1), dx.reshape(-1))
        return (dx,)

    kernel_of(op, "numba", forward, backward, is_float32, samples=samples, warm=WARM)


_register(relu, RELU)
_register(sigmoid, SIGMOID)
_register(tanh, TANH)


def relu_in_place(y):
    """y (...), contiguous -> y itself, with ReLU applied."""
    row = y.reshape(-1)
    _forward(RELU, row, row)
    return y


def relu_gradient(dy, y):
    """dy (...), y (...), the output of ReLU -> dz (...): dy where y > 0, else 0."""
    dz = aligned_empty(y.shape)
    _backward(RELU, flat(dy), y.reshape(-1), dz.reshape(-1))
    return dz


# ---- dropout -------------------------------------------------------------------------------------------------------


@jit
def drop(x, mask, scale, y):
    """y (K,) = x (K,) where the mask (K,) is True, times scale; else 0 (NaN of NaN, as in the reference)."""
    for i in range(len(x)):
        y[i] = x[i] * f32(mask[i]) * scale


@parallel
def drop_chunks(x, mask, scale, y, workers):
    """`drop` of x (K,) into y (K,), a piece per worker."""
    for worker in prange(workers):
        first, last = len(x) * worker // workers, len(x) * (worker + 1) // workers
        drop(x[first:last], mask[first:last], scale, y[first:last])


def _dropped(x, mask, scale):
    y, workers = aligned_empty(x.shape), workers_for(x.size)
    rows = flat(x), mask, scale, y.reshape(-1)
    drop(*rows) if workers == 1 else drop_chunks(*rows, workers)
    return y


def dropout_forward(x, *, mask, rate):
    """x, mask (...) -> y (...)."""
    mask, scale = flat(mask), f32(1 / (1 - rate))
    return _dropped(x, mask, scale), (mask, scale)


def dropout_backward(dy, saved):
    """dy (...) -> dx (...)."""
    return (_dropped(dy, *saved),)


def dropout_supports(x, **constants):
    """Whether x is float32."""
    return is_float32(x)


def dropout_samples(draw):
    """Arrays on one thread and several; masks of their size, and ones that are repeated along an axis."""
    shape = draw.choice([(7,), (3, 5), (120_000,), (33, 1025)])
    mask = draw.choice([draw.array(*shape) > 0, np.broadcast_to(draw.array(*shape[:-1], 1) > 0, shape)])
    return (draw.array(*shape),), {"mask": mask, "rate": draw.choice([0.5, 0.2])}


DROPOUT_WARM: tuple = tuple((((n,),), {"mask": np.ones(n, bool), "rate": 0.5}) for n in (7, 120_000))
kernel_of(dropout, "numba", dropout_forward, dropout_backward, dropout_supports, samples=dropout_samples, warm=DROPOUT_WARM)


# ---- softmax over the last axis ------------------------------------------------------------------------------------


@jit
def softmax_rows(x, y):
    """y (N,C) = softmax of each row of x (N,C)."""
    for n in range(len(x)):
        row, out = x[n], y[n]
        largest, total = largest32(row), f32(0)
        for c in range(len(row)):
            out[c] = exp32(row[c] - largest)
        for c in range(len(row)):
            total += out[c]  # NaN where a number of the row is
        share = f32(1) / total
        for c in range(len(row)):
            out[c] *= share


@parallel
def softmax_chunks(x, y, workers):
    """`softmax_rows` of x (N,C) into y (N,C), a piece per worker."""
    for worker in prange(workers):
        first, last = len(x) * worker // workers, len(x) * (worker + 1) // workers
        softmax_rows(x[first:last], y[first:last])


@jit
def softmax_rows_backward(dp, p, dx):
    """dx (N,C) = p (dp - sum of dp p over the row), with dp, p (N,C)."""
    for n in range(len(p)):
        total = f32(0)
        for c in range(p.shape[1]):
            total += dp[n, c] * p[n, c]
        for c in range(p.shape[1]):
            dx[n, c] = p[n, c] * (dp[n, c] - total)


@parallel
def softmax_chunks_backward(dp, p, dx, workers):
    """`softmax_rows_backward` of dp, p (N,C) into dx (N,C), a piece per worker."""
    for worker in prange(workers):
        first, last = len(p) * worker // workers, len(p) * (worker + 1) // workers
        softmax_rows_backward(dp[first:last], p[first:last], dx[first:last])


def softmax_forward(x, *, axis=-1):
    """x (...,C) -> p (...,C); saved: p."""
    p, workers = aligned_empty(x.shape), workers_for(x.size)
    rows = contiguous(x).reshape(-1, x.shape[-1]), p.reshape(-1, x.shape[-1])
    softmax_rows(*rows) if workers == 1 else softmax_chunks(*rows, workers)
    return p, p


def softmax_backward(dp, p):
    """dp (...,C) -> dx (...,C)."""
    dx, workers = aligned_empty(p.shape), workers_for(p.size)
    rows = [a.reshape(-1, p.shape[-1]) for a in (contiguous(dp), p, dx)]
    softmax_rows_backward(*rows) if workers == 1 else softmax_chunks_backward(*rows, workers)
    return (dx,)


def softmax_supports(x, *, axis=-1):
    """Whether x is float32 and the axis is the last."""
    return is_float32(x) and x.ndim > 0 and axis in (-1, x.ndim - 1)


def softmax_samples(draw):
    """Rows of any number of axes; the last axis counted from the end or from the front."""
    shape = draw.choice(
        [(300, 400), (*draw.choice([(), (1,), (5,), (2, 3)]), draw.choice(SIZES))]
    )  # the first on several threads
    return (draw.array(*shape),), {"axis": draw.choice([-1, len(shape) - 1])}


SOFTMAX_WARM: tuple = ((((3, 5),), {}), (((300, 400),), {}))  # on one thread, and on all
kernel_of(softmax, "numba", softmax_forward, softmax_backward, softmax_supports, samples=softmax_samples, warm=SOFTMAX_WARM)
