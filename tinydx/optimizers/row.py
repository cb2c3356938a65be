"""The small weights of a model side by side in one row: one call of an update rule instead of one for each weight.

    weights  a (3,2)  b (2,)        gathered   a a a a a a b b   ┐
    gradients                       gathered   . . . . . . . .   ├─ one call of the rule ──> scattered to a and b
    memory   views of the row                  . . . . . . . .   ┘

A call takes longer than the arithmetic of a small weight. The rules are elementwise (`tinydx.ops.update`), so the numbers are the
same. The memory lies in rows for good, of which each weight's memory is a view; weights and gradients stay in their own arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from operator import is_
from typing import Any

import numpy as np

from tinydx.tensor import Tensor

MOST = 1 << 12  # numbers of a weight in the row: copying more takes longer than a call
LENGTH = 1 << 15  # the whole row has fewer numbers: one thread updates as many, and a slice of NumPy's path holds them
DTYPE = np.dtype("float32")


class Row:
    """The small weights of an optimizer.

    Arguments: weights; slots, for each weight the arrays of its memory, which become views where the weight is in the row; kept,
    how many of these arrays the rule takes.
    """

    def __init__(self, weights: Sequence[Tensor], slots: list[list[np.ndarray]], kept: int):
        self.members: list[int] = []
        self.places: list[slice] = []  # of the members in the row
        end = 0
        for k, w in enumerate(weights):
            size = w.data.size
            if type(w.data) is np.ndarray and w.dtype == DTYPE and size <= MOST and end + size < LENGTH:
                self.members.append(k)
                self.places.append(slice(end, end := end + size))
        self.others = [k for k in range(len(weights)) if k not in self.members]
        self.memory = [np.concatenate([slots[k][i] for k in self.members], axis=None) for i in range(kept) if self.members]
        for i, row in enumerate(self.memory):
            for k, place in zip(self.members, self.places, strict=True):
                slots[k][i] = row[place].reshape(slots[k][i].shape)
        self.shapes, self.slots = [w.data.shape for w in weights], list(chain.from_iterable(slots))

    def fits(self, weights: Sequence[Tensor], slots: list[list[np.ndarray]]) -> bool:
        """Whether weights and memory are as they were: a saved run, or a GPU, puts other arrays in the place of these."""
        same = [w.data.shape for w in weights] == self.shapes and len(slots) == len(weights)
        return same and all(map(is_, chain.from_iterable(slots), self.slots))

    def takes(self, arrays: list[Any], gradients: list[Any]) -> bool:
        """Whether each member has a gradient, as an array of its shape and dtype, and lies in memory as rules write to it."""
        for k in self.members:
            w, g = arrays[k], gradients[k]
            if type(g) is not np.ndarray or g.shape != w.shape or not g.dtype == w.dtype == DTYPE or not w.flags.c_contiguous:
                return False
        return len(self.members) > 1

    def gathered(self, arrays: list[Any]) -> np.ndarray:
        """The members' parts of a list with an array for each weight, side by side."""
        return np.concatenate([arrays[k] for k in self.members], axis=None)

    def scatter(self, row: np.ndarray, arrays: list[Any]) -> None:
        """Write the row into the members' arrays of such a list."""
        for k, place in zip(self.members, self.places, strict=True):
            arrays[k][...] = row[place].reshape(arrays[k].shape)
