"""Makes old.zip: files of Keras 2 (tf-keras) in its three formats, and what it computed with them.

python3 -m venv oldvenv && oldvenv/bin/pip install tensorflow-cpu==2.21.0 tf-keras==2.21.0
oldvenv/bin/python tests/keras_files/make_old.py
"""

import io
import os
import tempfile
import zipfile
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"], os.environ["TF_ENABLE_ONEDNN_OPTS"] = "3", "0"
import numpy as np  # noqa: E402
import tf_keras as keras  # noqa: E402

HERE, L = Path(__file__).parent, keras.layers


def numbers(shape, seed=0):
    """Multiples of 1/64 between -1 and 1."""
    return (np.random.default_rng(seed).integers(-64, 65, shape) / 64).astype("float32")


def chain():
    layers = [
        L.Conv2D(4, 3, padding="same", input_shape=(6, 5, 2)),
        L.BatchNormalization(axis=3),
        L.ReLU(6.0),
        L.SeparableConv2D(3, 2, activation="relu", kernel_initializer="he_normal", use_bias=False),
        L.DepthwiseConv2D(2),
        L.LayerNormalization(),
        L.GlobalAveragePooling2D(),
        L.Dropout(0.5),
        L.Dense(2, activation="softmax", kernel_regularizer=keras.regularizers.L1L2(0.25, 0.5)),
    ]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(0.125), "categorical_crossentropy", metrics=["accuracy", keras.metrics.AUC(name="roc")])
    return model, [numbers((2, 6, 5, 2))]


def words():
    x = L.Input((6,))
    y = L.Embedding(9, 4, mask_zero=True)(x)
    y = L.Bidirectional(L.GRU(3, return_sequences=True))(y)
    return keras.Model(x, L.Dense(1)(L.LSTM(2)(y))), [np.array([[1, 5, 2, 0, 0, 0], [8, 7, 3, 4, 1, 1]], "float32")]


def graph():
    """A layer that is called twice, two inputs, states, attention, and a model inside with a frozen layer."""
    x, y, shared = L.Input((4, 3), name="x"), L.Input((4, 3), name="y"), L.Dense(3, name="both")
    inside = keras.Sequential([L.Input((3,)), L.Dense(3, name="still"), L.BatchNormalization(name="norm")], name="inside")
    inside.layers[0].trainable = False
    out, h, c = L.LSTM(3, return_state=True, return_sequences=True)(shared(x))
    z = L.LSTM(3, return_sequences=True)(shared(y), initial_state=[h, c])
    z = L.Concatenate()([L.Attention()([z, out]), L.AdditiveAttention()([z, out]), L.Add()([z, out])])
    z = L.TimeDistributed(L.Dense(3, name="each"))(z)
    ends = [L.Dense(1)(inside(L.GlobalAveragePooling1D()(z))), z]
    return keras.Model([x, y], ends), [numbers((2, 4, 3)), numbers((2, 4, 3), 1)]


def main():
    with tempfile.TemporaryDirectory() as name, zipfile.ZipFile(HERE / "old.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        folder = Path(name)
        for make in (chain, words, graph):
            keras.backend.clear_session()
            model, inputs = make()
            for i, w in enumerate(model.weights):
                values = numbers(w.shape, 100 + i)
                w.assign(np.abs(values) + 0.25 if "variance" in w.name else values)
            for kind in ("h5", "keras", "weights.h5", "rows.h5"):
                path = folder / f"{make.__name__}.{kind}"
                if kind == "rows.h5":
                    model.save_weights(path, save_format="h5")
                elif kind == "weights.h5":
                    keras.src.saving.saving_lib.save_weights_only(model, str(path))
                else:
                    model.save(path)
                archive.write(path, path.name)
            outputs = model(inputs if len(inputs) > 1 else inputs[0], training=False)
            buffer = io.BytesIO()
            outputs = outputs if isinstance(outputs, list | tuple) else [outputs]
            data = {f"x{i}": a for i, a in enumerate(inputs)} | {f"y{i}": np.asarray(a) for i, a in enumerate(outputs)}
            trainable = np.array([w.trainable for w in model.weights])
            np.savez(buffer, keras=np.array(keras.__version__), trainable=trainable, **data)
            archive.writestr(f"{make.__name__}.npz", buffer.getvalue())


if __name__ == "__main__":
    main()
