"""What every model can do with data: compile, fit, evaluate and predict, and the same for a single batch.

NaN and infinite numbers are stopped before they reach the weights, and an error names the batch and its files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from tinydx import callbacks as cb
from tinydx import distributed, losses, optimizers, rehearsal
from tinydx.keras_words import ATTRIBUTES, missing_attribute
from tinydx.layers.base import Layer, is_training
from tinydx.layers.quantized import expect_floats
from tinydx.metrics import Metric
from tinydx.metrics import get as get_metric
from tinydx.settings import checked, number, one_of, weights, whole
from tinydx.tensor import Tensor, no_grad, recording
from tinydx.training import data, placement, weighting
from tinydx.training.data import Batch
from tinydx.training.graph import GraphStep, step_for
from tinydx.training.inputs import (
    Range,
    checked_input,
    surely_finite,
    warn_of_augmentation,
    warn_of_meaning,
    warn_of_order,
    warn_of_range,
    widened,
)
from tinydx.training.loop import Run, Sources, epoch_length, pass_length
from tinydx.training.meaning import check_answer, warn_of_counted_class, warn_of_nan
from tinydx.training.plan import Plan
from tinydx.training.planned import Known, PlannedStep, are_arrays, known, outputs_of, predicted, predicting, tensors_of
from tinydx.training.rehearsing import rehearse_step
from tinydx.training.running_means import RunningMeans
from tinydx.training.step import evaluate_batch


class Trainer(Layer):
    """A layer that can be trained; every `Model` is one."""

    optimizer: optimizers.Optimizer | None = None
    loss: losses.Loss | None = None
    metrics: list[Metric] = []
    weighted_metrics: list[Metric] = []
    asked_metrics: tuple[list[Any], list[Any]] = ([], [])  # both lists as compile got them
    stop_training = False  # a callback sets this to end training after the batch or epoch
    class_names: list[str] | None = None  # by class number, from the training data
    preprocessing: dict[str, Any] | None = None  # how training images were read; images to predict are read the same way
    gpu_steps: dict[Any, GraphStep]  # on a GPU, by the shape of their batches
    input_range: Range = None  # of the numbers seen in training
    _known: Known | None = None  # what its plans rest on

    def __getattr__(self, name: str) -> Any:
        return missing_attribute(self, name, ATTRIBUTES)

    # ---- compile ----

    @checked
    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        metrics: Iterable[Any] | None = None,
        weighted_metrics: Iterable[Any] | None = None,
    ) -> None:
        """Choose how to train.

        Arguments: optimizer, loss and metrics, by name or as objects; weighted_metrics, which weight examples by
        sample_weight and class_weight, as `metrics` do not (as in Keras).
        Raises: ValueError for an unknown name, with close matches, and for two metrics of one name.
        """
        for argument, given in (("metrics", metrics), ("weighted_metrics", weighted_metrics)):
            if given is not None and not isinstance(given, list | tuple):
                shown = repr(given) if isinstance(given, str) else getattr(given, "__name__", type(given).__name__)
                raise ValueError(f"compile: {argument} is {shown}, expected a list: {argument}=[{shown}]")
        asked = list(metrics or []), list(weighted_metrics or [])
        watched, weighted = [get_metric(m) for m in asked[0]], [get_metric(m) for m in asked[1]]
        names = ["loss", *(m.name for m in watched + weighted)]
        twice = [n for n in names if names.count(n) > 1]
        if twice:
            raise ValueError(f"compile: two numbers are called {twice[0]!r}: give one metric another name=")
        self.optimizer, self.loss = optimizers.get(optimizer), None if loss is None else losses.get(loss)
        self.metrics, self.weighted_metrics, self.asked_metrics = watched, weighted, asked
        self.gpu_steps = {}

    def _compiled(self) -> tuple[optimizers.Optimizer, losses.Loss]:
        if self.optimizer is None or self.loss is None:
            raise RuntimeError(f"{self.name} is not compiled: call model.compile(optimizer=..., loss=...) first")
        return self.optimizer, self.loss

    @property
    def compute_dtype(self) -> np.dtype:
        """The dtype that input is cast to: the weights', or float32 before there are any."""
        first = (w.dtype for layer in self.all_layers() for w, _ in layer._own)  # lazy, since every batch asks
        return next(first, self.dtype or np.dtype("float32"))

    # ---- calls ----

    def __call__(self, x: Any, training: bool | None = None, **keywords: Any) -> Any:
        """The outputs for x, as of a Layer; inside `with no_grad():` by a plan, if there is one (`tinydx.training.planned`)."""
        if recording.get() is False and not (training or keywords or is_training()) and are_arrays(x):
            found = predicted(self, x)
            if found is not None:
                return tensors_of(*found)
        return super().__call__(x, training, **keywords)

    def plan(self, shape: Any) -> Plan:
        """The calls by which predictions for inputs of that shape are computed: `print(model.plan((1, 784)))` shows them.

        Arguments: shape of the input, batch axis first, or a list of them.
        Raises: ValueError where there is no plan, with what the model does beside calling ops.

        >>> from tinydx.layers import Dense
        >>> from tinydx.models import Sequential
        >>> model = Sequential([Dense(8, activation="relu", input_shape=(4,)), Dense(1, activation="sigmoid")])
        >>> print(model.plan((1, 4)))  # doctest: +SKIP
        call   op           implementation   takes                               gives    bytes
        #0     dense_relu   numba            input 0, dense/kernel, dense/bias   (1, 8)   32
        #1     dense        numba            #0, dense_1/kernel, dense_1/bias    (1, 1)   4
        #2     sigmoid      numba            #1                                  (1, 1)   4
        """
        return predicting(self, shape)

    # ---- one batch ----

    def train_on_batch(self, x: Any, y: Any, sample_weight: Any = None, class_weight: dict[int, float] | None = None) -> Any:
        """One optimizer step on one batch; returns its loss from before the step, or [loss, metric, ...]."""
        if known(self).problem:  # else it has none that are quantized
            expect_floats(self, self.name)
        means = RunningMeans(self)
        weight = weighting.combined_weight(y, weights("sample_weight", data.as_labels(sample_weight)), class_weight)
        batch = distributed.share(Batch(data.as_arrays(x), data.as_labels(y), weight))
        self.train_on(batch, "this batch", means)
        return _flat(means.logs())

    def test_on_batch(self, x: Any, y: Any, sample_weight: Any = None) -> Any:
        """The loss on one batch, or [loss, metric, ...], without a step."""
        means = RunningMeans(self)
        weight = weights("sample_weight", data.as_labels(sample_weight))
        self.test_on(Batch(data.as_arrays(x), data.as_labels(y), weight), "this batch", means)
        return _flat(means.logs())

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for one batch, as an array (a list of arrays for several outputs): the shortest way to a prediction."""
        x = data.as_arrays(x)
        if surely_finite(x) and (found := predicted(self, x, make=False)) is not None:
            return outputs_of(*found)
        return self._predict(checked_input(self, Batch(x), "this batch")[0])

    def _predict(self, x: Any) -> Any:
        """The outputs for a checked input: an array on the CPU, or a list of them."""
        with no_grad(), placement.on_same_device(self, x) as x:
            y = self(x)
            return [p.numpy() for p in y] if isinstance(y, list | tuple) else y.numpy()

    def train_on(self, batch: Batch, where: str, means: RunningMeans, meanwhile: Callable[[], None] | None = None) -> None:
        """One optimizer step on a batch; after any error the model is unchanged.

        Arguments: batch; where, which batch this is, for messages; means, which the loss and metrics are added to;
        meanwhile, called while a GPU computes, and not at all on the CPU.
        """
        self._check_ready(batch)
        x, values = checked_input(self, batch, where)
        on_gpu = placement.move_to_device(self, x)
        try:
            # NaN and infinite numbers raise below, so NumPy's warnings would only repeat that
            with (
                placement.computing() if on_gpu else nullcontext(),
                np.errstate(over="ignore", invalid="ignore", divide="ignore"),
            ):
                step = step_for(self, x, batch.y, batch.weight) if on_gpu else PlannedStep(self)
                with nullcontext() if on_gpu else rehearsal.of(lambda: rehearse_step(self, x, batch)):
                    step.take(x, batch, means, meanwhile if on_gpu else None)
        except FloatingPointError as error:
            advice = "no weight was changed: lower the learning rate, or check the labels"
            raise FloatingPointError(f"{error} in {where}{_files(batch.whole or batch)}; {advice}") from None
        if not isinstance(x, list):
            seen = widened(self.input_range, values)
            if seen != self.input_range:  # setting an attribute ends what is known of the model
                self.input_range = seen

    def test_on(self, batch: Batch, where: str, means: RunningMeans) -> None:
        """Add the loss and metrics of a batch to the means, without a step; arguments as `train_on`."""
        self._check_ready(batch)
        evaluate_batch(self, checked_input(self, batch, where)[0], batch, means)

    def _check_ready(self, batch: Batch) -> None:
        """RuntimeError where the model is not compiled, ValueError where the batch has no labels."""
        self._compiled()
        if batch.y is None:
            raise ValueError("there are no labels: give y, or a generator of (x, y)")

    def prediction(self, x: Any, training: bool) -> Tensor:
        """The model's one output, of which a loss can be computed."""
        with distributed.own_numbers(self.optimizer.iterations) if training and self.optimizer else nullcontext():
            prediction = self(x, training=training)
        if isinstance(prediction, list):
            raise ValueError(f"{self.name} has {len(prediction)} outputs, a loss takes one: train a Model of that one")
        return prediction

    # ---- fit ----

    @checked
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
        *,
        shuffle: bool = True,
        class_weight: dict[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        resume: str | Path | None = None,
    ) -> cb.History:
        """Train for some epochs. After validation_data all arguments are given by name.

        Arguments: x, y, arrays with one entry per example, or x alone as a generator of (x, y) or (x, y, sample_weight)
        batches; batch_size for arrays (32); epochs; verbose 0 silent, 1 a progress bar, 2 one line per epoch; callbacks;
        validation_data, (x, y) or a generator, or validation_split, the last share of the arrays, evaluated after each epoch;
        shuffle, whether arrays are shuffled before each epoch; class_weight, {class: weight}; sample_weight, one weight per
        example; initial_epoch, the number of the first epoch; steps_per_epoch, batches in an epoch (default: one pass;
        shorter data is looped); validation_steps, batches of the validation (default: all); resume, a file that keeps the
        state of the run: written after each epoch, and if it exists already, training continues from it to the same
        weights as if it had never stopped. With an optimizer of use_ema the weights become their averages when training ends;
        during training, and in the resume file, they are not averaged yet.
        Returns: a History; `.history["loss"]` has one number per epoch, the mean over all examples.
        Raises: ValueError for data or settings that do not fit, and where the run to resume was begun with others; ValueError or
        FloatingPointError for NaN and infinite numbers, before any weight changes; FloatingPointError where the last step of
        an epoch left weights that are not finite.
        """
        self._compiled()
        expect_floats(self, self.name)
        epochs, initial_epoch = whole("epochs", epochs, at_least=0), whole("initial_epoch", initial_epoch, at_least=0)
        if initial_epoch > epochs:
            raise ValueError(f"initial_epoch is {initial_epoch}, epochs {epochs}: epochs is the number of the last epoch")
        weight = data.as_labels(sample_weight)
        if number("validation_split", validation_split, at_least=0, below=1):
            if validation_data is not None:
                raise ValueError(f"validation_split={validation_split} and validation_data are given, expected one of them")
            if not data.is_array(x):
                raise ValueError("validation_split needs arrays: give a generator's validation data as validation_data")
            arrays = data.as_arrays(x), data.as_labels(y), weight
            (x, y, weight), validation_data = data.split_off_validation(*arrays, validation_split)
        training = data.batches(x, y, weight, batch_size, shuffle)
        validation = None if validation_data is None else _validation_source(validation_data, batch_size)
        if validation_data is not None:
            self._check_classes(validation_data, _class_names(x) or self.class_names)
            warn_of_augmentation(validation_data, "validation_data")
        warn_of_counted_class(self, _class_names(x) or self.class_names)
        verbose = 1 if expect_verbose(verbose) == "auto" else verbose
        params = {"epochs": epochs, "steps": epoch_length(training, steps_per_epoch), "verbose": verbose}
        run = Run(self, Sources(training, validation, validation_steps), params, callbacks, class_weight)
        return distributed.as_one(lambda: run.train(range(initial_epoch, epochs), resume, lambda: self._remember_source(x)))

    def _remember_source(self, x: Any) -> None:
        """Take class names and the way of reading files from the training data, for predictions."""
        self.class_names = _class_names(x) or self.class_names
        if getattr(x, "preprocessing", None):
            self.preprocessing = dict(x.preprocessing)

    def _check_classes(self, x: Any, known: list[str] | None) -> None:
        """ValueError where a generator numbers its classes differently from the training data."""
        names = _class_names(x)
        if names and known and names != known:
            raise ValueError(f"the data has the classes {names}, the model was trained on {known}")

    # ---- evaluate and predict ----

    @checked
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
        """The loss and metrics on data; the weights do not change.

        Arguments: as in `fit`; steps, batches to evaluate (default: all); return_dict, whether to return a dict by name.
        Returns: [loss, metric, ...], or the loss alone where there are no metrics, or the dict.
        """
        self._check_classes(x, self.class_names)
        expect_verbose(verbose)
        warn_of_augmentation(x, "evaluate")
        logs = self.evaluate_source(data.batches(x, y, sample_weight, batch_size), steps)
        if verbose:
            print(cb.format_logs(logs), flush=True)
        return logs if return_dict else _flat(logs)

    def evaluate_source(self, source: Any, steps: int | None, part: Callable[[Batch], Batch] = lambda b: b) -> dict[str, Any]:
        """The loss and metrics on a source of batches (see `tinydx.training.data`), by name; part, this process's of each."""
        means = RunningMeans(self)
        source.reset()
        for k in range(pass_length(source, steps)):
            self.test_on(part(next(source)), f"batch {k + 1} of the evaluation", means)
        return means.logs()

    @checked
    def predict(self, x: Any, batch_size: int | None = None, verbose: Any = 0, steps: int | None = None) -> Any:
        """The outputs for all of x.

        It warns if the numbers of x lie in another range than those of training, if an output near 1 means the healthy class
        (class folders sort by name: abnormal = 0, normal = 1), and if an iterator shuffles or augments its examples.

        Arguments: x, arrays or a generator; batch_size for arrays (32); steps, batches to predict (default: all).
        Returns: one array (N,...), or a list of them for several outputs.
        """
        expect_verbose(verbose)
        outputs, values = self._outputs(x, batch_size, steps)
        warn_of_range(values, self.input_range)
        if not isinstance(outputs, list):
            warn_of_meaning(outputs, self.class_names)
            warn_of_nan(outputs)
        return outputs

    def _outputs(self, x: Any, batch_size: int | None, steps: int | None = None) -> tuple[Any, Range]:
        """What `predict` returns, and the range of the input's numbers."""
        source = data.batches(x, batch_size=batch_size)
        warn_of_order(x)
        warn_of_augmentation(x, "predict")
        source.reset()
        outputs, values = [], None
        for k in range(pass_length(source, steps)):
            part, found = checked_input(self, next(source), f"batch {k + 1} of the prediction")
            values = values if isinstance(part, list) else widened(values, found)
            outputs.append(self._predict(part))
        if isinstance(outputs[0], list):
            return [np.concatenate(parts) for parts in zip(*outputs, strict=True)], values
        return np.concatenate(outputs), values

    @checked
    def predict_classes(self, x: Any, batch_size: int | None = None) -> list[str]:
        """The name of the most probable class of each example.

        Arguments: as in `predict`.
        Raises: ValueError where the model has no class names, because it was not trained on class folders, and where an output
        is NaN or infinite.
        """
        if self.class_names is None:
            raise ValueError("predict_classes: the model has none: set model.class_names = [name of class 0, ...]")
        p, values = self._outputs(x, batch_size)  # `predict` would warn of the meaning, which the names make clear
        warn_of_range(values, self.input_range)
        check_answer(p, "predict_classes")
        classes = (p[:, 0] > 0.5).astype(int) if p.shape[1] == 1 else p.argmax(axis=1)
        if max(2, p.shape[1]) != len(self.class_names):
            raise ValueError(f"predict_classes: {p.shape[1]} outputs do not fit {len(self.class_names)} class_names")
        return [self.class_names[c] for c in classes]


def _validation_source(given: Any, batch_size: int | None) -> Any:
    """A source of batches for fit's validation_data."""
    if isinstance(given, list) and data.is_array(given):
        given = tuple(given)
    if not isinstance(given, tuple) or not given or not data.is_array(given[0]):
        if data.is_array(given):
            raise ValueError(f"validation_data is a {type(given).__name__} without labels: expected (x, y) or a generator")
        return data.batches(given)
    if len(given) not in (2, 3):
        raise ValueError(f"validation_data is a tuple of {len(given)}, expected (x, y) or (x, y, sample_weight)")
    x, y, weight = (*given, None)[:3]
    return data.batches(x, y, weight, batch_size)


def expect_verbose(value: Any) -> Any:
    """The argument verbose; ValueError unless it is "auto", 0, 1 or 2."""
    return value if isinstance(value, bool) else one_of("verbose", value, ("auto", 0, 1, 2))


def _class_names(x: Any) -> list[str] | None:
    """The names of an iterator's classes, by class number; None for data that has none."""
    numbers = getattr(x, "class_indices", None)
    return sorted(numbers, key=numbers.get) if numbers else None


def _flat(logs: dict[str, Any]) -> Any:
    """[loss, metric, ...], or the loss alone."""
    return list(logs.values()) if len(logs) > 1 else logs["loss"]


def _files(batch: Batch) -> str:
    """The files of a batch, for a message."""
    files = batch.files or []
    return f" (files {', '.join(files[:3])}{' ...' if len(files) > 3 else ''})" if files else ""
