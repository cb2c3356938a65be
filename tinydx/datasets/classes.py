"""Names of classes: which are alike, and which cannot be shown in a report."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Sequence

LONGEST = 100  # characters of a name
HIDDEN = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")  # turn text around, or cannot be seen


def class_key(name: str) -> str:
    """What two spellings of a class have in common: letters in any case and composition; "_", "-" and spaces alike.

    >>> class_key("No_Finding") == class_key(" no  finding"), class_key("HER2+") == class_key("HER2")
    (True, False)
    """
    text = unicodedata.normalize("NFKC", name).casefold()
    return re.sub(r"(?<=\w)[\s_-]+(?=\w)", " ", text).strip()


def check_class_names(names: Sequence[str], where: str, folders: Sequence[str] | None = None) -> None:
    """Raise an error unless every name can be shown, and no two differ in case or separators only.

    Arguments: names; where, the data's name for the error; folders, the names of the classes' folders, if they differ.
    Raises: ValueError that names the class.

    >>> check_class_names(["Normal", "normal"], "xrays")
    Traceback (most recent call last):
    ValueError: xrays: the classes 'Normal' and 'normal' differ in case, spaces, "_" or "-" only: give them one name
    """
    seen: dict[str, str] = {}
    for shown, name in zip(folders or names, names, strict=True):
        if wrong := _wrong(name):
            raise ValueError(f"{printable(where)}: the class {_quoted(shown)} {wrong}: rename it")
        if (first := seen.setdefault(class_key(name), shown)) != shown or list(names).count(name) > 1:
            alike = f"{_quoted(first)} and {_quoted(shown)}"
            raise ValueError(f'{where}: the classes {alike} differ in case, spaces, "_" or "-" only: give them one name')


def _wrong(name: str) -> str:
    """What is wrong with a name; "" for nothing."""
    if any(unicodedata.category(c) == "Cs" for c in name):
        return "has a name that is not UTF-8"
    if not name.strip():
        return "has no name"
    if any(unicodedata.category(c) == "Cc" or c in HIDDEN for c in name):
        return "has a control character in its name"
    return f"has a name of {len(name)} characters, at most {LONGEST} fit" if len(name) > LONGEST else ""


def _quoted(name: str) -> str:
    """The name as Python writes it; its bytes where it is not UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return repr(os.fsencode(name))
    return repr(name)


def printable(text: str) -> str:
    r"""The text, with its bytes that are not UTF-8 written out.

    >>> printable("l\udce4sion")
    'l\\xe4sion'
    """
    return os.fsencode(text).decode("utf-8", "backslashreplace") if any(0xDC80 <= ord(c) <= 0xDCFF for c in text) else text
