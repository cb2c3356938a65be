"""How the windows of a convolution or a pooling lie in an image: one tuple of numbers that all their kernels take.

Numba passes a NamedTuple to a compiled function as its fields, one by one; into the body of a prange it passes only
tuples that hold no tuple themselves. So the fields are plain numbers, a row count and a column count each.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from tinydx.ops.convolution import output_size, padding_2d, pair

# Channels to try in tests: around vectors of 8 and 16 floats and register blocks of 6, 12 and 32.
COUNTS = (1, 2, 3, 5, 6, 7, 8, 9, 12, 13, 15, 16, 17, 24, 31, 32, 33, 47, 48, 49, 63, 64, 65, 96, 127, 128, 129, 130)


class Geometry(NamedTuple):
    """Image, output and windows of a convolution or a pooling, in pixels: `_h` down the rows, `_w` along the columns."""

    height: int  # of an image
    width: int
    channels: int
    out_h: int  # of the output
    out_w: int
    kernel_h: int  # positions of the kernel (taps), or pixels of a pooling window
    kernel_w: int
    stride_h: int  # from one window to the next
    stride_w: int
    dilation_h: int  # from one tap to the next
    dilation_w: int
    reach_h: int  # from the first pixel of a window to the last, both included
    reach_w: int
    top: int  # rows of padding above the image
    left: int  # columns of padding before it


@lru_cache  # a model asks the same in every step
def turned(geometry):
    """Rows as columns, and columns as rows."""
    height, width, channels, *pairs = geometry
    return Geometry(width, height, channels, *[n for k in range(0, 12, 2) for n in (pairs[k + 1], pairs[k])])


def is_column(geometry):
    """Whether images are one pixel wide: signals (N,H,1,C). As rows (N,1,H,C) they are the same numbers, in longer loops."""
    g = geometry
    return g.width == g.kernel_w == g.out_w == 1 and g.left == 0 and g.height > 1


def geometry_of(image, kernel, stride, padding, dilation=1):
    """The Geometry of images of shape (N,H,W,C) under a kernel.

    Arguments: kernel, stride, dilation, a number or (rows, columns); padding as the ops take it.
    Raises: ValueError where the kernel does not fit.

    >>> g = geometry_of((1, 9, 9, 3), (3, 3), 2, "same")
    >>> g.out_h, g.out_w, g.top, g.left
    (5, 5, 1, 1)
    """
    try:
        return _geometry(image[1:], kernel, stride, padding, dilation)
    except TypeError:  # a list or an array, which cannot be looked up
        padding = padding if isinstance(padding, str | int | np.integer) else tuple(map(tuple, padding))
        return _geometry(image[1:], pair(kernel), pair(stride), padding, pair(dilation))


@lru_cache  # a model asks the same in every step
def _geometry(image, kernel, stride, padding, dilation):
    """`geometry_of` for an image of shape (H,W,C) and arguments that can be looked up."""
    kernel, stride, dilation = (tuple(map(int, pair(value))) for value in (kernel, stride, dilation))
    border = padding_2d(padding, image[:2], kernel, stride, dilation)
    axes = zip(image[:2], kernel, stride, dilation, border, strict=True)
    out = (output_size(n, k, s, d, *ends) for n, k, s, d, ends in axes)
    reach = ((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
    return Geometry(*image, *out, *kernel, *stride, *dilation, *reach, int(border[0][0]), int(border[1][0]))
