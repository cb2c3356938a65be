"""Keras's files both ways: tinydx -> .keras, .h5, .weights.h5 -> Keras -> the same -> tinydx.

What Keras did is kept in keras_files/round_trip.zip (`make_round_trip.py` makes it), files of Keras 2 in old.zip (`make_old.py`).
TINYDX_KERAS=.../bin/python, of an environment that has Keras, sends today's files through it.
"""

import functools
import io
import json
import os
import subprocess
import sys
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

FILES = Path(__file__).parent / "keras_files"
sys.path.insert(0, str(FILES))

h5py = pytest.importorskip("h5py", reason="Keras's files need h5py: pip install h5py")

from cases import CASES, as_list, chain, run, run_in_float64  # noqa: E402
from make_round_trip import send, through_keras  # noqa: E402

from tinydx import layers  # noqa: E402
from tinydx.cli import main  # noqa: E402
from tinydx.layers import Add, Conv2D, Dense, GlobalAveragePooling2D, Input, Layer, SimpleRNN  # noqa: E402
from tinydx.models import Model, Sequential, load_model  # noqa: E402
from tinydx.preprocessing.files import save_img  # noqa: E402
from tinydx.saving.keras.configs import LAYERS  # noqa: E402
from tinydx.saving.keras.describing import keras_order  # noqa: E402
from tinydx.text.sequences import Seq2Seq  # noqa: E402

KINDS = ("keras", "h5")
ON_NUMPY = {**os.environ, "KERAS_BACKEND": "numpy"}


@functools.cache
def kept():
    """{name: bytes} of what Keras wrote."""
    with zipfile.ZipFile(FILES / "round_trip.zip") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def outputs_of_keras(data, kind):
    found = np.load(io.BytesIO(data))
    return [found[k] for k in sorted(found) if k.startswith(f"{kind}/")]


def check_outputs(model, x, keras):
    """Equal to 1e-6 of the largest number; in float32, whose last digits depend on the machine, to 1e-5."""
    for mine, bound in ((run_in_float64(model, x), 1e-6), (run(model, x), 1e-5)):
        for y, z in zip(mine, keras, strict=True):
            np.testing.assert_allclose(y, z, rtol=0, atol=bound * max(1, np.abs(z).max()))


def check_same(model, other):
    """The same weights, bit by bit and in order, and the same flags."""
    for w, v in zip(model.weights, other.weights, strict=True):
        assert w.dtype == v.dtype and np.array_equal(w.data, v.data), w.name
        assert w.requires_grad == v.requires_grad


def check_back(name, model, x, files, tmp_path):
    """What Keras made of the files of a case: the same outputs, and files that give the same model."""
    mine = run(model, x)
    for kind in (*KINDS, "weights.h5"):
        check_outputs(model, x, outputs_of_keras(files(f"{name}.outputs.npz"), kind))
    for kind in KINDS:
        path = tmp_path / f"back.{kind}"
        path.write_bytes(files(f"{name}.back.{kind}"))
        back = load_model(path)
        check_same(model, back)
        assert all(np.array_equal(a, b) for a, b in zip(mine, run(back, x), strict=True))
    for w in back.weights:
        w.data = np.zeros_like(w.data)
    (tmp_path / "back.weights.h5").write_bytes(files(f"{name}.back.weights.h5"))
    back.load_weights(tmp_path / "back.weights.h5")
    check_same(model, back)


@pytest.mark.parametrize("name", CASES)
def test_what_keras_has_read_is_what_tinydx_writes_and_what_it_wrote_comes_back(name, tmp_path):
    model, x = CASES[name]()
    model.save(tmp_path / "sent.keras")
    with zipfile.ZipFile(tmp_path / "sent.keras") as archive:
        config = json.loads(archive.read("config.json"))
    assert config == json.loads(kept()[f"{name}.sent.json"])
    model.save(tmp_path / "sent.h5")
    with h5py.File(tmp_path / "sent.h5") as file:
        assert json.loads(file.attrs["model_config"]) == {
            k: v for k, v in config.items() if k not in ("compile_config", "build_config")
        }
    check_back(name, model, x, kept().__getitem__, tmp_path)


def test_todays_files_through_keras(tmp_path):
    python = os.environ.get("TINYDX_KERAS")
    if not python or subprocess.run([python, "-c", "import h5py, keras"], env=ON_NUMPY, capture_output=True).returncode:
        pytest.skip("Keras not here: TINYDX_KERAS names no python that has it")
    send(tmp_path)
    through_keras(python, tmp_path)
    for name in CASES:
        (tmp_path / name).mkdir()
        check_back(name, *CASES[name](), lambda part: (tmp_path / part).read_bytes(), tmp_path / name)


@pytest.mark.parametrize("name", CASES)
def test_a_file_of_tinydx_comes_back_whole(name, tmp_path):
    model, x = CASES[name]()
    model.class_names, model.preprocessing, model.input_range = ["a", "b"], {"kind": "image"}, [0.0, 1.0]
    for kind in KINDS:
        model.save(tmp_path / f"x.{kind}")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            back = load_model(tmp_path / f"x.{kind}")
        check_same(model, back)
        assert [v.name for v in back.layers] == [v.name for v in model.layers] or len(as_list(x)) > 1 or name == "residual"
        assert all(np.array_equal(a, b) for a, b in zip(run(model, x), run(back, x), strict=True))
        assert (back.optimizer is None) == (model.optimizer is None)
        facts = (back.class_names, back.preprocessing, back.input_range)
        assert facts == ((["a", "b"], {"kind": "image"}, [0.0, 1.0]) if kind == "keras" else (None, None, None))
    first = (tmp_path / "x.keras").read_bytes()
    model.save(tmp_path / "x.keras")
    assert (tmp_path / "x.keras").read_bytes() == first  # no date, no random name


def test_every_layer_that_both_have_is_a_case():
    used = {type(layer).__name__ for make in CASES.values() for layer in make()[0].all_layers()}
    assert used >= LAYERS
    assert set(layers.__all__) - LAYERS == {"FiLM", "Input", "Layer"}  # FiLM: Keras has none


def test_how_a_model_was_compiled_travels(tmp_path):
    for name in ("compiled", "scheduled"):
        model, _ = CASES[name]()
        for kind in KINDS:
            (tmp_path / "back").write_bytes(kept()[f"{name}.back.{kind}"])
            back = load_model(tmp_path / "back")
            assert type(back.optimizer) is type(model.optimizer) and type(back.loss) is type(model.loss)
            assert back.optimizer.learning_rate == model.optimizer.learning_rate
            assert [w.name for w, _ in back.layers[0]._penalties] == [w.name for w, _ in model.layers[0]._penalties]
            assert len(back.asked_metrics[0]) == len(model.asked_metrics[0])
    assert back.optimizer.schedule.decay_rate == 0.5


@pytest.mark.parametrize("name", ["chain", "words", "graph"])
@pytest.mark.parametrize("kind", KINDS)
def test_files_of_keras_2(name, kind, tmp_path):
    with zipfile.ZipFile(FILES / "old.zip") as archive:
        archive.extractall(tmp_path)
    model, keras = load_model(tmp_path / f"{name}.{kind}"), np.load(tmp_path / f"{name}.npz")
    x, wanted = ([keras[k] for k in sorted(keras) if k.startswith(letter)] for letter in "xy")
    x = x if len(x) > 1 else x[0]
    check_outputs(model, x, wanted)
    for weights in ("weights.h5", "rows.h5"):
        for w in model.weights:
            w.data = np.zeros_like(w.data)
        model.load_weights(tmp_path / f"{name}.{weights}")
        check_outputs(model, x, wanted)
    assert [v.name for v in model.all_layers() if not v.trainable] == (["still"] if name == "graph" else [])
    if name == "chain":
        assert model.optimizer.learning_rate == 0.125 and len(model.asked_metrics[0]) == 2


def branches(rng):
    """A random graph of layers of few classes, so that many share a class and a distance from the output."""
    values = [Input((3,), "x")]
    for i in range(int(rng.integers(3, 9))):
        x = values[rng.integers(len(values))]
        values.append(Dense(3, name=f"d{i}")(x))
    ends = [v for v in values if v.call is not None]
    return Model(values[0], Add(name="sum")([*ends, ends[0]]), name="branches")


def test_layers_of_one_class_keep_their_weights_apart(tmp_path):
    """Whatever the order, weights go back to the layers of the same names."""
    for seed in range(10):
        model = branches(np.random.default_rng(seed))
        for w in model.weights:
            w.data = np.random.default_rng(zlib.crc32(w.name.encode())).normal(size=w.shape).astype("float32")
        assert sorted(v.name for v in keras_order(model)) == sorted(v.name for v in model.layers)
        for kind in KINDS:
            model.save(tmp_path / f"b.{kind}")
            back = load_model(tmp_path / f"b.{kind}")
            mine = {w.name: w.data for w in model.weights}
            assert all(np.array_equal(mine[w.name], w.data) for w in back.weights)


class Own(Layer):
    def __init__(self, factor=2.0, **common):
        super().__init__(**common)
        self.factor = factor

    def call(self, x, training=False):
        return x * self.factor


def test_what_does_not_travel_says_so_before_a_file_is_written(tmp_path):
    model = Sequential([Dense(2, input_shape=(3,), name="a"), Own(name="mine")])
    shared = Dense(3, name="both")
    both = Sequential([Sequential([Input((3,)), shared], name="one"), Sequential([Input((3,)), shared], name="two")])
    translator = Seq2Seq(9, 4, 4)
    translator([np.ones((1, 3), int)] * 2)
    twins = Sequential([Input((3,)), Dense(3, name="a"), Dense(3, name="a")])
    for wrong, said in (
        (model, "mine is a Own, which is no layer of Keras: save the model as .safetensors"),
        (both, "both stands in two places"),
        (translator, "is a Seq2Seq, which Keras does not have"),
        (twins, "two layers are named 'a'"),
        (Sequential([Dense(2)]), "is not built yet"),
        (Sequential([Dense(2, input_shape=(3,), name="a/b")]), "is named 'a/b', which cannot stand in a Keras file"),
        (Sequential([Dense(2, input_shape=(3,), activation="exp")]), "Keras has no activation 'exp'"),
    ):
        for kind in KINDS:
            with pytest.raises(ValueError, match=said):
                wrong.save(tmp_path / f"no.{kind}")
    with pytest.raises(ValueError, match=r"is the name of a file of weights: model.save_weights"):
        CASES["Dense"]()[0].save(tmp_path / "x.weights.h5")
    with pytest.raises(ValueError, match=r"does not end with .weights.h5"):
        CASES["Dense"]()[0].save_weights(tmp_path / "x.h5")
    assert not list(tmp_path.iterdir())


def test_custom_objects_are_the_only_classes_that_are_not_tinydxs(tmp_path):
    model = Sequential([Dense(2, input_shape=(3,), name="a"), Dense(2, name="mine", use_bias=False)])
    model.save(tmp_path / "x.keras")
    data = edited((tmp_path / "x.keras").read_bytes(), lambda c: c["config"]["layers"][2].update(OWN))
    (tmp_path / "own.keras").write_bytes(data)
    with pytest.raises(ValueError, match=r"the model uses 'Own', which tinydx does not know: load_model\(path, custom_objects"):
        load_model(tmp_path / "own.keras")
    back = load_model(tmp_path / "own.keras", {"Own": Own})
    assert back.layers[1].factor == 3.0 and type(back.layers[1]) is Own


OWN = {"module": "os", "class_name": "Own", "registered_name": "their>Own", "config": {"name": "mine", "factor": 3.0}}


def edited(data, change):
    """A .keras file whose config.json is changed, without the weights of the second layer."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        config = json.loads(old.read("config.json"))
        change(config)
        new.writestr("config.json", json.dumps(config))
        weights = io.BytesIO(old.read("model.weights.h5"))
        with h5py.File(weights, "r+") as file:
            del file["layers/dense_1"]
        new.writestr("model.weights.h5", weights.getvalue())
    return out.getvalue()


def test_weights_alone(tmp_path):
    model, x = CASES["residual"]()
    for path in ("w.weights.h5", "m.keras", "m.h5"):
        model.save_weights(tmp_path / path) if "weights" in path else model.save(tmp_path / path)
        other, _ = CASES["residual"]()
        for w in other.weights:
            w.data = np.zeros_like(w.data)
        other.load_weights(tmp_path / path)
        check_same(model, other)
    other = Sequential([Conv2D(3, 1, input_shape=(6, 5, 2), name="short")])
    before = other.get_weights()
    with pytest.raises(ValueError, match=r"w.weights.h5 cannot be loaded: it holds 'layers/.*', which no layer of the model has"):
        other.load_weights(tmp_path / "w.weights.h5")
    other = Sequential([SimpleRNN(3, input_shape=(6, 5))])
    with pytest.raises(ValueError, match=r"it holds no 'layers/simple_rnn/cell/vars/0'"):
        other.load_weights(tmp_path / "w.weights.h5")
    with pytest.raises(ValueError, match=r"it has weights, but no model: build the model, then model.load_weights"):
        load_model(tmp_path / "w.weights.h5")
    with pytest.raises(FileNotFoundError, match=r"no file of weights at"):
        other.load_weights(tmp_path / "none.weights.h5")
    with pytest.raises(ValueError, match=r"is not built yet"):
        Sequential([Dense(3)]).load_weights(tmp_path / "w.weights.h5")
    assert len(before) == 2


def test_a_chain_of_the_oldest_kind_has_its_layers_in_a_list(tmp_path):
    """Keras 2.0 and 2.1 wrote no name of a chain; inside a graph it has the entry's."""
    model, x = CASES["nested"]()
    model.save(tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        config = json.loads(file.attrs["model_config"])
        inside = next(e for e in config["config"]["layers"] if e["class_name"] == "Sequential")
        inside["config"] = inside["config"]["layers"]
        file.attrs["model_config"] = json.dumps(config)
    assert all(np.array_equal(a, b) for a, b in zip(run(model, x), run(load_model(tmp_path / "x.h5"), x), strict=True))


def test_a_gru_that_does_not_say_where_it_resets_is_an_old_one(tmp_path):
    model, x = CASES["GRU reset before"]()
    model.save(tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        config = json.loads(file.attrs["model_config"])
        del config["config"]["layers"][1]["config"]["reset_after"]
        file.attrs["model_config"] = json.dumps(config)
    assert all(np.array_equal(a, b) for a, b in zip(run(model, x), run(load_model(tmp_path / "x.h5"), x), strict=True))


def test_the_commands_say_what_a_file_of_keras_lacks(tmp_path, capsys):
    model, _ = chain(Conv2D(2, 3), GlobalAveragePooling2D(), Dense(2, activation="softmax"), shape=(8, 8, 1))
    picture = tmp_path / "a.png"
    save_img(picture, np.zeros((8, 8, 1)))
    for kind in KINDS:
        model.save(tmp_path / f"x.{kind}")
        for command in (["predict"], ["explain", "--output", str(tmp_path / "page.png")], ["evaluate"]):
            assert main([command[0], str(tmp_path / f"x.{kind}"), str(picture), *command[1:]]) != 0
            said = capsys.readouterr().err.strip()
            assert (
                said.endswith(
                    f"x.{kind} holds no class names and no preprocessing: `tinydx diagnose` did not make it; "
                    "load_model(path).predict(x) takes arrays"
                )
                and "\n" not in said
            )
    model.class_names = ["ill", "well"]
    reading = {"target_size": [8, 8], "color_mode": "grayscale", "interpolation": "bilinear", "rescale": 1 / 255}
    model.preprocessing = {"kind": "image", **reading}
    model.save(tmp_path / "own.keras")
    assert main(["predict", str(tmp_path / "own.keras"), str(picture)]) == 0
    assert capsys.readouterr().out.split("\t")[1] in model.class_names


def test_without_h5py_one_line_says_what_to_install(tmp_path, monkeypatch):
    model, _ = CASES["Dense"]()
    model.save(tmp_path / "x.keras")
    monkeypatch.setitem(sys.modules, "h5py", None)
    for use in (lambda: load_model(tmp_path / "x.keras"), lambda: model.save(tmp_path / "y.h5")):
        with pytest.raises(ImportError, match=r"Keras's files need h5py \(.*\): pip install 'tinydx\[keras\]'"):
            use()
    assert not (tmp_path / "y.h5").exists()
