"""DeLong's interval and test, McNemar's test: against brute force over pairs, a bootstrap, simulation, and scipy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

import tinydx
from tinydx.evaluation import bootstrap_interval, roc_auc, wilson_interval
from tinydx.validation import delong_interval, delong_test, mcnemar_test


def wins(y, score) -> np.ndarray:
    """psi(X_i, Y_j) of every pair (m, n): 1, 1/2 for a tie, or 0."""
    y, score = np.asarray(y), np.asarray(score, float)
    x, negative = score[y == 1][:, None], score[y == 0][None]
    return (x > negative) + 0.5 * (x == negative)


def variance_by_pairs(psi: np.ndarray) -> float:
    """The variance of a mean over all pairs, straight from its definition: unbiased sums over pairs that share an example.

    Cov of two pairs with the same positive is estimated by V10's sample variance; written here as sums over pairs of pairs.
    """
    m, n = psi.shape
    area = psi.mean()
    same_positive = sum((psi[i, j] - area) * (psi[i, k] - area) for i in range(m) for j in range(n) for k in range(n))
    same_negative = sum((psi[i, j] - area) * (psi[k, j] - area) for j in range(n) for i in range(m) for k in range(m))
    return same_positive / n**2 / (m - 1) / m + same_negative / m**2 / (n - 1) / n


def made_up(rng, m: int, n: int, shift: float, decimals: int = 1):
    """Labels and two correlated scores with ties."""
    y = np.repeat([1, 0], [m, n])
    patient = rng.normal(size=m + n)
    scores = [np.round(shift * y + patient + rng.normal(size=m + n), decimals) for _ in range(2)]
    return y, *scores


@pytest.mark.parametrize(("m", "n"), [(5, 9), (12, 4), (2, 2), (20, 20)])
@pytest.mark.parametrize("seed", range(5))
def test_the_variance_is_that_of_the_pairs(m, n, seed):
    y, a, b = made_up(np.random.default_rng(seed), m, n, 0.7)
    psi_a, psi_b = wins(y, a), wins(y, b)
    area, low, high = delong_interval(y, a)
    assert area == pytest.approx(roc_auc_score(y, a), abs=1e-12) == pytest.approx(psi_a.mean(), abs=1e-12)
    half = 1.959963984540054 * np.sqrt(variance_by_pairs(psi_a))
    if 0 < area < 1:
        assert (low, high) == pytest.approx((max(0, area - half), min(1, area + half)), abs=1e-9)
    difference = psi_a.mean() - psi_b.mean()
    if abs(difference) > 1e-9:
        z = difference / np.sqrt(variance_by_pairs(psi_a - psi_b))
        assert delong_test(y, a, b) == pytest.approx(2 * stats.norm.sf(abs(z)), abs=1e-9)


def test_it_agrees_with_a_bootstrap():
    rng = np.random.default_rng(1)
    y, a, b = made_up(rng, 150, 200, 1.0, decimals=6)
    area, low, high = delong_interval(y, a)
    assert (low, high) == pytest.approx(bootstrap_interval(roc_auc, y, a, samples=4000, strata=y), abs=0.006)
    assert area == roc_auc(y, a)
    drawn = []
    for _ in range(4000):
        rows = np.concatenate([rng.choice(np.flatnonzero(y == k), np.sum(y == k)) for k in (0, 1)])
        drawn.append(roc_auc(y[rows], a[rows]) - roc_auc(y[rows], b[rows]))
    z = (roc_auc(y, a) - roc_auc(y, b)) / np.std(drawn)
    assert delong_test(y, a, b) == pytest.approx(2 * stats.norm.sf(abs(z)), abs=0.03)


def test_the_interval_covers_the_true_area():
    """The normal model's area is known; 95 % of intervals of 60 examples hold it, within what 1,000 trials can tell."""
    rng, shift = np.random.default_rng(0), 1.2
    truth, y = stats.norm.cdf(shift / np.sqrt(2)), np.arange(60) % 2
    hits = 0
    for _ in range(1000):
        _, low, high = delong_interval(y, shift * y + rng.normal(size=60))
        hits += low <= truth <= high
    assert 920 <= hits <= 970


def test_the_test_has_its_size_and_power():
    """Without a difference p < .05 in 5 % of 1,000 studies; with one it is found."""
    rng, y = np.random.default_rng(0), np.arange(80) % 2
    null, real = [], []
    for _ in range(1000):
        patient = rng.normal(size=80)
        a, b, poor = (shift * y + patient + rng.normal(size=80) for shift in (1.5, 1.5, 0.2))
        null.append(delong_test(y, a, b))
        real.append(delong_test(y, a, poor))
    assert 30 <= np.sum(np.array(null) < 0.05) <= 70
    assert stats.kstest(null, "uniform").pvalue > 0.001
    assert np.mean(np.array(real) < 0.05) > 0.9


def test_an_area_of_1_keeps_an_interval():
    y = np.repeat([0, 1], [20, 10])
    for score, end in ((np.arange(30.0), 1), (-np.arange(30.0), 0)):
        area, low, high = delong_interval(y, score)
        assert area == end and (low, high) == wilson_interval(10 * end, 10) and high - low > 0.2


def test_degenerate_scores_follow_the_stated_rule():
    y, constant, perfect = np.repeat([0, 1], [20, 5]), np.zeros(25), np.arange(25.0)
    assert delong_interval(y, constant) == (0.5, 0.5, 0.5)
    assert delong_test(y, constant, constant) == delong_test(y, perfect, perfect) == delong_test(y, perfect, 2 * perfect + 1) == 1
    assert delong_test(y, perfect, constant) == delong_test(y, constant, perfect) == 2.0**-4  # five pairs agree: sign test
    single = np.r_[1, np.zeros(9)]
    assert (
        delong_interval(single, np.arange(10.0) % 3)[1:] == (0.0, 1.0)
        and delong_test(single, np.arange(10.0), -np.arange(10.0)) == 1
    )
    assert delong_interval(single, np.arange(10.0))[1] == 0


@pytest.mark.parametrize("function", [delong_interval, lambda y, score: delong_test(y, score, score)])
@pytest.mark.parametrize(
    ("y", "score", "what"),
    [
        ([1, 1], [0.1, 0.2], "both classes"),
        ([0, 1], [0.1, np.nan], "NaN"),
        ([0, 1, 1], [0.1, 0.2], "lengths"),
        ([0, 2], [1, 2], "0 to 1"),
    ],
)
def test_what_has_no_area_is_refused(function, y, score, what):
    with pytest.raises(ValueError, match=what):
        function(y, score)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60))
def test_mcnemar_is_the_binomial_test_of_what_differs(answers):
    a, b = (np.array([pair[k] for pair in answers], bool) for k in (0, 1))
    only_a, only_b = int(np.sum(a & ~b)), int(np.sum(b & ~a))
    expected = stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    assert mcnemar_test(a, b) == pytest.approx(expected, abs=1e-12) == mcnemar_test(b, a)


def test_mcnemar_of_many_examples():
    a, b = np.arange(20000) % 2 == 0, np.arange(20000) % 4 < 2
    a[:300] = True
    only_a, only_b = int(np.sum(a & ~b)), int(np.sum(b & ~a))
    assert mcnemar_test(a, b) == pytest.approx(stats.binomtest(only_a, only_a + only_b).pvalue, rel=1e-9)
    with pytest.raises(ValueError, match="one answer"):
        mcnemar_test(a, b[1:])


def test_the_names_are_public():
    assert tinydx.validation.delong_interval is delong_interval and tinydx.validation.delong_test is delong_test
