"""Joining arrays: a copy each, into its place.

CuPy joins more than eight arrays by a list of their addresses, which it sends from here: a captured graph would go on
reading that list when it is gone.
"""

from __future__ import annotations

import itertools

from tinydx.op import kernel_of
from tinydx.ops.arithmetic import concatenate, concatenate_backward
from tinydx_kernels.cuda.backend import is_float32, xp


def forward(*arrays, axis=-1):
    shape, axis = list(arrays[0].shape), axis % arrays[0].ndim
    ends = list(itertools.accumulate(a.shape[axis] for a in arrays))
    shape[axis] = ends[-1]
    y = xp(arrays[0]).empty(shape, arrays[0].dtype)
    for a, end in zip(arrays, ends, strict=True):
        y[(slice(None),) * axis + (slice(end - a.shape[axis], end),)] = a
    return y, (ends[:-1], axis)


def supports(*arrays, axis=-1):
    """Arrays that differ along the axis alone; of others the reference says what is wrong."""
    if not (is_float32(*arrays) and arrays[0].ndim and -arrays[0].ndim <= axis < arrays[0].ndim):
        return False
    rests = {(*a.shape[: axis % a.ndim], *a.shape[axis % a.ndim + 1 :]) if a.ndim == arrays[0].ndim else a.ndim for a in arrays}
    return len(rests) == 1


kernel_of(concatenate, "cuda", forward, concatenate_backward, supports)
