"""Section: the trained network from which a diagnosis began (`--from`), and which examples that network had seen already.

the file's digests of its training examples ─┐
digests of train, val and test ──────────────┴─> how many are the same
"""

from __future__ import annotations

from typing import Any

from tinydx.datasets.study import SPLITS
from tinydx.diagnosis import inputs
from tinydx.diagnosis.page import Band, Page, heading, sentences, text_bands
from tinydx.diagnosis.sections import Run, Section
from tinydx.diagnosis.starting import Start
from tinydx.diagnosis.starting import sentences as beginning


def find(run: Run) -> dict[str, Any] | None:
    """The file, its digest, its classes, the frozen layers, the examples that it had seen, and sentences; None without --from."""
    start: Start | None = getattr(run.kind, "start", None)
    if start is None:
        return None
    known = {"digests": start.digests}
    seen = {split: inputs.seen_in_training(known, getattr(run.study, split).x) for split in SPLITS} if start.digests else None
    own = ((start.model.preprocessing or {}).get("training") or {}).get("test")
    return {
        "file": start.path,
        "digest": start.digest,
        "classes": start.model.class_names,
        "training": len(start.digests) // 8 or None,
        "own_test": own,
        "frozen": start.frozen,
        "layers": len(start.model.layers),
        "seen": seen,
        "warning": _warning(seen, run),
        "sentences": [*beginning(start), _overlap(seen, run)],
    }


def _warning(seen: dict[str, int] | None, run: Run) -> str | None:
    """What makes the figures too good: the source has seen test examples."""
    if not (seen and seen["test"]):
        return None
    noun, total = run.study.noun, len(run.study.test.y)
    return f"{seen['test']} of the {total} test {noun} trained the network of --from: the figures are not those of unseen {noun}."


def _overlap(seen: dict[str, int] | None, run: Run) -> str:
    """Which examples the source has seen, as far as its file says it."""
    noun = run.study.noun
    if seen is None:
        return f"The file does not say which {noun} trained it: some of the test may be among them."
    counts = ", ".join(f"{n} in {split}" for split, n in seen.items() if n) or "none here"
    return f"Of the {noun} that trained it: {counts}. Its file does not name patients, so that other {noun} of them may be."


def words(found: dict[str, Any]) -> list[str]:
    """The sentences; the warning stands before all figures."""
    return found["sentences"]


def bands(page: Page, found: dict[str, Any]) -> list[Band]:
    """The sentences."""
    return text_bands([heading("Where the weights come from"), *sentences(" ".join(found["sentences"]))])


SECTION = Section("start", 3, find, words, bands)
