"""`tinydx diagnose` and `tinydx predict` on files as hospitals and computers have them: DICOM, 12 bits, hidden and broken."""

import numpy as np
import pytest
from hospital import write_dicom
from PIL import Image

from tinydx import cli
from tinydx.diagnosis import kinds
from tinydx.diagnosis.kind import Options
from tinydx.diagnosis.kinds.image import KIND, open_study
from tinydx.models import load_model
from tinydx.preprocessing.dicom import patient_of

CLASSES = ("bright", "dark")
QUICK = ["--network", "document", "--size", "28", "--epochs", "8", "--batch", "8", "--augment", "none"]


def picture(rng, k, size=28):
    """12 bits: bright or dark."""
    return rng.integers(300 + 2000 * (1 - k), 900 + 2000 * (1 - k), (size, size)).astype(np.uint16)


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    """A folder of DICOM files, twelve patients with two files each in a class; the model that it makes."""
    pytest.importorskip("pydicom")
    root, rng = tmp_path_factory.mktemp("hospital"), np.random.default_rng(0)
    for k, name in enumerate(CLASSES):
        (root / "data" / name).mkdir(parents=True)
        for i in range(24):
            attributes = {"PatientID": f"{name}-{i // 2}", "WindowCenter": 2048, "WindowWidth": 4096}
            write_dicom(root / "data" / name / f"IM{(i * 7) % 24:04d}", picture(rng, k), **attributes)
    (root / "data" / "DICOMDIR").write_bytes(b"the index of the disk")
    (root / "data" / "bright" / "._IM0001").write_bytes(b"of macOS")
    assert cli.main(["diagnose", "--data", str(root / "data"), *QUICK, "--output", str(root / "out")]) == 0
    return root


def test_a_folder_of_dicom_is_split_patient_by_patient(hospital):
    study = open_study(hospital / "data", size=28)
    patients = [{patient_of(file) for file in part.files} for part in (study.train, study.val, study.test)]
    assert sum(map(len, patients)) == 24 == len(set.union(*patients))
    assert len(study.train.y) + len(study.val.y) + len(study.test.y) == 48 and "white" not in study.preprocessing


def test_predict_takes_a_dicom_file_and_a_folder(hospital, capsys):
    model, folder = str(hospital / "out" / "model.safetensors"), hospital / "data" / "dark"
    assert cli.main(["predict", model, str(folder / "IM0003"), str(hospital / "data" / "bright")]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[1] for row in rows] == ["dark"] + ["bright"] * 24
    assert rows[1][0] == str(hospital / "data" / "bright" / "IM0000")


def test_text_in_pictures_is_in_the_notes(tmp_path):
    pytest.importorskip("pydicom")
    for k, name in enumerate(CLASSES):
        (tmp_path / name).mkdir()
        for i in range(8):
            attributes = {"PatientID": f"{name}{i}", "BurnedInAnnotation": "YES" if (k, i) == (0, 3) else "NO"}
            write_dicom(tmp_path / name / f"{i}.dcm", picture(np.random.default_rng(i), k), **attributes)
    with pytest.warns(UserWarning, match="1 of 16 images may have names"):
        study = open_study(tmp_path, size=16)
    assert any("1 of 16 images may have names" in note and "3.dcm" in note for note in study.notes)


def deep(root, factor=1, dtype=np.uint16):
    rng = np.random.default_rng(0)
    for k, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True)
        for i in range(8):
            Image.fromarray((picture(rng, k) * factor).astype(dtype)).save(root / name / f"{i}.tif")
    return root


@pytest.mark.parametrize(("factor", "dtype", "white"), [(1, np.uint16, 4095), (16, np.uint16, 65535), (16, np.int32, 65535)])
def test_twelve_bits_are_the_same_pictures_whatever_they_lie_in(tmp_path, factor, dtype, white):
    flat = open_study(deep(tmp_path / "flat", 255 / 4095, np.uint8), size=28)
    study = open_study(deep(tmp_path / "deep", factor, dtype), size=28)
    for a, b in ((flat.train, study.train), (flat.val, study.val), (flat.test, study.test)):
        assert abs(a.x.astype(int) - b.x.astype(int)).max() <= 1
    assert f"images of more than 8 bits: 0 is black, {white} white" in study.notes
    for network in ("document", "blocks"):
        KIND.plan(study, Options(network=network))
        assert study.preprocessing["white"] == white
    read = KIND.read(study.test.files[0], {**study.preprocessing, "standardise": False, "rescale": None})
    np.testing.assert_array_equal(read[0, ..., 0], study.test.x[0, ..., 0])  # predict reads as training did


def test_another_folder_of_deep_images_has_one_white_too(tmp_path):
    flat = open_study(deep(tmp_path / "flat", 255 / 4095, np.uint8), size=28)
    other = deep(tmp_path / "other")
    Image.fromarray(np.full((28, 28), 200, np.uint16)).save(other / "dark" / "0.tif")  # by itself, it would be of 8 bits
    part = KIND.open_labelled(other, flat.class_names, flat.preprocessing)
    assert part.x[part.files.index(str(other / "dark" / "0.tif"))].max() == round(200 * 255 / 4095)


def test_predict_refuses_an_image_on_another_scale(tmp_path, capsys):
    data = deep(tmp_path / "data")
    assert cli.main(["diagnose", "--data", str(data), *QUICK, "--output", str(tmp_path / "out")]) == 0
    model = str(tmp_path / "out" / "model.safetensors")
    assert load_model(model).preprocessing["white"] == 4095
    other = deep(tmp_path / "other", 16) / "bright" / "0.tif"
    capsys.readouterr()
    assert cli.main(["predict", model, str(other), str(data / "dark" / "1.tif")]) == 1
    out, err = capsys.readouterr()
    assert out.startswith(str(data / "dark" / "1.tif")) and "its largest value is" in err and "white is 4095" in err


@pytest.mark.parametrize("empty", [True, False])
def test_all_files_that_cannot_be_read_are_named_before_training(tmp_path, capsys, empty):
    rng = np.random.default_rng(0)
    for k, name in enumerate(CLASSES):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(6):
            Image.fromarray((picture(rng, k, 64) // 16).astype(np.uint8)).save(tmp_path / "data" / name / f"{i}.jpg", quality=95)
    for name in ("2.jpg", "3.jpg"):
        path = tmp_path / "data" / "bright" / name
        path.write_bytes(path.read_bytes()[:-500])
    (tmp_path / "data" / "bright" / "4.jpg").write_bytes(b"" if empty else path.read_bytes())
    assert cli.main(["diagnose", "--data", str(tmp_path / "data"), "--output", str(tmp_path / "out")]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and all(f"{i}.jpg" in err for i in (2, 3, 4)) and "truncated" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["a/1.png", "a/._1.txt", "a/.ipynb_checkpoints/2.txt", "__MACOSX/a/._1.wav", "a/~$x.csv"], "image"),
        (["a/1.wav", "a/@eaDir/1.png", "a/@eaDir/2.png"], "sound"),
        (["a/1.nii.gz", "a/2.NII.GZ", "a/1.txt"], "image"),
        (["a/1.webp", "a/2.pgm", "a/3.dcm", "b/1.txt", "b/2.txt"], "image"),
    ],
)
def test_hidden_files_say_nothing_about_the_kind(tmp_path, names, kind):
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert kinds.guess(tmp_path) == kind


def test_a_hidden_npz_beside_the_data_does_not_count(tmp_path):
    images, labels = np.random.default_rng(0).integers(0, 255, (40, 28, 28), np.uint8), np.arange(40)[:, None] % 2
    np.savez(tmp_path / "breastmnist.npz", train_images=images, train_labels=labels.astype(np.uint8))
    (tmp_path / "._breastmnist.npz").write_bytes(b"of macOS")
    assert len(open_study(tmp_path).class_names) == 2
