"""What `tinydx exercise ...` does: one function for each action, called by `tinydx/cli.py` with its parsed arguments."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tinydx.exercises import grade as grading
from tinydx.exercises.checks import Gradients
from tinydx.exercises.exercise import Exercise, all_exercises, find
from tinydx.exercises.folder import Folder
from tinydx.exercises.milestones.assembly import assemble
from tinydx.exercises.milestones.milestone import find_milestone
from tinydx.exercises.milestones.page import page
from tinydx.exercises.rubric import read as read_rubric
from tinydx.exercises.runner import Result, check_all
from tinydx.exercises.sandbox import warning
from tinydx.exercises.terminal import (
    say,
    show,
    show_hints,
    show_list,
    show_milestone,
    show_milestones,
    show_outcome,
    show_stage,
)
from tinydx.exercises.watch import Watch
from tinydx.files import atomic_write
from tinydx.language import said, sentence
from tinydx.names import shown
from tinydx.op import TABLE


def start(a: argparse.Namespace) -> int:
    """Copy the starters into a folder."""
    folder = Folder(Path(a.folder))
    new, of = len(folder.start()), len(all_exercises())
    kept = said("; {n} were there already and are unchanged", n=of - new) if new < of else ""
    if new == 1:
        say("1 new exercise in {folder}{kept}", folder=folder.path, kept=kept)
    else:
        say("{n} new exercises in {folder}{kept}", n=new, folder=folder.path, kept=kept)
    first = (folder.current() or all_exercises()[0]).file
    say("Now: cd {folder}, tinydx exercise watch, and open {file} in your editor.", folder=folder.path, file=first)
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
        say("progress {count}: all exercises pass. tinydx exercise check --all checks them again.", count=folder.count())
        return 0
    results = []
    for result in check_all(chosen, folder.file, a.seconds):
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


def _what_next(folder: Folder, results: Sequence[Result]) -> str:
    """One line: the progress, and what to type next."""
    failed = next((r for r in results if not r.ok), None)
    if failed is not None:
        return said("progress {count} · tinydx exercise hint {name}", count=folder.count(), name=failed.exercise.name)
    exercise = results[-1].exercise
    following = folder.current(after=exercise)
    if following is None:
        return said("progress {count} · all exercises pass", count=folder.count())
    told = "progress {count} · next: {file} · and why: tinydx exercise solution {name} --why"
    return said(told, count=folder.count(), file=following.file, name=exercise.name)


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


def milestone(a: argparse.Namespace) -> int:
    """Train an engine assembled from the exercises that pass, and write its page; without a name list the milestones."""
    folder = Folder.find(a.dir)
    if not a.name:
        show_milestones(folder)
        return 0
    chosen = find_milestone(a.name)
    if a.json:
        outcome = assemble(chosen, folder, a.seconds, tell=lambda told: None)
    else:
        show_milestone(chosen)
        outcome = assemble(chosen, folder, a.seconds, show_stage)
    path = atomic_write(folder.path / f"milestone_{chosen.number}.html", page(outcome, folder))
    if a.json:
        print(json.dumps({**outcome.as_dict(), "page": str(path)}))
    else:
        show_outcome(outcome)
        say("page: {path}", path=path)
    return 0 if outcome.done else 1


def reset(a: argparse.Namespace) -> int:
    """Restore the starter, and keep the learner's file under another name."""
    folder = Folder.find(a.dir)
    for exercise in [find(name) for name in a.names]:
        kept = folder.reset(exercise)
        folder.mark(exercise, passed=False)
        if kept:
            say("{file} is the starter again; your work is in {kept}", file=exercise.file, kept=kept.name)
        else:
            say("{file} is the starter again", file=exercise.file)
    return 0


def solution(a: argparse.Namespace) -> int:
    """Show the solution of an exercise that passed, or of any with --spoil."""
    folder = Folder.find(a.dir)
    exercise = find(a.name)
    if not a.spoil and exercise.name not in folder.progress().passed:
        raise ValueError(said("{name} has not passed yet: --spoil shows the solution anyway", name=exercise.name))
    say(exercise.solution.rstrip())
    for line in ["", *commentary(exercise)] if a.why else []:
        say(line)
    return 0


def commentary(exercise: Exercise) -> list[str]:
    """After a solution: why it is right, what the usual slips would have done, and what to read next."""
    op = next((c.of for c in exercise.checks if isinstance(c, Gradients)), None)
    lines = [said("Why"), f"  {said(exercise.hints[-1])}", said("What the usual slips would have done")]
    slips = {s.name: s.advice for s in op.slips} if op else {}
    for bug in exercise.bugs:
        advice = sentence(bug.advice or slips[bug.name])
        lines.append("  " + said("{name}: {advice}", name=sentence(bug.name), advice=advice))
    known = op is not None and op.name in TABLE
    following = next((e for e in all_exercises() if e.number == exercise.number + 1), None)
    lines.append(said("Read next"))
    if known and op:
        lines.append("  " + said("tinydx card {name}: the equation, its loops and its gradient", name=op.name))
    if not exercise.planted:  # whose source is the check's own network
        lines.append(f"  {said(exercise.source or (op.source if op else ''))}")
    return [*lines, *(["  " + said("{name}: {advice}", name=following.file, advice=said(following.title))] if following else [])]


def grade(a: argparse.Namespace) -> int:
    """Grade all students' folders."""
    if told := warning():
        print(f"warning: {told}", file=sys.stderr, flush=True)
    rubric = read_rubric(Path(a.rubric)) if a.rubric else None
    junit = Path(a.junit) if a.junit else None
    scores = grading.grade(Path(a.folder), Path(a.csv), a.seconds, a.jobs, junit, rubric)
    width = max(len(shown(s.student)) for s in scores)
    for s in scores:
        points = f"  {s.points(rubric):>6g}/{rubric.full:g}" if rubric else ""
        say(f"  {shown(s.student):<{width}}  {s.passed:>3}/{len(s.cells)}{points}")
    say("{n} students: {file}", n=len(scores), file=a.csv)
    return 0
