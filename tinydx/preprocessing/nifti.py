"""NIfTI files (.nii, .nii.gz) that hold one slice, as pictures; volumes are refused by name.

A slice is turned as radiologists look at it: the patient's right on the left, front or head up. nibabel reads, and applies the
file's slope and intercept. Where the header names a range to display (cal_min, cal_max), that range becomes 0..255; otherwise the
values are left to `depth.py`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

EXTENSIONS = (".nii", ".nii.gz")
MOST_PIXELS = 178_956_970  # Pillow's limit for the other formats


def is_nifti(path: Any) -> bool:
    """Whether a path has the name of a NIfTI file.

    >>> is_nifti("brain.nii.gz"), is_nifti("brain.png")
    (True, False)
    """
    return isinstance(path, str | bytes | os.PathLike) and os.fsdecode(path).lower().endswith(EXTENSIONS)


def read_nifti(path: Any) -> Image:
    """The slice of a NIfTI file.

    Returns: a Pillow image: "I" for whole numbers, "F" for others, "RGB" for colour.
    Raises: ImportError without nibabel; ValueError for a volume; nibabel's errors for damaged files.
    """
    from PIL import Image

    file = _open(path)
    from nibabel import as_closest_canonical

    turned = as_closest_canonical(file if len(file.shape) >= 3 else _with_depth(file))
    x = np.squeeze(np.asanyarray(turned.dataobj))[::-1, ::-1].T  # canonical: axes run to the right, front and head
    if x.dtype.names:  # structured: red, green, blue
        return Image.fromarray(np.stack([x[name] for name in x.dtype.names[:3]], axis=-1).astype(np.uint8))
    low, high = float(file.header["cal_min"]), float(file.header["cal_max"])
    if high > low:
        img = Image.fromarray((np.clip((x - low) / (high - low), 0, 1) * 255).astype(np.float32))
        img.info["white"] = 255
        return img
    whole = x.dtype.kind in "iu" and x.max(initial=0) < 2**31
    return Image.fromarray(x.astype(np.int32 if whole else np.float32))


def check_nifti(path: Any) -> None:
    """Raise unless a file holds one slice; pixels are not read."""
    _open(path)


def size_of_nifti(path: Any) -> tuple[int, int]:
    """(width, height) in pixels, turned as `read_nifti` turns it."""
    return read_nifti(path).size


def _open(path: Any) -> Any:
    """The file, its header read; ValueError unless it is one slice."""
    try:
        import nibabel
    except ImportError as error:
        raise ImportError(f"NIfTI files need nibabel ({error}): pip install 'tinydx[dicom]'") from error
    file: Any = nibabel.load(os.fsdecode(path))
    shape = file.shape
    if len([n for n in shape if n != 1]) > 2:
        size = "x".join(map(str, shape))
        raise ValueError(f"it holds a volume of {size}: save the slice that is meant as a file of its own (data[:, :, k])")
    if len(shape) < 2 or not 0 < np.prod(shape, dtype=object) <= MOST_PIXELS:
        raise ValueError(f"its header says it has the shape {tuple(shape)}: expected one slice")
    return file


def _with_depth(file: Any) -> Any:
    """A file of two axes with a third of length 1, so that it can be turned."""
    return file.__class__(np.asanyarray(file.dataobj)[:, :, None], file.affine, file.header)
