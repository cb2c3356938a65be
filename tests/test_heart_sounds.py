"""The task heart_sounds on made-up recordings in the folders of the real ones: its folds, its tables, and bad data."""

import shutil

import numpy as np
import pytest

from tinydx.datasets import make_heart_sounds
from tinydx.preprocessing.sound import save_sound
from tinydx.tasks import heart_sounds

pytest.importorskip("soundfile", reason="reading sounds needs soundfile: pip install soundfile")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two sites of recordings with more noise where they are abnormal, which quantiles of the bands tell."""
    folder = tmp_path_factory.mktemp("physionet")
    sounds, _ = make_heart_sounds(40, seed=0, seconds=5.0)
    y = np.arange(40) % 2
    sounds = sounds + 0.1 * y[:, None] * np.random.default_rng(0).standard_normal(sounds.shape).astype("float32")
    for i in range(30):
        name = ("normal", "abnormal")[y[i]]
        (folder / "training-a_10s_wav" / name).mkdir(parents=True, exist_ok=True)
        save_sound(folder / "training-a_10s_wav" / name / f"a{i:04d}.wav", sounds[i], 2000)
    x = np.clip(sounds[30:] * 32767, -32768, 32767).astype(np.int16)
    np.savez(folder / "training-bcdf_5s_2000Hz.npz", x=x, y=y[30:], rec=[f"b{i:04d}" for i in range(10)])
    return folder


def test_both_tables_are_printed_and_clear_classes_are_found(data, capsys, monkeypatch):
    monkeypatch.setattr(heart_sounds, "NETWORKS", 2)
    assert heart_sounds.main(["--data", str(data)]) == 0
    lines = capsys.readouterr().out.splitlines()
    areas = [float(line.split("AUC ")[1][:5]) for line in lines if "AUC" in line]
    tested = [line.split(":")[0].strip() for line in lines if "recordings" in line]
    assert tested == ["Site a", *(f"fold {k}" for k in range(1, 6)), "site b"]
    assert len(areas) == 7 and areas[5] == pytest.approx(np.mean(areas[:5]), abs=0.002) and areas[5] > 0.9 and areas[6] > 0.9


def test_folds_spread_each_class_evenly():
    labels = np.repeat([0, 1], [23, 58])
    fold = heart_sounds.folds(labels, seed=1)
    for label, least in ((0, 4), (1, 11)):
        counts = np.bincount(fold[labels == label], minlength=heart_sounds.FOLDS)
        assert set(counts) <= {least, least + 1}
    assert np.array_equal(fold, heart_sounds.folds(labels, seed=1))
    assert not np.array_equal(fold, heart_sounds.folds(labels, seed=2))


def test_missing_data_is_one_line(tmp_path, capsys):
    assert heart_sounds.main(["--data", str(tmp_path / "nowhere")]) == 1
    err = capsys.readouterr().err
    assert "nowhere" in err and err.count("\n") == 1


def test_the_other_sites_are_read_before_training(data, tmp_path, monkeypatch, capsys):
    shutil.copytree(data, tmp_path / "data")
    (tmp_path / "data" / "training-bcdf_5s_2000Hz.npz").write_bytes(b"cut")
    monkeypatch.setattr(heart_sounds, "diagnose", None)
    assert heart_sounds.main(["--data", str(tmp_path / "data")]) == 1
    for file in sorted((tmp_path / "data" / "training-a_10s_wav" / "normal").iterdir())[4:]:
        file.unlink()
    (tmp_path / "data" / "training-bcdf_5s_2000Hz.npz").unlink()
    assert heart_sounds.main(["--data", str(tmp_path / "data")]) == 1
    assert "4 recordings of one class, but each of the 5 folds needs one" in capsys.readouterr().err


def test_the_real_recordings_are_read_completely(real_data):
    folder = real_data("heart_sounds_physionet2016")
    sounds, labels = heart_sounds.read_site_a(folder / "training-a_10s_wav")
    assert np.bincount(labels).tolist() == [117, 292] and {s.shape for s in sounds} == {(401, 32)}
    sites = heart_sounds.read_other_sites(folder / "training-bcdf_5s_2000Hz.npz")
    counts = {site: (len(y), int(y.sum())) for site, (_, y) in sites.items()}
    assert counts == {"b": (490, 104), "c": (31, 24), "d": (55, 28), "f": (114, 34)}
