"""`tinydx diagnose` on tables: how rows become numbers, made-up patients with a known optimum, files and texts of a table."""

import csv
import json

import numpy as np
import pytest
from forgeries import forged
from hypothesis import given
from hypothesis import strategies as st

from tinydx import cli, random
from tinydx.datasets.clinic import PATIENTS, chance_of, make_patients, write_patients
from tinydx.datasets.heart import write_heart_folders
from tinydx.datasets.study import SPLITS, Examples, Study
from tinydx.datasets.table import Entry, Row
from tinydx.diagnosis import kinds
from tinydx.diagnosis.baselines import logistic_regression
from tinydx.diagnosis.diagnose import diagnose
from tinydx.diagnosis.finished import kind_of
from tinydx.diagnosis.kind import Options
from tinydx.diagnosis.kinds.table import KIND, build, learn_columns, number_names, numbers_of, row_given, unreadable
from tinydx.evaluation import roc_auc
from tinydx.preprocessing.files import save_img

KINDS = {"age": "number", "crp": "number", "sex": "category"}


def a_row(age, crp, sex):
    return Row({"age": age, "crp": crp, "sex": sex})


def as_array(rows):
    array = np.empty(len(rows), object)
    array[:] = rows
    return array


TRAIN = [a_row(60.0, 1.0, "f"), a_row(80.0, None, "m"), a_row(70.0, 7.0, "f"), a_row(50.0, 4.0, "x")]


# ---- rows become numbers -------------------------------------------------------------------------------------------


def test_rows_become_numbers_as_plain_loops_say():
    columns = learn_columns(TRAIN, KINDS)
    rows = [a_row(65.0, None, "m"), a_row(1000.0, 2.0, "unheard of"), a_row(50.0, 9.0, None)]
    known = {name: [row.cells[name] for row in TRAIN if row.cells[name] is not None] for name in KINDS}
    expected = []
    for row in rows:
        numbers = []
        for name in ("age", "crp"):
            mean = sum(known[name]) / len(known[name])
            spread = (sum((v - mean) ** 2 for v in known[name]) / len(known[name])) ** 0.5
            value = row.cells[name] if row.cells[name] is not None else sorted(known[name])[len(known[name]) // 2]
            numbers.append(max(-5, min(5, (value - mean) / spread)))
            numbers += [float(row.cells[name] is None)] if name == "crp" else []
        expected.append(numbers + [float(row.cells["sex"] == word) for word in ("f", "m", "x")])
    found = numbers_of(rows, {"columns": columns})
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert len(number_names(rows[0], columns)) == found.shape[1]


def test_what_training_does_not_know_gets_no_answer():
    columns = learn_columns(TRAIN, KINDS)
    assert "column 'sex': 'female' was in no training row" in unreadable(a_row(60.0, 1.0, "female"), columns)
    assert "column 'age' is empty" in unreadable(a_row(None, 1.0, "f"), columns)
    assert "column 'sex' is empty" in unreadable(a_row(60.0, 1.0, None), columns)
    assert unreadable(a_row(60.0, None, "F"), columns) == ""  # any case, and the CRP lacks in training, too
    for entry in (Entry("a row", row=a_row(60.0, 1.0, "g")), Entry("no row", image="x.png"), "x.csv"):
        with pytest.raises(ValueError, match=r"a row: column 'sex'|is no row of a table"):
            KIND.read(entry, {"columns": columns})


def test_a_column_of_which_training_knows_nothing():
    rows = [a_row(None, 2.0, None)] * 3
    columns = learn_columns(rows, KINDS)
    assert columns["age"]["missing"] and columns["sex"]["words"] == []
    assert np.isfinite(numbers_of([*rows, a_row(60.0, 2.0, "f")], {"columns": columns})).all()


@given(st.permutations(range(len(TRAIN))), st.floats(-1e6, 1e6))
def test_the_order_of_the_training_rows_does_not_matter(order, age):
    one, other = ({"columns": learn_columns(rows, KINDS)} for rows in (TRAIN, [TRAIN[i] for i in order]))
    row = [a_row(age, None, "m")]
    np.testing.assert_allclose(numbers_of(row, one), numbers_of(row, other), rtol=1e-6)


@given(st.dictionaries(st.text(min_size=1), st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)), max_size=4))
def test_different_rows_have_different_texts(cells):
    row = Row(cells)
    for name, value in cells.items():
        changed = Row({**cells, name: 1.5 if value is None else None})
        assert changed != row
        if value is not None:
            assert Row({**cells, name: float(np.nextafter(value, np.inf))}) != row


def test_equal_rows_are_copies_unless_chance_makes_them():
    rng = np.random.default_rng(0)
    fine = [Row({"a": float(rng.normal()), "b": float(rng.normal())}) for _ in range(50)]
    coarse = [Row({"sex": "fm"[i % 2], "age": float(60 + i % 5)}) for i in range(50)]
    assert KIND.copies(as_array([*fine, fine[7]])) == [(7, 50)]
    assert KIND.copies(as_array(coarse)) == []


# ---- a model's file that was forged --------------------------------------------------------------------------------


@given(seed=st.integers(0, 2**32 - 1))
def test_a_forged_way_of_reading_rows_is_refused_or_harmless(seed):
    rng, columns = np.random.default_rng(seed), learn_columns(TRAIN, KINDS)
    model = build(6, 2)
    model.class_names = ["healthy", "ill"]
    model.preprocessing = {"kind": "table", "columns": columns}
    assert kind_of(model, "m") is KIND  # as it stands, it is right
    for _ in range(8):
        model.preprocessing = forged({"kind": "table", "columns": columns, "threshold": 0.5}, rng)[0]
        try:
            kind = kind_of(model, "m")
            if kind is not KIND:
                continue
            x = kind.read(Entry("a row", row=a_row(60.0, 1.0, "f")), model.preprocessing)
            assert x.shape == (1, 6) and np.isfinite(x).all()
        except ValueError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("age", {"spread": 0.0}, "the spread is not positive"),
        ("age", {"mean": float("nan")}, "mean is nan, expected a number"),
        ("age", {"missing": 1}, "missing is neither true nor false"),
        ("age", {"kind": "date"}, "of no known kind"),
        ("age", {"missing": True}, r"expected input \(N, 6\), got \(None, 7\)"),
        ("sex", {"words": ["f", "f", "m"]}, "a word occurs twice"),
        ("sex", {"words": ["f", "m"]}, r"expected input \(N, 6\), got \(None, 5\)"),
    ],
)
def test_a_way_of_reading_rows_that_makes_no_sense(name, change, words):
    model, columns = build(6, 2), learn_columns(TRAIN, KINDS)
    model.class_names = ["healthy", "ill"]
    model.preprocessing = {"kind": "table", "columns": {**columns, name: {**columns[name], **change}}}
    with pytest.raises(ValueError, match=words):
        kind_of(model, "m")


# ---- made-up patients ----------------------------------------------------------------------------------------------


def test_the_chance_is_the_share_that_is_ill():
    """Calibration by construction: among rows of about the same chance, that share is ill."""
    rows = make_patients(4000, seed=5)
    chance, ill = np.array([chance_of(row) for row in rows]), np.array([row["label"] == "ill" for row in rows])
    for low in (0.0, 0.25, 0.5, 0.75):
        part = (chance >= low) & (chance < low + 0.25)
        error = 4 * np.sqrt((chance[part] * (1 - chance[part])).sum()) / part.sum()
        assert abs(ill[part].mean() - chance[part].mean()) < error
    lacking = np.array([row["crp"] == "" for row in rows])
    assert 0.08 < lacking.mean() < 0.12 and make_patients(3, seed=5) == rows[:3]


@pytest.fixture(scope="module")
def patients(tmp_path_factory):
    return write_patients(tmp_path_factory.mktemp("clinic") / "made-up")


@pytest.fixture(scope="module")
def result(patients, tmp_path_factory):
    """The folder of a diagnosis of made-up patients, its metrics, and the area of the best possible answer on its test."""
    folder = tmp_path_factory.mktemp("result") / "diagnosis"
    metrics = diagnose(str(patients), output=folder)
    return folder, metrics


def test_the_network_is_as_good_as_any_and_better_than_a_line(result, patients):
    folder, metrics = result
    study = KIND.open_study(patients, size=None, limit=None, seed=0)
    rows = list(csv.DictReader(patients.read_text("utf-8").splitlines()))
    lines = [int(file.rpartition(":")[2]) for file in study.test.files]
    best = roc_auc(study.test.y, np.array([chance_of(rows[line - 2]) for line in lines]))
    assert metrics["roc_auc"] > best - 0.03 and metrics["roc_auc_interval"][0] < best < metrics["roc_auc_interval"][1]
    linear = metrics["baselines"][1]
    assert linear["verdict"] == "better" and linear["roc_auc"] < best - 0.05 and metrics["positive_class"] == "ill"
    assert (folder / "report.png").stat().st_size > 50_000 and "patients.csv:" in (folder / "card.md").read_text("utf-8")


def test_a_table_is_answered_row_by_row(result, patients, tmp_path, capsys):
    model = str(result[0] / "model.safetensors")
    rows = patients.read_text("utf-8").splitlines()[:4]
    table = tmp_path / "new.csv"
    table.write_text("\n".join([*rows, "p9,63,w,never,37.0,,A,ill"]) + "\n", "utf-8")
    assert cli.main(["predict", model, str(table)]) == 1
    out, err = capsys.readouterr()
    assert [line.split("\t")[0] for line in out.splitlines()] == ["new.csv, line 2", "new.csv, line 3", "new.csv, line 4"]
    assert "new.csv, line 5: column 'sex': 'w' was in no training row" in err
    cells = dict(zip(rows[0].split(","), rows[1].split(","), strict=True))
    columns = [part for name, cell in cells.items() if name not in ("patient", "label") for part in (f"--{name}", cell)]
    assert cli.main(["predict", model, *columns, "--page", str(tmp_path / "page.png")]) == 0
    given_out = capsys.readouterr().out
    assert given_out.rstrip().split("\t")[1:] == out.splitlines()[0].split("\t")[1:]
    assert (tmp_path / "page.png").exists()


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (["--sx", "f"], "--sx: the model has no such column; did you mean 'sex'?"),
        (["--age", "63"], "is missing: give it, or --"),
        (["--age=old"], "--age: 'old' is no number: give a number"),
        (["--age=6,5"], "--age: '6,5' has a decimal comma: give a number"),
        (["--sex=w"], "column 'sex': 'w' was in no training row"),
        (["--age="], "column 'age' is empty, which it was in no training row"),
        ([], "nothing to answer for: give rows"),
        (["x.png"], "'x.png' is no row of a table: give a .csv file with the columns age"),
    ],
)
def test_a_patient_whose_columns_do_not_fit(result, columns, words, capsys):
    full = {"age": "63", "sex": "f", "smoking": "never", "temperature": "37", "crp": "", "ward": "A"}
    given_names = {column[2:].partition("=")[0] for column in columns if "=" in column}
    rest = [f"--{name}={cell}" for name, cell in full.items() if given_names and name not in given_names]
    assert cli.main(["predict", str(result[0] / "model.safetensors"), *columns, *rest]) == 1
    out, err = capsys.readouterr()
    assert words in err and out == ""


def test_options_of_predict_need_a_value_and_are_given_once(result, capsys):
    model = str(result[0] / "model.safetensors")
    for columns, words in ((["--age"], "--age: expected a value"), (["--age=1", "--age=2"], "--age is given twice")):
        with pytest.raises(SystemExit):
            cli.main(["predict", model, *columns])
        assert words in capsys.readouterr().err


def test_an_explanation_names_the_columns(result, tmp_path, capsys):
    page = tmp_path / "why.png"
    fever = ["--age=58", "--sex=f", "--smoking=never", "--temperature=40", "--crp=7.4", "--ward=A"]
    assert cli.main(["explain", str(result[0] / "model.safetensors"), *fever, "--output", str(page)]) == 0
    assert "pushed towards it by temperature 40" in capsys.readouterr().out and page.exists()


def test_other_tables_are_tested_and_changed_units_are_noticed(result, patients, tmp_path, capsys):
    model = str(result[0] / "model.safetensors")
    rows = list(csv.DictReader(patients.read_text("utf-8").splitlines()))[:80]
    for row in rows:
        row["temperature"] = f"{float(row['temperature']) * 1.8 + 32:.1f}"  # Fahrenheit
    table = tmp_path / "elsewhere.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    assert cli.main(["evaluate", model, str(table)]) == 0
    assert "- temperature: 98" in capsys.readouterr().out
    table.write_text(table.read_text("utf-8").replace(",f,", ",w,", 1), "utf-8")
    assert cli.main(["evaluate", model, str(table)]) == 1
    assert "elsewhere.csv, line" in capsys.readouterr().err
    table.write_text(table.read_text("utf-8").replace("temperature", "temperatur"), "utf-8")
    assert cli.main(["evaluate", model, str(table)]) == 1
    assert "no column 'temperature', which the model reads; did you mean 'temperatur'?" in capsys.readouterr().err


def test_only_training_rows_say_how_rows_are_read(patients):
    study = KIND.open_study(patients, size=None, limit=40, seed=0)
    strange = Examples(as_array([Row({**row.cells, "age": 1e6, "sex": "unheard"}) for row in study.test.x]), study.test.y)
    other = KIND.learn_reading(type(study)(**{**vars(study), "test": strange, "val": strange}))
    assert other.preprocessing == study.preprocessing
    assert len(next(KIND.plain_batches(other, strange, 8)).x) == 8


def test_folds_learn_columns_anew(patients, tmp_path):
    """A word that one fold alone has, and a column that is nearly always empty."""
    lines = patients.read_text("utf-8").splitlines()[:121]
    lines[5] = lines[5].replace(",never,", ",pipe,").replace(",former,", ",pipe,").replace(",current,", ",pipe,")
    table = tmp_path / "few.csv"
    table.write_text("\n".join(lines) + "\n", "utf-8")
    assert cli.main(["diagnose", "--data", str(table), "--folds", "2", "--epochs", "1", "--output", str(tmp_path / "v")]) == 0
    metrics = json.loads((tmp_path / "v" / "metrics.json").read_text("utf-8"))
    assert [row["count"] for row in metrics["folds"]] == [60, 60] and metrics["baseline"]["roc_auc"] is not None


def test_a_line_is_as_good_as_logistic_regression():
    """Where the log-odds are a sum over columns, --network linear finds them: the same area as the baseline's."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(1200, 3))
    y = (rng.uniform(size=1200) < 1 / (1 + np.exp(-x @ [1.0, -0.5, 0.0]))).astype(int)
    rows = as_array([Row(dict(zip("abc", map(float, v), strict=True))) for v in x])
    parts = [Examples(rows[cut], y[cut]) for cut in (slice(800), slice(800, 1000), slice(1000, None))]
    how = {"columns": {name: {"kind": "number"} for name in "abc"}}
    study = KIND.learn_reading(Study("rows", ["healthy", "ill"], *parts, False, [], how, "rows", "3 columns"))
    random.set_seed(0)
    model = build(3, 2, "linear")
    plan = KIND.plan(study, Options(network="linear"))
    model.fit(KIND.training_batches(study, plan, 0), epochs=10, steps_per_epoch=40, verbose=0)
    mine = roc_auc(study.test.y, model.predict(KIND.plain_batches(study, study.test, 64))[:, 0])
    baseline = logistic_regression(KIND, study, 0)[0]
    assert abs(mine - roc_auc(study.test.y, baseline.table[:, 1])) < 0.01


def test_without_data_patients_are_made_up_once(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYDX_HOME", str(tmp_path))
    study, again = (KIND.open_study(None, size=None, limit=None, seed=0) for _ in range(2))
    assert study.synthetic and study.notes[0].startswith("Synthetic") and study.source == "made-up patients"
    assert list(study.test.x) == list(again.test.x) and not set(study.train.patient) & set(study.test.patient)


def test_the_usual_schedule_and_other_networks(patients):
    study = KIND.open_study(patients, size=None, limit=None, seed=0)
    assert len(study.train.y) + len(study.val.y) + len(study.test.y) == PATIENTS
    assert KIND.plan(study, Options()).network == "mlp" and KIND.plan(study, Options(network="linear")).network == "linear"
    with pytest.raises(ValueError, match="--network lstm is not for rows: there is mlp, linear"):
        KIND.plan(study, Options(network="lstm"))
    with pytest.raises(ValueError, match="--size is not for rows"):
        KIND.open_study(patients, size=3, limit=None, seed=0)


# ---- tables of files and of texts ----------------------------------------------------------------------------------

HEADERS = {
    "table": "patient,age,label\n1,60,ill\n",
    "image": "patient,image,label\n1,a.png,ill\n",
    "sound": "sound,label\na.wav,ill\n",
    "text": "note,label\nfever and chills,ill\n",
    "fused": "Image,age,label\na.png,60,ill\n",
}


@pytest.mark.parametrize("kind", HEADERS)
def test_a_table_is_of_the_kind_of_its_columns(kind, tmp_path):
    header, row, _ = HEADERS[kind].split("\n")
    table = tmp_path / "t.csv"
    table.write_text("\n".join([header, row, row.replace("60", "70"), row.replace("60", "50")]) + "\n", "utf-8")
    assert kinds.guess(table) == kind


def test_images_of_a_table(tmp_path):
    rng = np.random.default_rng(0)
    lines = ["image,patient,site,label"]
    for i in range(40):
        save_img(tmp_path / f"{i}.png", rng.uniform(0, 255, (10, 8, 1)), scale=False)
        lines.append(f"{i}.png,p{i // 2},{'ab'[i % 2]},{['healthy', 'ill'][i // 2 % 2]}")
    table = tmp_path / "t.csv"
    table.write_text("\n".join(lines) + "\n", "utf-8")
    kind = kinds.get(kinds.guess(table))
    study = kind.open_study(table, size=12, limit=None, seed=0)
    parts = [study.train, study.val, study.test]
    assert study.noun == "images" and sum(len(part.y) for part in parts) == 40
    for part in parts:
        number = [int(file.rsplit("/", 1)[1][:-4]) for file in part.files]
        assert part.y.tolist() == [i // 2 % 2 for i in number] and part.patient.tolist() == [f"p{i // 2}" for i in number]
        assert part.site.tolist() == ["ab"[i % 2] for i in number]
    assert not set(study.train.patient) & set(study.test.patient)
    labelled = kind.open_labelled(table, ["healthy", "ill"], study.preprocessing)
    assert labelled.y.tolist() == [i // 2 % 2 for i in range(40)]
    assert kind.inputs(str(table), study.preprocessing) == [str(tmp_path / f"{i}.png") for i in range(40)]
    other = tmp_path / "other.csv"
    other.write_text("image,age,label\n0.png,60,ill\n1.png,,ill\n,70,ill\n", "utf-8")
    assert len(kind.open_labelled(other, ["ill"], study.preprocessing).y) == 2
    with pytest.raises(ValueError, match=r"other.csv, line 4, column 'image': an empty cell"):
        kind.inputs(str(other), study.preprocessing)
    (tmp_path / "7.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"t.csv, line 9, column 'image': .*7.png"):
        kind.open_study(table, size=12, limit=None, seed=0)


def test_sounds_of_a_table_are_those_of_folders(tmp_path):
    folder = write_heart_folders(tmp_path / "heart", train=12, val=4, test=4, seconds=1)
    lines = ["sound;split;label"]
    for split in ("train", "val", "test"):
        files = sorted((folder / split).glob("*/*.wav"), key=lambda file: (file.parent.name, file.name))
        lines += [f"heart/{split}/{file.parent.name}/{file.name};{split};{file.parent.name}" for file in files]
    table = tmp_path / "t.csv"
    table.write_text("\n".join(lines) + "\n", "utf-8")
    kind = kinds.get(kinds.guess(table))
    found, usual = (kind.open_study(path, size=1, limit=None, seed=0) for path in (table, folder))
    assert "fields are separated by semicolons" in found.notes and found.class_names == usual.class_names
    for split in ("train", "val", "test"):
        one, other = getattr(found, split), getattr(usual, split)
        order = [one.files.index(file) for file in other.files]
        np.testing.assert_array_equal(one.x[order], other.x)
        assert one.y[order].tolist() == other.y.tolist()
    assert kind.inputs(str(table), found.preprocessing) == [str(tmp_path / line.split(";")[0]) for line in lines[1:]]


def test_texts_of_a_table_are_inputs(tmp_path):
    (tmp_path / "t.csv").write_text('text,label\n"fever, chills",ill\nwell again,healthy\n', "utf-8")
    assert kinds.get("text").inputs(str(tmp_path / "t.csv"), {}) == ["fever, chills", "well again"]


def test_texts_of_a_table_keep_its_split(tmp_path):
    lines = [
        f"word{i} of {label} in {split},{label},{split}"
        for i in range(4)
        for label in ("ill", "healthy")
        for split in ("train", "dev", "test")
    ]
    table = tmp_path / "t.csv"
    table.write_text("\n".join(["text,label,Split", *lines]) + "\n", "utf-8")
    study = kinds.get("text").open_study(table, size=None, limit=None, seed=0)
    said = {
        split: {line.rsplit(",", 2)[0] for line in lines if line.endswith(name)}
        for split, name in zip(SPLITS, ("train", "dev", "test"), strict=True)
    }
    assert {split: set(getattr(study, split).x) for split in SPLITS} == said
    labelled = kinds.get("text").open_labelled(table, ["healthy", "ill"], study.preprocessing, "val")
    assert set(labelled.x) == said["val"]
    table.write_text(table.read_text("utf-8").replace(",dev", ",later", 1), "utf-8")
    with pytest.raises(ValueError, match="line 3, column 'split': 'later' is no split"):
        kinds.get("text").open_study(table, size=None, limit=None, seed=0)


def test_columns_are_given_in_any_case_and_with_hyphens():
    known = {"Blood Group": {"kind": "category"}, "Age": {"kind": "number"}}
    assert row_given({"blood-group": "AB", "age": "63"}, known) == Row({"Blood Group": "AB", "Age": 63.0})


def test_models_of_files_have_no_columns(tmp_path):
    with pytest.raises(ValueError, match="--age is neither an option nor a column: this model reads images"):
        kinds.get("image").given({"age": "63"}, {})
