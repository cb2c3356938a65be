"""Numba kernels: importing this package registers them for their ops of the table."""

import os

# A thread that waits for the others must sleep, not spin: when another program wants the core, spinning cost 6 to 20
# times the whole step, and sleeping costs microseconds a region. It has to be said before the OpenMP library is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from numba import get_num_threads
from threadpoolctl import threadpool_limits
from tinydx_kernels.cpu import (
    convolution,
    dense,
    elementwise,
    embedding,
    epilogue,
    fused,
    gated,
    matmul,
    notice,
    pooling,
    recurrence,
    update,
    warp,
)

if "NUMBA_NUM_THREADS" in os.environ:  # it means all that computes: NumPy's BLAS, too
    threadpool_limits(get_num_threads(), user_api="blas")
notice.announce_compilation()

__all__ = [
    "convolution",
    "dense",
    "elementwise",
    "embedding",
    "epilogue",
    "fused",
    "gated",
    "matmul",
    "pooling",
    "recurrence",
    "update",
    "warp",
]
