"""A race of tinydx, PyTorch, Keras and tinygrad in whole training steps and predictions: of one network, or of many.

    parent --"train 3"--> tinydx        (the others wait)
           --"train 3"--> PyTorch, eager
           --"train 3"--> ...           one round of a measure; each round begins with the next one

Each contestant runs in a process of its own (worker.py), because threads and memory allocator are fixed when a process
starts. All begin with the same weights and use the same batches, so their first losses must agree. Where one's do not, it does
not compute the same thing, and its row is void.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import tinydx
from tinydx.bench import machine
from tinydx.bench.backends import missing_torch
from tinydx.bench.results import MEASURES, thread_words
from tinydx.bench.subjects import DOCUMENT, Subject, document, draw_batches, subjects
from tinydx.bench.worker import Start, write_start
from tinydx.suggestions import did_you_mean

ROUNDS = 10
CHECKED = 5  # first training steps, whose losses are compared; only the first one's time is kept, as a column of its own
TOLERANCE = 1e-3  # relative difference of a loss above which a row is void
ORDERS = {"train": "train", "infer": "infer {batch}", "infer_one": "infer 1"}  # to a worker, by measure; a count of calls follows
BLOCK, LEAST, MOST = 0.1, 3, 300  # seconds that the calls of one order take, about, and their least and greatest number

WORKER = ("-m", "tinydx.bench.worker")
THREADS = (
    "NUMBA_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "CPU_COUNT",  # tinygrad's
)
MALLOC = {"MALLOC_TOP_PAD_": "1000000000", "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "10000000000"}
PEERS = {"torch": ("torch_eager", "torch_fused", "torch_tuned", "torch_malloc"), "keras": ("keras",), "tinygrad": ("tinygrad",)}
INSTALL = {"keras": "keras tensorflow-cpu"}


def race_step(batch: int = 32, shape: tuple[int, int, int] = (150, 150, 3), **options: Any) -> dict[str, Any]:
    """`tinydx bench step`: race the document's network.

    Arguments: batch, the number of images in a batch; shape, height, width and channels of an image; options, those of `race`.
    Returns, Raises: as `race`.
    """
    words = f"the document's CNN, {'x'.join(map(str, shape))}"
    return race("step", [DOCUMENT._replace(batch=batch, words=words, build=lambda: document(shape))], tuple(MEASURES), **options)


def race_models(only: list[str] | None = None, **options: Any) -> dict[str, Any]:
    """`tinydx bench models`: race small networks in training, and in predicting one example.

    Arguments: only, names of MODELS (default: all); options, those of `race`.
    Returns, Raises: as `race`; ValueError for an unknown name.
    """
    return race("models", subjects(only), ("train", "infer_one"), **options)


def race(
    kind: str,
    entries: Sequence[Subject],
    measures: Sequence[str],
    peers: list[str] | None = None,
    threads: list[int] | None = None,
    rounds: int = ROUNDS,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Race tinydx against peers.

    Arguments: kind, of the result; entries, the networks; measures, of MEASURES; peers, of torch, keras and tinygrad (default:
    those that are installed); threads, the numbers of threads to race with (default: all cores); rounds, the number of samples
    of each measure; say, called with each line of progress.
    Returns: the result, for folder.save and results.py: one race for each network and number of threads.
    Raises: ValueError for an unknown peer, and for more threads than cores.
    """
    asked, counts = _checked_peers(peers), machine.checked_threads(threads)
    missing = {name: reason for name in asked if (reason := _missing(name))}
    names = ["tinydx", *(c for name in asked if name not in missing for c in PEERS[name])]
    run: dict[str, Any] = {
        "kind": kind,
        "command": " ".join(["tinydx", *sys.argv[1:]]),
        "machine": machine.describe(),
        "missing": missing,
        "measures": list(measures),
        "checked_steps": CHECKED,
        "tolerance": TOLERANCE,
        "races": [],
    }
    for subject in entries:
        with tempfile.TemporaryDirectory() as folder:
            facts = {"subject": subject.name, "words": subject.words, "batch": subject.batch}
            facts["parameters"] = _write_start(folder, subject, "keras" in names)
            for n in counts:
                say(f"{subject.name}, {thread_words(n)}: starting {len(names)} contestants")
                rows = _rows(names, folder, n, [(m, ORDERS[m].format(batch=subject.batch)) for m in measures], rounds, say)
                run["races"].append({**facts, "threads": n, "rows": with_differences(rows)})
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
    if find_spec(name) is None:
        return f"not installed: pip install {INSTALL.get(name, name)}"
    return "needs the compiler clang, which is not installed" if name == "tinygrad" and not shutil.which("clang") else None


def _write_start(folder: str, subject: Subject, with_keras: bool) -> int:
    """Write tinydx's initial model and the batches; returns the number of parameters."""
    tinydx.set_seed(0)
    with tinydx.use("numpy"):
        model = subject.build()
    x, y = draw_batches(model, subject.batch, subject.length)
    write_start(folder, Start(model, list(zip(x, y, strict=True))), with_keras)
    return model.count_params()


# ---- the race ------------------------------------------------------------------------------------------------------


def _rows(
    names: list[str], folder: str, threads: int, orders: Sequence[tuple[str, str]], rounds: int, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """The rows of all contestants with this number of threads."""
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(name, folder, threads)) for name in names]
        for worker in workers:
            worker.check()
        for measure, order in orders:
            for worker in workers:
                worker.warm(measure, order)
        for r in range(rounds):
            say(f"round {r + 1}/{rounds}, {thread_words(threads)}")
            first = r % len(workers)
            for measure, order in orders:
                for worker in workers[first:] + workers[:first]:
                    worker.measure(measure, order)
        return [worker.row for worker in workers]


class Worker:
    """A contestant's process and its row. A failure is noted in the row, and the process gets no further orders."""

    def __init__(self, name: str, folder: str, threads: int):
        self.row: dict[str, Any] = {
            "contestant": name,
            "label": name,
            "ours": name == "tinydx",
            "environment": environment(name, threads),
            "first_step": None,
            "losses": [],
            **{measure: [] for measure in ORDERS},
        }
        self.calls: dict[str, int] = {}  # of an order, by measure
        self.process = subprocess.Popen(
            [sys.executable, *WORKER, name, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**_inherited(), **self.row["environment"]},
        )

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
        """Wait until it has started, and run the first training steps, whose losses are compared between contestants."""
        self.row["label"] = self._answer().get("label", self.row["contestant"])
        answer = self.ask(f"check {CHECKED}")
        if answer:
            self.row["first_step"], self.row["losses"] = answer["seconds"][0], answer["losses"]

    def warm(self, measure: str, order: str) -> None:
        """Give an order for the first time, and find how many calls fill a block."""
        answer = self.ask(f"{order} {LEAST}")
        if answer:
            self.calls[measure] = max(LEAST, min(MOST, round(BLOCK / min(answer["seconds"]))))

    def measure(self, measure: str, order: str) -> None:
        """Add a sample: the median of several calls, because the first finds cold caches and sleeping threads."""
        answer = self.ask(f"{order} {self.calls.get(measure, LEAST)}")
        if answer:
            self.row[measure].append(statistics.median(answer["seconds"]))


def environment(name: str, threads: int) -> dict[str, str]:
    """The environment variables that a contestant gets in addition to ours."""
    return {**dict.fromkeys(THREADS, str(threads)), **(MALLOC if name == "torch_malloc" else {})}


def _inherited() -> dict[str, str]:
    """Our environment without what our kernels set for this process only, how threads wait, and with tinydx on the path."""
    kept = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    root = str(Path(tinydx.__file__).parents[1])
    return {**kept, "PYTHONPATH": os.pathsep.join([root, *filter(None, [kept.get("PYTHONPATH")])])}


def with_differences(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with "difference", of their losses from tinydx's, and "void", why a row does not count (None where it counts)."""
    ours: list[float] = next((row["losses"] for row in rows if row["ours"]), [])
    for row in rows:
        row["difference"] = loss_difference(ours, row["losses"]) if ours and row["losses"] else None
        row["void"] = void_reason(row["difference"])
    return rows


def loss_difference(ours: Iterable[float], other: Iterable[float]) -> float:
    """The largest relative difference of a loss from ours at any step; infinite where a loss is not a number.

    >>> loss_difference([1.0, 2.0], [1.0, 1.5])
    0.25
    """
    a, b = np.asarray(list(ours)), np.asarray(list(other))
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = float(np.max(np.abs(b - a) / np.abs(a)))
    return difference if np.isfinite(difference) else float("inf")


def void_reason(difference: float | None) -> str | None:
    """Why a row is void, or None where it counts."""
    if difference is None or difference <= TOLERANCE:
        return None
    return f"VOID: its losses differ from tinydx's by up to {difference:.1e} of their size (allowed: {TOLERANCE:.0e})"
