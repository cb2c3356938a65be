"""A place in which a stranger's submission runs: a copy of its own folder, limits, and bubblewrap where it works.

    the student's folder ── copy of its plain files ── cell.py ── fence ── worker.py, which runs the submission

Behind bubblewrap's fence there are the system's libraries, Python, NumPy and the copy, all but the copy read-only; there is no
network, no other process, no home, no classmate and nothing of tinydx but worker.py. When the cell ends, all that is behind the
fence ends. Without bubblewrap the code runs with your rights: its folder is still a copy, its process has limits, and a hook
refuses what is usual (`worker.py`).
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import site
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

import tinydx
from tinydx.exercises import worker
from tinydx.exercises.cell import MARK
from tinydx.exercises.honest import too_large

START = 300.0  # seconds for two Python processes to start, even on a slow machine
COPIED = 200  # files of a student's folder
CHECKOUT = Path(tinydx.__file__).resolve().parents[1]
LIBRARIES = ("/usr", "/lib", "/lib32", "/lib64", "/nix", "/gnu", "/etc/ld.so.cache", "/etc/alternatives")
KEPT = ("HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "SYSTEMROOT")  # of the environment, which may hold secrets
OPTIONS = ["--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--dev", "/dev", "--proc", "/proc"]


class Cell(NamedTuple):
    """A cell of the table, such as "wrong 1/3" or "error", and one sentence that says why."""

    word: str
    why: str = ""


# ---- the fence -----------------------------------------------------------------------------------------------------


@functools.cache
def without_fence() -> str:
    """Why submissions run without bubblewrap here, in one sentence; "" where it works: containers may forbid it."""
    if shutil.which("bwrap") is None:
        return "bubblewrap (bwrap) is not installed"
    with tempfile.TemporaryDirectory() as folder:
        code = f"import sys; sys.path.append({str(_numpy())!r}); import numpy"
        command = [*_fence(Path(folder)), sys.executable, "-I", "-c", code]
        try:
            tried = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=60, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"bubblewrap (bwrap) does not start here ({type(error).__name__})"
    said = " ".join(tried.stderr.split())[-200:] or f"exit status {tried.returncode}"
    return f"bubblewrap (bwrap) does not work here ({said})" if tried.returncode else ""


def warning() -> str:
    """What to tell whoever grades; "" behind a fence."""
    why = without_fence()
    return why and f"{why}: submissions run with your rights. See docs/exercises.md, or grade in a container"


def fence(folder: Path) -> list[str]:
    """The words before a command that runs behind the fence, with this folder inside; [] without bubblewrap."""
    return [] if without_fence() else _fence(folder)


def _fence(folder: Path) -> list[str]:
    mounts = {path: "--ro-bind" for path in (*LIBRARIES, sys.base_prefix, sys.prefix) if os.path.exists(path)}
    installed = site.getsitepackages([sys.prefix, sys.base_prefix])
    packages = sorted(p for p in {*installed, str(_numpy()), str(CHECKOUT)} if os.path.isdir(p))
    mounts |= dict.fromkeys(packages, "--tmpfs")  # an empty folder in place of what other packages hold
    mounts |= {str(p): "--ro-bind" for p in (*_numpy().glob("numpy"), *_numpy().glob("numpy.libs"), worker.__file__)}
    mounts[str(folder)] = "--bind"
    words = [shutil.which("bwrap") or "bwrap", *OPTIONS]
    for path, how in sorted(mounts.items(), key=lambda m: len(m[0])):  # an inner folder after the outer one
        words += [how, path] if how == "--tmpfs" else [how, path, path]
    for path in ("/", "/dev", *packages):
        words += ["--remount-ro", path]
    return [*words, "--chdir", str(folder), "--"]


def _numpy() -> Path:
    """The folder that NumPy is installed in."""
    return Path(np.__file__).parents[1]


# ---- one submission ------------------------------------------------------------------------------------------------


def run_cell(name: str, student: Path, file: Path, seconds: float, seed: int) -> Cell:
    """The table's cell for one submission; whatever it does ends as a word in that cell.

    Arguments: name of the exercise; student's folder; file in it; seconds of computing for its code; seed of the data.
    """
    if why := unreadable(student, file):
        return Cell("error", why)
    with own_copy(student, file) as copy:
        words = [sys.executable, "-m", "tinydx.exercises.cell", name, str(copy), str(seconds), str(seed), *fence(_top(copy))]
        return _ended(words, copy, seconds)


def unreadable(student: Path, file: Path) -> str:
    """Why a submission is not even opened, in one sentence; "" if it is a file of ordinary size in its student's folder."""
    try:
        real = file.resolve()
        if student.resolve() not in real.parents:
            return "a link that leads out of the folder"
        if not real.is_file():
            return "not a file"
        with real.open("rb"):
            return too_large(real.stat().st_size)
    except (OSError, RuntimeError) as error:  # no right to read it; links in a circle
        return f"cannot be read: {getattr(error, 'strerror', None) or error}"


@contextlib.contextmanager
def own_copy(student: Path, file: Path) -> Iterator[Path]:
    """The submission in a copy of its student's folder, which is deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="tinydx-grade-", ignore_cleanup_errors=True) as made:
        folder = Path(made).resolve()
        for source in (*_files(student), file):
            target = folder / source.relative_to(student)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        yield folder / file.relative_to(student)


def _files(student: Path) -> list[Path]:
    """The files to copy: plain ones of ordinary size that can be read, no links, which could lead elsewhere."""
    found = []
    for place, folders, names in os.walk(student):
        folders.sort()
        for path in (Path(place, name) for name in sorted(names)):
            if not path.is_symlink() and not unreadable(student, path):
                found.append(path)
            if len(found) == COPIED:
                return found
    return found


def _top(copy: Path) -> Path:
    """The temporary folder that the copy lies in."""
    return next(p for p in (copy, *copy.parents) if p.name.startswith("tinydx-grade-"))


def _ended(command: list[str], copy: Path, seconds: float) -> Cell:
    """Run the command, kill all that it started, and return its last word."""
    environment = {name: value for name, value in os.environ.items() if name in KEPT or name.startswith("LC_")}
    paths = os.pathsep.join([str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment |= {"TMPDIR": str(_top(copy)), "PYTHONPATH": paths}
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=copy.parent, env=environment,
        start_new_session=True,
    )  # fmt: skip
    try:
        out, _ = process.communicate(timeout=seconds * worker.PATIENCE + START)
    except subprocess.TimeoutExpired:
        return Cell("timeout", "the checker itself did not end")
    finally:
        _kill(process)
    told = [line for line in out.decode("utf-8", "replace").splitlines() if line.startswith(MARK)]
    if not told or process.returncode:
        return Cell("error", "the submission ended the process that checks it")
    word, _, why = told[-1].removeprefix(MARK).partition("\t")
    return Cell(word, why)


def _kill(process: subprocess.Popen) -> None:
    """End the process and its group."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=5)
