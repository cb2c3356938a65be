"""What a table's cells say: a number, a word, nothing, or something that only its writer can tell.

    read_numbers(cells)      float64, NaN where a cell is empty, or the first cell that is no number and why
    is_number_column(cells)  whether a column is one of numbers: some cells are, or look like mistaken ones

A number is written with digits, a decimal point and an exponent: 36.6, -4, 1e3. Whatever else looks like one is never guessed at:
"1,234" is 1234 to one reader and 1.234 to another.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# cells that say that nothing is known, in lower case; the second set only where the other cells are numbers: "none" of a column
# of words is an answer, such as of allergies
MISSING = {"", "na", "n/a", "nan", "null", "?", "-", "--", "."}
MISSING_NUMBER = MISSING | {"none", "nil", "missing", "unknown", "not known", "not done"}

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
ERROR = re.compile(r"#(N/A|DIV/0!|REF!|VALUE!|NAME\?|NUM!|NULL!|SPILL!|CALC!)", re.IGNORECASE)
# what looks like a number and is none: its pattern, what is wrong, and what to do; the first that fits counts
MISTAKEN = [
    (r"[+-]?\d{1,3},\d{3}", "has a comma, for decimals or for thousands", "write digits and a decimal point only"),
    (r"[+-]?\d*,\d+([eE][+-]?\d+)?", "has a decimal comma", "write a decimal point"),
    (r"[+-]?\d{1,3}([, '\u00a0\u202f]\d{3})+(\.\d+)?|[+-]?\d{1,3}(\.\d{3})+,\d+", "has a separator of thousands",
     "write digits and a decimal point only"),
    (r"[+-]?(\d+[.,]?\d*|\.\d+)\s*%", "has a percent sign", "write the number, and the unit into the column's name"),
    (r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}([T ]\d{1,2}:\d{2}.*)?", "is a date", "write what matters of it as a number, such as years"),
    (r"\d+\.?\d*\s*/\s*\d+\.?\d*", "is two numbers", "make two columns of it"),
]  # fmt: skip
# the same, where other cells are numbers; a column of such cells alone may be one of words: ages "<40" and ">70"
DOUBTFUL = [
    (r"[+-]?(inf|infinity)", "is no measurement", "leave the cell empty"),
    (r"[<>≤≥~]=?\s*\d+\.?\d*", "is a bound, no value", "write a value, or leave the cell empty"),
    (r"true|false|yes|no", "is an answer among numbers", "write 1 and 0, or words in all cells"),
]
SURE, UNSURE = ([(re.compile(p, re.IGNORECASE | re.ASCII), (what, do)) for p, what, do in rows] for rows in (MISTAKEN, DOUBTFUL))
UNIT = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)\s*([^\W\d][^\d]*)")  # "63 years", "5mg/l"
WORD = "is no number, as other cells are", "correct it, leave it empty, or write words in all cells"
NUMBER_AMONG_WORDS = "is a number, as other cells are not", "correct it, leave it empty, or write words in all cells"
HAS_UNIT = "has a unit", "write the number, and the unit into the column's name"


class Wrong(NamedTuple):
    """A cell that is no number: its row, what is wrong with it, what to do, and how many more such rows there are."""

    row: int
    what: str
    do: str
    more: int


def is_missing(cell: str, missing: set[str] = MISSING) -> bool:
    """Whether a cell says that nothing is known.

    >>> is_missing(" N/A "), is_missing("none"), is_missing("none", MISSING_NUMBER)
    (True, False, True)
    """
    return cell.strip().lower() in missing


def is_number(cell: str) -> bool:
    """Whether a cell is a number as `read_numbers` takes it.

    >>> [is_number(cell) for cell in ("63", " -1.5e3", "1,5", "63 years", "٣")]
    [True, True, False, False, False]
    """
    return NUMBER.fullmatch(cell.strip()) is not None and bool(np.isfinite(float(cell)))


def is_number_column(cells: Sequence[str]) -> bool:
    """Whether the cells of a column are numbers, or look like numbers that are written in a mistaken way.

    >>> is_number_column(["63", "?", "many"]), is_number_column(["63 years", "7 years"]), is_number_column(["1st", "2nd"])
    (True, True, False)
    """
    known = [cell.strip() for cell in cells if not is_missing(cell)]
    if any(is_number(cell) or _mistake(cell, SURE) for cell in known):
        return True
    units = [UNIT.fullmatch(cell) for cell in known]
    return len(set(known)) > 1 and all(units) and len({unit.group(1).lower() for unit in units if unit}) == 1


def read_numbers(cells: Sequence[str]) -> np.ndarray | Wrong:
    """The numbers of a column.

    Arguments: cells (N,).
    Returns: float64 (N,), NaN where nothing is known; `Wrong` where a cell is no number.

    >>> read_numbers(["63", "", "-1.5e3"])
    array([   63.,    nan, -1500.])
    >>> read_numbers(["36.6", "36,6", "37,0"])
    Wrong(row=1, what='has a decimal comma', do='write a decimal point', more=1)
    """
    found = [_problem(cell.strip()) for cell in cells]
    wrong = [i for i, problem in enumerate(found) if problem]
    if not wrong:
        return np.array([np.nan if is_missing(cell, MISSING_NUMBER) else float(cell) for cell in cells])
    what, do = found[wrong[0]] or WORD
    numbers = [i for i, cell in enumerate(cells) if is_number(cell)]
    if found.count(WORD) > len(numbers) > 0:  # the numbers are the strangers
        return Wrong(numbers[0], *NUMBER_AMONG_WORDS, len(numbers) - 1)
    return Wrong(wrong[0], what, do, len(wrong) - 1)


def _problem(cell: str) -> tuple[str, str] | None:
    """What is wrong with a cell of a column of numbers, and what to do; None for numbers and empty cells."""
    if is_number(cell) or is_missing(cell, MISSING_NUMBER):
        return None
    return _mistake(cell, SURE + UNSURE) or (HAS_UNIT if UNIT.fullmatch(cell) else WORD)


def _mistake(cell: str, known: Sequence[tuple[re.Pattern[str], tuple[str, str]]]) -> tuple[str, str] | None:
    return next((mistake for pattern, mistake in known if pattern.fullmatch(cell)), None)
