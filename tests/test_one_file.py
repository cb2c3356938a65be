"""One file adds a thing: the worked example of CONTRIBUTING.md, in a copy of the project, is found by everything."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba", reason="the CPU kernels need numba: pip install numba")

ROOT = Path(__file__).parents[1]
TESTS = ("conftest.py", "browser.py", "draws.py", "test_ops.py", "test_gradcheck.py", "test_cpu_kernels.py")


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """The project with the op, its slips and its kernel of CONTRIBUTING.md, each a new file."""
    folder = tmp_path_factory.mktemp("copy")
    for room in ("tinydx", "kernels", "lessons"):
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "tests").mkdir()
    for name in ("pyproject.toml", *(f"tests/{name}" for name in TESTS)):
        shutil.copy(ROOT / name, folder / name)
    words = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for name, code in re.findall(r"`((?:tinydx|kernels)/[\w/]+\.py)`:\n\n```python\n(.*?)```", words, re.DOTALL):
        assert not (folder / name).exists()
        (folder / name).write_text(code)
    assert (folder / "kernels/cpu/mish.py").exists() and (folder / "tinydx/gradcheck/slips/mish.py").exists()
    return folder


def run(copy: Path, *arguments: str) -> str:
    """What a Python command prints in the copy, which must be the copy's own code."""
    environment = {**os.environ, "PYTHONPATH": str(copy), "HYPOTHESIS_PROFILE": "quick"}
    result = subprocess.run(
        [sys.executable, *arguments], cwd=copy, env=environment, capture_output=True, text=True, check=False, timeout=900
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result.stdout


def test_its_card_is_printed(copy):
    card = run(copy, "-c", "from tinydx.cli import main; main(['card', 'mish'])")
    assert card.startswith("mish · Misra 2019") and "def mish_backward" in card and "kernels/cpu/mish.py" in card


def test_it_runs_by_its_kernel_and_is_an_activation(copy):
    code = (
        "import numpy as np, tinydx; from tinydx.layers import Dense; x = np.ones((2, 3), 'float32')\n"
        "with tinydx.trace() as ran: Dense(4, activation='mish')(x)\n"
        "print(ran[-1])"
    )
    assert run(copy, "-c", code) == "('mish', 'numba')\n"


def test_warming_compiles_its_kernel(copy):
    code = (
        "import tinydx; from tinydx.dispatch import load_kernels; load_kernels('numba')\n"
        "from tinydx_kernels.cpu import mish, warm\n"
        "op = tinydx.ops.mish; kernel = op.kernels['numba']\n"
        "for call in warm.calls(op, kernel): warm.run(op, kernel, *call)\n"
        "print(len(mish.mish_pass.signatures))"
    )
    assert run(copy, "-c", code) == "1\n"


@pytest.mark.parametrize("name", ["test_ops.py", "test_gradcheck.py", "test_cpu_kernels.py"])
def test_its_tests_are_found_and_pass(copy, name):
    """Literal and gradient, slips caught and named, kernel against reference."""
    printed = run(copy, "-m", "pytest", f"tests/{name}", "-k", "mish", "-p", "no:cacheprovider")
    assert int(re.search(r"(\d+) passed", printed)[1]) >= 2


def test_a_wrong_gradient_in_it_is_caught(copy):
    """These tests can fail: the same file with one sign changed."""
    file = copy / "tinydx" / "ops" / "mish.py"
    right = file.read_text()
    file.write_text(right.replace("(1 - t**2)", "(1 + t**2)"))
    try:
        with pytest.raises(AssertionError, match="mish"):
            run(copy, "-m", "pytest", "tests/test_ops.py", "-k", "mish", "-p", "no:cacheprovider")
    finally:
        file.write_text(right)
