"""Batches of augmented sounds, from an array or from class folders, and batches of sounds of different lengths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from tinydx.preprocessing.iterators import ArrayIterator, FolderIterator, Recipe, announce, checked_arrays
from tinydx.preprocessing.sound.files import check_sounds, find_sounds, load_samples


class SoundRecipe(Recipe, Protocol):
    """A recipe for sounds: a SoundDataGenerator."""

    rate: int

    @property
    def options(self) -> dict[str, Any]:
        """What the features depend on, without augmentation."""

    def shape(self, length: int, /) -> tuple[int, int]:
        """(T, F) of the features of `length` samples."""


class SoundArrayIterator(ArrayIterator):
    """Batches of augmented features from an array of samples; `SoundDataGenerator.flow` makes it.

    Arguments: x, y and sample_weight, as in `flow`; generator, which transforms; order, batch_size, shuffle and seed.
    Raises: ValueError for different lengths, another rank, or no sounds.
    """

    def __init__(self, x: ArrayLike, y: Any, generator: SoundRecipe, *, sample_weight: Any, **order: Any):
        arrays = checked_arrays(x, y, sample_weight)
        if arrays["x"].ndim != 2 or 0 in arrays["x"].shape:
            raise ValueError(f"sounds are (N, samples), got x {arrays['x'].shape}")
        self.generator, self.length = generator, arrays["x"].shape[1]
        super().__init__(arrays, generator, shape=generator.shape(self.length), dtype="float32", **order)

    @property
    def preprocessing(self) -> dict[str, Any]:
        """How a sound file becomes an example, without augmentation: JSON-able, for `load_features`."""
        return _preprocessing(self.generator, self.length)

    def _example(self, index: int) -> np.ndarray:
        return self.x[index]


class SoundDirectoryIterator(FolderIterator):
    """Batches of augmented features from class folders; `SoundDataGenerator.flow_from_directory` makes it.

    Attributes: those of FolderIterator; seconds of each file.

    Arguments: directory, seconds, classes and class_mode, as in `flow_from_directory`; generator, which transforms; order,
    batch_size, shuffle and seed.
    Raises: the errors of find_sounds and check_sounds; ValueError for an unknown class_mode, and for "binary" unless there
    are two classes.
    """

    def __init__(
        self,
        directory: Any,
        generator: SoundRecipe,
        *,
        seconds: float,
        classes: Sequence[str] | None,
        class_mode: str | None,
        **order: Any,
    ):
        self.generator, self.seconds, self.length = generator, seconds, round(seconds * generator.rate)
        found, shape = find_sounds(directory, classes), generator.shape(self.length)
        super().__init__(directory, found, class_mode, generator, shape=shape, dtype="float32", **order)
        announce(self, "recordings", check_sounds)

    @property
    def preprocessing(self) -> dict[str, Any]:
        """How a sound file becomes an example, without augmentation: JSON-able, for `load_features`."""
        return _preprocessing(self.generator, self.length)

    def _example(self, index: int) -> np.ndarray:
        return load_samples(self.filepaths[index], self.generator.rate, self.seconds)


def _preprocessing(generator: SoundRecipe, length: int) -> dict[str, Any]:
    """What `load_features` takes: the seconds of a recording, and the options of its features."""
    return {"kind": "sound", "seconds": length / generator.rate, "features": generator.options}


def pad_sounds(sounds: Sequence[ArrayLike], length: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Sequences of different lengths as one batch: zeros at the end, and a mask that marks the real entries.

    Arguments: sounds, samples (L,) or features (T, F) each; length of the batch's sequences, None for that of the longest;
    longer ones are cut.
    Returns: (batch (N, length, ...), mask (N, length) bool), which recurrent layers take.
    Raises: ValueError for no sounds, or an empty one.

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
