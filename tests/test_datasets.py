"""Phantoms whose brightness does not reveal the label, MedMNIST files, and class folders split patient by patient."""

import json
import re
import shutil
import threading
import zipfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from tinydx.datasets import (
    MedMNIST,
    chest_phantom,
    folders,
    make_phantoms,
    medmnist,
    open_folders,
    phantom,
    write_phantom_folders,
)
from tinydx.datasets.synthetic import write_once

# ---- phantoms ------------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 2**40), abnormal=st.booleans(), size=st.integers(16, 120))
def test_a_phantom_is_an_image_and_the_same_for_the_same_seed(seed, abnormal, size):
    image, again = (chest_phantom(np.random.default_rng(seed), abnormal, size) for _ in range(2))
    assert image.shape == (size, size) and image.dtype == np.float32
    assert image.min() >= 0 and image.max() <= 1 and image.std() > 0.05
    np.testing.assert_array_equal(image, again)


@given(seed=st.integers(0, 2**40))
def test_the_same_patient_with_and_without_opacities_has_the_same_brightness(seed):
    ill, well = (chest_phantom(np.random.default_rng(seed), abnormal, 100) for abnormal in (True, False))
    change = ill - well
    assert change.max() > 0.1  # an opacity is brighter than the haze at its place
    assert (change > 0.05).mean() < 0.25 and abs(change.mean()) < 0.02  # small, and paid for elsewhere
    assert abs(change[:, :3]).max() < 0.01 and abs(change[:, -3:]).max() < 0.01  # nothing outside the lungs


@given(seed=st.integers(0, 2**40), size=st.integers(16, 80))
def test_blobs_added_up_in_strips_have_the_bits_of_one_sum(seed, size):
    rng = np.random.default_rng(seed)
    canvas = phantom._Canvas(rng, size)
    blobs = [*phantom._unevenness(rng), *phantom._vessels(rng), *phantom._opacities(rng, lambda: complex(*rng.uniform(-1, 1, 2)))]
    place, radius, amplitude = np.concatenate(blobs).astype(np.complex64).T[..., None]
    place = place * np.complex64(canvas.pose) + np.complex64(canvas.shift)
    radius = np.maximum(radius.real * canvas.scale, 1.4 / size)
    across, down = (np.exp(-0.5 * ((canvas.axis - part) / radius) ** 2) for part in (place.real, place.imag))
    assert (canvas.blobs(blobs) == np.einsum("kh,kw->hw", amplitude.real * down, across)).all()


@given(seed=st.integers(0, 10**6), size=st.integers(16, 96))
def test_what_is_left_out_around_an_organ_is_zero(seed, size):
    """Whatever the patient's pose: computed everywhere, the organs give the same bits."""

    def everywhere(canvas, box, organ):
        return organ(canvas.x, canvas.y)

    def draw():
        canvas = phantom._Canvas(rng := np.random.default_rng(seed), size)
        return phantom._lungs(rng, canvas), phantom._heart(rng, canvas), chest_phantom(rng, True, size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(phantom._Canvas, "within", everywhere)
        whole = draw()
    for one, other in zip(draw(), whole, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_phantom_that_is_too_small_raises():
    with pytest.raises(ValueError, match="at least 16 pixels, got 8"):
        chest_phantom(np.random.default_rng(0), True, size=8)


def test_a_set_does_not_depend_on_how_many_are_drawn_at_once():
    images, labels = make_phantoms(9, seed=4, size=32)
    assert images.shape == (9, 32, 32) and images.dtype == np.uint8
    assert [phantom.CLASS_NAMES[k] for k in labels[:3]] == ["abnormal", "normal", "abnormal"]
    np.testing.assert_array_equal(images[:5], make_phantoms(5, seed=4, size=32)[0])
    assert len({image[:1].tobytes() for image in images}) == 9  # above the lungs: nobody is in it twice, ill and well
    assert not (images == make_phantoms(9, seed=5, size=32)[0]).all(axis=(1, 2)).any()


@pytest.fixture(scope="module")
def many():
    """(images 32x32, abnormal or not) for training and for test."""

    def half(images):
        return images.reshape(len(images), 32, 2, 32, 2).mean((2, 4)) / 255

    train, test = (make_phantoms(700, seed, size=64) for seed in (1, 2))
    return half(train[0]), train[1] == 0, half(test[0]), test[1] == 0


def test_brightness_does_not_reveal_the_class(many):
    _, _, images, abnormal = many
    assert 0.4 < roc_auc_score(abnormal, images.mean((1, 2))) < 0.6


@pytest.mark.parametrize("regularisation", [1e-3, 1e-2, 1e-1])
def test_a_linear_model_on_pixels_does_not_find_the_class(many, regularisation):
    images, abnormal, test_images, test_abnormal = many
    scaler = StandardScaler().fit(images.reshape(len(images), -1))
    model = LogisticRegression(C=regularisation, max_iter=500)
    model.fit(scaler.transform(images.reshape(len(images), -1)), abnormal)
    score = model.decision_function(scaler.transform(test_images.reshape(len(test_images), -1)))
    assert roc_auc_score(test_abnormal, score) < 0.85


def test_local_texture_reveals_the_class_and_the_brightest_pixel_does_not():
    images, labels = make_phantoms(200, seed=3, size=100)
    spots = [-ndimage.gaussian_laplace(image / 255, 2)[15:] for image in images]
    assert roc_auc_score(labels == 0, [np.percentile(spot, 99) for spot in spots]) > 0.95
    assert roc_auc_score(labels == 0, images.max((1, 2))) < 0.85


def test_folders_of_phantoms_are_marked_as_synthetic(tmp_path):
    root = write_phantom_folders(tmp_path / "deep" / "set", train=5, val=2, test=4, size=32, seed=7)
    assert root == tmp_path / "deep" / "set" and [path.name for path in root.parent.iterdir()] == ["set"]
    files = sorted(root.rglob("*.png"))
    counts = Counter(f"{path.parent.parent.name}/{path.parent.name}" for path in files)
    assert counts == {
        **{"train/abnormal": 3, "train/normal": 2, "val/abnormal": 1},
        **{"val/normal": 1, "test/abnormal": 2, "test/normal": 2},
    }
    assert all(re.fullmatch(r"synthetic-\d{5}\.png", path.name) for path in files)
    assert all("Synthetic" in Image.open(path).text["synthetic"] for path in files)
    facts = json.loads((root / "synthetic.json").read_text())
    assert facts["synthetic"] is True and "no patient" in facts["notice"] and facts["classes"] == ["abnormal", "normal"]
    images, labels = make_phantoms(11, seed=7, size=32)
    for path in files:  # the numbers run on: an image is in one split only
        number = int(path.stem.removeprefix("synthetic-"))
        np.testing.assert_array_equal(np.asarray(Image.open(path)), images[number])
        assert path.parent.name == phantom.CLASS_NAMES[labels[number]]


def test_a_finished_set_is_kept_and_another_not_overwritten(tmp_path, monkeypatch):
    how = {"train": 2, "val": 2, "test": 2, "size": 32}
    root = write_phantom_folders(tmp_path / "set", **how)
    monkeypatch.setattr(phantom, "_numbered", None)  # nothing may be drawn from here on
    assert write_phantom_folders(tmp_path / "set", **how) == root
    with pytest.raises(FileExistsError, match="made with other settings: delete it, or choose another"):
        write_phantom_folders(tmp_path / "set", **how, seed=1)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x.txt").write_text("mine")
    for taken in (tmp_path / "mine", tmp_path / "mine" / "x.txt"):
        with pytest.raises(FileExistsError, match="holds other files"):
            write_phantom_folders(taken, **how)
    assert (tmp_path / "mine" / "x.txt").read_text() == "mine"


def test_an_empty_folder_is_used(tmp_path):
    assert (write_phantom_folders(tmp_path, train=2, val=2, test=2, size=16) / "synthetic.json").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("disk full")])
def test_an_interrupted_run_leaves_nothing(tmp_path, monkeypatch, error):
    draw = phantom._numbered

    def fail(i, seed, size):
        if i == 3:
            raise error
        return draw(i, seed, size)

    with monkeypatch.context() as patch:
        patch.setattr(phantom, "_numbered", fail)
        with pytest.raises(error if isinstance(error, type) else type(error)):
            write_phantom_folders(tmp_path / "set", train=4, val=2, test=2, size=16)
    assert list(tmp_path.iterdir()) == []
    assert write_phantom_folders(tmp_path / "set", train=4, val=2, test=2, size=16).is_dir()


def test_writers_at_the_same_time_leave_one_whole_set(tmp_path):
    """Two first runs, as of a class with one data folder: who comes second finds the set and throws the own copy away."""
    both_write = threading.Barrier(2, timeout=30)

    def write(draft):
        both_write.wait()
        (draft / "a.txt").write_text("1")
        both_write.wait()

    def run(_):
        return write_once(tmp_path / "home" / "set", {"seed": 0}, "numbers", write)

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(run, range(2))) == [tmp_path / "home" / "set"] * 2
    assert sorted(file.name for file in (tmp_path / "home").rglob("*")) == ["a.txt", "set", "synthetic.json"]


def test_another_set_that_appears_meanwhile_is_not_taken_for_this_one(tmp_path):
    def write(draft):
        if not (tmp_path / "set").exists():
            write_once(tmp_path / "set", {"seed": 1}, "numbers", lambda other: (other / "b.txt").write_text("2"))

    with pytest.raises(FileExistsError, match="numbers made with other settings"):
        write_once(tmp_path / "set", {"seed": 0}, "numbers", write)
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["b.txt", "set", "synthetic.json"]


def test_the_set_appears_all_at_once(tmp_path, monkeypatch):
    def interrupt(draft, target):
        assert (draft / "synthetic.json").exists() and len(list(draft.rglob("*.png"))) == 6
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_phantom_folders(tmp_path / "set", train=2, val=2, test=2, size=16)
    assert list(tmp_path.iterdir()) == []


# ---- MedMNIST ------------------------------------------------------------------------------------------------------


def save(path, **arrays):
    """A small MedMNIST file; arrays replace or (None) remove those of the default."""
    rng = np.random.default_rng(0)
    default = {
        f"{split}_{what}": value
        for split, n in (("train", 6), ("val", 3), ("test", 4))
        for what, value in (
            ("images", rng.integers(0, 256, (n, 28, 28), np.uint8)),
            ("labels", (np.arange(n)[:, None] % 2).astype(np.uint8)),
        )
    }
    np.savez_compressed(path, **{k: v for k, v in {**default, **arrays}.items() if v is not None})
    return path


def test_reads_the_official_splits(tmp_path):
    path = save(tmp_path / "pneumoniamnist_64.npz")
    data = MedMNIST(path)
    assert (data.name, data.splits, data.size) == ("pneumoniamnist", ("train", "val", "test"), 28)
    assert data.class_names == ["normal", "pneumonia"]
    with np.load(path) as official:
        for split in data.splits:
            images, labels = MedMNIST(path).load(split)
            np.testing.assert_array_equal(images, official[f"{split}_images"])
            np.testing.assert_array_equal(labels, official[f"{split}_labels"][:, 0])
            assert images.dtype == np.uint8 and labels.dtype == np.int64


def test_loading_a_missing_split_raises(tmp_path):
    data = MedMNIST(save(tmp_path / "octmnist.npz", test_images=None, test_labels=None))
    assert data.splits == ("train", "val") and len(data.load("val")[1]) == 3
    with pytest.raises(ValueError, match=r"octmnist.npz has no 'test' split: it has train, val$"):
        data.load("test")


def test_class_names_of_other_files(tmp_path):
    colour = np.zeros((6, 28, 28, 3), np.uint8)
    flat = {"val_images": None, "test_images": None, "train_images": colour}
    data = MedMNIST(save(tmp_path / "mine.npz", **flat, train_labels=np.array([0, 1, 2, 2, 1, 0])))
    assert data.name == "mine" and data.class_names == ["class 0", "class 1", "class 2"]
    assert data.load("train")[0].shape == (6, 28, 28, 3)
    named = save(tmp_path / "named.npz", classes=np.array(["round", "long"]))
    assert MedMNIST(named).class_names == ["round", "long"]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"train_labels": None}, "has train_images but no train_labels"),
        ({"train_labels": np.zeros((5, 1), np.uint8)}, "6 images, but 5 labels"),
        ({"train_images": np.zeros((6, 28, 28))}, "train_images are float64, expected uint8"),
        ({"val_labels": np.zeros((3, 1))}, "val_labels must be class numbers, got float64"),
        ({"val_labels": np.full((3, 1), -1)}, "val_labels must be class numbers, got int64 from -1"),
        ({"train_images": np.zeros((6, 28, 28, 28), np.uint8)}, "expected 2-D images"),
        ({"train_labels": np.zeros((6, 14), np.uint8)}, "14 labels for each image"),
        ({"test_images": np.zeros((4, 64, 64), np.uint8)}, "images of different shapes"),
        ({"val_images": np.zeros((0, 28, 28), np.uint8), "val_labels": np.zeros((0, 1), np.uint8)}, "0 images"),
        ({"train_labels": np.full((6, 1), 2, np.uint8)}, "label 2 is out of range, breastmnist has 2 classes"),
        ({f"{s}_images": None for s in ("train", "val", "test")}, "is not a MedMNIST file.*holds train_labels"),
        ({"train_labels": np.array([[0], ["x"]] * 3, object)}, "train_labels is not a plain array"),
    ],
)
def test_a_wrong_file_is_one_clear_line(tmp_path, change, message):
    path = save(tmp_path / "breastmnist.npz", **change)
    with pytest.raises(ValueError, match=message) as error:
        MedMNIST(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def forged(path, header, data=b"", version=b"\x01\0", name="train_images.npy", **options):
    """An .npz whose array has this header."""
    text = header.encode().ljust(117) + b"\n"
    size = len(text).to_bytes(2 if version[0] == 1 else 4, "little")
    with zipfile.ZipFile(path, "w", **options) as file:
        file.writestr(name, b"\x93NUMPY" + version + size + text + data)
    return path


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.array([0, 1, 2**40, 0, 0, 0]), "label 1099511627776 is out of range"),
        (np.array([0, 1, 2**63 + 5, 0, 0, 0], np.uint64), "label 9223372036854775813 is out of range"),
        (np.array([0, 6, 0, 0, 0, 0]), "label 6 is out of range: 6 images cannot have 7 classes"),
        (np.array(3), "6 images, but 1 labels"),
        (np.zeros((6, 2, 2), int), "4 labels for each image"),
        (np.zeros((6, 0), int), "must be class numbers|labels for each image"),
        (np.array(["a"] * 6), "must be class numbers"),
        (np.zeros(6, bool), "must be class numbers"),
    ],
)
def test_labels_that_are_no_class_numbers(tmp_path, labels, words):
    flat = {"val_images": None, "test_images": None}
    path = save(tmp_path / "mine.npz", **flat, train_labels=labels)
    with pytest.raises(ValueError, match=words) as error:
        MedMNIST(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000, 28, 28), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (6, 28), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (600, 28, 28), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (-1, -28, 28), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (4611686018427387904, 4, 0), }",
        "{'descr': '|S99999999999', 'fortran_order': False, 'shape': (9,), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': " + "(" * 60,
        "{'descr': 'nonsense', 'fortran_order': False, 'shape': (6, 28, 28), }",
        "__import__('os').system('false')",
    ],
)
@pytest.mark.parametrize("version", [b"\x01\0", b"\x02\0", b"\x09\0"])
def test_a_header_that_lies_is_found_before_room_is_made(tmp_path, header, version):
    path = forged(tmp_path / "mine.npz", header, bytes(28 * 28 * 6), version)
    with pytest.raises(ValueError, match=r"mine\.npz.*(promises|no readable header|expected)") as error:
        MedMNIST(path)
    assert "\n" not in str(error.value)


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr("tinydx.datasets.medmnist.BOMB_SIZE", 2**20)
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (5000, 28, 28), }"
    path = forged(tmp_path / "mine.npz", header, bytes(5000 * 28 * 28), compression=zipfile.ZIP_DEFLATED)
    monkeypatch.setattr(np.lib.format, "read_array", lambda *a, **k: pytest.fail("it was unpacked"))
    with pytest.raises(ValueError, match=r"mine\.npz would grow from .* to 3,920,1.. bytes"):
        MedMNIST(path)


def test_other_arrays_are_not_read_and_classes_have_different_names(tmp_path):
    path = save(tmp_path / "mine.npz", extra=np.array([{"a": 1}], object))
    assert MedMNIST(path).splits == ("train", "val", "test")
    with pytest.raises(ValueError, match="names a class twice"):
        MedMNIST(save(tmp_path / "named.npz", classes=np.array(["a", "a"])))


def test_a_file_that_is_not_an_npz(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"no file .*x.npz; the nearest folder that exists is {tmp_path}$"):
        MedMNIST(tmp_path / "gone" / "x.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(ValueError, match=r"text.npz is not an .npz file"):
        MedMNIST(tmp_path / "text.npz")
    with zipfile.ZipFile(tmp_path / "other.npz", "w") as file:
        file.writestr("readme.txt", "hello")
    with pytest.raises(ValueError, match="is not a MedMNIST file"):
        MedMNIST(tmp_path / "other.npz")


@given(where=st.floats(0.05, 0.95), cut=st.booleans())
def test_a_damaged_file_is_never_half_read(tmp_path_factory, where, cut):
    path = save(tmp_path_factory.mktemp("damaged") / "breastmnist.npz")
    whole = path.read_bytes()
    place = int(where * len(whole))
    path.write_bytes(whole[:place] if cut else whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
    try:
        data = MedMNIST(path)
    except ValueError as error:
        assert str(path) in str(error) and "\n" not in str(error)
    else:  # a byte that means nothing, such as a date in the zip's list
        assert not cut
        np.testing.assert_array_equal(data.load("train")[0], MedMNIST(save(path)).load("train")[0])


def test_the_real_file(real_data):
    data = MedMNIST(real_data("pneumoniamnist_trainval") / "pneumoniamnist.npz")
    assert data.splits == ("train", "val") and data.class_names == ["normal", "pneumonia"]
    assert [np.bincount(data.load(split)[1]).tolist() for split in data.splits] == [[1214, 3494], [135, 389]]
    with pytest.raises(ValueError, match="no 'test' split: it has train, val"):
        data.load("test")


def test_the_table_of_sets():
    assert len(medmnist.SETS) == 12
    for known in medmnist.SETS.values():
        assert re.fullmatch("[0-9a-f]{32}", known.md5) and len(set(known.class_names)) == len(known.class_names) >= 2


# ---- class folders -------------------------------------------------------------------------------------------------


def write(root, names, seed=0):
    """Image files that differ, of these names below root."""
    rng = np.random.default_rng(seed)
    for name in names:
        path = Path(root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (4, 4), np.uint8)).save(path)
    return root


def relative(root, files):
    return [Path(path).relative_to(root).as_posix() for path, _ in files]


def test_existing_splits_are_used(tmp_path):
    names = [f"{s}/{c}/{i}.png" for s in ("train", "valid", "test") for c in ("normal", "ill") for i in range(2)]
    class_names, splits, notes = open_folders(write(tmp_path, names))
    assert class_names == ["ill", "normal"] and notes == []
    for split, folder in (("train", "train"), ("val", "valid"), ("test", "test")):
        assert sorted(relative(tmp_path, splits[split])) == sorted(n for n in names if n.startswith(folder))
    assert all(class_names[k] == Path(path).parent.name for files in splits.values() for path, k in files)


def test_missing_splits_are_set_aside_and_noted(tmp_path):
    write(tmp_path, [f"{c}/{i:02}.png" for c in ("ill", "normal", "other") for i in range(20)])
    _, splits, notes = open_folders(tmp_path, seed=3)
    files = [path for part in splits.values() for path, _ in part]
    assert len(files) == len(set(files)) == 60
    assert {split: Counter(k for _, k in part) for split, part in splits.items()} == {
        "train": {0: 14, 1: 14, 2: 14},
        "test": {0: 4, 1: 4, 2: 4},
        "val": {0: 2, 1: 2, 2: 2},
    }
    assert len(notes) == 2 and all("image by image" in note for note in notes)
    assert open_folders(tmp_path, seed=3)[1] == splits != open_folders(tmp_path, seed=4)[1]


def test_a_given_test_folder_is_kept_and_only_validation_set_aside(tmp_path):
    write(tmp_path, [f"{s}/{c}/{i}.png" for s in ("train", "test") for c in "ab" for i in range(10)])
    _, splits, notes = open_folders(tmp_path)
    assert len(splits["test"]) == 20 and all("/test/" in Path(path).as_posix() for path, _ in splits["test"])
    assert len(splits["val"]) == 4 and len(splits["train"]) == 16 and len(notes) == 1


PATIENTS = {
    "person1_bacteria_2.jpeg": "person1",
    "person1.jpeg": "person1",
    "Person-7_x.png": "person-7",
    "IM-0115-0001.jpeg": "im-0115",
    "NORMAL2-IM-0501-0001-0002.jpeg": "im-0501",
    "patient00012_study1.png": "patient00012",
    "00000013_005.png": "00000013",
    "scan12.png": None,
    "synthetic-00012.png": None,
    "2.png": None,
}


@pytest.mark.parametrize("name, patient", PATIENTS.items())
def test_the_patient_by_the_file_name(name, patient):
    assert folders.patient(f"person99_/a/{name}") == patient


@given(seed=st.integers(0, 99), owners=st.lists(st.integers(0, 12), min_size=30, max_size=60))
def test_no_patient_is_on_both_sides(seed, owners):
    files = [(f"person{owner}_{i}.png", i % 2) for i, owner in enumerate(owners)]
    files += [(f"person{100 + i}_0.png", i % 2) for i in range(8)]
    rest, aside = folders.set_aside(files, 0.25, seed)
    assert sorted(rest + aside) == sorted(files)
    assert not {folders.patient(path) for path, _ in rest} & {folders.patient(path) for path, _ in aside}
    for k in (0, 1):  # stratified
        assert 1 <= sum(c == k for _, c in aside) < sum(c == k for _, c in files)


@given(seed=st.integers(0, 99), sizes=st.lists(st.integers(1, 6), min_size=20, max_size=40))
def test_about_the_given_share_of_each_class(seed, sizes):
    files = [(f"person{p}_{i}.png", p % 2) for p, n in enumerate(sizes) for i in range(n)]
    _, aside = folders.set_aside(files, 0.25, seed)
    for k in (0, 1):
        wanted = round(0.25 * sum(c == k for _, c in files))
        assert wanted - max(sizes) < sum(c == k for _, c in aside) <= max(wanted, 1)


def test_files_of_the_same_content_stay_together(tmp_path):
    write(tmp_path, [f"{c}/{i:02}.png" for c in "ab" for i in range(12)])
    for i in range(6):
        shutil.copy(tmp_path / "a" / "00.png", tmp_path / "a" / f"copy{i}.png")
    for seed in range(8):
        _, splits, _ = open_folders(tmp_path, seed=seed)
        same = {f"a/{stem}.png" for stem in ("00", "copy0", "copy5")}
        assert sum(bool(same & set(relative(tmp_path, part))) for part in splits.values()) == 1


def test_a_limit_for_each_class_and_split(tmp_path):
    write(tmp_path, [f"{c}/{i:02}.png" for c in "ab" for i in range(30)])
    _, splits, _ = open_folders(tmp_path, limit=3, seed=1)
    assert {s: Counter(k for _, k in part) for s, part in splits.items()} == {s: {0: 3, 1: 3} for s in splits}
    _, whole, _ = open_folders(tmp_path, seed=1)
    assert all(set(splits[s]) <= set(whole[s]) for s in splits)  # a smaller run sees no test image in training


def test_folders_that_cannot_be_used(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"no folder .*gone.*; the nearest that exists is {tmp_path}$"):
        open_folders(tmp_path / "gone" / "data")
    write(
        tmp_path,
        ["one/a/1.png", "two/train/a/1.png", "two/train/b/1.png", "two/test/a/1.png", "few/a/1.png", "few/b/1.png"],
    )
    with pytest.raises(ValueError, match="holds one class only, 'a'"):
        open_folders(tmp_path / "one")
    with pytest.raises(ValueError, match="test has the classes a, but training has a, b"):
        open_folders(tmp_path / "two")
    with pytest.raises(ValueError, match="too few images or patients to set some aside: 2 files"):
        open_folders(tmp_path / "few")
    write(tmp_path, [f"bad/{c}/{i}.png" for c in "ab" for i in range(9)])
    (tmp_path / "bad" / "b" / "4.png").write_bytes(b"no image")
    with pytest.raises(OSError, match=r"cannot read image .*bad.b.4\.png"):
        open_folders(tmp_path / "bad")


def test_real_folders_keep_patients_apart(real_data):
    root = real_data("chest_xray_kermany_folders")
    class_names, splits, notes = open_folders(root, limit=100)
    assert class_names == ["normal", "pneumonia"] and all("patient by patient" in note for note in notes)
    assert {s: Counter(k for _, k in part) for s, part in splits.items()} == {s: {0: 100, 1: 100} for s in splits}
    people = {s: {folders.patient(path) for path, _ in part} for s, part in splits.items()}
    assert None not in set().union(*people.values())
    assert not people["train"] & people["test"] and not people["train"] & people["val"] and not people["val"] & people["test"]
