"""What a teacher gets: plans that are true, slides on which nothing is cut, solutions kept apart, points that add up."""

import ast
import csv
import importlib.util
import io
import json
import re
import sys
from collections import Counter
from pathlib import Path

import pytest
from browser import Page, chromium, until

from tinydx import cli
from tinydx.exercises import Gradients, all_exercises, find, rubric
from tinydx.exercises.cell import SEPARATOR
from tinydx.exercises.folder import Folder
from tinydx.exercises.sandbox import run_cell
from tinydx.language import in_chinese
from tinydx.lessons import all_lessons, solutions
from tinydx.lessons import find as lesson_of

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "docs" / name for name in ("teaching.md", "teaching.zh.md")]


def text(path):
    return path.read_text("utf-8")


def cells(page, first):
    """The rows of the table after the line that begins so, as lists of cells."""
    after = text(page).split(first)[1].split("<!-- end -->")[0]
    return [[cell.strip() for cell in line.strip("|\n").split(" | ")] for line in after.splitlines() if line.startswith("|")][2:]


@pytest.fixture(scope="module")
def make():
    spec = importlib.util.spec_from_file_location("make_teaching", ROOT / "docs" / "make_teaching.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---- the pages -------------------------------------------------------------------------------------------------------


def test_what_is_made_from_the_lessons_is_current(make):
    for path, made in make.files().items():
        assert text(path) == made, f"{path.name}: run python docs/make_teaching.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_table_of_lessons_says_what_their_docstrings_say(page):
    """Read here from the files, line by line, and not by the function that made the table."""
    rows = {row[0]: row for row in cells(page, "<!-- made: lessons -->")}
    files = sorted((ROOT / "lessons").glob("[0-9]*.py"))
    assert len(rows) == len(files) + 1
    for file in files:
        _, minutes, needs, exercises, data = rows[str(int(file.name[:2]))][1:]
        about = dict(line.split(": ", 1) for line in ast.get_docstring(ast.parse(text(file))).splitlines() if ": " in line)
        assert minutes == about["Minutes"], file.name
        assert exercises.replace("`", "") == about.get("Exercises", "")
        assert needs.replace("`", "") == about.get("Needs", "") and data in about.get("Data", "")
    assert rows[""][2] == str(sum(int(row[2]) for number, row in rows.items() if number))


def test_the_term_has_every_lesson_once_and_the_course_a_part(make):
    term, course = ([one.number for part in parts for one in part.lessons] for parts in (make.TERM, make.COURSE))
    assert sorted(term) == [one.number for one in all_lessons()] and len(make.TERM) == 12
    assert len(set(course)) == len(course) and max(row.count("morning") for row in map(str, make.COURSE)) == 1


def test_both_pages_say_the_same():
    pages = [text(page) for page in PAGES]
    for pattern in (r"^#+ ", r"\]\(([^)]+)\)", r"^\| ", r"`[^`\n]+`", r"```\w+\n.*?```"):
        english, chinese = (sorted(re.findall(pattern, page, re.MULTILINE | re.DOTALL)) for page in pages)
        switch = ("teaching.md", "teaching.zh.md")
        assert [x for x in english if x not in switch] == [x for x in chinese if x not in switch], pattern
    commands = [[line.split("  #")[0].rstrip() for line in page.splitlines() if line.startswith("    ")] for page in pages]
    assert commands[0] == commands[1] and len(commands[0]) > 10


# ---- points ----------------------------------------------------------------------------------------------------------


def test_the_rubric_adds_up_and_the_pages_say_to_what():
    points = rubric.read(ROOT / "docs" / "teaching" / "rubric.csv")
    judged = {e.name: sum(len(check.names) for check in e.checks) for e in all_exercises()}
    assert points.full == 2 * sum(judged.values()) == sum(points.earned(name, "ok", "") for name in judged)
    for page in PAGES:
        assert all(re.search(rf"\b{number}\b", text(page), re.ASCII) for number in (f"{points.full:g}", len(judged)))
    planted = [e.name for e in all_exercises() if e.planted]
    assert len(planted) == 3 and all(points.earned(name, "wrong 2/3", "=") == 0 for name in planted)


@pytest.mark.parametrize(
    ("word", "why", "points"),
    [
        ("ok", "", 6),
        ("wrong 1/3", "operand transposed", 6 / 3 + 2 * 2 / 3),
        ("wrong 1/3", "averaged over the batch", 4),
        ("wrong 1/3", "averaged over the batch; operand transposed", 6 / 3 + 2 * 2 / 3),
        ("wrong 1/3", "averaged over the batch; no known mistake", 2),
        ("wrong 0/3", "constant factor", 1),
        ("wrong 2/3", "dense_backward returned one array, expected three", 4),
        ("not written", "not written yet", 0),
        ("error", "line 1: a solution runs without torch", 0),
        ("missing", "there is no such file", 0),
    ],
)
def test_points_of_a_cell(word, why, points):
    given = "exercise,mistake,points\ndense,*,3\ndense,,6\ndense,operand transposed,2\ndense,constant factor,1\n"
    assert rubric.parse(given, "x").earned("dense", word, why) == pytest.approx(points)
    assert rubric.parse("exercise,mistake,points\nrelu,,2\n", "x").earned("dense", word, why) == 0


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("exercise,points\nrelu,2\n", "x.csv, line 1: a rubric has the columns exercise, mistake, points"),
        ("exercise,mistake,points\nrelu,,-1\n", "x.csv, line 2: points '-1' is no number from 0 on"),
        ("exercise,mistake,points\nrelu,,nan\n", "x.csv, line 2: points 'nan' is no number"),
        ("exercise,mistake,points\nrelu,,2\nrelo,,2\n", "x.csv, line 3: no exercise named 'relo'; did you mean 'relu'"),
        ("exercise,mistake,points\nrelu,,2\n02_relu,,2\n", "x.csv, line 3: relu has this row already"),
        ("exercise,mistake,points\nrelu,,2\nrelu,*,3\n", "x.csv: relu earns more with the mistake '*' than when it passes"),
    ],
)
def test_a_file_that_is_no_rubric_is_one_line(rows, words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.csv").write_text(rows)
    (tmp_path / "class" / "ann").mkdir(parents=True)
    assert cli.main(["exercise", "grade", "class", "--csv", "s.csv", "--rubric", "x.csv"]) == 1
    assert re.match(f"tinydx: {re.escape(words)}", capsys.readouterr().err) and not (tmp_path / "s.csv").exists()


def test_no_mistake_has_the_mark_between_two_in_its_name():
    for exercise in all_exercises():
        ops = [check.of for check in exercise.checks if isinstance(check, Gradients)]
        slips = {slip.name for op in ops for slip in op.slips} | {bug.name for bug in exercise.bugs}
        assert slips == rubric.catalogued(exercise) and not any(SEPARATOR.strip() in name for name in slips)


def test_a_class_is_graded_in_points(tmp_path, capsys):
    """A right one, one with a mistake of the catalogue in one of three gradients, and one with a mistake that has no name."""
    dense, room = find("dense"), tmp_path / "class"
    wrong = dense.solution.replace("x.T @ dy, dy.sum(axis=0)", "x.T @ dy + x.T @ dy**2, dy.sum(axis=0)")
    for student, solution in (("ann", dense.solution), ("bob", dense.with_bug(dense.bugs[0])), ("cai", wrong)):
        (room / student).mkdir(parents=True)
        (room / student / dense.file).write_text(solution, "utf-8")
    command = ["exercise", "grade", str(room), "--csv", str(tmp_path / "s.csv"), "--jobs", "2"]
    assert cli.main([*command, "--rubric", str(ROOT / "docs" / "teaching" / "rubric.csv")]) == 0
    rows = list(csv.DictReader(io.StringIO(text(tmp_path / "s.csv"))))
    assert [(row["student"], row["dense"], row["points"], row["points_of"]) for row in rows] == [
        *(("ann", "ok", "6.0", "212.0"), ("bob", "wrong 2/3", "5.0", "212.0"), ("cai", "wrong 2/3", "4.0", "212.0"))
    ]
    assert "1/47       6/212" in capsys.readouterr().out


# ---- solutions -------------------------------------------------------------------------------------------------------


def test_the_solutions_are_one_page_in_both_languages_whatever_the_terminal_shows(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "ascii"))
    page = text(solutions.write(tmp_path / "s.html"))
    for exercise in all_exercises():
        part = page.split(f'<h2 id="{exercise.name}">')[1].split("<h2")[0]
        found = ("".join(re.findall(rf'<div class="{code}".*?</div>', part)) for code in ("en", "zh"))
        english, chinese = (re.sub("<[^>]+>", "", words) for words in found)
        assert "Why" in english and "为什么" in chinese
        hint = [re.sub(r"\W", "", words) for words in (exercise.hints[-1], in_chinese(exercise.hints[-1]))]
        told = [re.sub(r"\W", "", re.sub("&#?x?[0-9a-z]+;", "", words)) for words in (english, chinese)]
        assert hint[0][:20] in told[0] and hint[1][:12] in told[1], exercise.name
        assert part.count("<pre>") == 1 and "NotImplementedError" not in part
    assert "<script" not in page and "http" not in page


def test_the_solutions_are_refused_where_learners_read(tmp_path, capsys):
    Folder(tmp_path / "ann").start()
    (tmp_path / "ann" / "deep").mkdir()
    for path in (tmp_path / "ann" / "s.html", tmp_path / "ann" / "deep" / "s.html"):
        assert cli.main(["exercise", "solutions", str(path)]) == 1 and not path.exists()
        assert "choose another folder" in capsys.readouterr().err
    assert cli.main(["exercise", "solutions", str(tmp_path / "s.html")]) == 0


def test_a_submission_cannot_read_the_solutions(tmp_path):
    """Which lie beside its folder; with and without the fence, the attempt is no pass."""
    page, relu = solutions.write(tmp_path / "s.html"), find("relu")
    (tmp_path / "ann").mkdir()
    path = tmp_path / "ann" / relu.file
    path.write_text(relu.solution + f"\nassert 'relu' in open({str(page)!r}).read()\n", "utf-8")
    assert run_cell("relu", path.parent, path, 5, 1).word == "error"


# ---- slides ----------------------------------------------------------------------------------------------------------

# On the slide that is shown: texts and pictures that its edges, the line below it or a neighbour cut; too small letters.
CUT = """(() => {
  const slide = document.querySelector(".slide.shown"), found = [];
  const picture = slide.querySelector("img")?.getBoundingClientRect();
  const nodes = document.createTreeWalker(slide, NodeFilter.SHOW_TEXT);
  while (nodes.nextNode()) {
    const range = document.createRange(), told = nodes.currentNode.textContent.trim();
    range.selectNodeContents(nodes.currentNode);
    for (const box of told ? range.getClientRects() : []) {
      const beside = picture && box.bottom > picture.top + 1 && box.top < picture.bottom - 1 && box.right > picture.left + 1;
      const outside = box.left < 40 || box.right > 1240 || box.top < 0 || box.bottom > 690;
      if (box.width && (outside || beside)) found.push(`${told}: ${Math.round(box.right)} ${Math.round(box.bottom)}`);
    }
    const element = nodes.currentNode.parentElement, size = parseFloat(getComputedStyle(element).fontSize);
    if (told && size < 11) found.push(`${told}: ${size} px`);
  }
  if (picture && (picture.right > 1240 || picture.bottom > 690 || picture.width < 300)) found.push("the picture");
  return found;
})()"""
# The words of a language in the page as it is without scripts, or on its slides; of folded code only its name.
WORDS = """((root, code) => {
  const all = root.cloneNode(true), other = code === "en" ? "zh" : "en";
  all.querySelectorAll(`.${other}, .language`).forEach((e) => e.remove());
  all.querySelectorAll("details").forEach((e) => { if (e.querySelector("pre")) e.replaceWith(e.querySelector("summary")); });
  return [...all.querySelectorAll("*")].flatMap((e) => [...e.childNodes].filter((n) => n.nodeType === 3))
    .map((n) => n.textContent.trim()).filter(Boolean);
})"""


@pytest.fixture(scope="module")
def screen(tmp_path_factory):
    """A browser of 1280 x 720 pixels, which reaches no other machine."""
    if not chromium():
        pytest.skip("not installed: chromium")
    pytest.importorskip("websockets", reason="not installed: marimo")
    with Page(tmp_path_factory.mktemp("chromium")) as tab:
        tab.call("Emulation.setDeviceMetricsOverride", width=1280, height=720, deviceScaleFactor=1, mobile=False)
        yield tab


def look(screen, path):
    """Open a page, and check every slide of both languages; returns how many each has."""
    screen.asked.clear()
    screen.call("Emulation.setScriptExecutionDisabled", value=True)
    screen.open(path.as_uri())
    written = {code: Counter(screen.js(f"{WORDS}(document.querySelector('main'), '{code}')")) for code in ("en", "zh")}
    screen.call("Emulation.setScriptExecutionDisabled", value=False)
    screen.open("about:blank")
    screen.open(path.as_uri())
    until(lambda: screen.js("document.documentElement.dataset.ready") == "yes")
    counts = {}
    for code in ("en", "zh"):
        screen.js(f"language.open = {str(code == 'zh').lower()}")
        until(lambda: screen.js("shown()") >= 0)
        counts[code] = screen.js("slides().length")
        for k in range(counts[code]):
            screen.js(f"show({k}); answers().forEach((answer) => {{ answer.open = true; }})")
            assert screen.js(CUT) == [], f"{path.name}, {code}, slide {k + 1}"
            assert not screen.js("document.querySelector('.slide.shown .words').querySelector('h1, h2')"), "a heading inside"
        assert written[code] - Counter(screen.js(f"{WORDS}(decks.{code}, '{code}')")) == Counter(), "lost on the way"
        screen.js("document.querySelectorAll('details').forEach((answer) => { answer.open = false; }); show(0)")
    assert screen.failed == [] and {url.split(":")[0] for url in screen.asked} <= {"file", "data", "about"}
    return counts


def test_the_slides_of_a_lesson_show_all_of_it_and_cut_nothing(screen, tmp_path, capsys):
    one = lesson_of("pooling_dense")
    if one.missing:
        pytest.skip(f"not installed: {', '.join(one.missing)}")
    path = tmp_path / "slides.html"
    assert cli.main(["lesson", one.name, "--slides", str(path)]) == 0 and str(path) in capsys.readouterr().out
    assert min(look(screen, path).values()) > 6
    page = text(path)
    outside = r"<script [^>]|<link [^>]*href=\"(?!data:)|url\(|@import|https?://(?!www\.w3\.org)"
    assert page.count("<script>") == 1 and not re.search(outside, page)
    press = lambda key: screen.js(f"dispatchEvent(new KeyboardEvent('keydown', {{key: {json.dumps(key)}}}))")  # noqa: E731
    screen.js("language.open = false")
    until(lambda: screen.js("document.querySelector('.slide.shown').closest('.en') !== null"))
    screen.press("ArrowRight")
    assert screen.js("shown()") == 1 and screen.js("location.hash") == "#2"
    question = screen.js("slides().findIndex((slide) => slide.querySelector('details'))")
    screen.js(f"show({question})")
    asked = "slides()[shown()].querySelector('details').open"
    assert not screen.js(asked)
    screen.press("ArrowRight")
    assert screen.js(asked) and screen.js("shown()") == question, "the answer first"
    press("A"), press("PageDown"), press("PageDown")
    assert screen.js("shown()") == question + 1
    title = screen.js("show(2), document.querySelector('.slide.shown h2').textContent")
    press("l")
    until(lambda: screen.js("document.querySelector('.slide.shown').closest('.zh') !== null"))
    assert title == "See it" and screen.js("document.querySelector('.slide.shown h2').textContent") == "看一看"
    press("End"), press("ArrowRight")
    assert screen.js("shown()") == screen.js("slides().length - 1")
    press("Home"), press("ArrowLeft")
    assert screen.js("shown()") == 0


def test_whatever_a_lesson_holds_fits_on_slides(screen, tmp_path):
    """A list, code, an answer, a table, an equation and a picture that are larger than one, and notes in narrow columns."""
    mo = pytest.importorskip("marimo", reason="not installed: marimo")
    pytest.importorskip("latex2mathml", reason="not installed: latex2mathml")
    from tinydx.lessons import page, slides

    def pair(make):
        return page.text(make("word"), make("词语"))

    figure, axes = page.canvas(height=9)
    axes.plot([1, 2])
    picture = page.show(figure, "a line", "一条线")
    sum_of_12 = " + ".join(f"x_{{{k}}} w_{{{k}}}" for k in range(12))
    outputs = [
        pair(lambda word: f"# {word}\n\n" + "\n".join(f"- {word} {k} " * 9 for k in range(40))),
        pair(lambda word: f"## {word} 2\n\n" + f"{word} that goes on " * 60 + ":"),
        page.as_code("\n".join(f"x{k} = " + "y" * 80 for k in range(24))),
        picture, picture,
        mo.vstack([pair(lambda word: f"## {word} above"), picture]),
        pair(lambda word: f"{word}:\n\n| {word} | b |\n|---|---|\n" + "\n".join(f"| {k} | {word} ab{k} |" for k in range(9))),
        pair(lambda word: f"$$y = {sum_of_12}$$\n\n/// details | {word}\n" + f"{word} in the answer.\n\n" * 30 + "///\n"),
        pair(lambda word: f"## {word} 3\n\n" + f"{word} nearly fills it. " * 50),
        pair(lambda word: f"the last {word} below a heading"),
    ]  # fmt: skip
    path = tmp_path / "slides.html"
    path.write_text(slides.page(lesson_of(1), outputs), "utf-8")
    look(screen, path)


# ---- recipes ---------------------------------------------------------------------------------------------------------


def test_the_workflow_for_classroom_gives_the_points_of_the_rubric():
    yaml = pytest.importorskip("yaml")
    (block,) = re.findall(r"```yaml\n(.*?)```", text(PAGES[0]), re.DOTALL)
    steps = yaml.safe_load(block)["jobs"]["run-autograding-tests"]["steps"]
    graders = {step["id"]: step["with"] for step in steps if "id" in step}
    points = rubric.read(ROOT / "docs" / "teaching" / "rubric.csv")
    for name, given in graders.items():
        assert given["command"] == f"tinydx exercise check {find(name).name}" and given["test-name"] == name
        assert given["max-score"] == points.points[name, rubric.PASSES]
    reporter = steps[-1]
    assert reporter["with"]["runners"].split(",") == list(graders)
    assert reporter["env"] == {f"{name.upper()}_RESULTS": f"${{{{steps.{name}.outputs.result}}}}" for name in graders}
    old = json.loads(text(ROOT / "docs" / "teaching" / "autograding.json"))["tests"]
    assert [test["name"] for test in old] == [name for n in (1, 2, 3) for name in lesson_of(n).exercises]
    assert all(test["points"] == points.points[test["name"], rubric.PASSES] for test in old)


def test_the_cells_for_nbgrader_run_and_give_points(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer, tests = re.findall(r"```python\n(.*?)```", text(PAGES[0]), re.DOTALL)
    magic, solution = answer.split("\n", 1)
    *statements, last = tests.strip().splitlines()
    released = re.sub(r" *### BEGIN SOLUTION.*?### END SOLUTION", "    raise NotImplementedError()", solution, flags=re.DOTALL)
    for written, points in ((solution, 6), (solution.replace("dy.sum(axis=0)", "dy[0]"), 4), (released, 0)):
        Path(magic.removeprefix("%%writefile ")).write_text(written, "utf-8")
        names = {}
        exec("\n".join(statements), names)
        assert eval(last, names) == pytest.approx(points)
