"""Which implementation of an op runs: the NumPy reference, a Numba kernel, or a CUDA kernel.

    an array is on a GPU            cuda
    use("numpy" | "numba" | "cuda") that one
    otherwise                       numba where it has a kernel for these arrays, else numpy

Kernels register themselves when their package is imported, which the first op that runs brings about; this file names
the packages, and imports no kernel. `trace` tells what ran.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

from tinydx.device import on_device

BACKENDS = ("numpy", "numba", "cuda")
_KERNEL_PACKAGES = {"numba": "tinydx_kernels.cpu", "cuda": "tinydx_kernels.cuda"}
_INSTALL = {"numba": "pip install numba", "cuda": "pip install 'tinydx[cuda13]'"}


@dataclass(frozen=True)
class Implementation:
    """One way to compute an op: the NumPy reference, or a kernel.

    forward and backward have the reference's signatures. What else a kernel brings stands in its file, too:
    supports(*arrays, **constants) says which calls it takes; in_place, of an update rule, writes into its arrays instead
    of making new ones; samples(draw) draws inputs for its tests, around the sizes where the kernel changes its way;
    warm lists (shapes of the arrays, constants) that together compile every variant of it.
    """

    backend: str
    forward: Callable[..., tuple]
    backward: Callable[..., tuple] | None
    supports: Callable[..., bool] = lambda *arrays, **constants: True
    in_place: Callable[..., None] | None = None
    samples: Callable[[Any], tuple[tuple, dict]] | None = None
    warm: Sequence[tuple[tuple, dict[str, Any]]] = ()


def gradients_of(implementation: Implementation, dy: Any, saved: Any, needs: tuple[bool, ...]) -> tuple:
    """Call a backward; one that takes a third argument is told which gradients are needed."""
    backward = implementation.backward
    assert backward is not None
    return backward(dy, saved, needs) if _takes_needs(backward) else backward(dy, saved)


@functools.cache  # asked in every step for every op
def _takes_needs(backward: Callable) -> bool:
    return "needs" in inspect.signature(backward).parameters


# ---- the user's choice -----------------------------------------------------------------------------------------------


@dataclass
class _Choice:
    backend: str | None = None  # None: numba where it has a kernel, else numpy
    strict: bool = False
    fused: bool = True
    graph: bool = True
    trace: list[tuple[str, str]] | None = None


_choice = _Choice()


class use:
    """Choose the implementation: `tinydx.use("numpy")` from now on, or `with tinydx.use("numpy"): ...`.

    Arguments: backend "numpy", "numba", "cuda" (models move to the GPU and stay there) or "auto"; strict=True raises
    LookupError where that backend has no kernel for an op, instead of falling back to NumPy; fused=False: models run layer
    by layer, never two at once; graph=False: on a GPU each kernel is launched by itself, never a captured step at once.
    Raises ValueError for another name, ImportError (with the command that installs it) for a backend that is missing.

    >>> import numpy as np, tinydx
    >>> with tinydx.use("numpy"), tinydx.trace() as ran:
    ...     y = tinydx.ops.relu(np.array([-1.0, 2.0]))
    >>> ran
    [('relu', 'numpy')]
    """

    def __init__(self, backend: str, strict: bool = False, fused: bool = True, graph: bool = True):
        if backend not in (*BACKENDS, "auto"):
            raise ValueError(f"use({backend!r}): no such backend; choose from numpy, numba, cuda, auto")
        if backend in _KERNEL_PACKAGES and (strict or backend == "cuda"):
            _require(backend)
        self._before = (_choice.backend, _choice.strict, _choice.fused, _choice.graph)
        self._set(None if backend == "auto" else backend, strict, fused, graph)

    @staticmethod
    def _set(backend: str | None, strict: bool, fused: bool, graph: bool) -> None:
        _choice.backend, _choice.strict, _choice.fused, _choice.graph = backend, strict, fused, graph

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._set(*self._before)


@contextmanager
def trace() -> Iterator[list[tuple[str, str]]]:
    """List which implementation ran each op: `with tinydx.trace() as ran: ...` gives [(op, backend), ...]."""
    before, _choice.trace = _choice.trace, []
    try:
        yield _choice.trace
    finally:
        _choice.trace = before


def choose(op: Any, arrays: tuple, constants: Mapping[str, Any]) -> Implementation:
    """The implementation of an `Op` that runs on these arrays and constants, noted in the trace if there is one.

    Raises LookupError under use(..., strict=True) where only the NumPy reference is left.
    """
    chosen = _kernel(op, arrays, constants) or op.reference
    if _choice.strict and chosen.backend == "numpy" != _choice.backend:
        shapes = ", ".join(str(getattr(a, "shape", a)) for a in arrays)
        raise LookupError(f"{op.name}: no {_choice.backend or 'numba'} kernel for {shapes} {dict(constants)}")
    if _choice.trace is not None:
        _choice.trace.append((op.name, chosen.backend))
    return chosen


def can_fuse(op: Any, arrays: tuple, constants: Mapping[str, Any]) -> bool:
    """Whether a composed op has a kernel for these arrays, on this machine and under the current `use`."""
    return _choice.fused and _kernel(op, arrays, constants) is not None


def asked_for_device() -> bool | None:
    """Whether `use` asked for a GPU, or for none; None where it said nothing, or where the CUDA kernels are emulated."""
    if _choice.backend != "cuda":
        return None if _choice.backend is None else False
    return None if sys.modules[_KERNEL_PACKAGES["cuda"]].emulating() else True


def may_capture() -> bool:
    """Whether a step on a GPU may become a graph."""
    return _choice.graph and _choice.trace is None


def _kernel(op: Any, arrays: tuple, constants: Mapping[str, Any]) -> Implementation | None:
    backend = "cuda" if any(on_device(a) for a in arrays) else _choice.backend or "numba"
    if backend == "numpy":
        return None
    load_kernels(backend)
    kernel = op.kernels.get(backend)
    return kernel if kernel and kernel.supports(*arrays, **constants) else None


# ---- kernel packages -------------------------------------------------------------------------------------------------

_loaded: dict[str, str | None] = {}


def load_kernels(backend: str) -> str | None:
    """Import a backend's kernels once; returns None, or why they cannot be imported."""
    if backend not in _loaded:
        _loaded[backend] = None
        try:
            importlib.import_module(_KERNEL_PACKAGES[backend])
        except ImportError as error:
            _loaded[backend] = str(error)
    return _loaded[backend]


def _require(backend: str) -> None:
    """ImportError, with what to install, unless the backend can run here."""
    reason = load_kernels(backend)
    if reason:
        raise ImportError(f"use({backend!r}): {reason}; {_INSTALL[backend]}")
    missing = getattr(sys.modules[_KERNEL_PACKAGES[backend]], "missing", None)  # CUDA launchers load without CuPy
    if missing and (lacks := missing()):
        raise ImportError(f"use({backend!r}): {lacks}")
