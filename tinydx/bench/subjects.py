"""The models that `tinydx bench step` and `tinydx bench models` race: each a tinydx model, its loss, and a size of batch.

tinydx builds a Subject once, in the parent. Every contestant gets this model's layers and weights, in its own library's form.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tinydx.diagnosis import networks
from tinydx.diagnosis.kinds import image, sound, table, text
from tinydx.layers import (
    GRU,
    LSTM,
    Activation,
    Add,
    Attention,
    BatchNormalization,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    Input,
    LayerNormalization,
    MaxPooling2D,
    SimpleRNN,
)
from tinydx.models import Model, Sequential
from tinydx.suggestions import did_you_mean

BATCHES = 4  # different batches, used in turn


class Subject(NamedTuple):
    """A model to race.

    name, as `--only` takes it; words, what it is; build, makes the model; batch, examples in a training step; length, of its
    sequences where its input leaves it open.
    """

    name: str
    words: str
    build: Callable[[], Any]
    batch: int
    length: int = 0


def document(shape: tuple[int, ...] = (150, 150, 3)) -> Any:
    """The document's network, with one output."""
    return image.build_cnn(shape, 2)


def _mlp(*sizes: int) -> Any:
    inputs, *hidden, outputs = sizes
    return Sequential([Input((inputs,)), *(Dense(n, activation="relu") for n in hidden), _output(outputs)])


def _output(classes: int) -> Dense:
    return Dense(classes, activation="sigmoid" if classes == 1 else "softmax")


def _lenet() -> Any:
    layers = [Conv2D(6, 5, padding="same", activation="relu", input_shape=(28, 28, 1)), MaxPooling2D()]
    layers += [Conv2D(16, 5, activation="relu"), MaxPooling2D(), Flatten()]
    return Sequential([*layers, Dense(120, activation="relu"), Dense(84, activation="relu"), _output(10)])


def _normalized() -> Any:
    layers: list[Any] = [Input((32, 32, 3))]
    for filters in (16, 32):
        layers += [Conv2D(filters, 3, padding="same", use_bias=False), BatchNormalization(), Activation("relu"), MaxPooling2D()]
    return Sequential([*layers, Flatten(), Dropout(0.3), _output(10)])


def _recurrent(layer: Any, units: int = 32, shape: tuple[int, int] = (50, 16)) -> Any:
    return Sequential([layer(units, input_shape=shape), _output(1)])


def _text_lstm() -> Any:
    return Sequential([Embedding(5000, 64, input_shape=(80,)), LSTM(64), _output(1)])


def _transformer() -> Any:
    """One block of an encoder: attention and two dense layers, each with a layer normalisation before it and a sum around it."""
    ids = Input((32,), dtype="int32")
    x = Embedding(1000, 64)(ids)
    normal = LayerNormalization()(x)
    x = Add()([x, Attention()([Dense(64)(normal), Dense(64)(normal), Dense(64)(normal)])])
    x = Add()([x, Dense(64)(Dense(256, activation="relu")(LayerNormalization()(x)))])
    return Model(ids, _output(1)(GlobalAveragePooling1D()(x)))


def _mobile() -> Any:
    layers: list[Any] = [Input((65, 65, 3)), Conv2D(16, 3, strides=2, padding="same", use_bias=False), BatchNormalization()]
    layers.append(Activation("relu"))
    for filters, stride in ((32, 1), (64, 2), (128, 2)):
        layers += [DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False), BatchNormalization(), Activation("relu")]
        layers += [Conv2D(filters, 1, use_bias=False), BatchNormalization(), Activation("relu")]
    return Sequential([*layers, GlobalAveragePooling2D(), _output(10)])


def _signal() -> Any:
    layers: list[Any] = [Input((256, 1, 1))]
    for filters in (16, 32, 64):
        layers += [Conv2D(filters, (5, 1), padding="same", activation="relu"), MaxPooling2D((2, 1))]
    return Sequential([*layers, GlobalAveragePooling2D(), _output(2)])


DOCUMENT = Subject("document", "the document's CNN, 150x150x3", document, 32)

MODELS = (
    Subject("mlp", "MLP 784-128-10", lambda: _mlp(784, 128, 10), 64),
    Subject("mlp-small", "MLP 20-32-1", lambda: _mlp(20, 32, 1), 16),
    Subject("lenet", "LeNet, 28x28", _lenet, 64),
    Subject("document-28", "the document's CNN, 28x28", lambda: document((28, 28, 1)), 64),
    Subject("conv-bn", "Conv-BN-ReLU twice, dropout, 32x32x3", _normalized, 32),
    Subject("simple-rnn", "SimpleRNN, 32 units, T=50", lambda: _recurrent(SimpleRNN), 32),
    Subject("lstm", "LSTM, 32 units, T=50", lambda: _recurrent(LSTM), 32),
    Subject("gru", "GRU, 32 units, T=50", lambda: _recurrent(GRU), 32),
    Subject("text-lstm", "Embedding 5000, LSTM 64, T=80", _text_lstm, 32),
    Subject("lesson-rnn", "lesson 7: SimpleRNN, 16 units, T=24", lambda: _recurrent(SimpleRNN, 16, (24, 1)), 16),
    Subject("transformer", "transformer block, T=32, 64 wide", _transformer, 32),
    Subject("mobile", "depthwise blocks (MobileNet), 65x65x3", _mobile, 32),
    Subject("signal", "1-D CNN, T=256", _signal, 32),
    Subject("image-blocks", "diagnose: images, 64x64", lambda: image.build_blocks((64, 64, 1), 2), 32),
    Subject("image-small", "diagnose: images, small CNN, 64x64", lambda: networks.small_cnn((64, 64, 1), 2), 32),
    Subject("image-linear", "diagnose: images, linear, 64x64", lambda: networks.linear_on_pixels((64, 64, 1), 2), 32),
    Subject("sound-rnn", "diagnose: sounds, T=200", lambda: sound.build_rnn(32, 2), 16, 200),
    Subject("sound-dense", "diagnose: sounds, summaries", lambda: sound.build_dense(160, 2), 32),
    Subject("text-bag", "diagnose: texts, T=40", lambda: text.build_bag(1000, 22), 32, 40),
    Subject("table-mlp", "diagnose: tables, 30 columns", lambda: table.build(30, 2), 32),
)


def subjects(names: list[str] | None) -> tuple[Subject, ...]:
    """The subjects of these names, or all of MODELS; ValueError with close matches for an unknown name."""
    known = {s.name: s for s in MODELS}
    for name in names or []:
        if name not in known:
            raise ValueError(f"--only: no model named {name!r}{did_you_mean(name, known)}")
    return tuple(known[name] for name in dict.fromkeys(names or known))


def loss_of(model: Any) -> str:
    """The loss for the model's number of outputs."""
    return "binary_crossentropy" if model.output_shape(model.input_shape)[-1] == 1 else "sparse_categorical_crossentropy"


def draw_batches(model: Any, batch: int, length: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Noise whose size depends on the class, or ids of which the last may be padding, and labels.

    Arguments: model; batch, examples in each; length, of sequences where the model leaves it open; seed.
    Returns: x (BATCHES,batch,...) float32 or int32, and y (BATCHES,batch,1) of 0 and 1, or class numbers (BATCHES,batch).
    """
    rng = np.random.default_rng(seed)
    classes = max(2, model.output_shape(model.input_shape)[-1])
    shape = (BATCHES, batch, *(n or length for n in model.input_shape[1:]))
    y = rng.integers(0, classes, (BATCHES, batch))
    binary = loss_of(model) == "binary_crossentropy"
    labels = y[..., None].astype(np.float32) if binary else y.astype(np.int32)
    embedding = next((layer for layer in model.all_layers() if isinstance(layer, Embedding)), None)
    if embedding is None:
        size = (0.5 + 0.5 * y / (classes - 1)).reshape(*y.shape, *[1] * (len(shape) - 2))
        return rng.random(shape, np.float32) * size.astype(np.float32), labels
    ids = rng.integers(1, embedding.input_dim, shape).astype(np.int32)
    if embedding.mask_zero:
        ids[np.arange(shape[-1]) >= rng.integers(math.ceil(shape[-1] / 2), shape[-1] + 1, (BATCHES, batch, 1))] = 0
    return ids, labels
