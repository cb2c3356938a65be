"""Optimizers: their rules number by number, limits on gradients, and what they refuse.

That they agree with Keras's numbers is in test_keras_parity.py.
"""

import copy
import math

import numpy as np
import pytest

import tinydx
from tinydx import Tensor, losses, optimizers
from tinydx.optimizers import SGD, SLICE, Adagrad, Adam, AdamW, RMSprop

# Each rule for one number, written down a second time: (weight, memory, gradient, step) -> (weight, memory).


def sgd(w, m, g, t):
    return w - 0.1 * g, m


def momentum(w, m, g, t):
    m["v"] = 0.9 * m.get("v", 0.0) - 0.1 * g
    return w + m["v"], m


def nesterov(w, m, g, t):
    m["v"] = 0.9 * m.get("v", 0.0) - 0.1 * g
    return w + 0.9 * m["v"] - 0.1 * g, m


def adam(w, m, g, t):
    m["m"] = 0.9 * m.get("m", 0.0) + 0.1 * g
    m["v"] = 0.999 * m.get("v", 0.0) + 0.001 * g * g
    alpha = 0.1 * math.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    return w - alpha * m["m"] / (math.sqrt(m["v"]) + 1e-7), m


def adamw(w, m, g, t):
    return adam(w - 0.1 * 0.05 * w, m, g, t)


def rmsprop(w, m, g, t):
    m["v"] = 0.9 * m.get("v", 0.0) + 0.1 * g * g
    return w - 0.1 * g / math.sqrt(m["v"] + 1e-7), m


def centered(w, m, g, t):
    m["v"] = 0.9 * m.get("v", 0.0) + 0.1 * g * g
    m["a"] = 0.9 * m.get("a", 0.0) + 0.1 * g
    m["m"] = 0.5 * m.get("m", 0.0) + 0.1 * g / math.sqrt(m["v"] - m["a"] ** 2 + 1e-7)
    return w - m["m"], m


def adagrad(w, m, g, t):
    m["v"] = m.get("v", 0.1) + g * g
    return w - 0.1 * g / math.sqrt(m["v"] + 1e-7), m


RULES = [
    (lambda: SGD(0.1), sgd),
    (lambda: SGD(0.1, momentum=0.9), momentum),
    (lambda: SGD(0.1, momentum=0.9, nesterov=True), nesterov),
    (lambda: Adam(0.1), adam),
    (lambda: AdamW(0.1, weight_decay=0.05), adamw),
    (lambda: RMSprop(0.1), rmsprop),
    (lambda: RMSprop(0.1, momentum=0.5, centered=True), centered),
    (lambda: Adagrad(0.1), adagrad),
]


@pytest.mark.parametrize(("make", "rule"), RULES, ids=lambda v: getattr(v, "__name__", ""))
def test_rules_number_by_number(make, rule):
    rng, optimizer = np.random.default_rng(0), make()
    weight = Tensor(rng.normal(size=(2, 3)), requires_grad=True)
    expected, memories = weight.data.ravel().tolist(), [{} for _ in range(6)]
    for step in range(1, 8):
        gradient = rng.normal(size=(2, 3))
        optimizer.apply([gradient], [weight])
        for i, g in enumerate(gradient.ravel()):
            expected[i], memories[i] = rule(expected[i], memories[i], float(g), step)
        np.testing.assert_allclose(weight.data.ravel(), expected, rtol=1e-12)
    assert optimizer.iterations == 7


@pytest.mark.parametrize("make", [r[0] for r in RULES])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_weights_in_slices_and_any_memory_order(make, dtype):
    """Slices are a matter of speed: each number moves as it would alone, in the weight's dtype."""
    rng, n = np.random.default_rng(0), SLICE + 5
    start, gradients = rng.normal(size=(2, n)).astype(dtype), rng.normal(size=(3, 2, n)).astype(dtype)
    picks = [0, 1, SLICE - 1, SLICE, n - 1]
    large, few = Tensor(np.asfortranarray(start)), Tensor(start[:, picks].copy())
    one, other = make(), make()
    for g in gradients:
        one.apply([np.asfortranarray(g)], [large])
        other.apply([g[:, picks]], [few])
    np.testing.assert_array_equal(large.data[:, picks], few.data)
    assert large.dtype == dtype and all(slot.dtype == dtype for slot in one.slots[0])
    assert (large.data != start).all()


def test_several_weights_have_their_own_memory():
    together, alone = Adam(0.1), [Adam(0.1), Adam(0.1)]
    a, b, c, d = (Tensor(np.array([v])) for v in (1.0, 2.0, 1.0, 2.0))
    for g in (1.0, -2.0, 3.0):
        together.apply([np.array([g]), np.array([g * g])], [a, b])
        alone[0].apply([np.array([g])], [c])
        alone[1].apply([np.array([g * g])], [d])
    assert a.data == c.data and b.data == d.data


@pytest.mark.parametrize("make", [*(r[0] for r in RULES), lambda: AdamW(0.1, weight_decay=0.3), lambda: Adam(0.1, clipnorm=0.1)])
def test_small_weights_are_updated_together_with_the_bits_of_each_alone(make):
    """Under a trace each goes alone. Also where one has no gradient, and where the memory is replaced by a copy."""
    rng = np.random.default_rng(0)
    start = [rng.normal(size=shape).astype("float32") for shape in [(3, 5), (17,), (1,), (5000,), (4096,), (2, 2, 2)]]
    gradients = [[rng.normal(size=a.shape).astype("float32") for a in start] for _ in range(5)]
    gradients[2][1] = None

    def moved(optimizer):
        weights = [Tensor(a.copy()) for a in start]
        for k, g in enumerate(gradients):
            optimizer.apply(g, weights)
            if k == 3:
                optimizer.slots = [[a.copy() for a in slots] for slots in optimizer.slots]
        return [*(w.data for w in weights), *(a for slots in optimizer.slots for a in slots)]

    with tinydx.trace() as ran:
        wanted = moved(make())
    assert len(ran) == 29
    for a, b in zip(moved(make()), wanted, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_copied_optimizer_moves_its_own_memory():
    one = Adam(0.1)
    weights = [Tensor(np.ones(3, "float32")), Tensor(np.ones((2, 2), "float32"))]
    gradients = [np.ones(3, "float32"), np.ones((2, 2), "float32")]
    one.apply(gradients, weights)
    other = copy.deepcopy(one)
    before = [a.copy() for slots in other.slots for a in slots]
    one.apply(gradients, weights)
    assert all(np.array_equal(a, b) for a, b in zip(before, (a for slots in other.slots for a in slots), strict=True))
    other.apply(gradients, weights)
    assert all(np.array_equal(a, b) for x, y in zip(one.slots, other.slots, strict=True) for a, b in zip(x, y, strict=True))


def test_weight_without_gradient_stays():
    optimizer = AdamW(0.1)
    a, b = Tensor(np.ones(2)), Tensor(np.ones(2))
    optimizer.apply([None, np.ones(2)], [a, b])
    assert np.array_equal(a.data, np.ones(2)) and (b.data < 1).all()


# ---- averages ------------------------------------------------------------------------------------------------------


def averages_of(optimizer):
    return [slots[optimizer.slot_names.index("weight_average")] for slots in optimizer.slots]


AVERAGING = {"use_ema": True, "ema_momentum": 0.75}
MAKERS = [
    lambda **common: SGD(0.1, **common),
    lambda **common: SGD(0.1, momentum=0.9, **common),
    lambda **common: RMSprop(0.1, momentum=0.5, centered=True, **common),
    lambda **common: Adagrad(0.1, **common),
    lambda **common: AdamW(0.1, **common),
]


@pytest.mark.parametrize("make", MAKERS)
def test_the_average_follows_and_the_steps_are_the_same(make):
    rng, averaging, plain = np.random.default_rng(0), make(**AVERAGING), make()
    a, b = Tensor(rng.normal(size=(2, 3))), Tensor(np.zeros((2, 3)))
    b.data[...] = a.data
    expected = None
    for _ in range(6):
        g = rng.normal(size=(2, 3))
        averaging.apply([g], [a])
        plain.apply([g], [b])
        np.testing.assert_array_equal(a.data, b.data)
        now = b.data.ravel().tolist()
        expected = now if expected is None else [0.75 * e + 0.25 * v for e, v in zip(expected, now, strict=True)]
        np.testing.assert_allclose(averages_of(averaging)[0].ravel(), expected, rtol=1e-12)
    assert len(set(averaging.slot_names)) == len(averaging.slot_names) == len(averaging.slots[0])
    before = a.data
    averaging.finalize_variable_values([a])
    assert a.data is before  # in place: a captured GPU step knows its address
    np.testing.assert_allclose(a.data.ravel(), expected, rtol=1e-12)


def test_every_few_steps_the_weights_become_their_averages():
    optimizer, w = SGD(1.0, ema_overwrite_frequency=3, **AVERAGING), Tensor(np.array([8.0]))
    path = []
    for _ in range(6):
        optimizer.apply([np.array([1.0])], [w])
        path.append(float(w.data[0]))
    third = 0.75 * (0.75 * 7 + 0.25 * 6) + 0.25 * 5
    fourth = 0.75 * third + 0.25 * (third - 1)
    fifth = 0.75 * fourth + 0.25 * (third - 2)
    assert path == pytest.approx([7, 6, third, third - 1, third - 2, 0.75 * fifth + 0.25 * (third - 3)])


def test_the_average_of_a_weight_without_gradient():
    optimizer, w, unused = SGD(1.0, **AVERAGING), Tensor(np.ones(2)), Tensor(np.ones(2))
    for _ in range(3):
        optimizer.apply([np.ones(2), None], [w, unused])
    assert averages_of(optimizer)[1].tolist() == [1, 1]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("backend", ["numpy", "auto"])
def test_averages_of_large_weights_in_any_memory_order(dtype, backend):
    rng, n = np.random.default_rng(0), SLICE + 5
    start, gradients = rng.normal(size=(2, n)).astype(dtype), rng.normal(size=(3, 2, n)).astype(dtype)
    optimizer, w = SGD(0.1, **AVERAGING), Tensor(np.asfortranarray(start))
    expected, moved = None, start
    with tinydx.use(backend):
        for g in gradients:
            optimizer.apply([np.asfortranarray(g)], [w])
            moved = moved - np.dtype(dtype).type(0.1) * g
            expected = moved if expected is None else 0.75 * expected + 0.25 * moved
    np.testing.assert_allclose(averages_of(optimizer)[0], expected, rtol=0, atol=1e-6 if dtype == "float32" else 1e-14)
    assert averages_of(optimizer)[0].dtype == dtype


def test_nothing_to_finalize():
    for optimizer in (SGD(0.1), SGD(0.1, use_ema=True)):
        w = Tensor(np.ones(2))
        optimizer.finalize_variable_values([w])
        assert w.data.tolist() == [1, 1]


# ---- limits --------------------------------------------------------------------------------------------------------


def steps_of(optimizer, gradients):
    weights = [Tensor(np.zeros_like(g)) for g in gradients]
    optimizer.apply(gradients, weights)
    return [-w.data for w in weights]


def test_limits():
    g = [np.array([3.0, -4.0]), np.array([0.3])]
    np.testing.assert_allclose(np.concatenate(steps_of(SGD(1.0, clipvalue=2.0), g)), [2, -2, 0.3])
    np.testing.assert_allclose(np.concatenate(steps_of(SGD(1.0, clipnorm=1.0), g)), [0.6, -0.8, 0.3])
    norm = math.sqrt(9 + 16 + 0.09)
    np.testing.assert_allclose(np.concatenate(steps_of(SGD(1.0, global_clipnorm=1.0), g)), np.array([3, -4, 0.3]) / norm)
    np.testing.assert_allclose(np.concatenate(steps_of(SGD(1.0, global_clipnorm=9.0), g)), [3, -4, 0.3])


def test_gradients_are_not_written_into():
    for optimizer in (SGD(0.1, clipnorm=0.1), SGD(0.1, clipvalue=0.1), Adam(0.1), SGD(0.1, momentum=0.9)):
        g = np.array([3.0, 4.0])
        optimizer.apply([g], [Tensor(np.zeros(2))])
        assert g.tolist() == [3, 4]


@pytest.mark.parametrize("kind", [SGD, Adam, RMSprop, Adagrad])
def test_weight_decay_before_the_step(kind):
    decaying, plain = kind(0.1, weight_decay=0.5), kind(0.1)
    a, b = Tensor(np.array([2.0])), Tensor(np.array([2.0 - 0.1 * 0.5 * 2.0]))
    decaying.apply([np.array([1.0])], [a])
    plain.apply([np.array([1.0])], [b])
    np.testing.assert_allclose(a.data, b.data, rtol=1e-12)


# ---- what they refuse ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_gradient_that_is_not_finite_changes_nothing(bad):
    optimizer = Adam(0.1)
    a, b = Tensor(np.ones(2), name="conv/kernel"), Tensor(np.ones(2), name="dense/kernel")
    optimizer.apply([np.ones(2), np.ones(2)], [a, b])
    before = [w.data.copy() for w in (a, b)], [s.copy() for slots in optimizer.slots for s in slots]
    with pytest.raises(FloatingPointError, match="gradient of dense/kernel is not finite"):
        optimizer.apply([np.ones(2), np.array([1.0, bad])], [a, b])
    after = [w.data for w in (a, b)], [s for slots in optimizer.slots for s in slots]
    assert all(np.array_equal(x, y) for p, q in zip(before, after, strict=True) for x, y in zip(p, q, strict=True))
    assert optimizer.iterations == 1


def test_other_weights_than_before():
    optimizer = SGD(0.1, momentum=0.9)
    optimizer.apply([np.ones(2)], [Tensor(np.ones(2))])
    with pytest.raises(ValueError, match="SGD: remembers 1 weights, got 2: compile again"):
        optimizer.apply([np.ones(2)] * 2, [Tensor(np.ones(2)), Tensor(np.ones(2))])
    with pytest.raises(ValueError, match=r"SGD: remembers w as \(2,\), got \(3,\): compile again"):
        optimizer.apply([np.ones(3)], [Tensor(np.ones(3), name="w")])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: optimizers.get("adma"), ValueError, "unknown optimizer 'adma'; did you mean 'adam'"),
        (lambda: optimizers.get("rmsporp"), ValueError, "did you mean 'rmsprop'"),
        (lambda: optimizers.get(None), ValueError, "unknown optimizer None"),
        (lambda: Adam(0), ValueError, "Adam: learning_rate is 0, expected a number above 0"),
        (lambda: Adam(float("nan")), ValueError, "learning_rate is nan"),
        (lambda: SGD("fast"), ValueError, "SGD: learning_rate is 'fast'"),
        (lambda: SGD(0.1, use_ema=True, ema_momentum=1.5), ValueError, "SGD: ema_momentum is 1.5, expected 0 to 1"),
        (
            lambda: Adam(use_ema=True, ema_overwrite_frequency=0),
            ValueError,
            "Adam: ema_overwrite_frequency is 0, expected a whole",
        ),
        (lambda: Adam(ema_overwrite_frequency=2.5), ValueError, "ema_overwrite_frequency is 2.5"),
        (lambda: SGD(0.1, clipnorm=-1), ValueError, "clipnorm is -1"),
        (lambda: SGD(0.1, clipnorm=1, clipvalue=1), ValueError, "clipnorm and clipvalue are given, expected one"),
        (lambda: losses.get("binary_crossentrpy"), ValueError, "did you mean 'binary_crossentropy'"),
    ],
)
def test_mistakes(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_by_name_class_or_object():
    assert type(optimizers.get("RMSprop")) is RMSprop and type(optimizers.get(Adam)) is Adam
    mine = SGD(np.float32(0.5))
    assert optimizers.get(mine) is mine and isinstance(mine.learning_rate, float)
    assert [optimizers.get(n).learning_rate for n in ("sgd", "rmsprop", "adagrad", "adam", "adamw")] == [0.01] + 4 * [0.001]
