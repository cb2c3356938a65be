"""What pyproject.toml promises: every package is in the wheel, and importing tinydx stays light."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_every_package_is_listed():
    """The list is written out, because two folders are installed under other names; it must be complete."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        listed = set(tomllib.load(file)["tool"]["setuptools"]["packages"])
    found = set()
    for folder, name in (("tinydx", "tinydx"), ("kernels", "tinydx_kernels"), ("lessons", "tinydx_lessons")):
        for path in (ROOT / folder).rglob("__init__.py"):
            found.add(".".join([name, *path.parent.relative_to(ROOT / folder).parts]))
    assert listed == found


def test_importing_tinydx_loads_numpy_and_nothing_heavier():
    code = "import sys, tinydx; print(sorted({'numba', 'cupy', 'matplotlib', 'PIL', 'rich', 'safetensors'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout == "[]\n"


@pytest.mark.parametrize("left_behind", [False, True])
def test_kernels_are_found_from_a_plain_checkout(tmp_path, left_behind):
    """Without any installation, or with the cache of a removed one, kernels/ beside tinydx/ is tinydx_kernels."""
    if left_behind:
        (tmp_path / "tinydx_kernels" / "cpu" / "__pycache__").mkdir(parents=True)
    pytest.importorskip("numba", reason="the CPU kernels need numba: pip install numba")
    code = f"import sys; sys.path[:0] = ['', {str(ROOT)!r}]; from tinydx import dispatch; print(dispatch.load_kernels('numba'))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert result.stdout == "None\n"


OTHER_RELU = """
from tinydx.op import kernel_of as _kernel_of
from tinydx.ops.activation import relu as _relu
_kernel_of(_relu, "numba", lambda x: (x * 0 + 7, None), None, lambda x: True)
"""
WHICH_RELU = """
import sys
import numpy, tinydx
with tinydx.trace() as ran:
    y = tinydx.ops.relu(numpy.array([-1, 2], numpy.float32))
print(tinydx.__file__, sys.modules["tinydx_kernels"].__file__, y.tolist(), ran, sep="|")
"""


@pytest.fixture
def other_copy(tmp_path):
    """A folder with an installed tinydx whose ReLU kernel is another one: it always gives 7."""
    for folder, name in (("tinydx", "tinydx"), ("kernels", "tinydx_kernels")):
        shutil.copytree(ROOT / folder, tmp_path / "site" / name, ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "site" / "tinydx_kernels" / "cpu" / "elementwise.py").open("a") as file:
        file.write(OTHER_RELU)
    return tmp_path / "site"


def test_a_checkout_runs_its_own_kernels_though_another_copy_is_installed(tmp_path, other_copy):
    pytest.importorskip("numba", reason="the CPU kernels need numba: pip install numba")

    def which(cwd):
        environment = {**os.environ, "PYTHONPATH": str(other_copy)}
        result = subprocess.run(
            [sys.executable, "-c", WHICH_RELU], capture_output=True, text=True, check=True, cwd=cwd, env=environment
        )
        engine, kernels, y, ran = result.stdout.strip().split("|")
        assert ran == "[('relu', 'numba')]"
        return Path(engine).parent, Path(kernels).parent, y

    assert which(tmp_path) == (other_copy / "tinydx", other_copy / "tinydx_kernels", "[7.0, 7.0]")
    assert which(ROOT) == (ROOT / "tinydx", ROOT / "kernels", "[0.0, 2.0]")
