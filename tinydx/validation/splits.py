"""Who is left out: folds of whole patients, and folds of whole sites. scikit-learn divides, tinydx says who belongs together.

    Examples --patients_of--> a number for each example's patient --folds_of--> fold 0 .. k-1, classes in equal shares
    Examples.site --sites_of--> fold 0 .. s-1, a site each

Equal examples count as one patient, too: else a test would ask for what training has seen.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tinydx.datasets.copies import keys_of
from tinydx.datasets.patients import joined
from tinydx.datasets.study import Examples


def sklearn(module: str) -> Any:
    """A module of scikit-learn.

    Raises: ImportError in one line where it is not installed.

    >>> sklearn("model_selection").__name__
    'sklearn.model_selection'
    """
    import importlib

    try:
        return importlib.import_module(f"sklearn.{module}")
    except ImportError as error:
        raise ImportError(f"folds need scikit-learn ({error}): pip install 'tinydx[trust]'") from error


def patients_of(part: Examples, groups: ArrayLike | None = None) -> np.ndarray:
    """A number (N,) for each example's patient; equal examples have the same one, whoever they are said to be of.

    Arguments: part; groups (N,), whose each example is (None: `part.patient`; where that is not known, equal examples only).

    >>> patients_of(Examples(np.array([[1.0], [2.0], [1.0]]), np.zeros(3, int)))
    array([0, 1, 0])
    """
    whose = part.patient if groups is None else np.asarray(groups)
    if whose is not None and len(whose) != len(part.y):
        raise ValueError(f"groups has {len(whose)} entries for {len(part.y)} examples: give one for each")
    names = [None] * len(part.y) if whose is None else [str(name) for name in whose]
    numbers = joined(list(zip(names, keys_of(part.x), strict=True)))
    return np.unique(numbers, return_inverse=True)[1]


def folds_of(
    part: Examples, folds: int, seed: int, patients: np.ndarray | None = None, names: Sequence[str] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Folds with nearly equal shares of the classes; the examples of a patient are in one fold.

    Arguments: part; folds, how many; seed; patients (N,), a number for each example's patient (None: `patients_of`);
    names of the classes, for the error.
    Returns: (fold (N,), patients (N,)).
    Raises: ValueError for fewer than two folds, and where a class has fewer patients than there are folds.
    Source: scikit-learn's StratifiedGroupKFold, or StratifiedKFold where each patient has one example.

    >>> part = Examples(np.arange(8.0), np.arange(8) % 2, patient=np.arange(8) // 2)
    >>> fold, _ = folds_of(part, 2, seed=0)
    >>> np.array_equal(fold[::2], fold[1::2]), np.bincount(fold)
    (True, array([4, 4]))
    """
    patients = patients_of(part) if patients is None else patients
    if folds < 2:
        raise ValueError(f"{folds} folds: two or more are needed, of which each is left out once")
    for k in np.unique(part.y):
        if (count := len(np.unique(patients[part.y == k]))) < folds:
            name = names[k] if names else k
            raise ValueError(f"too few examples for folds: class {name} has {count} patients or files for {folds} folds")
    alone = len(np.unique(patients)) == len(patients)  # then the simpler splitter does the same, and sooner
    made = getattr(sklearn("model_selection"), "StratifiedKFold" if alone else "StratifiedGroupKFold")
    splitter = made(folds, shuffle=True, random_state=seed)
    fold = np.empty(len(part.y), np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes with fewer examples than folds: patients are counted above
        for f, (_, test) in enumerate(splitter.split(part.y, part.y, patients)):
            fold[test] = f
    return fold, patients


def sites_of(part: Examples) -> tuple[np.ndarray, list[str]]:
    """A fold for each site.

    Arguments: part, with sites.
    Returns: (fold (N,), the sites in the order of their folds).
    Raises: ValueError where the sites are not known, or there is only one.
    Source: scikit-learn's LeaveOneGroupOut.

    >>> sites_of(Examples(np.zeros(3), np.zeros(3, int), site=np.array(["b", "a", "b"])))
    (array([1, 0, 1]), ['a', 'b'])
    """
    if part.site is None:
        raise ValueError("the sites are not known: a column `site` of a table says them, or --site PATTERN on the paths of files")
    site = np.array([str(name) for name in part.site])
    if len(np.unique(site)) < 2:
        raise ValueError(f"all examples are of one site, {site[0]}: there is none to leave out")
    fold, names = np.empty(len(site), np.int64), []
    for f, (_, test) in enumerate(sklearn("model_selection").LeaveOneGroupOut().split(site, part.y, site)):
        fold[test] = f
        names.append(str(site[test[0]]))
    return fold, names
