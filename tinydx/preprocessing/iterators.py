"""Endless iterators over batches of examples, prepared ahead in threads, with the random choices of Keras.

    BatchIterator     order, random transforms, threads and position; knows nothing of images or sounds
    ArrayIterator     its examples come from an array, with labels and weights
    FolderIterator    its examples come from files in class folders

A batch takes two steps. `_plan` makes every random choice, in the caller's thread: which examples, and the transform of
each. The plan is a pure function of the seed and of the position in the stream (`Position`), so the number of batches
prepared ahead never matters, and the position is all there is to save. `_make_batch` then reads and transforms the
examples of a plan; it makes no random choice, so threads cannot change its result.

One thread makes the batches, in order; a few others read and transform the examples of that batch. `next()` keeps
`PREFETCHED` batches in preparation behind the one it returns.
"""

from __future__ import annotations

import functools
import math
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import numpy as np

from tinydx import random
from tinydx.fingerprint import fingerprint
from tinydx.keras_words import ITERATORS, missing_attribute
from tinydx.preprocessing.files import check_choice
from tinydx.settings import flag, whole
from tinydx.settings import weights as checked_weights

PREFETCHED = 2  # batches in preparation while the consumer works on one: bounds the memory
EXAMPLE_THREADS = min(4, os.cpu_count() or 1)


class Recipe(Protocol):
    """How one example is transformed: what an iterator asks of an ImageDataGenerator or a SoundDataGenerator."""

    def get_random_transform(self, shape: tuple[int, ...], seed: Any = None, /) -> dict[str, Any]:
        """Draw the parameters of one example's transform."""

    def apply_transform(self, x: np.ndarray, transform: dict[str, Any], /) -> np.ndarray:
        """The example under these parameters."""

    def standardize(self, x: np.ndarray, /) -> np.ndarray:
        """The example as the model takes it: the last step, which draws nothing."""


@dataclass(frozen=True)
class Position:
    """A place in the endless stream of batches."""

    batches_seen: int = 0  # since the iterator was made; with the seed, it seeds the next batch's random choices
    batch_index: int = 0  # of the next batch in its epoch; 0 starts a new epoch
    epoch_seed: int | None = None  # seed of the epoch's permutation; None before the first epoch


@dataclass(frozen=True)
class Plan:
    """One batch, chosen but not made: indices of its examples, their transforms, and the position after it."""

    indices: np.ndarray
    transforms: list[dict[str, Any]]
    after: Position


class BatchIterator:
    """What all iterators share: order, random transforms, threads, position.

    With a seed, batch k (counted from 0 over all epochs) draws from np.random.RandomState(seed + k): the epoch's
    permutation if it is the first of an epoch, then each example's transform. Keras seeds NumPy's global generator in the
    same way; tinydx leaves that generator alone. Without a seed, one is drawn from tinydx's own generator at the first
    batch, so that `tinydx.set_seed` determines it.

    `len()` is the number of batches in an epoch. `iterator[i]` makes batch i of the current epoch at once, in the caller's
    thread; like `next()`, it counts as a batch seen.

    Arguments: recipe, transforms an example; n, number of examples; shape of an example of a batch; dtype of a batch;
    batch_size; shuffle, a new permutation for each epoch; seed, 0 to 2**32 - 1 or None.
    Raises: ValueError for an impossible batch_size or seed.
    """

    def __init__(
        self,
        recipe: Recipe,
        *,
        n: int,
        shape: tuple[int, ...],
        dtype: str,
        batch_size: int,
        shuffle: bool,
        seed: int | None,
    ):
        self.n, self.batch_size, self.shuffle = n, whole("batch_size", batch_size), flag("shuffle", shuffle)
        self.seed = None if seed is None else whole("seed", seed, at_least=0, at_most=2**32 - 1)
        self.recipe, self.shape, self.dtype = recipe, shape, dtype
        self.last_files: list[str] | None = None  # paths of the batch last returned, None for arrays
        self._stream_seed = None if seed is None else int(seed)
        self._position = Position()  # after the batch last returned: what the consumer has seen
        self._order: tuple[int, np.ndarray] | None = None  # the last epoch_seed and its permutation
        self._pending: deque[tuple[Plan, Future]]
        self._lock: threading.Lock
        self._batch_thread: ThreadPoolExecutor | None
        self._example_threads: ThreadPoolExecutor | None
        vars(self).update(_nothing_prepared())
        _iterators.add(self)

    def __getstate__(self) -> dict[str, Any]:
        """For pickle and copy: the position, but neither threads nor the batches that they prepare."""
        return {**vars(self), **_nothing_prepared(), "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock())
        _iterators.add(self)

    def __getattr__(self, name: str) -> Any:
        return missing_attribute(self, name, ITERATORS)

    def __len__(self) -> int:
        return math.ceil(self.n / self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        with self._lock:
            if self._batch_thread is None or self._example_threads is None:
                self._batch_thread = ThreadPoolExecutor(1, "tinydx-batch")
                self._example_threads = ThreadPoolExecutor(EXAMPLE_THREADS, "tinydx-example")
            while len(self._pending) <= PREFETCHED:
                plan = self._plan(self._pending[-1][0].after if self._pending else self._position)
                future = self._batch_thread.submit(self._make_batch, plan, self._example_threads.map)
                self._pending.append((plan, future))
            plan, future = self._pending.popleft()
            self._seen(plan)
        return future.result()  # raises what the thread raised; the next call continues with the next batch

    def __getitem__(self, index: int) -> Any:
        if not -len(self) <= index < len(self):
            raise IndexError(f"batch {index} of an iterator with {len(self)} batches an epoch")
        with self._lock:
            self._drop_pending()
            plan = self._plan(self._position, index % len(self))
            self._seen(plan)
        return self._make_batch(plan)

    def reset(self) -> None:
        """Make the next batch the first of a new epoch. The random choices continue; they do not start again."""
        with self._lock:
            self._drop_pending()
            self._position = replace(self._position, batch_index=0)

    def state(self) -> dict[str, Any]:
        """The position after the batch last returned, as a JSON-able dict; batches prepared ahead do not count."""
        return {**self._signature(), "seed": self._stream_seed, **asdict(self._position)}

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from a saved position: the batches that follow are the same, bit for bit.

        Arguments: state, what `state()` returned.
        Raises: ValueError for the state of other data or of another batch size.
        """
        fields = {*self._signature(), "seed", *asdict(self._position)}
        if set(state) != fields:
            raise ValueError(f"this iterator's state has {sorted(fields)}, the one given {sorted(state)}")
        saved = {name: state[name] for name in self._signature()}
        if saved != self._signature():
            raise ValueError(f"the state was saved with {saved}, this iterator has {self._signature()}")
        with self._lock:
            self._drop_pending()
            self._stream_seed = state["seed"]
            self._position = Position(state["batches_seen"], state["batch_index"], state["epoch_seed"])

    def _plan(self, position: Position, index: int | None = None) -> Plan:
        """The random choices of the batch at this position, or of batch `index` of its epoch, in the order of Keras."""
        if self._stream_seed is None:
            self._stream_seed = int(random.generator().integers(2**31))
        seed = (self._stream_seed + position.batches_seen) % 2**32
        draws = np.random.RandomState(seed)
        if position.epoch_seed is None or (index is None and position.batch_index == 0):
            epoch_seed = seed
            self._order = seed, self._permutation(draws)
        else:
            epoch_seed = position.epoch_seed
        if self._order is None or self._order[0] != epoch_seed:  # the position was loaded
            self._order = epoch_seed, self._permutation(np.random.RandomState(epoch_seed))
        current = position.batch_index if index is None else index
        indices = self._order[1][current * self.batch_size : (current + 1) * self.batch_size]
        following = (current + 1) % len(self) if index is None else position.batch_index
        return Plan(
            indices,
            [self.recipe.get_random_transform(self.shape, draws) for _ in indices],
            Position(position.batches_seen + 1, following, epoch_seed),
        )

    def _permutation(self, draws: np.random.RandomState) -> np.ndarray:
        """The order of the examples in one epoch."""
        return draws.permutation(self.n) if self.shuffle else np.arange(self.n)

    def _make_batch(self, plan: Plan, map_examples: Callable[..., Any] = map) -> Any:
        """Read, transform and stack the examples of a plan; `standardize` sees them in order."""
        x = np.empty((len(plan.indices), *self.shape), self.dtype)
        examples = map_examples(self._transformed, plan.indices, plan.transforms)
        for k, (index, example) in enumerate(zip(plan.indices, examples, strict=True)):
            try:
                x[k] = self.recipe.standardize(example)
            except Exception as error:
                error.add_note(f"raised for example {self._name(index)}")
                raise
        return self._batch(x, plan.indices)

    def _transformed(self, index: int, transform: dict[str, Any]) -> np.ndarray:
        return self.recipe.apply_transform(self._example(index), transform)

    def _seen(self, plan: Plan) -> None:
        self._position = plan.after
        self.last_files = self._files(plan.indices)

    def _drop_pending(self) -> None:
        for _, future in self._pending:
            future.cancel()
        self._pending.clear()

    def _signature(self) -> dict[str, Any]:
        """What a saved position depends on, apart from the seed."""
        return {"n": self.n, "batch_size": self.batch_size, "shuffle": bool(self.shuffle), **self._fingerprints}

    @functools.cached_property
    def _fingerprints(self) -> dict[str, str]:
        """Of the examples with their labels, and of the recipe's options."""
        return {"data": self._data_fingerprint(), "recipe": fingerprint(vars(self.recipe))}

    def _name(self, index: int) -> str:
        files = self._files(np.array([index]))
        return files[0] if files else f"number {index}"

    # What derived classes define:

    @property
    def preprocessing(self) -> dict[str, Any]:
        """How a file becomes an example of this iterator, without augmentation: JSON-able, stored in a model's file."""
        raise NotImplementedError

    def _example(self, index: int) -> np.ndarray:
        """Example `index`, not yet transformed. Several threads call this at the same time."""
        raise NotImplementedError

    def _batch(self, x: np.ndarray, indices: np.ndarray) -> Any:
        """What the iterator returns for these examples: x, (x, y) or (x, y, sample_weight)."""
        raise NotImplementedError

    def _files(self, indices: np.ndarray) -> list[str] | None:
        """The paths of these examples; None for arrays."""
        raise NotImplementedError

    def _data_fingerprint(self) -> str:
        """A fingerprint of all examples and their labels."""
        raise NotImplementedError


def _nothing_prepared() -> dict[str, Any]:
    """The attributes of an iterator that has prepared no batch and has no threads."""
    return {"_pending": deque(), "_lock": threading.Lock(), "_batch_thread": None, "_example_threads": None}


_iterators: weakref.WeakSet[BatchIterator] = weakref.WeakSet()


def _after_fork() -> None:
    """A forked process has none of the threads; an iterator that waited for them would wait for ever."""
    for iterator in _iterators:
        vars(iterator).update(_nothing_prepared())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class ArrayIterator(BatchIterator):
    """Batches of examples from an array.

    Arguments: arrays, from `checked_arrays`; recipe; order, the other arguments of BatchIterator: shape, dtype, batch_size,
    shuffle and seed.
    """

    def __init__(self, arrays: dict[str, np.ndarray], recipe: Recipe, **order: Any):
        self.x, self.y, self.sample_weight = arrays["x"], arrays.get("y"), arrays.get("sample_weight")
        super().__init__(recipe, n=len(self.x), **order)

    def _example(self, index: int) -> np.ndarray:
        return self.x[index].astype(self.dtype)  # a copy: a preprocessing_function may write into it

    def _batch(self, x: np.ndarray, indices: np.ndarray) -> Any:
        if self.y is None:
            return x
        if self.sample_weight is None:
            return x, self.y[indices]
        return x, self.y[indices], self.sample_weight[indices]

    def _files(self, indices: np.ndarray) -> None:
        return None

    def _data_fingerprint(self) -> str:
        return fingerprint(self.x, self.y, self.sample_weight)


def checked_arrays(x: Any, y: Any, sample_weight: Any) -> dict[str, np.ndarray]:
    """Those of x, y and sample_weight that are not None, as arrays under their names.

    Raises: ValueError for different lengths, and for weights without labels.

    >>> sorted(checked_arrays([[1.0], [2.0]], [0, 1], None))
    ['x', 'y']
    """
    arrays = {"x": x, "y": y, "sample_weight": sample_weight}
    arrays = {name: np.asarray(a) for name, a in arrays.items() if a is not None}
    if len({a.shape[:1] for a in arrays.values()}) > 1:
        shapes = ", ".join(f"{name} {a.shape}" for name, a in arrays.items())
        raise ValueError(f"x, y and sample_weight must have the same length; got {shapes}")
    checked_weights("sample_weight", arrays.get("sample_weight"))
    if "sample_weight" in arrays and y is None:
        raise ValueError("sample_weight weighs labels: pass y too")
    return arrays


class FolderIterator(BatchIterator):
    """Batches of examples from a folder that holds one folder of files for each class.

    Attributes: class_indices {name: index}; classes (n,) int32, the class index of each file; filenames, relative to the
    directory; filepaths; samples, num_classes, the numbers of files and classes.

    Arguments: directory; found {class name: paths relative to the directory}; class_mode, what y is: "binary" 0.0 or 1.0
    (two classes), "sparse" the class index as a float, "categorical" one-hot (N, classes), "input" the examples themselves,
    None no y; recipe; order, the other arguments of BatchIterator: shape, dtype, batch_size, shuffle and seed.
    Raises: ValueError for another class_mode, and for "binary" unless there are two classes.
    """

    def __init__(self, directory: Any, found: dict[str, list[str]], class_mode: str | None, recipe: Recipe, **order: Any):
        check_choice("class_mode", class_mode, ("categorical", "binary", "sparse", "input", None))
        if class_mode == "binary" and len(found) != 2:
            names = ", ".join(found)
            raise ValueError(f"class_mode='binary' needs 2 class folders, {directory} has {len(found)}: {names}")
        self.directory, self.class_mode = directory, class_mode
        self.class_indices = {name: index for index, name in enumerate(found)}
        self.filenames = [file for files in found.values() for file in files]
        self.filepaths = [os.path.join(directory, file) for file in self.filenames]
        self.classes = np.repeat(np.arange(len(found), dtype=np.int32), [len(files) for files in found.values()])
        self.samples, self.num_classes = len(self.filenames), len(found)
        super().__init__(recipe, n=self.samples, **order)

    def _batch(self, x: np.ndarray, indices: np.ndarray) -> Any:
        if self.class_mode is None:
            return x
        if self.class_mode == "input":
            return x, x.copy()
        if self.class_mode == "categorical":
            return x, np.eye(self.num_classes, dtype=self.dtype)[self.classes[indices]]
        return x, self.classes[indices].astype(self.dtype)

    def _files(self, indices: np.ndarray) -> list[str]:
        return [self.filepaths[index] for index in indices]

    def _data_fingerprint(self) -> str:
        sizes = [os.path.getsize(path) for path in self.filepaths]
        return fingerprint(self.filenames, sizes, self.classes, self.class_mode)


def announce(iterator: FolderIterator, noun: str, check: Callable[[Sequence[str]], None]) -> None:
    """Check an iterator's files, then print how many there are.

    Arguments: iterator; noun, the line's word for the files; check, raises an error unless the files at these paths can be read.
    """
    check(iterator.filepaths)
    print(f"Found {iterator.samples} {noun} belonging to {iterator.num_classes} classes.")
