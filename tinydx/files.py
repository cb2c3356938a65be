"""Files: which of them are the system's own, and atomic writes.

After any failure a file that `atomic_write` writes has its old content or its new one, never a part of each: the bytes go to a
temporary file in the same folder, are forced to the disk, and get the target's name by `os.replace`, which is atomic within a
file system. A crash, a full disk or Ctrl-C leaves the old file unchanged.

Of several processes that train one model together (tinydx/distributed), only the first one writes.

A process that is killed leaves its temporary file behind; the next write into that folder removes it. It is told from the
file of a process that still writes by a lock, which ends with its process, or on Windows by being open.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows, where an open file cannot be removed
    fcntl = None  # type: ignore[assignment]

writes = True  # whether this process writes files: of several that train one model, only the first does

Bytes = bytes | bytearray | memoryview
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # no room on the disk, or for this user, or for one file
LEFTOVER = re.compile(r"\..*\.[0-9a-f]{12}\.tinydx\.tmp", re.DOTALL)  # the names of temporary files

# Names that systems and programs put beside the user's files, in lower case; those that begin with a dot are hidden anyway.
SYSTEM_NAMES = frozenset(
    (
        *("thumbs.db", "thumbs.db:encryptable", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini"),  # Windows
        *("$recycle.bin", "system volume information", "recycler", "found.000"),
        *("__macosx", "icon\r", "network trash folder", "temporary items"),  # macOS
        *("lost+found", "@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot"),  # Linux, network disks
        *("__pycache__", "dicomdir"),  # Python; the index of a disk of DICOM files
    )
)


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name (not path) is the system's or a program's own, and no data of the user.

    >>> [name for name in ("x.png", "._x.png", "Thumbs.db", "@eaDir", "__MACOSX", "~$notes.csv") if not is_hidden(name)]
    ['x.png']
    """
    return name.startswith((".", "~$")) or name.endswith("~") or name.lower() in SYSTEM_NAMES


def visible(folder: str | os.PathLike) -> list[Path]:
    """The files and folders directly in a folder that are not hidden, sorted by name.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "b.txt").write_text(""), (folder / "a.txt").write_text(""), (folder / ".DS_Store").write_text("")
    >>> [path.name for path in visible(folder)]
    ['a.txt', 'b.txt']
    """
    return sorted(path for path in Path(folder).iterdir() if not is_hidden(path.name))


def visible_files(folder: str | os.PathLike) -> Iterator[Path]:
    """The files at any depth below a folder that are not hidden and in no hidden folder: sorted by folder, then by name.

    Raises: OSError for a folder that may not be read.
    """

    def fail(error: OSError) -> None:
        raise error  # os.walk would skip the folder

    found = []
    for place, folders, files in os.walk(os.fspath(folder), onerror=fail):
        folders[:] = [name for name in folders if not is_hidden(name)]  # os.walk goes only into these
        found.append((place, sorted(name for name in files if not is_hidden(name))))
    for place, files in sorted(found):
        yield from (Path(place, name) for name in files)


def atomic_write(path: str | os.PathLike, data: str | Bytes | Iterable[Bytes]) -> Path:
    """Write a whole file atomically.

    Arguments: path, in an existing folder (a symbolic link is followed and stays a link); data, text (written as UTF-8,
    line ends unchanged), bytes, or pieces of bytes, one after the other. A replaced file keeps its permissions, a new one gets
    the default ones.
    Returns: the path.
    Raises: FileNotFoundError where the folder does not exist; the system's OSError (disk full, no permission), which names the
    file.

    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> atomic_write(folder / "note.txt", "first").read_text()
    'first'
    >>> _ = atomic_write(folder / "note.txt", b"second")
    >>> [file.name for file in folder.iterdir()], (folder / "note.txt").read_text()
    (['note.txt'], 'second')
    """
    if not writes:
        return Path(path)
    target = _target(path)
    try:
        with _temporary(target) as file:
            data = data.encode("utf-8") if isinstance(data, str) else data
            file.writelines([data] if isinstance(data, Bytes) else data)
            file.flush()
            os.fsync(file.fileno())  # the bytes are on the disk, not only in a cache
            if target.is_file():
                os.chmod(file.name, stat.S_IMODE(target.stat().st_mode))
            if fcntl is None:
                file.close()  # Windows renames no open file
            os.replace(file.name, target)
    except OSError as error:
        raise named(error, path) from error
    sync_folder(target.parent)
    return Path(path)


def check_writable(path: str | os.PathLike, room: int = 0) -> None:
    """Find out before long work whether `atomic_write` can write this file after it.

    Arguments: path; room, the bytes that it will take.
    Raises: the OSError of `atomic_write`; IsADirectoryError for a folder; OSError where fewer bytes are free.

    >>> check_writable("no-such-folder/model.safetensors")
    Traceback (most recent call last):
    FileNotFoundError: cannot write no-such-folder/model.safetensors: its folder does not exist, create it first
    """
    target = _target(path)
    if target.is_dir():
        raise IsADirectoryError(f"cannot write {path}: it is a folder, give the name of a file")
    try:
        with contextlib.suppress(FileNotFoundError):
            target.lstat()  # a name that is too long for the system
        with _temporary(target):
            pass
    except OSError as error:
        raise named(error, path) from error
    check_room(target.parent, room)


def check_folder(path: str | os.PathLike) -> None:
    """Find out before long work whether files can be written into a folder, which may not exist yet.

    Raises: NotADirectoryError where it, or a folder above it, is a file; the system's OSError where it cannot be written.

    >>> check_folder("no-such-folder/results")
    """
    folder = Path(os.path.realpath(path))
    try:
        while not os.path.lexists(folder):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                folder.lstat()  # a name that is too long for the system
            folder = folder.parent
        if not folder.is_dir():
            raise NotADirectoryError(f"cannot write into {path}: {folder} is a file, give the name of a folder")
        with _temporary(folder / "probe"):
            pass
    except OSError as error:
        raise named(error, path) from error


def check_room(folder: Path, needed: int) -> None:
    """OSError where fewer bytes are free on the disk of an existing folder."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        words = f"about {needed / 1e6:,.0f} MB are needed, {free / 1e6:,.0f} MB are free: free some, or choose another disk"
        raise OSError(errno.ENOSPC, words, str(folder))


def allocate(path: Path, size: int) -> None:
    """Write a file of zeros whose room on the disk is really taken; OSError where there is not enough."""
    try:
        with open(path, "wb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, max(size, 1))
                return
            for start in range(0, size, 1 << 20):
                file.write(bytes(min(1 << 20, size - start)))
    except OSError as error:
        with contextlib.suppress(OSError):
            path.unlink()
        raise named(error, path) from error


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files that killed processes have left in a folder."""
    with os.scandir(folder) as entries:
        found = [entry.path for entry in entries if LEFTOVER.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)]
    for path in found:
        with contextlib.suppress(OSError):  # in use, or another process removes it at the same time
            if fcntl is None:
                os.unlink(path)
                continue
            with open(path, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(path)


def sync_folder(folder: Path) -> None:
    """Force new names to the disk, on systems that can open a folder (not Windows)."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _target(path: str | os.PathLike) -> Path:
    """The file that is written for a path, with links followed; FileNotFoundError where its folder does not exist."""
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: its folder does not exist, create it first")
    return target


@contextlib.contextmanager
def _temporary(target: Path) -> Iterator[IO[bytes]]:
    """A new file beside the target, open for writing and locked; at the end it is removed, unless it was renamed.

    First of all, those that killed processes have left there are removed.
    """
    remove_leftovers(target.parent)
    with _created(target) as file:
        try:
            yield file
        finally:  # Ctrl-C, too, must not leave it behind
            if fcntl is None:
                file.close()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(file.name)


def _created(target: Path) -> IO[bytes]:
    while True:
        file = open(target.with_name(f".{target.name[:40]}.{secrets.token_hex(6)}.tinydx.tmp"), "xb")  # noqa: SIM115 (returned)
        with contextlib.suppress(OSError):  # a file system without locks
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)
        if os.path.exists(file.name):
            return file
        file.close()  # another process took it for a leftover before it was locked


def named(error: OSError, path: str | os.PathLike) -> OSError:
    """A system's error with the name of the file that was to be written; one that is in words stays as it is.

    >>> named(OSError(28, "No space left on device"), "model.safetensors")
    OSError(28, 'No space left on device')
    >>> print(named(OSError(28, "No space left on device"), "model.safetensors"))
    [Errno 28] No space left on device: 'model.safetensors'
    """
    return error if error.errno is None else type(error)(error.errno, error.strerror, str(path))
