"""A short fingerprint of data and settings, by which a training run that goes on recognises what it was trained on.

It is a checksum (CRC-32 of all bytes, about 1 GB/s), which finds what was changed by mistake; it is no proof against forgery.
"""

from __future__ import annotations

import random
import zlib
from typing import Any

import numpy as np

from tinydx.device import on_device, to_host

BLOCK = 1 << 22  # bytes checked at once: a view, or a copy of rows that do not lie side by side


def fingerprint(*things: Any) -> str:
    """Eight hexadecimal digits that differ where the things do: arrays, numbers, texts, None, generators of random numbers, and
    lists and dicts of them. Of any other object, the name of its class or function counts.

    >>> fingerprint(np.arange(3), {"shuffle": True}) == fingerprint(np.arange(3), {"shuffle": True})
    True
    >>> fingerprint(np.arange(3)) == fingerprint(np.array([0, 1, 3]))
    False
    """
    total = 0
    for thing in things:
        total = _add(total, thing)
    return f"{total:08x}"


def _add(total: int, thing: Any) -> int:
    """The checksum so far, and of this."""
    if isinstance(thing, np.ndarray | np.generic) or on_device(thing):
        return _add_array(zlib.crc32(f"{thing.dtype} {thing.shape}".encode(), total), to_host(thing))
    if isinstance(thing, np.random.Generator | np.random.RandomState | random.Random):
        thing = _state(thing)
    if isinstance(thing, dict):
        thing = [part for pair in sorted(thing.items(), key=lambda pair: str(pair[0])) for part in pair]
    if isinstance(thing, list | tuple):
        total = zlib.crc32(f"[{len(thing)}".encode(), total)
        for part in thing:
            total = _add(total, part)
        return total
    if thing is not None and not isinstance(thing, bool | int | float | str | bytes):
        thing = getattr(thing, "__qualname__", type(thing).__qualname__)
    return zlib.crc32(f"{type(thing).__name__} {thing!r}".encode(), total)


def _state(generator: Any) -> Any:
    """The state of a generator of random numbers."""
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    return generator.getstate() if isinstance(generator, random.Random) else generator.get_state(legacy=False)


def _add_array(total: int, array: Any) -> int:
    if array.dtype.hasobject:
        return _add(total, array.tolist())
    if array.ndim == 0 or array.flags.c_contiguous:
        return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, total)
    rows = max(1, BLOCK // max(array[:1].nbytes, 1))
    for start in range(0, len(array), rows):
        total = zlib.crc32(np.ascontiguousarray(array[start : start + rows]).reshape(-1).view(np.uint8).data, total)
    return total
