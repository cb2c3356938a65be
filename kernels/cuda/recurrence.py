"""The tanh recurrence: one product for all inputs, then one launch for each time step, forward and backward."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tinydx.op import kernel_of
from tinydx.ops.recurrence import simple_rnn, simple_rnn_step
from tinydx_kernels.cuda.backend import LARGEST, contiguous, is_float32, launch, xp
from tinydx_kernels.cuda.matmul import product
from tinydx_kernels.cuda.programs import AROUND_TILES, Program
from tinydx_kernels.cuda.sums import sum_rows

RECURRENCE = Program("recurrence.cu")
PROGRAMS = [RECURRENCE]
TILE = 16


class Step(NamedTuple):
    """The struct Step of recurrence.cu: time step t of T, for N examples and U units."""

    t: int
    N: int
    T: int
    U: int


def _launch(kernel, step, *arguments):
    """Run a kernel for one time step."""
    blocks = -(-step.U // TILE), -(-step.N // TILE)
    launch(RECURRENCE, kernel, blocks, (TILE, TILE), *arguments, step)


def simple_rnn_forward(x, h0, w_xh, w_hh, b=None, *, mask=None):
    """x (N,T,D), h0 (N,U), w_xh (D,U), w_hh (U,U), b (U,) or None, mask (N,T) or None -> y (N,T,U)."""
    (n, steps, d), units = x.shape, w_hh.shape[0]
    z = product(x.reshape(-1, d), w_xh, b)
    y = xp(x).empty((n, steps, units), x.dtype)
    mask = xp(x).ones((n, steps), np.uint8) if mask is None else contiguous(xp(x).asarray(mask).astype(np.uint8))
    w, before, line = contiguous(w_hh), contiguous(h0), units
    for t in range(steps):
        _launch("recurrent_step", Step(t, n, steps, units), z, before, line, w, mask, y)
        before, line = y.reshape(-1)[t * units :], steps * units  # the state of example 0; the next one is `line` further on
    return y, (x, h0, w_xh, w, y, mask)


def simple_rnn_backward(dy, saved):
    """dy (N,T,U) -> dx (N,T,D), dh0 (N,U), dw_xh (D,U), dw_hh (U,U), db (U,)."""
    x, h0, w_xh, w_hh, y, mask = saved
    (n, steps, d), units = x.shape, w_hh.shape[0]
    dz, carry, dy = xp(x).empty(y.shape, x.dtype), xp(x).zeros(h0.shape, x.dtype), contiguous(dy)
    for t in reversed(range(steps)):
        _launch("recurrent_step_backward", Step(t, n, steps, units), dy, y, w_hh, mask, carry, dz)
    dh0 = xp(x).where(mask[:, :1] > 0, product(dz[:, 0], w_hh.T), carry)
    rows, before = dz.reshape(-1, units), xp(x).concatenate([h0[:, None], y[:, :-1]], axis=1).reshape(-1, units)
    dx = product(rows, w_xh.T).reshape(x.shape)
    return dx, dh0, product(x.reshape(-1, d).T, rows), product(before.T, rows), sum_rows(rows)


def step_forward(x, h, w_xh, w_hh, b):
    """x (N,D), h (N,U), w_xh (D,U), w_hh (U,U), b (U,) -> h' (N,U)."""
    y, saved = simple_rnn_forward(x[:, None], h, w_xh, w_hh, b)
    return y[:, 0], saved


def step_backward(dy, saved):
    """dy (N,U) -> dx (N,D), dh (N,U), dw_xh (D,U), dw_hh (U,U), db (U,)."""
    dx, dh, *weights = simple_rnn_backward(dy[:, None], saved)
    return dx[:, 0], dh, *weights


def supports(x, h0, w_xh, w_hh, b=None, **constants):
    """x (N,T,D) or (N,D), h0 (N,U), w_xh (D,U), w_hh (U,U), b (U,) or None."""
    return is_float32(x, h0, w_xh, w_hh, b) and x.size // x.shape[-1] * len(w_hh) <= LARGEST


def samples(draw):
    """Units around the tiles, padded and unpadded sequences; weights so small that states do not saturate."""
    n, t, d, u = draw.choice([1, 2, 5, 16, 17]), draw.integer(1, 5), draw.integer(1, 9), draw.choice(AROUND_TILES)
    mask, b = draw.choice([None, draw.array(n, t) > -0.5]), draw.choice([draw.array(u), None])
    weights = draw.array(d, u) / d**0.5, draw.array(u, u) / u**0.5
    return (draw.array(n, t, d), draw.array(n, u), *weights, b), {"mask": mask}


def samples_of_a_step(draw):
    """The same for one time step."""
    (x, h, w_xh, w_hh, _), _ = samples(draw)
    return (x[:, 0], h, w_xh, w_hh, draw.array(len(w_hh))), {}


kernel_of(simple_rnn, "cuda", simple_rnn_forward, simple_rnn_backward, supports, samples=samples)
kernel_of(simple_rnn_step, "cuda", step_forward, step_backward, supports, samples=samples_of_a_step)
