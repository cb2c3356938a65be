"""Section: how often `tinydx predict` warns of an input from the same source as unlike the training data: a false alarm.

test examples ─ what the model remembers of training and validation (unlike.learn) ─> those beyond the limit
"""

from __future__ import annotations

from typing import Any

from tinydx.diagnosis import unlike
from tinydx.diagnosis.page import Band, Page, heading, sentences, text_bands
from tinydx.diagnosis.sections import Run, Section


def find(run: Run) -> dict[str, Any]:
    """What `unlike.false_alarms` says, and a sentence."""
    study = run.study
    found = unlike.false_alarms(run.model.preprocessing["training"]["alike"], run.kind, study.test, study.preprocessing)
    low, high = found["rate_interval"]
    sentence = (
        f"`tinydx predict` warns of inputs that are unlike the training {study.noun}. On the test {study.noun} that is a false "
        f"alarm: {found['alarms']} of {found['count']} ({found['rate']:.1%}, 95 % interval {low:.1%} to {high:.1%})."
    )
    return {**found, "sentence": sentence}


def bands(page: Page, found: dict[str, Any]) -> list[Band]:
    """The sentence."""
    return text_bands([heading(f"{page.kind.noun.capitalize()} unlike those of the training"), *sentences(found["sentence"])])


SECTION = Section("unlike", 80, find, lambda found: [found["sentence"]], bands)
