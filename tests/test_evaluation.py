"""The measures of a finished diagnosis against scikit-learn, SciPy, their definitions and symmetries."""

import json
from statistics import NormalDist

import numpy as np
import pytest
import scipy.stats
import sklearn.calibration
import sklearn.metrics as sk
from hypothesis import given
from hypothesis import strategies as st

from tinydx import evaluation, metrics

NAMES = ["abnormal", "normal"]


@st.composite
def ranked(draw, most: int = 30):
    """Labels of both classes and whole-number scores with many ties."""
    y = draw(st.lists(st.integers(0, 1), min_size=2, max_size=most).filter(lambda y: 0 < sum(y) < len(y)))
    score = draw(st.lists(st.integers(-5, 5), min_size=len(y), max_size=len(y)))
    return np.array(y), np.array(score, dtype=float)


@st.composite
def diagnosed(draw, most: int = 12):
    """Labels, of one class or both, and probabilities with ties, zeros and ones."""
    n = draw(st.integers(1, most))
    y = draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    p = draw(st.lists(st.one_of(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), st.floats(0, 1)), min_size=n, max_size=n))
    return np.array(y), np.array(p)


def binormal(seed: int, n: int, distance: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """n healthy and n ill with normal scores that lie `distance` apart, as probabilities."""
    rng = np.random.default_rng(seed)
    y = np.arange(2 * n) % 2
    return y, 1 / (1 + np.exp(-rng.normal(distance * (y - 0.5))))


# --- ranking ------------------------------------------------------------------------------------------------


@given(ranked())
def test_auc_is_the_share_of_pairs_in_the_right_order(data):
    y, score = data
    gaps = score[y == 1][:, np.newaxis] - score[y == 0]
    assert evaluation.roc_auc(y, score) == pytest.approx(np.mean((gaps > 0) + 0.5 * (gaps == 0)))
    assert evaluation.roc_auc(y, score) == pytest.approx(sk.roc_auc_score(y, score))


@given(ranked())
def test_auc_keeps_under_rising_maps_and_turns_over_under_falling_ones(data):
    y, score = data
    area = evaluation.roc_auc(y, score)
    for rising in (2 * score + 7, score**3, np.exp(score), np.arctan(score)):
        assert evaluation.roc_auc(y, rising) == area
    assert evaluation.roc_auc(y, -score) == pytest.approx(1 - area)
    assert evaluation.roc_auc(1 - y, score) == pytest.approx(1 - area)


@given(ranked())
def test_roc_curve_is_that_of_scikit_learn_and_encloses_the_area(data):
    y, score = data
    false_rate, true_rate, thresholds = evaluation.roc_curve(y, score)
    theirs = sk.roc_curve(y, score, drop_intermediate=False)
    for mine, other in zip((false_rate, true_rate, thresholds), theirs, strict=True):
        np.testing.assert_allclose(mine, other)
    area = np.sum(np.diff(false_rate) * (true_rate[1:] + true_rate[:-1]) / 2)
    assert area == pytest.approx(evaluation.roc_auc(y, score))


def test_macro_auc_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    y, table = rng.integers(0, 4, 50), rng.dirichlet(np.ones(4), 50)
    assert evaluation.macro_auc(y, table) == pytest.approx(sk.roc_auc_score(y, table, multi_class="ovr"))


def test_the_exact_area_is_near_the_streamed_one():
    y, p = binormal(0, 2000)
    streamed = metrics.AUC()
    streamed.update_state(y, p)
    assert evaluation.roc_auc(y, p) == pytest.approx(streamed.result(), abs=1e-3)


@pytest.mark.parametrize("measure", [evaluation.roc_auc, evaluation.roc_curve])
@pytest.mark.parametrize(
    ("y", "score", "what"),
    [
        ([1, 1], [0.1, 0.2], "both classes, but all 2 labels are 1"),
        ([0, 1], [0.1, np.nan], "1 predictions are NaN"),
        ([0, 1], [0.1, 0.2, 0.3], r"lengths differ: \[2, 3\]"),
        ([0, 2], [0.1, 0.2], "holds 2"),
        ([], [], r"shape \(N,\)"),
        ([[0, 1], [1, 0]], [0.1, 0.2], "one-hot"),
        ([0, 1], np.ones((2, 2)), "one score"),
    ],
)
def test_ranking_says_what_it_cannot_rank(measure, y, score, what):
    with pytest.raises(ValueError, match=what):
        measure(y, score)


# --- counts -------------------------------------------------------------------------------------------------


@given(st.integers(2, 5), st.integers(0, 10**6), st.integers(1, 40))
def test_confusion_matrix_is_that_of_scikit_learn(k, seed, n):
    true, called = np.random.default_rng(seed).integers(0, k, (2, n))
    np.testing.assert_array_equal(
        evaluation.confusion_matrix(true, called, k), sk.confusion_matrix(true, called, labels=range(k))
    )


@given(diagnosed())
def test_rates_are_those_of_scikit_learn_or_none_with_a_reason(data):
    y, called = data[0], (data[1] > 0.5).astype(int)
    rates = evaluation.binary_rates(y, called, "ill", samples=20)
    references = {
        "accuracy": (sk.accuracy_score(y, called), True),
        "sensitivity": (sk.recall_score(y, called, zero_division=0), y.any()),
        "specificity": (sk.recall_score(y, called, pos_label=0, zero_division=0), not y.all()),
        "precision": (sk.precision_score(y, called, zero_division=0), called.any()),
        "f1": (sk.f1_score(y, called, zero_division=0), y.any()),
    }
    for key, (expected, known) in references.items():
        assert rates[key] == (pytest.approx(expected) if known else None), key
        assert (rates[f"{key}_interval"] is None) == (key in rates["reasons"]) == (not known)
        if known:
            low, high = rates[f"{key}_interval"]
            assert low <= rates[key] <= high


def test_the_reasons_name_the_class():
    none = evaluation.binary_rates([0, 0], [0, 0], "ill")["reasons"]
    assert none == {"sensitivity": "no example is ill", "precision": "no example was called ill", "f1": "no example is ill"}
    every = evaluation.binary_rates([1, 1], [0, 1], "ill")["reasons"]
    assert every == {"specificity": "every example is ill"}


# --- calibration --------------------------------------------------------------------------------------------


def test_calibration_is_that_of_scikit_learn():
    y, p = binormal(1, 300)
    full = [record for record in evaluation.calibration_curve(y, p) if record["count"]]
    observed, predicted = sklearn.calibration.calibration_curve(y, p, n_bins=10)
    np.testing.assert_allclose([record["observed"] for record in full], observed)
    np.testing.assert_allclose([record["predicted"] for record in full], predicted)


@given(diagnosed(), st.integers(1, 20))
def test_each_example_is_in_one_bin_whose_range_it_fits(data, bins):
    y, p = data
    records = evaluation.calibration_curve(y, p, bins)
    assert len(records) == bins and sum(record["count"] for record in records) == len(y)
    full = [record for record in records if record["count"]]
    assert sum(record["count"] * record["observed"] for record in full) == pytest.approx(y.sum())
    for record in records:
        if record["count"]:
            assert record["low"] - 1e-12 <= record["predicted"] <= record["high"] + 1e-12
        else:
            assert record["predicted"] is None and record["observed"] is None


def test_calibration_error_by_hand():
    # Two at 0.1 of which one is true, and one at 1.0 that is: (2 * |0.1 - 0.5| + 1 * 0) / 3.
    assert evaluation.expected_calibration_error([0, 1, 1], [0.1, 0.1, 1.0]) == pytest.approx(0.8 / 3)
    assert evaluation.expected_calibration_error([0, 1], [0.0, 1.0]) == 0


@given(diagnosed())
def test_brier_score_is_that_of_scikit_learn_and_twice_that_over_both_classes(data):
    y, p = data
    score = evaluation.brier_score(y, p)
    assert score == pytest.approx(sk.brier_score_loss(y, p, pos_label=1))
    assert evaluation.brier_score(y, np.column_stack([1 - p, p])) == pytest.approx(2 * score)


@pytest.mark.parametrize("measure", [evaluation.calibration_curve, evaluation.brier_score, evaluation.expected_calibration_error])
def test_calibration_needs_probabilities(measure):
    with pytest.raises(ValueError, match="sigmoid or softmax"):
        measure([0, 1], [-2.0, 3.0])


# --- intervals ----------------------------------------------------------------------------------------------


@given(st.integers(1, 200), st.data(), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_wilson_interval_is_that_of_scipy(total, data, level):
    successes = data.draw(st.integers(0, total))
    theirs = scipy.stats.binomtest(successes, total).proportion_ci(level, method="wilson")
    low, high = evaluation.wilson_interval(successes, total, level)
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)
    assert 0 <= low <= successes / total <= high <= 1


@pytest.mark.parametrize(("successes", "total"), [(0, 0), (3, 2), (-1, 2)])
def test_wilson_interval_refuses_what_is_no_share(successes, total):
    with pytest.raises(ValueError, match="wilson_interval needs"):
        evaluation.wilson_interval(successes, total)


@given(ranked(), st.integers(0, 100))
def test_the_bootstrap_interval_holds_the_estimate_and_shrinks_with_its_level(data, seed):
    y, score = data
    area = evaluation.roc_auc(y, score)
    wide, narrow = (
        evaluation.bootstrap_interval(evaluation.roc_auc, y, score, strata=y, seed=seed, samples=100, level=level)
        for level in (0.99, 0.5)
    )
    assert 0 <= wide[0] <= area <= wide[1] <= 1
    assert wide[0] <= narrow[0] <= narrow[1] <= wide[1]


def test_strata_keep_the_number_of_each_class_and_rows_stay_together():
    y = np.array([0] * 30 + [1] * 3)
    rows = np.arange(33)

    def checked(y_drawn, rows_drawn):
        assert np.sum(y_drawn == 1) == 3 and np.array_equal(y[rows_drawn], y_drawn)
        return len(set(rows_drawn))

    low, high = evaluation.bootstrap_interval(checked, y, rows, strata=y, samples=50)
    assert low < high < 33  # drawn with replacement


def test_the_interval_leaves_out_as_much_above_as_below():
    values = iter(np.random.default_rng(0).permutation(1001))
    interval = evaluation.bootstrap_interval(lambda y: next(values), np.zeros(3), samples=1001, level=0.9)
    assert interval == pytest.approx((50, 950))


def test_the_seed_decides_the_interval():
    y, p = binormal(2, 40)
    first, same, other = (
        evaluation.bootstrap_interval(evaluation.roc_auc, y, p, strata=y, samples=100, seed=seed) for seed in (7, 7, 8)
    )
    assert first == same != other


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    """150 test sets of 60 from two normal distributions one apart, whose true AUC is Phi(1 / sqrt 2)."""
    truth, hits = NormalDist().cdf(2**-0.5), 0
    for seed in range(150):
        y, p = binormal(seed, 30)
        low, high = evaluation.bootstrap_interval(evaluation.roc_auc, y, p, strata=y, samples=150, level=0.9)
        hits += low <= truth <= high
    assert 0.80 <= hits / 150 <= 0.97  # binomial(150, 0.9) is in there all but 1 in 10,000 times


def test_a_statistic_that_is_not_finite_is_an_error_that_names_strata():
    with pytest.raises(ValueError, match="give strata"):
        evaluation.bootstrap_interval(lambda y: np.nan if y.all() else 1.0, np.array([0, 1]))


# --- which class is the disease -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["abnormal", "normal"], "abnormal"),
        (["normal", "abnormal"], "abnormal"),
        (["NORMAL", "PNEUMONIA"], "PNEUMONIA"),
        (["Healthy_Lung", "Cancer"], "Cancer"),
        (["benign", "malignant"], "malignant"),
        (["ill", "control"], "ill"),
        (["positive", "negative"], "positive"),
        (["covid", "non-covid"], "covid"),
        (["tumor", "no_tumor"], "tumor"),
        (["not normal", "normal"], "not normal"),
        (["NotNormal", "Normal"], "NotNormal"),
        (["non-small-cell carcinoma", "normal"], "non-small-cell carcinoma"),
        (["Parasitized", "Uninfected"], "Parasitized"),
        (["异常", "正常"], "异常"),
        (["不正常", "正常"], "不正常"),
        (["健康", "肺炎"], "肺炎"),
        (["阳性", "阴性"], "阳性"),
        (["恶性", "良性"], "恶性"),
        (["肺炎", "无肺炎"], "肺炎"),
        (["0", "1"], "1"),
        (["cat", "dog"], "dog"),
        (["normal", "healthy"], "healthy"),
        (["bacteria", "normal", "virus"], "virus"),
        (["a", "b", "normal"], "b"),
        (["only"], "only"),
        (["abnormality", "normality"], "normality"),
    ],
)
def test_the_positive_class_is_the_one_not_called_healthy(names, expected):
    assert names[evaluation.positive_class(names)] == expected


def test_no_names_have_no_positive_class():
    with pytest.raises(ValueError, match="no class names"):
        evaluation.positive_class([])


# --- a whole diagnosis --------------------------------------------------------------------------------------


@given(diagnosed(), st.sampled_from([NAMES, ["normal", "ill"], ["正常", "异常"]]), st.sampled_from([0.5, 0.3]))
def test_any_test_set_gives_json_without_nan_and_a_reason_for_each_none(data, names, threshold):
    y, p = data
    found = evaluation.evaluate_diagnosis(y, p, names, threshold=threshold, samples=20)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    for key in ("accuracy", "sensitivity", "specificity", "precision", "f1", "roc_auc"):
        assert (found[key] is None) == (key in found["reasons"]) == (found[f"{key}_interval"] is None)
        if found[key] is not None:
            low, high = found[f"{key}_interval"]
            assert low <= found[key] <= high
    assert found["count"] == sum(found["class_counts"].values()) == len(y)
    assert np.sum(found["confusion_matrix"], axis=1).tolist() == list(found["class_counts"].values())
    assert found["positive_class"] in found["statement"] and str(len(y)) in found["statement"]


@given(diagnosed())
def test_accuracy_is_that_of_keras_even_where_the_probability_is_a_half(data):
    y, p = data
    streamed = metrics.BinaryAccuracy()
    streamed.update_state(y, p)
    for names in (NAMES, NAMES[::-1]):
        found = evaluation.evaluate_diagnosis(y, p, names, samples=5)
        assert found["accuracy"] == pytest.approx(streamed.result())


def test_the_disease_is_found_whichever_index_it_has():
    """Swapping the classes swaps labels and probabilities, and changes nothing said about the disease."""
    y, p = binormal(3, 50)
    here = evaluation.evaluate_diagnosis(y, p, ["normal", "abnormal"])
    there = evaluation.evaluate_diagnosis(1 - y, 1 - p, ["abnormal", "normal"])
    assert here["positive_class"] == there["positive_class"] == "abnormal"
    for key in ("sensitivity", "specificity", "precision", "f1", "roc_auc", "brier_score", "expected_calibration_error"):
        assert here[key] == pytest.approx(there[key]), key
    assert here["sensitivity"] == pytest.approx(sk.recall_score(y, p > 0.5))
    assert here["roc_auc"] == pytest.approx(sk.roc_auc_score(y, p))
    assert here["sensitivity"] != pytest.approx(here["specificity"])  # so that a swap would be seen


def test_positive_can_be_named_and_the_threshold_is_on_its_probability():
    y, p = binormal(4, 50)
    found = evaluation.evaluate_diagnosis(y, p, ["normal", "abnormal"], positive="normal", threshold=0.7)
    assert found["positive_class"] == "normal"
    assert found["sensitivity"] == pytest.approx(np.mean(1 - p[y == 0] >= 0.7))
    assert found["specificity"] == pytest.approx(np.mean(1 - p[y == 1] < 0.7))
    assert found["roc_auc"] == pytest.approx(sk.roc_auc_score(y, p))


def test_a_sigmoid_and_a_softmax_say_the_same():
    y, p = binormal(5, 30)
    column = evaluation.evaluate_diagnosis(y[:, np.newaxis], p[:, np.newaxis], NAMES)
    assert column == evaluation.evaluate_diagnosis(y, p, NAMES)
    both = evaluation.evaluate_diagnosis(y, np.column_stack([1 - p, p]), NAMES)
    assert both == column


def test_the_area_is_exact_where_a_sigmoid_saturates():
    y, p = np.array([0, 0, 1, 1]), np.array([1e-30, 1e-25, 1e-20, 1.0])  # 1 - p would be 1 for three of them
    assert evaluation.evaluate_diagnosis(y, p, NAMES)["roc_auc"] == 1


def test_three_classes_are_those_of_scikit_learn():
    rng = np.random.default_rng(6)
    y, table, names = rng.integers(0, 3, 90), rng.dirichlet(np.ones(3), 90), ["bacteria", "normal", "virus"]
    called = table.argmax(axis=1)
    found = evaluation.evaluate_diagnosis(y, table, names, samples=50)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(y, called))
    assert found["sensitivity"] == pytest.approx(sk.recall_score(y, called, average="macro"))
    assert found["precision"] == pytest.approx(sk.precision_score(y, called, average="macro"))
    assert found["f1"] == pytest.approx(sk.f1_score(y, called, average="macro"))
    assert found["roc_auc"] == pytest.approx(sk.roc_auc_score(y, table, multi_class="ovr"))
    assert found["roc_auc_interval"][0] < found["roc_auc"] < found["roc_auc_interval"][1]
    assert found["brier_score"] == pytest.approx(np.mean(np.sum((table - np.eye(3)[y]) ** 2, axis=1)))
    error = evaluation.expected_calibration_error(called == y, table.max(axis=1))
    assert found["expected_calibration_error"] == pytest.approx(error)
    for k, record in enumerate(found["per_class"]):
        assert record["class"] == names[k] and record["count"] == np.sum(y == k)
        assert record["specificity"] == pytest.approx(np.mean(called[y != k] != k))
        assert record["roc_auc"] == pytest.approx(sk.roc_auc_score(y == k, table[:, k]))
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_a_class_without_examples_leaves_the_mean_unknown_but_not_the_rest():
    table = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1]])
    found = evaluation.evaluate_diagnosis([0, 1, 1], table, ["a", "b", "c"], samples=50)
    assert found["roc_auc"] is None and "no example of c" in found["reasons"]["roc_auc"]
    assert found["sensitivity"] is None and "c" in found["reasons"]["sensitivity"]
    assert found["accuracy"] == pytest.approx(2 / 3) and found["per_class"][1]["sensitivity"] == 0.5
    assert found["per_class"][2]["reasons"]["roc_auc"] == "no example is c"
    assert json.dumps(found, allow_nan=False)


def test_one_class_in_the_test_set_is_said():
    found = evaluation.evaluate_diagnosis([1, 1], [0.6, 0.7], NAMES)
    assert found["reasons"]["roc_auc"] == "the test set has no example of abnormal"
    assert found["roc_auc"] is None
    assert found["sensitivity"] is None and found["specificity"] == 1


def test_an_interval_without_width_says_why():
    found = evaluation.evaluate_diagnosis([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], NAMES)
    assert found["roc_auc_interval"] == [1, 1] and "cannot tell" in found["reasons"]["roc_auc_interval"]


@pytest.mark.parametrize(
    ("y", "p", "names", "options", "what"),
    [
        ([0, 1], [0.1, 0.2, 0.3], NAMES, {}, r"lengths differ: \[2, 3\]"),
        ([0, 1, 2], [0.1, 0.2, 0.3], NAMES, {}, "y_true must hold class numbers 0 to 1, but holds 2"),
        ([0, 0.5], [0.1, 0.2], NAMES, {}, "holds 0.5"),
        ([0, 1], [0.1, float("nan")], NAMES, {}, "1 predictions are NaN, the first in row 1"),
        ([0, 1], [-3.0, 4.0], NAMES, {}, "sigmoid"),
        ([0, 1], [[0.1, 0.9, 0.0], [np.nan, 1.0, 0.0]], ["a", "b", "c"], {}, "1 predictions are NaN"),
        ([0, 1], [[1.5, -0.5, 0.0], [0.0, 1.0, 0.0]], ["a", "b", "c"], {}, "span -0.5 to 1.5"),
        ([0, 1], [[0.1, 0.1], [0.5, 0.5]], NAMES, {}, r"row 0 sum to 0.2, not 1"),
        ([0, 1], [[0.1, 0.9, 0.0], [0.5, 0.5, 0.0]], NAMES, {}, r"\(2, 3\) do not fit the 2 classes"),
        ([0, 1], [0.1, 0.2], ["a", "b", "c"], {}, r"\(2,\) do not fit the 3 classes"),
        ([], [], NAMES, {}, "do not fit"),
        ([0, 1], [0.1, 0.2], ["same", "same"], {}, "two or more different names"),
        ([0, 1], [0.1, 0.2], ["one"], {}, "two or more different names"),
        ([0, 1], [0.1, 0.2], "ab", {}, "two or more different names"),
        ([0, 1], [0.1, 0.2], NAMES, {"positive": "ill"}, "positive='ill' is none of"),
        ([0, 1], [0.1, 0.2], NAMES, {"threshold": 5}, "threshold must be"),
        ([0, 1], np.eye(3)[:2], ["a", "b", "c"], {"positive": "a"}, "are for two classes"),
        ([0, 1], np.eye(3)[:2], ["a", "b", "c"], {"threshold": 0.4}, "are for two classes"),
    ],
)
def test_what_cannot_be_evaluated_is_one_clear_line(y, p, names, options, what):
    with pytest.raises(ValueError, match=what) as error:
        evaluation.evaluate_diagnosis(y, p, names, **options)
    assert "\n" not in str(error.value)
