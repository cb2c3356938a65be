"""Attention as one call: the kernels of its parts, without the tape, dispatch and transposed copies between them.

Long texts, or several threads: each thread takes its share of all queries, PIECE of them at a time, through scores, softmax and
mixture, while they are in its cache. Backward, a share of the queries gives their scores' slopes and dq; then a share of the
keys, which needs the slopes of all queries, dk and dv. Short texts on one thread: the products are NumPy's, which begin sooner.
"""

from typing import NamedTuple

import numpy as np
from numba import get_num_threads, prange

from tinydx.op import kernel_of
from tinydx.ops.attention import attention
from tinydx_kernels.cpu.elementwise import softmax_backward, softmax_forward, softmax_rows, softmax_rows_backward
from tinydx_kernels.cpu.matmul import HEIGHT, TINY, Rectangle, matmul_backward, matmul_forward, multiply, work_space
from tinydx_kernels.cpu.memory import Matrix, aligned_empty, contiguous, flat, is_float32
from tinydx_kernels.cpu.simd import inline, jit, parallel

f32 = np.float32
SHORT = 1 << 15  # multiplications up to which NumPy's product of two matrices is done before ours has packed them
SMALL = 1 << 21  # and which one thread has done before a second one is awake
PIECE = 240  # queries at a time: their scores of some hundred values stay in L2; whole blocks of ROWS
ALL_SEEN = np.zeros((1, 1, 0), np.bool_)


class Sizes(NamedTuple):
    """Of an example: queries, values, numbers of a key, numbers of a value."""

    s: int
    t: int
    u: int
    v: int


class Texts(NamedTuple):
    """Flat arrays of all examples: queries (N,S,U), keys (N,T,U), values (N,T,V), and the weights (N,S,T) that mix them."""

    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    a: np.ndarray


class Slopes(NamedTuple):
    """Flat arrays of gradients: of the mixtures (N,S,V), of the scores (N,S,T), of queries, keys and values."""

    y: np.ndarray
    scores: np.ndarray
    q: np.ndarray
    k: np.ndarray
    v: np.ndarray


def hidden_values(s, t, mask, causal):
    """Where a query does not see a value: bool (N or 1,S or 1,T); None where all see all. mask (N,T) or None."""
    later = np.tri(s, t, dtype=bool) ^ True if causal else None
    if mask is None:
        return None if later is None else later[None]
    return ~mask[:, None] if later is None else later | ~mask[:, None]


@inline
def multiplied(a, b, y, m, n, k, space):
    """y (m,n), flat, = a (m,k) b (k,n), both a Matrix."""
    multiply(a, b, Matrix(y, n, 1), Rectangle(0, m, 0, n), k, space)


@jit
def hide(scores, t, hidden):
    """Lower the scores (K,t), flat, of K queries in a row where hidden (K or 1,t)."""
    for r in range(len(scores) // t):
        row, lowered = scores[r * t : (r + 1) * t], hidden[r % len(hidden)]
        for c in range(t):
            row[c] -= f32(1e9) * f32(lowered[c])


@jit
def mix(first, last, texts, hidden, y, sizes, scores, space):
    """The weights, and the mixtures y (N,S,V), flat, of queries `first` to `last` of all N S."""
    q, k, v, a = texts
    s, t = sizes.s, sizes.t
    top = first
    while top < last:
        n = top // s
        bottom = min(last, (n + 1) * s, top + PIECE)
        rows, own = bottom - top, a[top * t : bottom * t]
        keys, values = k[n * t * sizes.u : (n + 1) * t * sizes.u], v[n * t * sizes.v : (n + 1) * t * sizes.v]
        multiplied(Matrix(q[top * sizes.u :], sizes.u, 1), Matrix(keys, 1, sizes.u), scores, rows, t, sizes.u, space)
        if hidden.size:
            own_hidden = hidden[n % len(hidden)]
            hide(scores[: rows * t], t, own_hidden[top - n * s :] if len(own_hidden) > 1 else own_hidden)
        softmax_rows(scores[: rows * t].reshape(rows, t), own.reshape(rows, t))
        multiplied(Matrix(own, t, 1), Matrix(values, sizes.v, 1), y[top * sizes.v :], rows, sizes.v, t, space)
        top = bottom


@parallel
def forward(texts, hidden, y, sizes, scores, space):
    """`mix` for all queries; hidden (N or 1,S or 1,T), or empty; scores and space: each worker's memory, a row each."""
    workers, queries = len(space), len(texts.a) // sizes.t
    for part in prange(workers):
        w = np.int64(part)
        mix(queries * w // workers, queries * (w + 1) // workers, texts, hidden, y, sizes, scores[w], space[w])


@jit
def slopes_of_queries(first, last, texts, slopes, sizes, scores, space):
    """The gradients of the scores and of q, for queries `first` to `last` of all N S."""
    _, k, v, a = texts
    s, t = sizes.s, sizes.t
    top = first
    while top < last:
        n = top // s
        bottom = min(last, (n + 1) * s, top + PIECE)
        rows, own = bottom - top, slopes.scores[top * t : bottom * t]
        keys, values = k[n * t * sizes.u : (n + 1) * t * sizes.u], v[n * t * sizes.v : (n + 1) * t * sizes.v]
        multiplied(Matrix(slopes.y[top * sizes.v :], sizes.v, 1), Matrix(values, 1, sizes.v), scores, rows, t, sizes.v, space)
        weights = a[top * t : bottom * t].reshape(rows, t)
        softmax_rows_backward(scores[: rows * t].reshape(rows, t), weights, own.reshape(rows, t))
        multiplied(Matrix(own, t, 1), Matrix(keys, sizes.u, 1), slopes.q[top * sizes.u :], rows, sizes.u, t, space)
        top = bottom


@jit
def slopes_of_values(first, last, texts, slopes, sizes, space):
    """The gradients of keys and values `first` to `last` of all N T."""
    s, t = sizes.s, sizes.t
    top = first
    while top < last:
        n = top // t
        bottom, start, end = min(last, (n + 1) * t), n * s, (n + 1) * s
        rows, left = bottom - top, start * t + top - n * t
        q, dy = texts.q[start * sizes.u : end * sizes.u], slopes.y[start * sizes.v : end * sizes.v]
        ds, a = slopes.scores[left : end * t], texts.a[left : end * t]
        multiplied(Matrix(ds, 1, t), Matrix(q, sizes.u, 1), slopes.k[top * sizes.u :], rows, sizes.u, s, space)
        multiplied(Matrix(a, 1, t), Matrix(dy, sizes.v, 1), slopes.v[top * sizes.v :], rows, sizes.v, s, space)
        top = bottom


@parallel
def backward(texts, slopes, sizes, scores, space):
    """All gradients but slopes.y, which is given; scores and space as in `forward`."""
    workers, queries, values = len(space), len(texts.a) // sizes.t, len(texts.k) // sizes.u
    for part in prange(workers):
        w = np.int64(part)
        slopes_of_queries(queries * w // workers, queries * (w + 1) // workers, texts, slopes, sizes, scores[w], space[w])
    for part in prange(workers):
        w = np.int64(part)
        slopes_of_values(values * w // workers, values * (w + 1) // workers, texts, slopes, sizes, space[w])


def scratch(sizes):
    """Each worker's memory: for the scores of a piece, and for a product."""
    s, t, u, v = sizes
    workers = get_num_threads()
    return aligned_empty((workers, min(s, PIECE) * t)), work_space(HEIGHT, max(t, u, v), max(sizes), workers)


def shared_forward(q, k, v, hidden):
    """`attention_forward` by shares; hidden, an array or None."""
    sizes = Sizes(q.shape[1], *k.shape[1:], v.shape[2])
    a, y = aligned_empty((len(q), sizes.s, sizes.t)), aligned_empty((len(q), sizes.s, sizes.v))
    q, k, v = contiguous(q), contiguous(k), contiguous(v)
    texts = Texts(q.reshape(-1), k.reshape(-1), v.reshape(-1), a.reshape(-1))
    forward(texts, ALL_SEEN if hidden is None else hidden, y.reshape(-1), sizes, *scratch(sizes))
    return y, (q, k, v, a)


def shared_backward(dy, saved):
    """`attention_backward` by shares."""
    q, k, v, a = saved
    sizes = Sizes(q.shape[1], *k.shape[1:], v.shape[2])
    ds, dq, dk, dv = (aligned_empty(x.shape) for x in (a, q, k, v))
    slopes = Slopes(flat(dy), ds.reshape(-1), dq.reshape(-1), dk.reshape(-1), dv.reshape(-1))
    backward(Texts(*(x.reshape(-1) for x in saved)), slopes, sizes, *scratch(sizes))
    return dq, dk, dv


def is_shared(q, k, v):
    """Whether examples are large enough for products of our own, or, on several threads, almost so, and many."""
    work = q.shape[1] * k.shape[1] * max(q.shape[2], v.shape[2])
    return work > TINY or (work > SHORT and work * len(q) >= SMALL and get_num_threads() > 1)


def attention_forward(q, k, v, *, mask=None, causal=False):
    """q (N,S,U), k (N,T,U), v (N,T,V), mask (N,T) -> y (N,S,V)."""
    hidden = hidden_values(q.shape[1], k.shape[1], mask, causal)
    if is_shared(q, k, v):
        return shared_forward(q, k, v, hidden)
    scores, _ = matmul_forward(q, k.swapaxes(1, 2))
    if hidden is not None:
        np.subtract(scores, f32(1e9), out=scores, where=hidden)
    a, _ = softmax_forward(scores)
    return matmul_forward(a, v)[0], (q, k, v, a)


def attention_backward(dy, saved):
    """dy (N,S,V) -> dq, dk, dv."""
    q, k, v, a = saved
    if is_shared(q, k, v):
        return shared_backward(dy, saved)
    da, dv = matmul_backward(dy, (a, v))
    (ds,) = softmax_backward(da, a)
    return matmul_forward(ds, k)[0], matmul_forward(ds.swapaxes(1, 2), q)[0], dv


def supports(q, k, v, **constants):
    """Whether all arrays are float32."""
    return is_float32(q, k, v)


def samples(draw):
    """Sizes around vectors and register blocks, and long texts; masks that hide some values or none."""
    sizes = [1, 2, 5, 12, 13, 16, 31, 33, 64, 70]
    n = draw.choice([1, 2, 9])
    s, t, u, v = [draw.choice(sizes) for _ in range(4)]
    if draw.integer(0, 3) == 3:
        s, t, u, v = draw.choice([(300, 70, 32, 9), (33, 257, 5, 70), (13, 600, 64, 70)])
    # All see the first value: of a query that sees none, float32 does not know the weights, since 1e9 takes all its digits away.
    mask = draw.choice([None, np.maximum(draw.array(n, t), np.eye(1, t)) > 0])
    return (draw.array(n, s, u), draw.array(n, t, u), draw.array(n, t, v)), {"mask": mask, "causal": draw.choice([False, True])}


WARM: tuple = (
    (((2, 5, 4), (2, 6, 4), (2, 6, 3)), {"mask": np.ones((2, 6), bool)}),
    (((2, 99, 64), (2, 100, 64), (2, 100, 64)), {"mask": np.ones((2, 100), bool)}),  # by shares
)
kernel_of(attention, "numba", attention_forward, attention_backward, supports, samples=samples, warm=WARM)
