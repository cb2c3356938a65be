"""The document's convolution sum, and the correlation that libraries call convolution.

The document's sum runs the kernel backwards over the image, x(i-p+1, j-q+1) w(p,q): the TRUE convolution, `conv2d`. What
Keras and PyTorch call convolution does not flip the kernel: that is `correlate2d`. One is the other with w flipped, so
`correlate2d` does all the work.

It has three equations, each with one loop: over the images of a batch (patches of one image fit the cache, those of all
do not) or over the kernel's positions p, q:

    y  = patches(x) · w            dw = patches(x)ᵀ · dy            dx[p,q-shifted] += dy · w[p,q]ᵀ
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tinydx.arguments import BORDER, COUNT, PAIR
from tinydx.op import backward_of, literal_of, op, requirement_of, samples_of

WINDOWS = {"stride": PAIR, "padding": BORDER, "dilation": PAIR, "groups": COUNT}

# ---- geometry ------------------------------------------------------------------------------------------------------


def pair(value):
    """3 -> (3, 3); (3, 5) stays."""
    return (value, value) if isinstance(value, int | np.integer) else tuple(value)


def same_padding(n, k, stride, dilation=1):
    """(before, after) along one axis, so that the output has ceil(n / stride) pixels; an odd pixel goes to the end."""
    total = max((-(-n // stride) - 1) * stride + (k - 1) * dilation + 1 - n, 0)
    return total // 2, total - total // 2


def padding_2d(padding, size, kernel, stride, dilation=(1, 1)):
    """((top, bottom), (left, right)) for "valid", "same" or a number; such pairs are returned as they are.

    Raises: ValueError for another string.
    """
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding == "same":
        return tuple(same_padding(*axis) for axis in zip(size, kernel, stride, dilation, strict=True))
    if isinstance(padding, int | np.integer):
        return (padding, padding), (padding, padding)
    if isinstance(padding, str):
        raise ValueError(f"padding={padding!r}: expected 'valid', 'same', a number or ((top, bottom), (left, right))")
    return padding


def output_size(n, k, stride, dilation, before, after):
    """The number of positions of a kernel of k pixels along an axis of n pixels; ValueError if it does not fit."""
    out = (n + before + after - (k - 1) * dilation - 1) // stride + 1
    if out < 1:
        raise ValueError(f"a kernel of {k} (dilation {dilation}) does not fit into {n + before + after} pixels")
    return out


def positions(x, w, stride, padding, dilation):
    """Where a kernel w stands on images x: stride and dilation as pairs, the border, and the output's (OH,OW)."""
    stride, dilation = pair(stride), pair(dilation)
    border = padding_2d(padding, x.shape[1:3], w.shape[:2], stride, dilation)
    axes = zip(x.shape[1:3], w.shape[:2], stride, dilation, border, strict=True)
    return stride, dilation, border, tuple(output_size(n, k, s, d, *ends) for n, k, s, d, ends in axes)


def pad(x, rows, columns, value=0):
    """Images x (N,H,W,C) with a border: rows (top, bottom) and columns (left, right) of `value`."""
    if rows == (0, 0) and columns == (0, 0):
        return x
    return np.pad(x, ((0, 0), rows, columns, (0, 0)), constant_values=value)


def crop(x, rows, columns):
    """The inverse of pad."""
    return x[:, rows[0] : x.shape[1] - rows[1], columns[0] : x.shape[2] - columns[1]]


def shifted(x, p, q, out, stride, dilation):
    """The pixels that kernel position (p, q) meets, one for each output pixel, as a view (...,OH,OW,C)."""
    top, left = p * dilation[0], q * dilation[1]
    rows = slice(top, top + (out[0] - 1) * stride[0] + 1, stride[0])
    columns = slice(left, left + (out[1] - 1) * stride[1] + 1, stride[1])
    return x[..., rows, columns, :]


def patches(image, kernel, out, stride, dilation):
    """(H,W,C) -> (OH*OW, kh*kw*C): each row holds what the kernel sees at one output pixel."""
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    windows = sliding_window_view(image, extent, axis=(0, 1))  # (H', W', C, kh', kw')
    windows = windows[:: stride[0], :: stride[1], :, :: dilation[0], :: dilation[1]]
    return windows.transpose(0, 1, 3, 4, 2).reshape(out[0] * out[1], -1)


# ---- correlate2d ---------------------------------------------------------------------------------------------------


@op(
    r"y(i,j) = \sum_{p}\sum_{q} x(si + dp,\; sj + dq) \cdot w(p,q) + b",
    shapes="x (N,H,W,C), w (kh,kw,C/groups,F), b (F,) -> y (N,OH,OW,F)",
    source="Keras Conv2D, torch.nn.functional.conv2d; document, 1.2, without the flip",
    constants=WINDOWS,
)
def correlate2d(x, w, b=None, *, stride=1, padding="valid", dilation=1, groups=1):
    """Cross-correlation: what Keras and PyTorch call convolution.

    Arguments: x (N,H,W,C), images; w (kh,kw,C/groups,F), kernel; b (F,), bias, or None; stride, dilation, a number or
    (rows, columns); padding "valid", "same", a number or ((top, bottom), (left, right)); groups, which divides C and F.
    Returns: y (N,OH,OW,F).
    Raises: ValueError where channels and groups do not fit, or the kernel is larger than the padded image.

    >>> correlate2d(np.ones((1, 5, 5, 3)), np.ones((3, 3, 3, 2)), stride=2).shape
    (1, 2, 2, 2)
    """
    stride, dilation, border, out = positions(x, w, stride, padding, dilation)
    x = pad(x, *border)
    dtype = np.result_type(x, w, 0.0 if b is None else b)
    y = np.empty((len(x), *out, w.shape[3]), dtype)
    for n in range(len(x)):
        for xs, ws, fs in _groups(x, w, groups):
            rows = patches(x[n][..., xs], w.shape[:2], out, stride, dilation)
            y[n][..., fs] = (rows @ ws).reshape(*out, -1)
    if b is not None:
        y += b
    return y, (x, w, border, stride, dilation, groups)


@requirement_of(correlate2d)
def channels_fit_groups(x, w, b=None, *, groups=1, **windows):
    """ValueError unless each group has as many channels as the kernel takes, and as many filters as every other."""
    if x.shape[3] != w.shape[2] * groups or w.shape[3] % groups:
        raise ValueError(
            f"correlate2d: x has {x.shape[3]} channels, but w (kh,kw,C/groups,F) {w.shape} takes {w.shape[2]} x {groups} groups"
            f" and makes {w.shape[3]}, which groups must divide"
        )


@backward_of(correlate2d)
def correlate2d_backward(dy, saved, needs=(True, True, True)):
    border = saved[2]
    dx = crop(_correlate2d_dx(dy, saved), *border) if needs[0] else None
    return dx, _correlate2d_dw(dy, saved) if needs[1] else None, dy.sum(axis=(0, 1, 2))


def _correlate2d_dx(dy, saved):
    """Every output pixel hands its gradient back to the pixels that it was made from."""
    x, w, _, stride, dilation, groups = saved
    dx = np.zeros(x.shape, np.result_type(dy, w))
    for n in range(len(x)):
        for xs, _, fs in _groups(x, w, groups):
            for p, q in np.ndindex(w.shape[:2]):
                shifted(dx[n][..., xs], p, q, dy.shape[1:3], stride, dilation)[...] += dy[n][..., fs] @ w[p, q][:, fs].T
    return dx


def _correlate2d_dw(dy, saved):
    """Every weight collects what it was multiplied with, over all output pixels of all images."""
    x, w, _, stride, dilation, groups = saved
    kernel, out = w.shape[:2], dy.shape[1:3]
    dw = np.zeros((kernel[0] * kernel[1] * w.shape[2], w.shape[3]), np.result_type(dy, x))
    for n in range(len(x)):
        for xs, _, fs in _groups(x, w, groups):
            dw[:, fs] += patches(x[n][..., xs], kernel, out, stride, dilation).T @ dy[n][..., fs].reshape(out[0] * out[1], -1)
    return dw.reshape(w.shape)


def _groups(x, w, groups):
    """For each group: its channels of x, its kernel as a matrix (kh*kw*C/groups, F/groups), its filters."""
    c, f = w.shape[2], w.shape[3] // groups
    for g in range(groups):
        xs, fs = slice(g * c, (g + 1) * c), slice(g * f, (g + 1) * f)
        yield xs, w[..., fs].reshape(-1, f), fs


@literal_of(correlate2d)
def correlate2d_literal(x, w, b=None, *, stride=1, padding="valid", dilation=1, groups=1):
    kh, kw, c, filters = w.shape
    (sh, sw), (dh, dw), border, out = positions(x, w, stride, padding, dilation)
    (top, _), (left, _) = border
    y = np.zeros((len(x), *out, filters))
    for n, i, j, f in np.ndindex(y.shape):
        first = (f // (filters // groups)) * c  # first channel of this filter's group
        for p, q, k in np.ndindex(kh, kw, c):
            row, column = sh * i + dh * p - top, sw * j + dw * q - left
            if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
                y[n, i, j, f] += x[n, row, column, first + k] * w[p, q, k, f]
        if b is not None:
            y[n, i, j, f] += b[f]
    return y


@samples_of(correlate2d)
def correlate2d_samples(draw):
    groups, kh, kw = draw.choice([1, 1, 2]), draw.integer(1, 3), draw.integer(1, 3)
    c, f = draw.integer(1, 3), draw.integer(1, 3) * groups
    x = draw.array(draw.integer(1, 3), draw.integer(5, 8), draw.integer(5, 7), c * groups)
    constants = {
        "stride": draw.choice([1, 2, (1, 2)]),
        "padding": draw.choice(["valid", "same", 1, ((0, 1), (2, 0))]),
        "dilation": draw.choice([1, 1, 2]),
        "groups": groups,
    }
    return (x, draw.array(kh, kw, c, f), draw.array(f)), constants


# ---- conv2d --------------------------------------------------------------------------------------------------------


@op(
    r"y(i,j) = \sum_{p=1}^{k}\sum_{q=1}^{k} x(i-p+1, j-q+1) \cdot w(p,q) + b",
    shapes="x (N,H,W,C), w (kh,kw,C/groups,F), b (F,) -> y (N,OH,OW,F)",
    source="document, 1.2",
    constants=WINDOWS,
)
def conv2d(x, w, b=None, *, stride=1, padding="valid", dilation=1, groups=1):
    """The document's convolution sum: TRUE convolution, the kernel flipped.

    The sum needs no padding for i = kh..H, j = kw..W (1-based): those outputs are "valid".

    Arguments: x, w, b, stride, padding, dilation, groups, as in correlate2d.
    Returns: y (N,OH,OW,F).
    Raises: ValueError, as correlate2d does.

    >>> image = np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1)
    >>> kernel = np.array([[1.0, 0.0], [0.0, 10.0]]).reshape(2, 2, 1, 1)
    >>> conv2d(image, kernel).item(), correlate2d(image, kernel).item()
    (14.0, 41.0)
    """
    return correlate2d.forward(x, w[::-1, ::-1], b, stride=stride, padding=padding, dilation=dilation, groups=groups)


requirement_of(conv2d)(channels_fit_groups)


@backward_of(conv2d)
def conv2d_backward(dy, saved, needs=(True, True, True)):
    dx, dw, db = correlate2d_backward(dy, saved, needs)
    return dx, None if dw is None else dw[::-1, ::-1], db


@literal_of(conv2d)
def conv2d_literal(x, w, b=None, *, stride=1, padding="valid", dilation=1, groups=1):
    kh, kw, c, filters = w.shape
    (sh, sw), (dh, dw), border, out = positions(x, w, stride, padding, dilation)
    (top, _), (left, _) = border
    y = np.zeros((len(x), *out, filters))
    for n, a, e, f in np.ndindex(y.shape):
        first = (f // (filters // groups)) * c  # first channel of this filter's group
        i, j = (kh - 1) * dh + sh * a - top, (kw - 1) * dw + sw * e - left
        for p, q, k in np.ndindex(kh, kw, c):  # the document's i, j, p, q, from 0
            if 0 <= i - dh * p < x.shape[1] and 0 <= j - dw * q < x.shape[2]:
                y[n, a, e, f] += x[n, i - dh * p, j - dw * q, first + k] * w[p, q, k, f]
        if b is not None:
            y[n, a, e, f] += b[f]
    return y


samples_of(conv2d)(correlate2d_samples)
