"""The GPU comparison without a GPU: its messages, its arithmetic, and a whole run on a fake CuPy with emulated kernels."""

import json
import time
from types import SimpleNamespace

import numpy as np
import pytest
from fake_cupy import fake_cupy

from tinydx.bench import gpu, gpu_report
from tinydx.bench.gpu_report import Row, Target
from tinydx_kernels.cuda import backend
from tinydx_kernels.emulator.build import compiler


def test_without_cupy_it_says_what_to_install(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(gpu.importlib.util, "find_spec", lambda name: None)
    assert gpu.main([str(tmp_path)]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert "CuPy is not installed: pip install" in line and not list(tmp_path.iterdir())


def test_without_a_gpu_it_says_so(monkeypatch, capsys, tmp_path):
    cupy = fake_cupy(monkeypatch)
    cupy.cuda.runtime.getDeviceCount = cupy.no_driver
    assert gpu.main([str(tmp_path)]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert "the GPU cannot be used: RuntimeFailure: cudaErrorInsufficientDriver: CUDA driver" in line


class Event:
    """A moment of the CPU's clock."""

    def record(self):
        self.at = time.perf_counter()


def test_the_whole_comparison_runs(monkeypatch, capsys, tmp_path):
    """Without PyTorch, so with matrix products only: each contestant is right, and its time is written."""
    try:
        compiler()
    except OSError as error:
        pytest.skip(str(error))
    cupy = fake_cupy(monkeypatch)
    cupy.cuda.Event, cupy.cuda.get_elapsed_time = Event, lambda begin, end: 1e3 * (end.at - begin.at)
    cupy.cuda.Device = lambda: SimpleNamespace(attributes={"L2CacheSize": 1 << 10}, synchronize=lambda: None)
    monkeypatch.setattr(gpu, "has_torch", lambda: False)
    for name, value in (("SIZES", (20,)), ("ROUNDS", 1), ("WARM", 0), ("training_steps", list)):
        monkeypatch.setattr(gpu, name, value)
    monkeypatch.setattr(gpu, "fetch", lambda a: a.astype(np.float64))
    with backend.emulation():
        assert gpu.main([str(tmp_path)]) == 0
    assert "product of the layers" in capsys.readouterr().out
    document = json.loads((tmp_path / "bench.json").read_text())
    assert document["machine"]["device"] == "a fake" and len(document["rows"]) == 13
    assert all(row["right"] and row["median_us"] > 0 for row in document["rows"])
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")


def test_training_steps_are_right_where_their_losses_agree():
    halves = [0.5**k for k in range(gpu.CHECKED + gpu.ROUNDS)]
    rows = gpu.time_steps({"tinydx": halves.__getitem__, "PyTorch": halves.__getitem__})
    assert [r.name for r in rows] == ["tinydx", "PyTorch"] and all(r.right and r.median_us > 0 for r in rows)
    rows = gpu.time_steps({"tinydx": halves.__getitem__, "PyTorch": lambda k: halves[k] + 0.1})
    assert not any(r.right for r in rows) and rows[0].error == pytest.approx(0.1)


def row(name, microseconds, right=True):
    return Row("matmul 4096", name, microseconds, microseconds, 1.0, 1e-7, right)


def test_the_table_compares_the_best_of_both_sides(tmp_path):
    rows = [row("warp", 100), row("async", 80), row("cuBLAS FP32 (CuPy)", 66), row("cuBLAS FP32 (PyTorch)", 60)]
    rows += [row("tf32", 1, right=False), row("cuBLAS TF32", 10), row("bf16", 10), row("cuBLAS BF16", 6)]
    machine = {"device": "a fake"}
    text = gpu_report.table(machine, rows).splitlines()
    assert text[0] == "device a fake" and text[4:] == [
        "| FP32 product, 4096 | 80 us | 60 us | 0.75 | 0.7 | 0.9 | gate |",
        "| BF16 product, 4096 | 10 us | 6 us | 0.60 | 0.35 | 0.55 | goal |",
    ]
    gpu_report.write(tmp_path / "new", machine, rows)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["bench.json", "bench.md", "bench.png"]


def test_targets_name_contests_that_are_held():
    contests = {f"{shape[-1]} to {filters}" for shape, filters in gpu.LAYERS}
    assert set(gpu_report.LAYERS) == contests
    assert {t.contest for t in gpu_report.TARGETS if t.contest.startswith("matmul")} == {f"matmul {gpu.SIZES[-1]}"}


def test_a_verdict_is_by_gate_and_goal():
    target = Target("a task", "", (), "", gate=0.5, goal=0.8)
    verdicts = [gpu_report.Result(target, 1.0, ratio).verdict for ratio in (0.49, 0.5, 0.79, 0.8)]
    assert verdicts == ["below the gate", "gate", "gate", "goal"]


def test_a_wrong_result_is_called_wrong():
    assert gpu_report.line(row("warp", 61.2, right=False)).endswith("WRONG")
    assert "WRONG" not in gpu_report.line(row("warp", 61.2))
