"""Forged files: a valid digest over a header that lies. Each loads exactly, or is refused in one line before much is made."""

import copy
import functools
import json
import tracemalloc
import warnings

import numpy as np
import pytest
from forgeries import forged
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save
from small import dense_model, noisy_model, same_weights, two_classes
from test_saving import SCENARIOS, graph_with_everything

import tinydx
from tinydx import random, saving
from tinydx.callbacks import Callback, CSVLogger, EarlyStopping, ReduceLROnPlateau
from tinydx.diagnosis import ensemble
from tinydx.diagnosis.finished import kind_of
from tinydx.layers import (
    GRU,
    LSTM,
    BatchNormalization,
    Bidirectional,
    Conv2D,
    Dense,
    Embedding,
    Flatten,
    GlobalAveragePooling2D,
    LayerNormalization,
    Reshape,
    TimeDistributed,
    ZeroPadding2D,
)
from tinydx.models import Model, Sequential, load_model
from tinydx.preprocessing.text import Codec, Words
from tinydx.text.sequences import LanguageModel, Seq2Seq
from tinydx.text.translation import translate

MOST = 20e6  # bytes that a refused file of a few kilobytes may need
SEEDS = st.integers(0, 2**32 - 1)
FILES = 2  # forged files for each seed


# ---- valid files to begin with -------------------------------------------------------------------------------------


def of_images():
    layers = [
        Conv2D(4, 3, padding="same", input_shape=(8, 8, 1), kernel_regularizer="l2"),
        BatchNormalization(),
        ZeroPadding2D(1),
    ]
    model = Sequential([*layers, GlobalAveragePooling2D(), Dense(2, activation="softmax")])
    rate = tinydx.optimizers.schedules.CosineDecay(0.1, 10)
    model.compile(tinydx.optimizers.Adam(rate), "sparse_categorical_crossentropy", ["accuracy"])
    model.fit(np.ones((4, 8, 8, 1), "float32"), np.zeros(4), verbose=0)
    model.class_names = ["normal", "ill"]
    reading = {"target_size": [8, 8], "color_mode": "grayscale", "interpolation": "bilinear", "rescale": 1 / 255}
    deciding = {"threshold": 0.5, "temperature": 1.5, "conformal_scores": [0.1, 0.2]}
    model.preprocessing = {"kind": "image", **reading, **deciding}
    return model


def of_images_in_8_bits():
    model = of_images()
    model.quantize("int8")
    return model


def of_sequences():
    layers = [Embedding(9, 4, mask_zero=True, input_shape=(5,)), Bidirectional(LSTM(3, return_sequences=True))]
    layers += [TimeDistributed(Dense(2)), LayerNormalization(), GRU(2, reset_after=False), Reshape((1, 2)), Flatten(), Dense(1)]
    return Sequential(layers)


def of_texts():
    codec = Codec.learn(Words(), ["leg pain", "arm pain"])
    model = Sequential([Embedding(len(codec), 4, input_shape=(6,)), Flatten(), Dense(1, activation="sigmoid")])
    model.class_names, model.preprocessing = ["arm", "leg"], {"kind": "text", "codec": codec.config(), "size": 6}
    return model


def of_translation():
    codec = Codec.learn(Words(), ["leg pain", "arm pain"])
    model = Seq2Seq(len(codec), 4, 4)
    model([np.ones((1, 3), int)] * 2)
    pairs = [["leg pain", "pain of the leg"]]
    model.preprocessing = {"kind": "translation", "codec": codec.config(), "longest": 4, "drafts": 1, "pairs": pairs}
    return model


def of_language():
    model = LanguageModel(9, 4, 6, depth=2)
    model(np.ones((1, 3), int))
    return model


def of_ensemble():
    return ensemble.average([Sequential([Dense(2, activation="softmax", input_shape=(3,))]) for _ in range(2)])


def trained():
    model = noisy_model()
    model.fit(*two_classes(), verbose=0)
    return model


MODELS = {
    "images": of_images,
    "quantized": of_images_in_8_bits,
    "sequences": of_sequences,
    "texts": of_texts,
    "translation": of_translation,
    "language": of_language,
    "ensemble": of_ensemble,
    "graph": graph_with_everything,
    "trained": trained,
}


@functools.cache
def contents(name):
    """Header and arrays of a valid file."""
    random.set_seed(0)
    header, arrays = saving._contents(MODELS[name](), True)
    return json.loads(saving._json({"format": 1, **header})), arrays


def write(path, header, arrays):
    """A file whose digest is right; False where the header is none that JSON or UTF-8 can hold."""
    try:
        text = saving._json(header)
        path.write_bytes(save(arrays, metadata={"tinydx": text, "digest": saving._digest(text, arrays)}))
    except (ValueError, UnicodeEncodeError):
        return False
    return True


def loads_exactly_or_not_at_all(path, header):
    """Whether the file loads; if it does, the model is the one that the header describes."""
    tracemalloc.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a loss that is not known
            model = load_model(path)
    except ValueError as error:
        assert "\n" not in str(error) and str(path) in str(error) and len(str(error)) < 600 + len(str(path))
        return False
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < MOST
    again = json.loads(saving._json(saving._contents(model, True)[0]))
    for key in ("model", "class_names", "preprocessing", "input_range"):
        assert json.dumps(again[key]) == json.dumps(header[key]), key
    assert set(again["frozen"]) == set(header["frozen"])
    return True


# ---- mutations -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
@given(seed=SEEDS)
def test_a_forged_model_loads_exactly_or_is_refused_in_one_line(name, seed, tmp_path_factory):
    (header, arrays), rng = contents(name), np.random.default_rng(seed)
    path = tmp_path_factory.getbasetemp() / "forged.tdx"
    for _ in range(FILES):
        lie, _ = forged(header, rng, changes=1 + int(rng.integers(3) == 0))
        if write(path, lie, arrays):
            loads_exactly_or_not_at_all(path, lie)


@pytest.mark.parametrize(("name", "use"), [("images", kind_of), ("texts", kind_of), ("translation", None)])
@given(seed=SEEDS)
def test_a_forged_way_of_reading_is_refused_before_an_input_is_read(name, use, seed, tmp_path_factory):
    (header, arrays), rng = contents(name), np.random.default_rng(seed)
    path = tmp_path_factory.getbasetemp() / "reading.tdx"
    for _ in range(FILES):
        part = "class_names" if use and rng.integers(5) == 0 else "preprocessing"
        lie = {**header, part: forged({part: header[part]}, rng)[0].get(part)}
        if not write(path, lie, arrays):
            continue
        tracemalloc.start()
        try:
            model = load_model(path)
            if use is None:
                translate(model, ["leg pain"], width=1)
            else:
                use(model).read("leg" if name == "texts" else picture(tmp_path_factory), model.preprocessing)
        except ValueError as error:
            assert "\n" not in str(error)
        finally:
            assert tracemalloc.get_traced_memory()[1] < MOST
            tracemalloc.stop()


def picture(tmp_path_factory):
    from tinydx.preprocessing.files import save_img

    path = tmp_path_factory.getbasetemp() / "picture.png"
    if not path.exists():
        save_img(path, np.zeros((8, 8, 1)))
    return str(path)


@functools.cache
def saved_run(name, folder):
    tinydx.set_seed(1)
    path = folder / f"{name[:8]}.run"
    model, data, options = SCENARIOS[name]()
    fit(model, data, options, folder, path)
    return saving._read(path), (folder / "log.csv").read_bytes()


def watching(model, folder):
    slower = [] if model.optimizer.schedule else [ReduceLROnPlateau("loss", patience=0, min_delta=1)]
    return [EarlyStopping("loss", patience=9, restore_best_weights=True), *slower, CSVLogger(folder / "log.csv")]


def fit(model, data, options, folder, path, callbacks=None):
    size = {"batch_size": 8} if len(data) > 1 else {}
    given = watching(model, folder) if callbacks is None else callbacks
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="validation_data: its examples are augmented")  # one scenario means it
        return model.fit(*data, epochs=2, callbacks=given, resume=path, verbose=0, **{**size, **options})


def everything(model, callbacks, sources, folder):
    """What a failed resume must leave as it was, in values that compare."""
    plain = [[(k, repr(v)) for k, v in vars(c).items() if k not in ("model", "params")] for c in callbacks]
    optimizer = [(k, repr(v)) for k, v in vars(model.optimizer).items()]
    facts = model.class_names, model.preprocessing, model.input_range, model.built, model.stop_training
    weights = [(w.data.tobytes(), w.requires_grad) for w in model.weights]
    places = [s.state() for s in sources]
    return plain, optimizer, facts, weights, places, (folder / "log.csv").read_bytes(), json.dumps(random.state())


@pytest.mark.parametrize(
    "name",
    ["dropout and batch normalisation", "built by the first batch", "images and validation images without seed", "generator"],
)
@given(seed=SEEDS)
@settings(max_examples=settings().max_examples // 2)
def test_a_forged_run_changes_nothing_unless_it_is_taken_up(name, seed, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp()
    ((header, arrays), log), rng = saved_run(name, folder), np.random.default_rng(seed)
    path = folder / "lie.run"
    for _ in range(FILES):
        lie, held = copy.deepcopy(header), dict(arrays)
        match rng.integers(6):
            case 0:
                lie, _ = forged(header, rng)
            case 1:
                held = forged_arrays(arrays, rng)
            case _:
                lie["run"], _ = forged(header["run"], rng)
        if not write(path, lie, held):
            continue
        tinydx.set_seed(7)
        model, data, options = SCENARIOS[name]()
        (folder / "log.csv").write_bytes(log)
        callbacks, sources = watching(model, folder), [s for s in (*data, options.get("validation_data")) if hasattr(s, "state")]
        before = everything(model, callbacks, sources, folder)
        try:
            fit(model, data, options, folder, path, callbacks)
        except ValueError as error:
            assert "\n" not in str(error) and str(path) in str(error)
            assert everything(model, callbacks, sources, folder) == before


def forged_arrays(arrays, rng):
    """One array is missing, of another shape or kind, or one too many."""
    name, held = sorted(arrays)[rng.integers(len(arrays))], dict(arrays)
    changed = [None, np.zeros(7, "float32"), held[name].astype("int64")][rng.integers(3)]
    if changed is None:
        del held[name]
    else:
        held[name if rng.integers(2) else f"{name}x"] = changed
    return held


# ---- single lies, and what is said of each --------------------------------------------------------------------------


def first_layer(header):
    return header["model"]["layers"][0]


LIES = {
    "units of no memory": (
        "trained",
        lambda h: first_layer(h)["config"].update(units=3_000_000_000),
        r"kernel has shape \(5, 3000000000\)",
    ),
    "filters": ("images", lambda h: first_layer(h)["config"].update(filters=3_000_000_000), "holds no such weight"),
    "a padding that no image has": (
        "images",
        lambda h: h["model"]["layers"][2]["config"].update(padding=2**20),
        "numbers for one example",
    ),
    "layers without number": (
        "language",
        lambda h: h["model"]["config"].update(depth=10**9),
        "the file holds too few|fewer layers",
    ),
    "tokens without number": ("language", lambda h: h["model"]["config"].update(vocabulary=10**12), "no such weight"),
    "units as text": ("trained", lambda h: first_layer(h)["config"].update(units="3"), "Dense: units is '3', expected int"),
    "units as truth": ("trained", lambda h: first_layer(h)["config"].update(units=True), "Dense: units is True, expected int"),
    "epsilon NaN": (
        "images",
        lambda h: h["model"]["layers"][1]["config"].update(epsilon=float("nan")),
        "epsilon is nan, expected float",
    ),
    "a class of others": (
        "trained",
        lambda h: first_layer(h).update({"class": "Recurrent"}),
        "'Recurrent', which tinydx does not know",
    ),
    "no class": ("trained", lambda h: first_layer(h).pop("class"), "has no 'class'"),
    "no name": ("trained", lambda h: first_layer(h).pop("name"), "a layer has no 'name'"),
    "a layer instead of a model": ("trained", lambda h: h.update(model=first_layer(h)), "which is a layer and no model"),
    "again before it is made": (
        "trained",
        lambda h: h["model"]["layers"].insert(0, {"again": 0}),
        "expected a whole number below 0",
    ),
    "again from the end": ("trained", lambda h: h["model"]["layers"].append({"again": -1}), "a layer that occurs again is -1"),
    "a value from the end": ("graph", lambda h: h["model"]["calls"][0].__setitem__(1, {"symbol": -1}), "names number -1"),
    "a cycle": ("graph", lambda h: h["model"]["calls"][0].__setitem__(1, {"symbol": 9}), "names number 9"),
    "a call's argument": (
        "graph",
        lambda h: h["model"]["calls"][0].__setitem__(2, {"speed": 1}),
        "a call has no argument 'speed'",
    ),
    "an object as dtype": ("trained", lambda h: first_layer(h).update(dtype="object"), "dtype is 'object', expected float16 or"),
    "a shape of its own": ("trained", lambda h: h["model"].update(input_shape=[None, 60000]), r"expected input \(N, 5\)"),
    "an unknown key": ("trained", lambda h: first_layer(h).update(extra=1), "contradict"),
    "frozen": ("trained", lambda h: h.update(frozen=[99]), "frozen is 99"),
    "class names": ("images", lambda h: h.update(class_names="ab"), "class_names is 'ab', expected a list"),
    "class names of numbers": ("images", lambda h: h.update(class_names=[1, 2]), "a class name is 1, expected a text"),
    "input range": ("trained", lambda h: h.update(input_range=[1, float("inf")]), "input_range is inf, expected a number"),
    "iterations": ("trained", lambda h: h["training"].update(iterations=-1), "iterations is -1"),
    "metrics are missing": ("trained", lambda h: h["training"].pop("metrics"), "training has no 'metrics'"),
    "rate as text": ("trained", lambda h: h["training"]["optimizer"]["config"].update(learning_rate="x"), "learning_rate is 'x'"),
    "thresholds without number": (
        "trained",
        lambda h: h["training"].update(metrics=[{"class": "AUC", "config": {"num_thresholds": 10**10}}]),
        "num_thresholds is 10000000000",
    ),
    "format as text": ("trained", lambda h: h.update(format="1"), "format is '1'"),
}


@pytest.mark.parametrize(("name", "lie", "message"), LIES.values(), ids=LIES)
def test_what_is_said_of_a_lie(name, lie, message, tmp_path):
    header, arrays = copy.deepcopy(contents(name))
    lie(header)
    assert write(tmp_path / "m", header, arrays)
    assert not loads_exactly_or_not_at_all(tmp_path / "m", header)
    with pytest.raises(ValueError, match=message):
        load_model(tmp_path / "m")


def lied(whole, kind):
    """The bytes of a file whose safetensors header lies."""
    size = int.from_bytes(whole[:8], "little")
    head, body = whole[8 : 8 + size], whole[8 + size :]
    match kind:
        case int():
            return kind.to_bytes(8, "little") + head + body
        case "no UTF-8":
            head = head.replace(b"weights", b"w\xff\xfeghts", 1)
        case "no JSON":
            head = head[:-1] + b"]"
        case bytes() as dtype:
            head = head.replace(b'"F32"', dtype, 1)
        case "offsets":
            head = head.replace(b'"data_offsets":[0,', b'"data_offsets":[9,', 1)
        case "shape":
            head = head.replace(b'"shape":[', b'"shape":[4294967296,', 1)
        case "body":
            body += bytes(8)
    return len(head).to_bytes(8, "little") + head + body


KINDS = [0, 1, 7, 2**20, 2**40, 2**63, 2**64 - 1, b'"F64"', b'"BF16"', b'"F8_E5M2"', b'"I32"', b'"X9"', b"7"]


@pytest.mark.parametrize("kind", [*KINDS, "no UTF-8", "no JSON", "offsets", "shape", "body"], ids=str)
def test_a_container_that_lies(kind, tmp_path):
    """The length of the header, its bytes, and what it says of each array."""
    dense_model().save(tmp_path / "m")
    whole = (tmp_path / "m").read_bytes()
    (tmp_path / "m").write_bytes(lied(whole, kind))
    assert (tmp_path / "m").read_bytes() != whole
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"m (is not a whole model file|was changed)") as caught:
        load_model(tmp_path / "m")
    assert tracemalloc.get_traced_memory()[1] < MOST and "\n" not in str(caught.value)
    tracemalloc.stop()


def test_arguments_that_a_user_may_give_come_back(tmp_path):
    """What a constructor takes, a file gives back: looser numbers than the annotations say."""
    rates = tinydx.optimizers.schedules
    layers = [Dense(np.int32(3), use_bias=1, input_shape=[5], name="n" * 2000), Dense(1, use_bias=0)]
    for rate in (rates.PiecewiseConstantDecay([1.5, 3.0], [1, 0.1, 0.01]), rates.CosineDecay(1, 10), np.float32(0.1), 1):
        model = Sequential(layers)
        model.compile(tinydx.optimizers.Adam(rate, clipnorm=1), tinydx.losses.Huber(2))
        model.save(tmp_path / "m")
        again = load_model(tmp_path / "m")
        assert again.optimizer.learning_rate == model.optimizer.learning_rate and again.layers[0].name == "n" * 2000


def test_a_function_of_the_package_is_no_loss(tmp_path):
    """A file names functions; it reaches none but those that are meant as losses and metrics."""
    header, arrays = copy.deepcopy(contents("trained"))
    functions = [{"function": name} for name in ("get", "as_array", "did_you_mean", "_check_range", "on_device")]
    for loss in (*functions, {"class": "Loss", "config": {}}, {"class": "_Regression", "config": {}}):
        header["training"]["loss"] = loss
        name = loss.get("function") or loss["class"]
        write(tmp_path / "m", header, arrays)
        with pytest.warns(UserWarning, match=f"trained with {name}, which tinydx does not know"):
            assert load_model(tmp_path / "m").optimizer is None


def test_models_inside_each_other_without_number(tmp_path):
    """Each holds the one before twice: 40 entries, and 2^40 layers to visit."""
    header, arrays = copy.deepcopy(contents("trained"))
    inner = Sequential([Dense(2, input_shape=(2,))])
    entry = {"class": "Sequential", "layers": [json.loads(saving._json(saving.to_config(inner)))]}
    shape = {"fixed_shape": True, "input_shape": [None, 2], "dtype": None, "name": "s"}
    for level in range(40):
        entry = {"class": "Sequential", "layers": [entry, {"again": level + 1}], **shape} if level else {**entry, **shape}
    header.update(model=entry, training=None, frozen=[])
    write(tmp_path / "m", header, {f"weights/{i:05d}/x": w for i, w in enumerate(inner.get_weights())})
    with pytest.raises(ValueError, match="inside each other more than 1,000,000 times"):
        load_model(tmp_path / "m")


@pytest.mark.parametrize(
    "text", ['{"format": 1, "format": 1}', "[" * 100_000, "[1]", '{"format": 1', '{"format": ' + "9" * 5000 + "}", "null"]
)
def test_a_header_that_is_no_header(text, tmp_path):
    arrays = {"weights/00000/x": np.ones(1, "float32")}
    (tmp_path / "m").write_bytes(save(arrays, metadata={"tinydx": text, "digest": saving._digest(text, arrays)}))
    with pytest.raises(ValueError, match=r"m cannot be loaded: .*header") as caught:
        load_model(tmp_path / "m")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("color_mode", ["grayscale", "rgb"])
def test_an_image_of_60000_pixels_is_refused_before_it_is_read(color_mode, tmp_path):
    """A convolution and a mean take images of any size, so that the header contradicts no weight."""
    channels = {"grayscale": 1, "rgb": 3}[color_mode]
    model = Sequential([Conv2D(2, 3, padding="same", input_shape=(8, 8, channels)), GlobalAveragePooling2D(), Dense(1)])
    model.class_names, model.preprocessing = ["a", "b"], {**of_images().preprocessing, "color_mode": color_mode}
    header, arrays = saving._contents(model, True)
    header = json.loads(saving._json({"format": 1, **header}))
    header["preprocessing"]["target_size"] = [60000, 60000]
    write(tmp_path / "m", header, arrays)
    with pytest.raises(ValueError, match=r"its image is an array of shape \(None, 60000, 60000, .\)"):
        kind_of(load_model(tmp_path / "m"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"threshold": float("nan")}, "threshold is nan, expected a number"),
        ({"threshold": 1.5}, "threshold is 1.5, expected 0 to 1"),
        ({"target_size": [8, 9]}, r"expected input \(N, 8, 8, 1\), got \(None, 8, 9, 1\)"),
        ({"color_mode": "rgb"}, r"expected input \(N, 8, 8, 1\), got \(None, 8, 8, 3\)"),
        ({"rescale": "1"}, "rescale is '1', expected a number"),
        ({"training": {"names": ["a"]}}, "has no 'rows'"),
        ({"target_size": "8x8"}, "target_size is '8x8', expected a list"),
    ],
)
def test_a_way_of_reading_that_makes_no_sense(change, message):
    model = of_images()
    model.preprocessing = {**model.preprocessing, **change}
    with pytest.raises(ValueError, match=message):
        kind_of(model)


@pytest.mark.parametrize("names", [["a", "a"], ["a", "b", "c"], ["a"], []])
def test_class_names_that_do_not_fit(names):
    model = of_images()
    model.class_names = names
    with pytest.raises(ValueError, match="class name"):
        kind_of(model)


PLACES = [
    ("generator", "data", "given", 10**12, "data: given is 1000000000000, expected a whole number below"),
    ("generator", "data", "given", True, "data: given is True"),
    ("dropout and batch normalisation", "data", "position", 4, "data: position is 4, expected a whole number below 4"),
    ("dropout and batch normalisation", "data", "seed", -1, "data: seed is -1"),
    ("images and validation images without seed", "data", "batch_index", 99, "data: batch_index is 99"),
    ("images and validation images without seed", "validation", "epoch_seed", 1.5, "validation: epoch_seed is 1.5"),
    ("generator", "random", "bit_generator", "MT19937", "must be for a PCG64"),
]


@pytest.mark.parametrize(("name", "part", "key", "value", "message"), PLACES)
def test_a_place_in_the_data_that_no_run_was_at(name, part, key, value, message, tmp_path):
    """A plain generator would be asked for a trillion batches."""
    (header, arrays), _ = saved_run(name, tmp_path)
    header = copy.deepcopy(header)
    header["run"][part][key] = value
    write(tmp_path / "lie.run", header, arrays)
    with pytest.raises(ValueError, match=message):
        fit(*SCENARIOS[name](), tmp_path, tmp_path / "lie.run")


class Forgetful(Callback):
    """Takes its state back only once in a while."""

    def state(self):
        return {"seen": 1}

    def load_state(self, state):
        self.seen = 2
        raise RuntimeError("I do not know this")


def test_a_callback_that_fails_leaves_everything_as_it_was(tmp_path):
    """The callbacks before it, the model and the log were changed already."""
    callbacks = [CSVLogger(tmp_path / "log.csv"), EarlyStopping("loss"), Forgetful()]
    options = {"callbacks": callbacks, "resume": tmp_path / "run", "verbose": 0}
    dense_model().fit(*two_classes(), **options)
    model, log = dense_model(), (tmp_path / "log.csv").read_text()
    weights, numbers = model.get_weights(), random.state()
    with pytest.raises(ValueError, match="run cannot be loaded: I do not know this"):
        model.fit(*two_classes(), **{**options, "epochs": 3})
    assert same_weights(model, weights) and model.optimizer.iterations == 0 and model.optimizer.slots == []
    assert (tmp_path / "log.csv").read_text() == log and not hasattr(callbacks[2], "seen") and random.state() == numbers
    model.fit(*two_classes(), verbose=0)  # and it trains


def test_loading_draws_no_random_numbers(tmp_path):
    """The file has the weights: loading leaves the run around it as it would be without."""
    dense_model().save(tmp_path / "m")
    before = random.state()
    load_model(tmp_path / "m")
    assert random.state() == before


def test_a_layer_that_was_built_before_it_was_wrapped(tmp_path):
    """Bidirectional makes two layers of a third, whose own weights are in no file."""
    inner = LSTM(3)
    inner(np.ones((1, 4, 2), "float32"))
    model = Sequential([Bidirectional(inner)])
    model(np.ones((1, 4, 2), "float32"))
    model.save(tmp_path / "m")
    assert same_weights(load_model(tmp_path / "m"), model)
    assert isinstance(model, Model)
