"""How a process that is a command begins and ends: signals, closed pipes, and errors in one line.

    Ctrl-C            ends the process at once: one line on stderr, exit status 130 (SIGTERM 143, SIGHUP 129)
    | head            a reader that is gone: commands that write files go on without it, the others end
    an error          that a user can fix: one line on stderr, exit status 1; with TINYDX_TRACEBACK set, the traceback

Python raises KeyboardInterrupt wherever it is: in an import, in code that catches everything, in a destructor, where it is
lost. So a command answers Ctrl-C itself. Nothing is lost that way which a power cut would not lose, too: files are written
atomically. `import tinydx` imports this file first of all, which does nothing in a process that only uses the package.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

WORDS = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "terminated: the terminal is gone"}
MODULES = ("tinydx", "tinydx.tasks")  # those that `python -m` runs as commands, with what is below the last

advice = ""  # what the line for Ctrl-C says beside "interrupted"


def is_command() -> bool:
    """Whether this process is the command `tinydx`, or `python -m tinydx`, or one of the tasks."""
    name = os.path.basename(sys.argv[0]) if sys.argv else ""
    if name == "-m":  # Python is importing the package that `python -m` names
        module = sys.orig_argv[sys.orig_argv.index("-m") + 1] if "-m" in sys.orig_argv else ""
        return module == MODULES[0] or module.startswith(f"{MODULES[1]}.")
    return name in ("tinydx", "tinydx.exe")


RANKS = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")  # in which mpirun, or a scheduler, says how many processes it has started


def ranks() -> int:
    """How many processes were started as one program; 1 without mpirun, and in what one of them starts itself."""
    sizes = (os.environ.get(name, "") for name in RANKS)
    return max((int(size) for size in sizes if size.isdigit()), default=1)


def answer_signals() -> None:
    """End this process at once on Ctrl-C, SIGTERM and SIGHUP, if it is a command; a signal that is ignored stays ignored."""
    for name in WORDS if is_command() else ():
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        with contextlib.suppress(ValueError):  # not in the main thread
            if number is not None and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                signal.signal(number, _leave)


def raise_on_signals() -> None:
    """Raise KeyboardInterrupt on Ctrl-C again: for commands that must put something in order first."""
    for name in WORDS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is _leave:
            signal.signal(number, signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL)


_process = os.getpid()


def _leave(number: int, frame: FrameType | None) -> None:
    """End the process with a line on stderr; a process that was forked from the command ends without one."""
    signal.signal(number, signal.SIG_DFL)  # a second Ctrl-C ends even a flush that hangs
    if os.getpid() == _process:
        with contextlib.suppress(Exception):  # a reader that is gone; a write that the signal interrupted
            sys.stdout.flush()
        clear = "\r\x1b[K\x1b[?25h" if _is_terminal(2) else ""  # a progress bar may have hidden the cursor
        with contextlib.suppress(OSError):
            os.write(2, f"{clear}tinydx: {WORDS[signal.Signals(number).name]}{advice}\n".encode())
    os._exit(128 + number)


def _is_terminal(descriptor: int) -> bool:
    with contextlib.suppress(OSError):
        return os.isatty(descriptor)
    return False


# ---- the standard streams ------------------------------------------------------------------------------------------


class Lasting(io.FileIO):
    """A stream's file that always takes what is written: after an error (no reader, a full disk) it drops what comes."""

    lost: OSError | None = None

    def write(self, data: bytes) -> int | None:  # type: ignore[override]  # a buffer calls it, with bytes
        """Write bytes, or drop them."""
        try:
            return len(data) if self.lost else super().write(data)
        except OSError as error:
            self.lost = error
            return len(data)


def prepare_streams() -> None:
    """Make stdout and stderr take every character, and exist."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # the process was started with a closed one
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (as long as the process)
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a character that a pipe's encoding lacks must not crash the command


def outlast_readers() -> None:
    """Go on after the reader of stdout or stderr is gone; for commands whose results are files."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is getattr(sys, f"__{name}__") and not stream.isatty():
            stream.flush()
            raw = Lasting(stream.fileno(), "wb", closefd=False)
            lines = stream.line_buffering
            setattr(sys, name, io.TextIOWrapper(io.BufferedWriter(raw), stream.encoding, "replace", line_buffering=lines))


def _lost_output() -> OSError | None:
    """Why stdout lost a part of what was printed; None where nothing is lost, or only its reader is gone."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    error = raw.lost if isinstance(raw, Lasting) else None
    return None if isinstance(error, BrokenPipeError) else error


# ---- errors --------------------------------------------------------------------------------------------------------

MENDABLE = (ValueError, TypeError, OSError, ImportError, LookupError, ArithmeticError, MemoryError)  # by the user


def run(work: Callable[[], object]) -> int:
    """Do a command's work.

    Arguments: work; its result is the exit status if it is an int, else the status is 0.
    Returns: the exit status.

    >>> run(lambda: "a result of a task")
    0
    """
    try:
        status = work()
        sys.stdout.flush()
        if error := _lost_output():
            print(f"tinydx: the standard output is incomplete: {error.strerror}", file=sys.stderr)
            return 1
        return status if isinstance(status, int) else 0
    except KeyboardInterrupt:
        print(f"tinydx: interrupted{advice}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        _silence()
        return 1
    except MENDABLE as error:
        if os.environ.get("TINYDX_TRACEBACK"):
            raise
        print(f"tinydx: {words(error)}", file=sys.stderr)
        if isinstance(error, OSError):
            with contextlib.suppress(OSError):
                sys.stdout.flush()
                return 1
            _silence()  # stdout itself is on a full disk
        return 1


def words(error: BaseException) -> str:
    """An error as one line; a system's error names its file first.

    >>> words(FileNotFoundError(2, "No such file or directory", "x.png"))
    'x.png: No such file or directory'
    """
    from tinydx.names import line  # not above: this file is the first that a command imports

    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return line(f"{error.filename}: {error.strerror}")
    return line(error) or type(error).__name__


def _silence() -> None:
    """Drop what is still to be printed, so that the end of the process does not try once more."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


answer_signals()
