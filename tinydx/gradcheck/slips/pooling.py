"""Mistakes that people make in the gradients of tinydx/ops/pooling.py."""

import numpy as np

from tinydx.gradcheck.slips import slip_of
from tinydx.ops.convolution import crop, pad, shifted
from tinydx.ops.pooling import average_pool2d, average_pool2d_backward, max_pool2d, max_pool2d_backward


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
    "Where pixels tie for the maximum, one of them gets dy, or they share it: not each gets all of it.",
)
def max_pool2d_to_all_tied(dy, saved, x, y):
    shape, winner, size, stride, border = saved
    dx, padded = np.zeros(shape, dy.dtype), pad(x, *border, value=-np.inf)
    for p, q in np.ndindex(size):
        largest = shifted(padded, p, q, dy.shape[1:3], stride, (1, 1)) == y
        shifted(dx, p, q, dy.shape[1:3], stride, (1, 1))[...] += dy * largest
    return (crop(dx, *border),)


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
