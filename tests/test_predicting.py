"""`tinydx predict`: a line for each input, warnings of inputs unlike the training data, the disclaimer, and the page."""

import json

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from tinydx import cli, evaluation
from tinydx.datasets.study import Examples, Study
from tinydx.diagnosis import answer_page, elsewhere, kinds, report, unlike
from tinydx.diagnosis.answer_page import Shown
from tinydx.diagnosis.kinds import sound
from tinydx.diagnosis.page import grid
from tinydx.layers import AveragePooling2D, Dense, Flatten
from tinydx.models import Sequential, load_model
from tinydx.preprocessing.files import save_img
from tinydx.tasks import unlike_inputs

SIZE = 16


def pictures(rng, n):
    """Grey pictures (n,H,W,3): a bright disk on a dark ground, with noise."""
    down, across = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    disks = 60 + 90 * (np.hypot(down, across)[None] < rng.uniform(4, 6, (n, 1, 1)))
    return np.clip(disks + rng.normal(0, 12, disks.shape), 0, 255).astype(np.uint8)[..., None].repeat(3, axis=3)


@pytest.fixture(scope="module")
def study():
    rng = np.random.default_rng(0)
    parts = [Examples(pictures(rng, n), np.arange(n) % 2) for n in (200, 150, 300)]
    how = {"target_size": [SIZE, SIZE], "color_mode": "rgb", "interpolation": "bilinear", "rescale": 1 / 255}
    return Study("disks", ["ill", "normal"], *parts, False, [], how, "images", "16x16")


@pytest.fixture
def saved(study, tmp_path):
    """The file of a model of the disks, a picture of a disk, and one of coloured noise."""
    model = Sequential([AveragePooling2D((4, 4), input_shape=(SIZE, SIZE, 3)), Flatten(), Dense(1, activation="sigmoid")])
    model.class_names, model.preprocessing = study.class_names, {"kind": "image", **study.preprocessing}
    elsewhere.remember(model, kinds.get("image"), study, {"count": 1, "roc_auc": None, "accuracy": 1.0})
    model.save(tmp_path / "model.safetensors")
    save_img(tmp_path / "disk.png", study.test.x[0], scale=False)
    save_img(tmp_path / "noise.png", np.random.default_rng(1).uniform(0, 255, (40, 40, 3)), scale=False)
    return tmp_path


# ---- the rule ------------------------------------------------------------------------------------------------------


def test_the_distance_is_that_of_the_nearest_row_by_plain_loops():
    rng = np.random.default_rng(0)
    rows, scales, new = rng.normal(size=(7, 3)), rng.uniform(0.5, 2, 3), rng.normal(size=(5, 3))
    expected = []
    for x in new:
        squares = [sum(((x[j] - row[j]) / scales[j]) ** 2 for j in range(3)) / 3 for row in rows]
        expected.append(min(squares) ** 0.5)
    known = {"rows": rows.tolist(), "scales": scales.tolist()}
    np.testing.assert_allclose(unlike.distances(known, new), expected, rtol=1e-12)
    assert unlike.distances(known, rows).max() == 0


@pytest.mark.parametrize("n, expected", [(199, 0.01), (99, 0.01), (19, 0.05)])
def test_the_limit_lets_through_what_it_says_whatever_the_distribution(n, expected):
    rng = np.random.default_rng(0)
    rates = []
    for _ in range(2000):
        x = rng.standard_cauchy(n) ** 2
        rates.append(1 - 2 / np.pi * np.arctan(np.sqrt(unlike.limit(x))))  # the share of the distribution beyond the limit
    assert abs(np.mean(rates) - expected) < 5 * np.std(rates) / 2000**0.5


def test_few_examples_of_the_same_source_are_called_unlike_and_strange_ones_are(study):
    kind = kinds.get("image")
    known = json.loads(json.dumps(unlike.learn(kind, study.train, study.val, study.preprocessing)))
    assert unlike.false_alarms(known, kind, study.test, study.preprocessing)["rate"] < 0.04
    for sort, x in unlike_inputs.strange_images(study.test.x, np.random.default_rng(0)):
        if sort not in ("on its side", "upside down", "coloured"):  # a disk on its side is a disk
            part = Examples(x, np.zeros(len(x), int))
            assert unlike.false_alarms(known, kind, part, study.preprocessing)["rate"] == 1, sort


def test_a_number_that_never_varies_is_divided_by_the_least_scale_not_by_zero(study):
    kind = kinds.get("image")
    known = unlike.learn(kind, study.train, study.val, study.preprocessing)
    assert known["scales"][known["names"].index("colour")] == unlike.LEAST
    tinted = Examples((study.test.x[:5] * [1, 0.8, 0.6]).astype(np.uint8), np.zeros(5, int))
    warnings = [unlike.warning({"alike": known}, kind, Examples(x[None], np.zeros(1, int)), {}) for x in tinted.x]
    assert all("most of all in its colour" in warning for warning in warnings)


@pytest.mark.parametrize("sound_of", ["like speech", "music", "white noise", "a tone", "hiss at -80 dB"])
def test_sounds_of_no_heart_are_unlike_heart_sounds(sound_of):
    kind, rng = kinds.get("sound"), np.random.default_rng(0)
    beats = np.exp(-60 * (np.arange(4000) / sound.RATE % 0.8)) * np.sin(2 * np.pi * 60 * np.arange(4000) / sound.RATE)
    x = (rng.uniform(0.3, 0.9, (80, 1)) * beats + 0.01 * rng.standard_normal((80, 4000))).astype(np.float32)
    known = unlike.learn(kind, Examples(x[:50], np.zeros(50, int)), Examples(x[50:], np.zeros(30, int)), {})
    strange = dict(unlike_inputs.strange_sounds(x[50:], rng))[sound_of][:6]
    assert unlike.false_alarms(known, kind, Examples(strange, np.zeros(6, int)), {})["rate"] == 1


def test_texts_of_another_language_and_none(tmp_path):
    kind, rng = kinds.get("text"), np.random.default_rng(0)
    words = ["fever", "cough", "pain", "tired", "sleep", "walk", "eat", "the", "patient", "has", "no"]
    rows = [f"{' '.join(rng.choice(words, rng.integers(4, 9)))},{'ab'[i % 2]}" for i in range(300)]
    (tmp_path / "t.csv").write_text("\n".join(["text,label", *rows]))
    study = kind.open_study(tmp_path / "t.csv", size=None, limit=None, seed=0)
    known = {"alike": unlike.learn(kind, study.train, study.val, study.preprocessing)}
    for text, strange in [
        ("the patient has no fever", False),
        ("el paciente no tiene fiebre", True),
        ("4711 0815 1234 5678", True),
        ("xqzt fever vvbk jjjw qqqp", True),
    ]:
        warning = unlike.warning(known, kind, kind.example(text, study.preprocessing), study.preprocessing)
        assert (warning is not None) == strange, text


def test_on_real_x_rays(real_data):
    found = unlike_inputs.main([str(real_data("chest_xray_nih_folders"))])
    shares = {sort: alarms / count for sort, (alarms, count) in found.items()}
    assert shares.pop("test examples: false alarms") <= 0.03
    assert min(shares.values()) > 0.9  # also of X-rays upside down, negated or coloured


# ---- the command ---------------------------------------------------------------------------------------------------


def test_stdout_has_a_line_for_each_input_and_stderr_what_people_must_know(saved, capsys):
    inputs = [str(saved / name) for name in ("disk.png", "noise.png", "missing.png")]
    assert cli.main(["predict", str(saved / "model.safetensors"), *inputs]) == 1
    out, err = capsys.readouterr()
    rows = [line.split("\t") for line in out.splitlines()]
    assert [row[0] for row in rows] == inputs[:2] and all(len(row) == 3 and 0.5 <= float(row[2]) <= 1 for row in rows)
    warned, unread, last = [line for line in err.splitlines() if "compil" not in line]  # of kernels, once a process
    assert "noise.png: unlike the training images, most of all in its " in warned and "missing.png" in unread
    assert last.startswith("tinydx: An answer is no diagnosis") and "not a medical device" in last


def test_a_model_that_does_not_know_its_training_examples_says_so(saved, capsys):
    model = load_model(saved / "model.safetensors")
    del model.preprocessing["training"]["alike"]
    model.save(saved / "old.safetensors")
    assert cli.main(["predict", str(saved / "old.safetensors"), str(saved / "noise.png")]) == 0
    assert "does not say what its training images looked like" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change",
    [
        lambda known: known.update(limit=float("nan")),
        lambda known: known["scales"].__setitem__(0, 0.0),
        lambda known: known["rows"].append([1.0]),
        lambda known: known["rows"].clear(),
        lambda known: known.pop("names"),
        lambda known: known["rows"][3].__setitem__(2, "x"),
    ],
)
def test_a_forged_summary_is_one_line(saved, capsys, change):
    model = load_model(saved / "model.safetensors")
    change(model.preprocessing["training"]["alike"])
    with pytest.raises(ValueError):
        elsewhere.kind_of(model)


def test_a_summary_of_another_version_is_a_warning_not_an_error(saved, study):
    known = {"names": ["a"], "scales": [1.0], "rows": [[0.0]], "limit": 1.0}
    found = unlike.warning({"alike": known}, kinds.get("image"), Examples(study.test.x[:1], np.zeros(1, int)), {})
    assert "another version" in found


# ---- the page ------------------------------------------------------------------------------------------------------


def test_the_page_shows_each_input_and_marks_the_strange_one(saved, monkeypatch):
    shown = []

    def watched(title, kind, panels):
        shown.extend(panels)
        return grid(title, kind, panels)

    monkeypatch.setattr(answer_page, "grid", watched)
    page = saved / "page.png"
    inputs = [str(saved / "disk.png"), str(saved / "noise.png")]
    assert cli.main(["predict", str(saved / "model.safetensors"), *inputs, "--page", str(page)]) == 0
    assert [(panel.caption.splitlines()[0], panel.marked) for panel in shown] == [("noise.png", True), ("disk.png", False)]
    assert all(panel.caption.endswith("%") for panel in shown)
    with Image.open(page) as picture:
        assert picture.format == "PNG"


def test_the_page_of_any_name_is_whole(saved, monkeypatch):
    monkeypatch.setattr(answer_page, "MOST", 4)
    strange = "a\x1b[31m\n$x^2$ \u6025\u6027 <b>" * 9
    one = Shown(strange, np.zeros((8, 8, 3), np.uint8), strange, "50%", f"unlike {strange}")
    path = answer_page.write_page(saved / "p.png", [one] * 7, kinds.get("image"), strange, "A sentence.")
    with Image.open(path) as picture:
        picture.load()
        assert picture.size[0] == 1350


@pytest.mark.parametrize("page", ["disk.png", "model.safetensors", "page.jpg", "no/page.png", "."])
def test_a_page_that_cannot_be_written_is_known_before_any_answer(saved, capsys, page):
    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    assert cli.main(["predict", str(saved / "model.safetensors"), str(saved), "--page", str(saved / page)]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("tinydx: ")
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before


# ---- what the report gained ----------------------------------------------------------------------------------------


def test_many_classes_have_a_mean_curve_whose_area_is_the_mean_area():
    rng, n, classes = np.random.default_rng(0), 4000, 12
    true = rng.integers(0, classes, n)
    table = rng.dirichlet(np.ones(classes), n) + 0.2 * np.eye(classes)[true]
    names = [f"c{k}" for k in range(classes)]
    axes = Figure().add_subplot()
    report._plot_roc(axes, true, table, {"class_names": names, "reasons": {}}, None)
    mean = axes.lines[-1]
    area = np.trapezoid(mean.get_ydata(), mean.get_xdata()) / 1e4
    expected = np.mean([evaluation.roc_auc(true == k, table[:, k]) for k in range(classes)])
    assert len(axes.lines) == 2 and abs(area - expected) < 0.005 and f"{expected:.3f}" in mean.get_label()


def test_many_classes_have_a_table_with_the_lowest_area_first():
    row = {"count": 3, "sensitivity": 0.5}
    rows = [{"class": f"c{k}", "roc_auc": None if k == 4 else 1 - k / 20, **row} for k in range(12)]
    lines = report._class_lines({"per_class": rows})
    shown = [line.text[0][1] for line in lines[2:]]
    assert shown[0] == "c11" and shown[-1] == "c4" and len(shown) == 12
    assert report._class_lines({"per_class": rows[:10]}) == []


@pytest.mark.parametrize("hz", [150.0, 400.0, 800.0])
def test_a_tone_lies_at_its_place_on_the_spectrums_axis(hz):
    time = np.arange(4000) / sound.RATE
    axes = Figure().add_subplot()
    kinds.get("sound").plot(axes, 0.3 * np.sin(2 * np.pi * hz * time))
    bands = axes.images[0].get_array().mean(axis=1)
    middle = (np.argmax(bands) + 0.5) / len(bands)
    assert abs(middle - sound.heights(hz)) <= 1 / len(bands)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "1", "2 s"]
    assert axes.get_yticklabels()[-1].get_text().endswith(" Hz")
