"""`tinydx diagnose` on patients of several modalities: texts, images and numbers, any of which may be missing."""

import json

import numpy as np
import pytest
from PIL import Image

from tinydx.cli import main
from tinydx.datasets.copies import keys_of
from tinydx.datasets.study import Examples
from tinydx.diagnosis import kinds
from tinydx.diagnosis.diagnose import diagnose
from tinydx.diagnosis.finished import kind_of
from tinydx.diagnosis.folds import diagnose_folds
from tinydx.diagnosis.kind import Options
from tinydx.diagnosis.kinds import fused
from tinydx.diagnosis.predicting import answers
from tinydx.evaluation import roc_auc
from tinydx.models import load_model

QUICK = {"epochs": 2, "steps": 6}
WORDS = (["calm", "clear", "well"], ["pain", "fever", "cough"])


def write_table(folder, count=120, image=False, seed=0):
    """A table of made-up patients with text and age, some without text, some without age; with images if asked."""
    rng, lines = np.random.default_rng(seed), ["text,age,image,label,patient" if image else "text,age,label,patient"]
    for i in range(count):
        ill = i % 2
        words = " ".join(rng.choice(WORDS[ill if rng.random() < 0.8 else 1 - ill], 3)) + f" case {i}"
        age = f"{50 + 12 * ill + 10 * rng.normal():.1f}"
        missing = rng.random()
        row = ["" if missing < 0.2 else words, "" if missing > 0.8 else age]
        if image:
            pixels = rng.integers(0, 120, (20, 20)) + 100 * ill * (np.arange(20) > 12)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")
            row.append(f"{i}.png" if rng.random() < 0.7 else "")
        lines.append(",".join([*row, ("well", "ill")[ill], f"p{i}"]))
    path = folder / "patients.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A diagnosis with all three fusions: table, folder of the result, metrics."""
    folder = tmp_path_factory.mktemp("fused")
    table = write_table(folder, 160)
    metrics = diagnose(str(table), network="all", output=folder / "result", epochs=6, steps=20)
    return table, folder / "result", metrics


def test_the_kind_of_a_table_with_text_and_numbers_is_fused(finished):
    assert kinds.guess(finished[0]) == "fused" == finished[2]["settings"]["kind"]


def test_the_fusions_stand_beside_each_other(finished):
    metrics = finished[2]
    found, json_ = metrics["fusion"], json.loads((finished[1] / "metrics.json").read_text())["fusion"]
    rows = {row["name"]: row for row in found["fusions"]}
    assert list(rows) == ["early fusion", "intermediate fusion", "late fusion", "text alone", "table alone"]
    fusions = [row for row in found["fusions"] if row["name"].endswith("fusion")]
    assert max(fusions, key=lambda row: row["validation"])["chosen"] and sum(row["chosen"] for row in fusions) == 1
    chosen = next(row for row in fusions if row["chosen"])
    assert chosen["roc_auc"] == pytest.approx(metrics["roc_auc"]) and chosen["p_value"] == 1
    assert all(row["roc_auc_interval"][0] <= row["roc_auc"] <= row["roc_auc_interval"][1] for row in found["fusions"])
    assert found["sentence"] == json_["sentence"] and found["compared"]


def test_the_card_says_what_chose_the_fusion(finished):
    chosen = {row["what"]: row for row in json.loads((finished[1] / "card.json").read_text())["chosen"]}
    assert chosen["network"]["on"] == chosen["weights"]["on"] == "validation part"
    assert chosen["network"]["value"].startswith(finished[2]["fusion"]["fusion"])


def test_figures_without_modalities_and_shares(finished):
    metrics = finished[2]
    found = metrics["fusion"]
    sets = {tuple(row["modalities"]): row for row in found["without"]}
    assert set(sets) == {("text", "table"), ("text",), ("table",)}
    assert sets["text", "table"]["roc_auc"] == pytest.approx(metrics["roc_auc"])
    shares = found["shares"]
    assert shares["efficiency_error"] < 1e-12
    for row in shares["patients"]:
        assert sum(v or 0 for v in row["shares"]) == pytest.approx(row["log_odds"] - row["prior"], abs=1e-5)
    assert sum(shares["carried"].values()) == metrics["count"] == len(shares["patients"])
    assert any(None in row["shares"] for row in shares["patients"])  # some patients lack a modality
    assert (finished[1] / "report.png").stat().st_size > 10_000


def test_the_file_answers_as_the_test_did(finished):
    """Rows of the table and patients given by their columns get the same answers; a missing modality gets one, too."""
    table, result, _ = finished
    model = load_model(result / "model.safetensors")
    kind = kind_of(model)
    rows = list(answers(model, kind, kind.inputs(str(table), model.preprocessing)))
    assert len(rows) == 160 and not [row for row in rows if isinstance(row, Exception)]
    y = np.array([line.split(",")[2] == "ill" for line in table.read_text().splitlines()[1:]])
    p = [row.probability if row.name == "ill" else 1 - row.probability for row in rows]
    assert roc_auc(y, np.array(p)) > 0.75
    i = next(i for i, line in enumerate(table.read_text().splitlines()[1:]) if "" not in line.split(","))
    text, age = table.read_text().splitlines()[1 + i].split(",")[:2]
    whole = kind.given({"text": text, "age": age}, model.preprocessing)
    half = kind.given({"age": age}, model.preprocessing)
    one, other = answers(model, kind, [whole, half])
    assert (one.name, one.probability) == (rows[i].name, pytest.approx(rows[i].probability, abs=1e-6))
    assert other.probability != one.probability


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--agee", "3"], "--agee: the model has no such column; did you mean 'age'?"),
        (["--txt", "pain"], "--txt: the model has no such column; did you mean 'text'?"),
        (["--image", "a.png"], "--image: the model reads text, table: leave it out"),
        (["--age", "old"], "--age: 'old' is no number"),
        (["nonsense.png"], "nonsense.png: nothing of text, table is given"),
    ],
)
def test_one_line_for_what_a_model_cannot_read(finished, capsys, arguments, words):
    status = main(["predict", str(finished[1] / "model.safetensors"), *arguments])
    said = capsys.readouterr()
    assert status != 0 and words in said.err and said.out == "" and said.err.count("\n") == 1


def test_explained_by_its_modalities(finished, tmp_path, capsys):
    page = tmp_path / "page.png"
    assert (
        main(["explain", str(finished[1] / "model.safetensors"), "--text", "pain fever", "--age", "70", "--output", str(page)])
        == 0
    )
    said = capsys.readouterr().out
    assert (
        "Shapley values of the modalities" in said and "text (" in said and page.exists() and page.with_suffix(".html").exists()
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda how: how["modalities"].pop("text"), "expected two or more"),
        (lambda how: how["modalities"].update(ecg={}), "expected two or more"),
        (lambda how: how["inputs"]["table"].update(shape=[99]), "its model takes"),
        (lambda how: how["inputs"]["table"].update(shape=[10**12]), "its model takes"),
        (lambda how: how["inputs"]["text"].update(ids=False), "ids"),
        (lambda how: how["typical"].pop("table"), "no 'table'"),
        (lambda how: how["modalities"]["table"]["columns"]["age"].update(spread=0.0), "spread"),
        (lambda how: how.pop("inputs"), "no 'inputs'"),
    ],
)
def test_a_forged_file_is_one_line(finished, change, words):
    model = load_model(finished[1] / "model.safetensors")
    how = json.loads(json.dumps(model.preprocessing))
    change(how)
    model.preprocessing = how
    with pytest.raises(ValueError, match="does not say how to read patients") as error:
        kind_of(model, "forged")
    assert words in str(error.value) and "\n" not in str(error.value)


def test_images_members_and_a_run_that_is_interrupted(tmp_path, monkeypatch):
    """Late fusion of three modalities, two members: what was trained before the interruption is not trained again."""
    table = write_table(tmp_path, 60, image=True)
    arguments = {"network": "late", "members": 2, "epochs": 1, "steps": 1, "batch": 32, "output": tmp_path / "result"}
    whole = diagnose(str(table), **(arguments | {"output": tmp_path / "whole"}))
    late, calls = fused._late, []

    def fails(study, models):
        calls.append(models)
        if len(calls) == 2:
            raise RuntimeError("power cut")
        return late(study, models)

    monkeypatch.setattr(fused, "_late", fails)
    with pytest.raises(RuntimeError, match="power cut"):
        diagnose(str(table), **arguments)
    again = diagnose(str(table), **arguments, resume=True)
    assert again["fusion"]["without"] == whole["fusion"]["without"] and again["roc_auc"] == whole["roc_auc"]
    assert again["fusion"]["without"][0]["modalities"] == ["image", "text", "table"]


def test_folds_of_patients(tmp_path):
    table = write_table(tmp_path, 60)
    metrics = diagnose_folds(str(table), folds=2, network="intermediate", output=tmp_path / "folds", **QUICK)
    assert len(metrics["folds"]) == 2 and metrics["noun"] == "patients"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--size", "9"], "--size is not for patients of several modalities"),
        (["--fusion", "late", "--network", "early"], "--fusion and --network both name the fusion"),
        (["--fusion", "all", "--folds", "3"], "--fusion all is for a single training"),
        (["--network", "middle"], "--fusion middle is not known"),
        (["--kind", "text", "--fusion", "late"], "--fusion is for tables of several modalities, but this is data of kind text"),
    ],
)
def test_one_line_for_options_that_do_not_fit(tmp_path, capsys, arguments, words):
    table = write_table(tmp_path, 40)
    assert main(["diagnose", "--data", str(table), "--output", str(tmp_path / "result"), *arguments]) != 0
    assert words in capsys.readouterr().err and not (tmp_path / "result").exists()


def test_what_cannot_be_read_names_its_row(finished, tmp_path):
    table = write_table(tmp_path, 40, image=True)
    lines = table.read_text().splitlines()
    (tmp_path / "broken.png").write_bytes(b"no image")
    lines[7] = "calm,50,broken.png,ill,p6"
    table.write_text("\n".join(lines))
    kind = kinds.get("fused")
    with pytest.raises(ValueError, match=r"patients.csv, line 8, column 'image': .*broken.png"):
        kind.open_study(table, size=None, limit=None, seed=0)
    how = load_model(finished[1] / "model.safetensors").preprocessing
    other = tmp_path / "other.csv"
    other.write_text("text,age,label\npain,60,ill\ncalm,old,well\n")
    with pytest.raises(ValueError, match="line 3, column 'age': 'old'"):
        kind.open_labelled(other, ["ill", "well"], how)
    other.write_text("text,label\npain,ill\ncalm,well\n")  # no column of numbers at all: a missing modality
    assert [case["table"] for case in kind.open_labelled(other, ["ill", "well"], how).x] == [None, None]
    other.write_text("text,aeg,label\npain,3,ill\ncalm,4,well\n")
    with pytest.raises(ValueError, match="no column 'age', which the model reads; did you mean 'aeg'"):
        kind.open_labelled(other, ["ill", "well"], how)


def test_one_modality_is_its_own_kind(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("age,label\n" + "".join(f"{i % 60},{'ab'[i % 2]}\n" for i in range(80)))
    with pytest.raises(ValueError, match="has one modality, table: use --kind table"):
        kinds.get("fused").open_study(path, size=None, limit=None, seed=0)


# ---- parts ---------------------------------------------------------------------------------------------------------


def test_each_pass_augments_every_example_once(tmp_path):
    """Versions belong to their examples, whatever order and balance their kind draws in, and follow from seed and pass."""
    kind = kinds.get("fused")
    study = kind.open_study(write_table(tmp_path, 60, image=True), size=None, limit=None, seed=0)
    for i, case in enumerate(study.train.x):
        if case["image"] is not None:
            case["image"] = np.full_like(case["image"], 4 * i)  # so that a picture tells whose it is
    kind.plan(study, Options("intermediate", "none"))
    present = np.array([[case[name] is not None for name in ("image", "text", "table")] for case in study.train.x])
    versions = fused.Versions(study.parts["intermediate"], present, seed=1)
    first, again = versions(0), fused.Versions(study.parts["intermediate"], present, seed=1)(0)
    for name, values in first.items():
        assert np.array_equal(values, again[name])
    expected = kind.cases(study.train, study.preprocessing)
    for name, values in expected.x.items():
        rows = present[:, expected.names.index(name)]
        assert np.allclose(first[name][rows], values[rows], atol=1e-5)


def test_the_key_of_a_patient_is_what_is_known():
    a, b = {"text": "pain", "image": None}, {"text": "pain", "image": np.zeros(3, np.uint8)}
    x = np.empty(4, object)
    x[:] = [a, b, dict(b), {"text": "pain"}]
    keys = keys_of(x)
    assert keys[0] == keys[3] != keys[1] == keys[2]


def test_a_missing_modality_makes_nobody_unlike(finished):
    table, result, _ = finished
    model = load_model(result / "model.safetensors")
    kind, how = kind_of(model), model.preprocessing
    whole = kind.example(kind.given({"text": "pain fever case", "age": "60"}, how), how)
    without = Examples(whole.x.copy(), whole.y)
    without.x[0] = {**whole.x[0], "text": None}
    gist = kind.gist(without, how)
    assert all(np.allclose(gist[f"text: {key}"], value) for key, value in how["typical"]["text"].items())
    assert how["typical"]["text"]["number of words"] > 1


def test_patients_with_the_same_few_words_or_the_same_template_are_no_copies():
    long = "No acute cardiopulmonary abnormality. The heart is normal in size. The lungs are clear."
    image, other = (np.random.default_rng(k).integers(0, 255, (32, 32, 3)).astype(np.uint8) for k in (0, 1))
    cases = [
        {"text": "no complaints", "image": None},
        {"text": "no complaints", "image": None},
        {"text": long, "image": image},
        {"text": long, "image": other},
        {"text": long, "image": None},
        {"text": "cough", "image": image},
    ]
    x = np.empty(len(cases), object)
    x[:] = cases
    assert fused.KIND.copies(x) == [(2, 4), (2, 5)]
