"""How good is a diagnosis? Exact measures of a finished test, each with the range that chance alone would explain.

Plain functions of arrays: counts, the ROC curve and its exact area, calibration, and two kinds of interval (Wilson for
a share such as the sensitivity, bootstrap for anything else). `evaluate_diagnosis` puts them into one dictionary that
JSON can hold; what cannot be known, such as the specificity where nobody is healthy, is None with a reason.

Two conventions hold throughout. Positive is the class one looks for, the disease, whatever its index: class folders
sort to abnormal=0, normal=1, so a sigmoid gives P(normal), and reading it as P(abnormal) names every image wrongly. And
an interval covers only the chance in drawing the test set, not what another hospital or scanner would change.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

# --- ranking ------------------------------------------------------------------------------------------------


def roc_curve(y_true: ArrayLike, score: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """False and true positive rate at every threshold that makes a difference.

    Arguments: y_true (N,) of 0 and 1; score (N,), higher means more likely 1.
    Returns: (false positive rates, true positive rates, thresholds), three arrays (M,). An example is called 1 where
    score >= threshold; thresholds fall, and the first is infinity, where nothing is called 1.
    Raises: ValueError unless both classes occur, or for NaN.
    Source: Fawcett 2006, "An introduction to ROC analysis", algorithm 1.

    >>> false_positive_rate, true_positive_rate, thresholds = roc_curve([0, 1, 0, 1], [0.1, 0.4, 0.4, 0.8])
    >>> false_positive_rate, true_positive_rate, thresholds
    (array([0. , 0. , 0.5, 1. ]), array([0. , 0.5, 1. , 1. ]), array([inf, 0.8, 0.4, 0.1]))
    """
    true, score = both_classes(y_true, score, "roc_curve")
    order = np.argsort(-score, kind="stable")
    true, score = true[order], score[order]
    last_of_ties = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)
    called = np.append(0, last_of_ties + 1)
    hits = np.append(0, np.cumsum(true)[last_of_ties])
    return (called - hits) / (called[-1] - hits[-1]), hits / hits[-1], np.append(np.inf, score[last_of_ties])


def roc_auc(y_true: ArrayLike, score: ArrayLike) -> float:
    """Area under the ROC curve: the chance that a random positive scores above a random negative; a tie counts half.

    It is exact, by midranks (the Mann-Whitney U statistic).

    Arguments: y_true (N,) of 0 and 1; score (N,), higher means more likely 1.
    Returns: the area, 0 to 1.
    Raises: ValueError unless both classes occur, or for NaN.
    Source: Hanley and McNeil 1982.

    >>> roc_auc([0, 1, 0, 1], [0.1, 0.4, 0.4, 0.8])
    0.875
    """
    true, score = both_classes(y_true, score, "roc_auc")
    positives = int(true.sum())
    wins = midranks(score)[true].sum() - positives * (positives + 1) / 2
    return float(wins / (positives * (len(true) - positives)))


def midranks(values: np.ndarray) -> np.ndarray:
    """The rank of each value (N,), 1 for the smallest; equal values share the mean of their ranks.

    >>> midranks(np.array([0.5, 0.1, 0.5]))
    array([2.5, 1. , 2.5])
    """
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


def macro_auc(y_true: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean over the classes of `roc_auc`, each class against the rest.

    Arguments: y_true (N,), integers 0..K-1; probabilities (N,K).
    Returns: the mean area, 0 to 1.
    Raises: ValueError where a class is missing.

    >>> macro_auc([0, 1, 2], [[0.8, 0.1, 0.1], [0.3, 0.4, 0.3], [0.1, 0.5, 0.4]])
    0.8333333333333334
    """
    table = np.asarray(probabilities)
    true = _labels(y_true, table.shape[1], "y_true")
    return float(np.mean([roc_auc(true == k, table[:, k]) for k in range(table.shape[1])]))


# --- calibration --------------------------------------------------------------------------------------------


def calibration_curve(y_true: ArrayLike, probability: ArrayLike, bins: int = 10) -> list[dict[str, Any]]:
    """Do 70 % of the examples with a predicted probability of about 70 % come true?

    Arguments: y_true (N,) of 0 and 1; probability (N,) of being 1; bins, into how many equal ranges [0, 1] is cut.
    Returns: a dictionary for each range: `low` and `high` (low <= p < high, the last one includes 1), `count`, `predicted`
    (mean probability) and `observed` (share of 1); the last two are None where count is 0.
    Raises: ValueError for other labels, or probabilities outside [0, 1].

    >>> calibration_curve([0, 0, 1, 1], [0.25, 0.25, 0.5, 1.0], bins=2)[0]
    {'low': 0.0, 'high': 0.5, 'count': 2, 'predicted': 0.25, 'observed': 0.0}
    """
    true, probability = outcome_and_probability(y_true, probability, "calibration_curve")
    where = np.minimum((probability * bins).astype(int), bins - 1)
    rows = []
    for k in range(bins):
        inside = where == k
        some = bool(inside.any())
        rows.append(
            {
                "low": k / bins,
                "high": (k + 1) / bins,
                "count": int(inside.sum()),
                "predicted": float(probability[inside].mean()) if some else None,
                "observed": float(true[inside].mean()) if some else None,
            }
        )
    return rows


def expected_calibration_error(y_true: ArrayLike, probability: ArrayLike, bins: int = 10) -> float:
    """Mean distance of predicted and observed in `calibration_curve`, weighted by count; 0 is calibrated.

    It depends on `bins`, and is too high for small test sets.

    Arguments, Raises: as `calibration_curve`.
    Returns: the error, 0 to 1.
    Source: Naeini et al. 2015.

    >>> expected_calibration_error([0, 1], [0.25, 0.75])
    0.25
    """
    rows = [row for row in calibration_curve(y_true, probability, bins) if row["count"]]
    gaps = [row["count"] * abs(row["predicted"] - row["observed"]) for row in rows]
    return float(sum(gaps) / sum(row["count"] for row in rows))


def brier_score(y_true: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean squared error of the probabilities; 0 is best.

    Arguments: y_true (N,) of 0 and 1 with probabilities (N,) of being 1; or y_true (N,) in 0..K-1 with probabilities (N,K).
    Returns: the score, 0 to 1; for (N,K), where the squares are summed over the classes, 0 to 2.
    Raises: ValueError for other labels, or probabilities outside [0, 1].
    Source: Brier 1950.

    >>> brier_score([0, 1], [0.5, 1.0])
    0.125
    """
    table = np.asarray(probabilities, dtype=np.float64)
    if table.ndim == 2 and table.shape[1] > 1:
        true = _labels(y_true, table.shape[1], "y_true")
        _same_length(true, table)
        return float(np.mean(np.sum((table - np.eye(table.shape[1])[true]) ** 2, axis=1)))
    outcome, probability = outcome_and_probability(y_true, table, "brier_score")
    return float(np.mean((probability - outcome) ** 2))


# --- intervals ----------------------------------------------------------------------------------------------


def wilson_interval(
    successes: int, total: int, level: float = 0.95
) -> tuple[float, float]:
    """Confidence interval of a share, `successes` of `total`: valid for few examples and near 0 and 1, too.

    Arguments: successes, total, counts; level of confidence, 0 to 1.
    Returns: (low, high), two shares.
    Raises: ValueError unless 0 <= successes <= total and total > 0.
    Source: Wilson 1927, without continuity correction.

    >>> [round(end, 3) for end in wilson_interval(10, 10)]
    [0.722, 1.0]
    """
    if not (0 <= successes <= total and total > 0):
        told = f"needs 0 <= successes <= total > 0, not {successes} of {total}"
        raise ValueError(f"wilson_interval {told}")
    z, share = NormalDist().inv_cdf((1 + level) / 2), successes / total
    center = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    variance = share * (1 - share) / total + (z / (2 * total)) ** 2
    half = z / (1 + z**2 / total) * np.sqrt(variance)
    # A share of 0 or 1 is exactly an end of its interval, in spite of rounding.
    low, high = np.clip(center - half, 0, share), np.clip(center + half, share, 1)
    return float(low), float(high)


def bootstrap_interval(
    statistic: Callable[..., float],
    *arrays: ArrayLike,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    strata: ArrayLike | None = None,
) -> tuple[float, float]:
    """Range of a statistic over test sets that are drawn, with replacement, from the given one (percentiles).

    Where all drawn sets give the same value the interval has no width: the method cannot see beyond its data.

    Arguments: statistic(*arrays) -> float; arrays (N,...), whose examples are drawn together; samples, the number of sets;
    level of the interval, 0 to 1; seed, the same one gives the same interval; strata (N,), labels within which to draw, so
    that each set has as many of each as the given one, and an AUC never meets a set of one class.
    Returns: (low, high).
    Raises: ValueError where lengths differ or the statistic of a drawn set is not finite.
    Source: Efron and Tibshirani 1993, chapter 13.

    >>> truth = np.arange(100) % 2
    >>> score = truth + 2 * np.sin(np.arange(100))
    >>> low, high = bootstrap_interval(roc_auc, truth, score, strata=truth)
    >>> low < roc_auc(truth, score) < high
    True
    """
    columns = [np.asarray(array) for array in arrays]
    labels = np.zeros(len(columns[0])) if strata is None else np.asarray(strata)
    _same_length(labels, *columns)
    groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    rng, values = np.random.default_rng(seed), np.empty(samples)
    for i in range(samples):
        drawn = np.concatenate([group[rng.integers(len(group), size=len(group))] for group in groups])
        values[i] = statistic(*(column[drawn] for column in columns))
    if not np.isfinite(values).all():
        raise ValueError(
            f"bootstrap_interval: the statistic of {np.sum(~np.isfinite(values))} of {samples} "
            "drawn sets was not finite, give strata so that each set has every class"
        )
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


# --- counts -------------------------------------------------------------------------------------------------


def confusion_matrix(y_true: ArrayLike, y_pred: ArrayLike, n: int) -> np.ndarray:
    """How often each true class (row) was called each class (column).

    Arguments: y_true, y_pred (N,), integers 0..n-1; n, the number of classes.
    Returns: (n,n) integers.
    Raises: ValueError for other labels, or lengths that differ.

    >>> confusion_matrix([0, 0, 1, 1, 1], [0, 1, 1, 1, 0], 2)
    array([[1, 1],
           [1, 2]])
    """
    true, called = _labels(y_true, n, "y_true"), _labels(y_pred, n, "y_pred")
    _same_length(true, called)
    return np.bincount(true * n + called, minlength=n * n).reshape(n, n)


def binary_rates(
    y_true: ArrayLike, y_pred: ArrayLike, name: str = "positive", *, samples: int = 1000, level: float = 0.95, seed: int = 0
) -> dict[str, Any]:
    """The rates of a yes/no test, with intervals: Wilson's for shares, `bootstrap_interval` for F1.

    Arguments: y_true, y_pred (N,), both 0 or 1, where 1 is positive (`probability > threshold` makes such an answer); name
    of the positive class, for the reasons; samples, level, seed as `bootstrap_interval`.
    Returns: a dictionary: accuracy, sensitivity TP / (TP + FN), specificity TN / (TN + FP), precision TP / (TP + FP),
    f1 2 TP / (2 TP + FP + FN), each with `<key>_interval` [low, high]; both are None where the divisor is 0, and
    `reasons[key]` says why.
    Raises: ValueError for other labels, or lengths that differ.

    >>> rates = binary_rates([0, 0, 0, 1], [0, 0, 1, 1])
    >>> rates["specificity"], [round(end, 3) for end in rates["specificity_interval"]]
    (0.6666666666666666, [0.208, 0.939])
    """
    ill, called = _labels(y_true, 2, "y_true") == 1, _labels(y_pred, 2, "y_pred") == 1
    _same_length(ill, called)
    hits = {"accuracy": ill == called, "sensitivity": called[ill], "specificity": ~called[~ill], "precision": ill[called]}
    result: dict[str, Any] = {}
    for key, hit in hits.items():
        interval = wilson_interval(int(hit.sum()), len(hit), level) if len(hit) else None
        result |= _value(key, float(hit.mean()) if len(hit) else None, interval)
    f1 = interval = None
    if ill.any():
        f1 = _f1(ill, called)
        interval = bootstrap_interval(_f1, ill, called, samples=samples, level=level, seed=seed, strata=ill)
    why = {
        "sensitivity": f"no example is {name}",
        "specificity": f"every example is {name}",
        "precision": f"no example was called {name}",
        "f1": f"no example is {name}",
    }
    result |= _value("f1", f1, interval)
    return result | {"reasons": {key: reason for key, reason in why.items() if result[key] is None}}


def _f1(ill: np.ndarray, called: np.ndarray) -> float:
    return float(2 * np.sum(ill & called) / (ill.sum() + called.sum()))


def _value(key: str, value: float | None, interval: tuple[float, float] | None) -> dict[str, Any]:
    """A number and its interval, under two keys."""
    return {key: value, f"{key}_interval": None if interval is None else list(interval)}


# --- which class is the disease -----------------------------------------------------------------------------

_HEALTHY = {"normal", "healthy", "negative", "benign", "control", "controls", "uninfected", "unaffected"}
_HEALTHY_CHINESE = ("正常", "健康", "阴性", "陰性", "良性")
_NO = {"no", "non", "not", "without"}
_NO_CHINESE = ("不", "非", "无", "無", "未", "亚")


def positive_class(class_names: Sequence[str]) -> int:
    """Index of the class to look for, judged by the names alone: the last one that is not called healthy.

    Healthy are names with a word such as normal, healthy, negative, benign, control, 正常 or 健康, but not "abnormal" or
    "not normal"; where there is none, names that begin with no, non, not, without or 无. If every class is healthy by this
    rule, it is the last one. This is a guess: `evaluate_diagnosis` says in words which class it took, and `positive=`
    overrules it.

    Arguments: class_names, in the order of their indices.
    Returns: an index.
    Raises: ValueError for no names.

    >>> positive_class(["abnormal", "normal"]), positive_class(["NORMAL", "PNEUMONIA"])
    (0, 1)
    """
    if len(class_names) == 0:
        raise ValueError("positive_class: there are no class names")
    denied = [_begins_with_no(name) for name in class_names]
    worded = [_has_healthy_word(name) for name in class_names]
    healthy = [word and not no for word, no in zip(worded, denied, strict=True)]
    if not any(healthy):
        healthy = [no and not word for word, no in zip(worded, denied, strict=True)]
    ill = [index for index, well in enumerate(healthy) if not well]
    return ill[-1] if ill else len(class_names) - 1


def _words(name: str) -> list[str]:
    """'NotNormal_lung' -> ['not', 'normal', 'lung']."""
    return re.findall(r"[^\W\d_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())


def _has_healthy_word(name: str) -> bool:
    """Whether a word of the name means healthy."""
    return not _HEALTHY.isdisjoint(_words(name)) or any(word in name for word in _HEALTHY_CHINESE)


def _begins_with_no(name: str) -> bool:
    """Whether the name begins with a word that denies the rest."""
    return not _NO.isdisjoint(_words(name)[:1]) or name.strip().startswith(_NO_CHINESE)


# --- a whole diagnosis --------------------------------------------------------------------------------------


def evaluate_diagnosis(
    y_true: ArrayLike,
    probabilities: ArrayLike,
    class_names: Sequence[str],
    *,
    positive: str | None = None,
    threshold: float = 0.5,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Any]:
    """All that a report says about a test set, as one dictionary that JSON can hold (no NaN, no NumPy types).

    With more than two classes the most probable one is the answer, and sensitivity, specificity, precision, F1 and AUC are
    means over the classes, each against the rest.

    Arguments: y_true (N,) or (N,1), class indices; probabilities as `model.predict` gives them: (N,) or (N,1) is P of the
    SECOND of two classes (sigmoid), (N,K) has a column per class (softmax); class_names, K names in the order of the
    indices; positive, the name of the class to look for (two classes only; default `positive_class`); threshold on its
    probability (two classes only; exactly at it the answer is class 0, as in Keras's accuracy); samples, level, seed as
    `bootstrap_interval`.
    Returns: a dictionary with count, class_names, class_counts, interval_level, positive_class, threshold, statement (all
    of it in words), accuracy, sensitivity, specificity, precision, f1, roc_auc, each with `<key>_interval` [low, high] (with
    more than two classes only accuracy and roc_auc), brier_score, expected_calibration_error, confusion_matrix (rows are
    the truth), calibration (see `calibration_curve`), per_class (more than two classes), and reasons: for each key that is
    None, why.
    Raises: ValueError, saying what to do, where lengths differ, labels are out of range, or probabilities are NaN, outside
    [0, 1], or do not sum to 1 over the classes.

    >>> found = evaluate_diagnosis([0, 0, 1, 1], [0.1, 0.4, 0.6, 0.9], ["abnormal", "normal"])
    >>> found["positive_class"], found["sensitivity"], found["roc_auc"], found["confusion_matrix"]
    ('abnormal', 1.0, 1.0, [[2, 0], [0, 2]])
    """
    names = _checked_names(class_names)
    table = probability_table(probabilities, names)
    true = _labels(y_true, len(names), "y_true")
    _same_length(true, table)
    counts = np.bincount(true, minlength=len(names)).tolist()
    facts = {
        "count": len(true),
        "class_names": names,
        "class_counts": dict(zip(names, counts, strict=True)),
        "interval_level": level,
    }
    bootstrap = {"samples": samples, "level": level, "seed": seed}
    if len(names) == 2:
        return facts | _two_classes(true, table, names, positive, threshold, bootstrap)
    if positive is not None or threshold != 0.5:
        raise ValueError(f"positive and threshold are for two classes, but there are {len(names)}: {names}")
    return facts | _many_classes(true, table, names, bootstrap)


def probability_table(probabilities: ArrayLike, class_names: Sequence[str]) -> np.ndarray:
    """Probabilities with a column per class.

    Arguments: probabilities, (N,) or (N,1) of a sigmoid, P of the second class, or (N,K) of a softmax; class_names, K names.
    Returns: (N,K) float64.
    Raises: ValueError for other shapes, NaN, numbers outside [0, 1], and rows that do not sum to 1.

    >>> probability_table([0.25, 1.0], ["abnormal", "normal"])
    array([[0.75, 0.25],
           [0.  , 1.  ]])
    """
    table, k = np.asarray(probabilities, dtype=np.float64), len(class_names)
    table = table[:, np.newaxis] if table.ndim == 1 else table
    if table.ndim != 2 or table.size == 0 or table.shape[1] not in ({1, 2} if k == 2 else {k}):
        raise ValueError(
            f"probabilities {np.shape(probabilities)} do not fit the {k} classes "
            f"{list(class_names)}, give (N, {k}){', or (N,) as P of the second' * (k == 2)}"
        )
    _refuse_nan(table, "probabilities")
    _refuse_out_of_range(table, "probabilities")
    if table.shape[1] == 1:
        return np.hstack([1 - table, table])
    off = np.abs(table.sum(axis=1) - 1)
    if off.max() > 0.01:
        raise ValueError(
            f"the probabilities in row {off.argmax()} sum to {table[off.argmax()].sum():.4g}, not 1; end the model with a softmax"
        )
    return table


def called_class(table: np.ndarray, positive: int | None = None, threshold: float = 0.5) -> np.ndarray:
    """The class that each row of probabilities is called.

    Arguments: table (N,K), probabilities; positive, for two classes the index of the one that is called where its
    probability is above threshold (exactly at it: class 0, as in Keras's accuracy), or None for the most probable class.
    Returns: (N,) integers.

    >>> called_class(np.array([[0.2, 0.8], [0.5, 0.5], [0.6, 0.4]]), positive=0)
    array([1, 0, 0])
    """
    if positive is None:
        return table.argmax(axis=1)
    return (table[:, 1] > (threshold if positive == 1 else 1 - threshold)).astype(int)


def _two_classes(
    true: np.ndarray, table: np.ndarray, names: list[str], positive: str | None, threshold: float, bootstrap: dict[str, Any]
) -> dict[str, Any]:
    """The part of `evaluate_diagnosis` for two classes, one of which is positive."""
    if positive is not None and positive not in names:
        raise ValueError(f"positive={positive!r} is none of the classes {names}")
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold must be a probability in [0, 1], not {threshold}")
    sick = positive_class(names) if positive is None else names.index(positive)
    answer = called_class(table, sick, threshold)
    ill, p_ill = true == sick, table[:, sick]
    rates = binary_rates(ill, answer == sick, names[sick], **bootstrap)
    # The area is the same for either class; P(names[1]) as predicted avoids the rounding of 1 - p.
    area = _area(lambda t, p: roc_auc(t, p[:, 1]), true, table, names, bootstrap)
    reasons = rates.pop("reasons") | area.pop("reasons")
    return {
        "positive_class": names[sick],
        "threshold": threshold,
        "statement": _say_two(true, names, sick, threshold, bootstrap),
        **rates,
        **area,
        "brier_score": brier_score(ill, p_ill),
        "expected_calibration_error": expected_calibration_error(ill, p_ill),
        "confusion_matrix": confusion_matrix(true, answer, 2).tolist(),
        "calibration": calibration_curve(ill, p_ill),
        "reasons": reasons,
    }


def _many_classes(true: np.ndarray, table: np.ndarray, names: list[str], bootstrap: dict[str, Any]) -> dict[str, Any]:
    """The part of `evaluate_diagnosis` for three classes or more: each against the rest, and their means."""
    answer, top = called_class(table), table.max(axis=1)
    per_class = [
        {"class": name, "count": int(np.sum(true == k)), **binary_rates(true == k, answer == k, name, **bootstrap)}
        for k, name in enumerate(names)
    ]
    for k, row in enumerate(per_class):
        known = 0 < row["count"] < len(true)
        row["roc_auc"] = roc_auc(true == k, table[:, k]) if known else None
        if not known:
            much = "every" if row["count"] else "no"
            row["reasons"]["roc_auc"] = f"{much} example is {row['class']}"
    right = answer == true
    area = _area(macro_auc, true, table, names, bootstrap)
    reasons, means = area.pop("reasons"), {}
    for key in ("sensitivity", "specificity", "precision", "f1"):
        unknown = [row["class"] for row in per_class if row[key] is None]
        means[key] = None if unknown else float(np.mean([row[key] for row in per_class]))
        if unknown:
            reasons[key] = f"not defined for {', '.join(unknown)}, so there is no mean; see per_class"
    interval = wilson_interval(int(right.sum()), len(right), bootstrap["level"])
    return {
        "positive_class": None,
        "threshold": None,
        "statement": _say_many(true, names, bootstrap),
        **_value("accuracy", float(right.mean()), interval),
        **means,
        **area,
        "brier_score": brier_score(true, table),
        "expected_calibration_error": expected_calibration_error(right, top),
        "confusion_matrix": confusion_matrix(true, answer, len(names)).tolist(),
        "calibration": calibration_curve(right, top),
        "per_class": per_class,
        "reasons": reasons,
    }


def _area(
    statistic: Callable[..., float], true: np.ndarray, table: np.ndarray, names: list[str], bootstrap: dict[str, Any]
) -> dict[str, Any]:
    """roc_auc with its interval and reasons; None where the test set lacks a class."""
    missing = [name for k, name in enumerate(names) if not np.any(true == k)]
    if missing:
        return _value("roc_auc", None, None) | {"reasons": {"roc_auc": f"the test set has no example of {', '.join(missing)}"}}
    low, high = bootstrap_interval(statistic, true, table, strata=true, **bootstrap)
    reasons = (
        {}
        if low < high
        else {"roc_auc_interval": "every drawn test set gave the same area, so the bootstrap cannot tell how uncertain it is"}
    )
    return _value("roc_auc", statistic(true, table), (low, high)) | {"reasons": reasons}


# --- in words -----------------------------------------------------------------------------------------------


def _say_two(true: np.ndarray, names: list[str], sick: int, threshold: float, bootstrap: dict[str, Any]) -> str:
    ill, well = names[sick], names[1 - sick]
    return (
        f"{_say_counts(true, names)} The class looked for (positive) is {ill}: an example is called "
        f"{ill} where its predicted probability of {ill} is above {threshold:g}, otherwise {well}. "
        f"Sensitivity is the share of {ill} examples that were called {ill}, specificity the share of "
        f"{well} examples that were called {well}, precision the share of those called {ill} that are "
        f"{ill}. {_say_intervals(bootstrap)}"
    )


def _say_many(true: np.ndarray, names: list[str], bootstrap: dict[str, Any]) -> str:
    return (
        f"{_say_counts(true, names)} An example is called the class with the highest predicted "
        "probability. Sensitivity, specificity, precision, F1 and ROC AUC take each class against the "
        "rest and are plain means over the classes. Calibration compares the probability of the class "
        f"that was called with how often it was right. {_say_intervals(bootstrap)}"
    )


def _say_counts(true: np.ndarray, names: list[str]) -> str:
    counts = ", ".join(f"{np.sum(true == k)} {name}" for k, name in enumerate(names))
    return f"{len(true)} test examples: {counts}."


def _say_intervals(bootstrap: dict[str, Any]) -> str:
    return (
        f"Intervals are at the {bootstrap['level'] * 100:g}% level: Wilson's for shares; for F1 and ROC AUC "
        f"percentiles over {bootstrap['samples']} test sets drawn with replacement within each class. They "
        "cover the chance in drawing this test set, not what other patients or devices would change."
    )


# --- checks -------------------------------------------------------------------------------------------------


def _same_length(*arrays: np.ndarray) -> None:
    """ValueError unless all arrays have the same length."""
    lengths = [len(array) for array in arrays]
    if len(set(lengths)) > 1:
        raise ValueError(f"lengths differ: {lengths}; give one label for each prediction")


def _labels(values: ArrayLike, n: int, what: str) -> np.ndarray:
    """Integers in 0..n-1, (N,) with N > 0, from an array (N,) or (N, 1) of any number type."""
    array = _column(values)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{what} must have shape (N,), not {array.shape}; of one-hot labels give the argmax")
    wrong = array[~np.isin(array, np.arange(n))]
    if wrong.size:
        raise ValueError(f"{what} must hold class numbers 0 to {n - 1}, but holds {wrong[0]}")
    return array.astype(np.int64)


def _column(values: ArrayLike) -> np.ndarray:
    """(N,1), as a model with one output gives it, becomes (N,)."""
    array = np.asarray(values)
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def _outcome_and_score(y_true: ArrayLike, score: ArrayLike, who: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels as bool and scores, both (N,), without NaN."""
    true, score = _labels(y_true, 2, "y_true") == 1, _column(score)
    if score.ndim != 1:
        raise ValueError(f"{who}: one score per example is needed, (N,), not {score.shape}")
    _same_length(true, score)
    _refuse_nan(score, who)
    return true, score


def both_classes(y_true: ArrayLike, score: ArrayLike, who: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels as bool and scores, both (N,), for the function `who`; ValueError unless both classes occur, and for NaN."""
    true, score = _outcome_and_score(y_true, score, who)
    if true.all() or not true.any():
        raise ValueError(f"{who} needs both classes, but all {len(true)} labels are {int(true[0])}")
    return true, score


def outcome_and_probability(y_true: ArrayLike, p: ArrayLike, who: str) -> tuple[np.ndarray, np.ndarray]:
    """As `_outcome_and_score`, with scores in [0, 1] as float64."""
    true, p = _outcome_and_score(y_true, p, who)
    _refuse_out_of_range(p, who)
    return true, p.astype(np.float64)


def _refuse_nan(array: np.ndarray, who: str) -> None:
    rows = np.argwhere(np.isnan(array))
    if len(rows):
        raise ValueError(f"{who}: {len(rows)} predictions are NaN, the first in row {rows[0][0]}")


def _refuse_out_of_range(array: np.ndarray, who: str) -> None:
    if array.min() < 0 or array.max() > 1:
        raise ValueError(
            f"{who}: probabilities must be in [0, 1], but span {array.min():.4g} to "
            f"{array.max():.4g}; pass logits through a sigmoid or softmax first"
        )


def _checked_names(class_names: Sequence[str]) -> list[str]:
    """The class names as a list of strings; ValueError unless they are two or more, and different."""
    names = [] if isinstance(class_names, str) else [str(name) for name in class_names]
    if len(names) < 2 or len(set(names)) < len(names):
        raise ValueError(f"class_names must be two or more different names, not {class_names!r}")
    return names
