"""tinydx computes what Keras computes: every case of tests/keras_reference/*.npz, through public names.

The files hold inputs, arguments and what Keras 3.15.1 answered; keras_reference/make_reference.py makes them
and says how they are laid out. A test's id is its case, so that `pytest -k simple_rnn-mask` runs those.
Numbers agree when the largest difference is within the tolerance times the largest expected magnitude.
"""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import tinydx
from tinydx import initializers, layers, losses, metrics, models, optimizers, regularizers
from tinydx.preprocessing.image import ImageDataGenerator, img_to_array, load_img

TOLERANCE = {"float32": 3e-6, "float64": 1e-11}
HERE = Path(__file__).parent / "keras_reference"


def read(name: str) -> SimpleNamespace:
    """`cases` {case: what to build and call} and `arrays` {name: array} of one reference file."""
    with np.load(HERE / f"{name}.npz", allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files if key != "header"}
        return SimpleNamespace(cases=json.loads(str(file["header"]))["cases"], arrays=arrays)


KINDS = ("convolution", "pooling", "core", "normalization", "recurrent", "gated", "attention", "padding", "separable")
LAYERS = {kind: read(f"layers_{kind}") for kind in KINDS}
LOSSES, METRICS, OPTIMIZERS, INITIALIZERS = map(read, ("losses", "metrics", "optimizers", "initializers"))
SCHEDULES, AVERAGES = read("schedules"), read("averages")
REGULARIZERS, REGULARIZED = read("regularizers"), read("regularized")
TRAINING, FIT = read("training"), read("fit")
SEQUENCES = read("sequences")
AUGMENTATION, FLOW, DIRECTORY = read("augmentation"), read("flow"), read("directory")


def below(arrays: dict, prefix: str) -> dict[str, np.ndarray]:
    """The arrays of one case (prefix "case/"), without the prefix in their names."""
    return {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}


def of_case(reference: SimpleNamespace, case: str) -> dict[str, np.ndarray]:
    return below(reference.arrays, f"{case}/")


def numbered(arrays: dict, prefix: str) -> list[np.ndarray]:
    """[arrays["w0"], arrays["w1"], ...] for prefix "w"."""
    return [arrays[f"{prefix}{i}"] for i in range(len(arrays)) if f"{prefix}{i}" in arrays]


def arguments(config: dict) -> dict:
    """The value with tuples in place of the lists that JSON made of them."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in config.items()}


def array_of(value) -> np.ndarray:
    return value.numpy() if isinstance(value, tinydx.Tensor) else np.asarray(value)


def assert_close(actual, expected: np.ndarray, tolerance: float, what: str, exact: np.ndarray | None = None) -> None:
    """Within the tolerance of Keras's number, or of `exact`, Keras's in float64: its float32 numbers are rounded, too."""
    actual = array_of(actual)
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, Keras {expected.shape}"
    differences = [np.abs(actual.astype("float64") - e).max(initial=0) for e in (expected, exact) if e is not None]
    allowed = tolerance * np.abs(expected).max(initial=0)
    assert min(differences) <= allowed, f"{what}: differs by {min(differences):.3g}, allowed {allowed:.3g}"


def assert_same_type(actual, dtype: str, what: str) -> None:
    assert array_of(actual).dtype == dtype, f"{what}: {array_of(actual).dtype}, Keras {dtype}"


# ----------------------------------------------------------------------------------------------------- layers
LAYER_CASES = [
    (kind, name, dtype) for kind, file in LAYERS.items() for name, case in file.cases.items() for dtype in case["dtypes"]
]


@pytest.mark.parametrize(("kind", "name", "dtype"), LAYER_CASES)
def test_layer(kind, name, dtype):
    """Outputs, gradients of inputs and weights, and what training changed in the layer."""
    case, given = LAYERS[kind].cases[name], of_case(LAYERS[kind], name)
    expected = below(given, f"{dtype}/")
    for j in range(len(numbered(expected, "y"))):  # a layer with two outputs has gradients of each
        layer, xs, states, outputs = run_layer(case, given, dtype)
        assert len(outputs) == len(numbered(expected, "y"))
        assert_close(outputs[j], expected[f"y{j}"], TOLERANCE[dtype], f"output {j}")
        assert_same_type(outputs[j], dtype, f"output {j}")
        outputs[j].backward(given[f"cotangent{j}"].astype(dtype))
        gradients = {f"dx{i}": x.grad for i, x in enumerate(xs) if isinstance(x, tinydx.Tensor)}
        gradients |= {f"dstate{i}": state.grad for i, state in enumerate(states)}
        gradients |= {f"dweight{i}": weight.grad for i, weight in enumerate(layer.weights)}
        for key in (key for key in expected if key.endswith(f"_y{j}")):
            gradient = gradients[key.removesuffix(f"_y{j}")]
            gradient = np.zeros_like(expected[key]) if gradient is None else gradient  # this output does not depend on it
            assert_close(gradient, expected[key], TOLERANCE[dtype], key, given.get(f"float64/{key}"))
            assert_same_type(gradient, dtype, key)
        for i, after in enumerate(numbered(expected, "after")):
            assert_close(layer.get_weights()[i], after, TOLERANCE[dtype], f"weight {i} afterwards")


def run_layer(case: dict, given: dict, dtype: str) -> tuple:
    """The layer, its inputs and initial states as Tensors (ids as arrays) and the list of its outputs."""
    config = arguments(case["config"])
    if "layer" in config:  # a layer around another
        config["layer"] = getattr(layers, config["layer"]["class"])(**config["layer"]["config"])
    layer = getattr(layers, case["layer"])(**config, dtype=dtype)
    xs = numbered(given, "x")
    if not case["integers"]:
        xs = [tinydx.Tensor(x.astype(dtype), requires_grad=True) for x in xs]
    inputs = xs if len(xs) > 1 else xs[0]
    layer(inputs)  # builds the weights
    weights = numbered(given, "weight")
    assert [tuple(weight.shape) for weight in layer.weights] == [weight.shape for weight in weights]
    layer.set_weights([weight.astype(dtype) for weight in weights])
    call = dict(case["call"])
    if "mask" in call:
        call["mask"] = [given["mask_of_query"], given["mask"]] if "mask_of_query" in given else given["mask"]
    states = [tinydx.Tensor(state.astype(dtype), requires_grad=True) for state in numbered(given, "state")]
    if states:
        call["initial_state"] = states
    outputs = layer(inputs, **call)
    return layer, xs, states, list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def test_build_then_set_weights():
    """Keras's idiom: build with a shape, set the weights, call."""
    case, given = LAYERS["core"].cases["dense"], of_case(LAYERS["core"], "dense")
    layer = layers.Dense(**case["config"])
    layer.build(tuple(case["shapes"][0]))
    layer.set_weights(numbered(given, "weight"))
    assert_close(layer(given["x0"]), given["float32/y0"], TOLERANCE["float32"], "output")
    assert len(layer.weights) == 2


@pytest.mark.parametrize(
    ("kind", "name", "layer"),
    [("core", "embedding-mask_zero", layers.Embedding(6, 4, mask_zero=True)), ("gated", "masking", layers.Masking())],
)
def test_mask_that_a_layer_makes(kind, name, layer):
    given = of_case(LAYERS[kind], name)
    np.testing.assert_array_equal(layer(given["x0"]).mask, given["mask_out"])


def encoder_decoder(attention: str, dtype: str) -> tuple[models.Model, list]:
    """A GRU encoder-decoder with attention, and its layers in the order of their weights."""
    read, written = layers.Input((5,), dtype="int64"), layers.Input((4,), dtype="int64")
    parts = [
        layers.Embedding(7, 3, mask_zero=True, dtype=dtype),
        layers.GRU(4, return_sequences=True, return_state=True),
        layers.Embedding(6, 3, mask_zero=True, dtype=dtype),
        layers.GRU(4, return_sequences=True),
        getattr(layers, attention)(use_scale=True),
        layers.Dense(6, activation="softmax"),
    ]
    embed_read, encoder, embed_written, decoder, look, output = parts
    seen, state = encoder(embed_read(read))
    states = decoder(embed_written(written), initial_state=[state])
    together = layers.Concatenate()([states, look([states, seen])])
    return models.Model([read, written], output(together)), parts


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", SEQUENCES.cases)
def test_encoder_decoder(name, dtype):
    """Outputs and the gradient of every weight; both sides are padded, so every layer gets a mask."""
    given = of_case(SEQUENCES, name)
    model, parts = encoder_decoder(name, dtype)
    weights = [weight for part in parts for weight in part.weights]
    for weight, value in zip(weights, numbered(given, "weight"), strict=True):
        weight.data = value.astype(dtype)
    y = model(numbered(SEQUENCES.arrays, "x"))
    assert_close(y, given[f"{dtype}/y0"], TOLERANCE[dtype], "output")
    y.backward(SEQUENCES.arrays["cotangent0"].astype(dtype))
    for i, weight in enumerate(weights):
        assert_close(weight.grad, given[f"{dtype}/dweight{i}"], TOLERANCE[dtype], weight.name)
        assert_same_type(weight.grad, dtype, weight.name)


@pytest.mark.parametrize("name", INITIALIZERS.cases)
def test_glorot_uniform_limit(name):
    case = INITIALIZERS.cases[name]
    largest = np.abs(array_of(initializers.get("glorot_uniform")(tuple(case["shape"])))).max()
    assert 0.98 * case["limit"] < largest <= case["limit"] * (1 + 1e-6)


# ----------------------------------------------------------------------------------------- losses and metrics
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LOSSES.cases)
def test_loss(name, dtype):
    case, arrays = LOSSES.cases[name], LOSSES.arrays
    prediction = tinydx.Tensor(arrays[case["y_pred"]].astype(dtype), requires_grad=True)
    target = arrays[case["y_true"]]
    target = target if target.dtype.kind == "i" else target.astype(dtype)
    weight = arrays[case["sample_weight"]].astype(dtype) if "sample_weight" in case else None
    value = getattr(losses, case["loss"])(**case["config"])(target, prediction, sample_weight=weight)
    value.backward()
    assert_close(value, np.array(case["value"][dtype]), TOLERANCE[dtype], "value")
    assert_close(prediction.grad, arrays[f"{name}/{dtype}/gradient"], TOLERANCE[dtype], "gradient")
    assert_same_type(value, dtype, "value")
    assert_same_type(prediction.grad, dtype, "gradient")


@pytest.mark.parametrize("name", METRICS.cases)
def test_metric(name):
    """The running result after each of three batches, and again after reset_state."""
    case = METRICS.cases[name]
    metric = getattr(metrics, case["metric"])(**case["config"])
    for attempt in ("new", "after reset_state"):
        for i, expected in enumerate(case["results"]):
            y_true, y_pred = (METRICS.arrays[f"{case['batches']}/{part}{i}"] for part in ("y_true", "y_pred"))
            weight = METRICS.arrays[f"sample_weight{i}"] if case["weighted"] else None
            metric.update_state(y_true, y_pred, sample_weight=weight)
            result = np.ravel(metric.result())  # F1 of one column is a number here, an array of one in Keras
            assert_close(result, np.ravel(expected), TOLERANCE["float32"], f"{attempt}, batch {i}")
        metric.reset_state()


# ------------------------------------------------------------------------------------------------- optimizers
@pytest.mark.parametrize(
    ("name", "dtype"), [(name, dtype) for name, case in OPTIMIZERS.cases.items() for dtype in case["dtypes"]]
)
def test_optimizer(name, dtype):
    """The two variables after each of twelve steps."""
    case, arrays = OPTIMIZERS.cases[name], OPTIMIZERS.arrays
    optimizer = getattr(optimizers, case["optimizer"])(**case["config"])
    variables = [tinydx.Tensor(x.astype(dtype), requires_grad=True) for x in numbered(arrays, "start")]
    for step, expected in enumerate(arrays[f"{name}/{dtype}/path"]):
        optimizer.apply([gradient[step].astype(dtype) for gradient in numbered(arrays, "gradient")], variables)
        actual = np.concatenate([variable.numpy().ravel() for variable in variables])
        assert_close(actual, expected, TOLERANCE[dtype], f"step {step + 1}")
        assert_same_type(actual, dtype, f"step {step + 1}")


@pytest.mark.parametrize("name", SCHEDULES.cases)
def test_schedule(name):
    """The learning rates of twenty steps; Keras computes them in float32."""
    case = SCHEDULES.cases[name]
    schedule = getattr(optimizers.schedules, case["schedule"])(**case["config"])
    rates = np.array([schedule(step) for step in range(20)])
    assert_close(rates, np.array(case["rates"]), TOLERANCE["float32"], "rates")


def optimizer_of(case: dict) -> optimizers.Optimizer:
    """The optimizer of a case, whose learning rate may be a schedule [class, arguments]."""
    config = dict(case["config"])
    if isinstance(config.get("learning_rate"), list):
        schedule, given = config["learning_rate"]
        config["learning_rate"] = getattr(optimizers.schedules, schedule)(**given)
    return getattr(optimizers, case["optimizer"])(**config)


@pytest.mark.parametrize(("name", "dtype"), [(name, dtype) for name, case in AVERAGES.cases.items() for dtype in case["dtypes"]])
def test_averages_and_schedules(name, dtype):
    """With use_ema or a schedule: the two variables after each of twelve steps, and after finalize_variable_values."""
    case, arrays = AVERAGES.cases[name], AVERAGES.arrays
    optimizer = optimizer_of(case)
    variables = [tinydx.Tensor(x.astype(dtype), requires_grad=True) for x in numbered(arrays, "start")]

    def values() -> np.ndarray:
        return np.concatenate([variable.numpy().ravel() for variable in variables])

    for step, expected in enumerate(arrays[f"{name}/{dtype}/path"]):
        optimizer.apply([gradient[step].astype(dtype) for gradient in numbered(arrays, "gradient")], variables)
        assert_close(values(), expected, TOLERANCE[dtype], f"step {step + 1}")
        assert_same_type(values(), dtype, f"step {step + 1}")
    optimizer.finalize_variable_values(variables)
    assert_close(values(), arrays[f"{name}/{dtype}/final"], TOLERANCE[dtype], "final values")


# ----------------------------------------------------------------------------------------------- regularizers
@pytest.mark.parametrize(
    ("name", "dtype"), [(name, dtype) for name, case in REGULARIZERS.cases.items() for dtype in case["value"]]
)
def test_regularizer(name, dtype):
    """The penalty of a weight with zeros in it, and its gradient."""
    case = REGULARIZERS.cases[name]
    w = tinydx.Tensor(REGULARIZERS.arrays["w"].astype(dtype), requires_grad=True)
    value = getattr(regularizers, case["regularizer"])(**case["config"])(w)
    value.backward()
    assert_close(value, np.array(case["value"][dtype]), TOLERANCE[dtype], "value")
    assert_close(w.grad, REGULARIZERS.arrays[f"{name}/{dtype}/gradient"], TOLERANCE[dtype], "gradient")
    assert_same_type(value, dtype, "value")
    assert_same_type(w.grad, dtype, "gradient")


def penalised_layer(part: dict, dtype: str) -> layers.Layer:
    """A layer of a regularized model; arguments ..._regularizer name cases of regularizers.npz."""
    config = arguments(part["config"])
    for key in [key for key in config if key.endswith("_regularizer")]:
        penalty = REGULARIZERS.cases[config[key]]
        config[key] = getattr(regularizers, penalty["regularizer"])(**penalty["config"])
    return getattr(layers, part["layer"])(**config, dtype=dtype, trainable=not part["frozen"])


@pytest.mark.parametrize("name", REGULARIZED.cases)
def test_regularized(name):
    """fit with penalties of weights, some with a schedule or averages: history, final weights, evaluate."""
    case, given = REGULARIZED.cases[name], of_case(REGULARIZED, name)
    dtype = case["dtype"]
    x, y = REGULARIZED.arrays[case["input"]], REGULARIZED.arrays["y"]
    x = x.astype("int64" if case["input"] == "ids" else dtype)
    model = models.Sequential([layers.Input(x.shape[1:]), *(penalised_layer(part, dtype) for part in case["model"])])
    model.set_weights(numbered(given, "start"))
    model.compile(optimizer_of(case), "binary_crossentropy")
    options = {"batch_size": 8, "epochs": 3, "shuffle": False, "verbose": 0, "validation_data": (x[20:], y[20:])}
    history = model.fit(x[:20], y[:20], **options).history
    assert history.keys() == case["history"].keys()
    for key, expected in case["history"].items():  # Keras's mean over an epoch is float32
        assert_close(history[key], np.array(expected), LOSS_TOLERANCE["float32"], key)
    assert_close(model.evaluate(x[20:], y[20:], verbose=0), np.array(case["evaluate"]), LOSS_TOLERANCE["float32"], "evaluate")
    for i, weight in enumerate(model.get_weights()):
        assert_close(weight, given[f"end{i}"], WEIGHT_TOLERANCE[dtype], f"weight {i}")


# --------------------------------------------------------------------------------------------------- training
def cnn_model(dtype: str) -> models.Sequential:
    return models.Sequential(
        [
            layers.Input((22, 22, 3)),
            layers.Conv2D(4, (3, 3), activation="relu", dtype=dtype),
            layers.MaxPooling2D((2, 2), dtype=dtype),
            layers.Conv2D(6, (3, 3), activation="relu", dtype=dtype),
            layers.MaxPooling2D((2, 2), dtype=dtype),
            layers.Conv2D(8, (3, 3), activation="relu", dtype=dtype),
            layers.MaxPooling2D((2, 2), dtype=dtype),
            layers.Flatten(dtype=dtype),
            layers.Dense(16, activation="relu", dtype=dtype),
            layers.Dense(1, activation="sigmoid", dtype=dtype),
        ]
    )


def rnn_model(dtype: str) -> models.Sequential:
    return models.Sequential(
        [
            layers.Input((9,)),
            layers.Embedding(20, 6, mask_zero=True, dtype=dtype),
            layers.SimpleRNN(8, dtype=dtype),
            layers.Dense(1, activation="sigmoid", dtype=dtype),
        ]
    )


def normalized_model(dtype: str) -> models.Sequential:
    return models.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(4, 3, padding="same", use_bias=False, dtype=dtype),
            layers.BatchNormalization(dtype=dtype),
            layers.Activation("relu", dtype=dtype),
            layers.AveragePooling2D(2, dtype=dtype),
            layers.Flatten(dtype=dtype),
            layers.Dropout(0.0, dtype=dtype),
            layers.Dense(3, activation="softmax", dtype=dtype),
        ]
    )


MODELS = {"cnn": cnn_model, "rnn": rnn_model, "normalized": normalized_model}
LOSS_TOLERANCE = {"float32": 1e-5, "float64": 1e-11}  # ten steps: rounding has grown,
WEIGHT_TOLERANCE = {"float32": 1e-4, "float64": 1e-11}  # most where Adam divides a small gradient by its size


@pytest.mark.parametrize("name", TRAINING.cases)
def test_training(name):
    """From the same weights, the losses of ten batches, the weights after them, and a prediction."""
    case, arrays = TRAINING.cases[name], of_case(TRAINING, name)
    dtype, kind = case["dtype"], case["model"]
    x, y = TRAINING.arrays[f"{kind}_x"], TRAINING.arrays[f"{kind}_y"].astype("int64")
    x = x.astype("int64") if kind == "rnn" else x.astype(dtype) / 8
    model = MODELS[kind](dtype)
    start = numbered(of_case(TRAINING, kind), "start")
    model.set_weights([weight.astype(dtype) for weight in start])
    model.compile(getattr(optimizers, case["optimizer"])(**case["config"]), case["loss"])
    size = case["batch_size"]
    batches = [(x[i : i + size], y[i : i + size]) for i in range(0, len(x), size)]
    actual = np.array([np.ravel(model.train_on_batch(*batch))[0] for batch in batches])
    assert_close(actual, arrays["losses"], LOSS_TOLERANCE[dtype], "losses")
    for i, weight in enumerate(model.get_weights()):
        assert_close(weight, arrays[f"end{i}"], WEIGHT_TOLERANCE[dtype], f"weight {i}")
    assert_close(model.predict(batches[0][0]), arrays["prediction"], WEIGHT_TOLERANCE[dtype], "prediction")


@pytest.mark.parametrize("name", FIT.cases)
def test_fit(name):
    """fit's history (shuffle=False; the last batch has 2 of 50 samples), evaluate and predict."""
    case, arrays = FIT.cases[name], FIT.arrays
    model = models.Sequential(
        [layers.Input((5,)), layers.Dense(8, activation="relu"), layers.Dense(case["units"], activation=case["activation"])]
    )
    model.set_weights(numbered(of_case(FIT, name), "start"))
    watched = [getattr(metrics, m)(name=m.lower()) if m[0].isupper() else m for m in case["metrics"]]
    weighted = {"weighted_metrics": case["weighted_metrics"]} if "weighted_metrics" in case else {}
    model.compile(optimizers.Adam(0.01), case["loss"], metrics=watched, **weighted)
    options = {"validation_split": case["validation_split"]} if "validation_split" in case else {}
    if "sample_weight" in case:
        options["sample_weight"] = arrays[case["sample_weight"]]
    if "class_weight" in case:
        options["class_weight"] = {int(key): value for key, value in case["class_weight"].items()}
    if "validation_data" in case:
        options["validation_data"] = tuple(arrays[key] for key in case["validation_data"])
    history = model.fit(arrays["x"], arrays[case["y"]], batch_size=16, epochs=4, shuffle=False, verbose=0, **options)
    assert set(case["history"]) <= set(history.history)
    for key, expected in case["history"].items():
        assert_close(history.history[key], np.array(expected), 1e-5, key)
    y_val = arrays["three_val" if case["y"] == "three" else "y_val"]
    evaluated = model.evaluate(arrays["x_val"], y_val, batch_size=16, verbose=0)
    assert_close(evaluated, np.array(case["evaluate"]), 1e-5, "evaluate")
    predicted = model.predict(arrays["x_val"], batch_size=16, verbose=0)
    assert_close(predicted, arrays[f"{name}/predict"], 1e-4, "predict")


# ----------------------------------------------------------------------------------------------------- images
def augmentation_cases(kind: str) -> list[str]:
    return [name for name, case in AUGMENTATION.cases.items() if case["kind"] == kind]


def draws_of(parameters: dict) -> dict:
    """The settings of a transform: flips as booleans, unset ones left out."""
    return {key: bool(value) if key.startswith("flip") else value for key, value in parameters.items() if value is not None}


@pytest.mark.parametrize("name", augmentation_cases("random"))
def test_random_transform(name):
    """The draws of eight seeds, and the image of one."""
    case, image = AUGMENTATION.cases[name], AUGMENTATION.arrays["image"].astype("float32")
    generator = ImageDataGenerator(**case["config"])
    for seed, expected in enumerate(case["draws"]):
        actual = generator.get_random_transform(image.shape, seed=seed)
        assert draws_of(actual) == pytest.approx(draws_of(expected), rel=1e-12)
    transformed = generator.random_transform(image, seed=case["seed"])
    assert_close(transformed, AUGMENTATION.arrays[f"{name}/y"], TOLERANCE["float32"], "image")


@pytest.mark.parametrize("name", augmentation_cases("apply"))
def test_apply_transform(name):
    case = AUGMENTATION.cases[name]
    image = AUGMENTATION.arrays[case["image"]].astype("float32")
    transformed = ImageDataGenerator(**case["config"]).apply_transform(image, case["parameters"])
    assert_close(transformed, AUGMENTATION.arrays[f"{name}/y"], TOLERANCE["float32"], "image")


def assert_same_batches(iterator, case: dict, arrays: dict) -> None:
    """Two epochs by next(), or one by index, as recorded; images, labels and weights."""
    assert len(iterator) == case["length"]
    for i in range(case["batches"]):
        batch = next(iterator) if case["by"] == "next" else iterator[i]
        parts = batch if isinstance(batch, tuple) else (batch,)
        assert len(parts) == case["parts"]
        for j, part in enumerate(parts):
            assert_close(part, arrays[f"batch{i}_{j}"], TOLERANCE["float32"], f"batch {i}, part {j}")
        assert_same_type(parts[0], "float32", f"batch {i}")


@pytest.mark.parametrize("name", FLOW.cases)
def test_flow(name):
    case, arrays = FLOW.cases[name], FLOW.arrays
    targets = {key: arrays[key] for key in case["given"]}
    generator = ImageDataGenerator(**case["config"])
    iterator = generator.flow(arrays["x"], batch_size=3, **case["flow"], **targets)
    assert_same_batches(iterator, case, of_case(FLOW, name))


@pytest.fixture(scope="module")
def trees(tmp_path_factory) -> Path:
    """Folders two/ and three/ with that many classes, from the files' bytes."""
    root = tmp_path_factory.mktemp("trees")
    for path, content in of_case(DIRECTORY, "file").items():
        for tree in ("three",) if path.startswith("C_other") else ("two", "three"):
            target = root / tree / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.tobytes())
    return root


@pytest.mark.parametrize("name", [name for name, case in DIRECTORY.cases.items() if "flow" in case])
def test_flow_from_directory(name, trees, capsys):
    """The files found, their order, and the batches."""
    case = DIRECTORY.cases[name]
    generator = ImageDataGenerator(**case["config"])
    iterator = generator.flow_from_directory(str(trees / case["tree"]), **case["flow"])
    assert capsys.readouterr().out.strip() == case["printed"]
    assert [Path(filename).as_posix() for filename in iterator.filenames] == case["filenames"]
    assert iterator.class_indices == case["class_indices"]
    assert list(iterator.classes) == case["classes"]
    assert_same_batches(iterator, case, of_case(DIRECTORY, name))


@pytest.mark.parametrize("name", [name for name in DIRECTORY.cases if name.startswith("load_img")])
def test_load_img(name, trees):
    case = DIRECTORY.cases[name]
    size = tuple(case["target_size"]) if case["target_size"] else None
    image = load_img(str(trees / "two" / case["path"]), color_mode=case["color_mode"], target_size=size)
    np.testing.assert_array_equal(img_to_array(image), DIRECTORY.arrays[f"{name}/y"])
