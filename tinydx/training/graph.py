"""The training step on a GPU: captured as a CUDA graph, replayed by one call per batch, read in one transfer.

    CPU                                      GPU
    batch, checked ────────────────────────> x, labels, weights of the examples, at fixed addresses
                                             forward, loss, backward: launch by launch, later as one graph
    loss, checksum of each gradient <─────── packet (with the predictions, if there are metrics)
    not finite: FloatingPointError, and
    nothing has changed; otherwise
    learning rate, number of the step ─────> the optimizer's update, launch by launch

A `GraphStep` runs the batches of one shape. The first batch runs launch by launch, which compiles the kernels; the second is
captured, which records the launches without running them; then it and all later batches are replayed. A graph repeats
exactly what was recorded. So values that change from step to step (the batch, dropout's masks) are in memory that is filled
before each replay, and the update runs after it, with the optimizer's constants, once the packet has been checked.
A model whose code reads a number or draws a random one cannot be captured; it continues launch by launch.
"""

from __future__ import annotations

import warnings
from contextlib import suppress
from typing import Any

from tinydx import dispatch, distributed, random
from tinydx.device import Packet, RandomArrays, collecting, fill, on_device, to_device
from tinydx.tensor import no_grad
from tinydx.training import placement, prefetch
from tinydx.training.placement import as_list, each
from tinydx.training.step import Step

MOST_STEPS = 4  # batch shapes whose graphs, with their memory, a model keeps


def step_for(model: Any, x: Any, y: Any, weight: Any) -> GraphStep:
    """The model's step for batches of this shape; a new one where the weights are no longer at the addresses it knows."""
    arrays = (*as_list(x), y, weight)
    key = tuple(None if a is None else (a.shape, str(a.dtype), on_device(a)) for a in arrays)
    step = model.gpu_steps.pop(key, None)
    if step is None or not step.fits():
        step = GraphStep(model, x, y, weight)
    model.gpu_steps[key] = step  # the last used is the last in the dict
    while len(model.gpu_steps) > MOST_STEPS:
        del model.gpu_steps[next(iter(model.gpu_steps))]
    return step


class GraphStep(Step):
    """A training step on a GPU, for batches with the shapes of x, y and weight."""

    def __init__(self, model: Any, x: Any, y: Any, weight: Any):
        super().__init__(model)
        self.known = [(w, w.data) for w in model.weights]  # a graph reads and writes at these addresses
        self.x, self.weight = each(_copied, x), _copied(weight)
        self.input_on_gpu, self.labels_on_gpu = on_device(as_list(x)[0]), on_device(y)
        self.shape = self._shape_of_prediction()  # labels are checked against it, before there is a prediction
        self.y = _copied(self._labels(y))
        self.random, self.runs, self.graph = RandomArrays(), 0, None

    def _shape_of_prediction(self) -> tuple[int, ...]:
        before = random.state()
        with no_grad():
            shape = self.model.prediction(self.x, training=False).shape
        random.load_state(before)  # this run must not change the random numbers of the step
        return shape

    def fits(self) -> bool:
        """Whether the model still has the weights that this step knows, at the same addresses."""
        weights, trained = self.model.weights, self.model.trainable_weights
        same = len(weights) == len(self.known) and all(
            w is known and w.data is data for w, (known, data) in zip(weights, self.known, strict=True)
        )
        return same and [id(w) for w in trained] == [id(w) for w in self.trained]

    def run(self, x: Any, y: Any, weight: Any) -> None:
        """Launch forward, loss and backward."""
        values = [*as_list(x), self._labels(y), weight]
        for buffer, value in zip([*as_list(self.x), self.y, self.weight], values, strict=True):
            if buffer is not None:
                fill(buffer, prefetch.prefetcher().take(value))
        self.runs += 1
        choice = dispatch.untraced_choice()
        if self.runs == 2 and choice is not None and choice.graph:
            self._try_to_capture()
        if self.graph is None:
            self.random = RandomArrays()
            self._launch()
        else:
            with distributed.own_numbers(self.model.optimizer.iterations):
                self.random.redraw()
            self.graph.launch()

    def read(self) -> dict[str, Any]:
        """The numbers of the last run, in one transfer; waits until the GPU has computed them."""
        return self.packet.read()

    def target(self, y: Any, shape: tuple[int, ...]) -> Any:
        """The labels as the loss takes them: labels from the CPU were prepared there."""
        return super().target(y, shape) if self.labels_on_gpu else y

    def _labels(self, y: Any) -> Any:
        """Labels from the CPU are checked and aligned there, labels on the GPU in the step."""
        return y if self.labels_on_gpu else self.model.loss.prepare(y, self.shape)

    def _launch(self) -> None:
        """The captured part: it reads no number, and takes arrays from the CPU only through RandomArrays."""
        with collecting(self.random):
            numbers = self.forward_and_backward(self.x, self.y, self.weight)
        if not self.labels_on_gpu:
            numbers.pop("y", None)  # prepared for the loss; the metrics take the batch's own
        if self.input_on_gpu:
            numbers["input"] = sum(v.sum() for v in as_list(self.x))
        self.packet = Packet(numbers)

    def _try_to_capture(self) -> None:
        """Record the launches of the step; where that fails, a warning says why."""
        before = random.state()
        try:
            self._capture()
            if random.state() != before:
                raise ValueError("its code draws random numbers (random_beside of tinydx.device could draw them)")
        except Exception as error:  # of CuPy, of the driver, or of the model's own code
            self.graph = None
            random.load_state(before)
            reason = " ".join(str(error).split())
            warnings.warn(f"{self.model.name}: no CUDA graph of its step, it runs launch by launch: {reason}", stacklevel=2)

    def _capture(self) -> None:
        import cupy

        self.pool = cupy.cuda.MemoryPool()  # the graph's own: no other array may use the memory between its launches
        self.random.captured = iter(self.random.made)
        with cupy.cuda.using_allocator(self.pool.malloc):
            placement.stream().begin_capture()
            try:
                self._launch()
            except BaseException:
                with suppress(Exception):  # ending a failed capture raises another error
                    placement.stream().end_capture()
                raise
            self.graph = placement.stream().end_capture()


def _copied(a: Any) -> Any:
    """The array in new memory on the GPU, which is filled again for each batch."""
    return None if a is None else to_device(a).copy()
