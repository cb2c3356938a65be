"""Every CUDA kernel against its NumPy reference, without a GPU: the unchanged .cu files in the emulator, checker on.

So each example is also a test for races, missing barriers, accesses out of bounds and reads of what nobody wrote.
Shapes come from Hypothesis and cross the kernels' tiles; numbers come from a seed: normal ones, compared with the
reference in float64; small whole ones, whose sums are exact and compared with ==; and whole ones with an infinity or
a NaN among them, which must come through where NumPy lets them.
"""

import shutil

import numpy as np
import pytest
from conftest import PROFILE
from hypothesis import given, settings
from hypothesis import strategies as st

import tinydx
from tinydx.op import TABLE, RandomDraw, find_kernels, gradients_of, load_kernels

find_kernels()
if shutil.which("g++") is None:
    pytest.skip("the CUDA emulator needs g++: apt install g++", allow_module_level=True)
pytest.importorskip("tinydx_kernels.emulator", reason="no emulator")

from tinydx_kernels.cuda import backend, matmul, sums  # noqa: E402

assert load_kernels("cuda") is None
KERNELS = sorted(name for name, op in TABLE.items() if "cuda" in op.kernels)
examples = settings(max_examples=100 if PROFILE == "deep" else 8)


@pytest.fixture(autouse=True, scope="module")
def emulated():
    """All tests of this file run in the emulator."""
    with backend.emulation():
        yield


# ---- shapes: name -> (arrays' shapes, constants) -------------------------------------------------------------------

# Sizes around tiles of 16, 32, 64 and 128.
COUNTS = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40, 63, 64, 65, 70]
counts = st.sampled_from(COUNTS)
small = st.integers(1, 9)


@st.composite
def convolution_shapes(draw):
    kernel = draw(st.sampled_from([(1, 1), (2, 2), (3, 3), (3, 3), (5, 5), (1, 3), (4, 1), (2, 5)]))
    stride = draw(st.sampled_from([1, 1, 2, 3, (1, 2), (3, 1)]))
    dilation = draw(st.sampled_from([1, 1, 1, 2, (1, 3)]))
    padding = draw(st.sampled_from(["valid", "same", 1, 4, ((0, 1), (2, 0))]))
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, (dilation,) * 2 if isinstance(dilation, int) else dilation, strict=True)]
    height, width = (e + draw(st.integers(0, 6)) for e in extent)
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    c = draw(st.sampled_from([1, 2, 3, 4, 7, 17, 33]))
    f = draw(st.sampled_from([1, 2, 3, 8, 31, 32, 33, 65])) if groups == 1 else draw(small) * groups
    if draw(st.sampled_from([False, False, False, True])):  # many pixels, few channels
        height, width, c = height + 10, width + 12, min(c, 4)
    bias = draw(st.sampled_from([(f,), None]))
    constants = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return ((draw(st.integers(1, 3)), height, width, c * groups), (*kernel, c, f), bias), constants


@st.composite
def pooled_convolution_shapes(draw):
    shapes, constants = draw(convolution_shapes().filter(_poolable))
    return shapes, constants


def _poolable(case):
    shapes, constants = case
    arrays = [None if shape is None else np.ones(shape, np.float32) for shape in shapes]
    return TABLE["correlate2d_relu_max_pool2d"].kernels["cuda"].supports(*arrays, **constants)


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


def update_shapes(arrays, **choices):
    @st.composite
    def shapes(draw):
        shape = draw(st.sampled_from([(1,), (17,), (4, 33), (257,), (31, 33)]))
        return (shape,) * arrays, {name: draw(st.sampled_from(values)) for name, values in choices.items()}

    return shapes()


RATES = {"learning_rate": [0.1, 0.001]}
SHAPES = {
    "adagrad_update": update_shapes(3, **RATES, epsilon=[1e-7]),
    "adam_update": update_shapes(4, **RATES, beta_1=[0.9], beta_2=[0.999], epsilon=[1e-7], step=[1, 50]),
    "average_pool2d": pooling_shapes(),
    "conv2d": convolution_shapes(),
    "conv2d_relu": convolution_shapes(),
    "conv2d_relu_max_pool2d": pooled_convolution_shapes(),
    "correlate2d": convolution_shapes(),
    "correlate2d_relu": convolution_shapes(),
    "correlate2d_relu_max_pool2d": pooled_convolution_shapes(),
    "dense": dense_shapes(),
    "dense_relu": dense_shapes(),
    "embedding": embedding_shapes(),
    "matmul": matmul_shapes(),
    "max_pool2d": pooling_shapes(),
    "momentum_update": update_shapes(3, **RATES, momentum=[0.9], nesterov=[False, True]),
    "relu": any_shape(),
    "rmsprop_update": update_shapes(5, **RATES, rho=[0.9], momentum=[0.0, 0.9], epsilon=[1e-7], centered=[False, True]),
    "rnn_output": dense_shapes(),
    "sgd_update": update_shapes(2, **RATES),
    "sigmoid": any_shape(),
    "simple_rnn": recurrence_shapes(),
    "simple_rnn_step": step_shapes(),
    "softmax": softmax_shapes(),
    "tanh": any_shape(),
}
POSITIVE = {"adagrad_update": [1], "adam_update": [2], "rmsprop_update": [1]}  # running means of squares
POOLED = {"conv2d_relu_max_pool2d", "correlate2d_relu_max_pool2d"}  # rounding decides between pixels: whole numbers only
LINEAR = {"conv2d", "conv2d_relu", "correlate2d", "correlate2d_relu", "dense", "dense_relu", "embedding", "matmul"}
LINEAR |= {"max_pool2d", "relu", "rnn_output"} | POOLED  # exact on whole numbers


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


def draw_case(name, data, whole):
    """Arrays and constants for an op, each array lying differently in memory."""
    shapes, constants = data.draw(SHAPES[name])
    arrays = numbers(data.draw(st.integers(0, 2**32 - 1)), shapes, whole)
    for k in POSITIVE.get(name, []):
        arrays[k] = arrays[k] ** 2 + np.float32(1)
    if name == "rmsprop_update":
        arrays[2] *= np.float32(0.1)  # |a| is less than the root of v
    if name.startswith("simple_rnn"):
        arrays[2:4] = [w / np.float32(len(w) ** 0.5) for w in arrays[2:4]]  # states that do not saturate
    return [None if a is None else data.draw(disguises)(a) for a in arrays], constants


def outputs(y):
    return y if isinstance(y, tuple) else (y,)


def both_ways(name, arrays, constants, dy_seed, whole):
    """[(what, kernel's result, reference's result in float64)] of forward and backward."""
    op, kernel = TABLE[name], TABLE[name].kernels["cuda"]
    assert kernel.supports(*arrays, **constants)
    y, saved = kernel.forward(*arrays, **constants)
    exact = [None if a is None else a.astype(np.float64) for a in arrays]
    expected, expected_saved = op.forward(*exact, **constants)
    results = [(f"output {k}", *pair) for k, pair in enumerate(zip(outputs(y), outputs(expected), strict=True))]
    if op.backward:
        (dy,) = numbers(dy_seed, [y.shape], whole)
        needs = (True,) * len(arrays)
        got = gradients_of(kernel, dy, saved, needs)
        want = gradients_of(op.reference, dy.astype(np.float64), expected_saved, needs)
        for argument, a, g, w in zip(op.arrays, arrays, got, want, strict=False):
            if a is not None:
                results.append((f"gradient of {argument}", g, w))
    for what, got, want in results:
        assert got.dtype == np.float32, what
        assert got.shape == want.shape, what
    return results


def assert_close(what, got, want, tolerance=1e-5):
    """Within `tolerance` of the largest number: a sum of many terms is as exact as its terms are large."""
    scale = max(1.0, float(np.abs(want[np.isfinite(want)]).max(initial=0)))
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * scale, err_msg=what)


# ---- the ops -------------------------------------------------------------------------------------------------------


def test_every_kernel_is_tested():
    assert sorted(SHAPES) == KERNELS


@pytest.mark.parametrize("name", sorted(set(SHAPES) - POOLED))
@given(data=st.data())
@examples
def test_kernel_equals_reference(name, data):
    arrays, constants = draw_case(name, data, whole=False)
    for result in both_ways(name, arrays, constants, data.draw(st.integers(0, 999)), whole=False):
        assert_close(*result)


@pytest.mark.parametrize("name", sorted(LINEAR))
@given(data=st.data())
@examples
def test_kernel_is_exact_on_whole_numbers_with_infinity_and_nan(name, data):
    arrays, constants = draw_case(name, data, whole=True)
    special = data.draw(st.sampled_from([None, None, np.inf, -np.inf, np.nan]))
    if special is not None:
        arrays[0] = arrays[0].copy()
        arrays[0].flat[data.draw(st.integers(0, arrays[0].size - 1))] = special
    with np.errstate(all="ignore"):
        for what, got, want in both_ways(name, arrays, constants, data.draw(st.integers(0, 999)), whole=True):
            np.testing.assert_array_equal(got, want, err_msg=what)


@pytest.mark.parametrize("name", ["average_pool2d", "sigmoid", "simple_rnn", "softmax", "tanh"])
@given(data=st.data())
@examples
def test_infinity_and_nan_come_through(name, data):
    arrays, constants = draw_case(name, data, whole=True)
    arrays[0] = arrays[0].copy()
    special = data.draw(st.sampled_from([np.inf, -np.inf, np.nan]))
    arrays[0].flat[data.draw(st.integers(0, arrays[0].size - 1))] = special
    with np.errstate(all="ignore"):
        for what, got, want in both_ways(name, arrays, constants, data.draw(st.integers(0, 999)), whole=True):
            np.testing.assert_array_equal(np.isnan(got), np.isnan(want), err_msg=what)
            assert_close(what, got, want)


@pytest.mark.parametrize("name", KERNELS)
@given(data=st.data())
@settings(max_examples=10 if PROFILE == "deep" else 2)
def test_same_bits_again_and_inputs_untouched(name, data):
    arrays, constants = draw_case(name, data, whole=False)
    before = [None if a is None else a.copy() for a in arrays]
    first = both_ways(name, arrays, constants, 0, whole=False)
    again = both_ways(name, arrays, constants, 0, whole=False)
    for (what, a, _), (_, b, _) in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=what)
    for a, b in zip(arrays, before, strict=True):
        if a is not None:
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", KERNELS)
def test_kernel_runs_through_the_op(name):
    for seed in range(20):
        arrays, constants = TABLE[name].samples(RandomDraw(seed))
        arrays = tuple(a.astype(np.float32) for a in arrays)
        if TABLE[name].kernels["cuda"].supports(*arrays, **constants):
            with tinydx.use("cuda", strict=True), tinydx.trace() as ran:
                TABLE[name](*arrays, **constants)
            assert ran == [(name, "cuda")]
            return
    raise AssertionError(f"{name}: no sample of the op is supported")


@pytest.mark.parametrize("name", [name for name in KERNELS if name.endswith("_update")])
def test_update_in_place(name):
    arrays, constants = TABLE[name].samples(RandomDraw(0))
    arrays = [a.astype(np.float32) for a in arrays]
    want, _ = TABLE[name].kernels["cuda"].forward(*arrays, **constants)
    TABLE[name].kernels["cuda"].in_place(*arrays, **constants)
    for a, b in zip(arrays, want, strict=False):
        np.testing.assert_array_equal(a, b)


# ---- which arrays the kernels take ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KERNELS)
def test_float64_complex_and_empty_arrays_run_on_the_reference(name):
    arrays, constants = TABLE[name].samples(RandomDraw(0))
    supports = TABLE[name].kernels["cuda"].supports
    assert not supports(*arrays, **constants)
    assert not supports(*(a.astype(complex) for a in arrays), **constants)
    assert not supports(*(a.astype(">f4") for a in arrays), **constants)
    assert not supports(*(a.astype(np.float32)[:0] for a in arrays), **constants)


def test_numpy_arrays_are_emulated_only_on_request(monkeypatch):
    monkeypatch.setattr(backend, "_emulating", False)
    x = np.ones(3, np.float32)
    assert not backend.is_float32(x)
    with backend.emulation():
        assert backend.is_float32(x)
    assert not backend.is_float32(x)


def test_use_cuda_without_cupy_says_what_to_install(monkeypatch):
    monkeypatch.setattr(backend, "_emulating", False)
    monkeypatch.setattr(backend.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="CuPy is not installed; pip install 'tinydx"):
        tinydx.use("cuda")


def test_a_launch_takes_no_strided_array():
    with pytest.raises(ValueError, match="contiguous"):
        backend._argument(np.ones((3, 4), np.float32)[:, ::2])
    assert backend._argument(3).dtype == np.int32 and backend._argument(3.0).dtype == np.float32
    with pytest.raises(OverflowError):
        backend._argument(2**31)


# ---- products and sums that the ops reach with large arrays only ---------------------------------------------------


@given(data=st.data())
@examples
def test_product_of_every_tile_and_orientation(data):
    tile = data.draw(st.sampled_from(["SMALL", "MIDDLE", "LARGE"]))
    m, n, k = data.draw(st.integers(1, 140)), data.draw(st.integers(1, 140)), data.draw(st.integers(1, 40))
    a, b = numbers(data.draw(st.integers(0, 999)), [(m, k), (k, n)], whole=True)
    a, b = data.draw(disguises)(a), data.draw(disguises)(b)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matmul, "tile_for", lambda rows, columns: getattr(matmul, tile))
        np.testing.assert_array_equal(matmul.product(a, b), a @ b)


@given(data=st.data())
@examples
def test_sum_of_rows(data):
    shape = data.draw(st.integers(1, 700)), data.draw(st.integers(1, 70))
    (x,) = numbers(data.draw(st.integers(0, 999)), [shape], whole=True)
    np.testing.assert_array_equal(sums.sum_rows(data.draw(disguises)(x)), x.sum(axis=0))


# ---- the staircase -------------------------------------------------------------------------------------------------

ERRORS = {"tf32": 2e-3, "3xtf32": 2e-6, "bf16": 2e-2}  # of the largest number; the others: 1e-5
edges = st.sampled_from([1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65, 66, 127, 128, 129, 131, 132, 136])
depths = st.sampled_from([1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 18, 31, 32, 33, 40])


@pytest.mark.parametrize("step", matmul.STEPS)
@given(m=edges, n=edges, k=depths, seed=st.integers(0, 999), whole=st.booleans())
@examples
def test_staircase(step, m, n, k, seed, whole):
    a, b = numbers(seed, [(m, k), (k, n)], whole)
    c, want = matmul.staircase(step, a, b), a.astype(np.float64) @ b
    if whole:  # such small numbers are exact in BF16, too
        np.testing.assert_array_equal(c, want)
    else:
        assert_close(step, c, want, ERRORS.get(step, 1e-5))


@pytest.mark.parametrize("step", matmul.STEPS)
def test_staircase_lets_nan_through(step):
    a, b = numbers(0, [(33, 17), (17, 35)], whole=True)
    a[32, 16] = np.nan
    c = matmul.staircase(step, a, b)
    assert np.isnan(c[32]).all() and np.isfinite(c[:32]).all()
