"""Mistakes that people make in the gradients of tinydx/ops/embedding.py: repeated ids, wrong rows, a not transposed."""

import numpy as np

from tinydx.gradcheck.slips import slip_of
from tinydx.ops.embedding import embedding, embedding_backward, embedding_mixing, embedding_mixing_backward


@slip_of(embedding, "repeated ids counted once", "A word that occurs twice collects both gradients: np.add.at, not [ids] +=.")
def embedding_once(dy, saved):
    shape, ids = saved
    dtable = np.zeros(shape, dy.dtype)
    dtable[ids] += dy
    return (dtable,)


@slip_of(embedding, "every row gets a gradient", "Only the rows that were looked up moved y; all others get zero.")
def embedding_all_rows(dy, saved):
    shape, _ = saved
    return (np.broadcast_to(dy.reshape(-1, shape[1]).sum(axis=0), shape),)


@slip_of(embedding, "row 0 left out", "Id 0 is a row like all others, unless a mask says that it is padding.")
def embedding_without_padding(dy, saved):
    (dtable,) = embedding_backward(dy, saved)
    dtable[0] = 0
    return (dtable,)


@slip_of(embedding, "ids ignored", "dy belongs to the rows that ids name, not to the first rows of the table.")
def embedding_first_rows(dy, saved):
    shape, _ = saved
    rows = dy.reshape(-1, shape[1])
    dtable = np.zeros(shape, dy.dtype)
    dtable[: len(rows)] = rows[: len(dtable)]
    return (dtable,)


@slip_of(embedding, "averaged over repeats", "Repeated ids add their gradients up; they are not averaged.")
def embedding_averaged(dy, saved):
    shape, ids = saved
    (dtable,) = embedding_backward(dy, saved)
    count = np.bincount(ids.ravel(), minlength=shape[0])
    return (dtable / np.maximum(count, 1)[:, None],)


@slip_of(embedding_mixing, "a not transposed", "v_j goes into every w_i with weight a_ij: dv = aᵀ dw.")
def embedding_mixing_untransposed(dw, saved):
    a, _ = saved
    return None, (a @ dw if a.shape[0] == a.shape[1] else None), None


@slip_of(embedding_mixing, "bias summed over words", "Each word i has a bias vector of its own: db_i = dw_i, no sum.")
def embedding_mixing_shared_bias(dw, saved):
    return None, None, np.broadcast_to(dw.sum(axis=0), dw.shape)


@slip_of(embedding_mixing, "averaged over the words", "Every w_i hands its gradient to v_j: sum over i, do not average.")
def embedding_mixing_averaged(dw, saved):
    _, dv, _ = embedding_mixing_backward(dw, saved)
    return None, dv / len(dw), None
