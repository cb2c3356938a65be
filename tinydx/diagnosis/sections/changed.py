"""Section: what the model does on validation examples as another place might have recorded them.

validation examples ─ Kind.shifted ─> the same, changed in stated ways ─> ROC AUC, accuracy, the strongest baseline's
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tinydx import evaluation
from tinydx.datasets.study import Examples
from tinydx.diagnosis import baselines, deciding
from tinydx.diagnosis.page import MARGIN, Band, Page, figure_of, heading, sentences, tabulated, text_bands
from tinydx.diagnosis.sections import Run, Section


def find(run: Run) -> dict[str, Any] | None:
    """The model's figures on the validation examples, as they are and changed; None where the kind states no changes.

    The AUC and accuracy of changed examples are means over the changes. An AUC is None where a class is missing. "baseline" holds
    the same of the strongest baseline under the first change: baselines often lean on what it removes.
    """
    kind, study = run.kind, run.study
    changed = None if study.synthetic else kind.shifted(study, study.val, run.seed)
    if changed is None:
        return None
    plain, count = _measure(run, study.val), len(study.val.y)
    pieces = [slice(k, k + count) for k in range(0, len(changed.y), count)]
    changes = [
        {"name": name, **_measure(run, Examples(changed.x[rows], changed.y[rows]))}
        for name, rows in zip(kind.changes, pieces, strict=True)
    ]
    key = "accuracy" if plain["roc_auc"] is None else "roc_auc"
    shifted = {f"{k}_shifted": None if v is None else float(np.mean([c[k] for c in changes])) for k, v in plain.items()}
    baseline = _strongest_baseline(run, Examples(changed.x[pieces[0]], changed.y[pieces[0]]), key)
    sentence = _fall(run, plain, changes, key)
    sentence += f" On those {kind.changes[0]}, it has {changes[0][key]:.3f}, {baseline['name']} {baseline[key]:.3f}."
    return {**plain, **shifted, "changes": changes, "baseline": baseline, "sentence": sentence}


def _measure(run: Run, part: Examples) -> dict[str, Any]:
    names = run.study.class_names
    table = deciding.probabilities(run.model, run.model.predict(run.kind.plain_batches(run.study, part, run.plan.batch)))
    area = evaluation.macro_auc(part.y, table) if len(np.unique(part.y)) == len(names) else None
    return {"roc_auc": area, "accuracy": float((deciding.called(run.model, table) == part.y).mean())}


def _strongest_baseline(run: Run, part: Examples, key: str) -> dict[str, Any]:
    """Its name, and its figure `key` on these examples."""
    answers = deciding.probabilities(run.model, run.model.predict(run.kind.plain_batches(run.study, part, run.plan.batch)))
    study = replace(run.study, test=part)
    found, _ = baselines.compare(run.kind, study, answers, run.seed, threshold=run.plan.threshold)
    best = max((row for row in found if row[key] is not None), key=lambda row: row[key])
    return {"name": best["name"], key: best[key]}


def _fall(run: Run, plain: dict[str, Any], changes: list[dict[str, Any]], key: str) -> str:
    """What the worst of the changes does to the model, in words."""
    worst = min(changes, key=lambda change: change[key])
    fall, name, noun = plain[key] - worst[key], key.replace("roc_auc", "ROC AUC"), run.study.noun
    figures = f"{worst[key]:.3f} instead of {plain[key]:.3f} on validation {noun}"
    if fall >= 0.01:
        return f"Loses {fall:.2f} of {name} when {noun} are {worst['name']} ({figures})."
    every = f"{', '.join(run.kind.changes[:-1])} or {run.kind.changes[-1]}"
    return f"Keeps its {name} when {noun} are {every} (at worst {figures})."


def bands(page: Page, found: dict[str, Any]) -> list[Band]:
    """The figures as a table."""
    rows = [[f"validation {page.kind.noun}", "ROC AUC", "accuracy"]]
    changes = [(change["name"], change, "") for change in found.get("changes", [])]
    for name, row, end in [("as they are", found, ""), *changes, ("mean over the changes", found, "_shifted")]:
        rows.append([name, *(figure_of(row, key + end, form) for key, form in (("roc_auc", "{:.3f}"), ("accuracy", "{:.1%}")))])
    lines = [heading(f"When {page.kind.noun} are framed differently"), *sentences(found["sentence"])]
    return text_bands([*lines, *tabulated((MARGIN, 5.1, 6.55), rows, 66)])


SECTION = Section("validation", 10, find, lambda found: [found["sentence"]], bands)
