"""Convolution as one matrix product: every window of the image becomes a row of a matrix, its columns.

    columns (pixels, kh*kw*C):  what the window of each output pixel holds       (`unfold`, im2col)
    w       (kh*kw*C, F):       the kernel as it lies in memory

    y = columns w          dW = columns^T dy          dX = fold(dy w^T)          (`fold`, col2im, adds it up where it came from)

A 1x1 kernel needs no copy at all: the image is its columns. For others the copy is kh*kw times the image, but then the
matrix product packs each weight once, splits what there is over the threads, and wastes no lanes on few channels.
Neighbouring kernel positions of a row lie next to each other in the image (dilation 1): one piece of kw * C numbers.

        image row   . . [c c c|c c c|c c c] . .        piece of kernel row p
        columns     ... [c c c|c c c|c c c] ...        the same numbers
"""

import numpy as np
from numba import get_num_threads, prange

from tinydx_kernels.cpu.bands import copy_piece
from tinydx_kernels.cpu.matmul import PANEL, matrix_product, multiply_into
from tinydx_kernels.cpu.memory import aligned_empty, contiguous
from tinydx_kernels.cpu.simd import LANES, add, inline, jit, load, parallel, store

CHUNK = 1 << 20  # floats of columns at a time: they stay in the L3 cache
WORTH_WAKING = 1 << 15  # floats from which on copying them is shared out over the threads


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


@jit
def unfold_rows(x, shape, out, kernel, border, stride, dilation, columns, step, first, last):
    """The columns of output rows `first` to `last`, counted through all images."""
    (height, width, channels), (pieces, wide) = shape, ((1, kernel[1]) if dilation[1] == 1 else (kernel[1], 1))
    for row in range(first, last):
        image, i = row // out[0], row % out[0]
        for p in range(kernel[0]):
            h = i * stride[0] - border[0] + p * dilation[0]
            line = (image * height + h) * width
            for j in range(out[1]):
                for q in range(pieces):
                    to = (row * out[1] + j) * step + (p * pieces + q) * wide * channels
                    w = j * stride[1] - border[1] + q * dilation[1]
                    start, stop = max(0, -w), min(wide, width - w)  # of the piece, what lies in the image
                    if h < 0 or h >= height or start >= stop:
                        columns[to : to + wide * channels] = 0
                        continue
                    columns[to : to + start * channels] = 0
                    copy_piece(x, (line + w + start) * channels, columns, to + start * channels, (stop - start) * channels)
                    columns[to + stop * channels : to + wide * channels] = 0


@jit
def fold_rows(columns, step, shape, out, kernel, border, stride, dilation, dx, first, last):
    """Rows `first` to `last` of the images, counted through all of them, from the columns that hold pieces of them."""
    (height, width, channels), (pieces, wide) = shape, ((1, kernel[1]) if dilation[1] == 1 else (kernel[1], 1))
    for row in range(first, last):
        image, h = row // height, row % height
        line = row * width
        dx[line * channels : (line + width) * channels] = 0
        for p in range(kernel[0]):
            i = (h + border[0] - p * dilation[0]) // stride[0]
            if i < 0 or i >= out[0] or i * stride[0] - border[0] + p * dilation[0] != h:
                continue
            for j in range(out[1]):
                for q in range(pieces):
                    w = j * stride[1] - border[1] + q * dilation[1]
                    start, stop = max(0, -w), min(wide, width - w)
                    at = ((image * out[0] + i) * out[1] + j) * step + ((p * pieces + q) * wide + start) * channels
                    if start < stop:
                        add_piece(columns, at, dx, (line + w + start) * channels, (stop - start) * channels)


@jit
def sum_rows(x, columns, total):
    """total[c] += sum over the rows of x: the gradient of a bias."""
    for start in range(0, len(x), columns):
        row = x[start : start + columns]
        for c in range(columns):
            total[c] += row[c]


@parallel
def unfold_in_parallel(x, shape, out, kernel, border, stride, dilation, columns, step, rows, workers):
    for worker in prange(workers):
        first, last = rows * worker // workers, rows * (worker + 1) // workers
        unfold_rows(x, shape, out, kernel, border, stride, dilation, columns, step, first, last)


@parallel
def fold_in_parallel(columns, step, shape, out, kernel, border, stride, dilation, dx, rows, workers):
    for worker in prange(workers):
        first, last = rows * worker // workers, rows * (worker + 1) // workers
        fold_rows(columns, step, shape, out, kernel, border, stride, dilation, dx, first, last)


def unfold(x, kernel, out, border, stride, dilation):
    """x (N,H,W,C) -> columns (N*OH*OW, kh*kw*C), zeros where a window reaches out of the image."""
    step, rows = kernel[0] * kernel[1] * x.shape[3], len(x) * out[0]
    columns = aligned_empty((rows * out[1], step))
    arguments = x.reshape(-1), x.shape[1:], out, kernel, border, stride, dilation, columns.reshape(-1), step
    if columns.size < WORTH_WAKING or get_num_threads() == 1:
        unfold_rows(*arguments, 0, rows)
    else:
        unfold_in_parallel(*arguments, rows, min(rows, get_num_threads()))
    return columns


def fold(columns, dx, kernel, out, border, stride, dilation):
    """dx (N,H,W,C) = sum of the pieces of columns (N*OH*OW, at least kh*kw*C) that were taken from each pixel."""
    rows = len(dx) * dx.shape[1]
    arguments = columns.reshape(-1), columns.shape[1], dx.shape[1:], out, kernel, border, stride, dilation, dx.reshape(-1)
    if columns.size < WORTH_WAKING or get_num_threads() == 1:
        fold_rows(*arguments, 0, rows)
    else:
        fold_in_parallel(*arguments, rows, min(rows, get_num_threads()))


def chunks(images, size):
    """Cut so many images into slices whose columns, `size` floats an image, take about CHUNK floats."""
    count = max(1, CHUNK // size)
    return [slice(k, min(images, k + count)) for k in range(0, images, count)]


def columns_of(x, kernel, out, border, stride, dilation):
    """The columns of a whole batch: without a copy where the image already is its columns."""
    if kernel == stride == (1, 1) and out == x.shape[1:3] and border == (0, 0):
        return contiguous(x).reshape(-1, x.shape[3])
    return unfold(contiguous(x), kernel, out, border, stride, dilation)


def forward(x, w, b, border, stride, dilation, out):
    """y = correlation of x (N,H,W,C) and w (kh,kw,C,F), plus b."""
    kernel, f = w.shape[:2], w.shape[3]
    y = aligned_empty((len(x), *out, f))
    for part in chunks(len(x), out[0] * out[1] * w[..., 0].size):
        columns = columns_of(x[part], kernel, out, border, stride, dilation)
        multiply_into(y[part].reshape(-1, f), columns, w.reshape(-1, f))
    if b is not None:
        y += b
    return y


def gradient_of_x(dy, w, shape, border, stride, dilation):
    """dX, of the given shape."""
    kernel, f, out = w.shape[:2], w.shape[3], dy.shape[1:3]
    dx, matrix = aligned_empty(shape), w.reshape(-1, f)
    if kernel == stride == (1, 1) and out == shape[1:3] and border == (0, 0):
        multiply_into(dx.reshape(-1, shape[3]), dy.reshape(-1, f), matrix.T)
        return dx
    if len(matrix) % PANEL:  # whole panels, so that no register block has an edge
        matrix = np.concatenate([matrix, np.zeros((-len(matrix) % PANEL, f), np.float32)])
    for part in chunks(len(dy), out[0] * out[1] * len(matrix)):
        columns = matrix_product(dy[part].reshape(-1, f), matrix.T)
        fold(columns, dx[part], kernel, out, border, stride, dilation)
    return dx


def gradient_of_w(x, dy, w_shape, border, stride, dilation):
    """dW and db."""
    kernel, out, f = w_shape[:2], dy.shape[1:3], w_shape[3]
    dw = None
    for part in chunks(len(x), out[0] * out[1] * kernel[0] * kernel[1] * w_shape[2]):
        columns = columns_of(x[part], kernel, out, border, stride, dilation)
        product = matrix_product(columns.T, dy[part].reshape(-1, f))
        dw = product if dw is None else np.add(dw, product, out=dw)
    db = np.zeros(f, np.float32)
    sum_rows(dy.reshape(-1), f, db)
    return dw.reshape(w_shape), db
