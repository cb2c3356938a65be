"""Images for training: reading files, and random augmentation with the options, random numbers and pixels of Keras.

files.py             find, check, read and write image files
affine.py            rotation, shift, shear and zoom as one matrix
image.py             ImageDataGenerator: the options, and the recipe for one image
image_iterators.py   what its `flow` and `flow_from_directory` return: endless batches
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinydx.keras_words import GENERATORS, missing_attribute
from tinydx.ops.image import affine_warp, channel_shift
from tinydx.preprocessing.affine import FILL_MODES, affine_matrix
from tinydx.preprocessing.files import (
    array_to_img,
    check_choice,
    img_to_array,
    load_images,
    load_img,
    save_img,
)
from tinydx.preprocessing.image_iterators import DirectoryIterator, NumpyArrayIterator
from tinydx.settings import Checked, checked, is_number, number, whole

__all__ = [
    "DirectoryIterator",
    "ImageDataGenerator",
    "NumpyArrayIterator",
    "array_to_img",
    "img_to_array",
    "load_images",
    "load_img",
    "save_img",
]

IDENTITY = {"theta": 0, "tx": 0, "ty": 0, "shear": 0, "zx": 1, "zy": 1}


class ImageDataGenerator(metaclass=Checked):
    """Random augmentation of images, and iterators of augmented batches.

    It does not compute statistics of the data set (featurewise, samplewise, ZCA): Keras's options for them may only be off.

    Arguments: all by keyword.
        rotation_range: degrees; the angle is uniform in +-rotation_range.
        width_shift_range, height_shift_range: a float below 1 is a fraction of the size, a float of 1 or more a number
            of pixels, uniform in +-range. A whole number n draws from 0..n-1 pixels, a list from its entries (fractions
            if all are below 1), with a random sign. As in Keras, **width_shift_range moves rows (up and down) and
            height_shift_range columns**, because its matrix swaps x and y after centring. With equal ranges, the usual
            case, this makes no difference.
        shear_range: **degrees**, uniform in +-shear_range: 0.2 is hardly visible, 10 is.
        zoom_range: z draws two factors in 1-z..1+z, one for each direction; or a pair (low, high). Factors above 1 make
            the picture smaller.
        channel_shift_range: grey levels; one number in +-range is added to all channels, within the image's own minimum
            and maximum.
        brightness_range: pair (low, high) of factors, 1 for unchanged; computed on 8-bit pixels.
        fill_mode, cval: what fills the area outside the image: "nearest", "reflect", "wrap", or "constant" `cval`.
        horizontal_flip: swap left and right in half of the images. **In side-sensitive anatomy this changes the
            meaning**: the heart moves to the other side, a left-sided finding becomes a right-sided one.
        vertical_flip: swap top and bottom in half of the images.
        preprocessing_function: image (H, W, C) -> image of the same shape; applied after augmentation, before rescale.
            It runs in the iterator's thread, on one image after another, in order.
        rescale: factor of every pixel, applied last; 1/255 for 8-bit images.
        validation_split: fraction that subset="validation" takes; the rest is subset="training".
        dtype: "float32" or "float64".
    Raises: ValueError for an impossible option.
    Source: keras.preprocessing.image.ImageDataGenerator (behaviour).

    >>> augment = ImageDataGenerator(rotation_range=20, horizontal_flip=True, rescale=1 / 255)
    >>> image = np.full((8, 8, 3), 255.0, "float32")
    >>> augmented = augment.standardize(augment.random_transform(image, seed=1))
    >>> augmented.shape, float(augmented.max())
    ((8, 8, 3), 1.0)
    """

    def __init__(
        self,
        *,
        rotation_range: float = 0,
        width_shift_range: Any = 0.0,
        height_shift_range: Any = 0.0,
        brightness_range: tuple[float, float] | None = None,
        shear_range: float = 0.0,
        zoom_range: Any = 0.0,
        channel_shift_range: float = 0.0,
        fill_mode: str = "nearest",
        cval: float = 0.0,
        horizontal_flip: bool = False,
        vertical_flip: bool = False,
        rescale: float | None = None,
        preprocessing_function: Callable[[np.ndarray], np.ndarray] | None = None,
        validation_split: float = 0.0,
        dtype: str = "float32",
    ):
        check_choice("fill_mode", fill_mode, FILL_MODES)
        check_choice("dtype", np.dtype(dtype).name, ("float32", "float64"))
        self.rotation_range = number("rotation_range", rotation_range, at_least=0)
        self.shear_range = number("shear_range", shear_range, at_least=0)
        self.channel_shift_range = number("channel_shift_range", channel_shift_range, at_least=0)
        self.width_shift_range = _shift_range("width_shift_range", width_shift_range)
        self.height_shift_range = _shift_range("height_shift_range", height_shift_range)
        if is_number(zoom_range):
            z = number("zoom_range", zoom_range, at_least=0, below=1)
            zoom_range = (1 - z, 1 + z)
        self.zoom_range = _pair("zoom_range", zoom_range, above=0)
        self.brightness_range = None if brightness_range is None else _pair("brightness_range", brightness_range, at_least=0)
        self.fill_mode, self.cval = fill_mode, cval
        self.horizontal_flip, self.vertical_flip = horizontal_flip, vertical_flip
        self.rescale, self.preprocessing_function = rescale, preprocessing_function
        self.validation_split, self.dtype = number("validation_split", validation_split, at_least=0, below=1), dtype

    def __getattr__(self, name: str) -> Any:
        return missing_attribute(self, name, GENERATORS)

    @property
    def augmentation(self) -> dict[str, Any]:
        """The options that change images at random, with their values.

        >>> ImageDataGenerator(rescale=1 / 255, rotation_range=40, horizontal_flip=True).augmentation
        {'rotation_range': 40.0, 'horizontal_flip': True}
        """
        names = ["rotation_range", "width_shift_range", "height_shift_range", "shear_range", "channel_shift_range"]
        names += ["brightness_range", "horizontal_flip", "vertical_flip"]
        zoom = {} if self.zoom_range == [1, 1] else {"zoom_range": self.zoom_range}
        return {name: getattr(self, name) for name in names if getattr(self, name)} | zoom

    def fit(self, x: Any, augment: bool = False, rounds: int = 1, seed: int | None = None) -> None:
        """Nothing: in Keras it computes the statistics of the options that are not offered here. Scripts may call it."""

    @checked
    def flow(
        self,
        x: Any,
        y: Any = None,
        batch_size: int = 32,
        shuffle: bool = True,
        sample_weight: Any = None,
        seed: int | None = None,
        *,
        subset: str | None = None,
        ignore_class_split: bool = False,
    ) -> NumpyArrayIterator:
        """Endless augmented batches of images from an array.

        Arguments: x (N, H, W, C); y, labels (N, ...), or None; batch_size; shuffle, a new permutation for each epoch;
        sample_weight (N,); seed of all random choices; subset, "training" or "validation" by validation_split (the first part
        validates); ignore_class_split, allow the two subsets to hold different labels (needed for real-valued targets).
        Returns: an iterator of x, (x, y) or (x, y, sample_weight); see `BatchIterator`.
        Raises: ValueError for different lengths, another rank, no images, or subsets whose labels differ.

        >>> x = np.zeros((5, 8, 8, 3), "uint8")
        >>> batches = ImageDataGenerator().flow(x, [0, 1, 0, 1, 0], batch_size=2, shuffle=False)
        >>> images, labels = next(batches)
        >>> images.shape, images.dtype.name, labels.tolist(), len(batches)
        ((2, 8, 8, 3), 'float32', [0, 1], 3)
        """
        return NumpyArrayIterator(
            x,
            y,
            self,
            sample_weight=sample_weight,
            subset=subset,
            ignore_class_split=ignore_class_split,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
        )

    @checked
    def flow_from_directory(
        self,
        directory: Any,
        target_size: tuple[int, int] = (256, 256),
        color_mode: str = "rgb",
        classes: list[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        *,
        subset: str | None = None,
        interpolation: str = "nearest",
    ) -> DirectoryIterator:
        """Endless augmented batches of images from a folder that holds one folder of images for each class.

        Prints how many images it found.

        Arguments: directory; target_size (height, width) in pixels, to which every image is resized; color_mode "rgb", "rgba" or
        "grayscale"; classes, the class folders and their order, None for all, sorted; class_mode, what y is: "binary" 0.0 or 1.0
        (two classes), "sparse" the class index as a float, "categorical" one-hot (N, classes), "input" the images themselves,
        None no y; batch_size; shuffle, a new permutation for each epoch; seed of all random choices; subset, "training" or
        "validation" by validation_split (the first images of each class validate: beware of patients with several images);
        interpolation of the resizing, as in `load_img`.
        Returns: an iterator of (x, y), or of x for class_mode None; see `DirectoryIterator` for its attributes.
        Raises: find_images' and check_images' errors (missing folder, empty class, unreadable file ...); ValueError for an
        unknown option, for class_mode "binary" unless there are two classes, or for a subset without images.

        >>> import os, tempfile
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
        return DirectoryIterator(
            directory,
            self,
            target_size=target_size,
            color_mode=color_mode,
            classes=classes,
            class_mode=class_mode,
            subset=subset,
            interpolation=interpolation,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
        )

    def get_random_transform(self, img_shape: tuple[int, ...], seed: int | np.random.RandomState | None = None) -> dict[str, Any]:
        """Draw the parameters of one image's transform, in the order of Keras.

        Arguments: img_shape (H, W, C); seed, a number, a RandomState to continue, or None for NumPy's global generator.
        Returns: a dict of theta and shear in degrees, tx and ty in pixels, zoom factors zx and zy, flip_horizontal and
        flip_vertical, and channel_shift_intensity and brightness (None where they are off).

        >>> transform = ImageDataGenerator(rotation_range=20).get_random_transform((8, 8, 3), seed=0)
        >>> round(transform["theta"], 3), transform["tx"], transform["flip_horizontal"]
        (1.953, 0, False)
        """
        draws: Any = np.random.RandomState(seed) if isinstance(seed, int | np.integer) else seed or np.random
        theta = _draw(draws, self.rotation_range)
        tx = _draw_shift(draws, self.height_shift_range, img_shape[0])
        ty = _draw_shift(draws, self.width_shift_range, img_shape[1])
        shear = _draw(draws, self.shear_range)
        zx, zy = (1, 1) if self.zoom_range == [1, 1] else map(float, draws.uniform(*self.zoom_range, 2))
        left_right, top_bottom = draws.random() < 0.5, draws.random() < 0.5  # as in Keras, drawn even where flips are off
        channel_shift = _draw(draws, self.channel_shift_range) if self.channel_shift_range else None
        brightness = draws.uniform(*self.brightness_range) if self.brightness_range else None
        return {
            "theta": theta,
            "tx": tx,
            "ty": ty,
            "shear": shear,
            "zx": zx,
            "zy": zy,
            "flip_horizontal": bool(left_right and self.horizontal_flip),
            "flip_vertical": bool(top_bottom and self.vertical_flip),
            "channel_shift_intensity": channel_shift,
            "brightness": brightness,
        }

    def apply_transform(self, x: np.ndarray, transform_parameters: dict[str, Any]) -> np.ndarray:
        """Apply a given transform to an image: affine map, flips, channel shift, brightness.

        Arguments: x (H, W, C), floating-point pixels; transform_parameters, as get_random_transform returns them; missing ones
        leave x as it is.
        Returns: a new array, a view of x (only flipped), or x itself (nothing to do).
        Raises: ValueError for another rank, TypeError for integer pixels.

        >>> image = np.array([[[1.0], [2.0]]])
        >>> ImageDataGenerator().apply_transform(image, {"flip_horizontal": True}).ravel()
        array([2., 1.])
        """
        if np.ndim(x) != 3:
            raise ValueError(f"an image is (H, W, C), got shape {np.shape(x)}")
        if x.dtype.kind != "f":
            raise TypeError(f"augmentation interpolates: convert {x.dtype} pixels by x.astype('float32')")
        geometry = {name: transform_parameters.get(name, unchanged) for name, unchanged in IDENTITY.items()}
        flip = tuple(bool(transform_parameters.get(name)) for name in ("flip_vertical", "flip_horizontal"))
        if geometry != IDENTITY:  # the warp flips, too: the channel shift that follows does not depend on places
            matrix, offset = affine_matrix(**geometry, height=x.shape[0], width=x.shape[1])
            x = affine_warp(x, matrix=matrix, offset=offset, fill_mode=self.fill_mode, cval=self.cval, flip=flip)
        elif any(flip):
            x = x[:: -1 if flip[0] else 1, :: -1 if flip[1] else 1]
        if (intensity := transform_parameters.get("channel_shift_intensity")) is not None:
            x = channel_shift(x, intensity=float(intensity))
        if (brightness := transform_parameters.get("brightness")) is not None:
            x = _brighten(x, brightness)
        return x

    def random_transform(self, x: np.ndarray, seed: int | None = None) -> np.ndarray:
        """Apply a random transform to an image x (H, W, C); the shape stays. `standardize` is a separate step.

        >>> ImageDataGenerator(rotation_range=20).random_transform(np.zeros((8, 8, 3)), seed=0).shape
        (8, 8, 3)
        """
        return self.apply_transform(x, self.get_random_transform(x.shape, seed))

    def standardize(self, x: np.ndarray) -> np.ndarray:
        """Apply preprocessing_function and rescale to an image (or a batch) x.

        Returns: a new array (Keras overwrites x).
        Raises: ValueError if preprocessing_function changes the shape.

        >>> ImageDataGenerator(rescale=1 / 255).standardize(np.full((1, 1, 1), 51.0))
        array([[[0.2]]])
        """
        if self.preprocessing_function is not None:
            before, x = x.shape, self.preprocessing_function(x)
            if np.shape(x) != before:
                raise ValueError(f"preprocessing_function made shape {before} into {np.shape(x)}: keep it")
        return x * float(self.rescale) if self.rescale else x


def _shift_range(name: str, limit: Any) -> Any:
    """The option as an int, a float or a list: the three have different distributions."""
    if isinstance(limit, list | tuple | np.ndarray) and np.ndim(limit) == 1 and len(limit):
        return [n if isinstance(n, int | np.integer) and whole(name, n, at_least=-(2**31)) else number(name, n) for n in limit]
    return whole(name, limit, at_least=0) if isinstance(limit, int | np.integer) else number(name, limit, at_least=0)


def _pair(name: str, value: Any, **limits: float) -> list[float]:
    """[low, high] of an option; ValueError for anything else, and beyond the limits."""
    if isinstance(value, str) or np.shape(value) != (2,):
        raise ValueError(f"{name} must be a pair (low, high), got {value!r}")
    low, high = (number(name, end, **limits) for end in value)
    if low > high:
        raise ValueError(f"{name} is ({low:g}, {high:g}), expected (low, high)")
    return [low, high]


def _draw(draws: Any, limit: float) -> float:
    """Uniform in +-limit; a limit of 0 uses no random number."""
    return draws.uniform(-limit, limit) if limit else 0


def _draw_shift(draws: Any, limit: Any, size: int) -> float:
    """A random shift in pixels along an axis of `size` pixels; see width_shift_range."""
    if not limit:
        return 0
    from_list = not isinstance(limit, float)
    shift = draws.choice(limit) * draws.choice([-1, 1]) if from_list else draws.uniform(-limit, limit)
    return float(shift * size if np.max(limit) < 1 else shift)


def _brighten(x: np.ndarray, factor: float) -> np.ndarray:
    """Pillow's brightness on 8-bit pixels; an image outside 0..255 is stretched to that range first, and back afterwards."""
    from PIL import ImageEnhance

    low, high = x.min(), x.max()
    beyond = bool(low < 0 or high > 255)
    enhanced = ImageEnhance.Brightness(array_to_img(x, scale=beyond)).enhance(factor)
    bright = img_to_array(enhanced, dtype=str(x.dtype))
    return bright / 255 * (high - low) + low if beyond else bright
