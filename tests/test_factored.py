"""FactoredGradient: in every use it is the array x^T dy, and what is called surely finite is finite."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinydx
from tinydx import Tensor, ops
from tinydx.factored import FactoredGradient, checksum, multiplied_out
from tinydx.op import kernel_of
from tinydx.optimizers import SGD, Adam

LARGEST = float(np.finfo(np.float32).max)


def factors(seed=0, dtype=np.float32, n=3, d=4, f=5):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)).astype(dtype), rng.normal(size=(n, f)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_is_the_array_in_every_use(dtype):
    x, dy = factors(dtype=dtype)
    g, product = FactoredGradient(x, dy), x.T @ dy
    other = np.ones_like(product)
    assert g.shape == product.shape and g.dtype == product.dtype
    for use in (g.array(), np.asarray(g), np.array(g), multiplied_out(g)):
        assert type(use) is np.ndarray and use.dtype == dtype
        np.testing.assert_allclose(use, product, rtol=1e-5)
    np.testing.assert_allclose(g + other, product + 1, rtol=1e-5)
    np.testing.assert_allclose(other + g, product + 1, rtol=1e-5)
    np.testing.assert_allclose(g + FactoredGradient(x, dy), 2 * product, rtol=1e-5)
    np.testing.assert_allclose(np.asarray(g, np.float64), product, rtol=1e-5)
    assert multiplied_out(product) is product and multiplied_out(None) is None


@pytest.fixture
def factoring(monkeypatch):
    """A kernel of dense that leaves every weight's gradient factored, whatever the shapes."""
    monkeypatch.setattr(ops.dense, "kernels", {})
    monkeypatch.setitem(tinydx.dispatch._loaded, "numba", None)  # its package counts as loaded

    def backward(dy, saved):
        dx, dw, db = ops.dense.backward(dy, saved)
        return dx, FactoredGradient(saved[0], dy), db

    kernel_of(ops.dense, "numba", ops.dense.forward, backward, lambda *arrays: arrays[0].ndim == 2)


def layers_gradients(activated):
    """The gradients of two weights, one of which is used twice, and of the input."""
    rng = np.random.default_rng(0)
    x, w, v = (Tensor(rng.normal(size=s), requires_grad=True) for s in ((3, 4), (4, 4), (4, 2)))
    y = ops.dense(ops.tanh(ops.dense(ops.dense(x, w), w)) if activated else ops.dense(x, w), v)
    (y * y).sum().backward()
    return x, w, v


@pytest.mark.parametrize("activated", [False, True])
def test_the_tape_gives_arrays_and_adds_factors(factoring, activated):
    ours = layers_gradients(activated)
    assert isinstance(ours[2].gradient, FactoredGradient), "a leaf used once keeps its factors"
    with tinydx.use("numpy"):
        wanted = layers_gradients(activated)
    for a, b in zip(ours, wanted, strict=True):
        assert type(a.grad) is np.ndarray and a.grad is a.grad
        np.testing.assert_allclose(a.grad, b.grad, rtol=1e-12)


def test_a_weight_that_is_computed_gets_an_array(factoring):
    w = Tensor(np.random.default_rng(0).normal(size=(4, 2)), requires_grad=True)
    ops.dense(np.ones((3, 4)), w * 2.0).sum().backward()
    np.testing.assert_allclose(w.grad, np.full((4, 2), 6.0))


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: Adam(0.1),
        lambda: SGD(0.1),
        lambda: SGD(0.1, momentum=0.9),
        lambda: Adam(0.1, clipnorm=0.1),
        lambda: Adam(0.1, clipvalue=0.1),
        lambda: Adam(0.1, global_clipnorm=0.1, weight_decay=0.1),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 2100, 32)])  # the second is one that Adam's kernel takes
def test_every_optimizer_takes_it_as_the_array(optimizer, dtype, shape):
    x, dy = factors(1, dtype, *shape)
    ends = []
    for gradient in (FactoredGradient(x, dy), x.T @ dy):
        w, rule = Tensor(np.ones(shape[1:], dtype), name="w"), optimizer()
        for _ in range(3):
            rule.apply([gradient], [w])
        ends.append(w.data)
    np.testing.assert_allclose(*ends, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", [0, 1])
def test_factors_that_are_not_finite_are_refused(bad, side):
    parts = factors()
    parts[side][1, 2] = bad
    g = FactoredGradient(*parts)
    assert not g.surely_finite()
    w = Tensor(np.ones(g.shape, np.float32), name="w")
    with np.errstate(invalid="ignore"), pytest.raises(FloatingPointError, match="the gradient of w is not finite"):
        Adam().apply([g], [w])
    assert (w.data == 1).all()


@given(st.integers(0, 2**32 - 1), st.floats(-40, 40), st.floats(-40, 40), st.integers(1, 6))
def test_surely_finite_is_finite(seed, size_x, size_dy, n):
    """It never calls an overflow finite; small factors it always recognises."""
    rng = np.random.default_rng(seed)
    with np.errstate(over="ignore", invalid="ignore"):
        x = (rng.normal(size=(n, 3)) * 10.0**size_x).astype(np.float32)
        dy = (rng.normal(size=(n, 2)) * 10.0**size_dy).astype(np.float32)
        g = FactoredGradient(x, dy)
        sure, finite = g.surely_finite(), bool(np.isfinite(x.T @ dy).all())
        assert finite or not sure
        assert sure or size_x > 15 or size_dy > 15
        assert np.isfinite(checksum(g)) or not np.isfinite((x.T @ dy).sum())


def test_the_bound_is_the_largest_number():
    """With a factor of 1 the product is finite; it is called so until the other factor's square overflows."""
    one = np.ones((1, 1), np.float32)
    small, large = (FactoredGradient(one, np.float32([[size]])) for size in (np.sqrt(LARGEST) * 0.99, LARGEST / 2))
    with np.errstate(over="ignore"):
        assert small.surely_finite() and not large.surely_finite()
        assert np.isfinite(checksum(large))
