"""Convolution as one matrix product: every window of the image becomes a row of a matrix, its columns.

    columns (pixels, kh*kw*C):  the window of each output pixel                  (`unfold`, im2col)
    w       (kh*kw*C, F):       the kernel as it lies in memory

    y = columns w          dW = columns^T dy          dX = fold(dy w^T)          (`fold`, col2im, adds each number to its pixel)

A 1x1 kernel needs no copy at all: the image is its columns. For others the copy is kh*kw times the image, but then the
matrix product packs each weight once, divides the work among the threads, and wastes no lanes on few channels.
Neighbouring kernel positions of a row lie next to each other in the image (dilation 1): one piece of kw * C numbers.

        image row   . . [c c c|c c c|c c c] . .        piece of kernel row p
        columns     ... [c c c|c c c|c c c] ...        the same numbers
"""

import numpy as np
from numba import get_num_threads, prange

from tinydx_kernels.cpu.bands import copy_piece
from tinydx_kernels.cpu.matmul import PANEL, matrix_product, multiply_into
from tinydx_kernels.cpu.memory import aligned_empty, contiguous
from tinydx_kernels.cpu.simd import LANES, add, inline, lean, load, parallel, store

CHUNK = 1 << 20  # floats of columns at a time: they stay in the L3 cache
WORTH_WAKING = 1 << 15  # floats from which on several threads copy them

# ---- compiled ------------------------------------------------------------------------------------------------------


@inline
def add_plain(x, i, y, j, count):
    """y[j:] += x[i:], `count` numbers."""
    for k in range(count):
        y[j + k] += x[i + k]


@inline
def add_simd(x, i, y, j, count):
    """The same by vectors."""
    whole = count // LANES * LANES
    for k in range(0, whole, LANES):
        store(add(load(y, j + k), load(x, i + k)), 1, y, j + k, 0)
    for k in range(whole, count):
        y[j + k] += x[i + k]


add_piece = add_simd if LANES else add_plain


@inline
def pieces_of(geometry):
    """(pieces, wide): a kernel row is `pieces` pieces of `wide` kernel positions that are neighbours in the image."""
    return (1, geometry.kernel_w) if geometry.dilation_w == 1 else (geometry.kernel_w, 1)


@lean
def unfold_rows(x, geometry, columns, step, first, last):
    """columns (rows, `step`) of output rows `first` to `last`, counted through all images x (N,H,W,C); both flat."""
    g, (pieces, wide) = geometry, pieces_of(geometry)
    for row in range(first, last):
        image, i = row // g.out_h, row % g.out_h
        for p in range(g.kernel_h):
            h = i * g.stride_h - g.top + p * g.dilation_h
            line = (image * g.height + h) * g.width
            for j in range(g.out_w):
                for q in range(pieces):
                    to = (row * g.out_w + j) * step + (p * pieces + q) * wide * g.channels
                    w = j * g.stride_w - g.left + q * g.dilation_w
                    start, stop = max(0, -w), min(wide, g.width - w)  # the positions of the piece that lie in the image
                    if h < 0 or h >= g.height or start >= stop:
                        columns[to : to + wide * g.channels] = 0
                        continue
                    columns[to : to + start * g.channels] = 0
                    at, count = (line + w + start) * g.channels, (stop - start) * g.channels
                    copy_piece(x, at, columns, to + start * g.channels, count)
                    columns[to + stop * g.channels : to + wide * g.channels] = 0


@lean
def fold_rows(dx, geometry, columns, step, first, last):
    """Rows `first` to `last` of dx (N,H,W,C): the sum of the pieces of columns (rows, `step`) taken from each pixel."""
    g, (pieces, wide) = geometry, pieces_of(geometry)
    for row in range(first, last):
        image, h = row // g.height, row % g.height
        line = row * g.width
        dx[line * g.channels : (line + g.width) * g.channels] = 0
        for p in range(g.kernel_h):
            i = (h + g.top - p * g.dilation_h) // g.stride_h
            if i < 0 or i >= g.out_h or i * g.stride_h - g.top + p * g.dilation_h != h:
                continue
            for j in range(g.out_w):
                for q in range(pieces):
                    w = j * g.stride_w - g.left + q * g.dilation_w
                    start, stop = max(0, -w), min(wide, g.width - w)
                    at = ((image * g.out_h + i) * g.out_w + j) * step + ((p * pieces + q) * wide + start) * g.channels
                    if start < stop:
                        add_piece(columns, at, dx, (line + w + start) * g.channels, (stop - start) * g.channels)


@lean
def move_rows(folding, images, geometry, columns, step, first, last):
    """Rows `first` to `last` of one of the two: images -> columns, or, if `folding`, columns -> images."""
    if folding:
        fold_rows(images, geometry, columns, step, first, last)
    else:
        unfold_rows(images, geometry, columns, step, first, last)


@parallel
def move_in_parallel(folding, images, geometry, columns, step, rows, workers):
    """All `rows` of `move_rows`, a share for each worker."""
    for worker in prange(workers):
        k = np.int64(worker)
        move_rows(folding, images, geometry, columns, step, rows * k // workers, rows * (k + 1) // workers)


@lean
def sum_rows(x, columns, total):
    """total[c] += sum over the rows of x (rows, `columns`), flat: the gradient of a bias.

    Four rows at a time: a number that was just written takes longer to read than to add.
    """
    start = 0
    if columns == 1:
        whole = np.float32(0)
        for k in range(len(x)):
            whole += x[k]
        total[0] += whole
        return
    while start + 4 * columns <= len(x):
        r0, r1 = x[start : start + columns], x[start + columns : start + 2 * columns]
        r2, r3 = x[start + 2 * columns : start + 3 * columns], x[start + 3 * columns : start + 4 * columns]
        for c in range(columns):
            total[c] += (r0[c] + r1[c]) + (r2[c] + r3[c])
        start += 4 * columns
    while start < len(x):
        row = x[start : start + columns]
        for c in range(columns):
            total[c] += row[c]
        start += columns


# ---- launchers -----------------------------------------------------------------------------------------------------


def move(folding, images, geometry, columns):
    """Fill columns (N*OH*OW, at least kh*kw*C) from images (N,H,W,C), or, if `folding`, images from columns."""
    rows = len(images) * (geometry.height if folding else geometry.out_h)
    arguments = folding, images.reshape(-1), geometry, columns.reshape(-1), columns.shape[1]
    if columns.size < WORTH_WAKING or get_num_threads() == 1:
        move_rows(*arguments, 0, rows)
    else:
        move_in_parallel(*arguments, rows, min(rows, get_num_threads()))


def chunks(images, size):
    """`images` images as slices whose columns, `size` floats an image, take about CHUNK floats."""
    count = max(1, CHUNK // size)
    return [slice(k, min(images, k + count)) for k in range(0, images, count)]


def is_its_columns(geometry):
    """Whether the image already is its columns: a 1x1 kernel without stride and padding."""
    g = geometry
    one_by_one = g.kernel_h == g.kernel_w == g.stride_h == g.stride_w == 1
    return one_by_one and (g.out_h, g.out_w, g.top, g.left) == (g.height, g.width, 0, 0)


def columns_of(x, geometry):
    """x (N,H,W,C) -> columns (N*OH*OW, kh*kw*C), zeros where a window reaches out of the image."""
    g = geometry
    if is_its_columns(g):
        return contiguous(x).reshape(-1, g.channels)
    columns = aligned_empty((len(x) * g.out_h * g.out_w, g.kernel_h * g.kernel_w * g.channels))
    move(False, contiguous(x), g, columns)
    return columns


def forward(x, w, b, geometry):
    """Correlation of x (N,H,W,C) and w (kh,kw,C,F), plus b (F,) or None: y (N,OH,OW,F)."""
    g, f = geometry, w.shape[3]
    y = aligned_empty((len(x), g.out_h, g.out_w, f))
    for images in chunks(len(x), g.out_h * g.out_w * w[..., 0].size):
        multiply_into(y[images].reshape(-1, f), columns_of(x[images], g), w.reshape(-1, f))
    if b is not None:
        y += b
    return y


def gradient_of_x(dy, w, geometry):
    """dX (N,H,W,C) of dy (N,OH,OW,F) and w (kh,kw,C,F)."""
    g, f = geometry, w.shape[3]
    dx, matrix = aligned_empty((len(dy), g.height, g.width, g.channels)), w.reshape(-1, f)
    if is_its_columns(g):
        multiply_into(dx.reshape(-1, g.channels), dy.reshape(-1, f), matrix.T)
        return dx
    if len(matrix) % PANEL:  # whole panels, so that no register block has an edge
        matrix = np.concatenate([matrix, np.zeros((-len(matrix) % PANEL, f), np.float32)])
    for images in chunks(len(dy), g.out_h * g.out_w * len(matrix)):
        columns = matrix_product(dy[images].reshape(-1, f), matrix.T)
        move(True, dx[images], g, columns)
    return dx


def gradient_of_w(x, dy, w_shape, geometry):
    """dW (kh,kw,C,F), `w_shape`, and db (F,) of x (N,H,W,C) and dy (N,OH,OW,F)."""
    kh, kw, c, f = w_shape
    dw = None
    for images in chunks(len(x), geometry.out_h * geometry.out_w * kh * kw * c):
        product = matrix_product(columns_of(x[images], geometry).T, dy[images].reshape(-1, f))
        dw = product if dw is None else np.add(dw, product, out=dw)
    db = np.zeros(f, np.float32)
    sum_rows(dy.reshape(-1), f, db)
    return dw.reshape(w_shape), db
