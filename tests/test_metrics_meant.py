"""Metrics of every shape of output: the number that is meant, or an error that says which is.

The expected numbers are counted by hand from the four cells of the table, or by scikit-learn on the column that is named.
"""

import numpy as np
import pytest
import sklearn.metrics as sk

from tinydx import losses, metrics
from tinydx.layers import Dense
from tinydx.models import Sequential, load_model

COUNTS = [metrics.Sensitivity, metrics.Recall, metrics.Specificity, metrics.Precision]
# 8 healthy and 2 ill; everyone is called healthy: no one ill is found, all healthy are called so, nobody is called ill
TRUTH, EVERYONE_HEALTHY = np.array([0] * 8 + [1] * 2), np.tile([0.9, 0.1], (10, 1))
RIGHT = {metrics.Sensitivity: 0.0, metrics.Recall: 0.0, metrics.Specificity: 1.0, metrics.Precision: 0.0}


def measured(metric, y, p):
    metric.update_state(y, p)
    return metric.result()


@pytest.mark.parametrize("kind", COUNTS)
def test_two_softmax_outputs_with_binary_counts_are_refused_or_right(kind):
    """Both columns counted alike, all four would be 0.8."""
    one_hot = np.eye(2)[TRUTH]
    with pytest.raises(ValueError, match=rf"one-hot labels of 2 classes, which one is positive\? {kind.__name__}\(class_id=1\)"):
        measured(kind(), one_hot, EVERYONE_HEALTHY)
    for y in (one_hot, TRUTH, TRUTH[:, None], TRUTH.astype(float)):  # one-hot, class numbers, a column of them
        assert measured(kind(class_id=1), y, EVERYONE_HEALTHY) == RIGHT[kind]
    assert measured(kind(), TRUTH, EVERYONE_HEALTHY[:, 1]) == RIGHT[kind]  # one column is what it always was
    assert kind(class_id=1).name == f"{kind.__name__.lower()}_class_1"


@pytest.mark.parametrize("kind", COUNTS)
def test_two_sigmoid_outputs_with_one_hot_labels_are_the_same_mistake(kind):
    independent = EVERYONE_HEALTHY + 0.05  # rows do not sum to 1: two sigmoids
    with pytest.raises(ValueError, match="which one is positive"):
        measured(kind(), np.eye(2)[np.tile(TRUTH, 3)], np.tile(independent, (3, 1)))


@pytest.mark.parametrize("k", [3, 5])
def test_several_classes_name_the_one_that_counts(k):
    rng = np.random.default_rng(k)
    y, p = rng.integers(0, k, 200), rng.dirichlet(np.ones(k), 200)
    for name in range(k):
        is_one, called = y == name, p[:, name] > 0.5
        assert measured(metrics.Sensitivity(class_id=name), y, p) == pytest.approx(sk.recall_score(is_one, called))
        assert measured(metrics.Specificity(class_id=name), np.eye(k)[y], p) == pytest.approx(sk.recall_score(~is_one, ~called))
        area = measured(metrics.AUC(5000, class_id=name), y, p)
        assert area == pytest.approx(sk.roc_auc_score(is_one, p[:, name]), abs=2e-3)
    for kind in (*COUNTS, metrics.AUC):
        with pytest.raises(ValueError, match="which one is positive"):
            measured(kind(), np.eye(k)[y], p)
    with pytest.raises(ValueError, match=f"there is no class {k} in y_pred"):
        measured(metrics.Precision(class_id=k), y, p)
    for numbers in (y, y[:, None]):
        with pytest.raises(ValueError, match=f"class numbers beside {k} classes, which one is positive"):
            measured(metrics.AUC(), numbers, p)


@pytest.mark.parametrize("kind", [*COUNTS, metrics.AUC, metrics.BinaryAccuracy])
def test_several_labels_an_example_are_still_counted_alike(kind):
    """Columns that do not exclude each other are as many questions, as in Keras."""
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 2, (40, 3)), rng.random((40, 3))
    assert measured(kind(), y, p) == pytest.approx(measured(kind(), y.ravel(), p.ravel()))
    single = np.eye(3)[rng.integers(0, 3, 40)]  # by chance one label in each row, beside sigmoids
    assert measured(kind(), single, p) == pytest.approx(measured(kind(), single.ravel(), p.ravel()))


def test_accuracy_of_columns_that_exclude_each_other():
    y, p = np.array([0, 1, 2, 0]), np.eye(3)[[1, 1, 1, 1]] * 0.8 + 0.2 / 3
    assert measured(metrics.get("accuracy"), np.eye(3)[y], p) == 0.25  # two thirds by column
    with pytest.raises(ValueError, match="use categorical_accuracy"):
        measured(metrics.BinaryAccuracy(), np.eye(3)[y], p)
    two = np.eye(2)[TRUTH]
    assert measured(metrics.BinaryAccuracy(), two, EVERYONE_HEALTHY) == 0.8  # of two columns it is the accuracy


@pytest.mark.parametrize("kind", [metrics.CategoricalAccuracy, metrics.SparseCategoricalAccuracy])
def test_the_largest_of_one_column_is_no_answer(kind):
    """Keras says 1.0 for any sigmoid."""
    with pytest.raises(ValueError, match="use binary_accuracy"):
        measured(kind(), np.array([[0], [1]]), np.array([[0.9], [0.9]]))


@pytest.mark.parametrize("rows", [[[1, 1, 0], [0, 1, 0]], [[0, 0, 0], [0, 1, 0]]])
def test_accuracy_by_the_largest_needs_one_label_an_example(rows):
    with pytest.raises(ValueError, match="a row does not sum to 1: for several labels use binary_accuracy"):
        measured(metrics.get("accuracy"), np.array(rows), np.full((2, 3), 0.4))


@pytest.mark.parametrize(("y", "reach"), [([0, 3], "0 to 3"), ([-1, 1], "-1 to 1"), ([0.5, 1], "0.5 to 1")])
def test_class_numbers_that_are_none(y, reach):
    with pytest.raises(ValueError, match=f"labels reach from {reach}.*, expected whole numbers 0 to 2"):
        measured(metrics.SparseCategoricalAccuracy(), np.array(y), np.full((2, 3), 1 / 3))


def test_labels_of_binary_accuracy_are_0_and_1():
    for y in ([-1, 1], [1, 2], [0.3, 1]):
        with pytest.raises(ValueError, match="labels must be 0 or 1"):
            measured(metrics.BinaryAccuracy(), np.array(y), np.array([0.2, 0.8]))


@pytest.mark.parametrize("wrong", [-1.0, np.nan, np.inf])
@pytest.mark.parametrize("kind", [metrics.BinaryAccuracy, metrics.Precision, metrics.AUC, metrics.F1Score, metrics.Mean])
def test_weights_are_finite_and_not_negative(kind, wrong):
    metric = kind()
    labels = () if kind is metrics.Mean else (np.array([0, 1]),)
    with pytest.raises(ValueError, match=f"sample_weight holds {wrong}, expected finite numbers of 0 or more"):
        metric.update_state(*labels, np.array([0.2, 0.8]), [1.0, wrong])
    assert metric.result() == 0


# ---- with a model --------------------------------------------------------------------------------------------------


def fitted(metric, activation="sigmoid", units=1, from_logits=False, loss=losses.BinaryCrossentropy):
    model = Sequential([Dense(units, activation=activation, input_shape=(3,))])
    model.compile("sgd", loss(from_logits=from_logits), [metric])
    x, y = np.random.default_rng(0).normal(size=(30, 3)).astype("float32"), np.arange(30) % 2
    return model.fit(x, y if units == 1 or loss is not losses.BinaryCrossentropy else np.eye(units)[y], verbose=0).history


@pytest.mark.parametrize(
    ("metric", "instead"),
    [
        ("accuracy", r"BinaryAccuracy\(threshold=0\)"),
        ("binary_accuracy", r"BinaryAccuracy\(threshold=0\)"),
        ("precision", r"Precision\(thresholds=0\)"),
        ("specificity", r"Specificity\(thresholds=0\)"),
        ("f1_score", r"F1Score\(threshold=0\)"),
        ("auc", r"AUC\(from_logits=True\)"),
    ],
)
def test_a_threshold_of_probabilities_is_not_laid_on_scores(metric, instead):
    with pytest.raises(ValueError, match=f"scores.*write {instead} instead"):
        fitted(metric, activation=None, from_logits=True)
    assert metric in fitted(metric)


def test_metrics_that_take_scores():
    for metric in (metrics.BinaryAccuracy(threshold=0), metrics.Precision(thresholds=0), metrics.AUC(from_logits=True)):
        assert metric.name in fitted(metric, activation=None, from_logits=True)
    sparse = losses.SparseCategoricalCrossentropy
    assert "accuracy" in fitted("accuracy", activation=None, units=2, from_logits=True, loss=sparse)  # the largest is the largest


def test_the_class_that_counts_is_saved(tmp_path):
    model = Sequential([Dense(2, activation="softmax", input_shape=(3,))])
    model.compile("adam", "sparse_categorical_crossentropy", [metrics.Sensitivity(class_id=1), metrics.AUC(50, class_id=0)])
    model.save(tmp_path / "m.tdx")
    again = load_model(tmp_path / "m.tdx").metrics
    assert [(m.name, m.class_id) for m in again] == [("sensitivity_class_1", 1), ("auc_class_0", 0)]


def test_a_sigmoid_is_not_applied_twice_by_a_metric():
    with pytest.raises(ValueError, match="auc: from_logits=True, but the model ends in sigmoid"):
        fitted(metrics.AUC(from_logits=True))
