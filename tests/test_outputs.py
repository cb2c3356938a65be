"""Wherever a command writes: an output that cannot be is told before the work; the folder for data names its setting."""

import argparse
import ast
import importlib
import os
from pathlib import Path

import pytest

import tinydx
from tinydx import cli
from tinydx.bench import commands as bench
from tinydx.course import Lesson, all_lessons
from tinydx.datasets import download, synthetic
from tinydx.exercises import grade
from tinydx.lessons import handout
from tinydx.tasks import heart_sites

TASKS = sorted((Path(tinydx.__file__).parent / "tasks").glob("[a-z]*.py"))
OF_DATA = [["diagnose", "--kind", "image"], ["diagnose", "--kind", "sound"], ["data", "get", "pneumoniamnist"]]
REQUIRED = {"translation": ["diagnosis"], "heart_sounds": ["--data", "x"], "false_alarms": ["x"]}


def working(*arguments, **options):
    raise AssertionError("the work has begun")


@pytest.fixture(params=["no/such/folder/x", "a folder", "below a file"])
def impossible(request, tmp_path):
    """A file that cannot be written, and a word of the reason."""
    (tmp_path / "file").write_text("the user's")
    return {
        "no/such/folder/x": (tmp_path / "no" / "such" / "x", "create it first"),
        "a folder": (tmp_path, "it is a folder"),
        "below a file": (tmp_path / "file" / "x", "create it first"),
    }[request.param]


@pytest.mark.parametrize("path", TASKS, ids=lambda path: path.stem)
def test_every_task_checks_its_output_first_and_ends_as_a_command(path, impossible, monkeypatch):
    text = path.read_text(encoding="utf-8")
    assert "sys.exit(command.run(main))" in text or "return command.run(" in text
    if '"--output"' not in text or path.stem == "heart_sites":  # which writes a folder, see below
        return
    task = importlib.import_module(f"tinydx.tasks.{path.stem}")
    for name in ("measure",) if path.stem == "scale" else ("terms", "tinydx"):  # data and random numbers come after it
        monkeypatch.setattr(task, name, argparse.Namespace(), raising=True)
    with pytest.raises(OSError, match=impossible[1]):
        task.main([*REQUIRED.get(path.stem, []), "--output", str(impossible[0])])


def test_heart_sites_checks_its_folder_first(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(heart_sites, "write_recordings", working)
    (tmp_path / "file").write_text("the user's")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("the user's")
    for output, words in (("file", "file is a file"), ("mine", "holds other files than a result")):
        assert heart_sites.main(["--data", "x", "--output", str(tmp_path / output)]) == 1
        assert words in capsys.readouterr().err


def test_no_module_writes_past_the_atomic_writer():
    """`atomic_write` names the file in its errors, leaves no half of it, and removes what killed processes left."""
    allowed = {  # what they write is made anew, or is not a result
        "callbacks.py", "files.py", "synthetic.py", "phantom.py", "heart.py", "download.py", "worker.py", "image.py",
    }  # fmt: skip
    for path in sorted(Path(tinydx.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = getattr(getattr(node, "func", None), "attr", None) if isinstance(node, ast.Call) else None
            writes = called in ("write_text", "write_bytes", "savetxt", "tofile")
            if called == "savefig":
                writes = not isinstance(node.args[0], ast.Name)  # a name: a buffer
            assert not writes or path.name in allowed, f"{path}:{node.lineno} writes with {called}: use files.atomic_write"


def test_evaluate_checks_its_output_before_it_reads_a_model(tmp_path, capsys):
    (tmp_path / "file").write_text("the user's")
    assert cli.main(["evaluate", "no.safetensors", "x", "--output", str(tmp_path / "file")]) == 1
    assert "file is a file, give the name of a folder" in capsys.readouterr().err


def test_bench_checks_its_output_before_it_measures(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(bench, "_measure", working)
    (tmp_path / "file").write_text("the user's")
    assert cli.main(["bench", "relu", "--output", str(tmp_path / "file" / "x")]) == 1
    assert "file is a file, give the name of a folder" in capsys.readouterr().err


def test_grade_and_handouts_check_their_output_first(tmp_path, impossible, monkeypatch):
    (tmp_path / "students" / "someone").mkdir(parents=True)
    monkeypatch.setattr(grade, "_check_all", working)
    with pytest.raises(OSError, match=impossible[1]):
        grade.grade(tmp_path / "students", impossible[0])
    monkeypatch.setattr(Lesson, "run", working)
    with pytest.raises(OSError, match=impossible[1]):
        handout.write(all_lessons()[0], impossible[0])
    with pytest.raises(OSError, match="is a file"):
        handout.write_all(tmp_path / "file")


def test_a_full_disk_while_examples_are_made_names_their_folder(tmp_path):
    """Pillow's errors name no file."""

    def full(draft):
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match=r"No space left on device: '.*phantoms'"):
        synthetic.write_once(tmp_path / "phantoms", {}, "images", full)
    assert not list(tmp_path.iterdir())


# ---- the folder for data -------------------------------------------------------------------------------------------


@pytest.fixture
def no_home(monkeypatch):
    """An account without a home folder, as in some containers."""

    def home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", home)
    for name in ("TINYDX_HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("command", OF_DATA)
def test_without_a_home_the_setting_is_named(no_home, command, capsys, tmp_path):
    more = ["--output", str(tmp_path / "out")] if command[0] == "diagnose" else []
    assert cli.main([*command, *more]) == 1
    err = capsys.readouterr().err
    assert "no home folder: set TINYDX_HOME" in err and err.count("\n") == 1 and not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", OF_DATA)
def test_where_the_folder_for_data_cannot_be_made_the_setting_is_named(command, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("TINYDX_HOME", str(tmp_path / "home"))

    def read_only(folder):
        raise PermissionError(13, "Permission denied", os.fspath(folder))

    monkeypatch.setattr(download, "check_folder", read_only)
    more = ["--output", str(tmp_path / "out")] if command[0] == "diagnose" else []
    assert cli.main([*command, *more]) == 1
    err = capsys.readouterr().err
    assert f"{tmp_path / 'home'}: Permission denied; set TINYDX_HOME to a folder for data" in err and err.count("\n") == 1
    with pytest.raises(PermissionError, match="Permission denied: ") as error:  # the user's own folder, not that for data
        synthetic.write_once(tmp_path / "mine" / "set", {}, "numbers", working)
    assert "TINYDX_HOME" not in str(error.value)
