"""The model card: what it says is what was measured, names of the world cannot break it, and it never takes a user's file."""

import csv
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

from tinydx import cli, names
from tinydx.datasets.study import Examples, Study
from tinydx.diagnosis import card, report
from tinydx.diagnosis.result import FILES, ResultFolder

CLASSES = ("sick | *bold*", "<b>well</b>")
WORDS = {CLASSES[0]: ["fever", "cough", "chills", "pain"], CLASSES[1]: ["rested", "cheerful", "hungry", "pain"]}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of a small diagnosis of texts, some of which belong to both classes."""
    root = tmp_path_factory.mktemp("card")
    rng = np.random.default_rng(0)
    with open(root / "t.csv", "w", newline="", encoding="utf-8") as file:
        rows = [(f"{' '.join(rng.choice(words, 2))} {i}", label) for i in range(60) for label, words in WORDS.items()]
        csv.writer(file).writerows([("text", "label"), *rows])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "_png", lambda page: b"page")
        options = ["--network", "linear", "--epochs", "3", "--steps", "6", "--output", str(root / "out")]
        assert cli.main(["diagnose", "--data", str(root / "t.csv"), *options]) == 0
    return root / "out"


@pytest.fixture(scope="module")
def written(made):
    return json.loads((made / "card.json").read_text(encoding="utf-8")), (made / "card.md").read_text(encoding="utf-8")


def test_the_figures_are_those_of_the_metrics(made, written):
    facts, text = written
    metrics = json.loads((made / "metrics.json").read_text(encoding="utf-8"))
    for key in ("roc_auc", "roc_auc_interval", "accuracy", "sensitivity_interval", "count", "verdict", "baselines"):
        assert facts["results"][key] == metrics[key]
    assert facts["data"]["texts"] == metrics["data"]["texts"] and facts["unlike"] == metrics["unlike"]
    assert f"{metrics['roc_auc']:.3f}" in text and f"{metrics['accuracy']:.3f}" in text
    assert facts["made_by"]["seed"] == 0 and facts["made_by"]["settings"] == metrics["settings"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", facts["made_by"]["time"])


def test_the_subgroups_add_up_to_the_accuracy(written):
    facts, _ = written
    assert {row["value"] for row in facts["subgroups"]} == set(CLASSES)
    right = sum(row["count"] * row["accuracy"] for row in facts["subgroups"])
    assert right == pytest.approx(facts["results"]["count"] * facts["results"]["accuracy"])
    assert all(row["interval"][0] <= row["accuracy"] <= row["interval"][1] for row in facts["subgroups"])


def test_what_was_chosen_on_what(made, written):
    facts, _ = written
    losses = json.loads((made / "history.json").read_text())["val_loss"]
    rows = {row["what"]: row for row in facts["chosen"]}
    assert rows["weights"]["value"].startswith(f"of epoch {losses.index(min(losses)) + 1},")
    assert rows["weights"]["on"] == "validation part" and rows["threshold"]["on"].startswith("no data")
    assert not any("test" in row["on"] for row in facts["chosen"] if row["what"] != "nothing")


def test_every_item_of_the_guidelines_is_listed_once_and_nothing_is_promised(written):
    facts, text = written
    for guideline, count in (("CLAIM 2024", 44), ("TRIPOD+AI", 52)):
        mine = [item for item in facts["guidelines"] if item["guideline"] == guideline]
        assert len(mine) == len({item["item"] for item in mine}) == count
        tail = text.split(f"**{guideline}**")[1].split("**")[0]
        assert all(tail.count(f"{item['item']} {item['about']}") == 1 for item in mine)
        assert sum(map(int, re.findall(r"\((\d+)\): ", tail))) == count
    assert not re.search("compl(y|ies|ian)|certif|conform", text.lower())
    parts = {item["part"] for item in facts["guidelines"]} - {""}
    assert parts <= set(facts)  # no item names a part that no card has


def test_a_part_that_is_missing_fills_nothing():
    found = {(i["guideline"], i["item"]): i["filled"] for i in card.filled({"split": {"level": "file"}, "elsewhere": None})}
    assert found["CLAIM 2024", "20"] == "yes" and found["CLAIM 2024", "33"] == found["TRIPOD+AI", "23b"] == "no"
    assert sum(state != "no" for state in found.values()) == 3  # those that the division of the data fills


def test_names_of_classes_break_neither_tables_nor_pages(written):
    _, text = written
    assert r"sick \| \*bold\*" in text and r"\<b\>well" in text and "<b>" not in text
    for table in re.findall(r"(?:^\|.*\n)+", text, re.M):
        cells = [len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()]
        assert len(set(cells)) == 1


def test_the_most_confident_wrong_answers():
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.05, 0.95]])
    test = Examples(np.zeros(4), np.array([0, 0, 0, 0]), ["d/x/a.png", "d/x/b\n.png", "d/x/c.png", "d/x/e.png"])
    train = Examples(np.zeros(1), np.array([1]), ["d/y/a.png"])
    study = Study("d", ["ill", "well"], train, train, test, False, [], {}, "images", "1")
    run = SimpleNamespace(metrics={"positive_class": "ill", "threshold": 0.5}, study=study, table=p)
    found = card._errors(run)
    assert [(row["example"], row["called"], row["probability"]) for row in found] == [
        ("x/e.png", "well", 0.95),
        ("x/b\n.png", "well", 0.8),
        ("x/c.png", "well", 0.6),
    ]
    assert "\n" not in card._md("x/b\n.png") and names.shown("b\n") in card._md("x/b\n").replace("\\\\", "\\")


@pytest.mark.parametrize(
    "notes, level",
    [
        (["9 images set aside from training, patient by patient (4 patients in 9 images)"], "patient"),
        (["9 images set aside from training, patient by patient where known (4 patients); for the other 3, x"], "file"),
        (["9 set aside, patient by patient (4 patients)", "2 patients are in both train and val by their names"], "file"),
        (["split text by text: 3 for the test"], "file"),
        ([], "file"),
    ],
)
def test_the_level_of_the_split(notes, level):
    part = Examples(np.zeros(2), np.zeros(2, int))
    study = SimpleNamespace(notes=notes, train=part, val=part, test=part)
    found = card._split(SimpleNamespace(study=study))
    assert found["level"] == level and found["how"]


def test_known_patients_decide_the_level_whatever_the_notes_say():
    def part(*patients):
        return SimpleNamespace(patient=np.array(patients, object))

    notes = ["patient by patient (x)"]
    apart = SimpleNamespace(notes=notes, train=part("a", "b"), val=part("c"), test=part("d"))
    mixed = SimpleNamespace(notes=notes, train=part("a", "b"), val=part("c"), test=part("b"))
    assert card._split(SimpleNamespace(study=apart))["level"] == "patient"
    found = card._split(SimpleNamespace(study=mixed))
    assert found["level"] == "file" and "1 patients" in found["how"][0]


def test_a_users_card_is_never_replaced_and_old_results_are(made, tmp_path):
    for name in ("old", "new", "user"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.json").write_text("{}")
    for name in FILES:
        (tmp_path / "new" / name).write_bytes((made / name).read_bytes())
    (tmp_path / "user" / "card.md").write_text("# My notes")
    with ResultFolder(tmp_path / "old"), ResultFolder(tmp_path / "new"):
        pass
    with pytest.raises(FileExistsError, match=r"other files than a result \(card.md\)"):
        ResultFolder(tmp_path / "user")
    assert (tmp_path / "user" / "card.md").read_text() == "# My notes"
