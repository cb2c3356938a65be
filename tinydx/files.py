"""Atomic writes: after any failure a file has its old content or its new one, never a part of each.

The bytes go to a temporary file in the same folder, are forced to the disk, and get the target's name by `os.replace`,
which is atomic within a file system. A crash, a full disk or Ctrl-C leaves the old file unchanged.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path


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
