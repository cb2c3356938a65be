"""The solutions of all exercises with commentary, for teachers: one HTML file in both languages.

For each exercise: the task, the solution, why it is right, what the usual slips would have done, and the lesson that asks it.
A submission behind the fence of `tinydx exercise grade` sees nothing but its own folder; so the file is refused where it would
lie in a folder of exercises, which is handed in or copied.
"""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

from tinydx.course import lesson_of
from tinydx.exercises import Exercise, all_exercises
from tinydx.exercises.commands import commentary
from tinydx.exercises.exercise import without_marks
from tinydx.exercises.folder import Folder
from tinydx.files import atomic_write, check_writable
from tinydx.language import LANGUAGES, in_chinese, said, speaking
from tinydx.lessons.handout import both, document
from tinydx.lessons.page import CHINESE, switch
from tinydx.names import in_html


def write(path: str | Path) -> Path:
    """Write the document; returns its path.

    Raises: ValueError for a path in a folder of exercises.
    """
    with contextlib.suppress(FileNotFoundError):
        learners = Folder.find(Path(path).parent).path
        told = "{path} would lie in the exercises of {folder}, where learners read it: choose another folder"
        raise ValueError(said(told, path=path, folder=learners))
    check_writable(path)
    return atomic_write(path, page())


def page() -> str:
    """The document's HTML."""
    rows = "".join(
        f'<tr><td><a href="#{e.name}">{e.number} · {both(e.title, in_chinese(e.title))}</a></td>'
        f"<td>{lesson.number} · {both(lesson.title, lesson.chinese)}</td></tr>"
        for lesson, e in ((lesson_of(e.name), e) for e in all_exercises())
    )
    title = both("Solutions, for teachers", "参考答案（教师用）")
    about = both("Keep this file where learners do not reach it.", "请把此文件放在学生读不到的地方。")
    heads = "".join(f"<th>{both(*words)}</th>" for words in (("Exercise", "练习"), ("Lesson", "课程")))
    table = f"<table><tr>{heads}</tr>{rows}</table>"
    parts = "\n".join(map(_part, all_exercises()))
    return document("tinydx: solutions", f"{switch()}<h1>{title}</h1><p>{about}</p>{table}\n{parts}")


def _part(exercise: Exercise) -> str:
    """What the document says about one exercise."""
    title, texts = both(exercise.title, in_chinese(exercise.title)), (exercise.task, in_chinese(exercise.task))
    task = "".join(f'<div class="{code}" lang="{code}">{_task(text)}</div>' for code, text in zip(LANGUAGES, texts, strict=True))
    code = "\n".join(map(in_html, without_marks(exercise.code).strip().splitlines()))
    told = "".join(f'<div class="{language}" lang="{language}">{_commentary(exercise, language)}</div>' for language in LANGUAGES)
    return f'<h2 id="{exercise.name}">{exercise.number} · {title}</h2>\n{task}\n<pre>{code}</pre>\n{told}'


def _task(text: str) -> str:
    """The paragraphs of a task as HTML; between Chinese characters a line's end is no space."""
    text = re.sub(rf"(?<={CHINESE})\n(?={CHINESE})", "", text)
    return "".join(f"<p>{in_html(' '.join(part.split()))}</p>" for part in text.split("\n\n"))


def _commentary(exercise: Exercise, language: str) -> str:
    """The commentary as HTML: its headings stand at the margin, what they head is indented."""
    with speaking(language), contextlib.redirect_stdout(io.StringIO()):  # a file has all characters, whatever a terminal has
        lines = commentary(exercise)
    return "".join(f"<p>{in_html(s)}</p>" if s.startswith(" ") else f"<h3>{in_html(s)}</h3>" for s in lines)
