"""Models: chains, graphs and subclasses; the document's program; shapes, names and messages."""

import re
import textwrap
import warnings

import numpy as np
import pytest
from small import dense_model, same_weights, two_classes

import tinydx
from tinydx import Tensor, ops
from tinydx.layers import (
    Activation,
    Add,
    BatchNormalization,
    Concatenate,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Input,
    Layer,
    MaxPooling2D,
    SimpleRNN,
)
from tinydx.models import Model, Sequential


@pytest.fixture(autouse=True)
def seeded():
    """The same initial weights in every run."""
    tinydx.set_seed(0)


# ---- the document's program ----------------------------------------------------------------------------------------

DOCUMENT = """
from keras.models import Sequential
from keras.layers import Conv2D, MaxPooling2D, Flatten, Dense

model = Sequential()

model.add(Conv2D(32, (3, 3), activation='relu', input_shape=(150, 150, 3)))
model.add(MaxPooling2D((2, 2)))

model.add(Conv2D(64, (3, 3), activation='relu'))
model.add(MaxPooling2D((2, 2)))

model.add(Conv2D(128, (3, 3), activation='relu'))
model.add(MaxPooling2D((2, 2)))

model.add(Flatten())
model.add(Dense(512, activation='relu'))
model.add(Dense(1, activation='sigmoid'))

model.compile(optimizer='adam', loss='binary_crossentropy', metrics=['accuracy'])
"""


def test_document(capsys):
    names = {}
    exec(DOCUMENT.replace("from keras", "from tinydx"), names)
    model = names["model"]
    shape, sizes = (None, 150, 150, 3), []
    for layer in model.layers:
        shape = layer.output_shape(shape)
        sizes.append(shape[1])
    assert sizes == [148, 74, 72, 36, 34, 17, 36992, 512, 1]
    assert [p for v in model.layers if (p := v.count_params())] == [896, 18496, 73856, 18940416, 513]
    assert model.count_params() == 19034177
    model.summary()
    table = capsys.readouterr().out
    for text in ("conv2d", "(None, 148, 148, 32)", "(None, 36992)", "18,940,416", "Total params: 19,034,177"):
        assert text in table
    kernels = [w.shape for w in model.weights]
    assert kernels[:2] == [(3, 3, 3, 32), (32,)] and kernels[6:] == [(36992, 512), (512,), (512, 1), (1,)]


# ---- Sequential ----------------------------------------------------------------------------------------------------


def test_four_ways_to_say_the_shape():
    def layers_of():
        return [Dense(3, activation="relu"), Dense(1)]

    late, early = Sequential(layers_of()), Sequential([Input((4,)), *layers_of()])
    first, built = Sequential([Dense(3, activation="relu", input_shape=(4,)), Dense(1)]), Sequential(layers_of())
    built.build((None, 4))
    assert not late.built and early.built and first.built and built.built
    late(np.zeros((2, 4), "float32"))
    for model in (late, early, first, built):
        assert model.count_params() == 19 and model.output_shape((None, 4)) == (None, 1)


def test_built_by_the_first_batch_of_fit():
    x, y = two_classes()
    model = Sequential([Dense(4, activation="relu"), BatchNormalization(), Dense(1, activation="sigmoid")])
    model.compile(tinydx.optimizers.Adam(0.01), "binary_crossentropy")
    with pytest.raises(ValueError, match="not built yet"):
        model.count_params()
    model.summary()
    history = model.fit(x.astype("float64"), y, epochs=30, verbose=0).history["loss"]
    assert history[-1] < 0.7 * history[0] and model.count_params() == 24 + 16 + 5
    assert all(w.dtype == "float32" for w in model.weights)  # float64 data of every day does not slow training down


def test_float64_model():
    x, y = two_classes()
    for model in (
        Sequential([Dense(4, activation="relu"), BatchNormalization(), Dense(1, activation="sigmoid")], dtype="float64"),
        Sequential([Input((5,), dtype="float64"), Dense(1, activation="sigmoid")]),
        Sequential([Dense(1, activation="sigmoid", dtype="float64", input_shape=(5,))]),
    ):
        model.compile("adam", "binary_crossentropy")
        model.fit(x, y, verbose=0)
        assert all(w.dtype == "float64" for w in model.weights) and model.predict(x).dtype == "float64"
        assert all(slot.dtype == "float64" for slots in model.optimizer.slots for slot in slots)


def test_add_and_pop():
    model = Sequential([Dense(3, input_shape=(4,)), Dense(2)])
    model.pop()
    model.add(Activation("relu"))
    assert [type(v).__name__ for v in model.layers] == ["Dense", "Activation"] and model.output_shape((None, 4)) == (None, 3)


def test_layer_that_does_not_fit_is_not_added():
    model = Sequential([Conv2D(2, 3, input_shape=(8, 8, 1)), MaxPooling2D(3)])
    with pytest.raises(ValueError, match=r"conv2d\S*: a kernel of 5 .*does not fit into 2 pixels"):
        model.add(Conv2D(2, 5))
    assert len(model.layers) == 2
    with pytest.raises(ValueError, match=r"dense\S*: expected 4 values on the last axis, got 2"):
        dense = Dense(1)
        dense.build((None, 4))
        model.add(dense)
    model.add(Flatten())
    assert model.output_shape((None, 8, 8, 1)) == (None, 8)


@pytest.mark.parametrize("wrong", [3, "Dense", Dense, None, Input((3,))])
def test_what_is_no_layer(wrong):
    with pytest.raises(TypeError, match=r"add: expected a layer such as Dense\(10\)"):
        Sequential([Dense(2)]).add(wrong)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((8, 8, 1)), r"xray: expected input \(N, 8, 8, 1\), got \(8, 8, 1\); is the batch axis missing\? x\[None\]"),
        (np.zeros((2, 9, 8, 1)), r"xray: expected input \(N, 8, 8, 1\), got \(2, 9, 8, 1\)"),
        (np.zeros((2, 8, 8, 3)), r"got \(2, 8, 8, 3\)"),
        (np.zeros((2, 64)), r"expected input \(N, 8, 8, 1\), got \(2, 64\)"),
        ([np.zeros((1, 8, 8, 1))] * 2, r"xray: expected 1 inputs, got 2; np.stack\(x\)"),
    ],
)
def test_wrong_input_names_model_expected_and_got(x, message):
    model = Sequential([Conv2D(2, 3, input_shape=(8, 8, 1)), Flatten(), Dense(1, activation="sigmoid")], name="xray")
    model.compile("sgd", "binary_crossentropy")
    for use in (model.predict, model, lambda v: model.train_on_batch(v, np.zeros(2))):
        with pytest.raises(ValueError, match=message):
            use(x)


def test_inputs_of_any_length_where_none_was_said():
    model = Sequential([Embedding(10, 4), SimpleRNN(2)])
    assert model(np.ones((1, 3), int)).shape == model(np.ones((1, 7), int)).shape
    said = Sequential([Input((3,), dtype="int64"), Embedding(10, 4), SimpleRNN(2)])
    with pytest.raises(ValueError, match=r"expected input \(N, 3\), got \(1, 7\)"):
        said(np.ones((1, 7), int))
    some = Sequential([Input((None, 2)), SimpleRNN(2)])
    assert some(np.ones((1, 7, 2), "float32")).shape == (1, 2)
    with pytest.raises(ValueError, match=r"expected input \(N, any, 2\)"):
        some(np.ones((1, 7, 3), "float32"))


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool", "U1"])
def test_integer_input_is_an_error(dtype):
    x, y = two_classes()
    model = dense_model()
    for use in (model.predict, lambda v: model.fit(v, y, verbose=0), lambda v: model.evaluate(v, y, verbose=0)):
        advice = r"convert it, x.astype\('float32'\)" if dtype != "U1" else "read image files by load_images"
        with pytest.raises(TypeError, match=f"input is .*: {advice}"):
            use(x.astype(dtype))
    model.predict(x.astype("float16"))  # loses nothing on the way to float32
    model.predict(x.tolist())


# ---- functional models ---------------------------------------------------------------------------------------------


def test_branches_by_hand():
    """y = w2 (relu(x w1) + x w3), with known weights."""
    x = Input((2,))
    a, b = Dense(2, activation="relu", use_bias=False), Dense(2, use_bias=False)
    model = Model(x, Dense(1, use_bias=False, kernel_initializer="ones")(Add()([a(x), b(x)])))
    a.set_weights([np.eye(2)])
    b.set_weights([[[0, 1], [1, 0]]])
    assert model.predict(np.array([[1.0, -2.0]], "float32")).tolist() == [[(1 + 0) + (-2 + 1)]]
    assert [v.name for v in model.layers][:2] == [a.name, b.name]
    assert model.output_shape((None, 2)) == (None, 1)


def test_shared_layer_gets_both_gradients():
    shared = Dense(1, use_bias=False)
    a, b = Input((2,), name="left"), Input((2,), name="right")
    model = Model([a, b], Concatenate()([shared(a), shared(b)]))
    assert len(model.weights) == 1 and model.count_params() == 2 and model.layers.count(shared) == 1
    x = [np.array([[1.0, 2.0]], "float32"), np.array([[10.0, 20.0]], "float32")]
    model(x).sum().backward()
    assert shared.kernel.grad.tolist() == [[11], [22]]
    np.testing.assert_allclose(model.predict(x), [[np.dot(v[0], shared.kernel.data[:, 0]) for v in x]], rtol=1e-6)


def two_inputs():
    image, age = Input((6, 6, 1), name="image"), Input((3,), name="age")
    seen = Flatten()(Conv2D(2, 3, activation="relu")(image))
    model = Model([image, age], Dense(1, activation="sigmoid")(Concatenate()([seen, Dense(2)(age)])))
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    rng = np.random.default_rng(0)
    x = [rng.normal(size=(20, 6, 6, 1)).astype("float32"), rng.normal(size=(20, 3)).astype("float32")]
    return model, x, rng.integers(0, 2, 20)


def test_several_inputs():
    model, x, y = two_inputs()
    history = model.fit(x, y, epochs=30, batch_size=8, validation_split=0.25, verbose=0).history
    assert history["loss"][-1] < history["loss"][0] and len(history["val_loss"]) == 30
    whole = model.predict(x, batch_size=7)
    np.testing.assert_allclose(whole, model(x).numpy(), rtol=1e-5)
    assert len(model.evaluate(x, y, verbose=0)) == 2
    batches = [((x[0][i : i + 5], x[1][i : i + 5]), y[i : i + 5]) for i in range(0, 20, 5)]  # a generator's tuples
    np.testing.assert_allclose(model.predict(batches), whole, rtol=1e-5)
    assert model.evaluate(batches, verbose=0) == pytest.approx(model.evaluate(x, y, batch_size=5, verbose=0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[:1], "expected 2 inputs, got 1"),
        (lambda x: [*x, x[0]], "expected 2 inputs, got 3"),
        (lambda x: x[::-1], r"expected image \(N, 6, 6, 1\), got \(20, 3\)"),
        (lambda x: [x[0], x[1][:, :2]], r"expected age \(N, 3\), got \(20, 2\)"),
        (lambda x: [x[0], x[1][:5]], r"lengths differ: x\[0\] has 20 examples, x\[1\] has 5"),
    ],
)
def test_wrong_inputs_are_named(change, message):
    model, x, _ = two_inputs()
    with pytest.raises(ValueError, match=message):
        model.predict(change(x))


def test_several_outputs():
    x = Input((5,))
    h = Dense(3)(x)
    model = Model(x, [h, Dense(1)(h)])
    data = two_classes()[0]
    a, b = model.predict(data, batch_size=7)
    assert a.shape == (40, 3) and b.shape == (40, 1)
    np.testing.assert_allclose(Model(x, h).predict(data), a, rtol=1e-5)
    assert [p.shape for p in model.predict_on_batch(data)] == [(40, 3), (40, 1)]
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="has 2 outputs, a loss takes one"):
        model.fit(data, data[:, :1], verbose=0)


def test_layer_with_two_outputs_runs_once():
    """Sequence to sequence: the encoder's state starts the decoder."""
    runs = []

    class Counted(SimpleRNN):
        def call(self, x, **keywords):
            runs.append(1)
            return super().call(x, **keywords)

    question, answer = Input((4, 3), name="question"), Input((2, 3), name="answer")
    outputs, state = Counted(5, return_sequences=True, return_state=True)(question)
    decoder = SimpleRNN(5, return_sequences=True)
    model = Model([question, answer], [decoder(answer, initial_state=state), outputs])
    rng = np.random.default_rng(0)
    x = [rng.normal(size=(2, 4, 3)).astype("float32"), rng.normal(size=(2, 2, 3)).astype("float32")]
    runs.clear()
    decoded, seen = model(x)
    assert len(runs) == 1
    np.testing.assert_allclose(decoded.numpy(), decoder(x[1], initial_state=seen[:, -1]).numpy(), rtol=1e-6)


def test_training_that_is_fixed_in_the_graph():
    """base(x, training=False) keeps a pretrained part's statistics still; dropout(x, training=True) always drops."""
    tinydx.set_seed(0)
    x = Input((50,))
    norm = BatchNormalization()
    still, moving, always = Model(x, norm(x, training=False)), Model(x, norm(x)), Model(x, Dropout(0.5)(x, training=True))
    data = np.random.default_rng(0).normal(3, 1, (8, 50)).astype("float32")
    still(data, training=True)
    assert (norm.moving_mean.data == 0).all()
    moving(data, training=True)
    assert (norm.moving_mean.data != 0).all()
    assert (always.predict(data) == 0).mean() > 0.3


def test_nested_models():
    inner = Sequential([Dense(4, activation="relu", input_shape=(5,)), Dense(3)])
    x = Input((5,))
    graph = Model(x, Dense(2)(inner(x)))
    model = Sequential([graph, Activation("sigmoid")])
    assert model.input_shape == (None, 5) and len(model.weights) == 6
    data = two_classes()[0]
    h = inner.predict(data) @ graph.layers[-1].get_weights()[0]
    np.testing.assert_allclose(model.predict(data), 1 / (1 + np.exp(-h)), rtol=1e-5)
    twice = Model(x, Concatenate()([inner(x), inner(x)]))
    assert len(twice.weights) == 4 and twice.predict(data).shape == (40, 6)


def test_frozen_part_is_not_trained():
    base = Sequential([Dense(4, activation="relu", input_shape=(5,)), BatchNormalization()])
    model = Sequential([base, Dense(1, activation="sigmoid")])
    base.trainable = False
    before = base.get_weights()
    model.compile("adam", "binary_crossentropy")
    model.fit(*two_classes(), epochs=2, verbose=0)
    assert same_weights(base.get_weights(), before) and len(model.trainable_weights) == 2
    base.trainable = True
    with pytest.raises(ValueError, match="Adam: remembers 2 weights, got 6: compile again"):
        model.fit(*two_classes(), verbose=0)
    model.compile("adam", "binary_crossentropy")
    model.fit(*two_classes(), epochs=2, verbose=0)
    assert not same_weights(base.get_weights(), before)


def test_long_chains_do_not_hit_the_recursion_limit():
    x = y = Input((2,))
    for _ in range(1500):
        y = Activation("tanh")(y)
    model = Model(x, y)
    assert model.predict(np.ones((1, 2), "float32")).shape == (1, 2)


def test_broken_graphs():
    a, b = Input((2,), name="a"), Input((3,), name="b")
    with pytest.raises(ValueError, match=r"depend on <Symbol b \(None, 3\) float32>, which is not among the inputs"):
        Model(a, Dense(2)(b))
    for inputs, outputs in ((a, None), (None, a), (a, np.zeros(3)), ([a, 3], a)):
        with pytest.raises(TypeError, match=r"expected Input\(...\) and outputs of layers"):
            Model(inputs, outputs)
    with pytest.raises(ValueError, match="expected equal ones"):
        Add()([a, b])
    same = Model(a, a)
    assert same.predict(np.ones((1, 2), "float32")).tolist() == [[1, 1]]


# ---- subclasses ----------------------------------------------------------------------------------------------------


class Net(Model):
    """As users write it: without build, output_shape or training."""

    def __init__(self, units=4, **kwargs):
        super().__init__(**kwargs)
        self.body = [Dense(units, activation="relu"), BatchNormalization(), Dropout(0.2)]
        self.head = Dense(1, activation="sigmoid")

    def call(self, x):
        for layer in self.body:
            x = layer(x)
        return self.head(x)


def test_subclass_trains():
    tinydx.set_seed(0)
    x, y = two_classes(200)
    model = Net(6)
    model.compile(tinydx.optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, epochs=30, verbose=0).history
    assert history["accuracy"][-1] > 0.9 and len(model.weights) == 2 + 4 + 2
    assert np.array_equal(model.predict(x), model.predict(x))  # dropout only in training
    assert (model.body[1].moving_mean.data != 0).any()


def test_subclass_is_built_by_build_call_or_inside_another(capsys):
    built = Net()
    built.build((None, 5))
    assert built.count_params() == 24 + 16 + 5
    built.summary()
    assert "Total params: 45" in capsys.readouterr().out
    called = Net()
    called(np.zeros((2, 5), "float32"))
    assert called.count_params() == 45
    assert Sequential([Input((5,)), Net(), Dense(2)]).output_shape((None, 5)) == (None, 2)
    x = Input((5,))
    assert Model(x, Net()(x)).count_params() == 45
    assert (built.body[1].moving_mean.data == 0).all()  # the run that builds does not train


def test_subclass_without_call():
    with pytest.raises(NotImplementedError, match=r"Model must define call\(x, training\), or get inputs and outputs"):
        Model().predict(np.zeros((1, 2), "float32"))


def test_subclass_that_fails_to_build_can_be_built_later():
    class Picky(Model):
        def __init__(self):
            super().__init__()
            self.dense = Dense(2)

        def call(self, x):
            if x.shape[1] != 3:
                raise ValueError("three, please")
            return self.dense(x)

    model = Picky()
    with pytest.raises(ValueError, match="three, please"):
        model.build((None, 4))
    assert not model.built
    model.build((None, 3))
    assert model.count_params() == 8


def test_subclass_with_ops_and_weights_of_its_own():
    class Scale(Layer):
        def build(self, input_shape):
            self.by = self.add_weight("by", (input_shape[-1],), "ones")

        def call(self, x):
            return ops.multiply(x, self.by)

    class Own(Model):
        def __init__(self):
            super().__init__()
            self.scale, self.dense = Scale(), Dense(1)

        def call(self, x, training=False):
            return self.dense(self.scale(x) + x * 2.0)

    model = Own()
    model.compile("sgd", "mse")
    x = np.ones((4, 3), "float32")
    model.train_on_batch(x, np.zeros((4, 1)))
    assert len(model.weights) == 3 and (model.scale.by.data != 1).all()
    assert isinstance(model(x), Tensor)


# ---- words, text ---------------------------------------------------------------------------------------------------


def test_ids_go_in_where_a_layer_takes_them():
    model = Sequential([Embedding(10, 4), Flatten(), Dense(1)])
    assert model.predict(np.array([[1, 2, 3]])).shape == (1, 1) and model.takes_ids
    ids, image = Input((3,), dtype="int64", name="words"), Input((4,), name="image")
    both = Model([ids, image], Concatenate()([Flatten()(Embedding(10, 2)(ids)), Dense(2)(image)]))
    x = [np.array([[1, 2, 3]]), np.ones((1, 4), "float32")]
    assert both.predict(x).shape == (1, 8)
    with pytest.raises(TypeError, match=r"dense\S*: input is int64"):  # the layer says which of the two is wrong
        both.predict([x[0], np.ones((1, 4), int)])


def test_repr_and_names():
    assert re.fullmatch(r"net(_\d+)?", Net().name) and Sequential(name="xray").name == "xray"


def test_readme_style_example_runs():
    code = """
    import numpy as np
    import tinydx
    from tinydx.layers import Dense
    from tinydx.models import Sequential
    model = Sequential([Dense(2, activation="relu"), Dense(1, activation="sigmoid")])
    model.compile("adam", "binary_crossentropy", ["accuracy"])
    rng = np.random.default_rng(0)
    model.fit(rng.random((10, 3)), np.arange(10) % 2, verbose=0)
    p = model.predict(rng.random((4, 3)))
    """
    names = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(textwrap.dedent(code), names)
    assert names["p"].shape == (4, 1) and names["p"].dtype == "float32"
