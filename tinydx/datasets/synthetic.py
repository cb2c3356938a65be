"""Folders of synthetic examples: written once, completely or not at all, and marked as synthetic."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinydx.datasets.download import make_folder
from tinydx.files import named

MARKER = "synthetic.json"  # in every such folder: its content, and the settings that produced it


def write_once(directory: str | Path, facts: dict[str, Any], noun: str, write: Callable[[Path], None]) -> Path:
    """A directory with the examples that `facts` describe; `write` makes them, unless they exist already.

    The directory appears at once, with MARKER in it: an interrupted run leaves nothing under its name.

    Arguments: directory, which must not exist, or be empty, or hold this very set; facts, JSON-able, which determine the
    examples; noun, the messages' word for the examples; write, fills the folder that it is given.
    Returns: the directory.
    Raises: FileExistsError if the directory holds something else.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp()) / "set"
    >>> for _ in range(2):  # the second time, nothing is written
    ...     _ = write_once(folder, {"seed": 0}, "numbers", lambda draft: print((draft / "a.txt").write_text("1")))
    1
    >>> sorted(file.name for file in folder.iterdir())
    ['a.txt', 'synthetic.json']
    """
    target = Path(directory)
    facts = {"synthetic": True, **facts}
    if target.exists() and not _is_free(target, facts, noun):
        return target
    make_folder(target.parent)
    draft = target.with_name(f".{target.name}.{secrets.token_hex(6)}.part")  # each writer's own
    try:
        draft.mkdir()
        write(draft)
        (draft / MARKER).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        with contextlib.suppress(OSError):
            target.rmdir()  # an empty one, which Windows would not replace
        try:
            draft.rename(target)
        except OSError:
            if not target.exists() or _is_free(target, facts, noun):
                raise  # otherwise another process has finished the same set meanwhile: its copy stays
    except OSError as error:
        if error.filename:
            raise
        raise named(error, target) from error  # such as a full disk while Pillow writes an image
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def _is_free(target: Path, facts: dict[str, Any], noun: str) -> bool:
    """True for an empty directory, False for one that holds this very set; FileExistsError for anything else."""
    if target.is_dir() and not any(target.iterdir()):
        return True
    try:
        same = json.loads((target / MARKER).read_text(encoding="utf-8")) == facts
    except (OSError, ValueError, RecursionError):
        raise FileExistsError(f"{target} holds other files: choose a new or empty folder for the {noun}") from None
    if not same:
        raise FileExistsError(f"{target} holds {noun} made with other settings: delete it, or choose another folder")
    return False
