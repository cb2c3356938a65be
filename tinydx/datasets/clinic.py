r"""Made-up patients of a table, so that there are numbers and words to learn from on any machine, offline.

    age            normal, 58 years on average, spread 16, from 18 to 95
    sex            f or m, half each
    smoking        never (.5), former (.3), current (.2)
    temperature    normal, 37.2 degrees on average, spread .8
    crp            e^n mg/l with n normal, 2 on average, spread 1; not measured (empty) in one row of ten
    ward           A or B, which say nothing

All are independent of each other. The chance of being ill has the log-odds

    z = -1.1 + .03 (age - 58) + .4 [m] + {0, .3, .8}_{smoking} + .8 t^2 + .6 (ln crp - 2) a,    t = (temperature - 37.2) / .8

with a = 1 for f and -.2 for m: cold is as bad as fever, and the CRP tells of women only. A sum of one weight for each column
cannot say either of the two, so that a linear model stays below the optimum, which `chance_of` has: no model can do better
than the chance itself.

These tables teach how a classifier is trained. A program computed them; they are of no patient and model no disease.

>>> rows = make_patients(3, seed=0)
>>> [row["label"] for row in rows], list(rows[0])
(['healthy', 'healthy', 'healthy'], ['patient', 'age', 'sex', 'smoking', 'temperature', 'crp', 'ward', 'label'])
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tinydx.datasets.synthetic import write_once

NOTICE = "Synthetic patients, computed by tinydx: of no patient, not for clinical use."
VERSION = 1  # of the patients: increase it when the same seed no longer gives the same ones
PATIENTS = 3000
SMOKING = {"never": 0.0, "former": 0.3, "current": 0.8}  # and their part of the log-odds
QUANTILES = 99  # of the CRP, over which `chance_of` averages where it was not measured


def make_patients(count: int, seed: int = 0) -> list[dict[str, str]]:
    """Rows of made-up patients, each a patient of its own.

    Arguments: count of rows; seed.
    Returns: the cells of each row by the name of their column, as they stand in a file.
    """
    rng, rows = np.random.default_rng(seed), []
    for i in range(count):
        row = {
            "patient": f"p{i + 1}",
            "age": str(round(float(np.clip(rng.normal(58, 16), 18, 95)))),
            "sex": "fm"[int(rng.integers(2))],
            "smoking": str(rng.choice(list(SMOKING), p=[0.5, 0.3, 0.2])),
            "temperature": f"{rng.normal(37.2, 0.8):.1f}",
            "crp": f"{np.exp(rng.normal(2, 1)):.1f}",
            "ward": "AB"[int(rng.integers(2))],
        }
        row["label"] = "ill" if rng.uniform() < chance_of(row) else "healthy"
        rows.append(row | {"crp": ""} if rng.uniform() < 0.1 else row)
    return rows


def chance_of(row: Mapping[str, str]) -> float:
    """The chance that a made-up patient is ill, given all that its row says: the best answer that there is.

    Arguments: row, its cells as `make_patients` returns them; without a CRP, the mean over all that it might have been.

    >>> row = {"age": "58", "sex": "f", "smoking": "never", "temperature": "37.2", "crp": f"{np.exp(2):.6f}"}
    >>> round(chance_of(row), 3), round(chance_of(row | {"temperature": "38.8"}), 3), round(chance_of(row | {"crp": ""}), 3)
    (0.25, 0.891, 0.265)
    """
    woman = row["sex"] == "f"
    t = (float(row["temperature"]) - 37.2) / 0.8
    crp = np.log(max(float(row["crp"]), 0.1)) - 2 if row["crp"] else _normal_quantiles()
    linear = -1.1 + 0.03 * (float(row["age"]) - 58) + 0.4 * (not woman) + SMOKING[row["smoking"]] + 0.8 * t**2
    z = np.asarray(linear + 0.6 * crp * (1 if woman else -0.2))
    return float(np.mean(1 / (1 + np.exp(-z))))


def _normal_quantiles() -> np.ndarray:
    """Numbers that stand for the standard normal distribution: equally spaced, each with its weight by repetition."""
    from statistics import NormalDist

    return np.array([NormalDist().inv_cdf((i + 0.5) / QUANTILES) for i in range(QUANTILES)])


def write_patients(directory: str | Path, count: int = PATIENTS, seed: int = 0) -> Path:
    """A folder with patients.csv, made unless it exists; see `write_once`.

    Arguments: directory; count of rows; seed.
    Returns: the table's path.
    """

    def write(folder: Path) -> None:
        rows = make_patients(count, seed)
        with open(folder / "patients.csv", "w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            table.writeheader()
            table.writerows(rows)

    facts = {"content": NOTICE, "version": VERSION, "count": count, "seed": seed}
    return write_once(directory, facts, "patients", write) / "patients.csv"
