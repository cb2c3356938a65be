"""Files that are either the old one or the new one, never half of each.

The bytes go to a temporary file in the same folder, are forced to the disk, and take the target's name in one
step (`os.replace` is atomic within a file system). A crash, a full disk or Ctrl-C leaves the old file as it
was.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path


def atomic_write(path: str | os.PathLike, data: str | bytes | bytearray | memoryview) -> Path:
    """Write a whole file at once: after any failure the old content is still there, untouched.

    Arguments: `path`, in a folder that exists (a symbolic link is followed, and stays a link); `data`, text
    (written as UTF-8, line ends as given) or bytes. The permissions of a file that is replaced are kept; a
    new file gets the usual ones.
    Raises: FileNotFoundError where the folder does not exist; OSError (disk full, no permission ...) from the
    system.

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
    except BaseException:  # Ctrl-C as well: never leave the temporary file behind
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise
    _sync_folder(target.parent)
    return Path(path)


def _write_through(path: Path, data: bytes | bytearray | memoryview) -> None:
    """Create `path`, which must not exist, and return when its bytes are on the disk, not in a cache."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Force the new name to the disk, on systems where a folder can be opened (not on Windows)."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
