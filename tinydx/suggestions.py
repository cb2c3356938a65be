"""Suggestions for unknown names: the end of an error message that lists the closest known names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """The end of an error message: "; did you mean 'adam'?", or the list of known names if none is close.

    >>> did_you_mean("adan", ["adam", "sgd"])
    "; did you mean 'adam'?"
    >>> did_you_mean("x", ["sgd", "adam"])
    '; known: adam, sgd'
    """
    known = list(known)
    close = difflib.get_close_matches(str(name), known, n=3, cutoff=0.5)
    if close:
        return "; did you mean " + " or ".join(repr(c) for c in close) + "?"
    return "; known: " + ", ".join(sorted(known))
