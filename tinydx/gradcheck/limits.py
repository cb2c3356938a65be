"""Limits on a learner's code during a check: its time and what it prints."""

from __future__ import annotations

import contextlib
import io
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any, TextIO

LOOK = 0.1  # seconds between two looks at the clock, once the first limit has passed
PATIENCE = 6  # times the limit of computing: how long a check may take in all, where it sleeps or the machine has much to do
PRINTED = 4000  # characters of a learner's output that are shown


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the code inside after this many seconds of computing, or PATIENCE times as many in all.

    Only POSIX can do it, and only in the main thread, whose computing counts. The whole time is counted in looks: a pause of the
    machine or of this process, however long, is one.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return
    if signal.getitimer(signal.ITIMER_REAL)[0]:  # somebody else's alarm, such as a test runner's
        yield
        return

    end, waited = time.thread_time() + seconds, seconds

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal waited
        waited += LOOK
        idle = time.thread_time() < end
        if idle and waited < PATIENCE * seconds:
            return
        signal.setitimer(signal.ITIMER_REAL, 0)  # once
        why = "forward or backward takes too long, or never ends: give smaller inputs, or seconds="
        raise TimeoutError(f"stopped after {PATIENCE * seconds if idle else seconds:g} seconds: {why}")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, LOOK)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class _Shortened:
    """A stream that shows the beginning of what is written, and then says that the rest is left out."""

    def __init__(self, stream: TextIO):
        self.stream, self.left = stream, PRINTED

    def write(self, text: str) -> int:
        if self.left > 0:
            self.stream.write(text[: self.left])
            self.left -= len(text)
            if self.left <= 0:
                self.stream.write("\n... (forward and backward print more: the rest is left out)\n")
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Print nothing, in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with contextlib.redirect_stdout(io.StringIO()):
        yield


@contextlib.contextmanager
def quieter() -> Iterator[None]:
    """Shorten what the learner's functions print: a check calls them hundreds of times.

    sys.stdout belongs to all threads, so other threads than the main one leave it alone.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with contextlib.redirect_stdout(_Shortened(sys.stdout)):  # type: ignore[type-var]
        yield
