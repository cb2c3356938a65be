"""A study as a table: a row for each example, its files, texts, numbers and words in columns, and whose it is.

    read_study_table(path)       every row checked; a problem is one line: file, line, column, what to do
    check_training(table)        what of it a model can learn from: columns without use are left out, columns that tell the label
                                 are warned of first
    split_rows(table, names)     the rows of train, val and test: by the column split, else drawn patient by patient

Columns with one of the names in `ROLES`, in any case, are files, texts, or whose a row is. Every other column holds numbers, if
any of its cells is one (`cells.py`), else words, which are categories. An image or a sound is the path of a file, relative to
the table's folder; a text is the path of a .txt file where it ends in .txt, else the words themselves. An empty cell says that
nothing is known, and a row may lack some of its modalities, but not all.

Tables are read by Python's csv (`tables.py`): what pandas adds, guesses of types and of missing words, would hide the mistakes
that are to be found here.
"""

from __future__ import annotations

import difflib
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from tinydx.datasets.cells import ERROR, MISSING_NUMBER, is_missing, is_number_column, read_numbers
from tinydx.datasets.classes import check_class_names
from tinydx.datasets.folder_names import split_names
from tinydx.datasets.folders import SHARES, set_aside
from tinydx.datasets.study import SPLITS
from tinydx.datasets.tables import plain, read_table
from tinydx.preprocessing.text.files import read_text
from tinydx.suggestions import did_you_mean

TABLES = (".csv", ".tsv")  # endings
LONGEST = 100_000  # characters of a text that are read

TEXT_COLUMNS = (
    "text", "texts", "abstract", "medical_abstract", "description", "transcription", "note", "notes", "report", "sentence",
    "symptoms", "symptom", "question", "content", "document", "dialogue", "message", "title", "name", "term",
)  # fmt: skip
LABEL_COLUMNS = (
    "label", "labels", "class", "category", "condition", "condition_label", "diagnosis", "disease", "prognosis", "target",
    "specialty", "medical_specialty", "section_header", "chapter", "y",
)  # fmt: skip
PATIENT_COLUMNS = ("patient", "patient_id", "patientid", "subject", "subject_id")
SITE_COLUMNS = ("site", "hospital", "centre", "center")
ROLES = {
    "label": LABEL_COLUMNS,
    "patient": PATIENT_COLUMNS,
    "site": SITE_COLUMNS,
    "split": ("split", "subset"),
    "id": ("id", "row_id", "record", "record_id", "case", "case_id"),
    "image": ("image", "images", "image_path", "image_file", "picture"),
    "sound": ("sound", "sounds", "sound_path", "sound_file", "recording", "audio"),
    "text": TEXT_COLUMNS[:-3],  # a title, a name or a term is what a row is called
}
MODALITIES = ("image", "sound", "text", "table")
RARE, OFTEN = 3, 5  # a label with fewer rows than RARE is a mistake where another, OFTEN times as frequent, is spelt much alike

Words = list[str | None]


@dataclass(frozen=True)
class StudyTable:
    """The rows of a table, each column with one cell a row; None, and NaN, where nothing is known.

    Attributes: path; lines, the number of each row's first line in the file; label, patient, site, split ("train", "val",
    "test"), id, None without such a column; images, sounds, paths of files; texts; numbers, float64 (N,) of each name;
    categories, words of each name; notes on what was unusual and read nevertheless; others, columns that a model does not read.
    """

    path: Path
    lines: list[int]
    label: list[str] | None
    patient: list[str] | None
    site: list[str] | None
    split: list[str] | None
    id: list[str] | None
    images: Words | None
    sounds: Words | None
    texts: Words | None
    numbers: dict[str, np.ndarray]
    categories: dict[str, Words]
    notes: list[str]
    others: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Those of "image", "sound", "text" and "table" that have a column."""
        held = (self.images, self.sounds, self.texts, self.numbers or self.categories or None)
        return tuple(name for name, column in zip(MODALITIES, held, strict=True) if column is not None)

    @property
    def columns(self) -> list[str]:
        """The names of the columns of numbers, then of those of categories."""
        return [*self.numbers, *self.categories]

    def take(self, rows: Sequence[int] | np.ndarray) -> StudyTable:
        """The table of these rows: their numbers, or a mask."""
        chosen = np.arange(len(self))[np.asarray(rows)].tolist()

        def some(column: Any) -> Any:
            return None if column is None else [column[i] for i in chosen]

        lists = ("lines", "label", "patient", "site", "split", "id", "images", "sounds", "texts")
        return replace(
            self,
            **{name: some(getattr(self, name)) for name in lists},
            numbers={name: column[chosen] for name, column in self.numbers.items()},
            categories={name: some(column) for name, column in self.categories.items()},
        )

    def without(self, columns: Sequence[str]) -> StudyTable:
        """The table without some columns of numbers or categories."""
        return replace(
            self,
            numbers={name: column for name, column in self.numbers.items() if name not in columns},
            categories={name: column for name, column in self.categories.items() if name not in columns},
        )

    def row_name(self, i: int) -> str:
        """What a row is called: "patients.csv, line 7 (p12)"; without an id only its line."""
        return f"{self.path.name}, line {self.lines[i]}" + ("" if self.id is None else f" ({self.id[i]})")

    def where(self, i: int, column: str) -> str:
        """The beginning of a message about a cell."""
        return f"{self.path}, line {self.lines[i]}, column {column!r}"


class Row(str):
    """The numbers and words of one row: as text for people, "age 63, sex f"; as cells for a model. None where nothing is known.

    Arguments: cells, by the name of their column.

    >>> row = Row({"age": 63.0, "sex": None})
    >>> print(row, row.cells["age"])
    age 63, sex unknown 63.0
    """

    cells: dict[str, float | str | None]

    def __new__(cls, cells: Mapping[str, float | str | None]) -> Row:
        row = super().__new__(cls, ", ".join(f"{name} {_said(value)}" for name, value in cells.items()))
        row.cells = dict(cells)
        return row

    def __reduce__(self) -> tuple[Any, ...]:
        return Row, (self.cells,)


def _said(value: float | str | None) -> str:
    """A cell in a row's text: all digits, so that different rows have different texts."""
    return "unknown" if value is None else value if isinstance(value, str) else repr(float(value)).removesuffix(".0")


class Entry(str):
    """A row that `tinydx predict` answers for: its name, such as "patients.csv, line 7", and what its modalities hold.

    Arguments: name; row, its numbers and words (None: it has none); image, sound, paths of files, and text (None: it has none).
    """

    row: Row | None
    image: str | None
    sound: str | None
    text: str | None

    def __new__(
        cls, name: str, *, row: Row | None = None, image: str | None = None, sound: str | None = None, text: str | None = None
    ) -> Entry:
        entry = super().__new__(cls, name)
        entry.row, entry.image, entry.sound, entry.text = row, image, sound, text
        return entry


def rows_of(table: StudyTable) -> list[Row]:
    """The numbers and words of each row of a table."""
    numbers = {name: [None if np.isnan(v) else float(v) for v in column] for name, column in table.numbers.items()}
    columns: dict[str, Any] = {**numbers, **table.categories}
    return [Row({name: column[i] for name, column in columns.items()}) for i in range(len(table))]


def entries_of(table: StudyTable) -> list[Entry]:
    """The rows of a table, for `tinydx predict`."""

    def cell(column: Words | None, i: int) -> str | None:
        return None if column is None else column[i]

    rows = rows_of(table)
    return [
        Entry(
            table.row_name(i),
            row=row if row.cells else None,
            image=cell(table.images, i),
            sound=cell(table.sounds, i),
            text=cell(table.texts, i),
        )
        for i, row in enumerate(rows)
    ]


# ---- reading -------------------------------------------------------------------------------------------------------


def read_study_table(
    path: str | Path,
    *,
    patient: str | None = None,
    site: str | None = None,
    label: bool = True,
    known: Mapping[str, str] | None = None,
) -> StudyTable:
    """Read and check a study's table.

    Arguments: path of a .csv or .tsv file; patient, site, names of columns (None: the usual ones, where there are such); label,
    whether every row must have one (False: the table is read for prediction, and its labels are not looked at); known, for a
    model's columns whether each is of "number" or "category" (None: their cells tell); others are then left unread.
    Returns: the table; columns of numbers or categories without any cell are left out, which a note says.
    Raises: FileNotFoundError; ValueError in one line with the file, line and column of the first cell of a kind that is wrong,
    and the number of the others.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp(), "patients.csv")
    >>> _ = file.write_text("patient,age,sex,label\\n7,63,f,ill\\n8,,m,well\\n")
    >>> table = read_study_table(file)
    >>> table.numbers, table.categories, table.modalities, table.lines
    ({'age': array([63., nan])}, {'sex': ['f', 'm']}, ('table',), [2, 3])
    """
    return _Reader(Path(path), {"patient": patient, "site": site}, label, known).read()


class _Reader:
    """The columns of one table, by their roles."""

    def __init__(self, path: Path, given: Mapping[str, str | None], label: bool, known: Mapping[str, str] | None):
        fits = lambda header: any(plain(name) in LABEL_COLUMNS for name in header) if label else len(header) > 1  # noqa: E731
        self.path, self.known, self.table = path, known, read_table(path, fits)
        spelt = {plain(name): name for name in known or {}}  # a model's columns count in any case, too
        self.header = [spelt.get(plain(name), " ".join(name.split())) for name in self.table.header]
        self.lines = [row.line for row in self.table.rows]
        self.notes = list(self.table.notes)
        self._check_header()
        self.roles = {role: self._column_of(role, given.get(role)) for role in ROLES}
        if label and self.roles["label"] is None:
            near = difflib.get_close_matches("label", [plain(name) for name in self.header], 1, 0.6)
            do = f"is {near[0]!r} meant?" if near else "rename the column that holds the diagnosis"
            raise ValueError(f"{path} has no column 'label': its columns are {', '.join(map(repr, self.header))}; {do}")
        self.wants_label = label

    def read(self) -> StudyTable:
        """The checked table."""
        label = self._labels() if self.wants_label else None
        patient, ids = self._words("patient"), self._words("id")
        split, site = self._splits(), self._sites()
        self._check_ids(ids)
        numbers, categories = self._features()
        files = {role: self._files(role) for role in ("image", "sound")}
        known_patient = None if patient is None else [w or f"line {n}" for w, n in zip(patient, self.lines, strict=True)]
        known_ids = None if ids is None else [w or "" for w in ids]
        table = StudyTable(
            self.path, self.lines, label, known_patient, site, split, known_ids,
            files["image"], files["sound"], self._texts(), numbers, categories, self.notes, self._others(),
        )  # fmt: skip
        self._check_rows(table)
        return table

    # -- the header

    def _check_header(self) -> None:
        """Columns with different names, and rows below them."""
        if not self.table.rows:
            raise ValueError(f"{self.path} has no rows: expected a header, then one example a row")
        first: dict[str, str] = {}
        for number, name in enumerate(self.header, 1):
            if not name and not self.counts(number - 1):
                raise ValueError(f"{self.path}: column {number} has no name in the header: name it, or delete it")
            if (other := first.setdefault(plain(name), name)) != name or self.header.count(name) > 1:
                raise ValueError(f"{self.path} has two columns named {other!r} in any case: rename one of them")

    def counts(self, column: int) -> bool:
        """Whether a column counts the rows, from any number on."""
        cells = [row.fields[column].strip() for row in self.table.rows]
        if not all(c.isdecimal() and len(c) < 16 for c in cells):
            return False
        return [int(c) - int(cells[0]) for c in cells] == list(range(len(cells)))

    def _column_of(self, role: str, given: str | None) -> int | None:
        """The column of a role, by the name that the user gives or by the usual ones."""
        names = {plain(name): i for i, name in enumerate(self.header) if name not in (self.known or {})}
        if given is not None:
            if plain(given) not in names:
                raise ValueError(f"{self.path} has no column {given!r}: its columns are {', '.join(map(repr, self.header))}")
            return names[plain(given)]
        found = (names[name] for name in ROLES[role] if name in names)
        if role == "text":  # a column of answers in numbers, such as symptoms, is no text
            found = (column for column in found if not is_number_column(self.cells(column)))
        return next(found, None)

    # -- columns

    def cells(self, column: int) -> list[str]:
        """The cells of a column, with single spaces."""
        return [" ".join(row.fields[column].split()) for row in self.table.rows]

    def _words(self, role: str) -> Words | None:
        """The words of a role's column, None for empty cells; None without such a column."""
        if (column := self.roles[role]) is None:
            return None
        cells = self.cells(column)
        self._refuse(column, [bool(ERROR.fullmatch(cell)) for cell in cells], "is an error of a spreadsheet", "correct it")
        return [None if is_missing(cell) else cell for cell in cells]

    def _labels(self) -> list[str]:
        column, words = self.roles["label"], self._words("label")
        assert column is not None and words is not None
        self._refuse(column, [word is None for word in words], "is no label", "write the diagnosis, or delete the row")
        label = [word or "" for word in words]
        first: dict[str, int] = {}
        for i, word in enumerate(label):
            j = first.setdefault("".join(word.casefold().split()), i)
            if label[j] != word:
                where = f"{self.path}, line {self.lines[i]}, column {self.header[column]!r}"
                raise ValueError(f"{where}: the label {word!r} is {label[j]!r} in line {self.lines[j]}: write them alike")
        return label

    def _splits(self) -> list[str] | None:
        column, words = self.roles["split"], self._words("split")
        if words is None or column is None:
            return None
        said = split_names({word for word in words if word})
        known = [said.get(word) if word else None for word in words]
        self._refuse(column, [split is None for split in known], "is no split", "write train, val or test")
        return [split or "" for split in known]

    def _sites(self) -> list[str] | None:
        column, words = self.roles["site"], self._words("site")
        if words is None or column is None:
            return None
        self._refuse(column, [word is None for word in words], "is no site", "write where the row comes from, or unknown")
        return [word or "" for word in words]

    def _check_ids(self, ids: Words | None) -> None:
        first: dict[str, int] = {}
        column = self.roles["id"]
        for i, word in enumerate(ids or []):
            if word is not None and column is not None and (j := first.setdefault(word, i)) != i:
                where = f"{self.path}, line {self.lines[i]}, column {self.header[column]!r}"
                raise ValueError(f"{where}: {word!r} is in line {self.lines[j]}, too: an id has one row; delete or rename one")

    def _features(self) -> tuple[dict[str, np.ndarray], dict[str, Words]]:
        """The columns of numbers and those of categories: all that have no role."""
        numbers: dict[str, np.ndarray] = {}
        categories: dict[str, Words] = {}
        for column, name in enumerate(self.header):
            if column in self.roles.values() or (self.known is not None and name not in self.known):
                continue
            cells = self.cells(column)
            errors = [bool(ERROR.fullmatch(cell)) for cell in cells]
            self._refuse(column, errors, "is an error of a spreadsheet", "correct it, or leave it empty")
            if not name:
                self.notes.append("the column without a name counts the rows: left out")
            elif self.known is None and all(is_missing(cell, MISSING_NUMBER) for cell in cells):
                self.notes.append(f"the column {name!r} is empty: left out")
            elif (self.known or {}).get(name, "number" if is_number_column(cells) else "category") == "number":
                numbers[name] = self._numbers(column, cells)
            else:
                categories[name] = self._categories(name, cells)
        return numbers, categories

    def _others(self) -> tuple[str, ...]:
        """The columns without a role that a model does not read."""
        known = self.header if self.known is None else self.known
        return tuple(name for i, name in enumerate(self.header) if name not in known and i not in self.roles.values())

    def _numbers(self, column: int, cells: list[str]) -> np.ndarray:
        found = read_numbers(cells)
        if isinstance(found, np.ndarray):
            self._note_missing(self.header[column], cells)
            return found
        raise self._error(column, found.row, found.what, found.do, found.more)

    def _note_missing(self, name: str, cells: list[str]) -> None:
        """Which words were read as missing."""
        words = Counter(cell for cell in cells if cell and is_missing(cell, MISSING_NUMBER))
        if words:
            self.notes.append(f"column {name!r}: {', '.join(f'{word!r} ({n})' for word, n in words.items())} read as missing")

    def _categories(self, name: str, cells: list[str]) -> Words:
        """Words; those that differ in case only become the most frequent of them, which a note says."""
        count = Counter(cell for cell in cells if not is_missing(cell))
        usual: dict[str, str] = {}
        for word in sorted(count, key=lambda word: (-count[word], word)):
            usual.setdefault(word.casefold(), word)
        if changed := [word for word in count if usual[word.casefold()] != word]:
            self.notes.append(
                f"column {name!r}: {changed[0]!r} read as {usual[changed[0].casefold()]!r}, which differs in case only"
            )
        return [None if is_missing(cell) else usual[cell.casefold()] for cell in cells]

    def _files(self, role: str) -> Words | None:
        """The paths of a column of files that exist."""
        column, words = self.roles[role], self._words(role)
        if words is None or column is None:
            return None
        paths = [None if word is None else os.path.join(self.path.parent, word) for word in words]
        wrong = [path is not None and not os.path.isfile(path) for path in paths]
        if any(wrong):
            first = paths[wrong.index(True)] or ""
            self._refuse(column, wrong, *_no_file(first, self.path.parent))
        if any(word is not None and os.path.isabs(word) for word in words):
            self.notes.append(f"column {self.header[column]!r}: absolute paths, which other computers do not have")
        return [None if path is None else str(Path(path)) for path in paths]

    def _texts(self) -> Words | None:
        """The words of a column of texts, or those of the .txt files that it names."""
        if (column := self.roles["text"]) is None:
            return None
        cells = [row.fields[column].strip() for row in self.table.rows]
        paths = [os.path.join(self.path.parent, cell) if cell.lower().endswith(".txt") else None for cell in cells]
        wrong = [path is not None and not os.path.isfile(path) for path in paths]
        if any(wrong):
            self._refuse(column, wrong, *_no_file(paths[wrong.index(True)] or "", self.path.parent))
        texts: Words = []
        for i, (cell, path) in enumerate(zip(cells, paths, strict=True)):
            try:
                text = cell[:LONGEST] if path is None else read_text(path, LONGEST)
            except (OSError, ValueError) as error:
                raise self._error(column, i, f"cannot be read ({error})", "correct the file", 0) from None
            if path is not None and not text.strip():
                raise self._error(column, i, "is an empty file", "write a text into it, or leave the cell empty", 0)
            texts.append(None if is_missing(text) else text)
        return texts

    # -- messages

    def _refuse(self, column: int, wrong: Sequence[bool], what: str, do: str) -> None:
        """ValueError for the first cell of a column that is wrong, and the number of the others."""
        if any(wrong):
            raise self._error(column, list(wrong).index(True), what, do, sum(wrong) - 1)

    def _error(self, column: int, row: int, what: str, do: str, more: int) -> ValueError:
        cell = self.table.rows[row].fields[column].strip()
        shown = repr(cell if len(cell) < 80 else cell[:77] + "...") if cell else "an empty cell"
        others = f" ({more} more such row{'s' if more > 1 else ''})" if more else ""
        where = f"{self.path}, line {self.lines[row]}, column {self.header[column]!r}"
        return ValueError(f"{where}: {shown} {what}: {do}{others}")

    def _check_rows(self, table: StudyTable) -> None:
        """Each row has something to learn from; each patient is in one split."""
        if not table.modalities and self.known is None:
            raise ValueError(f"{self.path} has no column to learn from: expected image, sound, text, numbers or categories")
        held = [column for column in (table.images, table.sounds, table.texts, *table.categories.values()) if column is not None]
        for i, line in enumerate(self.lines if self.known is None else []):
            if all(column[i] is None for column in held) and all(np.isnan(column[i]) for column in table.numbers.values()):
                raise ValueError(f"{self.path}, line {line}: nothing is known in this row but its label: fill it, or delete it")
        check_patients(table)


def modalities_at(path: str | Path) -> tuple[str, ...]:
    """Which of `MODALITIES` a table's columns are of, by the header and a look at the cells; none for a table of no study.

    Beside a column of texts, columns of words count only where few words occur often: titles and keywords are no categories.
    """
    reader = _Reader(Path(path), {}, False, None)
    files = [role for role in ("image", "sound", "text") if reader.roles[role] is not None]
    for column, name in enumerate(reader.header):
        cells = [cell for cell in reader.cells(column) if not is_missing(cell)]
        if column in reader.roles.values() or not name or reader.counts(column) or len(set(cells)) < 2:
            continue
        if is_number_column(cells) or "text" not in files or len(set(cells)) <= max(2, len(cells) // 10):
            return (*files, "table")
    return tuple(files)


def check_patients(table: StudyTable) -> None:
    """ValueError where the rows of a patient are in two splits of the column split."""
    first: dict[str, int] = {}
    for i, (patient, split) in enumerate(zip(table.patient or [], table.split or [], strict=False)):
        j = first.setdefault(patient, i)
        if table.split is not None and table.split[j] != split:
            raise ValueError(
                f"{table.where(i, 'split')}: patient {patient!r} is in {split} here and in {table.split[j]} in line "
                f"{table.lines[j]}: put all rows of a patient into one split"
            )


def _no_file(path: str, folder: Path) -> tuple[str, str]:
    """What is wrong with a path that is no file, and what to do."""
    if os.path.isdir(path):
        return "is a folder", "name a file in it"
    other = path.replace("\\", os.sep)
    if other != path and os.path.isfile(other):
        return "is written with backslashes", "write /"
    parent, name = os.path.split(path)
    beside = os.listdir(parent) if os.path.isdir(parent) else []
    if alike := [file for file in beside if file.lower() == name.lower()]:
        return "does not exist", f"there is {alike[0]!r}, whose letters differ in case"
    near = difflib.get_close_matches(name, beside, 1, 0.8)
    do = (
        f"is {near[0]!r} meant?"
        if near
        else f"paths begin at the table's folder, {folder}; leave the cell empty where there is none"
    )
    return "does not exist", do


def check_files(table: StudyTable, column: str, paths: Words, check: Callable[[str], Any]) -> None:
    """Call a function on each file of a column; its first error becomes one that names the row, and counts the others.

    Arguments: table; column, "image" or "sound"; paths, the column; check, whose errors are OSError or ValueError.
    """
    wrong: list[tuple[int, Exception]] = []
    for i, path in enumerate(paths):
        try:
            if path is not None:
                check(path)
        except (OSError, ValueError) as error:
            wrong.append((i, error))
    if wrong:
        more = f" ({len(wrong) - 1} more such row{'s' if len(wrong) > 2 else ''})" if len(wrong) > 1 else ""
        raise ValueError(f"{table.where(wrong[0][0], column)}: {wrong[0][1]}; correct the file, or leave the cell empty{more}")


# ---- for a training ------------------------------------------------------------------------------------------------


def check_training(table: StudyTable) -> tuple[StudyTable, list[str]]:
    """A labelled table as a model can learn from it, and its classes.

    Columns with one value, and numbers that count the rows, are left out. A column from which the label can be told without
    fail is kept, but the first of the notes warns of it: such a column is often written after the diagnosis.

    Arguments: table, with labels.
    Returns: (table, with its notes; class names in the order of the alphabet).
    Raises: ValueError, with file and line or column, for labels that are rare and much like a frequent one, for a single class,
    and for a column of categories that has a different word in nearly every row.
    """
    label = table.label or []
    count = Counter(label)
    names = sorted(count)
    check_class_names(names, str(table.path))
    _check_rare(table, count)
    if len(names) < 2:
        raise ValueError(f"{table.path} holds one class only, {names[0]!r}: a diagnosis needs at least two labels")
    for name, words in table.categories.items():
        known = [word for word in words if word is not None]
        if len(known) >= 20 and len(set(known)) > 0.9 * len(known):
            do = "name it id, or leave it out; texts belong into a column named text"
            raise ValueError(f"{table.path}, column {name!r}: {len(set(known))} different words in {len(known)} rows: {do}")
    useless = {name: why for name in table.columns if (why := _useless(table, name))}
    notes = [f"column {name!r} {why}: left out" for name, why in useless.items()]
    table = table.without(list(useless))
    if useless and not table.modalities:
        raise ValueError(f"{table.path} has no column to learn from: {'; '.join(notes)}")
    leaks = [name for name in table.columns if _tells_label(table, name)]
    warnings = [
        f"! column {name!r} tells the label without fail: leave it out if it is known only after the diagnosis" for name in leaks
    ]
    return replace(table, notes=warnings + table.notes + notes), names


def _check_rare(table: StudyTable, count: Counter[str]) -> None:
    """ValueError for a label that may be a misspelt other one; so rare a class could not be learnt and tested anyway."""
    for i, label in enumerate(table.label or []):
        often = [other for other, n in count.items() if n >= OFTEN * count[label]]
        near = difflib.get_close_matches(label.casefold(), [other.casefold() for other in often], 1, 0.8)
        if count[label] < RARE and near:
            other = next(other for other in often if other.casefold() == near[0])
            rows = "this row" if count[label] == 1 else f"{count[label]} rows"
            raise ValueError(
                f"{table.path}, line {table.lines[i]}: the label {label!r} is in {rows} only, and much like {other!r} "
                f"({count[other]} rows): correct it; a class of its own needs at least {RARE} rows"
            )


def _useless(table: StudyTable, name: str) -> str:
    """Why nothing can be learnt from a column; "" where it can."""
    if name in table.categories:
        values = set(table.categories[name])
    else:
        column = table.numbers[name]
        if len(column) >= 5 and abs(column[0]) < len(column) and np.array_equal(column, column[0] + np.arange(len(column))):
            return "counts the rows"
        values = set(column[~np.isnan(column)].tolist()) | ({None} if np.isnan(column).any() else set())
    return f"is {next(iter(values))!r} in all rows" if len(values) == 1 else ""


def _tells_label(table: StudyTable, name: str) -> bool:
    """Whether each value of a column, or each side of a number, has one label; among at least 20 rows that have it."""
    label = table.label or []
    if name in table.numbers and len(set(table.numbers[name].tolist())) > len(set(label)):
        column = table.numbers[name]
        sides = [column[[word == one for word in label]] for one in sorted(set(label))]
        known = sorted((side[~np.isnan(side)] for side in sides if not np.isnan(side).all()), key=np.min)
        apart = all(low.max() < high.min() for low, high in pairwise(known))
        return apart and len(known) == len(sides) and sum(map(len, known)) >= 20
    values = table.categories.get(name) or table.numbers[name].tolist()
    pairs = {(value, one) for value, one in zip(values, label, strict=True) if value is not None and value == value}
    rows = sum(value is not None and value == value for value in values)
    return rows >= 20 and len(pairs) == len({value for value, _ in pairs}) and len({one for _, one in pairs}) == len(set(label))


def split_rows(
    table: StudyTable, names: Sequence[str], *, seed: int, limit: int | None = None
) -> tuple[dict[str, np.ndarray], list[str]]:
    """The rows of train, val and test: those that the column split says, the missing parts drawn from training.

    Arguments: table, with labels; names of the classes; seed of the draws, which keep all rows of a patient together; limit, at
    most how many rows of each class and part (None: all).
    Returns: ({"train", "val", "test"}: row numbers in ascending order, notes on what was drawn).
    Raises: ValueError for a column split without train, for a label that training lacks, and for too few rows or patients.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp(), "patients.csv")
    >>> _ = file.write_text("age,label\\n" + "".join(f"{50 + i},{'ill' if i % 2 else 'well'}\\n" for i in range(20)))
    >>> parts, notes = split_rows(read_study_table(file), ["ill", "well"], seed=0)
    >>> {split: len(rows) for split, rows in parts.items()}, notes
    ({'train': 14, 'val': 2, 'test': 4}, ['split row by row: 2 for validation, 4 for the test'])
    """
    y = [names.index(word) for word in table.label or []]
    split = table.split or ["train"] * len(table)
    parts = {part: [(str(i), y[i]) for i in range(len(table)) if split[i] == part] for part in SPLITS}
    if not parts["train"]:
        raise ValueError(f"{table.path}, column 'split': no row says train; write it into the rows that are to be learnt from")
    if lost := sorted(set(y) - {k for _, k in parts["train"]}):
        raise ValueError(f"{table.path}, column 'split': no row of train has the label {names[lost[0]]!r}: move some there")
    number: dict[str, int] = {}
    owners = table.patient or [str(i) for i in range(len(table))]
    group = {str(i): number.setdefault(owner, len(number)) for i, owner in enumerate(owners)}
    made = list[str]()
    for part in ("test", "val"):
        if not parts[part]:
            parts["train"], parts[part] = _aside(table, parts["train"], SHARES[part], seed, group, names)
            made.insert(0, f"{len(parts[part])} for {'the test' if part == 'test' else 'validation'}")
    by = "patient by patient" if table.patient else "row by row"
    rows = {part: _first_of_each(parts[part], limit) for part in SPLITS}
    return rows, [f"split {by}: {', '.join(made)}"] if made else []


def labelled_rows(table: StudyTable, split: str | None) -> StudyTable:
    """The rows of a split, as the column split says; all rows without one.

    Raises: ValueError where the table has no such rows.
    """
    if split is None:
        return table
    rows = [i for i, part in enumerate(table.split or []) if part == split]
    if not rows:
        raise ValueError(f"{table.path} has no rows whose column split says {split}: leave out --split")
    return table.take(rows)


def _aside(table: StudyTable, rows: Any, share: float, seed: int, group: Mapping[str, int], names: Sequence[str]) -> Any:
    try:
        return set_aside(rows, share, seed, group, names)
    except ValueError:
        unit = "patients" if table.patient else "rows"
        raise ValueError(
            f"{table.path} has too few {unit} of one label to set some aside: give at least {RARE} of each"
        ) from None


def _first_of_each(rows: Sequence[tuple[str, int]], limit: int | None) -> np.ndarray:
    """The numbers of the first rows of each class."""
    seen: Counter[int] = Counter()
    kept = []
    for row, k in rows:
        seen[k] += 1
        if limit is None or seen[k] <= limit:
            kept.append(int(row))
    return np.array(sorted(kept), np.int64)


def match_columns(table: StudyTable, wanted: Sequence[str]) -> None:
    """ValueError unless a table has all columns of numbers and categories that a model reads.

    >>> match_columns(StudyTable(Path("t.csv"), [2], *[None] * 8, {}, {}, [], ("aeg",)), ["age"])
    Traceback (most recent call last):
    ValueError: t.csv has no column 'age', which the model reads; did you mean 'aeg'?
    """
    if missing := [name for name in wanted if name not in table.columns]:
        near = did_you_mean(missing[0], table.others)
        near = near if near.startswith("; did") else ""
        more = f" (nor {', '.join(map(repr, missing[1:]))})" if missing[1:] else ""
        raise ValueError(f"{table.path} has no column {missing[0]!r}, which the model reads{more}{near or '; add it'}")
