"""`tinydx bench step`: a race of tinydx, PyTorch and Keras in whole training steps and inferences of the document's network.

    parent --"train 3"--> tinydx        (the others wait)
           --"train 3"--> PyTorch, eager
           --"train 3"--> ...           one round of a measure; each round begins with the next one

Each contestant runs in a process of its own (worker.py), because threads and memory allocator are fixed when a process
starts. All begin with the same weights and use the same batches, so their first losses must agree. Where they do not, the
contestants do not compute the same thing, and the race is void.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import tinydx
from tinydx.bench import machine
from tinydx.bench.backends import missing_torch
from tinydx.bench.results import thread_words
from tinydx.bench.worker import tinydx_model, write_start
from tinydx.suggestions import did_you_mean

ROUNDS = 10
CHECKED = 5  # first training steps, whose losses are compared; only the first one's time is kept, as a column of its own
TOLERANCE = 1e-3  # relative difference of a loss above which the race is void
BATCHES = 4  # different batches, used in turn
ORDERS = {
    "train": "train 3",
    "infer": "infer {batch} 3",
    "infer_one": "infer 1 10",
}  # the order to a worker in each round, by measure

THREADS = (
    "NUMBA_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
MALLOC = {"MALLOC_TOP_PAD_": "1000000000", "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "10000000000"}
PEERS = {"torch": ("torch_eager", "torch_tuned", "torch_malloc"), "keras": ("keras",)}


def race(
    peers: list[str] | None = None,
    threads: list[int] | None = None,
    rounds: int = ROUNDS,
    batch: int = 32,
    shape: tuple[int, int, int] = (150, 150, 3),
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Race tinydx against peers.

    Arguments: peers, of torch and keras (default: those that are installed); threads, the numbers of threads to race with
    (default: all cores); rounds, the number of samples of each measure; batch, the number of images in a batch; shape,
    height, width and channels of an image; say, called with each line of progress.
    Returns: the result, for folder.save and results.py.
    Raises: ValueError for an unknown peer, and for more threads than cores.
    """
    asked, counts = _checked_peers(peers), machine.checked_threads(threads)
    missing = {name: reason for name in asked if (reason := _missing(name))}
    names = ["tinydx", *(c for name in asked if name not in missing for c in PEERS[name])]
    run: dict[str, Any] = {
        "kind": "step",
        "command": " ".join(["tinydx", *sys.argv[1:]]),
        "machine": machine.describe(),
        "missing": missing,
        "batch": batch,
        "shape": list(shape),
        "checked_steps": CHECKED,
        "tolerance": TOLERANCE,
        "loss_difference": {},
        "void": {},
        "rows": [],
    }
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "start.npz")
        _write_start(path, batch, shape)
        for n in counts:
            rows = _race(names, path, n, rounds, batch, say)
            difference = loss_difference([row["losses"] for row in rows if row["losses"]])
            run["loss_difference"][str(n)] = difference
            run["void"][str(n)] = void_reason(difference)
            run["rows"] += rows
    return run


def _checked_peers(peers: list[str] | None) -> list[str]:
    for name in peers or []:
        if name not in PEERS:
            raise ValueError(f"--peers: no peer named {name!r}{did_you_mean(name, PEERS)}")
    return list(dict.fromkeys(peers or PEERS))


def _missing(name: str) -> str | None:
    """How to install a peer, or None where it is installed."""
    if name == "torch":
        return missing_torch()
    return None if find_spec(name) else "not installed: pip install keras tensorflow-cpu"


def _write_start(path: str, batch: int, shape: tuple[int, int, int]) -> None:
    """Write tinydx's initial weights, and batches of noise images whose brightness depends on the class."""
    tinydx.set_seed(0)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (BATCHES, batch, 1)).astype(np.float32)
    images = rng.random((BATCHES, batch, *shape), np.float32) * (0.5 + 0.5 * labels[..., None, None])
    with tinydx.use("numpy"):
        weights = tinydx_model(shape).get_weights()
    write_start(path, weights, images, labels)


# ---- the race ------------------------------------------------------------------------------------------------------


def _race(names: list[str], path: str, threads: int, rounds: int, batch: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """The rows of all contestants with this number of threads."""
    with ExitStack() as stack:
        workers = []
        for name in names:
            worker = stack.enter_context(Worker(name, path, threads))
            say(f"{worker.row['label']}, {thread_words(threads)}: the first {CHECKED} steps")
            worker.check()
            workers.append(worker)
        for r in range(rounds):
            say(f"round {r + 1}/{rounds}, {thread_words(threads)}")
            first = r % len(workers)
            for measure, order in ORDERS.items():
                for worker in workers[first:] + workers[:first]:
                    worker.measure(measure, order.format(batch=batch))
        return [worker.row for worker in workers]


class Worker:
    """A contestant's process and its row. A failure is noted in the row, and the process gets no further orders."""

    def __init__(self, name: str, path: str, threads: int):
        self.row: dict[str, Any] = {
            "contestant": name,
            "label": name,
            "ours": name == "tinydx",
            "threads": threads,
            "environment": environment(name, threads),
            "first_step": None,
            "losses": [],
            **{measure: [] for measure in ORDERS},
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tinydx.bench.worker", name, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**_inherited(), **self.row["environment"]},
        )
        self.row["label"] = self._answer().get("label", name)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *error: Any) -> None:
        self.process.kill()
        self.process.communicate()

    def ask(self, order: str) -> dict[str, Any]:
        """The answer to an order; {} from a contestant that has failed."""
        if "note" in self.row:
            return {}
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the process has ended, which _answer reports
            print(order, file=self.process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"error": f"ended with status {self.process.wait()}"}
        if "error" in answer:
            self.row["note"] = f"failed: {answer['error']}"
            return {}
        return answer

    def check(self) -> None:
        """Run the first training steps, whose losses are compared between contestants."""
        answer = self.ask(f"train {CHECKED}")
        if answer:
            self.row["first_step"], self.row["losses"] = answer["seconds"][0], answer["losses"]

    def measure(self, measure: str, order: str) -> None:
        """Add a sample: the median of several calls, because the first finds cold caches and sleeping threads."""
        answer = self.ask(order)
        if answer:
            self.row[measure].append(statistics.median(answer["seconds"]))


def environment(name: str, threads: int) -> dict[str, str]:
    """The environment variables that a contestant gets in addition to ours."""
    return {**dict.fromkeys(THREADS, str(threads)), **(MALLOC if name == "torch_malloc" else {})}


def _inherited() -> dict[str, str]:
    """Our environment without OMP_WAIT_POLICY, which our kernels set for this process only, and with tinydx on the path."""
    kept = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    root = str(Path(tinydx.__file__).parents[1])
    return {**kept, "PYTHONPATH": os.pathsep.join([root, *filter(None, [kept.get("PYTHONPATH")])])}


def loss_difference(losses: list[list[float]]) -> float | None:
    """The largest relative difference of a peer's loss from tinydx's (the first list) at any step; None without peers.

    >>> loss_difference([[1.0, 2.0], [1.0, 1.5]]), loss_difference([[1.0]])
    (0.25, None)
    """
    if len(losses) < 2:
        return None
    ours, *others = np.asarray(losses)
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = float(np.max(np.abs(others - ours) / np.abs(ours)))
    return difference if np.isfinite(difference) else float("inf")


def void_reason(difference: float | None) -> str | None:
    """Why the race is void, or None where it counts."""
    if difference is None or difference <= TOLERANCE:
        return None
    return f"VOID: the losses differ by up to {difference:.1e} of their size (allowed: {TOLERANCE:.0e}), so no ratios are given"
