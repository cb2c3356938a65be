"""The one reader of image files: every format that is read, one picture of each, upright.

Pillow reads the formats of `FORMATS` and no other, whatever a file is called: what its other readers start (Ghostscript for EPS)
is not for files of strangers. DICOM and NIfTI have modules of their own. Cameras note in a file which side is up (EXIF); the
picture is turned accordingly. Files with several pictures are refused, apart from previews.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from tinydx.preprocessing import dicom, nifti
from tinydx.preprocessing.depth import MODES as DEEP

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "BMP", "DIB", "PPM", "TIFF", "WEBP", "GIF", "JPEG2000")
USUAL = (".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp", ".gif", ".jp2")
EXTENSIONS = (*USUAL, *dicom.EXTENSIONS, *nifti.EXTENSIONS)

ORIENTATION, SUBFILE, BITS, PHOTOMETRIC, SAMPLES = 274, 254, 258, 262, 339  # tags of EXIF and TIFF
PREVIEW = 1 | 4  # bits of SUBFILE: a smaller copy, a mask


def open_image(path: Any) -> Image:
    """The picture of a file, decoded and upright, in its own mode; info["white"] holds what a deep file says of its white.

    Arguments: path, or an open binary file.
    Raises: FileNotFoundError; PermissionError; ImportError where the package for the format is missing; OSError that names the
    file for all else.
    """
    try:
        if dicom.is_dicom(path):
            return dicom.read_dicom(path)
        if nifti.is_nifti(path):
            return nifti.read_nifti(path)
        with _with_pillow(path) as opened:
            _check_frames(opened)
            opened.load()
            return _upright(opened)
    except FileNotFoundError:
        raise FileNotFoundError(f"no image file {name_of(path)}") from None
    except (IsADirectoryError, PermissionError, ImportError):
        raise  # these say what is missing
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error ...
        raise unreadable(path, error) from error


def check_image(path: Any) -> None:
    """Raise what `open_image` would, as far as headers and a PNG's checksums tell."""
    try:
        if dicom.is_dicom(path):
            return dicom.check_dicom(path)
        if nifti.is_nifti(path):
            return nifti.check_nifti(path)
        with _with_pillow(path) as img:
            _check_frames(img)
            img.verify()
    except (FileNotFoundError, PermissionError, ImportError):
        raise
    except Exception as error:
        raise unreadable(path, error) from error


def may_be_deep(path: Any) -> bool:
    """Whether the header of a file says that its pixels have more than 8 bits and no stated scale."""
    if nifti.is_nifti(path):
        return True
    if dicom.is_dicom(path):  # shown in its window
        return False
    with _with_pillow(path) as img:
        return img.mode in DEEP


def size_of(path: Any) -> tuple[int, int]:
    """(width, height) of the upright picture in pixels, from its header."""
    if dicom.is_dicom(path):
        return dicom.size_of_dicom(path)
    if nifti.is_nifti(path):
        return nifti.size_of_nifti(path)
    with _with_pillow(path) as img:
        on_its_side = img.format != "TIFF" and img.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)  # Pillow turns TIFF itself
        return img.size[::-1] if on_its_side else img.size


def is_image(path: str) -> bool:
    """Whether a file's name, or the mark of DICOM in a file without an ending, says that it is an image.

    >>> is_image("a.PNG"), is_image("brain.nii.gz"), is_image("notes.txt")
    (True, True, False)
    """
    ending = os.path.splitext(path)[1]
    nameless = ending[1:].isdigit() or not ending  # as IM00001 or 1.2.840.113619.2.55
    return path.lower().endswith(EXTENSIONS) or (nameless and dicom.is_dicom(path))


def unreadable(path: Any, error: Exception) -> OSError:
    """The error for a file that cannot be read, in one line."""
    from PIL import Image, UnidentifiedImageError

    reason = " ".join(str(error).split()) or type(error).__name__
    if reason.startswith("cannot read image"):
        return OSError(reason)
    if isinstance(error, UnidentifiedImageError):
        reason = "it is empty, or in a format that tinydx does not read"
    if isinstance(error, Image.DecompressionBombError):
        reason = f"its header promises more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels: it is damaged, or scale it down"
    return OSError(f"cannot read image {name_of(path)}: {reason}")


def name_of(path: Any) -> str:
    """How messages name a file."""
    return os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else repr(path)


@contextlib.contextmanager
def _with_pillow(path: Any) -> Iterator[Any]:
    """An image opened by Pillow, its pixels not yet read.

    Through an open file: given a path, Pillow maps TIFF's pixels into memory, and then mixes them up where the picture lies on
    its side.
    """
    from PIL import Image

    with contextlib.ExitStack() as stack:
        file = path if hasattr(path, "read") else stack.enter_context(open(path, "rb"))
        yield stack.enter_context(Image.open(file, formats=FORMATS))


def _check_frames(img: Any) -> None:
    """ValueError for a file of several pictures. A TIFF's smaller copies do not count, nor what phones append to a JPEG."""
    frames = getattr(img, "n_frames", 1)
    if img.format == "TIFF" and frames > 1:
        pages = []
        for page in range(frames):
            img.seek(page)
            pages.append(not img.tag_v2.get(SUBFILE, 0) & PREVIEW)
        img.seek(0)
        frames = sum(pages) or 1
    if frames > 1 and img.format not in ("JPEG", "MPO"):
        raise ValueError(f"it holds {frames} pictures: save the one that is meant as a file of its own")
    if img.format == "TIFF" and img.tile and not _covered(img):
        raise ValueError(f"it is cut off: its data do not reach the end of its {img.size[0]}x{img.size[1]} pixels")
    if img.format == "TIFF" and img.mode[0] in "IF" and img.tag_v2.get(PHOTOMETRIC) == 0:
        raise ValueError("its lowest value is white (photometric interpretation 0): save it with black as 0")


def _covered(img: Any) -> bool:
    """Whether the strips or tiles of a TIFF reach its end: where they do not, Pillow leaves the rest black."""
    right, bottom = (max(tile[1][end] for tile in img.tile) for end in (2, 3))
    return right * bottom >= img.size[0] * img.size[1]


def _without_sign(img: Image) -> Image:
    """32-bit values without a sign, which Pillow reads as if they had one."""
    from PIL import Image

    values = np.asarray(img).view(np.uint32)
    if values.max() < 2**31:
        return img
    return Image.fromarray(np.minimum(values, 2**32 - 256).astype(np.float32))  # no float32 lies between this and 2^32


def _upright(img: Any) -> Image:
    """The picture turned as its EXIF data says, free of the file."""
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    turn = turns.get(img.getexif().get(ORIENTATION, 1))  # Pillow turns TIFF itself, and then the tag is gone
    upright = img.copy() if turn is None else img.transpose(turn)
    if img.format == "TIFF" and img.mode == "I" and img.tag_v2.get(BITS) == (32,) and img.tag_v2.get(SAMPLES, (1,)) == (1,):
        return _without_sign(upright)
    if img.format == "PPM" and img.mode == "I":
        upright.info["white"] = 65535  # Pillow scales by the maximum that the file names
    return upright
