"""Lowering: which layers become one op, that it computes what the layers compute, and that it is decided once."""

from dataclasses import replace

import numpy as np
import pytest

import tinydx
from tinydx import Tensor, models, ops
from tinydx.factored import FactoredGradient
from tinydx.layers import Activation, Add, BatchNormalization, Conv2D, Dense, Flatten, Input, MaxPooling2D, ReLU
from tinydx.losses import BinaryCrossentropy, CategoricalCrossentropy, MeanSquaredError, SparseCategoricalCrossentropy
from tinydx.models import Model, Sequential
from tinydx.training import lowering
from tinydx.training.lowering import Fused, fuse, gradients_for_update, loss_of, lower, lower_graph

RNG = np.random.default_rng(0)
IMAGES = RNG.random((2, 9, 8, 3), np.float32)
ROWS = RNG.normal(size=(3, 5)).astype(np.float32)

needs_numba = pytest.mark.skipif(tinydx.dispatch.load_kernels("numba") is not None, reason="fused kernels need numba")


def names(calls):
    """Of each call the fused op's name, or the layer's class."""
    return [call.op.name if isinstance(call, Fused) else type(call).__name__ for call in calls]


def ran(function, *arguments):
    """The names of the ops that ran."""
    with tinydx.trace() as trace:
        function(*arguments)
    return [name for name, _ in trace]


def expect_the_numbers_of_the_layers(model, x):
    """Output and all gradients are the same with fused ops and without."""
    results = {}
    for fused in (True, False):
        with tinydx.use("auto", fused=fused):
            given = Tensor(x, requires_grad=True)
            y = model(given)
            (y * y).sum().backward()
            results[fused] = [y.data, given.grad, *(w.grad for w in model.weights)]
    for a, b in zip(results[True], results[False], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


# ---- rules -----------------------------------------------------------------------------------------------------------

RULES = {
    "dense_relu": ([Dense(4, activation="relu")], ROWS),
    "correlate2d_relu": ([Conv2D(4, 3, activation="relu", strides=(1, 2), padding="same", dilation_rate=1)], IMAGES),
    "correlate2d_relu_max_pool2d": ([Conv2D(4, (3, 2), activation="relu"), MaxPooling2D((2, 2))], IMAGES),
}


@needs_numba
@pytest.mark.parametrize("name", RULES)
def test_a_rule_fuses_and_gives_the_numbers_of_its_layers(name):
    layers, x = RULES[name]
    assert names(lower(layers)) == [name]
    model = Sequential(layers)
    model(x)
    assert ran(model, x) == [name]
    expect_the_numbers_of_the_layers(model, x)


@needs_numba
def test_use_without_fusing_runs_the_layers():
    layers, x = RULES["correlate2d_relu_max_pool2d"]
    model = Sequential(layers)
    model(x)
    with tinydx.use("auto", fused=False):
        assert ran(model, x) == ["correlate2d", "relu", "max_pool2d"]
    with tinydx.use("numpy"):
        assert ran(model, x) == ["correlate2d", "relu", "max_pool2d"]


class OtherDense(Dense):
    """May compute something else."""


class OtherPooling(MaxPooling2D):
    """May compute something else."""


@pytest.mark.parametrize(
    ("layers", "calls"),
    [
        ([OtherDense(4, activation="relu")], ["OtherDense"]),
        ([Dense(4)], ["Dense"]),
        ([Dense(4, activation="tanh")], ["Dense"]),
        ([Dense(4), Activation("relu")], ["Dense", "Activation"]),
        ([Conv2D(4, 3), MaxPooling2D()], ["Conv2D", "MaxPooling2D"]),
        ([Conv2D(4, 3, activation="relu"), OtherPooling()], ["correlate2d_relu", "OtherPooling"]),
        ([Conv2D(4, 3, activation="relu"), MaxPooling2D(2, strides=1)], ["correlate2d_relu", "MaxPooling2D"]),
        ([Conv2D(4, 3, activation="relu"), MaxPooling2D(padding="same")], ["correlate2d_relu", "MaxPooling2D"]),
        (
            [Conv2D(4, 3, activation="relu"), Flatten(), Dense(2, activation="relu")],
            ["correlate2d_relu", "Flatten", "dense_relu"],
        ),
    ],
)
def test_what_is_not_the_same_function_is_not_fused(layers, calls):
    assert names(lower(layers)) == calls


@needs_numba
def test_layers_run_where_the_kernel_does_not_take_the_arrays():
    model = Sequential([Dense(4, activation="relu", input_shape=(5,), dtype="float64")])
    x = ROWS.astype(np.float64)
    assert ran(model, x) == ["dense", "relu"]
    np.testing.assert_array_equal(model(x).data, np.maximum(x @ model.get_weights()[0], 0))


def test_a_fused_call_names_the_layer_that_does_not_fit_and_passes_the_mask():
    model = Sequential([Dense(4, activation="relu", input_shape=(3, 5), name="first")])
    x = Tensor(np.ones((2, 3, 5), np.float32))
    x.mask = np.array([[True, True, False], [True, False, False]])
    fused = fuse(model.layers)
    assert ran(fused, x)[0].startswith("dense") and fused(x).mask is x.mask
    with pytest.raises(ValueError, match="first: expected 5 values on the last axis, got 4"):
        fused(Tensor(np.ones((2, 4), np.float32)))


# ---- batch normalisation ---------------------------------------------------------------------------------------------

NORMALISED = {
    "correlate2d_relu_max_pool2d": ([Conv2D(4, 3), BatchNormalization(), ReLU(), MaxPooling2D()], IMAGES),
    "correlate2d_relu": ([Conv2D(4, 3, use_bias=False), BatchNormalization(scale=False), Activation("relu")], IMAGES),
    "correlate2d": ([Conv2D(4, (1, 3), padding="same", strides=2), BatchNormalization(center=False)], IMAGES),
    "dense_relu": ([Dense(4, use_bias=False), BatchNormalization(), ReLU()], ROWS),
    "dense": ([Dense(4), BatchNormalization()], ROWS),
}


def after_a_step(layers, x, fused, training, frozen):
    """Output, gradients and weights of layers whose statistics have moved already."""
    model = Sequential([type(layer)(**layer.config) for layer in layers])
    tinydx.set_seed(3)
    model(x)
    for k, w in enumerate(model.weights):
        w.data = np.abs(np.random.default_rng(k).normal(1, 0.5, w.shape)).astype(np.float32) * (
            1 if "variance" in w.name else 0.5
        )
    model.layers[1].trainable = not frozen
    with tinydx.use("auto", fused=fused), tinydx.trace() as trace:
        given = Tensor(x, requires_grad=True)
        y = model(given, training=training)
        (y * y).sum().backward()
    gradients = [given.grad, *(w.grad for w in model.weights if w.requires_grad)]
    return [op for op, _ in trace], [y.data, *gradients, *(w.data for w in model.weights)]


@needs_numba
@pytest.mark.parametrize(("training", "frozen"), [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("name", NORMALISED)
def test_normalisation_joins_the_layers_beside_it(name, training, frozen):
    layers, x = NORMALISED[name]
    assert names(lower(layers)) == [name]
    (ran, got), (_, wanted) = (after_a_step(layers, x, fused, training, frozen) for fused in (True, False))
    if training and not frozen:
        rectified = len(layers) > 2
        assert ("batch_normalization_relu" in ran) == rectified and "batch_normalization" + "_relu" * rectified in ran
    else:
        assert {name, "fold_normalization"} <= set(ran) and "relu" not in ran
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize(
    ("layers", "calls"),
    [
        ([Dense(4, activation="relu"), BatchNormalization()], ["dense_relu", "BatchNormalization"]),
        ([BatchNormalization(), Dense(4)], ["BatchNormalization", "Dense"]),
        ([BatchNormalization(), ReLU(max_value=6.0)], ["BatchNormalization", "ReLU"]),
        ([BatchNormalization(), Activation("tanh")], ["BatchNormalization", "Activation"]),
        ([Dense(4, activation="tanh"), BatchNormalization()], ["Dense", "BatchNormalization"]),
        ([Conv2D(4, 3), BatchNormalization(), MaxPooling2D()], ["correlate2d", "MaxPooling2D"]),
        ([Conv2D(4, 3), BatchNormalization(), ReLU(), MaxPooling2D(3, strides=2)], ["correlate2d_relu", "MaxPooling2D"]),
        ([MaxPooling2D(), BatchNormalization(), ReLU()], ["MaxPooling2D", "batch_normalization_relu"]),
    ],
)
def test_where_normalisation_is_another_function_it_stays(layers, calls):
    assert names(lower(layers)) == calls


@needs_numba
def test_normalisation_of_another_axis_and_of_padded_steps_runs_by_itself():
    other = Sequential([Conv2D(4, 3), BatchNormalization(axis=1), ReLU()])
    other(IMAGES)
    assert ran(other, IMAGES)[0] == "correlate2d" and "batch_normalization_relu" not in ran(other, IMAGES, True)
    padded = Tensor(np.ones((2, 3, 5), np.float32))
    padded.mask = np.array([[True, True, False], [True, False, False]])
    model = Sequential([Dense(4), BatchNormalization(), ReLU()])
    assert "masked_batch_normalization" in ran(lambda: model(padded, training=True)) and ran(model, padded)[0] == "dense"


def test_a_graph_folds_normalisation_unless_its_input_is_used_elsewhere():
    x = Input((9, 8, 3))
    convolved = Conv2D(4, 3)(x)
    pooled = MaxPooling2D()(ReLU()(BatchNormalization()(convolved)))
    assert graph_names(Model(x, pooled)) == ["correlate2d_relu_max_pool2d"]
    assert graph_names(Model(x, [pooled, convolved])) == ["Conv2D", "batch_normalization_relu", "MaxPooling2D"]


# ---- graphs ----------------------------------------------------------------------------------------------------------


def graph_names(model):
    outputs = model.outputs if isinstance(model.outputs, list) else [model.outputs]
    return names([call.layer for call in lower_graph(model.graph, outputs)])


def test_a_graph_fuses_neighbours():
    x = Input((9, 8, 3))
    assert graph_names(Model(x, MaxPooling2D()(Conv2D(4, 3, activation="relu")(x)))) == ["correlate2d_relu_max_pool2d"]


def test_a_value_that_is_used_elsewhere_is_not_fused_away():
    x = Input((8, 8, 3))
    between = Conv2D(4, 3, activation="relu")(x)
    pooled = MaxPooling2D()(between)
    branch = Model(x, [pooled, Flatten()(between)])
    assert graph_names(branch) == ["correlate2d_relu", "MaxPooling2D", "Flatten"]
    shown = Model(x, [pooled, between])
    assert graph_names(shown) == ["correlate2d_relu", "MaxPooling2D"]
    images = RNG.random((2, 8, 8, 3), np.float32)
    for model in (branch, shown):
        with tinydx.use("auto", fused=False):
            wanted = [y.data for y in model(images)]
        for y, w in zip(model(images), wanted, strict=True):
            np.testing.assert_allclose(y.data, w, rtol=1e-5, atol=1e-6)


def residual(last, third=None):
    x = Input((8, 8, 3))
    branch = Conv2D(3, 3, padding="same")(x)
    return Model(x, last(Add()([x, branch] if third is None else [x, branch, third(x)])))


@needs_numba
@pytest.mark.parametrize("last", [ReLU, lambda: Activation("relu")])
def test_a_sum_and_its_relu_are_one_op(last):
    model, images = residual(last()), RNG.normal(size=(2, 8, 8, 3)).astype(np.float32)
    assert graph_names(model) == ["Conv2D", "add_relu"] and ran(model, images) == ["correlate2d", "add_relu"]
    expect_the_numbers_of_the_layers(model, images)


def test_another_sum_stays_apart():
    assert graph_names(residual(ReLU(max_value=6))) == ["Conv2D", "Add", "ReLU"]
    three = residual(ReLU(), third=Conv2D(3, 1))
    with tinydx.use("auto"):
        assert "add_relu" not in ran(three, RNG.normal(size=(2, 8, 8, 3)).astype(np.float32))


def test_a_sum_keeps_the_masks_of_its_inputs():
    first, second = Tensor(RNG.normal(size=(2, 3, 4))), Tensor(RNG.normal(size=(2, 3, 4)))
    first.mask, second.mask = np.array([[1, 1, 0], [1, 0, 0]], bool), np.array([[1, 0, 0], [1, 1, 0]], bool)
    (call,) = lower([Add(), ReLU()])
    np.testing.assert_array_equal(call([first, second]).mask, [[1, 1, 0], [1, 1, 0]])


# ---- once ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def lowered(monkeypatch):
    """What is lowered, a line each time."""
    lines = []
    for name in ("lower", "lower_graph"):
        original = getattr(models, name)
        noted = lambda *a, name=name, original=original: (lines.append(name), original(*a))[1]  # noqa: E731
        monkeypatch.setattr(models, name, noted)
    return lines


def test_a_model_is_lowered_once(lowered):
    model = Sequential([Dense(4, activation="relu", input_shape=(5,)), Dense(1)])
    x = Input((5,))
    graph = Model(x, Dense(1)(Dense(4, activation="relu")(x)))
    for m in (model, graph):
        m.compile("sgd", "mse")
        for _ in range(3):
            with tinydx.use("numpy"):  # a kernel that is compiled first would be rehearsed, by a copy that is lowered, too
                m.predict(ROWS)
                m.train_on_batch(ROWS, np.ones((3, 1)))
    assert lowered == ["lower", "lower_graph"]


def test_a_model_whose_structure_changes_is_lowered_again(lowered):
    model = Sequential([Dense(4, activation="relu", input_shape=(5,))])
    model(ROWS)
    model.add(Dense(2))
    assert model(ROWS).shape == (3, 2)
    model.pop()
    assert model(ROWS).shape == (3, 4)
    model.layers[0].activation = ops.tanh
    np.testing.assert_array_equal(model(ROWS).data, model.layers[0](ROWS).data)
    assert len(lowered) == 4 and model(ROWS).data.min() < 0


@needs_numba
def test_a_kernel_is_asked_once_whether_it_takes_the_arrays(monkeypatch):
    kernel, asked = ops.dense_relu.kernels["numba"], []
    counting = replace(kernel, supports=lambda *a, **c: (asked.append(1), kernel.supports(*a, **c))[1])
    monkeypatch.setitem(ops.dense_relu.kernels, "numba", counting)
    model = Sequential([Dense(4, activation="relu", input_shape=(5,))])
    model(ROWS)
    assert len(asked) == 1
    with tinydx.use("auto", fused=False):
        model(ROWS)
    assert len(asked) == 1


# ---- loss and last activation ----------------------------------------------------------------------------------------


def loss_and_slope(loss, activation, z, target):
    """The loss of activation(z), as training computes it, and its gradient with respect to z."""
    z = Tensor(np.array(z), requires_grad=True)
    prediction = activation(z)
    value = loss_of(loss, loss.prepare(target, prediction.shape), prediction, None)
    value.backward()
    return float(value.data), z.grad


@pytest.mark.parametrize("fused", [True, False])
def test_sigmoid_joins_its_loss(fused):
    """At z=40, y=0 the loss is 40 and its slope 1; of the clipped probability they are 15.9 and 0: no learning."""
    with tinydx.use("auto", fused=fused):
        assert loss_and_slope(BinaryCrossentropy(), ops.sigmoid, [[40.0]], [[0]]) == (40, [[1.0]])
    assert float(BinaryCrossentropy()([[0]], ops.sigmoid(np.array([[40.0]])))) == pytest.approx(-np.log(1e-7), rel=1e-6)


@pytest.mark.parametrize(("loss", "target"), [(SparseCategoricalCrossentropy(), [1]), (CategoricalCrossentropy(), [[0, 1, 0]])])
def test_softmax_joins_its_loss(loss, target):
    value, slope = loss_and_slope(loss, ops.softmax, [[100.0, 0.0, 0.0]], target)
    assert value == 100 and slope == pytest.approx(np.array([[1.0, -1.0, 0.0]]), abs=1e-40)


class Halved(BinaryCrossentropy):
    """Computes something else."""

    def loss(self, target, prediction, weight):
        return super().loss(target, prediction, weight) * 0.5


class Flipped(BinaryCrossentropy):
    """Takes other labels, but compares them in the same way."""

    def align(self, target, shape):
        return 1 - super().align(target, shape)


@pytest.mark.parametrize(
    ("loss", "activation", "expected"),
    [
        (BinaryCrossentropy(), ops.sigmoid, "sigmoid_binary_crossentropy"),
        (Flipped(), ops.sigmoid, "sigmoid_binary_crossentropy"),
        (CategoricalCrossentropy(), ops.softmax, "softmax_crossentropy"),
        (BinaryCrossentropy(), ops.softmax, "binary_crossentropy"),  # not its activation
        (Halved(), ops.sigmoid, "binary_crossentropy"),
        (MeanSquaredError(), ops.sigmoid, "mean_squared_error"),
        (BinaryCrossentropy(from_logits=True), ops.sigmoid, "sigmoid_binary_crossentropy"),  # of its output, not its input
    ],
)
def test_which_losses_take_the_scores(loss, activation, expected):
    z = Tensor(np.array([[0.3, -0.2], [0.1, 0.4]]), requires_grad=True)
    prediction = activation(z)
    target = loss.prepare(np.array([[1, 0], [0, 1]]), prediction.shape)
    with tinydx.trace() as trace:
        value = loss_of(loss, target, prediction, None)
    assert expected in [name for name, _ in trace]
    np.testing.assert_allclose(float(value.data), float(loss([[1, 0], [0, 1]], prediction.data).data), rtol=1e-6)


def test_training_and_evaluation_use_the_scores():
    model = Sequential([Dense(3, input_shape=(5,)), Activation("softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    for function in (model.train_on_batch, model.test_on_batch):
        assert "sparse_softmax_crossentropy" in ran(function, ROWS, np.array([0, 1, 2]))


# ---- gradients -------------------------------------------------------------------------------------------------------


def test_factored_gradients_reach_the_optimizer_only_where_fusing_is_allowed():
    w = Tensor(np.zeros((2, 2), np.float32), requires_grad=True)
    w.gradient = FactoredGradient(np.ones((1, 2), np.float32), np.ones((1, 2), np.float32))
    assert isinstance(gradients_for_update([w])[0], FactoredGradient)
    with tinydx.use("auto", fused=False):
        assert type(gradients_for_update([w])[0]) is np.ndarray


def test_the_docstring_lists_every_fused_op():
    fused = {op.name for op in tinydx.op.TABLE.values() if op.parts and not op.name.startswith("conv2d")}
    assert all(name in lowering.__doc__ for name in fused)
