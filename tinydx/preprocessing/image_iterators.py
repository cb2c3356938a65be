"""Batches of augmented images, from an array or from class folders: what `ImageDataGenerator`'s flows return."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from tinydx.preprocessing.files import (
    CHANNELS,
    INTERPOLATIONS,
    check_choice,
    check_images,
    check_target_size,
    find_images,
    img_to_array,
    load_img,
    shared_white,
)
from tinydx.preprocessing.iterators import ArrayIterator, FolderIterator, Recipe, announce, checked_arrays


class ImageRecipe(Recipe, Protocol):
    """A recipe for images: an ImageDataGenerator."""

    rescale: float | None
    preprocessing_function: Callable[[np.ndarray], np.ndarray] | None
    validation_split: float
    dtype: str


class NumpyArrayIterator(ArrayIterator):
    """Batches of augmented images from an array; `ImageDataGenerator.flow` makes it.

    Arguments: x, y, sample_weight, subset and ignore_class_split, as in `flow`; image_data_generator, which transforms; order,
    batch_size, shuffle and seed.
    Raises: ValueError for different lengths, another rank, no images, or subsets whose labels differ.
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        image_data_generator: ImageRecipe,
        *,
        sample_weight: Any,
        subset: str | None,
        ignore_class_split: bool,
        **order: Any,
    ):
        arrays = checked_arrays(x, y, sample_weight)
        shapes = ", ".join(f"{name} {a.shape}" for name, a in arrays.items())
        if arrays["x"].ndim != 4:
            raise ValueError(f"images are (N, H, W, C), got x {arrays['x'].shape}: no batch axis?")
        if subset is not None:
            arrays = _subset_of_arrays(arrays, subset, image_data_generator.validation_split, ignore_class_split)
        if not len(arrays["x"]):
            raise ValueError(f"no images{f' in subset {subset!r}' if subset else ''}: {shapes}")
        shape = arrays["x"].shape
        if shape[3] not in CHANNELS.values():
            warnings.warn(f"x {shape} has {shape[3]} channels: images are (N, H, W, C)", stacklevel=3)
        self.image_data_generator, self.image_shape = image_data_generator, shape[1:]
        super().__init__(arrays, image_data_generator, shape=shape[1:], dtype=image_data_generator.dtype, **order)

    @property
    def preprocessing(self) -> dict[str, Any]:
        """How an image file becomes an example, without augmentation: JSON-able, for `load_images`."""
        height, width, channels = self.image_shape
        color_mode = next((mode for mode, count in CHANNELS.items() if count == channels), None)
        return _preprocessing(self.image_data_generator, (height, width), color_mode, "nearest")


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
    """Start and stop of a subset among n ordered examples."""
    check_choice("subset", subset, ("training", "validation"))
    if not validation_split:
        raise ValueError(f"subset={subset!r} needs ImageDataGenerator(validation_split=...)")
    border = int(validation_split * n)
    return (0, border) if subset == "validation" else (border, n)


class DirectoryIterator(FolderIterator):
    """Batches of augmented images from class folders; `ImageDataGenerator.flow_from_directory` makes it.

    Attributes: those of FolderIterator; image_shape (H, W, C); target_size, color_mode, interpolation, subset; white, the value
    of white in images of more than 8 bits (None: there are none).

    Arguments: directory, target_size, color_mode, classes, class_mode, subset and interpolation, as in `flow_from_directory`;
    image_data_generator, which transforms; order, batch_size, shuffle and seed.
    Raises: the errors of find_images and check_images (missing folder, empty class, unreadable file ...); ValueError for an
    unknown option, for class_mode "binary" unless there are two classes, and for a subset without images.
    """

    def __init__(
        self,
        directory: Any,
        image_data_generator: ImageRecipe,
        *,
        target_size: Sequence[int],
        color_mode: str,
        classes: Sequence[str] | None,
        class_mode: str | None,
        subset: str | None,
        interpolation: str,
        **order: Any,
    ):
        check_choice("color_mode", color_mode, CHANNELS)
        check_choice("interpolation", interpolation, INTERPOLATIONS)
        self.target_size = check_target_size(target_size)
        self.color_mode, self.interpolation, self.subset = color_mode, interpolation, subset
        found = all_found = find_images(directory, classes)
        if subset is not None:
            split = image_data_generator.validation_split
            bounds = {name: _subset_bounds(len(files), subset, split) for name, files in found.items()}
            found = {name: files[slice(*bounds[name])] for name, files in found.items()}
            if not any(found.values()):
                raise ValueError(f"no images in subset {subset!r} of {directory} with validation_split={split}")
        self.image_data_generator, self.image_shape = image_data_generator, (*self.target_size, CHANNELS[color_mode])
        dtype = image_data_generator.dtype
        super().__init__(directory, found, class_mode, image_data_generator, shape=self.image_shape, dtype=dtype, **order)
        announce(self, "images", check_images)
        self.white = shared_white([os.path.join(directory, file) for files in all_found.values() for file in files])

    @property
    def preprocessing(self) -> dict[str, Any]:
        """How an image file becomes an example, without augmentation: JSON-able, for `load_images`."""
        how = _preprocessing(self.image_data_generator, self.target_size, self.color_mode, self.interpolation)
        return how if self.white is None else {**how, "white": self.white}

    def _example(self, index: int) -> np.ndarray:
        file = self.filepaths[index]
        return img_to_array(load_img(file, self.color_mode, self.target_size, self.interpolation, white=self.white), self.dtype)


def _preprocessing(recipe: ImageRecipe, size: tuple[int, int], color_mode: str | None, interpolation: str) -> dict[str, Any]:
    """What `load_images` takes. A preprocessing_function cannot be saved: its name stands there, and `load_images` refuses."""
    how: dict[str, Any] = {"kind": "image", "target_size": list(size), "color_mode": color_mode, "interpolation": interpolation}
    how["rescale"] = float(recipe.rescale) if recipe.rescale else None
    if function := recipe.preprocessing_function:
        how["preprocessing_function"] = getattr(function, "__qualname__", repr(function))
    return how
