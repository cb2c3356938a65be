"""CUDA kernels: importing this package registers their launchers for the ops of the table. CuPy is not imported."""

from tinydx_kernels.cuda import (
    concatenate,
    convolution,
    dense,
    elementwise,
    embedding,
    fused,
    gated,
    loss,
    matmul,
    pooling,
    recurrence,
    softmax,
    update,
)
from tinydx_kernels.cuda.backend import emulating, missing

__all__ = [
    "concatenate",
    "convolution",
    "dense",
    "elementwise",
    "embedding",
    "emulating",
    "fused",
    "gated",
    "loss",
    "matmul",
    "missing",
    "pooling",
    "recurrence",
    "softmax",
    "update",
]
