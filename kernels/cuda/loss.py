"""The losses from scores, fused with their sigmoid or softmax. The loss stays on the GPU, as an array of one number."""

from __future__ import annotations

import numpy as np

from tinydx.op import kernel_of
from tinydx.ops.loss import sigmoid_binary_crossentropy, softmax_crossentropy, sparse_softmax_crossentropy
from tinydx_kernels.cuda.backend import contiguous, each, is_float32, xp
from tinydx_kernels.cuda.programs import PLAIN
from tinydx_kernels.cuda.sums import sum_rows

LOSS = PLAIN["loss"]


def _beside(z, a, dtype):
    """Labels or weights as a kernel takes them, where z is."""
    return contiguous(xp(z).asarray(a).astype(dtype))


def _run(kernel, threads, z, labels, weight, terms, *sizes):
    """(the loss, the slopes): `terms` terms, of sizes (scores,) or (rows, columns)."""
    pieces, slope = xp(z).empty((terms, 1), z.dtype), xp(z).empty(z.shape, z.dtype)
    z, weighted = contiguous(z), weight is not None
    weight = _beside(z, weight, np.float32) if weighted else z  # some array that is not read
    repeats = terms // weight.size if weighted else 1
    each(LOSS, kernel, threads, z, labels, weight, pieces, slope, *sizes, repeats, weighted, 1.0 / terms)
    return sum_rows(pieces).reshape(()), slope


def sigmoid_forward(z, *, target, weight=None):
    return _run("sigmoid_crossentropy", z.size, z, _beside(z, target, np.float32), weight, z.size, z.size)


def softmax_forward(z, *, target, weight=None):
    rows, columns = z.size // z.shape[-1], z.shape[-1]
    return _run("softmax_crossentropy", rows * 32, z, _beside(z, target, np.float32), weight, rows, rows, columns)


def sparse_forward(z, *, labels, weight=None):
    rows, columns = z.size // z.shape[-1], z.shape[-1]
    return _run("sparse_softmax_crossentropy", rows * 32, z, _beside(z, labels, np.int32), weight, rows, rows, columns)


def backward(dy, slope):
    dz = xp(slope).empty(slope.shape, slope.dtype)
    each(LOSS, "loss_backward", slope.size, contiguous(dy), slope, dz, slope.size)
    return (dz,)


def _has_rows(z, weight):
    return is_float32(z) and z.ndim > 0 and _fits(weight, z.shape[:-1])


def _fits(weight, shape):
    """One weight for each entry of the first axes; none that is empty."""
    return weight is None or (np.size(weight) > 0 and np.shape(weight) == shape[: np.ndim(weight)])


def supports_sigmoid(z, *, target, weight=None):
    return is_float32(z) and np.shape(target) == z.shape and _fits(weight, z.shape)


def supports_softmax(z, *, target, weight=None):
    return _has_rows(z, weight) and np.shape(target) == z.shape


def supports_sparse(z, *, labels, weight=None):
    """Integers of the rows' shape. Those that are here are looked at: of a wrong one the reference says what it is."""
    if not (_has_rows(z, weight) and hasattr(labels, "dtype") and labels.dtype.kind in "iu" and labels.shape == z.shape[:-1]):
        return False
    return not isinstance(labels, np.ndarray) or bool(labels.min() >= 0 and labels.max() < z.shape[-1])


kernel_of(sigmoid_binary_crossentropy, "cuda", sigmoid_forward, backward, supports_sigmoid)
kernel_of(softmax_crossentropy, "cuda", softmax_forward, backward, supports_softmax)
kernel_of(sparse_softmax_crossentropy, "cuda", sparse_forward, backward, supports_sparse)
