"""Networks beside each kind's usual one, for `--network` and for `--choose`: smaller ones, and ones with more structure.

images     linear on pixels, small CNN
texts      linear on tokens, LSTM
sounds     linear on the mean over time
"""

from __future__ import annotations

from typing import Any

from tinydx.diagnosis.kind import classification_loss, output_layer
from tinydx.layers import (
    LSTM,
    Activation,
    AveragePooling2D,
    BatchNormalization,
    Conv2D,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    Input,
    MaxPooling2D,
)
from tinydx.models import Sequential
from tinydx.optimizers import Adam

PIXELS = 32  # height and width, about, of what the linear model of images sees
SMALL = (8, 16, 32)  # filters of the small CNN


def linear_on_pixels(shape: tuple[int, ...], classes: int) -> Sequential:
    """A weight for each pixel of the image at about 32x32.

    Arguments: shape (H,W,C) of an image; classes, how many.
    Returns: the model, not compiled.

    >>> linear_on_pixels((64, 64, 1), 2).count_params()
    1025
    """
    pool = max(1, round(min(shape[:2]) / PIXELS))
    return Sequential([AveragePooling2D(pool, input_shape=shape), Flatten(), output_layer(classes)], name="diagnosis")


def small_cnn(shape: tuple[int, ...], classes: int) -> Sequential:
    """Three blocks of convolution, batch normalisation, ReLU and pooling, and the mean over all places.

    Arguments: shape (H,W,C) of an image, at least 8 pixels high and wide; classes, how many.
    Returns: the model, not compiled.

    >>> small_cnn((64, 64, 1), 2).count_params()
    6089
    """
    model = Sequential(name="diagnosis")
    for k, width in enumerate(SMALL):
        first: dict[str, Any] = {"input_shape": shape} if k == 0 else {}
        model.add(Conv2D(width, 3, padding="same", use_bias=False, **first))
        model.add(BatchNormalization(momentum=0.9))
        model.add(Activation("relu"))
        model.add(MaxPooling2D())
    model.add(GlobalAveragePooling2D())
    model.add(output_layer(classes))
    return model


def linear_on_tokens(vocabulary: int, classes: int, rate: float = 0.02) -> Sequential:
    """A weight for each token and class: the sum over a text's tokens, divided by their number.

    Arguments: vocabulary, number of tokens; classes, how many; rate of learning.
    Returns: the compiled model.

    >>> linear_on_tokens(1000, 22).count_params()
    22000
    """
    outputs = 1 if classes == 2 else classes
    layers = [Embedding(vocabulary, outputs, mask_zero=True, input_shape=(None,)), GlobalAveragePooling1D()]
    model = Sequential([*layers, Activation("sigmoid" if classes == 2 else "softmax")], name="diagnosis")
    model.compile(Adam(rate), classification_loss(classes), metrics=["accuracy"])
    return model


def lstm(vocabulary: int, classes: int, dimension: int = 64, rate: float = 0.005) -> Sequential:
    """The mean of the states of an LSTM that reads the tokens in their order.

    Arguments: vocabulary, number of tokens; classes, how many; dimension of the vectors and of the state; rate of learning.
    Returns: the compiled model.
    Source: document, 2.3 (long short-term memory).

    >>> lstm(1000, 22).count_params()
    98454
    """
    layers = [
        Embedding(vocabulary, dimension, mask_zero=True, input_shape=(None,)),
        Dropout(0.2, noise_shape=(None, None, 1)),
        LSTM(dimension, return_sequences=True),
        GlobalAveragePooling1D(),
        Dropout(0.3),
        output_layer(classes),
    ]
    model = Sequential(layers, name="diagnosis")
    model.compile(Adam(rate, clipnorm=1.0), classification_loss(classes), metrics=["accuracy"])
    return model


def linear_on_mean(shape: tuple[int | None, ...], classes: int, rate: float = 0.01) -> Sequential:
    """A weight for each number of a recording's summary, or for each band's mean over time.

    Arguments: shape of an input, (D,) or (T,D); classes, how many; rate of learning.
    Returns: the compiled model.

    >>> linear_on_mean((None, 32), 2).count_params()
    33
    """
    mean = [GlobalAveragePooling1D()] if len(shape) == 2 else []
    model = Sequential([Input(shape), *mean, output_layer(classes)], name="diagnosis")
    model.compile(Adam(rate), classification_loss(classes), metrics=["accuracy"])
    return model
