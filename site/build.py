"""Builds the course's site, which opens offline: `python site/build.py` writes docs/site/index.html and all beside it.

    lessons/*.py         -> frames.py: figures at all positions of their controls \\
    the slips            -> gallery.py: code, message and heat map of each         \\
    the exercises        -> their texts and hints                                   >  Markdown, a tree a language -> Zensical
    tinydx's docstrings  -> a page a room, by mkdocstrings                         /
    README, docs/*.md    -> as they are, their links led to pages of the site     /

The Chinese tree is docs/site/zh; a page is at the same place in both, and links to the other. What takes long is kept in the
user's cache folder ($TINYDX_HOME/site), so that only what changed is computed again.
"""

from __future__ import annotations

import argparse
import html
import json
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath

import frames
import gallery
from frames import ROOT

import tinydx
from tinydx.course import lesson_of
from tinydx.datasets.download import data_home
from tinydx.exercises import Exercise, all_exercises, find
from tinydx.files import atomic_write
from tinydx.language import in_chinese
from tinydx.lessons import Lesson, all_lessons
from tinydx.lessons.page import joined

HERE = Path(__file__).parent
LANGUAGES = ("en", "zh")
WORDS = {  # what the site itself says
    "Lessons": "课程",
    "Lesson": "所属课程",
    "Exercises": "练习",
    "Slips": "常见错误",
    "Reference": "参考手册",
    "Pages": "文档",
    ": ": "：",
    "Start": "开始",
    "Hint": "提示",
    "minutes": "分钟",
    "Open in Binder": "在 Binder 中打开",
    "this lesson, in Python, without installing anything": "这一课，无需安装，直接运行",
    "This page exists in English only.": "本页只有英文。",
    "Move a control: each figure was computed beforehand at these positions. In Python they move freely: ": (
        "拖动控件：图形已在这些位置上预先算好。在 Python 中可以自由移动："
    ),
    "What people get wrong in the gradient of each op: the code, what the gradient check says of it, and where the numbers are "
    "wrong (pale: right; the redder, the more wrong).": (
        "每个运算的梯度里常犯的错误：代码、梯度检验给出的说明，以及哪些数错了（浅色：对；越红，错得越多）。"
    ),
}
Say = Callable[[str], str]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "site", metavar="FOLDER")
    parser.add_argument("--only", nargs="+", default=[], metavar="PART", help="such as: convolution speed.md exercises slips api")
    parser.add_argument(
        "--repository",
        default=os.environ.get("GITHUB_REPOSITORY", ""),  # GitHub sets it
        metavar="OWNER/NAME",
        help="on GitHub: links to source files and to Binder lead there; without it there are none",
    )
    a = parser.parse_args()
    site = Site(a.only, a.repository, data_home() / "site")
    site.write(a.output)
    print(f"{a.output / 'index.html'}: {site.pages} pages", *site.stopped, sep="\n")
    return 1 if site.stopped else 0


class Site:
    """The site: pages in Markdown for both languages, then Zensical's HTML of them."""

    def __init__(self, only: list[str], repository: str, cache: Path):
        self.only, self.repository, self.cache = only, repository, cache
        self.stopped: list[str] = []  # why a lesson stopped
        self.lessons = [one for one in all_lessons() if self._wants(one.name) and not one.missing]
        self.files = {"README.md": "index.md"} | {  # of the repository -> of the tree
            path: path
            for file in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))
            if not (path := file.relative_to(ROOT).as_posix()).startswith(("README", "docs/site/"))
            and not path.endswith(".zh.md")
            and self._wants(file.name)
        }
        self.places = self.files | {f"lessons/{one.path.name}": f"lessons/{one.path.stem}.md" for one in self.lessons}
        if self._wants("exercises"):
            self.places |= {f"tinydx/exercises/catalog/{one.name}.py": f"exercises.md#{one.name}" for one in all_exercises()}

    def _wants(self, part: str) -> bool:
        return not self.only or part in self.only

    def write(self, output: Path) -> None:
        """Write the site; an old one in this folder is replaced at the end."""
        with tempfile.TemporaryDirectory() as folder:
            trees = {code: Path(folder) / code for code in LANGUAGES}
            for code, tree in trees.items():
                self._tree(code, tree)
                self.pages = len(list((tree / "docs").rglob("*.md")))
                subprocess.run([sys.executable, "-m", "zensical", "build", "--config-file", tree / "mkdocs.yml"], check=True)
                for page in (tree / "site").rglob("*.html"):
                    page.write_text(_finished(page.read_text("utf-8")), "utf-8")
            shutil.rmtree(output, ignore_errors=True)
            shutil.copytree(trees["en"] / "site", output)
            shutil.copytree(trees["zh"] / "site", output / "zh")
        for page in output.rglob("404.html"):
            page.unlink()  # what it needs it asks of a server's root
        shown = "".join(page.read_text("utf-8") for page in (output / "lessons").glob("*.html"))
        (output / "pictures").mkdir()  # the same for both languages
        for name in set(re.findall(r"pictures/(\w+\.webp)", shown)):
            shutil.copy(self.cache / "pictures" / name, output / "pictures" / name)

    # ---- a tree of Markdown ----------------------------------------------------------------------------------------

    def _tree(self, code: str, tree: Path) -> None:
        """The pages of one language in tree/docs, and their configuration."""
        say: Say = (lambda words: words) if code == "en" else (lambda words: WORDS.get(words) or in_chinese(words))
        docs = tree / "docs"

        def write(name: str, text: str) -> str:
            (docs / name).parent.mkdir(parents=True, exist_ok=True)
            atomic_write(docs / name, text)
            return name

        nav: list[dict] = [{say("Start"): write("index.md", self._page("README.md", code))}]
        if self.lessons:
            listed: list = [write("lessons/index.md", self._list(code, say))]
            for one in self.lessons:
                place = write(f"lessons/{one.path.stem}.md", self._lesson(one, code, say))
                listed.append({f"{one.number} {_title(one, code)}": place})
            nav.append({say("Lessons"): listed})
        if self._wants("exercises"):
            texts = "\n\n".join(self._exercise(one, code, say) for one in all_exercises())
            nav.append({say("Exercises"): write("exercises.md", f"# {say('Exercises')}\n\n{texts}\n")})
        if self._wants("slips"):
            intro = next(words for words in WORDS if words.startswith("What people get wrong"))
            listed = [write("slips/index.md", f"# {say('Slips')}\n\n{say(intro)}\n")]
            listed += [{subject: write(f"slips/{subject}.md", texts[code])} for subject, texts in self._slips().items()]
            nav.append({say("Slips"): listed})
        if self._wants("api"):
            text = _only_english(code) + "# {0}\n\n::: tinydx.{0}\n"
            nav.append({say("Reference"): [{room: write(f"api/{room}.md", text.format(room))} for room in _rooms()]})
        files = [name for name in self.files if name != "README.md"]
        nav.append({say("Pages"): [write(self.places[name], self._page(name, code)) for name in files]})
        for picture in (ROOT / "docs").rglob("*.png"):
            if "site" not in picture.relative_to(ROOT / "docs").parts:
                target = docs / picture.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(picture, target)
        self._configure(code, tree, nav)

    def _configure(self, code: str, tree: Path, nav: list) -> None:
        """zensical.toml with what differs between the languages. JSON is YAML."""
        config = tomllib.loads((HERE / "zensical.toml").read_text("utf-8"))["project"]
        config |= {"nav": nav, "docs_dir": "docs", "site_dir": "site"}
        config["theme"] |= {"language": code, "custom_dir": str(HERE / "theme")}
        other = {"en": ("zh/", "zh", "中文"), "zh": ("../", "en", "English")}[code]
        config["extra"]["alternate"] = [dict(zip(("link", "lang", "name"), other, strict=True))]
        if self.repository:
            config |= {"repo_url": f"https://github.com/{self.repository}"}
        reference = config["plugins"]["mkdocstrings"]["handlers"]["python"]
        reference["paths"] = [str(ROOT)]
        reference["options"]["extensions"] = [str(HERE / "docstrings.py")]
        for script in (HERE / "theme").glob("*.*"):
            if script.suffix in (".js", ".css"):
                shutil.copy(script, tree / "docs" / script.name)
        atomic_write(tree / "mkdocs.yml", json.dumps(config, ensure_ascii=False, indent=1))

    def _page(self, name: str, code: str) -> str:
        """A Markdown file of the repository as a page of the tree; its Chinese version where there is one."""
        chinese = ROOT / f"{name.removesuffix('.md')}.zh.md"
        has = chinese.exists() and code == "zh"
        text = _joined(chinese.read_text("utf-8")) if has else (ROOT / name).read_text("utf-8")
        return ("" if has or name == "docs/glossary.md" else _only_english(code)) + self._relinked(text, name)

    def _relinked(self, text: str, name: str) -> str:
        """The text with its links leading to the site's pages, or to GitHub; without the switch between the languages."""

        def to(found: re.Match) -> str:
            words, link = found[1], found[2]
            target, sharp, anchor = link.partition("#")
            path = normpath(f"{PurePosixPath(name).parent}/{target}")
            if re.match(r"\w+:", link) or not target or path.endswith(".png"):
                return found[0]
            if words in ("English", "中文"):  # each page has a switch of its own
                return ""
            if path in self.places:
                return f"[{words}]({relpath(self.places[path], PurePosixPath(self.places[name]).parent)}{sharp}{anchor})"
            return f"[{words}](https://github.com/{self.repository}/blob/main/{path})" if self.repository else words

        parts = re.split(r"(^```.*?^```$)", text, flags=re.DOTALL | re.MULTILINE)
        return "".join(part if part.startswith("```") else re.sub(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)", to, part) for part in parts)

    # ---- what is computed ------------------------------------------------------------------------------------------

    def _list(self, code: str, say: Say) -> str:
        """The page that lists the lessons."""
        rows = (f"| {a.number} | [{_title(a, code)}]({a.path.stem}.md) | {a.minutes} {say('minutes')} |" for a in self.lessons)
        return "\n".join([f"# {say('Lessons')}", "", "| | | |", "|---|---|---|", *rows]) + "\n"

    def _lesson(self, one: Lesson, code: str, say: Say) -> str:
        """The page of a lesson: the HTML of its cells, which Markdown passes on as it is."""
        try:
            cells = frames.cells(one, self.cache)
        except ValueError as error:
            self.stopped += [str(error)] * (str(error) not in self.stopped)
            return f"# {one.number} · {_title(one, code)}\n\n**{html.escape(str(error))}**\n"
        head, *others = (_cell(cell, code) for cell in cells)
        body = "\n".join([head, self._ways(one, say), *others]).replace("codehilite", "highlight")
        body = body.replace('src="pictures/', f'src="{"../" if code == "en" else "../../"}pictures/')
        markdown = f'---\ntitle: "{one.number} {_title(one, code)}"\n---\n\n<div class="lesson" markdown="0">\n{body}\n</div>\n'
        if self._wants("exercises") and one.exercises:
            titles = {e.name: e.title if code == "en" else in_chinese(e.title) for e in map(find, one.exercises)}
            links = " · ".join(f"[{html.escape(title)}](../exercises.md#{name})" for name, title in titles.items())
            markdown += f"\n\n**{say('Exercises')}**{say(': ')}{links}\n"
        return markdown

    def _exercise(self, one: Exercise, code: str, say: Say) -> str:
        """An exercise: its lesson, its file as the learner gets it, and the hints, folded."""
        lesson, title = lesson_of(one.name), one.title if code == "en" else in_chinese(one.title)
        taught = f"{lesson.number} · {html.escape(_title(lesson, code))}"
        taught = f"[{taught}](lessons/{lesson.path.stem}.md)" if lesson in self.lessons else taught
        hint = '??? note "{} {}"\n\n    <p>{}</p>'
        hints = "\n\n".join(hint.format(say("Hint"), i, html.escape(say(words))) for i, words in enumerate(one.hints, 1))
        head = f"## {one.number} {html.escape(title)} {{ #{one.name} }}\n\n{say('Lesson')}{say(': ')}{taught}"
        return f"{head}\n\n```python\n{one.starter_in(code).strip()}\n```\n\n{hints}"

    def _ways(self, one: Lesson, say: Say) -> str:
        """What stands below a lesson's title: that its figures move, and where to run it."""
        told = next(words for words in WORDS if words.startswith("Move a control"))
        lines = [f"{say(told)}<code>tinydx lesson {one.number}</code>"]
        if self.repository:
            link = f"https://mybinder.org/v2/gh/{self.repository}/HEAD?urlpath=marimo/%3Ffile%3Dlessons/{one.path.name}"
            about = say("this lesson, in Python, without installing anything")
            lines.append(f'<a href="{link}">{say("Open in Binder")}</a>{say(": ")}{about}')
        return "\n".join(f'<p class="live">{line}</p>' for line in lines)

    def _slips(self) -> dict[str, dict[str, str]]:
        """The gallery's pages, from the cache where nothing has changed."""
        kept = self.cache / f"slips-{frames.digest(HERE / 'gallery.py')}.json"
        if not kept.exists():
            self.cache.mkdir(parents=True, exist_ok=True)
            atomic_write(kept, json.dumps(gallery.pages(), ensure_ascii=False))
        return json.loads(kept.read_text("utf-8"))


# ---- parts of pages --------------------------------------------------------------------------------------------------


def _joined(text: str) -> str:
    """A Chinese page without the spaces that line ends would be, except in code and tables."""
    blocks = re.split(r"(\n\n+)", text)
    return "".join(block if re.match(r" {4}|```|\|", block) else joined(block) for block in blocks)


def _title(one: Lesson, code: str) -> str:
    return one.title if code == "en" else one.chinese


def _cell(cell: frames.Cell, code: str) -> str:
    """What a cell shows, in one language; of several frames all but the first are hidden, and not found by the search."""
    if not cell.controls:
        return in_language(cell.frames[""], code)
    shown = "".join(
        f'<div data-at="{at}"{"" if at == cell.start else " hidden data-search-exclude"}>{in_language(frame, code)}</div>'
        for at, frame in cell.frames.items()
    )
    shown = re.sub(r"<(/?)h[12]", r"<\1h4", shown)  # no section of the page: the search would find one for each frame
    return f'<div class="frames" data-controls="{" ".join(cell.controls)}">{shown}</div>'


class _InLanguage(HTMLParser):
    """Copies HTML without the elements of the other language, and without the lesson's own switch."""

    def __init__(self, code: str):
        super().__init__(convert_charrefs=False)
        self.left_out = {"en", "zh", "language"} - {code}
        self.parts: list[str] = []
        self.inside = 0  # depth in an element that is left out

    def handle_starttag(self, tag, attributes):
        opens = tag not in ("img", "br", "hr", "input", "col", "wbr")
        if self.inside or self.left_out & {dict(attributes).get("class")}:
            self.inside += opens
        else:
            self.parts.append(self.get_starttag_text())

    def handle_startendtag(self, tag, attributes):
        if not self.inside:
            self.parts.append(self.get_starttag_text())

    def handle_endtag(self, tag):
        if self.inside:
            self.inside -= 1
        else:
            self.parts.append(f"</{tag}>")

    def _keep(self, text):
        if not self.inside:
            self.parts.append(text)

    handle_data = _keep

    def handle_entityref(self, name):
        self._keep(f"&{name};")

    def handle_charref(self, name):
        self._keep(f"&#{name};")


def in_language(body: str, code: str) -> str:
    """HTML of a lesson, which holds both languages, in one of them.

    >>> in_language('<p class="en">a &lt; b</p><p class="zh">甲</p><img>', "en")
    '<p class="en">a &lt; b</p><img>'
    """
    parser = _InLanguage(code)
    parser.feed(body)
    parser.close()
    return "".join(parser.parts)


def _only_english(code: str) -> str:
    return f"*{WORDS['This page exists in English only.']}*\n\n" if code == "zh" else ""


def _rooms() -> list[str]:
    """The rooms of tinydx that a program calls."""
    commands = {"bench", "cli", "command", "course", "doctor", "tasks", "checkout", "lessons", "__main__"}
    return [room.name for room in pkgutil.iter_modules(tinydx.__path__) if room.name not in commands]


def _finished(page: str) -> str:
    """A page with the equations of Markdown's pages as MathML, as those of lessons are.

    It has h:mm:ss where Zensical took :mm: for an emoji, a picture on another host; and none of the links by which Zensical looks
    for a map of the other tree, which the disk does not give to a script.
    """
    page = re.sub(r'<link rel="alternate"[^>]*>', "", page)
    page = re.sub(r'<img[^>]*class="twemoji"[^>]*title="([^"]*)"[^>]*>', r"\1", page)
    return re.sub(r'<(span|div) class="arithmatex">\\[([](.*?)\\[)\]]</\1>', _mathml, page, flags=re.DOTALL)


def _mathml(found: re.Match) -> str:
    """An equation of a page; as it stands what only looks like one, such as two prices in a docstring."""
    from latex2mathml.converter import convert

    try:
        return convert(html.unescape(found[2]), display="block" if found[1] == "div" else "inline")
    except Exception:  # of many kinds, without a common base
        return f"${found[2]}$"


if __name__ == "__main__":
    sys.exit(main())
