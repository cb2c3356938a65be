"""Tables in text files, read as they were meant or not at all: .csv, .tsv, and what spreadsheets make of them.

The first line that is not empty is the header; every other row has as many fields. A field ends at the character that gives the
header the columns that are asked for: comma, semicolon, tab or bar, unless the first line is Excel's "sep=;". A text that
contains it, a line end or a quote stands in quotes, and quotes within are doubled (RFC 4180). Lines without content are left out.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tinydx.preprocessing.text.files import read_text

DELIMITERS = (",", ";", "\t", "|")
NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
REASONS = {
    "unexpected end of data": "a quote is opened and never closed",
    "expected after": "a closing quote is followed by more text; quotes within quotes are doubled",
}


class Row(NamedTuple):
    """The fields of a row, and the number of its first line in the file."""

    line: int
    fields: list[str]


class Table(NamedTuple):
    """A table: its file, the names of its columns, its rows, and notes on what in the file is unusual."""

    path: Path
    header: list[str]
    rows: list[Row]
    notes: tuple[str, ...] = ()

    def find(self, known: Sequence[str]) -> int | None:
        """The number of the column of the first known name that there is, in any case; None where there is none.

        Raises: ValueError where two columns have that name.

        >>> Table(Path("t.csv"), [" Label", "Medical Abstract"], []).find(["text", "medical_abstract"])
        1
        """
        matching = _matching(self.header, known)
        if len(matching) > 1:
            raise ValueError(f"{self.path} has {len(matching)} columns named {self.header[matching[0]].strip()!r}: rename one")
        return matching[0] if matching else None


def read_table(path: str | Path, fits: Callable[[list[str]], bool], strict: bool = True) -> Table:
    """Read a table whole.

    Arguments: path; fits, tells whether a header has the columns that are needed, which decides on the delimiter; strict, whether
    text after a closing quote is an error.
    Returns: the table.
    Raises: FileNotFoundError; ValueError, which names the line, for another encoding, a row with more or fewer fields than the
    header, a quote that is not closed.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp(), "t.csv")
    >>> _ = file.write_text('text;label\\n"fever; chills";flu\\n')
    >>> read_table(file, lambda header: "label" in header).rows
    [Row(line=2, fields=['fever; chills', 'flu'])]
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    text = read_text(path, what="a UTF-8 table")
    usual = "\t" if path.suffix.lower() == ".tsv" else ","
    skipped, delimiters = 0, (usual, *(other for other in DELIMITERS if other != usual))
    first = text.split("\n", 1)[0].strip()
    if first[:4].lower() == "sep=" and len(first) == 5:
        skipped, delimiters, text = 1, (first[4],), text.partition("\n")[2]
    first_row = lambda d: next(filter(_filled, _rows(path, text, d, skipped, strict=False)), Row(1, [])).fields  # noqa: E731
    delimiter = next((d for d in delimiters if fits(first_row(d))), delimiters[0])
    lines = list(_rows(path, text, delimiter, skipped, strict))
    rows, empty = [row for row in lines if _filled(row)], [row.line for row in lines if not _filled(row)]
    header = rows[0].fields if rows else []
    for row in rows[1:]:
        if len(row.fields) != len(header):
            raise ValueError(
                f"{path}, line {row.line} has {_count(row.fields)}, the header {len(header)}: quote texts that contain "
                f"{NAMES.get(delimiter, repr(delimiter))}"
            )
    return Table(path, header, rows[1:], tuple(_notes(path, delimiter, usual, empty)))


def _notes(path: Path, delimiter: str, usual: str, empty: list[int]) -> Iterator[str]:
    """What is unusual about a file, and was read nevertheless."""
    with open(path, "rb") as file:
        if file.read(3) == codecs.BOM_UTF8:
            yield "the file begins with a byte order mark, which is no part of the first column's name"
    if delimiter != usual:
        yield f"fields are separated by {NAMES.get(delimiter, repr(delimiter))}"
    if empty:
        more = f" and {len(empty) - 1} more" if len(empty) > 1 else ""
        yield f"line {empty[0]}{more} left out: empty"


def has_columns(*each: Sequence[str]) -> Callable[[list[str]], bool]:
    """A function that tells whether a header has a column of each of these lists of names.

    >>> has_columns(["text", "note"], ["label"])(["Note", "label"])
    True
    """
    return lambda header: all(_matching(header, known) for known in each)


def _matching(header: Sequence[str], known: Sequence[str]) -> list[int]:
    """The columns that have the first of the known names that any has."""
    names = [plain(name) for name in header]
    return next(([i for i, name in enumerate(names) if name == plain(k)] for k in known if plain(k) in names), [])


def plain(name: str) -> str:
    """A column's name in lower case, spaces as "_".

    >>> plain(" Medical  Abstract")
    'medical_abstract'
    """
    return "_".join(name.lower().split())


def _rows(path: Path, text: str, delimiter: str, skipped: int, strict: bool) -> Iterator[Row]:
    """The rows, the header first; ValueError that names the line."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=strict)
    line = 1
    try:
        for fields in reader:
            yield Row(line + skipped, fields)
            line = reader.line_num + 1
    except csv.Error as error:
        why = next((words for part, words in REASONS.items() if part in str(error)), str(error))
        raise ValueError(f"{path}, line {line + skipped}: {why}") from None


def _filled(row: Row) -> bool:
    """Whether a row has any content."""
    return any(field.strip() for field in row.fields)


def _count(fields: Sequence[str]) -> str:
    return f"{len(fields)} field{'s' if len(fields) > 1 else ''}"
