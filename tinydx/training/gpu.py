"""Training on a GPU: weights, gradients and the optimizer's memory stay there, and each step reads once.

    here                                     GPU
    batch, checked ────────────────────────> x, labels, weights of the examples: the same memory each time
                                             forward, loss, backward: launch by launch, later as one graph
    loss, sum of each gradient <──────────── packet (with the predictions, if metrics want them)
    one is not finite: FloatingPointError,
    and nothing was changed; else
    learning rate, number of the step ─────> the optimizer's update, launch by launch

A `Step` runs the batches of one shape: the first launch by launch, which compiles the kernels; the second is captured,
which records the launches without running them; that one and all later ones are replayed, by one call a batch. A graph
repeats what was recorded, so what changes from step to step is in memory that is filled before (batches, the masks of
dropout) or is done after it (the update, with the optimizer's constants, once the packet says that it may be done).
A model that cannot be captured, because its code reads a number or draws one by chance, goes on launch by launch.
"""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from tinydx import dispatch, random
from tinydx.device import Fresh, Packet, fill, on_device, remembering, to_device, to_host
from tinydx.tensor import Tensor, no_grad

MOST_STEPS = 4  # shapes of batches whose graphs, and the memory that they need, are kept

# ---- where a model computes ------------------------------------------------------------------------------------------


@functools.cache
def stream() -> Any:
    """The stream of all computation: a capture needs one of its own. It and CuPy's default one wait for each other."""
    import cupy

    return cupy.cuda.Stream()


@contextmanager
def placed(model: Any, x: Any) -> Iterator[Any]:
    """Within it the model and its input (given as x) are in one place: `with placed(model, x) as x: y = model(x)`."""
    if not settle(model, x):
        yield x
    else:
        with stream():
            yield _each(to_device, x)


def settle(model: Any, x: Any) -> bool:
    """Bring the weights, and what the optimizer remembers, to where the model is to compute: True for a GPU.

    As with every op: an input on a GPU decides, then `use`; without a word, models stay where they are.
    """
    if "cupy" not in sys.modules:
        return False
    first = next((w.data for w in model.weights), None)
    asked = dispatch.asked_for_device()
    there = on_device(_several(x)[0]) or (on_device(first) if asked is None else asked)
    move = to_device if there else to_host
    for w in model.weights:
        w.data = move(w.data)
    if model.optimizer is not None:
        model.optimizer.slots = [[move(s) for s in slots] for slots in model.optimizer.slots]
    return there


def free() -> None:
    """Give memory that no array uses back to the driver: CuPy's pools keep it for the next array, not for other programs."""
    if cupy := sys.modules.get("cupy"):
        cupy.get_default_memory_pool().free_all_blocks()
        cupy.get_default_pinned_memory_pool().free_all_blocks()


def _several(x: Any) -> list[Any]:
    """The inputs as a list."""
    return x if isinstance(x, list) else [x]


def _each(move: Any, x: Any) -> Any:
    """An input, or each of several, moved."""
    return [move(v) for v in x] if isinstance(x, list) else move(x)


# ---- the next batch --------------------------------------------------------------------------------------------------


class Ahead:
    """Arrays that are sent while a step computes: copying a batch can take as long as the step.

    Only from pinned memory, which the system does not move, can the GPU fetch an array by itself, so they are copied there
    first; and on a stream of its own, so that the step does not wait. What was sent is kept until the next is on its way, and
    its memory is used again for the one after that: by then the step that took it has been read.
    """

    def __init__(self) -> None:
        import cupy

        self.stream = cupy.cuda.Stream(non_blocking=True)
        self.sent: list[tuple[Any, Any, Any, Any]] = []  # (array here, pinned copy, array there, event: it has arrived)

    def send(self, x: Any) -> None:
        """Begin to copy an input, or each of several."""
        self.sent = [(a, *self._send(a)) for a in _several(x) if isinstance(a, np.ndarray) and a.size]

    def _send(self, a: np.ndarray) -> tuple[Any, Any, Any]:
        import cupy

        memory = cupy.cuda.alloc_pinned_memory(a.nbytes)
        pinned = np.frombuffer(memory, a.dtype, a.size).reshape(a.shape)
        pinned[...] = a
        with self.stream:
            there = cupy.empty(a.shape, a.dtype)
            there.set(pinned)
            return pinned, there, self.stream.record()

    def take(self, a: Any) -> Any:
        """The array there, if this one was sent, to be used on the stream of the computation; else the array itself."""
        for here, _, there, arrived in self.sent:
            if here is a:
                stream().wait_event(arrived)
                return there
        return a


@functools.cache
def ahead() -> Ahead:
    """The one of this process."""
    return Ahead()


# ---- one step --------------------------------------------------------------------------------------------------------


def train_step(model: Any, x: Any, batch: Any, watch: Any, meanwhile: Any = None) -> None:
    """One optimizer step on a batch whose x was checked. FloatingPointError, and nothing is changed, where it must not be.

    meanwhile: called when all launches of forward and backward are on their way.
    """
    with stream():
        step = _step_for(model, x, batch.y, batch.weight)
        step.run(x, batch.y, batch.weight)
        if meanwhile is not None:
            meanwhile()
        numbers = step.packet.read()
        step.raise_unless_finite(numbers)
        model.optimizer.apply_finite(step.gradients, step.trained)
        step.keep_statistics()
    watch.add_numbers(numbers, batch)


def _step_for(model: Any, x: Any, y: Any, weight: Any) -> Step:
    """The step for batches of this shape, made anew where the weights are no longer where it knows them."""
    arrays = (*_several(x), y, weight)
    key = tuple(None if a is None else (a.shape, str(a.dtype), on_device(a)) for a in arrays)
    step = model.steps.pop(key, None)
    if step is None or not step.fits():
        step = Step(model, x, y, weight)
    model.steps[key] = step  # the last used is the last in the dict
    while len(model.steps) > MOST_STEPS:
        del model.steps[next(iter(model.steps))]
    return step


class Step:
    """Forward, loss and backward of a model, for batches of one shape."""

    def __init__(self, model: Any, x: Any, y: Any, weight: Any):
        self.model, self.trained = model, model.trainable_weights
        self.known = [(w, w.data) for w in model.weights]  # a graph writes and reads where they lie
        self.x, self.weight = _each(_copied, x), _copied(weight)
        self.input_there, self.labels_there = on_device(_several(x)[0]), on_device(y)
        self.shape = self._shape_of_prediction()  # labels are checked against it, before there is a prediction
        self.y = _copied(self._prepared(y))
        self.fresh, self.runs, self.graph = Fresh(), 0, None
        self.gradients: list[Any] = []
        self.statistics: list[tuple[Any, Any]] = []  # (a weight that no gradient changes, what it becomes)

    def _shape_of_prediction(self) -> tuple[int, ...]:
        before = random.state()
        with no_grad():
            shape = self.model.prediction(self.x, training=False).shape
        random.load_state(before)  # nobody shall notice
        return shape

    def fits(self) -> bool:
        """Whether the model has the weights, where they were, that this step knows."""
        weights = self.model.weights
        same = len(weights) == len(self.known) and all(
            w is known and w.data is data for w, (known, data) in zip(weights, self.known, strict=True)
        )
        return same and [w for w in weights if w.requires_grad] == self.trained

    def run(self, x: Any, y: Any, weight: Any) -> None:
        """Launch everything; gradients and packet are there when it has run."""
        values = [*_several(x), self._prepared(y), weight]
        for buffer, value in zip([*_several(self.x), self.y, self.weight], values, strict=True):
            if buffer is not None:
                fill(buffer, ahead().take(value))
        self.runs += 1
        if self.runs == 2 and dispatch.may_capture():
            self._try_to_capture()
        if self.graph is None:
            self.fresh = Fresh()
            self._forward_and_backward()
        else:
            self.fresh.renew()
            self.graph.launch()

    def raise_unless_finite(self, numbers: dict[str, np.ndarray]) -> None:
        """FloatingPointError or ValueError that names what is not finite."""
        if self.input_there and not np.isfinite(numbers["input"]):
            raise ValueError("the input has NaN or infinite numbers; nothing was changed")
        if not np.isfinite(numbers["loss"]):
            raise FloatingPointError(f"loss is {numbers['loss']}")
        for w, total in zip(self.trained, numbers["gradients"], strict=True):
            if not np.isfinite(total):
                raise FloatingPointError(f"the gradient of {w.name} is not finite")

    def keep_statistics(self) -> None:
        """Moving averages take their new values, now that the step is known to be good."""
        for old, new in self.statistics:
            old[...] = new

    def _prepared(self, y: Any) -> Any:
        """Labels from here are checked and aligned here, those that are there in the step."""
        return y if self.labels_there else self.model.loss.prepare(y, self.shape)

    def _forward_and_backward(self) -> None:
        """What is captured: it reads nothing, and takes nothing from here but through `Fresh`."""
        for w in self.trained:
            w.grad = None
        with remembering(self.fresh):
            prediction = self.model.prediction(self.x, training=True)
        target = self.model.loss.prepare(self.y, self.shape) if self.labels_there else self.y
        loss = self.model.loss.compare(target, prediction, self.weight)
        loss.backward()
        self.gradients = [w.grad for w in self.trained]
        self.packet = Packet(self._numbers(loss, prediction))
        self.statistics = [(data, w.data) for w, data in self.known if w.data is not data]
        for w, data in self.known:
            w.data = data

    def _numbers(self, loss: Tensor, prediction: Tensor) -> dict[str, Any]:
        """What is to be read: all small, but for predictions and labels where metrics watch them."""
        sums = np.zeros(len(self.trained), loss.dtype, like=loss.data)
        for k, g in enumerate(self.gradients):
            if g is not None:
                sums[k] = g.sum()
        numbers = {"loss": loss.data, "gradients": sums}
        if self.input_there:
            numbers["input"] = sum(v.sum() for v in _several(self.x))
        return numbers | watched(self.model, prediction, self.y if self.labels_there else None, self.weight)

    def _try_to_capture(self) -> None:
        """Record the launches of the step; a warning says why where it cannot be."""
        before = random.state()
        try:
            self._capture()
            if random.state() != before:
                raise ValueError("its code draws random numbers (through tinydx.device.fresh_beside it could)")
        except Exception as error:  # of CuPy, of the driver, or of the model's own code
            self.graph = None
            random.load_state(before)
            reason = " ".join(str(error).split())
            warnings.warn(f"{self.model.name}: no CUDA graph of its step, it runs launch by launch: {reason}", stacklevel=2)

    def _capture(self) -> None:
        import cupy

        self.pool = cupy.cuda.MemoryPool()  # the graph's own: what lies between its launches is nobody else's memory
        self.fresh.again = iter(self.fresh.made)
        with cupy.cuda.using_allocator(self.pool.malloc):
            stream().begin_capture()
            try:
                self._forward_and_backward()
            except BaseException:
                with suppress(Exception):  # a capture that failed cannot be ended without another error
                    stream().end_capture()
                raise
            self.graph = stream().end_capture()


def _copied(a: Any) -> Any:
    """On the GPU in memory of its own, which is filled anew for each batch."""
    return None if a is None else to_device(a).copy()


def watched(model: Any, prediction: Tensor, y: Any, weight: Any) -> dict[str, Any]:
    """What the model's metrics need of what is on the GPU: nothing if there are none."""
    if not (model.metrics or model.weighted_metrics):
        return {}
    arrays = {"prediction": prediction.data, "mask": prediction.mask, "y": y, "weight": weight}
    return {name: a for name, a in arrays.items() if on_device(a)}
