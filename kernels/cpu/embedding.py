"""Gradient of the embedding lookup: each row of dy is added to the row of the table that its id chose.

Repeated ids add to the same row, so threads cannot divide the ids; they divide the columns.
"""

import numpy as np
from numba import get_num_threads, prange

from tinydx.op import kernel_of
from tinydx.ops.embedding import embedding
from tinydx_kernels.cpu.layer import WORTH_WAKING, in_shares
from tinydx_kernels.cpu.memory import aligned_empty, contiguous, is_float32, taken
from tinydx_kernels.cpu.simd import SIZES, parallel


@parallel
def add_rows(dtable, ids, dy, workers):
    """dtable (V,D) = 0, then dtable[ids[n]] += dy[n] for each n; ids (N,), dy (N,D)."""
    columns = dtable.shape[1]
    for worker in prange(workers):
        first, last = columns * worker // workers, columns * (worker + 1) // workers
        dtable[:, first:last] = 0
        for n in range(len(ids)):
            row, slope = dtable[ids[n], first:last], dy[n, first:last]
            for c in range(last - first):
                row[c] += slope[c]


def embedding_forward(table, *, ids):
    """table (V,D), ids (...) -> y (...,D)."""
    return taken(table, ids), (table.shape, ids)


def embedding_backward(dy, saved):
    """dy (...,D) -> dtable (V,D)."""
    shape, ids = saved
    dtable = aligned_empty(shape)
    workers = max(1, min(get_num_threads(), shape[1] // 16)) if dtable.size + dy.size >= WORTH_WAKING else 1
    in_shares(workers, add_rows, dtable, np.array(ids.reshape(-1), np.int64), contiguous(dy).reshape(-1, shape[1]), workers)
    return (dtable,)


def supports(table, *, ids):
    """Whether the table is float32 and there are ids."""
    return is_float32(table) and np.size(ids) > 0


def samples(draw):
    """Tables of any width, ids of one and two axes and of several types, often repeated."""
    v, d, shape = draw.integer(1, 20), draw.choice(SIZES), draw.choice([(1,), (50,), (4, 7)])
    ids = [draw.integer(0, v - 1) for _ in range(int(np.prod(shape)))]
    return (draw.array(v, d),), {"ids": np.array(ids, draw.choice(["int32", "int64", "uint8"])).reshape(shape)}


WARM: tuple = ((((7, 32),), {"ids": np.array([[1, 2, 2]])}),)
kernel_of(embedding, "numba", embedding_forward, embedding_backward, supports, samples=samples, warm=WARM)
