"""A GPU's measurements as a table against the gates and goals that were set beforehand, as a picture, and as JSON.

A ratio is the best time of the vendor's library divided by ours in the same run: 1 is as fast, more is faster. The gate is the
least ratio to accept.
"""

from __future__ import annotations

import importlib.util
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tinydx.diagnosis.page import INK, MUTED, PALE, STYLE
from tinydx.files import atomic_write

OURS, REACHED, MISSED = "#2166ac", "#009e73", "#d55e00"


class Row(NamedTuple):
    """The measurements of a contestant: median and least time in microseconds, its rate, its error, whether it is right."""

    contest: str
    name: str
    median_us: float
    least_us: float
    tflops: float
    error: float
    right: bool


class Target(NamedTuple):
    """A task, our contestants by name, the vendor's by the beginning of their names, and the ratios to reach."""

    task: str
    contest: str
    ours: tuple[str, ...]
    theirs: str
    gate: float
    goal: float


LAYERS = "3 to 32", "32 to 64", "64 to 128"
FP32 = "product of the layers", "warp", "async"
TARGETS = [
    Target("FP32 product, 4096", "matmul 4096", FP32, "cuBLAS FP32", 0.7, 0.9),
    Target("FP32 by 3xTF32, 4096", "matmul 4096", ("3xtf32",), "cuBLAS FP32", 1.0, 1.2),
    Target("TF32 product, 4096", "matmul 4096", ("tf32",), "cuBLAS TF32", 0.35, 0.5),
    Target("BF16 product, 4096", "matmul 4096", ("bf16",), "cuBLAS BF16", 0.35, 0.55),
    *(Target(f"convolution {c}", f"{c}: forward", ("tinydx",), "cuDNN", 0.6, 0.9) for c in LAYERS),
    *(Target(f"convolution, ReLU, pool {c}", f"{c}: forward, ReLU, pooling", ("tinydx",), "cuDNN", 0.9, 1.0) for c in LAYERS),
    *(Target(f"dX {c}", f"{c}: dX", ("tinydx",), "cuDNN", 0.5, 0.8) for c in LAYERS),
    *(Target(f"dW {c}", f"{c}: dW", ("tinydx",), "cuDNN", 0.5, 0.8) for c in LAYERS),
    Target("training step, batch 32", "training step", ("tinydx",), "PyTorch", 0.5, 1.0),
]


class Result(NamedTuple):
    """A target and the medians measured, in microseconds."""

    target: Target
    ours: float
    theirs: float

    @property
    def ratio(self) -> float:
        """The vendor's best time divided by ours."""
        return self.theirs / self.ours

    @property
    def verdict(self) -> str:
        """Whether the goal or only the gate is reached."""
        return "goal" if self.ratio >= self.target.goal else "gate" if self.ratio >= self.target.gate else "below the gate"


def results(rows: Sequence[Row]) -> list[Result]:
    """The targets for which both sides were measured and gave right results."""
    found = []
    for target in TARGETS:
        right = [row for row in rows if row.contest == target.contest and row.right]
        ours = [row.median_us for row in right if row.name in target.ours]
        theirs = [row.median_us for row in right if row.name.startswith(target.theirs)]
        if ours and theirs:
            found.append(Result(target, min(ours), min(theirs)))
    return found


def line(row: Row) -> str:
    """The measurements of one contestant as a line of text.

    >>> line(Row("matmul 1024", "warp", 61.2, 60.8, 35.1, 2e-7, True))
    'matmul 1024                      warp                       61.2 us    35.10 TFLOP/s   error 2e-07'
    """
    wrong = "" if row.right else "   WRONG"
    return f"{row.contest:<32} {row.name:<22} {row.median_us:8.1f} us {row.tflops:8.2f} TFLOP/s   error {row.error:.0e}{wrong}"


def table(machine: Mapping[str, str], rows: Sequence[Row]) -> str:
    """The targets as a Markdown table."""
    head = ", ".join(f"{key} {value}" for key, value in machine.items())
    lines = [head, "", "| task | tinydx | vendor's best | ratio | gate | goal | reached |", "|---|---|---|---|---|---|---|"]
    for r in results(rows):
        times = f"{r.ours:.0f} us | {r.theirs:.0f} us"
        lines.append(f"| {r.target.task} | {times} | {r.ratio:.2f} | {r.target.gate} | {r.target.goal} | {r.verdict} |")
    return "\n".join(lines) + "\n"


def picture(machine: Mapping[str, str], rows: Sequence[Row]) -> bytes:
    """The ratios as bars, with a tick at each gate and goal: the bytes of a PNG file."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    found = results(rows)[::-1]
    with matplotlib.rc_context(STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(9, 1.2 + 0.3 * len(found)), dpi=130, layout="constrained", facecolor="white")
        axes: Any = figure.add_subplot()
        colors = [REACHED if r.verdict == "goal" else OURS if r.verdict == "gate" else MISSED for r in found]
        axes.barh([r.target.task for r in found], [r.ratio for r in found], color=colors, height=0.6)
        for k, r in enumerate(found):
            axes.vlines([r.target.gate, r.target.goal], k - 0.4, k + 0.4, color=[MUTED, INK], linewidth=1.5)
        axes.axvline(1, color=PALE, zorder=0)
        axes.set_xlabel("speed, the vendor's library = 1; ticks: gate and goal")
        axes.set_title(f"tinydx on {machine.get('device', 'a GPU')}", loc="left")
        buffer = io.BytesIO()
        FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def write(folder: str | Path, machine: Mapping[str, str], rows: Sequence[Row]) -> None:
    """Write bench.json, bench.md and, where Matplotlib is installed, bench.png."""
    document = {"machine": dict(machine), "rows": [row._asdict() for row in rows]}
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(folder / "bench.json", json.dumps(document, indent=1) + "\n")
    atomic_write(folder / "bench.md", table(machine, rows))
    if importlib.util.find_spec("matplotlib"):
        atomic_write(folder / "bench.png", picture(machine, rows))
