"""One training step, the same on CPU and GPU: forward, loss, backward, check, update.

    x, labels, weights of the examples
      -> forward, loss, backward            gradients, and new moving averages
      -> read the numbers                   loss, a checksum of each gradient, the predictions if there are metrics
      -> check                              where one is not finite: FloatingPointError, and nothing has changed
      -> loss and metrics into the means
      -> update                             the optimizer changes the weights, moving averages take their new values

`Step` computes where its arrays are, and has the numbers at once if that is the CPU. Two steps derive from it, which run the
first line faster: `tinydx.training.planned` as a list of calls, `tinydx.training.graph` on a GPU as a captured graph.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinydx import distributed
from tinydx.device import Packet, on_device
from tinydx.factored import checksums
from tinydx.tensor import Tensor
from tinydx.training.data import Batch
from tinydx.training.lowering import gradients_for_update, loss_of
from tinydx.training.meaning import check_output
from tinydx.training.placement import on_same_device
from tinydx.training.running_means import RunningMeans


class Step:
    """A training step of a compiled and built model."""

    def __init__(self, model: Any):
        self.model, self.trained = model, model.trainable_weights
        self.untrained = [w for w in model.weights if not w.requires_grad]
        self.gradients: list[Any] = []  # of `trained`; None for a weight that the batch does not use
        self.statistics: list[tuple[Any, Any]] = []  # (a moving average, its new value)

    def take(self, x: Any, batch: Batch, means: RunningMeans, meanwhile: Callable[[], None] | None = None) -> None:
        """Take the step on a batch.

        Arguments: x, the batch's input, checked; batch; means, which get its numbers; meanwhile, called while a GPU computes.
        Raises: FloatingPointError or ValueError where a loss, gradient or input is not finite; the model is then unchanged.
        """
        self.run(x, batch.y, batch.weight)
        if meanwhile is not None:
            meanwhile()
        numbers, gradients = distributed.mean_over_ranks(self.read(), batch, self)
        self._raise_unless_finite(numbers)
        means.add(numbers, batch.whole or batch)
        self.model.optimizer.apply_finite(gradients, self.trained)
        self.keep_statistics()

    def run(self, x: Any, y: Any, weight: Any) -> None:
        """Forward, loss and backward; `read` then gives the numbers."""
        self.numbers = self.forward_and_backward(x, y, weight)

    def read(self) -> dict[str, Any]:
        """The numbers of the last run, on the CPU."""
        return self.numbers

    def forward_and_backward(self, x: Any, y: Any, weight: Any) -> dict[str, Any]:
        """Compute gradients and statistics, and the numbers to be read. The weights keep their values."""
        if not self.trained:
            raise ValueError(f"{self.model.name} has no weights that training may change: set trainable = True, then compile")
        for w in self.trained:
            w.grad = None
        numbers = self.differentiate(x, y, weight)
        self.gradients = gradients_for_update(self.trained)
        return {**numbers, "gradients": checksums(self.gradients, beside=numbers["loss"])}

    def differentiate(self, x: Any, y: Any, weight: Any) -> dict[str, Any]:
        """Give the weights their gradients, by the tape; the loss, and what metrics need."""
        before = [(w, w.data) for w in self.untrained]
        try:
            prediction = self.model.prediction(x, training=True)
            loss = total_loss(self.model, self.target(y, prediction.shape), prediction, weight)
            loss.backward()
            self.statistics = [(data, w.data) for w, data in before if w.data is not data]
        finally:
            for w, data in before:
                w.data = data
        return {"loss": loss.data, **metric_inputs(self.model, prediction, y, weight)}

    def target(self, y: Any, shape: tuple[int, ...]) -> Any:
        """The labels as the loss takes them, for predictions of that shape."""
        return self.model.loss.prepare(y, shape)

    def keep_statistics(self) -> None:
        """Give the moving averages their new values, in place: a captured graph reads them at a fixed address."""
        for old, new in self.statistics:
            old[...] = new

    def _raise_unless_finite(self, numbers: dict[str, Any]) -> None:
        """FloatingPointError or ValueError that names what is not finite."""
        if not np.isfinite(numbers.get("input", 0)):
            raise ValueError("the input has NaN or infinite numbers; nothing was changed")
        if not np.isfinite(numbers["loss"]):
            raise FloatingPointError(f"loss is {numbers['loss']}")
        for w, finite in zip(self.trained, np.isfinite(numbers["gradients"]), strict=True):
            if not finite:
                raise FloatingPointError(f"the gradient of {w.name} is not finite")


def evaluate_batch(model: Any, x: Any, batch: Batch, means: RunningMeans) -> None:
    """Add the loss and metrics of a batch to the means, without a step; x is the batch's input, checked."""
    with on_same_device(model, x) as x:
        prediction = model.prediction(x, training=False)
        loss = total_loss(model, model.loss.prepare(batch.y, prediction.shape), prediction, batch.weight)
        numbers = {"loss": loss.data, **metric_inputs(model, prediction, batch.y, batch.weight)}
        means.add(Packet(numbers).read() if on_device(loss.data) else numbers, batch)


def total_loss(model: Any, target: Any, prediction: Tensor, weight: Any) -> Tensor:
    """The loss of a prediction, plus the penalties of the model's regularizers; ValueError where output and loss do not fit."""
    check_output(model, prediction)
    return sum(model.losses, loss_of(model.loss, target, prediction, weight))


def metric_inputs(model: Any, prediction: Tensor, y: Any, weight: Any) -> dict[str, Any]:
    """The mask of a prediction's time steps; for metrics, the prediction, too, and labels and weights only if on a GPU."""
    arrays = {"mask": prediction.mask if prediction.ndim > 2 else None}
    if model.metrics or model.weighted_metrics:
        arrays |= {"prediction": prediction.data, "y": y, "weight": weight}
    return {k: a for k, a in arrays.items() if (on_device(a) if on_device(prediction.data) else k in ("prediction", "mask"))}
