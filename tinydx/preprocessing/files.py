"""Files in class folders, of any kind; and image files: find, check, read and write them.

Pillow decodes and encodes. Every error names the file or folder. Arrays are (H, W, C), channels last.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

CHANNELS = {"grayscale": 1, "rgb": 3, "rgba": 4}
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")
EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".tif", ".tiff")


def load_img(
    path: Any,
    color_mode: str = "rgb",
    target_size: Sequence[int] | None = None,
    interpolation: str = "nearest",
) -> Image:
    """Read an image file into a Pillow image; pixels keep their values, 0..255 for 8 bits.

    "rgb" drops transparency without blending. 16-bit grey read as "rgb" or "rgba" is scaled by 1/257 to 8 bits (Keras clips
    it, which turns most of a radiograph white). "nearest" takes the source pixel floor((i + 0.5) * in / out).

    Arguments: path, or an open binary file; color_mode "rgb", "rgba" (8 bits a channel) or "grayscale" (8 bits, or the file's
    own 16 or 32); target_size (height, width) in pixels, None for the file's own; interpolation, one of nearest, bilinear,
    bicubic, hamming, box, lanczos.
    Returns: a PIL.Image.
    Raises: FileNotFoundError; OSError for a corrupt, truncated or empty file; ValueError for an unknown option; TypeError for
    anything but a path or a file.

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
    try:
        with Image.open(path) as opened:
            opened.load()
            img = _convert(opened, color_mode)
    except FileNotFoundError:
        raise FileNotFoundError(f"no image file {_name(path)}") from None
    except (IsADirectoryError, PermissionError):
        raise  # these name the path themselves
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error ...
        raise OSError(f"cannot read image {_name(path)}: {_reason(error)}") from error
    if size is not None and img.size != (size[1], size[0]):
        img = img.resize((size[1], size[0]), Image.Resampling[interpolation.upper()])
    return img


def _convert(img: Image, color_mode: str) -> Image:
    """The image in Pillow's mode for the colour mode."""
    from PIL import Image

    if img.mode == "P" and "transparency" in img.info:
        img = img.convert("RGBA")  # straight to RGB or L Pillow gives the same pixels, and a warning
    if color_mode == "grayscale":
        if img.mode in ("L", "I", "I;16"):
            return img
        return img.convert("I" if img.mode.startswith("I;16") else "L")  # I;16B: 16 bits, high byte first
    if img.mode.startswith("I;16"):
        img = Image.fromarray(np.round(np.asarray(img) / 257).astype(np.uint8))  # 65535 / 257 = 255
    mode = color_mode.upper()
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
    {"target_size": [h, w], "color_mode": ..., "rescale": factor or None, "interpolation": ...}.
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
    loaded = [img_to_array(load_img(p, color_mode, size, preprocessing["interpolation"])) for p in paths]
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
    return find_files(directory, EXTENSIONS, "images", classes)


def find_files(
    directory: Any, extensions: tuple[str, ...], noun: str, classes: Sequence[str] | None = None
) -> dict[str, list[str]]:
    """The files of each class folder, at any depth.

    Arguments: directory that holds one folder for each class; extensions of the files, in lower case (any case is found); noun,
    the messages' word for the files; classes, the class folders and their order, None for all, sorted. Folders whose names
    begin with a dot are ignored.
    Returns: {class name: sorted paths, relative to the directory}.
    Raises: FileNotFoundError, which names the nearest folder that exists; NotADirectoryError; ValueError for a class folder
    without such files, for files beside the class folders, and for a directory without class folders.
    """
    root = Path(directory)
    if not root.exists():
        nearest = next(parent for parent in root.absolute().parents if parent.is_dir())
        raise FileNotFoundError(f"no folder {root}; the nearest that exists is {nearest}")
    if not classes:
        entries = sorted(root.iterdir())
        loose = [entry.name for entry in entries if entry.is_file() and entry.name.lower().endswith(extensions)]
        if loose:
            raise ValueError(f"{len(loose)} {noun} directly in {root}, as {loose[0]}: make a folder per class")
        classes = [entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
        if not classes:
            raise ValueError(f"no class folders in {root}: it must hold one folder of {noun} for each class")
    found = {}
    for name in classes:
        if not (root / name).is_dir():
            raise FileNotFoundError(f"no class folder {name!r} in {root}")
        found[name] = _walk(root, name, extensions)
        if not found[name]:
            raise ValueError(f"class folder {root / name} holds no {noun} ({' '.join(extensions)})")
    return found


def _walk(root: Path, name: str, extensions: tuple[str, ...]) -> list[str]:
    """The files below root/name, relative to root: folders sorted by path, files sorted within each."""

    def fail(error: OSError) -> None:
        raise error  # os.walk would skip a folder that it may not read

    top = os.path.join(root, name)
    return [
        os.path.join(name, os.path.relpath(os.path.join(folder, file), top))
        for folder, _, files in sorted(os.walk(top, onerror=fail), key=lambda entry: entry[0])
        for file in sorted(files)
        if file.lower().endswith(extensions)
    ]


def check_images(paths: Sequence[str]) -> None:
    """Raise an error unless every path opens as an image.

    It reads headers (and a PNG's checksums) but decodes no pixels, so that thousands of files take a second. A JPEG that is
    cut off among its pixels is found when its batch is read.

    Raises: OSError that names the first bad file and counts all; FileNotFoundError; PermissionError.
    """
    from PIL import Image

    bad = []
    for path in paths:
        try:
            with Image.open(path) as img:
                img.verify()
        except (FileNotFoundError, PermissionError):
            raise
        except Exception as error:  # as in load_img
            bad.append(f"cannot read image {path}: {_reason(error)}")
    if bad:
        more = f" ({len(bad)} such files of {len(paths)})" if len(bad) > 1 else ""
        raise OSError(bad[0] + more)


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


def _name(path: Any) -> str:
    """How messages name this file."""
    return os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else repr(path)


def _reason(error: Exception) -> str:
    """Why Pillow could not read a file."""
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "it is empty, or in a format that Pillow does not know"
    return str(error) or type(error).__name__
