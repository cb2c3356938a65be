"""Images moved and recoloured: what augmentation does to one image (H,W,C).

The warp maps each output pixel (i,j) to a point (r,s) of the input, and mixes the four pixels around that point:

              left      after
      above     o---------o         r - above = down
                |         |
                |   .(r,s)|         s - left = right
      below     o---------o

It is linear in the image, so its gradient takes the same way back: dy is shared among the four by the same weights.
"""

import numpy as np

from tinydx.arguments import NUMBER, REAL, TWO_FLAGS, one_of
from tinydx.op import backward_of, literal_of, op, requirement_of, samples_of

FILL_MODES = ("nearest", "constant", "reflect", "wrap")


def _fold(x, n, fill_mode):
    """Coordinates brought into [0, n - 1] as the fill mode says."""
    last = n - 1
    if fill_mode == "reflect":  # a triangle wave of period 2n, mirrored half a pixel outside
        x = n - np.abs(np.mod(x + 0.5, 2 * n) - n) - 0.5
    elif fill_mode == "wrap" and n > 1:
        x = np.where(x < 0, x + last * (np.floor(-x / last) + 1), x)
        x = np.where(x > last, x - last * np.floor(x / last), x)
    return np.clip(x, 0, last)


def _look_up(shape, matrix, offset, fill_mode, flip):
    """For each output pixel: the indices of its four neighbours, its weights down and right, whether it is filled."""
    height, width, _ = shape
    i, j = (np.arange(n)[:: -1 if turned else 1] for n, turned in zip((height, width), flip, strict=True))
    rows = (matrix[0, 0] * i[:, None] + matrix[0, 1] * j + offset[0]).ravel()
    cols = (matrix[1, 0] * i[:, None] + matrix[1, 1] * j + offset[1]).ravel()
    outside = (rows < 0) | (rows > height - 1) | (cols < 0) | (cols > width - 1)
    rows, cols = _fold(rows, height, fill_mode), _fold(cols, width, fill_mode)
    top, left = rows.astype(np.intp), cols.astype(np.intp)
    above, below = top * width, np.minimum(top + 1, height - 1) * width
    after = np.minimum(left + 1, width - 1)
    corners = above + left, above + after, below + left, below + after
    return corners, rows - top, cols - left, outside & (fill_mode == "constant")


def _mix(a, b, weight):
    """a + (b - a) * weight, in b's memory."""
    b -= a
    b *= weight
    b += a
    return b


# ---- the affine warp -----------------------------------------------------------------------------------------------


@op(
    r"y(i,j) = \sum_{p,q} x(p,q) \, t(r-p) \, t(s-q), \quad t(u) = \max(0, 1-|u|), \quad (r,s) = A (i,j) + b",
    shapes="image (H,W,C), matrix number (2,2), offset number (2,) -> y (H,W,C)",
    source="scipy.ndimage.affine_transform, order 1",
    constants={"fill_mode": one_of(*FILL_MODES), "cval": REAL, "flip": TWO_FLAGS},
)
def affine_warp(image, *, matrix, offset, fill_mode="nearest", cval=0.0, flip=(False, False)):
    """Affine warp: the pixel at p is the image's value at matrix @ p + offset, interpolated bilinearly.

    Arguments: image (H,W,C); matrix (2,2) and offset (2,), from output (row, column) to input (row, column), in pixels;
    fill_mode, what lies outside the image: "nearest" aaa|abcd|ddd, "reflect" cba|abcd|dcb, "wrap" bcd|abcd|abc (period
    n - 1: the first and last pixel count as one), or "constant", the number cval; flip, whether rows and columns of y
    are then mirrored.
    Returns: y (H,W,C).

    >>> ramp = np.arange(4.0).reshape(1, 4, 1)
    >>> affine_warp(ramp, matrix=np.eye(2), offset=np.array([0.0, 1.5])).ravel()
    array([1.5, 2.5, 3. , 3. ])
    """
    where = matrix, offset, fill_mode, flip
    corners, down, right, filled = _look_up(image.shape, *where)
    down, right = (weight.astype(image.dtype)[:, None] for weight in (down, right))
    pixels = image.reshape(-1, image.shape[2])
    above_left, above_after, below_left, below_after = (pixels.take(corner, axis=0) for corner in corners)
    y = _mix(_mix(above_left, above_after, right), _mix(below_left, below_after, right), down)
    y[filled] = cval
    return y.reshape(image.shape), (image.shape, *where)


def _shares(dy, saved):
    """For each of the four neighbours: its index for every output pixel, and its share of dy."""
    shape, *where = saved
    corners, down, right, filled = _look_up(shape, *where)
    dy = np.where(filled[:, None], 0, dy.reshape(-1, shape[2]))
    weights = (1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right
    return [(corner, dy * weight.astype(dy.dtype)[:, None]) for corner, weight in zip(corners, weights, strict=True)]


@backward_of(affine_warp)
def affine_warp_backward(dy, saved):
    dx = np.zeros((dy.shape[0] * dy.shape[1], dy.shape[2]), dy.dtype)
    for corner, share in _shares(dy, saved):
        np.add.at(dx, corner, share)  # several output pixels read the same one
    return (dx.reshape(dy.shape),)


@requirement_of(affine_warp)
def the_map_is_finite(image, *, matrix, offset, **fill):
    """ValueError for NaN and infinity, which are no place in an image."""
    if not (np.isfinite(matrix).all() and np.isfinite(offset).all()):
        raise ValueError(f"affine_warp: matrix {matrix.tolist()} and offset {offset.tolist()} must be finite")


@literal_of(affine_warp)
def affine_warp_literal(
    image, *, matrix, offset, fill_mode="nearest", cval=0.0, flip=(False, False)
):
    height, width, channels = image.shape
    y = np.zeros(image.shape)
    for i, j, c in np.ndindex(image.shape):
        at = (height - 1 - i if flip[0] else i), (width - 1 - j if flip[1] else j)
        r = matrix[0, 0] * at[0] + matrix[0, 1] * at[1] + offset[0]
        s = matrix[1, 0] * at[0] + matrix[1, 1] * at[1] + offset[1]
        inside = 0 <= r <= height - 1 and 0 <= s <= width - 1
        if fill_mode == "constant" and not inside:
            y[i, j, c] = cval
            continue
        r, s = _fold(r, height, fill_mode), _fold(s, width, fill_mode)
        for p, q in np.ndindex(height, width):
            near = max(0, 1 - abs(r - p)) * max(0, 1 - abs(s - q))
            y[i, j, c] += image[p, q, c] * near
    return y


@samples_of(affine_warp)
def affine_warp_samples(draw):
    turned, sheared, zoomed = [[0.8, 0.6], [-0.6, 0.8]], [[1.0, 0.0], [0.3, 0.9]], [[1.4, 0.1], [-0.2, 0.7]]
    constants = {
        "matrix": np.array(draw.choice([turned, sheared, zoomed])),
        "offset": np.array(draw.choice([[0.3, -0.4], [-1.3, 0.6], [1.1, 1.7]])),
        "fill_mode": draw.choice(FILL_MODES),
        "cval": draw.choice([0.0, 7.0]),
        "flip": draw.choice([(False, False), (False, True), (True, False)]),
    }
    return (draw.array(draw.integer(2, 5), draw.integer(2, 5), draw.integer(1, 3)),), constants


# ---- the channel shift ---------------------------------------------------------------------------------------------


@op(
    r"y = \min(\max(x + a, \min x), \max x)",
    shapes="image (H,W,C) -> y (H,W,C)",
    source="keras.preprocessing.image.apply_channel_shift",
    constants={"intensity": NUMBER},
)
def channel_shift(image, *, intensity):
    """Channel shift: a number is added to all pixels, within the image's own minimum and maximum.

    Arguments: image (H,W,C); intensity, the number, in grey levels.
    Returns: y (H,W,C).

    >>> channel_shift(np.array([[[0.0], [1.0], [4.0]]]), intensity=2.0).ravel()
    array([2., 3., 4.])
    """
    lowest, highest = image.min(), image.max()
    return np.clip(image + intensity, lowest, highest), (image, intensity, lowest, highest)


@backward_of(channel_shift)
def channel_shift_backward(dy, saved):
    image, intensity, lowest, highest = saved
    under, over = image + intensity < lowest, image + intensity > highest
    dx = np.where(under | over, 0, dy)
    dx.flat[image.argmin()] += dy[under].sum()  # a clipped value is the extreme pixel itself, the first of ties
    dx.flat[image.argmax()] += dy[over].sum()
    return (dx,)


@literal_of(channel_shift)
def channel_shift_literal(image, *, intensity):
    y = np.empty(image.shape)
    for index in np.ndindex(image.shape):
        y[index] = min(max(image[index] + intensity, min(image.flat)), max(image.flat))
    return y


@samples_of(channel_shift)
def channel_shift_samples(draw):
    image = draw.array(draw.integer(2, 4), draw.integer(2, 4), draw.integer(1, 3))
    return (image,), {"intensity": draw.choice([0.7, -0.7, 1.3, -1.3])}
