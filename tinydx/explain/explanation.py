"""Explanation: what every method of this room returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

MENTIONED = 3  # parts that the sentence names for the class, and as many against it


@dataclass(frozen=True)
class Explanation:
    """A map for each example of a batch, and what is needed to read it.

    Arguments: method, its name; map (N,...), like the input, or (N,H,W) of Grad-CAM and occlusion, or (N,T) of texts; targets,
    the name of the explained class for each example; score (N,), the class's logit; baseline, in words, what the input is
    compared with; baseline_score (N,), its logit; completeness_error (N,), how far the map's sum is from score - baseline_score;
    layer, the name of the layer, and layer_map (N,h,w), of Grad-CAM; values (N,G), of Shapley values; parts, names of the values,
    or of the places of a map of one axis: columns of a table, tokens of a text.

    >>> e = Explanation("gradient", np.array([[2.0, -0.5]]), ["pneumonia"], np.array([1.5])).named(["fever", "age"])
    >>> e.target, e.sentence
    ('pneumonia', 'gradient: pneumonia has logit 1.50; pushed towards it by fever (+2.00), away from it by age (-0.50).')
    """

    method: str
    map: np.ndarray
    targets: list[str]
    score: np.ndarray
    baseline: str | None = None
    baseline_score: np.ndarray | None = None
    completeness_error: np.ndarray | None = None
    layer: str | None = None
    layer_map: np.ndarray | None = None
    values: np.ndarray | None = None
    parts: list[str] | None = None

    def named(self, parts: Sequence[str]) -> Explanation:
        """The same with names of its parts, which the sentence then uses.

        Raises: ValueError for fewer or more names than the map has places, or Shapley values groups.
        """
        shape = (self.map if self.values is None else self.values).shape
        if shape[1:] != (len(parts),):
            raise ValueError(f"{len(parts)} names for a map {shape}: give one for each column, token or group")
        return replace(self, parts=[str(part) for part in parts])

    @property
    def target(self) -> str | list[str]:
        """The explained class where it is the same for all examples, else a list of names."""
        return self.targets[0] if len(set(self.targets)) == 1 else self.targets

    @property
    def sentence(self) -> str:
        """What the map of the first example says, in words; `[i].sentence` is that of another one."""
        target, score = self.targets[0], f"{self.score[0]:.2f}"
        start = f"{self.method}: {target} has logit {score}"
        if not self.map[0].any():
            where = "" if self.layer is None else f" in layer {self.layer}"
            return f"{start}; no positive evidence{where}." if self.layer else f"{start}; no part of the input changes it."
        if self.layer is not None:
            return f"{start}; pushed towards it by layer {self.layer}, most at {self._place(self.map[0])}."
        towards, away = self._by(1), self._by(-1)
        return f"{start}; pushed towards it by {towards}, away from it by {away}."

    def _by(self, sign: int) -> str:
        """What speaks for the class (sign 1) or against it (-1): the strongest named parts, or their sum and strongest place."""
        shares = sign * np.asarray(self.map if self.values is None else self.values)[0]
        if not (shares > 0).any():
            return "nothing"
        if self.parts is None:
            total = sign * float(shares[shares > 0].sum())
            return f"{total:+.2f} in all, most at {self._place(shares)}"
        order = np.argsort(-shares, kind="stable")[:MENTIONED]
        return ", ".join(f"{self.parts[i]} ({sign * shares[i]:+.2f})" for i in order if shares[i] > 0)

    def _place(self, shares: np.ndarray) -> str:
        """The largest place of one example's map; of a map (H,W,C), or (N,G) of values, the row and the column, or the number."""
        flat = shares.sum(axis=-1) if shares.ndim == 3 else shares
        place = [int(i) for i in np.unravel_index(flat.argmax(), flat.shape)]
        return f"row {place[0]}, column {place[1]}" if len(place) == 2 else f"place {place[0]}"

    def __getitem__(self, i: int) -> Explanation:
        """The explanation of one example, as a batch of one."""
        if not 0 <= i < len(self.targets):
            raise IndexError(f"example {i} of {len(self.targets)}")
        arrays = ("map", "score", "baseline_score", "completeness_error", "layer_map", "values")
        taken: Any = {k: None if (v := getattr(self, k)) is None else v[i : i + 1] for k in arrays}
        return replace(self, targets=self.targets[i : i + 1], **taken)
