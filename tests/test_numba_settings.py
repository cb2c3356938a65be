"""Settings of Numba with which kernels cannot run give plain words, and the cache of kernels survives what happens to files."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

numba = pytest.importorskip("numba", reason="it is about Numba's kernels")

from tinydx import dispatch, doctor, ops  # noqa: E402

assert dispatch.load_kernels("numba") is None
from numba.core.caching import IndexDataCacheFile, NullCache  # noqa: E402

from tinydx_kernels.cpu import cache, settings, simd  # noqa: E402

ROOT = Path(__file__).parents[1]

# ---- settings ----------------------------------------------------------------------------------------------------------

PROGRAM = """
import numpy as np, tinydx
with tinydx.trace() as ran:
    for _ in range(2):
        assert tinydx.ops.relu(np.float32([-1, 2])).tolist() == [0, 2]
from tinydx import doctor
print(*{backend for _, backend in ran}, "|", doctor._numba(), "|", doctor._kernels(), "|", doctor._settings())
"""


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("NUMBA_DISABLE_JIT", "1", "NUMBA_DISABLE_JIT is set, but the kernels exist only compiled: unset it"),
        ("NUMBA_THREADING_LAYER", "foo", "Numba refuses NUMBA_THREADING_LAYER=foo: The threading layer requested 'foo'"),
        ("NUMBA_NUM_THREADS", "0", "NUMBA_NUM_THREADS is '0', expected a whole number above 0"),
        ("NUMBA_CPU_NAME", "foo", "NUMBA_CPU_NAME='foo': LLVM does not know such a processor: unset it"),
    ],
)
def test_numpy_computes_and_the_setting_is_named_once(name, value, words):
    others = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_")}
    how = {"capture_output": True, "text": True, "env": {**others, "PYTHONPATH": str(ROOT), name: value}, "timeout": 60}
    result = subprocess.run([sys.executable, "-c", PROGRAM], check=False, **how)
    assert result.returncode == 0, result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"tinydx: NumPy runs what numba's kernels would, slower: {words}")
    ran, version, kernels, given = result.stdout.strip().split(" | ")
    assert ran == "numpy" and words in version and kernels == "none can run here" and f"{name}={value}" in given


@pytest.mark.parametrize(
    ("name", "value"),
    [("NUMBA_NUM_THREADS", "abc"), ("NUMBA_NUM_THREADS", "-1"), ("NUMBA_NUM_THREADS", ""), ("TINYDX_SIMD", "4")],
)
def test_a_number_that_is_none_is_named(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(ImportError, match=f"^{name} is '{value}', expected "):
        settings.check()


def test_a_feature_that_no_processor_has_is_named(monkeypatch):
    monkeypatch.setattr(numba.config, "CPU_NAME", None)
    monkeypatch.setattr(numba.config, "CPU_FEATURES", "warp")
    with pytest.raises(ImportError, match=r"^NUMBA_CPU_FEATURES='warp': LLVM does not know"):
        settings.check()
    monkeypatch.setattr(numba.config, "CPU_FEATURES", "")
    monkeypatch.setattr(numba.config, "CPU_NAME", "generic")
    settings.check()


def test_a_missing_package_is_not_talked_about(monkeypatch, capsys):
    """Without Numba NumPy computes as it should; only what is installed and cannot run is worth a line."""
    for reason, said in (("No module named 'numba': pip install numba", ""), ("Numba needs another NumPy", "another NumPy")):
        error = ImportError(reason) if said else ModuleNotFoundError("No module named 'numba'")
        monkeypatch.delitem(dispatch._loaded, "numba")
        monkeypatch.setattr(dispatch.importlib, "import_module", lambda _, error=error: (_ for _ in ()).throw(error))
        assert dispatch.load_kernels("numba") == reason
        assert ops.relu(np.float32([-1, 2])).tolist() == [0, 2]
        assert said in capsys.readouterr().err and not capsys.readouterr().err


# ---- the cache ------------------------------------------------------------------------------------------------------------


def twice(x):
    return x + x


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """kernel() is `twice`, not compiled in this process yet, whose code is kept in tmp_path."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(cache, "not_kept", [])
    monkeypatch.setattr(cache, "kept_in", set())
    monkeypatch.setattr(cache, "changed_code", lambda: "")
    return lambda: simd.jit(twice)


def loaded(k):
    """How often its code came from the disk, and how often it had to be compiled."""
    return sum(k.stats.cache_hits.values()), sum(k.stats.cache_misses.values())


def files(folder, ending):
    return sorted(folder.rglob(f"*.{ending}"))


def test_code_is_kept_and_read_again(kernel, tmp_path):
    for expected in ((0, 1), (1, 0)):
        k = kernel()
        assert k(2.0) == 4 and loaded(k) == expected
    assert not cache.not_kept and [Path(f).parent for f in cache.kept_in] == [tmp_path]


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
@pytest.mark.parametrize("size", [0, 20])
def test_a_file_cut_short_is_compiled_again(kernel, tmp_path, ending, size):
    kernel()(2.0)
    for file in files(tmp_path, ending):
        file.write_bytes(file.read_bytes()[:size])
    for expected in ((0, 1), (1, 0)):
        k = kernel()
        assert k(2.0) == 4 and loaded(k) == expected


def test_code_for_other_types_is_not_run(kernel, tmp_path):
    """Two processes that compiled for different types at the same time could leave this."""
    k = kernel()
    k(2.0), k(3)
    first, second = files(tmp_path, "nbc")
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)
    k = kernel()
    assert (k(2.5), k(3)) == (5.0, 6) and loaded(k) == (0, 2)


def test_code_of_other_sources_is_not_run(kernel, monkeypatch):
    """A kernel is compiled together with helpers of other files."""
    kernel()(2.0)
    monkeypatch.setattr(cache, "SOURCES", "as before the change")
    k = kernel()
    assert k(2.0) == 4 and loaded(k) == (0, 1)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_full_disk_keeps_nothing_and_computes(kernel, monkeypatch, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(IndexDataCacheFile, "save", refuse)
    k = kernel()
    assert (k(2.0), k(3)) == (4, 6)
    (reason,) = cache.not_kept
    assert os.strerror(number) in reason and "NUMBA_CACHE_DIR" in reason
    assert reason in doctor._kernels()


def test_without_a_folder_kernels_run_and_are_not_kept(kernel, monkeypatch):
    def nowhere(_):
        raise RuntimeError("cannot cache function 'twice': no locator available for file 'x.py'")

    monkeypatch.setattr(cache, "KernelCache", nowhere)
    k = kernel()
    assert k(2.0) == 4 and isinstance(k._cache, NullCache)
    assert cache.not_kept == ["no folder for them can be written: set NUMBA_CACHE_DIR to one that can"]


def test_what_a_setting_changes_is_not_kept(kernel, monkeypatch, tmp_path):
    for name in settings.USUAL:
        assert not settings.changed_code() or os.environ.get("TINYDX_SIMD")
        with monkeypatch.context() as patch:
            patch.setattr(numba.config, name, 1 if settings.USUAL[name] != 1 else 0)
            assert f"NUMBA_{name}" in settings.changed_code()
    monkeypatch.setattr(cache, "changed_code", lambda: "NUMBA_OPT")
    assert kernel()(2.0) == 4
    assert not files(tmp_path, "nb?") and cache.not_kept == ["NUMBA_OPT changes the code"]
