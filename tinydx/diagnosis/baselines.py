"""The simple baselines that stand beside every diagnosis, and the verdict: is the model better than they are?

    training labels                                     -> the majority class
    Kind.features of train -> logistic regression       -> a few strengths, the best on val -> probabilities of test
                                                                                                     |
    the model's probabilities of test --- DeLong's test of the areas (two classes), or McNemar's of the accuracies ---> verdict

Baselines are trained on the training examples only; the test examples choose nothing. Logistic regression is scikit-learn's
where it is installed, else tinydx's own; the row's name says which.

Features are standardised: each column of the training examples to mean 0 and variance 1, cut at 10 deviations, without constant
columns. Features that are mostly zero (word weights) are only scaled. Then an example's mean square length is 1, so that the
same strengths C of the penalty |w|^2 / (2 C N) fit every kind: 0.1, 1, 10 and 100, of which the lowest log loss on val decides.
"""

from __future__ import annotations

import importlib.util
import math
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tinydx import ops
from tinydx.datasets.study import Study
from tinydx.diagnosis.kind import Kind
from tinydx.evaluation import called_class, macro_auc, positive_class, probability_table, wilson_interval
from tinydx.optimizers import SGD
from tinydx.tensor import Tensor
from tinydx.validation import delong_interval, delong_test, mcnemar_test

STRENGTHS = (0.1, 1.0, 10.0, 100.0)
LEVEL = 0.05  # a p-value below it is a difference
STEPS = 300  # of the optimizer for each strength, at most
TOLERANCE = 1e-4  # of the largest slope, where a fit is finished: scikit-learn's, too
WORK = 2e11  # additions and multiplications of all steps of tinydx's own regression: seconds
BIAS = 0.3  # the feature that belongs to the bias; 1 would have by far the largest curvature, and small steps
SLOW = 60  # how much longer an entry of a sparse matrix takes than one of a full matrix, about
MOST = 20_000_000  # numbers other than 0 in the training features; beyond it, examples drawn at random


class Sparse(NamedTuple):
    """A matrix (N,D) that is mostly zero: its other entries, by row."""

    rows: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    shape: tuple[int, int]

    def __len__(self) -> int:
        return self.shape[0]


Features = np.ndarray | Sparse
Path = Iterator[Callable[[Features], np.ndarray]]  # for each strength: features -> probabilities (N,K)
Learner = Callable[[Features, np.ndarray, int], Path]  # features, class numbers, how many classes


class Answer(NamedTuple):
    """What a baseline says of the test examples: probabilities (N,K), or the reason why there are none."""

    name: str
    table: np.ndarray | None
    seconds: float
    reason: str | None = None


def compare(
    kind: Kind, study: Study, probabilities: ArrayLike, seed: int, *, threshold: float = 0.5
) -> tuple[list[dict[str, Any]], str]:
    """The baselines of a study, each tested against the model on the same test examples.

    Arguments: kind; study; probabilities of the model for study.test, (N,), (N,1) or (N,K); seed, which draws the training
    examples where there are too many; threshold of the model's calls, on the probability of the positive class.
    Returns: (rows for metrics["baselines"], the verdict as a sentence). Each row has name, roc_auc, accuracy, both with
    intervals, seconds, measure ("roc_auc", or "accuracy" for several classes or a test of one class), difference (model minus
    baseline in that measure), p_value, verdict ("better", "worse" or "can't tell") and reason (None, or why it has no numbers).
    """
    names, y = study.class_names, study.test.y
    model = _calls(y, probability_table(probabilities, names), names, threshold)
    answers = [_majority(study), *logistic_regression(kind, study, seed)]
    rows = [_row(answer, y, names, model) for answer in answers]
    return rows, verdict(rows, model, study)


# ---- the baselines -------------------------------------------------------------------------------------------------


def _majority(study: Study) -> Answer:
    """Always the most frequent class of the training examples, with the classes' shares as probabilities."""
    share = np.bincount(study.train.y, minlength=len(study.class_names)) / len(study.train.y)
    most = int(share.argmax())
    return Answer(f"the majority class ({study.class_names[most]})", np.tile(share, (len(study.test.y), 1)), 0.0)


def usual_learner() -> tuple[Learner, str]:
    """The learner of logistic regressions, one for each of STRENGTHS, and whose it is: scikit-learn's where that is installed."""
    return (_scikit_learn, "scikit-learn") if importlib.util.find_spec("sklearn") else (_descent, "tinydx")


def logistic_regression(kind: Kind, study: Study, seed: int) -> list[Answer]:
    """Logistic regression on the kind's features; no answer for a kind without features."""
    learner, library = usual_learner()
    name = f"logistic regression on {kind.features_name} ({library})"
    began = time.perf_counter()
    parts = study.train, study.val, study.test
    y = study.train.y
    if len(np.unique(y)) < 2:
        only = study.class_names[int(y[0])] if len(y) else "missing"
        return [Answer(name, None, 0.0, f"every training example is {only}")]
    try:
        features = [np.asarray(kind.features(study, part), np.float32) for part in parts if len(part.y)]
        if len(features) < len(parts):  # no validation examples
            features.insert(1, features[0][:0])
        if not all(np.isfinite(x).all() for x in features):
            raise ValueError("the features have numbers that are not finite")
        rows = _drawn(features[0], seed)
        train, val, test = standardised(features[0][rows], *features[1:])
        table = fit(learner, train, y[rows], (val, study.val.y), test, len(study.class_names))
    except NotImplementedError:
        return []
    except (ValueError, MemoryError) as error:  # must not cost the user the trained model
        return [Answer(name, None, time.perf_counter() - began, str(error) or "out of memory")]
    return [Answer(name, table, time.perf_counter() - began)]


def _drawn(x: np.ndarray, seed: int) -> np.ndarray | slice:
    """The rows to train on: all, or as many as have `MOST` numbers other than 0, drawn at random."""
    n, count = len(x), np.count_nonzero(x)
    if count <= MOST:
        return slice(None)
    return np.sort(np.random.default_rng(seed).permutation(n)[: max(1, n * MOST // count)])


def standardised(train: np.ndarray, *others: np.ndarray) -> list[Features]:
    """Features as the module says: standardised by the training examples, of mean square length 1.

    Arguments: train (N,D); others (M,D) each.
    Returns: the same examples as float32 with the columns that vary in train; `Sparse` if train is mostly zero.

    >>> x = np.array([[1.0, 5.0], [3.0, 5.0]])
    >>> standardised(x)[0].tolist()
    [[-1.0], [1.0]]
    """
    if train.size and np.count_nonzero(train) < 0.3 * train.size:
        return _scaled(train, *others)
    mean, spread = train.mean(axis=0, dtype=np.float64), train.std(axis=0, dtype=np.float64)
    varies = spread > 1e-6 * np.abs(train).max(initial=1e-30)
    if not varies.any():
        return [np.zeros((len(x), 1), np.float32) for x in (train, *others)]
    mean, spread = mean[varies], spread[varies]
    deviations = (np.clip((x[:, varies] - mean) / spread, -10, 10) for x in (train, *others))
    return [(x / math.sqrt(len(mean))).astype(np.float32) for x in deviations]


def _scaled(train: np.ndarray, *others: np.ndarray) -> list[Features]:
    """`standardised` for features that are mostly zero."""
    used = np.flatnonzero(train.any(axis=0))
    if not len(used):
        return [np.zeros((len(x), 1), np.float32) for x in (train, *others)]
    number = np.full(train.shape[1], -1)
    number[used] = np.arange(len(used))
    entries = []
    for x in (train, *others):
        rows, columns = np.nonzero(x)
        known = number[columns] >= 0
        entries.append((rows[known], number[columns[known]], x[rows[known], columns[known]], (len(x), len(used))))
    length = math.sqrt(float(np.square(entries[0][2], dtype=np.float64).sum()) / len(train))
    return [Sparse(rows, columns, (x / length).astype(np.float32), shape) for rows, columns, x, shape in entries]


def fit(
    learner: Learner,
    train: Features,
    labels: np.ndarray,
    val: tuple[Features, np.ndarray],
    test: Features,
    classes: int,
) -> np.ndarray:
    """Train with each strength, and answer with the one that has the lowest log loss on the validation examples.

    Arguments: learner, `_scikit_learn` or `_descent`; train (N,D), labels (N,); val, (features, labels); test (M,D); classes.
    Returns: probabilities (M, classes); 0 for a class that train lacks.
    """
    known, numbers = np.unique(labels, return_inverse=True)
    best, lowest = np.zeros((len(test), classes)), math.inf
    for predict in learner(train, numbers, len(known)):
        loss = 0.0
        if len(val[1]):
            p = np.zeros((len(val[1]), classes))
            p[:, known] = predict(val[0])
            loss = float(-np.log(np.maximum(p[np.arange(len(p)), val[1]], 1e-7)).mean())
        if loss < lowest:
            lowest = loss
            best[:, known] = predict(test)
    return best


def _scikit_learn(x: Features, y: np.ndarray, classes: int) -> Path:
    """scikit-learn's LogisticRegression, from the strongest penalty to the weakest."""
    from scipy.sparse import csr_matrix
    from sklearn.linear_model import LogisticRegression

    def packed(x: Features) -> Any:
        if isinstance(x, Sparse):
            return csr_matrix((x.values.astype(np.float64), (x.rows, x.columns)), x.shape)
        return x.astype(np.float64)

    train, model = packed(x), LogisticRegression(max_iter=STEPS, tol=TOLERANCE, warm_start=True)
    for strength in STRENGTHS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about a fit that stops at STEPS: it is judged on val as it is
            model.set_params(C=strength).fit(train, y)
        yield lambda rows: model.predict_proba(packed(rows))


def _descent(x: Features, y: np.ndarray, classes: int) -> Path:
    r"""tinydx's own: Nesterov's gradient descent with all examples in a step, from the strongest penalty to the weakest.

    The gradient of the loss is x^T (p - t) / N + mu w, with mu = 1 / (C N) but for the bias. The rate is 1/L and the momentum
    (sqrt(L) - sqrt(mu)) / (sqrt(L) + sqrt(mu)), where L bounds the curvature of the loss: mu and a quarter (two classes) or half
    of the largest eigenvalue of x^T x / N, which power iteration finds.

    Source: Nesterov 2004, Introductory Lectures on Convex Optimization, 2.2.
    """
    w = Tensor(np.zeros((x.shape[1] + 1, 1 if classes == 2 else classes), np.float32))  # the last row is the bias
    target = (y[:, None] if classes == 2 else np.eye(classes)[y]).astype(np.float32)
    product, transposed, work = _products(x)
    steps = int(np.clip(WORK / (4.0 * work * w.shape[1] * len(STRENGTHS)), 20, STEPS))
    largest = _largest_eigenvalue(product, transposed, len(w)) / len(y)
    for strength in STRENGTHS:
        mu = 1 / (strength * len(y))
        curvature = (0.25 if classes == 2 else 0.5) * largest + mu
        ratio = math.sqrt(mu / curvature)
        optimizer = SGD(1 / curvature, momentum=(1 - ratio) / (1 + ratio), nesterov=True)
        for _ in range(steps):
            z = product(w.data)
            p = ops.sigmoid(z) if classes == 2 else ops.softmax(z)
            slope = transposed((p - target) / np.float32(len(y)))
            slope[:-1] += np.float32(mu) * w.data[:-1]
            optimizer.apply([slope], [w])
            if np.abs(slope).max() < TOLERANCE:
                break
        yield lambda rows: _probabilities(_products(rows)[0](w.data))


def _largest_eigenvalue(product: Callable[..., np.ndarray], transposed: Callable[..., np.ndarray], d: int) -> float:
    """That of x^T x (d,d), by 20 power iterations, plus 20 % since these come from below."""
    v, norm = np.random.default_rng(0).normal(size=(d, 1)).astype(np.float32), 1.0
    for _ in range(20):
        v = transposed(product(v / np.linalg.norm(v)))
        norm = float(np.linalg.norm(v))
    return 1.2 * norm


def _products(x: Features) -> tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray], int]:
    """(w -> [x b] w, g -> [x b]^T g, the work of each) for features with a column of the number `BIAS` beside them."""
    if not isinstance(x, Sparse):
        full = np.c_[x, np.full(len(x), BIAS, np.float32)]
        return (lambda w: full @ w), (lambda g: full.T @ g), full.size
    n, d = x.shape
    rows, columns = np.r_[x.rows, np.arange(n)], np.r_[x.columns, np.full(n, d)]
    values = np.r_[x.values, np.full(n, BIAS, np.float32)][:, None]

    def summed(groups: np.ndarray, others: np.ndarray, count: int) -> Callable[[np.ndarray], np.ndarray]:
        """a (M,K) -> for each group the sum of value times a[other], over the entries of that group: (count, K)."""
        order = np.argsort(groups, kind="stable")
        present, first = np.unique(groups[order], return_index=True)
        chosen, weight = others[order], values[order]

        def product(a: np.ndarray) -> np.ndarray:
            total = np.zeros((count, a.shape[1]), np.float32)
            total[present] = np.add.reduceat(a[chosen] * weight, first, axis=0)
            return total

        return product

    return summed(rows, columns, n), summed(columns, rows, d + 1), SLOW * len(rows)


def _probabilities(z: np.ndarray) -> np.ndarray:
    """Probabilities (N,K) from scores (N,K), or from those of class 1 (N,1)."""
    z = z.astype(np.float64)
    return ops.softmax(np.c_[np.zeros(len(z)), z] if z.shape[1] == 1 else z)


# ---- the comparison ------------------------------------------------------------------------------------------------


class _Calls(NamedTuple):
    """A classifier on the test examples: probabilities (N,K), the score of two classes, the calls (N,), and which are right."""

    table: np.ndarray
    score: np.ndarray
    called: np.ndarray
    right: np.ndarray


def _calls(y: np.ndarray, table: np.ndarray, names: list[str], threshold: float = 0.5) -> _Calls:
    called = called_class(table, positive_class(names) if len(names) == 2 else None, threshold)
    return _Calls(table, table[:, 1], called, called == y)


def _measures(y: np.ndarray, calls: _Calls) -> dict[str, Any]:
    """ROC area and accuracy with their intervals; None for the area of a test without one of the classes."""
    area = interval = None
    classes = calls.table.shape[1]
    if len(np.unique(y)) == classes:
        if classes == 2:
            area, *interval = delong_interval(y, calls.score)
        else:
            area = macro_auc(y, calls.table)
    right = int(calls.right.sum())
    return {
        "roc_auc": area,
        "roc_auc_interval": interval,
        "accuracy": right / len(y),
        "accuracy_interval": list(wilson_interval(right, len(y))),
    }


def _row(answer: Answer, y: np.ndarray, names: list[str], model: _Calls) -> dict[str, Any]:
    """The row of a baseline for metrics["baselines"]."""
    measure = "roc_auc" if len(names) == 2 and len(np.unique(y)) == 2 else "accuracy"
    keys = ("roc_auc", "roc_auc_interval", "accuracy", "accuracy_interval", "difference", "p_value")
    row: dict[str, Any] = {"name": answer.name, **dict.fromkeys(keys), "seconds": answer.seconds, "measure": measure}
    if answer.table is None:
        return row | {"verdict": "can't tell", "reason": answer.reason}
    baseline = _calls(y, answer.table, names)
    row |= _measures(y, baseline)
    row["difference"] = _measures(y, model)[measure] - row[measure]
    if measure == "roc_auc":
        row["p_value"] = delong_test(y, model.score, baseline.score)
    else:
        row["p_value"] = mcnemar_test(model.right, baseline.right)
    different = row["p_value"] < LEVEL
    row["verdict"] = ("better" if row["difference"] > 0 else "worse") if different else "can't tell"
    return row | {"reason": None}


def verdict(rows: list[dict[str, Any]], model: _Calls, study: Study) -> str:
    """The verdict as a sentence, which begins with "Better than" or with "Not better than".

    The model is better only if it is better than every baseline, p < 0.05 each, and calls more than one class.
    """
    y, count = study.test.y, f"the same {len(study.test.y)} test {study.noun}"
    tested = [row for row in rows if row["reason"] is None]
    missing = "".join(f" {row['name'].capitalize()} could not be trained: {row['reason']}." for row in rows if row["reason"])
    own = _measures(y, model)
    unbeaten = sorted((row for row in tested if row["verdict"] != "better"), key=lambda row: row["difference"])
    sentences = ""
    if unbeaten:
        others = "".join(f" Nor better than {row['name']} ({_how_sure(row)})." for row in unbeaten[1:])
        sentences = f"Not better than {_figures(unbeaten[0], own)} on {count}.{others}"
    if len(np.unique(model.called)) == 1 and len(np.unique(y)) > 1:
        only = study.class_names[int(model.called[0])]
        same = rows[0]["name"] if f"({only})" in rows[0]["name"] else "always the same answer"
        return f"Not better than {same}: it calls every test example {only}. {sentences}".rstrip() + missing
    if unbeaten:
        return sentences + missing
    closest = min(tested, key=lambda row: row["difference"])
    others = "".join(f" Also better than {row['name']} ({_how_sure(row)})." for row in tested if row is not closest)
    remark = ""
    if own["accuracy"] <= tested[0]["accuracy"]:
        remark = (
            f" But its accuracy, {own['accuracy']:.3f}, is not above that of {tested[0]['name']}, {tested[0]['accuracy']:.3f}."
        )
    return f"Better than {_figures(closest, own)} on {count}.{others}{remark}{missing}"


def _figures(row: dict[str, Any], own: dict[str, Any]) -> str:
    """'pixels: ROC AUC 0.978 against 0.926 (p < 0.001)'."""
    name = "ROC AUC" if row["measure"] == "roc_auc" else "accuracy"
    return f"{row['name']}: {name} {own[row['measure']]:.3f} against {row[row['measure']]:.3f} ({_how_sure(row)})"


def in_words(p: float) -> str:
    """A p-value for a sentence.

    >>> in_words(0.0), in_words(0.035)
    ('p < 0.001', 'p = 0.035')
    """
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def _how_sure(row: dict[str, Any]) -> str:
    """'p = 0.31, which chance explains'; 'clearly worse, p = 0.01'; 'p < 0.001'."""
    p = in_words(row["p_value"])
    return {"better": p, "worse": f"clearly worse, {p}", "can't tell": f"{p}: can't tell"}[row["verdict"]]
