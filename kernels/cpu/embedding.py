"""Gradient of the embedding lookup: rows of dy added to the rows of the table that they came from.

Repeated ids add to the same row, so threads may not share out the ids; they share out the columns.
"""

import numpy as np
from numba import get_num_threads, prange

from tinydx.op import kernel_of
from tinydx.ops.embedding import embedding
from tinydx_kernels.cpu.memory import aligned_empty, contiguous, is_float32
from tinydx_kernels.cpu.simd import parallel


@parallel
def add_rows(dtable, ids, dy, workers):
    """dtable[ids[n]] += dy[n], from zero."""
    columns = dtable.shape[1]
    for worker in prange(workers):
        first, last = columns * worker // workers, columns * (worker + 1) // workers
        dtable[:, first:last] = 0
        for n in range(len(ids)):
            row, slope = dtable[ids[n], first:last], dy[n, first:last]
            for c in range(last - first):
                row[c] += slope[c]


def embedding_backward(dy, saved):
    shape, ids = saved
    dtable = aligned_empty(shape)
    flat_ids = np.array(ids.reshape(-1), np.int64)
    add_rows(dtable, flat_ids, contiguous(dy).reshape(-1, shape[1]), max(1, min(get_num_threads(), shape[1] // 16)))
    return (dtable,)


def supports(table, *, ids):
    return is_float32(table) and np.size(ids) > 0


kernel_of(embedding, "numba", embedding.forward, embedding_backward, supports)
