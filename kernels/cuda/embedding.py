"""Embedding lookup and its gradient, which adds repeated rows in the order of the text: the same bits every time.

The op checks ids on the CPU (tinydx/arguments.py). Ids on a GPU are checked by the kernel, because reading them on the CPU
would stop until the GPU has computed them.
"""

from __future__ import annotations

import numpy as np

from tinydx.op import kernel_of
from tinydx.ops.embedding import embedding
from tinydx_kernels.cuda.backend import LARGEST, contiguous, each, is_float32, xp
from tinydx_kernels.cuda.programs import AROUND_TILES, Program

EMBEDDING = Program("embedding.cu")
PROGRAMS = [EMBEDDING]


def embedding_forward(table, *, ids):
    """table (V,D), ids (...), integers in 0..V-1 -> y (...,D)."""
    numbers = contiguous(xp(table).asarray(ids).astype(np.int32)).reshape(-1)
    y = xp(table).empty((*ids.shape, table.shape[1]), table.dtype)
    each(EMBEDDING, "gather", y.size, contiguous(table), numbers, y, numbers.size, *table.shape)
    return y, (table.shape, numbers)


def embedding_backward(dy, saved):
    """dy (...,D) -> dtable (V,D)."""
    shape, ids = saved
    order = xp(dy).argsort(ids, kind="stable").astype(np.int32)
    dtable = xp(dy).zeros(shape, dy.dtype)
    each(EMBEDDING, "scatter", dy.size, contiguous(dy), ids[order], order, dtable, ids.size, *shape)
    return (dtable,)


def supports(table, *, ids):
    """table (V,D), ids (...), at least one."""
    return is_float32(table) and 0 < np.size(ids) * table.shape[1] <= LARGEST


def samples(draw):
    """Small tables, so that ids repeat; ids of every width."""
    v, d = draw.integer(1, 20), draw.choice(AROUND_TILES)
    shape, kind = draw.choice([(1,), (50,), (4, 7)]), draw.choice(["int32", "int64", "uint8"])
    ids = np.random.default_rng(draw.integer(0, 999)).integers(0, v, shape)
    return (draw.array(v, d),), {"ids": ids.astype(kind)}


kernel_of(embedding, "cuda", embedding_forward, embedding_backward, supports, samples=samples)
