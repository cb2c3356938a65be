"""Outputs, losses and metrics that nobody means together; predictions of other examples than one thinks; broken models."""

import warnings

import numpy as np
import pytest
from PIL import Image
from small import two_classes

from tinydx import losses, ops
from tinydx.layers import Activation, Average, Dense, Flatten, Input, Reshape
from tinydx.models import Model, Sequential
from tinydx.optimizers import SGD
from tinydx.preprocessing.image import ImageDataGenerator
from tinydx.preprocessing.sound import SoundDataGenerator

X, Y = two_classes(20)
ONE_HOT = np.eye(2)[Y]
BCE, CCE, SCCE = losses.BinaryCrossentropy, losses.CategoricalCrossentropy, losses.SparseCategoricalCrossentropy


def chain(*ends):
    return Sequential([Dense(4, activation="relu", input_shape=(5,)), *ends])


class Own(Model):
    """A model in code: its end is known by what it computes."""

    def __init__(self, end):
        super().__init__()
        self.end = end

    def call(self, x, training=False):
        return self.end(x)


def functional(*ends):
    x = y = Input((5,))
    for layer in ends:
        y = layer(y)
    return Model(x, y)


@pytest.mark.parametrize("build", [chain, functional, lambda *ends: Own(Sequential([*ends]))])
@pytest.mark.parametrize(
    ("ends", "loss", "y", "message"),
    [
        (lambda: [Dense(1, activation="softmax")], BCE(), Y, "softmax over one unit, which is always 1"),
        (lambda: [Dense(1), Activation("softmax")], BCE(), Y, "softmax over one unit"),
        (lambda: [Dense(1, activation="softmax")], losses.MeanSquaredError(), Y, "softmax over one unit"),
        (lambda: [Dense(1)], BCE(), Y, "takes probabilities, but .* ends in no activation: .*activation='sigmoid'"),
        (lambda: [Dense(1, activation="relu")], BCE(), Y, "ends in relu"),
        (lambda: [Dense(1), Activation("relu")], BCE(), Y, "ends in relu"),
        (lambda: [Dense(1, activation="tanh")], BCE(), Y, "ends in tanh"),
        (lambda: [Dense(1, activation="elu")], BCE(), Y, "ends in elu"),
        (lambda: [Dense(2)], CCE(), ONE_HOT, "ends in no activation: .*activation='softmax'"),
        (lambda: [Dense(2, activation="relu")], SCCE(), Y, "ends in relu"),
        (lambda: [Dense(1, activation="sigmoid")], BCE(from_logits=True), Y, "from_logits=True, but the model ends in sigmoid"),
        (lambda: [Dense(2, activation="softmax")], CCE(from_logits=True), ONE_HOT, "ends in softmax: leave out one"),
        (lambda: [Dense(2, activation="softmax")], SCCE(from_logits=True), Y, "ends in softmax: leave out one"),
        (lambda: [Dense(1, activation="relu")], BCE(from_logits=True), Y, "ends in relu"),
        (lambda: [Dense(2, activation="softmax")], CCE(), np.ones((20, 2)), "a row of labels has several: use binary_cross"),
        (lambda: [Dense(2, activation="softmax")], SCCE(), ONE_HOT, "for one-hot labels use categorical_crossentropy"),
        (lambda: [Dense(2, activation="softmax")], CCE(), Y, "for class numbers use sparse_categorical_crossentropy"),
        (lambda: [Dense(1, activation="sigmoid")], SCCE(), Y, "expected whole numbers 0 to 0; for one output use binary_cross"),
    ],
)
def test_ends_that_do_not_fit_the_loss(build, ends, loss, y, message):
    model = build(*ends())
    model.compile("adam", loss)
    for use in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match=message) as caught:
            use(X, y, verbose=0)
        assert "\n" not in str(caught.value) and model.optimizer.iterations == 0


@pytest.mark.parametrize(
    ("ends", "loss", "y"),
    [
        (lambda: [Dense(1, activation="sigmoid")], BCE(), Y),
        (lambda: [Dense(1)], BCE(from_logits=True), Y),
        (lambda: [Dense(2, activation="softmax")], BCE(), ONE_HOT),
        (lambda: [Dense(2, activation="sigmoid")], CCE(), ONE_HOT),
        (lambda: [Dense(2)], SCCE(from_logits=True), Y),
        (lambda: [Dense(1, activation="sigmoid"), Reshape((1, 1)), Flatten()], BCE(), Y),
        (lambda: [Dense(1, activation="tanh")], losses.MeanSquaredError(), Y),
        (lambda: [Dense(1, activation="relu")], losses.Huber(), Y),
    ],
)
def test_ends_that_fit(ends, loss, y):
    model = chain(*ends())
    model.compile("adam", loss)
    assert np.isfinite(model.fit(X, y, verbose=0).history["loss"]).all()


def test_the_mean_of_probabilities_is_one():
    x = Input((5,))
    model = Model(x, Average()([Dense(1, activation="sigmoid")(x), Dense(1, activation="sigmoid")(x)]))
    model.compile("adam", "bce")
    model.fit(X, Y, verbose=0)


def test_predictions_that_are_no_probabilities_by_their_values():
    """binary_crossentropy(1, 1.5) was 1e-7: the clip hid what is no probability."""
    for p in (1.5, -0.1):
        for loss, y in ((BCE(), [[1.0]]), (CCE(), [[1.0]]), (SCCE(), [0])):
            with pytest.raises(ValueError, match="expected probabilities"):
                loss(np.array(y), np.array([[p]]))
    assert float(BCE()(np.array([[1.0]]), np.array([[1.0 + 1e-7]]))) == pytest.approx(1e-7, rel=1)
    assert float(BCE(from_logits=True)(np.array([[1.0]]), np.array([[1.5]]))) == pytest.approx(np.log1p(np.exp(-1.5)))

    class Doubled(Own):
        def call(self, x, training=False):
            return ops.sigmoid(self.end(x)) * 2.0

    model = Doubled(Dense(1))
    model.compile("adam", "binary_crossentropy")
    with pytest.raises(ValueError, match=r"predictions reach from .*, expected probabilities: end the model in a sigmoid"):
        model.fit(X, Y, verbose=0)


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf])
def test_weights_of_a_loss(weight):
    for loss in (BCE(), losses.MeanSquaredError(), losses.Huber()):
        with pytest.raises(ValueError, match="sample_weight holds"):
            loss(np.array([1.0, 0.0]), np.array([[0.5], [0.5]]), [1.0, weight])
    model = chain(Dense(1, activation="sigmoid"))
    model.compile("adam", "bce")
    w = np.r_[np.ones(19), weight]
    for use in (
        lambda: model.fit([(X, Y, w)], verbose=0),
        lambda: model.evaluate(X, Y, sample_weight=w),
        lambda: model.train_on_batch(X, Y, sample_weight=w),
        lambda: model.test_on_batch(X, Y, sample_weight=w),
        lambda: ImageDataGenerator().flow(np.zeros((20, 2, 2, 1)), Y, sample_weight=w),
    ):
        with pytest.raises(ValueError, match="sample_weight holds"):
            use()
    assert model.optimizer.iterations == 0


# ---- a broken model ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("units", [1, 3])
def test_no_class_is_named_by_numbers_that_are_none(units):
    """NaN > 0.5 is False, and the largest of NaNs is the first: both would be class 0."""
    model = Sequential([Dense(units, activation="sigmoid", input_shape=(5,))])
    model.class_names = ["a", "b", "c"][: max(2, units)]
    kernel, bias = model.get_weights()
    for value in (np.nan, np.inf) if units == 3 else (np.nan,):
        bias[0] = value
        model.set_weights([kernel, bias])
        if value == np.inf:
            assert np.isfinite(model.predict(X)).all() and model.predict_classes(X) == ["a"] * 20  # the sigmoid of infinity is 1
            continue
        (said,) = warned(lambda: model.predict(X))
        assert said.startswith("the outputs are NaN for 20 of 20 examples, the first is number 0")
        with pytest.raises(ValueError, match="predict_classes: the outputs are NaN or infinite for 20 of 20 examples, the first"):
            model.predict_classes(X)


def test_weights_that_are_finite_but_beyond_all_bounds_are_told():
    """No product of two of them is finite."""
    model = Sequential([Dense(8, input_shape=(5,)), Dense(8), Dense(8), Dense(1)])
    model.compile(SGD(1e25), "mse")
    with pytest.raises(FloatingPointError, match=r"the last step of epoch 1 made .* beyond all bounds: lower the"):
        model.fit(X, Y, epochs=1, verbose=0)


# ---- other examples than one thinks --------------------------------------------------------------------------------


@pytest.fixture
def folders(tmp_path):
    for name in ("abnormal", "normal"):
        (tmp_path / name).mkdir()
        for i in range(6):
            Image.fromarray(np.full((4, 4, 3), 20 * i + 100 * (name == "normal"), np.uint8)).save(tmp_path / name / f"{i}.png")
    return tmp_path


def small():
    model = Sequential([Flatten(input_shape=(4, 4, 3)), Dense(1, activation="sigmoid")])
    model.compile("adam", "bce", ["accuracy"])
    return model


def warned(action, ignore="an output near 1"):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        action()
    return [str(w.message) for w in told if not str(w.message).startswith(ignore)]


@pytest.mark.parametrize("method", ["predict", "predict_classes"])
def test_predictions_of_a_shuffled_iterator_are_warned_of(method, folders):
    model = small()
    model.class_names = ["abnormal", "normal"]
    plain = ImageDataGenerator(rescale=1 / 255)
    mixed = plain.flow_from_directory(folders, (4, 4), class_mode="binary")
    (said,) = warned(lambda: getattr(model, method)(mixed))
    assert "shuffle=True" in said and "order" in said and "shuffle=False" in said
    in_order = plain.flow_from_directory(folders, (4, 4), class_mode="binary", shuffle=False)
    assert not warned(lambda: getattr(model, method)(in_order))
    assert not warned(lambda: model.evaluate(mixed, verbose=0))  # the mean does not mind the order
    assert not warned(lambda: model.predict(np.zeros((2, 4, 4, 3), "float32")))


def test_a_sequence_that_says_that_it_shuffles(folders):
    class Mixed:
        shuffle = True

        def __len__(self):
            return 1

        def __getitem__(self, i):
            return np.zeros((2, 4, 4, 3), "float32")

    (said,) = warned(lambda: small().predict(Mixed()))
    assert "Mixed has shuffle=True" in said


@pytest.mark.parametrize(
    "options", [{"rotation_range": 40}, {"horizontal_flip": True}, {"zoom_range": 0.2}, {"brightness_range": (0.5, 1.5)}]
)
def test_validation_images_that_are_augmented_are_warned_of(options, folders):
    augment = ImageDataGenerator(rescale=1 / 255, validation_split=0.5, **options)
    flow = {"target_size": (4, 4), "class_mode": "binary"}
    train, held = (augment.flow_from_directory(folders, subset=part, **flow) for part in ("training", "validation"))
    (said,) = warned(lambda: small().fit(train, validation_data=held, verbose=0))
    assert said.startswith("validation_data: its examples are augmented at random") and next(iter(options)) in said
    (said,) = warned(lambda: small().evaluate(held, verbose=0))
    assert said.startswith("evaluate: its examples are augmented")
    plain = ImageDataGenerator(rescale=1 / 255, validation_split=0.5).flow_from_directory(folders, subset="validation", **flow)
    assert not warned(lambda: small().fit(train, validation_data=plain, verbose=0))
    assert held.filenames == plain.filenames  # the cure: the same images, as they are


def test_validation_sounds_that_are_augmented_are_warned_of():
    x, y = np.random.default_rng(0).normal(size=(6, 2000)), np.arange(6) % 2
    noisy, plain = SoundDataGenerator(n_mels=8, gain_range=6), SoundDataGenerator(n_mels=8)
    model = Sequential([Flatten(input_shape=noisy.shape(2000)), Dense(1, activation="sigmoid")])
    model.compile("adam", "bce")
    (said,) = warned(lambda: model.fit(noisy.flow(x, y), validation_data=noisy.flow(x, y), verbose=0))
    assert "gain_range=6" in said
    assert not warned(lambda: model.fit(noisy.flow(x, y), validation_data=plain.flow(x, y), verbose=0))


def test_metrics_that_count_the_healthy_class_are_warned_of(folders):
    flow = {"target_size": (4, 4), "class_mode": "binary"}
    by_name = ImageDataGenerator().flow_from_directory(folders, **flow)
    model = small()
    model.compile("adam", "bce", ["accuracy", "sensitivity", "specificity"])
    (said,) = warned(lambda: model.fit(by_name, verbose=0))
    assert "sensitivity, specificity count class 1, which is 'normal'" in said and "classes=['normal', 'abnormal']" in said
    ordered = ImageDataGenerator().flow_from_directory(folders, classes=["normal", "abnormal"], **flow)
    model.class_names = None
    assert not warned(lambda: model.fit(ordered, verbose=0))
