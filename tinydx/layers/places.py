"""Where layers stand in models: what a layer takes and gives there, so that another model can begin or end in its place.

    Dense(3)(Input((4,)))     a call on symbols, which is remembered
    Sequential([Dense(3)])    a chain, whose layers are called on symbols when somebody asks

    Model(model.input, model.get_layer("dense").output)     the layers up to there, with the same weights

A layer may stand in several places; as in Keras, `layer.input` and `layer.output` are those of the first that still exists.
Nothing of this is in a layer's attributes: a layer is copied, pickled and saved without its places.
"""

from __future__ import annotations

import weakref
from typing import Any

_places: weakref.WeakKeyDictionary[Any, list[weakref.ref]] = weakref.WeakKeyDictionary()


def remember(layer: Any, place: Any) -> None:
    """Note that a layer stands in a place: a `Call` of it, or a chain, which has `traced()`."""
    alive = [known for known in _places.get(layer, []) if known() is not None]
    _places[layer] = [*alive, weakref.ref(place)]


def first_call(layer: Any) -> Any:
    """The `Call` of the layer in its first place; ValueError where it stands nowhere."""
    for known in _places.get(layer, []):
        place = known()
        if place is not None and hasattr(place, "traced"):
            place = place.traced().calls.get(layer)
        if place is not None:
            return place
    raise ValueError(f"{layer.name} stands in no model yet: call it on an Input, or add it to a Sequential with an input_shape")


class End:
    """The attribute `input` or `output` of a layer: what `Layer.ends` says. A class of one's own may set another in its place."""

    def __init__(self, number: int, about: str):
        self.number, self.__doc__ = number, about

    def __get__(self, layer: Any, owner: type | None = None) -> Any:
        return self if layer is None else layer.ends()[self.number]
