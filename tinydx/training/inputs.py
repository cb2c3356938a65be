"""A model's input: checked and cast before it is computed with; warnings where a prediction can be misread."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from tinydx.device import on_device
from tinydx.evaluation import positive_class
from tinydx.training.data import Batch

Range = list[float] | None  # [smallest, largest] number; None without floating numbers


def checked_input(model: Any, batch: Batch, where: str) -> tuple[Any, Range]:
    """The batch's x in the model's dtype, and the range of its numbers; a model that is not built yet is built for it.

    Arguments: model; batch; where, which batch this is, for messages.
    Raises: ValueError with batch and file where a number is not finite (numbers on a GPU are checked in the step);
    TypeError for integers, unless a layer takes ids.
    """
    x = [_cast(model, v) for v in batch.x] if isinstance(batch.x, list) else _cast(model, batch.x)
    found: Range = None
    for part in x if isinstance(x, list) else [x]:
        if part.size and part.dtype.kind == "f" and not on_device(part):
            ends = [float(part.min()), float(part.max())]
            if not all(map(math.isfinite, ends)):
                bad = next(i for i in range(len(part)) if not np.isfinite(part[i]).all())
                name = f", file {batch.files[bad]}" if batch.files else f", example {bad} of the batch"
                raise ValueError(f"the input has NaN or infinite numbers in {where}{name}; nothing was changed")
            found = widened(found, ends)
    model.ensure_built([v.shape for v in x] if isinstance(x, list) else x.shape)
    return x, found


def surely_finite(x: Any) -> bool:
    """Whether all numbers of an input are finite for certain; False also where only the sum of their squares is not."""
    return all(v.dtype.kind != "f" or math.isfinite(np.vdot(v, v)) for v in (x if isinstance(x, list) else [x]))


def _cast(model: Any, x: Any) -> Any:
    """Floating input in the model's dtype; integers unchanged where a layer takes ids."""
    if x.dtype.kind == "f":
        return x.astype(model.compute_dtype, copy=False)
    if x.dtype.kind in "iu" and model.takes_ids:
        return x
    if x.dtype.kind in "US":
        raise TypeError(f"{model.name}: input is texts: read image files by load_images(paths, model.preprocessing)")
    raise TypeError(f"{model.name}: input is {x.dtype}: convert it, x.astype('float32') (images: / 255)")


def widened(some: Range, other: Range) -> Range:
    """The range that holds both.

    >>> widened([0.0, 1.0], [-1.0, 0.5]), widened(None, [0.0, 1.0])
    ([-1.0, 1.0], [0.0, 1.0])
    """
    if some is None or other is None:
        return some or other
    return [min(some[0], other[0]), max(some[1], other[1])]


def warn_of_range(given: Range, trained: Range) -> None:
    """Warn where the numbers of an input lie in another range than those of training."""
    if given is None or trained is None:
        return
    (low, high), (trained_low, trained_high) = given, trained
    span = max(trained_high - trained_low, 1e-12)
    if high > trained_high + span or low < trained_low - span or (trained_high > 10 and high <= 1):
        warnings.warn(
            f"the input reaches from {low:.4g} to {high:.4g}, but the model was trained on {trained_low:.4g} to"
            f" {trained_high:.4g}: rescale it as in training",
            stacklevel=4,
        )


def warn_of_order(x: Any) -> None:
    """Warn where an iterator mixes the examples that are predicted: the outputs are not in the order of its files or labels."""
    if getattr(x, "shuffle", False) is True:
        warnings.warn(
            f"the {type(x).__name__} has shuffle=True: the outputs come in a mixed order, not in that of its filenames and"
            " classes; make it with shuffle=False",
            stacklevel=4,
        )


def warn_of_augmentation(x: Any, use: str) -> None:
    """Warn where an iterator turns or shifts the examples that are judged or predicted."""
    options = getattr(getattr(x, "recipe", None), "augmentation", None)
    if options:
        told = ", ".join(f"{name}={value!r}" for name, value in options.items())
        warnings.warn(
            f"{use}: its examples are augmented at random ({told}), so each pass sees others: make it with a generator of its own"
            " without these options",
            stacklevel=4,
        )


def warn_of_meaning(output: np.ndarray, names: list[str] | None) -> None:
    """Warn where an output near 1 means the healthy class (class folders sort by name: abnormal = 0, normal = 1)."""
    if names and len(names) == 2 and output.ndim == 2 and output.shape[1] == 1 and positive_class(names) == 0:
        warnings.warn(
            f"an output near 1 means {names[1]!r}, near 0 {names[0]!r} (class folders sort by name):"
            " model.predict_classes(x) gives the names",
            stacklevel=4,
        )
