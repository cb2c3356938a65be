"""How each backend runs a case: the NumPy reference, the kernels of the table, and PyTorch as a peer.

A backend turns a case into a `Runner`. To add a backend, add a row to BACKENDS.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from tinydx import dispatch
from tinydx.bench import machine
from tinydx.bench.runner import NotRun, Problem, Runner, run_implementation
from tinydx.op import Op
from tinydx.suggestions import did_you_mean


@dataclass
class Backend:
    """A way to run an op.

    Arguments: name; label, its name in results; missing, returns why it is not available, or None; prepare, makes a Runner
    for a Problem of an op; ours, True for tinydx's side, which the verdicts are about.
    """

    name: str
    label: Callable[[], str]
    missing: Callable[[], str | None]
    prepare: Callable[[Op, Problem], Runner]
    ours: bool = False


# ---- implementations of the table ----------------------------------------------------------------------------------


def _prepare_numpy(op: Op, problem: Problem) -> Runner:
    return run_implementation(op.reference, problem)


def _prepare_tinydx(op: Op, problem: Problem) -> Runner:
    """Whatever a model would run: the kernel where there is one for this case, else NumPy."""
    return run_implementation(dispatch.choose(op, problem.arrays, problem.constants), problem)


def _prepare_numba(op: Op, problem: Problem) -> Runner:
    dispatch.load_kernels("numba")
    kernel = op.kernels.get("numba")
    if kernel is None:
        raise NotRun(f"{op.name} has no Numba kernel")
    if not kernel.supports(*problem.arrays, **problem.constants):
        raise NotRun("the Numba kernel does not support this case")
    return run_implementation(kernel, problem)


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


def _prepare_torch(op: Op, problem: Problem) -> Runner:
    from tinydx.bench.peers import PEERS  # imports PyTorch

    if op.name not in PEERS:
        raise NotRun(f"no PyTorch counterpart is listed for {op.name}")
    return PEERS[op.name](problem)


def _prepare_torch_contiguous(op: Op, problem: Problem) -> Runner:
    from tinydx.bench.peers import contiguous

    if problem.arrays[0] is None or problem.arrays[0].ndim != 4:
        raise NotRun("no images: the same as torch")
    with contiguous():
        return _prepare_torch(op, problem)


BACKENDS = {
    b.name: b
    for b in (
        Backend("numpy", lambda: "numpy (reference)", lambda: None, _prepare_numpy),
        Backend("numba", machine.kernels, _missing_numba, _prepare_numba, ours=True),
        Backend("torch", lambda: "torch", missing_torch, _prepare_torch),
        Backend("tinydx", lambda: "tinydx", lambda: None, _prepare_tinydx, ours=True),
        Backend("torch_contiguous", lambda: "torch, contiguous", missing_torch, _prepare_torch_contiguous),
    )
}
OF_OP, OF_SHAPES = ["numpy", "numba", "torch"], ["tinydx", "torch", "torch_contiguous"]  # which run where none are named


def backends(names: list[str]) -> list[Backend]:
    """The backends of these names; ValueError with close matches for an unknown name."""
    for name in names:
        if name not in BACKENDS:
            raise ValueError(f"no backend named {name!r}{did_you_mean(name, BACKENDS)}")
    return [BACKENDS[name] for name in dict.fromkeys(names)]
