"""Ways to cheat fail, in a check and in grading; hostile submissions end as one cell of the table."""

import csv
import inspect
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tinydx.exercises import check_file, find
from tinydx.exercises import grade as grading
from tinydx.exercises.grade import as_csv, as_junit, grade
from tinydx.exercises.sandbox import own_copy, run_cell
from tinydx.names import in_cell

CATALOG = Path(inspect.getfile(grading)).parent / "catalog"
HEAD = "import numpy as np\n"
RELU = "def relu(x):\n    return np.maximum(x, 0)\n"
STEPS = (
    "    g = np.zeros_like(x)\n    for i in np.ndindex(x.shape):\n        a, b = x.copy(), x.copy()\n        a[i] += 1e-6\n"
    "        b[i] -= 1e-6\n        g[i] = (dy * (relu(a) - relu(b))).sum() / 2e-6\n    return g\n"
)
DIFFERENCES = HEAD + RELU + "def relu_backward(dy, x):\n" + STEPS
WITH_H = DIFFERENCES.replace("x):\n    g", "x):\n    step = 1e-6\n    g").replace("+= 1e-6", "+= step")
WITH_H = WITH_H.replace("-= 1e-6", "-= step").replace("2e-6", "(2 * step)")
COMPLEX = HEAD + RELU + "def relu_backward(dy, x):\n    return dy * np.imag(relu(x + 1e-20j)) / 1e-20\n"
READS = HEAD + f"text = open({str(CATALOG / '02_relu.py')!r}).read()\nexec(text)\n"
RIGHT = HEAD + "def relu_backward(dy, x):\n    return dy * (x > 0)\n"
ERRSTATE = HEAD + "def sigmoid(x):\n    with np.errstate(all='ignore'):\n        return 1 / (1 + np.exp(-x))\n"
TABLE = HEAD + "n = [0]\ndef roc_area(ill, score):\n    n[0] += 1\n    return [0.5, 0.6, 0.7, 0.8, 0.9, 1.0][n[0] - 1]\n"
SPECTRUM = find("spectrum").solution

CHEATS = {
    "finite differences": ("relu", WITH_H, "differences"),
    "complex step": ("relu", COMPLEX, "complex"),
    "torch": ("relu", "import torch\n" + RIGHT, "torch"),
    "torch, by another way": ("relu", "import importlib\nimportlib.import_module('jax')\n" + RIGHT, "jax|another package|NumPy"),
    "tinydx": ("relu", "from tinydx import ops\n" + RIGHT, "NumPy alone"),
    "the solution's file": ("relu", READS, "reads no file of tinydx"),
    "errstate": ("stable_sigmoid", ERRSTATE, "errstate"),
    "a table": ("roc_area", TABLE, ""),
    "no floor": ("spectrum", SPECTRUM.replace("np.maximum(power, 1e-10)", "power"), ""),
    "a floor elsewhere": ("spectrum", SPECTRUM.replace("1e-10", "1e-12"), ""),
    "a large file": ("relu", RIGHT + "x = 0\n" * 100_000, "bytes"),
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_no_cheat_passes(cheat, tmp_path):
    name, text, message = CHEATS[cheat]
    path = tmp_path / find(name).file
    path.write_text(text)
    for seed in (None, 1):
        result = check_file(find(name), path, seconds=5, seed=seed)
        assert not result.ok, result.text()
    assert __import__("re").search(message, result.message), result.message


def test_the_data_are_new_each_time(tmp_path):
    path = tmp_path / find("relu").file
    path.write_text(RIGHT + "print('loaded')\n")
    seeds = {check_file(find("relu"), path).reports[0].seed for _ in range(3)}
    assert len(seeds) > 1


@pytest.mark.parametrize("name", ["engine_used_twice", "engine_tape", "engine_layers"])
def test_a_planted_bug_is_not_named_before_the_file_is_changed(name, tmp_path):
    exercise = find(name)
    path = tmp_path / exercise.file
    path.write_text(exercise.starter, "utf-8")
    result = check_file(exercise, path)
    assert result.status == "wrong" and exercise.bugs[0].name not in result.text()
    path.write_text(exercise.starter + "\nchanged = True\n", "utf-8")
    assert exercise.bugs[0].name in check_file(exercise, path).text()


@pytest.mark.parametrize(
    ("name", "right", "wrong", "expected"),
    [
        ("spectrum", "return 10 * ", "return 20 * ", "constant factor"),
        ("adam", "return p - rate", "return p + rate", "sign of the step"),
        ("adam", "return p - rate", "return p - 2 * rate", "size of the step"),
        ("adam", "np.sqrt(v) + epsilon", "np.sqrt(v + epsilon)", "epsilon inside the root"),
    ],
)
def test_wrong_values_have_names_too(name, right, wrong, expected, tmp_path):
    path = tmp_path / find(name).file
    path.write_text(find(name).solution.replace(right, wrong), "utf-8")
    assert expected in check_file(find(name), path).mistakes


# ---- grading strangers ---------------------------------------------------------------------------------------------

HOSTILE = {
    "kills its parent": "import os\nos.kill(os.getppid(), 9)\n",
    "forks by ctypes": "import ctypes\nwhile True:\n    ctypes.CDLL(None).fork()\n",
    "kills by ctypes": "import ctypes, os\nctypes.CDLL(None).kill(os.getppid(), 9)\n",
    "shells out": "import os\nos.system('touch outside')\n",
    "starts a process": "import _posixsubprocess\n_posixsubprocess.fork_exec()\n",
    "multiprocessing": "import multiprocessing as m\nm.get_context('spawn').Process(target=print).start()\n",
    "network": "import socket\nsocket.create_connection(('127.0.0.1', 9))\n",
    "fills the disk": "open('big', 'wb').write(b'0' * 2**26)\n",
    "ends itself": "import os\nos._exit(0)\n",
}


def test_a_class_with_hostile_submissions_is_graded(tmp_path):
    room = tmp_path / "class"
    for i, (name, code) in enumerate(HOSTILE.items()):
        (room / f"{i} {name}").mkdir(parents=True)
        (room / f"{i} {name}" / "02_relu.py").write_text(code + RIGHT)
    (room / "=HYPERLINK(1)").mkdir()
    (room / "=HYPERLINK(1)" / "02_relu.py").write_text(RIGHT)
    before = {p: p.read_bytes() for p in room.rglob("*") if p.is_file()}
    scores = grade(room, tmp_path / "s.csv", seconds=3, jobs=2, junit=tmp_path / "s.xml")
    rows = {r["student"]: r["relu"] for r in csv.DictReader((tmp_path / "s.csv").read_text().splitlines())}
    assert rows.pop("'=HYPERLINK(1)") == "ok"
    assert len(rows) == len(HOSTILE) and set(rows.values()) <= {"error", "crash", "timeout"}, rows
    assert {p: p.read_bytes() for p in room.rglob("*") if p.is_file()} == before, "nothing outside changed"
    suites = ElementTree.parse(tmp_path / "s.xml").getroot()
    assert len(suites) == len(scores) and all(len(s) == len(scores[0].cells) for s in suites)


def test_the_students_file_is_what_runs(tmp_path):
    """Of two students the wrong one fails and the right one passes, each in a copy that a submission cannot leave behind."""
    for student, text in (("ann", RIGHT), ("bob", RIGHT.replace("x > 0", "x < 0"))):
        (tmp_path / student).mkdir()
        (tmp_path / student / "02_relu.py").write_text(text + "open('trace', 'w').write(__file__)\n")
        cell = run_cell("relu", tmp_path / student, tmp_path / student / "02_relu.py", 5, 1)
        assert cell == ("ok" if student == "ann" else "wrong 0/1")
        assert not (tmp_path / student / "trace").exists()


def test_a_copy_holds_the_students_own_files_alone(tmp_path):
    for name in ("ann/02_relu.py", "ann/helper.py", "bob/02_relu.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(RIGHT)
    (tmp_path / "ann" / "link.py").symlink_to(tmp_path / "bob" / "02_relu.py")
    with own_copy(tmp_path / "ann", tmp_path / "ann" / "02_relu.py") as copy:
        assert sorted(p.name for p in copy.parent.iterdir()) == ["02_relu.py", "helper.py"]
    assert not copy.exists()


def test_cells_are_no_formulas():
    assert [in_cell(c) for c in ("=1", "+1", "-1", "@a", "ok")] == ["'=1", "'+1", "'-1", "'@a", "ok"]
    assert as_csv([]).startswith("student,") and "<testsuites" in as_junit([])
