"""What `tinydx diagnose` gives with its default options: a row for each data set and seed, beside its baseline, and their means.

    python -m tinydx.tasks.recipes DATA [DATA ...] [--also OTHER] [--limit N] [--seeds 0 1 2] [--folder FOLDER]

The rows are those of docs/results.md and docs/sounds_texts.md. Where DATA has no test part, every seed sets another one aside,
and says so. Each run is kept in FOLDER/DATA-SEED.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinydx import command
from tinydx.diagnosis.diagnose import diagnose

COLUMNS = (
    ("ROC AUC", "roc_auc"),
    ("accuracy", "accuracy"),
    ("balanced", "balanced"),
    ("baseline: ROC AUC", "baseline_roc_auc"),
    ("accuracy", "baseline_accuracy"),
    ("framed differently, validation", "shifted"),
    ("the baseline", "baseline_shifted"),
    ("elsewhere: ROC AUC", "elsewhere"),
    ("seconds", "seconds"),
)


def main(arguments: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Print a table in Markdown; returns its rows, the means last."""
    parser = argparse.ArgumentParser(prog="python -m tinydx.tasks.recipes", description=__doc__.split("\n")[0])
    parser.add_argument("data", nargs="+", help="as `tinydx diagnose --data` takes it")
    parser.add_argument("--also", action="append", default=[], help="other data with the same classes, for the finished models")
    parser.add_argument("--limit", type=int, help="use at most this many examples of each class in each part")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="default 0 1 2")
    parser.add_argument("--folder", default="recipes", help="where each run gets a folder of its own (default: recipes)")
    a = parser.parse_args(arguments)
    rows = []
    for path in a.data:
        mine = []
        for seed in a.seeds:
            began = time.perf_counter()
            folder = Path(a.folder) / f"{Path(path).stem}-{seed}"
            metrics = diagnose(path, limit=a.limit, seed=seed, also=a.also, output=folder)
            mine.append({"data": Path(path).stem, "seed": str(seed), **row(metrics), "seconds": time.perf_counter() - began})
        rows += [*mine, mean(mine)]
    print("\n" + table(rows))
    return rows


def row(metrics: dict[str, Any]) -> dict[str, Any]:
    """The figures of one run, from what `diagnose` returns; None where there is none.

    The baseline is the one that the model is compared with beside the majority; balanced is the mean recall of the classes.
    """
    table = np.array(metrics["confusion_matrix"])
    baseline = metrics["baselines"][-1]
    changes = metrics["validation"] or {"changes": [{}], "baseline": {}}
    other = metrics["elsewhere"]
    return {
        "roc_auc": metrics["roc_auc"],
        "accuracy": metrics["accuracy"],
        "balanced": float(np.mean(table.diagonal() / table.sum(axis=1))),
        "baseline_roc_auc": baseline["roc_auc"],
        "baseline_accuracy": baseline["accuracy"],
        "verdict": baseline["verdict"],
        "shifted": changes["changes"][0].get("roc_auc"),
        "baseline_shifted": changes["baseline"].get("roc_auc"),
        "elsewhere": other[0]["roc_auc"] if other else None,
    }


def mean(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The row of the means over seeds; a figure that some seed lacks has none."""
    found: dict[str, Any] = {"data": rows[0]["data"], "seed": "mean", "verdict": ""}
    for _, key in COLUMNS:
        values = [r[key] for r in rows]
        found[key] = None if None in values else float(np.mean(values))
    return found


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as a table in Markdown; the verdict on the baseline stands behind the baseline's accuracy.

    >>> print(table([mean([{"data": "a", "verdict": "better", **dict.fromkeys((k for _, k in COLUMNS), 0.5)}])]).split(" | ")[-1])
    0 |
    """
    columns = [name for name, key in COLUMNS if any(r[key] is not None for r in rows)]
    keys = [key for _, key in COLUMNS if any(r[key] is not None for r in rows)]
    lines = ["| " + " | ".join(["data", "seed", *columns]) + " |", "|---" * (len(columns) + 2) + "|"]
    for r in rows:
        cells = ["" if r[k] is None else f"{r[k]:.0f}" if k == "seconds" else f"{r[k]:.3f}" for k in keys]
        if r["verdict"]:
            cells[keys.index("baseline_accuracy")] += f" ({r['verdict']})"
        lines.append("| " + " | ".join([r["data"], r["seed"], *cells]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(command.run(main))
