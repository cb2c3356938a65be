"""Weights of 16 and 8 bits: the rounding, and models whose Dense kernels are stored so, wherever a model goes."""

import copy
import functools
import pickle
import sys

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from small import dense_model, same_weights, two_classes
from test_personalising import HOW, NAMES, image_model, own_pictures
from test_predicting import SIZE
from test_saving import rewritten

import tinydx
from tinydx import cli, explain, losses, ops
from tinydx.diagnosis.quantizing import quantize
from tinydx.layers import LSTM, BatchNormalization, Conv2D, Dense, Embedding, Flatten, Input, TimeDistributed
from tinydx.layers.core import quantizable
from tinydx.layers.quantized import KINDS, QuantizedKernel, quantized_kernels
from tinydx.models import Model, Sequential, load_model
from tinydx.ops.quantized import from_bf16, to_bf16, to_int8
from tinydx.tasks import eightbits
from tinydx.tensor import Tensor

EACH = pytest.mark.parametrize("kind", KINDS)
FINITE = [bits for bits in range(1 << 16) if bits & 0x7F80 != 0x7F80]


def network(activation="relu"):
    """A convolution, batch normalisation and two Dense layers, with weights that training has not made."""
    tinydx.set_seed(0)
    layers = [Conv2D(3, 3, input_shape=(6, 6, 2)), BatchNormalization(), Flatten(), Dense(9, activation=activation), Dense(2)]
    model = Sequential(layers)
    model.compile("adam", losses.MeanSquaredError())
    return model


def images(n=5, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 6, 6, 2)).astype("float32")


def rounded_by_hand(model, kind):
    """A copy in float32 whose Dense kernels hold the rounded numbers: what a quantized model must compute."""
    model = copy.deepcopy(model)
    for layer in quantizable(model):
        layer.kernel.data = QuantizedKernel.of(kind, layer.kernel).data
    return model


# ---- rounding --------------------------------------------------------------------------------------------------------


def test_every_bfloat16_is_its_own_nearest():
    bits = np.array(FINITE, np.uint16)
    np.testing.assert_array_equal(to_bf16(from_bf16(bits)), bits)


def round_by_integers(w):
    """The usual trick, for float32: half of the last place is added, a bit less where the last bit is 0, and the rest is cut."""
    whole = int(np.float32(w).view(np.uint32))
    return (whole + 0x7FFF + (whole >> 16 & 1)) >> 16


@given(st.floats(-(2.0**127), 2.0**127, width=32))
@example(1 + 2**-8)
@example(1 + 3 * 2**-8)
@example(-(2**-126) * 1.5)
@example(2**-149)
@example(-0.0)
def test_bf16_rounds_to_nearest_even(w):
    assert to_bf16(np.array([w], np.float32))[0] == round_by_integers(w)


def test_bf16_rounds_float64_once():
    above_half = 1 + 2**-8 + 2**-40  # as float32 it would be the half, which rounds to 1
    assert from_bf16(to_bf16(np.array([above_half])))[0] == 1 + 2**-7


numbers = st.floats(-(2.0**100), 2.0**100, width=32)
columns = hnp.arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 4)), elements=numbers)


@given(columns)
@example(np.zeros((2, 1), np.float32))
@example(np.array([[1e-45], [3e-40]], np.float32))
@example(np.array([[-127.0, 1.0], [63.5, 0.0]], np.float32))
def test_int8_is_off_by_at_most_half_a_scale(w):
    q, scale = to_int8(w)
    assert q.dtype == np.int8 and scale.dtype == np.float32 and (scale > 0).all() and q.min() > -128
    error = np.abs(w.astype(np.float64) - q * scale.astype(np.float64))
    assert (error <= scale.astype(np.float64) * (0.5 + 1e-5)).all()
    large = np.abs(w).max(axis=0) > 1e-30
    assert (np.abs(q).max(axis=0)[large] == 127).all()
    assert not q[:, ~w.any(axis=0)].any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_are_refused(bad):
    w = np.array([[1.0, bad]])
    for rounding in (to_bf16, to_int8):
        with pytest.raises(ValueError, match="a weight is NaN or infinite"):
            rounding(w)
    with pytest.raises(ValueError, match="beyond the largest bfloat16"):
        to_bf16(np.array([3.4e38], np.float32))


def test_ops_take_only_their_own_bits():
    x = np.ones((1, 2))
    with pytest.raises(ValueError, match="bits are int64, expected uint16"):
        ops.dense_bf16(x, bits=np.ones((2, 1), int))
    with pytest.raises(ValueError, match="q is int64, expected int8"):
        ops.dense_int8(x, q=np.ones((2, 1), int), scale=np.ones(1))
    with pytest.raises(ValueError, match=r"scale has shape \(2,\), expected \(F\)"):
        ops.dense_int8(x, q=np.ones((2, 1), "int8"), scale=np.ones(2))


def test_one_and_two_threads_give_the_same():
    pytest.importorskip("numba", reason="the CPU kernels need numba: pip install numba")
    rng = np.random.default_rng(0)  # whole numbers, whose sums are exact in any order
    x, q, scale = rng.integers(-3, 4, (3, 2101)).astype("float32"), rng.integers(-127, 128, (2101, 96), "int8"), np.full(96, 0.5)
    found = []
    for threads in (1, 2):
        with tinydx.trace() as ran:
            tinydx.set_threads(threads)
            found.append(ops.dense_int8(x, q=q, scale=scale))
        assert ran == [("dense_int8", "numba")]
    tinydx.set_threads(2)
    for y in found:
        np.testing.assert_array_equal(y, x.astype(float) @ (q * scale))


# ---- models ----------------------------------------------------------------------------------------------------------


@EACH
@pytest.mark.parametrize("backend", ["numpy", "auto"])
def test_a_quantized_model_computes_with_the_rounded_kernels(kind, backend):
    model = network()
    x, before = images(), network().predict(images())
    expected = rounded_by_hand(model, kind).predict(x)
    assert model.quantize(kind) is None
    with tinydx.use(backend), tinydx.trace() as ran:
        y = model.predict(x)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, expected, atol=1e-5)
    assert 0 < np.abs(y - before).max() < 0.05
    assert [op for op, _ in ran].count(f"dense_{kind}") == 2 and "dense_relu" not in dict(ran) and "dense" not in dict(ran)


def test_a_model_that_has_run_before_is_not_run_as_it_was():
    model = network()
    model.predict(images())  # lowered: its ReLU is fused into the float kernel
    model.layers[3].set_weights([np.zeros((48, 9)), np.zeros(9)])
    model.quantize("int8")
    with tinydx.trace() as ran:
        model.predict(images())
    assert "dense_relu" not in dict(ran)


@EACH
def test_float64_stays_float64(kind):
    model = Sequential([Dense(3, input_shape=(4,), dtype="float64")])
    model.quantize(kind)
    assert model.predict(np.ones((2, 4))).dtype == np.float64 and model.weights[0].dtype == np.float64


@EACH
def test_counts_stay_and_bytes_fall(kind, capsys):
    model = network()
    count, shapes = model.count_params(), [w.shape for w in model.weights]
    model.quantize(kind)
    assert model.count_params() == count and [w.shape for w in model.weights] == shapes
    model.summary()
    said = capsys.readouterr().out
    floats, weights = 4 * count, 48 * 9 + 9 * 2
    stored = floats - 2 * weights if kind == "bf16" else floats - 3 * weights + 4 * (9 + 2)
    assert f"Stored as {kind}: 2 kernels; {stored:,} bytes of weights instead of {floats:,}" in said
    assert f"(Dense, {kind})" in said and "(Conv2D)" in said


def test_what_stays_float32():
    """Convolutions, embeddings, recurrent layers, biases, and classes that compute something else."""

    class Doubled(Dense):
        def call(self, x):
            return ops.dense(x, self.kernel * 2.0, self.bias)

    layers = [Embedding(7, 4, input_shape=(5,)), TimeDistributed(Dense(3)), LSTM(3), Doubled(4), Dense(2)]
    model = Sequential(layers)
    model.quantize("int8")
    assert [w.shape for w in quantized_kernels(model)] == [(4, 3), (4, 2)]
    assert model.predict(np.ones((2, 5), int)).shape == (2, 2)


def test_shared_layers_and_models_inside_models():
    x = Input((4,))
    shared, inner = Dense(4, activation="tanh"), Sequential([Dense(3, input_shape=(4,))])
    model = Model(x, inner(shared(shared(x))))
    expected = rounded_by_hand(model, "int8").predict(np.ones((2, 4), "float32"))
    model.quantize("int8")
    assert len(quantized_kernels(model)) == 2
    np.testing.assert_allclose(model.predict(np.ones((2, 4), "float32")), expected, atol=1e-6)


def test_what_cannot_be_quantized():
    model = network()
    with pytest.raises(ValueError, match="kind"):
        model.quantize("int4")
    with pytest.raises(ValueError, match="not built yet"):
        Sequential([Dense(2)]).quantize("int8")
    with pytest.raises(ValueError, match="has no Dense layer"):
        Sequential([Conv2D(2, 3, input_shape=(5, 5, 1))]).quantize("int8")
    model.layers[-1].kernel.data[3, 1] = np.nan
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"dense.*/kernel: a weight is NaN or infinite: it cannot be stored as int8"):
        model.quantize("int8")
    assert same_weights(model.get_weights(), before) and not quantized_kernels(model)
    model.layers[-1].kernel.data[3, 1] = 0
    model.quantize("int8")
    with pytest.raises(ValueError, match="is stored as int8 already"):
        model.quantize("bf16")


@EACH
def test_a_quantized_model_does_not_train(kind):
    model = dense_model()
    x, y = two_classes()
    model.fit(x, y, verbose=0)
    loss = model.evaluate(x, y, verbose=0)
    model.quantize(kind)
    before = model.get_weights()
    for train in (model.fit, model.train_on_batch):
        with pytest.raises(ValueError, match=f"stored as {kind} and do not train: train first, quantize afterwards"):
            train(x, y)
    assert same_weights(model.get_weights(), before)
    assert model.evaluate(x, y, verbose=0) == pytest.approx(loss, abs=0.05)
    assert [w.name.split("/")[1] for w in model.trainable_weights] == ["bias", "bias"]


def test_a_regularizer_ends_with_its_kernel():
    model = Sequential([Dense(3, input_shape=(4,), kernel_regularizer="l2")])
    assert len(model.losses) == 1
    model.quantize("int8")
    assert model.losses == []


@EACH
def test_weights_that_are_set_are_rounded_or_refused_as_a_whole(kind):
    model = network()
    model.quantize(kind)
    x = images()
    y, weights = model.predict(x), model.get_weights()
    assert all(w.dtype == np.float32 for w in weights)
    model.set_weights(weights)  # what was rounded is not rounded again
    np.testing.assert_array_equal(model.predict(x), y)
    with pytest.raises(ValueError, match="read-only"):
        model.weights[-2].data[0, 0] = 1
    weights[-2][0, 0] = np.nan
    with pytest.raises(ValueError, match="a weight is NaN"):
        model.set_weights([w + 1 for w in weights])
    np.testing.assert_array_equal(model.predict(x), y)
    model.set_weights([np.full_like(w, 0.3) for w in weights])
    assert len(quantized_kernels(model)) == 2 and np.allclose(model.weights[-2].numpy(), 0.3, rtol=2**-8)


@EACH
def test_gradients_flow_to_the_input(kind):
    model = network("tanh")
    expected = explain.gradient(rounded_by_hand(model, kind), images()).map
    model.quantize(kind)
    np.testing.assert_allclose(explain.gradient(model, images()).map, expected, atol=1e-5)
    x = Tensor(images(), requires_grad=True)
    model(x).sum().backward()
    assert np.abs(x.grad).max() > 0


@EACH
def test_on_a_gpu_the_stored_arrays_move(kind, monkeypatch):
    build = pytest.importorskip("tinydx_kernels.emulator.build")
    try:
        build.compiler()
    except OSError as missing:
        pytest.skip(str(missing))
    import emulated_cupy

    from tinydx.device import on_device
    from tinydx.training import placement

    monkeypatch.setitem(sys.modules, "cupy", emulated_cupy)
    monkeypatch.setattr(placement, "stream", functools.cache(placement.stream.__wrapped__))
    model = Sequential([Dense(3, input_shape=(4,)), Dense(2)])
    model.quantize(kind)
    x = np.random.default_rng(0).normal(size=(2, 4)).astype("float32")
    y = model.predict(x)
    with tinydx.use("cuda"):
        np.testing.assert_allclose(model.predict(x), y, atol=1e-6)
    assert all(on_device(a) for w in quantized_kernels(model) for a in w.stored.values())
    with tinydx.use("numba"):
        np.testing.assert_allclose(model.predict(x), y, atol=1e-6)
    assert not any(on_device(a) for w in quantized_kernels(model) for a in w.stored.values())


# ---- files and copies ------------------------------------------------------------------------------------------------


@EACH
def test_copies_and_files_hold_the_same_bits(kind, tmp_path):
    model = network()
    model.quantize(kind)
    x, y, path = images(), model.predict(images()), tmp_path / "model.safetensors"
    model.save(path)
    loaded = load_model(path)
    for other in (loaded, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(other.predict(x), y)
        for a, b in zip(quantized_kernels(model), quantized_kernels(other), strict=True):
            assert a.kind == b.kind and a.name == b.name and a is not b
            assert all(p.tobytes() == q.tobytes() for p, q in zip(a.stored.values(), b.stored.values(), strict=True))
    targets = np.zeros((5, 2), "float32")
    assert loaded.evaluate(x, targets, verbose=0) == model.evaluate(x, targets, verbose=0)
    with pytest.raises(ValueError, match="do not train"):
        loaded.fit(x, targets)


def test_a_file_is_smaller_and_is_a_plain_safetensors_file(tmp_path):
    from safetensors.numpy import load_file

    sizes = {}
    for kind in (None, *KINDS):
        model = Sequential([Dense(100, input_shape=(100,))])
        if kind:
            model.quantize(kind)
        model.save(path := tmp_path / f"{kind}.safetensors")
        sizes[kind] = path.stat().st_size
        arrays = load_file(path)
        assert (
            sorted({a.dtype.name for a in arrays.values()} - {"float32"})
            == {None: [], "bf16": ["uint16"], "int8": ["int8"]}[kind]
        )
    assert sizes[None] > 40_000 > 24_000 > sizes["bf16"] > 20_000 > 14_000 > sizes["int8"]


def change_scale(value):
    def change(header, arrays):
        name = next(k for k in arrays if k.startswith("scales/"))
        arrays[name] = value(arrays[name])

    return change


def stored(arrays, dtype="int8"):
    return next(k for k in arrays if arrays[k].dtype == dtype)


def put_in_the_place_of_a_bias(header, arrays):
    name = next(k for k in arrays if k.startswith("weights/00001"))
    arrays[name] = arrays[name].astype("int8")


DAMAGES = {
    "no scale": (lambda h, a: a.pop(next(k for k in a if k.startswith("scales/"))), "is missing, expected the scale"),
    "a scale of 0": (change_scale(lambda s: s * 0), "its scale is damaged"),
    "a negative scale": (change_scale(lambda s: -s), "its scale is damaged"),
    "NaN as a scale": (change_scale(lambda s: s * np.float32(np.nan)), "its scale is damaged"),
    "too few scales": (change_scale(lambda s: s[:-1]), "expected the scale of each of 6 columns"),
    "whole scales": (change_scale(lambda s: np.ones(s.shape, "int32")), "expected the scale of each"),
    "-128": (lambda h, a: a[stored(a)].__setitem__((0, 0), -128), "expected -127 to 127"),
    "a scale too many": (
        lambda h, a: a.update({"scales/00001/dense/bias": np.ones(6, "float32")}),
        "scale of no weight of 8 bits",
    ),
    "transposed": (lambda h, a: a.update({k: v.T.copy() for k, v in a.items() if v.dtype == "int8"}), "cannot be loaded"),
    "int8 as a bias": (put_in_the_place_of_a_bias, "expected a kernel"),
    "other integers": (lambda h, a: a.update({stored(a): a[stored(a)].astype("int16")}), "int16, expected float"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_files_are_refused(damage, tmp_path):
    change, message = DAMAGES[damage]
    model, path = dense_model(), tmp_path / "model.safetensors"
    model.quantize("int8")
    model.save(path)

    def writable(header, arrays):
        arrays |= {k: v.copy() for k, v in arrays.items()}
        change(header, arrays)

    rewritten(path, writable)
    with pytest.raises(ValueError, match=message) as error:
        load_model(path)
    assert "\n" not in str(error.value)


def test_kernels_of_other_layers_and_infinite_ones_are_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    model = Sequential([LSTM(3, input_shape=(4, 2))])
    model.save(path)
    name = "weights/00000/" + model.weights[0].name
    rewritten(path, lambda h, a: a.update({name: to_bf16(a[name])}))
    with pytest.raises(ValueError, match=r"is quantized, but .*kernel .* is no such kernel"):
        load_model(path)
    dense_model().save(path)
    rewritten(path, lambda h, a: a.update({k: np.full(v.shape, 0x7F80, "uint16") for k, v in a.items() if k.endswith("kernel")}))
    with pytest.raises(ValueError, match="NaN or infinite"):
        load_model(path)


def test_a_run_with_quantized_kernels_is_refused(tmp_path):
    path, (x, y) = tmp_path / "run.safetensors", two_classes()
    dense_model().fit(x, y, verbose=0, resume=path)
    rewritten(path, lambda h, a: a.update({k: to_bf16(v) for k, v in a.items() if k.startswith("weights/") and v.ndim == 2}))
    with pytest.raises(ValueError, match="quantized kernels, which no training has"):
        dense_model().fit(x, y, epochs=2, verbose=0, resume=path)


@EACH
def test_keras_gets_floats(kind, tmp_path):
    pytest.importorskip("h5py", reason="Keras's files need h5py: pip install h5py")
    model = network()
    model.quantize(kind)
    model.save(path := tmp_path / "model.keras")
    floats = load_model(path)
    assert not quantized_kernels(floats)
    np.testing.assert_allclose(floats.predict(images()), model.predict(images()), atol=1e-5)


# ---- commands --------------------------------------------------------------------------------------------------------


@EACH
def test_the_command_and_what_takes_its_file(kind, tmp_path, capsys):
    own_pictures(tmp_path / "anna")
    model, small = tmp_path / "model.safetensors", tmp_path / "small.safetensors"
    tinydx.set_seed(0)
    image_model().save(model)
    assert cli.main(["quantize", str(model), "--to", kind, "--output", str(small)]) == 0
    said = capsys.readouterr().out
    assert f"2 Dense kernels, 98% of the bytes, are now {kind}" in said and "hardly smaller" not in said
    answers = []
    for path in (model, small):
        assert cli.main(["predict", str(path), str(tmp_path / "anna" / "ill")]) == 0
        answers.append([line.split("\t") for line in capsys.readouterr().out.splitlines()])
    assert [a[:2] for a in answers[0]] == [a[:2] for a in answers[1]] and len(answers[0]) == 3
    assert all(abs(float(a[2]) - float(b[2])) < 0.02 for a, b in zip(*answers, strict=True))
    page = ["--method", "gradient", "--output", str(tmp_path / "page.png")]
    assert cli.main(["explain", str(small), str(tmp_path / "anna" / "ill" / "0.png"), *page]) == 0
    assert cli.main(["evaluate", str(small), str(tmp_path / "anna")]) == 0
    capsys.readouterr()
    trains = ["personalise", str(small), str(tmp_path / "anna"), "--output", str(tmp_path / "anna.safetensors")]
    starts = ["diagnose", "--data", str(tmp_path / "anna"), "--from", str(small), "--output", str(tmp_path / "out")]
    for command in (trains, starts):
        assert cli.main(command) == 1
        refused = capsys.readouterr().err.strip().splitlines()
        assert len(refused) == 1 and f"small.safetensors holds kernels that are stored as {kind} and do not train" in refused[0]
    assert not (tmp_path / "anna.safetensors").exists()


def test_the_command_refuses_what_it_would_overwrite_and_says_where_little_is_gained(tmp_path):
    model, said = tmp_path / "model.safetensors", []
    for output, message in ((model, "is the model itself"), (tmp_path / "x.keras", "ends in .safetensors")):
        image_model().save(model)
        with pytest.raises(ValueError, match=message):
            quantize(str(model), str(output))
    layers = [Conv2D(30, 3, input_shape=(SIZE, SIZE, 3)), Flatten(), Dense(1, activation="sigmoid")]
    convolution = Sequential([layers[0], Conv2D(30, 3, strides=(5, 5)), *layers[1:]])
    convolution.class_names, convolution.preprocessing = NAMES, HOW
    convolution.save(model)
    quantize(str(model), str(tmp_path / "small.safetensors"), say=said.append)
    assert "hardly smaller, and not faster" in said[1]
    assert load_model(tmp_path / "small.safetensors").class_names == NAMES


def test_the_task_compares_each_kind_with_float32(tmp_path, capsys):
    rng = np.random.default_rng(0)
    labels = np.arange(24) % 2
    pictures = (rng.integers(0, 120, (24, 28, 28)) + 100 * labels[:, None, None]).astype(np.uint8)
    arrays = {f"{part}_images": pictures for part in ("train", "val")} | {f"{part}_labels": labels for part in ("train", "val")}
    np.savez(tmp_path / "pneumoniamnist.npz", **arrays)
    options = ["--size", "28", "--epochs", "1", "--seeds", "0", "1", "--rounds", "1"]
    found = eightbits.main(["--data", str(tmp_path / "pneumoniamnist.npz"), *options])
    said = capsys.readouterr().out
    assert len(found) == 2 and found[0].compared["int8"].images == 24 and found[0].compared["int8"].all_images == 48
    assert found[0].bytes["bf16"] < found[0].bytes["float32"] and set(found[0].times) == {
        (w, n) for w in ("model", "dense") for n in (1, 32)
    }
    assert said.count("the same class on") == 5 and "float32 of seed 1 beside seed 0" in said


def test_the_gap_of_a_model_and_itself_is_none():
    y, p = np.arange(40) % 2, np.random.default_rng(0).random(40)
    assert eightbits.gap_of(y, p, p) == (0, 0, 0)
    gap, low, high = eightbits.gap_of(y, p, y + p / 10)
    assert gap < 0 and low < gap < high < 0
    same = eightbits.compare((p, p), (1 - p, np.where(p > 0.5, p, 0.2)), y)
    assert (same.same, same.images, same.all_images) == (40, 40, 80) and same.same_of_all == 40
