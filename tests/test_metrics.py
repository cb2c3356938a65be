"""Streaming metrics against scikit-learn and their definitions; what holds however the batches are cut.

That the numbers are Keras's is tested in test_keras_parity.py.
"""

from functools import partial

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import assume, given
from hypothesis import strategies as st

from tinydx import metrics

BINARY = [
    metrics.BinaryAccuracy,
    metrics.AUC,
    metrics.Precision,
    metrics.Recall,
    metrics.Sensitivity,
    metrics.Specificity,
    metrics.F1Score,
    metrics.MeanSquaredError,
    metrics.MeanAbsoluteError,
]
MANY = [
    metrics.CategoricalAccuracy,
    partial(metrics.AUC, class_id=1),
    partial(metrics.Precision, class_id=2),
    metrics.MeanSquaredError,
    *(partial(metrics.F1Score, average) for average in (None, "macro", "micro", "weighted")),
]


def binary_data(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities (n, 1), some of them on a threshold."""
    rng = np.random.default_rng(seed)
    p = np.round(rng.random((n, 1)), int(rng.integers(1, 4)))
    return rng.integers(0, 2, (n, 1)), p.astype(np.float32)


def class_data(seed: int, n: int, k: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Integer labels (n,) and rows of probabilities (n, k)."""
    rng = np.random.default_rng(seed)
    table = rng.random((n, k)) + 0.01
    return rng.integers(0, k, n), table / table.sum(axis=1, keepdims=True)


def measured(metric: metrics.Metric, *batches) -> np.ndarray:
    for batch in batches:
        metric.update_state(*batch)
    return np.asarray(metric.result())


seeds, sizes = st.integers(0, 10**6), st.integers(1, 40)


# --- independent references ---------------------------------------------------------------------------------


@given(seeds, sizes)
def test_binary_metrics_are_those_of_scikit_learn(seed, n):
    y, p = binary_data(seed, n)
    called = (p > 0.5).astype(int)
    references = {
        metrics.BinaryAccuracy: sk.accuracy_score(y, called),
        metrics.Precision: sk.precision_score(y, called, zero_division=0),
        metrics.Recall: sk.recall_score(y, called, zero_division=0),
        metrics.Sensitivity: sk.recall_score(y, called, zero_division=0),
        metrics.Specificity: sk.recall_score(y, called, pos_label=0, zero_division=0),
        metrics.F1Score: sk.f1_score(y, called, zero_division=0),
        metrics.MeanSquaredError: sk.mean_squared_error(y, p),
        metrics.MeanAbsoluteError: sk.mean_absolute_error(y, p),
    }
    for metric, expected in references.items():
        assert measured(metric(), (y, p)) == pytest.approx(expected, abs=1e-6), metric.__name__


@given(seeds, sizes)
def test_multi_class_metrics_are_those_of_scikit_learn(seed, n):
    y, p = class_data(seed, n)
    hot, called = np.eye(3)[y], p.argmax(axis=1)
    share = pytest.approx(sk.accuracy_score(y, called))
    assert measured(metrics.SparseCategoricalAccuracy(), (y, p)) == share
    assert measured(metrics.CategoricalAccuracy(), (hot, p)) == share
    for average in (None, "macro", "micro", "weighted"):
        expected = sk.f1_score(y, called, labels=[0, 1, 2], average=average, zero_division=0)
        assert measured(metrics.F1Score(average), (hot, p)) == pytest.approx(expected), average


@given(seeds, sizes, st.integers(2, 300))
def test_auc_is_the_trapezoid_over_its_thresholds(seed, n, thresholds):
    """The definition, threshold by threshold: the outermost ones are just outside [0, 1]."""
    y, p = binary_data(seed, n)
    grid = np.array([-1.0, *(np.arange(1, thresholds - 1) / (thresholds - 1)), 2.0])
    # A p at a threshold is right to either side of it by rounding; the property is about all others.
    assume(np.abs(p - grid[1:-1]).min(initial=1) > 1e-6)
    called = p[:, 0] > grid[:, np.newaxis]
    ill = y[:, 0] == 1
    assume(ill.any() and not ill.all())
    y_axis, x_axis = called[::-1, ill].mean(axis=1), called[::-1, ~ill].mean(axis=1)
    expected = np.sum(np.diff(x_axis) * (y_axis[1:] + y_axis[:-1]) / 2)
    assert measured(metrics.AUC(thresholds), (y, p)) == pytest.approx(expected)


@given(seeds, st.integers(2, 60))
def test_auc_is_exact_where_thresholds_separate_all_scores(seed, n):
    rng = np.random.default_rng(seed)
    y, p = rng.permutation(n) % 2, (rng.integers(0, 199, n) + 0.5) / 199
    assert measured(metrics.AUC(), (y, p)) == pytest.approx(sk.roc_auc_score(y, p))


def test_auc_from_logits_is_the_auc_of_their_sigmoid():
    rng = np.random.default_rng(0)
    y = rng.permutation(np.arange(40) % 2)
    z = np.append(rng.normal(y[:-2]), [-900.0, 900.0])
    sigmoid = 1 / (1 + np.exp(-np.clip(z, -700, 700)))
    for thresholds in (4, 7, 200):  # few, so that the size of the logits matters, not their order alone
        from_logits = metrics.AUC(thresholds, from_logits=True)
        assert measured(from_logits, (y, z)) == measured(metrics.AUC(thresholds), (y, sigmoid))


# --- what holds however the data come -----------------------------------------------------------------------


@given(seeds, st.integers(2, 40), st.integers(1, 39), st.booleans())
def test_batches_of_any_size_give_what_all_at_once_gives(seed, n, cut, weighted):
    for kinds, (y, p) in ((BINARY, binary_data(seed, n)), (MANY, class_data(seed, n))):
        y = y if y.ndim == 2 else np.eye(3)[y]
        weight = np.random.default_rng(seed).random(n) if weighted else None
        parts = [(y[s], p[s], None if weight is None else weight[s]) for s in (slice(cut), slice(cut, None))]
        for kind in kinds:
            np.testing.assert_allclose(measured(kind(), *parts), measured(kind(), (y, p, weight)), atol=1e-12)


@given(seeds, st.integers(1, 20))
def test_a_whole_weight_is_as_many_examples_and_weight_zero_is_none(seed, n):
    weight = np.random.default_rng(seed).integers(0, 4, n)
    assume(weight.any())
    for kinds, (y, p) in ((BINARY, binary_data(seed, n)), (MANY, class_data(seed, n))):
        y = y if y.ndim == 2 else np.eye(3)[y]
        for kind in kinds:
            repeated = measured(kind(), (np.repeat(y, weight, axis=0), np.repeat(p, weight, axis=0)))
            np.testing.assert_allclose(measured(kind(), (y, p, weight)), repeated, atol=1e-12)


@pytest.mark.parametrize("kind", [*BINARY, metrics.Mean])
def test_reset_forgets_everything(kind):
    y, p = binary_data(3, 30)
    p = 0.7 * p
    batch = (p,) if kind is metrics.Mean else (y, p)
    metric = kind()
    first = measured(metric, batch)
    assert measured(metric, (*batch[:-1], 1 - p)) != first  # so that the next lines can fail
    metric.reset_state()
    assert metric.result() == 0 and measured(metric, batch) == first


@pytest.mark.parametrize("kind", BINARY)
def test_a_missing_last_axis_of_one_makes_no_difference(kind):
    y, p = binary_data(5, 30)
    weight = np.random.default_rng(0).random(30)
    results = [measured(kind(), (a, b, w)) for a in (y, y[:, 0]) for b in (p, p[:, 0]) for w in (weight, weight[:, np.newaxis])]
    assert len(set(map(float, results))) == 1


@given(seeds, sizes)
def test_f1_is_the_harmonic_mean_of_precision_and_recall(seed, n):
    batch = binary_data(seed, n)
    precision, recall = measured(metrics.Precision(), batch), measured(metrics.Recall(), batch)
    expected = 2 * precision * recall / (precision + recall) if precision + recall else 0
    assert measured(metrics.F1Score(threshold=0.5), batch) == pytest.approx(expected)


@given(seeds, sizes)
def test_sensitivity_and_specificity_change_places_with_the_labels(seed, n):
    y, p = binary_data(seed, n)
    assume(not np.any(p == 0.5))
    assert measured(metrics.Sensitivity(), (y, p)) == measured(metrics.Specificity(), (1 - y, 1 - p))


def test_the_threshold_itself_is_not_passed():
    y, p = [1, 1], np.array([0.5, 0.7], dtype=np.float32)
    assert measured(metrics.BinaryAccuracy(), (y, p)) == 0.5
    assert measured(metrics.Recall(), (y, p)) == 0.5
    assert measured(metrics.BinaryAccuracy(threshold=0.7), (y, p)) == 0
    assert measured(metrics.Recall(thresholds=0.7), (y, p)) == 0


def test_one_class_gives_zero_as_in_keras():
    y, p = np.zeros(4), np.array([0.1, 0.2, 0.8, 0.9])
    assert [measured(kind(), (y, p)) for kind in (metrics.AUC, metrics.Recall, metrics.F1Score)] == [0, 0, 0]
    assert measured(metrics.Specificity(), (1 - y, p)) == 0


def test_f1_of_one_column_is_a_plain_number_that_json_can_hold():
    metric = metrics.F1Score()
    metric.update_state(np.array([[1], [0]]), np.array([[0.9], [0.2]]))
    assert type(metric.result()) is float and metric.result() == 1.0


# --- means --------------------------------------------------------------------------------------------------


def test_mean_weighs_a_loss_by_the_size_of_its_batch():
    mean = metrics.Mean("loss")
    mean.update_state(1.0, 32)
    mean.update_state(4.0, 16)
    assert mean.name == "loss" and mean.result() == 2.0


@given(seeds, st.integers(1, 8), st.integers(1, 5))
def test_mean_of_time_steps_counts_each_sequence_by_its_weights(seed, n, t):
    rng = np.random.default_rng(seed)
    values, weight = rng.normal(size=(n, t)), rng.random((n, t)) + 0.01
    each, whole = metrics.Mean(), metrics.Mean()
    each.update_state(values, weight)
    assert each.result() == pytest.approx(np.average(values, weights=weight))
    whole.update_state(values, weight[:, 0])
    assert whole.result() == pytest.approx(np.average(values.mean(axis=1), weights=weight[:, 0]))


def test_a_sequence_counts_once_however_long_it_is():
    mean = metrics.Mean()
    mean.update_state(np.full((2, 4), 1.0), np.ones((2, 4)))
    mean.update_state(np.full((2, 2), 4.0), np.ones((2, 2)))
    assert mean.result() == 2.5


# --- accuracy by shape, metrics by name ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "p", "expected"),
    [
        ([1, 0, 1], [[0.9], [0.8], [0.7]], metrics.BinaryAccuracy),
        ([[1], [0], [1]], [[0.9], [0.8], [0.7]], metrics.BinaryAccuracy),
        ([1, 0, 1], [0.9, 0.8, 0.7], metrics.BinaryAccuracy),
        ([1, 0], [[0.9, 0.1], [0.8, 0.2]], metrics.SparseCategoricalAccuracy),
        ([[1], [0]], [[0.9, 0.1], [0.8, 0.2]], metrics.SparseCategoricalAccuracy),
        ([[0, 1], [1, 0]], [[0.9, 0.1], [0.8, 0.2]], metrics.CategoricalAccuracy),
        ([[[0, 1], [1, 0]]], [[[0.9, 0.1], [0.8, 0.2]]], metrics.CategoricalAccuracy),
        ([[1, 0]], [[[0.9, 0.1], [0.8, 0.2]]], metrics.SparseCategoricalAccuracy),
    ],
)
def test_accuracy_is_chosen_by_the_shapes(y, p, expected):
    result = measured(metrics.get("accuracy"), (y, p))
    assert result == measured(expected(), (y, p)) and 0 < result < 1


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("binary_accuracy", metrics.BinaryAccuracy),
        ("BinaryAccuracy", metrics.BinaryAccuracy),
        ("auc", metrics.AUC),
        ("AUC", metrics.AUC),
        ("precision", metrics.Precision),
        ("recall", metrics.Recall),
        ("sensitivity", metrics.Sensitivity),
        ("specificity", metrics.Specificity),
        ("f1", metrics.F1Score),
        ("f1_score", metrics.F1Score),
        ("F1Score", metrics.F1Score),
        ("mse", metrics.MeanSquaredError),
        ("MSE", metrics.MeanSquaredError),
        ("mean_squared_error", metrics.MeanSquaredError),
        ("mae", metrics.MeanAbsoluteError),
        ("acc", metrics.MeanMetricWrapper),
        ("accuracy", metrics.MeanMetricWrapper),
        ("categorical_accuracy", metrics.CategoricalAccuracy),
        ("sparse_categorical_accuracy", metrics.SparseCategoricalAccuracy),
    ],
)
def test_names_are_known_and_kept_as_written(name, kind):
    metric = metrics.get(name)
    assert type(metric) is kind and metric.name == name and metric is not metrics.get(name)
    of_classes = {"sparse_categorical_accuracy": [0], "categorical_accuracy": [[1, 0]]}
    metric.update_state(*((of_classes[name], [[0.9, 0.1]]) if name in of_classes else ([1, 0], [0.9, 0.1])))
    assert isinstance(metric.result(), float)


def test_f1_by_name_is_one_number_also_for_many_classes():
    y, p = class_data(1, 30)
    expected = sk.f1_score(y, p.argmax(axis=1), average="macro")
    assert measured(metrics.get("f1"), (np.eye(3)[y], p)) == pytest.approx(expected)


def test_objects_classes_and_functions_are_metrics_too():
    metric = metrics.Precision(thresholds=0.3, name="ppv")
    assert metrics.get(metric) is metric
    assert metrics.get(metrics.AUC).name == "auc"

    def twice(y_true, y_pred):
        return 2 * np.ones(len(y_pred))

    metric = metrics.get(twice)
    assert metric.name == "twice" and measured(metric, ([1, 0], [0.5, 0.5])) == 2


@pytest.mark.parametrize(
    ("name", "meant"), [("acuracy", "accuracy"), ("sensitvity", "sensitivity"), ("ROC_AUC", "auc"), ("F1_Scor", "f1_score")]
)
def test_an_unknown_name_suggests_the_nearest(name, meant):
    with pytest.raises(ValueError, match=f"{name}.*did you mean.*'{meant}'"):
        metrics.get(name)


@pytest.mark.parametrize("wrong", [3, None, dict, ["accuracy"]])
def test_what_is_no_metric_is_a_type_error(wrong):
    with pytest.raises(TypeError, match="a metric is a name"):
        metrics.get(wrong)


# --- errors -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*BINARY, metrics.CategoricalAccuracy])
@pytest.mark.parametrize(
    ("true", "pred"),
    [((4,), (5,)), ((4, 1), (4, 3)), ((4, 3), (4, 1)), ((4,), (4, 3)), ((4, 1), (5, 1)), ((), ()), ((4, 1, 1), (4,))],
)
def test_shapes_that_do_not_fit_are_printed_not_broadcast(kind, true, pred):
    with pytest.raises(ValueError) as error:
        kind().update_state(np.ones(true), np.ones(pred))
    assert str(true) in str(error.value) and str(pred) in str(error.value)


@pytest.mark.parametrize(("true", "pred"), [((4, 3), (4, 3)), ((5,), (4, 3)), ((4,), (4,)), ((), (3,))])
def test_sparse_labels_that_do_not_fit_are_printed(true, pred):
    with pytest.raises(ValueError) as error:
        metrics.SparseCategoricalAccuracy().update_state(np.zeros(true, dtype=int), np.ones(pred))
    assert str(true) in str(error.value) and str(pred) in str(error.value)


@pytest.mark.parametrize("kind", [*BINARY, metrics.CategoricalAccuracy, metrics.SparseCategoricalAccuracy])
def test_nan_is_never_counted_as_an_answer(kind):
    y = [1, 0] if kind is metrics.SparseCategoricalAccuracy else [[1, 0], [0, 1]]
    metric = kind()
    with pytest.raises(ValueError, match="y_pred has NaN in 1 of its 4 values"):
        metric.update_state(y, [[0.1, np.nan], [0.2, 0.8]])
    assert np.all(metric.result() == 0)  # and nothing of the batch was kept


@pytest.mark.parametrize("kind", [metrics.AUC, metrics.Precision, metrics.Recall, metrics.F1Score])
def test_labels_other_than_0_and_1_are_an_error(kind):
    with pytest.raises(ValueError, match="labels must be 0 or 1, but y_true holds 2"):
        kind().update_state([0, 1, 2], [0.1, 0.2, 0.3])


@pytest.mark.parametrize("kind", BINARY)
@pytest.mark.parametrize("weight", [np.ones(3), np.ones((4, 2)), np.ones((1, 4)), np.ones((3, 1))])
def test_weights_that_do_not_fit_are_an_error(kind, weight):
    with pytest.raises(ValueError, match="sample_weight"):
        kind().update_state(np.ones((4, 1)), np.full((4, 1), 0.7), weight)


@pytest.mark.parametrize("p", [[1.5, 0.5], [-0.1, 0.5]])
def test_auc_refuses_logits(p):
    with pytest.raises(ValueError, match="from_logits"):
        metrics.AUC().update_state([1, 0], p)


def test_constructors_refuse_what_cannot_be():
    with pytest.raises(ValueError, match="at least 2"):
        metrics.AUC(num_thresholds=1)
    with pytest.raises(ValueError, match="average"):
        metrics.F1Score("mean")
    with pytest.raises(ValueError, match="N, K"):
        metrics.F1Score().update_state(np.ones((2, 2, 2)), np.ones((2, 2, 2)))
    with pytest.raises(TypeError, match="array of numbers"):
        metrics.Precision().update_state(["ill"], [0.5])
