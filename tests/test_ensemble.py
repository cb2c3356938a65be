"""Ensembles: the mean of several models in one file, and whether their disagreement finds errors."""

import json

import numpy as np
import pytest

import tinydx
from tinydx import cli
from tinydx.diagnosis import ensemble
from tinydx.layers import Average, BatchNormalization, Dense, Dropout, Embedding, GlobalAveragePooling1D
from tinydx.models import Sequential, load_model


def model(seed, classes=1, inputs=3):
    tinydx.set_seed(seed)
    output = Dense(classes, activation="sigmoid" if classes == 1 else "softmax")
    made = Sequential([Dense(4, activation="relu", input_shape=(inputs,)), BatchNormalization(), Dropout(0.5), output], name="m")
    made.class_names, made.preprocessing = [str(k) for k in range(max(2, classes))], {"kind": "table"}
    return made


def x(n=7, inputs=3):
    return np.random.default_rng(0).normal(size=(n, inputs)).astype("float32")


@pytest.mark.parametrize("classes", [1, 3])
def test_it_is_the_mean_of_its_members_also_from_one_file(tmp_path, classes):
    models = [model(seed, classes) for seed in range(3)]
    expected = np.mean([m.predict(x()) for m in models], axis=0)
    together = ensemble.average(models)
    assert np.allclose(together.predict(x()), expected, atol=1e-6)
    together.save(tmp_path / "e.safetensors")
    loaded = load_model(tmp_path / "e.safetensors")
    assert np.array_equal(loaded.predict(x()), together.predict(x()))
    assert loaded.class_names == models[0].class_names and loaded.preprocessing == {"kind": "table"}
    inside = ensemble.members(loaded)
    assert len(inside) == 3
    for mine, theirs in zip(inside, models, strict=True):
        assert np.array_equal(mine.predict(x()), theirs.predict(x()))


def test_members_that_read_ids(tmp_path):
    models = []
    for seed in range(2):
        tinydx.set_seed(seed)
        layers = [Embedding(9, 4, mask_zero=True, input_shape=(None,)), GlobalAveragePooling1D(), Dense(1, activation="sigmoid")]
        models.append(Sequential(layers))
    ids = np.array([[1, 2, 0], [8, 3, 3]], "int32")
    together = ensemble.average(models)
    assert np.allclose(together.predict(ids), np.mean([m.predict(ids) for m in models], axis=0), atol=1e-7)
    together.save(tmp_path / "e.safetensors")
    assert np.array_equal(load_model(tmp_path / "e.safetensors").predict(ids), together.predict(ids))


def test_members_are_trained_from_different_seeds():
    y = (x(40)[:, 0] > 0).astype("float32")

    def train(seed, before):
        assert before is None
        made = model(seed)
        made.compile("adam", "binary_crossentropy")
        return made, (seed, made.fit(x(40), y, epochs=2, verbose=0).history)

    together, histories = ensemble.fit(train, 3, seed=5)
    again, _ = ensemble.fit(train, 3, seed=5)
    assert [seed for seed, _ in histories] == [5, 1005, 2005] and np.array_equal(together.predict(x()), again.predict(x()))
    weights = [m.get_weights()[0] for m in ensemble.members(together)]
    assert not np.array_equal(weights[0], weights[1])


def test_snapshots_are_stations_of_one_training():
    before = []

    def train(seed, start):
        made = model(seed)
        if start is not None:
            made.set_weights(start.get_weights())
        before.append(start)
        made.compile("adam", "binary_crossentropy")
        made.fit(x(40), (x(40)[:, 0] > 0).astype("float32"), epochs=1, verbose=0)
        return made, seed

    together, seeds = ensemble.fit(train, 3, seed=5, snapshots=True)
    assert seeds == [5, 1005, 2005]
    assert before == [None, *ensemble.members(together)[:2]]


def test_only_an_ensemble_has_members():
    assert ensemble.members(model(0)) == [] and len(ensemble.members(ensemble.average([model(0), model(1)]))) == 2


@pytest.mark.parametrize(
    ("models", "words"),
    [
        (lambda: [model(0)], "two models or more, got 1"),
        (lambda: [model(0), model(1, inputs=4)], r"take inputs \(None, 3\) and \(None, 4\)"),
        (lambda: [model(0), model(1, classes=3)], "know the classes"),
        (lambda: [model(0), Sequential([Dense(1)], name="new")], "new is not built yet"),
    ],
)
def test_what_cannot_be_averaged(models, words):
    with pytest.raises(ValueError, match=words):
        ensemble.average(models())


def test_spread_and_its_use_on_made_up_members():
    rng = np.random.default_rng(0)
    y = np.arange(400) % 2
    hard = rng.random(400) < 0.3  # members guess on these
    logits = np.where(hard, 0, 3 * (2 * y - 1)) + rng.normal(size=(5, 400)) * np.where(hard, 1.5, 0.2)
    p = 1 / (1 + np.exp(-logits))
    found = ensemble.judge(np.stack([1 - p, p], axis=2), y)
    assert found["members"] == 5 and found["errors"] > 20 and found["spread_finds_errors"] > 0.8
    assert found["spread_finds_errors_interval"][0] > 0.5 and "finds its" in found["sentence"]
    assert found["roc_auc"] >= min(found["member_roc_auc"]) and len(found["member_accuracy"]) == 5
    noise = ensemble.judge(np.stack([1 - p, p], axis=2), rng.permutation(y))
    assert abs(noise["spread_finds_errors"] - 0.5) < 0.1


def test_nothing_wrong_leaves_its_use_unknown():
    table = np.array([[0.9, 0.1], [0.1, 0.9]])
    found = ensemble.judge(np.array([table, table]), np.array([0, 1]))
    assert found["errors"] == 0 and found["spread_finds_errors"] is None and "not known" in found["sentence"]


def test_average_is_a_layer_of_keras_name():
    a, b = x(), x() + 1
    assert np.allclose(Average()([a, b]).numpy(), (a + b) / 2)
    with pytest.raises(ValueError, match="two or more"):
        Average()([a])


@pytest.fixture(scope="module")
def diagnosis(tmp_path_factory):
    """The command with two members, and the choice of the network, on a table of texts; its output folder."""
    root = tmp_path_factory.mktemp("members")
    words = {"sick": ["fever", "cough", "chills", "pain"], "well": ["rested", "cheerful", "hungry", "strong"]}
    rng = np.random.default_rng(0)
    rows = [(" ".join([*rng.choice(words[label], 3), str(i)]), label) for i in range(80) for label in words]
    (root / "t.csv").write_text("\n".join(["text,label", *(f"{text},{label}" for text, label in rows)]))
    options = ["--data", str(root / "t.csv"), "--epochs", "2", "--steps", "12", "--batch", "8", "--members", "2", "--choose"]
    assert cli.main(["diagnose", *options, "--also", str(root / "t.csv"), "--output", str(root / "out")]) == 0
    return root / "out"


def test_the_command_averages_members_into_one_file_that_predicts(diagnosis, capsys):
    found = json.loads((diagnosis / "metrics.json").read_text())["ensemble"]
    assert found["members"] == 2 and len(found["member_roc_auc"]) == 2
    model = load_model(diagnosis / "model.safetensors")
    assert len(ensemble.members(model)) == 2
    capsys.readouterr()
    assert cli.main(["predict", str(diagnosis / "model.safetensors"), "fever and cough", "cheerful and strong"]) == 0
    assert [line.split("\t")[1] for line in capsys.readouterr().out.splitlines()] == ["sick", "well"]


def test_the_command_chooses_a_network_and_says_why(diagnosis):
    metrics = json.loads((diagnosis / "metrics.json").read_text())
    choice = metrics["choice"]
    assert choice["rows"][0]["network"] == "linear" and choice["folds"] == 3
    assert choice["sentence"] in metrics["recipe"]["why"] and metrics["ensemble"]["sentence"] in metrics["recipe"]["why"]


def test_the_command_recognises_its_training_texts_elsewhere(diagnosis):
    row = json.loads((diagnosis / "metrics.json").read_text())["elsewhere"][0]
    assert row["count"] == 160 and any("were in training" in warning for warning in row["warnings"])
