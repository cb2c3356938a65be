"""Losses: their values by hand, scores and probabilities, alignment of labels, and bad labels.

The equations themselves, their gradients and weights are ops of the table and tested there; Keras's numbers are in
test_keras_parity.py.
"""

import numpy as np
import pytest

import tinydx
from tinydx import Tensor, losses, ops
from tinydx.layers import Dense, Embedding, SimpleRNN
from tinydx.losses import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    Huber,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    SparseCategoricalCrossentropy,
)
from tinydx.models import Sequential


def test_values_by_hand():
    p, t = np.array([[0.8], [0.3]]), np.array([[1], [0]])
    ln = np.log
    assert float(BinaryCrossentropy()(t, p)) == pytest.approx(-(ln(0.8) + ln(0.7)) / 2)
    assert float(BinaryCrossentropy(label_smoothing=0.2)(t, p)) == pytest.approx(
        -(0.9 * ln(0.8) + 0.1 * ln(0.2) + 0.1 * ln(0.3) + 0.9 * ln(0.7)) / 2
    )
    q = np.array([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]])
    assert float(SparseCategoricalCrossentropy()([1, 2], q)) == pytest.approx(-(ln(0.5) + ln(0.8)) / 2)
    one_hot = np.eye(3)[[1, 2]]
    assert float(CategoricalCrossentropy()(one_hot, q)) == pytest.approx(-(ln(0.5) + ln(0.8)) / 2)
    smooth = one_hot * 0.7 + 0.1
    assert float(CategoricalCrossentropy(label_smoothing=0.3)(one_hot, q)) == pytest.approx(-(smooth * ln(q)).sum() / 2)
    y, z = np.array([[1.0, 2.0]]), np.array([[1.5, -1.0]])
    assert float(MeanSquaredError()(y, z)) == pytest.approx((0.25 + 9) / 2)
    assert float(MeanAbsoluteError()(y, z)) == pytest.approx(3.5 / 2)
    assert float(Huber()(y, z)) == pytest.approx((0.125 + 2.5) / 2)


def test_sample_weights_by_hand():
    p, t, w = np.array([[0.8], [0.3], [0.5]]), np.array([1, 0, 1]), np.array([2.0, 0.0, 0.5])
    expected = -(2 * np.log(0.8) + 0.5 * np.log(0.5)) / 3  # divided by the number of examples, as Keras does
    assert float(BinaryCrossentropy()(t, p, w)) == pytest.approx(expected)
    assert float(BinaryCrossentropy()(t, p, w[:, None])) == pytest.approx(expected)


# ---- scores and probabilities ----------------------------------------------------------------------------------------


def test_model_with_sigmoid_learns_from_a_confident_mistake():
    model = Sequential([Dense(1, activation="sigmoid", input_shape=(1,))])
    model.set_weights([np.array([[40.0]]), np.array([0.0])])
    model.compile("sgd", "binary_crossentropy")
    assert model.train_on_batch(np.ones((1, 1)), np.zeros(1)) == 40
    assert model.get_weights()[1][0] == pytest.approx(-0.01)


def test_from_logits_equals_activation_before():
    z = np.random.default_rng(0).normal(size=(4, 3))
    t = np.array([0, 2, 1, 1])
    for plain, logits, target, activation in (
        (SparseCategoricalCrossentropy(), SparseCategoricalCrossentropy(from_logits=True), t, ops.softmax),
        (CategoricalCrossentropy(), CategoricalCrossentropy(from_logits=True), np.eye(3)[t], ops.softmax),
        (BinaryCrossentropy(), BinaryCrossentropy(from_logits=True), np.eye(3)[t], ops.sigmoid),
    ):
        on_probabilities = float(plain(target, activation(z)))
        assert float(logits(target, z)) == pytest.approx(on_probabilities, rel=1e-6)
        assert float(plain(target, activation(Tensor(z, requires_grad=True)))) == pytest.approx(on_probabilities, rel=1e-6)


# ---- labels --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [BinaryCrossentropy(), MeanSquaredError(), MeanAbsoluteError(), Huber()])
def test_labels_in_one_column(loss):
    """(N,) beside (N,1) is one column, and never (N,N); every other difference is an error with both shapes."""
    p = np.array([[0.9], [0.2], [0.6]])
    assert float(loss([1, 0, 1], p)) == float(loss([[1], [0], [1]], p)) == float(loss([1.0, 0.0, 1.0], p))
    for wrong in (np.zeros((3, 2)), np.zeros(2), np.zeros((1, 3)), np.zeros((3, 1, 1)), np.zeros(())):
        with pytest.raises(ValueError, match=r"labels have shape .*predictions \(3, 1\)") as caught:
            loss(wrong, p)
        assert str(wrong.shape) in str(caught.value)


def test_labels_for_several_classes():
    p = np.full((2, 3), 1 / 3)
    sparse, one_hot = SparseCategoricalCrossentropy(), CategoricalCrossentropy()
    assert float(sparse([[0], [2]], p)) == float(sparse([0, 2], p)) == float(sparse([0.0, 2.0], p))
    with pytest.raises(ValueError, match=r"labels have shape \(2, 3\).*expected labels \(2,\)"):
        sparse(np.eye(3)[[0, 2]], p)
    with pytest.raises(ValueError, match=r"\(2,\), predictions \(2, 3\); for class numbers use sparse_categorical"):
        one_hot([0, 2], p)


@pytest.mark.parametrize(
    ("loss", "labels", "message"),
    [
        (BinaryCrossentropy(), ["ill", "well"], "labels are <U4, expected numbers: encode names as 0, 1"),
        (BinaryCrossentropy(), [None, 1], "labels are object"),
        (BinaryCrossentropy(), [0, 2], "labels reach from 0 to 2, expected 0 to 1; for more than two classes use sparse"),
        (BinaryCrossentropy(), [-1, 1], "labels reach from -1 to 1"),
        (BinaryCrossentropy(), [np.nan, 1], "labels reach from nan"),
        (SparseCategoricalCrossentropy(), [0, 3], "labels reach from 0 to 3, expected whole numbers 0 to 2"),
        (SparseCategoricalCrossentropy(), [-1, 0], "from -1 to 0"),
        (SparseCategoricalCrossentropy(), [0.5, 1], "expected whole numbers"),
        (SparseCategoricalCrossentropy(), [np.nan, 1], "from nan"),
        (CategoricalCrossentropy(), [[0, 2, 0], [0, 0, 1]], "labels reach from 0 to 2"),
    ],
)
def test_bad_labels(loss, labels, message):
    p = np.full((2, 1 if isinstance(loss, BinaryCrossentropy) else 3), 0.3)
    with pytest.raises(ValueError, match=message):
        loss(labels, p)


def test_label_dtypes():
    p = np.array([[0.9], [0.2]])
    values = {float(BinaryCrossentropy()(np.array([1, 0]).astype(d), p)) for d in ("bool", "int8", "uint64", "float16")}
    assert values == {float(BinaryCrossentropy()([1, 0], p))}


def test_padded_steps_do_not_count():
    tinydx.set_seed(0)
    model = Sequential([Embedding(9, 4, mask_zero=True), SimpleRNN(3, return_sequences=True), Dense(9, activation="softmax")])
    words, following = np.array([[3, 5, 0, 0]]), np.array([[5, 1, 0, 0]])
    whole = float(SparseCategoricalCrossentropy()(following, model(words)))
    p = model(words[:, :2]).numpy()[0]
    assert whole == pytest.approx(-(np.log(p[0, 5]) + np.log(p[1, 1])) / 2, rel=1e-5)  # the mean of the two real ones
    words, following = np.repeat(words, 2, axis=0), np.repeat(following, 2, axis=0)
    weighted = float(SparseCategoricalCrossentropy()(following, model(words), np.array([3.0, 0.0])))
    assert weighted == pytest.approx(1.5 * whole, rel=1e-5)


# ---- by name, class, function --------------------------------------------------------------------------------------


def test_by_name_class_object_or_function():
    names = {"binary_crossentropy": BinaryCrossentropy, "mse": MeanSquaredError, "mae": MeanAbsoluteError, "huber": Huber}
    assert all(type(losses.get(n)) is kind for n, kind in names.items())
    assert type(losses.get(Huber)) is Huber
    mine = Huber(2.0)
    assert losses.get(mine) is mine and "delta=2.0" in repr(mine)
    squares = losses.get(lambda t, p: (p - t) ** 2)
    assert isinstance(squares, Loss) and float(squares(np.zeros((2, 1)), np.array([[1.0], [3.0]]))) == 5
    with pytest.raises(ValueError, match="takes no sample weights"):
        squares(np.zeros((2, 1)), np.ones((2, 1)), np.ones(2))
    for wrong, message in (("mean_squared_eror", "did you mean 'mean_squared_error'"), (3, "unknown loss 3")):
        with pytest.raises(ValueError, match=message):
            losses.get(wrong)
