"""Words of Keras, of its old versions and of public scripts: they work, or the error says what to write instead."""

import numpy as np
import pytest
from small import dense_model, two_classes

import tinydx
from tinydx import callbacks, layers, losses, metrics, optimizers
from tinydx.callbacks import EarlyStopping, LearningRateScheduler, ModelCheckpoint, ReduceLROnPlateau
from tinydx.keras_words import ARGUMENTS, ATTRIBUTES, GENERATORS, ITERATORS, LAYERS, MODULES
from tinydx.layers import GRU, LSTM, Bidirectional, Conv2D, Dense, Dropout, Embedding, SimpleRNN, TimeDistributed
from tinydx.models import Sequential
from tinydx.optimizers.schedules import InverseTimeDecay
from tinydx.preprocessing.image import ImageDataGenerator

X, Y = two_classes(20)


@pytest.mark.parametrize(
    ("use", "instead"),
    [
        (lambda: optimizers.Adam(lr=1e-3), "Adam has no argument 'lr': it is called learning_rate"),
        (lambda: optimizers.SGD(0.1, decay=1e-5), "InverseTimeDecay"),
        (lambda: optimizers.Adam(amsgrad=True), "leave it out"),
        (lambda: ReduceLROnPlateau(epsilon=1e-3), "it is called min_delta"),
        (lambda: ReduceLROnPlateau(lr=1e-3), "it is called min_lr"),
        (lambda: ModelCheckpoint("m", save_weights_only=True), "the file holds the model with its weights"),
        (lambda: ModelCheckpoint("m", period=5), "saved after each epoch"),
        (lambda: Dense(4, input_dim=3), r"write input_shape=\(input_dim,\) instead"),
        (lambda: Dense(output_dim=4), "it is called units"),
        (lambda: Dense(4, init="uniform"), "it is called kernel_initializer"),
        (lambda: Dense(4, W_regularizer="l2"), "it is called kernel_regularizer"),
        (lambda: Dense(4, weights=[np.ones((2, 4))]), r"layer.set_weights\(arrays\)"),
        (lambda: Conv2D(4, 3, border_mode="same"), "it is called padding"),
        (lambda: Conv2D(nb_filter=4, kernel_size=3), "it is called filters"),
        (lambda: Conv2D(4, 3, data_format="channels_first"), r"images are \(N, height, width, channels\), transpose others"),
        (lambda: Conv2D(4, 3, kernel_constraint="max_norm"), "use a regularizer"),
        (lambda: Dropout(p=0.5), "it is called rate"),
        (lambda: Dropout(0.5, seed=1), r"call tinydx.set_seed\(seed\) first instead"),
        (lambda: Embedding(100, 8, input_length=20), "the length is that of the data"),
        (lambda: LSTM(4, stateful=True), "return_state=True"),
        (lambda: LSTM(4, inner_activation="hard_sigmoid"), "it is called recurrent_activation"),
        (lambda: metrics.Precision(top_k=1), "give class_id="),
        (lambda: metrics.F1Score(thresholds=0.5), "it is called threshold"),
        (lambda: losses.BinaryCrossentropy(reduction="none"), "a loss is the mean over the batch"),
        (lambda: ImageDataGenerator(featurewise_center=True), "preprocessing_function"),
        (lambda: ImageDataGenerator(zca_whitening=True), "preprocessing_function"),
        (lambda: ImageDataGenerator().flow(np.zeros((2, 2, 2, 1)), save_to_dir="."), "save_img"),
        (lambda: dense_model().fit(X, Y, nb_epoch=3), "fit has no argument 'nb_epoch': it is called epochs"),
        (lambda: dense_model().fit(X, Y, samples_per_epoch=30), "give steps_per_epoch instead"),
        (lambda: dense_model().fit(X, Y, workers=4), "prepares its batches in threads"),
        (lambda: dense_model().fit(X, Y, use_multiprocessing=True), "prepares its batches in threads"),
        (lambda: dense_model().fit(X, Y, validation_freq=2), "after every epoch"),
        (lambda: dense_model().fit(X, Y, show_accuracy=True), r"metrics=\['accuracy'\]"),
        (lambda: dense_model().evaluate(X, Y, callbacks=[]), "give them to fit instead"),
        (lambda: dense_model().compile("adam", "mse", run_eagerly=True), "compiled kernels"),
        (lambda: dense_model().compile("adam", "mse", loss_weights=[1, 2]), "one output"),
    ],
)
def test_arguments(use, instead):
    with pytest.raises(TypeError, match=instead) as caught:
        use()
    assert "\n" not in str(caught.value)


def test_options_that_are_off_ask_for_nothing():
    model = Sequential(
        [
            Embedding(9, 4, input_length=None, embeddings_constraint=None),
            LSTM(4, stateful=False, unroll=False, activity_regularizer=None),
            Dense(2, kernel_constraint=None, activity_regularizer=None),
            layers.BatchNormalization(beta_initializer="zeros", gamma_initializer="ones"),
            Dropout(0.5, seed=None),
            Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(optimizers.Adam(decay=0.0, amsgrad=False), "bce", loss_weights=None, run_eagerly=False)
    ids = np.random.default_rng(0).integers(0, 9, (8, 5))
    model.fit(ids, np.arange(8) % 2, verbose=0, workers=1, use_multiprocessing=False, max_queue_size=10, validation_freq=1)
    assert "stateful" not in model.layers[1].config  # so that nothing of it is saved
    Conv2D(2, 3, data_format="channels_last"), ModelCheckpoint("m", save_weights_only=False, save_freq="epoch")
    losses.BinaryCrossentropy(reduction="sum_over_batch_size", axis=-1), metrics.AUC(curve="ROC", multi_label=False)
    off = dict.fromkeys(("featurewise_center", "samplewise_center", "zca_whitening", "samplewise_std_normalization"), False)
    augment = ImageDataGenerator(**off, featurewise_std_normalization=False, zca_epsilon=1e-06, data_format=None)
    assert augment.fit(np.zeros((2, 4, 4, 1))) is None
    augment.flow(np.zeros((2, 4, 4, 1)), save_to_dir=None, save_prefix="", save_format="png")


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_attributes_of_models(name):
    model = dense_model()
    with pytest.raises(AttributeError, match=f"^Sequential has no '{name}': .*(write|leave it out|layers keep)"):
        getattr(model, name)
    assert not hasattr(model, "no_such_attribute")
    with pytest.raises(AttributeError, match="'Sequential' object has no attribute 'no_such_attribute'"):
        _ = model.no_such_attribute


def test_what_attributes_are_told_to_be_works(tmp_path):
    model = dense_model()
    model.save(tmp_path / "m.tdx")
    other = dense_model()
    other.set_weights(tinydx.models.load_model(tmp_path / "m.tdx").get_weights())
    np.testing.assert_array_equal(model.predict(X), other.predict(X))
    first = model.layers[0]
    assert next(v for v in model.layers if v.name == first.name) is first


@pytest.mark.parametrize(
    ("thing", "words"),
    [(tinydx, MODULES), (ImageDataGenerator(), GENERATORS), (ImageDataGenerator().flow(np.zeros((2, 2, 2, 1))), ITERATORS)],
)
def test_attributes_of_other_things(thing, words):
    for name in words:
        with pytest.raises(AttributeError, match=f"'{name}': .*write "):
            getattr(thing, name)
    assert not hasattr(thing, "no_such_attribute")


def test_the_old_name_of_the_rate_is_not_set_in_vain():
    optimizer = optimizers.Adam(0.1)
    for use in (lambda: optimizer.lr, lambda: setattr(optimizer, "lr", 0.01)):
        with pytest.raises(AttributeError, match="Adam has no 'lr': it is called learning_rate"):
            use()
    assert optimizer.learning_rate == 0.1


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda m: m.fit("folder", Y), ValueError, "data is a str: expected arrays"),
        (lambda m: m.fit(3, Y), ValueError, "data is a int: expected arrays"),
        (lambda m: m.predict(["a.png", "b.png"]), TypeError, r"read image files by load_images\(paths, model.preprocessing\)"),
    ],
)
def test_data_of_another_kind(use, error, message):
    with pytest.raises(error, match=message):
        use(dense_model())


def test_names_of_layers():
    assert layers.MaxPool2D is layers.MaxPooling2D and layers.AvgPool2D is layers.AveragePooling2D
    assert layers.GlobalAvgPool2D is layers.GlobalAveragePooling2D and layers.GlobalMaxPool2D is layers.GlobalMaxPooling2D
    assert layers.GlobalAvgPool1D is layers.GlobalAveragePooling1D and layers.Convolution2D is layers.Conv2D
    for name in LAYERS:
        with pytest.raises(AttributeError, match=f"tinydx.layers has no '{name}': write .* instead"):
            getattr(layers, name)
    for room, name, close in (
        (optimizers, "RMSProp", "RMSprop"),
        (callbacks, "EarlyStoping", "EarlyStopping"),
        (layers, "Conv2d", "Conv2D"),
        (losses, "BinaryCrossEntropy", "BinaryCrossentropy"),
        (metrics, "F1score", "F1Score"),
    ):
        with pytest.raises(AttributeError, match=f"has no '{name}'; did you mean '{close}'"):
            getattr(room, name)
    with pytest.raises(AttributeError, match=r"tinydx.initializers has no 'HeNormal': write the name 'he_normal' instead"):
        _ = tinydx.initializers.HeNormal


def test_names_of_losses_metrics_and_initializers():
    """Keras takes the name of the function and that of the class."""
    for name in ("binary_crossentropy", "BinaryCrossentropy", "bce", "mse", "MSE", "MeanSquaredError", "huber", "Huber"):
        assert isinstance(losses.get(name), losses.Loss)
    for name in ("HeNormal", "he_normal", "GlorotUniform", "Zeros", "RandomNormal", "Orthogonal"):
        assert tinydx.initializers.get(name)((2, 2)).shape == (2, 2)
    assert metrics.get("acc").name == "acc" and metrics.get("AUC").name == "AUC"


def test_advice_for_words_is_about_arguments_that_exist():
    """A cure that is bound to an argument is shown only where there is one: the bound names are arguments of something."""
    known = {"learning_rate", "min_lr", "input_shape", "shape", "units", "filters", "padding", "strides", "rate", "x", "epochs"}
    known |= {"kernel_initializer", "kernel_regularizer", "bias_regularizer", "use_bias", "recurrent_activation", "dropout"}
    known |= {"recurrent_dropout", "steps_per_epoch", "validation_steps", "validation_data", "class_id", "min_delta"}
    known |= {"filepath", "filename", "threshold", "thresholds", "num_thresholds", "sample_weight"}
    assert {bound for cures in ARGUMENTS.values() for _, bound in cures if bound} <= known


# ---- callbacks as scripts call them --------------------------------------------------------------------------------


def test_verbose_callbacks_print_a_line(capsys, tmp_path):
    model = dense_model(optimizer=optimizers.SGD(1e-12))
    watching = [
        ModelCheckpoint(tmp_path / "m.tdx", verbose=1),
        ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=1, verbose=1),
        EarlyStopping("loss", min_delta=1, patience=2, verbose=1, restore_best_weights=True),
    ]
    model.fit(X, Y, epochs=9, callbacks=watching, verbose=0)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"Epoch 1: model saved to {tmp_path / 'm.tdx'}"
    assert "Epoch 2: learning rate reduced to 5e-13" in said
    assert "Epoch 3: early stopping, loss was best in epoch 1" in said
    assert said[-1] == "Epoch 1: the weights are restored to this, the best epoch"
    for watcher in watching:
        watcher.verbose = 0
    dense_model().fit(X, Y, epochs=2, callbacks=watching, verbose=0)
    assert capsys.readouterr().out == ""


def test_positions_are_those_of_keras():
    stopper = EarlyStopping("val_loss", 0.5, 3, 1, "min")
    assert (stopper.min_delta, stopper.patience, stopper.verbose, stopper.sign) == (0.5, 3, 1, -1)
    slower = ReduceLROnPlateau("val_accuracy", 0.3, 2, 1, "max", 1e-3, 4, 1e-6)
    assert (slower.factor, slower.patience, slower.verbose, slower.sign) == (0.3, 2, 1, 1)
    assert (slower.min_delta, slower.cooldown, slower.min_lr) == (1e-3, 4, 1e-6)
    keep = ModelCheckpoint("m", "val_loss", 1, True)
    assert (keep.verbose, keep.save_best_only) == (1, True)


@pytest.mark.parametrize(
    "schedule",
    [
        lambda epoch: 0.1 * 0.5**epoch,
        lambda epoch, lr: 0.1 * 0.5**epoch,
        lambda epoch, lr=None: 0.1 * 0.5**epoch,
        lambda *a: 0.1 * 0.5 ** a[0],
    ],
)
def test_a_schedule_of_the_epoch_alone(schedule):
    history = dense_model().fit(X, Y, epochs=3, callbacks=[LearningRateScheduler(schedule, verbose=0)], verbose=0).history
    assert history["learning_rate"] == [0.1, 0.05, 0.025]


def test_decay_as_a_schedule_is_the_old_formula():
    """Keras 2: rate / (1 + decay * iterations)."""
    schedule = InverseTimeDecay(0.01, decay_steps=1, decay_rate=1e-3)
    assert [schedule(k) for k in (0, 10, 1000)] == pytest.approx([0.01 / (1 + 1e-3 * k) for k in (0, 10, 1000)])


def test_a_number_that_the_history_does_not_have():
    history = dense_model(metrics=["accuracy"]).fit(X, Y, validation_data=(X, Y), verbose=0).history
    with pytest.raises(KeyError, match="the history has no 'acc'; did you mean 'accuracy'"):
        history["acc"]
    assert history == dict(history) and "acc" not in history and history.get("acc") is None


# ---- stacked layers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [LSTM, GRU, SimpleRNN])
@pytest.mark.parametrize(
    "second",
    [
        *(lambda: LSTM(4), lambda: GRU(4), lambda: SimpleRNN(4), lambda: Bidirectional(LSTM(4))),
        *(layers.Masking, layers.GlobalAveragePooling1D, lambda: TimeDistributed(Dense(2))),
    ],
)
def test_stacked_recurrent_layers_are_told_of_return_sequences(first, second):
    for make in (
        lambda: Sequential([first(4, input_shape=(10, 2)), second()]),
        lambda: second()(first(4)(layers.Input((10, 2)))),
        lambda: Sequential([Bidirectional(first(4)), second()]).predict(np.zeros((2, 10, 2), "float32")),
        lambda: second()(first(4)(np.zeros((2, 10, 2), "float32"))),
    ):
        with pytest.raises(ValueError, match="a recurrent layer before it needs return_sequences=True"):
            make()
    Sequential([first(4, return_sequences=True, input_shape=(10, 2)), second()])


def shown(layer, x):
    """What a model of that layer predicts."""
    return Sequential([layer]).predict(x)


BATCH, LAST = r"batch axis missing\? x\[None\] adds it", r"x\[\.\.\., None\] adds it"


@pytest.mark.parametrize(
    ("use", "advice", "not_said"),
    [
        (lambda: Sequential([Conv2D(2, 3, input_shape=(28, 28))]), r"input_shape=\(height, width, 1\)", "batch"),
        (lambda: Conv2D(2, 3)(np.zeros((5, 28, 28))), f"{BATCH}; or the axis of the channels. {LAST}", "units"),
        (lambda: shown(Conv2D(2, 3, input_shape=(8, 8, 1)), np.zeros((5, 8, 8))), LAST, "batch"),
        (lambda: shown(Conv2D(2, 3, input_shape=(8, 8, 1)), np.zeros((8, 8, 1))), BATCH, "last axis"),
        (lambda: shown(LSTM(3, input_shape=(9, 2)), np.zeros((9, 2))), BATCH, "last axis"),
    ],
)
def test_the_axis_that_is_missing(use, advice, not_said):
    with pytest.raises(ValueError, match=advice) as caught:
        use()
    assert not_said not in str(caught.value)
