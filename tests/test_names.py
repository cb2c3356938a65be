"""Names from the world: every page, figure, table and line of a terminal shows them, and does nothing with them."""

import argparse
import csv
import io
import json
import os

import numpy as np
import pytest
from matplotlib.figure import Figure
from small import dense_model, two_classes

from tinydx import cli, evaluation, names
from tinydx.bench import folder as bench_folder
from tinydx.bench import results
from tinydx.bench.plot import picture
from tinydx.callbacks import CSVLogger
from tinydx.datasets.study import Examples, Study
from tinydx.diagnosis import elsewhere
from tinydx.diagnosis.kinds.image import KIND
from tinydx.diagnosis.report import write_report
from tinydx.exercises import commands as exercises
from tinydx.exercises import grade
from tinydx.exercises.folder import PROGRESS, Folder
from tinydx.layers import Dense, Flatten
from tinydx.models import Sequential
from tinydx.preprocessing.files import save_img
from tinydx.preprocessing.text import Vocabulary
from tinydx.text.word_vectors import WordVectors

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "$x^{$ $\\frac{$",
    "$$",
    "=HYPERLINK(1)",
    "+1",
    "-1",
    "@SUM(1)",
    "\x1b]0;title\x07\x1b[31mred",
    "a\nb\rc\td",
    "right\u202eto left\u2066",
    "[red]bold[/red]",
    "[/]",
    "{name}",
    "| bar | bar",
    "'\";--",
    "half \ud800 a pair",
    "\u2028line",
    "n" * 300,
    "肺炎 👩\u200d⚕️",
    "\x00\x9b31m",
    "%s %(x)s",
]
DRAWN = [HOSTILE[k] for k in (0, 2, 3, 8, 9, 18)]  # in the tests that draw a figure for each
SAFE = ["pneumonia", "正常", "grade-2", "p=0.5", "É é", "👩\u200d⚕️", "a b"]


def is_quiet(text):
    """Nothing in a text moves the cursor, changes colours or directions, or cannot be written."""
    text.encode("utf-8")
    return not any(c in text for c in "\x1b\x07\x00\x9b\r\u202e\u2066\u2028")


# ---- the functions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_harmless_in_every_place(name):
    for text in (names.shown(name), names.line(name), names.in_html(name), names.in_markdown(name), names.in_figure(name)):
        assert is_quiet(text) and "\n" not in text
    assert "<" not in names.in_html(name) + names.in_markdown(name) + names.without_html(name)
    assert not set('"') & set(names.in_html(name)) and "'" not in names.in_html(name)
    assert not str(names.in_cell(name)).startswith(("=", "+", "-", "@", "\t", "\r"))
    figure = Figure()
    figure.text(0, 0, names.in_figure(name))
    figure.canvas.draw()  # a pair of $ would be parsed, and fail


@pytest.mark.parametrize("name", SAFE)
def test_a_usual_name_stays_what_it_is(name):
    assert names.shown(name) == names.in_html(name) == names.in_cell(name) == names.in_markup(name) == names.line(name) == name


def test_markup_is_shown_as_text():
    from rich.console import Console

    for name in HOSTILE:
        out = Console(file=io.StringIO(), width=1000, color_system="truecolor", force_terminal=True)
        out.print(names.in_markup(name), highlight=False, soft_wrap=True)
        assert out.file.getvalue() == names.shown(name) + "\n"


def test_numbers_stay_numbers_in_a_table():
    assert names.in_cell(-1.5) == -1.5 and names.in_cell(None) is None and names.in_cell(" =1") == "' =1"


# ---- every producer ------------------------------------------------------------------------------------------------


def cells_of(text):
    return [cell for row in csv.reader(io.StringIO(text)) for cell in row]


def no_formula(text):
    for cell in cells_of(text):
        try:
            float(cell)
        except ValueError:
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r")) and is_quiet(cell)


def study_of(class_names):
    part = Examples(np.zeros((4, 8, 8, 3), np.uint8), np.array([0, 1, 0, 1]), [f"{n}.png" for n in class_names * 2])
    return Study(class_names[0], class_names, part, part, part, False, [f"note on {class_names[1]}"], {}, "images", "8x8")


@pytest.mark.parametrize("k", [2, 8, 18, 20])
def test_the_report_of_classes_of_any_name(k, tmp_path, capsys):
    class_names = HOSTILE[k : k + 2]
    print(study_of(class_names).describe())
    out = capsys.readouterr().out
    assert is_quiet(out) and len(out.splitlines()) == 5
    truth, p = np.array([0, 1, 1, 0]), np.array([0.2, 0.7, 0.4, 0.1])
    found = evaluation.evaluate_diagnosis(truth, p, class_names, samples=20)
    known = {"metrics": found, "examples": np.zeros((4, 8, 8)), "y_true": truth, "probabilities": p, "kind": KIND}
    history = {"loss": [0.7, 0.6], class_names[0]: [0.1, 0.2]}
    paths = write_report(tmp_path, **known, history=history, class_names=class_names, title=class_names[1], synthetic=False)
    assert paths["page"].stat().st_size > 10_000
    assert set(json.loads(paths["metrics"].read_text("utf-8"))["class_names"]) == set(class_names)
    no_formula(paths["history_csv"].read_text("utf-8"))


def test_a_class_folder_that_is_no_text_is_refused_before_training(tmp_path, capsys):
    """On most disks a name is bytes; no file of the result could hold this one."""
    for name in (b"caf\xe9", b"normal"):
        folder = os.path.join(os.fsencode(tmp_path / "data"), name)
        try:
            os.makedirs(folder)
        except OSError:
            pytest.skip("this disk takes UTF-8 names only")
        for k in range(20):
            save_img(os.path.join(os.fsdecode(folder), f"{k}.png"), np.random.default_rng(k).uniform(0, 255, (8, 8, 3)))
    assert cli.main(["diagnose", "--data", str(tmp_path / "data"), "--output", str(tmp_path / "out")]) == 1
    assert "has a name that is not UTF-8: rename it" in capsys.readouterr().err and not (tmp_path / "out").exists()


def row_of(name):
    figures = {key: 0.8 for key in ("roc_auc", *elsewhere.RATES)}
    intervals = {f"{key}_interval": [0.7, 0.9] for key in figures}
    majority = {"class": name, "accuracy": 0.5}
    counts = {"path": name, "split": None, "count": 4, "noun": "images", "class_counts": {name: 2, "b": 2}, "reasons": {}}
    return {**counts, **figures, **intervals, "majority": majority, "warnings": [name], "roc": [[0, 0], [1, 1]]}


@pytest.mark.parametrize("name", HOSTILE)
def test_other_places_of_any_name(name):
    row = row_of(name)
    lines = [*elsewhere.words(row), *elsewhere._table([row, row])]
    assert all(is_quiet(line) and "\n" not in line for line in lines)
    if name in DRAWN:
        figure = Figure(layout="constrained")
        elsewhere.plot_curves(figure.add_subplot(), [row])
        figure.canvas.draw()


def hostile_model():
    model = Sequential([Flatten(input_shape=(8, 8, 1)), Dense(2, activation="softmax")])
    reading = {"target_size": [8, 8], "color_mode": "grayscale", "interpolation": "nearest", "rescale": None}
    model.class_names, model.preprocessing = [HOSTILE[8], HOSTILE[9]], {"kind": "image", **reading}
    return model


def test_predict_prints_one_line_for_each_file(tmp_path, capsys):
    hostile_model().save(tmp_path / "m")
    good, missing = tmp_path / "a\x1b[31m\nb.png", str(tmp_path / "no\x1b[31m\nfile.png")
    save_img(good, np.zeros((8, 8, 1)))
    assert cli.main(["predict", str(tmp_path / "m"), str(good), missing]) == 1
    out, err = capsys.readouterr()
    assert is_quiet(out) and out.count("\n") == 1 and out.count("\t") == 2 and r"a\x1b[31m\nb.png" in out
    unread, *_, disclaimer = [line for line in err.splitlines() if "compil" not in line]  # of kernels, once a process
    assert is_quiet(err) and r"no\x1b[31m file.png" in unread and "not a medical device" in disclaimer


def test_an_error_is_one_line_without_control_characters(tmp_path, capsys):
    assert cli.main(["predict", str(tmp_path / "no\x1b]0;x\x07\nmodel\u202e"), "x"]) == 1
    err = capsys.readouterr().err
    assert is_quiet(err) and err.count("\n") == 1 and r"no\x1b]0;x\x07" in err


def test_no_memory_is_one_line(capsys, monkeypatch):
    def too_large(*_, **__):
        return np.zeros(2**57)

    monkeypatch.setattr("tinydx.diagnosis.predicting.predict", too_large)
    assert cli.main(["predict", "m", "x"]) == 1
    assert capsys.readouterr().err.startswith("tinydx: Unable to allocate")


def test_grades_of_students_of_any_name(tmp_path, capsys):
    for name in HOSTILE:
        folder = name.replace("/", "").replace("\x00", "").encode("utf-8", "surrogateescape" if name.isprintable() else "replace")
        (tmp_path / "all" / folder.decode()[:200]).mkdir(parents=True, exist_ok=True)
    table = tmp_path / "t.csv"
    given = {"folder": tmp_path / "all", "csv": table, "seconds": 5, "jobs": 1, "junit": None, "rubric": None}
    assert exercises.grade(argparse.Namespace(**given)) == 0
    out = capsys.readouterr().out
    assert is_quiet(out) and r"\x1b]0;title\x07" in out
    no_formula(table.read_text("utf-8"))
    students = len(list((tmp_path / "all").iterdir()))
    rows = list(csv.reader(io.StringIO(table.read_text("utf-8"))))
    assert len(out.splitlines()) == len(rows) == students + 1
    no_formula(grade.as_csv([grade.Score(name, {"relu": "ok"}) for name in HOSTILE]))


def test_what_a_learner_prints_moves_no_cursor(tmp_path, capsys):
    folder = Folder(tmp_path)
    folder.start()
    file = next(tmp_path.glob("*_relu.py"))
    file.write_text("print('\\x1b[2J\\x1b]0;owned\\x07')\n" + file.read_text("utf-8"), "utf-8")
    exercises.check(argparse.Namespace(dir=str(tmp_path), all=False, names=["relu"], seconds=10, json=False))
    out = capsys.readouterr().out
    assert is_quiet(out) and r"\x1b[2J" in out


@pytest.mark.parametrize("text", ['{"passed": [], "hints": {"a": Infinity}}', "[" * 100_000, "[]", '{"passed": 1}', "\x00"])
def test_a_damaged_progress_is_kept_aside(text, tmp_path, capsys):
    (tmp_path / PROGRESS).write_text(text, "utf-8")
    assert Folder(tmp_path).progress().passed == set() and (tmp_path / f"{PROGRESS}.damaged").exists()


def test_a_log_of_metrics_of_any_name(tmp_path):
    model = dense_model()
    model.compile("sgd", "mse")
    logger = CSVLogger(tmp_path / "log.csv")
    logger.model = model
    logger.on_train_begin()
    logger.on_epoch_end(0, {name: 1.0 for name in HOSTILE if "\ud800" not in name})
    no_formula((tmp_path / "log.csv").read_text("utf-8"))
    model.fit(*two_classes(), callbacks=logger, verbose=0)  # it still works


def test_summary_of_layers_of_any_name(capsys):
    Sequential([Dense(2, name=name) for name in HOSTILE], name=HOSTILE[8]).summary()
    assert is_quiet(capsys.readouterr().out)


@pytest.mark.filterwarnings("ignore:Glyph")
def test_a_map_of_words_of_any_kind(tmp_path):
    words = [w for w in HOSTILE if "\ud800" not in w and len(w) < 100]
    vectors = WordVectors(Vocabulary(words), np.random.default_rng(0).normal(size=(len(words) + 4, 3)))
    assert vectors.plot({words[2]: words[:5], words[3]: words[5:]}, tmp_path / "map.png").stat().st_size > 10_000


def bench_of(name):
    row = {"case": name, "direction": "forward", "threads": 1, "backend": name, "label": name, "ours": False, "flops": 10}
    row |= {"bytes": 10, "seconds": [1.0, 1.1, 1.2], "note": name, "shapes": [[2, 2]]}
    ours = {**row, "ours": True, "backend": "numba", "label": "numba"}
    machine = {"processor": name, "cores": 1, "versions": {name: "1"}, "kernels": name, "environment": {}}
    return {
        "kind": "op",
        "op": name,
        "rows": [ours, row],
        "roofs": {"1": None},
        "machine": machine,
        "command": name,
        "missing": {name: name},
    }


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("name", [n for n in HOSTILE if "\ud800" not in n])
def test_a_measurement_of_anything(name, tmp_path, capsys):
    bench_folder.save(bench_of(name), tmp_path)
    run = bench_folder.read_whole(tmp_path / "bench.json")
    results.show(run)
    out = capsys.readouterr().out
    assert is_quiet(out)
    text = results.markdown(run)
    assert is_quiet(text.replace("\n", "")) and "<" not in text
    if name in DRAWN:
        assert len(picture(run)) > 1000


@pytest.mark.parametrize(
    "change",
    [
        {"rows": 1},
        {"rows": [{}]},
        {"machine": None},
        {"roofs": []},
        {"missing": 5},
        {"kind": "step"},
        {"op": None, "rows": [None]},
    ],
)
def test_a_measurement_that_is_none(change, tmp_path):
    run = {"format": bench_folder.FORMAT, **bench_of("relu"), **change}
    (tmp_path / "bench.json").write_text(json.dumps(run), "utf-8")
    with pytest.raises(ValueError, match=r"bench\.json is not a whole result") as caught:
        bench_folder.read_whole(tmp_path / "bench.json")
    assert "\n" not in str(caught.value)
