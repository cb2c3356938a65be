"""What the exercise commands print: results, hints, lists and milestones, in any output encoding."""

from __future__ import annotations

from typing import Any

from tinydx.course import lesson_of
from tinydx.exercises.exercise import Exercise, all_exercises
from tinydx.exercises.folder import Folder
from tinydx.exercises.milestones.assembly import Outcome, Stage, verdict
from tinydx.exercises.milestones.milestone import Milestone, all_milestones
from tinydx.exercises.runner import Result
from tinydx.language import can_show, listed, said, sentence, wide
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
    """Print all exercises under their lessons, those that passed and the current one marked, and the progress."""
    passed, current = folder.progress().passed, current or folder.current()
    width = max(len(e.file) for e in all_exercises())
    for e in all_exercises():
        lesson = lesson_of(e.name)
        if e.name == lesson.exercises[0]:
            say(_beside(said("lesson {number}, {title}", number=lesson.number, title=lesson.shown_title), lesson.other_title))
        mark = ("✓ " if can_show("✓") else "ok") if e.name in passed else "> " if e is current else "  "
        title = said(e.title)
        say(_beside(f"  {mark} {e.file:<{width}}  {title}", e.chinese if title == e.title else e.title))
    say("progress {count}", count=folder.count())
    say()
    show_milestones(folder)


def _beside(words: str, other: str) -> str:
    """Words, and beside them those of the other language, where the output can show them."""
    return f"{words} · {other}" if can_show(other) else words


# ---- milestones ----------------------------------------------------------------------------------------------------


LOSS, ACCURACY, GAP = sentence("last loss"), sentence("accuracy"), sentence("gap")  # the columns of a milestone's table


def show_milestones(folder: Folder) -> None:
    """Print the milestones: those that were reached marked, of the others which exercises they still need."""
    progress = folder.progress()
    for m in all_milestones():
        needs = m.needs(progress.passed)
        reached = m.name in progress.milestones and not needs
        mark = ("✓ " if can_show("✓") else "ok") if reached else "  "
        counted = f"{len(m.names) - len(needs)}/{len(m.names)}"
        say(f"  {mark} {said('milestone {n}', n=m.number)}  {counted:>5}  {m.shown_title}")
        if needs:
            more = said(" and {n} more", n=len(needs) - 5) if len(needs) > 6 else ""
            names = listed(e.name for e in needs[: 5 if more else 6])
            say(f"{'':23}{said('still needs {names}{more}', names=names, more=more)}")
    say("tinydx exercise milestone 1 trains an engine from what has passed")


def show_milestone(milestone: Milestone) -> None:
    """Print what a milestone is about, and the head of the table of its trainings."""
    say("milestone {n} · {title}", n=milestone.number, title=milestone.shown_title)
    say("  " + said(milestone.about))
    say()
    say("  " + " ".join(_right(said(name), n) for name, n in ((LOSS, 9), (ACCURACY, 9), (GAP, 8))))


def show_stage(told: Stage | str) -> None:
    """Print one training of a milestone as a row, or why an exercise was left out."""
    if isinstance(told, str):
        say(f"  {said(told)}")
        return
    who = said("tinydx alone") if told.exercise is None else f"+ {told.exercise.name}"
    gap = f"{told.gap:.0e}" if told.gap else "0"
    say(f"  {told.run.losses[-1]:9.4f} {told.run.accuracy:9.1%} {gap:>8}  {who}")


def show_outcome(outcome: Outcome) -> None:
    """Print whose code ran in the last training, function by function, and the verdict."""
    say()
    width = max(len(c.function) for c in outcome.stages[-1].calls)
    for c in sorted(outcome.stages[-1].calls, key=lambda c: (not c.yours, c.exercise.number)):
        whose = said("yours") if c.yours else "tinydx"
        where = c.exercise.file
        if why := outcome.left.get(c.exercise.name):
            where = said("{name}: {advice}", name=where, advice=why)
        say(f"  {whose}{' ' * (7 - wide(whose))} {c.function:<{width}} {c.n:>5} x  {where}")
    for name, value in outcome.stages[-1].run.figures.items():
        say("  " + said("{name}: {advice}", name=said(name), advice=f"{value:.4g}"))
    if len(outcome.stages) > 1:
        say("gap: the largest difference of a loss or an answer from tinydx alone, as a share of the largest number.")
    say(verdict(outcome))
    if failed := next((name for name, result in outcome.results.items() if not result.ok), ""):
        say("next: tinydx exercise check {name}", name=failed)


def _right(text: str, width: int) -> str:
    """The text with spaces before it, `width` columns wide."""
    return " " * (width - wide(text)) + text
