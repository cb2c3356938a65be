"""The machine's two roofs, measured: how fast it multiplies and adds, and how fast it copies memory.

peak        every thread repeats one register block of a matrix product, whose data stay in the first-level cache
bandwidth   every thread copies its part of an array much larger than the caches; a byte read and written counts as two
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

from tinydx.bench.measure import time_once

COPIED = 1 << 24  # floats: 64 MB
REPEATS = 1 << 16


def measure_roofs(seconds: float = 0.3) -> dict[str, float] | None:
    """The best rates of several calls, with Numba's current number of threads.

    Arguments: seconds of measuring for each roof.
    Returns: {"flops": FLOP/s, "bytes": bytes/s}, or None without Numba.
    """
    if find_spec("numba") is None:
        return None
    from numba import get_num_threads, njit, prange

    from tinydx_kernels.cpu import simd

    @njit(parallel=True, nogil=True, fastmath=True)
    def copy(x, y, parts):
        for part in prange(parts):
            first, last = len(x) * part // parts, len(x) * (part + 1) // parts
            y[first:last] = x[first:last]

    threads = get_num_threads()
    x, y = np.ones(COPIED, np.float32), np.zeros(COPIED, np.float32)
    peak, work = (_peak_of_registers if simd.LANES else _peak_of_loops)(simd)
    sums = np.zeros((threads, 4096), np.float32)
    return {
        "flops": threads * work / _best(lambda: peak(sums, threads), seconds),
        "bytes": 2 * x.nbytes / _best(lambda: copy(x, y, threads), seconds),
    }


def _best(call, seconds: float) -> float:
    """The seconds of the fastest of at least three calls, after one that compiles."""
    call()
    times: list[float] = []
    while len(times) < 3 or sum(times) < seconds:
        times.append(time_once(call)[0])
    return min(times)


def _peak_of_registers(simd):
    """A kernel of fused multiply-adds on a block of registers, as in our matrix product; and a call's FLOPs on one thread."""
    from numba import prange

    rows, tile, lanes = simd.ROWS, simd.TILE, simd.LANES

    @simd.parallel
    def peak(sums, threads):
        for thread in prange(threads):
            row = sums[thread]
            block = simd.zeros(tile)
            for _ in range(REPEATS):
                for k in range(8):
                    block = simd.outer(block, rows, row, k * rows, 1, row, k * 64)
            simd.store(block, rows, row, 0, 64)

    return peak, 2 * 8 * REPEATS * tile * lanes


def _peak_of_loops(simd):
    """A kernel that evaluates a polynomial of degree 32 at 1024 numbers, in plain loops; and a call's FLOPs on one thread."""
    from numba import prange

    degree, repeats = 32, REPEATS // 32

    @simd.parallel
    def peak(sums, threads):
        for thread in prange(threads):
            row = sums[thread]
            for _ in range(repeats):
                for i in range(1024):
                    x, y = row[i], row[i]
                    for _ in range(degree):
                        y = y * x + x
                    row[i] = y

    return peak, 2 * degree * repeats * 1024
