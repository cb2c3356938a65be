"""Texts: class folders of .txt files, or a table with the columns text and label; a bag of subwords.

    None             ICD-10-CM: the terms under each diagnosis, and the chapter of the book to which they belong
    FOLDER           FOLDER/CLASS/*.txt, or train/ val/ test/ of such folders
    FILE.csv, .tsv   a table with the columns text and label, split at random

The network takes the mean of the vectors of a text's words and pieces of words, then a softmax over the classes:

    ids (N,T) -> Embedding -> whole words dropped -> mean over T -> Dropout -> Dense(classes)

It knows no order beyond pairs of words. It learns in a minute, and recognises parts of words that it has never seen.
"""

from __future__ import annotations

import csv
import os
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinydx.datasets.folders import SHARES, labelled_files, match_classes, open_folders
from tinydx.datasets.study import SPLITS, Examples, Study, first_of_each, hold_out
from tinydx.datasets.terms import CHAPTERS, Term, icd10cm_diagnoses, icd10cm_terms, split_by_group
from tinydx.diagnosis.inputs import text_statistics
from tinydx.diagnosis.kind import Kind, Plan, classification_loss, output_layer
from tinydx.layers import Dropout, Embedding, GlobalAveragePooling1D
from tinydx.models import Sequential
from tinydx.optimizers import Adam
from tinydx.preprocessing.files import find_files
from tinydx.preprocessing.text import UNKNOWN, Codec, Subwords, pad_sequences
from tinydx.training import data

DEFAULT_SIZE = 160  # features (words, pairs, pieces) that are kept of a text; a diagnosis has about 100
LONGEST = 100_000  # characters of a text that are read


class TextKind(Kind):
    """Texts as str; the model's file stores their vocabulary."""

    noun = "texts"
    endings = (".txt", ".csv", ".tsv")
    network = "a bag of subwords"
    synthetic_title = synthetic_notice = ""  # there are no synthetic texts
    schedule = synthetic_schedule = (4, None)
    batch = 128
    columns, panel_height = 3, 1.5

    def open_study(self, path: str | Path | None, *, size: int | None, limit: int | None, seed: int) -> Study:
        if path is None:
            return _icd10cm(size or DEFAULT_SIZE, limit, seed)
        path = Path(path)
        read = open_table if path.suffix.lower() in (".csv", ".tsv") else _folders
        names, splits, notes = read(path, limit, seed)
        return _study(path.name, names, splits, notes, size or DEFAULT_SIZE)

    def build(self, study: Study, plan: Plan) -> Any:
        codec = Codec.from_config(study.preprocessing["codec"])
        return build_bag(len(codec), len(study.class_names))

    def training_batches(self, study: Study, plan: Plan, seed: int) -> Any:
        return data.batches(ids_of(study.train.x, study.preprocessing), study.train.y, batch_size=plan.batch, shuffle=True)

    def plain_batches(self, study: Study, part: Examples, batch: int) -> Any:
        return data.batches(ids_of(part.x, study.preprocessing), part.y, batch_size=batch)

    def read(self, entry: str, preprocessing: dict[str, Any]) -> np.ndarray:
        """A text, or the path of a .txt file. ValueError where no part of it occurred in training."""
        if entry.lower().endswith(".txt"):
            text = _read_file(entry)
        elif os.path.isfile(entry):  # also False for a text that is too long for a file name
            raise ValueError(f"{entry} is a file, but not a .txt file: this model reads a text, or a .txt file")
        else:
            text = entry
        shown = textwrap.shorten(entry, 60)
        if not text.strip():
            raise ValueError(f"{shown!r} is an empty text")
        ids = ids_of([text], preprocessing)
        if not ids.any():
            raise ValueError(f"{shown!r}: no word or part of a word occurred in training, so the model cannot classify it")
        return ids

    def open_labelled(
        self, path: str | Path, class_names: list[str], preprocessing: dict[str, Any], split: str | None = None
    ) -> Examples:
        path = Path(path)
        if path.suffix.lower() in (".csv", ".tsv"):
            if split:
                raise ValueError(f"{path} is a table, which has no {split} part: leave out --split")
            rows = _rows(path)
            labels = match_classes([label for _, label in rows], class_names, str(path))
            return _examples([(text, k) for (text, _), k in zip(rows, labels, strict=True)])
        files = labelled_files(path, class_names, split, _find_texts)
        _check_files([file for file, _ in files])
        return _examples([(_read_file(file), k) for file, k in files])

    def statistics(self, part: Examples, preprocessing: dict[str, Any]) -> dict[str, np.ndarray]:
        codec = Codec.from_config(preprocessing["codec"])
        return text_statistics(part.x, [codec.encode(text) for text in part.x], UNKNOWN)

    def plot(self, axes: Any, example: Any) -> None:
        words = textwrap.fill(textwrap.shorten(str(example), 150), 34)
        axes.text(0.03, 0.95, words, transform=axes.transAxes, va="top", fontsize=9)


KIND = TextKind()


def build_bag(vocabulary: int, classes: int, dimension: int = 64) -> Sequential:
    """The classifier of texts: the mean of the vectors of a text's tokens, and a softmax (or sigmoid) over the classes.

    Arguments: vocabulary, number of tokens; classes, how many; dimension of the vectors.
    Returns: the compiled model.

    >>> build_bag(1000, 22).count_params()
    65430
    """
    model = Sequential(
        [
            Embedding(vocabulary, dimension, mask_zero=True, input_shape=(None,)),
            Dropout(0.2, noise_shape=(None, None, 1)),  # drops whole tokens, so that no single one decides
            GlobalAveragePooling1D(),
            Dropout(0.3),
            output_layer(classes),
        ],
        name="diagnosis",
    )
    model.compile(Adam(0.002), classification_loss(classes), metrics=["accuracy"])
    return model


def learn_codec(texts: Sequence[str]) -> Codec:
    """The subwords that occur in these texts at least twice (at least once if there are fewer than 100 texts)."""
    return Codec.learn(Subwords(), texts, minimum=2 if len(texts) >= 100 else 1)


def ids_of(texts: Iterable[str], preprocessing: dict[str, Any]) -> np.ndarray:
    """The ids of the subwords of texts, without unknown ones.

    Arguments: texts; preprocessing, with "codec" and "size".
    Returns: int32 (N, size), padded or cut at the end.

    >>> codec = learn_codec(["leg pain", "leg wound"])
    >>> ids_of(["leg", ""], {"codec": codec.config(), "size": 3}).astype(bool)
    array([[ True,  True,  True],
           [False, False, False]])
    """
    codec = Codec.from_config(preprocessing["codec"])
    known = [[i for i in codec.encode(text) if i != UNKNOWN] for text in texts]
    return pad_sequences(known, preprocessing["size"], padding="post", truncating="post")


# ---- the data ------------------------------------------------------------------------------------------------------

Labelled = list[tuple[str, int]]  # (text, class number)


def _study(source: str, names: list[str], splits: dict[str, Labelled], notes: list[str], size: int) -> Study:
    """A study of labelled texts, with the vocabulary of its training texts."""
    parts = {split: _examples(splits[split]) for split in SPLITS}
    how = {"codec": learn_codec(list(parts["train"].x)).config(), "size": size}
    return Study(source, names, parts["train"], parts["val"], parts["test"], False, notes, how, "texts", f"{size} subwords")


def _examples(labelled: Labelled) -> Examples:
    """Labelled texts as arrays."""
    texts = np.empty(len(labelled), object)
    texts[:] = [text for text, _ in labelled]
    return Examples(texts, np.array([k for _, k in labelled], np.int64))


def _icd10cm(size: int, limit: int | None, seed: int) -> Study:
    """The study of ICD-10-CM's inclusion terms and chapters."""
    train, val, test, official = split_chapters(seed)
    names = CHAPTERS[:-1]
    labelled = lambda terms: [(t.text, names.index(t.chapter)) for t in terms if t.chapter in names]  # noqa: E731
    splits = {"train": labelled([*train, *train, *official]), "val": labelled(val), "test": labelled(test)}
    notes = [
        "split by the first three characters of the code: no category is in two splits",
        "train also has the official diagnoses of its categories, and its inclusion terms twice; val and test have"
        " inclusion terms only",
        f"without the chapter {CHAPTERS[-1]!r}, which has only three categories",
    ]
    return _study("ICD-10-CM inclusion terms", names, {k: _limited(v, limit) for k, v in splits.items()}, notes, size)


def split_chapters(seed: int) -> tuple[list[Term], list[Term], list[Term], list[Term]]:
    """(train, val, test) inclusion terms of ICD-10-CM by category, and the official diagnoses of train's categories."""
    parts = split_by_group(icd10cm_terms(), lambda term: term.category, [0.2, 0.1], seed)
    held_out = {term.category for part in parts[1:] for term in part}
    official = [term for term in icd10cm_diagnoses() if term.category not in held_out]
    return parts[0], parts[2], parts[1], official


def _limited(texts: Labelled, limit: int | None) -> Labelled:
    rows = np.arange(len(texts))
    kept, _ = first_of_each(rows, np.array([k for _, k in texts]), limit)
    return [texts[i] for i in kept]


def _folders(path: Path, limit: int | None, seed: int) -> tuple[list[str], dict[str, Labelled], list[str]]:
    """Class folders of .txt files."""
    if path.is_file():
        raise ValueError(f"{path} is not a table (.csv, .tsv): give one, or one folder of .txt files for each class")
    names, files, notes = open_folders(path, seed=seed, limit=limit, noun="texts", find=_find_texts, check=_check_files)
    return names, {k: [(_read_file(file), c) for file, c in files[k]] for k in SPLITS}, notes


def _find_texts(folder: Any) -> dict[str, list[str]]:
    return find_files(folder, (".txt",), "texts")


def _check_files(paths: Sequence[str]) -> None:
    """ValueError that names the first empty file."""
    for path in paths:
        if not _read_file(path).strip():
            raise ValueError(f"{path} is empty: write a text into it, or delete it")


def _read_file(path: str) -> str:
    """The first 100,000 characters of a UTF-8 file."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            return file.read(LONGEST)
    except FileNotFoundError:
        raise FileNotFoundError(f"no text file {path}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text (byte {error.start}): save it as UTF-8") from None


def open_table(path: Path, limit: int | None, seed: int) -> tuple[list[str], dict[str, Labelled], list[str]]:
    """A table with the columns text and label, split into parts; rows with the same text stay together.

    Arguments: path of a .csv or .tsv file; limit, at most how many texts of each class and split (None: all); seed of the split.
    Returns: (class names, {"train", "val", "test"}: [(text, class number)], notes on what was done).
    Raises: FileNotFoundError; ValueError for a table that cannot be used, which names the row or column.
    """
    rows = _rows(path)
    names = sorted({label for _, label in rows})
    if len(names) < 2:
        raise ValueError(f"{path} holds one class only, {names[0]!r}: a diagnosis needs at least two labels")
    texts = np.array([text for text, _ in rows], object)
    unique, first = np.unique(texts.astype(str), return_index=True)
    x, y = texts[np.sort(first)], np.array([names.index(rows[i][1]) for i in np.sort(first)])
    (x, y), test = hold_out(x, y, SHARES["test"], seed)
    train, val = hold_out(x, y, SHARES["val"], seed)
    if len(np.unique(train[1])) < len(names):
        raise ValueError(f"{path} has too few texts of one label to set some aside: give at least 3 of each")
    labelled = lambda part: [(str(text), int(k)) for text, k in zip(*part, strict=True)]  # noqa: E731
    splits = {"train": labelled(train), "val": labelled(val), "test": labelled(test)}
    notes = [f"split text by text: {len(val[1])} for validation, {len(test[1])} for the test"]
    if len(unique) < len(rows):
        notes.append(f"{len(rows) - len(unique)} rows repeat the text of another row and were left out")
    return names, {k: _limited(part, limit) for k, part in splits.items()}, notes


def _rows(path: Path) -> list[tuple[str, str]]:
    """(text, label) of a table's rows; ValueError that names the row where one is missing."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ","))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is not a UTF-8 table: {error}") from None
    for column in ("text", "label"):
        if not rows or column not in rows[0]:
            raise ValueError(f"{path} has no column {column!r}: expected a header with the columns text and label")
    for number, row in enumerate(rows, start=2):
        for column in ("text", "label"):
            if not (row[column] or "").strip():
                raise ValueError(f"{path}, row {number}: the {column} is empty")
    return [(row["text"][:LONGEST], row["label"].strip()) for row in rows]
