"""What we call in CuPy exists there: checked on the real one, which imports without a GPU. Skipped where it is not installed."""

import functools
import inspect
import re
from pathlib import Path

import emulated_cupy
import numpy as np
import pytest

from tinydx_kernels.cuda.programs import Tile, options

cupy = pytest.importorskip("cupy", reason="CuPy is not installed: pip install 'tinydx[cuda13]'", exc_type=ImportError)

ROOT = Path(__file__).parents[1]
SOURCES = {
    path.relative_to(ROOT).as_posix(): path for part in ("tinydx", "kernels", "tests") for path in ROOT.glob(f"{part}/**/*.py")
}
OURS = [
    path
    for name, path in SOURCES.items()
    if name.startswith(("tinydx/", "kernels/", "tests/probes.py", "tests/test_cuda_gpu.py"))
]
ON_GPUS = "ops/", "layers/", "training/", "optimizers/", "tensor.py", "losses.py", "metrics.py", "device.py", "factored.py"
ENGINE = [path for name, path in SOURCES.items() if name.startswith(tuple(f"tinydx/{part}" for part in ON_GPUS))]
KINDS = "ndarray", "cuda.Stream", "cuda.Event", "cuda.MemoryPool", "cuda.Graph", "cuda", "cuda.runtime", "RawModule"
USES = r"\bcupy\.(\w+(?:\.\w+)*)"
NO_COMPUTATION = {"errstate", "lib"}  # of NumPy, on the CPU


def names(pattern, files):
    """All names that a pattern finds in the code of files."""
    return sorted({found for file in files for found in re.findall(pattern, file.read_text())})


def has(name):
    """Whether CuPy has this name, as in "cuda.Stream"."""
    try:
        return functools.reduce(getattr, name.split("."), cupy) is not None
    except AttributeError:
        return False


def test_names_are_looked_up():
    assert has("cuda.Stream") and not has("cuda.Streams") and not has("cudas.Stream")
    assert {"RawModule", "cuda.Stream", "cuda.using_allocator"} <= set(names(USES, OURS))


@pytest.mark.parametrize("name", names(USES, OURS))
def test_a_name_of_cupy_exists(name):
    assert has(name)


@pytest.mark.parametrize("name", names(r"\bxp\([a-z_]+(?:\[0\])?\)\.([a-z_]+)", OURS))
def test_a_function_of_both_exists_in_both(name):
    assert has(name) and hasattr(np, name)


@pytest.mark.parametrize("name", names(r"\bnp\.([a-z_]+(?:\.[a-z_]+)?)\(", ENGINE))
def test_a_function_of_numpy_can_run_in_cupy(name):
    """np.f(a) runs as cupy.f(a) where a is on a GPU."""
    assert name.split(".")[0] in NO_COMPUTATION or has(name)


def members(thing):
    return {name for name in vars(thing) if not name.startswith("_")}


@pytest.mark.parametrize("kind", KINDS)
def test_the_emulated_cupy_has_nothing_that_cupy_lacks(kind):
    real, ours = cupy, emulated_cupy
    for part in kind.split("."):
        real, ours = getattr(real, part), getattr(ours, part, None) or getattr(emulated_cupy, part)
    assert members(ours) - {"module", "calls", "non_blocking"} <= set(dir(real))


def test_methods_of_emulated_arrays_are_those_of_cupys():
    assert set(dir(cupy.ndarray)) >= emulated_cupy._METHODS


def test_cupy_takes_what_our_launchers_and_graphs_give_it():
    """As its own documentation says, which Cython keeps with the signatures."""
    module = cupy.RawModule(code="", options=options(Tile(32, 32, 16, 4, 4).defines))  # it compiles at the first kernel
    assert module.options == options(Tile(32, 32, 16, 4, 4).defines) and "-DBM=32" in module.options
    assert "non_blocking (bool)" in cupy.cuda.Stream.__doc__ and "non_blocking=True" in cupy.cuda.Stream.begin_capture.__doc__
    assert "streamCaptureModeRelaxed" in cupy.cuda.Stream.begin_capture.__doc__  # the pool may ask for memory meanwhile
    assert "graph" in cupy.cuda.Stream.end_capture.__doc__ and "stream=None" in cupy.cuda.Graph.launch.__doc__
    assert "'stable'" in cupy.argsort.__doc__


def test_cupy_compiles_as_programs_py_says():
    """With flushed subnormals always; and its cache keys have the options, but not the headers."""
    source = inspect.getsource(cupy.cuda.compiler._compile_with_cache_cuda)
    assert "options += ('-ftz=true',)" in source
    (key,) = re.findall(r"key_src = ('%s.*?\))", source, re.DOTALL)
    assert "env" in key and "source" in key and "header" not in key and "env = ((arch, options" in source
