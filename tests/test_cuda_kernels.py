"""Every CUDA kernel against its NumPy reference, without a GPU: the unchanged .cu files in the emulator, every access checked.

So each example also tests for races, missing barriers, accesses out of bounds and reads of memory that was never written. The
properties are in cuda_properties.py: results on normal numbers, compared with the reference in float64; results on small
whole numbers, whose sums are exact and compared with ==; and results where an infinity or a NaN is among the inputs, which
must come out as in NumPy. cuda_mutants.py measures how good these tests are.

The first property runs on 8 random shapes; with HYPOTHESIS_PROFILE=proof, as in CI, on 100.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cuda_cases import EXAMPLES, KERNELS, LINEAR, POOLED, RECURRENT, SUMS, assert_close, both_ways, draw_case, numbers
from hypothesis import given, settings
from hypothesis import strategies as st

import tinydx
from tinydx.op import TABLE, RandomDraw
from tinydx_kernels.emulator.build import compiler

try:
    compiler()
except OSError as missing:
    pytest.skip(str(missing), allow_module_level=True)

import cuda_properties as properties

from tinydx_kernels.cuda import backend, convolution, matmul, programs, update
from tinydx_kernels.cuda.programs import HERE
from tinydx_kernels.emulator import profile

examples = settings(max_examples=EXAMPLES)
fewer_examples = settings(max_examples=max(6, EXAMPLES // 4))


@pytest.fixture(autouse=True, scope="module")
def emulated():
    """All tests of this file run in the emulator."""
    with properties.emulation():
        yield


# ---- the ops -------------------------------------------------------------------------------------------------------


def test_every_kernel_brings_its_own_samples():
    """Samples of the op itself are too small to cross a tile."""
    assert [name for name in KERNELS if TABLE[name].kernels["cuda"].samples is TABLE[name].samples] == []


def test_what_the_tests_know_about_ops_is_about_kernels():
    assert set(KERNELS) >= LINEAR | POOLED | RECURRENT | SUMS


@pytest.mark.parametrize("name", KERNELS)
@given(data=st.data())
@examples
def test_kernel_equals_reference(name, data):
    properties.equals_reference(name, data)


@pytest.mark.parametrize("name", sorted(LINEAR))
@given(data=st.data())
@fewer_examples
def test_kernel_is_exact_on_whole_numbers(name, data):
    properties.is_exact(name, data)


@pytest.mark.parametrize("name", [name for name in KERNELS if not name.endswith("_update")])
@given(data=st.data())
@fewer_examples
def test_infinity_and_nan_come_through(name, data):
    properties.lets_specials_through(name, data)


@pytest.mark.parametrize("name", KERNELS)
@given(data=st.data())
@settings(max_examples=max(2, EXAMPLES // 20))
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


# ---- a new kernel ----------------------------------------------------------------------------------------------------

NEW_CU = """
extern "C" __global__ void leaky_relu(const float *x, float *y, int size, float slope)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < size) y[i] = x[i] > 0.0f ? x[i] : slope * x[i];
}

extern "C" __global__ void leaky_relu_backward(const float *dy, const float *x, float *dx, int size, float slope)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < size) dx[i] = x[i] > 0.0f ? dy[i] : slope * dy[i];
}
"""
NEW_LAUNCHER = """
from tinydx.op import kernel_of
from tinydx.ops.activation import leaky_relu
from tinydx_kernels.cuda.backend import contiguous, each, is_float32, xp
from tinydx_kernels.cuda.programs import Program

LEAKY = Program("leaky.cu")
PROGRAMS = [LEAKY]


def forward(x, *, slope=0.2):
    x, y = contiguous(x), xp(x).empty(x.shape, x.dtype)
    each(LEAKY, "leaky_relu", x.size, x, y, x.size, float(slope))
    return y, (x, slope)


def backward(dy, saved):
    x, slope = saved
    dx = xp(x).empty(x.shape, x.dtype)
    each(LEAKY, "leaky_relu_backward", x.size, contiguous(dy), x, dx, x.size, float(slope))
    return (dx,)


def supports(x, *, slope=0.2):
    return is_float32(x)


def samples(draw):
    return (draw.array(draw.choice([1, 255, 256, 257])),), {"slope": 0.2}


kernel_of(leaky_relu, "cuda", forward, backward, supports, samples=samples)
"""
NEW_TEST = """
import cuda_cases, cuda_mutants, cuda_properties, numpy, tinydx
from tinydx_kernels.cuda import gate

assert "leaky_relu" in cuda_cases.KERNELS and "leaky.cu" in map(str, gate.all_programs())
for rule in cuda_mutants.PROPERTIES["leaky.cu"]:
    with cuda_properties.emulation():
        cuda_mutants.check(rule)
with cuda_properties.emulation(), tinydx.use("cuda", strict=True), tinydx.trace() as ran:
    tinydx.ops.leaky_relu(numpy.ones(3, "float32"))
score = cuda_mutants.score_of("leaky.cu", every=4)
print(ran, len(cuda_mutants.PROPERTIES["leaky.cu"]), len(score.verdicts) > 3, score.rate)
"""


def test_one_launcher_adds_a_kernel(tmp_path):
    """A launcher and its .cu, and nothing else, in a copy of the checkout: dispatch, gate, tests and mutants find them."""
    root, tests = Path(__file__).parents[1], Path(__file__).parent
    for folder in ("tinydx", "kernels", "lessons"):
        shutil.copytree(root / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "pyproject.toml", tmp_path)
    (tmp_path / "kernels" / "cuda" / "leaky.cu").write_text(NEW_CU)
    (tmp_path / "kernels" / "cuda" / "leaky.py").write_text(NEW_LAUNCHER)
    command = [sys.executable, "-c", NEW_TEST]
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{tests}"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.stdout == "[('leaky_relu', 'cuda')] 2 True 1.0\n", done.stdout + done.stderr


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


def test_a_named_tuple_becomes_a_struct():
    constants = backend.struct(update.RMSprop(0.1, 0.9, 0.1, 0.0, 1e-7, True))
    assert constants.size == 1 and constants.dtype.itemsize == 24 and constants["centered"] == [1]
    assert constants.dtype.names == ("rate", "rho", "rest", "mu", "epsilon", "centered")
    for wide in (2**31, np.int64(2**31)):
        with pytest.raises(OverflowError):
            backend.struct(matmul.Plan(wide, *[0] * 5))


def test_a_launch_takes_no_strided_array():
    with pytest.raises(ValueError, match="contiguous"):
        backend._argument(np.ones((3, 4), np.float32)[:, ::2])
    assert backend._argument(3).dtype == np.int32 and backend._argument(3.0).dtype == np.float32
    with pytest.raises(OverflowError):
        backend._argument(2**31)


# ---- products and sums that ops reach with large arrays only ---------------------------------------------------


@pytest.mark.parametrize("tile", ["SMALL", "MIDDLE", "LARGE"])
@given(data=st.data())
@settings(max_examples=max(4, EXAMPLES // 3 + 1))  # of three tiles
def test_product_of_every_tile(tile, data):
    properties.product_is_exact(tile, data)


@given(data=st.data())
@examples
def test_foreign_ids_read_nothing(data):
    properties.foreign_ids_read_nothing(data)


@given(data=st.data())
@examples
def test_sum_of_rows(data):
    properties.rows_are_summed(data)


@given(data=st.data())
@examples
def test_sum_of_pieces(data):
    properties.pieces_are_summed(data)


# ---- the staircase -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stair", matmul.STAIRCASE)
@given(data=st.data())
@examples
def test_staircase(stair, data):
    properties.stair_is_right(stair, data)


@pytest.mark.parametrize("stair", matmul.STAIRCASE)
def test_staircase_lets_nan_through(stair):
    a, b = numbers(0, [(33, 17), (17, 35)], whole=True)
    a[32, 16] = np.nan
    c = matmul.staircase(stair, a, b)
    assert np.isnan(c[32]).all() and np.isfinite(c[:32]).all()


def test_3xtf32_keeps_the_last_bits_of_long_sums(monkeypatch, tmp_path):
    properties.long_sums_keep_their_last_bits()
    text = (HERE / "matmul_09_tf32.cu").read_text()
    inside = re.sub(r"float part\[4\] = \{\};(.*)", "float *part = sum[i][j];", text).replace("sum[i][j][e] += part[e]", ";")
    assert inside.count("part") == 4 and "part[" not in inside  # planted: the running sum stays in the tensor core
    (tmp_path / "matmul_09_tf32.cu").write_text(inside)
    monkeypatch.setattr(programs, "HERE", tmp_path)
    backend._emulated_module.cache_clear()
    with pytest.raises(AssertionError, match=r"3xtf32: an error of \d\S* times its bound"):
        properties.long_sums_keep_their_last_bits()
    backend._emulated_module.cache_clear()


def test_no_kernel_is_older_than_its_headers(monkeypatch, tmp_path):
    """CuPy's cache of compiled kernels sees the options, and no header."""
    seen = set()
    for text in ("// one", "// two", "// one"):
        (tmp_path / "a.cuh").write_text(text)
        monkeypatch.setattr(programs, "HERE", tmp_path)
        seen.add(programs.options((("BM", 64),)))
    assert len(seen) == 2 and all({"-DBM=64", "-ftz=true"} <= set(options) for options in seen)


def test_3xtf32_makes_nan_of_infinity():
    """As its file says: the rest of an infinity is infinity minus infinity. The other kernels keep it."""
    a, b = numbers(0, [(33, 17), (17, 35)], whole=True)
    a[32, 16], b[16] = np.inf, 1
    for stair in matmul.STAIRCASE:
        row = matmul.staircase(stair, a, b)[32]
        assert (np.isnan(row) if stair == "3xtf32" else row == np.inf).all(), stair


# ---- how they use memory: what the comments in the .cu files and the lessons say -----------------------------------


def counters_of(run, *arguments):
    """How a call uses memory: [LineCounter] of all its launches."""
    with profile() as launches:
        run(*arguments)
    return [counter for launch in launches for counter in launch.counters]


def excess(counters):
    """The arrays in shared memory whose accesses have bank conflicts."""
    return {c.array for c in counters if c.shared and c.excess}


SQUARE = [np.ones((128, 32), np.float32), np.ones((32, 128), np.float32)]


def test_coalescing_makes_32_transactions_one():
    (naive,) = (c for c in counters_of(matmul.staircase, "naive", *SQUARE) if c.array == "a")
    (coalesced,) = (c for c in counters_of(matmul.staircase, "coalesced", *SQUARE) if c.array == "a")
    assert naive.per_request == 32 and coalesced.per_request == 1
    (b,) = (c for c in counters_of(matmul.staircase, "coalesced", *SQUARE) if c.array == "b")
    assert b.per_request == b.ideal / b.requests == 4


def test_each_stair_reads_less_often():
    """Requests of the inner loop per product: global memory 2, then 2/32; shared memory 2, (TM + 1) / TM, 2 / TM, 2 / 4 TM."""
    products = 128 * 128 * 32 / 32  # a request is a warp's

    def requests(stair, shared):
        counters = counters_of(matmul.staircase, stair, *SQUARE)
        return sum(c.requests for c in counters if c.access == "read" and c.shared == shared) / products

    assert requests("coalesced", False) == 2 and requests("shared", False) == 2 / 32
    assert [requests(stair, True) for stair in ("shared", "column", "square", "float4")] == [2, 9 / 8, 2 / 8, 2 / 32]


def test_bank_conflicts_are_where_the_files_say():
    conflicts = {stair: excess(counters_of(matmul.staircase, stair, *SQUARE)) for stair in matmul.STAIRCASE}
    assert conflicts.pop("square") == {"a_tile", "b_tile"}
    assert conflicts.pop("float4") == {"a_tile", "b_tile"}
    for stair in ("async", "tf32", "3xtf32", "bf16"):  # rows are padded for the reads; two writes at a time share banks
        assert conflicts.pop(stair) == {"a_tile"}
    assert set().union(*conflicts.values()) == set()


@pytest.mark.parametrize("tile", ["SMALL", "MIDDLE", "LARGE"])
@pytest.mark.parametrize("orders", ["CC", "CF", "FC", "FF"])
def test_the_product_has_neither_bank_conflicts_nor_scattered_accesses(tile, orders, monkeypatch):
    monkeypatch.setattr(matmul, "tile_for", lambda rows, columns: getattr(matmul, tile))
    counters = counters_of(matmul.product, *(a.copy(order) for a, order in zip(SQUARE, orders, strict=True)))
    assert all(c.excess == 0 for c in counters)


def test_convolution_has_no_bank_conflicts():
    x, w = np.ones((2, 18, 18, 32), np.float32), np.ones((3, 3, 32, 64), np.float32)
    assert excess(counters_of(convolution.correlate2d_forward, x, w)) == set()


# ---- in models -----------------------------------------------------------------------------------------------------


def image_model():
    """The document's CNN, small."""
    layers = tinydx.layers
    images = np.random.default_rng(0).random((6, 10, 10, 3), np.float32)
    return images, [
        layers.Conv2D(4, (3, 3), activation="relu", input_shape=(10, 10, 3)),
        layers.MaxPooling2D((2, 2)),
        layers.Flatten(),
        layers.Dense(8, activation="relu"),
        layers.Dense(1, activation="sigmoid"),
    ]


def word_model():
    """Words, a recurrent layer, a diagnosis."""
    layers = tinydx.layers
    words = np.random.default_rng(0).integers(0, 9, (6, 4))
    return words, [layers.Embedding(9, 5), layers.SimpleRNN(7), layers.Dense(1, activation="sigmoid")]


@pytest.mark.parametrize(
    ("make", "by_kernels"),
    [
        (image_model, {"correlate2d_relu_max_pool2d", "dense_relu", "dense", "adam_update"}),
        (word_model, {"embedding", "simple_rnn", "dense", "adam_update"}),
    ],
)
def test_training_is_that_of_the_reference(make, by_kernels):
    x, _ = make()
    y = (np.arange(len(x)) % 2).astype(np.float32)[:, None]
    results = {}
    for backend_name in ("cuda", "numpy"):
        tinydx.set_seed(0)
        model = tinydx.models.Sequential(make()[1])
        model.compile(optimizer="adam", loss="binary_crossentropy")
        with tinydx.use(backend_name), tinydx.trace() as ran:
            losses = [model.train_on_batch(x, y) for _ in range(3)]
        results[backend_name] = losses, model.get_weights()
        if backend_name == "cuda":
            assert by_kernels <= {name for name, by in ran if by == "cuda"}
    np.testing.assert_allclose(results["cuda"][0], results["numpy"][0], rtol=1e-5)
    for k, (ours, reference) in enumerate(zip(results["cuda"][1], results["numpy"][1], strict=True)):
        assert_close(f"weights {k}", ours, reference, 1e-4)  # Adam divides by gradients that may be nearly zero
