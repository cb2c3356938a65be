"""What notebooks are written with. A lesson is one column, 390 px wide or more, so that a phone shows all of it.

    head(1)              its title, and what it needs
    term("kernel")       a word of the glossary, with its Chinese
    card("conv2d", ...)  the engine's own code of an op, from the op table
    code(function, ...)  that of any function
    canvas, show         an empty figure of the right size, and the picture it becomes, with words for who cannot see it
    own_data()           the path that `tinydx lesson 1 --data PATH` gave, or None; square(path, 128), an image file as an array
    foot(1)              its exercises, its terms, the way on

What these return is HTML that marimo shows and that a handout can keep: no widget but marimo's own controls.
Figures are matplotlib's objects, never pyplot, so that nothing global changes.
"""

from __future__ import annotations

import base64
import html
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
from tinydx.preprocessing.files import img_to_array, load_img

BLUE, RED, GREY = "#2166ac", "#c62828", "#627d98"
WIDTH = 4.6  # of a figure in inches: at 390 px a 9 pt letter is then 10 px high
DPI = 170
STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def head(number: int) -> Any:
    """The title of a lesson and the line below it."""
    lesson = find(number)
    minutes = f"{lesson.minutes} minutes" + (" with its exercises" if lesson.exercises else "")
    title = f"# {number} · {lesson.title} <span lang='zh'>{lesson.chinese}</span>"
    lines = [title, f"Lesson {number} of tinydx · {minutes}"]
    if own := own_data():
        lines.append(f"Your data: `{own.name}`")
    elif lesson.data:
        lines.append(f"With your own data: `tinydx lesson {number} --data PATH`, {lesson.data}")
    return _markdown("\n\n".join(lines))


def own_data() -> Path | None:
    """What `tinydx lesson N --data PATH` gave, which exists; None where the lesson is to use its own data."""
    given = os.environ.get(DATA)
    return Path(given) if given else None


def square(path: Path, size: int) -> np.ndarray:
    """The middle of an image file as an array (size,size,3), 0 to 255; load_img's errors."""
    from PIL import ImageOps

    return img_to_array(ImageOps.fit(load_img(path), (size, size)))


def term(english: str) -> str:
    """A word of the glossary where it first appears, with its Chinese; ValueError if the glossary lacks it."""
    return f"**{english}** <span lang='zh'>{glossary.find(english).chinese}</span>"


def card(name: str, *parts: str) -> Any:
    """The card of an op, or some parts of it (literal, forward, backward): the code as it stands in the engine."""
    return _markdown(f"`tinydx card {name}`\n\n```python\n{cards.card(name, *parts)}\n```")


def code(*functions: Any) -> Any:
    """Functions as they stand in their files; kernels, too."""
    text = "\n\n".join(cards.code(getattr(function, "py_func", function)) for function in functions)
    return _markdown(f"```python\n{text}\n```")


def canvas(rows: int = 1, columns: int = 1, *, height: float = 2.8, **keywords: Any) -> tuple[Figure, Any]:
    """A figure as wide as a lesson, with its axes; height in inches."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
        return figure, figure.subplots(rows, columns, **keywords)


def show(figure: Figure, words: str) -> Any:
    """The figure as a picture inside the page; words say what is to be seen, for who cannot see it."""
    import marimo

    file = io.BytesIO()
    figure.savefig(file, format="png")
    data = base64.b64encode(file.getvalue()).decode()
    return marimo.Html(f'<img class="figure" alt="{html.escape(words)}" src="data:image/png;base64,{data}">')


def foot(number: int) -> Any:
    """The exercises that belong to a lesson, the terms it used, and the lesson after it."""
    lesson = find(number)
    lines = ["## Now you", "", f"Change its code: `tinydx lesson {number} --edit` opens a copy.", ""]
    for name in lesson.exercises:
        exercise = exercises.find(name)
        lines += [f"**{exercise.title}** <span lang='zh'>{exercise.chinese}</span>", "", f"    tinydx exercise check {name}", ""]
    if lesson.exercises:
        lines += ["The files come from `tinydx exercise start exercises`; `tinydx exercise hint NAME` helps.", ""]
    used = re.findall(r'term\("(.+?)"\)', lesson.path.read_text("utf-8"))
    if used:
        lines += ["/// details | The terms of this lesson", *map(_entry, dict.fromkeys(used)), "///", ""]
    following = next((other for other in all_lessons() if other.number > number), None)
    if following:
        lines += [f"**Next:** {following.title}, `tinydx lesson {following.number}`"]
    return _markdown("\n".join(lines))


def _entry(word: str) -> str:
    """A row of the glossary as an item of a list: a table would be too wide for a phone."""
    term = glossary.find(word)
    code = f" `{term.code}`" if term.code else ""
    return f"- **{term.english}** <span lang='zh'>{term.chinese}</span>{code}: {term.meaning}"


def _markdown(text: str) -> Any:
    import marimo  # not above: who tests tinydx without it must be able to import this file

    return marimo.md(text)
