"""Which folders are splits and classes, whose the files are, and labels that contradict each other: `tinydx diagnose --data`."""

import os
import re
import shutil
import sys
from collections import Counter
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tinydx import cli
from tinydx.datasets import open_folders
from tinydx.datasets.classes import check_class_names
from tinydx.datasets.copies import Copy, check_copies
from tinydx.datasets.folder_names import split_names
from tinydx.datasets.folders import labelled_files
from tinydx.datasets.layout import arrange
from tinydx.datasets.naming import SCHEMES
from tinydx.datasets.patients import Patients, by_name, describe, same_patient
from tinydx.diagnosis import kinds
from tinydx.diagnosis.diagnose import _unseen, diagnose
from tinydx.diagnosis.report import _data_lines
from tinydx.validation.splits import folds_of, patients_of


def write(root, names, seed=0):
    """Image files that differ, of these names below root."""
    rng = np.random.default_rng(seed)
    for name in names:
        path = Path(root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).save(path)
    return root


def below(*folders, n=3, ending="png"):
    """Paths of n files in each folder."""
    return [f"{folder}/{i}.{ending}" for folder in folders for i in range(n)]


def found(paths, root="data"):
    """{split: {class: number of files}} of paths."""
    return {s: {c: len(files) for c, files in classes.items()} for s, classes in arrange(root, paths).splits.items()}


# ---- splits, classes, and neither ----------------------------------------------------------------------------------

SPELLINGS = [
    ("train", "val", "test"),
    ("Train", "Val", "Test"),
    ("TRAIN", "VALID", "TEST"),
    ("Training", "Validation", "Testing"),
    ("trn", "dev", "tst"),
    ("train", "dev", "eval"),
    ("train", "eval", "test"),
    ("training", "valid", "holdout"),
    ("train", "val", "hold-out"),
    ("Training_data", "Validation_data", "Testing_data"),
    ("train_images", "val_images", "test_images"),
    ("TrainImages", "ValImages", "TestImages"),
    ("trainset", "valset", "testset"),
    ("chest_xray_train", "chest_xray_val", "chest_xray_test"),
    ("train2017", "val2017", "test2017"),
    ("1_train", "2_val", "3_test"),
    ("训练集", "验证集", "测试集"),
    ("tRAIN", "vaL", "tEst"),
    ("train_augmented", "val_new", "test (1)"),
]


@pytest.mark.parametrize("names", SPELLINGS)
def test_splits_in_any_usual_spelling(names):
    paths = below(*(f"{s}/{c}" for s, c in product(names, ("ill", "well"))))
    assert found(paths) == {split: {"ill": 3, "well": 3} for split in ("train", "val", "test")}


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["Training", "Testing"], {"train", "test"}),  # the usual brain MRI set
        (["seg_train", "seg_test"], {"train", "test"}),
        (["trainval", "test"], {"train", "test"}),
        (["train_val", "test"], {"train", "test"}),
        (["TRAIN"], {"train"}),
    ],
)
def test_missing_splits_are_allowed(names, splits):
    assert set(found(below(*(f"{s}/{c}" for s in names for c in "ab")))) == splits


@pytest.mark.parametrize(
    "names",
    [
        ("test_positive", "test_negative"),
        ("stress test", "rest"),
        ("validity", "tested"),
        ("HER2+", "HER2-"),
        ("0", "1", "2"),
    ],
)
def test_classes_that_only_look_like_splits(names):
    assert found(below(*names)) == {"all": dict.fromkeys(sorted(names), 3)}


LAYOUTS = {
    "nested as on Kaggle": below(*(f"chest_xray/chest_xray/{s}/{c}" for s in ("train", "test") for c in ("ill", "well"))),
    "class above split": below(*(f"{c}/{s}" for s in ("Train", "Test") for c in ("ill", "well"))),
    "wrapped in each split": below(*(f"{s}/images/{c}" for s in ("train", "test") for c in ("ill", "well"))),
    "images beside masks": below(
        *(f"{k}/{s}/{c}" for k in ("images", "masks") for s in ("train", "test") for c in ("ill", "well"))
    ),
    "deeper": below(*(f"{s}/{c}/p{p}" for s in ("train", "test") for c in ("ill", "well") for p in range(1)), n=3),
    "a copy of the whole beside": below(
        *(f"{w}{s}/{c}" for w in ("", "copy/") for s in ("train", "test") for c in ("ill", "well"))
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_of_splits(name):
    assert found(LAYOUTS[name]) == {s: {"ill": 3, "well": 3} for s in ("train", "test")}


def test_masks_are_no_examples():
    covid = [f"{c}/{k}/{c}-{i}.png" for c in ("COVID", "Normal") for k in ("images", "masks") for i in range(4)]
    assert found(covid) == {"all": {"COVID": 4, "Normal": 4}}
    busi = [f"{c}/{c} ({i}){m}.png" for c in ("benign", "normal") for i in range(4) for m in ("", "_mask", "_mask_1")]
    assert found(busi) == {"all": {"benign": 4, "normal": 4}}
    (note,) = arrange("data", busi).notes
    assert note == "16 images left out: masks or annotations of others, such as benign/benign (0)_mask.png"
    assert found(below("mask on", "mask off")) == {"all": {"mask on": 3, "mask off": 3}}


NEITHER = {
    "loose images beside splits": (["a.png", *below("train/a", "train/b")], "1 images directly in data, as a.png"),
    "loose images beside classes": (["x.png", "y.png", *below("a", "b")], "2 images directly in data, as x.png beside"),
    "loose images in a split": ([*below("train/a", "train/b"), "test/1.png"], "1 images directly in data/test, as 1.png"),
    "images of splits without classes": (below("train", "test"), "3 images directly in data/train"),
    "a detector's folders": (below("images/train", "images/val"), "3 images directly in data/images/train"),
    "a folder beside splits": (below("Train/a", "Train/b", "Validierung/a"), "the folder 'Validierung' with 3 images"),
    "a class beside splits": (below("train/a", "train/b", "normal"), "the folder 'normal' with 3 images"),
    "splits without training": (below("Val/a", "Val/b", "Test/a"), "holds Val, Test but no training folder"),
    "two training folders": (below("train1/a", "train2/a", "test/a"), "train1 and data/train2 both are train folders"),
    "folds": (below(*(f"fold{i}/{c}" for i in range(5) for c in "ab")), "holds the folds fold0, fold1"),
    "split and class in one name": (below("train_ill", "train_well", "test_ill"), "neither the name of a split nor of a class"),
    "sites of a challenge": (below("training-a", "training-b"), "holds training-a, training-b: neither"),
    "some classes have splits": (below("ill/train", "ill/test", "well"), "data/ill holds splits, but data/well holds 3 images"),
    "a class has other folders": (below("ill/train", "ill/test", "well/train", "well/x"), "but data/well holds x"),
    "parts that hold the classes": (below(*(f"part{i}/{c}" for i in (1, 2) for c in "xy")), "each of part1, part2 in data holds"),
    "sites that hold the classes": (below(*(f"{s}/{c}" for s in ("Ulm", "Bern") for c in ("normal", "tb"))), "each of Ulm, Bern"),
    "patients that hold the classes": (below(*(f"{p}/{c}" for p in (8863, 8864, 8865) for c in "01")), "each of 8863, 8864"),
    "CheXpert": (below(*(f"train/patient{p:05}/study1" for p in range(4))), "4 folders such as patient00000"),
    "many patients": (below(*(f"p{p}" for p in range(60)), n=2), "60 folders such as p0, p1, p10: these are patients or studies"),
    "folds with splits": (below(*(f"fold{i}/{s}/{c}" for i in "12" for s in ("train", "test") for c in "ab")), "holds the folds"),
    "sites with splits": (below(*(f"{h}/{s}/{c}" for h in "AB" for s in ("train", "test") for c in "xy")), "each of A/train"),
    "splits within a split": (below("train/a", "train/b", "train/val/a"), "data/train holds val among its classes"),
    "misspelt": (below("Traning/a", "Traning/b", "Vaildation/a", "Vaildation/b"), "holds Traning, Vaildation: neither"),
    "case": (below("Normal", "normal", "ill"), "the classes 'Normal' and 'normal' differ in case"),
}


@pytest.mark.parametrize("name", NEITHER)
def test_folders_that_are_neither_are_one_error_that_says_what_was_found(name):
    paths, words = NEITHER[name]
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        arrange("data", paths)
    assert "\n" not in str(caught.value)


WORDS = st.sampled_from(["train", "Test", "val", "ill", "well", "images", "masks", "fold1", "fold2", "3", "Training_x", "labels"])


@given(st.lists(st.tuples(st.lists(WORDS, max_size=4), st.sampled_from(["a", "b", "b_mask"])), min_size=1, max_size=12))
def test_any_tree_is_a_layout_or_one_error(files):
    """No file is in two places, and no split is a class."""
    try:
        layout = arrange("data", sorted({"/".join([*folders, f"{name}.png"]) for folders, name in files}))
    except ValueError as error:
        assert "\n" not in str(error)
        return
    taken = Counter(file for classes in layout.splits.values() for paths in classes.values() for file in paths)
    assert max(taken.values(), default=1) == 1
    assert not any(split_names(classes) for classes in layout.splits.values())
    assert list(layout.splits) == ["all"] or "train" in layout.splits


def test_the_case_of_capital_splits(tmp_path, capsys):
    """The classes are normal and pneumonia, not Train and Test."""
    write(tmp_path / "xrays", below(*(f"{s}/{c}" for s in ("Train", "Val", "Test") for c in ("normal", "pneumonia")), n=8))
    names, splits, notes = open_folders(tmp_path / "xrays")
    assert names == ["normal", "pneumonia"] and {k: len(v) for k, v in splits.items()} == {"train": 16, "val": 16, "test": 16}
    assert all(names[k] == Path(path).parent.name and k in (0, 1) for part in splits.values() for path, k in part) and not notes


def test_classes_are_matched_between_splits_in_any_case(tmp_path):
    write(tmp_path, below("train/No_Finding", "train/ILL", "test/no finding", "test/Ill", n=6))
    names, splits, _ = open_folders(tmp_path)
    assert names == ["ILL", "No_Finding"] and Counter(k for _, k in splits["test"]) == {0: 6, 1: 6}
    assert all((k == 0) == ("ll/" in Path(path).as_posix()[-8:]) for path, k in splits["test"])
    write(tmp_path, below("test/other"))
    with pytest.raises(ValueError, match=r"test has the classes .*other.*, but training has ILL, No_Finding"):
        open_folders(tmp_path)


def test_folders_without_examples_are_no_classes(tmp_path):
    write(tmp_path, below("ill", "well", n=9))
    for name in ("notes/readme.txt", "labels/1.txt", "labels/2.xml", "ill/about.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("0 .5 .5 .1 .1")
    names, splits, notes = open_folders(tmp_path)
    assert names == ["ill", "well"] and sum(map(len, splits.values())) == 18
    assert f"{tmp_path / 'notes'} holds no images: left out" in notes
    (tmp_path / "covid").mkdir()
    with pytest.raises(ValueError, match="covid holds no images, it is empty"):
        open_folders(tmp_path)
    (tmp_path / "covid" / "1.heic").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"covid holds no images that can be read: its files end in \.heic"):
        open_folders(tmp_path)


def test_class_folders_may_be_links(tmp_path):
    write(tmp_path / "store", below("ill", "more/well", n=9))
    for split, classes in {"train": {"ill": "ill", "well": "more"}}.items():
        (tmp_path / "data" / split).mkdir(parents=True)
        for name, target in classes.items():
            (tmp_path / "data" / split / name).symlink_to(tmp_path / "store" / target, target_is_directory=True)
    (tmp_path / "data" / "train" / "ill" / "again").symlink_to(tmp_path / "data", target_is_directory=True)  # a circle
    names, splits, _ = open_folders(tmp_path / "data")
    assert names == ["ill", "well"] and sum(map(len, splits.values())) == 18


def test_an_empty_split_is_made(tmp_path):
    write(tmp_path, below("train/a", "train/b", n=20))
    (tmp_path / "test").mkdir()
    _, splits, notes = open_folders(tmp_path)
    assert len(splits["test"]) == 8 and notes[0].startswith("no images in a test folder: 8 images set aside")


def test_one_class_and_no_images(tmp_path):
    write(tmp_path / "one", below("Archive/ill", "Archive/well"))
    with pytest.raises(ValueError, match="holds one class only, 'Archive'"):
        open_folders(tmp_path / "one")
    (tmp_path / "none" / "a").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"none holds no images, nor do its folders"):
        open_folders(tmp_path / "none")


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        (below("train/images") + below("train/labels", n=5, ending="txt") + ["data.csv", "readme.txt"], "image"),
        (below("a", ending="wav") + below("a", ending="txt") + below("a", ending="tsv") + ["x.csv", "y.txt"], "sound"),
        (below("a", "b", n=30, ending="txt") + below("figures", n=2), "text"),
        (below("a", ending="wav") + below("__MACOSX", ".cache", n=9), "sound"),
        (["table.csv"], "text"),
    ],
)
def test_labels_and_notes_do_not_change_the_kind(tmp_path, files, kind):
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert kinds.guess(tmp_path) == kind


def test_a_finished_model_is_tested_on_the_same_layouts(tmp_path):
    write(tmp_path, below("Train/ill", "Train/well", "TEST/Ill", "TEST/Well"))
    assert Counter(k for _, k in labelled_files(tmp_path, ["well", "ill"], "test")) == {0: 3, 1: 3}
    assert len(labelled_files(tmp_path, ["well", "ill"])) == 12
    with pytest.raises(ValueError, match="has no val folder: it has train, test"):
        labelled_files(tmp_path, ["well", "ill"], "val")


# ---- names of classes ----------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_class_folder_whose_name_is_not_utf8_is_refused_by_name(tmp_path, capsys):
    write(tmp_path / "x", below("normal", "ill", n=8))
    os.rename(os.fsencode(tmp_path / "x" / "ill"), os.fsencode(tmp_path / "x") + b"/l\xe4sion")
    quick = ["--network", "linear", "--epochs", "1", "--steps", "1", "--size", "8", "--output", str(tmp_path / "out")]
    assert cli.main(["diagnose", "--data", str(tmp_path / "x"), *quick]) == 1
    said = capsys.readouterr()
    assert r"b'l\xe4sion' has a name that is not UTF-8" in said.err and "Epoch" not in said.out
    assert said.err.count("\n") == 1 and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a\nb", "c"], "has a control character"),
        (["\u202eab", "c"], "has a control character"),
        ([" ", "c"], "has no name"),
        (["x" * 101, "c"], "has a name of 101 characters"),
        (["no_tumor", "no tumor"], "differ in case"),
        (["l\u00e9sion", "le\u0301sion"], "differ in case"),
    ],
)
def test_names_that_no_report_can_show(names, words):
    with pytest.raises(ValueError, match=words):
        check_class_names(names, "data")
    check_class_names(["HER2+", "HER2-", "grade 1-2", "grade 12", "<b>", "$x$"], "data")


# ---- patients ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda s: s.name)
def test_the_example_of_each_scheme_is_found_as_that_scheme(scheme):
    for path in (scheme.example, f"train/ill/{scheme.example}"):
        owner = by_name(path)
        assert owner.how == scheme.name and owner.means in (scheme.means, "patient")
        assert (owner.key is None) == ("(" not in scheme.pattern.replace("(?", "").replace(r"\(", ""))
        assert owner.key or scheme.means == ""


PATIENTS = {
    "person1_bacteria_2.jpeg": "person1",
    "NORMAL2-IM-0501-0001-0002.jpeg": "im-0501",
    "resized_IM-0115-0001.jpeg": "im-0115",
    "BACTERIA-1008087-0001.jpeg": "1008087",
    "CNV-1016042-1.jpeg": "1016042",
    "00000013_005.png": "00000013",
    "patient00001/study1/view1_frontal.jpg": "patient00001",
    "files/p10/p10000032/s50414267/02aa804e.jpg": "p10000032",
    "10_left.jpeg": "10",
    "SOB_B_A-14-22549AB-40-001.png": "sob_b_a-14-22549ab",
    "8863_idx5_x51_y1251_class0.png": "8863_idx5",
    "C33P1thinF_IMG_20150619_114756a_cell_179.png": "c33p1",
    "UID_H12_3_1_hem.bmp": "h12",
    "Mass-Training_P_00001_LEFT_CC/1.3.6.1/000000.jpg": "p_00001",
    "20586908_6c613a14b80a8591_MG_R_CC_ANON.png": "6c613a14b80a8591",
    "mdb001.pgm": "pair 1",
    "mdb002.pgm": "pair 1",
    "mdb003.pgm": "pair 2",
    "101_1b1_Al_sc_Meditron.wav": "101",
    "DP12_Heart Failure,C,P R L ,83,F.wav": "12",
    "2530_AV.wav": "2530",
    "85345_MV_1.wav": "85345",
    "normal_noisynormal_104_1305032492469_A.wav": "104",
    "sub-01_ses-02_T1w.png": "sub-01",
    "OAS1_0001_MR1_mpr-1_102.jpg": "oas1_0001",
    "subject 7 slice 3.png": "subject 7",
    # names that say nothing about patients
    "a0001.wav": None,
    "ISIC_0027419.jpg": None,
    "COVID-12.png": None,
    "20200131_001.png": None,  # a date is no patient
    "000001.png": None,
    "201101070538.wav": None,
    "ADI-AAAFLCLY.tif": None,
    "y123.jpg": None,
    "compat12_3.png": None,
    "scan12.png": None,
}


@pytest.mark.parametrize("name", PATIENTS)
def test_the_patient_by_the_name(name):
    owner = by_name(f"train/ill/{name}")
    assert (owner.key if owner.means == "patient" else None) == PATIENTS[name]


def sides(splits, whose):
    """Those who have files in two splits."""
    people = [{whose(Path(path).name) for path, _ in part} for part in splits.values()]
    return set().union(*(a & b for a, b in combinations(people, 2)))


def test_no_patient_of_the_mendeley_names_is_on_both_sides(tmp_path):
    names = [f"{c}/{c}-{1008087 + p}-{i:04}.jpeg" for c in ("BACTERIA", "NORMAL") for p in range(8) for i in range(1, 6)]
    _, splits, notes = open_folders(write(tmp_path, names))
    assert not sides(splits, lambda name: name.split("-")[1]) and all(splits.values())
    assert "patient by patient (8 patients in 80 images, by names as in Kermany's release on Mendeley)" in notes[0]


UNKNOWN = {
    "numbers": [f"{c}/scan_{p}_{i}.png" for c in ("ill", "well") for p in range(10) for i in range(4)],
    "folders": [f"{c}/{c}{p}/{i}.png" for c in ("ill", "well") for p in range(10) for i in range(4)],
    "beginnings": [f"{c}/covid-19_{chr(97 + p)}_{i}.png" for c in ("ill", "well") for p in range(10) for i in range(4)],
    "sides": [f"{c}/{p:03x}f_{i}.png" for c in ("ill", "well") for p in range(10) for i in "LR"],
}


@pytest.mark.parametrize("names", UNKNOWN.values(), ids=UNKNOWN.keys())
def test_a_guess_keeps_files_together_and_still_says_that_it_cannot_tell(tmp_path, names):
    _, splits, notes = open_folders(write(tmp_path, names))
    key = lambda path: path.parent.name if path.parent.name[-1].isdigit() else path.stem.rsplit("_", 1)[0]  # noqa: E731
    people = [{key(Path(path)) for path, _ in part} for part in splits.values()]
    assert not any(a & b for a, b in combinations(people, 2))
    assert all("image by image: cannot tell patients apart" in note and "stay together" in note for note in notes)


def test_folders_named_after_patients_are_patients(tmp_path):
    names = [f"{c}/Patient {p}/{i}.png" for c in "ab" for p in range(9) for i in range(3)]
    _, splits, notes = open_folders(write(tmp_path, names))
    people = [{Path(path).parent.name for path, _ in part} for part in splits.values()]
    assert not any(a & b for a, b in combinations(people, 2)) and "9 patients in 54 images, by their folders" in notes[0]


def test_guesses_that_cannot_be_right_are_not_believed():
    for names in (
        [f"covid19_{i}_3.png" for i in range(20)],  # one number for all
        [f"{i}_1.png" for i in range(20)],  # each image its own
        [f"{i % 3}_{i}.png" for i in range(20)],  # three groups
    ):
        assert all(owner.key is None for owner in Patients("x").owners([f"x/{c}/{name}" for c in "ab" for name in names]))
    grades = [f"x/{s}/grade{g}/{i}.png" for s in ("train", "test") for g in range(5) for i in range(5)]
    assert all(owner.key is None for owner in Patients("x").owners(grades))  # the folders are the classes


@pytest.mark.parametrize(
    "name", ["a{:04}.wav", "ISIC_{:07}.jpg", "img{}.png", "covid ({}).png", "2020{:08}.wav", "{:012x}.png", "IMG-{}-x.png"]
)
def test_what_nobody_knows_is_said(name):
    files = [f"x/{c}/{name.format(10 * i + k)}" for k, c in enumerate("ab") for i in range(10)]
    words = describe(Patients("x").owners(files), files, "images")
    assert words.startswith("image by image: cannot tell patients apart by names such as") and "may be on both sides" in words
    assert "patient by patient" not in words and "--patient PATTERN" in words


def test_some_patients_known_and_some_not():
    files = [*(f"x/a/person{i}_virus_1.png" for i in range(5)), "x/b/scan.png"]
    words = describe(Patients("x").owners(files), files, "images")
    assert words.startswith("patient by patient where known (5 patients in 5 images") and "for the other 1, cannot tell" in words


def test_augmented_copies_stay_with_their_original():
    names = [f"x/a/ISIC_{n:07}_jpg.rf.{h * 32}.jpg" for n in range(3) for h in "ab"]
    assert same_patient(names, Patients("x")) == [0, 0, 2, 2, 4, 4]
    assert same_patient([f"x/a/leg{n}_png.rf.{h * 32}.jpg" for n in range(2) for h in "ab"]) == [0, 0, 2, 2]


def test_a_pattern_of_the_user(tmp_path):
    write(tmp_path, [f"{c}/{p:02}{i}.png" for c in "ab" for p in range(12) for i in range(3)])
    _, splits, notes = open_folders(tmp_path, patient=r"/(\d\d)\d\.png$")
    assert not sides(splits, lambda name: name[:2]) and "12 patients in 72 images, by --patient" in notes[0]
    for pattern, words in (
        (r"/(\d\d", "is no regular expression"),
        (r"/\d\d", "has 0 groups"),
        (r"/(\d)(\d)", "has 2 groups"),
        (r"^a/(\d\d)", "does not fit 36 of 72 files, such as b/000.png"),
        (r"/\d\d\d(x?)", "does not fit 72 of 72 files"),
        (r"\.(p)ng", "too few images or patients"),
    ):
        with pytest.raises(ValueError, match=re.escape(words)):
            open_folders(tmp_path, patient=pattern)


def test_patients_in_two_given_splits_are_named(tmp_path):
    names = [f"{s}/{c}/person{p}_virus_{i}.png" for s, r in (("train", range(6)), ("test", range(4, 9))) for c in "ab" for p in r
             for i in range(2)]  # fmt: skip
    notes = open_folders(write(tmp_path, names))[2]
    assert "2 patients are in both train and test by their names, such as person4" in notes[0]


def test_the_networks_are_compared_on_folds_of_the_same_patients(tmp_path):
    """What the user says about patients holds where `--choose` divides the training part, too."""
    write(tmp_path, [f"{c}/{p:02}{i}.png" for c in "ab" for p in range(12) for i in range(3)])
    study = kinds.get("image").open_study(tmp_path, size=8, limit=None, seed=0, patient=r"/(\d\d)\d\.png$")
    whose = [Path(path).name[:2] for path in study.train.files]
    fold, people = folds_of(study.train, 3, seed=0, patients=patients_of(study.train))
    assert len(set(people)) == len(set(whose)) == len({(p, f) for p, f in zip(whose, fold, strict=True)})
    texts = tmp_path / "texts"
    for i, c in product(range(20), "ab"):
        (texts / c).mkdir(parents=True, exist_ok=True)
        (texts / c / f"person{i % 5}_{i}.txt").write_text(f"text {i} {c}")
    study = kinds.get("text").open_study(texts, size=None, limit=None, seed=0)
    assert len(set(patients_of(study.train))) < 5 and len(study.train.y) > 15


@pytest.mark.parametrize("name,words", [("t.csv", "has no column '(x)'"), ("s.npz", "--patient is for folders of files")])
def test_a_pattern_for_data_without_files_is_refused(tmp_path, capsys, name, words):
    (tmp_path / "t.csv").write_text("text,label\nx,a\n")
    np.savez(tmp_path / "s.npz", train_images=np.zeros((2, 28, 28), np.uint8), train_labels=np.array([[0], [1]]))
    assert cli.main(["diagnose", "--data", str(tmp_path / name), "--patient", "(x)", "--output", str(tmp_path / "out")]) == 1
    assert words in capsys.readouterr().err and not (tmp_path / "out").exists()


# ---- contradictory labels ------------------------------------------------------------------------------------------


def test_the_same_picture_in_two_classes_is_named_before_training(tmp_path):
    write(tmp_path, below("normal", "pneumonia", n=12))
    for i in range(3):
        shutil.copy(tmp_path / "normal" / f"{i}.png", tmp_path / "pneumonia" / f"also{i}.png")
    notes = open_folders(tmp_path)[2]
    names = ", ".join(f"normal/{i}.png = pneumonia/also{i}.png" for i in range(3))
    assert notes[0] == f"identical images in two classes, of which one label must be wrong: {names}"


def test_the_same_file_in_train_and_test_is_named(tmp_path):
    write(tmp_path, below("train/a", "train/b", "test/a", "test/b", n=6))
    shutil.copy(tmp_path / "train" / "a" / "2.png", tmp_path / "test" / "a" / "copy.png")
    shutil.copy(tmp_path / "train" / "a" / "3.png", tmp_path / "test" / "b" / "wrong.png")
    notes = open_folders(tmp_path)[2]
    assert notes[:2] == [
        "identical images in two classes, of which one label must be wrong: train/a/3.png = test/b/wrong.png",
        "identical images in two splits, so that the test knows what training has seen: "
        "train/a/2.png = test/a/copy.png, train/a/3.png = test/b/wrong.png",
    ]


def test_the_results_say_how_many_test_examples_training_has_seen(tmp_path):
    write(tmp_path, below("train/a", "train/b", "test/a", "test/b", n=6))
    image = kinds.get("image")
    assert _unseen(image.open_study(tmp_path, size=8, limit=None, seed=0), None) == " that training never saw"
    for i in range(2):
        shutil.copy(tmp_path / "test" / "a" / f"{i}.png", tmp_path / "train" / "a" / f"copy{i}.png")
    seen = {_unseen(image.open_study(tmp_path, size=8, limit=None, seed=seed), None) for seed in range(6)}
    assert ", 2 of them equal to training images" in seen


def test_the_page_says_what_is_doubtful():
    lines = [line.text for line in _data_lines({"data": {"notes": ["identical images in two classes: a = b"]}})]
    assert lines == ["The data", "- identical images in two classes: a = b"] and _data_lines({"data": {"notes": []}}) == []


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda a: a.update({k: v[:0] for k, v in a.items() if "test" in k}), "no images in its test part|test_images"),
        (lambda a: a.update(train_labels=np.zeros((30, 1), np.uint8)), "has no training images of class class 1"),
        (lambda a: a.update(classes=np.array(["ill", "ILL"])), "differ in case"),
        (lambda a: [a.update({k: np.zeros_like(v)}) for k, v in list(a.items()) if "labels" in k], "one class only"),
    ],
)
def test_what_an_npz_file_lacks_is_said_before_training(tmp_path, spoil, words):
    x = np.random.default_rng(0).integers(0, 256, (40, 28, 28), np.uint8)
    y = (np.arange(40) % 2)[:, None].astype(np.uint8)
    arrays = {"train_images": x[:30], "train_labels": y[:30], "test_images": x[30:], "test_labels": y[30:]}
    spoil(arrays)
    np.savez(tmp_path / "s.npz", **arrays)
    with pytest.raises(ValueError, match=words):
        diagnose(str(tmp_path / "s.npz"), network="linear", epochs=1, steps=1, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_labels_that_contradict_each_other_in_most_of_a_class_are_refused(tmp_path):
    write(tmp_path, below("a", n=12))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    with pytest.raises(ValueError, match=r"12 of the 12 images of class a are identical .* such as a/0.png = b/0.png"):
        open_folders(tmp_path)


def test_a_text_with_two_labels_is_named_by_its_rows(tmp_path):
    rows = [f"text {i},{'ab'[i % 2]}" for i in range(30)]
    (tmp_path / "t.csv").write_text("\n".join(["text,label", *rows, "text 4,b", "text 8,a"]), "utf-8")
    study = kinds.get("text").open_study(tmp_path / "t.csv", size=None, limit=None, seed=0)
    assert "identical texts in two classes, of which one label must be wrong: t.csv row 6 = t.csv row 32" in study.notes


def test_equal_images_of_an_npz_file_are_named(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (40, 28, 28), np.uint8)
    x[7] = x[2]
    x[30] = x[3]
    y = (np.arange(40) % 2)[:, None]
    parts = {"train": slice(0, 30), "test": slice(30, 40)}
    np.savez(tmp_path / "s.npz", **{f"{k}_{n}": v[s] for k, s in parts.items() for n, v in (("images", x), ("labels", y))})
    notes = kinds.get("image").open_study(tmp_path / "s.npz", size=None, limit=None, seed=0).notes
    assert notes[0].endswith("train 2 = train 7, train 3 = test 0") and notes[1].endswith("train 3 = test 0")


def test_many_copies_are_counted():
    rows = [Copy(str(i % 20), "ab"[i // 20 % 2], "", f"{i}") for i in range(40)] + [Copy(None, c, "", "") for c in "ab" * 30]
    (note,) = check_copies(rows)
    assert "0 = 20, 1 = 21" in note and note.endswith("9 = 29, and 10 more")
