"""The course's site: a small one, of two lessons, two pages and the exercises, is built once and looked at in a browser.

Without Zensical, marimo or Chromium, tests are skipped.
"""

import ast
import html
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from posixpath import normpath

import pytest
from browser import PHONE, SCREEN, Page, chromium, until

from tinydx.course import Lesson, read
from tinydx.lessons import find

ROOT = Path(__file__).parents[1]
LESSONS = "04_gradient", "22_winograd"
PAGES = "reading.md", "decisions.md", "equations.md"


def of_the_site(name):
    """A module of the folder `site`."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "site" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    for package in ("zensical", "mkdocstrings_handlers.python", "marimo", "latex2mathml"):
        pytest.importorskip(package, reason=f"not installed: {package}")
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def site(home):
    """The folder of a small site."""
    output, parts = home / "site of the course", [name[3:] for name in LESSONS]
    command = [sys.executable, ROOT / "site" / "build.py", "--only", *parts, *PAGES, "exercises", "--output", output]
    environment = os.environ | {"TINYDX_HOME": str(home), "GITHUB_REPOSITORY": "", "PYTHONPATH": str(ROOT)}
    built = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert built.returncode == 0 and "index.html: 8 pages" in built.stdout, built.stdout + built.stderr
    return output


def pages(site):
    """Each page's path in the site, and its HTML."""
    return {path.relative_to(site).as_posix(): path.read_text("utf-8") for path in site.rglob("*.html")}


def test_each_page_is_there_in_both_languages_and_leads_to_the_other(site):
    found = pages(site)
    english = {path for path in found if not path.startswith("zh/")}
    assert english >= {"index.html", "exercises.html", "docs/reading.html", *(f"lessons/{name}.html" for name in LESSONS)}
    assert {f"zh/{path}" for path in english} == set(found) - english
    for path, text in found.items():
        (other,) = re.findall(r'class="switch" [^>]*href="([^"]+)"', text)
        assert normpath(f"{path}/../{other}") == (path[3:] if path.startswith("zh/") else f"zh/{path}")


def test_links_lead_somewhere_and_nothing_is_fetched_from_elsewhere(site):
    found = pages(site)
    for path, text in found.items():
        for tag, link in re.findall(r'<(\w+)[^>]* (?:href|src)="([^"]+)"', re.sub(r"<svg.*?</svg>", "", text, flags=re.DOTALL)):
            target, _, anchor = html.unescape(link).partition("#")
            if re.match(r"\w+:|//", target):
                assert tag == "a" or target.startswith("data:"), f"{path} fetches {link}"
                continue
            place = normpath(f"{path}/../{target}") if target else path
            assert (site / place).is_file(), f"{path}: {link}"
            assert not anchor or place not in found or f'id="{anchor}"' in found[place], f"{path}: {link}"
        assert "@import" not in text and "arithmatex" not in text and "marimo-" not in text


def test_every_equation_is_markup(site):
    for path, text in pages(site).items():
        assert not re.search(r"<m\w+[^>]*>[^<]*\\[a-z]", text), path
        words = re.sub(r"<(script|style|pre|code|svg|math)\b.*?</\1>|<[^>]+>", "", text, flags=re.DOTALL)
        assert not re.search(r"\$[^$\n]*\\[^$\n]*\$", words), path


def test_lessons_follow_each_other(site):
    for tree in ("", "zh/"):
        first, second = (pages(site)[f"{tree}lessons/{name}.html"] for name in LESSONS)
        for text, way, name in ((first, "next", LESSONS[1]), (second, "prev", LESSONS[0])):
            (link,) = re.findall(rf"<a [^>]*md-footer__link--{way}[^>]*>", text)
            assert re.search(rf'href="(./)?{name}.html"', link)


def test_a_page_speaks_one_language_and_its_search_finds_it(site):
    english, chinese = (json.loads((site / tree / "search.json").read_text("utf-8"))["items"] for tree in ("", "zh"))
    of_lesson = [[item for item in items if "lessons/04_gradient" in item["location"]] for items in (english, chinese)]
    assert len(of_lesson[0]) == len(of_lesson[1]) > 5  # as many sections: the hidden frames add none
    texts = [re.sub(r"<[^>]+>", "", " ".join(item["title"] + item["text"] for item in items)) for items in of_lesson]
    assert "chain rule" in texts[0] and "链式法则" in texts[1]
    assert texts[0].count("After this lesson you can") == 1 and "学完这一课" not in texts[0]
    assert texts[1].count("学完这一课") == 1 and "After this lesson you can" not in texts[1]
    assert any(item["location"] == "exercises.html#conv_sum" for item in english)


@pytest.fixture(scope="module")
def tab(site):
    if not chromium():
        pytest.skip("not installed: chromium")
    pytest.importorskip("websockets", reason="not installed: marimo")
    with Page(site.parent) as page:
        yield page


CONTROLS = "document.querySelectorAll('.control :is(input, select)')"
SHOWN = "[...document.querySelectorAll('.frames > :not([hidden])')].map(e => e.innerHTML).join()"


@pytest.mark.parametrize("width", [PHONE, SCREEN])
def test_a_browser_shows_every_page_whole(width, tab, site):
    for number, path in enumerate(pages(site)):
        tab.look(width, dark=number % 2 == 1)
        tab.open((site / path).as_uri())
        assert tab.cut(".md-header") == tab.cut(".md-content") == [], path


@pytest.mark.parametrize("width", [PHONE, SCREEN])
@pytest.mark.parametrize("tree", ["", "zh/"])
@pytest.mark.parametrize("name", LESSONS)
def test_every_control_moves_its_figure(name, tree, width, tab, site):
    tab.look(width)
    tab.failed.clear()
    tab.asked.clear()
    tab.open((site / tree / "lessons" / f"{name}.html").as_uri())
    controls = tab.js(f"{CONTROLS}.length")
    assert controls == len(re.findall(r"= mo\.ui\.", find(name).path.read_text("utf-8"))) > 0
    for k in range(controls):
        before = tab.js(SHOWN)
        tab.js(f"{CONTROLS}[{k}].value = {CONTROLS}[{k}].value == '1' ? '2' : '1'")
        tab.js(f"{CONTROLS}[{k}].dispatchEvent(new Event('input', {{bubbles: true}}))")
        assert tab.js(SHOWN) not in ("", before)
    tab.js("for (const image of document.images) image.loading = 'eager'")
    until(lambda: tab.js("[...document.images].every(image => image.complete)"))
    assert tab.js("document.documentElement.scrollWidth") <= width
    assert tab.failed == [] and all(url.startswith(("file:", "data:")) for url in tab.asked)


@pytest.mark.parametrize(("tree", "words"), [("", "gradient"), ("zh/", "链式法则"), ("zh/", "梯度检验")])
def test_the_search_of_a_page_from_the_disk_finds(tree, words, tab, site):
    tab.open((site / tree / "index.html").as_uri())
    field = "[...document.querySelectorAll('*')].find(e => e.shadowRoot)?.shadowRoot"
    until(lambda: tab.js("document.querySelector('.md-search__button')?.click(); " + f"!!{field}?.querySelector('input')"))
    tab.js(f"{field}.querySelector('input').focus()")
    tab.call("Input.insertText", text=words)
    until(lambda: tab.js(f"[...{field}.querySelectorAll('a')].some(a => a.textContent.toLowerCase().includes('{words}'))"))


# ---- the reference -------------------------------------------------------------------------------------------------


def test_examples_of_docstrings_are_code_and_their_parts_paragraphs():
    pytest.importorskip("griffe", reason="not installed: mkdocstrings_handlers.python")
    markdown = of_the_site("docstrings").markdown
    for path in (ROOT / "tinydx").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (docstring := ast.get_docstring(node)):
                prose = re.sub(r"^```pycon\n>>> .*?^```$", "", markdown(docstring), flags=re.DOTALL | re.MULTILINE)
                assert not re.search(r"^>>>|\S\n(Arguments|Returns|Raises):", prose, re.MULTILINE), f"{path}: {docstring}"


# ---- frames ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def frames():
    for package in ("marimo", "latex2mathml"):
        pytest.importorskip(package, reason=f"not installed: {package}")
    return of_the_site("frames")


LESSON = '''"""Sums · 和

Minutes: 1
"""

import marimo

app = marimo.App()

with app.setup:
    import marimo as mo


@app.cell
def _(a, b):
    twice = 2 * a.value * 10
    mo.Html(f"<p>{a.value} and {b.value}</p>")
    return (twice,)


@app.cell
def _():
    a = mo.ui.slider(0, 30, value=17, label="a")
    b = mo.ui.slider(steps=[0.5, 1.5, 2.5], value=1.5, label="b")
    mo.vstack([a, b])
    return a, b


@app.cell
def _(twice, untouched):
    mo.Html(f"<p>{twice} {untouched}</p>")
    return


@app.cell
def _():
    untouched = "beside"
    mo.Html(untouched)
    return (untouched,)


if __name__ == "__main__":
    app.run()
'''


@pytest.fixture
def sums(tmp_path):
    (tmp_path / "01_sums.py").write_text(LESSON, "utf-8")
    return read(tmp_path / "01_sums.py")


def test_a_frame_is_what_the_lesson_shows_with_its_controls_there(sums, tmp_path, frames):
    both, controls, through, alone = frames.cells(sums, tmp_path)
    words = [json.loads(html.unescape(found)) for found in re.findall(r'data-words="([^"]+)"', controls.frames[""])]
    assert [both.controls, through.controls, alone.controls, controls.controls] == [["a", "b"], ["a", "b"], [], []]
    assert len(both.frames) == len(words[0]) * len(words[1]) <= frames.MOST and {"0", "17", "30"} <= set(words[0])
    for at, shown in both.frames.items():
        i, j = map(int, at.split(","))
        assert shown == f"<p>{words[0][i]} and {words[1][j]}</p>"
        assert through.frames[at] == f"<p>{20 * int(words[0][i])} beside</p>"
    assert both.frames[both.start] == "<p>17 and 1.5</p>"


def test_what_was_computed_is_kept_until_the_lesson_changes(sums, tmp_path, frames, monkeypatch):
    first = frames.cells(sums, tmp_path)

    def never(self):
        raise AssertionError("it ran again")

    monkeypatch.setattr(Lesson, "opened", never)
    assert frames.cells(sums, tmp_path) == first
    sums.path.write_text(LESSON.replace("beside", "between"), "utf-8")
    with pytest.raises(AssertionError, match="it ran again"):
        frames.cells(sums, tmp_path)
