"""Softmax over the last axis, and its logarithm: one warp for each row."""

from __future__ import annotations

from tinydx.op import kernel_of
from tinydx.ops.softmax import log_softmax, softmax
from tinydx_kernels.cuda.backend import contiguous, each, is_float32, xp
from tinydx_kernels.cuda.programs import AROUND_TILES, Program

SOFTMAX = Program("softmax.cu")
PROGRAMS = [SOFTMAX]


def _rows(kernel, y, *arrays):
    """Run a kernel on the rows of arrays (...,C), into y (...,C)."""
    columns = y.shape[-1]
    rows = y.size // columns
    each(SOFTMAX, kernel, rows * 32, *(contiguous(a) for a in arrays), y, rows, columns)


def _pair(forward_kernel, backward_kernel):
    """Forward x (...,C) -> y (...,C) and backward dy (...,C) -> dx (...,C), by the names of their kernels."""

    def forward(x, *, axis=-1):
        y = xp(x).empty(x.shape, x.dtype)
        _rows(forward_kernel, y, x)
        return y, y

    def backward(dy, y):
        dx = xp(y).empty(y.shape, y.dtype)
        _rows(backward_kernel, dx, dy, y)
        return (dx,)

    return forward, backward


def supports(x, *, axis=-1):
    """x (...,C), along the last axis only."""
    return is_float32(x) and x.ndim > 0 and axis in (-1, x.ndim - 1)


def samples(draw):
    """Rows shorter and longer than a warp, some of them much longer."""
    batch = draw.choice([(), (1,), (5,), (9,), (2, 3)])
    return (draw.array(*batch, draw.choice([*AROUND_TILES, 200])),), {"axis": draw.choice([-1, len(batch)])}


softmax_forward, softmax_backward = _pair("softmax", "softmax_backward")
log_softmax_forward, log_softmax_backward = _pair("log_softmax", "log_softmax_backward")

kernel_of(softmax, "cuda", softmax_forward, softmax_backward, supports, samples=samples)
kernel_of(log_softmax, "cuda", log_softmax_forward, log_softmax_backward, supports, samples=samples)
