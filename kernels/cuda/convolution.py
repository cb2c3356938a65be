"""Convolution: a matrix product without im2col where there is one group, else the equation as it stands.

The kernels do not flip w. For conv2d, the document's convolution, w is flipped before the kernel and its gradient after it.
"""

from __future__ import annotations

import functools
from itertools import product as every
from typing import Any, NamedTuple

import numpy as np

from tinydx.op import kernel_of
from tinydx.ops.convolution import conv2d, correlate2d, output_size, padding_2d, pair
from tinydx_kernels.cuda.backend import LARGEST, THREADS, contiguous, each, is_float32, launch, xp
from tinydx_kernels.cuda.matmul import MIDDLE, SMALL, tiles_of
from tinydx_kernels.cuda.programs import Program, Tile
from tinydx_kernels.cuda.sums import add_pieces, pieces_of, sum_rows

PIXELS = 256  # a piece of dW sums at least this many pixels
TALL = Tile(128, 32, 16, 8, 4)  # for many pixels and few channels

# ---- programs --------------------------------------------------------------------------------------------------------

DIRECT = Program("conv_direct.cu")


def forward_program(tile: Tile, relu: bool = False, pool: bool = False) -> Program:
    """conv_forward.cu for a tile, with ReLU, and with 2x2 max pooling after it."""
    return Program("conv_forward.cu", (*tile.defines, ("RELU", int(relu)), ("POOL", int(pool))))


def backward_program(tile: Tile) -> Program:
    """conv_backward.cu for a tile."""
    return Program("conv_backward.cu", tile.defines)


TILES = SMALL, TALL, MIDDLE
EPILOGUES = (False, False), (True, False), (True, True)  # ReLU, pooling
PROGRAMS = [
    DIRECT,
    *(forward_program(tile, *epilogue) for tile, epilogue in every(TILES, EPILOGUES)),
    *(backward_program(tile) for tile in TILES),
]

# ---- sizes -----------------------------------------------------------------------------------------------------------


class Geometry(NamedTuple):
    """The struct Geometry of geometry.cuh: the shapes of x, w and y, strides, dilations and padding."""

    images: int
    height: int
    width: int
    channels: int
    out_height: int
    out_width: int
    filters: int
    kernel_height: int
    kernel_width: int
    stride_y: int
    stride_x: int
    dilation_y: int
    dilation_x: int
    top_border: int
    left_border: int

    @property
    def shape_of_x(self) -> tuple[int, ...]:
        """(N,H,W,C)."""
        return self[:4]

    @property
    def shape_of_y(self) -> tuple[int, ...]:
        """(N,OH,OW,F)."""
        return self.images, self.out_height, self.out_width, self.filters


def geometry(x: Any, w: Any, stride: Any, padding: Any, dilation: Any) -> Geometry:
    """x (N,H,W,C), w (KH,KW,C,F) -> the Geometry of their convolution."""
    kernel, stride, dilation = w.shape[:2], pair(stride), pair(dilation)
    border = padding_2d(padding, x.shape[1:3], kernel, stride, dilation)
    axes = zip(x.shape[1:3], kernel, stride, dilation, border, strict=True)
    out = (output_size(n, k, s, d, *ends) for n, k, s, d, ends in axes)
    return Geometry._make((*x.shape, *out, w.shape[3], *kernel, *stride, *dilation, border[0][0], border[1][0]))


def tile_for(pixels: int, channels: int) -> Tile:
    """The tile for a matrix (pixels, channels)."""
    if channels > SMALL.BN:
        return MIDDLE
    return TALL if pixels >= 4 * TALL.BM else SMALL


# ---- forward ---------------------------------------------------------------------------------------------------------


def forward_product(x, w, b, g, relu=False, pool=False) -> tuple[Any, Any]:
    """x (N,H,W,C), w (KH,KW,C,F), b (F,) or None -> y (N,OH,OW,F), after ReLU and 2x2 max pooling if asked for.

    Returns: (y, winner); winner has the shape of y and tells which pixel of each window won. Without pooling it is not set.
    """
    n, rows, columns, filters = g.shape_of_y
    shape = (n, rows // 2, columns // 2, filters) if pool else (n, rows, columns, filters)
    y = xp(x).empty(shape, x.dtype)
    winner = xp(x).empty(shape if pool else 1, np.uint8)
    pixels = y.size // filters * (4 if pool else 1)
    tile = tile_for(pixels, filters)
    program, blocks = forward_program(tile, relu, pool), tiles_of(tile, pixels, filters)
    launch(program, "forward", blocks, tile.threads, *_inputs(x, w, b), y, winner, g, b is not None)
    return y, winner


def forward(x, w, b, g, groups, relu=False):
    """x (N,H,W,C), w (KH,KW,C/groups,F), b (F,) or None -> y (N,OH,OW,F), after ReLU if asked for and there is one group."""
    if groups == 1:
        return forward_product(x, w, b, g, relu)[0]
    y = xp(x).empty(g.shape_of_y, x.dtype)
    each(DIRECT, "forward", y.size, *_inputs(x, w, b), y, g, groups, b is not None)
    return y


def _inputs(x, w, b):
    """x, w and b, contiguous; without a bias, x stands in and is not read as one."""
    x = contiguous(x)
    return x, contiguous(w), x if b is None else contiguous(b)


# ---- backward --------------------------------------------------------------------------------------------------------


def gradient_of_x(dy, w, g, groups):
    """dy (N,OH,OW,F), w (KH,KW,C/groups,F) -> dx (N,H,W,C)."""
    dx = xp(dy).empty(g.shape_of_x, dy.dtype)
    if groups > 1:
        each(DIRECT, "gradient_of_x", dx.size, dy, w, dx, g, groups)
        return dx
    pixels = dx.size // g.channels
    tile = tile_for(pixels, g.channels)
    launch(backward_program(tile), "gradient_of_x", tiles_of(tile, pixels, g.channels), tile.threads, dy, w, dx, g)
    return dx


def gradient_of_w(x, dy, shape, g, groups):
    """x (N,H,W,C), dy (N,OH,OW,F), shape of w -> dw (KH,KW,C/groups,F): sums over pieces of the pixels, then their sum."""
    pixels, size, filters = dy.size // shape[3], int(np.prod(shape)), shape[3]
    tile = MIDDLE if min(size // filters, filters) > SMALL.BM else SMALL
    down, across = tiles_of(tile, size // filters, filters) if groups == 1 else (-(-size // THREADS), 1)
    number, piece = pieces_of(pixels, down * across, tile.threads if groups == 1 else THREADS, PIXELS)
    pieces = xp(x).empty((1, number, *shape), x.dtype)
    if groups == 1:
        program, blocks = backward_program(tile), (down, across, number)
        launch(program, "gradient_of_w", blocks, tile.threads, x, dy, pieces, g, piece)
    else:
        launch(DIRECT, "gradient_of_w", (down, number), THREADS, x, dy, pieces, g, groups, piece)
    return pieces[0, 0] if number == 1 else add_pieces(pieces, shape)


def gradients(dy, x, w, g, groups, needs):
    """dy (N,OH,OW,F), x (N,H,W,C), w (KH,KW,C/groups,F) -> dx, dw, db (F,); None for those that are not needed."""
    dy, w = contiguous(dy), contiguous(w)
    dx = gradient_of_x(dy, w, g, groups) if needs[0] else None
    dw = gradient_of_w(contiguous(x), dy, w.shape, g, groups) if needs[1] else None
    return dx, dw, sum_rows(dy)


# ---- the ops ---------------------------------------------------------------------------------------------------------


def correlate2d_forward(x, w, b=None, *, stride=1, padding="valid", dilation=1, groups=1):
    """x (N,H,W,C), w (KH,KW,C/groups,F), b (F,) or None -> y (N,OH,OW,F)."""
    g = geometry(x, w, stride, padding, dilation)
    return forward(x, w, b, g, groups), (x, w, g, groups)


def correlate2d_backward(dy, saved, needs=(True, True, True)):
    """dy (N,OH,OW,F) -> dx (N,H,W,C), dw (KH,KW,C/groups,F), db (F,)."""
    return gradients(dy, *saved, needs)


def flipped(forward, backward):
    """Forward and backward of the true convolution: w (KH,KW,C/groups,F) is flipped before, and its gradient after."""

    @functools.wraps(forward)  # a card names the file of what is flipped
    def flipped_forward(x, w, b=None, **constants):
        return forward(x, w[::-1, ::-1], b, **constants)

    def flipped_backward(dy, saved, needs=(True, True, True)):
        dx, dw, db = backward(dy, saved, needs)
        return dx, None if dw is None else dw[::-1, ::-1], db

    return flipped_forward, flipped_backward


conv2d_forward, conv2d_backward = flipped(correlate2d_forward, correlate2d_backward)


def supports(x, w, b=None, *, stride=1, padding="valid", dilation=1, groups=1):
    """x (N,H,W,C), w (KH,KW,C/groups,F), b (F,) or None; for shapes that do not fit the reference raises the error."""
    if not is_float32(x, w, b) or x.shape[3] != w.shape[2] * groups or w.shape[3] % groups:
        return False
    return int(np.prod(geometry(x, w, stride, padding, dilation).shape_of_y)) <= LARGEST


def samples(draw, pooled=False):
    """Windows, borders and groups of all kinds, channels around the tiles. pooled: one group, and y at least (N,2,2,F)."""
    kernel = draw.choice([(1, 1), (2, 2), (3, 3), (3, 3), (5, 5), (1, 3), (4, 1), (2, 5)])
    stride, dilation = draw.choice([1, 1, 2, 3, (1, 2), (3, 1)]), draw.choice([1, 1, 1, 2, (1, 3)])
    padding = draw.choice(["valid", "same", 1, 4, ((0, 1), (2, 0))])
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, pair(dilation), strict=True)]
    least = pair(stride) if pooled else (0, 0)
    height, width = (e + s + draw.integer(0, 6) for e, s in zip(extent, least, strict=True))
    groups = 1 if pooled else draw.choice([1, 1, 1, 2, 3])
    c = draw.choice([1, 2, 3, 4, 7, 17, 33])
    f = draw.choice([1, 2, 3, 8, 31, 32, 33, 65]) if groups == 1 else draw.integer(1, 9) * groups
    if draw.choice([False, False, False, True]):  # many pixels, few channels
        height, width, c = height + 10, width + 12, min(c, 4)
    x, w = draw.array(draw.integer(1, 3), height, width, c * groups), draw.array(*kernel, c, f)
    constants = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return (x, w, draw.choice([draw.array(f), None])), constants


kernel_of(correlate2d, "cuda", correlate2d_forward, correlate2d_backward, supports, samples=samples)
kernel_of(conv2d, "cuda", conv2d_forward, conv2d_backward, supports, samples=samples)
