"""Text files: UTF-8, or UTF-16 with its mark, and nothing that has to be guessed."""

from __future__ import annotations

import codecs
import os

MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def read_text(path: str | os.PathLike, longest: int | None = None, what: str = "UTF-8 text") -> str:
    """The text of a file; line ends are unchanged.

    Arguments: path; longest, at most how many characters are read (None: all); what the file should be, for the message.
    Raises: FileNotFoundError; ValueError, which names the line, for another encoding and for files that are no text.
    """
    try:
        with open(path, "rb") as file:
            data = file.read() if longest is None else file.read(4 * longest + 3)
            whole = not file.read(1)
    except FileNotFoundError:
        raise FileNotFoundError(f"no text file {os.fspath(path)}") from None
    if data.startswith(b"PK\x03\x04"):
        raise ValueError(f"{path} is not {what}: it is a zip file or a spreadsheet (.xlsx); save it as CSV UTF-8")
    mark, encoding = next(((mark, name) for mark, name in MARKS.items() if data.startswith(mark)), (b"", "utf-8"))
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(data[len(mark) :], final=whole)
    except UnicodeDecodeError as error:
        line = data[: len(mark) + error.start].count(b"\n") + 1
        raise ValueError(f"{path} is not {what} (line {line}, byte {len(mark) + error.start}): save it as UTF-8") from None
    if (where := text.find("\0")) >= 0:
        line = text.count("\n", 0, where) + 1
        raise ValueError(f"{path} is not {what} (line {line} holds a zero byte): save it as UTF-8")
    return text[:longest]
