"""Several modalities together, beside each alone: three generated cases whose best answer is known, and real signals.

    python -m tinydx.tasks.fusion [--data FOLDER] [--seeds N] [--train N]

Generated (`tinydx/datasets/several.py`): two signals, exclusive or, one is noise; for each seed new patients. With --data, a
folder that holds the public sets, also

    chest + heart    a PneumoniaMNIST image and a heart sound (PhysioNet/CinC 2016, site a) of the same label: MADE-UP patients,
                     nobody had both recorded. Each sound and each image belongs to one patient, hence to one split.
    chest + table    a PneumoniaMNIST image, and an age and a sex that a program drew: the ill are 10 years older on average

Every model is fitted on train, its epoch and calibration are chosen on val, and it looks at test once. An interval is that of the
mean over the seeds (Student's t, 95 %); the last column counts the seeds in which DeLong's test on the same patients tells the
fusion from the better one alone, better or worse.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinydx import command, fusion
from tinydx.datasets.several import GENERATORS, age_and_sex
from tinydx.datasets.study import hold_out
from tinydx.diagnosis.kinds.sound import RATE, summaries
from tinydx.diagnosis.networks import small_cnn
from tinydx.evaluation import roc_auc
from tinydx.fusion.fitting import dense
from tinydx.preprocessing.class_folders import check_each
from tinydx.preprocessing.sound import find_sounds, load_samples
from tinydx.validation import delong_test

TRAIN, VAL, TEST = 2000, 1000, 4000  # generated patients
PATIENTS = 1200  # of chest + table: half to train, a quarter to choose, a quarter to test
T = {2: 12.71, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}  # 97.5 % points for N seeds
LEVEL = 0.05  # of DeLong's test
CLASSES = ("normal", "abnormal")


class Split(NamedTuple):
    """The patients of one seed, and the best possible score of the test patients, where it is known."""

    train: fusion.Cases
    val: fusion.Cases
    test: fusion.Cases
    best: np.ndarray | None = None


def generated(name: str, seed: int, train: int = TRAIN) -> Split:
    """New patients of a generated case."""
    parts = [GENERATORS[name](count, 10 * seed + i) for i, count in enumerate((train, VAL, TEST))]
    cases = [fusion.Cases(part.x, part.y) for part in parts]
    return Split(cases[0], cases[1], cases[2], parts[2].best)


def areas(split: Split, seed: int, networks: dict[str, Any] | None = None) -> dict[str, Any]:
    """The ROC AUC on the test patients of each modality alone and of each fusion; how these compare with the better one alone.

    A modality alone is its own calibrated model, as late fusion has it. The better one alone is that of the validation patients.
    """
    y, rows, verdicts = split.test.y, dict[str, float](), dict[str, str]()
    models = {how: fusion.fit(how, split.train, split.val, networks=networks, seed=seed) for how in fusion.FUSIONS}
    alone, on_validation = {}, {}
    for name in split.test.names:
        others = [other for other in split.test.names if other != name]
        alone[name] = fusion.probabilities(models["late"], split.test.without(*others))[:, 1]
        on_validation[name] = roc_auc(split.val.y, fusion.probabilities(models["late"], split.val.without(*others))[:, 1])
        rows[f"{name} alone"] = roc_auc(y, alone[name])
    better = alone[max(on_validation, key=lambda name: on_validation[name])]
    for how, model in models.items():
        score = fusion.probabilities(model, split.test)[:, 1]
        rows[how] = roc_auc(y, score)
        told = delong_test(y, score, better) < LEVEL
        verdicts[how] = ("better" if rows[how] > roc_auc(y, better) else "worse") if told else "can't tell"
    if split.best is not None:
        rows["best possible"] = roc_auc(y, split.best)
    return {"areas": rows, "verdicts": verdicts}


# ---- real signals --------------------------------------------------------------------------------------------------


def read_sounds(data: Path) -> tuple[np.ndarray, np.ndarray]:
    """Summaries float32 (N,160) of the heart sounds of site a, and their classes (N,)."""
    folder = data / "heart_sounds_physionet2016" / "training-a_10s_wav"
    found = find_sounds(folder, list(CLASSES))
    files = [(folder / path, k) for k, name in enumerate(CLASSES) for path in found[name]]
    samples = check_each(files, lambda file: load_samples(file[0], RATE, 10))
    return summaries(np.array(samples))[0], np.array([k for _, k in files])


def read_images(data: Path) -> tuple[np.ndarray, np.ndarray]:
    """PneumoniaMNIST images float32 (N,28,28,1), each with mean 0 and deviation 1, and their classes (N,)."""
    with np.load(data / "pneumoniamnist_trainval" / "pneumoniamnist.npz") as arrays:
        x = np.concatenate([arrays[f"{part}_images"] for part in ("train", "val")]).astype(np.float32)[..., None]
        y = np.concatenate([arrays[f"{part}_labels"] for part in ("train", "val")]).ravel().astype(np.int64)
    x -= x.mean(axis=(1, 2, 3), keepdims=True)
    return x / np.maximum(x.std(axis=(1, 2, 3), keepdims=True), 1e-3), y


def chest_and_heart(images: Any, sounds: Any, seed: int) -> Split:
    """A made-up patient for each sound, with an image of the same label that nobody else has."""
    rng, (x, y), (heard, labels) = np.random.default_rng(seed), images, sounds
    chosen = np.empty(len(labels), np.int64)
    for k in np.unique(labels):
        rows = labels == k
        chosen[rows] = rng.permutation(np.flatnonzero(y == k))[: rows.sum()]
    return _divided({"image": x[chosen], "sound": heard}, labels, seed)


def chest_and_table(images: Any, seed: int) -> Split:
    """Some of the images, each with an age and a sex that `age_and_sex` makes up."""
    x, y = images
    rows = np.random.default_rng(seed).permutation(len(y))[:PATIENTS]
    made = age_and_sex(y[rows], seed)
    numbers = np.stack([made["age"], made["sex"]], axis=1)
    return _divided({"image": x[rows], "table": numbers}, y[rows], seed)


def _divided(x: dict[str, np.ndarray], y: np.ndarray, seed: int) -> Split:
    """Half of the patients to train, a quarter each to choose and to test; numbers scaled by those of train."""
    (rest, labels), (test, _) = hold_out(np.arange(len(y)), y, 0.25, seed)
    (train, _), (val, _) = hold_out(rest, labels, 1 / 3, seed)
    for name, values in x.items():
        if values.ndim == 2:
            mean, spread = values[train].mean(axis=0), np.maximum(values[train].std(axis=0), 1e-3)
            x[name] = ((values - mean) / spread).astype(np.float32)
    parts = [fusion.Cases({name: values[rows] for name, values in x.items()}, y[rows]) for rows in (train, val, test)]
    return Split(parts[0], parts[1], parts[2])


# ---- the table -----------------------------------------------------------------------------------------------------


def summary(title: str, found: Sequence[dict[str, Any]]) -> list[str]:
    """The rows of one case: mean over the seeds, interval, and in how many seeds a fusion is told from the better one alone."""
    names = sorted(found[0]["areas"], key=lambda name: (name in fusion.FUSIONS, name == "best possible"))
    lines = []
    for name in names:
        values = np.array([row["areas"][name] for row in found])
        half = T[len(values)] * values.std(ddof=1) / math.sqrt(len(values)) if len(values) in T else math.nan
        interval = "one seed" if math.isnan(half) else f"{values.mean() - half:.3f} to {values.mean() + half:.3f}"
        told = ""
        if name in fusion.FUSIONS:
            verdicts = [row["verdicts"][name] for row in found]
            told = ", ".join(f"{verdict} in {verdicts.count(verdict)}" for verdict in ("better", "worse", "can't tell"))
        lines.append(f"| {title} | {name} | {values.mean():.3f} | {interval} | {told} |")
    return lines


def run(data: Path | None, seeds: int, train: int = TRAIN) -> list[str]:
    """Fit, print and return the lines of the table in Markdown."""
    lines = ["| case | model | ROC AUC | 95 % over seeds | against the better one alone |", "|---|---|---|---|---|"]
    print("\n".join(lines), flush=True)

    def case(title: str, splits: Any, networks: dict[str, Any] | None = None) -> None:
        found = [areas(split, seed, networks) for seed, split in enumerate(splits)]
        lines.extend(summary(title, found))
        print("\n".join(lines[-len(found[0]["areas"]) :]), flush=True)

    for name in GENERATORS:
        case(name, (generated(name, seed, train) for seed in range(seeds)))
    if data is not None:
        images, sounds = read_images(data), read_sounds(data)
        networks: dict[str, Any] = {"image": small_cnn, "sound": dense}
        case("chest + heart (made-up patients)", (chest_and_heart(images, sounds, s) for s in range(seeds)), networks)
        case("chest + table (made-up ages)", (chest_and_table(images, s) for s in range(seeds)), networks)
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tinydx.tasks.fusion", description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, help="folder of the public sets (default: generated cases only)")
    parser.add_argument("--seeds", type=int, choices=range(2, 11), default=5, metavar="N", help="2 to 10 (default 5)")
    parser.add_argument("--train", type=int, default=TRAIN, metavar="N", help=f"generated training patients (default {TRAIN})")
    a = parser.parse_args(arguments)
    return command.run(lambda: run(a.data, a.seeds, a.train) and 0)


if __name__ == "__main__":
    sys.exit(main())
