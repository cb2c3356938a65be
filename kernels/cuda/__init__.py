"""CUDA kernels: importing this package registers the launchers of all its files. It does not import CuPy."""

import importlib
import pkgutil

from tinydx_kernels.cuda.backend import emulating, missing

__all__ = ["emulating", "missing"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
