"""Kernels of normalisation, losses, dropout, other activations: what samples lack. tests/test_cpu_kernels.py has the rest."""

import numpy as np
import pytest

numba = pytest.importorskip("numba", reason="the CPU kernels need numba: pip install numba")

import tinydx  # noqa: E402
from tinydx import layers, ops  # noqa: E402
from tinydx.dispatch import load_kernels  # noqa: E402
from tinydx.models import Sequential  # noqa: E402

assert load_kernels("numba") is None
RNG = np.random.default_rng(0)
NORMALISATIONS = [ops.batch_normalization, ops.batch_normalization_relu, ops.layer_normalization]


def inputs(shape, mean=0.0):
    """x of that mean, gamma and beta, float32."""
    x = RNG.normal(mean, 1, shape)
    return tuple(a.astype(np.float32) for a in (x, RNG.normal(1, 0.3, shape[-1]), RNG.normal(size=shape[-1])))


def both_ways(op, arrays, **constants):
    """Output and gradients of the kernel."""
    kernel = op.kernels["numba"]
    y, saved = kernel.forward(*arrays, **constants)
    return [y, *kernel.backward(np.cos(np.arange(y.size, dtype=np.float32)).reshape(y.shape), saved)]


@pytest.mark.parametrize("op", NORMALISATIONS, ids=lambda op: op.name)
def test_any_number_of_threads_gives_the_same_bits(op):
    arrays, threads, results = inputs((50, 30, 30, 7)), numba.get_num_threads(), []
    try:
        for n in range(1, threads + 1):
            numba.set_num_threads(n)
            results.append(both_ways(op, arrays))
    finally:
        numba.set_num_threads(threads)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("op", NORMALISATIONS, ids=lambda op: op.name)
def test_a_mean_far_from_zero_costs_no_more_digits_than_its_rounding(op):
    """A variance taken as the mean of squares minus the square of the mean would be lost: 1e8 has no digits below 8."""
    arrays = inputs((40, 20, 64), mean=1e4)  # no row of few features, whose variance may be small
    got, (want, _) = both_ways(op, arrays)[0], op.forward(*(a.astype(np.float64) for a in arrays))
    assert np.abs(got - want).max() < 5e-3  # x itself is rounded to 5e-4


@pytest.mark.parametrize("op", NORMALISATIONS[:2], ids=lambda op: op.name)
@pytest.mark.parametrize("shape", [(2, 1), (3, 2, 2, 5), (64, 28, 28, 16)])
def test_statistics_are_mean_and_biased_variance(op, shape):
    arrays, statistics = inputs(shape), np.full((2, shape[-1]), np.nan, np.float32)
    op.kernels["numba"].forward(*arrays, statistics=statistics)
    rows = arrays[0].reshape(-1, shape[-1]).astype(np.float64)
    np.testing.assert_allclose(statistics, [rows.mean(axis=0), rows.var(axis=0)], rtol=1e-5, atol=1e-6)


def test_moving_statistics_are_those_of_the_reference():
    x, moved = RNG.normal(2, 3, (16, 5, 5, 4)).astype(np.float32), []
    for backend in ("numpy", "numba"):
        layer = layers.BatchNormalization(momentum=0.5)
        with tinydx.use(backend):
            layer(x, training=True)
        moved.append(layer.get_weights()[2:])
    np.testing.assert_allclose(moved[0][0], 0.5 * x.mean(axis=(0, 1, 2)), rtol=1e-5)
    for a, b in zip(*moved, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_dropout_drops_the_same_numbers_whatever_computes_it():
    x, results = np.ones((40, 1000), np.float32), []
    for backend in ("numpy", "numba"):
        tinydx.set_seed(5)
        with tinydx.use(backend):
            results.append(layers.Dropout(0.3)(x, training=True).numpy())
    np.testing.assert_array_equal(*results)
    assert 0.68 < (results[0] > 0).mean() < 0.72


LOSSES = {
    "binary_crossentropy": ("sigmoid", RNG.integers(0, 2, (8, 1))),
    "categorical_crossentropy": ("softmax", np.eye(3)[RNG.integers(0, 3, 8)]),
    "sparse_categorical_crossentropy": ("softmax", RNG.integers(0, 3, 8)),
    "mse": ("linear", RNG.normal(size=(8, 2))),
    "mae": ("linear", RNG.normal(size=(8, 2))),
    "huber": ("linear", RNG.normal(size=(8, 2))),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_model_trains_as_with_the_reference(name, weighted):
    activation, y = LOSSES[name]
    x, weight = RNG.normal(size=(8, 5)).astype(np.float32), RNG.random(8) if weighted else None
    results = []
    for backend in ("numpy", "numba"):
        tinydx.set_seed(2)
        units = 3 if activation == "softmax" else y.shape[1]
        model = Sequential([layers.Dense(units, activation=activation, input_shape=(5,))])
        model.compile("sgd", name)
        with tinydx.use(backend), tinydx.trace() as ran:
            losses = [model.train_on_batch(x, y, sample_weight=weight) for _ in range(3)]
        assert not [op for op, kernel in ran if kernel != backend and ("error" in op or "entropy" in op or op == "huber")]
        results.append([losses, *model.get_weights()])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("op", [ops.elu, ops.softplus, ops.silu, ops.leaky_relu, ops.sigmoid, ops.tanh], ids=lambda op: op.name)
def test_activations_keep_their_digits_far_from_one(op):
    """Near zero and far below it each number keeps its digits: what is added to 1 and taken away again would lose them."""
    x = np.concatenate([-np.geomspace(1e-30, 80, 400), np.geomspace(1e-30, 80, 400)]).astype(np.float32)
    kernel = op.kernels["numba"]
    y, saved = kernel.forward(x)
    true, kept = op.forward(x.astype(np.float64))
    np.testing.assert_allclose(y, true, rtol=2e-6, atol=1e-37)
    dy = np.ones_like(x)
    np.testing.assert_allclose(kernel.backward(dy, saved)[0], op.backward(dy.astype(np.float64), kept)[0], rtol=2e-6, atol=2e-7)


@pytest.mark.parametrize("op", [ops.elu, ops.softplus, ops.silu, ops.leaky_relu, ops.sigmoid, ops.tanh], ids=lambda op: op.name)
def test_activations_of_numbers_that_are_not_finite(op):
    x = np.array([np.nan, np.inf, -np.inf, 0.0, 200.0, -200.0], np.float32)
    with np.errstate(invalid="ignore"):
        y, wanted = op.kernels["numba"].forward(x)[0], op.forward(x.astype(np.float64))[0]
    np.testing.assert_allclose(y, wanted, rtol=1e-6, atol=1e-37)  # below that, float32 has no numbers


CROSS_ENTROPIES = {
    "softmax_crossentropy": {"target": np.eye(400)[RNG.integers(0, 400, 300)]},
    "sparse_softmax_crossentropy": {"labels": RNG.integers(0, 400, 300)},
}


@pytest.mark.parametrize("name", CROSS_ENTROPIES)
def test_shared_rows_give_the_bits_of_one_thread(name):
    z, threads, kernel = inputs((300, 400))[0], numba.get_num_threads(), getattr(ops, name).kernels["numba"]
    many = kernel.forward(z, **CROSS_ENTROPIES[name])
    numba.set_num_threads(1)
    try:
        one = kernel.forward(z, **CROSS_ENTROPIES[name])
    finally:
        numba.set_num_threads(threads)
    np.testing.assert_array_equal(many[0], one[0])
    np.testing.assert_array_equal(many[1], one[1])


def recurrent_gradients(op, n=25, steps=23, d=5, units=12):
    """The gradients of a recurrence by its kernel, and by the reference: more rows than are multiplied at once."""
    gates = {"simple_rnn": 1, "gru": 3, "lstm": 4}[op.name]
    states = [RNG.normal(size=(n, units)) for _ in range(2 if op.name == "lstm" else 1)]
    bias = RNG.normal(size=(2, gates * units) if op.name == "gru" else gates * units)
    weights = [RNG.normal(size=(rows, gates * units)) / rows**0.5 for rows in (d, units)]
    arrays = [a.astype(np.float32) for a in (RNG.normal(size=(n, steps, d)), *states, *weights, bias)]
    dy, dc = RNG.normal(size=(2, n, steps, units)).astype(np.float32)
    results = []
    for implementation, dtype in ((op.kernels["numba"], np.float32), (op, np.float64)):
        _, saved = implementation.forward(*(a.astype(dtype) for a in arrays))
        slopes = dy.astype(dtype), dc[:, 0].astype(dtype)
        results.append(implementation.backward(slopes if op.name == "lstm" else slopes[0], saved))
    return results


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("op", [ops.simple_rnn, ops.gru, ops.lstm], ids=lambda op: op.name)
def test_gradients_of_many_steps_in_place_and_by_products(op, large, monkeypatch):
    from tinydx_kernels.cpu import recurrence

    monkeypatch.setattr(recurrence, "SMALL", 0)
    monkeypatch.setattr(recurrence, "SHORT", 0)
    if large:
        monkeypatch.setattr(recurrence, "LARGE", 0)
    for got, true in zip(*recurrent_gradients(op), strict=True):
        np.testing.assert_allclose(got, true, atol=1e-5 * max(1, np.abs(true).max()))


@pytest.mark.parametrize("gate", range(4))
def test_a_gate_that_is_nan_makes_nan_what_it_does_in_the_reference(gate):
    """Gates share divisions: in a single step, c must not become NaN by the output gate."""
    x, h, c, dy, dc = RNG.normal(size=(5, 2, 9)).astype(np.float32)
    w, u, b = RNG.normal(size=(9, 36)).astype(np.float32), RNG.normal(size=(9, 36)).astype(np.float32), np.zeros(36, np.float32)
    b[9 * gate + 1] = np.nan
    results = []
    for implementation in (ops.lstm.kernels["numba"], ops.lstm):
        (y, last), saved = implementation.forward(x[:, None], h, c, w, u, b)
        results.append([y, last, *implementation.backward((dy[:, None], dc), saved)])
    for got, true in zip(*results, strict=True):
        np.testing.assert_array_equal(np.isnan(got), np.isnan(true))
