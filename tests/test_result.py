"""What a diagnosis writes: told before training what is known then, whole or not at all, resumed, and kept where it can be."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tinydx import cli, files, saving
from tinydx.diagnosis import report, result
from tinydx.diagnosis.result import FILES, MODEL, ResultFolder
from tinydx.models import load_model

HERE = Path(__file__).parent
WORDS = {"sick": ["fever", "cough", "chills", "pain"], "well": ["rested", "cheerful", "hungry", "strong"]}


@pytest.fixture(autouse=True)
def cheap_page(monkeypatch):
    """The picture has tests of its own, and takes a second."""
    monkeypatch.setattr(report, "_png", lambda page: b"page of " + page.subtitle.encode())


@pytest.fixture
def data(tmp_path):
    """A table of texts; `tmp_path / "place"` is an empty folder for results."""
    rng = np.random.default_rng(0)
    rows = [f"{' '.join(rng.choice(words, 3))} {i},{label}" for i in range(16) for label, words in WORDS.items()]
    (tmp_path / "t.csv").write_text("\n".join(["text,label", *rows]))
    (tmp_path / "place").mkdir()
    return tmp_path / "t.csv"


def diagnose(data, output, *more):
    options = ["--network", "linear", "--epochs", "2", "--steps", "2", "--batch", "4"]
    return cli.main(["diagnose", "--data", os.fspath(data), *options, *more, "--output", str(output)])


def tree(folder):
    """Every file below a folder, and its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


# ---- known before training -----------------------------------------------------------------------------------------


def a_file(place):
    (place / "out").write_text("the user's")
    return place / "out"


def below_a_file(place):
    (place / "file").write_text("the user's")
    return place / "file" / "out"


def other_files(place):
    (place / "out").mkdir()
    (place / "out" / "thesis.tex").write_text("the user's")
    (place / "out" / "metrics.json").write_text("{}")
    return place / "out"


def a_folder_with_the_name_of_a_file(place):
    (place / "out" / "model.safetensors").mkdir(parents=True)
    (place / "out" / "model.safetensors" / "x").write_text("the user's")
    return place / "out"


def a_hidden_folder(place):
    (place / "out" / ".git").mkdir(parents=True)
    return place / "out"


def an_unfinished_folder_of_others(place):
    (place / "out.unfinished").mkdir()
    (place / "out.unfinished" / "thesis.tex").write_text("the user's")
    return place / "out"


def a_long_name(place):
    return place / ("x" * 250)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (a_file, "is a file: give the name of a folder"),
        (below_a_file, "is a file, give the name of a folder"),
        (other_files, "holds other files than a result (thesis.tex), and a result replaces its folder: choose another, such as"),
        (a_folder_with_the_name_of_a_file, "holds other files than a result (model.safetensors)"),
        (a_hidden_folder, "holds other files than a result (.git)"),
        (an_unfinished_folder_of_others, "is not of an unfinished run: move it"),
        (a_long_name, "File name too long"),
        (lambda place: Path(place.anchor), "choose a folder in it, such as"),
    ],
)
def test_an_output_that_cannot_be_is_refused_before_training_and_left_alone(data, capsys, make, words):
    place = data.parent / "place"
    output = make(place)
    before = tree(place)
    assert diagnose(data, output) == 1
    captured = capsys.readouterr()
    assert words in captured.err and captured.err.count("\n") == 1 and "Epoch" not in captured.out
    assert tree(place) == before


def test_the_current_folder_and_a_disk_s_root_are_refused(data, capsys, monkeypatch):
    monkeypatch.chdir(data.parent / "place")
    assert diagnose(data, ".") == 1
    assert "is the current folder, which cannot be replaced: choose a folder in it, such as diagnosis" in capsys.readouterr().err
    (data.parent / "disk").mkdir()
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path).name == "disk")
    assert diagnose(data, data.parent / "disk") == 1
    assert "is the root of a disk" in capsys.readouterr().err


@pytest.mark.parametrize("locked", ["place", "place/out"])
def test_a_folder_that_cannot_be_written_is_refused_before_training(data, capsys, locked):
    output = data.parent / "place" / "out"
    output.mkdir()
    folder = data.parent / locked
    folder.chmod(0o555)
    if os.access(folder, os.W_OK):
        folder.chmod(0o755)
        pytest.skip("this account may write everywhere")
    assert diagnose(data, output) == 1
    folder.chmod(0o755)
    captured = capsys.readouterr()
    assert str(folder) in captured.err and captured.err.count("\n") == 1 and "Epoch" not in captured.out


def test_too_little_room_is_refused_before_training(data, capsys, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10**9, 10**9 - 10**6, 10**6))
    assert diagnose(data, data.parent / "place" / "out") == 1
    captured = capsys.readouterr()
    assert "about 10 MB are needed, 1 MB are free" in captured.err and "Epoch" not in captured.out


def test_a_class_that_cannot_be_written_is_refused_before_training(tmp_path, capsys):
    for name in (b"l\xe4sion", b"normal"):
        folder = os.fsencode(tmp_path) + b"/x/" + name
        try:
            os.makedirs(folder)
        except OSError:
            pytest.skip("this file system takes only UTF-8")
        for i in range(12):
            with open(folder + b"/%d.txt" % i, "w") as file:
                file.write(f"words of {os.fsdecode(name)[-3:]} {i}")
    assert diagnose(tmp_path / "x", tmp_path / "out") == 1
    captured = capsys.readouterr()
    assert r"the class b'l\xe4sion' has a name that is not UTF-8" in captured.err and "Epoch" not in captured.out
    assert not (tmp_path / "out").exists()


def test_a_file_whose_name_is_no_text_can_be_learnt_from(data):
    strange = os.fsencode(data.parent) + b"/d\xe4ten.csv"
    try:
        shutil.copy(data, strange)
    except OSError:
        pytest.skip("this file system takes only UTF-8")
    output = data.parent / "place" / "out"
    assert diagnose(os.fsdecode(strange), output, "--also", os.fsdecode(strange)) == 0
    found = json.loads((output / "metrics.json").read_text("utf-8"))
    assert found["data"]["source"] == r"d\xe4ten.csv" and found["elsewhere"][0]["path"].endswith(r"d\xe4ten.csv")


# ---- as one --------------------------------------------------------------------------------------------------------


def test_a_result_replaces_an_earlier_one_and_what_file_managers_left(data):
    output = data.parent / "place" / "out"
    assert diagnose(data, output) == 0 and sorted(p.name for p in output.iterdir()) == sorted(FILES)
    (output / ".DS_Store").write_bytes(b"\0")
    output.chmod(0o750)
    first = load_model(output / MODEL).get_weights()
    assert diagnose(data, output, "--seed", "1") == 0
    assert sorted(p.name for p in output.iterdir()) == sorted(FILES) and [p.name for p in output.parent.iterdir()] == ["out"]
    assert not np.array_equal(load_model(output / MODEL).get_weights()[0], first[0])
    assert os.name != "posix" or output.stat().st_mode & 0o777 == 0o750


def test_a_link_to_the_output_stays_a_link(data):
    (data.parent / "disk" / "results").mkdir(parents=True)
    output = data.parent / "place" / "out"
    try:
        output.symlink_to(data.parent / "disk" / "results")
    except OSError:
        pytest.skip("links need rights on Windows")
    assert diagnose(data, output) == 0
    assert output.is_symlink() and (output / MODEL).exists() and not list((data.parent / "disk").glob("*.unfinished"))


def test_a_file_put_there_during_training_is_never_removed(data, capsys, monkeypatch):
    output = data.parent / "place" / "out"
    assert diagnose(data, output) == 0
    old = (output / MODEL).read_bytes()

    def page(_):
        (output / "notes.txt").write_text("the user's")
        return b"page"

    with monkeypatch.context() as patch:
        patch.setattr(report, "_png", page)
        assert diagnose(data, output, "--seed", "1") == 1
    captured = capsys.readouterr()
    assert (output / "notes.txt").read_text() == "the user's" and (output / MODEL).read_bytes() == old
    kept = output.with_name("out.unfinished") / "result"
    assert f"the trained model is kept: {kept / MODEL}" in captured.err and "notes.txt" in captured.err
    assert sorted(path.name for path in kept.iterdir()) == sorted(FILES)
    (output / "notes.txt").unlink()
    assert diagnose(data, output, "--seed", "1", "--resume") == 0
    assert "Epoch" not in capsys.readouterr().out and (output / MODEL).read_bytes() != old


def test_two_runs_do_not_write_to_one_output(data, capsys):
    pytest.importorskip("fcntl", reason="locks are POSIX")
    output = data.parent / "place" / "out"
    with ResultFolder(output) as working:
        working.begin({"seed": 0}, resume=False)
        for more in ([], ["--resume"]):
            assert diagnose(data, output, *more) == 1
            assert "another run is at work in" in capsys.readouterr().err
        assert (working.work / "run.json").exists()


# ---- a full disk ---------------------------------------------------------------------------------------------------


@pytest.fixture
def full(monkeypatch):
    """full(condition): writing a file whose path fulfils it fails, as on a full disk; full.on = False: there is room again."""

    class Full:
        on = True

        def __call__(self, condition):
            def write(path, content):
                if self.on and condition(Path(path)):
                    raise OSError(errno.ENOSPC, "No space left on device", str(path))
                return files.atomic_write(path, content)

            for module in (saving, report, result):
                monkeypatch.setattr(module, "atomic_write", write)

    return Full()


def test_a_disk_that_is_full_for_a_while_does_not_end_training(data, capsys, full):
    full(lambda path: path.suffix == ".run")
    output = data.parent / "place" / "out"
    assert diagnose(data, output) == 0
    assert "the disk is full; the run is not saved after epoch 1, and goes on" in capsys.readouterr().err
    assert sorted(path.name for path in output.iterdir()) == sorted(FILES)


def test_room_for_the_result_is_kept_while_it_trains_and_given_free_for_it(data, full):
    seen = {}

    def look(path):
        reserve = path.parents[path.parent.name == "result"] / "reserve.run"
        seen.setdefault(path.name, reserve.stat().st_size if reserve.exists() else 0)
        return False

    full(look)
    assert diagnose(data, data.parent / "place" / "out") == 0
    assert seen["seed-0.run"] > 2 * seen[MODEL] + 10_000_000 and seen[MODEL] == 0


def test_a_model_takes_the_room_of_its_training(data, full):
    full(lambda path: path.name == MODEL and any(path.parents[1].glob("*.run")))
    output = data.parent / "place" / "out"
    assert diagnose(data, output) == 0 and (output / MODEL).exists()


@pytest.mark.parametrize("lost", ["metrics.json", "history.csv", "report.png"])
@pytest.mark.parametrize("earlier", [False, True])
def test_a_disk_that_is_full_at_the_end_keeps_the_model_and_resume_writes_the_rest(data, capsys, full, lost, earlier):
    output = data.parent / "place" / "out"
    if earlier:
        assert diagnose(data, output, "--seed", "1") == 0
    before = tree(output.parent)
    full(lambda path: path.name == lost)
    capsys.readouterr()
    assert diagnose(data, output) == 1
    err = capsys.readouterr().err
    where = output.with_name("out.unfinished") / "result" if earlier else output
    assert f"kept: {where / MODEL}" in err and f"{lost}: No space left on device" in err and "--resume" in err
    assert load_model(where / MODEL).class_names == ["sick", "well"]
    if earlier:
        assert {name: content for name, content in tree(output.parent).items() if "unfinished" not in name} == before
    full.on = False
    assert diagnose(data, output, "--resume") == 0
    assert "Epoch" not in capsys.readouterr().out  # what was trained is not trained again
    assert sorted(path.name for path in output.iterdir()) == sorted(FILES) and len(list(output.parent.iterdir())) == 1


def test_a_page_that_fails_costs_neither_the_model_nor_the_numbers(data, capsys, monkeypatch):
    def fail(page):
        raise ValueError("a fault of the plot")

    monkeypatch.setattr(report, "_png", fail)
    output = data.parent / "place" / "out"
    assert diagnose(data, output) == 1
    assert "a fault of the plot" in capsys.readouterr().err
    assert {path.name for path in output.iterdir()} == {*FILES} - {"report.png"}


# ---- resume --------------------------------------------------------------------------------------------------------


@pytest.fixture
def interrupted(data, monkeypatch):
    """The output of a run that ended after its first epoch, as by Ctrl-C in Python."""
    real, written = saving.atomic_write, []

    def write(path, content):
        written.append(real(path, content))
        if len(written) == 2:  # the first one is of the beginning
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(saving, "atomic_write", write)
        assert diagnose(data, data.parent / "place" / "out") == 130
    return data.parent / "place" / "out"


def test_resume_goes_on_where_it_was_interrupted_and_says_so(interrupted, data, capsys):
    capsys.readouterr()
    assert diagnose(data, interrupted, "--resume") == 0
    out = capsys.readouterr().out
    assert "Continuing the run in" in out and "Epoch 2/2" in out and "Epoch 1/2" not in out
    assert len(json.loads((interrupted / "history.json").read_text())["loss"]) == 2
    assert diagnose(data, interrupted, "--resume") == 0
    assert "holds the result of this run: nothing is left to do" in capsys.readouterr().out


def test_resume_refuses_another_run_and_names_the_difference(interrupted, data, capsys):
    before = tree(interrupted.parent)
    for more, words in [
        (["--epochs", "3"], "had epochs 2 (now 3)"),
        (["--seed", "4", "--members", "2"], "had seed 0 (now 4), members 1 (now 2)"),
        (["--also", str(data)], 'had also [] (now ['),
    ]:
        assert diagnose(data, interrupted, *more, "--resume") == 1
        err = capsys.readouterr().err
        assert words in err and "give the same, or leave out --resume" in err and err.count("\n") == 1
    data.write_text(data.read_text().replace("fever", "feber"))
    assert diagnose(data, interrupted, "--resume") == 1
    assert 'had data "' in capsys.readouterr().err and tree(interrupted.parent) == before


def test_without_resume_a_run_begins_anew_and_leaves_nothing_of_the_old_one(interrupted, data, capsys):
    capsys.readouterr()
    assert diagnose(data, interrupted) == 0
    out = capsys.readouterr().out
    assert "Epoch 1/2" in out and [path.name for path in interrupted.parent.iterdir()] == ["out"]


def test_resume_without_a_run_begins_one(data, capsys):
    assert diagnose(data, data.parent / "place" / "out", "--resume") == 0
    assert "Epoch 1/2" in capsys.readouterr().out


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the kills are of forked processes")
@pytest.mark.parametrize("what", [["--protocol"], ["--kills", "6"]])
def test_kills_at_any_moment_end_in_the_same_result(what):
    """`python tests/kill_diagnose.py --kills 1000` is the whole campaign."""
    ran = subprocess.run([sys.executable, str(HERE / "kill_diagnose.py"), *what], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
