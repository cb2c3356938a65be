"""Images of more than 8 bits: one stated rule makes 0..255 of their values, and nothing is cut off.

0 is black. What is white a file seldom says: 12 bits of a scanner mostly lie in files of 16 bits, and 16 bits in files of 32. So
white is the end of the narrowest depth that holds the largest value:

    whole numbers    255, 4095 or 65535 (8, 12, 16 bits); above, 2^n - 1
    fractions        1 where no value is above 1; otherwise as whole numbers, unless the largest lies between 1 and 16
    PGM              the file says it

One value of white holds for all files of a folder, decided by the largest value of all (`shared_white`), and a model keeps it for
the files that it is given later. Values below 0, NaN and values above a given white are errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")  # Pillow's modes of more than 8 bits, all of them grey
DEPTHS = (255, 4095, 65535)
UNCLEAR = 16  # fractions between 1 and this are neither 0..1 nor 0..255


def is_deep(img: Image) -> bool:
    """Whether an image has more than 8 bits a channel."""
    return img.mode in MODES


def white_of(img: Image) -> int:
    """The value of white in a deep image, by the rule of this module.

    Raises: ValueError where the rule does not tell.

    >>> from PIL import Image
    >>> [white_of(Image.new("I", (1, 1), n)) for n in (200, 1000, 5000, 65536)]
    [255, 4095, 65535, 131071]
    """
    if "white" in img.info:
        return img.info["white"]
    largest = float(_values(img).max())
    if img.mode == "F" and largest <= 1:
        return 1
    if img.mode == "F" and largest < UNCLEAR:
        raise ValueError(f"its largest value is {largest:.4g}, which fits neither 0 to 1 nor 0 to 255: scale it to 0 to 1")
    return next((depth for depth in DEPTHS if largest <= depth), (1 << int(np.ceil(largest)).bit_length()) - 1)


def scaled(img: Image, white: float | None = None) -> Image:
    """A deep image with values 0..255, not rounded.

    Arguments: img; white, the value that becomes 255 (None: `white_of`). Files that say what is white keep to that.
    Returns: a Pillow image of mode "F".
    Raises: ValueError for values below 0, above white, or not finite.
    """
    from PIL import Image

    values = _values(img)
    white = white_of(img) if white is None or "white" in img.info else white
    if (largest := values.max()) > white:
        raise ValueError(f"its largest value is {largest:g}, but in the images that it belongs to white is {white:g}")
    return Image.fromarray((values / (white / 255.0)).astype(np.float32))


def common_white(whites: dict[str, int]) -> int | None:
    """The white of several deep files together; None for none.

    Arguments: whites, path -> `white_of` the file.
    Raises: ValueError where some files hold 0 to 1 and others more.

    >>> common_white({"a.tif": 255, "b.tif": 4095}), common_white({})
    (4095, None)
    """
    largest = max(whites.values(), default=None)
    if largest is not None and largest > 1 and (fractions := [path for path, white in whites.items() if white == 1]):
        other = next(path for path, white in whites.items() if white > 1)
        raise ValueError(f"{fractions[0]} holds values from 0 to 1, {other} up to {largest}: bring them to one scale")
    return largest


def _values(img: Image) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The values (H, W), checked."""
    x = np.asarray(img, np.float64)
    if not np.isfinite(x).all():
        raise ValueError("it holds values that are NaN or infinite: replace them")
    if x.min() < 0:
        raise ValueError(f"its values begin at {x.min():g}, and where black lies is not known: bring them to 0 to 65535")
    return x
