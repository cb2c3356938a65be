"""Sources of batches: arrays, tinydx's own iterators, or any object that yields (x, y).

All sources have the same methods. `next(source)` returns the next `Batch`, endlessly; `len(source)` is the number of batches
in one pass (a plain generator has none); `reset()` returns to the start of a pass; `state()` and `load_state()` save and
restore the position, so that a killed run can continue with the same batches; `identity()` says by fingerprints which data it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from tinydx import random
from tinydx.device import on_device
from tinydx.fingerprint import fingerprint
from tinydx.settings import flag, number, weights, whole
from tinydx.tensor import Tensor


class Batch(NamedTuple):
    """One batch: x, an array or a list for several inputs; y and weight, or None; the files that x was read from, or None;
    whole, if this is a rank's share of a batch, that batch (`tinydx.distributed`)."""

    x: Any
    y: Any = None
    weight: Any = None
    files: list[str] | None = None
    whole: Any = None


class ArrayBatches:
    """Batches of arrays.

    Arguments: x, y, weight, with one entry per example (x may be a list of inputs); batch_size; shuffle, whether each pass
    has a new random order.
    Raises: ValueError where lengths differ, there are no examples, or a weight is negative or NaN.

    >>> source = ArrayBatches(np.arange(5), batch_size=2)
    >>> [next(source).x.tolist() for _ in range(len(source))]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, x: Any, y: Any = None, weight: Any = None, batch_size: int = 32, shuffle: bool = False):
        self.can_start_again = True  # another process begins with the same batches, if the engine's random numbers are the same
        self.x, self.y, self.weight = x, y, weights("sample_weight", weight)
        self.n = check_lengths(x, y, weight)
        if self.weight is not None and not on_device(self.weight) and not self.weight.any():
            raise ValueError("sample_weight is 0 for every example: there is nothing to learn or to count")
        self.batch_size, self.shuffle = whole("batch_size", batch_size), flag("shuffle", shuffle)
        self.position = 0  # batches of this pass that were taken
        self._begin_pass(seed=None)

    def _begin_pass(self, seed: int | None) -> None:
        """Set the order of the pass: that of the arrays, or the permutation of the seed."""
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

    def check_state(self, state: dict[str, Any]) -> None:
        """ValueError unless the state is that of as many examples in batches of the same size."""
        if (state["n"], state["batch_size"]) != (self.n, self.batch_size):
            was, now = f"{state['n']} examples in batches of {state['batch_size']}", f"{self.n} in {self.batch_size}"
            raise ValueError(f"the run was trained on {was}, now there are {now}: resume with the same data")

    def load_state(self, state: dict[str, Any]) -> None:
        self.check_state(state)
        self._begin_pass(state["seed"])
        self.position = state["position"]

    def identity(self) -> dict[str, Any]:
        parts = {"x": self.x, "y": self.y, "sample_weight": self.weight}
        return {name: fingerprint(part) for name, part in parts.items()} | {"shuffle": self.shuffle}


class IteratorBatches:
    """Batches of one of tinydx's iterators, which know their files, state and class names."""

    def __init__(self, iterator: Any):
        self.iterator, self.can_start_again = iterator, True

    def __len__(self) -> int:
        return len(self.iterator)

    def __next__(self) -> Batch:
        batch = next(self.iterator)  # before last_files, which are those of the last batch
        return as_batch(batch, getattr(self.iterator, "last_files", None))

    def reset(self) -> None:
        self.iterator.reset()

    def state(self) -> dict[str, Any]:
        return self.iterator.state()

    def load_state(self, state: dict[str, Any]) -> None:
        self.iterator.load_state(state)

    def identity(self) -> dict[str, Any]:
        return {}  # its state holds fingerprints, which are compared when the state is loaded


class SequenceBatches:
    """Batches of an object with __len__ and __getitem__: items 0, 1, 2 ..., pass after pass.

    Its method on_epoch_end(), if there is one, is called after each pass, for example to shuffle. Its own methods state() and
    load_state(state) say how it goes on after a break. Without them, a resumed run calls on_epoch_end() as often as before, with
    NumPy's and Python's own random numbers as they were, and an error says where that does not lead to the same attributes.
    """

    def __init__(self, sequence: Any):
        self.sequence, self.position = sequence, 0
        may_shuffle = hasattr(sequence, "on_epoch_end") and not hasattr(sequence, "load_state")
        self.can_start_again = not may_shuffle  # else __init__ may have shuffled it, too
        self.ends: list[Any] = []  # for each call of on_epoch_end, the shared random state before it, if it drew from it

    def __len__(self) -> int:
        return len(self.sequence)

    def __next__(self) -> Batch:
        batch = as_batch(self.sequence[self.position])
        self.position = (self.position + 1) % len(self)
        if self.position == 0 and hasattr(self.sequence, "on_epoch_end"):
            before = random.shared_state()
            self.sequence.on_epoch_end()
            self.ends.append(before if fingerprint(before) != fingerprint(random.shared_state()) else None)
        return batch

    def reset(self) -> None:
        self.position = 0

    def state(self) -> dict[str, Any]:
        own = self.sequence.state() if hasattr(self.sequence, "load_state") else None
        here = {"position": self.position, "ends": self.ends, "random": random.shared_state(), "own": own}
        return here if own is not None else {**here, "attributes": self._attributes()}

    def load_state(self, state: dict[str, Any]) -> None:
        if state["own"] is not None:
            self.sequence.load_state(state["own"])
        else:
            for before in state["ends"]:
                if before is not None:
                    random.load_shared_state(before)
                self.sequence.on_epoch_end()
        random.load_shared_state(state["random"])
        self.position, self.ends = state["position"], list(state["ends"])
        if state["own"] is None and self._attributes() != state["attributes"]:
            name, cure = type(self.sequence).__name__, "give it state() and load_state(state), or seed its shuffling in __init__"
            raise ValueError(f"the {name} does not give the batches of the run: its data differ, or {cure}")

    def _attributes(self) -> str:
        return fingerprint(self.sequence if isinstance(self.sequence, list | tuple) else getattr(self.sequence, "__dict__", None))

    def identity(self) -> dict[str, Any]:
        return {}  # its attributes are compared when the state is loaded


class GeneratorBatches:
    """Batches of a plain Python generator, without length or reset; the caller gives the steps of an epoch."""

    def __init__(self, generator: Iterator[Any]):
        self.generator, self.given, self.can_start_again = generator, 0, True
        self.last: Any = None  # the item last given

    def __next__(self) -> Batch:
        try:
            item = next(self.generator)
        except StopIteration:
            raise ValueError(f"the data generator ended after {self.given} batches, but more were asked for") from None
        self.given, self.last = self.given + 1, item
        return as_batch(item)

    def reset(self) -> None:
        pass

    def state(self) -> dict[str, Any]:
        return {"given": self.given, "last": fingerprint(self.last)}

    def load_state(self, state: dict[str, Any]) -> None:
        while self.given < state["given"]:  # a generator can only advance
            next(self)
        if fingerprint(self.last) != state["last"]:
            raise ValueError(f"the data generator gives other batches than in the run, its number {self.given} differs: seed it")

    def identity(self) -> dict[str, Any]:
        return {}  # its last batch is compared when the state is loaded


def batches(x: Any, y: Any = None, weight: Any = None, batch_size: int | None = None, shuffle: bool = False) -> Any:
    """The source of batches for the data that fit, evaluate or predict got.

    Arguments: x, arrays, an iterator, a sequence or a generator; y, weight, batch_size, shuffle, for arrays only.
    Raises: ValueError for other data, for data without batches, and for y, weight or batch_size beside a generator.
    """
    if isinstance(x, ArrayBatches):
        return x
    if is_array(x):
        size = 32 if batch_size is None else batch_size
        return ArrayBatches(as_arrays(x), as_labels(y), as_labels(weight), size, shuffle)
    sized = hasattr(x, "__len__") and hasattr(x, "__getitem__")
    if isinstance(x, str | bytes | dict) or not (sized or hasattr(x, "__iter__") or hasattr(x, "__next__")):
        raise ValueError(f"data is a {type(x).__name__}: expected arrays, or a generator of (x, y) batches")
    if y is not None or weight is not None:
        raise ValueError("y or sample_weight was given besides a generator, which yields (x, y, sample_weight) itself")
    if batch_size is not None:
        raise ValueError(f"batch_size={batch_size} was given besides a {type(x).__name__}, whose batches have their size already")
    if hasattr(x, "load_state") and hasattr(x, "__next__"):
        source: Any = IteratorBatches(x)
    else:
        source = SequenceBatches(x) if sized else GeneratorBatches(iter(x))
    if hasattr(source, "__len__") and len(source) == 0:
        raise ValueError(f"no data: the {type(x).__name__} has 0 batches")
    return source


def is_array(x: Any) -> bool:
    """Whether x is an array, a list of arrays (several inputs), or a list of numbers."""
    if isinstance(x, list | tuple):
        return len(x) > 0 and all(hasattr(v, "shape") or isinstance(v, int | float | list) for v in x)
    return hasattr(x, "shape") and hasattr(x, "__array__")


def as_arrays(x: Any) -> Any:
    """Arrays unchanged, a list of arrays as several inputs, nested lists of numbers as one float32 array."""
    if isinstance(x, list | tuple):
        return [as_arrays(v) for v in x] if all(hasattr(v, "shape") for v in x) else np.asarray(x, np.float32)
    if isinstance(x, Tensor):
        return x.data
    return x if hasattr(x, "dtype") else np.asarray(x)


def as_labels(y: Any) -> Any:
    """Labels or weights as an array; None stays None."""
    return y if y is None or on_device(y) else np.asarray(y)


def as_batch(item: Any, files: list[str] | None = None) -> Batch:
    """A Batch of (x,), (x, y), (x, y, weight) or x alone."""
    parts = item if isinstance(item, tuple) else (item,)
    if not 1 <= len(parts) <= 3:
        raise ValueError(f"a data generator gave {len(parts)} things at once: expected (x, y) or (x, y, sample_weight)")
    x, y, weight = (*parts, None, None)[:3]
    return Batch(as_arrays(x), as_labels(y), weights("sample_weight", as_labels(weight)), files)


def check_lengths(x: Any, y: Any, weight: Any) -> int:
    """The number of examples; ValueError unless x, y and weight have the same number of them, and at least one."""
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
    """Split before any shuffling, as Keras does: ((x, y, weight) to train on, (x, y, weight) of the last share).

    Raises: ValueError where share is not between 0 and 1, or leaves one side empty.
    """
    number("validation_split", share, above=0, below=1)
    n = check_lengths(x, y, weight)
    cut = int(n * (1 - share))
    if cut in (0, n):
        raise ValueError(f"validation_split={share} of {n} examples leaves one side empty")
    parts = (x, y, weight)
    return tuple(_take(v, slice(cut)) for v in parts), tuple(_take(v, slice(cut, n)) for v in parts)


def _take(v: Any, rows: Any) -> Any:
    """Those rows of an array, or of each array of a list."""
    if v is None:
        return None
    return [a[rows] for a in v] if isinstance(v, list) else v[rows]
