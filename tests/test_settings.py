"""Every public constructor and method beside values that make no sense: each is refused on one line that names the argument.

The walk finds all classes that are made with settings, so that a new class, and a new argument, is tested without a word here.
"""

import importlib
import inspect
import math

import numpy as np
import pytest
from small import EXAMPLES, dense_model, two_classes

import tinydx
from tinydx import callbacks, layers, losses, metrics, optimizers, regularizers
from tinydx.callbacks import EarlyStopping, ReduceLROnPlateau
from tinydx.layers import Dense, Dropout
from tinydx.models import Sequential
from tinydx.optimizers import SGD, Adagrad, Adam, AdamW, RMSprop, schedules
from tinydx.preprocessing.image import ImageDataGenerator
from tinydx.settings import Checked, arguments_of, flag, number, one_of, sizes, whole

ROOMS = "optimizers", "optimizers.schedules", "losses", "metrics", "regularizers", "callbacks", "layers", "models"
ROOMS += "preprocessing.image", "preprocessing.sound", "preprocessing.framing", "text.sequences"
# what a class needs to be made at all
NEEDED = {
    **{name: config for name, (config, _) in EXAMPLES.items()},
    "CosineDecay": {"initial_learning_rate": 0.1, "decay_steps": 5},
    "ExponentialDecay": {"initial_learning_rate": 0.1, "decay_steps": 5, "decay_rate": 0.5},
    "InverseTimeDecay": {"initial_learning_rate": 0.1, "decay_steps": 5, "decay_rate": 0.5},
    "PiecewiseConstantDecay": {"boundaries": [5], "values": [0.1, 0.01]},
    "ModelCheckpoint": {"filepath": "model.tdx"},
    "CSVLogger": {"filename": "log.csv"},
    "LearningRateScheduler": {"schedule": lambda epoch: 0.1},
    "MeanMetricWrapper": {"fn": metrics.accuracy},
}
KINDS = {
    "int": [2.5, "3", True, math.nan, [1], None, 1j],
    "float": ["0.5", math.nan, math.inf, -math.inf, True, [0.5], None, 1j],
    "bool": ["yes", 2, 0.5, [True], None],
    "str": [3, 2.5, ["a"], True, None],
    "str | Path": [3, "", True, None],
}
# arguments for which numbers below 0 mean something
SIGNED = {"axis", "min_delta", "mask_value", "baseline", "cval", "thresholds", "threshold", "rescale"}


def classes():
    """All classes of tinydx that are made with settings, by name."""
    found = {}
    for room in ROOMS:
        for name, value in vars(importlib.import_module(f"tinydx.{room}")).items():
            if isinstance(value, Checked) and value.__module__.startswith("tinydx.") and not name.startswith("_"):
                found[value.__name__] = value
    return found


CLASSES = classes()


def makes(name):
    """Whether the class can be made by itself: bases define less, and some need more than settings."""
    needed = inspect.signature(CLASSES[name].__init__).parameters.values()
    required = [p.name for p in needed if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "self"]
    return set(required) <= set(NEEDED.get(name, {}))


def settings():
    """(class, argument, its kind) of every argument whose annotation is a kind."""
    for name, cls in CLASSES.items():
        for argument, annotation in arguments_of(cls).items():
            kind = str(annotation).removesuffix(" | None")
            if kind in KINDS:
                yield name, argument, kind, str(annotation).endswith("None")


def refused(action, name):
    """One line that names the argument, and no other error."""
    with pytest.raises((ValueError, TypeError)) as caught:
        action()
    assert name in str(caught.value) and "\n" not in str(caught.value), caught.value


def test_the_walk_finds_the_classes():
    assert {"SGD", "CosineDecay", "Huber", "AUC", "L1L2", "EarlyStopping", "GRU", "ImageDataGenerator", "Framing"} <= set(CLASSES)
    assert len(CLASSES) > 70 and len(list(settings())) > 300


@pytest.mark.parametrize(("name", "argument", "kind", "optional"), list(settings()), ids=str)
def test_values_of_another_kind(name, argument, kind, optional):
    for value in KINDS[kind]:
        if not (optional and value is None):
            refused(lambda value=value: CLASSES[name](**{**NEEDED.get(name, {}), argument: value}), argument)


@pytest.mark.parametrize(
    ("name", "argument"),
    [(n, a) for n, a, kind, _ in settings() if kind in ("int", "float") and a not in SIGNED and makes(n)],
)
def test_numbers_below_0(name, argument):
    refused(lambda: CLASSES[name](**{**NEEDED.get(name, {}), argument: -1}), argument)


@pytest.mark.parametrize("name", [n for n in CLASSES if makes(n)])
def test_unknown_arguments_and_numbers_of_numpy(name):
    cls, needed = CLASSES[name], NEEDED.get(name, {})
    if cls is metrics.Metric:
        return  # the base has no state to begin with
    refused(lambda: cls(**needed, no_such_argument=1), "no_such_argument")
    numpys = {int: np.int64, float: np.float32, bool: np.bool_}
    cls(**{k: numpys[type(v)](v) if type(v) in numpys else v for k, v in needed.items()})  # as good as Python's own


NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("make", "name", "values"),
    [
        (lambda v: SGD(v), "learning_rate", [INF, NAN, 0, -0.1, "fast"]),
        (lambda v: SGD(momentum=v), "momentum", [1.5, 1, NAN]),
        (lambda v: RMSprop(rho=v), "rho", [1, 1.5]),
        (lambda v: RMSprop(momentum=v), "momentum", [1, 2]),
        (lambda v: Adam(beta_1=v), "beta_1", [1.5, 1, NAN]),
        (lambda v: AdamW(beta_2=v), "beta_2", [1, 1.001]),
        (lambda v: Adam(epsilon=v), "epsilon", [0, -1e-7]),
        (lambda v: RMSprop(epsilon=v), "epsilon", [0]),
        (lambda v: Adagrad(epsilon=v), "epsilon", [0]),
        (lambda v: Adam(clipnorm=v), "clipnorm", [0, INF]),
        (lambda v: Adam(clipvalue=v), "clipvalue", [0]),
        (lambda v: Adam(global_clipnorm=v), "global_clipnorm", [0]),
        (lambda v: Adam(ema_momentum=v), "ema_momentum", [1.01]),
        (lambda v: Adam(ema_overwrite_frequency=v), "ema_overwrite_frequency", [0]),
        (lambda v: schedules.CosineDecay(v, 5), "initial_learning_rate", [INF]),
        (lambda v: schedules.CosineDecay(0.1, v), "decay_steps", [0]),
        (lambda v: schedules.CosineDecay(0.1, 5, v), "alpha", [1.5]),
        (lambda v: schedules.ExponentialDecay(0.1, 5, v), "decay_rate", [0]),
        (lambda v: schedules.PiecewiseConstantDecay([5], v), "values", [[0.1, NAN], [0.1, "1"], "12", 3]),
        (lambda v: schedules.PiecewiseConstantDecay(v, [1, 2]), "boundaries", [[NAN], [-1], 5]),
        (lambda v: losses.BinaryCrossentropy(label_smoothing=v), "label_smoothing", [1, 1.5]),
        (lambda v: losses.CategoricalCrossentropy(label_smoothing=v), "label_smoothing", [1]),
        (lambda v: losses.Huber(v), "delta", [0]),
        (lambda v: metrics.AUC(v), "num_thresholds", [1, 0]),
        (lambda v: metrics.Precision(v), "thresholds", [[0.3, 0.5], NAN]),
        (lambda v: metrics.F1Score(average=v), "average", ["mean"]),
        (lambda v: Dropout(v), "rate", [1, 1.5]),
        (lambda v: layers.LSTM(4, dropout=v), "dropout", [1]),
        (lambda v: layers.BatchNormalization(momentum=v), "momentum", [1, 1.5]),
        (lambda v: layers.BatchNormalization(epsilon=v), "epsilon", [0]),
        (lambda v: Dense(4, input_shape=v), "input_shape", [4, "4", (0,), (2.5,), (-1,), 4.0]),
        (lambda v: Dense(4, dtype=v), "dtype", ["int32", "float16", "floating", 3]),
        (lambda v: layers.Input(v), "shape", [4, (0,)]),
        (lambda v: EarlyStopping(mode=v), "mode", ["minimum", None, 1]),
        (lambda v: ReduceLROnPlateau(factor=v), "factor", [1, 0, 1.5, NAN]),
        (lambda v: callbacks.LearningRateScheduler(v), "schedule", [0.1, None, lambda: 1, lambda a, b, c: 1]),
        (lambda v: ImageDataGenerator(validation_split=v), "validation_split", [1, 1.5, NAN]),
        (lambda v: ImageDataGenerator(zoom_range=v), "zoom_range", [1, 1.5, -0.1, (0, 1), (2, 1), (0.5,), NAN, "0.2", (NAN, 1)]),
        (lambda v: ImageDataGenerator(brightness_range=v), "brightness_range", [0.5, (2, 1), (-1, 1), (0, INF)]),
        (lambda v: ImageDataGenerator(width_shift_range=v), "width_shift_range", [-1, NAN, "0.2", [], [NAN], True]),
        (lambda v: ImageDataGenerator(height_shift_range=v), "height_shift_range", [INF]),
        (lambda v: ImageDataGenerator(rescale=v), "rescale", [NAN, "1/255"]),
        (lambda v: ImageDataGenerator().flow(np.zeros((4, 2, 2, 1)), batch_size=v), "batch_size", [0, 2.5, True, "2", -1, NAN]),
        (lambda v: ImageDataGenerator().flow(np.zeros((4, 2, 2, 1)), seed=v), "seed", [-1, 2**32, 0.5]),
        (lambda v: ImageDataGenerator().flow(np.zeros((4, 2, 2, 1)), shuffle=v), "shuffle", ["yes"]),
        (lambda v: Sequential(v), "layer", [[3], [None]]),
        (lambda v: tinydx.set_seed(v), "seed", [None, -1, 2.5, "7", True]),
    ],
    ids=lambda v: v if isinstance(v, str) else None,
)  # fmt: skip
def test_values_out_of_range(make, name, values):
    for value in values:
        refused(lambda value=value: make(value), name)


def test_limits_that_are_allowed():
    SGD(momentum=0), SGD(1e-12), Adam(beta_1=0.0, beta_2=0), Adam(ema_momentum=1), Dropout(0), ReduceLROnPlateau(min_delta=-1)
    ImageDataGenerator(zoom_range=0.999, rescale=0, brightness_range=[0, 1], width_shift_range=[-3, 3]), layers.Input((None, 3))
    assert Adam(np.float32(0.5)).learning_rate == 0.5 and SGD(np.array(0.5)).learning_rate == 0.5
    assert EarlyStopping(patience=np.int8(3)).patience == 3


# ---- the methods of a model ----------------------------------------------------------------------------------------

X, Y = two_classes(20)
EACH = {
    "epochs": [-3, 2.5, "3", True, NAN, None],
    "batch_size": [2.5, 0, -1, True, "8", NAN],
    "verbose": [3, "loud", None, 0.5],
    "validation_split": [1, 1.0, -0.1, NAN, "0.2", True],
    "validation_data": [5, "folder", (X,), (X, Y, Y, Y), X, (X, Y[:-1])],
    "callbacks": [3, "EarlyStopping", [None], [EarlyStopping]],
    "shuffle": ["batch", None, 2],
    "class_weight": [[1, 2], {0: 1.0}, {0: 1.0, 1: -1.0}, {0: 1.0, 1: NAN}, {0: 1, 1: 1, 2: 1}, {"0": 1, "1": 2}, {}, 2.0],
    "sample_weight": [-np.ones(20), np.full(20, NAN), np.full(20, INF), np.ones(19), ["a"] * 20, np.zeros(20)],
    "initial_epoch": [-1, 1.5, True, 5],
    "steps_per_epoch": [3.125, 0, -1, "2", True, 5.0],
    "validation_steps": [2.5, 0, -1, "2"],
    "resume": [3, "", True],
    "no_such_argument": [1],
}


@pytest.mark.parametrize("name", EACH)
def test_arguments_of_fit(name):
    model = dense_model()
    before = model.get_weights()
    for value in EACH[name]:
        more = {"validation_data": (X, Y)} if name == "validation_steps" else {}
        refused(lambda value=value, more=more: model.fit(X, Y, **{"verbose": 0, name: value, **more}), _said(name))
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert model.optimizer.iterations == 0


def _said(name):
    """What a message calls the argument."""
    return {"validation_data": "", "callbacks": "", "sample_weight": ""}.get(name, name)


@pytest.mark.parametrize("method", ["evaluate", "predict"])
@pytest.mark.parametrize(
    ("name", "values"),
    [("steps", [0, -1, 2.5, "3", True]), ("batch_size", [0, 2.5, "8"]), ("verbose", [5, None]), ("no_such_argument", [1])],
)
def test_arguments_of_evaluate_and_predict(method, name, values):
    """evaluate(steps=0) reported a loss of 0.0."""
    for value in values:
        data = (X,) if method == "predict" else (X, Y)
        refused(lambda value=value, data=data: getattr(dense_model(), method)(*data, **{"verbose": 0, name: value}), name)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("optimizer", [3, None, "adan", ["adam"]]),
        ("loss", ["crossentropy", ["mse"], 3]),
        ("metrics", ["accuracy", metrics.AUC(), {"out": "accuracy"}, 3, ["acuracy"], [3]]),
        ("weighted_metrics", ["accuracy", 3]),
        ("no_such_argument", [1]),
    ],
)
def test_arguments_of_compile(name, values):
    for value in values:
        arguments = {"optimizer": "adam", "loss": "mse", name: value}
        said = "" if name == "metrics" else name.split("_")[-1][:-1]  # "unknown metric 'acuracy'" names what it is
        refused(lambda arguments=arguments: dense_model().compile(**arguments), said)


def test_data_beside_settings_that_it_does_not_take():
    flow = ImageDataGenerator().flow(np.zeros((4, 5, 1, 1)), np.zeros(4), batch_size=2)
    for method in ("fit", "evaluate", "predict"):
        refused(lambda method=method: getattr(dense_model(), method)(flow, batch_size=8), "batch_size=8")
    both = {"validation_split": 0.2, "validation_data": (X, Y)}
    refused(lambda: dense_model().fit(X, Y, **both), "validation_split=0.2 and validation_data")


def test_a_validation_without_length_is_told_before_training():
    model = dense_model()
    refused(lambda: model.fit(X, Y, validation_data=iter([(X, Y)])), "give validation_steps")
    assert model.optimizer.iterations == 0


# ---- later: what a schedule or a step gives ------------------------------------------------------------------------


@pytest.mark.parametrize("value", [NAN, INF, -0.1, "0.1", None, True])
def test_a_schedule_of_ones_own_gives_a_rate(value):
    class Mine(schedules.LearningRateSchedule):
        def __call__(self, step):
            return value if step == 2 else 0.01

    model = dense_model(optimizer=SGD(Mine()))
    refused(lambda: model.fit(X, Y, batch_size=5, verbose=0), "Mine: the rate of step 2 is")
    assert model.optimizer.iterations == 2 and all(np.isfinite(w).all() for w in model.get_weights())
    refused(lambda: setattr(SGD(), "learning_rate", value), "SGD: learning_rate is")


def test_a_last_step_that_diverges_is_told(tmp_path):
    """The loss before the step is finite, and there is no later step that would notice."""
    saved = tmp_path / "best.tdx"
    model = Sequential([Dense(1, input_shape=(5,))])
    model.compile(SGD(1e39), "mse")
    keep = callbacks.ModelCheckpoint(saved)
    with pytest.raises(FloatingPointError, match=r"the last step of epoch 1 made .*kernel infinite, NaN or"):
        model.fit(X, Y, epochs=1, verbose=0, callbacks=[keep])
    assert not saved.exists()  # a checkpoint of before is not overwritten


# ---- the checks themselves -----------------------------------------------------------------------------------------


def test_what_the_checks_return():
    assert whole("n", np.int8(3)) == 3 and isinstance(whole("n", np.int64(3)), int) and whole("n", np.array(3)) == 3
    assert number("x", 1, at_least=1, at_most=1) == 1.0 and isinstance(number("x", np.float32(2)), float)
    assert flag("f", np.bool_(False)) is False and flag("f", 1) is True
    assert one_of("m", "a", ("a", "b")) == "a" and sizes("s", (3, None)) == (3, None)
    with pytest.raises(ValueError, match=r"^n is \[0, 1, 2, .*\.\.\., expected a whole number of at least 1$"):
        whole("n", list(range(100)))
    with pytest.raises(ValueError, match=r"^seed is -1, expected a whole number from 0 to 9$"):
        whole("seed", -1, at_least=0, at_most=9)
    for limits, words in (
        ({"above": 0}, "a number above 0"),
        ({"above": 0, "below": 1}, "a number between 0 and 1, without these"),
        ({"at_least": 0}, "0 or a number above it"),
        ({"at_least": 0, "at_most": 1}, "0 to 1"),
        ({"at_least": 0, "below": 1}, "0 or a number above it, below 1"),
        ({}, "a finite number"),
    ):
        with pytest.raises(ValueError, match=f"^x is nan, expected {words}$"):
            number("x", NAN, **limits)


def test_a_class_of_ones_own_checks_its_own_arguments():
    class Mine(callbacks.Callback):
        def __init__(self, every: int, **anything):
            self.every, self.anything = every, anything

    assert Mine(2.5, verbose="a").anything == {"verbose": "a"}
    assert optimizers.get("adam").learning_rate == 0.001 and regularizers.L2(0.5).l2 == 0.5 and tinydx.layers.Dense(3).units == 3


@pytest.mark.parametrize("kind", [Dense, Adam, EarlyStopping])
def test_help_shows_the_arguments_of_a_class(kind):
    assert list(inspect.signature(kind).parameters) == list(inspect.signature(kind.__init__).parameters)[1:]
