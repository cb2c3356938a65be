"""Examples of several modalities, of which each example has at least one."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Cases(NamedTuple):
    """Examples of several modalities.

    Arguments: x, for each modality's name an array (N,...); y (N,), class numbers; present, bool (N,M), which modalities each
    example has, in the order of x (None: all). What stands in x for a missing one is never looked at.

    >>> cases = Cases({"age": np.zeros((3, 1)), "sound": np.zeros((3, 4))}, np.array([0, 1, 1]))
    >>> cases.names, int(cases.known().sum()), cases.without("sound").known().tolist()[0]
    (['age', 'sound'], 6, [True, False])
    """

    x: dict[str, np.ndarray]
    y: np.ndarray
    present: np.ndarray | None = None

    @property
    def names(self) -> list[str]:
        """The names of the modalities."""
        return list(self.x)

    def known(self) -> np.ndarray:
        """Which modalities are present, bool (N,M).

        Raises: ValueError where lengths differ.
        """
        shape = (len(self.y), len(self.x))
        if any(len(values) != len(self.y) for values in self.x.values()):
            lengths = ", ".join(f"{name} {len(values)}" for name, values in self.x.items())
            raise ValueError(f"modalities have different numbers of examples: {lengths}, labels {len(self.y)}")
        present = np.ones(shape, bool) if self.present is None else np.asarray(self.present, bool)
        if present.shape != shape:
            raise ValueError(f"present has shape {present.shape}, expected {shape}: a row an example, a column a modality")
        return present

    def take(self, rows: Any) -> Cases:
        """The examples of these rows: numbers, a mask, or a slice."""
        present = None if self.present is None else self.present[rows]
        return Cases({name: values[rows] for name, values in self.x.items()}, self.y[rows], present)

    def without(self, *names: str) -> Cases:
        """The same examples, these modalities missing."""
        return self._replace(present=self.known() & ~np.isin(self.names, names))

    def inputs(self) -> list[np.ndarray]:
        """The inputs of a fused model: the modalities, a constant in place of what is missing, then a 0 or 1 (N,1) for each."""
        present = self.known()
        x = [masked(values, present[:, m]) for m, values in enumerate(self.x.values())]
        return [*x, *(present[:, m : m + 1].astype(np.float32) for m in range(len(x)))]


def masked(values: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Values with 0 in the rows that are not present; of whole numbers, the ids of words, 1, since 0 is no word.

    >>> masked(np.array([[np.nan], [2.0]]), np.array([False, True])).tolist()
    [[0.0], [2.0]]
    """
    if present.all():
        return values
    values = values.copy()
    values[~present] = 1 if values.dtype.kind in "iu" else 0
    return values
