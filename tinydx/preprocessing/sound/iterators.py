"""Endless iterators over batches of sounds, prepared ahead in threads; see `BatchIterator`. And batches of unequal lengths."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from tinydx.preprocessing.files import check_choice
from tinydx.preprocessing.iterators import BatchIterator
from tinydx.preprocessing.sound.files import check_sounds, find_sounds, load_samples

if TYPE_CHECKING:
    from tinydx.preprocessing.sound.generator import SoundDataGenerator


class SoundIterator(BatchIterator):
    """What both iterators share: samples become features; see BatchIterator for order, draws, threads and position."""

    def __init__(self, n: int, generator: SoundDataGenerator, length: int, batch_size: int, shuffle: bool, seed: int | None):
        super().__init__(n, generator, generator.shape(length), batch_size, shuffle, seed, "float32")
        self.generator, self.length = generator, length

    @property
    def preprocessing(self) -> dict[str, Any]:
        """How a file becomes this iterator's input, augmentation apart: JSON-able, for `load_features`."""
        return {"seconds": self.length / self.generator.rate, "features": self.generator.options}

    def _image(self, index: int, transform: dict[str, Any]) -> np.ndarray:
        return self.generator.apply_transform(self._samples(index), transform)

    def _samples(self, index: int) -> np.ndarray:
        """Sound `index`, (L,) at the generator's rate."""
        raise NotImplementedError


class SoundArrayIterator(SoundIterator):
    """Batches of augmented features from an array of samples.

    Arguments: x (N, L), samples at the generator's rate; y, labels (N, ...), or None; the generator; batch_size; shuffle, a
    new permutation each epoch; sample_weight (N,); seed.
    Yields x, (x, y) or (x, y, sample_weight), x as (N, T, F).
    Raises ValueError for mismatched lengths, another rank, or no sounds.
    """

    def __init__(
        self,
        x: ArrayLike,
        y: Any,
        generator: SoundDataGenerator,
        batch_size: int = 32,
        shuffle: bool = False,
        sample_weight: Any = None,
        seed: int | None = None,
    ):
        self.x = np.asarray(x)
        self.labels = [np.asarray(a) for a in (y, sample_weight) if a is not None]
        if self.x.ndim != 2 or 0 in self.x.shape:
            raise ValueError(f"sounds are (N, samples), got x {self.x.shape}")
        if sample_weight is not None and y is None:
            raise ValueError("sample_weight weighs labels: pass y too")
        if any(len(a) != len(self.x) for a in self.labels):
            lengths = [len(a) for a in (self.x, *self.labels)]
            raise ValueError(f"x, y and sample_weight must have the same length; got {lengths}")
        super().__init__(len(self.x), generator, self.x.shape[1], batch_size, shuffle, seed)

    def _samples(self, index: int) -> np.ndarray:
        return self.x[index]

    def _batch(self, x: np.ndarray, indices: np.ndarray) -> Any:
        return (x, *(a[indices] for a in self.labels)) if self.labels else x

    def _files(self, indices: np.ndarray) -> None:
        return None


class SoundDirectoryIterator(SoundIterator):
    """Batches of augmented features from a folder that holds one folder of wav or flac files for each class.

    Arguments: directory; the generator; seconds of each file, from its beginning: a longer one is cut, a shorter one
    repeated; classes, the class folders and their order, None for all, sorted; class_mode, what y is: "binary" 0. or 1.
    (two classes), "sparse" the class index as a float, "categorical" one-hot, None no y; batch_size; shuffle; seed.
    Attributes as of the images' DirectoryIterator: class_indices, classes, filenames, filepaths, samples, num_classes.
    Prints how many files it found. Yields (x, y), or x for class_mode None.
    Raises find_sounds' and check_sounds' errors, and ValueError for class_mode "binary" unless there are two classes.
    """

    def __init__(
        self,
        directory: Any,
        generator: SoundDataGenerator,
        seconds: float = 10.0,
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
    ):
        check_choice("class_mode", class_mode, ("categorical", "binary", "sparse", None))
        found = find_sounds(directory, classes)
        if class_mode == "binary" and len(found) != 2:
            raise ValueError(f"class_mode='binary' needs 2 class folders, {directory} has {len(found)}: {', '.join(found)}")
        self.directory, self.seconds, self.class_mode = directory, seconds, class_mode
        self.class_indices = {name: index for index, name in enumerate(found)}
        self.filenames = [file for files in found.values() for file in files]
        self.filepaths = [os.path.join(directory, file) for file in self.filenames]
        self.classes = np.repeat(np.arange(len(found), dtype=np.int32), [len(files) for files in found.values()])
        self.samples, self.num_classes = len(self.filenames), len(found)
        super().__init__(self.samples, generator, round(seconds * generator.rate), batch_size, shuffle, seed)
        check_sounds(self.filepaths)
        print(f"Found {self.samples} recordings belonging to {self.num_classes} classes.")

    def _samples(self, index: int) -> np.ndarray:
        return load_samples(self.filepaths[index], self.generator.rate, self.seconds)

    def _batch(self, x: np.ndarray, indices: np.ndarray) -> Any:
        if self.class_mode is None:
            return x
        if self.class_mode == "categorical":
            return x, np.eye(self.num_classes, dtype=self.dtype)[self.classes[indices]]
        return x, self.classes[indices].astype(self.dtype)

    def _files(self, indices: np.ndarray) -> list[str]:
        return [self.filepaths[index] for index in indices]


def pad_sounds(sounds: Sequence[ArrayLike], length: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Sequences of different lengths as one batch: zeros at the end, and a mask of what is real.

    Arguments: sounds, samples (L,) or features (T, F) each; length of the batch's sequences (None: the longest); a longer
    one is cut. Returns (batch (N, length, ...), mask (N, length) bool), which recurrent layers take.
    Raises ValueError for no sounds, or an empty one.

    >>> batch, mask = pad_sounds([[1.0, 2.0], [3.0]])
    >>> batch.tolist(), mask.tolist()
    ([[1.0, 2.0], [3.0, 0.0]], [[True, True], [True, False]])
    """
    arrays = [np.asarray(sound) for sound in sounds]
    if not arrays or min(map(len, arrays)) == 0:
        raise ValueError(f"pad_sounds: got sounds of the lengths {[len(a) for a in arrays]}: give some, and none that is empty")
    length = max(map(len, arrays)) if length is None else length
    batch = np.zeros((len(arrays), length, *arrays[0].shape[1:]), np.result_type(*arrays))
    for row, array in zip(batch, arrays, strict=True):
        row[: len(array)] = array[:length]
    return batch, np.arange(length) < np.array([len(a) for a in arrays])[:, None]
