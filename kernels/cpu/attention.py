"""Attention, example by example: scores, mask, softmax and mixture, while the weights lie in a cache.

    forward    a = q k^T -> hide -> softmax        y = a v
    backward   a again                             da = dy v^T -> softmax's gradient      dq = ds k   dk = ds^T q   dv = a^T dy

The weights a (S,T) of one example at a time are all that is held, in memory that each worker uses over and over: those of all
examples are neither written nor kept for the backward pass, which computes them again.
"""

import numpy as np
from numba import get_num_threads, prange

from tinydx.op import kernel_of
from tinydx.ops.attention import attention
from tinydx_kernels.cpu.elementwise import softmax_rows, softmax_rows_backward
from tinydx_kernels.cpu.matmul import Rectangle, multiply, work_space
from tinydx_kernels.cpu.memory import Matrix, aligned_empty, contiguous, is_float32
from tinydx_kernels.cpu.simd import inline, jit, parallel

HIDDEN = np.float32(-1e9)  # the score of a value that a query does not see
SMALL = 1 << 20  # multiplications that one thread does before a second one is awake
ALL = np.empty((0, 0), bool)  # no mask


@inline
def rows(x, n, height, width):
    """Matrix n (height,width) of x, flat."""
    return Matrix(x[n * height * width : (n + 1) * height * width], width, 1)


@inline
def columns(x, n, height, width):
    """The same transposed: (width,height)."""
    return Matrix(x[n * height * width : (n + 1) * height * width], 1, width)


@inline
def hide(n, mask, causal, a, number):
    """The number into a (S,T) where example n hides a value from a query."""
    if causal or len(mask):
        for i in range(a.shape[0]):
            for j in range(a.shape[1]):
                if (causal and j > i) or (len(mask) and not mask[n, j]):
                    a[i, j] = number


@jit
def weigh(n, sizes, q, k, mask, causal, a, space):
    """a (S,T) = the weights of example n; q, k flat, mask (N,T), or (0,0) if all values exist."""
    s, t, u, _ = sizes
    multiply(rows(q, n, s, u), columns(k, n, t, u), Matrix(a.reshape(-1), t, 1), Rectangle(0, s, 0, t), u, space)
    hide(n, mask, causal, a, HIDDEN)
    softmax_rows(a, a)


@parallel
def forward(sizes, q, k, v, mask, causal, y, scratch, space):
    """y (N,S,V), flat, of q, k, v, flat; a share of the examples for each worker."""
    workers, count = len(space), len(y) // (sizes[0] * sizes[3])
    for part in prange(workers):
        worker = np.int64(part)
        a, room = scratch[worker, 0], space[worker]
        s, t, _, c = sizes
        for n in range(count * worker // workers, count * (worker + 1) // workers):
            weigh(n, sizes, q, k, mask, causal, a, room)
            multiply(Matrix(a.reshape(-1), t, 1), rows(v, n, t, c), rows(y, n, s, c), Rectangle(0, s, 0, c), t, room)


@parallel
def backward(sizes, q, k, v, mask, causal, dy, gradients, scratch, space):
    """gradients = dq, dk, dv, flat, of dy (N,S,V), flat; a share of the examples for each worker."""
    workers, count = len(space), len(dy) // (sizes[0] * sizes[3])
    for part in prange(workers):
        worker = np.int64(part)
        a, ds, room = scratch[worker, 0], scratch[worker, 1], space[worker]
        s, t, u, c = sizes
        dq, dk, dv = gradients
        weights, slopes = a.reshape(-1), ds.reshape(-1)
        for n in range(count * worker // workers, count * (worker + 1) // workers):
            weigh(n, sizes, q, k, mask, causal, a, room)
            multiply(rows(dy, n, s, c), columns(v, n, t, c), Matrix(slopes, t, 1), Rectangle(0, s, 0, t), c, room)
            softmax_rows_backward(ds, a, ds)
            hide(n, mask, causal, ds, np.float32(0))
            multiply(Matrix(slopes, t, 1), rows(k, n, t, u), rows(dq, n, s, u), Rectangle(0, s, 0, u), t, room)
            multiply(Matrix(slopes, 1, t), rows(q, n, s, u), rows(dk, n, t, u), Rectangle(0, t, 0, u), s, room)
            multiply(Matrix(weights, 1, t), rows(dy, n, s, c), rows(dv, n, t, c), Rectangle(0, t, 0, c), s, room)


def _memory(q, k, v, matrices):
    """The sizes (S,T,U,V) of an example, memory for so many matrices (S,T) of each worker, and for its products."""
    (n, s, u), (_, t, c) = q.shape, v.shape
    workers, longest = max(1, min(get_num_threads(), n, n * s * t * (u + c) // SMALL)), max(s, t, u, c)
    return (s, t, u, c), aligned_empty((workers, matrices, s, t)), work_space(longest, longest, longest, workers)


def attention_forward(q, k, v, *, mask=None, causal=False):
    """q (N,S,U), k (N,T,U), v (N,T,V), mask (N,T) -> y (N,S,V); saved: the arguments."""
    q, k, v = contiguous(q), contiguous(k), contiguous(v)
    mask, y = ALL if mask is None else contiguous(mask), aligned_empty((*q.shape[:2], v.shape[2]))
    sizes, scratch, space = _memory(q, k, v, 1)
    forward(sizes, q.reshape(-1), k.reshape(-1), v.reshape(-1), mask, bool(causal), y.reshape(-1), scratch, space)
    return y, (q, k, v, mask, bool(causal))


def attention_backward(dy, saved):
    """dy (N,S,V) -> dq, dk, dv."""
    q, k, v, mask, causal = saved
    gradients = [aligned_empty(x.shape) for x in (q, k, v)]
    sizes, scratch, space = _memory(q, k, v, 2)
    flat = [x.reshape(-1) for x in (q, k, v)]
    backward(sizes, *flat, mask, causal, contiguous(dy).reshape(-1), tuple(g.reshape(-1) for g in gradients), scratch, space)
    return tuple(gradients)


def supports(q, k, v, **constants):
    """Whether all arrays are float32."""
    return is_float32(q, k, v)


def samples(draw):
    """Sizes around vectors and register blocks; masks that hide some, none or all values of an example; several threads."""
    sizes = [1, 2, 5, 12, 13, 16, 31, 33, 64, 70]
    n, s, t, u, v = draw.choice([1, 2, 9]), *(draw.choice(sizes) for _ in range(4))
    mask = draw.choice([None, draw.array(n, t) > 0, np.arange(n)[:, None] > np.zeros((1, t))])
    return (draw.array(n, s, u), draw.array(n, t, u), draw.array(n, t, v)), {"mask": mask, "causal": draw.choice([False, True])}


WARM: tuple = ((((2, 5, 4), (2, 6, 4), (2, 6, 3)), {"mask": np.ones((2, 6), bool)}),)
kernel_of(attention, "numba", attention_forward, attention_backward, supports, samples=samples, warm=WARM)
