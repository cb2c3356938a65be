"""Keras's files that are damaged or lie: each loads as a whole, as it says, or is refused in one line. None is ever executed.

10,000 damaged and 10,000 lying files under HYPOTHESIS_PROFILE=proof; few otherwise.
"""

import functools
import io
import json
import random
import sys
import tracemalloc
import typing
import warnings
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy  # noqa: F401  (the reader of what looks like no file of Keras)
from forgeries import forged, mutated

h5py = pytest.importorskip("h5py", reason="Keras's files need h5py: pip install h5py")
sys.path.insert(0, str(Path(__file__).parent / "keras_files"))

from cases import CASES  # noqa: E402

from tinydx.layers.registry import known_classes  # noqa: E402
from tinydx.models import load_model  # noqa: E402
from tinydx.saving.arguments import _hints  # noqa: E402
from tinydx.saving.keras.describing import describe_layer  # noqa: E402

NAMES = ("residual", "compiled", "Bidirectional twins", "shared")
MOST = 20e6  # bytes that a refused file of a few kilobytes may need
FORBIDDEN = ("exec", "compile", "import", "os.", "subprocess.", "socket.", "pickle.", "marshal.", "ctypes.", "code.", "open")
# what is written in another way than it was read, or is no part of what a layer computes
LOOSE = ("input_layers", "output_layers", "layer", "backward_layer", "sparse")
watched: typing.Any = None  # the events of the load that is going on


def _watch(event, arguments):
    if watched is not None and event.startswith(FORBIDDEN):
        watched.append((event, arguments[0] if arguments else None))


sys.addaudithook(_watch)  # it cannot be removed, and does nothing outside `harmless`


@contextmanager
def harmless(path):
    """Within it nothing is compiled, executed, imported or opened, but for the file itself."""
    global watched
    events = watched = []
    try:
        yield
    finally:
        watched = None
    others = [e for e in events if not (e[0] == "open" and str(e[1]) == str(path)) and not e[0].startswith("os.scandir")]
    assert not others


@functools.cache
def valid(name, kind):
    """The bytes of a valid file, after all lazy parts of loading have been used."""
    import tempfile

    for cls in known_classes().values():
        _hints(cls)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/x.{kind}"
        CASES[name]()[0].save(path)
        load_model(path)
        return Path(path).read_bytes()


def loaded(path):
    """The model of a file, None where it is refused in one line; nothing is executed."""
    with warnings.catch_warnings(), harmless(path):
        warnings.simplefilter("ignore")  # of what it was compiled with
        try:
            return load_model(path)
        except ValueError as error:
            assert "\n" not in str(error) and str(path) in str(error) and len(str(error)) < 700 + len(str(path)), str(error)
            return None


def arrays_of(data):
    with h5py.File(h5py.h5f.open_file_image(data)) as file:
        found = []
        file.visititems(lambda name, item: found.append(item[()]) if isinstance(item, h5py.Dataset) else None)
    return sorted(a.tobytes() for a in found)


def is_whole(model, weights):
    """Whether the model has exactly the arrays of its file."""
    return sorted(w.data.tobytes() for w in model.weights) == arrays_of(weights)


def sealed(config, weights, **parts):
    """A .keras file that is right as a zip."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in {"metadata.json": b"{}", "config.json": config, "model.weights.h5": weights, **parts}.items():
            archive.writestr(name, data)
    return out.getvalue()


def inside(name):
    with zipfile.ZipFile(io.BytesIO(valid(name, "keras"))) as archive:
        return json.loads(archive.read("config.json")), archive.read("model.weights.h5")


@pytest.mark.parametrize("how", ["zip", "weights in the zip", "h5"])
def test_a_damaged_file_loads_whole_or_is_refused(how, tmp_path, proof):
    draw, refused, tries = random.Random(how), 0, 3400 if proof else 60
    path = tmp_path / ("x.h5" if how == "h5" else "x.keras")
    for i in range(tries):
        name = NAMES[i % len(NAMES)]
        if how == "weights in the zip":
            config, weights = inside(name)
            weights = mutated(weights, draw)
            data = sealed(json.dumps(config), weights)
        else:
            data = mutated(valid(name, path.suffix[1:]), draw)
        path.write_bytes(data)
        model = loaded(path)
        if model is None:
            refused += 1
        else:
            with zipfile.ZipFile(path) if how != "h5" else open(path, "rb") as file:
                assert is_whole(model, file.read("model.weights.h5") if how != "h5" else file.read())
    assert refused > tries // 3


def text(value):
    """A setting as JSON; 1 and 1.0 are one number, and True is none."""
    if isinstance(value, dict):
        return json.dumps({k: text(v) for k, v in value.items()}, sort_keys=True)
    if isinstance(value, list):
        return json.dumps([text(v) for v in value])
    return json.dumps(float(value) if type(value) is int else value)


def agree(old, new):
    """Whether two settings say the same; where a class is at home is not looked at, and what one leaves out has its default."""
    if isinstance(old, dict) and isinstance(new, dict) and "class_name" in old and isinstance(old.get("config"), dict):
        kept = {k: v for k, v in new["config"].items() if k in old["config"]}
        return old["class_name"] == new["class_name"] and text(old["config"]) == text(kept)
    return text(old) == text(new) or old in (None, "linear")


def values_in(nodes):
    """The values that a call takes, in their order: [layer, output]; the calls of one layer may be numbered anew."""
    if isinstance(nodes, dict):
        if "keras_history" in nodes:
            return [nodes["keras_history"][::2]]
        nodes = list(nodes.values())
    return [v for one in nodes for v in values_in(one)] if isinstance(nodes, list) else []


def settings_of(entry, found, trains=True):
    """{name of a layer: (class, settings)} of all layers, initial values left out."""
    config = entry["config"]
    settings = {k: v for k, v in config.items() if not k.endswith("initializer") and k != "layers"}
    nodes = entry.get("inbound_nodes") if entry.get("class_name") != "InputLayer" else []  # which takes none
    settings["calls"] = sorted(values_in(node) for node in nodes or [])
    if "batch_shape" in settings:
        settings["batch_shape"] = settings["batch_shape"][1:]  # the number of examples may be any
    if not trains and "trainable" in settings:
        settings["trainable"] = False  # as the model around it
    found[config.get("name")] = entry.get("class_name"), settings
    for inner in config.get("layers", []):
        settings_of(inner, found, trains and config.get("trainable", True))
    return found


def in_little_memory(path):
    tracemalloc.start()
    try:
        return loaded(path)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < MOST


@pytest.mark.parametrize("name", NAMES)
def test_a_lying_configuration_loads_as_it_says_or_is_refused(name, tmp_path, proof):
    (config, weights), rng = inside(name), np.random.default_rng(NAMES.index(name))
    path, count = tmp_path / "lie.keras", 0
    for i in range(2500 if proof else 25):
        lie, _ = forged(config, rng, 1 + int(rng.integers(3) == 0))
        try:
            data = sealed(json.dumps(lie, ensure_ascii=False).encode(), weights)
        except UnicodeEncodeError:
            continue
        path.write_bytes(data)
        model = loaded(path) if i % 5 else in_little_memory(path)
        if model is None:
            continue
        count += 1
        assert is_whole(model, weights)
        said = settings_of(lie, {})
        for layer, (kind, settings) in settings_of(describe_layer(model), {}).items():
            assert layer not in said or said[layer][0] == kind
            for key, value in settings.items() if layer in said else ():
                old = said[layer][1].get(key, value)
                assert agree(old, value) or key in LOOSE, (layer, key, old, value)
    assert count


# ---- single attacks, and what is said of each ------------------------------------------------------------------------


def h5(change, name="residual"):
    """The weights of a valid file, changed by a function of the open HDF5 file."""
    data = io.BytesIO(inside(name)[1])
    with h5py.File(data, "r+") as file:
        change(file)
    return sealed(json.dumps(inside(name)[0]), data.getvalue())


def config(change, name="residual", **parts):
    lie, weights = inside(name)
    change(lie)
    return sealed(json.dumps(lie), weights, **parts)


def layer(lie, name):
    return next(e for e in lie["config"]["layers"] if e["config"]["name"] == name)


def become(name, **entry):
    return config(lambda c: layer(c, "flat").update(class_name=name, **entry))


def arguments(**settings):
    return config(lambda c: layer(c, "out")["config"].update(settings))


def virtual(file):
    layout = h5py.VirtualLayout((3,), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (3,))
    put(file, lambda path: file.create_virtual_dataset(path, layout))


def put(file, make):
    path = "layers/conv2d/vars/1"
    del file[path]
    make(path)


def huge(file, **options):
    put(file, lambda path: file.create_dataset(path, (2**33,), "f4", chunks=(2**20,), **options))


def twice(data, name):
    out = io.BytesIO(data)
    with warnings.catch_warnings(), zipfile.ZipFile(out, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr(name, b"{}")
    return out.getvalue()


def packed(how):
    lie, weights = inside("residual")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how) as archive:
        archive.writestr("config.json", json.dumps(lie))
        archive.writestr("model.weights.h5", weights + bytes(2**24 if how == zipfile.ZIP_DEFLATED else 0))
    return out.getvalue()


def node(change):
    return config(lambda c: change(layer(c, "sum")["inbound_nodes"]))


def rename(lie):
    entry = layer(lie, "out")
    entry["name"] = entry["config"]["name"] = "../x"


def tensor(name, node=0, output=0):
    return {"class_name": "__keras_tensor__", "config": {"keras_history": [name, node, output]}}


DEEP = "[" * 100_000 + "]" * 100_000
PICKLED = {"class_name": "__lambda__", "config": {"value": ["4wEAAAA=", None, None]}}
SYSTEM = {"module": "os", "class_name": "system", "config": "echo"}
ATTACKS = {
    "a Lambda": (lambda: become("Lambda", config={"name": "flat", "function": PICKLED}), "it holds a Lambda, which is code"),
    "a pickled activation": (lambda: arguments(activation=PICKLED), "the model uses '__lambda__', which tinydx does not know"),
    "a function of a module": (lambda: arguments(activation=SYSTEM), "the model uses 'system', which tinydx does not know"),
    "a class of a module": (lambda: become("system", module="os"), "the model uses 'system'"),
    "an initializer of a module": (lambda: arguments(kernel_initializer=SYSTEM), None),
    "a regularizer of a module": (lambda: arguments(kernel_regularizer=SYSTEM), "the model uses 'system'"),
    "an operation": (lambda: become("Add", module="keras.src.ops.numpy"), "it uses the operation Add, which is no layer"),
    "a class of tinydx": (lambda: become("Trainer"), "the model uses 'Trainer'"),
    "a dunder": (lambda: become("__import__"), "the model uses '__import__'"),
    "a layer that tinydx lacks": (lambda: become("Conv3D"), "the model uses 'Conv3D'"),
    "no model": (
        lambda: config(lambda c: c.update(class_name="Dense", config={"name": "x", "units": 2})),
        "a layer and no model",
    ),
    "path traversal": (
        lambda: config(lambda c: 0, **{"../../x": b""}),
        "it holds '../../x', which no layer that tinydx has needs",
    ),
    "an absolute path": (lambda: config(lambda c: 0, **{"/etc/x": b""}), "it holds '/etc/x'"),
    "an asset": (lambda: config(lambda c: 0, **{"assets/words.txt": b""}), "it holds 'assets/words.txt'"),
    "a part twice": (lambda: twice(valid("residual", "keras"), "config.json"), "it holds 'config.json' twice"),
    "a zip bomb": (lambda: packed(zipfile.ZIP_DEFLATED), "model.weights.h5 unpacks to more than"),
    "LZMA": (lambda: packed(zipfile.ZIP_LZMA), "is packed in a way that Keras does not use"),
    "no configuration": (lambda: twice(b"PK\5\6" + bytes(18), "x")[:0] + sealed("", b"")[:30], "it is no zip that can be read"),
    "no JSON": (lambda: sealed("x", b""), "config.json is no JSON that can be read"),
    "deep JSON": (lambda: sealed(DEEP, b""), "config.json is nested too deeply"),
    "a key twice": (lambda: sealed('{"class_name": 1, "class_name": 2}', b""), "'class_name' occurs twice"),
    "no HDF5": (lambda: sealed(json.dumps(inside("residual")[0]), b"x"), "its weights are no HDF5 file that can be read"),
    "facts that are none": (
        lambda: config(lambda c: 0, **{"tinydx.json": b'{"class_names": 7}'}),
        "class_names is 7, expected a list",
    ),
    "a soft link": (
        lambda: h5(lambda f: put(f, lambda p: f.__setitem__(p, h5py.SoftLink("/vars")))),
        "is a link to another place",
    ),
    "an external link": (
        lambda: h5(lambda f: put(f, lambda p: f.__setitem__(p, h5py.ExternalLink("/etc/passwd", "/x")))),
        "is a link to another place",
    ),
    "a group in itself": (lambda: h5(lambda f: f["layers"].__setitem__("again", f["layers"])), "occurs twice"),
    "an array twice": (lambda: h5(lambda f: put(f, lambda p: f.__setitem__(p, f["layers/conv2d/vars/0"]))), "occurs twice"),
    "a virtual array": (lambda: h5(virtual), "takes its numbers from another file"),
    "external data": (
        lambda: h5(lambda f: put(f, lambda p: f.create_dataset(p, (3,), "f4", external=[("/etc/passwd", 0, 12)]))),
        "takes its numbers from another file",
    ),
    "a huge shape": (lambda: h5(huge), "but its numbers are not in the file"),
    "a huge packed shape": (lambda: h5(lambda f: huge(f, compression="gzip")), "but its numbers are not in the file"),
    "packed zeros": (
        lambda: h5(lambda f: put(f, lambda p: f.create_dataset(p, data=np.zeros(2**24, "f4"), compression="gzip"))),
        "more than 100 times as large as the file",
    ),
    "an unusual filter": (
        lambda: h5(lambda f: put(f, lambda p: f.create_dataset(p, data=[1.0], compression="lzf"))),
        "packed by filter",
    ),
    "texts for numbers": (lambda: h5(lambda f: put(f, lambda p: f.__setitem__(p, ["a", "b"]))), "holds object of shape"),
    "whole numbers": (lambda: h5(lambda f: put(f, lambda p: f.__setitem__(p, [1, 2, 3]))), "holds int64 of shape"),
    "no array": (lambda: h5(lambda f: put(f, lambda p: f.__setitem__(p, h5py.Empty("f4")))), "holds float32 of shape None"),
    "another shape": (
        lambda: h5(lambda f: put(f, lambda p: f.__setitem__(p, np.ones(4, "f4")))),
        r"bias has shape \(3,\), but that in the file has \(4,\)",
    ),
    "a missing weight": (lambda: h5(lambda f: put(f, lambda p: None)), "it holds no 'layers/conv2d/vars/1'|too few such weights"),
    "a weight too many": (
        lambda: h5(lambda f: f.__setitem__("layers/x/vars/0", np.ones(3, "f4"))),
        "which no layer of the model has",
    ),
    "units of no memory": (lambda: arguments(units=3_000_000_000), "but the file holds no such weight"),
    "NaN": (lambda: config(lambda c: layer(c, "first")["config"].update(strides=float("nan"))), "strides is nan"),
    "a text for a number": (lambda: arguments(units="2"), "units is '2', expected int"),
    "an unknown argument": (lambda: arguments(code="x"), "Dense has no argument 'code'"),
    "half precision": (lambda: arguments(dtype="mixed_float16"), "dtype is 'mixed_float16', expected float32 or float64"),
    "a name with a slash": (lambda: config(rename), "which cannot stand in a Keras file"),
    "two names": (
        lambda: config(lambda c: layer(c, "out")["config"].update(name="x")),
        "is named 'out', and 'x' in its arguments",
    ),
    "two layers of a name": (
        lambda: config(lambda c: c["config"]["layers"].append(c["config"]["layers"][-1])),
        "two layers are named",
    ),
    "a layer that needs itself": (lambda: node(lambda n: n[0].update(args=[[tensor("sum"), tensor("short")]])), "needs a value"),
    "a value of no layer": (lambda: node(lambda n: n[0].update(args=[[tensor("nobody"), tensor("short")]])), "needs a value"),
    "an output that is not": (lambda: node(lambda n: n[0].update(args=[[tensor("short", 0, 5), tensor("short")]])), "no value 5"),
    "a call of numbers": (lambda: node(lambda n: n[0].update(args=[[1.0, 2.0]])), "is called on no value of the model"),
    "a call of an object": (lambda: node(lambda n: n[0].update(args=[SYSTEM])), "expected a value of a layer"),
    "an input of texts": (
        lambda: config(lambda c: c["config"]["layers"][0]["config"].update(dtype="object")),
        "dtype of an input",
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_in_one_line_that_says_why(name, tmp_path):
    make, said = ATTACKS[name]
    path = tmp_path / "attack.keras"
    path.write_bytes(make())
    valid("residual", "keras")
    tracemalloc.start()
    try:
        with harmless(path):
            if said is None:
                load_model(path)  # what is not read does no harm
            else:
                with pytest.raises(ValueError, match=said) as caught:
                    load_model(path)
                assert str(caught.value).startswith(f"{path} cannot be loaded: ") and "\n" not in str(caught.value)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < MOST


def test_weights_that_do_not_fit_change_nothing(tmp_path):
    model, _ = CASES["residual"]()
    (tmp_path / "x.keras").write_bytes(h5(lambda f: put(f, lambda p: f.__setitem__(p, np.ones(4, "f4")))))
    before = [w.data.copy() for w in model.weights]
    with pytest.raises(ValueError, match=r"has shape \(3,\), but that in the file has \(4,\)"):
        model.load_weights(tmp_path / "x.keras")
    assert all(np.array_equal(a, w.data) for a, w in zip(before, model.weights, strict=True))


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    from tinydx.saving import keras

    model, _ = CASES["Dense"]()
    model.save(tmp_path / "x.keras")
    before = (tmp_path / "x.keras").read_bytes()
    monkeypatch.setattr(keras.weights, "tree_of", lambda model: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        model.save(tmp_path / "x.keras")
    assert (tmp_path / "x.keras").read_bytes() == before
