"""Watch a learner's folder: check an exercise whenever its file is saved, and act on single keys.

Files are polled, because system notifications miss saves on network drives and under WSL. Output is never cleared. A
thread reads the keys: single ones from a terminal, whose mode is restored when the program ends or is suspended, in
whatever way; from a pipe the first letter of each line, and the end of the pipe means quit.
"""

from __future__ import annotations

import functools
import os
import queue
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any, Self

from tinydx.exercises.exercise import Exercise, all_exercises
from tinydx.exercises.folder import Folder
from tinydx.exercises.runner import check_file
from tinydx.exercises.terminal import say, show, show_hints, show_list
from tinydx.language import said

POLL = 0.25  # seconds between checks for saved files
QUIT = ("q", "\x03", "\x04", "")  # and Ctrl-C (on Windows), Ctrl-D, the end of the input

Stamp = tuple[int, int, int] | None  # modification time, size and inode of a file; None where there is none


class Watch:
    """One watch session: the current exercise, and the stamps of the files when they were last read."""

    def __init__(self, folder: Folder, seconds: float):
        self.folder, self.seconds = folder, seconds
        self.exercise = folder.current() or all_exercises()[0]
        self.stamps = self._stamps()

    def run(self) -> int:
        """Watch until the learner quits; returns the exit status."""
        say("watching {folder}: an exercise is checked when its file is saved", folder=self.folder.path)
        with Keys() as keys:
            self._check()
            self._help(keys)
            while (key := keys.get(POLL)) not in QUIT:
                changed = self._changed()
                if changed is not None:
                    self.exercise = changed
                    self._check()
                if key in ("h", "r", "l", "s"):
                    self._act(key)
                if changed is not None or key is not None:
                    self._help(keys)
        return 0

    def _act(self, key: str) -> None:
        if key == "h":
            show_hints(self.folder, self.exercise)
        elif key == "l":
            show_list(self.folder, self.exercise)
        else:
            if key == "s":
                self.exercise = self.folder.current(after=self.exercise) or self.exercise
            self._check()

    def _check(self) -> None:
        """Check the current exercise; after a pass go on to the next that has not passed, until one fails."""
        while True:
            say()
            result = check_file(self.exercise, self.folder.file(self.exercise), self.seconds)
            show(result)
            self.folder.mark(self.exercise, result.ok)
            following = self.folder.current(after=self.exercise)
            if not result.ok:
                say("progress {count}", count=self.folder.count())
                return
            if following is None:
                say("progress {count}: all exercises pass", count=self.folder.count())
                return
            say("progress {count} · passed, next: {file}", count=self.folder.count(), file=following.file)
            self.exercise = following

    def _help(self, keys: Keys) -> None:
        enter = "" if keys.single else said(" (and Enter)")
        say("watching · h hint · r run again · l list · s skip · q quit{enter}", enter=enter)

    def _changed(self) -> Exercise | None:
        """An exercise whose file was saved since the last call, preferably the current one; None if there is none."""
        now = self._stamps()
        changed = [e for e in all_exercises() if now[e.name] is not None and now[e.name] != self.stamps[e.name]]
        self.stamps = now
        return self.exercise if self.exercise in changed else next(iter(changed), None)

    def _stamps(self) -> dict[str, Stamp]:
        return {e.name: _stamp(self.folder.file(e)) for e in all_exercises()}


def _stamp(file: Path) -> Stamp:
    """What changes when a file is saved, whether in place or as a new file; None while it does not exist."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


class Keys:
    """The keys that the learner presses; `get` waits for the next."""

    def __enter__(self) -> Self:
        self.single = sys.stdin.isatty()
        self._restore: list[Any] = []  # functions to call at the end
        if self.single and os.name == "posix":
            self._take_terminal()
        self._keys: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        for action in reversed(self._restore):
            action()

    def get(self, seconds: float) -> str | None:
        """The next key; None if no key is pressed within that time; "" at the end of the input."""
        try:
            return self._keys.get(timeout=seconds)
        except queue.Empty:
            return None

    def _read(self) -> None:
        typed = "-"
        while typed:
            try:
                typed = self._typed() if self.single else self._line()
            except OSError:  # the terminal is gone
                typed = ""
            for key in typed or [""]:
                self._keys.put(key)

    def _typed(self) -> str:
        if os.name == "posix":
            typed = os.read(0, 32).decode("latin-1")
            return "\x1b" if typed.startswith("\x1b") else typed  # an arrow key sends an escape and letters, which are no keys
        import msvcrt

        return msvcrt.getwch()  # type: ignore[attr-defined]

    def _line(self) -> str:
        """The first character of the next non-empty line; "" at the end of the input."""
        line = b""
        while not line.strip() or not line.endswith(b"\n"):
            byte = os.read(0, 1)  # unbuffered: sys.stdin would be locked at the end of the program
            if not byte:
                break
            line = line + byte if line.strip() else byte
        return line.decode("latin-1").strip()[:1]

    # ---- a terminal's mode ----

    def _take_terminal(self) -> None:
        """Read single keys without echo; the terminal's mode is restored at the end, on signals, and while suspended."""
        import termios
        import tty

        before = termios.tcgetattr(0)

        def give_back() -> None:
            termios.tcsetattr(0, termios.TCSADRAIN, before)

        def suspend(number: int, frame: FrameType | None) -> None:
            give_back()
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTSTP)  # stops here, until the shell's fg
            signal.signal(signal.SIGTSTP, suspend)
            tty.setcbreak(0)

        def leave(number: int, frame: FrameType | None) -> None:
            sys.exit(128 + number)  # through __exit__

        self._restore.append(give_back)
        for number, handler in ((signal.SIGTSTP, suspend), (signal.SIGTERM, leave), (signal.SIGHUP, leave)):
            self._restore.append(functools.partial(signal.signal, number, signal.signal(number, handler)))
        tty.setcbreak(0)
