"""Slides: the outputs of a lesson as one HTML file that a teacher shows, offline.

    a run's outputs -> the handout's HTML -> slides.js, in the browser, lays it out on slides of 1280 x 720 pixels

Only the browser knows how high a text is in the fonts of its machine, so slides.js fills each slide until nothing more fits.
Where scripts are off, the page reads as a handout. Both languages are in it; the code of the engine is left out, its name stays.

    →, Page Down, space      the answer of the question on the slide, then the next slide; ←, Page Up go back
    Home, End                the first and the last slide
    A                        opens and closes the answer
    L                        the other language
    the browser's printing   one slide a page, answers open
"""

from __future__ import annotations

from tinydx.course import Lesson
from tinydx.lessons import handout
from tinydx.names import in_html


def page(lesson: Lesson, outputs: list, index: str = "") -> str:
    """The slides of a lesson.

    Arguments: lesson; outputs of its cells, as Lesson.run returns them; index, the file name of the index page to link to.
    Returns: the page's HTML.
    """
    back = f'<a href="{in_html(index)}">{handout.both("All lessons", "全部课程")}</a>' if index else ""
    buttons = '<button id="back">‹</button> <span id="place"></span> <button id="on">›</button>'
    body = f"<main>\n{handout.body(lesson, outputs)}\n</main>\n<nav>{back} {buttons}</nav>"
    return handout.document(f"{lesson.number} {lesson.title}", body, "slides.css", "slides.js")
