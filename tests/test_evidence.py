"""The report's section on evidence: maps of the worst errors, and phantoms whose lesions are known."""

import json

import numpy as np
import pytest

import tinydx
from tinydx import evaluation
from tinydx.datasets.study import Examples, Study
from tinydx.diagnosis import kinds
from tinydx.diagnosis.kind import Options
from tinydx.diagnosis.report import write_report
from tinydx.diagnosis.sections import Run, evidence
from tinydx.layers import Conv2D, Dense, Flatten, GlobalAveragePooling2D
from tinydx.models import Sequential

pytestmark = pytest.mark.filterwarnings("ignore:an output near 1 means")
SIZE = 32


def run_of(network, classes=("abnormal", "normal"), synthetic=True, n=12):
    """A diagnosis whose model is not trained, and what its section needs."""
    tinydx.set_seed(0)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (n, SIZE, SIZE, 1), np.uint8).repeat(3, axis=-1)
    part = Examples(pixels, np.arange(n) % len(classes), [f"{k}.png" for k in range(n)])
    kind = kinds.get("image")
    how = {"target_size": [SIZE, SIZE], "color_mode": "grayscale", "interpolation": "bilinear", "rescale": 1 / 255}
    study = Study("made up", list(classes), part, part, part, synthetic, [], how, "images", "32x32")
    plan = kind.plan(study, Options("small", "framing", 1, 1, 4))
    model = Sequential([*network, Dense(1 if len(classes) == 2 else len(classes), activation="sigmoid")])
    model.class_names, model.preprocessing = list(classes), {"kind": "image", **study.preprocessing, "threshold": 0.5}
    answers = model.predict(kind.plain_batches(study, part, 4))
    metrics = evaluation.evaluate_diagnosis(part.y, answers, list(classes), samples=50)
    table = evaluation.probability_table(answers, list(classes))
    return Run(model, kind, study, plan, 0, table, metrics)


def convolution():
    return [Conv2D(4, 3, activation="relu", input_shape=(SIZE, SIZE, 1)), GlobalAveragePooling2D()]


def test_the_section_explains_the_most_confident_errors(tmp_path):
    run = run_of(convolution())
    found = run.metrics["evidence"] = evidence.find(run)
    called = (run.table[:, 1] >= 0.5).astype(int)
    wrong = [i for i in np.argsort(-run.table.max(axis=1), kind="stable") if called[i] != run.study.test.y[i]][: evidence.WORST]
    assert [row["index"] for row in found["worst"]] == wrong and found["worst"][0]["file"] == f"{wrong[0]}.png"
    assert np.shape(found["worst"][0]["map"]) == (30, 30) and "has logit" in found["worst"][0]["sentence"]
    assert found["phantoms"]["count"] <= evidence.PHANTOMS and 0 <= found["phantoms"]["called"] <= 1
    for row in found["phantoms"]["methods"]:
        assert 0 < row["area"] < row["lungs_area"] < 1 and row["verdict"] in ("inside", "outside", "can't tell")
    words = "\n".join(evidence.words(found))
    assert "known lesions" in words and "of the positive evidence lies outside the lungs" in words
    paths = write_report(
        tmp_path,
        metrics=run.metrics,
        history={"loss": [1.0]},
        examples=run.study.test.x,
        y_true=run.study.test.y,
        probabilities=run.table,
        class_names=run.study.class_names,
        kind=run.kind,
        title="A test",
        synthetic=True,
    )
    assert json.loads(paths["metrics"].read_text())["evidence"]["worst"][0]["index"] == wrong[0]


def test_real_images_have_no_known_lesions_and_a_network_without_places_no_map():
    assert evidence.find(run_of(convolution(), synthetic=False))["phantoms"] is None
    flat = [Flatten(input_shape=(SIZE, SIZE, 1))]
    assert evidence.find(run_of(flat, synthetic=False)) is None
    assert [row["method"] for row in evidence.find(run_of(flat))["phantoms"]["methods"]] == ["gradient times input"]


def test_phantoms_are_read_as_files_are():
    run = run_of(convolution())
    x, lesions, lungs = evidence.phantom_inputs(run.model, 3)
    assert x.shape == (len(x), SIZE, SIZE, 1) and lesions.shape == lungs.shape == x.shape[:3]
    assert 0 < lesions.mean() < lungs.mean() < 0.5 and (lesions & ~lungs).sum() < 0.25 * lesions.sum()
