"""Temperature, conformal sets, net benefit and thresholds: their properties, independent references, and what is refused."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.metrics import confusion_matrix

from tinydx.evaluation import roc_auc
from tinydx.validation import (
    conformal_quantile,
    conformal_scores,
    conformal_sets,
    delong_interval,
    fit_temperature,
    log_loss,
    logits_of,
    net_benefit,
    threshold_for_sensitivity,
    with_temperature,
)
from tinydx.validation.temperature import _slope

SEEDS = st.integers(0, 2**32 - 1)


def classified(rng, n=200, k=3, sure=3.0):
    """Logits (n,k) of a model that is surer by the factor `sure` than it is right, and class numbers drawn by its true odds."""
    honest = rng.normal(0, 1.5, (n, k))
    p = np.exp(honest) / np.exp(honest).sum(axis=1, keepdims=True)
    y = (p.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(0, k - 1)
    y[:2] = [0, 1]
    return sure * honest, y


# ---- temperature ---------------------------------------------------------------------------------------------------


@given(seed=SEEDS, k=st.integers(2, 5), sure=st.floats(0.2, 8))
def test_temperature_has_the_lowest_log_loss_of_all(seed, k, sure):
    z, y = classified(np.random.default_rng(seed), 60, k, sure)
    t = fit_temperature(z, y)

    def loss(log_t):
        return -log_softmax(z / np.exp(log_t), axis=1)[np.arange(len(y)), y].mean()

    best = minimize_scalar(loss, bounds=(-6, 12), method="bounded", options={"xatol": 1e-9}).fun
    assert log_loss(z / t, y) == pytest.approx(loss(np.log(t)), rel=1e-12)
    assert log_loss(z / t, y) <= best + 1e-9 and log_loss(z / t, y) <= log_loss(z, y) + 1e-12


def test_temperature_finds_how_much_too_sure_a_model_is():
    for sure in (0.5, 1.0, 4.0):
        z, y = classified(np.random.default_rng(3), 20_000, 3, sure)
        assert fit_temperature(z, y) == pytest.approx(sure, rel=0.05)


@given(seed=SEEDS, factor=st.floats(0.01, 100))
def test_temperature_scales_with_the_logits_and_knows_no_shift(seed, factor):
    rng = np.random.default_rng(seed)
    z, y = classified(rng, 40)
    t = fit_temperature(z, y)
    assert fit_temperature(factor * z, y) == pytest.approx(factor * t, rel=1e-9)
    assert fit_temperature(z + rng.normal(size=(40, 1)), y) == pytest.approx(t, rel=1e-9)


@given(seed=SEEDS, k=st.integers(2, 5))
def test_temperature_leaves_the_class_called_and_the_area_alone(seed, k):
    z, y = classified(np.random.default_rng(seed), 80, k)
    p = np.exp(log_softmax(z, axis=1))
    after = with_temperature(p, fit_temperature(z, y))
    assert (after.argmax(axis=1) == p.argmax(axis=1)).all() and after.sum(axis=1) == pytest.approx(1)
    if k == 2:
        assert roc_auc(y, after[:, 1]) == roc_auc(y, p[:, 1])
    order = np.argsort(p, axis=1, kind="stable")
    assert (np.diff(np.take_along_axis(after, order, axis=1), axis=1) >= 0).all()


def test_the_slope_is_the_complex_step_of_the_loss():
    z, y = classified(np.random.default_rng(0))
    z = z - z.max(axis=1, keepdims=True)
    for a in (0.0, 0.3, 1.0, 4.0):
        step = (a + 1e-30j) * z
        loss = np.mean(np.log(np.exp(step).sum(axis=1)) - step[np.arange(len(y)), y])
        assert _slope(z, y, a) == pytest.approx(loss.imag / 1e-30, abs=1e-12)


def test_a_sigmoid_s_logits_are_those_of_two_classes():
    z, y = classified(np.random.default_rng(1), k=2, sure=1.5)
    margin = z[:, 1] - z[:, 0]
    assert fit_temperature(margin, y) == fit_temperature(margin[:, None], y[:, None]) == pytest.approx(fit_temperature(z, y))
    p = 1 / (1 + np.exp(-margin))
    assert fit_temperature(logits_of(np.stack([1 - p, p], 1)), y) == pytest.approx(fit_temperature(z, y), rel=1e-6)
    assert with_temperature(np.stack([1 - p, p], 1), 2.0)[:, 1] == pytest.approx(1 / (1 + np.exp(-margin / 2)))


def test_where_the_loss_has_no_minimum_the_rule_is_stated():
    right = np.array([[2.0, 0.0], [0.0, 1.0]])
    assert fit_temperature(right, [0, 1]) == 1  # all right: T would fall to 0
    t = fit_temperature(right, [1, 0])  # worse than no logits: T would rise without end
    assert t == 2000 and log_loss(right / t, [1, 0]) == pytest.approx(math.log(2), abs=1e-3)
    assert fit_temperature(np.zeros((4, 3)), [0, 1, 2, 0]) == 1


def test_certain_outputs_stay_certain():
    sure = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    for t in (0.01, 0.5, 3.0, 1000.0):
        assert np.array_equal(with_temperature(sure, t), sure)
    assert with_temperature(np.full((1, 7), 1 / 7), 1e-3) == pytest.approx(np.full((1, 7), 1 / 7))
    p = np.random.default_rng(0).dirichlet([1, 1, 1], 50)
    assert with_temperature(p, 1.0) is not None and np.array_equal(with_temperature(p, 1.0), p)  # bit for bit


@pytest.mark.parametrize(
    ("z", "y", "what"),
    [
        ([0.1, np.nan], [0, 1], "NaN"),
        ([[0.1, np.inf], [0, 1]], [0, 1], "infinite"),
        ([0.1, 0.2], [1, 1], "two classes"),
        ([0.1, 0.2], [0, 2], "one is 2"),
        ([0.1, 0.2], [0, np.nan], "one is nan"),
        ([0.1, 0.2], [0, 1, 1], "each of 2 examples"),
        ([[[0.1]]], [0], "not \\(1, 1, 1\\)"),
        ([], [], "not \\(0,\\)"),
        (3.0, 1, "not \\(\\)"),
    ],
)
def test_logits_that_say_nothing_are_refused(z, y, what):
    with pytest.raises(ValueError, match=what) as error:
        fit_temperature(z, y)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("t", [0, -1, np.nan, np.inf])
def test_no_temperature_is_refused(t):
    with pytest.raises(ValueError, match="above 0"):
        with_temperature([[0.5, 0.5]], t)


# ---- conformal sets ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("alpha", "n"), [(0.1, 50), (0.05, 99), (0.2, 23)])
@pytest.mark.parametrize("k", [2, 4])
def test_mean_coverage_over_a_thousand_splits_is_as_promised(alpha, n, k):
    """The promise is about the mean; its Monte-Carlo error is that of 1,000 means of 200, taken three times."""
    z, y = classified(np.random.default_rng(1), 4000, k)
    p, rng, covered = np.exp(log_softmax(z, axis=1)), np.random.default_rng(2), []
    for _ in range(1000):
        rows = rng.permutation(len(y))[: n + 200]
        old, new = rows[:n], rows[n:]
        covered.append(conformal_sets(p[old], y[old], p[new], alpha)[np.arange(200), y[new]].mean())
    error = 3 * np.std(covered) / np.sqrt(1000)
    assert 1 - alpha - error <= np.mean(covered) <= 1 - alpha + 1 / (n + 1) + error


def test_a_quantile_one_rank_too_low_would_be_seen():
    """The coverage test can tell: without the n + 1, the mean coverage lies below the promise by more than the error."""
    rng, missed = np.random.default_rng(0), []
    for _ in range(1000):
        s = rng.random(20 + 200)
        missed.append(np.mean(s[20:] > np.sort(s[:20])[math.ceil(20 * 0.9) - 1]))
    assert np.mean(missed) - 3 * np.std(missed) / np.sqrt(1000) > 0.1


def test_choosing_the_best_of_ten_on_the_same_examples_costs_about_one_point_of_coverage():
    """The worst case of docs/decisions.md: ten epochs equally good with independent errors, 200 examples, alpha .05."""
    rng, n, covered = np.random.default_rng(0), 200, []
    for _ in range(1000):
        z, y = rng.normal(0, 1.5, 2 * n), np.empty(2 * n, int)
        y[:] = rng.random(2 * n) < 1 / (1 + np.exp(-z))
        p = 1 / (1 + np.exp(-2 * (z + rng.normal(0, 0.8, (10, 2 * n)))))
        loss = -np.log(np.where(y == 1, p, 1 - p))[:, :n].mean(axis=1)
        best = p[loss.argmin()]
        covered.append(conformal_sets(best[:n], y[:n], best[n:], 0.05)[np.arange(n), y[n:]].mean())
    assert 0.935 < np.mean(covered) < 0.945


@given(scores=st.lists(st.integers(0, 5), min_size=1, max_size=40), alpha=st.integers(1, 99))
@example(scores=list(range(99)), alpha=29)  # 100 * 0.29 is 28.999999999999996
def test_the_quantile_is_the_smallest_that_keeps_the_promise(scores, alpha):
    """Counted in whole numbers: of the n + 1 exchangeable scores, at most alpha (n + 1) may lie above."""
    q, n = conformal_quantile(scores, alpha / 100), len(scores)
    enough = [s for s in sorted(scores) if 100 * sum(v <= s for v in scores) >= (n + 1) * (100 - alpha)]
    assert q == (enough[0] if enough else math.inf)


def test_ties_make_sets_larger_never_smaller():
    p = np.repeat([[0.4, 0.6]], 30, axis=0)
    y = np.array([0] * 10 + [1] * 20)
    assert conformal_sets(p, y, p[:1], 0.1).tolist() == [[True, True]]  # the rank falls among the ten ties of class 0
    assert conformal_sets(p, y, p[:1], 0.5).tolist() == [[False, True]]


def test_too_few_examples_give_all_classes():
    p, y = np.full((8, 3), 1 / 3), np.zeros(8, int)
    assert conformal_quantile(conformal_scores(p, y), 0.1) == math.inf == conformal_quantile([], 0.5)
    assert conformal_sets(p, y, [[1.0, 0.0, 0.0]], 0.1).all()
    assert not conformal_sets(p, y, [[1.0, 0.0, 0.0]], 0.2).all()


@given(seed=SEEDS)
def test_sets_grow_as_alpha_falls_and_of_two_classes_ignore_the_temperature(seed):
    rng = np.random.default_rng(seed)
    z, y = classified(rng, 60, 2)
    p = 1 / (1 + np.exp(z[:, 0] - z[:, 1]))
    sets = [conformal_sets(p[:40], y[:40], p[40:], alpha) for alpha in (0.5, 0.2, 0.1, 0.01)]
    assert all((large | ~small).all() for small, large in itertools.pairwise(sets)) and sets[-1].all()
    assert np.array_equal(sets[1], conformal_sets(p[:40, None], y[:40], p[40:, None], 0.2))
    assert np.array_equal(sets[1], conformal_sets(np.stack([1 - p, p], 1)[:40], y[:40], np.stack([1 - p, p], 1)[40:], 0.2))
    warm = with_temperature(np.stack([1 - p, p], 1), 2.0)
    assert np.array_equal(sets[1], conformal_sets(warm[:40], y[:40], warm[40:], 0.2))


@pytest.mark.parametrize(
    ("p", "y", "new", "alpha", "what"),
    [
        ([0.1, np.nan], [0, 1], [0.5], 0.1, "NaN"),
        ([0.1, 1.5], [0, 1], [0.5], 0.1, "in \\[0, 1\\]"),
        ([0.1, 0.5], [0, 2], [0.5], 0.1, "0 to 1"),
        ([0.1, 0.5], [0], [0.5], 0.1, "each of 2"),
        ([0.1, 0.5], [0, 1], [[0.2, 0.3, 0.5]], 0.1, "2 classes, the new examples have 3"),
        ([[0.2, 0.9]], [0], [0.5], 0.1, "sum to"),
        ([0.1, 0.5], [0, 1], [0.5], 0, "between 0 and 1"),
        ([0.1, 0.5], [0, 1], [0.5], 1, "between 0 and 1"),
        ([0.1, 0.5], [0, 1], [0.5], np.nan, "between 0 and 1"),
    ],
)
def test_what_is_no_probability_has_no_sets(p, y, new, alpha, what):
    with pytest.raises(ValueError, match=what) as error:
        conformal_sets(p, y, new, alpha)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("scores", [[0.1, np.nan], [[0.1]]])
def test_scores_without_a_rank_are_refused(scores):
    with pytest.raises(ValueError, match="without NaN"):
        conformal_quantile(scores, 0.1)


# ---- net benefit ---------------------------------------------------------------------------------------------------


@given(seed=SEEDS)
def test_net_benefit_is_that_of_the_counts(seed):
    rng = np.random.default_rng(seed)
    y, p = np.r_[0, 1, rng.integers(0, 2, 30)], np.round(rng.random(32), 1)
    thresholds = [0.0, 0.1, 0.25, 0.5, 0.9]
    model, everybody = net_benefit(y, p, thresholds)
    for t, a, b in zip(thresholds, model, everybody, strict=True):
        (_, false), (_, true) = confusion_matrix(y, p >= t, labels=[0, 1])
        assert a == pytest.approx((true - false * t / (1 - t)) / 32)
        assert b == pytest.approx(y.mean() - (1 - y.mean()) * t / (1 - t))


@given(y=st.lists(st.integers(0, 1), min_size=2, max_size=60).filter(lambda y: 0 < sum(y) < len(y)))
def test_treating_all_is_worth_nothing_at_the_prevalence(y):
    prevalence = np.mean(y)
    model, everybody = net_benefit(y, np.full(len(y), prevalence), [prevalence, 0.0])
    assert everybody == pytest.approx([0, prevalence], abs=1e-12) and np.array_equal(model, everybody)


def test_no_model_is_worth_more_than_the_truth():
    y, t = np.arange(40) % 4 == 0, np.linspace(0, 0.99, 34)
    model, everybody = net_benefit(y, y.astype(float), t)
    assert model[1:] == pytest.approx(np.full(33, 0.25)) and (everybody <= 0.25).all()
    assert net_benefit(y, np.zeros(40), t[1:])[0].tolist() == [0] * 33  # treats none


@pytest.mark.parametrize(
    ("y", "p", "t", "what"),
    [
        ([0, 1], [0.1, 0.2], [1.0], "below 1"),
        ([0, 1], [0.1, 0.2], [-0.1], "from 0"),
        ([0, 1], [0.1, 0.2], [np.nan], "from 0"),
        ([0, 1], [0.1, 0.2], [[0.1]], "\\(M,\\)"),
        ([0, 1], [0.1, np.nan], [0.1], "NaN"),
        ([0, 1], [0.1, 2.0], [0.1], "in \\[0, 1\\]"),
        ([0, 2], [0.1, 0.2], [0.1], "0 to 1"),
    ],
)
def test_what_has_no_net_benefit_is_refused(y, p, t, what):
    with pytest.raises(ValueError, match=what) as error:
        net_benefit(y, p, t)
    assert "\n" not in str(error.value)


# ---- thresholds ----------------------------------------------------------------------------------------------------


@given(seed=SEEDS, wanted=st.integers(1, 100), decimals=st.sampled_from([1, 3]))
def test_the_threshold_is_the_highest_that_is_sensitive_enough(seed, wanted, decimals):
    """By trying all of them; in whole numbers, so that 0.55 of 20 is 11."""
    rng = np.random.default_rng(seed)
    y, p = np.r_[0, 1, rng.integers(0, 2, 38)], np.round(rng.random(40), decimals)
    positives = int(y.sum())
    good = [t for t in p if 100 * np.sum((p >= t) & (y == 1)) >= wanted * positives]
    assert threshold_for_sensitivity(y, p, wanted / 100) == max(good)


def test_a_higher_sensitivity_never_has_a_higher_threshold():
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 2, 200), np.round(rng.random(200), 2)
    found = [threshold_for_sensitivity(y, p, s) for s in [1e-6, *np.linspace(0.01, 1, 100)]]
    assert (np.diff(found) <= 0).all() and found[-1] == p[y == 1].min() and found[0] == p[y == 1].max()


def test_a_share_that_floats_cannot_hold_is_not_rounded_up():
    p = np.arange(50) / 50
    assert 25 * 0.28 > 7 and threshold_for_sensitivity(p > 0.49, p, 0.28) == p[-7]


def test_ties_are_called_alike():
    y, p = [0, 1, 1, 1, 1], [0.5, 0.5, 0.5, 0.5, 0.9]
    assert [threshold_for_sensitivity(y, p, s) for s in (0.25, 0.26, 0.75, 1.0)] == [0.9, 0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    ("y", "p", "s", "what"),
    [
        ([0, 1], [0.1, 0.2], 1.01, "no threshold has a sensitivity of 1.01"),
        ([0, 1], [0.1, 0.2], 0, "no threshold"),
        ([0, 1], [0.1, 0.2], np.nan, "no threshold"),
        ([0, 0], [0.1, 0.2], 0.9, "both classes"),
        ([1, 1], [0.1, 0.2], 0.9, "both classes"),
        ([0, 1], [0.1, np.nan], 0.9, "NaN"),
        ([0, 1, 1], [0.1, 0.2], 0.9, "lengths"),
    ],
)
def test_a_sensitivity_that_cannot_be_is_refused(y, p, s, what):
    with pytest.raises(ValueError, match=what) as error:
        threshold_for_sensitivity(y, p, s)
    assert "\n" not in str(error.value)


# ---- DeLong's interval against a published one ---------------------------------------------------------------------


def test_delong_s_interval_is_the_published_one():
    """Ratings of 109 CT images (Hanley and McNeil 1982, table I). Stata's manual of `roctab`, which uses DeLong's variance,
    prints the area .8932, the standard error .0307 and the interval .83295 to .95339."""
    healthy, ill = [33, 6, 6, 11, 2], [3, 2, 2, 11, 33]
    score = np.r_[np.repeat(range(1, 6), healthy), np.repeat(range(1, 6), ill)]
    area, low, high = delong_interval(np.repeat([0, 1], [58, 51]), score)
    assert (round(area, 4), round(low, 5), round(high, 5)) == (0.8932, 0.83295, 0.95339)
    assert round((high - low) / 2 / 1.959964, 4) == 0.0307
