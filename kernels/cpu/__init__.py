"""Numba kernels: importing this package imports each of its files, which register kernels for ops of the table."""

import importlib
import os
import pkgutil

# A thread that waits for others must sleep, not spin: when another program needs the core, spinning made a step 6 to 20
# times slower, and sleeping costs microseconds per region. This must be set before the OpenMP library is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

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
