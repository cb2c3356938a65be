"""Equal examples: in two classes, which is a contradiction, or in two splits, where the test asks for what training has seen.

Files are compared by their bytes, rows of tables by their texts, images of an .npz by their pixels. What is found is noted, and
training goes on: a few wrong labels are in most sets. Where more than half of a class is in another class, too, the labels are
refused.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

MOST_NAMED = 10  # groups of equal examples that a note names


class Copy(NamedTuple):
    """An example: a key that equal ones share, its class, its split ("" if there are none yet), and its name for the note."""

    key: str | None
    label: str
    split: str
    name: str


def check_copies(examples: Sequence[Copy], noun: str = "images") -> list[str]:
    """Notes on equal examples in two classes, and in two splits.

    Arguments: examples; noun for them, in the plural.
    Returns: at most two notes.
    Raises: ValueError where more than half of a class is in another class, too.

    >>> rows = [Copy("x", "ill", "", "ill/1.png"), Copy("x", "well", "", "well/9.png"), Copy("y", "ill", "", "ill/2.png")]
    >>> check_copies([*rows, Copy("z", "well", "", "well/1.png"), Copy("w", "well", "", "well/2.png")])[0]
    'identical images in two classes, of which one label must be wrong: ill/1.png = well/9.png'
    """
    groups: dict[str, list[Copy]] = {}
    for example in examples:
        if example.key is not None:
            groups.setdefault(example.key, []).append(example)
    contradicting = [group for group in groups.values() if len({c.label for c in group}) > 1]
    across = [group for group in groups.values() if len({c.split for c in group}) > 1]
    sizes = Counter(c.label for c in examples)
    for label, count in Counter(c.label for group in contradicting for c in group).items():
        if 2 * count > sizes[label]:
            raise ValueError(
                f"{count} of the {sizes[label]} {noun} of class {label} are identical with {noun} of another class, such as "
                f"{_equal(_first_of_each(next(g for g in contradicting if label in {c.label for c in g})))}: correct the labels"
            )
    notes = []
    if contradicting:
        notes.append(f"identical {noun} in two classes, of which one label must be wrong: {_named(contradicting)}")
    if across:
        notes.append(f"identical {noun} in two splits, so that the test knows what training has seen: {_named(across)}")
    return notes


def keys_of(x: np.ndarray) -> list[str]:
    """A key for each example (N,...), equal where the examples are."""
    return [hashlib.blake2b(content_of(v), digest_size=16).hexdigest() for v in x]


def content_of(example: Any) -> bytes:
    """The bytes of an example: an array, a text, or a patient's modalities by name (None: missing).

    >>> content_of({"text": "pain", "image": None}) == content_of({"text": "pain"}), content_of("pain")
    (True, b'pain')
    """
    if isinstance(example, str):
        return example.encode()
    if isinstance(example, dict):
        parts = ((name, content_of(example[name])) for name in sorted(example) if example[name] is not None)
        return b"".join(f"{name} {len(body)} ".encode() + body for name, body in parts)
    return np.ascontiguousarray(example).tobytes()


def _named(groups: Sequence[Sequence[Copy]]) -> str:
    more = f", and {len(groups) - MOST_NAMED} more" if len(groups) > MOST_NAMED else ""
    return ", ".join(_equal(_first_of_each(group)) for group in groups[:MOST_NAMED]) + more


def _first_of_each(group: Sequence[Copy]) -> list[Copy]:
    """An example of each class and split of the group."""
    return list({(c.label, c.split): c for c in reversed(group)}.values())[::-1]


def _equal(group: Sequence[Copy]) -> str:
    return " = ".join(c.name for c in group)
