"""What `tinydx exercise ...` does: one function for each action, called by `tinydx/cli.py` with its parsed arguments."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tinydx.exercises import grade as grading
from tinydx.exercises.checks import Gradients
from tinydx.exercises.exercise import Exercise, all_exercises, find
from tinydx.exercises.folder import Folder
from tinydx.exercises.runner import Result, check_file
from tinydx.exercises.sandbox import warning
from tinydx.exercises.terminal import say, show, show_hints, show_list
from tinydx.exercises.watch import Watch
from tinydx.names import shown
from tinydx.op import TABLE


def start(a: argparse.Namespace) -> int:
    """Copy the starters into a folder."""
    folder = Folder(Path(a.folder))
    new, of = len(folder.start()), len(all_exercises())
    kept = f"; {of - new} were there already and are unchanged" if new < of else ""
    say(f"{new} new exercise{'s' * (new != 1)} in {folder.path}{kept}")
    say(f"Now: cd {folder.path}, tinydx exercise watch, and open {(folder.current() or all_exercises()[0]).file} in your editor.")
    return 0


def list_exercises(a: argparse.Namespace) -> int:
    """List all exercises and mark those that passed."""
    show_list(Folder.find(a.dir))
    return 0


def check(a: argparse.Namespace) -> int:
    """Check one exercise, several, or all; the exit status is 0 only if every one passes."""
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
    """Check two exercises at a time (one starts its process while the other computes); yields the results in order."""
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(check_file, e, folder.file(e), seconds) for e in exercises]
        try:
            for future in waiting:
                yield future.result()
        finally:
            for future in waiting:
                future.cancel()


def _what_next(folder: Folder, results: Sequence[Result]) -> str:
    """One line: the progress, and what to type next."""
    failed = next((r for r in results if not r.ok), None)
    if failed is not None:
        return f"progress {folder.count()} · tinydx exercise hint {failed.exercise.name}"
    following = folder.current(after=results[-1].exercise)
    return f"progress {folder.count()} · " + (f"next: {following.file}" if following else "all exercises pass")


def watch(a: argparse.Namespace) -> int:
    """Check an exercise whenever its file is saved."""
    return Watch(Folder.find(a.dir), a.seconds).run()


def hint(a: argparse.Namespace) -> int:
    """Show one more hint at each call, up to three."""
    folder = Folder.find(a.dir)
    exercise = find(a.name) if a.name else folder.current()
    if exercise is None:
        say("All exercises pass.")
        return 0
    show_hints(folder, exercise)
    return 0


def reset(a: argparse.Namespace) -> int:
    """Restore the starter, and keep the learner's file under another name."""
    folder = Folder.find(a.dir)
    for exercise in [find(name) for name in a.names]:
        kept = folder.reset(exercise)
        folder.mark(exercise, passed=False)
        say(f"{exercise.file} is the starter again" + (f"; your work is in {kept.name}" if kept else ""))
    return 0


def solution(a: argparse.Namespace) -> int:
    """Show the solution of an exercise that passed, or of any with --spoil."""
    folder = Folder.find(a.dir)
    exercise = find(a.name)
    if not a.spoil and exercise.name not in folder.progress().passed:
        raise ValueError(f"{exercise.name} has not passed yet: --spoil shows the solution anyway")
    say(exercise.solution.rstrip())
    for line in ["", *commentary(exercise)] if a.why else []:
        say(line)
    return 0


def commentary(exercise: Exercise) -> list[str]:
    """After a solution: why it is right, what the usual slips would have done, and what to read next."""
    op = next((c.of for c in exercise.checks if isinstance(c, Gradients)), None)
    lines = ["Why", f"  {exercise.hints[-1]}", "What the usual slips would have done"]
    slips = {s.name: s.advice for s in op.slips} if op else {}
    lines += [f"  {bug.name}: {bug.advice or slips.get(bug.name, 'the checker names it')}" for bug in exercise.bugs]
    known = op is not None and op.name in TABLE
    following = next((e for e in all_exercises() if e.number == exercise.number + 1), None)
    lines += ["Read next", *([f"  tinydx card {op.name}: the equation, its loops and its gradient"] if known and op else [])]
    lines.append(f"  {exercise.source or (op.source if op else '')}")
    return [*lines, *([f"  {following.file}: {following.title}"] if following else [])]


def grade(a: argparse.Namespace) -> int:
    """Grade all students' folders."""
    if told := warning():
        print(f"warning: {told}", file=sys.stderr, flush=True)
    scores = grading.grade(Path(a.folder), Path(a.csv), a.seconds, a.jobs, Path(a.junit) if a.junit else None)
    width = max(len(shown(s.student)) for s in scores)
    for s in scores:
        say(f"  {shown(s.student):<{width}}  {s.passed:>3}/{len(s.cells)}")
    say(f"{len(scores)} students: {a.csv}")
    return 0
