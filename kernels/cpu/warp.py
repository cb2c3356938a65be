"""The affine warp of images (tinydx.preprocessing.affine) in one pass: coordinates, neighbours and mixing of a pixel.

NumPy makes arrays of all coordinates, neighbours and weights; here they never leave the registers. The order of
operations is the reference's and no multiply-add is fused, so results are equal bit by bit. One image is one call
without the GIL: whoever has many images calls from several threads.
"""

import numpy as np
from tinydx_kernels.cpu.memory import contiguous
from tinydx_kernels.cpu.simd import exact

NEAREST, CONSTANT, REFLECT, WRAP = range(4)
MODES = {"nearest": NEAREST, "constant": CONSTANT, "reflect": REFLECT, "wrap": WRAP}


@exact
def fold(x, n, mode):
    """A coordinate brought into [0, n - 1] as the fill mode says."""
    last = n - 1
    if mode == REFLECT:
        x = n - abs((x + 0.5) % (2 * n) - n) - 0.5
    elif mode == WRAP and n > 1:
        if x < 0:
            x = x + last * (np.floor(-x / last) + 1)
        if x > last:
            x = x - last * np.floor(x / last)
    return min(max(x, 0.0), float(last))


@exact
def warp(image, matrix, offset, mode, cval, warped, weights):
    height, width, channels = image.shape
    for i in range(height):
        for j in range(width):
            row = matrix[0, 0] * i + matrix[0, 1] * j + offset[0]
            column = matrix[1, 0] * i + matrix[1, 1] * j + offset[1]
            if mode == CONSTANT and (row < 0 or row > height - 1 or column < 0 or column > width - 1):
                warped[i, j, :] = cval
                continue
            row, column = fold(row, height, mode), fold(column, width, mode)
            top, left = int(row), int(column)
            weights[0], weights[1] = row - top, column - left  # rounded to the image's dtype
            below, after = min(top + 1, height - 1), min(left + 1, width - 1)
            for c in range(channels):
                upper = (image[top, after, c] - image[top, left, c]) * weights[1] + image[top, left, c]
                lower = (image[below, after, c] - image[below, left, c]) * weights[1] + image[below, left, c]
                warped[i, j, c] = (lower - upper) * weights[0] + upper


def affine_warp(image, matrix, offset, fill_mode="nearest", cval=0.0):
    """The same as tinydx.preprocessing.affine.affine_warp: image (H,W,C) float32 or float64.

    >>> ramp = np.arange(4.0).reshape(1, 4, 1)
    >>> affine_warp(ramp, np.eye(2), np.array([0.0, 1.5])).ravel()
    array([1.5, 2.5, 3. , 3. ])
    """
    warped = np.empty(image.shape, image.dtype)
    matrix, offset = np.array(matrix, np.float64), np.array(offset, np.float64)
    warp(contiguous(image), matrix, offset, MODES[fill_mode], image.dtype.type(cval), warped, np.empty(2, image.dtype))
    return warped
