"""Images: class folders or a MedMNIST .npz; the document's CNN and its augmentation.

    None             synthetic chest phantoms, made once in the data folder
    FOLDER           class folders, or train/ val/ test/ of them
    FILE.npz         a MedMNIST set

Images are read once, resized, and kept as bytes, so that an unreadable file is reported before training begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from tinydx.datasets.download import data_home
from tinydx.datasets.folders import labelled_files, match_classes, open_folders
from tinydx.datasets.medmnist import MedMNIST
from tinydx.datasets.phantom import VERSION, write_phantom_folders
from tinydx.datasets.study import SPLITS, Examples, Study, first_of_each, hold_out, progress
from tinydx.datasets.synthetic import MARKER
from tinydx.diagnosis.inputs import image_statistics
from tinydx.diagnosis.kind import Kind, classification_loss, output_layer
from tinydx.layers import Conv2D, Dense, Flatten, MaxPooling2D
from tinydx.models import Sequential
from tinydx.preprocessing.files import EXTENSIONS, check_images
from tinydx.preprocessing.image import ImageDataGenerator, load_images

DEFAULT_SIZE = 150
SYNTHETIC = "Synthetic: drawn by a program, of no patient. Results on them say nothing about real X-rays."


class ImageKind(Kind):
    """Images (H,W,3) as bytes."""

    noun = "images"
    endings = (*EXTENSIONS, ".npz")
    network = "the document's CNN"
    synthetic_title = "Diagnosis of chest phantoms"
    synthetic_notice = "a program drew these images, they show no patient, and results on real images will differ."
    synthetic_schedule = (8, 16)  # 128 batches: easier than real data
    columns, panel_height = 6, 1.88

    def open_study(self, path: str | Path | None, *, size: int | None, limit: int | None, seed: int) -> Study:
        return open_study(path, size=size, limit=limit, seed=seed)

    def build(self, study: Study) -> Any:
        return build_cnn(study.train.x.shape[1:], len(study.class_names))

    def training_batches(self, study: Study, batch: int, augment: str, seed: int) -> Any:
        return augmentation(augment).flow(study.train.x, study.train.y, batch_size=batch, seed=seed)

    def plain_batches(self, study: Study, part: Examples, batch: int) -> Any:
        return augmentation("none").flow(part.x, part.y, batch_size=batch, shuffle=False)

    def read(self, entry: str, preprocessing: dict[str, Any]) -> np.ndarray:
        return load_images([entry], preprocessing)

    def open_labelled(
        self, path: str | Path, class_names: list[str], preprocessing: dict[str, Any], split: str | None = None
    ) -> Examples:
        if Path(path).suffix == ".npz":
            return _labelled_medmnist(Path(path), class_names, preprocessing, split)
        files = labelled_files(path, class_names, split)
        check_images([file for file, _ in files])
        with progress("Reading images", len(files)) as advance:
            return _read_images(files, preprocessing, advance)

    def statistics(self, part: Examples, preprocessing: dict[str, Any]) -> dict[str, np.ndarray]:
        return image_statistics(part.x, part.files)

    def plot(self, axes: Any, example: Any) -> None:
        picture = np.asarray(example)
        if picture.ndim == 3 and picture.shape[2] == 1:
            picture = picture[..., 0]
        if picture.ndim != 2 and not (picture.ndim == 3 and picture.shape[2] == 3):
            raise ValueError(f"an image must be (H, W), (H, W, 1) or (H, W, 3), not {picture.shape}")
        bright = 255 if picture.dtype == np.uint8 or picture.max() > 1 else 1
        axes.imshow(np.clip(picture / bright, 0, 1), cmap="gray", vmin=0, vmax=1)


KIND = ImageKind()


# ---- the network and its augmentation ------------------------------------------------------------------------------


def build_cnn(shape: tuple[int, ...], classes: int) -> Sequential:
    """The document's network: three times convolution and pooling, a dense layer, and a sigmoid (or softmax) output.

    Arguments: shape (H,W,C) of an image, at least 22 pixels high and wide; classes, how many.
    Returns: the compiled model.
    Raises: ValueError for a smaller image.
    Source: the document's program.

    >>> build_cnn((150, 150, 3), 2).count_params()
    19034177
    """
    model = Sequential(name="diagnosis")
    model.add(Conv2D(32, (3, 3), activation="relu", input_shape=shape))
    model.add(MaxPooling2D((2, 2)))
    model.add(Conv2D(64, (3, 3), activation="relu"))
    model.add(MaxPooling2D((2, 2)))
    model.add(Conv2D(128, (3, 3), activation="relu"))
    model.add(MaxPooling2D((2, 2)))
    model.add(Flatten())
    model.add(Dense(512, activation="relu"))
    model.add(output_layer(classes))
    model.compile(optimizer="adam", loss=classification_loss(classes), metrics=["accuracy"])
    return model


def augmentation(how: str) -> ImageDataGenerator:
    """The document's augmentation, or only the rescaling.

    Arguments: how, "document" (its shear is in degrees) or "none".
    Returns: an ImageDataGenerator.

    >>> augmentation("none").rotation_range, augmentation("document").rotation_range
    (0, 20)
    """
    if how == "none":
        return ImageDataGenerator(rescale=1.0 / 255)
    return ImageDataGenerator(
        rescale=1.0 / 255,
        rotation_range=20,
        width_shift_range=0.2,
        height_shift_range=0.2,
        shear_range=0.2,
        zoom_range=0.2,
        horizontal_flip=True,
        fill_mode="nearest",
    )


# ---- the data ------------------------------------------------------------------------------------------------------


def open_study(path: str | Path | None, *, size: int | None = None, limit: int | None = None, seed: int = 0) -> Study:
    """Images from any of the sources that the module lists.

    Arguments: path, None for phantoms; size in pixels (None: 150, or an .npz file's own); limit, at most how many images of each
    class and split (None: all); seed of the splits.
    Returns: the study.
    Raises: FileNotFoundError, which names the nearest folder that exists; ValueError for data that cannot be used.
    """
    if path is None:
        return _phantoms(size or DEFAULT_SIZE, limit, seed)
    path = Path(path)
    if path.is_dir() and len(found := sorted(path.glob("*.npz"))) == 1:
        path = found[0]
    if path.suffix == ".npz":
        return _medmnist(path, size, limit, seed)
    if path.is_file():
        raise ValueError(f"{path} is neither a folder nor an .npz file: give a folder with one folder of images for each class")
    return _folders(path, size or DEFAULT_SIZE, limit, seed)


def _phantoms(size: int, limit: int | None, seed: int) -> Study:
    folder = data_home() / f"chest-phantoms-{size}-v{VERSION}"
    if not folder.exists():
        print(f"Making synthetic chest phantoms in {folder}, once ...", flush=True)
    write_phantom_folders(folder, size=size)
    return _folders(folder, size, limit, seed)


def _folders(path: Path, size: int, limit: int | None, seed: int) -> Study:
    names, splits, notes = open_folders(path, seed=seed, limit=limit)
    how = _reading(size)
    with progress("Reading images", sum(len(v) for v in splits.values())) as advance:
        read = {k: _read_images(splits[k], how, advance) for k in SPLITS}
    synthetic = (path / MARKER).exists()
    source = "synthetic chest phantoms" if synthetic else path.name or str(path)
    notes = [SYNTHETIC, *notes] if synthetic else notes
    parts = read["train"], read["val"], read["test"]
    return Study(source, names, *parts, synthetic, notes, how, "images", f"{size}x{size}")


def _reading(size: int) -> dict[str, Any]:
    """How an image file becomes an example, for `load_images`."""
    return {"target_size": [size, size], "color_mode": "rgb", "interpolation": "bilinear", "rescale": 1 / 255}


def _read_images(files: Sequence[tuple[str, int]], how: dict[str, Any], advance: Any) -> Examples:
    """All files of a split as bytes, read by several threads."""
    x = np.empty((len(files), *how["target_size"], 3), np.uint8)

    def read(i: int) -> None:
        x[i] = np.rint(load_images([files[i][0]], {**how, "rescale": None})[0])
        advance()

    with ThreadPoolExecutor() as pool:
        list(pool.map(read, range(len(files))))  # list: raises what a thread raised
    return Examples(x, np.array([k for _, k in files], np.int64), [f for f, _ in files])


def _medmnist(path: Path, size: int | None, limit: int | None, seed: int) -> Study:
    data = MedMNIST(path)
    size = size or data.size
    notes = []
    splits = {k: data.load(k) for k in SPLITS if k in data.splits or k == "train"}
    if "test" not in splits and "val" in splits:
        splits["test"] = splits.pop("val")
        notes.append("no test images in the file: its val images serve as the test")
    for split, share in (("test", 0.2), ("val", 0.1)):
        if split not in splits:
            splits["train"], splits[split] = hold_out(*splits["train"], share, seed)
            notes.append(f"no {split} images in the file: {len(splits[split][1])} set aside from train (patients are not known)")
    images = {k: _as_images(*first_of_each(*v, limit), size) for k, v in splits.items()}
    parts = images["train"], images["val"], images["test"]
    return Study(data.name, data.class_names, *parts, False, notes, _reading(size), "images", f"{size}x{size}")


def _labelled_medmnist(path: Path, class_names: list[str], how: dict[str, Any], split: str | None) -> Examples:
    """A split of an .npz file, or all of it, for a model that knows these classes and reads images of that size."""
    data = MedMNIST(path)
    parts = [data.load(k) for k in ([split] if split else data.splits)]
    x, y = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    numbers = match_classes([data.class_names[k] for k in y], class_names, str(path))
    return _as_images(x, np.array(numbers, np.int64), how["target_size"][0])


def _as_images(x: np.ndarray, y: np.ndarray, size: int) -> Examples:
    """Grey as three equal channels, resized to (size, size) if needed."""
    x = np.repeat(x[..., None], 3, axis=-1) if x.ndim == 3 else x
    if x.shape[1:3] != (size, size):
        from PIL import Image

        resized = [Image.fromarray(v).resize((size, size), Image.Resampling.BILINEAR) for v in x]
        x = np.array([np.asarray(v) for v in resized], np.uint8).reshape(-1, size, size, 3)
    return Examples(x, y)
