"""What is known about one wrong gradient: `Evidence`, from which patterns draw their names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from tinydx.gradcheck.report import Diagnosis
from tinydx.gradcheck.sizes import Resized
from tinydx.gradcheck.subject import Subject
from tinydx.op import Slip

AXES = {  # the usual axes of a cotangent, by its rank
    1: ("index",),
    2: ("example", "index"),
    3: ("example", "time step", "index"),
    4: ("example", "row", "column", "channel"),
}


@dataclass
class Evidence:
    """One wrong gradient and everything that is known about it."""

    _: KW_ONLY
    subject: Subject
    k: int  # the argument's index
    label: str  # "dw"
    got: Any  # the user's gradient
    true: np.ndarray  # NaN where it was not computed
    at: np.ndarray  # flat indices where it was
    rows: np.ndarray | None  # the Jacobian's rows of these elements
    dys: Sequence[np.ndarray]
    tolerance: float
    trues: Sequence[np.ndarray] = ()  # the true gradients of all arguments
    slips: Sequence[tuple[Slip, Sequence[Any]]] = ()  # slips with their gradients, the most likely first
    resized: Sequence[Resized] = ()  # the same check at other sizes
    doubtful: Sequence[Resized] = ()  # checks by which one explanation may be better than another
    right: Collection[int] = ()  # the indices of the arguments whose gradients are right

    @property
    def complete(self) -> bool:
        """Whether the true gradient of every element is known."""
        return len(self.at) == self.true.size

    def same(self, a: Any, b: Any) -> bool:
        """Whether shapes are equal and, wherever b is known, also the numbers, which are not all zero."""
        a, b = np.asarray(a), np.asarray(b)
        if a.shape != b.shape:
            return False
        known = ~np.isnan(b)
        top = np.max(np.abs(b[known]), initial=0)
        return bool(top > 0 and np.all(np.abs(a - b)[known] <= self.tolerance * top))

    def looks_like(self, prediction: Any) -> bool:
        """Whether the user's gradient is this one."""
        return self.same(self.got, prediction)

    def shares(self) -> Iterator[tuple[int, np.ndarray]]:
        """For each output its index and what each number of its dy adds to each element's gradient: (elements, *dy.shape)."""
        start = 0
        for i, dy in enumerate(self.dys):
            if self.rows is not None:
                yield i, (self.rows[:, start : start + dy.size] * dy.ravel()).reshape(-1, *dy.shape)
            start += dy.size

    def backward(self, *dys: np.ndarray) -> np.ndarray:
        """The gradient that the right backward would return for other dys."""
        assert self.rows is not None
        return self.spread(self.rows @ np.concatenate([dy.ravel() for dy in dys]))

    def with_dy(self, i: int, dy: np.ndarray) -> np.ndarray:
        """The gradient that the right backward would return for another dy of output i."""
        return self.backward(*self.dys[:i], dy, *self.dys[i + 1 :])

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Values of the known elements in the array's shape, NaN elsewhere."""
        gradient = np.full(self.true.shape, np.nan)
        gradient.flat[self.at] = values
        return gradient

    def equal(self) -> np.ndarray:
        """Where the user's gradient equals the true one."""
        return np.abs(self.got - self.true) <= self.tolerance * np.fmax.reduce(np.abs(self.true), axis=None, initial=0)

    def axis(self, dy: np.ndarray, axis: int) -> str:
        """What one index of this axis of a cotangent usually is: an example, a time step ..."""
        return AXES[dy.ndim][axis] if dy.ndim in AXES else "index"


Pattern = Callable[[Evidence], Iterator[Diagnosis]]
