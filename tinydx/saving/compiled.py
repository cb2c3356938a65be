"""How a model was compiled, as JSON: optimizer, loss and metrics, each a name or a class with its arguments."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

from tinydx import losses, metrics, optimizers, regularizers
from tinydx.optimizers.schedules import LearningRateSchedule
from tinydx.saving.arguments import check_arguments
from tinydx.saving.header import expect_count, expect_dict, expect_list, expect_text, part

Known = dict[str, Any]  # custom_objects: a user's own classes and functions, by name
DESCRIBED = optimizers.Optimizer | LearningRateSchedule | regularizers.Regularizer | losses.Loss | metrics.Metric


class UnknownName(LookupError):
    """A class or function that a file names, and that neither tinydx nor custom_objects has."""


def describe(thing: Any) -> Any:
    """An optimizer, schedule, regularizer, loss or metric as JSON: its name, a function's name, or class and arguments."""
    thing = thing._fn if type(thing) is metrics.MeanMetricWrapper else getattr(thing, "function", thing)
    if isinstance(thing, str):
        return thing
    if not isinstance(thing, DESCRIBED):
        return {"function": getattr(thing, "__name__", type(thing).__name__)}
    known = {**getattr(thing, "_keywords", {}), **vars(thing)}
    if isinstance(thing, optimizers.Optimizer):
        known["learning_rate"] = thing.learning_rate if thing.schedule is None else describe(thing.schedule)
    names = [p for c in type(thing).__mro__[:-1] for p in inspect.signature(c.__init__).parameters]  # type: ignore[misc]
    return {"class": type(thing).__name__, "config": {n: known[n] for n in dict.fromkeys(names) if n in known}}


def recall(entry: Any, module: Any, base: type, custom: Known) -> Any:
    """The object that `describe` described.

    Raises: UnknownName; TypeError or ValueError for arguments that it does not take.
    """
    if isinstance(entry, str):
        return entry
    where = f"the {base.__name__.lower()}"
    if "function" in expect_dict(entry, where):
        return _function(expect_text(entry["function"], where), module, custom)
    name = expect_text(part(entry, "class", where), where)
    kind: Any = {**vars(module), **custom}.get(name)
    made = isinstance(kind, type) and issubclass(kind, base) and kind is not base
    if not made or (name.startswith("_") and name not in custom):
        raise UnknownName(name)
    config = dict(expect_dict(part(entry, "config", name), f"the arguments of {name}"))
    if isinstance(config.get("learning_rate"), dict) and base is optimizers.Optimizer:
        config["learning_rate"] = recall(config["learning_rate"], optimizers.schedules, LearningRateSchedule, custom)
    check_arguments(kind, config)
    if config.get("learning_rate") != 0 or base is not optimizers.Optimizer:
        return kind(**config)
    optimizer: Any = kind(**config | {"learning_rate": 1.0})  # a callback had set it to 0, with which no optimizer is made
    optimizer.learning_rate = 0.0
    return optimizer


def _function(name: str, module: Any, custom: Known) -> Any:
    """A user's function or class, or a public function that the module itself defines."""
    if name in custom and callable(custom[name]):
        return custom[name]
    found = getattr(module, name, None)
    own = inspect.isfunction(found) and found.__module__ == module.__name__ and not name.startswith("_")
    if not own or name == "get":
        raise UnknownName(name)
    return found


def compile_as(model: Any, training: Any, custom: Known) -> None:
    """Compile the model as it was compiled; where a part is unknown, warn and leave it uncompiled."""
    where = "training"
    expect_count(part(expect_dict(training, where), "iterations", where), "iterations")
    try:
        optimizer = recall(part(training, "optimizer", where), optimizers, optimizers.Optimizer, custom)
        loss = recall(part(training, "loss", where), losses, losses.Loss, custom)
        watched, weighted = (
            [recall(m, metrics, metrics.Metric, custom) for m in expect_list(part(training, k, where), k)]
            for k in ("metrics", "weighted_metrics")
        )
    except UnknownName as error:
        name = error.args[0]
        warnings.warn(
            f"the model was trained with {name}, which tinydx does not know: it can predict, but is not compiled;"
            f" load_model(path, custom_objects={{{name!r}: ...}})",
            stacklevel=4,
        )
        return
    model.compile(optimizer, loss, watched, weighted)
