"""A piece of work tells what it is, so that the kernels it needs can be compiled together before it goes on.

The first kernel that is not compiled yet has the work rehearsed: it runs on zeros, while kernels only say that they were called.
`kernels/cpu/ahead.py` then compiles them all, on all cores. Where nothing is to be compiled, nothing is rehearsed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

work: ContextVar[Callable[[], object] | None] = ContextVar("tinydx.rehearsal", default=None)


@contextmanager
def of(rehearse: Callable[[], object]) -> Iterator[None]:
    """Say what the block does: rehearse() does the same on zeros, and changes nothing.

    >>> with of(lambda: print("a step on zeros")):
    ...     work.get()()
    a step on zeros
    """
    token = work.set(rehearse)
    try:
        yield
    finally:
        work.reset(token)
