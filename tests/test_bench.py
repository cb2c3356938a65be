"""Benchmarks: how cases are read and work is counted, that wrong kernels are not timed, and what the results say."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

numba = pytest.importorskip("numba", reason="the CPU kernels need numba: pip install numba")

import tinydx.op  # noqa: E402
from tinydx.cli import main  # noqa: E402
from tinydx.dispatch import Implementation, load_kernels  # noqa: E402
from tinydx.op import TABLE  # noqa: E402

assert load_kernels("numba") is None
from tinydx.bench import cases, errors, folder, machine, measure, race  # noqa: E402


def test_a_case_is_read_as_it_is_written():
    case = cases.read_case(TABLE["correlate2d"], "2x9x8x3, 3x3x3x4, padding=same, stride=2")
    arrays, constants = cases.make_arrays(TABLE["correlate2d"], case)
    assert [a.shape for a in arrays if a is not None] == [(2, 9, 8, 3), (3, 3, 3, 4)]
    assert constants == {"padding": "same", "stride": 2}


@pytest.mark.parametrize("text", ["2x9x8", "2x9x8x3, 3x3x3x4, stretch=2", "two, 3x3x3x4"])
def test_a_case_that_does_not_fit_is_one_line(text, capsys):
    assert main(["bench", "correlate2d", "--shapes", text]) == 1
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_operations_of_a_convolution_are_those_of_its_loops():
    op = TABLE["correlate2d"]
    case = cases.read_case(op, "2x6x5x3, 3x2x3x4")
    arrays, constants = cases.make_arrays(op, case)
    count = 0
    for _ in np.ndindex(2, 6 - 3 + 1, 5 - 2 + 1, 4, 3, 2, 3):  # outputs, then what is summed for each
        count += 2
    assert cases.operations(op, "forward", arrays, constants) == count


def test_a_verdict_needs_intervals_that_do_not_overlap():
    rng = np.random.default_rng(0)
    fast, slow = 1 + 0.01 * rng.random(12), 2 + 0.01 * rng.random(12)
    noisy, also_noisy = 1 + rng.random(12), 1.02 + rng.random(12)
    assert "faster" in measure.verdict(fast, slow).words
    assert "slower" in measure.verdict(slow, fast).words
    assert measure.verdict(noisy, also_noisy).words == "can't tell"


def test_bench_of_relu_from_end_to_end(tmp_path, capsys):
    arguments = ["bench", "relu", "--shapes", "4096", "--backends", "numpy", "numba", "--seconds", "0.02", "--rounds", "3"]
    assert main([*arguments, "--threads", "1", "--output", str(tmp_path)]) == 0
    run = json.loads((tmp_path / "bench.json").read_text())
    assert {row["backend"] for row in run["rows"]} >= {"numpy", "numba"}
    assert "relu" in (tmp_path / "bench.md").read_text()
    assert (tmp_path / "bench.png").read_bytes()[:4] == b"\x89PNG"
    before = (tmp_path / "bench.md").read_text()
    (tmp_path / "bench.md").unlink()
    assert main(["bench", "--from", str(tmp_path / "bench.json"), "--output", str(tmp_path)]) == 0
    assert (tmp_path / "bench.md").read_text() == before
    assert "numba" in capsys.readouterr().out


@pytest.mark.parametrize(("lanes", "words"), [("0", "plain Numba"), ("8", "numba, 8 lanes (TINYDX_SIMD)")])
def test_the_result_says_which_kernels_ran(lanes, words):
    code = "import tinydx; from tinydx.bench import machine, results; "
    code += "print(results.facts({'kind': 'op', 'command': '', 'missing': {}, 'roofs': {}, 'machine': machine.describe()}))"
    root, environment = Path(__file__).parents[1], {**os.environ, "TINYDX_SIMD": lanes}
    done = subprocess.run([sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, text=True, check=True)
    assert f"'tinydx runs on {words}'" in done.stdout


def test_without_numba_the_result_says_so(monkeypatch):
    monkeypatch.setitem(tinydx.dispatch._loaded, "numba", "No module named 'numba'")
    assert machine.kernels() == "numpy only"


def test_a_wrong_kernel_is_reported_and_not_timed(tmp_path, monkeypatch, capsys):
    right = TABLE["relu"].kernels["numba"]

    def wrong(x):
        y, saved = right.forward(x)
        return y * np.float32(1.01), saved

    monkeypatch.setitem(TABLE["relu"].kernels, "numba", Implementation("numba", wrong, right.backward, right.supports))
    arguments = ["bench", "relu", "--shapes", "4096", "--backends", "numpy", "numba", "--seconds", "0.02", "--rounds", "3"]
    main([*arguments, "--threads", "1", "--output", str(tmp_path)])
    assert "wrong" in capsys.readouterr().out
    rows = json.loads((tmp_path / "bench.json").read_text())["rows"]
    planted = [r for r in rows if r["backend"] == "numba" and r["direction"] == "forward"]
    assert planted and not any(r.get("seconds") for r in planted)


def test_a_race_runs_each_contestant_in_a_process_of_its_own(tmp_path, monkeypatch):
    """Also where neither the working directory nor PYTHONPATH leads to tinydx."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setattr(race, "_missing", lambda name: "not installed")
    run = race.race_step(2, (26, 26, 3), peers=["keras"], threads=[1], rounds=1)
    (only,) = run["races"]
    (ours,) = only["rows"]
    assert ours["label"] == "tinydx" and "note" not in ours and run["missing"] == {"keras": "not installed"}
    assert len(ours["losses"]) == race.CHECKED and ours["losses"][-1] < ours["losses"][0]
    assert all(len(ours[measure]) == 1 for measure in race.ORDERS)


def test_a_contestant_that_fails_is_noted(tmp_path):
    with race.Worker("tinydx", str(tmp_path / "nowhere"), 1) as worker:
        worker.check()
    assert worker.row["note"].startswith("failed: FileNotFoundError") and not worker.row["losses"]


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 1, "kind": "op"}'])
def test_a_file_that_is_not_a_result_is_one_line(text, tmp_path, capsys):
    (tmp_path / "bench.json").write_text(text)
    assert main(["bench", "--from", str(tmp_path / "bench.json")]) == 1
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_number_that_json_lacks_becomes_null(tmp_path):
    folder.save({"kind": "op", "rows": [{"error": float("inf"), "seconds": [1.0]}]}, tmp_path)
    assert folder.read(tmp_path / "bench.json")["rows"] == [{"error": None, "seconds": [1.0]}]


KERNELS = sorted(name for name, op in TABLE.items() if "numba" in op.kernels)


@pytest.mark.parametrize("name", KERNELS)
def test_errors_stay_below_what_rounding_explains(name):
    for row in errors.errors_of(TABLE[name]):
        assert row.rms <= row.bound, row
    if "conv" in name or "correlate" in name:
        with errors.without_winograd():
            for row in errors.errors_of(TABLE[name]):
                assert row.rms <= row.bound, row


def test_an_error_above_rounding_is_seen(monkeypatch):
    right = TABLE["matmul"].kernels["numba"]

    def inexact(a, b):
        y, saved = right.forward(a, b)
        return y * np.float32(1 + 3e-6), saved

    monkeypatch.setitem(TABLE["matmul"].kernels, "numba", Implementation("numba", inexact, right.backward, right.supports))
    forward, backward = errors.errors_of(TABLE["matmul"])
    assert forward.rms > forward.bound and backward.rms <= backward.bound


def test_bench_errors_prints_its_rows(monkeypatch, capsys):
    row = errors.Error("relu", "4096", "forward", 0.0, 0.0, 3e-7)
    monkeypatch.setattr(errors, "measure", lambda: [row])
    assert main(["bench", "errors"]) == 0
    assert "| relu | 4096 | forward | 0 | 0 | 3.0e-07 |" in capsys.readouterr().out
    assert main(["bench", "errors", "--seconds", "1"]) == 1
    assert "no --seconds" in capsys.readouterr().err


AFTER_WARMING = """
import numpy as np
from tinydx import dispatch, layers, models
dispatch.load_kernels("numba")
from tinydx_kernels.cpu import warm
warm.warm()
known = {k: len(k.signatures) for k in _kernels()}
model = models.Sequential([layers.Input((24, 24, 3)), layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(),
    layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten(), layers.Dense(512, activation="relu"),
    layers.Dense(1, activation="sigmoid")])
model.compile("adam", "binary_crossentropy")
x = np.random.default_rng(0).random((8, 24, 24, 3), np.float32)
model.fit(x, np.arange(8.0) % 2, verbose=0)
model.predict(x)
model = models.Sequential([layers.Embedding(9, 8, mask_zero=True, input_shape=(5,)),
    layers.Bidirectional(layers.LSTM(8, return_sequences=True)), layers.GRU(8), layers.Dense(1)])
model.compile("adam", "mse")
model.fit(np.arange(20).reshape(4, 5) % 9, np.ones(4), verbose=0)
print({k.py_func.__name__ for k in _kernels() if len(k.signatures) != known.get(k, 0)})
"""


def test_nothing_is_left_to_compile_after_the_warm_up():
    """In a process of its own, where no other test has called a kernel: training finds every signature it needs."""
    kernels = "import gc\nfrom numba.core.dispatcher import Dispatcher\n"
    kernels += "def _kernels(): return [o for o in gc.get_objects() if isinstance(o, Dispatcher) and "
    kernels += "o.py_func.__module__.startswith('tinydx_kernels')]\n"
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", kernels + AFTER_WARMING], cwd=root, capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stdout + done.stderr
