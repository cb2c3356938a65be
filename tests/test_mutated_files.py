"""Damaged data files of every format: read, or refused in one line that names the file. Nothing else ever leaves a reader."""

import random

import numpy as np
import pytest
from forgeries import mutated
from hospital import write_dicom
from PIL import Image

from tinydx.datasets.medmnist import MedMNIST
from tinydx.datasets.tables import has_columns, read_table
from tinydx.preprocessing.files import check_images, load_img, shared_white
from tinydx.preprocessing.sound import check_sounds, load_sound, save_sound

TRIES = 60
DEEP = np.random.default_rng(0).integers(0, 30_000, (16, 20)).astype(np.uint16)
COLOUR = np.random.default_rng(1).integers(0, 256, (16, 20, 3)).astype(np.uint8)


def of_pillow(path):
    form, deep = path.name.split(".")[0], path.name.startswith("deep")
    Image.fromarray(DEEP if deep else COLOUR).save(path, form.removeprefix("deep"))


def of_nifti(path):
    nibabel = pytest.importorskip("nibabel")
    nibabel.save(nibabel.Nifti1Image(DEEP.astype(np.int16), np.eye(4)), path)


def of_dicom(path):
    pytest.importorskip("pydicom")
    write_dicom(path, DEEP, RescaleSlope=1, RescaleIntercept=-5, WindowCenter=[900, 2], WindowWidth=[500, 3])


def of_sound(path):
    pytest.importorskip("soundfile")
    save_sound(path, np.random.default_rng(2).normal(0, 0.1, 900), 2000)


def of_npz(path):
    labels = np.arange(16) % 2
    np.savez_compressed(path, train_images=DEEP[:, :16].astype(np.uint8).reshape(16, 4, 4), train_labels=labels)


def of_table(path):
    path.write_bytes(b'text,label\n"fever, cough",flu\nitch,rash\n' * 4)


def read_image(path):
    check_images([str(path)])
    load_img(path)
    load_img(path, "grayscale", (8, 8), "bilinear", white="file")
    shared_white([str(path)])


def read_sound(path):
    check_sounds([path])
    load_sound(path)


PILLOW = ("png.png", "deeppng.png", "jpeg.jpg", "bmp.bmp", "ppm.ppm", "tiff.tif", "deeptiff.tif", "webp.webp", "gif.gif")
FORMATS = {name: (of_pillow, read_image) for name in (*PILLOW, "jpeg2000.jp2")}
FORMATS |= {"a.dcm": (of_dicom, read_image), "a.nii": (of_nifti, read_image), "a.nii.gz": (of_nifti, read_image)}
FORMATS |= {"a.wav": (of_sound, read_sound), "a.flac": (of_sound, read_sound), "a.npz": (of_npz, MedMNIST)}
FORMATS |= {"a.csv": (of_table, lambda path: read_table(path, has_columns(["text"], ["label"])))}


@pytest.mark.filterwarnings("ignore")  # of pydicom, Pillow and nibabel, about what is odd in a file
@pytest.mark.parametrize("name", FORMATS)
def test_a_damaged_file_is_read_or_named(tmp_path, name):
    write, read = FORMATS[name]
    write(tmp_path / name)
    read(tmp_path / name)
    whole, draw, refused = (tmp_path / name).read_bytes(), random.Random(name), 0
    for _ in range(TRIES):
        (tmp_path / name).write_bytes(mutated(whole, draw))
        try:
            read(tmp_path / name)
        except (OSError, ValueError) as error:
            assert name in str(error) and "\n" not in str(error)
            refused += 1
    assert refused > TRIES // 10
