"""Suggestions for unknown names: the end of an error message that lists the closest known names."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterable

from tinydx.language import sentence


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
        meant = functools.reduce(_or, map(repr, close))
        return sentence("; did you mean {close}?", close=meant)
    return sentence("; known: {names}", names=", ".join(sorted(known)))


def _or(some: str, one: str) -> str:
    return sentence("{some} or {one}", some=some, one=one)


def snake_case(name: str) -> str:
    """A class's name as Keras writes it in texts.

    >>> [snake_case(name) for name in ("BinaryAccuracy", "AUC", "F1Score", "L1L2", "he_normal")]
    ['binary_accuracy', 'auc', 'f1_score', 'l1l2', 'he_normal']
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", "_", name).lower()
