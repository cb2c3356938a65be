"""The functions that notebooks call. A lesson is one column, at least 390 px wide, so that it fits on a phone.

    head(1)              the lesson's title, its time and its data
    term("kernel")       a term of the glossary, with its Chinese
    card("conv2d", ...)  the engine's code of an op, from the op table
    code(function, ...)  the code of any function
    canvas, show         an empty figure of the right size; the picture that it becomes, with its text description
    said(name), drawn(name)   a name of the user's own data, in a text and in a figure
    own_data()           the path given by `tinydx lesson 1 --data PATH`, or None; square(path, 128), an image file as an array
    foot(1)              the lesson's exercises and terms, and the next lesson

They return HTML that marimo shows and a handout keeps; the only widgets are marimo's own controls. Figures are matplotlib
objects, never made with pyplot, which would change global state.
"""

from __future__ import annotations

import base64
import io
import os
import re
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from tinydx import cards, exercises
from tinydx.lessons import glossary
from tinydx.lessons.lesson import DATA, all_lessons, find
from tinydx.names import in_figure as drawn
from tinydx.names import in_html
from tinydx.names import in_markdown as said
from tinydx.preprocessing.files import img_to_array, load_img

__all__ = ["BLUE", "GREY", "RED", "canvas", "card", "code", "drawn", "foot", "head", "own_data", "said", "show", "square", "term"]

BLUE, RED, GREY = "#2166ac", "#c62828", "#627d98"
WIDTH = 4.6  # inches of a figure: 9 pt letters are then 10 px high on a page of 390 px
DPI = 170
STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def head(number: int) -> Any:
    """The title of a lesson, its minutes, and the data that it uses or takes."""
    lesson = find(number)
    minutes = f"{lesson.minutes} minutes" + (" with its exercises" if lesson.exercises else "")
    title = f"# {number} · {lesson.title} <span lang='zh'>{lesson.chinese}</span>"
    lines = [title, f"Lesson {number} of tinydx · {minutes}"]
    if own := own_data():
        lines.append(f"Your data: {said(own.name)}")
    elif lesson.data:
        lines.append(f"With your own data: `tinydx lesson {number} --data PATH`, where PATH is {lesson.data}")
    return _markdown("\n\n".join(lines))


def own_data() -> Path | None:
    """The path given by `tinydx lesson N --data PATH`; None where the lesson uses its own data."""
    given = os.environ.get(DATA)
    return Path(given) if given else None


def square(path: Path, size: int) -> np.ndarray:
    """The central square of an image file, scaled to (size,size,3), values 0 to 255; raises load_img's errors."""
    from PIL import ImageOps

    return img_to_array(ImageOps.fit(load_img(path), (size, size)))


def term(english: str) -> str:
    """A term of the glossary with its Chinese, for its first use in a text; ValueError where the glossary lacks it."""
    return f"**{english}** <span lang='zh'>{glossary.find(english).chinese}</span>"


def card(name: str, *parts: str) -> Any:
    """The card of an op, or parts of it (literal, forward, backward): the code as it is in the engine."""
    return _markdown(f"`tinydx card {name}`\n\n```python\n{cards.card(name, *parts)}\n```")


def code(*functions: Any) -> Any:
    """The source code of functions and of Numba kernels."""
    text = "\n\n".join(cards.code(getattr(function, "py_func", function)) for function in functions)
    return _markdown(f"```python\n{text}\n```")


def canvas(rows: int = 1, columns: int = 1, *, height: float = 2.8, **keywords: Any) -> tuple[Figure, Any]:
    """A figure as wide as a lesson, and its axes.

    Arguments: rows, columns of axes; height in inches; keywords for matplotlib's subplots.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
        return figure, figure.subplots(rows, columns, **keywords)


def show(figure: Figure, words: str) -> Any:
    """The figure as a picture embedded in the page; words describe it for readers who cannot see it."""
    import marimo

    file = io.BytesIO()
    figure.savefig(file, format="png")
    data = base64.b64encode(file.getvalue()).decode()
    return marimo.Html(f'<img class="figure" alt="{in_html(words)}" src="data:image/png;base64,{data}">')


def foot(number: int) -> Any:
    """A lesson's exercises, the terms that it used, and the next lesson."""
    lesson = find(number)
    lines = ["## Now you", "", f"To change the code of this lesson: `tinydx lesson {number} --edit` opens a copy.", ""]
    for name in lesson.exercises:
        exercise = exercises.find(name)
        lines += [f"**{exercise.title}** <span lang='zh'>{exercise.chinese}</span>", "", f"    tinydx exercise check {name}", ""]
    if lesson.exercises:
        lines += ["`tinydx exercise start exercises` creates the files; `tinydx exercise hint NAME` gives a hint.", ""]
    used = re.findall(r'term\("(.+?)"\)', lesson.path.read_text("utf-8"))
    if used:
        lines += ["/// details | The terms of this lesson", *map(_entry, dict.fromkeys(used)), "///", ""]
    following = next((other for other in all_lessons() if other.number > number), None)
    if following:
        lines += [f"**Next:** {following.title}, `tinydx lesson {following.number}`"]
    return _markdown("\n".join(lines))


def _entry(word: str) -> str:
    """A term of the glossary as a list item, because a table would be too wide for a phone."""
    term = glossary.find(word)
    code = f" `{term.code}`" if term.code else ""
    return f"- **{term.english}** <span lang='zh'>{term.chinese}</span>{code}: {term.meaning}"


def _markdown(text: str) -> Any:
    import marimo  # optional: this module must import without it

    return marimo.md(text)
