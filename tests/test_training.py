"""Training: what a step does and never does; history, weights, generators, messages and warnings."""

import ast
import gc
import re
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from small import dense_model, noisy_model, same_weights, two_classes

import tinydx
from tinydx import optimizers, training
from tinydx.callbacks import Callback
from tinydx.layers import Add, BatchNormalization, Conv2D, Dense, Embedding, Flatten, Input, SimpleRNN
from tinydx.metrics import BinaryAccuracy
from tinydx.models import Model, Sequential


@pytest.fixture(autouse=True)
def seeded():
    """The same initial weights in every run."""
    tinydx.set_seed(0)


STILL = 1e-30  # a learning rate so small that weights stay: what is measured is the same in every batch


def still_model(metrics=(), weighted_metrics=()):
    tinydx.set_seed(0)
    model = dense_model()
    model.compile(optimizers.SGD(STILL), "binary_crossentropy", list(metrics), list(weighted_metrics))
    return model


def losses_of(model, x, y):
    """The loss of each example, by hand."""
    p = model.predict(x)[:, 0].astype(float)
    return -np.where(y == 1, np.log(p), np.log(1 - p))


def everything(model):
    """Everything that a batch can change: weights, statistics, optimizer memory and counter, the input range."""
    slots = [s.copy() for slots in model.optimizer.slots for s in slots]
    return model.get_weights(), slots, model.optimizer.iterations, model.input_range


def assert_unchanged(model, before):
    now = everything(model)
    assert same_weights(now[0], before[0]) and same_weights(now[1], before[1]) and now[2:] == before[2:]


def test_the_files_of_training_import_only_those_below_them():
    """The reading order in the docstring of tinydx.training is the order of the arrows."""
    order = re.findall(r"^ +(\w+)\.py ", training.__doc__, re.MULTILINE)
    folder = Path(training.__file__).parent
    assert sorted(order) == sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")
    for at, name in enumerate(order):
        tree = ast.parse((folder / f"{name}.py").read_text())
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
        used = {node.module.split(".")[2] for node in imports if node.module.startswith("tinydx.training.")}
        used |= {alias.name for node in imports if node.module == "tinydx.training" for alias in node.names}
        assert used <= set(order[at + 1 :]), name


# ---- history -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 7, 16, 40, 100])
def test_history_is_the_mean_over_examples_whatever_the_batches(batch_size):
    x, y = two_classes(40)
    model = still_model(["accuracy"])
    history = model.fit(x, y, batch_size=batch_size, epochs=2, verbose=0).history
    right = ((model.predict(x)[:, 0] > 0.5) == y).mean()
    np.testing.assert_allclose(history["loss"], [losses_of(model, x, y).mean()] * 2, rtol=1e-6)
    np.testing.assert_allclose(history["accuracy"], [right] * 2, rtol=1e-6)
    assert all(isinstance(v, float) for v in history["loss"] + history["accuracy"])
    np.testing.assert_allclose(model.evaluate(x, y, batch_size=batch_size, verbose=0), [history["loss"][0], right], rtol=1e-6)


def test_sample_and_class_weights_by_hand():
    x, y = two_classes(30)
    w = np.random.default_rng(1).uniform(0, 3, 30)
    model = still_model(["accuracy"], [BinaryAccuracy(name="weighted")])
    each, right = losses_of(model, x, y), (model.predict(x)[:, 0] > 0.5) == y
    by_class = np.where(y == 1, 3.0, 0.5)
    for options, total in (
        ({"sample_weight": w}, w),
        ({"sample_weight": w[:, None]}, w),
        ({"class_weight": {0: 0.5, 1: 3.0}}, by_class),
        ({"sample_weight": w, "class_weight": {0: 0.5, 1: 3.0}}, w * by_class),
    ):
        history = model.fit(x, y, batch_size=7, verbose=0, **options).history
        np.testing.assert_allclose(history["loss"], [(each * total).mean()], rtol=1e-6)  # divided by examples
        np.testing.assert_allclose(history["accuracy"], [right.mean()], rtol=1e-6)  # metrics count all alike
        np.testing.assert_allclose(history["weighted"], [(right * total).sum() / total.sum()], rtol=1e-6)
    np.testing.assert_allclose(model.evaluate(x, y, sample_weight=w, verbose=0)[0], (each * w).mean(), rtol=1e-6)


def test_weights_in_a_generator():
    x, y = two_classes(30)
    w = np.linspace(0, 2, 30)
    model = still_model()
    each = losses_of(model, x, y)
    batches = [(x[i : i + 7], y[i : i + 7], w[i : i + 7]) for i in range(0, 30, 7)]
    history = model.fit(batches, class_weight={0: 1.0, 1: 2.0}, verbose=0).history
    np.testing.assert_allclose(history["loss"], [(each * w * np.where(y == 1, 2, 1)).mean()], rtol=1e-6)


def test_gradients_are_weighted_too():
    """An example of weight 0 teaches nothing, one of weight 2 as much as two."""
    x, y = two_classes(4)
    start = dense_model().get_weights()
    ends = []
    for data, options in (
        ((x[[0, 0, 1]], y[[0, 0, 1]]), {}),
        ((x, y), {"sample_weight": np.array([2, 1, 0, 0]) * 4 / 3}),  # 4/3: means are over 3 and over 4
    ):
        model = dense_model(optimizer=optimizers.SGD(0.1))
        model.set_weights(start)
        model.fit(*data, shuffle=False, verbose=0, **options)
        ends.append(model.get_weights())
    for a, b in zip(*ends, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_moving_averages_move_with_each_step_and_in_training_only():
    x = two_classes(30)[0]
    model = Sequential([BatchNormalization(momentum=0.75, input_shape=(5,)), Dense(1)])
    model.compile("sgd", "mse")
    averages = model.layers[0].weights[2:]
    for steps in (1, 2):
        model.train_on_batch(x, np.ones((30, 1)))
        np.testing.assert_allclose(averages[0].data, x.mean(axis=0) * (1 - 0.75**steps), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(averages[1].data, 0.75**steps + x.var(axis=0) * (1 - 0.75**steps), rtol=1e-5)
    before = [w.data.copy() for w in averages]
    model.evaluate(x, np.ones((30, 1)), verbose=0)
    model.predict(x)
    assert same_weights([w.data for w in averages], before)


def test_validation_split_is_the_end_of_the_data_and_never_trained_on():
    x, y = two_classes(40)
    model = still_model(["accuracy"])
    history = model.fit(x, y, validation_split=0.25, batch_size=8, verbose=0).history
    each = losses_of(model, x, y)
    np.testing.assert_allclose(history["loss"], [each[:30].mean()], rtol=1e-6)
    np.testing.assert_allclose(history["val_loss"], [each[30:].mean()], rtol=1e-6)

    start, ends = model.get_weights(), []
    for last in (x[30:], x[30:] * 100):
        model = dense_model()
        model.set_weights(start)
        tinydx.set_seed(0)
        model.fit(np.concatenate([x[:30], last]), y, validation_split=0.25, verbose=0)
        ends.append(model.get_weights())
    assert same_weights(*ends)


@pytest.mark.parametrize("kind", ["tuple", "list", "weighted", "batches", "generator"])
def test_validation_data(kind):
    x, y = two_classes(40)
    a, b = two_classes(15, seed=1)
    w = np.linspace(0, 2, 15)
    model = still_model(["accuracy"])
    each = losses_of(model, a, b)
    parts = [(a[i : i + 4], b[i : i + 4]) for i in range(0, 15, 4)]
    given = {"tuple": (a, b), "list": [a, b], "weighted": (a, b, w), "batches": parts}.get(kind)
    options = {}
    if kind == "generator":
        given, options = (part for _ in range(2) for part in parts), {"validation_steps": 4}
    history = model.fit(x, y, validation_data=given, epochs=2, verbose=0, **options).history
    expected = (each * w).mean() if kind == "weighted" else each.mean()
    np.testing.assert_allclose(history["val_loss"], [expected] * 2, rtol=1e-6)
    assert list(history) == ["loss", "accuracy", "val_loss", "val_accuracy"]


def test_validation_changes_nothing():
    x, y = two_classes(40)
    ends = []
    for options in ({}, {"validation_data": (x * 3, y)}):
        tinydx.set_seed(0)
        model = noisy_model()
        model.fit(x, y, epochs=2, verbose=0, **options)
        ends.append(model.get_weights())
    assert same_weights(*ends)


def test_padded_steps_do_not_count_in_metrics():
    words, following = np.array([[3, 5, 0, 0], [1, 2, 3, 0]]), np.array([[5, 1, 0, 0], [2, 3, 4, 0]])
    model = Sequential([Embedding(9, 4, mask_zero=True), SimpleRNN(3, return_sequences=True), Dense(9, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", ["accuracy"], ["sparse_categorical_accuracy"])
    right = model.predict(words).argmax(axis=-1) == following
    loss, accuracy, weighted = model.evaluate(words, following, sample_weight=np.array([3.0, 1.0]), verbose=0)
    assert accuracy == pytest.approx(right[words != 0].mean())
    assert weighted == pytest.approx((3 * right[0, :2].sum() + right[1, :3].sum()) / 9)
    assert model.evaluate(words, following, verbose=0)[0] > 0 and loss > 0


# ---- what a failed batch never does --------------------------------------------------------------------------------


class Scans:
    """Batches as the package's image iterators give them, with the files they were read from."""

    def __init__(self, x, y, size=4):
        self.x, self.y, self.size, self.at, self.last_files = x, y, size, 0, None
        self.class_indices = {"abnormal": 0, "normal": 1}
        self.preprocessing = {"rescale": 0.5}

    def __len__(self):
        return -(-len(self.x) // self.size)

    def __getitem__(self, i):
        rows = slice(i * self.size, (i + 1) * self.size)
        return self.x[rows], self.y[rows]

    def __next__(self):
        self.last_files = [f"scan{i}.png" for i in range(len(self.x))][self.at * self.size : (self.at + 1) * self.size]
        self.at, batch = (self.at + 1) % len(self), self[self.at]
        return batch

    def reset(self):
        self.at = 0

    def state(self):
        return {"at": self.at}

    def load_state(self, state):
        self.at = state["at"]


def trained(**options):
    model = noisy_model()
    model.fit(*two_classes(20), verbose=0, **options)
    return model


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_bad_pixels_are_named_and_change_nothing(bad):
    x, y = two_classes(20)
    x[10, 3] = bad
    model = trained()
    before = everything(model)
    with pytest.raises(ValueError, match="NaN or infinite numbers in batch 1 of epoch 1, example 10 of the batch; nothing"):
        model.fit(x, y, shuffle=False, batch_size=20, verbose=0)
    assert_unchanged(model, before)
    with pytest.raises(ValueError, match=r"in batch 3 of epoch 2, file scan10\.png"):
        model.fit(Scans(x, y), initial_epoch=1, epochs=2, verbose=0)
    for use, where in ((model.predict, "prediction"), (lambda v: model.evaluate(v, y, verbose=0), "evaluation")):
        with pytest.raises(ValueError, match=f"in batch 1 of the {where}, example 10"):
            use(x)


class Spoilt(Callback):
    """Makes weights so large, before a batch, that the loss or its gradient is infinite."""

    def __init__(self, batch, value):
        self.batch, self.value = batch, value

    def on_train_batch_begin(self, batch, logs=None):
        if batch == self.batch:
            self.model.set_weights([w if w.ndim < 2 else np.full_like(w, self.value) for w in self.model.get_weights()])
            self.before = everything(self.model)


def test_loss_that_is_not_finite_names_batch_and_files_and_changes_nothing():
    x, y = two_classes(20)
    model, spoilt = trained(), Spoilt(2, np.float32(3e38))
    with pytest.raises(FloatingPointError) as caught:
        model.fit(Scans(x, y), callbacks=[spoilt], verbose=0)
    message = r"loss is (nan|inf) in batch 3 of epoch 1 \(files scan8.png, scan9.png, scan10.png ...\); no weight was changed"
    assert caught.match(message) and "\n" not in str(caught.value)
    assert_unchanged(model, spoilt.before)


def test_gradient_that_is_not_finite_changes_nothing():
    """A finite loss with an infinite slope: (1e-12 · 1e30)^2 fits into float32, its slope 2 · 1e18 · 1e30 does not."""
    large, other = Input((1,)), Input((1,))
    dense = Dense(1, use_bias=False)
    model = Model([large, other], Add()([dense(large), BatchNormalization()(other)]))
    model.compile("adam", "mse")
    dense.set_weights([np.full((1, 1), 1e-12, "float32")])
    x, y = [np.full((2, 1), 1e30, "float32"), np.array([[1.0], [2.0]], "float32")], np.zeros((2, 1))
    assert np.isfinite(model.test_on_batch(x, y))
    before = everything(model)
    with pytest.raises(FloatingPointError, match=r"gradient of dense.* is not finite in this batch; no weight was"):
        model.train_on_batch(x, y)
    assert_unchanged(model, before)


@pytest.mark.parametrize(
    ("labels", "error"),
    [
        (np.array(["ill", "well"] * 10), "labels are <U4, expected numbers"),
        (np.arange(20), "labels reach from 0 to 19, expected 0 to 1"),
        (np.full(20, np.nan), "labels reach from nan"),
        (np.zeros((20, 2)), r"labels have shape \(20, 2\), predictions \(20, 1\)"),
        (np.zeros((20, 1, 1)), r"labels have shape \(20, 1, 1\)"),
    ],
)
def test_bad_labels_change_nothing(labels, error):
    x, _ = two_classes(20)
    model = trained()
    before = everything(model)
    with pytest.raises(ValueError, match=error):
        model.fit(x, labels, verbose=0)
    assert_unchanged(model, before)


def test_metric_that_cannot_be_computed_changes_nothing():
    x, _ = two_classes(20)
    model = trained()
    model.compile("adam", "mse", metrics=["precision"])
    before = everything(model)
    with pytest.raises(ValueError, match="labels must be 0 or 1"):
        model.fit(x, np.full(20, 0.5), verbose=0)
    assert_unchanged(model, before)


def test_nan_labels_of_a_regression():
    x, y = two_classes(20)
    model = Sequential([BatchNormalization(input_shape=(5,)), Dense(1)])
    model.compile("adam", "mse")
    before = everything(model)
    with pytest.raises(FloatingPointError, match=r"loss is nan in batch 1 of epoch 1; .*check the labels"):
        model.fit(x, np.where(y == 1, np.nan, 0), verbose=0)
    assert_unchanged(model, before)


def test_labels_in_a_column_are_the_same_labels():
    x, y = two_classes(20)
    start, ends = noisy_model().get_weights(), []
    for labels in (y, y[:, None], y.astype("float64"), y.tolist(), y.astype(bool)):
        tinydx.set_seed(0)
        model = noisy_model()
        model.set_weights(start)
        model.fit(x, labels, epochs=2, verbose=0)
        ends.append(model.get_weights())
    assert all(same_weights(e, ends[0]) for e in ends)


def test_weight_that_a_batch_does_not_use_gets_no_step():
    class Either(Model):
        def __init__(self):
            super().__init__()
            self.a, self.b = Dense(1, use_bias=False), Dense(1, use_bias=False)

        def call(self, x):
            return self.a(x) if float(x.data[0, 0]) > 0 else self.b(x)

    model = Either()
    model.compile("adam", "mse")
    one = np.ones((2, 1), "float32")
    model(one)
    model(-one)
    for x in (one, -one, one):
        a, b = model.get_weights()
        model.train_on_batch(x, np.full((2, 1), 5.0))
        changed = [not np.array_equal(v, w) for v, w in zip((a, b), model.get_weights(), strict=True)]
        assert changed == [x[0, 0] > 0, x[0, 0] < 0]


# ---- steps, generators ---------------------------------------------------------------------------------------------


def counted(model):
    """Batches that the model trains on, as numbers of examples."""
    sizes = []

    class Count(Callback):
        def on_train_batch_begin(self, batch, logs=None):
            sizes.append(batch)

    return sizes, Count()


@pytest.mark.parametrize("kind", ["arrays", "batches", "scans"])
def test_more_steps_than_batches_loop_the_data_and_say_so_once(kind, capsys):
    x, y = two_classes(20)
    model = dense_model()
    steps, count = counted(model)
    batches = [(x[i : i + 4], y[i : i + 4]) for i in range(0, 20, 4)]
    given = {"arrays": (x, y), "batches": (batches,), "scans": (Scans(x, y),)}[kind]
    options = {"batch_size": 4} if kind == "arrays" else {}
    model.fit(*given, steps_per_epoch=12, epochs=2, callbacks=[count], verbose=1, **options)
    assert steps == [*range(12), *range(12)] and model.optimizer.iterations == 24
    out, err = capsys.readouterr()
    assert err.splitlines() == ["The data has 5 batches a pass; it is looped to make 12 steps."]
    assert out.count("12 steps") == 2


def test_looped_arrays_are_shuffled_anew_each_pass():
    seen = []

    class Watched(Model):
        def __init__(self):
            super().__init__()
            self.dense = Dense(1)

        def call(self, x):
            seen.append(x.data[:, 0].tolist())
            return self.dense(x)

    model = Watched()
    model.compile("sgd", "mse")
    x = np.arange(6, dtype="float32")[:, None]
    model.build((None, 1))
    seen.clear()
    model.fit(x, x, batch_size=2, steps_per_epoch=9, verbose=0)
    passes = [[v for part in seen[i : i + 3] for v in part] for i in (0, 3, 6)]
    assert all(sorted(p) == list(range(6)) for p in passes) and len({tuple(p) for p in passes}) > 1
    seen.clear()
    model.fit(x, x, batch_size=2, shuffle=False, verbose=0)
    assert seen == [[0, 1], [2, 3], [4, 5]]


def test_fewer_steps_go_on_in_the_next_epoch():
    x = np.arange(6, dtype="float32")[:, None]
    model = Sequential([Dense(1, input_shape=(1,))])
    model.compile(optimizers.SGD(STILL), "mae")
    model.set_weights([np.zeros((1, 1)), np.zeros(1)])
    history = model.fit(x, x, batch_size=2, steps_per_epoch=2, epochs=3, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(history, [(0 + 1 + 2 + 3) / 4, (4 + 5 + 0 + 1) / 4, (2 + 3 + 4 + 5) / 4])


def test_generators():
    x, y = two_classes(20)

    def endless():
        while True:
            yield x, y

    model = dense_model()
    model.fit(endless(), steps_per_epoch=3, epochs=2, verbose=0)
    assert model.optimizer.iterations == 6
    with pytest.raises(ValueError, match="a generator has no length: give steps_per_epoch"):
        model.fit(endless(), verbose=0)
    with pytest.raises(ValueError, match="a generator has no length: give steps"):
        model.predict(endless())
    with pytest.raises(ValueError, match="ended after 4 batches, but more were asked for"):
        model.fit((b for _, b in zip(range(4), endless(), strict=False)), steps_per_epoch=3, epochs=2, verbose=0)
    assert model.optimizer.iterations == 10
    assert model.predict(endless(), steps=2).shape == (40, 1)
    with pytest.raises(ValueError, match=r"there are no labels: give y, or a generator of \(x, y\)"):
        model.fit([x, x][:1], verbose=0)


def test_evaluation_counts_no_example_twice():
    x, y = two_classes(20)
    model = still_model()
    assert model.evaluate(x, y, steps=100, verbose=0) == model.evaluate(x, y, verbose=0)
    assert model.evaluate(x, y, batch_size=5, steps=2, verbose=0) == pytest.approx(losses_of(model, x, y)[:10].mean())
    assert model.predict(x, batch_size=8, steps=9).shape == (20, 1)
    assert len(model.fit(x, y, validation_data=(x, y), validation_steps=50, verbose=0).history["val_loss"]) == 1
    options = {"validation_data": (x, y), "batch_size": 4, "validation_steps": 2, "epochs": 3, "verbose": 0}
    first = losses_of(model, x, y)[:8].mean()  # always the same ones, from the start
    np.testing.assert_allclose(model.fit(x, y, **options).history["val_loss"], [first] * 3, rtol=1e-6)


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda m, x, y: m.fit(x, y[:-1]), ValueError, "lengths differ: x has 20 examples, y has 19 examples"),
        (lambda m, x, y: m.fit(x, y, sample_weight=np.ones(3)), ValueError, "sample_weight has 3 examples"),
        (lambda m, x, y: m.fit(x[:0], y[:0]), ValueError, "no data: x has 0 examples"),
        (lambda m, x, y: m.predict(x[:0]), ValueError, "no data: x has 0 examples"),
        (lambda m, x, y: m.fit([]), ValueError, "no data: the list has 0 batches"),
        (lambda m, x, y: m.fit(x), ValueError, "there are no labels"),
        (lambda m, x, y: m.fit(x, 1), ValueError, "y is a single value"),
        (lambda m, x, y: m.fit(x, y, batch_size=0), ValueError, "batch_size is 0"),
        (lambda m, x, y: m.fit(x, y, steps_per_epoch=0), ValueError, "steps_per_epoch is 0"),
        (lambda m, x, y: m.fit(x, y, validation_split=1.5), ValueError, "validation_split is 1.5"),
        (lambda m, x, y: m.fit([(x, y)], validation_split=0.5), ValueError, "validation_split needs arrays"),
        (lambda m, x, y: m.fit(x, y, class_weight={"normal": 1}), ValueError, "class_weight has the key 'normal'"),
        (lambda m, x, y: m.fit("data/train"), ValueError, "data is a str"),
        (lambda m, x, y: m.compile("adan", "mse"), ValueError, "unknown optimizer 'adan'; did you mean 'adam'"),
        (lambda m, x, y: m.compile("adam", "mse", ["acuracy"]), ValueError, "unknown metric 'acuracy'; did you mean"),
        (lambda m, x, y: m.compile("adam", "crossentropy"), ValueError, "unknown loss 'crossentropy'; did you mean"),
        (lambda m, x, y: m.compile("adam", "mse", "mae"), ValueError, r"expected a list: metrics=\['mae'\]"),
        (lambda m, x, y: m.compile("adam", "mse", ["mae", "mae"]), ValueError, "two numbers are called 'mae'"),
    ],
)
def test_mistakes(use, error, message):
    model, (x, y) = dense_model(), two_classes(20)
    before = everything(model)
    with pytest.raises(error, match=message):
        use(model, x, y)
    assert_unchanged(model, before)


def test_not_compiled():
    x, y = two_classes(20)
    model = Sequential([Dense(1, input_shape=(5,))], name="raw")
    assert model.predict(x).shape == (20, 1)
    for use in (model.fit, model.evaluate, model.train_on_batch, model.test_on_batch):
        with pytest.raises(RuntimeError, match=r"raw is not compiled: call model.compile\(optimizer=..., loss=...\) first"):
            use(x, y)


# ---- predict -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 3, 32, 100])
def test_predict_in_uneven_batches(batch_size):
    x, _ = two_classes(25)
    model = noisy_model()
    np.testing.assert_allclose(model.predict(x, batch_size=batch_size), model(x).numpy(), rtol=1e-5, atol=1e-7)
    assert model.predict(x[:1], batch_size=batch_size).shape == (1, 1)
    batches = [(x[i : i + 7], None) for i in range(0, 25, 7)]
    np.testing.assert_allclose(model.predict(batches), model(x).numpy(), rtol=1e-5, atol=1e-7)


def test_predict_classes_by_the_names_of_the_training_data():
    x, y = two_classes(60)
    model = dense_model(optimizer=optimizers.Adam(0.05))
    with pytest.raises(ValueError, match=r"predict_classes: the model has none: set model.class_names"):
        model.predict_classes(x)
    model.fit(Scans(x, y), epochs=20, verbose=0)
    assert model.class_names == ["abnormal", "normal"] and model.preprocessing == {"rescale": 0.5}
    names = model.predict_classes(x)  # and no warning: names cannot be swapped
    assert np.mean([n == ["abnormal", "normal"][c] for n, c in zip(names, y, strict=True)]) > 0.9
    model.class_names = ["a", "b", "c"]
    with pytest.raises(ValueError, match="1 outputs do not fit 3 class_names"):
        model.predict_classes(x)
    three = Sequential([Dense(3, activation="softmax", input_shape=(5,))])
    three.class_names = ["健康", "pneumonia", "tumour"]
    assert three.predict_classes(x) == [three.class_names[i] for i in three.predict(x).argmax(axis=1)]


def test_range_of_all_batches_of_all_fits():
    x, y = two_classes(20)
    model = dense_model()
    for part in (x, x * 0.5, x * 2):
        model.fit(part, y, batch_size=3, verbose=0)
    assert model.input_range == [float(x.min() * 2), float(x.max() * 2)]


def test_other_numbering_of_classes_is_an_error():
    x, y = two_classes(20)
    model = dense_model()
    model.fit(Scans(x, y), verbose=0)
    other = Scans(x, y)
    other.class_indices = {"normal": 0, "abnormal": 1}
    message = r"the data has the classes \['normal', 'abnormal'\], the model was trained on \['abnormal', 'normal'\]"
    with pytest.raises(ValueError, match=message):
        model.evaluate(other, verbose=0)
    with pytest.raises(ValueError, match=message):
        model.fit(Scans(x, y), validation_data=other, verbose=0)


def pixel_model():
    model = Sequential([Conv2D(2, 3, input_shape=(6, 6, 1)), Flatten(), Dense(1, activation="sigmoid")])
    model.compile("sgd", "binary_crossentropy")
    return model


@pytest.mark.parametrize(("trained_on", "given", "warns"), [(1, 255, True), (255, 1, True), (1, 1, False), (255, 255, False)])
def test_warns_of_another_range(trained_on, given, warns):
    rng = np.random.default_rng(0)
    model = pixel_model()
    model.fit(rng.random((8, 6, 6, 1)) * trained_on, np.arange(8) % 2, batch_size=3, verbose=0)
    assert model.input_range == pytest.approx([0, trained_on], abs=0.02 * trained_on)
    x = rng.random((2, 6, 6, 1)) * given
    if warns:
        message = "the input reaches from .*, but the model was trained on .*: rescale it as in training"
        with pytest.warns(UserWarning, match=message) as caught:
            model.predict(x)
        assert len(caught) == 1 and caught[0].filename == __file__
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model.predict(x)


@pytest.mark.parametrize(
    ("names", "warns"),
    [(["abnormal", "normal"], True), (["NORMAL", "PNEUMONIA"], False), (["normal", "opacity"], False), (None, False)],
)
def test_warns_of_the_inverted_label(names, warns):
    x, _ = two_classes(5)
    model = dense_model()
    model.class_names = names
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.predict(x)
    texts = [str(w.message) for w in caught]
    expected = "an output near 1 means 'normal', near 0 'abnormal' (class folders sort by name)"
    assert len(texts) == warns and all(t.startswith(expected) for t in texts)


# ---- single batches ------------------------------------------------------------------------------------------------


def test_on_batch():
    x, y = two_classes(20)
    model = still_model()
    each = losses_of(model, x, y)
    w = np.linspace(0, 1, 20)
    assert model.train_on_batch(x, y) == pytest.approx(each.mean(), rel=1e-6)
    assert model.train_on_batch(x, y, sample_weight=w) == pytest.approx((each * w).mean(), rel=1e-6)
    assert model.train_on_batch(x, y, class_weight={0: 1.0, 1: 0.0}) == pytest.approx((each * (y == 0)).mean(), rel=1e-6)
    assert model.test_on_batch(x, y) == pytest.approx(each.mean(), rel=1e-6)
    assert model.optimizer.iterations == 3
    model.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    loss, accuracy = model.train_on_batch(x, y)
    assert loss == pytest.approx(each.mean(), rel=1e-6) and 0 <= accuracy <= 1
    assert [w.grad.shape for w in model.weights] == [w.shape for w in model.weights]  # to look at
    np.testing.assert_array_equal(model.predict_on_batch(x), model(x).numpy())


def test_evaluate_gives_a_number_a_list_or_a_dict(capsys):
    x, y = two_classes(20)
    assert isinstance(still_model().evaluate(x, y, verbose=0), float)
    model = still_model(["accuracy", "AUC"])
    listed = model.evaluate(x, y)
    assert capsys.readouterr().out.startswith("loss ")
    assert model.evaluate(x, y, return_dict=True, verbose=0) == dict(zip(["loss", "accuracy", "AUC"], listed, strict=True))


# ---- the same again ------------------------------------------------------------------------------------------------


def test_same_seed_same_bits():
    x, y = two_classes(40)

    def run(seed):
        tinydx.set_seed(seed)
        model = noisy_model()
        history = model.fit(x, y, epochs=3, batch_size=8, validation_split=0.2, verbose=0).history
        return model.get_weights(), history

    (a, ha), (b, hb), (c, _) = run(1), run(1), run(2)
    assert same_weights(a, b) and ha == hb and not same_weights(a, c)


def test_epochs_in_one_fit_or_in_two():
    x, y = two_classes(40)
    ends = []
    for parts in ([3], [1, 2]):
        tinydx.set_seed(1)
        model = noisy_model()
        for epochs in parts:
            model.fit(x, y, epochs=epochs, batch_size=8, verbose=0)
        ends.append((model.get_weights(), model.optimizer.iterations))
    assert same_weights(ends[0][0], ends[1][0]) and ends[0][1] == ends[1][1] == 15


def growth_of_memory(model, x, y):
    """The bytes that 225 steps leave allocated beyond those that 75 leave, in blocks as large as a batch's arrays.

    (NumPy and Numba keep some small blocks of what is gone, 64 bytes each, to use them again.)
    """
    gc.disable()  # nothing may wait for the collector: a batch's tape must go with the batch
    try:
        tracemalloc.start()
        sizes = []
        for _ in range(4):
            for _ in range(75):
                model.train_on_batch(x, y)
            sizes.append(sum(trace.size for trace in tracemalloc.take_snapshot().traces if trace.size >= 512))
        model.predict(x)
        return sizes[3] - sizes[0]
    finally:
        tracemalloc.stop()
        gc.enable()


def test_memory_does_not_grow():
    assert growth_of_memory(noisy_model(), *two_classes(32)) < 20_000


def test_a_kept_tape_is_growth(monkeypatch):
    kept, backward = [], tinydx.Tensor.backward
    monkeypatch.setattr(tinydx.Tensor, "backward", lambda self, grad=None: (kept.append(self), backward(self, grad))[1])
    with tinydx.trace():  # a plan has no tape
        assert growth_of_memory(noisy_model(), *two_classes(32)) > 200_000
