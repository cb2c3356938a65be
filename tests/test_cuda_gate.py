"""NVIDIA's compiler accepts every CUDA kernel for every architecture, within the budget; and the gate can fail."""

import json

import pytest

from tinydx.cli import main as tinydx_command
from tinydx_kernels.cuda import gate
from tinydx_kernels.cuda.programs import HERE, Program, all_programs, programs_by_launcher

PROGRAMS = all_programs()

needs_nvrtc = pytest.mark.skipif(gate.missing() is not None, reason=str(gate.missing()))

HUNGRY = """
extern "C" __global__ void __launch_bounds__(1024) hungry(const float *x, float *y)
{
    __shared__ float shared[64];
    float v[200];  // 1,024 threads have 64 registers each
    for (int i = 0; i < 200; i++) v[i] = x[i * 1024 + threadIdx.x];
    shared[threadIdx.x % 64] = v[0];
    __syncthreads();
    for (int k = 0; k < 200; k++)
        for (int i = 0; i < 200; i++) v[i] = v[i] * v[(i * 7 + k) % 200] + shared[i % 64];
    for (int i = 0; i < 200; i++) y[i * 1024 + threadIdx.x] = v[i];
}
"""


@needs_nvrtc
@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_kernels_are_within_the_budget(program):
    assert gate.over_budget(gate.measure(program), gate.read_budget()) == []


@needs_nvrtc
def test_a_kernel_over_the_budget_fails():
    found = gate.uses_of(gate.compile_source(HUNGRY, "hungry.cu", 80))
    assert found["hungry"].shared == 256 and found["hungry"].spills > 0
    complaints = gate.over_budget(found, {"hungry": gate.Use(24, 128, 0)})
    assert [c.split(":")[0] for c in complaints] == ["hungry"] * 3
    assert "registers, 24 allowed" in complaints[0]
    assert "256 bytes of shared memory, 128 allowed" in complaints[1]
    assert "of spills, 0 allowed" in complaints[2]


@needs_nvrtc
def test_a_kernel_that_does_not_compile_fails_with_its_line():
    with pytest.raises(ValueError, match=r"(?s)broken.cu for sm_75 .*broken.cu\(2\): error"):
        gate.compile_source('extern "C" __global__ void broken(float *x)\n{ x[0] = y; }', "broken.cu", 75)


@needs_nvrtc
def test_tensor_cores_are_declared_to_need_ampere():
    for program in PROGRAMS:
        if program.minimum > 75:
            with pytest.raises(ValueError, match="does not compile"):
                gate.measure(program._replace(minimum=75))


def test_every_file_is_compiled_and_budgeted():
    assert {p.file for p in PROGRAMS} == {path.name for path in HERE.glob("*.cu")}
    budget = json.loads(gate.BUDGET.read_text())["kernels"]
    assert {name.rsplit(" ", 2)[0] for name in budget} == {str(program) for program in PROGRAMS}


def test_launchers_list_their_programs():
    """Each launcher lists what it runs: the collector adds no file of its own."""
    listed = programs_by_launcher()
    assert {"tinydx_kernels.cuda.update", "tinydx_kernels.cuda.matmul"} <= set(listed)
    assert [str(p) for p in listed["tinydx_kernels.cuda.update"]] == ["update.cu"] and len(PROGRAMS) == len(set(PROGRAMS))


def test_no_kernel_spills():
    assert all(use.spills == 0 for use in gate.read_budget().values())


def test_a_kernel_without_budget_fails():
    (complaint,) = gate.over_budget({"new.cu new sm_80": gate.Use(1, 0, 0)}, {})
    assert complaint.startswith("new.cu new sm_80: not in budget.json")


def test_without_the_compiler_the_command_says_what_to_install(monkeypatch, capsys):
    def nothing():
        raise ImportError("no file libnvrtc")

    monkeypatch.setattr(gate, "_nvrtc", nothing)
    for command, arguments in ((gate.main, []), (tinydx_command, ["cuda", "gate"]), (gate.main, ["--write"])):
        assert command(arguments) == 1
        assert "pip install 'tinydx[kernel-check]'" in capsys.readouterr().out


def test_the_command_compares_with_the_budget_and_writes_it(monkeypatch, capsys, tmp_path):
    uses = {"new.cu relu sm_80": gate.Use(10, 0, 0)}
    for name, value in (("missing", lambda: None), ("version", lambda: "13.0"), ("all_programs", lambda: ["new.cu"])):
        monkeypatch.setattr(gate, name, value)
    monkeypatch.setattr(gate, "measure", lambda program: uses)
    monkeypatch.setattr(gate, "BUDGET", tmp_path / "budget.json")
    gate.write_budget({})
    assert tinydx_command(["cuda", "gate"]) == 1
    assert "not in budget.json: run tinydx cuda gate --write" in capsys.readouterr().out
    assert tinydx_command(["cuda", "gate", "--write"]) == 0 and gate.read_budget() == uses
    assert tinydx_command(["cuda", "gate"]) == 0 and "1 kernels within the budget" in capsys.readouterr().out


def test_a_program_is_named_by_its_constants():
    assert str(Program("a.cu")) == "a.cu" and str(Program("a.cu", (("BM", 3), ("RELU", 0)))) == "a.cu[BM=3,RELU=0]"
