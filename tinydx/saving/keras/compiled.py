"""How a model was compiled, in Keras's words <-> as tinydx's files say it: optimizer, loss and metrics that both have."""

from __future__ import annotations

from typing import Any

from tinydx import losses, metrics, optimizers
from tinydx.optimizers.schedules import LearningRateSchedule
from tinydx.saving.compiled import describe
from tinydx.saving.header import expect_dict, expect_list, expect_text, part
from tinydx.saving.keras.configs import Config, entry
from tinydx.settings import arguments_of, asks_for_nothing
from tinydx.suggestions import snake_case

OPTIMIZERS = ("SGD", "RMSprop", "Adagrad", "Adam", "AdamW")
LOSSES = (
    *("BinaryCrossentropy", "CategoricalCrossentropy", "SparseCategoricalCrossentropy"),
    *("MeanSquaredError", "MeanAbsoluteError", "Huber"),
)
METRICS = (
    *("BinaryAccuracy", "CategoricalAccuracy", "SparseCategoricalAccuracy", "MeanSquaredError", "MeanAbsoluteError"),
    *("AUC", "Precision", "Recall", "F1Score"),
)
SCHEDULES = ("CosineDecay", "ExponentialDecay", "InverseTimeDecay", "PiecewiseConstantDecay")
SHORT = {"accuracy": "accuracy", "acc": "acc", "mse": "mse", "mae": "mae", "bce": "bce"}
SILENT = ("name", "dtype", "is_legacy_optimizer", "jit_compile", "label_weights", "num_labels", "fn")


# ---- reading -------------------------------------------------------------------------------------------------------


def from_keras(training: Any, custom: dict[str, Any]) -> dict[str, Any] | None:
    """The entry that `compile_as` takes, None for a model that was not compiled. Names that tinydx lacks stay in it."""
    if not training or not expect_dict(training, "how it was compiled"):
        return None
    optimizer = training.get("optimizer", training.get("optimizer_config"))
    if optimizer is None or training.get("loss") is None:
        return None
    return {
        "optimizer": _thing(optimizer, optimizers, OPTIMIZERS, custom),
        "loss": _thing(training["loss"], losses, LOSSES, custom),
        "metrics": [_thing(m, metrics, METRICS, custom) for m in _flat(training.get("metrics"))],
        "weighted_metrics": [_thing(m, metrics, METRICS, custom) for m in _flat(training.get("weighted_metrics"))],
        "iterations": 0,
    }


def _flat(value: Any) -> list[Any]:
    """The metrics of a model with one output, which some files put into a list of lists."""
    found = expect_list([] if value is None else value, "metrics")
    return [one for v in found for one in (_flat(v) if isinstance(v, list) else [v])]


def _thing(value: Any, module: Any, known: tuple[str, ...], custom: dict[str, Any]) -> Any:
    """An optimizer, loss or metric as tinydx's files say it: a name or class and arguments; one that tinydx lacks by its name."""
    if isinstance(value, list | tuple):
        raise ValueError(f"it was compiled with {len(value)} losses: a model of tinydx has one")
    if isinstance(value, dict) and value.get("class_name") == "function":
        value = value.get("config")
    if isinstance(value, dict) and value.get("class_name") == "MeanMetricWrapper":
        value = expect_dict(value.get("config"), "a metric").get("fn")
    if isinstance(value, str):
        found = value in SHORT or snake_case(value) in map(snake_case, known)
        return value if found else {"function" if value in custom else "class": value, "config": {}}
    name = expect_text(expect_dict(value, "how it was compiled").get("class_name"), "the name of a class").rsplit(">", 1)[-1]
    config = expect_dict(part(value, "config", name), name)
    if name not in (*known, *SCHEDULES):
        return {"class": name, "config": config}
    kind = getattr(module if name in known else optimizers.schedules, name)
    return {"class": name, "config": _arguments(kind, config, custom)}


def _arguments(kind: type, config: Config, custom: dict[str, Any]) -> Config:
    """Arguments that tinydx has; those that ask for something else stay, and are answered by what to write instead."""
    ours, found = arguments_of(kind), dict[str, Any]()
    for name, value in config.items():
        name = "learning_rate" if name == "lr" and "learning_rate" in ours else name
        if name in ours or not (value is None or name in SILENT or asks_for_nothing(name, value)):
            found[name] = value
    if isinstance(found.get("learning_rate"), dict):
        found["learning_rate"] = _thing(found["learning_rate"], optimizers.schedules, SCHEDULES, custom)
    return {k: v for k, v in found.items() if not (k == "name" and issubclass(kind, optimizers.Optimizer | LearningRateSchedule))}


# ---- writing -------------------------------------------------------------------------------------------------------


def to_keras(model: Any) -> Config | None:
    """Keras's compile_config; None where the model is not compiled, or with something that Keras does not have."""
    if model.optimizer is None:
        return None
    watched, weighted = model.asked_metrics
    described = describe(model.optimizer), describe(model.loss), [*map(describe, watched)], [*map(describe, weighted)]
    try:
        optimizer = _class(described[0], OPTIMIZERS, "keras.optimizers")
        loss = _named(described[1], LOSSES, "keras.losses")
        found = [[_named(m, METRICS, "keras.metrics") for m in kind] for kind in described[2:]]
    except LookupError:
        return None
    return {"optimizer": optimizer, "loss": loss, "loss_weights": None, "metrics": found[0], "weighted_metrics": found[1] or None}


def to_old(training: Config | None) -> Config | None:
    """The same as the attribute training_config of older files."""
    return None if training is None else {**training, "optimizer_config": training["optimizer"]}


def _named(thing: Any, known: tuple[str, ...], module: str) -> Any:
    if isinstance(thing, str):
        if thing not in SHORT and snake_case(thing) not in map(snake_case, known):
            raise LookupError(thing)
        return thing
    return _class(thing, known, module)


def _class(thing: Any, known: tuple[str, ...], module: str) -> Config:
    if thing.get("class") not in known:
        raise LookupError(str(thing))
    config = dict(thing["config"])
    if isinstance(config.get("learning_rate"), dict):
        config["learning_rate"] = _class(config["learning_rate"], SCHEDULES, "keras.optimizers.schedules")
    return entry(module, thing["class"], config)
