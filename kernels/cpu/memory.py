"""Arrays as kernels want them: contiguous, aligned to a cache line, seen through one flat index."""

import math

import numpy as np

CACHE_LINE = 64  # bytes; also the size of an AVX-512 register


def aligned_empty(shape, dtype=np.float32):
    """np.empty whose first element starts a cache line; NumPy itself promises 16 bytes.

    A vector that straddles two cache lines costs two accesses: aligning halved the time of the document's conv2 dW.

    >>> aligned_empty((2, 3)).ctypes.data % 64
    0
    """
    size = (shape if isinstance(shape, int) else math.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.empty(size + CACHE_LINE, np.uint8)
    start = -raw.ctypes.data % CACHE_LINE
    return raw[start : start + size].view(dtype).reshape(shape)


def contiguous(a):
    """The array itself if a kernel can read it as it lies, else a copy: C order, aligned, writeable.

    (Numba would compile every kernel once more for read-only or misaligned arrays.)
    """
    return a if a.flags.carray else np.array(a, order="C")


def flat(a):
    """A contiguous array as one long row, without a copy where it can be had."""
    return contiguous(a).reshape(-1)


def flat_matrix(a):
    """(M,N) -> flat array, row step, column step: a transposed matrix is not copied either."""
    if a.T.flags.carray and not a.flags.carray:
        return a.T.reshape(-1), 1, a.shape[0]
    return flat(a), a.shape[1], 1


def is_float32(*arrays):
    """Whether all arrays (None aside) are NumPy float32 with at least one element: what our kernels are compiled for."""
    return all(a is None or (type(a) is np.ndarray and a.dtype == np.float32 and a.dtype.isnative and a.size) for a in arrays)
