"""Training on a GPU without one: the engine with arrays that are not NumPy's (fake_cupy.py), its kernels in the emulator."""

import sys

import numpy as np
import pytest

import tinydx
from tinydx import gpu
from tinydx.layers import Conv2D, Dense, Dropout, Embedding, Flatten, MaxPooling2D, SimpleRNN
from tinydx.op import find_kernels

find_kernels()
from tinydx_kernels.emulator.build import compiler  # noqa: E402

try:
    compiler()
except OSError as missing:
    pytest.skip(str(missing), allow_module_level=True)

import fake_cupy  # noqa: E402
from tinydx_kernels.cuda import backend  # noqa: E402


@pytest.fixture(autouse=True)
def device(monkeypatch):
    """A GPU, as far as tinydx can tell."""
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy)
    gpu.stream.cache_clear()
    backend._gpu_module.cache_clear()
    fake_cupy.reads.clear()
    fake_cupy.launches.clear()
    yield fake_cupy
    gpu.stream.cache_clear()
    backend._gpu_module.cache_clear()


IMAGES = np.random.default_rng(0).random((4, 10, 10, 3), np.float32)
WORDS = np.random.default_rng(0).integers(0, 9, (4, 5))
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
    """Chance in the step."""
    return [Flatten(), Dense(8), Dropout(0.5), Dense(1, activation="sigmoid")], "binary_crossentropy", IMAGES, YES_OR_NO


MODELS = [cnn, rnn, dropping]


def compiled(make, **settings):
    """A model with weights of seed 0, and its data."""
    tinydx.set_seed(0)
    layers, loss, x, y = make()
    model = tinydx.models.Sequential(layers)
    model.compile(**{"optimizer": "adam", "loss": loss, "metrics": ["accuracy"], **settings})
    return model, x, y


def trained(make, steps, backend, **settings):
    """Losses and accuracies of some steps, and the weights after them."""
    model, x, y = compiled(make, **settings)
    with tinydx.use(backend, graph=False):
        return [model.train_on_batch(x, y) for _ in range(steps)], model.get_weights()


@pytest.mark.parametrize("make", MODELS)
def test_losses_and_weights_are_those_of_numpy(make):
    there, here = trained(make, 3, "cuda"), trained(make, 3, "numpy")
    np.testing.assert_allclose(there[0], here[0], rtol=1e-5)
    for a, b in zip(there[1], here[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("make", MODELS)
def test_a_step_reads_once(make, device):
    model, x, y = compiled(make)
    with tinydx.use("cuda", graph=False):
        model.train_on_batch(x, y)
        device.reads.clear()
        model.train_on_batch(x, y)
    assert len(device.reads) == 1
