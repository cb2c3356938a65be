"""How each backend runs a case: the NumPy reference, the kernels of the table, and PyTorch as a peer.

A backend turns a case into a `Runner`. To add a backend, add a row to BACKENDS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from tinydx import dispatch
from tinydx.bench import machine
from tinydx.bench.runner import Arrays, NotRun, Runner, run_implementation
from tinydx.op import Op
from tinydx.suggestions import did_you_mean


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


# ---- implementations of the table ----------------------------------------------------------------------------------


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
    from tinydx.bench.peers import PEERS  # imports PyTorch

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
