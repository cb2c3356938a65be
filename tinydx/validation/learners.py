"""What cross-validation trains: anything that learns from examples and answers for others.

    build() returns                                  it becomes
    a compiled tinydx model                          Network(model, Fitting())
    (a compiled tinydx model, Fitting(...))          Network
    a scikit-learn classifier                        Estimator
    any object with learn and answer                 itself

`learn` sees the training examples of a fold and nothing else: what chooses an epoch, scales an input or tunes a number takes its
examples from these.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

import tinydx
from tinydx.callbacks import EarlyStopping
from tinydx.datasets.study import Examples
from tinydx.dispatch import unfused
from tinydx.layers.base import Layer
from tinydx.models import Model
from tinydx.validation.splits import folds_of

VALIDATION = 6  # a sixth of the training patients chooses the epoch


class Learner(Protocol):
    """Learns from examples, and answers for others."""

    def learn(self, part: Examples, seed: int, state: Path | None) -> None:
        """Train on these examples; state, a file from which an interrupted training continues."""

    def answer(self, part: Examples) -> np.ndarray:
        """Scores (N,), (N,1) of class 1 of two, or (N,K), higher where the class is more likely."""
        ...


Build = Callable[[], Any]


class Fitting(NamedTuple):
    """How a tinydx model is fitted: epochs, examples in a batch, and whether a sixth of the patients chooses the best epoch.

    Without `best_epoch` all training examples are fitted, and the weights are those of the last epoch.
    """

    epochs: int = 20
    batch_size: int = 32
    best_epoch: bool = False


def learner_of(built: Any) -> Learner:
    """What `build` returned, as a learner.

    Raises: TypeError for anything else than the module lists.

    >>> from tinydx.layers import Dense
    >>> from tinydx.models import Sequential
    >>> model = Sequential([Dense(1, activation="sigmoid")])
    >>> model.compile("adam", "binary_crossentropy")
    >>> type(learner_of((model, Fitting(epochs=5)))).__name__
    'Network'
    """
    if isinstance(built, Model):
        return Network(built, Fitting())
    if isinstance(built, tuple) and len(built) == 2 and isinstance(built[0], Model) and isinstance(built[1], Fitting):
        return Network(*built)
    if hasattr(built, "learn") and hasattr(built, "answer"):
        return built
    if hasattr(built, "fit") and (hasattr(built, "predict_proba") or hasattr(built, "decision_function")):
        return Estimator(built)
    raise TypeError(
        f"build() returned {type(built).__name__}: expected a compiled model, (model, Fitting(...)), or a scikit-learn classifier"
    )


class Network:
    """A compiled model of tinydx, and how it is fitted."""

    def __init__(self, model: Model, fitting: Fitting):
        self.model, self.fitting = model, fitting

    def learn(self, part: Examples, seed: int, state: Path | None) -> None:
        epochs, batch_size, best_epoch = self.fitting
        fitted, validation, callbacks = part, None, []
        if best_epoch:
            fold, _ = folds_of(part, VALIDATION, seed, part.patient)
            fitted, chooses = part.take(fold != 0), part.take(fold == 0)
            validation = (chooses.x, chooses.y)
            callbacks = [EarlyStopping("val_loss", patience=epochs, restore_best_weights=True)]
        self.model.fit(fitted.x, fitted.y, batch_size, epochs, 0, callbacks, validation_data=validation, resume=state)

    def answer(self, part: Examples) -> np.ndarray:
        return np.asarray(self.model.predict(part.x))

    def features(self, part: Examples) -> np.ndarray:
        """See `features_of`."""
        return features_of(self.model, lambda: self.model.predict(part.x))


class Estimator:
    """A classifier of scikit-learn. It is fitted at once, so that there is nothing to resume."""

    def __init__(self, estimator: Any):
        self.estimator = estimator

    def learn(self, part: Examples, seed: int, state: Path | None) -> None:
        if "random_state" in self.estimator.get_params():
            self.estimator.set_params(random_state=seed)
        self.estimator.fit(_flat(part.x), part.y)

    def answer(self, part: Examples) -> np.ndarray:
        scores = getattr(self.estimator, "predict_proba", None) or self.estimator.decision_function
        return np.asarray(scores(_flat(part.x)))

    def features(self, part: Examples) -> np.ndarray:
        """The inputs themselves: a linear model has no others."""
        return _flat(part.x)


def _flat(x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), -1)


def features_of(model: Model, predict: Callable[[], Any]) -> np.ndarray:
    """The numbers of which a model makes its answer: what its last layer with weights takes in.

    Arguments: model, built; predict, which runs the model on all examples, without training it.
    Returns: float32 (N,D).
    Raises: ValueError for a model without weights.

    >>> from tinydx.layers import Dense
    >>> from tinydx.models import Sequential
    >>> model, x = Sequential([Dense(3, activation="relu", input_shape=(2,)), Dense(1)]), np.ones((4, 2), "float32")
    >>> np.allclose(features_of(model, lambda: model.predict(x)), model.layers[0](x).numpy())
    True
    """
    last, seen = _last_weighted(model), []
    original = last.call

    def watched(x: Any, *rest: Any, **keywords: Any) -> Any:
        seen.append(np.asarray(x.numpy() if hasattr(x, "numpy") else x, np.float32).reshape(len(x), -1))
        return original(x, *rest, **keywords)

    last.call = watched  # type: ignore[method-assign]
    try:
        with unfused():
            predict()
    finally:
        del last.call
    return np.concatenate(seen)


def _last_weighted(model: Model) -> Layer:
    """The last layer that has weights, of the last of the models inside."""
    weighted = [layer for layer in model.layers if layer.weights]
    if not weighted:
        raise ValueError(f"{model.name} has no weights, so that it has no features")
    return _last_weighted(weighted[-1]) if isinstance(weighted[-1], Model) else weighted[-1]


def begin(build: Build, seed: int) -> Learner:
    """A new learner, whose first weights come from the seed."""
    tinydx.set_seed(seed)
    return learner_of(build())
