"""The small weights of a model side by side in one row: one call of an update rule instead of one for each weight.

    weights  a (3,2)  b (2,)        gathered   a a a a a a b b   ┐
    gradients                       gathered   . . . . . . . .   ├─ one call of the rule ──> scattered to a and b
    memory   views of the row                  . . . . . . . .   ┘

A call takes longer than the arithmetic of a small weight. The rules are elementwise (`tinydx.ops.update`), so the numbers are the
same. The memory lies in rows for good, of which each weight's memory is a view; weights and gradients stay in their own arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
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

    def fits(self, weights: Sequence[Tensor], slots: list[list[np.ndarray]]) -> bool:
        """Whether the weights still have these sizes, and their memory lies in the row: a saved run puts other arrays there."""
        return len(weights) == len(self.members) + len(self.others) and all(
            weights[k].data.size == place.stop - place.start and all(map(_lies_in, slots[k], self.memory))
            for k, place in zip(self.members, self.places, strict=True)
        )

    def takes(self, weights: Sequence[Tensor], gradients: Sequence[Any]) -> bool:
        """Whether each member has a gradient, as an array of its shape and dtype, and lies in memory as rules write to it."""
        return len(self.members) > 1 and all(
            type(g) is np.ndarray and g.dtype == w.dtype == DTYPE and g.shape == w.shape and w.data.flags.c_contiguous
            for w, g in ((weights[k], gradients[k]) for k in self.members)
        )

    def gathered(self, arrays: Sequence[Any]) -> np.ndarray:
        """The members' parts of a list with an array for each weight, side by side."""
        return np.concatenate([arrays[k] for k in self.members], axis=None)

    def scatter(self, row: np.ndarray, arrays: Sequence[Any]) -> None:
        """Write the row into the members' arrays of such a list."""
        for k, place in zip(self.members, self.places, strict=True):
            arrays[k][...] = row[place].reshape(arrays[k].shape)


def _lies_in(part: np.ndarray, row: np.ndarray) -> bool:
    return part.base is row
