"""The CUDA kernels on a real GPU, through CuPy: `pytest -m gpu`. The cases are those of the emulator's tests.

TINYDX_GPU=emulated runs these tests on the CuPy of emulated_cupy.py, with few examples each. This tests the tests themselves
where there is no GPU.
"""

import os
import sys

import numpy as np
import pytest
from cuda_cases import KERNELS, LINEAR, as_made, assert_within, both_ways, draw_case, numbers
from hypothesis import given, settings
from hypothesis import strategies as st
from training_cases import MODELS, assert_same, captured, compiled, trained

import tinydx
from tinydx.bench import subjects
from tinydx.op import TABLE, RandomDraw

EMULATED = os.environ.get("TINYDX_GPU") == "emulated"
if EMULATED:
    import emulated_cupy

    sys.modules["cupy"] = emulated_cupy
cupy = pytest.importorskip("cupy", reason="the GPU tests need CuPy: pip install 'tinydx[cuda13]'")
try:
    cupy.cuda.runtime.getDeviceCount()
except cupy.cuda.runtime.CUDARuntimeError as error:
    pytest.skip(f"no GPU: {error}", allow_module_level=True)

import cuda_properties as properties  # noqa: E402

from tinydx_kernels.cuda import matmul  # noqa: E402

pytestmark = pytest.mark.gpu
examples = settings(max_examples=1 if EMULATED else 25)


# ---- training ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("make", MODELS)
def test_losses_and_weights_are_those_of_numpy(make, graph):
    assert_same(trained(make, "cuda", graph), trained(make, "numpy"))


@pytest.mark.parametrize("make", MODELS)
def test_a_replayed_graph_gives_the_same_bits(make):
    eager, replayed = trained(make, "cuda", graph=False), trained(make, "cuda", graph=True)
    assert eager[0] == replayed[0]
    for a, b in zip(eager[1], replayed[1], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("make", MODELS)
def test_every_model_is_captured(make):
    """A capture allows no transfer to or from the CPU, so the training step has none."""
    model, x, y = compiled(make)
    with tinydx.use("cuda"):
        model.fit(x, y, batch_size=len(x), epochs=3, verbose=0)
    assert captured(model) == [True]


def test_the_documents_step_is_that_of_the_cpu():
    """Loss and weights after one step on images of 150 x 150."""
    size = 22 if EMULATED else 150
    rng, results = np.random.default_rng(0), {}
    x, y = rng.random((8, size, size, 3), np.float32), np.array([[0], [1]] * 4, np.float32)
    for backend in ("cuda", "numpy"):
        tinydx.set_seed(0)
        model = subjects.document(x.shape[1:])
        model.compile("adam", "binary_crossentropy")
        with tinydx.use(backend):
            results[backend] = [model.train_on_batch(x, y)], model.get_weights()
    assert_same(*results.values())


# ---- kernels -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KERNELS)
@given(data=st.data())
@examples
def test_kernel_equals_reference(name, data):
    properties.equals_reference(name, data, cupy.asarray)


@pytest.mark.parametrize("name", sorted(LINEAR))
@given(data=st.data())
@examples
def test_kernel_is_exact_on_whole_numbers(name, data):
    properties.is_exact(name, data, cupy.asarray)


@pytest.mark.parametrize("name", [name for name in KERNELS if not name.endswith("_update")])
@given(data=st.data())
@examples
def test_infinity_and_nan_come_through(name, data):
    properties.lets_specials_through(name, data, cupy.asarray)


@pytest.mark.parametrize("stair", matmul.STAIRCASE)
@given(data=st.data())
@examples
def test_staircase_at_its_edges(stair, data):
    properties.stair_is_right(stair, data, cupy.asarray)


@pytest.mark.parametrize("name", KERNELS)
def test_same_bits_again(name):
    @given(data=st.data())
    @settings(max_examples=1 if EMULATED else 5)
    def run(data):
        arrays, constants = draw_case(name, data, whole=False)
        first = both_ways(name, arrays, constants, 0, False, cupy.asarray)
        again = both_ways(name, arrays, constants, 0, False, cupy.asarray)
        for (what, a, _), (_, b, _) in zip(first, again, strict=True):
            np.testing.assert_array_equal(a, b, err_msg=what)

    run()


@pytest.mark.parametrize("name", KERNELS)
def test_cupy_arrays_choose_the_cuda_kernel(name):
    for seed in range(20):
        arrays, constants = TABLE[name].samples(RandomDraw(seed))
        arrays = tuple(cupy.asarray(a, np.float32) for a in arrays)
        if TABLE[name].kernels["cuda"].supports(*arrays, **constants):
            with tinydx.trace() as ran:
                TABLE[name](*arrays, **constants)
            assert ran == [(name, "cuda")]
            return
    raise AssertionError(f"{name}: no sample of the op is supported")


@pytest.mark.parametrize("stair", matmul.STAIRCASE)
@pytest.mark.parametrize(
    "shape", [(33, 65, 17)] if EMULATED else [(128, 128, 128), (1000, 1001, 999), (1, 4097, 33), (2048, 512, 1024)]
)
def test_staircase(stair, shape):
    m, n, k = shape
    a, b = numbers(0, [(m, k), (k, n)], whole=True)
    c = matmul.staircase(stair, cupy.asarray(a), cupy.asarray(b))
    np.testing.assert_array_equal(c.get(), a.astype(np.float64) @ b)


@pytest.mark.parametrize("stair", properties.OPERANDS)
def test_tensor_cores_are_as_exact_as_their_bound(stair):
    a, b = numbers(1, [(50, 70), (70, 30)] if EMULATED else [(500, 4096), (4096, 300)], whole=False)
    c = matmul.staircase(stair, cupy.asarray(a), cupy.asarray(b))
    assert_within(stair, c.get(), a.astype(np.float64) @ b, properties.error_bound(stair, a, b))


def test_3xtf32_keeps_the_last_bits_of_long_sums():
    properties.long_sums_keep_their_last_bits(cupy.asarray, 256 if EMULATED else 4096)


def test_arrays_of_two_devices_run_on_the_reference():
    kernel = TABLE["dense"].kernels["cuda"]
    x, w = numbers(0, [(2, 3), (3, 4)], whole=True)
    assert kernel.supports(cupy.asarray(x), cupy.asarray(w))
    assert not kernel.supports(as_made(x), cupy.asarray(w))
