"""The report's files hold the metrics; its page shows them, cuts nothing off, and marks what is wrong."""

import csv
import json
import os
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import matplotlib.backends.backend_agg
import numpy as np
import pytest
from matplotlib import font_manager, rc_context, rcParams
from matplotlib.colors import to_hex
from matplotlib.text import Text
from PIL import Image

from tinydx import evaluation
from tinydx.diagnosis import report
from tinydx.diagnosis.kinds.image import KIND as IMAGE
from tinydx.diagnosis.page import Page
from tinydx.diagnosis.sections import all_bands, all_words, sections

HISTORY = {"loss": [0.7, 0.5, 0.4], "accuracy": [0.5, 0.7, 0.8], "val_loss": [0.7, 0.6, 0.5], "val_accuracy": [0.5, 0.6, 0.75]}
LONG = [
    "adipose",
    "background",
    "debris",
    "lymphocytes",
    "mucus",
    "smooth muscle",
    "normal colon mucosa",
    "cancer-associated stroma",
    "colorectal adenocarcinoma epithelium",
]


def made_up(n: int, names: list[str], seed: int = 0) -> dict:
    """A test set of n images with a fair classifier, as the arguments of write_report."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % len(names))
    table = np.exp(2 * np.eye(len(names))[y] + rng.normal(size=(n, len(names))))
    table /= table.sum(axis=1, keepdims=True)
    p = table[:, 1] if len(names) == 2 else table
    return {
        "metrics": evaluation.evaluate_diagnosis(y, p, names, samples=50),
        "history": HISTORY,
        "examples": rng.random((n, 12, 12, 1)),
        "y_true": y,
        "probabilities": p,
        "class_names": names,
        "kind": IMAGE,
        "title": "Made-up images",
        "subtitle": "of a test",
        "synthetic": True,
    }


NOT_BETTER = "Not better than logistic regression on pixels (tinydx): ROC AUC 0.914 against 0.926 (p = 0.31: can't tell)."
CHANGES = ["framed differently", "brighter, darker, or of another contrast", "blurred"]


def baseline(name: str, area: float | None, difference: float | None, p: float | None, verdict: str, reason=None) -> dict:
    """A row of metrics["baselines"], as `tinydx.diagnosis.baselines` makes it."""
    known = area is not None
    return {
        "name": name,
        "roc_auc": area,
        "roc_auc_interval": [area - 0.02, area + 0.02] if known else None,
        "accuracy": 0.817 if known else None,
        "accuracy_interval": [0.78, 0.84] if known else None,
        "seconds": 1.0,
        "measure": "roc_auc",
        "difference": difference,
        "p_value": p,
        "verdict": verdict,
        "reason": reason,
    }


def place(path: str, area: float | None, warnings: list[str], curve: bool = True) -> dict:
    """A row of metrics["elsewhere"], as `tinydx.diagnosis.elsewhere` makes it."""
    rates = np.linspace(0, 1, 30)
    return {
        "path": path,
        "split": None,
        "noun": "images",
        "count": 500,
        "roc_auc": area,
        "roc_auc_interval": None if area is None else [area - 0.04, area + 0.04],
        "accuracy": 0.52,
        "accuracy_interval": [0.48, 0.56],
        "sensitivity": None if area is None else 0.9,
        "specificity": 0.2,
        "reasons": {},
        "roc": np.c_[rates, rates**0.5].tolist() if curve else None,
        "warnings": warnings,
    }


def with_everything(arguments: dict, places: int = 2) -> dict:
    """The same report with every key that `diagnose` adds."""
    added = {
        "baselines": [
            baseline("the majority class (normal)", 0.5, 0.414, 1e-9, "better"),
            baseline("logistic regression on pixels at 32x32 (scikit-learn)", 0.926, -0.012, 0.31, "can't tell"),
            baseline("another baseline with a name longer than a line", None, None, None, "can't tell", "no class " * 20),
        ],
        "verdict": NOT_BETTER,
        "validation": {
            "roc_auc": 0.994,
            "roc_auc_shifted": 0.88,
            "accuracy": 0.97,
            "accuracy_shifted": 0.8,
            "changes": [{"name": name, "roc_auc": 0.87, "accuracy": 0.81} for name in CHANGES],
            "sentence": "Loses 0.12 of ROC AUC when images are framed differently (0.874 instead of 0.994).",
        },
        "elsewhere": [
            place("/data/nih", 0.39, ["No better than chance here: do not use it.", "They differ:", "- brightness " * 20]),
            place("/data/" + "long_name_" * 12, 0.93, [], curve=places > 2),
            *(place(f"/data/hospital {k}", None if k == 3 else 0.8, ["Worse here."], k != 3) for k in range(places - 2)),
        ],
        "recipe": {"steps": 700, "why": ["small network: fewer weights to learn the frame of an image by heart " * 3, "seed 0"]},
    }
    return {**arguments, "metrics": {**arguments["metrics"], **added}}


CASES = {
    "two classes": made_up(40, ["abnormal", "normal"]),
    "three classes": made_up(40, ["bacteria", "normal", "virus"]),
    "nine long names": made_up(90, LONG),
    "six images": made_up(6, ["normal", "ill"]),
    "one image": made_up(1, ["normal", "ill"]),
    "one epoch": {**made_up(30, ["normal", "ill"]), "history": {key: v[:1] for key, v in HISTORY.items()}},
    "no history": {**made_up(30, ["normal", "ill"]), "history": {}},
    "no validation": {**made_up(30, ["normal", "ill"]), "history": {"loss": [1.0, 0.5], "auc": [0.5, 0.9]}},
    "diverged": {**made_up(30, ["normal", "ill"]), "history": {"loss": [float("nan")] * 3}},
    "long texts": {
        **made_up(30, ["normal lung without any finding", "pneumonia, bacterial or viral"]),
        "title": "A very long title " * 8,
        "subtitle": "and a subtitle that says much " * 12,
    },
    "real data": {**made_up(30, ["NORMAL", "PNEUMONIA"]), "synthetic": False},
    "colour bytes": {
        **made_up(30, ["normal", "ill"]),
        "examples": np.random.default_rng(0).integers(0, 256, (30, 20, 30, 3), dtype=np.uint8),
    },
    "odd characters": made_up(30, ["$x_1^2$", "a_b\n{%}"]),
    "everything": with_everything(made_up(40, ["normal", "ill"])),
    "everything, many classes": with_everything(made_up(90, LONG)),
    "many places": with_everything(made_up(40, ["normal", "ill"]), places=12),
    "nothing added": {
        **made_up(30, ["normal", "ill"]),
        "metrics": {**made_up(30, ["normal", "ill"])["metrics"], "baselines": [], "validation": None, "elsewhere": []},
    },
}


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """drawn(arguments) writes a report; returns its paths, the page's figure, every text drawn on it."""
    figures, texts = [], []
    draw = Text.draw

    class Recorder(matplotlib.backends.backend_agg.FigureCanvasAgg):
        def __init__(self, figure):
            figures.append(figure)
            texts.clear()
            super().__init__(figure)

    def recorded(text, renderer, *arguments, **keywords):
        if text.get_visible() and text.get_text().strip():
            texts.append(text)
        draw(text, renderer, *arguments, **keywords)

    def write(arguments):
        paths = report.write_report(tmp_path / "out", **arguments)
        return paths, figures[-1], list(dict.fromkeys(texts))

    monkeypatch.setattr(matplotlib.backends.backend_agg, "FigureCanvasAgg", Recorder)
    monkeypatch.setattr(Text, "draw", recorded)
    return write


def words(texts: list[Text]) -> list[str]:
    return [text.get_text() for text in texts]


# --- files --------------------------------------------------------------------------------------------------


def test_the_folder_holds_the_page_and_its_numbers(tmp_path):
    arguments = CASES["two classes"]
    paths = report.write_report(tmp_path / "new" / "folder", **arguments)
    assert (
        sorted(file.name for file in (tmp_path / "new" / "folder").iterdir())
        == sorted(path.name for path in paths.values())
        == ["history.csv", "history.json", "metrics.json", "report.png"]
    )
    assert json.loads(paths["metrics"].read_text(encoding="utf-8")) == arguments["metrics"]
    assert json.loads(paths["history"].read_text(encoding="utf-8")) == HISTORY
    with paths["history_csv"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert {key: [float(row[key]) for row in rows] for key in HISTORY} == HISTORY
    with Image.open(paths["page"]) as image:
        image.load()
        assert image.width == 1350 and image.height > image.width and image.info["Title"] == "Made-up images"


def test_numpy_numbers_and_nan_become_plain_json(tmp_path):
    history = {"loss": np.array([0.5, np.nan], dtype=np.float32), "val_loss": [np.float64(np.inf)], "n": [np.int64(3)]}
    paths = report.write_report(tmp_path, **CASES["two classes"] | {"history": history})

    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    text = paths["history"].read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=refuse) == {"loss": [0.5, None], "val_loss": [None], "n": [3]}
    assert paths["history_csv"].read_text().splitlines() == ["epoch,loss,val_loss,n", "1,0.5,,3", "2,,,"]


def test_the_same_input_gives_the_same_bytes(tmp_path):
    first, second = (report.write_report(tmp_path / name, **CASES["three classes"]) for name in ("a", "b"))
    assert all(first[key].read_bytes() == second[key].read_bytes() for key in first)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"examples": np.zeros((39, 4, 4))}, "39 images, 40 labels"),
        ({"y_true": np.zeros(39)}, "40 images, 39 labels"),
        ({"examples": np.zeros((40, 4, 4, 2))}, r"not \(4, 4, 2\)"),
        ({"examples": np.zeros((40, 4))}, r"not \(4,\)"),
        ({"probabilities": np.zeros((40, 3))}, "do not fit the 2 classes"),
    ],
)
def test_mismatched_arguments_raise_and_nothing_is_written(tmp_path, change, what):
    with pytest.raises(ValueError, match=what):
        report.write_report(tmp_path / "out", **CASES["two classes"] | change)
    assert not (tmp_path / "out").exists()


# --- the page -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_no_text_is_cut_off_and_no_two_collide(drawn, case):
    """Warnings are errors here, so this also tells a layout that fails and a character that no font has."""
    _, figure, texts = drawn(CASES[case])
    check_layout(figure, texts)


def check_layout(figure, texts: list[Text]) -> None:
    renderer, page = figure.canvas.get_renderer(), figure.bbox
    boxes = [(text, text.get_window_extent(renderer)) for text in texts]
    for text, box in boxes:
        inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= page.x1 + 1 and box.y1 <= page.y1 + 1
        assert inside, f"{text.get_text()!r} is cut off"
    upright = [(text, box) for text, box in boxes if text.get_rotation() % 90 == 0]  # not slanted
    for (one, box), (other, second) in combinations(upright, 2):
        width = min(box.x1, second.x1) - max(box.x0, second.x0)
        height = min(box.y1, second.y1) - max(box.y0, second.y0)
        assert width < 3 or height < 3, f"{one.get_text()!r} lies over {other.get_text()!r}"


def image_axes(figure) -> list:
    """The axes of the test images, in the order of the page."""
    return [axes for axes in figure.axes if "truth: " in axes.get_xlabel()]


@pytest.mark.parametrize("case", ["two classes", "three classes", "six images"])
def test_wrong_answers_and_only_they_are_red_and_crossed(drawn, case):
    arguments = CASES[case]
    _, figure, _ = drawn(arguments)
    table = evaluation.probability_table(arguments["probabilities"], arguments["class_names"])
    called, wrong_shown = table.argmax(axis=1), 0
    for axes in image_axes(figure):
        shown = np.asarray(axes.images[0].get_array())
        same = [np.array_equal(shown, picture[..., 0]) for picture in arguments["examples"]]
        index = same.index(True)
        is_wrong = called[index] != arguments["y_true"][index]
        wrong_shown += is_wrong
        answer, truth = axes.get_xlabel().split("\n")
        name = arguments["class_names"][called[index]]
        assert answer.removeprefix("\u2717 ") == f"{name} {table[index].max():.0%}"
        assert truth == f"truth: {arguments['class_names'][arguments['y_true'][index]]}"
        assert answer.startswith("\u2717") == is_wrong
        assert (axes.xaxis.label.get_color() == report.RED) == is_wrong
        assert (to_hex(axes.spines["left"].get_edgecolor()) == report.RED) == is_wrong
    assert 0 < wrong_shown < len(image_axes(figure))


def test_the_most_confident_mistakes_come_last_and_in_order(drawn):
    arguments = CASES["two classes"]
    _, figure, _ = drawn(arguments)
    p1 = arguments["probabilities"]
    wrong = (p1 > 0.5) != arguments["y_true"]
    expected = np.sort(np.maximum(p1, 1 - p1)[wrong])[::-1][:6]
    shown = [axes.get_xlabel().split("\n")[0] for axes in image_axes(figure)[12:]]
    assert [text.split()[-1] for text in shown] == [f"{p:.0%}" for p in expected]


@pytest.mark.parametrize(("case", "marked"), [("two classes", True), ("real data", False)])
def test_synthetic_data_is_marked_in_the_title_and_on_every_image(drawn, case, marked):
    _, figure, drawn_texts = drawn(CASES[case])
    texts = words(drawn_texts)
    assert any(text.endswith("(synthetic data)") for text in texts) == marked
    assert any(text.startswith("Synthetic data: a program drew") for text in texts) == marked
    assert texts.count("synthetic") == (len(image_axes(figure)) if marked else 0)
    assert len(image_axes(figure)) > 12


def test_the_page_shows_the_numbers_of_the_metrics(drawn):
    arguments = CASES["two classes"]
    found = arguments["metrics"]
    texts = "\n".join(words(drawn(arguments)[2]))
    for key in ("accuracy", "sensitivity", "specificity"):
        low, high = found[f"{key}_interval"]
        assert f"{found[key]:.1%}" in texts and f"95% interval {low:.1%} to {high:.1%}" in texts
    assert f"AUC {found['roc_auc']:.3f}\n95% interval {found['roc_auc_interval'][0]:.3f}" in texts
    for count in np.ravel(found["confusion_matrix"]):
        assert f"\n{count}\n" in texts
    assert found["statement"].split(". ")[0] in texts


def test_the_roc_curve_is_of_the_positive_class_and_passes_through_the_threshold(drawn):
    arguments = CASES["two classes"]  # abnormal=0 is positive, the probabilities are of normal=1
    _, figure, _ = drawn(arguments)
    axes = next(axes for axes in figure.axes if axes.get_title(loc="left") == "ROC curve")
    y, p = arguments["y_true"], arguments["probabilities"]
    false_rate, true_rate, _ = evaluation.roc_curve(y == 0, 1 - p)
    curve = next(line for line in axes.lines if len(line.get_xdata()) == len(false_rate))
    np.testing.assert_allclose(curve.get_xdata(), 100 * false_rate)
    np.testing.assert_allclose(curve.get_ydata(), 100 * true_rate)
    point = next(line for line in axes.lines if len(np.atleast_1d(line.get_xdata())) == 1)
    called = p <= 0.5
    assert np.atleast_1d(point.get_xdata())[0] == pytest.approx(100 * np.mean(called[y == 1]))
    assert np.atleast_1d(point.get_ydata())[0] == pytest.approx(100 * np.mean(called[y == 0]))


def test_many_classes_have_a_roc_curve_each(drawn):
    _, figure, _ = drawn(CASES["three classes"])
    axes = next(axes for axes in figure.axes if axes.get_title(loc="left").startswith("ROC"))
    areas = [record["roc_auc"] for record in CASES["three classes"]["metrics"]["per_class"]]
    names = CASES["three classes"]["class_names"]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        f"{name} {area:.3f}" for name, area in zip(names, areas, strict=True)
    ]


def test_unknown_numbers_are_replaced_by_their_reason(drawn):
    one_class = {**CASES["two classes"], "y_true": np.ones(40, dtype=int)}
    one_class["metrics"] = evaluation.evaluate_diagnosis(
        one_class["y_true"], one_class["probabilities"], one_class["class_names"]
    )
    texts = words(drawn(one_class)[2])
    assert texts.count("unknown") == 2 and "no example is abnormal" in texts  # sensitivity and AUC
    assert any(text.startswith("No ROC curve") for text in texts)


# --- what to know before one believes the numbers -----------------------------------------------------------

HEADINGS = {
    "baselines": "Beside simple baselines",
    "validation": "When images are framed differently",
    "elsewhere": "Elsewhere",
    "recipe": "How it was trained, and why",
}


@pytest.mark.parametrize("key", HEADINGS)
def test_each_band_is_there_if_its_key_is(drawn, key):
    everything = CASES["everything"]["metrics"]
    arguments = {**made_up(40, ["normal", "ill"])}
    arguments["metrics"] = {**arguments["metrics"], key: everything[key]}
    texts = words(drawn(arguments)[2])
    assert [heading in texts for heading in HEADINGS.values()] == [other == key for other in HEADINGS]
    assert not set(HEADINGS.values()) & set(words(drawn(made_up(40, ["normal", "ill"]))[2]))


def flat(text: str) -> str:
    return " ".join(text.split())


def height_of(texts: list[Text], beginning: str) -> float:
    """How high on the page a text stands, in pixels from below."""
    return next(text.get_window_extent().y1 for text in texts if flat(text.get_text()).startswith(beginning))


def test_a_verdict_that_is_not_better_and_warnings_stand_above_the_numbers(drawn):
    _, _, texts = drawn(CASES["everything"])
    for beginning in ("Not better than logistic", "Elsewhere, nih: No better than chance here"):
        assert height_of(texts, beginning) > height_of(texts, "Sensitivity")
    assert NOT_BETTER in {flat(text.get_text()) for text in texts}
    better = {**CASES["everything"]["metrics"], "verdict": "Better than everything.", "elsewhere": [place("there", 0.9, [])]}
    texts = drawn({**CASES["everything"], "metrics": better})[2]
    assert (
        height_of(texts, "Better than everything.") < height_of(texts, "Beside simple baselines") < height_of(texts, "Accuracy")
    )
    assert words(texts).count("Better than everything.") == 1 and report.RED not in {text.get_color() for text in texts[:6]}


def test_the_bands_show_the_figures(drawn):
    found = CASES["everything"]["metrics"]
    texts = [flat(text) for text in words(drawn(CASES["everything"])[2])]
    low, high = found["roc_auc_interval"]
    assert f"{found['roc_auc']:.3f} ({low:.3f} to {high:.3f})" in texts  # this model's own
    for text in ("0.926 (0.906 to 0.946)", "81.7% (78.0% to 84.0%)", "-0.012, p = 0.31", "+0.414, p < 0.001", "better"):
        assert text in texts, text
    for text in ("as they are", "0.994", "97.0%", "mean over the changes", "0.880", "80.0%", *CHANGES):
        assert text in texts, text
    for text in ("0.390 (0.350 to 0.430)", "52.0% (48.0% to 56.0%)", "500", "nih"):
        assert text in texts, text
    assert any(text.startswith("- small network: ") for text in texts) and "- seed 0" in texts


def test_the_curves_of_test_and_elsewhere_share_their_axes(drawn):
    _, figure, _ = drawn(CASES["many places"])
    axes = next(axes for axes in figure.axes if axes.get_title(loc="left") == "ROC curves of the test and elsewhere")
    named = [line for line in axes.lines if not line.get_label().startswith("_")]
    assert len(named) == 1 + 11 and named[1].get_label() == "nih: AUC 0.390"
    np.testing.assert_allclose(named[1].get_xydata(), 100 * np.array(CASES["many places"]["metrics"]["elsewhere"][0]["roc"]))
    assert named[0].get_label() == f"its own test: AUC {CASES['many places']['metrics']['roc_auc']:.3f}"
    for case in ("everything, many classes", "nothing added"):
        titles = [axes.get_title(loc="left") for axes in drawn(CASES[case])[1].axes]
        assert "ROC curves of the test and elsewhere" not in titles


# --- fonts, and what drawing must not do --------------------------------------------------------------------


@pytest.fixture
def only_dejavu(monkeypatch):
    """A machine that has no font but matplotlib's own."""
    entries = [entry for entry in font_manager.fontManager.ttflist if entry.name == "DejaVu Sans"]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", entries)


CHINESE = {**made_up(30, ["异常", "正常"]), "title": "胸片诊断"}


def test_names_without_a_font_become_numbers(drawn, only_dejavu):
    paths, _, texts = drawn(CHINESE)
    texts = "\n".join(words(texts))
    assert texts.isascii() or set(texts) - set(map(chr, range(128))) <= {"\u2717", "\u2026", "\u2212"}
    assert "truth: class 0" in texts and "metrics.json" in texts and "\\u80f8" in texts
    assert json.loads(paths["metrics"].read_text(encoding="utf-8"))["class_names"] == ["异常", "正常"]


def test_a_font_that_has_the_characters_is_found(drawn, only_dejavu, tmp_path, caplog):
    font_manager.fontManager.addfont(tiny_font(tmp_path / "tiny.ttf", "异常正胸片诊断"))
    texts = words(drawn(CHINESE)[2])
    assert "胸片诊断 (synthetic data)" in texts and "异常" in texts and "正常" in texts
    assert not caplog.records  # findfont complains in the log, not by a warning


def tiny_font(path: Path, characters: str) -> Path:
    """A font file with a square for each of the characters."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    names = {ord(character): f"c{k}" for k, character in enumerate(characters)}
    pen = TTGlyphPen(None)
    pen.moveTo((50, 0))
    for point in ((50, 800), (950, 800), (950, 0)):
        pen.lineTo(point)
    pen.closePath()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", *names.values()])
    builder.setupCharacterMap(names)
    builder.setupGlyf({name: pen.glyph() for name in (".notdef", *names.values())})
    builder.setupHorizontalMetrics({name: (1000, 50) for name in (".notdef", *names.values())})
    builder.setupHorizontalHeader(ascent=900, descent=-100)
    builder.setupNameTable({"familyName": "Tinydx Test Hei", "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=900, usWeightClass=400)
    builder.setupPost()
    builder.save(path)
    return path


def test_a_dollar_sign_is_shown_as_such(drawn):
    texts = drawn(CASES["odd characters"])[2]
    assert any("$x_1^2$" in word for word in words(texts))
    assert not any(text.get_parse_math() for text in texts)


def test_nothing_global_changes(tmp_path):
    with rc_context({"font.size": 31, "axes.grid": False, "text.color": "green", "text.parse_math": True}):
        before = dict(rcParams)
        report.write_report(tmp_path, **CASES["six images"])
        assert dict(rcParams) == before


def test_pyplot_is_never_imported_and_matplotlib_only_when_drawing(tmp_path):
    """In a fresh process, where no other test has imported them."""
    program = (
        "import sys, numpy as np\n"
        "from tinydx import evaluation\n"
        "from tinydx.diagnosis import report\n"
        "from tinydx.diagnosis.kinds.image import KIND\n"
        "assert 'matplotlib' not in sys.modules\n"
        "y, p = np.array([0, 1, 1]), np.array([0.2, 0.9, 0.4])\n"
        "found = evaluation.evaluate_diagnosis(y, p, ['normal', 'ill'], samples=20)\n"
        "report.write_report(sys.argv[1], metrics=found, history={}, examples=np.zeros((3, 4, 4)), y_true=y,\n"
        "                    probabilities=p, class_names=['normal', 'ill'], kind=KIND, title='t', synthetic=True)\n"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules\n"
    )
    root = Path(report.__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, str(tmp_path)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_section_is_shown_where_it_found_something():
    keys = [section.key for section in sections()]
    assert len(set(keys)) == len(keys)
    assert [section.order for section in sections()] == sorted(section.order for section in sections())
    assert all_words(dict.fromkeys(keys)) == []
    page = CASES["two classes"]
    nothing = Page(dict.fromkeys(keys), {}, [], np.zeros(0), np.zeros((0, 2)), page["kind"], "", "", False)
    assert all_bands(nothing) == []
