"""What a run does, in its order, while it is noted: calls of ops, and what layers make beside ops.

A layer that needs an array which no op computes has it made here: a mask, random numbers, the new value of a moving average.

    mask = made(lambda ids: ids != 0, ids)

computes the mask and nothing else. Where the run is noted, it also says how the mask follows from the ids, so that a plan
(`tinydx.training.planned`) can make it again from others. So `make` computes from its arguments, from shapes, and from attributes
of layers, whose change ends a plan: never from an array that it does not get as an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from tinydx import random


class Made(NamedTuple):
    """An array that was made beside ops: how, of which arrays and Tensors, and whether random numbers were drawn for it."""

    make: Callable[..., Any]
    sources: tuple[Any, ...]
    result: Any
    draws: bool


_steps: ContextVar[list[Any] | None] = ContextVar("steps", default=None)


@contextmanager
def noting() -> Iterator[list[Any]]:
    """Context whose run is noted: `with noting() as steps: ...` fills steps with the nodes of the tape, and what is `Made`."""
    steps: list[Any] = []
    token = _steps.set(steps)
    try:
        yield steps
    finally:
        _steps.reset(token)


def noted(step: Any) -> Any:
    """The step, noted."""
    steps = _steps.get()
    if steps is not None:
        steps.append(step)
    return step


def made(make: Callable[..., Any], *sources: Any) -> Any:
    """make(*arrays), an array that no op computes.

    Arguments: make; sources, what it takes: arrays, Tensors or None. One may be there only because it must be computed before.

    >>> import numpy as np
    >>> made(lambda ids: ids != 0, np.array([3, 0]))
    array([ True, False])
    """
    arrays = [s.data if hasattr(s, "record") else s for s in sources]
    if _steps.get() is None:
        return make(*arrays)
    before = random.state()
    result = make(*arrays)
    of = tuple(s if getattr(s, "node", None) else a for s, a in zip(sources, arrays, strict=True))
    return noted(Made(make, of, result, random.state() != before)).result
