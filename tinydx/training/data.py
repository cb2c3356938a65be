"""Where training batches come from: arrays, this package's image iterators, or anything that yields (x, y).

Every source is brought to one form: `next(source)` gives the next `Batch`, without end; `len(source)` is the number
of batches in one pass (a plain generator has none); `reset()` goes back to the start of a pass; and `state()` and
`load_state()` remember the place, so that a killed run can go on with the same batches.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from tinydx import random
from tinydx.device import on_device
from tinydx.tensor import Tensor


class Batch(NamedTuple):
    """One batch: x (an array, or a list for several inputs), y and weight (or None), and the files it was read from."""

    x: Any
    y: Any = None
    weight: Any = None
    files: list[str] | None = None


class ArrayBatches:
    """Batches of arrays, shuffled anew in each pass if asked for."""

    def __init__(self, x: Any, y: Any = None, weight: Any = None, batch_size: int = 32, shuffle: bool = False):
        self.x, self.y, self.weight = x, y, weight
        self.n = check_lengths(x, y, weight)
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}, expected at least 1")
        self.batch_size, self.shuffle = batch_size, shuffle
        self.position = 0  # batches given out in this pass
        self._begin_pass(seed=None)

    def _begin_pass(self, seed: int | None) -> None:
        """The order of this pass: as it is, or the permutation that the seed stands for."""
        self.seed = seed
        self.order = np.arange(self.n) if seed is None else np.random.default_rng(seed).permutation(self.n)

    def __len__(self) -> int:
        return -(-self.n // self.batch_size)

    def __next__(self) -> Batch:
        if self.position == 0 and self.shuffle:
            self._begin_pass(int(random.generator().integers(2**62)))
        rows = self.order[self.position * self.batch_size : (self.position + 1) * self.batch_size]
        self.position = (self.position + 1) % len(self)
        return Batch(_take(self.x, rows), _take(self.y, rows), _take(self.weight, rows))

    def reset(self) -> None:
        self.position = 0

    def state(self) -> dict[str, Any]:
        return {"n": self.n, "batch_size": self.batch_size, "seed": self.seed, "position": self.position}

    def load_state(self, state: dict[str, Any]) -> None:
        if (state["n"], state["batch_size"]) != (self.n, self.batch_size):
            was, now = f"{state['n']} examples in batches of {state['batch_size']}", f"{self.n} in {self.batch_size}"
            raise ValueError(f"the run was trained on {was}, now there are {now}: resume with the same data")
        self._begin_pass(state["seed"])
        self.position = state["position"]


class IteratorBatches:
    """Batches of one of this package's iterators, which know their files, their state and their class names."""

    def __init__(self, iterator: Any):
        self.iterator = iterator

    def __len__(self) -> int:
        return len(self.iterator)

    def __next__(self) -> Batch:
        batch = next(self.iterator)  # first: last_files are those of the batch last given out
        return as_batch(batch, getattr(self.iterator, "last_files", None))

    def reset(self) -> None:
        self.iterator.reset()

    def state(self) -> dict[str, Any]:
        return self.iterator.state()

    def load_state(self, state: dict[str, Any]) -> None:
        self.iterator.load_state(state)


class SequenceBatches:
    """Batches of an object with __len__ and __getitem__: item 0, 1, 2 ... and from the start again.

    If it has on_epoch_end(), that is called after each pass (to shuffle, say).
    """

    def __init__(self, sequence: Any):
        self.sequence, self.position = sequence, 0

    def __len__(self) -> int:
        return len(self.sequence)

    def __next__(self) -> Batch:
        batch = as_batch(self.sequence[self.position])
        self.position = (self.position + 1) % len(self)
        if self.position == 0 and hasattr(self.sequence, "on_epoch_end"):
            self.sequence.on_epoch_end()
        return batch

    def reset(self) -> None:
        self.position = 0

    def state(self) -> dict[str, Any]:
        return {"position": self.position}

    def load_state(self, state: dict[str, Any]) -> None:
        self.position = state["position"]


class GeneratorBatches:
    """Batches of a plain Python generator: no length, no way back; the caller says how many steps an epoch has."""

    def __init__(self, generator: Iterator[Any]):
        self.generator, self.given = generator, 0

    def __next__(self) -> Batch:
        try:
            item = next(self.generator)
        except StopIteration:
            raise ValueError(f"the data generator ended after {self.given} batches, but more were asked for") from None
        self.given += 1
        return as_batch(item)

    def reset(self) -> None:
        pass

    def state(self) -> dict[str, Any]:
        return {"given": self.given}

    def load_state(self, state: dict[str, Any]) -> None:
        while self.given < state["given"]:  # a generator can only be wound forward
            next(self)


def batches(x: Any, y: Any = None, weight: Any = None, batch_size: int | None = None, shuffle: bool = False) -> Any:
    """The source for whatever fit, evaluate or predict were given (arrays' own source as it is); ValueError else."""
    if isinstance(x, ArrayBatches):
        return x
    if is_array(x):
        size = 32 if batch_size is None else batch_size
        return ArrayBatches(as_arrays(x), as_labels(y), as_labels(weight), size, shuffle)
    if y is not None or weight is not None:
        raise ValueError("y or sample_weight was given besides a generator, which yields (x, y, sample_weight) itself")
    sized = hasattr(x, "__len__") and hasattr(x, "__getitem__")
    if hasattr(x, "load_state") and hasattr(x, "__next__"):
        source: Any = IteratorBatches(x)
    elif isinstance(x, str | bytes | dict) or not (sized or hasattr(x, "__iter__")):
        raise ValueError(f"data is a {type(x).__name__}: expected arrays, or a generator of (x, y) batches")
    else:
        source = SequenceBatches(x) if sized else GeneratorBatches(iter(x))
    if hasattr(source, "__len__") and len(source) == 0:
        raise ValueError(f"no data: the {type(x).__name__} has 0 batches")
    return source


def is_array(x: Any) -> bool:
    """Whether this is an array, or a list of them (several inputs, or rows of numbers)."""
    if isinstance(x, list | tuple):
        return len(x) > 0 and all(hasattr(v, "shape") or isinstance(v, int | float | list) for v in x)
    return hasattr(x, "shape") and hasattr(x, "__array__")


def as_arrays(x: Any) -> Any:
    """Arrays as they are, a list of arrays as several inputs, nested lists of numbers as one float32 array."""
    if isinstance(x, list | tuple):
        return [as_arrays(v) for v in x] if all(hasattr(v, "shape") for v in x) else np.asarray(x, np.float32)
    if isinstance(x, Tensor):
        return x.data
    return x if hasattr(x, "dtype") else np.asarray(x)


def as_labels(y: Any) -> Any:
    """Labels or weights as an array; None stays None."""
    return y if y is None or on_device(y) else np.asarray(y)


def as_batch(item: Any, files: list[str] | None = None) -> Batch:
    """(x,), (x, y), (x, y, weight) or x alone, as a Batch."""
    parts = item if isinstance(item, tuple) else (item,)
    if not 1 <= len(parts) <= 3:
        raise ValueError(f"a data generator gave {len(parts)} things at once: expected (x, y) or (x, y, sample_weight)")
    return Batch(as_arrays(parts[0]), *map(as_labels, parts[1:]))._replace(files=files)


def check_lengths(x: Any, y: Any, weight: Any) -> int:
    """How many examples there are; ValueError unless x, y and weight have the same number, and at least one."""
    parts = [(f"x[{i}]", v) for i, v in enumerate(x)] if isinstance(x, list) else [("x", x)]
    parts += [(name, v) for name, v in (("y", y), ("sample_weight", weight)) if v is not None]
    for name, v in parts:
        if np.ndim(v) == 0:
            raise ValueError(f"{name} is a single value: expected one entry an example")
    lengths = {name: len(v) for name, v in parts}
    if len(set(lengths.values())) != 1:
        raise ValueError("lengths differ: " + ", ".join(f"{name} has {n} examples" for name, n in lengths.items()))
    if not (n := len(parts[0][1])):
        raise ValueError("no data: x has 0 examples")
    return n


def split_off_validation(x: Any, y: Any, weight: Any, share: float) -> tuple[tuple, tuple]:
    """The first part for training and the last `share` for validation, before any shuffling, as Keras does."""
    if not 0 < share < 1:
        raise ValueError(f"validation_split is {share}, expected a number between 0 and 1")
    n = check_lengths(x, y, weight)
    cut = int(n * (1 - share))
    if cut in (0, n):
        raise ValueError(f"validation_split={share} of {n} examples leaves one side empty")
    parts = (x, y, weight)
    return tuple(_take(v, slice(cut)) for v in parts), tuple(_take(v, slice(cut, n)) for v in parts)


def class_weights_of(y: Any, class_weight: dict[int, float]) -> np.ndarray:
    """One weight an example, by its class: labels (N,), (N,1) or one-hot (N,K). A class without entry weighs 1."""
    wrong = [c for c in class_weight if not isinstance(c, int | np.integer)]
    if wrong:
        raise ValueError(f"class_weight has the key {wrong[0]!r}, expected class numbers: {{0: 1.0, 1: 2.0}}")
    y = np.asarray(y)
    if y.ndim > 2 or y.dtype.kind not in "biuf":
        raise ValueError(f"class_weight needs labels (N,), (N,1) or one-hot (N,K), got {y.dtype} {y.shape}")
    classes = y.argmax(axis=-1) if y.ndim == 2 and y.shape[1] > 1 else np.round(y.reshape(-1))
    return np.array([class_weight.get(int(c), 1.0) for c in classes], np.float32)


def combined_weight(y: Any, weight: Any, class_weight: dict[int, float] | None) -> Any:
    """The weight of each example: its sample weight times that of its class."""
    if class_weight is None:
        return weight
    by_class = class_weights_of(y, class_weight)
    if weight is None:
        return by_class
    if weight.shape not in (by_class.shape, (*by_class.shape, 1)):
        raise ValueError(f"sample_weight has shape {weight.shape}, expected {by_class.shape} beside class_weight")
    return by_class * weight.reshape(-1)


def _take(v: Any, rows: Any) -> Any:
    if v is None:
        return None
    return [a[rows] for a in v] if isinstance(v, list) else v[rows]
