"""What `tinydx doctor` prints: what this machine has, what runs the ops, and what to install for more."""

from __future__ import annotations

import functools
import importlib.util
import os
import platform
import shutil
from collections.abc import Callable, Iterable
from importlib import metadata

import numpy as np

import tinydx
from tinydx import dispatch, rehearsal
from tinydx.op import TABLE

SETTINGS = ("NUMBA_", "OMP_", "GOMP_", "KMP_", "OPENBLAS_", "MKL_", "TINYDX_", "CUDA_", "CUPY_")  # beginnings of their names


def report() -> str:
    """The findings, one on each line; what cannot be found out here says why."""
    packages = ("pillow", "matplotlib", "rich", "safetensors", "soundfile", "scipy", "pydicom", "nibabel")
    rows: list[tuple[str, Callable[[], str]]] = [
        ("tinydx", lambda: f"{tinydx.__version__} in {os.path.dirname(tinydx.__file__)}"),
        ("python", lambda: f"{platform.python_version()} on {platform.platform()}"),
        ("processor", lambda: f"{processor()}, {cores()} cores available"),
        ("numpy", lambda: f"{np.__version__}, matrix products by {_blas()}"),
        ("settings", _settings),  # before the kernels' libraries set some of their own
        ("numba", _numba),
        ("kernels", _kernels),
        ("cuda", _cuda),
        ("compiler", lambda: shutil.which("g++") or "no g++; only running CUDA kernels on the CPU needs it: apt install g++"),
        *((name, functools.partial(_version, name)) for name in packages),
        ("ICD-10-CM", lambda: _version("simple-icd-10-cm")),
        ("lessons", _lessons),
        ("data", _data),
    ]
    return "\n".join(f"{name:<12}{_found(find)}" for name, find in rows)


def _found(find: Callable[[], str]) -> str:
    """A finding in one line; a machine may refuse any of them."""
    try:
        return find()
    except Exception as error:
        return f"cannot be found out: {type(error).__name__}: {' '.join(str(error).split())}"


def _version(name: str) -> str:
    """The version of an installed package, or how to install it."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"not installed: pip install {name}"


def processor() -> str:
    """The processor's model and its vector instructions."""
    try:
        with open("/proc/cpuinfo") as file:
            lines = file.read().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    model = next((v.split(":", 1)[1].strip() for v in lines if v.startswith("model name")), platform.machine())
    flags = next((v for v in lines if v.startswith("flags")), "").split()
    simd = [label for label, flag in (("AVX-512", "avx512f"), ("AVX2", "avx2"), ("FMA", "fma")) if flag in flags]
    return f"{model} ({', '.join(simd) or 'no AVX2'})"


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _blas() -> str:
    """The library that computes NumPy's matrix products."""
    try:
        return str(np.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"])  # type: ignore[index, call-overload]
    except (KeyError, TypeError):
        return "an unknown BLAS"


def _numba() -> str:
    """Numba's version and the ops with CPU kernels."""
    if importlib.util.find_spec("numba") is None:
        return "not installed, so NumPy runs everything: pip install numba"
    reason = dispatch.load_kernels("numba")
    if reason:
        return f"{_version('numba')}, but NumPy runs everything: {reason}"
    kernels = sorted(name for name, op in TABLE.items() if "numba" in op.kernels)
    return f"{_version('numba')}, kernels for {', '.join(kernels) or 'no op yet'}"


def _kernels() -> str:
    """How the CPU kernels run, and where they are kept once they are compiled."""
    if dispatch.load_kernels("numba"):
        return "none can run here"
    from tinydx_kernels.cpu import cache, layer

    kept = f"not kept, but compiled in every run: {cache.not_kept[0]}" if cache.not_kept else f"kept in {_listed(cache.kept_in)}"
    fork = "" if layer.survives_a_fork() else "; a forked process computes with NumPy"
    return f"{tinydx.get_threads()} thread(s) by {layer.LAYER}{fork}; {kept}"


def _settings() -> str:
    """What changes how things are computed: variables of the environment, and Numba's file."""
    found = [f"{name}={value}" for name, value in os.environ.items() if name.startswith(SETTINGS)]
    found += [file for file in (".numba_config.yaml",) if os.path.exists(file)]
    return _listed(found) or "none"


def _listed(values: Iterable[str]) -> str:
    return ", ".join(sorted(values))


def _cuda() -> str:
    """CuPy's version and the GPUs it finds."""
    if importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed; only an NVIDIA GPU needs it: pip install 'tinydx[cuda13]'"
    try:
        import cupy

        count = cupy.cuda.runtime.getDeviceCount()
        name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
        return f"CuPy {cupy.__version__}, {count} GPU(s), the first is {name}"
    except Exception as error:  # CuPy raises its own classes for the driver and for missing libraries
        return f"CuPy is installed, but no GPU can be used: {' '.join(str(error).split())}"


def _lessons() -> str:
    """The number of lessons, and what they still need."""
    from tinydx.course import INSTALL
    from tinydx.lessons import all_lessons

    missing = sorted({package for lesson in all_lessons() for package in lesson.missing})
    return f"{len(all_lessons())}, " + (f"some need {', '.join(missing)}: {INSTALL}" if missing else "all can run: tinydx lesson")


def _data() -> str:
    """The data folder and what is in it."""
    from tinydx.datasets import data_home

    home = data_home()
    there = next(folder for folder in (home, *home.parents) if os.path.isdir(folder))
    if not os.access(there, os.W_OK | os.X_OK):
        return f"{home} cannot be written: set TINYDX_HOME to a folder that can"
    sets = [p.name for p in home.iterdir()] if home.is_dir() else []
    return f"{home} ({_listed(sets) or 'empty'})"


def warm() -> str:
    """Compile every CPU kernel now.

    Returns: a sentence that says how many kernels were compiled.
    Raises: ImportError without Numba.
    """
    reason = dispatch.load_kernels("numba")
    if reason:
        raise ImportError(f"doctor --warm: {reason}")
    from tinydx_kernels.cpu import cache, notice
    from tinydx_kernels.cpu.warm import warm as run_all

    before = notice.compilation.kernels
    with rehearsal.of(run_all):
        run_all()
    compiled = notice.compilation.kernels - before
    kept = f", but not kept: {cache.not_kept[0]}" if cache.not_kept else ""
    return f"{compiled} CPU kernels compiled{kept}" if compiled else "all CPU kernels were compiled already"
