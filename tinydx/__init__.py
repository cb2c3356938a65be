"""tinydx: a deep-learning engine for learning how diagnosis by deep learning works, written from its equations.

Importing it loads NumPy and nothing heavier; the parts listed below load when they are first used.
"""

from __future__ import annotations

from tinydx import command as _command  # noqa: F401  # isort: skip (first: the command `tinydx` answers Ctrl-C from here on)

import importlib
from typing import Any

from tinydx import ops
from tinydx.cards import card
from tinydx.checkout import find_own_packages
from tinydx.dispatch import trace, use
from tinydx.keras_words import MODULES, word_for
from tinydx.random import set_seed
from tinydx.tensor import Tensor, gradients, no_grad
from tinydx.threads import get_threads, set_threads

__version__ = "0.1.0"

__all__ = ["Tensor", "card", "get_threads", "gradients", "no_grad", "ops", "set_seed", "set_threads", "trace", "use"]

_PARTS = {
    *("activations", "callbacks", "datasets", "evaluation", "gradcheck", "initializers", "layers", "losses", "metrics"),
    *("models", "optimizers", "preprocessing", "regularizers", "testing", "validation"),
}

find_own_packages()  # the modules imported above import no kernel; the first op does


def __getattr__(name: str) -> Any:
    if name in _PARTS:
        return importlib.import_module(f"tinydx.{name}")
    raise AttributeError(f"module 'tinydx' has no attribute {name!r}{word_for(name, MODULES)}")
