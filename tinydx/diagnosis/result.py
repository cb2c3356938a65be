"""The folder of a result: it appears as one, and a run that was interrupted keeps its work beside it.

    diagnosis/                the result, or the one of an earlier run, until the new one is complete
    diagnosis.unfinished/     of a run that works, or was interrupted; removed at the end
        run.json              its settings: `--resume` continues only the same run
        *.run                 the state of each training, written after every epoch
        reserve.run           nothing: it keeps room on the disk for the result until that is written
        result/               the new result while it is written
        replaced/             the earlier result, for the moment in which the new one takes its place
        lock                  held while the process lives

The new result takes its place by two renames: diagnosis -> replaced, result -> diagnosis. A process that dies between them leaves
no diagnosis, but both results whole; the next run with that output does the second rename first of all. Only files of a
result are ever removed: a folder that holds anything else is refused before training.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple, Self

from tinydx.distributed import by_first
from tinydx.files import LEFTOVER, allocate, atomic_write, check_folder, check_room, fcntl, sync_folder

MODEL = "model.safetensors"
FILES = (MODEL, "metrics.json", "history.json", "history.csv", "report.png", "card.json", "card.md")
OURS = {"card.md": b"# Model card (tinydx)"}  # how our own file begins, of a name that a user may have given to another
SYSTEM = (".DS_Store", "Thumbs.db", "desktop.ini")  # what file managers leave in folders that were looked at
SETTINGS, RESERVE = "run.json", "reserve.run"


class Room(NamedTuple):
    """The bytes that the states of a run's trainings take at most, and those that its result takes."""

    states: int
    result: int


class ResultFolder:
    """The place of one run's result.

    Arguments: output, the folder for the result.
    Raises: OSError, in words, where it cannot become a result: it is a file, cannot be written, holds other files, is the current
    folder, or another process is at work there.

    >>> import tempfile
    >>> output = Path(tempfile.mkdtemp(), "diagnosis")
    >>> with ResultFolder(output) as place:
    ...     continued = place.begin({"seed": 0}, resume=False)
    ...     _ = atomic_write(place.draft / MODEL, b"weights")
    ...     place.publish()
    >>> [path.name for path in output.parent.iterdir()], [path.name for path in output.iterdir()]
    (['diagnosis'], ['model.safetensors'])
    """

    def __init__(self, output: str | os.PathLike):
        self.output, self.folder = Path(output), Path(os.path.realpath(output))
        self.work = self.folder.parent / f"{self.folder.name}.unfinished"
        self.draft, self.replaced = self.work / "result", self.work / "replaced"
        self._lock: IO[bytes] | None = None
        self._open()

    @by_first
    def _open(self) -> None:
        """Take the folder of an interrupted run, and see whether the output can become a result."""
        try:
            if os.path.lexists(self.work):
                self._take()
                self._recover()
            self._check()
        except BaseException:
            self._release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._release()

    @by_first
    def begin(self, settings: dict[str, Any], resume: bool) -> bool:
        """Make the folder of the run, or take that of the interrupted one.

        Arguments: settings, JSON-able, by which a run is known; resume, whether to continue an interrupted run (False: what
        is left of it is removed).
        Returns: whether a run is continued.
        Raises: ValueError where the interrupted run had other settings.
        """
        known = self._settings()
        if resume and known is not None:
            differing = [key for key in settings if known.get(key) != settings[key]]
            if differing:
                was = ", ".join(f"{key} {_short(known.get(key))} (now {_short(settings[key])})" for key in differing)
                raise ValueError(f"--resume: the run in {self.work} had {was}: give the same, or leave out --resume")
            self.draft.mkdir(exist_ok=True)
            return True
        self.work.mkdir(parents=True, exist_ok=True)
        if self._lock is None:
            self._take()
        self._clear()
        self.draft.mkdir()
        atomic_write(self.work / SETTINGS, json.dumps(settings, indent=1))
        return False

    @by_first
    def is_finished(self, settings: dict[str, Any], files: Sequence[str] = FILES) -> bool:
        """Whether the folder holds the complete result of a run with these settings; what such a run kept is then removed.

        Arguments: settings; files of a complete result.
        """
        try:
            found = json.loads((self.folder / "metrics.json").read_text(encoding="utf-8")).get("settings")
        except (OSError, ValueError, AttributeError):
            return False
        finished = found == settings and all((self.folder / name).is_file() for name in files)
        if finished and self._lock is not None:
            self._clean()
        return finished

    @by_first
    def take_room(self, room: Room) -> None:
        """Reserve room for the result, so that a disk that is full after the training does not cost the model.

        Raises: OSError where the disk has less room than the run needs; what an interrupted run has written counts as room.
        """
        there = sum(path.stat().st_size for path in self.work.rglob("*") if path.is_file())
        check_room(self.work, sum(room) - there)
        allocate(self.work / RESERVE, room.result)

    def free_room(self, states: bool = False) -> None:
        """Give the reserved room free, and where that is not enough, that of the states of the trainings."""
        for path in self.work.glob("*.run" if states else RESERVE):
            path.unlink(missing_ok=True)

    def has_states(self) -> bool:
        """Whether a training can continue."""
        return any(path.name != RESERVE for path in self.work.glob("*.run"))

    def publish(self) -> None:
        """Put the new result in the place of the earlier one, and remove what the run kept."""
        if os.path.lexists(self.folder):
            self._check()  # others may have put files there meanwhile
            shutil.copymode(self.folder, self.draft)
            os.rename(self.folder, self.replaced)
        self._finish()

    def publish_part(self) -> Path:
        """Keep a new result of which files are missing; what the run kept stays, for `--resume`.

        Returns: the folder that holds it: its own place where there is no earlier result.
        """
        if os.path.isdir(self.folder) and not os.listdir(self.folder):
            os.rmdir(self.folder)
        if os.path.lexists(self.folder):
            return self.draft
        os.rename(self.draft, self.folder)
        self.draft.mkdir()
        return self.folder

    # ---- the folder of the run ----

    def _settings(self) -> dict[str, Any] | None:
        """The settings of the run that was interrupted; None where there is none."""
        try:
            return json.loads((self.work / SETTINGS).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def _take(self) -> None:
        """Hold the lock of the run's folder, until the process ends; OSError where another process holds it."""
        foreign = _foreign(self.work, ("lock", SETTINGS), ".run", ("result", "replaced"))
        if foreign or not self.work.is_dir():
            raise FileExistsError(f"{self.work} is not of an unfinished run: move it, or choose another --output")
        self._lock = open(self.work / "lock", "ab")  # noqa: SIM115 (as long as the object)
        if fcntl is not None:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._release()
                raise FileExistsError(f"another run is at work in {self.work}: wait for it, or choose another --output") from None
            except OSError:
                pass  # a file system without locks

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _recover(self) -> None:
        """Finish what an earlier process began: to put its result into its place, or to remove what it kept."""
        if os.path.lexists(self.replaced) and not os.path.lexists(self.folder):
            self._finish()
        elif os.path.lexists(self.replaced) or self._settings() is None:
            self._clean()

    def _finish(self) -> None:
        os.rename(self.draft, self.folder)
        sync_folder(self.folder.parent)
        self._clean()

    def _clean(self) -> None:
        """Remove the run's folder, unless it holds what is not tinydx's."""
        self._clear()
        self._release()
        (self.work / "lock").unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.work.rmdir()

    def _clear(self) -> None:
        """Empty the run's folder but for the lock; the settings first, so that the rest is no run any more."""
        (self.work / SETTINGS).unlink(missing_ok=True)
        for folder in (self.work, self.draft, self.replaced):
            for path in folder.iterdir() if folder.is_dir() else ():
                if path.is_file() and (path.name in (*FILES, *SYSTEM) or path.suffix == ".run" or LEFTOVER.fullmatch(path.name)):
                    path.unlink()
        for folder in (self.draft, self.replaced):
            with contextlib.suppress(FileNotFoundError):
                folder.rmdir()

    # ---- the folder of the result ----

    def _check(self) -> None:
        """OSError where the output cannot become a result."""
        inside = self.output / "diagnosis"
        if not self.folder.name:
            raise FileExistsError(f"{self.output} cannot be replaced by a result: choose a folder in it, such as {inside}")
        check_folder(self.folder.parent)
        if not os.path.lexists(self.folder):
            return
        if not self.folder.is_dir():
            raise NotADirectoryError(f"{self.output} is a file: give the name of a folder")
        if not os.access(self.folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "the folder cannot be written", str(self.output))
        if foreign := _foreign(self.folder, FILES):
            names = ", ".join(sorted(foreign)[:3]) + (" ..." if len(foreign) > 3 else "")
            words = f"{self.output} holds other files than a result ({names})"
            raise FileExistsError(f"{words}, and a result replaces its folder: choose another, such as {inside}")
        if os.path.ismount(self.folder) or os.path.samefile(self.folder, os.curdir):
            what = "the current folder" if os.path.samefile(self.folder, os.curdir) else "the root of a disk"
            raise FileExistsError(f"{self.output} is {what}, which cannot be replaced: choose a folder in it, such as {inside}")


def _foreign(folder: Path, own: tuple[str, ...], suffix: str = "\0", folders: tuple[str, ...] = ()) -> list[str]:
    """The names in a folder that are not its own."""
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        known = path.name in (*own, *SYSTEM) or path.name.endswith(suffix) or LEFTOVER.fullmatch(path.name)
        if not ((known and path.is_file() and _is_ours(path)) or path.name in folders):
            found.append(path.name)
    return found


def _is_ours(path: Path) -> bool:
    """Whether a file of one of our names begins as ours do."""
    with path.open("rb") as file:
        return file.read(64).startswith(OURS.get(path.name, b""))


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:56]} ..."
