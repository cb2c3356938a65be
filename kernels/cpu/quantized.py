"""The dense layer with weights of 16 and 8 bits: dense's kernel, which streams through them in the form they are stored in.

A vector of weights becomes floats in a register when it is loaded (simd.py: a shift for bfloat16, a conversion for int8), so
that memory gives half or a quarter of the bytes. The scale of a column multiplies its finished sum. Where dense does not stream
(few weights, or many examples), and in backward, the weights are widened to a float32 array first: that saves no time.
"""

import numpy as np

from tinydx.op import kernel_of
from tinydx.ops.quantized import dense_bf16, dense_int8, from_bf16, to_bf16, to_int8
from tinydx_kernels.cpu.dense import stream_dx, stream_forward, suits
from tinydx_kernels.cpu.matmul import matrix_product
from tinydx_kernels.cpu.memory import is_float32
from tinydx_kernels.cpu.simd import SIZES


def product(x, stored, widened):
    """x (...,D) times the weights `stored` (D,F), which widened(stored) makes float32 -> y (...,F)."""
    rows = x.reshape(-1, x.shape[-1])
    y = stream_forward(rows, stored) if suits(len(rows), stored) else matrix_product(rows, widened(stored))
    return y.reshape(*x.shape[:-1], stored.shape[1])


def gradients(dy, w):
    """dy (...,F), w (D,F) float32 -> dy w^T (...,D)."""
    dys = dy.reshape(-1, dy.shape[-1])
    dx = stream_dx(dys, w) if suits(len(dys), w) else matrix_product(dys, w.T)
    return dx.reshape(*dy.shape[:-1], len(w))


def sum_of_rows(dy):
    """dy (...,F) -> (F,)."""
    return dy.reshape(-1, dy.shape[-1]).sum(axis=0)


# ---- 16 bits -------------------------------------------------------------------------------------------------------


def bf16_forward(x, b=None, *, bits):
    """x (...,D), bits uint16 (D,F), b (F,) or None -> y (...,F)."""
    y = product(x, bits, from_bf16)
    if b is not None:
        y += b
    return y, bits


def bf16_backward(dy, bits):
    """dy (...,F) -> dx (...,D), db (F,)."""
    return gradients(dy, from_bf16(bits)), sum_of_rows(dy)


# ---- 8 bits --------------------------------------------------------------------------------------------------------


def as_float32(q):
    """Whole numbers as float32."""
    return q.astype(np.float32)


def int8_forward(x, b=None, *, q, scale):
    """x (...,D), q int8 (D,F), scale (F,), b (F,) or None -> y (...,F)."""
    y = product(x, q, as_float32)
    y *= scale
    if b is not None:
        y += b
    return y, (q, scale)


def int8_backward(dy, saved):
    """dy (...,F) -> dx (...,D), db (F,)."""
    q, scale = saved
    return gradients((dy * scale).astype(dy.dtype, copy=False), as_float32(q)), sum_of_rows(dy)


# ---- the ops -------------------------------------------------------------------------------------------------------


def supports(x, b=None, **stored):
    """Whether the arrays are float32, and there are weights."""
    return is_float32(x, b) and all(a.size for a in stored.values())


def samples(draw):
    """Batches and weights around the sizes of register blocks, as dense's; half of the weights are streamed."""
    batch = draw.choice([(1,), (2,), (12,), (13,), (33,), (96,), (97,), (3, 5)])
    d, f = draw.choice([*SIZES, 255, 257, 600]), draw.choice(SIZES)
    if draw.choice([False, True]):
        d, f = draw.choice([1100, 2101]), draw.choice([32, 64, 96, 100])
    return (draw.array(*batch, d), draw.choice([draw.array(f), None])), draw.array(d, f)


def bf16_samples(draw):
    """`samples` with weights in bfloat16."""
    arrays, w = samples(draw)
    return arrays, {"bits": to_bf16(w)}


def int8_samples(draw):
    """`samples` with weights of 8 bits, of columns that differ in size."""
    arrays, w = samples(draw)
    q, scale = to_int8(w)
    return arrays, {"q": q, "scale": scale.astype(np.float32) * np.float32(2) ** (np.arange(len(scale)) % 5)}


SHAPES = ((4, 9), (5,)), ((4, 2100), (32,))  # a small layer, and one whose weights are streamed
BF16_WARM = [(shapes, {"bits": np.zeros((shapes[0][1], shapes[1][0]), np.uint16)}) for shapes in SHAPES]
INT8_WARM = [
    (shapes, {"q": np.zeros((shapes[0][1], shapes[1][0]), np.int8), "scale": np.ones(shapes[1], np.float32)}) for shapes in SHAPES
]
kernel_of(dense_bf16, "numba", bf16_forward, bf16_backward, supports, samples=bf16_samples, warm=BF16_WARM)
kernel_of(dense_int8, "numba", int8_forward, int8_backward, supports, samples=int8_samples, warm=INT8_WARM)
