"""`tinydx diagnose --folds` and `--site`: figures of each fold, to the same result after an interruption, and what is refused."""

import csv
import json

import numpy as np
import pytest

from tinydx import cli
from tinydx.datasets.study import SPLITS, joined
from tinydx.diagnosis import folds as module
from tinydx.diagnosis import kinds
from tinydx.diagnosis.folds import diagnose_folds
from tinydx.preprocessing.sound import save_sound
from tinydx.preprocessing.text import Codec

SICK, WELL = ["fever", "cough", "chills", "vomiting"], ["rested", "cheerful", "hungry", "energetic"]
QUICK = {"epochs": 2, "steps": 12, "batch": 16}


def write_table(path, people=36, each=2, seed=0):
    """Texts of patients at three hospitals; the share of the ill, and a word of the text, tell the hospital."""
    rng = np.random.default_rng(seed)
    rows = []
    for p in range(people):
        site, ill = p % 3, rng.random() < (0.3, 0.5, 0.7)[p % 3]
        for visit in range(each):
            words = [*rng.choice(SICK if ill else WELL, 2), f"visit{visit}", ("northern", "southern", "eastern")[site], f"n{p}"]
            rows.append([" ".join(words), "sick" if ill else "healthy", f"P{p}", ("north", "south", "east")[site]])
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([["text", "label", "person", "hospital"], *rows])
    return path


def without_times(metrics):
    """The metrics but for what the clock says."""
    text = json.dumps(metrics)
    found = json.loads(text)
    for part in (found, found.get("random") or {"folds": []}):
        for row in part["folds"]:
            del row["seconds"]
    return found


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write_table(tmp_path_factory.mktemp("table") / "t.csv")


def test_folds_of_patients_of_a_table(table, tmp_path, capsys):
    out = tmp_path / "out"
    found = diagnose_folds(str(table), folds=3, patient="person", output=out, **QUICK)
    assert {path.name for path in out.iterdir()} == {"metrics.json", "report.png"}
    written = json.loads((out / "metrics.json").read_text())
    assert written["roc_auc"] == found["roc_auc"] == pytest.approx(np.mean([row["roc_auc"] for row in found["folds"]]))
    assert written["roc_auc_interval"][0] < found["roc_auc"] <= written["roc_auc_interval"][1] and found["roc_auc"] > 0.8
    assert sum(row["count"] for row in written["folds"]) == 72 and sum(row["patients"] for row in written["folds"]) == 36
    assert written["baseline"]["name"].startswith("logistic regression") and "random" not in written
    said = capsys.readouterr().out
    assert "3 of 3: fold 3" in said and "is not known" not in said and "trained on the same folds" in said
    assert not (tmp_path / "out.unfinished").exists()


def test_sites_are_left_out_beside_a_random_split(table, tmp_path, capsys):
    found = diagnose_folds(str(table), folds=2, site="", patient="person", output=tmp_path / "out", **QUICK)
    assert [row["name"] for row in found["folds"]] == ["east", "north", "south"] and len(found["random"]["folds"]) == 2
    assert found["recognised"]["sites"] == ["east", "north", "south"] and found["recognised"]["majority"] == pytest.approx(1 / 3)
    said = capsys.readouterr().out
    assert "site east left out" in said and "the site is recognised with accuracy" in said and "Folds that mix the sites" in said


def test_a_run_that_was_killed_continues_to_the_same_result(table, tmp_path, monkeypatch):
    def run(folder, **more):
        return diagnose_folds(str(table), folds=3, patient="person", output=tmp_path / folder, **QUICK, **more)

    whole, note, calls = run("whole"), module.Runner.after, []

    def killed(self, fold, learner):
        calls.append(fold)
        if len(calls) == 2:
            raise KeyboardInterrupt
        note(self, fold, learner)

    monkeypatch.setattr(module.Runner, "after", killed)
    with pytest.raises(KeyboardInterrupt):
        run("out")
    monkeypatch.undo()
    kept = tmp_path / "out.unfinished"
    assert sorted(path.name for path in kept.glob("fold-*.run")) == ["fold-0.run", "fold-1.run"]
    trained = []
    original = module.fitting.train_one
    monkeypatch.setattr(module.fitting, "train_one", lambda *a, **k: trained.append(a) or original(*a, **k))
    assert without_times(run("out", resume=True)) == without_times(whole) and len(trained) == 3
    assert without_times(run("out", resume=True)) == without_times(whole) and len(trained) == 3  # nothing is left to do


def test_each_fold_reads_its_own_vocabulary(table):
    """A word that only the fold that is left out has is unknown to its model."""
    kind = kinds.get("text")
    study = kind.open_study(table, size=None, limit=None, seed=0, patient="person", site="hospital")
    pool = joined([getattr(study, split) for split in SPLITS])
    assert {*pool.site} == {"north", "south", "east"} and len({*pool.patient}) == 36
    part = pool.take(pool.site == "north")
    here = kind.learn_reading(module.replace(study, train=part))
    words = Codec.from_config(here.preprocessing["codec"]).vocabulary.tokens
    assert any("northern" in word for word in words) and not any("eastern" in word for word in words)
    assert any("eastern" in word for word in Codec.from_config(study.preprocessing["codec"]).vocabulary.tokens)


def test_choosing_is_inside_the_folds(table, tmp_path, monkeypatch):
    seen = []

    def choose(kind, here, options, train, seed):
        seen.append({*here.train.x, *here.val.x})
        train(here, kind.plan(here, options._replace(network="linear")), seed)
        return {"network": "linear"}

    monkeypatch.setattr(module, "choose_network", choose)
    found = diagnose_folds(str(table), folds=2, choose=True, patient="person", output=tmp_path / "out", **QUICK)
    assert [row["network"] for row in found["folds"]] == ["linear"] * 2
    assert len(seen) == 2 and not seen[0] & seen[1]  # with two folds, each trains on what the other tests


def test_heart_sounds_know_their_site_by_their_names(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("abnormal", "normal"):
        (tmp_path / name).mkdir()
        for site in "ac":
            for i in range(14):
                sound = np.clip(0.1 * rng.standard_normal(2000), -1, 1).astype("float32")
                save_sound(tmp_path / name / f"{site}{(i + 20 * len(name)):04}.wav", sound, 2000)
    study = kinds.get("sound").open_study(tmp_path, size=1, limit=None, seed=0)
    assert all({*getattr(study, split).site} == {"a", "c"} and getattr(study, split).patient is None for split in SPLITS)


@pytest.mark.parametrize(
    "options,words",
    [
        (["--folds", "40"], "class healthy has"),
        (["--folds", "2", "--groups", "nobody"], "has no column 'nobody'"),
        (["--site", "nowhere"], "has no column 'nowhere'"),
        (["--folds", "2", "--members", "2"], "--members is for a single training"),
        (["--folds", "2", "--also", "x"], "--also is for a single training"),
        (["--folds", "2", "--sensitivity", "0.9"], "--sensitivity is for a single training"),
        (["--folds", "1"], "1 folds: two or more"),
    ],
)
def test_what_cannot_be_done_is_said_before_training(table, tmp_path, capsys, options, words):
    assert cli.main(["diagnose", "--data", str(table), *options, "--output", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1 and not (tmp_path / "out").exists()


def test_an_empty_site_is_named(tmp_path, capsys):
    path = tmp_path / "t.csv"
    path.write_text("text,label,site\n" + "\n".join(f"words {i},{'ab'[i % 2]},{'x' if i else ''}" for i in range(20)))
    assert cli.main(["diagnose", "--data", str(path), "--site", "site", "--output", str(tmp_path / "out")]) == 1
    assert "t.csv, line 2: the site is empty" in capsys.readouterr().err
    assert cli.main(["diagnose", "--data", str(path), "--site", "--output", str(tmp_path / "out")]) == 1
    assert "the sites are not known" in capsys.readouterr().err
