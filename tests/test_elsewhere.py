"""A finished model on other folders: its figures there, what must be said before them, and what cannot be tested."""

import json

import numpy as np
import pytest

from tinydx import cli, evaluation
from tinydx.datasets.study import Examples, Study
from tinydx.diagnosis import elsewhere, inputs, kinds
from tinydx.layers import AveragePooling2D, BatchNormalization, Dense, Embedding, Flatten, GlobalAveragePooling1D
from tinydx.models import Sequential, load_model
from tinydx.optimizers import Adam
from tinydx.preprocessing.files import save_img
from tinydx.tasks import false_alarms

SIZE = 16


def images(folder, n=40, seed=0, names=("ill", "normal"), shift=0, sign=1):
    """Class folders of noisy images, the ill ones with a bright square in the middle; shift changes all of them."""
    rng = np.random.default_rng(seed)
    for k, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for i in range(n):
            pixels = rng.normal(90, 25, (SIZE, SIZE, 1)) + shift
            pixels[5:11, 5:11] += (16 if k == 0 else 0) * sign
            save_img(folder / name / f"{i:03d}.png", np.clip(pixels, 0, 255).repeat(3, axis=2), scale=False)
    return folder


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The file of a linear model of such images, with what its training inputs looked like."""
    root = tmp_path_factory.mktemp("elsewhere")
    kind = kinds.get("image")
    study = kind.open_study(images(root / "data", n=60), size=SIZE, limit=None, seed=0)
    layers = [AveragePooling2D((4, 4), input_shape=study.train.x.shape[1:]), Flatten(), BatchNormalization(momentum=0.8)]
    model = Sequential([*layers, Dense(1, activation="sigmoid")])
    model.compile(Adam(0.01), "binary_crossentropy")
    x, y = study.train.x.astype("float32") / 255, study.train.y
    model.fit(x, y, epochs=20, batch_size=16, verbose=0)
    metrics = evaluation.evaluate_diagnosis(study.test.y, model.predict(study.test.x.astype("float32") / 255), study.class_names)
    model.class_names, model.preprocessing = study.class_names, {"kind": "image", **study.preprocessing}
    elsewhere.remember(model, kind, study, metrics)
    model.save(root / "model.safetensors")
    return root / "model.safetensors", root / "data"


def row(saved, folder, **options):
    return elsewhere.test(load_model(saved[0]), folder, **options)


def test_a_set_like_training_has_figures_and_no_warning(saved, tmp_path):
    found = row(saved, images(tmp_path / "same", seed=1))
    assert found["warnings"] == [] and found["count"] == 80 and found["roc_auc"] > 0.8
    low, high = found["roc_auc_interval"]
    assert low < found["roc_auc"] <= high and found["majority"]["accuracy"] == 0.5 and found["roc"][-1] == [1, 1]
    assert found["own_test"]["roc_auc"] > 0.8 and found["class_counts"] == {"ill": 40, "normal": 40}


def test_brighter_images_are_said_to_be_brighter(saved, tmp_path):
    warnings = row(saved, images(tmp_path / "bright", seed=2, shift=60))["warnings"]
    assert sum(w.startswith("- ") for w in warnings) == 1 and any(w.startswith("- mean brightness") for w in warnings)


def test_what_fails_there_is_said_before_the_figures(saved, tmp_path):
    found = row(saved, images(tmp_path / "other", seed=3, sign=-1))
    assert found["roc_auc"] < 0.4 and found["warnings"][0].startswith("No better than chance here")
    lines = elsewhere.words(found)
    assert "No better than chance" in lines[1] and lines.index(next(v for v in lines if "ROC AUC  " in v)) > 1


def test_training_examples_are_recognised(saved):
    assert any("were in training" in w for w in row(saved, saved[1])["warnings"])


def test_few_images_cannot_be_told_from_chance(saved, tmp_path):
    found = row(saved, images(tmp_path / "few", n=2, seed=4, sign=0.3))
    assert found["roc_auc_interval"][0] <= 0.5 and "chance" in found["warnings"][0]


def test_classes_are_matched_in_any_case_and_order(saved, tmp_path):
    a = row(saved, images(tmp_path / "a", seed=1))
    b = row(saved, images(tmp_path / "b", seed=1, names=("ILL", "Normal")))
    assert a["roc_auc"] == b["roc_auc"] and a["accuracy"] == b["accuracy"]


def test_all_parts_are_taken_unless_one_is_asked_for(saved, tmp_path):
    for seed, part in enumerate(("train", "valid", "testing")):
        images(tmp_path / "all" / part, n=4 + seed, seed=seed)
    assert row(saved, tmp_path / "all")["count"] == 30 and row(saved, tmp_path / "all", split="val")["count"] == 10
    (tmp_path / "two").mkdir()
    images(tmp_path / "two" / "train", n=3)
    with pytest.raises(ValueError, match="has no test folder: it has train"):
        row(saved, tmp_path / "two", split="test")


@pytest.mark.parametrize("names", [("ill", "covid"), ("ill", "ill2", "normal"), ("normal",)])
def test_other_classes_are_one_clear_error(saved, tmp_path, names, capsys):
    images(tmp_path / "x", n=2, names=names)
    assert cli.main(["evaluate", str(saved[0]), str(tmp_path / "x")]) == 1
    message = capsys.readouterr().err
    assert "but the model knows ill, normal" in message and ", ".join(sorted(names)) in message and message.count("\n") == 1


def test_the_command_prints_a_row_each_and_writes_json(saved, tmp_path, capsys):
    a, b = images(tmp_path / "a", n=8, seed=5), images(tmp_path / "b", n=8, seed=6, shift=80)
    assert cli.main(["evaluate", str(saved[0]), str(a), str(b), "--output", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert str(a) in lines[-2] and lines[-1].split()[:2] == ["!", str(b)]
    rows = json.loads((tmp_path / "out" / "elsewhere.json").read_text())
    assert [r["path"] for r in rows] == [str(a), str(b)] and (tmp_path / "out" / "roc.png").stat().st_size > 1000


def test_the_threshold_is_the_models(saved, tmp_path):
    model, folder = load_model(saved[0]), images(tmp_path / "a", seed=7)
    model.preprocessing["threshold"] = 0.999
    found = elsewhere.test(model, folder)
    assert found["threshold"] == 0.999 and found["sensitivity"] < 0.5 < found["specificity"]


def test_a_model_that_diagnose_did_not_make(saved, tmp_path):
    model = load_model(saved[0])
    del model.preprocessing["training"]
    found = elsewhere.test(model, images(tmp_path / "a", n=4))
    assert found["own_test"] is None and any("does not say what its training inputs" in w for w in found["warnings"])
    model.class_names = None
    with pytest.raises(ValueError, match="did not make it"):
        elsewhere.test(model, tmp_path / "a")


def test_random_halves_of_one_set_seldom_differ():
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(40):
        table, classes = rng.normal(size=(120, 6)), np.arange(120) % 2
        table += classes[:, None]  # the classes differ, and have other shares in the halves
        order = np.concatenate([np.flatnonzero(classes == 0)[:50], np.flatnonzero(classes == 1)])
        halves = np.array_split(rng.permutation(order), 2)
        a, b = (inputs.Inputs(list("abcdef"), table[rows], classes[rows]) for rows in halves)
        alarms += bool(inputs.differences(a, b))
    assert alarms <= 2


def test_a_mean_shift_within_the_quantiles_is_found_by_the_classifier():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(200, 3)), rng.normal([0, 1.3, 0], 1, size=(200, 3))
    classes = np.arange(200) % 2
    found = inputs.differences(inputs.Inputs(list("abc"), a, classes), inputs.Inputs(list("abc"), b, classes), "images")
    assert len(found) == 1 and "linear classifier" in found[0] and found[0].endswith("most of all by their b")


def test_a_different_share_of_the_ill_is_no_difference():
    rng = np.random.default_rng(0)
    few, many = (np.arange(400) < n for n in (40, 360))
    a, b = (inputs.Inputs(["a"], rng.normal(size=(400, 1)) + 1.5 * y[:, None], y.astype(int)) for y in (few, many))
    assert evaluation.roc_auc(np.arange(800) >= 400, np.concatenate([a.rows, b.rows])[:, 0]) > 0.75
    assert inputs.differences(a, b) == []


def test_the_rate_of_false_alarms_is_a_command(tmp_path, capsys):
    here, there = images(tmp_path / "here", n=60), images(tmp_path / "there", n=30, shift=60)
    found = false_alarms.main([str(here), "--other", str(there), "--draws", "20"])
    assert found["same place", 20] <= 0.05 and found["other place", 20] == 1 and ("same place", 100) not in found
    assert "20 new:" in capsys.readouterr().out


def test_texts_of_another_language_differ(tmp_path):
    kind = kinds.get("text")
    rng = np.random.default_rng(0)

    def table(path, words, n=60):
        rows = [f"{' '.join(rng.choice(words, 6))},{'sick' if i % 2 else 'well'}" for i in range(n)]
        path.write_text("\n".join(["text,label", *rows]), encoding="utf-8")
        return path

    english = ["fever", "cough", "pain", "tired", "sleep", "walk", "eat"]
    study = kind.open_study(table(tmp_path / "a.csv", english), size=20, limit=None, seed=0)
    vocabulary = len(study.preprocessing["codec"]["vocabulary"]) if "vocabulary" in study.preprocessing["codec"] else 5000
    layers = [Embedding(vocabulary + 10, 4, mask_zero=True, input_shape=(None,)), GlobalAveragePooling1D()]
    model = Sequential([*layers, Dense(1, activation="sigmoid")])
    model.class_names, model.preprocessing = study.class_names, {"kind": "text", **study.preprocessing}
    elsewhere.remember(model, kind, study, {"count": 1, "roc_auc": None, "accuracy": 1.0})
    same = elsewhere.test(model, table(tmp_path / "b.csv", english))
    other = elsewhere.test(model, table(tmp_path / "c.csv", ["fiebre", "tos", "dolor", "cansado", "dormir"]))
    assert not any("never saw" in w for w in same["warnings"])
    assert any("share of words and pieces that training never saw" in w for w in other["warnings"])


def test_tables_of_texts_are_read_whole_or_by_part(tmp_path):
    kind = kinds.get("text")
    for split, n in (("train", 6), ("test", 4)):
        rows = [f"word {i},{'A' if i % 2 else 'b'}" for i in range(n)]
        (tmp_path / f"{split}.csv").write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    counts = [len(kind.open_labelled(tmp_path, ["a", "B"], {}, split).y) for split in (None, "test")]
    assert counts == [10, 4] and len(kind.open_labelled(tmp_path / "test.csv", ["a", "B"], {}).y) == 4
    with pytest.raises(ValueError, match="has no val table"):
        kind.open_labelled(tmp_path, ["a", "B"], {}, "val")


def test_sounds_of_another_recorder_differ():
    kind = kinds.get("sound")
    rng = np.random.default_rng(0)
    x, y = 0.1 * rng.standard_normal((60, 2000)), np.arange(60) % 2
    study = Study("s", ["a", "b"], *[Examples(x, y)] * 3, False, [], {}, "recordings", "")
    train = inputs.recall(json.loads(json.dumps(inputs.summarize(kind, study.train, {}))))
    quiet = inputs.measure(kind, Examples(0.01 * rng.standard_normal((30, 2000)), y[:30]), {})
    same = inputs.measure(kind, Examples(0.1 * rng.standard_normal((30, 2000)), y[:30]), {})
    assert any("level" in s for s in inputs.differences(train, quiet)) and inputs.differences(train, same) == []
