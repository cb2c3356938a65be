"""How often the report warns of inputs that differ, where nothing differs, and where something does.

    python -m tinydx.tasks.false_alarms FOLDER [--other FOLDER] [--draws 200] [--seed 0]

FOLDER's patients are divided into two halves at random, again and again. One half stands for the training images, some of the
other half's for new ones: each warning is a false alarm. For images of --other each warning is right. The second line of a pair
leaves out the sizes of files. No model is trained.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

import numpy as np

from tinydx import command
from tinydx.datasets.owners import owned
from tinydx.datasets.study import Examples
from tinydx.diagnosis import inputs, kinds
from tinydx.diagnosis.inputs import Inputs
from tinydx.validation.splits import patients_of

COUNTS = (5, 20, 100, 500)  # new images
SIZES = ("file size", "file shape")


def main(arguments: Sequence[str] | None = None) -> dict[tuple[str, int], float]:
    """Print a table; returns the share of draws with a warning, by set and number of new images."""
    parser = argparse.ArgumentParser(prog="python -m tinydx.tasks.false_alarms", description=__doc__.split("\n")[0])
    parser.add_argument("folder", help="class folders, of images, sounds or texts")
    parser.add_argument("--other", help="the same classes from another place")
    parser.add_argument("--draws", type=int, default=200, help="divisions for each number of new images (default 200)")
    parser.add_argument("--seed", type=int, default=0, help="of the divisions (default 0)")
    a = parser.parse_args(arguments)
    kind = kinds.get(kinds.guess(a.folder))
    study = kind.open_study(a.folder, size=None, limit=None, seed=a.seed)
    names, how = study.class_names, study.preprocessing

    def everything(part: Examples) -> Inputs:
        columns = kind.statistics(part, how)
        return Inputs(list(columns), np.column_stack(list(columns.values())), part.y)

    whole = owned(kind.open_labelled(a.folder, names, how), a.folder)
    mine, patients = everything(whole), patients_of(whole)
    found = _report("same place", lambda rng: _halves(mine, patients, rng), a.draws, a.seed)
    if a.other:
        theirs = everything(kind.open_labelled(a.other, names, how))
        found |= _report("other place", lambda rng: (mine, theirs), max(20, a.draws // 10), a.seed)
        bare, other = (_without(values, SIZES) for values in (mine, theirs))
        found |= _report("other, no sizes", lambda rng: (bare, other), max(20, a.draws // 10), a.seed)
    return found


def _report(name: str, pair: Callable[..., tuple[Inputs, Inputs]], draws: int, seed: int) -> dict[tuple[str, int], float]:
    """Print and return the share of draws in which the rules fire."""
    found = {}
    for count in COUNTS:
        alarms = 0
        for i in range(draws):
            rng = np.random.default_rng([seed, i])
            train, new = pair(rng)
            if len(new.classes) < count:
                break
            alarms += bool(inputs.differences(_some(train, inputs.MOST, rng), _some(new, count, rng)))
        else:
            found[name, count] = alarms / draws
            print(f"{name:<16} {count:>4} new: {alarms:>3} of {draws} draws with a warning", flush=True)
    return found


def _halves(values: Inputs, patients: np.ndarray, rng: np.random.Generator) -> tuple[Inputs, Inputs]:
    order = rng.permutation(np.unique(patients))
    first = np.isin(patients, order[: len(order) // 2])
    return tuple(Inputs(values.names, values.rows[half], values.classes[half]) for half in (first, ~first))  # type: ignore[return-value]


def _some(values: Inputs, most: int, rng: np.random.Generator) -> Inputs:
    rows = rng.permutation(len(values.classes))[:most]
    return Inputs(values.names, values.rows[rows], values.classes[rows])


def _without(values: Inputs, names: Sequence[str]) -> Inputs:
    kept = [i for i, name in enumerate(values.names) if name not in names]
    return Inputs([values.names[i] for i in kept], values.rows[:, kept], values.classes)


if __name__ == "__main__":
    sys.exit(command.run(main))
