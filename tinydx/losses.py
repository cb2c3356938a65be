"""Losses by Keras's names: each takes (y_true, y_pred, sample_weight) and gives one number, a Tensor.

The cross-entropies have two forms: `loss` of probabilities, which it clips, and `loss_of_scores`, which includes the
sigmoid or softmax and keeps the gradient of a confident mistake. Training uses the second form where a model ends in such
an activation (tinydx/training/lowering.py); for a prediction without one, use from_logits=True.

Labels (N,) for predictions (N,1) are one column, and are taken so; any other difference in shape is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinydx import ops
from tinydx.device import on_device
from tinydx.noting import made
from tinydx.settings import Checked, number, weights
from tinydx.suggestions import did_you_mean, snake_case
from tinydx.tensor import Tensor, as_array

ROUNDING = 1e-5  # by which a probability may lie outside of 0 to 1


class Loss(metaclass=Checked):
    """Base of all losses: checks and aligns the labels, then calls `loss`.

    The two halves can be called one by one: `prepare` checks the labels where they are read, on the CPU; `compare` runs
    where the predictions are, maybe on a GPU. Labels that are on a GPU already are aligned, but their values are not checked.

    Arguments (of a call): y_true, the labels; y_pred, the predictions, N examples along the first axis; sample_weight, one
    number of 0 or more an example (N,) or a time step (N,T), or None.
    Returns: the loss, a Tensor of one number.
    Raises: ValueError where the labels do not fit the predictions, or a weight is negative or NaN.
    """

    name: str
    from_logits = False  # whether it takes scores instead of probabilities

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        prediction = y_pred if isinstance(y_pred, Tensor) else Tensor(as_array(y_pred))
        weight = weights(f"{self.name}: sample_weight", sample_weight)
        return self.compare(self.prepare(y_true, prediction.shape), prediction, weight)

    def prepare(self, y_true: Any, shape: tuple[int, ...]) -> Any:
        """The labels as `loss` takes them, for predictions of that shape; ValueError where they do not fit."""
        target = y_true if on_device(y_true) else np.asarray(y_true)
        if target.dtype.kind not in "biuf":
            raise ValueError(f"{self.name}: labels are {target.dtype}, expected numbers: encode names as 0, 1, ...")
        return self.align(target, shape)

    def compare(self, target: Any, prediction: Tensor, weight: Any, scores: Tensor | None = None) -> Tensor:
        """The loss, for labels that were prepared; padded time steps do not count.

        scores: the prediction from before its activation, where the loss takes that.
        """
        if prediction.mask is not None and prediction.ndim > 2:
            weight = made(_weight_of_real_steps, prediction.mask, weight)
        if scores is not None:
            return self.loss_of_scores(target, scores, weight)
        self.check_prediction(prediction)
        return self.loss(target, prediction, weight)

    def align(self, target: Any, shape: tuple[int, ...]) -> Any:
        """The labels in the form that this loss compares; the base changes nothing."""
        return target

    def check_prediction(self, prediction: Tensor) -> None:
        """ValueError where this loss does not take such predictions; the base takes all."""

    def loss(self, target: Any, prediction: Tensor, weight: Any) -> Tensor:
        """The loss of predictions."""
        raise NotImplementedError

    def loss_of_scores(self, target: Any, scores: Tensor, weight: Any) -> Tensor:
        """The loss of scores, from before the last activation; cross-entropies have it."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in vars(self).items())})"


def _weight_of_real_steps(mask: Any, weight: Any) -> Any:
    """Weights (N,T) that leave masked time steps out, so that the mean is over the real ones."""
    real = mask * (mask.size / np.maximum(mask.sum(), 1))
    if weight is None:
        return real
    weight = np.asarray(weight, like=mask)
    if weight.shape != mask.shape[: weight.ndim]:
        raise ValueError(f"sample_weight has shape {weight.shape}, expected one number an example or time step of {mask.shape}")
    return real * (weight[:, None] if weight.ndim == 1 else weight)


def one_column(name: str, target: Any, shape: tuple[int, ...]) -> Any:
    """Labels (N,) as (N,1) where the predictions are (N,1); ValueError with both shapes where they differ otherwise."""
    if target.shape == shape[:-1] and shape[-1:] == (1,):
        target = target[..., None]
    if target.shape != shape:
        raise ValueError(f"{name}: labels have shape {target.shape}, predictions {shape}: expected equal")
    return target


def _check_range(name: str, target: Any, low: float, high: float, hint: str) -> None:
    """ValueError unless all labels lie between low and high."""
    if on_device(target):
        return  # reading the values would wait for the GPU; its loss kernels turn a class out of range into NaN
    if target.size and not (target.min() >= low and target.max() <= high):
        got = f"{target.min()} to {target.max()}"
        raise ValueError(f"{name}: labels reach from {got}, expected {low:g} to {high:g}{hint}")


class Crossentropy(Loss):
    """A loss of probabilities, or with from_logits of scores."""

    def check_prediction(self, prediction: Tensor) -> None:
        p = prediction.data
        if self.from_logits or on_device(p) or not p.size or not np.isfinite(p).all():
            return  # what is not finite makes a loss that is not, and is named there
        low, high = float(p.min()), float(p.max())
        if low < -ROUNDING or high > 1 + ROUNDING:
            cure = "end the model in a sigmoid or softmax, or use from_logits=True"
            reach = f"predictions reach from {low:.4g} to {high:.4g}"
            raise ValueError(f"{self.name}: {reach}, expected probabilities: {cure}")


class BinaryCrossentropy(Crossentropy):
    """Binary cross-entropy, for one or several yes-or-no outputs.

    Arguments: from_logits, whether predictions are scores instead of probabilities; label_smoothing in [0, 1), which moves
    labels that far towards 0.5; name. A call takes labels, 0 to 1, and predictions (N,...) alike, or labels (N,) beside (N,1).
    Raises: ValueError for another label_smoothing; when called, for other shapes, other labels, or predictions that are no
    probabilities.

    >>> round(float(BinaryCrossentropy()(np.array([1.0, 0.0]), np.array([[0.5], [0.5]]))), 4)
    0.6931
    """

    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0, name: str = "binary_crossentropy"):
        self.from_logits, self.name = from_logits, name
        self.label_smoothing = number(f"{type(self).__name__}: label_smoothing", label_smoothing, at_least=0, below=1)

    def align(self, target: Any, shape: tuple[int, ...]) -> Any:
        target = one_column(self.name, target, shape)
        hint = "; for more than two classes use sparse_categorical_crossentropy with softmax"
        _check_range(self.name, target, 0, 1, hint)
        return target * (1 - self.label_smoothing) + 0.5 * self.label_smoothing

    def loss(self, target: Any, prediction: Tensor, weight: Any) -> Tensor:
        if self.from_logits:
            return self.loss_of_scores(target, prediction, weight)
        return ops.binary_crossentropy(prediction, target=target, weight=weight)

    def loss_of_scores(self, target: Any, scores: Tensor, weight: Any) -> Tensor:
        return ops.sigmoid_binary_crossentropy(scores, target=target, weight=weight)


class CategoricalCrossentropy(Crossentropy):
    """Cross-entropy between one-hot rows and predicted class probabilities.

    Arguments: from_logits, whether predictions are scores instead of probabilities; label_smoothing in [0, 1), which moves
    labels that far towards 1/K; name. A call takes labels and predictions (N,...,K).
    Raises: as BinaryCrossentropy.

    >>> round(float(CategoricalCrossentropy()(np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]]))), 4)
    0.6931
    """

    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0, name: str = "categorical_crossentropy"):
        self.from_logits, self.name = from_logits, name
        self.label_smoothing = number(f"{type(self).__name__}: label_smoothing", label_smoothing, at_least=0, below=1)

    def align(self, target: Any, shape: tuple[int, ...]) -> Any:
        if target.shape != shape:
            hint = "; for class numbers use sparse_categorical_crossentropy" if target.ndim < len(shape) else ""
            raise ValueError(f"{self.name}: labels have shape {target.shape}, predictions {shape}{hint}")
        _check_range(self.name, target, 0, 1, "")
        if not on_device(target) and target.size and target.sum(axis=-1).max() > 1 + ROUNDING:
            raise ValueError(f"{self.name}: a row of labels has several: use binary_crossentropy with sigmoid outputs")
        return target * (1 - self.label_smoothing) + self.label_smoothing / shape[-1]

    def loss(self, target: Any, prediction: Tensor, weight: Any) -> Tensor:
        if self.from_logits:
            return self.loss_of_scores(target, prediction, weight)
        return ops.categorical_crossentropy(prediction, target=target, weight=weight)

    def loss_of_scores(self, target: Any, scores: Tensor, weight: Any) -> Tensor:
        return ops.softmax_crossentropy(scores, target=target, weight=weight)


class SparseCategoricalCrossentropy(Crossentropy):
    """Cross-entropy between class numbers and predicted class probabilities.

    Arguments: from_logits, whether predictions are scores instead of probabilities; name. A call takes labels (N,...), whole
    numbers 0 to K-1, or (N,...,1); predictions (N,...,K).
    Raises: as BinaryCrossentropy.

    >>> round(float(SparseCategoricalCrossentropy()(np.array([1]), np.array([[0.5, 0.5]]))), 4)
    0.6931
    """

    def __init__(self, from_logits: bool = False, name: str = "sparse_categorical_crossentropy"):
        self.from_logits, self.name = from_logits, name

    def align(self, target: Any, shape: tuple[int, ...]) -> Any:
        if target.shape == (*shape[:-1], 1):
            target = target[..., 0]
        if target.shape != shape[:-1]:
            shapes = f"labels have shape {target.shape}, predictions {shape}"
            hint = "; for one-hot labels use categorical_crossentropy" if target.shape == shape else ""
            raise ValueError(f"{self.name}: {shapes}, expected labels {shape[:-1]}{hint}")
        if not on_device(target):
            self._check_classes(target, shape[-1])
        return target.astype(np.int64)

    def _check_classes(self, target: np.ndarray, classes: int) -> None:
        if target.size and not (target.min() >= 0 and target.max() < classes and (target == np.floor(target)).all()):
            got, one = f"{target.min()} to {target.max()}", "; for one output use binary_crossentropy" if classes == 1 else ""
            raise ValueError(f"{self.name}: labels reach from {got}, expected whole numbers 0 to {classes - 1}{one}")

    def loss(self, target: Any, prediction: Tensor, weight: Any) -> Tensor:
        if self.from_logits:
            return self.loss_of_scores(target, prediction, weight)
        return ops.sparse_categorical_crossentropy(prediction, labels=target, weight=weight)

    def loss_of_scores(self, target: Any, scores: Tensor, weight: Any) -> Tensor:
        return ops.sparse_softmax_crossentropy(scores, labels=target, weight=weight)


class _Regression(Loss):
    """A loss between numbers of one shape."""

    def align(self, target: Any, shape: tuple[int, ...]) -> Any:
        return one_column(self.name, target, shape)


class MeanSquaredError(_Regression):
    """Mean of the squared differences.

    Arguments: name. A call takes labels and predictions (N,...) alike, or labels (N,) beside predictions (N,1).
    Raises: ValueError, when called, for other shapes.

    >>> float(MeanSquaredError()(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    2.0
    """

    def __init__(self, name: str = "mean_squared_error"):
        self.name = name

    def loss(self, target: Any, prediction: Tensor, weight: Any) -> Tensor:
        return ops.mean_squared_error(prediction, target=target, weight=weight)


class MeanAbsoluteError(_Regression):
    """Mean of the absolute differences.

    Arguments: name. A call takes labels and predictions (N,...) alike, or labels (N,) beside predictions (N,1).
    Raises: ValueError, when called, for other shapes.

    >>> float(MeanAbsoluteError()(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    1.0
    """

    def __init__(self, name: str = "mean_absolute_error"):
        self.name = name

    def loss(self, target: Any, prediction: Tensor, weight: Any) -> Tensor:
        return ops.mean_absolute_error(prediction, target=target, weight=weight)


class Huber(_Regression):
    """Squared for small differences, absolute beyond delta.

    Arguments: delta, above 0, in the unit of the predictions; name. A call takes labels and predictions (N,...) alike, or
    labels (N,) beside predictions (N,1).
    Raises: ValueError, when called, for other shapes.

    >>> float(Huber()(np.array([0.0, 3.0]), np.array([1.0, 3.0])))
    0.25
    """

    def __init__(self, delta: float = 1.0, name: str = "huber"):
        self.delta, self.name = number("Huber: delta", delta, above=0), name

    def loss(self, target: Any, prediction: Tensor, weight: Any) -> Tensor:
        return ops.huber(prediction, target=target, weight=weight, delta=self.delta)


class _Function(Loss):
    """A plain function (y_true, y_pred) -> Tensor as a loss; y_true is cast to y_pred's dtype."""

    def __init__(self, function: Callable[..., Any]):
        self.function, self.name = function, getattr(function, "__name__", "loss")

    def loss(self, target: Any, prediction: Tensor, weight: Any) -> Tensor:
        if weight is not None:
            raise ValueError(f"{self.name}: a plain function takes no sample weights: write a Loss instead")
        column = target.shape == prediction.shape[:-1] and prediction.shape[-1:] == (1,)
        target = (target[..., None] if column else target).astype(prediction.dtype)
        value = self.function(target, prediction)
        return value if value.ndim == 0 else value.mean()


_KNOWN: dict[str, type[Loss]] = {
    "binary_crossentropy": BinaryCrossentropy,
    "bce": BinaryCrossentropy,
    "categorical_crossentropy": CategoricalCrossentropy,
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
    "mean_squared_error": MeanSquaredError,
    "mse": MeanSquaredError,
    "mean_absolute_error": MeanAbsoluteError,
    "mae": MeanAbsoluteError,
    "huber": Huber,
}


def __getattr__(name: str) -> object:
    known = dict.fromkeys(kind.__name__ for kind in _KNOWN.values())
    raise AttributeError(f"tinydx.losses has no {name!r}{did_you_mean(name, known)}")


def get(loss: Any) -> Loss:
    """The loss of that name.

    Arguments: loss, a name as "mean_squared_error" or "MeanSquaredError", a Loss or a subclass of it, or a function
    (y_true, y_pred) -> Tensor.
    Returns: a Loss.
    Raises: ValueError for an unknown name, with close matches.

    >>> get("mse")
    MeanSquaredError(name='mean_squared_error')
    """
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, type) and issubclass(loss, Loss):
        return loss()
    if callable(loss):
        return _Function(loss)
    key = snake_case(str(loss))
    if key not in _KNOWN:
        raise ValueError(f"unknown loss {loss!r}{did_you_mean(key, _KNOWN)}")
    return _KNOWN[key]()
