"""The learner's side of a check: a process that loads one file and calls its functions on request.

`learner.py` runs this file as an isolated script (python -I). It imports NumPy and the learner's file, never tinydx, so
the right answers do not exist in this process. It only returns arrays, which the parent process judges: nothing that the
learner's code prints or forges can become a pass. `restrict` keeps it to its own folder and process; a hook in Python holds
against what is usual, and what the system enforces (`sandbox.py`) against the rest.

Each message is one line of JSON. Requests arrive on the original stdin and answers leave on the original stdout. Both are
moved before the learner's file is loaded: its prints go to stderr, and its stdin is empty.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import importlib
import inspect
import json
import os
import sys
import threading
import time
import traceback
import types
import warnings
from collections.abc import Callable
from typing import Any

if __name__ == "__main__":
    sys.modules["ctypes"] = None  # type: ignore[assignment]  # reaches whatever C reaches; NumPy does without
    sys.path.append(sys.argv[3])  # NumPy's folder, which isolation may have hidden

import numpy as np

MEMORY = 4 * 2**30  # bytes of address space, so that a list that grows without end cannot exhaust the machine
LARGEST = 2**23  # numbers in one answer
LOOK, LONG_LOOK = 0.1, 1.0  # seconds between two looks at the clocks, and of one that a pause of the machine made longer
PATIENCE = 6  # times the limit of computing: how long the code may take in all, where it sleeps or the machine has much to do
NUMBERS = "biufc"  # kinds of dtype
REFUSED = {  # why -> audit events
    "an exercise needs no other process": (
        *("os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.startfile", "os.system", "subprocess.Popen"),
        *("os.kill", "os.killpg", "signal.pthread_kill", "resource.prlimit", "resource.setrlimit"),
    ),
    "an exercise needs no network": ("socket.__new__", "socket.connect", "socket.bind", "socket.getaddrinfo"),
    "an exercise needs no other folder": ("os.chdir", "os.fchdir", "os.chroot", "os.link", "os.symlink"),
    "an exercise needs no look into Python itself": (
        *("gc.get_objects", "gc.get_referrers", "gc.get_referents", "sys.addaudithook", "cpython.PyInterpreterState_New"),
        *("ctypes.dlopen", "ctypes.dlsym", "ctypes.call_function", "ctypes.cdata", "ctypes.string_at"),
    ),
}
CHANGES = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.truncate", "os.utime", "os.chmod", "os.chown", "os.setxattr")
UNHEARD = ("fork_exec", "mknod", "mkfifo", "pidfd_open", "pidfd_send_signal", "setns", "unshare")  # no event tells of them
INNER = {"ctypes", "_ctypes", "_posixsubprocess", "posix", "_signal", "_interpreters", "_xxsubinterpreters", "_testcapi"}
INNER |= {"_tkinter", "readline", "_sqlite3", "_dbm", "_gdbm"}  # which open files themselves
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
WRITTEN = 64  # names of files that the learner's code may write
OPEN_FILES, FILE_SIZE = 64, 2**22  # that the learner's code may have and write
ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))  # tinydx, which holds the solutions


# ---- arrays, and tuples and lists of them, as JSON ---------------------------------------------------------------------------


def encode(value: Any) -> Any:
    """A value as JSON data: numbers, arrays, texts, and tuples or lists of these; of any other value the type's name."""
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in NUMBERS:
        array = np.asarray(value)
        return {"array": [array.dtype.str, array.shape, base64.b64encode(array.tobytes()).decode()]}
    if isinstance(value, tuple | list):
        return {type(value).__name__ if type(value) in (tuple, list) else "tuple": [encode(v) for v in value]}
    if value is None or isinstance(value, bool | float) or (isinstance(value, int | str) and len(str(value)) < 1000):
        return value
    return {"other": f"{type(value).__name__} of {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__}


def decode(data: Any) -> Any:
    """The inverse of encode, where a type's name becomes an `Other`; ValueError for malformed data."""
    if not isinstance(data, dict):
        return data
    ((kind, content),) = data.items()
    if kind == "array":
        dtype, shape, text = content
        if np.dtype(dtype).kind not in NUMBERS:
            raise ValueError(f"not an array of numbers: {dtype}")
        return np.frombuffer(base64.b64decode(text, validate=True), dtype).reshape(shape).copy()
    if kind in ("tuple", "list"):
        return [decode(d) for d in content] if kind == "list" else tuple(decode(d) for d in content)
    if kind == "other":
        return Other(str(content))
    raise ValueError(f"unknown kind {kind!r}")


class Other(str):
    """The name of a type, in place of a value that cannot be sent."""


def size(value: Any) -> int:
    """How many numbers a value holds."""
    return sum(map(size, value)) if isinstance(value, tuple | list) else int(np.size(value))


# ---- the process ---------------------------------------------------------------------------------------------------


class Channel:
    """Receives requests and sends answers, separate from print and input."""

    def __init__(self) -> None:
        self.requests, self.answers = os.fdopen(os.dup(0), "rb"), os.dup(1)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        self.lock = threading.Lock()

    def read(self) -> Any:
        """The next request, or None after the last one."""
        line = self.requests.readline()
        return json.loads(line) if line else None

    def send(self, **answer: Any) -> None:
        data = json.dumps(answer).encode() + b"\n"
        with self.lock:
            while data:
                data = data[os.write(self.answers, data) :]


class Watchdog(threading.Thread):
    """Reports the line of the learner's code when its time is up, and ends the process.

    The limit is of computing: a machine that pauses, or has much else to do, takes nothing from it. Code that sleeps computes
    nothing; it ends after PATIENCE times the limit, counted from look to look, so that a pause of this process hardly counts.
    """

    def __init__(self, channel: Channel, path: str, seconds: float):
        super().__init__(daemon=True)
        self.channel, self.path, self.seconds, self.learner = channel, path, seconds, threading.get_ident()
        self.busy = False  # whether the learner's code runs

    def run(self, clock=time.monotonic, sleep=time.sleep, times=os.times, end=os._exit) -> None:  # the learner may replace these
        """Look at the clocks until one of them is over its limit."""
        waited, limit = 0.0, sum(times()[:4]) + self.seconds  # of this process and of its children that have ended
        while sum(times()[:4]) < limit and waited < PATIENCE * self.seconds:
            began = clock()
            sleep(LOOK)
            waited += min(clock() - began, LONG_LOOK) * self.busy
        frames = traceback.walk_stack(sys._current_frames().get(self.learner))
        line = next((number for frame, number in frames if frame.f_code.co_filename == self.path), None)
        self.channel.send(kind="timeout", line=line, computed=waited < PATIENCE * self.seconds)
        end(1)

    def __enter__(self) -> None:
        self.busy = True

    def __exit__(self, *exc: object) -> None:
        self.busy = False


def restrict(own: str) -> None:
    """Limit memory and files; forbid other processes, the network, other libraries, and files outside of the folder `own`."""
    with contextlib.suppress(ImportError, ValueError, OSError):  # Windows, or a system with a lower limit
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_SIZE, FILE_SIZE))
        resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    for module in ("_posixsubprocess", "posix", "os", "_signal", "signal"):
        with contextlib.suppress(ImportError):  # Windows
            found = importlib.import_module(module)
            for name in UNHEARD:
                if hasattr(found, name):
                    setattr(found, name, refuse)
    sys.addaudithook(hook(own))


def hook(own: str) -> Callable[[str, tuple], None]:
    """The audit hook for a learner's file in the folder `own`.

    What it consults is bound when it is made and cannot be changed: the learner's code may replace any name, and finds this
    function's frame in an error's traceback.
    """
    refused = tuple((frozenset(events), why) for why, events in REFUSED.items())
    libraries = frozenset(sys.stdlib_module_names | {"numpy", "exercise", "_distutils_hack"}) - INNER
    numpys, mine = _below(os.path.dirname(np.__file__)), _below(own)
    python = {p for p in (os.path.dirname(os.__file__), *sys.path) if not p.endswith("-packages")}
    seen = (*mine, *numpys, *(s for p in python for s in _below(p)), "/dev/null", "/dev/urandom")
    no_paths = (int, type(None))
    tinydx, posix, written = _below(ROOT), os.name == "posix", set[str]()

    def audit(
        event: str, arguments: tuple, *, refused=refused, libraries=libraries, changes=CHANGES, mine=mine, seen=seen,
        tinydx=tinydx, numpys=numpys, written=written, posix=posix, plain=plain, realpath=os.path.realpath,
        is_a=isinstance, count=len, no_paths=no_paths, writing=WRITING, most=WRITTEN,
    ) -> None:  # fmt: skip
        for events, message in refused:
            if event in events:
                raise RuntimeError(message)
        if event == "object.__setattr__" and arguments[0] is plain:  # found in this frame, after an error
            raise RuntimeError("an exercise needs no look into Python itself")
        if event == "import":
            name = plain(arguments[0]).split(".")[0]
            if name in ("tinydx", "tinydx_kernels"):
                raise ImportError("an exercise is solved with NumPy alone, not with tinydx")
            if name not in libraries:
                raise ImportError(f"an exercise is solved with NumPy and Python's standard library, without {name}")
        changed = event in changes or (event == "open" and arguments[2] & writing)
        for given in arguments[: 2 if event == "os.rename" else 1] if changed or event == "open" else ():
            for path in () if is_a(given, no_paths) else (plain(given), plain(realpath(given))):  # a link, and where it leads
                inside = not path.startswith("/") or path.startswith(mine if changed else seen)
                if posix and (not inside or "/../" in f"/{path}/"):
                    raise PermissionError("an exercise reads and writes the files of its own folder alone")
                if path.startswith(tinydx) or ("-packages/" in path and not path.startswith((*numpys, *mine))):
                    raise PermissionError("an exercise reads no file of tinydx or of another package")
            if changed and not is_a(given, no_paths):
                written.add(plain(given))
                if count(written) > most:
                    raise PermissionError(f"an exercise writes at most {most} files")

    return audit


def _below(folder: str) -> tuple[str, ...]:
    """Beginnings of the names of the files in a folder, which may be a link."""
    return tuple({os.path.join(p, "") for p in (os.path.abspath(folder), os.path.realpath(folder))})


def plain(path: str | bytes, is_a: Callable = isinstance, text: type = str) -> str:
    """A path as a text of the class str itself: a class of the learner's might lie about its beginning."""
    return "".join([path]) if is_a(path, text) else b"".join([path]).decode("utf-8", "surrogateescape")  # type: ignore[list-item]


def refuse(*arguments: Any, **named: Any) -> Any:
    """In place of a function that starts or ends processes."""
    raise RuntimeError("an exercise needs no other process")


def load(path: str) -> types.ModuleType:
    """Run the learner's file as a module."""
    module = types.ModuleType("exercise")
    module.__file__ = path
    sys.modules["exercise"] = module
    with open(path, "rb") as file:
        exec(compile(file.read(), path, "exec"), module.__dict__)
    return module


def call(module: types.ModuleType, request: dict[str, Any]) -> dict[str, Any]:
    """Call one function; answers with its result, the arguments that it changed, and its warnings."""
    if request["source"]:
        exec(request["source"], module.__dict__)
    function = getattr(module, request["name"], None)
    if not callable(function):
        return {"kind": "missing", "known": [n for n, f in vars(module).items() if inspect.isfunction(f)]}
    arguments, before = decode(request["arguments"]), decode(request["arguments"])
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return {"kind": "signature", "is": str(inspect.signature(function))}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        value = function(*arguments)
    if size(value) > LARGEST:
        return {"kind": "error", "text": f"the result has {size(value)} numbers, far too many", "line": None, "unwritten": False}
    changed = {i: encode(a) for i, (a, b) in enumerate(zip(arguments, before, strict=True)) if differs(a, b)}
    noted = dict.fromkeys(f"{w.message} (line {w.lineno})" for w in caught)
    return {"kind": "value", "value": encode(value), "changed": changed, "warnings": list(noted)[:5]}


def differs(a: Any, b: Any) -> bool:
    """Whether two arrays differ in shape or values; False for anything else."""
    return isinstance(a, np.ndarray) and not np.array_equal(a, b, equal_nan=True)


def guarded(action: Callable[[], dict[str, Any]], path: str) -> dict[str, Any]:
    """The action's answer, or the error that it raised with the line of the learner's file."""
    try:
        answer = action()
    except BaseException as error:
        lines = [number for frame, number in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == path]
        line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
        unwritten = isinstance(error, NotImplementedError)
        answer = {"kind": "error", "text": describe(error), "line": line, "unwritten": unwritten}
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # the learner's code may have closed or replaced it
            stream.flush()
    return answer


def describe(error: BaseException) -> str:
    """An error as one text, such as "NameError: name 'X' is not defined"."""
    try:
        text = error.msg if isinstance(error, SyntaxError) else str(error)
    except Exception:  # a class of the learner's may raise here
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def main(path: str, seconds: str) -> None:
    """Load the file, then answer requests until the input ends."""
    channel = Channel()
    restrict(os.path.dirname(path))
    channel.send(kind="ready")
    loaded: dict[str, Any] = {}

    def begin() -> dict[str, Any]:
        loaded["module"] = load(path)
        return {"kind": "loaded"}

    watchdog = Watchdog(channel, path, float(seconds))
    watchdog.start()
    with watchdog:
        answer = guarded(begin, path)
    channel.send(**answer)
    while (request := channel.read()) is not None:
        with watchdog:
            answer = guarded(functools.partial(call, loaded["module"], request), path)
        channel.send(**answer)


if __name__ == "__main__":
    main(*sys.argv[1:3])
    os._exit(0)  # do not run what the learner registered with atexit
