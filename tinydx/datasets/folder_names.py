"""What a folder's name says: train, val or test, in any case and usual spelling, or nothing.

A name says a split where it holds one of SPLIT_WORDS, and beside it only words that say nothing (NEUTRAL, numbers) or that all
such names here share: Train, TESTING, val_images, chest_xray_train, train2017. "eval" is the test, or validation beside one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

SPLIT_WORDS = {
    "train": {"train", "training", "trn", "训练", "训练集", "训练数据"},
    "val": {"val", "valid", "validation", "validate", "dev", "devel", "development", "验证", "验证集", "验证数据"},
    "test": {"test", "testing", "tst", "holdout", "测试", "测试集", "测试数据"},
    "eval": {"eval", "evaluation"},
}
NEUTRAL = {
    "data", "dataset", "set", "images", "image", "imgs", "img", "pictures", "photos", "files", "samples", "examples", "folder",
    "dir", "folders", "new", "clean", "final", "full", "small", "augmented", "aug", "balanced",
    "all", "split", "raw", "original", "processed", "resized", "cropped", "x", "xray", "xrays", "ray", "rays", "audio", "sounds",
    "recordings", "wav", "texts", "png", "jpg", "jpeg", "dicom", "dcm",
}  # fmt: skip
COMPOUND = re.compile(
    r"\b(train(?:ing)?|val(?:id(?:ation)?)?|test(?:ing)?|dev|eval)(data|dataset|set|images?|imgs?|folder|split|val)\b"
)


def split_names(names: Iterable[str]) -> dict[str, str]:
    """Of some folders' names beside each other, those that say "train", "val" or "test", and which.

    >>> split_names(["Training", "chest", "Testing"]), split_names(["test_positive", "test_negative"])
    ({'Training': 'train', 'Testing': 'test'}, {})
    >>> split_names(["train", "dev", "eval"]), split_names(["train", "eval", "test"])
    ({'train': 'train', 'dev': 'val', 'eval': 'test'}, {'train': 'train', 'eval': 'val', 'test': 'test'})
    """
    known = set().union(*SPLIT_WORDS.values())
    marked = {name: words for name in names if (words := words_of(name)) & known}
    shared = set.intersection(*marked.values()) if len(marked) > 1 else set()
    found = {}
    for name, words in marked.items():
        said = {split for split, usual in SPLIT_WORDS.items() if words & usual}
        if said == {"train", "val"}:
            said = {"train"}
        if len(said) == 1 and all(w.isdigit() for w in words - known - NEUTRAL - shared):
            found[name] = said.pop()
    evaluated = "val" if "test" in found.values() else "test"
    return {name: evaluated if split == "eval" else split for name, split in found.items()}


def words_of(name: str) -> set[str]:
    """The words and numbers of a folder's name, in lower case: "valSet_2" gives val, set and 2."""
    if any(name.casefold() in usual for usual in SPLIT_WORDS.values()):  # even where its capitals make no words: tEST
        return {name.casefold()}
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", unicodedata.normalize("NFKC", name)).casefold().replace("_", " ")
    text = re.sub(r"\bh[eo]ld[- ]?out\b", "holdout", re.sub(r"\bground[- ]truth\b", "groundtruth", text))
    return set(re.findall(r"[^\W\d_]+|\d+", COMPOUND.sub(r"\1 \2", text)))


def says_nothing(name: str) -> bool:
    """Whether a folder's name holds numbers and words of NEUTRAL only."""
    return all(word in NEUTRAL or word.isdigit() for word in words_of(name))
