"""Which network? `--choose` compares those of a kind on folds of the training part, and takes the smallest that will do.

    train and val together --patients--> 3 folds;  for each network and fold:
        fit on the other two folds, part of which decides the best epoch  ->  probabilities of the fold
    every example is thus predicted by each network, trained without its patient: as another place might have recorded it, once
    for each kind of change that the kind of data states (`Kind.shifted`), else as it is
    best = the highest ROC AUC (several classes: accuracy);  the smallest network that cannot be told from it is chosen

Two networks cannot be told apart where the 95 % interval of their difference, over patients drawn with replacement, holds zero.
The folds share most of their training patients, so that intervals are widened as `tinydx.validation.areas` says: by the root of
1 + k / (k - 1) for k folds.
The test examples have no part in it: they judge the chosen network, which is trained anew on all training examples. That figure
is the one to report; those of the comparison have chosen.

With fewer examples more networks cannot be told apart, and a smaller one is chosen. Vocabularies and scales are learnt anew from
the examples that are fitted. At most 1,500 examples take part, so that the comparison takes minutes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

import tinydx
from tinydx import evaluation
from tinydx.datasets.study import Examples, Study, joined
from tinydx.diagnosis.kind import Kind, Options, Plan
from tinydx.validation.splits import folds_of, patients_of

FOLDS, MOST, VALIDATION = 3, 1500, 6  # folds; examples that take part; a sixth of the fitted examples decides the best epoch
DRAWS = 500  # of patients, for the intervals
LEVEL = 0.95

Train = Callable[[Study, Plan, int], Any]  # a study, how to train, a seed -> the trained model


class Predicted(NamedTuple):
    """What a network says of all examples, each predicted in the fold that left it out."""

    table: np.ndarray  # (C N,K): N examples under C changes, or as they are
    parameters: int
    seconds: float  # of training, all folds together


def choose(kind: Kind, study: Study, options: Options, train: Train, seed: int = 0) -> dict[str, Any]:
    """Compare the networks of a kind on folds of the training part.

    Arguments: kind; study, whose test examples are not used; options of the diagnosis, whose network is left open; train; seed
    of folds and training.
    Returns: network, the chosen one; measure, "roc_auc" or "accuracy"; rows, one for each network, the smallest first: network,
    parameters, seconds, roc_auc, accuracy, each with `<key>_interval`, difference to the best with difference_interval,
    told_apart, chosen; sentence; count, folds, seed; changes, of the
    examples on which networks are compared.
    Raises: ValueError for a kind with a single network, and for fewer patients of a class than folds.
    """
    if len(kind.networks) < 2:
        raise ValueError(f"there is only one network for {kind.noun}: nothing to choose from")
    pool = joined([study.train, study.val])
    fold, patients = folds_of(pool, FOLDS, seed, patients_of(pool))
    taken = _some(pool.y, patients, MOST, seed)
    pool, fold, patients = pool.take(taken), fold[taken], patients[taken]
    predicted = {}
    for network in kind.networks:
        print(f"Comparing networks: {network} ({FOLDS} folds of {len(pool.y)} {kind.noun}) ...", flush=True)
        predicted[network] = _predict_folds(kind, study, options._replace(network=network), train, (pool, fold, patients), seed)
    changes = [] if study.synthetic else list(kind.changes)
    y, fold, patients = (np.tile(v, max(1, len(changes))) for v in (pool.y, fold, patients))
    choice = decide(predicted, y, fold, patients, seed)
    if changes:
        choice["sentence"] += f" All this on {kind.noun} {' or '.join(changes)}, since what holds there counts."
    return choice | {"count": len(pool.y), "folds": FOLDS, "seed": seed, "changes": changes}


def _predict_folds(
    kind: Kind, study: Study, options: Options, train: Train, data: tuple[Examples, np.ndarray, np.ndarray], seed: int
) -> Predicted:
    """A network's probabilities for every example, changed if the kind states changes, by models that did not see its patient."""
    pool, fold, patients = data
    changes = 1 if study.synthetic else max(1, len(kind.changes))
    table = np.empty((changes, len(pool.y), len(study.class_names)))
    seconds, parameters = 0.0, 0
    for f in np.unique(fold):
        fitted = np.flatnonzero(fold != f)
        inner, _ = folds_of(pool.take(fitted), VALIDATION, seed, patients[fitted])
        parts = [pool.take(rows) for rows in (fitted[inner != 0], fitted[inner == 0], fold == f)]
        here = kind.learn_reading(replace(study, train=parts[0], val=parts[1], test=parts[2]))
        began = time.perf_counter()
        tinydx.set_seed(seed)
        plan = kind.plan(here, options)
        model = train(here, plan, seed)
        seconds += time.perf_counter() - began
        parameters = model.count_params()
        changed = None if study.synthetic else kind.shifted(here, here.test, seed)
        outputs = model.predict(kind.plain_batches(here, changed or here.test, plan.batch))
        answers = evaluation.probability_table(outputs, study.class_names)
        table[:, fold == f] = answers.reshape(changes, -1, answers.shape[1])
    return Predicted(table.reshape(-1, table.shape[2]), parameters, seconds)


# ---- the decision --------------------------------------------------------------------------------------------------


def decide(
    predicted: dict[str, Predicted], y: np.ndarray, fold: np.ndarray, patients: np.ndarray, seed: int = 0
) -> dict[str, Any]:
    """The smallest network that cannot be told from the best.

    Arguments: predicted, for each network; y (N,), class numbers; fold (N,); patients (N,), a number for each example's patient;
    seed of the draws.
    Returns: as `choose`.

    >>> y = np.arange(200) % 2
    >>> good, bad = (np.clip(0.5 + s * (y - 0.5) + 0.3 * np.sin(np.arange(200)), 0.01, 0.99) for s in (0.4, 0.05))
    >>> tables = {name: np.stack([1 - p, p], axis=1) for name, p in (("large", good), ("middle", good), ("small", bad))}
    >>> sizes = {"large": 1000, "middle": 100, "small": 10}
    >>> found = decide({k: Predicted(t, sizes[k], 1.0) for k, t in tables.items()}, y, y * 0, np.arange(200))
    >>> found["network"], [row["network"] for row in found["rows"] if row["told_apart"]]
    ('middle', ['small'])
    """
    classes = next(iter(predicted.values())).table.shape[1]
    measure = "roc_auc" if classes == 2 else "accuracy"
    scores = {"roc_auc": _area, "accuracy": _accuracy}
    draws, folds = _draws(fold, patients, seed), len(np.unique(fold))
    rows = []
    for name, found in sorted(predicted.items(), key=lambda item: item[1].parameters):
        row: dict[str, Any] = {"network": name, "parameters": found.parameters, "seconds": round(found.seconds, 1)}
        for key, score in scores.items():
            row[key] = score(y, found.table, fold)
            drawn = np.array([score(y[d], found.table[d], fold[d]) for d in draws]) if key == measure or classes == 2 else None
            row[f"{key}_interval"] = None if drawn is None else _interval(drawn, row[key], folds)
            row[f"_{key}"] = drawn
        rows.append(row)
    best = max(rows, key=lambda row: row[measure])
    for row in rows:
        row["difference"] = best[measure] - row[measure]
        row["difference_interval"] = _interval(best[f"_{measure}"] - row[f"_{measure}"], row["difference"], folds)
        row["told_apart"] = row["difference_interval"][0] > 0
    chosen = next(row for row in rows if not row["told_apart"])
    for row in rows:
        row["chosen"] = row is chosen
        del row["_roc_auc"], row["_accuracy"]
    return {"network": chosen["network"], "measure": measure, "rows": rows, "sentence": _sentence(chosen, best, rows[0], measure)}


def _area(y: np.ndarray, table: np.ndarray, fold: np.ndarray) -> float:
    """The mean over the folds of the ROC AUC within each: probabilities of different models are not ranked together."""
    areas = []
    for f in np.unique(fold):
        rows = fold == f
        if len(np.unique(y[rows])) == table.shape[1]:
            areas.append(
                evaluation.roc_auc(y[rows], table[rows, 1]) if table.shape[1] == 2 else evaluation.macro_auc(y[rows], table[rows])
            )
    return float(np.mean(areas)) if areas else float("nan")


def _accuracy(y: np.ndarray, table: np.ndarray, fold: np.ndarray) -> float:
    return float(np.mean(evaluation.called_class(table) == y))


def _draws(fold: np.ndarray, patients: np.ndarray, seed: int) -> list[np.ndarray]:
    """Rows of examples whose patients are drawn with replacement, within each fold."""
    rng = np.random.default_rng(seed)
    order = np.argsort(patients, kind="stable")
    rows = np.split(order, np.flatnonzero(np.diff(patients[order])) + 1)  # of each patient
    of_fold = [[r for r in rows if fold[r[0]] == f] for f in np.unique(fold)]
    return [
        np.concatenate([group[i] for group in of_fold for i in rng.integers(len(group), size=len(group))]) for _ in range(DRAWS)
    ]


def _interval(drawn: np.ndarray, value: float, folds: int) -> list[float]:
    """The quantiles of the drawn values, farther from the value by the correction for folds."""
    wider = math.sqrt(1 + folds / (folds - 1)) if folds > 1 else 1.0
    return [float(value + wider * (v - value)) for v in np.nanquantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])]


def _sentence(chosen: dict[str, Any], best: dict[str, Any], smallest: dict[str, Any], measure: str) -> str:
    """The choice and its reason."""
    name = measure.replace("roc_auc", "ROC AUC")
    size = f"{chosen['parameters']:,} parameters"
    if chosen is best:
        why = "it is also the smallest" if chosen is smallest else "every smaller network is worse"
        return f"Chosen: {chosen['network']} ({size}), the best by {name}, {best[measure]:.3f}; {why}."
    low, high = chosen["difference_interval"]
    return (
        f"Chosen: {chosen['network']} ({size}). The best by {name}, {best['network']} ({best['parameters']:,} parameters), has "
        f"{best[measure]:.3f}, {chosen['difference']:.3f} more, from which it cannot be told apart (95 % interval of the "
        f"difference {low:.3f} to {high:.3f})."
    )


def words(choice: dict[str, Any]) -> list[str]:
    """The comparison as lines of a table, and its sentence."""
    columns = "  {0:<10} {1:>11} {2:>8}  {3:<20} {4:<20} {5}"
    lines = [columns.format("network", "parameters", "seconds", "ROC AUC", "accuracy", "")]
    for row in choice["rows"]:
        mark = "chosen" if row["chosen"] else ("worse than the best" if row["told_apart"] else "not told from the best")
        figures = [_figure(row, key) for key in ("roc_auc", "accuracy")]
        lines.append(columns.format(row["network"], f"{row['parameters']:,}", f"{row['seconds']:.0f}", *figures, mark))
    return [*lines, choice["sentence"]]


def _figure(row: dict[str, Any], key: str) -> str:
    interval = row[f"{key}_interval"]
    return f"{row[key]:.3f}" + (f" ({interval[0]:.3f}-{interval[1]:.3f})" if interval else "")


def _some(y: np.ndarray, patients: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Rows of at most about `most` examples, whole patients, drawn at random."""
    if len(y) <= most:
        return np.arange(len(y))
    order = np.random.default_rng(seed).permutation(np.unique(patients))
    counts = np.bincount(patients)[order]
    return np.flatnonzero(np.isin(patients, order[np.cumsum(counts) <= most]))
