"""What the exercise commands print: results, hints and the list of exercises, in any output encoding."""

from __future__ import annotations

import sys

from tinydx.exercises.exercise import Exercise, all_exercises
from tinydx.exercises.folder import Folder
from tinydx.exercises.runner import Result
from tinydx.names import lines

PLAIN = str.maketrans({"·": "-", "✓": "ok", "✗": "x"})  # for encodings without these characters


def can_show(text: str) -> bool:
    """Whether the output's encoding has these characters."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def say(text: str = "") -> None:
    """Print lines at once, without control characters, and in ASCII characters where the output's encoding needs them."""
    text = lines(text)
    print(text if can_show(text) else text.translate(PLAIN), flush=True)


def show(result: Result) -> None:
    """Print the result of a check."""
    say(result.text(unicode=can_show("✓✗░▒▓█·")))


def show_hints(folder: Folder, exercise: Exercise) -> None:
    """Print the hints given so far and one more."""
    hints = folder.next_hints(exercise)
    for level, text in enumerate(hints, 1):
        say(f"hint {level}/{len(exercise.hints)} for {exercise.file}: {text}")
    if len(hints) == len(exercise.hints):
        say(f"That was the last hint. tinydx exercise solution {exercise.name} --spoil shows the solution.")


def show_list(folder: Folder, current: Exercise | None = None) -> None:
    """Print all exercises, those that passed and the current one marked, and the progress."""
    passed, current = folder.progress().passed, current or folder.current()
    width = max(len(e.file) for e in all_exercises())
    for e in all_exercises():
        mark = ("✓ " if can_show("✓") else "ok") if e.name in passed else "> " if e is current else "  "
        say(f"  {mark} {e.file:<{width}}  {e.title}" + (f" · {e.chinese}" if can_show(e.chinese) else ""))
    say(f"progress {folder.count()}")
