"""Numba kernels: importing this package registers them for their ops of the table."""

import os

# A thread that waits for the others must sleep, not spin: when another program wants the core, spinning cost 6 to 20
# times the whole step, and sleeping costs microseconds a region. It has to be said before the OpenMP library is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from tinydx_kernels.cpu import convolution, dense, elementwise, embedding, matmul, pooling, recurrence, update, warp

__all__ = ["convolution", "dense", "elementwise", "embedding", "matmul", "pooling", "recurrence", "update", "warp"]
