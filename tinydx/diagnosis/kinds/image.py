"""Images: class folders or a MedMNIST .npz; two networks, and a recipe that holds in the next hospital.

    None             synthetic chest phantoms, made once in the data folder
    FOLDER           class folders, or train/ val/ test/ of them
    FILE.npz         a MedMNIST set
    FILE.csv, .tsv   a study's table with the columns image and label (`tinydx/datasets/table.py`)

Images are read once, resized, and kept as bytes, so that an unreadable file is reported before training begins.

    --network document --augment document    the document's program: 150 pixels in colour, epochs, the best one by validation
    --network blocks --augment framing       the recipe: 48 pixels, each image standardised, framed and exposed anew each time,
                                             classes balanced, a schedule by steps, averaged weights

Real images get the recipe, synthetic phantoms the document's program. The document's network with framing follows the recipe.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinydx.datasets.copies import Copy, check_copies, keys_of
from tinydx.datasets.download import data_home
from tinydx.datasets.folders import labelled_files, match_classes, open_folders
from tinydx.datasets.medmnist import MedMNIST
from tinydx.datasets.owners import owned
from tinydx.datasets.phantom import CLASS_NAMES, VERSION, write_phantom_folders
from tinydx.datasets.study import SPLITS, Examples, Study, first_of_each, hold_out, progress
from tinydx.datasets.synthetic import MARKER
from tinydx.datasets.table_files import is_table, labelled_table_files, open_table_files
from tinydx.diagnosis.inputs import coarse_pictures, image_statistics
from tinydx.diagnosis.kind import Kind, Options, Plan, classification_loss, output_layer, parts_of
from tinydx.diagnosis.networks import linear_on_pixels, small_cnn
from tinydx.files import visible
from tinydx.layers import Activation, BatchNormalization, Conv2D, Dense, Flatten, GlobalAveragePooling2D, MaxPooling2D
from tinydx.layers.declared import expect_run
from tinydx.models import Sequential
from tinydx.optimizers import Adam
from tinydx.optimizers.schedules import CosineDecay
from tinydx.preprocessing.class_folders import check_each
from tinydx.preprocessing.decoding import is_image
from tinydx.preprocessing.files import (
    CHANNELS,
    EXTENSIONS,
    INTERPOLATIONS,
    check_choice,
    check_images,
    shared_white,
    text_in_pictures,
)
from tinydx.preprocessing.framing import BalancedIterator, Framing, recoloured, reframed, standardised
from tinydx.preprocessing.image import ImageDataGenerator, load_images
from tinydx.saving.header import expect_count, expect_list, expect_number
from tinydx.validation import near_duplicates

DOCUMENT_SIZE, SIZE = 150, 48  # pixels, of the document's program and of the recipe
STEPS, BATCH, EPOCHS = 700, 64, 10  # of the recipe; an epoch is a tenth of the steps, after which validation is shown
RATE, WARM_UP = 1e-3, 50  # learning rate, and the steps in which it rises from 0
BASELINE_SIZE = 32  # pixels, of the features of the baseline
WIDTHS = (16, 32, 64, 128)  # filters of the four blocks
SYNTHETIC = "Synthetic: drawn by a program, of no patient. Results on them say nothing about real X-rays."


class Change(NamedTuple):
    """A kind of change of `ImageKind.shifted`: its words, and the transforms among which each image gets one."""

    words: str
    transforms: tuple[dict[str, float], ...]


CHANGES = (
    Change(
        "framed differently",
        (
            {"window": 0.75, "aspect": 1.1, "down": -0.05, "right": 0.04, "rotation": 4.0},
            {"window": 0.85, "aspect": 0.87, "down": 0.06, "right": 0.0, "rotation": -6.0},
            {"window": 0.9, "aspect": 1.18, "down": 0.0, "right": -0.08, "rotation": 0.0},
            {"window": 0.95, "aspect": 0.85, "down": -0.08, "right": 0.05, "rotation": 6.0},
            {"window": 1.05, "aspect": 1.05, "down": 0.08, "right": -0.05, "rotation": -3.0},
            {"window": 1.1, "aspect": 0.95, "down": 0.0, "right": 0.08, "rotation": 2.0},
        ),
    ),
    Change(
        "exposed differently",
        (
            {"gamma": 0.65, "contrast": 1.1},
            {"gamma": 1.5, "contrast": 0.9},
            {"gamma": 0.8, "brightness": 0.08, "contrast": 1.2},
            {"gamma": 1.25, "brightness": -0.08, "contrast": 0.85},
        ),
    ),
    Change("blurred", ({"blur": 0.012}, {"blur": 0.018})),  # .8 and 1.2 pixels of 64
)


class ImageKind(Kind):
    """Images (H,W,3) as bytes."""

    noun = "images"
    endings = (*EXTENSIONS, ".npz")
    table_column = "image"
    network = "the document's CNN"
    networks = ("blocks", "document", "small", "linear")
    augmentations = ("framing", "document", "none")
    synthetic_title = "Diagnosis of chest phantoms"
    synthetic_notice = "a program drew these images, they show no patient, and results on real images will differ."
    synthetic_schedule = (8, 16)  # 128 batches: easier than real data
    features_name = "pixels (at most 32x32)"
    changes = tuple(change.words for change in CHANGES)
    copied = "equal, resized, flipped, slightly cropped, re-encoded or exposed anew"
    columns, panel_height = 6, 1.88

    def usual_size(self, path: str | Path | None, options: Options) -> int | None:
        """The document's 150 pixels for its program on a folder, else None: what `open_study` chooses."""
        synthetic = path is None or (Path(path) / MARKER).exists()
        document = is_document_program(*_network_and_augmentation(options, synthetic))
        return DOCUMENT_SIZE if document and (path is None or _npz(Path(path)) is None) else None

    def open_study(
        self,
        path: str | Path | None,
        *,
        size: int | None,
        limit: int | None,
        seed: int,
        patient: str | None = None,
        site: str | None = None,
    ) -> Study:
        return open_study(path, size=size, limit=limit, seed=seed, patient=patient, site=site)

    def plan(self, study: Study, options: Options) -> Plan:
        """The document's program as it stands, or the recipe; the recipe also sets how the study's images become inputs."""
        asked = super().plan(study, options)  # checks the names
        network, augment = _network_and_augmentation(options, study.synthetic)
        if is_document_program(network, augment):
            study.preprocessing = _reading(study.train.x.shape[1], study.preprocessing.get("white"))
            why = ("The document's program as it stands.", "The weights are those of the epoch with the lowest validation loss.")
            return asked._replace(network=network, augment=augment, why=why)
        grey = is_grey(study.train.x)
        reading = _reading(study.train.x.shape[1], study.preprocessing.get("white"))
        study.preprocessing = {**reading, "color_mode": "grayscale" if grey else "rgb"}
        if augment == "framing":
            study.preprocessing |= {"rescale": None, "standardise": True}
        batch = options.batch or BATCH
        epochs = options.epochs or EPOCHS
        usual = math.ceil(len(study.train.y) / batch) if options.epochs else math.ceil(STEPS / epochs)
        plan = Plan(network, augment, epochs, options.steps or usual, batch, weights="last")
        return plan._replace(why=reasons(study, plan))

    def describe_network(self, plan: Plan) -> str:
        return NETWORKS[plan.network].words

    def foresee(self, path: str | Path | None, size: int | None, options: Options) -> Study | None:
        if path is not None or size is None or not is_document_program(*_network_and_augmentation(options, synthetic=True)):
            return None
        count = options.batch or self.batch
        blank = Examples(np.zeros((count, size, size, 3), np.uint8), np.arange(count) % len(CLASS_NAMES))
        return Study("blank images", list(CLASS_NAMES), blank, blank, blank, True, [], _reading(size), "images", f"{size}x{size}")

    def build(self, study: Study, plan: Plan) -> Any:
        shape, classes = input_shape(study), len(study.class_names)
        if plan.weights == "best":
            return build_cnn(shape, classes)
        model = NETWORKS[plan.network].build(shape, classes)
        model.compile(optimizer(plan), classification_loss(classes), metrics=["accuracy"])
        return model

    def training_batches(self, study: Study, plan: Plan, seed: int) -> Any:
        x, how = in_its_colours(study.train.x, study.preprocessing), {"kind": "image", **study.preprocessing}
        if plan.weights == "best":
            return augmentation(plan.augment).flow(x, study.train.y, batch_size=plan.batch, seed=seed)
        epoch: dict[str, Any] = {"batch_size": plan.batch, "seed": seed, "steps": plan.steps}
        return BalancedIterator(x, study.train.y, recipe(plan.augment), **epoch, preprocessing=how)

    def plain_batches(self, study: Study, part: Examples, batch: int) -> Any:
        standardising = ImageDataGenerator(preprocessing_function=standardised)
        generator = standardising if study.preprocessing.get("standardise") else augmentation("none")
        return generator.flow(in_its_colours(part.x, study.preprocessing), part.y, batch_size=batch, shuffle=False)

    def shifted(self, study: Study, part: Examples, seed: int) -> Examples:
        """All images under each of CHANGES; which transform of the change an image gets, the seed draws."""
        rng, changed = np.random.default_rng(seed), []
        for change in CHANGES:
            for image, which in zip(part.x, rng.integers(len(change.transforms), size=len(part.x)), strict=True):
                transform = change.transforms[which]
                y = recoloured(reframed(image.astype(np.float32), transform), transform)
                changed.append(np.rint(np.clip(y, 0, 255)).astype(np.uint8))
        x = np.array(changed, np.uint8).reshape(-1, *part.x.shape[1:])
        files = None if part.files is None else part.files * len(CHANGES)
        return Examples(x, np.tile(part.y, len(CHANGES)), files)

    def copies(self, x: np.ndarray) -> list[tuple[int, int]]:
        return near_duplicates(x)

    def features(self, study: Study, part: Examples) -> np.ndarray:
        """The pixels of the image at 32x32 (or its own size if that is smaller), 0 to 1; in colour where training images are."""
        x = part.x[..., :1] if is_grey(study.train.x) else part.x
        return (_resized(x, min(BASELINE_SIZE, x.shape[1])) / np.float32(255)).reshape(len(x), -1).astype(np.float32)

    def check_reading(self, preprocessing: dict[str, Any], model: Any) -> None:
        height, width = (expect_count(n, "target_size") for n in expect_list(preprocessing["target_size"], "target_size"))
        check_choice("color_mode", preprocessing["color_mode"], CHANNELS)
        check_choice("interpolation", preprocessing["interpolation"], INTERPOLATIONS)
        if preprocessing["rescale"] is not None:
            expect_number(preprocessing["rescale"], "rescale")
        shape = (None, height, width, CHANNELS[preprocessing["color_mode"]])
        expect_run("its image", shape)
        model.check_input(shape)

    def reading(self, paths: Sequence[str]) -> dict[str, Any]:
        check_images(paths)
        return _reading(SIZE, shared_white(paths))

    def reads(self, path: str) -> bool:
        return is_image(path)

    def read(self, entry: str, preprocessing: dict[str, Any]) -> np.ndarray:
        x = np.rint(load_images([entry], {**preprocessing, "rescale": None}))  # training images were kept as bytes, too
        x = x * float(preprocessing.get("rescale") or 1)
        return standardised(x) if preprocessing.get("standardise") else x

    def open_labelled(
        self, path: str | Path, class_names: list[str], preprocessing: dict[str, Any], split: str | None = None
    ) -> Examples:
        if file := _npz(Path(path)):
            return _labelled_medmnist(file, class_names, preprocessing, split)
        if is_table(path):
            files = labelled_table_files(path, self.table_column, class_names, split)
        else:
            files = labelled_files(path, class_names, split)
        paths = [file for file, _ in files]
        check_images(paths)
        how = preprocessing if preprocessing.get("white") else {**preprocessing, "white": shared_white(paths)}
        with progress("Reading images", len(files)) as advance:
            return _read_images(files, how, advance)

    def statistics(self, part: Examples, preprocessing: dict[str, Any]) -> dict[str, np.ndarray]:
        return image_statistics(part.x, part.files)

    def example(self, entry: str, preprocessing: dict[str, Any]) -> Examples:
        return _read_images([(entry, 0)], preprocessing, lambda: None)

    def gist(self, part: Examples, preprocessing: dict[str, Any]) -> dict[str, np.ndarray]:
        return {**image_statistics(part.x), "rough layout": coarse_pictures(part.x)}

    def plot(self, axes: Any, example: Any) -> None:
        picture = np.asarray(example)
        if picture.ndim == 3 and picture.shape[2] == 1:
            picture = picture[..., 0]
        if picture.ndim != 2 and not (picture.ndim == 3 and picture.shape[2] == 3):
            raise ValueError(f"an image must be (H, W), (H, W, 1) or (H, W, 3), not {picture.shape}")
        bright = 255 if picture.dtype == np.uint8 or picture.max() > 1 else 1
        axes.imshow(np.clip(picture / bright, 0, 1), cmap="gray", vmin=0, vmax=1)


KIND = ImageKind()


# ---- the networks and their augmentation ---------------------------------------------------------------------------


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
    model.compile("adam", classification_loss(classes), metrics=["accuracy"])
    return model


def augmentation(how: str) -> ImageDataGenerator:
    """The document's augmentation, or only the rescaling.

    Arguments: how, "document" (its shear is in degrees) or "none".
    Returns: an ImageDataGenerator.

    >>> augmentation("none").rotation_range, augmentation("document").rotation_range
    (0.0, 20.0)
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


def is_document_program(network: str, augment: str) -> bool:
    """Whether these two mean the document's program as it stands, not the recipe.

    >>> is_document_program("document", "none"), is_document_program("document", "framing")
    (True, False)
    """
    return network == "document" and augment != "framing"


def _network_and_augmentation(options: Options, synthetic: bool) -> tuple[str, str]:
    """Those asked for; for the rest, the document's for synthetic images, and the recipe's for real ones."""
    network = options.network or ("document" if synthetic else "blocks")
    return network, options.augment or ("document" if synthetic and network == "document" else "framing")


def build_blocks(shape: tuple[int, ...], classes: int) -> Sequential:
    """The network of the recipe: four blocks of convolution, batch normalisation, ReLU and pooling, and the mean over all places.

    A block that sees fewer than six pixels does not pool, so that 28 pixels do as well as 64. The mean over all places has no
    weights that know a place: it matters less where in the frame something lies.

    Arguments: shape (H,W,C) of an image; classes, how many.
    Returns: the model, not compiled.
    Source: Ioffe and Szegedy 2015 (batch normalisation); Lin, Chen and Yan 2014 (global average pooling).

    >>> build_blocks((64, 64, 1), 2).count_params()
    98001
    """
    model, side = Sequential(name="diagnosis"), min(shape[:2])
    for k, width in enumerate(WIDTHS):
        first: Any = {"input_shape": shape} if k == 0 else {}
        model.add(Conv2D(width, 3, padding="same", use_bias=False, **first))
        model.add(BatchNormalization(momentum=0.9))
        model.add(Activation("relu"))
        if side >= 6:
            model.add(MaxPooling2D())
            side //= 2
    model.add(GlobalAveragePooling2D())
    model.add(output_layer(classes))
    return model


class Network(NamedTuple):
    """A network of `--network`: its words for the page, why one would take it, and the function that builds it."""

    words: str
    reason: str
    build: Callable[[tuple[int, ...], int], Sequential]


NETWORKS = {
    "blocks": Network(
        "four blocks of convolution, batch normalisation and pooling",
        "Four blocks of 3x3 convolution, batch normalisation and pooling, then a mean over all places: "
        "no dense weights that know places.",
        build_blocks,
    ),
    "document": Network("the document's CNN", "The document's network.", build_cnn),
    "small": Network(
        "a small CNN of three blocks",
        "Three narrow blocks of 3x3 convolution, batch normalisation and pooling, then a mean over all places.",
        small_cnn,
    ),
    "linear": Network("linear on pixels", "Linear on pixels: a weight for each pixel at about 32x32.", linear_on_pixels),
}


def optimizer(plan: Plan) -> Adam:
    """Adam for the recipe: the learning rate rises, then falls as a cosine; the weights are averaged over the last steps."""
    total = plan.epochs * (plan.steps or 1)
    warm = min(WARM_UP, total // 4)
    rate = CosineDecay(0.0, max(1, total - warm), warmup_target=RATE, warmup_steps=warm)
    return Adam(rate, use_ema=True, ema_momentum=1 - 1 / min(100, 1 + total // 7))


def recipe(augment: str) -> Any:
    """How training images are changed: "framing", with standardisation last, or the document's ways, with rescaling last.

    >>> recipe("document").rotation_range
    20.0
    """
    return Framing() if augment == "framing" else augmentation(augment)


def reasons(study: Study, plan: Plan) -> tuple[str, ...]:
    """The recipe in sentences, one for each step."""
    height, width, channels = input_shape(study)
    colours = "grey" if channels == 1 else "in colour"
    standardised = "standardise" in study.preprocessing
    augment = {
        "framing": "Each training image is framed anew (window 0.7 to 1.1, aspect, shift, rotation) and exposed anew (gamma, "
        "contrast, blur, noise), as other hospitals do. No flips: the heart is on the left.",
        "document": "The document's augmentation: rotation, shift, shear, zoom and flips.",
        "none": "No augmentation, as asked.",
    }[plan.augment]
    total = plan.epochs * (plan.steps or 1)
    return (
        f"Images of {height}x{width} pixels, {colours}"
        + (
            ", each with mean 0 and deviation 1, so that brightness as a whole says nothing."
            if standardised
            else ", from 0 to 1."
        ),
        NETWORKS[plan.network].reason,
        augment,
        f"{total} steps of {plan.batch} images, every class equally often, whatever its share of the data.",
        f"Adam, whose learning rate rises to {RATE:g} in the first steps and falls as a cosine to 0.",
        "The weights are the average over the last steps, not those of an epoch chosen on validation images: "
        "these come from the same source and say little about another.",
    )


# ---- the data ------------------------------------------------------------------------------------------------------


def open_study(
    path: str | Path | None,
    *,
    size: int | None = None,
    limit: int | None = None,
    seed: int = 0,
    patient: str | None = None,
    site: str | None = None,
) -> Study:
    """Images from any of the sources that the module lists.

    Arguments: path, None for phantoms; size in pixels (None: 48, or an .npz file's own; synthetic: 150); limit, at most how many
    images of each class and split (None: all); seed of the splits; patient and site, as in `owned`.
    Returns: the study.
    Raises: FileNotFoundError, which names the nearest folder that exists; ValueError for data that cannot be used.
    """
    if path is None:
        return _phantoms(size or DOCUMENT_SIZE, limit, seed)
    path = Path(path)
    if file := _npz(path):
        for option, value in (("--patient", patient), ("--site", site)):
            if value is not None:
                raise ValueError(f"{option} is for folders of files: {file} does not name its images")
        return _medmnist(file, size, limit, seed)
    if path.is_file() and not is_table(path):
        raise ValueError(
            f"{path} is neither a folder nor a table nor an .npz file: give a folder with one folder of images for each class"
        )
    return _folders(path, size or (DOCUMENT_SIZE if (path / MARKER).exists() else SIZE), limit, seed, patient, site)


def _npz(path: Path) -> Path | None:
    """The .npz file at a path, or the only one in the folder there; None for anything else."""
    if path.is_dir() and len(found := [file for file in visible(path) if file.suffix == ".npz"]) == 1:
        return found[0]
    return path if path.suffix == ".npz" else None


def _phantoms(size: int, limit: int | None, seed: int) -> Study:
    folder = data_home() / f"chest-phantoms-{size}-v{VERSION}"
    if not folder.exists():
        print(f"Making synthetic chest phantoms in {folder}, once ...", flush=True)
    write_phantom_folders(folder, size=size)
    return _folders(folder, size, limit, seed)


def _folders(path: Path, size: int, limit: int | None, seed: int, patient: str | None = None, site: str | None = None) -> Study:
    owners: dict[str, Any] | None = None
    if is_table(path):
        options: dict[str, Any] = {"seed": seed, "limit": limit, "patient": patient, "site": site}
        names, splits, notes, owners = open_table_files(path, "image", check=check_images, **options)
    else:
        names, splits, notes = open_folders(path, seed=seed, limit=limit, patient=patient)
    paths = [file for files in splits.values() for file, _ in files]
    if words := text_in_pictures(paths):
        notes.append(words)
    white = shared_white(paths)
    if white is not None:
        notes.append(f"images of more than 8 bits: 0 is black, {white} white")
    how = _reading(size, white)
    files = [file for k in SPLITS for file in splits[k]]  # in one go, so that an error names the bad files of all splits
    with progress("Reading images", len(files)) as advance:
        read = _read_images(files, how, advance)
    read = owned(read, str(path), patient, site) if owners is None else read._replace(**owners)
    train, val, test = parts_of(read, [len(splits[k]) for k in SPLITS])
    synthetic = (path / MARKER).exists()
    source = "synthetic chest phantoms" if synthetic else path.name or str(path)
    notes = [SYNTHETIC, *notes] if synthetic else notes
    return Study(source, names, train, val, test, synthetic, notes, how, "images", f"{size}x{size}")


def _reading(size: int, white: int | None = None) -> dict[str, Any]:
    """How an image file becomes an example, for `load_images`; white of images of more than 8 bits, if there are any."""
    how = {"target_size": [size, size], "color_mode": "rgb", "interpolation": "bilinear", "rescale": 1 / 255}
    return how if white is None else {**how, "white": white}


def _read_images(files: Sequence[tuple[str, int]], how: dict[str, Any], advance: Any) -> Examples:
    """All files of a split as bytes, read by several threads."""
    x = np.empty((len(files), *how["target_size"], 3), np.uint8)

    def read(i: int) -> None:
        x[i] = np.rint(load_images([files[i][0]], {**how, "rescale": None, "color_mode": "rgb"})[0])
        advance()

    with ThreadPoolExecutor() as pool:
        waiting = [pool.submit(read, i) for i in range(len(files))]
        check_each(waiting, Future.result)  # raises what the threads raised
    return Examples(x, np.array([k for _, k in files], np.int64), [f for f, _ in files])


def _medmnist(path: Path, size: int | None, limit: int | None, seed: int) -> Study:
    data = MedMNIST(path)
    size = size or data.size
    notes: list[str] = []
    splits = {k: data.load(k) for k in SPLITS if k in data.splits or k == "train"}
    notes += check_copies(
        [
            Copy(key, data.class_names[label], split, f"{split} {i}")
            for split, (x, y) in splits.items()
            for i, (key, label) in enumerate(zip(keys_of(x), y, strict=True))
        ]
    )
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
    return Examples(_resized(x, size), y)


def _resized(x: np.ndarray, size: int) -> np.ndarray:
    """Images (N,H,W,1 or 3) as bytes, resized to (size, size) if needed."""
    if x.shape[1:3] == (size, size):
        return x
    from PIL import Image

    pictures = (Image.fromarray(v[..., 0] if v.shape[2] == 1 else v) for v in x)
    resized = [np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR)) for picture in pictures]
    return np.array(resized, np.uint8).reshape(-1, size, size, x.shape[3])


# ---- colours -------------------------------------------------------------------------------------------------------


def is_grey(x: np.ndarray) -> bool:
    """Whether the three channels of images (N,H,W,3) are equal everywhere, so that one will do.

    >>> is_grey(np.zeros((2, 4, 4, 3)))
    True
    """
    return all((x[..., 0] == x[..., k]).all() for k in range(1, x.shape[-1]))


def input_shape(study: Study) -> tuple[int, int, int]:
    """The shape (H,W,C) of one input of the model."""
    height, width, _ = study.train.x.shape[1:]
    return height, width, 1 if study.preprocessing["color_mode"] == "grayscale" else 3


def in_its_colours(x: np.ndarray, preprocessing: dict[str, Any]) -> np.ndarray:
    """Images with the channels that the network takes.

    Arguments: x (N,H,W,3), bytes; preprocessing, the study's; for a network of grey images, coloured ones become their luminance.
    Returns: (N,H,W,C), bytes.

    >>> in_its_colours(np.zeros((2, 4, 4, 3), np.uint8), {"color_mode": "grayscale"}).shape
    (2, 4, 4, 1)
    """
    if preprocessing["color_mode"] != "grayscale":
        return x
    return x[..., :1] if is_grey(x) else np.rint(x @ np.array([[0.299], [0.587], [0.114]])).astype(np.uint8)
