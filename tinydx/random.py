"""One source of chance for the engine: initial weights, shuffling and dropout all draw from `generator()`."""

from __future__ import annotations

from typing import Any

import numpy as np

_generator = np.random.default_rng()


def set_seed(seed: int) -> None:
    """Start the engine's random numbers anew: the same seed gives the same bits on the same machine and thread count.

    Image generators take their own seed= for their own draws; without one they draw it from here.

    >>> set_seed(1); a = generator().random()
    >>> set_seed(1); a == generator().random()
    True
    """
    global _generator
    _generator = np.random.default_rng(seed)


def generator() -> np.random.Generator:
    """The generator that all draws come from."""
    return _generator


def state() -> dict[str, Any]:
    """The generator's state, as plain numbers that fit into JSON."""
    return dict(_generator.bit_generator.state)


def load_state(state: dict[str, Any]) -> None:
    """Go on where `state` was taken."""
    _generator.bit_generator.state = state
