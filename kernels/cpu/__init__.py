"""Numba kernels: importing this package registers them for their ops of the table."""

from tinydx_kernels.cpu import convolution, elementwise, embedding, matmul, pooling, recurrence, update

__all__ = ["convolution", "elementwise", "embedding", "matmul", "pooling", "recurrence", "update"]
