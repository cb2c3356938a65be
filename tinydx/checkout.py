"""The import names of kernels/ and lessons/, which a checkout keeps beside tinydx/.

An installed tinydx contains them as the packages `tinydx_kernels` and `tinydx_lessons`. In a checkout, and in an editable
install of one, these names mean the checkout's own folders, even where another copy of tinydx is installed. `import tinydx`
puts the finder below before Python's own finders, so that every later `import tinydx_kernels` uses it.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
FOLDERS = {"tinydx_kernels": ROOT / "kernels", "tinydx_lessons": ROOT / "lessons"}


class CheckoutFinder:
    """Finds the packages of FOLDERS in this checkout; Python's own finders then find their submodules."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: Any = None) -> ModuleSpec | None:
        """The package's spec, or None for every other name."""
        folder = FOLDERS.get(name)
        if folder is None:
            return None
        return importlib.util.spec_from_file_location(name, folder / "__init__.py", submodule_search_locations=[str(folder)])


def find_own_packages() -> None:
    """Install the finder, once, if this tinydx is a checkout."""
    is_checkout = (ROOT / "pyproject.toml").is_file() and all(folder.is_dir() for folder in FOLDERS.values())
    if is_checkout and CheckoutFinder not in sys.meta_path:
        sys.meta_path.insert(0, CheckoutFinder)  # type: ignore[arg-type]
