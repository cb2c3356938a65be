"""Mistakes that people make in the gradients of tinydx/ops/image.py.

Pixels that are read twice, weights, flips and fill values of the warp; the clipped pixels of the channel shift.
"""

import numpy as np

from tinydx.gradcheck.slips import slip_of
from tinydx.ops.image import _look_up, _shares, affine_warp, affine_warp_backward, channel_shift, channel_shift_backward


@slip_of(affine_warp, "repeated pixels counted once", "A pixel that several output pixels take from collects all: np.add.at.")
def affine_warp_once(dy, saved):
    dx = np.zeros((dy.shape[0] * dy.shape[1], dy.shape[2]), dy.dtype)
    for corner, share in _shares(dy, saved):
        dx[corner] += share
    return (dx.reshape(dy.shape),)


@slip_of(affine_warp, "dy warped by the same map", "The gradient goes back the other way: scatter dy, do not look it up.")
def affine_warp_again(dy, saved):
    _, matrix, offset, fill_mode, flip = saved
    return (affine_warp.forward(dy, matrix=matrix, offset=offset, fill_mode=fill_mode, flip=flip)[0],)


@slip_of(affine_warp, "weights forgotten", "Each of the four pixels moved y by its weight only: multiply dy by it.")
def affine_warp_unweighted(dy, saved):
    shape, *where = saved
    corners, _, _, filled = _look_up(shape, *where)
    dx = np.zeros((shape[0] * shape[1], shape[2]), dy.dtype)
    for corner in corners:
        np.add.at(dx, corner, np.where(filled[:, None], 0, dy.reshape(-1, shape[2])))
    return (dx.reshape(shape),)


@slip_of(affine_warp, "only one of the four pixels gets it", "All four pixels around the point were mixed: each gets its share.")
def affine_warp_first_corner(dy, saved):
    dx = np.zeros((dy.shape[0] * dy.shape[1], dy.shape[2]), dy.dtype)
    np.add.at(dx, *_shares(dy, saved)[0])
    return (dx.reshape(dy.shape),)


@slip_of(affine_warp, "weights down and right swapped", "`down` mixes the rows above and below, `right` the columns: keep them.")
def affine_warp_swapped(dy, saved):
    first, after, below, last = _shares(dy, saved)
    dx = np.zeros((dy.shape[0] * dy.shape[1], dy.shape[2]), dy.dtype)
    for corner, share in (first, (after[0], below[1]), (below[0], after[1]), last):
        np.add.at(dx, corner, share)
    return (dx.reshape(dy.shape),)


@slip_of(affine_warp, "flip forgotten", "Where y was mirrored, pixel (i,j) of dy belongs to the mirrored position.")
def affine_warp_unflipped(dy, saved):
    *where, _ = saved
    return affine_warp_backward(dy, (*where, (False, False)))


@slip_of(affine_warp, "fill value differentiated", "Where `cval` stands, y does not depend on the image: no gradient from there.")
def affine_warp_filled(dy, saved):
    shape, matrix, offset, fill_mode, flip = saved
    return affine_warp_backward(dy, (shape, matrix, offset, "nearest", flip)) if fill_mode == "constant" else (None,)


@slip_of(channel_shift, "gate forgotten", "Where the sum was cut off, y did not move with its own pixel: zero there.")
def channel_shift_without_gate(dy, saved):
    return (dy,)


@slip_of(channel_shift, "extremes taken as constants", "The limits are pixels of the image: they collect dy wherever it was cut.")
def channel_shift_constant_limits(dy, saved):
    image, intensity, lowest, highest = saved
    shifted = image + intensity
    return (np.where((shifted < lowest) | (shifted > highest), 0, dy),)


@slip_of(channel_shift, "minimum and maximum swapped", "What was cut off above is the maximum: its gradient goes to the largest.")
def channel_shift_swapped(dy, saved):
    image, intensity, lowest, highest = saved
    shifted = image + intensity
    dx = np.where((shifted < lowest) | (shifted > highest), 0, dy)
    dx.flat[image.argmax()] += dy[shifted < lowest].sum()
    dx.flat[image.argmin()] += dy[shifted > highest].sum()
    return (dx,)


@slip_of(channel_shift, "sign of the shift turned", "Forward adds a: the gate is where x + a was cut off, not x - a.")
def channel_shift_turned(dy, saved):
    image, intensity, lowest, highest = saved
    return channel_shift_backward(dy, (image, -intensity, lowest, highest))
