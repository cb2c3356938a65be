"""What a trained network gives to another task with few images: its features, or its weights as a beginning.

    python -m tinydx.tasks.transfer DATA [--source DATA_OR_MODEL ...] [--images 50 200 1000] [--steps N]
        [--seeds 0 1 2 3 4] [--folder FOLDER]

DATA and each source are folders as `tinydx diagnose --data` takes them; a source may also be a model file, or "phantoms", which
are drawn. Per number of training images and seed, on the same images:

    pixels               logistic regression on the pixels
    random features      logistic regression on the features of a network that nobody has trained
    features of SOURCE   logistic regression on the features of the source's network, which stay as they are
    from scratch         the network `blocks`, trained from random weights
    fine-tuned SOURCE    the same network and steps, from the source's weights; only the last layer is new

A seed draws the images (the 50 are among the 200) and everything else that is random; where all images are used, seeds differ
in the rest only. The test part is fixed, of other patients, and chooses nothing: the steps are fixed, and the strength of a
regression is chosen on folds of the drawn images. Intervals are Student's over the seeds; "better" and "worse" go by the interval
of the paired differences on the same images. No interval holds what another test part would change. Each run's row is written at
once to FOLDER/rows.jsonl, and is not computed again; the figures are in FOLDER/transfer.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import tinydx
from tinydx import command
from tinydx.datasets.download import data_home
from tinydx.datasets.phantom import VERSION, write_phantom_folders
from tinydx.datasets.study import Examples, Study, joined
from tinydx.diagnosis import baselines, kinds, starting
from tinydx.diagnosis.kind import Options, Plan
from tinydx.evaluation import positive_class, probability_table, roc_auc
from tinydx.files import atomic_write
from tinydx.models import Model, load_model
from tinydx.validation.areas import over_sites

PHANTOMS, SCRATCH, PIXELS = "phantoms", "from scratch", "pixels"
BESIDE = (SCRATCH, PIXELS)  # what every way is compared with
SIZE = 48  # pixels, of all images
STEPS, BATCH = 150, 32  # of each training on the drawn images; a source gets the recipe's own schedule
SOURCE_STEPS, SOURCE_BATCH = 700, 64
FOLDS = 3  # of the drawn images, on which the strength of a regression is chosen
KIND = kinds.get("image")


class Target(NamedTuple):
    """The study of the target with all images that training may draw as its training part, and how networks are trained."""

    study: Study
    plan: Plan
    sources: dict[str, Any]  # name -> trained network


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Print a table in Markdown; returns what transfer.json holds."""
    parser = argparse.ArgumentParser(prog="python -m tinydx.tasks.transfer", description=__doc__.split("\n")[0])
    parser.add_argument("data", help="images of two classes, as `tinydx diagnose --data` takes them")
    parser.add_argument("--source", action="append", default=[], help="other images, a model of them, or phantoms")
    parser.add_argument(
        "--images", type=int, nargs="+", default=[50, 200, 1000], help="training images; all, where there are fewer"
    )
    parser.add_argument("--steps", type=int, default=STEPS, help=f"of each training on the drawn images (default {STEPS})")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="default 0 1 2 3 4")
    parser.add_argument("--folder", default="transfer", help="for sources, rows and figures (default: transfer)")
    a = parser.parse_args(arguments)
    folder = Path(a.folder)
    folder.mkdir(parents=True, exist_ok=True)
    study = divided(a.data)
    sources = {name: source_network(path, folder) for name, path in named(a.source).items()}
    for name, network in sources.items():
        if network.input_shape != (None, SIZE, SIZE, 1):
            raise ValueError(f"{name} takes inputs {network.input_shape}: this comparison is of grey images of {SIZE} pixels")
    rows = Rows(folder / "rows.jsonl", {"data": Path(a.data).name, "sources": list(sources), "steps": a.steps, "batch": BATCH})
    target = Target(study, plan_of(study, a.steps, BATCH), sources)
    for seed in a.seeds:
        for count in dict.fromkeys(min(n, len(study.train.y)) for n in sorted(a.images)):
            run(target, count, seed, rows)
    found = summary(rows.found, study)
    atomic_write(folder / "transfer.json", json.dumps(found, indent=1))
    print("\n" + table(found))
    return found


def named(paths: Sequence[str]) -> dict[str, str]:
    """A name for each source: its folder's, or its file's.

    >>> named(["phantoms", "data/nih", "kermany.safetensors"])
    {'phantoms': 'phantoms', 'nih': 'data/nih', 'kermany': 'kermany.safetensors'}
    """
    return {Path(path).stem: path for path in paths}


# ---- the data and the sources --------------------------------------------------------------------------------------


def divided(path: str) -> Study:
    """The study at a path: its test part is the folder `test`, else `val`, else set aside by patient; the rest is training.

    Raises: ValueError for other than two classes.
    """
    study = KIND.open_study(path, size=SIZE, limit=None, seed=0)
    if len(study.class_names) != 2:
        raise ValueError(f"{path} has {len(study.class_names)} classes: this comparison is of two")
    own = (Path(path) / "val").is_dir() and not (Path(path) / "test").is_dir()
    rest, study.test = (study.test, study.val) if own else (study.val, study.test)
    study.train, study.val = joined([study.train, rest]), rest.take(slice(0, 0))
    print(study.describe(), flush=True)
    return study


def plan_of(study: Study, steps: int, batch: int) -> Plan:
    """The recipe of the kind with these steps; images are grey."""
    plan = KIND.plan(study, Options(network="blocks", augment="framing", epochs=1, steps=steps, batch=batch))
    study.preprocessing["color_mode"] = "grayscale"
    return plan


def source_network(path: str, folder: Path) -> Any:
    """The network of a source: a model file, or trained once with the recipe and kept in the folder."""
    if Path(path).is_file():
        return load_model(path)
    kept = folder / f"source-{Path(path).stem}.safetensors"
    if kept.exists():
        return load_model(kept)
    phantoms = path == PHANTOMS
    study = KIND.open_study(str(phantom_folder()), size=SIZE, limit=None, seed=0) if phantoms else divided(path)
    began = time.perf_counter()
    network = trained(study, plan_of(study, SOURCE_STEPS, SOURCE_BATCH), 0)
    area = area_of(network, study)
    print(f"{path}: a network of {len(study.train.y)} images, ROC AUC {area:.3f} on its own test", end=" ")
    print(f"({time.perf_counter() - began:.0f} s)", flush=True)
    network.save(kept, include_optimizer=False)
    return network


def phantom_folder() -> Path:
    """Phantoms of the size of this comparison, drawn once."""
    return write_phantom_folders(data_home() / f"chest-phantoms-{SIZE}-v{VERSION}", size=SIZE)


# ---- the runs ------------------------------------------------------------------------------------------------------


class Rows:
    """The rows of finished runs, kept in a file, one line each; its first line says what they are of.

    Raises: ValueError where the file is of another comparison.
    """

    def __init__(self, path: Path, about: dict[str, Any]):
        self.path = path
        text = path.read_text() if path.exists() else ""
        whole = text[: text.rfind("\n") + 1]  # the last line of a process that was killed may be a part
        if whole != text:
            atomic_write(path, whole)
        lines = whole.splitlines()
        self.found = [json.loads(line) for line in lines[1:]]
        if not lines:
            atomic_write(path, json.dumps(about) + "\n")
        elif json.loads(lines[0]) != about:
            raise ValueError(f"{path} holds another comparison, {lines[0]}: give another --folder")

    def add(self, count: int, seed: int, how: str, compute: Callable[[], float]) -> None:
        """Compute a run's ROC AUC, unless it is known, and write its row."""
        if any((row["images"], row["seed"], row["how"]) == (count, seed, how) for row in self.found):
            return
        began = time.perf_counter()
        row = {"images": count, "seed": seed, "how": how, "roc_auc": compute(), "seconds": time.perf_counter() - began}
        self.found.append(row)
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(f"{count} images, seed {seed}, {how}: ROC AUC {row['roc_auc']:.3f} ({row['seconds']:.0f} s)", flush=True)


def run(target: Target, count: int, seed: int, rows: Rows) -> None:
    """All rows of a number of images and a seed."""
    here = drawn(target.study, count, seed)
    fresh = KIND.build(here, seeded(target.plan, seed))
    rows.add(count, seed, PIXELS, partial(regression, here, partial(KIND.features, here)))
    rows.add(count, seed, "random features", partial(regression, here, partial(features, fresh, here)))
    for name, network in target.sources.items():
        rows.add(count, seed, f"features of {name}", partial(regression, here, partial(features, network, here)))
    rows.add(count, seed, SCRATCH, partial(by_training, here, target.plan, seed))
    for name, network in target.sources.items():
        rows.add(count, seed, f"fine-tuned {name}", partial(by_training, here, target.plan, seed, network))


def by_training(study: Study, plan: Plan, seed: int, source: Any = None) -> float:
    """The ROC AUC of a network that is trained on the study's training images."""
    return area_of(trained(study, plan, seed, source), study)


def seeded(plan: Plan, seed: int) -> Plan:
    """The plan, after the engine's generator got the seed."""
    tinydx.set_seed(seed)
    return plan


def drawn(study: Study, count: int, seed: int) -> Study:
    """The study with that many of its training images; fewer images are among more of the same seed.

    Raises: ValueError where only one class is among them.
    """
    rows = np.random.default_rng(seed).permutation(len(study.train.y))[:count]
    part = study.train.take(rows)
    if len(np.unique(part.y)) < 2:
        raise ValueError(f"{count} images drawn with seed {seed} are all of one class: draw more")
    return Study(**{**vars(study), "train": part})


def trained(study: Study, plan: Plan, seed: int, source: Any = None) -> Any:
    """A network trained on the study's training images; from the weights of a source, if one is given."""
    network = KIND.build(study, seeded(plan, seed))
    if source is not None:
        network = starting.begun(source, network.optimizer, len(study.class_names))
    network.fit(KIND.training_batches(study, plan, seed), epochs=plan.epochs, steps_per_epoch=plan.steps, verbose=0)
    return network


def area_of(network: Any, study: Study) -> float:
    """The ROC AUC of a network on the test part."""
    return area(study, network.predict(KIND.plain_batches(study, study.test, 64)))


def area(study: Study, p: np.ndarray) -> float:
    """The ROC AUC of probabilities (N,), (N,1) or (N,2) of the test part."""
    positive = positive_class(study.class_names)
    return float(roc_auc(study.test.y == positive, probability_table(p, study.class_names)[:, positive]))


def features(network: Any, study: Study, part: Examples) -> np.ndarray:
    """What the last layer of a network takes, of some examples: (N,D)."""
    return Model(network.input, network.layers[-1].input).predict(KIND.plain_batches(study, part, 64))


def regression(study: Study, numbers: Callable[[Examples], np.ndarray]) -> float:
    """The ROC AUC of logistic regression on numbers of each image; its strength is chosen on folds of the training images."""
    x, test = (np.asarray(numbers(part), np.float32) for part in (study.train, study.test))
    y, learner = study.train.y, baselines.usual_learner()[0]
    fold = np.empty(len(y), int)
    for k in (0, 1):
        fold[y == k] = np.arange(np.sum(y == k)) % FOLDS
    losses = np.zeros(len(baselines.STRENGTHS))
    for f in range(FOLDS):
        fitted, held = baselines.standardised(x[fold != f], x[fold == f])
        for i, predict in enumerate(learner(fitted, y[fold != f], 2)):
            losses[i] -= np.log(np.maximum(predict(held)[np.arange(len(held)), y[fold == f]], 1e-7)).sum()
    fitted, held = baselines.standardised(x, test)
    answers = [predict(held) for predict in learner(fitted, y, 2)]
    return area(study, answers[int(losses.argmin())])


# ---- in figures ----------------------------------------------------------------------------------------------------


def summary(rows: Sequence[dict[str, Any]], study: Study) -> dict[str, Any]:
    """Mean and interval over seeds for each way and number of images, and the paired comparisons with `BESIDE`."""
    cells = []
    for count in sorted({row["images"] for row in rows}):
        mine = [row for row in rows if row["images"] == count]
        for how in dict.fromkeys(row["how"] for row in mine):
            areas = by_seed(mine, how)
            mean, interval = over_sites(list(areas.values()))
            beside = {other: difference(areas, by_seed(mine, other)) for other in BESIDE if other != how}
            cells.append(
                {
                    "images": count,
                    "how": how,
                    "seeds": len(areas),
                    "roc_auc": mean,
                    "roc_auc_interval": interval,
                    "beside": beside,
                }
            )
    return {"data": study.source, "test": len(study.test.y), "pool": len(study.train.y), "cells": cells, "rows": list(rows)}


def by_seed(rows: Sequence[dict[str, Any]], how: str) -> dict[int, float]:
    """The ROC AUC of each seed."""
    return {row["seed"]: row["roc_auc"] for row in rows if row["how"] == how}


def difference(mine: dict[int, float], other: dict[int, float]) -> dict[str, Any] | None:
    """The mean difference on the same seeds, Student's interval, and a verdict; None with fewer than two seeds.

    >>> difference({0: 0.8, 1: 0.9, 2: 0.85}, {0: 0.7, 1: 0.81, 2: 0.74})["verdict"]
    'better'
    >>> difference({0: 0.8, 1: 0.9}, {0: 0.7, 1: 0.95})["verdict"]
    "can't tell"
    """
    shared = sorted(set(mine) & set(other))
    mean, ends = over_sites([mine[seed] - other[seed] for seed in shared], least=-1.0) if shared else (0.0, None)
    if ends is None:
        return None
    verdict = "better" if ends[0] > 0 else "worse" if ends[1] < 0 else "can't tell"
    return {"difference": mean, "interval": ends, "verdict": verdict}


def table(found: dict[str, Any]) -> str:
    """The cells in Markdown: for each number of images a table, a row for each way."""
    blocks = []
    for count in sorted({cell["images"] for cell in found["cells"]}):
        cells = [cell for cell in found["cells"] if cell["images"] == count]
        lines = [
            f"| {count} images, {cells[0]['seeds']} seeds | ROC AUC | beside from scratch | beside pixels |",
            "|---|---|---|---|",
        ]
        blocks.append("\n".join([*lines, *(in_words(cell) for cell in cells)]))
    return "\n\n".join(blocks)


def in_words(cell: dict[str, Any]) -> str:
    """A cell as a row of the table: the ROC AUC and the differences, with their intervals."""
    span = "" if cell["roc_auc_interval"] is None else " ({:.3f} to {:.3f})".format(*cell["roc_auc_interval"])
    words = [cell["how"], f"{cell['roc_auc']:.3f}{span}"]
    for other in BESIDE:
        found = cell["beside"].get(other)
        low, high = found["interval"] if found else (0, 0)
        words.append(f"{found['difference']:+.3f} ({low:+.3f} to {high:+.3f}): {found['verdict']}" if found else "")
    return "| " + " | ".join(words) + " |"


if __name__ == "__main__":
    sys.exit(command.run(main))
