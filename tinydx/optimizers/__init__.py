"""Optimizers, by Keras's names, and the schedules of their learning rates."""

from typing import Any

from tinydx.optimizers import schedules
from tinydx.optimizers.base import SLICE, Optimizer
from tinydx.optimizers.rules import SGD, Adagrad, Adam, AdamW, RMSprop
from tinydx.suggestions import did_you_mean

__all__ = ["SGD", "SLICE", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop", "get", "schedules"]

_KNOWN: dict[str, Any] = {
    "sgd": SGD,
    "rmsprop": RMSprop,
    "adagrad": Adagrad,
    "adam": Adam,
    "adamw": AdamW,
}


def get(optimizer: Any) -> Optimizer:
    """The optimizer of that name, with its defaults.

    Arguments: optimizer, a name in any case, an Optimizer, or a subclass of it.
    Returns: an Optimizer.
    Raises: ValueError for an unknown name, with close matches.

    >>> get("adam").learning_rate
    0.001
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    if isinstance(optimizer, type) and issubclass(optimizer, Optimizer):
        return optimizer()  # type: ignore[call-arg]
    if str(optimizer).lower() not in _KNOWN:
        raise ValueError(f"unknown optimizer {optimizer!r}{did_you_mean(str(optimizer).lower(), _KNOWN)}")
    return _KNOWN[str(optimizer).lower()]()


def __getattr__(name: str) -> object:
    known = [kind.__name__ for kind in _KNOWN.values()]
    raise AttributeError(f"tinydx.optimizers has no {name!r}{did_you_mean(name, known)}")
