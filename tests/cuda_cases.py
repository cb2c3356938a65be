"""What the CUDA kernels are tested with, emulated (test_cuda_kernels.py) and on a GPU (test_cuda_gpu.py).

Shapes come from Hypothesis and cross the kernels' tiles; numbers come from a seed.
"""

import numpy as np
from draws import in_domain
from hypothesis import settings
from hypothesis import strategies as st

from tinydx.dispatch import gradients_of
from tinydx.op import TABLE, RandomDraw

EXAMPLES = 100 if settings().max_examples >= 100 else 8  # conftest.py has loaded a profile: 100 in "proof"

# ---- shapes: name -> (arrays' shapes, constants) -------------------------------------------------------------------

# Sizes around tiles of 16, 32, 64 and 128.
COUNTS = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40, 63, 64, 65, 70]
counts = st.sampled_from(COUNTS)
small = st.integers(1, 9)


@st.composite
def convolution_shapes(draw, pooled=False):
    """pooled: one group, and an output of two rows and two columns at least."""
    kernel = draw(st.sampled_from([(1, 1), (2, 2), (3, 3), (3, 3), (5, 5), (1, 3), (4, 1), (2, 5)]))
    stride = draw(st.sampled_from([1, 1, 2, 3, (1, 2), (3, 1)]))
    dilation = draw(st.sampled_from([1, 1, 1, 2, (1, 3)]))
    padding = draw(st.sampled_from(["valid", "same", 1, 4, ((0, 1), (2, 0))]))
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, (dilation,) * 2 if isinstance(dilation, int) else dilation, strict=True)]
    least = ((stride,) * 2 if isinstance(stride, int) else stride) if pooled else (0, 0)
    height, width = (e + s + draw(st.integers(0, 6)) for e, s in zip(extent, least, strict=True))
    groups = 1 if pooled else draw(st.sampled_from([1, 1, 1, 2, 3]))
    c = draw(st.sampled_from([1, 2, 3, 4, 7, 17, 33]))
    f = draw(st.sampled_from([1, 2, 3, 8, 31, 32, 33, 65])) if groups == 1 else draw(small) * groups
    if draw(st.sampled_from([False, False, False, True])):  # many pixels, few channels
        height, width, c = height + 10, width + 12, min(c, 4)
    bias = draw(st.sampled_from([(f,), None]))
    constants = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return ((draw(st.integers(1, 3)), height, width, c * groups), (*kernel, c, f), bias), constants


@st.composite
def pooling_shapes(draw):
    constants = {
        "size": draw(st.sampled_from([1, 2, 2, 3, (2, 3), (5, 1)])),
        "stride": draw(st.sampled_from([None, 1, 2, 3, (2, 1)])),
        "padding": draw(st.sampled_from(["valid", "same"])),
    }
    return ((draw(st.integers(1, 3)), draw(st.integers(5, 9)), draw(st.integers(5, 9)), draw(counts)),), constants


@st.composite
def dense_shapes(draw):
    batch = draw(st.sampled_from([(1,), (2,), (12,), (33,), (65,), (3, 5)]))
    d, f = draw(st.sampled_from([*COUNTS, 255, 257, 600])), draw(counts)
    return ((*batch, d), (d, f), draw(st.sampled_from([(f,), None]))), {}


@st.composite
def matmul_shapes(draw):
    a, b = draw(st.sampled_from([((), ()), ((2,), (2,)), ((3,), ()), ((), (2,)), ((2, 1), (3,))]))
    n, k, m = draw(counts), draw(st.sampled_from([*COUNTS, 255, 257])), draw(counts)
    return ((*a, n, k), (*b, k, m)), {}


@st.composite
def any_shape(draw):
    return (draw(st.sampled_from([(1,), (7,), (3, 5), (2, 3, 4), (255,), (256,), (33, 65)])),), {}


@st.composite
def softmax_shapes(draw):
    shape = (*draw(st.sampled_from([(), (1,), (5,), (9,), (2, 3)])), draw(st.sampled_from([*COUNTS, 200])))
    return (shape,), {"axis": draw(st.sampled_from([-1, len(shape) - 1]))}


@st.composite
def recurrence_shapes(draw):
    n, t, d, u = draw(st.sampled_from([1, 2, 5, 16, 17])), draw(st.integers(1, 5)), draw(small), draw(counts)
    mask = draw(st.sampled_from([None, np.random.default_rng(n * t).random((n, t)) < 0.7]))
    return ((n, t, d), (n, u), (d, u), (u, u), draw(st.sampled_from([(u,), None]))), {"mask": mask}


@st.composite
def step_shapes(draw):
    ((n, _, d), h, *rest), _ = draw(recurrence_shapes())
    return ((n, d), h, *rest[:2], (h[1],)), {}


@st.composite
def embedding_shapes(draw):
    v, d = draw(st.integers(1, 20)), draw(counts)
    ids = np.random.default_rng(v * d).integers(0, v, draw(st.sampled_from([(1,), (50,), (4, 7)])))
    return ((v, d),), {"ids": ids.astype(draw(st.sampled_from(["int32", "int64", "uint8"])))}


def _weight(draw, shape):
    """A constant that differs from example to example, for the first axes of a shape; or None."""
    axes = draw(st.sampled_from([None, 1, len(shape)]))
    return None if axes is None else 1 / (1 + np.arange(np.prod(shape[:axes])).reshape(shape[:axes])).astype(np.float32)


@st.composite
def scores_and_targets(draw):
    (shape,), _ = draw(any_shape())
    target = np.random.default_rng(len(shape)).random(shape) > 0.4
    return (shape,), {"target": target.astype(draw(st.sampled_from([np.float32, np.float64]))), "weight": _weight(draw, shape)}


@st.composite
def scores_and_one_hot(draw):
    (shape,), _ = draw(softmax_shapes().filter(lambda case: len(case[0][0]) > 1))
    target = np.random.default_rng(shape[-1]).random(shape).astype(np.float32)
    return (shape,), {"target": target / target.sum(axis=-1, keepdims=True), "weight": _weight(draw, shape[:-1])}


@st.composite
def scores_and_labels(draw):
    (shape,), _ = draw(softmax_shapes().filter(lambda case: len(case[0][0]) > 1))
    labels = np.random.default_rng(shape[-1]).integers(0, shape[-1], shape[:-1])
    return (shape,), {"labels": labels, "weight": _weight(draw, shape[:-1])}


@st.composite
def dropout_shapes(draw):
    (shape,), _ = draw(any_shape())
    mask = np.random.default_rng(len(shape)).random(shape) > 0.3
    return (shape,), {"mask": mask, "rate": draw(st.sampled_from([0.3, 0.5]))}


@st.composite
def joined_shapes(draw):
    shape, axis = draw(st.sampled_from([(3,), (2, 5), (2, 3, 4)])), draw(st.sampled_from([0, -1]))
    lengths = draw(st.lists(small, min_size=1, max_size=10))
    return tuple((n, *shape[1:]) if axis == 0 else (*shape[:-1], n) for n in lengths), {"axis": axis}


@st.composite
def gated_shapes(draw, gates, states):
    n, d, u = draw(st.sampled_from([1, 2, 5, 17])), draw(small), draw(counts)
    bias = (gates * u,) if states == 2 else (2, gates * u)
    return ((n, d), *[(n, u)] * states, (d, gates * u), (u, gates * u), bias), {}


@st.composite
def sequence_shapes(draw, gates, states):
    ((_, d), *_, w, u, bias), _ = draw(gated_shapes(gates, states))
    n, t = draw(st.sampled_from([1, 2, 5, 17])), draw(st.integers(1, 5))
    mask = draw(st.sampled_from([None, np.random.default_rng(n * t).random((n, t)) < 0.7]))
    return ((n, t, d), *[(n, u[0])] * states, w, u, draw(st.sampled_from([bias, None]))), {"mask": mask}


@st.composite
def reset_before_shapes(draw):
    (*arrays, bias), constants = draw(sequence_shapes(3, 1))
    return (*arrays, bias and bias[1:]), constants


def update_shapes(arrays, **choices):
    @st.composite
    def shapes(draw):
        shape = draw(st.sampled_from([(1,), (17,), (4, 33), (257,), (31, 33)]))
        return (shape,) * arrays, {name: draw(st.sampled_from(values)) for name, values in choices.items()}

    return shapes()


RATES = {"learning_rate": [0.1, 0.001]}
SHAPES = {
    "adagrad_update": update_shapes(3, **RATES, epsilon=[1e-7, 0.1]),
    "adam_update": update_shapes(4, **RATES, beta_1=[0.9], beta_2=[0.999], epsilon=[1e-7, 0.1], step=[1, 50]),
    "average_pool2d": pooling_shapes(),
    "concatenate": joined_shapes(),
    "conv2d": convolution_shapes(),
    "conv2d_relu": convolution_shapes(),
    "conv2d_relu_max_pool2d": convolution_shapes(pooled=True),
    "correlate2d": convolution_shapes(),
    "correlate2d_relu": convolution_shapes(),
    "correlate2d_relu_max_pool2d": convolution_shapes(pooled=True),
    "dense": dense_shapes(),
    "dense_relu": dense_shapes(),
    "dropout": dropout_shapes(),
    "embedding": embedding_shapes(),
    "gru": sequence_shapes(3, 1),
    "gru_reset_before": reset_before_shapes(),
    "gru_step": gated_shapes(3, 1),
    "log_softmax": softmax_shapes(),
    "lstm": sequence_shapes(4, 2),
    "lstm_step": gated_shapes(4, 2),
    "matmul": matmul_shapes(),
    "max_pool2d": pooling_shapes(),
    "momentum_update": update_shapes(3, **RATES, momentum=[0.9], nesterov=[False, True]),
    "relu": any_shape(),
    "rmsprop_update": update_shapes(5, **RATES, rho=[0.9], momentum=[0.0, 0.9], epsilon=[1e-7, 0.1], centered=[False, True]),
    "rnn_output": dense_shapes(),
    "sgd_update": update_shapes(2, **RATES),
    "sigmoid": any_shape(),
    "sigmoid_binary_crossentropy": scores_and_targets(),
    "simple_rnn": recurrence_shapes(),
    "simple_rnn_step": step_shapes(),
    "softmax": softmax_shapes(),
    "softmax_crossentropy": scores_and_one_hot(),
    "sparse_softmax_crossentropy": scores_and_labels(),
    "tanh": any_shape(),
}
POOLED = {"conv2d_relu_max_pool2d", "correlate2d_relu_max_pool2d"}  # rounding decides between pixels: whole numbers only
LINEAR = {"concatenate", "conv2d", "conv2d_relu", "correlate2d", "correlate2d_relu", "dense", "dense_relu", "embedding", "matmul"}
LINEAR |= {"max_pool2d", "relu", "rnn_output"} | POOLED  # exact on whole numbers
RECURRENT = {"gru", "gru_reset_before", "gru_step", "lstm", "lstm_step", "simple_rnn", "simple_rnn_step"}
SUMS = {"average_pool2d", "conv2d", "correlate2d", "dense", "embedding", "matmul", "rnn_output"}  # backward is sums, no choices


# ---- inputs --------------------------------------------------------------------------------------------------------


def as_made(a):
    return a


def reversed_view(a):
    return np.ascontiguousarray(a[::-1])[::-1]


def transposed(a):
    return np.asfortranarray(a)


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


disguises = st.sampled_from([as_made, as_made, reversed_view, transposed, read_only])


def numbers(seed, shapes, whole):
    """float32 arrays of these shapes (None stays None)."""
    draw = RandomDraw(seed, whole)
    return [None if shape is None else draw.array(*shape).astype(np.float32) for shape in shapes]


def draw_case(name, data, whole, scale=1):
    """Arrays and constants for an op, the numbers times `scale`, each array lying differently in memory."""
    shapes, constants = data.draw(SHAPES[name])
    arrays = in_domain(name, numbers(data.draw(st.integers(0, 2**32 - 1)), shapes, whole))
    arrays = [None if a is None else a * np.float32(scale) for a in arrays]
    return [None if a is None else data.draw(disguises)(a) for a in arrays], constants


SPECIAL = st.sampled_from([np.inf, -np.inf, np.nan])


def draw_special(name, data, arrays):
    """(arrays, what to do to dy), where an infinity or a NaN has come into one of the arrays, or into dy.

    Not into the dy of ReLU and the like: the reference multiplies by 0 what the kernels leave out.
    """
    value = data.draw(SPECIAL)
    spot = data.draw(st.integers(0, 2**32 - 1))

    def spoil(a):
        a = a.copy()
        a.flat[spot % a.size] = value
        return a

    places = [k for k, a in enumerate(arrays) if a is not None]
    into = data.draw(st.sampled_from([*places, "dy"] if name in SUMS else places))
    if into == "dy":
        return arrays, spoil
    return [spoil(a) if k == into else a for k, a in enumerate(arrays)], as_made


def outputs(y):
    return y if isinstance(y, tuple) else (y,)


def fetched(a):
    """The array here, if it was on a GPU."""
    return a.get() if hasattr(a, "get") else a


def both_ways(name, arrays, constants, dy_seed, whole, move=as_made, spoil=as_made):
    """[(what, kernel's result, reference's result in float64)] of forward and backward.

    move: to where the kernels run; spoil: what to do to dy before.
    """
    op, kernel = TABLE[name], TABLE[name].kernels["cuda"]
    moved = [None if a is None else move(a) for a in arrays]
    assert kernel.supports(*moved, **constants)
    y, saved = kernel.forward(*moved, **constants)
    exact = [None if a is None else a.astype(np.float64) for a in arrays]
    expected, expected_saved = op.forward(*exact, **constants)
    results = [(f"output {k}", fetched(a), b) for k, (a, b) in enumerate(zip(outputs(y), outputs(expected), strict=True))]
    if op.backward:
        dys, needs = numbers(dy_seed, [part.shape for part in outputs(y)], whole), (True,) * len(arrays)
        dys[0] = spoil(dys[0])
        there, exact = tuple(move(dy) for dy in dys), tuple(dy.astype(np.float64) for dy in dys)
        got = gradients_of(kernel, there if len(dys) > 1 else there[0], saved, needs)
        want = gradients_of(op.reference, exact if len(dys) > 1 else exact[0], expected_saved, needs)
        for argument, a, g, w in zip(op.arrays, arrays, got, want, strict=False):
            if a is not None:
                results.append((f"gradient of {argument}", fetched(g), w))
    for what, got, want in results:
        assert got.dtype == np.float32, what
        assert got.shape == want.shape, what
    return results


def assert_equal(what, got, want):
    """The same numbers."""
    np.testing.assert_array_equal(got, want, err_msg=what)


def assert_close(what, got, want, tolerance=1e-5):
    """Within `tolerance` of the largest number: a sum of many terms is as exact as its terms are large."""
    scale = max(1.0, float(np.abs(want[np.isfinite(want)]).max(initial=0)))
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * scale, err_msg=what)
