"""Handouts: the outputs of a lesson as one HTML file that opens offline with a double-click.

    a run's outputs -> HTML (marimo) -> equations become MathML, controls a line of text -> a page that contains its style

The file refers to nothing outside: pictures are embedded, equations are markup that browsers render, and there are no
scripts; slides.py adds one, which lays the same outputs out as slides. A page written by `marimo export html` needs a network to
open.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinydx.course import Lesson, all_lessons
from tinydx.files import atomic_write, check_folder, check_writable
from tinydx.language import listed, said
from tinydx.lessons import glossary
from tinydx.lessons.page import switch
from tinydx.names import in_html

EQUATION = re.compile(r"<marimo-tex[^>]*>\|\|([(\[])(.*?)\|\|[)\]]</marimo-tex>", re.DOTALL)
FUNCTION, SPACE = "<mi>(?:ln|log|exp|tanh)</mi>", '<mspace width="0.17em"/>'  # t ln p, where a browser writes tlnp
CONTROL = re.compile(r"(?:<marimo-ui-element.*?</marimo-ui-element>\s*)+", re.DOTALL)


def write(lesson: Lesson, path: str | Path, make: Callable[..., str] | None = None) -> Path:
    """Run a lesson and write its handout to path, or what else `make` makes as `page` does (slides.page).

    Returns: the path.
    Raises: ValueError, when it is written, where the lesson stopped; the handout says why.
    """
    lesson.require()
    check_writable(path)
    outputs, why = _run(lesson)
    written = atomic_write(path, (make or page)(lesson, outputs))
    if why:
        raise ValueError(why)
    return written


def write_all(directory: str | Path, say: Callable[[str], None] = print, make: Callable[..., str] | None = None) -> Path:
    """Write the handouts of all lessons whose requirements are installed, and an index.

    Arguments: directory, created if missing; say, called with a line for each lesson; make, as for `write`.
    Returns: the path of index.html.
    Raises: ValueError, when all is written, where a lesson stopped; its handout says why.
    """
    target = Path(directory)
    check_folder(target)
    target.mkdir(parents=True, exist_ok=True)
    written, stopped = [], []
    for lesson in all_lessons():
        if left_out(lesson, say):
            continue
        outputs, why = _run(lesson)
        if why:
            stopped.append(why)
        text = (make or page)(lesson, outputs, index="index.html")
        say(str(atomic_write(target / f"{lesson.path.stem}.html", text)))
        written.append(lesson)
    index = atomic_write(target / "index.html", index_page(written))
    if stopped:
        told = "{n} of {of} lessons stopped, {index} has the others: {why}"
        raise ValueError(said(told, n=len(stopped), of=len(written), index=index, why="; ".join(stopped)))
    return index


def left_out(lesson: Lesson, say: Callable[[str], None]) -> bool:
    """Whether something that a lesson needs is missing, which is said."""
    if lesson.missing:
        told = "left out: lesson {number}, which needs {packages}"
        say(said(told, number=lesson.number, packages=listed(lesson.missing)))
    return bool(lesson.missing)


def _run(lesson: Lesson) -> tuple[list, str]:
    """The outputs of a lesson, and why it stopped, if it did; the page then says only that."""
    try:
        return lesson.run()[0], ""
    except ValueError as error:
        return [_stop_sign(lesson, str(error))], str(error)


def _stop_sign(lesson: Lesson, why: str) -> Any:
    """What stands in the handout of a lesson that stopped."""
    import marimo as mo

    title, here = _word(lesson.title, lesson.chinese), both("On this machine", "在这台机器上：")
    return mo.Html(f"{switch()}<h1>{lesson.number} · {title}</h1><p><strong>{here} {in_html(why)}</strong></p>")


def page(lesson: Lesson, outputs: list, index: str = "") -> str:
    """The handout of a lesson.

    Arguments: lesson; outputs of its cells, as Lesson.run returns them; index, the file name of the index page to link to.
    Returns: the page's HTML.
    """
    index = in_html(index)
    ways = ((index, both("All lessons", "全部课程")), (f"{index}#glossary", both("Glossary", "术语表")))
    back = f"<p>{' · '.join(f'<a href={link!r}>{words}</a>' for link, words in ways)}</p>" if index else ""
    return document(f"{lesson.number} {lesson.title}", back + body(lesson, outputs) + _warning())


def body(lesson: Lesson, outputs: list) -> str:
    """The outputs of a lesson's cells as HTML, its equations as MathML, its controls as a line of text."""
    import marimo as mo

    text = with_mathml("\n".join(mo.as_html(output).text for output in outputs if output is not None))
    live = both("In the lesson, a control here changes the figure: ", "在课程中，这里的控件会改变图形：")
    return CONTROL.sub(f'<p class="live">{live}<code>tinydx lesson {lesson.number}</code></p>', text)


def index_page(lessons: list[Lesson]) -> str:
    """The HTML of the index: all handouts and the glossary."""
    rows = "".join(
        f'<tr><td>{lesson.number}</td><td><a href="{in_html(lesson.path.stem)}.html">{_word(lesson.title, lesson.chinese)}</a>'
        f"</td><td>{lesson.minutes} {both('min', '分钟')}</td></tr>"
        for lesson in lessons
    )
    words = "".join(
        f"<dt>{_word(t.english, t.chinese)} <code>{in_html(t.code)}</code></dt><dd>{both(t.meaning, t.meaning_chinese)}</dd>"
        for t in glossary.terms()
    )
    title = both("Diagnosis by deep learning, from the equations", "从公式学习深度学习诊断")
    english = "Handouts of the lessons of tinydx. In the lessons, the figures are interactive:"
    about = both(english, "tinydx 课程讲义。在课程中，图形可以操作：")
    return document(
        "tinydx: the course",
        f"{switch()}<h1>{title}</h1><p>{about} <code>tinydx lesson 1</code></p><table class='lessons'>{rows}</table>"
        f"<h2 id='glossary'>{both('Glossary', '术语表')}</h2><dl>{words}</dl>{_warning()}",
    )


def both(english: str, chinese: str) -> str:
    """Words in both languages, of which the page shows one."""
    return f'<span class="en">{in_html(english)}</span><span class="zh" lang="zh">{in_html(chinese)}</span>'


def _word(english: str, chinese: str) -> str:
    """A term in the page's language, and the other one beside it."""
    english, chinese = in_html(english), in_html(chinese)
    return (
        f'<span class="en">{english} <span class="other" lang="zh">{chinese}</span></span>'
        f'<span class="zh" lang="zh">{chinese} <span class="other" lang="en">{english}</span></span>'
    )


def with_mathml(body: str) -> str:
    """HTML of marimo's, with its equations as markup that browsers render by themselves."""
    return EQUATION.sub(_mathml, body)


def _mathml(match: re.Match) -> str:
    from latex2mathml.converter import convert

    markup = convert(html.unescape(match[2]), display="block" if match[1] == "[" else "inline")
    for neighbours in (rf"(</m[in]>)({FUNCTION})", rf"({FUNCTION})(<m[in]>)"):
        markup = re.sub(neighbours, rf"\1{SPACE}\2", markup)
    return markup


def _warning() -> str:
    warning = both("tinydx is for learning and research. It is not a medical device.", "tinydx 用于学习和研究，不是医疗器械。")
    return f"\n<footer>{warning}</footer>"


def document(title: str, body: str, *files: str) -> str:
    """A page of this body.

    Arguments: title; body, HTML; files of this folder that the page contains beside handout.css, styles or scripts.
    """
    texts = {name: Path(__file__).with_name(name).read_text("utf-8") for name in ("handout.css", *files)}
    styles = "\n".join(text for name, text in texts.items() if name.endswith(".css"))
    scripts = "".join(f"<script>\n{text}</script>\n" for name, text in texts.items() if name.endswith(".js"))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<link rel="icon" href="data:,">\n'
        f"<title>{in_html(title)}</title>\n<style>\n{styles}</style>\n</head>\n<body>\n{body}\n{scripts}</body>\n</html>\n"
    )
