"""The first day with a GPU, rehearsed: kernels/bench/on_gpu.sh on an emulated CuPy, on a bare machine without tinydx."""

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tinydx_kernels.emulator.build import compiler

ROOT, TESTS = Path(__file__).parents[1], Path(__file__).parent
SCRIPT = (ROOT / "kernels" / "bench" / "on_gpu.sh").read_text()
HEAD, PARTS = SCRIPT.split("# ---- the parts", 1)

NVIDIA_SMI = '#!/bin/sh\n[ "$1" = --query-gpu=name ] && echo "Emulated GPU" || echo "name, driver_version"\n'
EMULATED_CUPY = f"import sys\nsys.path.append({str(TESTS)!r})\nimport emulated_cupy\nsys.modules['cupy'] = emulated_cupy\n"


def distributions(names):
    """The installed distributions of these names, and all that they need."""
    found = {}
    while names:
        name = names.pop()
        if name not in found:
            try:
                found[name] = importlib.metadata.distribution(name)
            except importlib.metadata.PackageNotFoundError:  # of another system
                continue
            needed = map(Requirement, found[name].requires or [])
            names += [r.name for r in needed if r.marker is None or r.marker.evaluate({"extra": ""})]
    return found.values()


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """An environment with NumPy, Numba, pytest and Hypothesis only, to put a file `cupy.py` into: (bin, site-packages)."""
    root = tmp_path_factory.mktemp("machine")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root], check=True)
    (site,) = root.glob("lib/python3*/site-packages")
    for found in distributions(["numpy", "numba", "pytest", "hypothesis"]):
        for top in {Path(file).parts[0] for file in found.files or []} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(found.locate_file(top))
    (root / "bin" / "nvidia-smi").write_text(NVIDIA_SMI)
    (root / "bin" / "nvidia-smi").chmod(0o755)
    return root / "bin", site


def run(script, machine, cupy, *arguments, **environment):
    """Run a script on the bare machine; returns (status, output)."""
    bin, site = machine
    (site / "cupy.py").write_text(cupy)
    kept = {name: os.environ[name] for name in ("HOME", "TINYDX_HOME", "NUMBA_CACHE_DIR", "LANG") if name in os.environ}
    environment = {"PATH": f"{bin}:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", **kept, **environment}
    command = ["bash", script, *map(str, arguments)]
    done = subprocess.run(command, env=environment, cwd="/", text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout


@pytest.fixture
def with_parts(tmp_path):
    """with_parts(text): the script, in a checkout, with other parts."""

    def written(parts):
        path = tmp_path / "kernels" / "bench" / "on_gpu.sh"
        path.parent.mkdir(parents=True)
        path.write_text(f"{HEAD}{parts}\nexit $failed\n")
        return path

    return written


def test_the_script_passes_from_beginning_to_end(machine, tmp_path, proof):
    """Every part with few examples; what is written and where; nothing is left in the checkout."""
    if not proof:
        pytest.skip("all kernels, emulated: set HYPOTHESIS_PROFILE=proof")
    try:
        compiler()
    except OSError as error:
        pytest.skip(str(error))
    out = tmp_path / "new" / "out"
    status, output = run(ROOT / "kernels/bench/on_gpu.sh", machine, EMULATED_CUPY, OUT=str(out), TINYDX_GPU="emulated")
    assert status == 0, output[-8000:]
    summary = (out / "summary.txt").read_text()
    names = ["device", "cupy", "probes", "step", "kernels", "bench"]
    assert re.findall(r"^(\w+): passed after \d+ s", summary, re.M) == names, summary
    counts = {name: int(n) for n, name in re.findall(r"(\d+) (agrees|PASSED|TFLOP/s)", summary)}  # the last of each
    assert counts["agrees"] >= 12 and counts["PASSED"] > 150 and counts["TFLOP/s"] == 14
    assert not re.search("FAILED|ERROR|SKIPPED|differs|WRONG", summary)
    results = {f"{name}.txt" for name in [*names, "summary"]} | {"probes.json", "bench.json", "bench.md"}
    assert {p.name for p in out.iterdir()} == results


def test_the_limits_leave_time_to_spare():
    limits = [int(n) for n in re.findall(r"^part \w+ (\d+) ", PARTS, re.M)]
    (grace,) = map(int, re.findall(r"timeout -s INT -k (\d+)", HEAD))
    assert len(limits) == 6 and sum(limits) + len(limits) * grace < 600


@pytest.mark.parametrize(
    ("cupy", "line"),
    [
        ("raise ImportError('libcudart.so.13: cannot open shared object file')", "ImportError: libcudart.so.13: cannot open"),
        ("import types, sys\ncuda = types.SimpleNamespace()", "AttributeError: .*has no attribute 'runtime'"),
    ],
)
def test_a_broken_cupy_is_one_line_and_the_end(cupy, line, machine, tmp_path):
    status, output = run(ROOT / "kernels/bench/on_gpu.sh", machine, cupy, tmp_path)
    *_, said, summary = output.splitlines()
    assert status == 1 and re.fullmatch(f"bench.gpu: CuPy or the GPU cannot be used: {line}.*", said)
    assert re.fullmatch(r"cupy: failed \(status 1\) after \d+ s", summary)
    assert not (tmp_path / "probes.json").exists()


def test_without_a_gpu_it_says_so(machine):
    bin, _ = machine
    hidden = (bin / "nvidia-smi").rename(bin / "hidden")
    try:
        status, output = run(ROOT / "kernels/bench/on_gpu.sh", machine, "")
    finally:
        hidden.rename(bin / "nvidia-smi")
    assert (status, output) == (1, "on_gpu.sh: no nvidia-smi: this machine has no NVIDIA GPU\n")


TESTS_THAT_TAKE_LONG = """
import time, pytest
@pytest.mark.gpu
@pytest.mark.parametrize("k", range(9))
def test_one(k):
    assert k != 1, "the second is wrong"
    time.sleep(0 if k < 4 else {after})
"""


@pytest.mark.parametrize("ends", ["by itself", "killed"])
def test_a_part_that_is_stopped_has_a_summary_and_the_next_one_runs(ends, machine, tmp_path, with_parts):
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\naddopts = "-q"\nmarkers = ["gpu: x"]\n')
    (tmp_path / "tests").mkdir()
    ignore = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" if ends == "killed" else ""
    (tmp_path / "tests" / "test_cuda_gpu.py").write_text(ignore + TESTS_THAT_TAKE_LONG.format(after=60))
    (tests,) = re.findall(r"^tests=.*", PARTS, re.M)
    script = with_parts(f'{tests}\npart slow 4 "${{tests[@]}}"\npart last 9 echo agrees')
    script.write_text(script.read_text().replace("-k 5", "-k 1"))
    status, output = run(script, machine, "", tmp_path / "out")
    slow, last = (tmp_path / "out" / "summary.txt").read_text().splitlines()
    assert status == 1 and re.fullmatch(r"slow: stopped at its limit after [4-9]\d* s: 1 FAILED 3 PASSED", slow), slow
    assert re.fullmatch(r"last: passed after \d+ s: 1 agrees", last)
    assert ("the second is wrong" in output) == (ends == "by itself")  # pytest's own summary


def test_a_warning_ends_no_test(machine, tmp_path, with_parts):
    """`filterwarnings = error` is for this project's own machines: a new version of a library may warn of something."""
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\nfilterwarnings = ["error"]\nmarkers = ["gpu: x"]\n')
    (tmp_path / "tests").mkdir()
    code = 'import warnings, pytest\nwarnings.warn("old", DeprecationWarning)\n@pytest.mark.gpu\ndef test_one(): pass\n'
    (tmp_path / "tests" / "test_cuda_gpu.py").write_text(code)
    (tests,) = re.findall(r"^tests=.*", PARTS, re.M)
    status, output = run(with_parts(f'{tests}\npart some 60 "${{tests[@]}}"'), machine, "", tmp_path / "out")
    assert status == 0 and "1 PASSED" in output, output
