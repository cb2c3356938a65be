"""Where arrays live, here (NumPy's) or on a GPU (CuPy's), and the ways between.

          to_device ──────────>
    here                        GPU
          <────── Packet.read      one transfer for all that is wanted, the only one of a training step

The engine is written once for both: NumPy's functions go by their arguments (np.exp of a CuPy array runs on the GPU), and
those that make arrays out of nothing are told beside what: np.zeros(shape, dtype, like=x). What would need an array
here, float(loss) or np.asarray(y), waits for the GPU, so it is written nowhere but in this file.

CuPy is loaded by `use("cuda")` or by whoever has an array of its; without one nothing here costs anything.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np


def on_device(a: Any) -> bool:
    """Whether this is an array on a GPU."""
    cupy = sys.modules.get("cupy")  # never imported just to look
    return cupy is not None and isinstance(a, cupy.ndarray)


def to_device(a: Any) -> Any:
    """The array on the GPU; None, and what is there already, as it is."""
    if a is None or on_device(a):
        return a
    import cupy

    return cupy.asarray(a)


def to_host(a: Any) -> Any:
    """The array here; what is here already, as it is. One array a transfer: for several there is Packet."""
    return a.get() if on_device(a) else a


def fill(array: Any, values: Any) -> None:
    """Write into an array on the GPU, from here or there."""
    if on_device(values):
        array[...] = values
    else:
        array.set(np.ascontiguousarray(values))


class Packet:
    """Several small arrays on the GPU, by name, side by side in one, to be read in one transfer.

    It is packed where it is made, maybe as a part of a captured graph, and read as often as the graph has run.
    """

    def __init__(self, arrays: Mapping[str, Any]):
        self.names, self.parts = list(arrays), [(a.shape, a.dtype) for a in arrays.values()]
        self.ends = np.cumsum([a.size for a in arrays.values()]).tolist()
        first = next(iter(arrays.values()))
        self.packed = np.empty(self.ends[-1], np.float64, like=first)  # exact for float32, and whole numbers up to 2^53
        for a, end in zip(arrays.values(), self.ends, strict=True):
            self.packed[end - a.size : end] = a.reshape(-1)

    def read(self) -> dict[str, np.ndarray]:
        """The arrays, here: waits until the GPU has made them."""
        pieces = np.split(to_host(self.packed), self.ends[:-1])
        arrays = (p.astype(dtype).reshape(shape) for p, (shape, dtype) in zip(pieces, self.parts, strict=True))
        return dict(zip(self.names, arrays, strict=True))


# ---- what is made anew in each step ----------------------------------------------------------------------------------

Maker = Callable[[], np.ndarray]


class Fresh:
    """What a step makes here, by chance, and takes to the GPU: the masks of dropout.

    A captured step runs no Python code, so it would use the masks of the first time for ever. It reads them from the
    same memory each time instead, and `renew` fills that before the step runs again.
    """

    def __init__(self) -> None:
        self.made: list[tuple[Maker, Any]] = []
        self.again: Iterator[tuple[Maker, Any]] | None = None  # while a step is captured: those made before, in order

    def __call__(self, make: Maker) -> Any:
        if self.again is not None:
            return next(self.again)[1]
        self.made.append((make, to_device(make())))
        return self.made[-1][1]

    def renew(self) -> None:
        """Make all of them anew, in the order of the first time."""
        for make, array in self.made:
            fill(array, make())


_fresh: Fresh | None = None


@contextmanager
def remembering(fresh: Fresh) -> Iterator[None]:
    """Within it `fresh_beside` is noted there."""
    global _fresh
    before, _fresh = _fresh, fresh
    try:
        yield
    finally:
        _fresh = before


def fresh_beside(other: Any, make: Maker) -> Any:
    """make(), where the array `other` is: what chance decides must come from here, or a captured step repeats it."""
    if not on_device(other):
        return make()
    return to_device(make()) if _fresh is None else _fresh(make)
