"""Texts: class folders of .txt files, or a table with a column of texts and one of labels; a bag of words or of subwords.

    None             ICD-10-CM: the terms under each diagnosis, and the chapter of the book to which they belong
    FOLDER           FOLDER/CLASS/*.txt, or train/ val/ test/ of such folders
    FILE.csv, .tsv   a table, split at random; its columns may have any of the usual names, such as text and label
    FOLDER           FOLDER/train.csv, with or without val.csv and test.csv

The network takes the mean of the vectors of a text's tokens, then a softmax over the classes:

    ids (N,T) -> Embedding -> whole tokens dropped -> mean over T -> Dropout -> Dense(classes)

The training texts decide what a token is and how much of a text is read (`choose_reading`), and how long and how fast the network
learns (`Schedule`). Short texts are read as subwords, which include parts of words that training has never seen.
"""

from __future__ import annotations

import os
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinydx.datasets.copies import Copy, check_copies
from tinydx.datasets.folder_names import split_names
from tinydx.datasets.folders import SHARES, labelled_files, match_classes, open_folders, set_aside
from tinydx.datasets.owners import owned
from tinydx.datasets.patients import Owner, shared
from tinydx.datasets.study import SPLITS, Examples, Study, first_of_each, hold_out, joined
from tinydx.datasets.table import LABEL_COLUMNS, LONGEST, PATIENT_COLUMNS, ROLES, SITE_COLUMNS, TABLES, TEXT_COLUMNS
from tinydx.datasets.tables import Table, has_columns, read_table
from tinydx.datasets.terms import CHAPTERS, Term, icd10cm_diagnoses, icd10cm_terms, split_by_group
from tinydx.diagnosis.inputs import text_statistics
from tinydx.diagnosis.kind import Kind, Options, Plan, classification_loss, output_layer, parts_of
from tinydx.diagnosis.networks import linear_on_tokens, lstm
from tinydx.layers import Dropout, Embedding, GlobalAveragePooling1D
from tinydx.layers.declared import expect_run
from tinydx.models import Sequential
from tinydx.optimizers import Adam
from tinydx.preprocessing.class_folders import check_each, find_files
from tinydx.preprocessing.text import UNKNOWN, Codec, Subwords, Vocabulary, Words, pad_sequences
from tinydx.preprocessing.text.files import read_text
from tinydx.preprocessing.text.vocabulary import SPECIAL
from tinydx.saving.header import expect_count
from tinydx.training import data

MOST = 512  # tokens that are kept of a text
SHORT = 32  # words: where the median text has fewer, texts are read as subwords
FEW = 4000  # training texts: below, batches are small and steps large
LEAST = 600  # steps of the optimizer
PASSES = 4  # over the training texts, at least
# the networks of --network beside the usual one, "mean"
OTHER_NETWORKS: dict[str, Callable[..., Sequential]] = {"linear": linear_on_tokens, "lstm": lstm}
LSTM_TOKENS = 128  # of a text that an LSTM reads
COLUMNS, CELLS = 20_000, 200_000_000  # the most columns, and columns times texts, of the baseline's TF-IDF: 800 MB


class Schedule(NamedTuple):
    """How a network learns: steps of the optimizer, examples in each, learning rate, and how often it is validated."""

    updates: int
    batch: int
    rate: float
    epochs: int = 12

    @classmethod
    def of(cls, texts: int) -> Schedule:
        """The schedule for that many training texts: at least 600 steps, however few texts there are.

        >>> Schedule.of(1000)
        Schedule(updates=600, batch=32, rate=0.01, epochs=12)
        >>> Schedule.of(36000)
        Schedule(updates=1128, batch=128, rate=0.005, epochs=12)
        """
        if texts < FEW:
            return cls(LEAST, 32, 0.01)
        return cls(max(LEAST, PASSES * -(-texts // 128)), 128, 0.005)


class TextKind(Kind):
    """Texts as str; the model's file stores their vocabulary."""

    noun = "texts"
    endings = (".txt", ".csv", ".tsv")
    table_column = "text"
    network = "a bag of words"
    networks = ("mean", "linear", "lstm")
    synthetic_title = synthetic_notice = ""  # there are no synthetic texts
    copied = "equal but for capitals and spaces"
    columns, panel_height = 3, 1.5
    features_name = "TF-IDF of words and pairs"

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
        if path is None:
            return _icd10cm(size, limit, seed)
        path = Path(path)
        if path.suffix.lower() not in TABLES and not _tables_in(path):
            return _folders(path, size, limit, seed, patient, site)
        names, splits, notes, rows = open_table(path, limit, seed, patient, site)
        return _study(path.name, names, splits, notes, size, rows)

    def learn_reading(self, study: Study) -> Study:
        """The vocabulary comes from the training texts; how much of a text is read stays as it is."""
        train, size = study.train, study.preprocessing["size"]
        return replace(study, preprocessing=choose_reading(list(train.x), train.y.tolist(), size))

    def plan(self, study: Study, options: Options) -> Plan:
        plan = super().plan(study, options)
        schedule = Schedule.of(len(study.train.y))
        batch = options.batch or schedule.batch
        epochs, steps = options.epochs or schedule.epochs, options.steps
        if steps is None and options.epochs is None:
            steps = -(-schedule.updates // epochs)
        median = np.median([len(Words().tokenize(text)) for text in study.train.x])
        asked = options.epochs or options.steps
        length = "" if asked else f", {schedule.updates} of them: {LEAST} or {PASSES} passes, whichever is more"
        why: tuple[str, ...] = (
            f"read as {study.form}: the median text has {median:.0f} words; below {SHORT} words, the parts of new words count",
            f"steps of {batch} texts at learning rate {schedule.rate:g} for {len(study.train.y)} training texts{length}",
            "the epoch with the lowest validation loss is kept",
        )
        if plan.network == "lstm" and study.preprocessing["size"] > LSTM_TOKENS:
            study.preprocessing = {**study.preprocessing, "size": LSTM_TOKENS}
            why = (*why, f"an LSTM takes a step for each token, so that it reads the first {LSTM_TOKENS} only")
        if plan.network in OTHER_NETWORKS:
            return plan._replace(batch=batch, epochs=epochs, steps=steps, why=why)
        return plan._replace(network=f"a bag of {unit(study.preprocessing)}", batch=batch, epochs=epochs, steps=steps, why=why)

    def describe_network(self, plan: Plan) -> str:
        return {"linear": "a weight for each token and class", "lstm": "an LSTM"}.get(plan.network, plan.network)

    def build(self, study: Study, plan: Plan) -> Any:
        codec = Codec.from_config(study.preprocessing["codec"])
        if plan.network in OTHER_NETWORKS:
            return OTHER_NETWORKS[plan.network](len(codec), len(study.class_names))
        return build_bag(len(codec), len(study.class_names), rate=Schedule.of(len(study.train.y)).rate)

    def training_batches(self, study: Study, plan: Plan, seed: int) -> Any:
        return data.batches(ids_of(study.train.x, study.preprocessing), study.train.y, batch_size=plan.batch, shuffle=True)

    def plain_batches(self, study: Study, part: Examples, batch: int) -> Any:
        return data.batches(ids_of(part.x, study.preprocessing), part.y, batch_size=batch)

    def copies(self, x: np.ndarray) -> list[tuple[int, int]]:
        return super().copies(np.array([" ".join(text.casefold().split()) for text in x], object))

    def features(self, study: Study, part: Examples) -> np.ndarray:
        """TF-IDF of the words and pairs of words that occur in at least two training texts; the most frequent up to `COLUMNS`."""
        train = list(study.train.x)
        return TfIdf(train, min(COLUMNS, CELLS // len(train))).transform(list(part.x))

    def check_reading(self, preprocessing: dict[str, Any], model: Any) -> None:
        size = expect_count(preprocessing["size"], "size")
        expect_run("its text", (None, size))
        words = len(Codec.from_config(preprocessing["codec"]))
        for layer in model.all_layers():
            if isinstance(layer, Embedding) and layer.input_dim < words:
                raise ValueError(f"its vocabulary has {words} tokens, the model {layer.input_dim} vectors")
        model.check_input((None, size))

    def reads(self, path: str) -> bool:
        return path.lower().endswith(".txt")

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

    def parts(self, entry: str, preprocessing: dict[str, Any]) -> list[str]:
        """The tokens that the model reads, in their order."""
        codec = Codec.from_config(preprocessing["codec"])
        return [codec.vocabulary.tokens[i] for i in self.read(entry, preprocessing)[0].tolist() if i]

    def open_labelled(
        self, path: str | Path, class_names: list[str], preprocessing: dict[str, Any], split: str | None = None
    ) -> Examples:
        path = Path(path)
        tables = _tables_in(path) if path.is_dir() else {"all": path} if path.suffix.lower() in TABLES else {}
        if tables:
            rows = [row for name in tables if split in (None, name) or name == "all" for row in _rows(tables[name])[0]]
            if "all" in tables and split:
                rows = [row for row in rows if row.split == split]
            if split and not rows:
                raise ValueError(f"{path} has no {split} {'rows' if 'all' in tables else 'table'}: leave out --split")
            labels = match_classes([row.label for row in rows], class_names, str(path))
            return _examples([(row.text, k) for row, k in zip(rows, labels, strict=True)])
        files = labelled_files(path, class_names, split, _find_texts)
        _check_files([file for file, _ in files])
        return _examples([(_read_file(file), k) for file, k in files])

    def statistics(self, part: Examples, preprocessing: dict[str, Any]) -> dict[str, np.ndarray]:
        codec = Codec.from_config(preprocessing["codec"])
        return text_statistics(part.x, [codec.encode(text) for text in part.x], UNKNOWN)

    def example(self, entry: str, preprocessing: dict[str, Any]) -> Examples:
        return _examples([(_read_file(entry) if entry.lower().endswith(".txt") else entry, 0)])

    def gist(self, part: Examples, preprocessing: dict[str, Any]) -> dict[str, np.ndarray]:
        """Of a long text a small share of unknown words is a surer sign than of a short one, hence the root of the length."""
        found = self.statistics(part, preprocessing)
        words = np.array([max(1, len(text.split())) for text in part.x], np.float64)
        unknown = found["unknown"] * np.sqrt(words)
        return {"number of words": np.log(words), "unknown words": unknown, **{k: found[k] for k in ("word length", "digits")}}

    def plot(self, axes: Any, example: Any) -> None:
        inches = axes.get_window_extent().width / axes.figure.dpi
        across = min(34, max(12, int(16 * inches)))  # letters in a line, at 9 points
        words = textwrap.fill(textwrap.shorten(str(example), min(150, 8 * across)), across)
        axes.text(0.03, 0.95, words, transform=axes.transAxes, va="top", fontsize=9)


KIND = TextKind()


def build_bag(
    vocabulary: int, classes: int, dimension: int = 64, rate: float = 0.002
) -> Sequential:
    """The classifier of texts: the mean of the vectors of a text's tokens, and a softmax (or sigmoid) over the classes.

    Arguments: vocabulary, number of tokens; classes, how many; dimension of the vectors; rate of learning.
    Returns: the compiled model.

    >>> build_bag(1000, 22).count_params()
    65430
    """
    model = Sequential(
        [
            Embedding(vocabulary, dimension, mask_zero=True, input_shape=(None,)),
            Dropout(0.2, noise_shape=(None, None, 1)),  # drops whole tokens
            GlobalAveragePooling1D(),
            Dropout(0.3),
            output_layer(classes),
        ],
        name="diagnosis",
    )
    model.compile(Adam(rate), classification_loss(classes), metrics=["accuracy"])
    return model


def choose_reading(texts: Sequence[str], labels: Sequence[int], size: int | None = None) -> dict[str, Any]:
    """How texts become ids: as subwords where the median text has fewer than `SHORT` words, else as words.

    A short text has no word to spare, so that the parts of a new word count. Of a long text most words are known, and the mean of
    its words is mostly one of "the", "of" and the like: words of more than half of the texts of every class are left out.

    Arguments: texts of the training; labels, their class numbers; size, how many tokens of a text are kept (None: all tokens of
    95 % of these texts, but at most `MOST`).
    Returns: {"codec", "size"} for `ids_of`.

    >>> reading = choose_reading(["leg pain", "leg wound"], [0, 1])
    >>> reading["codec"]["tokenizer"]["kind"], reading["size"]
    ('subwords', 21)
    """
    words = [Words().tokenize(text) for text in texts]
    if np.median([len(said) for said in words]) < SHORT:
        codec = learn_codec(texts)
    else:
        codec = learn_codec(texts, Words())
        everywhere = _common(words, labels)
        telling = [w for w in codec.vocabulary.tokens[len(SPECIAL) :] if w[0].isalnum() and w not in everywhere]
        codec = Codec(Words(), Vocabulary(telling))
    if size is None:
        lengths = [sum(i != UNKNOWN for i in codec.encode(text)) for text in texts]
        size = int(np.clip(np.ceil(np.percentile(lengths, 95)), 1, MOST))
    return {"codec": codec.config(), "size": size}


def _common(words: Sequence[Sequence[str]], labels: Sequence[int]) -> set[str]:
    """The words of more than half of the texts of every class."""
    y, found = np.asarray(labels), []
    for k in np.unique(y):
        rows = np.flatnonzero(y == k)
        counts = Counter(word for i in rows.tolist() for word in set(words[i]))
        found.append({word for word, n in counts.items() if n > len(rows) / 2})
    return set.intersection(*found)


def learn_codec(texts: Sequence[str], tokenizer: Any = None) -> Codec:
    """The tokens that occur in these texts at least twice (at least once if there are fewer than 100 texts).

    Arguments: texts; tokenizer (None: Subwords()).
    """
    return Codec.learn(tokenizer or Subwords(), texts, minimum=2 if len(texts) >= 100 else 1)


def unit(preprocessing: dict[str, Any]) -> str:
    """What the tokens of a reading are: "words" or "subwords"."""
    return preprocessing["codec"]["tokenizer"]["kind"]


def ids_of(texts: Iterable[str], preprocessing: dict[str, Any]) -> np.ndarray:
    """The ids of the tokens of texts, without unknown ones.

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


class TfIdf:
    """The baseline's numbers: how often each word and each pair of neighbouring words occurs, rare ones weighing more.

    The entry of a term that occurs n times in a text and in m of the N training texts is n (1 + ln((1 + N) / (1 + m))); each
    text's vector is scaled to length 1. These are scikit-learn's numbers.

    Arguments: texts of the training; columns, the most terms: those of the most texts, and of at least two (one if there are
    fewer than 100 texts).

    >>> tfidf = TfIdf(["leg pain", "leg wound"], columns=3)
    >>> tfidf.terms, tfidf.transform(["leg wound", "fever"]).any(axis=1).tolist()
    (['leg', 'leg pain', 'leg wound'], [True, False])
    """

    def __init__(self, texts: Sequence[str], columns: int):
        found = Counter(term for text in texts for term in set(self._terms_of(text)))
        least = 2 if len(texts) >= 100 else 1
        self.terms = sorted((t for t, m in found.items() if m >= least), key=lambda t: (-found[t], t))[:columns]
        self.column = {term: j for j, term in enumerate(self.terms)}
        self.idf = 1 + np.log((1 + len(texts)) / (1 + np.array([found[t] for t in self.terms], float)))

    @staticmethod
    def _terms_of(text: str) -> list[str]:
        words = [word for word in Words().tokenize(text) if word[0].isalnum()]
        return words + [f"{a} {b}" for a, b in pairwise(words)]

    def transform(self, texts: Sequence[str]) -> np.ndarray:
        """The vectors of texts (N): float32 (N, terms)."""
        x = np.zeros((len(texts), len(self.terms)), np.float32)
        for row, text in zip(x, texts, strict=True):
            counts = Counter(j for term in self._terms_of(text) if (j := self.column.get(term)) is not None)
            columns = list(counts)
            weights = np.array(list(counts.values())) * self.idf[columns]
            row[columns] = weights / max(float(np.linalg.norm(weights)), 1e-12)
        return x


# ---- the data ------------------------------------------------------------------------------------------------------

Labelled = list[tuple[str, int]]  # (text, class number)


class Row(NamedTuple):
    """A row of a table; patient, site and split are "" where it has no such column."""

    text: str
    label: str
    patient: str = ""
    site: str = ""
    split: str = ""


def _study(
    source: str,
    names: list[str],
    splits: dict[str, Labelled],
    notes: list[str],
    size: int | None,
    rows: dict[str, Row] | None = None,
) -> Study:
    """A study of labelled texts, with the vocabulary of its training texts; rows of a table say whose each text is."""
    parts = {split: _with_columns(_examples(splits[split]), rows or {}) for split in SPLITS}
    how = choose_reading(list(parts["train"].x), parts["train"].y.tolist(), size)
    form = f"{how['size']} {unit(how)}"
    return Study(source, names, parts["train"], parts["val"], parts["test"], False, notes, how, "texts", form)


def _examples(labelled: Labelled) -> Examples:
    """Labelled texts as arrays."""
    return Examples(_as_array([text for text, _ in labelled]), np.array([k for _, k in labelled], np.int64))


def _with_columns(part: Examples, rows: dict[str, Row]) -> Examples:
    """Texts of a table with the columns patient and site of their rows, where it has them."""
    if any(row.patient for row in rows.values()):
        part = part._replace(patient=_as_array([rows[text].patient for text in part.x]))
    if any(row.site for row in rows.values()):
        part = part._replace(site=_as_array([rows[text].site for text in part.x]))
    return part


def _as_array(texts: Sequence[str]) -> np.ndarray:
    """Texts as an array of objects (N,)."""
    array = np.empty(len(texts), object)
    array[:] = texts
    return array


def _icd10cm(size: int | None, limit: int | None, seed: int) -> Study:
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


def _folders(path: Path, size: int | None, limit: int | None, seed: int, patient: str | None, site: str | None) -> Study:
    """The study of class folders of .txt files."""
    if path.is_file():
        raise ValueError(f"{path} is not a table (.csv, .tsv): give one, or one folder of .txt files for each class")
    texts: dict[str, Any] = {"noun": "texts", "find": _find_texts, "check": _check_files}
    names, files, notes = open_folders(path, seed=seed, limit=limit, patient=patient, **texts)
    study = _study(path.name, names, {k: [(_read_file(file), c) for file, c in files[k]] for k in SPLITS}, notes, size)
    whole = joined([getattr(study, k) for k in SPLITS])._replace(files=[file for k in SPLITS for file, _ in files[k]])
    train, val, test = parts_of(owned(whole, str(path), patient, site), [len(files[k]) for k in SPLITS])
    return replace(study, train=train, val=val, test=test)


def _find_texts(folder: Any, classes: Sequence[str] | None = None) -> dict[str, list[str]]:
    return find_files(folder, (".txt",), "texts", classes)


def _check_files(paths: Sequence[str]) -> None:
    """ValueError that names the files that are empty or no text."""

    def check(path: str) -> None:
        if not _read_file(path).strip():
            raise ValueError(f"{path} is empty: write a text into it, or delete it")

    check_each(paths, check)


def _read_file(path: str) -> str:
    """The first 100,000 characters of a file."""
    return read_text(path, LONGEST)


def open_table(
    path: Path, limit: int | None, seed: int, patient: str | None = None, site: str | None = None
) -> tuple[list[str], dict[str, Labelled], list[str], dict[str, Row]]:
    """A table with a column of texts and one of labels, split into parts; or a folder of tables named train, val and test.

    Rows with the same text stay together: the second one is left out. With a column of patients, all texts of a patient are in
    one of the parts that are made here.

    Arguments: path of a .csv or .tsv file, or of the folder; limit, at most how many texts of each class and split (None: all);
    seed of the splits that are made here; patient, site, names of columns (None: the usual ones, where there are such).
    Returns: (class names, {"train", "val", "test"}: [(text, class number)], notes on what was done, the row of each text).
    Raises: FileNotFoundError; ValueError for a table that cannot be used, which names the row or column.
    """
    tables = _tables_in(path) if path.is_dir() else {"train": path}
    order = [split for split in ("test", "val", "train") if split in tables]
    read: dict[str, tuple[list[Row], list[str]]] = {split: _rows(tables[split], patient, site) for split in order}
    names = sorted({row.label for row in read["train"][0]})
    if len(names) < 2:
        raise ValueError(f"{path} holds one class only, {names[0]!r}: a diagnosis needs at least two labels")
    lines = [Copy(r.text, r.label, r.split, f"{tables[k].name} row {i}") for k in read for i, r in enumerate(read[k][0], 2)]
    if any(row.split for row in read["train"][0]):
        tables, read = _by_column(path, read["train"])
    notes, kept_rows = [*read["train"][1], *check_copies(lines, "texts")], dict[str, Row]()
    parts: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for split, (rows, _) in read.items():  # the test first: a text that is in two splits is left out of training
        if unknown := sorted({row.label for row in rows} - set(names)):
            raise ValueError(f"{tables[split]} has the label {unknown[0]!r}, but training has {', '.join(names)}")
        first = {row.text: row for row in reversed(rows) if row.text not in kept_rows}
        kept = [text for text in dict.fromkeys(row.text for row in rows) if text in first]
        if len(kept) < len(rows):
            notes.append(f"{len(rows) - len(kept)} rows repeat the text of another row and were left out")
        kept_rows |= first
        parts[split] = _as_array(kept), np.array([names.index(first[text].label) for text in kept])
    owners = {split: {text: Owner(kept_rows[text].patient or None, "patient") for text in x} for split, (x, _) in parts.items()}
    notes += shared(owners, "texts")
    unit, made = "patient" if any(row.patient for row in kept_rows.values()) else "text", list[str]()
    for split in ("test", "val"):
        if split not in parts:
            (x, y), share = parts["train"], SHARES[split]
            if unit == "text":
                parts["train"], parts[split] = hold_out(x, y, share, seed)
            else:
                parts["train"], parts[split] = _patients_aside(x, y, share, seed, names, kept_rows)
            made.insert(0, f"{len(parts[split][1])} for {'the test' if split == 'test' else 'validation'}")
    if made:
        notes.append(f"split {unit} by {unit}: {', '.join(made)}")
    if len(np.unique(parts["train"][1])) < len(names):
        raise ValueError(f"{path} has too few texts of one label to set some aside: give at least 3 of each")
    labelled = lambda part: [(str(text), int(k)) for text, k in zip(*part, strict=True)]  # noqa: E731
    return names, {k: _limited(labelled(parts[k]), limit) for k in SPLITS}, notes, kept_rows


def _by_column(path: Path, read: tuple[list[Row], list[str]]) -> tuple[dict[str, Path], dict[str, tuple[list[Row], list[str]]]]:
    """The rows of one table by its column split, the test first; missing parts are left to be drawn."""
    rows, notes = read
    parts: dict[str, Any] = {split: ([row for row in rows if row.split == split], notes) for split in ("test", "val", "train")}
    if not parts["train"][0]:
        raise ValueError(f"{path}, column 'split': no row says train; write it into the rows that are to be learnt from")
    parts = {split: part for split, part in parts.items() if part[0]}
    return dict.fromkeys(parts, path), parts


def _patients_aside(x: np.ndarray, y: np.ndarray, share: float, seed: int, names: list[str], rows: dict[str, Row]) -> Any:
    """`hold_out` for texts (N,), all of a patient on one side."""
    number: dict[str, int] = {}
    group = {text: number.setdefault(rows[text].patient, len(number)) for text in x}
    parts = set_aside([(str(text), int(k)) for text, k in zip(x, y, strict=True)], share, seed, group, names)
    return tuple((_as_array([text for text, _ in part]), np.array([k for _, k in part], np.int64)) for part in parts)


def _tables_in(folder: Path) -> dict[str, Path]:
    """The tables of a folder by their split; empty unless one is named train."""
    tables = [file for file in folder.iterdir() if file.suffix.lower() in TABLES] if folder.is_dir() else []
    files = {file.stem: file for file in sorted(tables, reverse=True)}  # of a.csv and a.tsv the first
    found: dict[str, Path] = {}
    for stem, split in split_names(sorted(files, key=lambda stem: (len(stem), stem))).items():
        if split in found:
            raise ValueError(f"{found[split]} and {files[stem]} both are {split} tables: put them together")
        found[split] = files[stem]
    return found if "train" in found else {}


def _rows(path: Path, patient: str | None = None, site: str | None = None) -> tuple[list[Row], list[str]]:
    """A table's rows, and a note on columns with other names; ValueError names the line where a text or label is missing."""
    table = read_table(path, has_columns(TEXT_COLUMNS, LABEL_COLUMNS))
    if not table.rows:
        raise ValueError(f"{path} has no rows: expected a header with the columns text and label, then one text a row")
    text, label = (_column(table, known) for known in (TEXT_COLUMNS, LABEL_COLUMNS))
    for number, row in enumerate(table.rows, start=2):
        for column in (text, label):
            if not row.fields[column].strip():
                where = f"{path}, line {row.line}, row {number}"
                raise ValueError(f"{where}: the {table.header[column].strip()} is empty")
    _check_spelling(path, [(row.line, row.fields[label].strip()) for row in table.rows])
    names = table.header[text], table.header[label]
    notes = [] if names == ("text", "label") else [f"texts are in the column {names[0]!r}, labels in {names[1]!r}"]
    patients = _owners(table, patient, PATIENT_COLUMNS, each=True)
    sites = _owners(table, site, SITE_COLUMNS, each=False)
    columns_of = zip(table.rows, patients, sites, _splits(table), strict=True)
    return [Row(row.fields[text][:LONGEST], row.fields[label].strip(), *columns) for row, *columns in columns_of], notes


def _splits(table: Table) -> list[str]:
    """The column split, "" of every row where there is none."""
    if (column := table.find(ROLES["split"])) is None:
        return [""] * len(table.rows)
    words = [row.fields[column].strip() for row in table.rows]
    known = split_names(set(words))
    for row, word in zip(table.rows, words, strict=True):
        if word not in known:
            raise ValueError(f"{table.path}, line {row.line}, column 'split': {word!r} is no split: write train, val or test")
    return [known[word] for word in words]


def _owners(table: Table, name: str | None, known: Sequence[str], each: bool) -> list[str]:
    """The column of patients or sites, "" of every row where there is none.

    Arguments: name that the user gives (None: one of the known names, where there is one); each, whether an empty field is one
    of its own (False: it makes the column useless, which is an error where the user named it).
    """
    column = table.find(known) if name is None else _column(table, [name])
    if column is None:
        return [""] * len(table.rows)
    values = [row.fields[column].strip() for row in table.rows]
    if each:
        return [value or f"line {row.line}" for value, row in zip(values, table.rows, strict=True)]
    if "" in values and name is not None:
        raise ValueError(f"{table.path}, line {table.rows[values.index('')].line}: the {name} is empty")
    return [""] * len(values) if "" in values else values


def _check_spelling(path: Path, labels: Iterable[tuple[int, str]]) -> None:
    """ValueError for two labels that differ only in capitals or spaces, which names a line of each."""
    first: dict[str, tuple[int, str]] = {}
    for line, label in labels:
        before, known = first.setdefault("".join(label.casefold().split()), (line, label))
        if known != label:
            raise ValueError(f"{path}: the label {label!r} in line {line} is {known!r} in line {before}: write them alike")


def _column(table: Table, known: Sequence[str]) -> int:
    """The column of the first known name, in any case; ValueError that lists the table's columns."""
    if (column := table.find(known)) is None:
        held = ", ".join(map(repr, table.header))
        raise ValueError(f"{table.path} has no column {known[0]!r}: its columns are {held}; rename one of them")
    return column
