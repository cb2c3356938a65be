"""Mistakes that people make in the gradients of tinydx/ops/dense.py."""

import numpy as np

from tinydx.gradcheck.slips import slip_of
from tinydx.ops.dense import dense, dense_backward


@slip_of(
    dense,
    "batch sum forgotten in db",
    "The bias served every row of the batch: its gradient is dy summed over the batch.",
)
def dense_first_row(dy, saved):
    return None, None, dy.reshape(-1, dy.shape[-1])[0]


@slip_of(dense, "averaged over the batch", "dy already carries the 1/N of the loss: sum over the batch, do not average.")
def dense_averaged(dy, saved):
    _, dw, db = dense_backward(dy, saved)
    rows = dy.size // dy.shape[-1]
    return None, dw / rows, db / rows


@slip_of(dense, "operand transposed", "dx = dy wᵀ and dw = xᵀ dy: check which operand is transposed.")
def dense_transposed(dy, saved):
    _, w = saved
    _, dw, _ = dense_backward(dy, saved)
    return (dy @ w if w.shape[0] == w.shape[1] else None), dw.T, None


@slip_of(dense, "one example only", "The weights served every row of the batch: sum their gradients over all rows.")
def dense_last_row(dy, saved):
    x, _ = saved
    rows, dys = x.reshape(-1, x.shape[-1]), dy.reshape(-1, dy.shape[-1])
    return None, np.outer(rows[-1], dys[-1]), dys[-1]
