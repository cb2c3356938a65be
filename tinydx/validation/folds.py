r"""Cross-validation, of any model: every example is tested once, by a model that has seen neither it nor its patient.

    Study or Examples --patients--> fold 0 .. k-1
    for each fold f:   build() -> learn(all folds but f) -> answer(fold f) -> ROC area of f
    areas of all folds ------------------------------------------------------> mean, interval    (areas.py)

    cross_validate(build, study)               folds of patients
    nested(builds, study)                      the same, and which of several models is used is chosen inside the training folds
    leave_one_site_out(build, study)           a fold is a site; beside it a random split, and how well the site is recognised

The figure of a model that was chosen by its cross-validated figure flatters: it is the luckiest of many. `nested` repeats the
choice in each training part, by inner folds, and tests what was chosen on the fold that had no part in it. `noise.py` shows the
difference on data in which there is nothing to learn.

Fold f begins with the seed `seed + 1000 f`, and its training continues from `resume/fold-f.run`: a run that was killed gives the
same bits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tinydx.datasets.study import SPLITS, Examples, Study, joined
from tinydx.validation.areas import Area, area_of, over_folds, over_sites
from tinydx.validation.learners import Build, Learner, begin
from tinydx.validation.sites import Recognised, recognise
from tinydx.validation.splits import folds_of, patients_of, sites_of

SEEDS_APART = 1000
INNER = 3  # folds that choose inside the training part


class Fold(NamedTuple):
    """One fold: which rows trained and tested (numbers of the examples), from which seed, and what came out.

    `scores` (n,) or (n,K) are the answers for `test`; roc_auc is None where the fold lacks a class. `chosen` is the name of the
    model that `nested` chose.
    """

    name: str
    train: np.ndarray
    test: np.ndarray
    seed: int
    seconds: float
    scores: np.ndarray
    area: Area | None
    chosen: str | None = None

    @property
    def roc_auc(self) -> float | None:
        return None if self.area is None else self.area.value

    @property
    def roc_auc_interval(self) -> list[float] | None:
        """That of this fold's patients, for the model that was trained on the others."""
        return None if self.area is None else over_folds([self.area])[1]


class CrossValidated(NamedTuple):
    """The mean ROC area over folds with its interval, and the folds; `random` and `sites` belong to `leave_one_site_out`."""

    roc_auc: float
    roc_auc_interval: list[float] | None
    folds: list[Fold]
    random: CrossValidated | None = None
    sites: Recognised | None = None

    @property
    def areas(self) -> list[Area]:
        """The areas of the folds that have all classes."""
        return [fold.area for fold in self.folds if fold.area is not None]


After = Callable[[Fold, Learner], None]  # called when a fold is done


def cross_validate(
    build: Build,
    study: Study | Examples,
    folds: int = 5,
    groups: str | ArrayLike | None = "patient",
    *,
    seed: int = 0,
    resume: str | Path | None = None,
    after: After | None = None,
) -> CrossValidated:
    """The ROC area of a model on examples that it has not seen, each tested once.

    The interval says how far the area of a model trained on as many patients may lie from the mean over these folds, by the
    choice of patients: patients are its unit, and the correction for shared training patients widens it (`areas.py` argues, and
    the tests measure its coverage). It knows nothing of other places: see `leave_one_site_out`.

    Arguments: build() -> a new model that is not trained: a compiled tinydx model, (model, `Fitting`) with epochs and batch size,
    a scikit-learn classifier, or a `Learner`; study, all of whose splits are put together, or Examples; folds, how many; groups,
    "patient" (`Examples.patient`; where that is None, only equal examples are kept together), "site", an array (N,) of names, or
    None (each example alone); seed of the folds and, for each fold, of its training; resume, a folder in which the state of each
    training is kept, and from which an interrupted run continues; after(fold, learner), called after each fold.
    Returns: .roc_auc, .roc_auc_interval [low, high], .folds.
    Raises: ValueError for a class with fewer patients than folds; ImportError without scikit-learn.
    Source: the figure, LeDell, Petersen and van der Laan 2015; the interval, see `tinydx.validation.areas`.

    >>> from sklearn.linear_model import LogisticRegression
    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(90) % 2
    >>> part = Examples(rng.normal(size=(90, 3)) + y[:, None], y, patient=np.arange(90) // 3)
    >>> found = cross_validate(LogisticRegression, part, folds=3)
    >>> [len(fold.test) for fold in found.folds], found.roc_auc_interval[0] < found.roc_auc < found.roc_auc_interval[1]
    ([30, 30, 30], True)
    """
    part = pooled(study)
    if isinstance(groups, str):
        if groups not in ("patient", "site"):
            raise ValueError(f"groups is {groups!r}: expected 'patient', 'site', None, or a name for each example")
        groups = getattr(part, groups)
    elif groups is None:
        groups = np.arange(len(part.y))
    part = part._replace(patient=patients_of(part, groups))
    fold, patients = folds_of(part, folds, seed, part.patient)
    names = [str(f + 1) for f in range(folds)]
    found = _run(build, part, fold, names, patients, seed, _prefix(resume, "fold"), after)
    mean, interval = over_folds(_areas(found))
    return CrossValidated(mean, interval, found)


def nested(
    builds: Mapping[str, Build],
    study: Study | Examples,
    folds: int = 5,
    groups: str | ArrayLike | None = "patient",
    *,
    inner: int = INNER,
    seed: int = 0,
    resume: str | Path | None = None,
    after: After | None = None,
) -> CrossValidated:
    """Nested cross-validation: the figure of "choose the best of these models, then train it", choice and all.

    In each training part, every model is cross-validated on `inner` folds; the one with the highest area is trained on the
    whole training part and tested on the fold that was left out, which had no part in the choice.

    Arguments: builds, {name: build}; inner, folds for the choice; the others as for `cross_validate`.
    Returns: as `cross_validate`; each fold's `.chosen` is the name of its model.
    Raises: ValueError for no models, and as `cross_validate`.
    Source: Varma and Simon 2006; Cawley and Talbot 2010.

    >>> from sklearn.linear_model import LogisticRegression
    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(90) % 2
    >>> part = Examples(rng.normal(size=(90, 3)) + y[:, None], y)
    >>> weak = lambda: LogisticRegression(C=1e-9, fit_intercept=False)
    >>> {fold.chosen for fold in nested({"weak": weak, "usual": LogisticRegression}, part, folds=3).folds} <= {"weak", "usual"}
    True
    """
    if not builds:
        raise ValueError("nested: there are no models to choose from")
    return cross_validate(lambda: Chooser(builds, inner), study, folds, groups, seed=seed, resume=resume, after=after)


def leave_one_site_out(
    build: Build,
    study: Study | Examples,
    *,
    folds: int = 5,
    seed: int = 0,
    resume: str | Path | None = None,
    after: After | None = None,
) -> CrossValidated:
    """The ROC area at a site of which training has seen nothing, beside what a random split says of the same data.

    The interval takes the sites as the sample: it is for a site that is not among these, and wide for few of them. Beside it
    stand the figure of `cross_validate` on folds of patients, which mix the sites, and how well the site is recognised from the
    features of that split's models: where it is, and classes are not equally frequent everywhere, a model can tell the class by
    the site, and the random split flatters.

    Arguments: build, study, seed, resume, after as for `cross_validate`; folds of the random split beside it.
    Returns: as `cross_validate`, a fold for each site, named after it; .random, the random split's; .sites, how well the site
    is recognised (`Recognised`). A site with a single class has no area, and no part in the mean.
    Raises: ValueError where sites are not known, there is only one, or none has all classes.

    >>> from sklearn.linear_model import LogisticRegression
    >>> rng = np.random.default_rng(0)
    >>> y, site = np.arange(120) % 2, np.arange(120) // 40
    >>> x = rng.normal(size=(120, 3)) + y[:, None] + 9 * np.eye(3)[site]
    >>> found = leave_one_site_out(LogisticRegression, Examples(x, y, site=site))
    >>> [fold.name for fold in found.folds], found.sites.accuracy > 0.9
    (['0', '1', '2'], True)
    """
    part = pooled(study)
    fold, names = sites_of(part)
    out = _run(build, part, fold, names, patients_of(part), seed, _prefix(resume, "site"), after)
    answers: list[np.ndarray] = []

    def recognised(done: Fold, learner: Learner) -> None:
        if hasattr(learner, "features"):
            train, test = (learner.features(part.take(rows)) for rows in (done.train, done.test))
            answers.append(np.stack([done.test, recognise(train, test, fold[done.train])]))
        if after is not None:
            after(done, learner)

    beside = cross_validate(build, part, folds, seed=seed, resume=resume, after=recognised)
    mean, interval = over_sites([area.value for area in _areas(out)])
    called = np.concatenate(answers, axis=1) if answers else None
    sites = None if called is None else Recognised.of(fold[called[0]], called[1], names)
    return CrossValidated(mean, interval, out, beside, sites)


class Chooser:
    """A learner that is the best of several, by their cross-validated areas on what it learns from."""

    def __init__(self, builds: Mapping[str, Build], folds: int):
        self.builds, self.folds = builds, folds
        self.chosen = ""
        self.learner: Learner | None = None

    def learn(self, part: Examples, seed: int, state: Path | None) -> None:
        areas: dict[str, float] = {}
        fold, patients = folds_of(part, self.folds, seed, part.patient)
        for name, build in self.builds.items():
            prefix = state and state.with_name(f"{state.stem}-{name}")
            found = _run(build, part, fold, [""] * self.folds, patients, seed, prefix, None)
            areas[name] = over_folds(_areas(found))[0]
        self.chosen = max(areas, key=areas.__getitem__)
        learner = self.learner = begin(self.builds[self.chosen], seed)
        learner.learn(part, seed, state)

    def answer(self, part: Examples) -> np.ndarray:
        assert self.learner is not None
        return self.learner.answer(part)


def pooled(study: Study | Examples) -> Examples:
    """All examples of a study, its splits one after the other, or the examples themselves."""
    part = joined([getattr(study, split) for split in SPLITS]) if isinstance(study, Study) else study
    if len(part.x) != len(part.y):
        raise ValueError(f"there are {len(part.x)} examples and {len(part.y)} labels: give one for each")
    return part


def _prefix(resume: str | Path | None, name: str) -> Path | None:
    """The beginning of the paths of states."""
    return None if resume is None else Path(resume, name)


def _run(
    build: Build,
    part: Examples,
    fold: np.ndarray,
    names: list[str],
    patients: np.ndarray,
    seed: int,
    prefix: Path | None,
    after: After | None,
) -> list[Fold]:
    """Train and test once for each fold number; prefix of the files of states."""
    part, found = part._replace(patient=patients), []
    if prefix is not None:
        prefix.parent.mkdir(parents=True, exist_ok=True)
    for f, name in enumerate(names):
        test = np.flatnonzero(fold == f)
        train = np.flatnonzero((fold != f) & ~np.isin(patients, patients[test]))  # a patient may have been at two sites
        began, own = time.perf_counter(), seed + SEEDS_APART * f
        learner = begin(build, own)
        learner.learn(part.take(train), own, prefix and prefix.with_name(f"{prefix.name}-{f}.run"))
        scores = _scores(learner.answer(part.take(test)))
        area = area_of(part.y[test], scores, patients[test])
        seconds = time.perf_counter() - began
        found.append(Fold(name, train, test, own, seconds, scores, area, getattr(learner, "chosen", None)))
        if after is not None:
            after(found[-1], learner)
    return found


def _scores(answer: Any) -> np.ndarray:
    """Scores (n,) of class 1 of two classes, or (n,K) of several."""
    scores = np.asarray(answer, np.float64)
    return scores.reshape(len(scores), -1)[:, -1] if scores.ndim == 1 or scores.shape[1] <= 2 else scores


def _areas(folds: list[Fold]) -> list[Area]:
    """The areas of folds that have all classes."""
    if areas := [fold.area for fold in folds if fold.area is not None]:
        return areas
    raise ValueError("no fold has an example of every class, so that there is no ROC area: give more patients or fewer folds")
