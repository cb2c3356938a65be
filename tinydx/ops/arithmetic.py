"""Arithmetic, reductions and rearrangements: what lies between the document's equations.

Elementwise ops broadcast. A broadcast operand was used many times, so its gradient is the sum over those uses:
that is all that `unbroadcast` does.
"""

import numpy as np

from tinydx.op import backward_of, literal_of, op, samples_of, slip_of

SOURCE = "arithmetic"


def unbroadcast(g, shape, reduce=np.sum):
    """Sum a gradient over the axes along which an operand of that shape was repeated."""
    added = tuple(range(g.ndim - len(shape)))
    g = reduce(g, axis=added) if added else g
    stretched = tuple(i for i, n in enumerate(shape) if n == 1 and g.shape[i] != 1)
    return reduce(g, axis=stretched, keepdims=True) if stretched else g


def loop(scalar, *arrays):
    """A function of numbers, applied element by element to broadcast arrays: how elementwise literals are written."""
    arrays = np.broadcast_arrays(*arrays)
    y = np.empty(arrays[0].shape)
    for i in np.ndindex(y.shape):
        y[i] = scalar(*(a[i] for a in arrays))
    return y


def broadcast_samples(draw):
    """Two arrays that broadcast against each other, in one of the ways that people forget."""
    n, m = draw.integer(2, 4), draw.integer(2, 5)
    a, b = draw.choice([((n, m), (n, m)), ((n, m), (m,)), ((n, 1), (n, m)), ((n, 1, m), (n, 1)), ((n, m), ())])
    return (draw.array(*a), draw.array(*b)), {}


def one_array(draw):
    """One array of two or three axes."""
    return (draw.array(*draw.choice([(3,), (2, 5), (3, 1, 4)])),), {}


def one_positive_array(draw):
    """One array of positive numbers."""
    (x,), _ = one_array(draw)
    return (0.5 + x**2,), {}


AVERAGED = (
    "averaged over the broadcast axes",
    "An operand that was repeated collects the sum of its uses, not their mean: the 1/N belongs to the loss alone.",
)
FIRST_USE = (
    "first use only",
    "An operand that was repeated moved every result: sum over all its uses, not just the first.",
)


def first_use(g, axis, keepdims=False):
    """What is left of a gradient if the sum over its repeated axes is forgotten: how slips say it."""
    key = tuple(slice(0, 1) if i in axis else slice(None) for i in range(g.ndim))
    return g[key] if keepdims else g[key].squeeze(axis)


# ---- a + b, a - b, a * b, a / b ------------------------------------------------------------------------------------


@op(r"y = a + b", shapes="a (...), b (...) -> y (...)", source=SOURCE)
def add(a, b):
    """Elementwise sum with broadcasting."""
    return a + b, (a.shape, b.shape)


@backward_of(add)
def add_backward(dy, saved, reduce=np.sum):
    a_shape, b_shape = saved
    return unbroadcast(dy, a_shape, reduce), unbroadcast(dy, b_shape, reduce)


@literal_of(add)
def add_literal(a, b):
    return loop(lambda a, b: a + b, a, b)


samples_of(add)(broadcast_samples)


@slip_of(add, *AVERAGED)
def add_averaged(dy, saved):
    return add_backward(dy, saved, reduce=np.mean)


@slip_of(add, *FIRST_USE)
def add_first_use(dy, saved):
    return add_backward(dy, saved, reduce=first_use)


@slip_of(add, "broadcasting not undone", "b was repeated to fit a: sum dy over the repeated axes, so that db has b's shape.")
def add_not_summed(dy, saved):
    return dy, dy


@op(r"y = a - b", shapes="a (...), b (...) -> y (...)", source=SOURCE)
def subtract(a, b):
    """Elementwise difference with broadcasting."""
    return a - b, (a.shape, b.shape)


@backward_of(subtract)
def subtract_backward(dy, saved, reduce=np.sum):
    a_shape, b_shape = saved
    return unbroadcast(dy, a_shape, reduce), unbroadcast(-dy, b_shape, reduce)


@literal_of(subtract)
def subtract_literal(a, b):
    return loop(lambda a, b: a - b, a, b)


samples_of(subtract)(broadcast_samples)


@slip_of(subtract, "minus sign forgotten", "y falls when b grows: the gradient of b is -dy.")
def subtract_sign(dy, saved):
    _, b_shape = saved
    return None, unbroadcast(dy, b_shape)


@slip_of(subtract, *AVERAGED)
def subtract_averaged(dy, saved):
    return subtract_backward(dy, saved, reduce=np.mean)


@slip_of(subtract, *FIRST_USE)
def subtract_first_use(dy, saved):
    return subtract_backward(dy, saved, reduce=first_use)


@op(r"y = a \cdot b", shapes="a (...), b (...) -> y (...)", source=SOURCE)
def multiply(a, b):
    """Elementwise product with broadcasting."""
    return a * b, (a, b)


@backward_of(multiply)
def multiply_backward(dy, saved, reduce=np.sum):
    a, b = saved
    return unbroadcast(dy * b, a.shape, reduce), unbroadcast(dy * a, b.shape, reduce)


@literal_of(multiply)
def multiply_literal(a, b):
    return loop(lambda a, b: a * b, a, b)


samples_of(multiply)(broadcast_samples)


@slip_of(multiply, *AVERAGED)
def multiply_averaged(dy, saved):
    return multiply_backward(dy, saved, reduce=np.mean)


@slip_of(multiply, *FIRST_USE)
def multiply_first_use(dy, saved):
    return multiply_backward(dy, saved, reduce=first_use)


@slip_of(multiply, "other factor forgotten", "The derivative of a*b by a is b: multiply dy by the other factor.")
def multiply_as_add(dy, saved):
    a, b = saved
    return unbroadcast(dy, a.shape), unbroadcast(dy, b.shape)


@slip_of(multiply, "factors swapped", "The gradient of a is dy times b, the other factor.")
def multiply_swapped(dy, saved):
    a, b = saved
    return unbroadcast(dy * a, a.shape), unbroadcast(dy * b, b.shape)


@op(r"y = a / b", shapes="a (...), b (...) -> y (...)", source=SOURCE)
def divide(a, b):
    """Elementwise quotient with broadcasting."""
    return a / b, (a, b)


@backward_of(divide)
def divide_backward(dy, saved):
    a, b = saved
    return unbroadcast(dy / b, a.shape), unbroadcast(-dy * a / b**2, b.shape)


@literal_of(divide)
def divide_literal(a, b):
    return loop(lambda a, b: a / b, a, b)


@samples_of(divide)
def divide_samples(draw):
    (a, b), constants = broadcast_samples(draw)
    return (a, np.asarray(0.5 + b**2)), constants


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


# ---- functions of one array ----------------------------------------------------------------------------------------


@op(r"y = x^c", shapes="x (...) -> y (...)", source=SOURCE)
def power(x, *, exponent):
    """Elementwise power with a constant exponent."""
    return x**exponent, (x, exponent)


@backward_of(power)
def power_backward(dy, saved):
    x, c = saved
    return (dy * c * x ** (c - 1),)


@literal_of(power)
def power_literal(x, *, exponent):
    return loop(lambda x: x**exponent, x)


@samples_of(power)
def power_samples(draw):
    arrays, _ = one_positive_array(draw)
    return arrays, {"exponent": draw.choice([2, 3, 0.5, -1.0])}


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


@op(r"y = e^x", shapes="x (...) -> y (...)", source=SOURCE)
def exp(x):
    """Elementwise exponential."""
    y = np.exp(x)
    return y, y


@backward_of(exp)
def exp_backward(dy, y):
    return (dy * y,)


@literal_of(exp)
def exp_literal(x):
    return loop(np.exp, x)


samples_of(exp)(one_array)


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


@op(r"y = \ln x", shapes="x (...) -> y (...)", source=SOURCE)
def log(x):
    """Elementwise natural logarithm."""
    return np.log(x), x


@backward_of(log)
def log_backward(dy, x):
    return (dy / x,)


@literal_of(log)
def log_literal(x):
    return loop(np.log, x)


samples_of(log)(one_positive_array)


@slip_of(log, "multiplied instead of divided", "The derivative of ln x is 1/x: divide dy by x.")
def log_multiplied(dy, x):
    return (dy * x,)


@slip_of(log, "square too many", "The derivative of ln x is 1/x; 1/x**2 belongs to 1/x.")
def log_squared(dy, x):
    return (dy / x**2,)


@slip_of(log, "another base", "This is the natural logarithm: no ln 10 in its derivative.")
def log_base_ten(dy, x):
    return (dy / (x * np.log(10)),)


@op(r"y = \sqrt{x}", shapes="x (...) -> y (...)", source=SOURCE)
def sqrt(x):
    """Elementwise square root."""
    y = np.sqrt(x)
    return y, y


@backward_of(sqrt)
def sqrt_backward(dy, y):
    return (dy / (2 * y),)


@literal_of(sqrt)
def sqrt_literal(x):
    return loop(np.sqrt, x)


samples_of(sqrt)(one_positive_array)


@slip_of(sqrt, "factor 2 forgotten", "The derivative of sqrt(x) is 1 / (2 sqrt(x)).")
def sqrt_without_two(dy, y):
    return (dy / y,)


@slip_of(sqrt, "divided by x instead of its root", "y is sqrt(x) already: the derivative is 1 / (2 y), not 1 / (2 x).")
def sqrt_by_x(dy, y):
    return (dy / (2 * y**2),)


@slip_of(sqrt, "multiplied instead of divided", "The derivative of sqrt(x) is 1 / (2 sqrt(x)): it falls as x grows.")
def sqrt_multiplied(dy, y):
    return (dy * y / 2,)


# ---- matmul --------------------------------------------------------------------------------------------------------


@op(r"y_{nm} = \sum_k a_{nk} \, b_{km}", shapes="a (...,N,K), b (...,K,M) -> y (...,N,M)", source=SOURCE)
def matmul(a, b):
    """Matrix product, over leading batch axes that broadcast."""
    return a @ b, (a, b)


@backward_of(matmul)
def matmul_backward(dy, saved):
    a, b = saved
    return unbroadcast(dy @ b.swapaxes(-1, -2), a.shape), unbroadcast(a.swapaxes(-1, -2) @ dy, b.shape)


@literal_of(matmul)
def matmul_literal(a, b):
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = np.broadcast_to(a, batch + a.shape[-2:]), np.broadcast_to(b, batch + b.shape[-2:])
    y = np.zeros((*batch, a.shape[-2], b.shape[-1]))
    for i in np.ndindex(batch):
        for n in range(a.shape[-2]):
            for m in range(b.shape[-1]):
                for k in range(a.shape[-1]):
                    y[(*i, n, m)] += a[(*i, n, k)] * b[(*i, k, m)]
    return y


@samples_of(matmul)
def matmul_samples(draw):
    n, k, m = draw.integer(1, 4), draw.integer(1, 4), draw.integer(1, 4)
    a, b = draw.choice([((), ()), ((2,), (2,)), ((3,), ()), ((2, 1), (3,))])
    return (draw.array(*a, n, k), draw.array(*b, k, m)), {}


@slip_of(
    matmul,
    "averaged over the batch",
    "A matrix that served a whole batch collects the sum of its gradients, not their mean.",
)
def matmul_averaged(dy, saved):
    a, b = saved
    da = unbroadcast(dy @ b.swapaxes(-1, -2), a.shape, np.mean)
    return da, unbroadcast(a.swapaxes(-1, -2) @ dy, b.shape, np.mean)


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


# ---- reductions ----------------------------------------------------------------------------------------------------


def _restore(dy, shape, axis, keepdims):
    """A reduced gradient, repeated along the axes that were reduced away."""
    if axis is not None and not keepdims:
        dy = np.expand_dims(dy, axis)
    return np.broadcast_to(dy, shape)


def _reduce_samples(draw):
    shape = draw.choice([(4,), (2, 3), (2, 3, 4)])
    axis = draw.choice([None, 0, -1] + ([(0, 1)] if len(shape) > 1 else []))
    return (draw.array(*shape),), {"axis": axis, "keepdims": draw.choice([False, True])}


def _literal_groups(x, axis, keepdims):
    """The result's index -> the list of elements that are reduced into it."""
    axes = range(x.ndim) if axis is None else [a % x.ndim for a in np.atleast_1d(axis)]
    shape = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    groups = {i: [] for i in np.ndindex(shape)}
    for i in np.ndindex(x.shape):
        groups[tuple(0 if a in axes else k for a, k in enumerate(i))].append(x[i])
    return groups, shape, shape if keepdims else tuple(n for i, n in enumerate(shape) if i not in axes)


def _literal_reduce(reduce, x, axis, keepdims):
    groups, kept, shape = _literal_groups(x, axis, keepdims)
    y = np.empty(kept)
    for i, group in groups.items():
        y[i] = reduce(group)
    return y.reshape(shape)


@op(r"y = \sum_i x_i", shapes="x (...) -> y (...)", source=SOURCE)
def sum(x, *, axis=None, keepdims=False):
    """Sum over one axis, several, or all."""
    return np.sum(x, axis=axis, keepdims=keepdims), (x.shape, axis, keepdims)


@backward_of(sum)
def sum_backward(dy, saved):
    return (_restore(dy, *saved),)


@literal_of(sum)
def sum_literal(x, *, axis=None, keepdims=False):
    def total(group):
        y = 0.0
        for value in group:
            y += value
        return y

    return _literal_reduce(total, x, axis, keepdims)


samples_of(sum)(_reduce_samples)


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


@op(r"y = \frac{1}{n} \sum_i x_i", shapes="x (...) -> y (...)", source=SOURCE)
def mean(x, *, axis=None, keepdims=False):
    """Mean over one axis, several, or all."""
    return np.mean(x, axis=axis, keepdims=keepdims), (x.shape, axis, keepdims)


@backward_of(mean)
def mean_backward(dy, saved):
    dx = _restore(dy, *saved)
    return (dx * (dy.size / dx.size),)


@literal_of(mean)
def mean_literal(x, *, axis=None, keepdims=False):
    def average(group):
        y = 0.0
        for value in group:
            y += value / len(group)
        return y

    return _literal_reduce(average, x, axis, keepdims)


samples_of(mean)(_reduce_samples)


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


@op(r"y = \max_i x_i", shapes="x (...) -> y (...)", source=SOURCE)
def max(x, *, axis, keepdims=False):
    """Maximum over one axis or several; at ties the gradient goes to the first."""
    axes = tuple(a % x.ndim for a in np.atleast_1d(axis))
    rest = tuple(a for a in range(x.ndim) if a not in axes)
    flat = x.transpose(rest + axes).reshape(*(x.shape[a] for a in rest), -1)
    winner = flat.argmax(axis=-1)[..., None]
    y = np.take_along_axis(flat, winner, axis=-1)[..., 0]
    return (np.expand_dims(y, axes) if keepdims else y), (x.shape, rest, axes, winner)


@backward_of(max)
def max_backward(dy, saved):
    shape, rest, axes, winner = saved
    order = rest + axes
    moved = tuple(shape[a] for a in order)
    flat = np.zeros((*winner.shape[:-1], int(np.prod([shape[a] for a in axes]))), dy.dtype)
    np.put_along_axis(flat, winner, dy.reshape(winner.shape), axis=-1)
    return (flat.reshape(moved).transpose(np.argsort(order)),)


@literal_of(max)
def max_literal(x, *, axis, keepdims=False):
    def largest(group):
        y = group[0]
        for value in group:
            y = value if value > y else y
        return y

    return _literal_reduce(largest, x, axis, keepdims)


@samples_of(max)
def max_samples(draw):
    axis = draw.choice([0, -1, (0, 1), (1, 2)])
    return (draw.array(2, 3, draw.integer(1, 4)),), {"axis": axis, "keepdims": draw.choice([False, True])}


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


# ---- rearrangements ------------------------------------------------------------------------------------------------


@op(r"y_{i'} = x_i \text{ in the same (C) order}", shapes="x (...) -> y (...)", source=SOURCE)
def reshape(x, *, shape):
    """The same elements in C order under another shape; one axis may be -1."""
    return x.reshape(shape), x.shape


@backward_of(reshape)
def reshape_backward(dy, shape):
    return (dy.reshape(shape),)


@literal_of(reshape)
def reshape_literal(x, *, shape):
    y = np.empty(np.empty(x.shape).reshape(shape).shape)
    for i, j in zip(np.ndindex(y.shape), np.ndindex(x.shape), strict=True):
        y[i] = x[j]
    return y


@samples_of(reshape)
def reshape_samples(draw):
    n = draw.integer(1, 4)
    return (draw.array(n, 6),), {"shape": draw.choice([(n, 2, 3), (6, n), (-1,), (3, -1)])}


@slip_of(reshape, "Fortran order", "Forward lays the elements out in C order (last axis fastest): backward must, too.")
def reshape_fortran(dy, shape):
    return (dy.reshape(shape, order="F"),)


@slip_of(reshape, "not reshaped back", "dx has x's shape: reshape dy to what x was.")
def reshape_nothing(dy, shape):
    return (dy,)


@slip_of(reshape, "transposed on the way", "reshape keeps the order of the elements: do not transpose before it.")
def reshape_transposed(dy, shape):
    return (dy.T.reshape(shape),)


@op(r"y_{ji} = x_{ij}", shapes="x (...) -> y (...)", source=SOURCE)
def transpose(x, *, axes=None):
    """Permute the axes (default: reverse them)."""
    axes = tuple(range(x.ndim))[::-1] if axes is None else axes
    return x.transpose(axes), axes


@backward_of(transpose)
def transpose_backward(dy, axes):
    return (dy.transpose(np.argsort(axes)),)


@literal_of(transpose)
def transpose_literal(x, *, axes=None):
    axes = tuple(range(x.ndim))[::-1] if axes is None else axes
    y = np.empty([x.shape[a] for a in axes])
    for i in np.ndindex(x.shape):
        y[tuple(i[a] for a in axes)] = x[i]
    return y


@samples_of(transpose)
def transpose_samples(draw):
    n = draw.integer(2, 4)
    return (draw.array(n, n, n),), {"axes": draw.choice([None, (1, 2, 0), (2, 0, 1), (0, 2, 1)])}


@slip_of(transpose, "same permutation again", "Undo the permutation with its inverse (argsort of the axes), not with itself.")
def transpose_again(dy, axes):
    return (dy.transpose(axes),)


@slip_of(transpose, "not undone", "The axes of y are permuted: permute those of dy back.")
def transpose_nothing(dy, axes):
    return (dy,)


@slip_of(transpose, "axes reversed", "dy.T reverses all axes; undo exactly the permutation of forward.")
def transpose_reversed(dy, axes):
    return (dy.T,)


@op(r"y = x[\text{key}]", shapes="x (...) -> y (...)", source=SOURCE)
def getitem(x, *, key):
    """Indexing and slicing; an element that is taken twice collects both gradients."""
    return x[key], (x.shape, key)


@backward_of(getitem)
def getitem_backward(dy, saved):
    shape, key = saved
    dx = np.zeros(shape, dy.dtype, like=dy)
    np.add.at(dx, key, dy)
    return (dx,)


@literal_of(getitem)
def getitem_literal(x, *, key):
    source = np.arange(x.size).reshape(x.shape)[key]
    y = np.empty(source.shape)
    for i in np.ndindex(source.shape):
        y[i] = x[np.unravel_index(source[i], x.shape)]
    return y


@samples_of(getitem)
def getitem_samples(draw):
    n = draw.integer(3, 5)
    keys = [slice(1, None), (slice(None), -1), np.array([0, 2, 0, n - 1]), (slice(None, None, 2), slice(1, 3))]
    return (draw.array(n, 4),), {"key": draw.choice(keys)}


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


@op(r"y = [x_1, x_2, \dots]", shapes="x (...) -> y (...)", source=SOURCE)
def concatenate(*arrays, axis=-1):
    """Join arrays along an axis."""
    ends = np.cumsum([a.shape[axis] for a in arrays])[:-1].tolist()
    return np.concatenate(arrays, axis=axis), (ends, axis)


@backward_of(concatenate)
def concatenate_backward(dy, saved):
    ends, axis = saved
    return tuple(np.split(dy, ends, axis=axis))


@literal_of(concatenate)
def concatenate_literal(*arrays, axis=-1):
    shape = list(arrays[0].shape)
    shape[axis] = int(np.sum([a.shape[axis] for a in arrays]))
    y, start = np.empty(shape), 0
    for a in arrays:
        for i in np.ndindex(a.shape):
            target = list(i)
            target[axis] += start
            y[tuple(target)] = a[i]
        start += a.shape[axis]
    return y


@samples_of(concatenate)
def concatenate_samples(draw):
    axis = draw.choice([0, -1])
    shapes = [[2, 3], [2, 3], [2, 3]]
    for shape in shapes:
        shape[axis] = draw.integer(1, 4)
    return tuple(draw.array(*shape) for shape in shapes), {"axis": axis}


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
