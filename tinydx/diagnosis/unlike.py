r"""Is an input unlike the training data? A model answers for any input, also for a screenshot; this says when not to ask it.

    up to 500 training examples ─ Kind.gist ─> rows ┐
    validation examples ───────── Kind.gist ────────┴─ learn ─> rows, scales, limit     (in the model's file)
    a new input ───────────────── Kind.gist ─────────────────── warning ─> a sentence, or None

An example's gist is a few numbers of what the model sees of it: of an image its statistics (`inputs.image_statistics`) and a
picture of 4x4 pixels, of a recording the mean and spread of its spectrum, of a text the number and length of its words, unknown
words and digits. The distance of an input from the training examples is that from the nearest of them,

    d(x) = \min_i \sqrt{ \frac{1}{J} \sum_j \left( \frac{f_j(x) - f_j(x_i)}{s_j} \right)^2 }

with s_j the standard deviation, at least 0.01, and x is unlike them where d(x) is above the limit: the k-th smallest distance of
the n validation examples, k = \lceil 0.99 (n + 1) \rceil, or the largest one if n is below 99. Inputs of the same source are then
called unlike in 1 % of all cases (1 in n + 1 below 99). Nothing is chosen on the test examples, on which `false_alarms` measures
how often it happens; docs/card.md has what it finds in screenshots, noise, other languages and the like.

Source: Vovk, Gammerman and Shafer 2005 (the limit is that of a conformal p-value); Sun et al. 2022 (the nearest neighbour).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinydx.datasets.study import Examples
from tinydx.diagnosis.inputs import MOST
from tinydx.diagnosis.kind import Kind
from tinydx.evaluation import wilson_interval
from tinydx.saving.header import expect_dict, expect_list, expect_number, expect_text, part

ALARMS = 0.01  # the share of validation examples beyond the limit
LEAST = 0.01  # of a scale, so that a number that is the same in all training examples may differ a little


def learn(kind: Kind, train: Examples, val: Examples, preprocessing: dict[str, Any], seed: int = 0) -> dict[str, Any]:
    """What a model's file keeps, so that `warning` knows its training examples.

    Arguments: kind; train, val, the examples of which the limit is made; preprocessing, how they were read; seed of the choice of
    the training examples, where there are more than 500.
    Returns: JSON-able {"names" of the J numbers, "scales" (J,), "rows" (N,J), "limit"}.
    """
    chosen = np.sort(np.random.default_rng(seed).permutation(len(train.y))[:MOST])
    some = Examples(train.x[chosen], train.y[chosen])
    names, rows = _gist(kind, some, preprocessing)
    _, held_out = _gist(kind, val, preprocessing)
    scales = np.maximum(np.concatenate([rows, held_out]).std(axis=0), LEAST)
    known: dict[str, Any] = {"names": names, "scales": _short(scales), "rows": [_short(row) for row in rows]}
    known["limit"] = limit(distances(known, held_out))
    return known


def limit(held_out: np.ndarray, alarms: float = ALARMS) -> float:
    """The distance above which at most this share of inputs from the same source lies, or one in n + 1.

    Arguments: held_out (n,), distances of examples that are not among the training examples; alarms, the share.

    >>> limit(np.arange(199.0)), limit(np.arange(9.0))
    (197.0, 8.0)
    """
    k = math.ceil((1 - alarms) * (len(held_out) + 1))
    return float(np.sort(held_out)[min(k, len(held_out)) - 1])


def distances(known: dict[str, Any], gists: np.ndarray) -> np.ndarray:
    """The distance (N,) of each gist (N,J) from the nearest training example.

    >>> distances({"scales": [1.0, 2.0], "rows": [[0.0, 0.0], [9.0, 9.0]]}, np.array([[3.0, 8.0]])).round(4)
    array([3.5355])
    """
    scales = np.array(known["scales"])
    rows = np.array(known["rows"]) / scales
    return np.array([np.sqrt(((rows - gist / scales) ** 2).mean(axis=1).min()) for gist in gists])


def false_alarms(known: dict[str, Any], kind: Kind, test: Examples, preprocessing: dict[str, Any]) -> dict[str, Any]:
    """How many examples of the same source are called unlike.

    Returns: {"count", "alarms", "rate", "rate_interval" (Wilson's, 95 %), "limit"}.
    """
    found = distances(known, _gist(kind, test, preprocessing)[1]) > known["limit"]
    alarms, count = int(found.sum()), len(found)
    interval = list(wilson_interval(alarms, count))
    return {"count": count, "alarms": alarms, "rate": alarms / count, "rate_interval": interval, "limit": known["limit"]}


def warning(training: dict[str, Any] | None, kind: Kind, example: Examples, preprocessing: dict[str, Any]) -> str | None:
    """Whether an input is unlike the training data, in words; None where it is not, or where the file does not say.

    Arguments: training, what `elsewhere.remember` puts into a model's preprocessing; kind; example, the input alone, as
    `Kind.example` reads it; preprocessing.
    """
    known = (training or {}).get("alike")
    if known is None:
        return None
    names, gists = _gist(kind, example, preprocessing)
    if names != known["names"]:
        return f"cannot be compared with the training {kind.noun}: the model is of another version of tinydx"
    distance = distances(known, gists)[0]
    if not distance > known["limit"]:
        return None
    return (
        f"unlike the training {kind.noun}, most of all in its {_reason(known, names, gists[0])}: "
        f"{distance / known['limit']:.3g} times as far from the nearest of them as the limit. Do not rely on the answer"
    )


def _reason(known: dict[str, Any], names: list[str], gist: np.ndarray) -> str:
    """The part of the gist that contributes most to the distance from the nearest training example."""
    parts = ((np.array(known["rows"]) - gist) / np.array(known["scales"])) ** 2
    nearest = parts[parts.mean(axis=1).argmin()]
    sums = {name: nearest[[n == name for n in names]].sum() for name in names}
    return max(sums, key=lambda name: sums[name])


def _gist(kind: Kind, examples: Examples, preprocessing: dict[str, Any]) -> tuple[list[str], np.ndarray]:
    """The names of the numbers, and the numbers (N,J) of each example."""
    found = kind.gist(examples, preprocessing)
    parts = [np.asarray(values, np.float64).reshape(len(examples.y), -1) for values in found.values()]
    names = [name for name, values in zip(found, parts, strict=True) for _ in range(values.shape[1])]
    return names, np.concatenate(parts, axis=1)


def _short(values: np.ndarray) -> list[float]:
    """Four digits of each, for the file."""
    return [float(f"{v:.4g}") for v in values]


def check(known: Any, where: str) -> None:
    """ValueError or TypeError unless this is what `learn` returns: the file of a model can be forged.

    Arguments: known; where, for messages.
    """
    names = expect_list(part(expect_dict(known, where), "names", where), f"{where}: names")
    scales = expect_list(part(known, "scales", where), f"{where}: scales")
    rows = [expect_list(row, f"{where}: a row") for row in expect_list(part(known, "rows", where), f"{where}: rows")]
    for name in names:
        expect_text(name, f"{where}: a name")
    if not (rows and names and len(scales) == len(names) == min(map(len, rows)) == max(map(len, rows))):
        raise ValueError(f"{where}: rows, scales and names do not fit")
    for value in (*scales, *(v for row in rows for v in row)):
        expect_number(value, f"{where}: a number")
    if min(scales) <= 0 or expect_number(part(known, "limit", where), f"{where}: the limit") < 0:
        raise ValueError(f"{where}: a scale or the limit is not positive")
