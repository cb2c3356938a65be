"""The GPU comparison where there is no GPU: what it says, and its arithmetic."""

import pytest

from tinydx.op import find_kernels

find_kernels()
from tinydx_kernels.bench import gpu  # noqa: E402


@pytest.mark.parametrize("absent", ["cupy", "torch"])
def test_without_its_libraries_it_says_what_to_install(absent, monkeypatch, capsys):
    monkeypatch.setattr(gpu.importlib.util, "find_spec", lambda name: None if name == absent else object())
    assert gpu.main([]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert f"{absent} is not installed: pip install" in line


def test_a_wrong_result_is_called_wrong():
    row = gpu.Row("matmul 1024", "warp", 61.2, 60.8, 35.1, 0.5, False)
    assert gpu.line(row).endswith("error 5e-01   WRONG")
    assert "WRONG" not in gpu.line(row._replace(right=True))
