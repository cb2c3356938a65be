"""Begin from a trained network: its layers and weights, a new last layer for other classes, and some layers frozen."""

from __future__ import annotations

import copy
from typing import Any

from tinydx.layers import Dense
from tinydx.models import Model


def begun(source: Any, fresh: Any, freeze: int = 0) -> Model:
    """A network with the source's layers and weights up to the last layer, and another network's last layer.

    Arguments: source, a built Sequential or functional model that ends in a Dense layer; fresh, a compiled network whose last
    layer, optimizer and loss are taken; freeze, how many of the first layers keep their weights.
    Returns: a compiled model, which shares nothing with the source.
    Raises: ValueError for a source that does not end in one Dense layer, and for more frozen layers than there are before it.
    """
    body = copy.deepcopy(source)
    last = body.layers[-1] if body.layers else None
    if type(last) is not Dense:
        found = "has no layers" if last is None else f"ends in {last.name} ({type(last).__name__})"
        raise ValueError(f"{source.name} {found}, expected a Dense layer: it is replaced by one for the new classes")
    if not 0 <= freeze < len(body.layers):
        raise ValueError(f"freeze is {freeze}, but {source.name} has {len(body.layers) - 1} layers before the last one")
    head = copy.deepcopy(fresh.layers[-1])
    new = Dense(head.units, activation=head.activation)
    model = Model(body.input, new(last.input), name=fresh.name)
    model.trainable = True
    for layer in model.layers[:freeze]:
        layer.trainable = False
    model.compile(fresh.optimizer, fresh.loss, metrics=["accuracy"])
    return model
