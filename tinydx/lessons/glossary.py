"""The terms of the course in English, in Chinese, and as the code writes them, from lessons/glossary.tsv.

docs/glossary.md is made from this file: `python -m tinydx.lessons.glossary > docs/glossary.md`.

>>> find("kernel").chinese
'卷积核'
"""

from __future__ import annotations

import functools
from typing import NamedTuple

from tinydx.course import folder
from tinydx.suggestions import did_you_mean


class Term(NamedTuple):
    """One row of the glossary."""

    english: str
    chinese: str
    code: str  # the symbol or name in the code
    meaning: str
    meaning_chinese: str


@functools.cache
def terms() -> tuple[Term, ...]:
    """All terms in alphabetical order."""
    rows = (folder() / "glossary.tsv").read_text("utf-8").splitlines()[1:]
    return tuple(sorted((Term(*row.split("\t")) for row in rows), key=lambda term: term.english.lower()))


def find(english: str) -> Term:
    """The term of this name; ValueError with close matches where there is none."""
    for term in terms():
        if term.english == english:
            return term
    raise ValueError(f"the glossary has no {english!r}{did_you_mean(english, [term.english for term in terms()])}")


def page() -> str:
    """The text of docs/glossary.md."""
    lines = ["# Glossary", "", "Made from lessons/glossary.tsv by `python -m tinydx.lessons.glossary`.", ""]
    lines += ["| English | 中文 | in the code | meaning | 含义 |", "|---|---|---|---|---|"]
    for term in terms():
        code = f"`{term.code}`" if term.code else ""
        lines.append(f"| {term.english} | {term.chinese} | {code} | {term.meaning} | {term.meaning_chinese} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
