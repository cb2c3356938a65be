"""Files of any kind in class folders: find them, and name all that are bad.

Hidden files and folders, and those that systems and programs keep for themselves, are left out at every depth
(`tinydx/files.py`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from tinydx.files import visible, visible_files

MOST_NAMED = 10  # bad files that a message names


def find_files(
    directory: Any,
    extensions: tuple[str, ...],
    noun: str,
    classes: Sequence[str] | None = None,
    belongs: Callable[[str], bool] | None = None,
) -> dict[str, list[str]]:
    """The files of each class folder, at any depth.

    Arguments: directory that holds one folder for each class; extensions of the files, in lower case (any case is found); noun,
    the messages' word for the files; classes, the class folders and their order, None for all, sorted; belongs, tells by a
    path whether it is such a file (None: by the extensions). Hidden files and folders are left out at every depth.
    Returns: {class name: sorted paths, relative to the directory}.
    Raises: FileNotFoundError, which names the nearest folder that exists; NotADirectoryError; ValueError for a class folder
    without such files, for files beside the class folders, and for a directory without class folders.
    """
    root = Path(directory)
    if not root.exists():
        nearest = next(parent for parent in root.absolute().parents if parent.is_dir())
        raise FileNotFoundError(f"no folder {root}; the nearest that exists is {nearest}")
    belongs = belongs or (lambda path: path.lower().endswith(extensions))
    if not classes:
        entries = visible(root)
        loose = [entry.name for entry in entries if entry.is_file() and belongs(str(entry))]
        if loose:
            raise ValueError(f"{len(loose)} {noun} directly in {root}, as {loose[0]}: make a folder per class")
        classes = [entry.name for entry in entries if entry.is_dir()]
        if not classes:
            raise ValueError(f"no class folders in {root}: it must hold one folder of {noun} for each class")
    found = {}
    for name in classes:
        if not (root / name).is_dir():
            raise FileNotFoundError(f"no class folder {name!r} in {root}")
        files = (str(path) for path in visible_files(root / name))
        found[name] = [os.path.join(name, os.path.relpath(file, root / name)) for file in files if belongs(file)]
        if not found[name]:
            raise ValueError(f"class folder {root / name} holds no {noun} ({' '.join(extensions)})")
    return found


def check_each(items: Iterable[Any], check: Callable[[Any], Any]) -> list[Any]:
    """Call a function on each item, and name all those on which it fails, not the first alone.

    Arguments: items; check, whose errors are OSError or ValueError in one line that names the item.
    Returns: the function's results.
    Raises: the error of the only bad item; for several, one error with up to ten of their messages, and their number. Other
    errors are raised at once.

    >>> check_each(["1", "2"], int)
    [1, 2]
    """
    results, errors = [], []
    for item in items:
        try:
            results.append(check(item))
        except (OSError, ValueError) as error:
            results.append(None)
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise _all_named(errors, len(results))
    return results


def _all_named(errors: Sequence[Exception], total: int) -> Exception:
    """One error for several."""
    kinds = (FileNotFoundError, PermissionError, OSError, ValueError)
    kind = next((kind for kind in kinds if all(isinstance(error, kind) for error in errors)), OSError)
    more = f"; and {len(errors) - MOST_NAMED} more" if len(errors) > MOST_NAMED else ""
    return kind(f"{'; '.join(map(str, errors[:MOST_NAMED]))}{more} ({len(errors)} such files of {total})")
