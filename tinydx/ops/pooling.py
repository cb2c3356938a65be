"""Max and average pooling: the document's down-sampling.

Both loop over the positions (p, q) of the window, as convolution does; `shifted` gives the pixels that a position meets.
"""

import numpy as np

from tinydx.arguments import BORDER, PAIR
from tinydx.op import backward_of, literal_of, op, requirement_of, samples_of
from tinydx.ops.convolution import crop, output_size, pad, padding_2d, pair, shifted

SHAPES = "x (N,H,W,C) -> y (N,OH,OW,C)"
POOLING = {"size": PAIR, "stride": PAIR, "padding": BORDER}


def _geometry(x, size, stride, padding):
    """Window, stride, border and output size of a pooling."""
    size = pair(size)
    stride = size if stride is None else pair(stride)
    border = padding_2d(padding, x.shape[1:3], size, stride)
    out = tuple(output_size(n, k, s, 1, *ends) for n, k, s, ends in zip(x.shape[1:3], size, stride, border, strict=True))
    return size, stride, border, out


def _windows(x, size, stride, border, out):
    """For the literals: each output pixel's index and the pixels of its window, without padding, in row-major order."""
    top, left = border[0][0], border[1][0]
    for n, i, j, c in np.ndindex(len(x), *out, x.shape[3]):
        rows = range(i * stride[0] - top, i * stride[0] - top + size[0])
        columns = range(j * stride[1] - left, j * stride[1] - left + size[1])
        inside = [(r, q) for r in rows for q in columns if 0 <= r < x.shape[1] and 0 <= q < x.shape[2]]
        yield (n, i, j, c), [x[n, r, q, c] for r, q in inside]


@op(r"y(i,j) = \max_{p,q} x(si + p, sj + q)", shapes=SHAPES, source="document, 1.1, max pooling", constants=POOLING)
def max_pool2d(x, *, size=2, stride=None, padding="valid"):
    """Max pooling: the largest pixel of each window. At ties the gradient goes to the first in row-major order.

    Arguments: x (N,H,W,C), images; size of the window and stride (default: size), a number or (rows, columns);
    padding "valid" (rows and columns that do not fill a window are dropped), "same", or as in correlate2d.
    Returns: y (N,OH,OW,C).
    Raises: ValueError where the window is larger than the image.

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
        np.maximum(y, candidate, out=y)  # not y[winner], so that NaN stays NaN
    return y, (x.shape, winner, size, stride, border)


@requirement_of(max_pool2d)
def windows_meet_pixels(x, *, size=2, padding="valid", **steps):
    """ValueError where a window can lie in the padding alone: it would have no maximum and no mean."""
    if not isinstance(padding, str):
        for n, ends in zip(pair(size), padding_2d(padding, (), (), ()), strict=True):
            if max(ends) >= n:
                raise ValueError(f"pooling: padding={padding} must be smaller than the window, {size}")


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


@op(
    r"y(i,j) = \frac{1}{|p,q|} \sum_{p,q} x(si + p, sj + q)",
    shapes=SHAPES,
    source="document, 1.1, average pooling",
    constants=POOLING,
)
def average_pool2d(x, *, size=2, stride=None, padding="valid"):
    """Average pooling: the mean of each window; padded pixels do not count.

    Arguments: x (N,H,W,C), images; size, stride, padding, as in max_pool2d.
    Returns: y (N,OH,OW,C).
    Raises: ValueError where the window is larger than the image.

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


requirement_of(average_pool2d)(windows_meet_pixels)


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
