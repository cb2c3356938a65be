"""Whether a model's output, its loss and its metrics mean something together: what nobody means is refused before the first step.

The last op of the prediction says what the output is: probabilities after a sigmoid or softmax, or else scores. Numbers of a
model that has diverged mean nothing, either: neither its weights after the last step, nor its answers.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinydx.device import Packet, on_device
from tinydx.evaluation import positive_class
from tinydx.losses import Crossentropy
from tinydx.metrics import BinaryCounts, F1Score
from tinydx.tensor import Tensor

_SCORES = {"dense": "no activation", "correlate2d": "no activation", "dense_relu": "relu", "correlate2d_relu": "relu"}
_SCORES |= {name: name for name in ("relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "tanh", "softplus", "softsign")}


def check_output(model: Any, prediction: Tensor) -> None:
    """ValueError where output, loss and metrics of a compiled model do not fit: softmax over one unit, probabilities of a relu,
    a sigmoid applied twice, a threshold of probabilities for scores."""
    last = prediction.node.op.name if prediction.node is not None else ""  # type: ignore[attr-defined]
    columns = prediction.shape[-1] if prediction.ndim else 1
    if last == "softmax" and columns == 1:
        cure = "end it in Dense(1, activation='sigmoid') and binary_crossentropy, or in a unit for each class"
        raise ValueError(f"{model.name} ends in softmax over one unit, which is always 1: {cure}")
    if isinstance(model.loss, Crossentropy):
        _check_loss(model, last)
    for metric in [*model.metrics, *model.weighted_metrics]:
        instead = metric.for_scores(columns)
        if model.loss.from_logits and instead:
            scores = "the outputs are scores (from_logits=True)"
            raise ValueError(f"{metric.name} takes probabilities, but {scores}: write {instead} instead")
        if getattr(metric, "from_logits", False) and last in ("sigmoid", "softmax"):
            raise ValueError(f"{metric.name}: from_logits=True, but the model ends in {last}: leave out one of them")


def _check_loss(model: Any, last: str) -> None:
    loss = model.loss
    if loss.from_logits:
        if last in ("sigmoid", "softmax", "relu", "dense_relu"):
            end = _SCORES.get(last, last)
            raise ValueError(f"{loss.name}: from_logits=True, but the model ends in {end}: leave out one of them")
    elif last in _SCORES:
        activation = "sigmoid" if loss.name == "binary_crossentropy" else "softmax"
        cure = f"give its last layer activation={activation!r}, or the loss from_logits=True"
        raise ValueError(f"{loss.name} takes probabilities, but {model.name} ends in {_SCORES[last]}: {cure}")


def warn_of_counted_class(model: Any, names: Sequence[str] | None) -> None:
    """Warn where metrics of a binary test count the healthy class, by the class names, as positive."""
    of_two = [m for m in [*model.metrics, *model.weighted_metrics] if isinstance(m, BinaryCounts | F1Score)]
    counted = [m.name for m in of_two if getattr(m, "class_id", None) is None]
    if names and len(names) == 2 and counted and positive_class(names) == 0:
        warnings.warn(
            f"{', '.join(counted)} count class 1, which is {names[1]!r} (class folders sort by name): sensitivity and"
            f" specificity change places; classes=[{names[1]!r}, {names[0]!r}] in flow_from_directory makes {names[0]!r} class 1",
            stacklevel=4,
        )


def check_weights(model: Any, where: str) -> None:
    """FloatingPointError where the last step left weights whose squares are not finite: there is no later step to notice."""
    weights = model.trainable_weights
    squares = {str(i): np.vdot(w.data, w.data) for i, w in enumerate(weights)}
    if squares and on_device(weights[0].data):
        squares = Packet(squares).read()
    for w, square in zip(weights, squares.values(), strict=True):
        if not np.isfinite(square):
            cure = "lower the learning rate, and train anew"
            raise FloatingPointError(f"the last step of {where} made {w.name} infinite, NaN or beyond all bounds: {cure}")


def _number(wrong: np.ndarray) -> str:
    """How many of the examples are wrong, for a message."""
    return f"{int(wrong.sum())} of {len(wrong)} examples, the first is number {int(np.argmax(wrong))}"


def warn_of_nan(p: np.ndarray) -> None:
    """Warn where an output is NaN: a comparison of it is False, as if the example were healthy."""
    wrong = np.isnan(p.reshape(len(p), -1)).any(axis=1)
    if wrong.any():
        warnings.warn(f"the outputs are NaN for {_number(wrong)}: the model's weights have diverged, train it anew", stacklevel=4)


def check_answer(p: np.ndarray, who: str) -> None:
    """ValueError where an output is NaN or infinite: no class is the most probable then."""
    wrong = ~np.isfinite(p.reshape(len(p), -1)).all(axis=1)
    if wrong.any():
        answer = f"the outputs are NaN or infinite for {_number(wrong)}"
        raise ValueError(f"{who}: {answer}: the model's weights have diverged, train it anew")
