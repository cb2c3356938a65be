"""Arrays as kernels read and write them: contiguous, aligned to a cache line, seen through one flat index."""

import math
import os
import sys
import threading
from typing import NamedTuple

import numpy as np

APART = 64  # numbers between what two threads write: with less, a core waits for lines that the other one writes or fetches
CACHE_LINE = 64  # bytes; also the size of an AVX-512 register
FLOAT32 = np.dtype("=f4")  # in this machine's byte order, which no other dtype equals


MOST = 64  # buffers of one size that are kept: looking for a free one among more takes longer than a new one


class Arena:
    """A pool of buffers, each from the start of a cache line on.

    Memory that is new from the system costs a page fault for every 4 KB, in every training step; and asking NumPy for the
    address of a small array takes longer than finding one whose address is known.

    Buffers are kept by size. A buffer is free when only the arena refers to it (an array refers to what it views), so
    buffers need not be given back. At most `limit` bytes are kept; the sizes used longest ago are dropped first.
    """

    def __init__(self, limit: int = 1 << 30):
        self.limit, self.kept = limit, 0
        self.buffers: dict[int, list[np.ndarray]] = {}
        self.lock = threading.Lock()
        self.idle = self._references([np.empty(0)], 0)  # Python's count when only a list refers to a buffer

    def take(self, size: int) -> np.ndarray:
        """A buffer of `size` bytes with arbitrary contents, flat uint8."""
        with self.lock:
            same = self.buffers.pop(size, [])
            self.buffers[size] = same  # the size used last comes last
            for k in range(len(same)):
                if self._references(same, k) == self.idle:
                    return same[k]
            if size > self.limit or len(same) >= MOST:
                return _buffer(size)
            self._forget(self.kept + size - self.limit)
            same.append(_buffer(size))
            self.kept += size
            return same[-1]

    def _forget(self, excess: int) -> None:
        """Drop buffers, oldest size first, until `excess` bytes are gained; free ones return to the system at once."""
        for size in list(self.buffers):
            while excess > 0 and self.buffers[size]:
                self.buffers[size].pop()
                self.kept -= size
                excess -= size

    @staticmethod
    def _references(buffers: list[np.ndarray], k: int) -> int:
        return sys.getrefcount(buffers[k])


def _buffer(size: int) -> np.ndarray:
    """An array of `size` bytes, aligned. It is what its views refer to: it does not count as a view itself."""
    raw = np.empty(size + CACHE_LINE, np.uint8)
    start = -raw.ctypes.data % CACHE_LINE
    return np.frombuffer(raw.data[start : start + size], np.uint8)


arena = Arena()
if hasattr(os, "register_at_fork"):  # another thread may hold the lock during a fork, and would never release it in the copy
    os.register_at_fork(after_in_child=lambda: setattr(arena, "lock", threading.Lock()))
SMALL = 1 << 11  # arrays of fewer bytes lie where NumPy puts them, the others in the arena


def aligned_empty(shape, dtype=np.float32):
    """np.empty whose first element starts a cache line, if it is not SMALL; NumPy itself promises 16 bytes.

    A vector that straddles two cache lines costs two accesses: alignment halved the time of the document's conv2 dW.

    >>> aligned_empty((32, 64)).ctypes.data % 64
    0
    """
    size = (shape if isinstance(shape, int) else math.prod(shape)) * np.dtype(dtype).itemsize
    if size < SMALL:
        return np.empty(shape, dtype)
    return np.ndarray(shape, dtype, arena.take(size))


def aligned_zeros(shape, dtype=np.float32):
    """Zeros whose first element starts a cache line."""
    a = aligned_empty(shape, dtype)
    a.fill(0)
    return a


def contiguous(a):
    """The array itself if kernels can read it in place, else a copy: C order, aligned, writeable.

    (Numba would compile every kernel once more for read-only or misaligned arrays.)
    """
    return a if a.flags.carray else np.array(a, order="C")


def flat(a):
    """A contiguous array as one long row; copies only what is not contiguous."""
    return contiguous(a).reshape(-1)


def taken(table, ids):
    """The rows of table (V,D) that ids (...), all of them in range, choose: (...,D), float32."""
    y = aligned_empty((*ids.shape, table.shape[1]))
    return np.take(table, ids, axis=0, out=y, mode="clip")  # NumPy's other modes fill a second array first


class Matrix(NamedTuple):
    """A matrix in a flat array: element (r, c) is numbers[r * row + c * column]."""

    numbers: np.ndarray
    row: int
    column: int


def flat_matrix(a):
    """a (M,N), or a stack (...,M,N) -> the fields of a Matrix; a transposed view of a contiguous array is not copied either.

    (A plain tuple: Numba takes a microsecond less to receive it than a named one.)

    >>> flat_matrix(np.ones((2, 3)).T)[1:]
    (1, 3)
    """
    turned = a.swapaxes(-1, -2)
    if turned.flags.carray and not a.flags.carray:
        return turned.reshape(-1), 1, a.shape[-2]
    return flat(a), a.shape[-1], 1


def is_float32(*arrays):
    """Whether all arrays (None aside) are NumPy float32 with at least one element: what the kernels are compiled for."""
    return all([a is None or (type(a) is np.ndarray and a.dtype == FLOAT32 and a.size) for a in arrays])  # a list is faster
