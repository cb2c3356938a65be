"""Tables: a row for each patient or visit, with numbers and words in columns; one hidden layer, or none.

    None             made-up patients, written once into the data folder (`tinydx/datasets/clinic.py`)
    FILE.csv, .tsv   a study's table (`tinydx/datasets/table.py`) without files and texts

The training rows alone say how a row becomes numbers (`learn_columns`):

    number  --(v - mean) / spread, the median where nothing is known--> z, and 1 where nothing is known, if training lacks some
    word    --> 1 for the word, 0 for the others that training has, and 1 where nothing is known, if training lacks some

    (N,D) -> Dense(32), ReLU -> Dropout -> Dense(classes)           --network mlp, the default
    (N,D) -> Dense(classes), which is logistic regression           --network linear

A word that no training row has, and an empty cell of a column that no training row lacks, get no answer from `tinydx predict`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tinydx.datasets.cells import Wrong, is_missing, read_numbers
from tinydx.datasets.clinic import VERSION, write_patients
from tinydx.datasets.download import data_home
from tinydx.datasets.folders import match_classes
from tinydx.datasets.study import SPLITS, Examples, Study
from tinydx.datasets.synthetic import MARKER
from tinydx.datasets.table import (
    TABLES,
    Entry,
    Row,
    StudyTable,
    check_training,
    entries_of,
    labelled_rows,
    match_columns,
    read_study_table,
    rows_of,
    split_rows,
)
from tinydx.datasets.tables import plain
from tinydx.diagnosis.kind import Kind, Options, Plan, classification_loss, output_layer
from tinydx.layers import Dense, Dropout, Input
from tinydx.models import Sequential
from tinydx.names import line
from tinydx.optimizers import AdamW
from tinydx.saving.header import expect_dict, expect_list, expect_number, expect_text
from tinydx.suggestions import did_you_mean
from tinydx.training import data

HIDDEN = 32  # units
UPDATES, PASSES, EPOCHS = 1200, 20, 30  # steps of the optimizer, passes over the rows, both at least, and validations in between
FARTHEST = 5.0  # spreads from the mean: a number beyond counts as this far
CHANCE = 0.05  # pairs of equal rows that chance makes: where it makes more, equal rows are no copies
Columns = dict[str, dict[str, Any]]


class TableKind(Kind):
    """Rows of a table as `Row`; the model's file stores how their columns become numbers."""

    noun = "rows"
    endings = ()  # a .csv or .tsv file is of this kind by its columns: `kinds.guess`
    network = "a hidden layer"
    networks = ("mlp", "linear")
    augmentations = ("none",)
    synthetic_title = "Diagnosis of made-up patients"
    synthetic_notice = "a program computed these patients, and results on real ones will differ."
    schedule = synthetic_schedule = (EPOCHS, None)
    copied = "equal in every column"
    columns, panel_height = 3, 1.7
    features_name = "the same columns"

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
        if size is not None:
            raise ValueError("--size is not for rows of a table: leave it out")
        path = _synthetic_table() if path is None else Path(path)
        if path.suffix.lower() not in TABLES:
            raise ValueError(f"{path} is not a table: give a .csv or .tsv file with a column label")
        table, names = check_training(read_study_table(path, patient=patient, site=site))
        parts, notes = split_rows(table, names, seed=seed, limit=limit)
        train, val, test = (examples(table.take(parts[k]), names) for k in SPLITS)
        synthetic = (path.parent / MARKER).exists()
        source = "made-up patients" if synthetic else path.name
        notes = [*table.notes, *notes]
        if synthetic:
            notes.insert(0, "Synthetic: computed by a program, of no patient. Results on them say nothing about real ones.")
        form = f"{len(table.columns)} columns"
        kinds = {name: {"kind": "number" if name in table.numbers else "category"} for name in table.columns}
        how = {"columns": kinds}
        study = self.learn_reading(Study(source, names, train, val, test, synthetic, notes, how, self.noun, form))
        study.notes += unknown_words(study)
        return study

    def learn_reading(self, study: Study) -> Study:
        """Means, spreads, medians and words are those of the training rows."""
        return replace(
            study, preprocessing={"columns": learn_columns(list(study.train.x), kinds_of(study.preprocessing["columns"]))}
        )

    def plan(self, study: Study, options: Options) -> Plan:
        plan, count = super().plan(study, options), len(study.train.y)
        network = options.network or self.networks[0]
        updates = max(UPDATES, PASSES * -(-count // plan.batch))
        steps = options.steps or (None if options.epochs else -(-updates // EPOCHS))
        why = (
            f"{_width(study.preprocessing['columns'])} numbers of {len(study.preprocessing['columns'])} columns, "
            f"standardised by the {count} training rows",
            f"{updates} steps of {plan.batch} rows: {UPDATES} or {PASSES} passes, whichever is more",
            "the epoch with the lowest validation loss is kept",
        )
        return plan._replace(network=network, steps=steps, why=why)

    def describe_network(self, plan: Plan) -> str:
        return {"linear": "a weight for each number and class", "mlp": f"a hidden layer of {HIDDEN} units"}[plan.network]

    def build(self, study: Study, plan: Plan) -> Any:
        return build(_width(study.preprocessing["columns"]), len(study.class_names), plan.network)

    def training_batches(self, study: Study, plan: Plan, seed: int) -> Any:
        return data.batches(numbers_of(study.train.x, study.preprocessing), study.train.y, batch_size=plan.batch, shuffle=True)

    def plain_batches(self, study: Study, part: Examples, batch: int) -> Any:
        return data.batches(numbers_of(part.x, study.preprocessing), part.y, batch_size=batch)

    def copies(self, x: np.ndarray) -> list[tuple[int, int]]:
        """Equal rows, unless so few and coarse columns make rows equal by chance."""
        pairs = len(x) * (len(x) - 1) / 2
        expected = pairs
        for name in x[0].cells if pairs else ():
            counts = Counter(row.cells.get(name) for row in x)
            expected *= sum(n * (n - 1) / 2 for n in counts.values()) / pairs
        return super().copies(x) if expected < CHANCE else []

    def features(self, study: Study, part: Examples) -> np.ndarray:
        """The numbers that the network sees."""
        return numbers_of(part.x, study.preprocessing)

    def check_reading(self, preprocessing: dict[str, Any], model: Any) -> None:
        check_columns(preprocessing["columns"])
        model.check_input((None, _width(preprocessing["columns"])))

    def reads(self, path: str) -> bool:
        return path.lower().endswith(TABLES)

    def inputs(self, entry: str, preprocessing: dict[str, Any]) -> list[str]:
        """The rows of a table, or of the tables in a folder."""
        files = super().inputs(entry, preprocessing)
        return [row for file in files for row in (self._rows(file, preprocessing) if self.reads(file) else [file])]

    def given(self, columns: Mapping[str, str], preprocessing: dict[str, Any]) -> str:
        known = preprocessing["columns"]
        return Entry("the given patient", row=row_given(columns, known))

    def _rows(self, file: str, preprocessing: dict[str, Any]) -> Sequence[str]:
        table = read_study_table(file, label=False, known=kinds_of(preprocessing["columns"]))
        match_columns(table, list(preprocessing["columns"]))
        return entries_of(table)

    def read(self, entry: str, preprocessing: dict[str, Any]) -> np.ndarray:
        return numbers_of([checked(entry, preprocessing["columns"])], preprocessing)

    def parts(self, entry: str, preprocessing: dict[str, Any]) -> list[str]:
        """What each number says, such as "age 63", "sex f" and "sex not m"."""
        return number_names(checked(entry, preprocessing["columns"]), preprocessing["columns"])

    def open_labelled(
        self, path: str | Path, class_names: list[str], preprocessing: dict[str, Any], split: str | None = None
    ) -> Examples:
        columns = preprocessing["columns"]
        table = read_study_table(path, known=kinds_of(columns))
        match_columns(table, list(columns))
        table = labelled_rows(table, split)
        for i, row in enumerate(rows_of(table)):
            if wrong := unreadable(row, columns):
                raise ValueError(f"{table.path}, line {table.lines[i]}: {wrong}")
        labels = match_classes(table.label or [], class_names, str(path))
        return examples(table, class_names)._replace(y=np.array(labels, np.int64))

    def statistics(self, part: Examples, preprocessing: dict[str, Any]) -> dict[str, np.ndarray]:
        """Each number, with the training's median where nothing is known; a column for each word; the share of empty cells."""
        found: dict[str, np.ndarray] = {}
        for name, how in preprocessing["columns"].items():
            cells = [row.cells.get(name) for row in part.x]
            if how["kind"] == "number":
                found[name] = np.array([how["median"] if v is None else float(v) for v in cells])
            else:
                found |= {f"{name} {word}": np.array([float(v == word) for v in cells]) for word in how["words"]}
        missing = [np.mean([row.cells.get(name) is None for name in preprocessing["columns"]]) for row in part.x]
        return found | {"share of empty cells": np.array(missing, np.float64)}

    def example(self, entry: str, preprocessing: dict[str, Any]) -> Examples:
        return Examples(_as_array([checked(entry, preprocessing["columns"])]), np.zeros(1, np.int64))

    def gist(self, part: Examples, preprocessing: dict[str, Any]) -> dict[str, np.ndarray]:
        x, found, start = numbers_of(part.x, preprocessing), {}, 0
        for name, how in preprocessing["columns"].items():
            end = start + _width({name: how})
            found[name], start = x[:, start:end].astype(np.float64), end
        return found

    def plot(self, axes: Any, example: Any) -> None:
        cells = str(example).split(", ")
        words = "\n".join([*cells[:8], f"and {len(cells) - 8} more"] if len(cells) > 9 else cells)
        axes.text(0.03, 0.95, words, transform=axes.transAxes, va="top", fontsize=8)


KIND = TableKind()


# ---- the network ---------------------------------------------------------------------------------------------------


def build(numbers: int, classes: int, network: str = "mlp") -> Sequential:
    """The classifier of rows.

    Arguments: numbers of a row; classes, how many; network, "mlp" or "linear".
    Returns: the compiled model.

    >>> build(10, 2).count_params(), build(10, 2, "linear").count_params()
    (385, 11)
    """
    hidden = [] if network == "linear" else [Dense(HIDDEN, activation="relu"), Dropout(0.2)]
    model = Sequential([Input((numbers,)), *hidden, output_layer(classes)], name="diagnosis")
    model.compile(AdamW(5e-3, weight_decay=0.01), classification_loss(classes), metrics=["accuracy"])
    return model


# ---- how a row becomes numbers -------------------------------------------------------------------------------------


def learn_columns(rows: Sequence[Row], kinds: Mapping[str, str]) -> Columns:
    """How the columns of some rows become numbers.

    Arguments: rows of the training; kinds, whether each column is of "number" or "category".
    Returns: for each column "kind", and whether rows lack it ("missing"); of numbers "mean", "spread" and "median", of categories
    the "words" in the order of the alphabet.

    >>> rows = [Row({"age": 60.0, "sex": "f"}), Row({"age": None, "sex": "m"}), Row({"age": 80.0, "sex": "f"})]
    >>> columns = learn_columns(rows, {"age": "number", "sex": "category"})
    >>> columns["age"]
    {'kind': 'number', 'missing': True, 'mean': 70.0, 'spread': 10.0, 'median': 70.0}
    >>> columns["sex"]
    {'kind': 'category', 'missing': False, 'words': ['f', 'm']}
    """
    return {name: _learnt(kind, [row.cells[name] for row in rows]) for name, kind in kinds.items()}


def _learnt(kind: str, cells: Sequence[float | str | None]) -> dict[str, Any]:
    """How a column becomes numbers."""
    known = [cell for cell in cells if cell is not None]
    how: dict[str, Any] = {"kind": kind, "missing": len(known) < len(cells)}
    if kind == "category":
        return how | {"words": sorted({str(cell) for cell in known})}
    values = np.array(known or [0.0], np.float64)
    spread = float(values.std())
    varies = spread > 1e-9 * max(1.0, float(np.abs(values).max()))
    return how | {"mean": float(values.mean()), "spread": spread if varies else 1.0, "median": float(np.median(values))}


def kinds_of(columns: Columns) -> dict[str, str]:
    """Whether each column is of "number" or "category"."""
    return {name: how["kind"] for name, how in columns.items()}


def _width(columns: Columns) -> int:
    """How many numbers a row becomes."""
    return sum(len(how.get("words", [None])) + how["missing"] for how in columns.values())


def numbers_of(rows: Sequence[Row] | np.ndarray, preprocessing: dict[str, Any]) -> np.ndarray:
    """The numbers of rows, as the module says; a word that training lacks is nothing known.

    Arguments: rows (N); preprocessing, with "columns".
    Returns: float32 (N,D).

    >>> how = {"kind": "number", "missing": True, "mean": 70.0, "spread": 10.0, "median": 75.0}
    >>> numbers_of([Row({"age": 60.0}), Row({"age": None})], {"columns": {"age": how}}).tolist()
    [[-1.0, 0.0], [0.5, 1.0]]
    """
    blocks = [np.zeros((len(rows), 0))]
    for name, how in preprocessing["columns"].items():
        cells = [row.cells.get(name) for row in rows]
        if how["kind"] == "number":
            values = np.array([how["median"] if cell is None else cell for cell in cells], np.float64)
            blocks.append(np.clip((values - how["mean"]) / how["spread"], -FARTHEST, FARTHEST)[:, None])
            absent = [cell is None for cell in cells]
        else:
            number = {word: j for j, word in enumerate(how["words"])}
            block = np.zeros((len(rows), len(number)))
            for i, cell in enumerate(cells):
                if cell in number:
                    block[i, number[str(cell)]] = 1
            blocks.append(block)
            absent = [cell not in number for cell in cells]
        if how["missing"]:
            blocks.append(np.array(absent, np.float64)[:, None])
    return np.concatenate(blocks, axis=1).astype(np.float32)


def number_names(row: Row, columns: Columns) -> list[str]:
    """What each of a row's numbers says.

    >>> columns = learn_columns([Row({"sex": "f"}), Row({"sex": "m"}), Row({"sex": None})], {"sex": "category"})
    >>> number_names(Row({"sex": "m"}), columns)
    ['sex not f', 'sex m', 'sex known']
    """
    names = []
    for name, how in columns.items():
        cell = row.cells.get(name)
        if how["kind"] == "number":
            names.append(f"{name} taken as {how['median']:.4g}" if cell is None else str(Row({name: cell})))
        names += [f"{name} {'' if cell == word else 'not '}{word}" for word in how.get("words", [])]
        if how["missing"]:
            names.append(f"{name} {'unknown' if cell is None else 'known'}")
    return names


def check_columns(columns: Any) -> None:
    """ValueError, TypeError or KeyError unless these are what `learn_columns` returns: the file of a model can be forged."""
    if not expect_dict(columns, "columns"):
        raise ValueError("it reads no columns")
    for name, how in columns.items():
        expect_text(name, "a column's name")
        kind, where = expect_dict(how, f"column {name!r}")["kind"], f"column {name!r}"
        if not isinstance(how["missing"], bool):
            raise TypeError(f"{where}: missing is neither true nor false")
        if kind == "category":
            words = [expect_text(word, f"{where}: a word") for word in expect_list(how["words"], f"{where}: words")]
            if len(set(words)) < len(words):
                raise ValueError(f"{where}: a word occurs twice")
        elif kind == "number":
            numbers = [expect_number(how[key], f"{where}: {key}") for key in ("mean", "median", "spread")]
            if numbers[-1] <= 0 or "words" in how:
                raise ValueError(f"{where}: the spread is not positive, or it has words")
        else:
            raise ValueError(f"{where} is of no known kind")


# ---- rows ----------------------------------------------------------------------------------------------------------


def checked(entry: str, columns: Columns) -> Row:
    """The row of an entry of `tinydx predict`, as the model's columns spell its words; a study's own `Row` as it is.

    Raises: ValueError, which names the row, for an entry without cells and for what the model has not learnt.
    """
    if isinstance(entry, Row):
        return entry
    row = entry.row if isinstance(entry, Entry) else None
    if row is None:
        raise ValueError(line(f"{entry!r} is no row of a table: give a .csv file with the columns {', '.join(columns)}"))
    if wrong := unreadable(row, columns):
        raise ValueError(f"{entry}: {wrong}")
    return Row({name: _spelt(row.cells.get(name), columns[name]) for name in columns})


def _spelt(cell: float | str | None, how: Mapping[str, Any]) -> float | str | None:
    """A word as training spells it, in any case."""
    return next((word for word in how.get("words", []) if isinstance(cell, str) and word.casefold() == cell.casefold()), cell)


def unreadable(row: Row, columns: Columns) -> str:
    """Why a model has no answer for a row; "" where it has."""
    for name, how in columns.items():
        cell = _spelt(row.cells.get(name), how)
        if cell is None and not how["missing"]:
            return f"column {name!r} is empty, which it was in no training row: fill it"
        if how["kind"] == "category" and cell is not None and cell not in how["words"]:
            return line(f"column {name!r}: {cell!r} was in no training row{did_you_mean(cell, how['words'])}")
    return ""


def unknown_words(study: Study) -> list[str]:
    """Notes on words of the validation and test rows that no training row has."""
    notes = []
    for name, how in study.preprocessing["columns"].items():
        cells = [row.cells[name] for part in (study.val, study.test) for row in part.x]
        unknown = [cell for cell in cells if cell is not None and cell not in how["words"]] if how["kind"] == "category" else []
        if unknown:
            some = ", ".join(repr(word) for word in sorted(set(map(str, unknown)))[:3])
            notes.append(
                f"column {name!r}: {len(unknown)} rows of val and test have words that training lacks ({some}): not known"
            )
    return notes


def row_given(columns: Mapping[str, str], known: Columns) -> Row:
    """The row that is given column by column, as `tinydx predict MODEL --age 63 --sex f` does.

    Arguments: columns, the given cells, "" where nothing is known, by their names in any case, with - or _ for spaces; known, the
    model's columns, of which none may lack.
    Raises: ValueError for a column that the model does not have, that is not given, or that is no number.

    >>> row_given({"age": "63"}, {"age": {"kind": "number"}})
    'age 63'
    """
    spelt = {_option(name): name for name in known}
    columns = {spelt.get(_option(name), name): cell for name, cell in columns.items()}
    for name in columns:
        if name not in known:
            raise ValueError(line(f"--{name}: the model has no such column{did_you_mean(name, known)}"))
    cells: dict[str, float | str | None] = {}
    for name, how in known.items():
        if name not in columns:
            raise ValueError(f"--{name} is missing: give it, or --{name} '' where it is not known")
        cell = columns[name].strip()
        cells[name] = None if is_missing(cell) else cell
        if how["kind"] == "number":
            value = read_numbers([cell])
            if isinstance(value, Wrong):
                what = "is no number" if value.what.startswith("is no number") else value.what
                raise ValueError(f"--{name}: {cell!r} {what}: give a number, or '' where it is not known")
            cells[name] = None if np.isnan(value[0]) else float(value[0])
    return Row(cells)


def _option(name: str) -> str:
    """A column's name as an option: "Blood Group" is --blood-group."""
    return plain(name).replace("-", "_")


def examples(table: StudyTable, names: Sequence[str]) -> Examples:
    """The rows of a labelled table; the file of each is its line, "patients.csv:7"."""
    files = [f"{table.path}:{line}" for line in table.lines]
    owners = [None if words is None else np.array(words, object) for words in (table.patient, table.site)]
    y = [names.index(word) if word in names else 0 for word in table.label or []]
    return Examples(_as_array(rows_of(table)), np.array(y, np.int64), files, *owners)


def _as_array(rows: Sequence[Row]) -> np.ndarray:
    """Rows as an array of objects (N,)."""
    array = np.empty(len(rows), object)
    array[:] = rows
    return array


def _synthetic_table() -> Path:
    """The table of made-up patients, which is written if it does not exist."""
    folder = data_home() / f"patients-v{VERSION}"
    if not folder.exists():
        print(f"Making up patients in {folder}, once ...", flush=True)
    return write_patients(folder)
