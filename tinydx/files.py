"""Files: which of them are the system's own, and atomic writes.

After any failure a file that `atomic_write` writes has its old content or its new one, never a part of each: the bytes go to a
temporary file in the same folder, are forced to the disk, and get the target's name by `os.replace`, which is atomic within a
file system. A crash, a full disk or Ctrl-C leaves the old file unchanged.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

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


def atomic_write(path: str | os.PathLike, data: str | bytes | bytearray | memoryview) -> Path:
    """Write a whole file atomically.

    Arguments: path, in an existing folder (a symbolic link is followed and stays a link); data, text (written as UTF-8,
    line ends unchanged) or bytes. A replaced file keeps its permissions, a new one gets the default ones.
    Returns: the path.
    Raises: FileNotFoundError where the folder does not exist; the system's OSError (disk full, no permission).

    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> atomic_write(folder / "note.txt", "first").read_text()
    'first'
    >>> _ = atomic_write(folder / "note.txt", b"second")
    >>> [file.name for file in folder.iterdir()], (folder / "note.txt").read_text()
    (['note.txt'], 'second')
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(f"cannot write {target}: its folder does not exist, create it first")
    temporary = target.with_name(f".{target.name[:80]}.{secrets.token_hex(6)}.tmp")
    try:
        _write_through(temporary, data.encode("utf-8") if isinstance(data, str) else data)
        if target.is_file():
            os.chmod(temporary, stat.S_IMODE(target.stat().st_mode))
        os.replace(temporary, target)
    except BaseException:  # Ctrl-C, too, must not leave the temporary file behind
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise
    _sync_folder(target.parent)
    return Path(path)


def _write_through(path: Path, data: bytes | bytearray | memoryview) -> None:
    """Create a new file at `path`; returns when its bytes are on the disk, not only in a cache."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Force the new name to the disk, on systems that can open a folder (not Windows)."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
