"""A learner's file, loaded in a process of its own: call its functions, or get one sentence that says why it failed.

The time limit is of computing, by the learner's code and whatever it starts, not by the start of Python: what the process reports
(`worker.py`) is compared here with what Linux says of it. When the check is over, the process is killed with everything that it
started.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import math
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from tinydx.exercises import worker
from tinydx.gradcheck.calling import Stop
from tinydx.language import sentence

START = 60.0  # seconds for Python and NumPy to start, even on a slow machine
GRACE = 1.0  # seconds after a limit for the process to report the line where it hangs
LONGEST = 2**28  # bytes of one answer
WAITING = 4  # answers; one comes for each request, a flood must not fill the memory
SHOWN = 4000  # bytes of the learner's output that are kept
GARBLED = (KeyError, ValueError, TypeError, AttributeError, IndexError, RecursionError, OverflowError)  # of malformed answers
WRITES_ELSEWHERE = sentence("the answer was garbled: does the code write to a file descriptor that it did not open?")


class LearnerError(Stop):
    """The learner's code gave no answer; status is "not written", "error", "timeout" or "crash"."""

    def __init__(self, status: str, message: str):
        super().__init__(message)
        self.status = status


class Learner:
    """A learner's file, loaded in its own process.

    Arguments: path of the file; seconds of computing for its code, all calls together (PATIENCE times as many where it sleeps);
    fence, words that go before the command of its process (`sandbox.py`).
    Raises: LearnerError, on entering the context or at a call, with one sentence for the learner.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "double.py")
    >>> _ = path.write_text("def double(x):\\n    return 2 * x")
    >>> with Learner(path) as learner:
    ...     learner.call("double", [np.array([1.5, 2.0])])
    array([3., 4.])
    """

    def __init__(self, path: Path, seconds: float = 10.0, fence: Sequence[str] = ()):
        self.path, self.seconds, self.fence = path.absolute(), seconds, fence
        self._limit, self._waited, self._patience = math.inf, 0.0, START  # until the learner's code begins
        self.warnings: list[str] = []
        self._failure: LearnerError | None = None  # after it, no call is answered
        self._output, self._cut = b"", False

    def __enter__(self) -> Self:
        numpy_folder = str(Path(np.__file__).parents[1])
        command = [*self.fence, sys.executable, "-I", "-B", "-X", "utf8", worker.__file__]
        command += [str(self.path), str(self.seconds), numpy_folder]
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.path.parent,
            env={**os.environ, **one_thread},
            start_new_session=True,
        )
        self._answers: queue.Queue[bytes] = queue.Queue(WAITING)
        self._threads = [threading.Thread(target=t, daemon=True) for t in (self._listen, self._keep_output)]
        for thread in self._threads:
            thread.start()
        try:
            self._receive()
            self._limit, self._waited = computed(self._process.pid) + self.seconds + GRACE, 0.0
            self._patience = worker.PATIENCE * self.seconds + GRACE
            self._receive()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._end()

    def call(self, name: str, arguments: Sequence[Any], source: str = "") -> Any:
        """Call one of the file's functions.

        Arguments: its name; arguments, passed by position (arrays that the function changes in place change here too);
        source, code to execute in the file's module first, for a function that is not the learner's.
        Returns: what the function returns.
        """
        if self._failure:
            raise self._failure
        request = {"name": name, "arguments": worker.encode(tuple(arguments)), "source": source}
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise self._ended() from None
        answer = self._receive()
        try:
            return self._value(answer, name, arguments)
        except GARBLED:
            raise self._failed("crash", WRITES_ELSEWHERE) from None

    def _value(self, answer: Any, name: str, arguments: Sequence[Any]) -> Any:
        if answer["kind"] == "missing":
            close = difflib.get_close_matches(name, answer["known"], n=1)
            found = sentence(", but one named {close}", close=close[0]) if close else ""
            told = "there is no function {name} in {file}{found}: was it renamed or deleted?"
            raise LearnerError("error", sentence(told, name=name, file=self.path.name, found=found))
        if answer["kind"] == "signature":
            one = sentence("{name} is called with 1 argument, but is written as {name}{written}", name=name, written=answer["is"])
            several = "{name} is called with {n} arguments, but is written as {name}{written}"
            many = sentence(several, name=name, n=len(arguments), written=answer["is"])
            raise LearnerError("error", many if len(arguments) > 1 else one)
        self.warnings += [str(w) for w in answer["warnings"] if w not in self.warnings]
        for i, new in answer["changed"].items():
            np.copyto(arguments[int(i)], worker.decode(new))
        return worker.decode(answer["value"])

    @property
    def output(self) -> str:
        """What the learner's code printed, truncated to SHOWN bytes."""
        text = self._output.decode("utf-8", "replace").replace("\r", "")
        return text + "\n... (the rest of the output is left out)" if self._cut else text

    # ---- the process ----

    def _receive(self) -> dict[str, Any]:
        """The next answer."""
        line = None
        while line is None:
            began = time.monotonic()
            with contextlib.suppress(queue.Empty):
                line = self._answers.get(timeout=worker.LOOK)
            self._waited += min(time.monotonic() - began, worker.LONG_LOOK)
            if line is None and (self._waited > self._patience or computed(self._process.pid) > self._limit):
                raise self._too_long(None, self._waited <= self._patience)
        if not line:
            raise self._ended()
        try:
            answer = json.loads(line)
            kind = answer["kind"]
        except GARBLED:
            raise self._failed("crash", WRITES_ELSEWHERE) from None
        if kind == "timeout":
            raise self._too_long(answer.get("line"), bool(answer.get("computed")))
        if kind == "error":
            raise self._error(answer)
        return answer

    def _error(self, answer: dict[str, Any]) -> LearnerError:
        if answer.get("unwritten"):
            return LearnerError("not written", sentence("not written yet"))
        text = " ".join(str(answer.get("text")).split())
        kind, _, words = text.partition(": ")
        what = text[:300]  # Python's words, in English like all of Python
        if kind == "SystemExit":
            what = sentence("the code ended itself with sys.exit or exit")
        elif words.startswith("an exercise "):  # the worker's words
            what = sentence("{kind}: {words}", kind=kind, words=sentence(words))
        elif sizes := re.match(r"matmul: Input operand 1 has a mismatch.*size (\d+) is different from (\d+)", words):
            told = "a @ b needs as many rows of b as columns of a, here {rows} and {columns}: transpose one (.T) or exchange both"
            what = sentence(told, rows=sizes[1], columns=sizes[2])
        elif words.startswith("ufunc 'bitwise_xor'"):
            what = sentence("^ is not a power in Python: write ** instead")
        return LearnerError("error", sentence("{what}{place}", what=what, place=self._place(answer.get("line"))))

    def _too_long(self, line: Any, computed: bool) -> LearnerError:
        """The error of code that computed for too long, or took too long without."""
        if computed:
            told = "stopped after {seconds:g} seconds of computing: is there an endless loop?{place}"
            return self._failed("timeout", sentence(told, seconds=self.seconds, place=self._place(line)))
        told = "stopped after {seconds:g} seconds, most of them idle: does it sleep, or wait for something?{place}"
        return self._failed("timeout", sentence(told, seconds=worker.PATIENCE * self.seconds, place=self._place(line)))

    def _place(self, line: Any) -> str:
        """The place in the file, as " (line 7: x = 1 / 0)"."""
        try:
            code = self.path.read_text("utf-8", "replace").splitlines()[line - 1].strip()
        except (OSError, IndexError, TypeError):
            return ""
        return sentence(" (line {line}: {code})", line=line, code=code[:100])

    def _failed(self, status: str, message: str) -> LearnerError:
        """Record and return an error after which the process cannot be used."""
        self._failure = LearnerError(status, message)
        return self._failure

    def _ended(self) -> LearnerError:
        """The error that says how the process ended."""
        try:
            status = self._process.wait(timeout=GRACE)
        except subprocess.TimeoutExpired:
            return self._failed("crash", sentence("the code closed the connection to the checker"))
        if self.fence and status > 128:
            status = 128 - status  # bwrap's word for a signal
        if status >= 0:
            told = "the code ended its process (os._exit?) with status {status}"
            return self._failed("crash", sentence(told, status=status))
        name = signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}"
        return self._failed("crash", sentence("the code crashed Python itself ({name})", name=name))

    def _end(self) -> None:
        """Kill the process and whatever it started."""
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        for thread in self._threads:
            thread.join(timeout=GRACE)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None and not any(t.is_alive() for t in self._threads):
                with contextlib.suppress(OSError):  # a request that was not read
                    stream.close()

    def _listen(self) -> None:
        """Put every answer into the queue, and an empty one when the process ends."""
        assert self._process.stdout is not None
        line = b"-"
        while line:
            line = self._process.stdout.readline(LONGEST)
            self._answers.put(line)

    def _keep_output(self) -> None:
        """Keep the beginning of the learner's output, and read the rest so that printing never blocks."""
        assert self._process.stderr is not None
        while data := os.read(self._process.stderr.fileno(), 65536):
            room = SHOWN - len(self._output)
            self._output += data[:room]
            self._cut = self._cut or len(data) > room


def computed(pid: int) -> float:
    """Seconds that a process and all that it started have computed; 0 where the system does not tell."""
    process = Path(f"/proc/{pid}")
    try:
        times = (process / "stat").read_bytes().rpartition(b")")[2].split()[11:15]  # its own time, its ended children's
        children = [int(child) for file in process.glob("task/*/children") for child in file.read_bytes().split()]
    except OSError:  # another system than Linux; a process that has ended
        return 0.0
    return sum(map(int, times)) / os.sysconf("SC_CLK_TCK") + sum(map(computed, children))
