"""Frozen layers and features: what training may change, what it costs, and models that share the layers of another one."""

import copy
import gc
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import noisy_model, same_weights, two_classes

import tinydx
from tinydx.layers import (
    Activation,
    Add,
    BatchNormalization,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    Input,
)
from tinydx.models import Model, Sequential, load_model
from tinydx.tensor import topological

X, Y = two_classes()


def bits(layer):
    return [w.tobytes() for w in layer.get_weights()]


def compiled(model):
    model.compile("adam", "binary_crossentropy")
    return model


def branched():
    """A functional model with two branches, a shared layer, and normalisation."""
    x = Input((5,))
    shared = Dense(4, activation="tanh", name="shared")
    h = BatchNormalization(name="norm")(Add(name="sum")([shared(x), shared(Dense(5, name="first")(x))]))
    return compiled(Model(x, Dense(1, activation="sigmoid", name="last")(h)))


def small_cnn():
    """Two convolutions with normalisation, and a sigmoid."""
    layers = [Conv2D(3, 3, input_shape=(8, 8, 1)), BatchNormalization(), Activation("relu"), Conv2D(4, 3, activation="relu")]
    return compiled(Sequential([*layers, GlobalAveragePooling2D(name="mean"), Dense(1, activation="sigmoid")]))


# ---- frozen layers -------------------------------------------------------------------------------------------------


@given(st.sampled_from([noisy_model, branched]), st.integers(0, 2**5 - 2))
def test_frozen_weights_keep_their_bits_and_all_others_change(build, chosen):
    tinydx.set_seed(0)
    model = build()
    with_weights = [layer for layer in model.layers if layer.weights]
    for i, layer in enumerate(with_weights[:-1]):  # the last one is trained
        layer.trainable = not chosen >> i & 1
    compiled(model)
    before = {layer: bits(layer) for layer in with_weights}
    model.fit(X, Y, epochs=1, batch_size=8, verbose=0)
    for layer in with_weights:
        changed = [a != b for a, b in zip(before[layer], bits(layer), strict=True)]
        assert all(changed) if layer.trainable else not any(changed), layer.name


def test_a_frozen_normalisation_trains_the_rest_as_it_predicts():
    model = noisy_model()
    model.fit(X, Y, epochs=2, verbose=0)
    norm = model.layers[1]
    norm.trainable = False
    x = np.random.default_rng(1).normal(3, 2, (6, 8)).astype("float32")
    assert norm(x, training=True).numpy().tobytes() == norm(x, training=False).numpy().tobytes()
    norm.trainable = True
    assert not np.allclose(norm(x, training=True).numpy(), norm(x, training=False).numpy())


def test_frozen_layers_below_are_not_on_the_tape():
    model, x = small_cnn(), np.zeros((2, 8, 8, 1), "float32")

    def recorded():
        return [node.op.name for node in topological(model.prediction(x, training=True).node)]

    assert "correlate2d" in recorded()
    for layer in model.layers[:-1]:
        layer.trainable = False
    assert recorded() == ["dense", "sigmoid"]


def test_a_frozen_model_trains_nothing_inside_and_says_so():
    model = noisy_model()
    model.trainable = False
    model.layers[-1].trainable = True  # as in Keras, the outer one decides
    assert model.trainable_weights == [] and len(model.non_trainable_weights) == len(model.weights)
    before = model.get_weights()
    with pytest.raises(ValueError, match="no weights that training may change: set trainable = True, then compile"):
        compiled(model).fit(X, Y, verbose=0)
    assert same_weights(model.get_weights(), before)
    assert np.isfinite(model.evaluate(X, Y, verbose=0))


def test_the_summary_counts_what_is_trained(tmp_path, capsys):
    model = small_cnn()
    model.layers[0].trainable = False
    model.save(tmp_path / "m.safetensors")
    for one in (model, load_model(tmp_path / "m.safetensors")):
        one.summary()
        lines = capsys.readouterr().out.splitlines()
        numbers = {line.split(" params: ")[0]: int(line.split(": ")[1].replace(",", "")) for line in lines if "params" in line}
        trained = sum(w.size for layer in one.layers[1:] for w in layer.weights if "moving" not in w.name)
        assert numbers == {"Total": one.count_params(), "Trainable": trained, "Non-trainable": one.count_params() - trained}


# ---- features ------------------------------------------------------------------------------------------------------


def test_features_of_a_chain_are_its_layers_run_one_by_one():
    model, x = small_cnn(), np.random.default_rng(0).normal(size=(3, 8, 8, 1)).astype("float32")
    values = x
    with tinydx.use("numpy"):
        for layer in model.layers:
            values = layer(values)
            found = Model(model.input, layer.output).predict(x)
            assert np.array_equal(found, values.numpy()), layer.name
        middle = Model(model.input, model.layers[2].output).predict(x)
        assert np.array_equal(Model(model.layers[3].input, model.output).predict(middle), model.predict(x))


def test_features_of_a_graph_share_its_weights():
    model = branched()
    features = Model(model.input, [model.get_layer("norm").output, model.get_layer("first").output])
    assert {id(w) for w in features.weights} <= {id(w) for w in model.weights}
    before = features.predict(X)
    model.fit(X, Y, verbose=0)
    after = features.predict(X)
    assert not np.allclose(before[0], after[0])
    head = Dense(1, activation="sigmoid", name="again")
    head(after[0])
    head.set_weights(model.get_layer("last").get_weights())
    assert np.allclose(head(after[0]).numpy(), model.predict(X), atol=1e-6)


def test_features_of_a_frozen_network_stay_and_its_new_end_learns():
    source = noisy_model()
    source.fit(X, Y, epochs=1, verbose=0)
    cut = Model(source.input, source.layers[-2].output)
    cut.trainable = False
    before, weights = cut.predict(X).tobytes(), source.get_weights()
    model = Model(source.input, Dense(3, activation="softmax")(cut.output))
    model.compile("adam", "sparse_categorical_crossentropy")
    losses = model.fit(X, np.arange(len(X)) % 3, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert cut.predict(X).tobytes() == before and same_weights(source.get_weights(), weights)
    assert len(model.trainable_weights) == 2


def test_a_chain_that_grows_has_another_output():
    model = Sequential([Dense(3, input_shape=(5,)), Dropout(0.5)])
    assert model.output.shape == (None, 3)
    model.add(Dense(2))
    assert model.output.shape == (None, 2) and model.layers[-1].input.shape == (None, 3)
    model.pop()
    assert model.output.shape == (None, 3)


def test_a_layer_in_two_models_has_the_ends_of_the_first_that_exists():
    shared = Dense(3, name="shared")
    first = Sequential([Dense(2, input_shape=(5,)), shared])
    second = Sequential([Input((2,)), shared])
    assert shared.output is first.output and second.output is not first.output
    del first
    gc.collect()
    assert shared.output is second.output


def test_a_chain_that_reads_ids():
    model = Sequential([Embedding(9, 4, mask_zero=True, input_shape=(None,)), GlobalAveragePooling1D(name="mean"), Dense(1)])
    ids = np.array([[1, 2, 0], [8, 3, 3]])
    mean = Model(model.input, model.get_layer("mean").output).predict(ids)
    table = model.layers[0].get_weights()[0]
    assert np.allclose(mean, [table[[1, 2]].mean(axis=0), table[[8, 3, 3]].mean(axis=0)], atol=1e-6)


@pytest.mark.parametrize("again", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
@pytest.mark.parametrize("build", [small_cnn, branched])
def test_a_copy_has_places_of_its_own(build, again):
    model = build()
    x = X if build is branched else np.ones((2, 8, 8, 1), "float32")
    inner = Model(model.input, model.layers[1].output)
    other = again(model)
    found = Model(other.input, other.get_layer(model.layers[1].name).output)
    assert np.array_equal(found.predict(x), inner.predict(x))
    assert not {id(w) for w in found.weights} & {id(w) for w in model.weights}


def test_a_layer_may_have_an_output_of_its_own():
    class Own(Model):
        def __init__(self):
            super().__init__()
            self.output = Dense(2)

        def call(self, x, training=False):
            return self.output(x)

    assert Own().predict(X).shape == (40, 2)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda m: m.get_layer("nomr"), "has no layer 'nomr'; did you mean 'norm'\\?"),
        (lambda m: m.get_layer(index=9), "get_layer: index is 9, there are 5 layers"),
        (lambda m: m.get_layer(), "get_layer: give a name or an index"),
        (lambda m: m.get_layer("norm", 1), "get_layer: give a name or an index"),
        (lambda m: Dense(3).output, "stands in no model yet: call it on an Input"),
        (lambda m: Sequential([Dense(3)]).input, "is not built yet: give its first layer an input_shape"),
        (lambda m: Model().output, "is a subclass of Model, which has no graph"),
        (lambda m: Model(Input((5,)), m.output), "which is not among the inputs"),
    ],
)
def test_what_is_not_there_is_one_line(ask, message):
    with pytest.raises(ValueError, match=message) as caught:
        ask(branched())
    assert "\n" not in str(caught.value)
