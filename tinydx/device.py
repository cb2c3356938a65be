"""Where arrays live: in the computer's memory as NumPy arrays, or on a GPU as CuPy arrays; and how they move.

                 to_device, fill ──────────>
    CPU (NumPy)                               GPU (CuPy)
                 <─── to_host, Packet.read      a Packet reads several arrays in one transfer: one per training step

The engine is written once for both. NumPy's functions follow their arguments (np.exp of a CuPy array runs on the GPU), and
functions that make an array take a model of it: np.zeros(shape, dtype, like=x). Code that needs a number on the CPU, such
as float(loss) or np.asarray(y), would wait for the GPU; it goes through this file instead.

`use("cuda")`, or a caller who already has CuPy arrays, imports CuPy. Without CuPy these functions cost nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np


def on_device(a: Any) -> bool:
    """Whether this is an array on a GPU."""
    cupy = sys.modules.get("cupy")  # never imported only to find out
    return cupy is not None and isinstance(a, cupy.ndarray)


def any_on_device(arrays: Iterable[Any]) -> bool:
    """Whether one of these is an array on a GPU."""
    return "cupy" in sys.modules and any(map(on_device, arrays))


def to_device(a: Any) -> Any:
    """The array on the GPU. None, and an array that is already there, are returned unchanged."""
    if a is None or on_device(a):
        return a
    import cupy

    return cupy.asarray(a)


def to_host(a: Any) -> Any:
    """The array on the CPU; an array that is already there is returned unchanged. For several arrays use a Packet."""
    return a.get() if on_device(a) else a


def fill(array: Any, values: Any) -> None:
    """Write values, from the CPU or the GPU, into an array on the GPU."""
    if on_device(values):
        array[...] = values
    else:
        array.set(np.ascontiguousarray(values))


class Packet:
    """Several small arrays on the GPU, packed side by side into one, so that one transfer reads them all.

    Making a packet only launches copies, so a captured graph may contain it; `read` then works after every replay.
    Arguments: arrays, named. Their numbers are packed as float64: exact for float32 and for integers up to 2^53.

    >>> Packet({"loss": np.float32([0.5]), "labels": np.array([[1, 2]])}).read()
    {'loss': array([0.5], dtype=float32), 'labels': array([[1, 2]])}
    """

    def __init__(self, arrays: Mapping[str, Any]):
        self.names, self.parts = list(arrays), [(a.shape, a.dtype) for a in arrays.values()]
        self.ends = np.cumsum([a.size for a in arrays.values()]).tolist()
        first = next(iter(arrays.values()))
        self.packed = np.empty(self.ends[-1], np.float64, like=first)
        for a, end in zip(arrays.values(), self.ends, strict=True):
            self.packed[end - a.size : end] = a.reshape(-1)

    def read(self) -> dict[str, np.ndarray]:
        """The arrays on the CPU, with their shapes and dtypes. Waits until the GPU has computed them."""
        pieces = np.split(to_host(self.packed), self.ends[:-1])
        arrays = (p.astype(dtype).reshape(shape) for p, (shape, dtype) in zip(pieces, self.parts, strict=True))
        return dict(zip(self.names, arrays, strict=True))


# ---- random arrays of a captured step --------------------------------------------------------------------------------

Maker = Callable[[], np.ndarray]


class RandomArrays:
    """The random arrays of one training step, dropout's masks: made on the CPU, sent to the GPU, made anew for each step.

    Replaying a captured step runs no Python code, so it would use the masks of the capture forever. Instead the step reads
    its masks from fixed memory, which `redraw` fills before each replay.
    """

    def __init__(self) -> None:
        self.made: list[tuple[Maker, Any]] = []
        self.captured: Iterator[tuple[Maker, Any]] | None = None  # during a capture: the arrays of the run before, in order

    def add(self, make: Maker) -> Any:
        """make() on the GPU; during a capture, the array that the run before it made in this place."""
        if self.captured is not None:
            return next(self.captured)[1]
        self.made.append((make, to_device(make())))
        return self.made[-1][1]

    def redraw(self) -> None:
        """Fill all arrays with new random numbers, in the order in which they were made."""
        for make, array in self.made:
            fill(array, make())


_collecting: ContextVar[RandomArrays | None] = ContextVar("collecting", default=None)


@contextmanager
def collecting(arrays: RandomArrays) -> Iterator[None]:
    """Context in which `random_beside` adds its arrays to these."""
    before = _collecting.set(arrays)
    try:
        yield
    finally:
        _collecting.reset(before)


def random_beside(other: Any, make: Maker) -> Any:
    """make(), a random array, on the device of the array `other`. A layer that draws elsewhere cannot be captured."""
    if not on_device(other):
        return make()
    arrays = _collecting.get()
    return to_device(make()) if arrays is None else arrays.add(make)
