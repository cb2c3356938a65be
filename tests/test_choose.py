"""`--choose`: networks compared on folds of the training part, patient by patient; the smallest that will do is taken."""

from dataclasses import replace

import numpy as np
import pytest

from tinydx import evaluation
from tinydx.datasets.owners import owned
from tinydx.datasets.study import Examples, Study
from tinydx.diagnosis import choose, kinds
from tinydx.diagnosis.choose import Predicted, decide
from tinydx.diagnosis.kind import Kind, Options
from tinydx.layers import Dense, Layer
from tinydx.models import Sequential
from tinydx.optimizers import Adam
from tinydx.training import data
from tinydx.validation.splits import folds_of


class Numbers(Kind):
    """Rows of numbers; "large" and "middle" can learn the rule |x0| > 1, "linear" cannot."""

    noun = "rows"
    network, networks = "large", ("large", "linear", "middle")
    schedule = (30, None)

    def build(self, study, plan):
        hidden = {"large": 64, "middle": 16, "linear": 0}[plan.network]
        layers = [Dense(hidden, activation="relu")] if hidden else []
        model = Sequential([*layers, Dense(1, activation="sigmoid")])
        model.build((None, 4))
        model.compile(Adam(0.02), "binary_crossentropy")
        return model

    def training_batches(self, study, plan, seed):
        return data.batches(study.train.x, study.train.y, batch_size=plan.batch, shuffle=True)

    def plain_batches(self, study, part, batch):
        return data.batches(part.x, part.y, batch_size=batch)


def study(n=300, rule=True, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4)).astype("float32")
    y = (np.abs(x[:, 0]) > 0.7).astype(int) if rule else np.arange(n) % 2
    parts = [Examples(x[i], y[i]) for i in np.split(np.arange(n), [n // 2, n * 2 // 3])]
    return Study("numbers", ["no", "yes"], *parts, False, [], {}, "rows", "4")


def fit(kind, seen=None):
    def train(here, plan, seed):
        model = kind.build(here, plan)
        if seen is not None:
            seen.append((plan.network, here))
        model.fit(kind.training_batches(here, plan, seed), epochs=plan.epochs, steps_per_epoch=plan.steps, verbose=0)
        return model

    return train


def test_the_smallest_that_will_do_is_chosen():
    kind, seen = Numbers(), []
    found = choose.choose(kind, study(), Options(epochs=80), fit(kind, seen), seed=0)
    rows = {row["network"]: row for row in found["rows"]}
    assert list(rows) == ["linear", "middle", "large"] and found["network"] == "middle"
    assert (
        rows["linear"]["told_apart"] and rows["middle"]["chosen"] and rows["middle"]["roc_auc"] > 0.9 > rows["linear"]["roc_auc"]
    )
    assert rows["linear"]["parameters"] == 5 and found["count"] == 200 and "Chosen: middle" in found["sentence"]
    assert any("chosen" in line and "middle" in line for line in choose.words(found))
    assert len(seen) == 9  # three networks, three folds


def test_the_test_examples_and_the_left_out_fold_have_no_part_in_training():
    kind, seen, whole = Numbers(), [], study(90)
    choose.choose(kind, whole, Options(epochs=1), fit(kind, seen))
    rows = lambda part: {row.tobytes() for row in part.x}  # noqa: E731
    left_out = []
    for network, here in seen:
        assert not rows(here.train) & rows(here.test) and not rows(here.train) & rows(here.val)
        assert not rows(whole.test) & (rows(here.train) | rows(here.val) | rows(here.test))
        if network == "large":
            left_out += [row.tobytes() for row in here.test.x]
    assert sorted(left_out) == sorted(rows(whole.train) | rows(whole.val))  # each once


def test_on_noise_nothing_is_told_apart_and_the_smallest_is_chosen():
    kind = Numbers()
    found = choose.choose(kind, study(rule=False, seed=3), Options(epochs=5), fit(kind))
    assert found["network"] == "linear" and not any(row["told_apart"] for row in found["rows"])


class Marked(Numbers):
    """Column 3 marks the class in these recordings, in others it is noise; only "honest" cannot see it."""

    networks = ("honest", "linear")
    changes = ("recorded elsewhere", "recorded elsewhere again")

    def build(self, study, plan):
        model = super().build(study, plan._replace(network="linear"))
        if plan.network == "honest":
            model = Sequential([Honest(input_shape=(4,)), *model.layers])
            model.build((None, 4))
            model.compile(Adam(0.02), "binary_crossentropy")
        return model

    def shifted(self, study, part, seed):
        x = np.concatenate([part.x, part.x])
        x[:, 3] = np.random.default_rng(seed).normal(size=len(x))
        return Examples(x, np.tile(part.y, 2))


class Honest(Layer):
    def call(self, x, training=False):
        return x * np.array([1, 1, 1, 0], "float32")

    def output_shape(self, input_shape):
        return input_shape


@pytest.mark.parametrize("elsewhere", [True, False])
def test_networks_are_compared_on_changed_examples(elsewhere):
    made = study(300, rule=False)
    for part in (made.train, made.val, made.test):
        part.x[:, 0] += 1.5 * (part.y - 0.5)
        part.x[:, 3] = 3 * (part.y - 0.5)
    made = made if elsewhere else replace(made, synthetic=True)  # nothing is said of other recordings of synthetic ones
    found = choose.choose(Marked(), made, Options(epochs=40), fit(Marked()))
    best = max(found["rows"], key=lambda row: row["roc_auc"])
    assert best["network"] == ("honest" if elsewhere else "linear")
    assert ("elsewhere" in found["sentence"]) == elsewhere and found["count"] == 200


def test_a_kind_with_one_network_has_nothing_to_choose():
    kind = Numbers()
    kind.networks = ()
    with pytest.raises(ValueError, match="only one network for rows"):
        choose.choose(kind, study(), Options(), fit(kind))


def test_patients_and_copies_stay_in_one_fold():
    files = [f"ill/person{i // 3}_{i}.png" for i in range(60)] + [f"well/{i}.png" for i in range(40)]
    x = np.arange(100.0)[:, None]
    fold, patients = folds_of(owned(Examples(x, np.repeat([0, 1], [60, 40]), files), "."), 3, 0)
    assert all(len({*fold[patients == p]}) == 1 for p in np.unique(patients)) and len(np.unique(patients)) == 60
    for k in (slice(0, 60), slice(60, 100)):
        assert np.ptp(np.bincount(fold[k])) <= 3
    copies = np.repeat(np.arange(20.0), 2)[:, None]
    fold, _ = folds_of(Examples(copies, np.repeat([0, 1], 20)), 4, 0)
    assert np.array_equal(fold[::2], fold[1::2])


def test_too_few_patients_are_one_clear_error():
    part = Examples(np.arange(4.0)[:, None], np.array([0, 0, 0, 1]))
    with pytest.raises(ValueError, match="class 1 has 1 patients or files for 3 folds"):
        folds_of(part, 3, 0)


def test_intervals_take_patients_together():
    """Ten copies of each patient say no more than one: the interval is as wide."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    p = np.clip(0.5 + 0.2 * (y - 0.5) + 0.2 * rng.normal(size=60), 0.01, 0.99)
    table = np.stack([1 - p, p], axis=1)

    def width(copies):
        rows = np.repeat(np.arange(60), copies)
        found = decide({"a": Predicted(table[rows], 1, 1.0)}, y[rows], rows * 0, rows)
        return np.ptp(found["rows"][0]["roc_auc_interval"])

    assert np.isclose(width(1), width(10), rtol=0.15)


def test_several_classes_are_compared_by_accuracy():
    rng = np.random.default_rng(0)
    y = np.arange(120) % 3
    good = np.eye(3)[y] * 0.8 + 0.2 / 3
    bad = rng.dirichlet(np.ones(3), 120)
    found = decide({"bad": Predicted(bad, 1, 1.0), "good": Predicted(good, 9, 1.0)}, y, y * 0, np.arange(120))
    assert found["measure"] == "accuracy" and found["network"] == "good" and found["rows"][0]["told_apart"]


@pytest.mark.parametrize("name", ["image", "text", "sound"])
def test_every_network_of_a_kind_can_be_built_and_trained(name, tmp_path):
    kind = kinds.get(name)
    rng = np.random.default_rng(0)
    y = np.arange(24) % 2
    if name == "image":
        x, how = rng.integers(0, 255, (24, 32, 32, 1), "uint8").repeat(3, axis=-1), {"target_size": [32, 32], "color_mode": "rgb"}
    elif name == "text":
        table = tmp_path / "t.csv"
        table.write_text("text,label\n" + "\n".join(f"{'ill' if k else 'well'} {i},{k}" for i, k in enumerate(y)))
        x, how = None, None
    else:
        x, how = 0.1 * rng.standard_normal((24, 2000)).astype("float32"), {}
    if x is None:
        whole = kind.open_study(table, size=None, limit=None, seed=0)
    else:
        part = Examples(x, y)
        whole = Study("s", ["a", "b"], part, part, part, False, [], how, kind.noun, "")
    for network in kind.networks:
        here = replace(whole, preprocessing=dict(whole.preprocessing))
        plan = kind.plan(here, Options(network=network, epochs=1, steps=1, batch=4))
        model = kind.build(here, plan)
        model.fit(kind.training_batches(here, plan, 0), epochs=1, steps_per_epoch=1, verbose=0)
        table_ = evaluation.probability_table(model.predict(kind.plain_batches(here, here.test, 4)), whole.class_names)
        assert table_.shape == (len(here.test.y), 2) and kind.describe_network(plan)
