"""Which files are the system's own; and whatever happens during a write, the file has its old content or its new one."""

import contextlib
import errno
import os
import shutil
import stat
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinydx import files
from tinydx.files import is_hidden, visible, visible_files


@given(first=st.binary(max_size=50), second=st.binary(max_size=50))
def test_replaces_the_content_and_leaves_nothing_else(tmp_path_factory, first, second):
    folder = tmp_path_factory.mktemp("files")
    for data in (first, second):
        assert files.atomic_write(folder / "x.bin", data) == folder / "x.bin"
        assert (folder / "x.bin").read_bytes() == data
    assert [file.name for file in folder.iterdir()] == ["x.bin"]


def test_text_is_utf8_with_its_line_ends_as_given(tmp_path):
    files.atomic_write(tmp_path / "x.txt", "正常\r\nnormal\n")
    assert (tmp_path / "x.txt").read_bytes() == "正常\r\nnormal\n".encode()


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, step, error):
    files.atomic_write(tmp_path / "x.txt", "old")

    def fail(*arguments):
        raise error

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(type(error)):
        files.atomic_write(tmp_path / "x.txt", "new")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("x.txt", "old")]


def test_the_name_appears_only_after_the_bytes_are_on_the_disk(tmp_path, monkeypatch):
    done = []
    real_sync, real_replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (done.append("sync"), real_sync(descriptor)))
    monkeypatch.setattr(os, "replace", lambda *paths: (done.append("replace"), real_replace(*paths)))
    files.atomic_write(tmp_path / "x.txt", "text")
    assert done[:2] == ["sync", "replace"]


@pytest.mark.skipif(os.name != "posix", reason="permission bits are POSIX")
def test_permissions_are_kept_and_a_new_file_gets_the_usual_ones(tmp_path):
    (tmp_path / "usual").write_text("")
    new = files.atomic_write(tmp_path / "new", "text")
    assert new.stat().st_mode == (tmp_path / "usual").stat().st_mode
    new.chmod(0o640)
    files.atomic_write(new, "again")
    assert stat.S_IMODE(new.stat().st_mode) == 0o640


@pytest.mark.skipif(os.name != "posix", reason="symbolic links need rights on Windows")
def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    files.atomic_write(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink() and (tmp_path / "real.txt").read_text() == "new"


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no-such-folder"):
        files.atomic_write(tmp_path / "no-such-folder" / "x.txt", "text")


HIDDEN = ("._x.png", ".DS_Store", "Thumbs.db", "thumbs.DB", "Desktop.ini", ".ipynb_checkpoints", "@eaDir", "__MACOSX")
HIDDEN += (".git", "lost+found", "~$notes.csv", "b.csv~", "$RECYCLE.BIN", "System Volume Information", "DICOMDIR")
SEEN = ("x.png", "x.DS_Store.png", "thumbs", "Normal", "desktop", "1.2.840.10008", "@ home.png", "~.png", "a.b", "lost", "_x.png")


@pytest.mark.parametrize("name", HIDDEN)
def test_hidden_names(name):
    assert is_hidden(name)


@pytest.mark.parametrize("name", SEEN)
def test_names_that_are_the_users(name):
    assert not is_hidden(name)


def test_hidden_files_and_all_in_hidden_folders_are_left_out(tmp_path):
    for folder in (".", "b", "b/c", *(f"b/{name}" for name in HIDDEN)):
        (tmp_path / folder).mkdir(exist_ok=True)
        for name in ("2.png", "10.png", "._2.png"):
            (tmp_path / folder / name).write_bytes(b"")
    found = [path.relative_to(tmp_path).as_posix() for path in visible_files(tmp_path)]
    assert found == ["10.png", "2.png", "b/10.png", "b/2.png", "b/c/10.png", "b/c/2.png"]
    assert [path.name for path in visible(tmp_path)] == ["10.png", "2.png", "b"]


def test_a_hidden_folder_that_is_asked_for_is_read(tmp_path):
    (tmp_path / ".data").mkdir()
    (tmp_path / ".data" / "x.png").write_bytes(b"")
    assert [path.name for path in visible_files(tmp_path / ".data")] == ["x.png"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs permission bits, which root does not heed")
def test_a_folder_that_may_not_be_read_is_named(tmp_path):
    (tmp_path / "shut").mkdir(mode=0)
    with pytest.raises(PermissionError, match="shut"):
        list(visible_files(tmp_path))


# ---- what killed processes leave -----------------------------------------------------------------------------------


HANGING = "import os, sys, time; from tinydx import files; os.fsync = lambda d: (print('writing', flush=True), time.sleep(60)); "


@contextlib.contextmanager
def hanging_writer(path):
    """A process that has written into its temporary file, and not yet renamed it."""
    code = f"{HANGING} files.atomic_write({str(path)!r}, 'half')"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"writing\n"
        yield process
        process.kill()


def temporary(folder):
    return [file for file in folder.iterdir() if file.name.endswith(".tmp")]


def test_the_next_write_removes_what_a_killed_one_left_and_nothing_else(tmp_path):
    """Whatever the file was called; the file of a process that still writes, and files that others made, stay."""
    others = {".model.9b3c27aa01de.tmp", "x.9b3c27aa01de.tinydx.tmp", ".x.tinydx.tmp", ".9b3c27aa01de.tinydx.tmp.txt"}
    for name in others:
        (tmp_path / name).write_text("the user's")
    (tmp_path / ".folder.9b3c27aa01de.tinydx.tmp").mkdir()
    others.add(".folder.9b3c27aa01de.tinydx.tmp")
    with hanging_writer(tmp_path / "model-01") as process:
        files.atomic_write(tmp_path / "model-02", "whole")
        assert len(temporary(tmp_path)) == 1 + sum(name.endswith(".tmp") for name in others)
        process.kill()
        process.wait()
        files.atomic_write(tmp_path / "model-02", "again")
    assert {file.name for file in tmp_path.iterdir()} == {"model-02", *others}


def test_a_file_removed_before_it_was_locked_is_made_anew(tmp_path, monkeypatch):
    pytest.importorskip("fcntl", reason="locks are POSIX")
    real, removed = files.fcntl.flock, []

    def late(file, how):
        if not removed:
            removed.append(os.unlink(file.name))
        real(file, how)

    monkeypatch.setattr(files.fcntl, "flock", late)
    assert files.atomic_write(tmp_path / "x", "text").read_text() == "text" and removed


@pytest.mark.parametrize("name", ["x" * 250, "病" * 80, "\U0001f600" * 60])
def test_every_name_that_the_system_takes_can_be_written(tmp_path, name):
    assert files.atomic_write(tmp_path / name, "text").read_text() == "text"


# ---- errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["fsync", "replace", "chmod"])
def test_every_error_of_the_system_names_the_file(tmp_path, monkeypatch, step):
    files.atomic_write(tmp_path / "model.safetensors", "old")

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match=r"No space left on device: '.*model\.safetensors'") as error:
        files.atomic_write(tmp_path / "model.safetensors", "new")
    assert error.value.errno == errno.ENOSPC


def test_what_cannot_be_written_is_known_before(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("text")
    for call in (files.check_writable, files.check_folder):
        call(tmp_path / "new")
        with pytest.raises(OSError, match="too long"):
            call(tmp_path / ("x" * 300))
    with pytest.raises(IsADirectoryError, match="it is a folder"):
        files.check_writable(tmp_path)
    with pytest.raises(FileNotFoundError, match="create it first"):
        files.check_writable(tmp_path / "no" / "new")
    files.check_folder(tmp_path / "no" / "new")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(NotADirectoryError, match="is a file"):
            files.check_folder(path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(100, 99, 5_000_000))
    files.check_writable(tmp_path / "new", room=5_000_000)
    with pytest.raises(OSError, match=r"about 7 MB are needed, 5 MB are free"):
        files.check_writable(tmp_path / "new", room=7_000_000)
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_a_folder_without_permission_is_known_before(tmp_path):
    tmp_path.chmod(0o555)
    if os.access(tmp_path, os.W_OK):
        pytest.skip("this account may write everywhere")
    for call in (files.check_writable, files.check_folder):
        with pytest.raises(PermissionError, match="new"):
            call(tmp_path / "new")
    tmp_path.chmod(0o755)
