"""The images or the sounds of a study's table, for the kinds that read one file an example.

open_table_files(path, "image")       the files of train, val and test with their classes, as `open_folders` of class folders
labelled_table_files(path, "image")   those on which a finished model is tested, as `labelled_files`
cells_of(path, "image")               those that `tinydx predict` answers for
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinydx.datasets.copies import Copy, check_copies
from tinydx.datasets.folders import Files, match_classes
from tinydx.datasets.patients import Owner, Patients, content, describe, shared
from tinydx.datasets.study import SPLITS
from tinydx.datasets.table import (
    TABLES,
    StudyTable,
    Words,
    check_files,
    check_training,
    labelled_rows,
    read_study_table,
    split_rows,
)


class TableFiles(NamedTuple):
    """The classes of a table; its files by split, (path, class number) each; notes; the patient and site of each file.

    `owners` holds "patient" and "site", in the order of train, val and test: (N,), or None where nobody knows.
    """

    names: list[str]
    splits: dict[str, Files]
    notes: list[str]
    owners: dict[str, np.ndarray | None]


def is_table(path: str | Path) -> bool:
    """Whether a path is that of a table.

    >>> is_table("patients.CSV"), is_table("patients")
    (True, False)
    """
    return Path(path).suffix.lower() in TABLES


def open_table_files(
    path: str | Path,
    column: str,
    *,
    seed: int = 0,
    limit: int | None = None,
    patient: str | None = None,
    site: str | None = None,
    check: Callable[[Sequence[str]], Any],
) -> TableFiles:
    """The files of a column of a table, as splits.

    Arguments: path; column, "image" or "sound"; seed of the splits made here; limit, at most how many files of each class and
    split (None: all); patient, site, names of columns (None: the usual ones; without a column of patients, the files' names
    tell them where they can); check, as `check_images`.
    Raises: those of `read_study_table`, `check_training` and `split_rows`; ValueError, which names the row, for a file that
    cannot be read.
    """
    table = _with_files(read_study_table(path, patient=patient, site=site), column)
    files = [str(file) for file in _column(table, column)]
    check_files(table, column, _column(table, column), lambda file: check([file]))
    unread = [f"{name!r}" for name in table.columns] + [name for name in table.modalities if name not in (column, "table")]
    table = replace(table, numbers={}, categories={})
    table, names = check_training(table)
    how = ""
    owners = [Owner(who, "patient") for who in table.patient or []]
    if table.patient is None:
        owners = Patients(str(table.path.parent)).owners(files)
        how = describe(owners, files, f"{column}s").replace("--patient PATTERN", "a column patient")
        if any(owner.key for owner in owners):
            table = replace(table, patient=[owner.key or file for owner, file in zip(owners, files, strict=True)])
    parts, made = split_rows(table, names, seed=seed, limit=limit)
    notes = [*table.notes, *(f"set aside {note.partition(': ')[2]}, {how}" if how else note for note in made)]
    if unread:
        notes.append(f"--kind {column} reads no {', '.join(unread)}")
    y = [names.index(word) for word in table.label or []]
    split = {int(i): part for part, rows in parts.items() for i in rows} if table.split else {}
    notes += check_copies(
        [Copy(content(file), names[y[i]], split.get(i, ""), table.row_name(i)) for i, file in enumerate(files)], f"{column}s"
    )
    notes += shared({part: {files[i]: owners[i] for i in parts[part]} for part in SPLITS if table.split}, f"{column}s")
    order = [int(i) for part in SPLITS for i in parts[part]]
    columns = {"patient": table.patient, "site": table.site}
    known = {role: None if words is None else np.array([words[i] for i in order], object) for role, words in columns.items()}
    return TableFiles(names, {part: [(files[i], y[i]) for i in parts[part]] for part in SPLITS}, notes, known)


def labelled_table_files(path: str | Path, column: str, names: Sequence[str], split: str | None = None) -> Files:
    """The files of a labelled table that a finished model is to be tested on; labels are matched to its classes in any case.

    Arguments: path; column, "image" or "sound"; names, the model's classes; split, of the column split (None: all rows).
    """
    table = _with_files(labelled_rows(read_study_table(path, known={}), split), column)
    labels = match_classes(table.label or [], names, str(path))
    return [(str(file), k) for file, k in zip(_column(table, column), labels, strict=True)]


def cells_of(path: str | Path, column: str) -> list[str]:
    """The files, or the texts, of a column of a table.

    Arguments: path; column, "image", "sound" or "text".
    Raises: ValueError where the table has no such column, or where a cell of it is empty.
    """
    table = read_study_table(path, label=False, known={})
    cells = _column(table, column)
    if None in cells:
        raise ValueError(f"{table.where(cells.index(None), column)}: an empty cell: fill it, or delete the row")
    return [str(cell) for cell in cells]


def _column(table: StudyTable, column: str) -> Words:
    found = {"image": table.images, "sound": table.sounds, "text": table.texts}[column]
    if found is None:
        raise ValueError(f"{table.path} has no column {column!r}, which this model reads: add it, or rename one")
    return found


def _with_files(table: StudyTable, column: str) -> StudyTable:
    """The rows that have a file; a note tells of the others."""
    held = [file is not None for file in _column(table, column)]
    if all(held):
        return table
    note = f"{held.count(False)} rows without a file in the column {column!r} left out, as line {table.lines[held.index(False)]}"
    return replace(table.take(np.array(held)), notes=[*table.notes, note])
