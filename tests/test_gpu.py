"""Training on an emulated GPU: arrays that are not NumPy's (emulated_cupy.py), CUDA kernels in the emulator."""

import copy
import functools
import sys

import numpy as np
import pytest
from training_cases import (
    CLASSES,
    IMAGES,
    MODELS,
    WORDS,
    YES_OR_NO,
    assert_same,
    captured,
    cnn,
    compiled,
    dropping,
    normalized,
    penalised,
    rnn,
    trained,
)

import tinydx
from tinydx import random
from tinydx.device import Packet, RandomArrays, on_device
from tinydx.layers import GRU, LSTM, Activation, Dense, Embedding, Flatten, Layer
from tinydx.losses import BinaryCrossentropy
from tinydx.metrics import Metric
from tinydx.optimizers import SGD, Adam
from tinydx.optimizers.schedules import CosineDecay
from tinydx.training import graph as graphs
from tinydx.training import placement, prefetch
from tinydx_kernels.emulator.build import compiler

try:
    compiler()
except OSError as missing:
    pytest.skip(str(missing), allow_module_level=True)

import emulated_cupy

from tinydx_kernels.cuda import backend


@pytest.fixture(autouse=True)
def device(monkeypatch):
    """A GPU, as far as tinydx can tell."""
    monkeypatch.setitem(sys.modules, "cupy", emulated_cupy)
    for module, name in ((placement, "stream"), (prefetch, "_of_thread"), (backend, "_gpu_module")):
        monkeypatch.setattr(module, name, functools.cache(getattr(module, name).__wrapped__))  # nothing of other tests
    emulated_cupy.reads.clear()
    emulated_cupy.launches.clear()
    emulated_cupy.waits.clear()
    return emulated_cupy


# ---- what is computed ------------------------------------------------------------------------------------------------


def trained_and_counted(make, graph, device):
    """`trained` on the GPU: each step reads once, and all arrays stay there."""
    model, x, y = compiled(make)
    losses = []
    with tinydx.use("cuda", graph=graph):
        for k in range(3):
            losses.append(model.train_on_batch(x, y))
            assert len(device.reads) == k + 1
    assert all(on_device(w.data) for w in model.weights)
    assert all(on_device(slot) for slots in model.optimizer.slots for slot in slots)
    assert captured(model) == [graph]
    weights = model.get_weights()
    device.reads.clear()
    return losses, weights


@pytest.mark.parametrize("make", MODELS)
def test_steps_are_those_of_numpy_and_read_once_and_replayed_give_the_same_bits(make, device):
    eager, replayed = (trained_and_counted(make, graph, device) for graph in (False, True))
    assert_same(eager, trained(make, "numpy"))
    assert eager[0] == replayed[0]
    for a, b in zip(eager[1], replayed[1], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("settings", [{"clipnorm": 0.01}, {"global_clipnorm": 0.01}, {"clipvalue": 0.001}, {"weight_decay": 0.1}])
def test_limits_of_gradients_and_decay(settings):
    ours, wanted = (trained(cnn, name, optimizer=Adam(**settings)) for name in ("cuda", "numpy"))
    assert_same(ours, wanted)


SCHEDULE = CosineDecay(0.01, 4, warmup_target=0.1, warmup_steps=2)
AVERAGING = SGD(SCHEDULE, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2)


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adagrad", SGD(0.1, momentum=0.9), AVERAGING])
def test_other_optimizers(optimizer):
    ours, wanted = (trained(cnn, name, optimizer=copy.deepcopy(optimizer)) for name in ("cuda", "numpy"))
    assert_same(ours, wanted)


@pytest.mark.parametrize("loss", ["mean_squared_error", "mae", "huber"])
def test_losses_without_a_kernel_run_by_dispatch(loss):
    assert_same(trained(cnn, "cuda", loss=loss), trained(cnn, "numpy", loss=loss))


def test_a_schedule_and_averages_in_a_captured_step():
    """The update runs outside of the graph: each step has its own rate, and averages overwrite the weights in place."""
    ends = []
    for graph in (False, True):
        model, x, y = compiled(penalised, optimizer=copy.deepcopy(AVERAGING))
        with tinydx.use("cuda", graph=graph):
            model.fit(x, y, batch_size=4, epochs=5, shuffle=False, verbose=0)
        assert captured(model) == [graph]
        ends.append(model.get_weights())
    model, x, y = compiled(penalised, optimizer=copy.deepcopy(AVERAGING))
    with tinydx.use("numpy"):
        model.fit(x, y, batch_size=4, epochs=5, shuffle=False, verbose=0)
    for eager, replayed, wanted in zip(*ends, model.get_weights(), strict=True):
        np.testing.assert_array_equal(eager, replayed)
        np.testing.assert_allclose(eager, wanted, rtol=1e-4, atol=1e-5)


# ---- transfers between CPU and GPU ------------------------------------------------------------------------------------


def test_a_hidden_read_is_seen(device, monkeypatch):
    """Planted: a loss that looks at its labels."""
    compare = BinaryCrossentropy.compare
    reading = lambda self, t, *rest, **named: float(t.sum()) and compare(self, t, *rest, **named)  # noqa: E731
    monkeypatch.setattr(BinaryCrossentropy, "compare", reading)
    model, x, y = compiled(cnn)
    with tinydx.use("cuda", graph=False):
        model.train_on_batch(x, y)
        device.reads.clear()
        model.train_on_batch(x, y)
    assert len(device.reads) == 2


def test_numpy_is_refused():
    """Planted: a NumPy array in the middle of the step."""
    layers, *rest = cnn()
    add_noise = Activation(lambda t: t + np.ones(t.shape, np.float32))
    model, x, y = compiled(lambda: ([layers[0], add_noise, *layers[1:]], *rest))
    with tinydx.use("cuda"), pytest.raises(TypeError, match="Unsupported type"):
        model.train_on_batch(x, y)


def test_arrays_on_the_gpu_need_no_use(device):
    model, x, y = compiled(cnn)
    there = [model.train_on_batch(device.asarray(x), device.asarray(y)) for _ in range(3)]
    assert len(device.reads) == 3
    assert_same((there, model.get_weights()), trained(cnn, "numpy", steps=3))


def test_fit_evaluate_predict_save(tmp_path, device):
    results = {}
    for backend_name in ("numpy", "cuda"):
        model, x, y = compiled(cnn)
        with tinydx.use(backend_name):
            history = model.fit(x, y, batch_size=3, epochs=2, validation_data=(x, y), verbose=0).history
            results[backend_name] = history, model.evaluate(x, y, verbose=0), model.predict(x)
    for name, values in results["numpy"][0].items():
        np.testing.assert_allclose(results["cuda"][0][name], values, rtol=1e-4, atol=1e-6)
    for ours, wanted in zip(results["cuda"][1:], results["numpy"][1:], strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-4)
    model.save(tmp_path / "model.tinydx")
    loaded = tinydx.models.load_model(tmp_path / "model.tinydx")
    with tinydx.use("numpy"):
        np.testing.assert_allclose(loaded.predict(x), results["cuda"][2], rtol=1e-5)
    with tinydx.use("cuda"):
        loaded.train_on_batch(x, y)  # the optimizer's memory moves, too
    with tinydx.use("numpy"):
        loaded.train_on_batch(x, y)  # and moves back
    assert not any(on_device(w.data) for w in loaded.weights)


def test_a_resumed_run_gives_the_same_weights(tmp_path):
    def run(epochs):
        model, x, y = compiled(dropping)
        with tinydx.use("cuda"):
            for n in epochs:
                model.fit(x, y, batch_size=2, epochs=n, verbose=0, resume=tmp_path / f"run{len(epochs)}")
        return model.get_weights()

    for a, b in zip(run([4]), run([2, 4]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_next_batch_is_fetched_and_sent_while_a_step_runs(monkeypatch):
    """Between the launches of a step and its read; the last of an epoch leaves the next epoch's batches alone."""
    events = []
    for thing, name in ((graphs.GraphStep, "run"), (prefetch.Prefetcher, "send"), (Packet, "read")):
        original = getattr(thing, name)
        noted = lambda *a, original=original, name=name: (events.append(name), original(*a))[1]  # noqa: E731
        monkeypatch.setattr(thing, name, noted)
    model, x, y = compiled(dropping, metrics=[])
    with tinydx.use("cuda"):
        model.fit(x, y, batch_size=2, epochs=2, verbose=0)
    assert events == ["run", "send", "read", "run", "read", "read"] * 2  # the last read of an epoch: are the weights finite?
    assert any(here is not None for here, *_ in prefetch.prefetcher().sent)


def test_an_error_in_the_next_batch_comes_in_its_turn():
    def batches():
        yield IMAGES, YES_OR_NO
        raise OSError("the second batch cannot be read")

    model, *_ = compiled(dropping)
    with tinydx.use("cuda"), pytest.raises(OSError, match="second batch"):
        model.fit(batches(), steps_per_epoch=2, epochs=1, verbose=0)
    assert model.optimizer.iterations == 1


@pytest.mark.parametrize("work", ["train_on_batch", "test_on_batch", "predict_on_batch"])
def test_the_callers_stream_and_ours_wait_for_each_other(work, device):
    """Arrays that the caller's stream computes are complete before we read them, and ours before it reads them."""
    model, x, y = compiled(cnn, metrics=[])
    batch = (device.asarray(x), device.asarray(y))[: 1 if work == "predict_on_batch" else 2]
    with device.Stream() as caller:
        getattr(model, work)(*batch)
    ours = placement.stream()
    assert device.waits == [(ours, caller), (caller, ours)] and ours.non_blocking


# ---- what must not reach the weights -----------------------------------------------------------------------------------


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("make", [cnn, normalized])
def test_a_loss_that_is_not_finite_changes_nothing(make, graph):
    model, x, y = compiled(make, loss="mean_squared_error")
    with tinydx.use("cuda", graph=graph):
        for _ in range(3):
            model.train_on_batch(x, y)
        before = model.get_weights(), model.optimizer.iterations
        with pytest.raises(FloatingPointError, match="loss is nan in this batch; no weight was changed"):
            model.train_on_batch(x, y * np.nan)
        for a, b in zip(model.get_weights(), before[0], strict=True):
            np.testing.assert_array_equal(a, b)
        assert model.optimizer.iterations == before[1]
        assert np.isfinite(model.train_on_batch(x, y)).all()


@pytest.mark.parametrize("graph", [False, True])
def test_a_gradient_that_is_not_finite_changes_nothing(graph):
    model, x, y = compiled(cnn, loss="mean_squared_error", optimizer="sgd")
    model.layers[-1].activation = None
    with tinydx.use("cuda", graph=graph):
        for _ in range(3):
            model.train_on_batch(x, y)
        before = model.get_weights()
        with pytest.raises(FloatingPointError, match=r"gradient of .* is not finite in this batch"):
            model.train_on_batch(x * np.float32(1e19), y)
        for a, b in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(a, b)


def test_numbers_on_the_gpu_are_checked_there(device):
    for make, x, y in (
        (cnn, IMAGES * np.nan, YES_OR_NO),
        (rnn, WORDS + 5, CLASSES),  # the table has 9 rows
        (rnn, WORDS, CLASSES + 1),  # there are 3 classes
    ):
        model, *_ = compiled(make)
        with tinydx.use("numpy"):
            model.predict(make()[2])  # builds it
        with pytest.raises((FloatingPointError, ValueError), match=r"loss is nan|the input has NaN"):
            model.train_on_batch(device.asarray(x), device.asarray(y))


def test_labels_from_here_are_checked_in_every_step():
    model, x, y = compiled(rnn)
    with tinydx.use("cuda"):
        for _ in range(3):
            model.train_on_batch(x, y)
        with pytest.raises(ValueError, match="labels reach from 1 to 3, expected whole numbers 0 to 2"):
            model.train_on_batch(x, y + 1)


class Refusing(Metric):
    """A metric that accepts no labels."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        raise ValueError("labels refused")

    def result(self):
        return 0.0

    def reset_state(self):
        pass


@pytest.mark.parametrize("name", ["numpy", "cuda"])
def test_an_error_of_a_metric_changes_nothing(name):
    model, x, y = compiled(normalized, metrics=[Refusing()])
    with tinydx.use(name):
        model.predict(x)
        before = model.get_weights()
        with pytest.raises(ValueError, match="labels refused"):
            model.train_on_batch(x, y)
    assert model.optimizer.iterations == 0
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


# ---- graphs ------------------------------------------------------------------------------------------------------------


def test_the_second_step_of_a_shape_is_captured(device):
    model, x, y = compiled(cnn)
    with tinydx.use("cuda"):
        model.train_on_batch(x, y)
        assert captured(model) == [False]
        model.train_on_batch(x, y)
        assert captured(model) == [True]
        device.launches.clear()
        model.train_on_batch(x, y)
        assert set(device.launches) == {"adam"}  # all others are in the graph
        for _ in range(2):
            model.train_on_batch(x[:3], y[:3])
        assert captured(model) == [True, True]
        model.set_weights([w * 0 for w in model.get_weights()])  # new arrays: the graphs know the old ones
        assert model.train_on_batch(x, y)[0] == pytest.approx(np.log(2))
        assert captured(model) == [True, False]


@pytest.mark.parametrize(
    ("make", "bug"),
    [
        (dropping, lambda patch: patch.setattr(graphs, "fill", lambda array, values: None)),  # always the first batch
        (dropping, lambda patch: patch.setattr(RandomArrays, "redraw", lambda self: None)),  # always the first masks
        (dropping, lambda patch: patch.setattr(Adam, "iterations", property(lambda a: 1, lambda a, n: None), raising=False)),
        (normalized, lambda patch: patch.setattr(graphs.GraphStep, "keep_statistics", lambda self: None)),
    ],
    ids=["batch", "masks", "step of Adam", "statistics"],
)
def test_a_graph_with_something_frozen_is_seen(make, bug, monkeypatch):
    """Planted: what must change from step to step does not."""

    def run(graph):
        model, x, y = compiled(make)
        with tinydx.use("cuda", graph=graph):
            for k in range(4):
                model.train_on_batch(x * np.float32(1 + k), y)
        return model.get_weights()

    right = run(graph=False)
    for a, b in zip(right, run(graph=True), strict=True):
        np.testing.assert_array_equal(a, b)
    bug(monkeypatch)
    assert any((a != b).any() for a, b in zip(right, run(graph=True), strict=True))


class Curious(Layer):
    """Reads a number in the middle of its step, which no capture allows."""

    def call(self, x, training=False):
        return x * float(x.data.max())


class Gambler(Layer):
    """Draws its own random numbers, which a graph would repeat."""

    def call(self, x, training=False):
        return x * float(random.generator().random())


@pytest.mark.parametrize("layer", [LSTM, functools.partial(GRU, reset_after=False)])
def test_long_sequences_are_captured(layer):
    """CuPy joins more than eight arrays in a way that no graph can repeat."""

    def make():
        words = np.random.default_rng(0).integers(0, 9, (2, 10))
        return [Embedding(9, 3), layer(2), Dense(3, activation="softmax")], "sparse_categorical_crossentropy", words, CLASSES[:2]

    model, x, y = compiled(make)
    with tinydx.use("cuda"):
        for _ in range(2):
            model.train_on_batch(x, y)
    assert captured(model) == [True]


@pytest.mark.parametrize(("layer", "reason"), [(Curious, "capturing"), (Gambler, "draws random numbers")])
def test_what_cannot_be_captured_runs_launch_by_launch(layer, reason):
    def make():
        return [Flatten(), layer(), Dense(1, activation="sigmoid")], "binary_crossentropy", IMAGES, YES_OR_NO

    with pytest.warns(UserWarning, match=f"no CUDA graph of its step, it runs launch by launch: .*{reason}"):
        ours = trained(make, "cuda", graph=True)
    assert_same(ours, trained(make, "numpy"))


# ---- without a GPU -----------------------------------------------------------------------------------------------------


def test_use_cuda_without_a_driver_says_what_to_do(monkeypatch, device):
    def none():
        raise RuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient")

    monkeypatch.setattr(device.cuda.runtime, "getDeviceCount", none)
    with pytest.raises(ImportError, match=r"no GPU can be used \(cudaErrorInsufficientDriver.*\); install NVIDIA's driver"):
        tinydx.use("cuda")
