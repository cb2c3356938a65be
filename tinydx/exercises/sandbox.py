"""A place in which a stranger's submission runs: a copy of its own folder, limits, and bubblewrap where it is installed.

With bubblewrap the submission sees a read-only system, its copy, and nothing else: no network, no other process, no classmates,
no home. Without it, the code runs with your rights; its folder is still a copy, and its process has limits.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import tinydx
from tinydx.exercises.cell import MARK

WARNING = (
    "bubblewrap (bwrap) is not installed: submissions run with your rights. Install it, or grade in a container "
    "(docs/exercises.md)."
)
START = 300.0  # seconds for two Python processes to start, even on a slow machine
COPIED = 200  # files of a student's folder
LARGEST = 5_000_000  # bytes of a file that is copied


@functools.cache
def bubblewrap() -> str | None:
    """The path of bwrap if it works here: a container may forbid it."""
    path = shutil.which("bwrap")
    if path is None:
        return None
    try:
        tried = subprocess.run([path, *_view([]), "true"], capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return path if tried.returncode == 0 else None


def _view(binds: Sequence[str]) -> list[str]:
    """What is seen inside: the system without home and temporary folders, and these folders."""
    hidden = [p for p in ("/home", "/root", "/tmp", "/var/tmp", "/mnt", "/srv", "/media", "/work") if os.path.isdir(p)]
    view = ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    for folder in hidden:
        view += ["--tmpfs", folder]
    return [*view, *binds, "--unshare-all", "--die-with-parent", "--new-session"]


@contextlib.contextmanager
def own_copy(student: Path, file: Path) -> Iterator[Path]:
    """The submission in a copy of its student's folder, which is deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="tinydx-grade-", ignore_cleanup_errors=True) as made:
        folder = Path(made)
        for source in _files(student):
            target = folder / source.relative_to(student)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        target = folder / file.relative_to(student)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            shutil.copyfile(file, target)
        yield target


def _files(student: Path) -> list[Path]:
    """The files to copy: plain ones of ordinary size, no links, which could lead elsewhere."""
    found = []
    for path in sorted(student.rglob("*")):
        if (
            path.is_file()
            and not path.is_symlink()
            and path.stat().st_size <= LARGEST
            and student.resolve() in path.resolve().parents
        ):
            found.append(path)
        if len(found) == COPIED:
            break
    return found


def run_cell(name: str, student: Path, file: Path, seconds: float, seed: int) -> str:
    """The table's cell for one submission; whatever it does ends as a word in that cell.

    Arguments: name of the exercise; student's folder; file in it; seconds for its code; seed of the data.
    """
    if file.is_symlink() or student.resolve() not in file.resolve().parents:
        return "error: a link that leads out of the folder"
    with own_copy(student, file) as copy:
        command = [sys.executable, "-m", "tinydx.exercises.cell", name, str(copy), str(seconds), str(seed)]
        return _ended([*_wrapped(copy), *command], copy, seconds)


def _wrapped(copy: Path) -> list[str]:
    """bwrap with what Python, tinydx and the copy need; nothing without bwrap."""
    path = bubblewrap()
    if path is None:
        return []
    folder = str(_top(copy))
    needed = {str(Path(tinydx.__file__).resolve().parents[1]), sys.prefix, sys.base_prefix}
    binds: list[str] = []
    for p in sorted(needed, key=len):
        binds += ["--ro-bind", p, p]
    return [path, *_view([*binds, "--bind", folder, folder]), "--"]


def _top(copy: Path) -> Path:
    """The temporary folder that the copy lies in."""
    return next(p for p in (copy, *copy.parents) if p.name.startswith("tinydx-grade-"))


def _ended(command: list[str], copy: Path, seconds: float) -> str:
    """Run the command, kill all that it started, and return its last word."""
    environment = {**os.environ, "TMPDIR": str(_top(copy)), "PYTHONPATH": str(Path(tinydx.__file__).resolve().parents[1])}
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=copy.parent, env=environment,
        start_new_session=True,
    )  # fmt: skip
    try:
        out, _ = process.communicate(timeout=seconds * 3 + START)
    except subprocess.TimeoutExpired:
        return "timeout"
    finally:
        _kill(process)
    told = [line for line in out.decode("utf-8", "replace").splitlines() if line.startswith(MARK)]
    return told[-1].removeprefix(MARK) if told and process.returncode == 0 else "error"


def _kill(process: subprocess.Popen) -> None:
    """End the process and its group."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=5)
