"""Does a finished model hold elsewhere? Tests on other folders, such as those of another hospital, and what differs there.

    remember(model, ...)    at the end of a diagnosis: what the training inputs look like, and the figures of its own test
    test(model, path)       the model's figures on another folder, and sentences to read before them
    words(row, noun)        the same as lines for a terminal, warnings first
    evaluate(...)           the command `tinydx evaluate MODEL FOLDER [FOLDER ...]`

What a warning says is decided by fixed rules. "No better than chance": the ROC AUC is below 0.6. "Cannot be told from chance":
its 95 % interval begins below 0.5. "Worse than on its own test": the interval ends below the figure of the model's own test. And
the inputs differ by the rules of `tinydx.diagnosis.inputs`. Nothing is chosen on the data of these tests, and the threshold
is the model's own.
"""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from tinydx import evaluation
from tinydx.datasets.study import SPLITS, Examples, Study
from tinydx.diagnosis import deciding, inputs, unlike
from tinydx.diagnosis.finished import kind_of
from tinydx.diagnosis.kind import Kind
from tinydx.files import atomic_write, check_folder
from tinydx.models import load_model
from tinydx.names import in_figure, line, shown

CHANCE = 0.6  # a ROC AUC below this is called no better than chance
RATES = ("accuracy", "sensitivity", "specificity")


def remember(model: Any, kind: Kind, study: Study, metrics: dict[str, Any]) -> None:
    """Put into `model.preprocessing["training"]` what `test` needs: the training inputs' statistics, and the model's own test.

    Arguments: model, whose preprocessing is set; kind; study; metrics of `evaluate_diagnosis` on the study's test examples.
    """
    summary = inputs.summarize(kind, study.train, study.preprocessing)
    if (start := getattr(kind, "start", None)) is not None:
        summary["digests"] += start.digests  # what trained the network that it began from, has trained it, too
    own = {key: metrics.get(key) for key in ("count", "roc_auc", "accuracy")}
    alike = unlike.learn(kind, study.train, study.val, study.preprocessing)
    model.preprocessing = {**model.preprocessing, "training": {**summary, "test": own, "alike": alike}}


def test(
    model: Any, path: str | Path, *, split: str | None = None, part: Examples | None = None, seed: int = 0, batch: int = 32
) -> dict[str, Any]:
    """Test a finished model on the data at another path.

    Arguments: model, as `tinydx diagnose` saves it, with class_names and preprocessing; path, of what `tinydx diagnose --data`
    takes, with the model's classes; split "train", "val" or "test" (None: all of the data); part, the examples
    there if they have been read already; seed of the intervals; batch.
    Returns: a row for metrics["elsewhere"]: path, noun, count, class_counts, class_names, positive_class, threshold, roc_auc,
    accuracy, sensitivity, specificity, each with `<key>_interval`, reasons (where a figure is None), majority {class, accuracy},
    the baseline that always calls the most frequent class; own_test {count, roc_auc, accuracy}; roc, points [false positive
    rate, true positive rate] (two classes); warnings, sentences to read before the figures.
    Raises: ValueError for a model that `tinydx diagnose` did not make, and for other classes; errors of the files.
    """
    kind = kind_of(model)
    how, names = model.preprocessing, list(model.class_names)
    part = kind.open_labelled(path, names, how, split) if part is None else part
    shell = Study(str(path), names, part, part, part, False, [], how, kind.noun, "")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "an output near 1 means")  # the evaluation below goes by the class names
        probabilities = deciding.probabilities(model, model.predict(kind.plain_batches(shell, part, batch)))
    threshold = how.get("threshold", 0.5) if len(names) == 2 else 0.5
    metrics = evaluation.evaluate_diagnosis(part.y, probabilities, names, threshold=threshold, seed=seed)
    kept = ("count", "class_names", "class_counts", "positive_class", "threshold", "roc_auc", *RATES, "reasons")
    row = {"path": shown(path), "split": split, "noun": kind.noun, **{key: metrics[key] for key in kept}}
    row |= {f"{key}_interval": metrics.get(f"{key}_interval") for key in ("roc_auc", *RATES)}
    most = int(np.bincount(part.y).argmax())
    row["majority"] = {"class": names[most], "accuracy": float(np.mean(part.y == most))}
    training = how.get("training")
    row["own_test"] = training["test"] if training else None
    row["roc"] = _roc(part.y, probabilities, names)
    row["warnings"] = _verdicts(row) + _differences(training, kind, part, how)
    return row


def _roc(y: np.ndarray, probabilities: np.ndarray, names: list[str]) -> list[list[float]] | None:
    """At most 200 points of the ROC curve of the positive class; None with more than two classes."""
    if len(names) != 2:
        return None
    positive = evaluation.positive_class(names)
    table = evaluation.probability_table(probabilities, names)
    false, true, _ = evaluation.roc_curve(y == positive, table[:, positive])
    chosen = np.unique(np.linspace(0, len(false) - 1, 200).astype(int))
    return [[round(float(a), 5), round(float(b), 5)] for a, b in zip(false[chosen], true[chosen], strict=True)]


def _verdicts(row: dict[str, Any]) -> list[str]:
    """What must be said before the figures, from the figures."""
    area, interval, noun, sentences = row["roc_auc"], row["roc_auc_interval"], row["noun"], []
    own = (row["own_test"] or {}).get("roc_auc")
    if area < CHANCE:
        fall = "" if own is None else f", {own:.2f} on its own test"
        sentences.append(f"No better than chance here (ROC AUC {area:.2f}{fall}): do not use this model on such {noun}.")
    elif interval[0] <= 0.5:
        sentences.append(f"With {row['count']} {noun} it cannot be told from chance (ROC AUC {area:.2f}).")
    elif own is not None and interval[1] < own:
        sentences.append(f"Worse here than on its own test: ROC AUC {area:.2f}, there {own:.2f}.")
    majority = row["majority"]
    if area >= CHANCE and row["accuracy_interval"][0] <= majority["accuracy"]:
        sentences.append(
            f"Its accuracy, {row['accuracy']:.3f}, is not shown to be better than calling every one of these {noun} "
            f"{majority['class']}, {majority['accuracy']:.3f}."
        )
    return sentences


def _differences(training: dict[str, Any] | None, kind: Kind, part: Any, how: dict[str, Any]) -> list[str]:
    """What must be said before the figures, from the inputs."""
    if training is None:
        return ["The model's file does not say what its training inputs looked like, so nothing is known about differences."]
    sentences = []
    if seen := inputs.seen_in_training(training, part.x):
        sentences.append(
            f"{seen} of these {len(part.y)} {kind.noun} were in training: the figures are not those of unseen {kind.noun}."
        )
    found = inputs.differences(inputs.recall(training), inputs.measure(kind, part, how), kind.noun)
    if found:
        sentences.append(f"These {kind.noun} differ from those of training, so that its own test does not speak for them:")
        sentences += [f"- {sentence}" for sentence in found]
    return sentences


# ---- in words and pictures -----------------------------------------------------------------------------------------


def words(row: dict[str, Any]) -> list[str]:
    """A row of `test` as lines: where, the warnings, then the figures."""
    counts = ", ".join(f"{n} {shown(name)}" for name, n in row["class_counts"].items())
    lines = [f"{shown(row['path'])}{' ' + row['split'] if row['split'] else ''}: {row['count']} {row['noun']}, {counts}"]
    lines += [f"  {'' if warning.startswith('- ') else '! '}{line(warning)}" for warning in row["warnings"]]
    for key in ("roc_auc", *RATES):
        lines.append(f"  {key.replace('roc_auc', 'ROC AUC'):<12} {figure(row, key)}")
    majority = row["majority"]
    return [*lines, f"  {'baseline':<12} {majority['accuracy']:.3f}  accuracy of always {majority['class']!r}"]


def figure(row: dict[str, Any], key: str) -> str:
    """A figure with its interval, or why there is none."""
    value, interval = row[key], row.get(f"{key}_interval")
    if value is None:
        return str(row["reasons"].get(key, "not known"))
    return f"{value:.3f}" + (f"  (95 % interval {interval[0]:.3f} to {interval[1]:.3f})" if interval else "")


def plot_curves(axes: Any, rows: list[dict[str, Any]], own: list[list[float]] | None = None) -> None:
    """Plot the ROC curve of each row, on matplotlib's axes.

    Arguments: axes; rows of `test`; own, points of the curve of the model's own test (None: not plotted).
    """
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8, linestyle=":")
    curves = [("own test", own)] if own else []
    curves += [(f"{in_figure(Path(row['path']).name)}, AUC {row['roc_auc']:.3f}", row["roc"]) for row in rows if row["roc"]]
    for name, points in curves:
        axes.plot(*np.array(points).T, linewidth=1.4, label=name)
    axes.set(xlim=(0, 1), ylim=(0, 1.01), xlabel="false positive rate", ylabel="true positive rate", aspect="equal")
    axes.legend(loc="lower right", fontsize=8)


# ---- the command ---------------------------------------------------------------------------------------------------


def evaluate(
    model_path: str, paths: list[str], *, split: str | None = None, seed: int = 0, output: str | Path | None = None
) -> list[dict[str, Any]]:
    """Test a saved model on each path, print what is found, warnings first, then a table with a row for each.

    Arguments: model_path; paths; split "train", "val", "test" (None: all of the data); seed of the intervals; output, a folder
    for elsewhere.json and, for two classes, roc.png (None: nothing is written).
    Returns: the rows of `test`.
    Raises: the errors of `load_model` and `test`.
    """
    if output is not None:
        check_folder(output)
    model = load_model(model_path)
    kind_of(model, model_path)
    if split is not None and split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {split!r}")
    rows = []
    for path in paths:
        rows.append(test(model, path, split=split, seed=seed))
        print("\n".join(words(rows[-1])), end="\n\n", flush=True)
    if len(rows) > 1:
        print("\n".join(_table(rows)))
    if output is not None:
        _write(Path(output), rows)
    return rows


def _table(rows: list[dict[str, Any]]) -> list[str]:
    """The figures of all rows, a line each; a row with warnings is marked."""
    width = max(len(shown(row["path"])) for row in rows)
    columns = "  {0:<{width}}  {1:>6}  {2:<20} {3:<9} {4:<12} {5:<12} {6}"
    heads = ("", "count", "ROC AUC (95 %)", "accuracy", "sensitivity", "specificity", "baseline")
    lines = [columns.format(*heads, width=width)]
    for row in rows:
        low, high = row["roc_auc_interval"]
        area = f"{row['roc_auc']:.3f} ({low:.3f}-{high:.3f})"
        rates = ["-" if row[key] is None else f"{row[key]:.3f}" for key in RATES]
        text = columns.format(shown(row["path"]), row["count"], area, *rates, f"{row['majority']['accuracy']:.3f}", width=width)
        lines.append("!" + text[1:] if row["warnings"] else text)
    return lines


def _write(folder: Path, rows: list[dict[str, Any]]) -> None:
    """elsewhere.json, and roc.png where the curves exist."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(rows, indent=1, ensure_ascii=False)
    atomic_write(folder / "elsewhere.json", text.encode("utf-8", "backslashreplace"))  # the name of a path need not be text
    if not all(row["roc"] for row in rows):
        return
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    canvas = FigureCanvasAgg(Figure(figsize=(5, 5), layout="constrained"))
    plot_curves(canvas.figure.add_subplot(), rows)
    picture = io.BytesIO()
    canvas.figure.savefig(picture, dpi=150)
    atomic_write(folder / "roc.png", picture.getvalue())
