"""The loss and metrics of an epoch so far, as `fit`, `evaluate` and the methods for one batch report them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinydx import distributed
from tinydx.training.data import Batch


class RunningMeans:
    """The means of loss and metrics over the batches so far.

    Arguments: model, compiled; its metrics are reset.
    """

    def __init__(self, model: Any):
        self.metrics, self.weighted = model.metrics, model.weighted_metrics
        self.total = self.count = 0.0  # of the losses, each as often as its batch has examples, and of the examples
        for m in [*self.metrics, *self.weighted]:
            m.reset_state()

    def add(self, numbers: dict[str, Any], batch: Batch) -> None:
        """Add a batch.

        Arguments: numbers that a step computed, on the CPU: "loss", and if there are metrics "prediction" (N,...), "mask"
        (N,T) of real time steps where there is one, and "y" and "weight" where the batch holds them on a GPU; batch. Numbers of
        a rank's share are put together with those of the other ranks.
        """
        if batch.whole is not None:
            numbers, batch = distributed.mean_over_ranks(numbers, batch)[0], batch.whole
        examples = len(batch.x[0] if isinstance(batch.x, list) else batch.x)
        self.total += float(numbers["loss"]) * examples
        self.count += examples
        if not (self.metrics or self.weighted):
            return
        pred, real = numbers["prediction"], numbers.get("mask")
        true, weight = numbers.get("y", batch.y), numbers.get("weight", batch.weight)
        if real is not None and pred.ndim > 2:  # padded time steps do not count
            weight = None if weight is None else np.broadcast_to(weight.reshape(len(pred), -1), real.shape)[real]
            true, pred = true[real], pred[real]
        for m in self.metrics:
            m.update_state(true, pred)
        for m in self.weighted:
            m.update_state(true, pred, weight)

    def logs(self) -> dict[str, Any]:
        """The means by name: the loss first."""
        loss = self.total / self.count if self.count else 0.0
        return {"loss": loss, **{m.name: m.result() for m in [*self.metrics, *self.weighted]}}
