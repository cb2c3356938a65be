"""The course: every lesson runs and its assertions hold, its handout is self-contained, and its page fits on a phone.

Each lesson runs once, in the test process, and all tests share this run. Without marimo or another package that a lesson
needs, and without Chromium, tests are skipped.
"""

import ast
import html
import http.server
import itertools
import re
import socket
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from browser import PHONE, SCREEN
from matplotlib.text import Text

import tinydx
from tinydx import cli, course, exercises, language
from tinydx.datasets.heart import write_heart_folders
from tinydx.lessons import all_lessons, commands, find, glossary, handout, page, slides
from tinydx.preprocessing.image import save_img

ROOT = Path(__file__).parents[1]
LESSONS = [pytest.param(one, id=one.path.stem) for one in all_lessons()]
MEGABYTE = 1 << 20
pytestmark = pytest.mark.filterwarnings("ignore:(read|open)_text is deprecated:DeprecationWarning")  # in simple_icd_10_cm


@pytest.fixture(scope="session")
def run():
    """run(lesson) is (outputs, variables, figures with descriptions, shown code) of the lesson's one run in a session."""
    runs, figures, codes, real_show, real_code = {}, [], [], page.show, page.as_code

    def show(figure, english, chinese):
        figures.append((figure, english))
        return real_show(figure, english, chinese)

    def as_code(source, language="python"):
        codes.append(source)
        return real_code(source, language)

    def once(one):
        if one.missing:
            pytest.skip(f"not installed: {', '.join(one.missing)}")
        if one not in runs:
            threads = tinydx.get_threads()
            tinydx.set_threads(1)
            try:
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(page, "show", show)
                    patch.setattr(page, "as_code", as_code)
                    runs[one] = (*one.run(), figures.copy(), codes.copy())
            finally:
                tinydx.set_threads(threads)
                figures.clear()
                codes.clear()
        return runs[one]

    return once


@pytest.fixture(scope="session")
def class_folders(tmp_path_factory):
    """A few small images of two classes."""
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for name, brightest in (("normal", 100), ("pneumonia", 255)):
        (folder / name).mkdir()
        for k in range(20):
            save_img(folder / name / f"{k}.png", rng.uniform(0, brightest, (40, 40, 3)), scale=False)
    return folder


# ---- the notebooks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("one", LESSONS)
def test_a_lesson_runs_and_what_it_asserts_holds(one, run):
    outputs, variables, *_ = run(one)
    assert len(outputs) > 8 and variables
    source = one.path.read_text("utf-8")
    assert any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(source))), "a lesson must assert what it says"


@pytest.mark.parametrize("one", LESSONS)
def test_a_figure_names_its_axes_and_can_be_read_on_a_phone(one, run):
    figures = run(one)[2]
    assert figures
    for figure, words in figures:
        assert len(words) > 40, "a figure needs a description for readers who cannot see it"
        for which in ("x", "y"):
            scales = [getattr(axes, f"{which}axis") for axes in figure.axes]
            counted = any(re.match(r"\W?\d", label.get_text()) for scale in scales for label in scale.get_ticklabels())
            named = [scale.get_label_text() for scale in scales] + [getattr(figure, f"get_sup{which}label")()]
            assert any(named) or not counted, f"what does {which} count?"
        for text in figure.findobj(Text):
            assert not (text.get_text() and text.get_visible()) or text.get_fontsize() >= 8
        (width, height), drawn = figure.get_size_inches(), figure.get_tightbbox()
        assert min(drawn.x0, drawn.y0) > -0.012 and max(drawn.x1 - width, drawn.y1 - height) < 0.012, f"cut off: {words}"


@pytest.mark.parametrize("one", LESSONS)
def test_code_that_is_shown_is_short_first_and_fits_a_phone(one, run):
    """The first code is the lesson's own, of a few lines; no line of any is so long that a phone shows a maze."""
    codes = run(one)[3]
    assert codes and len(codes[0].strip().splitlines()) <= 12
    assert [line for source in codes for line in source.splitlines() if len(line) > 88] == []


@pytest.mark.parametrize("path", sorted(ROOT.glob("kernels/cuda/*.cu*")), ids=lambda path: path.name)
def test_cuda_c_in_narrow_lines_is_the_same_program(path):
    source = path.read_text("utf-8")
    shown = page.narrow(source)
    assert max(map(len, shown.splitlines())) <= page.LINE
    words = (re.sub(r"//|\\\n", "", text).split() for text in (source, shown))
    assert Counter(next(words)) == Counter(next(words)), "the words of code and remarks, some of which change places"
    program = (" ".join(re.sub(r"//.*|\\\n", "", text).split()) for text in (source, shown))
    assert next(program) == next(program)


def test_what_the_first_lessons_found(run):
    """Their results agree with values from other sources, not only with the lessons themselves."""
    of_1 = run(find(1))[1]
    flipped = np.flip(of_1["w"])
    window = of_1["x"][0, 10:13, 20:23, 0]
    assert of_1["convolved"][0, 10, 20, 0] == pytest.approx((window * flipped).sum())
    of_2 = run(find(2))[1]
    assert of_2["first_nan"] == {np.dtype(t).name: int(np.log(np.finfo(t).max)) + 1 for t in (np.float32, np.float64)}
    of_3 = run(find(3))[1]
    assert of_3["document"] == 896 + 18_496 + 73_856 + 18_940_416 + 513
    of_4 = run(find(4))[1]
    assert of_4["best"] > 1e-14 and len(of_4["reports"]) == 4
    of_5 = run(find(5))[1]
    assert of_5["right"] + of_5["right_by_document"] == len(of_5["y_test"]) == 160 and of_5["auc"] > 0.95


def test_what_is_trained_in_the_lessons_learns_more_than_the_baselines(run):
    """With wide margins: lessons say what came out, so that none of their claims depends on a machine's rounding."""
    names = "recurrence", "heart_sounds", "language_model", "translation", "text_diagnosis"
    rhythm, hearts, words, translated, chapters = (run(find(name))[1] for name in names)
    assert rhythm["auc"] > max(rhythm["auc_of_mean"], rhythm["auc_of_spread"]) + 0.2
    assert min(area for area, _, _ in hearts["at_home"].values()) > 0.8
    assert words["after_epoch"][-1] < words["by_pairs"] < words["by_frequency"]
    exactly = {who: right for who, (right, _) in translated["table"].items()}
    assert exactly["beam of 4"] > 0.3 > 3 * max(exactly["word by word"], exactly["nearest pair"])
    assert chapters["accuracy"]["words and pieces", "families apart"] > chapters["accuracy"]["nearest text", "families apart"]


@pytest.mark.parametrize(("name", "page"), [("processes", "scale.md"), ("eight_bits", "eightbits.md")])
def test_what_a_lesson_says_was_measured_stands_in_the_docs(name, page, run):
    rows = [re.split(r" \| | \(", line.strip("| ")) for line in (ROOT / "docs" / page).read_text("utf-8").splitlines()]
    for what, (_, *figures) in run(find(name))[1]["MEASURED"].items():
        found = next(row for row in rows if row[0] == what)
        assert all(figure in {cell.strip(")") for cell in found} for figure in figures), what


@pytest.mark.parametrize("one", LESSONS)
def test_a_lesson_leads_to_its_exercises(one):
    """At its end, in both languages, on the page, in the handout and on the slides."""
    pytest.importorskip("marimo", reason="not installed: marimo")
    last = ast.parse(one.path.read_text("utf-8")).body[-2]
    assert f"foot('{one.name}')" in ast.unparse(last)
    for make in (handout.page, slides.page):
        shown = html.unescape(make(one, [page.foot(one.name)]))
        for exercise in map(exercises.find, one.exercises):
            assert shown.count(f"tinydx exercise check {exercise.name}\n") == shown.count(f"exercises/{exercise.file}") == 2
            assert exercise.title in shown and language.in_chinese(exercise.title) in shown


def test_marimo_finds_nothing_to_complain_of():
    pytest.importorskip("marimo", reason="not installed: marimo")
    files = [str(one.path) for one in all_lessons()]
    checked = subprocess.run([sys.executable, "-m", "marimo", "check", "--strict", *files], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("one", LESSONS)
def test_a_lesson_says_what_it_is_and_names_what_there_is(one):
    assert one.title and re.search(r"[\u4e00-\u9fff]", one.chinese) and one.minutes > 0
    for name in one.exercises:
        exercises.find(name)
    source = one.path.read_text("utf-8")
    for word in re.findall(r'term\("(.+?)"\)', source):
        glossary.find(word)
    for name in re.findall(r"`tinydx card (\w+)`", source):
        tinydx.card(name)
    assert "def test_" not in source and "http" not in source


# ---- handouts ------------------------------------------------------------------------------------------------------


class Links(HTMLParser):
    """Everything in a page that a browser would fetch or follow."""

    def __init__(self, text):
        super().__init__()
        self.found, self.tags, self.handlers = [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.handlers += [name for name, _ in attributes if name.startswith("on")]
        self.found += [value for name, value in attributes if name in ("src", "href", "srcset", "data", "action", "poster")]


@pytest.fixture(scope="session")
def handouts(run, tmp_path_factory):
    """A folder with the handouts of all lessons that run here, and their index."""
    pytest.importorskip("latex2mathml", reason="not installed: latex2mathml")
    target = tmp_path_factory.mktemp("handouts")
    able = [one for one in all_lessons() if not one.missing]
    for one in able:
        text = handout.page(one, run(one)[0], index="index.html")
        (target / f"{one.path.stem}.html").write_text(text, "utf-8")
    (target / "index.html").write_text(handout.index_page(able), "utf-8")
    return target


def test_a_handout_is_one_small_file_that_needs_nothing_else(handouts):
    for file in handouts.glob("*.html"):
        text = file.read_text("utf-8")
        links = Links(text)
        beside = {link.split("#")[0] for link in links.found if not link.startswith(("data:", "#"))}
        assert all((handouts / link).is_file() for link in beside), beside
        assert "script" not in links.tags and "url(" not in text and "@import" not in text
        assert not [tag for tag in links.tags if tag.startswith("marimo-")]
        assert file.stat().st_size < 2 * MEGABYTE
        if file.name != "index.html":
            assert {"math", "img", "details", "pre"} <= links.tags
            assert "||(" not in text and "||[" not in text


def test_the_index_lists_the_handouts_and_the_glossary(handouts):
    text = (handouts / "index.html").read_text("utf-8")
    assert all(file.name in text for file in handouts.glob("[0-9]*.html"))
    assert all(term.chinese in text for term in glossary.terms())


WRAPPED = """[...document.querySelectorAll('.code-line')].filter(
  e => e.offsetHeight > 1.9 * parseFloat(getComputedStyle(e).lineHeight)).map(e => e.textContent)"""


@pytest.mark.parametrize("width", [PHONE, SCREEN])
def test_a_browser_shows_every_handout_whole_and_fetches_nothing(width, handouts, browser):
    for file, dark in zip(sorted(handouts.glob("*.html")), itertools.cycle((False, True))):
        browser.look(width, dark)
        browser.asked.clear()
        browser.open(file.as_uri())
        browser.js("document.querySelectorAll('details:not(.language)').forEach(e => e.open = true)")
        for _ in ("English", "Chinese"):
            assert browser.cut() == [], file.name
            browser.js("document.querySelector('.language > summary').click()")
        is_long = "cuda" in file.name  # CUDA C stands there as in its file, in up to 130 columns
        assert width == PHONE or is_long or browser.js(WRAPPED) == [], file.name
        assert browser.failed == [] and {url.split(":")[0] for url in browser.asked} <= {"file", "data"}


def test_where_a_phone_wraps_a_line_of_code_it_goes_on_further_to_the_right(browser, tmp_path):
    pytest.importorskip("latex2mathml", reason="not installed: latex2mathml")
    code = "def f(x):\n    if x:\n        return " + " + ".join(["x"] * 18) + "\n"  # 88 characters
    file = tmp_path / "code.html"
    file.write_text(handout.page(find(1), [page.as_code(code)]), "utf-8")
    browser.look(PHONE)
    browser.open(file.as_uri())
    (wrapped,) = browser.js(WRAPPED)
    assert wrapped == code.splitlines(keepends=True)[-1]
    begins, goes_on = browser.js("""(line => {
      const inside = document.createRange();
      inside.selectNodeContents(line);
      const boxes = [...inside.getClientRects()].filter(box => box.width);
      const first = line.querySelector('.k').getBoundingClientRect();
      return [first.left, Math.min(...boxes.filter(box => box.top > first.bottom - 2).map(box => box.left))];
    })([...document.querySelectorAll('.code-line')].at(-1))""")
    assert begins + 10 < goes_on < begins + 60


LINES_OF_A_SIGN = """[...document.querySelectorAll('math, .other')].filter(e => {
  const behind = e.nextSibling, range = document.createRange();
  if (!behind || !/^[，。]/.test(behind.data || '')) return false;
  range.setStart(behind, 0);
  range.setEnd(behind, 1);
  const sign = range.getBoundingClientRect();
  return sign.width && sign.top > e.getBoundingClientRect().bottom - 2;
}).length"""


def test_no_chinese_line_begins_with_the_sign_behind_a_formula_or_a_word(browser, tmp_path):
    parts = [page.text("x", "字" * n + f"$s$。{'字' * 2 * n}{page.term('variance')}，字") for n in range(60)]
    shown = handout.page(find(8), [page.head("initialisation"), *parts])
    (tmp_path / "page.html").write_text(shown.replace('"language">', '"language" open>'), "utf-8")
    browser.look(PHONE)
    browser.open((tmp_path / "page.html").as_uri())
    assert browser.js("document.querySelectorAll('math').length") == 60 and browser.js(LINES_OF_A_SIGN) == 0


def test_words_and_equations_become_a_handout():
    mo = pytest.importorskip("marimo", reason="not installed: marimo")
    pytest.importorskip("latex2mathml", reason="not installed: latex2mathml")
    text = handout.page(find(1), [None, mo.md("$a < b$ and\n\n$$\\frac{1}{2}$$\n\n$t \\ln p$"), mo.ui.slider(1, 3)])
    assert "<mo>&#x0003C;</mo>" in text and "<mfrac>" in text and 'display="block"' in text
    assert re.search("<mi>t</mi><mspace[^>]*/><mi>ln</mi><mspace[^>]*/><mi>p</mi>", text)
    assert "tinydx lesson 1" in text and "marimo-" not in text


# ---- the command ---------------------------------------------------------------------------------------------------


def test_the_list_names_every_lesson(capsys):
    assert cli.main(["lesson"]) == 0
    out = capsys.readouterr().out
    assert all(f"{one.number:3}  {one.title}" in out and f"{one.minutes:3} min" in out for one in all_lessons())
    assert "tinydx lesson 1" in out
    lines = {one.name: next(line for line in out.splitlines() if one.title in line) for one in all_lessons()}
    assert "needs pydicom" in lines["convolution"] and "needs g++" in lines["cuda_matmul"]


def test_the_list_marks_lessons_whose_exercises_passed_and_the_next(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["lesson"]) == 0 and "Open the next with: tinydx lesson 1\n" in capsys.readouterr().out
    folder = exercises.folder.Folder(tmp_path)
    folder.save(exercises.folder.Progress({*find("convolution").exercises, *find("activation").exercises}))
    assert cli.main(["lesson"]) == 0
    out = capsys.readouterr().out.splitlines()
    marks = [line[:2].strip() for line in out[:4]]
    assert marks[0] in ("✓", "ok") and marks[:2] == [marks[0]] * 2 and marks[2:] == [">", ""]
    assert out[-2:] == [f"2 of {len(all_lessons())} done, by their exercises", "Open the next with: tinydx lesson 3"]


def test_an_occupied_port_says_which_lesson_holds_it(monkeypatch):
    """A server that answers as marimo's does: with the file's name in its page."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<title>x</title><marimo-filename>04_gradient.py</marimo-filename>")

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Page) as server:
        port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert commands.serving(port) == f"lesson 4, {find('gradient').title}"
        server.shutdown()
    assert commands.serving(port) == ""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        assert commands.serving(other.getsockname()[1]) == "another program"


@pytest.mark.parametrize("changed", [True, False])
def test_an_edited_copy_stays_only_if_it_was_changed(changed, capsys, monkeypatch, tmp_path):
    one = find(4)
    if one.missing:
        pytest.skip(f"not installed: {', '.join(one.missing)}")
    monkeypatch.chdir(tmp_path)

    def edit(command, **_):
        copy = Path(command[-1])
        (copy.parent / "__marimo__").mkdir()
        copy.write_text(copy.read_text("utf-8") + "# mine\n" * changed, "utf-8")
        return subprocess.CompletedProcess([], 0)

    monkeypatch.setattr("tinydx.lessons.commands.subprocess.run", edit)
    assert cli.main(["lesson", "4", "--edit"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == [one.path.name] * changed


def test_the_list_says_what_is_not_installed(capsys, monkeypatch):
    monkeypatch.setattr(course, "_is_installed", lambda package: package != "pydicom")
    assert cli.main(["lesson"]) == 0
    out = capsys.readouterr().out
    assert out.count("pydicom (not installed)") == 1 and "To install what is missing: pip install 'tinydx[lessons]'" in out


def test_a_command_of_another_python_is_no_package(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    assert course._is_installed("g++") and not course._is_installed("a-package-that-nobody-has")


def test_a_missing_package_is_one_line_with_the_command_that_brings_it(capsys, monkeypatch):
    monkeypatch.setattr(course, "_is_installed", lambda package: package != "marimo")
    for arguments in (["1"], ["1", "--check"], ["1", "--html", "x.html"]):
        assert cli.main(["lesson", *arguments]) == 1
        assert capsys.readouterr().err == "tinydx: lesson 1 needs marimo: pip install 'tinydx[lessons]'\n"


def test_an_unknown_lesson_suggests_a_close_one(capsys):
    assert cli.main(["lesson", "convolutoin"]) == 1
    assert "did you mean 'convolution'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["1", "--data", "nowhere.png"], "nowhere.png does not exist: for --data, lesson 1 takes an image"),
        (["4", "--data", "."], "lesson 4 takes no data: leave out --data"),
        (["--data", "."], "--data needs the name of a lesson: tinydx lesson 1 --data PATH"),
    ],
)
def test_data_that_a_lesson_cannot_take_is_one_line(arguments, words, capsys):
    assert cli.main(["lesson", *arguments]) == 1
    assert capsys.readouterr().err == f"tinydx: {words}\n"


def test_a_lesson_shows_the_data_it_is_given(capsys, monkeypatch, tmp_path):
    one = find(1)
    if one.missing:
        pytest.skip(f"not installed: {', '.join(one.missing)}")
    monkeypatch.setenv(course.DATA, "")  # restored after the test
    mine = tmp_path / "<img src=x onerror=alert(1)> $a$ mine.png"
    save_img(mine, np.random.default_rng(0).uniform(0, 255, (150, 200, 3)))
    assert cli.main(["lesson", "1", "--data", str(mine), "--html", str(tmp_path / "mine.html")]) == 0
    text = (tmp_path / "mine.html").read_text("utf-8")
    assert "mine.png" in text and "grey levels" in text and "Hounsfield" not in text
    assert_quiet(text)


def test_class_folders_are_read_the_right_way_round(monkeypatch, class_folders):
    """These names sort the other way round than the phantoms' abnormal and normal, so the document's last line is right."""
    one = find(5)
    if one.missing:
        pytest.skip(f"not installed: {', '.join(one.missing)}")
    monkeypatch.setenv(course.DATA, "")
    one.take(class_folders)
    of_5 = one.run()[1]
    assert of_5["names"] == ("normal", "pneumonia") and of_5["sick"] == 1 and len(of_5["ill"]) == 8
    assert of_5["right"] == of_5["right_by_document"]


HOSTILE = "<img src=x onerror=alert(1)> $x^{$ *n* \\x1b[31m"


def test_class_folders_of_any_name_are_only_shown(monkeypatch, class_folders, tmp_path):
    """A folder's name is a text in the page and in the figures, whatever stands in it."""
    one = find(5)
    if one.missing:
        pytest.skip(f"not installed: {', '.join(one.missing)}")
    monkeypatch.setenv(course.DATA, "")
    folders = tmp_path / "<script>alert(1)"
    folders.mkdir()
    for old, new in (("normal", HOSTILE), ("pneumonia", "pneumonia'\"><svg onload=alert(2)>")):
        (folders / new.replace("/", "")).symlink_to(class_folders / old)
    one.take(folders)
    text = handout.page(one, one.run()[0])
    assert_quiet(text)
    assert "&lt;img src=x onerror" in text and "\\x1b[31m" in text and "&lt;script&gt;alert(1)" in text


def assert_quiet(text):
    """A page that shows names of the data, and does nothing with them."""
    links = Links(text)
    assert all(link.startswith(("data:", "#")) for link in links.found), links.found
    assert not {"script", "svg", "iframe"} & links.tags and links.handlers == [] and "\x1b" not in text


@pytest.mark.parametrize("name", ["heart_sounds", "language_model", "translation", "text_diagnosis"])
def test_a_lesson_runs_on_the_users_sounds_or_texts(name, monkeypatch, tmp_path):
    """With little data: a lesson must run, and must not assert what holds for its own data only."""
    one = find(name)
    if one.missing:
        pytest.skip(f"not installed: {', '.join(one.missing)}")
    monkeypatch.setenv(course.DATA, "")
    if name == "heart_sounds":
        pytest.importorskip("soundfile", reason="not installed: soundfile")
        mine = write_heart_folders(tmp_path / "hospitals", train=8, val=12, test=24, seconds=1.0)
        (mine / "val").rename(mine / "val <img src=x onerror=alert(1)>")
    else:
        organs, signs = ["<img src=x>", "skin", "bone", "$e$", "ear"], ["pain", "ulcer", "cyst", "burn", "rash"]
        columns = "source\ttarget" if name == "translation" else "text\tlabel"
        mine = tmp_path / "mine.tsv"
        mine.write_text("\n".join([columns, *(f"{a} and {b} {c}\t{a}" for a in organs for b in organs for c in signs)]), "utf-8")
    one.take(mine)
    outputs, variables = one.run()
    assert len(outputs) > 8 and variables["own"] == mine.resolve()
    assert_quiet(handout.page(one, outputs))
    if name == "heart_sounds":
        assert variables["home"] == "test" and set(variables["elsewhere"]) == {"train", "val <img src=x onerror=alert(1)>"}


@pytest.mark.parametrize(("claim", "status", "mark"), [("2 + 2 == 4", 0, "✓"), ("2 + 2 == 5", 1, "✗")])
def test_check_fails_where_an_assertion_of_a_lesson_fails(claim, status, mark, capsys, monkeypatch, tmp_path):
    pytest.importorskip("marimo", reason="not installed: marimo")
    pytest.importorskip("latex2mathml", reason="not installed: latex2mathml")
    sums = failing_lesson(tmp_path, 1, claim)
    monkeypatch.setattr("tinydx.lessons.commands.find", lambda name: sums)
    assert cli.main(["lesson", "1", "--check"]) == status
    out = capsys.readouterr().out
    assert out.startswith(f"{mark}  1 Sums 1") and ("does not hold that 2 + 2 == 5" in out) == (status == 1)


def failing_lesson(folder, number, claim):
    """A lesson of one cell, which claims something."""
    header = f'"""Sums {number} · 和\n\nMinutes: 1\n"""\n\nimport marimo\n\napp = marimo.App()\n'
    cell = f'\n\n@app.cell\ndef _():\n    assert {claim}\n    return\n\n\nif __name__ == "__main__":\n    app.run()\n'
    (folder / f"0{number}_sums.py").write_text(header + cell, "utf-8")
    return course.read(folder / f"0{number}_sums.py")


def three_lessons(folder):
    """Two lessons that stop, and one that runs."""
    return [failing_lesson(folder, number, claim) for number, claim in enumerate(("1 / 0", "2 + 2 == 5", "True"), 1)]


def test_all_lessons_are_checked_although_one_stops(capsys, monkeypatch, tmp_path):
    pytest.importorskip("marimo", reason="not installed: marimo")
    pytest.importorskip("latex2mathml", reason="not installed: latex2mathml")
    lessons = [*three_lessons(tmp_path), replace(find(1), needs=("a package that nobody has",))]
    monkeypatch.setattr("tinydx.lessons.commands.all_lessons", lambda: lessons)
    assert cli.main(["lesson", "--check"]) == 1
    assert [line[0] for line in capsys.readouterr().out.splitlines()] == ["✗", "✗", "✓", "l"]


def test_all_handouts_are_written_although_a_lesson_stops(capsys, monkeypatch, tmp_path):
    pytest.importorskip("marimo", reason="not installed: marimo")
    pytest.importorskip("latex2mathml", reason="not installed: latex2mathml")
    monkeypatch.setattr("tinydx.lessons.handout.all_lessons", lambda: three_lessons(tmp_path))
    assert cli.main(["lesson", "--html", str(tmp_path / "out")]) == 1
    printed, pages = capsys.readouterr(), [(tmp_path / "out" / f"0{n}_sums.html").read_text("utf-8") for n in (1, 2, 3)]
    assert "2 of 3 lessons stopped" in printed.err and printed.err.count("\n") == 1
    assert "ZeroDivisionError: division by zero (in: assert 1 / 0)" in pages[0] and "not hold that 2 + 2 == 5" in pages[1]
    assert "stopped" not in pages[2] and "03_sums.html" in (tmp_path / "out" / "index.html").read_text("utf-8")


def test_a_handout_of_a_lesson_that_stops_says_so(capsys, monkeypatch, tmp_path):
    pytest.importorskip("marimo", reason="not installed: marimo")
    pytest.importorskip("latex2mathml", reason="not installed: latex2mathml")
    monkeypatch.setattr("tinydx.lessons.commands.find", lambda name: three_lessons(tmp_path)[1])
    assert cli.main(["lesson", "2", "--html", str(tmp_path / "sums.html")]) == 1
    why = "lesson 2 stopped: here it does not hold that 2 + 2 == 5"
    assert capsys.readouterr().err == f"tinydx: {why}\n" and why in (tmp_path / "sums.html").read_text("utf-8")


def test_the_glossary_page_is_made_from_the_glossary():
    assert (ROOT / "docs" / "glossary.md").read_text("utf-8") == glossary.page()
    assert len({term.english for term in glossary.terms()}) == len(glossary.terms())
    assert all(re.search(r"[\u4e00-\u9fff]|Winograd", term.chinese) and term.meaning for term in glossary.terms())
