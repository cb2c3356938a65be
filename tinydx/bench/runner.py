"""One case on one backend: calls without arguments to time, and their results in the reference's layout to check first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinydx.dispatch import Implementation, gradients_of
from tinydx.factored import multiplied_out

Arrays = tuple[np.ndarray | None, ...]


@dataclass
class Runner:
    """One case on one backend: the calls to time, and functions that convert their results to lists of NumPy arrays."""

    forward: Callable[[], Any]
    backward: Callable[[], Any] | None
    outputs: Callable[[Any], list]
    gradients: Callable[[Any], list]


class NotRun(Exception):
    """This backend cannot run this case; the message says why."""


def listed(y: Any) -> list:
    """Several outputs or one, as a list."""
    return list(y) if isinstance(y, tuple | list) else [y]


def run_implementation(implementation: Implementation, arrays: Arrays, constants: Mapping[str, Any], dy: Any) -> Runner:
    """A Runner for the reference or a kernel; without backward where dy is None."""

    def forward() -> Any:
        return implementation.forward(*arrays, **constants)[0]

    def backward() -> Any:
        return gradients_of(implementation, dy, saved, (True,) * len(arrays))

    def gradients(result: Any) -> list:
        """Gradients of the given arrays: a kernel may return a factored one, and one of a bias that was not given."""
        return [multiplied_out(g) for g, a in zip(result, arrays, strict=False) if a is not None]

    saved = None
    if dy is not None and implementation.backward is not None:
        _, saved = implementation.forward(*arrays, **constants)
        return Runner(forward, backward, listed, gradients)
    return Runner(forward, None, listed, gradients)
