"""Streaming metrics for `compile(metrics=[...])`: numbers that are watched during training, but not trained on.

A metric holds a few sums. `update_state(y_true, y_pred, sample_weight)` adds a batch to them, `result()` reads them,
`reset_state()` starts the next epoch: batches of any size give what all examples at once would give. There are two kinds:

- the mean of one value per example (accuracy, squared error): `MeanMetricWrapper` around a plain function;
- ratios of the four counts of a binary test (precision, recall, F1), and the AUC, from 200 such tests.

Names, defaults and numbers are those of Keras 3. Where Keras would silently compute something that is never meant, an
error is raised: shapes that would broadcast to (N, N), NaN predictions, labels other than 0 and 1, logits given to
`AUC`, and the counts of a binary test over the columns of one-hot labels, where sensitivity, specificity and precision
would all be the accuracy: `class_id=` names the column that counts. Metrics that belong to a finished diagnosis (exact
AUC, intervals, calibration) are in `tinydx.evaluation`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tinydx.settings import Checked, number, whole
from tinydx.settings import weights as checked_weights
from tinydx.suggestions import did_you_mean, snake_case

MOST_THRESHOLDS = 1_000_000  # of an AUC, which keeps two numbers for each
Weights = ArrayLike | None  # one weight per example (N,), or None: each weighs 1

# --- one value per example: functions of (y_true, y_pred) ---------------------------------------------------


def binary_accuracy(y_true: ArrayLike, y_pred: ArrayLike, threshold: float = 0.5) -> np.ndarray:
    """The share of right answers in each example, where an answer is 1 if y_pred > threshold (strictly), else 0.

    Arguments: y_true, 0 or 1, y_pred (N,...,K), where (N,) counts as (N,1); threshold.
    Returns: (N,...), a share for each example.
    Raises: ValueError where the shapes differ, for other labels, and for one-hot labels of three classes or more.
    Source: `keras.metrics.binary_accuracy`.

    >>> binary_accuracy([1, 0, 1], [[0.9], [0.2], [0.5]])
    array([1., 1., 0.])
    """
    y_true, y_pred = _pair(y_true, y_pred, "binary_accuracy")
    positive = _binary_labels(y_true, "binary_accuracy")
    if y_pred.shape[-1] > 2 and _are_classes(positive, y_pred):
        raise ValueError("binary_accuracy: one-hot labels of several classes, where most columns are 0: use categorical_accuracy")
    return np.mean((y_pred > threshold) == positive, axis=-1)


def categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> np.ndarray:
    """1 for each example whose most probable class is that of its one-hot label, else 0.

    Arguments: y_true, y_pred (N,...,K); the first of equal maxima counts.
    Returns: (N,...).
    Raises: ValueError where the shapes differ, for one column, and for labels that are not one-hot (rows that sum to 1).
    Source: `keras.metrics.categorical_accuracy`.

    >>> categorical_accuracy([[0, 0, 1], [0, 1, 0]], [[0.1, 0.6, 0.3], [0.1, 0.8, 0.1]])
    array([0., 1.])
    """
    y_true, y_pred = _pair(y_true, y_pred, "categorical_accuracy")
    if y_pred.shape[-1] == 1:
        shapes = f"y_true {y_true.shape} and y_pred {y_pred.shape}"
        raise ValueError(f"categorical_accuracy: {shapes} are one column, which is always its largest: use binary_accuracy")
    if not np.allclose(y_true.sum(axis=-1), 1, atol=ONE_HOT):
        wrong = "labels are not one-hot, a row does not sum to 1"
        raise ValueError(f"categorical_accuracy: {wrong}: for several labels use binary_accuracy")
    return (y_true.argmax(axis=-1) == y_pred.argmax(axis=-1)).astype(float)


def sparse_categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> np.ndarray:
    """1 for each example whose most probable class is its integer label, else 0.

    Arguments: y_true (N,...) or (N,...,1), class numbers; y_pred (N,...,K).
    Returns: (N,...).
    Raises: ValueError where the shapes do not fit, for one column, and for labels other than whole numbers 0 to K-1.
    Source: `keras.metrics.sparse_categorical_accuracy`.

    >>> sparse_categorical_accuracy([2, 1], [[0.1, 0.6, 0.3], [0.1, 0.8, 0.1]])
    array([0., 1.])
    """
    y_true, y_pred = _array(y_true, "y_true"), _array(y_pred, "y_pred")
    labels = y_true[..., 0] if y_true.ndim == y_pred.ndim and y_true.shape[-1:] == (1,) else y_true
    if y_pred.ndim < 2 or labels.shape != y_pred.shape[:-1]:
        shapes = f"y_true {y_true.shape} and y_pred {y_pred.shape}"
        raise ValueError(
            f"sparse_categorical_accuracy: {shapes} do not fit, give integer labels (N,) and one probability per class (N, K)"
        )
    classes = y_pred.shape[-1]
    if classes == 1:
        one = f"y_pred {y_pred.shape} is one column, always its largest"
        raise ValueError(f"sparse_categorical_accuracy: {one}: use binary_accuracy")
    if not np.all((labels >= 0) & (labels < classes) & (labels == np.floor(labels))):
        reach = f"{labels.min()} to {labels.max()}"
        raise ValueError(f"sparse_categorical_accuracy: labels reach from {reach}, expected whole numbers 0 to {classes - 1}")
    return (labels == y_pred.argmax(axis=-1)).astype(float)


def accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> np.ndarray:
    """The accuracy that fits the shapes, as Keras chooses it for `metrics=['accuracy']`.

    Arguments: y_true, y_pred: one output column is binary, integer labels beside K columns are sparse categorical, one-hot
    labels are categorical.
    Returns: (N,...), as that accuracy does.
    Raises: ValueError where the shapes do not fit.

    >>> accuracy([1, 0], [[0.7], [0.6]]), accuracy([2], [[0.1, 0.2, 0.7]])
    (array([1., 0.]), array([1.]))
    """
    true_shape, pred_shape = np.shape(y_true), np.shape(y_pred)
    if len(pred_shape) < 2 or pred_shape[-1] == 1:
        return binary_accuracy(y_true, y_pred)
    if len(true_shape) < len(pred_shape) or true_shape[-1] == 1:
        return sparse_categorical_accuracy(y_true, y_pred)
    return categorical_accuracy(y_true, y_pred)


def mean_squared_error(y_true: ArrayLike, y_pred: ArrayLike) -> np.ndarray:
    """Mean over the last axis of (y_true - y_pred)^2.

    Arguments: y_true, y_pred (N,...,K), where (N,) counts as (N,1).
    Returns: (N,...), in the squared unit of y.
    Raises: ValueError where the shapes differ.

    >>> mean_squared_error([[0.0, 1.0]], [[0.5, 0.5]])
    array([0.25])
    """
    y_true, y_pred = _pair(y_true, y_pred, "mean_squared_error")
    return np.mean(np.square(y_true - y_pred), axis=-1)


def mean_absolute_error(y_true: ArrayLike, y_pred: ArrayLike) -> np.ndarray:
    """Mean over the last axis of |y_true - y_pred|.

    Arguments: y_true, y_pred (N,...,K), where (N,) counts as (N,1).
    Returns: (N,...), in y's unit.
    Raises: ValueError where the shapes differ.

    >>> mean_absolute_error([[0.0, 1.0]], [[0.5, 0.5]])
    array([0.5])
    """
    y_true, y_pred = _pair(y_true, y_pred, "mean_absolute_error")
    return np.mean(np.abs(y_true - y_pred), axis=-1)


# --- the means ----------------------------------------------------------------------------------------------


class Metric(metaclass=Checked):
    """Base of all metrics: a name, and sums that grow by a batch, are read, and start again at zero.

    The constructor calls `reset_state`, so a subclass sets the attributes that this needs before `super().__init__()`.

    Arguments: name, the key in the history; by default the class's name in snake_case.
    """

    def __init__(self, name: str | None = None):
        self.name = name or snake_case(type(self).__name__)
        self.reset_state()

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Add a batch: (y_true, y_pred, sample_weight=None); for `Mean` (values, sample_weight=None)."""
        raise NotImplementedError

    def result(self) -> float:
        """The metric over everything that was added since the last reset; 0.0 where nothing was, as in Keras."""
        raise NotImplementedError

    def reset_state(self) -> None:
        """Forget everything that was added."""
        raise NotImplementedError

    def for_scores(self, columns: int) -> str | None:
        """What to write instead where a model's outputs are scores (logits): None where the metric takes them as it is.

        Arguments: columns, on the last axis of the outputs.
        """
        return None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}: {self.result()}>"


class Mean(Metric):
    """Weighted mean of the values given so far; `fit` tracks the loss with it, weighted by the batch's size.

    Arguments: name. `update_state` takes values (N,...), which are first averaged over all axes but the first, and
    sample_weight: (N,), (N,1), one for each value, or a number for a single value.
    Raises: ValueError where the weights' shape does not fit.
    Source: `keras.metrics.Mean`.

    >>> mean = Mean()
    >>> mean.update_state([1.0, 3.0, 5.0, 7.0], sample_weight=[1, 1, 0, 0])
    >>> mean.result()
    2.0
    """

    def reset_state(self) -> None:
        self.total = self.count = 0.0

    def update_state(self, values: ArrayLike, sample_weight: Weights = None) -> None:
        value = np.asarray(values, dtype=np.float64)
        given = checked_weights(f"{self.name}: sample_weight", sample_weight)
        weights: Any = np.ones(value.shape[:1]) if given is None else given.astype(np.float64)
        if weights.ndim == 2 and weights.shape[1] == 1:
            weights = weights[:, 0]
        if weights.shape != value.shape[: weights.ndim]:
            raise ValueError(
                f"{self.name}: sample_weight {weights.shape} does not fit values {value.shape}, give one per example (N,)"
            )
        value = value.mean(axis=tuple(range(weights.ndim, value.ndim)))
        per_example = np.prod(weights.shape[1:])  # an example counts once, however many time steps it has
        self.total += float(np.sum(value * weights) / per_example)
        self.count += float(np.sum(weights) / per_example)

    def result(self) -> float:
        return _ratio(self.total, self.count)


class MeanMetricWrapper(Metric):
    """Weighted mean of `fn(y_true, y_pred, **keywords)`; `compile` wraps a plain function in `metrics=[...]` with it.

    Arguments: fn, a function that gives one value per example (N,...); name, by default fn's; keywords for fn.
    Source: `keras.metrics.MeanMetricWrapper`.

    >>> def largest_error(y_true, y_pred):
    ...     return np.abs(y_true - y_pred).max(axis=-1)
    >>> metric = MeanMetricWrapper(largest_error, name="largest")
    >>> metric.update_state(np.array([[0.0, 1.0]]), np.array([[0.25, 0.5]]))
    >>> metric.result()
    0.5
    """

    def __init__(self, fn: Callable[..., ArrayLike], name: str | None = None, **keywords: Any):
        self._fn, self._keywords, self._mean = fn, keywords, Mean(name or getattr(fn, "__name__", "metric"))
        super().__init__(self._mean.name)

    def for_scores(self, columns: int) -> str | None:
        one = self._fn is accuracy and columns == 1
        passed = 0 < self._keywords.get("threshold", 0.5) < 1
        return "BinaryAccuracy(threshold=0)" if one or (self._fn is binary_accuracy and passed) else None

    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: Weights = None) -> None:
        self._mean.update_state(self._fn(y_true, y_pred, **self._keywords), sample_weight)

    def result(self) -> float:
        return self._mean.result()

    def reset_state(self) -> None:
        self._mean.reset_state()


class BinaryAccuracy(MeanMetricWrapper):
    """How often y_pred > threshold (strictly) agrees with the label, 0 or 1.

    Arguments: name; threshold. `update_state` takes y_true, y_pred as `binary_accuracy`.
    Source: `keras.metrics.BinaryAccuracy`.

    >>> metric = BinaryAccuracy()
    >>> metric.update_state([1, 1, 0, 0], [0.98, 1.0, 0.0, 0.6])
    >>> metric.result()
    0.75
    """

    def __init__(self, name: str = "binary_accuracy", threshold: float = 0.5):
        super().__init__(binary_accuracy, name, threshold=number("BinaryAccuracy: threshold", threshold))


class CategoricalAccuracy(MeanMetricWrapper):
    """How often the most probable class is that of the one-hot label; see `categorical_accuracy`.

    >>> metric = CategoricalAccuracy()
    >>> metric.update_state([[0, 1], [1, 0]], [[0.2, 0.8], [0.4, 0.6]])
    >>> metric.result()
    0.5
    """

    def __init__(self, name: str = "categorical_accuracy"):
        super().__init__(categorical_accuracy, name)


class SparseCategoricalAccuracy(MeanMetricWrapper):
    """How often the most probable class is the integer label; see `sparse_categorical_accuracy`.

    >>> metric = SparseCategoricalAccuracy()
    >>> metric.update_state([1, 0], [[0.2, 0.8], [0.4, 0.6]])
    >>> metric.result()
    0.5
    """

    def __init__(self, name: str = "sparse_categorical_accuracy"):
        super().__init__(sparse_categorical_accuracy, name)


class MeanSquaredError(MeanMetricWrapper):
    """Mean of (y_true - y_pred)^2; see `mean_squared_error`.

    >>> metric = MeanSquaredError()
    >>> metric.update_state([1.0, 2.0], [1.0, 4.0])
    >>> metric.result()
    2.0
    """

    def __init__(self, name: str = "mean_squared_error"):
        super().__init__(mean_squared_error, name)


class MeanAbsoluteError(MeanMetricWrapper):
    """Mean of |y_true - y_pred|; see `mean_absolute_error`.

    >>> metric = MeanAbsoluteError()
    >>> metric.update_state([1.0, 2.0], [1.0, 4.0])
    >>> metric.result()
    1.0
    """

    def __init__(self, name: str = "mean_absolute_error"):
        super().__init__(mean_absolute_error, name)


# --- the counts of a binary test ----------------------------------------------------------------------------


class _OfOneColumn(Metric):
    """A metric of a binary test: of one column, of several labels alike, or of the column class_id of several classes.

    Arguments: name, by default with the class_id; class_id, the class that counts as positive.
    Raises: ValueError for a class_id that is no whole number of 0 or more.
    """

    def __init__(self, name: str | None, class_id: int | None):
        self.class_id = None if class_id is None else whole(f"{type(self).__name__}: class_id", class_id, at_least=0)
        if name is None and class_id is not None:
            name = f"{snake_case(type(self).__name__)}_class_{class_id}"
        super().__init__(name)

    def _labels_and_predictions(self, y_true: ArrayLike, y_pred: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Labels as bool beside predictions; ValueError where they are classes of which none is named."""
        if self.class_id is not None:
            y_true, y_pred = _column(y_true, y_pred, self.class_id, self.name)
        shape = np.shape(y_pred)
        numbers = shape[-1:] not in ((), (1,)) and np.shape(y_true) in (shape[:-1], (*shape[:-1], 1)) and len(shape) > 1
        which = f"which one is positive? {type(self).__name__}(class_id={shape[-1] - 1 if shape else 0}) counts the last"
        if numbers:
            shapes = f"y_true {np.shape(y_true)} and y_pred {shape}"
            raise ValueError(f"{self.name}: {shapes} are class numbers beside {shape[-1]} classes, {which}")
        true, pred = _pair(y_true, y_pred, self.name)
        positive = _binary_labels(true, self.name)
        if pred.shape[-1] > 1 and _are_classes(positive, pred):
            raise ValueError(f"{self.name}: one-hot labels of {pred.shape[-1]} classes, {which}")
        return positive, pred


class BinaryCounts(_OfOneColumn):
    """The four counts behind precision, recall and specificity, where y_pred > thresholds is called positive.

    Arguments: thresholds, one number (Keras's name for it): 0.5 for probabilities, 0 for logits; name; class_id, for outputs of
    several classes, the one that is counted as positive. `update_state` takes labels 0 or 1 of y_pred's shape ((N,) beside (N,1)
    is fine), and counts all elements alike; with class_id, one-hot labels or class numbers beside y_pred (N,...,K).
    Raises: ValueError for shapes that differ, other labels, NaN, and one-hot labels of several classes without a class_id.
    """

    def __init__(self, thresholds: float = 0.5, name: str | None = None, *, class_id: int | None = None):
        self.thresholds = number(f"{type(self).__name__}: thresholds", thresholds)
        super().__init__(name, class_id)

    def for_scores(self, columns: int) -> str | None:
        return f"{type(self).__name__}(thresholds=0)" if 0 < self.thresholds < 1 else None

    def reset_state(self) -> None:
        self.true_positives = self.false_positives = self.true_negatives = self.false_negatives = 0.0

    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: Weights = None) -> None:
        positive, y_pred = self._labels_and_predictions(y_true, y_pred)
        weights = _weights(sample_weight, y_pred.shape, self.name)
        called = y_pred > self.thresholds
        self.true_positives += float(weights[positive & called].sum())
        self.false_positives += float(weights[~positive & called].sum())
        self.true_negatives += float(weights[~positive & ~called].sum())
        self.false_negatives += float(weights[positive & ~called].sum())


class Precision(BinaryCounts):
    """TP / (TP + FP): the share of those called positive that are positive. 0 where none was called positive.

    Arguments: as BinaryCounts.

    >>> metric = Precision()
    >>> metric.update_state([0, 1, 1, 1], [0.9, 0.1, 0.8, 0.7])
    >>> round(metric.result(), 4)
    0.6667
    """

    def result(self) -> float:
        return _ratio(self.true_positives, self.true_positives + self.false_positives)


class Recall(BinaryCounts):
    """TP / (TP + FN): the share of the positives that was called positive. 0 where there are no positives.

    Arguments: as BinaryCounts.

    >>> metric = Recall()
    >>> metric.update_state([0, 1, 1, 1], [0.9, 0.1, 0.8, 0.7])
    >>> round(metric.result(), 4)
    0.6667
    """

    def result(self) -> float:
        return _ratio(self.true_positives, self.true_positives + self.false_negatives)


class Sensitivity(Recall):
    """Recall by its medical name: the share of the ill that the test finds."""


class Specificity(BinaryCounts):
    """TN / (TN + FP): the share of the healthy that the test calls healthy (not in Keras). 0 where nobody is healthy.

    Arguments: as BinaryCounts.

    >>> metric = Specificity()
    >>> metric.update_state([0, 0, 1], [0.9, 0.1, 0.8])
    >>> metric.result()
    0.5
    """

    def result(self) -> float:
        return _ratio(self.true_negatives, self.true_negatives + self.false_positives)


class F1Score(Metric):
    """F1 = 2 TP / (2 TP + FP + FN), the harmonic mean of precision and recall, for each column of the output.

    DIFFERS from Keras: with one column, threshold None means 0.5 (in Keras the only column is always the largest, so it is
    always called positive).

    Arguments: average, None for a number per column (a float if there is one column), "macro" for their mean, "weighted"
    for their mean by the number of true labels, "micro" for the F1 of the summed counts; threshold, above which a column
    is called positive, None for the largest column; name. `update_state` takes labels and predictions (N,K), one-hot, or
    (N,1) and (N,) for a binary test.
    Raises: ValueError for another average, shapes that differ, labels other than 0 and 1, NaN.
    Source: `keras.metrics.F1Score`.

    >>> metric = F1Score(average="macro", threshold=0.5)
    >>> metric.update_state([[1, 1], [1, 0], [0, 1]], [[0.2, 0.6], [0.7, 0.1], [0.6, 0.8]])
    >>> metric.result()
    0.75
    """

    def __init__(self, average: str | None = None, threshold: float | None = None, name: str | None = None):
        if average not in (None, "macro", "micro", "weighted"):
            raise ValueError(f"F1Score: average is None, 'macro', 'micro' or 'weighted', not {average!r}")
        self.average, self.threshold = average, None if threshold is None else number("F1Score: threshold", threshold)
        super().__init__(name)

    def reset_state(self) -> None:
        self.true_positives = self.called = self.positive = np.zeros(1)  # grow to (K,) with the first batch

    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: Weights = None) -> None:
        y_true, y_pred = _pair(y_true, y_pred, self.name)
        if y_pred.ndim != 2:
            raise ValueError(f"{self.name}: y_pred must have shape (N, K), not {y_pred.shape}")
        positive, called = _binary_labels(y_true, self.name), self._called(y_pred)
        weights = _weights(sample_weight, y_pred.shape, self.name)
        self.true_positives = self.true_positives + np.sum(weights * (positive & called), axis=0)
        self.called = self.called + np.sum(weights * called, axis=0)
        self.positive = self.positive + np.sum(weights * positive, axis=0)

    def for_scores(self, columns: int) -> str | None:
        passed = 0.5 if self.threshold is None and columns == 1 else self.threshold
        return "F1Score(threshold=0)" if passed is not None and 0 < passed < 1 else None

    def _called(self, y_pred: np.ndarray) -> np.ndarray:
        if self.threshold is None and y_pred.shape[1] > 1:
            return (y_pred >= y_pred.max(axis=1, keepdims=True)) & (y_pred > 1e-9)
        return y_pred > (0.5 if self.threshold is None else self.threshold)

    def result(self) -> Any:
        hits, answers = 2 * self.true_positives, self.called + self.positive  # TP + FP and TP + FN
        if self.average == "micro":
            return _ratio(hits.sum(), answers.sum())
        scores = np.divide(hits, answers, out=np.zeros_like(answers), where=answers > 0)
        if self.average == "weighted":
            return _ratio(np.sum(scores * self.positive), self.positive.sum())
        return scores if self.average is None and len(scores) > 1 else float(scores.mean())


class AUC(_OfOneColumn):
    """Area under the ROC curve, from the true and false positive rates at evenly spaced thresholds.

    Streaming needs fixed thresholds, so this is an estimate with Keras's numbers (200 thresholds, trapezoids); the exact
    area is `tinydx.evaluation.roc_auc`. Where only one class occurs the area is 0.0, as in Keras.

    Arguments: num_thresholds; name; from_logits, whether predictions are scores before a sigmoid; class_id, as BinaryCounts.
    `update_state` takes labels 0 or 1 of y_pred's shape, and counts all elements alike.
    Raises: ValueError for shapes that differ, labels other than 0 and 1, NaN, predictions outside [0, 1] (logits need
    `from_logits=True`), and one-hot labels of several classes without a class_id.
    Source: `keras.metrics.AUC(curve="ROC")`, trapezoidal rule.

    >>> metric = AUC()
    >>> metric.update_state([0, 0, 1, 1], [0.0, 0.5, 0.3, 0.9])
    >>> metric.result()
    0.75
    """

    def __init__(
        self, num_thresholds: int = 200, name: str | None = None, from_logits: bool = False, *, class_id: int | None = None
    ):
        self.num_thresholds = whole("AUC: num_thresholds", num_thresholds, at_least=2)
        if num_thresholds > MOST_THRESHOLDS:
            raise ValueError(f"AUC: num_thresholds is {num_thresholds}, expected at most {MOST_THRESHOLDS}")
        self.from_logits = from_logits
        super().__init__(name, class_id)

    def for_scores(self, columns: int) -> str | None:
        return None if self.from_logits else "AUC(from_logits=True)"

    def reset_state(self) -> None:
        self.histogram = np.zeros((2, self.num_thresholds))  # weight of negative, positive labels per bucket

    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: Weights = None) -> None:
        positive, y_pred = self._labels_and_predictions(y_true, y_pred)
        weights = _weights(sample_weight, y_pred.shape, self.name)
        probability = (1 + np.tanh(y_pred / 2)) / 2 if self.from_logits else y_pred
        if probability.size and (probability.min() < 0 or probability.max() > 1):
            raise ValueError(
                f"{self.name}: predictions must be in [0, 1], but span {y_pred.min():.4g} to "
                f"{y_pred.max():.4g}; end the model with a sigmoid or use AUC(from_logits=True)"
            )
        # p passes the thresholds i / (T - 1) below it; in float32, so that ties fall as in Keras.
        last = self.num_thresholds - 1
        bucket = np.maximum(np.ceil(probability.astype(np.float32) * np.float32(last)).astype(int) - 1, 0)
        np.add.at(self.histogram, (positive.astype(int), bucket), weights)

    def result(self) -> float:
        false_positives, true_positives = self.histogram[:, ::-1].cumsum(axis=1)  # high thresholds first
        pairs = false_positives[-1] * true_positives[-1]
        area = np.sum(np.diff(false_positives) * (true_positives[1:] + true_positives[:-1]) / 2)
        return _ratio(area, pairs)


# --- by name ------------------------------------------------------------------------------------------------

_BY_NAME: dict[str, Callable[[], Metric]] = {
    "accuracy": lambda: MeanMetricWrapper(accuracy),
    "binary_accuracy": BinaryAccuracy,
    "categorical_accuracy": CategoricalAccuracy,
    "sparse_categorical_accuracy": SparseCategoricalAccuracy,
    "auc": AUC,
    "precision": Precision,
    "recall": Recall,
    "sensitivity": Sensitivity,
    "specificity": Specificity,
    "f1_score": lambda: F1Score(average="macro"),  # one number, which a history can hold
    "mean_squared_error": MeanSquaredError,
    "mean_absolute_error": MeanAbsoluteError,
}
_CLASSES = (BinaryAccuracy, CategoricalAccuracy, SparseCategoricalAccuracy, AUC, Precision, Recall, Sensitivity, Specificity)
_SHORT = {"acc": "accuracy", "f1": "f1_score", "mse": "mean_squared_error", "mae": "mean_absolute_error"}


def __getattr__(name: str) -> object:
    known = [kind.__name__ for kind in (*_CLASSES, F1Score, MeanSquaredError, MeanAbsoluteError, Mean)]
    raise AttributeError(f"tinydx.metrics has no {name!r}{did_you_mean(name, known)}")


def get(identifier: str | Metric | type[Metric] | Callable[..., ArrayLike]) -> Metric:
    """The metric that `compile(metrics=[...])` means.

    Arguments: identifier, a name ('accuracy', 'AUC', 'sensitivity', 'BinaryAccuracy' ...), which also becomes the metric's
    name as written; a Metric (returned as it is) or a subclass; or a function of (y_true, y_pred) that gives one value per
    example. 'accuracy' chooses binary, categorical or sparse by the shapes of the batch, see `accuracy`.
    Returns: a Metric.
    Raises: ValueError for an unknown name, with close matches; TypeError for anything else.

    >>> get("acc")
    <MeanMetricWrapper 'acc': 0.0>
    >>> get("precison")
    Traceback (most recent call last):
    ValueError: unknown metric 'precison'; did you mean 'precision'?
    """
    if isinstance(identifier, str):
        return _by_name(identifier)
    if isinstance(identifier, Metric):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Metric):
        return identifier()
    if callable(identifier) and not isinstance(identifier, type):
        return MeanMetricWrapper(identifier)
    raise TypeError(f"a metric is a name, a Metric or a function of (y_true, y_pred), not {identifier!r}")


def _by_name(name: str) -> Metric:
    """A new metric of that name, which it keeps as written."""
    key = snake_case(name)
    known = [*_BY_NAME, *_SHORT]
    if key not in known:
        raise ValueError(f"unknown metric {name!r}{did_you_mean(key, known)}")
    metric = _BY_NAME[_SHORT.get(key, key)]()
    metric.name = name
    return metric


# --- what they share ----------------------------------------------------------------------------------------


ONE_HOT = 1e-3  # by which the sum of a row of class probabilities may differ from 1
CERTAIN = 20  # rows with exactly one label of two each: no chance among independent labels


def _are_classes(positive: np.ndarray, y_pred: np.ndarray) -> bool:
    """Whether the columns exclude each other: one-hot labels beside a softmax, or beside two columns in many rows."""
    if not len(positive) or not (positive.sum(axis=-1) == 1).all():
        return False
    softmax = np.allclose(y_pred.sum(axis=-1), 1, atol=ONE_HOT)
    return softmax or (y_pred.shape[-1] == 2 and positive.size >= 2 * CERTAIN)


def _column(y_true: ArrayLike, y_pred: ArrayLike, class_id: int, who: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels and predictions of one class: of one-hot labels (N,...,K), or of class numbers (N,...) or (N,...,1)."""
    true, pred = _array(y_true, "y_true"), _array(y_pred, "y_pred")
    if pred.ndim < 2 or class_id >= pred.shape[-1]:
        raise ValueError(f"{who}: there is no class {class_id} in y_pred {pred.shape}")
    if true.shape == pred.shape and pred.shape[-1] > 1:
        return true[..., class_id], pred[..., class_id]
    labels = true[..., 0] if true.shape == (*pred.shape[:-1], 1) else true
    if pred.shape[-1] == 1 or labels.shape != pred.shape[:-1]:
        shapes = f"y_true {true.shape} and y_pred {pred.shape}"
        raise ValueError(f"{who}: {shapes} do not fit class_id={class_id}, give one probability per class (N, K)")
    return labels == class_id, pred[..., class_id]


def _ratio(part: float, whole: float) -> float:
    """part / whole, and 0 where whole is 0, as in Keras's metrics."""
    return float(part / whole) if whole else 0.0


def _array(values: ArrayLike, what: str) -> np.ndarray:
    """An array of numbers without NaN: NaN > 0.5 is False, so a broken model would call everyone healthy."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{what} must be an array of numbers, not {type(values).__name__} of {array.dtype}")
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise ValueError(f"{what} has NaN in {np.isnan(array).sum()} of its {array.size} values")
    return array


def _pair(y_true: ArrayLike, y_pred: ArrayLike, who: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels and predictions as arrays of one shape, with 2 axes or more; nothing is ever broadcast."""
    true, pred = _array(y_true, "y_true"), _array(y_pred, "y_pred")
    shapes = f"y_true {true.shape} and y_pred {pred.shape}"
    if pred.ndim == 0:
        raise ValueError(f"{who}: {shapes} have no batch axis, give arrays of shape (N,) or more")
    if (*true.shape, 1) == pred.shape or true.ndim == pred.ndim == 1:
        true = true[..., np.newaxis]
    if (*pred.shape, 1) == true.shape:
        pred = pred[..., np.newaxis]
    if true.shape != pred.shape:
        raise ValueError(f"{who}: {shapes} must have the same shape; labels of several classes must be one-hot here")
    return (true, pred) if pred.dtype.kind == "f" else (true, pred.astype(float))


def _binary_labels(y_true: np.ndarray, who: str) -> np.ndarray:
    """Labels 0 and 1 as False and True."""
    positive = y_true == 1
    if not np.all(positive | (y_true == 0)):
        wrong = y_true[~positive & (y_true != 0)].flat[0]
        raise ValueError(f"{who}: labels must be 0 or 1, but y_true holds {wrong}")
    return positive


def _weights(sample_weight: Weights, shape: tuple[int, ...], who: str) -> np.ndarray:
    """A weight per element: 1, or each example's weight repeated over its elements."""
    if sample_weight is None:
        return np.ones(shape)
    weights = checked_weights(f"{who}: sample_weight", sample_weight).astype(np.float64)
    if weights.ndim == 1:
        weights = weights.reshape(-1, *[1] * (len(shape) - 1))
    if weights.shape not in (shape, (shape[0], *[1] * (len(shape) - 1))):
        raise ValueError(
            f"{who}: sample_weight {np.shape(sample_weight)} does not fit y_pred {shape}, give one weight per example (N,)"
        )
    return np.broadcast_to(weights, shape)
