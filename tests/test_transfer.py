"""The comparison of features, fine-tuning and training from scratch: its rows, its resuming, its figures and its errors."""

import json
import math

import numpy as np
import pytest
from test_diagnose import stripes

from tinydx import evaluation
from tinydx.datasets.study import Examples
from tinydx.tasks import transfer

SIZE = 16
WAYS = ["pixels", "random features", "features of phantoms", "features of source", "from scratch", "fine-tuned phantoms"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("transfer")
    for name, n in (("target", 20), ("source", 12), ("drawn", 12)):
        stripes(root / name, n=n, size=SIZE)
    return root


@pytest.fixture
def small(monkeypatch, place):
    """Images of 16 pixels, few steps, and other images in the place of phantoms."""
    for name, value in {"SIZE": SIZE, "SOURCE_STEPS": 2, "SOURCE_BATCH": 8, "BATCH": 8}.items():
        monkeypatch.setattr(transfer, name, value)
    monkeypatch.setattr(transfer, "phantom_folder", lambda: place / "drawn")


def run(place, folder, *more):
    options = ["--images", "8", "999", "--steps", "2", "--seeds", "0", "1", "--folder", str(folder)]
    sources = ["--source", "phantoms", "--source", str(place / "source")]
    return transfer.main([str(place / "target"), *sources, *options, *more])


def test_every_way_has_a_row_for_each_seed_and_is_computed_once(small, place, tmp_path, monkeypatch, capsys):
    found = run(place, tmp_path)
    pool = found["pool"]
    ways = [*WAYS, "fine-tuned source"]
    expected = {(n, seed, way) for n in (8, pool) for seed in (0, 1) for way in ways}
    assert {(row["images"], row["seed"], row["how"]) for row in found["rows"]} == expected
    assert all(0 <= row["roc_auc"] <= 1 for row in found["rows"])
    assert json.loads((tmp_path / "transfer.json").read_text()) == found
    for table in capsys.readouterr().out.split("\n\n")[-2:]:
        assert [line.split(" | ")[0].strip("| ") for line in table.strip().splitlines()[2:]] == ways

    rows = tmp_path / "rows.jsonl"
    rows.write_text(rows.read_text()[:-9])  # as if the process had been killed when it wrote the last row
    calls, real = [], transfer.trained
    monkeypatch.setattr(transfer, "trained", lambda *a: calls.append(a) or real(*a))
    again = run(place, tmp_path)
    assert len(calls) == 1
    assert [r["roc_auc"] for r in again["rows"]] == [r["roc_auc"] for r in found["rows"]]
    with pytest.raises(ValueError, match=r"holds another comparison, .*: give another --folder"):
        run(place, tmp_path, "--steps", "3")


def test_no_image_of_the_test_is_drawn_and_few_are_among_more(small, place):
    study = transfer.divided(str(place / "target"))
    tested = {x.tobytes() for x in study.test.x}
    assert tested and len(study.val.y) == 0
    few, more = (transfer.drawn(study, n, seed=3).train for n in (5, 12))
    assert np.array_equal(few.x, more.x[:5]) and len(np.unique(few.x.reshape(5, -1), axis=0)) == 5
    assert not tested & {x.tobytes() for x in more.x}
    assert not np.array_equal(few.x, transfer.drawn(study, 5, seed=4).train.x)


def test_a_val_folder_is_the_test_where_there_is_no_other(small, place, tmp_path):
    stripes(tmp_path / "train", n=10, size=SIZE)
    stripes(tmp_path / "val", n=3, size=SIZE)
    study = transfer.divided(str(tmp_path))
    assert (len(study.train.y), len(study.val.y), len(study.test.y)) == (20, 0, 6)
    assert all("/val/" in file for file in study.test.files)


def test_the_strength_of_a_regression_does_not_see_the_test(small, place, monkeypatch):
    """Labels of the test change its area, and nothing else."""
    study = transfer.drawn(transfer.divided(str(place / "target")), 12, seed=0)
    tables = []
    monkeypatch.setattr(transfer, "area", lambda study, p: tables.append(p) or 0.0)

    def numbers(part):
        return part.x.reshape(len(part.x), -1)[:, ::37].astype("float32")

    transfer.regression(study, numbers)
    study.test = Examples(study.test.x, 1 - study.test.y, study.test.files)
    transfer.regression(study, numbers)
    assert np.array_equal(tables[0], tables[1])


def test_the_area_is_that_of_the_positive_class(small, place):
    study = transfer.divided(str(place / "target"))
    study.class_names = ["abnormal", "normal"]  # the positive class is number 0
    p = np.random.default_rng(0).random(len(study.test.y))
    assert transfer.area(study, p) == pytest.approx(evaluation.roc_auc(study.test.y == 0, 1 - p))


def test_intervals_are_students_and_differences_are_paired(small, place):
    mine, other = {s: 0.8 + 0.01 * s for s in range(5)}, {s: 0.7 + 0.03 * s for s in range(5)}
    ways = {"pixels": other, "new": mine}
    rows = [{"images": 9, "seed": s, "how": how, "roc_auc": v} for how, areas in ways.items() for s, v in areas.items()]
    cell = transfer.summary(rows, transfer.divided(str(place / "target")))["cells"][1]
    t = 2.7764451  # of 4 degrees of freedom, .975
    half = t * np.std(list(mine.values()), ddof=1) / math.sqrt(5)
    assert cell["roc_auc_interval"] == pytest.approx([0.82 - half, 0.82 + half])
    gaps = [mine[s] - other[s] for s in range(5)]
    half = t * np.std(gaps, ddof=1) / math.sqrt(5)
    assert cell["beside"]["pixels"]["interval"] == pytest.approx([np.mean(gaps) - half, np.mean(gaps) + half])
    assert cell["beside"]["pixels"]["verdict"] == "better" and cell["beside"]["from scratch"] is None
    assert transfer.difference(other, mine)["verdict"] == "worse"
    assert transfer.difference(mine, {0: 0.9, 4: 0.7})["verdict"] == "can't tell"
    assert transfer.difference(mine, {0: 0.5}) is None  # one pair says nothing


def test_what_cannot_be_compared_is_one_line(small, place, tmp_path):
    study = transfer.divided(str(place / "target"))
    study.train = study.train.take(np.flatnonzero(study.train.y == 0))
    with pytest.raises(ValueError, match="4 images drawn with seed 0 are all of one class: draw more"):
        transfer.drawn(study, 4, 0)
    transfer.Rows(tmp_path / "rows.jsonl", {"steps": 1})
    with pytest.raises(ValueError, match="holds another comparison"):
        transfer.Rows(tmp_path / "rows.jsonl", {"steps": 2})
