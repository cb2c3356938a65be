"""A class in which many attack: each attack ends as a word in its own cell, and nobody else's grade or file changes.

A few attacks run here; all 81 under HYPOTHESIS_PROFILE=proof. Where bubblewrap works, all is done
twice: behind its fence, where the class is then one of 130, and without it.
"""

import csv
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree

import hostile
import pytest

from tinydx import cli
from tinydx.exercises import all_exercises, find, sandbox
from tinydx.exercises.grade import Score, as_csv, as_junit, grade
from tinydx.exercises.sandbox import own_copy, run_cell
from tinydx.names import in_cell

OF_ALL = ["relu", "sigmoid", "sgd"]
FEW = [
    *("kills its parent", "a daemon", "a shell", "many files", "overwrites a classmate by a rename", "forged answers", "torch"),
    *("an endless loop", "the hook's words replaced", "a classmate as a module", "the solution in objects", "15 MB of source"),
    *("a pipe", "a link to a classmate"),
]
NAMES = ["=HYPERLINK(1)", "+1", "-1", "@a", "学生", "a b\n\x1b[31m", "it's \\ \"q\" <b>&", "\ufffe"]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and pipes of POSIX")


@pytest.fixture(params=["fence", "plain"])
def protection(request, monkeypatch):
    """Behind bubblewrap, or as if it were not installed."""
    if request.param == "fence" and (why := sandbox.without_fence()):
        pytest.skip(why)
    if request.param == "plain":
        monkeypatch.setattr(sandbox, "without_fence", lambda: "bubblewrap (bwrap) is not installed")
    return request.param


def solved(name, student):
    """A solution that no other student has, so that it is checked by itself."""
    return find(name).solution + f"\n\nAUTHOR = {student!r}\n"


def make_class(room, kinds, honest, large):
    """Honest students with right work, and one student for each attack, whose other work is right."""
    for student in honest:
        (room / student).mkdir(parents=True)
        for name in OF_ALL if student == hostile.HONEST or large else ["relu"]:
            (room / student / find(name).file).write_text(solved(name, student), "utf-8")
    codes, files = hostile.codes(room), hostile.files(room)
    for kind in kinds:
        (room / kind).mkdir()
        (room / kind / find("sgd").file).write_text(solved("sgd", kind if large else ""), "utf-8")
        path = room / kind / hostile.RELU
        if kind in codes:
            path.write_text(codes[kind])
        else:
            files[kind](path)


def contents(folder):
    """Everything in a folder, as far as it can change."""
    plain = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and not p.is_symlink() and p.stat().st_size < 2**25}
    return plain | {p: os.readlink(p) if p.is_symlink() else "" for p in folder.rglob("*") if p not in plain}


def processes(folder):
    """Numbers and commands of the living processes of submissions whose copies lie in a folder, where the system tells them."""
    found = {}
    for p in Path("/proc").glob("[0-9]*") if sys.platform == "linux" else ():
        try:
            words = (p / "cmdline").read_bytes()
        except OSError:
            continue
        if f"{folder}/tinydx-grade-".encode() in words:
            found[p.name] = words
    return found


def test_a_class_of_many_attacks(tmp_path, protection, proof, monkeypatch):
    room, copies = tmp_path / "class", tmp_path / "copies"
    copies.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(copies))
    every = {**hostile.codes(room), **hostile.files(room)}
    if os.geteuid() == 0:
        del every["a file that may not be read"]  # root reads it
    kinds = list(every) if proof else FEW if protection == "fence" else FEW[::3]
    large = proof and protection == "fence"
    honest = [hostile.HONEST, *NAMES, *(f"student {i}" for i in range(40 if large else 0))]
    make_class(room, kinds, honest, large)
    before = contents(tmp_path)
    start = time.monotonic()
    scores = grade(room, tmp_path / "s.csv", seconds=3, jobs=2, junit=tmp_path / "s.xml")
    print(f"{protection}: {len(scores)} students, {len(kinds)} attacks, {time.monotonic() - start:.0f} s")
    cells = {s.student: s.cells for s in scores}
    for student in honest:
        assert set(cells[student].values()) == {"ok", "missing"} and cells[student]["relu"] == "ok", student
    assert [cells[hostile.HONEST][name] for name in OF_ALL] == ["ok"] * 3
    if large:
        assert {s.passed for s in scores if s.student in honest} == {len(OF_ALL)}
    told = {kind: (cells[kind]["relu"], next(s.why["relu"] for s in scores if s.student == kind)) for kind in kinds}
    print(*told.items(), sep="\n")
    assert all(word.split()[0] in ("error", "wrong", "crash", "timeout") for word, _ in told.values()), told
    assert all(why and "\n" not in why for _, why in told.values()), told
    assert {cells[kind]["sgd"] for kind in kinds} == {"ok"}, "what else an attacker wrote counts as it is"
    (tmp_path / "s.csv").rename(tmp_path / "class.csv"), (tmp_path / "s.xml").rename(tmp_path / "class.xml")
    after = contents(tmp_path)
    table, xml = after.pop(tmp_path / "class.csv").decode(), after.pop(tmp_path / "class.xml")
    assert after == before
    assert len(list(csv.DictReader(table.splitlines()))) == len(scores) == len(honest) + len(kinds)
    assert not [row for row in csv.reader(table.splitlines()) if row[0].startswith(("=", "+", "-", "@"))]
    assert len(ElementTree.fromstring(xml)) == len(scores)
    end = time.monotonic() + 30
    while processes(copies) and time.monotonic() < end:
        time.sleep(0.1)
    assert not processes(copies)


def test_the_fence_is_around_every_submission(tmp_path, protection):
    """Whether a file exists is no event of which the hook hears."""
    (tmp_path / "ann").mkdir()
    path = tmp_path / "ann" / hostile.RELU
    path.write_text(solved("relu", "") + f"import os\nassert not os.path.exists({str(hostile.SOLUTION)!r})\n", "utf-8")
    assert run_cell("relu", path.parent, path, 5, 1).word == {"fence": "ok", "plain": "error"}[protection]


BEHIND = """
import os, socket, sys, time
def tried(what, action):
    try:
        action()
    except Exception:
        return
    print("could", what)
tried("see a classmate", lambda: open(sys.argv[1]).read())
tried("see what lies beside", lambda: 1 / (len(os.listdir(sys.argv[2])) - 1))
tried("see a solution", lambda: open(sys.argv[3]).read())
tried("see a password", lambda: open("/etc/passwd").read())
tried("see another process", lambda: os.kill(int(sys.argv[5]), 0))
tried("write outside", lambda: open("../outside", "w"))
tried("write into memory", lambda: open("/dev/shm/x", "w"))
tried("write into Python", lambda: open(os.__file__, "a"))
tried("reach this machine", lambda: socket.create_connection(("127.0.0.1", int(sys.argv[4])), 2))
if os.fork() == 0:
    os.setsid()
    time.sleep(600)
open("mine", "w").write("written")
print("ended")
"""


def test_the_fence_holds_without_the_hook(tmp_path):
    """A program that no hook stops, behind bubblewrap: it sees and reaches nothing, and what it leaves running ends."""
    if why := sandbox.without_fence():
        pytest.skip(why)
    (tmp_path / "ann").mkdir()
    (tmp_path / "ann" / "x.py").write_text("secret")
    inside = tmp_path / "tinydx-grade-x"
    inside.mkdir()
    (inside / "probe.py").write_text(BEHIND)
    with socket.create_server(("127.0.0.1", 0)) as server:
        words = [inside / "probe.py", tmp_path / "ann" / "x.py", tmp_path, hostile.SOLUTION, server.getsockname()[1], os.getpid()]
        command = [*sandbox.fence(inside), sys.executable, "-I", *map(str, words)]
        run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.stdout == "ended\n", run.stdout + run.stderr
    assert (inside / "mine").read_text() == "written" and not (tmp_path / "outside").exists()
    end = time.monotonic() + 10
    while processes(tmp_path) and time.monotonic() < end:
        time.sleep(0.1)
    assert not processes(tmp_path)


FAILS = "#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n"


@pytest.mark.parametrize(("bwrap", "words"), [(None, "is not installed"), (FAILS, "does not work here .*No permissions")])
def test_without_bubblewrap_one_plain_sentence_warns(bwrap, words, tmp_path, monkeypatch, capsys):
    (tmp_path / "class" / "ann").mkdir(parents=True)
    (tmp_path / "class" / "ann" / hostile.RELU).write_text(solved("relu", "ann"), "utf-8")
    (tmp_path / "bin").mkdir()
    if bwrap:
        (tmp_path / "bin" / "bwrap").write_text(bwrap)
        (tmp_path / "bin" / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{Path(sys.executable).parent}")
    sandbox.without_fence.cache_clear()
    try:
        assert cli.main(["exercise", "grade", str(tmp_path / "class"), "--csv", str(tmp_path / "s.csv")]) == 0
    finally:
        sandbox.without_fence.cache_clear()
    said = capsys.readouterr()
    assert f"1/{len(all_exercises())}" in said.out and said.err.count("\n") == 1
    assert re.search(f"^warning: bubblewrap .bwrap. {words}.*run with your rights.*docs/exercises.md", said.err)


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_may_not_be_read_is_missing_for_its_student_alone(tmp_path):
    make_class(tmp_path / "class", [], ["ann", "bob"], False)
    (tmp_path / "class" / "ann" / "private").mkdir(0)
    (tmp_path / "class" / "bob").chmod(0)
    scores = grade(tmp_path / "class", tmp_path / "s.csv", jobs=1)
    (tmp_path / "class" / "bob").chmod(0o700)
    assert [(s.cells["relu"], s.cells["tanh"]) for s in scores] == [("ok", "missing"), ("missing", "missing")]


def test_the_students_file_is_what_runs(tmp_path):
    """Of two students the wrong one fails and the right one passes, each in a copy that a submission cannot leave behind."""
    right = solved("relu", "")
    for student, text in (("ann", right), ("bob", right.replace("x > 0", "x < 0"))):
        (tmp_path / student).mkdir()
        (tmp_path / student / "02_relu.py").write_text(text + "open('trace', 'w').write(__file__)\n")
        cell = run_cell("relu", tmp_path / student, tmp_path / student / "02_relu.py", 5, 1)
        assert cell.word == ("ok" if student == "ann" else "wrong 0/1")
        assert not (tmp_path / student / "trace").exists()


def test_a_copy_holds_the_students_own_files_alone(tmp_path):
    for name in ("ann/02_relu.py", "ann/helper.py", "bob/02_relu.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(solved("relu", ""))
    (tmp_path / "ann" / "link.py").symlink_to(tmp_path / "bob" / "02_relu.py")
    with own_copy(tmp_path / "ann", tmp_path / "ann" / "02_relu.py") as copy:
        assert sorted(p.name for p in copy.parent.iterdir()) == ["02_relu.py", "helper.py"]
    assert not copy.exists()


def test_cells_are_no_formulas():
    assert [in_cell(c) for c in ("=1", "+1", "-1", "@a", "ok")] == ["'=1", "'+1", "'-1", "'@a", "ok"]
    assert as_csv([]).startswith("student,") and "<testsuites" in as_junit([])


# ---- what others read ----------------------------------------------------------------------------------------------


def test_the_workflow_of_the_docs_grades_and_its_junit_is_read(tmp_path, monkeypatch, capsys):
    """GitHub's workflow is YAML of the right form; its command makes the files that it uploads, and they say the same."""
    yaml = pytest.importorskip("yaml")
    page = (Path(__file__).parents[1] / "docs" / "exercises.md").read_text("utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    job = yaml.safe_load(block)["jobs"]["grade"]
    assert job["runs-on"].startswith("ubuntu") and all(step.keys() & {"uses", "run"} for step in job["steps"])
    checkout, upload = (next(s["with"] for s in job["steps"] if name in s.get("uses", "")) for name in ("checkout", "upload"))
    student = tmp_path / checkout["path"]
    student.mkdir(parents=True)
    for name, text in (("relu", solved("relu", "")), ("tanh", "import torch\n"), ("sgd", find("sgd").starter)):
        (student / find(name).file).write_text(text, "utf-8")
    monkeypatch.chdir(tmp_path)
    (command,) = (s["run"] for s in job["steps"] if s.get("run", "").startswith("tinydx"))
    assert cli.main(command.split()[1:]) == 0 and f"1/{len(all_exercises())}" in capsys.readouterr().out
    assert {p.name for p in tmp_path.glob(upload["path"])} == {"scores.csv", "scores.xml"}
    (row,) = csv.DictReader((tmp_path / "scores.csv").read_text("utf-8").splitlines())
    suites = ElementTree.parse(tmp_path / "scores.xml").getroot()
    (suite,) = suites
    cases = {c.get("name"): c.find("failure") for c in suite}
    assert suites.tag == "testsuites" and {c.tag for c in suite} == {"testcase"} and cases.keys() <= row.keys()
    assert int(suite.get("tests")) == len(cases) == int(row["of"])
    assert int(suite.get("failures")) == sum(f is not None for f in cases.values()) == len(cases) - int(row["passed"])
    assert all((failure is None) == (row[name] == "ok") for name, failure in cases.items())
    assert re.match(r"error: line 1: .* without torch", cases["tanh"].get("message"))
    assert cases["sgd"].get("message") == "not written: not written yet"


@pytest.mark.parametrize("student", NAMES)
def test_any_name_is_xml(student):
    (suite,) = ElementTree.fromstring(as_junit([Score(student, {"relu": "error"}, {"relu": f"{student} \x00 \ud800"})]))
    assert suite.get("name") and suite[0][0].get("message").startswith("error: ")
