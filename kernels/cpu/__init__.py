"""Numba kernels: importing this package imports each of its files, which register kernels for ops of the table."""

import importlib
import os
import pkgutil

# A thread that waits for others spins for about a fifth of a millisecond, then sleeps. To wake it takes 5 us, on some virtual
# machines 30 to 80, at each of a step's loops over threads, one that spins 2: then two threads gained nothing. A fifth covers
# what a small step does between two loops. Threads that spin for longer make a step 6 to 20 times slower where another
# program needs the core. Both must be set before the OpenMP library is loaded;
# GOMP_SPINCOUNT counts turns of GNU OpenMP's loop, which other libraries ignore.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")

from tinydx_kernels.cpu.settings import check


def _load():
    check()
    for file in pkgutil.iter_modules(__path__):
        try:
            importlib.import_module(f"{__name__}.{file.name}")
        except ImportError as error:  # it would mean that Numba is missing, and all kernels would be skipped silently
            raise RuntimeError(f"kernels/cpu/{file.name}.py cannot be imported: {error}") from error
    from numba import get_num_threads
    from threadpoolctl import threadpool_limits

    from tinydx_kernels.cpu.notice import announce_compilation

    if "NUMBA_NUM_THREADS" in os.environ:  # limits NumPy's BLAS, too
        threadpool_limits(get_num_threads(), user_api="blas")
    announce_compilation()


_load()
