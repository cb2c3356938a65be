"""Numba kernels: importing this package imports each of its files, which register kernels for ops of the table."""

import importlib
import os
import pkgutil
import sys

# A thread that waits for the others must sleep, not spin: when another program wants the core, spinning cost 6 to 20
# times the whole step, and sleeping costs microseconds a region. It has to be said before the OpenMP library is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from numba import get_num_threads
from threadpoolctl import threadpool_limits

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

if "NUMBA_NUM_THREADS" in os.environ:  # it limits all that computes, NumPy's BLAS too
    threadpool_limits(get_num_threads(), user_api="blas")
sys.modules[f"{__name__}.notice"].announce_compilation()
