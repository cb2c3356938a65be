"""Image files: find, check, read and write them.

`decoding.py` reads every format, `depth.py` says what becomes of more than 8 bits. Every error names the file or folder. Arrays
are (H, W, C), channels last.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tinydx.preprocessing import dicom
from tinydx.preprocessing.class_folders import check_each, find_files
from tinydx.preprocessing.decoding import EXTENSIONS, check_image, is_image, may_be_deep, open_image, unreadable
from tinydx.preprocessing.depth import common_white, is_deep, scaled, white_of

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "CHANNELS",
    "EXTENSIONS",
    "INTERPOLATIONS",
    "array_to_img",
    "check_choice",
    "check_images",
    "check_target_size",
    "find_images",
    "img_to_array",
    "load_images",
    "load_img",
    "save_img",
    "shared_white",
    "text_in_pictures",
]

CHANNELS = {"grayscale": 1, "rgb": 3, "rgba": 4}
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")


def load_img(
    path: Any,
    color_mode: str = "rgb",
    target_size: Sequence[int] | None = None,
    interpolation: str = "nearest",
    *,
    white: float | Literal["file"] | None = None,
) -> Image:
    """Read an image file into a Pillow image, upright as its EXIF data says; pixels keep their values, 0..255 for 8 bits.

    "rgb" drops transparency without blending. Grey of more than 8 bits read as "rgb" or "rgba" is scaled to 8 bits by the rule of
    `depth.py`, 16 bits by 1/257 (Keras clips it, which turns most of a radiograph white). DICOM is shown in its window. "nearest"
    takes the source pixel floor((i + 0.5) * in / out).

    Arguments: path, or an open binary file; color_mode "rgb", "rgba" (8 bits a channel) or "grayscale" (8 bits, or the file's
    own 16 or 32); target_size (height, width) in pixels, None for the file's own; interpolation, one of nearest, bilinear,
    bicubic, hamming, box, lanczos; white, the value of white in grey of more than 8 bits, or "file" for the rule: then
    "grayscale" is scaled, too, to fractions from 0 to 255.
    Returns: a PIL.Image.
    Raises: FileNotFoundError; OSError for a corrupt, truncated or empty file, one with several pictures, and one whose values the
    rule does not allow; ImportError without pydicom or nibabel where the file needs it; ValueError for an unknown option;
    TypeError for anything but a path or a file.

    >>> import io
    >>> file = io.BytesIO()
    >>> save_img(file, np.zeros((4, 6, 3)), file_format="png")
    >>> load_img(file, color_mode="grayscale", target_size=(2, 3)).size  # Pillow's order: (width, height)
    (3, 2)
    """
    from PIL import Image

    check_choice("color_mode", color_mode, CHANNELS)
    check_choice("interpolation", interpolation, INTERPOLATIONS)
    if not isinstance(path, str | bytes | os.PathLike) and not hasattr(path, "read"):
        raise TypeError(f"load_img needs a path or an open binary file, got {type(path).__name__}")
    size = None if target_size is None else check_target_size(target_size)
    img = open_image(path)
    try:
        img = _convert(img, color_mode, white)
    except Exception as error:
        raise unreadable(path, error) from error
    if size is not None and img.size != (size[1], size[0]):
        img = img.resize((size[1], size[0]), Image.Resampling[interpolation.upper()])
    return img


def _convert(img: Image, color_mode: str, white: float | Literal["file"] | None) -> Image:
    """The image in Pillow's mode for the colour mode."""
    from PIL import Image

    if img.mode == "P" and "transparency" in img.info:
        img = img.convert("RGBA")  # straight to RGB or L Pillow gives the same pixels, and a warning
    if img.mode == "La":  # premultiplied
        img = img.convert("LA")
    if is_deep(img):
        if color_mode == "grayscale" and white is None:
            return img if img.mode in ("I", "I;16", "F") else img.convert("I")  # I;16B: 16 bits, high byte first
        img = scaled(img, None if white == "file" else white)
        if color_mode == "grayscale":
            return img
        img = Image.fromarray(np.rint(np.asarray(img)).astype(np.uint8))
    mode = "L" if color_mode == "grayscale" else color_mode.upper()
    return img if img.mode == mode else img.convert(mode)


def img_to_array(img: Any, dtype: str = "float32") -> np.ndarray:
    """The pixels of a Pillow image as an array.

    Arguments: img, a Pillow image or an array (H, W) or (H, W, C); dtype of the result.
    Returns: (H, W, C), values unchanged: 0..255 for 8 bits; grey has C = 1.
    Raises: ValueError for another rank.

    >>> from PIL import Image
    >>> img_to_array(Image.new("L", (3, 2), 255)).shape
    (2, 3, 1)
    """
    x = np.asarray(img, dtype=dtype)
    if x.ndim not in (2, 3):
        raise ValueError(f"an image is (H, W) or (H, W, C), got shape {x.shape}")
    return x[:, :, None] if x.ndim == 2 else x


def array_to_img(x: Any, scale: bool = True) -> Image:
    """A Pillow image of an array.

    Arguments: x (H, W, C), C = 1, 3 or 4; scale, stretch the array's minimum and maximum to 0 and 255. Without it values are
    clipped to 0..255 and truncated; grey above 255 is kept, as a 32-bit image.
    Returns: a PIL.Image.
    Raises: ValueError for another shape.

    >>> array_to_img(np.eye(2)[:, :, None]).getpixel((0, 0))
    255
    """
    from PIL import Image

    x = np.asarray(x, dtype=np.float32)
    if x.ndim != 3 or x.shape[2] not in CHANNELS.values():
        raise ValueError(f"an image array is (H, W, C) with C = 1, 3 or 4, got shape {x.shape}")
    if scale:
        x = x - x.min()
        x = x / (x.max() or 1) * 255
    if x.shape[2] == 1:
        x = x[:, :, 0]
        if x.max() > 255:
            return Image.fromarray(x.astype(np.int32))
    return Image.fromarray(np.clip(x, 0, 255).astype(np.uint8))


def save_img(path: Any, x: Any, file_format: str | None = None, scale: bool = True, **options: Any) -> None:
    """Write an array as an image file.

    Arguments: path, or a file open for writing; x (H, W, C), C = 1, 3 or 4; file_format, needed where the path has no
    extension; scale, as in `array_to_img` (False keeps 0..255 as they are); options for Pillow's `save`, such as quality=95.
    Raises: ValueError for another shape.

    >>> import io
    >>> file = io.BytesIO()
    >>> save_img(file, np.full((2, 2, 3), 7.0), file_format="png", scale=False)
    >>> int(img_to_array(load_img(file)).max())
    7
    """
    from PIL import Image

    img = array_to_img(x, scale=scale)
    if file_format is None and isinstance(path, str | os.PathLike):
        file_format = Image.registered_extensions().get(Path(path).suffix.lower())
    if file_format and file_format.lower() in ("jpg", "jpeg"):
        file_format = "jpeg"  # Pillow knows no format "jpg"
        if img.mode == "RGBA":
            warnings.warn("JPEG has no transparency: it is dropped", stacklevel=2)
            img = img.convert("RGB")
    img.save(path, format=file_format, **options)


def load_images(paths: Iterable[Any], preprocessing: dict[str, Any]) -> np.ndarray:
    """Read images in the way a model's training images were read.

    Arguments: paths; preprocessing, the training iterator's attribute of that name:
    {"target_size": [h, w], "color_mode": ..., "rescale": factor or None, "interpolation": ...}, and "white" where training images
    had more than 8 bits.
    Returns: float32 (N, H, W, C).
    Raises: load_img's errors; ValueError where training used a preprocessing_function, which cannot be saved.

    >>> import io
    >>> file = io.BytesIO()
    >>> save_img(file, np.full((4, 4, 3), 255.0), file_format="png", scale=False)
    >>> how = {"target_size": [2, 2], "color_mode": "rgb", "rescale": 1 / 255, "interpolation": "nearest"}
    >>> load_images([file], how).shape
    (1, 2, 2, 3)
    """
    if function := preprocessing.get("preprocessing_function"):
        raise ValueError(f"training used preprocessing_function {function}: load, apply it, then predict")
    size, color_mode = check_target_size(preprocessing["target_size"]), preprocessing["color_mode"]
    check_choice("color_mode", color_mode, CHANNELS)
    white = preprocessing.get("white")
    if white is not None and not (isinstance(white, int | float) and 1 <= white < 2**32):
        raise ValueError(f"the value of white is a number from 1 on, got {white!r}")
    how = (color_mode, size, preprocessing["interpolation"])
    loaded = [img_to_array(load_img(path, *how, white=white or "file")) for path in paths]
    x = np.array(loaded, np.float32).reshape(-1, *size, CHANNELS[color_mode])  # no paths: (0, H, W, C)
    return x * float(preprocessing["rescale"] or 1)


def find_images(directory: Any, classes: Sequence[str] | None = None) -> dict[str, list[str]]:
    """The image files of each class folder; arguments, result and errors are those of `find_files`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "normal").mkdir()
    ...     save_img(Path(folder, "normal", "a.PNG"), np.zeros((2, 2, 3)))
    ...     find_images(folder)
    {'normal': ['normal/a.PNG']}
    """
    return find_files(directory, EXTENSIONS, "images", classes, is_image)


def check_images(paths: Sequence[str]) -> None:
    """Raise an error unless every path opens as an image; warn of DICOM files with text in the picture.

    It reads headers (and a PNG's checksums) but decodes no pixels, so that thousands of files take a second. A JPEG that is
    cut off among its pixels is found when its batch is read; only where another file is bad, all are decoded, and named at once.

    Raises: OSError that names the bad files and counts them; FileNotFoundError; PermissionError; ImportError where the package
    for a format is missing.
    """
    try:
        check_each(paths, check_image)
    except (OSError, ValueError):
        check_each(paths, open_image)
        raise
    if words := text_in_pictures(paths):
        warnings.warn(words, stacklevel=2)


def text_in_pictures(paths: Sequence[str]) -> str | None:
    """A sentence on the DICOM files among these whose pictures may hold text; None where there are none."""
    written = [path for path in paths if dicom.is_dicom(path) and dicom.may_show_text(path)]
    if not written:
        return None
    return (
        f"{len(written)} of {len(paths)} images may have names or measurements drawn into them (BurnedInAnnotation, or "
        f"secondary capture), as {written[0]}: a network can learn from the text, and the text can name the patient"
    )


def shared_white(paths: Sequence[str]) -> int | None:
    """The value of white that all images of more than 8 bits among these files share; None where there are none.

    Arguments: paths, of one data set; only files of more than 8 bits are decoded.
    Raises: OSError that names the files that cannot be read; ValueError where they have no common scale.
    """
    whites: dict[str, int] = {}

    def look(path: str) -> None:
        img = open_image(path)
        if is_deep(img) and "white" not in img.info:
            try:
                whites[path] = white_of(img)
            except ValueError as error:
                raise unreadable(path, error) from error

    with ThreadPoolExecutor() as pool:
        check_each([pool.submit(look, path) for path in paths if may_be_deep(path)], Future.result)
    return common_white(whites)


def check_choice(option: str, value: Any, allowed: Iterable[Any]) -> None:
    """Raise ValueError unless the value is one of those allowed."""
    if value not in list(allowed):
        raise ValueError(f"{option} must be one of {', '.join(map(repr, allowed))}; got {value!r}")


def check_target_size(size: Any) -> tuple[int, int]:
    """(height, width) as two ints; ValueError for anything else."""
    try:
        height, width = (int(n) for n in size if n == int(n) and n > 0)
    except (TypeError, ValueError):
        raise ValueError(f"target_size must be (height, width) in pixels, got {size!r}") from None
    return height, width
