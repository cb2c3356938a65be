"""Handouts: the outputs of a lesson as one HTML file that opens offline with a double-click.

    a run's outputs -> HTML (marimo) -> equations become MathML, controls a line of text -> a page that contains its style

The file refers to nothing outside: pictures are embedded, equations are markup that browsers render, and there are no
scripts. A page written by `marimo export html` needs a network to open.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinydx.files import atomic_write, check_folder, check_writable
from tinydx.lessons import glossary
from tinydx.lessons.lesson import Lesson, all_lessons
from tinydx.names import in_html

EQUATION = re.compile(r"<marimo-tex[^>]*>\|\|([(\[])(.*?)\|\|[)\]]</marimo-tex>", re.DOTALL)
CONTROL = re.compile(r"(?:<marimo-ui-element.*?</marimo-ui-element>\s*)+", re.DOTALL)


def write(lesson: Lesson, path: str | Path) -> Path:
    """Run a lesson and write its handout to path; returns the path."""
    check_writable(path)
    return atomic_write(path, page(lesson, lesson.run()[0]))


def write_all(directory: str | Path, say: Callable[[str], None] = print) -> Path:
    """Write the handouts of all lessons whose requirements are installed, and an index.

    Arguments: directory, created if missing; say, called with a line for each lesson.
    Returns: the path of index.html.
    Raises: ValueError, when all is written, where a lesson stopped; its handout says why.
    """
    target = Path(directory)
    check_folder(target)
    target.mkdir(parents=True, exist_ok=True)
    written, stopped = [], []
    for lesson in all_lessons():
        if lesson.missing:
            say(f"left out: lesson {lesson.number}, which needs {', '.join(lesson.missing)}")
            continue
        try:
            outputs = lesson.run()[0]
        except ValueError as error:
            outputs = [_stop_sign(lesson, str(error))]
            stopped.append(str(error))
        say(str(atomic_write(target / f"{lesson.path.stem}.html", page(lesson, outputs, index="index.html"))))
        written.append(lesson)
    index = atomic_write(target / "index.html", index_page(written))
    if stopped:
        raise ValueError(f"{len(stopped)} of {len(written)} lessons stopped, {index} has the others: {'; '.join(stopped)}")
    return index


def _stop_sign(lesson: Lesson, why: str) -> Any:
    """What stands in the handout of a lesson that stopped."""
    import marimo as mo

    return mo.Html(f"<h1>{lesson.number} · {in_html(lesson.title)}</h1><p><strong>On this machine {in_html(why)}</strong></p>")


def page(lesson: Lesson, outputs: list, index: str = "") -> str:
    """The handout of a lesson.

    Arguments: lesson; outputs of its cells, as Lesson.run returns them; index, the file name of the index page to link to.
    Returns: the page's HTML.
    """
    import marimo as mo

    body = "\n".join(mo.as_html(output).text for output in outputs if output is not None)
    body = EQUATION.sub(_mathml, body)
    live = f"In the lesson, a control here changes the figure: <code>tinydx lesson {lesson.number}</code>"
    body = CONTROL.sub(f'<p class="live">{live}</p>', body)
    index = in_html(index)
    back = f'<p><a href="{index}">All lessons</a> · <a href="{index}#glossary">Glossary</a></p>' if index else ""
    return _document(f"{lesson.number} {lesson.title}", back + body)


def index_page(lessons: list[Lesson]) -> str:
    """The HTML of the index: all handouts and the glossary."""
    rows = "".join(
        f'<tr><td>{lesson.number}</td><td><a href="{in_html(lesson.path.stem)}.html">{in_html(lesson.title)}</a> '
        f'<span lang="zh">{in_html(lesson.chinese)}</span></td><td>{lesson.minutes} min</td></tr>'
        for lesson in lessons
    )
    words = "".join(
        f'<dt>{in_html(t.english)} <span lang="zh">{in_html(t.chinese)}</span> <code>{in_html(t.code)}</code></dt>'
        f"<dd>{in_html(t.meaning)}</dd>"
        for t in glossary.terms()
    )
    return _document(
        "tinydx: the course",
        "<h1>Diagnosis by deep learning, from the equations</h1><p>Handouts of the lessons of tinydx. "
        "In the lessons, the figures are interactive: <code>tinydx lesson 1</code>.</p>"
        f"<table class='lessons'>{rows}</table><h2 id='glossary'>Glossary</h2><dl>{words}</dl>",
    )


def _mathml(match: re.Match) -> str:
    from latex2mathml.converter import convert

    return convert(html.unescape(match[2]), display="block" if match[1] == "[" else "inline")


def _document(title: str, body: str) -> str:
    style = Path(__file__).with_name("handout.css").read_text("utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<link rel="icon" href="data:,">\n'
        f"<title>{in_html(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n{body}\n"
        "<footer>tinydx is for learning and research. It is not a medical device.</footer>\n</body>\n</html>\n"
    )
