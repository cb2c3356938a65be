"""How a classifier ends: its last layer, and the loss that belongs to it."""

from __future__ import annotations

from tinydx.layers.core import Dense


def output_layer(classes: int) -> Dense:
    """The last layer of a classifier: one sigmoid unit for two classes, a softmax for more.

    >>> output_layer(2).units, output_layer(3).units
    (1, 3)
    """
    return Dense(1, activation="sigmoid") if classes == 2 else Dense(classes, activation="softmax")


def classification_loss(classes: int) -> str:
    """The loss that belongs to `output_layer`, for class numbers as labels.

    >>> classification_loss(2)
    'binary_crossentropy'
    """
    return "binary_crossentropy" if classes == 2 else "sparse_categorical_crossentropy"
