"""Activations by name, as layers take them: each an elementwise op of the table, or None for "linear"."""

from __future__ import annotations

import re
from typing import Any

import tinydx.ops  # noqa: F401  (fills the table)
from tinydx.op import TABLE, Op
from tinydx.suggestions import did_you_mean

_ALIASES = {"swish": "silu"}
_ELEMENTWISE = re.compile(r"\w+ \(\.\.\.\) -> \w+ \(\.\.\.\)")  # of one array, whose shape the result has


def get(activation: Any) -> Any:
    """The activation of that name: any op of the table that maps one array to another of its shape.

    An op that a user's own file puts into the table with `@op` is found by its name, too, if its constants have defaults.

    Arguments: activation, a name, a function of Tensors (returned as it is), or None.
    Returns: the op or function; None for None and "linear".
    Raises: ValueError for an unknown name, with close matches.

    >>> get("relu").name, get("swish").name, get("linear")
    ('relu', 'silu', None)
    >>> get("rellu")
    Traceback (most recent call last):
    ValueError: unknown activation 'rellu'; did you mean 'relu' or 'elu' or 'leaky_relu'?
    """
    if activation is None or (isinstance(activation, str) and activation == "linear"):
        return None
    if callable(activation):
        return activation
    known = {name: op for name, op in TABLE.items() if _is_activation(op)}
    known |= {alias: known[name] for alias, name in _ALIASES.items()}
    if not isinstance(activation, str) or activation not in known:
        raise ValueError(f"unknown activation {activation!r}{did_you_mean(activation, [*known, 'linear'])}")
    return known[activation]


def _is_activation(op: Op) -> bool:
    """Whether the op takes one array, gives another of its shape, and needs no constants."""
    constants = [p for p in op.signature.parameters.values() if p.kind is p.KEYWORD_ONLY]
    one_to_one = not op.takes_any_number and _ELEMENTWISE.fullmatch(op.shapes) is not None
    return one_to_one and all(p.default is not p.empty for p in constants)
