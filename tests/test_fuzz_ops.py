"""A fixed number of calls of fuzz_ops.py, and what it and users have found, each with its right answer."""

import numpy as np
import pytest
from fuzz_ops import Call, disagreement, draw_call, outcome

import tinydx
from tinydx import ops
from tinydx.arguments import OutOfRange

CALLS = 1500


@pytest.mark.parametrize("seed", range(3))
def test_kernel_and_reference_refuse_the_same_and_compute_the_same(seed):
    for at in range(CALLS // 3):
        call = draw_call(seed, at)
        assert (said := disagreement(call)) is None, f"--seed {seed} --at {at}  {call}: {said}"


def test_a_kernel_that_takes_what_the_reference_refuses_is_found(monkeypatch):
    x = np.ones((4, 3), np.float32)
    call = Call(ops.leaky_relu, (x,), {"slope": 7}, "slope")
    assert isinstance(outcome(call, "auto"), ValueError) and disagreement(call) is None
    monkeypatch.setattr(ops.relu, "forward", lambda x: (x + 1, x))
    pytest.importorskip("numba")
    assert "largest difference" in disagreement(Call(ops.relu, (x,), {}, "nothing"))


def recurrent(units=8, gates=1, n=64, steps=20, features=4):
    """x, h0, w, u of a recurrence, in float32."""
    rng = np.random.default_rng(0)
    shapes = (n, steps, features), (n, units), (features, gates * units), (units, gates * units)
    return [rng.normal(size=s).astype(np.float32) for s in shapes]


GATES = {"simple_rnn": 1, "gru": 3, "gru_reset_before": 3, "lstm": 4}
BACKENDS = pytest.mark.parametrize("backend", ["numpy", "auto"])


@BACKENDS
@pytest.mark.parametrize("name", GATES)
@pytest.mark.parametrize("shape", [(1, 20), (1, 1), (64, 1), (20,), (64, 19), (64, 21), (63, 20), (64, 20, 1), (20, 64), ()])
def test_a_mask_has_one_entry_for_each_step_of_each_example(name, shape, backend):
    x, h0, w, u = recurrent(gates=GATES[name])
    states = (h0, h0) if name == "lstm" else (h0,)
    with tinydx.use(backend), pytest.raises(ValueError, match=rf"{name}: mask has shape .*, expected \(N,T\) with N=64, T=20"):
        getattr(ops, name)(x, *states, w, u, mask=np.ones(shape, bool))
    with tinydx.use(backend), pytest.raises(TypeError, match="mask is float32, expected bool"):
        getattr(ops, name)(x, *states, w, u, mask=np.ones((64, 20), np.float32))


@BACKENDS
@pytest.mark.parametrize("name", GATES)
def test_weights_of_a_recurrence_hold_its_gates(name, backend):
    gates = GATES[name]
    x, h0, w, u = recurrent(gates=gates)
    states, op = ((h0, h0) if name == "lstm" else (h0,)), getattr(ops, name)
    with tinydx.use(backend):
        for k in (0, -2, -1):
            wrong = [x, *states, w, u]
            wrong[k] = wrong[k][..., :-1]
            with pytest.raises(ValueError, match=rf"{name}: \w+ has shape"):
                op(*wrong)
        with pytest.raises(ValueError, match=rf"{name}: b has shape \(1, 2\), expected"):
            op(x, *states, w, u, np.zeros((1, 2), np.float32))
        with pytest.raises(ValueError, match=rf"{name}: h0 has shape \(1, 8\), expected \(N,U\) with N=64"):
            op(x, *(s[:1] for s in states), w, u)


@BACKENDS
def test_a_mask_in_a_list_is_an_array(backend):
    x, h0, w, u = recurrent(n=2, steps=3)
    mask = np.array([[True, True, False], [True, False, False]])
    with tinydx.use(backend):
        np.testing.assert_array_equal(ops.simple_rnn(x, h0, w, u, mask=mask.tolist()), ops.simple_rnn(x, h0, w, u, mask=mask))


PIXELS, KERNEL = np.arange(50, dtype=np.float32).reshape(1, 5, 5, 2), np.ones((2, 2, 2, 3), np.float32)
ONES, ONE = np.ones((3, 4), np.float32), np.ones((1, 1, 1))
REFUSED = [
    (ops.correlate2d, (PIXELS, KERNEL), {"stride": 0}, ValueError, "stride=0: expected a whole number above 0, or two of them"),
    (ops.correlate2d, (PIXELS, KERNEL), {"stride": (1, 2, 1)}, ValueError, "stride="),
    (ops.correlate2d, (PIXELS, KERNEL), {"stride": 1.0}, ValueError, "stride=1.0"),
    (ops.correlate2d, (PIXELS, KERNEL), {"dilation": -1}, ValueError, "dilation=-1"),
    (ops.correlate2d, (PIXELS, KERNEL), {"padding": -1}, ValueError, "padding=-1"),
    (ops.correlate2d, (PIXELS, KERNEL), {"padding": True}, ValueError, "padding=True"),
    (ops.correlate2d, (PIXELS, KERNEL), {"groups": 0}, ValueError, "groups=0"),
    (ops.correlate2d, (PIXELS, KERNEL), {"groups": 2}, ValueError, "x has 2 channels"),
    (ops.max_pool2d, (PIXELS,), {"padding": 2}, ValueError, "must be smaller than the window"),
    (ops.average_pool2d, (PIXELS,), {"padding": ((0, 2), (0, 0))}, ValueError, "must be smaller than the window"),
    (ops.softmax, (ONES,), {"axis": 1.0}, ValueError, "axis=1.0"),
    (ops.softmax, (ONES,), {"axis": 10**20}, ValueError, "axis=1"),
    (ops.embedding, (ONES,), {"ids": np.array([0, -1])}, OutOfRange, "ids reach from -1 to 0, expected 0 to 2"),
    (ops.embedding, (ONES,), {"ids": np.array([3])}, IndexError, "ids reach from 3 to 3"),
    (ops.embedding, (ONES,), {"ids": np.array([True])}, TypeError, "ids are bool, expected integers"),
    (ops.sparse_softmax_crossentropy, (ONES,), {"labels": np.array([0, -1, 1])}, ValueError, "labels reach from -1 to 1"),
    (ops.sparse_softmax_crossentropy, (ONES,), {"labels": np.zeros(2, int)}, ValueError, "labels has shape"),
    (ops.softmax_crossentropy, (ONES,), {"target": ONES, "weight": np.ones((3, 4))}, ValueError, "weight has shape"),
    (ops.dropout, (ONES,), {"mask": ONES[:1] > 0, "rate": 0.5}, ValueError, "mask has shape"),
    (ops.dropout, (ONES,), {"mask": ONES > 0, "rate": 1.0}, ValueError, "rate=1.0"),
    (ops.affine_warp, (PIXELS[0],), {"matrix": np.ones(2), "offset": np.ones(2)}, ValueError, "matrix has shape"),
    (ops.affine_warp, (PIXELS[0],), {"matrix": np.eye(2), "offset": np.ones(1)}, ValueError, "offset has shape"),
    (ops.affine_warp, (PIXELS[0],), {"matrix": np.eye(2), "offset": np.ones(2), "fill_mode": "far"}, ValueError, "fill_"),
    (ops.affine_warp, (PIXELS[0],), {"matrix": np.eye(2) * np.nan, "offset": np.ones(2)}, ValueError, "must be finite"),
    (ops.affine_warp, (PIXELS[0],), {"matrix": np.eye(2), "offset": np.array([0, np.inf])}, ValueError, "must be finite"),
    (ops.copy_mixture, (np.ones((1, 1, 2)), ONE, ONE), {"source": [[-1]]}, ValueError, "source reaches from -1 to -1"),
    (ops.sgd_update, (ONES, ONES), {"learning_rate": np.ones(4)}, TypeError, "learning_rate="),
    (ops.multiply, (np.eye(2).view(np.matrix), np.eye(2)), {}, TypeError, "a is a matrix: give np.asarray"),
    (ops.dense, (np.ma.array(ONES, mask=ONES > 0), ONES.T), {}, TypeError, "x is a MaskedArray"),
    (ops.mean_squared_error, (ONES,), {"target": np.ma.array(ONES)}, TypeError, "target is a MaskedArray"),
    (ops.sgd_update, (ONES, ONES[:1]), {"learning_rate": 0.1}, ValueError, r"shapes \(3, 4\), \(1, 4\), expected equal"),
    (ops.momentum_update, (ONES, ONES[0], ONES), {"learning_rate": 0.1, "momentum": 0.9}, ValueError, "expected equal"),
    (ops.dense, (ONES, None), {}, TypeError, "w is NoneType"),
    (ops.dense, (ONES,), {}, TypeError, "dense takes 3 arrays"),
    (ops.dense, (ONES, ONES.T), {"mask": None}, TypeError, "dense has no argument 'mask'"),
    (ops.dropout, (ONES,), {"mask": ONES > 0}, TypeError, "dropout needs rate"),
]  # fmt: skip


@BACKENDS
@pytest.mark.parametrize(("op", "arrays", "constants", "error", "words"), REFUSED)
def test_every_backend_refuses_what_the_op_does_not_state(op, arrays, constants, error, words, backend):
    with tinydx.use(backend), pytest.raises(error, match=words) as caught:
        op(*arrays, **constants)
    assert "\n" not in str(caught.value)


@BACKENDS
@pytest.mark.parametrize("one", [np.uint8(1), np.int64(1), 1])
def test_numbers_of_numpy_are_numbers(one, backend):
    """In uint8, -5 // 1 overflows; as padding it made the kernel write behind its array."""
    with tinydx.use(backend):
        y = ops.correlate2d(PIXELS, KERNEL, stride=one, padding=one)
        np.testing.assert_array_equal(y, ops.correlate2d(np.pad(PIXELS, ((0, 0), (1, 1), (1, 1), (0, 0))), KERNEL))
        assert ops.correlate2d(PIXELS, KERNEL, stride=[one, one], padding="same").shape == (1, 5, 5, 3)
        assert ops.leaky_relu(ONES, slope=np.float64(0.1)).dtype == np.float32
        assert ops.power(ONES, exponent=np.float64(2)).dtype == np.float32


def test_arrays_given_by_name_are_arrays():
    """As constants they would get no gradient."""
    b = tinydx.Tensor(np.zeros(3), requires_grad=True)
    ops.dense(tinydx.Tensor(np.ones((2, 4))), np.ones((4, 3)), b=b).sum().backward()
    np.testing.assert_array_equal(b.grad, [2, 2, 2])


def test_the_mean_of_nothing_has_an_empty_gradient():
    with np.errstate(all="ignore"), pytest.warns(RuntimeWarning):
        _, saved = ops.mean.forward(np.ones((0,)), axis=-1, keepdims=True)
    assert ops.mean.backward(np.ones(1), saved)[0].shape == (0,)


# ---- what backward gets ----------------------------------------------------------------------------------------------


@BACKENDS
@pytest.mark.parametrize("op", [ops.dense, ops.matmul])
def test_a_gradient_in_float64_becomes_float32_before_a_kernel_gets_it(op, backend):
    x = tinydx.Tensor(ONES, requires_grad=True)
    with tinydx.use(backend):
        y = op(x, ONES.T)
        y.backward(np.full(y.shape, 0.5))
        np.testing.assert_array_equal(x.grad, np.full((3, 4), 1.5, np.float32))
        assert x.grad.dtype == np.float32 and tinydx.gradients(y, [x], np.ones(y.shape))[0].dtype == np.float32


@BACKENDS
def test_a_gradient_of_another_shape_is_refused(backend):
    x = tinydx.Tensor(ONES, requires_grad=True)
    with tinydx.use(backend):
        y = ops.relu(ops.dense(x, ONES.T))
        for wrong in (np.ones((1, 3)), np.ones((3, 1)), np.ones(9), np.ones((4, 3))):
            with pytest.raises(ValueError, match=r"gradient has shape .*, expected \(3, 3\)"):
                y.backward(wrong)
            with pytest.raises(ValueError, match=r"gradient has shape .*, expected \(3, 3\)"):
                tinydx.gradients(y, [x], wrong)


def test_a_backward_that_gives_another_shape_is_named(monkeypatch):
    """The backward before it may be a kernel, which would read behind this gradient."""
    monkeypatch.setattr(ops.exp, "backward", lambda dy, saved: (dy[:1],))
    x = tinydx.Tensor(ONES, requires_grad=True)
    with pytest.raises(ValueError, match=r"exp: gradient has shape \(1, 3\), expected \(3, 3\)"):
        ops.exp(ops.dense(x, ONES.T)).sum().backward()
