"""Explanations of other models: residual, recurrent, of tables and words, softmax apart, several axes of outputs, ensembles."""

from pathlib import Path

import numpy as np
import pytest

import tinydx
from tinydx import explain
from tinydx.explain.checks import METHODS
from tinydx.layers import (
    GRU,
    LSTM,
    Activation,
    Add,
    Average,
    BatchNormalization,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePooling2D,
    Input,
    Reshape,
)
from tinydx.models import Model, Sequential

VALUES = np.load(Path(__file__).parent / "explain_reference" / "others.npz")


def given(*names):
    return [VALUES[name] for name in names]


def close(found, name):
    return np.abs(found - VALUES[name]).max() < 1e-6


def residual(last="softmax"):
    x = Input((8, 6, 1), dtype="float64")
    a = Conv2D(4, 3, padding="same", activation="relu", name="first")(x)
    b = BatchNormalization()(Conv2D(4, 3, padding="same")(a))
    mean = GlobalAveragePooling2D()(Activation("relu", name="sum")(Add()([a, b])))
    model = Model(x, Dense(2, activation=last)(Dropout(0.5)(mean)))
    names = [f"{kind}{k}" for k in (1, 2) for kind in ("kernel", "bias")]
    names += ["gamma", "beta", "mean", "variance", "dense", "dense_bias"]
    model.set_weights(given(*(f"residual_{name}" for name in names)))
    return model


def last_state(name):
    """An LSTM's last state and a dense layer; the second model is of word ids."""
    if name == "lstm":
        layers = [LSTM(4, input_shape=(6, 3)), Dense(1, activation="sigmoid")]
    else:
        layers = [Embedding(20, 4, input_shape=(None,)), LSTM(3), Dense(2, activation="softmax")]
    model = Sequential(layers)
    vectors = given("words_vectors") if name == "words" else []
    parts = (f"{name}_{part}" for part in ("kernel", "recurrent", "bias", "dense", "dense_bias"))
    model.set_weights([*vectors, *given(*parts)])
    return model


def table():
    model = Sequential([Dense(8, activation="tanh", input_shape=(5,)), Dense(3), Activation("softmax")])
    model.set_weights(given("table_kernel1", "table_bias1", "table_kernel2", "table_bias2"))
    return model


# ---- beside Captum and PyTorch -------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["numpy", "auto"])
@pytest.mark.parametrize("last", ["softmax", None])
def test_residual_network_beside_captum(backend, last):
    model, x = residual(last), VALUES["residual_x"]
    with tinydx.use(backend):
        assert close(explain.gradient(model, x, 1).map, "residual_gradient")
        found = explain.grad_cam(model, x, 1)
        assert found.layer == "sum" and close(found.layer_map, "residual_grad_cam")
        assert close(explain.grad_cam(model, x, 1, layer="first").layer_map, "residual_grad_cam_first")
        assert close(explain.occlusion(model, x, 1, patch=(2, 3)).map, "residual_occlusion")


def test_recurrent_network_beside_captum():
    model, x = last_state("lstm"), VALUES["lstm_x"]
    assert close(explain.gradient(model, x, 0).map, "lstm_gradient")  # of one sigmoid, the first class
    assert close(explain.integrated_gradients(model, x, 0).map, "lstm_integrated_gradients")
    assert np.array_equal(explain.gradient(model, x, 1).map, -explain.gradient(model, x, 0).map)


def test_table_beside_captum():
    model, x, origin = table(), VALUES["table_x"], VALUES["table_baseline"][0]
    assert close(explain.gradient(model, x, 2).map, "table_gradient")
    assert close(explain.integrated_gradients(model, x, 2, baseline=origin).map, "table_integrated_gradients")
    values = explain.shapley_values(model, x, 2, groups=np.arange(5), baseline=origin)
    assert np.abs(values.values - VALUES["table_shapley_values"]).max() < 2e-6  # Captum adds these up in float32


def test_words_beside_captum():
    model, ids = last_state("words"), VALUES["words_x"]
    assert close(explain.gradient(model, ids, 0).map, "words_gradient")
    assert close(explain.integrated_gradients(model, ids, 0).map, "words_integrated_gradients")


# ---- names of the parts --------------------------------------------------------------------------------------------


def test_the_sentence_names_the_columns_of_a_table():
    columns = ["age", "sex", "fever", "cough", "lymphocytes"]
    x = VALUES["table_x"]
    found = explain.integrated_gradients(table(), x, 2).named(columns)
    strongest = [columns[i] for i in np.argsort(-found.map[0]) if found.map[0, i] > 0][:3]
    against = [columns[i] for i in np.argsort(found.map[0]) if found.map[0, i] < 0][:3]
    for name in strongest:
        assert name in found.sentence.split("away from it by")[0]
    for name in against:
        assert name in found.sentence.split("away from it by")[1]
    assert found[1].parts == columns and found[1].sentence != found.sentence
    grouped = explain.shapley_values(table(), x, 2, groups=[0, 0, 1, 1, 2]).named(["person", "symptoms", "blood"])
    assert all(name in grouped.sentence for name in ("person", "symptoms", "blood"))
    with pytest.raises(ValueError, match="4 names for a map"):
        found.named(columns[:4])


# ---- logits, wherever they are -------------------------------------------------------------------------------------


def test_the_output_may_be_reshaped():
    plain = Sequential([Dense(3, activation="softmax", input_shape=(4,))])
    reshaped = Sequential([Dense(3, activation="softmax", input_shape=(4,)), Reshape((3,))])
    reshaped.set_weights(plain.get_weights())
    x = np.random.default_rng(0).normal(size=(2, 4)).astype("float32")
    assert np.array_equal(explain.gradient(plain, x, 1).map, explain.gradient(reshaped, x, 1).map)


@pytest.mark.parametrize("classes", [1, 3])
def test_an_ensemble_is_explained_by_its_members_logits(classes):
    x, last = Input((4,), dtype="float64"), "sigmoid" if classes == 1 else "softmax"
    members = [Sequential([Dense(classes, activation=last, input_shape=(4,))]) for _ in range(3)]
    rng = np.random.default_rng(0)
    for member in members:
        member.set_weights([30 * rng.normal(size=w.shape) for w in member.get_weights()])  # probabilities of 0 and 1
    ensemble = Model(x, Average()([member(x) for member in members]))
    want = np.mean([member.get_weights()[0] for member in members], axis=0)
    found = explain.gradient(ensemble, rng.normal(size=(5, 4)), 1 if classes == 1 else 2)
    assert np.abs(found.map - want[:, -1]).max() < 1e-10


def test_grad_cam_of_an_ensemble_is_the_mean_of_its_members():
    x, members = Input((8, 6, 1), dtype="float64"), [residual(), residual()]
    rng = np.random.default_rng(0)
    members[1].set_weights([w + 0.3 * rng.random(w.shape) for w in members[1].get_weights()])
    ensemble = Model(x, Average()([member(x) for member in members]))
    found = explain.grad_cam(ensemble, VALUES["residual_x"], 1)
    want = np.mean([explain.grad_cam(member, VALUES["residual_x"], 1).layer_map for member in members], axis=0)
    assert np.abs(found.layer_map - want).max() < 1e-12 and found.layer == "sum, sum"


def test_a_probability_that_is_used_further_is_no_output():
    gates = Sequential([Dense(3, activation="sigmoid", input_shape=(4,)), Dense(2)])
    x = np.random.default_rng(0).normal(size=(2, 4)).astype("float32")
    assert np.allclose(explain.gradient(gates, x, 1).score, gates.predict(x)[:, 1], atol=1e-6)


# ---- each method on each kind of model -----------------------------------------------------------------------------

MODELS = {
    "one logit": lambda: Sequential([Conv2D(3, 3, activation="relu", input_shape=(7, 6, 2)), Flatten(), Dense(1)]),
    "softmax apart": lambda: Sequential(
        [Conv2D(3, 3, activation="relu", input_shape=(7, 6, 2)), Flatten(), Dense(2), Activation("softmax")]
    ),
    "nested": lambda: Sequential(
        [Sequential([Conv2D(3, 3, activation="relu", input_shape=(7, 6, 2)), GlobalAveragePooling2D()]), Dense(2)]
    ),
    "recurrent": lambda: Sequential([GRU(4, input_shape=(7, 3), return_sequences=True), LSTM(4), Dense(2, activation="softmax")]),
    "words": lambda: Sequential([Embedding(20, 4, mask_zero=True, input_shape=(None,)), GRU(4), Dense(1, activation="sigmoid")]),
    "table": lambda: Sequential([Dense(6, activation="relu", input_shape=(5,)), Dense(1, activation="sigmoid")]),
}
NEEDS = {"grad_cam": "a convolution", "guided_backpropagation": "a ReLU"}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", MODELS)
def test_one_example_is_a_batch_of_one_and_the_target_has_a_name(name, method):
    tinydx.set_seed(0)
    model, rng = MODELS[name](), np.random.default_rng(1)
    model.class_names = ["flu", "none"]
    x = rng.integers(1, 20, (3, 6)) if model.takes_ids else rng.normal(size=(3, *model.input_shape[1:])).astype("float32")
    try:
        batch = METHODS[method](model, x, "none")
    except ValueError as error:
        assert NEEDS[method] in str(error)
        return
    one = METHODS[method](model, x[1], 1)
    assert one.map.shape == (1, *batch.map.shape[1:]) and np.isfinite(batch.map).all()
    assert np.allclose(one.map[0], batch.map[1], atol=1e-5) and one.target == batch.target == "none"
    several = METHODS[method](model, x, ["none", 0, "flu"])
    assert several.targets == ["none", "flu", "flu"] and np.allclose(several.map[0], batch.map[0], atol=1e-5)
