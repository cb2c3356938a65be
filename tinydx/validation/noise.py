"""The noise test: where there is nothing to learn, a method of evaluation must say so.

    shuffled_labels(build, study)       any model on your own data, its labels shuffled: .5 must lie in the interval
    best_on_noise(models=50)            the best of many models on pure noise: by plain cross-validation it looks better than
                                        chance, since the figure that chose it is also the one that is reported; nested is honest

    noise x, labels y --cross_validate each of 50 models--> the highest of 50 figures           about .65
                      --nested--------------------------->  choosing and testing on other folds  about .5
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tinydx.datasets.study import Examples, Study
from tinydx.validation.folds import CrossValidated, cross_validate, nested, pooled
from tinydx.validation.learners import Build

COLUMNS = 5  # of the noise that each model looks at


class BestOnNoise(NamedTuple):
    """The cross-validated figures of all models (M,), the best one's result, and that of nested cross-validation."""

    all: np.ndarray
    best: CrossValidated
    nested: CrossValidated


def shuffled_labels(
    build: Build, study: Study | Examples, folds: int = 5, groups: str | ArrayLike | None = "patient", *, seed: int = 0
) -> CrossValidated:
    """Cross-validation with labels that mean nothing; where .5 is not in the interval, the evaluation leaks or the code is wrong.

    In one of about twenty shufflings, .5 lies outside by chance.

    Arguments: as for `cross_validate`; seed also of the shuffling.
    Returns: as `cross_validate`.

    >>> from sklearn.linear_model import LogisticRegression
    >>> y = np.arange(80) % 2
    >>> x = 9.0 * y[:, None] + np.arange(80)[:, None] / 80
    >>> low, high = shuffled_labels(LogisticRegression, Examples(x, y)).roc_auc_interval
    >>> low < 0.5 < high
    True
    """
    part = pooled(study)
    y = np.random.default_rng(seed).permutation(part.y)
    return cross_validate(build, part._replace(y=y), folds, groups, seed=seed)


def best_on_noise(models: int = 50, count: int = 120, folds: int = 5, seed: int = 0) -> BestOnNoise:
    """The best of many models on noise, by plain and by nested cross-validation.

    Each model looks at a few columns of its own and learns in which direction the class means differ there.

    Arguments: models, how many; count of examples, half of each class; folds; seed of everything.
    Returns: a `BestOnNoise`.
    Source: Varma and Simon 2006.

    >>> found = best_on_noise(models=10, count=60)
    >>> bool(found.best.roc_auc == max(found.all)), len(found.all), len(found.nested.folds)
    (True, 10, 5)
    """
    rng = np.random.default_rng(seed)
    part = Examples(rng.normal(size=(count, COLUMNS * models)), rng.permutation(np.arange(count) % 2))
    builds: dict[str, Build] = {f"model {i}": _look_at(slice(COLUMNS * i, COLUMNS * (i + 1))) for i in range(models)}
    plain = [cross_validate(build, part, folds, None, seed=seed) for build in builds.values()]
    areas = np.array([found.roc_auc for found in plain])
    return BestOnNoise(areas, plain[int(areas.argmax())], nested(builds, part, folds, None, seed=seed))


def _look_at(columns: slice) -> Build:
    return lambda: Direction(columns)


class Direction:
    """A learner that scores examples along the difference of the class means in some columns."""

    def __init__(self, columns: slice):
        self.columns, self.direction = columns, np.zeros(0)

    def learn(self, part: Examples, seed: int, state: Path | None) -> None:
        x = part.x[:, self.columns]
        self.direction = x[part.y == 1].mean(axis=0) - x[part.y == 0].mean(axis=0)

    def answer(self, part: Examples) -> np.ndarray:
        return part.x[:, self.columns] @ self.direction
