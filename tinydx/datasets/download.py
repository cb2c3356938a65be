"""Fetch the MedMNIST sets: `tinydx data get pneumoniamnist`.

    NAME.npz exists            -> if its checksum is right, nothing is left to do
    NAME.npz.part exists       -> request only the missing bytes
    the connection breaks      -> wait, then resume
    all bytes have arrived     -> checksum right: rename .part to .npz; wrong: delete it and start once more
    more arrives than can be   -> delete it

So NAME.npz is always a whole, verified file. A server may ignore the request for a range, or its file may have changed (another
ETag): it then sends everything, and the part starts anew. The checksum decides in every case.
"""

from __future__ import annotations

import errno
import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tinydx.datasets.medmnist import CITATION, SETS, Known
from tinydx.files import check_folder
from tinydx.suggestions import did_you_mean

BASE_URL = "https://zenodo.org/records/10519652/files"
PAUSES = (1.0, 2.0, 4.0, 8.0)  # seconds to wait after attempts that transfer nothing
TIMEOUT = 30.0  # seconds without a byte, after which a connection counts as broken
CHUNK = 1 << 16
BUSY = (408, 425, 429, 500, 502, 503, 504)  # a server's "try again later"

Report = Callable[[int, int | None], None]  # (bytes so far, total bytes if known)


def data_home() -> Path:
    """The folder for data: $TINYDX_HOME, or the user's cache folder on this system; FileNotFoundError where there is neither.

    >>> isinstance(data_home(), Path)
    True
    """
    if home := os.environ.get("TINYDX_HOME"):
        return Path(home).expanduser()
    try:
        if sys.platform == "win32":
            cache = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
        elif sys.platform == "darwin":
            cache = Path.home() / "Library" / "Caches"
        else:
            cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        raise FileNotFoundError("this account has no home folder: set TINYDX_HOME to a folder for data") from None
    return Path(cache) / "tinydx"


def make_folder(folder: Path) -> None:
    """Make a folder for data, and those above it; an OSError about the data folder says that TINYDX_HOME chooses another.

    >>> import tempfile
    >>> make_folder(Path(tempfile.mkdtemp(), "a", "b"))
    """
    try:
        check_folder(folder)
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno is None or not folder.is_relative_to(data_home()):
            raise
        raise type(error)(error.errno, f"{error.strerror}; set TINYDX_HOME to a folder for data", str(folder)) from error


def describe_sets() -> str:
    """A table of the sets that can be fetched.

    >>> print(describe_sets().splitlines()[4])
    pneumoniamnist    5,856 images   2 classes (binary)        CC BY 4.0
    """
    rows = [
        f"{name:<15}{s.images:>8,} images  {len(s.class_names):>2} classes {f'({s.task})':<15} {s.licence}"
        for name, s in SETS.items()
    ]
    return "\n".join([*rows, f"28x28 pixels. {CITATION}. Not for clinical use."])


def fetch(name: str, directory: str | os.PathLike | None = None) -> Path:
    """Download a MedMNIST set, with a progress bar and a checksum; an interrupted download resumes.

    Arguments: name, such as "pneumoniamnist"; directory (None: `data_home()`), created if needed.
    Returns: the path DIRECTORY/NAME.npz.
    Raises: ValueError for an unknown name or a wrong checksum; FileNotFoundError if the server lacks the file; FileExistsError if
    another file has the name; ConnectionError if the network or the server fails repeatedly (the bytes so far are kept); OSError
    for a full disk.
    """
    if name not in SETS:
        raise ValueError(f"no data set {name!r}{did_you_mean(name.lower(), SETS)}")
    folder = data_home() if directory is None else Path(directory)
    target, known = folder / f"{name}.npz", SETS[name]
    if target.exists():
        if wrong_digest(target, known):
            raise FileExistsError(f"{target} exists but is not the published file: move or delete it, then fetch again")
        return target
    try:
        make_folder(folder)
        part = _Part(target, known)
        with _bar(name) as report:
            _download_verified(f"{BASE_URL}/{name}.npz?download=1", part, report)
        os.replace(part.path, target)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(error.errno, f"disk full at {folder}: free some space and fetch again, which resumes") from error
        raise
    part.forget()
    return target


class _Part:
    """The file NAME.npz.part; NAME.npz.part.etag beside it holds the version (ETag) of the server's file."""

    def __init__(self, target: Path, known: Known):
        self.path = target.with_name(target.name + ".part")
        self.tag = target.with_name(target.name + ".part.etag")
        self.known = known

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def is_whole(self) -> bool:
        return self.path.exists() and not wrong_digest(self.path, self.known)

    def etag(self) -> str | None:
        return self.tag.read_text(encoding="latin-1") if self.tag.exists() else None

    def begin(self, etag: str | None) -> None:
        """Start with no bytes, for the version `etag` (a weak one, W/..., does not promise equal bytes)."""
        self.forget()
        self.path.touch()
        if etag and not etag.startswith("W/"):
            self.tag.write_text(etag, encoding="latin-1")

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)
        self.tag.unlink(missing_ok=True)


def _download_verified(url: str, part: _Part, report: Report) -> None:
    """Download until the checksum is right; after a wrong one, start once more from the beginning."""
    for _ in range(2):
        try:
            _download(url, part, report)
        except ValueError:  # too much of it
            part.forget()
            raise
        if part.is_whole():
            return
        wrong = wrong_digest(part.path, part.known) if part.path.exists() else "it is empty"
        part.forget()
    raise ValueError(f"{url} is not the published file: {wrong}; nothing was kept")


def _download(url: str, part: _Part, report: Report) -> None:
    """Try until the server has sent everything; ConnectionError after several attempts in a row without progress."""
    pauses, most = iter(PAUSES), part.size()
    while not part.is_whole():
        try:
            return _attempt(url, part, report)
        except ConnectionError as error:
            if part.size() > most:
                pauses, most = iter(PAUSES), part.size()
            pause = next(pauses, None)
            if pause is None:
                kept = f"; {part.size():,} bytes are kept, run it again to resume" if part.size() else ""
                raise ConnectionError(f"cannot fetch {url}: {error}{kept}") from error
            time.sleep(pause)


def _attempt(url: str, part: _Part, report: Report) -> None:
    """One request for the missing bytes, which are appended to the part; ConnectionError if it breaks off."""
    have = part.size()
    headers = {"User-Agent": "tinydx", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if etag := part.etag():
            headers["If-Range"] = etag
    try:
        with _open(url, headers) as response:
            if response.status != 206:  # the server sends the whole file
                part.begin(response.headers.get("ETag"))
                have = 0
            _append(response, part, have, report)
    except HTTPError as error:
        error.close()
        if error.code == 416:  # no bytes are missing: the checksum decides
            return
        if error.code in BUSY:
            raise ConnectionError(f"the server answers {error.code} {error.reason}") from error
        kind = FileNotFoundError if error.code in (404, 410) else PermissionError
        raise kind(f"{url}: the server answers {error.code} {error.reason}") from error


def _open(url: str, headers: dict[str, str]) -> HTTPResponse:
    """The response; ConnectionError if there is none."""
    try:
        return urlopen(Request(url, headers=headers), timeout=TIMEOUT)
    except HTTPError:
        raise
    except URLError as error:
        raise ConnectionError(f"no connection ({error.reason})") from error
    except (OSError, HTTPException) as error:
        raise ConnectionError(f"no connection ({error or type(error).__name__})") from error


def _append(response: HTTPResponse, part: _Part, have: int, report: Report) -> None:
    """Append the response's bytes to the part; ConnectionError if it ends too early."""
    length = response.headers.get("Content-Length", "")
    total = have + int(length) if length.isdigit() else None
    _check_size(response.url, part, total or 0)
    with open(part.path, "ab") as file:
        while chunk := _receive(response):
            have += len(chunk)
            _check_size(response.url, part, have)
            file.write(chunk)
            report(have, total)
        file.flush()
        os.fsync(file.fileno())  # on the disk before it gets its final name
    if total is not None and have < total:
        raise ConnectionError(f"the connection ended after {have:,} of {total:,} bytes")


def _check_size(url: str, part: _Part, size: int) -> None:
    """ValueError where the server sends more than the set's images can fill."""
    if size > part.known.most_bytes:
        most = f"the published file has less than {part.known.most_bytes:,}"
        raise ValueError(f"{url} sends {size:,} bytes or more, {most}; nothing was kept")


def _receive(response: HTTPResponse) -> bytes:
    """The next bytes, none at the end; ConnectionError for every failure of the network."""
    try:
        return response.read(CHUNK)
    except (OSError, HTTPException) as error:
        raise ConnectionError(f"the connection broke ({error or type(error).__name__})") from error


def wrong_digest(path: Path, known: Known) -> str | None:
    """What about a file's checksums is not as published: MD5, and SHA-256 where it is known; None where all is."""
    wanted = {"MD5": known.md5, "SHA-256": known.sha256}
    for name, make in (("MD5", lambda: hashlib.md5(usedforsecurity=False)), ("SHA-256", hashlib.sha256)):
        with open(path, "rb") as file:
            got = hashlib.file_digest(file, make).hexdigest() if wanted[name] else ""
        if got != wanted[name]:
            return f"its {name} is {got}, expected {wanted[name]}"
    return None


@contextmanager
def _bar(name: str) -> Iterator[Report]:
    """A progress bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn(name), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
