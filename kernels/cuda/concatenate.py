"""Joining arrays: each is copied into its place.

CuPy's own concatenate reads a list of addresses from the CPU where it joins more than eight arrays. A captured graph would
still read that list after it is freed, so this kernel copies one array at a time.
"""

from __future__ import annotations

import itertools

from tinydx.op import kernel_of
from tinydx.ops.arithmetic import concatenate, concatenate_backward
from tinydx_kernels.cuda.backend import is_float32, xp


def forward(*arrays, axis=-1):
    """Arrays (...,K_i,...) -> y (..., sum of all K_i, ...), joined along `axis`."""
    shape, axis = list(arrays[0].shape), axis % arrays[0].ndim
    ends = list(itertools.accumulate(a.shape[axis] for a in arrays))
    shape[axis] = ends[-1]
    y = xp(arrays[0]).empty(shape, arrays[0].dtype)
    for a, end in zip(arrays, ends, strict=True):
        y[(slice(None),) * axis + (slice(end - a.shape[axis], end),)] = a
    return y, (ends[:-1], axis)


def supports(*arrays, axis=-1):
    """Arrays whose shapes differ along the axis only; for others the reference raises the error."""
    if not (is_float32(*arrays) and arrays[0].ndim and -arrays[0].ndim <= axis < arrays[0].ndim):
        return False
    rests = {(*a.shape[: axis % a.ndim], *a.shape[axis % a.ndim + 1 :]) if a.ndim == arrays[0].ndim else a.ndim for a in arrays}
    return len(rests) == 1


def samples(draw):
    """Up to ten arrays: CuPy's own kernel changes its way at eight."""
    shape, axis = draw.choice([(3,), (2, 5), (2, 3, 4)]), draw.choice([0, -1])
    lengths = [draw.integer(1, 9) for _ in range(draw.integer(1, 10))]
    shapes = [(n, *shape[1:]) if axis == 0 else (*shape[:-1], n) for n in lengths]
    return tuple(draw.array(*s) for s in shapes), {"axis": axis}


kernel_of(concatenate, "cuda", forward, concatenate_backward, supports, samples=samples)
