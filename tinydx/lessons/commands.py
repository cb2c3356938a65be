"""What `tinydx lesson ...` does: list, open, check, or write handouts."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tinydx.exercises.terminal import say
from tinydx.language import said, wide
from tinydx.lessons import handout
from tinydx.lessons.lesson import INSTALL, Lesson, all_lessons, find


def lesson(a: argparse.Namespace) -> int:
    """Run `tinydx lesson`; returns the exit status."""
    chosen = [find(a.name)] if a.name else list(all_lessons())
    if a.data and not a.name:
        raise ValueError(said("--data needs the name of a lesson: tinydx lesson 1 --data PATH"))
    if a.data:
        chosen[0].take(a.data)
    if a.check:
        return max([_check(one) for one in chosen])
    if a.html:
        say(str(handout.write(chosen[0], a.html) if a.name else handout.write_all(a.html, say)))
        return 0
    return _open(chosen[0], a) if a.name else _list(chosen)


def _list(lessons: list[Lesson]) -> int:
    width = max(wide(one.shown_title) for one in lessons)
    for one in lessons:
        packages = dict.fromkeys([*one.missing, *one.needs])
        marked = [said("{name} (not installed)", name=name) if name in one.missing else name for name in packages]
        needs = said("needs {packages}", packages=", ".join(marked)) if marked else ""
        takes = f"--data: {one.shown_data}" if one.data else ""
        title = one.shown_title + " " * (width - wide(one.shown_title))
        minutes = said("{n:3} min", n=one.minutes)
        say(f"{one.number:3}  {title}  {minutes}  {'; '.join(filter(None, (needs, takes)))}".rstrip())
    say()
    if any(one.missing for one in lessons):
        say("To install what is missing: {command}", command=INSTALL)
    say("Open the first with: tinydx lesson 1")
    return 0


def _check(one: Lesson) -> int:
    """Run a lesson with its assertions; returns the exit status."""
    began = time.perf_counter()
    try:
        one.run()
    except ValueError as error:
        say(f"✗ {one.number:2} {one.shown_title}: {error}")
        return 1
    took = said("{n:.1f} s", n=time.perf_counter() - began)
    say(f"✓ {one.number:2} {one.shown_title} · {took}")
    return 0


def _open(one: Lesson, a: argparse.Namespace) -> int:
    """Serve a lesson with marimo on this machine and open the browser; returns the exit status."""
    one.require()
    path = one.path
    if a.edit:  # edit a copy, not the lesson itself
        path = Path.cwd() / one.path.name
        if not path.exists():
            shutil.copy(one.path, path)
        say("Editing {path}", path=path)
    shown = ["edit"] if a.edit else ["run", "--show-tracebacks"]  # without it, a cell that fails is left out without a word
    command = [sys.executable, "-m", "marimo", *shown, str(path)]
    command += ["--port", str(a.port)] if a.port else []
    command += ["--headless"] if a.no_browser else []
    try:
        return subprocess.run(command, check=False).returncode
    except KeyboardInterrupt:  # Ctrl-C closes a lesson
        return 0
