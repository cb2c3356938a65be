"""DICOM files as pictures of 8 bits, the way that a viewer shows them.

    stored values
      -> rescale slope and intercept, or the modality's table       such as Hounsfield units
      -> the first window, or the table of values of interest       0 black to 1 white
      -> MONOCHROME1 inverted

A file without window and table is stretched from its smallest to its largest value, padding left out. Colour keeps its colours.
Refused by name: several frames, no picture (reports, plans), deflated files. pydicom reads; Pillow, and pylibjpeg where it is
installed, decompress. Source: DICOM PS3.3, C.7.6.3 and C.11.
"""

from __future__ import annotations

import importlib.util
import os
import re
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

EXTENSIONS = (".dcm", ".dicom", ".ima")
MOST_PIXELS = 178_956_970  # Pillow's limit for the other formats
DEFLATED = "1.2.840.10008.1.2.1.99"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # pictures of screens and of paper; those of several frames begin so, too
REMOVED = r"(x+|0+|-+|none|null|unknown|n/?a|anon(ymous|ymi[sz]ed?)?|de-?identified|removed|patient)?"  # what stands for no ID
CODECS = "pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg"


def is_dicom(path: Any) -> bool:
    """Whether a file is one of DICOM: by its name, or by the mark after its first 128 bytes.

    >>> is_dicom("slice.dcm"), is_dicom("no such file")
    (True, False)
    """
    if hasattr(path, "read"):
        start = path.tell()
        head = path.read(132)
        path.seek(start)
        return head[128:] == b"DICM"
    if os.fsdecode(path).lower().endswith(EXTENSIONS):
        return True
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        return file.read(132)[128:] == b"DICM"


def read_dicom(source: Any) -> Image:
    """The picture of a DICOM file.

    Arguments: source, a path or an open binary file.
    Returns: a Pillow image, "L" or "RGB".
    Raises: ImportError without pydicom, or without a codec that the file needs; ValueError for a file that holds no single
    picture; pydicom's errors for damaged ones.
    """
    from PIL import Image

    ds = _open(source)
    _check(ds)
    pixels = _pixels(ds)
    if pixels.ndim == 3:
        return Image.fromarray(_colour(pixels, ds))
    if ds.PhotometricInterpretation == "PALETTE COLOR":
        from pydicom.pixels import apply_color_lut

        return Image.fromarray(_colour(apply_color_lut(pixels, ds), ds))
    grey = _shown(pixels, ds)
    if ds.PhotometricInterpretation == "MONOCHROME1":
        grey = 1 - grey
    return Image.fromarray(np.rint(grey * 255).astype(np.uint8))


def check_dicom(source: Any) -> None:
    """Raise unless a file holds one picture, whose bytes are all there; nothing is decompressed."""
    _check(_open(source))


def size_of_dicom(source: Any) -> tuple[int, int]:
    """(width, height) in pixels."""
    ds = _open(source, ["Rows", "Columns"])
    return int(ds.Columns), int(ds.Rows)


def patient_of(path: Any) -> str | None:
    """The patient that a DICOM file belongs to: its PatientID; where that is missing or removed, its study.

    Returns: a name that the files of one patient (or of one study) share; None for other files, and where a file says neither.
    Raises: ImportError without pydicom.

    >>> patient_of("a.png") is None
    True
    """
    if not os.path.isfile(path) or not is_dicom(path):
        return None
    try:
        ds = _open(path, ["PatientID", "StudyInstanceUID"])
        patient, study = (str(ds.get(name) or "").strip() for name in ("PatientID", "StudyInstanceUID"))
    except ImportError:
        raise
    except Exception:  # a damaged file: reading it says so
        return None
    if not re.fullmatch(REMOVED, patient, re.IGNORECASE):
        return f"patient {patient}"
    return f"study {study}" if study else None


def may_show_text(path: Any) -> bool:
    """Whether names or measurements may be drawn into the picture: the file says so, or it is a picture of a screen."""
    ds = _open(path, ["BurnedInAnnotation", "SOPClassUID"])
    burnt = str(ds.get("BurnedInAnnotation") or "").upper()
    return burnt == "YES" or (burnt != "NO" and str(ds.get("SOPClassUID") or "").startswith(SECONDARY_CAPTURE))


def _open(source: Any, tags: list[str] | None = None) -> Any:
    """The data set of a file, all of it or these tags."""
    try:
        from pydicom import dcmread
    except ImportError as error:
        raise ImportError(f"DICOM files need pydicom ({error}): pip install 'tinydx[dicom]'") from error
    return dcmread(source, force=True, stop_before_pixels=tags is not None, specific_tags=tags)  # force: some lack the mark


def _check(ds: Any) -> None:
    """ValueError unless the data set is one picture of bearable size with all of its bytes."""
    kind = getattr(ds.get("SOPClassUID"), "name", None) or "DICOM"
    if not any(name in ds for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise ValueError(f"it holds no picture ({kind}): leave it out")
    syntax = getattr(getattr(ds, "file_meta", None), "TransferSyntaxUID", None)
    if syntax == DEFLATED:
        raise ValueError("it is deflated: convert it, for example by dcmconv +te")
    if int(ds.get("NumberOfFrames") or 1) > 1:
        raise ValueError(f"it holds {ds.NumberOfFrames} frames ({kind}): save the frame that is meant as a file of its own")
    if "PerFrameFunctionalGroupsSequence" in ds:
        raise ValueError(f"it is an enhanced file ({kind}), made for many frames: convert it to one file for each frame")
    rows, columns = int(ds.get("Rows") or 0), int(ds.get("Columns") or 0)
    if not 0 < rows * columns <= MOST_PIXELS:
        raise ValueError(f"it says it has {columns}x{rows} pixels: its header is wrong")
    if "PixelData" in ds and (syntax is None or not syntax.is_compressed):
        from pydicom.pixels.utils import get_expected_length

        if (have := len(ds.PixelData)) < (wanted := get_expected_length(ds)):
            raise ValueError(f"it is cut off: its header promises {wanted} bytes of pixels, {have} are there")


def _pixels(ds: Any) -> np.ndarray:
    """The stored values (H, W) or colours (H, W, 3), decompressed; YBR has become RGB."""
    try:
        return ds.pixel_array
    except Exception as error:
        compressed = ds.file_meta.TransferSyntaxUID.is_compressed
        if compressed and importlib.util.find_spec("pylibjpeg") is None:
            raise ImportError(f"its pixels are compressed ({ds.file_meta.TransferSyntaxUID.name}): {CODECS}") from error
        raise


def _colour(pixels: np.ndarray, ds: Any) -> np.ndarray:
    """Colours (H, W, 3) of 8 bits."""
    if pixels.shape[-1] != 3:
        raise ValueError(f"it has {pixels.shape[-1]} channels: expected grey, or red, green and blue")
    if pixels.dtype == np.uint8:
        return pixels
    bits = pixels.dtype.itemsize * 8 if ds.PhotometricInterpretation == "PALETTE COLOR" else int(ds.BitsStored)
    return np.rint(pixels * (255.0 / (2**bits - 1))).astype(np.uint8)


def _shown(stored: np.ndarray, ds: Any) -> np.ndarray:
    """Grey values (H, W) from 0, black, to 1, white."""
    from pydicom.pixels import apply_modality_lut, apply_voi

    values = apply_modality_lut(stored, ds)
    if not np.isfinite(values).all():
        raise ValueError("it holds values that are NaN or infinite")
    if ds.get("VOILUTSequence"):
        bits = int(ds.VOILUTSequence[0].LUTDescriptor[2])
        return np.clip(apply_voi(values.astype(np.int64), ds) / (2.0**bits - 1), 0, 1)
    centre, width = (_first(ds.get(name)) for name in ("WindowCenter", "WindowWidth"))
    if centre is not None and width is not None:
        return windowed(values, centre, width, str(ds.get("VOILUTFunction") or "LINEAR").upper())
    real = values[~_padding(stored, ds)]
    low, high = (real.min(), real.max()) if real.size else (0, 0)
    return np.clip((values - low) / ((high - low) or 1), 0, 1)


def windowed(values: np.ndarray, centre: float, width: float, function: str = "LINEAR") -> np.ndarray:
    """Values as a window shows them: 0 below it, 1 above it.

    Arguments: values (H, W); centre and width, in the values' unit; function, LINEAR, LINEAR_EXACT or SIGMOID.
    Raises: ValueError for another function, and for a width that the function does not allow.
    Source: DICOM PS3.3, C.11.2.1.2 and C.11.2.1.3.

    >>> windowed(np.array([-200.0, -160.0, 40.0, 240.0]), 40, 400).round(3)
    array([0.   , 0.   , 0.501, 1.   ])
    """
    if width <= 0 or (function == "LINEAR" and width < 1):
        raise ValueError(f"its window is {width:g} wide: a width of 1 or more is expected")
    if function == "LINEAR":
        y = (values - (centre - 0.5)) / (width - 1) + 0.5 if width > 1 else values > centre - 0.5
    elif function == "LINEAR_EXACT":
        y = (values - centre) / width + 0.5
    elif function == "SIGMOID":
        y = 1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700)))
    else:
        raise ValueError(f"its window function is {function!r}: LINEAR, LINEAR_EXACT and SIGMOID are known")
    return np.clip(np.asarray(y, np.float64), 0, 1)


def _first(value: Any) -> float | None:
    """The first of one or more numbers; None for none."""
    if value is None or value == "":
        return None
    several = not isinstance(value, str | int | float)
    values = list(value) if several else [value]
    return float(values[0]) if values else None


def _padding(stored: np.ndarray, ds: Any) -> np.ndarray:
    """Which pixels (H, W) lie outside of what was measured."""
    if "PixelPaddingValue" not in ds:
        return np.zeros(stored.shape, bool)
    ends = sorted(float(ds.get(name, ds.PixelPaddingValue)) for name in ("PixelPaddingValue", "PixelPaddingRangeLimit"))
    return (stored >= ends[0]) & (stored <= ends[1])
