"""Max and average pooling: the document's down-sampling.

Both walk over the positions (p, q) of the window, as convolution does; `shifted` is the same view as there.
"""

import numpy as np

from tinydx.op import backward_of, literal_of, op, samples_of, slip_of
from tinydx.ops.convolution import crop, output_size, pad, padding_2d, pair, shifted

SHAPES = "x (N,H,W,C) -> y (N,OH,OW,C)"


def _geometry(x, size, stride, padding):
    """Window, stride, border and output size of a pooling."""
    size = pair(size)
    stride = size if stride is None else pair(stride)
    border = padding_2d(padding, x.shape[1:3], size, stride)
    out = tuple(output_size(n, k, s, 1, *ends) for n, k, s, ends in zip(x.shape[1:3], size, stride, border, strict=True))
    return size, stride, border, out


def _windows(x, size, stride, border, out):
    """For each output pixel the real (not padded) pixels of its window, in row-major order: for literals."""
    top, left = border[0][0], border[1][0]
    for n, i, j, c in np.ndindex(len(x), *out, x.shape[3]):
        rows = range(i * stride[0] - top, i * stride[0] - top + size[0])
        columns = range(j * stride[1] - left, j * stride[1] - left + size[1])
        inside = [(r, q) for r in rows for q in columns if 0 <= r < x.shape[1] and 0 <= q < x.shape[2]]
        yield (n, i, j, c), [x[n, r, q, c] for r, q in inside]


@op(r"y(i,j) = \max_{p,q} x(si + p, sj + q)", shapes=SHAPES, source="document, 1.1, max pooling")
def max_pool2d(x, *, size=2, stride=None, padding="valid"):
    """Max pooling: the largest pixel of each window. At ties the gradient goes to the first in row-major order.

    Arguments: x (N,H,W,C); size of the window and stride (default: size), a number or (rows, columns);
    padding "valid" (rows and columns that do not fill a window are dropped) or "same".

    >>> max_pool2d(np.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0]
    array([[ 5.,  7.],
           [13., 15.]])
    """
    size, stride, border, out = _geometry(x, size, stride, padding)
    x = pad(x, *border, value=-np.inf)
    y = shifted(x, 0, 0, out, stride, (1, 1)).copy()
    winner = np.zeros(y.shape, np.min_scalar_type(size[0] * size[1]))
    for k, (p, q) in enumerate(np.ndindex(size)):
        candidate = shifted(x, p, q, out, stride, (1, 1))
        np.putmask(winner, candidate > y, k)
        np.maximum(y, candidate, out=y)  # and not a choice by winner: NaN must stay NaN
    return y, (x.shape, winner, size, stride, border)


@backward_of(max_pool2d)
def max_pool2d_backward(dy, saved):
    shape, winner, size, stride, border = saved
    dx = np.zeros(shape, dy.dtype)
    for k, (p, q) in enumerate(np.ndindex(size)):
        shifted(dx, p, q, dy.shape[1:3], stride, (1, 1))[...] += dy * (winner == k)
    return (crop(dx, *border),)


@literal_of(max_pool2d)
def max_pool2d_literal(x, *, size=2, stride=None, padding="valid"):
    size, stride, border, out = _geometry(x, size, stride, padding)
    y = np.empty((len(x), *out, x.shape[3]))
    for index, pixels in _windows(x, size, stride, border, out):
        y[index] = pixels[0]
        for pixel in pixels:
            if pixel > y[index]:
                y[index] = pixel
    return y


@samples_of(max_pool2d)
def pooling_samples(draw):
    constants = {
        "size": draw.choice([2, 3, (2, 3)]),
        "stride": draw.choice([None, 1, 2, (2, 1)]),
        "padding": draw.choice(["valid", "same"]),
    }
    return (draw.array(draw.integer(1, 3), draw.integer(3, 7), draw.integer(3, 7), draw.integer(1, 3)),), constants


@slip_of(
    max_pool2d,
    "every pixel of the window gets it",
    "Only the largest pixel moved y; the others of its window get zero.",
)
def max_pool2d_to_all(dy, saved):
    shape, winner, size, stride, border = saved
    dx = np.zeros(shape, dy.dtype)
    for p, q in np.ndindex(size):
        shifted(dx, p, q, dy.shape[1:3], stride, (1, 1))[...] += dy
    return (crop(dx, *border),)


@slip_of(
    max_pool2d,
    "every tied pixel gets all of it",
    "Where pixels tie for the maximum, the first of them gets dy, not each.",
)
def max_pool2d_to_all_tied(dy, saved, x, y):
    shape, winner, size, stride, border = saved
    dx, padded = np.zeros(shape, dy.dtype), pad(x, *border, value=-np.inf)
    for p, q in np.ndindex(size):
        largest = shifted(padded, p, q, dy.shape[1:3], stride, (1, 1)) == y
        shifted(dx, p, q, dy.shape[1:3], stride, (1, 1))[...] += dy * largest
    return (crop(dx, *border),)


@slip_of(max_pool2d, "last of the ties", "Where pixels tie for the maximum, the gradient goes to the first: > and not >=.")
def max_pool2d_to_last_tied(dy, saved, x, y):
    shape, winner, size, stride, border = saved
    padded, last = pad(x, *border, value=-np.inf), winner.copy()
    for k, (p, q) in enumerate(np.ndindex(size)):
        last[shifted(padded, p, q, dy.shape[1:3], stride, (1, 1)) == y] = k
    return max_pool2d_backward(dy, (shape, last, size, stride, border))


@slip_of(
    max_pool2d,
    "shared out over the window",
    "That is average pooling: only the largest pixel moved y, and it gets all of dy.",
)
def max_pool2d_as_average(dy, saved):
    _, _, size, *_ = saved
    return max_pool2d_to_all(dy / (size[0] * size[1]), saved)


@slip_of(max_pool2d, "= instead of +=", "Where windows overlap, one pixel can win several times: add its gradients up.")
def max_pool2d_assigned(dy, saved):
    shape, winner, size, stride, border = saved
    dx = np.zeros(shape, dy.dtype)
    for k, (p, q) in enumerate(np.ndindex(size)):
        view = shifted(dx, p, q, dy.shape[1:3], stride, (1, 1))
        view[winner == k] = dy[winner == k]
    return (crop(dx, *border),)


@slip_of(max_pool2d, "= instead of +=", "Where windows overlap, one pixel can win several times: add its gradients up.")
def max_pool2d_last_window(dy, saved):
    shape, winner, size, stride, border = saved
    dx = np.zeros(shape, dy.dtype)
    for n, i, j, c in np.ndindex(dy.shape):
        p, q = divmod(int(winner[n, i, j, c]), size[1])
        dx[n, i * stride[0] + p, j * stride[1] + q, c] = dy[n, i, j, c]
    return (crop(dx, *border),)


@slip_of(
    max_pool2d,
    "whole window overwritten",
    "Write only to the pixel that won, and add (+=): the zeros around it erase what others wrote.",
)
def max_pool2d_overwritten(dy, saved):
    shape, winner, size, stride, border = saved
    dx = np.zeros(shape, dy.dtype)
    for i, j in np.ndindex(dy.shape[1:3]):
        for k, (p, q) in enumerate(np.ndindex(size)):
            dx[:, i * stride[0] + p, j * stride[1] + q] = dy[:, i, j] * (winner[:, i, j] == k)
    return (crop(dx, *border),)


@slip_of(max_pool2d, "smallest pixel instead of the largest", "The gradient goes where the maximum was: argmax, not argmin.")
def max_pool2d_smallest(dy, saved, x):
    _, _, size, stride, border = saved
    _, turned = max_pool2d.forward(-x, size=size, stride=stride, padding=border)
    return max_pool2d_backward(dy, turned)


@slip_of(max_pool2d, "one winner for all channels", "Each channel has its own maximum: look for it in one channel at a time.")
def max_pool2d_joint(dy, saved, y):
    shape, winner, *rest = saved
    best = np.take_along_axis(winner, y.argmax(axis=-1, keepdims=True), axis=-1)
    return max_pool2d_backward(dy, (shape, np.broadcast_to(best, winner.shape), *rest))


@slip_of(
    max_pool2d,
    "row and column of the winner swapped",
    "The winner's number counts row by row: divmod(number, columns of the window).",
)
def max_pool2d_swapped(dy, saved):
    shape, winner, size, stride, border = saved
    p, q = divmod(winner, size[0])  # right only with the window's other side
    swapped = np.minimum(q, size[0] - 1) * size[1] + np.minimum(p, size[1] - 1)
    return max_pool2d_backward(dy, (shape, swapped, size, stride, border))


@slip_of(max_pool2d, "stride ignored", "Window (i, j) begins at pixel (i * stride, j * stride).")
def max_pool2d_unstrided(dy, saved):
    shape, winner, size, stride, border = saved
    return max_pool2d_backward(dy, (shape, winner, size, (1, 1), border)) if stride != (1, 1) else (None,)


@slip_of(max_pool2d, "padding not taken off", "Windows begin in the border: subtract it (top, left) before writing into dx.")
def max_pool2d_uncropped(dy, saved):
    shape, winner, size, stride, ((top, bottom), (left, right)) = saved
    end = (0, top + bottom), (0, left + right)
    return max_pool2d_backward(dy, (shape, winner, size, stride, end)) if top + left else (None,)


@slip_of(max_pool2d, "always the first pixel", "The gradient goes where the maximum was, which forward must remember.")
def max_pool2d_first(dy, saved):
    shape, winner, *rest = saved
    return max_pool2d_backward(dy, (shape, np.zeros_like(winner), *rest))


@op(r"y(i,j) = \frac{1}{|p,q|} \sum_{p,q} x(si + p, sj + q)", shapes=SHAPES, source="document, 1.1, average pooling")
def average_pool2d(x, *, size=2, stride=None, padding="valid"):
    """Average pooling: the mean of each window; padded pixels do not count. Arguments as max_pool2d.

    >>> average_pool2d(np.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0]
    array([[ 2.5,  4.5],
           [10.5, 12.5]])
    """
    size, stride, border, out = _geometry(x, size, stride, padding)
    padded, real = pad(x, *border), pad(np.ones((1, *x.shape[1:3], 1), x.real.dtype), *border)
    y, count = np.zeros((len(x), *out, x.shape[3]), x.dtype), np.zeros((1, *out, 1), x.real.dtype)
    for p, q in np.ndindex(size):
        y += shifted(padded, p, q, out, stride, (1, 1))
        count += shifted(real, p, q, out, stride, (1, 1))
    return y / count, (padded.shape, count, size, stride, border)


@backward_of(average_pool2d)
def average_pool2d_backward(dy, saved):
    shape, count, size, stride, border = saved
    dx, share = np.zeros(shape, dy.dtype), dy / count
    for p, q in np.ndindex(size):
        shifted(dx, p, q, dy.shape[1:3], stride, (1, 1))[...] += share
    return (crop(dx, *border),)


@literal_of(average_pool2d)
def average_pool2d_literal(x, *, size=2, stride=None, padding="valid"):
    size, stride, border, out = _geometry(x, size, stride, padding)
    y = np.empty((len(x), *out, x.shape[3]))
    for index, pixels in _windows(x, size, stride, border, out):
        total = 0.0
        for pixel in pixels:
            total += pixel
        y[index] = total / len(pixels)
    return y


samples_of(average_pool2d)(pooling_samples)


@slip_of(
    average_pool2d,
    "not divided by the window",
    "Each pixel makes up 1/(kh kw) of the average: divide dy by the window's size.",
)
def average_pool2d_undivided(dy, saved):
    shape, count, *rest = saved
    return average_pool2d_backward(dy, (shape, np.ones_like(count), *rest))


@slip_of(average_pool2d, "= instead of +=", "Where windows overlap, a pixel gets a share from each: add the shares up.")
def average_pool2d_assigned(dy, saved):
    shape, count, size, stride, border = saved
    dx, share = np.zeros(shape, dy.dtype), dy / count
    for p, q in np.ndindex(size):
        shifted(dx, p, q, dy.shape[1:3], stride, (1, 1))[...] = share
    return (crop(dx, *border),)


@slip_of(average_pool2d, "= instead of +=", "Where windows overlap, a pixel gets a share from each: add the shares up.")
def average_pool2d_last_window(dy, saved):
    shape, count, size, stride, border = saved
    dx, share = np.zeros(shape, dy.dtype), dy / count
    for i, j in np.ndindex(dy.shape[1:3]):
        row, column = i * stride[0], j * stride[1]
        dx[:, row : row + size[0], column : column + size[1]] = share[:, i : i + 1, j : j + 1]
    return (crop(dx, *border),)


@slip_of(
    average_pool2d,
    "padding counted",
    "At the border the mean is over the real pixels of the window alone: divide by their number.",
)
def average_pool2d_counts_padding(dy, saved):
    shape, count, size, stride, border = saved
    return average_pool2d_backward(dy, (shape, np.full_like(count, size[0] * size[1]), size, stride, border))


@slip_of(average_pool2d, "stride ignored", "Window (i, j) begins at pixel (i * stride, j * stride).")
def average_pool2d_unstrided(dy, saved):
    shape, count, size, stride, border = saved
    return average_pool2d_backward(dy, (shape, count, size, (1, 1), border)) if stride != (1, 1) else (None,)


@slip_of(
    average_pool2d,
    "padding not taken off",
    "Windows begin in the border: subtract it (top, left) before writing into dx.",
)
def average_pool2d_uncropped(dy, saved):
    shape, count, size, stride, ((top, bottom), (left, right)) = saved
    end = (0, top + bottom), (0, left + right)
    return average_pool2d_backward(dy, (shape, count, size, stride, end)) if top + left else (None,)


@slip_of(average_pool2d, "only one pixel of the window gets it", "Every pixel of the window takes part in its average.")
def average_pool2d_first(dy, saved):
    shape, count, size, stride, border = saved
    dx = np.zeros(shape, dy.dtype)
    shifted(dx, 0, 0, dy.shape[1:3], stride, (1, 1))[...] += dy
    return (crop(dx, *border),)


@slip_of(
    average_pool2d,
    "treated as max pooling",
    "Every pixel of the window takes part in its average, not the largest alone.",
)
def average_pool2d_as_max(dy, saved, x):
    _, _, size, stride, border = saved
    _, winners = max_pool2d.forward(x, size=size, stride=stride, padding=border)
    return max_pool2d_backward(dy, winners)
