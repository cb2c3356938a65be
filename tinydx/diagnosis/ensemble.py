"""Ensembles: several models of the same task, the mean of their probabilities, and how far they disagree.

    fit(train, members, seed)      models trained from different seeds -> one model; or snapshots of one training
    average(models)                one model that computes the mean of their outputs; it is saved as one file
    members(model)                 the models inside
    spread(model, batches)         how far they disagree on each example
    judge(...)                     whether they disagree where they are wrong, on the test

    x --> model 0 --\\
    x --> model 1 ---> mean of the probabilities
    x --> model 2 --/

The mean is a functional model by Keras's layer Average, so that saving, loading and `tinydx predict` know nothing of ensembles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import tinydx
from tinydx import evaluation
from tinydx.layers import Average, Input
from tinydx.models import Model

SEEDS_APART = 1000  # between the seeds of two members, so that no two runs with neighbouring seeds share one


def fit(
    train: Callable[[int, Any], tuple[Any, Any]], count: int, seed: int = 0, snapshots: bool = False
) -> tuple[Model, list[Any]]:
    """Train several models from different seeds and average them.

    Arguments: train(seed, before) -> (model, history), which builds and trains one; before is the model whose weights it begins
    with, or None; count, how many; seed of the first; snapshots, whether each member begins with the weights of the one before,
    so that all are stations of one training whose learning rate starts again.
    Returns: (the ensemble, the histories in the order of its members).
    Source: snapshots: Huang et al. 2017.
    """
    found: list[tuple[Any, Any]] = []
    for i in range(count):
        tinydx.set_seed(seed + SEEDS_APART * i)
        before = found[-1][0] if snapshots and found else None
        found.append(train(seed + SEEDS_APART * i, before))
    return average([model for model, _ in found]), [history for _, history in found]


def average(models: Sequence[Any]) -> Model:
    """One model whose output is the mean of the models' outputs; class names and preprocessing are the first one's.

    Arguments: models, built, for the same inputs and classes.
    Returns: a functional model of them and an Average layer.
    Raises: ValueError for fewer than two models, for a model that is not built, and where inputs or outputs differ.

    >>> from tinydx.layers import Dense
    >>> from tinydx.models import Sequential
    >>> models = [Sequential([Dense(1, activation="sigmoid", input_shape=(3,))]) for _ in range(2)]
    >>> mean, x = average(models), np.ones((1, 3), "float32")
    >>> bool(np.allclose(mean.predict(x), (models[0].predict(x) + models[1].predict(x)) / 2))
    True
    """
    if len(models) < 2:
        raise ValueError(f"an ensemble needs two models or more, got {len(models)}")
    for model in models:
        if not model.built:
            raise ValueError(f"{model.name} is not built yet: fit it, or give its first layer an input_shape")
    first = models[0]
    for model in models[1:]:
        if model.input_shape != first.input_shape:
            raise ValueError(f"the models of an ensemble take inputs {first.input_shape} and {model.input_shape}")
        if list(model.class_names or []) != list(first.class_names or []):
            raise ValueError(f"the models of an ensemble know the classes {first.class_names} and {model.class_names}")
    x = _inputs_like(first)
    outputs = [model(x) for model in models]
    if any(y.shape != outputs[0].shape for y in outputs):
        raise ValueError(f"the models of an ensemble have outputs {', '.join(str(y.shape) for y in outputs)}")
    ensemble = Model(x, Average()(outputs), name="ensemble")
    ensemble.class_names, ensemble.preprocessing = first.class_names, first.preprocessing
    ensemble.input_range = first.input_range
    return ensemble


def _inputs_like(model: Any) -> Any:
    """New inputs of a model: one, or a list."""
    if isinstance(model.input_shape, list):
        return [Input(tuple(s.shape[1:]), s.name, s.dtype) for s in model.inputs]
    return Input(tuple(model.input_shape[1:]), dtype="int32" if model.takes_ids else model.compute_dtype)


def members(model: Any) -> list[Any]:
    """The models inside an ensemble, also after loading; none for any other model.

    >>> from tinydx.layers import Dense
    >>> from tinydx.models import Sequential
    >>> members(Sequential([Dense(1, input_shape=(3,))]))
    []
    """
    averages = any(type(layer) is Average for layer in model.layers)
    inside = [layer for layer in model.layers if isinstance(layer, Model)]
    return inside if averages and len(inside) == len(model.layers) - 1 else []


def predict_all(model: Any, batches: Callable[[], Any], class_names: Sequence[str]) -> np.ndarray:
    """The probabilities of every member.

    Arguments: model, an ensemble; batches() -> batches (x, y) in the order of the examples, made anew for every member;
    class_names, K names.
    Returns: (M,N,K) float64.
    """
    tables = [evaluation.probability_table(member.predict(batches()), class_names) for member in members(model)]
    return np.array(tables)


def spread(tables: np.ndarray) -> np.ndarray:
    """How far members disagree: the standard deviation of their probabilities of the class that their mean calls.

    Arguments: tables (M,N,K), as `predict_all` returns them.
    Returns: (N,).

    >>> spread(np.array([[[0.2, 0.8]], [[0.4, 0.6]]])).round(3)
    array([0.1])
    """
    called = tables.mean(axis=0).argmax(axis=1)
    return tables[:, np.arange(tables.shape[1]), called].std(axis=0)


def judge(tables: np.ndarray, y: np.ndarray, threshold: float = 0.5, positive: int | None = None) -> dict[str, Any]:
    """What the ensemble is worth on a test: beside each member, and whether its spread finds its errors.

    The spread finds errors where an error has a larger spread than a right answer: this is the ROC AUC of "error" by spread. Its
    baseline costs nothing: one minus the probability of the class that the mean calls.

    Arguments: tables (M,N,K); y (N,), class numbers; threshold and positive, as `evaluation.called_class` takes them.
    Returns: members; roc_auc and accuracy of the mean, and lists member_roc_auc and member_accuracy; errors, how many;
    spread_finds_errors and confidence_finds_errors, each an AUC with `<key>_interval` (None where nothing or everything is
    wrong); sentence.

    >>> tables = np.array([[[0.9, 0.1], [0.2, 0.8], [0.9, 0.1]], [[0.8, 0.2], [0.1, 0.9], [0.3, 0.7]]])
    >>> found = judge(tables, np.array([0, 1, 1]))
    >>> found["errors"], found["spread_finds_errors"]
    (1, 1.0)
    """
    mean = tables.mean(axis=0)
    wrong = evaluation.called_class(mean, positive, threshold) != y
    result: dict[str, Any] = {"members": len(tables), "errors": int(wrong.sum())}
    complete = len(np.unique(y)) == tables.shape[2]
    for key, measure in (("roc_auc", evaluation.macro_auc if complete else None), ("accuracy", _accuracy(positive, threshold))):
        result[key] = measure and float(measure(y, mean))
        result[f"member_{key}"] = [measure and float(measure(y, table)) for table in tables]
    scores = {"spread_finds_errors": spread(tables), "confidence_finds_errors": 1 - mean.max(axis=1)}
    for key, score in scores.items():
        known = 0 < wrong.sum() < len(y)
        result[key] = evaluation.roc_auc(wrong, score) if known else None
        interval = evaluation.bootstrap_interval(evaluation.roc_auc, wrong, score, strata=wrong) if known else None
        result[f"{key}_interval"] = interval and list(interval)
    return {**result, "sentence": _sentence(result)}


def _accuracy(positive: int | None, threshold: float) -> Callable[[np.ndarray, np.ndarray], float]:
    return lambda y, table: np.mean(evaluation.called_class(table, positive, threshold) == y)


def _sentence(result: dict[str, Any]) -> str:
    """The result in words."""
    key = "accuracy" if result["roc_auc"] is None else "roc_auc"
    name, single = key.replace("roc_auc", "ROC AUC"), result[f"member_{key}"]
    words = (
        f"The mean of {result['members']} members has {name} {result[key]:.3f}; its members alone have {min(single):.3f} to "
        f"{max(single):.3f}."
    )
    if result["spread_finds_errors"] is None:
        return words + " Whether their spread finds errors is not known: all answers are right, or all are wrong."
    low, high = result["spread_finds_errors_interval"]
    area, plain = result["spread_finds_errors"], result["confidence_finds_errors"]
    useful = "finds" if low > 0.5 else "is not shown to find"
    return (
        f"{words} Their spread {useful} its {result['errors']} errors (ROC AUC {area:.2f}, 95 % interval {low:.2f} to "
        f"{high:.2f}); the mean's own probability does so with {plain:.2f}."
    )
