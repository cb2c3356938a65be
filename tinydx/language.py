"""The language of the course: English or Chinese, and the texts of commands in the one that the reader wants.

The code holds the English texts, and data (JSON, tables, names of mistakes) stays English. `tinydx/chinese/*.json` hold the same
texts in Chinese, each beside the English one; what they leave open stands in braces. `tinydx lesson --lang zh`, the variable
TINYDX_LANG or the environment's language choose.

>>> with speaking("zh"):
...     print(said("All exercises pass."))
全部练习都已通过。
"""

from __future__ import annotations

import functools
import json
import os
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LANGUAGES = ("en", "zh")
VARIABLE = "TINYDX_LANG"  # also for the processes that a command starts


def chosen() -> str:
    """The language of this process, "en" or "zh": as chosen, else the environment's; English where that is neither."""
    variables = (VARIABLE, "LC_ALL", "LC_MESSAGES", "LANG")
    asked = next((value for name in variables if (value := os.environ.get(name))), "")
    return "zh" if asked.lower().startswith("zh") else "en"


def choose(code: str | None) -> None:
    """Use this language from now on, in this process and in those that it starts; None leaves it as it is."""
    if code is not None:
        os.environ[VARIABLE] = code


@contextmanager
def speaking(code: str) -> Iterator[None]:
    """Use this language in a block."""
    before = os.environ.get(VARIABLE)
    choose(code)
    try:
        yield
    finally:
        os.environ.pop(VARIABLE) if before is None else choose(before)


class Sentence(str):
    """An English text that remembers how it was made, so that whoever shows it can say it in Chinese."""

    template: str
    values: dict[str, Any]


def sentence(english: str, **values: Any) -> Sentence:
    """A text with the values in the places of its braces; one of the values may be such a text, too.

    >>> sentence("{name} has the opposite sign.", name="dx")
    'dx has the opposite sign.'
    """
    if isinstance(english, Sentence) and not values:
        return english
    made = Sentence(english.format(**values) if values else english)
    made.template, made.values = english, values
    return made


def said(english: str, **values: Any) -> str:
    """A text for the terminal in the chosen language; in English where the output has no Chinese characters.

    >>> said("progress {count}", count="3/42")
    'progress 3/42'
    """
    made = sentence(english, **values)
    words = in_chinese(made) if chosen() == "zh" else made
    return words if can_show(words) else str(made)


def listed(words: Iterable[str]) -> str:
    """Names one after the other, with the comma of the chosen language.

    >>> listed(["relu", "dense"])
    'relu, dense'
    """
    return functools.reduce(lambda some, one: said("{some}, {one}", some=some, one=one), words)


def can_show(text: str) -> bool:
    """Whether the output's encoding has these characters; an output in memory, which has no encoding, has all."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def wide(text: str) -> int:
    """How many columns a text takes in a terminal: a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def in_chinese(english: str) -> str:
    """The Chinese text that stands beside an English one; the English one where there is none."""
    if not isinstance(english, Sentence):
        return catalogue().get(english, english)
    words = catalogue().get(english.template, english.template)
    values = {name: in_chinese(v) if isinstance(v, Sentence) else v for name, v in english.values.items()}
    return words.format(**values) if values else words


@functools.cache
def catalogue() -> dict[str, str]:
    """Every English text that has a Chinese one, and the Chinese one."""
    files = sorted((Path(__file__).parent / "chinese").glob("*.json"))
    return {english: chinese for file in files for english, chinese in json.loads(file.read_text("utf-8")).items()}
