"""Products with a single column: a matrix (M,K) times a vector, from the left and from the right.

    dots    y (M) = a s       LANES rows at a time: their products with s, vector by vector, are turned and added up
    sums    y (K) = a^T s     each row of a times its number, in a register that walks over ROWS rows

Both read a once, in its order, which is all that limits them. matmul.py would leave most of each register block empty.
"""

import numpy as np
from numba import get_num_threads, prange

from tinydx_kernels.cpu.memory import aligned_empty, flat
from tinydx_kernels.cpu.simd import (
    LANES,
    WIDTH,
    add_up,
    inline,
    lean,
    load,
    multiply_rows,
    outer,
    parallel,
    store,
    transpose,
    zeros,
)

f32 = np.float32
ROWS = 16  # that `sums` walks over at a time: they stay in L1 while it passes from vector to vector
WORTH_WAKING = 1 << 18  # numbers of a from which on several threads read it


@inline
def dots_plain(a, s, y, first, last):
    """y[m] = row m of a (M,K), flat, times s (K), for the rows first to last, as plain loops."""
    k = len(s)
    for m in range(first, last):
        row, total = a[m * k : (m + 1) * k], f32(0)
        for c in range(k):
            total += row[c] * s[c]
        y[m] = total


@inline
def dots_simd(a, s, y, first, last):
    """The same, LANES rows at a time."""
    k, m = len(s), first
    while m + LANES <= last:
        block = zeros(LANES)
        for c in range(0, k - k % WIDTH, WIDTH):
            block = multiply_rows(block, LANES, a, m * k + c, k, s, c)
        store(add_up(transpose(block)), 1, y, m, 0)
        for c in range(k - k % WIDTH, k):
            for r in range(m, m + LANES):
                y[r] += a[r * k + c] * s[c]
        m += LANES
    dots_plain(a, s, y, m, last)


@inline
def sums_plain(a, s, y, first, last, begin):
    """y[c] += the sum over the rows first to last of s[m] a[m, c], for the columns from `begin` on, as plain loops."""
    k = len(y)
    for m in range(first, last):
        for c in range(begin, k):
            y[c] += s[m] * a[m * k + c]


@inline
def sums_simd(a, s, y, first, last, begin):
    """The same by vectors: even and odd rows have their own, or each would wait for the one before."""
    k = len(y)
    whole = k - k % WIDTH
    for c in range(0, whole, WIDTH):
        even, odd = load(y, c), zeros(1)
        for m in range(first, last - 1, 2):
            even = outer(even, 1, s, m, 0, a, m * k + c)
            odd = outer(odd, 1, s, m + 1, 0, a, (m + 1) * k + c)
        if (last - first) % 2:
            odd = outer(odd, 1, s, last - 1, 0, a, (last - 1) * k + c)
        store(even + odd, 1, y, c, 0)
    sums_plain(a, s, y, first, last, whole)


dots_of_rows, sums_of_rows = (dots_simd, sums_simd) if LANES else (dots_plain, sums_plain)


@lean
def multiply(turned, a, s, y, first, last):
    """The rows first to last of a (M,K), flat: y (M) = a s or, `turned`, their part of y (K) = a^T s."""
    if turned:
        y[:] = 0
        for m in range(first, last, ROWS):
            sums_of_rows(a, s, y, m, min(m + ROWS, last), 0)
    else:
        dots_of_rows(a, s, y, first, last)


@parallel
def multiply_in_parallel(turned, a, s, totals, rows, workers):
    """`multiply` with a share of the rows for each worker; totals (1,M), or, `turned`, (workers,K)."""
    for worker in prange(workers):
        i = np.int64(worker)
        multiply(turned, a, s, totals[i if turned else 0], rows * i // workers, rows * (i + 1) // workers)


def times_vector(a, s):
    """a (M,K), contiguous or the transposed view of a contiguous array, times s (K): y (M).

    >>> times_vector(np.ones((2, 3), np.float32), np.ones(3, np.float32))
    array([3., 3.], dtype=float32)
    """
    turned = a.T.flags.carray and not a.flags.carray
    numbers, rows = (a.T.reshape(-1), a.shape[1]) if turned else (flat(a), len(a))
    workers = min(rows, get_num_threads()) if a.size >= WORTH_WAKING else 1
    totals = aligned_empty((workers if turned else 1, len(a)))
    if workers == 1:
        multiply(turned, numbers, flat(s), totals[0], 0, rows)
    else:
        multiply_in_parallel(turned, numbers, flat(s), totals, rows, workers)
    return totals.sum(axis=0) if len(totals) > 1 else totals[0]
