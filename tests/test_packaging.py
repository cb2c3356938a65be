"""What pyproject.toml promises: every package is in the wheel, and importing tinydx stays light."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_every_package_is_listed():
    """The list is written out, because two folders are installed under other names; so nothing may be forgotten in it."""
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
    """Without any installation, or with the cache of one that is gone, kernels/ beside tinydx/ is tinydx_kernels."""
    if left_behind:
        (tmp_path / "tinydx_kernels" / "cpu" / "__pycache__").mkdir(parents=True)
    pytest.importorskip("numba", reason="the CPU kernels need numba: pip install numba")
    code = f"import sys; sys.path[:0] = ['', {str(ROOT)!r}]; from tinydx import op; print(dispatch.load_kernels('numba'))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert result.stdout == "None\n"
