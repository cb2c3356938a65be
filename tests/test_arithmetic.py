"""A Tensor among arrays: NumPy's functions run ops or are refused, in-place operators change numbers or raise, and what has no
gradient is an array. No call may give a right number and lose its gradient."""

import copy
import operator

import numpy as np
import pytest
from small import two_classes

import tinydx
from tinydx import Tensor, no_grad, ops
from tinydx.layers import Dense
from tinydx.models import Sequential
from tinydx.numpy_calls import FUNCTIONS, OF_NUMBERS, UFUNCS


def leaf(*shape, seed=0):
    """A float64 leaf of numbers between 0.5 and 2."""
    return Tensor(np.random.default_rng(seed).uniform(0.5, 2, shape), requires_grad=True)


def slope(function, x):
    """The gradient of the sum of function(x), by central differences on arrays."""
    dx = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[i] += 1e-6
        down[i] -= 1e-6
        dx[i] = (np.sum(function(up)) - np.sum(function(down))) / 2e-6
    return dx


# ---- NumPy's functions -------------------------------------------------------------------------------------------------

MATRIX = np.array([[1.0, 2.0], [3.0, -1.0], [0.5, 1.0]])
SAME = {
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "tanh": np.tanh,
    "negative": np.negative,
    "positive": np.positive,
    "square": np.square,
    "reciprocal": np.reciprocal,
    "add": lambda x: np.add(x, MATRIX.T),
    "subtract": lambda x: np.subtract(MATRIX.T, x),
    "multiply": lambda x: np.multiply(x, x),
    "divide": lambda x: np.true_divide(1.0, x),
    "matmul": lambda x: np.matmul(x, MATRIX),
    "power": lambda x: np.power(x, 3),
    "maximum": lambda x: np.maximum(x - 1.0, 0) + np.maximum(0.0, 1.0 - x),
    "array + x": lambda x: MATRIX.T + x,
    "array - x": lambda x: MATRIX.T - x,
    "array * x": lambda x: MATRIX.T * x,
    "array / x": lambda x: MATRIX.T / x,
    "array @ x": lambda x: MATRIX @ x,
    "number * x": lambda x: np.float64(3) * x + np.ones(()) * x,
    "sum": lambda x: np.sum(x, 0) * np.sum(x, axis=-1, keepdims=True),
    "mean": lambda x: np.mean(x) * np.mean(x, axis=(0, 1)) * x.mean(),
    "max": lambda x: np.max(x) * np.max(x, axis=0, keepdims=True),
    "amax": lambda x: np.amax(x, 1),
    "reshape": lambda x: np.reshape(x, (3, 2)) * MATRIX,
    "ravel": lambda x: np.ravel(x) * np.arange(6.0),
    "transpose": lambda x: np.transpose(x) * MATRIX * np.transpose(x, axes=(1, 0)),
    "swapaxes": lambda x: np.swapaxes(x, 0, -1) * MATRIX,
    "expand_dims": lambda x: np.expand_dims(x, -1) * np.expand_dims(x, 1),
    "squeeze": lambda x: np.squeeze(x[:, :1]) * np.squeeze(x[None], axis=0)[:, 1],
    "concatenate": lambda x: np.concatenate([x, MATRIX, x[:, :2]], axis=0) if x.shape[1] == 2 else np.concatenate((x, x * x)),
    "concatenate flat": lambda x: np.concatenate([x, MATRIX], axis=None) * np.arange(12.0),
    "stack": lambda x: np.stack([x, x * x], axis=1) * np.arange(3.0),
    "dot": lambda x: np.dot(x, MATRIX),
    "sum of a list": lambda x: sum([x, x * x]),
    "sum of the parts": lambda x: sum(x),
    "largest part": lambda x: max(x[0]) * min(x[1]),
}


@pytest.mark.parametrize("name", SAME)
def test_numpy_of_a_tensor_is_recorded(name):
    x = leaf(2, 3)
    y = SAME[name](x)
    assert isinstance(y, Tensor) and y.requires_grad
    np.testing.assert_allclose(y.numpy(), SAME[name](x.data), rtol=1e-12)
    y.backward(np.ones(y.shape))
    np.testing.assert_allclose(x.grad, slope(SAME[name], x.data), rtol=1e-6, atol=1e-6)


def test_every_function_of_the_table_is_tried_above():
    assert {*UFUNCS, *FUNCTIONS} - {"expit"} <= set(SAME)
    assert not ({*UFUNCS, *FUNCTIONS} & OF_NUMBERS)


def test_scipys_sigmoid_is_ours():
    special = pytest.importorskip("scipy.special")
    x = leaf(3)
    special.expit(x).sum().backward()
    p = 1 / (1 + np.exp(-x.data))
    np.testing.assert_allclose(x.grad, p * (1 - p))
    with pytest.raises(TypeError, match=r"^gammaln: tinydx has no op for it"):
        special.gammaln(x)


REFUSED = {
    "np.sinh: tinydx has no op": np.sinh,
    "np.absolute: tinydx has no op": np.abs,
    "np.maximum: tinydx has no op": lambda x: np.maximum(x, 1.0),
    "np.floor: tinydx has no op": np.floor,
    "np.where: tinydx has no op": lambda x: np.where(x > 1, x, 0.0),
    "np.clip: tinydx has no op": lambda x: np.clip(x, 0, 1),
    "np.var: tinydx has no op": np.var,
    "np.einsum: tinydx has no op": lambda x: np.einsum("ij->i", x),
    "np.linalg.norm: tinydx has no op": np.linalg.norm,
    "np.pad: tinydx has no op": lambda x: np.pad(x, 1),
    "np.add.reduce: tinydx has no op": np.add.reduce,
    "np.multiply.outer: tinydx has no op": lambda x: np.multiply.outer(x, x),
    "np.add cannot write a Tensor into an array": lambda x: np.add(x, 1.0, out=np.zeros((2, 3))),
    "np.greater cannot write a Tensor into an array": lambda x: np.greater(x, 1.0, out=np.zeros((2, 3), bool)),
    "np.sum of a Tensor: got an unexpected keyword argument 'dtype'": lambda x: np.sum(x, dtype="float64"),
    "np.exp of a Tensor: got an unexpected keyword argument 'where'": lambda x: np.exp(x, where=np.ones(3, bool)),
    "np.power of a Tensor: expected a number": lambda x: np.power(2.0, x),
    "expected a number as c": lambda x: x**x,
    "Tensor: a list of Tensors would lose": lambda x: Tensor([x[0, 0], x[0, 1]]),
    "no gradient flows into target": lambda x: ops.mean_squared_error(np.ones((2, 3)), target=x),
    "float: a Tensor of shape .* is not one number": float,
    "has no parts": lambda x: list(x.sum()),
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_would_lose_a_gradient_is_one_line(words):
    with pytest.raises(TypeError, match=words) as caught:
        REFUSED[words](leaf(2, 3))
    assert "\n" not in str(caught.value)


def test_an_array_does_not_swallow_a_tensor():
    array = np.zeros((2, 3))
    with pytest.raises(TypeError, match=r"np\.add cannot write a Tensor into an array"):
        array += leaf(2, 3)
    assert not array.any()


def test_functions_without_a_gradient_give_arrays():
    x = leaf(2, 3)
    a = x.data
    for y, expected in (
        (np.isfinite(x), np.isfinite(a)),
        (np.greater(1.0, x), np.greater(1.0, a)),
        (np.logical_and(x, x > 1), np.logical_and(a, a > 1)),
        (np.argmax(x, axis=1), np.argmax(a, axis=1)),
        (np.shape(x), (2, 3)),
        (np.zeros_like(x), np.zeros((2, 3))),
        (np.full_like(x, 2.0), np.full((2, 3), 2.0)),
        (np.allclose([x, x], [a, a]), True),
        (np.array_equal(x, a + 1), False),
    ):
        assert type(y) is type(expected)
        np.testing.assert_array_equal(y, expected)
    np.testing.assert_allclose(x, a)
    np.testing.assert_array_equal(np.asarray(x), a)
    assert float(x.sum()) == a.sum()


def half_numpy(true, p):
    """The mean of squared errors as a user of NumPy writes it."""
    return np.mean(np.square(np.subtract(p, np.asarray(true, p.dtype).reshape(-1, 1))))


def test_a_loss_in_numpy_trains_as_one_in_ops():
    x, y = two_classes()
    trained = []
    for loss in (half_numpy, "mean_squared_error"):
        tinydx.set_seed(0)
        model = Sequential([Dense(1, input_shape=(5,))])
        model.compile("sgd", loss)
        before = model.get_weights()
        model.fit(x, y, epochs=2, verbose=0)
        trained.append(model.get_weights())
        assert all((a != b).any() for a, b in zip(before, trained[-1], strict=True))
    for a, b in zip(*trained, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


# ---- in place ------------------------------------------------------------------------------------------------------------

IN_PLACE = {
    operator.iadd: operator.add,
    operator.isub: operator.sub,
    operator.imul: operator.mul,
    operator.itruediv: operator.truediv,
    operator.imatmul: operator.matmul,
    operator.ipow: operator.pow,
}


@pytest.mark.parametrize("change", IN_PLACE, ids=lambda f: f.__name__)
def test_in_place_operators_change_the_tensor_itself(change):
    other = 2 if change is operator.ipow else np.array([[2.0, 1, 3], [4, 2, 1], [1, 5, 2]])
    for x in (leaf(3, 3), Tensor(np.ones((3, 3)))):
        expected = IN_PLACE[change](x.data, other)
        with no_grad():
            same = x
            x = change(x, other)
        assert x is same
        np.testing.assert_array_equal(x.data, expected)
    x = change(Tensor(np.eye(3)), other)  # nothing to record: in place, too
    np.testing.assert_array_equal(x.data, IN_PLACE[change](np.eye(3), other))


def test_gradient_descent_by_hand():
    p = leaf(3)
    before = p.data.copy()
    (p * p).sum().backward()
    with no_grad():
        for w in [p]:
            w -= 0.25 * w.grad
    np.testing.assert_allclose(p.data, before / 2)
    assert p.requires_grad and p.node is None


def test_a_result_keeps_the_numbers_it_was_computed_from():
    p, x = leaf(3), leaf(3, seed=1)
    y = (p * x).sum()
    before = p.data.copy()
    with no_grad():
        p *= 100.0
        p[0] = -1.0
    y.backward()
    np.testing.assert_array_equal(x.grad, before)


@pytest.mark.parametrize("change", IN_PLACE, ids=lambda f: f.__name__)
def test_a_weight_does_not_change_while_the_tape_records(change):
    p = Tensor(np.eye(3), requires_grad=True, name="dense/kernel")
    with pytest.raises(RuntimeError, match=r"^dense/kernel changes in place only inside `with no_grad\(\):`"):
        change(p, 2 if change is operator.ipow else np.ones((3, 3)))
    with pytest.raises(RuntimeError, match=r"^dense/kernel\[...\] = ... would lose a gradient"):
        p[0] = 1.0
    np.testing.assert_array_equal(p.data, np.eye(3))


def test_sums_that_the_tape_records_are_new_tensors():
    x = leaf(3)
    total = start = Tensor(0.0)
    for part in (x, x * x):
        total += part.sum()
    total.backward()
    np.testing.assert_allclose(x.grad, 1 + 2 * x.data)
    assert float(start) == 0
    with no_grad():
        with pytest.raises(RuntimeError, match="computed with a gradient and cannot change in place"):
            total += 1.0
        with pytest.raises(RuntimeError, match="computed with a gradient and cannot change in place"):
            total[()] = 1.0


def test_in_place_keeps_shape_and_dtype():
    x = Tensor(np.ones(3, "float32"))
    x += np.ones(3)
    assert x.dtype == np.float32
    with pytest.raises(ValueError, match=r"has shape \(3,\), and cannot become \(2, 3\) in place"):
        x += np.ones((2, 3), "float32")
    x[1:] = [5.0, 6.0]
    assert x.data.tolist() == [2, 5, 6]
    with pytest.raises(RuntimeError, match="would lose a gradient"):
        x[0] = leaf(1)[0]


# ---- comparisons, truth, parts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compare", [operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne])
def test_comparisons_are_arrays_of_bool(compare):
    x = Tensor([[1.0, 2.0, 3.0]])
    for other in (2.0, np.full((1, 3), 2.0), Tensor([2.0]), np.float32(2)):
        for y, expected in ((compare(x, other), compare(x.data, 2.0)), (compare(other, x), compare(2.0, x.data))):
            assert isinstance(y, np.ndarray) and y.dtype == bool
            np.testing.assert_array_equal(y, expected)


def test_truth_is_that_of_the_number():
    assert Tensor(0.5) and not Tensor([0.0]) and not Tensor([1.0]) < 0
    for ambiguous in (Tensor([1.0, 2.0]), Tensor([1.0, 2.0]) > 0):
        with pytest.raises(ValueError, match="ambiguous"):
            bool(ambiguous)
    assert 2.0 in Tensor([1.0, 2.0]) and 3.0 not in Tensor([1.0, 2.0])


def test_a_tensor_is_a_key_by_what_it_is():
    a, b = Tensor([1.0]), Tensor([1.0])
    assert len({a, b, a}) == 2
    assert [a, b].index(b) == 0, "a list compares numbers"


def test_copies():
    x = leaf(3)
    (x * x).sum().backward()
    x.mask = np.ones(3, bool)
    for y in (copy.copy(x), copy.deepcopy(x), copy.deepcopy([x])[0]):
        assert y is not x and y.requires_grad and y.mask.all() and y.grad is None
        np.testing.assert_array_equal(y.data, x.data)
        y.data[0] = 9
    assert x.data[0] != 9
    with pytest.raises(TypeError, match=r"a result of the tape cannot be copied or pickled"):
        copy.deepcopy(x * x)
