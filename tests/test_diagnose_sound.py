"""tinydx diagnose and predict on recordings: from wav folders to a report, and the ways in which recordings can be wrong."""

import json

import numpy as np
import pytest

from tinydx import cli
from tinydx.diagnosis import kinds
from tinydx.diagnosis.kind import Options
from tinydx.diagnosis.kinds import sound
from tinydx.diagnosis.kinds.sound import KIND
from tinydx.models import load_model
from tinydx.preprocessing.sound import save_sound

soundfile = pytest.importorskip("soundfile", reason="reading sounds needs soundfile: pip install soundfile")


def high_and_low(folder, n=12):
    """Class folders that any model can tell apart, their files of several rates and lengths."""
    rng = np.random.default_rng(0)
    for name, pitch in (("high", 400), ("low", 60)):
        (folder / name).mkdir(parents=True)
        for i in range(n):
            rate = (2000, 4000, 8000, 44100)[i % 4]
            t = np.arange(round(rate * rng.uniform(0.4, 1.6))) / rate
            x = np.sin(2 * np.pi * pitch * rng.uniform(0.9, 1.1) * t) + 0.1 * rng.standard_normal(len(t))
            save_sound(folder / name / f"{i:03d}.wav", 0.5 * x, rate)
    return folder


def run(data, output, *more):
    options = ["--size", "1", "--epochs", "6", "--batch", "4", "--output", str(output)]
    return cli.main(["diagnose", "--data", str(data), *options, *more])


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """One run of the command on a folder of wav files, without --kind; its data and output folder."""
    root = tmp_path_factory.mktemp("sound")
    data, output = high_and_low(root / "data"), root / "out"
    assert run(data, output) == 0
    return data, output


def test_it_writes_model_history_metrics_and_page(result):
    _, output = result
    names = {"model.safetensors", "history.json", "history.csv", "metrics.json", "report.png", "card.md", "card.json"}
    assert names == {p.name for p in output.iterdir()}
    metrics = json.loads((output / "metrics.json").read_text())
    assert any("last longer: their first 1 s are used" in note for note in metrics["data"]["notes"])
    assert metrics["roc_auc"] > 0.9 and metrics["data"]["recordings"]["test"]["high"] > 0
    assert load_model(output / "model.safetensors").preprocessing["kind"] == "sound"
    assert "a dense network on the quantiles" in metrics["recipe"]["network"]


def test_predict_reads_files_as_the_training_did_and_names_unreadable_ones(result, capsys, tmp_path):
    data, output = result
    text = tmp_path / "text.wav"
    text.write_text("no sound")
    files = [str(data / "high" / "003.wav"), str(text), str(data / "low" / "002.wav")]
    assert cli.main(["predict", str(output / "model.safetensors"), *files]) == 1
    captured = capsys.readouterr()
    lines = [line.split("\t") for line in captured.out.splitlines()]
    assert [line[:2] for line in lines] == [[files[0], "high"], [files[2], "low"]]
    assert sum("text.wav" in line for line in captured.err.splitlines()) == 1


def test_many_recordings_are_learnt_by_the_recurrence_and_few_by_their_quantiles(tmp_path, monkeypatch):
    data = high_and_low(tmp_path / "data")
    few = KIND.open_study(data, size=1, limit=None, seed=0)
    monkeypatch.setattr(sound, "FEW", 10)
    many = KIND.open_study(data, size=1, limit=None, seed=0)
    for study, numbers, epochs in ((few, (160,), 6), (many, (41, 32), 20)):
        plan = KIND.plan(study, Options(batch=4))
        assert plan.epochs == epochs and plan.epochs * plan.steps >= (2000 if epochs == 20 else 600)
        assert KIND.plan(study, Options(epochs=3)).epochs == 3
        model = KIND.build(study, plan)
        tested = next(KIND.plain_batches(study, study.test, 4))[0]
        assert tested.shape == (4, *numbers)
        assert next(KIND.training_batches(study, plan, seed=0))[0].shape[0] == 4
        x = KIND.read(study.test.files[0], study.preprocessing)
        np.testing.assert_allclose(x[0], tested[0], atol=1e-4)
        assert model.predict(x).shape == (1, 1)


def test_training_on_quantiles_sees_pieces_unless_told_not_to(tmp_path):
    study = KIND.open_study(high_and_low(tmp_path / "data"), size=1, limit=None, seed=0)
    batches = {
        augment: KIND.training_batches(study, KIND.plan(study, Options(augment=augment)), 0) for augment in ("document", "none")
    }
    assert {k: v.n for k, v in batches.items()} == {"document": 13 * len(study.train.y), "none": len(study.train.y)}
    whole = batches["none"].x
    np.testing.assert_allclose(whole.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_array_equal(batches["document"].x[: len(whole)], whole)
    assert KIND.plan(study, Options()).epochs * KIND.plan(study, Options()).steps >= 600


def test_the_baselines_numbers_are_the_mean_and_spread_of_each_band(tmp_path):
    study = KIND.open_study(high_and_low(tmp_path / "data"), size=1, limit=None, seed=0)
    x = KIND.features(study, study.test)
    assert x.dtype == np.float32 and x.shape == (len(study.test.y), 64)
    bands = sound.augmentation("none").features(study.test.x[0])
    np.testing.assert_allclose(x[0], [*bands.mean(axis=0), *bands.std(axis=0)], rtol=1e-5)
    loud = x[:, :32].argmax(axis=1)
    assert loud[study.test.y == 0].min() > loud[study.test.y == 1].max()  # high tones lie in higher bands


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.write_bytes(b""), "cannot read sound"),
        (lambda path: path.write_text("hello, I am a text"), "cannot read sound"),
        (lambda path: soundfile.write(path, np.zeros(900), 2000), "is silent"),
        (lambda path: soundfile.write(path, np.full(900, np.nan), 2000, subtype="FLOAT"), "NaN or infinite"),
        (lambda path: soundfile.write(path, np.ones(900), 1), "its rate is 1 Hz"),
        (lambda path: soundfile.write(path, np.arange(20) / 20, 2000), "too short"),
    ],
)
def test_a_bad_recording_is_one_line_and_nothing_is_written(tmp_path, capsys, spoil, words):
    data = high_and_low(tmp_path / "data", n=6)
    spoil(data / "low" / "004.wav")
    assert run(data, tmp_path / "out") == 1
    err = capsys.readouterr().err
    assert words in err and "004.wav" in err and err.count("\n") == 1 and not (tmp_path / "out").exists()


def test_data_that_is_not_a_folder_of_recordings(tmp_path, capsys):
    data = high_and_low(tmp_path / "data", n=2)
    for path, kind, words in (
        (tmp_path / "nowhere", "sound", "no folder"),
        (data / "low" / "000.wav", "sound", "a folder with one folder of wav or flac files for each class"),
        (data, "image", "holds no images"),
        (data / "low", "sound", "directly in"),
    ):
        assert run(path, tmp_path / "out", "--kind", kind) == 1
        err = capsys.readouterr().err
        assert words in err and err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_without_soundfile_one_line_says_how_to_install_it(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "soundfile", None)
    monkeypatch.setenv("TINYDX_HOME", str(tmp_path / "home"))
    assert cli.main(["diagnose", "--kind", "sound", "--output", str(tmp_path / "out")]) == 1
    err = capsys.readouterr().err
    assert "pip install soundfile scipy" in err and err.count("\n") == 1
    assert not list((tmp_path / "home").iterdir()) and not (tmp_path / "out").exists()


def test_an_example_is_plotted_as_its_waveform_above_its_spectrum():
    from matplotlib.figure import Figure

    t = np.arange(4000) / 2000
    axes = Figure().add_subplot()
    kinds.get("sound").plot(axes, np.sin(2 * np.pi * 100 * t) * (t < 1))
    bands, wave = axes.images[0].get_array(), axes.lines[0].get_ydata()
    assert bands.shape == (32, 81) and bands[:, :35].max() > bands[:, 45:].max() + 40  # dB: loud, then silent
    assert 1 < wave.min() < wave.max() < 1.5 and np.ptp(wave[2000:]) == 0


def test_the_kind_is_that_of_most_files(tmp_path):
    data = high_and_low(tmp_path / "data", n=2)
    (data / "picture.png").write_bytes(b"")
    assert kinds.guess(data) == "sound" and kinds.guess(tmp_path / "nowhere") == "image"


def test_an_unknown_kind_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"no kind 'smell': known are fused, image, sound, table, text"):
        kinds.get("smell")
