"""The training loop: compile, fit, evaluate and predict, which every model has.

One step is: forward, loss, backward, update. Everything else here keeps that step honest: NaN is stopped before it
reaches the weights, batches are named by number and file, and the state of a run can be saved and taken up again.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tinydx import callbacks as cb
from tinydx import data, losses, metrics, optimizers, random
from tinydx.data import Batch
from tinydx.evaluation import positive_class
from tinydx.tensor import Tensor, no_grad


class Trainer:
    """What a model needs to be trained; `Model` is this and a layer."""

    optimizer: optimizers.Optimizer | None = None
    loss: losses.Loss | None = None
    metrics: list[metrics.Metric]
    stop_training = False
    class_names: list[str] | None = None  # by class number, from the training data
    preprocessing: dict[str, Any] | None = None  # how training images were read, for those to predict
    input_range: list[float] | None = None  # smallest and largest number seen in training

    # ---- compile ----

    def compile(self, optimizer: Any = "rmsprop", loss: Any = None, metrics: Iterable[Any] | None = None) -> None:
        """Choose how to train: an optimizer, a loss, and metrics to watch, by name or as objects.

        Raises ValueError for unknown names, with close matches.
        """
        from tinydx import metrics as known

        self.optimizer = optimizers.get(optimizer)
        self.loss = None if loss is None else losses.get(loss)
        if isinstance(metrics, str):
            raise ValueError(f"compile: metrics is {metrics!r}, expected a list: metrics=[{metrics!r}]")
        self.metrics = [known.get(m) for m in metrics or []]

    def _compiled(self, verb: str) -> tuple[optimizers.Optimizer, losses.Loss]:
        if self.optimizer is None or self.loss is None:
            raise RuntimeError(f"{verb}: call model.compile(optimizer=..., loss=...) first")
        return self.optimizer, self.loss

    # ---- one batch ----

    def train_on_batch(self, x: Any, y: Any, sample_weight: Any = None, class_weight: dict[int, float] | None = None) -> float:
        """One optimizer step on one batch; returns its loss, from before the step."""
        weight = _combined_weight(y, sample_weight, class_weight)
        loss, _ = self._train_step(Batch(data.as_arrays(x), np.asarray(y), weight), "this batch")
        return loss

    def predict_on_batch(self, x: Any) -> np.ndarray:
        """The outputs for one batch, as an array."""
        with no_grad():
            return _arrays(self(self._cast(data.as_arrays(x))))  # type: ignore[operator]

    def test_on_batch(self, x: Any, y: Any, sample_weight: Any = None) -> float:
        """The loss on one batch, without a step."""
        _, loss = self._compiled("test_on_batch")
        return float(loss(y, self(self._cast(data.as_arrays(x))), sample_weight))  # type: ignore[operator]

    def _train_step(self, batch: Batch, where: str) -> tuple[float, Any]:
        """Forward, loss, backward, update; weights stay untouched if the input or the loss is not finite."""
        optimizer, loss_of = self._compiled("fit")
        x = self._cast(batch.x)
        self._check_finite(x, batch, where)
        before = self._statistics()
        prediction = self(x, training=True)  # type: ignore[operator]
        loss = loss_of(batch.y, prediction, batch.weight)
        if not np.isfinite(loss.data):
            self._restore(before)
            raise FloatingPointError(
                f"loss is {loss.data} in {where}{_name_files(batch)}; the weights are unchanged: lower the learning rate, or check the labels"
            )
        loss.backward()
        optimizer.apply(self.trainable_weights)  # type: ignore[attr-defined]
        return float(loss.data), _arrays(prediction)

    def _statistics(self) -> list[tuple[Tensor, Any]]:
        """What a forward pass in training changes besides the tape: moving means and variances."""
        return [(w, w.data) for w in self.weights if not w.requires_grad]  # type: ignore[attr-defined]

    @staticmethod
    def _restore(statistics: list[tuple[Tensor, Any]]) -> None:
        for w, values in statistics:
            w.data = values

    def _check_finite(self, x: Any, batch: Batch, where: str) -> None:
        for part in x if isinstance(x, list) else [x]:
            if part.dtype.kind != "f" or not part.size:
                continue
            low, high = float(part.min()), float(part.max())  # NaN and infinities show up here, too
            if not (np.isfinite(low) and np.isfinite(high)):
                bad = [i for i in range(len(part)) if not np.isfinite(part[i]).all()]
                name = f", file {batch.files[bad[0]]}" if batch.files else f", example {bad[0]} of the batch"
                raise ValueError(f"the input has NaN or infinite numbers in {where}{name}; the weights are unchanged")
            self._seen = [min(self._seen[0], low), max(self._seen[1], high)]

    _seen = [np.inf, -np.inf]  # smallest and largest input of this fit

    def _cast(self, x: Any) -> Any:
        """Floating input in the model's dtype; integers only where the first layer takes ids."""
        if isinstance(x, list):
            return [self._cast(v) for v in x]
        x = np.asarray(x) if not hasattr(x, "dtype") else x
        if x.dtype.kind == "f":
            return x.astype(self.compute_dtype, copy=False)  # type: ignore[attr-defined]
        if x.dtype.kind in "iu" and self.takes_ids:  # type: ignore[attr-defined]
            return x
        raise TypeError(f"{self.name}: input is {x.dtype}: convert it, x.astype('float32') (images: / 255)")  # type: ignore[attr-defined]

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
        self._compiled("fit")
        weight = None if sample_weight is None else np.asarray(sample_weight)
        if validation_split:
            if not data.is_array(x):
                raise ValueError("validation_split needs arrays: give a generator's validation data as validation_data")
            split = data.split_off_validation(data.as_arrays(x), np.asarray(y), weight, validation_split)
            (x, y, weight), validation_data = split
        source = data.batches(x, y, weight, batch_size, shuffle)
        steps = _steps(source, steps_per_epoch, x)
        self._remember_source(x)
        history = cb.History()
        watchers = [history, *(callbacks or [])]
        if verbose and verbose != 0:
            watchers.append(cb.ProgressBar(one_line=verbose == 2))
        for w in watchers:
            w.model = self
        run = _Run(self, source, steps, watchers, class_weight)
        first = run.resume_from(resume) if resume and Path(resume).exists() else initial_epoch
        self.stop_training = False
        self._seen = [np.inf, -np.inf] if self.input_range is None else list(self.input_range)
        validation = _validation(validation_data, batch_size, validation_steps)
        try:
            run.call("on_train_begin", epochs, steps)
            for epoch in range(first, epochs):
                run.epoch(epoch, validation)
                self.input_range = self._seen if np.isfinite(self._seen[0]) else None
                if resume:
                    run.save(resume, epoch + 1)
                if self.stop_training:
                    break
        finally:
            run.call("on_train_end")
        return history

    def _remember_source(self, x: Any) -> None:
        """Class names and the way of reading come from the training data, so that predictions can use them."""
        if getattr(x, "class_indices", None):
            self.class_names = sorted(x.class_indices, key=x.class_indices.get)
        if getattr(x, "preprocessing", None):
            self.preprocessing = dict(x.preprocessing)

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
        logs = self._evaluate(data.batches(x, y, sample_weight, batch_size), steps)
        if verbose and verbose != 0:
            print(cb.format_logs(logs), flush=True)
        if return_dict:
            return logs
        return list(logs.values()) if len(logs) > 1 else logs["loss"]

    def _evaluate(self, source: Any, steps: int | None) -> dict[str, float]:
        _, loss_of = self._compiled("evaluate")
        watch = _Watch(self.metrics)
        source.reset()
        for step in range(_steps(source, steps, source)):
            batch = next(source)
            if batch.y is None:
                raise ValueError("evaluate needs labels: give y, or a generator of (x, y)")
            prediction = self(self._cast(batch.x))  # type: ignore[operator]
            loss = loss_of(batch.y, prediction, batch.weight)
            watch.add(float(loss.data), batch, _arrays(prediction))
            del prediction, loss  # before the next batch makes its own
        return watch.logs()

    def predict(self, x: Any, batch_size: int = 32, verbose: Any = 0, steps: int | None = None) -> np.ndarray:
        """The outputs for all of x (arrays, or a generator), as one array.

        Warns once if the numbers of x lie in another range than those of training, and if an output near 1 means the
        healthy class (class folders sort by name: abnormal = 0, normal = 1).
        """
        source = data.batches(x, batch_size=batch_size)
        source.reset()
        outputs, low, high = [], np.inf, -np.inf
        with no_grad():
            for _ in range(_steps(source, steps, x)):
                part = self._cast(next(source).x)
                if not isinstance(part, list) and part.size and part.dtype.kind == "f":
                    low, high = min(low, float(part.min())), max(high, float(part.max()))
                outputs.append(_arrays(self(part)))  # type: ignore[operator]
        self._warn_of_range(low, high)
        self._warn_of_meaning(outputs[0])
        return np.concatenate(outputs)

    def predict_classes(self, x: Any, batch_size: int = 32) -> list[str]:
        """The name of the most probable class of each example, by the training data's own class names.

        Raises ValueError where the model was not trained on class folders and `class_names` was not set.
        """
        if self.class_names is None:
            raise ValueError("predict_classes: the model has no class_names: set model.class_names = [name of class 0, ...]")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*means")  # names are given here, so nothing can be swapped
            p = self.predict(x, batch_size)
        classes = (p[:, 0] > 0.5).astype(int) if p.shape[1] == 1 else p.argmax(axis=1)
        return [self.class_names[c] for c in classes]

    def _warn_of_range(self, low: float, high: float) -> None:
        if self.input_range is None or not np.isfinite(low):
            return
        trained_low, trained_high = self.input_range
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


class _Watch:
    """The means of loss and metrics over the batches so far."""

    def __init__(self, watched: list[metrics.Metric]):
        self.loss, self.metrics = metrics.Mean("loss"), watched
        for m in watched:
            m.reset_state()

    def add(self, loss: float, batch: Batch, prediction: Any) -> None:
        self.loss.update_state(loss, len(prediction))
        for m in self.metrics:
            m.update_state(batch.y, prediction)

    def logs(self) -> dict[str, float]:
        return {"loss": self.loss.result(), **{m.name: m.result() for m in self.metrics}}


class _Run:
    """One call of fit: what is trained on, who watches, and what must be saved to go on later."""

    def __init__(self, model: Any, source: Any, steps: int, watchers: list[cb.Callback], class_weight: Any):
        self.model, self.source, self.steps, self.watchers = model, source, steps, watchers
        self.class_weight = class_weight

    def call(self, event: str, *arguments: Any) -> None:
        for w in self.watchers:
            getattr(w, event)(*arguments)

    def epoch(self, epoch: int, validation: Callable[[Any], dict[str, float]] | None) -> None:
        self.call("on_epoch_begin", epoch)
        watch = _Watch(self.model.metrics)
        for step in range(self.steps):
            batch = next(self.source)
            if batch.y is None:
                raise ValueError("fit needs labels: give y, or a generator of (x, y)")
            batch = batch._replace(weight=_combined_weight(batch.y, batch.weight, self.class_weight))
            loss, prediction = self.model._train_step(batch, f"batch {step + 1} of epoch {epoch + 1}")
            watch.add(loss, batch, prediction)
            self.call("on_batch_end", step, watch.logs())
        logs = watch.logs()
        if validation:
            logs |= {f"val_{name}": value for name, value in validation(self.model).items()}
        self.call("on_epoch_end", epoch, logs)

    def state(self, epoch: int) -> dict[str, Any]:
        """Everything besides the model and its optimizer that the rest of the run depends on."""
        watching = [w.state() for w in self.watchers if not isinstance(w, cb.ProgressBar)]
        return {"epoch": epoch, "random": random.state(), "data": self.source.state(), "callbacks": watching}

    def save(self, path: str | Path, epoch: int) -> None:
        from tinydx import saving

        saving.save_run(self.model, self.state(epoch), path)

    def resume_from(self, path: str | Path) -> int:
        """Take the state up again; returns the epoch to go on with."""
        from tinydx import saving

        state = saving.load_run(self.model, path)
        random.load_state(state["random"])
        self.source.load_state(state["data"])
        watching = [w for w in self.watchers if not isinstance(w, cb.ProgressBar)]
        if len(watching) != len(state["callbacks"]):
            raise ValueError(f"{path}: the run had {len(state['callbacks']) - 1} callbacks, now there are {len(watching) - 1}")
        for w, remembered in zip(watching, state["callbacks"], strict=True):
            w.load_state(remembered)
        return int(state["epoch"])


def _steps(source: Any, asked: int | None, given: Any) -> int:
    """Batches in an epoch; says once if the data must be looped to get there."""
    if asked is not None and asked < 1:
        raise ValueError(f"steps is {asked}, expected at least 1")
    if not hasattr(source, "__len__"):
        if asked is None:
            raise ValueError("a generator has no length: give steps_per_epoch (fit) or steps (evaluate, predict)")
        return asked
    if asked is not None and asked > len(source) and hasattr(given, "__len__"):
        print(f"The data has {len(source)} batches a pass; it is looped to make {asked} steps.", file=sys.stderr)
    return len(source) if asked is None else asked


def _validation(given: Any, batch_size: int | None, steps: int | None) -> Callable[[Any], dict[str, float]] | None:
    if given is None:
        return None
    source = data.batches(*given, batch_size=batch_size) if isinstance(given, tuple) else data.batches(given)
    return lambda model: model._evaluate(source, steps)


def _combined_weight(y: Any, weight: Any, class_weight: dict[int, float] | None) -> Any:
    if class_weight is None:
        return weight
    by_class = data.class_weights_of(y, class_weight)
    return by_class if weight is None else by_class * weight


def _arrays(prediction: Any) -> Any:
    return [p.data for p in prediction] if isinstance(prediction, list | tuple) else prediction.data


def _name_files(batch: Batch) -> str:
    return f" (files {', '.join(batch.files[:3])}{' ...' if len(batch.files) > 3 else ''})" if batch.files else ""
