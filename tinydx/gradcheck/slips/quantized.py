"""Mistakes that people make in the gradients of tinydx/ops/quantized.py."""

import numpy as np

from tinydx.gradcheck.slips import slip_of
from tinydx.ops.quantized import dense_bf16, dense_int8, from_bf16


def _sum_of_rows(dy):
    return dy.reshape(-1, dy.shape[-1]).sum(axis=0)


@slip_of(dense_bf16, "bits taken for the weights", "The bits are no number yet: shift them to the upper half of a float32.")
def bf16_bits(dy, bits):
    return dy @ bits.T.astype(dy.dtype), _sum_of_rows(dy)


@slip_of(dense_bf16, "operand transposed", "dx = dy wᵀ: check which operand is transposed.")
def bf16_transposed(dy, bits):
    w = from_bf16(bits)
    return (dy @ w if w.shape[0] == w.shape[1] else None), _sum_of_rows(dy)


@slip_of(dense_bf16, "batch sum forgotten in db", "The bias served every row: its gradient is dy summed over the batch.")
def bf16_first_row(dy, bits):
    return None, dy.reshape(-1, dy.shape[-1])[0]


@slip_of(dense_bf16, "exponent without its offset", "The exponent is stored with 127 added: subtract it, or shift all bits.")
def bf16_doubled(dy, bits):
    return 2 * dy @ from_bf16(bits).T, _sum_of_rows(dy)


@slip_of(dense_int8, "scale forgotten", "The weight is scale times q: both stand in the gradient of x.")
def int8_unscaled(dy, saved):
    q, _ = saved
    return dy @ q.T, _sum_of_rows(dy)


@slip_of(dense_int8, "scale applied twice", "dy goes through the scale once: dx = (dy * scale) qᵀ.")
def int8_scaled_twice(dy, saved):
    q, scale = saved
    return (dy * scale * scale) @ q.T, _sum_of_rows(dy)


@slip_of(dense_int8, "one scale for all columns", "Each column has its own scale: multiply dy by it before the sum.")
def int8_mean_scale(dy, saved):
    q, scale = saved
    return (dy * np.mean(scale)) @ q.T, _sum_of_rows(dy)


@slip_of(dense_int8, "scale in db", "The bias is added after the scale: its gradient is the sum of dy alone.")
def int8_scaled_bias(dy, saved):
    q, scale = saved
    return (dy * scale) @ q.T, scale * _sum_of_rows(dy)
