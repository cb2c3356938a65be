"""Images: the warp against SciPy, random choices against hand-made generators, reading against planted files."""

import gc
import io
import json
import os
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from scipy import ndimage

import tinydx.random
from tinydx.ops import affine_warp
from tinydx.preprocessing.affine import FILL_MODES, affine_matrix
from tinydx.preprocessing.files import check_images
from tinydx.preprocessing.image import (
    ImageDataGenerator,
    array_to_img,
    img_to_array,
    load_images,
    load_img,
    save_img,
)
from tinydx.preprocessing.iterators import PREFETCHED, ArrayIterator, checked_arrays

DOCUMENT = {  # the eight options of the document's program
    "rescale": 1 / 255,
    "rotation_range": 20,
    "width_shift_range": 0.2,
    "height_shift_range": 0.2,
    "shear_range": 0.2,
    "zoom_range": 0.2,
    "horizontal_flip": True,
    "fill_mode": "nearest",
}


def noise(*shape, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, shape).astype("float32")


def plant(root, *paths, size=(6, 5)):
    """Write a small distinct image at each path below root, in the format of its extension."""
    for k, path in enumerate(paths):
        file = Path(root, path)
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(k).integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(file, format=None if file.suffix.lower() != ".jpg" else "jpeg")
    return Path(root)


def wait_until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def own_threads():
    return [t for t in threading.enumerate() if t.name.startswith("tinydx-")]


def threads_ended():
    if own_threads():
        gc.collect()  # the traceback of a failed batch holds its iterator in a cycle
    return not own_threads()


@pytest.fixture(autouse=True)
def no_thread_outlives_its_test():
    """An iterator that is gone ends its threads, and none reads files while the next test patches the reader."""
    yield
    wait_until(threads_ended)


@pytest.fixture
def tree(tmp_path):
    names = [f"{label}/{k}.png" for label, count in (("abnormal", 4), ("normal", 3)) for k in range(count)]
    return plant(tmp_path / "train", *names)


# --- the warp -------------------------------------------------------------------------------------


@st.composite
def warps(draw):
    """An image and a map whose numbers are eighths, so that coordinates hit pixels and borders exactly."""
    shape = draw(st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 2, 3, 4])))
    image = noise(*shape, seed=draw(st.integers(0, 99))).astype(draw(st.sampled_from(["float32", "float64"])))
    eighths = st.integers(-40, 40).map(lambda k: k / 8)
    matrix = draw(arrays(np.float64, (2, 2), elements=eighths))
    offset = draw(arrays(np.float64, (2,), elements=st.integers(-160, 160).map(lambda k: k / 8)))
    return image, matrix, offset


def scipy_warp(image, matrix, offset, fill_mode, cval):
    channels = np.moveaxis(image, -1, 0)
    warped = [ndimage.affine_transform(c, matrix, offset, order=1, mode=fill_mode, cval=cval) for c in channels]
    return np.stack(warped, -1)


@pytest.mark.parametrize("fill_mode", FILL_MODES)
@given(warp=warps())
def test_warp_equals_scipy(fill_mode, warp):
    image, matrix, offset = warp
    ours = affine_warp(image, matrix=matrix, offset=offset, fill_mode=fill_mode, cval=7.0)
    assert ours.dtype == image.dtype
    np.testing.assert_allclose(ours, scipy_warp(*warp, fill_mode, 7.0), rtol=0, atol=1e-4)


@pytest.mark.parametrize("fill_mode", FILL_MODES)
@given(seed=st.integers(0, 2**32 - 1))
def test_warp_equals_scipy_for_the_documents_transforms(fill_mode, seed):
    x = noise(13, 17, 3)
    augment = ImageDataGenerator(**{**DOCUMENT, "horizontal_flip": False, "fill_mode": fill_mode}, cval=3.0)
    p = augment.get_random_transform(x.shape, seed)
    matrix, offset = affine_matrix(*(p[k] for k in ("theta", "tx", "ty", "shear", "zx", "zy")), 13, 17)
    expected = scipy_warp(x, matrix, offset, fill_mode, 3.0)
    np.testing.assert_allclose(augment.apply_transform(x, p), expected, rtol=0, atol=1e-4)


def test_warp_leaves_its_input_alone():
    image = noise(5, 6, 3)
    before = image.copy()
    affine_warp(image, matrix=np.eye(2), offset=np.zeros(2), fill_mode="constant", cval=9.0)[:] = 0
    np.testing.assert_array_equal(image, before)


angles, shifts, zooms = st.floats(-180, 180), st.floats(-9, 9), st.floats(0.3, 2)


@given(angles, shifts, shifts, angles, zooms, zooms, st.floats(0, 8), st.floats(0, 8))
def test_matrix_is_the_chain_of_its_parts_on_a_point(theta, tx, ty, shear, zx, zy, row, col):
    """Point by point: columns are x and centred with the height, rows are y and centred with the width."""
    height, width = 7, 12
    x, y = col - (height / 2 - 0.5), row - (width / 2 - 0.5)
    x, y = zx * x, zy * y
    x, y = x - np.sin(np.radians(shear)) * y, np.cos(np.radians(shear)) * y
    turned = complex(x + tx, y + ty) * np.exp(1j * np.radians(theta))
    matrix, offset = affine_matrix(theta, tx, ty, shear, zx, zy, height, width)
    expected = [turned.imag + width / 2 - 0.5, turned.real + height / 2 - 0.5]
    np.testing.assert_allclose(matrix @ [row, col] + offset, expected, rtol=0, atol=1e-9)


def test_quarter_turn():
    x = noise(6, 6, 3)
    turned = ImageDataGenerator().apply_transform(x, {"theta": 90})
    np.testing.assert_allclose(turned, np.rot90(x, 1), rtol=0, atol=1e-3)


def test_width_shift_moves_rows_and_height_shift_moves_columns():
    x = noise(8, 8, 3)
    moved = {}
    for option in ("width_shift_range", "height_shift_range"):
        augment = ImageDataGenerator(**{option: [3]})
        seed = next(s for s in range(99) if sum(augment.get_random_transform(x.shape, s)[t] for t in ("tx", "ty")) > 0)
        moved[option] = augment.random_transform(x, seed)
    np.testing.assert_array_equal(moved["width_shift_range"], x[[3, 4, 5, 6, 7, 7, 7, 7]])
    np.testing.assert_array_equal(moved["height_shift_range"], x[:, [3, 4, 5, 6, 7, 7, 7, 7]])


def test_shear_is_in_degrees():
    x = np.zeros((101, 101, 1), "float32")
    x[:, 50] = 255
    sheared = ImageDataGenerator().apply_transform(x, {"shear": 10.0})
    moved = int(sheared[100].argmax()) - int(sheared[0].argmax())
    assert abs(moved - 100 * np.sin(np.radians(10))) <= 1


def test_an_empty_transform_returns_the_image():
    x = noise(5, 4, 3)
    augment = ImageDataGenerator()
    assert augment.random_transform(x, seed=1) is x
    np.testing.assert_array_equal(augment.standardize(x), x)


@pytest.mark.parametrize("options", [{}, {"horizontal_flip": True}, {"vertical_flip": True}, DOCUMENT])
def test_a_constant_image_stays_constant(options):
    flat = np.full((9, 7, 3), 51.0, "float32")
    augment = ImageDataGenerator(**options)
    for seed in range(5):
        np.testing.assert_allclose(augment.random_transform(flat, seed), flat, rtol=1e-6)


def test_flips_are_exact_and_half_of_the_draws():
    x = noise(4, 5, 3)
    seen = {(False, False): x, (True, False): x[:, ::-1], (False, True): x[::-1], (True, True): x[::-1, ::-1]}
    augment = ImageDataGenerator(horizontal_flip=True, vertical_flip=True)
    counts = dict.fromkeys(seen, 0)
    for seed in range(400):
        p = augment.get_random_transform(x.shape, seed)
        flips = p["flip_horizontal"], p["flip_vertical"]
        counts[flips] += 1
        np.testing.assert_array_equal(augment.apply_transform(x, p), seen[flips])
    assert min(counts.values()) > 60


def test_channel_shift_stays_within_the_image():
    x = noise(6, 6, 3)
    shifted = ImageDataGenerator().apply_transform(x, {"channel_shift_intensity": 40.0})
    np.testing.assert_array_equal(shifted, np.minimum(x + np.float32(40), x.max()))


@pytest.mark.parametrize("channels", [1, 3])
def test_brightness_multiplies_eight_bit_pixels(channels):
    x = np.floor(noise(6, 6, channels))
    bright = ImageDataGenerator().apply_transform(x, {"brightness": 1.3})
    np.testing.assert_allclose(bright, np.minimum(x * 1.3, 255), rtol=0, atol=1)
    np.testing.assert_array_equal(ImageDataGenerator().apply_transform(x, {"brightness": 1.0}), x)


def test_brightness_outside_eight_bits_is_stretched_and_put_back():
    x = noise(6, 6, 3) * 4 - 500
    same = ImageDataGenerator().apply_transform(x, {"brightness": 1.0})
    np.testing.assert_allclose(same, x, rtol=0, atol=(x.max() - x.min()) / 255)
    dark = ImageDataGenerator().apply_transform(x, {"brightness": 0.0})
    np.testing.assert_allclose(dark, x.min(), rtol=0, atol=1e-3)


def test_standardize_preprocesses_then_rescales_a_new_array():
    x = noise(3, 3, 1)
    before = x.copy()
    y = ImageDataGenerator(rescale=0.5, preprocessing_function=lambda image: image + 2).standardize(x)
    np.testing.assert_array_equal(y, (before + 2) * np.float32(0.5))
    np.testing.assert_array_equal(x, before)


def test_float64_flows_through():
    augment = ImageDataGenerator(**DOCUMENT, dtype="float64", channel_shift_range=9.0, brightness_range=(0.5, 1.5))
    x = noise(6, 6, 3).astype("float64")
    assert augment.standardize(augment.random_transform(x, 1)).dtype == np.float64
    assert next(augment.flow(x[None], seed=1)).dtype == np.float64


# --- the draws ------------------------------------------------------------------------------------


def test_draws_come_in_the_order_of_keras():
    options = {**DOCUMENT, "width_shift_range": 0.1, "zoom_range": (0.7, 1.1), "vertical_flip": True}
    augment = ImageDataGenerator(**options, channel_shift_range=30.0, brightness_range=(0.5, 1.5))
    for seed in range(20):
        r = np.random.RandomState(seed)
        expected = {
            "theta": r.uniform(-20, 20),
            "tx": r.uniform(-0.2, 0.2) * 60,
            "ty": r.uniform(-0.1, 0.1) * 90,
        }
        expected["shear"] = r.uniform(-0.2, 0.2)
        expected["zx"], expected["zy"] = r.uniform(0.7, 1.1, 2)
        expected["flip_horizontal"] = r.random_sample() < 0.5
        expected["flip_vertical"] = r.random_sample() < 0.5
        expected["channel_shift_intensity"] = r.uniform(-30, 30)
        expected["brightness"] = r.uniform(0.5, 1.5)
        assert augment.get_random_transform((60, 90, 3), seed) == expected


def test_only_active_options_use_random_numbers_and_flips_always_do():
    r, expected = np.random.RandomState(5), np.random.RandomState(5)
    still = ImageDataGenerator().get_random_transform((6, 6, 3), r)
    assert still == {
        "theta": 0, "tx": 0, "ty": 0, "shear": 0, "zx": 1, "zy": 1,
        "flip_horizontal": False, "flip_vertical": False, "channel_shift_intensity": None, "brightness": None,
    }  # fmt: skip
    expected.random_sample(2)
    assert r.random_sample() == expected.random_sample()


@pytest.mark.parametrize(
    ("limit", "factor"), [(4, 1), ([1, 5], 1), ([0.1, 0.3], 50), (np.array([2.0, 3.0]), 1), (np.int64(3), 1)]
)
def test_shift_ranges_as_numbers_and_lists(limit, factor):
    augment = ImageDataGenerator(height_shift_range=limit, rotation_range=1)
    for seed in range(10):
        r = np.random.RandomState(seed)
        r.uniform(-1, 1)
        expected = r.choice(limit) * r.choice([-1, 1]) * factor
        assert augment.get_random_transform((50, 70, 3), seed)["tx"] == expected


def test_a_float_shift_of_one_or_more_is_in_pixels():
    p = ImageDataGenerator(width_shift_range=5.0).get_random_transform((50, 70, 3), seed=2)
    assert p["ty"] == np.random.RandomState(2).uniform(-5, 5)


def test_without_a_seed_a_single_transform_uses_numpys_global_generator():
    augment = ImageDataGenerator(**DOCUMENT)
    np.random.seed(3)
    first, second = (augment.get_random_transform((9, 9, 3)) for _ in range(2))
    assert first == augment.get_random_transform((9, 9, 3), 3)
    assert second != first


@pytest.mark.parametrize("way", [lambda it, k: next(it), lambda it, k: it[k % len(it)]], ids=["next", "getitem"])
def test_batches_are_seeded_with_seed_plus_batches_seen(way):
    x, n, size, seed = noise(7, 6, 5, 3), 7, 3, 100
    augment = ImageDataGenerator(**DOCUMENT)
    batches = augment.flow(x, np.arange(n), batch_size=size, seed=seed)
    assert len(batches) == 3
    for k in range(3):
        r = np.random.RandomState(seed + k)
        if k == 0:
            order = r.permutation(n)
        images, labels = way(batches, k)
        np.testing.assert_array_equal(labels, order[k * size : (k + 1) * size])
        for image, index in zip(images, labels, strict=True):
            p = augment.get_random_transform(x.shape[1:], r)
            np.testing.assert_array_equal(image, augment.standardize(augment.apply_transform(x[index], p)))


def test_each_epoch_is_a_new_permutation_of_all():
    batches = ImageDataGenerator().flow(noise(7, 2, 2, 1), np.arange(7), batch_size=3, seed=1)
    epochs = [np.concatenate([next(batches)[1] for _ in range(3)]).tolist() for _ in range(3)]
    assert [np.random.RandomState(1 + 3 * e).permutation(7).tolist() for e in range(3)] == epochs


def test_without_shuffle_the_order_is_kept_and_draws_come_first():
    augment = ImageDataGenerator(rotation_range=90)
    batches = augment.flow(noise(4, 5, 5, 1), np.arange(4), batch_size=2, shuffle=False, seed=8)
    for k, labels in enumerate(([0, 1], [2, 3], [0, 1])):
        images, y = next(batches)
        np.testing.assert_array_equal(y, labels)
        expected = augment.apply_transform(batches.x[labels[0]], {"theta": np.random.RandomState(8 + k).uniform(-90, 90)})
        np.testing.assert_array_equal(images[0], expected)


def test_getitem_keeps_the_epochs_order_and_reset_starts_an_epoch():
    batches = ImageDataGenerator().flow(noise(6, 2, 2, 1), np.arange(6), batch_size=2, seed=1)
    order = np.random.RandomState(1).permutation(6)
    np.testing.assert_array_equal(next(batches)[1], order[:2])
    np.testing.assert_array_equal(batches[-1][1], order[4:])
    np.testing.assert_array_equal(next(batches)[1], order[2:4])  # prepared batches were dropped, none was lost
    batches.reset()
    np.testing.assert_array_equal(next(batches)[1], np.random.RandomState(1 + 3).permutation(6)[:2])
    with pytest.raises(IndexError, match="3 batches"):
        batches[3]


def test_iterating_leaves_numpys_global_generator_alone():
    np.random.seed(0)
    expected = np.random.RandomState(0).random_sample(3)
    batches = ImageDataGenerator(**DOCUMENT).flow(noise(4, 5, 5, 3), batch_size=2, seed=1)
    for _ in range(5):
        next(batches)
    np.testing.assert_array_equal(np.random.random_sample(3), expected)


def test_without_a_seed_tinydx_set_seed_decides():
    def run(seed):
        batches = ImageDataGenerator(**DOCUMENT).flow(noise(5, 5, 5, 3), batch_size=2)
        tinydx.random.set_seed(seed)  # after the iterator was made: the first batch draws
        return np.concatenate([next(batches) for _ in range(5)])

    np.testing.assert_array_equal(run(1), run(1))
    assert not np.array_equal(run(1), run(2))


# --- the threads and the state --------------------------------------------------------------------


def test_threads_do_not_change_a_bit(tree, monkeypatch):
    def make():
        return ImageDataGenerator(**DOCUMENT).flow_from_directory(tree, (9, 8), batch_size=3, seed=4)

    alone = make()
    unthreaded = [alone[k] for k in range(len(alone))]
    naps = iter(np.random.default_rng(0).uniform(0, 0.01, 999))

    def slow_load(*args, **kwargs):
        time.sleep(next(naps))  # threads finish in any order
        return load_img(*args, **kwargs)

    monkeypatch.setattr("tinydx.preprocessing.image_iterators.load_img", slow_load)
    threaded = make()
    for k, (x, y) in enumerate(unthreaded):
        images, labels = next(threaded)
        np.testing.assert_array_equal(images, x)
        np.testing.assert_array_equal(labels, y)
        assert threaded.last_files == [threaded.filepaths[i] for i in np.random.RandomState(4).permutation(7)[3 * k :][:3]]


def test_images_of_a_batch_are_read_at_the_same_time(tree, monkeypatch):
    both = threading.Barrier(2, timeout=20)

    def meet(*args, **kwargs):
        both.wait()  # one thread alone would wait for ever
        return load_img(*args, **kwargs)

    monkeypatch.setattr("tinydx.preprocessing.image_iterators.load_img", meet)
    monkeypatch.setattr("tinydx.preprocessing.iterators.EXAMPLE_THREADS", 2)
    batches = ImageDataGenerator().flow_from_directory(tree, (4, 4), classes=["abnormal"], batch_size=2)
    for _ in range(3):
        next(batches)


def test_a_preprocessing_function_sees_the_images_in_order():
    seen = []

    def note(image):
        seen.append(int(image[0, 0, 0]))
        return image

    x = np.arange(12, dtype="float32").reshape(12, 1, 1, 1)
    batches = ImageDataGenerator(preprocessing_function=note).flow(x, batch_size=4, shuffle=False)
    for _ in range(6):
        next(batches)
    assert seen[:24] == list(range(12)) * 2


@pytest.mark.parametrize("before", [0, 1, 3, 5])
@pytest.mark.parametrize("seed", [3, None])
def test_the_state_is_the_consumers_position(before, seed):
    def make():
        return ImageDataGenerator(**DOCUMENT).flow(noise(7, 5, 5, 3), np.arange(7), batch_size=3, seed=seed)

    tinydx.random.set_seed(1)
    killed = make()
    for _ in range(before):
        next(killed)
    state = json.loads(json.dumps(killed.state()))
    expected = [next(killed) for _ in range(5)]
    tinydx.random.set_seed(1 if before == 0 else 2)  # nothing drawn yet: the engine's own state decides
    resumed = make()
    if before:
        next(resumed)
    resumed.load_state(state)
    assert resumed.state() == state
    for x, y in expected:
        images, labels = next(resumed)
        np.testing.assert_array_equal(images, x)
        np.testing.assert_array_equal(labels, y)


def test_the_state_of_other_data_is_refused():
    make = ImageDataGenerator().flow
    state = make(noise(7, 2, 2, 1), batch_size=3).state()
    with pytest.raises(ValueError, match="'n': 7"):
        make(noise(8, 2, 2, 1), batch_size=3).load_state(state)
    with pytest.raises(ValueError, match="epoch_seed"):
        make(noise(7, 2, 2, 1), batch_size=3).load_state({"n": 7})


def test_a_bounded_number_of_batches_is_prefetched(tree, monkeypatch):
    loaded = []

    def count(*args, **kwargs):
        loaded.append(args)
        return load_img(*args, **kwargs)

    monkeypatch.setattr("tinydx.preprocessing.image_iterators.load_img", count)
    batches = ImageDataGenerator().flow_from_directory(tree, (4, 4), batch_size=1, seed=4)
    assert not loaded
    next(batches)
    wait_until(lambda: len(loaded) == 1 + PREFETCHED)
    time.sleep(0.05)
    assert len(loaded) == 1 + PREFETCHED


def test_threads_start_with_next_and_end_with_the_iterator(tree):
    batches = ImageDataGenerator().flow_from_directory(tree, (4, 4), batch_size=2)
    batches[0]
    assert not own_threads()
    next(iter(batches))
    assert own_threads()
    del batches
    wait_until(threads_ended)


def test_the_interpreter_exits_at_once_and_quietly(tree):
    program = f"""if True:
        import sys
        from tinydx.preprocessing.image import ImageDataGenerator
        assert "PIL" not in sys.modules
        augment = ImageDataGenerator(rotation_range=9)
        batches = augment.flow_from_directory({str(tree)!r}, (300, 300), batch_size=4)
        next(batches)"""
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program],
        cwd=root, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    said = [line for line in done.stderr.splitlines() if not line.startswith("tinydx: compil")]  # once on a machine
    assert (done.returncode, said) == (0, [])
    assert done.stdout == "Found 7 images belonging to 2 classes.\n"


def test_a_file_truncated_later_is_named_and_the_next_batch_follows(tmp_path):
    root = plant(tmp_path, "a/0.jpg", "a/1.jpg", "b/2.jpg", size=(64, 64))
    bad = root / "a" / "1.jpg"
    bad.write_bytes(bad.read_bytes()[:-900])
    batches = ImageDataGenerator().flow_from_directory(root, (8, 8), batch_size=1, shuffle=False)
    next(batches)
    for _ in range(2):  # each pass over it
        with pytest.raises(OSError, match=r"1\.jpg.*truncated"):
            next(batches)
        assert batches.last_files == [str(bad)]
        next(batches), next(batches)
    with pytest.raises(OSError, match=r"1\.jpg"):
        batches[1]


def test_a_failing_preprocessing_function_names_the_file(tree):
    augment = ImageDataGenerator(preprocessing_function=lambda image: image[:, :, :1])
    batches = augment.flow_from_directory(tree, (4, 4), shuffle=False)
    with pytest.raises(ValueError, match=r"\(4, 4, 3\) into \(4, 4, 1\)") as caught:
        next(batches)
    assert str(tree / "abnormal" / "0.png") in caught.value.__notes__[0]


# --- folders --------------------------------------------------------------------------------------


def test_order_is_the_sorted_walk(tmp_path, capsys):
    names = ["a/10.tif", "a/9.ppm", "a/B.tiff", "a/a.JPG", "a-c/x/y/1.png", "b/a.jpeg", "b/z.PNG"]
    names += ["b/late/9.png", "b/sub/0.bmp"]
    plant(tmp_path, *reversed(names), ".cache/x.png")
    (tmp_path / "a" / "notes.txt").write_text("no image")
    augment = ImageDataGenerator()
    batches = augment.flow_from_directory(str(tmp_path), (4, 4), class_mode="sparse", shuffle=False)
    assert capsys.readouterr().out == "Found 9 images belonging to 3 classes.\n"
    assert batches.filenames == [name.replace("/", os.sep) for name in names]
    assert batches.filepaths == [os.path.join(str(tmp_path), name) for name in batches.filenames]
    assert batches.class_indices == {"a": 0, "a-c": 1, "b": 2}
    assert batches.classes.tolist() == [0, 0, 0, 0, 1, 2, 2, 2, 2] and batches.classes.dtype == np.int32
    assert (batches.n, batches.samples, batches.num_classes) == (9, 9, 3)
    assert batches.image_shape == (4, 4, 3)
    x, y = next(batches)
    assert y.tolist() == [0, 0, 0, 0, 1, 2, 2, 2, 2] and y.dtype == x.dtype == np.float32
    assert batches.last_files == batches.filepaths
    for image, path in zip(x, batches.filepaths, strict=True):
        np.testing.assert_array_equal(image, img_to_array(load_img(path, target_size=(4, 4))))


def test_class_modes(tree):
    def first(mode):
        return ImageDataGenerator().flow_from_directory(tree, (4, 4), class_mode=mode, shuffle=False)[0]

    labels = [0, 0, 0, 0, 1, 1, 1]
    assert first("binary")[1].tolist() == labels
    np.testing.assert_array_equal(first("categorical")[1], np.eye(2)[labels])
    x, y = first("input")
    np.testing.assert_array_equal(x, y)
    assert not np.shares_memory(x, y)
    assert first(None).shape == (7, 4, 4, 3)


def test_given_classes_decide_which_and_in_which_order(tree):
    plant(tree, "other/0.png", "loose.png")
    batches = ImageDataGenerator().flow_from_directory(
        tree, (4, 4), classes=["normal", "abnormal"], class_mode="binary", shuffle=False
    )
    assert batches.class_indices == {"normal": 0, "abnormal": 1}
    assert batches.filenames[0] == os.path.join("normal", "0.png")
    with pytest.raises(FileNotFoundError, match="'sick'"):
        ImageDataGenerator().flow_from_directory(tree, classes=["normal", "sick"])


def test_validation_split_takes_the_first_of_each_class(tree):
    augment = ImageDataGenerator(validation_split=0.5)
    parts = {s: augment.flow_from_directory(tree, (4, 4), subset=s).filenames for s in ("validation", "training")}
    kept = [f"abnormal{os.sep}{k}.png" for k in (0, 1)] + [f"normal{os.sep}0.png"]
    assert parts["validation"] == kept
    assert len(parts["training"]) == 4 and not set(parts["training"]) & set(kept)


@pytest.mark.parametrize("color_mode", ["rgb", "rgba", "grayscale"])
def test_preprocessing_repeats_the_input_exactly(tree, color_mode):
    augment = ImageDataGenerator(rescale=1 / 255)
    batches = augment.flow_from_directory(tree, (9, 8), color_mode, class_mode=None, shuffle=False, interpolation="bilinear")
    how = json.loads(json.dumps(batches.preprocessing))
    assert how == {
        "kind": "image",
        "target_size": [9, 8],
        "color_mode": color_mode,
        "rescale": 1 / 255,
        "interpolation": "bilinear",
    }
    x = load_images(batches.filepaths, how)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, next(batches))
    assert load_images([], how).shape == (0, *batches.image_shape)


def test_preprocessing_of_arrays_and_functions():
    x = noise(2, 4, 6, 1)
    how = ImageDataGenerator().flow(x).preprocessing
    assert how == {
        "kind": "image",
        "target_size": [4, 6],
        "color_mode": "grayscale",
        "rescale": None,
        "interpolation": "nearest",
    }
    how = ImageDataGenerator(preprocessing_function=np.sqrt).flow(x).preprocessing
    with pytest.raises(ValueError, match="sqrt"):
        load_images([], json.loads(json.dumps(how)))


def test_bad_folders_are_clear_errors(tree, tmp_path, monkeypatch):
    def refused(error, match, *args, **kwargs):
        with pytest.raises(error, match=match):
            ImageDataGenerator().flow_from_directory(*args, **kwargs)

    refused(FileNotFoundError, f"nearest that exists is {tmp_path}$", tmp_path / "data" / "train")
    monkeypatch.chdir(tmp_path)
    refused(FileNotFoundError, f"no folder data/train; the nearest that exists is {tmp_path}$", "data/train")
    refused(NotADirectoryError, "0.png", tree / "normal" / "0.png")
    refused(ValueError, "4 images directly in .*abnormal, as 0.png", tree / "abnormal")
    (tmp_path / "empty").mkdir()
    refused(ValueError, "no class folders", tmp_path / "empty")
    (tree / "doubtful").mkdir()
    refused(ValueError, "doubtful holds no image", tree)
    plant(tree, "doubtful/x.png")
    refused(ValueError, "2 class folders.*has 3: abnormal, doubtful, normal", tree, class_mode="binary")
    refused(ValueError, "'subset'|validation_split", tree, subset="training")
    plant(tree, "loose.jpeg")
    refused(ValueError, "1 images directly in .*loose.jpeg", tree)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.png", lambda good: b""),
        ("text.jpg", lambda good: b"not an image at all"),
        ("cut.png", lambda good: good[: len(good) // 2]),
        ("flipped.png", lambda good: good[:60] + bytes([good[60] ^ 255]) + good[61:]),
    ],
)
def test_bad_files_are_named_when_the_folder_is_opened(tree, name, content):
    good = (tree / "normal" / "0.png").read_bytes()
    bad = tree / "normal" / name
    bad.write_bytes(content(good))
    with pytest.raises(OSError, match=name):
        ImageDataGenerator().flow_from_directory(tree)
    (tree / "abnormal" / "0.png").write_bytes(b"")
    with pytest.raises(OSError, match=r"abnormal.0\.png.*2 such files of 8"):
        ImageDataGenerator().flow_from_directory(tree)
    with pytest.raises(OSError, match=name):
        load_img(bad)


def test_a_link_to_nowhere_is_named(tree):
    (tree / "normal" / "gone.png").symlink_to(tree / "moved.png")
    with pytest.raises(FileNotFoundError, match="gone"):
        ImageDataGenerator().flow_from_directory(tree)
    with pytest.raises(FileNotFoundError, match="gone"):
        load_img(tree / "normal" / "gone.png")


def test_an_unreadable_file_is_named(tree, monkeypatch):
    def deny(path, *args, **kwargs):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Image, "open", deny)  # tests may run as root, whom no mode stops
    for read in (load_img, lambda path: check_images([path])):
        with pytest.raises(PermissionError, match=r"0\.png"):
            read(str(tree / "normal" / "0.png"))


# --- arrays ---------------------------------------------------------------------------------------


def test_flow_yields_images_labels_and_weights():
    x = np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1)
    flow = ImageDataGenerator().flow
    weights = [0.0, 0.1, 0.2, 0.3]
    images, labels, kept = next(flow(x, ["a", "b", "c", "d"], 3, seed=2, sample_weight=weights))
    order = np.random.RandomState(2).permutation(4)[:3]
    np.testing.assert_array_equal(images.ravel(), order)
    assert images.dtype == np.float32
    assert labels.tolist() == [list("abcd")[i] for i in order]
    np.testing.assert_array_equal(kept, np.array(weights)[order])
    batches = flow(x)
    assert next(batches).shape == (4, 1, 1, 1) and batches.last_files is None


def test_subsets_of_arrays_keep_rows_together():
    x = np.arange(10, dtype="float32").reshape(10, 1, 1, 1)
    y, weight = np.tile([0, 1], 5), np.arange(10.0)
    augment = ImageDataGenerator(validation_split=0.25)
    for subset, rows in (("validation", [0, 1]), ("training", range(2, 10))):
        images, labels, weights = augment.flow(x, y, shuffle=False, sample_weight=weight, subset=subset)[0]
        np.testing.assert_array_equal(images.ravel(), rows)
        np.testing.assert_array_equal(labels, y[rows])
        np.testing.assert_array_equal(weights, weight[rows])
    with pytest.raises(ValueError, match="shuffle"):
        augment.flow(x, np.sort(y), subset="training")
    assert augment.flow(x, weight, subset="training", ignore_class_split=True).n == 8


def test_a_batch_does_not_write_into_the_data():
    def paint(image):
        image[:] = -1
        return image

    x = noise(3, 4, 4, 3)
    before = x.copy()
    next(ImageDataGenerator(preprocessing_function=paint, rescale=2.0).flow(x))[:] = 0
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize(
    ("match", "arguments", "options"),
    [
        (r"\(4, 4, 3\)", (np.zeros((4, 4, 3)),), {}),
        (r"x \(5, 2, 2, 1\), y \(4,\)", (np.zeros((5, 2, 2, 1)), np.zeros(4)), {}),
        ("same length", (np.zeros((5, 2, 2, 1)), np.zeros(5)), {"sample_weight": np.ones(6)}),
        ("pass y", (np.zeros((5, 2, 2, 1)),), {"sample_weight": np.ones(5)}),
        ("no images", (np.zeros((0, 2, 2, 1)),), {}),
        ("validation_split", (np.zeros((5, 2, 2, 1)),), {"subset": "training"}),
        ("batch_size", (np.zeros((5, 2, 2, 1)),), {"batch_size": 0}),
        ("seed", (np.zeros((5, 2, 2, 1)),), {"seed": -1}),
    ],
)
def test_bad_arrays_are_clear_errors(match, arguments, options):
    with pytest.raises(ValueError, match=match):
        ImageDataGenerator().flow(*arguments, **options)


def test_channels_first_is_warned_about():
    with pytest.warns(UserWarning, match=r"\(2, 3, 16, 16\) has 16 channels"):
        ImageDataGenerator().flow(np.zeros((2, 3, 16, 16)))


@pytest.mark.parametrize(
    "options",
    [
        {"fill_mode": "edge"}, {"zoom_range": (1, 2, 3)}, {"brightness_range": 0.5}, {"dtype": "uint8"},
        {"validation_split": 1.0}, {"rotation_range": -5}, {"width_shift_range": -0.1},
    ],
    ids=str,
)  # fmt: skip
def test_bad_options_are_named(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        ImageDataGenerator(**options)


def test_options_of_statistics_are_unknown():
    with pytest.raises(TypeError, match="featurewise_center"):
        ImageDataGenerator(featurewise_center=True)


def test_bad_images_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 4, 4, 3\)"):
        ImageDataGenerator(rotation_range=1).random_transform(noise(2, 4, 4, 3), 1)
    with pytest.raises(TypeError, match="uint8"):
        ImageDataGenerator(rotation_range=1).random_transform(np.zeros((4, 4, 3), np.uint8), 1)


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("channels", "color_mode"), [(1, "grayscale"), (3, "rgb"), (4, "rgba")])
@given(seed=st.integers(0, 99), height=st.integers(1, 9), width=st.integers(1, 9))
def test_png_round_trip(channels, color_mode, seed, height, width):
    x = np.floor(noise(height, width, channels, seed=seed))
    file = io.BytesIO()
    save_img(file, x, file_format="png", scale=False)
    back = img_to_array(load_img(file, color_mode))
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, x)


def test_save_img_by_extension(tmp_path):
    x = noise(8, 8, 3)
    for name in ("a.jpg", "a.JPEG", "a.png", "a.bmp", "a.tif"):
        save_img(tmp_path / name, x)
        assert load_img(tmp_path / name).size == (8, 8)
    with pytest.warns(UserWarning, match="transparency"):
        save_img(tmp_path / "b.jpg", noise(8, 8, 4))
    assert load_img(tmp_path / "b.jpg").mode == "RGB"


def test_array_to_img_stretches_or_cuts():
    x = np.array([[[-1.0], [0.0], [3.0]]])
    assert np.asarray(array_to_img(x)).tolist() == [[0, 63, 255]]
    assert np.asarray(array_to_img(x, scale=False)).tolist() == [[0, 0, 3]]
    assert np.asarray(array_to_img(np.full((1, 1, 1), 5.0))).tolist() == [[0]]
    assert array_to_img(np.full((1, 1, 1), 60000.0), scale=False).getpixel((0, 0)) == 60000
    assert np.asarray(array_to_img(np.full((1, 1, 3), 300.0), scale=False)).max() == 255
    for shape in ((4, 4), (4, 4, 2)):
        with pytest.raises(ValueError, match="C = 1, 3 or 4"):
            array_to_img(np.zeros(shape))
    with pytest.raises(ValueError, match=r"\(1, 2, 2, 3\)"):
        img_to_array(np.zeros((1, 2, 2, 3)))


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 12), st.integers(1, 12))
def test_nearest_takes_the_pixel_under_the_centre(height, width, new_height, new_width):
    x = np.floor(noise(height, width, 3))
    file = io.BytesIO()
    save_img(file, x, file_format="png", scale=False)
    rows, cols = ((2 * np.arange(new) + 1) * old for new, old in ((new_height, height), (new_width, width)))
    resized = img_to_array(load_img(file, target_size=(new_height, new_width)))
    clear_row, clear_col = (
        rows % (2 * new_height) > 0,
        cols % (2 * new_width) > 0,
    )  # a tie rounds as Pillow does
    expected = x[rows // (2 * new_height)][:, cols // (2 * new_width)]
    np.testing.assert_array_equal(resized[clear_row][:, clear_col], expected[clear_row][:, clear_col])


@pytest.mark.parametrize("color_mode", ["rgb", "rgba"])
def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path, color_mode):
    grey = np.array([[0, 257, 1000, 30000, 65535]], np.uint16)
    Image.fromarray(grey).save(tmp_path / "xray.png")
    x = img_to_array(load_img(tmp_path / "xray.png", color_mode))
    np.testing.assert_array_equal(x[0, :, 0], [0, 1, 4, 117, 255])  # 1000 / 257 = 3.9, 30000 / 257 = 116.7
    np.testing.assert_array_equal(x[..., 0], x[..., 2])
    raw = img_to_array(load_img(tmp_path / "xray.png", "grayscale"))
    np.testing.assert_array_equal(raw[..., 0], grey)  # as Keras: the file's own values


def test_sixteen_bit_grey_with_the_high_byte_first(tmp_path):
    grey = np.array([[0, 257, 65535]], ">u2")
    header = b"MM\0*" + (8).to_bytes(4, "big")  # a TIFF in Motorola order, by hand
    # width, height, bits, no compression, black is zero, pixels begin at, samples, rows, bytes
    tags = {256: 3, 257: 1, 258: 16, 259: 1, 262: 1, 273: 122, 277: 1, 278: 1, 279: 6}
    entries = b"".join(struct.pack(">HHII", tag, 4, 1, value) for tag, value in tags.items())
    (tmp_path / "a.tif").write_bytes(header + struct.pack(">H", len(tags)) + entries + bytes(4) + grey.tobytes())
    np.testing.assert_array_equal(img_to_array(load_img(tmp_path / "a.tif"))[0, :, 0], [0, 1, 255])
    raw = img_to_array(load_img(tmp_path / "a.tif", "grayscale"))
    np.testing.assert_array_equal(raw[0, :, 0], [0, 257, 65535])


def test_palette_and_transparency_give_the_colours(tmp_path):
    colours = np.array([[[250, 0, 10], [0, 20, 240], [250, 0, 10]]], np.uint8)
    palette = Image.new("P", (3, 1))
    palette.putpalette([250, 0, 10, 0, 20, 240])
    palette.putdata([0, 1, 0])
    palette.save(tmp_path / "p.png", transparency=bytes([0, 128]))
    Image.fromarray(np.dstack([colours, [[0, 7, 255]]]).astype(np.uint8)).save(tmp_path / "rgba.png")
    for name in ("p.png", "rgba.png"):
        np.testing.assert_array_equal(img_to_array(load_img(tmp_path / name)), colours)
        grey = img_to_array(load_img(tmp_path / name, "grayscale"))
        np.testing.assert_allclose(grey[..., 0], colours @ [0.299, 0.587, 0.114], atol=1)
    np.testing.assert_array_equal(img_to_array(load_img(tmp_path / "rgba.png", "rgba"))[0, :, 3], [0, 7, 255])


def test_bad_arguments_of_load_img(tmp_path):
    save_img(tmp_path / "a.png", noise(4, 4, 3))
    for options in (
        {"color_mode": "bgr"},
        {"interpolation": "cubic"},
        {"target_size": (4,)},
        {"target_size": (0, 4)},
    ):
        with pytest.raises(ValueError, match=next(iter(options))):
            load_img(tmp_path / "a.png", **options)
    with pytest.raises(TypeError, match="NoneType"):
        load_img(None)
    with pytest.raises(FileNotFoundError, match=r"no image file .*none"):
        load_img(tmp_path / "none.png")


def test_real_radiographs(real_data):
    folder = real_data("chest_xray_kermany_folders") / "train"
    batches = ImageDataGenerator(**DOCUMENT).flow_from_directory(folder, (150, 150), class_mode="binary", seed=1)
    assert batches.class_indices == {"normal": 0, "pneumonia": 1}
    assert batches.n == sum(len(list(sub.iterdir())) for sub in folder.iterdir())
    x, y = next(batches)
    assert x.shape == (32, 150, 150, 3) and 0 <= x.min() < x.max() <= 1 and set(y) == {0, 1}


# --- the iterators know nothing of images ---------------------------------------------------------


class Shift:
    """A recipe for rows of numbers: add a random number, then halve."""

    def get_random_transform(self, shape, seed=None, /):
        return {"shift": seed.randint(100), "shape": shape}

    def apply_transform(self, x, transform, /):
        assert x.shape == transform["shape"]
        return x + transform["shift"]

    def standardize(self, x, /):
        return x / 2


def test_batches_of_anything_that_a_recipe_transforms():
    arrays = checked_arrays(np.arange(15.0).reshape(5, 3), [0, 1, 2, 3, 4], None)
    order = {"batch_size": 2, "shuffle": True, "seed": 7}
    batches = ArrayIterator(arrays, Shift(), shape=(3,), dtype="float64", **order)
    r = np.random.RandomState(7)
    rows, shifts = r.permutation(5)[:2], r.randint(100, size=2)
    x, y = next(batches)
    np.testing.assert_array_equal(x, (arrays["x"][rows] + shifts[:, None]) / 2)
    np.testing.assert_array_equal(y, rows)
    np.testing.assert_array_equal(arrays["x"], np.arange(15.0).reshape(5, 3))
    state = batches.state()
    following = [next(batches) for _ in range(5)]
    batches.load_state(state)
    for expected in following:
        np.testing.assert_array_equal(next(batches)[0], expected[0])


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_channels_one_by_one_have_the_bits_of_numpys_reduction(kind, channels):
    from tinydx.preprocessing.channels import mean_of_channels, over_channels

    x = np.random.default_rng(channels).normal(size=(5, 31, 17, channels)).astype(kind)
    assert mean_of_channels(x).dtype == kind and (mean_of_channels(x) == x.mean(axis=-1)).all()
    assert (over_channels(np.maximum, x) == x.max(axis=-1)).all()
