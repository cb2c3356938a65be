"""A module that looks like CuPy where there is none: NumPy's functions, and a GPU that does nothing."""

import importlib.util
import sys
from types import ModuleType, SimpleNamespace

import numpy as np


class RuntimeFailure(RuntimeError):
    """What CuPy raises where there is no driver."""


def no_driver(*arguments):
    raise RuntimeFailure("cudaErrorInsufficientDriver: CUDA driver version is insufficient\nfor CUDA runtime version")


def fake_cupy(monkeypatch):
    """Put it where `import cupy` finds it; returns it, with one GPU. No array is its ndarray."""
    module = ModuleType("cupy")
    module.__version__ = "14.2.0"
    module.__spec__ = importlib.util.spec_from_loader("cupy", loader=None)
    module.ndarray = type("ndarray", (), {})
    for name in ("asarray", "empty", "matmul", "ones", "float32"):
        setattr(module, name, getattr(np, name))
    runtime = SimpleNamespace(
        CUDARuntimeError=RuntimeFailure,
        getDeviceCount=lambda: 1,
        getDeviceProperties=lambda number: {"name": b"a fake"},
        driverGetVersion=lambda: 13000,
    )
    module.cuda = SimpleNamespace(runtime=runtime, nvrtc=SimpleNamespace(getVersion=lambda: (13, 0)))
    module.no_driver = no_driver
    monkeypatch.setitem(sys.modules, "cupy", module)
    return module
