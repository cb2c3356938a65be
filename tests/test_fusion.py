"""Fusion of several modalities: known optima, missing modalities, exact shares, and the graph that late fusion is."""

import re

import numpy as np
import pytest
from scipy.optimize import minimize

import tinydx
from tinydx import fusion
from tinydx.datasets.several import GENERATORS, area_of_signals, exclusive_or, one_noise, two_signals
from tinydx.evaluation import roc_auc
from tinydx.fusion.batches import FusionBatches, kept_modalities
from tinydx.fusion.calibration import Calibration, calibrate
from tinydx.fusion.fitting import dense, log_odds, prior_of
from tinydx.layers import BatchNormalization, Dense, Embedding, GlobalAveragePooling1D
from tinydx.models import Sequential, load_model
from tinydx.tasks import fusion as task
from tinydx.validation import delong_interval, delong_test

TRAIN, VAL, TEST = 2000, 1000, 4000


def cases(several) -> fusion.Cases:
    return fusion.Cases(several.x, several.y)


def split(generator, seed=0):
    """Training, validation and test patients."""
    return [generator(count, seed=10 * seed + i) for i, count in enumerate((TRAIN, VAL, TEST))]


@pytest.fixture(scope="module")
def fused():
    """For each generated case and fusion: the test patients, and the model."""
    found = {}
    for name, generator in GENERATORS.items():
        train, val, test = split(generator)
        for how in fusion.FUSIONS:
            found[name, how] = test, fusion.fit(how, cases(train), cases(val), epochs=10)
    return found


def score(model, test, *missing):
    return fusion.probabilities(model, cases(test).without(*missing))[:, 1]


# ---- the optima ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", fusion.FUSIONS)
def test_two_signals_reach_the_optimum(fused, how):
    test, model = fused["two signals", how]
    assert roc_auc(test.y, score(model, test)) == pytest.approx(area_of_signals(1.0, 1.0), abs=0.02)
    for name in ("first", "second"):
        assert roc_auc(test.y, score(model, test, name)) == pytest.approx(area_of_signals(1.0), abs=0.02)


def test_exclusive_or_needs_more_than_added_evidence(fused):
    test, late = fused["exclusive or", "late"]
    _, low, high = delong_interval(test.y, score(late, test))
    assert low <= 0.5 <= high
    for how in ("early", "intermediate"):
        test, model = fused["exclusive or", how]
        assert roc_auc(test.y, score(model, test)) > 0.95


@pytest.mark.parametrize("how", fusion.FUSIONS)
def test_noise_is_harmless(fused, how):
    test, model = fused["one is noise", how]
    both, alone = score(model, test), score(model, test, "second")
    area, low, _ = delong_interval(test.y, test.x["first"][:, 0])
    assert roc_auc(test.y, both) >= low
    assert roc_auc(test.y, both) >= roc_auc(test.y, alone) - (area - low)
    _, low, high = delong_interval(test.y, score(model, test, "first"))
    assert low - 0.02 <= 0.5 <= high + 0.02


@pytest.mark.parametrize("generator", GENERATORS.values())
def test_the_best_answer_is_bayes_rule(generator):
    """Its probabilities are right: of the patients with p near 0.7, about 0.7 are of class 1."""
    found = generator(20_000, seed=3)
    p = 1 / (1 + np.exp(-found.best))
    bins = np.digitize(p, np.linspace(0, 1, 6)[1:-1])
    for k in np.unique(bins):
        rows = bins == k
        if rows.sum() > 50:
            assert abs(found.y[rows].mean() - p[rows].mean()) < 4 * np.sqrt(0.25 / rows.sum())


def test_the_optimum_is_the_area_of_the_densities():
    assert roc_auc(*_pair(two_signals(40_000, 1))) == pytest.approx(area_of_signals(1.0, 1.0), abs=0.008)
    assert roc_auc(*_pair(one_noise(40_000, 1))) == pytest.approx(area_of_signals(1.0), abs=0.008)
    xor = exclusive_or(40_000, 1)
    assert roc_auc(*_pair(xor)) > 0.99
    assert all(abs(roc_auc(xor.y, x[:, 0]) - 0.5) < 0.01 for x in xor.x.values())


def _pair(several):
    return several.y, several.best


# ---- missing modalities --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", fusion.FUSIONS)
def test_what_stands_for_a_missing_modality_is_never_seen(fused, how):
    test, model = fused["two signals", how]
    present = np.random.default_rng(0).random((TEST, 2)) < 0.5
    some = fusion.Cases(test.x, test.y, present)
    nonsense = {name: np.where(present[:, [m]], x, np.nan) for m, (name, x) in enumerate(test.x.items())}
    assert np.array_equal(fusion.probabilities(model, some), fusion.probabilities(model, some._replace(x=nonsense)))
    inputs = some.inputs()
    expected = model.predict(inputs)
    for m in range(2):
        inputs[m] = np.where(present[:, [m]], inputs[m], np.float32(1.5))
    assert np.array_equal(model.predict(inputs), expected)  # the network itself looks away


def test_late_without_a_modality_is_the_other_one(fused):
    """Dropping a term leaves the order of the patients that the other model gives; without any, the prior remains."""
    test, model = fused["two signals", "late"]
    alone = score(model, test, "second")
    assert delong_test(test.y, alone, test.x["first"][:, 0]) > 0.01
    nothing = score(model, test, "first", "second")
    assert np.ptp(nothing) == 0 and nothing[0] == pytest.approx(0.5, abs=1e-6)


def test_dropout_hides_no_example_completely():
    rng = np.random.default_rng(0)
    present = rng.random((5000, 3)) < 0.7
    kept = kept_modalities(present, 0.3, rng)
    assert not (kept & ~present).any()
    assert (kept.any(axis=1) == present.any(axis=1)).all()
    several = present.all(axis=1)
    assert kept[several].mean() == pytest.approx(0.7 + 0.3**3 / 3, abs=0.02)


def test_batches_hold_what_belongs_together():
    x = {"a": np.arange(50.0)[:, None], "b": -np.arange(50.0)[:, None]}
    present = np.random.default_rng(1).random((50, 2)) < 0.6
    present[~present.any(axis=1), 0] = True
    batches = FusionBatches(lambda number: x, present, np.arange(50), 16, seed=2)
    seen = []
    for i in range(len(batches)):
        (a, b, has_a, has_b), y = batches[i]
        seen += y.tolist()
        assert (a[has_a > 0] == y[has_a[:, 0] > 0]).all() and (b[has_b > 0] == -y[has_b[:, 0] > 0]).all()
        assert present[a[:, 0].astype(int), 0].all() and present[-b[:, 0].astype(int), 1].all()  # stand-ins are real
        assert not ((has_a > 0)[:, 0] & ~present[y, 0]).any()
    assert sorted(seen) == list(range(50))
    other = FusionBatches(lambda number: x, present, np.arange(50), 16, seed=2)
    batches.on_epoch_end()
    other.load_state(batches.state())
    assert all(np.array_equal(p, q) for p, q in zip(batches[1][0], other[1][0], strict=True))


def test_an_interrupted_training_goes_on_with_the_same_batches(tmp_path):
    """Weights after an interruption in the middle of an epoch of several passes are those of a run without one, bit for bit."""
    several = two_signals(50, seed=1)

    def train(steps_until_power_cut, state):
        passes = []

        def versions(number):
            passes.append(number)
            if len(passes) > steps_until_power_cut:
                raise RuntimeError("power cut")
            rng = np.random.default_rng(number)
            return {name: x + rng.normal(size=x.shape).astype("float32") for name, x in several.x.items()}

        tinydx.set_seed(3)
        encoders = {name: Sequential([Dense(3, activation="relu", input_shape=(1,))]) for name in several.x}
        model = fusion.joined(encoders, 2, hidden=4)
        model.compile("adam", "binary_crossentropy")
        batches = FusionBatches(versions, np.ones((50, 2), bool), several.y, 16, seed=2, steps=6)
        model.fit(batches, epochs=4, verbose=0, resume=state)
        return model.get_weights()

    whole = train(99, tmp_path / "whole.run")
    with pytest.raises(RuntimeError, match="power cut"):
        train(4, tmp_path / "cut.run")
    again = train(99, tmp_path / "cut.run")
    assert all(np.array_equal(a, b) for a, b in zip(whole, again, strict=True))


def test_batch_normalisation_sees_present_examples_only():
    """Its running mean is that of the present examples, whatever stands in for the others."""
    x = {"a": np.full((64, 1), 5.0, "float32"), "b": np.zeros((64, 1), "float32")}
    present = np.ones((64, 2), bool)
    present[::2, 0] = False
    x["a"][::2] = -1e6

    def normalised(shape, classes):
        return Sequential([BatchNormalization(momentum=0.0, input_shape=shape), Dense(1, activation="sigmoid")])

    some = fusion.Cases(x, np.arange(64) % 2, present)
    model = fusion.fit("intermediate", some, some, networks={"a": normalised}, epochs=2)
    norm = next(layer for layer in model.all_layers() if isinstance(layer, BatchNormalization))
    assert norm.get_weights()[2][0] == pytest.approx(5.0)


# ---- late fusion ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [2, 3])
def test_late_fusion_is_bayes_rule(classes):
    """The graph against its equation, and the prior counted once: with independent evidence the posterior is exact."""
    rng, n = np.random.default_rng(classes), 300
    y = rng.integers(classes, size=n)
    x = {name: (rng.normal(size=(n, 2)) + y[:, None]).astype("float32") for name in "abc"}
    present = rng.random((n, 3)) < 0.7
    models = {name: dense((2,), classes) for name in x}
    found = {}
    for name in x:
        offsets = np.r_[0.0, rng.normal(size=classes - 1)]
        found[name] = Calibration(rng.uniform(0.5, 2), offsets, rng.dirichlet(np.full(classes, 5.0)))
    prior = prior_of(y, classes)
    model = fusion.added(models, found, prior)
    expected = np.tile(np.log(prior), (n, 1))
    for m, name in enumerate(x):
        z = log_odds(models[name].predict(x[name])).astype(float)
        z = np.hstack([np.zeros_like(z), z]) if classes == 2 else z
        q = np.exp(found[name].slope * z + found[name].offsets)
        q /= q.sum(axis=1, keepdims=True)
        expected += present[:, [m]] * (np.log(q) - np.log(found[name].shares))
    expected = np.exp(expected - expected.max(axis=1, keepdims=True))
    expected /= expected.sum(axis=1, keepdims=True)
    assert np.allclose(fusion.probabilities(model, fusion.Cases(x, y, present)), expected, atol=2e-5)


@pytest.mark.parametrize("classes", [2, 4])
def test_calibration_has_the_lowest_loss(classes):
    rng = np.random.default_rng(classes)
    y = rng.choice(classes, size=400, p=np.arange(1, classes + 1) / np.arange(1, classes + 1).sum())
    z = 3 * rng.normal(size=(400, classes)) + 2 * np.eye(classes)[y]
    found, n = calibrate(z, y), np.bincount(y)
    wanted = np.full(z.shape, 1 / (n[y] + classes)[:, None])
    wanted[np.arange(400), y] = (n[y] + 1) / (n[y] + classes)

    def loss(free):
        s = free[0] * z + np.r_[0.0, free[1:]]
        return float(np.mean(np.log(np.exp(s).sum(axis=1)) - (wanted * s).sum(axis=1)))

    reference = minimize(loss, np.r_[1.0, np.zeros(classes - 1)]).x
    assert np.allclose(np.r_[found.slope, found.offsets[1:]], reference, atol=1e-3)


def test_calibration_repairs_another_prior_and_silences_nonsense():
    rng = np.random.default_rng(5)
    y = (rng.random(20_000) < 0.1).astype(int)
    z = (rng.normal(size=20_000) + y - 0.5)[:, None]  # the log-odds where both classes are as frequent
    found = calibrate(z, y)
    assert found.slope == pytest.approx(1, abs=0.08)
    assert found.offsets[1] == pytest.approx(np.log(0.1 / 0.9), abs=0.1)
    assert calibrate(-z, y).slope == 0
    with pytest.raises(ValueError, match="finite"):
        calibrate(np.full((3, 1), np.nan), np.array([0, 1, 1]))


# ---- shares --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", fusion.FUSIONS)
def test_shares_sum_to_the_score(fused, how):
    """Efficiency to 1e-12; what a patient does not have contributes nothing; the two equal signals get equal shares."""
    test, model = fused["two signals", how]
    some = cases(test).take(slice(60))
    present = np.random.default_rng(0).random((60, 2)) < 0.6

    def answers(mask):
        return fusion.probabilities(model, some._replace(present=mask))

    found = fusion.modality_shares(answers, some.names, present, some.y)
    assert np.abs(found.values.sum(axis=1) - (found.score - found.baseline)).max() < 1e-12
    assert (found.values[~present] == 0).all()
    if how == "late":  # terms of log-odds: the share of a modality is its own evidence, whatever the others say
        alone = fusion.modality_shares(answers, some.names, present & [True, False], some.y)
        assert np.allclose(found.values[:, 0], alone.values[:, 0], atol=1e-4)


def test_subsets_are_all():
    assert len(list(fusion.subsets(["a", "b", "c", "d"]))) == 15


# ---- any encoder, one file -----------------------------------------------------------------------------------------


def words(shape, classes):
    layers = [Embedding(9, 4, mask_zero=True, input_shape=(None,)), GlobalAveragePooling1D()]
    return Sequential([*layers, Dense(1 if classes == 2 else classes, activation="sigmoid" if classes == 2 else "softmax")])


@pytest.mark.parametrize("how", ["intermediate", "late"])
@pytest.mark.parametrize("classes", [2, 3])
def test_words_beside_numbers_in_one_file(tmp_path, how, classes):
    rng, n = np.random.default_rng(0), 240
    y = np.arange(n) % classes
    x = {"text": 1 + y[:, None] + rng.integers(3, size=(n, 5)), "age": (rng.normal(size=(n, 1)) + y[:, None]).astype("float32")}
    present = rng.random((n, 2)) < 0.8
    some = fusion.Cases(x, y, present)
    model = fusion.fit(how, some, some, networks={"text": words}, epochs=3)
    before = fusion.probabilities(model, some)
    assert before.shape == (n, classes) and np.allclose(before.sum(axis=1), 1, atol=1e-6)
    model.save(tmp_path / "fused.safetensors")
    assert np.array_equal(fusion.probabilities(load_model(tmp_path / "fused.safetensors"), some), before)


def test_one_line_for_what_cannot_be():
    y = np.array([0, 1, 0, 1])
    both = fusion.Cases({"a": np.zeros((4, 1)), "b": np.zeros((4, 1))}, y)
    for wrong, words_ in [
        (lambda: fusion.fit("middle", both, both), "fusion 'middle' is not known: choose one of early, intermediate, late"),
        (lambda: fusion.fit("early", both.without("b"), both), "no training example has b: leave it out"),
        (lambda: fusion.fit("late", both, both.without("b"), epochs=1), "no validation example has b"),
        (lambda: fusion.Cases({"a": np.zeros((3, 1))}, y).known(), "different numbers of examples: a 3, labels 4"),
        (lambda: fusion.encoder_of(Sequential([Embedding(3, 2)])), "ends in Embedding"),
    ]:
        with pytest.raises(ValueError, match=re.escape(words_)) as error:
            wrong()
        assert "\n" not in str(error.value)


# ---- the experiment ------------------------------------------------------------------------------------------------


def test_the_experiment_prints_each_model_beside_the_optimum(monkeypatch):
    monkeypatch.setattr(task, "VAL", 400)
    found = [task.areas(task.generated("two signals", seed, train=400), seed) for seed in range(2)]
    lines = task.summary("two signals", found)
    assert [line.split("|")[2].strip() for line in lines] == [
        "first alone", "second alone", "best possible", "early", "intermediate", "late",
    ]  # fmt: skip
    best, late = (float(lines[i].split("|")[3]) for i in (2, 5))
    assert best == pytest.approx(area_of_signals(1.0, 1.0), abs=0.02) and best - 0.04 < late < best + 0.005
    assert "better in 2, worse in 0, can't tell in 0" in lines[5]


def test_no_image_and_no_sound_is_on_two_sides():
    """Made-up patients: labels agree, and what one patient has, no other one has."""
    rng = np.random.default_rng(0)
    y, labels = np.arange(90) % 2, np.arange(40) % 2
    images = np.arange(90.0)[:, None, None, None] * np.ones((1, 2, 2, 1)), y
    sounds = np.column_stack([np.arange(40.0), rng.normal(size=40)]), labels
    split = task.chest_and_heart(images, sounds, seed=1)
    parts = [split.train, split.val, split.test]
    shown = np.concatenate([part.x["image"][:, 0, 0, 0] for part in parts]).astype(int)
    assert len(set(shown)) == 40 and (y[shown] == np.concatenate([part.y for part in parts])).all()
    heard = np.concatenate([part.x["sound"][:, 0] for part in parts])
    assert len(np.unique(heard.round(5))) == 40
    made = task.chest_and_table(images, seed=1)
    assert made.train.x["table"].mean(axis=0) == pytest.approx(0, abs=1e-5)
