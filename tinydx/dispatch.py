"""Which implementation of an op runs: the NumPy reference, a Numba kernel, or a CUDA kernel.

    an array is on a GPU            cuda
    use("numpy" | "numba" | "cuda") that one
    otherwise                       numba where it has a kernel for these arrays, else numpy

This file only names the packages of kernels; the first op that runs imports the package it needs, whose kernels register
themselves. `trace` lists what ran.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Self

from tinydx.device import any_on_device

BACKENDS = ("numpy", "numba", "cuda")
_KERNEL_PACKAGES = {"numba": "tinydx_kernels.cpu", "cuda": "tinydx_kernels.cuda"}
_INSTALL = {"numba": "pip install numba", "cuda": "pip install 'tinydx[cuda13]'"}


@dataclass(frozen=True)
class Implementation:
    """One way to compute an op: the NumPy reference, or a kernel.

    forward and backward have the reference's signatures. A kernel's file states the rest: supports(*arrays, **constants),
    which calls it takes; in_place, for an update rule, which writes into its arrays instead of making new ones;
    samples(draw), inputs for its tests, around the sizes where the kernel changes its way; warm, pairs (shapes of the
    arrays, constants) that together compile every variant.
    """

    backend: str
    forward: Callable[..., tuple]
    backward: Callable[..., tuple] | None
    supports: Callable[..., bool] = lambda *arrays, **constants: True
    in_place: Callable[..., None] | None = None
    samples: Callable[[Any], tuple[tuple, dict]] | None = None
    warm: Sequence[tuple[tuple, dict[str, Any]]] = ()


def gradients_of(implementation: Implementation, dy: Any, saved: Any, needs: tuple[bool, ...]) -> tuple:
    """The gradients that an implementation's backward returns.

    Arguments: dy, the gradient of the output; saved, what the forward returned beside y; needs, for each array whether its
    gradient is needed, which only a backward with a third parameter is told.
    Returns: one gradient per array.
    """
    backward = implementation.backward
    assert backward is not None
    return backward(dy, saved, needs) if _takes_needs(backward) else backward(dy, saved)


@functools.cache  # called in every step for every op
def _takes_needs(backward: Callable) -> bool:
    return "needs" in inspect.signature(backward).parameters


# ---- the user's choice -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Choice:
    """What `use` has set."""

    backend: str | None = None  # None: numba where it has a kernel, else numpy
    strict: bool = False
    fused: bool = True
    graph: bool = True
    ends: bool = False  # with the block of a `with use(...)`


_default = _Choice()  # of the process: what holds where no `use` was called
_own: ContextVar[_Choice | None] = ContextVar("tinydx.use", default=None)  # of a thread, or of an asyncio task
_trace: ContextVar[list[tuple[str, str]] | None] = ContextVar("tinydx.trace", default=None)


def _chosen() -> _Choice:
    return _own.get() or _default


class use:
    """Choose the implementation: `tinydx.use("numpy")` from now on, or `with tinydx.use("numpy"): ...` for a block.

    A block holds for its own thread. Without a block, the main thread chooses for all threads that have not chosen themselves,
    any other thread for itself alone; inside a block, such a choice ends with the block.

    Arguments: backend, "numpy", "numba", "cuda" (models move to the GPU and stay there) or "auto"; strict=True raises
    LookupError where that backend has no kernel for an op, instead of falling back to NumPy; fused=False runs models layer
    by layer, without fused kernels; graph=False launches each kernel of a training step on a GPU by itself, instead of
    replaying a captured graph.
    Raises: ValueError for an unknown name; ImportError, with the command that installs it, for a missing backend.

    >>> import numpy as np, tinydx
    >>> with tinydx.use("numpy"), tinydx.trace() as ran:
    ...     y = tinydx.ops.relu(np.array([-1.0, 2.0]))
    >>> ran
    [('relu', 'numpy')]
    """

    _for_all = False  # whether it becomes the choice of the process: not if it begins a block or lies in one

    def __init__(self, backend: str, strict: bool = False, fused: bool = True, graph: bool = True):
        if backend not in (*BACKENDS, "auto"):
            raise ValueError(f"use({backend!r}): no such backend; choose from numpy, numba, cuda, auto")
        if backend in _KERNEL_PACKAGES and (strict or backend == "cuda"):
            _require(backend)
        self._before = _own.get()
        self._choice = _Choice(None if backend == "auto" else backend, strict, fused, graph, _inside(self._before))
        _own.set(self._choice)
        self._for_all = not self._choice.ends and threading.current_thread() is threading.main_thread()

    def __enter__(self) -> Self:
        self._for_all = False
        _own.set(replace(self._choice, ends=True))
        return self

    def __exit__(self, *exc: object) -> None:
        _own.set(self._before)

    def __del__(self) -> None:
        """A statement drops its object at once, a block keeps it: so another thread never sees the choice of a block."""
        if self._for_all:
            global _default
            _default = self._choice


def _inside(choice: _Choice | None) -> bool:
    return choice is not None and choice.ends


@contextmanager
def trace() -> Iterator[list[tuple[str, str]]]:
    """List which implementation ran each op: `with tinydx.trace() as ran: ...` fills ran with (op, backend) pairs.

    It lists the ops of its own thread.
    """
    before = _trace.get()
    ran: list[tuple[str, str]] = []
    _trace.set(ran)
    try:
        yield ran
    finally:
        _trace.set(before)


def choose(op: Any, arrays: tuple, constants: Mapping[str, Any]) -> Implementation:
    """The implementation of an op that runs for these arrays and constants; the trace lists it.

    Raises: LookupError under use(..., strict=True) where only the NumPy reference is left.
    """
    if kernel := choose_kernel(op, arrays, constants):
        return kernel
    choice = _chosen()
    if choice.strict and choice.backend != "numpy":
        shapes = ", ".join(str(getattr(a, "shape", a)) for a in arrays)
        raise LookupError(f"{op.name}: no {choice.backend or 'numba'} kernel for {shapes} {dict(constants)}")
    return _traced(op, op.reference)


def choose_kernel(op: Any, arrays: tuple, constants: Mapping[str, Any]) -> Implementation | None:
    """The kernel that runs for these arrays and constants; None, untraced, where there is none."""
    backend = "cuda" if any_on_device(arrays) else _chosen().backend or "numba"
    if backend == "numpy":
        return None
    if load_kernels(backend) is not None:
        _say(backend)
        return None
    kernel = op.kernels.get(backend)
    if kernel is None or not kernel.supports(*arrays, **constants):
        return None
    if before_kernel is not None:
        before_kernel()
    return _traced(op, kernel)


def _traced(op: Any, chosen: Implementation) -> Implementation:
    if (ran := _trace.get()) is not None:
        ran.append((op.name, chosen.backend))
    return chosen


def unfused() -> use:
    """The choice as it stands, but models run layer by layer: `with unfused(): ...`."""
    chosen = _chosen()
    return use(chosen.backend or "auto", chosen.strict, False, chosen.graph)


def may_fuse() -> bool:
    """Whether models may run several layers as one op."""
    return _chosen().fused


def asked_for_device() -> bool | None:
    """Whether `use` asked for a GPU; None where it left the choice open, or where the CUDA kernels are emulated."""
    backend = _chosen().backend
    if backend != "cuda":
        return None if backend is None else False
    return None if sys.modules[_KERNEL_PACKAGES["cuda"]].emulating() else True


def untraced_choice() -> _Choice | None:
    """What `use` has set; None while somebody traces: then ops run one by one, and neither by a plan nor by a captured graph."""
    return _chosen() if _trace.get() is None else None


# ---- kernel packages -------------------------------------------------------------------------------------------------

_loaded: dict[str, str | None] = {}
_unsaid: set[str] = set()  # backends whose kernels cannot run although they are installed; the next op says so
before_kernel: Callable[[], None] | None = None  # `set_threads` has each thread follow its number so


def load_kernels(backend: str) -> str | None:
    """Import a backend's kernels, once.

    Arguments: backend, "numba" or "cuda".
    Returns: None, or the reason why they cannot run, with what to do.
    """
    if backend not in _loaded:
        try:
            importlib.import_module(_KERNEL_PACKAGES[backend])
            _loaded[backend] = None
        except ModuleNotFoundError as error:
            _loaded[backend] = f"{error}: {_INSTALL[backend]}"
        except ImportError as error:
            give_up(backend, str(error))
    return _loaded[backend]


def give_up(backend: str, reason: str) -> None:
    """Use a backend's kernels no more in this process; the next op that they would run prints the reason."""
    _loaded[backend] = reason
    _unsaid.add(backend)


def _say(backend: str) -> None:
    if backend in _unsaid:
        _unsaid.discard(backend)
        print(f"tinydx: NumPy runs what {backend}'s kernels would, slower: {_loaded[backend]}", file=sys.stderr, flush=True)


def _require(backend: str) -> None:
    """ImportError, with what to do, unless the backend can run on this machine."""
    if reason := load_kernels(backend):
        raise ImportError(f"use({backend!r}): {reason}")
    missing = getattr(sys.modules.get(_KERNEL_PACKAGES[backend]), "missing", None)  # CUDA launchers load without CuPy
    if missing and (lacks := missing()):
        raise ImportError(f"use({backend!r}): {lacks}")
