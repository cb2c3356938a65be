"""The three fusions of arrays, each one word to choose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import tinydx
from tinydx.callbacks import EarlyStopping
from tinydx.evaluation import probability_table
from tinydx.fusion.batches import FusionBatches
from tinydx.fusion.calibration import Calibration, calibrate
from tinydx.fusion.cases import Cases
from tinydx.fusion.networks import added, encoder_of, joined
from tinydx.layers import Dense, Flatten, Input
from tinydx.layers.outputs import classification_loss, output_layer
from tinydx.models import Model, Sequential
from tinydx.optimizers import Adam
from tinydx.validation import logits_of

FUSIONS = ("early", "intermediate", "late")
Network = Callable[[tuple[int, ...], int], Any]  # shape of an example, classes -> a classifier, compiled or not
RATE, BATCH, EPOCHS = 3e-3, 64, 20


def fit(
    how: str,
    train: Cases,
    val: Cases,
    *,
    networks: Mapping[str, Network] | None = None,
    seed: int = 0,
    epochs: int = EPOCHS,
    drop: float = 0.2,
) -> Model:
    """Fuse the modalities of some examples.

    Arguments: how, "early": the modalities' numbers side by side, one classifier; "intermediate": each its encoder, joined
    before the last layers and trained together; "late": each its own model, calibrated on val, log-odds added; train; val, which
    also chooses the epoch; networks, for each modality's name what builds its classifier (None: one hidden layer); seed;
    epochs; drop, the share of present modalities that training hides (late fusion hides none: each model sees its own).
    Returns: a model, for which `probabilities` answers.
    Raises: ValueError for an unknown fusion, and for a modality that no training or validation example has.

    >>> rng, y = np.random.default_rng(0), np.arange(200) % 2
    >>> cases = Cases({name: rng.normal(size=(200, 1)) + y[:, None] for name in ("a", "b")}, y)
    >>> model = fit("late", cases, cases, epochs=2)
    >>> probabilities(model, cases.without("b")).shape
    (200, 2)
    """
    if how not in FUSIONS:
        raise ValueError(f"fusion {how!r} is not known: choose one of {', '.join(FUSIONS)}")
    names, present = train.names, train.known()
    for m, name in enumerate(names):
        for part, there in (("training", present), ("validation", val.known())):
            if not there[:, m].any():
                raise ValueError(f"no {part} example has {name}: leave it out")
    classes = int(max(train.y.max(), val.y.max())) + 1
    tinydx.set_seed(seed)
    build = {name: (networks or {}).get(name, dense) for name in names}
    models = {name: build[name](train.x[name].shape[1:], classes) for name in names}
    if how == "late":
        return _late(models, train, val, classes, epochs)
    if how == "early":
        encoders: dict[str, Model] = {name: Sequential([Flatten(input_shape=train.x[name].shape[1:])]) for name in names}
    else:
        encoders = {name: encoder_of(model, name) for name, model in models.items()}
    model = joined(encoders, classes)
    x = train.x
    batches = FusionBatches(lambda number: x, present, train.y, BATCH, seed, drop=drop)
    return _fitted(model, (batches,), (val.inputs(), val.y), classes, epochs)


def dense(shape: tuple[int, ...], classes: int) -> Sequential:
    """One hidden layer of 16 units: the network of a modality that is a few numbers.

    >>> dense((3,), 2).count_params()
    81
    """
    return Sequential([Input(shape), Flatten(), Dense(16, activation="relu"), output_layer(classes)])


def probabilities(model: Model, cases: Cases) -> np.ndarray:
    """A fused model's probabilities (N,K), whatever is missing."""
    inputs = cases.inputs()
    outputs = model.predict(inputs)
    return probability_table(outputs, [str(k) for k in range(max(2, outputs.shape[1]))])


def calibrations_of(models: Mapping[str, Model], val: Cases) -> dict[str, Calibration]:
    """Each modality's calibration on the validation examples that have it."""
    found, present = {}, val.known()
    for m, name in enumerate(val.names):
        rows = present[:, m]
        found[name] = calibrate(log_odds(models[name].predict(val.x[name][rows])), val.y[rows])
    return found


def log_odds(outputs: np.ndarray) -> np.ndarray:
    """Probabilities (N,1) of a sigmoid or (N,K) of a softmax as log-odds (N,1), or logits (N,K)."""
    if outputs.shape[1] > 1:
        return logits_of(outputs)
    z = logits_of(np.hstack([1 - outputs, outputs]))
    return z[:, 1:] - z[:, :1]


def prior_of(y: np.ndarray, classes: int) -> np.ndarray:
    """The classes' shares (K,), one example more counted of each, so that none is 0."""
    return (np.bincount(y, minlength=classes) + 1) / (len(y) + classes)


def _late(models: dict[str, Any], train: Cases, val: Cases, classes: int, epochs: int) -> Model:
    """Each modality's own model on the examples that have it, then `added`."""
    for m, name in enumerate(train.names):
        mine, chooses = train.known()[:, m], val.known()[:, m]
        held_out = val.x[name][chooses], val.y[chooses]
        models[name] = _fitted(models[name], (train.x[name][mine], train.y[mine], BATCH), held_out, classes, epochs)
    return added(models, calibrations_of(models, val), prior_of(val.y, classes))


def _fitted(model: Any, data: tuple[Any, ...], validation: Any, classes: int, epochs: int) -> Model:
    """The model with the weights of its best epoch; data, the first arguments of `fit`."""
    model.compile(Adam(RATE), classification_loss(classes))
    best = EarlyStopping("val_loss", patience=epochs, restore_best_weights=True)
    model.fit(*data, epochs=epochs, validation_data=validation, callbacks=[best], verbose=0)
    return model
