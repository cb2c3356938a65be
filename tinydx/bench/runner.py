"""One case on one backend: calls without arguments to time, and their results in the reference's layout to check first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tinydx.dispatch import Implementation, gradients_of
from tinydx.factored import multiplied_out

Arrays = tuple[np.ndarray | None, ...]


class Problem(NamedTuple):
    """What every backend computes: an op of arrays and constants, and for dy (None: no backward) the gradients needed."""

    arrays: Arrays
    constants: Mapping[str, Any]
    dy: Any
    needs: tuple[bool, ...]


@dataclass
class Runner:
    """One case on one backend: the calls to time, and functions that convert their results to lists of NumPy arrays.

    both is forward and backward in one; it returns gradients. Only gradients that the problem needs are among them.
    """

    forward: Callable[[], Any]
    backward: Callable[[], Any] | None
    both: Callable[[], Any] | None
    outputs: Callable[[Any], list]
    gradients: Callable[[Any], list]


class NotRun(Exception):
    """This backend cannot run this case; the message says why."""


def listed(y: Any) -> list:
    """Several outputs or one, as a list."""
    return list(y) if isinstance(y, tuple | list) else [y]


def run_implementation(implementation: Implementation, problem: Problem) -> Runner:
    """A Runner for the reference or a kernel; without backward where dy is None."""
    arrays, constants, dy, needs = problem

    def forward() -> Any:
        return implementation.forward(*arrays, **constants)[0]

    def backward() -> Any:
        return gradients_of(implementation, dy, saved, needs)

    def both() -> Any:
        return gradients_of(implementation, dy, implementation.forward(*arrays, **constants)[1], needs)

    def gradients(result: Any) -> list:
        """Those asked for: a kernel may return a factored one, one of a bias that was not given, and one that nobody needs."""
        found = zip(result, arrays, needs, strict=False)
        return [multiplied_out(g) for g, a, needed in found if a is not None and needed]

    if dy is None or implementation.backward is None:
        return Runner(forward, None, None, listed, gradients)
    _, saved = implementation.forward(*arrays, **constants)
    return Runner(forward, backward, both, listed, gradients)
