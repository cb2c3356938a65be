"""The page of `tinydx predict --page PAGE.png`: each input with its answer, the probability, and the warning where there is one.

    answers ─> head, the grid of inputs, those with a warning first and in red, the warnings in words ─> PNG
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tinydx.datasets.table import Entry
from tinydx.diagnosis.kind import Kind
from tinydx.diagnosis.page import Panel, bullets, fonts, grid, head, legible, png, short, text_bands
from tinydx.files import atomic_write, check_writable
from tinydx.names import shown

MOST = 60  # inputs on a page


class Shown(NamedTuple):
    """An input on the page."""

    entry: str  # its path, or the text itself
    example: Any  # as `Kind.plot` takes it
    answer: str  # "pneumonia"
    share: str  # "93%", or nothing
    warning: str | None


def check_page(path: str | os.PathLike, taken: Sequence[str]) -> None:
    """Find out before work whether the page can be written.

    Arguments: path; taken, paths of files that must not be overwritten: the model and the inputs.
    Raises: ValueError for another ending than .png, and for one of the files taken; the errors of `check_writable`.
    """
    if Path(path).suffix.lower() != ".png":
        raise ValueError(f"--page {path}: the page is a picture, give a name that ends in .png")
    if os.path.exists(path) and any(os.path.exists(file) and os.path.samefile(path, file) for file in taken):
        raise ValueError(f"--page {path} is the model or an input: give another name")
    check_writable(path)


def write_page(path: str | os.PathLike, inputs: Sequence[Shown], kind: Kind, model: str, disclaimer: str) -> Path:
    """Write the page; of more than 60 inputs it shows 60, those with a warning before the others.

    Arguments: path of the PNG; inputs; kind of the model; model, its path; disclaimer, a sentence.
    Returns: the path.
    """
    chosen = sorted(inputs, key=lambda one: one.warning is None)[:MOST]
    texts = [part for one in chosen for part in (_name(one), one.answer, one.example) if isinstance(part, str)]
    family, weight, drawable = fonts([*texts, shown(model)])

    def clean(text: Any) -> Any:
        return legible(text, drawable, {})

    def caption(one: Shown) -> str:
        """The name of a file, of which the end tells most, and the answer."""
        width = 66 // kind.columns
        named = os.path.isfile(one.entry) or isinstance(one.entry, Entry)
        file = f"{short(clean(_name(one))[::-1], width + 5)[::-1]}\n" if named else ""
        return f"{file}{short(clean(one.answer), width)} {one.share}"

    captions = [caption(one) for one in chosen]
    panels = [Panel(clean(one.example), c, one.warning is not None) for one, c in zip(chosen, captions, strict=True)]
    said = [clean(f"{_name(one)}: {one.warning}.") for one in chosen if one.warning]
    warned = sum(one.warning is not None for one in inputs)
    of = f"{len(chosen)} of {len(inputs)}" if len(chosen) < len(inputs) else str(len(inputs))
    title = f"{of} {kind.noun}"
    before = [f"Inputs with a warning: {warned}. Do not rely on their answers."] if warned else []
    lines = head("Answers of a model", clean(f"{title}. Model: {shown(model)}"), None, [disclaimer, *before])
    bands = [*text_bands(lines, bullets("Warnings", said)), grid(title, kind, panels)]
    return atomic_write(path, png(bands, title, family, weight))


def _name(one: Shown) -> str:
    """The file's name, or the beginning of a text."""
    return shown(Path(one.entry).name if os.path.isfile(one.entry) else one.entry)
