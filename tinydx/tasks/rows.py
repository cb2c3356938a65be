"""Rows of a table: the hidden layer, the line, logistic regression and the best possible answer, on two made-up worlds.

    python -m tinydx.tasks.rows                    takes about three minutes

In `tinydx/datasets/clinic.py`'s world cold is as bad as fever and the CRP tells of women only, which no sum over columns can say;
in the other world the log-odds are such a sum, so that a line is the best there is. Each network is the one of
`tinydx diagnose --kind table`, with its own schedule; every seed draws new patients for training, validation (15 % as many) and
test (2,000).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinydx import command, random
from tinydx.datasets.clinic import chance_of, make_patients
from tinydx.datasets.study import Examples, Study
from tinydx.datasets.table import Row
from tinydx.diagnosis import baselines, fitting
from tinydx.diagnosis.kind import Options
from tinydx.diagnosis.kinds.table import KIND
from tinydx.evaluation import roc_auc
from tinydx.validation.areas import over_sites

SIZES, TEST = (100, 400, 2000), 2000  # training rows, test rows
WEIGHTS = {"a": 1.0, "b": -0.6, "c": 0.3, "d": 0.0, "e": 0.0}  # of the world whose log-odds are a sum
NUMBERS = ("age", "temperature", "crp")


def main(argv: Sequence[str] | None = None) -> int:
    """Print the mean ROC AUC of each answer over the seeds, and the network's difference from logistic regression."""
    parser = argparse.ArgumentParser(prog="python -m tinydx.tasks.rows", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=5, help="how often everything is drawn and trained anew (default 5)")
    a = parser.parse_args(argv)
    print(f"{'world':<10}{'rows':>6}  {'best':>5}  {'mlp':>5}  {'linear':>6}  {'LR':>5}  mlp - LR (95 % interval)")
    for name, world in WORLDS.items():
        for rows in SIZES:
            found = np.array([areas(world(rows, seed), seed) for seed in range(a.seeds)])
            best, mlp, linear, regression = found.mean(axis=0)
            gap, ends = over_sites((found[:, 1] - found[:, 3]).tolist(), least=-1.0)  # by Student's t
            interval = "not known" if ends is None else f"{ends[0]:+.3f} to {ends[1]:+.3f}"
            figures = f"{best:.3f}  {mlp:.3f}  {linear:>6.3f}  {regression:.3f}  {gap:+.3f} ({interval})"
            print(f"{name:<10}{rows:>6}  {figures}", flush=True)
    return 0


World = tuple[list[Row], np.ndarray, np.ndarray]  # rows, classes, chances


def patients(count: int, seed: int) -> World:
    """Made-up patients of `tinydx.datasets.clinic`."""
    made = make_patients(count, seed)
    return (
        [_row(row) for row in made],
        np.array([int(row["label"] == "ill") for row in made]),
        np.array([chance_of(row) for row in made]),
    )


def _row(cells: dict[str, str]) -> Row:
    """The cells of a file as a model's row."""
    known = {name: cell or None for name, cell in cells.items() if name not in ("patient", "label")}
    return Row({name: float(cell) if cell and name in NUMBERS else cell for name, cell in known.items()})


def sums(count: int, seed: int) -> World:
    """Five normal numbers, whose weighted sum is the log-odds."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, len(WEIGHTS)))
    chance = 1 / (1 + np.exp(-x @ list(WEIGHTS.values())))
    rows = [Row(dict(zip(WEIGHTS, map(float, v), strict=True))) for v in x]
    return rows, (rng.uniform(size=count) < chance).astype(int), chance


WORLDS = {
    "patients": lambda rows, seed: patients(int(1.15 * rows) + TEST, seed),
    "sums": lambda rows, seed: sums(int(1.15 * rows) + TEST, seed),
}


def areas(world: World, seed: int) -> list[float]:
    """The areas on the last `TEST` rows: of the chances themselves, the hidden layer, the line, and logistic regression."""
    rows, y, chance = world
    x = np.empty(len(rows), object)
    x[:] = rows
    rest = len(rows) - TEST
    cuts = slice(0, round(rest / 1.15)), slice(round(rest / 1.15), rest), slice(rest, None)
    words = {name for row in rows for name, cell in row.cells.items() if isinstance(cell, str)}
    how = {"columns": {name: {"kind": "category" if name in words else "number"} for name in rows[0].cells}}
    train, val, test = (Examples(x[cut], y[cut]) for cut in cuts)
    study = KIND.learn_reading(Study("rows", ["healthy", "ill"], train, val, test, False, [], how, "rows", ""))
    found = [roc_auc(y[cuts[2]], chance[cuts[2]])]
    for network in KIND.networks:
        random.set_seed(seed)
        plan = KIND.plan(study, Options(network=network))
        with tempfile.TemporaryDirectory() as folder:
            model = fitting.train_one(KIND, study, plan, seed, Path(folder, "rows.run"), verbose=0)[0]
        found.append(roc_auc(study.test.y, model.predict(KIND.plain_batches(study, study.test, 64))[:, 0]))
    table = baselines.logistic_regression(KIND, study, seed)[0].table
    assert table is not None
    return [*found, roc_auc(study.test.y, table[:, 1])]


if __name__ == "__main__":
    sys.exit(command.run(main))
