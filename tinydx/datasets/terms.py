"""Medical texts as lists: pairs of texts with the same meaning, and texts with their class.

    icd10cm_terms()         the terms that ICD-10-CM includes under each official diagnosis     pip: simple-icd-10-cm
    icd10cm_diagnoses()     its official diagnoses                                              the same
    hpo_lay_terms(file)     lay term -> clinical term            layperson-synonyms.tsv of the Human Phenotype Ontology
    hpo_spanish(file)       English -> Spanish label             hp-es.babelon.tsv of the same
    meqsum(file)            a patient's question -> short question                              meqsum.csv
    mts_dialog(folder)      doctor-patient dialogue -> section of the note                      MTS-Dialog-*.csv
    text_pairs(file)        any pairs: a table (.csv, .tsv) with the columns source and target

Files are read as their authors publish them. Texts are unchanged except for white space. Reading a table raises
FileNotFoundError, or ValueError for a missing column, for no rows, and for what is not a UTF-8 table.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from tinydx.datasets.tables import has_columns, read_table

T = TypeVar("T")
Pair = tuple[str, str]  # (source, target)


CHAPTERS = [  # of ICD-10-CM, in the book's order, under short names
    "Infections", "Neoplasms", "Blood", "Endocrine", "Mental", "Nervous system", "Eye", "Ear", "Circulation", "Respiration",
    "Digestion", "Skin", "Bones and muscles", "Genitourinary", "Pregnancy", "Perinatal", "Congenital", "Symptoms", "Injury",
    "External causes", "Health factors", "Special purposes",
]  # fmt: skip


class Term(NamedTuple):
    """A text, the official diagnosis that it means, its code, and that code's chapter, one of CHAPTERS."""

    text: str
    diagnosis: str
    code: str
    chapter: str

    @property
    def category(self) -> str:
        """The first three characters of the code, which a split must keep together."""
        return self.code[:3]


def icd10cm_terms() -> list[Term]:
    """The inclusion terms of ICD-10-CM: other names under an official diagnosis. ImportError without the package."""
    terms = [(icd, code, text) for icd, code in _codes() for text in icd.get_inclusion_term(code)]
    return [_term(icd, code, text) for icd, code, text in terms]


def icd10cm_diagnoses(longest: int = 5) -> list[Term]:
    """The official diagnoses of ICD-10-CM.

    Longer codes mostly repeat an injury for each side and encounter: 55 % of all names are in that one chapter.

    Arguments: longest, the most characters of a code, without the dot (7 for all).
    Raises: ImportError without the package.
    """
    short = [(icd, code) for icd, code in _codes() if len(code.replace(".", "")) <= longest]
    return [_term(icd, code, icd.get_description(code)) for icd, code in short]


def _term(icd: Any, code: str, text: str) -> Term:
    chapter = int(icd.get_ancestors(code)[-1])
    return Term(_clean(text), _clean(icd.get_description(code)), code, CHAPTERS[chapter - 1])


@functools.cache
def _codes() -> list[tuple[Any, str]]:
    """(the package, code) of every category and of everything below it, in the book's order."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the package reports oddities of the classification's own file
            import simple_icd_10_cm as icd
    except ImportError:
        raise ImportError("the ICD-10-CM terms need a package: pip install simple-icd-10-cm") from None
    return [(icd, code) for code in icd.get_all_codes(with_dots=True) if not icd.is_chapter_or_block(code)]


def hpo_lay_terms(path: str | Path) -> list[Pair]:
    """(lay term, clinical term) of the Human Phenotype Ontology, without pairs that differ only in case."""
    rows = _read_table(path, {"?term_label": "clinical", "?layperson": "lay"}, strict=False)
    pairs = [(r["lay"], r["clinical"].removesuffix("@en")) for r in rows]  # some have RDF's mark of a language
    return [(lay, clinical) for lay, clinical in pairs if lay.casefold() != clinical.casefold()]


def hpo_spanish(path: str | Path) -> list[Pair]:
    """(English label, Spanish label) of the Human Phenotype Ontology, without its obsolete terms."""
    rows = _read_table(path, {"source_value": "english", "translation_value": "spanish"})
    return [(r["english"], r["spanish"]) for r in rows if not r["english"].startswith("obsolete")]


def meqsum(path: str | Path) -> list[Pair]:
    """(patient's question, short question), in the file's order."""
    return [(r["question"], r["short"]) for r in _read_table(path, {"CHQ": "question", "Summary": "short"})]


def text_pairs(path: str | Path) -> list[Pair]:
    r"""(source, target) of a table with these two columns; separators and errors are those of `read_table`.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp(), "pairs.csv")
    >>> _ = file.write_text("source,target\nbroken leg,fracture of leg\n")
    >>> text_pairs(file)
    [('broken leg', 'fracture of leg')]
    """
    return [(r["source"], r["target"]) for r in _read_table(path, {"source": "source", "target": "target"})]


MTS_FILES = {"train": "TrainingSet", "val": "ValidationSet", "test": "TestSet-1-MEDIQA-Chat-2023"}


def mts_dialog(folder: str | Path) -> dict[str, list[tuple[str, str, str]]]:
    """{"train", "val", "test"}: [(dialogue, section of the note, name of the section)], in the authors' own splits."""
    columns = {"dialogue": "dialogue", "section_text": "text", "section_header": "section"}
    splits = {k: _read_table(Path(folder) / f"MTS-Dialog-{name}.csv", columns) for k, name in MTS_FILES.items()}
    return {k: [(r["dialogue"], r["text"], r["section"]) for r in rows] for k, rows in splits.items()}


def _read_table(path: str | Path, columns: dict[str, str], strict: bool = True) -> list[dict[str, str]]:
    """The rows of a table with a header, with columns renamed {old: new}; rows with an empty text are left out."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: expected a table with the columns {', '.join(columns)}")
    table = read_table(path, has_columns(*([name] for name in columns)), strict)
    if not table.rows:
        raise ValueError(f"{path} has no rows")
    where = {new: table.find([old]) for old, new in columns.items()}
    if missing := [old for old, new in columns.items() if where[new] is None]:
        raise ValueError(f"{path} has no column {missing[0]!r}: expected {', '.join(columns)}")
    named = [{new: _clean(row.fields[i]) for new, i in where.items() if i is not None} for row in table.rows]
    return [row for row in named if all(row.values())]


def _clean(text: str) -> str:
    """One line, one space between words."""
    return " ".join(text.split())


def split_by_group(items: Sequence[T], group: Callable[[T], Any], shares: Sequence[float], seed: int = 0) -> list[list[T]]:
    """Split items into a rest and parts; no group is in two of them.

    Arguments: items; group, the group of an item (sortable); shares of the groups, one for each part; seed of the choice.
    Returns: [rest, part for the first share, ...], items in their order.
    Raises: ValueError where no group would be left for the rest.

    >>> rest, aside = split_by_group(range(20), group=lambda i: i // 2, shares=[0.3])
    >>> len(aside), {i // 2 for i in rest} & {i // 2 for i in aside}
    (6, set())
    """
    groups = sorted({group(item) for item in items})
    order = np.random.default_rng(seed).permutation(len(groups))
    ends = np.cumsum([round(share * len(groups)) for share in shares])
    if sum(shares) >= 1 or (len(ends) and ends[-1] >= len(groups)):
        raise ValueError(f"split_by_group: {len(groups)} groups cannot be split into shares {list(shares)} and a rest")
    part_of = {groups[g]: int(np.searchsorted(ends, i, side="right")) for i, g in enumerate(order)}
    parts: list[list[T]] = [[] for _ in range(len(shares) + 1)]
    for item in items:
        parts[(part_of[group(item)] + 1) % len(parts)].append(item)
    return parts
