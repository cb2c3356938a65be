"""Affine maps of images: rotation, shift, shear and zoom as one 2x2 matrix.

`affine_matrix` is a pure function without randomness: it builds the map from six numbers that an augmentation draws. The
bilinear warp that applies it is an op, `tinydx.ops.affine_warp`.
"""

from __future__ import annotations

import math

import numpy as np

from tinydx.ops.image import FILL_MODES

__all__ = ["FILL_MODES", "affine_matrix"]


def affine_matrix(
    theta: float, tx: float, ty: float, shear: float, zx: float, zy: float, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """The map from each output pixel (row, column) to the input pixel whose value it takes.

    The map is Rotation(theta) Shift(tx, ty) Shear(shear) Zoom(zx, zy) about the image's centre. Keras builds it for points
    (x, y), centres it with (height, width), and swaps x and y only afterwards. So `tx` moves along the columns and `ty` along
    the rows, and the centre of an image that is not square is off. tinydx does the same, so that augmented images equal those
    of Keras.

    Arguments: theta and shear in degrees; tx, ty in pixels; zx, zy factors, above 1 for a smaller picture; height, width of the
    image in pixels.
    Returns: matrix (2, 2) and offset (2,): input pixel = matrix @ output pixel + offset.
    Source: keras.preprocessing.image.apply_affine_transform (behaviour).

    >>> matrix, offset = affine_matrix(theta=0, tx=2, ty=0, shear=0, zx=1, zy=1, height=5, width=5)
    >>> matrix.tolist(), offset.tolist()
    ([[1.0, 0.0], [0.0, 1.0]], [0.0, 2.0])
    """
    a, s = math.radians(theta), math.radians(shear)
    rotation = np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]])
    matrix = rotation @ [[zx, -math.sin(s) * zy], [0, math.cos(s) * zy]]  # Shear Zoom, multiplied out
    centre = np.array([height / 2 - 0.5, width / 2 - 0.5])
    offset = centre + rotation @ [tx, ty] - matrix @ centre
    return matrix[::-1, ::-1], offset[::-1]  # x and y swapped
