"""Runs in an environment with Keras: loads the files of a folder that tinydx wrote, and writes what Keras makes of them.

    through_keras.py FOLDER      NAME.keras, NAME.h5, NAME.weights.h5, NAME.npz -> NAME.back.keras, NAME.back.h5,
                                 NAME.back.weights.h5, NAME.outputs.npz

Keras 3 with KERAS_BACKEND=numpy, which needs neither TensorFlow nor PyTorch: `pip install keras h5py jax scipy`.
"""

import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "numpy"
import keras
import numpy as np


def results(kind, y):
    """The outputs by name."""
    return {f"{kind}/{i}": np.asarray(v) for i, v in enumerate(y if isinstance(y, list | tuple) else [y])}


folder = Path(sys.argv[1])
for path in sorted(p for p in folder.glob("*.npz") if not p.name.endswith(".outputs.npz")):
    name = path.name.removesuffix(".npz")
    inputs = [a for _, a in sorted(np.load(path).items())]
    x = inputs if len(inputs) > 1 else inputs[0]
    outputs = {}
    for kind in ("keras", "h5"):
        model = keras.models.load_model(folder / f"{name}.{kind}")
        outputs |= results(kind, model(x, training=False))
        model.save(folder / f"{name}.back.{kind}")
    for w in model.weights:
        w.assign(np.zeros(w.shape))
    model.load_weights(folder / f"{name}.weights.h5")
    outputs |= results("weights.h5", model(x, training=False))
    model.save_weights(folder / f"{name}.back.weights.h5")
    trainable = np.array([w.trainable for w in model.weights])
    np.savez(folder / f"{name}.outputs.npz", version=np.array(keras.__version__), trainable=trainable, **outputs)
    print(name)
