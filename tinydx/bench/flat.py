"""`tinydx bench flat`: whether a training step costs the same for each example in every size of batch, and memory stays as it is.

    cost     seconds of a step = fixed + each * n, fitted to batches of n = 8 to 512; held where each is within 15 % of the line
    memory   resident memory over 1,000 steps; held where it grows by at most 1 % after the first hundred

Both are tinydx alone, in this process; measure.py has the line and the growth.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tinydx
from tinydx.bench import machine
from tinydx.bench.measure import GROWTH, PAUSE, SETTLED, SPREAD, interleave
from tinydx.bench.subjects import Subject, draw_batches, loss_of, subjects

BATCHES = (8, 16, 32, 64, 128, 256, 512)
CONTESTANTS = ["mlp", "lenet", "document-28", "lstm"]  # of subjects.MODELS, where none are named
ROUNDS, SECONDS = 7, 0.5  # samples of each batch, and seconds of measuring them
STEPS, EVERY = 1000, 10  # steps of the memory's run, and between two looks


def measure_flatness(
    only: list[str] | None = None,
    threads: list[int] | None = None,
    rounds: int = ROUNDS,
    batches: Sequence[int] = BATCHES,
    steps: int = STEPS,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Measure steps of all sizes of batch in turn, and resident memory.

    Arguments: only, names of subjects.MODELS (default: CONTESTANTS); threads, the numbers of threads to measure with (default:
    all cores); rounds, the samples of each size; batches, the sizes; steps, of the memory's run; say, called with each line of
    progress.
    Returns: the result, for folder.save and results.py.
    Raises: ValueError for an unknown name, and for more threads than cores.
    """
    entries, counts = subjects(only or CONTESTANTS), machine.checked_threads(threads)
    run: dict[str, Any] = {
        "kind": "flat",
        "command": " ".join(["tinydx", *sys.argv[1:]]),
        "machine": machine.describe(),
        "missing": {},
        "limits": {"spread": SPREAD, "growth": GROWTH, "settled": SETTLED},
        "rows": [],
    }
    for subject in entries:
        for n in counts:
            say(f"{subject.name}, threads {n}: {steps} steps, then batches of {batches[0]} to {batches[-1]}")
            with machine.threads(n):
                row = {"subject": subject.name, "words": subject.words, "threads": n, "memory_batch": subject.batch}
                at, resident = _memory(subject, steps)
                timed = _costs(subject, batches, rounds, PAUSE if n > 1 else 0.0)
            run["rows"].append({**row, "steps": at, "resident": resident, "seconds": timed})
    return run


def _stepper(subject: Subject, batch: int) -> Callable[[], Any]:
    """A training step on one batch after the other."""
    tinydx.set_seed(0)
    model = subject.build()
    model.compile("adam", loss_of(model))
    xs, ys = draw_batches(model, batch, subject.length)
    number = iter(range(10**9))

    def step() -> None:
        k = next(number) % len(xs)
        model.train_on_batch(xs[k], ys[k])

    return step


def _costs(subject: Subject, batches: Sequence[int], rounds: int, pause: float) -> dict[str, list[float]]:
    """Samples of a step's seconds by size of batch."""
    return interleave({str(n): _stepper(subject, n) for n in batches}, SECONDS, rounds, pause)


def _memory(subject: Subject, steps: int) -> tuple[list[int], list[int]]:
    """The steps after which resident memory was read, and its bytes; nothing where the system does not tell."""
    step, at, found = _stepper(subject, subject.batch), [], []
    for k in range(1, steps + 1):
        step()
        if k % EVERY == 0 and (now := resident_bytes()):
            at.append(k)
            found.append(now)
    return at, found


def resident_bytes() -> int | None:
    """Resident memory of this process; None where the system does not tell (it has no /proc)."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
