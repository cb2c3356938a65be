"""The registry of layers and models: class names to classes, so that a saved model finds the classes it is made of.

Every subclass of Layer that tinydx itself defines registers when its module is imported. `class_named` imports the packages
that define layers and models before it looks a name up. A user's own classes are not registered: `load_model` takes
them as custom_objects.
"""

from __future__ import annotations

import importlib
from typing import Any

PACKAGES = ("tinydx.layers", "tinydx.models", "tinydx.text.sequences")  # where classes that can be saved are defined

_classes: dict[str, type] = {}


def register(cls: type) -> None:
    """Remember a class under its name, if it is one of tinydx's public classes."""
    if cls.__module__.startswith("tinydx.") and not cls.__name__.startswith("_"):
        _classes[cls.__name__] = cls


def known_classes() -> dict[str, Any]:
    """All registered classes by name, without those that only others derive from: a package does not export these.

    >>> known_classes()["Dense"].__module__
    'tinydx.layers.core'
    >>> "Recurrent" in known_classes()
    False
    """
    packages = [importlib.import_module(package) for package in PACKAGES]
    return {name: cls for name, cls in _classes.items() if any(getattr(p, name, None) is cls for p in packages)}
