"""Section: copies of examples, above all in two splits: a test that asks for what training has seen says nothing of others.

examples of all splits ─ Kind.copies ─> pairs ─> a line, a warning at the top of the page, the pairs side by side
"""

from __future__ import annotations

import math
import os
from collections import Counter
from typing import Any

import numpy as np

from tinydx import evaluation
from tinydx.datasets.study import SPLITS, Study
from tinydx.diagnosis.page import INK, MUTED, RED, Band, Page, heading, sentences, short, text_band
from tinydx.diagnosis.sections import Run, Section
from tinydx.names import shown

RANKS = {("test", "train"): 0, ("test", "val"): 1, ("train", "val"): 2}  # the worst first; within a split last
NAMED, LISTED, DRAWN = 2, 200, 6  # pairs in the line, in metrics.json, on the page
WIDE = 100  # characters of captions in a row


def find(run: Run) -> dict[str, Any]:
    """The pairs, the worst first, their number in each two splits, and the test without the copies of what training has seen."""
    study, parts = run.study, [getattr(run.study, split) for split in SPLITS]
    places = [(split, i) for split, part in zip(SPLITS, parts, strict=True) for i in range(len(part.y))]
    found = run.kind.copies(np.concatenate([part.x for part in parts]))
    pairs = [sorted((places[i], places[j])) for i, j in found]
    pairs.sort(key=lambda pair: (RANKS.get((pair[0][0], pair[1][0]), 3), pair))
    counts = Counter(f"{a}-{b}" for (a, _), (b, _) in pairs)
    seen = sorted({i for (a, i), (b, _) in pairs if (a, b) == ("test", "train")})
    rows = [{"first": _example(study, *a), "second": _example(study, *b)} for a, b in pairs[:LISTED]]
    warning, rest = "", _without(run, seen) if seen else None
    if rest:
        warning = f"{len(seen)} of {len(study.test.y)} test {study.noun} are copies of training {study.noun}, such as "
        warning += f"{rows[0]['first']['name']} of {rows[0]['second']['name']}{_change(run, rest)}."
    contradicting = sum(_class(study, *a) != _class(study, *b) for a, b in pairs)
    sentence = _sentence(run, rows, counts, contradicting, len(places))
    told = {"warning": warning, "sentence": sentence}
    return {"pairs": rows, "counts": dict(counts), "seen": len(seen), "test_without": rest, **told}


def _class(study: Study, split: str, i: int) -> str:
    return study.class_names[getattr(study, split).y[i]]


def _example(study: Study, split: str, i: int) -> dict[str, Any]:
    """Its split, its number there, its class, and its name: the file, where there is one."""
    return {"split": split, "number": i, "class": _class(study, split, i), "name": shown(study.name(split, i))}


def _without(run: Run, seen: list[int]) -> dict[str, Any] | None:
    """The model's figures on the other test examples."""
    y, table = np.delete(run.study.test.y, seen), np.delete(run.table, seen, axis=0)
    if not len(y):
        return {"count": 0, "accuracy": None, "roc_auc": None}
    positive = run.metrics["positive_class"]
    number = None if positive is None else run.study.class_names.index(positive)
    called = evaluation.called_class(table, number, run.plan.threshold)
    area = evaluation.macro_auc(y, table) if len(np.unique(y)) == table.shape[1] else None
    return {"count": len(y), "accuracy": float((called == y).mean()), "roc_auc": area}


def _change(run: Run, rest: dict[str, Any]) -> str:
    """What the figures become without the copies, as the end of a sentence."""
    if not rest["count"]:
        return "; nothing else is in the test"
    key = "accuracy" if rest["roc_auc"] is None or run.metrics["roc_auc"] is None else "roc_auc"
    name = key.replace("roc_auc", "ROC AUC")
    return f"; on the other {rest['count']}, {name} is {rest[key]:.3f} instead of {run.metrics[key]:.3f}"


def _sentence(run: Run, rows: list[dict[str, Any]], counts: Counter[str], contradicting: int, total: int) -> str:
    """What was found, in one line."""
    noun, how = run.study.noun, run.kind.copied
    if not rows:
        return f"Copies: none found among the {total} {noun} of all splits ({how})."
    where = [f"{n} in {key.replace('-', ' and ')}" for key, n in counts.items() if len(set(key.split("-"))) == 2]
    where += [f"{n} within {key.split('-')[0]}" for key, n in counts.items() if len(set(key.split("-"))) == 1]
    named = ", ".join(f"{row['first']['name']} = {row['second']['name']}" for row in rows[:NAMED])
    more = ", ..." if sum(counts.values()) > NAMED else ""
    wrong = f"; in {contradicting} the classes differ, so that one is wrong" if contradicting else ""
    return f"Copies: {sum(counts.values())} pairs of {noun} ({how}): {', '.join(where)}, such as {named}{more}{wrong}."


def bands(page: Page, found: dict[str, Any]) -> list[Band]:
    """The line, and the worst pairs side by side."""
    text = text_band([heading(f"Copies among the {page.kind.noun}"), *sentences(found["sentence"])])
    rows, study = found["pairs"][:DRAWN], page.study
    if not rows or study is None or study.test.x.dtype.kind in "OU":  # texts say themselves what they are
        return [text]
    height = 0.15 + page.kind.panel_height * math.ceil(2 * len(rows) / _columns(page))
    return [text, Band(height, lambda band: _plot(band, page, study, rows))]


def _columns(page: Page) -> int:
    """An even number of examples in a row, so that a pair stays together."""
    return max(2, page.kind.columns // 2 * 2)


def _plot(band: Any, page: Page, study: Study, rows: list[dict[str, Any]]) -> None:
    """Pairs of examples, each with its split, its class and its name; red where the classes differ."""
    examples = [(part, row) for row in rows for part in (row["first"], row["second"])]
    grid = band.subplots(math.ceil(len(examples) / _columns(page)), _columns(page), squeeze=False, subplot_kw={"anchor": "N"})
    for axes in grid.ravel()[len(examples) :]:
        axes.axis("off")
    for axes, (example, row) in zip(grid.ravel(), examples, strict=False):
        page.kind.plot(axes, getattr(study, example["split"]).x[example["number"]])
        axes.grid(False)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(visible=True, color=MUTED, linewidth=1)
        width, own = WIDE // _columns(page), f"{example['split']}: {example['class']}"
        wrong = row["first"]["class"] != row["second"]["class"]
        axes.set_xlabel(f"{short(own, width)}\n{_end(example['name'], width)}", fontsize=8.5, color=RED if wrong else INK)


def _end(name: str, width: int) -> str:
    """The last part of a name, which tells files of a folder apart."""
    last = os.path.basename(name)
    return last if len(last) <= width else "\u2026" + last[1 - width :]


SECTION = Section("copies", 5, find, lambda found: [found["sentence"]], bands)
