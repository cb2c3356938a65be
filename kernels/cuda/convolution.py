"""Convolution: as a matrix product without im2col where there is one group, else as the sum stands.

The kernels do not flip w; for conv2d, the document's convolution, it is flipped before and its gradient after.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinydx.op import kernel_of
from tinydx.ops.convolution import conv2d, correlate2d, output_size, padding_2d, pair
from tinydx_kernels.cuda import programs
from tinydx_kernels.cuda.backend import LARGEST, THREADS, contiguous, each, is_float32, launch, xp
from tinydx_kernels.cuda.matmul import tiles_of
from tinydx_kernels.cuda.programs import MIDDLE, PLAIN, SMALL, TALL, Tile
from tinydx_kernels.cuda.sums import add_pieces, pieces_of, sum_rows

DIRECT = PLAIN["conv_direct"]
PIXELS = 256  # the least that a piece of dW sums up


def geometry(x, w, stride, padding, dilation) -> tuple[int, ...]:
    """The 15 numbers of geometry.cuh."""
    kernel, stride, dilation = w.shape[:2], pair(stride), pair(dilation)
    border = padding_2d(padding, x.shape[1:3], kernel, stride, dilation)
    axes = zip(x.shape[1:3], kernel, stride, dilation, border, strict=True)
    out = (output_size(n, k, s, d, *ends) for n, k, s, d, ends in axes)
    return (*x.shape, *out, w.shape[3], *kernel, *stride, *dilation, border[0][0], border[1][0])


def shape_of_y(numbers) -> tuple[int, ...]:
    """(N,OH,OW,F)"""
    return (numbers[0], *numbers[4:7])


def tile_for(pixels: int, channels: int) -> Tile:
    """Many pixels and few channels: a tall tile."""
    if channels > SMALL.BN:
        return MIDDLE
    return TALL if pixels >= 4 * TALL.BM else SMALL


# ---- forward -------------------------------------------------------------------------------------------------------


def forward_product(x, w, b, numbers, relu=False, pool=False) -> tuple[Any, Any]:
    """(y, winner): y with ReLU and 2x2 max pooling if wanted. Without pooling nothing is in winner."""
    n, rows, columns, filters = shape_of_y(numbers)
    shape = (n, rows // 2, columns // 2, filters) if pool else (n, rows, columns, filters)
    y = xp(x).empty(shape, x.dtype)
    winner = xp(x).empty(shape if pool else 1, np.uint8)
    pixels = y.size // filters * (4 if pool else 1)
    tile = tile_for(pixels, filters)
    program, blocks = programs.conv_forward(tile, relu, pool), tiles_of(tile, pixels, filters)
    launch(program, "forward", blocks, tile.threads, *_inputs(x, w, b), y, winner, *numbers, b is not None)
    return y, winner


def forward(x, w, b, numbers, groups, relu=False):
    """y, with ReLU if wanted and there is one group."""
    if groups == 1:
        return forward_product(x, w, b, numbers, relu)[0]
    y = xp(x).empty(shape_of_y(numbers), x.dtype)
    each(DIRECT, "forward", y.size, *_inputs(x, w, b), y, *numbers, groups, b is not None)
    return y


def _inputs(x, w, b):
    """As kernels take them; a bias that is not there is some array that is not read."""
    x = contiguous(x)
    return x, contiguous(w), x if b is None else contiguous(b)


# ---- backward ------------------------------------------------------------------------------------------------------


def gradient_of_x(dy, w, numbers, groups):
    """dx (N,H,W,C)"""
    dx = xp(dy).empty(numbers[:4], dy.dtype)
    if groups > 1:
        each(DIRECT, "gradient_of_x", dx.size, dy, w, dx, *numbers, groups)
        return dx
    pixels, channels = dx.size // numbers[3], numbers[3]
    tile = tile_for(pixels, channels)
    program, blocks = programs.conv_backward(tile), tiles_of(tile, pixels, channels)
    launch(program, "gradient_of_x", blocks, tile.threads, dy, w, dx, *numbers)
    return dx


def gradient_of_w(x, dy, shape, numbers, groups):
    """dw of that shape: pieces of the pixels side by side, then their sum."""
    pixels, size, filters = dy.size // shape[3], int(np.prod(shape)), shape[3]
    tile = MIDDLE if min(size // filters, filters) > SMALL.BM else SMALL
    down, across = tiles_of(tile, size // filters, filters) if groups == 1 else (-(-size // THREADS), 1)
    number, piece = pieces_of(pixels, down * across, tile.threads if groups == 1 else THREADS, PIXELS)
    pieces = xp(x).empty((1, number, *shape), x.dtype)
    if groups == 1:
        program, blocks = programs.conv_backward(tile), (down, across, number)
        launch(program, "gradient_of_w", blocks, tile.threads, x, dy, pieces, *numbers, piece)
    else:
        launch(DIRECT, "gradient_of_w", (down, number), THREADS, x, dy, pieces, *numbers, groups, piece)
    return pieces[0, 0] if number == 1 else add_pieces(pieces, shape)


def gradients(dy, x, w, numbers, groups, needs):
    """dx, dw, db; None for those that are not needed."""
    dy, w = contiguous(dy), contiguous(w)
    dx = gradient_of_x(dy, w, numbers, groups) if needs[0] else None
    dw = gradient_of_w(contiguous(x), dy, w.shape, numbers, groups) if needs[1] else None
    return dx, dw, sum_rows(dy)


# ---- the ops -------------------------------------------------------------------------------------------------------


def correlate2d_forward(x, w, b=None, *, stride=1, padding="valid", dilation=1, groups=1):
    numbers = geometry(x, w, stride, padding, dilation)
    return forward(x, w, b, numbers, groups), (x, w, numbers, groups)


def correlate2d_backward(dy, saved, needs=(True, True, True)):
    return gradients(dy, *saved, needs)


def flipped(forward, backward):
    """The same for the true convolution: the kernel is flipped on its way in, its gradient on its way out."""

    def flipped_forward(x, w, b=None, **constants):
        return forward(x, w[::-1, ::-1], b, **constants)

    def flipped_backward(dy, saved, needs=(True, True, True)):
        dx, dw, db = backward(dy, saved, needs)
        return dx, None if dw is None else dw[::-1, ::-1], db

    return flipped_forward, flipped_backward


conv2d_forward, conv2d_backward = flipped(correlate2d_forward, correlate2d_backward)


def supports(x, w, b=None, *, stride=1, padding="valid", dilation=1, groups=1):
    if not is_float32(x, w, b) or x.shape[3] != w.shape[2] * groups or w.shape[3] % groups:
        return False  # the reference says what is wrong
    return int(np.prod(shape_of_y(geometry(x, w, stride, padding, dilation)))) <= LARGEST


kernel_of(correlate2d, "cuda", correlate2d_forward, correlate2d_backward, supports)
kernel_of(conv2d, "cuda", conv2d_forward, conv2d_backward, supports)
