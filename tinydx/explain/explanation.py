"""Explanation: what every method of this room returns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Explanation:
    """A map for each example of a batch, and what is needed to read it.

    Arguments: method, its name; map (N,...), like the input, or (N,H,W) of Grad-CAM and occlusion, or (N,T) of texts; targets,
    the name of the explained class for each example; score (N,), the class's logit; baseline, in words, what the input is
    compared with; baseline_score (N,), its logit; completeness_error (N,), how far the map's sum is from score - baseline_score;
    layer, the name of the layer, and layer_map (N,h,w), of Grad-CAM; values (N,G), of Shapley values.

    >>> e = Explanation("occlusion", np.array([[[0.0, 2.0]]]), ["pneumonia"], np.array([1.5]))
    >>> e.target, e.sentence
    ('pneumonia', 'occlusion: pneumonia has logit 1.50; what speaks for it (+2.00) outweighs what speaks against it (0.00).')
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
            return f"{start}; brighter parts of the map raise it, by the activations of layer {self.layer}."
        parts = self.map[0] if self.values is None else self.values[0]
        up, down = float(parts[parts > 0].sum()), float(parts[parts < 0].sum())
        verb = "outweighs" if up > -down else "does not outweigh"
        return f"{start}; what speaks for it (+{up:.2f}) {verb} what speaks against it ({down:.2f})."

    def __getitem__(self, i: int) -> Explanation:
        """The explanation of one example, as a batch of one."""
        if not 0 <= i < len(self.targets):
            raise IndexError(f"example {i} of {len(self.targets)}")
        arrays = ("map", "score", "baseline_score", "completeness_error", "layer_map", "values")
        taken: Any = {k: None if (v := getattr(self, k)) is None else v[i : i + 1] for k in arrays}
        return replace(self, targets=self.targets[i : i + 1], **taken)
