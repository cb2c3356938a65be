"""The training loop: compile, fit, evaluate and predict, which every model has.

One step is: forward, loss, backward, update. Everything else here keeps that step honest: NaN is stopped before it
reaches the weights, batches are named by number and file, and the state of a run can be saved and taken up again.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np

from tinydx import callbacks as cb
from tinydx import losses, optimizers, random
from tinydx.device import Packet, on_device
from tinydx.evaluation import positive_class
from tinydx.layers.base import Layer
from tinydx.metrics import Mean, Metric
from tinydx.metrics import get as get_metric
from tinydx.tensor import Tensor, no_grad
from tinydx.training import data, gpu
from tinydx.training.data import Batch


class Trainer(Layer):
    """A layer that can be trained: what every `Model` is."""

    optimizer: optimizers.Optimizer | None = None
    loss: losses.Loss | None = None
    metrics: list[Metric] = []
    weighted_metrics: list[Metric] = []
    asked_metrics: tuple[list[Any], list[Any]] = ([], [])  # both, as they were given to compile
    stop_training = False  # a callback sets this to end training after the batch or epoch
    class_names: list[str] | None = None  # by class number, from the training data
    preprocessing: dict[str, Any] | None = None  # how training images were read, for those to predict
    steps: dict[Any, gpu.Step]  # on a GPU, by the shape of their batches
    input_range: list[float] | None = None  # smallest and largest number seen in training

    # ---- compile ----

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        metrics: Iterable[Any] | None = None,
        weighted_metrics: Iterable[Any] | None = None,
    ) -> None:
        """Choose how to train: an optimizer, a loss, and metrics to watch, by name or as objects.

        `weighted_metrics` weigh examples by sample_weight and class_weight, `metrics` count all alike (as in Keras).
        Raises ValueError for unknown names, with close matches.
        """
        for argument, given in (("metrics", metrics), ("weighted_metrics", weighted_metrics)):
            if isinstance(given, str):
                raise ValueError(f"compile: {argument} is {given!r}, expected a list: {argument}=[{given!r}]")
        asked = list(metrics or []), list(weighted_metrics or [])
        watched, weighted = [get_metric(m) for m in asked[0]], [get_metric(m) for m in asked[1]]
        names = ["loss", *(m.name for m in watched + weighted)]
        twice = [n for n in names if names.count(n) > 1]
        if twice:
            raise ValueError(f"compile: two numbers are called {twice[0]!r}: give one metric another name=")
        self.optimizer, self.loss = optimizers.get(optimizer), None if loss is None else losses.get(loss)
        self.metrics, self.weighted_metrics, self.asked_metrics = watched, weighted, asked
        self.steps = {}

    def _compiled(self) -> tuple[optimizers.Optimizer, losses.Loss]:
        if self.optimizer is None or self.loss is None:
            raise RuntimeError(f"{self.name} is not compiled: call model.compile(optimizer=..., loss=...) first")
        return self.optimizer, self.loss

    @property
    def compute_dtype(self) -> np.dtype:
        """The dtype that input is brought to: the weights', or float32 before there are any."""
        first = (w.dtype for layer in self.all_layers() for w, _ in layer._own)  # asked for every batch: only one is looked at
        return next(first, self.dtype or np.dtype("float32"))

    # ---- one batch ----

    def train_on_batch(self, x: Any, y: Any, sample_weight: Any = None, class_weight: dict[int, float] | None = None) -> Any:
        """One optimizer step on one batch; returns its loss from before the step, or [loss, metric, ...]."""
        watch = _Watch(self)
        weight = data.combined_weight(y, data.as_labels(sample_weight), class_weight)
        self._train_step(Batch(data.as_arrays(x), data.as_labels(y), weight), "this batch", watch)
        return _flat(watch.logs())

    def test_on_batch(self, x: Any, y: Any, sample_weight: Any = None) -> Any:
        """The loss on one batch, or [loss, metric, ...], without a step."""
        watch = _Watch(self)
        self._test_step(Batch(data.as_arrays(x), data.as_labels(y), data.as_labels(sample_weight)), "this batch", watch)
        return _flat(watch.logs())

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for one batch, as an array (a list of arrays for several outputs)."""
        return self._predict(self._input(Batch(data.as_arrays(x)), "this batch")[0])

    def _predict(self, x: Any) -> Any:
        """The outputs for an input that was checked: an array here, or a list of them."""
        with no_grad(), gpu.placed(self, x) as x:
            y = self(x)
            return [p.numpy() for p in y] if isinstance(y, list | tuple) else y.numpy()

    def _train_step(self, batch: Batch, where: str, watch: _Watch, meanwhile: Callable[[], None] | None = None) -> None:
        """Forward, loss, backward, update; nothing in the model changes if any of it fails.

        meanwhile: what to do while a GPU computes; nothing is done in between here.
        """
        self._compiled()
        if batch.y is None:
            raise ValueError("there are no labels: give y, or a generator of (x, y)")
        x, reach = self._input(batch, where)
        self.ensure_built(_shape(x))
        weights = self.trainable_weights
        statistics = [(w, w.data) for w in self.weights if not w.requires_grad]
        for w in weights:
            w.grad = None  # a weight that this batch does not use gets no step
        try:
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # what comes of them is caught here
                if gpu.settle(self, x):
                    gpu.train_step(self, x, batch, watch, meanwhile)
                else:
                    self._step_here(x, batch, weights, watch)
        except BaseException as error:
            for w, values in statistics:
                w.data = values
            if isinstance(error, FloatingPointError):
                advice = "no weight was changed: lower the learning rate, or check the labels"
                raise FloatingPointError(f"{error} in {where}{_name_files(batch.files)}; {advice}") from None
            raise
        if not isinstance(x, list):
            self.input_range = _widened(self.input_range, reach)

    def _step_here(self, x: Any, batch: Batch, weights: list[Tensor], watch: _Watch) -> None:
        optimizer, loss_of = self._compiled()
        prediction = self.prediction(x, training=True)
        loss = loss_of(batch.y, prediction, batch.weight)
        if not np.isfinite(loss.data):
            raise FloatingPointError(f"loss is {loss.data}")
        watch.add(float(loss.data), batch, prediction.data, prediction.mask)
        loss.backward()
        optimizer.apply([w.gradient for w in weights], weights)

    def _test_step(self, batch: Batch, where: str, watch: _Watch) -> None:
        _, loss_of = self._compiled()
        if batch.y is None:
            raise ValueError("there are no labels: give y, or a generator of (x, y)")
        with gpu.placed(self, self._input(batch, where)[0]) as x:
            prediction = self.prediction(x, training=False)
            loss = loss_of(batch.y, prediction, batch.weight)
            if on_device(loss.data):
                numbers = Packet({"loss": loss.data, **gpu.watched(self, prediction, batch.y, batch.weight)}).read()
                watch.add_numbers(numbers, batch)
            else:
                watch.add(float(loss.data), batch, prediction.data, prediction.mask)

    def prediction(self, x: Any, training: bool) -> Tensor:
        """The model's one output, which a loss can be taken of."""
        prediction = self(x, training=training)
        if isinstance(prediction, list):
            raise ValueError(f"{self.name} has {len(prediction)} outputs, a loss takes one: train a Model of that one")
        return prediction

    def _input(self, batch: Batch, where: str) -> tuple[Any, list[float] | None]:
        """The batch's x in the model's dtype, and from where to where it reaches (None without floating numbers).

        Raises ValueError naming batch and file where a number is not finite; numbers on a GPU are not looked at yet.
        """
        x = [self._cast(v) for v in batch.x] if isinstance(batch.x, list) else self._cast(batch.x)
        reach = None
        for part in x if isinstance(x, list) else [x]:
            if part.size and part.dtype.kind == "f" and not on_device(part):
                ends = [float(part.min()), float(part.max())]
                if not np.isfinite(ends).all():
                    bad = next(i for i in range(len(part)) if not np.isfinite(part[i]).all())
                    name = f", file {batch.files[bad]}" if batch.files else f", example {bad} of the batch"
                    raise ValueError(f"the input has NaN or infinite numbers in {where}{name}; nothing was changed")
                reach = _widened(reach, ends)
        return x, reach

    def _cast(self, x: Any) -> Any:
        """Floating input in the model's dtype; integers only where a layer takes ids."""
        if x.dtype.kind == "f":
            return x.astype(self.compute_dtype, copy=False)
        if x.dtype.kind in "iu" and self.takes_ids:
            return x
        raise TypeError(f"{self.name}: input is {x.dtype}: convert it, x.astype('float32') (images: / 255)")

    # ---- fit ----

    def fit(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Iterable[cb.Callback] | None = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: dict[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        resume: str | Path | None = None,
    ) -> cb.History:
        """Train for some epochs.

        Arguments: x, y, arrays with one entry an example, or x alone as a generator of (x, y) or (x, y, sample_weight)
        batches; batch_size for arrays (32); validation_data, (x, y) or a generator, or validation_split, the last share
        of the arrays, evaluated after each epoch; class_weight, {class: weight}; steps_per_epoch, batches in an epoch
        (default: one pass; if the data is shorter it is looped); verbose 0 silent, 1 a bar, 2 one line an epoch;
        resume, a file that keeps the state of the run: written after each epoch, and if it is there already,
        training goes on from it to the same weights as if it had never stopped.

        Returns a History: `.history["loss"]` and so on, one number an epoch, means weighted by batch size.
        Raises ValueError for data that cannot be trained on, and for NaN before any weight is touched.
        """
        self._compiled()
        weight = data.as_labels(sample_weight)
        if validation_split:
            if not data.is_array(x):
                raise ValueError("validation_split needs arrays: give a generator's validation data as validation_data")
            arrays = data.as_arrays(x), data.as_labels(y), weight
            (x, y, weight), validation_data = data.split_off_validation(*arrays, validation_split)
        source = data.batches(x, y, weight, batch_size, shuffle)
        validation = None if validation_data is None else _validation_source(validation_data, batch_size)
        self._remember_source(x)
        if validation_data is not None:
            self._check_classes(validation_data)
        verbose = 1 if verbose == "auto" else verbose
        params = {"epochs": epochs, "steps": _steps(source, steps_per_epoch), "verbose": verbose}
        run = _Run(self, source, validation, validation_steps, class_weight, params, callbacks)
        return run.train(range(initial_epoch, epochs), resume)

    def _remember_source(self, x: Any) -> None:
        """Class names and the way of reading come from the training data, so that predictions can use them."""
        if getattr(x, "class_indices", None):
            self.class_names = _class_names(x)
        if getattr(x, "preprocessing", None):
            self.preprocessing = dict(x.preprocessing)

    def _check_classes(self, x: Any) -> None:
        """ValueError where a generator numbers its classes in another way than the training data."""
        if getattr(x, "class_indices", None) and self.class_names and _class_names(x) != self.class_names:
            raise ValueError(f"the data has the classes {_class_names(x)}, the model was trained on {self.class_names}")

    # ---- evaluate and predict ----

    def evaluate(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        return_dict: bool = False,
    ) -> Any:
        """The loss and metrics on data: [loss, metric, ...], the loss alone without metrics, or a dict.

        Arguments as fit; weights stay as they are.
        """
        self._check_classes(x)
        logs = self._evaluate(data.batches(x, y, sample_weight, batch_size), steps)
        if verbose:
            print(cb.format_logs(logs), flush=True)
        return logs if return_dict else _flat(logs)

    def _evaluate(self, source: Any, steps: int | None) -> dict[str, Any]:
        watch = _Watch(self)
        source.reset()
        for step in range(_steps_of_pass(source, steps)):
            self._test_step(next(source), f"batch {step + 1} of the evaluation", watch)
        return watch.logs()

    def predict(self, x: Any, batch_size: int = 32, verbose: Any = 0, steps: int | None = None) -> Any:
        """The outputs for all of x (arrays, or a generator), as one array (a list of them for several outputs).

        Warns once if the numbers of x lie in another range than those of training, and if an output near 1 means the
        healthy class (class folders sort by name: abnormal = 0, normal = 1).
        """
        source = data.batches(x, batch_size=batch_size)
        source.reset()
        outputs, reach = [], None
        for step in range(_steps_of_pass(source, steps)):
            part, ends = self._input(next(source), f"batch {step + 1} of the prediction")
            reach = reach if isinstance(part, list) else _widened(reach, ends)
            outputs.append(self._predict(part))
        self._warn_of_range(reach)
        if isinstance(outputs[0], list):
            return [np.concatenate(parts) for parts in zip(*outputs, strict=True)]
        self._warn_of_meaning(outputs[0])
        return np.concatenate(outputs)

    def predict_classes(self, x: Any, batch_size: int = 32) -> list[str]:
        """The name of the most probable class of each example, by the training data's own class names.

        Raises ValueError where the model was not trained on class folders and `class_names` was not set.
        """
        if self.class_names is None:
            raise ValueError("predict_classes: the model has none: set model.class_names = [name of class 0, ...]")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*means")  # names are given here, so nothing can be swapped
            p = self.predict(x, batch_size)
        classes = (p[:, 0] > 0.5).astype(int) if p.shape[1] == 1 else p.argmax(axis=1)
        if max(2, p.shape[1]) != len(self.class_names):
            raise ValueError(f"predict_classes: {p.shape[1]} outputs do not fit {len(self.class_names)} class_names")
        return [self.class_names[c] for c in classes]

    def _warn_of_range(self, reach: list[float] | None) -> None:
        if self.input_range is None or reach is None:
            return
        (low, high), (trained_low, trained_high) = reach, self.input_range
        span = max(trained_high - trained_low, 1e-12)
        if high > trained_high + span or low < trained_low - span or (trained_high > 10 and high <= 1):
            warnings.warn(
                f"the input reaches from {low:.4g} to {high:.4g}, but the model was trained on {trained_low:.4g} to"
                f" {trained_high:.4g}: rescale it as in training",
                stacklevel=3,
            )

    def _warn_of_meaning(self, output: np.ndarray) -> None:
        names = self.class_names
        if names and len(names) == 2 and output.ndim == 2 and output.shape[1] == 1 and positive_class(names) == 0:
            warnings.warn(
                f"an output near 1 means {names[1]!r}, near 0 {names[0]!r} (class folders sort by name):"
                " model.predict_classes(x) gives the names",
                stacklevel=3,
            )


def _widened(some: list[float] | None, other: list[float] | None) -> list[float] | None:
    """The range [low, high] that holds both."""
    if some is None or other is None:
        return some or other
    return [min(some[0], other[0]), max(some[1], other[1])]


class _Watch:
    """The means of loss and metrics over the batches so far."""

    def __init__(self, model: Any):
        self.loss, self.metrics, self.weighted = Mean("loss"), model.metrics, model.weighted_metrics
        for m in [*self.metrics, *self.weighted]:
            m.reset_state()

    def add(self, loss: float, batch: Batch, pred: Any, real: Any = None) -> None:
        """Note a batch: its loss, what was predicted, and the mask of real time steps (N,T), if there is one."""
        self.loss.update_state(loss, len(batch.x[0] if isinstance(batch.x, list) else batch.x))
        true, weight = batch.y, batch.weight
        if real is not None and pred.ndim > 2:  # padded time steps do not count
            weight = None if weight is None else np.broadcast_to(weight.reshape(len(pred), -1), real.shape)[real]
            true, pred = true[real], pred[real]
        for m in self.metrics:
            m.update_state(true, pred)
        for m in self.weighted:
            m.update_state(true, pred, weight)

    def add_numbers(self, numbers: dict[str, np.ndarray], batch: Batch) -> None:
        """Note a batch by what a packet brought of it."""
        batch = batch._replace(y=numbers.get("y", batch.y), weight=numbers.get("weight", batch.weight))
        self.add(float(numbers["loss"]), batch, numbers.get("prediction"), numbers.get("mask"))

    def logs(self) -> dict[str, Any]:
        return {m.name: m.result() for m in [self.loss, *self.metrics, *self.weighted]}


class _Run:
    """One call of fit: what is trained on, who watches, and what must be saved to go on later."""

    def __init__(
        self,
        model: Any,
        source: Any,
        validation: Any,
        validation_steps: int | None,
        class_weight: dict[int, float] | None,
        params: dict[str, Any],
        callbacks: Any,
    ):
        self.model, self.source, self.class_weight, self.params = model, source, class_weight, params
        self.validation, self.validation_steps = validation, validation_steps
        self.waiting: Future[Batch] | None = None  # the next batch, or why there is none, if it was fetched already
        given = [callbacks] if isinstance(callbacks, cb.Callback) else list(callbacks or [])
        for c in given:
            cb.check(c)
        self.history, self.bar = cb.History(), cb.ProgressBar()
        self.lasting = [*given, self.history]  # those with a state worth saving
        self.callbacks = [*self.lasting, self.bar] if params["verbose"] else self.lasting
        for c in self.callbacks:
            c.model, c.params = model, params

    def train(self, epochs: range, resume: str | Path | None) -> cb.History:
        """Every epoch, or those that are left of a run that was saved at `resume`."""
        saved = self.read(resume) if resume and Path(resume).exists() else None
        if resume and not Path(resume).parent.is_dir():
            raise FileNotFoundError(f"resume={str(resume)!r}: its folder does not exist, create it first")
        self.model.stop_training = False
        try:
            self.call("on_train_begin")
            if saved:
                epochs = range(self.take_up(saved), epochs.stop)
            for epoch in epochs:
                if self.model.stop_training:
                    break
                self.epoch(epoch)
                if resume:
                    self.save(resume, epoch + 1)
            self.call("on_train_end")
        finally:
            self.bar.close()
            gpu.free()
        return self.history

    def call(self, event: str, *arguments: Any) -> None:
        for c in self.callbacks:
            getattr(c, event)(*arguments)

    def epoch(self, epoch: int) -> None:
        self.call("on_epoch_begin", epoch)
        watch = _Watch(self.model)
        for step in range(self.params["steps"]):
            self.call("on_train_batch_begin", step)
            batch = self.waiting.result() if self.waiting else self.fetch()
            self.waiting = None
            ahead = self.fetch_ahead if step + 1 < self.params["steps"] else None
            self.model._train_step(batch, f"batch {step + 1} of epoch {epoch + 1}", watch, ahead)
            self.call("on_train_batch_end", step, watch.logs())
            if self.model.stop_training:
                break
        logs = watch.logs()
        if self.validation:
            checked = self.model._evaluate(self.validation, self.validation_steps)
            logs |= {f"val_{name}": value for name, value in checked.items()}
        self.call("on_epoch_end", epoch, logs)

    def fetch(self) -> Batch:
        """The next batch, with the weights of its examples."""
        batch = next(self.source)
        return batch._replace(weight=data.combined_weight(batch.y, batch.weight, self.class_weight))

    def fetch_ahead(self) -> None:
        """Fetch the next batch while a step runs, and send it to the GPU; an error is for when its turn comes."""
        self.waiting = Future()
        try:
            batch = self.fetch()
            gpu.ahead().send(batch.x)
            self.waiting.set_result(batch)
        except Exception as error:
            self.waiting.set_exception(error)

    # ---- what a killed run needs to go on ----

    def save(self, path: str | Path, epoch: int) -> None:
        from tinydx import saving

        state = {
            "epoch": epoch,
            "stopped": self.model.stop_training,
            "random": random.state(),
            "data": self.source.state(),
            "validation": self.validation.state() if self.validation else None,
            "callbacks": [{"class": type(c).__name__, "state": c.state()} for c in self.lasting],
        }
        saving.save_run(self.model, state, path)

    def read(self, path: str | Path) -> Any:
        """What `save` wrote, if it fits this run: model, callbacks and data; only the data is put where it was."""
        from tinydx import saving

        saved = saving.read_run(self.model, path)
        was, now = [c["class"] for c in saved.state["callbacks"]], [type(c).__name__ for c in self.lasting]
        if was != now:
            raise ValueError(f"{path}: the run had the callbacks {was[:-1]}, now there are {now[:-1]}")
        self.source.load_state(saved.state["data"])
        if self.validation and saved.state["validation"]:
            self.validation.load_state(saved.state["validation"])
        return saved

    def take_up(self, saved: Any) -> int:
        """Put everything where it was; returns the epoch to go on with."""
        state = saved.state
        saved.load_model()
        for c, remembered in zip(self.lasting, state["callbacks"], strict=True):
            c.load_state(remembered["state"])
        random.load_state(state["random"])
        self.model.stop_training = state["stopped"]
        return state["epoch"]


def _steps(source: Any, asked: int | None) -> int:
    """Batches in an epoch of training; says if the data must be looped to get there."""
    if asked is not None and asked < 1:
        raise ValueError(f"steps_per_epoch is {asked}, expected at least 1")
    if not hasattr(source, "__len__"):
        if asked is None:
            raise ValueError("a generator has no length: give steps_per_epoch")
        return asked
    if asked is not None and asked > len(source):
        print(f"The data has {len(source)} batches a pass; it is looped to make {asked} steps.", file=sys.stderr)
    return len(source) if asked is None else asked


def _steps_of_pass(source: Any, asked: int | None) -> int:
    """Batches to evaluate or predict: all, or fewer if asked for; no example is counted twice."""
    if not hasattr(source, "__len__"):
        if asked is None:
            raise ValueError("a generator has no length: give steps (validation_steps in fit)")
        return asked
    return len(source) if asked is None else min(asked, len(source))


def _validation_source(given: Any, batch_size: int | None) -> Any:
    if isinstance(given, list) and data.is_array(given):
        given = tuple(given)
    if not isinstance(given, tuple):
        return data.batches(given)
    x, y, weight = (*given, None, None)[:3]
    return data.batches(x, y, weight, batch_size)


def _class_names(iterator: Any) -> list[str]:
    return sorted(iterator.class_indices, key=iterator.class_indices.get)


def _shape(x: Any) -> Any:
    return [v.shape for v in x] if isinstance(x, list) else x.shape


def _flat(logs: dict[str, Any]) -> Any:
    """[loss, metric, ...], or the loss alone."""
    return list(logs.values()) if len(logs) > 1 else logs["loss"]


def _name_files(files: list[str] | None) -> str:
    return f" (files {', '.join(files[:3])}{' ...' if len(files) > 3 else ''})" if files else ""
