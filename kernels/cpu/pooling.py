"""Max and average pooling, any window, stride and padding: one pass over memory, row by row.

Forward computes one output pixel at a time. Backward computes one input row at a time, from every output row whose windows
reach it, so that rows are independent of each other and threads never add to the same pixel:

    output row i, window row p  <->  input row h = i * stride + p - top

Both poolings are the same loops. Where they differ, a kernel asks whether there are winners: none for the average.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import get_num_threads, prange

from tinydx.op import kernel_of
from tinydx.ops.convolution import pair
from tinydx.ops.pooling import average_pool2d, max_pool2d
from tinydx_kernels.cpu.geometry import COUNTS, Geometry, geometry_of, is_column, turned
from tinydx_kernels.cpu.memory import aligned_empty, contiguous, is_float32
from tinydx_kernels.cpu.simd import (
    LANES,
    WIDTH,
    add,
    broadcast,
    divide,
    inline,
    lean,
    load,
    load_bytes,
    maximum,
    multiply,
    parallel,
    store,
    store_bytes,
    where_equal,
    where_larger,
)

f32 = np.float32
SMALL = 1 << 15  # numbers that one thread has almost pooled before another one is awake


class Span(NamedTuple):
    """The pixels of a window along one axis that lie in the image, from `first` to before `last`."""

    first: int
    last: int


@inline
def pixels_of(i, size, stride, before, extent):
    """The pixels p of window i along an axis, of `size`, that lie in the image."""
    return Span(max(0, before - i * stride), min(size, extent + before - i * stride))


# ---- forward -------------------------------------------------------------------------------------------------------


@inline
def pool_plain(x, at, line, pixels, kernel_w, results, to, channels):
    """One pixel of y, `channels` channels from `to` on: the maximum of its window, or, if winner is empty, the average.

    Arguments: at, where the window begins in x; line, floats from a row and a column of it to the next; pixels, its rows and
    columns that exist; results, y and winner.
    """
    (rows, columns), (y, winner) = pixels, results
    step, share = line[1], f32((rows.last - rows.first) * (columns.last - columns.first))
    for c in range(channels):
        best, index, total = f32(-np.inf), 0, f32(0)
        for p in range(rows.first, rows.last):
            for q in range(columns.first, columns.last):
                value = x[at + p * line[0] + q * step + c]
                index = p * kernel_w + q if value > best else index  # the first maximum wins
                best = value if value > best or value != value else best  # NaN stays, as in np.maximum
                total += value
        if winner.size:
            y[to + c], winner[to + c] = best, index
        else:
            y[to + c] = total / share


@inline
def pool_simd(x, at, line, pixels, kernel_w, results, to, channels):
    """The same for a vector of channels."""
    (rows, columns), (y, winner) = pixels, results
    if winner.size:
        best, index = broadcast(f32(-np.inf)), broadcast(f32(0))
        for p in range(rows.first, rows.last):
            for q in range(columns.first, columns.last):
                value = load(x, at + p * line[0] + q * line[1])
                index = where_larger(value, best, broadcast(f32(p * kernel_w + q)), index)
                best = maximum(best, value)
        store(best, 1, y, to, 0)
        store_bytes(index, winner, to)
    else:
        total = broadcast(f32(0))
        for p in range(rows.first, rows.last):
            for q in range(columns.first, columns.last):
                total = add(total, load(x, at + p * line[0] + q * line[1]))
        share = f32((rows.last - rows.first) * (columns.last - columns.first))
        store(divide(total, broadcast(share)), 1, y, to, 0)


pool_vector = pool_simd if LANES else pool_plain


@inline
def pool_four(x, at, line, y, winner, to):
    """`pool_simd` for a whole window of 2 x 2, without its loops: half of the time."""
    a, b = load(x, at), load(x, at + line[1])
    c, d = load(x, at + line[0]), load(x, at + line[0] + line[1])
    if winner.size:
        index = where_larger(b, a, broadcast(f32(1)), broadcast(f32(0)))
        best = maximum(a, b)
        index = where_larger(c, best, broadcast(f32(2)), index)
        best = maximum(best, c)
        store_bytes(where_larger(d, best, broadcast(f32(3)), index), winner, to)
        store(maximum(best, d), 1, y, to, 0)
    else:
        store(multiply(broadcast(f32(0.25)), add(add(a, b), add(c, d))), 1, y, to, 0)


@inline
def pool_two(x, at, apart, y, winner, to):
    """The same for a whole window of two pixels."""
    a, b = load(x, at), load(x, at + apart)
    if winner.size:
        store_bytes(where_larger(b, a, broadcast(f32(1)), broadcast(f32(0))), winner, to)
        store(maximum(a, b), 1, y, to, 0)
    else:
        store(multiply(broadcast(f32(0.5)), add(a, b)), 1, y, to, 0)


@inline
def pool_none(x, at, line, y, winner, to):
    """Without vectors these are never called."""


whole_four, whole_two = (pool_four, pool_two) if LANES else (pool_none, pool_none)


@inline
def pool_grey(x, at, below, y, winner, to, count):
    """`count` whole windows of 2 x 2 side by side, of one channel; below: from a row of x to the next."""
    for j in range(count):
        k = at + 2 * j
        a, b, c, d = x[k], x[k + 1], x[k + below], x[k + below + 1]
        if winner.size:
            index, best = 1 if b > a else 0, b if b > a or b != b else a  # NaN stays
            index, best = 2 if c > best else index, c if c > best or c != c else best
            y[to + j], winner[to + j] = d if d > best or d != d else best, 3 if d > best else index
        else:
            y[to + j] = f32(0.25) * ((a + b) + (c + d))


@lean
def forward_rows(x, geometry, y, winner, first, last):
    """Output rows `first` to `last`, counted through all images, of y and winner (N,OH,OW,C) from x (N,H,W,C), all flat.

    Vectors may overlap: what the last one of a pixel writes too much, the next pixel overwrites. At the end of the rows, and of
    x, numbers are computed one by one.
    """
    g, channels = geometry, geometry.channels
    line, end = (g.width * channels, channels), last * g.out_w * channels
    four, two = LANES > 0 and g.kernel_h == 2 and g.kernel_w == 2, LANES > 0 and g.kernel_h * g.kernel_w == 2
    padded = g.top > 0 or g.left > 0 or (g.out_h - 1) * g.stride_h + 2 > g.height or (g.out_w - 1) * g.stride_w + 2 > g.width
    grey = four and channels == 1 and g.stride_w == 2 and not padded
    for row in range(first, last):
        image, i = row // g.out_h, row % g.out_h
        if grey:
            pool_grey(x, (image * g.height + i * g.stride_h) * g.width, g.width, y, winner, row * g.out_w, g.out_w)
            continue
        rows = pixels_of(i, g.kernel_h, g.stride_h, g.top, g.height)
        for j in range(g.out_w):
            columns = pixels_of(j, g.kernel_w, g.stride_w, g.left, g.width)
            at = ((image * g.height + i * g.stride_h - g.top) * g.width + j * g.stride_w - g.left) * channels
            to = (row * g.out_w + j) * channels
            read = at + (rows.last - 1) * line[0] + (columns.last - 1) * channels + WIDTH  # how far a vector reads
            whole = (rows.last - rows.first) * (columns.last - columns.first) == g.kernel_h * g.kernel_w
            for c in range(0, channels, WIDTH):
                inside = to + c + WIDTH <= end and read + c <= len(x)
                if inside and whole and two:
                    whole_two(x, at + c, line[g.kernel_w - 1], y, winner, to + c)
                elif inside and whole and four:
                    whole_four(x, at + c, line, y, winner, to + c)
                elif inside:
                    pool_vector(x, at + c, line, (rows, columns), g.kernel_w, (y, winner), to + c, WIDTH)
                else:
                    pool_plain(x, at + c, line, (rows, columns), g.kernel_w, (y, winner), to + c, min(WIDTH, channels - c))


# ---- backward ------------------------------------------------------------------------------------------------------


@inline
def winner_plain(dy, winner, at, k, dx, to, first, channels):
    """dx[to:] += dy[at:] where k was the winner, numbers `first` to `channels`."""
    for c in range(first, channels):
        dx[to + c] += dy[at + c] * f32(winner[at + c] == k)


@inline
def winner_simd(dy, winner, at, k, dx, to, first, channels):
    """The same by vectors."""
    number, zero, c = broadcast(f32(k)), broadcast(f32(0)), first
    while c + LANES <= channels:
        slope = where_equal(load_bytes(winner, at + c), number, load(dy, at + c), zero)
        store(add(load(dx, to + c), slope), 1, dx, to + c, 0)
        c += LANES
    winner_plain(dy, winner, at, k, dx, to, c, channels)


@inline
def share_plain(dy, at, share, dx, to, first, channels):
    """dx[to:] += share * dy[at:], numbers `first` to `channels`."""
    for c in range(first, channels):
        dx[to + c] += share * dy[at + c]


@inline
def share_simd(dy, at, share, dx, to, first, channels):
    """The same by vectors."""
    factor, c = broadcast(share), first
    while c + LANES <= channels:
        store(add(load(dx, to + c), multiply(factor, load(dy, at + c))), 1, dx, to + c, 0)
        c += LANES
    share_plain(dy, at, share, dx, to, c, channels)


give_winner, give_share = (winner_simd, share_simd) if LANES else (winner_plain, share_plain)


@inline
def write_plain(given, at, k, share, dx, to, end, channels):
    """dx[to:] = dy[at:] where k was the winner, or, if winner is empty, share * dy[at:]; given is (dy, winner)."""
    dy, winner = given
    for c in range(channels):
        dx[to + c] = dy[at + c] * (f32(winner[at + c] == k) if winner.size else share)


@inline
def write_simd(given, at, k, share, dx, to, end, channels):
    """The same by vectors, which may write too much, but not from `end` on."""
    dy, winner = given
    number, factor, zero, c = broadcast(f32(k)), broadcast(share), broadcast(f32(0)), 0
    while c < channels and to + c + LANES <= end and at + c + LANES <= len(dy):
        slope = load(dy, at + c)
        if winner.size:
            store(where_equal(load_bytes(winner, at + c), number, slope, zero), 1, dx, to + c, 0)
        else:
            store(multiply(factor, slope), 1, dx, to + c, 0)
        c += LANES
    write_plain(given, at + c, k, share, dx, to + c, end, channels - c)


write = write_simd if LANES else write_plain


@inline
def write_grey(dy, winner, at, k, share, dx, to, count):
    """`write_plain` for `count` windows of 2 columns side by side, of one channel, numbers k and k + 1 of a window."""
    for j in range(count):
        slope = dy[at + j]
        if winner.size:
            dx[to + 2 * j] = slope * f32(winner[at + j] == k)
            dx[to + 2 * j + 1] = slope * f32(winner[at + j] == k + 1)
        else:
            dx[to + 2 * j] = share * slope
            dx[to + 2 * j + 1] = share * slope


@lean
def backward_tiles(dy, geometry, dx, winner, first, last):
    """`backward_rows` for windows that lie side by side: every pixel is written once, from left to right, and never read.

    So vectors may overlap, as in `forward_rows`. Pixels behind the last window are zero.
    """
    g, channels = geometry, geometry.channels
    end, grey = last * g.width * channels, channels == 1 and g.kernel_w == 2 and g.left == 0 and 2 * g.out_w <= g.width
    for row in range(first, last):
        image, h = row // g.height, row % g.height
        i, done = (h + g.top) // g.stride_h, row * g.width * channels
        p = h + g.top - i * g.stride_h
        rows = pixels_of(i, g.kernel_h, g.stride_h, g.top, g.height)
        if grey and i < g.out_h:
            share = f32(1) / f32(2 * (rows.last - rows.first))
            write_grey(dy, winner, (image * g.out_h + i) * g.out_w, 2 * p, share, dx, done, g.out_w)
            done += 2 * g.out_w
        for j in range(g.out_w if i < g.out_h and not grey else 0):
            at = ((image * g.out_h + i) * g.out_w + j) * channels
            columns = pixels_of(j, g.kernel_w, g.stride_w, g.left, g.width)
            share = f32(1) / f32((rows.last - rows.first) * (columns.last - columns.first))
            for q in range(columns.first, columns.last):
                write((dy, winner), at, p * g.kernel_w + q, share, dx, done, end, channels)
                done += channels
        dx[done : (row + 1) * g.width * channels] = 0


@lean
def backward_rows(dy, geometry, dx, winner, first, last):
    """Rows `first` to `last` of dx (N,H,W,C), counted through all images, from dy and winner (N,OH,OW,C), all flat."""
    g, channels = geometry, geometry.channels
    for row in range(first, last):
        image, h = row // g.height, row % g.height
        dx[row * g.width * channels : (row + 1) * g.width * channels] = 0
        for p in range(g.kernel_h):
            i = (h + g.top - p) // g.stride_h
            if i * g.stride_h + p - g.top != h or i < 0 or i >= g.out_h:
                continue
            rows = pixels_of(i, g.kernel_h, g.stride_h, g.top, g.height)
            for j in range(g.out_w):
                at = ((image * g.out_h + i) * g.out_w + j) * channels
                columns = pixels_of(j, g.kernel_w, g.stride_w, g.left, g.width)
                to = (row * g.width + j * g.stride_w - g.left) * channels
                if winner.size:
                    for q in range(columns.first, columns.last):
                        give_winner(dy, winner, at, p * g.kernel_w + q, dx, to + q * channels, 0, channels)
                else:
                    share = f32(1) / f32((rows.last - rows.first) * (columns.last - columns.first))
                    for q in range(columns.first, columns.last):
                        give_share(dy, at, share, dx, to + q * channels, 0, channels)


# ---- launchers -----------------------------------------------------------------------------------------------------


@lean
def rows_of_worker(backward, x, geometry, y, winner, first, last):
    """Rows of one of the two; x is read, y is written."""
    g = geometry
    if backward and g.kernel_h == g.stride_h and g.kernel_w == g.stride_w:
        backward_tiles(x, geometry, y, winner, first, last)
    elif backward:
        backward_rows(x, geometry, y, winner, first, last)
    else:
        forward_rows(x, geometry, y, winner, first, last)


@lean
def rows_alone(backward, x, geometry, y, winner, rows):
    """All `rows`. It takes a plain tuple: Numba needs a microsecond more for a named one."""
    rows_of_worker(backward, x, Geometry(*geometry), y, winner, 0, rows)


@parallel
def rows_in_parallel(backward, x, geometry, y, winner, rows, workers):
    """All `rows`, a share for each worker."""
    for worker in prange(workers):
        k = np.int64(worker)
        rows_of_worker(backward, x, geometry, y, winner, rows * k // workers, rows * (k + 1) // workers)


def run_rows(backward, x, geometry, y, winner):
    """Fill y (N,OH,OW,C) from images x, or, if `backward`, y (N,H,W,C) from gradients x."""
    geometry, x = turned(geometry) if is_column(geometry) else geometry, contiguous(x)
    rows = len(y) * (geometry.height if backward else geometry.out_h)
    workers = min(rows, get_num_threads()) if max(x.size, y.size) >= SMALL else 1
    if workers == 1:
        rows_alone(backward, x.reshape(-1), tuple(geometry), y.reshape(-1), winner, rows)
    else:
        rows_in_parallel(backward, x.reshape(-1), geometry, y.reshape(-1), winner, rows, workers)


# ---- the ops -------------------------------------------------------------------------------------------------------


def pool_forward(x, winners, size, stride, padding):
    """x (N,H,W,C) -> y (N,OH,OW,C), saved: the maximum of each window if `winners`, else the average."""
    g = geometry_of(x.shape, size, size if stride is None else stride, padding)
    y = aligned_empty((len(x), g.out_h, g.out_w, g.channels))
    winner = aligned_empty(y.size if winners else 0, np.uint8)
    run_rows(False, x, g, y, winner)
    return y, (winner, g)


def max_pool2d_forward(x, *, size=2, stride=None, padding="valid"):
    """x (N,H,W,C) -> y (N,OH,OW,C), saved."""
    return pool_forward(x, True, size, stride, padding)


def average_pool2d_forward(x, *, size=2, stride=None, padding="valid"):
    """x (N,H,W,C) -> y (N,OH,OW,C), saved."""
    return pool_forward(x, False, size, stride, padding)


def pool_backward(dy, saved):
    """dy (N,OH,OW,C) -> dx (N,H,W,C), for both poolings."""
    winner, g = saved
    dx = aligned_empty((len(dy), g.height, g.width, g.channels))
    run_rows(True, dy, g, dx, winner)
    return (dx,)


def supports(x, *, size=2, **constants):
    """float32, and windows of at most 255 pixels: the winner is one byte."""
    return is_float32(x) and math.prod(pair(size)) <= 255


def samples(draw):
    """Images of at least one window."""
    size, stride = draw.choice([1, 2, 2, 3, (2, 3), (5, 1)]), draw.choice([None, 1, 2, 3, (2, 1)])
    x = draw.array(draw.integer(1, 3), draw.integer(5, 12), draw.integer(5, 12), draw.choice(COUNTS))
    return (x,), {"size": size, "stride": stride, "padding": draw.choice(["valid", "same"])}


WARM: tuple = ((((2, 9, 9, 8),), {}), (((2, 64, 64, 8),), {}))  # on one thread, and on all
kernel_of(max_pool2d, "numba", max_pool2d_forward, pool_backward, supports, samples=samples, warm=WARM)
kernel_of(average_pool2d, "numba", average_pool2d_forward, pool_backward, supports, samples=samples, warm=WARM)
