"""The synthetic heart sounds: their content, folders, and that loudness and pitch do not reveal the class."""

import json

import numpy as np
import pytest

from tinydx.datasets import heart, make_heart_sounds, make_patient_sounds, write_heart_folders, write_patient_folders
from tinydx.datasets.patients import Patients
from tinydx.evaluation import roc_auc
from tinydx.preprocessing.sound import log_mel

PEAKS = [
    [0.6827, 0.4398, 0.0355, 0.0238, 0.7421, 0.2417, 0.0923, 0.0257],
    [0.0881, 0.3287, 0.3423, 0.2781, 0.3177, 0.0695, 0.385, 0.3081],
]  # of make_heart_sounds(2, seed=0, seconds=2.0)


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


# ---- patients --------------------------------------------------------------------------------------------------------


def test_sounds_without_a_patient_are_those_of_version_1():
    """The peaks of each quarter of a second, as they were before there were patients; rounding may differ between machines."""
    x, _ = make_heart_sounds(2, seed=0, seconds=2.0)
    np.testing.assert_allclose(np.abs(x).reshape(2, 8, 500).max(axis=2), PEAKS, atol=2e-4)
    assert heart.VERSION == 1


def test_patients_of_a_seed_begin_with_the_same_and_every_two_recordings_have_both_classes():
    few, labels, patient = make_patient_sounds(2, 4, seed=3, seconds=1.0)
    more, _, _ = make_patient_sounds(3, 6, seed=3, seconds=1.0)
    np.testing.assert_array_equal(few, more[[0, 1, 2, 3, 6, 7, 8, 9]])
    assert few.dtype == np.float32 and np.isfinite(few).all() and (np.abs(few).max(axis=1) <= 1).all()
    assert labels.reshape(-1, 2).sum(axis=1).tolist() == [1] * 4 and patient.tolist() == [0] * 4 + [1] * 4
    other, _, _ = make_patient_sounds(2, 4, seed=4, seconds=1.0)
    assert not np.array_equal(few, other)


def test_recordings_of_a_patient_have_one_rate(monkeypatch):
    rates, usual = [], heart._beats
    monkeypatch.setattr(
        heart, "_beats", lambda rng, seconds, breath, rate: (rates.append(rate), usual(rng, seconds, breath, rate))[1]
    )
    make_patient_sounds(12, 6, seed=0, seconds=1.0)
    logs = np.log(np.reshape(rates, (12, 6)))
    assert logs.std(axis=1).max() < 0.08 < logs.mean(axis=1).std()


def test_a_recorder_tilts_the_spectrum_and_raises_it_around_its_resonance():
    """The same heart by two recorders: at each frequency their ratio is that of the equation, but for the loudness."""
    plain = heart.draw_patient(np.random.default_rng(0))._replace(recorder=heart.Recorder(0.0, 300.0, 0.0, -30.0))
    other = plain._replace(recorder=heart.Recorder(3.0, 300.0, 6.0, -30.0))
    a, b = (np.abs(np.fft.rfft(heart.heart_sound(np.random.default_rng(1), True, 4.0, p))) for p in (plain, other))
    decibels = 20 * np.log10(b / a)[4 * np.array([75, 150, 300, 600])]
    expected = np.array([3 * k + 6 * np.exp(-2 * (k - 1) ** 2) for k in (-1, 0, 1, 2)])  # k octaves above 150 Hz
    np.testing.assert_allclose(np.diff(decibels), np.diff(expected), atol=0.1)


def test_recordings_of_a_patient_have_one_colour():
    """Between patients it differs far more than within: the log power of each band over the recording."""
    x, _, patient = make_patient_sounds(12, 4, seed=0, seconds=4.0)
    colour = np.asarray(log_mel(x, heart.RATE, n_fft=256, hop=50, n_mels=8)).mean(axis=1)
    colour = colour - colour.mean(axis=1, keepdims=True)  # without the level
    means = np.array([colour[patient == name].mean(axis=0) for name in range(12)])
    within = (colour - means[patient]).var(axis=0).mean() * 4 / 3
    assert means.var(axis=0, ddof=1).mean() > 3 * within


def test_neither_loudness_nor_pitch_tells_a_patient_s_classes_apart():
    x, y, _ = make_patient_sounds(60, 4, seed=1, seconds=3.0)
    bands = np.asarray(log_mel(x, heart.RATE, n_fft=256, hop=50, n_mels=8)).mean(axis=1)
    for score in (*bands.T, x.std(axis=1)):
        assert 0.35 < roc_auc(y, score) < 0.65


@pytest.mark.parametrize("abnormal", [True, False])
def test_an_innocent_murmur_is_where_the_patient_has_it(abnormal):
    """The noise's envelope: in a normal recording that of the innocent murmur alone, else of both, each with half the power."""
    t = np.arange(4000) / heart.RATE
    murmur, innocent = (heart._envelope(t, [(begin, 0.3, 0.5)]) for begin in (0.5, 1.0))
    found = heart._beside(murmur, innocent, abnormal)
    assert (found[2000:2600] > 0).any() and (found[1000:1600] > 0).any() == abnormal
    np.testing.assert_allclose(np.sum(found**2), np.sum(innocent**2), rtol=0.02)


def test_half_of_all_patients_have_an_innocent_murmur_elsewhere_in_the_beat():
    patients = [heart.draw_patient(np.random.default_rng(i)) for i in range(200)]
    innocent = [p for p in patients if p.usual is not None]
    assert 70 < len(innocent) < 130 and all((p.place == 2) != (p.usual == 2) for p in innocent)
    without = [heart.draw_patient(np.random.default_rng(i), innocent=False) for i in range(200)]
    assert without == [p._replace(usual=None) for p in patients]


def test_folders_of_patients_name_them_so_that_a_split_keeps_them_together(tmp_path):
    pytest.importorskip("soundfile", reason="writing sounds needs soundfile: pip install soundfile")
    folder = write_patient_folders(tmp_path / "hearts", patients=8, each=4, seconds=1.0)
    files = sorted(folder.rglob("*.wav"))
    assert len(files) == 32 and {file.parent.name for file in files} == set(heart.CLASS_NAMES)
    owners = Patients(str(folder)).owners([str(file) for file in files])
    assert {owner.means for owner in owners} == {"patient"} and len({owner.key for owner in owners}) == 8
    facts = json.loads((folder / "synthetic.json").read_text())
    assert facts["synthetic"] and facts["patients"] == 8 and "no patient" in facts["notice"]
    with pytest.raises(FileExistsError, match="heart sounds made with other settings"):
        write_patient_folders(folder, patients=9, each=4, seconds=1.0)
