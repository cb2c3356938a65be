"""Folds of patients and sites: who is left out, what is inside the training folds, and whether intervals hold what they claim."""

import math
import sys
from statistics import NormalDist

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier
from small import dense_model, same_weights

from tinydx.datasets.owners import owned
from tinydx.datasets.study import Examples, Study, joined
from tinydx.optimizers import Adam
from tinydx.validation import Fitting, best_on_noise, cross_validate, delong_interval, leave_one_site_out, nested, shuffled_labels
from tinydx.validation.areas import area_of, difference_over_folds, over_folds, over_sites
from tinydx.validation.folds import SEEDS_APART
from tinydx.validation.learners import features_of
from tinydx.validation.splits import folds_of, patients_of, sites_of


def patients(count=40, each=3, shift=1.0, columns=4, seed=0):
    """Examples of patients: half of them ill; a patient's examples resemble each other."""
    rng = np.random.default_rng(seed)
    ill = rng.permutation(np.arange(count) % 2)
    own = rng.normal(size=(count, columns)) * math.sqrt(0.5)
    x = np.repeat(own + shift * ill[:, None] / 2, each, axis=0) + rng.normal(size=(count * each, columns)) * math.sqrt(0.5)
    whose = np.repeat([f"p{i}" for i in range(count)], each)
    return Examples(x.astype("float32"), np.repeat(ill, each), None, whose)


# ---- who is left out -----------------------------------------------------------------------------------------------


def test_every_example_is_tested_once_and_no_patient_is_on_both_sides():
    part = patients()
    found = cross_validate(LogisticRegression, part, folds=4)
    assert sorted(np.concatenate([fold.test for fold in found.folds])) == list(range(len(part.y)))
    for fold in found.folds:
        assert not {*part.patient[fold.train]} & {*part.patient[fold.test]}
        assert sorted([*fold.train, *fold.test]) == list(range(len(part.y)))
        assert abs(part.y[fold.test].mean() - 0.5) < 0.15
        assert fold.roc_auc == pytest.approx(roc_auc_score(part.y[fold.test], fold.scores))
    assert found.roc_auc == pytest.approx(np.mean([fold.roc_auc for fold in found.folds]))


def test_groups_by_name_by_array_and_none():
    part = patients()
    by_name, by_array = (cross_validate(LogisticRegression, p, 3, g) for p, g in
                         ((part, "patient"), (part._replace(patient=None), part.patient)))  # fmt: skip
    assert all(np.array_equal(a.test, b.test) for a, b in zip(by_name.folds, by_array.folds, strict=True))
    alone = cross_validate(LogisticRegression, part, 3, None)
    assert any({*part.patient[fold.train]} & {*part.patient[fold.test]} for fold in alone.folds)
    with pytest.raises(ValueError, match="groups is 'hospital'"):
        cross_validate(LogisticRegression, part, 3, "hospital")
    with pytest.raises(ValueError, match="groups has 2 entries for 120"):
        cross_validate(LogisticRegression, part, 3, ["a", "b"])


def test_equal_examples_stay_together_whoever_they_are_of():
    part = patients(30, 1)
    twice = joined([part, part._replace(patient=np.array([f"other {i}" for i in range(30)]))])
    fold, whose = folds_of(twice, 3, 0)
    assert np.array_equal(fold[:30], fold[30:]) and len(np.unique(whose)) == 30


def test_a_leak_is_seen_where_patients_are_forgotten():
    """Labels that follow the patient, not x: examples of the same patient give the label away, folds of patients do not."""
    part = patients(60, 4, shift=0.0, columns=60, seed=3)
    leaking, honest = (cross_validate(lambda: KNeighborsClassifier(1), part, 5, g) for g in (None, "patient"))
    assert leaking.roc_auc_interval[0] > 0.8 and honest.roc_auc_interval[0] < 0.5 and honest.roc_auc < 0.6


def test_a_study_is_put_together_from_its_splits():
    part = patients()
    cuts = [part.take(slice(0, 60)), part.take(slice(60, 90)), part.take(slice(90, None))]
    study = Study("numbers", ["well", "ill"], *cuts, False, [], {}, "rows", "4")
    assert cross_validate(LogisticRegression, study, 3).roc_auc == cross_validate(LogisticRegression, part, 3).roc_auc


@pytest.mark.parametrize(
    "call,words",
    [
        (lambda p: cross_validate(LogisticRegression, p, 1), "1 folds: two or more"),
        (lambda p: cross_validate(LogisticRegression, p, 30), "has 20 patients or files for 30 folds"),
        (lambda p: cross_validate(LogisticRegression, p._replace(y=p.y[:5]), 3), "120 examples and 5 labels"),
        (lambda p: cross_validate(lambda: "a model", p, 3), "returned str: expected a compiled model"),
        (lambda p: nested({}, p), "no models to choose from"),
        (lambda p: leave_one_site_out(LogisticRegression, p), "the sites are not known"),
        (lambda p: sites_of(p._replace(site=np.full(120, "a"))), "all examples are of one site, a"),
    ],
)
def test_what_cannot_be_done_is_one_line(call, words):
    with pytest.raises((ValueError, TypeError), match=words) as caught:
        call(patients())
    assert "\n" not in str(caught.value)


def test_without_scikit_learn_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.model_selection", None)
    with pytest.raises(ImportError, match=r"^folds need scikit-learn .*: pip install 'tinydx\[trust\]'$"):
        cross_validate(LogisticRegression, patients(), 3)


# ---- training ------------------------------------------------------------------------------------------------------


def test_a_network_learns_in_each_fold_anew_from_its_seed(tmp_path):
    part = patients(60, 2, shift=2.0, columns=5)
    models = []

    def build():
        models.append(dense_model(optimizer=Adam(0.02)))
        return models[-1], Fitting(epochs=10, batch_size=16)

    found = cross_validate(build, part, 3, seed=7)
    assert len({id(model) for model in models}) == 3 and found.roc_auc > 0.8
    assert [fold.seed for fold in found.folds] == [7, 7 + SEEDS_APART, 7 + 2 * SEEDS_APART]
    again = cross_validate(build, part, 3, seed=7, resume=tmp_path)
    assert all(np.array_equal(a.scores, b.scores) for a, b in zip(found.folds, again.folds, strict=True))
    assert same_weights(models[2], models[5]) and not same_weights(models[0], models[1])


@pytest.mark.parametrize("fitting", [Fitting(6, 16), Fitting(6, 16, best_epoch=True)])
def test_a_run_that_was_interrupted_ends_with_the_same_bits(tmp_path, fitting):
    part = patients(36, 2, columns=5)
    build = lambda: (dense_model(), fitting)  # noqa: E731
    whole = cross_validate(build, part, 3)

    def killed(fold, learner):
        if fold.name == "2":
            (tmp_path / "fold-1.run").unlink()  # as if the second training had not ended
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cross_validate(build, part, 3, resume=tmp_path, after=killed)
    assert [path.name for path in tmp_path.iterdir()] == ["fold-0.run"]
    again = cross_validate(build, part, 3, resume=tmp_path)
    assert [fold.scores.tobytes() for fold in again.folds] == [fold.scores.tobytes() for fold in whole.folds]
    assert again.roc_auc_interval == whole.roc_auc_interval


class Spy:
    """A learner that notes what it was shown."""

    def __init__(self, seen):
        self.seen = seen

    def learn(self, part, seed, state):
        self.seen.append({row.tobytes() for row in part.x})

    def answer(self, part):
        assert not self.seen[-1] & {row.tobytes() for row in part.x}
        return part.x[:, 0]


def test_nested_chooses_without_the_fold_that_is_left_out():
    part, seen = patients(30, 2), []
    found = nested({"a": lambda: Spy(seen), "b": lambda: Spy(seen)}, part, 3, inner=2)
    rows = [row.tobytes() for row in part.x]
    assert len(seen) == 3 * (2 * 2 + 1)
    for k, fold in enumerate(found.folds):
        shown = set.union(*seen[5 * k : 5 * k + 5])
        assert not shown & {rows[i] for i in fold.test} and shown == {rows[i] for i in fold.train}


def test_nested_takes_the_better_model():
    part = patients(60, 1, shift=2.0)
    blind = lambda: LogisticRegression(C=1e-12, fit_intercept=False, random_state=0)  # noqa: E731
    backwards = type("Backwards", (Spy,), {"answer": lambda self, part: -part.x[:, 0]})
    found = nested({"backwards": lambda: backwards([]), "usual": LogisticRegression}, part, 3)
    assert [fold.chosen for fold in found.folds] == ["usual"] * 3 and found.roc_auc > 0.75
    assert cross_validate(blind, part, 3).folds[0].chosen is None


def test_features_are_what_the_last_layer_takes_in():
    model, x = dense_model(), np.random.default_rng(0).normal(size=(40, 5)).astype("float32")
    model.build((None, 5))
    before = model.predict(x)
    found = features_of(model, lambda: model.predict(x, batch_size=16))
    assert np.allclose(found, model.layers[0](x).numpy(), atol=1e-6) and np.array_equal(model.predict(x), before)


# ---- the interval --------------------------------------------------------------------------------------------------


def test_with_one_example_a_patient_the_variance_is_delongs():
    rng = np.random.default_rng(0)
    y, score = np.repeat([0, 1], [70, 50]), rng.normal(size=120) + np.repeat([0, 1], [70, 50])
    area = area_of(y, score, np.arange(120))
    value, low, high = delong_interval(y, score)
    half = NormalDist().inv_cdf(0.975) * math.sqrt(area.variance)
    assert area.value == pytest.approx(value, abs=1e-14) and 2 * half == pytest.approx(high - low, rel=0.01)
    assert abs(area.shares.sum()) < 1e-12


def test_copies_of_an_example_say_no_more_than_one():
    rng = np.random.default_rng(1)
    y = np.arange(40) % 2
    score = y + rng.normal(size=40)
    once, often = (area_of(np.repeat(y, n), np.repeat(score, n), np.repeat(np.arange(40), n)) for n in (1, 10))
    assert often.value == pytest.approx(once.value) and often.variance == pytest.approx(once.variance)
    alone = area_of(np.repeat(y, 10), np.repeat(score, 10), np.arange(400))  # the bug: copies as patients
    assert alone.variance < 0.2 * once.variance


def test_several_classes_have_the_mean_area_of_each_against_the_rest():
    rng = np.random.default_rng(2)
    y = np.arange(90) % 3
    table = rng.dirichlet(np.ones(3), 90) + 0.2 * np.eye(3)[y]
    expected = np.mean([roc_auc_score(y == k, table[:, k]) for k in range(3)])
    assert area_of(y, table, np.arange(90)).value == pytest.approx(expected)
    assert area_of(y[y < 2], table[y < 2], np.arange(60)) is None
    part = Examples(table, y)
    assert 0.5 < cross_validate(LogisticRegression, part, 3).roc_auc < 1


def test_an_area_of_one_gets_an_interval_and_a_constant_score_none():
    y = np.arange(20) % 2
    perfect = [area_of(y, y.astype(float), np.arange(20))] * 3
    assert over_folds(perfect)[0] == 1 and 0.8 < over_folds(perfect)[1][0] < 0.95 and over_folds(perfect)[1][1] == 1
    constant = [area_of(y, np.zeros(20), np.arange(20))] * 3
    assert over_folds(constant) == (0.5, [0.5, 0.5])


def _ridge(x, y):
    centred = x - x.mean(axis=0)
    return np.linalg.solve(centred.T @ centred + 10 * np.eye(x.shape[1]), centred.T @ (y - y.mean()))


def coverage(count, each, columns, shift, folds, draws=150, seed=0):
    """How often the interval holds the expected area of a linear model: (with the correction, without it)."""
    rng, mean = np.random.default_rng(seed), np.where(np.arange(columns) < 4, shift / 2, 0.0)
    ends, true = [], []
    for _ in range(draws):
        ill = rng.permutation(np.arange(count) % 2)
        own = rng.normal(size=(count, columns)) * math.sqrt(0.5)
        whose, y = np.repeat(np.arange(count), each), np.repeat(ill, each)
        x = own[whose] + rng.normal(size=(count * each, columns)) * math.sqrt(0.5) + y[:, None] * mean
        fold = np.empty(count, int)
        for k in (0, 1):
            fold[rng.permutation(np.flatnonzero(ill == k))] = np.arange(np.sum(ill == k)) % folds
        areas = []
        for f in range(folds):
            test = fold[whose] == f
            w = _ridge(x[~test], y[~test])
            areas.append(area_of(y[test], x[test] @ w, whose[test]))
            true.append(NormalDist().cdf(float(w @ mean / np.linalg.norm(w) / math.sqrt(2))))
        value, (low, high) = over_folds(areas)
        half = NormalDist().inv_cdf(0.975) * math.sqrt(sum(area.variance for area in areas)) / folds
        ends.append((low, high, value - half, value + half))
    low, high, plain_low, plain_high = np.array(ends).T
    expected = np.mean(true)
    return np.mean((low <= expected) & (expected <= high)), np.mean((plain_low <= expected) & (expected <= plain_high))


@pytest.mark.parametrize(
    "setting", [(60, 1, 10, 1.0, 5), (60, 4, 10, 0.0, 5), (60, 4, 10, 0.0, 10), (100, 1, 10, 3.0, 5), (120, 2, 20, 1.0, 3)]
)
def test_the_interval_holds_the_expected_area_as_often_as_it_claims(setting):
    """150 draws have a standard error of 1.8 % at 95 %; the interval that forgets the shared training patients fails."""
    corrected, plain = coverage(*setting)
    assert corrected >= 0.92 and corrected > plain
    if setting[3] == 0.0:
        assert plain < 0.9


def test_the_difference_of_two_models_is_known_better_than_either():
    part = patients(60, 2)
    strong, weak = (cross_validate(lambda c=c: LogisticRegression(C=c), part, 4) for c in (1.0, 0.5))
    gap, (low, high) = difference_over_folds(strong.areas, weak.areas)
    assert gap == pytest.approx(strong.roc_auc - weak.roc_auc) and low <= gap <= high
    assert high - low < 0.3 * np.ptp(strong.roc_auc_interval)


# ---- sites ---------------------------------------------------------------------------------------------------------


def hospital(seed=0, sites="abcd", each=60):
    """The disease shifts x0 a little. The site shifts x1, and half of the sites treat the ill ones."""
    rng = np.random.default_rng(seed)
    site = np.repeat(list(sites), each)
    y = (rng.random(len(site)) < np.repeat([0.8 if i % 2 else 0.2 for i in range(len(sites))], each)).astype(int)
    x = rng.normal(size=(len(site), 3))
    x[:, 0] += y
    x[:, 1] += np.repeat([3.0 * (i % 2) + 8 * (i // 2) for i in range(len(sites))], each)
    return Examples(x.astype("float32"), y, site=site)


def test_a_shortcut_through_the_site_is_found():
    found = leave_one_site_out(LogisticRegression, hospital())
    assert [fold.name for fold in found.folds] == ["a", "b", "c", "d"]
    assert all({*hospital().site[fold.test]} == {fold.name} for fold in found.folds)
    assert found.random.roc_auc > found.roc_auc + 0.02 and found.sites.accuracy > 0.9 > found.sites.majority
    assert found.roc_auc_interval[0] < found.roc_auc < found.roc_auc_interval[1]


def test_where_sites_do_not_differ_they_are_not_recognised():
    part = hospital(1)
    part.x[:, 1] = np.random.default_rng(0).normal(size=len(part.y))
    part = part._replace(y=np.random.default_rng(2).permutation(part.y))
    found = leave_one_site_out(lambda: (dense_model(3), Fitting(3)), part, folds=3)
    assert abs(found.sites.balanced - 0.25) < 0.1 and len(found.random.folds) == 3


def test_a_patient_of_two_sites_does_not_train_for_either():
    part = hospital()._replace(patient=np.array(["p0" if i in (0, 100) else f"q{i}" for i in range(240)]))
    first = leave_one_site_out(LogisticRegression, part, folds=3).folds[0]
    assert 0 in first.test and 100 not in first.train and 101 in first.train and len(first.train) == 179


def test_a_site_of_one_class_has_no_area():
    part = hospital()
    found = leave_one_site_out(LogisticRegression, part._replace(y=np.where(part.site == "b", 1, part.y)), folds=3)
    assert found.folds[1].roc_auc is None and len(found.areas) == 3
    assert found.roc_auc == pytest.approx(np.mean([fold.roc_auc for fold in found.folds if fold.roc_auc is not None]))


def test_sites_are_the_sample():
    from scipy.stats import t

    values = [0.61, 0.72, 0.83, 0.64]
    mean, (low, high) = over_sites(values)
    expected = t.interval(0.95, 3, np.mean(values), np.std(values, ddof=1) / 2)
    assert (low, high) == pytest.approx(expected) and over_sites([0.7]) == (0.7, None)


def test_names_of_files_tell_patients_and_sites():
    files = [f"x/{c}/{s}{i:04}.wav" for c in ("ill", "well") for s in "ab" for i in range(3)]
    part = Examples(np.arange(12.0), np.repeat([0, 1], 6), files)
    assert owned(part, "x").site.tolist() == ["a"] * 3 + ["b"] * 3 + ["a"] * 3 + ["b"] * 3 and owned(part, "x").patient is None
    asked = owned(part, "x", patient=r"(\d)\.wav$", site="^(ill|well)")
    assert asked.patient.tolist() == ["0", "1", "2"] * 4 and {*asked.site} == {"ill", "well"}
    assert len(np.unique(patients_of(asked))) == 3
    with pytest.raises(ValueError, match="--site '/a' has 0 groups: put one pair of parentheses around the site"):
        owned(part, "x", site="/a")
    with pytest.raises(ValueError, match=r"--site '\(b\)' does not fit 6 of 12 files"):
        owned(part, "x", site="(b)")


# ---- noise ---------------------------------------------------------------------------------------------------------


def test_shuffled_labels_give_chance_within_the_interval():
    part = patients(40, 2, shift=4.0, columns=5)
    assert cross_validate(LogisticRegression, part, 4).roc_auc > 0.95
    outside = 0
    for seed in range(6):
        low, high = shuffled_labels(LogisticRegression, part, 4, seed=seed).roc_auc_interval
        outside += not low <= 0.5 <= high
    assert outside <= 1
    low, high = shuffled_labels(lambda: (dense_model(), Fitting(5)), part, 4).roc_auc_interval
    assert low < 0.5 < high


def test_the_best_of_fifty_on_noise_looks_good_but_for_nested():
    found = [best_on_noise(50, seed=seed) for seed in (4, 5, 6)]
    for each in found:
        assert each.best.roc_auc == each.all.max() > 0.6 and abs(each.all.mean() - 0.5) < 0.03
        assert each.best.roc_auc_interval[0] > 0.5  # "better than chance", which is wrong
        assert each.nested.roc_auc_interval[0] < 0.5 < each.nested.roc_auc_interval[1]
    assert abs(np.mean([each.nested.roc_auc for each in found]) - 0.5) < 0.07
