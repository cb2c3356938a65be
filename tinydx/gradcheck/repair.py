"""Evidence for any function: which single change of the learner's own source gives the right gradient?

The backward is run again with one thing changed: y in place of x, another sign or axis, a factor more or less. What makes it
right names the mistake, and the advice is that line. It needs the source, which functions typed at a prompt do not have.
"""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tinydx.gradcheck.edits import Edit, edits
from tinydx.gradcheck.evidence import Evidence
from tinydx.gradcheck.limits import silent
from tinydx.gradcheck.report import Diagnosis
from tinydx.gradcheck.rules import as_list
from tinydx.gradcheck.source import definition, helpers, rebuilt
from tinydx.gradcheck.truth import generator

SECONDS = 0.6  # of computing, for all gradients of a check


def repairs(evidence: Sequence[Evidence]) -> dict[int, Diagnosis]:
    """For each wrong gradient (its argument's index) the first change of the learner's source that makes it right.

    Arguments: evidence, of the wrong gradients of one check.
    """
    subject, found = evidence[0].subject, dict[int, Diagnosis]()
    backward, again = subject.backward, subject.again
    if backward is None or again is None or definition(backward) is None:
        return found
    if any(backward is slip.backward for op in subject.ops for slip in op.slips):
        return found
    deadline = time.process_time() + SECONDS
    known = dict(zip(subject.names, subject.arrays, strict=True)) | {"y": np.asarray(subject.value(subject.arrays)[0])}
    tried = _Tried(evidence[0])
    with silent(), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        with contextlib.suppress(SyntaxError, RecursionError):
            for edit, changed in _changed(backward, known, [e.k for e in evidence]):
                for e in tried.right(changed, [e for e in evidence if e.k not in found]):
                    found[e.k] = Diagnosis(edit.name, f"With one change your {e.label} is right: {edit.advice}.")
                if len(found) == len(evidence) or time.process_time() > deadline:
                    break
    return found


def _changed(backward: Any, known: dict[str, Any], wrong: list[int]) -> Iterator[tuple[Edit, Callable]]:
    """The backward with each single change in itself or in a function that it calls."""
    names = [n for n in known if n.isidentifier()]
    names += [n for n, v in backward.__globals__.items() if isinstance(v, float | int | np.ndarray) and not n.startswith("_")][:4]
    for called, function in [("", backward), *helpers(backward)]:
        node = definition(function)
        if node is None:
            continue
        extra = {n: v for n, v in known.items() if n not in function.__globals__} if not called else {}
        for edit in edits(node, names if not called else [], wrong if not called else []):
            try:
                for place in edit.places:
                    place.put(edit.new)
                made = rebuilt(function, node, extra)
                yield edit, rebuilt(backward, definition(backward), {called: made}) if called else made  # type: ignore[arg-type]
            except Exception:  # this change makes no valid function
                continue
            finally:
                for place in edit.places:
                    place.put(place.node)


class _Tried:
    """Runs changed backwards; forward runs once, and what it saved is copied for each."""

    def __init__(self, e: Evidence):
        self.e, rng = e, generator(40)
        self.others = [np.asarray(rng.normal(size=dy.shape)) for dy in e.dys]
        assert e.subject.pulled is not None
        self.pulled = e.subject.pulled(e.subject.arrays)

    def right(self, backward: Callable, evidence: Sequence[Evidence]) -> list[Evidence]:
        """The gradients that this backward makes right, for this dy and for another."""
        try:
            given = self.pulled(backward, [dy.copy() for dy in self.e.dys])
            fits = [e for e in evidence if e.same(_part(e, given), e.true)]
            if not fits:
                return []
            again = self.pulled(backward, [dy.copy() for dy in self.others])
            return [e for e in fits if e.rows is None or e.same(_part(e, again), e.backward(*self.others))]
        except Exception:  # a changed function may fail in any way
            return []


def _part(e: Evidence, raw: Any) -> Any:
    """The gradient of the argument in question."""
    gradients = as_list(raw)
    return gradients[e.k if len(gradients) > e.k else 0]
