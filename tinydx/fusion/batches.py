"""Training batches of several modalities, in which present modalities are dropped at random.

A network that has always seen every modality leans on all of them. Dropping teaches it to answer without: each present modality
is hidden with the probability `drop`, and where that would hide all of an example, one of its own stays.

What is hidden or missing is replaced by the same modality of another example, and p_m = 0 hides it from the answer. So batch
normalisation sees real examples only, and no gradient of a hidden modality.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

DROP = 0.2  # of modality dropout
Versions = Callable[[int], dict[str, np.ndarray]]  # number of a pass -> for each modality (N,...), augmented anew


class FusionBatches:
    """Batches ([modalities, then whether each is present], y), shuffled anew in each pass over the examples; `fit` takes them.

    Arguments: versions; present, bool (N,M); y (N,); batch_size; seed, of all that is drawn; drop, 0 to below 1; steps,
    batches of an epoch (None: one pass).

    >>> x = {"a": np.arange(4.0)[:, None], "b": np.arange(4.0)[:, None]}
    >>> batches = FusionBatches(lambda number: x, np.ones((4, 2), bool), np.arange(4), batch_size=4, seed=0, drop=0.0)
    >>> inputs, y = batches[0]
    >>> len(inputs), bool((inputs[0][:, 0] == y).all() and inputs[2].all())
    (4, True)
    """

    def __init__(
        self,
        versions: Versions,
        present: np.ndarray,
        y: np.ndarray,
        batch_size: int,
        seed: int,
        *,
        drop: float = DROP,
        steps: int | None = None,
    ):
        self.versions, self.present, self.y = versions, present, y
        self.batch_size, self.seed, self.drop = batch_size, seed, drop
        self.of_pass = -(-len(y) // batch_size)
        self.steps = steps or self.of_pass
        self.epoch, self.number = 0, -1  # the pass that is drawn

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, i: int) -> tuple[list[np.ndarray], np.ndarray]:
        passes, i = divmod(self.epoch * self.steps + i, self.of_pass)
        if passes != self.number:
            self._begin(passes)
        rows = self.order[i * self.batch_size : (i + 1) * self.batch_size]
        x = [values[self.source[rows, m]] for m, values in enumerate(self.x.values())]
        kept = self.kept[rows].astype(np.float32)
        return [*x, *(kept[:, m : m + 1] for m in range(kept.shape[1]))], self.y[rows]

    def on_epoch_end(self) -> None:
        self.epoch += 1

    def state(self) -> dict[str, Any]:
        return {"epoch": self.epoch}

    def load_state(self, state: dict[str, Any]) -> None:
        self.epoch = int(state["epoch"])

    def _begin(self, number: int) -> None:
        """Draw the order, what is hidden, and what stands in its place; all of it follows from the seed and the pass's number."""
        rng = np.random.default_rng([self.seed, number])
        self.number, self.x = number, self.versions(number)
        self.order = rng.permutation(len(self.y))
        self.kept = kept_modalities(self.present, self.drop, rng)
        self.source = np.tile(np.arange(len(self.y))[:, None], self.present.shape[1])
        for m, there in enumerate(self.present.T):
            if (~there).any():
                self.source[~there, m] = rng.choice(np.flatnonzero(there), (~there).sum())


def kept_modalities(present: np.ndarray, drop: float, rng: np.random.Generator) -> np.ndarray:
    """Which modalities stay, bool (N,M): each present one with probability 1 - drop, and at least one of each example.

    >>> kept_modalities(np.array([[True, False], [False, True]]), 0.9, np.random.default_rng(0)).tolist()
    [[True, False], [False, True]]
    """
    kept = present & (rng.random(present.shape) >= drop)
    lost = np.flatnonzero(~kept.any(axis=1) & present.any(axis=1))
    kept[lost, np.where(present[lost], rng.random((len(lost), present.shape[1])), -1.0).argmax(axis=1)] = True
    return kept
