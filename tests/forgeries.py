"""Forged files: a valid one whose header is changed in its structure, and whose digest is right again; and damaged bytes.

A change replaces, deletes, repeats, exchanges or moves a part of the header. The rules that a loader must keep are `ends_well`.
"""

import copy
import json
import math

DEEP = json.loads("[" * 90 + "]" * 90)
HOSTILE = [
    None, True, False, -1, 0, 1, 2, 7, 1.5, -0.5, math.nan, math.inf, -math.inf, 3_000_000_000, 60_000, 2**62, 2**70, -(2**70),
    "", "x", "0", "nan", "float32", "object", "\x1b[31m", "<img src=x>", "a\nb", "x" * 3000, "é", "again", "Dense", "Recurrent",
    "Trainer", "Model", "Sequential", "LanguageModel", "get", "numpy", "../../etc/passwd",
    [], {}, [[]], [None], [0], [-1], [1, 1, 1], [60000, 60000], [None, 60000, 60000, 3], {"again": 0}, {"symbol": 0},
    {"symbol": -1},
    {"array": "run/x"}, {"array": "weights/00000/x"}, {"function": "get"}, {"class": "L2", "config": {"l2": "x"}},
    {"regularizer": {"class": "L2", "config": {}}}, {"layer": {"again": 0}}, DEEP,
]  # fmt: skip


def places(value, path=()):
    """The paths of all parts of a JSON value."""
    found = [path] if path else []
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            found += places(value[key], (*path, key))
    return found


def inside(value, path):
    for key in path:
        value = value[key]
    return value


def forged(header, rng, changes=1):
    """A copy of the header with some changes, and words for them."""
    header, words = copy.deepcopy(header), []
    for _ in range(changes):
        found = places(header)
        where = found[rng.integers(len(found))]
        words.append(f"{_change(header, where, found, rng)} at {'/'.join(map(str, where))}")
    return header, ", ".join(words)


def _change(header, where, found, rng):
    """One change of the part at that path."""
    holder, key, old = inside(header, where[:-1]), where[-1], inside(header, where)
    kind = ["hostile", "hostile", "hostile", "near", "delete", "repeat", "exchange", "move", "extra", "nest"][rng.integers(10)]
    if kind == "delete":
        del holder[key]
    elif kind == "repeat" and isinstance(holder, list):
        holder.insert(key, copy.deepcopy(old))
    elif kind == "exchange" and isinstance(holder, list):
        holder[key], holder[-1] = holder[-1], holder[key]
    elif kind == "move":
        holder[key] = copy.deepcopy(inside(header, found[rng.integers(len(found))]))
    elif kind == "extra" and isinstance(old, dict):
        old["extra"] = HOSTILE[rng.integers(len(HOSTILE))]
    elif kind == "nest":
        holder[key] = [old] if rng.integers(2) else {"layer": old}
    elif kind == "near" and isinstance(old, int | float):
        holder[key] = [old + 1, old - 1, -old, old * 1000, float(old), str(old), not old][rng.integers(7)]
    else:
        kind = "hostile"
        holder[key] = copy.deepcopy(HOSTILE[rng.integers(len(HOSTILE))])
    return kind


def mutated(whole, draw):
    """A copy with bytes changed, lost, added, or the end cut off."""
    data = bytearray(whole)
    for _ in range(draw.choice([1, 1, 2, 5])):
        where = draw.randrange(min(len(data) or 1, draw.choice([64, 400, 10**9])))
        how = draw.choice(["change", "change", "lose", "add", "cut"])
        if how == "change" and data:
            data[where] = draw.choice([0, 1, 127, 128, 255])
        elif how == "lose":
            del data[where : where + draw.choice([1, 4, 50])]
        elif how == "add":
            data[where:where] = bytes(draw.choice([1, 4, 50]))
        elif how == "cut":
            del data[draw.randrange(len(data) + 1) :]
    return bytes(data)
