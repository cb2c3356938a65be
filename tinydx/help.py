"""The help of commands in the reader's language: what `argparse` prints, by the catalogue of Chinese texts.

A text that has no Chinese one stays English. A Chinese line may break behind every character, and a character takes two columns.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from itertools import pairwise

from tinydx.language import said, wide

MESSAGES = {  # what argparse says of a command line that it does not understand
    "%(prog)s: error: %(message)s\n",
    "argument %(argument_name)s: %(message)s",
    "expected one argument",
    "expected at least one argument",
    "ignored explicit argument %r",
    "not allowed with argument %s",
    "the following arguments are required: %s",
    "unrecognized arguments: %s",
    "ambiguous option: %(option)s could match %(matches)s",
}
argparse._ = lambda text: said(text) if text in MESSAGES else text  # type: ignore[attr-defined]  # its word for "translated"

CHINESE = "\u2e80-\u9fff\uff00-\uffef\u3000-\u303f"
CLOSING = "[，。；：、！？）”]*"  # no line begins with these
PARTS = re.compile(rf"\s+|[{CHINESE}]{CLOSING}|[^\s{CHINESE}]+{CLOSING}")


class Formatter(argparse.HelpFormatter):
    """A formatter whose headings and texts are in the chosen language."""

    def start_section(self, heading: str | None) -> None:
        super().start_section(heading and said(heading))

    def add_usage(self, usage: str | None, actions: Iterable, groups: Iterable, prefix: str | None = None) -> None:
        super().add_usage(usage, actions, groups, said("usage: ") if prefix is None else prefix)

    def format_help(self) -> str:
        return re.sub(rf"(?<=[{CHINESE}]):$", "：", super().format_help(), flags=re.MULTILINE)

    def _format_text(self, text: str) -> str:
        return super()._format_text(said(text))

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help and said(action.help)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return broken(text, width)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(indent + line for line in broken(text, width - len(indent)))


def broken(text: str, width: int) -> list[str]:
    """A text in lines of at most this many columns.

    >>> broken("列出全部课程，或打开 lesson 1。", 16)
    ['列出全部课程，或', '打开 lesson 1。']
    """
    lines, line = list[str](), ""
    for part in PARTS.findall(" ".join(text.split())):
        if line and wide(line + part.rstrip()) > width:
            lines.append(line.rstrip())
            line = ""
        line += part if line else part.lstrip()
    return [*lines, line.rstrip()]


def asked_language(arguments: Iterable[str]) -> str | None:
    """What stands behind --lang in a command line, which help must know before it is parsed; None where nothing does.

    >>> asked_language(["lesson", "--lang", "zh", "--help"]), asked_language(["lesson", "--lang=en"]), asked_language([])
    ('zh', 'en', None)
    """
    arguments = list(arguments)
    given = [value for option, value in pairwise(arguments) if option == "--lang"]
    given += [option.partition("=")[2] for option in arguments if option.startswith("--lang=")]
    return given[-1] if given and given[-1] in ("en", "zh") else None
