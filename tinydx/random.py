"""The engine's random numbers: initial weights, shuffling and dropout all draw from `generator()`.

A thread that calls `set_seed` has a generator of its own from then on, so what it computes does not depend on other threads.
All others share the main thread's.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

_generator = np.random.default_rng()  # of the main thread, and of all threads that have none of their own
_of_thread = threading.local()


def set_seed(seed: int) -> None:
    """Seed the engine's random numbers: the same seed gives the same bits on the same machine and number of threads.

    In a thread other than the main one it seeds the numbers of that thread alone. An image generator has its own seed; without
    one it draws a seed from this generator.

    >>> set_seed(1); a = generator().random()
    >>> set_seed(1); a == generator().random()
    True
    """
    if threading.current_thread() is threading.main_thread():
        global _generator
        _generator = np.random.default_rng(seed)
    else:
        _of_thread.generator = np.random.default_rng(seed)


def generator() -> np.random.Generator:
    """The generator that all random numbers of this thread come from."""
    return getattr(_of_thread, "generator", _generator)


def state() -> dict[str, Any]:
    """The generator's state, as plain numbers that fit into JSON."""
    return dict(generator().bit_generator.state)


def load_state(state: dict[str, Any]) -> None:
    """Continue from a `state()`."""
    generator().bit_generator.state = state
