"""Models in several processes: they pickle and copy whole, and a forked process computes instead of being killed.

What has to run in a process of its own is a short program here; it prints what it found.
"""

import copy
import inspect
import multiprocessing
import pickle
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from small import EXAMPLES, dense_model, input_of, layer_of, noisy_model, same_weights, two_classes

import tinydx
from tinydx import losses, metrics, ops, optimizers
from tinydx.layers import LSTM, Add, Bidirectional, Dense, Dropout, Embedding, Input, Layer
from tinydx.models import Model, Sequential

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
    kinds = [k for k in vars(module).values() if isinstance(k, type) and issubclass(k, base) and k is not base]
    return [k for k in kinds if all(p.default is not p.empty or p.kind in (2, 4) for p in inspect.signature(k).parameters.values())]


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
