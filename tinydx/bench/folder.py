"""The result folder of a measurement: bench.json, and bench.md and bench.png, which are made from it."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from tinydx.bench.plot import picture
from tinydx.bench.results import markdown
from tinydx.files import atomic_write
from tinydx.names import line

FORMAT = 3  # of the JSON


def save(run: dict[str, Any], folder: str | os.PathLike) -> None:
    """Write bench.json into a folder, which is created if needed."""
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_finite({"format": FORMAT, **run}), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    atomic_write(path / "bench.json", text)


def save_views(run: dict[str, Any], folder: str | os.PathLike) -> None:
    """Write bench.md and bench.png into a folder, which is created if needed."""
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    atomic_write(path / "bench.md", markdown(run))
    atomic_write(path / "bench.png", picture(run))


def read(path: str | os.PathLike) -> dict[str, Any]:
    """A result from its JSON file; ValueError where the file is not one of this version's."""
    try:
        run = json.loads(Path(path).read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a JSON file: {error}") from None
    if not isinstance(run, dict) or run.get("format") != FORMAT or "kind" not in run:
        raise ValueError(f"{path} is not a result of this version of tinydx bench")
    return run


def read_whole(path: str | os.PathLike) -> dict[str, Any]:
    """A result from its JSON file, which has every part that a view shows; ValueError for any other file."""
    run = read(path)
    try:
        markdown(run)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise ValueError(f"{path} is not a whole result: {type(error).__name__}, {line(error)}") from None
    return run


def _finite(value: Any) -> Any:
    """The value with None for every infinite or NaN number, which JSON does not have."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
