"""tinydx: a deep-learning engine for learning how diagnosis by deep learning works, written from its equations.

Importing it loads NumPy and nothing heavier; the parts below are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import Any

from tinydx.checkout import find_own_packages

find_own_packages()  # before anything can import tinydx_kernels

from tinydx import ops  # noqa: E402
from tinydx.cards import card  # noqa: E402
from tinydx.dispatch import trace, use  # noqa: E402
from tinydx.random import set_seed  # noqa: E402
from tinydx.tensor import Tensor, gradients, no_grad  # noqa: E402
from tinydx.threads import get_threads, set_threads  # noqa: E402

__version__ = "0.1.0"

__all__ = ["Tensor", "card", "get_threads", "gradients", "no_grad", "ops", "set_seed", "set_threads", "trace", "use"]

_PARTS = {
    *("activations", "callbacks", "datasets", "evaluation", "gradcheck", "initializers", "layers", "losses", "metrics"),
    *("models", "optimizers", "preprocessing", "testing"),
}


def __getattr__(name: str) -> Any:
    if name in _PARTS:
        return importlib.import_module(f"tinydx.{name}")
    raise AttributeError(f"module 'tinydx' has no attribute {name!r}")
