"""Arithmetic, reductions and rearrangements: what lies between the document's equations.

Elementwise ops broadcast. A broadcast operand was used many times, so its gradient is the sum over those uses:
that is all that `unbroadcast` does.
"""

import math

import numpy as np

from tinydx.arguments import ANYTHING, AXES, AXIS, FLAG, NUMBER
from tinydx.op import backward_of, literal_of, op, samples_of

SOURCE = "arithmetic"
REDUCTION = {"axis": AXES, "keepdims": FLAG}


def unbroadcast(g, shape):
    """Sum a gradient g over the axes along which an operand of that shape was repeated."""
    added = tuple(range(g.ndim - len(shape)))
    g = np.sum(g, axis=added) if added else g
    stretched = tuple(i for i, n in enumerate(shape) if n == 1 and g.shape[i] != 1)
    return np.sum(g, axis=stretched, keepdims=True) if stretched else g


def loop(scalar, *arrays):
    """Apply a function of numbers element by element to arrays that broadcast: elementwise literals are written so."""
    arrays = np.broadcast_arrays(*arrays)
    y = np.empty(arrays[0].shape)
    for i in np.ndindex(y.shape):
        y[i] = scalar(*(a[i] for a in arrays))
    return y


def broadcast_samples(draw):
    """Two arrays that broadcast against each other: equal shapes, a missing axis, axes of size 1, a single number."""
    n, m = draw.integer(2, 4), draw.integer(2, 5)
    a, b = draw.choice([((n, m), (n, m)), ((n, m), (m,)), ((n, 1), (n, m)), ((n, 1, m), (n, 1)), ((n, m), ())])
    return (draw.array(*a), draw.array(*b)), {}


def one_array(draw):
    """One array of one, two or three axes."""
    return (draw.array(*draw.choice([(3,), (2, 5), (3, 1, 4)])),), {}


def one_positive_array(draw):
    """One array of positive numbers."""
    (x,), _ = one_array(draw)
    return (0.5 + x**2,), {}


# ---- a + b, a - b, a * b, a / b ------------------------------------------------------------------------------------


@op(r"y = a + b", shapes="a (...), b (...) -> y (...)", source=SOURCE)
def add(a, b):
    """Elementwise sum with broadcasting.

    Arguments: a, b (...), shapes that broadcast.
    Returns: y (...), of the common shape.

    >>> add(np.array([[1.0], [2.0]]), np.array([10.0, 20.0]))
    array([[11., 21.],
           [12., 22.]])
    """
    return a + b, (a.shape, b.shape)


@backward_of(add)
def add_backward(dy, saved):
    a_shape, b_shape = saved
    return unbroadcast(dy, a_shape), unbroadcast(dy, b_shape)


@literal_of(add)
def add_literal(a, b):
    return loop(lambda a, b: a + b, a, b)


samples_of(add)(broadcast_samples)


@op(r"y = a - b", shapes="a (...), b (...) -> y (...)", source=SOURCE)
def subtract(a, b):
    """Elementwise difference with broadcasting.

    Arguments: a, b (...), shapes that broadcast.
    Returns: y (...), of the common shape.

    >>> subtract(np.array([5.0, 7.0]), np.array(2.0))
    array([3., 5.])
    """
    return a - b, (a.shape, b.shape)


@backward_of(subtract)
def subtract_backward(dy, saved):
    a_shape, b_shape = saved
    return unbroadcast(dy, a_shape), unbroadcast(-dy, b_shape)


@literal_of(subtract)
def subtract_literal(a, b):
    return loop(lambda a, b: a - b, a, b)


samples_of(subtract)(broadcast_samples)


@op(r"y = a \cdot b", shapes="a (...), b (...) -> y (...)", source=SOURCE)
def multiply(a, b):
    """Elementwise product with broadcasting.

    Arguments: a, b (...), shapes that broadcast.
    Returns: y (...), of the common shape.

    >>> multiply(np.array([5.0, 7.0]), np.array(2.0))
    array([10., 14.])
    """
    return a * b, (a, b)


@backward_of(multiply)
def multiply_backward(dy, saved):
    a, b = saved
    return unbroadcast(dy * b, a.shape), unbroadcast(dy * a, b.shape)


@literal_of(multiply)
def multiply_literal(a, b):
    return loop(lambda a, b: a * b, a, b)


samples_of(multiply)(broadcast_samples)


@op(r"y = a / b", shapes="a (...), b (...) -> y (...)", source=SOURCE)
def divide(a, b):
    """Elementwise quotient with broadcasting.

    Arguments: a, b (...), shapes that broadcast.
    Returns: y (...), of the common shape.

    >>> divide(np.array([5.0, 7.0]), np.array(2.0))
    array([2.5, 3.5])
    """
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


# ---- functions of one array ----------------------------------------------------------------------------------------


@op(r"y = x^c", shapes="x (...) -> y (...)", source=SOURCE, constants={"exponent": NUMBER})
def power(x, *, exponent):
    """Elementwise power with a constant exponent.

    Arguments: x (...); exponent, a number, not differentiated.
    Returns: y (...).

    >>> power(np.array([1.0, 3.0]), exponent=2)
    array([1., 9.])
    """
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


@op(r"y = e^x", shapes="x (...) -> y (...)", source=SOURCE)
def exp(x):
    """Elementwise exponential.

    Arguments: x (...).
    Returns: y (...).

    >>> exp(np.array([0.0, 1.0])).round(3)
    array([1.   , 2.718])
    """
    y = np.exp(x)
    return y, y


@backward_of(exp)
def exp_backward(dy, y):
    return (dy * y,)


@literal_of(exp)
def exp_literal(x):
    return loop(np.exp, x)


samples_of(exp)(one_array)


@op(r"y = \ln x", shapes="x (...) -> y (...)", source=SOURCE)
def log(x):
    """Elementwise natural logarithm.

    Arguments: x (...), positive.
    Returns: y (...).

    >>> log(np.array([1.0, np.e]))
    array([0., 1.])
    """
    return np.log(x), x


@backward_of(log)
def log_backward(dy, x):
    return (dy / x,)


@literal_of(log)
def log_literal(x):
    return loop(np.log, x)


samples_of(log)(one_positive_array)


@op(r"y = \sqrt{x}", shapes="x (...) -> y (...)", source=SOURCE)
def sqrt(x):
    """Elementwise square root.

    Arguments: x (...), not negative.
    Returns: y (...).

    >>> sqrt(np.array([4.0, 9.0]))
    array([2., 3.])
    """
    y = np.sqrt(x)
    return y, y


@backward_of(sqrt)
def sqrt_backward(dy, y):
    return (dy / (2 * y),)


@literal_of(sqrt)
def sqrt_literal(x):
    return loop(np.sqrt, x)


samples_of(sqrt)(one_positive_array)


# ---- matmul --------------------------------------------------------------------------------------------------------


@op(r"y_{nm} = \sum_k a_{nk} \, b_{km}", shapes="a (...,N,K), b (...,K,M) -> y (...,N,M)", source=SOURCE)
def matmul(a, b):
    """Matrix product, over leading batch axes that broadcast.

    Arguments: a (...,N,K); b (...,K,M).
    Returns: y (...,N,M).
    Raises: ValueError where the two K differ.

    >>> matmul(np.array([[1.0, 2.0]]), np.array([[10.0], [1.0]]))
    array([[12.]])
    """
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


# ---- reductions ----------------------------------------------------------------------------------------------------


def _restore(dy, shape, axis, keepdims):
    """A reduced gradient, repeated along the axes that were reduced away."""
    if axis is not None and not keepdims:
        dy = np.expand_dims(dy, axis)
    return np.broadcast_to(dy, shape)


def _reduce_samples(draw):
    shape = draw.choice([(4,), (2, 3), (2, 3, 4)])
    axis = draw.choice([None, 0, -1] + ([1, (0, 1)] if len(shape) > 1 else []))
    return (draw.array(*shape),), {"axis": axis, "keepdims": draw.choice([False, True])}


def _reduce_literal(reduce, x, axis, keepdims):
    """Collect the elements that belong to each result, and apply a function of a list of numbers to each collection."""
    axes = tuple(range(x.ndim)) if axis is None else tuple(a % x.ndim for a in np.atleast_1d(axis))
    shape = [1 if i in axes else n for i, n in enumerate(x.shape)]
    groups = {i: [] for i in np.ndindex(*shape)}
    for i in np.ndindex(x.shape):
        groups[tuple(0 if a in axes else k for a, k in enumerate(i))].append(x[i])
    y = np.array([reduce(group) for group in groups.values()]).reshape(shape)
    return y if keepdims else y.squeeze(axes)


@op(r"y = \sum_i x_i", shapes="x (...) -> y (... without axis)", source=SOURCE, constants=REDUCTION)
def sum(x, *, axis=None, keepdims=False):
    """Sum over one axis, several, or all.

    Arguments: x (...); axis, a number, a tuple, or None for all; keepdims, whether summed axes stay with size 1.
    Returns: y, x's shape without those axes.

    >>> sum(np.array([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    array([4., 6.])
    """
    return np.sum(x, axis=axis, keepdims=keepdims), (x.shape, axis, keepdims)


@backward_of(sum)
def sum_backward(dy, saved):
    return (_restore(dy, *saved),)


@literal_of(sum)
def sum_literal(x, *, axis=None, keepdims=False):
    return _reduce_literal(math.fsum, x, axis, keepdims)


samples_of(sum)(_reduce_samples)


@op(r"y = \frac{1}{n} \sum_i x_i", shapes="x (...) -> y (... without axis)", source=SOURCE, constants=REDUCTION)
def mean(x, *, axis=None, keepdims=False):
    """Mean over one axis, several, or all.

    Arguments: x (...); axis, a number, a tuple, or None for all; keepdims, whether averaged axes stay with size 1.
    Returns: y, x's shape without those axes.

    >>> mean(np.array([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    array([2., 3.])
    """
    return np.mean(x, axis=axis, keepdims=keepdims), (x.shape, axis, keepdims)


@backward_of(mean)
def mean_backward(dy, saved):
    dx = _restore(dy, *saved)
    return (dx * (dy.size / (dx.size or 1)),)


@literal_of(mean)
def mean_literal(x, *, axis=None, keepdims=False):
    return _reduce_literal(lambda group: math.fsum(group) / len(group), x, axis, keepdims)


samples_of(mean)(_reduce_samples)


@op(r"y = \max_i x_i", shapes="x (...) -> y (... without axis)", source=SOURCE, constants=REDUCTION)
def max(x, *, axis, keepdims=False):
    """Maximum over one axis or several; the gradient of tied maxima goes to the first.

    Arguments: x (...); axis, a number or a tuple; keepdims, whether reduced axes stay with size 1.
    Returns: y, x's shape without those axes.

    >>> max(np.array([[1.0, 2.0], [3.0, 0.0]]), axis=1)
    array([2., 3.])
    """
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
    flat = np.zeros((*winner.shape[:-1], math.prod(shape[a] for a in axes)), dy.dtype)
    np.put_along_axis(flat, winner, dy.reshape(winner.shape), axis=-1)
    return (flat.reshape(moved).transpose(np.argsort(order)),)


@literal_of(max)
def max_literal(x, *, axis, keepdims=False):
    return _reduce_literal(lambda group: sorted(group)[-1], x, axis, keepdims)


@samples_of(max)
def max_samples(draw):
    axis = draw.choice([0, -1, (0, 1), (1, 2)])
    return (draw.array(2, 3, draw.integer(1, 4)),), {"axis": axis, "keepdims": draw.choice([False, True])}


# ---- rearrangements ------------------------------------------------------------------------------------------------


@op(r"y_{i'} = x_i \text{ in the same (C) order}", shapes="x (...) -> y (shape)", source=SOURCE, constants={"shape": AXES})
def reshape(x, *, shape):
    """The same elements in C order under another shape.

    Arguments: x (...); shape, a tuple of sizes, one of which may be -1.
    Returns: y, of that shape.
    Raises: ValueError where the numbers of elements differ.

    >>> reshape(np.arange(4.0), shape=(2, -1))
    array([[0., 1.],
           [2., 3.]])
    """
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


@op(r"y_{ji} = x_{ij}", shapes="x (...) -> y (... permuted)", source=SOURCE, constants={"axes": AXES})
def transpose(x, *, axes=None):
    """Permute the axes.

    Arguments: x (...); axes, x's axes in y's order, or None to reverse them.
    Returns: y, axis k of which is axis axes[k] of x.

    >>> transpose(np.ones((2, 3, 4)), axes=(2, 0, 1)).shape
    (4, 2, 3)
    """
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


@op(r"y = x[\text{key}]", shapes="x (...) -> y (x[key])", source=SOURCE, constants={"key": ANYTHING})
def getitem(x, *, key):
    """Indexing and slicing; an element that is taken twice collects both gradients.

    Arguments: x (...); key, what NumPy takes between brackets.
    Returns: y = x[key].
    Raises: IndexError where the key leaves x.

    >>> getitem(np.array([1.0, 2.0, 3.0]), key=np.array([2, 2]))
    array([3., 3.])
    """
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


@op(r"y = [x_1, x_2, \dots]", shapes="x (...) -> y (... joined)", source=SOURCE, constants={"axis": AXIS})
def concatenate(*arrays, axis=-1):
    """Join arrays along an axis.

    Arguments: arrays, (...) each, of equal shapes but for that axis; axis, the last one by default.
    Returns: y, the arrays one after the other.
    Raises: ValueError where other axes differ.

    >>> concatenate(np.ones((1, 2)), np.zeros((1, 1)))
    array([[1., 1., 0.]])
    """
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
