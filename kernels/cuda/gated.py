"""One step of LSTM and GRU: two products, then all gates in one launch; backward the gates first, then the products."""

from __future__ import annotations

from tinydx_kernels.cuda.backend import LARGEST, contiguous, each, is_float32, xp
from tinydx_kernels.cuda.matmul import product
from tinydx_kernels.cuda.programs import PLAIN
from tinydx_kernels.cuda.sums import sum_rows

from tinydx.op import kernel_of
from tinydx.ops.gated import gru_step, lstm_step

GATED = PLAIN["gated"]


def _launch(kernel, h, *arguments):
    """One thread a unit of an example, for states like h (N,U)."""
    each(GATED, kernel, h.size, *arguments, *h.shape)


def _empties(like, number, width=1):
    """Arrays for that many numbers of each unit."""
    n, units = like.shape
    return [xp(like).empty((n, width * units), like.dtype) for _ in range(number)]


def lstm_forward(x, h, c, w, u, b):
    zx, zh, c = product(x, w, b), product(h, u), contiguous(c)
    (gates,), (y, new_h, new_c) = _empties(h, 1, 4), _empties(h, 3)
    _launch("lstm", h, zx, zh, c, gates, y, new_h, new_c)
    return (new_h, new_c), (x, h, c, w, u, gates, y)


def lstm_backward(dy, saved):
    x, h, c, w, u, gates, y = saved
    (dz,), (dc,) = _empties(h, 1, 4), _empties(h, 1)
    _launch("lstm_backward", h, *map(contiguous, dy), c, gates, y, dz, dc)
    return product(dz, w.T), product(dz, u.T), dc, product(x.T, dz), product(h.T, dz), sum_rows(dz)


def gru_forward(x, h, w, u, b):
    zx, zh = product(x, w, b[0]), product(h, u, b[1])
    (gates,), (new_h,) = _empties(h, 1, 3), _empties(h, 1)
    _launch("gru", h, zx, zh, contiguous(h), gates, new_h)
    return new_h, (x, h, w, u, zh, gates)


def gru_backward(dy, saved):
    x, h, w, u, zh, gates = saved
    (from_x, from_h), (direct,) = _empties(h, 2, 3), _empties(h, 1)
    _launch("gru_backward", h, contiguous(dy), zh, contiguous(h), gates, from_x, from_h, direct)
    db = xp(h).stack([sum_rows(from_x), sum_rows(from_h)])
    return product(from_x, w.T), direct + product(from_h, u.T), product(x.T, from_x), product(h.T, from_h), db


def supports(x, h, *arrays):
    """The kernels count the gates, up to four a unit, in 32 bits."""
    return is_float32(x, h, *arrays) and 4 * h.size <= LARGEST


kernel_of(lstm_step, "cuda", lstm_forward, lstm_backward, supports)
kernel_of(gru_step, "cuda", gru_forward, gru_backward, supports)
