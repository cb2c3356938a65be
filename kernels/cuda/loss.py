"""The losses from scores, fused with their sigmoid or softmax. The loss stays on the GPU, as an array of shape ()."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tinydx.op import kernel_of
from tinydx.ops.loss import sigmoid_binary_crossentropy, softmax_crossentropy, sparse_softmax_crossentropy
from tinydx_kernels.cuda.backend import contiguous, each, is_float32, xp
from tinydx_kernels.cuda.programs import AROUND_TILES, Program
from tinydx_kernels.cuda.sums import sum_rows

LOSS = Program("loss.cu")
PROGRAMS = [LOSS]


class Weights(NamedTuple):
    """The struct Weights of loss.cu: one weight for `repeats` terms, if weighted; share is 1 / the number of terms."""

    repeats: int
    weighted: int
    share: float


def _beside(z, a, dtype):
    """Labels or weights as a kernel takes them: in that dtype, on the device of z."""
    return contiguous(xp(z).asarray(a).astype(dtype))


def _run(kernel, z, labels, weight, rows=None):
    """z (...,K), labels or targets, weight or None -> (the loss (), slopes (...,K)).

    rows: how many rows z has, for a kernel with one warp and one term for each; None: one thread and one term for each score.
    """
    terms, threads, sizes = (z.size, z.size, (z.size,)) if rows is None else (rows, rows * 32, (rows, z.shape[-1]))
    term, slope = xp(z).empty((terms, 1), z.dtype), xp(z).empty(z.shape, z.dtype)
    z, weighted = contiguous(z), weight is not None
    weight = _beside(z, weight, np.float32) if weighted else z  # without weights, z stands in and is not read as one
    weights = Weights(terms // weight.size if weighted else 1, weighted, 1 / terms)
    each(LOSS, kernel, threads, z, labels, weight, term, slope, *sizes, weights)
    return sum_rows(term).reshape(()), slope


def sigmoid_forward(z, *, target, weight=None):
    """z (...), target (...), weight of its first axes or None -> L ()."""
    return _run("sigmoid_crossentropy", z, _beside(z, target, np.float32), weight)


def softmax_forward(z, *, target, weight=None):
    """z (...,K), target (...,K), weight of its first axes or None -> L ()."""
    return _run("softmax_crossentropy", z, _beside(z, target, np.float32), weight, z.size // z.shape[-1])


def sparse_forward(z, *, labels, weight=None):
    """z (...,K), labels (...), integers in 0..K-1, weight of its first axes or None -> L ()."""
    return _run("sparse_softmax_crossentropy", z, _beside(z, labels, np.int32), weight, z.size // z.shape[-1])


def backward(dy, slope):
    """dy (), slope (...,K) -> dz (...,K)."""
    dz = xp(slope).empty(slope.shape, slope.dtype)
    each(LOSS, "loss_backward", slope.size, contiguous(dy), slope, dz, slope.size)
    return (dz,)


def _has_rows(z, weight):
    """z (...,K), weight of its first axes or None."""
    return is_float32(z) and z.ndim > 0 and _fits(weight, z.shape[:-1])


def _fits(weight, shape):
    """Whether there is one weight for each entry of the first axes of `shape`, and at least one."""
    return weight is None or (np.size(weight) > 0 and np.shape(weight) == shape[: np.ndim(weight)])


def supports_sigmoid(z, *, target, weight=None):
    """z (...), target (...)."""
    return is_float32(z) and np.shape(target) == z.shape and _fits(weight, z.shape)


def supports_softmax(z, *, target, weight=None):
    """z (...,K), target (...,K)."""
    return _has_rows(z, weight) and np.shape(target) == z.shape


def supports_sparse(z, *, labels, weight=None):
    """z (...,K), labels (...), integers."""
    return _has_rows(z, weight) and np.shape(labels) == z.shape[:-1]


# ---- samples ---------------------------------------------------------------------------------------------------------


def _weight(draw, shape):
    """A different constant for each example, for the first axes of a shape; or None."""
    axes = draw.choice([None, 1, len(shape)])
    return None if axes is None else 1 / (1 + np.arange(np.prod(shape[:axes])).reshape(shape[:axes])).astype(np.float32)


def _rows(draw):
    """A shape (...,K), and a generator for its labels."""
    shape = *draw.choice([(1,), (5,), (9,), (2, 3)]), draw.choice([*AROUND_TILES, 200])
    return shape, np.random.default_rng(draw.integer(0, 999))


def sigmoid_samples(draw):
    """Scores around the size of a block, targets 0 and 1."""
    shape = draw.choice([(1,), (7,), (3, 5), (2, 3, 4), (255,), (256,), (33, 65)])
    target = (draw.array(*shape) > -0.25).astype(draw.choice([np.float32, np.float64]))
    return (draw.array(*shape),), {"target": target, "weight": _weight(draw, shape)}


def softmax_samples(draw):
    """Rows around the size of a warp, targets that sum to 1."""
    shape, rng = _rows(draw)
    target = rng.random(shape, np.float32)
    target /= target.sum(axis=-1, keepdims=True)
    return (draw.array(*shape),), {"target": target, "weight": _weight(draw, shape[:-1])}


def sparse_samples(draw):
    """Rows around the size of a warp, one label for each."""
    shape, rng = _rows(draw)
    return (draw.array(*shape),), {"labels": rng.integers(0, shape[-1], shape[:-1]), "weight": _weight(draw, shape[:-1])}


kernel_of(sigmoid_binary_crossentropy, "cuda", sigmoid_forward, backward, supports_sigmoid, samples=sigmoid_samples)
kernel_of(softmax_crossentropy, "cuda", softmax_forward, backward, supports_softmax, samples=softmax_samples)
kernel_of(sparse_softmax_crossentropy, "cuda", sparse_forward, backward, supports_sparse, samples=sparse_samples)
