"""Activations by name, as layers take them: each an op of the table, or None for "linear"."""

from __future__ import annotations

from typing import Any

from tinydx import ops
from tinydx.suggestions import did_you_mean

_KNOWN = {
    "relu": ops.relu,
    "sigmoid": ops.sigmoid,
    "tanh": ops.tanh,
    "softmax": ops.softmax,
    "leaky_relu": ops.leaky_relu,
    "elu": ops.elu,
    "softplus": ops.softplus,
    "silu": ops.silu,
    "swish": ops.silu,
}


def get(name: Any) -> Any:
    """The op of that name, a function of Tensors as it is, None for None and "linear"; ValueError with close matches.

    >>> get("relu").name
    'relu'
    """
    if name is None or name == "linear":
        return None
    if callable(name):
        return name
    if name not in _KNOWN:
        raise ValueError(f"unknown activation {name!r}{did_you_mean(name, [*_KNOWN, 'linear'])}")
    return _KNOWN[name]
