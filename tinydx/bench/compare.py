"""`tinydx bench OP`: each case on each backend, checked against the reference in float64, and only then timed.

What comes out is one dict that JSON can hold: the machine, the roofs, and a row for every case, direction, thread
count and backend with its raw samples. Nothing is computed from them here: that is for results.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinydx import op, ops
from tinydx.bench import machine
from tinydx.bench.backends import Backend, NotRun, Runner, backends, listed
from tinydx.bench.cases import Case, cases_of, make_arrays, make_cotangent, operations, traffic
from tinydx.bench.measure import PAUSE, ROUNDS, interleave, time_once
from tinydx.bench.roofs import measure_roofs
from tinydx.dispatch import gradients_of
from tinydx.op import Op

TOLERANCE = 1e-4  # largest difference from the float64 reference, as a share of the largest number there
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

    Arguments: its name; shapes, cases as on the command line (default: the table's); only, the names of backends;
    threads, the counts to measure with (default: all cores); seconds of measuring for each row; rounds, the samples of
    a row; say, called with a line of progress.
    Raises ValueError for unknown names and for shapes that cannot be read, or that the op refuses.
    """
    assert ops  # importing it fills the table
    record, counts = op.find(name), machine.checked_threads(threads)
    cases, asked = cases_of(record, shapes), backends(only)
    if any(b.name == "torch" and not b.missing() for b in asked):
        import torch  # before our kernels, which tell OpenMP libraries loaded later to put waiting threads to sleep

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
        run["rows"] += _measure_case(record, case, present, counts, seconds, rounds)
    return run


def _measure_case(record: Op, case: Case, present: list[Backend], counts: list[int], seconds: float, rounds: int) -> list[dict]:
    """The rows of one case: every direction, thread count and backend."""
    arrays, constants = make_arrays(record, case)
    truth = _Truth(record, arrays, constants, case)
    rows = []
    for direction in DIRECTIONS if truth.dy is not None else DIRECTIONS[:1]:
        work = {
            "case": case.text,
            "shapes": [None if a is None else list(a.shape) for a in arrays],
            "direction": direction,
            "flops": operations(record, direction, arrays, constants),
            "bytes": traffic(record, direction, arrays, constants, truth.y32),
        }
        for n in counts:
            with machine.threads(n):
                found = [_check(b, record, arrays, constants, truth, direction) for b in present]
                _time(found, seconds, rounds, PAUSE if n > 1 else 0.0)
            rows += [{**work, "threads": n, **row} for row, _ in found]
    return rows


class _Truth:
    """What the reference says in float64 of a case: outputs, and the gradients for one dy."""

    def __init__(self, record: Op, arrays: tuple, constants: Mapping[str, Any], case: Case):
        wide = tuple(None if a is None else np.float64(a) for a in arrays)
        try:
            y, saved = record.forward(*wide, **_widened(constants))
        except (ValueError, TypeError, IndexError) as error:
            raise ValueError(f"{record.name} refuses {case.text!r}: {error}") from None
        self.outputs = listed(y)
        self.y32 = tuple(map(np.float32, y)) if isinstance(y, tuple) else np.float32(y)
        self.dy, self.gradients = None, []
        if record.backward is not None:
            self.dy = make_cotangent(record, arrays, constants, self.y32)
            dy = tuple(map(np.float64, self.dy)) if isinstance(self.dy, tuple) else np.float64(self.dy)
            needs = (True,) * len(arrays)
            self.gradients = [
                g
                for g, a in zip(gradients_of(record.reference, dy, saved, needs), arrays, strict=False)
                if a is not None and g is not None
            ]

    def of(self, direction: str) -> list:
        """The arrays that a backend must return."""
        return self.outputs if direction == "forward" else self.gradients


def _widened(constants: Mapping[str, Any]) -> dict[str, Any]:
    return {k: np.float64(v) if isinstance(v, np.ndarray) and v.dtype.kind == "f" else v for k, v in constants.items()}


def _check(
    backend: Backend, record: Op, arrays: tuple, constants: Mapping[str, Any], truth: _Truth, direction: str
) -> tuple[dict[str, Any], Callable | None]:
    """Run a backend once: its row so far, and what to time (None for one that is wrong or cannot run)."""
    row: dict[str, Any] = {"backend": backend.name, "label": backend.label(), "ours": backend.ours, "seconds": []}
    try:
        runner = backend.prepare(record, arrays, constants, truth.dy)
        call, read = _parts(runner, direction)
        row["first_call"], result = time_once(call)
        got = [g for g in read(result) if g is not None]
    except NotRun as reason:
        return {**row, "note": str(reason)}, None
    except (RuntimeError, ValueError, TypeError) as error:  # a peer that refuses a case is no reason to stop
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
    """The largest difference from the truth, as a share of each array's largest number; infinite where shapes differ."""
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
    """Add the samples to the rows of those that were right."""
    calls = {row["backend"]: call for row, call in found if call is not None}
    for name, samples in interleave(calls, seconds, rounds, pause).items():
        next(row for row, _ in found if row["backend"] == name)["seconds"] = samples
