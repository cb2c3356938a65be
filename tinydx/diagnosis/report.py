"""The result of a diagnosis as a folder: one picture page, and its numbers as JSON and CSV.

    evaluation.evaluate_diagnosis -> metrics  ┐
    model.fit                     -> history  ├ write_report -> report.png, metrics.json, history.json, history.csv
    a few test examples                       ┘

The page is a stack of bands whose heights in inches are known: head, headline numbers, what to know before believing them
(baselines, other places, `sections`), curves, ROC and confusion matrix, calibration and words, the recipe, examples. A band is
there if the metrics have its key ("baselines", "elsewhere", "recipe", those of the sections); more content makes the page
longer and nothing shrinks. What speaks against the model stands at the top: a verdict other than "Better than ...", and warnings
of other places. Every class name can be shown: characters that no installed font has are escaped. Each file is written
atomically.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tinydx import evaluation
from tinydx.datasets.study import Study
from tinydx.diagnosis.baselines import in_words
from tinydx.diagnosis.kind import Kind
from tinydx.diagnosis.page import (
    BLUE,
    CLASS_COLORS,
    DIAGONAL,
    INK,
    MARGIN,
    MUTED,
    PALE,
    RED,
    WIDTH,
    Band,
    History,
    Line,
    Page,
    Panel,
    bullets,
    columns,
    figure_of,
    fonts,
    grid,
    head,
    heading,
    interval,
    legible,
    message,
    png,
    sentences,
    short,
    tabulated,
    text_band,
    text_bands,
    wrap,
)
from tinydx.diagnosis.sections import all_bands
from tinydx.files import atomic_write
from tinydx.names import in_cell

LONGEST_NAME = 40  # columns of a class name; a longer one is cut, and its number added
LEGEND = 10  # most classes that a legend names; a confusion matrix shows numbers for twice as many


def write_report(
    directory: str | os.PathLike,
    *,
    metrics: dict[str, Any],
    history: History,
    examples: np.ndarray | Sequence[Any],
    y_true: ArrayLike,
    probabilities: ArrayLike,
    class_names: Sequence[str],
    kind: Kind,
    title: str,
    synthetic: bool,
    subtitle: str = "",
    study: Study | None = None,
) -> dict[str, Path]:
    """Write report.png, metrics.json, history.json and history.csv into a folder, which is created if needed.

    In the JSON files NaN and infinity become null.

    Arguments: directory; metrics, from `evaluation.evaluate_diagnosis` on the same y_true, probabilities and class_names, and
    what `diagnose` adds to them; history, from `fit(...).history`: a list for each name, one number for each epoch; examples, the
    N test examples, which `kind` plots; y_true (N,), class numbers; probabilities (N,) or (N, classes); class_names; kind; title
    and subtitle of the page; synthetic, True for synthetic data, which the title and every example then say; study, of whose
    other splits a section may show examples.
    Returns: the paths {"page", "metrics", "history", "history_csv"}.
    Raises: ValueError where lengths or shapes do not fit.

    >>> import tempfile
    >>> from tinydx.diagnosis.kinds.image import KIND
    >>> truth, p = np.array([0, 1, 1, 0]), np.array([0.2, 0.7, 0.4, 0.1])
    >>> found = evaluation.evaluate_diagnosis(truth, p, ["normal", "ill"], samples=100)
    >>> paths = write_report(tempfile.mkdtemp(), metrics=found, history={"loss": [0.7, 0.6]},
    ...                      examples=np.zeros((4, 8, 8)), y_true=truth, probabilities=p,
    ...                      class_names=["normal", "ill"], kind=KIND, title="An example", synthetic=True)
    >>> sorted(path.name for path in paths.values())
    ['history.csv', 'history.json', 'metrics.json', 'report.png']
    """
    table = evaluation.probability_table(probabilities, class_names)
    true = np.asarray(y_true).reshape(-1).astype(int)
    if not len(true) == len(table) == len(examples) == metrics["count"]:
        raise ValueError(
            f"the report needs a label and a probability for each example: {len(examples)} {kind.noun}, "
            f"{len(true)} labels, {len(table)} probabilities, metrics of {metrics['count']}"
        )
    png = _png(Page(metrics, history, list(examples), true, table, kind, title, subtitle, synthetic, study))
    return {**write_numbers(directory, metrics, history), "page": atomic_write(Path(directory) / "report.png", png)}


def write_numbers(directory: str | os.PathLike, metrics: dict[str, Any], history: History) -> dict[str, Path]:
    """Write metrics.json, history.json and history.csv, those files of a report that need no picture; as `write_report`."""
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    return {
        "metrics": atomic_write(folder / "metrics.json", as_json(metrics)),
        "history": atomic_write(folder / "history.json", as_json(history)),
        "history_csv": atomic_write(folder / "history.csv", _csv(history)),
    }


# --- numbers as files ---------------------------------------------------------------------------------------


def as_json(value: Any) -> str:
    """JSON as text; NaN and infinity become null."""
    return json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    """NumPy's types as Python's own, what JSON cannot express (NaN, infinity) as None, what UTF-8 cannot express escaped."""
    if isinstance(value, dict):
        return {_plain(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, str):  # the name of a file need not be text
        return value.encode("utf-8", "backslashreplace").decode()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _csv(history: History) -> str:
    """One line for each epoch, counted from 1; an empty cell where a name has no number for it."""
    rows = itertools.zip_longest(*(_plain(list(values)) for values in history.values()))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["epoch", *map(in_cell, history)])
    writer.writerows([epoch, *row] for epoch, row in enumerate(rows, start=1))
    return text.getvalue()


# --- the page -----------------------------------------------------------------------------------------------


def _png(page: Page) -> bytes:
    """The whole page as the bytes of a PNG file."""
    texts = [example for example in page.examples if isinstance(example, str)]
    names = page.metrics["class_names"]
    places = [row["path"] for row in page.metrics.get("elsewhere") or []]
    family, weight, drawable = fonts([page.title, page.subtitle, *names, *texts, *places])
    numbered = {name: f"class {k}" for k, name in enumerate(names) if not drawable.issuperset(map(ord, name))}
    subtitle = page.subtitle + (
        " No installed font has the characters of the class names, so they are numbers here; metrics.json "
        "has them. Noto Sans CJK is a font for Chinese."
        if numbered
        else ""
    )
    long = {name: f"{short(name, LONGEST_NAME)} ({k})" for k, name in enumerate(names) if columns(name) > LONGEST_NAME}
    page = page._replace(
        metrics=legible(page.metrics, drawable, long | numbered),
        history={legible(short(key, LONGEST_NAME), drawable, {}): values for key, values in page.history.items()},
        examples=legible(page.examples, drawable, {}),
        title=legible(page.title, drawable, {}),
        subtitle=legible(subtitle, drawable, {}),
    )
    return png(_bands(page), page.title, family, weight)


def _bands(page: Page) -> list[Band]:
    """The bands from top to bottom, each as high as its content needs."""
    metrics, kind, true, table = page.metrics, page.kind, page.true, page.table
    names = metrics["class_names"]
    positive = None if metrics["positive_class"] is None else names.index(metrics["positive_class"])
    called = evaluation.called_class(table, positive, metrics["threshold"])
    lines = head(page.title, page.subtitle, kind.synthetic_notice if page.synthetic else None, _reservations(metrics))
    grids = _choose_examples(true, called, table, kind)

    def quality(band: Any) -> None:
        left, right = band.subplots(1, 2)
        _plot_roc(left, true, table, metrics, positive)
        _plot_confusion(right, metrics)

    def calibration(band: Any) -> None:
        parts = band.subplot_mosaic([["curve", "words"], ["counts", "words"]], height_ratios=[5, 1])
        _plot_calibration(parts["curve"], parts["counts"], metrics)
        _plot_words(parts["words"], metrics)

    bands = [
        text_band(lines),
        Band(1.2, lambda band: _plot_headline(band, metrics)),
        *text_bands(_baseline_lines(metrics), _elsewhere_lines(metrics)),
        *_elsewhere_curves(page, positive),
        *all_bands(page),
        Band(2.9, lambda band: _plot_curves(band, page.history)),
        Band(4.0, quality),
        *text_bands(_class_lines(metrics)),
        Band(4.0, calibration),
        *text_bands(_data_lines(metrics), _recipe_lines(metrics)),
    ]
    for title, chosen in grids:
        bands.append(grid(title, kind, [_panel(page, i, called[i]) for i in chosen], page.synthetic))
    return bands


# --- lines of text ------------------------------------------------------------------------------------------


def _reservations(metrics: dict[str, Any]) -> list[str]:
    """What a reader must know before the figures: a verdict other than "Better than ...", and other places' first warnings."""
    verdict = metrics.get("verdict") or ""
    said = [verdict] if verdict and not verdict.startswith("Better than") else []
    said += [copies["warning"]] if (copies := metrics.get("copies")) and copies["warning"] else []
    said += [start["warning"]] if (start := metrics.get("start")) and start["warning"] else []
    warned = [row for row in metrics.get("elsewhere") or [] if row["warnings"]]
    said += [f"Elsewhere, {_place(row)}: {row['warnings'][0].rstrip(':.')}." for row in warned[:3]]
    return said + ([f"{len(warned) - 3} more places have warnings, see below."] if len(warned) > 3 else [])


def _plot_headline(band: Any, metrics: dict[str, Any]) -> None:
    """The four most important numbers, large, each with its interval."""
    from matplotlib import rcParams

    mean = "" if metrics["positive_class"] else ", mean"
    tiles = [
        ("accuracy", "Accuracy"),
        ("sensitivity", f"Sensitivity{mean}"),
        ("specificity", f"Specificity{mean}"),
        ("roc_auc", f"ROC AUC{mean}"),
    ]
    for column, (key, name) in enumerate(tiles):
        x, value = MARGIN / WIDTH + 0.248 * column, metrics[key]
        form = "{:.3f}" if key == "roc_auc" else "{:.1%}"
        note = interval(metrics, key, form) or metrics["reasons"].get(key, "")
        band.text(x, 0.85, name, fontsize=11, color=MUTED, va="center")
        band.text(
            x,
            0.50,
            "unknown" if value is None else form.format(value),
            fontsize=26,
            va="center",
            color=MUTED if value is None else BLUE,
            weight=rcParams["figure.titleweight"],
        )
        band.text(x, 0.14, "\n".join(wrap(note, 32)[:2]), fontsize=9, color=MUTED, va="center")


# --- before one believes the numbers ------------------------------------------------------------------------


def _baseline_lines(metrics: dict[str, Any]) -> list[Line]:
    """The model beside its baselines, and the verdict."""
    baselines = metrics.get("baselines") or []
    if not baselines:
        return []
    rows = [["", "ROC AUC", "accuracy", "difference", "verdict"]]
    for row in [{**metrics, "name": "this model"}, *baselines]:
        cells = [row["name"], figure_of(row, "roc_auc", "{:.3f}"), figure_of(row, "accuracy", "{:.1%}")]
        if row.get("difference") is not None:
            p = in_words(row["p_value"])
            cells += [f"{row['difference']:+.3f}, {p}", row["verdict"]]
        elif row.get("reason"):
            cells[1:] = [short(row["reason"], 75)]
        rows.append(cells)
    return [
        heading("Beside simple baselines"),
        *tabulated((MARGIN, 2.95, 4.67, 6.55, 7.9), rows, 35),
        *sentences(metrics.get("verdict") or ""),
    ]


def _place(row: dict[str, Any]) -> str:
    """The last part of a path, and its split if only one was tested: "nih (test)"."""
    name = Path(row["path"]).name or row["path"]
    end = f" ({row['split']})" if row.get("split") else ""
    return short(name, 30 - len(end)) + end


def _elsewhere_lines(metrics: dict[str, Any]) -> list[Line]:
    """The model's figures in other places, each with the warnings before the figures."""
    places = metrics.get("elsewhere") or []
    if not places:
        return []
    lefts, forms = (MARGIN, 2.95, 3.6, 5.35, 7.25, 8.1), (("roc_auc", "{:.3f}"), ("accuracy", "{:.1%}"))
    heads = ["", "count", "ROC AUC", "accuracy", "sensitivity", "specificity"]

    def cells(name: str, row: dict[str, Any]) -> list[str]:
        rates = ["-" if row.get(key) is None else f"{row[key]:.1%}" for key in ("sensitivity", "specificity")]
        return [name, str(row["count"]), *(figure_of(row, *form) for form in forms), *rates]

    lines = [heading("Elsewhere"), *tabulated(lefts, [heads, cells("its own test", metrics)], 38)]
    for row in places:
        if row["warnings"]:
            lines.append(Line(_place(row), 9.5, INK, 0.28, bold=True))
        for warning in row["warnings"]:
            lines += sentences(warning, RED)
        lines += tabulated(lefts, [heads, cells("with these warnings:" if row["warnings"] else _place(row), row)], 38)[1:]
    return lines


def _elsewhere_curves(page: Page, positive: int | None) -> list[Band]:
    """A band with the ROC curves of the test and of other places on the same axes; none where there are no such curves."""
    places = [row for row in page.metrics.get("elsewhere") or [] if row.get("roc")]
    if positive is None or not places or not 0 < np.sum(page.true == positive) < len(page.true):
        return []
    false_rate, true_rate, _ = evaluation.roc_curve(page.true == positive, page.table[:, positive])
    curves = [("its own test", page.metrics["roc_auc"], np.c_[false_rate, true_rate])]
    curves += [(_place(row), row["roc_auc"], np.array(row["roc"])) for row in places]

    def plot(band: Any) -> None:
        axes, words = band.subplots(1, 2)
        axes.set_title("ROC curves of the test and elsewhere")
        axes.set(xlim=(-2, 102), ylim=(-2, 102), aspect="equal")
        axes.set_xlabel("False positive rate, 1 - specificity (%)")
        axes.set_ylabel("Sensitivity (%)")
        axes.plot([0, 100], [0, 100], **DIAGONAL)
        for k, (name, area, points) in enumerate(curves):
            color = BLUE if k == 0 else CLASS_COLORS[k % len(CLASS_COLORS)]
            axes.plot(*(100 * points).T, color=color, linewidth=2, label=f"{name}: AUC {area:.3f}")
        words.axis("off")
        words.legend(*axes.get_legend_handles_labels(), loc="center left", edgecolor="none", fontsize=10)

    return [Band(max(4.0, 0.5 + 0.22 * len(curves)), plot)]


def _data_lines(metrics: dict[str, Any]) -> list[Line]:
    """How the data was divided, and what is doubtful about it."""
    return bullets("The data", (metrics.get("data") or {}).get("notes") or [])


def _recipe_lines(metrics: dict[str, Any]) -> list[Line]:
    """How the model was trained: a line for each step of the recipe."""
    return bullets("How it was trained, and why", (metrics.get("recipe") or {}).get("why") or [])


# --- curves of the training ---------------------------------------------------------------------------------


def _plot_curves(band: Any, history: History) -> None:
    left, right = band.subplots(1, 2)
    _plot_curve(left, history, "loss", "Loss", "Loss (mean per example)", 1)
    watched = [key for key in history if not key.startswith("val_") and key not in ("loss", "learning_rate")]
    key = next((key for key in watched if "acc" in key), watched[0] if watched else "accuracy")
    if "acc" in key:
        _plot_curve(right, history, key, "Accuracy", "Accuracy (%)", 100)
    else:
        _plot_curve(right, history, key, key, key, 1)


def _plot_curve(axes: Any, history: History, key: str, title: str, label: str, scale: float) -> None:
    """One measure over the epochs, for training and validation, each named at its end."""
    from matplotlib.ticker import MaxNLocator

    axes.set_title(title)
    axes.set_xlabel("Epoch")
    axes.set_ylabel(label)
    axes.margins(y=0.12)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ends = []
    for name, text, color in ((key, "training", MUTED), (f"val_{key}", "validation", BLUE)):
        values = scale * np.array(history.get(name, []), dtype=float)  # None becomes NaN, a gap in the line
        epochs = np.arange(1, len(values) + 1)
        if np.isfinite(values).any():
            size = 4 if len(values) < 30 else 0
            axes.plot(epochs, values, color=color, linewidth=2, marker="o", markersize=size)
            end = np.flatnonzero(np.isfinite(values))[-1]
            ends.append((float(values[end]), float(epochs[end]), text, color))
    if not ends:
        message(axes, f"The history has no finite {key}.")
    else:
        last = max(epoch for _, epoch, _, _ in ends)
        margin = 0.5 if last == 1 else min(0.03 * last, 0.9)
        axes.set_xlim(1 - margin, last + margin)
        _name_ends(axes, ends)


def _name_ends(axes: Any, ends: list[tuple[float, float, str, str]]) -> None:
    """Names beside the last points, moved apart where they would overlap."""
    low, high = axes.get_ylim()
    gap = 0.1 * (high - low)
    ends = sorted(ends)
    heights = [value for value, *_ in ends]
    if len(ends) == 2 and heights[1] - heights[0] < gap:
        middle = min(max(sum(heights) / 2, low + gap / 2), high - gap / 2)
        heights = [middle - gap / 2, middle + gap / 2]
    x = max(epoch for _, epoch, _, _ in ends)
    for (_, _, text, color), height in zip(ends, heights, strict=True):
        axes.annotate(
            text, (x, height), xytext=(8, 0), textcoords="offset points", va="center", color=color, annotation_clip=False
        )


# --- quality on the test set --------------------------------------------------------------------------------


def _plot_roc(axes: Any, true: np.ndarray, table: np.ndarray, metrics: dict[str, Any], positive: int | None) -> None:
    """The ROC curve of the positive class, of each class against the rest, or of more than LEGEND classes the mean curve."""
    axes.set_title("ROC curve" if positive is not None else "ROC curves, class against rest")
    axes.set_xlabel("False positive rate, 1 - specificity (%)")
    axes.set_ylabel("Sensitivity (%)")
    axes.set(xlim=(-2, 102), ylim=(-2, 102), aspect="equal")
    names = metrics["class_names"]
    classes = range(len(names)) if positive is None else [positive]
    known = [k for k in classes if 0 < np.sum(true == k) < len(true)]
    if not known:
        message(axes, "No ROC curve: " + metrics["reasons"].get("roc_auc", ""))
        return
    axes.plot([0, 100], [0, 100], **DIAGONAL)
    curves = [evaluation.roc_curve(true == k, table[:, k])[:2] for k in known]
    if positive is not None:
        axes.plot(*(100 * np.array(curves[0])), color=BLUE, linewidth=2)
        _mark_threshold(axes, metrics)
    elif len(known) <= LEGEND:
        for k, curve in zip(known, curves, strict=True):
            style = {"color": CLASS_COLORS[k % len(CLASS_COLORS)], "linestyle": "-" if k < len(CLASS_COLORS) else "--"}
            area = evaluation.roc_auc(true == k, table[:, k])
            axes.plot(*(100 * np.array(curve)), linewidth=2, label=f"{short(names[k], 22)} {area:.3f}", **style)
        size = 10 if len(names) < 7 else 8
        axes.legend(title="AUC", loc="lower right", fontsize=size, edgecolor="none", framealpha=0.9, alignment="left")
    else:
        _plot_mean_roc(axes, curves, float(np.mean([evaluation.roc_auc(true == k, table[:, k]) for k in known])))


def _plot_mean_roc(axes: Any, curves: list[tuple[np.ndarray, np.ndarray]], area: float) -> None:
    """The mean of the curves at each false positive rate, whose area is the mean of theirs, and where 80 % of them lie."""
    rates = np.linspace(0, 1, 501)
    heights = np.array([np.interp(rates, false_rate, true_rate) for false_rate, true_rate in curves])
    low, high = np.quantile(heights, (0.1, 0.9), axis=0)
    axes.set_title(f"ROC curves of {len(curves)} classes")
    axes.fill_between(100 * rates, 100 * low, 100 * high, color=BLUE, alpha=0.18, linewidth=0, label="80 % of the classes")
    axes.plot(100 * rates, 100 * heights.mean(axis=0), color=BLUE, linewidth=2, label=f"mean, AUC {area:.3f}")
    axes.legend(loc="lower right", fontsize=10, edgecolor="none", framealpha=0.9)


def _class_lines(metrics: dict[str, Any]) -> list[Line]:
    """Count, ROC AUC and sensitivity of each class, the lowest area first, where there are too many for curves."""
    rows = metrics.get("per_class") or []
    if len(rows) <= LEGEND:
        return []
    ordered = sorted(rows, key=lambda row: (row["roc_auc"] is None, row["roc_auc"] or 0))
    cells = [
        [row["class"], str(row["count"]), figure_of(row, "roc_auc", "{:.3f}"), figure_of(row, "sensitivity", "{:.0%}")]
        for row in ordered
    ]
    heads = ["class, the lowest ROC AUC first", "count", "ROC AUC", "sensitivity"]
    return [heading("Each class against the rest"), *tabulated((MARGIN, 4.6, 5.4, 6.3), [heads, *cells], 58)]


def _mark_threshold(axes: Any, metrics: dict[str, Any]) -> None:
    """The point of the ROC curve at this report's threshold, and the area as text."""
    x, y = 100 * (1 - metrics["specificity"]), 100 * metrics["sensitivity"]
    axes.plot(x, y, marker="o", markersize=9, color="white", markeredgecolor=INK, markeredgewidth=2, clip_on=False)
    axes.annotate(
        f"threshold {metrics['threshold']:g}",
        (x, y),
        xytext=(10, -12) if x < 60 else (-10, -12),
        textcoords="offset points",
        va="top",
        ha="left" if x < 60 else "right",
    )
    text = f"AUC {metrics['roc_auc']:.3f}\n{interval(metrics, 'roc_auc', '{:.3f}')}"
    axes.text(98, 4, text.rstrip(), ha="right", va="bottom", color=BLUE, linespacing=1.5)


def _plot_confusion(axes: Any, metrics: dict[str, Any]) -> None:
    """Counts and shares of each true class: blue on the diagonal, red for wrong answers."""
    from matplotlib.colors import to_rgb

    counts, names = np.array(metrics["confusion_matrix"]), metrics["class_names"]
    n = len(names)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    full = np.where(np.eye(n, dtype=bool)[..., np.newaxis], to_rgb(BLUE), to_rgb(RED))
    axes.imshow(1 + share[..., np.newaxis] ** 0.7 * (full - 1))
    size = 15 if n <= 3 else 11 if n <= 6 else 8 if n <= 12 else 5
    for row, column in np.ndindex(n, n) if n <= 2 * LEGEND else ():
        text = f"{counts[row, column]}" + (f"\n{share[row, column]:.0%}" if n <= 6 else "")
        axes.text(column, row, text, ha="center", va="center", fontsize=size, color="white" if share[row, column] > 0.45 else INK)
    labels, size = [short(name, 14) for name in names], 11 if n <= 6 else 8 if n <= 2 * LEGEND else 6
    slant = {"rotation": 35 if n <= LEGEND else 90, "ha": "right", "rotation_mode": "anchor"} if n > 3 else {}
    slant |= {"va": "center"} if n > LEGEND else {}
    axes.set_xticks(range(n), labels, fontsize=size, color=INK, **slant)
    upright = {} if n > 3 else {"rotation": 90, "va": "center"}
    axes.set_yticks(range(n), labels, fontsize=size, color=INK, **upright)
    axes.set_title("Confusion matrix")
    axes.set_xlabel("Called (number, % of the row)" if n <= 6 else "Called (number)")
    axes.set_ylabel("Truth", labelpad=10)
    axes.grid(False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _plot_calibration(axes: Any, counts: Any, metrics: dict[str, Any]) -> None:
    """Predicted probability against observed frequency, with Wilson intervals; below, the number of examples."""
    level = metrics["interval_level"]
    for part in filter(lambda part: part["count"], metrics["calibration"]):
        x, y, n = 100 * part["predicted"], 100 * part["observed"], part["count"]
        low, high = evaluation.wilson_interval(round(part["observed"] * n), n, level)
        axes.vlines(x, 100 * low, 100 * high, color=BLUE, linewidth=1.2)
        axes.plot(x, y, color=BLUE, marker="o", markersize=7, clip_on=False)
        width = 100 * (part["high"] - part["low"])
        counts.bar(100 * part["low"], n, width=0.92 * width, align="edge", color=PALE)
        counts.text(100 * part["low"] + 0.46 * width, 0, n, ha="center", va="bottom", fontsize=8)
    axes.plot([0, 100], [0, 100], **DIAGONAL)
    name = short(metrics["positive_class"] or "", 20)
    axes.set_title("Calibration")
    error, brier = metrics["expected_calibration_error"], metrics["brier_score"]
    axes.set_title(f"error {error:.3f}, Brier score {brier:.3f}", loc="right", fontsize=10, weight="normal", color=BLUE)
    axes.set_ylabel(f"Share that is {name} (%)" if name else "Share that was right (%)")
    axes.set(xlim=(-2, 102), ylim=(-2, 102))
    axes.tick_params(labelbottom=False)
    label = f"Predicted probability of {name} (%)" if name else "Probability of the class called (%)"
    counts.set(xlim=(-2, 102), yticks=[], xlabel=label)
    counts.set_ylabel("Number", fontsize=9)
    counts.grid(False)


def _plot_words(axes: Any, metrics: dict[str, Any]) -> None:
    """The result in sentences, and the reasons for unknown numbers."""
    unknown = [f"{key}: {reason}." for key, reason in metrics["reasons"].items()]
    paragraphs = [*metrics["statement"].replace(". ", ".\n", 1).split("\n"), *unknown]
    lines = [line for paragraph in paragraphs for line in [*wrap(paragraph, 60), ""]]
    if len(lines) > 21:
        lines = [*lines[:20], "... more in metrics.json"]
    axes.set_title("In words")
    axes.axis("off")
    axes.text(0, 1, "\n".join(lines), transform=axes.transAxes, va="top", fontsize=9.5, linespacing=1.35)


# --- examples -----------------------------------------------------------------------------------------------


def _choose_examples(true: np.ndarray, called: np.ndarray, table: np.ndarray, kind: Kind) -> list[tuple[str, np.ndarray]]:
    """The test examples to show, under a heading each: a random choice, then the most confident mistakes."""
    n, shown = len(true), 2 * kind.columns
    if n <= shown:
        return [(f"All {n} test {kind.noun}", np.arange(n))]
    drawn = np.sort(np.random.default_rng(0).permutation(n)[:shown])
    grids = [(f"{len(drawn)} of {n} test {kind.noun}, drawn at random", drawn)]
    wrong = np.flatnonzero(called != true)
    shown_wrong = wrong[np.argsort(-table[wrong, called[wrong]], kind="stable")][: kind.columns]
    if len(wrong):
        some = f"The {len(shown_wrong)} most confident of {len(wrong)} wrong answers"
        grids.append((some if len(wrong) > len(shown_wrong) else f"All wrong answers ({len(wrong)})", shown_wrong))
    return grids


def _panel(page: Page, i: int, called: int) -> Panel:
    """Example i of the page, which the model called `called`."""
    names, true, wrong = page.metrics["class_names"], page.true[i], bool(called != page.true[i])
    mark, width = "\u2717 " if wrong else "", 66 // page.kind.columns
    caption = f"{mark}{short(names[called], width)} {page.table[i, called]:.0%}\ntruth: {short(names[true], width)}"
    return Panel(page.examples[i], caption, wrong)
