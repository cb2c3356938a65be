"""MedMNIST: small medical images in one .npz file, {train,val,test}_images (N,H,W[,3]) and _labels (N,1), all uint8.

`SETS` describes the twelve 2-D sets of MedMNIST v2: it gives the class names of a file, and the checksum of a download. The
file's name tells which set it is. Reading never unpickles anything, so that a file from the internet cannot run code, and
compares what a header promises with the bytes that are there before it makes room for it.
"""

from __future__ import annotations

import lzma
import math
import os
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinydx.datasets.study import SPLITS

ARRAYS = ("classes", *(f"{split}_{what}" for split in SPLITS for what in ("images", "labels")))
HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
    (3, 0): np.lib.format.read_array_header_2_0,  # the same, in UTF-8
}
BOMB_SIZE, BOMB_FACTOR = 2**28, 100  # bytes, and times the file's size, above which a file is a bomb
CITATION = "Yang et al., MedMNIST v2, Scientific Data 10:41 (2023)"


class Known(NamedTuple):
    """A published set: its task, class names in the order of the labels, number of images, the file's MD5 and licence.

    MedMNIST publishes MD5 only; sha256 stands where others have published it.
    """

    task: str
    class_names: tuple[str, ...]
    images: int
    md5: str
    licence: str = "CC BY 4.0"
    sha256: str = ""

    @property
    def most_bytes(self) -> int:
        """A bound on the size of the file: its images in colour, 16 bytes of labels for each, and a megabyte."""
        return self.images * (28 * 28 * 3 + 16) + 2**20


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split("; "))


_ORGANS = _names(
    "bladder; left femur; right femur; heart; left kidney; right kidney; liver; left lung; right lung; pancreas; spleen"
)
_BLOOD = _names("basophil; eosinophil; erythroblast; immature granulocyte; lymphocyte; monocyte; neutrophil; platelet")
_CHEST = _names(
    "atelectasis; cardiomegaly; effusion; infiltration; mass; nodule; pneumonia; pneumothorax; consolidation; edema; "
    "emphysema; fibrosis; pleural thickening; hernia"
)
_COLON = _names(
    "adipose; background; debris; lymphocytes; mucus; smooth muscle; normal colon mucosa; cancer-associated stroma; "
    "colorectal adenocarcinoma epithelium"
)
_KIDNEY = _names(
    "collecting duct, connecting tubule; distal convoluted tubule; glomerular endothelial cells; "
    "interstitial endothelial cells; leukocytes; podocytes; proximal tubule segments; thick ascending limb"
)
_RETINA = _names("choroidal neovascularization; diabetic macular edema; drusen; normal")
_SKIN = _names("actinic keratosis; basal cell carcinoma; benign keratosis; dermatofibroma; melanoma; nevus; vascular lesion")

# Facts of the package medmnist 3.0.2, for 28x28 pixels
SETS = {
    "pathmnist": Known("multi-class", _COLON, 107_180, "a8b06965200029087d5bd730944a56c1"),
    "chestmnist": Known("multi-label", _CHEST, 112_120, "02c8a6516a18b556561a56cbdd36c4a8"),
    "dermamnist": Known("multi-class", _SKIN, 10_015, "0744692d530f8e62ec473284d019b0c7", "CC BY-NC 4.0"),
    "octmnist": Known("multi-class", _RETINA, 109_309, "c68d92d5b585d8d81f7112f81e2d0842"),
    "pneumoniamnist": Known(
        "binary",
        ("normal", "pneumonia"),
        5_856,
        "28209eda62fecd6e6a2d98b1501bb15f",
        sha256="e1792d3f03751cb101e99f19a63b3c1941436c988665f47853417b05be250cd8",  # in TensorFlow Datasets
    ),
    "retinamnist": Known(
        "ordinal", _names("grade 0; grade 1; grade 2; grade 3; grade 4"), 1_600, "bd4c0672f1bba3e3a89f0e4e876791e4"
    ),
    "breastmnist": Known("binary", ("malignant", "normal or benign"), 780, "750601b1f35ba3300ea97c75c52ff8f6"),
    "bloodmnist": Known("multi-class", _BLOOD, 17_092, "7053d0359d879ad8a5505303e11de1dc"),
    "tissuemnist": Known("multi-class", _KIDNEY, 236_386, "ebe78ee8b05294063de985d821c1c34b"),
    "organamnist": Known("multi-class", _ORGANS, 58_830, "68e3f8846a6bd62f0c9bf841c0d9eacc"),
    "organcmnist": Known("multi-class", _ORGANS, 23_583, "b9ceb9546e10131b32923c5bbeaea2b1"),
    "organsmnist": Known("multi-class", _ORGANS, 25_211, "9ab87b696fb54e2a387ebe992d6ed5f1"),
}


class MedMNIST:
    """One MedMNIST file, read and checked as a whole.

    Attributes: name of the set (or of the file); class_names, in the order of the labels; splits, those present; size, an image's
    height in pixels.

    Arguments: path of the .npz file.
    Raises: FileNotFoundError; ValueError for another file.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp(), "breastmnist.npz")
    >>> images, labels = np.zeros((2, 28, 28), np.uint8), np.array([[0], [1]], np.uint8)
    >>> np.savez(file, train_images=images, train_labels=labels)
    >>> data = MedMNIST(file)
    >>> data.name, data.splits, data.size, data.class_names
    ('breastmnist', ('train',), 28, ['malignant', 'normal or benign'])
    >>> data.load("train")[1]
    array([0, 1])
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        flag = next((flag for flag in SETS if flag in self.path.name.lower()), None)
        self.name = flag or self.path.stem
        arrays = _read(self.path)
        self.splits = tuple(split for split in SPLITS if f"{split}_images" in arrays)
        if not self.splits:
            with zipfile.ZipFile(self.path) as archive:
                held = ", ".join(name.removesuffix(".npy") for name in archive.namelist()) or "nothing"
            raise ValueError(f"{self.path} is not a MedMNIST file: it needs train_images ..., but holds {held}")
        self._data = {split: _checked(self.path, split, arrays) for split in self.splits}
        shapes = {images.shape[1:] for images, _ in self._data.values()}
        if len(shapes) > 1:
            raise ValueError(f"{self.path}: its splits have images of different shapes, {shapes}")
        self.size: int = shapes.pop()[0]
        self.class_names = self._names(flag, arrays)

    def _names(self, flag: str | None, arrays: dict[str, np.ndarray]) -> list[str]:
        """The published class names, else the file's own array `classes`, else "class 0", "class 1" ..."""
        classes = 1 + max(int(labels.max()) for _, labels in self._data.values())
        if not flag and classes > (images := sum(len(labels) for _, labels in self._data.values())):
            raise ValueError(f"{self.path}: label {classes - 1} is out of range: {images} images cannot have {classes} classes")
        if flag:
            names = list(SETS[flag].class_names)
        elif "classes" in arrays:
            names = [str(name) for name in np.ravel(arrays["classes"])]
            if len(set(names)) < len(names):
                raise ValueError(f"{self.path}: its array classes names a class twice: {', '.join(names)}")
        else:
            names = [f"class {k}" for k in range(classes)]
        if classes > len(names):
            raise ValueError(f"{self.path}: label {classes - 1} is out of range, {self.name} has {len(names)} classes")
        return names

    def load(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Images and labels of a split.

        Arguments: split, "train", "val" or "test".
        Returns: images uint8 (N,H,W) or (N,H,W,3), labels int64 (N,).
        Raises: ValueError if the file lacks the split.
        """
        if split not in self._data:
            raise ValueError(f"{self.path} has no {split!r} split: it has {', '.join(self.splits)}")
        return self._data[split]


def _read(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz file; nothing is unpickled."""
    if not path.is_file():
        nearest = next(parent for parent in path.absolute().parents if parent.is_dir())
        raise FileNotFoundError(f"no file {path}; the nearest folder that exists is {nearest}")
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is not an .npz file (a zip of arrays), or its end is missing: fetch it again")
    name = "its list of arrays"
    try:
        with zipfile.ZipFile(path) as archive:
            _check_bomb(path, archive)
            arrays = {}
            for member in archive.infolist():
                name = member.filename.removesuffix(".npy")
                if name in ARRAYS:
                    arrays[name] = _array(path, archive, member)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError) as error:  # RuntimeError: a password
        raise ValueError(f"{path} is damaged: cannot read {name} ({error}); fetch it again") from error
    return arrays


def _check_bomb(path: Path, archive: zipfile.ZipFile) -> None:
    """ValueError for a file that would grow beyond measure."""
    size, inflated = path.stat().st_size, sum(member.file_size for member in archive.infolist())
    if inflated > BOMB_SIZE and inflated > BOMB_FACTOR * size:
        raise ValueError(f"{path} would grow from {size:,} to {inflated:,} bytes, which no set of images does: it is not read")


def _array(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """One array; ValueError unless its header says what its bytes are."""
    name, there = member.filename, member.file_size
    with archive.open(member) as file:
        try:
            version = np.lib.format.read_magic(file)
            shape, _, dtype = HEADERS[version](file)
        except Exception as error:  # of NumPy, and of Python's parser, which NumPy asks
            raise ValueError(f"{path} is damaged: {name} has no readable header; fetch it again") from error
        promised, there = math.prod(shape) * dtype.itemsize, there - file.tell()
    if dtype.hasobject:
        raise ValueError(f"{path}: {name.removesuffix('.npy')} is not a plain array, so it is not read (it holds Python objects)")
    if promised != there or min(shape, default=0) < 0:
        raise ValueError(f"{path} is damaged: {name} promises {promised:,} bytes, {there:,} are there; fetch it again")
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _checked(path: Path, split: str, arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of a split; ValueError if they do not fit."""
    images, labels = arrays[f"{split}_images"], arrays.get(f"{split}_labels")
    where = f"{path}: {split}_images"
    if labels is None:
        raise ValueError(f"{path} has {split}_images but no {split}_labels")
    if images.dtype != np.uint8:
        raise ValueError(f"{where} are {images.dtype}, expected uint8 (0 to 255)")
    if 0 in images.shape[1:] or (images.ndim != 3 and not (images.ndim == 4 and images.shape[3] == 3)):
        raise ValueError(f"{where} have shape {images.shape}, expected 2-D images, (N, H, W) or (N, H, W, 3)")
    if labels.ndim == 0 or len(images) != len(labels) or len(images) == 0:
        raise ValueError(f"{where}: {len(images)} images, but {len(np.atleast_1d(labels))} labels")
    if labels.size != len(labels):
        each = labels.size // len(labels)
        raise ValueError(f"{path}: {each} labels for each image; tinydx reads sets with one label for each image")
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"{path}: {split}_labels must be class numbers, got {labels.dtype}")
    if labels.min() < 0:
        raise ValueError(f"{path}: {split}_labels must be class numbers, got {labels.dtype} from {labels.min()}")
    if int(labels.max()) >= 2**31:
        raise ValueError(f"{path}: {split}_labels: label {labels.max()} is out of range, it is no class number")
    return images, labels.reshape(len(labels)).astype(np.int64)
