"""Endless iterators over batches of images, prepared ahead in threads, with the draws of Keras.

Two steps make a batch. `_plan` decides everything random, in the caller's thread: which images, and the
transform of each. The plan is a pure function of the position in the stream (`Position`) and the seed, so it
never matters how many batches were prepared ahead, and the position is all there is to save. `_make_batch`
then reads and transforms the images of a plan; it draws nothing, so threads cannot change its result.

One thread makes the batches, in order; a few others read and transform the images of that batch. `next()`
keeps `AHEAD` batches in preparation behind the one it returns.
"""

from __future__ import annotations

import math
import os
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tinydx import random
from tinydx.preprocessing.files import (
    CHANNELS,
    INTERPOLATIONS,
    check_choice,
    check_images,
    check_target_size,
    find_images,
    img_to_array,
    load_img,
)

if TYPE_CHECKING:
    from tinydx.preprocessing.image import ImageDataGenerator

AHEAD = 2  # batches in preparation while the consumer works on one: bounds the memory
IMAGE_THREADS = min(4, os.cpu_count() or 1)


@dataclass(frozen=True)
class Position:
    """A place in the endless stream of batches."""

    batches_seen: int = 0  # since the iterator was made: with the seed, it seeds the next batch's draws
    batch_index: int = 0  # of the next batch in its epoch; 0 starts a new epoch
    epoch_seed: int | None = None  # what the epoch's permutation was drawn with; None before the first


@dataclass(frozen=True)
class Plan:
    """One batch, decided but not made: image indices, their transforms, and the position after it."""

    indices: np.ndarray
    transforms: list[dict[str, Any]]
    after: Position


class BatchIterator:
    """What all iterators share, of images and of sounds: order, draws, threads, position.

    With a seed, batch k (counted from 0 over all epochs) draws from np.random.RandomState(seed + k): the
    epoch's permutation if it is the first of an epoch, then each image's transform. Keras seeds NumPy's
    global generator in the same way; here that generator is left alone. Without a seed, one is drawn from
    tinydx's own generator when the first batch is asked for, so that `tinydx.set_seed` decides it.

    `len()` is the number of batches an epoch. `iterator[i]` makes batch i of the current epoch at once, in
    the caller's thread; like `next()` it counts as a batch seen.
    """

    def __init__(
        self,
        n: int,
        image_data_generator: Any,  # ImageDataGenerator or another recipe: get_random_transform, standardize
        image_shape: tuple[int, ...],
        batch_size: int,
        shuffle: bool,
        seed: int | None,
        dtype: str,
    ):
        if batch_size != int(batch_size) or batch_size < 1:
            raise ValueError(f"batch_size must be a positive whole number, got {batch_size!r}")
        if seed is not None and not 0 <= seed < 2**32:
            raise ValueError(f"seed must be in 0..2**32 - 1, got {seed!r}")
        self.n, self.batch_size, self.shuffle, self.seed = n, int(batch_size), shuffle, seed
        self.image_data_generator, self.image_shape, self.dtype = image_data_generator, image_shape, dtype
        self.last_files: list[str] | None = None  # paths of the batch last returned, None for arrays
        self._stream_seed = None if seed is None else int(seed)
        self._position = Position()  # after the batch last returned: what the consumer has seen
        self._pending: deque[tuple[Plan, Future]] = deque()
        self._order: tuple[int, np.ndarray] | None = None  # the last epoch_seed and its permutation
        self._lock = threading.Lock()
        self._batch_thread: ThreadPoolExecutor | None = None
        self._image_threads: ThreadPoolExecutor | None = None

    def __len__(self) -> int:
        return math.ceil(self.n / self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        with self._lock:
            if self._batch_thread is None or self._image_threads is None:
                self._batch_thread = ThreadPoolExecutor(1, "tinydx-batch")
                self._image_threads = ThreadPoolExecutor(IMAGE_THREADS, "tinydx-image")
            while len(self._pending) <= AHEAD:
                plan = self._plan(self._pending[-1][0].after if self._pending else self._position)
                future = self._batch_thread.submit(self._make_batch, plan, self._image_threads.map)
                self._pending.append((plan, future))
            plan, future = self._pending.popleft()
            self._seen(plan)
        return future.result()  # raises what the thread raised; the next call goes on with the next batch

    def __getitem__(self, index: int) -> Any:
        if not -len(self) <= index < len(self):
            raise IndexError(f"batch {index} of an iterator with {len(self)} batches an epoch")
        with self._lock:
            self._drop_pending()
            plan = self._plan(self._position, index % len(self))
            self._seen(plan)
        return self._make_batch(plan)

    def reset(self) -> None:
        """Make the next batch the first of a new epoch. The draws go on; they do not start again."""
        with self._lock:
            self._drop_pending()
            self._position = replace(self._position, batch_index=0)

    def state(self) -> dict[str, Any]:
        """Position after the batch last returned, a JSON-able dict; batches prepared ahead do not count."""
        return {**self._signature(), "seed": self._stream_seed, **asdict(self._position)}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go to the position that `state()` told: the batches that follow are the same, bit for bit.

        Raises ValueError where the state is of other data or another batch size.
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

    @property
    def preprocessing(self) -> dict[str, Any]:
        """How a file becomes this iterator's input, augmentation apart: JSON-able, for `load_images`.

        A preprocessing_function cannot be saved: it appears by name, so that `load_images` can refuse.
        """
        function = self.image_data_generator.preprocessing_function
        rescale = self.image_data_generator.rescale
        how = {**self._reading(), "rescale": float(rescale) if rescale else None}
        if function is not None:
            how["preprocessing_function"] = getattr(function, "__qualname__", repr(function))
        return how

    def _plan(self, position: Position, index: int | None = None) -> Plan:
        """Draw the batch at this position, or batch `index` of its epoch, in the order of Keras."""
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
        here = position.batch_index if index is None else index
        indices = self._order[1][here * self.batch_size : (here + 1) * self.batch_size]
        following = (here + 1) % len(self) if index is None else position.batch_index
        return Plan(
            indices,
            [self.image_data_generator.get_random_transform(self.image_shape, draws) for _ in indices],
            Position(position.batches_seen + 1, following, epoch_seed),
        )

    def _permutation(self, draws: np.random.RandomState) -> np.ndarray:
        return draws.permutation(self.n) if self.shuffle else np.arange(self.n)

    def _make_batch(self, plan: Plan, map_images: Callable[..., Any] = map) -> Any:
        """Read, transform and stack the images of a plan. The preprocessing_function sees them in order."""
        x = np.empty((len(plan.indices), *self.image_shape), self.dtype)
        images = map_images(self._image, plan.indices, plan.transforms)
        for k, (index, image) in enumerate(zip(plan.indices, images, strict=True)):
            try:
                x[k] = self.image_data_generator.standardize(image)
            except Exception as error:
                error.add_note(f"raised for image {self._name(index)}")
                raise
        return self._batch(x, plan.indices)

    def _seen(self, plan: Plan) -> None:
        self._position = plan.after
        self.last_files = self._files(plan.indices)

    def _drop_pending(self) -> None:
        for _, future in self._pending:
            future.cancel()
        self._pending.clear()

    def _signature(self) -> dict[str, Any]:
        """What a saved position depends on, apart from the seed."""
        return {"n": self.n, "batch_size": self.batch_size, "shuffle": bool(self.shuffle)}

    def _name(self, index: int) -> str:
        files = self._files(np.array([index]))
        return files[0] if files else f"number {index}"

    # What an iterator of its own kind knows:

    def _image(self, index: int, transform: dict[str, Any]) -> np.ndarray:
        """Image `index`, transformed, (H, W, C)."""
        raise NotImplementedError

    def _batch(self, x: np.ndarray, indices: np.ndarray) -> Any:
        """What the iterator returns for these inputs: x, (x, y) or (x, y, sample_weight)."""
        raise NotImplementedError

    def _files(self, indices: np.ndarray) -> list[str] | None:
        raise NotImplementedError

    def _reading(self) -> dict[str, Any]:
        """target_size, color_mode and interpolation, as `preprocessing` tells them."""
        raise NotImplementedError


class NumpyArrayIterator(BatchIterator):
    """Batches of augmented images from an array.

    Arguments: x (N, H, W, C); y, labels (N, ...), or None; image_data_generator, which transforms;
    batch_size; shuffle, a new permutation each epoch; sample_weight (N,); seed; subset, "training" or
    "validation" of the generator's validation_split (the first part validates); ignore_class_split, allow the
    two subsets to hold different labels (needed for real-valued targets); dtype of the images returned.
    Yields x, (x, y) or (x, y, sample_weight).
    Raises ValueError for mismatched lengths, another rank, no images, or subsets whose labels differ.

    >>> from tinydx.preprocessing.image import ImageDataGenerator
    >>> x = np.zeros((5, 8, 8, 3), "uint8")
    >>> batches = ImageDataGenerator().flow(x, [0, 1, 0, 1, 0], batch_size=2, shuffle=False)
    >>> images, labels = next(batches)
    >>> images.shape, images.dtype.name, labels.tolist(), len(batches)
    ((2, 8, 8, 3), 'float32', [0, 1], 3)
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        image_data_generator: ImageDataGenerator,
        batch_size: int = 32,
        shuffle: bool = False,
        sample_weight: Any = None,
        seed: int | None = None,
        *,
        subset: str | None = None,
        ignore_class_split: bool = False,
        dtype: str = "float32",
    ):
        arrays = {"x": x, "y": y, "sample_weight": sample_weight}
        arrays = {name: np.asarray(a) for name, a in arrays.items() if a is not None}
        shapes = ", ".join(f"{name} {a.shape}" for name, a in arrays.items())
        if arrays["x"].ndim != 4:
            raise ValueError(f"images are (N, H, W, C), got x {arrays['x'].shape}: no batch axis?")
        if len({a.shape[:1] for a in arrays.values()}) > 1:
            raise ValueError(f"x, y and sample_weight must have the same length; got {shapes}")
        if "sample_weight" in arrays and y is None:
            raise ValueError("sample_weight weighs labels: pass y too")
        if subset is not None:
            split = image_data_generator.validation_split
            arrays = _subset_of_arrays(arrays, subset, split, ignore_class_split)
        if not len(arrays["x"]):
            raise ValueError(f"no images{f' in subset {subset!r}' if subset else ''}: {shapes}")
        if arrays["x"].shape[3] not in CHANNELS.values():
            warnings.warn(
                f"x {arrays['x'].shape} has {arrays['x'].shape[3]} channels: images are (N, H, W, C)",
                stacklevel=3,
            )
        self.x, self.y, self.sample_weight = arrays["x"], arrays.get("y"), arrays.get("sample_weight")
        n, *shape = self.x.shape
        super().__init__(n, image_data_generator, tuple(shape), batch_size, shuffle, seed, dtype)

    def _image(self, index: int, transform: dict[str, Any]) -> np.ndarray:
        # a copy: a preprocessing_function may write into it
        return self.image_data_generator.apply_transform(self.x[index].astype(self.dtype), transform)

    def _batch(self, x: np.ndarray, indices: np.ndarray) -> Any:
        if self.y is None:
            return x
        if self.sample_weight is None:
            return x, self.y[indices]
        return x, self.y[indices], self.sample_weight[indices]

    def _files(self, indices: np.ndarray) -> None:
        return None

    def _reading(self) -> dict[str, Any]:
        height, width, channels = self.image_shape
        color_mode = next((mode for mode, count in CHANNELS.items() if count == channels), None)
        return {"target_size": [height, width], "color_mode": color_mode, "interpolation": "nearest"}


def _subset_of_arrays(arrays: dict, subset: str, validation_split: float, ignore_class_split: bool) -> dict:
    """The arrays' part for this subset: the first `validation_split` of them validates, the rest trains."""
    start, stop = _subset_bounds(len(arrays["x"]), subset, validation_split)
    border = stop if subset == "validation" else start
    y = arrays.get("y")
    if y is not None and not ignore_class_split:
        validation, training = np.unique(y[:border]), np.unique(y[border:])
        if not np.array_equal(validation, training):
            counts = f"{len(training)} and {len(validation)}"
            raise ValueError(f"training and validation have {counts} labels, not the same: shuffle x and y first")
    return {name: a[start:stop] for name, a in arrays.items()}


def _subset_bounds(n: int, subset: str, validation_split: float) -> tuple[int, int]:
    """Start and stop of a subset among n ordered samples."""
    check_choice("subset", subset, ("training", "validation"))
    if not validation_split:
        raise ValueError(f"subset={subset!r} needs ImageDataGenerator(validation_split=...)")
    border = int(validation_split * n)
    return (0, border) if subset == "validation" else (border, n)


class DirectoryIterator(BatchIterator):
    """Batches of augmented images from a folder that holds one folder of images for each class.

    Arguments: directory; image_data_generator, which transforms; target_size (height, width) that every image
    is resized to; color_mode "rgb", "rgba" or "grayscale"; classes, the class folders and their order, None
    for all, sorted; class_mode, what y is: "binary" 0. or 1. (two classes), "sparse" the class index as a
    float, "categorical" one-hot (N, classes), "input" the images themselves, None no y; batch_size; shuffle,
    a new permutation each epoch; seed; subset, "training" or "validation" of the generator's validation_split
    (the first images of each class validate: mind patients with several images); interpolation of the
    resizing; dtype.
    Attributes: class_indices {name: index}; classes, index of each file (n,) int32; filenames, relative to
    the directory; filepaths; n, samples, num_classes, image_shape, last_files, preprocessing.
    Prints how many images it found. Yields (x, y), or x for class_mode None.
    Raises find_images' and check_images' errors (missing folder, empty class, unreadable file ...), and
    ValueError for class_mode "binary" unless there are two classes, or for a subset that holds no image.

    >>> import tempfile
    >>> from tinydx.preprocessing.files import save_img
    >>> from tinydx.preprocessing.image import ImageDataGenerator
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for path in ("abnormal/a.png", "abnormal/b.png", "normal/c.png"):
    ...         os.makedirs(os.path.join(folder, os.path.dirname(path)), exist_ok=True)
    ...         save_img(os.path.join(folder, path), np.zeros((9, 9, 3)))
    ...     augment = ImageDataGenerator()
    ...     batches = augment.flow_from_directory(folder, (6, 6), class_mode="binary", shuffle=False)
    ...     images, labels = batches[0]
    Found 3 images belonging to 2 classes.
    >>> images.shape, labels.tolist(), batches.class_indices
    ((3, 6, 6, 3), [0.0, 0.0, 1.0], {'abnormal': 0, 'normal': 1})
    """

    def __init__(
        self,
        directory: Any,
        image_data_generator: ImageDataGenerator,
        target_size: Sequence[int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        *,
        subset: str | None = None,
        interpolation: str = "nearest",
        dtype: str = "float32",
    ):
        check_choice("color_mode", color_mode, CHANNELS)
        check_choice("class_mode", class_mode, ("categorical", "binary", "sparse", "input", None))
        check_choice("interpolation", interpolation, INTERPOLATIONS)
        self.target_size = check_target_size(target_size)
        self.directory, self.color_mode, self.class_mode = directory, color_mode, class_mode
        self.subset, self.interpolation = subset, interpolation

        found = find_images(directory, classes)
        if class_mode == "binary" and len(found) != 2:
            names = ", ".join(found)
            raise ValueError(f"class_mode='binary' needs 2 class folders, {directory} has {len(found)}: {names}")
        if subset is not None:
            split = image_data_generator.validation_split
            bounds = {name: _subset_bounds(len(files), subset, split) for name, files in found.items()}
            found = {name: files[slice(*bounds[name])] for name, files in found.items()}
        self.class_indices = {name: index for index, name in enumerate(found)}
        self.filenames = [file for files in found.values() for file in files]
        self.filepaths = [os.path.join(directory, file) for file in self.filenames]
        counts = [len(files) for files in found.values()]
        self.classes = np.repeat(np.arange(len(found), dtype=np.int32), counts)
        self.samples, self.num_classes = len(self.filenames), len(found)
        if not self.samples:
            raise ValueError(f"no images in subset {subset!r} of {directory} with validation_split={split}")
        shape = (*self.target_size, CHANNELS[color_mode])
        super().__init__(self.samples, image_data_generator, shape, batch_size, shuffle, seed, dtype)
        check_images(self.filepaths)
        print(f"Found {self.samples} images belonging to {self.num_classes} classes.")

    def _image(self, index: int, transform: dict[str, Any]) -> np.ndarray:
        img = load_img(self.filepaths[index], self.color_mode, self.target_size, self.interpolation)
        return self.image_data_generator.apply_transform(img_to_array(img, self.dtype), transform)

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

    def _reading(self) -> dict[str, Any]:
        return {
            "target_size": list(self.target_size),
            "color_mode": self.color_mode,
            "interpolation": self.interpolation,
        }
