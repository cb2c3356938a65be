"""`tinydx bench OP` and `tinydx bench shapes`: backends run each case, are checked against the reference, and are then timed.

The result is a dict for JSON: the machine, the roofs, and one row for every case, direction, number of threads and backend,
with its raw samples. results.py computes everything else from them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np

from tinydx.bench import machine
from tinydx.bench.backends import OF_OP, OF_SHAPES, Backend, backends
from tinydx.bench.cases import BOTH, Case, cases_of, make_arrays, make_cotangent, operations, traffic
from tinydx.bench.measure import PAUSE, ROUNDS, interleave, time_once
from tinydx.bench.roofs import measure_roofs
from tinydx.bench.runner import NotRun, Problem, Runner, listed
from tinydx.bench.shapes import teaching_cases
from tinydx.dispatch import gradients_of
from tinydx.op import Op, find

TOLERANCE = 1e-4  # largest difference from the float64 reference, relative to the reference's largest number
DIRECTIONS = ("forward", "backward")


class Timing(NamedTuple):
    """Numbers of threads to measure with (default: all cores), seconds of measuring for each row, and its number of samples."""

    threads: list[int] | None = None
    seconds: float = 0.25
    rounds: int = ROUNDS


def compare(
    name: str,
    shapes: list[str] | None = None,
    only: list[str] | None = None,
    timing: Timing = Timing(),  # noqa: B008
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Measure an op of the table.

    Arguments: name of the op; shapes, cases as on the command line (default: those of CASES); only, the names of the
    backends (default: OF_OP); timing; say, called with each line of progress.
    Returns: the result, for folder.save and results.py.
    Raises: ValueError for unknown names, and for shapes that cannot be read or that the op refuses.
    """
    op = find(name)
    tasks = [(op, case) for case in cases_of(op, shapes)]
    return _compare({"kind": "op", "op": name}, tasks, backends(only or OF_OP), DIRECTIONS, timing, say)


def compare_shapes(
    only: list[str] | None = None,
    timing: Timing = Timing(),  # noqa: B008
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Measure teaching shapes of many ops, forward and backward in one, against PyTorch with images in either order.

    Arguments: only, families of shapes.py (default: all); timing; say, called with each line of progress.
    Returns: the result, for folder.save and results.py.
    Raises: ValueError for an unknown family.
    """
    return _compare({"kind": "shapes"}, teaching_cases(only), backends(OF_SHAPES), (BOTH,), timing, say)


def _compare(
    head: dict[str, Any],
    tasks: Sequence[tuple[Op, Case]],
    asked: list[Backend],
    directions: tuple[str, ...],
    timing: Timing,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """The result: the head, the machine, and a row for every task, direction, number of threads and backend."""
    counts = machine.checked_threads(timing.threads)
    if any(b.name.startswith("torch") for b in asked) and find_spec("torch"):
        import torch  # before our kernels: they make OpenMP libraries that load later put waiting threads to sleep

        assert torch
    missing = {b.name: reason for b in asked if (reason := b.missing())}
    present = [b for b in asked if b.name not in missing]
    run: dict[str, Any] = {
        **head,
        "command": " ".join(["tinydx", *sys.argv[1:]]),
        "machine": machine.describe(),
        "seconds": timing.seconds,
        "tolerance": TOLERANCE,
        "missing": missing,
        "roofs": {},
        "rows": [],
    }
    for n in counts:
        with machine.threads(n):
            run["roofs"][str(n)] = measure_roofs()
    for number, (op, case) in enumerate(tasks, 1):
        say(f"{op.name} {number}/{len(tasks)}: {case.text}")
        run["rows"] += _measure_case(op, case, present, directions, timing._replace(threads=counts))
    return run


def _measure_case(op: Op, case: Case, present: list[Backend], directions: tuple[str, ...], timing: Timing) -> list[dict]:
    """The rows of one case: every direction, number of threads and backend."""
    arrays, constants = make_arrays(op, case)
    truth = _Truth(op, arrays, constants, case)
    rows = []
    for direction in directions if truth.problem.dy is not None else ("forward",):
        work = {
            "op": op.name,
            "case": case.text,
            "shapes": [None if a is None else list(a.shape) for a in arrays],
            "direction": direction,
            "flops": operations(op, direction, arrays, constants),
            "bytes": traffic(op, direction, arrays, constants, truth.y32),
        }
        for n in timing.threads or ():
            with machine.threads(n):
                found = [_check(b, op, truth, direction) for b in present]
                _time(found, timing.seconds, timing.rounds, PAUSE if n > 1 else 0.0)
            rows += [{**work, "threads": n, **row} for row, _ in found]
    return rows


class _Truth:
    """The float64 reference of a case: the problem in float32, its outputs, and its gradients."""

    def __init__(self, op: Op, arrays: tuple, constants: Mapping[str, Any], case: Case):
        wide = tuple(None if a is None else np.float64(a) for a in arrays)
        try:
            y, saved = op.forward(*wide, **_widened(constants))
        except (ValueError, TypeError, IndexError) as error:
            raise ValueError(f"{op.name} refuses {case.text!r}: {error}") from None
        self.outputs = listed(y)
        self.y32 = tuple(map(np.float32, y)) if isinstance(y, tuple) else np.float32(y)
        needs, dy32, self.gradients = (not case.first, *[True] * (len(arrays) - 1)), None, []
        if op.backward is not None:
            dy32 = make_cotangent(op, arrays, constants, self.y32)
            dy = tuple(map(np.float64, dy32)) if isinstance(dy32, tuple) else np.float64(dy32)
            found = zip(gradients_of(op.reference, dy, saved, needs), arrays, needs, strict=False)
            self.gradients = [g for g, a, needed in found if a is not None and g is not None and needed]
        self.problem = Problem(arrays, constants, dy32, needs)

    def of(self, direction: str) -> list:
        """The arrays that a backend must return in this direction."""
        return self.outputs if direction == "forward" else self.gradients


def _widened(constants: Mapping[str, Any]) -> dict[str, Any]:
    return {k: np.float64(v) if isinstance(v, np.ndarray) and v.dtype.kind == "f" else v for k, v in constants.items()}


def _check(backend: Backend, op: Op, truth: _Truth, direction: str) -> tuple[dict[str, Any], Callable | None]:
    """Run a backend once; returns its row so far, and the call to time (None where it is wrong or cannot run)."""
    row: dict[str, Any] = {"backend": backend.name, "label": backend.label(), "ours": backend.ours, "seconds": []}
    try:
        runner = backend.prepare(op, truth.problem)
        call, read = _parts(runner, direction)
        row["first_call"], result = time_once(call)
        got = [g for g in read(result) if g is not None]
    except NotRun as reason:
        return {**row, "note": str(reason)}, None
    except (RuntimeError, ValueError, TypeError) as error:  # a peer may refuse a case: go on with the others
        return {**row, "note": f"failed: {' '.join(str(error).split())}"}, None
    row["error"] = largest_error(got, truth.of(direction))
    if not row["error"] <= TOLERANCE:
        return {**row, "note": f"wrong: differs from the reference by {row['error']:.1e}, not timed"}, None
    return row, call


def _parts(runner: Runner, direction: str) -> tuple[Callable, Callable]:
    if direction == "forward":
        return runner.forward, runner.outputs
    call = runner.both if direction == BOTH else runner.backward
    if call is None:
        raise NotRun("has no backward")
    return call, runner.gradients


def largest_error(got: list, truth: list) -> float:
    """The largest difference from the truth, relative to each array's largest number; infinite where shapes differ."""
    if len(got) != len(truth) or any(np.shape(g) != np.shape(t) for g, t in zip(got, truth, strict=True)):
        return float("inf")
    errors = [_error(np.asarray(g), np.asarray(t)) for g, t in zip(got, truth, strict=True)]
    return max(errors, default=0.0)


def _error(got: np.ndarray, truth: np.ndarray) -> float:
    if not truth.size:
        return 0.0
    scale = float(np.abs(truth).max()) or 1.0
    error = float(np.abs(got - truth).max()) / scale
    return error if np.isfinite(error) else float("inf")


def _time(found: list[tuple[dict, Callable | None]], seconds: float, rounds: int, pause: float) -> None:
    """Time the calls in turn, and add the samples to their rows."""
    calls = {row["backend"]: call for row, call in found if call is not None}
    for name, samples in interleave(calls, seconds, rounds, pause).items():
        next(row for row, _ in found if row["backend"] == name)["seconds"] = samples
