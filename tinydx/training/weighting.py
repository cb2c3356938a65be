"""The weight of each example: its sample weight times the weight of its class."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinydx.device import on_device
from tinydx.settings import number


def check_class_weight(class_weight: Any, classes: int | None = None) -> None:
    """ValueError unless it is {class number: weight of 0 or more}; with `classes`, the number of classes, for these only."""
    if not isinstance(class_weight, dict) or not class_weight:
        raise ValueError(f"class_weight is {class_weight!r}, expected a weight for each class: {{0: 1.0, 1: 2.0}}")
    for c, weight in class_weight.items():
        if not isinstance(c, int | np.integer) or isinstance(c, bool) or c < 0:
            raise ValueError(f"class_weight has the key {c!r}, expected class numbers: {{0: 1.0, 1: 2.0}}")
        if classes is not None and c >= classes:
            raise ValueError(f"class_weight has an entry for class {c}, but the classes are 0 to {classes - 1}")
        number(f"class_weight of class {c}", weight, at_least=0)


def class_weights_of(y: Any, class_weight: dict[int, float]) -> np.ndarray:
    """One weight per example, by its class.

    Arguments: y, labels (N,), (N,1) or one-hot (N,K); class_weight, {class: weight}.
    Returns: float32 (N,).
    Raises: ValueError for other labels, and for a class without an entry (in Keras it weighs 1).

    >>> class_weights_of([0, 1, 1], {0: 1.0, 1: 2.0}).tolist()
    [1.0, 2.0, 2.0]
    """
    check_class_weight(class_weight)
    classes = class_numbers(y)
    missing = sorted(set(np.unique(classes).tolist()) - set(class_weight))
    if missing:
        raise ValueError(f"class_weight has no entry for class {missing[0]}: give every class its weight, {{0: 1.0, 1: 2.0}}")
    return np.array([class_weight[c] for c in classes.tolist()], np.float32)


def class_numbers(y: Any) -> np.ndarray:
    """The class of each example (N,), of labels (N,), (N,1) or one-hot (N,K); ValueError for labels that are no classes."""
    y = np.asarray(y)
    if y.ndim > 2 or y.dtype.kind not in "biuf":
        raise ValueError(f"class_weight needs labels (N,), (N,1) or one-hot (N,K), got {y.dtype} {y.shape}")
    if y.ndim == 2 and y.shape[1] > 1:
        if not np.allclose(y.sum(axis=1), 1):
            wrong = "a row of the labels does not sum to 1"
            raise ValueError(f"class_weight needs one class an example, but {wrong}: use sample_weight")
        return y.argmax(axis=-1)
    numbers = y.reshape(-1).astype(np.int64)
    if not (numbers == y.reshape(-1)).all():
        raise ValueError("class_weight needs class numbers as labels, but they are no whole numbers: use sample_weight")
    return numbers


def number_of_classes(source: Any) -> int | None:
    """How many classes the labels of a source have, where that is known before training: of class folders, and of arrays."""
    held = getattr(source, "iterator", source)  # an iterator of tinydx, or arrays
    names, y = getattr(held, "class_indices", None), getattr(held, "y", None)
    if names or y is None or on_device(y):
        return len(names) if names else None
    return y.shape[1] if np.ndim(y) == 2 and y.shape[1] > 1 else max(2, int(class_numbers(y).max()) + 1)


def combined_weight(y: Any, weight: Any, class_weight: dict[int, float] | None) -> Any:
    """The weight of each example: its sample weight times the weight of its class; None where neither is given."""
    if class_weight is None:
        return weight
    by_class = class_weights_of(y, class_weight)
    if weight is None:
        return by_class
    if weight.shape not in (by_class.shape, (*by_class.shape, 1)):
        raise ValueError(f"sample_weight has shape {weight.shape}, expected {by_class.shape} beside class_weight")
    return by_class * weight.reshape(-1)
