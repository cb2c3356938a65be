"""The tanh recurrence: all inputs in one product, then one launch for each time step, there and back."""

from __future__ import annotations

import numpy as np

from tinydx.op import kernel_of
from tinydx.ops.recurrence import simple_rnn, simple_rnn_step
from tinydx_kernels.cuda.backend import LARGEST, contiguous, is_float32, launch, xp
from tinydx_kernels.cuda.matmul import product
from tinydx_kernels.cuda.programs import PLAIN
from tinydx_kernels.cuda.sums import sum_rows

RECURRENCE = PLAIN["recurrence"]
TILE = 16


def _launch(kernel, n, steps, units, t, *arguments):
    blocks = -(-units // TILE), -(-n // TILE)
    launch(RECURRENCE, kernel, blocks, (TILE, TILE), *arguments, t, n, steps, units)


def simple_rnn_forward(x, h0, w_xh, w_hh, b=None, *, mask=None):
    (n, steps, d), units = x.shape, w_hh.shape[0]
    z = product(x.reshape(-1, d), w_xh, b)
    y = xp(x).empty((n, steps, units), x.dtype)
    mask = xp(x).ones((n, steps), np.uint8) if mask is None else contiguous(xp(x).asarray(mask).astype(np.uint8))
    w, before, line = contiguous(w_hh), contiguous(h0), units
    for t in range(steps):
        _launch("recurrent_step", n, steps, units, t, z, before, line, w, mask, y)
        before, line = y.reshape(-1)[t * units :], steps * units  # the state of the first example; the others' follow
    return y, (x, h0, w_xh, w, y, mask)


def simple_rnn_backward(dy, saved):
    x, h0, w_xh, w_hh, y, mask = saved
    (n, steps, d), units = x.shape, w_hh.shape[0]
    dz, carry, dy = xp(x).empty(y.shape, x.dtype), xp(x).zeros(h0.shape, x.dtype), contiguous(dy)
    for t in reversed(range(steps)):
        _launch("recurrent_step_backward", n, steps, units, t, dy, y, w_hh, mask, carry, dz)
    dh0 = xp(x).where(mask[:, :1] > 0, product(dz[:, 0], w_hh.T), carry)
    rows, before = dz.reshape(-1, units), xp(x).concatenate([h0[:, None], y[:, :-1]], axis=1).reshape(-1, units)
    dx = product(rows, w_xh.T).reshape(x.shape)
    return dx, dh0, product(x.reshape(-1, d).T, rows), product(before.T, rows), sum_rows(rows)


def step_forward(x, h, w_xh, w_hh, b):
    y, saved = simple_rnn_forward(x[:, None], h, w_xh, w_hh, b)
    return y[:, 0], saved


def step_backward(dy, saved):
    dx, dh, *weights = simple_rnn_backward(dy[:, None], saved)
    return dx[:, 0], dh, *weights


def supports(x, h0, w_xh, w_hh, b=None, **constants):
    return is_float32(x, h0, w_xh, w_hh, b) and x.size // x.shape[-1] * len(w_hh) <= LARGEST


kernel_of(simple_rnn, "cuda", simple_rnn_forward, simple_rnn_backward, supports)
kernel_of(simple_rnn_step, "cuda", step_forward, step_backward, supports)
