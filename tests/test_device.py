"""Where arrays live: moving them, reading several at once, and random arrays that are drawn anew for each replay.

The GPU is emulated (emulated_cupy.py); test_gpu.py trains whole models on it.
"""

import sys

import numpy as np
import pytest

from tinydx import device
from tinydx.device import Packet, RandomArrays, collecting, fill, on_device, random_beside, to_device, to_host
from tinydx_kernels.emulator.build import compiler

ARRAYS = {
    "loss": np.array(0.25, np.float32),
    "gradients": np.array([1.5, np.nan, -np.inf], np.float32),
    "prediction": np.arange(6, dtype=np.float64).reshape(2, 3) / 7,
    "labels": np.array([[3], [2**53]], np.int64),
    "mask": np.array([[True, False]]),
    "nothing": np.zeros((0, 4), np.float32),
}


@pytest.fixture
def gpu(monkeypatch):
    """CuPy, emulated, as far as tinydx can tell."""
    try:
        compiler()
    except OSError as missing:
        pytest.skip(str(missing))
    import emulated_cupy

    monkeypatch.setitem(sys.modules, "cupy", emulated_cupy)
    emulated_cupy.reads.clear()
    return emulated_cupy


# ---- moving ----------------------------------------------------------------------------------------------------------


def test_without_cupy_everything_is_on_the_cpu(monkeypatch):
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    a = np.ones(3)
    assert not on_device(a) and to_host(a) is a and to_device(None) is None
    assert "cupy" not in sys.modules, "looking must not import it"


def test_there_and_back(gpu):
    a = np.arange(6, dtype=np.float32).reshape(2, 3)
    there = to_device(a)
    assert on_device(there) and not on_device(a) and to_device(there) is there
    a[0, 0] = 99  # a copy does not follow
    np.testing.assert_array_equal(to_host(there), np.arange(6, dtype=np.float32).reshape(2, 3))
    assert len(gpu.reads) == 1


@pytest.mark.parametrize("from_gpu", [False, True])
def test_fill_writes_into_the_same_memory(gpu, from_gpu):
    there = to_device(np.zeros((2, 3), np.float32))
    pointer, values = there.data.ptr, np.arange(6, dtype=np.float32).reshape(3, 2).T  # not contiguous
    fill(there, to_device(values) if from_gpu else values)
    assert there.data.ptr == pointer
    np.testing.assert_array_equal(to_host(there), values)


# ---- one read for several arrays -------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["cpu", "gpu"])
def test_a_packet_gives_back_what_was_packed(where, request):
    cupy = request.getfixturevalue("gpu") if where == "gpu" else None
    packet = Packet({name: to_device(a) if cupy else a for name, a in ARRAYS.items()})
    assert cupy is None or cupy.reads == [], "packing reads nothing"
    read = packet.read()
    assert cupy is None or len(cupy.reads) == 1
    assert list(read) == list(ARRAYS)
    for name, a in ARRAYS.items():
        assert type(read[name]) is np.ndarray and read[name].dtype == a.dtype and read[name].shape == a.shape
        np.testing.assert_array_equal(read[name], a)


# ---- random arrays ---------------------------------------------------------------------------------------------------


def drawing(seed=0):
    """A function that draws three numbers at each call."""
    rng = np.random.default_rng(seed)
    return lambda: rng.random(3)


def test_beside_an_array_on_the_cpu_it_is_only_drawn():
    arrays = RandomArrays()
    with collecting(arrays):
        y = random_beside(np.ones(2), drawing())
    np.testing.assert_array_equal(y, drawing()())
    assert arrays.made == []


def test_outside_a_step_it_is_drawn_and_sent(gpu):
    y = random_beside(to_device(np.ones(2)), drawing())
    assert on_device(y)
    np.testing.assert_array_equal(to_host(y), drawing()())


def test_arrays_are_redrawn_in_place_and_in_order(gpu):
    x, make, arrays = to_device(np.ones(2)), drawing(), RandomArrays()
    with collecting(arrays):
        first, second = random_beside(x, make), random_beside(x, make)
    wanted = drawing()
    for _ in range(3):
        np.testing.assert_array_equal(to_host(first), wanted())
        np.testing.assert_array_equal(to_host(second), wanted())
        arrays.redraw()


def test_a_capture_gets_the_arrays_of_the_run_before_and_draws_nothing(gpu):
    x, arrays = to_device(np.ones(2)), RandomArrays()
    with collecting(arrays):
        first, second = random_beside(x, drawing(1)), random_beside(x, drawing(2))
    arrays.captured = iter(arrays.made)

    def never():
        raise AssertionError("a capture must not draw")

    with collecting(arrays):
        assert random_beside(x, never) is first
        assert random_beside(x, never) is second
    assert len(arrays.made) == 2


def test_collecting_ends_with_its_context_also_after_an_error(gpu):
    outer, inner = RandomArrays(), RandomArrays()
    x = to_device(np.ones(2))
    with collecting(outer):
        with pytest.raises(ZeroDivisionError), collecting(inner):
            random_beside(x, drawing())
            raise ZeroDivisionError
        random_beside(x, drawing())
    assert device._collecting.get() is None and len(outer.made) == len(inner.made) == 1
