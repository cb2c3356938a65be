"""What a figure depends on: the processor, the package versions, the kernels, and the number of threads."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Any

import tinydx
from tinydx import dispatch, doctor

PACKAGES = ("numpy", "numba", "torch", "keras", "tensorflow", "tensorflow-cpu", "jax", "tinygrad")
VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OPENBLAS_CORETYPE", "TINYDX_SIMD", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS")


def describe() -> dict[str, Any]:
    """The machine, the versions of the packages, and the environment variables that change their speed."""
    versions = {"python": platform.python_version(), "tinydx": tinydx.__version__}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "processor": doctor.processor(),
        "cores": doctor.cores(),
        "system": platform.platform(),
        "versions": versions,
        "kernels": kernels(),
        "environment": {name: os.environ[name] for name in VARIABLES if name in os.environ},
    }


def kernels() -> str:
    """Which CPU kernels run on this machine, in words."""
    if dispatch.load_kernels("numba"):
        return "numpy only"
    from tinydx_kernels.cpu.simd import LANES

    if not LANES:
        return "plain Numba"
    why = "TINYDX_SIMD" if os.environ.get("TINYDX_SIMD") else {16: "AVX-512", 8: "AVX2"}[LANES]
    return f"numba, {LANES} lanes ({why})"


def checked_threads(asked: list[int] | None) -> list[int]:
    """The numbers of threads to measure with, by default all cores; ValueError for more threads than cores."""
    cores = doctor.cores()
    for n in asked or []:
        if not 1 <= n <= cores:
            raise ValueError(f"--threads {n}: this machine has {cores} usable cores, give 1 to {cores}")
    return sorted(set(asked or [cores]))


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Run tinydx, BLAS and PyTorch (if it is loaded) on n threads, and restore the previous number afterwards."""
    before = tinydx.get_threads()
    try:
        _set_threads(n)
        yield
    finally:
        _set_threads(before)


def _set_threads(n: int) -> None:
    tinydx.set_threads(n)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(n)
