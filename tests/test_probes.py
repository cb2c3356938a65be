"""The emulator gives the same results as GPUs did: those that probes.py stored in docs/gpu."""

import json
import sys

import emulated_cupy
import numpy as np
import probes
import pytest
from probes import PROBES, SOURCE, STORED, differences, results_of

from tinydx.bench import gpu
from tinydx_kernels.cuda import gate
from tinydx_kernels.emulator import load_module
from tinydx_kernels.emulator.build import compiler

try:
    compiler()
except OSError as error:
    pytest.skip(str(error), allow_module_level=True)

MACHINE = {"device": "none", "driver": "0", "nvrtc": "0"}
FOUND = sorted(STORED.glob("*/probes.json"))


@pytest.fixture(scope="module")
def emulated():
    return load_module(SOURCE).get_function


@pytest.mark.parametrize("path", FOUND or [None])
def test_the_emulator_agrees_with_a_gpu(path, emulated):
    if path is None:
        pytest.skip("no results of a GPU are stored yet: emulated, not yet verified on a GPU")
    stored = path.read_text()
    assert differences(stored, emulated) == [], json.loads(stored)["machine"]


def test_results_are_compared_bit_by_bit(emulated):
    stored = json.loads(results_of(emulated, MACHINE))
    assert stored["machine"] == MACHINE and differences(json.dumps(stored), emulated) == []
    for outputs in stored["words"].values():
        outputs[-1][-1] ^= 1 << 22
    assert differences(json.dumps(stored), emulated) == list(PROBES)
    assert differences('{"words": {}}', emulated) == list(PROBES)


def test_the_script_runs_on_cupy(emulated, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "cupy", emulated_cupy)
    monkeypatch.setattr(gpu, "machine", lambda: MACHINE)
    monkeypatch.setattr(gpu, "missing", lambda: None)
    assert probes.main(str(tmp_path / "new" / "probes.json")) == 0
    assert differences((tmp_path / "new" / "probes.json").read_text(), emulated) == []
    assert capsys.readouterr().out == "".join(f"{name}: the emulator agrees\n" for name in PROBES)


def test_a_probe_that_differs_or_fails_is_named(emulated, monkeypatch, tmp_path, capsys):
    def broken(self, name):
        if name == "votes":
            raise RuntimeError("cudaErrorIllegalAddress:\nan illegal address")
        return emulated(name) if name != "shuffles" else lambda grid, block, arguments: None  # nothing is written

    monkeypatch.setitem(sys.modules, "cupy", emulated_cupy)
    monkeypatch.setattr(emulated_cupy.RawModule, "get_function", broken)
    monkeypatch.setattr(gpu, "machine", lambda: MACHINE)
    monkeypatch.setattr(gpu, "missing", lambda: None)
    monkeypatch.setattr(emulated_cupy, "asarray", np.copy)
    assert probes.main(str(tmp_path / "probes.json")) == 1
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "votes: RuntimeError: cudaErrorIllegalAddress: an illegal address"
    assert [line.split(":")[0] for line in lines if line.endswith("differs")] == ["shuffles", "votes"]
    assert len(lines) == len(PROBES)


def test_every_probe_writes_all_its_outputs(emulated):
    words = json.loads(results_of(emulated, MACHINE))["words"]
    assert all(any(output) for name in words for output in words[name])
    assert np.isfinite(np.array(words["TF32, rounded"][0], np.uint32).view(np.float32)).all()


@pytest.mark.skipif(gate.missing() is not None, reason=str(gate.missing()))
@pytest.mark.parametrize("architecture", gate.ARCHITECTURES[1:])
@pytest.mark.parametrize("name", ["probes.cu", "sgemm.cu"])
def test_nvidias_compiler_accepts_them_too(name, architecture):
    uses = gate.uses_of(gate.compile_source((SOURCE.parent / name).read_text(), name, architecture))
    assert uses and all(use.spills == 0 for use in uses.values())
