"""What a finished model decides with: what is fitted and stored, what `tinydx predict` and the report make of it, forgeries."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from test_report import check_layout, drawn, made_up, words  # noqa: F401 - drawn is a fixture

from tinydx import cli
from tinydx.datasets.study import Examples, Study
from tinydx.diagnosis import deciding, referring
from tinydx.diagnosis.finished import kind_of
from tinydx.diagnosis.kind import Plan
from tinydx.diagnosis.sections import Run, decisions
from tinydx.evaluation import called_class, evaluate_diagnosis, macro_auc, probability_table
from tinydx.models import load_model
from tinydx.preprocessing.image import save_img
from tinydx.validation import conformal_sets, fit_temperature, log_loss, logits_of

WIDEST = ("sensitivity_interval", "specificity_interval")
NAMES = {2: ["ill", "normal"], 3: ["bacteria", "normal", "virus"]}


def too_sure(rng, n, k=2, sure=3.0):
    """Outputs of a model that is surer than it is right: (n,1) of a sigmoid or (n,k); and class numbers."""
    honest = rng.normal(0, 1.5, (n, k))
    p = np.exp(honest) / np.exp(honest).sum(axis=1, keepdims=True)
    y = (p.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(0, k - 1)
    p = np.exp(sure * honest) / np.exp(sure * honest).sum(axis=1, keepdims=True)
    return (p[:, 1:] if k == 2 else p).astype("float32"), y


def model_of(k, **preprocessing):
    """A model whose outputs are its inputs."""
    how = {"threshold": 0.5, **preprocessing}
    return SimpleNamespace(class_names=NAMES[k], preprocessing=how, predict=lambda x: x)


def run_of(k=2, n=300, seed=0, weights="best", sensitivity=None, settings=None, choice=None):
    """A diagnosis whose model is done, without its training."""
    rng, model = np.random.default_rng(seed), model_of(k)
    parts = [Examples(*too_sure(rng, size, k)) for size in (n, n, 2 * n)]
    study = Study("made up", NAMES[k], *parts, False, [], {}, "images", "1")
    deciding.settle(model, model.predict(study.val.x), study.val.y, sensitivity)
    threshold = model.preprocessing["threshold"]
    kind = SimpleNamespace(plain_batches=lambda study, part, batch: part.x, noun="images")
    table = deciding.probabilities(model, study.test.x)
    metrics = evaluate_diagnosis(study.test.y, table, NAMES[k], threshold=threshold, samples=50)
    metrics |= {"settings": settings, "choice": choice}
    plan = Plan("small", "none", 10, None, 32, weights, threshold)
    return Run(model, kind, study, plan, 0, table, metrics)


# ---- what is stored ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [2, 3])
def test_settle_stores_the_temperature_and_the_scores_of_validation(k):
    outputs, y = too_sure(np.random.default_rng(0), 400, k)
    model = model_of(k)
    deciding.settle(model, outputs, y)
    how, table = model.preprocessing, probability_table(outputs, NAMES[k])
    assert how["threshold"] == 0.5 and how["temperature"] == fit_temperature(logits_of(table), y) > 2
    assert len(how["conformal_scores"]) == 400 and how["conformal_scores"] == sorted(how["conformal_scores"])
    new, _ = too_sure(np.random.default_rng(1), 200, k)
    for alpha in (0.01, 0.1, 0.3):  # stored scores are rounded up: sets of the file hold those of all digits
        exact = conformal_sets(outputs, y, new, alpha)
        stored = deciding.sets(model, new, alpha)
        assert (stored | ~exact).all() and (stored != exact).mean() < 0.01
    assert len(json.dumps(how)) < 5000


def test_many_scores_are_thinned_and_stay_few():
    outputs, y = too_sure(np.random.default_rng(0), 3000)
    model = model_of(2)
    deciding.settle(model, outputs, y)
    assert len(model.preprocessing["conformal_scores"]) == deciding.MOST
    new, truth = too_sure(np.random.default_rng(1), 20_000)
    held = deciding.sets(model, new, 0.1)[np.arange(len(truth)), truth].mean()
    assert 0.9 - 4 * np.sqrt(0.09 / 500) < held < 0.9 + 4 * np.sqrt(0.09 / 500)


@pytest.mark.parametrize("k", [2, 3])
def test_calibration_leaves_the_class_called_alone_and_lowers_the_loss(k):
    run = run_of(k)
    outputs = probability_table(run.study.test.x, NAMES[k])
    assert (deciding.called(run.model, run.table) == outputs.argmax(axis=1)).all()
    assert log_loss(logits_of(run.table), run.study.test.y) < log_loss(logits_of(outputs), run.study.test.y) - 0.1
    if k == 2:
        assert macro_auc(run.study.test.y, run.table) == macro_auc(run.study.test.y, outputs)


@pytest.mark.parametrize(("n", "one_class"), [(49, False), (200, True)])
def test_too_little_to_fit_leaves_the_probabilities_alone(n, one_class):
    outputs, y = too_sure(np.random.default_rng(0), n)
    model = model_of(2)
    deciding.settle(model, outputs, np.zeros_like(y) if one_class else y)
    assert model.preprocessing["temperature"] == 1 and len(model.preprocessing["conformal_scores"]) == n
    assert np.array_equal(deciding.probabilities(model, outputs), probability_table(outputs, NAMES[2]))


def test_an_older_model_answers_as_before_and_cannot_refer():
    outputs, _ = too_sure(np.random.default_rng(0), 20)
    model = model_of(2)
    assert np.array_equal(deciding.probabilities(model, outputs), probability_table(outputs, NAMES[2]))
    with pytest.raises(ValueError, match="train again") as error:
        referring.promise(model, "images", 0.05)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("names", [["ill", "normal"], ["normal", "ill"]])
@pytest.mark.parametrize("wanted", [0.8, 0.95, 1.0])
def test_a_sensitivity_asked_for_is_reached_on_validation_by_the_next_threshold_only(names, wanted):
    """Whichever class is the disease: calls at the threshold have it, and no threshold that calls fewer does."""
    outputs, y = too_sure(np.random.default_rng(0), 300)
    outputs = outputs.round(2).clip(0.01, 0.99)
    model = model_of(2)
    model.class_names, positive = names, names.index("ill")
    deciding.settle(model, outputs, y, wanted)
    table = deciding.probabilities(model, outputs)
    ill, called = y == positive, deciding.called(model, table) == positive
    assert called[ill].mean() >= wanted
    fewer = table[:, positive] > table[called, positive].min()
    assert fewer[ill].mean() < wanted
    t = deciding.threshold_of_outputs(model)
    assert (called_class(probability_table(outputs, names), positive, t) == deciding.called(model, table)).all()


@pytest.mark.parametrize(
    ("k", "y", "wanted", "what"),
    [(3, [0, 1, 2], 0.9, "two classes"), (2, [0, 0, 0], 0.9, "both classes"), (2, [0, 1, 1], 1.5, "not a share")],
)
def test_a_sensitivity_that_cannot_be_had_is_refused_before_training(k, y, wanted, what):
    part = Examples(np.zeros(3), np.array(y))
    study = Study("s", NAMES[k], part, part, part, False, [], {}, "images", "1")
    deciding.check(study, None)
    with pytest.raises(ValueError, match=what):
        deciding.check(study, wanted)


# ---- the section ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [2, 3])
def test_the_section_s_figures_are_those_of_the_definitions(k):
    run = run_of(k)
    found = json.loads(json.dumps(decisions.find(run)))
    y, table = run.study.test.y, probability_table(run.study.test.x, NAMES[k])
    assert found["temperature"] == run.model.preprocessing["temperature"]
    for part, examples in (("val", run.study.val), ("test", run.study.test)):
        before, after = (found["reliability"][part][when] for when in ("before", "after"))
        assert after["log_loss"] < before["log_loss"] and after["brier_score"] < before["brier_score"]
        assert before["roc_auc"] == macro_auc(examples.y, probability_table(examples.x, NAMES[k]))
        assert after["roc_auc"] == pytest.approx(before["roc_auc"], abs=0.005 * (k > 2))
        expected = -np.log(probability_table(examples.x, NAMES[k])[np.arange(len(examples.y)), examples.y])
        assert before["log_loss"] == pytest.approx(expected.mean(), rel=1e-3)
    assert found["reliability"]["test"]["after"]["brier_score"] == pytest.approx(run.metrics["brier_score"])
    for row in found["referral"]:
        sets = deciding.sets(run.model, run.study.test.x, row["alpha"])
        single = sets.sum(axis=1) == 1
        assert row["referred"] == pytest.approx(1 - single.mean()) and row["answered"] == single.sum()
        assert row["error"] == pytest.approx(np.mean(sets[single].argmax(axis=1) != y[single]))
        low, high = row["coverage_interval"]
        assert low <= row["coverage"] <= high and high > 1 - row["alpha"] - 0.02
    assert (found["net_benefit"] is None) == (found["sensitivity"] is None) == (k == 3)
    assert (table.argmax(axis=1) == run.table.argmax(axis=1)).all()


def test_net_benefit_and_thresholds_are_of_the_test():
    run = run_of(2)
    found = decisions.find(run)
    part, ill = found["net_benefit"], run.study.test.y == 0
    at_prevalence = np.interp(ill.mean(), part["thresholds"], part["treat_all"])
    assert part["positive"] == "ill" and at_prevalence == pytest.approx(0, abs=0.01)
    assert all(low <= v <= high for low, v, high in zip(part["low"], part["model"], part["high"], strict=True))
    in_use, chosen = found["sensitivity"]["rows"]
    assert in_use["threshold"] == 0.5 and in_use["test"]["sensitivity"] == pytest.approx(run.metrics["sensitivity"])
    assert chosen["val"]["sensitivity"] >= 0.95 > in_use["val"]["sensitivity"]
    called = run.table[:, 0] >= chosen["threshold"]
    assert chosen["test"]["sensitivity"] == pytest.approx(called[ill].mean())
    assert chosen["test"]["specificity"] == pytest.approx(1 - called[~ill].mean())


def test_a_sensitivity_asked_for_is_the_threshold_in_use():
    run = run_of(2, sensitivity=0.9, settings={"sensitivity": 0.9})
    (row,) = decisions.find(run)["sensitivity"]["rows"]
    assert row["threshold"] == run.plan.threshold != 0.5 and row["val"]["sensitivity"] >= 0.9


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "the best of 10 epochs was chosen, so the promise is approximate"),
        ({"weights": "last"}, "Neither weights nor network were chosen"),
        ({"weights": "last", "choice": {"network": "small"}}, "the network was chosen"),
    ],
)
def test_what_was_chosen_on_the_same_examples_is_said(options, said):
    assert said in decisions.find(run_of(**options))["scores_words"]


def test_words_say_what_the_figures_are():
    found = decisions.find(run_of(2))
    temperature, referral, threshold = decisions.words(found)
    assert f"{found['temperature']:.2f}" in temperature and "less sure" in temperature and "ROC area stay" in temperature
    assert f"{found['referral'][1]['referred']:.1%} of the test" in referral
    assert f"{found['sensitivity']['rows'][1]['threshold']:.3f}" in threshold
    few = decisions.find(run_of(2, n=12))
    assert "the model's own" in decisions.words(few)[0] and "every input" in decisions.words(few)[1]


@pytest.mark.parametrize(("k", "n"), [(2, 300), (3, 12)])
def test_the_page_shows_the_section_and_no_text_collides(drawn, k, n):  # noqa: F811
    run = run_of(k, n)
    arguments = {**made_up(40, NAMES[k]), "history": {}}
    found = json.loads(json.dumps(decisions.find(run)))
    for row in (found["sensitivity"] or {"rows": []})["rows"]:  # the widest figures that there are
        row["test"] = {"sensitivity": 1.0, "specificity": 1.0, **dict.fromkeys(WIDEST, (0.972, 1.0))}
    arguments["metrics"] = {**arguments["metrics"], "decisions": found}
    _, figure, texts = drawn(arguments)
    check_layout(figure, texts)
    shown = words(texts)
    assert "Calibration and decisions" in shown and ("Net benefit, test" in shown) == (k == 2)
    assert ("Thresholds on the probability of ill" in shown) == (k == 2)


# ---- files ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A diagnosis of noisy little pictures; its folder, and some of the pictures."""
    root, rng = tmp_path_factory.mktemp("deciding"), np.random.default_rng(0)
    for name, level in (("ill", 130), ("normal", 110)):
        (root / "data" / name).mkdir(parents=True)
        for i in range(300):
            pixels = rng.normal(level + 14 * rng.normal(), 8, (8, 8, 1)).clip(0, 255)
            save_img(root / "data" / name / f"{i:03d}.png", pixels.astype("float32"), scale=False)
    options = ["--network", "linear", "--size", "8", "--augment", "none", "--epochs", "2", "--steps", "30"]
    options += ["--sensitivity", "0.9", "--output", str(root / "out")]
    assert cli.main(["diagnose", "--data", str(root / "data"), *options]) == 0
    return root / "out", sorted(str(path) for path in (root / "data").rglob("*00.png"))


def test_the_model_s_file_holds_what_the_report_says(trained):
    folder, _ = trained
    metrics = json.loads((folder / "metrics.json").read_text())
    model = load_model(folder / "model.safetensors")
    how = model.preprocessing
    assert metrics["decisions"]["temperature"] == how["temperature"] != 1
    assert metrics["threshold"] == metrics["recipe"]["threshold"] == how["threshold"]
    assert metrics["decisions"]["sensitivity"]["rows"][0]["val"]["sensitivity"] >= 0.9
    assert how["training"]["test"]["accuracy"] == metrics["accuracy"]


def test_predict_prints_calibrated_probabilities_and_the_class_by_the_threshold(trained, capsys):
    folder, files = trained
    model = load_model(folder / "model.safetensors")
    kind = kind_of(model)
    assert cli.main(["predict", str(folder / "model.safetensors"), *files]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines() if line.startswith(tuple(files))]
    for file, (entry, name, p) in zip(files, lines, strict=True):
        z = logits_of(probability_table(model.predict_on_batch(kind.read(file, model.preprocessing)), ["ill", "normal"]))[0]
        ill = 1 / (1 + np.exp((z[1] - z[0]) / model.preprocessing["temperature"]))
        called = ill > model.preprocessing["threshold"]
        assert (entry, name) == (file, "ill" if called else "normal")
        assert float(p) == pytest.approx(ill if called else 1 - ill, abs=6e-4)


def test_predict_refers_what_it_cannot_tell(trained, capsys):
    folder, files = trained
    path = str(folder / "model.safetensors")
    model = load_model(path)
    kind = kind_of(model)
    for alpha in (0.05, 0.3, 0.6):
        assert cli.main(["predict", path, *files, "--refer", str(alpha)]) == 0
        captured = capsys.readouterr()
        said = [line.split("\t")[1] for line in captured.out.splitlines() if line.startswith(tuple(files))]
        for file, answer in zip(files, said, strict=True):
            inside = deciding.sets(model, model.predict_on_batch(kind.read(file, model.preprocessing)), alpha)[0]
            assert answer == referring.answer(["ill", "normal"], inside)[1]
        assert f"at most {100 * alpha:.3g} % of inputs" in captured.err
    assert cli.main(["predict", path, files[0], "--refer", "0.001"]) == 0
    captured = capsys.readouterr()
    assert "both: a doctor should look" in captured.out and "which needs 999" in captured.err


def test_a_model_without_scores_says_to_train_again(trained, capsys, tmp_path):
    folder, files = trained
    model = load_model(folder / "model.safetensors")
    del model.preprocessing["conformal_scores"], model.preprocessing["temperature"]
    model.save(tmp_path / "older.safetensors")
    assert cli.main(["predict", str(tmp_path / "older.safetensors"), files[0]]) == 0
    capsys.readouterr()
    assert cli.main(["predict", str(tmp_path / "older.safetensors"), files[0], "--refer", "0.05"]) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and "train again" in captured.err


@pytest.mark.parametrize("share", ["0", "1.5", "nan", "five", "-0.1"])
@pytest.mark.parametrize("command", [["predict", "MODEL", "FILE", "--refer"], ["diagnose", "--sensitivity"]])
def test_a_share_is_a_share(command, share, capsys):
    with pytest.raises(SystemExit):
        cli.main([*command, share])
    assert "is not a share" in capsys.readouterr().err or share == "-0.1"


@pytest.mark.parametrize(
    ("lie", "what"),
    [
        ({"temperature": 0}, "temperature is 0"),
        ({"temperature": -2.0}, "above 0"),
        ({"temperature": "hot"}, "expected a number"),
        ({"temperature": True}, "expected a number"),
        ({"temperature": None}, "expected a number"),
        ({"conformal_scores": None}, "expected a list"),
        ({"conformal_scores": 3}, "expected a list"),
        ({"conformal_scores": [0.1, 1.5]}, "from 0 to 1"),
        ({"conformal_scores": [0.1, "a"]}, "expected a number"),
        ({"conformal_scores": [[0.1]]}, "expected a number"),
        ({"conformal_scores": [0.5] * 501}, "at most 500"),
    ],
)
def test_forged_entries_are_one_line(trained, capsys, tmp_path, lie, what):
    folder, files = trained
    model = load_model(folder / "model.safetensors")
    model.preprocessing = {**model.preprocessing, **lie}
    model.save(tmp_path / "forged.safetensors")
    assert cli.main(["predict", str(tmp_path / "forged.safetensors"), files[0], "--refer", "0.05"]) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and what in captured.err


def test_scores_of_no_example_refer_everything():
    assert deciding.sets(model_of(2, conformal_scores=[]), [[0.999]], 0.1).all()


@pytest.mark.parametrize(
    ("names", "inside", "said"),
    [
        (["a", "b"], [0, 0], "none: unlike the examples of every class; a doctor should look"),
        (["a", "b", "c"], [1, 1, 1], "{a, b, c}: a doctor should look"),
        (["a\x1b[2J", "b"], [1, 0], "{a\\x1b[2J}"),
    ],
)
def test_answers_in_words(names, inside, said):
    assert referring.answer(names, inside)[1] == said
