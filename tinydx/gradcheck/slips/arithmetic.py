"""Mistakes that people make in the gradients of tinydx/ops/arithmetic.py.

Most of them forget what broadcasting, a reduction or a rearrangement did to the shapes: the sum over repeated uses, the
share of a mean, the inverse of a permutation.
"""

import math

import numpy as np

from tinydx.gradcheck.slips import slip_of
from tinydx.ops.arithmetic import (
    _restore,
    add,
    concatenate,
    divide,
    exp,
    getitem,
    log,
    matmul,
    matmul_backward,
    max,
    mean,
    multiply,
    power,
    reshape,
    sqrt,
    subtract,
    sum,
    sum_backward,
    transpose,
    unbroadcast,
)

AVERAGED = (
    "averaged over the broadcast axes",
    "An operand that was repeated collects the sum of its uses, not their mean: the 1/N belongs to the loss alone.",
)
FIRST_USE = (
    "first use only",
    "An operand that was repeated moved every result: sum over all its uses, not just the first.",
)


def averaged(g, shape):
    """The mean, in place of the sum, over the axes along which an operand of that shape was repeated."""
    return unbroadcast(g, shape) * (math.prod(shape) / g.size)


def first_use(g, shape):
    """The first entry, in place of the sum, along the axes along which an operand of that shape was repeated."""
    added = (0,) * (g.ndim - len(shape))
    return g[(*added, ..., *(slice(0, 1) if n == 1 else slice(None) for n in shape))]


@slip_of(add, *AVERAGED)
def add_averaged(dy, saved):
    a_shape, b_shape = saved
    return averaged(dy, a_shape), averaged(dy, b_shape)


@slip_of(add, *FIRST_USE)
def add_first_use(dy, saved):
    a_shape, b_shape = saved
    return first_use(dy, a_shape), first_use(dy, b_shape)


@slip_of(add, "broadcasting not undone", "b was repeated to fit a: sum dy over the repeated axes, so that db has b's shape.")
def add_not_summed(dy, saved):
    return dy, dy


@slip_of(subtract, "minus sign forgotten", "y falls when b grows: the gradient of b is -dy.")
def subtract_sign(dy, saved):
    _, b_shape = saved
    return None, unbroadcast(dy, b_shape)


@slip_of(subtract, *AVERAGED)
def subtract_averaged(dy, saved):
    a_shape, b_shape = saved
    return averaged(dy, a_shape), averaged(-dy, b_shape)


@slip_of(subtract, *FIRST_USE)
def subtract_first_use(dy, saved):
    a_shape, b_shape = saved
    return first_use(dy, a_shape), first_use(-dy, b_shape)


@slip_of(multiply, *AVERAGED)
def multiply_averaged(dy, saved):
    a, b = saved
    return averaged(dy * b, a.shape), averaged(dy * a, b.shape)


@slip_of(multiply, *FIRST_USE)
def multiply_first_use(dy, saved):
    a, b = saved
    return first_use(dy * b, a.shape), first_use(dy * a, b.shape)


@slip_of(multiply, "other factor forgotten", "The derivative of a*b by a is b: multiply dy by the other factor.")
def multiply_as_add(dy, saved):
    a, b = saved
    return unbroadcast(dy, a.shape), unbroadcast(dy, b.shape)


@slip_of(multiply, "factors swapped", "The gradient of a is dy times b, the other factor.")
def multiply_swapped(dy, saved):
    a, b = saved
    return unbroadcast(dy * a, a.shape), unbroadcast(dy * b, b.shape)


@slip_of(divide, "minus sign forgotten", "The derivative of a/b by b is -a/b**2: mind the minus.")
def divide_sign(dy, saved):
    a, b = saved
    return None, unbroadcast(dy * a / b**2, b.shape)


@slip_of(divide, "multiplied instead of divided", "The derivative of a/b by a is 1/b: divide dy by b.")
def divide_multiplied(dy, saved):
    a, b = saved
    return unbroadcast(dy * b, a.shape), None


@slip_of(divide, "square forgotten", "The derivative of a/b by b is -a/b**2: b is squared.")
def divide_square(dy, saved):
    a, b = saved
    return None, unbroadcast(-dy * a / b, b.shape)


@slip_of(power, "exponent not lowered", "The derivative of x**c is c * x**(c-1): the exponent drops by one.")
def power_not_lowered(dy, saved):
    x, c = saved
    return (dy * c * x**c,)


@slip_of(power, "factor c forgotten", "The derivative of x**c is c * x**(c-1): the exponent comes down as a factor.")
def power_without_c(dy, saved):
    x, c = saved
    return (dy * x ** (c - 1),)


@slip_of(power, "derivative of c**x", "The base moves here, not the exponent: c * x**(c-1), no logarithm.")
def power_as_exponential(dy, saved):
    x, c = saved
    return (dy * x**c * np.log(x),)


@slip_of(exp, "own value forgotten", "The derivative of e**x is e**x itself: multiply dy by y.")
def exp_without_y(dy, y):
    return (dy,)


@slip_of(
    exp,
    "treated as a power",
    "x e**(x-1) is the rule for powers of x; here x is the exponent, and the derivative is e**x.",
)
def exp_as_power(dy, y):
    return (dy * np.log(y) * y / np.e,)


@slip_of(exp, "exponential taken twice", "y is e**x already: multiply dy by y, not by e**y.")
def exp_twice(dy, y):
    return (dy * np.exp(y),)


@slip_of(log, "multiplied instead of divided", "The derivative of ln x is 1/x: divide dy by x.")
def log_multiplied(dy, x):
    return (dy * x,)


@slip_of(log, "square too many", "The derivative of ln x is 1/x; 1/x**2 belongs to 1/x.")
def log_squared(dy, x):
    return (dy / x**2,)


@slip_of(log, "another base", "This is the natural logarithm: no ln 10 in its derivative.")
def log_base_ten(dy, x):
    return (dy / (x * np.log(10)),)


@slip_of(sqrt, "factor 2 forgotten", "The derivative of sqrt(x) is 1 / (2 sqrt(x)).")
def sqrt_without_two(dy, y):
    return (dy / y,)


@slip_of(sqrt, "divided by x instead of its root", "y is sqrt(x) already: the derivative is 1 / (2 y), not 1 / (2 x).")
def sqrt_by_x(dy, y):
    return (dy / (2 * y**2),)


@slip_of(sqrt, "multiplied instead of divided", "The derivative of sqrt(x) is 1 / (2 sqrt(x)): it falls as x grows.")
def sqrt_multiplied(dy, y):
    return (dy * y / 2,)


@slip_of(
    matmul,
    "averaged over the batch",
    "A matrix that served a whole batch collects the sum of its gradients, not their mean.",
)
def matmul_averaged(dy, saved):
    a, b = saved
    return averaged(dy @ b.swapaxes(-1, -2), a.shape), averaged(a.swapaxes(-1, -2) @ dy, b.shape)


@slip_of(matmul, "operand not transposed", "da = dy bᵀ and db = aᵀ dy: transpose what you multiply with.")
def matmul_untransposed(dy, saved):
    a, b = saved
    square_a, square_b = a.shape[-1] == a.shape[-2], b.shape[-1] == b.shape[-2]
    return (unbroadcast(dy @ b, a.shape) if square_b else None), (unbroadcast(a @ dy, b.shape) if square_a else None)


@slip_of(matmul, "result transposed", "This is the right gradient transposed: (dy bᵀ)ᵀ is b dyᵀ, da is dy bᵀ.")
def matmul_transposed(dy, saved):
    da, db = matmul_backward(dy, saved)
    return da.swapaxes(-1, -2), db.swapaxes(-1, -2)


@slip_of(matmul, "batch sum forgotten", "One matrix served the whole batch: sum its gradient over the batch axes.")
def matmul_not_summed(dy, saved):
    a, b = saved
    return dy @ b.swapaxes(-1, -2), a.swapaxes(-1, -2) @ dy


@slip_of(sum, "shared out instead of repeated", "Every summand gets all of dy, not its share: that would be the mean.")
def sum_shared(dy, saved):
    (dx,) = sum_backward(dy, saved)
    return (dx * dy.size / dx.size,)


@slip_of(sum, "dy summed once more", "Each summand gets the dy of its own sum, not the sum of all dy.")
def sum_summed_again(dy, saved):
    shape, _, _ = saved
    return (np.full(shape, dy.sum()),)


@slip_of(sum, "along the wrong axis", "Put the axis that was summed back in its place before repeating dy along it.")
def sum_wrong_axis(dy, saved):
    shape, _, _ = saved
    return (np.resize(dy, shape),)


@slip_of(mean, "1/n forgotten", "Each element moves the mean by 1/n of its own change: divide dy by n.")
def mean_without_n(dy, saved):
    return (_restore(dy, *saved),)


@slip_of(mean, "divided by all elements", "Divide by the number of elements in one mean, not by the size of the whole array.")
def mean_by_size(dy, saved):
    dx = _restore(dy, *saved)
    return (dx / dx.size,)


@slip_of(mean, "divided twice", "dy / n is enough: do not take another mean of it.")
def mean_twice(dy, saved):
    dx = _restore(dy, *saved)
    return (dx * (dy.size / dx.size) ** 2,)


@slip_of(max, "every element gets the gradient", "Only the largest element moved the maximum: all others get zero.")
def max_to_all(dy, saved):
    shape, _, axes, _ = saved
    kept = tuple(1 if i in axes else n for i, n in enumerate(shape))
    return (np.broadcast_to(dy.reshape(kept), shape),)


@slip_of(max, "every tied maximum gets all of it", "Where several elements share the maximum, one of them gets dy, not each.")
def max_to_all_tied(dy, saved, x):
    _, _, axes, _ = saved
    kept = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    return (dy.reshape(kept) * (x == x.max(axis=axes, keepdims=True)),)


@slip_of(max, "treated as the mean", "The maximum is one element: nothing is shared out among the others.")
def max_as_mean(dy, saved):
    (dx,) = max_to_all(dy, saved)
    return (dx * dy.size / dx.size,)


@slip_of(reshape, "Fortran order", "Forward lays the elements out in C order (last axis fastest): backward must, too.")
def reshape_fortran(dy, shape):
    return (dy.reshape(shape, order="F"),)


@slip_of(reshape, "not reshaped back", "dx has x's shape: reshape dy to what x was.")
def reshape_nothing(dy, shape):
    return (dy,)


@slip_of(reshape, "transposed on the way", "reshape keeps the order of the elements: do not transpose before it.")
def reshape_transposed(dy, shape):
    return (dy.T.reshape(shape),)


@slip_of(transpose, "same permutation again", "Undo the permutation with its inverse (argsort of the axes), not with itself.")
def transpose_again(dy, axes):
    return (dy.transpose(axes),)


@slip_of(transpose, "not undone", "The axes of y are permuted: permute those of dy back.")
def transpose_nothing(dy, axes):
    return (dy,)


@slip_of(transpose, "axes reversed", "dy.T reverses all axes; undo exactly the permutation of forward.")
def transpose_reversed(dy, axes):
    return (dy.T,)


@slip_of(
    getitem,
    "= instead of +=",
    "An element taken twice collects both gradients: add them up (np.add.at), do not assign.",
)
def getitem_assigned(dy, saved):
    shape, key = saved
    dx = np.zeros(shape, dy.dtype)
    dx[key] = dy
    return (dx,)


@slip_of(getitem, "put back at the start", "dy belongs where the key took its elements from, the rest of dx is zero.")
def getitem_at_start(dy, saved):
    shape, _ = saved
    dx = np.zeros(shape, dy.dtype)
    dx.flat[: dy.size] = dy.ravel()[: dx.size]
    return (dx,)


@slip_of(getitem, "not put back", "dx has x's shape, with zeros where nothing was taken.")
def getitem_nothing(dy, saved):
    return (dy,)


@slip_of(concatenate, "pieces in reversed order", "Cut dy at the same places, in the same order as forward joined.")
def concatenate_reversed(dy, saved):
    ends, axis = saved
    return tuple(np.split(np.flip(dy, axis), ends, axis=axis))


@slip_of(concatenate, "every piece cut from the start", "Each piece begins where the one before it ended.")
def concatenate_from_start(dy, saved):
    ends, axis = saved
    pieces = np.split(dy, ends, axis=axis)
    return tuple(np.split(dy, [p.shape[axis]], axis=axis)[0] for p in pieces)


@slip_of(concatenate, "everybody gets all of dy", "Each array gets the piece of dy that it made, in its own shape.")
def concatenate_all(dy, saved):
    ends, _ = saved
    return (dy,) * (len(ends) + 1)
