"""Mean over all pixels or time steps, what global average pooling computes: one pass over memory, in both directions.

NumPy takes longer to arrange such a sum than to add up a small image.
"""

import numpy as np
from numba import get_num_threads, prange

from tinydx.op import kernel_of
from tinydx.ops.arithmetic import mean
from tinydx_kernels.cpu.columns import sum_rows
from tinydx_kernels.cpu.geometry import COUNTS
from tinydx_kernels.cpu.memory import aligned_empty, contiguous, is_float32
from tinydx_kernels.cpu.simd import lean, parallel

f32 = np.float32
WORTH_WAKING = 100_000  # numbers of x from which on several threads read them


@lean
def examples(backward, x, y, channels, first, last):
    """Examples `first` to `last` of y (N,C), the means of x (N,M,C), or, if `backward`, of x, y / M; both flat."""
    size = len(x) // (len(y) // channels)
    share = f32(channels) / f32(size)
    for n in range(first, last):
        own, total = x[n * size : (n + 1) * size], y[n * channels : (n + 1) * channels]
        if backward:
            for m in range(0, size, channels):
                for c in range(channels):
                    own[m + c] = total[c] * share
        else:
            total[:] = 0
            sum_rows(own, channels, total)
            for c in range(channels):
                total[c] *= share


@parallel
def examples_in_parallel(backward, x, y, channels, workers):
    """`examples` of all, a share for each worker."""
    n = len(y) // channels
    for worker in prange(workers):
        k = np.int64(worker)
        examples(backward, x, y, channels, n * k // workers, n * (k + 1) // workers)


def run(backward, x, y):
    """Fill y (N,C) with the means of x (N,...,C), or, if `backward`, x with the shares of y."""
    arguments = backward, x.reshape(-1), y.reshape(-1), x.shape[-1]
    workers = min(len(x), get_num_threads()) if x.size >= WORTH_WAKING else 1
    if workers == 1:
        examples(*arguments, 0, len(x))
    else:
        examples_in_parallel(*arguments, workers)


def mean_forward(x, *, axis, keepdims=False):
    """x (N,...,C) -> y (N,C), or (N,1,...,1,C)."""
    ones = (1,) * (x.ndim - 2) if keepdims else ()
    y = aligned_empty((len(x), *ones, x.shape[-1]))
    run(False, contiguous(x), y)
    return y, x.shape


def mean_backward(dy, shape):
    """dy (N,C), or (N,1,...,1,C) -> dx (N,...,C)."""
    dx = aligned_empty(shape)
    run(True, dx, contiguous(dy))
    return (dx,)


def supports(x, *, axis=None, keepdims=False):
    """float32, and all axes between the first and the last."""
    return is_float32(x) and x.ndim > 2 and axis in (tuple(range(1, x.ndim - 1)), 3 - x.ndim or 1)


def samples(draw):
    """Images and sequences of any number of channels."""
    shape = draw.choice([(1,), (33,), (5, 7), (3, 4, 5)])
    x = draw.array(draw.integer(1, 4), *shape, draw.choice(COUNTS))
    axis = draw.choice([1, (1,)]) if x.ndim == 3 else tuple(range(1, x.ndim - 1))
    return (x,), {"axis": axis, "keepdims": draw.choice([False, True])}


WARM: tuple = ((((2, 3, 3, 8),), {"axis": (1, 2)}), (((8, 32, 32, 16),), {"axis": (1, 2)}))  # on one thread, and on all
kernel_of(mean, "numba", mean_forward, mean_backward, supports, samples=samples, warm=WARM)
