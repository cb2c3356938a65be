"""Saving: a model survives its file, an error says what is wrong with a file, and a killed run continues."""

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import warnings
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file
from small import EXAMPLES, dense_model, input_of, layer_of, noisy_model, same_weights, two_classes

import tinydx
from tinydx import layers, losses, metrics, ops, optimizers, saving
from tinydx.callbacks import Callback, CSVLogger, EarlyStopping, ModelCheckpoint, ReduceLROnPlateau
from tinydx.layers import (
    Activation,
    Add,
    BatchNormalization,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Input,
    Layer,
    SimpleRNN,
    registry,
)
from tinydx.models import Model, Sequential, load_model
from tinydx.preprocessing.image import ImageDataGenerator

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def seeded():
    """The same initial weights in every run."""
    tinydx.set_seed(0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.tdx"


def saved(model, path, custom=None):
    """The model, written to a file and loaded from it."""
    model.save(path)
    return load_model(path, custom)


def assert_same(a, b, x):
    """Two models with the same weights, layers and outputs."""
    assert same_weights(a, b) and type(a) is type(b)
    assert json.dumps(saving.to_config(a)) == json.dumps(saving.to_config(b))
    first, second = (m.predict(x) for m in (a, b))
    for p, q in zip(*((p if isinstance(p, list) else [p]) for p in (first, second)), strict=True):
        np.testing.assert_array_equal(p, q)


# ---- models go round -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_layer(name, dtype, path):
    x = input_of(name, dtype=dtype)
    layer = layer_of(name, name="mine", dtype=dtype)
    if isinstance(x, list):
        inputs = [Input(v.shape[1:], dtype=dtype) for v in x]
        model = Model(inputs, Dense(2)(Flatten()(layer(inputs))))
    else:
        model = Sequential([layer, Flatten(), Dense(2)], dtype=dtype)
        model(x)
    model.set_weights([np.random.default_rng(0).random(w.shape).astype(dtype) for w in model.get_weights()])
    again = saved(model, path)
    y, z = model.predict(x), again.predict(x)
    assert y.tobytes() == z.tobytes() and y.dtype == z.dtype == dtype
    assert same_weights(model, again) and again.count_params() == model.count_params()
    found = next(v for v in again.layers if v.name == "mine")
    assert type(found) is type(layer) and found.dtype == layer.dtype
    assert json.dumps(saving.to_config(found)) == json.dumps(saving.to_config(layer))
    again.compile("adam", "mse")
    again.fit(x, np.zeros((2, 2)), verbose=0)  # and it trains


def graph_with_everything():
    """Branches, a shared layer, a nested model, two inputs, two outputs, a state handed over, a fixed dropout."""
    left, right = Input((4, 3), name="left"), Input((4, 3), name="right")
    shared = SimpleRNN(5, return_sequences=True, return_state=True)
    outputs, state = shared(left)
    decoded = SimpleRNN(5, return_sequences=True)(right, initial_state=state)
    inner_input = Input((5,), name="inner")
    inner = Model(inner_input, Add()([inner_input, Dense(5, activation="relu")(inner_input)]), name="residual")
    chain = Sequential([Dense(5, input_shape=(5,)), BatchNormalization(), Dropout(0.5)], name="chain")
    h = Concatenate(axis=1)([inner(shared(right)[1]), chain(state)])
    return Model([left, right], [Dense(1, activation="sigmoid")(Dropout(0.1)(h, training=False)), Activation("tanh")(decoded)])


def test_functional_model(path):
    model = graph_with_everything()
    rng = np.random.default_rng(0)
    x = [rng.normal(size=(3, 4, 3)).astype("float32") for _ in range(2)]
    again = saved(model, path)
    assert_same(model, again, x)
    assert [s.name for s in again.inputs] == ["left", "right"] and len(again.outputs) == 2
    assert len(again.weights) == len(model.weights)
    with pytest.raises(ValueError, match=r"expected right \(N, 4, 3\), got \(3, 5, 3\)"):
        again.predict([x[0], rng.normal(size=(3, 5, 3))])


def test_layer_shared_between_a_nested_model_and_the_outer(path):
    x = Input((3,))
    shared = Dense(3)
    inner = Sequential([shared, Dense(3)])
    model = Model(x, Add()([shared(x), inner(x)]))
    again = saved(model, path)
    assert len(again.weights) == len(model.weights) == 4
    assert_same(model, again, np.ones((2, 3), "float32"))


def test_sequential_of_models(path):
    model = Sequential([Sequential([Dense(4, activation="relu")]), Sequential([Dense(1)])])
    model(np.ones((1, 3), "float32"))
    again = saved(model, path)
    assert_same(model, again, np.ones((2, 3), "float32"))
    assert again.predict(np.ones((2, 3), "float32")).shape == (2, 1)


@pytest.mark.parametrize("said", [True, False])
def test_input_shape_that_was_said_or_only_seen(said, path):
    model = Sequential([*([Input((3,), dtype="int64")] if said else []), Embedding(9, 4), SimpleRNN(2)])
    model(np.ones((1, 3), int))
    again = saved(model, path)
    other = np.ones((1, 5), int)
    if said:
        with pytest.raises(ValueError, match=r"expected input \(N, 3\)"):
            again.predict(other)
    else:
        assert again.predict(other).shape == (1, 2)


def test_facts_about_the_training_data(path):
    model = dense_model()
    model.class_names = ["正常", "pneumonie à gauche", "ünïcödé 🫁"]
    model.preprocessing = {"rescale": 1 / 255, "target_size": [150, 150], "color_mode": "rgb", "none": None}
    model.fit(*two_classes(), verbose=0)
    again = saved(model, path)
    assert again.class_names == model.class_names and again.preprocessing == model.preprocessing
    assert again.input_range == model.input_range and len(again.input_range) == 2
    model.class_names = np.array(["a", "b"])
    assert saved(model, path).class_names == ["a", "b"]


def test_frozen_layers_stay_frozen(path):
    base = Sequential([Dense(4, input_shape=(5,)), BatchNormalization()])
    model = Sequential([base, Dense(3), Dense(1, activation="sigmoid", trainable=False)])
    base.trainable = False
    base.layers[0].trainable = True
    again = saved(model, path)
    assert [v.trainable for v in again.all_layers()] == [v.trainable for v in model.all_layers()]
    assert len(again.trainable_weights) == len(model.trainable_weights) == 4
    model.compile("adam", "mse")
    model.fit(two_classes()[0], np.ones((40, 1)), verbose=0)
    again = saved(model, path)
    again.fit(two_classes()[0], np.ones((40, 1)), verbose=0)  # the optimizer's memory still fits


def test_file_holds_numbers_and_json_and_nothing_to_execute(path):
    model = dense_model()
    model.save(path)
    with safe_open(str(path), framework="np") as file:
        header = json.loads(file.metadata()["tinydx"])
        names = sorted(file.keys())
    assert header["format"] == 1 and header["model"]["class"] == "Sequential"
    assert names == [f"weights/{i:05d}/{w.name}" for i, w in enumerate(model.weights)]


# ---- subclasses and what users define ------------------------------------------------------------------------------


class Scaled(Layer):
    def __init__(self, factor, activation=None, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, input_shape):
        self.scale = self.add_weight("scale", (input_shape[-1],), "ones")

    def call(self, x):
        return x * self.scale * self.factor


class Around(Layer):
    """A layer that is made with a layer."""

    def __init__(self, inner, times=2):
        super().__init__()
        self.inner, self.times = inner, times

    def call(self, x):
        for _ in range(self.times):
            x = self.inner(x)
        return x


class Net(Model):
    def __init__(self, units, rates=(0.1, 0.2)):
        super().__init__()
        self.blocks = [Dense(units, activation="relu"), BatchNormalization(), Dropout(rates[0])]
        self.head = Dense(1, activation="sigmoid")

    def call(self, x):
        for layer in self.blocks:
            x = layer(x)
        return self.head(x)


class Words(Model):
    def __init__(self):
        super().__init__()
        self.embedding, self.rnn = Embedding(9, 4, mask_zero=True), SimpleRNN(3)

    def call(self, x):
        return self.rnn(self.embedding(x))


def test_subclassed_model(path):
    x, y = two_classes()
    model = Net(6, rates=[0.3, 0.1])
    model.compile("adam", "binary_crossentropy")
    with pytest.raises(ValueError, match="is not built yet"):
        model.save(path)
    model.fit(x, y, verbose=0)
    again = saved(model, path, {"Net": Net})
    assert type(again) is Net and again.blocks[2].rate == 0.3
    assert again.predict(x).tobytes() == model.predict(x).tobytes() and same_weights(again, model)
    words = Words()
    words(np.ones((2, 5), int))
    assert saved(words, path, {"Words": Words}).predict(np.ones((3, 4), int)).shape == (3, 3)


def test_subclass_inside_other_models(path):
    x = Input((5,))
    model = Sequential([Model(x, Net(3)(x)), Scaled(0.5, name="half"), Around(Dense(1), times=3)])
    model(np.ones((1, 5), "float32"))
    again = saved(model, path, {"Net": Net, "Scaled": Scaled, "Around": Around})
    data = two_classes()[0]
    assert again.predict(data).tobytes() == model.predict(data).tobytes()
    assert again.layers[1].name == "half" and again.layers[2].times == 3 and len(again.weights) == len(model.weights)


def test_class_that_is_not_known_here(path):
    model = Sequential([Scaled(0.5, input_shape=(5,)), Dense(1)])
    model.save(path)
    with pytest.raises(ValueError, match=r"'Scaled', which tinydx does not know: load_model\(path, custom_objects={'Scaled'"):
        load_model(path)


def test_a_class_of_mine_called_like_one_of_the_package(path):
    class Dense(Layer):
        def call(self, x):
            return x * 2.0

    model = Sequential([tinydx.layers.Dense(2, input_shape=(3,))])
    assert type(saved(model, path).layers[0]) is tinydx.layers.Dense
    assert type(saved(Sequential([Dense(input_shape=(3,))]), path, {"Dense": Dense}).layers[0]) is Dense


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Dense(2, activation=lambda x: x, name="mine"), "mine: activation=.* cannot be saved: give it by name"),
        (Dense(2, kernel_initializer=lambda s: np.ones(s), name="mine"), "mine: kernel_initializer=.* cannot be saved"),
    ],
)
def test_functions_without_a_name(layer, message, path):
    model = Sequential([layer])
    model(np.ones((1, 3), "float32"))
    with pytest.raises(TypeError, match=message):
        model.save(path)
    assert not path.exists()


def test_functions_with_a_name(path):
    model = Sequential([Dense(np.int64(2), activation=ops.relu, kernel_initializer=tinydx.initializers.he_normal)])
    model(np.ones((1, 3), "float32"))
    assert saved(model, path).layers[0].config["activation"] == "relu"


# ---- how it was compiled -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "optimizer",
    [
        optimizers.SGD(0.1, weight_decay=0.01),
        optimizers.SGD(0.1, momentum=0.9, nesterov=True, clipnorm=0.5),
        optimizers.RMSprop(0.01, rho=0.8, momentum=0.5, centered=True),
        optimizers.Adagrad(0.1, initial_accumulator_value=0.3),
        optimizers.Adam(0.01, beta_1=0.8, clipvalue=0.1),
        optimizers.AdamW(0.01, weight_decay=0.1, global_clipnorm=1.0),
    ],
    ids=lambda o: type(o).__name__,
)
def test_training_goes_on_exactly(optimizer, path):
    x, y = two_classes()
    model = noisy_model()
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=2, verbose=0)
    again = saved(model, path)
    for m in (model, again):
        tinydx.set_seed(5)
        m.fit(x, y, epochs=2, verbose=0)
    assert same_weights(model, again) and again.optimizer.iterations == model.optimizer.iterations
    memory = {"slots", "_row"}  # compared below; a row is made anew of it
    public = {k: v for k, v in vars(optimizer).items() if k not in memory}
    assert public == {k: v for k, v in vars(again.optimizer).items() if k not in memory}
    for a, b in zip(model.optimizer.slots, again.optimizer.slots, strict=True):
        assert same_weights(a, b)


class Halving(optimizers.schedules.LearningRateSchedule):
    """A schedule that tinydx does not have."""

    def __init__(self, start=0.1):
        self.start = start

    def __call__(self, step):
        return self.start * 0.5**step


@pytest.mark.parametrize(
    "schedule",
    [
        optimizers.schedules.CosineDecay(0.1, 10, 0.1, warmup_target=0.2, warmup_steps=3),
        optimizers.schedules.ExponentialDecay(0.1, 5, 0.5, staircase=True),
        optimizers.schedules.InverseTimeDecay(0.1, 5, 0.5),
        optimizers.schedules.PiecewiseConstantDecay([3, 6], [0.1, 0.2, 0.05]),
        Halving(0.2),
    ],
    ids=lambda s: type(s).__name__,
)
@pytest.mark.parametrize("kind", [optimizers.SGD, optimizers.RMSprop, optimizers.AdamW])
def test_schedules_and_averages_go_on_exactly(kind, schedule, path):
    x, y = two_classes()
    model = noisy_model()
    model.compile(kind(schedule, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=3), "binary_crossentropy")
    model.fit(x, y, batch_size=16, epochs=2, verbose=0)
    model.save(path)
    again = load_model(path, {"Halving": Halving})
    assert again.optimizer.learning_rate == model.optimizer.learning_rate == schedule(6)
    for m in (model, again):
        tinydx.set_seed(5)
        m.fit(x, y, batch_size=16, epochs=2, verbose=0)
    assert same_weights(model, again) and again.optimizer.iterations == 12
    for a, b in zip(model.optimizer.slots, again.optimizer.slots, strict=True):
        assert same_weights(a, b)


def test_a_schedule_that_only_its_user_has(path):
    model = dense_model(optimizer=optimizers.Adam(Halving()))
    model.save(path)
    with pytest.warns(UserWarning, match="the model was trained with Halving, which tinydx does not know"):
        assert load_model(path).optimizer is None


def test_without_the_optimizers_memory(path):
    x, y = two_classes()
    model = dense_model()
    model.fit(x, y, verbose=0)
    model.save(path)
    whole = path.stat().st_size
    model.save(path, include_optimizer=False)
    again = load_model(path)
    assert path.stat().st_size < whole and again.optimizer.iterations == 0 and again.optimizer.slots == []
    again.fit(x, y, verbose=0)


def test_loss_and_metrics_come_back(path):
    model = dense_model()
    watched = ["accuracy", "AUC", metrics.BinaryAccuracy(name="strict", threshold=0.9), metrics.F1Score(threshold=0.4)]
    model.compile("sgd", losses.BinaryCrossentropy(label_smoothing=0.1), watched, [metrics.AUC(50, name="rough")])
    x, y = two_classes()
    w = np.linspace(0, 2, 40)
    again = saved(model, path)
    assert again.evaluate(x, y, sample_weight=w, verbose=0, return_dict=True) == model.evaluate(
        x, y, sample_weight=w, verbose=0, return_dict=True
    )
    assert saved(again, path).evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)
    model.compile("sgd", "mse")
    assert type(saved(model, path).loss) is losses.MeanSquaredError


def cubed(y_true, y_pred):
    assert y_true.shape == y_pred.shape and y_true.dtype == y_pred.dtype
    return ((y_pred - y_true) ** 2) ** 1.5


def largest(y_true, y_pred):
    return np.abs(y_true[:, None] - y_pred).max(axis=-1)


class MyLoss(losses.MeanSquaredError):
    pass


@pytest.mark.parametrize(
    ("loss", "watched", "missing"),
    [
        (cubed, [], "cubed"),
        (MyLoss(), [], "MyLoss"),
        ("mse", [largest], "largest"),
        ("mse", [metrics.MeanMetricWrapper(largest)], "largest"),
    ],
)
def test_loss_or_metric_that_is_not_known_here(loss, watched, missing, path):
    x, y = two_classes()
    model = dense_model()
    model.compile("adam", loss, watched)
    model.fit(x, y, verbose=0)
    model.save(path)
    with pytest.warns(UserWarning, match=f"trained with {missing}, which tinydx does not know: it can predict, but"):
        again = load_model(path)
    assert again.predict(x).tobytes() == model.predict(x).tobytes()
    with pytest.raises(RuntimeError, match="is not compiled"):
        again.evaluate(x, y)
    known = load_model(path, {"cubed": cubed, "MyLoss": MyLoss, "largest": largest})
    assert known.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)
    for m in (model, known):
        m.fit(x, y, shuffle=False, verbose=0)
    assert same_weights(model, known)


def test_model_that_was_never_compiled(path):
    model = Sequential([Dense(1, input_shape=(2,))])
    assert saved(model, path).optimizer is None


# ---- damaged and foreign files -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of a small model's file."""
    path = tmp_path_factory.mktemp("whole") / "model.tdx"
    model = Sequential([Dense(2, input_shape=(2,)), BatchNormalization()])
    model.class_names = ["healthy", "ill"]
    model.compile("adam", "mse", ["mae"])
    model.fit(np.ones((2, 2)), np.ones((2, 2)), verbose=0)
    model.save(path)
    load_model(path)
    return path.read_bytes()


def assert_refused(path, *types):
    with pytest.raises(types or ValueError) as caught:
        load_model(path)
    text = str(caught.value)
    assert str(path) in text and "\n" not in text


def test_truncated_at_every_length(whole, path):
    for length in [*range(0, 64), *range(64, len(whole), 37), *range(len(whole) - 64, len(whole))]:
        path.write_bytes(whole[:length])
        assert_refused(path)


def test_every_byte_flipped(whole, path, proof):
    rng = np.random.default_rng(0)
    for position in [*range(64), *range(64, len(whole), 1 if proof else 7)]:
        flip = int(rng.integers(1, 256))
        path.write_bytes(whole[:position] + bytes([whole[position] ^ flip]) + whole[position + 1 :])
        assert_refused(path)
    path.write_bytes(whole)
    load_model(path)


@pytest.mark.parametrize("extra", [b"\0", b"more", b"\0" * 1000])
def test_something_appended(whole, path, extra):
    path.write_bytes(whole + extra)
    assert_refused(path)


def test_parts_swapped(whole, path):
    """Two weights swapped within the file."""
    path.write_bytes(whole[:-16] + whole[-8:] + whole[-16:-8])
    assert_refused(path)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n", b"PK\x03\x04" * 50, b"{}" * 100, b"\xff" * 100, b"\0" * 100])
def test_foreign_files(content, path):
    path.write_bytes(content)
    assert_refused(path)


def test_foreign_safetensors(path):
    save_file({"kernel": np.ones(3, "float32")}, path)
    assert_refused(path)
    save_file({"kernel": np.ones(3, "float32")}, path, metadata={"format": "np"})
    with pytest.raises(ValueError, match="is a safetensors file, but not of tinydx"):
        load_model(path)


def test_no_file_or_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no model file at .*nowhere\.tdx"):
        load_model(tmp_path / "nowhere.tdx")
    with pytest.raises(FileNotFoundError, match="it is a folder"):
        load_model(tmp_path)


def test_the_library_reads_every_type_and_no_copy_is_made_of_the_numbers():
    from safetensors.numpy import load

    rng = np.random.default_rng(0)
    arrays = {name: rng.integers(0, 2, (3, 2)).astype(name) for name in saving.TYPES}
    arrays |= {"a number": np.array(2.5), "none": np.empty((0, 4), "float32"), 'quoted "Ω"': np.ones(3, "int8")}
    pieces = list(saving._pieces({"tinydx": "Ω", "digest": "d"}, arrays))
    found = load(b"".join(pieces))
    assert found.keys() == arrays.keys()
    assert all(found[k].dtype == a.dtype and (found[k] == a).all() and found[k].shape == a.shape for k, a in arrays.items())
    assert all(any(np.shares_memory(a, np.frombuffer(p, np.uint8)) for p in pieces[1:]) for a in arrays.values() if a.size)


def rewritten(path, change):
    """Write the file again with a changed header or arrays, and a digest that fits."""
    header, arrays = saving._read(path)
    change(header, arrays)
    saving._write(path, header, arrays)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h, a: h["model"].pop("layers"), "cannot be loaded"),
        (lambda h, a: h["model"].update({"class": "Danse"}), "'Danse', which tinydx does not know.*did you mean 'Dense'"),
        (lambda h, a: h["model"]["layers"][0].update({"class": "os.system"}), "tinydx does not know"),
        (lambda h, a: h["model"]["layers"][0]["config"].update(units=0), "units is 0"),
        (lambda h, a: h["model"]["layers"][0]["config"].update(units=3), "cannot be loaded"),
        (lambda h, a: h["model"]["layers"][0]["config"].update(speed=3), "no argument 'speed'"),
        (lambda h, a: h["model"]["layers"][0].update(input_shape=7), "cannot be loaded"),
        (lambda h, a: h["training"]["optimizer"]["config"].update(learning_rate="x"), "learning_rate is 'x'"),
        (lambda h, a: a.pop(next(k for k in a if k.startswith("weights/"))), "weight 0 is missing"),
        (lambda h, a: a.pop(next(k for k in a if k.startswith("optimizer/"))), "cannot be loaded"),
        (lambda h, a: h.pop("class_names"), "cannot be loaded"),
        (lambda h, a: h.update(format=2), "has format 2, this tinydx reads 1: pip install -U tinydx"),
    ],
)
def test_descriptions_that_make_no_sense(change, message, whole, path):
    path.write_bytes(whole)
    rewritten(path, change)
    with pytest.raises(ValueError, match=message):
        load_model(path)


# ---- writing is all or nothing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", ["replace", "fsync"])
def test_disk_full_keeps_the_old_file(function, path, monkeypatch):
    model, other = dense_model(), dense_model()
    model.save(path)
    before = path.read_bytes()

    def full(*arguments, **keywords):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, function, full)
        with pytest.raises(OSError, match="No space left"):
            other.save(path)
    assert path.read_bytes() == before and [p.name for p in path.parent.iterdir()] == [path.name]
    assert same_weights(load_model(path), model)


def test_folder_that_does_not_exist(tmp_path):
    with pytest.raises(FileNotFoundError, match="its folder does not exist, create it first"):
        dense_model().save(tmp_path / "none" / "model.tdx")


def run_python(code, *arguments):
    environment = {**os.environ, "PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_killed_while_writing_keeps_the_old_file(function, path):
    model = dense_model()
    model.save(path)
    code = """
        import os, signal, sys
        from small import dense_model
        setattr(os, sys.argv[2], lambda *a: os.kill(os.getpid(), signal.SIGKILL))
        dense_model().save(sys.argv[1])
    """
    assert run_python(code, path, function).returncode == -signal.SIGKILL
    assert same_weights(load_model(path), model)


@pytest.mark.parametrize(("kind", "inputs"), [("LanguageModel", 1), ("Seq2Seq", 2)])
def test_a_model_of_a_module_that_is_not_imported_yet(kind, inputs, path):
    """The registry knows which packages define models."""
    from tinydx.text import sequences

    model = getattr(sequences, kind)(20, 4, 6)
    words = np.array([[5, 6, 7]])
    expected = model([words, words] if inputs == 2 else words).data
    model.save(path)
    code = """
        import sys
        import numpy as np
        from tinydx.models import load_model
        assert "tinydx.text" not in sys.modules
        words = np.array([[5, 6, 7]])
        print(load_model(sys.argv[1])([words, words] if sys.argv[2] == "2" else words).data.tolist())
    """
    result = run_python(code, path, inputs)
    assert result.returncode == 0, result.stderr
    np.testing.assert_allclose(json.loads(result.stdout), expected, rtol=1e-6)


# ---- the registry ------------------------------------------------------------------------------------------------------


def test_the_registry_has_every_layer_and_model_of_the_package_and_no_other():
    from tinydx.text.sequences import LanguageModel, Seq2Seq

    class MyLayer(Layer):
        pass

    known = registry.known_classes()
    public = {n: getattr(layers, n) for n in layers.__all__ if n not in ("Input", "Layer")}
    for name, cls in {
        **public,
        "Model": Model,
        "Sequential": Sequential,
        "LanguageModel": LanguageModel,
        "Seq2Seq": Seq2Seq,
    }.items():
        assert known[name] is cls
    assert "MyLayer" not in known and not any(name.startswith("_") for name in known)
    assert all(cls.__module__.startswith("tinydx.") for cls in known.values())


# ---- a killed run continues ------------------------------------------------------------------------------------------


class Bomb(Callback):
    """Stops the process in the middle of an epoch, as far as Python can."""

    def __init__(self, epoch=None, batch=0):
        self.at, self.epoch = (epoch, batch), None

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs):
        if (self.epoch, batch) == self.at:
            raise KeyboardInterrupt

    def on_epoch_end(self, epoch, logs):
        if (epoch, "end") == self.at:
            raise KeyboardInterrupt


def pictures(n=18):
    rng = np.random.default_rng(0)
    return rng.integers(0, 255, (n, 6, 6, 1)).astype("float32"), np.arange(n) % 2


def picture_model():
    layers = [Flatten(input_shape=(6, 6, 1)), Dense(4, activation="relu"), Dropout(0.3), Dense(1, activation="sigmoid")]
    model = Sequential(layers)
    model.compile("adam", "binary_crossentropy", ["accuracy"])
    return model


def flow(seed):
    augment = ImageDataGenerator(rotation_range=20, horizontal_flip=True, zoom_range=0.2, rescale=1 / 255)
    x, y = pictures()
    return augment.flow(x, y, batch_size=4, shuffle=True, seed=seed)


def late_model():
    model = Sequential([Dense(4, activation="relu"), BatchNormalization(), Dropout(0.5), Dense(1, activation="sigmoid")])
    model.compile("adam", "binary_crossentropy", ["accuracy"])
    return model


def subclassed_model():
    model = Net(5)
    model.compile(optimizers.SGD(0.05, momentum=0.9), "binary_crossentropy", ["accuracy"])
    return model


def plain_generator():
    x, y = two_classes()
    while True:
        for i in range(0, 40, 8):
            yield x[i : i + 8], y[i : i + 8]


def averaged_model():
    """A schedule, averages that overwrite the weights every few steps, and penalties."""
    rate = optimizers.schedules.CosineDecay(0.0, 20, warmup_target=0.05, warmup_steps=7)
    optimizer = optimizers.RMSprop(rate, use_ema=True, ema_momentum=0.8, ema_overwrite_frequency=4)
    penalised = Dense(8, activation="relu", kernel_regularizer="l2", input_shape=(5,))
    model = Sequential([penalised, BatchNormalization(), Dropout(0.3), Dense(1, activation="sigmoid")])
    model.compile(optimizer, "binary_crossentropy", ["accuracy"])
    return model


SCENARIOS = {
    "arrays, shuffled": lambda: (dense_model(), two_classes(), {}),
    "dropout and batch normalisation": lambda: (noisy_model(), two_classes(), {"validation_split": 0.25}),
    "weights, and steps that end within a pass": lambda: (
        noisy_model(),
        two_classes(),
        {"steps_per_epoch": 4, "sample_weight": np.linspace(0, 2, 40), "class_weight": {0: 1.0, 1: 2.0}},
    ),
    "built by the first batch": lambda: (late_model(), two_classes(), {}),
    "subclass": lambda: (subclassed_model(), two_classes(), {}),
    "schedule and averages": lambda: (averaged_model(), two_classes(), {"validation_split": 0.25}),
    "seeded images": lambda: (picture_model(), (flow(7),), {"validation_data": pictures(6)}),
    "images and validation images without seed": lambda: (picture_model(), (flow(None),), {"validation_data": flow(None)}),
    "generator": lambda: (noisy_model(), (plain_generator(),), {"steps_per_epoch": 3}),
}
CALLBACKS = {
    "none": lambda folder: [],
    "plateau": lambda folder: [ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=0.05, cooldown=1)],
    "stopping": lambda folder: [EarlyStopping("accuracy", patience=2, restore_best_weights=True)],
    "csv": lambda folder: [CSVLogger(folder / "log.csv"), ModelCheckpoint(folder / "best", "loss", save_best_only=True)],
}


def run(scenario, callbacks, folder, bomb=None, resume=None, seed=1, epochs=6):
    """One fit; the model and its history, or the model alone if the bomb went off."""
    tinydx.set_seed(seed)
    model, data, options = SCENARIOS[scenario]()
    if "batch_size" not in options and len(data) > 1:
        options["batch_size"] = 8
    watching = [*CALLBACKS[callbacks](folder), Bomb(*(bomb or ()))]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="validation_data: its examples are augmented")  # one scenario means it
            history = model.fit(*data, epochs=epochs, callbacks=watching, resume=resume, verbose=0, **options)
    except KeyboardInterrupt:
        return model, None
    return model, history


def assert_same_end(a, b):
    (model, history), (other, other_history) = a, b
    assert same_weights(model, other)
    assert history.history == other_history.history and history.epoch == other_history.epoch
    assert model.optimizer.iterations == other.optimizer.iterations
    assert model.optimizer.learning_rate == other.optimizer.learning_rate
    assert all(same_weights(s, t) for s, t in zip(model.optimizer.slots, other.optimizer.slots, strict=True))
    assert model.input_range == other.input_range


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("bomb", [(0, 1), (2, 1), (3, "end")])
def test_interrupted_run_ends_like_an_uninterrupted_one(scenario, bomb, tmp_path):
    whole = run(scenario, "none", tmp_path)
    assert run(scenario, "none", tmp_path, bomb, tmp_path / "run")[1] is None
    late = scenario in ("built by the first batch", "subclass")  # not built yet when the run begins, so saved after an epoch
    assert (tmp_path / "run").exists() == (bomb[0] > 0 or not late)
    seed = 99 if (tmp_path / "run").exists() else 1  # a new process knows nothing of the old one's chance
    assert_same_end(whole, run(scenario, "none", tmp_path, None, tmp_path / "run", seed=seed))


@pytest.mark.parametrize("callbacks", ["plateau", "stopping", "csv"])
@pytest.mark.parametrize("scenario", ["dropout and batch normalisation", "images and validation images without seed"])
@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_callbacks_go_on_too(scenario, callbacks, epoch, tmp_path):
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    whole = run(scenario, callbacks, tmp_path / "whole", epochs=8)
    run(scenario, callbacks, tmp_path / "parts", (epoch, "end"), tmp_path / "run", epochs=8)
    parts = run(scenario, callbacks, tmp_path / "parts", None, tmp_path / "run", seed=99, epochs=8)
    assert_same_end(whole, parts)
    if callbacks == "csv":
        texts = [(tmp_path / part / "log.csv").read_text() for part in ("whole", "parts")]
        assert texts[0] == texts[1] and texts[0].count("\n") == 9
        assert same_weights(load_model(tmp_path / "whole/best"), load_model(tmp_path / "parts/best"))
    if callbacks == "plateau":
        assert len(set(whole[1].history["learning_rate"])) > 1  # or there was nothing to go on with


def test_interrupted_again_and_again(tmp_path):
    scenario = "dropout and batch normalisation"
    whole = run(scenario, "plateau", tmp_path)
    for epoch in (1, 1, 2, 4):
        assert run(scenario, "plateau", tmp_path, (epoch, 2), tmp_path / "run", seed=epoch if epoch > 1 else 1)[1] is None
    assert_same_end(whole, run(scenario, "plateau", tmp_path, None, tmp_path / "run", seed=99))


@pytest.mark.parametrize("callbacks", ["none", "stopping"])
@pytest.mark.parametrize("scenario", ["dropout and batch normalisation", "schedule and averages"])
def test_run_that_was_done_already(scenario, callbacks, tmp_path):
    epochs = 40 if callbacks == "stopping" else 3
    whole = run(scenario, callbacks, tmp_path, None, tmp_path / "run", epochs=epochs)
    assert callbacks == "none" or len(whole[1].epoch) < epochs
    again = run(scenario, callbacks, tmp_path, (0, 0), tmp_path / "run", seed=99, epochs=epochs)  # would explode
    assert_same_end(whole, again)


def test_done_run_goes_on_for_more_epochs(tmp_path):
    whole = run("arrays, shuffled", "none", tmp_path, epochs=5)
    run("arrays, shuffled", "none", tmp_path, None, tmp_path / "run", epochs=2)
    assert_same_end(whole, run("arrays, shuffled", "none", tmp_path, None, tmp_path / "run", seed=99, epochs=5))


KILLED = """
    import hashlib, json, os, signal, sys
    import tinydx
    from small import noisy_model, two_classes
    from tinydx.callbacks import Callback, EarlyStopping, ReduceLROnPlateau

    path, epoch = sys.argv[1], int(sys.argv[2])

    class Kill(Callback):
        def on_epoch_begin(self, now, logs=None):
            self.now = now

        def on_train_batch_end(self, batch, logs):
            if (self.now, batch) == (epoch, 2):
                os.kill(os.getpid(), signal.SIGKILL)

    tinydx.set_seed(3)
    model = noisy_model()
    slower = ReduceLROnPlateau("loss", patience=1, min_delta=0.1)
    watching = [slower, EarlyStopping("loss", patience=9, restore_best_weights=True)]
    history = model.fit(*two_classes(), epochs=5, batch_size=8, validation_split=0.25, verbose=0,
                        callbacks=[*watching, Kill()], resume=path or None)
    print(json.dumps([hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest(), history.history]))
"""


def test_killed_process_goes_on_in_another(tmp_path):
    whole = run_python(KILLED, "", -1)
    assert whole.returncode == 0, whole.stderr
    killed = run_python(KILLED, tmp_path / "run", 3)
    assert killed.returncode == -signal.SIGKILL and killed.stdout == ""
    taken_up = run_python(KILLED, tmp_path / "run", -1)
    assert taken_up.returncode == 0, taken_up.stderr
    assert json.loads(taken_up.stdout) == json.loads(whole.stdout)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m, d, o: (compiled(Sequential([Dense(7, input_shape=(5,)), Dense(1)])), d, o), "the run of another model"),
        (lambda m, d, o: (compiled(Sequential([*dense_model().layers, Dense(1)])), d, o), "the run of another model"),
        (lambda m, d, o: (dense_model(4), (d[0][:, :4], d[1]), o), "the run of another model"),
        (lambda m, d, o: (m, d, {**o, "callbacks": []}), r"had the callbacks \['CSVLogger'\], now there are \[\]"),
        (lambda m, d, o: (m, (d[0][:30], d[1][:30]), o), "trained on 40 examples in batches of 32, now there are 30 in 32"),
        (lambda m, d, o: (m, d, {**o, "batch_size": 4}), "in batches of 32, now there are 40 in 4"),
        (lambda m, d, o: (compiled(m, "sgd"), d, o), "the run had the optimizer .*Adam.*, now it is .*SGD.*compile as"),
        (lambda m, d, o: (compiled(m, optimizers.Adam(beta_1=0.5)), d, o), "the run had the optimizer"),
        (lambda m, d, o: (compiled(m, loss="mse"), d, o), "the run had the loss"),
        (lambda m, d, o: (compiled(m, optimizers.Adam(cosine(10))), d, o), "the run had the optimizer .*now it is .*CosineDecay"),
        (lambda m, d, o: (compiled(m, optimizers.Adam(use_ema=True)), d, o), "the run had the optimizer"),
    ],
)
def test_run_of_something_else_is_refused_and_nothing_changes(change, message, tmp_path):
    csv, path = tmp_path / "log.csv", tmp_path / "run"
    options = {"callbacks": [CSVLogger(csv)], "resume": path, "verbose": 0}
    dense_model().fit(*two_classes(), **options)
    before = csv.read_text(), path.read_bytes()
    model, data, options = change(dense_model(), two_classes(), {**options, "epochs": 2})
    weights = model.get_weights()
    with pytest.raises(ValueError, match=message) as caught:
        model.fit(*data, **options)
    assert "\n" not in str(caught.value)
    assert same_weights(model, weights) and model.optimizer.iterations == 0
    assert (csv.read_text(), path.read_bytes()) == before


def cosine(steps):
    return optimizers.schedules.CosineDecay(0.001, steps)


def test_run_with_another_schedule_is_refused(tmp_path):
    """A number may have been changed by a callback; a schedule is part of what the run is."""
    for steps, mistake in ((10, None), (10, None), (20, "CosineDecay.*10.*now it is.*20"), (None, "now it is .*0.001")):
        model = dense_model(optimizer=optimizers.Adam(cosine(steps) if steps else 0.001))
        with pytest.raises(ValueError, match=mistake) if mistake else nullcontext():
            model.fit(*two_classes(), resume=tmp_path / "run", verbose=0)


def compiled(model, optimizer="adam", loss="binary_crossentropy"):
    model.compile(optimizer, loss, metrics=["accuracy"])
    return model


def test_resume_from_what_is_no_run(tmp_path):
    x, y = two_classes()
    dense_model().save(tmp_path / "model")
    (tmp_path / "text").write_text("not a model")
    with pytest.raises(ValueError, match="is a saved model, not a run: load it with load_model"):
        dense_model().fit(x, y, resume=tmp_path / "model", verbose=0)
    with pytest.raises(ValueError, match="is not a whole model file"):
        dense_model().fit(x, y, resume=tmp_path / "text", verbose=0)
    with pytest.raises(FileNotFoundError, match="it is a folder"):
        dense_model().fit(x, y, resume=tmp_path, verbose=0)
    model = dense_model()
    with pytest.raises(FileNotFoundError, match="its folder does not exist, create it first"):
        model.fit(x, y, resume=tmp_path / "none" / "run", verbose=0)
    assert model.optimizer.iterations == 0  # said before an epoch was spent


def test_a_run_is_a_model_too(tmp_path):
    model = dense_model()
    model.fit(*two_classes(), resume=tmp_path / "run", verbose=0)
    assert same_weights(load_model(tmp_path / "run"), model)


def test_changed_learning_rate_is_part_of_the_run(tmp_path):
    x, y = two_classes()
    model = dense_model(optimizer=optimizers.Adam(0.1))
    options = {"resume": tmp_path / "run", "epochs": 2, "verbose": 0}
    model.fit(x, y, callbacks=ReduceLROnPlateau("loss", min_delta=100, patience=0), **options)
    again = dense_model(optimizer=optimizers.Adam(0.1))
    again.fit(x, y, callbacks=ReduceLROnPlateau("loss", min_delta=100, patience=0), **options)
    assert again.optimizer.learning_rate == model.optimizer.learning_rate == pytest.approx(0.01)
