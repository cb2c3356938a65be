"""What a model file holds, while its layers are made: no array and no layer is made that the file does not hold.

A file names its layers with their sizes. A forged one names sizes that no memory has (units=3000000000), or layers without
number (depth=1000000000). Inside `making_from`, `Layer` asks here before it makes anything, so that loading needs at most about
twice the memory of the file's own arrays.

    with making_from(shapes of the file's weights, number of entries):
        Dense(3000000000, input_shape=(3,))      ValueError: kernel has shape (3, 3000000000), but the file holds no such weight
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

COPIES = 2  # of a weight that may be made for one that the file holds: Bidirectional makes two layers of one that it is given
LAYERS = 200  # that may be made beside those that the file describes: the inner layers of a user's own classes
LARGEST_RUN = 2**26  # numbers of an input on which a layer is run to find its shapes
LARGEST_OUTPUT = 2**30  # numbers of one example that a layer may take or return


class Held:
    """What may still be made.

    Arguments: shapes of the file's weights; entries, how many layers the file describes or can hold.
    """

    def __init__(self, shapes: Iterable[tuple[int, ...]], entries: int):
        self.shapes = Counter(shapes)
        self.left = Counter({shape: COPIES * n for shape, n in self.shapes.items()})
        self.layers = LAYERS + entries


_held: ContextVar[Held | None] = ContextVar("held", default=None)


@contextmanager
def making_from(shapes: Iterable[tuple[int, ...]], entries: int) -> Iterator[None]:
    """While it is open, layers are made only as far as a file with such weights and entries holds them."""
    token = _held.set(Held(shapes, entries))
    try:
        yield
    finally:
        _held.reset(token)


def making() -> bool:
    """Whether layers are being made from a file: then weights need no initial values, which the file has."""
    return _held.get() is not None


def expect_layer(name: str) -> None:
    """ValueError where the file does not hold that many layers."""
    held = _held.get()
    if held is not None:
        held.layers -= 1
        if held.layers < 0:
            raise ValueError(f"{name}: the file describes fewer layers than it makes")


def expect_weight(name: str, shape: tuple[int, ...]) -> None:
    """ValueError where the file does not hold a weight of that shape, or too few of them."""
    held = _held.get()
    if held is not None:
        held.left[shape] -= 1
        if held.left[shape] < 0:
            what = "too few such weights" if shape in held.shapes else "no such weight"
            raise ValueError(f"{name} has shape {shape}, but the file holds {what}")


def expect_run(name: str, shapes: Any) -> None:
    """ValueError where a file makes a layer, or a model, run on inputs of sizes that no training had."""
    _expect_size(name, shapes, LARGEST_RUN, "is")


def expect_output(name: str, shapes: Any) -> None:
    """ValueError where one example would have more numbers than any training had."""
    _expect_size(name, shapes, LARGEST_OUTPUT, "gives")


def _expect_size(name: str, shapes: Any, most: int, does: str) -> None:
    for shape in shapes if isinstance(shapes, list) else [shapes]:
        if math.prod(n or 1 for n in shape) > most:
            raise ValueError(
                f"{name} {does} an array of shape {tuple(shape)}, which is more than {most:,} numbers for one example"
            )
