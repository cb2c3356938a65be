"""The number of threads that compute, the same for tinydx's kernels and NumPy's BLAS, so that they never compete for cores.

The default is NUMBA_NUM_THREADS, or else all cores. Batches of images are read in additional threads.
"""

from __future__ import annotations

import os

from tinydx.dispatch import load_kernels


def set_threads(n: int) -> None:
    """Compute on n threads from now on: the kernels called from this thread, and NumPy's matrix products.

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
    threadpool_limits(n, user_api="blas")
    if load_kernels("numba") is None:
        import numba

        numba.set_num_threads(n)


def get_threads() -> int:
    """The number of threads that compute."""
    if load_kernels("numba") is None:
        import numba

        return numba.get_num_threads()
    from threadpoolctl import threadpool_info

    return max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=1)


def _most_threads() -> int:
    if load_kernels("numba") is None:
        import numba

        return int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
