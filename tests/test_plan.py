"""Plans: the bits of the readable path, no plan where a run does more than ops, and none that outlives a change."""

import threading
from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import tinydx
from tinydx import Tensor, models, no_grad, ops
from tinydx import layers as L
from tinydx.layers.base import tapped
from tinydx.models import Model, Sequential
from tinydx.training.plan import Plan
from tinydx.training.planned import known

pytestmark = pytest.mark.skipif(tinydx.dispatch.load_kernels("numba") is not None, reason="plans run Numba's kernels")
RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(7, 6)).astype("float32")


def with_a(number):
    """ROWS with this number in one place."""
    return np.where(ROWS.max() == ROWS, np.float32(number), ROWS)


def plans(model, of="predict"):
    """The plans that a model has."""
    found = model._known.plans.items() if model._known else ()
    return [plan for (use, *_), plan in found if isinstance(plan, Plan) and (use == "predict") == (of == "predict")]


def small(**compiled):
    """A model of two layers, compiled."""
    tinydx.set_seed(1)
    model = Sequential([L.Dense(5, activation="relu", input_shape=(6,)), L.Dense(1, activation="sigmoid")])
    model.compile("adam", "binary_crossentropy", **compiled)
    return model


def planned():
    """`small` with a plan for seven rows."""
    model = small()
    for _ in range(3):
        model.predict_on_batch(ROWS)
    assert len(plans(model)) == 1
    return model


# ---- random stacks of layers -----------------------------------------------------------------------------------------

ROW_LAYERS = [
    lambda: L.Dense(4, activation="relu"),
    lambda: L.Dense(3, activation="tanh", use_bias=False),
    lambda: L.Activation("sigmoid"),
    lambda: L.Dropout(0.5),
    lambda: L.BatchNormalization(),
    lambda: L.BatchNormalization(scale=False),
    lambda: L.LayerNormalization(),
    lambda: L.ReLU(negative_slope=0.1),
    lambda: L.Dense(4, kernel_regularizer="l2"),
    lambda: L.Dense(4, kernel_regularizer="l1_l2", bias_regularizer="l1"),
    lambda: L.Dense(4, trainable=False),
    lambda: Sequential([L.Dense(3), L.Activation("elu")]),
]
BEGINNINGS = {
    "rows": ((6,), lambda: []),
    "images": ((6, 7, 2), lambda: [L.Conv2D(3, 3, activation="relu"), L.MaxPooling2D(), L.Flatten()]),
    "sequences": ((5, 3), lambda: [L.LSTM(4, return_sequences=True), L.Bidirectional(L.GRU(3))]),
    "padded": ((5, 3), lambda: [L.Masking(), L.SimpleRNN(4)]),
    "padded both ways": ((5, 3), lambda: [L.Masking(), L.Bidirectional(L.LSTM(2, return_sequences=True)), L.GRU(3, dropout=0.5)]),
    "padded, normalized": ((5, 3), lambda: [L.Masking(), L.BatchNormalization(), L.GlobalAveragePooling1D()]),
    "words": ((5,), lambda: [L.Embedding(9, 3), L.GlobalAveragePooling1D()]),
    "padded words": ((5,), lambda: [L.Embedding(9, 3, mask_zero=True), L.GlobalAveragePooling1D()]),
    "bags of words": (
        (5,),
        lambda: [L.Embedding(9, 3, mask_zero=True), L.Dropout(0.3, (None, None, 1)), L.GlobalAveragePooling1D()],
    ),
    "states dropped": ((5, 3), lambda: [L.Masking(), L.SimpleRNN(4, recurrent_dropout=0.5)]),  # has no plan for training
}


def stack(beginning, middle):
    """A model of these layers, and inputs and labels for 8 + 3 examples."""
    tinydx.set_seed(3)
    shape, first = BEGINNINGS[beginning]
    model = Sequential([L.Input(shape, dtype="int32" if "words" in beginning else "float32"), *first()])
    for k in middle:
        model.add(ROW_LAYERS[k]())
    model.add(L.Dense(3, activation="softmax"))
    rng = np.random.default_rng(5)
    x = rng.integers(0, 9, (11, *shape)) if "words" in beginning else rng.normal(size=(11, *shape)).astype("float32")
    if isinstance(model.layers[0], L.Masking):
        x[rng.random(x.shape[:2]) < 0.3] = 0
    return model, x, rng.integers(0, 3, 11), rng.random(11)


def course(planned, beginning, middle, weighted):
    """What training and predicting give, with plans or without: losses, metrics, weights, predictions."""
    model, x, y, weight = stack(beginning, middle)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    with nullcontext() if planned else tinydx.trace():  # a trace asks for the readable path
        tinydx.set_seed(7)
        keywords = {"sample_weight": weight, "class_weight": {0: 1.0, 1: 2.0, 2: 0.5}} if weighted else {}
        history = model.fit(x, y, batch_size=4, epochs=3, verbose=0, **keywords).history
        kept = [model.predict_on_batch(x[:2]) for _ in range(3)]
        predictions = [model.predict(x, batch_size=4), *kept]
    drawn = tinydx.random.generator().random()
    return model, [*history.values(), *model.get_weights(), *predictions, *(w.grad for w in model.trainable_weights), drawn]


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(sorted(BEGINNINGS)),
    st.lists(st.integers(0, len(ROW_LAYERS) - 1), max_size=3),
    st.booleans(),
)
@example("rows", [3], False)  # the run of which a plan is made may leave no draw behind
@example("images", [3, 4, 9], True)
@example("bags of words", [4, 3], False)
@example("padded both ways", [8, 3], True)
@example("padded, normalized", [], False)
def test_plans_give_the_bits_of_the_readable_path(beginning, middle, weighted):
    _, got = course(True, beginning, middle, weighted)
    _, wanted = course(False, beginning, middle, weighted)
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


@pytest.mark.parametrize("beginning", sorted(BEGINNINGS.keys() - {"states dropped"}))
def test_these_stacks_have_plans_for_both(beginning):
    model, _ = course(True, beginning, [3, 4, 8, 9], True)
    x, y = stack(beginning, [])[1:3]
    for _ in range(3):  # the batches' numbers lie in the range that is known now, so that nothing ends a plan
        model.train_on_batch(x, y)
        model.predict_on_batch(x)
    assert plans(model) and plans(model, "train"), model._known


def test_shared_layers_and_several_inputs_and_outputs():
    def made():
        tinydx.set_seed(2)
        a, b, shared = L.Input((6,)), L.Input((6,)), L.Dense(4, activation="relu")
        joined = L.Concatenate()([shared(a), shared(b), L.Add()([a, b])])
        return Model([a, b], [L.Dense(2)(joined), shared(a)]), Model([a, b], L.Dense(1)(joined))

    x, y = [ROWS, ROWS[::-1].copy()], ROWS[:, :1]
    results = []
    for context in (nullcontext(), tinydx.trace()):
        with context:
            two, one = made()
            one.compile("sgd", "mse")
            losses = [one.train_on_batch(x, y) for _ in range(4)]
            results.append([*(np.stack(p) for p in zip(*[two.predict_on_batch(x) for _ in range(3)], strict=True)), losses])
            results[-1] += one.get_weights()
            if isinstance(context, nullcontext):
                assert plans(two) and plans(one, "train")
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_normalization_that_is_used_twice_moves_twice():
    def made():
        tinydx.set_seed(2)
        a, shared = L.Input((6,)), L.BatchNormalization(momentum=0.5)
        model = Model(a, L.Dense(1)(shared(L.Dense(6)(shared(a)))))
        model.compile("sgd", "mse")
        return model

    with tinydx.trace():
        readable = made()
        wanted = [readable.train_on_batch(ROWS, ROWS[:, :1]) for _ in range(4)]
    model = made()
    assert [model.train_on_batch(ROWS, ROWS[:, :1]) for _ in range(4)] == wanted
    assert plans(model, "train")
    for a, b in zip(model.get_weights(), readable.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_labels_that_were_the_input_once_may_be_others():
    tinydx.set_seed(1)
    model = Sequential([L.Dense(6, input_shape=(6,))])
    model.compile("sgd", "mse")
    for _ in range(3):
        model.train_on_batch(ROWS, ROWS)
    assert plans(model, "train")
    model.optimizer.learning_rate = 0.0
    loss = model.train_on_batch(ROWS, ROWS[::-1].copy())
    with tinydx.trace():
        assert model.train_on_batch(ROWS, ROWS[::-1].copy()) == loss


def test_two_inputs_that_were_one_array_once_may_be_two():
    a, b = L.Input((6,)), L.Input((6,))
    model = Model([a, b], L.Dense(2)(L.Concatenate()([a, b])))
    model.compile("sgd", "mse")
    for _ in range(3):
        model.predict_on_batch([ROWS, ROWS])
        model.train_on_batch([ROWS, ROWS], ROWS[:, :2])
    assert plans(model) and plans(model, "train")
    model.optimizer.learning_rate, two = 0.0, [ROWS, ROWS[::-1].copy()]
    got = model.predict_on_batch(two), model.train_on_batch(two, ROWS[:, :2])
    with tinydx.trace():
        wanted = model.predict_on_batch(two), model.train_on_batch(two, ROWS[:, :2])
    np.testing.assert_array_equal(got[0], wanted[0])
    assert got[1] == wanted[1]


def test_outputs_keep_their_masks():
    model = Sequential([L.Embedding(9, 3, mask_zero=True, input_shape=(5,)), L.LSTM(2, return_sequences=True)])
    ids = RNG.integers(0, 3, (4, 5))
    with no_grad():
        outputs = [model(ids) for _ in range(4)] + [model(ids[::-1].copy())]
    assert plans(model)
    for y in outputs[:4]:
        np.testing.assert_array_equal(y.mask, ids != 0)
    np.testing.assert_array_equal(outputs[4].mask, ids[::-1] != 0)


@pytest.mark.parametrize("weighted", [False, True])
def test_padded_steps_of_an_output_do_not_count(weighted):
    def losses():
        tinydx.set_seed(1)
        model = Sequential(
            [L.Embedding(9, 3, mask_zero=True, input_shape=(5,)), L.GRU(4, return_sequences=True), L.Dense(9, "softmax")]
        )
        model.compile("adam", "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
        rng = np.random.default_rng(0)
        batches = [rng.integers(0, 9, (4, 5)) * (np.arange(5) < rng.integers(1, 6, (4, 1))) for _ in range(5)]
        weight = rng.random(4) if weighted else None
        return [model.train_on_batch(ids, ids, weight) for ids in batches], model

    got, model = losses()
    assert plans(model, "train")
    with tinydx.trace():
        assert losses()[0] == got


# ---- anything in any order -------------------------------------------------------------------------------------------

ACTIONS = [
    "train",
    "train",
    "train",
    "predict",
    "weighted",
    "seed",
    "freeze",
    "thaw",
    "replace",
    "write",
    "rate",
    "penalty",
    "compile",
]
ACTIONS += ["evaluate", "copy", "slots", "metric"]


def played(actions):
    """What a model with all that plans know gives, while these things are done with it, each with a number of examples."""
    import copy

    tinydx.set_seed(3)
    words, dropped = L.Embedding(9, 6, mask_zero=True, input_shape=(None,)), L.Dropout(0.4)
    hidden = L.Dense(4, activation="relu", kernel_regularizer="l2")
    layers = [words, L.SimpleRNN(5, return_sequences=True), L.GlobalAveragePooling1D(), hidden, L.BatchNormalization(), dropped]
    model = Sequential([*layers, L.Dense(3, activation="softmax")])
    compiled = lambda **more: model.compile(tinydx.optimizers.AdamW(0.01), "sparse_categorical_crossentropy", **more)  # noqa: E731
    compiled()
    rng, found = np.random.default_rng(0), []
    for action, n in actions:
        ids, y = rng.integers(0, 9, (n, n + 1)), rng.integers(0, 3, n)
        ids[:, -1] *= rng.integers(0, 2, n)
        if action == "train":
            found.append(model.train_on_batch(ids, y))
        elif action == "weighted":
            found.append(model.train_on_batch(ids, y, rng.random(n) + 0.1))
        elif action == "predict":
            found += [model.predict_on_batch(ids), model.predict(ids, batch_size=2)]
        elif action == "evaluate":
            found.append(model.test_on_batch(ids, y))
        elif action == "seed":
            tinydx.set_seed(n)
        elif action in ("freeze", "thaw"):
            model.layers[n].trainable = action == "thaw"
            compiled()
        elif action == "replace":
            model.set_weights([w * 0.9 for w in model.get_weights()])
        elif action == "write":
            model.layers[3].kernel.data[...] *= 0.5
        elif action == "rate":
            model.layers[5].rate = n / 10
        elif action == "penalty":
            model.layers[3].regularizers[0].l2 = n / 100
        elif action == "copy":
            model = copy.deepcopy(model)
        elif action == "slots":
            model.optimizer.slots = [[a.copy() for a in slots] for slots in model.optimizer.slots]
        elif action in ("compile", "metric"):
            compiled(metrics=["accuracy"] if action == "metric" else None)
        found.append(tinydx.random.generator().random())
    return [*found, *model.get_weights(), *(a for slots in model.optimizer.slots for a in slots)]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(2, 3)), min_size=6, max_size=30))
@example(
    [
        (a, 3)
        for a in [*["train"] * 6, "rate", *["train"] * 3, "penalty", *["train"] * 3, "slots", *["train"] * 3, "copy", "train"]
    ]
)
@example([(a, n) for a in ["predict", "write", "replace"] for n in (2, 3, 2, 3, 2, 3)])
def test_whatever_is_done_with_a_model_its_numbers_are_those_of_the_readable_path(actions):
    got = played(actions)
    with tinydx.trace():
        wanted = played(actions)
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_run_that_is_resumed_draws_what_it_would_have_drawn(tmp_path):
    def run(epochs, planned=True):
        model, x, y, _ = stack("bags of words", [3, 4])
        model.compile("adam", "sparse_categorical_crossentropy")
        with nullcontext() if planned else tinydx.trace():
            for n in epochs:
                model.fit(x, y, batch_size=4, epochs=n, verbose=0, resume=tmp_path / f"{len(epochs)}{planned}.tinydx")
        return model.get_weights()

    for weights in (run([2, 5]), run([5], planned=False)):
        for a, b in zip(weights, run([5]), strict=True):
            np.testing.assert_array_equal(a, b)


# ---- what ends a plan ------------------------------------------------------------------------------------------------


def new_arrays(model):
    model.set_weights([w + 1 for w in model.get_weights()])


def written_in_place(model):
    model.layers[0].kernel.data[...] = 0.5


def another_kernel(model):
    model.layers[0].kernel = Tensor(np.ones((6, 5), "float32"), requires_grad=True)


def another_activation(model):
    model.layers[1].activation = ops.tanh


def one_layer_more(model):
    model.add(L.Dense(2))


def one_layer_less(model):
    model.pop()


def float64_weights(model):
    model.set_weights([w.astype("float64") for w in model.get_weights()])


CHANGES = [new_arrays, written_in_place, another_kernel, another_activation, one_layer_more, one_layer_less, float64_weights]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_counts_at_the_next_call(change):
    model = planned()
    change(model)
    got = [model.predict_on_batch(ROWS) for _ in range(3)]
    with tinydx.trace():
        wanted = model.predict_on_batch(ROWS)
    for y in got:
        assert y.dtype == wanted.dtype
        np.testing.assert_array_equal(y, wanted)


def test_frozen_weights_stay_and_thawed_ones_move():
    model, y = small(), np.ones((7, 1))
    for trainable in (True, False, True):
        model.layers[0].trainable = trainable
        model.compile("sgd", "mse")
        for _ in range(3):
            before = model.layers[0].kernel.data.copy()
            model.train_on_batch(ROWS, y)
            assert (before == model.layers[0].kernel.data).all() != trainable
    model.layers[0].kernel.requires_grad = False  # past the layer
    model.compile("sgd", "mse")
    before = model.layers[0].kernel.data.copy()
    model.train_on_batch(ROWS, y)
    assert (before == model.layers[0].kernel.data).all()


def test_other_settings_of_the_loss_count():
    model, y = small(), np.ones((7, 1))
    with tinydx.trace():
        wanted = small()
        wanted.loss.label_smoothing = 0.5
        expected = wanted.train_on_batch(ROWS, y)
    rate = model.optimizer.learning_rate
    model.optimizer.learning_rate = 0.0
    for _ in range(3):
        model.train_on_batch(ROWS, y)
    model.optimizer.learning_rate = rate
    model.loss.label_smoothing = 0.5
    assert model.train_on_batch(ROWS, y) == expected
    model.loss.from_logits = True
    with pytest.raises(ValueError, match="from_logits"):
        model.train_on_batch(ROWS, y)


def test_another_backward_of_an_op_counts(monkeypatch):
    tinydx.set_seed(1)
    model = Sequential([L.Dense(5, activation="elu", input_shape=(6,)), L.Dense(1)])
    model.compile("sgd", "mse")
    for _ in range(3):
        model.train_on_batch(ROWS, ROWS[:, :1])
    assert plans(model, "train")
    kernel = ops.elu.kernels.get("numba")
    if kernel is not None:
        monkeypatch.setitem(ops.elu.kernels, "numba", kernel.__class__("numba", kernel.forward, lambda dy, s: (0 * dy,)))
    monkeypatch.setattr(ops.elu, "backward", lambda dy, saved: (0 * dy,))
    before = model.layers[0].kernel.data.copy()
    model.train_on_batch(ROWS, ROWS[:, :1])
    assert (before == model.layers[0].kernel.data).all()


def test_another_kernel_of_an_op_counts(monkeypatch):
    model, kernel = planned(), ops.sigmoid.kernels["numba"]
    monkeypatch.setitem(ops.sigmoid.kernels, "numba", kernel.__class__("numba", lambda x: (0 * x, x), kernel.backward))
    assert not model.predict_on_batch(ROWS).any()


def test_use_trace_and_taps_are_obeyed():
    model, seen = planned(), []
    with tinydx.trace() as ran:
        model.predict_on_batch(ROWS)
    assert ran == [("dense_relu", "numba"), ("dense", "numba"), ("sigmoid", "numba")]
    with tinydx.use("numpy"), tinydx.trace() as ran:
        model.predict_on_batch(ROWS)
    assert {backend for _, backend in ran} == {"numpy"}
    with tinydx.use("numpy"):
        for _ in range(3):
            model.predict_on_batch(ROWS)
        assert not plans(model)
    for _ in range(3):
        model.predict_on_batch(ROWS)
    with tapped({model.layers[1]: lambda y: seen.append(y.shape) or y}):
        model.predict_on_batch(ROWS)
    assert seen == [(7, 1)]


# ---- what has no plan ------------------------------------------------------------------------------------------------


class Own(L.Dense):
    def call(self, x, training=False):
        return super().call(x) * float(x.data.max())


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (Own(2), "Own"),
        (L.Activation(lambda x: x * float(x.data.max())), "Activation"),
        (L.ReLU(max_value=1.0), "made in another way"),
    ],
)
def test_classes_and_functions_of_one_s_own_keep_the_readable_path(layer, words):
    model = Sequential([L.Input((6,)), layer])
    outputs = [model.predict_on_batch(ROWS * k) for k in (1, 2, 3, 4)]
    with tinydx.trace():
        np.testing.assert_array_equal(outputs[-1], model.predict_on_batch(ROWS * 4))
    with pytest.raises(ValueError, match=words):
        model.plan((7, 6))


def test_random_numbers_that_a_layer_does_not_tell_of_are_drawn_anew():
    x, y = RNG.normal(size=(3, 5, 4)).astype("float32"), np.ones((3, 1))

    def losses():
        tinydx.set_seed(0)
        inputs = L.Input((5, 4))
        model = Model(inputs, L.Dense(1)(L.GlobalAveragePooling1D()(L.Attention(dropout=0.5)([inputs, inputs]))))
        model.compile("sgd", "mse")
        return [model.train_on_batch(x, y) for _ in range(5)]

    with tinydx.trace():
        wanted = losses()
    assert losses() == wanted


def test_dropout_called_in_training_mode_draws_anew():
    x = L.Input((6,))
    model = Model(x, L.Dropout(0.5)(x, training=True))
    tinydx.set_seed(0)
    with tinydx.trace():
        wanted = [model.predict_on_batch(ROWS) for _ in range(4)]
    tinydx.set_seed(0)
    np.testing.assert_array_equal([model.predict_on_batch(ROWS) for _ in range(4)], wanted)


def test_a_model_s_list_that_grows_unseen_is_trained():
    class Blocks(Model):
        def __init__(self):
            super().__init__()
            self.blocks = [L.Dense(6)]

        def call(self, x, training=False):
            for block in self.blocks:
                x = block(x)
            return x

    model, more = Blocks(), L.Dense(6, input_shape=(6,))
    more(ROWS)
    model.compile("sgd", "mse")
    for _ in range(3):
        model.train_on_batch(ROWS, ROWS)
    model.blocks.append(more)
    model.optimizer.slots = []
    before = more.kernel.data.copy()
    model.train_on_batch(ROWS, ROWS)
    assert (before != more.kernel.data).any()


# ---- the same errors, kept results, threads ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "error"),
    [
        (ROWS[:, :5], ValueError),
        (ROWS.astype(int), TypeError),
        (with_a(np.nan), ValueError),
        (with_a(np.inf), ValueError),
    ],
)
def test_errors_are_those_of_the_readable_path(x, error):
    model = planned()
    for call in (model.predict_on_batch, model.predict, lambda x: model.train_on_batch(x, np.ones((7, 1)))):
        call(ROWS)
        call(ROWS)
        with tinydx.trace(), pytest.raises(error) as wanted:
            call(x)
        with pytest.raises(error) as got:
            call(x)
        assert str(got.value) == str(wanted.value)


def test_labels_and_ids_out_of_range_are_refused_and_nothing_changes():
    tinydx.set_seed(1)
    model = Sequential([L.Embedding(9, 3), L.GlobalAveragePooling1D(), L.Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    ids, y = RNG.integers(0, 9, (4, 5)), np.array([0, 1, 2, 0])
    for _ in range(3):
        model.train_on_batch(ids, y)
        model.predict_on_batch(ids)
    assert plans(model) and plans(model, "train")
    before = model.get_weights()
    with pytest.raises(IndexError, match="ids reach from"):
        model.predict_on_batch(ids + 5)
    with pytest.raises(IndexError, match="ids reach from"):
        model.train_on_batch(ids + 5, y)
    with pytest.raises(ValueError, match="labels reach"):
        model.train_on_batch(ids, y + 1)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_number_that_overflows_in_training_changes_nothing():
    model, y = small(), np.ones((7, 1))
    for _ in range(3):
        model.train_on_batch(ROWS, y)
    model.layers[1].kernel.data[...] = np.inf
    before = model.get_weights()
    with pytest.raises(FloatingPointError, match="this batch"):
        model.train_on_batch(ROWS, y)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_float64_input_is_cast_as_ever():
    model = planned()
    for _ in range(4):
        y = model.predict_on_batch(ROWS.astype(float))
        assert y.dtype == np.float32
        with no_grad():
            assert model(ROWS.astype(float)).dtype == np.float64


def test_kept_results_and_inputs_never_change():
    model, copies = planned(), []
    for k in range(5):
        x = ROWS * k
        results = [model.predict_on_batch(x), model.predict(x)]
        with no_grad():
            results.append(model(x).data)
        copies += [(y, y.copy()) for y in (x, *results)]
    assert all((y == copy).all() for y, copy in copies)
    assert not any(np.shares_memory(a, w.data) for a, _ in copies for w in model.weights)


def test_inside_no_grad_a_call_is_planned_and_outside_it_is_on_the_tape():
    model = planned()
    with no_grad():
        y = model(ROWS)
    assert not y.requires_grad
    loss = model(ROWS).sum()
    loss.backward()
    assert model.layers[0].kernel.grad is not None


def test_threads_predict_on_one_model():
    model, wrong = planned(), []
    inputs = [RNG.normal(size=(n, 6)).astype("float32") for n in (1, 2, 7, 7)]
    with tinydx.trace():
        wanted = [model.predict_on_batch(x) for x in inputs]

    def work(x, y):
        for _ in range(200):
            if (model.predict_on_batch(x) != y).any():
                wrong.append(len(x))

    threads = [threading.Thread(target=work, args=pair) for pair in zip(inputs, wanted, strict=True)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_a_plan_is_a_table_of_calls():
    text = str(small().plan((1, 6)))
    assert [line.split()[1] for line in text.splitlines()] == ["op", "dense_relu", "dense", "sigmoid"]
    assert "(1, 5)" in text and "numba" in text
    with tinydx.use("numpy"), pytest.raises(ValueError, match="readable path"):
        small().plan((1, 6))


def test_a_model_keeps_a_few_plans_only():
    model = planned()
    for n in range(1, 40):
        for _ in range(3):
            model.predict_on_batch(np.ones((n, 6), "float32"))
    assert 1 <= len(plans(model)) <= 16


def test_a_copied_model_has_plans_of_its_own():
    import copy

    model = planned()
    other = copy.deepcopy(model)
    other.layers[0].kernel.data[...] = 0
    assert (model.predict_on_batch(ROWS) != other.predict_on_batch(ROWS)).any()
    assert models.Sequential is type(other)


@pytest.mark.parametrize("layer", [L.Attention, L.AdditiveAttention])
def test_attention_without_masks_has_a_plan(layer):
    x = L.Input((5, 4))
    model = Model(x, L.Dense(1)(L.GlobalAveragePooling1D()(layer()([x, x]))))
    rows = RNG.normal(size=(3, 5, 4)).astype("float32")
    got = [model.predict_on_batch(rows) for _ in range(3)][-1]
    assert plans(model)
    with tinydx.trace():
        np.testing.assert_array_equal(got, model.predict_on_batch(rows))


def test_a_quantized_model_is_looked_at_once():
    model = small()
    model.quantize("int8")
    model.predict_on_batch(ROWS)
    assert known(model) is known(model) and known(model).problem
