"""How each backend runs a case: the NumPy reference, the kernels of the table, and PyTorch as a peer.

A backend turns a case into a `Runner`: forward and backward as calls without arguments, ready to be timed, and functions
that convert their results to NumPy arrays in the reference's layout, so that they can be checked first. To add a backend,
add a row to BACKENDS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from tinydx import dispatch
from tinydx.bench import machine
from tinydx.dispatch import Implementation, gradients_of
from tinydx.factored import multiplied_out
from tinydx.op import Op
from tinydx.suggestions import did_you_mean

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


@dataclass
class Backend:
    """A way to run an op.

    Arguments: name; label, its name in results; missing, returns why it is not available, or None; prepare, makes a Runner
    from (op, arrays, constants, dy); ours, True for the table's kernels, which the verdicts are about.
    """

    name: str
    label: Callable[[], str]
    missing: Callable[[], str | None]
    prepare: Callable[[Op, Arrays, Mapping[str, Any], Any], Runner]
    ours: bool = False


def listed(y: Any) -> list:
    """Several outputs or one, as a list."""
    return list(y) if isinstance(y, tuple | list) else [y]


# ---- implementations of the table ----------------------------------------------------------------------------------


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


def _prepare_numpy(op: Op, arrays: Arrays, constants: Mapping[str, Any], dy: Any) -> Runner:
    return run_implementation(op.reference, arrays, constants, dy)


def _prepare_numba(op: Op, arrays: Arrays, constants: Mapping[str, Any], dy: Any) -> Runner:
    dispatch.load_kernels("numba")
    kernel = op.kernels.get("numba")
    if kernel is None:
        raise NotRun(f"{op.name} has no Numba kernel")
    if not kernel.supports(*arrays, **constants):
        raise NotRun("the Numba kernel does not support this case")
    return run_implementation(kernel, arrays, constants, dy)


def _missing_numba() -> str | None:
    if find_spec("numba") is None:
        return "not installed: pip install numba"
    return dispatch.load_kernels("numba")


# ---- PyTorch -------------------------------------------------------------------------------------------------------


def missing_torch() -> str | None:
    """How to install PyTorch, or None where it is installed."""
    if find_spec("torch") is None:
        return "not installed: pip install torch --index-url https://download.pytorch.org/whl/cpu"
    return None


def _prepare_torch(op: Op, arrays: Arrays, constants: Mapping[str, Any], dy: Any) -> Runner:
    from tinydx.bench.peers import PEERS

    if op.name not in PEERS:
        raise NotRun(f"no PyTorch counterpart is listed for {op.name}")
    return PEERS[op.name](arrays, constants, dy)


BACKENDS = {
    b.name: b
    for b in (
        Backend("numpy", lambda: "numpy (reference)", lambda: None, _prepare_numpy),
        Backend("numba", machine.kernels, _missing_numba, _prepare_numba, ours=True),
        Backend("torch", lambda: "torch", missing_torch, _prepare_torch),
    )
}


def backends(names: list[str] | None) -> list[Backend]:
    """The backends of these names, or all; ValueError with close matches for an unknown name."""
    for name in names or []:
        if name not in BACKENDS:
            raise ValueError(f"no backend named {name!r}{did_you_mean(name, BACKENDS)}")
    return [BACKENDS[name] for name in dict.fromkeys(names or BACKENDS)]
