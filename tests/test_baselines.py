"""The baselines beside a diagnosis: a model without an advantage is told so, a planted advantage is found."""

import importlib.util
import math
import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from tinydx.datasets.study import Examples, Study
from tinydx.diagnosis import baselines
from tinydx.diagnosis.baselines import compare, fit, standardised
from tinydx.diagnosis.kind import Kind
from tinydx.evaluation import macro_auc

ROW = {
    *("name", "roc_auc", "roc_auc_interval", "accuracy", "accuracy_interval", "seconds"),
    *("measure", "difference", "p_value", "verdict", "reason"),
}


class Numbers(Kind):
    """Examples whose features are their own numbers, or the words' counts of a text."""

    noun, features_name = "images", "pixels"

    def features(self, study, part):
        if part.x.dtype == object:
            words = sorted({word for text in study.train.x for word in text.split()})
            return np.array([[text.split().count(word) for word in words] for text in part.x], np.float32)
        return part.x.reshape(len(part.x), -1).astype(np.float32)


KIND = Numbers()


def study_of(parts, classes=2, noun="images") -> Study:
    return Study("made up", [f"class {k}" for k in range(classes)], *(Examples(*p) for p in parts), False, [], {}, noun, "small")


def made_up(seed: int, counts=(120, 40, 200), d: int = 12, signal: float = 1.0, classes: int = 2):
    """A study whose first columns carry some signal, and the direction that carries it."""
    rng = np.random.default_rng(seed)
    centers = np.zeros((classes, d))
    centers[np.arange(classes), np.arange(classes)] = signal
    parts = []
    for n in counts:
        y = np.arange(n) % classes
        parts.append(((centers[y] + rng.normal(size=(n, d))).astype(np.float32), y))
    return study_of(parts, classes), rng


def without_scikit_learn(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "sklearn" else found(name, *a))


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


# --- the verdict --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_a_planted_advantage_is_called_better(seed):
    study, rng = made_up(seed)
    p = sigmoid(6 * (study.test.y - 0.5) + rng.normal(size=200))
    rows, verdict = compare(KIND, study, p, seed)
    assert [row["verdict"] for row in rows] == ["better", "better"]
    assert verdict.startswith("Better than logistic regression on pixels") and "(p < 0.001)" in verdict
    assert "on the same 200 test images" in verdict and "Not" not in verdict


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("seed", range(3))
def test_random_probabilities_are_told_so_first(seed, classes):
    study, rng = made_up(seed, classes=classes, signal=1.5)
    p = rng.dirichlet(np.ones(classes), size=200)
    rows, verdict = compare(KIND, study, p, seed)
    assert verdict.startswith("Not better than logistic regression on pixels (scikit-learn): ")
    assert "clearly worse" in verdict and rows[1]["verdict"] == "worse"
    assert "Nor better than the majority class" in verdict


def test_shuffled_labels_are_told_so():
    """A model that learned from shuffled labels, here the baseline's own kind of model on a few columns."""
    for seed in range(5):
        study, rng = made_up(seed, signal=0.0)
        model = LogisticRegression().fit(study.train.x, rng.permutation(study.train.y))
        _, verdict = compare(KIND, study, model.predict_proba(study.test.x)[:, 1], seed)
        assert verdict.startswith("Not better than "), verdict


@pytest.mark.parametrize("own", [True, False])
def test_forty_images_and_twelve_texts_are_told_so(own, monkeypatch):
    if own:
        without_scikit_learn(monkeypatch)
    rng = np.random.default_rng(0)
    pixels = [(rng.integers(0, 256, (n, 8, 8, 3), dtype=np.uint8), np.arange(n) % 2) for n in (28, 4, 8)]
    texts = []
    for n in (6, 3, 3):
        x = np.empty(n, object)
        x[:] = [" ".join(rng.choice(["pain", "leg", "fever", "cough"], 3)) for _ in range(n)]
        texts.append((x, np.arange(n) % 3))
    for study in (study_of(pixels), study_of(texts, 3, "texts")):
        n, classes = len(study.test.y), len(study.class_names)
        for seed in range(3):
            rows, verdict = compare(KIND, study, np.random.default_rng(seed).dirichlet(np.ones(classes), n), seed)
            assert verdict.startswith("Not better than "), verdict
            assert all(row["reason"] is None and row["p_value"] > 0 for row in rows)
            assert ("tinydx" if own else "scikit-learn") in rows[1]["name"]


def test_a_constant_predictor_is_told_so_even_if_it_ranks_well():
    study, rng = made_up(0)
    p = 0.9 + 0.05 * study.test.y + 0.001 * rng.random(200)  # a perfect ranking, but class 1 for everyone
    rows, verdict = compare(KIND, study, p, 0)
    assert rows[0]["verdict"] == rows[1]["verdict"] == "better"
    assert verdict.startswith("Not better than always the same answer: it calls every test example class 1.")
    study, _ = made_up(0, counts=(90, 30, 60), classes=3, signal=2.0)
    for called, name in ((1, "always the same answer"), (0, "the majority class (class 0)")):
        _, verdict = compare(KIND, study, np.tile(np.eye(3)[called], (60, 1)), 0)
        assert verdict.startswith(f"Not better than {name}: it calls every test example class {called}. Not better than logistic")


def test_the_threshold_decides_what_is_called():
    study, _ = made_up(0)
    p = 0.9 + 0.05 * study.test.y  # class 1 is the positive one
    assert compare(KIND, study, p, 0, threshold=0.92)[1].startswith("Better than ")


def test_an_accuracy_below_the_majority_is_said():
    rng = np.random.default_rng(0)
    parts = [(rng.normal(size=(n, 3)).astype(np.float32), (np.arange(n) % 10 == 0).astype(int)) for n in (100, 50, 400)]
    study = study_of(parts)
    p = np.clip(0.55 * study.test.y + rng.uniform(0.3, 0.7, 400), 0, 1)
    _, verdict = compare(KIND, study, p, 0)
    assert (
        verdict.startswith("Better than ") and "But its accuracy" in verdict and "not above that of the majority class" in verdict
    )


def test_the_verdict_has_the_right_size():
    """Of 200 studies where the model is as good as its baseline, about 2.5 % are called better, and 2.5 % worse."""
    called = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        y = np.arange(120) % 2
        patient = rng.normal(size=120)
        score, baseline = (1.2 * y + patient + rng.normal(size=120) for _ in range(2))
        answer = baselines.Answer("another", np.c_[1 - sigmoid(baseline), sigmoid(baseline)], 0.0)
        model = baselines._calls(y, np.c_[1 - sigmoid(score), sigmoid(score)], ["a", "b"])
        called.append(baselines._row(answer, y, ["a", "b"], model)["verdict"])
    assert called.count("better") <= 11 and called.count("worse") <= 11  # 5 expected; 12 or more: 1 in 100
    assert called.count("better") + called.count("worse") >= 3


# --- the rows -----------------------------------------------------------------------------------------------


def test_rows_of_two_classes():
    study, rng = made_up(1)
    p = sigmoid(study.test.x[:, 1] + rng.normal(size=200))
    rows, _ = compare(KIND, study, p, 0)
    assert [set(row) for row in rows] == [ROW, ROW]
    majority, logistic = rows
    assert majority["name"] == "the majority class (class 0)" and majority["roc_auc"] == 0.5
    assert logistic["name"] == "logistic regression on pixels (scikit-learn)" and logistic["measure"] == "roc_auc"
    assert logistic["difference"] == pytest.approx(roc_auc_score(study.test.y, p) - logistic["roc_auc"])
    low, high = logistic["roc_auc_interval"]
    assert low < logistic["roc_auc"] < high and logistic["accuracy_interval"][0] < logistic["accuracy"]
    assert 0.6 < logistic["roc_auc"] < 0.95 and 0 < logistic["seconds"] < 30


def test_rows_of_several_classes_compare_accuracies():
    study, rng = made_up(2, classes=4, signal=2.0)
    p = rng.dirichlet(np.ones(4), 200)
    rows, _ = compare(KIND, study, p, 0)
    right = np.mean(p.argmax(axis=1) == study.test.y)
    for row in rows:
        assert row["measure"] == "accuracy" and row["difference"] == pytest.approx(right - row["accuracy"])
    assert rows[0]["accuracy"] == 0.25 and rows[1]["accuracy"] > 0.6 and rows[1]["roc_auc"] > 0.8
    assert rows[0]["roc_auc"] == 0.5 == macro_auc(study.test.y, np.ones((200, 4)) / 4)


def test_the_test_examples_choose_nothing():
    study, rng = made_up(3)
    first, _ = compare(KIND, study, rng.random(200), 0)
    assert first[1]["roc_auc"] is not None
    table = {}
    for name, y in (("true", study.test.y), ("other", 1 - study.test.y)):
        answers = baselines.logistic_regression(KIND, Study(**{**vars(study), "test": Examples(study.test.x, y)}), 0)
        table[name] = answers[0].table
    np.testing.assert_array_equal(table["true"], table["other"])


# --- logistic regression ------------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [2, 3])
def test_both_libraries_find_the_same_probabilities(classes):
    study, _ = made_up(4, counts=(300, 100, 100), d=8, classes=classes, signal=1.5)
    train, val, test = standardised(*(part.x for part in (study.train, study.val, study.test)))
    tables = [
        fit(learner, train, study.train.y, (val, study.val.y), test, classes)
        for learner in (baselines._scikit_learn, baselines._descent)
    ]
    assert np.abs(tables[0] - tables[1]).max() < 0.02
    np.testing.assert_allclose(tables[1].sum(axis=1), 1, atol=1e-6)


def test_the_descent_reaches_the_optimum_of_the_penalised_loss():
    study, _ = made_up(5, counts=(200, 10, 10), d=5)
    (x,) = standardised(study.train.x)
    for strength, predict in zip(baselines.STRENGTHS, baselines._descent(x, study.train.y, 2), strict=True):
        exact = LogisticRegression(C=strength, tol=1e-10, max_iter=10_000).fit(x.astype(float), study.train.y)
        np.testing.assert_allclose(predict(x), exact.predict_proba(x.astype(float)), atol=0.01)


def test_the_strength_with_the_lowest_loss_on_val_is_taken():
    study, _ = made_up(6, counts=(60, 200, 50), d=40)
    train, val, test = standardised(*(part.x for part in (study.train, study.val, study.test)))
    losses, tables = [], []
    for strength in baselines.STRENGTHS:
        model = LogisticRegression(C=strength, max_iter=1000).fit(train.astype(float), study.train.y)
        p = model.predict_proba(val.astype(float))[np.arange(200), study.val.y]
        losses.append(-np.log(p).mean())
        tables.append(model.predict_proba(test.astype(float)))
    found = fit(baselines._scikit_learn, train, study.train.y, (val, study.val.y), test, 2)
    np.testing.assert_allclose(found, tables[int(np.argmin(losses))], atol=0.01)


def test_standardised_features():
    rng = np.random.default_rng(0)
    x = rng.normal(3, 2, (50, 4)).astype(np.float32)
    x[:, 2] = 7
    far = np.full((1, 4), 1e6, np.float32)
    train, other = standardised(x, far)
    np.testing.assert_allclose(train.mean(axis=0), 0, atol=1e-6)
    assert train.shape == (50, 3) and np.mean(np.sum(train**2, axis=1)) == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(other, 10 / math.sqrt(3), rtol=1e-6)


def words_like(rng, n: int, classes: int, d: int = 60):
    """Features that are mostly zero: a few terms of each text, some of them of its class."""
    y = np.arange(n) % classes
    x = np.zeros((n, d), np.float32)
    for i in range(n):
        x[i, rng.integers(0, d, 4)] = rng.random(4)
        x[i, y[i]] = rng.random()
    return x, y


@pytest.mark.parametrize("classes", [2, 5])
def test_features_that_are_mostly_zero(classes, monkeypatch):
    """They stay sparse, unseen terms drop out, and both libraries give what scikit-learn gives on the full matrix."""
    rng = np.random.default_rng(0)
    (x, y), (xv, yv), (xt, yt) = (words_like(rng, n, classes) for n in (200, 100, 80))
    x[:, 50:] = 0
    xt[3] = 0
    train, val, test = standardised(x, xv, xt)
    assert isinstance(train, baselines.Sparse) and train.shape == (200, 50) and test.shape == (80, 50)
    assert np.square(train.values).sum() / 200 == pytest.approx(1, rel=1e-5)
    length = np.sqrt(np.mean(np.sum(x**2, axis=1)))
    best = None
    for strength in baselines.STRENGTHS:
        model = LogisticRegression(C=strength, max_iter=5000, tol=1e-8).fit(x[:, :50].astype(float) / length, y)
        loss = -np.log(model.predict_proba(xv[:, :50] / length)[np.arange(100), yv]).mean()
        if best is None or loss < best[0]:
            best = loss, model.predict_proba(xt[:, :50] / length)
    monkeypatch.setattr(baselines, "STEPS", 3000)
    monkeypatch.setattr(baselines, "TOLERANCE", 1e-6)
    for learner in (baselines._scikit_learn, baselines._descent):
        np.testing.assert_allclose(fit(learner, train, y, (val, yv), test, classes), best[1], atol=0.02)
    assert standardised(np.zeros((5, 3), np.float32))[0].tolist() == [[0.0]] * 5


@pytest.mark.parametrize("sparse", [True, False])
def test_products_are_those_of_the_full_matrix(sparse):
    rng = np.random.default_rng(1)
    x = np.where(rng.random((30, 12)) < (0.15 if sparse else 1), rng.random((30, 12)), 0).astype(np.float32)
    x[:3], x[0, 0] = 0, 1
    (features,) = baselines._scaled(x) if sparse else (x,)
    if sparse:
        x = np.zeros(features.shape, np.float32)
        x[features.rows, features.columns] = features.values
    product, transposed, _ = baselines._products(features)
    w, g = rng.normal(size=(x.shape[1] + 1, 3)).astype(np.float32), rng.normal(size=(30, 3)).astype(np.float32)
    full = np.c_[x, np.full(30, baselines.BIAS, np.float32)]
    np.testing.assert_allclose(product(w), full @ w, atol=1e-5)
    np.testing.assert_allclose(transposed(g), full.T @ g, atol=1e-5)
    exact = np.linalg.eigvalsh(full.T @ full).max()
    assert exact <= baselines._largest_eigenvalue(product, transposed, len(w)) <= 1.25 * exact


# --- data that cannot be used -------------------------------------------------------------------------------


@pytest.mark.parametrize("own", [True, False])
def test_data_that_says_nothing_gives_no_crash(own, monkeypatch):
    if own:
        without_scikit_learn(monkeypatch)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(10, 3)).astype(np.float32), np.arange(10) % 2
    p = rng.random(10)
    constant = study_of([(np.ones_like(x), y)] * 3)
    assert compare(KIND, constant, p, 0)[0][1]["roc_auc"] == 0.5
    rows, verdict = compare(KIND, study_of([(x, y), (x[:0], y[:0]), (x, y)]), p, 0)  # no validation examples
    assert rows[1]["reason"] is None
    rows, verdict = compare(KIND, study_of([(x, 0 * y), (x, y), (x, y)]), p, 0)
    assert rows[1]["reason"] == "every training example is class 0" and rows[1]["roc_auc"] is None
    assert "could not be trained: every training example is class 0." in verdict and verdict.startswith("Not better than")
    rows, verdict = compare(KIND, study_of([(x, y), (x, y), (x, 0 * y)]), p, 0)  # a test of one class
    assert rows[1]["measure"] == "accuracy" and rows[1]["roc_auc"] is None and verdict.startswith("Not better than")
    rows, _ = compare(KIND, study_of([(x, y), (x, y), (x, y)], 3), rng.dirichlet(np.ones(3), 10), 0)  # class 2 has no example
    assert rows[1]["reason"] is None and rows[1]["roc_auc"] is None
    bad = x.copy()
    bad[0, 0] = np.nan
    rows, verdict = compare(KIND, study_of([(bad, y), (x, y), (x, y)]), p, 0)
    assert "not finite" in rows[1]["reason"] and rows[1]["verdict"] == "can't tell"


def test_a_kind_without_features_has_the_majority_only():
    class Bare(Kind):
        noun = "rows"

    study, rng = made_up(0)
    rows, verdict = compare(Bare(), study, rng.random(200), 0)
    assert len(rows) == 1 and verdict.startswith("Not better than the majority class (class 0): ROC AUC ")


def test_many_examples_are_drawn(monkeypatch):
    monkeypatch.setattr(baselines, "MOST", 240)
    x = np.ones((100, 12), np.float32)
    assert len(baselines._drawn(x, 0)) == 20 and list(baselines._drawn(x, 0)) == list(baselines._drawn(x, 0))
    assert baselines._drawn(x[:20], 0) == slice(None) == baselines._drawn(0 * x, 0)
    study, rng = made_up(0)
    assert compare(KIND, study, rng.random(200), 0)[0][1]["reason"] is None


def test_a_fit_that_stops_early_does_not_warn(monkeypatch):
    monkeypatch.setattr(baselines, "STEPS", 2)
    study, rng = made_up(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compare(KIND, study, rng.random(200), 0)
