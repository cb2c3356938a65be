"""Layers: shapes, weights, dtypes, messages, and what each does in training and outside."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import EXAMPLES, input_of, layer_of

import tinydx
from tinydx import Tensor, activations, initializers, layers, ops
from tinydx.layers import (
    GRU,
    LSTM,
    Add,
    AdditiveAttention,
    Attention,
    BatchNormalization,
    Bidirectional,
    Concatenate,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePooling1D,
    Input,
    Layer,
    LayerNormalization,
    MaxPooling2D,
    Reshape,
    SimpleRNN,
)
from tinydx.layers.base import unique_name
from tinydx.models import Model, Sequential, load_model
from tinydx.op import TABLE, backward_of, op


def shapes_of(x):
    return [v.shape for v in x] if isinstance(x, list) else x.shape


# ---- all layers ----------------------------------------------------------------------------------------------------


def test_every_layer_has_an_example():
    assert set(EXAMPLES) == set(layers.__all__) - {"Input", "Layer"}


@pytest.mark.parametrize("name", EXAMPLES)
def test_output_shape_is_the_shape_of_the_output(name):
    layer, x = layer_of(name), input_of(name, n=3)
    y = layer(x)
    assert layer.output_shape(shapes_of(x)) == y.shape
    shapes = [(None, *s[1:]) for s in shapes_of(x)] if isinstance(x, list) else (None, *x.shape[1:])
    assert layer.output_shape(shapes) == (None, *y.shape[1:])
    assert Layer.output_shape(layer, shapes) == (None, *y.shape[1:])  # what a run on zeros finds out


@pytest.mark.parametrize("name", EXAMPLES)
def test_build_then_call_builds_once(name):
    layer, x = layer_of(name), input_of(name)
    layer.build([(None, *s[1:]) for s in shapes_of(x)] if isinstance(x, list) else (None, *x.shape[1:]))
    before = layer.weights
    layer.build(shapes_of(x))
    layer(x)
    assert len(layer.weights) == len(before) and all(a is b for a, b in zip(layer.weights, before, strict=True))


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtype_flows_through(name, dtype):
    if name == "Embedding":
        layer = layer_of(name, dtype=dtype)
        y = layer(input_of(name))
    else:
        layer = layer_of(name)
        y = layer(input_of(name, dtype=dtype), training=True)
    assert y.dtype == dtype and all(w.dtype == dtype for w in layer.weights)


@pytest.mark.parametrize("name", sorted(set(EXAMPLES) - {"Embedding"}))
@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool", "float16", "U3"])
def test_other_dtypes_are_errors_that_name_the_layer(name, dtype):
    layer, x = layer_of(name), input_of(name)
    x = [v.astype(dtype) for v in x] if isinstance(x, list) else x.astype(dtype)
    with pytest.raises(TypeError, match=rf"{layer.name}: input is .*astype\('float32'\)"):
        layer(x)
    assert layer.weights == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_weights_go_round(name):
    layer, other, x = layer_of(name), layer_of(name), input_of(name)
    y = layer(x).numpy()
    other(x)
    other.set_weights(layer.get_weights())
    np.testing.assert_array_equal(other(x).numpy(), y)
    for w in layer.get_weights():  # copies: writing into them changes nothing
        w[...] = 7
    np.testing.assert_array_equal(layer(x).numpy(), y)


def test_weights_in_the_order_of_keras():
    names = {
        "BatchNormalization": ["gamma", "beta", "moving_mean", "moving_variance"],
        "SimpleRNN": ["kernel", "recurrent_kernel", "bias"],
        "Conv2D": ["kernel", "bias"],
        "LayerNormalization": ["beta"],
        "Dense": ["kernel"],
    }
    for name, expected in names.items():
        layer = layer_of(name)
        layer(input_of(name))
        assert [w.name for w in layer.weights] == [f"{layer.name}/{n}" for n in expected]


def test_set_weights_sets_all_or_none():
    layer = Dense(2)
    with pytest.raises(ValueError, match=r"expected 0 arrays, got 1 \(not built yet"):
        layer.set_weights([np.ones((3, 2))])
    layer.build((None, 3))
    before = layer.get_weights()
    for wrong in ([np.ones((3, 2))], [np.ones((3, 2)), np.ones(3)], [np.ones((3, 2)), np.ones((1, 2))]):
        with pytest.raises(ValueError, match=layer.name):
            layer.set_weights(wrong)
        assert all(np.array_equal(a, b) for a, b in zip(layer.get_weights(), before, strict=True))
    layer.set_weights([np.arange(6).reshape(3, 2), [1, 2]])  # integers take the weights' dtype
    assert [w.dtype for w in layer.weights] == ["float32", "float32"]
    layer.set_weights([np.ones((2, 3)).T, np.ones(2)])  # float64 stays, and any memory order will do
    assert [w.dtype for w in layer.weights] == ["float64", "float64"] and layer.kernel.data.flags.c_contiguous


def test_names_count_up():
    assert [unique_name("TestOnly2DLayer") for _ in range(3)] == [
        "test_only2d_layer",
        "test_only2d_layer_1",
        "test_only2d_layer_2",
    ]
    assert Dense(1, name="diagnosis").name == "diagnosis"


def test_count_params():
    layer = Conv2D(32, (3, 3))
    with pytest.raises(ValueError, match="not built yet"):
        layer.count_params()
    layer.build((None, 150, 150, 3))
    assert layer.count_params() == 896 == 3 * 3 * 3 * 32 + 32


def test_repr_shows_the_arguments():
    assert repr(Dense(3, activation="relu")) == "Dense(units=3, activation='relu')"


# ---- messages ------------------------------------------------------------------------------------------------------


WRONG_SHAPES = [
    (Dense(3), (4,), (2, 5), r"dense\S*: expected 4 values on the last axis, got 5 \(of \(2, 5\)\)"),
    (Dense(3), (4,), (4,), r"expected input \(N, features\), got shape \(4,\); is the batch axis missing\?"),
    (Conv2D(3, 3), (8, 8, 2), (8, 8, 2), r"conv2d\S*: expected input \(N, height, width, channels\).*batch axis missing"),
    (Conv2D(3, 3), (8, 8, 2), (1, 8, 8, 3), r"conv2d\S*: expected 2 values on the last axis, got 3"),
    (Conv2D(3, 3), (8, 8, 2), (1, 2, 8, 2), r"conv2d\S*: a kernel of 3 .*does not fit into 2 pixels.*\(1, 2, 8, 2\)"),
    (MaxPooling2D(4), (8, 8, 2), (1, 3, 8, 2), r"max_pooling2d\S*: a kernel of 4 .*3 pixels"),
    (SimpleRNN(3), (4, 2), (4, 2), r"simple_rnn\S*: expected input \(N, time, features\).*batch axis missing"),
    (SimpleRNN(3), (4, 2), (1, 4, 3), r"simple_rnn\S*: expected 2 values on the last axis, got 3"),
    (BatchNormalization(), (4,), (2, 5), r"batch_normalization\S*: expected 4 channels on axis -1, got.*\(2, 5\)"),
    (BatchNormalization(axis=1), (4, 2), (2, 5, 2), r"expected 4 channels on axis 1"),
    (LayerNormalization(), (4,), (2, 5), r"layer_normalization\S*: expected last axes \(4,\), got shape \(2, 5\)"),
    (Reshape((3, 2)), (6,), (2, 7), r"reshape\S*: \(7,\) does not reshape to \(3, 2\)"),
    (Reshape((3, -1)), (6,), (2, 7), r"reshape\S*: \(7,\) does not reshape to \(3, -1\)"),
]


@pytest.mark.parametrize(("layer", "built_on", "given", "message"), WRONG_SHAPES)
def test_wrong_shapes_name_layer_expected_and_got(layer, built_on, given, message):
    layer(np.zeros((2, *built_on), "float32"))
    with pytest.raises(ValueError, match=message):
        layer(np.zeros(given, "float32"))


@pytest.mark.parametrize("layer", [Dense(2), Conv2D(2, 3), SimpleRNN(2), MaxPooling2D()])
def test_two_inputs_where_one_is_expected(layer):
    with pytest.raises(ValueError, match=f"{layer.name}: expected one input.*got 2"):
        layer([np.zeros((1, 4, 4, 1), "float32")] * 2)


@pytest.mark.parametrize(
    ("layer", "given", "message"),
    [
        (Add(), [(2, 3), (2, 1)], "expected equal ones"),
        (Add(), [(2, 3)], "two or more"),
        (Concatenate(), [(2, 3), (1, 3)], "expected equal ones but for axis -1"),
        (Concatenate(axis=3), [(2, 3), (2, 3)], "there is no axis 3"),
    ],
)
def test_merging_what_does_not_fit(layer, given, message):
    with pytest.raises(ValueError, match=f"{layer.name}: .*{message}"):
        layer([np.zeros(s, "float32") for s in given])


X_343 = np.ones((3, 4, 3), "float32")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Dense(3, activaton="relu"), TypeError, "Dense has no argument 'activaton'; did you mean 'activation'"),
        (lambda: Dense(), TypeError, "Dense: missing a required argument: 'units'"),
        (lambda: Flatten(3, 4, 5, 6, 7), TypeError, "Flatten: too many positional arguments"),
        (lambda: Dense(3, activation="rellu"), ValueError, "unknown activation 'rellu'; did you mean 'relu'"),
        (lambda: layers.Activation("sigmod"), ValueError, "unknown activation 'sigmod'; did you mean 'sigmoid'"),
        (
            lambda: Dense(3, kernel_initializer="glorot_unifrom", input_shape=(2,)).build((None, 2)),
            ValueError,
            "unknown initializer 'glorot_unifrom'; did you mean 'glorot_uniform'",
        ),
        (lambda: layers.Conv2d, AttributeError, "tinydx.layers has no 'Conv2d'; did you mean 'Conv2D'"),
        (lambda: layers.MaxPool2D, AttributeError, "did you mean 'MaxPooling2D'"),
        (lambda: Dense(0), ValueError, "units is 0, expected a whole number above 0"),
        (lambda: Dense(2.5), ValueError, "units is 2.5"),
        (lambda: Dense(True), ValueError, "units is True"),
        (lambda: Dense("3"), ValueError, "units is '3'"),
        (lambda: Conv2D(3, (3, 3, 3)), ValueError, "kernel_size is"),
        (lambda: Conv2D(3, 3, strides=0), ValueError, "strides is 0"),
        (lambda: Conv2D(3, 3, padding="full"), ValueError, "padding is 'full', expected 'valid' or 'same'"),
        (
            lambda: layers.ZeroPadding2D(-1),
            ValueError,
            r"zero_padding2d\S*: padding is -1, expected a number, \(rows, columns\) or",
        ),
        (lambda: layers.ZeroPadding2D((1, 2, 3)), ValueError, r"padding is \(1, 2, 3\)"),
        (lambda: layers.ZeroPadding2D(((1, 2, 3), 1)), ValueError, "padding is "),
        (lambda: MaxPooling2D(padding="sane"), ValueError, "padding is 'sane'"),
        (lambda: Conv2D(4, 3, groups=3).build((None, 5, 5, 4)), ValueError, "multiples of groups=3"),
        (lambda: Dropout(1.5), ValueError, "rate is 1.5"),
        (lambda: Reshape((-1, -1)), ValueError, "target_shape"),
        (lambda: LSTM(2, recurrent_droput=0.1), TypeError, "LSTM has no argument 'recurrent_droput'; did you mean 'recurrent_dr"),
        (lambda: GRU(2, stateful=True), TypeError, "GRU has no argument 'stateful'"),
        (lambda: GRU(2, recurrent_dropout=1), ValueError, "recurrent_dropout is 1, expected 0 <= recurrent_dropout < 1"),
        (lambda: GRU(2, recurrent_activation="sigmoyd"), ValueError, "did you mean 'sigmoid'"),
        (lambda: LSTM(2)(X_343, initial_state=np.ones((3, 2))), ValueError, r"expected h \(3, 2\) and c \(3, 2\)"),
        (lambda: Bidirectional(Dense(2)), ValueError, r"expected a recurrent layer such as LSTM\(32\), got Dense"),
        (lambda: Bidirectional(GRU(2), merge_mode="max"), ValueError, "merge_mode is 'max', expected 'concat', 'sum'"),
        (lambda: Bidirectional(GRU(2), backward_layer=GRU(2)), ValueError, "both layers have go_backwards=False"),
        (
            lambda: Bidirectional(GRU(2), backward_layer=GRU(2, go_backwards=True, return_state=True)),
            ValueError,
            "its layers differ in return_state",
        ),
        (lambda: layers.TimeDistributed(3), ValueError, r"expected a layer such as Dense\(10\), got 3"),
        (lambda: layers.TimeDistributed(Dense(2))(np.ones((2, 3), "float32")), ValueError, r"expected input \(N, time, ...\)"),
        (lambda: Attention()(X_343), ValueError, r"expected \[query, value\] or \[query, value, key\]"),
        (lambda: Attention()([X_343, X_343[:, :, :2]]), ValueError, "do not fit each other"),
        (lambda: Embedding(-1, 3), ValueError, "input_dim is -1"),
        (lambda: Dense(2).build((None, None)), ValueError, "axis -1 is known"),
        (lambda: LayerNormalization(axis=1).build((None, 3, 4)), ValueError, "expected the last axes"),
        (lambda: Layer()(np.ones((1, 2), "float32")), NotImplementedError, "Layer must define call"),
    ],
)
def test_mistakes_in_making_a_layer(make, error, message):
    with pytest.raises(error, match=message):
        make()


# ---- training and outside ------------------------------------------------------------------------------------------


def test_batch_normalization_by_hand():
    rng = np.random.default_rng(0)
    x = rng.normal(3, 2, (6, 5, 4))
    layer = BatchNormalization(momentum=0.75, epsilon=0.01)
    y = layer(x, training=True).numpy()
    mean, variance = x.mean(axis=(0, 1)), x.var(axis=(0, 1))
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(variance + 0.01), rtol=1e-12)
    _, _, moving_mean, moving_variance = layer.get_weights()
    np.testing.assert_allclose(moving_mean, 0.25 * mean, rtol=1e-12)
    np.testing.assert_allclose(moving_variance, 0.75 + 0.25 * variance, rtol=1e-12)
    layer.set_weights([np.full(4, 2.0), np.full(4, 1.0), mean, variance])
    np.testing.assert_allclose(layer(x).numpy(), 2 * (x - mean) / np.sqrt(variance + 0.01) + 1, rtol=1e-12)
    assert np.array_equal(layer.get_weights()[2], mean)  # outside training nothing moves


def test_batch_normalization_of_another_axis():
    x = np.random.default_rng(0).normal(size=(3, 4, 2, 5))
    last, second = BatchNormalization(), BatchNormalization(axis=1)
    for training in (True, False):
        expected = np.moveaxis(last(np.moveaxis(x, 1, -1), training=training).numpy(), -1, 1)
        np.testing.assert_allclose(second(x, training=training).numpy(), expected, rtol=1e-12)
    assert len(second.weights[0].data) == 4


def test_frozen_batch_normalization_keeps_its_statistics():
    x = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
    layer = BatchNormalization()
    layer.build((None, 4))
    layer.trainable = False
    np.testing.assert_array_equal(layer(x, training=True).numpy(), layer(x, training=False).numpy())
    assert np.array_equal(layer.get_weights()[2], np.zeros(4)) and layer.trainable_weights == []
    layer.trainable = True  # and its statistics are still nothing that the optimizer changes
    assert [w.name.split("/")[1] for w in layer.trainable_weights] == ["gamma", "beta"]


def test_normalization_without_scale_or_shift():
    x = np.random.default_rng(0).normal(size=(6, 4))
    for kind in (BatchNormalization, LayerNormalization):
        whole, plain = kind(), kind(center=False, scale=False)
        np.testing.assert_allclose(plain(x, training=True).numpy(), whole(x, training=True).numpy(), rtol=1e-12)
        assert len(plain.trainable_weights) == 0


def test_layer_normalization_of_several_axes():
    x = np.random.default_rng(0).normal(size=(3, 4, 5))
    y = LayerNormalization(axis=(1, 2), epsilon=1e-5)(x).numpy()
    mean, variance = x.mean(axis=(1, 2), keepdims=True), x.var(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(variance + 1e-5), rtol=1e-12)


def test_dropout():
    tinydx.set_seed(0)
    layer, x = Dropout(0.25), np.ones((100, 100), "float32")
    assert np.array_equal(layer(x).numpy(), x)
    y = layer(x, training=True).numpy()
    assert set(np.unique(y)) == {0, np.float32(1 / 0.75)}
    assert abs((y == 0).mean() - 0.25) < 0.02  # 100 x 100 draws: 4.6 standard deviations
    assert not np.array_equal(layer(x, training=True).numpy(), y)  # a new mask each time
    tinydx.set_seed(0)
    assert np.array_equal(Dropout(0.25)(x, training=True).numpy(), y)  # and the same ones from the same seed
    assert np.array_equal(Dropout(0)(x, training=True).numpy(), x)


def test_dropout_with_a_noise_shape_drops_whole_steps():
    tinydx.set_seed(0)
    y = Dropout(0.5, noise_shape=(None, None, 1))(np.ones((20, 30, 4), "float32"), training=True).numpy()
    assert set(np.unique(y)) == {0, 2} and (y == y[..., :1]).all() and 0.4 < (y[..., 0] == 0).mean() < 0.6


def test_the_mean_over_time_is_of_real_steps():
    """Against a loop; a row without any real step gives 0, and its gradient is finite."""
    words = Embedding(9, 3, mask_zero=True)
    ids = np.array([[4, 0, 5], [0, 0, 0], [7, 8, 8]])
    mean = GlobalAveragePooling1D()(words(ids))
    vectors = words.embeddings.data
    expected = [(vectors[4] + vectors[5]) / 2, np.zeros(3), (vectors[7] + 2 * vectors[8]) / 3]
    np.testing.assert_allclose(mean.numpy(), expected, rtol=1e-6)
    mean.sum().backward()
    np.testing.assert_allclose(words.embeddings.grad[:, 0], [0, 0, 0, 0, 1 / 2, 1 / 2, 0, 1 / 3, 2 / 3], rtol=1e-6)
    x = np.arange(12, dtype="float32").reshape(2, 3, 2)
    np.testing.assert_allclose(GlobalAveragePooling1D()(x).numpy(), x.mean(axis=1))


class Scaled(Layer):
    """A layer as users write it: no `training`, no output_shape."""

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, input_shape):
        self.scale = self.add_weight("scale", (input_shape[-1],), "ones")

    def call(self, x):
        return ops.concatenate(x * self.scale, x * self.factor, axis=-1)


class Block(Layer):
    """A layer made of layers, in an attribute, a list and a dict; none is told about training."""

    def __init__(self):
        super().__init__()
        self.first = Dense(4)
        self.rest = [BatchNormalization(), Dropout(0.5)]
        self.last = {"out": Dense(2)}
        self.config_of_mine = {"text": "no layer"}

    def call(self, x):
        x = self.first(x)
        for layer in self.rest:
            x = layer(x)
        return self.last["out"](x)


def test_layers_that_users_write():
    layer = Scaled(2.0, name="mine", dtype="float64")
    assert layer.output_shape((None, 3)) == (None, 6)
    y = layer(np.ones((1, 3)))
    assert y.numpy().tolist() == [[1, 1, 1, 2, 2, 2]] and layer.name == "mine"
    assert layer.config == {"factor": 2.0, "name": "mine", "dtype": "float64"}
    model = Sequential([Scaled(0.5, input_shape=(3,)), Dense(1)])
    assert model.count_params() == 3 + 6 + 1


def test_the_first_arguments_come_in_the_order_of_keras():
    assert layers.Conv2D(4, 3, 2, "same").config == {"filters": 4, "kernel_size": 3, "strides": 2, "padding": "same"}
    for kind in (SimpleRNN, LSTM, GRU):
        assert kind(3, "relu").activation is ops.relu
    for make in (lambda: SimpleRNN(3, "tanh", True, True), lambda: layers.Conv2D(4, 3, 1, "same", 1, 1, None, True, "ones")):
        with pytest.raises(TypeError, match="too many positional arguments"):
            make()


def test_an_op_that_users_write_is_an_activation(monkeypatch, tmp_path):
    monkeypatch.setitem(TABLE, "squareplus", None)  # so that the table is as it was after this test

    @op(r"f(x) = \tfrac{1}{2} (x + \sqrt{x^2 + w})", shapes="x (...) -> y (...)", source="Barron 2021")
    def squareplus(x, *, width=4.0):
        root = np.sqrt(x * x + width)
        return (x + root) / 2, (x, root)

    @backward_of(squareplus)
    def squareplus_backward(dy, saved):
        x, root = saved
        return (dy * (1 + x / root) / 2,)

    model = Sequential([Dense(4, activation="squareplus", input_shape=(3,)), Dense(1)])
    assert model.layers[0].activation is squareplus
    model.compile("sgd", "mse")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 3)).astype("float32"), rng.normal(size=8)
    before = model.layers[0].get_weights()[0]
    first = model.train_on_batch(x, y)
    assert model.train_on_batch(x, y) < first and not np.array_equal(model.layers[0].get_weights()[0], before)
    model.save(tmp_path / "model.tdx")
    loaded = load_model(tmp_path / "model.tdx")
    assert loaded.layers[0].activation is squareplus
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    del TABLE["squareplus"]
    with pytest.raises(ValueError, match="unknown activation 'squareplus'"):
        load_model(tmp_path / "model.tdx")


def test_an_activation_keeps_the_shape_and_takes_one_array():
    assert activations.get("log_softmax") is ops.log_softmax and activations.get("swish") is ops.silu
    for name in ("sum", "mean", "transpose", "concatenate", "add", "sgd_update", "power", "dropout", "dense"):
        with pytest.raises(ValueError, match=f"unknown activation '{name}'"):
            activations.get(name)


def test_weights_of_inner_layers_belong_to_the_outer():
    tinydx.set_seed(1)
    block, x = Block(), np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
    y = block(x).numpy()
    assert [type(v).__name__ for v in block.layers] == ["Dense", "BatchNormalization", "Dropout", "Dense"]
    assert len(block.weights) == 2 + 4 + 2 and len(block.trainable_weights) == 2 + 2 + 2
    assert np.array_equal(block(x).numpy(), y)  # outside training nothing is dropped
    assert not np.array_equal(block(x, training=True).numpy(), y)  # inside, the layers inherit training
    assert not np.array_equal(block.rest[0].moving_mean.data, np.zeros(4))
    block.trainable = False
    assert block.trainable_weights == [] and not block.first.trainable
    assert block.output_shape((None, 3)) == (None, 2)


def test_training_is_inherited_and_ends_with_the_call():
    seen = []

    class Probe(Layer):
        def call(self, x, training=False):
            seen.append(training)
            if float(x.data.sum()) < 0:
                raise RuntimeError("stop")
            return x

    class Outer(Layer):
        def __init__(self):
            super().__init__()
            self.probe = Probe()

        def call(self, x):
            return self.probe(x)

    outer, one = Outer(), np.ones((1, 1), "float32")
    outer(one, training=True)
    outer(one)
    with pytest.raises(RuntimeError):
        outer(-one, training=True)
    outer(one)
    assert seen == [True, False, True, False]


# ---- sequences -----------------------------------------------------------------------------------------------------


RECURRENT = [(SimpleRNN, {}), (LSTM, {}), (LSTM, {"use_bias": False}), (GRU, {}), (GRU, {"reset_after": False}),
             (GRU, {"use_bias": False})]  # fmt: skip
EVERY_CELL = pytest.mark.parametrize(("kind", "options"), RECURRENT, ids=[f"{k.__name__}-{o}" for k, o in RECURRENT])


@EVERY_CELL
def test_one_op_equals_step_by_step(kind, options):
    rng = np.random.default_rng(0)
    x, mask = rng.normal(size=(3, 5, 4)), np.array([[1, 1, 1, 0, 0], [0, 1, 0, 1, 1], [0, 0, 0, 0, 0]], bool)
    states = [rng.normal(size=(3, 2)) for _ in kind.states]
    for keywords in ({}, {"mask": mask}, {"mask": mask, "initial_state": states}):
        for direction in ({}, {"go_backwards": True}):
            fused = kind(2, return_sequences=True, return_state=True, **options, **direction)
            slow = kind(2, activation=lambda v: ops.tanh(v), return_sequences=True, return_state=True, **options, **direction)
            expected = [v.numpy() for v in fused(x, **keywords)]
            slow.build(x.shape)
            slow.set_weights(fused.get_weights())
            for a, b in zip(slow(x, **keywords), expected, strict=True):
                np.testing.assert_allclose(a.numpy(), b, rtol=1e-12, atol=1e-15)


def like(layer, x, **options):
    """Another layer with the weights of this one."""
    other = type(layer)(layer.units, **options)
    other.build(x.shape)
    other.set_weights(layer.get_weights())
    return other


@EVERY_CELL
def test_outputs_of_a_recurrent_layer(kind, options):
    x = np.random.default_rng(0).normal(size=(2, 5, 3))
    layer = kind(4, return_sequences=True, **options)
    every = layer(x).numpy()
    np.testing.assert_array_equal(like(layer, x, **options)(x).numpy(), every[:, -1])
    out, *states = like(layer, x, return_state=True, **options)(x)
    assert np.array_equal(out.numpy(), states[0].numpy()) and len(states) == len(kind.states)
    backwards = like(layer, x, return_sequences=True, go_backwards=True, **options)(x[:, ::-1])
    np.testing.assert_array_equal(backwards.numpy(), every)  # and its output stays reversed
    mask = np.array([[1, 1, 1, 0, 0], [0, 1, 1, 0, 1]], bool)
    masked = like(layer, x, go_backwards=True, **options)(x[:, ::-1], mask=mask[:, ::-1])
    np.testing.assert_array_equal(masked.numpy(), like(layer, x, **options)(x, mask=mask).numpy())
    first = like(layer, x, return_state=True, **options)(x[:, :2])[1:]
    np.testing.assert_allclose(like(layer, x, **options)(x[:, 2:], initial_state=first).numpy(), every[:, -1], rtol=1e-12)


@EVERY_CELL
def test_dropout_of_a_recurrent_layer(kind, options):
    """In training only: the same inputs and states are left out at every step, and what is kept grows."""
    x = np.ones((4, 3, 200))
    layer = kind(3, return_sequences=True, dropout=0.5, recurrent_dropout=0.5, **options)
    np.testing.assert_array_equal(layer(x).numpy(), like(layer, x, return_sequences=True, **options)(x).numpy())
    tinydx.set_seed(1)
    y = layer(x, training=True).numpy()
    assert np.abs(y - layer(x).numpy()).max() > 0.01
    tinydx.set_seed(1)
    kept = [tinydx.random.generator().random((4, size), np.float32) >= 0.5 for size in (200, 3)]
    slow, states = like(layer, x, **options), [Tensor(np.zeros((4, 3))) for _ in kind.states]
    for t in range(3):
        scores = ops.dense(Tensor(x[:, t] * kept[0] * 2), slow.kernel, slow._input_bias())
        states = slow.step(scores, states, states[0] * (kept[1] * 2.0))
        np.testing.assert_allclose(states[0].numpy(), y[:, t], rtol=1e-12)


def test_biases_start_as_in_keras():
    lstm, gru = LSTM(2), GRU(2)
    for layer in (lstm, gru):
        layer.build((None, 4, 3))
    np.testing.assert_array_equal(lstm.get_weights()[2], [0, 0, 1, 1, 0, 0, 0, 0])
    assert not gru.get_weights()[2].any() and gru.get_weights()[2].shape == (2, 6)
    orthogonal = lstm.get_weights()[1]
    np.testing.assert_allclose(orthogonal @ orthogonal.T, np.eye(2), atol=1e-6)


def test_stacked_layers_hand_every_state_on():
    model = Sequential([Input((6, 2)), LSTM(3, return_sequences=True), GRU(4, return_sequences=True), SimpleRNN(2), Dense(1)])
    assert model.output_shape((None, 6, 2)) == (None, 1) and model(np.ones((2, 6, 2), "float32")).shape == (2, 1)


@pytest.mark.parametrize("merge", ["concat", "sum", "mul", "ave", None])
@pytest.mark.parametrize("sequences", [True, False])
def test_bidirectional_is_both_directions(merge, sequences):
    x = np.random.default_rng(0).normal(size=(2, 4, 3))
    layer = Bidirectional(LSTM(2, return_sequences=sequences, return_state=True), merge_mode=merge)
    parts = layer(x)
    assert [p.shape for p in parts] == [(2, *s[1:]) for s in layer.output_shape((None, 4, 3))]
    (a, *states), (b, *others) = layer.forward_layer(x), layer.backward_layer(x)
    a, b = a.numpy(), b.numpy()[:, ::-1] if sequences else b.numpy()
    merged = {"concat": [np.concatenate([a, b], -1)], "sum": [a + b], "mul": [a * b], "ave": [(a + b) / 2], None: [a, b]}[merge]
    for got, want in zip(parts, [*merged, *(s.numpy() for s in states + others)], strict=True):
        np.testing.assert_array_equal(got.numpy(), want)
    assert [w.name.split("/")[0][:7] for w in layer.weights] == ["forward"] * 3 + ["backwar"] * 3
    halves = [v.numpy() for v in layer(x[:, :2], initial_state=[s.numpy() for s in states + others])]
    np.testing.assert_array_equal(halves[0][..., :2] if merge == "concat" else halves[0],
                                  layer(x[:, :2], initial_state=states + others)[0].numpy()[..., :2])  # fmt: skip


def test_masks_travel_through_recurrent_layers():
    ids = np.array([[3, 1, 0], [2, 0, 0]])
    for layer in (LSTM(2, return_sequences=True), Bidirectional(GRU(2, return_sequences=True)), layers.TimeDistributed(Dense(2))):
        y = layer(Embedding(4, 3, mask_zero=True)(ids))
        np.testing.assert_array_equal(y.mask, ids != 0)
    assert LSTM(2)(Embedding(4, 3, mask_zero=True)(ids)).mask is None
    both = Bidirectional(GRU(2, return_sequences=True))(Embedding(4, 3, mask_zero=True)(ids)).numpy()
    assert not both[ids == 0].any() and both[ids != 0].all()
    x = np.array([[[1.0, 0.0], [0.0, 0.0], [0.0, 2.0]]])
    short = LSTM(2)
    np.testing.assert_array_equal(short(layers.Masking()(x)).numpy(), short(x[:, [0, 2]]).numpy())


def test_time_distributed_dense_is_dense():
    x = np.random.default_rng(0).normal(size=(2, 4, 3))
    dense = Dense(5)
    np.testing.assert_allclose(layers.TimeDistributed(dense)(x).numpy(), dense(x).numpy(), rtol=1e-12)


# ---- attention -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Attention, AdditiveAttention])
def test_attention_looks_where_it_may(kind):
    rng = np.random.default_rng(0)
    query, value = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 5, 4))
    seen = np.array([[1, 1, 1, 0, 0], [0, 1, 1, 1, 1]], bool)
    y, weights = kind()([query, value], mask=[np.array([[1, 1, 0], [1, 1, 1]], bool), seen], return_attention_scores=True)
    np.testing.assert_allclose(weights.numpy().sum(axis=-1), 1, rtol=1e-12)
    assert not weights.numpy()[~np.broadcast_to(seen[:, None], weights.shape)].any()
    assert not y.numpy()[0, 2].any()
    np.testing.assert_allclose(y.numpy()[1], weights.numpy()[1] @ value[1], rtol=1e-12)
    _, causal = kind()([query, value], return_attention_scores=True, use_causal_mask=True)
    assert (np.triu(causal.numpy(), 1) == 0).all()


def test_attention_scores_by_hand():
    rng = np.random.default_rng(0)
    query, value, key = rng.normal(size=(1, 2, 3)), rng.normal(size=(1, 4, 5)), rng.normal(size=(1, 4, 3))
    dot = np.einsum("iu,ju->ij", query[0], key[0])
    additive = np.tanh(query[0, :, None] + key[0]).sum(axis=-1)
    for layer, scores in ((Attention(), dot), (AdditiveAttention(use_scale=False), additive)):
        _, weights = layer([query, value, key], return_attention_scores=True)
        np.testing.assert_allclose(weights.numpy()[0], np.exp(scores) / np.exp(scores).sum(1, keepdims=True), rtol=1e-12)


def test_attention_weights_as_an_output_of_a_model():
    query, value = Input((3, 4)), Input((5, 4))
    model = Model([query, value], Attention(use_scale=True)([query, value], return_attention_scores=True))
    assert model.output_shape([(None, 3, 4), (None, 5, 4)]) == [(None, 3, 4), (None, 3, 5)]
    y, weights = model([np.ones((2, 3, 4), "float32"), np.ones((2, 5, 4), "float32")])
    assert y.shape == (2, 3, 4) and weights.shape == (2, 3, 5)


def test_masked_steps_copy_what_came_before():
    x, h0 = np.random.default_rng(0).normal(size=(1, 4, 3)), np.array([[0.5, -0.5]])
    layer = SimpleRNN(2, return_sequences=True, return_state=True)
    every, state = layer(x, mask=[[False, True, False, True]], initial_state=h0)
    short = layer(x[:, [1, 3]], initial_state=h0)[0].numpy()[0]
    np.testing.assert_allclose(every.numpy()[0], [[0, 0], short[0], short[0], short[1]], rtol=1e-12)
    np.testing.assert_array_equal(state.numpy(), every.numpy()[:, -1])
    every, state = layer(x, mask=np.zeros((1, 4), bool), initial_state=h0)
    assert np.array_equal(every.numpy(), np.zeros((1, 4, 2))) and np.array_equal(state.numpy(), h0)


def test_padding_does_not_change_what_a_sequence_says():
    model = Sequential([Embedding(10, 4, mask_zero=True), SimpleRNN(3, return_sequences=True), Dropout(0.5), SimpleRNN(2)])
    short = model(np.array([[3, 7, 2]])).numpy()
    np.testing.assert_allclose(model(np.array([[3, 7, 2, 0, 0]])).numpy(), short, rtol=1e-6)
    unmasked = Sequential([Embedding(10, 4), SimpleRNN(2)])
    assert not np.allclose(unmasked(np.array([[3, 7, 2, 0, 0]])).numpy(), unmasked(np.array([[3, 7, 2]])).numpy())


def test_masks_end_where_time_steps_are_mixed():
    ids = np.array([[1, 2, 0]])
    words = Embedding(5, 4, mask_zero=True)(ids)
    assert words.mask.tolist() == [[True, True, False]]
    assert Dense(3)(words).mask is not None and Add()([words, words]).mask is not None
    assert Flatten()(words).mask is None and Reshape((4, 3))(words).mask is None and SimpleRNN(2)(words).mask is None
    assert Embedding(5, 4)(ids).mask is None and Flatten()(Embedding(5, 1, mask_zero=True)(ids)).mask is None


def test_embedding_takes_ids():
    layer = Embedding(5, 2)
    y = layer([[1, 4]])
    assert np.array_equal(y.numpy()[0], layer.get_weights()[0][[1, 4]])
    np.testing.assert_array_equal(layer(np.array([[1.0, 4.0]])).numpy(), y.numpy())  # whole numbers in floats will do
    with pytest.raises(IndexError, match="ids reach from 1 to 5, the table has rows 0 to 4"):
        layer([[1, 5]])
    with pytest.raises(TypeError, match="ids are float64, expected integers"):
        layer(np.array([[1.5]]))
    repeated = layer(np.array([[2, 2, 0]]))
    repeated.sum().backward()
    assert layer.embeddings.grad.tolist() == [[1, 1], [0, 0], [2, 2], [0, 0], [0, 0]]


# ---- pooling and friends, by hand ----------------------------------------------------------------------------------


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4), st.integers(1, 3), st.sampled_from(["valid", "same"]))
def test_sizes_after_a_window(height, width, kernel, stride, padding):
    """The formulas of SEMANTICS: floor((n-k)/s)+1 for valid, ceil(n/s) for same."""
    x = np.zeros((1, height, width, 2), "float32")
    for layer in (Conv2D(2, kernel, stride, padding), MaxPooling2D(kernel, stride, padding)):
        if padding == "valid" and min(height, width) < kernel:
            with pytest.raises(ValueError, match=f"{layer.name}: a kernel of {kernel}"):
                layer(x)
            continue
        size = [(n - kernel) // stride + 1 if padding == "valid" else -(-n // stride) for n in (height, width)]
        assert layer(x).shape == layer.output_shape(x.shape) == (1, *size, 2)
        unknown = (None, None, width, 2)
        assert layer.output_shape(unknown) == (None, None, size[1], 2)


def test_global_pooling():
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    np.testing.assert_allclose(layers.GlobalAveragePooling2D()(x).numpy(), x.mean(axis=(1, 2)), rtol=1e-12)
    np.testing.assert_array_equal(layers.GlobalMaxPooling2D()(x).numpy(), x.max(axis=(1, 2)))
    assert layers.GlobalMaxPooling2D(keepdims=True)(x).shape == (2, 1, 1, 5)


def test_flatten_and_reshape_in_c_order():
    x = np.arange(24.0).reshape(2, 3, 4)
    np.testing.assert_array_equal(Flatten()(x).numpy(), x.reshape(2, 12))
    np.testing.assert_array_equal(Reshape((-1, 6))(x).numpy(), x.reshape(2, 2, 6))
    assert Flatten()(np.zeros((0, 3, 4))).shape == (0, 12) and Reshape((6, -1))(np.zeros((0, 12))).shape == (0, 6, 2)
    assert Flatten()(np.zeros(3)).shape == (3, 1)
    assert Flatten().output_shape((None, None, 3)) == (None, None)


def test_merging():
    a, b = np.ones((2, 3)), np.full((2, 3), 2.0)
    assert Add()([a, b, a]).numpy().tolist() == [[4.0] * 3] * 2
    assert Concatenate()([a, b]).shape == (2, 6) and Concatenate(axis=0)([a, b]).shape == (4, 3)
    assert Concatenate().output_shape([(None, None, 3), (None, 4, 2)]) == (None, None, 5)


# ---- initial values ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "deviation"),
    [
        ("glorot_uniform", np.sqrt(2 / (9 * 8 + 9 * 16))),
        ("glorot_normal", np.sqrt(2 / (9 * 8 + 9 * 16))),
        ("he_uniform", np.sqrt(2 / (9 * 8))),
        ("he_normal", np.sqrt(2 / (9 * 8))),
        ("uniform", 0.05 / np.sqrt(3)),
        ("random_uniform", 0.05 / np.sqrt(3)),
        ("normal", 0.05),
        ("random_normal", 0.05),
    ],
)
def test_spread_of_initial_values(name, deviation):
    tinydx.set_seed(0)
    values = np.concatenate([initializers.get(name)((3, 3, 8, 16)).ravel() for _ in range(20)])
    assert abs(values.std() / deviation - 1) < 0.02 and abs(values.mean()) < 0.03 * deviation
    if "uniform" in name:
        assert np.abs(values).max() <= deviation * np.sqrt(3)
    elif name != "normal" and name != "random_normal":
        assert np.abs(values).max() <= 2 * deviation / 0.8796  # drawn again beyond two deviations


@pytest.mark.parametrize("shape", [(4, 4), (6, 3), (3, 6), (2, 3, 4)])
def test_orthogonal(shape):
    matrix = initializers.orthogonal(shape).reshape(-1, shape[-1])
    small = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
    np.testing.assert_allclose(small, np.eye(len(small)), atol=1e-12)


def test_initializers_by_name_or_function():
    assert np.array_equal(initializers.get("zeros")((2,)), [0, 0]) and np.array_equal(initializers.ones((2,)), [1, 1])
    layer = Dense(2, kernel_initializer=lambda shape: np.full(shape, 7.0), bias_initializer="ones")
    layer.build((None, 3))
    assert layer.get_weights()[0].tolist() == [[7, 7]] * 3 and layer.get_weights()[1].tolist() == [1, 1]


def test_same_seed_same_weights():
    def weights():
        tinydx.set_seed(5)
        layers = [(layer_of(name), input_of(name)) for name in EXAMPLES]
        return [w for layer, x in layers if layer(x) is not None for w in layer.get_weights()]

    assert all(a.tobytes() == b.tobytes() for a, b in zip(weights(), weights(), strict=True))


# ---- symbols -------------------------------------------------------------------------------------------------------


def test_symbols_know_shape_and_dtype():
    x = Input((8, 8, 1), name="xray", dtype="float64")
    y = Dense(3)(Flatten()(Conv2D(2, 3)(x)))
    assert y.shape == (None, 3) and y.dtype == "float64" and "xray" in repr(x)
    assert all(w.dtype == "float64" for w in Model(x, y).weights)
    words = Embedding(9, 4)(Input((5,), dtype="int64"))
    assert words.shape == (None, 5, 4) and words.dtype == "float32"
    with pytest.raises(ValueError, match=r"conv2d\S*: expected input"):
        Conv2D(2, 3)(Input((8, 8)))


def test_nothing_is_computed_for_symbols():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        calls = []

        class Loud(Layer):
            def call(self, x):
                calls.append(1)
                return x

            def output_shape(self, input_shape):
                return input_shape

        Loud()(Input((3,)))
    assert calls == []


def test_tensor_inputs_keep_their_gradients():
    x = Tensor(np.ones((2, 3), "float32"), requires_grad=True)
    layer = Dense(2)
    layer(x).sum().backward()
    np.testing.assert_allclose(x.grad, np.tile(layer.kernel.data.sum(axis=1), (2, 1)), rtol=1e-6)


# ---- blocks that networks are made of ------------------------------------------------------------------------------


def residual_network():
    """Two blocks of convolution, batch normalisation and a sum around them; the second halves the image."""
    x = Input((9, 9, 4))
    h = BatchNormalization()(Conv2D(4, 3, padding="same", activation="relu", kernel_regularizer="l2")(x))
    h = layers.Activation("relu")(Add()([x, Conv2D(4, 3, padding="same")(h)]))
    short = Conv2D(6, 1, strides=2)(h)
    h = Conv2D(6, 3, strides=2, activation="relu")(layers.ZeroPadding2D(1)(h))
    h = layers.Activation("relu")(Add()([short, h]))
    model = Model(x, Dense(1, activation="sigmoid")(layers.GlobalAveragePooling2D()(h)))
    model.compile(tinydx.optimizers.Adam(0.01), "binary_crossentropy")
    return model


def test_a_residual_network_trains_fused_and_not_and_is_saved(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(16, 9, 9, 4)).astype("float32"), np.arange(16) % 2
    x[y == 1, 3:6, 3:6] += 1
    losses, ends = [], []
    for fused in (True, False):
        tinydx.set_seed(0)
        model = residual_network()
        with tinydx.use("auto", fused=fused):
            losses.append(model.fit(x, y, batch_size=8, epochs=8, shuffle=False, verbose=0).history["loss"])
        ends.append(model.predict(x))
    assert losses[0][-1] < 0.7 * losses[0][0]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(load_model(tmp_path / "model").predict(x), ends[1])


def test_zero_padding():
    x = np.arange(1.0, 5.0).reshape(1, 2, 2, 1)
    y = layers.ZeroPadding2D(((1, 0), (0, 2)))(x).numpy()
    assert y[0, :, :, 0].tolist() == [[0, 0, 0, 0], [1, 2, 0, 0], [3, 4, 0, 0]]
    np.testing.assert_array_equal(layers.ZeroPadding2D(0)(x).numpy(), x)
