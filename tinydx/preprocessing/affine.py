"""Affine maps of images: rotation, shift, shear and zoom as one 2x2 matrix, and the bilinear warp by it.

Pure functions on arrays, with no randomness: `affine_matrix` builds the map from the six numbers that an
augmentation draws, `affine_warp` looks up, for each output pixel, where the map says it comes from.
"""

from __future__ import annotations

import numpy as np

FILL_MODES = ("nearest", "constant", "reflect", "wrap")


def affine_matrix(
    theta: float, tx: float, ty: float, shear: float, zx: float, zy: float, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Matrix (2, 2) and offset (2,) that map an output pixel (row, col) to the input pixel it is taken from.

    The map is Rotation(theta) Shift(tx, ty) Shear(shear) Zoom(zx, zy) about the image's centre. Keras builds
    it for points (x, y), centres it with (height, width), and only then swaps x and y. So `tx` moves along
    the columns and `ty` along the rows, and the centre of an image that is not square is off. We do the same,
    so that augmented images are those of Keras.

    Arguments: theta and shear in degrees; tx, ty in pixels; zx, zy factors, above 1 for a smaller picture;
    height, width of the image in pixels.
    Source: keras.preprocessing.image.apply_affine_transform (behaviour).

    >>> matrix, offset = affine_matrix(theta=0, tx=2, ty=0, shear=0, zx=1, zy=1, height=5, width=5)
    >>> matrix.tolist(), offset.tolist()
    ([[1.0, 0.0], [0.0, 1.0]], [0.0, 2.0])
    """
    a, s = np.deg2rad(theta), np.deg2rad(shear)
    rotation = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    shift = np.array([[1, 0, tx], [0, 1, ty], [0, 0, 1]])
    shearing = np.array([[1, -np.sin(s), 0], [0, np.cos(s), 0], [0, 0, 1]])
    zoom = np.diag([zx, zy, 1.0])
    to_centre = np.array([[1, 0, height / 2 - 0.5], [0, 1, width / 2 - 0.5], [0, 0, 1]])
    from_centre = np.array([[1, 0, 0.5 - height / 2], [0, 1, 0.5 - width / 2], [0, 0, 1]])
    full = to_centre @ (rotation @ shift @ shearing @ zoom) @ from_centre
    return full[1::-1, 1::-1], full[1::-1, 2]  # x and y swapped


def affine_warp(
    image: np.ndarray, matrix: np.ndarray, offset: np.ndarray, fill_mode: str = "nearest", cval: float = 0.0
) -> np.ndarray:
    """Image whose pixel at p is the input's value at matrix @ p + offset, interpolated bilinearly.

    Arguments: image (H, W, C) float32 or float64; matrix (2, 2) and offset (2,) map output (row, col) to
    input (row, col); fill_mode, what stands outside the image: "nearest" aaa|abcd|ddd, "reflect"
    cba|abcd|dcb, "wrap" bcd|abcd|abc (period n - 1: SciPy's wrap counts the first and last pixel as one), or
    "constant" `cval`.
    Returns (H, W, C) of the same dtype. Source: equals scipy.ndimage.affine_transform with order=1 per
    channel.

    >>> ramp = np.arange(4.0).reshape(1, 4, 1)
    >>> affine_warp(ramp, np.eye(2), np.array([0.0, 1.5])).ravel()
    array([1.5, 2.5, 3. , 3. ])
    """
    height, width, channels = image.shape
    i, j = np.arange(height)[:, None], np.arange(width)
    rows = (matrix[0, 0] * i + matrix[0, 1] * j + offset[0]).ravel()
    cols = (matrix[1, 0] * i + matrix[1, 1] * j + offset[1]).ravel()
    outside = (rows < 0) | (rows > height - 1) | (cols < 0) | (cols > width - 1)
    rows, cols = _fold(rows, height, fill_mode), _fold(cols, width, fill_mode)

    top, left = rows.astype(np.intp), cols.astype(np.intp)
    down = (rows - top).astype(image.dtype)[:, None]  # weights of the lower and of the right neighbour
    right = (cols - left).astype(image.dtype)[:, None]
    above, below = top * width, np.minimum(top + 1, height - 1) * width
    after = np.minimum(left + 1, width - 1)
    pixels = image.reshape(-1, channels)
    upper = _mix(pixels.take(above + left, axis=0), pixels.take(above + after, axis=0), right)
    lower = _mix(pixels.take(below + left, axis=0), pixels.take(below + after, axis=0), right)
    warped = _mix(upper, lower, down)
    if fill_mode == "constant":
        warped[outside] = cval
    return warped.reshape(image.shape)


def _mix(a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """a + (b - a) * weight, in b's memory."""
    b -= a
    b *= weight
    b += a
    return b


def _fold(x: np.ndarray, n: int, fill_mode: str) -> np.ndarray:
    """Coordinates brought into [0, n - 1] as the fill mode says."""
    last = n - 1
    if fill_mode == "reflect":  # a triangle wave of period 2n: the mirrors stand half a pixel outside
        x = n - np.abs(np.mod(x + 0.5, 2 * n) - n) - 0.5
    elif fill_mode == "wrap" and n > 1:
        x = np.where(x < 0, x + last * (np.floor(-x / last) + 1), x)
        x = np.where(x > last, x - last * np.floor(x / last), x)
    return np.clip(x, 0, last)
