"""Embedding lookup: the gradient · 词嵌入

Each word has a number, its id, and its vector is this row of the table. A word can occur several times in the batch; all
its gradients add up in the same row. Rows that were not looked up get zero.
"""

import numpy as np

from tinydx import ops
from tinydx.exercises import Bug, Exercise, Gradients


def embedding(table, ids):
    """Given: table (V,D), ids (...) integers -> y (...,D)"""
    return table[ids]


def embedding_backward(dy, table, ids):
    """dy (...,D), table (V,D), ids (...) -> dtable (V,D)"""
    # solution
    dtable = np.zeros_like(table)
    np.add.at(dtable, ids, dy)
    return dtable


# ---- the runner's part ---------------------------------------------------------------------------------------------


def text_samples(draw):
    v = draw.integer(5, 7)
    ids = np.array([[1, draw.integer(0, v - 1), 1], [0, draw.integer(0, 2), draw.integer(0, 2)]])
    return (draw.array(v, draw.integer(2, 4)),), {"ids": ids}


EXERCISE = Exercise(
    checks=[Gradients(embedding_backward, of=ops.embedding, samples=text_samples)],
    hints=(
        "Begin with zeros in the table's shape. Go through the ids: to which row does the gradient of each belong?",
        "A loop over i in np.ndindex(ids.shape) with dtable[ids[i]] += dy[i] is right. Without a loop, take care of ids that occur twice.",
        "dtable[ids] += dy adds only one gradient to each row. np.add.at(dtable, ids, dy) adds all of them.",
    ),
    bugs=[
        Bug("repeated ids counted once", "np.add.at(dtable, ids, dy)", "dtable[ids] += dy"),
        Bug("row 0 left out", "return dtable", "dtable[0] = 0\n    return dtable"),
        Bug(
            "averaged over repeats",
            "return dtable",
            "return dtable / np.maximum(np.bincount(ids.ravel(), minlength=len(table)), 1)[:, None]",
        ),
    ],
)
