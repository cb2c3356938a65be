"""The engine's random numbers: initial weights, shuffling and dropout all draw from `generator()`."""

from __future__ import annotations

from typing import Any

import numpy as np

_generator = np.random.default_rng()


def set_seed(seed: int) -> None:
    """Seed the engine's random numbers: the same seed gives the same bits on the same machine and number of threads.

    An image generator has its own seed; without one it draws a seed from this generator.

    >>> set_seed(1); a = generator().random()
    >>> set_seed(1); a == generator().random()
    True
    """
    global _generator
    _generator = np.random.default_rng(seed)


def generator() -> np.random.Generator:
    """The generator that all random numbers come from."""
    return _generator


def state() -> dict[str, Any]:
    """The generator's state, as plain numbers that fit into JSON."""
    return dict(_generator.bit_generator.state)


def load_state(state: dict[str, Any]) -> None:
    """Continue from a `state()`."""
    _generator.bit_generator.state = state
