"""Regularizers: where penalties count, and what layers refuse.

That they agree with Keras's numbers is in test_keras_parity.py.
"""

import numpy as np
import pytest
from small import two_classes

import tinydx
from tinydx import Tensor, regularizers
from tinydx.layers import GRU, LSTM, Add, Bidirectional, Conv2D, Dense, Embedding, Flatten, Input, Layer, SimpleRNN
from tinydx.models import Model, Sequential, load_model
from tinydx.optimizers import SGD, Adam
from tinydx.regularizers import L1, L1L2, L2, Regularizer
from tinydx.testing import assert_gradients


def plain(w, l1=0.0, l2=0.0):
    """The penalty, number by number."""
    return sum(l1 * abs(float(v)) + l2 * float(v) ** 2 for v in np.ravel(w))


@pytest.mark.parametrize(
    ("regularizer", "factors"), [(L1(0.5), {"l1": 0.5}), (L2(0.25), {"l2": 0.25}), (L1L2(0.5, 2), {"l1": 0.5, "l2": 2})]
)
def test_penalties_number_by_number(regularizer, factors):
    w = np.random.default_rng(0).normal(size=(3, 4))
    assert float(regularizer(Tensor(w))) == pytest.approx(plain(w, **factors), rel=1e-12)
    assert_gradients(regularizer, w)


class Own(Regularizer):
    """A penalty that tinydx does not have."""

    def __init__(self, factor=0.5):
        self.factor = factor

    def __call__(self, w):
        return (w * w * w * w).sum() * self.factor


RECURRENT = {"kernel_regularizer": L2(0.5), "recurrent_regularizer": "l1", "bias_regularizer": L1(0.25)}
LAYERS = [
    (Dense(2, kernel_regularizer="l2", bias_regularizer=L1(0.5)), (4,)),
    (Conv2D(2, 2, kernel_regularizer=L1L2(0.5, 0.5), bias_regularizer=L2), (4, 4, 1)),
    (SimpleRNN(3, **RECURRENT), (4, 2)),
    (LSTM(3, **RECURRENT), (4, 2)),
    (GRU(3, **RECURRENT), (4, 2)),
    (Bidirectional(LSTM(3, **RECURRENT)), (4, 2)),
    (Embedding(5, 2, embeddings_regularizer=Own()), (3,)),
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=lambda v: getattr(v, "name", ""))
def test_every_argument_reaches_its_weight_and_is_saved(layer, shape, tmp_path):
    model = Sequential([layer])
    model.build((None, *shape))
    model.set_weights([w + 0.25 for w in model.get_weights()])
    expected = [
        regularizers.get(value) for name, value in (getattr(layer, "forward_layer", layer)).config.items() if "regul" in name
    ]
    expected = expected * 2 if isinstance(layer, Bidirectional) else expected
    assert len(model.losses) == len(expected) == len(model.weights)
    for penalty, w, regularizer in zip(model.losses, model.weights, expected, strict=True):
        assert float(penalty) == float(regularizer(w)) > 0
    model.save(tmp_path / "model")
    again = load_model(tmp_path / "model", {"Own": Own})
    assert [float(p) for p in again.losses] == [float(p) for p in model.losses]


def test_the_loss_is_that_of_the_data_plus_the_penalties():
    x, y = two_classes()
    layers = [Dense(6, activation="relu", input_shape=(5,), kernel_regularizer=L2(0.5)), Dense(1, activation="sigmoid")]
    model = Sequential(layers)
    model.compile(SGD(0.1), "binary_crossentropy")
    kernel = model.get_weights()[0]
    data = float(tinydx.losses.get("binary_crossentropy")(y, model.predict(x)))
    expected = data + plain(kernel, l2=0.5)
    assert model.evaluate(x, y, verbose=0) == pytest.approx(expected, rel=1e-5)
    assert model.test_on_batch(x, y) == pytest.approx(expected, rel=1e-5)
    weighted = model.test_on_batch(x, y, sample_weight=np.zeros(40))  # a penalty is no example's: no weight counts for it
    assert weighted == pytest.approx(plain(kernel, l2=0.5), rel=1e-5)
    assert model.train_on_batch(x, y, sample_weight=np.zeros(40)) == pytest.approx(weighted)
    np.testing.assert_allclose(model.get_weights()[0], kernel * (1 - 0.1 * 2 * 0.5), rtol=1e-5)


def test_a_factored_gradient_and_a_penalty():
    """The gradient of a large kernel stays x^T dy for Adam's kernel; with a penalty it is an array, and the sum of both."""
    x, y = np.random.default_rng(0).normal(size=(8, 2100)).astype("float32"), np.arange(8) % 2
    ends = []
    for fused in (True, False):
        tinydx.set_seed(0)
        layers = [Dense(512, activation="relu", input_shape=(2100,), kernel_regularizer="l2"), Dense(1, activation="sigmoid")]
        model = Sequential(layers)
        model.compile(Adam(0.01), "binary_crossentropy")
        with tinydx.use("auto", fused=fused):
            model.fit(x, y, epochs=3, shuffle=False, verbose=0)
        ends.append(model.get_weights())
    for a, b in zip(*ends, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_shared_weights_count_once_and_frozen_ones_not():
    shared = Dense(3, kernel_regularizer=L2(1.0))
    x = Input((3,))
    model = Model(x, Add()([shared(x), shared(shared(x))]))
    assert len(model.losses) == 1 and len(Sequential([model, shared]).losses) == 1
    shared.trainable = False
    assert model.losses == []


def test_a_layer_of_mine_can_have_penalties():
    class Scale(Layer):
        def build(self, input_shape):
            self.factor = self.add_weight("factor", input_shape[1:], "ones", regularizer=L1(0.5))

        def call(self, x, training=False):
            return x * self.factor

    model = Sequential([Scale(input_shape=(4,)), Flatten()])
    assert [float(p) for p in model.losses] == [2.0]


def test_functions_are_penalties_too():
    layer = Dense(2, kernel_initializer="ones", kernel_regularizer=lambda w: w.sum() * 0.5)
    layer.build((None, 3))
    assert float(layer.losses[0]) == 3.0


def test_a_penalty_that_is_not_finite_changes_nothing():
    x, y = two_classes()
    model = Sequential([Dense(1, activation="sigmoid", input_shape=(5,), kernel_regularizer=lambda w: (w * np.inf).sum())])
    model.compile("adam", "binary_crossentropy")
    before = model.get_weights()
    with pytest.raises(FloatingPointError, match="loss is"):
        model.train_on_batch(x, y)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_by_name_class_or_object():
    for name, kind in (("l1", L1), ("L2", L2), ("l1_l2", L1L2), ("L1L2", L1L2)):
        assert type(regularizers.get(name)) is kind
    assert type(regularizers.get(L2)) is L2 and regularizers.get(None) is None
    mine = L2(0.5)
    assert regularizers.get(mine) is mine and regularizers.l2 is L2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: regularizers.get("l3"), "unknown regularizer 'l3'; did you mean 'l2' or 'l1'"),
        (lambda: Dense(2, kernel_regularizer=0.01), "unknown regularizer 0.01"),
        (lambda: L2(-1), "L2: l2 is -1, expected 0 or a number above it"),
        (lambda: L1(float("nan")), "L1: l1 is nan"),
        (lambda: L1L2(l2=float("inf")), "L1L2: l2 is inf"),
    ],
)
def test_mistakes(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_regularizer_that_only_its_user_has(tmp_path):
    model = Sequential([Dense(2, input_shape=(3,), kernel_regularizer=Own(0.25))])
    model.save(tmp_path / "model")
    with pytest.raises(ValueError, match=r"uses 'Own', which tinydx does not know: load_model\(path, custom_objects="):
        load_model(tmp_path / "model")
    assert load_model(tmp_path / "model", {"Own": Own}).layers[0].config["kernel_regularizer"].factor == 0.25
    unnamed = Sequential([Dense(2, input_shape=(3,), kernel_regularizer=lambda w: w.sum())])
    with pytest.raises(TypeError, match=r"kernel_regularizer=.* cannot be saved"):
        unnamed.save(tmp_path / "model")
