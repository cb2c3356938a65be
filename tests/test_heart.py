"""The synthetic heart sounds: their content, folders, and that loudness and pitch do not reveal the class."""

import json

import numpy as np
import pytest

from tinydx.datasets import heart, make_heart_sounds, write_heart_folders
from tinydx.evaluation import roc_auc
from tinydx.preprocessing.sound import log_mel


def test_the_same_seed_gives_the_same_sounds_and_more_begin_with_them():
    few, labels = make_heart_sounds(4, seed=1, seconds=2.0)
    more, _ = make_heart_sounds(6, seed=1, seconds=2.0)
    other, _ = make_heart_sounds(4, seed=2, seconds=2.0)
    assert np.array_equal(few, more[:4]) and not np.array_equal(few, other) and labels.tolist() == [0, 1, 0, 1]
    assert few.dtype == np.float32 and np.isfinite(few).all() and (np.abs(few).max(axis=1) <= 1).all()


def test_the_beat_has_the_rate_of_a_heart():
    """The envelope of every recording repeats after 60/110 to 60/50 seconds, or after half of that."""
    x, _ = make_heart_sounds(12, seed=0, seconds=8.0)
    power = np.square(x).reshape(len(x), -1, 20).mean(axis=2)  # 100 values a second
    power = np.sqrt(power) - np.sqrt(power).mean(axis=1, keepdims=True)
    for row in power:
        correlation = np.correlate(row, row, "full")[len(row) :]  # from a lag of 10 ms on
        lag = 25 + correlation[25:130].argmax() + 1
        assert 26 <= lag <= 122 and correlation[lag - 1] > 0.2 * (row @ row)


def test_a_linear_model_on_the_spectrum_does_not_tell_the_classes_apart():
    """Neither its mean nor its spread over time gives the label away; a network that hears the beat gets 1.0."""
    from sklearn.linear_model import LogisticRegression

    x, y = make_heart_sounds(400, seed=5, seconds=4.0)
    bands = log_mel(x, heart.RATE, n_fft=256, hop=50, n_mels=16)
    bands = np.concatenate([bands.mean(axis=1), bands.std(axis=1)], axis=1)
    bands = (bands - bands.mean(axis=0)) / bands.std(axis=0)
    linear = LogisticRegression(C=0.1).fit(bands[:200], y[:200])
    assert roc_auc(y[200:], linear.predict_proba(bands[200:])[:, 1]) < 0.75


def test_the_murmur_keeps_its_place_in_the_beat():
    """A recording of either class is the same heart: only when its noise is heard differs."""
    ill, well = (heart.heart_sound(np.random.default_rng(9), abnormal, seconds=6.0) for abnormal in (True, False))
    assert not np.array_equal(ill, well) and np.corrcoef(ill, well)[0, 1] > 0.6


def test_less_than_a_second_is_refused():
    with pytest.raises(ValueError, match=r"at least 1, got 0\.5"):
        heart.heart_sound(np.random.default_rng(0), abnormal=True, seconds=0.5)


def test_folders_are_written_once_and_say_what_they_are(tmp_path):
    soundfile = pytest.importorskip("soundfile", reason="writing sounds needs soundfile: pip install soundfile")
    folder = write_heart_folders(tmp_path / "hearts", train=4, val=2, test=2, seconds=1.0)
    files = sorted(str(p.relative_to(folder)) for p in folder.rglob("*.wav"))
    assert len(files) == 8 and all("/synthetic-" in file.replace("\\", "/") for file in files)
    facts = json.loads((folder / "synthetic.json").read_text())
    assert facts["synthetic"] and "no patient" in facts["notice"]
    x, rate = soundfile.read(folder / "train" / "abnormal" / "synthetic-00000.wav")
    assert rate == heart.RATE and np.abs(x - make_heart_sounds(1, seconds=1.0)[0][0]).max() < 1e-4
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    write_heart_folders(folder, train=4, val=2, test=2, seconds=1.0)
    assert before == {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    with pytest.raises(FileExistsError, match="heart sounds made with other settings"):
        write_heart_folders(folder, train=6, val=2, test=2, seconds=1.0)
