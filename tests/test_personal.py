"""A model for one patient: shrinkage is the best linear unbiased prediction, no recordings no change, strangers' no gain."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import dense_model

import tinydx
from tinydx.layers import Dense, FiLM
from tinydx.losses import BinaryCrossentropy
from tinydx.personal import (
    Statistics,
    choose_strength,
    conditions,
    film_model,
    patient_statistics,
    shrunken_least_squares,
    shrunken_log_loss,
    statistics_of,
)
from tinydx.personal.choosing import log_loss
from tinydx.personal.shrinkage import probabilities
from tinydx.validation.areas import over_sites


def mixed(rng, patients=6, features=4, tau=0.7, sigma=0.5, most=9):
    """Rows x, targets y and patients of a mixed model: weights w + b of each patient, noise sigma."""
    counts = rng.integers(1, most, patients)
    patient = np.repeat(np.arange(patients), counts)
    x = np.column_stack([rng.normal(size=(len(patient), features - 1)), np.ones(len(patient))])
    weights = rng.normal(size=features) + tau * rng.normal(size=(patients, features))
    return x, (x * weights[patient]).sum(axis=1) + sigma * rng.normal(size=len(patient)), patient


# ---- the last layer --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_shrinkage_is_henderson_s_best_linear_unbiased_prediction(seed):
    """Henderson's mixed model equations give all patients' weights at once, and know nothing of our formula."""
    rng = np.random.default_rng(seed)
    tau, sigma = rng.uniform(0.2, 2, 2)
    x, y, patient = mixed(rng, tau=tau, sigma=sigma)
    d, count = x.shape[1], patient.max() + 1
    z = np.zeros((len(x), count * d))
    for i, name in enumerate(patient):
        z[i, name * d : (name + 1) * d] = x[i]
    both = np.hstack([x, z])
    penalty = sigma**2 / tau**2
    left = both.T @ both + penalty * np.diag([0.0] * d + [1.0] * count * d)
    answer = np.linalg.solve(left, both.T @ y)
    w, effects = answer[:d], answer[d:].reshape(count, d)
    variance = tau**2 * z @ z.T + sigma**2 * np.eye(len(x))
    generalised = np.linalg.solve(x.T @ np.linalg.solve(variance, x), x.T @ np.linalg.solve(variance, y))
    np.testing.assert_allclose(generalised, w, rtol=0, atol=1e-10)
    for name in range(count):
        rows = patient == name
        ours = shrunken_least_squares(x[rows], y[rows], generalised, penalty)
        np.testing.assert_allclose(ours, w + effects[name], rtol=0, atol=1e-10)


@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 6))
def test_a_larger_penalty_stays_nearer_and_fits_worse(seed, k, features):
    rng = np.random.default_rng(seed)
    x, w, y = rng.normal(size=(k, features)), rng.normal(size=(features, 1)), rng.integers(0, 2, k)
    for fit, loss in (
        (lambda p: shrunken_least_squares(x, y[:, None], w, p), lambda v: np.sum((y[:, None] - x @ v) ** 2)),
        (lambda p: shrunken_log_loss(x, y, w, p), lambda v: log_loss(y, probabilities(x @ v)) * k),
    ):
        found = [fit(penalty) for penalty in (1e-3, 1e-1, 1.0, 10.0, 1e3)]
        far, losses = [np.linalg.norm(v - w) for v in found], [loss(v) for v in found]
        assert (np.diff(far) <= 1e-9).all() and (np.diff(losses) >= -1e-9).all()


def test_both_limits_of_the_penalty():
    rng = np.random.default_rng(0)
    x, y, w = rng.normal(size=(9, 3)), rng.normal(size=9), rng.normal(size=3)
    own = np.linalg.lstsq(x, y, rcond=None)[0]
    np.testing.assert_allclose(shrunken_least_squares(x, y, w, 0.0), own, atol=1e-12)
    np.testing.assert_allclose(shrunken_least_squares(x, y, w, 1e-10), own, atol=1e-9)
    np.testing.assert_allclose(shrunken_least_squares(x, y, w, 1e12), w, atol=1e-10)
    labels = np.array([0, 1, 1, 0, 1, 0, 1, 1, 0])
    np.testing.assert_allclose(shrunken_log_loss(x, labels, w[:, None], 1e9), w[:, None], atol=1e-7)
    few = shrunken_least_squares(x[:2], y[:2], w, 0.0)  # fewer than weights: the fit that is nearest to w
    np.testing.assert_allclose(x[:2] @ few, y[:2], atol=1e-12)
    np.testing.assert_allclose((few - w) - np.linalg.pinv(x[:2]) @ x[:2] @ (few - w), 0, atol=1e-12)


def test_nothing_known_is_the_population_bit_for_bit():
    w = np.array([[-0.0], [0.1], [1e-300]])
    for fit, y in ((shrunken_least_squares, np.empty((0, 1))), (shrunken_log_loss, np.empty(0))):
        assert fit(np.empty((0, 3)), y, w, 0.3).tobytes() == w.tobytes()
        assert fit(np.ones((2, 3)), np.ones((2, *y.shape[1:])), w, np.inf).tobytes() == w.tobytes()


@pytest.mark.parametrize("classes", [2, 3])
def test_the_log_loss_agrees_with_scikit_learn(classes):
    """With w = 0 it is ridge logistic regression, without a bias of its own."""
    linear_model = pytest.importorskip("sklearn.linear_model", reason="the independent fit: pip install scikit-learn")
    rng = np.random.default_rng(classes)
    x, y, penalty = rng.normal(size=(30, 4)), np.arange(30) % classes, 0.7
    peer = linear_model.LogisticRegression(C=1 / (2 * penalty), fit_intercept=False, tol=1e-12, max_iter=1000).fit(x, y)
    ours = shrunken_log_loss(x, y, np.zeros((4, 1 if classes == 2 else classes)), penalty)
    np.testing.assert_allclose(ours, peer.coef_.T, atol=1e-5)


@given(st.integers(0, 10**6), st.sampled_from([1, 3]), st.floats(1e-4, 1e3), st.floats(0.1, 30))
def test_the_slope_is_zero_at_the_minimum(seed, columns, penalty, size):
    """Also where the population is sure and wrong: a full step of Newton's method would go too far there."""
    rng = np.random.default_rng(seed)
    x, w, y = size * rng.normal(size=(6, 4)), rng.normal(size=(4, columns)), rng.integers(0, max(2, columns), 6)
    v = shrunken_log_loss(x, y, w, penalty)
    z = x @ v if columns > 1 else np.hstack([np.zeros((6, 1)), x @ v])
    p = np.exp(z - z.max(axis=1, keepdims=True))
    error = (p / p.sum(axis=1, keepdims=True) - np.eye(z.shape[1])[y])[:, -columns:]
    slope = x.T @ error + 2 * penalty * (v - w)
    assert np.abs(slope).max() <= 1e-6 * (1 + np.abs(x).sum())


@pytest.mark.parametrize(
    "change, words",
    [
        ({"x": np.ones((2, 4))}, "expected x"),
        ({"y": np.array([0, 1, 1])}, "expected x"),
        ({"x": np.array([[1, np.nan, 1], [1, 1, 1]])}, "NaN"),
        ({"penalty": -1.0}, "0 or more"),
        ({"penalty": np.nan}, "0 or more"),
    ],
)
def test_wrong_arguments_are_refused(change, words):
    given_ = {"x": np.ones((2, 3)), "y": np.array([0, 1]), "w": np.zeros((3, 1)), "penalty": 1.0} | change
    with pytest.raises(ValueError, match=words):
        shrunken_log_loss(**given_)
    given_["y"] = given_["y"][:, None]
    with pytest.raises(ValueError, match=words):
        shrunken_least_squares(**given_)


def test_class_numbers_and_a_penalty_of_zero_are_refused():
    x, w = np.ones((2, 3)), np.zeros((3, 1))
    for y in ([0, 2], [0, 0.5], [-1, 0]):
        with pytest.raises(ValueError, match="class numbers from 0 to 1"):
            shrunken_log_loss(x, y, w, 1.0)
    with pytest.raises(ValueError, match="no finite fit"):
        shrunken_log_loss(x, [0, 1], w, 0.0)


# ---- the patient's statistics ----------------------------------------------------------------------------------------


def test_statistics_are_those_of_plain_loops():
    rng = np.random.default_rng(0)
    population = statistics_of(rng.normal(size=(50, 3)))
    x, kappa = rng.normal(2, 3, size=(5, 3)), 4.0
    found = patient_statistics(x, population, kappa)
    for j in range(3):
        mean = (kappa * population.mean[j] + sum(x[:, j])) / (kappa + 5)
        variance = (kappa * population.spread[j] ** 2 + sum((v - mean) ** 2 for v in x[:, j])) / (kappa + 5)
        np.testing.assert_allclose([found.mean[j], found.spread[j]], [mean, variance**0.5], rtol=1e-13)


def test_limits_of_the_statistics():
    rng = np.random.default_rng(1)
    population, x = Statistics(np.array([0.0, 5.0]), np.array([1.0, 2.0])), rng.normal(3, 2, size=(6, 2))
    assert patient_statistics(x[:0], population, 3.0) is population and patient_statistics(x, population, np.inf) is population
    own = patient_statistics(x, population, 1e-12)
    np.testing.assert_allclose(own.mean, x.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(own.spread, x.std(axis=0), rtol=1e-9)
    np.testing.assert_allclose(patient_statistics(x, population, 1e12).mean, population.mean, atol=1e-10)
    gaps = [np.abs(patient_statistics(x, population, kappa).mean - population.mean) for kappa in (0.1, 1.0, 10.0, 100.0)]
    assert (np.diff(gaps, axis=0) < 0).all()


def test_wrong_statistics_are_refused():
    population = statistics_of([[1.0, 5.0], [3.0, 5.0]])
    for x, strength, words in (
        ([[1.0]], 1.0, "1 features, but the population has 2"),
        ([[1.0, np.nan]], 1.0, "finite"),
        ([[1.0, 1.0]], 0.0, "above 0"),
        ([[1.0, 1.0]], np.nan, "above 0"),
    ):
        with pytest.raises(ValueError, match=words):
            patient_statistics(x, population, strength)
    with pytest.raises(ValueError, match="no recordings"):
        statistics_of(np.empty((0, 2)))


# ---- FiLM ------------------------------------------------------------------------------------------------------------


def film_layer(shape, conditions_, seed=0):
    layer = FiLM(gamma_initializer="glorot_uniform", beta_initializer="glorot_uniform", dtype="float64")
    layer.build([(None, *shape), (None, conditions_)])
    return layer


@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 2, 3)])
def test_the_gradients_of_film_are_those_of_its_equation(shape):
    rng = np.random.default_rng(0)
    x, e, dy = (rng.normal(size=s) for s in ((5, *shape), (5, 2), (5, *shape)))
    layer = film_layer(shape, 2)
    gamma, beta = (w.numpy() for w in (layer.gamma, layer.beta))
    tx, te = tinydx.Tensor(x, requires_grad=True), tinydx.Tensor(e, requires_grad=True)
    y = layer([tx, te])
    (y * dy).sum().backward()
    inner = tuple(range(1, len(shape)))
    along = (slice(None), *[None] * len(inner), slice(None))
    np.testing.assert_allclose(y.numpy(), x * (1 + e @ gamma)[along] + (e @ beta)[along], atol=1e-13)
    np.testing.assert_allclose(tx.grad, dy * (1 + e @ gamma)[along], atol=1e-13)
    scaled, shifted = (dy * x).sum(axis=inner), dy.sum(axis=inner)
    np.testing.assert_allclose(te.grad, scaled @ gamma.T + shifted @ beta.T, atol=1e-13)
    np.testing.assert_allclose(layer.gamma.grad, e.T @ scaled, atol=1e-13)
    np.testing.assert_allclose(layer.beta.grad, e.T @ shifted, atol=1e-13)


def test_without_a_condition_film_changes_nothing():
    x = np.random.default_rng(0).normal(size=(4, 3))
    assert film_layer((3,), 2)([x, np.zeros((4, 2))]).numpy().tobytes() == x.tobytes()
    assert FiLM()([x, np.ones((4, 2))]).numpy().tobytes() == x.tobytes()  # a new layer, whatever the condition


def test_film_keeps_the_mask_of_its_features_and_refuses_other_inputs():
    x, mask = tinydx.Tensor(np.ones((2, 3, 4))), np.array([[True, True, False], [True, False, False]])
    x.mask = mask
    np.testing.assert_array_equal(FiLM()([x, np.ones((2, 5))]).mask, mask)
    layer = film_layer((3,), 2)
    for wrong, words in (
        ([np.ones((4, 3))], "expected"),
        ([np.ones((4, 3)), np.ones(4)], "expected"),
        ([np.ones((4, 3)), np.ones((5, 2))], "4 rows of features, but 5 conditions"),
        ([np.ones((4, 3)), np.ones((4, 1))], "was built for"),
    ):
        with pytest.raises(ValueError, match=words):
            layer(wrong)


def test_only_film_learns_and_without_recordings_the_answer_is_the_population_s():
    last = dense_model().layers[-1]
    before, h = last.get_weights(), np.random.default_rng(0).normal(size=(8, 6)).astype("float32")
    model = film_model(last)
    model.compile("adam", "binary_crossentropy")
    e = np.random.default_rng(1).normal(size=(8, 12)).astype("float32")
    for _ in range(5):
        model.train_on_batch([h, e], np.arange(8) % 2)
    assert all(np.array_equal(a, b) for a, b in zip(before, last.get_weights(), strict=True))
    assert not np.array_equal(model.predict_on_batch([h, e]), last(h).numpy())
    none = np.tile(conditions(h[:0], np.empty(0), np.empty(0)), (8, 1))
    assert none.shape == (8, 12) and model.predict_on_batch([h, none]).tobytes() == last(h).numpy().tobytes()


def test_the_condition_holds_the_slope_of_the_population_s_loss():
    """Its second half is minus the gradient of the log loss by the last layer's weights, over k + 2."""
    rng = np.random.default_rng(0)
    last = Dense(1, activation="sigmoid", input_shape=(3,), dtype="float64")
    last.ensure_built((None, 3))
    h, y = rng.normal(size=(5, 3)), np.array([0, 1, 1, 0, 1])
    p = last(h)
    BinaryCrossentropy()(y[:, None].astype(float), p).backward()
    np.testing.assert_allclose(conditions(h, y, p.numpy()[:, 0])[3:], -last.kernel.grad[:, 0] * 5 / 7, rtol=1e-5)


# ---- choosing, and whose recordings they are -------------------------------------------------------------------------


def linear(w):
    """A patient's model with squared loss, whose "probabilities" are clipped predictions."""

    def personal(x, y, strength):
        v = shrunken_least_squares(x, y, w, strength)
        return lambda new: np.clip(new @ v, 1e-6, 1 - 1e-6)

    return personal


def population(rng, patients, each, tau):
    """Recordings x, labels y, patients and the weights w of all, of patients whose logits differ by tau."""
    w, patient = rng.normal(size=(4, 1)), np.repeat(np.arange(patients), each)
    x = rng.normal(size=(len(patient), 4))
    z = (x * (w[:, 0] + tau * rng.normal(size=(patients, 4)))[patient]).sum(axis=1) if tau else x @ w[:, 0]
    return x, (rng.uniform(size=len(z)) < 1 / (1 + np.exp(-z))).astype(int), patient, w


def fine_tuned(w):
    def personal(x, y, strength):
        v = shrunken_log_loss(x, y, w, strength)
        return lambda new: probabilities(new @ v)

    return personal


def test_patients_who_differ_little_are_shrunk_much():
    strengths = [0.1, 1.0, 500.0]
    rng = np.random.default_rng(0)
    x, y, patient, w = population(rng, 40, 12, tau=0.0)
    assert choose_strength(fine_tuned(w), x, y, patient, strengths) == 500.0
    x, y, patient, w = population(rng, 40, 12, tau=2.0)  # lambda = 1 / (2 tau^2) = 0.125
    assert choose_strength(fine_tuned(w), x, y, patient, strengths) in (0.1, 1.0)
    with pytest.raises(ValueError, match="no patient has more than 1 recordings"):
        choose_strength(fine_tuned(w), x, y, np.arange(len(y)), strengths)


def gains(x, y, patient, w, known):
    """The change of the log loss (patients,) on each patient's other recordings; known[patient], rows to fit to."""
    found = []
    for name in np.unique(patient):
        new = np.flatnonzero(patient == name)[8:]
        before, fitted = probabilities(x[new] @ w), fine_tuned(w)(x[known[name]], y[known[name]], 0.5)(x[new])
        found.append(log_loss(y[new], before) - log_loss(y[new], fitted))
    return found


def test_own_recordings_gain_and_those_of_shuffled_names_do_not():
    rng = np.random.default_rng(0)
    x, y, patient, w = population(rng, 100, 24, tau=1.0)
    own = np.array([np.flatnonzero(patient == name)[:8] for name in range(100)])
    strangers = np.array([np.roll(column, 1 + j) for j, column in enumerate(own.T)]).T  # each of another patient
    assert not (patient[strangers] == np.arange(100)[:, None]).any()
    mean, (low, _) = over_sites(gains(x, y, patient, w, own), least=-np.inf)
    assert 0 < low < mean
    _, (low, _) = over_sites(gains(x, y, patient, w, strangers), least=-np.inf)
    assert low <= 0
