"""Downloads against a local server that breaks in every way that servers and networks break."""

import errno
import hashlib
import io
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tinydx.datasets import data_home, describe_sets, download, fetch
from tinydx.datasets.medmnist import SETS

BODY = bytes(range(256)) * 700  # three chunks
NAME = "breastmnist"


class Server(ThreadingHTTPServer):
    """Serves `body` under any name, honouring Range and If-Range. `faults` spoil one request each, in order."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.body, self.etag, self.faults, self.requests, self.starts = BODY, '"one"', [], [], []

    def handle_error(self, request, client_address):
        """Clients that go away are part of the game."""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, wished = self.server, self.headers.get("Range")
        server.requests.append((self.path.split("?")[0], wished))
        fault, value = server.faults.pop(0) if server.faults else ("none", None)
        if fault == "status":
            return self.send_error(value)
        start, body = 0, server.body
        condition = self.headers.get("If-Range")
        unchanged = condition is None or (condition == server.etag and not condition.startswith("W/"))
        if wished and unchanged and fault != "ignore range":
            start = int(wished.removeprefix("bytes=").removesuffix("-"))
            if start >= len(body):
                return self.send_error(416)
        start = 0 if fault == "wrong range" else start
        server.starts.append(start)
        self.send_response(206 if start or fault == "wrong range" else 200)
        if start or fault == "wrong range":
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if server.etag:
            self.send_header("ETag", server.etag)
        self.send_header("Content-Length", str(len(body) - start + (value if fault == "wrong length" else 0)))
        self.end_headers()
        rest = body[start:]
        if fault == "drop":
            rest = rest[:value]
        if fault == "corrupt":
            rest = rest[:value] + bytes([rest[value] ^ 1]) + rest[value + 1 :]
        self.wfile.write(rest)
        self.close_connection = True

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def running():
    server = Server()
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def server(running, monkeypatch):
    """The server as new; the set's checksum is that of the server's file, and pauses are 0."""
    running.body, running.etag, running.faults, running.requests, running.starts = BODY, '"one"', [], [], []
    monkeypatch.setitem(SETS, NAME, SETS[NAME]._replace(md5=hashlib.md5(BODY).hexdigest()))
    monkeypatch.setattr(download, "PAUSES", (0, 0, 0))
    monkeypatch.setattr(download, "BASE_URL", f"http://127.0.0.1:{running.server_port}/files")
    monkeypatch.setenv("no_proxy", "*")
    return running


def get(server, folder):
    return fetch(NAME, folder)


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def ranges(server):
    return [wished for _, wished in server.requests]


def test_fetches_the_file_once(server, tmp_path):
    folder = tmp_path / "new" / "folder"
    assert get(server, folder) == folder / "breastmnist.npz"
    assert get(server, folder).read_bytes() == BODY
    assert server.requests == [("/files/breastmnist.npz", None)]
    assert names(folder) == ["breastmnist.npz"]


def test_a_broken_connection_resumes(server, tmp_path):
    server.faults = [("drop", 100_000), ("status", 503), ("drop", 50_000)]
    assert get(server, tmp_path).read_bytes() == BODY
    assert ranges(server) == [None, "bytes=100000-", "bytes=100000-", "bytes=150000-"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(drops=st.lists(st.integers(1, 60_000), max_size=6))
def test_any_number_of_drops_with_progress(server, tmp_path_factory, drops):
    server.faults, server.requests = [("drop", n) for n in drops], []
    folder = tmp_path_factory.mktemp("drops")
    assert get(server, folder).read_bytes() == BODY
    assert names(folder) == ["breastmnist.npz"]
    assert len(server.requests) <= len(drops) + 1


def test_an_interrupted_run_is_continued_by_the_next(server, tmp_path, monkeypatch):
    def interrupt(response, calls=[]):  # noqa: B006 - remembers its calls
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return response.read(download.CHUNK)

    with monkeypatch.context() as patch:
        patch.setattr(download, "_receive", interrupt)
        with pytest.raises(KeyboardInterrupt):
            get(server, tmp_path)
    assert "breastmnist.npz" not in names(tmp_path)
    assert get(server, tmp_path).read_bytes() == BODY
    assert ranges(server) == [None, f"bytes={2 * download.CHUNK}-"]


def test_a_part_that_is_whole_needs_no_request(server, tmp_path):
    (tmp_path / "breastmnist.npz.part").write_bytes(BODY)
    assert get(server, tmp_path).read_bytes() == BODY
    assert server.requests == [] and names(tmp_path) == ["breastmnist.npz"]


@pytest.mark.parametrize("fault", ["ignore range", "wrong range"])
def test_a_server_may_ignore_the_range(server, tmp_path, fault):
    server.faults = [("drop", 1000), (fault, None)]
    assert get(server, tmp_path).read_bytes() == BODY


def test_a_file_that_has_changed_starts_anew(server, tmp_path):
    server.body, server.etag, server.faults = b"old" * 50_000, '"old"', [("drop", 1000), *[("status", 500)] * 3]
    with pytest.raises(ConnectionError, match="1,000 bytes are kept"):
        get(server, tmp_path)
    server.body, server.etag, server.requests = BODY, '"one"', []
    assert get(server, tmp_path).read_bytes() == BODY
    assert ranges(server) == ["bytes=1000-"]  # answered by the whole new file: no second request is needed


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_an_etag_the_checksum_finds_a_wrong_part(server, tmp_path, etag):
    server.etag = etag
    (tmp_path / "breastmnist.npz.part").write_bytes(b"old" * 1000)
    assert get(server, tmp_path).read_bytes() == BODY
    assert ranges(server) == ["bytes=3000-", None]


@pytest.mark.parametrize("etag", [None, '"strong"', 'W/"weak"'])
def test_resumes_with_any_kind_of_etag(server, tmp_path, etag):
    server.etag, server.faults = etag, [("drop", 1000)]
    assert get(server, tmp_path).read_bytes() == BODY
    assert server.starts == [0, 1000]


def test_a_part_that_is_too_long_starts_anew(server, tmp_path):
    (tmp_path / "breastmnist.npz.part").write_bytes(BODY + b"more")
    assert get(server, tmp_path).read_bytes() == BODY


@pytest.mark.parametrize("length", [-10, 10])
def test_a_wrong_content_length(server, tmp_path, length):
    server.faults = [("wrong length", length)]
    assert get(server, tmp_path).read_bytes() == BODY


def test_damaged_bytes_are_fetched_once_more(server, tmp_path):
    server.faults = [("corrupt", 5)]
    assert get(server, tmp_path).read_bytes() == BODY
    assert ranges(server) == [None, None]


def test_another_file_is_refused_and_nothing_kept(server, tmp_path):
    server.body = b"another file"
    with pytest.raises(ValueError, match=r"MD5 is .*, expected .*; nothing was kept"):
        get(server, tmp_path)
    assert names(tmp_path) == []


def test_sha256_decides_too_where_it_is_known(server, tmp_path, monkeypatch):
    right = hashlib.sha256(BODY).hexdigest()
    monkeypatch.setitem(SETS, NAME, SETS[NAME]._replace(sha256=right))
    assert get(server, tmp_path).read_bytes() == BODY
    monkeypatch.setitem(SETS, NAME, SETS[NAME]._replace(sha256=right[::-1]))
    with pytest.raises(FileExistsError, match="is not the published file"):
        get(server, tmp_path)
    (tmp_path / "breastmnist.npz").unlink()
    with pytest.raises(ValueError, match=f"its SHA-256 is {right}, expected {right[::-1]}; nothing was kept"):
        get(server, tmp_path)
    assert names(tmp_path) == []
    assert all(len(known.sha256) in (0, 64) and len(known.md5) == 32 for known in SETS.values())


@pytest.mark.parametrize("announced", [True, False])
def test_more_than_the_set_can_hold_is_not_kept(server, tmp_path, monkeypatch, announced):
    monkeypatch.setitem(SETS, NAME, SETS[NAME]._replace(images=0))  # a megabyte is left
    server.body = bytes(2_000_000)
    if not announced:
        server.faults = [("wrong length", -1_999_990)]
        monkeypatch.setattr(download, "_receive", lambda response: bytes(download.CHUNK))
    with pytest.raises(ValueError, match=r"sends .* bytes or more, the published file has less than 1,048,576; nothing was kept"):
        get(server, tmp_path)
    assert names(tmp_path) == [] and len(server.requests) == 1


@pytest.mark.parametrize("status, error", [(404, FileNotFoundError), (410, FileNotFoundError), (403, PermissionError)])
def test_a_final_refusal_is_not_repeated(server, tmp_path, status, error):
    server.faults = [("status", status)]
    with pytest.raises(error, match=f"/files/breastmnist.npz.*{status}"):
        get(server, tmp_path)
    assert len(server.requests) == 1 and names(tmp_path) == []


def test_a_server_that_keeps_failing(server, tmp_path):
    server.faults = [("drop", 1000), *[("status", 500)] * 4]
    with pytest.raises(ConnectionError, match=r"500.*1,000 bytes are kept, run it again"):
        get(server, tmp_path)
    assert len(server.requests) == 1 + len(download.PAUSES)
    assert get(server, tmp_path).read_bytes() == BODY


def test_no_network(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "PAUSES", (0,))
    monkeypatch.setattr(download, "BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(ConnectionError, match=r"cannot fetch http://127.0.0.1:9/breastmnist.npz.*no connection"):
        fetch(NAME, tmp_path)


def test_pauses_grow_between_attempts(server, tmp_path, monkeypatch):
    slept = []
    monkeypatch.setattr(download, "PAUSES", (1, 2, 4))
    monkeypatch.setattr(download.time, "sleep", slept.append)
    server.faults = [("status", 500), ("status", 500), ("drop", 10), ("status", 500)]
    get(server, tmp_path)
    assert slept == [1, 2, 1, 2]  # something came: patience starts anew


def test_a_full_disk_keeps_the_bytes_so_far(server, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(download.os, "fsync", full)
        with pytest.raises(OSError, match=f"disk full at {tmp_path}") as error:
            get(server, tmp_path)
    assert error.value.errno == errno.ENOSPC and len(server.requests) == 1
    assert get(server, tmp_path).read_bytes() == BODY and len(server.requests) == 1


def test_another_file_of_that_name_is_not_overwritten(server, tmp_path):
    (tmp_path / "breastmnist.npz").write_text("mine")
    with pytest.raises(FileExistsError, match="not the published file"):
        get(server, tmp_path)
    assert (tmp_path / "breastmnist.npz").read_text() == "mine" and server.requests == []


def test_an_unknown_name_suggests_a_known_one(tmp_path):
    with pytest.raises(ValueError, match="no data set 'pneumonia_mnist'; did you mean 'pneumoniamnist'"):
        fetch("pneumonia_mnist", tmp_path)
    with pytest.raises(ValueError, match="known: bloodmnist, breastmnist"):
        fetch("qqq", tmp_path)


def test_the_data_folder_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("TINYDX_HOME", str(tmp_path))
    assert data_home() == tmp_path
    monkeypatch.delenv("TINYDX_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for platform, folder in {"linux": ".cache", "darwin": "Library/Caches", "win32": "AppData/Local"}.items():
        monkeypatch.setattr(download.sys, "platform", platform)
        assert data_home() == tmp_path / folder / "tinydx"


def test_a_terminal_shows_the_progress(server, tmp_path, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(download.sys, "stderr", terminal := Terminal())
    get(server, tmp_path)
    assert "breastmnist" in terminal.getvalue() and "179.2/179.2 kB" in terminal.getvalue()


def test_every_set_is_described():
    lines = describe_sets().splitlines()
    assert len(lines) == 13
    assert all(line.startswith(name) for line, name in zip(lines, SETS, strict=False))
