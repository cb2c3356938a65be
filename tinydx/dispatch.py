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


@dataclass
class _Choice:
    """What `use` and `trace` have set."""

    backend: str | None = None  # None: numba where it has a kernel, else numpy
    strict: bool = False
    fused: bool = True
    graph: bool = True
    trace: list[tuple[str, str]] | None = None


_choice = _Choice()


class use:
    """Choose the implementation: `tinydx.use("numpy")` from now on, or `with tinydx.use("numpy"): ...`.

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
    """List which implementation ran each op: `with tinydx.trace() as ran: ...` fills ran with (op, backend) pairs."""
    before, _choice.trace = _choice.trace, []
    try:
        yield _choice.trace
    finally:
        _choice.trace = before


def choose(op: Any, arrays: tuple, constants: Mapping[str, Any]) -> Implementation:
    """The implementation of an op that runs for these arrays and constants; the trace lists it.

    Raises: LookupError under use(..., strict=True) where only the NumPy reference is left.
    """
    if kernel := choose_kernel(op, arrays, constants):
        return kernel
    if _choice.strict and _choice.backend != "numpy":
        shapes = ", ".join(str(getattr(a, "shape", a)) for a in arrays)
        raise LookupError(f"{op.name}: no {_choice.backend or 'numba'} kernel for {shapes} {dict(constants)}")
    return _traced(op, op.reference)


def choose_kernel(op: Any, arrays: tuple, constants: Mapping[str, Any]) -> Implementation | None:
    """The kernel that runs for these arrays and constants; None, untraced, where there is none."""
    backend = "cuda" if any(on_device(a) for a in arrays) else _choice.backend or "numba"
    if backend == "numpy":
        return None
    load_kernels(backend)
    kernel = op.kernels.get(backend)
    return _traced(op, kernel) if kernel and kernel.supports(*arrays, **constants) else None


def _traced(op: Any, chosen: Implementation) -> Implementation:
    if _choice.trace is not None:
        _choice.trace.append((op.name, chosen.backend))
    return chosen


def unfused() -> use:
    """The choice as it stands, but models run layer by layer: `with unfused(): ...`."""
    return use(_choice.backend or "auto", _choice.strict, False, _choice.graph)


def may_fuse() -> bool:
    """Whether models may run several layers as one op."""
    return _choice.fused


def asked_for_device() -> bool | None:
    """Whether `use` asked for a GPU; None where it left the choice open, or where the CUDA kernels are emulated."""
    if _choice.backend != "cuda":
        return None if _choice.backend is None else False
    return None if sys.modules[_KERNEL_PACKAGES["cuda"]].emulating() else True


def may_capture() -> bool:
    """Whether a training step on a GPU may be captured as a graph."""
    return _choice.graph and _choice.trace is None


# ---- kernel packages -------------------------------------------------------------------------------------------------

_loaded: dict[str, str | None] = {}


def load_kernels(backend: str) -> str | None:
    """Import a backend's kernels, once.

    Arguments: backend, "numba" or "cuda".
    Returns: None, or the reason why they cannot be imported.
    """
    if backend not in _loaded:
        try:
            importlib.import_module(_KERNEL_PACKAGES[backend])
            _loaded[backend] = None
        except ImportError as error:
            _loaded[backend] = str(error)
    return _loaded[backend]


def _require(backend: str) -> None:
    """ImportError, with what to install, unless the backend can run on this machine."""
    reason = load_kernels(backend)
    if reason:
        raise ImportError(f"use({backend!r}): {reason}; {_INSTALL[backend]}")
    missing = getattr(sys.modules.get(_KERNEL_PACKAGES[backend]), "missing", None)  # CUDA launchers load without CuPy
    if missing and (lacks := missing()):
        raise ImportError(f"use({backend!r}): {lacks}")
