"""The engine's random numbers: initial weights, shuffling and dropout all draw from `generator()`.

A thread that calls `set_seed` has a generator of its own from then on, so what it computes does not depend on other threads.
All others share the main thread's.
"""

from __future__ import annotations

import random as standard
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

_generator = np.random.default_rng()  # of the main thread, and of all threads that have none of their own
_of_thread = threading.local()


def set_seed(seed: int) -> None:
    """Seed the engine's random numbers: the same seed gives the same bits on the same machine and number of threads.

    In a thread other than the main one it seeds the numbers of that thread alone. An image generator has its own seed; without
    one it draws a seed from this generator.

    Raises: ValueError unless the seed is a whole number of 0 or more.

    >>> set_seed(1); a = generator().random()
    >>> set_seed(1); a == generator().random()
    True
    """
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool) or seed < 0:
        raise ValueError(f"set_seed: seed is {seed!r}, expected a whole number of 0 or more")
    if threading.current_thread() is threading.main_thread():
        global _generator
        _generator = np.random.default_rng(seed)
    else:
        _of_thread.generator = np.random.default_rng(seed)


def new_seed() -> int:
    """A seed below a million that nobody can foresee: what a check draws its numbers from when it is given no seed."""
    return secrets.randbelow(1_000_000)


def generator() -> np.random.Generator:
    """The generator that all random numbers of this thread come from."""
    return getattr(_of_thread, "generator", _generator)


@contextmanager
def drawing_from(generator: np.random.Generator) -> Iterator[None]:
    """Context in which all random numbers of this thread come from another generator."""
    before = vars(_of_thread).get("generator")
    _of_thread.generator = generator
    try:
        yield
    finally:
        if before is None:
            del _of_thread.generator
        else:
            _of_thread.generator = before


def state() -> dict[str, Any]:
    """The generator's state, as plain numbers that fit into JSON."""
    return dict(generator().bit_generator.state)


def load_state(state: dict[str, Any]) -> None:
    """Continue from a `state()`."""
    generator().bit_generator.state = state


def shared_state() -> list[Any]:
    """The states of NumPy's and Python's own generators, which tinydx leaves alone, but a user's code may draw from."""
    _, keys, *rest = np.random.get_state(legacy=True)
    _, words, gauss = standard.getstate()
    return [[keys, *rest], [np.array(words, np.uint64), gauss]]


def load_shared_state(state: list[Any]) -> None:
    """Continue from a `shared_state()`.

    >>> before = shared_state()
    >>> drawn = np.random.random(), standard.random()
    >>> load_shared_state(before)
    >>> drawn == (np.random.random(), standard.random())
    True
    """
    numpys, (words, gauss) = state
    np.random.set_state(("MT19937", *numpys))
    standard.setstate((3, tuple(int(word) for word in words), gauss))
