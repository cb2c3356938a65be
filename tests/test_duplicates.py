"""Near duplicates: planted copies are found, different pictures are not; the alignment is exact; the sections of the report."""

import io
import re

import numpy as np
import pytest
from PIL import Image

from tinydx.datasets.phantom import make_phantoms
from tinydx.datasets.study import Examples, Study
from tinydx.diagnosis import kinds
from tinydx.diagnosis.kind import Plan
from tinydx.diagnosis.page import Page
from tinydx.diagnosis.sections import Run, copies, labels
from tinydx.validation import duplicates, near_duplicates
from tinydx.validation.alignment import Windows, align, residual, sampling, seen, standardised

CHANGES = ("resize", "flip", "jpeg", "light", "crop")
TURNS = (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.FLIP_TOP_BOTTOM, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180)


def changed(picture, rng, names):
    """The picture as a copy of it may be, made by Pillow: an implementation other than ours."""
    image = Image.fromarray(picture)
    if "crop" in names:
        left, top, right, bottom = (int(rng.uniform(0, 0.07) * n) for n in (*image.size, *image.size))
        image = image.crop((left + 1, top, image.width - right, image.height - bottom))
    if "flip" in names:
        image = image.transpose(TURNS[rng.integers(4)])
    if "resize" in names:
        across, down = np.exp(rng.uniform(-0.5, 0.6)) * np.exp(rng.uniform(-0.1, 0.1, 2))
        size = round(across * image.width), round(down * image.height)
        image = image.resize(size, [Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.BOX][rng.integers(3)])
    if "light" in names:
        x = np.asarray(image, float)
        x = (x - x.mean()) * rng.uniform(0.7, 1.3) + x.mean() + rng.uniform(-25, 25)
        image = Image.fromarray(np.clip(np.rint(x), 0, 255).astype(np.uint8))
    if "jpeg" in names:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=int(rng.integers(50, 95)))
        image = Image.open(file)
    return np.asarray(image)


def planted(pictures, count, seed):
    """The pictures and changed copies of some: each change alone, and combinations; and the pairs."""
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(pictures))[:count]
    names = [{CHANGES[k]} if k < 5 else {n for n in CHANGES if rng.random() < 0.6} or {"jpeg"} for k in range(count)]
    made = [changed(pictures[i], rng, some) for i, some in zip(chosen, names, strict=True)]
    return [*pictures, *made], {(int(i), len(pictures) + k) for k, i in enumerate(chosen)}


def test_copies_of_phantoms_are_found_and_nothing_else():
    pictures, pairs = planted(list(make_phantoms(300, seed=11, size=64)[0]), 60, seed=1)
    assert set(near_duplicates(pictures)) == pairs


def test_copies_of_chest_images_of_28_pixels_are_found(real_data):
    images = np.load(real_data("pneumoniamnist_trainval") / "pneumoniamnist.npz")["train_images"][:1000]
    real = {(18, 504), (120, 231)}  # equal
    pictures, pairs = planted(list(images), 60, seed=2)
    found = set(near_duplicates(pictures))
    assert pairs <= found
    extra = {(i, j) for i, j in found - pairs if j < 1000} - real
    assert not extra


def test_a_threshold_that_is_too_low_shows_in_the_test_above(monkeypatch):
    pictures, pairs = planted(list(make_phantoms(120, seed=3, size=48)[0]), 10, seed=3)
    monkeypatch.setattr(duplicates, "GAP", 0.2)
    monkeypatch.setattr(duplicates, "PROMISING", 0.0)
    assert set(near_duplicates(pictures)) > pairs


def test_every_orientation_type_and_form_of_a_picture():
    phantoms = list(make_phantoms(10, seed=4, size=48)[0])
    x = phantoms[2]
    for k in range(4):
        for view in (np.rot90(x, k), np.rot90(x, k)[::-1]):
            assert near_duplicates([*phantoms, view]) == [(2, 10)]
    grey = x / 255
    colour = np.stack([x] * 3, axis=-1)
    for form in (grey, grey.astype(np.float16), 9 + grey / 10, x.astype(np.uint16) * 257, x[..., None], colour):
        assert near_duplicates([*phantoms, form]) == [(2, 10)]
    four = np.concatenate([np.stack([x] * 3, axis=-1), np.random.default_rng(0).integers(0, 255, (48, 48, 1))], axis=-1)
    assert near_duplicates([*phantoms, four]) == [(2, 10)]


def test_few_pictures_and_many_copies_of_one():
    phantoms = list(make_phantoms(3, seed=5, size=64)[0])
    assert near_duplicates(phantoms[:2]) == near_duplicates(phantoms[:1]) == []
    assert near_duplicates([phantoms[0], phantoms[0][::-1]]) == [(0, 1)]
    found = near_duplicates([phantoms[0]] * 5 + phantoms[1:])
    assert found == [(i, j) for i in range(5) for j in range(i + 1, 5)]
    blank = np.full((9, 9), 7)
    assert near_duplicates([blank, blank, *phantoms]) == []  # a picture of one grey level shows nothing
    assert near_duplicates([np.zeros((1, 1)), np.ones((1, 5))]) == []


def test_padding_is_no_content():
    rng = np.random.default_rng(6)
    cells = [180 + np.kron(rng.normal(0, 5, (8, 8)), np.ones((4, 4))) for _ in range(40)]
    for cell in cells[:6]:
        cell[:9] = 0  # explains nearly all of each of these
    assert near_duplicates([*cells, cells[2][:, ::-1]]) == [(2, 40)]


@pytest.mark.parametrize(
    ("pictures", "says"),
    [
        ([], "got no pictures"),
        ([np.eye(4), np.full((4, 4), np.nan)], "picture 1 holds NaN or infinity"),
        ([np.array([[1.0, np.inf]])], "picture 0 holds NaN or infinity"),
        ([np.zeros((0, 4))], "picture 0 is empty"),
        ([np.eye(4), np.zeros(5)], "picture 1 has shape (5,)"),
        ([np.zeros((4, 4, 2))], "picture 0 has shape (4, 4, 2)"),
        ([np.zeros((2, 4, 4, 3))], "picture 0 has shape (2, 4, 4, 3)"),
        ([np.eye(4, dtype=complex)], "picture 0 is of type complex128"),
        (["a.png"], "picture 0 is of type <U5"),
    ],
)
def test_what_is_no_picture_is_an_error_of_one_line(pictures, says):
    with pytest.raises(ValueError, match=re.escape(says)) as error:
        near_duplicates(pictures)
    assert "\n" not in str(error.value)


def test_alignment_finds_the_window():
    """b shows the part of a from .06 to .95 downwards and from .03 to .9 to the right."""
    a = make_phantoms(3, seed=7, size=96)[0].astype(np.float32)
    window = np.array([[0.06, 0.95], [0.03, 0.90]])
    b = seen(standardised(a), np.broadcast_to(window, (3, 2, 2)), 64)
    found = align(standardised(a), 2 * b + b**2 / 9, align(standardised(a), b, Windows.whole(3), 12, 4), 28, 4)
    np.testing.assert_allclose(found.shift, np.tile(window[:, 0], (3, 1)), atol=0.01)
    np.testing.assert_allclose(found.scale, np.tile(np.ptp(window, axis=1), (3, 1)), atol=0.01)
    aligned, details = residual(standardised(a), b, found, 28)
    assert aligned.max() < 0.01 < residual(standardised(a), b, Windows.whole(3), 28)[0].min() and details.min() > 0.9


def test_sampling_is_an_average_and_the_identity_at_the_same_size():
    weights = sampling(24, np.array([[0.0, 1.0], [0.2, 0.7]]), 24)
    np.testing.assert_allclose(weights[0], np.eye(24), atol=1e-6)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-6)
    ramp = np.arange(24) + 0.5  # of a line, samples are the values at their centres
    np.testing.assert_allclose(weights[1, 2:-2] @ ramp, 24 * (0.2 + 0.5 * (np.arange(24) + 0.5) / 24)[2:-2], rtol=1e-5)


# ---- sections ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run():
    """A diagnosis whose test holds two copies of training images, one with another label, and a copy of validation's."""
    x = np.repeat(make_phantoms(40, seed=8, size=48)[0][..., None], 3, axis=-1)
    y = np.arange(40) % 2
    train, val = Examples(x[:20], y[:20]), Examples(x[20:30], y[20:30])
    tests = np.concatenate([x[30:], x[[3, 4]][:, :, ::-1], x[[22]] // 2])
    files = [f"/data/set/test/{k}\x1b.png" for k in range(13)]
    test = Examples(tests, np.array([*y[30:], 1, 1, 0]), files)
    study = Study("set", ["ill", "well"], train, val, test, False, [], {}, "images", "48x48")
    table = np.full((13, 2), 0.5) + np.array([[-0.1, 0.1]]) * (2 * test.y[:, None] - 1)
    table[11], table[0] = [0.99, 0.01], [0.05, 0.95]
    metrics = {"positive_class": "well", "roc_auc": 0.9, "accuracy": 0.8}
    plan = Plan("small", "none", 1, 1, 8)
    return Run(None, kinds.get("image"), study, plan, 0, table, metrics)


def test_copies_of_test_pictures_in_training_are_named_first(run):
    found = copies.find(run)
    assert found["counts"] == {"test-train": 2, "test-val": 1} and found["seen"] == 2
    splits = [(row["first"]["split"], row["second"]["split"]) for row in found["pairs"]]
    assert splits == [("test", "train"), ("test", "train"), ("test", "val")]
    assert [(row["first"]["number"], row["second"]["number"]) for row in found["pairs"]] == [(10, 3), (11, 4), (12, 2)]
    assert "10\\x1b.png = train 3" in found["sentence"] and "in 1 the classes differ" in found["sentence"]
    assert "\n" not in found["sentence"] and found["test_without"]["count"] == 11
    assert found["warning"].startswith("2 of 13 test images are copies of training images, such as 10\\x1b.png of train 3")
    page = Page({}, {}, [], run.study.test.y, run.table, run.kind, "", "", False, run.study)
    assert len(copies.bands(page, found)) == 2 and len(copies.bands(page._replace(study=None), found)) == 1


def test_no_copies_are_said_in_one_line(run):
    study = run.study
    five = Examples(study.test.x[:5], study.test.y[:5])
    short = Study("set", study.class_names, study.train, study.val, five, False, [], {}, "images", "")
    found = copies.find(run._replace(study=short, table=run.table[:5]))
    assert found["pairs"] == [] and found["warning"] == "" and found["test_without"] is None
    assert found["sentence"].startswith("Copies: none found among the 35 images of all splits (equal, resized,")


def test_confident_errors_are_listed_the_surest_first(run):
    found = labels.find(run)
    assert [(row["number"], row["label"], row["called"]) for row in found["errors"]] == [(11, "well", "ill"), (0, "ill", "well")]
    assert found["sentence"].startswith("Look at these labels first: 2 of 2 errors are confident")
    assert "11\\x1b.png (labelled well, called ill 0.990)" in found["sentence"]
    right = np.eye(2)[run.study.test.y]
    assert labels.find(run._replace(table=right)) is None


def test_other_kinds_find_equal_examples():
    texts = np.array(["Leg pain", "arm", "leg  PAIN", "arm "], object)
    assert kinds.get("text").copies(texts) == [(0, 2), (1, 3)]
    assert kinds.get("sound").copies(np.array([[1.0, 2], [3, 4], [1, 2], [1, 2]])) == [(0, 2), (0, 3)]
