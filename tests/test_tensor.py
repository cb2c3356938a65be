"""The tape: what it records, how gradients flow back, its error messages; and the tools of the op table."""

import subprocess
import sys

import numpy as np
import pytest

import tinydx
from tinydx import Tensor, gradients, no_grad, ops
from tinydx.cards import card
from tinydx.op import TABLE, Op, find, kernel_of
from tinydx.op import op as new_op
from tinydx.suggestions import did_you_mean


def tensor(*shape, seed=0, dtype=np.float64):
    return Tensor(np.random.default_rng(seed).normal(size=shape).astype(dtype), requires_grad=True)


# ---- backward ------------------------------------------------------------------------------------------------------


def test_backward_twice_does_not_double():
    x = tensor(3)
    y = (x * x).sum()
    y.backward()
    first = x.grad.copy()
    y.backward()
    np.testing.assert_array_equal(x.grad, first)
    np.testing.assert_array_equal(first, 2 * x.data)


def test_uses_of_one_tensor_add_up():
    """A diamond: two paths lead from x to y."""
    x = tensor(4)
    left, right = x * 2.0, ops.tanh(x)
    (left * right + right).sum().backward()
    t, slope = np.tanh(x.data), 1 - np.tanh(x.data) ** 2
    np.testing.assert_allclose(x.grad, 2 * t + (2 * x.data + 1) * slope)


def test_a_node_waits_for_all_that_use_it():
    """A long and a short path from h: its gradient is complete before it flows on, and it flows once."""
    x = tensor(2)
    h = ops.exp(x)
    y = h
    for _ in range(5):
        y = y * 1.0
    (y + h).sum().backward()
    np.testing.assert_allclose(x.grad, 2 * np.exp(x.data))


def test_what_was_broadcast_is_summed_back():
    a, b, c = tensor(4, 3), tensor(3, seed=1), Tensor(np.float64(2), requires_grad=True)
    (a * b + c).sum().backward()
    np.testing.assert_allclose(b.grad, a.data.sum(axis=0))
    assert (a.grad.shape, b.grad.shape, c.grad.shape) == ((4, 3), (3,), ())
    assert c.grad == 12


def test_backward_takes_the_gradient_of_the_result():
    x = tensor(2, 3)
    dy = np.arange(6.0).reshape(2, 3)
    (x * 3.0).backward(dy)
    np.testing.assert_array_equal(x.grad, 3 * dy)


def test_only_what_asks_for_a_gradient_gets_one():
    x, w = tensor(2, 3), Tensor(np.ones((3, 2)))
    (x @ w).sum().backward()
    assert w.grad is None
    assert x.grad is not None


DEEP = """
import numpy as np, tinydx
x = tinydx.Tensor(np.ones(1), requires_grad=True)
y = x
for _ in range(20_000):
    y = y * 1.0
y.backward()
assert x.grad == 1
del y
print("done")
"""


def test_a_chain_of_20000_ops_needs_no_recursion():
    """Neither backward nor freeing the tape recurses (in a process of its own: a stack overflow would kill it)."""
    result = subprocess.run([sys.executable, "-c", DEEP], capture_output=True, text=True, cwd=tinydx.__path__[0] + "/..")
    assert (result.returncode, result.stdout) == (0, "done\n"), result.stderr[-500:]


def test_no_grad_records_nothing():
    x = tensor(3)
    with no_grad():
        y = ops.relu(x)
    assert y.node is None
    assert not y.requires_grad
    assert ops.relu(x).requires_grad, "recording goes on afterwards"
    with pytest.raises(RuntimeError), no_grad():
        raise RuntimeError
    assert ops.relu(x).requires_grad, "also after an error"


def test_gradients_of_leaves_and_of_what_lies_between():
    x = tensor(3)
    h = x * x
    y = (h * h).sum()
    dh, dx = gradients(y, [h, x])
    np.testing.assert_allclose(dh, 2 * h.data)
    np.testing.assert_allclose(dx, 4 * x.data**3)
    assert x.grad is None, ".grad stays untouched"


def test_gradients_of_what_is_not_involved_are_zero():
    x, other = tensor(3), tensor(2)
    np.testing.assert_array_equal(gradients(x.sum(), [other])[0], np.zeros(2))
    np.testing.assert_array_equal(gradients(x, [x], np.ones(3))[0], np.ones(3))


@pytest.fixture
def split():
    """An op with two outputs: the halves of an array."""

    @new_op(r"(a, b) = x", shapes="x (N,) -> a (M,), b (M,)", source="this test")
    def split_in_two(x):
        half = len(x) // 2
        return (x[:half], x[half:]), None

    split_in_two.backward = lambda dy, saved: (np.concatenate(dy),)
    yield split_in_two
    del TABLE["split_in_two"]


def test_ops_with_several_outputs(split):
    x = tensor(6)
    a, b = split(x)
    (a * 2.0 + b * 3.0).sum().backward()
    np.testing.assert_array_equal(x.grad, [2, 2, 2, 3, 3, 3])
    b.sum().backward()  # nobody uses a: it contributes zeros
    np.testing.assert_array_equal(x.grad, [0, 0, 0, 1, 1, 1])
    da, db, dx = gradients((a * b).sum(), [a, b, x])
    np.testing.assert_array_equal(da, b.data)
    np.testing.assert_array_equal(dx, np.concatenate([da, db]))


# ---- dtypes and conversions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_python_numbers_take_the_tensors_dtype(dtype):
    x = tensor(3, dtype=dtype)
    for y in (x + 1, 1 - x, x * 2.5, 2 / x, x / 3, -x, (x * x) ** 2, x - 0.5):
        assert y.dtype == dtype
    (x * 2 + 1).sum().backward()
    assert x.grad.dtype == dtype


def test_lists_become_float32_and_arrays_stay():
    assert Tensor([1.0, 2.0]).dtype == np.float32
    assert Tensor(np.ones(2)).dtype == np.float64
    for integers in ([1, 2], np.arange(3), True):
        with pytest.raises(TypeError, match=r"is not float32 or float64: convert with \.astype\('float32'\)"):
            Tensor(integers)
    with pytest.raises(TypeError, match="float16"):
        Tensor(np.ones(2, np.float16))


def test_arrays_and_tensors_mix_from_both_sides():
    x, a = tensor(2, 2), np.full((2, 2), 3.0)
    for y, expected in ((a + x, a + x.data), (a - x, a - x.data), (a @ x, a @ x.data), (a / x, a / x.data)):
        assert isinstance(y, Tensor)
        np.testing.assert_allclose(y.data, expected)


def test_what_an_array_can_do():
    x = tensor(2, 3)
    assert x.T.shape == (3, 2)
    assert x.reshape(3, 2).shape == x.reshape((3, 2)).shape == (3, 2)
    assert x[1, ::2].shape == (2,)
    assert (x.ndim, x.size, len(x)) == (2, 6, 2)
    np.testing.assert_allclose(x.mean(axis=0).data, x.data.mean(axis=0))
    assert float(x.sum()) == pytest.approx(x.data.sum())
    np.testing.assert_array_equal(np.asarray(x), x.numpy())
    assert "shape (2, 3)" in repr(x)


# ---- errors --------------------------------------------------------------------------------------------------------


def test_backward_says_what_it_needs():
    x = tensor(2)
    with pytest.raises(ValueError, match=r"shape \(2,\) needs its gradient: y\.backward\(dy\)"):
        (x * 2.0).backward()
    with pytest.raises(ValueError, match=r"gradient has shape \(3,\), expected \(2,\)"):
        (x * 2.0).backward(np.ones(3))
    with pytest.raises(ValueError, match="nothing that this tensor was made from has requires_grad=True"):
        Tensor(np.ones(1)).backward()


def test_an_error_in_an_op_leaves_the_tape_as_it_was():
    x = tensor(2, 3)
    with pytest.raises(ValueError, match="dense: w has shape"):
        ops.dense(x, np.ones((4, 2)))
    (x * 1.0).sum().backward()
    np.testing.assert_array_equal(x.grad, np.ones((2, 3)))


# ---- which implementation runs -------------------------------------------------------------------------------------


@pytest.fixture
def kernel(monkeypatch):
    """A kernel for exp that takes only vectors, in the backend "numba"."""
    monkeypatch.setattr(ops.exp, "kernels", {})
    monkeypatch.setitem(tinydx.dispatch._loaded, "numba", None)  # its package counts as loaded
    kernel_of(ops.exp, "numba", ops.exp.forward, ops.exp.backward, lambda x: x.ndim == 1)


def test_trace_tells_which_implementation_ran(kernel):
    with tinydx.trace() as ran:
        ops.exp(np.ones(2))
        ops.exp(np.ones((2, 2)))
        ops.exp(tensor(2))
    assert ran == [("exp", "numba"), ("exp", "numpy"), ("exp", "numba")]


def test_use_is_a_function_and_a_context(kernel):
    def ran():
        with tinydx.trace() as names:
            ops.exp(np.ones(2))
        return names[0][1]

    assert ran() == "numba"
    with tinydx.use("numpy"):
        assert ran() == "numpy"
        with tinydx.use("auto"):
            assert ran() == "numba"
        assert ran() == "numpy"
    assert ran() == "numba"
    tinydx.use("numpy")
    assert ran() == "numpy"


def test_strict_never_falls_back(kernel):
    with tinydx.use("numba", strict=True):
        ops.exp(np.ones(2))
        with pytest.raises(LookupError, match=r"exp: no numba kernel for \(2, 2\)"):
            ops.exp(np.ones((2, 2)))


def test_unknown_backends_are_named():
    with pytest.raises(ValueError, match=r"use\('tpu'\): no such backend; choose from numpy, numba, cuda, auto"):
        tinydx.use("tpu")


# ---- finding ops ---------------------------------------------------------------------------------------------------


def test_find_knows_every_op_and_guesses_the_others():
    assert all(find(name) is op for name, op in TABLE.items())
    with pytest.raises(ValueError, match=r"no op named 'convd'; did you mean '.*conv2d'"):
        find("convd")
    with pytest.raises(ValueError, match=r"known: .*relu"):
        find("qqqq")
    assert did_you_mean("adm", ["adam", "sgd"]) == "; did you mean 'adam'?"
    assert did_you_mean("zzz", ["b", "a"]) == "; known: a, b"


@pytest.mark.parametrize("op", TABLE.values(), ids=lambda op: op.name)
def test_every_op_has_a_card(op: Op):
    text = card(op.name)
    if op.parts:
        assert all(f"tinydx card {part.name}" in text for part in op.parts)
        return
    for part in (op.name, op.source, op.equation, op.shapes, "literal", "forward"):
        assert part in text
    assert ("def " + op.forward.__name__) in text, "the card shows the code"
    assert ("\nbackward\n" in text) == bool(op.backward)
    for slip in op.slips:
        assert slip.name in text
    assert "@" not in text.split("slips")[0].replace(" @ ", " "), "code begins at def, not at its decorators"
