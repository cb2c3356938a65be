"""What every layer does with a mask, beside Keras: tests/keras_reference/masks.npz, which make_masks.py wrote and explains."""

import numpy as np
import pytest
from test_keras_parity import arguments, below, read

import tinydx
from tinydx import layers
from tinydx.layers.registry import known_classes
from tinydx.models import Model, Sequential

MASKS = read("masks")
# bases; models, which have tests below; and what Keras has not
WITHOUT_CASES = {"Layer", "Recurrent", "Trainer", "Model", "Sequential", "LanguageModel", "Seq2Seq", "FiLM"}
WORDS, OTHERS = np.array([[3, 1, 0, 0], [2, 2, 4, 0]]), np.array([[1, 0, 0, 2], [0, 0, 0, 0]])


def build(name, config):
    config = arguments(config)
    if isinstance(config.get("layer"), dict):
        config["layer"] = build(config["layer"]["class"], config["layer"]["config"])
    return getattr(layers, name)(**config, **({"dtype": "float64"} if name != "Bidirectional" else {}))


def inputs_of(arrays):
    """The inputs of a case, as Tensors with their masks; ids as they are."""
    made = []
    for k in range(3):
        if f"x{k}" in arrays:
            x = arrays[f"x{k}"]
            made.append(x if x.dtype.kind == "i" else tinydx.Tensor(x))
            if f"m{k}" in arrays:
                made[-1].mask = arrays[f"m{k}"]
    return made[0] if len(made) == 1 else made


@pytest.mark.parametrize("backend", ["numpy", "auto"])
@pytest.mark.parametrize("name", MASKS.cases)
def test_outputs_masks_and_statistics_are_keras(name, backend):
    case, arrays = MASKS.cases[name], below(MASKS.arrays, f"{name}/")
    layer, x = build(case["layer"], case["config"]), inputs_of(arrays)
    layer.ensure_built([v.shape for v in x] if isinstance(x, list) else x.shape, np.float64)
    weights = [arrays[f"w{k}"] for k in range(len(layer.weights))]
    layer.set_weights(weights)
    with tinydx.use(backend):
        y = layer(x, **case["call"])
    outputs = list(y) if isinstance(y, list | tuple) else [y]
    assert len(outputs) == sum(key.startswith("y") for key in arrays)
    for k, out in enumerate(outputs):
        np.testing.assert_allclose(out.numpy(), arrays[f"y{k}"], rtol=1e-6, atol=1e-6)  # Keras adds 1e-7 to the number of steps
        expected = arrays.get(f"mask{k}")
        if expected is None:
            assert out.mask is None
        else:
            np.testing.assert_array_equal(out.mask, expected)
    for k, after in enumerate(layer.get_weights()):
        np.testing.assert_allclose(after, arrays.get(f"after{k}", weights[k]), rtol=1e-6, atol=1e-9)


def test_every_layer_has_a_case_and_states_what_it_does_with_a_mask():
    assert {case["layer"] for case in MASKS.cases.values()} == known_classes().keys() - WITHOUT_CASES
    for name, cls in known_classes().items():
        if name not in ("Layer", "Trainer"):
            stated = [c for c in cls.__mro__ if {"supports_masking", "compute_mask"} & vars(c).keys()]
            assert stated[0] is not layers.Layer, f"{name} does not say what it does with a mask: see Layer.compute_mask"


def embedded(words, size=3):
    layer = layers.Embedding(6, size, mask_zero=True)
    return layer(words)


def test_the_order_of_masked_inputs_does_not_matter():
    a, b = embedded(WORDS), embedded(OTHERS)
    either = (WORDS != 0) | (OTHERS != 0)
    for merge in (layers.Add(), layers.Average(), layers.Multiply(), layers.Concatenate()):
        for pair in ([a, b], [b, a]):
            np.testing.assert_array_equal(merge(pair).mask, either)
    gru = layers.GRU(4)
    np.testing.assert_array_equal(gru(layers.Add()([a, b])).numpy(), gru(layers.Add()([b, a])).numpy())


def test_sequences_joined_in_time_keep_their_padding():
    """Masked steps copy the state, so the joined sequence is that of its real steps alone."""
    a, b = embedded(WORDS[:1]), embedded(OTHERS[:1])
    joined, gru = layers.Concatenate(axis=1)([a, b]), layers.GRU(4)
    np.testing.assert_array_equal(joined.mask, np.concatenate([WORDS, OTHERS], axis=1)[:1] != 0)
    short = tinydx.Tensor(joined.data[:, joined.mask[0]])
    np.testing.assert_allclose(gru(joined).numpy(), gru(short).numpy(), rtol=1e-6)


def test_masked_steps_do_not_count_in_batch_normalisation():
    x = tinydx.Tensor(np.array([[[1.0], [3.0], [100.0]]]))
    x.mask = np.array([[True, True, False]])
    layer = layers.BatchNormalization(dtype="float64")
    y = layer(x, training=True)
    moving_mean, moving_variance = layer.get_weights()[2:]
    np.testing.assert_allclose(moving_mean, [0.02])  # 0.01 of the mean 2, not of 34.7
    np.testing.assert_allclose(moving_variance, [0.99 + 0.01 * 1])
    np.testing.assert_allclose(y.numpy().ravel()[:2], [-1, 1], atol=1e-3)
    np.testing.assert_array_equal(y.mask, x.mask)
    steps = layers.TimeDistributed(layers.BatchNormalization(dtype="float64"))
    steps(x, training=True)
    np.testing.assert_allclose(steps.get_weights()[2], [0.02])


def test_padding_does_not_change_what_a_model_with_batch_normalisation_learns():
    """The same sentences with two more padded steps: the same loss, gradients and moving averages."""
    results = []
    for padded in (WORDS, np.pad(WORDS, ((0, 0), (0, 2)))):
        tinydx.random.set_seed(0)
        chain = [layers.Embedding(6, 3, mask_zero=True), layers.BatchNormalization(), layers.GRU(4), layers.Dense(1)]
        model = Sequential(chain)
        model(padded)
        model.set_weights([np.random.default_rng(1).random(w.shape) for w in model.weights])
        loss = (model(padded, training=True) ** 2).mean()
        loss.backward()
        results.append([loss.data, *(w.grad for w in model.trainable_weights), *(w.numpy() for w in model.weights)])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("layer", [layers.SimpleRNN(8), layers.LSTM(8), layers.GRU(8), layers.GRU(8, reset_after=False),
                                   layers.GRU(8, activation="relu"), layers.Bidirectional(layers.GRU(8))], ids=repr)  # fmt: skip
@pytest.mark.parametrize("backend", ["numpy", "auto"])
def test_a_mask_of_another_shape_is_refused(layer, backend):
    x = np.ones((64, 20, 4), np.float32)
    for mask in ((np.arange(20) < 12)[None], np.ones((1, 1)), np.ones(20), np.ones((64, 20, 1)), np.ones((20, 64)), True):
        with tinydx.use(backend), pytest.raises(ValueError, match=r"mask has shape .*, expected \(64, 20\), an entry for every"):
            layer(x, mask=mask)
    with tinydx.use(backend):
        same = [layer(x, mask=np.ones((64, 20), kind)).numpy() for kind in (bool, int, np.float32)]
    np.testing.assert_array_equal(same[0], same[1])
    np.testing.assert_array_equal(same[0], same[2])


def test_masks_of_another_shape_are_refused_wherever_masks_are_used():
    x, mask = np.ones((2, 3, 4), np.float32), np.ones((1, 3), bool)
    for layer in (layers.GlobalAveragePooling1D(), layers.BatchNormalization()):
        with pytest.raises(ValueError, match="mask has shape"):
            layer(x, mask=mask)
    for masks in ([mask, None], [None, mask], [None, np.ones(3, bool)]):
        with pytest.raises(ValueError, match="mask has shape"):
            layers.Attention()([x, x], mask=masks)
    tensor = tinydx.Tensor(x)
    tensor.mask = mask  # set by hand
    with pytest.raises(ValueError, match="mask has shape"):
        layers.LSTM(2)(tensor)


def test_models_have_the_mask_that_their_layers_give():
    x = layers.Input((4,), dtype="int64")
    vectors = layers.Embedding(6, 3, mask_zero=True)(x)
    keeps, ends = Model(x, layers.Dense(2)(vectors)), Model(x, layers.Reshape((4, 3))(vectors))
    np.testing.assert_array_equal(keeps(WORDS).mask, WORDS != 0)
    assert ends(WORDS).mask is None
    inner = Sequential([layers.Reshape((4, 3))])  # a model as a layer ends a mask where a layer inside does
    assert inner(embedded(WORDS)).mask is None
    np.testing.assert_array_equal(Sequential([layers.Dense(3, activation="relu")])(embedded(WORDS)).mask, WORDS != 0)


class Doubled(layers.Layer):
    def call(self, x, training=False):
        return x * 2.0


class Kept(Doubled):
    supports_masking = True


class Later(Doubled):
    def compute_mask(self, inputs, mask=None):  # as Keras's users write it
        return mask[:, ::-1]


def test_a_layer_of_ones_own_says_what_it_does_with_a_mask():
    words = embedded(WORDS)
    with pytest.warns(UserWarning, match="the mask of its input ends at Doubled; .* set supports_masking = True"):
        assert Doubled()(words).mask is None
    np.testing.assert_array_equal(Kept()(words).mask, WORDS != 0)
    np.testing.assert_array_equal(Later()(words).mask, (WORDS != 0)[:, ::-1])
    layer = Doubled()
    layer.supports_masking = True
    np.testing.assert_array_equal(layer(words).mask, WORDS != 0)


def test_masked_steps_have_no_gradient():
    layer = layers.GRU(3, return_sequences=True)
    x = tinydx.Tensor(np.random.default_rng(0).normal(size=(2, 4, 3)).astype(np.float32), requires_grad=True)
    x.mask = np.array([[True, False, True, False], [False, False, True, True]])
    layer(x).sum().backward()
    assert not x.grad[~x.mask].any() and x.grad[x.mask].all()


def test_weights_of_padded_sequences_are_never_broadcast():
    loss, y = tinydx.losses.MeanSquaredError(), tinydx.Tensor(np.array([[[1.0], [2.0]], [[3.0], [100.0]]]))
    y.mask = np.array([[True, True], [True, False]])
    labels = np.zeros((2, 2, 1))
    assert loss(labels, y).data == pytest.approx((1 + 4 + 9) / 3)
    assert loss(labels, y, np.array([1.0, 2.0])).data == pytest.approx((1 + 4 + 2 * 9) / 3)
    assert loss(labels, y, np.array([[1.0, 0.5], [2.0, 7.0]])).data == pytest.approx((1 + 2 + 2 * 9) / 3)
    for wrong in (np.ones((1, 2)), np.ones((2, 1)), np.ones(1), np.ones((2, 2, 1))):
        with pytest.raises(ValueError, match="has shape"):
            loss(labels, y, wrong)


@pytest.mark.parametrize(("metrics", "weighted"), [(["accuracy"], None), (None, ["accuracy"])])
def test_evaluate_counts_real_steps_as_keras_does(metrics, weighted):
    """Keras 3.15.1's numbers for this model, with and without weights."""
    ids, labels = np.array([[1, 2, 0, 0], [3, 0, 0, 0], [2, 1, 3, 0]]), np.array([[2, 1, 1, 0], [0, 0, 0, 2], [0, 2, 1, 2]])
    model = Sequential([layers.Embedding(4, 3, mask_zero=True, input_shape=(4,)), layers.Dense(3, activation="softmax")])
    model.compile(loss="sparse_categorical_crossentropy", metrics=metrics, weighted_metrics=weighted)
    table, kernel = [[9, 9, 9], [1, 0, -1], [0, 2, 1], [-1, 1, 0]], [[1, 0, -1], [0, 1, 1], [1, -1, 0]]
    model.set_weights([np.array(w, np.float32) for w in (table, kernel, [0, 0.5, -0.5])])
    weight = np.repeat([[1.0], [2.0], [3.0]], 4, axis=1)
    assert model.evaluate(ids, labels, verbose=0) == pytest.approx([2.1442337, 1 / 3], rel=1e-6)
    accuracy = 4 / 13 if weighted else 1 / 3
    assert model.evaluate(ids, labels, sample_weight=weight, verbose=0) == pytest.approx([4.4940295, accuracy], rel=1e-6)
