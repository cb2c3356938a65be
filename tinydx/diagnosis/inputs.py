"""What a model's inputs look like: a few numbers of each example, which tell one hospital's data from another's.

    summarize(...)       numbers of up to 500 training examples, and a digest of each; stored in the model's file
    differences(...)     sentences on what differs in new data, by two fixed rules

A statistic differs where its median over the new examples lies outside of the 1 % to 99 % quantiles of the training examples.
The others together differ where a logistic regression on them tells new from training examples with a cross-validated ROC AUC
above 0.75. Both sides then have equally many examples of each class, so that a different share of the diseased is no difference.
With fewer than 5 new examples nothing is said, with fewer than 20 only the first rule applies. The share of unknown words goes
by the first rule alone: training texts made the vocabulary, so any other text has more unknown words.

How often the rules fire where nothing differs: `python -m tinydx.tasks.false_alarms FOLDER`. On halves of the patients of 5,216
chest X-rays (Kermany 2018) 3 times in 200 with 20 new images, never in 200 with 5, 100 or 500. On another hospital's (NIH)
always; without the sizes of files 7 times in 20 with 5 images, 17 with 20, always with 100 or 500.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any, NamedTuple

import numpy as np

from tinydx.datasets.copies import content_of
from tinydx.datasets.study import Examples
from tinydx.evaluation import roc_auc
from tinydx.preprocessing.channels import mean_of_channels, over_channels
from tinydx.preprocessing.decoding import size_of

MOST = 500  # training examples whose statistics are stored
AT_ONCE = 16  # images that become float64: a whole set would take 24 times its bytes
LEAST, LEAST_TO_CLASSIFY = 5, 20  # new examples that each rule needs
QUANTILES = (0.01, 0.99)
TELLABLE = 0.75  # ROC AUC of the classifier above which the inputs differ
FOLDS = 5
FITTED = ("unknown",)  # statistics by which new examples differ from training examples even where they come from the same place

# statistic -> its words in a sentence
WORDS = {
    "brightness": "mean brightness (0 black to 1 white)",
    "contrast": "contrast (standard deviation of the brightness)",
    "dark border": "share of the border that is black",
    "bright border": "share of the border that is white",
    "edge direction": "ratio of vertical to horizontal gradients",
    "sharpness": "sharpness (second differences over first ones)",
    "colour": "colourfulness (0 for grey)",
    "file size": "size of the file's image in pixels (root of width times height)",
    "file shape": "width over height of the file's image",
    "level": "level (dB below full scale)",
    "centroid": "centre of the spectrum (Hz)",
    "high frequencies": "share of the power above a quarter of the sampling rate",
    "silence": "share of the time that is nearly silent",
    "file rate": "sampling rate of the file (Hz)",
    "file seconds": "duration of the file (s)",
    "length": "length (characters)",
    "word length": "characters of a word",
    "unknown": "share of words and pieces that training never saw",
    "capitals": "share of capital letters",
    "digits": "share of digits",
}


class Inputs(NamedTuple):
    """Statistics of examples: rows (N,S), a column for each name; classes (N,)."""

    names: list[str]
    rows: np.ndarray
    classes: np.ndarray


def measure(kind: Any, part: Examples, preprocessing: dict[str, Any], seed: int = 0) -> Inputs:
    """The statistics of at most 500 of the examples, chosen at random.

    Arguments: kind; part, the examples; preprocessing, how they were read; seed of the choice.
    """
    rows = np.sort(np.random.default_rng(seed).permutation(len(part.y))[:MOST])
    files = [part.files[i] for i in rows] if part.files else None
    columns = kind.statistics(Examples(part.x[rows], part.y[rows], files), preprocessing)
    names = list(columns)
    table = np.column_stack([columns[k] for k in names]) if names else np.empty((len(rows), 0))
    return Inputs(names, table.astype(np.float64), part.y[rows])


def summarize(kind: Any, part: Examples, preprocessing: dict[str, Any]) -> dict[str, Any]:
    """What the model's file keeps of its training examples, as JSON: statistics with four digits, and digests."""
    inputs = measure(kind, part, preprocessing)
    rows = [[float(f"{v:.4g}") for v in row] for row in inputs.rows]
    return {"names": inputs.names, "rows": rows, "classes": inputs.classes.tolist(), "digests": "".join(digests(part.x))}


def recall(summary: dict[str, Any]) -> Inputs:
    """The statistics of the training examples from the model's file."""
    rows = np.array(summary["rows"], np.float64).reshape(len(summary["classes"]), len(summary["names"]))
    return Inputs(summary["names"], rows, np.array(summary["classes"], np.int64))


def digests(x: np.ndarray) -> list[str]:
    """Eight characters for each example, equal where the examples are.

    >>> a, b, c = digests(np.array([[1.0], [2.0], [1.0]]))
    >>> a == c, a == b
    (True, False)
    """
    return [base64.b64encode(hashlib.blake2b(content_of(v), digest_size=6).digest()).decode() for v in x]


def seen_in_training(summary: dict[str, Any], x: np.ndarray) -> int:
    """How many of the examples training has seen: the same file, read in the same way."""
    known = {summary["digests"][i : i + 8] for i in range(0, len(summary["digests"]), 8)}
    return sum(digest in known for digest in digests(x))


# ---- what differs --------------------------------------------------------------------------------------------------


def differences(train: Inputs, new: Inputs, noun: str = "examples") -> list[str]:
    """What is different about new inputs, by the two rules of this module.

    Arguments: train, the training examples' statistics; new, those of the new examples; noun for the examples, in the plural.
    Returns: a sentence for each difference; none where nothing differs, or where there are fewer than 5 new examples.

    >>> rng = np.random.default_rng(0)
    >>> train = Inputs(["brightness"], rng.uniform(0.4, 0.6, (100, 1)), np.arange(100) % 2)
    >>> differences(train, train._replace(rows=train.rows + 0.3), "images")[0]  # doctest: +ELLIPSIS
    'mean brightness (0 black to 1 white): 0.8... in the middle one of these images, 0.4... to 0.59... in 98 % of the trai...'
    """
    shared = [name for name in train.names if name in new.names]
    a, b = (inputs.rows[:, [inputs.names.index(name) for name in shared]] for inputs in (train, new))
    if len(b) < LEAST or not len(a) or not shared:
        return []
    sentences, alike = [], []
    for name, known, values in zip(shared, a.T, b.T, strict=True):
        low, high = np.quantile(known, QUANTILES)
        middle = float(f"{np.median(values):.4g}")  # as many digits as the file has
        if low <= middle <= high:
            alike.append(name)
        else:
            span = f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
            words = WORDS.get(name, name)
            sentences.append(f"{words}: {middle:.3g} in the middle one of these {noun}, {span} in 98 % of the training {noun}")
    if min(len(a), len(b)) >= LEAST_TO_CLASSIFY:
        names = [name for name in alike if name not in FITTED]
        columns = [shared.index(name) for name in names]
        area, strongest = tell_apart(Inputs(names, a[:, columns], train.classes), Inputs(names, b[:, columns], new.classes))
        if area > TELLABLE:
            sentences.append(
                f"a linear classifier tells these {noun} from the training {noun} (ROC AUC {area:.2f}), "
                f"most of all by their {strongest}"
            )
    return sentences


def tell_apart(train: Inputs, new: Inputs, seed: int = 0) -> tuple[float, str]:
    """How well logistic regression on the statistics tells new examples from training examples of the same classes.

    Arguments: train, new, with the same names; seed of the choice of examples and folds.
    Returns: (ROC AUC over examples that the regression did not see, the name of the statistic with the largest weight).
    """
    if not train.names:
        return 0.5, ""
    rng = np.random.default_rng(seed)
    rows: list[np.ndarray] = []
    for k in np.unique(train.classes):
        here, there = np.flatnonzero(train.classes == k), np.flatnonzero(new.classes == k)
        n = min(len(here), len(there))
        rows += [train.rows[rng.permutation(here)[:n]], new.rows[rng.permutation(there)[:n]]]
    x = np.concatenate(rows)
    y = np.concatenate([np.full(len(r), i % 2) for i, r in enumerate(rows)])
    if len(y) < 2 * FOLDS:
        return 0.5, ""
    spread = x.std(axis=0)
    x = np.clip((x - x.mean(axis=0)) / np.where(spread > 0, spread, 1), -5, 5)
    fold = np.empty(len(y), int)
    for k in (0, 1):
        fold[rng.permutation(np.flatnonzero(y == k))] = np.arange(np.sum(y == k)) % FOLDS
    scores = np.empty(len(y))
    for f in range(FOLDS):
        scores[fold == f] = _with_one(x[fold == f]) @ logistic_regression(x[fold != f], y[fold != f])
    weights = np.abs(logistic_regression(x, y)[:-1])
    return roc_auc(y, scores), train.names[int(weights.argmax())]


def logistic_regression(x: np.ndarray, y: np.ndarray, penalty: float = 1.0, iterations: int = 20) -> np.ndarray:
    """Weights of the ridge logistic regression, by Newton's method.

        w <- w + (X^T diag(p (1 - p)) X + penalty)^-1 (X^T (y - p) - penalty w),    p = sigmoid(X w)

    Arguments: x (N,D), standardised; y (N,) of 0 and 1; penalty on the weights, none on the constant; iterations.
    Returns: (D+1,), the constant last.

    >>> logistic_regression(np.array([[-1.0], [0.0], [0.0], [1.0]]), np.array([0, 0, 1, 1])).round(2)
    array([ 0.67, -0.  ])
    """
    x = _with_one(x)
    ridge = np.full(x.shape[1], penalty)
    ridge[-1] = 1e-9
    w = np.zeros(x.shape[1])
    for _ in range(iterations):
        p = 1 / (1 + np.exp(-np.clip(x @ w, -30, 30)))
        curvature = (x * (p * (1 - p))[:, None]).T @ x + np.diag(ridge)
        w = w + np.linalg.solve(curvature, x.T @ (y - p) - ridge * w)
    return w


def _with_one(x: np.ndarray) -> np.ndarray:
    """A column of ones after the others, for the constant."""
    return np.column_stack([x, np.ones(len(x))])


# ---- the statistics of each kind -----------------------------------------------------------------------------------


def image_statistics(x: np.ndarray, files: list[str] | None = None) -> dict[str, np.ndarray]:
    """Brightness, contrast, borders, directions of edges, sharpness and colour; size and shape of the files where known.

    Arguments: x (N,H,W,C), bytes; files, their paths.
    Returns: (N,) for each name.

    >>> stripes = np.tile(np.array([[[0]], [[255]]], np.uint8), (1, 4, 8, 3))
    >>> found = image_statistics(stripes)
    >>> found["brightness"], found["edge direction"].round() > 100, "file size" in found
    (array([0.5]), array([ True]), False)
    """
    columns: dict[str, list[float]] = {}

    def add(name: str, value: Any) -> None:
        columns.setdefault(name, []).append(float(value))

    for image in x:
        pixels = np.asarray(image, np.float32) / 255
        grey = mean_of_channels(pixels)
        edge = max(1, min(grey.shape) // 16)
        border = np.concatenate([grey[:edge].ravel(), grey[-edge:].ravel(), grey[:, :edge].ravel(), grey[:, -edge:].ravel()])
        down, right = np.abs(np.diff(grey, axis=0)), np.abs(np.diff(grey, axis=1))
        twice = np.abs(np.diff(grey, n=2, axis=0)).mean() + np.abs(np.diff(grey, n=2, axis=1)).mean()
        add("brightness", grey.mean())
        add("contrast", grey.std())
        add("dark border", np.mean(border < 0.1))
        add("bright border", np.mean(border > 0.9))
        add("edge direction", down.mean() / (right.mean() + 1e-6))
        add("sharpness", twice / (down.mean() + right.mean() + 1e-6))
        add("colour", np.mean(over_channels(np.maximum, pixels) - over_channels(np.minimum, pixels)))
    for file in files or []:
        width, height = size_of(file)
        add("file size", np.sqrt(width * height))
        add("file shape", width / height)
    return {name: np.array(values) for name, values in columns.items()}


def coarse_pictures(x: np.ndarray, side: int = 4) -> np.ndarray:
    """The mean brightness of side x side parts of each image, in standard deviations from the image's own mean.

    Arguments: x (N,H,W,C), bytes; side, fewer where an image has fewer pixels.
    Returns: (N, side * side), row by row. A blank image has zeros: the deviation counts as at least 5 of 255.

    >>> half = np.repeat(np.array([0, 255], np.uint8), 4).reshape(1, 8, 1, 1).repeat(8, axis=2)
    >>> coarse_pictures(half, side=2).round(2)
    array([[-1., -1.,  1.,  1.]])
    """
    side = min(side, *x.shape[1:3])
    pieces = []
    for start in range(0, len(x), AT_ONCE):
        grey = mean_of_channels(np.asarray(x[start : start + AT_ONCE], np.float64))
        rows = np.array_split(grey - grey.mean(axis=(1, 2), keepdims=True), side, axis=1)
        means = [block.mean(axis=(1, 2)) for row in rows for block in np.array_split(row, side, axis=2)]
        pieces.append(np.stack(means, axis=1) / np.maximum(grey.std(axis=(1, 2)), 5)[:, None])
    return np.concatenate(pieces)


def sound_statistics(x: np.ndarray, rate: int, files: list[str] | None = None) -> dict[str, np.ndarray]:
    """Level, centre and width of the spectrum, silence; sampling rate and duration of the files where known.

    Arguments: x (N,L), samples from -1 to 1; rate in Hz; files, their paths.
    Returns: (N,) for each name.

    >>> t = np.arange(2000) / 2000
    >>> found = sound_statistics(np.sin(2 * np.pi * 100 * t)[None], 2000)
    >>> found["centroid"].round(), found["level"].round(2)
    (array([100.]), array([-3.01]))
    """
    x = np.asarray(x, np.float64)
    power = np.abs(np.fft.rfft(x - x.mean(axis=1, keepdims=True), axis=1)) ** 2
    hz = np.fft.rfftfreq(x.shape[1], 1 / rate)
    total = power.sum(axis=1) + 1e-12
    root = np.sqrt((x**2).mean(axis=1))
    columns = {
        "level": 20 * np.log10(root + 1e-6),
        "centroid": power @ hz / total,
        "high frequencies": power[:, hz > rate / 4].sum(axis=1) / total,
        "silence": (np.abs(x) < 0.05 * root[:, None]).mean(axis=1),
    }
    if files:
        columns["file rate"], columns["file seconds"] = np.array([_header_of(file) for file in files]).T
    return columns


def _header_of(path: str) -> tuple[float, float]:
    """(rate in Hz, seconds) from the header of a sound file."""
    import soundfile

    info = soundfile.info(path)
    return info.samplerate, info.frames / info.samplerate


def text_statistics(texts: np.ndarray, ids: list[list[int]], unknown: int) -> dict[str, np.ndarray]:
    """Length, length of words, share of unknown tokens, capitals and digits.

    Arguments: texts (N,), str; ids, the tokens of each; unknown, the id of an unknown token.
    Returns: (N,) for each name.

    >>> text_statistics(np.array(["Leg pain"], object), [[5, 1, 1, 7]], unknown=1)["unknown"]
    array([0.5])
    """
    n = np.array([max(1, len(text)) for text in texts], np.float64)
    words = np.array([max(1, len(text.split())) for text in texts])
    return {
        "length": n,
        "word length": np.array([sum(map(len, text.split())) for text in texts]) / words,
        "unknown": np.array([row.count(unknown) / max(1, len(row)) for row in ids]),
        "capitals": np.array([sum(map(str.isupper, text)) for text in texts]) / n,
        "digits": np.array([sum(map(str.isdigit, text)) for text in texts]) / n,
    }
