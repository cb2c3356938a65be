"""Several threads at once: none changes what another computes, and nothing stays set after an error.

The interpreter switches threads after every microsecond here, so that a switch that belongs to the whole process is seen.
"""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from small import dense_model, noisy_model, same_weights, two_classes

import tinydx
from tinydx import dispatch, no_grad, ops, random
from tinydx.device import RandomArrays, collecting
from tinydx.layers import BatchNormalization, Conv2D, Dense, Dropout, Flatten, Layer, MaxPooling2D
from tinydx.models import Sequential


@pytest.fixture(autouse=True)
def frequent_switches():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def in_thread(function):
    """function() computed in a new thread; its error is raised here."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


class meanwhile:
    """Context in which function() is called again and again in another thread, at least once; its error is raised at the end."""

    def __init__(self, function):
        self.function, self.stop, self.ran = function, threading.Event(), threading.Event()

    def _repeat(self):
        while not self.stop.is_set():
            self.function()
            self.ran.set()

    def __enter__(self):
        self.pool = ThreadPoolExecutor(1)
        self.future = self.pool.submit(self._repeat)
        while not (self.ran.wait(0.01) or self.future.done()):
            pass

    def __exit__(self, *exc):
        self.stop.set()
        self.pool.shutdown()
        self.future.result()


# ---- training, recording -----------------------------------------------------------------------------------------------


class Telling(Layer):
    """Notes whether its call is one of training."""

    def call(self, x, training=False):
        self.seen.append(training)
        return x


def test_a_prediction_is_the_same_while_another_model_trains():
    x, y = two_classes()
    calm, busy = noisy_model(), noisy_model()
    busy.fit(x, y, epochs=1, verbose=0)
    alone = calm.predict(x)
    with meanwhile(lambda: busy.fit(x, y, epochs=2, verbose=0)):
        assert all(calm.predict(x).tobytes() == alone.tobytes() for _ in range(50))


def test_training_and_recording_belong_to_their_thread():
    inside, go_on = threading.Event(), threading.Event()

    class Waiting(Layer):
        def call(self, x, training=False):
            inside.set()
            go_on.wait(10)
            return x

    seen = Telling()
    seen.seen = []
    x = np.ones((1, 2), "float32")
    with ThreadPoolExecutor(1) as pool:
        with no_grad():
            running = pool.submit(Waiting(), x, True)
            inside.wait(10)
            seen(x)
            assert not ops.relu(tinydx.Tensor(x, requires_grad=True)).requires_grad
            assert pool  # the other thread is still inside of its training call
        go_on.set()
        running.result()
    assert seen.seen == [False]
    assert in_thread(lambda: ops.relu(tinydx.Tensor(x, requires_grad=True)).requires_grad)


def test_blocks_of_two_threads_may_overlap():
    """no_grad that begins first and ends last, or first, leaves recording on: flags were restored in the wrong order."""
    entered, left = threading.Event(), threading.Event()

    def other():
        with no_grad():
            entered.set()
            left.wait(10)

    with ThreadPoolExecutor(1) as pool:
        with no_grad():
            future = pool.submit(other)
            entered.wait(10)
        assert ops.relu(tinydx.Tensor([1.0], requires_grad=True)).requires_grad, "while the other block is still open"
        left.set()
        future.result()
    assert ops.relu(tinydx.Tensor([1.0], requires_grad=True)).requires_grad


def test_an_error_leaves_no_flag_set():
    class Failing(Layer):
        def call(self, x, training=False):
            raise ArithmeticError

    told = Telling()
    told.seen = []
    x = np.ones((1, 2), "float32")
    with pytest.raises(ArithmeticError), tinydx.use("numpy"), no_grad(), collecting(RandomArrays()), tinydx.trace():
        Failing()(x, training=True)
    told(x)
    assert told.seen == [False]
    assert ops.relu(tinydx.Tensor(x, requires_grad=True)).requires_grad
    assert dispatch._chosen() == dispatch._Choice() and dispatch._trace.get() is None


# ---- the choice of implementation ------------------------------------------------------------------------------------------


@pytest.fixture
def chosen(monkeypatch):
    """chosen() is the backend that exp runs on; it has a kernel in the backend "numba"."""
    monkeypatch.setattr(ops.exp, "kernels", {"numba": dispatch.Implementation("numba", ops.exp.forward, ops.exp.backward)})
    monkeypatch.setitem(dispatch._loaded, "numba", None)

    def run():
        with tinydx.trace() as ran:
            ops.exp(np.ones(2))
        return ran[0][1]

    return run


def test_a_block_holds_in_its_thread_only(chosen):
    def block():
        with tinydx.use("numpy"):
            assert chosen() == "numpy"

    with meanwhile(block):
        assert {in_thread(chosen) for _ in range(100)} == {chosen() for _ in range(500)} == {"numba"}


def test_the_main_threads_choice_holds_for_threads_that_have_none(chosen):
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(chosen).result() == "numba"
        tinydx.use("numpy")
        assert chosen() == in_thread(chosen) == pool.submit(chosen).result() == "numpy"


def test_another_threads_choice_is_its_own(chosen):
    def choose():
        tinydx.use("numpy")
        return chosen()

    assert (in_thread(choose), chosen(), in_thread(chosen)) == ("numpy", "numba", "numba")


def test_a_choice_inside_a_block_ends_with_it(chosen):
    with tinydx.use("numba"):
        tinydx.use("numpy")
        assert (chosen(), in_thread(chosen)) == ("numpy", "numba")
    assert (chosen(), in_thread(chosen)) == ("numba", "numba")


def test_a_refused_choice_changes_nothing(chosen):
    with pytest.raises(ValueError, match="no such backend"):
        tinydx.use("tpu")
    assert chosen() == in_thread(chosen) == "numba"


def test_trace_lists_the_ops_of_its_thread(chosen):
    with meanwhile(lambda: ops.relu(np.ones(2))), tinydx.trace() as ran:
        for _ in range(200):
            ops.exp(np.ones(2))
    assert ran == [("exp", "numba")] * 200


# ---- random numbers, number of threads ---------------------------------------------------------------------------------------


def trained(seed):
    """A model of that seed, trained in this thread."""
    tinydx.set_seed(seed)
    x, y = two_classes()
    model = noisy_model()
    model.fit(x, y, epochs=3, verbose=0)
    return model


def test_models_trained_at_the_same_time_are_those_trained_alone():
    alone = [in_thread(lambda s=seed: trained(s)) for seed in (1, 2, 3)]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(trained, (1, 2, 3)))
    assert all(same_weights(a, b) for a, b in zip(alone, together, strict=True))
    assert same_weights(alone[0], trained(1)), "the main thread's generator draws the same numbers"


def test_a_threads_seed_is_its_own():
    tinydx.set_seed(7)
    expected = np.random.default_rng(7).random(2)
    first = random.generator().random()
    in_thread(lambda: tinydx.set_seed(7))
    assert (first, random.generator().random()) == tuple(expected)
    tinydx.set_seed(7)
    assert in_thread(lambda: random.generator().random()) == first, "a thread without a seed draws from the main thread's"


def test_the_number_of_threads_holds_for_new_threads_too():
    most = tinydx.threads._most_threads()
    before = tinydx.get_threads()
    try:
        for n in {1, most}:
            tinydx.set_threads(n)
            assert tinydx.get_threads() == in_thread(tinydx.get_threads) == n
        in_thread(lambda: tinydx.set_threads(1))
        assert tinydx.get_threads() == in_thread(tinydx.get_threads) == n
    finally:
        tinydx.set_threads(before)


# ---- one model in two threads --------------------------------------------------------------------------------------------------


def convolutional():
    layers = [Conv2D(8, 3, activation="relu", input_shape=(16, 16, 3)), MaxPooling2D(2), BatchNormalization(), Flatten()]
    return Sequential([*layers, Dense(16, activation="relu"), Dropout(0.5), Dense(2, activation="softmax")])


def test_threads_may_predict_on_one_model():
    model = convolutional()
    inputs = [np.random.default_rng(i).normal(size=(n, 16, 16, 3)).astype("float32") for i, n in enumerate((3, 8, 33, 70))]
    alone = [model.predict(x).tobytes() for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            assert [y.tobytes() for y in pool.map(model.predict, inputs)] == alone


def test_threads_may_name_classes_and_leave_the_warning_filters_alone():
    import warnings

    x, _ = two_classes()
    model = dense_model()
    model.class_names = ["abnormal", "normal"]
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        assert len({tuple(names) for names in pool.map(model.predict_classes, [x] * 40)}) == 1
    assert warnings.filters == before
