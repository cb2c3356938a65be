"""Every Numba kernel of the op table against its NumPy reference.

Each kernel is found in the table and tested on the samples of its own file, drawn by Hypothesis, in arrays of various
memory layouts. The reference runs in float64 on the same float32 inputs. A new kernel needs no line in this file.
"""

import ctypes
import ctypes.util
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from draws import HypothesisDraw
from hypothesis import assume, given, settings
from hypothesis import strategies as st

numba = pytest.importorskip("numba", reason="the CPU kernels need numba: pip install numba")

import tinydx  # noqa: E402
from tinydx import layers  # noqa: E402
from tinydx.dispatch import gradients_of, load_kernels  # noqa: E402
from tinydx.factored import FactoredGradient, multiplied_out  # noqa: E402
from tinydx.models import Sequential  # noqa: E402
from tinydx.op import TABLE, RandomDraw  # noqa: E402

assert load_kernels("numba") is None
from tinydx_kernels.cpu.simd import SIZES  # noqa: E402

KERNELS = sorted(name for name, op in TABLE.items() if "numba" in op.kernels)
POOLED = [
    "conv2d_relu_max_pool2d",
    "correlate2d_relu_max_pool2d",
]  # rounding decides between pixels: see their own tests
UNAMBIGUOUS = [name for name in KERNELS if name not in POOLED]
counts = st.sampled_from(SIZES)
ROOT = Path(__file__).parents[1]
FEW = settings(max_examples=20)  # also in the profile proof: test_kernel_equals_reference searches shapes


# ---- inputs --------------------------------------------------------------------------------------------------------


def numbers(seed, shapes, whole=False):
    """float32 arrays of these shapes (None stays None): normal, or small whole numbers, where sums are exact."""
    draw = RandomDraw(seed, whole)
    return tuple(None if shape is None else draw.array(*shape).astype(np.float32) for shape in shapes)


def contiguous(a):
    return np.ascontiguousarray(a)


def reversed_view(a):
    return contiguous(a[::-1])[::-1] if a.ndim else a


def fortran(a):
    return np.asfortranarray(a)


def every_second(a):
    wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
    wide[..., ::2] = a
    return wide[..., ::2]


def misaligned(a):
    raw = np.zeros(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
    raw[...] = a
    return raw


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


disguises = st.sampled_from([contiguous, reversed_view, fortran, every_second, misaligned, read_only])


# ---- samples -------------------------------------------------------------------------------------------------------


def draw_case(name, data, whole=False):
    """Arrays and constants that the kernel supports, each array in a drawn memory layout."""
    op, kernel = TABLE[name], TABLE[name].kernels["numba"]
    drawn, constants = kernel.samples(HypothesisDraw(data, whole))
    arrays = [None if a is None else data.draw(disguises)(a.astype(np.float32)) for a in drawn]
    if kernel.samples is op.samples:  # a kernel supports all of its own samples, and some of its op's
        assume(kernel.supports(*arrays, **constants))
    return arrays, constants


@st.composite
def large_convolution_shapes(draw):
    """Many pixels, many weights, many images: sizes at which a convolution switches between algorithms."""
    k, stride, padding = draw(st.sampled_from([1, 3, 5])), draw(st.sampled_from([1, 2])), draw(st.sampled_from(["valid", "same"]))
    c, f = draw(st.sampled_from([(256, 257), (130, 128), (64, 256), (3, 40), (1, 6), (20, 50)]))
    n, size = draw(st.sampled_from([(1, 7), (3, 14)] if c > 60 else [(1, 70), (3, 47), (7, 29)]))
    return ((n, size, size + 1, c), (k, k, c, f), (f,)), {"stride": stride, "padding": padding}


# ---- comparing -----------------------------------------------------------------------------------------------------


def outputs(y):
    return y if isinstance(y, tuple) else (y,)


def like(y, dys):
    """The gradients of the outputs as backward takes them."""
    return dys if isinstance(y, tuple) else dys[0]


def float64(arrays):
    return tuple(None if a is None else a.astype(np.float64) for a in arrays)


def both_ways(name, arrays, constants, dy_seed, whole=False):
    """[(what, kernel's result, reference's result in float64)] of forward and backward."""
    op, kernel = TABLE[name], TABLE[name].kernels["numba"]
    assert kernel.supports(*arrays, **constants)
    y, saved = kernel.forward(*arrays, **constants)
    expected, expected_saved = op.forward(*float64(arrays), **constants)
    results = [(f"output {k}", *pair) for k, pair in enumerate(zip(outputs(y), outputs(expected), strict=True))]
    if op.backward:
        dys = numbers(dy_seed, [part.shape for part in outputs(y)], whole)
        needs = (True,) * len(arrays)
        got = gradients_of(kernel, like(y, dys), saved, needs)
        want = gradients_of(op.reference, like(y, float64(dys)), expected_saved, needs)
        for argument, a, g, w in zip(op.arrays, arrays, got, want, strict=False):
            if a is not None:
                results.append((f"gradient of {argument}", multiplied_out(g), w))
    for what, got, want in results:
        assert got.dtype == np.float32, what
        assert got.shape == want.shape, what
    return results


def stays_whole(name):
    """Whether the op and its gradients make whole numbers of whole numbers: then a kernel's sums must be exact."""
    op = TABLE[name]
    for seed in range(20):
        draw = RandomDraw(seed, whole=True)
        arrays, constants = op.samples(draw)
        y, saved = op.forward(*arrays, **constants)
        results = outputs(y)
        if op.backward:
            dys = tuple(draw.array(*part.shape) for part in results)
            results += tuple(gradients_of(op.reference, like(y, dys), saved, (True,) * len(arrays)))
        if any((result % 1).any() for result in results if result is not None):
            return False
    return True


def assert_close(what, got, want, tolerance):
    """Within `tolerance` of the largest number: a sum of many terms is as exact as its terms are large."""
    scale = max(1.0, float(np.abs(want[np.isfinite(want)]).max(initial=0)))
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * scale, err_msg=what)


@contextmanager
def winograd(on):
    """Switch the fast 3x3 convolution, which rounds, on (for few channels and windows, too) or off."""
    from tinydx_kernels.cpu import convolution

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convolution, "winograd", on)
        patch.setattr(convolution, "FEW_CHANNELS", 1)
        patch.setattr(convolution, "MANY_WINDOWS", 1)
        yield


# ---- the tests -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KERNELS)
def test_kernel_supports_its_samples(name):
    """All of its own, or some of its op's: otherwise the tests below would test nothing."""
    kernel, supported = TABLE[name].kernels["numba"], 0
    for seed in range(20):
        drawn, constants = kernel.samples(RandomDraw(seed))
        supported += kernel.supports(*(None if a is None else a.astype(np.float32) for a in drawn), **constants)
    assert supported == 20 or (kernel.samples is TABLE[name].samples and supported)


BROKEN_FILE = """
import pkgutil, types
import numpy as np, tinydx
found = pkgutil.iter_modules
pkgutil.iter_modules = lambda *args: [*found(*args), types.SimpleNamespace(name="no_such_file")]
tinydx.ops.relu(np.ones(3, np.float32))
"""


def test_a_kernel_file_that_cannot_be_imported_is_an_error():
    """An ImportError would let every op run on NumPy silently, as if Numba were missing."""
    done = subprocess.run([sys.executable, "-c", BROKEN_FILE], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "RuntimeError: kernels/cpu/no_such_file.py cannot be imported: No module named" in done.stderr


@pytest.mark.parametrize("name", UNAMBIGUOUS)
@given(data=st.data())
def test_kernel_equals_reference(name, data):
    arrays, constants = draw_case(name, data)
    for result in both_ways(name, arrays, constants, data.draw(st.integers(0, 999))):
        assert_close(*result, tolerance=1e-5)


@contextmanager
def shared_out():
    """Let every kernel wake all threads, however small its work is."""
    with pytest.MonkeyPatch.context() as patch:
        for name, module in sys.modules.items():
            if name.startswith("tinydx_kernels.cpu.") and not name.endswith(".memory"):
                for limit in {"SMALL", "WORTH_WAKING", "SHORT"} & vars(module).keys():
                    patch.setattr(module, limit, 0)
        yield


@pytest.mark.parametrize("name", UNAMBIGUOUS)
@FEW
@given(data=st.data())
def test_kernel_equals_reference_on_all_threads(name, data):
    arrays, constants = draw_case(name, data)
    with shared_out():
        results = both_ways(name, arrays, constants, data.draw(st.integers(0, 999)))
    for result in results:
        assert_close(*result, tolerance=1e-5)


@given(shapes=large_convolution_shapes(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=12)
def test_large_convolutions_equal_the_reference(shapes, seed):
    arrays, constants = numbers(seed, shapes[0]), shapes[1]
    for result in both_ways("correlate2d", arrays, constants, 0):
        assert_close(*result, tolerance=1e-5)


SIGNALLING, INVALID = 0x7FA00000, 1  # a NaN that sets this flag of the processor when it is computed with; its bit in <fenv.h>


@pytest.fixture
def few_buffers():
    """The memory that earlier tests left behind is dropped: poison() would write into all of it, again and again."""
    from tinydx_kernels.cpu.memory import arena

    arena._forget(arena.kept)


def poison():
    """Write a signalling NaN everywhere into the memory that the next results and scratch will lie in."""
    from tinydx_kernels.cpu.memory import arena

    for size, buffers in arena.buffers.items():
        for k in range(len(buffers)):
            if arena._references(buffers, k) == arena.idle:
                buffers[k][: size // 4 * 4].view(np.uint32)[:] = SIGNALLING


def computes_with_leftovers(call):
    """Whether a call, repeated in poisoned memory, computes with a number that it has not written."""
    flags = ctypes.CDLL(ctypes.util.find_library("m"))
    call()
    poison()
    flags.feclearexcept(INVALID)
    call()
    return bool(flags.fetestexcept(INVALID))


@pytest.mark.usefixtures("few_buffers")
@pytest.mark.parametrize("name", [name for name in KERNELS if TABLE[name].backward])
def test_no_kernel_computes_with_leftovers_in_memory(name):
    """Results that are not used do no harm, but numbers below 1e-38 do: with them some processors took 8 times as long."""
    kernel, before = TABLE[name].kernels["numba"], tinydx.get_threads()
    tinydx.set_threads(1)  # the flags are those of this thread
    try:
        for seed in range(12):
            draw = RandomDraw(seed)
            arrays, constants = kernel.samples(draw)
            arrays = tuple(None if a is None else np.float32(a) for a in arrays)
            y, saved = kernel.forward(*arrays, **constants)
            dy = like(y, tuple(np.float32(draw.array(*part.shape)) for part in outputs(y)))
            assert not computes_with_leftovers(lambda: kernel.forward(*arrays, **constants)), seed  # noqa: B023
            assert not computes_with_leftovers(lambda: gradients_of(kernel, dy, saved, (True,) * len(arrays))), seed  # noqa: B023
    finally:
        tinydx.set_threads(before)


def holds_results_of_poison():
    """Whether the memory of kernels holds a NaN that is not a signalling one any more, as it is after an operation.

    (Where functions of NumPy follow a kernel, they clear the flag that `computes_with_leftovers` asks for.)
    """
    from tinydx_kernels.cpu.memory import arena

    words = (buffer[: size // 4 * 4].view(np.uint32) for size, buffers in arena.buffers.items() for buffer in buffers)
    return any((((w & 0x7FFFFFFF) > 0x7F800000) & (w != SIGNALLING)).any() for w in words)


@pytest.mark.usefixtures("few_buffers")
@pytest.mark.parametrize(
    ("kernel", "channels", "filters"),
    [((3, 3), 64, 64), ((3, 3), 20, 33), ((3, 3), 16, 130), ((3, 3), 65, 130), ((5, 5), 64, 64), ((5, 5), 32, 17)],
)
def test_winograd_does_not_compute_with_leftovers(kernel, channels, filters):
    """Samples, being small, seldom choose it."""
    from tinydx_kernels.cpu.simd import LANES

    if LANES == 0:
        pytest.skip("Winograd's kernels are written with vectors only")
    correlate2d = TABLE["correlate2d"].kernels["numba"]
    x, w, dy = numbers(0, [(2, 10, 11, channels), (*kernel, channels, filters), (2, 10, 11, filters)])
    with winograd(True):
        for _ in range(2):  # first in new memory
            poison()
            _, saved = correlate2d.forward(x, w, padding="same")
            correlate2d.backward(dy, saved)
    assert not holds_results_of_poison()


DIRECT = {
    "FEW": 0,
    "MANY_TOTALS": 1 << 40,
    "MODERATE": 0,
    "suits_planes": lambda *shapes: False,
    "fastest_dx": lambda *shapes: None,
    "collects_planes": lambda *shapes: False,
}
PLANES = {
    "suits_planes": lambda *shapes: True,
    "fastest_dx": lambda *shapes: sys.modules["tinydx_kernels.cpu.planes"],
    "collects_planes": lambda *shapes: True,
}
WAYS = {  # limits in convolution.py, columns.py, depthwise.py and planes.py that force one algorithm on every shape it supports
    "columns": {"FEW": 1 << 40, "MANY_WEIGHTS": 0, "MANY_TOTALS": 0, "CHUNK": 3000},
    "direct": DIRECT,
    "planes": DIRECT | PLANES,
    "planes, a row at a time": DIRECT | PLANES | {"BUDGET": 1, "IN_L1": 1},
    "several threads": {"SMALL": 0, "WORTH_WAKING": 0},
    "one thread": {"SMALL": 1 << 60, "WORTH_WAKING": 1 << 60},
}


@pytest.mark.parametrize("way", WAYS)
@given(data=st.data())
def test_every_way_of_a_convolution_is_exact_on_whole_numbers(way, data):
    from tinydx_kernels.cpu import columns, convolution, depthwise, planes
    from tinydx_kernels.cpu.simd import LANES

    if LANES == 0 and way.startswith("planes"):
        pytest.skip("planes.py is written with vectors only")
    arrays, constants = draw_case("correlate2d", data, whole=True)
    with pytest.MonkeyPatch.context() as patch, winograd(False):
        for module in (columns, convolution, depthwise, planes):
            for limit, value in WAYS[way].items():
                if hasattr(module, limit):
                    patch.setattr(module, limit, value)
        results = both_ways("correlate2d", arrays, constants, data.draw(st.integers(0, 999)), whole=True)
    for what, got, want in results:
        np.testing.assert_array_equal(got, want, err_msg=what)


@given(run=st.integers(1, 100))
def test_blocks_of_dw_read_what_lies_in_their_run(run):
    """All but the only block of a short run, whose band is copied."""
    from tinydx_kernels.cpu.convolution import HALF, QUARTER, ROWS, THREE, moved_back

    for k in range(0, run, ROWS):
        rows = next(rows for rows in (QUARTER, HALF, THREE, ROWS) if rows >= min(ROWS, run - k))
        first = k - moved_back.py_func(k, run)
        assert 0 <= first <= k
        assert first + rows == max(rows, min(run, k + ROWS))


STAY_WHOLE = [name for name in KERNELS if stays_whole(name)]


def test_linear_ops_stay_whole():
    """The next test must include them."""
    linear = {"conv2d", "correlate2d", "dense", "embedding", "matmul", "max_pool2d", "relu", "rnn_output"}
    fused = {"conv2d_relu", "correlate2d_relu", "dense_relu", *POOLED}
    assert linear | fused <= set(STAY_WHOLE) and "tanh" not in STAY_WHOLE


@pytest.mark.parametrize("name", STAY_WHOLE)
@given(data=st.data())
def test_kernel_is_exact_on_whole_numbers(name, data):
    arrays, constants = draw_case(name, data, whole=True)
    with winograd(False):
        results = both_ways(name, arrays, constants, data.draw(st.integers(0, 999)), whole=True)
    for what, got, want in results:
        np.testing.assert_array_equal(got, want, err_msg=what)


@pytest.mark.parametrize("name", UNAMBIGUOUS)
@FEW
@given(seed=st.integers(0, 2**32 - 1))
def test_kernel_on_the_samples_of_its_op(name, seed):
    arrays, constants = TABLE[name].samples(RandomDraw(seed))
    arrays = tuple(a.astype(np.float32) for a in arrays)
    if TABLE[name].kernels["numba"].supports(*arrays, **constants):
        for result in both_ways(name, arrays, constants, seed):
            assert_close(*result, tolerance=1e-5)


@pytest.mark.parametrize("name", UNAMBIGUOUS)
@FEW
@given(data=st.data())
def test_infinity_and_nan_come_through(name, data):
    arrays, constants = draw_case(name, data, whole=True)
    arrays[0] = arrays[0].copy()
    special = data.draw(st.sampled_from([np.inf, -np.inf, np.nan]))
    arrays[0].flat[data.draw(st.integers(0, arrays[0].size - 1))] = special
    with np.errstate(all="ignore"):
        for what, got, want in both_ways(name, arrays, constants, data.draw(st.integers(0, 999)), whole=True):
            np.testing.assert_array_equal(np.isnan(got), np.isnan(want), err_msg=what)
            assert_close(what, got, want, 1e-5)


@pytest.mark.parametrize("name", KERNELS)
def test_float64_complex_and_empty_arrays_run_on_the_reference(name):
    arrays, constants = TABLE[name].samples(RandomDraw(0))
    supports = TABLE[name].kernels["numba"].supports
    assert not supports(*arrays, **constants)
    assert not supports(*(a.astype(complex) for a in arrays), **constants)
    assert not supports(*(a.astype(">f4") for a in arrays), **constants)
    assert not supports(*(a.astype(np.float32)[:0] for a in arrays), **constants)
    with tinydx.trace() as ran:
        y = TABLE[name](*arrays, **constants)
    assert ran == [(name, "numpy")]
    for got, want in zip(outputs(y), outputs(TABLE[name].forward(*arrays, **constants)[0]), strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("name", KERNELS)
def test_kernel_runs_through_the_op(name):
    for seed in range(20):
        arrays, constants = TABLE[name].samples(RandomDraw(seed))
        arrays = tuple(a.astype(np.float32) for a in arrays)
        if TABLE[name].kernels["numba"].supports(*arrays, **constants):
            with tinydx.use("numba", strict=True), tinydx.trace() as ran:
                TABLE[name](*arrays, **constants)
            assert ran == [(name, "numba")]
            return
    raise AssertionError(f"{name}: no sample of the op is supported")


@pytest.mark.parametrize("name", KERNELS)
@FEW
@given(data=st.data())
def test_same_bits_again_and_inputs_untouched(name, data):
    arrays, constants = draw_case(name, data)
    before = [None if a is None else a.copy() for a in arrays]
    first = both_ways(name, arrays, constants, 0)
    again = both_ways(name, arrays, constants, 0)
    for (what, a, _), (_, b, _) in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=what)
    for a, b in zip(arrays, before, strict=True):
        if a is not None:
            np.testing.assert_array_equal(a, b)


def results_of(name, arrays, constants):
    """Everything that a kernel gives: outputs, and gradients for one fixed dy."""
    op, kernel = TABLE[name], TABLE[name].kernels["numba"]
    y, saved = kernel.forward(*arrays, **constants)
    results = list(outputs(y))
    if op.backward:
        dys = numbers(7, [part.shape for part in outputs(y)])
        gradients = gradients_of(kernel, like(y, dys), saved, (True,) * len(arrays))
        results += [multiplied_out(g) for g in gradients if g is not None]
    return [result.copy() for result in results]


@pytest.mark.parametrize("rubbish", [3e38, 1e38, np.nan])
@pytest.mark.parametrize("name", KERNELS)
def test_memory_that_was_never_written_does_not_matter(name, rubbish, monkeypatch):
    """New arrays hold rubbish: neither a result nor a warning (of an overflow in its sum) may come from it."""
    from tinydx_kernels.cpu import memory

    kernel, cases = TABLE[name].kernels["numba"], []
    for seed in range(60):
        drawn, constants = kernel.samples(RandomDraw(seed))
        arrays = [None if a is None else a.astype(np.float32) for a in drawn]
        if kernel.supports(*arrays, **constants):
            cases.append((arrays, constants, results_of(name, arrays, constants)))

    def poisoned(shape, dtype=np.float32):
        a = memory.aligned_empty(shape, dtype)
        a.fill(rubbish if a.dtype.kind == "f" else 1)
        return a

    for module_name, module in list(sys.modules.items()):
        if module_name.startswith("tinydx_kernels.cpu.") and module is not memory and hasattr(module, "aligned_empty"):
            monkeypatch.setattr(module, "aligned_empty", poisoned)
    assert cases
    for arrays, constants, expected in cases:
        for got, want in zip(results_of(name, arrays, constants), expected, strict=True):
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("name", UNAMBIGUOUS)
@FEW
@given(data=st.data())
def test_one_thread_computes_the_same(name, data):
    arrays, constants = draw_case(name, data)
    many = both_ways(name, arrays, constants, 0)
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        one = both_ways(name, arrays, constants, 0)
    finally:
        numba.set_num_threads(threads)
    for (what, a, _), (_, b, _) in zip(many, one, strict=True):
        assert_close(what, a, b, 1e-5)


@pytest.mark.parametrize(("shape", "dtype"), [((30, 50), np.float32), (7, np.uint8), ((), np.float64)])
def test_aligned_empty_starts_a_cache_line_unless_it_is_small(shape, dtype):
    from tinydx_kernels.cpu.memory import SMALL, aligned_empty

    for _ in range(20):
        a = aligned_empty(shape, dtype)
        assert a.nbytes < SMALL or a.ctypes.data % 64 == 0
        assert a.shape == np.empty(shape).shape and a.dtype == dtype
        assert a.flags.carray
        a[...] = 1


def test_arena_reuses_memory_only_after_its_last_view_is_gone():
    from tinydx_kernels.cpu.memory import aligned_empty

    size = (70_001, 3)  # a size that nothing else uses
    first = aligned_empty(size)
    place, view = first.ctypes.data, first[5:7].T
    second = aligned_empty(size)
    assert not np.shares_memory(first, second)
    del first
    assert not np.shares_memory(view, aligned_empty(size))
    del view
    assert aligned_empty(size).ctypes.data == place


PAGES = 1 << 16  # the size of an array that leaks in a test: whole pages of memory


def resident():
    """Resident memory of this process in bytes; 0 where the system does not report it."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0


def growth(step, steps, settling=10):
    """Names of the sizes that grow during `steps` calls of `step`, after `settling` calls in which they may."""
    from tinydx_kernels.cpu import memory

    def now():
        buffers = sum(map(len, memory.arena.buffers.values()))
        return {"bytes of the arena": memory.arena.kept, "buffers": buffers, "memory of the process": resident()}

    for _ in range(settling):
        step()
    before = now()
    for _ in range(steps):
        step()
    slack = {"memory of the process": steps * PAGES // 10}
    return {name for name, size in now().items() if size > before[name] + slack.get(name, 0)}


@pytest.fixture
def new_arena(monkeypatch):
    """An empty arena."""
    from tinydx_kernels.cpu import memory

    monkeypatch.setattr(memory, "arena", memory.Arena())
    return memory.arena


def test_memory_does_not_grow_over_a_thousand_steps(new_arena):
    pooled = [layers.Input((20, 20, 3)), layers.Conv2D(16, 3, activation="relu"), layers.MaxPooling2D()]
    dense = [layers.Flatten(), layers.Dense(32, activation="relu"), layers.Dense(1, activation="sigmoid")]
    model = Sequential([*pooled, *dense])
    model.compile("adam", "binary_crossentropy")
    (x,) = numbers(0, [(16, 20, 20, 3)])
    assert growth(lambda: model.train_on_batch(x, np.ones((16, 1), np.float32)), steps=1000) == set()
    assert new_arena.kept > 0


def test_a_leak_is_detected(new_arena):
    from tinydx_kernels.cpu.memory import aligned_empty

    kept = []
    assert growth(lambda: kept.append(aligned_empty(PAGES)), steps=3) >= {"bytes of the arena", "buffers"}
    if resident():  # each larger than any memory that another test freed
        assert growth(lambda: kept.append(np.ones(5_000_000)), steps=3, settling=1) == {"memory of the process"}


def test_arena_keeps_no_more_than_its_limit():
    from tinydx_kernels.cpu.memory import Arena

    arena = Arena(limit=1000)
    held = [arena.take(size) for size in (400, 400, 300, 600, 2000)]
    assert arena.kept <= 1000 and [len(b) for b in held] == [400, 400, 300, 600, 2000]
    assert len({b.ctypes.data for b in held}) == 5


# ---- fused kernels: the same as their parts one after the other ------------------------------------------------------


def composed(name, arrays, constants):
    """Convolution, ReLU and 2x2 max pooling by their references, in float64: output, and a function for the gradients."""
    convolution, relu, pool = TABLE[name], TABLE["relu"], TABLE["max_pool2d"]
    y, saved = convolution.forward(*float64(arrays), **constants)
    y, gate = relu.forward(y)
    y, windows = pool.forward(y)

    def backward(dy, winner=None):
        """With the given winners instead of its own: between almost equal pixels, rounding decides."""
        chosen = windows if winner is None else (windows[0], winner, *windows[2:])
        (dy,) = pool.backward(dy.astype(np.float64), chosen)
        if winner is None:
            (dy,) = relu.backward(dy, gate)
        return convolution.backward(dy, saved)

    return y, backward


def run_fused(name, arrays, constants, dy_seed, fast, whole):
    """y, dy, the winners and the gradients of the fused kernel."""
    from tinydx_kernels.cpu import fused

    with winograd(fast):
        y, saved = getattr(fused, f"{name}_relu_max_pool2d_forward")(*arrays, **constants)
        (dy,) = numbers(dy_seed, [y.shape], whole)
        return y, dy, saved[3], getattr(fused, f"{name}_relu_max_pool2d_backward")(dy, saved)


def fused_case(name, data, whole):
    from tinydx_kernels.cpu import fused

    arrays, constants = draw_case(name, data, whole)
    assume(fused.supports(*arrays, **constants))
    return arrays, constants


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("name", ["conv2d", "correlate2d"])
@given(data=st.data())
def test_fused_convolution_relu_max_pool(name, fast, data):
    arrays, constants = fused_case(name, data, whole=False)
    y, dy, winner, grads = run_fused(name, arrays, constants, data.draw(st.integers(0, 999)), fast, whole=False)
    want, backward = composed(name, arrays, constants)
    assert_close("output", y, want, 1e-5)
    for argument, a, got, expected in zip("xwb", arrays, grads, backward(dy * (y > 0), winner), strict=True):
        if a is not None:
            assert got.shape == a.shape and got.dtype == np.float32
            assert_close(f"gradient of {argument}", got, expected, 1e-5)


@pytest.mark.parametrize("name", ["conv2d", "correlate2d"])
@given(data=st.data())
def test_fused_convolution_chooses_the_same_winners(name, data):
    """Whole numbers have many ties, and the direct sum is exact on them."""
    arrays, constants = fused_case(name, data, whole=True)
    y, dy, _, grads = run_fused(name, arrays, constants, data.draw(st.integers(0, 999)), fast=False, whole=True)
    want, backward = composed(name, arrays, constants)
    np.testing.assert_array_equal(y, want)
    for a, got, expected in zip(arrays, grads, backward(dy), strict=True):
        if a is not None:
            np.testing.assert_array_equal(got, expected)


@given(data=st.data())
def test_fused_winners_are_maxima_with_winograd(data):
    arrays, constants = fused_case("correlate2d", data, whole=False)
    y, _, winner, _ = run_fused("correlate2d", arrays, constants, 0, fast=True, whole=False)
    full, _ = TABLE["correlate2d"].forward(*float64(arrays), **constants)
    n, rows, columns, filters = y.shape
    cells = full[:, : 2 * rows, : 2 * columns].reshape(n, rows, 2, columns, 2, filters).transpose(0, 1, 3, 5, 2, 4)
    at_winner = np.take_along_axis(cells.reshape(*y.shape, 4), winner[..., None].astype(int), axis=-1)[..., 0]
    assert_close("pixel at the winner", np.maximum(at_winner, 0), y, 1e-5)


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_fused_winograd_undoes_pooling_inside_the_image(padding):
    """Tiles away from the border: with "valid" they are 3x3 whole windows, with "same" they cut them."""
    arrays, constants = tuple(numbers(0, [(2, 21, 24, 16), (3, 3, 16, 48)])), {"padding": padding}
    y, dy, winner, grads = run_fused("correlate2d", arrays, constants, 1, fast=True, whole=False)
    _, backward = composed("correlate2d", arrays, constants)
    assert_close("gradient of x", grads[0], backward(dy * (y > 0), winner)[0], 1e-5)


@pytest.mark.parametrize("fast", [True, False])
def test_fused_convolution_keeps_nan_and_infinity(fast):
    from tinydx_kernels.cpu import fused

    for special in (np.nan, np.inf, -np.inf):
        x, w = numbers(0, [(1, 14, 15, 16), (3, 3, 16, 32)], whole=True)
        x[0, 5, 6, 7] = special
        with winograd(fast), np.errstate(invalid="ignore"):
            y, _ = fused.correlate2d_relu_max_pool2d_forward(x, w)
            want, _ = composed("correlate2d", (x, w), {})
        np.testing.assert_array_equal(y, want)


@given(
    n=st.sampled_from([1, 5, 12, 32, 33, 96]),
    d=st.sampled_from([2048, 2053, 700]),
    f=st.sampled_from([32, 96, 128]),
    seed=st.integers(0, 2**32 - 1),
)
def test_factored_gradient_and_adam_in_one_pass(n, d, f, seed):
    x, dy, w, m, v = numbers(seed, [(n, d), (n, f), (d, f), (d, f), (d, f)])
    v = v**2 + np.float32(1)
    kernel, g = TABLE["adam_update"].kernels["numba"], FactoredGradient(x, dy)
    constants = {"learning_rate": 0.1, "beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-7, "step": 3}
    if not kernel.supports(w, m, v, g, **constants):
        return
    want, _ = TABLE["adam_update"].forward(*float64([w, m, v, x.T.astype(np.float64) @ dy]), **constants)
    kernel.in_place(w, m, v, g, **constants)
    for what, got, expected in zip("wmv", (w, m, v), want, strict=True):
        assert_close(what, got, expected, 1e-5)


def test_dense_leaves_the_gradient_of_large_weights_factored():
    from tinydx_kernels.cpu.simd import LANES

    x, w, dy = numbers(0, [(4, 2100), (2100, 512), (4, 512)])
    kernel = TABLE["dense"].kernels["numba"]
    _, dw, _ = gradients_of(kernel, dy, kernel.forward(x, w)[1], (True, True, True))
    assert_close("dw", np.asarray(dw), float64([x])[0].T @ dy, 1e-5)
    if LANES:
        assert isinstance(dw, FactoredGradient)


@pytest.mark.parametrize("name", [n for n in KERNELS if TABLE[n].kernels["numba"].in_place])
@given(data=st.data())
def test_update_in_place_equals_forward(name, data):
    arrays, constants = draw_case(name, data)
    arrays = [np.array(a, order="C") for a in arrays]
    kernel = TABLE[name].kernels["numba"]
    want, _ = kernel.forward(*arrays, **constants)
    kernel.in_place(*arrays, **constants)
    for got, expected in zip(arrays[:-1], want, strict=True):
        np.testing.assert_array_equal(got, expected)


@given(data=st.data())
def test_winograd_is_as_exact_as_documented(data):
    """Relative rms error against float64 at most 2e-6 for 3x3 (measured: about 1e-6); it grows with the root of the number of
    products, so for four such parts it is twice as large. Switched off, under 1e-6 for up to 1,000 products; sums of more grow
    in the same way (found by exploring: 5x5 and 128 channels are 3,200 products, 1.5e-6).
    """
    from tinydx_kernels.cpu import convolution

    c, f = data.draw(st.sampled_from([5, 16, 20, 64, 128])), data.draw(st.sampled_from([20, 33, 64]))
    shape = data.draw(st.integers(1, 2)), data.draw(st.integers(3, 14)), data.draw(st.integers(3, 14)), c
    kernel = data.draw(st.sampled_from([(3, 3), (3, 3), (5, 5), (4, 5)]))
    shape = (shape[0], max(shape[1], kernel[0]), max(shape[2], kernel[1]), c)
    x, w = numbers(data.draw(st.integers(0, 2**32 - 1)), [shape, (*kernel, c, f)])
    padding = data.draw(st.sampled_from(["valid", "same", 2]))
    op = TABLE["correlate2d"]
    want, saved = op.forward(*float64([x, w]), padding=padding)
    (dy,) = numbers(0, [want.shape])
    gradients = op.reference.backward(*float64([dy]), saved)
    direct = 1e-6 * max(1, np.sqrt(max(c, f) * np.prod(kernel) / 1000))
    for fast, limit in ((True, 2e-6 if kernel == (3, 3) else 4e-6), (False, direct)):
        with winograd(fast):
            y, kept = convolution.correlate2d_forward(x, w, padding=padding)
            got = (y, *convolution.correlate2d_backward(dy, kept, (True, True, False))[:2])
        for a, b in zip(got, (want, *gradients[:2]), strict=True):
            assert np.sqrt(((a - b) ** 2).mean() / (b**2).mean()) < limit


# ---- the warp of augmentation --------------------------------------------------------------------------------------


@given(
    shape=st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(1, 4) | counts),
    theta=st.sampled_from([0.0, 90.0, 180.0, 13.0, -40.0]),
    numbers=st.tuples(*[st.floats(-5, 5)] * 3, *[st.floats(0.5, 1.5)] * 2),
    flip=st.tuples(st.booleans(), st.booleans()),
    disguise=disguises,
    seed=st.integers(0, 999),
)
def test_affine_warp_equals_numpy_bit_by_bit(shape, theta, numbers, flip, disguise, seed):
    from tinydx.preprocessing import affine

    image = disguise(np.random.default_rng(seed).random(shape).astype(np.float32))
    matrix, offset = affine.affine_matrix(theta, *numbers, *shape[:2])
    for mode in affine.FILL_MODES:
        constants = {"matrix": matrix, "offset": offset, "fill_mode": mode, "cval": 0.5, "flip": flip}
        with tinydx.trace() as ran:
            got = TABLE["affine_warp"](image, **constants)
        assert ran == [("affine_warp", "numba")]
        np.testing.assert_array_equal(got, TABLE["affine_warp"].forward(image, **constants)[0], err_msg=mode)
