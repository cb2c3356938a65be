"""Mistakes that people make in the gradients of tinydx/ops/convolution.py."""

import numpy as np

from tinydx.gradcheck.slips import slip_of
from tinydx.ops.convolution import _groups, conv2d, correlate2d, correlate2d_backward, crop, pad, shifted


@slip_of(
    correlate2d,
    "kernel rotated by 180 degrees",
    "This equals the right gradient rotated by 180 degrees: did you flip the kernel in one direction only?",
)
def correlate2d_rotated(dy, saved):
    x, w, border, *rest = saved
    dx, dw, _ = correlate2d_backward(dy, (x, w[::-1, ::-1], border, *rest))
    return dx, dw[::-1, ::-1], None


@slip_of(
    correlate2d,
    "averaged over the batch",
    "dy already carries the 1/N of the loss: sum over the batch, do not average.",
)
def correlate2d_averaged(dy, saved):
    _, dw, db = correlate2d_backward(dy, saved)
    return None, dw / len(dy), db / len(dy)


@slip_of(correlate2d, "= instead of +=", "Neighbouring outputs share pixels: where windows overlap, gradients add up.")
def correlate2d_assigned(dy, saved):
    x, w, border, stride, dilation, groups = saved
    dx = np.zeros(x.shape, dy.dtype)
    for xs, _, fs in _groups(x, w, groups):
        for p, q in np.ndindex(w.shape[:2]):
            shifted(dx[..., xs], p, q, dy.shape[1:3], stride, dilation)[...] = dy[..., fs] @ w[p, q][:, fs].T
    return crop(dx, *border), None, None


@slip_of(correlate2d, "= instead of +=", "Neighbouring outputs share pixels: where windows overlap, gradients add up.")
def correlate2d_last_window(dy, saved):
    x, w, border, stride, dilation, groups = saved
    dx = np.zeros(x.shape, dy.dtype)
    for i, j in np.ndindex(dy.shape[1:3]):
        for xs, _, fs in _groups(x, w, groups):
            for p, q in np.ndindex(w.shape[:2]):
                pixel = i * stride[0] + p * dilation[0], j * stride[1] + q * dilation[1]
                dx[:, *pixel, xs] = dy[:, i, j, fs] @ w[p, q][:, fs].T
    return crop(dx, *border), None, None


def _backward_as(dy, saved, **mistaken):
    """dx and dw with other constants (stride, dilation, groups) than forward had: what forgetting one of them does."""
    x, w, border, *rest = saved
    stride, dilation, groups = (mistaken.get(k, v) for k, v in zip(("stride", "dilation", "groups"), rest, strict=True))
    dx, dw = np.zeros(x.shape, dy.dtype), np.zeros(w.shape, dy.dtype)
    for xs, _, fs in _groups(x, w, groups):
        for p, q in np.ndindex(w.shape[:2]):
            seen = shifted(x[..., xs], p, q, dy.shape[1:3], stride, dilation)
            dw[p, q][:, fs] = np.tensordot(seen, dy[..., fs], ((0, 1, 2), (0, 1, 2)))
            shifted(dx[..., xs], p, q, dy.shape[1:3], stride, dilation)[...] += dy[..., fs] @ w[p, q][:, fs].T
    return crop(dx, *border), dw, None


@slip_of(correlate2d, "stride ignored", "Output (i, j) was made from the pixels at (i * stride, j * stride).")
def correlate2d_unstrided(dy, saved):
    return _backward_as(dy, saved, stride=(1, 1))


@slip_of(correlate2d, "dilation ignored", "Kernel position (p, q) met the pixel (p * dilation, q * dilation) further on.")
def correlate2d_undilated(dy, saved):
    return _backward_as(dy, saved, dilation=(1, 1))


@slip_of(
    correlate2d,
    "padding forgotten",
    "Forward saw x with its border: dw needs the padded x, and dx the crop of the padded dx at (top, left).",
)
def correlate2d_unpadded(dy, saved):
    x, w, ((top, bottom), (left, right)), *rest = saved
    end = (0, top + bottom), (0, left + right)
    inner = crop(x, (top, bottom), (left, right))
    return _backward_as(dy, (pad(inner, *end), w, end, *rest))


@slip_of(
    correlate2d,
    "rows and columns swapped",
    "The kernel's first axis runs along rows, its second along columns: in backward, too.",
)
def correlate2d_swapped(dy, saved):
    x, w, *rest = saved
    swapped = w.swapaxes(0, 1) if w.shape[0] == w.shape[1] else w
    dx, _, _ = _backward_as(dy, (x, swapped, *rest))
    return dx, _backward_as(dy, saved)[1].swapaxes(0, 1), None


@slip_of(
    correlate2d,
    "kernel matrix not transposed",
    "y = x w at each position (p, q), so dx = dy w[p, q]ᵀ and dw[p, q] = xᵀ dy.",
)
def correlate2d_untransposed(dy, saved):
    x, w, border, stride, dilation, groups = saved
    square = groups == 1 and w.shape[2] == w.shape[3]
    dx, _, _ = _backward_as(dy, (x, w.swapaxes(2, 3) if square else w, border, stride, dilation, groups))
    return dx, _backward_as(dy, saved)[1].swapaxes(2, 3), None


@slip_of(correlate2d, "groups ignored", "Each group of filters saw its own channels alone, not always the first ones.")
def correlate2d_first_group(dy, saved):
    x, w, border, stride, dilation, groups = saved
    dx, dw, _ = _backward_as(dy, (x[..., : w.shape[2]], w, border, stride, dilation, 1))
    return np.concatenate([dx] + [np.zeros_like(dx)] * (groups - 1), axis=3), dw, None


@slip_of(correlate2d, "first image only", "The kernel served every image of the batch: sum its gradient over all of them.")
def correlate2d_first_image(dy, saved):
    x, *rest = saved
    _, dw, db = correlate2d_backward(dy[:1], (x[:1], *rest), (False, True, True))
    return None, dw, db


@slip_of(
    conv2d,
    "kernel rotated by 180 degrees",
    "This equals the right gradient rotated by 180 degrees: did you flip the kernel in forward but not here?",
)
def conv2d_unflipped(dy, saved):
    x, w, *rest = saved
    dx, dw, _ = correlate2d_backward(dy, (x, w[::-1, ::-1], *rest))
    return dx, dw, None


def _of_conv2d(slip):
    """The same slip for conv2d, whose kernel is that of correlate2d, flipped."""

    def backward(dy, saved):
        dx, dw, db = slip.backward(dy, saved)
        return dx, None if dw is None else dw[::-1, ::-1], db

    slip_of(conv2d, slip.name, slip.advice)(backward)


for _slip in correlate2d.registered_slips[1:]:  # all but the rotated kernel, which has its own advice above
    _of_conv2d(_slip)
