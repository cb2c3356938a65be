"""What several processes gain: training steps on one core and on two ranks, a model of their cost, and where it leads.

    python -m tinydx.tasks.scale [--seconds 4] [--rounds 3] [--output docs/scale.png]

Each step is measured in processes with one core each, in turn: one alone at three batch sizes; two that know nothing of each
other, at once, which shows what sharing the memory costs; two ranks that share a batch (strong scaling), or have one each (weak).

    time = slowdown (fixed + rows n/p + update (n - n/p)) + exchanges latency + 2 (p-1)/p bytes / bandwidth

n examples on p ranks; `update` is what a gradient that stays factored costs on every rank for each row of the others. All
constants come from other measurements than the steps of two ranks, which they predict. Needs mpirun: pip install 'tinydx[mpi]'.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinydx import command, distributed
from tinydx.diagnosis.kind import classification_loss
from tinydx.diagnosis.kinds.image import build_blocks, build_cnn
from tinydx.distributed import sharing
from tinydx.distributed.world import STEP, world
from tinydx.factored import FactoredGradient
from tinydx.files import atomic_write
from tinydx.optimizers import Adam
from tinydx.tasks import check_output

ONE_CORE = {"NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
EXCHANGES = 3  # of a step: the ranks meet twice, and add up once
FIRST = 3  # steps that do not count


class Network(NamedTuple):
    """A network: the shape of its images, the examples of a batch, and how it is made."""

    shape: tuple[int, ...]
    batch: int
    build: Callable[..., Any]


def _blocks(shape: tuple[int, ...], classes: int) -> Any:
    model = build_blocks(shape, classes)
    model.compile(Adam(0.002), classification_loss(classes), metrics=["accuracy"])
    return model


NETWORKS = {
    "document": Network((150, 150, 3), 32, build_cnn),  # `tinydx diagnose` without data
    "blocks": Network((48, 48, 1), 64, _blocks),  # `tinydx diagnose` with images
}


class Constants(NamedTuple):
    """What the cost of a step is made of, in seconds and bytes per second."""

    fixed: float  # a step of no example
    row: float  # for each example
    update: float  # for each row of others, of a gradient that stays factored
    latency: float  # of an exchange of a few numbers between two ranks
    summing: float  # bandwidth of a sum over two ranks
    gathering: float  # bandwidth of gathering the rows of two ranks
    slowdown: float  # of two cores that compute at once


class Bytes(NamedTuple):
    """What a step moves: bytes that are always added up; of each row that is gathered; of that gradient as an array."""

    added: int
    row: int
    array: int


def step_time(c: Constants, b: Bytes, n: int, p: int, links: Constants | None = None) -> float:
    """The seconds of a step.

    Arguments: c, constants; b, bytes; n, examples of all ranks; p, ranks; links, constants of their connection (None: c).

    >>> c = Constants(0.01, 0.001, 0.0, 0.0, 1e9, 1e9, 1.0)
    >>> round(step_time(c, Bytes(0, 0, 0), 32, 1), 3), round(step_time(c, Bytes(10**7, 0, 0), 32, 2), 3)
    (0.042, 0.036)
    """
    links, own, share = links or c, math.ceil(n / p), 2 * (p - 1) / p
    compute = c.fixed + c.row * own
    if p == 1:
        return compute
    added, gathered = b.added, 0
    if b.array and n <= sharing.MOST_ROWS and n * b.row < 2 * b.array:
        gathered = n * b.row
        compute += c.update * (n - own)
    else:
        added += b.array
    moved = share * added / links.summing + share / 2 * gathered / links.gathering
    return links.slowdown * compute + EXCHANGES * math.log2(p) * links.latency + moved


# ---- what runs in processes of its own -------------------------------------------------------------------------------


def measure_steps(name: str, n: int, seconds: float) -> dict[str, float]:
    """The median time of training steps of n examples, on all ranks there are, after a number of first ones."""
    network = NETWORKS[name]
    draws = np.random.default_rng(0)
    x = draws.random((n, *network.shape), np.float32)
    y = (np.arange(n) % 2).astype(np.float32)
    model, times = network.build(network.shape, 2), []
    ends = float("inf")
    while distributed.any_rank(time.perf_counter() < ends):
        began = time.perf_counter()
        model.train_on_batch(x, y)
        times.append(time.perf_counter() - began)
        if len(times) == FIRST:
            ends = time.perf_counter() + seconds
    return {"seconds": float(np.median(times[FIRST:])), "steps": len(times)}


def measure_update(name: str) -> dict[str, float]:
    """The time of an optimizer's step for each row of a factored gradient; 0 for a network without one."""
    network = NETWORKS[name]
    model = network.build(network.shape, 2)
    large = max(model.trainable_weights, key=lambda w: w.data.size)
    if large.data.ndim != 2 or large.data.size < 1 << 20:
        return {"update": 0.0}
    times = {}
    for rows in (16, 64):
        x, dy = (np.ones((rows, size), np.float32) for size in large.shape)
        model.optimizer.slots, taken = [], []
        for _ in range(8):
            began = time.perf_counter()
            model.optimizer.apply_finite([FactoredGradient(x, dy)], [large])
            taken.append(time.perf_counter() - began)
        times[rows] = np.median(taken[2:])
    return {"update": float(times[64] - times[16]) / 48}


def measure_exchanges(name: str) -> dict[str, float]:
    """The latency of a meeting, and the bandwidths of sums and of gathered rows, between these ranks."""
    ranks, bytes_ = world(), bytes_of(name)
    assert ranks is not None

    def seconds(work: Callable[[], object], count: int) -> float:
        taken = []
        for _ in range(count):
            ranks.meet(STEP)
            began = time.perf_counter()
            work()
            taken.append(time.perf_counter() - began)
        return float(np.median(taken[2:]))

    latency = seconds(lambda: ranks.meet(STEP), 200)
    flat = np.ones(max(bytes_.added, 1 << 16) // 4, np.float32)
    rows = np.ones((16, max(bytes_.row, 1 << 12) // 4), np.float32)
    summing = seconds(lambda: ranks.sum(flat), 20) - latency
    gathering = seconds(lambda: ranks.gather(rows, [16] * ranks.size, "scale"), 20)
    share = (ranks.size - 1) / ranks.size
    moved = ranks.size * rows.nbytes
    return {"latency": latency, "summing": 2 * share * flat.nbytes / summing, "gathering": share * moved / gathering}


def bytes_of(name: str) -> Bytes:
    """What a step of the network moves between ranks."""
    network = NETWORKS[name]
    weights = network.build(network.shape, 2).weights
    large = [w.shape for w in weights if len(w.shape) == 2 and math.prod(w.shape) >= 1 << 20]  # its gradient stays factored
    array = sum(4 * math.prod(shape) for shape in large)
    return Bytes(sum(4 * math.prod(w.shape) for w in weights) - array, sum(4 * sum(shape) for shape in large), array)


# ---- measuring -------------------------------------------------------------------------------------------------------


def _start(arguments: Sequence[str], core: int | None = None) -> subprocess.Popen:
    """This program in another process, on one core; core None: on two ranks, each with a core of its own."""
    call = [sys.executable, "-m", "tinydx.tasks.scale", "--part", *arguments]
    if core is None:
        here = Path(sysconfig.get_path("scripts"), "mpirun")
        call = [str(here) if here.exists() else "mpirun", "-n", "2", *call]
    environment = os.environ | ONE_CORE | {"TINYDX_CORE": "" if core is None else str(core)}
    return subprocess.Popen(call, stdout=subprocess.PIPE, text=True, env=environment)


def _answer(process: subprocess.Popen) -> dict[str, float]:
    output, _ = process.communicate()
    if process.returncode:
        raise RuntimeError("a process of the measurement failed; it says above why")
    return json.loads(output.splitlines()[-1])


def _part(kind: str, name: str, n: int, seconds: float) -> int:
    """One measurement, in a process of its own."""
    distributed.start()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[int(os.environ.get("TINYDX_CORE") or distributed.rank()) % len(cores)]})
    work: dict[str, Callable[[], dict[str, float]]] = {
        "steps": lambda: measure_steps(name, n, seconds),
        "update": lambda: measure_update(name),
        "exchanges": lambda: measure_exchanges(name),
    }
    print(json.dumps(work[kind]()), flush=True)
    return 0


def measure(name: str, seconds: float, rounds: int) -> dict[str, Any]:
    """All measurements of a network, each the median over rounds in which they take turns."""
    n = NETWORKS[name].batch
    found: dict[str, list[float]] = {}

    def note(key: str, value: float) -> None:
        found.setdefault(key, []).append(value)

    def steps(count: int, core: int | None) -> subprocess.Popen:
        return _start(["steps", name, str(count), str(seconds)], core)

    for _ in range(rounds):
        for count in (n // 2, n, 2 * n):
            note(f"one {count}", _answer(steps(count, 0))["seconds"])
        both = [steps(n, core) for core in (0, 1)]
        note("at once", float(np.mean([_answer(process)["seconds"] for process in both])))
        note("strong", _answer(steps(n, None))["seconds"])
        note("weak", _answer(steps(2 * n, None))["seconds"])
    constants = _answer(_start(["exchanges", name, "0", "0"])) | _answer(_start(["update", name, "0", "0"], 0))
    return {key: float(np.median(values)) for key, values in found.items()} | constants


def constants_of(name: str, found: dict[str, float]) -> Constants:
    """The constants of the model: a line through the times of one process, and what was measured of the rest."""
    n = NETWORKS[name].batch
    sizes = [n // 2, n, 2 * n]
    row, fixed = np.polyfit(sizes, [found[f"one {size}"] for size in sizes], 1)
    measured = {key: found[key] for key in ("update", "latency", "summing", "gathering")}
    return Constants(float(fixed), float(row), slowdown=max(1.0, found["at once"] / found[f"one {n}"]), **measured)


# ---- the result ------------------------------------------------------------------------------------------------------

CLUSTER = {
    "latency": 2e-6,
    "summing": 12.5e9,
    "gathering": 12.5e9,
    "slowdown": 1.0,
}  # 100 Gb/s, a core and memory to each
RANKS = np.unique(np.logspace(0, 3, 60).astype(int))


def rows_of_table(name: str, found: dict[str, float], c: Constants, b: Bytes) -> list[dict[str, Any]]:
    """Measured and predicted times of two ranks, and the efficiency: the share of twice the speed of one."""
    n = NETWORKS[name].batch
    one, rows = found[f"one {n}"], []
    for kind, count in (("strong", n), ("weak", 2 * n)):
        predicted = step_time(c, b, count, 2)
        efficiency = count / n * one / (2 * found[kind])
        control = one / found["at once"]
        row = {"network": name, "scaling": kind, "examples": count, "one": one, "two": found[kind], "predicted": predicted}
        rows.append(row | {"efficiency": efficiency, "control": control})
    return rows


def words(row: dict[str, Any]) -> str:
    """A row of the table."""
    off = row["predicted"] / row["two"] - 1
    times = f"{1e3 * row['one']:.1f} ms | {1e3 * row['two']:.1f} ms"
    shares = f"{row['efficiency']:.0%} | {row['control']:.0%} | {1e3 * row['predicted']:.1f} ms ({off:+.0%})"
    return f"| {row['network']}, {row['scaling']}, {row['examples']} examples | {times} | {shares} |"


def constants_in_words(c: Constants, b: Bytes) -> str:
    """The constants, with units."""
    return (
        f"a step takes {1e3 * c.fixed:.1f} ms + {1e3 * c.row:.3f} ms an example, and {1e3 * c.update:.3f} ms a row of others;\n"
        f"  two cores that compute at once are {c.slowdown:.3f} times slower; two ranks meet in {1e6 * c.latency:.0f} us,\n"
        f"  add up at {c.summing / 1e9:.1f} GB/s and gather at {c.gathering / 1e9:.1f}; {b.added / 1e6:.2f} MB are added up,\n"
        f"  and {b.row} bytes a row gathered, or {b.array / 1e6:.0f} MB added up, of a gradient that stays factored"
    )


HEAD = "| network | one rank | two ranks | efficiency | two programs at once | predicted |\n|---|---|---|---|---|---|"


def efficiencies(c: Constants, b: Bytes, n: int, kind: str) -> list[float]:
    """Of a cluster, for each of RANKS: n examples in all (strong scaling), or on each rank (weak)."""
    links, one = c._replace(**CLUSTER), step_time(c, b, n, 1)
    if kind == "weak":
        return [one / step_time(c, b, n * int(p), int(p), links) for p in RANKS]
    return [one / p / step_time(c, b, n, int(p), links) for p in RANKS]


def picture(results: list[tuple[str, Constants, Bytes, list[dict[str, Any]]]]) -> bytes:
    """Predicted efficiency to 1,000 ranks of a cluster, strong and weak, and what was measured on two ranks."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 3.8), layout="constrained")
    for axes, kind in zip(figure.subplots(1, 2, sharey=True), ("strong", "weak"), strict=True):
        for k, (name, c, b, rows) in enumerate(results):
            n = NETWORKS[name].batch
            for times, style in ((1, "-"), (8 if kind == "weak" else 32, "--")):
                what = f"{times * n} examples {'a rank' if kind == 'weak' else 'in all'}"
                axes.plot(RANKS, efficiencies(c, b, times * n, kind), style, color=f"C{k}", label=f"{name}, {what}")
            measured = next(row["efficiency"] for row in rows if row["scaling"] == kind)
            axes.plot([2], [measured], "o", color=f"C{k}", label=f"{name}, {n}, measured here")
        axes.set(xscale="log", xlabel="ranks", ylim=(0, 1.1), title=f"{kind} scaling")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    figure.axes[0].set_ylabel("efficiency: speed / (ranks x speed of one)")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table and the constants, and draw the picture."""
    parser = argparse.ArgumentParser(prog="python -m tinydx.tasks.scale", description=__doc__.split("\n")[0])
    parser.add_argument("--network", choices=NETWORKS, action="append", help="only this one (default: all)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement (default 4)")
    parser.add_argument("--rounds", type=int, default=3, help="in which they take turns (default 3)")
    parser.add_argument("--output", metavar="FILE", help="draw the picture into this .png file")
    parser.add_argument("--part", nargs=4, help=argparse.SUPPRESS)
    a = parser.parse_args(arguments)
    if a.part:
        kind, name, n, seconds = a.part
        return _part(kind, name, int(n), float(seconds))
    check_output(a.output)
    results = []
    print(HEAD, flush=True)
    for name in a.network or NETWORKS:
        found, b = measure(name, a.seconds, a.rounds), bytes_of(name)
        c = constants_of(name, found)
        results.append((name, c, b, rows_of_table(name, found, c, b)))
        print("\n".join(map(words, results[-1][-1])), flush=True)
    for name, c, b, _ in results:
        print(f"\n{name}: {constants_in_words(c, b)}")
    if a.output:
        atomic_write(a.output, picture(results))
    return 0


if __name__ == "__main__":
    sys.exit(command.run(main))
