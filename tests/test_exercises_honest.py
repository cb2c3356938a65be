"""What an exercise tells and what it keeps: new data each time, no name of a planted bug, names for wrong values; cheats."""

import inspect
import re
from pathlib import Path

import pytest

from tinydx.exercises import check_file, find
from tinydx.exercises import grade as grading

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
READS = HEAD + f"text = open({str(CATALOG / 'relu.py')!r}).read()\n"
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
    "the solution's file": ("relu", READS, "files of its own folder alone"),
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
    assert re.search(message, result.message), result.message


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
