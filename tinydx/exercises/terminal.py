"""What the exercise commands print: results, hints and the list of exercises, in any output encoding."""

from __future__ import annotations

from typing import Any

from tinydx.exercises.exercise import Exercise, all_exercises
from tinydx.exercises.folder import Folder
from tinydx.exercises.runner import Result
from tinydx.language import can_show, said
from tinydx.names import lines

PLAIN = str.maketrans({"·": "-", "✓": "ok", "✗": "x"})  # for encodings without these characters


def say(english: str = "", **values: Any) -> None:
    """Print lines at once in the chosen language, without control characters, in ASCII characters where the output needs them."""
    text = lines(said(english, **values))
    print(text if can_show(text) else text.translate(PLAIN), flush=True)


def show(result: Result) -> None:
    """Print the result of a check."""
    say(result.text(unicode=can_show("✓✗░▒▓█·")))


def show_hints(folder: Folder, exercise: Exercise) -> None:
    """Print the hints given so far and one more."""
    hints = folder.next_hints(exercise)
    for level, text in enumerate(hints, 1):
        count = f"{level}/{len(exercise.hints)}"
        say("hint {count} for {file}: {text}", count=count, file=exercise.file, text=said(text))
    if len(hints) == len(exercise.hints):
        say("That was the last hint. tinydx exercise solution {name} --spoil shows the solution.", name=exercise.name)


def show_list(folder: Folder, current: Exercise | None = None) -> None:
    """Print all exercises, those that passed and the current one marked, and the progress."""
    passed, current = folder.progress().passed, current or folder.current()
    width = max(len(e.file) for e in all_exercises())
    for e in all_exercises():
        mark = ("✓ " if can_show("✓") else "ok") if e.name in passed else "> " if e is current else "  "
        title = said(e.title)
        beside = e.chinese if title == e.title else e.title  # the other language
        say(f"  {mark} {e.file:<{width}}  {title}" + (f" · {beside}" if can_show(beside) else ""))
    say("progress {count}", count=folder.count())
