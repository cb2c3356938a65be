"""Section: label noise. The most confident errors of the test, by name: the first labels to look at again.

probabilities of the test examples ─> wrong and sure of it ─> names, labels, answers

A confident error is the label's or the model's: figures cannot tell which, somebody who looks at the example can.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinydx import evaluation
from tinydx.diagnosis.page import MARGIN, Band, Page, heading, sentences, tabulated, text_bands
from tinydx.diagnosis.sections import Run, Section
from tinydx.names import shown

CONFIDENT, LISTED, SAID = 0.9, 10, 3  # least probability of the wrong answer; rows on the page; names on the terminal


def find(run: Run) -> dict[str, Any] | None:
    """The confident errors, the surest first; None where there are none."""
    study, y, positive = run.study, run.study.test.y, run.metrics["positive_class"]
    number = None if positive is None else study.class_names.index(positive)
    called = evaluation.called_class(run.table, number, run.plan.threshold)
    sure = run.table[np.arange(len(y)), called]
    errors = np.flatnonzero((called != y) & (sure >= CONFIDENT))
    if not len(errors):
        return None
    rows = [
        {
            "name": shown(study.name("test", i)),
            "number": int(i),
            "label": study.class_names[y[i]],
            "called": study.class_names[called[i]],
            "probability": float(sure[i]),
        }
        for i in errors[np.argsort(-sure[errors], kind="stable")]
    ]
    return {"count": len(rows), "errors": rows, "sentence": _sentence(rows, int((called != y).sum()), study.noun)}


def _sentence(rows: list[dict[str, Any]], wrong: int, noun: str) -> str:
    named = "; ".join(
        f"{row['name']} (labelled {row['label']}, called {row['called']} {row['probability']:.3f})" for row in rows[:SAID]
    )
    more = "; ..." if len(rows) > SAID else ""
    return f"Look at these labels first: {len(rows)} of {wrong} errors are confident, the label's or the model's: {named}{more}."


def bands(page: Page, found: dict[str, Any]) -> list[Band]:
    """The surest errors as a table."""
    count, level = found["count"], f"{CONFIDENT:.0%}"
    words = f"In {count} wrong answers the model is at least {level} sure. The label is wrong, or the model: look at the example."
    some = f" The {LISTED} surest; metrics.json has all." if count > LISTED else ""
    rows = [["test " + page.kind.noun.removesuffix("s"), "labelled", "called", "probability"]]
    rows += [[row["name"], row["label"], row["called"], f"{row['probability']:.3f}"] for row in found["errors"][:LISTED]]
    table = tabulated((MARGIN, 4.4, 6.1, 7.8), rows, 58)
    return text_bands([heading("Look at these labels first"), *sentences(words + some), *table])


SECTION = Section("label_noise", 60, find, lambda found: [found["sentence"]], bands)
