"""Batch and layer normalisation: what they save is x itself and two numbers a channel or row; ReLU, where it follows, is free.

x is seen as rows (R,C), its channels last, and cut into blocks of about BLOCK numbers, whatever the number of threads is:

    batch      forward    each block's mean, and its squares around that while it is in the cache -> joined -> y
               backward   each block's sums of dy and of dy (x - mu)                              -> joined -> dx
    layer      both       row by row; backward's sums of dgamma and dbeta are a block's, joined afterwards

Blocks are joined in their order, in float64: the numbers are the same for any number of threads. A loop over few channels would
cost more than its numbers, so rows of a batch are joined to at least WIDE numbers, and what belongs to a channel is repeated.
"""

from typing import NamedTuple

import numpy as np
from numba import prange

from tinydx.op import kernel_of
from tinydx.ops.fused import batch_normalization_relu
from tinydx.ops.normalization import batch_normalization, layer_normalization
from tinydx_kernels.cpu.layer import in_shares
from tinydx_kernels.cpu.memory import aligned_empty, contiguous, flat, is_float32
from tinydx_kernels.cpu.simd import inline, jit, parallel

f32, f64 = np.float32, np.float64
BLOCK = 1 << 14  # numbers of a block: 64 KB
WIDE = 256
SMALL = 1 << 16  # one thread is done with this many numbers before a second one is awake


class Channels(NamedTuple):
    """What belongs to the channels (C,), repeated to at least WIDE numbers; y = (x - mean) factor + shift."""

    mean: np.ndarray
    factor: np.ndarray  # gamma / sigma
    shift: np.ndarray  # beta


def on_threads(size, kernel, *arguments):
    """Run a parallel kernel on as many threads as `size` numbers keep busy."""
    in_shares(1 if size < SMALL else 2, kernel, *arguments)


@inline
def rows_of_block(channels):
    """How many rows a block has: whole joined rows."""
    joined = max(1, WIDE // channels)
    return joined * max(1, BLOCK // (joined * channels))


@jit
def repeated(row):
    """row (C,) as often as it takes to have WIDE numbers."""
    times = max(1, WIDE // len(row))
    wide = np.empty(times * len(row), np.float32)
    for k in range(times):
        wide[k * len(row) : (k + 1) * len(row)] = row
    return wide


@jit
def fold(wide, total):
    """total (C,) = the sum of the repetitions in wide (k C,), in float64."""
    total[:] = 0
    for at in range(0, len(wide), len(total)):
        for c in range(len(total)):
            total[c] += wide[at + c]


# ---- batch normalisation: forward ------------------------------------------------------------------------------------


@jit
def moments_of_block(x, moments):
    """moments (2,C) = the mean of each channel of x (K C,), and the sum of squares around it."""
    mean, squares = moments
    rows = len(x) // len(mean)
    total = np.zeros(max(1, WIDE // len(mean)) * len(mean), np.float32)
    for at in range(0, len(x), len(total)):
        part = x[at : at + len(total)]
        for j in range(len(part)):
            total[j] += part[j]
    fold(total, mean)
    mean /= rows
    middle = repeated(mean.astype(np.float32))
    total[:] = 0
    for at in range(0, len(x), len(total)):
        part = x[at : at + len(total)]
        for j in range(len(part)):
            total[j] += (part[j] - middle[j]) * (part[j] - middle[j])
    fold(total, squares)
    for c in range(len(mean)):  # the squares were taken around the rounded mean
        squares[c] -= rows * (mean[c] - middle[c]) ** 2


@jit
def join_moments(blocks, step, rows, statistics):
    """statistics (2,C) = mean and variance of all `rows` rows, from the blocks' moments (B,2,C), `step` rows each.

    Source: Chan et al. 1983.
    """
    mean, squares = blocks[0]
    seen = min(step, rows)
    for b in range(1, len(blocks)):
        more = min(step, rows - seen)
        for c in range(len(mean)):
            apart = blocks[b, 0, c] - mean[c]
            mean[c] += apart * more / (seen + more)
            squares[c] += blocks[b, 1, c] + apart * apart * seen * more / (seen + more)
        seen += more
    statistics[0] = mean
    statistics[1] = squares / rows


@jit
def normalise_block(x, channels, rectified, y):
    """y (K C,) of x (K C,)"""
    mean, factor, shift = channels
    for at in range(0, len(x), len(mean)):
        part, out = x[at : at + len(mean)], y[at : at + len(mean)]
        if rectified:
            for j in range(len(part)):
                v = (part[j] - mean[j]) * factor[j] + shift[j]
                out[j] = f32(0) if v <= 0 else v  # NaN stays NaN
        else:
            for j in range(len(part)):
                out[j] = (part[j] - mean[j]) * factor[j] + shift[j]


@parallel
def batch_forward(x, gamma, beta, eps, rectified, statistics, inverse, y):
    """x, y (R C,), gamma, beta, inverse (C,): overwrites y, inverse = 1/sigma and statistics (2,C), mean and variance."""
    channels = len(gamma)
    rows, step = len(x) // channels, rows_of_block(channels)
    count = (rows + step - 1) // step
    blocks = np.empty((count, 2, channels), np.float64)
    for part in prange(count):
        b = np.int64(part)
        moments_of_block(x[b * step * channels : min((b + 1) * step, rows) * channels], blocks[b])
    join_moments(blocks, step, rows, statistics)
    for c in range(channels):
        inverse[c] = 1 / np.sqrt(statistics[1, c] + eps)
    wide = Channels(repeated(statistics[0]), repeated(gamma * inverse), repeated(beta))
    for part in prange(count):
        first, last = np.int64(part) * step * channels, min((np.int64(part) + 1) * step, rows) * channels
        normalise_block(x[first:last], wide, rectified, y[first:last])


# ---- batch normalisation: backward -----------------------------------------------------------------------------------


@jit
def sums_of_block(x, dy, channels, rectified, sums):
    """sums (2,C) = of each channel the sums of dy and of dy (x - mean), with x, dy (K C,); dy counts where ReLU let y pass."""
    mean, factor, shift = channels
    first, second = np.zeros(len(mean), np.float32), np.zeros(len(mean), np.float32)
    for at in range(0, len(x), len(mean)):
        part, slope = x[at : at + len(mean)], dy[at : at + len(mean)]
        if rectified:
            for j in range(len(part)):
                centred = part[j] - mean[j]
                d = slope[j] * f32(centred * factor[j] + shift[j] > 0)
                first[j] += d
                second[j] += d * centred
        else:
            for j in range(len(part)):
                first[j] += slope[j]
                second[j] += slope[j] * (part[j] - mean[j])
    fold(first, sums[0])
    fold(second, sums[1])


@jit
def gradient_of_block(x, dy, channels, rectified, common, stretch, dx):
    """dx = factor (dy - common - (x - mean) stretch), all (K C,) or repeated (k C,)."""
    mean, factor, shift = channels
    for at in range(0, len(x), len(mean)):
        part, slope, out = x[at : at + len(mean)], dy[at : at + len(mean)], dx[at : at + len(mean)]
        if rectified:
            for j in range(len(part)):
                centred = part[j] - mean[j]
                d = slope[j] * f32(centred * factor[j] + shift[j] > 0)
                out[j] = factor[j] * (d - common[j] - centred * stretch[j])
        else:
            for j in range(len(part)):
                out[j] = factor[j] * (slope[j] - common[j] - (part[j] - mean[j]) * stretch[j])


@parallel
def batch_backward(x, dy, saved, rectified, dx, dgamma, dbeta):
    """Overwrites dx (R C,) and dgamma, dbeta (C,), with x, dy (R C,) and saved: mean, 1/sigma, gamma, beta (C,)."""
    mean, inverse, gamma, beta = saved
    channels = len(mean)
    rows, step = len(x) // channels, rows_of_block(channels)
    count = (rows + step - 1) // step
    wide = Channels(repeated(mean), repeated(gamma * inverse), repeated(beta))
    sums = np.empty((count, 2, channels), np.float64)
    for part in prange(count):
        b = np.int64(part)
        first, last = b * step * channels, min((b + 1) * step, rows) * channels
        sums_of_block(x[first:last], dy[first:last], wide, rectified, sums[b])
    for b in range(1, count):
        sums[0] += sums[b]
    dbeta[:] = sums[0, 0]
    dgamma[:] = sums[0, 1] * inverse
    common, stretch = repeated(dbeta / f32(rows)), repeated(dgamma * inverse / f32(rows))
    for part in prange(count):
        first, last = np.int64(part) * step * channels, min((np.int64(part) + 1) * step, rows) * channels
        gradient_of_block(x[first:last], dy[first:last], wide, rectified, common, stretch, dx[first:last])


def _register_batch(op, rectified):
    """Register the kernel of batch normalisation, or of it and ReLU."""

    def forward(x, gamma, beta, *, eps=1e-3, statistics=None):
        """x (...,C), gamma, beta (C,) -> y (...,C); statistics, an array (2,C) or None, becomes mean and variance."""
        x, gamma, beta = contiguous(x), contiguous(gamma), contiguous(beta)
        moments, inverse, y = np.empty((2, len(gamma)), np.float32), np.empty(len(gamma), np.float32), aligned_empty(x.shape)
        on_threads(x.size, batch_forward, flat(x), gamma, beta, float(eps), rectified, moments, inverse, y.reshape(-1))
        if statistics is not None:
            statistics[...] = moments
        return y, (x, (moments[0], inverse, gamma, beta))

    def backward(dy, saved):
        """dy (...,C) -> dx (...,C), dgamma, dbeta (C,)."""
        x, channels = saved
        dx, sums = aligned_empty(x.shape), np.empty((2, x.shape[-1]), np.float32)
        on_threads(x.size, batch_backward, flat(x), flat(dy), channels, rectified, dx.reshape(-1), sums[0], sums[1])
        return dx, sums[0], sums[1]

    kernel_of(op, "numba", forward, backward, supports, samples=samples, warm=((((5, 3), (3,), (3,)), {}),))


# ---- layer normalisation ---------------------------------------------------------------------------------------------


@parallel
def layer_forward(x, gamma, beta, eps, moments, y):
    """x, y (R,D), gamma, beta (D,): overwrites y and moments (R,2), each row's mean and 1/sigma."""
    rows, size = x.shape
    for r in prange(rows):
        row, out = x[r], y[r]
        mean = f32(0)
        for k in range(size):
            mean += row[k]
        mean /= f32(size)
        squares = f32(0)
        for k in range(size):
            squares += (row[k] - mean) * (row[k] - mean)
        inverse = f32(1 / np.sqrt(squares / f32(size) + eps))
        for k in range(size):
            out[k] = (row[k] - mean) * inverse * gamma[k] + beta[k]
        moments[r, 0], moments[r, 1] = mean, inverse


@jit
def layer_backward_of_block(x, dy, gamma, moments, dx, dgamma, dbeta):
    """Overwrites dx (K,D), dgamma and dbeta (D,), of K rows x, dy (K,D) with their moments (K,2)."""
    size = x.shape[1]
    dgamma[:], dbeta[:] = 0, 0
    for r in range(len(x)):
        row, slope, out = x[r], dy[r], dx[r]
        mean, inverse = moments[r]
        common, stretch = f32(0), f32(0)
        for k in range(size):
            dn = slope[k] * gamma[k]
            common += dn
            stretch += dn * (row[k] - mean)
        common, stretch = common / f32(size), stretch * inverse * inverse / f32(size)
        for k in range(size):
            out[k] = inverse * (slope[k] * gamma[k] - common - (row[k] - mean) * stretch)
        for k in range(size):
            dgamma[k] += slope[k] * (row[k] - mean) * inverse
        for k in range(size):
            dbeta[k] += slope[k]


@parallel
def layer_backward(x, dy, gamma, moments, dx, dgamma, dbeta):
    """Overwrites dx (R,D), dgamma and dbeta (D,), with x, dy (R,D) and moments (R,2)."""
    rows, size = x.shape
    step = max(1, BLOCK // size)
    count = (rows + step - 1) // step
    sums = np.empty((2, count, size), np.float32)
    for part in prange(count):
        b = np.int64(part)
        first, last = b * step, min((b + 1) * step, rows)
        layer_backward_of_block(x[first:last], dy[first:last], gamma, moments[first:last], dx[first:last], sums[0, b], sums[1, b])
    fold(sums[0].reshape(-1), dgamma)
    fold(sums[1].reshape(-1), dbeta)


def layer_norm_forward(x, gamma, beta, *, eps=1e-3):
    """x (...,D), gamma, beta (D,) -> y (...,D)."""
    rows, gamma = contiguous(x).reshape(-1, len(gamma)), contiguous(gamma)
    moments, y = np.empty((len(rows), 2), np.float32), aligned_empty(x.shape)
    on_threads(x.size, layer_forward, rows, gamma, contiguous(beta), f32(eps), moments, y.reshape(rows.shape))
    return y, (rows, gamma, moments)


def layer_norm_backward(dy, saved):
    """dy (...,D) -> dx (...,D), dgamma, dbeta (D,)."""
    rows, gamma, moments = saved
    dx, sums = aligned_empty(dy.shape), np.empty((2, len(gamma)), np.float64)
    slopes = contiguous(dy).reshape(rows.shape)
    on_threads(dy.size, layer_backward, rows, slopes, gamma, moments, dx.reshape(rows.shape), sums[0], sums[1])
    return dx, *sums.astype(np.float32)


# ---- the ops ---------------------------------------------------------------------------------------------------------


def supports(x, gamma, beta, **constants):
    """Whether all arrays are float32, and gamma is finite: where it is not, sums in another order give other NaN."""
    return is_float32(x, gamma, beta) and bool(np.isfinite(gamma).all())


def samples(draw):
    """Rows of few and many channels, of one to several blocks."""
    shape = draw.choice([(2, 1), (7, 3), (2, 3, 5), (3, 9, 11, 16), (5, 300), (2, 130, 9, 33), (40_001, 1), (70, 257)])
    x, gamma, beta = draw.array(*shape), draw.array(shape[-1]), draw.array(shape[-1])
    return (x, gamma, beta), {"eps": draw.choice([1e-3, 0.1])}


_register_batch(batch_normalization, False)
_register_batch(batch_normalization_relu, True)
kernel_of(
    layer_normalization, "numba", layer_norm_forward, layer_norm_backward, supports,
    samples=samples, warm=((((5, 3), (3,), (3,)), {}),),
)  # fmt: skip
