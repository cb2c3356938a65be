"""Models in several processes: they pickle and copy whole, and a forked process computes instead of being killed.

What has to run in a process of its own is a short program here; it prints what it found.
"""

import copy
import inspect
import multiprocessing
import os
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from small import EXAMPLES, dense_model, input_of, layer_of, noisy_model, same_weights, two_classes

import tinydx
from tinydx import dispatch, losses, metrics, ops, optimizers
from tinydx.layers import LSTM, Add, Bidirectional, Dense, Dropout, Embedding, Input
from tinydx.models import Model, Sequential
from tinydx.preprocessing.image import ImageDataGenerator

ROOT = Path(__file__).parents[1]
COPIES = {"pickle": lambda thing: pickle.loads(pickle.dumps(thing)), "deepcopy": copy.deepcopy}
both_copies = pytest.mark.parametrize("again", COPIES.values(), ids=COPIES)


# ---- pickle and copy -----------------------------------------------------------------------------------------------------


@both_copies
@pytest.mark.parametrize("kind", EXAMPLES)
def test_layers_are_copied_whole(kind, again):
    layer, x = layer_of(kind), input_of(kind)
    fresh = again(layer)  # before it is built
    y = layer(x)
    tinydx.set_seed(0)
    other = again(layer)
    assert type(other) is type(layer) and repr(other) == repr(layer) and same_weights(other, layer)
    assert not {id(w) for w in other.weights} & {id(w) for w in layer.weights}
    one, two = (v if isinstance(v, list) else [v] for v in (y, other(x)))
    assert all(a.numpy().tobytes() == b.numpy().tobytes() for a, b in zip(one, two, strict=True))
    assert [w.shape for w in _built(fresh, x).weights] == [w.shape for w in layer.weights]


def _built(layer, x):
    layer(x)
    return layer


@both_copies
@pytest.mark.parametrize("model", [dense_model, noisy_model])
def test_a_copy_continues_as_the_model_itself(model, again):
    x, y = two_classes()
    one = model()
    one.layers[0].trainable = False
    one.fit(x, y, epochs=2, verbose=0)
    one.class_names, one.note = ["abnormal", "normal"], "mine"
    two = again(one)
    assert (two.class_names, two.note, two.input_range) == (one.class_names, "mine", one.input_range)
    assert [layer.trainable for layer in two.layers] == [layer.trainable for layer in one.layers]
    results = []
    for m in (one, two):
        tinydx.set_seed(3)
        history = m.fit(x, y, epochs=2, verbose=0).history
        results.append((history, m.evaluate(x, y, verbose=0), m.optimizer.iterations))
    assert results[0] == results[1] and same_weights(one, two)
    assert one.predict_on_batch(x).tobytes() == two.predict_on_batch(x).tobytes()
    two.fit(x, y, verbose=0)
    assert not same_weights(one, two), "they share nothing"


class Own(Model):
    """A subclass with layers in attributes, lists and dicts, one of them twice."""

    def __init__(self, units, **common):
        super().__init__(**common)
        self.first, self.more, self.scale = Dense(units), {"last": [Dense(1), Dropout(0.5)]}, 2.0
        self.again = self.first

    def call(self, x, training=False):
        x = self.again(self.first(x)) * self.scale
        for layer in self.more["last"]:
            x = layer(x)
        return x


def functional():
    """Two inputs, a shared layer, a keyword with symbols, two outputs."""
    words, x = Input((4,), name="words", dtype="int64"), Input((3,), name="x")
    hidden, *states = Bidirectional(LSTM(2, return_state=True))(Embedding(9, 3, mask_zero=True)(words))
    shared = Dense(4, activation="relu")
    y = Add()([shared(hidden), shared(Dense(4)(Dense(4)(x)))])
    return Model([words, x], [Dense(1)(y), LSTM(2)(Dense(3)(Embedding(9, 3)(words)), initial_state=states[:2])])


@both_copies
def test_every_kind_of_model_is_copied(again):
    rng = np.random.default_rng(0)
    words, x = rng.integers(0, 9, (5, 4)), rng.normal(size=(5, 3)).astype("float32")
    for model, inputs in ((functional(), [words, x]), (Own(3), x), (Sequential([Own(3), Sequential([Dense(2)])]), x)):
        expected = model.predict(inputs)
        other = again(model)
        for a, b in zip(_list(expected), _list(other.predict(inputs)), strict=True):
            assert a.tobytes() == b.tobytes()
        assert other.count_params() == model.count_params()
        assert [type(layer) for layer in other.all_layers()] == [type(layer) for layer in model.all_layers()]


def _list(value):
    return value if isinstance(value, list) else [value]


def test_a_copied_functional_model_saves_and_grows(tmp_path):
    model = copy.deepcopy(functional())
    model.save(tmp_path / "m.safetensors")
    head = Model(model.inputs, Dense(1)(model.outputs[0]))
    assert head.predict([np.ones((1, 4), int), np.ones((1, 3), "float32")]).shape == (1, 1)


@both_copies
def test_a_long_graph_needs_no_recursion(again):
    x = h = Input((2,))
    for _ in range(300):
        h = Dense(2)(h)
    model = again(Model(x, h))
    assert len(model.layers) == 300
    assert len(again(Sequential([Dense(2) for _ in range(300)])).layers) == 300


def _all(module, base):
    """The module's classes of that base that can be made without arguments."""

    def bare(kind):
        return all(p.default is not p.empty or p.kind in (2, 4) for p in inspect.signature(kind).parameters.values())

    kinds = [k for k in vars(module).values() if isinstance(k, type) and issubclass(k, base) and k is not base]
    return [k for k in kinds if bare(k)]


@both_copies
def test_optimizers_losses_and_metrics_are_copied(again):
    for module, base in ((optimizers, optimizers.Optimizer), (losses, losses.Loss), (metrics, metrics.Metric)):
        found = _all(module, base)
        assert len(found) >= 4
        for kind in found:
            thing = again(kind())
            assert type(thing) is kind and set(vars(thing)) == set(vars(kind()))


@both_copies
def test_an_op_is_the_tables(again):
    assert again(ops.relu) is ops.relu and again([ops.lstm])[0] is ops.lstm


def test_a_result_of_the_tape_is_refused():
    h = Dense(2)(tinydx.Tensor(np.ones((1, 2), "float32"), requires_grad=True))
    for again in COPIES.values():
        with pytest.raises(TypeError, match=r"a result of the tape cannot be copied or pickled: take its numbers, x\.numpy\(\)"):
            again(h)


# ---- processes -----------------------------------------------------------------------------------------------------------

MODEL = """
import multiprocessing, os, sys, threading
import numpy as np
import tinydx
from tinydx import dispatch, ops
from tinydx.layers import Dense
from tinydx.models import Sequential

x = np.random.default_rng(0).normal(size=(9, 8)).astype("float32")

def trained():
    tinydx.set_seed(0)
    model = Sequential([Dense(16, activation="relu", input_shape=(8,)), Dense(1, activation="sigmoid")])
    model.compile("adam", "binary_crossentropy")
    model.fit(x, np.arange(9) % 2, verbose=0)
    return model

def work(part):
    with tinydx.trace() as ran:
        y = model.predict(x[part : part + 3])
    return y, {backend for _, backend in ran}
"""


def run(program, **environment):
    """Run a program in a process of its own, with MODEL before it; its lines of output, and of errors."""
    program = MODEL + textwrap.dedent(program)
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment}, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-2000:]
    return result.stdout.split(), result.stderr.splitlines()


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
needs_numba = pytest.mark.skipif(dispatch.load_kernels("numba") is not None, reason="it is about Numba's kernels")


@needs_fork
def test_a_pool_of_forked_processes_computes_after_a_fit():
    said, errors = run("""
        model = trained()
        expected = model.predict(x)
        with multiprocessing.get_context("fork").Pool(2) as pool:
            parts = pool.map_async(work, [0, 3, 6]).get(60)
        np.testing.assert_allclose(np.concatenate([y for y, _ in parts]), expected, rtol=1e-5)
        print(*set.union(*(ran for _, ran in parts)))
    """)
    assert said in (["numpy"], ["numba"])  # with a layer that survives a fork, the kernels run
    assert all("get_context('spawn')" in line for line in errors if "NumPy runs" in line)


@needs_fork
@needs_numba
def test_a_process_forked_before_any_kernel_ran_has_the_kernels():
    said, _ = run("""
        if not os.fork():
            model = trained()
            print(*work(0)[1], flush=True)
            os._exit(0)
        assert os.wait()[1] == 0
    """)
    assert said == ["numba"]


@needs_fork
@needs_numba
def test_training_goes_on_in_a_forked_process_and_strict_choices_are_refused_there():
    said, errors = run("""
        model = trained()
        from tinydx_kernels.cpu import layer
        if not os.fork():
            try:
                tinydx.use("numba", strict=True)
                assert layer.survives_a_fork()
            except ImportError as error:
                assert "GNU OpenMP" in str(error)
            tinydx.use("auto")
            model.fit(x, np.arange(9) % 2, verbose=0)
            tinydx.set_threads(1)
            print("trained", flush=True)
            os._exit(0)
        assert os.wait()[1] == 0
        print(*work(0)[1])
    """)
    assert said == ["trained", "numba"], "the process that was forked keeps its kernels"


@needs_fork
def test_batches_prepared_by_threads_are_prepared_again_after_a_fork():
    said, _ = run("""
        from tinydx.preprocessing.image import ImageDataGenerator
        batches = ImageDataGenerator(rotation_range=20).flow(np.random.default_rng(0).random((8, 6, 6, 1)), batch_size=2, seed=1)
        next(batches)
        state = batches.state()
        if not os.fork():
            child = [next(batches).tobytes() for _ in range(5)]
            batches.load_state(state)
            assert child == [next(batches).tobytes() for _ in range(5)]
            print("child", flush=True)
            os._exit(0)
        assert os.wait()[1] == 0
        print(len(next(batches)))
    """)
    assert said == ["child", "2"]


def test_batches_are_copied_with_their_position():
    x = np.random.default_rng(0).random((8, 6, 6, 1))
    batches = ImageDataGenerator(rotation_range=20).flow(x, batch_size=2, seed=1)
    next(batches)
    copies = [again(batches) for again in COPIES.values()]
    following = [next(batches).tobytes() for _ in range(5)]
    assert all([next(c).tobytes() for _ in range(5)] == following for c in copies)


def _predict(model_and_x):
    model, x = model_and_x
    return model.predict(x)


def test_spawned_processes_take_the_model_itself():
    x, y = two_classes()
    model = dense_model()
    model.fit(x, y, verbose=0)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map_async(_predict, [(model, x)]).get(120)[0].tobytes() == model.predict(x).tobytes()


@needs_numba
def test_threads_take_turns_with_a_layer_for_one():
    """Numba's workqueue ends the process where two threads run parallel kernels at once."""
    said, _ = run(
        """
        from concurrent.futures import ThreadPoolExecutor
        a = np.random.default_rng(1).normal(size=(400, 400)).astype("float32")
        expected = ops.matmul(a, a).tobytes()
        with ThreadPoolExecutor(4) as pool:
            assert all(y.tobytes() == expected for y in pool.map(lambda _: ops.matmul(a, a), range(200)))
        import numba
        print(numba.threading_layer())
        """,
        NUMBA_THREADING_LAYER="workqueue",
        NUMBA_NUM_THREADS="2",
    )
    assert said == ["workqueue"]
