"""The dense layer, alone and with ReLU: products whose epilogue adds the bias."""

from __future__ import annotations

from tinydx.op import kernel_of
from tinydx.ops.dense import dense
from tinydx.ops.fused import dense_relu
from tinydx.ops.recurrence import rnn_output
from tinydx_kernels.cuda.backend import LARGEST, is_float32
from tinydx_kernels.cuda.elementwise import relu_backward
from tinydx_kernels.cuda.matmul import product
from tinydx_kernels.cuda.sums import sum_rows


def _flat(x):
    return x.reshape(-1, x.shape[-1])


def dense_forward(x, w, b=None):
    return product(_flat(x), w, b).reshape(*x.shape[:-1], w.shape[1]), (x, w)


def dense_backward(dy, saved, needs=(True, True, True)):
    x, w = saved
    dx = product(_flat(dy), w.T).reshape(x.shape) if needs[0] else None
    return dx, product(_flat(x).T, _flat(dy)) if needs[1] else None, sum_rows(dy)


def dense_relu_forward(x, w, b=None):
    y = product(_flat(x), w, b, relu=True).reshape(*x.shape[:-1], w.shape[1])
    return y, (y, (x, w))


def dense_relu_backward(dy, saved, needs=(True, True, True)):
    y, saved = saved
    return dense_backward(*relu_backward(dy, y), saved, needs)


def supports(x, w, b=None):
    return is_float32(x, w, b) and x.size // x.shape[-1] * w.shape[1] <= LARGEST


for _record in (dense, rnn_output):
    kernel_of(_record, "cuda", dense_forward, dense_backward, supports)
kernel_of(dense_relu, "cuda", dense_relu_forward, dense_relu_backward, supports)
