"""The dense layer, alone and with ReLU: matrix products that add the bias and apply ReLU before they write."""

from __future__ import annotations

from tinydx.op import kernel_of
from tinydx.ops.dense import dense
from tinydx.ops.fused import dense_relu
from tinydx.ops.recurrence import rnn_output
from tinydx_kernels.cuda.backend import LARGEST, is_float32
from tinydx_kernels.cuda.elementwise import relu_backward
from tinydx_kernels.cuda.matmul import product
from tinydx_kernels.cuda.programs import AROUND_TILES
from tinydx_kernels.cuda.sums import sum_rows


def _flat(x):
    """x (...,D) -> (N,D)."""
    return x.reshape(-1, x.shape[-1])


def dense_forward(x, w, b=None):
    """x (...,D), w (D,F), b (F,) or None -> y (...,F)."""
    return product(_flat(x), w, b).reshape(*x.shape[:-1], w.shape[1]), (x, w)


def dense_backward(dy, saved, needs=(True, True, True)):
    """dy (...,F) -> dx (...,D), dw (D,F), db (F,)."""
    x, w = saved
    dx = product(_flat(dy), w.T).reshape(x.shape) if needs[0] else None
    return dx, product(_flat(x).T, _flat(dy)) if needs[1] else None, sum_rows(dy)


def dense_relu_forward(x, w, b=None):
    """x (...,D), w (D,F), b (F,) or None -> y (...,F)."""
    y = product(_flat(x), w, b, relu=True).reshape(*x.shape[:-1], w.shape[1])
    return y, (y, (x, w))


def dense_relu_backward(dy, saved, needs=(True, True, True)):
    """dy (...,F) -> dx (...,D), dw (D,F), db (F,)."""
    y, saved = saved
    return dense_backward(*relu_backward(dy, y), saved, needs)


def supports(x, w, b=None):
    """x (...,D), w (D,F), b (F,) or None."""
    return is_float32(x, w, b) and x.size // x.shape[-1] * w.shape[1] <= LARGEST


def samples(draw):
    """Sizes around the tiles, and sums long enough to be split."""
    batch = draw.choice([(1,), (2,), (12,), (33,), (65,), (3, 5)])
    d, f = draw.choice([*AROUND_TILES, 255, 257, 600]), draw.choice(AROUND_TILES)
    return (draw.array(*batch, d), draw.array(d, f), draw.choice([draw.array(f), None])), {}


kernel_of(dense, "cuda", dense_forward, dense_backward, supports, samples=samples)
kernel_of(rnn_output, "cuda", dense_forward, dense_backward, supports, samples=samples)
kernel_of(dense_relu, "cuda", dense_relu_forward, dense_relu_backward, supports, samples=samples)
