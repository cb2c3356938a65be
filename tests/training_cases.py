"""Models trained on an emulated GPU (test_gpu.py) and a real one (test_cuda_gpu.py): the document's, and difficult cases."""

import numpy as np

import tinydx
from tinydx.layers import (
    GRU,
    LSTM,
    BatchNormalization,
    Bidirectional,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePooling2D,
    MaxPooling2D,
    SimpleRNN,
    ZeroPadding2D,
)
from tinydx.regularizers import L1L2

IMAGES = np.random.default_rng(0).random((4, 10, 10, 3), np.float32)
WORDS = np.random.default_rng(0).integers(0, 9, (4, 3))
YES_OR_NO = np.array([[0.0], [1.0], [1.0], [0.0]], np.float32)
CLASSES = np.array([0, 2, 1, 2])


def cnn():
    """The document's CNN, small."""
    layers = [
        Conv2D(4, (3, 3), activation="relu", input_shape=(10, 10, 3)),
        MaxPooling2D((2, 2)),
        Flatten(),
        Dense(8, activation="relu"),
        Dense(1, activation="sigmoid"),
    ]
    return layers, "binary_crossentropy", IMAGES, YES_OR_NO


def rnn():
    """Words, a recurrence, classes."""
    layers = [Embedding(9, 5), SimpleRNN(7), Dense(3, activation="softmax")]
    return layers, "sparse_categorical_crossentropy", WORDS, CLASSES


def dropping():
    """Random numbers in the step."""
    return [Flatten(), Dense(8), Dropout(0.5), Dense(1, activation="sigmoid")], "binary_crossentropy", IMAGES, YES_OR_NO


def lstm():
    """Gates, padding, and dropout of the inputs."""
    return [Embedding(9, 5, mask_zero=True), LSTM(6, dropout=0.2), Dense(3, activation="softmax")], *rnn()[1:]


def gru():
    """Both directions."""
    return [Embedding(9, 5), Bidirectional(GRU(6)), Dense(3, activation="softmax")], *rnn()[1:]


def normalized():
    """Moving averages, which no gradient changes."""
    return [Flatten(), Dense(8, use_bias=False), BatchNormalization(), Dense(1, activation="sigmoid")], *cnn()[1:]


def masked():
    """Padding, and a prediction for each time step."""
    labels = np.random.default_rng(1).integers(0, 3, WORDS.shape)
    layers = [Embedding(9, 5, mask_zero=True), SimpleRNN(7, return_sequences=True), Dense(3, activation="softmax")]
    return layers, "sparse_categorical_crossentropy", WORDS, labels


def penalised():
    """Penalties of weights, and a border of zeros."""
    layers = [
        ZeroPadding2D(((1, 0), (0, 2)), input_shape=(10, 10, 3)),
        Conv2D(4, (3, 3), activation="relu", kernel_regularizer="l1_l2", bias_regularizer="l2"),
        GlobalAveragePooling2D(),
        Dense(1, activation="sigmoid", kernel_regularizer=L1L2(0.01, 0.02)),
    ]
    return layers, *cnn()[1:]


MODELS = [cnn, rnn, lstm, gru, dropping, normalized, masked, penalised]


def compiled(make, **settings):
    """A model with weights of seed 0, and its data."""
    tinydx.set_seed(0)
    layers, loss, x, y = make()
    model = tinydx.models.Sequential(layers)
    model.compile(**{"optimizer": "adam", "loss": loss, "metrics": ["accuracy"], **settings})
    return model, x, y


def trained(make, backend, graph=False, steps=3, **settings):
    """Losses and accuracies of some steps, and the weights after them."""
    model, x, y = compiled(make, **settings)
    with tinydx.use(backend, graph=graph):
        return [model.train_on_batch(x, y) for _ in range(steps)], model.get_weights()


def assert_same(ours, wanted):
    np.testing.assert_allclose(ours[0], wanted[0], rtol=1e-5)
    for a, b in zip(ours[1], wanted[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)  # Adam divides by gradients that may be nearly zero


def captured(model):
    """For each step that the model keeps, the last used last: whether it is a graph."""
    return [step.graph is not None for step in model.gpu_steps.values()]
