"""`tinydx diagnose --folds` and `--site`: how good is such a model on new patients, and at a new site?

    all examples --validation.folds--> for each fold: [choose a network,] plan, fit on the others, answer for the fold
                                       beside it logistic regression, trained on the same examples
    figures of each fold, mean, interval -> metrics.json, report.png

Nothing that is chosen has seen the fold that is left out: a sixth of the training patients decides the epoch, vocabularies and
scales are learnt from the training examples (`Kind.learn_reading`), the threshold is the kind's, and with `--choose` each fold
chooses its own network, so that the figure is that of the choice, too. No model is kept: `tinydx diagnose` without these options
trains one.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import tinydx
from tinydx import distributed, evaluation, names
from tinydx.datasets.study import SPLITS, Examples, Study, check_trainable, joined
from tinydx.diagnosis import baselines, checks, fitting, kinds
from tinydx.diagnosis.choose import choose as choose_network
from tinydx.diagnosis.folds_report import conclusions, figure, words, write_folds
from tinydx.diagnosis.kind import Kind, Options, Plan
from tinydx.diagnosis.result import ResultFolder
from tinydx.validation.areas import Area, area_of, difference_over_folds, over_folds, over_sites
from tinydx.validation.folds import CrossValidated, Fold, cross_validate, leave_one_site_out
from tinydx.validation.learners import VALIDATION, features_of
from tinydx.validation.splits import folds_of, patients_of, sites_of

FILES = ("metrics.json", "report.png")
USUAL = 5  # folds of the random split beside sites


def diagnose_folds(
    path: str | None = None,
    *,
    folds: int | None = None,
    site: str | None = None,
    kind: str | None = None,
    size: int | None = None,
    limit: int | None = None,
    seed: int = 0,
    choose: bool = False,
    patient: str | None = None,
    resume: bool = False,
    output: str | Path = "validation",
    **options: Any,
) -> dict[str, Any]:
    """Cross-validate a diagnosis, or leave out a site at a time, and report.

    Arguments: as for `diagnose`, and: folds, how many (None: `USUAL`, beside sites); site, of a table the name of the column,
    else a regular expression on a file's path whose only group is the site ("": as the data says; None: folds of patients only);
    choose, whether each fold chooses its network; patient, as for `Kind.open_study`; options of `Options`.
    Returns: roc_auc and roc_auc_interval, the mean over the folds, or over the sites; folds, a row for each with name, count,
    patients, roc_auc, roc_auc_interval, accuracy, sensitivity, specificity, baseline_roc_auc, network, seed, seconds; baseline
    with name, roc_auc, roc_auc_interval, difference, difference_interval, verdict (None where there is none); for sites also
    random, the same keys for the folds of patients, and recognised, how well the site is recognised; sentences; data, settings.
    Raises: as `diagnose`; ValueError for a class with fewer patients than folds, and for sites that are not known.
    """
    began = time.perf_counter()
    with ResultFolder(output) as place:
        tinydx.set_seed(seed)
        name = kind or kinds.guess(path)
        subject, asked = kinds.get(name), Options(**options)
        size = size or subject.usual_size(path, asked)
        ask: dict[str, Any] = {"size": size, "limit": limit, "seed": seed, "patient": patient, "site": site or None}
        study = distributed.in_turn(lambda: subject.open_study(path, **ask))
        check_trainable(study)
        pool = joined([getattr(study, split) for split in SPLITS])
        folds_of(pool, folds or USUAL, seed, names=study.class_names)  # what cannot be divided is an error now
        sites = [] if site is None else sites_of(pool)[1]
        print(f"{study.describe()}\n  these parts are put together and divided anew", flush=True)
        how = {"kind": name, **asked._asdict(), "limit": limit, "seed": seed, "folds": folds, "site": site, "choose": choose}
        settings = checks.settings(study, [], how | {"patient": patient})
        if resume and place.is_finished(settings, FILES):
            print(f"{place.output} holds the result of this run: nothing is left to do.")
            return json.loads((place.folder / "metrics.json").read_text(encoding="utf-8"))
        room = checks.room(subject, replace(study, train=pool), asked, 1, choose)
        if place.begin(settings, resume):
            print(f"Continuing the run in {place.work}.", flush=True)
        count = len(sites) + (folds or USUAL)
        place.take_room(room._replace(states=room.states * count))
        runner = Runner(subject, study, pool, seed, len(sites), count)

        def build() -> KindLearner:
            return KindLearner(subject, study, asked, choose)

        common: dict[str, Any] = {"seed": seed, "resume": place.work, "after": runner.after}
        if site is None:
            found = cross_validate(build, pool, folds or USUAL, **common)
        else:
            found = leave_one_site_out(build, pool, folds=folds or USUAL, **common)
        metrics = runner.metrics(found)
        metrics |= {"data": study.facts(), "settings": settings}
        if not distributed.is_first():
            return metrics  # of several processes, the first one reports
        place.free_room()
        title = subject.synthetic_title if study.synthetic else f"Diagnosis: {study.source}"
        write_folds(place.draft, metrics, subject, title, study.synthetic)
        place.publish()
        print(names.lines("\n".join(["", *words(metrics)])))
        print(f"Look at {names.shown(place.output / 'report.png')} ({time.perf_counter() - began:.0f} s in all).")
        return metrics


class Runner:
    """What was found in each fold, and the baseline beside it; a line on the terminal after each.

    Arguments: kind, study; pool, all examples; seed; sites, how many are left out in turn before the folds of patients; count of
    all trainings.
    """

    def __init__(self, kind: Kind, study: Study, pool: Examples, seed: int, sites: int, count: int):
        self.kind, self.study, self.pool, self.seed = kind, study, pool, seed
        self.sites, self.count, self.patients = sites, count, patients_of(pool)
        self.rows: list[dict[str, Any]] = []
        self.areas: list[Area | None] = []  # of the baseline
        self.baseline = ""

    def after(self, fold: Fold, learner: Any) -> None:
        """Note the figures of a fold, and say how far the run is."""
        part, classes = self.pool.take(fold.test), self.study.class_names
        table = np.stack([1 - fold.scores, fold.scores], axis=1) if fold.scores.ndim == 1 else fold.scores
        row = {
            "name": fold.name,
            "count": len(fold.test),
            "patients": None if self.pool.patient is None else len(np.unique(self.patients[fold.test])),
            "roc_auc": fold.roc_auc,
            "roc_auc_interval": fold.roc_auc_interval,
            **_rates(part.y, table, classes, learner.plan.threshold),
            "network": learner.plan.network,
            "seed": fold.seed,
            "seconds": round(fold.seconds, 1),
        }
        self.areas.append(self._baseline(fold, learner.here, part))
        row["baseline_roc_auc"] = self.areas[-1] and self.areas[-1].value
        self.rows.append(row)
        left = (self.count - len(self.rows)) * np.mean([row["seconds"] for row in self.rows])
        end = f", about {left:.0f} s left" if len(self.rows) < self.count else ""
        what = f"site {names.shown(fold.name)} left out" if len(self.rows) <= self.sites else f"fold {fold.name}"
        done = f"{len(self.rows)} of {self.count}: {what}, {row['count']} {self.kind.noun}, ROC AUC {figure(row)}"
        print(f"{done} ({fold.seconds:.0f} s{end})", flush=True)

    def _baseline(self, fold: Fold, here: Study, part: Examples) -> Area | None:
        """Logistic regression on the kind's features, trained as the model was."""
        answers = baselines.logistic_regression(self.kind, replace(here, test=part), self.seed)
        if not answers or answers[0].table is None:
            return None
        self.baseline = answers[0].name
        table = answers[0].table
        return area_of(part.y, table[:, 1] if table.shape[1] == 2 else table, self.patients[fold.test])

    def metrics(self, found: CrossValidated) -> dict[str, Any]:
        """All that was found, for metrics.json."""
        count = len(found.folds)
        metrics = self._figures(found, self.rows[:count], self.areas[:count], found.random is not None)
        metrics["class_names"], metrics["noun"] = list(self.study.class_names), self.kind.noun
        if found.random is not None:
            metrics["random"] = self._figures(found.random, self.rows[count:], self.areas[count:], False)
            metrics["recognised"] = found.sites._asdict() if found.sites else None
        metrics["sentences"] = conclusions(metrics, len(self.pool.y), self.pool.patient is not None)
        return metrics

    def _figures(
        self, found: CrossValidated, rows: list[dict[str, Any]], areas: list[Area | None], sites: bool
    ) -> dict[str, Any]:
        """Mean, interval, folds and the baseline's."""
        pairs = [(f.area, b) for f, b in zip(found.folds, areas, strict=True) if f.area is not None]
        baseline = None
        if all(b is not None for _, b in pairs):
            mine, theirs = [a for a, _ in pairs], [b for _, b in pairs if b is not None]
            if sites:
                mean, interval = over_sites([b.value for b in theirs])
                gap, ends = over_sites([a.value - b.value for a, b in zip(mine, theirs, strict=True)], least=-1.0)
            else:
                mean, interval = over_folds(theirs)
                gap, ends = difference_over_folds(mine, theirs)
            verdict = "can't tell" if ends is None or ends[0] <= 0 <= ends[1] else "better" if gap > 0 else "worse"
            baseline = {"name": self.baseline, "roc_auc": mean, "roc_auc_interval": interval, "difference": gap}
            baseline |= {"difference_interval": ends, "verdict": verdict}
        return {"roc_auc": found.roc_auc, "roc_auc_interval": found.roc_auc_interval, "folds": rows, "baseline": baseline}


class KindLearner:
    """A network of a kind as a learner of `tinydx.validation`: planned, fitted and tested as `tinydx diagnose` does."""

    def __init__(self, kind: Kind, study: Study, options: Options, choosing: bool):
        self.kind, self.study, self.options, self.choosing = kind, study, options, choosing
        self.here, self.model = study, None  # the study of the fold, and its model
        self.plan: Plan

    def learn(self, part: Examples, seed: int, state: Path | None) -> None:
        assert state is not None
        fold, _ = folds_of(part, VALIDATION, seed, part.patient)
        val = part.take(fold == 0)
        self.here = self.kind.learn_reading(replace(self.study, train=part.take(fold != 0), val=val, test=val))
        options = self.options
        if self.choosing:
            options = options._replace(network=self._chosen(seed, state))
            tinydx.set_seed(seed)
        self.plan = self.kind.plan(self.here, options)
        self.model = fitting.train_one(self.kind, self.here, self.plan, seed, state, verbose=0)[0]

    def _chosen(self, seed: int, state: Path) -> str:
        """The network that `--choose` takes for these training examples."""
        made: list[Any] = []

        def train(study: Study, plan: Plan, seed: int) -> Any:
            made.append(state.with_name(f"{state.stem}-choose-{len(made)}.run"))
            return fitting.train_one(self.kind, study, plan, seed, made[-1], verbose=0)[0]

        return choose_network(self.kind, self.here, self.options, train, seed)["network"]

    def answer(self, part: Examples) -> np.ndarray:
        return evaluation.probability_table(self._predict(part), self.study.class_names)

    def features(self, part: Examples) -> np.ndarray:
        """See `validation.learners.features_of`."""
        assert self.model is not None
        return features_of(self.model, lambda: self._predict(part))

    def _predict(self, part: Examples) -> Any:
        assert self.model is not None
        return self.model.predict(self.kind.plain_batches(self.here, part, self.plan.batch))


def _rates(y: np.ndarray, table: np.ndarray, classes: list[str], threshold: float) -> dict[str, float | None]:
    """Accuracy, and of two classes sensitivity and specificity; None where the fold has no such example."""
    positive = evaluation.positive_class(classes) if len(classes) == 2 else None
    right = evaluation.called_class(table, positive, threshold) == y
    rates: dict[str, float | None] = {"accuracy": float(right.mean()), "sensitivity": None, "specificity": None}
    if positive is not None:
        for key, rows in (("sensitivity", y == positive), ("specificity", y != positive)):
            rates[key] = float(right[rows].mean()) if rows.any() else None
    return rates
