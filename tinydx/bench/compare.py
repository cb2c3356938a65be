"""`tinydx bench OP`: each backend runs each case, is checked against the reference in float64, and is then timed.

The result is a dict for JSON: the machine, the roofs, and one row for every case, direction, number of threads and backend,
with its raw samples. results.py computes everything else from them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinydx.bench import machine
from tinydx.bench.backends import Backend, backends
from tinydx.bench.cases import Case, cases_of, make_arrays, make_cotangent, operations, traffic
from tinydx.bench.measure import PAUSE, ROUNDS, interleave, time_once
from tinydx.bench.roofs import measure_roofs
from tinydx.bench.runner import NotRun, Runner, listed
from tinydx.dispatch import gradients_of
from tinydx.op import Op, find

TOLERANCE = 1e-4  # largest difference from the float64 reference, relative to the reference's largest number
DIRECTIONS = ("forward", "backward")


def compare(
    name: str,
    shapes: list[str] | None = None,
    only: list[str] | None = None,
    threads: list[int] | None = None,
    seconds: float = 0.25,
    rounds: int = ROUNDS,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Measure an op of the table.

    Arguments: name of the op; shapes, cases as on the command line (default: those of CASES); only, the names of the
    backends (default: all); threads, the numbers of threads to measure with (default: all cores); seconds of measuring for
    each row; rounds, the number of samples of a row; say, called with each line of progress.
    Returns: the result, for folder.save and results.py.
    Raises: ValueError for unknown names, and for shapes that cannot be read or that the op refuses.
    """
    op, counts = find(name), machine.checked_threads(threads)
    cases, asked = cases_of(op, shapes), backends(only)
    if any(b.name == "torch" and not b.missing() for b in asked):
        import torch  # before our kernels: they make OpenMP libraries that load later put waiting threads to sleep

        assert torch
    missing = {b.name: reason for b in asked if (reason := b.missing())}
    present = [b for b in asked if b.name not in missing]
    run: dict[str, Any] = {
        "kind": "op",
        "op": name,
        "command": " ".join(["tinydx", *sys.argv[1:]]),
        "machine": machine.describe(),
        "seconds": seconds,
        "tolerance": TOLERANCE,
        "missing": missing,
        "roofs": {},
        "rows": [],
    }
    for n in counts:
        with machine.threads(n):
            run["roofs"][str(n)] = measure_roofs()
    for number, case in enumerate(cases, 1):
        say(f"{name} {number}/{len(cases)}: {case.text}")
        run["rows"] += _measure_case(op, case, present, counts, seconds, rounds)
    return run


def _measure_case(op: Op, case: Case, present: list[Backend], counts: list[int], seconds: float, rounds: int) -> list[dict]:
    """The rows of one case: every direction, number of threads and backend."""
    arrays, constants = make_arrays(op, case)
    truth = _Truth(op, arrays, constants, case)
    rows = []
    for direction in DIRECTIONS if truth.dy is not None else DIRECTIONS[:1]:
        work = {
            "case": case.text,
            "shapes": [None if a is None else list(a.shape) for a in arrays],
            "direction": direction,
            "flops": operations(op, direction, arrays, constants),
            "bytes": traffic(op, direction, arrays, constants, truth.y32),
        }
        for n in counts:
            with machine.threads(n):
                found = [_check(b, op, arrays, constants, truth, direction) for b in present]
                _time(found, seconds, rounds, PAUSE if n > 1 else 0.0)
            rows += [{**work, "threads": n, **row} for row, _ in found]
    return rows


class _Truth:
    """The float64 reference of a case: the outputs, and the gradients for one dy."""

    def __init__(self, op: Op, arrays: tuple, constants: Mapping[str, Any], case: Case):
        wide = tuple(None if a is None else np.float64(a) for a in arrays)
        try:
            y, saved = op.forward(*wide, **_widened(constants))
        except (ValueError, TypeError, IndexError) as error:
            raise ValueError(f"{op.name} refuses {case.text!r}: {error}") from None
        self.outputs = listed(y)
        self.y32 = tuple(map(np.float32, y)) if isinstance(y, tuple) else np.float32(y)
        self.dy, self.gradients = None, []
        if op.backward is not None:
            self.dy = make_cotangent(op, arrays, constants, self.y32)
            dy = tuple(map(np.float64, self.dy)) if isinstance(self.dy, tuple) else np.float64(self.dy)
            needs = (True,) * len(arrays)
            self.gradients = [
                g
                for g, a in zip(gradients_of(op.reference, dy, saved, needs), arrays, strict=False)
                if a is not None and g is not None
            ]

    def of(self, direction: str) -> list:
        """The arrays that a backend must return in this direction."""
        return self.outputs if direction == "forward" else self.gradients


def _widened(constants: Mapping[str, Any]) -> dict[str, Any]:
    return {k: np.float64(v) if isinstance(v, np.ndarray) and v.dtype.kind == "f" else v for k, v in constants.items()}


def _check(
    backend: Backend, op: Op, arrays: tuple, constants: Mapping[str, Any], truth: _Truth, direction: str
) -> tuple[dict[str, Any], Callable | None]:
    """Run a backend once; returns its row so far, and the call to time (None where it is wrong or cannot run)."""
    row: dict[str, Any] = {"backend": backend.name, "label": backend.label(), "ours": backend.ours, "seconds": []}
    try:
        runner = backend.prepare(op, arrays, constants, truth.dy)
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
    if runner.backward is None:
        raise NotRun("has no backward")
    return runner.backward, runner.gradients


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
