"""The result of `tinydx diagnose --folds` in words, as metrics.json, and as one picture.

    metrics of folds.py ┬─ words ─────> the terminal
                        └─ write_folds > metrics.json, report.png: a point and an interval for each fold, tables, sentences
"""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Any

from tinydx.diagnosis.kind import Kind
from tinydx.diagnosis.page import (
    BLUE,
    INK,
    MARGIN,
    MUTED,
    PALE,
    RED,
    Band,
    Line,
    fonts,
    head,
    heading,
    legible,
    png,
    sentences,
    short,
    tabulated,
    text_band,
)
from tinydx.diagnosis.report import as_json
from tinydx.files import atomic_write
from tinydx.names import shown

COLUMNS = ("count", "patients", "ROC AUC", "accuracy", "sensitivity", "specificity", "baseline")


# ---- words ---------------------------------------------------------------------------------------------------------


def conclusions(metrics: dict[str, Any], count: int, patients: bool) -> list[str]:
    """What was found and what it means, in sentences.

    Arguments: metrics, without sentences; count of all examples; patients, whether these are known.
    """
    noun, rows = metrics["noun"], metrics["folds"]
    if "random" in metrics:
        said = _of_sites(metrics, noun)
    else:
        said = [f"ROC AUC {figure(metrics)}: the mean of {len(rows)} folds, in which each of {count} {noun} is tested once."]
        said.append(
            "The interval is for models of other patients of the same places, and allows for the folds' common training patients."
        )
    if not patients:
        said.append(
            f"Whose the {noun} are is not known, so that a patient may be on both sides, which flatters; "
            "--groups says whose each one is."
        )
    if metrics["baseline"]:
        better = metrics["baseline"]["verdict"] == "better"
        said.insert(len(said) if better else 0, _beside(metrics["baseline"]))  # what speaks against the model comes first
    return said


def _of_sites(metrics: dict[str, Any], noun: str) -> list[str]:
    """The sentences on sites that were left out."""
    without = [row["name"] for row in metrics["folds"] if row["roc_auc"] is None]
    count = len(metrics["folds"]) - len(without)
    where = f"the mean of {count} sites, which are the sample of the interval" if count > 1 else "a single site, without interval"
    said = [f"At a site that training has not seen: ROC AUC {figure(metrics)}, {where}."]
    if without:
        said.append(f"Without a ROC AUC, since all of one class: {', '.join(map(shown, without))}.")
    mixed = metrics["random"]
    beside = f", of the baseline {figure(mixed['baseline'])}" if mixed["baseline"] else ""
    said.append(f"Folds that mix the sites say {figure(mixed)} of the same {noun}{beside}.")
    r = metrics["recognised"]
    low, high = r["accuracy_interval"]
    said.append(
        f"From the model's features the site is recognised with accuracy {r['accuracy']:.3f} ({low:.3f} to {high:.3f}), as the "
        f"mean over the sites {r['balanced']:.3f}; always the largest site has {r['majority']:.3f}."
    )
    if low > r["majority"]:
        said.append("So a model can tell the site, and from it how frequent a class is there: folds that mix sites may flatter.")
    return said


def _beside(baseline: dict[str, Any]) -> str:
    """The baseline in words."""
    verdict = {"better": "Better than", "worse": "Worse than", "can't tell": "Not shown to be better than"}[baseline["verdict"]]
    ends = baseline["difference_interval"]
    interval = f" (95 % interval {ends[0]:+.3f} to {ends[1]:+.3f})" if ends else ""
    return (
        f"{verdict} {baseline['name']}, trained on the same folds: that has ROC AUC {figure(baseline)}, a difference of "
        f"{baseline['difference']:+.3f}{interval}."
    )


def words(metrics: dict[str, Any]) -> list[str]:
    """The figures as lines of tables, and the sentences."""
    form = "  {:<16} {:>6} {:>8}  {:<22} {:>8} {:>11} {:>11} {:>8}"
    lines = []
    for title, part in parts(metrics):
        lines += [form.format(*row).rstrip() for row in rows_of(part, title)] + [""]
    return [*lines, *metrics["sentences"]]


def parts(metrics: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """(head of the first column, figures) of each table: the sites left out and the folds beside them, or the folds."""
    return [("site left out", metrics), ("fold", metrics["random"])] if "random" in metrics else [("fold", metrics)]


def rows_of(part: dict[str, Any], title: str) -> list[list[str]]:
    """The cells of a table: the heads, a row for each fold, the mean."""
    rows = [[title, *COLUMNS]]
    for row in part["folds"]:
        keys = ("accuracy", "sensitivity", "specificity", "baseline_roc_auc")
        rates = ["-" if row[key] is None else f"{row[key]:.3f}" for key in keys]
        patients = "-" if row["patients"] is None else str(row["patients"])
        rows.append([short(shown(row["name"]), 16), str(row["count"]), patients, figure(row), *rates])
    end = f"{part['baseline']['roc_auc']:.3f}" if part["baseline"] else "-"
    return [*rows, ["mean", "", "", figure(part), "", "", "", end]]


def figure(row: dict[str, Any]) -> str:
    """'0.850 (0.801 to 0.890)', '-' where there is none.

    >>> figure({"roc_auc": 0.85, "roc_auc_interval": [0.801, 0.89]}), figure({"roc_auc": None})
    ('0.850 (0.801 to 0.890)', '-')
    """
    if row["roc_auc"] is None:
        return "-"
    ends = row["roc_auc_interval"]
    return f"{row['roc_auc']:.3f}" + (f" ({ends[0]:.3f} to {ends[1]:.3f})" if ends else "")


# ---- the files -----------------------------------------------------------------------------------------------------


def write_folds(folder: Path, metrics: dict[str, Any], kind: Kind, title: str, synthetic: bool) -> None:
    """Write metrics.json, then report.png."""
    atomic_write(folder / "metrics.json", as_json(metrics))
    family, weight, drawable = fonts([title, *metrics["class_names"], *(row["name"] for row in metrics["folds"])])
    seen, title = legible(metrics, drawable, {}), legible(title, drawable, {})
    tables = parts(seen)
    count = len(metrics["folds"])
    how = f"{count} sites, each left out once" if len(tables) > 1 else f"{count} folds, each left out once"
    lines = head(title, f"Cross-validation: {how}. No model is kept.", kind.synthetic_notice if synthetic else None, [])
    height = 1.1 + 0.3 * max(len(part["folds"]) + 1 for _, part in tables)
    bands = [text_band(lines), Band(height, functools.partial(_plot, tables=tables))]
    bands.append(text_band([heading("In words"), *(line for text in seen["sentences"] for line in sentences(text))]))
    bands += [text_band(_table(name, part)) for name, part in tables]
    atomic_write(folder / "report.png", png(bands, title, family, weight))


def _table(name: str, part: dict[str, Any]) -> list[Line]:
    """The figures of the folds."""
    return tabulated((MARGIN, 1.75, 2.35, 3.1, 5.0, 5.9, 6.95, 8.0), rows_of(part, name), 20)


def _plot(band: Any, tables: list[tuple[str, dict[str, Any]]]) -> None:
    """A point with its interval for each fold, the mean below them, a cross for the baseline; 0.5 is chance."""
    low = min(end for _, part in tables for row in [*part["folds"], part] for end in row["roc_auc_interval"] or [0.5])
    left = max(0.0, math.floor(10 * min(low, 0.5)) / 10)
    for axes, (name, part) in zip(band.subplots(1, len(tables), squeeze=False)[0], tables, strict=True):
        rows = [*((row, row["name"], row["baseline_roc_auc"]) for row in part["folds"])]
        rows.append((part, "mean", part["baseline"] and part["baseline"]["roc_auc"]))
        for y, (row, _, baseline) in enumerate(rows):
            color = RED if y == len(rows) - 1 else BLUE
            if row["roc_auc"] is not None:
                axes.hlines(y, *(row["roc_auc_interval"] or [row["roc_auc"]] * 2), color=color, linewidth=2)
                axes.plot(row["roc_auc"], y, "o", color=color, markersize=7, clip_on=False)
            if baseline is not None:
                axes.plot(baseline, y, "x", color=MUTED, markersize=7, clip_on=False)
        axes.axvline(0.5, color=MUTED, linewidth=1, linestyle=(0, (4, 4)))
        axes.axhline(len(rows) - 1.5, color=PALE, linewidth=1)
        axes.set(xlim=(left, 1.0), ylim=(len(rows) - 0.5, -0.5), xlabel="ROC AUC, 95 % interval (x: baseline)")
        axes.set_yticks(range(len(rows)), [short(label, 16) for _, label, _ in rows], color=INK)
        mixed = "Folds that mix the sites" if len(tables) > 1 else "Folds"
        axes.set_title(mixed if name == "fold" else "A site left out at a time")
        axes.set_ylabel(name.split()[0])
        axes.grid(axis="y", visible=False)
