"""Numba's threading layer, which runs the parallel kernels: what several threads, or a forked process, may do with it.

    layer                         used                             two threads at once    after a fork
    tbb                           if the package tbb is installed  yes                    yes
    omp (OpenMP)                  else, where there is a library   yes                    GNU's: the process is killed
    workqueue                     else                             the process is killed  yes

So kernels of workqueue wait for each other, and a process forked after GNU OpenMP has started computes with NumPy.

A thread that sleeps is awake after 5 µs, on some virtual machines after 80 to 220, and the others wait for it. So what one thread
has done in about 50 to 100 µs stays there: the limits SMALL and WORTH_WAKING of the kernels' files.
"""

import functools
import os
import threading

from numba import get_num_threads, set_num_threads, threading_layer

from tinydx import dispatch

FORKED = (
    "this process was forked from one in which GNU OpenMP runs the kernels, and it cannot run in both;"
    " processes of multiprocessing.get_context('spawn') have the kernels"
)

get_num_threads()  # starts the layer
LAYER = threading_layer()
_one_at_a_time = threading.RLock()


def survives_a_fork():
    """Whether a forked process may run parallel kernels."""
    if LAYER != "omp":
        return True
    from numba.np.ufunc import omppool

    return omppool.openmp_vendor != "GNU"


WORTH_WAKING = 1 << 19  # simple operations, such as an addition or a copy, that take so long


def in_shares(workers, kernel, *arguments):
    """Run a parallel kernel whose loop has `workers` shares; for a single one Numba itself would wake all threads."""
    threads = get_num_threads()
    if workers > 1 or threads == 1:
        kernel(*arguments)
        return
    set_num_threads(1)
    try:
        kernel(*arguments)
    finally:
        set_num_threads(threads)


def takes_turns(kernel):
    """The kernel, or where two threads must not run parallel kernels at once, the kernel behind a lock."""
    return _Locked(kernel) if LAYER == "workqueue" else kernel


class _Locked:
    """A kernel that waits until no other one runs; all else is the kernel's."""

    def __init__(self, kernel):
        self.kernel = kernel
        functools.update_wrapper(self, kernel)

    def __call__(self, *arguments):
        with _one_at_a_time:
            return self.kernel(*arguments)

    def __getattr__(self, name):
        return getattr(self.kernel, name)


def _after_fork():
    """In a forked process: locks that other threads held are free, and kernels that would kill it are not used."""
    global _one_at_a_time
    _one_at_a_time = threading.RLock()
    if not survives_a_fork():
        dispatch.give_up("numba", FORKED)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
