"""Evidence for any function: which single change of the learner's own source gives the right gradient?

The backward is run again with one thing changed: y in place of x, another sign or axis, a factor more or less. What makes it
right names the mistake, and the advice is that line. It needs the source, which functions typed at a prompt do not have.
"""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinydx.gradcheck.edits import Edit, edits
from tinydx.gradcheck.evidence import Evidence
from tinydx.gradcheck.report import Diagnosis
from tinydx.gradcheck.rules import as_list
from tinydx.gradcheck.source import definition, helpers, rebuilt
from tinydx.gradcheck.truth import generator

SECONDS = 0.5  # of computing, for all gradients of a check


def repaired(e: Evidence) -> Iterator[Diagnosis]:
    """The first change of the learner's source that gives the right gradient, at this dy and at another."""
    backward = e.subject.backward
    if backward is None or e.subject.again is None or definition(backward) is None:
        return
    if any(backward is slip.backward for op in e.subject.ops for slip in op.slips):
        return
    names = [n for n in (*e.subject.names, "y") if n.isidentifier()]
    known = dict(zip(e.subject.names, e.subject.arrays, strict=True))
    known["y"] = np.asarray(e.subject.value(e.subject.arrays)[0])
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SyntaxError, RecursionError):
        for edit, changed in _changed(backward, names, known):
            if time.process_time() > e.deadline:
                return
            if _is_right(e, changed):
                advice = f"With one change your {e.label} is right: {edit.advice}."
                yield Diagnosis(edit.name, advice)
                return


def _changed(backward: Any, names: list[str], known: dict[str, Any]) -> Iterator[tuple[Edit, Callable]]:
    """The backward with each single change in itself or in a function that it calls."""
    for called, function in [("", backward), *helpers(backward)]:
        node = definition(function)
        if node is None:
            continue
        extra = {n: v for n, v in known.items() if n not in function.__globals__} if not called else {}
        for edit in edits(node, names if not called else []):
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


def _is_right(e: Evidence, backward: Callable) -> bool:
    """Whether this backward gives the true gradient, for this dy and for another."""
    assert e.subject.again is not None
    try:
        subject = e.subject.again(e.subject.arrays, e.subject.constants, backward)
        outputs, pull = subject.run([a.copy() for a in subject.arrays])
        if not e.same(_part(e, pull([dy.copy() for dy in e.dys])), e.true):
            return False
        if e.rows is None:
            return True
        rng = generator(40)
        others = [np.asarray(rng.normal(size=np.shape(y))) for y in outputs]
        return e.same(_part(e, pull([dy.copy() for dy in others])), e.backward(*others))
    except Exception:  # a changed function may fail in any way
        return False


def _part(e: Evidence, raw: Any) -> Any:
    """The gradient of the argument in question."""
    gradients = as_list(raw)
    return gradients[e.k if len(gradients) > e.k else 0]
