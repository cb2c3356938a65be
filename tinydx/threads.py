"""The number of threads that compute, the same for tinydx's kernels and NumPy's BLAS, so that they never compete for cores.

The default is NUMBA_NUM_THREADS, or else all cores. Batches of images are read in additional threads.
"""

from __future__ import annotations

import os
import threading

from tinydx import dispatch
from tinydx.dispatch import load_kernels

_chosen: int | None = None  # in the main thread, for all that have not chosen themselves
_of_thread = threading.local()  # `own`: whether it has chosen itself; `n`: the number that Numba was told in this thread


def set_threads(n: int) -> None:
    """Compute on n threads from now on: tinydx's kernels, and NumPy's matrix products.

    The main thread chooses for all threads that have not chosen themselves. Any other thread chooses for the kernels that it
    calls itself, and leaves NumPy's products as they are, which the whole process shares.

    Raises: ValueError unless n is from 1 to the number Numba started with (NUMBA_NUM_THREADS, or all cores).

    >>> before = get_threads()
    >>> set_threads(1)
    >>> get_threads()
    1
    >>> set_threads(before)
    """
    from threadpoolctl import threadpool_limits

    most = _most_threads()
    if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= most:
        raise ValueError(f"set_threads({n!r}): expected 1 to {most}; NUMBA_NUM_THREADS, set before the start, allows more")
    if threading.current_thread() is threading.main_thread():
        global _chosen
        threadpool_limits(n, user_api="blas")
        _chosen = n
    else:
        _of_thread.own = True
    if load_kernels("numba") is None:
        dispatch.before_kernel = _follow
        _tell_numba(n)


def get_threads() -> int:
    """The number of threads that compute."""
    if load_kernels("numba") is None:
        import numba

        _follow()
        return numba.get_num_threads()
    from threadpoolctl import threadpool_info

    return max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=1)


def _follow() -> None:
    """Give this thread the main thread's number, unless it has chosen itself: Numba keeps a number for each thread."""
    if _chosen is not None and getattr(_of_thread, "n", None) != _chosen and not hasattr(_of_thread, "own"):
        _tell_numba(_chosen)


def _tell_numba(n: int) -> None:
    import numba

    numba.set_num_threads(n)
    _of_thread.n = n


def _most_threads() -> int:
    if load_kernels("numba") is None:
        import numba

        return int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
