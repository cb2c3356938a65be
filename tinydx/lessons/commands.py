"""What `tinydx lesson ...` does: list, open, check, or write handouts."""

from __future__ import annotations

import argparse
import errno
import http.client
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from tinydx.course import INSTALL, Lesson, all_lessons, find
from tinydx.exercises.folder import Folder
from tinydx.exercises.terminal import say
from tinydx.language import can_show, listed, said, wide
from tinydx.lessons import handout, slides


def lesson(a: argparse.Namespace) -> int:
    """Run `tinydx lesson`; returns the exit status."""
    chosen = [find(a.name)] if a.name else list(all_lessons())
    if a.data and not a.name:
        raise ValueError(said("--data needs the name of a lesson: tinydx lesson 1 --data PATH"))
    if a.data:
        chosen[0].take(a.data)
    if a.check:
        if a.name:
            return _check(chosen[0])
        return max([_check(one) for one in chosen if not handout.left_out(one, say)], default=1)
    for out, make in ((a.html, handout.page), (a.slides, slides.page)):
        if out:
            say(str(handout.write(chosen[0], out, make) if a.name else handout.write_all(out, say, make)))
    if a.html or a.slides:
        return 0
    return _open(chosen[0], a) if a.name else _list(chosen)


def _list(lessons: list[Lesson]) -> int:
    """All lessons: those whose exercises have passed in this folder's exercises, and the next."""
    passed = _passed()
    done = [one for one in lessons if one.exercises and passed.issuperset(one.exercises)]
    following = next((one for one in lessons if one not in done), None)
    width = max(wide(one.shown_title) for one in lessons)
    for one in lessons:
        packages = dict.fromkeys([*one.missing, *one.needs])
        marked = [said("{name} (not installed)", name=name) if name in one.missing else name for name in packages]
        needs = said("needs {packages}", packages=listed(marked)) if marked else ""
        takes = said("{name}: {advice}", name="--data", advice=one.shown_data) if one.data else ""
        mark = ("✓" if can_show("✓") else "ok") if one in done else ">" if one is following and done else ""
        about = said("; ").join(filter(None, (needs, takes)))
        title, minutes = one.shown_title + " " * (width - wide(one.shown_title)), said("{n:3} min", n=one.minutes)
        say(f"{mark:<2}{one.number:3}  {title}  {minutes}  {about}".rstrip())
    say()
    if any(one.missing for one in lessons):
        say("To install what is missing: {command}", command=INSTALL)
    told = "{n} of {of} done, by their exercises" if done else "A lesson is done when its exercises pass"
    say(told, n=len(done), of=len(lessons))
    if following:
        say("Open the next with: tinydx lesson {number}", number=following.number)
    else:
        say("All lessons are done")
    return 0


def _passed() -> set[str]:
    """The exercises that have passed in the folder here or above; none where there is no such folder."""
    try:
        return Folder.find().progress().passed
    except FileNotFoundError:
        return set()


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
    if a.port and (who := serving(a.port)):
        told = "port {port} is taken by {who}: tinydx lesson {number} --port {other}"
        raise ValueError(said(told, port=a.port, who=who, number=one.number, other=free_port()))
    shown = ["edit"] if a.edit else ["run", "--show-tracebacks"]  # without it, a cell that fails is left out without a word
    with _copy(one.path) if a.edit else nullcontext(one.path) as path:
        command = [sys.executable, "-m", "marimo", *shown, str(path)]
        command += ["--port", str(a.port)] if a.port else []
        command += ["--headless"] if a.no_browser else []
        try:
            return subprocess.run(command, check=False).returncode
        except KeyboardInterrupt:  # Ctrl-C closes a lesson
            return 0


@contextmanager
def _copy(lesson: Path) -> Iterator[Path]:
    """A copy of a lesson in this folder, to be edited; what marimo leaves beside it goes, and the copy if nothing was changed."""
    path, beside = Path.cwd() / lesson.name, Path.cwd() / "__marimo__"
    new = not beside.exists()
    if not path.exists():
        shutil.copy(lesson, path)
    say("Editing {path}", path=path)
    try:
        yield path
    finally:
        if new:
            shutil.rmtree(beside, ignore_errors=True)
        if path.exists() and path.read_bytes() == lesson.read_bytes():
            path.unlink()


def serving(port: int) -> str:
    """What listens at this port of this machine: "lesson 4, The chain rule", "another program", or ""."""
    with socket.socket() as ours:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # else a port that was just closed counts as taken
        try:
            ours.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return ""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=3) as page:
            text = page.read(1 << 20).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        text = ""
    found = next((one for one in all_lessons() if one.path.name in text), None)
    if found is None:
        return said("another program")
    return said("lesson {number}, {title}", number=found.number, title=found.shown_title)


def free_port() -> int:
    """A port at which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
