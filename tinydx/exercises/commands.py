"""What `tinydx exercise ...` does, one function for each action; `tinydx/cli.py` parses and calls them."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tinydx.exercises.exercise import Exercise, all_exercises, find
from tinydx.exercises.folder import Folder
from tinydx.exercises.runner import Result, check_file

PLAIN = str.maketrans({"·": "-", "✓": "ok", "✗": "x"})


def shows(text: str) -> bool:
    """Whether the output's encoding has these characters."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def say(text: str = "") -> None:
    """Print at once, in whatever encoding."""
    print(text if shows(text) else text.translate(PLAIN), flush=True)


def start(a: argparse.Namespace) -> int:
    """Copy the starters."""
    folder = Folder(Path(a.folder))
    new, of = len(folder.start()), len(all_exercises())
    kept = f", {of - new} were there already and stay as they are" if new < of else ""
    say(f"{new} exercises are new in {folder.path}{kept}")
    say(f"Now: cd {folder.path}, tinydx exercise watch, and open {(folder.current() or all_exercises()[0]).file} in your editor.")
    return 0


def list_exercises(a: argparse.Namespace) -> int:
    """All exercises, with a mark at those that passed."""
    show_list(Folder.find(a.dir))
    return 0


def show_list(folder: Folder, current: Exercise | None = None) -> None:
    passed, current = folder.progress().passed, current or folder.current()
    width = max(len(e.file) for e in all_exercises())
    for e in all_exercises():
        mark = ("✓ " if shows("✓") else "ok") if e.name in passed else "> " if e is current else "  "
        say(f"  {mark} {e.file:<{width}}  {e.title}" + (f" · {e.chinese}" if shows(e.chinese) else ""))
    say(f"progress {folder.count()}")


def check(a: argparse.Namespace) -> int:
    """Check one exercise, some or all; the exit status is 0 only if all of them pass."""
    folder = Folder.find(a.dir)
    following = folder.current()
    chosen = list(all_exercises()) if a.all else [find(name) for name in a.names] or ([following] if following else [])
    if not chosen:
        say(f"progress {folder.count()}: all exercises pass. tinydx exercise check --all checks them again.")
        return 0
    results = []
    for result in check_all(folder, chosen, a.seconds):
        results.append(result)
        folder.mark(result.exercise, result.ok)
        if not a.json:
            show(result)
    if a.json:
        passed = sum(r.ok for r in results)
        summary = {"ok": passed == len(results), "passed": passed, "of": len(results)}
        print(json.dumps({**summary, "results": [r.as_dict() for r in results]}))
    else:
        say(_what_next(folder, results))
    return 0 if all(r.ok for r in results) else 1


def check_all(folder: Folder, exercises: Sequence[Exercise], seconds: float) -> Iterator[Result]:
    """The results in order; two at a time, as one waits for a process while the other computes."""
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(check_file, e, folder.file(e), seconds) for e in exercises]
        try:
            for future in waiting:
                yield future.result()
        finally:
            for future in waiting:
                future.cancel()


def show(result: Result) -> None:
    say(result.text(unicode=shows("✓✗░▒▓█·")))


def _what_next(folder: Folder, results: Sequence[Result]) -> str:
    """One line: how far the learner is, and what to type next."""
    failed = next((r for r in results if not r.ok), None)
    if failed is not None:
        return f"progress {folder.count()} · tinydx exercise hint {failed.exercise.name}"
    following = folder.current(after=results[-1].exercise)
    return f"progress {folder.count()} · " + (f"next: {following.file}" if following else "all exercises pass")


def watch(a: argparse.Namespace) -> int:
    """Check whenever a file is saved."""
    from tinydx.exercises.watch import Watch

    return Watch(Folder.find(a.dir), a.seconds).run()


def hint(a: argparse.Namespace) -> int:
    """One more hint each time, up to three."""
    folder = Folder.find(a.dir)
    exercise = find(a.name) if a.name else folder.current()
    if exercise is None:
        say("All exercises pass.")
        return 0
    show_hints(folder, exercise)
    return 0


def show_hints(folder: Folder, exercise: Exercise) -> None:
    hints = folder.next_hints(exercise)
    for level, text in enumerate(hints, 1):
        say(f"hint {level}/{len(exercise.hints)} for {exercise.file}: {text}")
    if len(hints) == len(exercise.hints):
        say(f"That was the last hint. tinydx exercise solution {exercise.name} --spoil shows the solution.")


def reset(a: argparse.Namespace) -> int:
    """Put a starter back, and keep what was there."""
    folder = Folder.find(a.dir)
    for exercise in [find(name) for name in a.names]:
        kept = folder.reset(exercise)
        folder.mark(exercise, passed=False)
        say(f"{exercise.file} is the starter again" + (f"; your work is in {kept.name}" if kept else ""))
    return 0


def solution(a: argparse.Namespace) -> int:
    """Show the solution to who has one, or asks for it."""
    folder = Folder.find(a.dir)
    exercise = find(a.name)
    if not a.spoil and exercise.name not in folder.progress().passed:
        raise ValueError(f"{exercise.name} has not passed yet: its solution is shown after that, or with --spoil")
    say(exercise.solution.rstrip())
    return 0


def grade(a: argparse.Namespace) -> int:
    """Score all students' folders."""
    from tinydx.exercises.grade import grade as grade_all

    scores = grade_all(Path(a.folder), Path(a.csv), a.seconds, a.jobs)
    width = max(len(s.student) for s in scores)
    for s in scores:
        say(f"  {s.student:<{width}}  {s.passed:>3}/{len(s.cells)}")
    say(f"{len(scores)} students: {a.csv}")
    return 0
